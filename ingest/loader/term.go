package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse/lake"
)

// Roles of a loader.
const (
	Starting = "starting" // it takes over, or looks who is at work
	Active   = "active"   // it loads
	Standby  = "standby"  // another one loads
	Watching = "watching" // it never loads: [Loader.Observe]
	Stopped  = "stopped"
)

// Run loads until ctx ends, and then returns nil. While another loader of the same journal
// is at work it stands by: it follows the ledger and the index, and takes over when the
// other's lease ends. What can pass (parts away, full disks) is tried again for ever. An error
// means that going on would break the promise: nothing more is loaded, Status says why,
// the journal goes on accepting.
func (l *Loader) Run(ctx context.Context) error {
	for {
		err := l.term(ctx)
		l.mu.Lock()
		l.running = false
		if errors.Is(err, errDeposed) {
			l.trouble = "" // what stood in this one's way is another's affair now
		}
		l.wake()
		l.mu.Unlock()
		if errors.Is(err, errDeposed) && ctx.Err() == nil {
			l.log.Warn("loader: another loader has taken over; this one stands by")
			l.become(Standby, "")
			continue
		}
		again := errors.Is(err, errAgain) && ctx.Err() == nil
		// So that a standby need not wait for the lease's end. When it cannot be told, it waits.
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		if rerr := l.lease.release(release); rerr != nil {
			l.log.Debug("loader: the lease was not given back", "err", rerr)
		}
		cancel()
		if again {
			continue
		}
		l.become(Stopped, "")
		if ctx.Err() != nil {
			return nil
		}
		l.mu.Lock()
		l.stopped, l.trouble, l.since = err, "loading has stopped: "+err.Error(), time.Now()
		l.wake()
		l.mu.Unlock()
		return err
	}
}

// Observe follows the ledger until ctx ends, for a process that answers questions and
// does not load.
func (l *Loader) Observe(ctx context.Context) error {
	l.become(Watching, "")
	for {
		if err := l.look(ctx, true); err != nil && ctx.Err() == nil {
			l.say("journal", err)
		} else if err == nil {
			l.clear("journal")
		}
		if err := sleep(ctx, l.cfg.Interval); err != nil {
			return nil
		}
	}
}

// look takes in what the ledger says. While another loader is at work the rollups are
// its affair.
func (l *Loader) look(ctx context.Context, other bool) error {
	if err := l.ledger.catchUp(ctx); err != nil {
		return err
	}
	now, _ := l.ledger.now()
	applied := false
	if other {
		var err error
		if applied, err = l.applied(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	rolled := l.rolled
	if applied {
		rolled = now
	}
	if l.done != now || l.rolled != rolled {
		l.done, l.rolled, l.read, l.flights = now, rolled, now, nil
		l.wake()
	}
	return nil
}

// applied asks the warehouse whether the rollups have the newest plan: the ledger says only
// that facts and lake do.
func (l *Loader) applied(ctx context.Context) (bool, error) {
	last, _ := l.ledger.newest()
	l.mu.Lock()
	known := last == nil || l.rolled >= last.Last
	l.mu.Unlock()
	if known {
		return true, nil
	}
	for _, c := range l.cfg.Set.All() {
		if last.Rows[c.Type] == 0 {
			continue
		}
		f, err := l.cfg.Warehouse.Freshness(ctx, c)
		if err != nil || f.Batch < last.First {
			return false, err
		}
	}
	return true, nil
}

func (l *Loader) become(role, holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.role != role || l.holder != holder {
		if role != Starting {
			l.looked.Store(true) // who loads looks
		}
		l.role, l.holder = role, holder
		l.wake()
	}
}

// WaitRole returns when this loader is active, or knows that another one is. It returns
// ctx's error, or the error that stopped Run.
func (l *Loader) WaitRole(ctx context.Context) (role string, err error) {
	return l.waitFor(ctx, func() bool { return l.role == Active || l.role == Standby })
}

func (l *Loader) waitFor(ctx context.Context, is func() bool) (role string, err error) {
	for {
		l.mu.Lock()
		changed, role, stopped, done := l.changed, l.role, l.stopped, is()
		l.mu.Unlock()
		switch {
		case done:
			return role, nil
		case stopped != nil:
			return Stopped, stopped
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return role, ctx.Err()
		}
	}
}

// term is one time in office: it waits for the lease, takes over and loads until ctx
// ends, or another loader takes over (errDeposed).
func (l *Loader) term(ctx context.Context) error {
	epoch, err := l.standBy(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return l.lease.keep(ctx) })
	group.Go(func() error {
		if err := l.alone(ctx, func() error { return l.takeOver(ctx, epoch) }); err != nil {
			return err
		}
		l.become(Active, l.lease.me)
		err := l.run(ctx)
		if err != nil && ctx.Err() == nil && l.ledger.overtaken(ctx) {
			return errDeposed // what looked wrong is what another loader did
		}
		return err
	})
	return group.Wait()
}

// standBy returns with the lease and its epoch.
func (l *Loader) standBy(ctx context.Context) (uint64, error) {
	var next time.Time // when the index is brought up again
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := l.look(ctx, false)
		if err == nil {
			_, newest := l.ledger.now()
			var epoch uint64
			epoch, err = l.lease.acquire(ctx, l.cfg.Journal.Conn().Embedded(), newest, func(holder string) {
				pause = minPause
				l.become(Standby, holder)
				if err := l.look(ctx, true); err != nil {
					l.say("journal", err)
					return
				}
				l.clear("journal")
				if began := time.Now(); began.After(next) {
					// What cannot be had now is had when it takes over. At most a tenth of the time.
					if err := l.followIndex(ctx); err != nil && ctx.Err() == nil {
						l.say("lake", err)
					} else {
						l.clear("lake")
					}
					next = time.Now().Add(max(5*time.Second, 9*time.Since(began)))
				}
			})
			if err == nil {
				l.clear("journal")
				return epoch, nil
			}
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if k := problem.KindOf(err); k != problem.Unavailable && k != problem.Busy {
			return 0, err
		}
		l.say("journal", err)
		if err := sleep(ctx, pause); err != nil {
			return 0, err
		}
	}
}

// hold returns when the lease is held, with errDeposed when it is another's.
func (l *Loader) hold(ctx context.Context) error {
	for {
		held, err := l.lease.held()
		if err != nil {
			return err
		}
		if held {
			l.clear("lease")
			return nil
		}
		l.say("lease", errors.New("the lease could not be renewed: nothing is written until the journal's server answers"))
		if err := sleep(ctx, l.lease.ttl/32); err != nil {
			return err
		}
	}
}

// takeOver makes this loader the only one that writes, and brings everything to where
// the ledger says it is.
func (l *Loader) takeOver(ctx context.Context, epoch uint64) error {
	l.become(Starting, l.lease.me)
	err := l.patiently(ctx, "journal", func() error {
		if err := l.look(ctx, false); err != nil {
			return err
		}
		err := l.ledger.reign(ctx, reign{Epoch: epoch, Holder: l.lease.me})
		if errors.Is(err, errDeposed) {
			// The one before wrote once more. From this epoch's record on it cannot.
			return errors.New("the loader before is still writing")
		}
		if err != nil && problem.KindOf(err) == problem.Conflict {
			return fatal{errDeposed} // somebody of a later epoch took over already
		}
		return err
	})
	if err != nil {
		return err
	}
	err = l.patiently(ctx, "warehouse", func() error {
		if err := l.cfg.Warehouse.Claim(ctx, epoch); err != nil {
			if problem.KindOf(err) == problem.Conflict {
				return fatal{err}
			}
			return err
		}
		if l.cfg.Migrate == nil {
			return nil
		}
		err := l.cfg.Migrate(ctx)
		if k := problem.KindOf(err); err != nil && k != problem.Unavailable && k != problem.Busy {
			return fatal{err}
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := l.resumeRotation(ctx); err != nil {
		return err
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	l.again.Store(l.due())
	if err := l.patiently(ctx, "warehouse", func() error { return l.readRetired(ctx) }); err != nil {
		return err
	}
	if err := l.checkPredecessor(ctx); err != nil {
		return err
	}
	loaded, _ := l.ledger.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.rolled, l.read, l.flights = loaded, loaded, loaded, nil
	l.running = true
	clear(l.tallies)
	return nil
}

// month is a month of receipt.
func month(cut reference.Day) string { return cut.Time().Format("2006-01") }

// checkPredecessor holds the newest plan's rows against the ledger, and looks for rows of
// plans that the ledger does not know.
func (l *Loader) checkPredecessor(ctx context.Context) error {
	loaded, _ := l.ledger.now()
	last, begun := l.ledger.newest()
	if begun != nil {
		loaded = begun.Last
	}
	return l.patiently(ctx, "warehouse", func() error {
		for _, c := range l.cfg.Set.All() {
			if last != nil && last.Rows[c.Type] > 0 {
				have, err := l.cfg.Warehouse.BatchRows(ctx, c, last.Cut, last.First)
				if err != nil {
					return err
				}
				if have != last.Rows[c.Type] {
					if err := l.repair(ctx, c, last.Cut); err != nil {
						return err
					}
				}
			}
			newest, cut, err := l.cfg.Warehouse.Newest(ctx, c, loaded)
			if err != nil {
				return err
			}
			if newest == 0 {
				continue
			}
			files, err := l.cfg.Lake.Files(ctx)
			if err != nil {
				return err
			}
			if i := slices.IndexFunc(files, func(f lake.File) bool { return f.First > loaded }); i >= 0 {
				return fatal{problem.New(problem.Conflict, "the ledger ends at message %d, and the lake has %s: the journal's server was set back; restore it, or rebuild", loaded, files[i].Name)}
			}
			if err := l.repair(ctx, c, cut); err != nil {
				return err
			}
		}
		return nil
	})
}

// tally is how many rows the facts of a contract have in a month, as this loader knows it.
type tally struct {
	month string
	rows  uint64
}

// undisturbed finds rows that somebody else put into the facts of a contract since this
// loader's last insert there, and undoes them.
func (l *Loader) undisturbed(ctx context.Context, c *contract.Contract, cut reference.Day) error {
	if !l.cfg.Warehouse.Shared() {
		return nil
	}
	have, err := l.cfg.Warehouse.MonthRows(ctx, c, cut)
	if err != nil {
		return err
	}
	if t, known := l.tallies[c]; known && t.month == month(cut) && t.rows != have {
		l.log.Warn("loader: the facts are not as this loader left them", "contract", c.Type, "rows", have, "want", t.rows)
		if err := l.repair(ctx, c, cut); err != nil {
			return err
		}
		if have, err = l.cfg.Warehouse.MonthRows(ctx, c, cut); err != nil {
			return err
		}
	}
	l.tallies[c] = tally{month(cut), have}
	return nil
}

// repair holds the facts of a contract in the month of cut against the ledger, batch by
// batch. A batch that no plan knows is removed; one that has more or fewer rows than its
// plan is removed and put in again from the lake. Then the rollups of the month are filled
// anew. It is said in the log and in Status.
func (l *Loader) repair(ctx context.Context, c *contract.Contract, cut reference.Day) error {
	have := map[uint64]uint64{}
	lowest := ^uint64(0)
	if err := l.cfg.Warehouse.Batches(ctx, c, cut, func(batch, rows uint64) error {
		have[batch], lowest = rows, min(lowest, batch)
		return nil
	}); err != nil {
		return err
	}
	last, begun := l.ledger.newest()
	if last != nil && month(last.Cut) == month(cut) {
		lowest = min(lowest, last.First)
	}
	var wrong []*done
	if err := l.ledger.plans(ctx, lowest, ^uint64(0), func(d *done, _ time.Time, _ []byte) error {
		if month(d.Cut) == month(cut) {
			if have[d.First] != d.Rows[c.Type] {
				wrong = append(wrong, d)
			}
			delete(have, d.First)
		}
		return nil
	}); err != nil {
		return err
	}
	if begun != nil {
		delete(have, begun.First) // asked for when it is carried out
	}
	for batch := range have {
		wrong = append(wrong, &done{First: batch, Last: batch, Cut: cut})
	}
	if len(wrong) == 0 {
		return nil
	}
	for _, d := range wrong {
		l.log.Error("loader: rows of the warehouse are undone: they are not those of their plan", "contract", c.Type, "batch", d.First, "want", d.Rows[c.Type])
		var rows io.Reader
		if d.Rows[c.Type] > 0 {
			var err error
			if rows, err = l.fromLake(ctx, c, d); err != nil {
				return err
			}
		}
		if err := deposed(l.cfg.Warehouse.ReplaceBatch(ctx, c, d.Cut, d.First, rows)); err != nil {
			return err
		}
	}
	return l.putRight(ctx, c, cut, len(wrong))
}

// putRight fills the rollups of a month anew after batches were put right.
func (l *Loader) putRight(ctx context.Context, c *contract.Contract, cut reference.Day, batches int) error {
	l.rolling.Lock()
	defer l.rolling.Unlock()
	if err := deposed(l.cfg.Warehouse.Refill(ctx, c, cut)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repaired += uint64(batches)
	return nil
}

// deposed makes the warehouse's refusal of a loader whose epoch is over the end of its term.
func deposed(err error) error {
	if err != nil && problem.KindOf(err) == problem.Conflict {
		return fatal{errDeposed}
	}
	return err
}

// fromLake is the rows of a plan for the facts of a contract, as the lake has them.
func (l *Loader) fromLake(ctx context.Context, c *contract.Contract, d *done) (*bytes.Buffer, error) {
	files, err := l.cfg.Lake.Files(ctx)
	if err != nil {
		return nil, err
	}
	t := newTable(c)
	for _, f := range files {
		if f.Contract != c.Type || f.Last < d.First || f.First > d.Last {
			continue
		}
		if err := l.cfg.Lake.Read(ctx, f, c, func(rec arrow.Record) error {
			column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) } // the lake's schema has them
			batch, sign, seq := column(lake.ColumnBatch).(*array.Uint64), column(lake.ColumnSign).(*array.Int8), column(lake.ColumnSeq).(*array.Uint64)
			if err := t.match(rec.Schema()); err != nil {
				return err
			}
			for i := range int(rec.NumRows()) {
				if batch.Value(i) == d.First && sign.Value(i) != 0 {
					t.add(rec, i, i+1, sign.Value(i), seq.Value(i))
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if uint64(t.rows()) != d.Rows[c.Type] {
		return nil, fatal{problem.New(problem.Internal, "the lake has %d rows of %s from messages %d to %d, the ledger says %d", t.rows(), c.Type, d.First, d.Last, d.Rows[c.Type])}
	}
	stream := new(bytes.Buffer)
	if err := facts(stream, t.record(d.Cut, d.First, false)); err != nil {
		return nil, fatal{err}
	}
	return stream, nil
}

// token names the rows of a contract in a plan to the warehouse.
func token(c *contract.Contract, first, last uint64) string {
	return fmt.Sprintf("%s %d-%d", c.Type, first, last)
}
