package queries_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"ombor/internal/pack"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestFormulae: what other governments count, over a few rows of the embedded pack whose figures a
// reader can work out.
func TestFormulae(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	rows := map[string][]warehousetest.Row{}
	put := func(contract, happened string, data map[string]any) {
		at, err := time.ParseInLocation("2006-01-02 15:04:05.000", happened, p.Zone)
		if err != nil {
			t.Fatal(err)
		}
		rows[contract] = append(rows[contract], warehousetest.Row{ID: uint64(len(rows[contract]) + 1), Time: at, Cut: day("2025-01-20"), Batch: 1, Seq: 1<<20 + uint64(len(rows[contract])), Data: data})
	}
	moment := func(clock string) time.Time {
		at, _ := time.ParseInLocation("2006-01-02 15:04:05.000", "2024-05-01 "+clock, p.Zone)
		return at
	}
	// An exchange takes the client 190 ms on the wire and the producer 150 ms; of another the producer's
	// clock counts more than the client waited. Of the third there is one side alone.
	side := func(exchange, side, in, out, back, answered string) {
		put("exchange.completed", "2024-05-01 "+in, map[string]any{"request_id": exchange, "side": side, "consumer": "ministry-of-justice", "provider": "tax-committee", "exchange_service": "s", "ok": true,
			"request_in": moment(in), "request_out": moment(out), "response_in": moment(back), "response_out": moment(answered)})
	}
	side("a", "client", "10:00:00.000", "10:00:00.010", "10:00:00.200", "10:00:00.210")
	side("a", "producer", "10:00:00.020", "10:00:00.030", "10:00:00.160", "10:00:00.170")
	side("b", "client", "11:00:00.000", "11:00:00.010", "11:00:00.100", "11:00:00.110")
	side("b", "producer", "11:00:00.020", "11:00:00.030", "11:00:00.140", "11:00:00.150")
	side("c", "client", "12:00:00.000", "12:00:00.010", "12:00:05.000", "12:00:05.010")
	// Of two forms that each of twelve people opened, one of them twice, one was sent; three were sent
	// whose opening is not known.
	for person := range 12 {
		for form, stages := range [][]string{{"started", "started", "sent"}, {"started"}, {"sent"}, {"sent"}, {"sent"}} {
			for _, stage := range stages {
				put("request.staged", "2024-05-01 09:00:00.000", map[string]any{"request": fmt.Sprint(person, "-", form), "service": "496", "stage": stage, "started_at": moment("09:00:00.000"), "applicant": uint64(person + 1)})
			}
		}
	}
	figure := func(indicator, service, from, to, state string, numbers ...int64) {
		data := map[string]any{"indicator": indicator, "window_from": day(from), "window_to": day(to), "service": service, "state": state}
		for i, n := range numbers {
			if n >= 0 {
				data[[]string{"numerator", "denominator"}[i]] = n
			}
		}
		put("figure.reported", "2025-01-15 09:00:00.000", data)
	}
	const from, to = "2024-01-01", "2024-12-31"
	figure("digital-take-up", "496", from, to, "value", 90_000, 100_000)
	figure("digital-take-up", "308", from, to, "value", 10, 40)
	figure("digital-take-up", "25", from, to, "value", -1, 60_000) // nobody knows how much of it is digital
	figure("digital-take-up", "32", from, to, "not_provided")
	figure("interaction-points-activated", "496", from, to, "value", 4, 4) // two of six do not apply
	figure("interaction-points-activated", "308", from, to, "value", 3, 6)
	figure("cost-per-transaction", "308", "2024-01-01", "2024-03-31", "value", 9_000_000, 10) // of a quarter
	// A catalogue that tells sectors: the question of a day in the past has those of that day.
	for _, s := range []struct{ day, service, sector string }{{"2024-02-01", "496", "healthcare"}, {"2024-02-01", "308", "education"}, {"2024-09-01", "308", "healthcare"}} {
		put("service.changed", s.day+" 00:00:00.000", map[string]any{"service": s.service, "active": true, "electronic": true, "sector": s.sector, "life_event": "birth", "documents_demanded": int64(1), "deadline_days": int64(3), "deadline_in": "working_days"})
	}
	for name, list := range rows {
		warehousetest.Insert(t, w, w.Contract(name), list)
	}
	q := queries.New(w, p.KPIs, p.Reference, queries.Options{Now: func() time.Time { return day("2025-02-01").Time() }})
	for _, c := range []struct {
		kpi, variant string
		value        float64
	}{
		{"completion-share", "", 400.0 / 3}, // four sent, three openings: a finding, not clipped
		{"completion-share", "gds", 50},
		{"digital-take-up", "reported", 100 * 90_010.0 / 100_040},
		{"digital-take-up", "of-all", 100 * 90_010.0 / 160_040},
		{"digital-take-up", "high-volume", 90},
		{"digital-take-up", "mean-of-services", (90 + 25) / 2.0},
		{"interaction-points-activated", "", 70},
		{"online-end-to-end-share", "", 50},
	} {
		r := values(t, q, queries.Request{KPI: c.kpi, Variant: c.variant, From: day(from), To: day(to)})
		if cell := r.Cells[0]; cell.Value == nil || math.Abs(*cell.Value-c.value) > 1e-6 {
			t.Errorf("%s %s is %s (%s), not %g", c.kpi, c.variant, shown(cell.Value), cell.State, c.value)
		}
	}
	// 190 − 150 and 90 − 130 ms: the time in the network may be negative.
	r := values(t, q, queries.Request{KPI: "exchange-latency", Variant: "network", From: day(from), To: day(to)})
	if c := r.Cells[0]; len(c.Quantiles) != 2 || math.Abs(c.Quantiles[0].Value-36) > 1 || math.Abs(c.Quantiles[1].Value) > 1 {
		t.Errorf("the time in the network is %+v (%s), not 36 and 0 ms", c.Quantiles, c.State)
	}
	// What was reported of other figures, or of a quarter, is no report of this one.
	if c := values(t, q, queries.Request{KPI: "cost-per-transaction", From: day(from), To: day(to)}).Cells[0]; c.State != queries.NotProvided {
		t.Errorf("a cost that nobody reported is %s", c.State)
	}
	if c := values(t, q, queries.Request{KPI: "digital-take-up", Variant: "reported", From: day(from), To: day(to)}).Cells[0]; c.Cases == nil || *c.Cases != 4 || c.Coverage == nil || c.Coverage.Covered != 2 || c.Coverage.Expected != 4 {
		t.Errorf("digital take-up has %s cases, coverage %+v; four services reported, two of them both numbers", shown(c.Cases), c.Coverage)
	}
	for on, healthcare := range map[string]float64{"2024-06-30": 1, "2024-12-31": 2} {
		r := values(t, q, queries.Request{KPI: "service-count", From: day(on), To: day(on), By: []string{"sector"}, Where: map[string][]string{"sector": {"healthcare"}, "life_event": {"birth"}}})
		if len(r.Cells) != 1 || r.Cells[0].Value == nil || *r.Cells[0].Value != healthcare {
			t.Errorf("services of healthcare on %s: %+v, not %g", on, r.Cells, healthcare)
		}
	}
}
