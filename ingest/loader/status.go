package loader

import (
	"context"
	"time"

	"ombor/ingest/journal"
)

// Watermarks say how far events have come. Sequences are of messages of the journal.
type Watermarks struct {
	Journal  uint64     `json:"journal"` // last message accepted
	Loaded   uint64     `json:"loaded"`  // last message whose events are in warehouse, rollups and lake
	Lag      Lag        `json:"lag"`
	IDs      int        `json:"ids"`   // events and revisions that the first-seen index knows
	Plans    uint64     `json:"plans"` // carried out since the start
	Counts   []Count    `json:"counts"`
	Role     string     `json:"role"`               // active, standby, watching, starting or stopped
	Holder   string     `json:"holder,omitempty"`   // the loader that is at work, as far as this one knows
	Epoch    uint64     `json:"epoch"`              // how often a loader has taken over
	Repaired uint64     `json:"repaired,omitempty"` // batches of the warehouse that were not those of their plan, and were put right
	Trouble  string     `json:"trouble,omitempty"`  // what is wrong now, for people
	Since    *time.Time `json:"since,omitempty"`    // since when
}

// Lag is what was accepted and is not loaded.
type Lag struct {
	Messages uint64  `json:"messages"`
	Events   uint64  `json:"events"`  // exact for messages that are read, estimated from their mean for the others
	Seconds  float64 `json:"seconds"` // age of the oldest message that is read and not loaded
}

// Loaded is the last message whose events are in warehouse, rollups and lake. It asks nobody
// and costs next to nothing.
func (l *Loader) Loaded() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told()
}

// told is the watermark that others see; l.mu is held.
func (l *Loader) told() uint64 {
	if l.rolled == 0 && !l.running { // it begins: the rollups are being looked at
		return l.done
	}
	return l.loaded()
}

// Status tells where loading stands. It asks nobody.
func (l *Loader) Status() Watermarks {
	l.mu.Lock()
	loaded := l.told() // first, so that what is loaded is counted
	l.mu.Unlock()
	l.ledger.mu.Lock()
	counts, epoch := l.ledger.counts(), l.ledger.epoch
	l.ledger.mu.Unlock()
	w := Watermarks{Counts: counts, IDs: l.index.len(), Epoch: epoch}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Loaded = loaded
	w.Journal = max(l.cfg.Journal.Last(), loaded, l.read) // another door may have written
	w.Plans, w.Trouble, w.Role, w.Holder, w.Repaired = l.plans, l.trouble, l.role, l.holder, l.repaired
	if l.trouble != "" {
		since := l.since
		w.Since = &since
	}
	w.Lag.Messages = w.Journal - loaded
	if w.Lag.Messages > 0 {
		for _, f := range l.flights {
			w.Lag.Events += f.rows
		}
		if l.seenMsg > 0 && w.Journal > l.read {
			w.Lag.Events += (w.Journal - l.read) * (l.seen/l.seenMsg + 1)
		}
		if len(l.flights) > 0 {
			w.Lag.Seconds = max(0, time.Since(l.flights[0].received).Seconds())
		}
	}
	return w
}

// WaitLoaded returns when the message is in warehouse, rollups and lake; with
// ctx's error, or the error that stopped Run, before.
func (l *Loader) WaitLoaded(ctx context.Context, seq uint64) error {
	for {
		l.mu.Lock()
		changed, stopped, loaded := l.changed, l.stopped, l.loaded()
		l.mu.Unlock()
		if loaded >= seq {
			return nil
		}
		if stopped != nil {
			return stopped
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Receipt is what became of a request.
type Receipt struct {
	Loaded bool `json:"loaded"` // all of it is in warehouse, rollups and lake
	Outcome
}

// Outcome tells what became of a request's events so far. It stays known for ever.
func (l *Loader) Outcome(ctx context.Context, r journal.Range) (Receipt, error) {
	sum, err := l.ledger.outcome(ctx, r)
	if err != nil {
		return Receipt{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return Receipt{Loaded: l.loaded() >= r.Last.Seq, Outcome: sum}, nil
}

// wake tells everybody who waits. The caller holds l.mu.
func (l *Loader) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// say tells people and the log what is wrong, once for each new trouble.
func (l *Loader) say(part string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	words := part + ": " + err.Error()
	if l.trouble != words {
		l.log.Warn("loader: trying again", "part", part, "err", err)
		if l.trouble == "" {
			l.since = time.Now()
		}
		l.trouble = words
		l.wake()
	}
}

// clear says that a part works again.
func (l *Loader) clear(part string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped == nil && len(l.trouble) > len(part) && l.trouble[:len(part)+1] == part+":" {
		l.log.Info("loader: works again", "part", part, "after", time.Since(l.since).Round(time.Millisecond))
		l.trouble = ""
	}
}
