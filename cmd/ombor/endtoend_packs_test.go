//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// expected is what an independent script computes from the raw files alone.
type expected struct {
	Rows struct{ Read, Accepted, Refused int64 }
	// KPIs: id → period → dimension → key → figure.
	KPIs map[string]map[string]map[string]map[string]map[string]any
}

// TestPacks loads real data of four governments through their packs, which are
// only files, and holds every KPI, period and dimension against the independent
// script. It loads everything twice: no figure may move.
func TestPacks(t *testing.T) {
	script := filepath.Join(root, "internal", "pack", "testdata", "expected.mjs")
	data := filepath.Dir(filepath.Dir(shared(t, "us_boston_311/311_service_requests_2011.zip")))
	for _, c := range []struct {
		pack  string
		files []string
		grain string           // of the periods beside the whole
		sql   map[string]int64 // what PROVENANCE.md says of the files, asked of the facts
	}{
		{"boston", []string{"us_boston_311/311_service_requests_2011.zip"}, "month", map[string]int64{
			"SELECT sum(_sign) FROM facts.case_opened_v1": 58_251}},
		{"uk", []string{"uk_transactions/transaction-volumes.csv"}, "window", map[string]int64{
			"SELECT uniqExact(service, agency, department) FROM facts.transactions_reported_v1": 734}},
		{"canada", []string{"ca_gc_services/si_2024_snapshot_2025-03-01.csv", "ca_gc_services/ss_2024_snapshot_2025-03-01.csv"}, "window", map[string]int64{
			"SELECT sum(_sign) FROM facts.service_reported_v1":  1_721,
			"SELECT sum(_sign) FROM facts.standard_reported_v1": 2_341}},
		{"epa", []string{"us_epa_http/epa-http.zip"}, "hour", map[string]int64{
			"SELECT sum(_sign) + 21 FROM facts.http_request_v1": 47_748}}, // 21 lines break off and are refused
		{"xroad", []string{"xroad_sample/opendata_sample.tsv", "xroad_sample/clean_documents.json"}, "day", map[string]int64{
			"SELECT sum(_sign) FROM facts.exchange_reported_v1":                  100,
			"SELECT uniqExact(exchange) FROM facts.exchange_reported_v1":         50,
			"SELECT countIf(matching = 'orphan') FROM facts.exchange_matched_v1": 5}},
	} {
		t.Run(c.pack, func(t *testing.T) {
			computed := run(t, nil, "node", script, data, c.pack)
			if computed.code != 0 {
				t.Fatalf("expected.mjs: %s", computed.stderr)
			}
			var all map[string]expected
			if err := json.Unmarshal([]byte(computed.stdout), &all); err != nil {
				t.Fatal(err)
			}
			want := all[c.pack]
			s := serve(t, t.TempDir(), "--pack", filepath.Join("internal", "pack", "testdata", c.pack))
			var files []string
			for _, f := range c.files {
				files = append(files, shared(t, f))
			}
			first, r := s.load(files...)
			if first.Accepted != want.Rows.Accepted || first.Rejected != want.Rows.Refused || first.Duplicate != 0 || first.Conflict != 0 {
				t.Errorf("first load: %+v, want %d accepted and %d refused\n%s", first, want.Rows.Accepted, want.Rows.Refused, r.stderr)
			}
			if wantCode := map[bool]int{true: 3, false: 0}[want.Rows.Refused > 0]; r.code != wantCode {
				t.Errorf("first load: exit %d, want %d", r.code, wantCode)
			}
			holdAgainst(t, s, want, c.grain)
			again, _ := s.load(files...)
			if again.Accepted != 0 || again.Duplicate != want.Rows.Accepted || again.Conflict != 0 {
				t.Errorf("second load: %+v, want %d duplicates and nothing else", again, want.Rows.Accepted)
			}
			holdAgainst(t, s, want, c.grain)
			readLake(t, s, want.Rows.Accepted)
			for statement, n := range c.sql {
				r := engineSQL(t, s.data, statement, "TSV")
				if got := strings.TrimSpace(r.stdout); got != fmt.Sprint(n) {
					t.Errorf("%s: %s, want %d %s", statement, got, n, r.stderr)
				}
			}
		})
	}
}

// holdAgainst compares every figure with the independent ones.
func holdAgainst(t *testing.T, s *server, want expected, grain string) {
	t.Helper()
	compared := 0
	for name, periods := range want.KPIs {
		id, variant, _ := strings.Cut(name, "@") // digital-take-up@of-all is a variant
		dimensions := map[string]bool{}
		for _, byDimension := range periods {
			for dimension := range byDimension {
				dimensions[dimension] = true
			}
		}
		for dimension := range dimensions {
			var arguments []string
			if variant != "" {
				arguments = append(arguments, "--variant", variant)
			}
			if dimension != "" {
				arguments = append(arguments, "--by", dimension)
			}
			got := map[string]map[string]cell{}
			if _, ok := periods["all"]; ok {
				got["all"] = byKey(s.kpi(id, arguments...), dimension)
			}
			for _, c := range s.kpi(id, append(arguments, "--grain", grain)...) {
				period := strings.ReplaceAll(fmt.Sprint(c["period"]), "/", "..")
				if got[period] == nil {
					got[period] = map[string]cell{}
				}
				got[period][keyOf(c, dimension)] = c
			}
			for period, byDimension := range periods {
				for key, figures := range byDimension[dimension] {
					c, ok := got[period][key]
					if !ok {
						if !nothing(figures) {
							t.Errorf("%s %s %s=%q: no cell, want %v", name, period, dimension, key, figures)
						}
						continue
					}
					if text(c["state"]) == "suppressed" {
						t.Errorf("%s %s %s=%q is hidden; open data has no persons", name, period, dimension, key)
						continue
					}
					compareCell(t, fmt.Sprintf("%s %s %s=%q", name, period, dimension, key), c, figures)
					compared++
				}
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d cells were compared", compared)
	}
	t.Logf("%d cells compared", compared)
}

func text(v any) string { s, _ := v.(string); return s }

func byKey(cells []cell, dimension string) map[string]cell {
	m := map[string]cell{}
	for _, c := range cells {
		m[keyOf(c, dimension)] = c
	}
	return m
}

func keyOf(c cell, dimension string) string {
	if dimension == "" {
		return ""
	}
	if v, ok := c["by."+dimension]; ok {
		return text(v)
	}
	return text(c[dimension])
}

// nothing says whether the independent script found no case at all.
func nothing(figures map[string]any) bool {
	for _, name := range []string{"numerator", "denominator", "n"} {
		if v, ok := figures[name].(float64); ok && v != 0 {
			return false
		}
	}
	return true
}

func compareCell(t *testing.T, where string, c cell, want map[string]any) {
	t.Helper()
	if _, ok := want["n"]; ok {
		compareQuantiles(t, where, c, want)
		return
	}
	for _, name := range []string{"numerator", "denominator", "value"} {
		wanted, some := want[name].(float64)
		got, have := figure(c[name])
		switch {
		case some && !have:
			t.Errorf("%s: %s is %v (%v), want %v", where, name, c[name], c["state"], wanted)
		case some && math.Abs(got-wanted) > 1e-9*math.Max(1, math.Abs(wanted)):
			t.Errorf("%s: %s is %v, want %v", where, name, got, wanted)
		case !some && have && name == "value":
			t.Errorf("%s: value is %v, want none", where, got)
		}
	}
	if covered, ok := want["covered"].(float64); ok {
		coverage, _ := c["coverage"].(map[string]any)
		if got, _ := figure(coverage["covered"]); got != covered {
			t.Errorf("%s: covered is %v, want %v", where, coverage["covered"], covered)
		}
		if got, _ := figure(coverage["expected"]); got != want["expected"] {
			t.Errorf("%s: expected is %v, want %v", where, coverage["expected"], want["expected"])
		}
	}
}

// compareQuantiles allows what the definition declares: ±1 % around the interval
// in which every definition of a quantile lies.
func compareQuantiles(t *testing.T, where string, c cell, want map[string]any) {
	t.Helper()
	n, _ := want["n"].(float64)
	quantiles, _ := c["quantiles"].([]any)
	if n == 0 {
		return
	}
	if len(quantiles) == 0 {
		t.Errorf("%s: no quantiles, state %v, want n %v", where, c["state"], n)
		return
	}
	for _, q := range quantiles {
		point := q.(map[string]any)
		at, _ := figure(point["q"])
		got, _ := figure(point["value"])
		bounds, ok := want[fmt.Sprint(at)].([]any)
		if !ok {
			t.Errorf("%s: quantile %v was not asked for", where, at)
			continue
		}
		low, _ := figure(bounds[0])
		high, _ := figure(bounds[1])
		if got < low-0.0101*math.Abs(low)-1e-9 || got > high+0.0101*math.Abs(high)+1e-9 {
			t.Errorf("%s: quantile %v is %v, want between %v and %v, ±1 %%", where, at, got, low, high)
		}
	}
}

// readLake counts the lake with DuckDB, an engine that is not ours.
func readLake(t *testing.T, s *server, want int64) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(s.data, "lake", "*_v*"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("the lake has no tables: %v %v", tables, err)
	}
	arguments := []string{filepath.Join(duckdb(t), "count.mjs")}
	for _, table := range tables {
		arguments = append(arguments, filepath.Join(table, "**", "*.parquet"))
	}
	r := run(t, nil, "node", arguments...)
	if r.code != 0 {
		t.Fatalf("DuckDB cannot read the lake: %s", r.stderr)
	}
	var counts map[string]struct{ Rows, Signed int64 }
	if err := json.Unmarshal([]byte(r.stdout), &counts); err != nil {
		t.Fatal(err)
	}
	var signed int64
	for _, c := range counts {
		signed += c.Signed
	}
	if signed != want {
		t.Errorf("DuckDB counts %d events in the lake, want %d: %s", signed, want, r.stdout)
	}
}

// duckdb is the folder in which 'make' has installed DuckDB.
func duckdb(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(root, ".tools", "duckdb")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatalf("DuckDB is not installed: %v; run 'make test-end-to-end'", err)
	}
	return dir
}
