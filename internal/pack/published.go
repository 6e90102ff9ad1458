package pack

import (
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
)

// publish settles the tables of a version that people outside may see: its own, or those
// of the pack that it can answer. contracts are those that it reads.
func (r *reader) publish(v *kpi.Version, own [][]string, contracts map[string]*contract.Contract, bad func(string, string, ...any)) {
	special := false
	wide := func(dimension string) bool { // a region: the least place for which special figures are told
		for _, c := range contracts {
			if f := c.Field(dimension); f == nil || f.Type != contract.Ref || f.To != "regions" {
				return false
			}
		}
		return true
	}
	for _, c := range contracts {
		special = special || c.Special()
	}
	tooFine := func(set []string) bool {
		return special && (len(set) > 1 || slices.ContainsFunc(set, func(d string) bool { return !wide(d) }))
	}
	declared := own
	if own == nil {
		for _, set := range r.declared.Published {
			if v.Declares(set) && !tooFine(set) {
				declared = append(declared, set)
			}
		}
	}
	if len(declared) == 0 && own == nil && !special {
		return
	}
	tables := [][]string{{}}
	for i, set := range declared {
		switch at := index("published", i); {
		case own != nil && !v.Declares(set):
			bad(at, "none of the rollups has the dimensions %s", strings.Join(set, ", "))
		case own != nil && tooFine(set):
			bad(at, "a contract with fields of class special is published by regions at the most")
		case len(set) > 0:
			sorted := slices.Clone(set)
			tables = append(tables, sorted)
		}
	}
	slices.SortStableFunc(tables, func(a, b []string) int { return len(a) - len(b) })
	tables = slices.CompactFunc(tables, func(a, b []string) bool { return len(a) == len(b) && len(a) == 0 })
	if !acyclic(tables) {
		bad("published", "the tables hang together in a circle, so that more could be computed from them than from each; leave one out, or publish the table of all their dimensions")
	}
	v.Published = tables
}

// acyclic says whether tables can be joined one after the other, each along dimensions
// that one table before has together (Beeri, Fagin, Maier, Yannakakis: On the desirability
// of acyclic database schemes, 1983): figures that agree where two tables meet then come
// from some table of all dimensions, and tell no more of each other than their totals.
func acyclic(tables [][]string) bool {
	left := make([][]string, len(tables))
	for i, t := range tables {
		left[i] = slices.Clone(t)
	}
	for again := true; again; {
		again = false
		for i := range left { // a dimension of one table only tells nothing of the others
			left[i] = slices.DeleteFunc(left[i], func(d string) bool {
				alone := true
				for j := range left {
					alone = alone && (j == i || !slices.Contains(left[j], d))
				}
				again = again || alone
				return alone
			})
		}
		for i := range left { // a table within another is one of its totals
			if slices.ContainsFunc(left, func(other []string) bool {
				return len(other) > len(left[i]) && !slices.ContainsFunc(left[i], func(d string) bool { return !slices.Contains(other, d) })
			}) || i > 0 && slices.ContainsFunc(left[:i], func(other []string) bool {
				return len(other) == len(left[i]) && !slices.ContainsFunc(left[i], func(d string) bool { return !slices.Contains(other, d) })
			}) {
				left = slices.Delete(left, i, i+1)
				again = true
				break
			}
		}
	}
	return len(left) <= 1
}
