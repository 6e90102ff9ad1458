//go:build endtoend

package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDemo runs what 'make run' runs, smaller: the simulated year is loaded, the
// KPIs are printed and say that they are simulated, the published figures come out,
// and the page works in a real browser.
func TestDemo(t *testing.T) {
	address := freeAddress(t)
	s := &server{t: t, data: t.TempDir(), url: "http://" + address, exited: make(chan struct{})}
	folders.Store(address, s.data)
	s.start(root, "demo", "--data", s.data, "--listen", address, "--scale", "0.01")
	deadline := time.Now().Add(20 * time.Minute) // much, on a machine that others share
	for {
		if _, err := os.Stat(filepath.Join(s.data, "demo.txt")); err == nil {
			break
		}
		select {
		case <-s.exited:
			t.Fatalf("demo ended: %s", s.log.String())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("demo is not loaded after twenty minutes")
		}
	}
	year := []string{"--from", "2024-01-01", "--to", "2024-12-31"}
	for id, want := range map[string]struct{ numerator, denominator float64 }{
		"certificate-requests":     {83_000, 0},
		"certificate-online-share": {61_420, 83_000}, // 74.0 %, as published for the whole nation
		"service-count":            {683, 0},
	} {
		cells := s.kpi(id, year...)
		if len(cells) != 1 {
			t.Errorf("%s: %d cells, want one for the whole period", id, len(cells))
			continue
		}
		numerator, _ := figure(cells[0]["numerator"])
		denominator, _ := figure(cells[0]["denominator"])
		if numerator != want.numerator || denominator != want.denominator {
			t.Errorf("%s: %v ÷ %v, want %v ÷ %v", id, numerator, denominator, want.numerator, want.denominator)
		}
		if cells[0]["simulated"] != true {
			t.Errorf("%s does not say that it is simulated", id)
		}
	}
	r := ombor(t, append([]string{"kpi", "online-processing-share", "--by", "region", "--data", s.data}, year...)...)
	mustContain(t, "kpi", r.stdout, "SIMULATED", "Andijan", "█", "The simulation is at 1 % of full scale")

	r = ombor(t, append([]string{"kpi", "online-processing-share", "--by", "region", "--by", "processing", "--where", "region=1703", "--where", "region=1726", "--format", "csv", "--data", s.data}, year...)...)
	if lines := strings.Count(strings.TrimSpace(r.stdout), "\n"); r.code != 0 || lines != 6 {
		t.Errorf("two dimensions, two regions: exit %d and %d rows, want 2 regions by 3 ways of processing\n%s%s", r.code, lines, r.stdout, r.stderr)
	}

	// How the published figures stand: the catalogue is not scaled, so these are the nation's.
	r = ombor(t, append([]string{"scorecard", "--data", s.data}, year...)...)
	mustContain(t, "scorecard", r.stdout, "SIMULATED", "17 services short of 700", "missed", "111 services short of 75 %", "164 services short of 65 %", "9 services short of 20", "Ministry of Digital Technologies")
	r = ombor(t, "targets", "--data", s.data, "--on", "2024-12-31")
	mustContain(t, "targets", r.stdout, "about 74.0 %", "borne out", "yes or no", "not stated", "not to be told by a simulation at this scale")
	r = ombor(t, "kpi", "mobile-availability", "--data", s.data) // without a period: on the scorecard's day
	mustContain(t, "kpi without a period", r.stdout, "2024-12-31", "402", "target 75: not reached")
	r = ombor(t, "kpi", "mobile-availability", "--gap", "--limit", "3", "--data", s.data, "--to", "2024-12-31")
	mustContain(t, "gap", r.stdout, "111 services short of 75 %", "requests", "3 of 281")
	r = ombor(t, "changes", "--since", time.Now().Format("2006-01-02"), "--data", s.data)
	mustContain(t, "changes", r.stdout, "service-count", "no report received", "683")

	// What the command prints, for the page and the API to be held against.
	told := map[string]float64{}
	for _, id := range []string{"online-processing-share", "certificate-requests", "certificate-online-share", "service-count", "on-time-share", "project-count"} {
		cells := s.kpi(id, year...)
		value, known := figure(cells[0]["value"])
		if !known {
			t.Fatalf("%s has no value: %v", id, cells)
		}
		told[id] = value
	}
	figures := filepath.Join(t.TempDir(), "figures.json")
	text, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(figures, text, 0o600); err != nil {
		t.Fatal(err)
	}
	browser := run(t, nil, "npm", "--prefix", filepath.Join(root, "dashboards-api", "web"), "run", "--silent", "test:browser", "--", "--url", s.url, "--token", s.token(), "--figures", figures)
	t.Log(browser.stdout)
	if browser.code != 0 {
		t.Errorf("the page in Chromium: exit %d: %s", browser.code, browser.stderr)
	}
	if !strings.Contains(browser.stdout, "passed") {
		t.Errorf("the browser test counts nothing: %s", browser.stdout)
	}
	if response, err := http.Get(s.url + "/v1/scorecard"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("after the browser the scorecard answers %v %v", response, err)
	}
}
