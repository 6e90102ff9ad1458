//go:build bench

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"reflect"
	"slices"
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

// TestBenchKPI measures answers over HTTP. It fails when rollups and facts do not
// give the same figures, never for a time.
func TestBenchKPI(t *testing.T) {
	r := newReport(t, "kpi")
	events := number(t, "EVENTS", 20_000_000)
	p := embedded(t)
	s := serve(t, fresh(t))
	loaded := s.loadYear(t, float64(events)/fullYear)

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
	r.say("settings  %d events of all systems over a year, %d loaded; client and server share the cores", events, loaded)
	r.say("          each linear KPI with each declared set of dimensions over a year, %d different first days; from facts twice", firstDays)
	r.say("")
	r.say("uncached, ms                     sets   rollup p50    p99    facts p50    p99   facts/rollup")
	var allRollups, allFacts, ratios []float64
	sets := breakdowns(p)
	for i := 0; i < len(sets); {
		var fast, slow, times []float64
		k, first := sets[i], i
		for ; i < len(sets) && sets[i].kpi == k.kpi && sets[i].variant == k.variant; i++ {
			b := sets[i]
			whole := b.same(t, s, facts)
			var mine []float64
			for day := range firstDays {
				mine = append(mine, timed(t, b.url(s, firstDay(day+1))))
			}
			again := b.fromFacts(t, facts, firstDay(1))
			fast, slow = append(fast, mine...), append(slow, whole, again)
			times = append(times, median([]float64{whole, again})/median(mine))
		}
		r.say("%-32s %4d %12.1f %6.1f %12.1f %6.1f %14.1f", strings.TrimSpace(k.kpi+" "+k.variant), i-first, median(fast), quantile(fast, 0.99), median(slow), quantile(slow, 0.99), median(times))
		allRollups, allFacts, ratios = append(allRollups, fast...), append(allFacts, slow...), append(ratios, times...)
	}
	r.say("%-32s %4d %12.1f %6.1f %12.1f %6.1f %14.1f", "all", len(sets), median(allRollups), quantile(allRollups, 0.99), median(allFacts), quantile(allFacts, 0.99), median(ratios))
	ratio := median(ratios)
	if large := s.large(t, p, sets, ratios); len(large) > 0 {
		ratio = median(large)
		r.say("%d of these sets stand on a million facts or more: facts/rollup %.1f, least %.1f", len(large), ratio, quantile(large, 0))
	}
	r.say("")
	var cards, counts []float64
	for day := range firstDays {
		cards = append(cards, timed(t, s.url+"/v1/scorecard?from="+firstDay(day)+"&to=2024-12-31"))
		for _, id := range []string{"active-users", "active-identities"} {
			counts = append(counts, timed(t, fmt.Sprintf("%s/v1/kpis/%s/values?from=2024-01-01&to=2024-12-31&grain=%s", s.url, id, []string{"year", "quarter", "month", "year&by=region", "month&by=region"}[day])))
		}
	}
	r.say("scorecard of %d KPIs, uncached: p50 %.0f ms, most %.0f ms", len(p.KPIs), median(cards), quantile(cards, 1))
	r.say("distinct persons of a year, uncached: p50 %.1f ms, most %.1f ms", median(counts), quantile(counts, 1))
	one := breakdown{kpi: "requests", by: []string{"region"}}.url(s, "2024-01-01")
	response, _ := get(t, one, "")
	answers, latencies := hammer(t, one, response.Header.Get("ETag"), http.StatusNotModified)
	r.say("If-None-Match, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, answers, median(latencies), quantile(latencies, 0.99))
	answers, latencies = hammer(t, one, "", http.StatusOK)
	r.say("whole, from memory, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, answers, median(latencies), quantile(latencies, 0.99))
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
	r.say("load      %s before the first question, %s after the last", began, load(t))
	r.say("kpi/raw ratio %.2f", ratio)
}

// loadYear pipes a simulated year of all systems into the server, nothing twice, and returns
// how many events were accepted.
func (s *server) loadYear(t *testing.T, scale float64) int64 {
	t.Helper()
	simulation := exec.CommandContext(t.Context(), binary, "simulate", "--scale", fmt.Sprint(scale), "--duplicates", "0")
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
func breakdowns(p *pack.Pack) (list []breakdown) {
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
				list = append(list, breakdown{k.ID, variant, set})
			}
		}
	}
	return list
}

func firstDay(n int) string {
	return time.Date(2024, 1, 1+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func (b breakdown) url(s *server, from string) string {
	return s.url + "/v1/kpis/" + b.kpi + "/values?" + url.Values{"by": {strings.Join(b.by, ",")}, "variant": {b.variant}, "from": {from}, "to": {"2024-12-31"}}.Encode()
}

// fromFacts is how long the answer takes from facts, in milliseconds.
func (b breakdown) fromFacts(t *testing.T, facts *queries.Queries, from string) float64 {
	t.Helper()
	_, took := b.ask(t, facts, from)
	return took
}

func (b breakdown) ask(t *testing.T, facts *queries.Queries, from string) (*queries.Result, float64) {
	t.Helper()
	first, err := reference.ParseDay(from)
	if err != nil {
		t.Fatal(err)
	}
	last, err := reference.ParseDay("2024-12-31")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	result, err := facts.Values(t.Context(), queries.Request{KPI: b.kpi, Variant: b.variant, By: b.by, From: first, To: last, Plan: true})
	took := milliseconds(time.Since(began))
	if err != nil {
		t.Fatalf("%s by %v from facts: %v", b.kpi, b.by, err)
	}
	return result, took
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

// same holds the server's answer against the one from facts, and the tables that they
// come from against what is to be measured. It returns how long facts took, in milliseconds.
func (b breakdown) same(t *testing.T, s *server, facts *queries.Queries) float64 {
	t.Helper()
	var fast, slow struct {
		Cells []toldFigure
		Plan  struct{ Table string }
	}
	_, body := get(t, b.url(s, "2024-01-01")+"&plan=true", "")
	if err := json.Unmarshal(body, &fast); err != nil {
		t.Fatal(err)
	}
	result, took := b.ask(t, facts, "2024-01-01")
	text, err := json.Marshal(result)
	if err == nil {
		err = json.Unmarshal(text, &slow)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fast.Plan.Table, "rollups") || !strings.Contains(slow.Plan.Table, "facts") {
		t.Fatalf("%s by %v is read from %s, and from %s", b.kpi, b.by, fast.Plan.Table, slow.Plan.Table)
	}
	if !reflect.DeepEqual(fast.Cells, slow.Cells) {
		t.Errorf("%s by %v differs:\n%+v\nfrom facts:\n%+v", b.kpi, b.by, fast.Cells, slow.Cells)
	}
	return took
}

// large are the ratios of the breakdowns whose facts are a million rows or more, where
// a rollup matters.
func (s *server) large(t *testing.T, p *pack.Pack, sets []breakdown, ratios []float64) (list []float64) {
	t.Helper()
	rows := map[string]bool{}
	for line := range strings.Lines(s.sql("SELECT table FROM system.parts WHERE active AND database = 'facts' GROUP BY table HAVING sum(rows) >= 1000000")) {
		rows[strings.TrimSpace(line)] = true
	}
	for i, b := range sets {
		k := p.KPIs[slices.IndexFunc(p.KPIs, func(k *kpi.KPI) bool { return k.ID == b.kpi })]
		v, err := k.Select(b.variant, 0, reference.NoDay)
		if err != nil {
			t.Fatal(err)
		}
		if c := p.Set.ByName(v.Sides()[0].From, 0); c != nil && rows[c.Table()] {
			list = append(list, ratios[i])
		}
	}
	return list
}

var client = &http.Client{Transport: asOperator{&http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}}

// get reads a whole answer; tag is what the reader says it has, or "".
func get(t *testing.T, address, tag string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotModified {
		t.Fatalf("%s: %s: %s", address, response.Status, body)
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

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// hammer asks one question over all connections, and returns answers a second and
// the milliseconds of each.
func hammer(t *testing.T, address, tag string, want int) (perSecond float64, latencies []float64) {
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
