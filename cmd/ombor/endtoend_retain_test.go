//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/stream/natstest"
)

type retainedMonths struct {
	DryRun bool `json:"dry_run"`
	Months []struct {
		Contract, Month string
		Rows            uint64
	}
	Rows uint64
}

func (s *server) retain(arguments ...string) (r retainedMonths) {
	s.t.Helper()
	done := ombor(s.t, append([]string{"retain", "--data", s.data, "--format", "json"}, arguments...)...)
	if done.code != 0 {
		s.t.Fatalf("retain: exit %d: %s", done.code, done.stderr)
	}
	if err := json.Unmarshal([]byte(done.stdout), &r); err != nil {
		s.t.Fatalf("retain: %v: %s", err, done.stdout)
	}
	return r
}

// TestPartsRetention removes the facts of a contract that keeps them for two months, five months after
// they came: sums stay what they were, what only facts can tell is not kept, what came
// later is there; a correction of what is gone changes nothing, also after a kill; verify is
// clean; a changed KPI, and a rebuild, get everything back from the lake, and the next run removes it again.
func TestPartsRetention(t *testing.T) {
	const days = 24 * time.Hour
	pack := maps.Clone(crashPack)
	pack["contracts/sale.yaml"] = strings.Replace(pack["contracts/sale.yaml"], "fields:", "retention: {warehouse: 2m}\nfields:", 1)
	pack["kpis/most.yaml"] = `id: dearest-sale
title: {en: Dearest sale}
about: {en: The largest amount.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, numerator: max(amount), rollups: [[good]]}
`
	nats := natstest.Start(t)
	packDir, keys := files(t, pack), filepath.Join(t.TempDir(), "keys.json")
	door, closeDoor := earlierDoor(t, nats.URL(), keys, packDir, 150*days)
	c := newCrashed(t, "--pack", packDir, "--keys", keys, "--journal", nats.URL())
	f := newTraffic(t, c.url, setting(t, "SEED", 19))
	s := &sender{traffic: f, rng: rand.New(rand.NewPCG(f.seed, 1)), name: "till-0"}
	s.wave(door, 3)
	closeDoor()
	old := slices.Clone(f.acked)
	c.up(c.begin())
	s.wave(c.url, 1)
	c.settled(t)

	first, err := time.Parse(time.DateOnly, crashFrom)
	if err != nil {
		t.Fatal(err)
	}
	figures := func(standing map[string]map[string]bool, dearest bool) {
		t.Helper()
		for _, kind := range []string{"sale", "visit"} {
			f.figures(&c.server, kind, standing[kind])
		}
		cell := c.kpi("dearest-sale", "--from", crashFrom, "--to", first.AddDate(0, 0, crashDays).Format(time.DateOnly))[0]
		if _, told := figure(cell["value"]); told != dearest || !dearest && (cell["state"] != "not_provided" || cell["reason"] != "not_kept") {
			t.Errorf("the dearest sale is told: %t, want %t: %v", told, dearest, cell)
		}
	}
	facts := func(table string) (n uint64) {
		t.Helper()
		r := engineSQL(t, c.data, "SELECT count() FROM facts."+table, "TSV")
		if _, err := fmt.Sscan(r.stdout, &n); err != nil {
			t.Fatalf("sql: %s%s", r.stdout, r.stderr)
		}
		return n
	}
	then, sales, visits := f.standing(), facts("sale_v1"), facts("visit_v1")
	figures(then, true)
	would := c.retain("--dry-run")
	if len(would.Months) == 0 || would.Rows == 0 || would.Rows >= sales || facts("sale_v1") != sales {
		t.Fatalf("%+v, and there are %d facts of %d", would, facts("sale_v1"), sales)
	}
	if got := c.retain(); got.Rows != would.Rows || facts("sale_v1") != sales-would.Rows || facts("visit_v1") != visits {
		t.Errorf("%+v, want %+v; %d and %d facts", got, would, facts("sale_v1"), facts("visit_v1"))
	}
	if got := c.retain(); len(got.Months) != 0 {
		t.Errorf("again: %+v", got)
	}
	figures(then, false)
	c.verify(0)
	c.verify(0, "--quick")
	if r := ombor(t, "kpi", "dearest-sale", "--data", c.data); !strings.Contains(r.stdout, "not kept any longer") {
		t.Errorf("kpi: %s", r.stdout)
	}

	// What is gone can be corrected no more; what comes now is as ever.
	var late []*revision
	touched := map[string]bool{}
	for _, e := range old {
		if e.kind == "sale" && !e.changes && !touched[e.number] && len(late) < 20 {
			touched[e.number] = true
			correction := *e
			correction.rev, correction.edition, correction.amount, correction.withdrawn = 7, 7, 999, len(late)%2 == 0
			late = append(late, &correction)
		}
	}
	for _, one := range [][]*revision{late[:10], late[10:]} { // before and after a kill
		for _, e := range one {
			again := *e
			again.rev, again.edition = 8, 8
			one = append(one, &again)
		}
		if !f.post(c.url, one) {
			t.Fatal("corrections were not acknowledged")
		}
		c.settled(t)
		figures(then, false)
		c.kill(c.pids()...)
		<-c.exited
		c.up(c.begin())
		c.settled(t)
		figures(then, false)
	}
	c.verify(0)

	// A KPI that is new needs what is gone: the warehouse is made from the lake.
	pack["kpis/double.yaml"] = strings.NewReplacer("dearest-sale", "sale-double", "Dearest sale", "Double", "max(amount)", "sum(amount * 2)").Replace(pack["kpis/most.yaml"])
	c.arguments[slices.Index(c.arguments, packDir)] = files(t, pack)
	c.kill(c.pids()...)
	<-c.exited
	c.up(c.begin())
	c.settled(t)
	figures(then, true)
	var want float64
	for row := range then["sale"] {
		var number, good string
		var edition, amount int
		if _, err := fmt.Sscan(row, &number, &edition, &good, &amount); err != nil {
			t.Fatal(err)
		}
		want += 2 * float64(amount)
	}
	if got, _ := figure(c.kpi("sale-double")[0]["value"]); got != want {
		t.Errorf("the new KPI is %v, want %v", got, want)
	}
	if got := c.retain(); got.Rows != would.Rows {
		t.Errorf("after the rebuild: %+v, want %+v", got, would)
	}
	figures(then, false)
	if got, _ := figure(c.kpi("sale-double")[0]["value"]); got != want {
		t.Errorf("the new KPI is %v, want %v", got, want)
	}
	c.verify(0)
	if r := ombor(t, "rebuild", "--data", c.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	figures(then, true)
	c.verify(0)
}
