//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ombor/internal/objects/miniotest"
)

// TestPartsErasure erases one buyer of twelve while the server runs, and is killed in the
// middle of it at several moments: ended, every figure stands, warehouse and lake agree, the
// buyer's pseudonym is in no fact, file or rollup, and their events still belong together.
func TestPartsErasure(t *testing.T) {
	minio := miniotest.Start(t)
	s3 := newS3Proxy(t, minio.Endpoint())
	c := newCrashed(t, "--pack", files(t, stallOfBuyers()), "--lake", "s3://"+miniotest.Bucket+"/lake?endpoint="+s3.URL)
	c.up(c.begin())
	buyers := twelveBuyers()
	for plan := range 3 {
		var lines []string
		for i := range 36 {
			lines = append(lines, strings.Replace(sale(fmt.Sprintf("s-%d-%d", plan, i), "bread", 1+i), buyer, buyers[i%len(buyers)], 1))
		}
		correction := strings.Replace(lines[0], `"source"`, fmt.Sprintf(`"corrects":"s-%d-0","revision":1,"source"`, plan), 1)
		lines = append(lines, strings.Replace(strings.Replace(correction, fmt.Sprintf("s-%d-0", plan), fmt.Sprintf("s-%d-0/1", plan), 1), `"amount":1,`, `"amount":50,`, 1))
		if sold := c.sell(lines...); sold.Accepted != len(lines) {
			t.Fatalf("%+v", sold)
		}
		c.settled(t)
	}
	ask := func(statement string) []string {
		t.Helper()
		r := engineSQL(t, c.data, statement, "TSV")
		if r.code != 0 {
			t.Fatal(r.stderr)
		}
		return linesOf(r.stdout)
	}
	const groups = "SELECT count(), sum(_sign), sum(amount * _sign), groupArray(_seq) FROM (SELECT * FROM facts.sale_v1 ORDER BY _seq, _sign) GROUP BY buyer ORDER BY groupArray(_seq)"
	figures := func() string {
		t.Helper()
		text, err := json.Marshal(c.stallFigures())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before, told := ask(groups), figures()
	names := ask("SELECT DISTINCT toString(buyer) FROM facts.sale_v1")
	if len(before) != 12 || len(names) != 12 || !strings.Contains(told, `"value":12`) {
		t.Fatalf("%q %q %s", before, names, told)
	}

	erase := func(kind string, arguments ...string) result {
		return run(t, []byte(buyers[0]+"\n"), binary, append([]string{"erase", "--data", c.data, "--format", "json"}, append([]string{"--kind", kind}, arguments...)...)...)
	}
	if r := erase("phone"); r.code != 2 || !strings.Contains(r.stderr, "no contract") {
		t.Errorf("another kind: exit %d: %s", r.code, r.stderr)
	}
	if r := run(t, []byte("12\n"), binary, "erase", "--data", c.data, "--kind", "pinfl"); r.code != 2 || !strings.Contains(r.stderr, "14 digits") {
		t.Errorf("no identifier: exit %d: %s", r.code, r.stderr)
	}
	killed := s3.kill(2, true, func() { c.kill(c.pids()...) })
	if r := erase("pinfl"); r.code != 1 || !killed() {
		t.Errorf("killed: exit %d: %s", r.code, r.stderr)
	}
	<-c.exited
	c.up(c.begin())
	if list, err := problemsOf(&c.server); err != nil || !strings.Contains(list, "ombor erase --resume") {
		t.Errorf("status says %q, %v", list, err)
	}
	killed = s3.kill(5, false, func() { c.kill(c.pids()...) })
	resume := func() result { return ombor(t, "erase", "--data", c.data, "--resume", "--format", "json") }
	if r := resume(); r.code != 1 || !killed() {
		t.Errorf("killed again: exit %d: %s", r.code, r.stderr)
	}
	<-c.exited
	c.up(c.begin())
	r := resume()
	var done struct{ Contracts, Facts, Files, Rows int }
	if err := json.Unmarshal([]byte(r.stdout), &done); err != nil || done.Contracts != 1 || done.Facts != 15 {
		t.Errorf("%+v, %v: exit %d: %s", done, err, r.code, r.stderr)
	}
	if r := resume(); r.code != 1 {
		t.Errorf("nothing to end: exit %d: %s", r.code, r.stderr)
	}

	if after := ask(groups); !slices.Equal(after, before) {
		t.Errorf("the events of each buyer are\n%q, were\n%q", after, before)
	}
	if now := figures(); now != told {
		t.Errorf("figures are\n%s, were\n%s", now, told)
	}
	now := ask("SELECT DISTINCT toString(buyer) FROM facts.sale_v1")
	var gone string
	for _, name := range names {
		if !slices.Contains(now, name) {
			gone += name
		}
	}
	if len(gone) != 36 {
		t.Fatalf("pseudonyms were %q, are %q", names, now)
	}
	lake := t.TempDir()
	download(t, minio.URL("lake"), lake)
	found := duckRows(t, "SELECT count(*), count(*) FILTER (buyer::VARCHAR = '"+gone+"'), count(DISTINCT buyer) FROM read_parquet('"+lake+"/sale_v1/**/*.parquet')")
	if len(found) != 1 || !strings.HasSuffix(found[0], "\t0\t12") {
		t.Errorf("the lake has %q", found)
	}
	c.verify(0)
	if r := ombor(t, "rebuild", "--data", c.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if after := ask(groups); !slices.Equal(after, before) || figures() != told {
		t.Errorf("rebuilt: the events of each buyer are\n%q, were\n%q", after, before)
	}
	if _, err := os.Stat(filepath.Join(c.data, "erasing.json")); err == nil {
		t.Error("the note of the erasure is still there")
	}
	if strings.Contains(c.log.String(), buyers[0]) || strings.Contains(c.log.String(), gone) || !strings.Contains(c.log.String(), "audit: erase: done") {
		t.Errorf("the log says %s", tailOf(c.log.String()))
	}
	response, err := http.Get(c.url + "/readyz")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v %v", response, err)
	}
}

// stallOfBuyers is a stall that counts its buyers, and what was sold to them.
func stallOfBuyers() map[string]string {
	shop := stall("bread")
	shop["kpis/buyers.yaml"] = `id: buyers
title: {en: Buyers}
about: {en: How many bought.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, distinct: {of: buyer, grains: [month]}, persons: buyer}
---
id: bought
title: {en: Sales to buyers}
about: {en: What was sold.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, numerator: sum(amount), persons: buyer, rollups: [[good]]}
`
	return shop
}

// twelveBuyers are as many as a cell must have to be shown.
func twelveBuyers() []string {
	var buyers []string
	for n := range 12 {
		buyers = append(buyers, fmt.Sprintf("301019000000%02d", n))
	}
	return buyers
}

// stallFigures are those of [stallOfBuyers] in May, without the times of the answers.
func (c *crashed) stallFigures() (all []any) {
	c.t.Helper()
	for _, question := range []string{"buyers/values?grain=month", "bought/values?by=good"} {
		var v any
		if err := c.getJSON("/v1/kpis/"+question+"&from=2024-05-01&to=2024-05-31", &v); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, timeless(v))
	}
	return all
}
