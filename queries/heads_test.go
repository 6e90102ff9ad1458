package queries_test

import (
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestWhoIsCounted: a cell is of those whom its figure counts, and not of those whom it takes away; where persons themselves
// are counted it is of as many as are counted, and so is the step from one level to the next.
func TestWhoIsCounted(t *testing.T) {
	f := country(t)
	add := func(id string, unit kpi.Unit, v kpi.Version) {
		v.Version, v.Valid, v.Source, v.Basis, v.From, v.Rollups = 1, always, reference.Names{"en": "the tests"}, kpi.Events, []string{"request.decided"}, [][]string{{"region"}}
		f.kpis = append(f.kpis, &kpi.KPI{ID: id, Title: reference.Names{"en": id}, About: reference.Names{"en": id}, Group: "portal", Owner: "ministry", Unit: unit, Direction: kpi.Up, Versions: []kpi.Version{v}, File: id + ".yaml"})
	}
	made := part(t, "request.decided", "count()", "submitted_at")
	made.Terms = append(made.Terms, part(t, "request.decided", "-countIf(processing = 'offline')", "time").Terms...)
	add("on-time", kpi.Percent, kpi.Version{Numerator: part(t, "request.decided", "countIf(processing = 'automatic')", "time"), Denominator: made, Persons: "applicant"})
	add("net", kpi.Count, kpi.Version{Numerator: formula(t, "count() - countIf(processing = 'offline')"), Persons: "applicant"})
	add("refunds", kpi.Count, kpi.Version{Numerator: formula(t, "sumIf(fee, processing = 'automatic') - sumIf(fee, processing = 'offline')"), Persons: "applicant"})
	add("accounts", kpi.Count, kpi.Version{Numerator: formula(t, "countIf(processing = 'automatic') - countIf(processing = 'offline')"), Running: true, OfPersons: true})

	w := warehousetest.Reopen(t, warehousetest.Prefix(), f.set, f.kpis)
	q := queries.New(w, f.kpis, f.refs, queries.Options{K: 5, Now: func() time.Time { return now }})
	var rows []warehousetest.Row
	row := func(month time.Month, region, processing string, n int) {
		for range n {
			at := time.Date(2024, month, 10, 12, 0, 0, 0, zone)
			rows = append(rows, warehousetest.Row{ID: uint64(len(rows) + 1), Seq: 1<<20 + uint64(len(rows)), Batch: 1, Time: at, Cut: day("2024-12-01"), Source: "portal",
				Data: map[string]any{"region": region, "processing": processing, "applicant": uint64(len(rows)), "submitted_at": at, "fee": 100}})
		}
	}
	row(time.January, "1703", "officer_online", 3)
	row(time.January, "1703", "automatic", 1)
	row(time.January, "1703", "offline", 3)         // seven persons, of whom three are taken away
	row(time.January, "1726", "officer_online", 60) // so many rows are worth finding out who is left
	row(time.January, "1726", "automatic", 1)
	row(time.January, "1726", "offline", 3)
	for month, n := range []int{12, 2, 9, 0, 3} {
		row(time.January+time.Month(month), "1730", "automatic", n)
	}
	warehousetest.Insert(t, w, f.decided, rows)

	for _, c := range []struct {
		kpi, region string
		want        queries.State
	}{
		{"on-time", "1703", queries.Suppressed}, {"on-time", "1726", queries.HasValue}, {"on-time", "1730", queries.HasValue},
		{"net", "1703", queries.Suppressed}, {"net", "1726", queries.HasValue},
		{"refunds", "1703", queries.Suppressed}, {"refunds", "1726", queries.Suppressed}, {"refunds", "1730", queries.HasValue},
	} {
		r := values(t, q, queries.Request{KPI: c.kpi, From: day("2024-01-01"), To: day("2024-01-31"), Where: map[string][]string{"region": {c.region}}})
		if got := r.Cells[0]; got.State != c.want {
			t.Errorf("%s of %s: %s, want %s", c.kpi, c.region, line(got), c.want)
		}
	}
	levels := values(t, q, queries.Request{KPI: "accounts", From: day("2024-01-01"), To: day("2024-05-31"), Grain: queries.Month, Where: map[string][]string{"region": {"1730"}}}).Cells
	want := []queries.State{queries.HasValue, queries.Suppressed, queries.HasValue, queries.HasValue, queries.Suppressed} // 12, 14, 23, 23, 26
	for i, c := range levels {
		if c.State != want[i] || c.Cases != nil {
			t.Errorf("accounts: %s, want %s", line(c), want[i])
		}
	}
	for region, want := range map[string]queries.State{"1703": queries.Suppressed, "1730": queries.HasValue} { // −2 and 12
		if c := values(t, q, queries.Request{KPI: "accounts", From: day("2024-01-01"), To: day("2024-01-31"), Where: map[string][]string{"region": {region}}}).Cells[0]; c.State != want {
			t.Errorf("accounts of %s: %s, want %s", region, line(c), want)
		}
	}
}
