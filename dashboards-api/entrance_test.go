package dashboards

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
)

// Every route has a rule, and every rule of a route has its route: nothing is let in by being
// forgotten.
func TestEveryRouteHasItsRule(t *testing.T) {
	s := &server{}
	var routes []string
	for _, r := range s.engine(func(*gin.Context) {}).Routes() {
		if r.Method != "HEAD" {
			routes = append(routes, r.Method+" "+r.Path)
		}
	}
	for _, route := range routes {
		if rule, ok := access.RuleOf(route); !ok || len(rule.Roles) == 0 && !rule.Open {
			t.Errorf("%s has no rule in the table of access", route)
		}
	}
	for _, rule := range access.Table {
		method, path, isRoute := strings.Cut(rule.Name, " ")
		if !isRoute || len(rule.Via) > 0 || method == "ombor" || path == "page" || strings.HasPrefix(path, "/operator/") {
			continue // of commands, of the application's own addresses, of the operator's commands
		}
		if !slices.Contains(routes, rule.Name) {
			t.Errorf("the table of access has %s, and the API does not", rule.Name)
		}
	}
}

// TestMay holds what /v1/me says one may ask for against what is let in.
func TestMay(t *testing.T) {
	may := access.May(&access.Principal{Roles: []access.Role{access.Leader}})
	for route, want := range map[string]bool{"GET /v1/scorecard": true, "GET /v1/labels": true, "GET /v1/kpis/:id": true, "GET /v1/audit": false, "POST /v1/events": false, "GET /": false} {
		if slices.Contains(may, route) != want {
			t.Errorf("a leader may %s: %v, want %v", route, !want, want)
		}
	}
	for _, p := range []access.Principal{{Agency: "customs"}, {Region: "1726"}} {
		p.Roles = []access.Role{access.Agency}
		if told := slices.Contains(access.May(&p), "GET /v1/projects"); told != (p.Agency != "") {
			t.Errorf("%+v may see projects: %v", p, told)
		}
	}
	server := httptest.NewServer(mustHandler(t, small(t)))
	defer server.Close()
	response, err := http.Get(server.URL + "/v1/me")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var me struct{ May []string }
	if err := json.NewDecoder(response.Body).Decode(&me); err != nil {
		t.Fatal(err)
	}
	// This server has no gate: nothing is guarded. Parameters are written as the description has them.
	for _, route := range []string{"GET /v1/audit", "GET /v1/kpis/{id}"} {
		if !slices.Contains(me.May, route) {
			t.Errorf("%s is not among %v", route, me.May)
		}
	}
}

// TestOwned: codes may have dots, files of the page stand at the top.
func TestOwned(t *testing.T) {
	for address, want := range map[string]bool{
		"/": false, "/projects/../..": false, "/kpis/a.b": false, "/services/7.1": false, "/promises": false,
		"/v1": true, "/v1/nothing": true, "/docs/none": true, "/assets/none.js": true, "/robots.txt": true,
	} {
		if owned(address) != want {
			t.Errorf("owned(%q) = %v", address, !want)
		}
	}
}

func TestNarrow(t *testing.T) {
	own := access.Scope{Dimension: "agency", Value: "customs"}
	figures, projects, neither := []string{"by", "where", "format"}, []string{"agency", "stage"}, []string{"source"}
	for _, c := range []struct {
		scope        access.Scope
		allowed      []string
		given, want  map[string]string // nil: denied
		whatItShould string
	}{
		{access.Scope{}, figures, map[string]string{"by": "agency"}, map[string]string{"by": "agency"}, "all rows"},
		{own, figures, map[string]string{}, map[string]string{}, "the national total"},
		{own, figures, map[string]string{"by": "region"}, map[string]string{"by": "region", "where": "agency=customs"}, "its own rows"},
		{own, figures, map[string]string{"where": "region=1726"}, map[string]string{"where": "region=1726\nagency=customs"}, "its own rows of the region"},
		{own, figures, map[string]string{"where": "agency=customs"}, map[string]string{"where": "agency=customs"}, "what it asked"},
		{own, figures, map[string]string{"where": "agency=tax"}, nil, "another's rows"},
		{own, figures, map[string]string{"where": "agency=customs\nagency=tax"}, nil, "another's rows beside its own"},
		{own, projects, map[string]string{}, map[string]string{"agency": "customs"}, "its own projects"},
		{own, projects, map[string]string{"agency": "tax"}, nil, "another's projects"},
		{own, neither, map[string]string{}, nil, "what is told of all together"},
		{access.Scope{Dimension: "agency"}, figures, map[string]string{"by": "region"}, nil, "the rows of no agency"},
		{access.Scope{Dimension: "agency"}, projects, map[string]string{}, nil, "the projects of no agency"},
	} {
		got, err := narrow(c.scope, true, c.given, c.allowed)
		switch {
		case (err != nil) != (c.want == nil):
			t.Errorf("%s: %v, %v", c.whatItShould, got, err)
		case err == nil && (len(got) != len(c.want) || got["where"] != c.want["where"] || got["agency"] != c.want["agency"] || got["by"] != c.want["by"]):
			t.Errorf("%s: %v, want %v", c.whatItShould, got, c.want)
		}
	}
	// Where an answer names services by itself, nothing is told of others'.
	if got, err := narrow(own, false, map[string]string{}, figures); err != nil || got["where"] != "agency=customs" {
		t.Errorf("reasons for everybody's change: %v, %v", got, err)
	}
	if mark(own) == mark(access.Scope{Dimension: "agency", Value: "tax"}) || mark(own) == mark(access.Scope{}) {
		t.Error("answers for one scope cannot be told from those for another")
	}
}
