package warehouse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

// analysts is a small country with what the analysts' database is made of: a contract
// with a person, one with a special field, a table with spans and one with a history.
func analysts(t *testing.T) (*contract.Set, *reference.Set) {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		t.Fatal(err)
	}
	var issues problem.Issues
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_en,people,valid_from,valid_to\n03,Andijan,3,,\n26,Old Tashkent,2,,2023-12-31\n26,Tashkent,3,2024-01-01,\n"), reference.TableFormat{}, &issues)
	services := reference.ReadTable("services", "services.csv", strings.NewReader("code,name_en\nvisa,Visa\nland,Land\n"), reference.TableFormat{History: "service.changed"}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	refs := reference.NewSet(&reference.Calendar{Zone: zone, Week: []time.Weekday{1, 2, 3, 4, 5}, Days: map[reference.Day]reference.DayKind{day("2024-03-08"): reference.Holiday},
		DayNames: map[reference.Day]reference.Names{day("2024-03-08"): {"en": "Women's Day"}}}, regions, services)
	set, err := contract.NewSet("t.", zone, append(contract.BuiltIn("t."), []*contract.Contract{
		{Type: "t.request.decided.v1", Name: "request.decided", Major: 1, Title: reference.Names{"en": "Request decided"}, About: "An agency's decision.", Source: "portal", Fields: []contract.Field{
			{Name: "region", Type: contract.Ref, To: "regions", About: "Where."},
			{Name: "applicant", Type: contract.Person, ID: "pinfl", Class: contract.Personal},
			{Name: "submitted_at", Type: contract.Timestamp},
		}},
		{Type: "t.register.entered.v1", Name: "register.entered", Major: 1, Title: reference.Names{"en": "Register"}, About: "Who is ill.", Source: "portal", Fields: []contract.Field{
			{Name: "illness", Type: contract.Text, Class: contract.Special},
		}},
		{Type: "t.service.changed.v1", Name: "service.changed", Major: 1, Title: reference.Names{"en": "Service changed"}, About: "A service.", Source: "catalogue", Fields: []contract.Field{
			{Name: "service", Type: contract.Ref, To: "services", Required: true},
			{Name: "mobile", Type: contract.Boolean},
			{Name: "owner", Type: contract.Code},
		}},
	}...), refs)
	if err != nil {
		t.Fatal(err)
	}
	return set, refs
}

func TestViews(t *testing.T) {
	ctx := context.Background()
	set, refs := analysts(t)
	prefix := warehousetest.Prefix()
	requests := &kpi.KPI{ID: "requests", Title: reference.Names{"en": "Requests"}, Unit: kpi.Count, File: "requests.yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request.decided"},
		Valid: reference.Span{From: reference.NoDay, To: reference.NoDay}, Numerator: formula(t, "count()")}}}
	w := warehousetest.Reopen(t, prefix, set, []*kpi.KPI{requests})
	engine := enginetest.Shared(t)
	t.Cleanup(func() {
		for _, database := range []string{"ombor", "facts", "rollups", "meta"} {
			engine.Exec(t, "DROP DATABASE IF EXISTS "+prefix+database+" SYNC")
		}
	})
	migrate := func(refs *reference.Set) {
		t.Helper()
		if err := w.MigrateViews(ctx, refs); err != nil {
			t.Fatal(err)
		}
	}
	migrate(refs)
	at := time.Date(2024, 3, 7, 22, 30, 0, 0, time.UTC) // the 8th in Tashkent
	warehousetest.Insert(t, w, w.Contract("request.decided"), []warehousetest.Row{
		{ID: 1, Source: "portal", Time: at, Batch: 1, Data: map[string]any{"region": "03", "applicant": uint64(7), "submitted_at": at.Add(-time.Hour)}},
		{ID: 2, Source: "tax-office", Time: at, Batch: 1, Data: map[string]any{"region": "03"}, Simulated: true},
		{ID: 1, Source: "portal", Sign: -1, Time: at, Cut: day("2024-04-02"), Batch: 2, Data: map[string]any{"region": "03", "applicant": uint64(7), "submitted_at": at.Add(-time.Hour)}},
		{ID: 1, Source: "portal", Rev: 1, Time: at, Cut: day("2024-04-02"), Batch: 2, Data: map[string]any{"region": "26"}},
		{ID: 3, Source: "mobile", Time: at, Batch: 1, Data: map[string]any{"region": "26"}},
		{ID: 3, Source: "mobile", Sign: -1, Time: at, Cut: day("2024-04-02"), Batch: 2, Data: map[string]any{"region": "26"}},
	})
	service := func(id uint64, on string, hour int, mobile any) warehousetest.Row {
		at, err := time.Parse(time.DateOnly, on)
		if err != nil {
			t.Fatal(err)
		}
		return warehousetest.Row{ID: id, Time: at.Add(time.Duration(hour) * time.Hour), Cut: day("2024-02-01"), Batch: 1, Data: map[string]any{"service": "visa", "mobile": mobile}}
	}
	warehousetest.Insert(t, w, w.Contract("service.changed"), []warehousetest.Row{
		service(10, "2024-01-05", 3, false), service(11, "2024-01-05", 5, true), service(12, "2024-02-01", 3, nil)})

	published := func(id uint64, number int, hidden bool, state string, value any) warehousetest.Row {
		return warehousetest.Row{ID: id, Time: at.AddDate(0, number, 0), Cut: day("2024-05-01"), Batch: 1, Data: map[string]any{"kpi": "share", "version": 1, "grain": "month", "from": day("2024-02-01"), "to": day("2024-02-29"),
			"by": "region", "key": `["03"]`, "number": number, "hidden": hidden, "state": state, "numerator": "3", "denominator": "4", "value": value, "cases": 4, "through": 9}}
	}
	warehousetest.Insert(t, w, w.Contract("figure.published"), []warehousetest.Row{published(20, 1, true, "value", 75.0), published(21, 2, false, "value", 75.0)})
	value, cases := 50.0, int64(2)
	open := warehouse.Figure{KPI: "share", Version: 1, Grain: "month", From: day("2024-03-01"), To: day("2024-03-31"), Open: true, State: "value", Value: &value, Numerator: "1", Denominator: "2", Cases: &cases}
	of := func(f warehouse.Figure, by, key string) warehouse.Figure {
		f.By, f.Key = []string{by}, []string{key}
		return f
	}
	for range 2 { // the second in place of the first
		if err := w.ReplaceFigures(ctx, day("2024-03-20"), []warehouse.Figure{open, of(open, "agency", "x"), of(warehouse.Figure{KPI: "share", Version: 1, Grain: "month", From: open.From, To: open.To, State: "suppressed"}, "agency", "y")}); err != nil {
			t.Fatal(err)
		}
	}

	database := prefix + "ombor"
	view, ok := w.View(w.Contract("request.decided"))
	if !ok || view != database+".request_decided_v1" {
		t.Fatalf("View: %q %t", view, ok)
	}
	ledger, _ := w.Ledger(w.Contract("request.decided"))
	if _, ok := w.View(w.Contract("register.entered")); ok {
		t.Error("a contract with a special field has a view")
	}
	for _, c := range []struct{ about, sql, want string }{
		{"rows that stand, on the country's clock", "SELECT region, _rev, _simulated, _day, toHour(time), toTypeName(submitted_at) FROM " + view + " ORDER BY region",
			"03\t0\ttrue\t2024-03-08\t3\tNullable(DateTime64(3, \\'Asia/Tashkent\\'))\n26\t1\tfalse\t2024-03-08\t3\tNullable(DateTime64(3, \\'Asia/Tashkent\\'))\n"},
		{"what was known in March", "SELECT region, sum(_sign) FROM " + ledger + " WHERE _cut <= '2024-03-31' GROUP BY region ORDER BY region", "03\t2\n26\t1\n"},
		{"no special class", "SELECT count() FROM system.tables WHERE database = '" + database + "' AND name LIKE 'register%'", "0\n"},
		{"every table and column is told about", "SELECT table, name FROM system.columns WHERE database = '" + database + "' AND comment = '' UNION ALL SELECT name, '' FROM system.tables WHERE database = '" + database + "' AND comment = ''", ""},
		{"objects", "SELECT groupArray(name) FROM (SELECT name FROM system.tables WHERE database = '" + database + "' ORDER BY name)",
			"['calendar','kpi_values','kpis','period_closed_v1','period_closed_v1_ledger','regions','regions_history','request_decided_v1','request_decided_v1_ledger','service_changed_v1','service_changed_v1_ledger','services','services_history']\n"},
		{"a code's latest meaning", "SELECT * FROM " + database + ".regions ORDER BY code", "03\tAndijan\t3\n26\tTashkent\t3\n"},
		{"a code's meanings", "SELECT name_en, valid_from, valid_to FROM " + database + ".regions_history WHERE code = '26' ORDER BY valid_from NULLS FIRST", "Old Tashkent\t\\N\t2023-12-31\nTashkent\t2024-01-01\t\\N\n"},
		{"a table that events change", "SELECT code, mobile, name_en, valid_from, valid_to, _simulated FROM " + database + ".services_history ORDER BY valid_from",
			"visa\ttrue\tVisa\t2024-01-05\t2024-01-31\tfalse\nvisa\t\\N\tVisa\t2024-02-01\t\\N\tfalse\n"},
		{"the calendar", "SELECT day, weekday, works, week, month, quarter, holiday FROM " + database + ".calendar WHERE day BETWEEN '2024-03-07' AND '2024-03-09' ORDER BY day",
			"2024-03-07\t4\ttrue\t2024-W10\t2024-03\t2024-Q1\t\n2024-03-08\t5\tfalse\t2024-W10\t2024-03\t2024-Q1\tWomen\\'s Day\n2024-03-09\t6\tfalse\t2024-W10\t2024-03\t2024-Q1\t\n"},
		{"what was published, masked", "SELECT key, number, known_on, state, value, numerator, denominator, cases, latest FROM " + database + ".kpi_values WHERE kpi = 'share' AND number > 0 ORDER BY number",
			"['03']\t1\t2024-04-08\tsuppressed\t\\N\t\\N\t\\N\t\\N\tfalse\n['03']\t2\t2024-05-08\tvalue\t75\t3\t4\t4\ttrue\n"},
		{"what is not published", "SELECT by, key, from, known_on, open, state, value, numerator, denominator, cases, latest FROM " + database + ".kpi_values WHERE kpi = 'share' AND number = 0 ORDER BY by, key",
			"\t[]\t2024-03-01\t2024-03-20\ttrue\tvalue\t50\t1\t2\t2\ttrue\nagency\t['x']\t2024-03-01\t2024-03-20\ttrue\tvalue\t50\t1\t2\t2\ttrue\nagency\t['y']\t2024-03-01\t2024-03-20\tfalse\tsuppressed\t\\N\t\\N\t\\N\t\\N\ttrue\n"},
		{"the definitions", "SELECT kpi, version, title_en, unit, numerator, contracts FROM " + database + ".kpis", "requests\t1\tRequests\tcount\tcount()\t['request.decided']\n"},
		{"a wait in working days", "SELECT maxIf(working_days, day = '2024-03-11') - maxIf(working_days, day = '2024-03-06') FROM " + database + ".calendar", "2\n"},
	} {
		if got := engine.Exec(t, c.sql); got != c.want {
			t.Errorf("%s: %q, want %q", c.about, got, c.want)
		}
	}

	// What somebody of one place sees: the condition reaches the rows through the engine's own filters.
	objects := map[string]warehouse.Object{}
	for _, o := range w.Objects(refs) {
		objects[o.Name] = o
		if got, want := engine.Exec(t, "SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = '"+database+"' AND table = '"+o.Name+"' ORDER BY position)"), "['"+strings.Join(o.Columns, "','")+"']\n"; got != want {
			t.Errorf("columns of %s: %s, want %s", o.Name, got, want)
		}
	}
	if got := engine.Exec(t, "SELECT count() FROM system.tables WHERE database = '"+database+"'"); got != fmt.Sprintf("%d\n", len(objects)) {
		t.Errorf("%d objects are told of, the database has %s", len(objects), got)
	}
	systems := map[string]string{"portal": "ministry", "mobile": "ministry", "tax-office": "tax", "catalogue": "registrar"}
	for _, c := range []struct{ object, dimension, value, want string }{
		{"request_decided_v1", "region", "03", "1"},
		{"request_decided_v1", "region", "", "0"},
		{"request_decided_v1", "agency", "x", "0"},        // names no agency, and x has not its system
		{"request_decided_v1", "agency", "ministry", "1"}, // of its two systems; what others sent is not its own
		{"request_decided_v1_ledger", "agency", "ministry", "5"},
		{"request_decided_v1", "agency", "tax", "0"}, // has a system that sent some, and is not the one that sends them
		{"request_decided_v1", "agency", "' OR 1 --", "0"},
		{"request_decided_v1", "agency", "", "0"},
		{"period_closed_v1", "agency", "", "0"},            // is declared to come from no system
		{"service_changed_v1", "agency", "registrar", "0"}, // names an owner, who it is
		{"request_decided_v1", "applicant", "", "0"},
		{"request_decided_v1_ledger", "region", "03", "3"},
		{"regions", "region", "03", "2"},
		{"services_history", "agency", "x", "2"},
		{"kpis", "agency", "x", "1"},
		{"kpi_values", "region", "03", "3"},
		{"kpi_values", "agency", "x", "2"},
		{"kpi_values", "agency", "", "1"}, // the whole alone
	} {
		o := objects[c.object]
		if o.Events != strings.Contains(c.object, "_v1") {
			t.Errorf("%s: events %t", c.object, o.Events)
		}
		table := database + "." + c.object
		filters := "{'" + table + "': '" + strings.ReplaceAll(o.Own(c.dimension, c.value, systems), "'", "\\'") + "'}"
		if got := engine.Exec(t, "SELECT count() FROM "+table+" SETTINGS additional_table_filters = "+filters); got != c.want+"\n" {
			t.Errorf("%s of %s %q: %s rows, want %s (%s)", c.object, c.dimension, c.value, got, c.want, filters)
		}
	}
	if got := objects["service_changed_v1"].Own("agency", "", systems); got != "0" { // also of rows that name none
		t.Errorf("who is of no agency sees services under %s", got)
	}
	if got := objects["service_changed_v1"].Owner("agency"); got != "owner" {
		t.Errorf("a service belongs to %q", got)
	}

	// What did not change is not touched; what changed is replaced, what is gone is dropped,
	// and what somebody else made stays.
	engine.Exec(t, "CREATE VIEW "+database+".mine AS SELECT 1 AS one")
	stamps := func() string {
		return engine.Exec(t, "SELECT name, max(made) FROM "+prefix+"meta.views GROUP BY name ORDER BY name")
	}
	before := stamps()
	migrate(refs)
	if after := stamps(); after != before {
		t.Errorf("a second migration made\n%s\nafter\n%s", after, before)
	}
	var issues problem.Issues
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_en\n03,Andijon\n"), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	migrate(reference.NewSet(refs.Calendar(), regions))
	if got := engine.Exec(t, "SELECT * FROM "+database+".regions"); got != "03\tAndijon\n" {
		t.Errorf("after a change of the pack: %q", got)
	}
	if got, want := engine.Exec(t, "SELECT groupArray(name) FROM (SELECT name FROM system.tables WHERE database = '"+database+"' AND name NOT LIKE '%v1%' ORDER BY name)"),
		"['calendar','kpi_values','kpis','mine','regions','regions_history']\n"; got != want {
		t.Errorf("after a change of the pack: %s, want %s", got, want)
	}
	migrate(refs) // what was dropped comes back, a table of the same name as a view takes its place
	if got := engine.Exec(t, "SELECT count() FROM "+database+".services_history"); got != "2\n" {
		t.Errorf("the table that came back has %s rows", got)
	}
}

// TestViewsKeepTheIndex shows that a view costs what its question needs: its conditions
// reach the facts' own index.
func TestViewsKeepTheIndex(t *testing.T) {
	set, refs := analysts(t)
	w := warehousetest.Open(t, set, nil)
	if err := w.MigrateViews(context.Background(), refs); err != nil {
		t.Fatal(err)
	}
	var rows []warehousetest.Row
	first := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)
	for i := range 20_000 {
		rows = append(rows, warehousetest.Row{ID: uint64(i + 1), Time: first.AddDate(0, 0, i/200), Cut: day("2024-06-01"), Batch: 1, Data: map[string]any{"region": fmt.Sprintf("%02d", i%7)}})
	}
	warehousetest.Insert(t, w, w.Contract("request.decided"), rows)
	view, _ := w.View(w.Contract("request.decided"))
	var plan strings.Builder
	err := w.Each(context.Background(), "EXPLAIN indexes = 1 SELECT count() FROM "+view+" WHERE _day = '2024-01-01'", nil, func(scan warehouse.Scan) error {
		var line string
		err := scan(&line)
		plan.WriteString(strings.TrimSpace(line) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plan.String(), "Granules: 1/2") {
		t.Errorf("a day of a hundred is not read alone:\n%s", plan.String())
	}
}
