package queries_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestDistinct holds kept counts against a plain reading of the ledger: before anything was
// counted, after it, while new rows, corrections and withdrawals have touched some periods,
// and after those were counted anew. Under a condition only rows that meet it count.
func TestDistinct(t *testing.T) {
	for name, c := range map[string]struct {
		condition string
		meets     func(warehousetest.Row) bool
	}{
		"all": {"", func(warehousetest.Row) bool { return true }},
		"condition": {"processing != 'automatic' AND toHour(time) >= 12", func(r warehousetest.Row) bool {
			return text(r, "processing") != "automatic" && r.Time.In(zone).Hour() >= 12
		}},
	} {
		t.Run(name, func(t *testing.T) { distinct(t, c.condition, c.meets) })
	}
}

func distinct(t *testing.T, condition string, meets func(warehousetest.Row) bool) {
	f := country(t)
	for _, k := range f.kpis {
		if k.ID == "applicants" {
			k.Versions[0].Rollups, k.Versions[0].Persons = [][]string{{"region"}, {"processing"}}, "applicant"
			k.Versions[0].Distinct.If = condition
		}
	}
	prefix := warehousetest.Prefix()
	w := warehousetest.Reopen(t, prefix, f.set, f.kpis)
	q := queries.New(w, f.kpis, f.refs, queries.Options{K: 5, Now: func() time.Time { return now }})
	ctx := context.Background()
	all := pooled(decidedRows(900, 5))
	last := all[len(all)-1].Batch
	var first, rest []warehousetest.Row // what was received in the last month touches earlier ones, too
	for _, r := range all {
		if r.Batch < last {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	ask := func(rows []warehousetest.Row, kept string, r queries.Request) {
		t.Helper()
		r.KPI, r.Plan = "applicants", true
		result := values(t, q, r)
		if table := result.Plan.Table; strings.Contains(table, "__distinct__") != (kept != "") || !strings.Contains(result.Plan.Why, kept) {
			t.Errorf("%+v: read from %s: %s", r, table, result.Plan.Why)
		}
		live := standing(rows, r.KnownOn)
		for _, c := range result.Cells {
			var in []warehousetest.Row
			for _, row := range live {
				keep := meets(row) && row.Day(zone) >= c.From && row.Day(zone) <= c.To
				for _, d := range c.Dims {
					keep = keep && text(row, d.Name) == d.Value
				}
				for name, values := range r.Where {
					keep = keep && len(values) > 0 && (text(row, name) == values[0] || len(values) > 1 && text(row, name) == values[1])
				}
				if keep {
					in = append(in, row)
				}
			}
			want, _, _ := plain("applicants", in)
			if c.State == queries.Suppressed {
				if want >= 5 && len(c.Dims) == 0 && r.Grain == queries.Whole {
					t.Errorf("%+v %s: %v persons are hidden", r, c.Period, want)
				}
				continue
			}
			if want > 0 && want < 5 {
				t.Errorf("%+v %s: %v persons are shown", r, c.Period, want)
			}
			if have, _ := c.Numerator.Float(); have != want && !math.IsNaN(want) {
				t.Errorf("%+v %s %v: %v, by hand %v", r, c.Period, c.Dims, have, want)
			}
		}
	}
	year := queries.Request{From: day("2024-01-01"), To: day("2024-12-31")}
	months := queries.Request{From: day("2023-06-01"), To: day("2024-12-10"), Grain: queries.Month}
	regions, one, two := months, months, months
	regions.By = []string{"region"}
	one.Where = map[string][]string{"processing": {"offline"}}
	two.Where = map[string][]string{"processing": {"offline", "automatic"}}
	both, early, cut := months, months, months
	both.By = []string{"region", "processing"}
	early.KnownOn = day("2024-05-01")
	cut.From = day("2023-06-15")
	every := func(rows []warehousetest.Row, kept string) {
		t.Helper()
		for _, r := range []queries.Request{year, months, regions, one} {
			ask(rows, kept, r)
		}
		for _, r := range []queries.Request{two, both, early} { // kept counts do not tell these
			ask(rows, "", r)
		}
	}
	counted := func(want func(n int) bool, words string) {
		t.Helper()
		if n, err := w.CountDistinct(ctx); err != nil || !want(n) {
			t.Fatalf("%d periods were counted, not %s; %v", n, words, err)
		}
	}

	warehousetest.Insert(t, w, f.decided, first)
	every(first, "")
	counted(func(n int) bool { return n >= 16 }, "all of them")
	counted(func(n int) bool { return n == 0 }, "none")
	every(first, "kept")
	ask(first, "counted anew", cut) // half of the first month is another question

	warehousetest.Insert(t, w, f.decided, rest)
	ask(all, "counted anew", months)
	ask(all, "counted anew", regions)
	ask(all, "", year)
	counted(func(n int) bool { return n >= 2 && n <= 6 }, "those touched")
	every(all, "kept")

	// The repair of rollups changes nothing, and another definition is counted from the events
	// that are there.
	if err := w.Refill(ctx, f.decided, day("2024-05-01")); err != nil {
		t.Fatal(err)
	}
	counted(func(n int) bool { return n == 0 }, "none")
	for _, k := range f.kpis {
		if k.ID == "applicants" {
			k.Versions[0].Rollups = [][]string{{"agency"}}
		}
	}
	w = warehousetest.Reopen(t, prefix, f.set, f.kpis)
	q = queries.New(w, f.kpis, f.refs, queries.Options{K: 5, Now: func() time.Time { return now }})
	agencies := months
	agencies.By = []string{"agency"}
	ask(all, "", agencies)
	counted(func(n int) bool { return n >= 16 }, "all of them")
	ask(all, "kept", agencies)
}
