package loader

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/lake"
)

// errAgain ends a term of this loader for another: plans that were gathered meanwhile are
// decided anew.
var errAgain = errors.New("facts were retired: what is on its way is decided anew")

// Retained is what a retention did, or would do.
type Retained struct {
	Months []warehouse.Retired `json:"months"` // whose facts went from the warehouse
	Rows   uint64              `json:"rows"`   // of them
	Lake   []warehouse.Retired `json:"lake"`   // months whose rows went from the lake
	Files  int                 `json:"files"`  // of the lake, written anew
}

// Retain removes what contracts keep no longer, by whole months of receipt, counted from the day
// now: facts from the warehouse, and rows from the lake, which keeps their figures and ids. The
// figures in rollups stay. With dry nothing is removed. A month that the newest plan belongs
// to stays. It may be ended and repeated at any moment; what was interrupted is ended then. Loading
// waits while facts go and figures are kept, and not while files of the lake are written.
//
// A correction of an event of such a month that comes afterwards is accepted, and changes
// no figure: there is nothing that it could take back.
func (l *Loader) Retain(ctx context.Context, now time.Time, dry bool, progress func(stage string, done float64, count uint64)) (*Retained, error) {
	if progress == nil {
		progress = func(string, float64, uint64) {}
	}
	out := &Retained{Months: []warehouse.Retired{}, Lake: []warehouse.Retired{}}
	var old map[monthOf]*warehouse.Retired // of the lake, past their time
	var loaded uint64
	err := l.Quiet(ctx, func() error {
		s := l.Status()
		if s.Role != Active {
			return problem.New(problem.Conflict, "this server does not load (%s): retain where the loader is at work", s.Role)
		}
		last, _ := l.ledger.newest()
		if last == nil {
			return nil
		}
		loaded = s.Loaded
		today := reference.DayOf(now.In(l.cfg.Set.Zone()))
		found, err := l.cfg.Warehouse.Expired(ctx, today, last.Cut)
		if err != nil {
			return err
		}
		if old, err = l.oldInLake(ctx, today, last.Cut, found); err != nil {
			return err
		}
		if dry {
			out.Months = append(out.Months, found...)
			return nil
		}
		if len(found) > 0 || len(old) > 0 { // of periods that were touched since they were counted
			if _, err := l.cfg.Warehouse.CountDistinct(ctx); err != nil {
				return err
			}
		}
		for i, m := range found {
			progress("facts", float64(i)/float64(len(found)), out.Rows)
			if err := l.hold(ctx); err != nil {
				return err
			}
			l.again.Store(true) // also when it fails half way
			if err := l.cfg.Warehouse.Retire(ctx, m); err != nil {
				return err
			}
			l.log.Info("loader: facts are not kept any longer", "contract", m.Contract, "received", m.Month, "rows", m.Rows)
			out.Months = append(out.Months, m)
		}
		failpoint("facts retired")
		return l.keepFigures(ctx, old)
	})
	for _, m := range out.Months {
		out.Rows += m.Rows
	}
	if err != nil || len(old) == 0 {
		return out, err
	}
	for _, m := range old {
		out.Lake = append(out.Lake, *m)
	}
	slices.SortFunc(out.Lake, byMonth)
	takes := func(f lake.File) bool { return old[monthOf{f.Contract, f.Month()}] != nil }
	if dry {
		files, err := l.loadedFiles(ctx)
		for _, f := range files {
			if !f.Retired() && takes(f) {
				out.Files++
			}
		}
		return out, err
	}
	if err := l.hold(ctx); err != nil {
		return out, err
	}
	replaced, err := l.cfg.Lake.Retire(ctx, lake.Retirement{Contracts: l.cfg.Set, Through: loaded, Takes: takes,
		Progress: func(done, files int) { progress("lake", float64(done)/float64(max(files, 1)), uint64(done)) }})
	out.Files = replaced.Files
	return out, err
}

func byMonth(a, b warehouse.Retired) int {
	return cmp.Or(cmp.Compare(a.Contract, b.Contract), cmp.Compare(a.Month, b.Month))
}

// oldInLake lists the months of the lake's files with rows that are older than their contract
// says, and whose facts are gone or about to go (found): the lake keeps rows at least as long as the warehouse.
// Rows are those of the lake.
func (l *Loader) oldInLake(ctx context.Context, today, newest reference.Day, found []warehouse.Retired) (map[monthOf]*warehouse.Retired, error) {
	gone, err := l.cfg.Warehouse.Retired(ctx)
	if err != nil {
		return nil, err
	}
	files, err := l.loadedFiles(ctx)
	if err != nil {
		return nil, err
	}
	old := map[monthOf]*warehouse.Retired{}
	facts := map[monthOf]uint64{}
	for _, f := range files {
		c := l.cfg.Set.ByType(f.Contract)
		if c == nil || c.Retention.Lake == 0 || f.Retired() || f.Month() >= month(newest) {
			continue
		}
		if cut, err := reference.ParseDay(f.Cut); err != nil || !warehouse.Over(cut, c.Retention.Lake, today) {
			continue
		}
		key := monthOf{f.Contract, f.Month()}
		if old[key] == nil {
			old[key] = &warehouse.Retired{Contract: f.Contract, Month: f.Month()}
		}
		old[key].Rows += f.Rows
		facts[key] += f.Facts
	}
	maps.DeleteFunc(old, func(key monthOf, m *warehouse.Retired) bool {
		is := func(r warehouse.Retired) bool { return r.Contract == key.contract && r.Month == key.month }
		return facts[key] > 0 && !slices.ContainsFunc(gone, is) && !slices.ContainsFunc(found, is)
	})
	return old, nil
}

// keepFigures keeps in the lake what only the rows of these months could give, unless that was done.
func (l *Loader) keepFigures(ctx context.Context, old map[monthOf]*warehouse.Retired) error {
	if len(old) == 0 {
		return nil
	}
	kept, err := l.cfg.Lake.Figures(ctx)
	if err != nil {
		return err
	}
	gone, err := l.cfg.Warehouse.Retired(ctx)
	if err != nil {
		return err
	}
	for _, r := range gone {
		if old[monthOf{r.Contract, r.Month}] == nil {
			continue
		}
		if err := l.hold(ctx); err != nil {
			return err
		}
		if !slices.ContainsFunc(kept, func(f lake.Figures) bool { return f.Contract == r.Contract && f.Month == r.Month }) {
			if err := l.cfg.Lake.KeepFigures(ctx, l.figuresOf(r), func(put func(lake.FigureFile, []byte) error) error {
				return l.cfg.Warehouse.Figures(ctx, r, func(f warehouse.Figures) error {
					return put(lake.FigureFile{Table: f.Table, Columns: f.Columns, Cases: f.Cases}, f.Parquet)
				})
			}); err != nil {
				return err
			}
			l.log.Info("loader: the lake keeps figures, and rows no longer", "contract", r.Contract, "received", r.Month)
		}
		failpoint("figures kept")
		if err := l.cfg.Warehouse.NoteKept(ctx, r); err != nil {
			return err
		}
	}
	failpoint("figures noted")
	return nil
}

// figuresOf is the document of a month, and retiredOf what it says.
func (l *Loader) figuresOf(r warehouse.Retired) lake.Figures {
	f := lake.Figures{Contract: r.Contract, Table: l.cfg.Set.ByType(r.Contract).Table(), Month: r.Month, Rows: r.Rows, Through: r.Through}
	for _, d := range r.Days {
		f.Days = append(f.Days, lake.DatedDays{By: d.By, First: d.First, Last: d.Last})
	}
	return f
}

func retiredOf(f lake.Figures) warehouse.Retired {
	r := warehouse.Retired{Contract: f.Contract, Month: f.Month, Rows: f.Rows, Through: f.Through}
	for _, d := range f.Days {
		r.Days = append(r.Days, warehouse.DatedDays{By: d.By, First: d.First, Last: d.Last})
	}
	return r
}

// putFigures gives tables of the warehouse that were made anew the figures that the lake keeps.
func (l *Loader) putFigures(ctx context.Context) error {
	lacking, err := l.cfg.Warehouse.Lacking(ctx)
	if err != nil || len(lacking) == 0 {
		return err
	}
	kept, err := l.cfg.Lake.Figures(ctx)
	if err != nil {
		return err
	}
	for _, m := range lacking {
		at := slices.IndexFunc(kept, func(f lake.Figures) bool { return f.Contract == m.Contract && f.Month == m.Month })
		if at < 0 {
			return problem.New(problem.NotFound, "the lake has no figures of %s, received in %s", m.Contract, m.Month)
		}
		if err := l.hold(ctx); err != nil {
			return err
		}
		if err := l.putTable(ctx, kept[at], m.Table); err != nil {
			return err
		}
		failpoint("figures put")
	}
	return nil
}

// putTable puts what was kept of a month into one table; nothing, when it was not there then.
func (l *Loader) putTable(ctx context.Context, f lake.Figures, table string) error {
	put := warehouse.Figures{Table: table}
	if at := slices.IndexFunc(f.Files, func(file lake.FigureFile) bool { return file.Table == table }); at >= 0 {
		data, err := l.cfg.Lake.FigureObject(ctx, f.Files[at])
		if err != nil {
			return err
		}
		put.Columns, put.Parquet = f.Files[at].Columns, data
	}
	return l.cfg.Warehouse.PutFigures(ctx, retiredOf(f), put)
}

// readRetired tells the index which facts are gone. An event may have come under an earlier
// major version of its contract. A plan that a crash interrupted is decided as it was then; when
// more is gone now, this loader begins again after it.
func (l *Loader) readRetired(ctx context.Context) error {
	months, err := l.cfg.Warehouse.Retired(ctx)
	if err != nil {
		return err
	}
	gone := map[string]uint64{}
	for _, m := range months {
		of := l.cfg.Set.ByType(m.Contract)
		for _, c := range l.cfg.Set.All() {
			if of != nil && c.Name == of.Name {
				gone[c.Type] = max(gone[c.Type], m.Through)
			}
		}
	}
	l.index.gone = gone
	if _, begun := l.ledger.newest(); begun != nil && !maps.Equal(begun.Gone, gone) {
		l.index.gone = begun.Gone
		l.again.Store(true)
	}
	return nil
}

// without says whether an event, of which these revisions are known, came first in a month whose
// facts are gone.
func (x *index) without(eventType string, known []entry) bool {
	through := x.gone[eventType]
	return through > 0 && slices.ContainsFunc(known, func(e entry) bool { return e.seq>>rowBits <= through })
}
