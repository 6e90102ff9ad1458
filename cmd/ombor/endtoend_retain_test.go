//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
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
	Lake []struct {
		Contract, Month string
		Rows            uint64
	}
	Files int
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

// TestPartsRetentionOfTheLake lets go of the rows of a contract in warehouse and lake: every figure stays
// what it was, while retentions are killed, when warehouse and first-seen index were lost, and where a
// backup is restored; what is sent again is known; the lake's files of the old months have ids, and
// no content; a KPI that is new tells of old days that they are not kept, and the others what they told.
func TestPartsRetentionOfTheLake(t *testing.T) {
	const days = 24 * time.Hour
	pack := maps.Clone(crashPack)
	pack["contracts/sale.yaml"] = strings.Replace(pack["contracts/sale.yaml"], "fields:", "retention: {warehouse: 2m, lake: 3m}\nfields:", 1)
	pack["kpis/numbers.yaml"] = `id: sale-numbers
title: {en: Numbers of sales}
about: {en: How many different ones.}
owner: shop
unit: count
direction: up
versions:
  - {version: 1, source: The shop, from: sale, distinct: {of: number, grains: [month, year]}}
`
	nats, dir := natstest.Start(t), t.TempDir()
	packDir, keys := files(t, pack), filepath.Join(dir, "keys.json")
	door, closeDoor := earlierDoor(t, nats.URL(), keys, packDir, 150*days)
	c := newCrashed(t, "--pack", packDir, "--keys", keys, "--journal", nats.URL())
	f := newTraffic(t, c.url, setting(t, "SEED", 23))
	s := &sender{traffic: f, rng: rand.New(rand.NewPCG(f.seed, 1)), name: "till-0"}
	s.wave(door, 3)
	closeDoor()
	old := slices.DeleteFunc(slices.Clone(f.acked), func(e *revision) bool { return e.changes }) // an older edition would be a change back
	c.up(c.begin())
	s.wave(c.url, 1)
	c.settled(t)
	then := f.standing()

	questions := map[string][]string{}
	for _, id := range []string{"sales", "sale-amount", "sale-median", "visits", "visit-amount", "visit-median"} {
		questions[id] = []string{"--by", "good"}
		questions[id+" monthly"] = []string{"--grain", "month"}
	}
	questions["sale-numbers monthly"] = []string{"--grain", "month"}
	questions["sale-numbers yearly"] = []string{"--grain", "year"}
	told := func() map[string]string {
		t.Helper()
		all := map[string]string{}
		for question, arguments := range questions {
			id, _, _ := strings.Cut(question, " ")
			cells := c.kpi(id, arguments...)
			if len(cells) == 0 {
				t.Fatalf("%s: no cells", question)
			}
			text, err := json.Marshal(cells)
			if err != nil {
				t.Fatal(err)
			}
			all[question] = string(text)
		}
		return all
	}
	before := told()
	same := func(what string) {
		t.Helper()
		sameFigures(t, what, told(), before)
		for _, kind := range []string{"sale", "visit"} {
			f.figures(&c.server, kind, then[kind])
		}
		c.verify(0)
	}
	restart := func() {
		t.Helper()
		c.kill(c.pids()...)
		<-c.exited
		c.up(c.begin())
		c.settled(t)
	}
	if would := c.retain("--dry-run"); len(would.Months) == 0 || len(would.Lake) != len(would.Months) || would.Files == 0 {
		t.Fatalf("%+v", would)
	}
	for _, after := range []time.Duration{30, 300} { // whatever it has done by then
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			ombor(t, "retain", "--data", c.data)
		}()
		time.Sleep(after * time.Millisecond)
		c.kill(c.pids()...)
		<-c.exited
		<-ended
		c.up(c.begin())
		c.settled(t)
		same("a retention was killed")
	}
	c.retain()
	if again := c.retain(); len(again.Months)+len(again.Lake)+again.Files != 0 {
		t.Fatalf("%+v", again)
	}
	same("retained")
	c.compact("--grace", "0s")

	lake := filepath.Join(c.data, "lake")
	columns := func(table string) map[string]string {
		t.Helper()
		pattern := filepath.Join(lake, table, "**", "*.parquet")
		r := run(t, nil, "node", filepath.Join(duckdb(t), "count.mjs"), pattern)
		var read map[string]struct {
			Rows    int
			Columns map[string]string
		}
		if err := json.Unmarshal([]byte(r.stdout), &read); r.code != 0 || err != nil || read[pattern].Rows == 0 {
			t.Fatalf("DuckDB: %v: %s%s", err, r.stdout, r.stderr)
		}
		return read[pattern].Columns
	}
	if got := slices.Sorted(maps.Keys(columns("_retired/sale_v1"))); !slices.Equal(got, []string{"_batch", "_cut", "_digest", "_id", "_rev", "_seq", "_sign", "_withdrawn", "cut"}) {
		t.Errorf("the lake keeps %v", got)
	}
	if columns("sale_v1")["amount"] == "" || columns("visit_v1")["amount"] == "" {
		t.Error("rows that are kept have no content")
	}
	month := time.Now().Add(-days).Format("2006-01") // the newest wave's, whatever the hour
	if left, err := filepath.Glob(filepath.Join(lake, "sale_v1", "*", "*.parquet")); err != nil || slices.ContainsFunc(left, func(name string) bool { return filepath.Base(filepath.Dir(name)) < "cut="+month }) {
		t.Errorf("%v: the lake still has %v", err, left)
	}

	// Warehouse and first-seen index are lost; what comes again is known.
	c.kill(c.pids()...)
	<-c.exited
	for _, part := range []string{"engine", "loader/index"} {
		if err := os.RemoveAll(filepath.Join(c.data, part)); err != nil {
			t.Fatal(err)
		}
	}
	c.up(c.begin())
	c.settled(t)
	same("made from the lake")
	for events := range slices.Chunk(old, 400) {
		if !f.post(c.url, events) {
			t.Fatal("old events were not acknowledged")
		}
	}
	c.settled(t)
	same("sent again")
	if r := ombor(t, "rebuild", "--data", c.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	same("rebuilt")

	// A backup has what the lake keeps.
	identity, recipient := operatorKey(t, dir)
	place, restored := filepath.Join(dir, "backup"), filepath.Join(dir, "restored")
	c.backup(place, "--recipient", recipient)
	other := natstest.Start(t)
	if r := ombor(t, "restore", place, "--data", restored, "--identity", identity, "--pack", packDir, "--journal", other.URL()); r.code != 0 || !strings.Contains(r.stdout, "they agree") {
		t.Fatalf("restore: %s%s", r.stdout, r.stderr)
	}
	elsewhere := newCrashed(t, "--pack", packDir, "--journal", other.URL())
	elsewhere.arguments[slices.Index(elsewhere.arguments, elsewhere.data)] = restored
	elsewhere.data = restored
	folders.Store(strings.TrimPrefix(elsewhere.url, "http://"), restored)
	first := c
	c = elsewhere
	c.up(c.begin())
	c.settled(t)
	same("restored")
	c = first

	pack["kpis/double.yaml"] = strings.NewReplacer("sale-numbers", "sale-double", "distinct: {of: number, grains: [month, year]}", "numerator: sum(amount * 2), rollups: [[good]]").Replace(pack["kpis/numbers.yaml"])
	c.arguments[slices.Index(c.arguments, packDir)] = files(t, pack)
	restart()
	same("with another KPI")
	for _, cell := range c.kpi("sale-double", "--grain", "month") {
		if _, known := figure(cell["value"]); known || cell["reason"] != "not_kept" {
			t.Errorf("a KPI that came later tells %v", cell)
		}
	}
}
