//go:build bench

package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ombor/internal/pack"
)

// questions are KPIs with one breakdown for which their definitions declare rollups.
var questions = []question{
	{"requests", "region"},
	{"requests", "service"},
	{"online-processing-share", "agency"},
	{"certificate-online-share", "region"},
	{"on-time-share", "region"},
}

const (
	askedDays   = 120 // questions of each kind, each with a first day of its own
	connections = 8
	burst       = 5 * time.Second // of answers to one question
)

// TestBenchKPI measures answers over HTTP. It fails when rollups and facts do not
// give the same figures, never for a time.
func TestBenchKPI(t *testing.T) {
	r := newReport(t, "kpi")
	events := number(t, "EVENTS", 1_000_000)
	p := embedded(t)
	scale := 1.03 * float64(events) / nationalYear // nearly the whole year, so that periods differ
	file, _ := decided(t, p, events, scale)

	// The same events in two servers, whose packs differ in one thing: one declares no
	// rollups by dimension, so that the compiler of questions falls back on facts.
	rollups, facts := serve(t, fresh(t)), serve(t, fresh(t), "--pack", withoutRollups(t))
	for _, s := range []*server{rollups, facts} {
		if l, result := s.load(file); l.Accepted != int64(events) {
			t.Fatalf("load: %+v %s", l, result.stderr)
		}
	}
	r.machine(rollups.sql("SELECT version()"))
	began := load(t)
	r.say("settings  %d request.decided over a year, 2 servers with everything embedded; client and servers share the cores", events)
	r.say("          each question with %d different first days, every one of them to the last day of the year, asked of both servers by turns", askedDays)
	r.say("")
	r.say("cold, whole answer over HTTP, ms                 rollup p50    p99    facts p50    p99   facts/rollup")
	var allRollups, allFacts, ratios []float64
	for _, q := range questions {
		q.same(t, rollups, facts)
		var fast, slow, times []float64
		first := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		for day := range askedDays {
			from := first.AddDate(0, 0, day+1).Format(time.DateOnly)
			a, b := timed(t, q.url(rollups, from)), timed(t, q.url(facts, from))
			fast, slow, times = append(fast, a), append(slow, b), append(times, b/a)
		}
		r.say("%-24s by %-18s %10.1f %6.1f %12.1f %6.1f %14.1f", q.kpi, q.by, median(fast), quantile(fast, 0.99), median(slow), quantile(slow, 0.99), median(times))
		allRollups, allFacts, ratios = append(allRollups, fast...), append(allFacts, slow...), append(ratios, times...)
	}
	r.say("%-46s %10.1f %6.1f %12.1f %6.1f %14.1f", "all", median(allRollups), quantile(allRollups, 0.99), median(allFacts), quantile(allFacts, 0.99), median(ratios))
	r.say("")
	one := questions[0].url(rollups, "2024-01-01")
	response, _ := get(t, one, "")
	answers, latencies := hammer(t, one, response.Header.Get("ETag"), http.StatusNotModified)
	r.say("If-None-Match, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, answers, median(latencies), quantile(latencies, 0.99))
	answers, latencies = hammer(t, one, "", http.StatusOK)
	r.say("whole, from memory, %d connections: %.0f answers/s, p50 %.2f ms, p99 %.2f ms", connections, answers, median(latencies), quantile(latencies, 0.99))
	r.say("")
	r.say("load      %s before the first question, %s after the last", began, load(t))
	r.say("kpi/facts ratio %.2f", median(ratios))
}

type question struct{ kpi, by string }

func (q question) url(s *server, from string) string {
	return s.url + "/v1/kpis/" + q.kpi + "/values?" + url.Values{"by": {q.by}, "from": {from}, "to": {"2024-12-31"}}.Encode()
}

// same holds the two servers' answers against each other, and the tables that they
// come from against what is to be measured.
func (q question) same(t *testing.T, rollups, facts *server) {
	t.Helper()
	var cells [2]string
	for i, s := range []*server{rollups, facts} {
		var answer struct {
			Cells json.RawMessage
			Plan  struct{ Table string }
		}
		_, body := get(t, q.url(s, "2024-01-01")+"&plan=true", "")
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatal(err)
		}
		if database := []string{"rollups", "facts"}[i]; !strings.Contains(answer.Plan.Table, database) {
			t.Fatalf("%s by %s is read from %s, not from %s", q.kpi, q.by, answer.Plan.Table, database)
		}
		cells[i] = string(answer.Cells)
	}
	if cells[0] != cells[1] {
		t.Errorf("%s by %s from rollups:\n%s\nfrom facts:\n%s", q.kpi, q.by, cells[0], cells[1])
	}
}

// withoutRollups is a copy of the pack in which no KPI declares rollups.
func withoutRollups(t *testing.T) string {
	t.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(fresh(t), "pack")
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	kpis, err := filepath.Glob(filepath.Join(dir, "kpis", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^ +rollups: \[.*\n`)
	for _, name := range kpis {
		text := declared.ReplaceAllString(contents(t, name), "")
		if strings.Contains(text, "rollups:") {
			t.Fatalf("%s: rollups are declared in a way that this test does not know", name)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
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
