// Package loader carries events from the journal into the warehouse and the lake,
// each exactly once.
//
// # The first-seen rule
//
// An event counts when its id was not seen before. The index ([ombor/ingest/loader],
// index.go) maps every id ever accepted to the sequence at which it was first seen, a
// digest of its content and its revision; it forgets nothing. The same id with the same
// content is a duplicate and is counted; with other content it is a conflict, kept in
// quarantine. What a row's decision depends on are the accepted rows before it, so
// the journal can be processed again from any point with the same result, and index and
// warehouse need no common commit.
//
// # Corrections
//
// The highest revision of an event stands, in whatever order revisions arrive. A row
// that replaces another adds two rows to the ledger: a copy of the old one with sign
// −1 and the new one with +1, both with the correction's own day of receipt. A
// withdrawal adds the −1 alone. Events whose sender said that other content corrects
// (_correct) are numbered here. A revision that comes after a higher one, and a
// withdrawal itself, are accepted without a row in the warehouse; the lake keeps them
// with sign 0. A correction that arrives before its root stands in for it.
//
// # Plans
//
// Messages are gathered into plans: small ones at once when little comes, so that an
// event is visible within a second, and up to MaxRows under load, so that inserts
// are few and large. All messages of a plan were received on one day, so that each
// insert is one part of one partition. While one plan is being carried out the
// next is being gathered; there are never more than two.
//
// A plan is carried out in this order, and a kill between any two steps is repaired
// at the next start:
//
//  1. index: the new ids are logged and synced. It may be ahead: a row's own entry does not count
//     when the row is decided again.
//  2. ledger: the plan is written down: first and last message, rows of each contract,
//     and the rows that it takes back, which cannot be asked for later.
//  3. warehouse: one insert for each contract. After an unknown outcome, or a crash, the table is
//     asked how many rows of the batch it has: all or none, since an insert is whole.
//  4. lake, at the same time: files and manifest, put if absent.
//  5. quarantine: conflicts and damage. Each has an id of its own, so that holding it
//     again after a crash changes nothing.
//  6. ledger: the plan is done, with the outcome of every part of every message.
//
// Rollups follow the facts beside this, of several plans at once when plans come quickly, and
// are at most a few plans behind. They know what has been applied to them: after a
// crash the rest is applied before the first plan. An event is loaded when facts, rollups
// and lake have it.
//
// Warehouse and lake may be away: the plan is tried again, with pauses of up to 15
// seconds, nothing more is read from the journal meanwhile, and Status says why.
//
// # One at work, others standing by
//
// Any number of loaders may run on one journal, warehouse and lake, each on a machine and in a
// folder of its own. One is at work; the others follow the ledger, and the lake for
// their index, and one of them takes over when the lease ends (lease.go) or is given back. It
// writes its epoch into the ledger, claims the warehouse, finishes the plan that was
// begun, and goes on.
//
// A loader that was stopped for however long, in the middle of whatever, and wakes as if nothing
// had happened changes nothing:
//
//   - Before each step it asks whether its lease still runs, on a clock that ran on meanwhile.
//   - The ledger refuses its records: they were to follow one that is not the last any
//     more. So it can begin no plan, and what it can still be writing is the plan that it had
//     begun, which its successor finds in the ledger and carries out with the same
//     messages and therefore the same rows.
//   - That plan's inserts carry a token, of which the second use has no effect; its
//     rollups read the epoch in the same statement and select nothing; its files in the lake have
//     the same names and are put if absent; its quarantine entries have the same ids.
//   - Before each insert the loader at work compares the number of rows in the month with what
//     it left there; when they differ, rows that are not of a plan are found and undone, and Status says so.
package loader

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/lake"
)

// Config of a loader. Journal, Warehouse, Lake, Set and Dir are required.
type Config struct {
	Journal   *journal.Journal
	Warehouse *warehouse.Warehouse // migrated
	Lake      *lake.Lake
	Set       *contract.Set
	Keys      *contract.Keys // nil: there are pseudonyms of the first version only
	Dir       string         // for the index; owned by this loader
	// Migrate brings the warehouse to what the pack asks for. It is called whenever this
	// loader takes over, when nobody else writes; nil when it was done before.
	Migrate  func(context.Context) error
	Interval time.Duration // between inserts when little comes; 0 is 1 s
	MaxRows  int           // events of a plan; 0 is 250,000
	MaxBytes int           // of a plan's messages; 0 is 32 MB
	Keep     time.Duration // how long the journal keeps what warehouse and lake hold; 0 is 72 h, negative for ever
	Recent   int           // ids in memory before they become a file of the index, 48 bytes each; 0 is 262,144
	Lease    time.Duration // how long a loader that is not heard of keeps the others waiting; 0 is 6 s
	Logger   *slog.Logger
}

// Loader is the one writer of warehouse and lake. Its methods but Run are safe for
// concurrent use.
type Loader struct {
	cfg    Config
	log    *slog.Logger
	lock   *os.File
	index  *index
	ledger *ledger
	lease  *lease
	spare  chan gathered // memory of the plan being carried out, when it needs it no longer: for the next
	turn   chan struct{} // taken by who writes: a plan being carried out, or Quiet

	rebuilding atomic.Pointer[string]  // how far the making of the warehouse from the lake is
	rebuilt    atomic.Pointer[Rebuilt] // what prepare did
	again      atomic.Bool             // plans were gathered before facts were retired, or keys rotated
	rotating   atomic.Bool             // keys are being rotated here
	looked     atomic.Bool             // whether prepare has looked for an interrupted rebuild

	tallies map[*contract.Contract]tally // rows of facts; of the goroutine that carries plans out
	rolling sync.Mutex                   // held by who writes rollups

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when loaded moves or the state changes
	role     string
	holder   string // of the lease, as far as it is known
	running  bool
	repaired uint64   // batches that were undone
	read     uint64   // last message taken into a plan
	done     uint64   // last message in facts and lake, and in the ledger
	rolled   uint64   // last message in rollups; 0 until it is known that nothing is missing
	flights  []flight // plans from the first that is not loaded to the one being gathered
	seen     uint64   // events read since the start, and their messages
	seenMsg  uint64
	trouble  string // what is wrong now, for people; "" when nothing is
	since    time.Time
	plans    uint64
	stopped  error // why Run ended
}

// flight is a plan on its way.
type flight struct {
	last     uint64 // message
	rows     uint64 // events, duplicates included
	received time.Time
}

// New opens the loader's index and ledger. Nothing is loaded until Run.
func New(cfg Config) (*Loader, error) {
	if cfg.Journal == nil || cfg.Warehouse == nil || cfg.Lake == nil || cfg.Set == nil || cfg.Dir == "" {
		return nil, problem.New(problem.Internal, "loader: journal, warehouse, lake, contracts and a folder are required")
	}
	if cfg.Interval == 0 {
		cfg.Interval = time.Second
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 250_000
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 32 << 20
	}
	if cfg.Keep == 0 {
		cfg.Keep = 72 * time.Hour
	}
	if cfg.Lease == 0 {
		cfg.Lease = 6 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	lock, err := claim(cfg.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l := &Loader{cfg: cfg, lock: lock, log: cfg.Logger, changed: make(chan struct{}), turn: make(chan struct{}, 1), spare: make(chan gathered, 1), role: Starting, tallies: map[*contract.Contract]tally{}}
	if l.ledger, err = openLedger(ctx, cfg.Journal); err == nil {
		if err = l.ledger.adopt(filepath.Join(cfg.Dir, "ledger")); err == nil {
			if l.lease, err = openLease(ctx, cfg.Journal, cfg.Dir, cfg.Lease); err == nil {
				l.index, err = openIndex(filepath.Join(cfg.Dir, "index"), cfg.Logger)
			}
		}
	}
	if err == nil {
		err = suits(cfg.Keys, l.ledger.pseudonyms())
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	if cfg.Recent > 0 {
		l.index.most = cfg.Recent
	}
	l.read, _ = l.ledger.now()
	l.done = l.read
	return l, nil
}

// Close closes the index; call it after Run has returned.
func (l *Loader) Close() error {
	return errors.Join(l.index.close(), l.lock.Close())
}

// claim makes the folder this loader's own until the file is closed or the process
// ends: two loaders on one index would each undo what the other knows.
func claim(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "loader: open", "the folder %s cannot be made", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "loader: open", "the folder %s cannot be written", dir)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, problem.Wrap(err, problem.Conflict, "loader: open", "another loader is at work in %s", dir)
	}
	return f, nil
}

// Quiet calls fn while no plan is being carried out: warehouse, rollups and lake then hold
// the same events, and stay as they are until fn returns. The journal goes on accepting.
func (l *Loader) Quiet(ctx context.Context, fn func() error) error {
	return l.alone(ctx, func() error {
		for {
			l.mu.Lock()
			behind, changed, stopped := l.running && l.rolled < l.done, l.changed, l.stopped
			l.mu.Unlock()
			if !behind || stopped != nil {
				return fn()
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// alone calls fn while no plan is being carried out. Rollups may be on their way.
func (l *Loader) alone(ctx context.Context, fn func() error) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.turn }()
	return fn()
}

// failpoint is called between the steps of a plan; tests put crashes there.
var failpoint = func(step string) {}

func (l *Loader) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	messages := make(chan journal.Message, 2)
	plans := make(chan *plan)      // to be carried out; unbuffered: accepted when the one before is done
	free := make(chan *plan, 2)    // to be filled
	idle := make(chan struct{}, 1) // a plan was carried out
	landed := make(chan landing, maxBehind)
	free <- newPlan()
	free <- newPlan().without()
	_, begun := l.ledger.newest()
	group.Go(func() error { return l.follow(ctx, messages) })
	group.Go(func() error { return l.gather(ctx, messages, plans, free, idle, begun) })
	group.Go(func() error {
		for {
			select {
			case p := <-plans:
				if err := l.alone(ctx, func() error {
					if begun == nil && l.again.Swap(false) {
						return errAgain
					}
					return l.carryOut(ctx, p, begun, landed)
				}); err != nil {
					return err
				}
				begun = nil
				p.reset()
				free <- p
				select {
				case idle <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	group.Go(func() error { return l.rollUp(ctx, landed) })
	group.Go(func() error { return l.purge(ctx) })
	return group.Wait()
}

// prepare makes rollups and index complete: an index that lags behind the ledger was lost,
// or is that of a standby, and is made from the lake.
func (l *Loader) prepare(ctx context.Context) error {
	if err := l.resumeRebuild(ctx); err != nil {
		return err
	}
	// Rollups follow facts: what a crash kept from them is applied before anything new.
	if err := l.patiently(ctx, "warehouse", func() error { return l.cfg.Warehouse.CatchUp(ctx) }); err != nil {
		return err
	}
	loaded, _ := l.ledger.now()
	if _, begun := l.ledger.newest(); loaded == 0 && begun == nil {
		// A new ledger must not begin on a lake that another one filled: it would load again
		// what the journal still has.
		return l.patiently(ctx, "lake", func() error {
			files, err := l.cfg.Lake.Files(ctx)
			if err == nil && len(files) > 0 {
				return fatal{problem.New(problem.Conflict, "the lake %s holds plans up to message %d, of which this journal's server knows nothing; use the journal that filled it, or restore that", l.cfg.Lake, files[len(files)-1].Last)}
			}
			return err
		})
	}
	err := l.patiently(ctx, "journal", func() error {
		st, err := l.cfg.Journal.Status(ctx)
		if err == nil && st.Last < loaded {
			return fatal{problem.New(problem.Conflict, "the journal ends at message %d, and message %d is loaded: it was cut short, or is another one; restore it", st.Last, loaded)}
		}
		return err
	})
	if err != nil || l.index.covers(loaded) {
		return err
	}
	l.log.Warn("loader: the first-seen index is not complete; making it from the lake", "loaded", loaded)
	return l.patiently(ctx, "lake", func() error { return l.followIndex(ctx) })
}

// followIndex brings the index up to the ledger, from the lake.
func (l *Loader) followIndex(ctx context.Context) error {
	loaded, _ := l.ledger.now()
	if l.index.covers(loaded) {
		return nil
	}
	files, err := l.cfg.Lake.Files(ctx)
	if err != nil {
		return err
	}
	byType := map[string]*contract.Contract{}
	for _, c := range l.cfg.Set.All() {
		byType[c.Type] = c
	}
	through := l.index.known()
	files = slices.DeleteFunc(slices.Clone(files), func(f lake.File) bool { return f.Last <= through })
	slices.SortStableFunc(files, func(a, b lake.File) int { return cmp.Compare(a.First, b.First) })
	for i, f := range files {
		c := byType[f.Contract]
		if c == nil {
			return fatal{problem.New(problem.Conflict, "the lake has events of type %s, which this pack does not know", f.Contract)}
		}
		var entries []entry
		if err := l.cfg.Lake.Read(ctx, f, c, func(rec arrow.Record) error {
			for _, e := range entriesOf(rec) {
				if e.seq>>rowBits > through {
					entries = append(entries, e)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for _, e := range entries {
			l.index.add(e)
		}
		covered := loaded
		if i+1 < len(files) { // all that begins before the next file has been read
			covered = min(loaded, files[i+1].First-1)
		}
		if err := l.index.log(entries, covered); err != nil {
			return err
		}
		if err := l.index.turn(); err != nil {
			return err
		}
	}
	return l.index.log(nil, loaded)
}

// entriesOf are the index entries of the lake's rows: those that were accepted.
func entriesOf(rec arrow.Record) []entry {
	column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) } // the lake's schema has them
	id := column(contract.ColumnID).(*array.FixedSizeBinary)
	digest := column(contract.ColumnDigest).(*array.Uint64)
	rev := column(contract.ColumnRev).(*array.Uint32)
	withdrawn := column(contract.ColumnWithdrawn).(*array.Boolean)
	sign := column(lake.ColumnSign).(*array.Int8)
	seq := column(lake.ColumnSeq).(*array.Uint64)
	var entries []entry
	for i := range int(rec.NumRows()) {
		if sign.Value(i) < 0 {
			continue
		}
		e := entry{id: [16]byte(id.Value(i)), seq: seq.Value(i), digest: digest.Value(i), rev: rev.Value(i)}
		if withdrawn.Value(i) {
			e.flags = flagWithdrawn
		}
		entries = append(entries, e)
	}
	return entries
}

// follow reads the journal into messages.
func (l *Loader) follow(ctx context.Context, messages chan<- journal.Message) error {
	loaded, _ := l.ledger.now()
	next := loaded + 1
	if loaded == 0 {
		next = 0
	}
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := l.cfg.Journal.Replay(ctx, next, func(m journal.Message) error {
			pause = minPause
			l.clear("journal")
			select {
			case messages <- m:
				next = m.Seq + 1
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if k := problem.KindOf(err); k != problem.Unavailable && k != problem.Busy {
			return err
		}
		l.say("journal", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// lull is how long no message comes when a load has ended, most likely: then a plan of many rows
// does not wait for its Interval.
const lull = 100 * time.Millisecond

// gather fills plans and hands them over when they are due and the one before is done.
func (l *Loader) gather(ctx context.Context, messages <-chan journal.Message, plans chan<- *plan, free <-chan *plan, idle <-chan struct{}, begun *planned) error {
	p := <-free
	// A day of receipt is never before that of an earlier message, whatever the clocks of the
	// doors said: then each plan has one, in one order, and it stands in the ledger.
	newest := reference.Day(math.MinInt32)
	if last, _ := l.ledger.newest(); last != nil {
		newest = last.Cut
	}
	dayOf := func(m journal.Message) reference.Day {
		return max(newest, reference.DayOf(m.Received.In(l.cfg.Set.Zone())))
	}
	var handed time.Time // when the last plan was handed over
	lulled := false      // no message has come for a while
	var waiting *journal.Message
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		// A plan that a crash interrupted must have the same messages as before.
		closed := !p.empty() && (p.rows >= l.cfg.MaxRows || p.bytes >= l.cfg.MaxBytes || len(p.held) >= 10_000 || waiting != nil)
		if begun != nil {
			closed = !p.empty() && p.last >= begun.Last
		}
		due := closed
		if !closed && !p.empty() && begun == nil {
			wait := time.Until(handed.Add(l.cfg.Interval))
			much := p.rows >= l.cfg.MaxRows/4
			if due = wait <= 0 || much && lulled; !due {
				if much {
					wait = min(wait, lull)
				}
				timer.Reset(wait)
			}
		}
		in, out := messages, plans
		if closed {
			in = nil
		}
		if !due || p.empty() {
			out = nil
		}
		select {
		case m := <-in:
			lulled = false
			cut := dayOf(m)
			if !p.empty() && cut != p.cut && begun == nil {
				waiting = &m
				continue
			}
			newest = cut
			if err := l.takeMessage(ctx, p, m, cut); err != nil {
				return err
			}
		case out <- p:
			handed, begun = time.Now(), nil
			if err := l.index.turn(); err != nil {
				return err
			}
			select {
			case p = <-free:
			case <-ctx.Done():
				return ctx.Err()
			}
			// The rows of the plan just handed over become records, and its entries are logged, within some
			// 60 ms: then its memory serves this one. Memory for both would be a sixth of all.
			select {
			case p.gathered = <-l.spare:
			case <-ctx.Done():
				return ctx.Err()
			}
			if waiting != nil {
				m := *waiting
				waiting = nil
				newest = dayOf(m)
				if err := l.takeMessage(ctx, p, m, newest); err != nil {
					return err
				}
			}
		case <-timer.C:
			lulled = true
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Loader) takeMessage(ctx context.Context, p *plan, m journal.Message, cut reference.Day) error {
	if err := l.advanceParts(ctx, &m); err != nil {
		return err
	}
	before := p.rows
	if err := p.take(m, cut, l.index); err != nil {
		return err
	}
	for _, d := range m.Damage {
		l.log.Error("loader: damage in the journal, set aside", "damage", d.String())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = m.Seq
	l.seen += uint64(p.rows - before)
	l.seenMsg++
	if p.first == m.Seq {
		l.flights = append(l.flights, flight{received: m.Received})
	}
	f := &l.flights[len(l.flights)-1]
	f.last, f.rows = m.Seq, f.rows+uint64(p.rows-before)
	return nil
}

// fatal marks an error that no later attempt can mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

const (
	minPause = 200 * time.Millisecond
	maxPause = 15 * time.Second
)

// patiently does a step until it succeeds, fails for good, or ctx ends. Before each
// attempt the lease must be held.
func (l *Loader) patiently(ctx context.Context, part string, step func() error) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if err := l.hold(ctx); err != nil {
			return err
		}
		err := step()
		if err == nil {
			l.clear(part)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var f fatal
		if errors.As(err, &f) {
			return f.error
		}
		l.say(part, err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// carryOut brings a plan into warehouse and lake, and tells landed as soon as its facts
// are in. begun is what the ledger knows of it when a crash interrupted it.
func (l *Loader) carryOut(ctx context.Context, p *plan, begun *planned, landed chan<- landing) error {
	starts := map[*contract.Contract]int{} // first row taken back from the warehouse
	if begun != nil {
		if begun.First != p.first || begun.Last != p.last || begun.Cut != p.cut {
			return problem.New(problem.Internal, "the plan of messages %d to %d was begun, and the journal now gives %d to %d", begun.First, begun.Last, p.first, p.last)
		}
		if err := l.restore(p, begun); err != nil {
			return err
		}
	} else if len(p.takeBack) > 0 {
		if err := l.patiently(ctx, "warehouse", func() error { return l.fetch(ctx, p, starts) }); err != nil {
			return err
		}
	}
	parts := make([]contract.Part, 0, len(p.order))
	inserts := make([]contract.Part, 0, len(p.order))
	note := &planned{First: p.first, Last: p.last, Cut: p.cut, Rows: map[string]uint64{}, Gone: l.index.gone}
	for _, c := range p.order {
		t := p.tables[c]
		if t.rows() == 0 {
			continue
		}
		rec := t.record(p.cut, p.first, false)
		parts = append(parts, contract.Part{Contract: c, Record: rec})
		if t.silent > 0 {
			rec = t.record(p.cut, p.first, true)
		}
		note.Rows[c.Type] = uint64(rec.NumRows())
		if rec.NumRows() > 0 {
			inserts = append(inserts, contract.Part{Contract: c, Record: rec})
		}
	}
	if begun != nil {
		for eventType, rows := range begun.Rows {
			if note.Rows[eventType] != rows {
				return problem.New(problem.Internal, "the plan of messages %d to %d had %d rows of %s when it was begun, and has %d now", p.first, p.last, rows, eventType, note.Rows[eventType])
			}
		}
	} else {
		var err error
		if note.Retracted, err = retracted(p, starts); err != nil {
			return problem.Wrap(err, problem.Internal, "loader: plan", "the rows taken back cannot be written down")
		}
	}

	failpoint("index")
	if err := l.patiently(ctx, "index", func() error { return l.index.log(p.entries, p.last) }); err != nil {
		return err
	}
	l.spare <- p.release()
	failpoint("plan")
	if err := l.patiently(ctx, "ledger", func() error { return l.ledger.begin(ctx, note) }); err != nil {
		return err
	}
	failpoint("begun")
	started := time.Now()
	var inserted, lakeDone time.Duration // each written by one goroutine
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		for _, part := range inserts {
			if err := l.insert(inner, p, part, begun != nil); err != nil {
				return err
			}
		}
		inserted = time.Since(started)
		failpoint("inserted")
		land := landing{first: p.first, last: p.last, cut: p.cut}
		for _, part := range inserts {
			land.contracts = append(land.contracts, part.Contract)
		}
		select { // waits when rollups are maxBehind plans behind
		case landed <- land:
			return nil
		case <-inner.Done():
			return inner.Err()
		}
	})
	group.Go(func() error {
		failpoint("before lake")
		err := l.patiently(inner, "lake", func() error {
			_, err := l.cfg.Lake.Write(inner, lake.Plan{First: p.first, Last: p.last, Cut: p.cut, Pseudonyms: l.ledger.pseudonyms().Pseudonyms}, parts)
			if err != nil && problem.KindOf(err) == problem.Conflict {
				return fatal{err}
			}
			return err
		})
		lakeDone = time.Since(started)
		failpoint("in the lake")
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if len(p.held) > 0 {
		if err := l.patiently(ctx, "quarantine", func() error { return l.cfg.Journal.Quarantine().Hold(ctx, p.held) }); err != nil {
			return err
		}
	}
	failpoint("held")
	end := &done{First: p.first, Last: p.last, Cut: p.cut, Rows: note.Rows}
	for key, o := range p.counts {
		end.Counts = append(end.Counts, Count{key.source, key.contract, *o})
	}
	if err := l.patiently(ctx, "ledger", func() error { return l.ledger.finish(ctx, end, p.outcomes) }); err != nil {
		return err
	}
	failpoint("done")
	l.log.Debug("loader: plan done", "first", p.first, "last", p.last, "events", p.rows, "gathering", started.Sub(p.began),
		"insert", inserted, "lake", lakeDone, "all", time.Since(started))
	l.arrive(func() { l.done = p.last })
	return nil
}

// landing is a plan whose facts are in the warehouse and whose rollups are not.
type landing struct {
	first, last uint64
	cut         reference.Day
	contracts   []*contract.Contract // of its facts
}

// maxBehind is by how many plans the rollups may be behind the facts, beside those that are
// being applied.
const maxBehind = 3

// maxLinger is how long facts may wait for others to be rolled up with them while so many
// come that a plan of MaxRows waits already: more than the machine can keep up with. While fewer come,
// rollups are brought up once in an Interval, for half of the time at most but every maxApart, and what
// nothing follows is rolled up at once. After a pause of maxLinger an Interval passes first when many
// come: a load has begun, and its first message by itself would cost a third of what a million events cost.
const (
	maxLinger = 6 * time.Second
	maxApart  = 3 * time.Second
)

// rollUp brings the rollups up to the facts, plan after plan. What has come in meanwhile
// is applied at one stroke: each application plans a statement and syncs a part for every rollup,
// which under load is a third of what rollups cost. They know themselves what they hold, so that a crash
// needs nothing but [warehouse.Warehouse.CatchUp].
func (l *Loader) rollUp(ctx context.Context, landed <-chan landing) error {
	type target struct {
		contract *contract.Contract
		month    time.Month
	}
	var began time.Time // the application before
	var took time.Duration
	linger := time.NewTimer(time.Hour)
	defer linger.Stop()
	for {
		var due []landing
		select {
		case p := <-landed:
			due = append(due, p)
		case <-ctx.Done():
			return ctx.Err()
		}
		first := time.Now()
		failpoint("before rollups")
		for more := true; more && len(due) <= maxBehind; {
			var wait time.Duration
			switch waiting, whole := l.waiting(due[len(due)-1].last); {
			case whole:
				wait = time.Until(first.Add(maxLinger))
			case waiting >= l.cfg.MaxRows/64 && first.Sub(began) > maxLinger:
				wait = time.Until(first.Add(l.cfg.Interval))
			case waiting > 0:
				wait = time.Until(began.Add(max(l.cfg.Interval, took+min(took, maxApart))))
			}
			linger.Reset(max(0, wait))
			select {
			case p := <-landed: // also when the wait is over
				due = append(due, p)
				continue
			default:
			}
			select {
			case p := <-landed:
				due = append(due, p)
			case <-linger.C:
				more = false
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		began = time.Now()
		upTo := map[target]landing{} // the newest of a contract and month of receipt
		for _, p := range due {
			for _, c := range p.contracts {
				upTo[target{c, p.cut.Time().Month()}] = p
			}
		}
		for t, p := range upTo {
			if err := l.patiently(ctx, "rollups", func() error {
				l.rolling.Lock()
				defer l.rolling.Unlock()
				return l.cfg.Warehouse.ApplyRollups(ctx, t.contract, p.cut, p.first)
			}); err != nil {
				return err
			}
		}
		failpoint("rolled up")
		took = time.Since(began)
		last := due[len(due)-1].last
		l.log.Debug("loader: rolled up", "last", last, "plans", len(due), "took", took)
		l.arrive(func() { l.rolled = last })
	}
}

// arrive moves a watermark, and tells everybody who waits when plans are loaded by that.
func (l *Loader) arrive(move func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	move()
	loaded := l.loaded()
	for len(l.flights) > 0 && l.flights[0].last <= loaded {
		l.flights = l.flights[1:]
		l.plans++
	}
	l.wake()
}

// waiting is how many events behind a message are read and not loaded, and whether a plan of
// MaxRows is among them.
func (l *Loader) waiting(message uint64) (rows int, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		if f.last > message {
			rows += int(f.rows)
			whole = whole || int(f.rows) >= l.cfg.MaxRows
		}
	}
	return rows, whole
}

// loaded is the last message in facts, rollups and lake. The caller holds l.mu.
func (l *Loader) loaded() uint64 { return min(l.done, l.rolled) }

// insert puts one contract's rows into the warehouse, once. With ask, or after an
// error, the table is asked first.
func (l *Loader) insert(ctx context.Context, p *plan, part contract.Part, ask bool) (err error) {
	failed, replaced := false, false
	want := uint64(part.Record.NumRows())
	return l.patiently(ctx, "warehouse", func() error {
		if ask {
			have, err := l.cfg.Warehouse.BatchRows(ctx, part.Contract, p.cut, p.first)
			if err != nil {
				return err
			}
			delete(l.tallies, part.Contract)
			if have != want && (have != 0 || replaced) {
				l.log.Error("loader: rows of the warehouse are undone: they are not those of their plan", "contract", part.Contract.Type, "batch", p.first, "rows", have, "want", want)
				replaced = true
				rows := streamed(part)
				defer rows.Close()
				if err := deposed(l.cfg.Warehouse.ReplaceBatch(ctx, part.Contract, p.cut, p.first, rows)); err != nil {
					return err
				}
				have = want
			}
			if have == want && replaced {
				return l.putRight(ctx, part.Contract, p.cut, 1)
			}
			if have == want {
				return nil
			}
		}
		if err := l.undisturbed(ctx, part.Contract, p.cut); err != nil {
			return err
		}
		ask = true
		rows := streamed(part)
		err := l.cfg.Warehouse.InsertBatch(ctx, part.Contract, token(part.Contract, p.first, p.last), rows)
		rows.Close()
		if failed = failed || err != nil; !failed {
			l.tallies[part.Contract] = tally{month(p.cut), l.tallies[part.Contract].rows + want}
		}
		return err
	})
}

// streamed is a part as the warehouse reads it, encoded while it is read. Close ends that.
func streamed(part contract.Part) *io.PipeReader {
	r, w := io.Pipe()
	go func() {
		err := facts(w, part.Record)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			err = fatal{problem.Wrap(err, problem.Internal, "loader: insert", "the rows of %s cannot be written", part.Contract.Type)}
		}
		_ = w.CloseWithError(err) // it never fails; without an error it is the end of the stream
	}()
	return r
}

// idsPerQuery keeps a statement that lists ids below ClickHouse's max_query_size, 256 KB.
const idsPerQuery = 2000

// fetch asks the warehouse for the rows that corrections take back and appends
// them with sign −1. starts gets the first such row of each table.
func (l *Loader) fetch(ctx context.Context, p *plan, starts map[*contract.Contract]int) error {
	for c, start := range starts { // an attempt before this one failed half way
		p.tables[c].cut(start)
		delete(starts, c)
	}
	type want struct {
		seq, old uint64
	}
	byID := map[[16]byte]want{}
	var own []*contract.Contract
	from := ^uint64(0)
	for _, b := range p.takeBack {
		byID[b.old.id] = want{b.seq, b.old.seq}
		from = min(from, b.old.seq)
		own = append(own, b.contract)
	}
	ask := append(own, l.cfg.Set.All()...) // the row may be of an earlier major version
	asked := map[*contract.Contract]bool{}
	for _, c := range ask {
		if asked[c] || len(byID) == 0 {
			continue
		}
		asked[c] = true
		take := func(rec arrow.Record) error {
			at := rec.Schema().FieldIndices(contract.ColumnID)
			seqAt := rec.Schema().FieldIndices(lake.ColumnSeq)
			if len(at) != 1 || len(seqAt) != 1 {
				return fatal{problem.New(problem.Internal, "the warehouse's rows have no _id or _seq: %s", rec.Schema())}
			}
			id, ok := rec.Column(at[0]).(*array.FixedSizeBinary)
			if !ok {
				return fatal{problem.New(problem.Internal, "the warehouse's _id is %s", rec.Schema().Field(at[0]).Type)}
			}
			for i := range int(rec.NumRows()) {
				key := [16]byte(id.Value(i))
				w, wanted := byID[key]
				seq, _ := integer(rec.Column(seqAt[0]), i)
				if !wanted || uint64(seq) != w.old {
					return fatal{problem.New(problem.Internal, "the warehouse gives row %d for id %x where row %d stands", seq, key, w.old)}
				}
				t := p.table(c)
				if _, ok := starts[c]; !ok {
					starts[c] = t.rows()
				}
				if err := t.take(rec, i, w.seq); err != nil {
					return fatal{problem.Wrap(err, problem.Internal, "loader: correction", "a row of %s cannot be taken back", c.Type)}
				}
				delete(byID, key)
			}
			return nil
		}
		ids := slices.SortedFunc(maps.Keys(byID), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
		for some := range slices.Chunk(ids, idsPerQuery) {
			rows, err := l.cfg.Warehouse.FactRows(ctx, c, some, from)
			if err == nil {
				err = readArrow(rows, take)
			}
			if err != nil {
				return err
			}
		}
	}
	for id, w := range byID {
		return fatal{problem.New(problem.Internal, "the warehouse does not have the row %d of id %x that row %d replaces (and %d more)", w.old, id, w.seq, len(byID)-1)}
	}
	return nil
}

// restore appends the rows taken back as the ledger holds them.
func (l *Loader) restore(p *plan, begun *planned) error {
	for eventType, data := range begun.Retracted {
		c := l.cfg.Set.ByType(eventType)
		if c == nil {
			return problem.New(problem.Conflict, "the ledger has events of type %s, which this pack does not know", eventType)
		}
		t := p.table(c)
		err := readArrow(io.NopCloser(bytes.NewReader(data)), func(rec arrow.Record) error {
			at := rec.Schema().FieldIndices(lake.ColumnSeq)
			if len(at) != 1 {
				return fmt.Errorf("no _seq in %s", rec.Schema())
			}
			for i := range int(rec.NumRows()) {
				seq, _ := integer(rec.Column(at[0]), i)
				if err := t.take(rec, i, uint64(seq)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return problem.Wrap(err, problem.Internal, "loader: ledger", "the rows that a plan takes back cannot be read")
		}
	}
	return nil
}

// cut removes the rows from start on.
func (t *table) cut(start int) {
	for _, c := range t.columns {
		c.cut(start)
	}
	t.sign, t.seq = t.sign[:start], t.seq[:start]
}

func readArrow(in io.ReadCloser, fn func(arrow.Record) error) error {
	defer in.Close()
	r, err := ipc.NewReader(in)
	if errors.Is(err, io.EOF) {
		return nil // no rows, and no schema either
	}
	if err != nil {
		return err
	}
	defer r.Release()
	for r.Next() {
		if err := fn(r.Record()); err != nil {
			return err
		}
	}
	return r.Err()
}

// purge removes from the journal what warehouse and lake have held for Keep.
func (l *Loader) purge(ctx context.Context) error {
	if l.cfg.Keep < 0 {
		return nil
	}
	tick := time.NewTicker(min(l.cfg.Keep, time.Hour))
	defer tick.Stop()
	for {
		// When a plan was done stands in the ledger, so that a restart forgets nothing.
		loaded, err := l.ledger.loadedBefore(ctx, time.Now().Add(-l.cfg.Keep))
		if err == nil && loaded > 0 {
			if err = l.hold(ctx); err == nil {
				err = l.cfg.Journal.Purge(ctx, loaded+1)
			}
		}
		if errors.Is(err, errDeposed) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			l.say("journal", err) // the next hour tries again
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
