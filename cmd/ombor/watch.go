package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"path/filepath"
	"time"

	dashboards "ombor/dashboards-api"
	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/ingest/loader"
	"ombor/internal/problem"
)

// startLoader opens the lake and lets the loader run until close.
func (p *program) startLoader(ctx context.Context) error {
	lake, err := p.openLake(ctx)
	if err != nil {
		return err
	}
	if p.loader, err = loader.New(loader.Config{
		Journal: p.journal, Warehouse: p.warehouse, Lake: lake, Set: p.pack.Set, Dir: filepath.Join(p.config.Data, "loader"),
	}); err != nil {
		return err
	}
	p.closing(p.loader.Close)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// What stops the loader is said by Status; the door and the figures go on.
		_ = p.loader.Run(running)
	}()
	p.closing(func() error { stop(); <-ended; return nil })
	return nil
}

// outcome tells the door what became of a request.
func (p *program) outcome(ctx context.Context, r journal.Range) (ingest.Outcome, error) {
	receipt, err := p.loader.Outcome(ctx, r)
	if err != nil || !receipt.Loaded {
		return ingest.Outcome{}, err
	}
	return ingest.Outcome{Accepted: receipt.Accepted, Duplicate: receipt.Duplicate, Conflict: receipt.Conflict, Loaded: true}, nil
}

// closingOfDeliveries is what the door asks of the other rooms to close a delivery.
func (p *program) closingOfDeliveries() *ingest.Closing {
	return &ingest.Closing{
		Last: func(ctx context.Context) (uint64, error) {
			s, err := p.journal.Status(ctx)
			return s.Last, err
		},
		Read: p.journal.Read, WaitLoaded: p.loader.WaitLoaded, Standing: p.warehouse.Standing,
	}
}

// status is how far the data are, for /v1/status. It asks nobody, so it is quick.
func (p *program) status() dashboards.Status {
	w := p.loader.Status()
	s := dashboards.Status{
		Journal: w.Journal, Loaded: w.Loaded, Lake: w.Loaded,
		LagEvents: w.Lag.Events, Lag: time.Duration(w.Lag.Seconds * float64(time.Second)),
	}
	events := map[string]uint64{}
	for _, count := range w.Counts {
		events[count.Source] += count.Accepted
	}
	for id, source := range p.pack.Sources {
		s.Sources = append(s.Sources, dashboards.Source{Source: id, Title: source.Title, Owner: source.Owner, Promise: source.Freshness, Events: events[id]})
		delete(events, id)
	}
	for id, n := range events { // senders that the pack does not expect: a simulation, for one
		s.Sources = append(s.Sources, dashboards.Source{Source: id, Events: n})
	}
	return s
}

// ready is nil when figures can be served.
func (p *program) ready(ctx context.Context) error {
	if p.engine != nil && !p.engine.State().Serving {
		return problem.New(problem.Unavailable, "the engine is being started again: %s", p.engine.State().LastExit)
	}
	return nil
}

// seedHash tells one set of seed events from another.
type seedHash struct{ hash.Hash }

func newSeedHash() seedHash { return seedHash{sha256.New()} }

func (h seedHash) add(event []byte) {
	_, _ = h.Write(event) // a hash never fails
	_, _ = h.Write([]byte{'\n'})
}

func (h seedHash) String() string { return hex.EncodeToString(h.Sum(nil)) }
