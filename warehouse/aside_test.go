package warehouse_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestSetAside loads an event for which one formula has no value. Everything else goes on; the
// formula's own measure is set aside, in this process, in others, and over a restart, until
// the next migration finds that it has a value for every row.
func TestSetAside(t *testing.T) {
	ctx := context.Background()
	c := request()
	c.Retention.Warehouse = 1
	prefix := warehousetest.Prefix()
	wide := []string{"region", "outcome", "mobile"}
	kpis := func(bad string) []*kpi.KPI {
		return []*kpi.KPI{measure(t, "fees", "sum(fee)", []string{"region"}, wide), measure(t, "rate", bad, []string{"region"}, wide)}
	}
	const bad = "sum(intDiv(assumeNotNull(fee), assumeNotNull(took)))"
	set := setOf(t, c)
	w := warehousetest.Reopen(t, prefix, set, kpis(bad))
	batch := func(batch uint64, month time.Month, took int) []warehousetest.Row {
		list := rows(60, batch, time.Date(2024, month, 3, 0, 0, 0, 0, time.UTC))
		list[7].Data["took"] = took
		return list
	}
	// check holds every rollup's fees against facts, and the rate's where it is offered.
	check := func(what string, w *warehouse.Warehouse, formulaOfRate string, offered bool) {
		t.Helper()
		if differences, err := w.Verify(ctx); err != nil || len(differences) > 0 {
			t.Fatalf("%s: Verify: %v, %v", what, differences, err)
		}
		if _, err := w.KeepMonths(ctx); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.Rollups(c) {
			tables := []string{w.Table(r)}
			if len(r.Dims) == 3 {
				tables = append(tables, w.MonthsTable(r))
			}
			for _, f := range []string{"sum(fee)", formulaOfRate} {
				term := formula(t, f).Terms[0]
				column, ok := r.Column(term)
				if ok != (offered || f == "sum(fee)") {
					t.Errorf("%s: %s offers %s: %v", what, r.Name, f, ok)
				}
				for _, table := range tables {
					if got, want := sum(t, w, "SELECT sum("+column+") FROM "+table), ""; ok {
						if want = sum(t, w, "SELECT "+warehouse.Signed(term)+" FROM "+w.Facts(c)); got != want {
							t.Errorf("%s: %s of %s is %s, in facts %s", what, f, table, got, want)
						}
					}
				}
			}
		}
	}
	warehousetest.Insert(t, w, c, batch(1, 1, 5))
	check("before", w, bad, true)
	warehousetest.Insert(t, w, c, batch(2, 2, 0))
	warehousetest.Insert(t, w, c, batch(3, 3, 5))
	check("with the event", w, bad, false)
	rate := "m_" + strings.SplitN(sum(t, w, "SELECT comment FROM system.tables WHERE database = '"+prefix+"rollups' AND name = 'request_v1__time__region'"), "m_", 2)[1]
	if !strings.HasSuffix(rate, ":153") {
		t.Errorf("the rollup's comment ends with %q", rate)
	}
	want := []warehouse.Aside{{Contract: "t.request.v1", KPIs: []string{"rate"}, Measure: warehouse.Signed(formula(t, bad).Terms[0]), Reason: "a division by zero",
		Rollups: []string{"request_v1__time___source", "request_v1__time__region", "request_v1__time__outcome__mobile__region"}}}
	for _, r := range w.Rollups(c)[1:] {
		if len(r.Dims) == 3 {
			want[0].Rollups[2] = r.Name
		}
	}
	if got := w.Aside(); !reflect.DeepEqual(got, want) {
		t.Errorf("set aside is %+v; want %+v", got, want)
	}
	// Facts have the figure of a period without that event, and say in words that they have none of another.
	read := func(where string) error {
		return w.Each(ctx, "SELECT sum(intDiv(assumeNotNull(fee), assumeNotNull(took)) * _sign) FROM "+w.Facts(c)+" WHERE "+where, nil, func(scan warehouse.Scan) error {
			var n int64
			return scan(&n)
		})
	}
	if err := read("_day < '2024-02-01'"); err != nil {
		t.Error(err)
	}
	if err := read("1"); problem.KindOf(err) != problem.Unavailable || !strings.Contains(problem.DocumentOf(err).Detail, "a division by zero") {
		t.Errorf("a period with the event: %v", err)
	}

	if err := w.Columns(ctx, "SELECT "+warehouse.Signed(formula(t, bad).Terms[0])+" FROM "+w.Facts(c), nil, func(int, []warehouse.Column) error { return nil }); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("the same by columns: %v", err)
	}

	other, err := warehouse.Open(ctx, warehousetest.Config(t, prefix), set, kpis(bad))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := other.Aside(); !reflect.DeepEqual(got, want) {
		t.Errorf("another process knows of %+v", got)
	}
	if expired, err := other.Expired(ctx, day("2099-01-01"), day("2098-01-01")); err != nil || len(expired) > 0 {
		t.Errorf("facts that a rollup lacks would be retired: %v, %v", expired, err)
	}
	w = warehousetest.Reopen(t, prefix, set, kpis(bad))
	check("after a restart", w, bad, false)
	warehousetest.Insert(t, w, c, batch(4, 2, 5))
	check("and later events", w, bad, false)

	// A formula that has a value, and in the end the same one without the event.
	const good = "sum(intDivOrZero(assumeNotNull(fee), assumeNotNull(took)))"
	w = warehousetest.Reopen(t, prefix, set, kpis(good))
	check("with another formula", w, good, true)
	if list := w.Aside(); len(list) > 0 {
		t.Errorf("set aside is still %v", list)
	}
	w = warehousetest.Reopen(t, prefix, set, kpis(bad))
	check("with the formula of before", w, bad, false)
	if err := w.DeleteBatches(ctx, c, 2, 2); err != nil {
		t.Fatal(err)
	}
	if err := w.Refill(ctx, c, day("2024-02-03")); err != nil {
		t.Fatal(err)
	}
	w = warehousetest.Reopen(t, prefix, set, kpis(bad))
	check("without the event", w, bad, true)
	if list := w.Aside(); len(list) > 0 {
		t.Errorf("set aside is still %v", list)
	}
}
