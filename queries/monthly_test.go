package queries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestKeptMonths holds answers with kept months against the same read by day, which is how the question
// of what was known on a day is answered: after months were kept, while new rows have touched
// some months, after those were kept anew, and after a person was replaced.
func TestKeptMonths(t *testing.T) {
	f := country(t)
	wide := []string{"region", "processing", "agency"}
	f.kpis = slices.DeleteFunc(f.kpis, func(k *kpi.KPI) bool { return !slices.Contains([]string{"guarded-share", "fees", "duration"}, k.ID) })
	for _, k := range f.kpis {
		k.Versions[0].Rollups = [][]string{wide}
		if k.ID == "duration" { // with buckets two dimensions are wide
			k.Versions[0].Rollups = append(k.Versions[0].Rollups, wide[:2])
		}
	}
	w := warehousetest.Open(t, f.set, f.kpis)
	ctx := context.Background()
	all := pooled(decidedRows(1500, 11))
	last := all[len(all)-1].Batch
	var first, rest []warehousetest.Row
	for _, r := range all {
		if r.Batch < last {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	warehousetest.Insert(t, w, f.decided, first)

	requests := []queries.Request{
		{From: day("2024-01-01"), To: day("2024-12-31"), By: wide},
		{From: day("2024-01-17"), To: day("2024-10-03"), By: wide},
		{From: day("2023-12-01"), To: day("2024-12-31"), By: wide, Grain: queries.Month},
		{From: day("2024-01-05"), To: day("2024-12-31"), By: wide[:1], Where: map[string][]string{"processing": {"offline", "automatic"}, "agency": {"justice"}}, Grain: queries.Fiscal},
		{From: day("2024-02-01"), To: day("2024-11-30"), By: wide, Grain: queries.Quarter},
		{From: day("2024-01-01"), To: day("2024-12-31"), By: wide[:2]},
	}
	ask := func(words string, kept func(string) bool) {
		t.Helper()
		q := queries.New(w, f.kpis, f.refs, queries.Options{K: 5, Now: func() time.Time { return now }})
		for _, k := range f.kpis {
			for i, r := range requests {
				r.KPI, r.Plan = k.ID, true
				have := values(t, q, r)
				r.KnownOn = reference.DayOf(now)
				want := values(t, q, r)
				a, err := json.Marshal(have.Cells)
				if err != nil {
					t.Fatal(err)
				}
				b, err := json.Marshal(want.Cells)
				if err != nil {
					t.Fatal(err)
				}
				if string(a) != string(b) {
					t.Errorf("%s: %s, request %d: the months say\n%s, the days\n%s", words, k.ID, i, a, b)
				}
				if !kept(have.Plan.Why) || strings.Contains(want.Plan.Why, "kept") {
					t.Errorf("%s: %s, request %d: %s; by day: %s", words, k.ID, i, have.Plan.Why, want.Plan.Why)
				}
			}
		}
	}
	keep := func(want func(n int) bool) {
		t.Helper()
		if n, err := w.KeepMonths(ctx); err != nil || !want(n) {
			t.Fatalf("%d months were kept: %v", n, err)
		}
	}
	none, some := func(n int) bool { return n == 0 }, func(n int) bool { return n > 0 }
	isKept := func(why string) bool { return strings.Contains(why, "kept added up") }

	keep(some)
	keep(none)
	ask("kept", isKept)
	warehousetest.Insert(t, w, f.decided, rest)
	ask("some are touched", func(string) bool { return true })
	keep(some)
	keep(none)
	ask("kept anew", isKept)

	// Kept months forget a person who is replaced, as the days do.
	r := w.Rollups(f.decided)[slices.IndexFunc(w.Rollups(f.decided), func(r *warehouse.Rollup) bool { return len(r.Dims) == len(wide) })]
	guarded := f.kpis[slices.IndexFunc(f.kpis, func(k *kpi.KPI) bool { return k.ID == "guarded-share" })].Versions[0]
	column, ok := w.PersonsColumn(r, &guarded, guarded.Sides()[0])
	if !ok {
		t.Fatal("the rollup counts no persons")
	}
	persons := func() (months, days uint64) {
		t.Helper()
		counted := func(table string) string {
			return fmt.Sprintf("(SELECT sum(n) FROM (SELECT uniqUpToMerge(%d)(%s) AS n FROM %s GROUP BY toStartOfMonth(_day), %s))", w.PersonsLimit(), column, table, strings.Join(r.Dims, ", "))
		}
		if err := w.Each(ctx, "SELECT "+counted(w.MonthsTable(r))+", "+counted(w.Table(r)), nil, func(scan warehouse.Scan) error { return scan(&months, &days) }); err != nil {
			t.Fatal(err)
		}
		return months, days
	}
	was, _ := persons()
	a, b := together(all)
	if n, err := w.ReplacePerson(ctx, f.decided, []string{"applicant"}, warehousetest.Hash(a), warehousetest.Hash(b)); err != nil || n == 0 || a == b {
		t.Fatalf("%d rows of %d are another's, %v", n, a, err)
	}
	if months, days := persons(); months != days || months >= was {
		t.Errorf("after two persons became one the months count %d of them, the days %d, before it were %d", months, days, was)
	}
	ask("a person was replaced", isKept)
}

// together are two persons of one month and cell.
func together(rows []warehousetest.Row) (a, b uint64) {
	seen := map[string]uint64{}
	for _, r := range standing(rows, 0) {
		person, ok := r.Data["applicant"].(uint64)
		cell := r.Time.In(zone).Format("2006-01") + text(r, "region") + text(r, "processing") + text(r, "agency")
		if other, there := seen[cell]; ok && there && other != person && text(r, "processing") == "automatic" {
			return person, other
		} else if ok {
			seen[cell] = person
		}
	}
	return 0, 0
}
