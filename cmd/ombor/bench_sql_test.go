//go:build bench

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	smallQueries = 500       // statements of each side, in turn
	streamedRows = 1_000_000 // rows of one answer
	streams      = 15        // answers of each side and format, in turn: a hiccup of the machine decides nothing
	analysts     = 50        // who ask slow questions, again and again
	kpiAnswers   = 120       // in each state
)

// TestBenchSQL measures the governed door against the engine's own front, and KPI answers while analysts ask
// slow questions. Small queries ask the server's own engine by its socket, on the same data. What is streamed
// needs none: it comes from an engine that listens as the door does, since TCP costs more than a socket of
// Unix by as much as the door, and from the server's own by its socket. It fails when they do not answer the
// same, never for a time.
func TestBenchSQL(t *testing.T) {
	r := newReport(t, "sql")
	events := number(t, "EVENTS", 2_000_000)
	p := embedded(t)
	s := serve(t, fresh(t))
	loaded := s.loadYear(t, float64(events)/fullYear)
	var note struct{ SQL, Token string }
	if err := json.Unmarshal([]byte(contents(t, filepath.Join(s.data, "running.json"))), &note); err != nil {
		t.Fatal(err)
	}
	socket := s.socket()
	door := &side{client: &http.Client{Transport: &http.Transport{DisableCompression: true}}, url: note.SQL, token: note.Token}
	front := &side{url: "http://engine", client: &http.Client{Transport: &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}}}

	r.machine(s.sql("SELECT version()"))
	r.say("settings  %d events of all systems over a year, %d loaded; client and server share the cores; load before: %s", events, loaded, load(t))
	r.say("")
	var through, alone, added []float64
	for i := range smallQueries + 20 {
		statement := fmt.Sprintf("SELECT count(), any(name_en) FROM ombor.regions WHERE code != '%d'", i) // none is known before
		a, fromDoor := door.ask(t, statement)
		b, fromFront := front.ask(t, statement)
		if fromDoor != fromFront {
			t.Fatalf("%s: %q through the door, %q from the engine", statement, fromDoor, fromFront)
		}
		if i >= 20 { // the first ones warm up
			through, alone, added = append(through, milliseconds(a)), append(alone, milliseconds(b)), append(added, milliseconds(a-b))
		}
	}
	r.say("a small query, ms            p50    p99")
	r.say("  engine alone          %8.2f %6.2f", median(alone), quantile(alone, 0.99))
	r.say("  through the door      %8.2f %6.2f", median(through), quantile(through, 0.99))
	r.say("  the door adds         %8.2f %6.2f   (parser, audit log on disk, turn)", median(added), quantile(through, 0.99)-quantile(alone, 0.99))
	disk := syncs(t, s.data)
	r.say("  a write and its fsync %8.2f %6.2f   (of 600 bytes beside the data, by nobody else: what the audit log waits for at least)", median(disk), quantile(disk, 0.99))
	r.say("")
	other := engine(t)
	listening := &side{url: other.url, client: door.client}
	r.say("%d rows, MB/s        engine   door   door/engine   engine by its socket, door/that", streamedRows)
	var ratios []float64
	for _, format := range []string{"Native", "CSV", "JSONEachRow", "ArrowStream", "Parquet"} {
		statement := fmt.Sprintf("SELECT number, toDate('2024-01-01') + number %% 366 AS day, concat('service-', toString(number %% 997)) AS service, number * 1.5 AS amount FROM numbers(%d) FORMAT %s", streamedRows, format)
		var of, ofSocket []float64
		var speed [3][]float64
		sides := []*side{door, listening, front}
		for i := range streams + 1 {
			var took [3]float64
			var size [3]int64
			for j := range sides {
				at := (i + j) % len(sides) // who is first changes
				d, n := sides[at].drain(t, statement)
				took[at], size[at] = d.Seconds(), n
			}
			if (size[0] != size[1] || size[0] != size[2]) && format != "ArrowStream" && format != "Parquet" { // whose pieces differ
				t.Fatalf("%s: %d bytes through the door, %d and %d from the engine", format, size[0], size[1], size[2])
			}
			if i > 0 { // the first ones warm up
				of, ofSocket = append(of, took[1]/took[0]), append(ofSocket, took[2]/took[0])
				for at := range sides {
					speed[at] = append(speed[at], float64(size[at])/1e6/took[at])
				}
			}
		}
		r.say("  %-18s %8.0f %6.0f %8.2f %15.0f %16.2f", format, median(speed[1]), median(speed[0]), median(of), median(speed[2]), median(ofSocket))
		ratios = append(ratios, median(of))
	}
	other.stop()
	r.say("")
	keys := make([]string, analysts)
	for i := range keys {
		made := ombor(t, "key", "create", "--role", "analyst", "--name", fmt.Sprint("analyst ", i), "--data", s.data)
		if keys[i] = strings.TrimSpace(made.stdout); made.code != 0 {
			t.Fatal(made.stderr)
		}
	}
	sets := breakdowns(p)
	next := 0
	answers := func() (times []float64) {
		for range kpiAnswers {
			times = append(times, timed(t, sets[next%len(sets)].url(s, firstDay(next/len(sets)+1)))) // each question once: none is kept
			next++
		}
		return times
	}
	answers() // warms up
	quiet := answers()
	const slow = "SELECT service, uniqExact(applicant), sum(cityHash64(toString(a.time), number)) FROM request_submitted_v1 AS a, numbers(2000) AS n GROUP BY service ORDER BY 3"
	var done, refused atomic.Int64
	beside := func(statement string) []float64 {
		asking, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, key := range keys {
			all.Go(func() {
				mine := &side{client: &http.Client{}, url: note.SQL, token: key}
				for asking.Err() == nil {
					switch code, _ := mine.status(asking, statement); code {
					case http.StatusOK:
						done.Add(1)
					case http.StatusServiceUnavailable:
						refused.Add(1)
					}
				}
			})
		}
		for s.sql("SELECT count() FROM system.processes WHERE query LIKE '%uniqExact(applicant), sum(city%' AND query NOT LIKE '%processes%'") == "0" {
		}
		times := answers()
		stop()
		all.Wait()
		return times
	}
	busy := beside(slow)
	between := answers()
	files := beside(slow + " FORMAT Parquet") // with more threads
	both := slices.Concat(quiet, between, answers())
	r.say("KPI answers, uncached, ms    p50    p99")
	r.say("  nobody else asks      %8.1f %6.1f", median(both), quantile(both, 0.99))
	for what, times := range map[string][]float64{"slow analysts": busy, "who want Parquet": files} {
		r.say("  %d %-18s %8.1f %6.1f   %.2f and %.2f times", analysts, what, median(times), quantile(times, 0.99), median(times)/median(both), quantile(times, 0.99)/quantile(both, 0.99))
	}
	r.say("  %d of their statements ended, %d were sent away after waiting", done.Load(), refused.Load())
	r.say("load after: %s", load(t))
	r.say("sql/engine ratio %.2f", slices.Min(ratios))
}

// syncs are the times, in ms, of small writes with their fsync in a folder.
func syncs(t *testing.T, folder string) (times []float64) {
	t.Helper()
	f, err := os.CreateTemp(folder, "sync")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	entry := make([]byte, 600)
	for range smallQueries {
		began := time.Now()
		if _, err := f.Write(entry); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		times = append(times, milliseconds(time.Since(began)))
	}
	return times
}

// side is one of the two that are asked.
type side struct {
	client     *http.Client
	url, token string
}

func (c *side) send(ctx context.Context, statement string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/?"+url.Values{"enable_http_compression": {"0"}}.Encode(), strings.NewReader(statement))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.client.Do(r)
}

// ask is an answer and how long it took.
func (c *side) ask(t *testing.T, statement string) (time.Duration, string) {
	t.Helper()
	began := time.Now()
	answer, err := c.send(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	took := time.Since(began)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %.300s %v", statement, answer.StatusCode, body, err)
	}
	return took, string(body)
}

// drain is how long an answer took and how many bytes it has.
func (c *side) drain(t *testing.T, statement string) (time.Duration, int64) {
	t.Helper()
	began := time.Now()
	answer, err := c.send(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	took := time.Since(began)
	if err != nil || answer.StatusCode != http.StatusOK || n == 0 {
		t.Fatalf("%s: %d, %d bytes, %v", statement, answer.StatusCode, n, err)
	}
	return took, n
}

// status asks and throws the answer away.
func (c *side) status(ctx context.Context, statement string) (int, error) {
	answer, err := c.send(ctx, statement)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, err
}
