package dashboards

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// TestQuarantineAndQuality asks for both in every format and with what is wrong, over a
// room that answers with what it was asked for.
func TestQuarantineAndQuality(t *testing.T) {
	s, check := small(t), newChecker(t)
	var filter HeldFilter
	var span QualitySpan
	closed := time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC)
	s.config.Quarantine = &Quarantine{List: func(_ context.Context, f HeldFilter) ([]HeldEvent, string, error) {
		if filter = f; f.Cursor == "none" {
			return nil, "", problem.New(problem.BadInput, "no such page").In("cursor")
		}
		return []HeldEvent{{ID: "0123456789abcdef0123", State: "dismissed", HeldAt: closed, Code: "conflict", Reason: "=2+2", Type: "a.v1", Source: "s", Time: closed, Closed: &closed, By: "ali"}}, "7", nil
	}}
	s.config.Quality = func(_ context.Context, q QualitySpan) ([]Quality, error) {
		span = q
		return []Quality{{Source: "s", Type: "a.v1", Accepted: 5, Conflict: 1, Received: closed, Promise: time.Hour, Late: true}, {Source: "other", Type: "a.v1"}}, nil
	}
	h, err := s.handler()
	if err != nil {
		t.Fatal(err)
	}
	for target, schema := range map[string]string{"/v1/quarantine": "HeldEvents", "/v1/quality?source=s&type=a.v1": "Quality"} {
		response, body := answerOf(t, h, target)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", target, response.Status, body)
		}
		check.check(target, schema, body)
		if strings.Contains(string(body), "other") {
			t.Errorf("%s: %s", target, body)
		}
		for _, format := range []string{"csv", "xlsx", "parquet", "arrow"} {
			if response, body := answerOf(t, h, strings.Split(target, "?")[0]+"?format="+format); response.StatusCode != http.StatusOK || len(body) == 0 {
				t.Errorf("%s as %s: %s %s", target, format, response.Status, body)
			}
		}
	}
	if _, body := answerOf(t, h, "/v1/quarantine?format=csv"); !strings.Contains(string(body), "'=2+2") {
		t.Errorf("a formula would be run: %s", body)
	}
	answerOf(t, h, "/v1/quarantine?code=conflict&source=s&type=a.v1&state=open&since=2024-05-01&until=2024-05-02T00:00:00Z&limit=7&cursor=x")
	want := HeldFilter{"conflict", "s", "a.v1", "open", time.Date(2024, 5, 1, 0, 0, 0, 0, s.config.Pack.Zone), closed, "x", 7}
	if !filter.Since.Equal(want.Since) || !filter.Until.Equal(want.Until) {
		t.Errorf("asked from %v to %v", filter.Since, filter.Until)
	}
	if filter.Since, filter.Until = want.Since, want.Until; filter != want {
		t.Errorf("asked for %+v", filter)
	}
	answerOf(t, h, "/v1/quality?since=2024-02-01")
	first, err := reference.ParseDay("2024-02-01")
	if err != nil {
		t.Fatal(err)
	}
	if span.All || span.Since != first || span.Until != s.today() {
		t.Errorf("asked for %+v", span)
	}
	if answerOf(t, h, "/v1/quality"); !span.All {
		t.Errorf("asked for %+v", span)
	}
	for target, says := range map[string]string{
		"/v1/quarantine?code=nonsense":                   `"field":"code"`,
		"/v1/quarantine?source=nonsense":                 `"allowed":[`,
		"/v1/quarantine?type=a":                          "a.v1",
		"/v1/quarantine?zzz=1":                           `"allowed":["code","source","type"`,
		"/v1/quarantine?state=new":                       "open, replayed, dismissed",
		"/v1/quarantine?limit=1001":                      "1 to 1000",
		"/v1/quarantine?since=yesterday":                 "2024-12-31",
		"/v1/quarantine?cursor=none":                     "no such page",
		"/v1/quality?until=yesterday":                    "2024-12-31",
		"/v1/quality?since=2024-02-01&until=2024-01-01":  "before since",
		"/v1/quarantine/0123456789abcdef0123?colour=red": "not serve",
	} {
		response, body := answerOf(t, h, target)
		if response.StatusCode/100 != 4 || !strings.Contains(string(body), says) {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
		check.check(target, "Problem", body)
	}
	s.config.Quarantine, s.config.Quality = nil, nil
	for _, target := range []string{"/v1/quarantine", "/v1/quality"} {
		if response, body := answerOf(t, h, target); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a process that has none: %s %s", target, response.Status, body)
		}
	}
}
