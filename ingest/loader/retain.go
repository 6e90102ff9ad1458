package loader

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// errAgain ends a term of this loader for another: plans that were gathered meanwhile are
// decided anew.
var errAgain = errors.New("facts were retired: what is on its way is decided anew")

// Retain removes the facts that contracts keep no longer, whole months of receipt, counted from
// the day now; the figures in rollups stay, and so does the lake. With dry nothing is removed. It
// returns the months. A month that the newest plan belongs to stays. It may be ended and
// repeated at any moment. Loading waits meanwhile, which is for a second or so.
//
// A correction of an event of such a month that comes afterwards is accepted, and changes
// no figure: there is nothing that it could take back.
func (l *Loader) Retain(ctx context.Context, now time.Time, dry bool) ([]warehouse.Retired, error) {
	months := []warehouse.Retired{}
	err := l.Quiet(ctx, func() error {
		if s := l.Status(); s.Role != Active {
			return problem.New(problem.Conflict, "this server does not load (%s): retain where the loader is at work", s.Role)
		}
		last, _ := l.ledger.newest()
		if last == nil {
			return nil
		}
		found, err := l.cfg.Warehouse.Expired(ctx, reference.DayOf(now.In(l.cfg.Set.Zone())), last.Cut)
		if err != nil || dry {
			months = append(months, found...)
			return err
		}
		if len(found) > 0 { // of periods that were touched since they were counted
			if _, err := l.cfg.Warehouse.CountDistinct(ctx); err != nil {
				return err
			}
		}
		for _, m := range found {
			if err := l.hold(ctx); err != nil {
				return err
			}
			l.again.Store(true) // also when it fails half way
			if err := l.cfg.Warehouse.Retire(ctx, m); err != nil {
				return err
			}
			l.log.Info("loader: facts are not kept any longer", "contract", m.Contract, "received", m.Month, "rows", m.Rows)
			months = append(months, m)
		}
		return nil
	})
	return months, err
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
