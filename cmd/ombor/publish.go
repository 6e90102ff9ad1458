package main

import (
	"context"
	"log/slog"
	"time"

	"ombor/ingest/loader"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

// newQueries makes the answers of the pack.
func (p *program) newQueries() *queries.Queries {
	options := queries.Options{K: p.pack.K, Targets: p.pack.Targets, Loaded: p.loader.Loaded, Arriving: p.arriving, Closing: map[string]time.Duration{}, Titles: map[string]reference.Names{}, Systems: p.pack.Systems()}
	for id, source := range p.pack.Sources {
		options.Closing[id], options.Titles[id] = source.Closing, source.Title
	}
	return queries.New(p.warehouse, p.pack.KPIs, p.pack.Reference, options)
}

// arriving says whether more is being loaded than a steady stream of events: the rollups of
// contracts follow one after the other, within a few seconds.
func (p *program) arriving() bool {
	const events, seconds = 10_000, 5
	lag := p.loader.Status().Lag
	return lag.Events >= events || lag.Seconds >= seconds
}

// publishAtLeast is how often figures are published also while events keep coming: half
// of a load would be published, and then corrected, if it were done at any moment.
const publishAtLeast = 24 * time.Hour

// publish lets what closed be published until close: by the server whose loader is at
// work, whenever nothing was loaded between two looks, and once a day in any case. What is
// published goes through the journal, as every event does, so that a crash in between
// leaves nothing that the next look does not complete.
func (p *program) publish(ctx context.Context, checker *contract.Checker) {
	every := p.config.PublishEvery
	if every <= 0 || !p.config.does("loader") {
		return
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		asker := p.newQueries()
		tick := time.NewTicker(every)
		defer tick.Stop()
		last, before := time.Now(), p.loader.Status().Loaded
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			s := p.loader.Status()
			quiet := s.Loaded == before && s.Lag.Messages == 0
			before = s.Loaded
			if !p.figuresThere(s) || !quiet && time.Since(last) < publishAtLeast {
				continue
			}
			last = time.Now()
			err := asker.Publish(ctx, p.pack.Prefix, func(ctx context.Context, events [][]byte) error {
				return p.appendPublished(ctx, checker, events)
			})
			if err != nil && ctx.Err() == nil && p.figuresThere(p.loader.Status()) { // what is missing is published at the next look
				slog.Warn("figures could not be published; trying again", "err", err)
			}
		}
	}()
	p.closing(func() error { stop(); <-ended; return nil })
}

// figuresThere says whether this server's loader is at work, and the warehouse not away: while it is
// made from the lake, or begun anew, nobody is to read figures.
func (p *program) figuresThere(s loader.Watermarks) bool {
	_, rebuilding := p.loader.Rebuilding()
	return s.Role == loader.Active && !rebuilding
}

// appendPublished brings events of figure.published into the journal and waits until they
// are loaded.
func (p *program) appendPublished(ctx context.Context, checker *contract.Checker, events [][]byte) error {
	batch := checker.NewBatch()
	defer batch.Reset()
	for i, event := range events {
		if refusal := batch.Add(i, event); refusal != nil {
			return problem.New(problem.Internal, "publish: %s is refused: %s: %s", refusal.ID, refusal.Field, refusal.Reason)
		}
	}
	parts := batch.Parts()
	defer release(parts)
	seq, err := p.journal.Append(ctx, parts)
	if err != nil {
		return err
	}
	return p.loader.WaitLoaded(ctx, seq)
}
