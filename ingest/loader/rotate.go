package loader

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/warehouse/lake"
)

// # Pseudonym keys
//
// Facts, rollups, lake and quarantine are of one version of the pseudonym keys, which the ledger
// names. Messages of the journal say of which they are, and are brought to that one when they are
// read; so doors may have older keys than the loader. When the keys have a version more than the
// ledger, a rotation was begun: whoever loads ends it before anything else.
//
// A rotation goes from part to part. Each file of the lake and each entry of the quarantine says
// of which version it is, so that nothing is advanced twice, whenever it is interrupted; the warehouse
// is made from the lake. It is marked as to be rebuilt before the ledger turns to the new version, so that facts
// of the older one are never taken for those of the newer.

// Rotated is what a rotation did.
type Rotated struct {
	Pseudonyms int     `json:"pseudonyms"` // version of the newest key
	Files      int     `json:"files"`      // of the lake, written anew
	Rows       uint64  `json:"rows"`       // in them
	Held       int     `json:"held"`       // entries of the quarantine, written anew
	Seconds    float64 `json:"seconds"`
}

// Rotate makes a pseudonym key and rewrites what is stored with it: the lake, the quarantine
// and, from the lake, the warehouse. Every figure is the same afterwards. It first reads every file of the lake
// against its manifest, and makes no key when one is damaged. While it runs no plan is
// carried out and the journal goes on accepting, with the new key; figures are exact until the
// warehouse is dropped, and kept back from then on ([Loader.Rebuilding]). ctx ends it as long as there is no new key;
// from then on lasting does, and the next start of a loader goes on where it was. It is for the loader
// that is at work: Conflict elsewhere.
func (l *Loader) Rotate(ctx, lasting context.Context, progress func(stage string, done float64, count uint64)) (*Rotated, error) {
	if progress == nil {
		progress = func(string, float64, uint64) {}
	}
	var out *Rotated
	err := l.Quiet(ctx, func() error {
		if s := l.Status(); s.Role != Active {
			return problem.New(problem.Conflict, "this server does not load (%s): rotate where the loader is at work", s.Role)
		}
		if l.cfg.Keys == nil {
			return problem.New(problem.Conflict, "this loader has no keys")
		}
		if _, begun := l.ledger.newest(); begun != nil {
			return problem.New(problem.Unavailable, "a plan that was interrupted goes first; try again in a moment")
		}
		if err := l.hold(ctx); err != nil {
			return err
		}
		if err := l.readable(ctx, progress); err != nil {
			return err
		}
		l.rotating.Store(true)
		defer func() {
			l.again.Store(true) // what was gathered is decided anew, with the new key; also when this failed half way
			l.rotating.Store(false)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.wake()
		}()
		failpoint("rotation begins")
		if !l.due() { // else one was interrupted
			version, err := l.cfg.Keys.Rotate()
			if err != nil {
				return err
			}
			l.log.Warn("loader: there is a new pseudonym key; what is stored is rewritten", "version", version)
		}
		failpoint("key made")
		began := time.Now()
		var err error
		if out, err = l.advance(lasting, progress); err != nil {
			return err
		}
		_, err = l.rebuild(lasting, lasting, progress)
		out.Seconds = time.Since(began).Seconds()
		return err
	})
	return out, err
}

// due says whether the keys have a version that what is stored does not have yet.
func (l *Loader) due() bool {
	return l.cfg.Keys != nil && l.cfg.Keys.PseudonymVersion() > l.ledger.pseudonyms().Pseudonyms
}

// readable refuses a rotation that could not be ended: a lake that is damaged, or events of
// types that the pack does not know. It changes nothing.
func (l *Loader) readable(ctx context.Context, progress func(string, float64, uint64)) error {
	files, err := l.loadedFiles(ctx)
	if err != nil {
		return err
	}
	var all, read uint64
	for _, f := range files {
		if l.cfg.Set.ByType(f.Contract) == nil {
			return unknownType("the lake", f.Contract)
		}
		all += f.Rows
	}
	for _, f := range files {
		if err := l.cfg.Lake.Verify(ctx, f, l.cfg.Set.ByType(f.Contract), func(rec arrow.Record) error {
			read += uint64(rec.NumRows())
			progress("reading the lake", float64(read)/float64(max(all, 1)), read)
			return nil
		}); err != nil {
			return err
		}
	}
	return l.cfg.Journal.Held(ctx, func(e journal.Entry) error {
		if len(e.Held.Event) > 0 && l.cfg.Set.ByType(e.Held.Type) == nil {
			return unknownType("the quarantine", e.Held.Type)
		}
		return nil
	})
}

func unknownType(where, eventType string) error {
	return problem.New(problem.Conflict, "%s has events of type %s, which this pack does not know; rotate with the pack that accepted them", where, eventType)
}

// resumeRotation ends a rotation that was interrupted. A plan that was begun before goes first: run
// comes back here after it.
func (l *Loader) resumeRotation(ctx context.Context) error {
	if err := suits(l.cfg.Keys, l.ledger.pseudonyms()); err != nil {
		return err
	}
	if _, begun := l.ledger.newest(); begun != nil || !l.due() {
		return nil
	}
	l.log.Warn("loader: the pseudonym keys are newer than what is stored, which is rewritten", "version", l.cfg.Keys.PseudonymVersion())
	_, err := l.advance(ctx, func(string, float64, uint64) {})
	return err
}

// suits refuses keys that are not, or older than, those of what is stored.
func suits(keys *contract.Keys, stored keyed) error {
	if stored.Pseudonyms == 1 {
		return nil
	}
	switch {
	case keys == nil || keys.PseudonymVersion() < stored.Pseudonyms:
		return problem.New(problem.Conflict, "what is stored was rewritten with pseudonym keys of version %d, and the file of keys is an older one: put back the newest", stored.Pseudonyms)
	case keys.PseudonymMark(stored.Pseudonyms) != stored.Mark:
		return problem.New(problem.Conflict, "what is stored was rewritten with another pseudonym key of version %d than that of the file of keys: put back the right one", stored.Pseudonyms)
	}
	return nil
}

// advance brings everything that is stored to the newest version of the keys, but for the warehouse, which
// it leaves marked as to be made from the lake. It tries again what may pass, and stops for good at what cannot.
func (l *Loader) advance(ctx context.Context, progress func(string, float64, uint64)) (*Rotated, error) {
	out := new(Rotated)
	err := l.patiently(ctx, "rotation", func() error {
		err := l.advanceStored(ctx, progress, out)
		if k := problem.KindOf(err); err != nil && ctx.Err() == nil && (k == problem.Internal || k == problem.Conflict || k == problem.NotFound) {
			return fatal{fmt.Errorf("the rotation of the pseudonym keys cannot go on: %w", err)}
		}
		return err
	})
	if err == nil {
		l.log.Warn("loader: lake and quarantine have been rewritten with the newest pseudonym key; the warehouse is made from the lake", "version", out.Pseudonyms, "files", out.Files, "rows", out.Rows, "held", out.Held)
	}
	return out, err
}

func (l *Loader) advanceStored(ctx context.Context, progress func(string, float64, uint64), out *Rotated) error {
	keys := l.cfg.Keys
	out.Pseudonyms = keys.PseudonymVersion()
	loaded, _ := l.ledger.now()
	replaced, err := l.cfg.Lake.AdvancePersons(ctx, lake.Advance{Contracts: l.cfg.Set, Through: loaded, Pseudonyms: out.Pseudonyms,
		Record: func(c *contract.Contract, rec arrow.Record, from int) (arrow.Record, error) {
			if err := l.hold(ctx); err != nil {
				return nil, err
			}
			return keys.AdvanceRecord(c, rec, from, out.Pseudonyms)
		},
		Progress: func(done, files int) { progress("lake", float64(done)/float64(max(files, 1)), uint64(done)) }})
	out.Files += replaced.Files
	out.Rows += replaced.Rows
	if err != nil {
		return err
	}
	failpoint("lake advanced")
	if err := l.cfg.Journal.Quarantine().Rewrite(ctx, func(h contract.Held) (contract.Held, error) {
		if max(h.Pseudonyms, 1) == out.Pseudonyms {
			return h, nil
		}
		c := l.cfg.Set.ByType(h.Type)
		if len(h.Event) > 0 && c == nil {
			return h, unknownType("the quarantine", h.Type)
		}
		out.Held++
		progress("quarantine", -1, uint64(out.Held))
		return keys.AdvanceHeld(c, h, out.Pseudonyms)
	}); err != nil {
		return err
	}
	failpoint("quarantine advanced")
	if err := l.ledger.forgetRows(ctx); err != nil {
		return err
	}
	if err := l.hold(ctx); err != nil {
		return err
	}
	if err := l.cfg.Warehouse.DemandRebuild(ctx); err != nil {
		return err
	}
	failpoint("rebuild demanded")
	if err := l.ledger.turn(ctx, keyed{out.Pseudonyms, keys.PseudonymMark(out.Pseudonyms)}); err != nil {
		return err
	}
	failpoint("ledger turned")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake() // who waits for the version
	return nil
}

// advanceParts brings the parts of a message to the version of what is stored. A message of later keys
// waits until what is stored has been rewritten with them.
func (l *Loader) advanceParts(ctx context.Context, m *journal.Message) error {
	for i := range m.Parts {
		part := &m.Parts[i]
		if part.Record == nil {
			continue
		}
		from := max(part.Pseudonyms, 1)
		for {
			l.mu.Lock()
			changed := l.changed
			l.mu.Unlock()
			if from <= l.ledger.pseudonyms().Pseudonyms {
				break
			}
			switch rotating := l.rotating.Load(); {
			case l.cfg.Keys != nil && l.cfg.Keys.PseudonymVersion() >= from && !rotating:
				return errAgain // a rotation was interrupted: the next term ends it
			case !rotating:
				l.say("keys", fmt.Errorf("message %d was made with pseudonym keys of version %d, which this server does not have: give it the newest file of keys and start it again", m.Seq, from))
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if part.Pseudonyms = l.ledger.pseudonyms().Pseudonyms; from == part.Pseudonyms || !part.Contract.NamesPersons() {
			continue
		}
		rec, err := l.cfg.Keys.AdvanceRecord(part.Contract, part.Record, from, part.Pseudonyms)
		if err != nil {
			return err
		}
		part.Record.Release()
		part.Record = rec
	}
	return nil
}
