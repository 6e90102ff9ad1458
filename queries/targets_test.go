package queries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
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

// The office is a country of eight services and eleven requests, so that every figure of
// these tests can be counted by hand. The tests ask on 10 December 2024, as those of the
// country do.
var office struct {
	sync.Once
	w    *warehouse.Warehouse
	set  *contract.Set
	kpis []*kpi.KPI
	refs *reference.Set
}

const (
	officeServices = "code,name_en,agency\ns1,One,health\ns2,Two,health\ns3,Three,health\ns4,Four,land\ns5,Five,land\ns6,Six,land\ns7,Seven,land\ns8,Eight,health\n"
	officeAgencies = "code,name_en\nhealth,Health\nland,Land\nministry,Ministry\n"
	officeRegions  = "code,name_en,population\n1703,Andijan,2000\n1726,Tashkent city,500\n"
)

// requests are the office's: submitted, deadline, decided, outcome. A correction told on
// 7 December moves the decision on r5 from the 9th of November to the 11th; the deadline of
// r7 is told on the 5th of December only; r11 arrives four months late.
var officeRequests = []struct {
	id, service, region, applicant, submitted, deadline, decided, outcome, cut string
}{
	{"r1", "s5", "1703", "1", "2024-10-01", "2024-10-10", "2024-10-05", "approved", ""},
	{"r2", "s5", "1703", "2", "2024-10-02", "2024-10-12", "2024-10-20", "approved", ""},
	{"r3", "s5", "1703", "2", "2024-10-03", "2024-10-15", "", "", ""},
	{"r4", "s6", "1726", "3", "2024-10-04", "2024-10-20", "2024-10-06", "withdrawn", ""},
	{"r5", "s8", "1703", "1", "2024-11-01", "2024-11-10", "2024-11-09", "approved", ""},
	{"r6", "s8", "1703", "3", "2024-11-20", "2024-12-20", "", "", ""},
	{"r7", "s1", "1703", "1", "2024-11-25", "", "", "", ""},
	{"r8", "s1", "1703", "2", "2024-12-09", "2024-12-10", "", "", ""},
	{"r9", "s1", "1726", "4", "2024-11-15", "2024-12-05", "2024-12-08", "approved", ""},
	{"r10", "s1", "", "1", "2024-09-01", "2024-09-10", "2024-09-05", "rejected", ""},
	{"r11", "s6", "1726", "5", "2024-08-01", "2024-08-10", "2024-08-05", "approved", "2024-12-06"},
}

func noonOf(day string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", day+" 12:00", zone)
	if err != nil {
		panic(err)
	}
	return t
}

// openOffice loads the office once and answers with the given published figures.
func openOffice(t *testing.T, targets ...*kpi.Target) *queries.Queries {
	t.Helper()
	office.Do(func() { loadOffice(t) })
	if office.w == nil {
		t.Fatal("the office could not be loaded; an earlier test says why")
	}
	return queries.New(office.w, office.kpis, office.refs, queries.Options{Targets: targets, K: 5, Now: func() time.Time { return now }})
}

func loadOffice(t *testing.T) {
	var issues problem.Issues
	table := func(name, csv string) *reference.Table {
		return reference.ReadTable(name, name+".csv", strings.NewReader(csv), reference.TableFormat{}, &issues)
	}
	refs := reference.NewSet(&reference.Calendar{Zone: zone}, table("services", officeServices), table("organisations", officeAgencies), table("regions", officeRegions))
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	service := contract.Field{Name: "service", Type: contract.Ref, To: "services", Required: true}
	common := []contract.Field{service, {Name: "request", Type: contract.Text, Required: true},
		{Name: "agency", Type: contract.Ref, To: "organisations", Default: "service.agency"},
		{Name: "region", Type: contract.Ref, To: "regions"},
		{Name: "applicant", Type: contract.Person, ID: "pinfl", Class: contract.Personal},
		{Name: "deadline", Type: contract.Timestamp}}
	submitted := &contract.Contract{Type: "t.request.submitted.v1", Name: "request.submitted", Major: 1, Title: reference.Names{"en": "Submitted"}, About: "A request.", Source: "portal", Fields: common}
	decided := &contract.Contract{Type: "t.request.decided.v1", Name: "request.decided", Major: 1, Title: reference.Names{"en": "Decided"}, About: "A decision.", Source: "portal",
		Fields: append(append([]contract.Field{}, common...), contract.Field{Name: "submitted_at", Type: contract.Timestamp, Required: true},
			contract.Field{Name: "outcome", Type: contract.Enum, Values: []string{"approved", "rejected", "withdrawn"}, Required: true})}
	changed := &contract.Contract{Type: "t.service.changed.v1", Name: "service.changed", Major: 1, Title: reference.Names{"en": "Changed"}, About: "A service.", Source: "catalogue", Fields: []contract.Field{
		service, {Name: "agency", Type: contract.Ref, To: "organisations", Default: "service.agency"}, {Name: "active", Type: contract.Boolean, Required: true}, {Name: "mobile", Type: contract.Boolean}}}
	set, err := contract.NewSet("t.", zone, []*contract.Contract{submitted, decided, changed}, refs)
	if err != nil {
		t.Fatal(err)
	}
	var kpis []*kpi.KPI
	add := func(id string, unit kpi.Unit, direction kpi.Direction, v kpi.Version) *kpi.KPI {
		v.Version, v.Valid, v.Source = 1, always, reference.Names{"en": "the tests"}
		if v.Basis == "" {
			v.Basis = kpi.Events
		}
		k := &kpi.KPI{ID: id, Title: reference.Names{"en": id}, About: reference.Names{"en": id}, Owner: "ministry", Unit: unit, Direction: direction, Versions: []kpi.Version{v}}
		kpis = append(kpis, k)
		return k
	}
	sets := [][]string{{"service", "agency"}, {"region"}}
	add("requests", kpi.Count, kpi.Neither, kpi.Version{From: []string{"request.decided"}, Numerator: formula(t, "count()"), Rollups: sets})
	add("requests-per-1000", "per_1000", kpi.Up, kpi.Version{From: []string{"request.decided"}, Numerator: formula(t, "count()"), Rollups: sets,
		Per: &kpi.Per{Table: "regions", Column: "population", Each: 1000}})
	due := part(t, "request.submitted", "count()", "deadline")
	due.Terms = append(due.Terms, part(t, "request.decided", "-countIf(outcome = 'withdrawn')", "deadline").Terms...)
	add("on-time-share", kpi.Percent, kpi.Up, kpi.Version{From: []string{"request.decided", "request.submitted"}, Matures: 1, Rollups: sets,
		Numerator: part(t, "request.decided", "countIf(time <= deadline AND outcome != 'withdrawn')", "deadline"), Denominator: due})
	backlog := kpi.Version{Basis: kpi.Stock, From: []string{"request.submitted", "request.decided"}, Rollups: sets,
		Backlog: &kpi.Backlog{Enters: "request.submitted", Leaves: "request.decided", On: "request", Entered: "submitted_at", Quantiles: []float64{0.5, 0.9}}}
	add("open-request-age", kpi.Days, kpi.Down, backlog)
	backlog.Persons = "applicant"
	add("guarded-age", kpi.Days, kpi.Down, backlog)
	mobile := kpi.Version{Basis: kpi.Stock, From: []string{"service.changed"}, Table: "services", Key: "service",
		Numerator: formula(t, "countIf(mobile AND active)"), Denominator: formula(t, "countIf(isNotNull(mobile) AND active)"),
		Covered: formula(t, "countIf(isNotNull(mobile) AND active)"), Expected: formula(t, "countIf(active)")}
	add("mobile-availability", kpi.Percent, kpi.Up, mobile).Ranked = "requests"
	count := kpi.Version{Basis: kpi.Stock, From: mobile.From, Table: "services", Key: "service", Numerator: formula(t, "countIf(mobile AND active)")}
	add("mobile-services", kpi.Count, kpi.Up, count)

	w, err := warehouse.Open(context.Background(), warehousetest.Config(t, warehousetest.Prefix()), set, kpis)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	rows := map[*contract.Contract][]warehousetest.Row{}
	put := func(c *contract.Contract, source, at, cut string, sign int8, rev uint32, id uint64, data map[string]any) {
		d := day(cut)
		rows[c] = append(rows[c], warehousetest.Row{ID: id, Rev: rev, Sign: sign, Source: source, Time: noonOf(at), Cut: d, Batch: uint64(d), Seq: uint64(d)<<20 + uint64(len(rows[c])), Data: data})
	}
	for i, r := range officeRequests {
		data := func() map[string]any {
			data := map[string]any{"request": r.id, "service": r.service, "agency": "health", "applicant": uint64(r.applicant[0])}
			if r.region != "" {
				data["region"] = r.region
			}
			if r.deadline != "" {
				data["deadline"] = noonOf(r.deadline)
			}
			return data
		}
		received := func(at string) string {
			if r.cut != "" {
				return r.cut
			}
			return at
		}
		put(submitted, "portal", r.submitted, received(r.submitted), 1, 0, uint64(100+i), data())
		if r.id == "r7" {
			put(submitted, "portal", r.submitted, "2024-12-05", -1, 0, uint64(100+i), data())
			told := data()
			told["deadline"] = noonOf("2024-12-01")
			put(submitted, "portal", r.submitted, "2024-12-05", 1, 1, uint64(100+i), told)
		}
		if r.decided == "" {
			continue
		}
		decision := data()
		decision["submitted_at"], decision["outcome"] = noonOf(r.submitted), r.outcome
		put(decided, "portal", r.decided, received(r.decided), 1, 0, uint64(200+i), decision)
		if r.id == "r5" {
			put(decided, "portal", r.decided, "2024-12-07", -1, 0, uint64(200+i), decision)
			put(decided, "portal", "2024-11-11", "2024-12-07", 1, 1, uint64(200+i), decision)
		}
	}
	describe := func(n uint64, at, service string, mobile any) {
		data := map[string]any{"service": service, "active": true, "agency": "health"}
		if mobile != nil {
			data["mobile"] = mobile
		}
		put(changed, "catalogue", at, at, 1, 0, 300+n, data)
	}
	for i, mobile := range []any{true, true, false, false, false, false, false, nil} {
		describe(uint64(i), "2024-01-05", fmt.Sprintf("s%d", i+1), mobile)
	}
	describe(10, "2024-06-10", "s3", true)
	describe(11, "2024-09-10", "s4", true)
	for _, c := range []*contract.Contract{submitted, decided, changed} {
		warehousetest.Insert(t, w, c, rows[c])
	}
	office.w, office.set, office.kpis, office.refs = w, set, kpis, refs
}

func TestOnTime(t *testing.T) {
	q := openOffice(t)
	year := queries.Request{KPI: "on-time-share", From: day("2024-01-01"), To: day("2024-12-31")}
	monthly, known := year, year
	monthly.From, monthly.Grain = day("2024-08-01"), queries.Month
	known.KnownOn = day("2024-12-04")
	for _, c := range []struct {
		name    string
		request queries.Request
		want    string
	}{
		// Due by yesterday and not withdrawn: r1, r2, r3, r5, r7, r9, r10, r11; by their deadlines r1, r10, r11.
		{"the year", year, "2024-01-01/2024-12-31 3/8 37.5 value open"},
		{"by month", monthly, "2024-08 1/1 100 value\n2024-09 1/1 100 value\n2024-10 1/3 33.333333333333336 value\n2024-11 0/1 0 zero\n2024-12 0/2 0 zero open"},
		// Before the correction r5 was on time, the deadline of r7 was not known, and that of r9 was still to come.
		{"as it was known", known, "2024-01-01/2024-12-31 3/5 60 value open"},
		// Months and quarters that begin after today are left out; the one that is running ends when it ends.
		{"into the next year", queries.Request{KPI: "on-time-share", From: day("2024-11-01"), To: day("2025-02-28"), Grain: queries.Month}, "2024-11 0/1 0 zero\n2024-12 0/2 0 zero open"},
		{"by quarter", queries.Request{KPI: "on-time-share", From: day("2024-10-01"), To: day("2027-02-01"), Grain: queries.Quarter}, "2024-Q4 1/6 16.666666666666668 value open"},
	} {
		if got := lines(values(t, q, c.request).Cells); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestBacklog(t *testing.T) {
	q := openOffice(t)
	ages := func(r queries.Request) string {
		var all []string
		for _, c := range values(t, q, r).Cells {
			text := c.Period
			for _, d := range c.Dims {
				text += " " + d.Value
			}
			if c.Value == nil {
				all = append(all, text+" "+string(c.State)+" "+c.Reason)
				continue
			}
			all = append(all, fmt.Sprintf("%s %v: %v, %.4g", text, *c.Cases, *c.Value, c.Quantiles[1].Value))
		}
		return strings.Join(all, "\n")
	}
	for _, c := range []struct {
		name    string
		request queries.Request
		want    string
	}{
		{"today: r3, r6, r7, r8", queries.Request{KPI: "open-request-age"}, "2024-12-10 4: 17.5, 53.6"},
		{"r2 and r3", queries.Request{KPI: "open-request-age", To: day("2024-10-15")}, "2024-10-15 2: 12.5, 12.9"},
		{"decided on the day is decided", queries.Request{KPI: "open-request-age", To: day("2024-10-05")}, "2024-10-05 3: 2, 2.8"},
		{"at the ends of months", queries.Request{KPI: "open-request-age", From: day("2024-08-01"), To: day("2024-11-30"), Grain: queries.Month},
			"2024-08 not_applicable no_cases\n2024-09 not_applicable no_cases\n2024-10 1: 28, 28\n2024-11 4: 12.5, 45.1"},
		{"by service", queries.Request{KPI: "open-request-age", By: []string{"service"}}, "2024-12-10 s1 2: 8, 13.6\n2024-12-10 s5 1: 68, 68\n2024-12-10 s8 1: 20, 20"},
		{"in a region", queries.Request{KPI: "open-request-age", To: day("2024-11-30"), Where: map[string][]string{"region": {"1726"}}}, "2024-11-30 1: 15, 15"},
		// r5 is decided on 11 November since the correction; on the 10th it waits, and before the correction it did not.
		{"corrected", queries.Request{KPI: "open-request-age", To: day("2024-11-10"), Where: map[string][]string{"service": {"s8"}}}, "2024-11-10 1: 9, 9"},
		{"as it was known", queries.Request{KPI: "open-request-age", To: day("2024-11-10"), KnownOn: day("2024-12-01"), Where: map[string][]string{"service": {"s8"}}}, "2024-11-10 not_applicable no_cases"},
		{"few persons are hidden", queries.Request{KPI: "guarded-age"}, "2024-12-10 suppressed "},
	} {
		if got := ages(c.request); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

func TestPerInhabitants(t *testing.T) {
	q := openOffice(t)
	for _, c := range []struct {
		request queries.Request
		want    string
	}{
		{queries.Request{KPI: "requests-per-1000"}, "2024-08-05/2024-12-08 7/2.5 2.8 value"},
		{queries.Request{KPI: "requests-per-1000", From: day("2024-01-01"), To: day("2024-11-30"), By: []string{"region"}},
			"2024-01-01/2024-11-30  1/0 null not_applicable\n2024-01-01/2024-11-30 1703 3/2 1.5 value\n2024-01-01/2024-11-30 1726 2/0.5 4 value"},
		{queries.Request{KPI: "requests-per-1000", From: day("2024-12-01"), To: day("2024-12-08"), Where: map[string][]string{"region": {"1726", "1703"}}}, "2024-12-01/2024-12-08 1/2.5 0.4 value"},
	} {
		if got := lines(values(t, q, c.request).Cells); got != c.want {
			t.Errorf("%+v:\n%s\nwant\n%s", c.request, got, c.want)
		}
	}
}

// mobileTarget asks for 75 % by the end of the year since 1 June, when 2 of 7 services counted.
func mobileTarget(due string) *kpi.Target {
	return &kpi.Target{KPI: "mobile-availability", Kind: kpi.Asked, Act: kpi.Act{Title: "Decree", InForce: day("2024-06-01")}, Wording: "no less than 75 %",
		Comparator: kpi.AtLeast, Value: 75, Due: day(due), DueStated: true, Period: always, Owner: "ministry"}
}

func TestTargets(t *testing.T) {
	stated := mobileTarget("2024-12-31")
	missed := mobileTarget("2024-07-31")
	undated := mobileTarget("2024-12-31")
	undated.DueStated = false
	agency := &kpi.Target{KPI: "requests", Kind: kpi.Asked, Act: kpi.Act{Title: "Plan", InForce: reference.NoDay}, Comparator: kpi.AtLeast, Value: 9, Due: day("2024-12-31"), DueStated: true,
		Baseline: &kpi.Baseline{On: day("2024-01-01")}, Period: always, Owner: "land", Where: map[string]string{"region": "1703"}}
	result := &kpi.Target{KPI: "mobile-services", Kind: kpi.Result, Act: kpi.Act{Title: "Statement", InForce: reference.NoDay}, Comparator: kpi.About, Value: 3, Due: reference.NoDay,
		Period: reference.Span{From: reference.NoDay, To: day("2024-06-30")}}
	claim := &kpi.Target{KPI: "on-time-share", Kind: kpi.Claim, Act: kpi.Act{Title: "News", InForce: reference.NoDay}, Due: reference.NoDay, Period: always, Check: reference.Names{"en": "compare with the year before"}}
	all := &kpi.Target{KPI: "on-time-share", Kind: kpi.Claim, Act: kpi.Act{Title: "News", InForce: reference.NoDay}, Comparator: kpi.AtLeast, Value: 100, Due: reference.NoDay, Period: always}
	q := openOffice(t, stated, missed, undated, agency, result, claim, all)
	got, err := q.Targets(context.Background(), queries.TargetsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.On.String() != "2024-12-10" || len(got.Promises) != 7 {
		t.Fatalf("on %s: %d", got.On, len(got.Promises))
	}
	near := func(x *float64, want float64) bool {
		return (x == nil) == math.IsNaN(want) && (x == nil || math.Abs(*x-want) < 1e-9)
	}
	none := math.NaN()
	baseline, value := 100*2.0/7, 100*4.0/7
	for i, want := range []struct {
		status        kpi.Status
		measured, gap float64
		units         int64 // -1: not told
		words         string
		holds         string
		expected      float64 // of the run rate
	}{
		// 192 of 213 days: at this pace 28.57 + 28.57 × 213 ÷ 192 = 60.3 of 75, which is 68 % of the way.
		{kpi.OffCourse, value, 75 - value, 2, "2 services short of 75 %", "", baseline + (75-baseline)*192/213},
		{kpi.Missed, 100 * 3.0 / 7, 75 - 100*3.0/7, 3, "3 services short of 75 %", "", none},
		{kpi.Open, value, 75 - value, 2, "2 services short of 75 %", "", none},
		// Three decided in the region in 344 of 365 days: 3.2 of 9.
		{kpi.OffCourse, 3, 6, 6, "6 cases short of 9", "", 9 * 344.0 / 365},
		{kpi.NotATarget, 3, 0, -1, "", "yes", none},
		{kpi.NotATarget, 37.5, none, -1, "", "", none},
		{kpi.NotATarget, 37.5, 62.5, -1, "", "no", none},
	} {
		p := got.Promises[i]
		units, holds, expected := int64(-1), "", none
		if p.Units != nil {
			units = *p.Units
		}
		if p.Holds != nil {
			holds = map[bool]string{true: "yes", false: "no"}[*p.Holds]
		}
		if p.RunRate != nil {
			expected = p.RunRate.Expected
		}
		if p.Problem != "" || p.Status != want.status || !near(p.Measured, want.measured) || !near(p.Gap, want.gap) || units != want.units || p.Words != want.words || holds != want.holds || !near(&expected, want.expected) && !(math.IsNaN(expected) && math.IsNaN(want.expected)) {
			t.Errorf("%d: %+v, run rate %+v, units %d, holds %q; want %+v", i, p.TargetStatus, p.RunRate, units, holds, want)
		}
	}
	// A figure of days that are over is closed, and since when; that of a running period is not.
	for i, closed := range []string{"", "2024-08-01", "", "", "2024-07-01", "", ""} {
		if c := got.Promises[i].Cell; c.Closed.String() != closed || c.Open() != (closed == "") {
			t.Errorf("%d: to %s: open %t, closed %q, want %q", i, c.To, c.Open(), c.Closed, closed)
		}
	}
	for i, stated := range []bool{true, true, false, true, false, false, false} { // nothing is due of a result or claim, and a reading of ours is no day
		if got.Promises[i].DueStated != stated || got.Promises[i].Due.Set != stated {
			t.Errorf("%d: due_stated %t, due %s", i, !stated, got.Promises[i].Due)
		}
	}
	// The figure itself has its target, as the scorecard does; the months of a series have none.
	whole := values(t, q, queries.Request{KPI: "mobile-availability"})
	text, err := json.Marshal(whole.Cells)
	if c := whole.Cells[0]; err != nil || c.Target == nil || *c.Target != 75 || c.Status != kpi.OffCourse || !strings.Contains(string(text), `"target":75,"status":"off_course"`) {
		t.Errorf("%s, %v", text, err)
	}
	for _, c := range values(t, q, queries.Request{KPI: "mobile-availability", Grain: queries.Month, From: day("2024-06-01")}).Cells {
		if c.Target != nil || c.Status != "" {
			t.Errorf("%s: %v %s", c.Period, *c.Target, c.Status)
		}
	}
	// A result about a day or a year is not judged before that has ended.
	for language, words := range map[string]string{"en": "the period of which this speaks ends on 2024-06-30", "ru": "период, о котором идёт речь, заканчивается 30 июня 2024 года", "uz": "bu gap tegishli boʻlgan davr 2024-yil 30-iyun kuni tugaydi"} {
		early, err := q.Targets(context.Background(), queries.TargetsRequest{On: day("2024-06-29"), Language: language})
		if err != nil {
			t.Fatal(err)
		}
		if p := early.Promises[4]; p.Problem != words || p.Said == nil || p.Cell != nil || p.Measured != nil || p.Holds != nil || p.Status != kpi.NotATarget {
			t.Errorf("before its day: %q, %+v", p.Problem, p.TargetStatus)
		}
	}
	if r := got.Promises[0].RunRate; r.Baseline != baseline || math.Abs(r.Projected-(baseline+(value-baseline)*213/192)) > 1e-9 || r.From.String() != "2024-06-01" {
		t.Errorf("run rate %+v", r)
	}
	// When the day that was due is over, the verdict is there.
	over, err := q.Targets(context.Background(), queries.TargetsRequest{On: day("2024-07-31")})
	if err != nil {
		t.Fatal(err)
	}
	if p := over.Promises[1]; p.Status != kpi.Missed || p.RunRate != nil {
		t.Errorf("on 31 July: %+v", p.TargetStatus)
	}
	// As of the summer the verdict of July was still to come.
	summer, err := q.Targets(context.Background(), queries.TargetsRequest{On: day("2024-07-01")})
	if err != nil {
		t.Fatal(err)
	}
	if p := summer.Promises[1]; p.Status != kpi.OffCourse || !near(p.Measured, 100*3.0/7) {
		t.Errorf("on 1 July: %+v", p.TargetStatus)
	}
	if _, err := q.Targets(context.Background(), queries.TargetsRequest{On: day("2025-01-01")}); problem.KindOf(err) != problem.BadInput {
		t.Errorf("tomorrow: %v", err)
	}

	card, err := q.Scorecard(context.Background(), queries.ScorecardRequest{From: day("2024-01-01"), To: day("2024-12-31")})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range card.Rows {
		if row.KPI != "mobile-availability" {
			continue
		}
		if row.Trend != queries.NoTrend || len(row.Targets) != 3 { // a year before there was no catalogue
			t.Fatalf("%+v", row)
		}
		for i, status := range []kpi.Status{kpi.OffCourse, kpi.Missed, kpi.Open} {
			if row.Targets[i].Status != status {
				t.Errorf("scorecard, target %d: %s, want %s", i, row.Targets[i].Status, status)
			}
		}
		if m := row.Targets[1].Measured; !near(m, 100*3.0/7) {
			t.Errorf("the verdict of July stands on %v", *m)
		}
	}
}

func TestGap(t *testing.T) {
	onTime := &kpi.Target{KPI: "on-time-share", Kind: kpi.Asked, Act: kpi.Act{Title: "Law", InForce: reference.NoDay}, Comparator: kpi.AtLeast, Value: 80, Due: reference.NoDay, Period: always}
	q := openOffice(t, mobileTarget("2024-12-31"), onTime)
	list := func(r queries.GapRequest) (*queries.Gap, string) {
		t.Helper()
		gap, err := q.Gap(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range gap.Entries {
			text := e.Code + " " + e.Owner
			for _, x := range []*float64{e.Missing, e.Weight} {
				if x == nil {
					text += " –"
				} else {
					text += fmt.Sprintf(" %v", *x)
				}
			}
			if !e.Told {
				text += " not told"
			}
			all = append(all, text)
		}
		return gap, strings.Join(all, ", ")
	}
	gap, got := list(queries.GapRequest{KPI: "mobile-availability"})
	// Decided in twelve months: s5 and s6 two, s8 one, s7 none, which is a number.
	if want := "s5 land 1 2, s6 land 1 2, s8 health – 1 not told, s7 land 1 0"; got != want {
		t.Errorf("services not in the application: %s, want %s", got, want)
	}
	if gap.Target == nil || gap.Target.Words != "2 services short of 75 %" || gap.Total != 4 || gap.RankedBy != "requests" || gap.RankedFrom.String() != "2023-12-11" || gap.Names["s5"]["en"] != "Five" {
		t.Errorf("%+v", gap)
	}
	if _, got = list(queries.GapRequest{KPI: "mobile-availability", To: day("2024-05-31"), Limit: 2}); got != "s3 health 1 –, s4 land 1 –" {
		t.Errorf("in May, when no request had come: %s", got)
	}
	gap, got = list(queries.GapRequest{KPI: "on-time-share"})
	if got != "s1 health 2 –, s5 land 2 –, s8 health 1 –" || gap.Target.Words != "4 cases short of 80 %" || gap.By != "service" { // 6.4 of 8 are 7
		t.Errorf("late: %s, %s by %s", got, gap.Target.Words, gap.By)
	}
	if gap, got = list(queries.GapRequest{KPI: "mobile-services"}); got != "s5 land 1 –, s6 land 1 –, s7 land 1 –, s8 health 1 –" || gap.Target != nil || len(gap.Notes) != 1 {
		t.Errorf("without a target: %s, %v", got, gap.Notes)
	}
	// After its day a target is what it was then, on the scorecard and here, whatever the figure is now.
	q = openOffice(t, mobileTarget("2024-07-31"))
	card, err := q.Scorecard(context.Background(), queries.ScorecardRequest{})
	if err != nil {
		t.Fatal(err)
	}
	gap, got = list(queries.GapRequest{KPI: "mobile-availability"})
	for _, row := range card.Rows {
		if row.KPI == "mobile-availability" && (len(row.Targets) != 1 || !reflect.DeepEqual(*gap.Target, row.Targets[0])) {
			t.Errorf("%+v, on the scorecard %+v", gap.Target, row.Targets)
		}
	}
	if gap.Target.Status != kpi.Missed || math.Abs(*gap.Target.Measured-100*3.0/7) > 1e-9 || *gap.Cell.Value == *gap.Target.Measured || got == "" {
		t.Errorf("missed at 3 of 7: %+v, and now %v, missing %s", gap.Target, *gap.Cell.Value, got)
	}
	for _, r := range []queries.GapRequest{{KPI: "open-request-age"}, {KPI: "requests"}, {KPI: "requests-per-1000"}, {KPI: "on-time-share", By: "colour"}, {KPI: "on-time-share", Limit: -1}} {
		if _, err := q.Gap(context.Background(), r); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%+v: %v", r, err)
		}
	}
	if _, err := q.Gap(context.Background(), queries.GapRequest{KPI: "nothing"}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("no such KPI: %v", err)
	}
}

func TestChanges(t *testing.T) {
	soon := mobileTarget("2024-12-06")
	q := openOffice(t, soon)
	got, err := q.Changes(context.Background(), queries.ChangesRequest{Since: day("2024-12-05"), From: day("2024-01-01"), To: day("2024-12-31")})
	if err != nil {
		t.Fatal(err)
	}
	if got.KnownOn.String() != "2024-12-04" || len(got.Changes)+got.Unchanged != len(office.kpis) {
		t.Errorf("known on %s, %d changed and %d not", got.KnownOn, len(got.Changes), got.Unchanged)
	}
	by := map[string]queries.Change{}
	var order []string
	for _, c := range got.Changes {
		by[c.KPI], order = c, append(order, c.KPI)
	}
	// The service catalogue is what it was, but its target was due on 6 December.
	if c := by["mobile-availability"]; order[0] != "mobile-availability" || c.Difference == nil || *c.Difference != 0 || len(c.Targets) != 1 || c.Targets[0].Was != kpi.OffCourse || c.Targets[0].Status != kpi.Missed {
		t.Errorf("%v; %+v", order, c)
	}
	c := by["on-time-share"]
	if c.Difference == nil || *c.Difference != 37.5-60 || c.Trend != queries.Worse || len(c.Settled) != 2 || c.Corrected != 1 || c.Late != 3 {
		t.Errorf("on-time-share: %+v", c)
	} else if a, b := c.Settled[0], c.Settled[1]; a.Period != "2024-08" || a.Was != nil || *a.Now != 100 || b.Period != "2024-11" || *b.Was != 100 || *b.Now != 0 || *b.Difference != -100 {
		t.Errorf("months: %+v", c.Settled)
	}
	if c := by["requests"]; *c.Was.Value != 5 || *c.Now.Value != 7 || c.Trend != queries.NoTrend || len(c.Settled) != 1 || c.Settled[0].Period != "2024-08" || c.Late != 1 || c.Corrected != 1 {
		t.Errorf("requests: %+v", c)
	}
	if _, there := by["mobile-services"]; there {
		t.Error("the catalogue has not changed")
	}
	for _, r := range []queries.ChangesRequest{{}, {Since: day("2024-12-11")}} {
		if _, err := q.Changes(context.Background(), r); problem.KindOf(err) != problem.BadInput || problem.DocumentOf(err).Field != "since" {
			t.Errorf("%+v: %v", r, err)
		}
	}
	// Before anything was known a target was unmeasured: that it is missed is told all the same.
	all, err := q.Changes(context.Background(), queries.ChangesRequest{Since: day("2023-01-01"), From: day("2024-01-01"), To: day("2024-12-31")})
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(all.Changes, func(c queries.Change) bool { return c.KPI == "mobile-availability" }); i < 0 || len(all.Changes[i].Targets) != 1 ||
		all.Changes[i].Targets[0].Was != kpi.Unmeasured || all.Changes[i].Targets[0].Status != kpi.Missed {
		t.Errorf("since nothing was known: %+v", all.Changes)
	}
	today, err := q.Changes(context.Background(), queries.ChangesRequest{Since: day("2024-12-10")})
	if err != nil || len(today.Changes) > 2 { // days pass for what waits
		t.Errorf("since today: %+v %v", today, err)
	}
}
