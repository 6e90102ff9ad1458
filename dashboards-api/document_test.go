package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"ombor/internal/contract"
)

// pageRoutes serve the built page; they are no part of the API's document.
var pageRoutes = []string{"/", "/assets/*file", "/icon.svg", "/theme.js"}

// TestDocumentHasEveryRoute holds the routes of gin and the parameters of each
// against the document, in both directions.
func TestDocumentHasEveryRoute(t *testing.T) {
	s := small(t)
	engine := s.engine(func(*gin.Context) {})
	documented := map[string]map[string]any{}
	doc := generic(t)
	paths := doc["paths"].(map[string]any)
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			documented[strings.ToUpper(method)+" "+path] = operation.(map[string]any)
		}
	}
	served := map[string]bool{}
	for _, r := range engine.Routes() {
		if r.Method == http.MethodHead || slices.Contains(pageRoutes, r.Path) {
			continue
		}
		path := r.Path
		for _, part := range strings.Split(r.Path, "/") {
			if name, ok := strings.CutPrefix(part, ":"); ok {
				path = strings.Replace(path, part, "{"+name+"}", 1)
			}
		}
		served[r.Method+" "+path] = true
		if documented[r.Method+" "+path] == nil {
			t.Errorf("%s %s is served and not in openapi.yaml", r.Method, path)
		}
	}
	for route := range documented {
		if !served[route] {
			t.Errorf("%s is in openapi.yaml and not served", route)
		}
	}
	for _, r := range s.routes() {
		var want []string
		want = append(want, parametersOf(doc, r)...)
		got := append(slices.Clone(r.params), "format")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s takes %v, openapi.yaml says %v", r.path, got, want)
		}
	}
}

// parametersOf lists the query parameters that the document gives a route.
func parametersOf(doc map[string]any, r route) []string {
	path := r.path
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			path = strings.Replace(path, part, "{"+name+"}", 1)
		}
	}
	operation := doc["paths"].(map[string]any)[path].(map[string]any)[strings.ToLower(r.method)].(map[string]any)
	shared := doc["components"].(map[string]any)["parameters"].(map[string]any)
	var names []string
	for _, p := range operation["parameters"].([]any) {
		parameter := p.(map[string]any)
		if ref, ok := parameter["$ref"].(string); ok {
			parameter = shared[strings.TrimPrefix(ref, "#/components/parameters/")].(map[string]any)
		}
		if parameter["in"] == "query" {
			names = append(names, parameter["name"].(string))
		}
	}
	return names
}

// testDocument is the document, rendered once for all tests.
var testDocument = sync.OnceValues(func() (*document, error) { return readDocument("test") })

func generic(t *testing.T) map[string]any {
	t.Helper()
	d, err := testDocument()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(d.json, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestDocumentTellsEverything wants every property of every schema described, answers
// without properties that are not, and the codes of refusals complete. A null is a text
// with a comma that somebody forgot to quote.
func TestDocumentTellsEverything(t *testing.T) {
	doc := generic(t)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case nil:
			t.Errorf("openapi.yaml: %s is null", at)
		case map[string]any:
			for key, below := range v {
				walk(at+"/"+key, below)
			}
		case []any:
			for i, below := range v {
				walk(fmt.Sprintf("%s/%d", at, i), below)
			}
		}
	}
	walk("", doc)
	// CloudEvents have extensions; a cell has its dimensions beside its keys.
	open := []string{"CloudEvent", "Cell"}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for name, schema := range schemas {
		schema := schema.(map[string]any)
		if text, _ := schema["description"].(string); text == "" {
			t.Errorf("%s has no description", name)
		}
		properties, _ := schema["properties"].(map[string]any)
		if closed := schema["additionalProperties"] == false; len(properties) > 0 && closed == slices.Contains(open, name) {
			t.Errorf("%s: additionalProperties is %v", name, schema["additionalProperties"])
		}
		for property, of := range properties {
			of := of.(map[string]any)
			if text, _ := of["description"].(string); text == "" {
				t.Errorf("%s.%s has no description", name, property)
			}
			if of["properties"] != nil {
				t.Errorf("%s.%s is an object without a schema of its own", name, property)
			}
		}
	}
	var want []any
	for _, c := range contract.Codes() {
		want = append(want, c.Code)
	}
	code := schemas["Refusal"].(map[string]any)["properties"].(map[string]any)["code"].(map[string]any)
	if !slices.Equal(code["enum"].([]any), want) {
		t.Errorf("the codes of a refusal are %v, want %v", code["enum"], want)
	}
}

// TestGuideHasEveryRoute looks for every path of the document in docs/http-api.md.
func TestGuideHasEveryRoute(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "http-api.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, routes, _ := strings.Cut(string(guide), "## Routes")
	routes, _, _ = strings.Cut(routes, "\n## ")
	for path, item := range generic(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method == "post" {
				path = "POST " + path
			}
		}
		if !strings.Contains(routes, path+"`") {
			t.Errorf("docs/http-api.md does not tell of %s", path)
		}
	}
}

// checker validates answers against the component schemas of the document.
type checker struct {
	t        *testing.T
	compiler *jsonschema.Compiler
}

func newChecker(t *testing.T) *checker {
	t.Helper()
	d, err := testDocument()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.json))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return &checker{t, c}
}

func (c *checker) check(what, schema string, body []byte) {
	c.t.Helper()
	compiled, err := c.compiler.Compile("openapi.json#/components/schemas/" + schema)
	if err != nil {
		c.t.Fatalf("schema %s: %v", schema, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		c.t.Errorf("%s: not JSON: %v: %.200s", what, err, body)
		return
	}
	if err := compiled.Validate(value); err != nil {
		c.t.Errorf("%s is not a %s: %v\n%.600s", what, schema, err, body)
	}
}

// answerOf sends one GET and returns the answer with its body.
func answerOf(t *testing.T, h http.Handler, target string, header ...string) (*http.Response, []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), body
}

// TestDocumentedAnswers drives every route with real parts behind it and holds
// each answer against its schema.
func TestDocumentedAnswers(t *testing.T) {
	h, check := real(t), newChecker(t)
	ok := []struct{ target, schema string }{
		{"/v1/kpis", "KPIs"},
		{"/v1/kpis/cases", "KPI"},
		{"/v1/kpis/cases/values", "Values"},
		{"/v1/kpis/cases/values?from=2023-01-01&to=2023-12-31&grain=month&compare=previous", "Values"},
		{"/v1/kpis/cases/values?by=department", "Values"},
		{"/v1/kpis/digital-share/values?from=2023-01-01&to=2023-12-31&by=channel&plan=true", "Values"},
		{"/v1/kpis/on-time-share/values?where=" + url.QueryEscape("department=PWDx"), "Values"},
		{"/v1/kpis/close-hours/values", "Values"},
		{"/v1/kpis/cases/values?from=1999-01-01&to=1999-12-31&grain=quarter", "Values"},
		{"/v1/scorecard", "Scorecard"},
		{"/v1/scorecard?from=2023-01-01&to=2023-12-31", "Scorecard"},
		{"/v1/targets", "Targets"},
		{"/v1/targets?on=2023-12-31", "Targets"},
		{"/v1/kpis/digital-share/gap", "Gap"},
		{"/v1/kpis/on-time-share/gap?by=neighborhood&limit=1&from=2023-01-01&to=2023-06-30", "Gap"},
		{"/v1/changes?since=2024-02-01", "Changes"},
		{"/v1/changes?since=2024-03-01T00:30:00%2B05:00&from=2023-01-01&to=2023-12-31", "Changes"},
		{"/v1/contracts", "Contracts"},
		{"/v1/labels", "Labels"},
		{"/v1/status", "Status"},
		{"/healthz", "Health"},
		{"/readyz", "Health"},
	}
	for _, c := range ok {
		response, body := answerOf(t, h, c.target)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", c.target, response.Status, body)
			continue
		}
		check.check(c.target, c.schema, body)
	}
	refused := []struct {
		target string
		status int
		says   string
	}{
		{"/v1/kpis/nothing", 404, "nothing"},
		{"/v1/kpis/nothing/values", 404, "nothing"},
		{"/v1/kpis/cases/values?colour=red", 400, "from, to, grain"},
		{"/v1/kpis/cases/values?from=yesterday", 400, "2024-12-31"},
		{"/v1/kpis/cases/values?from=2023-01-01&from=2023-01-02", 400, "once"},
		{"/v1/kpis/cases/values?where=region", 400, "where=region=1703"},
		{"/v1/kpis/cases/values?where=" + url.QueryEscape("department=nobody"), 400, "PWDx"},
		{"/v1/kpis/cases/values?by=weather", 400, "department"},
		{"/v1/kpis/cases/values?grain=fortnight", 400, "month"},
		{"/v1/kpis/cases/values?version=last", 400, "whole numbers"},
		{"/v1/kpis/cases/values?from=%zz", 400, "malformed"},
		{"/v1/kpis/close-hours/gap", 400, "does not count cases"},
		{"/v1/kpis/nothing/gap", 404, "nothing"},
		{"/v1/kpis/digital-share/gap?limit=0", 400, "1000"},
		{"/v1/kpis/digital-share/gap?by=weather", 400, "department"},
		{"/v1/changes", 400, "since"},
		{"/v1/changes?since=monday", 400, "instant"},
		{"/v1/changes?since=2025-01-01", 400, "after today"},
		{"/v1/targets?on=2025-01-01", 400, "after today"},
		{"/v1/kpis?format=yaml", 415, "csv"},
		{"/v1/kpis/cases?format=csv", 415, "json"},
		{"/v1/contracts/nothing.v1", 404, "nothing.v1"},
		{"/v1/regions", 404, "table"},
		{"/v1/nothing", 404, "/docs"},
	}
	for _, c := range refused {
		response, body := answerOf(t, h, c.target)
		if response.StatusCode != c.status || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s %s, want %d and a problem document", c.target, response.Status, response.Header.Get("Content-Type"), c.status)
		}
		check.check(c.target, "Problem", body)
		if !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %s does not say %q", c.target, body, c.says)
		}
	}
}

// TestContractSchemas compiles the JSON Schema that each contract is served with.
func TestContractSchemas(t *testing.T) {
	h := real(t)
	_, body := answerOf(t, h, "/v1/contracts")
	var list struct{ Contracts []struct{ Schema string } }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Contracts) == 0 {
		t.Fatal("no contracts")
	}
	for _, c := range list.Contracts {
		response, schema := answerOf(t, h, c.Schema)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", c.Schema, response.Status)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("contract.json", value); err != nil {
			t.Fatal(err)
		}
		if _, err := compiler.Compile("contract.json"); err != nil {
			t.Errorf("%s: %v", c.Schema, err)
		}
	}
}

// TestDocs looks at the page of documentation: whole, and nothing from elsewhere.
func TestDocs(t *testing.T) {
	h, err := small(t).handler()
	if err != nil {
		t.Fatal(err)
	}
	response, body := answerOf(t, h, "/docs")
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	page := string(body)
	for path := range generic(t)["paths"].(map[string]any) {
		if !strings.Contains(page, fmt.Sprintf("<code>%s</code>", path)) {
			t.Errorf("the page does not show %s", path)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "style=", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
}
