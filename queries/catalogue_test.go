package queries_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// TestCatalogueThroughTime asks what was known of services at the end of days, with
// descriptions that came late, were corrected, withdrawn, or took a service out of force.
func TestCatalogueThroughTime(t *testing.T) {
	var issues problem.Issues
	services := reference.ReadTable("services", "services.csv", strings.NewReader("code,name_en\na,A\nb,B\nc,C\nd,D\n"), reference.TableFormat{History: "service.changed"}, &issues)
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_en\n1,One\n"), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	refs := reference.NewSet(&reference.Calendar{Zone: zone}, services, regions)
	changed := &contract.Contract{Type: "t.service.changed.v1", Name: "service.changed", Major: 1, Title: reference.Names{"en": "Changed"}, About: "A test.", Source: "s", Fields: []contract.Field{
		{Name: "service", Type: contract.Ref, To: "services", Required: true, Class: contract.Open}, {Name: "active", Type: contract.Boolean, Required: true, Class: contract.Open},
		{Name: "mobile", Type: contract.Boolean, Class: contract.Open}, {Name: "kind", Type: contract.Code, Class: contract.Open}, {Name: "secret", Type: contract.Code},
	}}
	set, err := contract.NewSet("t.", zone, []*contract.Contract{changed}, refs)
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, set, nil)
	q := queries.New(w, nil, refs, queries.Options{Now: func() time.Time { return now }})
	ask := func(on, known string) string {
		t.Helper()
		list, fields, err := q.Descriptions(context.Background(), services, day(on), day(known))
		if err != nil {
			t.Fatal(err)
		}
		if list == nil {
			return "nothing"
		}
		if !slices.Equal(fields, []string{"active", "mobile", "kind"}) {
			t.Errorf("fields are %v", fields)
		}
		var said []string
		for _, d := range list {
			said = append(said, fmt.Sprintf("%s:%s%s", d.Code, d.Values["kind"], map[string]string{"true": "+", "false": "-", "": "?"}[d.Values["mobile"]]))
		}
		return strings.Join(said, " ")
	}
	if got := ask("2024-06-30", ""); got != "nothing" {
		t.Errorf("without any event: %s", got)
	}
	var rows []warehousetest.Row
	put := func(id uint64, rev uint32, sign int8, at, cut, service string, data map[string]any) {
		moment, err := time.ParseInLocation("2006-01-02 15:04", at, zone)
		if err != nil {
			t.Fatal(err)
		}
		data["service"] = service
		if data["active"] == nil {
			data["active"] = true
		}
		data["secret"] = "s"
		rows = append(rows, warehousetest.Row{ID: id, Rev: rev, Sign: sign, Time: moment, Cut: day(cut), Data: data})
	}
	put(1, 0, 1, "2024-01-01 00:00", "2024-01-01", "a", map[string]any{"kind": "x", "mobile": false})
	put(2, 0, 1, "2024-06-30 23:59", "2024-06-30", "a", map[string]any{"kind": "x", "mobile": true}) // the last minute of the day counts
	put(3, 0, 1, "2024-07-01 00:00", "2024-07-01", "a", map[string]any{"kind": "y"})                 // whether mobile is not known any more
	put(4, 0, 1, "2024-02-01 10:00", "2024-09-10", "b", map[string]any{"kind": "late"})              // told seven months late
	// Two of one moment: what was received later stands.
	put(5, 0, 1, "2024-03-01 10:00", "2024-03-01", "c", map[string]any{"kind": "first"})
	put(6, 0, 1, "2024-03-01 10:00", "2024-03-02", "c", map[string]any{"kind": "second"})
	// d is described, the description corrected in August, and withdrawn in October.
	put(7, 0, 1, "2024-04-01 10:00", "2024-04-01", "d", map[string]any{"kind": "wrong"})
	put(7, 0, -1, "2024-04-01 10:00", "2024-08-01", "d", map[string]any{"kind": "wrong"})
	put(7, 1, 1, "2024-04-01 10:00", "2024-08-01", "d", map[string]any{"kind": "right"})
	put(7, 1, -1, "2024-04-01 10:00", "2024-10-01", "d", map[string]any{"kind": "right"})
	put(8, 0, 1, "2024-11-01 10:00", "2024-11-01", "a", map[string]any{"kind": "y", "active": false})
	for i := range rows {
		rows[i].Batch = uint64(rows[i].Cut.Time().Month())
		rows[i].Seq = rows[i].Batch<<20 + uint64(i)
	}
	warehousetest.Insert(t, w, changed, rows)
	for _, c := range []struct{ on, known, want string }{
		{"2023-12-31", "", ""},
		{"2024-01-01", "", "a:x-"},
		{"2024-06-29", "", "a:x- b:late? c:second?"},
		{"2024-06-30", "", "a:x+ b:late? c:second?"},
		{"2024-07-01", "", "a:y? b:late? c:second?"},
		{"2024-10-31", "", "a:y? b:late? c:second?"},
		{"2024-11-01", "", "b:late? c:second?"},
		{"2024-06-30", "2023-12-31", "nothing"},
		{"2024-06-30", "2024-06-30", "a:x+ c:second? d:wrong?"},
		{"2024-06-30", "2024-03-01", "a:x- c:first?"},
		{"2024-06-30", "2024-08-01", "a:x+ c:second? d:right?"},
		{"2024-06-30", "2024-09-09", "a:x+ c:second? d:right?"},
		{"2024-06-30", "2024-09-10", "a:x+ b:late? c:second? d:right?"},
		{"2024-06-30", "2024-10-01", "a:x+ b:late? c:second?"},
	} {
		if got := ask(c.on, c.known); got != c.want {
			t.Errorf("on %s, known on %q: %q, want %q", c.on, c.known, got, c.want)
		}
	}
	for _, c := range []struct{ code, known, want string }{
		{"a", "", "2024-01-01 x-, 2024-06-30 x+, 2024-07-01 y?, 2024-11-01 y? out"},
		{"a", "2024-06-30", "2024-01-01 x-, 2024-06-30 x+"},
		{"b", "2024-09-09", ""},
		{"c", "", "2024-03-01 second?"},
		{"c", "2024-03-01", "2024-03-01 first?"},
		{"d", "2024-09-30", "2024-04-01 right?"},
		{"d", "", ""},
		{"nobody'); --", "", ""},
	} {
		list, _, err := q.History(context.Background(), services, c.code, day(c.known))
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, d := range list {
			text := d.Since.In(zone).Format(time.DateOnly) + " " + d.Values["kind"] + map[string]string{"true": "+", "false": "-", "": "?"}[d.Values["mobile"]]
			if d.Values["active"] == "false" {
				text += " out"
			}
			said = append(said, text)
		}
		if got := strings.Join(said, ", "); got != c.want {
			t.Errorf("history of %s, known on %q: %q, want %q", c.code, c.known, got, c.want)
		}
	}
	if list, _, err := q.History(context.Background(), regions, "1", 0); list != nil || err != nil {
		t.Errorf("history in a table that no event changes: %v %v", list, err)
	}
	if list, _, err := q.Descriptions(context.Background(), regions, day("2024-06-30"), 0); list != nil || err != nil {
		t.Errorf("a table that no event changes: %v %v", list, err)
	}
	if _, _, err := q.Descriptions(context.Background(), services, day("2024-06-30"), day("2025-01-01")); problem.KindOf(err) != problem.BadInput {
		t.Errorf("known on a day to come: %v", err)
	}
}
