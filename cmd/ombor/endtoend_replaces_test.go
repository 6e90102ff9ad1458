//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A country of one shop: every file has all sales of its days.
var shop = map[string]string{
	"pack.yaml": `name: shop
prefix: shop.
title: {en: Shop}
languages: [en]
zone: Asia/Tashkent
sources:
  till: {title: {en: Till}, owner: shop}
  web: {title: {en: Web}, owner: shop}
reference:
  organisations: {file: organisations.csv}
`,
	"reference/organisations.csv": "code,name_en\nshop,Shop\n",
	"contracts/sale.yaml": `type: shop.sale.v1
title: {en: Sale}
about: One sale.
source: till
fields:
  good: {type: code, required: true, class: open}
  amount: {type: integer, required: true, class: open}
`,
	"kpis/sales.yaml": `id: sales
title: {en: Sales}
about: {en: What was sold.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, numerator: sum(amount), rollups: [[good]]}
---
id: count
title: {en: Number of sales}
about: {en: How many sales there were.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, numerator: count(), rollups: [[good]]}
`,
	"mappings/till.yaml": `for: shop.sale.v1
files: ["till*.csv"]
id: number
time: {column: at, format: "2006-01-02 15:04"}
fields: {good: good, amount: amount}
on_change: correct
replaces: {source, day}
`,
	"mappings/web.yaml": `for: shop.sale.v1
source: web
files: ["web*.csv"]
id: number
time: {column: at, format: "2006-01-02 15:04"}
fields: {good: good, amount: amount}
on_change: correct
replaces: {source, day}
`,
}

// files writes files into a folder of the test's own, and returns it.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// goods are what both KPIs say of every good of a day: "bread 5 of 1, tea 3 of 1".
func goods(s *server, day string) string {
	s.t.Helper()
	counts := byKey(s.kpi("count", "--by", "good", "--from", day, "--to", day), "good")
	var all []string
	for good, c := range byKey(s.kpi("sales", "--by", "good", "--from", day, "--to", day), "good") {
		amount, _ := figure(c["value"])
		if n, _ := figure(counts[good]["value"]); n != 0 || amount != 0 {
			all = append(all, fmt.Sprintf("%s %v of %v", good, amount, n))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func TestReplaces(t *testing.T) {
	const header, one, two = "number,at,good,amount\n", "2024-05-01", "2024-05-02"
	// Just after midnight in Tashkent, when it is still the day before in UTC.
	csv := func(rows ...string) string {
		text := header
		for _, row := range rows {
			cells := strings.Fields(row) // number, day, good, amount
			text += fmt.Sprintf("%s,%s 00:10,%s,%s\n", cells[0], cells[1], cells[2], cells[3])
		}
		return text
	}
	var fish []string // more than one request holds
	for i := range 20_001 {
		fish = append(fish, fmt.Sprintf("F%d %s fish 1", i, one))
	}
	second := csv("A "+one+" bread 5", "C "+one+" tea 3", "D "+one+" milk 4")
	dir := files(t, map[string]string{
		"till-1.csv":     csv("A "+one+" bread 1", "B "+one+" salt 2", "C "+one+" tea 3"),
		"till-day2.csv":  csv("X "+two+" bread 10", "Y "+two+" tea 20"),
		"web.csv":        csv("A "+one+" rice 100", "B "+one+" rice 200"),
		"till-2.csv":     second,
		"till-bad.csv":   csv("A "+one+" bread 6", "C "+one+" tea many"),
		"till-cut.csv":   second + "\"", // its last quote is never closed
		"till-move.csv":  csv("C "+one+" tea 3", "A "+two+" bread 5", "X "+two+" bread 10", "Y "+two+" tea 20"),
		"till-empty.csv": header,
		"till-one.csv":   csv("F " + one + " fish 1"),
		"till-many.csv":  csv(fish...),
	})
	file := func(name string) string { return filepath.Join(dir, name) }
	s := serve(t, t.TempDir(), "--pack", files(t, shop))
	load := func(code int, want loaded, names ...string) result {
		t.Helper()
		var paths []string
		for _, name := range names {
			paths = append(paths, file(name))
		}
		got, r := s.load(paths...)
		if got != want || r.code != code {
			t.Errorf("load %v: exit %d, %+v; want %d, %+v\n%s", names, r.code, got, code, want, r.stderr)
		}
		return r
	}
	days := func(when, first, second string) {
		t.Helper()
		if got := goods(s, one); got != first {
			t.Errorf("%s: the first day has %q, want %q", when, got, first)
		}
		if got := goods(s, two); got != second {
			t.Errorf("%s: the second day has %q, want %q", when, got, second)
		}
	}
	const other = "bread 10 of 1, tea 20 of 1"
	load(0, loaded{Accepted: 7}, "till-1.csv", "till-day2.csv", "web.csv")
	days("first", "bread 1 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)

	// A load of which a row is refused, one whose file is damaged, and one that is killed
	// withdraw nothing.
	r := load(3, loaded{Accepted: 1, Rejected: 1}, "till-bad.csv")
	mustContain(t, "a load with a refused row", r.stderr, "1 rows of shop.sale.v1 from till were not taken, so what is gone from its days is not withdrawn")
	days("a row was refused", "bread 6 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)
	load(3, loaded{Accepted: 2, Duplicate: 1, Rejected: 1}, "till-cut.csv")
	days("a damaged file", "bread 5 of 1, milk 4 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)
	s.killLoad(file("till-one.csv"), "/v1/deliveries", 1)
	days("killed before the closing", "bread 5 of 1, fish 1 of 1, milk 4 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)
	s.killLoad(file("till-many.csv"), "/v1/events", 2)
	days("killed in the middle", "bread 5 of 1, fish 20001 of 20001, milk 4 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)

	load(0, loaded{Duplicate: 3, Withdrawn: 20_002}, "till-2.csv") // B, and what the killed loads brought
	const after = "bread 5 of 1, milk 4 of 1, rice 300 of 2, tea 3 of 1"
	days("second", after, other)
	load(0, loaded{Duplicate: 3}, "till-2.csv")
	days("second again", after, other)

	// The first file again: B is back, D is gone; and the second again.
	load(0, loaded{Accepted: 2, Duplicate: 1, Withdrawn: 1}, "till-1.csv")
	days("first again", "bread 1 of 1, rice 300 of 2, salt 2 of 1, tea 3 of 1", other)
	load(0, loaded{Accepted: 2, Duplicate: 1, Withdrawn: 1}, "till-2.csv")
	days("second once more", after, other)

	// A moves to the second day, which corrects it; D is gone.
	load(0, loaded{Accepted: 1, Duplicate: 3, Withdrawn: 1}, "till-move.csv")
	days("moved", "rice 300 of 2, tea 3 of 1", "bread 15 of 2, tea 20 of 1")
	load(0, loaded{}, "till-empty.csv")
	days("a file without rows", "rice 300 of 2, tea 3 of 1", "bread 15 of 2, tea 20 of 1")
	readLake(t, s, 6)

	// The receipts are needed, and checked.
	response, err := http.Post(s.url+"/v1/deliveries", "application/json", strings.NewReader(`{"type":"shop.sale.v1","source":"till","days":["2024-05-01"],"receipts":["AQ"]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var p struct{ Detail string }
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil || response.StatusCode != http.StatusBadRequest {
		t.Errorf("a receipt of nobody: %s %v", response.Status, err)
	}
	mustContain(t, "the refusal", p.Detail, "was not given by this server")
}

// killLoad loads a file through a proxy that kills the load when its nth request for
// a path comes, which never arrives. What arrived before is waited for.
func (s *server) killLoad(file, path string, nth int) {
	s.t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	var command *exec.Cmd
	started, met, last := make(chan struct{}), 0, ""
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/v1/events" {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var answer struct{ Receipt string }
		err = errors.Join(err, json.Unmarshal(body, &answer))
		last = answer.Receipt
		return err
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			if met++; met == nth { // the load sends one request after the other
				<-started
				if err := command.Process.Kill(); err != nil {
					s.t.Error(err)
				}
				return
			}
		}
		forward.ServeHTTP(w, r)
	}))
	command = exec.Command(binary, "load", "--data", s.data, "--url", proxy.URL, file)
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	close(started)
	_ = command.Wait() // killed
	proxy.Close()
	if command.ProcessState.Success() || met != nth || last == "" {
		s.t.Fatalf("the load was not killed at request %d for %s: %s, %d requests", nth, path, command.ProcessState, met)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(s.url + "/v1/receipts/" + last)
		if err != nil {
			s.t.Fatal(err)
		}
		var receipt struct{ Loaded bool }
		err = json.NewDecoder(response.Body).Decode(&receipt)
		response.Body.Close()
		if err != nil || time.Now().After(deadline) {
			s.t.Fatalf("what the killed load sent is not loaded: %v", err)
		}
		if receipt.Loaded {
			return
		}
	}
}
