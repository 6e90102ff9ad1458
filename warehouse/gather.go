package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ombor/internal/contract"
)

// Rollups of one contract that are dated by the same field are filled together where the
// dimensions of one hold those of another: the new facts are looked at once, gathered by the dimensions of all of
// them, and each rollup is summed from the gathered rows, which are some hundred times fewer. Whole numbers
// and decimals, logarithmic buckets and persons up to k add up to the same in any grouping.
//
// The gathered rows lie in a table in the engine's memory while they are needed. It holds the
// new facts only: a rollup cannot be summed from a larger one's own table, whose merges mix
// new rows with those before.

// families divides rollups into those that are filled together. A rollup goes to a larger one
// that has its dimensions: to one that others have joined already, else to that with the fewest dimensions. The
// dimension "source" is in none, and may join any, since a system hardly shares its rows with
// another's: it makes next to no rows more.
func families(rollups []*Rollup) [][]*Rollup {
	size := func(r *Rollup) int {
		if slices.Equal(r.Dims, []string{contract.ColumnSource}) {
			return 0
		}
		return len(r.Dims)
	}
	bySize := slices.Clone(rollups)
	slices.SortStableFunc(bySize, func(a, b *Rollup) int { return size(b) - size(a) })
	var all [][]*Rollup // the first of each has all dimensions, but for source
	for _, r := range bySize {
		best := -1
		for i, f := range all {
			if !covers(f[0], r) {
				continue
			}
			if best < 0 || min(len(f), 2) > min(len(all[best]), 2) || min(len(f), 2) == min(len(all[best]), 2) && len(f[0].Dims) < len(all[best][0].Dims) {
				best = i
			}
		}
		if best < 0 {
			all = append(all, []*Rollup{r})
		} else {
			all[best] = append(all[best], r)
		}
	}
	// The largest first: they are carried out two at a time.
	slices.SortStableFunc(all, func(a, b []*Rollup) int { return len(b) - len(a) })
	return all
}

// covers says whether rows gathered for one rollup do for another.
func covers(large, small *Rollup) bool {
	return large.At == small.At && large.Hourly == small.Hourly && !slices.ContainsFunc(small.Dims, func(d string) bool {
		return d != contract.ColumnSource && !slices.Contains(large.Dims, d)
	})
}

// gathered is the table of a family's gathered rows: all dimensions, all measures.
func gathered(family []*Rollup) *Rollup {
	g := *family[0]
	g.Name += "__gathered"
	g.Dims, g.measures = slices.Clone(g.Dims), slices.Clone(g.measures)
	for _, r := range family[1:] {
		for _, d := range r.Dims {
			if !slices.Contains(g.Dims, d) {
				g.Dims = append(g.Dims, d)
			}
		}
		for _, m := range r.measures {
			if _, ok := g.has(m.column); !ok {
				g.measures = append(g.measures, m)
			}
		}
	}
	return &g
}

// applyFamily fills rollups of one family from the facts that a condition takes, looking at them
// once. Each rollup gets its rows whole or not at all.
func (w *Warehouse) applyFamily(ctx context.Context, family []*Rollup, where string) error {
	g := gathered(family)
	table := w.twin(g.Name)
	var columns []string
	for _, c := range g.columns() {
		columns = append(columns, name(c.name)+" "+c.kind)
	}
	set, unless := w.own(wholeBlock)
	drop := "DROP TABLE IF EXISTS " + table + " SYNC"
	statements := []string{drop, "CREATE TABLE " + table + " (" + strings.Join(columns, ", ") + ") ENGINE = Memory",
		"INSERT INTO " + table + " " + w.fill(g, where)}
	for _, r := range family {
		statements = append(statements, "INSERT INTO "+w.Table(r)+" "+w.sum(r, table, unless))
	}
	for _, statement := range append(statements, drop) {
		if err := w.exec(ctx, "warehouse: apply "+g.Name, set, statement); err != nil {
			return err
		}
	}
	return nil
}

// sum computes rows of the rollup from gathered rows.
func (w *Warehouse) sum(r *Rollup, table, where string) string {
	var columns, expressions []string
	for _, c := range r.columns() {
		columns, expressions = append(columns, c.name), append(expressions, w.summed(r, c))
	}
	return fmt.Sprintf("(%s)\nSELECT %s\nFROM %s\nWHERE %s\nGROUP BY %s", names(columns), strings.Join(expressions, ", "), table, where, names(r.key()))
}

// summed is a column of the rollup, added up by its key.
func (w *Warehouse) summed(r *Rollup, c column) string {
	switch {
	case slices.Contains(r.key(), c.name):
		return name(c.name)
	case strings.HasPrefix(c.kind, "AggregateFunction("):
		return fmt.Sprintf("uniqUpToMergeState(%d)(%s)", w.persons, name(c.name))
	case strings.HasPrefix(c.kind, "SimpleAggregateFunction(sumMap,"):
		return "sumMap(" + name(c.name) + ")"
	case strings.HasPrefix(c.kind, "SimpleAggregateFunction(max,"):
		return "max(" + name(c.name) + ")"
	}
	return "sum(" + name(c.name) + ")"
}
