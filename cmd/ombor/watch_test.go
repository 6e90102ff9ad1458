package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	_ "ombor/warehouse/engine/enginetest" // this test binary is also the engine
)

// fetch asks a program as the operator of its machine.
func fetch(t *testing.T, p *program, path string) []byte {
	t.Helper()
	url := p.url() + path
	response, err := p.client().do(t.Context(), http.MethodGet, path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", url, response.Status, body)
	}
	return body
}

// TestStatus starts the whole program, sends one event three ways (new, again, changed),
// and reads what /v1/status and /metrics say of them.
func TestStatus(t *testing.T) {
	p, err := openProgram(context.Background(), config{Data: t.TempDir(), Listen: "127.0.0.1:0"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	session := p.pack.Set.ByName("usage.session", 1)
	example := p.pack.Examples[session.Type][0]
	var first map[string]any
	if err := json.Unmarshal(example, &first); err != nil {
		t.Fatal(err)
	}
	send := func(change func(map[string]any)) {
		t.Helper()
		var e map[string]any
		if err := json.Unmarshal(example, &e); err != nil {
			t.Fatal(err)
		}
		change(e)
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		response, err := p.client().do(t.Context(), http.MethodPost, "/v1/events", http.Header{"Content-Type": {"application/cloudevents+json"}}, strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		answer, _ := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusOK || !strings.Contains(string(answer), `"accepted":1`) {
			t.Fatalf("%s %s", response.Status, answer)
		}
	}
	send(func(map[string]any) {})
	send(func(map[string]any) {})
	send(func(e map[string]any) { e["time"] = "2024-05-06T11:00:00+05:00" })
	if err := p.loader.WaitLoaded(t.Context(), p.loader.Status().Journal); err != nil {
		t.Fatal(err)
	}
	if !p.takeSnapshot(t.Context()) {
		t.Fatal(p.snapshot.Load().trouble)
	}

	type source struct {
		Source    string
		LastEvent *time.Time `json:"last_event"`
		Received  *time.Time
		Events    uint64
		Late      bool
	}
	var status struct {
		Journal, Loaded             uint64
		Received                    *time.Time
		Duplicates, Conflicts, Held uint64
		Durability                  string
		Problems                    []string
		Engine                      struct {
			Version  string
			Resident int64 `json:"resident_bytes"`
			Restarts int
		}
		Sources []source
	}
	text := fetch(t, p, "/v1/status")
	if err := json.Unmarshal(text, &status); err != nil {
		t.Fatal(err)
	}
	if status.Duplicates != 1 || status.Conflicts != 1 || status.Held != 1 || status.Durability == "" || status.Received == nil {
		t.Errorf("want one duplicate, one conflict, which is held, and a time of receipt:\n%s", text)
	}
	if status.Engine.Version == "" || status.Engine.Resident < 1<<20 {
		t.Errorf("the engine is %+v", status.Engine)
	}
	happened, err := time.Parse(time.RFC3339, first["time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(status.Sources, func(s source) bool { return s.Source == first["source"] })
	if i < 0 {
		t.Fatalf("no source %s:\n%s", first["source"], text)
	}
	if s := status.Sources[i]; s.LastEvent == nil || !s.LastEvent.Equal(happened) || s.Received == nil || time.Since(*s.Received) > time.Hour || s.Events != 1 {
		t.Errorf("the source is %+v, want one event of %s, received now:\n%s", s, happened, text)
	}
	for _, s := range status.Sources {
		if s.Source == "agencies" && (s.LastEvent != nil || !s.Late) {
			t.Errorf("a silent source with a promise is %+v, want late and without an event", s)
		}
	}
	for _, p := range status.Problems {
		if !strings.Contains(p, "disk") { // the machine's own
			t.Errorf("problem: %s", p)
		}
	}

	metrics := string(fetch(t, p, "/metrics"))
	for _, want := range []string{
		`ombor_events_total{source="` + first["source"].(string) + `",contract="` + session.Type + `",outcome="accepted"} 1`,
		`outcome="duplicate"} 1`, `outcome="conflict"} 1`, "ombor_loaded_seq ", "ombor_journal_seq ", "ombor_lag_events 0", "ombor_lag_seconds ",
		"ombor_engine_resident_bytes ", "ombor_engine_restarts_total 0", `ombor_door_requests_total{outcome="answered"} 3`, `ombor_door_events_total{outcome="accepted"} 3`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s:\n%s", want, metrics)
		}
	}

	if err := p.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if problems := p.status().Problems; !slices.ContainsFunc(problems, func(s string) bool { return strings.Contains(s, "engine") }) {
		t.Errorf("without its engine the problems are %q", problems)
	}
}
