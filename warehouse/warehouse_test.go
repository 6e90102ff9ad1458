package warehouse_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/engine"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

var tashkent = func() *time.Location {
	zone, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		panic(err)
	}
	return zone
}()

// request is a contract with a field of every type.
func request(extra ...contract.Field) *contract.Contract {
	return &contract.Contract{
		Type: "t.request.v1", Name: "request", Major: 1, Title: reference.Names{"en": "A request"}, About: "One request; it's a test.", Source: "portal",
		Fields: append([]contract.Field{
			{Name: "region", Type: contract.Code},
			{Name: "outcome", Type: contract.Enum, Values: []string{"approved", "rejected"}, Required: true},
			{Name: "note", Type: contract.Text},
			{Name: "applicant", Type: contract.Person, ID: "pinfl", Class: contract.Personal},
			{Name: "submitted", Type: contract.Timestamp},
			{Name: "due", Type: contract.Date},
			{Name: "fee", Type: contract.Money, Unit: "tiyin"},
			{Name: "area", Type: contract.Decimal, Scale: 2},
			{Name: "mobile", Type: contract.Boolean},
			{Name: "took", Type: contract.Duration},
			{Name: "weight", Type: contract.Number},
		}, extra...),
	}
}

func setOf(t *testing.T, contracts ...*contract.Contract) *contract.Set {
	t.Helper()
	set, err := contract.NewSet("t.", tashkent, contracts, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func formula(t testing.TB, text string) *kpi.Formula {
	t.Helper()
	f, err := kpi.ParseFormula(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func measure(t *testing.T, id, numerator string, rollups ...[]string) *kpi.KPI {
	return &kpi.KPI{ID: id, Unit: kpi.Count, File: id + ".yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request"},
		Valid: reference.Span{From: reference.NoDay, To: reference.NoDay}, Numerator: formula(t, numerator), Rollups: rollups, Persons: "applicant"}}}
}

func day(s string) reference.Day {
	d, err := reference.ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

func rows(n int, batch uint64, from time.Time) []warehousetest.Row {
	var list []warehousetest.Row
	for i := range n {
		at := from.Add(time.Duration(i) * 37 * time.Minute)
		list = append(list, warehousetest.Row{ID: batch<<20 + uint64(i), Batch: batch, Time: at, Cut: reference.DayOf(from), Data: map[string]any{
			"region": []string{"north", "south", ""}[i%3], "outcome": []string{"approved", "rejected"}[i%2], "note": "oʻ'\\\n", "applicant": uint64(i % 40),
			"submitted": at.Add(-time.Hour), "due": day("2024-02-01"), "fee": 100 + i, "area": i, "mobile": i%4 == 0, "took": 1000, "weight": 1.5,
		}})
	}
	return list
}

func sum(t *testing.T, w *warehouse.Warehouse, sql string) string {
	t.Helper()
	body, err := w.Raw(context.Background(), sql, nil, "TSV")
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestInsertApplyAndCorrect(t *testing.T) {
	ctx := context.Background()
	c := request()
	w := warehousetest.Open(t, setOf(t, c), []*kpi.KPI{
		measure(t, "fees", "sum(fee)", []string{"region"}, []string{"region", "outcome"}),
		measure(t, "areas", "sumIf(area, outcome = 'approved')", []string{"mobile"}),
		measure(t, "mornings", "countIf(toHour(time) < 12)"),
	})
	list := rows(200, 7, time.Date(2024, 1, 31, 20, 0, 0, 0, time.UTC))
	cut := day("2024-01-31")
	stream := warehousetest.Stream(t, c, tashkent, list)
	for range 2 { // the same bytes again are dropped
		if err := w.InsertFacts(ctx, c, bytes.NewReader(stream)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.BatchRows(ctx, c, cut, 7); err != nil || n != 200 {
		t.Fatalf("BatchRows = %d, %v; want 200", n, err)
	}
	for range 3 { // applying again changes nothing
		if err := w.ApplyRollups(ctx, c, cut, 7); err != nil {
			t.Fatal(err)
		}
	}
	// A correction takes the third row back and puts another in its place.
	old := list[3]
	body, err := w.FactRows(ctx, c, [][16]byte{warehousetest.Hash(old.ID), warehousetest.Hash(99999)}, 7<<20)
	if err != nil {
		t.Fatal(err)
	}
	checkFactRows(t, body, old)
	minus, plus := old, old
	minus.Sign, minus.Batch, minus.Seq, minus.Cut = -1, 9, 9<<20, day("2024-02-02")
	plus.Rev, plus.Batch, plus.Seq, plus.Cut = 1, 9, 9<<20+1, day("2024-02-02")
	plus.Data = map[string]any{"outcome": "approved", "region": "north", "fee": 1_000_000}
	warehousetest.Insert(t, w, c, []warehousetest.Row{minus, plus})
	body, err = w.FactRows(ctx, c, [][16]byte{warehousetest.Hash(old.ID)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	checkFactRows(t, body, plus)

	differences, err := w.Verify(ctx)
	if err != nil || len(differences) > 0 {
		t.Fatalf("Verify: %v, %v", differences, err)
	}
	for _, r := range w.Rollups(c) {
		var have, want string
		for _, text := range []string{"sum(fee)", "sumIf(area, outcome = 'approved')", "countIf(toHour(time) < 12)"} {
			term := formula(t, text).Terms[0]
			column, ok := r.Column(term)
			if !ok {
				continue
			}
			have += sum(t, w, "SELECT sum("+column+"), sum(_n) FROM "+w.Table(r)) + " "
			want += sum(t, w, "SELECT "+warehouse.Signed(term)+", sum(_sign) FROM "+w.From(c, "1", term.Of, term.If)) + " "
		}
		if have != want {
			t.Errorf("%s has %s, facts have %s", r.Name, have, want)
		}
	}
	// Refilling a month from facts gives the same.
	before := sum(t, w, "SELECT sum(_n), max(_through) FROM "+w.Table(w.Rollups(c)[0]))
	if err := w.Refill(ctx, c, cut); err != nil {
		t.Fatal(err)
	}
	if after := sum(t, w, "SELECT sum(_n), max(_through) FROM "+w.Table(w.Rollups(c)[0])); after != before {
		t.Errorf("after Refill %s, before %s", after, before)
	}
	fresh, err := w.Freshness(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if want := list[199].Time; !fresh.Through.Equal(want) || fresh.Batch != 9 || fresh.Loaded.IsZero() {
		t.Errorf("Freshness = %+v, want through %s, batch 9", fresh, want)
	}
	senders, err := w.Senders(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// Loaded today, but received no later than on the correction's day.
	received := time.Date(2024, 2, 2, 23, 59, 59, 0, w.Zone())
	if len(senders) != 1 || senders[0].Source != "test" || senders[0].Rows != 200 || !senders[0].Last.Equal(list[199].Time) || !senders[0].Received.Equal(received) {
		t.Errorf("Senders = %+v, want 200 rows until %s, received %s", senders, list[199].Time, received)
	}
	status, err := w.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status.Rows != 202 || status.Engine == "" || status.Bytes == 0 || status.Loaded == nil {
		t.Errorf("Status = %+v, want 202 rows", status)
	}
	if _, err := w.Raw(ctx, "DROP TABLE "+w.Facts(c), nil, "TSV"); err == nil {
		t.Error("Raw dropped a table")
	}
}

// TestSendersOfData: a source is as fresh as its data, whatever it has closed since.
func TestSendersOfData(t *testing.T) {
	c := request()
	set := setOf(t, append(contract.BuiltIn("t."), c)...)
	w := warehousetest.Open(t, set, nil)
	list := rows(6, 7, time.Date(2024, 1, 31, 20, 0, 0, 0, time.UTC))
	warehousetest.Insert(t, w, c, list)
	said := func(source string) warehousetest.Row {
		return warehousetest.Row{ID: uint64(len(source)), Time: list[5].Time.AddDate(0, 1, 0), Source: source, Cut: list[5].Cut, Batch: 7, Seq: 7<<20 + 100 + uint64(len(source)),
			Data: map[string]any{"source": source, "contract": c.Name, "from": list[0].Day(tashkent), "to": list[0].Day(tashkent)}}
	}
	warehousetest.Insert(t, w, set.ByName(contract.PeriodClosed, 0), []warehousetest.Row{said("test"), said("empty")})
	senders, err := w.Senders(context.Background())
	if err != nil || len(senders) != 2 {
		t.Fatal(senders, err)
	}
	if empty := senders[0]; empty.Source != "empty" || empty.Rows != 1 || !empty.Last.IsZero() || empty.Received.IsZero() {
		t.Errorf("who only closed a period has %+v", empty)
	}
	if test := senders[1]; test.Source != "test" || test.Rows != 7 || !test.Last.Equal(list[5].Time) {
		t.Errorf("its newest data are of %s, not %+v", list[5].Time, test)
	}
}

// checkFactRows wants one row: that of r.
// TestStanding: what stood before a sequence, of a source and its days.
func TestStanding(t *testing.T) {
	ctx := context.Background()
	c := request()
	w := warehousetest.Open(t, setOf(t, c), nil)
	list := rows(6, 7, time.Date(2024, 1, 31, 20, 0, 0, 0, time.UTC))
	first := list[0].Day(tashkent)
	for i := range list {
		list[i].Time = list[0].Time // of one day
		list[i].Source = []string{"portal", "O'Hara \\ 'x"}[i%2]
	}
	list[4].Time = list[0].Time.AddDate(0, 0, 1)
	warehousetest.Insert(t, w, c, list)
	// At message 9, row 0 is corrected, row 2 withdrawn.
	minus, plus, gone := list[0], list[0], list[2]
	minus.Sign, plus.Rev, gone.Sign = -1, 3, -1
	changes := []warehousetest.Row{minus, plus, gone}
	for i := range changes {
		changes[i].Batch, changes[i].Seq = 9, 9<<20+uint64(i)
	}
	warehousetest.Insert(t, w, c, changes)
	standing := func(source string, before uint64, days ...reference.Day) string {
		var got []string
		if err := w.Standing(ctx, c, source, days, before, func(id [16]byte, revision uint32, at time.Time) error {
			for i := range list {
				if warehousetest.Hash(list[i].ID) == id && list[i].Time.Equal(at) {
					got = append(got, fmt.Sprintf("%d.%d", i, revision))
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return strings.Join(got, " ")
	}
	for _, q := range []struct {
		source string
		before uint64
		days   []reference.Day
		want   string
	}{
		{"portal", 10 << 20, []reference.Day{first}, "0.3"},
		{"portal", 9 << 20, []reference.Day{first}, "0.0 2.0"},
		{"portal", 10 << 20, []reference.Day{first + 1, first}, "0.3 4.0"},
		{"O'Hara \\ 'x", 10 << 20, []reference.Day{first}, "1.0 3.0 5.0"},
		{"nobody", 10 << 20, []reference.Day{first}, ""},
		{"portal", 10 << 20, nil, ""},
	} {
		if got := standing(q.source, q.before, q.days...); got != q.want {
			t.Errorf("%q before %d on %v: %q, want %q", q.source, q.before, q.days, got, q.want)
		}
	}
	many := make([]reference.Day, warehouse.MaxDays)
	for i := range many {
		many[i] = first + reference.Day(i)
	}
	if got := standing("portal", 10<<20, many...); got != "0.3 4.0" {
		t.Errorf("on %d days: %q", len(many), got)
	}
	if err := w.Standing(ctx, c, "portal", append(many, first), 0, nil); problem.KindOf(err) != problem.TooLarge {
		t.Errorf("too many days: %v", err)
	}
}

func checkFactRows(t *testing.T, body io.ReadCloser, r warehousetest.Row) {
	t.Helper()
	defer body.Close()
	reader, err := ipc.NewReader(body)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for reader.Next() {
		record := reader.Record()
		n += int(record.NumRows())
		if record.NumRows() == 0 {
			continue
		}
		if got := record.ColumnName(0); got != "_id" {
			t.Errorf("first column is %s", got)
		}
		id := record.Column(0).(*array.FixedSizeBinary).Value(0)
		if want := warehousetest.Hash(r.ID); !bytes.Equal(id, want[:]) {
			t.Errorf("_id is %x, want %x", id, want)
		}
		if rev := record.Column(1).(*array.Uint32).Value(0); rev != r.Rev {
			t.Errorf("_rev is %d, want %d", rev, r.Rev)
		}
	}
	if err := reader.Err(); err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("FactRows gave %d rows, want 1", n)
	}
}

func TestInsertRefusesTwoMonths(t *testing.T) {
	c := request()
	w := warehousetest.Open(t, setOf(t, c), nil)
	list := rows(2, 1, time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC))
	list[1].Cut = day("2024-02-01")
	if err := w.InsertFacts(context.Background(), c, bytes.NewReader(warehousetest.Stream(t, c, tashkent, list))); err == nil {
		t.Fatal("an insert over two months of receipt was taken")
	}
	if n, err := w.BatchRows(context.Background(), c, day("2024-01-31"), 1); n != 0 || err != nil {
		t.Errorf("%d rows stayed, %v", n, err)
	}
}

// TestChangedDefinitions opens the same databases with other KPIs: what is new is
// filled from facts, what is gone is dropped, what a crash left undone is applied.
func TestChangedDefinitions(t *testing.T) {
	ctx := context.Background()
	c := request()
	prefix := warehousetest.Prefix()
	w := warehousetest.Reopen(t, prefix, setOf(t, c), []*kpi.KPI{measure(t, "fees", "sum(fee)", []string{"region"})})
	warehousetest.Insert(t, w, c, rows(100, 1, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)))
	warehousetest.Insert(t, w, c, rows(100, 2, time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)))
	// A crash after the facts: no rollup holds batch 3.
	if err := w.InsertFacts(ctx, c, bytes.NewReader(warehousetest.Stream(t, c, tashkent, rows(50, 3, time.Date(2024, 2, 3, 0, 0, 0, 0, time.UTC))))); err != nil {
		t.Fatal(err)
	}
	c = request()
	w = warehousetest.Reopen(t, prefix, setOf(t, c), []*kpi.KPI{
		measure(t, "fees", "sum(fee) - count()", []string{"region"}),
		measure(t, "areas", "sum(area)", []string{"outcome"}, []string{"region"}),
	})
	if differences, err := w.Verify(ctx); err != nil || len(differences) > 0 {
		t.Fatalf("Verify: %v, %v", differences, err)
	}
	var have []string
	for _, r := range w.Rollups(c) {
		have = append(have, r.Name+" "+sum(t, w, "SELECT sum(_n) FROM "+w.Table(r)))
	}
	want := "request_v1__time___source 250, request_v1__time__region 250, request_v1__time__outcome 250"
	if got := strings.Join(have, ", "); got != want {
		t.Errorf("rollups: %s; want %s", got, want)
	}
	term := formula(t, "sum(area)").Terms[0]
	for _, r := range w.Rollups(c) {
		column, ok := r.Column(term)
		if !ok {
			t.Fatalf("%s has no sum(area)", r.Name)
		}
		if got, want := sum(t, w, "SELECT sum("+column+") FROM "+w.Table(r)), sum(t, w, "SELECT sum(area) FROM "+w.Facts(c)); got != want {
			t.Errorf("%s: Σ area %s, facts %s", r.Name, got, want)
		}
	}
}

func TestContractChanges(t *testing.T) {
	prefix := warehousetest.Prefix()
	warehousetest.Reopen(t, prefix, setOf(t, request()), nil)
	t.Run("optional field and new value", func(t *testing.T) {
		c := request(contract.Field{Name: "channel", Type: contract.Code}, contract.Field{Name: "stars", Type: contract.Integer})
		c.Fields[1].Values = append(c.Fields[1].Values, "withdrawn")
		c.Fields[0].Title = reference.Names{"en": "Region of the applicant"}
		w := warehousetest.Reopen(t, prefix, setOf(t, c), nil)
		warehousetest.Insert(t, w, c, rows(3, 1, time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)))
		if got := sum(t, w, fmt.Sprintf("SELECT comment FROM system.columns WHERE database = '%sfacts' AND name = 'region'", prefix)); got != "Region of the applicant" {
			t.Errorf("comment is %q", got)
		}
	})
	for name, c := range map[string]*contract.Contract{
		"channel, stars: gone":      request(),
		"level is new and required": request(contract.Field{Name: "channel", Type: contract.Code}, contract.Field{Name: "stars", Type: contract.Integer}, contract.Field{Name: "level", Type: contract.Integer, Required: true}),
		"stars was Nullable(Int64)": request(contract.Field{Name: "channel", Type: contract.Code}, contract.Field{Name: "stars", Type: contract.Number}),
	} {
		t.Run(name, func(t *testing.T) {
			w, err := warehouse.Open(context.Background(), warehousetest.Config(t, prefix), setOf(t, c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			err = w.Migrate(context.Background())
			if problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "new major version") {
				t.Fatalf("Migrate = %v, want a Conflict that asks for a new major version", err)
			}
			if !strings.Contains(err.Error(), strings.TrimPrefix(name, "channel, ")) && !strings.Contains(err.Error(), "stars is gone") {
				t.Errorf("Migrate = %v, want it to name %s", err, name)
			}
		})
	}
}

// TestSortedByAnEarlierBuild opens facts that lie in the order of earlier builds, and
// what a migration left that was cut short: the same rows in the order of today.
func TestSortedByAnEarlierBuild(t *testing.T) {
	prefix, c, e := warehousetest.Prefix(), request(), enginetest.Shared(t)
	w := warehousetest.Reopen(t, prefix, setOf(t, c), nil)
	facts := w.Facts(c)
	twin := strings.TrimSuffix(facts, "`") + "__sorted`"
	e.Exec(t, "CREATE TABLE "+prefix+"facts.before AS "+facts+" ENGINE = MergeTree PARTITION BY toYYYYMM(_cut) ORDER BY (_day, region, time)")
	e.Exec(t, "EXCHANGE TABLES "+prefix+"facts.before AND "+facts)
	e.Exec(t, "RENAME TABLE "+prefix+"facts.before TO "+twin)
	for month, batch := range []uint64{1, 2} {
		warehousetest.Insert(t, w, c, rows(5000, batch, time.Date(2024, 1+time.Month(month), 1, 0, 0, 0, 0, time.UTC)))
	}
	e.Exec(t, "INSERT INTO "+twin+" SELECT * FROM "+facts+" LIMIT 10")
	content := "SELECT count(), sum(cityHash64(*)) FROM " + facts
	want := sum(t, w, content)
	for range 2 {
		w = warehousetest.Reopen(t, prefix, setOf(t, c), nil)
		if got := sum(t, w, content); got != want {
			t.Errorf("rows and their hash are %q, before it was %q", got, want)
		}
		got := sum(t, w, "SELECT name, sorting_key, partition_key FROM system.tables WHERE database = '"+prefix+"facts'")
		if want := c.Table() + "\t_day, outcome, region, _seq\ttoYYYYMM(_cut)"; got != want {
			t.Errorf("tables are %q, want %q", got, want)
		}
	}
}

func TestFloatSumsAreRefused(t *testing.T) {
	w, err := warehouse.Open(context.Background(), warehousetest.Config(t, warehousetest.Prefix()), setOf(t, request()), []*kpi.KPI{measure(t, "weights", "sum(weight)")})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Migrate(context.Background()); problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), "Float64") {
		t.Errorf("Migrate = %v, want a refusal of the float", err)
	}
}

func TestCheck(t *testing.T) {
	w := warehousetest.Open(t, setOf(t, request()), nil)
	columns := []string{"region", "outcome", "time", "fee", "mobile", "submitted", "from"}
	for _, good := range []string{
		"region", "outcome IN ('approved', 'rejected') AND NOT mobile", "fee BETWEEN 1 AND 2", "toHour(time) < 12",
		"CASE WHEN fee > 1 THEN 1 ELSE 0 END", "`from` = 'a;b--c'", "dateDiff('hour', submitted, time)", "fee::Int64 + 1", "fee IS NULL", "region LIKE '%x%'",
		"fee IN (1, 2, 3)", "-fee", "if(mobile, fee, 0)", "submitted + INTERVAL 1 DAY < time", "region = 'it''s \\' (alias x)'",
	} {
		if err := w.Check(context.Background(), good, columns); err != nil {
			t.Errorf("Check(%q) = %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"":                                       "empty",
		"fee; DROP TABLE x":                      "not allowed",
		"fee -- x":                               "comments",
		"fee /* x */":                            "comments",
		"fee) OR (mobile":                        "one expression",
		"fee, mobile":                            "one expression",
		"fee) FROM system.tables WHERE (1":       "one expression",
		"(SELECT 1)":                             "subquery",
		"fee IN (SELECT 1)":                      "subquery",
		"exists(SELECT 1)":                       "not allowed",
		"file('/etc/hostname')":                  "file is not allowed",
		"sleep(3)":                               "sleep is not allowed",
		"getSetting('x')":                        "not allowed",
		"hostName()":                             "not allowed",
		"rand()":                                 "not allowed",
		"dictGet('a', 'b', 1)":                   "not allowed",
		"sum(fee)":                               "sum is not allowed",
		"unknown + 1":                            `no field "unknown"`,
		"system.one.dummy":                       "no field",
		"*":                                      "",
		"fee AS x":                               "AS",
		"(x -> x)(fee)":                          "",
		"sum(fee) OVER ()":                       "not allowed",
		"{p:String}":                             "not allowed",
		"@@version":                              "not allowed",
		"$$x$$":                                  "not allowed",
		"'unclosed":                              "not closed",
		"fee +":                                  `cannot read "fee +" as an expression: it ends too early`,
		"fee + ) fee":                            "cannot read",
		"fee 17 + 2":                             `it is not understood from "17 + 2" on`,
		"columns('.*')":                          "not allowed",
		"fee) SETTINGS max_threads = (1":         "",
		"fee) INTO OUTFILE '/tmp/x' FORMAT (CSV": "",
		strings.Repeat("fee + ", 1000) + "1":     "longer",
	} {
		err := w.Check(context.Background(), bad, columns)
		if problem.KindOf(err) != problem.BadInput || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%.60q) = %v, want BadInput with %q", bad, err, want)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	set := setOf(t, request())
	for name, c := range map[string]struct {
		config warehouse.Config
		kind   problem.Kind
	}{
		"no address": {warehouse.Config{}, problem.BadInput},
		"both":       {warehouse.Config{Socket: "x", URL: "http://h"}, problem.BadInput},
		"bad URL":    {warehouse.Config{URL: "tcp://u:secret@h"}, problem.BadInput},
		"nobody":     {warehouse.Config{Socket: t.TempDir() + "/none"}, problem.Unavailable},
		"k":          {warehouse.Config{Socket: "x", Persons: 101}, problem.BadInput},
	} {
		_, err := warehouse.Open(context.Background(), c.config, set, nil)
		if err == nil || problem.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is printed: %v", name, err)
		}
	}
}

// TestGathered holds rollups that were summed from gathered rows against the same from
// facts: sums, buckets, persons below and above k, hours, rows that were taken back; and lets one
// of them lag behind the others, as after a crash between two.
func TestGathered(t *testing.T) {
	ctx := context.Background()
	c := request()
	took := measure(t, "took", "count()", []string{"region", "outcome"}, []string{"region"})
	took.Versions[0].Numerator, took.Versions[0].Distribution = nil, &kpi.Distribution{Of: "area", If: "outcome = 'approved'", Quantiles: []float64{0.5}}
	hours := measure(t, "hours", "sumIf(area, mobile)", []string{"region", "mobile"}, []string{"mobile"})
	hours.Versions[0].Grain = "hour"
	w := warehousetest.Open(t, setOf(t, c), []*kpi.KPI{took, hours, measure(t, "fees", "sum(fee)", []string{"region", "outcome"}, []string{"outcome", "mobile"})})
	plus := rows(2000, 1, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC))
	for i := range plus { // dozens in one cell of rollups
		plus[i].Time = plus[0].Time.Add(time.Duration(i) * time.Minute)
	}
	minus := slices.Clone(plus[:50])
	for i := range minus {
		minus[i].Sign, minus[i].Batch, minus[i].Seq = -1, 2, 2<<20+uint64(i)
	}
	contents := func() (all []string) {
		for _, r := range w.Rollups(c) {
			columns := sum(t, w, "SELECT arrayStringConcat(groupArray(if(startsWith(type, 'AggregateFunction'), 'finalizeAggregation(' || name || ')', name)), ', ') FROM system.columns "+
				"WHERE name != '_loaded' AND database || '.' || table = '"+strings.ReplaceAll(w.Table(r), "`", "")+"'")
			all = append(all, r.Name+"\n"+sum(t, w, "SELECT "+columns+" FROM "+w.Table(r)+" FINAL ORDER BY ALL"))
		}
		return all
	}
	warehousetest.Insert(t, w, c, plus)
	// Where the last one stayed behind, its family is not filled together.
	last := w.Rollups(c)[len(w.Rollups(c))-1]
	enginetest.Shared(t).Exec(t, "TRUNCATE TABLE "+w.Table(last))
	warehousetest.Insert(t, w, c, minus)
	gathered := contents()
	if err := w.Refill(ctx, c, day("2024-03-01")); err != nil {
		t.Fatal(err)
	}
	for i, filled := range contents() {
		if gathered[i] != filled || strings.Count(filled, "\n") == 0 {
			t.Errorf("gathered:\n%s\nfrom facts:\n%s", gathered[i], filled)
		}
	}
	if left := sum(t, w, "SELECT count() FROM system.tables WHERE position(name, '__gathered') > 0"); left != "0" {
		t.Errorf("%s tables of gathered rows are left", left)
	}
}

// TestMergedAway takes every row back: the engine merges what is left to rows of
// nothing but zeros, and what was applied is still known.
func TestMergedAway(t *testing.T) {
	ctx := context.Background()
	c := request()
	w := warehousetest.Open(t, setOf(t, c), []*kpi.KPI{measure(t, "fees", "sum(fee)", []string{"region"})})
	plus := rows(20, 1, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC))
	minus := rows(20, 1, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC))
	for i := range minus {
		minus[i].Sign, minus[i].Batch, minus[i].Seq = -1, 2, 2<<20+uint64(i)
	}
	warehousetest.Insert(t, w, c, append(plus, minus...))
	for _, r := range w.Rollups(c) {
		enginetest.Shared(t).Exec(t, "OPTIMIZE TABLE "+w.Table(r)+" FINAL")
	}
	for batch := range uint64(3) {
		if err := w.ApplyRollups(ctx, c, day("2024-03-01"), batch); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range w.Rollups(c) {
		if got := sum(t, w, "SELECT sum(_n), sum(_retracted), max(_through) FROM "+w.Table(r)); got != "0\t20\t2" {
			t.Errorf("%s holds %q, want nothing, 20 taken back, through 2", r.Name, got)
		}
	}
}

// TestByURL reaches the engine as a server is reached, and says so when it is gone.
func TestByURL(t *testing.T) {
	ctx := context.Background()
	e := enginetest.StartWith(t, engine.Config{Listen: "127.0.0.1:0"})
	c := request()
	w, err := warehouse.Open(ctx, warehouse.Config{URL: "http://default@" + e.State().Address, Prefix: "u_", Timeout: 20 * time.Second}, setOf(t, c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	warehousetest.Insert(t, w, c, rows(5, 1, time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)))
	if n, err := w.BatchRows(ctx, c, day("2024-03-01"), 1); err != nil || n != 5 {
		t.Errorf("BatchRows = %d, %v", n, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.BatchRows(ctx, c, day("2024-03-01"), 1); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("without an engine: %v, want Unavailable", err)
	}
	if err := w.InsertFacts(ctx, c, bytes.NewReader(warehousetest.Stream(t, c, tashkent, rows(1, 2, time.Now())))); problem.KindOf(err) != problem.Unavailable {
		t.Errorf("without an engine: %v, want Unavailable", err)
	}
}

// zeros is a stream without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestInsertRefusesWhatIsTooLarge(t *testing.T) {
	c := request()
	w := warehousetest.Open(t, setOf(t, c), nil)
	// A whole stream, and then more than an insert may hold.
	stream := io.MultiReader(bytes.NewReader(warehousetest.Stream(t, c, tashkent, rows(3, 1, time.Date(2024, 1, 31, 0, 0, 0, 0, time.UTC)))), zeros{})
	err := w.InsertFacts(context.Background(), c, stream)
	if problem.KindOf(err) != problem.TooLarge {
		t.Errorf("InsertFacts = %v, want TooLarge", err)
	}
	if n, err := w.BatchRows(context.Background(), c, day("2024-01-31"), 1); n != 0 || err != nil {
		t.Errorf("%d rows stayed, %v", n, err)
	}
}
