package queries_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

var zone = func() *time.Location {
	z, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		panic(err)
	}
	return z
}()

func day(s string) reference.Day {
	if s == "" {
		return 0
	}
	d, err := reference.ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

// now is the day on which the tests ask.
var now = time.Date(2024, 12, 10, 12, 0, 0, 0, zone)

const regionsCSV = "code,name_en,name_uz,aliases\n1703,Andijan,Andijon viloyati,UZ-AN\n1726,Tashkent city,Toshkent shahri,\n1730,Fergana,Fargʻona viloyati,\n"

// schoolQuarters have holidays between them, a leap day and a new year in the middle.
var schoolQuarters = []reference.Quarter{
	{Code: "2022-3", Valid: reference.Span{From: day("2023-01-11"), To: day("2023-03-20")}},
	{Code: "2023-3", Valid: reference.Span{From: day("2024-01-11"), To: day("2024-03-20")}},
	{Code: "2023-4", Valid: reference.Span{From: day("2024-03-28"), To: day("2024-05-25")}},
	{Code: "2024-1", Valid: reference.Span{From: day("2024-09-02"), To: day("2024-11-03")}},
	{Code: "2024-2", Valid: reference.Span{From: day("2024-11-10"), To: day("2025-01-20")}},
}

type fixture struct {
	set                      *contract.Set
	refs                     *reference.Set
	kpis                     []*kpi.KPI
	decided, changed, figure *contract.Contract
	targets                  []*kpi.Target
}

func formula(t testing.TB, text string) *kpi.Formula {
	t.Helper()
	if text == "" {
		return nil
	}
	f, err := kpi.ParseFormula(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// part is a formula whose terms name their contract.
func part(t testing.TB, from, text, at string) *kpi.Formula {
	t.Helper()
	f := formula(t, text)
	for i := range f.Terms {
		f.Terms[i].From, f.Terms[i].At = from, at
	}
	return f
}

var always = reference.Span{From: reference.NoDay, To: reference.NoDay}

// country is a small one, with a KPI of every kind.
func country(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{}
	var issues problem.Issues
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader(regionsCSV), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	f.refs = reference.NewSet(&reference.Calendar{Zone: zone, FiscalMonth: time.April, Quarters: schoolQuarters}, regions)
	f.decided = &contract.Contract{Type: "t.request.decided.v1", Name: "request.decided", Major: 1, Title: reference.Names{"en": "Request decided"}, About: "A decision.", Source: "portal", Fields: []contract.Field{
		{Name: "region", Type: contract.Ref, To: "regions"},
		{Name: "agency", Type: contract.Code},
		{Name: "processing", Type: contract.Enum, Values: []string{"automatic", "officer_online", "offline"}, Required: true},
		{Name: "mobile", Type: contract.Boolean},
		{Name: "applicant", Type: contract.Person, ID: "pinfl", Class: contract.Personal},
		{Name: "submitted_at", Type: contract.Timestamp, Required: true},
		{Name: "fee", Type: contract.Money, Unit: "tiyin"},
		{Name: "area", Type: contract.Decimal, Scale: 2},
		{Name: "score", Type: contract.Integer},
		{Name: "numerator", Type: contract.Integer}, // a name that a column of the answer might have
	}}
	f.changed = &contract.Contract{Type: "t.service.changed.v1", Name: "service.changed", Major: 1, Title: reference.Names{"en": "Service changed"}, About: "A service.", Source: "catalogue", Fields: []contract.Field{
		{Name: "service", Type: contract.Code, Required: true},
		{Name: "active", Type: contract.Boolean, Required: true},
		{Name: "kind", Type: contract.Code},
		{Name: "mobile", Type: contract.Boolean},
	}}
	f.figure = &contract.Contract{Type: "t.figure.v1", Name: "figure", Major: 1, Kind: contract.Figure, Window: contract.Window{From: "window_from", To: "window_to"},
		Title: reference.Names{"en": "Figure"}, About: "A total.", Source: "agencies", Fields: []contract.Field{
			{Name: "window_from", Type: contract.Date, Required: true},
			{Name: "window_to", Type: contract.Date, Required: true},
			{Name: "service", Type: contract.Code},
			{Name: "volume", Type: contract.Integer},
			{Name: "digital", Type: contract.Integer},
			{Name: "cost", Type: contract.Decimal, Scale: 2},
			{Name: "state", Type: contract.Enum, Values: []string{"value", "not_applicable", "not_provided"}},
		}}
	var err error
	if f.set, err = contract.NewSet("t.", zone, []*contract.Contract{f.decided, f.changed, f.figure}, f.refs); err != nil {
		t.Fatal(err)
	}
	add := func(id string, unit kpi.Unit, v kpi.Version) *kpi.KPI {
		v.Version, v.Valid, v.Source = 1, always, reference.Names{"en": "the tests"}
		if v.Basis == "" {
			v.Basis = kpi.Events
		}
		if v.Basis == kpi.Events && v.From == nil {
			v.From = []string{"request.decided"}
		}
		k := &kpi.KPI{ID: id, Title: reference.Names{"en": id}, About: reference.Names{"en": "About " + id}, Group: "portal", Owner: "ministry", Unit: unit, Direction: kpi.Up, Versions: []kpi.Version{v}, File: id + ".yaml"}
		f.kpis = append(f.kpis, k)
		return k
	}
	sets := [][]string{{"region"}, {"region", "processing"}, {"agency", "mobile"}}
	add("requests", kpi.Count, kpi.Version{Numerator: formula(t, "count()"), Rollups: sets, Grain: "hour"})
	online := add("online-share", kpi.Percent, kpi.Version{Numerator: formula(t, "countIf(processing IN ('automatic', 'officer_online'))"), Denominator: formula(t, "count()"), Rollups: sets})
	add("guarded-share", kpi.Percent, kpi.Version{Numerator: formula(t, "countIf(processing = 'automatic')"), Denominator: formula(t, "countIf(mobile)"), Rollups: sets, Persons: "applicant"})
	add("fees", "UZS", kpi.Version{Numerator: formula(t, "sum(fee)"), Rollups: sets})
	add("mean-area", kpi.Ratio, kpi.Version{Numerator: formula(t, "sumIf(area, processing != 'offline')"), Denominator: formula(t, "countIf(isNotNull(area) AND processing != 'offline')"), Rollups: sets})
	add("satisfaction", kpi.Percent, kpi.Version{Numerator: formula(t, "sumIf(score, isNotNull(score)) - countIf(isNotNull(score))"), Denominator: formula(t, "4 * countIf(isNotNull(score))"), Rollups: sets})
	add("mornings", kpi.Count, kpi.Version{Numerator: formula(t, "countIf(toHour(time) < 12)"), Rollups: sets})
	add("submitted", kpi.Count, kpi.Version{Numerator: formula(t, "count()"), At: "submitted_at", Rollups: sets})
	add("duration", kpi.Hours, kpi.Version{Distribution: &kpi.Distribution{Of: "dateDiff('millisecond', submitted_at, time) / 3600000", If: "processing != 'offline'", Quantiles: []float64{0.5, 0.9}}, Rollups: sets})
	add("applicants", kpi.Count, kpi.Version{Distinct: &kpi.Distinct{Of: "applicant", Grains: []string{"month", "year"}}})
	add("highest-fee", kpi.Ratio, kpi.Version{Numerator: formula(t, "max(fee)")})
	add("odd", kpi.Count, kpi.Version{Numerator: formula(t, "sum(numerator)"), Rollups: sets})
	add("automatic", kpi.Count, kpi.Version{Numerator: formula(t, "countIf(processing = 'automatic')"), Rollups: sets})
	add("automatic-per-submitted", kpi.Percent, kpi.Version{Rollups: [][]string{{"region"}},
		Numerator: part(t, "request.decided", "countIf(processing = 'automatic')", "time"), Denominator: part(t, "request.decided", "count()", "submitted_at")})
	changed := part(t, "service.changed", "-2 * count()", "time")
	changed.Terms = append(part(t, "request.decided", "sum(area)", "time").Terms, changed.Terms...)
	add("area-less-changes", kpi.Count, kpi.Version{From: []string{"request.decided", "service.changed"}, Numerator: changed})
	stock := kpi.Version{Basis: kpi.Stock, From: []string{"service.changed"}, Table: "services", Key: "service"}
	services := stock
	services.Numerator = formula(t, "countIf(active)")
	add("services", kpi.Count, services)
	available := stock
	available.Numerator, available.Denominator = formula(t, "countIf(mobile AND active)"), formula(t, "countIf(active)")
	available.Covered, available.Expected = formula(t, "countIf(isNotNull(mobile) AND active)"), formula(t, "countIf(active)")
	add("mobile-availability", kpi.Percent, available)
	once := stock
	once.Match = []kpi.Match{{Name: "mobile_once", In: "service.changed", On: []kpi.Pair{{Own: "service", Its: "service"}}, When: "its.mobile AND toDate(its.time) <= as_of"}}
	once.Numerator, once.Denominator = formula(t, "countIf(active AND mobile_once)"), formula(t, "countIf(active)")
	add("once-mobile", kpi.Percent, once)
	add("known-applicants", kpi.Percent, kpi.Version{Rollups: sets, Persons: "applicant",
		Match:     []kpi.Match{{Name: "known", In: "request.decided", On: []kpi.Pair{{Own: "applicant", Its: "applicant"}}, When: "its.submitted_at < submitted_at AND its.processing != 'offline'"}},
		Numerator: formula(t, "countIf(known)"), Denominator: formula(t, "countIf(isNotNull(applicant))")})
	reported := kpi.Version{Basis: kpi.Reported, From: []string{"figure"}}
	volume := reported
	volume.Numerator = formula(t, "sum(volume)")
	volume.Covered, volume.Expected = formula(t, "sum(isNotNull(volume))"), formula(t, "count()")
	add("transactions", kpi.Count, volume)
	takeUp := reported
	takeUp.Numerator, takeUp.Denominator = formula(t, "sumIf(digital, isNotNull(volume))"), formula(t, "sumIf(volume, isNotNull(digital))")
	takeUp.Covered, takeUp.Expected = formula(t, "countIf(isNotNull(volume) AND isNotNull(digital))"), formula(t, "countIf(isNotNull(volume))")
	add("take-up", kpi.Percent, takeUp)
	_ = online
	f.targets = []*kpi.Target{{KPI: "mobile-availability", Kind: kpi.Asked, Act: kpi.Act{Title: "Decree", InForce: reference.NoDay}, Wording: "no less than 75 %", Comparator: kpi.AtLeast, Value: 75, Due: day("2024-12-31"), DueStated: true, Owner: "ministry"}}
	return f
}

// decidedRows are random decisions of 2023 and 2024 in the order of their receipt, some
// of them late, some corrected, some withdrawn: what the loader would have written.
func decidedRows(n int, seed uint64) []warehousetest.Row {
	r := rand.New(rand.NewPCG(seed, 7))
	start := time.Date(2023, 6, 1, 0, 0, 0, 0, zone)
	var rows []warehousetest.Row
	maybe := func(data map[string]any, name string, value any) {
		if r.IntN(5) > 0 {
			data[name] = value
		}
	}
	make := func() map[string]any {
		data := map[string]any{"processing": []string{"automatic", "officer_online", "offline"}[r.IntN(3)]}
		maybe(data, "region", []string{"1703", "1726", "1730"}[r.IntN(3)])
		maybe(data, "agency", []string{"justice", "health's", `back\slash`}[r.IntN(3)])
		maybe(data, "mobile", r.IntN(2) == 0)
		maybe(data, "applicant", uint64(r.IntN(90)))
		maybe(data, "fee", r.IntN(1_000_000))
		maybe(data, "area", r.IntN(100_000)) // hundredths
		maybe(data, "score", 1+r.IntN(5))
		maybe(data, "numerator", r.IntN(10)-5)
		return data
	}
	received := start
	batch := uint64(1)
	for i := range n {
		received = received.Add(time.Duration(r.IntN(36*60)) * time.Minute)
		if received.After(now.AddDate(0, 0, -20)) {
			received = now.AddDate(0, 0, -20)
		}
		at := received.Add(-time.Duration(r.IntN(60*24*5)) * time.Minute)
		data := make()
		data["submitted_at"] = at.Add(-time.Duration(r.IntN(90*24*60)) * time.Minute).Add(-time.Second)
		row := warehousetest.Row{ID: uint64(i + 1), Time: at, Cut: reference.DayOf(received), Batch: batch, Data: data, Simulated: i%50 == 0,
			Source: []string{"portal", "mobile"}[i%2]}
		rows = append(rows, row)
		batch++
		switch r.IntN(8) {
		case 0: // a correction, later
			minus, plus := row, row
			later := received.AddDate(0, 0, r.IntN(40))
			if later.After(now) {
				later = now
			}
			minus.Sign, minus.Batch, minus.Cut = -1, batch, reference.DayOf(later)
			plus.Rev, plus.Batch, plus.Cut, plus.Data = 1, batch, reference.DayOf(later), make()
			plus.Data["submitted_at"] = data["submitted_at"]
			rows = append(rows, minus, plus)
			batch++
		case 1: // a withdrawal
			minus := row
			minus.Sign, minus.Batch = -1, batch
			rows = append(rows, minus)
			batch++
		}
	}
	return rows
}

// pooled gives rows of one month of receipt one batch each: fewer inserts, same rows.
func pooled(rows []warehousetest.Row) []warehousetest.Row {
	batches := map[int]uint64{}
	out := append([]warehousetest.Row(nil), rows...)
	for i := range out {
		t := out[i].Cut.Time()
		month := t.Year()*12 + int(t.Month())
		batches[month] = uint64(month)
		out[i].Batch = uint64(month)
		out[i].Seq = uint64(month)<<20 + uint64(i)
	}
	return out
}

func changedRows() []warehousetest.Row {
	var rows []warehousetest.Row
	put := func(at, service string, data map[string]any) {
		t, err := time.ParseInLocation("2006-01-02", at, zone)
		if err != nil {
			panic(err)
		}
		data["service"] = service
		n := uint64(len(rows) + 1)
		rows = append(rows, warehousetest.Row{ID: 1_000_000 + n, Time: t, Cut: day("2024-11-01"), Batch: 1, Seq: n, Source: "catalogue", Data: data})
	}
	for i := range 20 {
		put(fmt.Sprintf("2024-%02d-05", 1+i%6), fmt.Sprintf("s%02d", i), map[string]any{"active": true, "kind": []string{"certificate", "licence"}[i%2]})
	}
	for i := range 8 {
		put(fmt.Sprintf("2024-%02d-10", 5+i%4), fmt.Sprintf("s%02d", i), map[string]any{"active": true, "kind": "certificate", "mobile": true})
	}
	put("2024-09-01", "s03", map[string]any{"active": false})
	put("2024-09-02", "s04", map[string]any{"active": true, "kind": "licence"}) // whether it is mobile is not known any more
	return rows
}

func figureRows() []warehousetest.Row {
	var rows []warehousetest.Row
	put := func(from, to, service string, data map[string]any) {
		data["window_from"], data["window_to"], data["service"] = day(from), day(to), service
		n := uint64(len(rows) + 1)
		rows = append(rows, warehousetest.Row{ID: 2_000_000 + n, Time: day(to).Time(), Cut: day("2024-11-01"), Batch: 1, Seq: n, Source: "agencies", Data: data})
	}
	// Quarters that follow each other, and a year that lies across two of them.
	put("2024-01-01", "2024-03-31", "visa", map[string]any{"volume": 100, "digital": 60, "state": "value"})
	put("2024-01-01", "2024-03-31", "tax", map[string]any{"volume": 900, "digital": 0, "state": "value"})
	put("2024-01-01", "2024-03-31", "land", map[string]any{"volume": 50, "state": "value"})
	put("2024-04-01", "2024-06-30", "visa", map[string]any{"volume": 200, "digital": 150, "state": "value"})
	put("2024-04-01", "2024-06-30", "tax", map[string]any{"state": "not_provided"})
	put("2024-04-01", "2024-06-30", "land", map[string]any{"state": "not_applicable"})
	put("2023-07-01", "2024-06-30", "visa", map[string]any{"volume": 700, "digital": 500, "state": "value"})
	return rows
}

// loaded is a country with data and the queries over it. All tests of a run share one:
// nobody writes to it.
func loaded(t testing.TB) (*fixture, *warehouse.Warehouse, *queries.Queries, []warehousetest.Row) {
	t.Helper()
	shared.Do(func() {
		f := country(t)
		w, err := warehouse.Open(context.Background(), warehousetest.Config(t, warehousetest.Prefix()), f.set, f.kpis)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Migrate(context.Background()); err != nil {
			t.Fatal(err)
		}
		shared.rows = pooled(decidedRows(900, 1))
		warehousetest.Insert(t, w, f.decided, shared.rows)
		warehousetest.Insert(t, w, f.changed, changedRows())
		warehousetest.Insert(t, w, f.figure, figureRows())
		shared.f, shared.w = f, w
	})
	if shared.w == nil {
		t.Fatal("the country could not be loaded; an earlier test says why")
	}
	q := queries.New(shared.w, shared.f.kpis, shared.f.refs, queries.Options{Targets: shared.f.targets, Now: func() time.Time { return now }})
	return shared.f, shared.w, q, shared.rows
}

var shared struct {
	sync.Once
	f    *fixture
	w    *warehouse.Warehouse
	rows []warehousetest.Row
}
