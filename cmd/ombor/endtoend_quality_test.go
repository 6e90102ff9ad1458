//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

type finding struct {
	Source, Type, Rule, Severity, Period, Field, Owner, Since string
	Count                                                     int64
	Words                                                     map[string]string
	Examples                                                  []string
}

func (s *server) findings(arguments ...string) []finding {
	s.t.Helper()
	r := ombor(s.t, append([]string{"quality", "findings", "--data", s.data, "--format", "json"}, arguments...)...)
	if r.code != 0 {
		s.t.Fatalf("ombor quality findings: exit %d: %s", r.code, r.stderr)
	}
	var answer struct{ Findings []finding }
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer.Findings
}

// TestImpossibleCells finds the cells of the United Kingdom's publication that have more
// digital transactions than transactions: all that an independent script finds, with their
// service and numbers, and no others.
func TestImpossibleCells(t *testing.T) {
	file := shared(t, "uk_transactions/transaction-volumes.csv")
	computed := run(t, nil, "node", filepath.Join(root, "internal", "pack", "testdata", "expected.mjs"), filepath.Dir(filepath.Dir(file)), "uk")
	if computed.code != 0 {
		t.Fatal(computed.stderr)
	}
	var all struct {
		UK struct {
			Impossible []struct{ Period, Department, Agency, Service, Volume, Digital string }
		}
	}
	if err := json.Unmarshal([]byte(computed.stdout), &all); err != nil {
		t.Fatal(err)
	}
	var want []string
	windows := map[string]int64{}
	for _, c := range all.UK.Impossible {
		period := strings.ReplaceAll(c.Period, "..", "/")
		windows[period]++
		want = append(want, fmt.Sprintf("%s: department=%s, agency=%s, service=%s, volume=%s, digital_volume=%s", period, c.Department, c.Agency, c.Service, c.Volume, c.Digital))
	}
	if len(want) != 6 { // PROVENANCE.md says so
		t.Fatalf("the script finds %d cells", len(want))
	}
	s := serve(t, t.TempDir(), "--pack", filepath.Join("internal", "pack", "testdata", "uk"))
	s.load(file)
	check := func() {
		t.Helper()
		var got []string
		counted := map[string]int64{}
		for _, f := range s.findings() {
			if f.Rule != "digital-within-volume" {
				// Windows end every three months, but for none in June and September 2012.
				if f.Rule != "missing-period" || f.Period != "2012-06-01/2012-11-30" || f.Count != 2 {
					t.Errorf("another finding: %+v", f)
				}
				continue
			}
			counted[f.Period] += f.Count
			for _, e := range f.Examples {
				got = append(got, f.Period+": "+e)
			}
			if f.Owner != "government-digital-service" || f.Field != "digital_volume,volume" || f.Words["uz"] == "" || f.Words["ru"] == "" || !strings.Contains(f.Words["en"], "digital_volume <= volume") {
				t.Errorf("%+v", f)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if fmt.Sprint(counted) != fmt.Sprint(windows) {
			t.Errorf("counted %v, want %v", counted, windows)
		}
	}
	check()
	s.load(file) // again: no finding may move
	check()
	if got := s.findings("--rule", "volume"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for _, bad := range [][]string{{"--rule", "nothing"}, {"--source", "nobody"}, {"--type", "uk.gov.nothing.v1"}, {"--from", "2014-02-30"}, {"--from", "2014-02-02", "--to", "2014-02-01"}} {
		if r := ombor(t, append([]string{"quality", "findings", "--data", s.data}, bad...)...); r.code == 0 {
			t.Errorf("%v is taken: %s", bad, r.stdout)
		}
	}
	// What was refused at the door is a finding of its sender, from the day on.
	began := time.Now().Add(-26 * time.Hour).Format(time.DateOnly) // whatever the zones
	if a := s.post("application/x-ndjson", "", strings.NewReader(`{"specversion":"1.0","id":"refused","source":"publication","type":"uk.gov.transactions.reported.v1","time":"2014-01-01T00:00:00Z","data":{}}`+"\n")); len(a.Rejected) != 1 {
		t.Fatalf("an event without its fields is taken: %s", a.raw)
	}
	if got := s.findings("--rule", "rejected"); len(got) != 1 || got[0].Count != 1 || got[0].Severity != "warning" || got[0].Since == "" || got[0].Since < began {
		t.Errorf("refused at the door: %+v", got)
	}
	if table := ombor(t, "quality", "findings", "--data", s.data, "--language", "ru"); table.code != 0 || !strings.Contains(table.stdout, "government-digital-service") || !strings.Contains(table.stdout, "нарушающих правило") {
		t.Errorf("%d %s %s", table.code, table.stdout, table.stderr)
	}
}
