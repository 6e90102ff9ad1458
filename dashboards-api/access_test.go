package dashboards

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

// guarded is the city with the town's projects behind one gate.
func guarded(t *testing.T) *office {
	projects := townConfig(t).Projects
	return open(t, func(c *Config) {
		c.Projects = projects
		c.Pack.Sources = map[string]queries.Sender{"desk": {Title: reference.Names{"en": "Desk"}, Owner: "city-hall"}}
		c.Quality = func(context.Context, QualitySpan) ([]Quality, error) {
			return []Quality{{Source: "elsewhere", Type: "city.case.opened.v1"}}, nil
		}
	})
}

// TestAgencyOnEveryRoute asks every route of the document that can be narrowed to an agency, as an agency:
// for its own rows, for another's, and for both. The city's cases name no agency: they are those of the
// city hall, whose desk sends them.
func TestAgencyOnEveryRoute(t *testing.T) {
	o := guarded(t)
	var document struct {
		Components struct {
			Parameters map[string]struct{ Name string }
		}
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(o.want("leader", "GET", "/openapi.json", "", 200, ""), &document); err != nil {
		t.Fatal(err)
	}
	walked := 0
	for path, operations := range document.Paths {
		var get struct {
			Parameters []struct {
				Name string
				Ref  string `json:"$ref"`
			}
		}
		if operations["get"] == nil {
			continue
		}
		if err := json.Unmarshal(operations["get"], &get); err != nil {
			t.Fatal(err)
		}
		takes := map[string]bool{}
		for _, p := range get.Parameters {
			if _, name, ok := strings.Cut(p.Ref, "/parameters/"); ok {
				p.Name = document.Components.Parameters[name].Name
			}
			takes[p.Name] = true
		}
		rule, _ := access.RuleOf("GET " + strings.NewReplacer("{", ":", "}", "").Replace(path))
		if !takes["where"] && !takes["agency"] || !slices.Contains(rule.Roles, access.Agency) {
			continue
		}
		walked++
		if !rule.Own {
			t.Errorf("GET %s is not held to an agency's own rows", path)
		}
		target := strings.Replace(path, "{id}", "digital-share", 1) + "?"
		if takes["since"] {
			target += "since=2024-03-01&"
		}
		if takes["largest"] { // of a change: between the halves of the year
			target += "from=2023-07-01&to=2023-12-31&"
		}
		who, own, other := "hall", "where="+url.QueryEscape("agency=city-hall"), "where="+url.QueryEscape("agency=roads")
		refused := []string{other, own + "&" + other, other + "&where=" + url.QueryEscape("department=PWDx")}
		if takes["agency"] {
			who, own, refused = "roads", "agency=roads", []string{"agency=parks", "agency=roads,parks"}
		}
		o.want(who, "GET", target+own, "", 200, "")
		for _, more := range refused {
			o.want(who, "GET", target+more, "", 403, "Problem")
		}
	}
	if walked < 10 {
		t.Errorf("only %d routes were asked", walked)
	}

	// Rows by a breakdown, and rows of a system, are its own too; who has no system sees the total alone.
	if text := string(o.want("hall", "GET", "/v1/kpis/cases/values?by=department", "", 200, "Values")); !strings.Contains(text, `"where":{"_source":["desk","simulation/desk"]}`) || !strings.Contains(text, "PWDx") {
		t.Error(text)
	}
	o.want("hall", "GET", "/v1/kpis/cases/values?where="+url.QueryEscape("_source=desk"), "", 200, "Values")
	o.want("roads", "GET", "/v1/kpis/cases/values", "", 200, "Values")
	for _, hostile := range []string{"by=department", "by=_source", "where=" + url.QueryEscape("_source=desk"), "where=" + url.QueryEscape("agency=roads"), "where=" + url.QueryEscape("agency=roads") + "&where=" + url.QueryEscape("_source=desk")} {
		o.want("roads", "GET", "/v1/kpis/cases/values?"+hostile, "", 400, "Problem")
	}
	if text := string(o.want("leader", "GET", "/v1/scorecard?where="+url.QueryEscape("agency=city-hall"), "", 200, "Scorecard")); strings.Count(text, `"kpi":"`) < 5 {
		t.Error(text)
	}
}

// TestTargetsOfAgency: the figures are everybody's, the projects that serve them are not.
func TestTargetsOfAgency(t *testing.T) {
	o := guarded(t)
	read := func(who string) (targets struct {
		Unserved    *int
		ServingNone []struct{ Project, Agency string } `json:"serving_none"`
	}) {
		if err := json.Unmarshal(o.want(who, "GET", "/v1/targets", "", 200, ""), &targets); err != nil {
			t.Fatal(err)
		}
		return targets
	}
	all, roads, hall := read("leader"), read("roads"), read("hall") // one after the other: what is kept of the first is not for the next
	o.want("leader", "GET", "/v1/projects/W-1", "", 200, "ProjectDetail")
	o.want("roads", "GET", "/v1/projects/W-1", "", 200, "ProjectDetail")
	o.want("hall", "GET", "/v1/projects/W-1", "", 403, "Problem")
	if len(all.ServingNone) < 2 || len(roads.ServingNone) != len(all.ServingNone) || hall.ServingNone == nil || len(hall.ServingNone) != 0 {
		t.Errorf("%+v %+v %+v", all, roads, hall)
	}
	if all.Unserved == nil || hall.Unserved == nil || *hall.Unserved != *all.Unserved {
		t.Errorf("unserved: %v, %v", hall.Unserved, all.Unserved)
	}
}

// TestImpossibleQuestions are refused by the parameter that is to blame.
func TestImpossibleQuestions(t *testing.T) {
	o := guarded(t)
	for target, field := range map[string]string{
		"/v1/scorecard?from=2030-01-01&to=2030-12-31":               "from",
		"/v1/scorecard?from=2023-12-31&to=2023-01-01":               "to",
		"/v1/scorecard?known_on=2030-01-01":                         "known_on",
		"/v1/changes?since=2024-02-01&from=2030-01-01":              "from",
		"/v1/organisations?on=2050-01-01":                           "on",
		"/v1/audit?from=2024-02-01&to=2024-01-01":                   "to",
		"/v1/quality?source=nope":                                   "source",
		"/v1/quality?type=city.nope.v1":                             "type",
		"/v1/quality?since=2050-01-01":                              "since",
		"/v1/kpis/digital-share/why?by=colour":                      "by",
		"/v1/kpis/digital-share/movers?by=colour&compare=year":      "by",
		"/v1/kpis/digital-share/why?from=2023-06-01&by=departments": "by",
	} {
		body := o.want("operator", "GET", target, "", 400, "Problem")
		var p struct{ Field string }
		if err := json.Unmarshal(body, &p); err != nil || p.Field != field {
			t.Errorf("%s: %s, want the field %s", target, body, field)
		}
	}
	o.want("operator", "GET", "/v1/quality?source=elsewhere", "", 200, "")
}

// TestKeysForNothing: a key is made for what the pack has.
func TestKeysForNothing(t *testing.T) {
	o := guarded(t)
	for body, status := range map[string]int{
		`{"name":"x","roles":["source"],"sources":["desk"],"contracts":["city.case.opened.v1"]}`: 201,
		`{"name":"x","roles":["source"],"sources":["*","simulation/desk"]}`:                      201,
		`{"name":"x","roles":["agency"],"agency":"city-hall"}`:                                   201,
		`{"name":"x","roles":["source"],"sources":["desc"]}`:                                     400,
		`{"name":"x","roles":["source"],"sources":["desk"],"contracts":["nosuch"]}`:              400,
		`{"name":"x","roles":["agency"],"agency":"city-hal"}`:                                    400,
	} {
		text := string(o.want("operator", "POST", "/v1/keys", body, status, ""))
		if strings.Contains(body, "desc") && !strings.Contains(text, "did you mean desk?") || strings.Contains(body, "city-hal\"") && !strings.Contains(text, "did you mean city-hall?") {
			t.Error(text)
		}
	}
}

// TestKeysAreToldWhatIsSent: a refusal names the field as it is sent, and offers none that the server alone sets.
func TestKeysAreToldWhatIsSent(t *testing.T) {
	o := guarded(t)
	for body, want := range map[string]string{
		`{"name":"x","roles":["source"],"sources":["desc"]}`:                                          "sources [desk]",
		`{"name":"x","roles":["source"],"sources":["desk"],"contracts":["city.figure.published.v1"]}`: "contracts [city.case.opened.v1]",
		`{"name":"x","roles":["leader"],"created":"2020-01-01T00:00:00Z"}`:                            "created [name roles expires]",
		`{"name":"x","roles":["leader"],"id":"k"}`:                                                    "id [name roles expires]",
	} {
		var p struct {
			Field   string
			Allowed []string
		}
		if err := json.Unmarshal(o.want("operator", "POST", "/v1/keys", body, 400, "Problem"), &p); err != nil {
			t.Fatal(err)
		}
		field, offered, _ := strings.Cut(want, " ")
		for _, name := range strings.Fields(strings.Trim(offered, "[]")) {
			if !slices.Contains(p.Allowed, name) {
				t.Errorf("%s: %v does not offer %s", body, p.Allowed, name)
			}
		}
		for _, own := range []string{"id", "created", "by", "revoked", "city.figure.published.v1"} {
			if slices.Contains(p.Allowed, own) {
				t.Errorf("%s: %v offers %s, which the server alone sets", body, p.Allowed, own)
			}
		}
		if p.Field != field {
			t.Errorf("%s: the field is %q", body, p.Field)
		}
	}
}

// TestKeyEndsWithItsDay in the zone of the pack, wherever it was asked for.
func TestKeyEndsWithItsDay(t *testing.T) {
	o := guarded(t)
	for given, want := range map[string]time.Time{
		"2033-06-30": time.Date(2033, 7, 1, 0, 0, 0, 0, o.config.Pack.Zone), "2033-06-30T18:00:00Z": time.Date(2033, 6, 30, 18, 0, 0, 0, time.UTC),
	} {
		var made struct{ Expires time.Time }
		if err := json.Unmarshal(o.want("operator", "POST", "/v1/keys", `{"name":"x","roles":["leader"],"expires":"`+given+`"}`, 201, "MadeKey"), &made); err != nil || !made.Expires.Equal(want) {
			t.Errorf("%s: %s, want %s, %v", given, made.Expires, want, err)
		}
	}
	if text := o.want("operator", "POST", "/v1/keys", `{"name":"x","roles":["leader"],"expires":"30.06.2033"}`, 400, "Problem"); !strings.Contains(string(text), `"field":"expires"`) {
		t.Errorf("%s", text)
	}
}

// TestLiveEnds: a key that is revoked while its stream is open is told nothing more.
func TestLiveEnds(t *testing.T) {
	more, loaded := make(chan struct{}), uint64(4)
	o := open(t, func(c *Config) {
		c.Status = func() Status { return Status{Loaded: loaded, Journal: loaded} }
		c.WaitLoaded = func(ctx context.Context, _ uint64) error {
			select {
			case <-more:
				loaded++
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.url+"/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.keys["leader"])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func() bool { // whether another watermark is told
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data: ") {
				return true
			}
		}
		return false
	}
	if !next() {
		t.Fatal("nothing is told")
	}
	more <- struct{}{}
	if !next() {
		t.Fatal("the stream ends although the key works")
	}
	if _, err := o.config.Gate.Keys.Revoke(t.Context(), strings.Split(o.keys["leader"], "_")[1]); err != nil {
		t.Fatal(err)
	}
	close(more)
	if next() {
		t.Error("a revoked key is told the next watermark")
	}
}

// TestNotReadyIsNoError: probes ask until the server is ready, and its log stays quiet.
func TestNotReadyIsNoError(t *testing.T) {
	var log bytes.Buffer
	s := small(t)
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	s.config.Ready = func(context.Context) error {
		return problem.Wrap(errors.New("starting"), problem.Unavailable, "", "not yet")
	}
	response, body := answerOf(t, mustHandler(t, s), "/readyz")
	if response.StatusCode != http.StatusServiceUnavailable || log.Len() != 0 {
		t.Errorf("%s %s, log: %s", response.Status, body, &log)
	}
}
