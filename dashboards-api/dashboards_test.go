package dashboards

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"
)

// TestFigures looks at the numbers: 96 cases of which 36 came by the application.
func TestFigures(t *testing.T) {
	h := real(t)
	var values struct {
		Cells []struct {
			Period, Department, State string
			Numerator, Denominator    *float64
			Value                     *float64
		}
	}
	read := func(target string) {
		t.Helper()
		response, body := answerOf(t, h, target)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", target, response.Status, body)
		}
		values.Cells = nil
		if err := json.Unmarshal(body, &values); err != nil {
			t.Fatal(err)
		}
	}
	read("/v1/kpis/digital-share/values")
	if c := values.Cells; len(c) != 1 || *c[0].Numerator != 36 || *c[0].Denominator != 96 || *c[0].Value != 37.5 {
		t.Errorf("digital-share: %+v", c)
	}
	read("/v1/kpis/cases/values?from=2023-01-01&to=2023-12-31&grain=month")
	if c := values.Cells; len(c) != 12 || *c[4].Value != 8 || c[4].Period != "2023-05" {
		t.Errorf("cases by month: %+v", c)
	}
	read("/v1/kpis/cases/values?by=department&where=channel%3DCitizens%20Connect%20App")
	if len(values.Cells) != 2 {
		t.Errorf("cases by department: %+v", values.Cells)
	}
	read("/v1/kpis/on-time-share/values?from=1999-01-01&to=1999-12-31")
	if c := values.Cells; len(c) != 1 || c[0].Value != nil || c[0].State == "zero" || c[0].State == "value" {
		t.Errorf("nothing is known of 1999, yet %+v", c)
	}
}

// TestScorecardYear checks that without a period the scorecard speaks of the year
// of the newest event, not of today's.
func TestScorecardYear(t *testing.T) {
	_, body := answerOf(t, real(t), "/v1/scorecard")
	var card struct {
		From, To string
		Rows     []struct{ KPI, Problem string }
	}
	if err := json.Unmarshal(body, &card); err != nil {
		t.Fatal(err)
	}
	if card.From != "2023-01-01" || card.To != "2023-12-31" || len(card.Rows) != 5 {
		t.Errorf("%s", body)
	}
	for _, row := range card.Rows {
		if row.Problem != "" {
			t.Errorf("%s: %s", row.KPI, row.Problem)
		}
	}
}

// TestStanding looks at the target, the gap and the changes of the city: 36 of 96 cases were
// digital, three in every month; half of them are asked for by the end of 2024, since June 2023.
func TestStanding(t *testing.T) {
	h := real(t)
	read := func(target string, into any) {
		t.Helper()
		response, body := answerOf(t, h, target)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", target, response.Status, body)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	type held struct {
		KPI, Kind, Status, Words string
		Measured                 *float64
		Units                    *int64
		Projects                 []any
	}
	var targets struct {
		On       string
		Targets  []held
		Unserved *int
	}
	read("/v1/targets", &targets)
	// In the year before June 2023 15 of 40 were digital: as many as since, so that nothing moves.
	if len(targets.Targets) != 1 || targets.On != "2023-12-31" || targets.Unserved != nil || targets.Targets[0].Projects != nil {
		t.Fatalf("%+v", targets)
	}
	if one := targets.Targets[0]; *one.Measured != 37.5 || *one.Units != 12 || one.Status != "off_course" || one.Words != "12 cases short of 50 %" {
		t.Errorf("%+v", one)
	}
	var card struct {
		Owners map[string]map[string]string
		Rows   []struct {
			KPI, Trend, Owner string
			Targets           []held
		}
	}
	read("/v1/scorecard?from=2023-07-01&to=2023-12-31", &card)
	for _, row := range card.Rows {
		if card.Owners[row.Owner]["en"] == "" {
			t.Errorf("%s has no owner's name", row.KPI)
		}
		if row.KPI == "digital-share" && (row.Trend != "steady" || len(row.Targets) != 1 || row.Targets[0].Status != "off_course") {
			t.Errorf("%+v", row)
		}
	}
	var gap struct {
		By      string
		Total   int
		Entries []struct {
			Code    string
			Missing float64
		}
	}
	read("/v1/kpis/digital-share/gap?by=channel", &gap)
	if gap.Total != 1 || gap.Entries[0].Code != "Constituent Call" || gap.Entries[0].Missing != 60 {
		t.Errorf("%+v", gap)
	}
	var changes struct {
		KnownOn string `json:"known_on"`
		Changes []struct {
			KPI        string
			Was        *struct{ State string }
			Difference *float64
			Settled    []struct{ Period string }
			Late       int64
		}
		Unchanged int
	}
	read("/v1/changes?since=2024-03-01", &changes) // everything was received on that day
	if changes.KnownOn != "2024-02-29" || len(changes.Changes) != 5 || len(changes.Changes[0].Settled) != 12 || changes.Changes[0].Late != 96 || changes.Changes[0].Difference != nil {
		t.Errorf("%+v", changes)
	}
	for _, target := range []string{"/v1/scorecard", "/v1/targets", "/v1/kpis/digital-share/gap", "/v1/changes?since=2024-03-01"} {
		for _, format := range []string{"csv", "xlsx", "parquet", "arrow"} {
			separator := "?"
			if strings.Contains(target, "?") {
				separator = "&"
			}
			if response, body := answerOf(t, h, target+separator+"format="+format); response.StatusCode != http.StatusOK || len(body) == 0 {
				t.Errorf("%s as %s: %s", target, format, response.Status)
			}
		}
		response, body := answerOf(t, h, strings.Replace(target+"?format=csv", "?since=2024-03-01?", "?since=2024-03-01&", 1))
		records, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
		if err != nil || response.StatusCode != http.StatusOK || len(records) < 2 {
			t.Errorf("%s: %d rows, %v", target, len(records), err)
		}
	}
}

// TestFormats reads the same table back from every format.
func TestFormats(t *testing.T) {
	h := real(t)
	const target = "/v1/kpis/cases/values?by=department&format="
	_, body := answerOf(t, h, target+"csv")
	records, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 {
		t.Fatalf("csv: %q", body)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	departments := map[string]bool{records[1][at["department"]]: true, records[2][at["department"]]: true}
	if !departments["PWDx"] || !departments["'=INFO"] || records[1][at["value"]] != "48" || records[1][at["state"]] != "value" {
		t.Errorf("csv: %v", records)
	}

	response, body := answerOf(t, h, target+"xlsx")
	if got := response.Header.Get("Content-Disposition"); got != `attachment; filename="cases.xlsx"` {
		t.Errorf("Content-Disposition: %s", got)
	}
	book, err := excelize.OpenReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := book.GetRows("Sheet1")
	if err != nil || len(rows) != 3 {
		t.Fatalf("xlsx: %v %v", rows, err)
	}
	about, err := book.GetRows("About")
	if err != nil || len(about) < 4 || !strings.Contains(about[0][1], "(cases)") || !slices.ContainsFunc(about, func(row []string) bool { return slices.Equal(row, []string{"Version of the definition", "1"}) }) {
		t.Errorf("xlsx: about %q, %v", about, err)
	}
	for i := range rows[1:] {
		cell, err := excelize.CoordinatesToCellName(at["department"]+1, i+2)
		if err != nil {
			t.Fatal(err)
		}
		if formula, err := book.GetCellFormula("Sheet1", cell); err != nil || formula != "" {
			t.Errorf("xlsx: a label became the formula %q (%v)", formula, err)
		}
	}

	_, body = answerOf(t, h, target+"parquet")
	file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	if file.NumRows() != 2 || len(file.Schema().Columns()) != len(records[0]) {
		t.Fatalf("parquet: %d rows, %v", file.NumRows(), file.Schema())
	}
	for i, path := range file.Schema().Columns() {
		if path[0] != records[0][i] {
			t.Errorf("parquet: column %d is %s, want %s", i+1, path[0], records[0][i])
		}
	}

	_, body = answerOf(t, h, target+"arrow")
	stream, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Release()
	if !stream.Next() || stream.Record().NumRows() != 2 {
		t.Fatal("arrow: no rows")
	}
	value := stream.Record().Column(at["value"]).(*array.Float64)
	if value.Value(0) != 48 {
		t.Errorf("arrow: %v", value)
	}
}

func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		asked, accept string
		tabular       bool
		want          string // "" is refused
	}{
		{"", "", true, "json"},
		{"", "*/*", true, "json"},
		{"", "text/csv", true, "csv"},
		{"", "text/csv;q=0.5, application/json", true, "json"},
		{"", "text/html, text/*;q=0.9", true, "csv"},
		{"", "application/json;q=0, text/csv", true, "csv"},
		{"", "image/png", true, ""},
		{"", "text/csv", false, ""},
		{"csv", "application/json", true, "csv"},
		{"CSV", "", true, ""},
		{"parquet", "", true, "parquet"},
		{"", "nonsense, */*;q=0.1", true, "json"},
	} {
		f, err := negotiate(c.asked, c.accept, c.tabular)
		switch {
		case err != nil && c.want != "":
			t.Errorf("%q, %q: %v", c.asked, c.accept, err)
		case err == nil && f.name != c.want:
			t.Errorf("%q, %q: %s, want %q", c.asked, c.accept, f.name, c.want)
		}
	}
}

// TestNotModified: the same watermark is 304 without a query; a new one is not.
func TestNotModified(t *testing.T) {
	config := configOf(city(t))
	seq := uint64(1)
	config.Watermark = func() Watermark { return Watermark{Loaded: seq} }
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := answerOf(t, h, "/v1/labels")
	tag := first.Header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	again, body := answerOf(t, h, "/v1/labels", "If-None-Match", `"other", `+tag)
	if again.StatusCode != http.StatusNotModified || len(body) != 0 {
		t.Errorf("%s %s", again.Status, body)
	}
	// A route whose figures cannot be had answers 304 all the same: nothing is asked.
	if unasked, _ := answerOf(t, h, "/v1/kpis/cases/values", "If-None-Match", tag); unasked.StatusCode != http.StatusNotModified {
		t.Errorf("the watermark stands, yet %s", unasked.Status)
	}
	seq = 2
	if moved, _ := answerOf(t, h, "/v1/labels", "If-None-Match", tag); moved.StatusCode != http.StatusOK {
		t.Errorf("the watermark moved, yet %s", moved.Status)
	}
	if status, _ := answerOf(t, h, "/v1/status"); status.Header.Get("ETag") != "" || status.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status may be kept: %v", status.Header)
	}
}

func TestCompression(t *testing.T) {
	h, err := small(t).handler()
	if err != nil {
		t.Fatal(err)
	}
	_, plain := answerOf(t, h, "/v1/contracts")
	response, packed := answerOf(t, h, "/v1/contracts", "Accept-Encoding", "gzip")
	if response.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal(response.Header)
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("gzip: other content (%v)", err)
	}
	for accept, want := range map[string]bool{"": false, "gzip": true, "br, gzip;q=0.5": true, "gzip; q=0": false, "*": true, "br": false, "gzip;q=x": false} {
		if takesGzip(accept) != want {
			t.Errorf("Accept-Encoding %q: gzip %t, want %t", accept, !want, want)
		}
	}
	response, packed = answerOf(t, h, "/v1/contracts", "Accept-Encoding", "zstd")
	if response.Header.Get("Content-Encoding") != "zstd" {
		t.Fatal(response.Header)
	}
	decoder, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	if got, err := io.ReadAll(decoder); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("zstd: other content (%v)", err)
	}
}

func TestHeadersAndMethods(t *testing.T) {
	server := httptest.NewServer(mustHandler(t, small(t)))
	defer server.Close()
	for _, path := range []string{"/", "/v1/labels", "/v1/nothing", "/docs", "/kpis/some-kpi"} {
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		for name, want := range map[string]string{"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"} {
			if !strings.HasPrefix(response.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, response.Header.Get(name))
			}
		}
		if !strings.Contains(response.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s may be framed", path)
		}
	}
	head, err := http.Head(server.URL + "/v1/labels")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(head.Body)
	head.Body.Close()
	if err != nil || head.StatusCode != http.StatusOK || len(body) != 0 || head.Header.Get("ETag") == "" {
		t.Errorf("HEAD: %s, %d bytes, %v", head.Status, len(body), err)
	}
	request, err := http.NewRequest(http.MethodDelete, server.URL+"/v1/labels", nil)
	if err != nil {
		t.Fatal(err)
	}
	refused, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	if refused.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(refused.Header.Get("Allow"), "GET") {
		t.Errorf("DELETE: %s, Allow %q", refused.Status, refused.Header.Get("Allow"))
	}
}

// TestDoor: another room's handler gets the id, and its absence is said.
func TestDoor(t *testing.T) {
	config := configOf(city(t))
	config.Receipts = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "receipt "+r.PathValue("id"))
	})
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, body := answerOf(t, h, "/v1/receipts/abc%2Fd"); string(body) != "receipt abc/d" {
		t.Errorf("%s", body)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/events", strings.NewReader("{}"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "roles") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestReadiness(t *testing.T) {
	config := configOf(city(t))
	config.Ready = func(context.Context) error { return errors.New("socket /secret/place is away") }
	config.Metrics = func(w io.Writer) error { _, err := io.WriteString(w, "other_total 1\n"); return err }
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	response, body := answerOf(t, h, "/readyz")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || strings.Contains(string(body), "secret") {
		t.Errorf("%s %s", response.Status, body)
	}
	if response, _ := answerOf(t, h, "/healthz"); response.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", response.Status)
	}
	_, body = answerOf(t, h, "/metrics")
	for _, want := range []string{`ombor_http_requests_total{route="/readyz",method="GET",status="503"} 1`, "other_total 1"} {
		if !strings.Contains(string(body), want) {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}
}

// TestLive reads two watermarks from the stream of a real connection: the one
// that stands, and the one that the loader reaches while the reader waits.
func TestLive(t *testing.T) {
	config := configOf(city(t))
	reached := make(chan struct{})
	status := make(chan Status, 2)
	status <- Status{Journal: 5, Loaded: 4, Accepted: map[string]uint64{"city.case.opened.v1": 3}}
	config.Status = func() Status { return <-status }
	config.WaitLoaded = func(ctx context.Context, seq uint64) error {
		if seq != 5 {
			<-ctx.Done()
			return ctx.Err()
		}
		<-reached
		return nil
	}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatal(got)
	}
	lines := bufio.NewScanner(response.Body)
	next := func() string {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		t.Fatal("the stream ended")
		return ""
	}
	if data := next(); !strings.Contains(data, `"kpis":null,"loaded":4`) { // all may be new
		t.Error(data)
	}
	status <- Status{Journal: 6, Loaded: 6, Accepted: map[string]uint64{"city.case.opened.v1": 3}}
	close(reached)
	if data := next(); !strings.Contains(data, `"kpis":["cases","close-hours","digital-share","digital-share-constituent","on-time-share"],"loaded":6`) { // the count was ahead of what was loaded
		t.Error(data)
	}
}

// TestChanging: a KPI is told from the moment at which events behind it were counted until they are loaded.
func TestChanging(t *testing.T) {
	p := city(t)
	var c changing
	for i, step := range []struct {
		loaded, journal, cases, closed uint64
		want                           int // KPIs; -1: any
	}{{2, 2, 5, 0, -1}, {3, 3, 5, 0, 0}, {3, 9, 7, 0, 5}, {5, 9, 7, 0, 5}, {9, 9, 7, 0, 5}, {10, 10, 7, 0, 0}, {11, 11, 7, 1, -1}, {12, 12, 7, 1, 0}} {
		got := c.kpis(Status{Loaded: step.loaded, Journal: step.journal, Accepted: map[string]uint64{"city.case.opened.v1": step.cases, "city.period.closed.v1": step.closed}}, p.Set, p.KPIs)
		if (got == nil) != (step.want < 0) || got != nil && len(got) != step.want {
			t.Errorf("step %d: %v, want %d", i, got, step.want)
		}
	}
}

func mustHandler(t *testing.T, s *server) http.Handler {
	t.Helper()
	h, err := s.handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func FuzzParameters(f *testing.F) {
	for _, seed := range []string{"from=2024-01-01&by=region", "where=a%3Db&where=a%3Dc", "%zz", "format=csv", "version=-1", "plan=maybe", "where==&where=a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := &http.Request{}
		r.URL = mustURL(raw)
		values, err := readParams(r, append([]string{"format"}, valueParams...))
		if err != nil {
			return
		}
		request, err := valueRequest(&query{path: func(string) string { return "k" }, values: values})
		if err != nil {
			return
		}
		for dimension, list := range request.Where {
			if dimension == "" || len(list) == 0 {
				t.Errorf("%q: an empty filter %v", raw, request.Where)
			}
		}
		if request.Version < 0 {
			t.Errorf("%q: version %d", raw, request.Version)
		}
	})
}

func mustURL(raw string) *url.URL { return &url.URL{RawQuery: raw} }
