package queries

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// countsPersons says whether the distinct values of a version are the persons of its cells.
func countsPersons(v *kpi.Version) bool { return v.Distinct != nil && v.Distinct.Of == v.Persons }

// counted compiles a question for distinct values over the counts that are kept, and over facts
// for the periods whose counts are not ready; nil when kept counts cannot answer it or
// none of them is ready.
func (q *Queries) counted(ctx context.Context, qn *question) (*statement, error) {
	v := qn.version
	if v.Distinct == nil || v.Match != nil || len(qn.sides) != 1 || qn.sides[0].At != contract.ColumnTime || qn.knownOn != reference.NoDay || qn.spans != nil ||
		v.Persons != "" && !countsPersons(v) {
		return nil, nil
	}
	d := q.warehouse.Distinct(qn.sides[0].contract, v.Distinct)
	if d == nil {
		return nil, nil
	}
	dimension := ""
	switch needed := qn.needed(); {
	case len(needed) > 1 || len(needed) == 1 && !slices.Contains(d.Dims, needed[0]):
		return nil, nil
	case len(needed) == 1:
		dimension = needed[0]
		if len(qn.by) == 0 && len(qn.where[0].values) > 1 {
			return nil, nil // who is in two of them counts once
		}
	}
	grain := qn.grain
	if grain == Whole { // one whole period, as checkDistinct made sure
		for _, g := range v.Distinct.Grains {
			if start := q.calendar.start(Grain(g), qn.from); start == qn.from && q.calendar.after(Grain(g), start)-1 == qn.to {
				grain = Grain(g)
			}
		}
	}
	if !slices.Contains(d.Grains, string(grain)) {
		return nil, nil
	}
	periods, err := q.warehouse.Counted(ctx, d, string(grain), qn.from, qn.to)
	if err != nil {
		return nil, err
	}
	var ready, anew []string
	kept := map[reference.Day]bool{}
	for _, p := range periods {
		if p.Ready && p.First >= qn.from && p.Last <= qn.to { // all of it was asked for
			kept[p.From] = true
			ready = append(ready, fmt.Sprintf("('%s',%d,%d)", p.From, p.Through, p.Rows))
		} else {
			anew = append(anew, p.From.String())
		}
	}
	if len(ready) == 0 {
		return nil, nil
	}
	s := &statement{params: bind{}, table: q.warehouse.DistinctTable(d), settled: countsPersons(v),
		why: fmt.Sprintf("counts of each %s are kept while nothing touches it", grain)}
	if dimension != "" {
		s.why = fmt.Sprintf("counts of each %s by %s are kept while nothing touches it", grain, dimension)
	}
	s.params["grain"], s.params["dimension"], s.params["ready"] = string(grain), dimension, "["+strings.Join(ready, ",")+"]"
	parts := append(q.grouping(qn, "period", "", func(string) string { return "value" }), part{colNumerator, "Numerator", "toString(max(n))", "sum"}, part{colN, "Cases", "max(cases)", "sum"},
		part{colRetracted, "Retracted", "max(retracted)", "sum"}, part{colSimulated, "Simulated", "max(simulated)", "sum"})
	if s.settled {
		parts = append(parts, part{colPersons, "Persons", "max(n)", "sum"})
	}
	conditions := append([]string{"grain = {grain:String}", "dimension = {dimension:String}", "(period, through, rows) IN {ready:Array(Tuple(Date, UInt64, Int64))}"},
		qn.filters(s.params, func(string) string { return "value" })...)
	from := s.table + whereSQL(conditions)
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
	}
	if len(anew) == 0 {
		s.parts, s.from = parts, from
		s.sql = selectSQL(parts, from)
	} else {
		s.params["anew"], s.facts, s.ready = array(anew), true, kept
		s.why += fmt.Sprintf("; %d of %d are counted anew", len(anew), len(periods))
		facts, factsFrom := q.overFacts(qn, 0, s.params, q.periodSQL(grain, "_day")+" IN CAST({anew:Array(String)}, 'Array(Date)')")
		s.sql = "SELECT *\nFROM (\n" + selectSQL(parts, from) + "\nUNION ALL\n" + selectSQL(facts, factsFrom) + "\n)"
	}
	s.sql += orderSQL(parts) + fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s, nil
}
