//go:build endtoend

package main_test

import (
	"bytes"
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
	"testing"
)

// simulated is a file of events of the embedded pack.
func simulated(t testing.TB, dir string, events, seed int) string {
	t.Helper()
	file := filepath.Join(dir, fmt.Sprintf("events-%d.ndjson", seed))
	if r := ombor(t, "simulate", "--events", fmt.Sprint(events), "--seed", fmt.Sprint(seed), "-o", file); r.code != 0 {
		t.Fatal(r.stderr)
	}
	return file
}

// pieces cuts a file of events into n files of neighbouring lines.
func pieces(t testing.TB, file string, n int) (names []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i := range n {
		name := fmt.Sprintf("%s-%d.ndjson", strings.TrimSuffix(file, ".ndjson"), i)
		if err := os.WriteFile(name, bytes.Join(lines[i*len(lines)/n:(i+1)*len(lines)/n], nil), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// corrections of a file of simulated events: another channel for every 20th decided request,
// every 40th withdrawn.
func corrections(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n := 0
	for line := range bytes.Lines(text) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(e["type"].(string), "request.decided") {
			continue
		}
		if n++; n%20 != 0 {
			continue
		}
		e["corrects"], e["revision"], e["id"] = e["id"], 1, e["id"].(string)+"-correction"
		if n%40 == 0 {
			e["withdrawn"] = true
			delete(e, "data")
		} else {
			e["data"].(map[string]any)["processing"] = "officer_online"
			e["data"].(map[string]any)["region"] = "1703"
			delete(e["data"].(map[string]any), "district")
		}
		if err := json.NewEncoder(&out).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	name := strings.TrimSuffix(file, ".ndjson") + "-corrections.ndjson"
	if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// loadAll loads a file, its corrections and the file once more.
func (s *server) loadAll(file string) {
	s.t.Helper()
	if l, r := s.load(file); l.Accepted == 0 || l.Rejected > 0 || r.code != 0 {
		s.t.Fatalf("load: %+v %s", l, r.stderr)
	}
	if l, r := s.load(corrections(s.t, file)); l.Accepted == 0 || l.Rejected > 0 || r.code != 0 {
		s.t.Fatalf("corrections: %+v %s", l, r.stderr)
	}
	if l, r := s.load(file); l.Accepted != 0 || l.Conflict > 0 || r.code != 0 {
		s.t.Fatalf("the same again: %+v %s", l, r.stderr)
	}
}

// figures are the answers of the API that show anything of the data: the scorecard, today and as it was
// known before anything came, and every KPI by month, whole and by each of its dimensions. Left out is when the
// warehouse was written.
func (s *server) figures() map[string]string {
	s.t.Helper()
	get := func(path string, query url.Values) any {
		response, err := http.Get(s.url + path + "?" + query.Encode())
		if err != nil {
			s.t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		if response.StatusCode == http.StatusBadRequest { // not every KPI has every breakdown
			return nil
		}
		var v any
		if err := json.Unmarshal(body, &v); err != nil || response.StatusCode != http.StatusOK {
			s.t.Fatalf("%s?%s: %s: %s", path, query.Encode(), response.Status, body)
		}
		return v
	}
	all := map[string]string{}
	keep := func(path string, query url.Values) {
		v := get(path, query)
		if v == nil {
			return
		}
		text, err := json.Marshal(timeless(v))
		if err != nil {
			s.t.Fatal(err)
		}
		all[path+"?"+query.Encode()] = string(text)
	}
	year := url.Values{"from": {"2024-01-01"}, "to": {"2024-12-31"}}
	keep("/v1/scorecard", year)
	keep("/v1/scorecard", url.Values{"from": {"2024-01-01"}, "to": {"2024-12-31"}, "known_on": {"2024-12-31"}})
	catalogue := get("/v1/kpis", nil).(map[string]any)["kpis"].([]any)
	for _, k := range catalogue {
		values := "/v1/kpis/" + k.(map[string]any)["id"].(string) + "/values"
		for _, by := range []string{"", "region", "service", "_source"} {
			query := url.Values{"from": year["from"], "to": year["to"], "grain": {"month"}}
			if by != "" {
				query.Set("by", by)
			}
			keep(values, query)
		}
	}
	if len(all) < 2*len(catalogue) {
		s.t.Fatalf("only %d answers of %d KPIs", len(all), len(catalogue))
	}
	return all
}

// timeless leaves out when the warehouse was written.
func timeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "loaded")
		for name := range v {
			v[name] = timeless(v[name])
		}
	case []any:
		for i := range v {
			v[i] = timeless(v[i])
		}
	}
	return v
}

func sameFigures(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d answers, %d before", what, len(got), len(want))
	}
	wrong := 0
	for question, answer := range want {
		if got[question] != answer {
			if wrong++; wrong <= 3 {
				t.Errorf("%s: %s is\n%.2000s\nand was\n%.2000s", what, question, got[question], answer)
			}
		}
	}
	if wrong > 3 {
		t.Errorf("%s: %d answers differ", what, wrong)
	}
}

// engine runs a statement on the embedded engine of a server, past everything that guards it.
func (s *server) engine(statement string) string {
	s.t.Helper()
	var note struct{ Engine string }
	text, err := os.ReadFile(filepath.Join(s.data, "running.json"))
	if err == nil {
		err = json.Unmarshal(text, &note)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", note.Engine)
	}}}
	response, err := client.Post("http://engine/", "text/plain", strings.NewReader(statement))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s %s %v", statement, response.Status, answer, err)
	}
	return strings.TrimSpace(string(answer))
}

type verified struct {
	Through     uint64
	Journal     struct{ Events, Messages uint64 }
	Lake        struct{ Files, Rows uint64 }
	Warehouse   struct{ Rows, Rollups uint64 }
	Repaired    []string
	Differences []struct {
		Between, What, Contract, Day string
		First, Last, Rows            uint64
	}
}

func (s *server) verify(code int, arguments ...string) (v verified) {
	s.t.Helper()
	r := ombor(s.t, append([]string{"verify", "--data", s.data, "--format", "json"}, arguments...)...)
	if r.code != code {
		s.t.Fatalf("verify %v: exit %d, want %d\n%s%s", arguments, r.code, code, r.stdout, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		s.t.Fatalf("verify: %v: %s", err, r.stdout)
	}
	return v
}

// kill ends the server as a power cut would, the engine with it.
func (s *server) kill() {
	_ = s.command.Process.Kill()
	<-s.exited
}

// TestVerifyCommand proves that a verification sees what is wrong in a running server, that rollups are
// repaired from facts and facts from the lake, and that a start repairs what a crash between
// facts and rollups leaves.
func TestVerifyCommand(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, filepath.Join(dir, "data"))
	s.loadAll(simulated(t, dir, 4000, 1))
	before := s.figures()
	v := s.verify(0)
	if len(v.Differences) != 0 || v.Journal.Events < 8000 || v.Lake.Rows < 4000 || v.Warehouse.Rows < 4000 || v.Warehouse.Rollups == 0 {
		t.Fatalf("%+v", v)
	}
	s.verify(0, "--quick")
	s.verify(0, "--contract", "request.decided")

	// A rollup that is not its facts: seen, and repaired beside the running server.
	const rollup = "rollups.request_decided_v1__time___source"
	s.engine("INSERT INTO " + rollup + " SELECT * FROM " + rollup + " SETTINGS insert_deduplicate = 0")
	if v := s.verify(1); len(v.Differences) != 1 || v.Differences[0].Between != "rollups and facts" || v.Differences[0].Contract != "uz.gov.request.decided.v1" {
		t.Errorf("%+v", v.Differences)
	}
	if v := s.verify(0, "--repair"); len(v.Repaired) != 1 {
		t.Errorf("%+v", v)
	}
	sameFigures(t, "repaired", s.figures(), before)

	// Facts that are not the lake's: seen with their messages, and made anew.
	seq := s.engine("SELECT _seq FROM facts.request_decided_v1 WHERE _sign > 0 ORDER BY _seq LIMIT 1 OFFSET 10")
	s.engine("ALTER TABLE facts.request_decided_v1 UPDATE processing = 'automatic', fee = fee + 1 WHERE _seq = " + seq + " AND _sign > 0 SETTINGS mutations_sync = 2")
	s.engine("ALTER TABLE facts.request_submitted_v1 DELETE WHERE _batch = (SELECT max(_batch) FROM facts.request_submitted_v1) SETTINGS mutations_sync = 2")
	v = s.verify(1, "--contract", "request.decided")
	var n uint64
	if _, err := fmt.Sscan(seq, &n); err != nil {
		t.Fatal(err)
	}
	if d := v.Differences[0]; d.Between != "lake and warehouse" || d.What != "other content in the warehouse" || d.First != n>>20 || d.Rows != 1 {
		t.Errorf("%+v", v.Differences)
	}
	if v := s.verify(1); !slices.ContainsFunc(v.Differences, func(d struct {
		Between, What, Contract, Day string
		First, Last, Rows            uint64
	}) bool {
		return d.Contract == "uz.gov.request.submitted.v1" && d.What == "missing in the warehouse" && d.Rows > 0
	}) {
		t.Errorf("%+v", v.Differences)
	}
	if r := ombor(t, "rebuild", "--data", s.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	s.verify(0)
	sameFigures(t, "rebuilt", s.figures(), before)

	// What a crash between facts and rollups leaves: the newest batch is in the facts only.
	for _, table := range strings.Fields(s.engine("SELECT name FROM system.tables WHERE database = 'rollups' AND name LIKE 'request_decided%'")) {
		s.engine("TRUNCATE TABLE rollups.`" + table + "`")
	}
	s.kill()
	s = serve(t, s.data)
	s.verify(0)
	sameFigures(t, "started again", s.figures(), before)

	// Without a server the command starts the parts for itself.
	s.stop()
	r := ombor(t, "verify", "--data", s.data)
	if r.code != 0 {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	mustContain(t, "verify", r.stdout+r.stderr, "they agree", "no server runs on")
	if r := ombor(t, "verify", "--data", s.data, "--contract", "none"); r.code != 2 {
		t.Errorf("an unknown contract: exit %d", r.code)
	}
}
