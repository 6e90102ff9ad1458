package queries_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ombor/queries"
)

var record = flag.Bool("record", false, "write testdata/golden/*/*/compiled.sql and rows.csv from what the engine gives now")

// goldenRequest is a request.json.
type goldenRequest struct {
	From    string              `json:"from"`
	To      string              `json:"to"`
	Grain   queries.Grain       `json:"grain"`
	By      []string            `json:"by"`
	Where   map[string][]string `json:"where"`
	KnownOn string              `json:"known_on"`
}

var databases = regexp.MustCompile("`t[0-9]+_(facts|rollups)`")

// TestGolden runs testdata/golden/<kpi>/<case>/request.json on the engine and holds the
// SQL that it compiles to against compiled.sql, and the rows against rows.csv. Every
// KPI of the test country has a case; a missing file fails. After a change that was
// meant, record with: go test ./queries -run TestGolden -record
func TestGolden(t *testing.T) {
	f, w, q, _ := loaded(t)
	cases, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, dir := range cases {
		id := filepath.Base(filepath.Dir(dir))
		covered[id] = true
		t.Run(id+"/"+filepath.Base(dir), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, "request.json"))
			if err != nil {
				t.Fatal(err)
			}
			var g goldenRequest
			decoder := json.NewDecoder(strings.NewReader(string(text)))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&g); err != nil {
				t.Fatal(err)
			}
			plan := values(t, q, queries.Request{KPI: id, From: day(g.From), To: day(g.To), Grain: g.Grain, By: g.By, Where: g.Where, KnownOn: day(g.KnownOn), Plan: true}).Plan
			compiled := databases.ReplaceAllString(plan.SQL, "`$1`") + "\n"
			for _, name := range slices.Sorted(maps.Keys(plan.Bindings)) {
				compiled += "-- {" + name + "} = " + plan.Bindings[name] + "\n"
			}
			body, err := w.Raw(context.Background(), plan.SQL, plan.Bindings, "CSVWithNames")
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			rows, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "compiled.sql"), compiled)
			golden(t, filepath.Join(dir, "rows.csv"), string(rows))
		})
	}
	for _, k := range f.kpis {
		if !covered[k.ID] {
			t.Errorf("no golden case for %s: write testdata/golden/%s/<case>/request.json and record", k.ID, k.ID)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *record {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the golden is missing: %v", err)
	}
	if got != string(want) {
		t.Errorf("%s differs\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}
