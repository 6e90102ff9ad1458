package queries

import (
	"context"
	"slices"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// NotKept is the reason of a cell that is not provided because it could only be told by facts that
// are not kept any longer (the retention of their contract). What rollups tell stays; one that was
// declared after the lake's rows went, too, tells nothing of their days.
const NotKept = "not_kept"

// withhold takes the figures out of the cells that were computed from facts some of which are
// not kept any longer, or from rollups that lack them: they would be told too small. A stock needs
// all facts up to its day.
func (q *Queries) withhold(ctx context.Context, qn *question, s *statement, a *answer) error {
	gone := slices.Clone(s.lacks)
	for _, side := range qn.sides {
		if !s.facts {
			break
		}
		days, err := q.warehouse.NotKept(ctx, side.contract, side.At)
		if err != nil {
			return err
		}
		gone = append(gone, days...)
	}
	for i := range a.cells {
		c := &a.cells[i]
		if s.ready[c.From] {
			continue
		}
		first := c.From
		if qn.version.Basis == kpi.Stock {
			first = reference.Day(-1 << 31)
		}
		if slices.ContainsFunc(gone, func(g warehouse.Gone) bool { return g.First <= c.To && first <= g.Last }) {
			c.Numerator, c.Denominator, c.Value, c.Cases, c.Quantiles = "", "", nil, nil, nil
			c.State, c.Reason = NotProvided, NotKept
		}
	}
	return nil
}
