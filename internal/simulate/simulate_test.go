package simulate_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/simulate"
)

var uz = sync.OnceValue(func() *pack.Pack {
	files, err := pack.Embedded("uz")
	if err != nil {
		panic(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		panic(err)
	}
	return p
})

func day(t testing.TB, text string) reference.Day {
	t.Helper()
	d, err := reference.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func run(t testing.TB, o simulate.Options) ([]byte, *simulate.Summary) {
	t.Helper()
	g, err := simulate.New(uz(), o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s, err := g.WriteTo(context.Background(), &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), s
}

// sample is the published year at 2 thousandths, with late and repeated deliveries.
var sample = sync.OnceValue(func() struct {
	lines   []byte
	summary *simulate.Summary
} {
	g, err := simulate.New(uz(), simulate.Options{Scale: 0.002, Seed: 1, LateShare: 0.02, DuplicateShare: 0.01})
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	s, err := g.WriteTo(context.Background(), &b, nil)
	if err != nil {
		panic(err)
	}
	return struct {
		lines   []byte
		summary *simulate.Summary
	}{b.Bytes(), s}
})

type event struct {
	ID, Type, Source, Time string
	Simulated              bool
	Data                   struct {
		Request, Service, Region, District, Applicant, Processing, Outcome, Intake, Agency, State string
		Mobile, Automated, Proactive                                                              bool
		ProactiveSince                                                                            string `json:"proactive_since"`
		WindowFrom                                                                                string `json:"window_from"`
		WindowTo                                                                                  string `json:"window_to"`
		Numerator, Denominator                                                                    int
	}
	at time.Time
}

// once are the events of the sample, each once.
var once = sync.OnceValue(func() []event {
	var events []event
	seen := map[string]bool{}
	for line := range bytes.Lines(sample().lines) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			panic(err)
		}
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		e.at, _ = time.Parse(time.RFC3339, e.Time)
		events = append(events, e)
	}
	return events
})

const decided, submitted, changed, figure, closed = "uz.gov.request.decided.v1", "uz.gov.request.submitted.v1", "uz.gov.service.changed.v1", "uz.gov.figure.reported.v1", "uz.gov.period.closed.v1"

func isCertificate(service string) bool {
	row, _ := uz().Reference.Table("services").Get(service)
	return row.Value("kind") == "certificate"
}

// The bytes for a seed are pinned: a change of them is a change of what everybody
// has loaded and must be meant. They do not depend on the number of processors.
func TestBytesArePinned(t *testing.T) {
	const want = "8898058d35da57fddc033515f28bad5adf91c11aac6431f1d19260d1b59cf878"
	o := simulate.Options{Events: 20_000, Seed: 7, From: day(t, "2024-03-01"), To: day(t, "2024-04-30"), LateShare: 0.05, DuplicateShare: 0.03}
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		lines, _ := run(t, o)
		runtime.GOMAXPROCS(before)
		sum := sha256.Sum256(lines)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("with %d processors the bytes have SHA-256 %s, want %s", processors, got, want)
		}
	}
	o.Seed = 8
	lines, _ := run(t, o)
	if sum := sha256.Sum256(lines); hex.EncodeToString(sum[:]) == want {
		t.Error("another seed gives the same bytes")
	}
}

// Every event passes its contract at the door: none refused, none held, no warning.
func TestEventsPassTheirContracts(t *testing.T) {
	b := contract.NewChecker(uz().Set, contract.NewKeys(), contract.Limits{}).NewBatch()
	n := 0
	for line := range bytes.Lines(sample().lines) {
		if refusal := b.Add(n, line); refusal != nil {
			t.Fatalf("refused: %+v\n%s", refusal, line)
		}
		if n++; n%5000 == 0 {
			b.Parts()
		}
	}
	for _, h := range b.Held() {
		t.Fatalf("held: %s\n%s", h.Reason, h.Event)
	}
	for _, w := range b.Warnings() {
		t.Errorf("warned: %+v", w)
	}
	if int64(n) != sample().summary.Events {
		t.Errorf("%d lines, the summary says %d", n, sample().summary.Events)
	}
}

// At a scale of 0.002 the published 8,300,000 and 74.0 % are 16,600 and 12,284.
func TestPublishedFiguresAreMet(t *testing.T) {
	all, online := 0, 0
	for _, e := range once() {
		if e.Type == decided && isCertificate(e.Data.Service) {
			if all++; e.Data.Processing != "offline" {
				online++
			}
			if e.Data.Outcome == "withdrawn" {
				t.Fatalf("%s is a certificate and withdrawn", e.ID)
			}
		}
	}
	if all != 16_600 || online != 12_284 {
		t.Errorf("%d decided requests for certificates, %d online; want 16,600 and 12,284", all, online)
	}
	if s := sample().summary; s.Certificates != int64(all) || s.CertificatesOnline != int64(online) {
		t.Errorf("the summary says %d and %d, the events %d and %d", s.Certificates, s.CertificatesOnline, all, online)
	}
}

func TestSummaryCounts(t *testing.T) {
	byType := map[string]int64{}
	for _, e := range once() {
		byType[e.Type]++
		if !e.Simulated || !strings.HasPrefix(e.Source, "simulation/") {
			t.Fatalf("%s does not say that it is simulated", e.ID)
		}
	}
	s := sample().summary
	total := s.Duplicates
	for _, c := range s.ByType {
		if byType[c.Type] != c.Count {
			t.Errorf("%s: %d events, the summary says %d", c.Type, byType[c.Type], c.Count)
		}
		total += c.Count
	}
	if total != s.Events || len(s.ByType) != 6 {
		t.Errorf("the parts are %d, the whole %d", total, s.Events)
	}
	text := s.String()
	for _, part := range []string{"seed 1", "scale 0.002", "16600", "74.00 %", "not scaled", fmt.Sprintf("late: %d", s.Late)} {
		if !strings.Contains(text, part) {
			t.Errorf("the summary does not say %q:\n%s", part, text)
		}
	}
}

// Regions have their share of the population, evenly: not a few standard deviations
// off, as a draw would be, but a handful of requests.
func TestRegionsByPopulation(t *testing.T) {
	count, n := map[string]int{}, 0
	for _, e := range once() {
		if e.Type == decided {
			count[e.Data.Region]++
			n++
			if !strings.HasPrefix(e.Data.District, e.Data.Region) {
				t.Fatalf("%s: district %s is not in region %s", e.ID, e.Data.District, e.Data.Region)
			}
		}
	}
	people := map[string]float64{}
	total := 0.0
	for _, row := range uz().Reference.Table("regions").Rows() {
		var p float64
		if _, err := fmt.Sscan(row.Value("population"), &p); err != nil {
			t.Fatal(err)
		}
		people[row.Code] = p
		total += p
	}
	for code, p := range people {
		if want := float64(n) * p / total; math.Abs(float64(count[code])-want) > 10 {
			t.Errorf("region %s has %d requests, its population gives %.1f", code, count[code], want)
		}
	}
}

// Offices do not decide on Sundays and holidays, people ask by day more than by night.
func TestDaysAndHours(t *testing.T) {
	var officer, automatic [7]int
	var hours [24]int
	holidays, all := 0, 0
	calendar := uz().Reference.Calendar()
	for _, e := range once() {
		switch {
		case e.Type == submitted:
			hours[e.at.Hour()]++
		case e.Type == decided && e.Data.Processing == "automatic":
			automatic[e.at.Weekday()]++
		case e.Type == decided:
			officer[e.at.Weekday()]++
			all++
			if calendar.Days[reference.DayOf(e.at)] == reference.Holiday {
				holidays++
			}
		}
	}
	// Weights of nation.json: 3 of 620 on Sundays in offices, 58 of 700 in life.
	if share := float64(officer[0]) / float64(all); share > 0.015 {
		t.Errorf("%.1f %% of officers' decisions fall on Sundays", 100*share)
	}
	if automatic[0]*5 < automatic[2] {
		t.Errorf("the system decided %d on Sundays, %d on Tuesdays: people ask on Sundays too", automatic[0], automatic[2])
	}
	if holidays*200 > all {
		t.Errorf("%d of %d decisions of officers fall on holidays", holidays, all)
	}
	if hours[3]*10 > hours[10] {
		t.Errorf("%d requests at three in the morning, %d at ten", hours[3], hours[10])
	}
}

// At the end of 2024 the catalogue is the one that simulation/README.md describes.
func TestCatalogueOfTheYear(t *testing.T) {
	last := map[string]event{}
	for _, e := range once() {
		if e.Type == changed && !e.at.Before(last[e.Data.Service].at) {
			last[e.Data.Service] = e
		}
	}
	var mobile, automated, made int
	for _, e := range last {
		if e.Data.Mobile {
			mobile++
		}
		if e.Data.Automated {
			automated++
		}
		if e.Data.Proactive && e.Data.ProactiveSince >= "2024-01-01" {
			made++
		}
	}
	if len(last) != 683 || mobile != 402 || automated != 280 || made != 11 {
		t.Errorf("%d services, %d mobile, %d automated, %d made proactive; want 683, 402, 280, 11", len(last), mobile, automated, made)
	}
	// Some of those most asked for are not in the application, so that the list of what is missing ranks them.
	asked := map[string]int{}
	for _, e := range once() {
		if e.Type == decided {
			asked[e.Data.Service]++
		}
	}
	most := slices.SortedFunc(maps.Keys(asked), func(a, b string) int { return cmp.Or(asked[b]-asked[a], strings.Compare(a, b)) })[:100]
	missing := 0
	for _, code := range most {
		if !last[code].Data.Mobile {
			missing++
		}
	}
	if missing == 0 || missing > 30 {
		t.Errorf("%d of the 100 services most asked for are not in the application; want some and few", missing)
	}
	for _, e := range once() {
		if e.Type == decided {
			if _, ok := last[e.Data.Service]; !ok {
				t.Fatalf("%s is for service %s, which is not in the catalogue", e.ID, e.Data.Service)
			}
		}
	}
}

// What agencies report is what their events give, save for the one that is silent.
func TestReportsAgreeWithEvents(t *testing.T) {
	type sum struct{ online, all int }
	counted := map[string]sum{}
	zone := uz().Zone
	for _, e := range once() {
		if e.Type == decided && isCertificate(e.Data.Service) {
			row, _ := uz().Reference.Table("services").Get(e.Data.Service)
			at := e.at.In(zone)
			key := fmt.Sprintf("%d-%02d-01 %s", at.Year(), (int(at.Month())-1)/3*3+1, row.Value("agency"))
			s := counted[key]
			if s.all++; e.Data.Processing != "offline" {
				s.online++
			}
			counted[key] = s
		}
	}
	states := map[string]int{}
	for _, e := range once() {
		if e.Type != figure {
			continue
		}
		states[e.Data.State]++
		s := counted[e.Data.WindowFrom+" "+e.Data.Agency]
		if e.Data.State == "value" && (e.Data.Numerator != s.online || e.Data.Denominator != s.all) {
			t.Errorf("%s reports %d of %d for %s, its events give %d of %d", e.Data.Agency, e.Data.Numerator, e.Data.Denominator, e.Data.WindowFrom, s.online, s.all)
		}
	}
	if states["not_provided"] != 4 || states["value"] < 40 {
		t.Errorf("states of the reports: %v; one agency a quarter is silent", states)
	}
}

// Repeated lines are the same bytes, later; events that are late come after events
// that happened after them.
func TestLateAndRepeated(t *testing.T) {
	seen := map[string][]byte{}
	var repeated, late int64
	newest, n := time.Time{}, int64(0)
	for line := range bytes.Lines(sample().lines) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if first, ok := seen[e.ID]; ok {
			if repeated++; !bytes.Equal(first, line) {
				t.Fatalf("%s comes again with other bytes:\n%s%s", e.ID, first, line)
			}
			continue
		}
		seen[e.ID] = line
		n++
		at, err := time.Parse(time.RFC3339, e.Time)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == changed { // the catalogue's past comes on the first day and is not late
			continue
		}
		if newest.Sub(at) > 5*time.Hour { // late is six hours at the least
			late++
		}
		if at.After(newest) {
			newest = at
		}
	}
	s := sample().summary
	if repeated != s.Duplicates {
		t.Errorf("%d lines come again, the summary says %d", repeated, s.Duplicates)
	}
	near := func(what string, got int64, share float64) {
		want := share * float64(n)
		if math.Abs(float64(got)-want) > 5*math.Sqrt(want) { // five standard deviations
			t.Errorf("%d events of %d are %s; %.0f are asked for", got, n, what, want)
		}
	}
	near("repeated", repeated, 0.01)
	near("late", s.Late, 0.02)
	if late < s.Late*9/10 || late > s.Late*11/10 {
		t.Errorf("%d events arrive after later ones, the summary says %d are late", late, s.Late)
	}
}

// A shorter range is a cut of a longer one.
func TestRangesAreCuts(t *testing.T) {
	whole, _ := run(t, simulate.Options{Scale: 0.001, Seed: 3})
	march, _ := run(t, simulate.Options{Scale: 0.001, Seed: 3, From: day(t, "2024-03-01"), To: day(t, "2024-03-31")})
	of := func(lines []byte) map[string]bool {
		set := map[string]bool{}
		for line := range bytes.Lines(lines) {
			if text := string(line); strings.Contains(text, `"time":"2024-03-`) && !strings.Contains(text, figure) && !strings.Contains(text, closed) {
				set[text] = true
			}
		}
		return set
	}
	all, cut := of(whole), of(march)
	if len(cut) < 1000 || len(all) != len(cut) {
		t.Errorf("March alone has %d events, March of the whole year %d", len(cut), len(all))
	}
	for line := range cut {
		if !all[line] {
			t.Fatalf("the whole year does not have\n%s", line)
		}
	}
}

// A range may cross years and lie before or after the published one.
func TestOtherYears(t *testing.T) {
	count := func(from, to string) int64 {
		_, s := run(t, simulate.Options{Scale: 0.001, From: day(t, from), To: day(t, to)})
		return s.Certificates
	}
	before, published, after := count("2023-01-01", "2023-12-31"), count("2024-01-01", "2024-12-31"), count("2025-01-01", "2025-12-31")
	if published != 8300 || after != 9545 || before != 7217 { // 1.15 a year
		t.Errorf("certificates at 0.001: %d, %d, %d", before, published, after)
	}
	if two := count("2023-12-01", "2024-01-31"); two >= published || two == 0 {
		t.Errorf("two months over the turn of the year have %d", two)
	}
}

func TestEventsSetTheScale(t *testing.T) {
	for _, n := range []int{5_000, 60_000} {
		_, s := run(t, simulate.Options{Events: n, LateShare: simulate.UsualLateShare, DuplicateShare: simulate.UsualDuplicateShare})
		if math.Abs(float64(s.Events)-float64(n)) > 0.03*float64(n) {
			t.Errorf("asked for %d events, got %d", n, s.Events)
		}
	}
}

func TestPersons(t *testing.T) {
	persons, requests := map[string]bool{}, 0
	for _, e := range once() {
		if e.Type != decided {
			continue
		}
		requests++
		persons[e.Data.Applicant] = true
		if len(e.Data.Applicant) != 14 || e.Data.Applicant[0] != '9' {
			t.Fatalf("%s: %q is not an invented identifier", e.ID, e.Data.Applicant)
		}
	}
	// 21,400 requests of 20,000 users: about 20,000 × (1 − e^(−1.07)) are different.
	if len(persons) < 12_500 || len(persons) > 14_200 {
		t.Errorf("%d persons made %d requests", len(persons), requests)
	}
}

// A generator can be asked again.
func TestWritesAgain(t *testing.T) {
	g, err := simulate.New(uz(), simulate.Options{Events: 5_000, LateShare: 0.1, DuplicateShare: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	s1, err1 := g.WriteTo(context.Background(), &first, nil)
	s2, err2 := g.WriteTo(context.Background(), &second, nil)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) || s1.String() != s2.String() {
		t.Error("the second time gives other bytes than the first")
	}
}

func TestProgress(t *testing.T) {
	g, err := simulate.New(uz(), simulate.Options{Events: 30_000, DuplicateShare: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	var last, total int64
	s, err := g.WriteTo(context.Background(), io.Discard, func(done, of int64) {
		if done < last || of < done {
			t.Errorf("progress went from %d to %d of %d", last, done, of)
		}
		last, total = done, of
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != s.Events || float64(total) > 1.05*float64(last) {
		t.Errorf("progress ended at %d of %d, %d were written", last, total, s.Events)
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestStops(t *testing.T) {
	g, err := simulate.New(uz(), simulate.Options{Scale: 0.05})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := g.WriteTo(context.Background(), &brokenWriter{left: 5 << 20}, nil); !errors.Is(err, io.ErrClosedPipe) || s != nil {
		t.Errorf("a broken writer gives %v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := g.WriteTo(ctx, io.Discard, func(done, _ int64) {
		if done > 10_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("a cancelled context gives %v, %v", s, err)
	}
	cancel()
}

func TestBadOptions(t *testing.T) {
	for message, o := range map[string]simulate.Options{
		"the last day 2024-01-01 is before the first day 2024-06-01":                                                                   {From: day(t, "2024-06-01"), To: day(t, "2024-01-01")},
		"2050-01-01 is more than ten years from 2024, the published year":                                                              {To: day(t, "2050-01-01")},
		"the share of late events is 1.5; a share is between 0 and 1":                                                                  {LateShare: 1.5},
		"the share of duplicate events is -1; a share is between 0 and 1":                                                              {DuplicateShare: -1},
		"10 events are too few: the catalogue of services, the closing of months and the registers that have no scale alone take 1133": {Events: 10},
		"the number of events must not be negative, the scale must lie between 0 and 100":                                              {Scale: -1},
	} {
		_, err := simulate.New(uz(), o)
		if problem.KindOf(err) != problem.BadInput || err == nil || err.Error() != message {
			t.Errorf("%+v: %v\nwant %s", o, err, message)
		}
	}
	p := *uz()
	p.Files = fstest.MapFS{}
	if _, err := simulate.New(&p, simulate.Options{}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("a pack without numbers gives %v", err)
	}
	p.Files = fstest.MapFS{"simulation/nation.json": {Data: []byte(`{"published": {"yaer": 2024}}`)}}
	if _, err := simulate.New(&p, simulate.Options{}); problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), `unknown field "yaer"`) {
		t.Errorf("a mistyped key gives %v", err)
	}
}

// One op is 1,000,000 events, written to nowhere.
func BenchmarkWriteTo(b *testing.B) {
	g, err := simulate.New(uz(), simulate.Options{Events: 1_000_000, Seed: 1, LateShare: simulate.UsualLateShare, DuplicateShare: simulate.UsualDuplicateShare})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var events int64
	for b.Loop() {
		w := &counter{}
		s, err := g.WriteTo(context.Background(), w, nil)
		if err != nil {
			b.Fatal(err)
		}
		events += s.Events
		b.SetBytes(w.n)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds()/float64(runtime.GOMAXPROCS(0)), "events/s/core")
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// The systems of the pack: the same bytes again on any number of processors, all of them
// what their contracts ask for, and every contract of the pack has events.
func TestSystems(t *testing.T) {
	o := simulate.Options{Scale: 0.002, Seed: 3, LateShare: 0.01, DuplicateShare: 0.01, Systems: true}
	lines, summary := run(t, o)
	before := runtime.GOMAXPROCS(1)
	again, _ := run(t, o)
	runtime.GOMAXPROCS(before)
	if !bytes.Equal(lines, again) {
		t.Error("the bytes depend on the number of processors")
	}
	b := contract.NewChecker(uz().Set, contract.NewKeys(), contract.Limits{}).NewBatch()
	n := 0
	seen := map[string]int64{}
	for line := range bytes.Lines(lines) {
		if refusal := b.Add(n, line); refusal != nil {
			t.Fatalf("refused: %+v\n%s", refusal, line)
		}
		if n++; n%5000 == 0 {
			b.Parts()
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		seen[e.Type]++
	}
	for _, h := range b.Held() {
		t.Fatalf("held: %s\n%s", h.Reason, h.Event)
	}
	for _, w := range b.Warnings() {
		t.Errorf("warned: %+v", w)
	}
	for _, c := range uz().Set.All() {
		if c.Name != contract.PeriodClosed && c.Name != contract.FigurePublished && seen[c.Type] == 0 {
			t.Errorf("no event of %s", c.Type)
		}
	}
	registersAreWhole(t, lines)
	total := summary.Duplicates
	for _, c := range summary.ByType {
		total += c.Count
	}
	if int64(n) != summary.Events || total != summary.Events {
		t.Errorf("%d lines, the summary says %d and counts %d", n, summary.Events, total)
	}
}

// registersAreWhole holds what the registers of the year 2024 tell against what was published and against the
// calendar: more than 2,000 projects live, savings by whole quarters, systems watched from hour to hour of all the
// time that is due, diaries on days of school.
func registersAreWhole(t *testing.T, lines []byte) {
	t.Helper()
	projects, quarters := map[string]bool{}, map[string]bool{}
	due, windows := map[string]int64{}, map[string]bool{}
	workers, answered, fields := map[string]string{}, map[string]int{}, map[string]int{}
	for line := range bytes.Lines(lines) {
		var e struct {
			Type string
			Time time.Time
			Data struct {
				Project, Stage, System, Day string
				PeriodFrom                  string `json:"period_from"`
				PeriodTo                    string `json:"period_to"`
				Due                         int64  `json:"due_seconds"`
				Field, Worker, Side         string
				RequestIn                   string `json:"request_in"`
				RequestOut                  string `json:"request_out"`
				ResponseIn                  string `json:"response_in"`
				ResponseOut                 string `json:"response_out"`
			}
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		at := e.Data.System + e.Time.In(uz().Zone).Format(" 2006-01-02 15:04:05")
		switch strings.TrimPrefix(e.Type, "uz.gov.") {
		case "project.registered.v1":
			if _, ended := projects[e.Data.Project]; !ended {
				projects[e.Data.Project] = true
			}
		case "project.staged.v1":
			if e.Data.Stage == "closed" || e.Data.Stage == "cancelled" {
				projects[e.Data.Project] = false
			}
		case "saving.measured.v1":
			quarters[e.Data.PeriodFrom+" "+e.Data.PeriodTo] = true
		case "worktime.sampled.v1":
			workers[e.Data.Field+e.Data.Worker] = e.Data.Field
		case "exchange.completed.v1":
			d := e.Data
			if d.RequestIn > d.RequestOut || d.ResponseOut != "" && (d.RequestOut > d.ResponseIn || d.ResponseIn > d.ResponseOut) {
				t.Fatalf("an exchange goes back in time: %+v", d)
			}
			if d.ResponseOut != "" {
				answered[d.Side]++
			}
		case "system.due.v1":
			due[at] = e.Data.Due
		case "monitor.sampled.v1":
			windows[at] = true
			if !strings.HasSuffix(at, ":00:00") {
				t.Fatalf("a window begins at %s", at)
			}
		case "diary.used.v1":
			if _, school := uz().Reference.Calendar().Quarter(day(t, e.Data.Day)); !school {
				t.Fatalf("a diary of %s, in the holidays", e.Data.Day)
			}
		}
	}
	for _, field := range workers {
		fields[field]++
	}
	if fields["court"] < 12 || fields["school"] < 12 {
		t.Errorf("the working time of %v was sampled; want 12 of each at any scale", fields)
	}
	if answered["client"] == 0 || answered["producer"] == 0 {
		t.Errorf("sides with a time of answer: %v", answered)
	}
	live := 0
	for _, stands := range projects {
		if stands {
			live++
		}
	}
	if live <= 2000 {
		t.Errorf("%d projects are neither closed nor cancelled; more than 2,000 were published", live)
	}
	want := []string{"2024-01-01 2024-03-31", "2024-04-01 2024-06-30", "2024-07-01 2024-09-30", "2024-10-01 2024-12-31"}
	if got := slices.Sorted(maps.Keys(quarters)); !slices.Equal(got, want) {
		t.Errorf("savings are measured for %q, want the quarters of 2024", got)
	}
	seconds := int64(0)
	for _, s := range due {
		seconds += s
	}
	// A system that nobody watches sends no windows, and its time is due all the same.
	if watched := int64(len(windows)) * 3600; watched == 0 || watched%(366*86400) != 0 || seconds%(366*86400) != 0 || watched > seconds {
		t.Errorf("%d seconds are due and %d windows of an hour came; want every hour of 2024 of every watched system", seconds, len(windows))
	}
}

// A shorter range of the systems' events is a cut of a longer one, registers apart,
// whose past comes whenever one begins.
func TestSystemsRangesAreCuts(t *testing.T) {
	cut := simulate.Options{Scale: 0.002, Seed: 3, Systems: true, From: day(t, "2024-05-06"), To: day(t, "2024-05-12")}
	long := cut
	long.From, long.To = day(t, "2024-04-20"), day(t, "2024-05-20")
	short, _ := run(t, cut)
	whole, _ := run(t, long)
	within := map[string]bool{}
	for line := range bytes.Lines(whole) {
		within[string(line)] = true
	}
	for line := range bytes.Lines(short) {
		if !within[string(line)] {
			t.Fatalf("only in the shorter range: %s", line)
		}
	}
}

// What belongs to a request carries its key, and comes from the same person for the same service in
// the same region: a bill after the request was made, an opinion after it was decided.
func TestCasesOfRequests(t *testing.T) {
	lines, _ := run(t, simulate.Options{Scale: 0.002, Seed: 3, Systems: true, From: day(t, "2024-02-01"), To: day(t, "2024-04-15")})
	type told struct {
		Request, Applicant, Payer, Service, Region string
	}
	type belongs struct {
		typ string
		at  time.Time
		told
	}
	requests := map[string]map[string]belongs{submitted: {}, decided: {}}
	after := map[string]string{"uz.gov.payment.issued.v1": submitted, "uz.gov.payment.settled.v1": submitted, "uz.gov.payment.refunded.v1": submitted,
		"uz.gov.document.issued.v1": decided, "uz.gov.feedback.given.v1": decided, "uz.gov.request.disputed.v1": decided}
	var cases []belongs
	for line := range bytes.Lines(lines) {
		var e struct {
			Type string
			Time time.Time
			Data told
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		one := belongs{e.Type, e.Time, e.Data}
		if requests[e.Type] != nil {
			requests[e.Type][e.Data.Request] = one
		} else if after[e.Type] != "" {
			one.Applicant += one.Payer
			cases = append(cases, one)
		}
	}
	met, earlier := map[string]int{}, 0
	for _, c := range cases {
		of, ok := requests[after[c.typ]][c.Request]
		switch {
		case !ok && c.at.Before(time.Date(2024, 3, 25, 0, 0, 0, 0, time.UTC)):
			earlier++ // of a request of before the range
			continue
		case !ok || !of.at.Before(c.at) || c.Applicant != of.Applicant || c.Service != of.Service || c.Region != of.Region:
			t.Fatalf("%+v belongs to %+v", c, of)
		}
		met[c.typ]++
	}
	for typ := range after {
		if few := typ == "uz.gov.request.disputed.v1" || typ == "uz.gov.payment.refunded.v1"; met[typ] == 0 && !few {
			t.Errorf("no %s belongs to a request of the range", typ)
		}
	}
	if earlier*4 > len(cases) {
		t.Errorf("%d of %d cases belong to requests of before the range", earlier, len(cases))
	}
}

// What the sources say when they close a month is what they have sent of it.
func TestClosedMonths(t *testing.T) {
	lines, _ := run(t, simulate.Options{Scale: 0.0005, Seed: 3, Systems: true, From: day(t, "2024-02-01"), To: day(t, "2024-04-15"), LateShare: 0.02, DuplicateShare: 0.01})
	type place struct{ source, typ, month string }
	sent, seen := map[place]int64{}, map[string]bool{}
	said, scales := map[place]int64{}, map[string]float64{}
	for line := range bytes.Lines(lines) {
		var e struct {
			ID, Source, Type string
			Time             time.Time
			Data             struct {
				Source, Contract, From, To string
				Count                      int64
				Scale                      *float64
			}
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if seen[e.Type+e.ID] {
			continue
		}
		seen[e.Type+e.ID] = true
		sent[place{e.Source, e.Type, e.Time.In(uz().Zone).Format("2006-01")}]++
		if e.Type == closed {
			said[place{e.Data.Source, "uz.gov." + e.Data.Contract + ".v1", e.Data.From[:7]}] = e.Data.Count
			if scales[e.Data.Contract] = 1; e.Data.Scale != nil {
				scales[e.Data.Contract] = *e.Data.Scale
			}
		}
	}
	for at, n := range said {
		if sent[at] != n {
			t.Errorf("%v: %d events, %d were told", at, sent[at], n)
		}
		if at.month == "2024-04" {
			t.Errorf("%v is closed, and not over", at)
		}
	}
	for _, c := range uz().Set.All() {
		if scale, closed := scales[c.Name]; closed != (c.Name != contract.PeriodClosed && c.Name != contract.FigurePublished) || scale > 1 {
			t.Errorf("%s is closed: %t, at scale %g", c.Name, closed, scale)
		}
	}
	// Requests and users are scaled, of the systems that are hosted twelve are there at any scale, and projects in full.
	for name, want := range map[string]float64{"request.decided": 0.0005, "user.balance": 0.0005, "system.hosted": 0.3, "project.registered": 1, "service.changed": 1} {
		if scales[name] != want {
			t.Errorf("%s is told to be at scale %g, and is at %g", name, scales[name], want)
		}
	}
}
