package main

import (
	"context"
	"log/slog"
	"time"

	"ombor/ingest/loader"
	"ombor/internal/problem"
)

// Adding up months and counting millions of persons takes seconds, of which those who load and ask must have
// most: it waits until nothing waits to be loaded, or this long, and after each round ten
// times as long as that took.
const (
	countPause   = time.Second
	countLoading = time.Minute
)

// keepSums keeps the months of wide rollups and the exact distinct counts in step with what is loaded, while the
// loader here is the one at work. It returns when ctx ends. Those that are behind harm
// nobody: figures are then made from days, and from facts.
func (p *program) keepSums(ctx context.Context) {
	wait := func(d time.Duration) bool {
		select {
		case <-time.After(d):
			return true
		case <-ctx.Done():
			return false
		}
	}
	for {
		role, err := p.loader.WaitRole(ctx)
		if err != nil { // the loader has stopped; status says why
			return
		}
		for began := time.Now(); p.loader.Status().Lag.Messages > 0 && time.Since(began) < countLoading; {
			if !wait(countPause) {
				return
			}
		}
		loaded, began := p.loader.Status().Loaded, time.Now()
		if _, rebuilding := p.loader.Rebuilding(); role == loader.Active && !rebuilding {
			_, err := p.warehouse.KeepMonths(ctx)
			if err == nil {
				_, err = p.warehouse.CountDistinct(ctx)
			}
			switch kind := problem.KindOf(err); {
			case err == nil, ctx.Err() != nil:
			case kind == problem.Unavailable || kind == problem.Busy: // the engine starts again, or has no room
				loaded = 0
			default:
				slog.Warn("months could not be added up, or distinct persons counted; answers take longer", "error", err)
			}
		}
		if !wait(countPause+10*time.Since(began)) || loaded > 0 && p.loader.WaitLoaded(ctx, loaded+1) != nil {
			return
		}
	}
}
