//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"
)

// fill writes rows of a sheet of a template, by the names of the fields in its second row.
func fill(t *testing.T, file, sheet string, from int, rows ...map[string]any) {
	t.Helper()
	book, err := excelize.OpenFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	all, err := book.GetRows(sheet)
	if err != nil || len(all) < 2 {
		t.Fatalf("%s: %d rows, %v", sheet, len(all), err)
	}
	for i, row := range rows {
		for name, value := range row {
			column := -1
			for j, header := range all[1] {
				if header == name {
					column = j + 1
				}
			}
			cell, err := excelize.CoordinatesToCellName(column, from+i)
			if err != nil {
				t.Fatalf("%s has no column %s: %v", sheet, name, err)
			}
			if err := book.SetCellValue(sheet, cell, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := book.Save(); err != nil {
		t.Fatal(err)
	}
}

// TestTemplate fills the template of the portfolio in as a person would, imports it, changes it,
// and looks at what a dry run says before each step.
func TestTemplate(t *testing.T) {
	s := serve(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "projects.xlsx")
	if r := ombor(t, "projects", "template", "-o", file, "--language", "en", "--data", s.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	// 45000 is 15 March 2023 as Excel stores it.
	fill(t, file, "project.registered", 3,
		map[string]any{"time": 45000, "project": "A-1", "register_number": "DG-1", "name": "Elektron arxiv", "agency": "Ministry of Justice", "priority": "sector"},
		map[string]any{"time": "01.04.2023", "project": "A-2", "register_number": "DG-2", "name": "Yagona reyestr", "agency": "ministry-of-justice", "priority": "national"})
	fill(t, file, "project.milestone_planned", 3,
		map[string]any{"time": "2023-04-01", "project": "A-1", "milestone": "M1", "due": "2023-06-30", "weight": 400},
		map[string]any{"time": "2023-04-01", "project": "A-1", "milestone": "M2", "due": "2023-12-31", "weight": 600})
	fill(t, file, "project.milestone_reached", 3,
		map[string]any{"time": "2023-07-10", "project": "A-1", "milestone": "M1", "baseline": "2023-06-30", "reached_on": "2023-07-10", "days_late": 10})
	fill(t, file, "project.depends_on", 3,
		map[string]any{"time": "2023-05-01", "project": "A-1", "other": "A-2", "active": "yes"},
		map[string]any{"time": "2023-05-01", "project": "A-2", "other": "A-1", "active": true})
	fill(t, file, "project.contracted", 3,
		map[string]any{"time": "2023-05-02", "project": "A-1", "contract_number": "C-1", "supplier": "900000002", "amount": 100})

	dry := func(want string, code int) string {
		t.Helper()
		r := ombor(t, "projects", "import", file, "--dry-run", "--data", s.data)
		if r.code != code || !strings.Contains(r.stdout, "dry run: "+want+";") {
			t.Fatalf("exit %d, want %d and %q:\n%s%s", r.code, code, want, r.stdout, r.stderr)
		}
		return r.stdout
	}
	dry("new 8, changed 0, unchanged 0, withdrawn 0, refused 0, conflict 0, held 0", 0)
	if out := dry("new 8, changed 0, unchanged 0, withdrawn 0, refused 0, conflict 0, held 0", 0); strings.Contains(out, "900000002") {
		t.Error("the dry run shows an identifier")
	}
	if r := ombor(t, "projects", "import", file, "--data", s.data); r.code != 0 {
		t.Fatal(r.stdout + r.stderr)
	}
	dry("new 0, changed 0, unchanged 8, withdrawn 0, refused 0, conflict 0, held 0", 0)

	var list struct {
		Total    int
		Projects []struct {
			ID, Agency string
			Milestones struct {
				Due, Reached int
				OnTime       int      `json:"on_time"`
				DaysLate     *float64 `json:"days_late"`
			}
			EarnedValue struct{ SPI *float64 } `json:"earned_value"`
			Attention   []string
		}
	}
	get := func(arguments ...string) {
		t.Helper()
		r := ombor(t, append([]string{"projects", "--format", "json", "--data", s.data}, arguments...)...)
		if r.code != 0 {
			t.Fatal(r.stderr)
		}
		list.Projects = nil
		if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
			t.Fatal(err)
		}
	}
	get("--on", "2024-01-15")
	a := list.Projects[0]
	if list.Total != 2 || a.ID != "A-1" || a.Agency != "ministry-of-justice" || a.Milestones.Due != 2 || a.Milestones.OnTime != 0 || a.Milestones.DaysLate == nil || *a.Milestones.DaysLate != 10 {
		t.Errorf("%+v", list)
	}
	if a.EarnedValue.SPI == nil || math.Abs(*a.EarnedValue.SPI-0.4) > 1e-12 {
		t.Errorf("SPI %v, want 0.4: 400 of 1000 due were reached", a.EarnedValue.SPI)
	}
	for _, rule := range []string{"report-missing", "milestone-overdue", "dependency-cycle"} {
		if !strings.Contains(strings.Join(a.Attention, " "), rule) {
			t.Errorf("%v lacks %s", a.Attention, rule)
		}
	}

	// One row changes, one is new, one breaks a rule of the contract, one has no such stage.
	fill(t, file, "project.registered", 4, map[string]any{"name": "Yagona davlat reyestri"})
	fill(t, file, "project.replanned", 3, map[string]any{"time": "2023-11-01", "project": "A-1", "milestone": "M2", "old_due": "2023-12-31", "new_due": "2024-03-31", "reason": "funding", "explanation": "late money"})
	fill(t, file, "project.budgeted", 3, map[string]any{"time": "2023-05-02", "project": "A-1", "year": 2023, "money_source": "state", "amount": -5})
	fill(t, file, "project.staged", 3, map[string]any{"time": "2023-05-02", "project": "A-1", "stage": "dreaming"})
	out := dry("new 1, changed 1, unchanged 7, withdrawn 0, refused 2, conflict 0, held 0", 3)
	for _, want := range []string{"name: Yagona reyestr → Yagona davlat reyestri", "projects.xlsx project.registered:4", "amount-not-negative", "projects.xlsx project.budgeted:3", "projects.xlsx project.staged:3: stage:", "design"} {
		if !strings.Contains(out, want) {
			t.Errorf("the dry run does not say %q:\n%s", want, out)
		}
	}
	r := ombor(t, "projects", "import", file, "--data", s.data)
	if r.code != 3 || !strings.Contains(r.stderr, "projects.xlsx project.staged:3") || strings.Contains(r.stdout, "project.reported: accepted 0") {
		t.Fatalf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	// A change after a change is one. One that stands in the file twice, in the end as it is stored, is none.
	fill(t, file, "project.registered", 4, map[string]any{"name": "Uchinchi nom"})
	dry("new 0, changed 1, unchanged 8, withdrawn 0, refused 2, conflict 0, held 0", 3)
	fill(t, file, "project.registered", 6, map[string]any{"time": "2023-04-01", "project": "A-2", "register_number": "DG-2", "name": "Yagona davlat reyestri", "agency": "ministry-of-justice", "priority": "national"})
	if out := dry("new 0, changed 0, unchanged 9, withdrawn 0, refused 2, conflict 0, held 0", 3); !strings.Contains(out, "projects.xlsx project.registered:4 and projects.xlsx project.registered:6 are the same event") {
		t.Errorf("nothing is said of the row that comes twice:\n%s", out)
	}
	r = ombor(t, "projects", "A-1", "--on", "2024-01-15", "--data", s.data)
	if r.code != 0 || !strings.Contains(r.stdout, "2023-12-31  2024-03-31") || strings.Contains(r.stdout, "milestone-overdue") {
		t.Errorf("the baseline did not stay beside the new date:\n%s%s", r.stdout, r.stderr)
	}
	for _, arguments := range [][]string{{"projects", "attention"}, {"projects", "duplicates"}, {"projects", "--by", "agency"}, {"projects"}} {
		for _, format := range []string{"table", "csv", "json"} {
			if r := ombor(t, append(arguments, "--on", "2024-01-15", "--format", format, "--data", s.data)...); r.code != 0 || r.stdout == "" {
				t.Errorf("%v as %s: exit %d %s", arguments, format, r.code, r.stderr)
			}
		}
	}
	if err := os.Remove(file); err != nil {
		t.Error(err)
	}
}

// TestPortfolioOfInvestments loads the US federal IT Dashboard through a pack that is only files,
// and holds the figures of the portfolio, by agency, against an independent script.
func TestPortfolioOfInvestments(t *testing.T) {
	file := shared(t, "us_it_dashboard/businesscase.csv")
	computed := run(t, nil, "node", filepath.Join(root, "internal", "pack", "testdata", "expected.mjs"), filepath.Dir(filepath.Dir(file)), "itdashboard")
	if computed.code != 0 {
		t.Fatalf("expected.mjs: %s", computed.stderr)
	}
	var all map[string]struct {
		Rows     struct{ Accepted int64 }
		Agencies map[string]map[string]float64
	}
	if err := json.Unmarshal([]byte(computed.stdout), &all); err != nil {
		t.Fatal(err)
	}
	want := all["itdashboard"]
	s := serve(t, t.TempDir(), "--pack", filepath.Join("internal", "pack", "testdata", "itdashboard"))
	for range 2 { // the second time changes nothing
		for _, mapping := range []string{"registered", "evaluated", "updated", "funded"} {
			loaded, r := s.load("--mapping", mapping, file)
			rows := want.Rows.Accepted
			if mapping == "funded" {
				rows *= 4
			}
			if loaded.Accepted+loaded.Duplicate != rows || loaded.Rejected+loaded.Conflict != 0 {
				t.Fatalf("%s: %+v, want %d\n%s", mapping, loaded, rows, r.stderr)
			}
		}
	}
	r := ombor(t, "projects", "--by", "agency", "--on", "2016-08-31", "--format", "json", "--data", s.data)
	var got struct {
		Total  map[string]any
		Groups []map[string]any
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err, r.stderr)
	}
	if len(got.Groups) != len(want.Agencies)-1 {
		t.Errorf("%d agencies, want %d", len(got.Groups), len(want.Agencies)-1)
	}
	stale := 0.0
	for _, group := range append(got.Groups, got.Total) {
		key := text(group["key"])
		for _, name := range []string{"projects", "active", "stale", "expert_rated", "expert_rating", "budgeted"} {
			value, _ := group[name].(float64)
			if wanted := want.Agencies[key][name]; math.Abs(value-wanted) > 1e-9*math.Abs(wanted) {
				t.Errorf("agency %q: %s is %v, want %v", key, name, group[name], wanted)
			}
		}
		stale += want.Agencies[key]["stale"]
	}
	if stale == 0 || stale == 2*want.Agencies[""]["projects"] {
		t.Error("all are stale or none is: that compares nothing")
	}
	// Without a change, a dry run says so; with a colour changed, it says that.
	if r := ombor(t, "projects", "import", file, "--mapping", "evaluated", "--dry-run", "--data", s.data); r.code != 0 || !strings.Contains(r.stdout, "new 0, changed 0, unchanged 747") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "businesscase.csv")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(raw), ",Green,0,", ",Yellow,0,", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	r = ombor(t, "projects", "import", changed, "--mapping", "evaluated", "--dry-run", "--data", s.data)
	if !strings.Contains(r.stdout, "changed 1, unchanged 746") || !strings.Contains(r.stdout, "colour: green → yellow") || r.code != 0 {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// projects asks for the portfolio that was loaded from a file, and for what that file would change.
func (d *described) projects(file string) {
	t := d.s.t
	t.Helper()
	list := read[struct{ Projects []struct{ ID string } }](t, d.ask(asked{path: "/v1/projects", query: "on=2024-12-31", status: 200}))
	if len(list.Projects) < 12 {
		t.Errorf("%d simulated projects", len(list.Projects))
	}
	for _, p := range list.Projects {
		d.project = p.ID
		d.ask(asked{path: "/v1/projects/{id}", id: p.ID, query: "on=2024-12-31", status: 200})
	}
	for _, query := range []string{"on=2024-12-31", "on=2024-12-31&by=serves", "known_on=2001-01-01", "on=2024-12-31&agency=ministry-of-justice&by=stage"} {
		d.ask(asked{path: "/v1/portfolio", query: query, status: 200})
	}
	d.ask(asked{path: "/v1/portfolio", query: "by=mood", status: 400})
	d.ask(asked{path: "/v1/portfolio/attention", query: "on=2024-12-31", status: 200})
	d.ask(asked{path: "/v1/portfolio/duplicates", query: "on=2024-12-31&least=0.1", status: 200})
	d.ask(asked{path: "/v1/projects/{id}", id: "nothing", status: 404})
	counts := read[struct{ Counts map[string]int }](t, d.ask(asked{path: "/v1/differences", method: http.MethodPost, header: map[string]string{"Content-Type": "application/x-ndjson"},
		body: bytes.Join(eventsOf(t, file, "uz.gov.project.registered.v1"), []byte("\n")), status: 200})).Counts
	if counts["unchanged"] < 12 || counts["new"]+counts["changed"]+counts["conflict"] != 0 {
		t.Errorf("what is loaded would change: %v", counts)
	}
}
