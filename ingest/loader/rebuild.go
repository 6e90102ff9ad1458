package loader

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/warehouse"
	"ombor/warehouse/lake"
)

// Rebuilt is what a rebuild did.
type Rebuilt struct {
	Through uint64  `json:"through"` // message up to which the warehouse was made from the lake
	Files   int     `json:"files"`
	Rows    uint64  `json:"rows"`
	Seconds float64 `json:"seconds"`
}

// Rebuild makes the warehouse from the lake: facts, then rollups, and the figures that were kept of
// months without rows. Every file is read and held
// against its manifest first, so that nothing is dropped that could not be made again; a
// damaged lake is an Internal error, and nothing has changed then. While it runs, no
// plan is carried out, the journal goes on accepting, and [Loader.Rebuilding] says how
// far it is. ctx ends it as long as nothing is dropped; from then on lasting does, and what fails is tried
// again: loading could not go on with half of the facts. The next start of a loader goes on
// where it was. It is for the loader that is at work: Conflict elsewhere.
func (l *Loader) Rebuild(ctx, lasting context.Context, progress func(stage string, done float64, rows uint64)) (*Rebuilt, error) {
	var out *Rebuilt
	err := l.Quiet(ctx, func() error {
		if s := l.Status(); s.Role != Active {
			return problem.New(problem.Conflict, "this server does not load (%s): rebuild where the loader is at work", s.Role)
		}
		var err error
		out, err = l.rebuild(ctx, lasting, progress)
		return err
	})
	return out, err
}

// Rebuilding says whether the warehouse is being made from the lake, which is when its
// figures are not to be shown, and in words how far that is. A loader that starts says so,
// too, until it has looked whether a rebuild was interrupted.
func (l *Loader) Rebuilding() (words string, rebuilding bool) {
	if s := l.rebuilding.Load(); s != nil {
		return *s, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.role == Starting && !l.looked.Load() {
		return "the server is starting", true
	}
	return "", false
}

// WasRebuilt is what the rebuild did that this loader began with by itself; nil when
// the warehouse was there.
func (l *Loader) WasRebuilt() *Rebuilt { return l.rebuilt.Load() }

// resumeRebuild makes the warehouse from the lake when a rebuild was interrupted, or when it
// has no facts at all although events were loaded.
func (l *Loader) resumeRebuild(ctx context.Context) error {
	err := l.patiently(ctx, "rebuild", func() error {
		begun, _, err := l.cfg.Warehouse.Rebuilding(ctx)
		if err != nil {
			return err
		}
		if !begun {
			empty, err := l.cfg.Warehouse.Empty(ctx)
			if err != nil {
				return err
			}
			if !empty {
				return l.completeFigures(ctx)
			}
			files, err := l.loadedFiles(ctx)
			if err != nil {
				return err
			}
			kept, err := l.cfg.Lake.Figures(ctx)
			if err != nil || len(kept) == 0 && !slices.ContainsFunc(files, func(f lake.File) bool { return f.Facts > 0 }) {
				return err
			}
			l.log.Warn("loader: the warehouse is empty and the lake is not; making it from the lake")
		}
		out, err := l.rebuild(ctx, ctx, nil)
		if k := problem.KindOf(err); err != nil && ctx.Err() == nil && (k == problem.Internal || k == problem.Conflict || k == problem.NotFound) {
			if begun { // what is there is not to be shown
				words := "the warehouse is not whole, and cannot be made from the lake: " + err.Error()
				l.rebuilding.Store(&words)
			}
			return fatal{err}
		}
		if err == nil {
			l.rebuilt.Store(out)
		}
		return err
	})
	if err == nil {
		l.looked.Store(true)
	}
	return err
}

// completeFigures gives tables that were made at this start what the lake keeps for them. Where it
// cannot be read, their answers of those days stay "not kept", which is no reason not to load.
func (l *Loader) completeFigures(ctx context.Context) error {
	err := l.putFigures(ctx)
	if k := problem.KindOf(err); err != nil && (k == problem.Internal || k == problem.NotFound) {
		l.log.Error("loader: figures that the lake keeps cannot be put back", "err", err)
		return nil
	}
	return err
}

// loadedFiles are the lake's files of the plans that are done.
func (l *Loader) loadedFiles(ctx context.Context) ([]lake.File, error) {
	files, err := l.cfg.Lake.Files(ctx)
	loaded, _ := l.ledger.now()
	return slices.DeleteFunc(files, func(f lake.File) bool { return f.Last > loaded }), err
}

// rowsAtOnce is how many rows an insert has at least, when there are more.
const rowsAtOnce = 128 << 10

func (l *Loader) rebuild(ctx, lasting context.Context, progress func(string, float64, uint64)) (*Rebuilt, error) {
	began := time.Now()
	if progress == nil {
		progress = func(string, float64, uint64) {}
	}
	say := func(stage string, done, all uint64) {
		share := float64(done) / float64(max(all, 1))
		words := fmt.Sprintf("the warehouse is being made from the lake: %s, %.0f %%", stage, 100*share)
		l.rebuilding.Store(&words)
		progress(stage, share, done)
	}
	begun, dropped, err := l.cfg.Warehouse.Rebuilding(ctx)
	if err != nil {
		return nil, err
	}
	files, err := l.loadedFiles(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := l.cfg.Lake.Figures(ctx)
	if err != nil {
		return nil, err
	}
	loaded, _ := l.ledger.now()
	out := &Rebuilt{Through: loaded, Files: len(files)}
	var all, facts uint64
	figures := map[monthOf]bool{} // months of which the lake may still have rows, and figures are taken
	var months []warehouse.Retired
	for _, f := range kept {
		if l.cfg.Set.ByType(f.Contract) == nil {
			return nil, problem.New(problem.Conflict, "the lake has figures of %s, which this pack does not know; rebuild with the pack that accepted the events", f.Contract)
		}
		figures[monthOf{f.Contract, f.Month}] = true
		months = append(months, retiredOf(f))
	}
	stored := func(f lake.File) bool { return f.Facts > 0 && !figures[monthOf{f.Contract, f.Month()}] }
	for _, f := range files {
		if l.cfg.Set.ByType(f.Contract) == nil {
			return nil, problem.New(problem.Conflict, "the lake has events of type %s, which this pack does not know; rebuild with the pack that accepted them", f.Contract)
		}
		all += f.Rows
		if stored(f) {
			facts += f.Facts
		}
	}
	if !begun || !dropped {
		var read uint64
		for _, f := range files {
			if err := l.cfg.Lake.Verify(ctx, f, l.cfg.Set.ByType(f.Contract), func(rec arrow.Record) error {
				read += uint64(rec.NumRows())
				progress("reading the lake", float64(read)/float64(max(all, 1)), read)
				return nil
			}); err != nil {
				return nil, err
			}
		}
		for _, f := range kept {
			for _, file := range f.Files {
				if _, err := l.cfg.Lake.FigureObject(ctx, file); err != nil {
					return nil, err
				}
			}
		}
	}
	// From here on figures are kept back until all is there.
	say("facts", 0, facts)
	err = l.patiently(lasting, "rebuild", func() error {
		begun, dropped, err := l.cfg.Warehouse.Rebuilding(lasting)
		if err != nil {
			return err
		}
		failpoint("rebuild begins")
		if !begun || !dropped {
			if err := l.cfg.Warehouse.BeginRebuild(lasting, months); err != nil {
				return err
			}
		}
		out.Rows = 0
		for _, c := range l.cfg.Set.All() {
			var own []lake.File
			for _, f := range files {
				if f.Contract == c.Type && stored(f) {
					own = append(own, f)
				}
			}
			if err := l.refill(lasting, c, own, func(rows uint64) {
				out.Rows += rows
				say("facts", out.Rows, facts)
			}); err != nil {
				return err
			}
		}
		failpoint("facts rebuilt")
		say("rollups", facts, facts)
		return l.cfg.Warehouse.EndRebuild(lasting, l.putFigures)
	})
	if err != nil {
		return nil, err
	}
	clear(l.tallies)
	l.again.Store(true) // what was retired is there again
	l.rebuilding.Store(nil)
	out.Seconds = time.Since(began).Seconds()
	l.log.Info("loader: the warehouse was made from the lake", "rows", out.Rows, "took", time.Since(began).Round(time.Millisecond))
	return out, nil
}

// refill puts the rows of a contract's files into its facts, but for those that an
// interrupted rebuild has put there already.
func (l *Loader) refill(ctx context.Context, c *contract.Contract, files []lake.File, passed func(rows uint64)) error {
	have := make([]uint64, len(files))
	if err := l.cfg.Warehouse.BatchSums(ctx, c, ^uint64(0), false, func(b warehouse.BatchSum) error {
		if at := slices.IndexFunc(files, func(f lake.File) bool { return f.First <= b.Batch && b.Batch <= f.Last }); at >= 0 {
			have[at] += b.Rows
		}
		return nil
	}); err != nil {
		return err
	}
	var pending []arrow.Record
	rows, month := 0, ""
	flush := func() error {
		if rows == 0 {
			return nil
		}
		rec, err := join(pending)
		for _, part := range pending {
			part.Release()
		}
		if err != nil {
			return problem.Wrap(err, problem.Internal, "loader: rebuild", "the rows of %s cannot be put together", c.Type)
		}
		var stream bytes.Buffer
		if err := facts(&stream, rec); err != nil {
			return problem.Wrap(err, problem.Internal, "loader: rebuild", "the rows of %s cannot be written", c.Type)
		}
		if err := l.cfg.Warehouse.InsertFacts(ctx, c, &stream); err != nil {
			return err
		}
		passed(uint64(rows))
		pending, rows = nil, 0
		failpoint("rows rebuilt")
		return nil
	}
	for i, f := range files {
		if have[i] == f.Facts {
			passed(f.Facts)
			continue
		}
		if have[i] > 0 { // a large file goes in in several inserts
			if err := l.cfg.Warehouse.DeleteBatches(ctx, c, f.First, f.Last); err != nil {
				return err
			}
		}
		if f.Cut[:len("2006-01")] != month { // an insert is of one month
			if err := flush(); err != nil {
				return err
			}
			month = f.Cut[:len("2006-01")]
		}
		if err := l.cfg.Lake.Read(ctx, f, c, func(rec arrow.Record) error {
			sign := named[*array.Int8](rec, lake.ColumnSign).Int8Values()
			for start := 0; start < len(sign); { // runs of rows that the warehouse stores
				end := start
				for end < len(sign) && sign[end] != 0 {
					end++
				}
				if end > start {
					pending = append(pending, rec.NewSlice(int64(start), int64(end)))
					rows += end - start
				}
				start = end + 1
			}
			if rows < rowsAtOnce {
				return nil
			}
			return flush()
		}); err != nil {
			return err
		}
	}
	return flush()
}

// join is the rows of records of one layout as one record.
func join(records []arrow.Record) (arrow.Record, error) {
	if len(records) == 1 {
		return records[0].NewSlice(0, records[0].NumRows()), nil
	}
	columns := make([]arrow.Array, records[0].NumCols())
	var rows int64
	for _, rec := range records {
		rows += rec.NumRows()
	}
	for i := range columns {
		parts := make([]arrow.Array, len(records))
		for k, rec := range records {
			parts[k] = rec.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
			return nil, err
		}
	}
	return array.NewRecord(records[0].Schema(), columns, rows), nil
}
