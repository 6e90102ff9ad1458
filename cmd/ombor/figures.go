package main

import (
	"context"
	"log/slog"
	"time"

	"ombor/internal/reference"
)

// figuresAtLeast is how old the figures of open periods in kpi_values may be while
// events keep coming: working them all out takes seconds of the processor.
const figuresAtLeast = 15 * time.Minute

// keepFigures keeps what kpi_values tells of open periods and of KPIs that are not
// published fresh until close: by the server whose loader is at work, when something was
// loaded since or a day has begun, and once nothing was loaded between two looks.
func (p *program) keepFigures(ctx context.Context) {
	every := p.config.PublishEvery
	if every <= 0 || !p.config.does("loader") {
		return
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	type state struct {
		loaded uint64
		day    reference.Day
	}
	go func() {
		defer close(ended)
		asker, calendar := p.newQueries(), p.pack.Reference.Calendar()
		tick := time.NewTicker(every)
		defer tick.Stop()
		var told, before state
		last := time.Now()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			s := p.loader.Status()
			now := state{s.Loaded, calendar.Today(time.Now())}
			quiet := now == before && s.Lag.Messages == 0
			before = now
			if !p.figuresThere(s) || now == told || !quiet && time.Since(last) < figuresAtLeast {
				continue
			}
			last = time.Now()
			figures, err := asker.Unpublished(ctx)
			if err == nil {
				err = p.warehouse.ReplaceFigures(ctx, now.day, figures)
			}
			switch {
			case err == nil:
				told = now
				slog.Debug("kpi_values tells what is known now", "figures", len(figures), "took", time.Since(last))
			case ctx.Err() == nil && p.figuresThere(p.loader.Status()): // the older figures stay until the next look
				slog.Warn("kpi_values could not be brought to what is known; trying again", "err", err)
			}
		}
	}()
	p.closing(func() error { stop(); <-ended; return nil })
}
