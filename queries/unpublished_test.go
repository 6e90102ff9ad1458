package queries_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/queries"
	"ombor/warehouse"
)

// TestUnpublished holds what stands beside the published figures against the answers of
// the API, and the two together in the analysts' view: each figure is there once.
func TestUnpublished(t *testing.T) {
	n := newTown(t)
	ctx := context.Background()
	if err := n.w.MigrateViews(ctx, n.pack.Reference); err != nil {
		t.Fatal(err)
	}
	n.today = day("2024-02-20")
	var events [][]byte
	for i := range 60 {
		on, region := "2024-01-10", []string{"north", "south"}[i%2]
		if i >= 40 {
			on = "2024-02-10"
		}
		if i >= 57 {
			region = "west" // three persons
		}
		events = append(events, townRequest{id: i, day: day(on), region: region, kind: "a", granted: i%4 == 0, person: i}.event())
	}
	events = append(events, []byte(`{"specversion":"1.0","type":"town.stay.v1","source":"ward","id":"s","time":"2024-02-05T10:00:00+05:00","data":{"person":"+998900000001","region":"north"}}`))
	n.send(t, 1, events...)
	n.send(t, 1, closed("desk", "request", day("2024-01-01"), day("2024-01-31"), 40))
	if n.publish(t) == 0 {
		t.Fatal("January is not published")
	}
	figures, err := n.q.Unpublished(ctx)
	if err != nil {
		t.Fatal(err)
	}
	hidden := 0
	for _, f := range figures {
		if f.KPI == "stays" || f.Grain == "month" && f.From == day("2024-01-01") || !f.Open {
			t.Errorf("not to be told: %+v", f)
		}
		r := queries.Request{KPI: f.KPI, Grain: queries.Grain(f.Grain), From: f.From, To: f.To, By: f.By}
		same := 0
		for _, c := range values(t, n.q, r).Cells {
			var key []string
			for _, d := range c.Dims {
				key = append(key, d.Value)
			}
			if strings.Join(key, "/") != strings.Join(f.Key, "/") {
				continue
			}
			same++
			if string(c.State) != f.State || string(c.Numerator) != f.Numerator || string(c.Denominator) != f.Denominator || (c.Value == nil) != (f.Value == nil) || c.Value != nil && *c.Value != *f.Value {
				t.Errorf("%+v is told as %s", f, line(c))
			}
		}
		if same != 1 {
			t.Errorf("%+v: %d such cells", f, same)
		}
		if f.State == "suppressed" {
			hidden++
		}
	}
	if hidden == 0 {
		t.Error("three persons are not hidden")
	}
	if err := n.w.ReplaceFigures(ctx, n.today, figures); err != nil {
		t.Fatal(err)
	}
	database := n.w.AnalystsDatabase()
	ask := func(sql string) string {
		t.Helper()
		var lines []string
		if err := n.w.Each(ctx, sql, nil, func(scan warehouse.Scan) error {
			var line string
			err := scan(&line)
			lines = append(lines, line)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	if twice := ask("SELECT concat(kpi, ' ', grain, ' ', toString(`from`), ' ', toString(key)) FROM " + database + ".kpi_values WHERE latest GROUP BY kpi, variant, version, grain, `from`, `by`, key HAVING count() > 1"); twice != "" {
		t.Errorf("told twice: %s", twice)
	}
	got := ask("SELECT concat(grain, ' ', toString(`from`), ' ', toString(number), ' ', toString(value), if(open, ' open', '')) FROM " + database + ".kpi_values WHERE latest AND kpi = 'granted-share' AND `by` = '' ORDER BY grain, `from`")
	if want := "month 2024-01-01 1 25\nmonth 2024-02-01 0 25 open\nquarter 2024-01-01 0 25 open\nyear 2024-01-01 0 25 open"; got != want {
		t.Errorf("the share:\n%s\nwant\n%s", got, want)
	}
	if got := ask("SELECT DISTINCT concat(toString(number), ' ', toString(known_on)) AS told FROM " + database + ".kpi_values ORDER BY told"); got != "0 2024-02-20\n1 2024-02-20" {
		t.Errorf("known: %s", got)
	}

	// Once all of the quarter is closed, published figures take the place of these.
	n.today = day("2025-01-20")
	for month := 2; month <= 12; month++ {
		from := day(fmt.Sprintf("2024-%02d-01", month))
		n.send(t, 1, closed("desk", "request", from, from+27, 0), closed("desk", "request", from+28, from+30, 0))
	}
	n.publish(t)
	if figures, err = n.q.Unpublished(ctx); err != nil || len(figures) != 0 {
		t.Errorf("when all is closed: %v %+v", err, figures)
	}

	// A figure whose formula has no value for some event holds no other, wherever it stands among them.
	bad := *n.pack.KPIs[0]
	bad.ID, bad.Versions = "a-share-of-nothing", slices.Clone(bad.Versions)
	bad.Versions[0].Numerator, bad.Versions[0].Rollups = formula(t, "sum(intDiv(1, took - took))"), nil
	all := queries.New(n.w, append([]*kpi.KPI{&bad}, n.pack.KPIs...), n.pack.Reference, queries.Options{K: n.pack.K, Now: func() time.Time { return n.today.Time() }})
	n.send(t, 1, townRequest{id: 99, day: day("2024-01-10"), region: "north", kind: "a", person: 99}.event())
	sent := 0
	err = all.Publish(ctx, "town.", func(_ context.Context, events [][]byte) error { sent += len(events); return nil })
	if sent == 0 || err == nil || !strings.Contains(err.Error(), bad.ID) || strings.Contains(err.Error(), "granted-share") {
		t.Errorf("published beside what has no value: %d figures, %v", sent, err)
	}
	n.today = day("2024-02-20")
	if figures, err = all.Unpublished(ctx); err != nil || len(figures) == 0 || slices.ContainsFunc(figures, func(f warehouse.Figure) bool { return f.KPI == bad.ID }) {
		t.Errorf("unpublished beside what has no value: %d figures, %v", len(figures), err)
	}
	if got := ask("SELECT DISTINCT toString(latest) FROM " + database + ".kpi_values WHERE number = 0"); got != "false" && got != "" {
		t.Errorf("what is published since is told twice: %s", got)
	}
}
