package queries_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestAcross: what one row says is held against others: a side that is told again, a first date that is not the plan's, a
// project that nobody knows; what is taken back is no finding, and changes what is one.
func TestAcross(t *testing.T) {
	of := func(name, source string, once []string, fields ...contract.Field) *contract.Contract {
		return &contract.Contract{Type: "t." + name + ".v1", Name: name, Major: 1, Title: reference.Names{"en": name}, About: "A test.", Source: source, Fields: fields, Once: once}
	}
	project, milestone := contract.Field{Name: "project", Type: contract.Text, Required: true}, contract.Field{Name: "milestone", Type: contract.Code, Required: true, Class: contract.Open}
	sides := of("side", "road", []string{"exchange", "side", "part"}, contract.Field{Name: "exchange", Type: contract.Text}, contract.Field{Name: "side", Type: contract.Enum, Values: []string{"client", "producer"}, Required: true, Class: contract.Open},
		contract.Field{Name: "part", Type: contract.Integer})
	registered := of("registered", "office", nil, project)
	planned := of("planned", "office", nil, project, milestone, contract.Field{Name: "due", Type: contract.Date, Required: true})
	reached := of("reached", "office", nil, project, milestone, contract.Field{Name: "baseline", Type: contract.Date, Class: contract.Open}, contract.Field{Name: "reached_on", Type: contract.Date, Required: true})
	needs := of("needs", "office", nil, project, contract.Field{Name: "other", Type: contract.Text, Required: true})
	set, err := contract.NewSet("t.", zone, append(contract.BuiltIn("t."), sides, registered, planned, reached, needs), nil)
	if err != nil {
		t.Fatal(err)
	}
	portfolio := &contract.Portfolio{Contracts: map[string]*contract.Contract{contract.RoleRegistered: registered, contract.RolePlanned: planned, contract.RoleReached: reached, contract.RoleDependsOn: needs}}
	w := warehousetest.Open(t, set, nil)
	rows := map[*contract.Contract][]warehousetest.Row{}
	id := uint64(0)
	put := func(c *contract.Contract, at string, data map[string]any) warehousetest.Row {
		id++
		row := warehousetest.Row{ID: id, Seq: 1<<20 + id, Time: noonOf(at), Source: c.Source, Cut: day("2024-12-01"), Batch: 1, Data: data}
		rows[c] = append(rows[c], row)
		return row
	}
	back := func(c *contract.Contract, row warehousetest.Row) {
		id++
		row.Sign, row.Seq = -1, 1<<20+id
		rows[c] = append(rows[c], row)
	}
	side := func(at, exchange, side string) warehousetest.Row {
		data := map[string]any{"side": side, "part": 1}
		if exchange != "" {
			data["exchange"] = exchange
		}
		return put(sides, at, data)
	}
	side("2024-05-01", "once", "client")
	side("2024-05-01", "once", "producer")
	side("2024-05-02", "", "client") // nobody can say of what
	side("2024-05-02", "", "client")
	side("2024-05-03", "thrice", "client")
	side("2024-05-03", "thrice", "client")
	side("2024-06-03", "thrice", "client")
	side("2024-05-04", "mended", "client")
	back(sides, side("2024-05-05", "mended", "client"))
	back(sides, side("2024-05-06", "begun anew", "client"))
	side("2024-05-07", "begun anew", "client")
	side("2024-05-08", "begun anew", "client")

	for _, p := range []string{"a", "b"} {
		put(registered, "2024-01-10", map[string]any{"project": p})
	}
	back(registered, put(registered, "2024-01-11", map[string]any{"project": "undone"}))
	put(planned, "2024-01-12", map[string]any{"project": "a", "milestone": "m1", "due": day("2024-03-01")})
	put(planned, "2024-02-12", map[string]any{"project": "a", "milestone": "m1", "due": day("2024-04-01")})
	put(planned, "2024-01-12", map[string]any{"project": "b", "milestone": "m1", "due": day("2024-05-01")})
	reach := func(project, milestone, baseline string) warehousetest.Row {
		data := map[string]any{"project": project, "milestone": milestone, "reached_on": day("2024-05-02")}
		if baseline != "" {
			data["baseline"] = day(baseline)
		}
		return put(reached, "2024-05-02", data)
	}
	reach("a", "m1", "2024-03-01")
	reach("a", "m1", "2024-04-01") // the later plan is not the first
	reach("b", "m1", "")           // told nothing
	reach("b", "m2", "2024-04-01") // nothing was planned
	back(reached, reach("b", "m1", "2024-06-01"))
	reach("undone", "m1", "2024-06-01")
	put(needs, "2024-07-01", map[string]any{"project": "a", "other": "b"})
	put(needs, "2024-07-01", map[string]any{"project": "a", "other": "nobody"})
	for c, list := range rows {
		warehousetest.Insert(t, w, c, list)
	}
	ask := func(r queries.FindingsRequest, projects *contract.Portfolio) []queries.Finding {
		t.Helper()
		y := queries.NewQuality(w, set, nil, map[string]queries.Sender{"road": {Owner: "center"}, "office": {Owner: "ministry"}}, func() time.Time { return now })
		y.Projects(projects)
		found, err := y.Findings(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := ask(queries.FindingsRequest{}, portfolio)
	want := []string{"needs.v1 unknown-project 2024-07 1", "reached.v1 baseline-differs 2024-05 1", "reached.v1 unknown-project 2024-05 1", "side.v1 sent-again 2024-05 2", "side.v1 sent-again 2024-06 1"}
	if got := short(found); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, f := range found {
		if owner := map[string]string{"road": "center", "office": "ministry"}[f.Source]; f.Owner != owner || owner == "" || f.Severity != queries.Doubtful {
			t.Errorf("%s of %s is to be mended by %q: %s", f.Rule, f.Source, f.Owner, f.Severity)
		}
		for _, language := range []string{"uz", "ru", "en"} {
			if words := f.Words[language]; words == "" || strings.Contains(words, "%!") || !strings.Contains(words, fmt.Sprint(f.Count)) {
				t.Errorf("%s in %s: %q", f.Rule, language, words)
			}
		}
	}
	if got := short(ask(queries.FindingsRequest{Rule: "baseline-differs"}, portfolio)); !slices.Equal(got, want[1:2]) {
		t.Errorf("by the rule: %v", got)
	}
	if got := short(ask(queries.FindingsRequest{}, nil)); !slices.Equal(got, want[3:]) {
		t.Errorf("without a portfolio: %v", got)
	}
}

// TestClosedWithNone: who closes a month and says that nothing happened in it has reported: the month is a zero. Who says that
// there were events, and did not send them, has not; nor has one who said nothing. A closing of what nobody sends is a finding.
func TestClosedWithNone(t *testing.T) {
	seen := &contract.Contract{Type: "t.seen.v1", Name: "seen", Major: 1, Title: reference.Names{"en": "Seen"}, About: "A test.", Source: "gate", Fields: []contract.Field{{Name: "kind", Type: contract.Code}}}
	set, err := contract.NewSet("t.", zone, append(contract.BuiltIn("t."), seen), nil)
	if err != nil {
		t.Fatal(err)
	}
	k := &kpi.KPI{ID: "seen", Title: reference.Names{"en": "Seen"}, About: reference.Names{"en": "Seen"}, Owner: "guards", Unit: kpi.Count, Direction: kpi.Up,
		Versions: []kpi.Version{{Version: 1, Valid: always, Source: reference.Names{"en": "the tests"}, Basis: kpi.Events, From: []string{"seen"}, Numerator: formula(t, "count()"), Rollups: [][]string{{"kind"}}}}}
	w := warehousetest.Open(t, set, []*kpi.KPI{k})
	warehousetest.Insert(t, w, seen, []warehousetest.Row{{ID: 1, Time: noonOf("2024-05-02"), Source: "gate", Cut: day("2024-12-01"), Batch: 1, Data: map[string]any{"kind": "a"}}})
	closed := func(id uint64, source, of, from, to string, count int) warehousetest.Row {
		data := map[string]any{"source": source, "contract": of, "from": day(from), "to": day(to)}
		if count >= 0 {
			data["count"] = count
		}
		return warehousetest.Row{ID: id, Seq: 1<<20 + id, Time: now, Source: "gate", Cut: day("2024-12-01"), Batch: 1, Data: data}
	}
	warehousetest.Insert(t, w, set.ByName(contract.PeriodClosed, 1), []warehousetest.Row{
		closed(1, "gate", "seen", "2024-05-01", "2024-05-31", 1), closed(2, "gate", "seen", "2024-06-01", "2024-06-30", 0), closed(3, "gate", "seen", "2024-07-01", "2024-07-31", 7),
		closed(4, "gate", "seen", "2024-09-01", "2024-09-30", -1), closed(5, "gate", "sen", "2024-09-01", "2024-09-30", 3), closed(6, "nobody", "seen", "2024-09-01", "2024-09-30", 3)})
	q := queries.New(w, []*kpi.KPI{k}, nil, queries.Options{K: 5, Now: func() time.Time { return now }})
	var got []string
	for _, c := range values(t, q, queries.Request{KPI: "seen", Grain: queries.Month, From: day("2024-05-01"), To: day("2024-09-30")}).Cells {
		got = append(got, fmt.Sprintf("%s %s %d of %d", c.Period, c.State, c.Coverage.Covered, c.Coverage.Expected))
	}
	want := []string{"2024-05 value 1 of 1", "2024-06 zero 1 of 1", "2024-07 not_provided 0 of 1", "2024-08 not_provided 0 of 1", "2024-09 zero 1 of 1"}
	if !slices.Equal(got, want) {
		t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	y := queries.NewQuality(w, set, nil, map[string]queries.Sender{"gate": {Owner: "guards"}}, func() time.Time { return now })
	found, err := y.Findings(context.Background(), queries.FindingsRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := short(found), []string{"period.closed.v1 closed-unknown 2024-09 1", "period.closed.v1 closed-unknown 2024-09 1", "seen.v1 closed-count 2024-07 0"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
