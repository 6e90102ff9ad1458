package portfolio_test

import (
	"testing"
	"time"

	"ombor/internal/pack"
	"ombor/queries"
	"ombor/queries/portfolio"
	"ombor/warehouse/warehousetest"
)

// TestEdges holds what the simulation does not do: an old report that promised a far day, two plans
// of one time, and a backup that was restored a year ago.
func TestEdges(t *testing.T) {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	var id uint64
	send := func(name string, all ...map[string]any) {
		var rows []warehousetest.Row
		for _, data := range all {
			id++
			rows = append(rows, warehousetest.Row{ID: id, Seq: id, Cut: received, Time: data["time"].(time.Time), Data: data})
			delete(data, "time")
		}
		warehousetest.Insert(t, w, w.Contract(name), rows)
	}
	type row = map[string]any
	at := func(d string) time.Time { return day(d).Time().Add(5 * time.Hour) }
	const agency = "ministry-of-justice"
	send("project.registered",
		row{"time": at("2021-01-04"), "project": "stale", "register_number": "1", "name": "Stale", "agency": agency},
		row{"time": at("2021-01-04"), "project": "heard", "register_number": "2", "name": "Heard", "agency": agency})
	send("project.reported",
		row{"time": at("2021-02-01"), "project": "stale", "agency": agency, "percent": 10, "next_due": day("2026-12-31")},
		row{"time": at("2021-03-01"), "project": "stale", "agency": agency, "percent": 20, "next_due": day("2021-04-01")},
		row{"time": at("2021-02-01"), "project": "heard", "agency": agency, "percent": 10, "next_due": day("2021-03-01")},
		row{"time": at("2024-12-20"), "project": "heard", "agency": agency, "percent": 20, "next_due": day("2025-01-31")})
	send("project.milestone_planned",
		row{"time": at("2022-05-01"), "project": "heard", "milestone": "M1", "agency": agency, "due": day("2022-06-10")},
		row{"time": at("2022-05-01"), "project": "heard", "milestone": "M1", "agency": agency, "due": day("2022-06-20")})
	send("system.hosted",
		row{"time": at("2023-01-10"), "system": "first-day", "owner": agency, "active": true},
		row{"time": at("2023-01-10"), "system": "day-before", "owner": agency, "active": true})
	send("backup.verified",
		row{"time": at("2024-01-01"), "system": "first-day", "check": "restored", "ok": true},
		row{"time": at("2023-12-31"), "system": "day-before", "check": "restored", "ok": true})

	now := func() time.Time { return day("2025-06-01").Time().Add(6 * time.Hour) }
	kpis := queries.New(w, p.KPIs, p.Reference, queries.Options{Targets: p.Targets, Now: now})
	for _, c := range []struct{ id, from, to, numerator, denominator string }{
		{"project-stale-share", "2024-12-31", "2024-12-31", "1", "2"},
		{"milestone-on-time-share", "2022-06-01", "2022-06-30", "0", "1"},
		{"restore-tested-share", "2024-12-31", "2024-12-31", "1", "2"},
	} {
		result, err := kpis.Values(ctx, queries.Request{KPI: c.id, From: day(c.from), To: day(c.to)})
		if err != nil {
			t.Fatal(err)
		}
		if cell := result.Cells[0]; string(cell.Numerator) != c.numerator || string(cell.Denominator) != c.denominator {
			t.Errorf("%s: %s of %s, want %s of %s", c.id, cell.Numerator, cell.Denominator, c.numerator, c.denominator)
		}
	}
	projects := portfolio.New(w, p.Portfolio, kpis, p.Reference, portfolio.Options{Now: now})
	list, err := projects.Projects(ctx, portfolio.Request{At: portfolio.At{On: on}})
	if err != nil {
		t.Fatal(err)
	}
	for _, project := range list.Projects {
		one, err := projects.Project(ctx, project.ID, portfolio.At{On: on})
		if err != nil {
			t.Fatal(err)
		}
		for _, report := range []portfolio.Report{project.Report, one.Project.Report} {
			if due := map[string]string{"stale": "2021-04-01", "heard": "2025-01-31"}[project.ID]; report.Due.String() != due || report.Stale != (project.ID == "stale") {
				t.Errorf("%s: due %s, stale %v; want %s", project.ID, report.Due, report.Stale, due)
			}
		}
	}
}
