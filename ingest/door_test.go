package ingest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/stream"
)

const pinfl = "31507856543210"

// checker is a real one, over one contract.
func checker(t testing.TB) *contract.Checker { return checkerOf(t, "1726,Tashkent\n") }

// checkerOf is checker with these regions.
func checkerOf(t testing.TB, rows string) *contract.Checker {
	t.Helper()
	var issues problem.Issues
	regions := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_en\n"+rows), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{{
		Type: "test.request.v1", Name: "request", Major: 1, File: "request.yaml",
		Fields: []contract.Field{
			{Name: "request", Type: contract.Text, Required: true},
			{Name: "applicant", Type: contract.Person, Class: contract.Personal, ID: "pinfl"},
			{Name: "region", Type: contract.Ref, To: "regions"},
			{Name: "fee", Type: contract.Money},
		},
		Rules: []contract.Rule{{ID: "fee-small", Check: "fee < 1000", Severity: contract.Warn}},
	}, {
		Type: "test.stay.v1", Name: "stay", Major: 1, File: "stay.yaml",
		Fields: []contract.Field{
			{Name: "patient", Type: contract.Person, Class: contract.Personal, ID: "pinfl"},
			{Name: "illness", Type: contract.Text, Class: contract.Special},
			{Name: "region", Type: contract.Ref, To: "regions"},
		},
	}}, reference.NewSet(nil, regions))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	return contract.NewChecker(set, keys, contract.Limits{})
}

// rig is a door with everything real: checker, journal, HTTP server.
type rig struct {
	*ingest.Door
	url     string
	dir     string // the journal's
	journal *journal.Journal
	log     *bytes.Buffer
	outcome func(context.Context, journal.Range) (ingest.Outcome, error)
}

func newRig(t *testing.T, limits ingest.Limits) *rig {
	t.Helper()
	g := &rig{dir: t.TempDir(), log: &bytes.Buffer{}}
	c := checker(t)
	log := slog.New(slog.NewTextHandler(&lockedWriter{w: g.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	conn, err := stream.Open(t.Context(), stream.Options{Dir: g.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	g.journal, err = journal.Open(t.Context(), conn, journal.Options{Contracts: c.Set(), Logger: log})
	if err != nil {
		conn.Close()
		t.Fatal(err)
	}
	g.Door, err = ingest.New(ingest.Config{Checker: c, Journal: g.journal, SigningKey: []byte("0123456789abcdef"), Limits: limits, Log: log,
		Outcome: func(ctx context.Context, r journal.Range) (ingest.Outcome, error) {
			if g.outcome == nil {
				return ingest.Outcome{}, nil
			}
			return g.outcome(ctx, r)
		}})
	if err != nil {
		t.Fatal(err)
	}
	g.url = serve(t, g.Door)
	t.Cleanup(func() { g.journal.Close(); conn.Close() })
	return g
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func serve(t *testing.T, d *ingest.Door) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("POST /v1/events", d.Events())
	mux.Handle("GET /v1/receipts/{id}", d.Receipts())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// answer is what came back, whatever it was.
type answer struct {
	Status   int
	Header   http.Header
	Text     string
	Accepted int
	Held     int
	Rejected []contract.Refusal
	Warnings []contract.Warning
	Receipt  string
	Detail   string // of a problem
}

func post(t *testing.T, url, contentType string, body io.Reader, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url+"/v1/events", body)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) answer {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: response.StatusCode, Header: response.Header, Text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%d %q: %v", a.Status, text, err)
	}
	return a
}

func event(id, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"portal","type":"test.request.v1","time":"2024-05-01T10:00:00Z","data":%s}`, id, data)
}

func data(i int) string {
	return fmt.Sprintf(`{"request":"r-%d","applicant":%q,"region":"1726","fee":%d}`, i, pinfl, i)
}

func ndjson(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(event(fmt.Sprint("e-", i), data(i)))
		b.WriteByte('\n')
	}
	return b.String()
}

// rows counts the rows in the journal.
func (g *rig) rows(t *testing.T) int64 {
	t.Helper()
	status, err := g.journal.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.Last == 0 {
		return 0
	}
	var n int64
	stop := errors.New("stop")
	err = g.journal.Replay(t.Context(), 0, func(m journal.Message) error {
		for _, p := range m.Parts {
			n += p.Record.NumRows()
		}
		if m.Seq == status.Last {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	return n
}

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t testing.TB, text string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll([]byte(text), nil)
}

const (
	typeLines  = "application/x-ndjson"
	typeSingle = "application/cloudevents+json; charset=UTF-8"
	typeArray  = "application/cloudevents-batch+json"
)

func TestEveryForm(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	want := int64(0)
	for _, c := range []struct {
		name, contentType, body string
		headers                 []string
		events                  int
	}{
		{"lines", typeLines, ndjson(100), nil, 100},
		{"lines, CRLF, blank, BOM, no last end", typeLines, "\ufeff" + strings.TrimSuffix(strings.ReplaceAll(ndjson(3), "\n", "\r\n\r\n \t\r\n"), "\r\n\r\n \t\r\n"), nil, 3},
		{"no lines", typeLines, "", nil, 0},
		{"single", typeSingle, " \n" + strings.ReplaceAll(event("s", data(1)), ",", ",\n\t") + "\n", nil, 1},
		{"array", typeArray, "[" + strings.ReplaceAll(strings.TrimSpace(ndjson(5)), "\n", " ,\n") + "]\n", nil, 5},
		{"empty array", typeArray, " [ ] ", nil, 0},
		{"gzip", typeLines, string(gzipped(t, ndjson(1000))), []string{"Content-Encoding", "gzip"}, 1000},
		{"gzip members", typeLines, string(gzipped(t, ndjson(10))) + string(gzipped(t, ndjson(10))), []string{"Content-Encoding", "gzip"}, 20},
		{"zstd", typeLines, string(zstded(t, ndjson(1000))), []string{"Content-Encoding", "zstd"}, 1000},
		{"binary", "application/json", data(7), []string{"ce-specversion", "1.0", "ce-id", "b-1%20%22%C3%A9", "ce-source", "portal", "ce-type", "test.request.v1", "ce-time", "2024-05-01T10:00:00Z"}, 1},
		{"binary withdrawal", "application/json", "", []string{"ce-specversion", "1.0", "ce-id", "b-2", "ce-source", "portal", "ce-type", "test.request.v1", "ce-time", "2024-05-01T10:00:00Z",
			"ce-withdrawn", "true", "ce-corrects", "b-1", "ce-revision", "1"}, 1},
	} {
		a := post(t, g.url, c.contentType, strings.NewReader(c.body), c.headers...)
		if a.Status != 200 || a.Accepted != c.events || len(a.Rejected) != 0 || (a.Receipt == "") != (c.events == 0) || !strings.Contains(a.Text, `"rejected":[]`) {
			t.Errorf("%s: %s", c.name, a.Text)
		}
		want += int64(c.events)
		if got := g.rows(t); got != want {
			t.Errorf("%s: %d rows in the journal, want %d", c.name, got, want)
		}
	}
	if c := g.Counts(); c.Accepted != uint64(want) || c.Requests != 11 || c.Failed != 0 {
		t.Errorf("counts %+v", c)
	}
}

// What cannot be read to its end is refused as a whole, names the place, and stores nothing.
func TestUnreadable(t *testing.T) {
	g := newRig(t, ingest.Limits{Body: 1 << 20, Text: 4 << 20, Events: 1000})
	whole := gzipped(t, ndjson(900))
	for _, c := range []struct {
		name, contentType string
		body              []byte
		encoding          string
		status            int
		detail            string
	}{
		{"truncated gzip", typeLines, whole[:len(whole)-100], "gzip", 400, "the gzip stream is damaged or cut off near its byte"},
		{"truncated gzip header", typeLines, whole[:5], "gzip", 400, "near its byte 5, after 0 bytes of text"},
		{"gzip without its sum", typeLines, whole[:len(whole)-4], "gzip", 400, fmt.Sprintf("near its byte %d, after %d bytes of text. 900 events had been read. Nothing was stored", len(whole)-4, len(ndjson(900)))},
		{"not gzip", typeLines, []byte(ndjson(1)), "gzip", 400, "gzip stream is damaged"},
		{"truncated zstd", typeLines, zstded(t, ndjson(900))[:3000], "zstd", 400, "the zstd stream is damaged or cut off"},
		{"not zstd", typeLines, []byte(ndjson(1)), "zstd", 400, "zstd stream is damaged"},
		{"unknown coding", typeLines, nil, "br", 415, "none of gzip, zstd"},
		{"two codings", typeLines, nil, "gzip, gzip", 415, "none of gzip, zstd"},
		{"no type", "", []byte(ndjson(1)), "", 415, "no Content-Type"},
		{"other type", "text/csv", []byte("a,b"), "", 415, "text/csv"},
		{"JSON without attributes", "application/json", []byte("{}"), "", 415, "ce- headers"},
		{"other charset", "application/x-ndjson; charset=windows-1251", []byte(ndjson(1)), "", 415, "UTF-8"},
		{"empty single", typeSingle, nil, "", 400, "the body is empty"},
		{"array cut", typeArray, []byte("[" + event("a", data(1)) + "," + event("b", data(1))[:50]), "", 400, "ends inside an event. 1 events had been read. Nothing was stored"},
		{"array not ended", typeArray, []byte("[" + event("a", data(1))), "", 400, "does not end"},
		{"array without comma", typeArray, []byte("[" + event("a", data(1)) + event("b", data(1)) + "]"), "", 400, "a comma or ] is expected"},
		{"array with comma at its end", typeArray, []byte("[" + event("a", data(1)) + ",]"), "", 400, "an event is expected"},
		{"array and more", typeArray, []byte("[]x"), "", 400, "byte 3: something follows"},
		{"no array", typeArray, []byte(event("a", data(1))), "", 400, "byte 1: an array begins with ["},
		{"too many events", typeLines, []byte(ndjson(1001)), "", 413, "more than 1000 events"},
		{"too many bytes", typeLines, make([]byte, 1<<20+1), "", 413, "more than 1 MiB"},
		{"too much text", typeLines, gzipped(t, noise(5<<20)), "gzip", 413, "more than 4 MiB after decompression"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []string{}
			if c.encoding != "" {
				headers = []string{"Content-Encoding", c.encoding}
			}
			a := post(t, g.url, c.contentType, bytes.NewReader(c.body), headers...)
			if a.Status != c.status || !strings.Contains(a.Detail, c.detail) || a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %s", a.Text)
			}
			// The same without a length beforehand.
			a = post(t, g.url, c.contentType, struct{ io.Reader }{bytes.NewReader(c.body)}, headers...)
			if a.Status != c.status || !strings.Contains(a.Detail, c.detail) {
				t.Errorf("chunked: got %s", a.Text)
			}
		})
	}
	if n := g.rows(t); n != 0 {
		t.Errorf("%d rows were stored", n)
	}
	if a := post(t, g.url, typeLines, strings.NewReader(ndjson(1000))); a.Accepted != 1000 {
		t.Errorf("the door does not work any more: %s", a.Text)
	}
}

// noise is one long line that compresses, but by less than 1 : 200.
func noise(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d%50s", i, "")
	}
	return b.String()
}

// Bad events do not spoil their neighbours, whatever they are.
func TestNeighbours(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	bad := []string{
		event("huge", `{"request":"`+strings.Repeat("x", 50<<20)+`"}`),
		event("deep", strings.Repeat("[", 10000)+strings.Repeat("]", 10000)),
		event("utf8", "{\"request\":\"\xff\"}"),
		event("nul", "{\"request\":\"\x00\"}"),
		event("type", `{"request":17}`),
		event("unknown", `{"request":"r","other":1}`),
		event("missing", `{}`),
		event("twice", `{"request":"r","request":"r"}`),
		strings.Replace(event("year", data(1)), "2024-05-01", "9999-05-01", 1),
		strings.Replace(event("offset", data(1)), "10:00:00Z", "10:00:00", 1),
		strings.Replace(event("foreign", data(1)), "test.request.v1", "test.requests.v1", 1),
		`{"cut":`,
		"not JSON",
	}
	codes := []string{"too_long", "too_deep", "invalid_utf8", "nul_byte", "wrong_type", "unknown_field", "missing_field", "duplicate_key",
		"out_of_range", "bad_time", "unknown_type", "bad_json", "bad_json"}
	var body strings.Builder
	for i, b := range bad {
		body.WriteString(event(fmt.Sprint("good-", i), data(i)) + "\n" + b + "\n")
	}
	a := post(t, g.url, typeLines, strings.NewReader(body.String()))
	if a.Status != 200 || a.Accepted != len(bad) || len(a.Rejected) != len(bad) {
		t.Fatalf("%.2000s", a.Text)
	}
	for i, r := range a.Rejected {
		if r.Index != 2*i+1 || r.Code != codes[i] || r.Reason == "" {
			t.Errorf("got %+v, want index %d, code %s", r, 2*i+1, codes[i])
		}
	}
	if n := g.rows(t); n != int64(len(bad)) {
		t.Errorf("%d rows in the journal, want %d", n, len(bad))
	}
	// Nor is a request unreadable of which no line is an event: every line has its reason.
	if none := post(t, g.url, typeLines, strings.NewReader("{\nnot JSON\n")); none.Status != 200 || none.Accepted != 0 || len(none.Rejected) != 2 || none.Rejected[1].Code != "bad_json" || none.Receipt != "" {
		t.Errorf("no line is an event: %s", none.Text)
	}
	// In an array, elements that are complete by their brackets are taken one by one.
	a = post(t, g.url, typeArray, strings.NewReader("["+event("a", data(1))+`,{"b":},"c",17 , null,`+event("a", "{\"request\":\"\x00\"}")+","+bad[0]+","+event("d", data(1))+"]"))
	if a.Status != 200 || a.Accepted != 2 || len(a.Rejected) != 6 {
		t.Errorf("array: %.2000s", a.Text)
	}
}

// A gigabyte of zeros is stopped early, in memory that does not grow with it.
func TestBombs(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	zeros := strings.Repeat("\x00", 16<<20)
	for coding, member := range map[string][]byte{"gzip": gzipped(t, zeros), "zstd": zstded(t, zeros)} {
		bomb := bytes.Repeat(member, 64)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a := post(t, g.url, typeLines, bytes.NewReader(bomb), "Content-Encoding", coding)
		runtime.ReadMemStats(&after)
		if a.Status != 413 || !strings.Contains(a.Detail, "1 : 200") {
			t.Errorf("%s: %s", coding, a.Text)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 32<<20 {
			t.Errorf("%s: %d MiB were allocated", coding, grown>>20)
		}
	}
	if n := g.rows(t); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestHeldAndWarned(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	body := event("a", `{"request":"r","applicant":"`+pinfl+`","region":"9999"}`) + "\n" + event("b", `{"request":"r","fee":5000}`)
	a := post(t, g.url, typeLines, strings.NewReader(body))
	if a.Status != 200 || a.Accepted != 1 || a.Held != 1 || len(a.Warnings) != 1 || a.Warnings[0].Count != 1 {
		t.Fatalf("%s", a.Text)
	}
	var entries []journal.Entry
	if err := g.journal.Held(t.Context(), func(e journal.Entry) error { entries = append(entries, e); return nil }); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(entries)
	if len(entries) != 1 || !strings.Contains(string(text), "unknown_reference") || strings.Contains(string(text), pinfl) {
		t.Errorf("quarantine: %s", text)
	}
}

// TestDryRun judges events as ever and keeps none of them.
func TestDryRun(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	body := event("a", `{"request":"r","region":"9999"}`) + "\n" + event("b", `{"request":"r","fee":5000}`) + "\n{}\n"
	ask := func(query string) answer {
		response, err := http.Post(g.url+"/v1/events?"+query, typeLines, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return read(t, response)
	}
	a := ask("dry_run=true")
	if a.Status != 200 || a.Accepted != 1 || a.Held != 1 || len(a.Rejected) != 1 || len(a.Warnings) != 1 || a.Receipt != "" || !strings.Contains(a.Text, `"dry_run":true`) {
		t.Errorf("%s", a.Text)
	}
	held := 0
	if err := g.journal.Held(t.Context(), func(journal.Entry) error { held++; return nil }); err != nil {
		t.Fatal(err)
	}
	if c := g.Counts(); held != 0 || g.rows(t) != 0 || c.Accepted+c.Held+c.Rejected != 0 {
		t.Errorf("%d held, %d rows, %+v", held, g.rows(t), c)
	}
	for _, query := range []string{"dry_run=yes", "dry_run=true&dry_run=true"} {
		if a := ask(query); a.Status != 400 || !strings.Contains(a.Text, "dry_run") {
			t.Errorf("%s: %s", query, a.Text)
		}
	}
	if a := ask(""); a.Accepted != 1 || a.Held != 1 || g.rows(t) != 1 {
		t.Errorf("afterwards: %s", a.Text)
	}
}

func TestReceipts(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	a := post(t, g.url, typeLines, strings.NewReader(ndjson(10)))
	get := func(url, id string) answer {
		response, err := http.Get(url + "/v1/receipts/" + id)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, response)
	}
	if s := get(g.url, a.Receipt); s.Status != 200 || s.Accepted != 10 || !strings.Contains(s.Text, `"duplicate":0,"conflict":0,"damaged":0,"loaded":false,"received":"`) {
		t.Errorf("before loading: %s", s.Text)
	}
	var asked journal.Range
	g.outcome = func(_ context.Context, r journal.Range) (ingest.Outcome, error) {
		asked = r
		return ingest.Outcome{Accepted: 7, Duplicate: 2, Conflict: 1, Quarantined: []string{"0123456789abcdef0123"}, Loaded: true}, nil
	}
	if s := get(g.url, a.Receipt); s.Accepted != 7 || !strings.Contains(s.Text, `"duplicate":2,"conflict":1,"damaged":0,"loaded":true`) || !strings.Contains(s.Text, `"quarantined":["0123456789abcdef0123"]`) {
		t.Errorf("after loading: %s", s.Text)
	}
	if asked.String() != "1.0-1.0" {
		t.Errorf("asked for %s", asked)
	}
	changed := []byte(a.Receipt)
	changed[3] ^= 1
	for _, id := range []string{string(changed), a.Receipt[:len(a.Receipt)-2], a.Receipt + "AA", "x", strings.Repeat("A", 10000)} {
		if s := get(g.url, id); s.Status != 404 {
			t.Errorf("%.40s: %s", id, s.Text)
		}
	}
	other := newRig(t, ingest.Limits{})
	door, err := ingest.New(ingest.Config{Checker: checker(t), Journal: other.journal, SigningKey: []byte("another key, another server")})
	if err != nil {
		t.Fatal(err)
	}
	if s := get(serve(t, door), a.Receipt); s.Status != 404 {
		t.Errorf("another server knows the receipt: %s", s.Text)
	}
}

// faulty is a journal that fails as told. It asserts what the door promises of its
// calls: quarantine comes after the journal, and only when that went well.
type faulty struct {
	t        *testing.T
	fail     error
	appended int
	entered  chan struct{}
	gate     chan struct{}
}

func (f *faulty) AppendRange(_ context.Context, parts []contract.Part) (journal.Range, error) {
	if f.entered != nil {
		f.entered <- struct{}{}
		<-f.gate
	}
	if f.fail != nil {
		return journal.Range{}, f.fail
	}
	f.appended++
	return journal.Range{First: journal.Place{Seq: 1}, Last: journal.Place{Seq: 1}}, nil
}

func (f *faulty) Hold(context.Context, []contract.Held) error {
	if f.fail != nil {
		f.t.Error("held after a failure")
	}
	return nil
}

func (f *faulty) Replayed(held []contract.Held) []bool { return make([]bool, len(held)) }

func TestBackPressure(t *testing.T) {
	f := &faulty{t: t}
	door, err := ingest.New(ingest.Config{Checker: checker(t), Journal: f, SigningKey: make([]byte, 32), Limits: ingest.Limits{Requests: 1}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, door)
	for _, c := range []struct {
		fail   error
		status int
		after  string
	}{
		{&problem.Error{Kind: problem.Unavailable, Message: "the journal is full", RetryAfter: 30 * time.Second}, 503, "30"},
		{&problem.Error{Kind: problem.Busy, Message: "too many events wait"}, 429, "1"},
		{errors.New("disk on fire"), 500, ""},
	} {
		f.fail = c.fail
		a := post(t, url, typeLines, strings.NewReader(ndjson(2)+event("h", `{"request":"r","region":"9999"}`)))
		if a.Status != c.status || a.Header.Get("Retry-After") != c.after || strings.Contains(a.Text, "disk on fire") {
			t.Errorf("%v: %s, Retry-After %q", c.fail, a.Text, a.Header.Get("Retry-After"))
		}
	}
	f.fail = nil
	f.entered, f.gate = make(chan struct{}), make(chan struct{})
	first := make(chan answer)
	go func() { first <- post(t, url, typeLines, strings.NewReader(ndjson(2))) }()
	<-f.entered // the first is inside: there is no second slot
	if a := post(t, url, typeLines, strings.NewReader(ndjson(2))); a.Status != 429 || a.Header.Get("Retry-After") == "" {
		t.Errorf("second request: %s", a.Text)
	}
	close(f.gate)
	if a := <-first; a.Status != 200 || a.Accepted != 2 {
		t.Errorf("first request: %s", a.Text)
	}
	if c := door.Counts(); c.Failed != 4 || c.Requests != 5 || c.Accepted != 2 {
		t.Errorf("counts %+v", c)
	}
}

// All requests together take no more text than allowed; one alone is never refused for it.
func TestMemory(t *testing.T) {
	g := newRig(t, ingest.Limits{Memory: 3 << 20})
	body := strings.Repeat(" \n", 2<<20) // blank lines are text, too
	if a := post(t, g.url, typeLines, strings.NewReader(body)); a.Status != 200 {
		t.Fatalf("alone: %s", a.Text)
	}
	// A request that stands still when the door has taken its 2 MiB.
	still := &stands{r: strings.NewReader(body[:2<<20]), reached: make(chan struct{}), gate: make(chan struct{})}
	first := make(chan *httptest.ResponseRecorder)
	go func() {
		r := httptest.NewRequest(http.MethodPost, "/v1/events", still)
		r.Header.Set("Content-Type", typeLines)
		w := httptest.NewRecorder()
		g.Events().ServeHTTP(w, r)
		first <- w
	}()
	<-still.reached
	if a := post(t, g.url, typeLines, strings.NewReader(body)); a.Status != 429 {
		t.Errorf("second: %d %s", a.Status, a.Text)
	}
	close(still.gate)
	if w := <-first; w.Code != 200 {
		t.Errorf("first: %s", w.Body)
	}
	if a := post(t, g.url, typeLines, strings.NewReader(body)); a.Status != 200 {
		t.Errorf("memory was not given back: %s", a.Text)
	}
}

// stands is a body that says when it was read to its end, and ends when the gate opens.
type stands struct {
	r             io.Reader
	reached, gate chan struct{}
}

func (s *stands) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err == io.EOF {
		close(s.reached)
		<-s.gate
	}
	return n, err
}

// dial sends raw bytes and reads one response.
func dial(t *testing.T, url, request string) (*http.Response, *bufio.Reader, net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return response, r, conn
}

func TestConnections(t *testing.T) {
	g := newRig(t, ingest.Limits{Idle: 50 * time.Millisecond})
	head := func(length int, more string) string {
		return fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n", typeLines, length, more)
	}
	// Refused by its length: the sender that waits for 100 never sends, the connection ends.
	response, r, _ := dial(t, g.url, head(1<<40, "Expect: 100-continue\r\n"))
	if response.StatusCode != 413 || !response.Close {
		t.Errorf("huge: %s, close %v", response.Status, response.Close)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection stays open: %v", err)
	}
	// Taken: 100, then 200; the connection serves the next request too.
	body := ndjson(1)
	response, r, conn := dial(t, g.url, head(len(body), "Expect: 100-continue\r\n"))
	if response.StatusCode != 100 {
		t.Fatalf("got %s", response.Status)
	}
	for _, request := range []string{body, head(len(body), "") + body} {
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := read(t, response); a.Status != 200 || a.Accepted != 1 || response.Close {
			t.Errorf("%s, close %v", a.Text, response.Close)
		}
	}
	// A sender that stops in the middle is told so, or has gone.
	response, _, _ = dial(t, g.url, head(len(body)+10, "")+body)
	if a := read(t, response); a.Status != 400 || !strings.Contains(a.Detail, fmt.Sprintf("ends early, at byte %d. 1 events had been read", len(body))) || !response.Close {
		t.Errorf("%s", a.Text)
	}
	if n := g.rows(t); n != 2 {
		t.Errorf("%d rows, want the 2 accepted", n)
	}
	// One that would take for ever, too.
	slow := newRig(t, ingest.Limits{Reading: 50 * time.Millisecond})
	response, _, _ = dial(t, slow.url, head(len(body)+10, "")+body)
	if a := read(t, response); a.Status != 400 {
		t.Errorf("%s", a.Text)
	}
}

// A client that sends all of its request before it reads the answer, as most do, reads that it was too long.
func TestTooLongIsRead(t *testing.T) {
	g := newRig(t, ingest.Limits{Body: 8 << 20})
	line := bytes.Repeat([]byte(" "), 1<<20)
	for _, head := range []string{"Content-Length: %d", "Transfer-Encoding: chunked"} {
		length := 30 << 20
		chunked := !strings.Contains(head, "%d")
		if !chunked {
			head = fmt.Sprintf(head, length)
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		send := func(b []byte) {
			if _, err := conn.Write(b); err != nil {
				t.Fatalf("%s: cut off while it sends: %v", head, err)
			}
		}
		send([]byte("POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: " + typeLines + "\r\n" + head + "\r\n\r\n"))
		for range length / len(line) {
			if chunked {
				send(fmt.Appendf(nil, "%x\r\n", len(line)))
			}
			send(line)
			if chunked {
				send([]byte("\r\n"))
			}
		}
		if chunked {
			send([]byte("0\r\n\r\n"))
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", head, err)
		}
		if a := read(t, response); a.Status != 413 || !strings.Contains(a.Detail, "8 MiB") || !response.Close {
			t.Errorf("%s: %s", head, a.Text)
		}
	}
}

// The raw identifier is in no answer, no log and no byte on disk.
func TestNoRawIdentifier(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	var answers strings.Builder
	bodies := []string{
		ndjson(50),
		event("a", `{"request":"r","applicant":"`+pinfl+`","region":"9999"}`),
		event("a", `{"request":"r","applicant":"`+pinfl+`","other":1}`),
		event("a", `{"request":"r","applicant":"`+pinfl+`","fee":"x"}`),
		event("a", `{"request":"r","applicant":"`+pinfl+`0"}`),
		event("a", `{"request":"r","applicant":`+pinfl+`}`),
		event("a", `{"request":"`+pinfl+`","applicant":"`+pinfl+`"}`),
		event("id-"+pinfl, data(1)),
		event("id-"+pinfl, `{"request":"r","applicant":"`+pinfl+`","nope":"x"}`),
		event("a", `{"request":"r","`+pinfl+`":"x"}`),
		event("a", data(1))[:150],
		"{\"applicant\":\"" + pinfl + "\" \xff}",
	}
	for _, b := range bodies {
		answers.WriteString(post(t, g.url, typeLines, strings.NewReader(b)).Text)
		answers.WriteString(post(t, g.url, typeArray, strings.NewReader("["+strings.ReplaceAll(strings.TrimSpace(b), "\n", ",")+"]")).Text)
		answers.WriteString(post(t, g.url, typeArray, strings.NewReader("["+b)).Text)
	}
	if strings.Contains(answers.String(), pinfl) {
		t.Errorf("an answer holds the identifier: %s", answers.String())
	}
	if strings.Contains(g.log.String(), pinfl) {
		t.Errorf("the log holds the identifier: %s", g.log)
	}
	if g.rows(t) == 0 {
		t.Error("nothing was stored, so nothing was shown")
	}
	files := 0
	err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(pinfl)) {
			t.Errorf("%s holds the identifier", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files read: %v", files, err)
	}
}

func TestNewWantsItsParts(t *testing.T) {
	for _, c := range []ingest.Config{{}, {Checker: checker(t)}, {Checker: checker(t), Journal: &faulty{}, SigningKey: []byte("short")}} {
		if _, err := ingest.New(c); err == nil {
			t.Errorf("%+v made a door", c)
		}
	}
}

func BenchmarkLines(b *testing.B) {
	f := &faulty{}
	door, err := ingest.New(ingest.Config{Checker: checker(b), Journal: f, SigningKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	body := ndjson(5000)
	handler := door.Events()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for range b.N {
		r := httptest.NewRequest(http.MethodPost, "/v1/events", strings.NewReader(body))
		r.Header.Set("Content-Type", typeLines)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.N)*5000/b.Elapsed().Seconds(), "events/s")
}
