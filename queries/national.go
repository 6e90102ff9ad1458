package queries

import (
	"context"
	"slices"

	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// National holds every cell against the whole beside it, in the same period: the same cell without
// the filters and the dimensions that they name, or, where there are none, without the dimensions.
const National Compare = "national"

// beside gives every cell its comparison with the whole. The whole is a table of its
// own, with its own mask.
func (q *Queries) beside(ctx context.Context, qn *question, src *sources, a *answer) error {
	whole := *qn
	whole.compare = NoComparison
	whole.by = slices.DeleteFunc(slices.Clone(qn.by), func(dimension string) bool {
		return len(qn.where) == 0 || qn.filtered(dimension) != nil // beside the one part that a filter leaves stands the whole, not that part
	})
	whole.where = nil
	if qn.version.Basis == kpi.Reported && qn.grain == Whole && qn.from == reference.NoDay && qn.to == reference.NoDay {
		whole.grain, whole.from, whole.to = Window, a.cells[0].From, a.cells[0].To // the latest window of the part may not be that of the whole
	}
	b, err := q.answer(ctx, &whole, src)
	if err != nil {
		return err
	}
	type spot struct{ period, by string }
	spotOf := func(c *Cell) spot {
		var values []string
		for _, d := range c.Dims {
			if slices.Contains(whole.by, d.Name) {
				values = append(values, d.Value)
			}
		}
		return spot{c.Period, join(values)}
	}
	index := map[spot]*Cell{}
	for i := range b.cells {
		index[spotOf(&b.cells[i])] = &b.cells[i]
	}
	for i := range a.cells {
		c := &a.cells[i]
		c.Comparison = comparison(c, c.Period, index[spotOf(c)])
	}
	return nil
}
