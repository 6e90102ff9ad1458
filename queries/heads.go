package queries

import (
	"cmp"
	"math"
	"slices"

	"ombor/internal/kpi"
	"ombor/queries/disclosure"
)

// guarded is what disclosure has to know of a cell: its persons, or what is counted where that is
// persons themselves.
func (q *Queries) guarded(v *kpi.Version, s *sums) disclosure.Cell {
	if !v.OfPersons {
		return disclosure.Cell{Persons: q.enough(s.persons), Size: s.cases}
	}
	n := heads(v, s.numerator, s.denominator)
	return disclosure.Cell{Persons: q.enough(n), Size: int64(n)}
}

// heads is how many persons a figure of a version that counts persons is about: its denominator, or, where there
// is none, its numerator.
func heads(v *kpi.Version, numerator, denominator Number) int {
	if n := persons(denominator); v.Denominator != nil && n > 0 {
		return n
	}
	return persons(numerator)
}

// persons is a number of them. One below zero, of those who have left without having been counted before, is as
// many as have left.
func persons(n Number) int {
	f, _ := n.Float()
	return int(min(math.Ceil(math.Abs(f)), 1<<30))
}

// levels says whether figures of a version are numbers of persons as they are at the end of periods: they are not added up over
// time, and the change from one to the next is a number of persons, too.
func levels(v *kpi.Version) bool { return v.OfPersons && (v.Running || v.Basis == kpi.Stock) }

// hideLevels says which cells of levels are hidden, period by period. Those of one period are a table of their own. A cell is one
// of few persons, too, when fewer than k, but somebody, came or left since the last period in which it was not one.
func (q *Queries) hideLevels(cells []disclosure.Cell, values [][]string, sums []*sums) []bool {
	hidden := make([]bool, 0, len(cells))
	for j := range values {
		var last *level
		for i := j; i < len(cells); i += len(values) {
			last = q.step(&cells[i].Persons, last, sums[i].numerator, sums[i].denominator)
		}
	}
	for from := 0; from < len(cells); from += len(values) {
		table := cells[from : from+len(values)]
		for j := range table {
			table[j].Key = values[j]
		}
		hidden = append(hidden, disclosure.Inside(table, q.k)...)
	}
	return hidden
}

// level is what was told last of a level.
type level struct{ numerator, denominator float64 }

// step makes a level one of few persons where it gives a change of few away, and returns what is told after it.
func (q *Queries) step(of *int, last *level, numerator, denominator Number) *level {
	var now level
	now.numerator, _ = numerator.Float()
	now.denominator, _ = denominator.Float()
	if *of > 0 && *of < q.k {
		return last
	}
	if last != nil {
		for _, change := range []float64{now.numerator - last.numerator, now.denominator - last.denominator} {
			if n := math.Abs(change); n > 0 && n < float64(q.k) {
				*of = max(1, int(n))
				return last
			}
		}
	}
	return &now
}

// stepPublished is [Queries.step] over published periods, of each grain by itself. The spans are the periods, and after
// them the one before the first of each grain; cells and persons are of one span after the other.
func (q *Queries) stepPublished(v *kpi.Version, periods []publishedPeriod, spans []period, cells []Cell, persons []int) {
	tuples := len(cells) / max(1, len(spans))
	before := len(periods)
	for _, g := range q.publishedGrains(v) {
		var order []int
		for i, p := range periods {
			if p.grain == g {
				order = append(order, i)
			}
		}
		if len(order) == 0 {
			continue
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(spans[a].from, spans[b].from) })
		order = append([]int{before}, order...)
		before++
		for j := range tuples {
			var last *level
			for _, i := range order {
				at := i*tuples + j
				last = q.step(&persons[at], last, cells[at].Numerator, cells[at].Denominator)
			}
		}
	}
}
