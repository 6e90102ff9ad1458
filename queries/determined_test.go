package queries_test

import (
	"strings"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestWhatADimensionDetermines: a region of few persons is hidden beside another one of its agency, since who asks by
// agency would have it by subtraction; and the order of dimensions in a question changes no mask.
func TestWhatADimensionDetermines(t *testing.T) {
	f := country(t)
	w := warehousetest.Open(t, f.set, f.kpis)
	var issues problem.Issues
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_en,agency\n1703,Andijan,east\n1726,Tashkent city,west\n1730,Fergana,east\n"), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	plain := queries.New(w, f.kpis, f.refs, queries.Options{K: 10, Now: func() time.Time { return now }})
	told := queries.New(w, f.kpis, reference.NewSet(&reference.Calendar{Zone: zone}, regions), queries.Options{K: 10, Now: func() time.Time { return now }})
	var rows []warehousetest.Row
	for _, of := range []struct {
		region, agency string
		persons        int
	}{{"1703", "east", 3}, {"1730", "east", 40}, {"1726", "west", 15}} {
		for n := range of.persons {
			rows = append(rows, warehousetest.Row{ID: uint64(len(rows) + 1), Batch: 1, Source: "portal", Time: time.Date(2024, 3, 1+n%28, 9, 0, 0, 0, time.UTC), Data: map[string]any{
				"region": of.region, "agency": of.agency, "processing": "automatic", "mobile": true, "applicant": uint64(len(rows) + 1),
				"submitted_at": time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC)}})
		}
	}
	warehousetest.Insert(t, w, f.decided, rows)
	hidden := func(q *queries.Queries, by ...string) string {
		var list []string
		for _, c := range values(t, q, queries.Request{KPI: "guarded-share", From: day("2024-03-01"), To: day("2024-03-31"), By: by}).Cells {
			if c.State == queries.Suppressed {
				for _, d := range c.Dims {
					if d.Name == "region" {
						list = append(list, d.Value)
					}
				}
			}
		}
		return strings.Join(list, " ")
	}
	if got := hidden(plain, "region"); got != "1703 1726" {
		t.Fatalf("without the table %q is hidden: the smallest beside Andijan is Tashkent city", got)
	}
	for _, by := range [][]string{{"region"}, {"region", "agency"}, {"agency", "region"}} {
		if got := hidden(told, by...); got != "1703 1730" {
			t.Errorf("by %v %q is hidden, want the other region of the agency", by, got)
		}
	}
	if got := hidden(told, "agency"); got != "" {
		t.Errorf("by agency something is hidden: %q", got)
	}
}

// TestMonthsOfAQuarter: a month of few persons is hidden beside another one of its quarter, since the same question by
// quarter tells their sum.
func TestMonthsOfAQuarter(t *testing.T) {
	f := country(t)
	w := warehousetest.Open(t, f.set, f.kpis)
	q := queries.New(w, f.kpis, f.refs, queries.Options{K: 10, Now: func() time.Time { return now }})
	var rows []warehousetest.Row
	for month, persons := range []int{40, 4, 50, 12, 60, 60} {
		for n := range persons {
			at := time.Date(2024, time.Month(month+1), 1+n%28, 9, 0, 0, 0, time.UTC)
			rows = append(rows, warehousetest.Row{ID: uint64(len(rows) + 1), Batch: 1, Source: "portal", Time: at, Cut: day("2024-07-01"), Data: map[string]any{
				"region": "1703", "agency": "east", "processing": "automatic", "mobile": true, "applicant": uint64(len(rows) + 1), "submitted_at": at}})
		}
	}
	warehousetest.Insert(t, w, f.decided, rows)
	for _, c := range []struct {
		grain queries.Grain
		want  string
	}{{queries.Month, "2024-01 2024-02"}, {queries.Quarter, ""}} {
		var hidden []string
		for _, cell := range values(t, q, queries.Request{KPI: "guarded-share", From: day("2024-01-01"), To: day("2024-06-30"), Grain: c.grain}).Cells {
			if cell.State == queries.Suppressed {
				hidden = append(hidden, cell.Period)
			}
		}
		if got := strings.Join(hidden, " "); got != c.want {
			t.Errorf("by %s %q is hidden, want %q", c.grain, got, c.want)
		}
	}
}
