package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/portfolio"
	"ombor/warehouse/warehousetest"
)

// works is what the town sent: a bridge that slipped and overspent, a road that waits for it and
// it for the road, and a park that is done.
const works = `2023-01-10 opened {"project":"W-1","name":"Old bridge","agency":"roads"}
2023-01-11 opened {"project":"W-2","name":"Road to the old bridge","agency":"roads"}
2023-01-12 opened {"project":"W-10","name":"Park","agency":"parks"}
2023-01-13 opened {"project":"W-11","name":"Old bridges","agency":"roads"}
2023-02-01 moved {"project":"W-1","stage":"digging"}
2023-03-01 moved {"project":"W-10","stage":"done"}
2023-01-20 planned {"project":"W-1","milestone":"M1","due":"2023-06-01","weight":1}
2023-01-20 planned {"project":"W-1","milestone":"M2","due":"2023-12-01","weight":3}
2023-06-11 reached {"project":"W-1","milestone":"M1","reached_on":"2023-06-11"}
2023-11-01 replanned {"project":"W-1","milestone":"M2","new_due":"2024-03-03","reason":"floods"}
2024-02-20 reported {"project":"W-1","percent":40,"evidence":"photo"}
2023-05-01 paid {"project":"W-1","amount":90}
2023-05-02 paid {"project":"W-1","amount":60}
2023-01-20 funded {"project":"W-1","amount":100}
2023-02-02 waits {"project":"W-1","other":"W-2"}
2023-02-02 waits {"project":"W-2","other":"W-1"}
2023-01-30 promised {"project":"W-1","indicator":"crossings","due":"2024-01-01","at_least":1000}
2024-01-02 measured {"project":"W-1","indicator":"crossings","met":true,"value":900}
2023-07-01 rated {"project":"W-1","cost_points":4,"schedule_points":3,"expert_points":2}
2023-07-02 risk {"project":"W-1","risk":"R1","severity":"high"}`

// register is what the town's register of services tells of the parking permit.
const register = `2023-01-01 {"service":"permit","active":true,"agency":"roads","mobile":false}
2023-06-01 {"service":"permit","active":true,"agency":"roads","mobile":true}
2024-02-01 {"service":"permit","active":false,"agency":"roads","mobile":true}`

// town is the API over a real engine that holds the works and the register.
func town(t *testing.T) http.Handler {
	t.Helper()
	h, err := New(townConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func townConfig(t *testing.T) Config {
	t.Helper()
	files, err := pack.Open(filepath.Join("testdata", "town"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	checker := contract.NewChecker(p.Set, keys, contract.Limits{})
	batch := checker.NewBatch()
	for i, line := range append(townEvents(), registerEvents()...) {
		if refusal := batch.Add(i, line); refusal != nil {
			t.Fatalf("%+v", refusal)
		}
	}
	for _, part := range batch.Parts() {
		warehousetest.InsertRecord(t, w, part.Contract, part.Record, reference.DayOf(noon), 0, 0)
		part.Record.Release()
	}
	config := configOf(p)
	config.Queries = queries.New(w, p.KPIs, p.Reference, queries.Options{Now: config.Now})
	config.Projects = portfolio.New(w, p.Portfolio, config.Queries, p.Reference, portfolio.Options{Now: config.Now, Checker: checker})
	return config
}

func townEvents() [][]byte {
	var list [][]byte
	for i, line := range strings.Split(works, "\n") {
		parts := strings.SplitN(line, " ", 3)
		list = append(list, fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"works","type":"town.work.%s.v1","time":"%sT10:00:00Z","onchange":"correct","data":%s}`, i, parts[1], parts[0], parts[2]))
	}
	return list
}

func registerEvents() [][]byte {
	var list [][]byte
	for i, line := range strings.Split(register, "\n") {
		at, data, _ := strings.Cut(line, " ")
		list = append(list, fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"register","type":"town.service.changed.v1","time":"%sT10:00:00Z","data":%s}`, i, at, data))
	}
	return list
}

// TestProjects asks every route of the portfolio for every format, and holds the answers
// against the document and against what can be seen in [works] with the naked eye.
func TestProjects(t *testing.T) {
	h, check := town(t), newChecker(t)
	for target, schema := range map[string]string{
		"/v1/projects": "Projects", "/v1/projects?agency=roads&limit=1&offset=1": "Projects", "/v1/projects?on=2023-01-01": "Projects", "/v1/projects?rule=report-missing&known_on=2024-03-01": "Projects",
		"/v1/projects/W-1": "ProjectDetail", "/v1/projects/W-10?on=2024-01-01": "ProjectDetail",
		"/v1/portfolio": "PortfolioSummary", "/v1/portfolio?by=agency": "PortfolioSummary", "/v1/portfolio/attention": "Attention", "/v1/portfolio/duplicates?least=0.5": "Duplicates",
	} {
		response, body := answerOf(t, h, target)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", target, response.Status, body)
			continue
		}
		check.check(target, schema, body)
		if schema == "ProjectDetail" {
			continue
		}
		for _, format := range []string{"csv", "xlsx", "parquet", "arrow"} {
			separator := map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")]
			if response, body := answerOf(t, h, target+separator+"format="+format); response.StatusCode != http.StatusOK || len(body) == 0 {
				t.Errorf("%s as %s: %s", target, format, response.Status)
			}
		}
	}
	_, body := answerOf(t, h, "/v1/projects/W-1")
	for _, want := range []string{`"baseline":"2023-12-01","due":"2024-03-03"`, `"days_late":10`, `"spi":0.25`, `"computed":2,"overridden":true`, `"met":false,"said_met":true`, `"cycle":["W-1","W-2"]`, `"reason":"floods"`,
		`"spent":150`, `"attention":["promise-missed","dependency-cycle","overspent","rating-low",`, `"rule":"claim-differs"`, `"rule":"milestone-due"`, `"evidence":"photo"`, `"b":{"id":"W-11"`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("W-1 lacks %s:\n%s", want, body)
		}
	}
	_, csv := answerOf(t, h, "/v1/portfolio?by=agency&format=csv")
	if lines := strings.Split(strings.TrimSpace(string(csv)), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "agency,projects,active,") || !strings.HasPrefix(lines[1], "parks,1,0,") || !strings.HasPrefix(lines[2], "roads,3,3,") {
		t.Errorf("figures by agency:\n%s", csv)
	}
	for target, says := range map[string]string{"/v1/projects?agency=sea": "parks, roads", "/v1/projects?limit=0": "10000", "/v1/portfolio?by=mood": "agency, stage", "/v1/projects?on=soon": "2024-12-31", "/v1/portfolio/duplicates?least=2": "between 0 and 1"} {
		response, body := answerOf(t, h, target)
		if response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), says) {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
	}
	for _, target := range []string{"/v1/projects/W-3", "/v1/projects/W-1?on=2022-01-01"} {
		if response, body := answerOf(t, h, target); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
	}
}

// TestDifferences sends events that are known, changed, new, refused and withdrawn, and finds
// that nothing was stored.
func TestDifferences(t *testing.T) {
	h, check := town(t), newChecker(t)
	lines := townEvents()
	lines[0] = bytes.Replace(lines[0], []byte("Old bridge"), []byte("Older bridge"), 1)
	lines[1] = bytes.Replace(bytes.Replace(lines[1], []byte("2023-01-11"), []byte("2023-01-12"), 1), []byte(`"onchange":"correct",`), nil, 1)
	lines = append(lines,
		[]byte(`{"specversion":"1.0","id":"new","source":"works","type":"town.work.moved.v1","time":"2023-05-01T10:00:00Z","data":{"project":"W-2","stage":"building"}}`),
		[]byte(`{"specversion":"1.0","id":"bad","source":"works","type":"town.work.moved.v1","time":"2023-05-01T10:00:00Z","data":{"project":"W-2","stage":"dreaming"}}`),
		[]byte(`{"specversion":"1.0","id":"w","source":"works","type":"town.work.risk.v1","time":"2023-07-02T10:00:00Z","corrects":"19","revision":1,"withdrawn":true}`),
		[]byte(`{"specversion":"1.0","id":"r","source":"works","type":"town.work.paid.v1","time":"2023-05-01T11:00:00Z","onchange":"correct","replaces":"2023-05-01","data":{"project":"W-1","amount":91}}`))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/differences", bytes.NewReader(bytes.Join(lines, []byte("\n")))))
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		check.check("differences", "Difference", w.Body.Bytes())
		var d portfolio.Difference
		if err := json.Unmarshal(w.Body.Bytes(), &struct {
			Counts *map[portfolio.Kind]int `json:"counts"`
		}{&d.Counts}); err != nil {
			t.Fatal(err)
		}
		want := map[portfolio.Kind]int{portfolio.EventNew: 2, portfolio.EventChanged: 1, portfolio.EventConflict: 1, portfolio.EventUnchanged: 18, portfolio.EventWithdrawn: 2, portfolio.EventHeld: 0}
		if fmt.Sprint(d.Counts) != fmt.Sprint(want) {
			t.Errorf("%v, want %v\n%s", d.Counts, want, w.Body)
		}
		for _, says := range []string{`{"field":"name","was":"Old bridge","will":"Older bridge"}`, `{"field":"time","was":"2023-01-11T10:00:00Z","will":"2023-01-12T10:00:00Z"}`, `"field":"stage","code":"not_in_enum"`, `{"field":"amount","was":"90","will":""}`} {
			if !strings.Contains(w.Body.String(), says) {
				t.Errorf("lacks %s:\n%s", says, w.Body)
			}
		}
	}
	w := httptest.NewRecorder()
	real(t).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/differences", strings.NewReader("{}")))
	if w.Code != http.StatusNotFound {
		t.Errorf("a server that compares nothing: %d", w.Code)
	}
}

// TestAgencyProjects shows an agency its own projects, and the figures of all beside them.
func TestAgencyProjects(t *testing.T) {
	o := open(t, func(c *Config) { c.Projects = townConfig(t).Projects })
	type list struct {
		Total    int
		Projects []struct{ ID, Agency string }
		National *struct{ Projects int }
	}
	read := func(who, path string) (l list) {
		t.Helper()
		if err := json.Unmarshal(o.want(who, "GET", path, "", 200, "Projects"), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := read("roads", "/v1/projects"); l.Total != 3 || l.National == nil || l.National.Projects != 4 {
		t.Errorf("%+v", l)
	}
	if l := read("leader", "/v1/projects"); l.Total != 4 || l.National != nil {
		t.Errorf("%+v", l)
	}
	o.want("roads", "GET", "/v1/projects?agency=parks", "", 403, "Problem")
	o.want("roads", "GET", "/v1/projects/W-1", "", 200, "ProjectDetail")
	o.want("roads", "GET", "/v1/projects/W-10", "", 403, "Problem")
	o.want("roads", "GET", "/v1/projects/W-99", "", 404, "Problem")
	o.want("leader", "GET", "/v1/projects/W-10", "", 200, "ProjectDetail")
	if text := string(o.want("roads", "GET", "/v1/portfolio?by=agency", "", 200, "PortfolioSummary")); strings.Contains(text, "parks") || !strings.Contains(text, `"national":{"key":"","projects":4`) {
		t.Error(text)
	}
	if text := string(o.want("roads", "GET", "/v1/portfolio/attention", "", 200, "Attention")); strings.Contains(text, "parks") {
		t.Error(text)
	}
}
