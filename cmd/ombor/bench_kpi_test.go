//go:build bench

package main_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
)

const (
	firstDays   = 5 // questions of each breakdown, each with a first day of its own
	connections = 8
	burst       = 5 * time.Second // of answers to one question
)

// fullYear is about how many events the simulated year of all systems has at full scale.
const fullYear = 29_500_000

// breakdown is one KPI by one declared set of dimensions.
type breakdown struct {
	kpi, variant string
	by           []string
}

// What DESIGN asks of answers, on two cores.
const (
	goalUncached = 50.0  // ms, p99 of an answer from rollups
	goalSame     = 2.0   // ms, p99 of a 304
	goalAnswers  = 7_500 // a second, whole, over all connections
)

// goalRatio is how many times faster than from facts an answer is to be; 0: nothing is asked of so few events.
func goalRatio(events int) float64 {
	switch {
	case events >= 100_000_000:
		return 50
	case events >= 20_000_000:
		return 10
	}
	return 0
}

// TestBenchKPI measures answers over HTTP. It fails when rollups and facts do not
// give the same figures, or an answer cannot be had, never for a time; and goes on to the end even so.
func TestBenchKPI(t *testing.T) {
	r := newReport(t, "kpi")
	events := number(t, "EVENTS", 20_000_000)
	p := embedded(t)
	s, loaded, kept := year(t, events)

	// The same questions to the same engine, by a pack that declares no rollups: the compiler of
	// questions falls back on facts. Without HTTP and JSON, which favours it.
	bare := embedded(t)
	for _, k := range bare.KPIs {
		for i := range k.Versions {
			k.Versions[i].Rollups = nil
		}
	}
	w, err := warehouse.Open(t.Context(), warehouse.Config{Socket: s.socket(), Persons: p.K, Timeout: 10 * time.Minute}, bare.Set, bare.KPIs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() }) // its engine is about to be stopped
	facts := queries.New(w, bare.KPIs, bare.Reference, queries.Options{K: p.K})

	r.machine(s.sql("SELECT version()"))
	began := load(t)
	every := number(t, "EVERY", 1)
	var sets []measured
	for i, set := range breakdowns(p) {
		if i%every == 0 {
			sets = append(sets, set)
		}
	}
	r.say("settings  %d events of all systems over a year, %d loaded%s; nothing is published meanwhile; client and server share the cores", events, loaded, kept)
	r.say("          each linear KPI with each declared set of dimensions over a year: %d sets, %d different first days of each; from facts once", len(sets), firstDays)
	r.say("")
	r.say("from rollups, uncached, ms       sets      p50    p99   most")
	var fast []float64
	for i := range sets {
		m := &sets[i]
		if err := m.fromRollups(t, s); err != nil {
			t.Errorf("%s by %v: %v", m.kpi, m.by, err)
			continue
		}
		if fast = append(fast, m.rollup...); i+1 == len(sets) || sets[i+1].name() != m.name() {
			of, n := named(sets[:i+1], m.name())
			r.say("%-32s %4d %8.1f %6.1f %6.1f", m.name(), n, median(of), quantile(of, 0.99), quantile(of, 1))
		}
	}
	if len(fast) == 0 {
		t.Fatal("nothing was measured")
	}
	uncached := quantile(fast, 0.99)
	r.say("%-32s %4d %8.1f %6.1f %6.1f", "all", len(sets), median(fast), uncached, quantile(fast, 1))
	slow := slices.DeleteFunc(slices.Clone(sets), func(m measured) bool { return len(m.rollup) == 0 || quantile(m.rollup, 1) < goalUncached })
	slices.SortFunc(slow, func(a, b measured) int { return cmp.Compare(median(b.rollup), median(a.rollup)) })
	over := 0
	for _, ms := range fast {
		if ms >= goalUncached {
			over++
		}
	}
	r.say("%d of %d answers took %.0f ms or more, of %d sets: median, most, cells, bytes", over, len(fast), goalUncached, len(slow))
	for _, m := range slow {
		r.say("  %6.1f %6.1f %6d %8d  %s by %s", median(m.rollup), quantile(m.rollup, 1), m.cells, m.bytes, m.name(), strings.Join(m.by, ", "))
	}
	r.say("an answer from rollups, uncached, p99: %.1f ms (goal %.0f ms, %s)", uncached, goalUncached, verdict(uncached < goalUncached))
	r.say("")

	var cards, counts []float64
	for day := range firstDays {
		cards = tried(t, cards, s.url+"/v1/scorecard?from="+firstDay(day)+"&to=2024-12-31")
		for _, id := range []string{"active-users", "active-identities"} {
			counts = tried(t, counts, fmt.Sprintf("%s/v1/kpis/%s/values?from=2024-01-01&to=2024-12-31&grain=%s", s.url, id, []string{"year", "quarter", "month", "year&by=region", "month&by=region"}[day]))
		}
	}
	if len(cards) == 0 || len(counts) == 0 {
		t.Fatal("no scorecard, or no distinct persons")
	}
	r.say("scorecard of %d KPIs, uncached: p50 %.0f ms, most %.0f ms", len(p.KPIs), median(cards), quantile(cards, 1))
	r.say("distinct persons of a year, uncached: p50 %.1f ms, most %.1f ms", median(counts), quantile(counts, 1))
	one := breakdown{kpi: "requests", by: []string{"region"}}.url(s, "2024-01-01")
	response, _ := get(t, one, "")
	tag := response.Header.Get("ETag")
	_, same := hammer(t, one, tag, http.StatusNotModified, 1)
	r.say("If-None-Match, one connection: p50 %.2f ms, p99 %.2f ms", median(same), quantile(same, 0.99))
	answers, latencies := hammer(t, one, tag, http.StatusNotModified, connections)
	r.say("If-None-Match, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, answers, median(latencies), quantile(latencies, 0.99))
	whole, latencies := hammer(t, one, "", http.StatusOK, connections)
	r.say("whole, from memory, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, whole, median(latencies), quantile(latencies, 0.99))
	r.say("a 304 on one connection, p99: %.2f ms (goal %.0f ms, %s)", quantile(same, 0.99), goalSame, verdict(quantile(same, 0.99) < goalSame))
	r.say("answers from memory a second: %.0f (goal %d, %s)", whole, goalAnswers, verdict(whole >= goalAnswers))
	r.say("")
	r.say("rows and MiB on disk of facts and of rollups by month of receipt")
	for line := range strings.Lines(s.sql("SELECT partition, sumIf(rows, database = 'facts'), round(sumIf(bytes_on_disk, database = 'facts') / 1048576, 1), sumIf(rows, database = 'rollups'), round(sumIf(bytes_on_disk, database = 'rollups') / 1048576, 1) FROM system.parts WHERE active AND database IN ('facts', 'rollups') AND partition != 'tuple()' GROUP BY partition ORDER BY partition")) {
		r.say("%s", strings.TrimRight(line, "\n"))
	}
	r.say("the largest rollups: rows, MiB")
	for line := range strings.Lines(s.sql("SELECT table, sum(rows), round(sum(bytes_on_disk) / 1048576, 1) FROM system.parts WHERE active AND database = 'rollups' GROUP BY table ORDER BY 3 DESC LIMIT 8")) {
		r.say("%s", strings.TrimRight(line, "\n"))
	}
	r.say("")
	r.say("the same from facts, ms          sets      p50   most   facts/rollup")
	var ratios, large []float64
	rows := s.millions()
	for i := range sets {
		m := &sets[i]
		if len(m.rollup) == 0 {
			continue
		}
		if err := m.same(t, s, facts); err != nil {
			t.Errorf("%s by %v: %v", m.kpi, m.by, err)
		} else {
			ratio := m.facts / median(m.rollup)
			if ratios = append(ratios, ratio); rows[m.table(p)] {
				large = append(large, ratio)
			}
		}
		if i+1 < len(sets) && sets[i+1].name() == m.name() {
			continue
		}
		var took, times []float64
		for _, other := range sets[:i+1] {
			if other.name() == m.name() && other.facts > 0 {
				took, times = append(took, other.facts), append(times, other.facts/median(other.rollup))
			}
		}
		if len(took) > 0 {
			r.say("%-32s %4d %8.0f %6.0f %14.1f", m.name(), len(took), median(took), quantile(took, 1), median(times))
		}
	}
	if len(ratios) == 0 {
		t.Fatal("nothing was held against facts")
	}
	r.say("%d of %d sets tell the same from facts as from rollups", len(ratios), len(sets))
	r.say("")
	r.say("load      %s before the first question, %s after the last", began, load(t))
	r.say("")
	ratio := median(ratios)
	about := "the median over all sets: none stands on a million facts"
	if len(large) > 0 {
		ratio = median(large)
		about = fmt.Sprintf("the median over the %d sets that stand on a million facts or more, least %.1f", len(large), quantile(large, 0))
	}
	asked := "no goal below 20 million events"
	if goal := goalRatio(events); goal > 0 {
		asked = fmt.Sprintf("goal %.0f, %s", goal, verdict(ratio >= goal))
	}
	r.say("facts/rollup: %.1f (%s); %s; over all %d sets %.1f", ratio, asked, about, len(ratios), median(ratios))
	r.say("kpi/raw ratio %.2f", ratio)
}

// named are the milliseconds of all answers of a KPI from rollups, and how many sets those are of.
func named(sets []measured, name string) (took []float64, n int) {
	for _, m := range sets {
		if m.name() == name {
			took, n = append(took, m.rollup...), n+1
		}
	}
	return took, n
}

func verdict(reached bool) string {
	if reached {
		return "reached"
	}
	return "not reached"
}

// yearFile marks a folder into which a whole simulated year was loaded, and holds how many events that were.
const yearFile = "loaded.txt"

// year is a server on a simulated year of about so many events of all systems. Its folder is kept
// for the next measurement of as many; one whose loading did not come to its end is made anew.
// kept says so in the report.
func year(t *testing.T, events int) (s *server, loaded int64, kept string) {
	t.Helper()
	data := filepath.Join(benches, fmt.Sprintf("year-%d", events))
	mark := filepath.Join(data, yearFile)
	text, err := os.ReadFile(mark)
	if err == nil {
		loaded, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	if err == nil {
		info, err := os.Stat(mark)
		if err != nil {
			t.Fatal(err)
		}
		return serve(t, data, "--publish-every", "0"), loaded, " on " + info.ModTime().UTC().Format(time.DateOnly) + " and kept"
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	s = serve(t, data, "--publish-every", "0")
	loaded = s.loadYear(t, float64(events)/fullYear)
	if err := os.WriteFile(mark, fmt.Appendln(nil, loaded), 0o644); err != nil {
		t.Fatal(err)
	}
	return s, loaded, ""
}

// loadYear pipes a simulated year of all systems into the server, nothing twice, and returns
// how many events were accepted. It shows how far it is on standard error.
func (s *server) loadYear(t *testing.T, scale float64) int64 {
	t.Helper()
	simulation := exec.CommandContext(t.Context(), binary, "simulate", "--scale", fmt.Sprint(scale), "--duplicates", "0")
	simulation.Stderr = os.Stderr
	lines, err := simulation.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	loading := exec.CommandContext(t.Context(), binary, "load", "--data", s.data, "--wait", "--format", "json", "-")
	loading.Stdin, loading.Stdout, loading.Stderr = lines, &out, &complaints
	if err := simulation.Start(); err != nil {
		t.Fatal(err)
	}
	if err := loading.Run(); err != nil {
		t.Fatalf("load: %v: %s", err, complaints.String())
	}
	if err := simulation.Wait(); err != nil {
		t.Fatal(err)
	}
	var l loaded
	if err := json.Unmarshal([]byte(lastLine(out.String())), &l); err != nil {
		t.Fatal(err)
	}
	return l.Accepted
}

// breakdowns are the KPIs that rollups answer, by each declared set of dimensions. What is
// answered from published tables alone is not among them.
func breakdowns(p *pack.Pack) (list []measured) {
	for _, k := range p.KPIs {
		for _, variant := range k.Variants() {
			v, err := k.Select(variant, 0, reference.NoDay)
			if err != nil || v.Basis != kpi.Events || v.Distinct != nil || v.Match != nil ||
				v.Numerator != nil && !v.Numerator.Retractable() || v.Denominator != nil && !v.Denominator.Retractable() {
				continue
			}
			if slices.ContainsFunc(v.Sides(), func(s kpi.Side) bool { return p.Set.ByName(s.From, 0).Special() }) {
				continue
			}
			for _, set := range v.Rollups {
				list = append(list, measured{breakdown: breakdown{k.ID, variant, set}})
			}
		}
	}
	return list
}

// name is the KPI and its variant.
func (b breakdown) name() string { return strings.TrimSpace(b.kpi + " " + b.variant) }

func firstDay(n int) string {
	return time.Date(2024, 1, 1+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func (b breakdown) url(s *server, from string) string {
	return s.url + "/v1/kpis/" + b.kpi + "/values?" + url.Values{"by": {strings.Join(b.by, ",")}, "variant": {b.variant}, "from": {from}, "to": {"2024-12-31"}}.Encode()
}

// table is that of the facts which the breakdown stands on.
func (b breakdown) table(p *pack.Pack) string {
	k := p.KPIs[slices.IndexFunc(p.KPIs, func(k *kpi.KPI) bool { return k.ID == b.kpi })]
	v, err := k.Select(b.variant, 0, reference.NoDay)
	if err != nil {
		return ""
	}
	c := p.Set.ByName(v.Sides()[0].From, 0)
	if c == nil {
		return ""
	}
	return c.Table()
}

// measured is how long the answers by a breakdown took, in milliseconds.
type measured struct {
	breakdown
	rollup       []float64 // one for each first day
	facts        float64   // 0: not asked
	cells, bytes int       // of an answer from rollups
}

// fromRollups asks the server with several first days, after a question that is not counted.
func (m *measured) fromRollups(t *testing.T, s *server) error {
	var body bytes.Buffer // the same for all: what the reader does with an answer is not measured
	if _, err := askInto(t, &body, m.url(s, firstDay(0)), ""); err != nil {
		return err
	}
	var answer struct{ Cells []json.RawMessage }
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		return err
	}
	m.cells, m.bytes = len(answer.Cells), body.Len()
	runtime.GC()
	for day := range firstDays {
		began := time.Now()
		if _, err := askInto(t, &body, m.url(s, firstDay(day+1)), ""); err != nil {
			return err
		}
		m.rollup = append(m.rollup, milliseconds(time.Since(began)))
	}
	return nil
}

// fromFacts is the answer from facts and how long it takes, in milliseconds.
func (b breakdown) fromFacts(t *testing.T, facts *queries.Queries, from string) (*queries.Result, float64, error) {
	first, err := reference.ParseDay(from)
	if err != nil {
		return nil, 0, err
	}
	last, err := reference.ParseDay("2024-12-31")
	if err != nil {
		return nil, 0, err
	}
	began := time.Now()
	result, err := facts.Values(t.Context(), queries.Request{KPI: b.kpi, Variant: b.variant, By: b.by, From: first, To: last, Plan: true})
	return result, milliseconds(time.Since(began)), err
}

// toldFigure is what must be the same of a cell, whatever it was read from. Both sides take quantiles
// from the same buckets; that those are right within their error is for the tests to say.
type toldFigure struct {
	Period      string          `json:"period"`
	Numerator   json.RawMessage `json:"numerator"`
	Denominator json.RawMessage `json:"denominator"`
	Value       *float64        `json:"value"`
	State       string          `json:"state"`
	Cases       *int64          `json:"cases"`
	Quantiles   json.RawMessage `json:"quantiles"`
}

// same holds the server's answer against the one from facts, which is timed, and the tables that they
// come from against what is to be measured.
func (m *measured) same(t *testing.T, s *server, facts *queries.Queries) error {
	var fast, slow struct {
		Cells []toldFigure
		Plan  struct{ Table string }
	}
	_, body, err := ask(t, m.url(s, firstDay(0))+"&plan=true", "")
	if err == nil {
		err = json.Unmarshal(body, &fast)
	}
	if err != nil {
		return err
	}
	result, took, err := m.fromFacts(t, facts, firstDay(0))
	if err != nil {
		return fmt.Errorf("from facts: %w", err)
	}
	text, err := json.Marshal(result)
	if err == nil {
		err = json.Unmarshal(text, &slow)
	}
	switch {
	case err != nil:
		return err
	case !strings.Contains(fast.Plan.Table, "rollups") || !strings.Contains(slow.Plan.Table, "facts"):
		return fmt.Errorf("it is read from %s, and from %s", fast.Plan.Table, slow.Plan.Table)
	case !reflect.DeepEqual(fast.Cells, slow.Cells):
		return fmt.Errorf("it differs:\n%+v\nfrom facts:\n%+v", fast.Cells, slow.Cells)
	}
	m.facts = took
	return nil
}

// millions are the tables of facts with a million rows or more, where a rollup matters.
func (s *server) millions() map[string]bool {
	s.t.Helper()
	tables := map[string]bool{}
	for line := range strings.Lines(s.sql("SELECT table FROM system.parts WHERE active AND database = 'facts' GROUP BY table HAVING sum(rows) >= 1000000")) {
		tables[strings.TrimSpace(line)] = true
	}
	return tables
}

var client = &http.Client{Transport: asOperator{&http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}}

// ask reads a whole answer; tag is what the reader says it has, or "".
func ask(t *testing.T, address, tag string) (*http.Response, []byte, error) {
	var body bytes.Buffer
	response, err := askInto(t, &body, address, tag)
	return response, body.Bytes(), err
}

// askInto is [ask] in place of what the buffer held.
func askInto(t *testing.T, body *bytes.Buffer, address, tag string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body.Reset()
	body.Grow(max(0, int(response.ContentLength)) + bytes.MinRead)
	_, err = body.ReadFrom(response.Body)
	if err == nil && response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotModified {
		err = fmt.Errorf("%s: %s: %s", address, response.Status, body)
	}
	return response, err
}

// get is [ask] of an answer that has to be there.
func get(t *testing.T, address, tag string) (*http.Response, []byte) {
	t.Helper()
	response, body, err := ask(t, address, tag)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// timed is how long a whole answer takes, in milliseconds.
func timed(t *testing.T, address string) float64 {
	t.Helper()
	began := time.Now()
	get(t, address, "")
	return milliseconds(time.Since(began))
}

// tried adds how long a whole answer takes, in milliseconds; one that cannot be had fails the measurement,
// which goes on.
func tried(t *testing.T, list []float64, address string) []float64 {
	t.Helper()
	began := time.Now()
	if _, _, err := ask(t, address, ""); err != nil {
		t.Error(err)
		return list
	}
	return append(list, milliseconds(time.Since(began)))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// hammer asks one question over so many connections, and returns answers a second and
// the milliseconds of each.
func hammer(t *testing.T, address, tag string, want, connections int) (perSecond float64, latencies []float64) {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	var wrong atomic.Int64
	began := time.Now()
	for range connections {
		wait.Go(func() {
			var mine []float64
			for time.Since(began) < burst {
				request, err := http.NewRequest(http.MethodGet, address, nil)
				if err != nil {
					wrong.Add(1)
					return
				}
				if tag != "" {
					request.Header.Set("If-None-Match", tag)
				}
				asked := time.Now()
				response, err := client.Do(request)
				if err != nil {
					wrong.Add(1)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != want {
					wrong.Add(1)
					return
				}
				mine = append(mine, milliseconds(time.Since(asked)))
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, mine...)
		})
	}
	wait.Wait()
	if wrong.Load() > 0 || len(latencies) == 0 {
		t.Fatalf("%s: %d connections got another answer than %d", address, wrong.Load(), want)
	}
	return float64(len(latencies)) / time.Since(began).Seconds(), latencies
}
