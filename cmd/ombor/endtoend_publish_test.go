//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// townPack publishes what a desk tells: a share, a count of persons, and by region. Its periods
// close when the desk says so, and not before.
var townPack = map[string]string{
	"pack.yaml": `name: town
prefix: town.
title: {en: Town}
languages: [en]
zone: Asia/Tashkent
k: 5
sources:
  desk: {title: {en: Desk}, owner: hall, closing: 3600d}
reference:
  organisations: {file: organisations.csv}
  regions: {file: regions.csv}
published: [[], [region]]
`,
	"reference/organisations.csv": "code,name_en\nhall,Hall\n",
	"reference/regions.csv":       "code,name_en\nnorth,North\nsouth,South\nwest,West\n",
	"contracts/visit.yaml": `type: town.visit.v1
title: {en: Visit}
about: One visit.
source: desk
fields:
  person: {type: person, id: phone, required: true}
  region: {type: ref, to: regions, required: true}
  granted: {type: boolean, required: true}
  asked: {type: boolean, required: true}
`,
	"kpis/kpis.yaml": townKPI("granted-share", "percent", "numerator: countIf(granted)", "denominator: countIf(asked)", "persons: person", "rollups: [[region]]") + "---\n" +
		townKPI("visitors", "count", "distinct: {of: person, grains: [month, quarter, year]}", "persons: person", "rollups: [[region]]") + "---\n" +
		townKPI("visits", "count", "numerator: count()", "rollups: [[region]]"),
}

func townKPI(id, unit string, lines ...string) string {
	return fmt.Sprintf("id: %s\ntitle: {en: %[1]s}\nabout: {en: Of visits.}\nowner: hall\nunit: %s\ndirection: up\nversions:\n  - version: 1\n    source: Statute 7\n    from: visit\n    %s\n",
		id, unit, strings.Join(lines, "\n    "))
}

// visit is an event of the town; more goes before its data.
func visit(id, more, at string, person int, region string, granted, asked bool) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"desk","type":"town.visit.v1","time":"%sT12:00:00+05:00"%s,"data":{"person":"+99890%07d","region":%q,"granted":%t,"asked":%t}}`,
		id, at, more, person, region, granted, asked)
}

// monthClosed is what the desk says at the end of a month of 2024.
func monthClosed(month int) string {
	first := time.Date(2024, time.Month(month), 1, 0, 0, 0, 0, time.UTC)
	return fmt.Sprintf(`{"specversion":"1.0","id":"closed-%d","source":"desk","type":"town.period.closed.v1","time":"2024-12-31T12:00:00+05:00","data":{"source":"desk","contract":"visit","from":%q,"to":%q}}`,
		month, first.Format(time.DateOnly), first.AddDate(0, 1, -1).Format(time.DateOnly))
}

// TestFiveStatesInTheTerminal asks the binary for a cell of each state as a table, as JSON and as
// CSV: none is turned into another on the way.
func TestFiveStatesInTheTerminal(t *testing.T) {
	s := serve(t, t.TempDir(), "--pack", files(t, townPack))
	var lines []string
	for person := range 8 {
		lines = append(lines, visit(fmt.Sprint("a", person), "", "2024-01-10", person, "north", person < 3, true),
			visit(fmt.Sprint("b", person), "", "2024-02-10", person, "north", false, true),
			visit(fmt.Sprint("c", person), "", "2024-03-10", person, "north", false, false))
	}
	lines = append(lines, visit("d", "", "2024-05-10", 1, "north", true, true)) // one person; nobody reports in April
	for person := range 6 {                                                     // hidden beside it, as the next smallest
		lines = append(lines, visit(fmt.Sprint("e", person), "", "2024-06-10", person, "north", true, true))
	}
	if a := s.post("application/x-ndjson", "", strings.NewReader(strings.Join(lines, "\n"))); a.Accepted != int64(len(lines)) {
		t.Fatalf("%+v", a)
	}
	s.settled(t)
	want := []struct{ period, state, value, shown string }{
		{"2024-01", "value", "37.5", "37.5 %"},
		{"2024-02", "zero", "0", "0.0 %"},
		{"2024-03", "not_applicable", "", "no cases"},
		{"2024-04", "not_provided", "", "no report received"},
		{"2024-05", "suppressed", "", "hidden to protect people"},
		{"2024-06", "suppressed", "", "hidden to protect people"},
	}
	ask := func(format string) string {
		r := ombor(t, "kpi", "granted-share", "--data", s.data, "--from", "2024-01-01", "--to", "2024-06-30", "--grain", "month", "--format", format)
		if r.code != 0 {
			t.Fatalf("%s: exit %d: %s", format, r.code, r.stderr)
		}
		return r.stdout
	}
	var answer struct {
		Cells []struct {
			Period, State string
			Value         json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(ask("json")), &answer); err != nil || len(answer.Cells) != len(want) {
		t.Fatalf("%v, %d cells", err, len(answer.Cells))
	}
	records, err := csv.NewReader(strings.NewReader(ask("csv"))).ReadAll()
	if err != nil || len(records) != len(want)+1 {
		t.Fatalf("%v, %d records", err, len(records))
	}
	at := func(record []string, name string) string { return record[slices.Index(records[0], name)] }
	table := strings.Split(ask("table"), "\n")
	for i, w := range want {
		c, value := answer.Cells[i], w.value
		if value == "" {
			value = "null"
		}
		if c.Period != w.period || c.State != w.state || string(c.Value) != value {
			t.Errorf("JSON tells %s of %s as %s %s, want %s %s", c.Period, w.period, c.State, c.Value, w.state, value)
		}
		if r := records[i+1]; at(r, "period") != w.period || at(r, "state") != w.state || at(r, "value") != w.value {
			t.Errorf("CSV tells %s as %q, want %s %q", w.period, r, w.state, w.value)
		}
		line := slices.IndexFunc(table, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), w.period) })
		if line < 0 || !strings.Contains(table[line], w.shown) || (w.state == "not_provided" || w.state == "suppressed") && strings.Contains(table[line], " 0 ") {
			t.Errorf("the table does not tell %s as %q:\n%s", w.period, w.shown, strings.Join(table, "\n"))
		}
	}
}

// publications is what a server has published, a line for each, and how many of its rows do not stand.
func publications(s *server) []string {
	s.t.Helper()
	const published = "SELECT kpi, version, grain, `from`, `to`, by, key, number, hidden, state, numerator, denominator, value, cases, persons, sum(_sign), count()" +
		" FROM facts.figure_published_v1 GROUP BY ALL ORDER BY ALL"
	r := engineSQL(s.t, s.data, published, "TSV")
	if r.code != 0 {
		s.t.Fatalf("published figures: %s", r.stderr)
	}
	return strings.Split(strings.TrimSpace(r.stdout), "\n")
}

// TestCrashPublishing kills the server, its engine, or both while months close, figures are
// published, and rows of closed months are corrected. In the end every place has its figures numbered
// without a gap, each another than the one before, all under one mask; the last is what stands; what had once
// been seen is still there; and a rebuilt warehouse has the same. ROUNDS and SEED are those of [TestCrash].
func TestCrashPublishing(t *testing.T) {
	rounds, seed := min(setting(t, "ROUNDS", 5), 200), setting(t, "SEED", uint64(time.Now().UnixNano())%1_000_000)
	t.Logf("SEED=%d ROUNDS=%d", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 1<<34))
	c := newCrashed(t, "--pack", files(t, townPack), "--publish-every", "50ms")
	c.up(c.begin())
	client := &http.Client{Timeout: 30 * time.Second}
	// send repeats until the door has acknowledged; ids make that harmless.
	send := func(lines ...string) {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			response, err := client.Post(c.url+"/v1/events", "application/x-ndjson", strings.NewReader(strings.Join(lines, "\n")))
			if err == nil {
				var a answer
				text, readErr := io.ReadAll(response.Body)
				response.Body.Close()
				switch {
				case readErr != nil || response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests:
				case json.Unmarshal(text, &a) != nil || response.StatusCode != http.StatusOK || len(a.Rejected) > 0:
					t.Fatalf("%s: %s", response.Status, text)
				default:
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("not acknowledged within two minutes: %v\n%s", err, tailOf(c.log.String()))
			}
		}
	}
	const months, visits = 6, 60
	regions := []string{"north", "north", "south", "south", "west"}
	for month := 1; month <= months; month++ {
		var lines []string
		for i := range visits {
			region := regions[rng.IntN(len(regions))]
			if region == "west" && rng.IntN(3) > 0 { // of few persons
				region = "south"
			}
			lines = append(lines, visit(fmt.Sprintf("v-%d-%d", month, i), "", fmt.Sprintf("2024-%02d-%02d", month, 1+i%28), rng.IntN(40), region, rng.IntN(3) > 0, true))
		}
		send(lines...)
	}
	kills, corrections := map[string]int{}, map[string]int{}
	seen := map[string]bool{}
	correct := func(months int) { // a row of a month that may have been published
		id := fmt.Sprintf("v-%d-%d", 1+rng.IntN(months), rng.IntN(visits))
		corrections[id]++
		more := fmt.Sprintf(`,"corrects":%q,"revision":%d`, id, corrections[id])
		send(visit(fmt.Sprintf("%s/%d", id, corrections[id]), more, fmt.Sprintf("2024-%02d-03", 1+rng.IntN(months)), rng.IntN(40), regions[rng.IntN(len(regions))], rng.IntN(2) == 0, true))
	}
	for round := range int(rounds) {
		if round < months {
			send(monthClosed(round + 1))
		}
		correct(min(round+1, months))
		time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond) // the moment of the kill
		switch pids := c.pids(); rng.IntN(3) {
		case 0:
			kills["engine"]++
			c.kill(pids[1:]...) // it is started again by the server
			continue
		case 1:
			kills["server"]++
			c.kill(pids[0])
		default:
			kills["all"]++
			c.kill(pids...)
		}
		<-c.exited
		c.up(c.begin())
		c.settled(t)
		for _, line := range publications(&c.server) {
			seen[line] = true
		}
	}
	for month := 1; month <= months; month++ { // what few rounds have not come to
		send(monthClosed(month))
	}
	published(t, c)
	send(visit("late", "", "2024-01-31", 7, "north", true, true)) // is counted in what has been published
	time.Sleep(time.Duration(rng.IntN(700)) * time.Millisecond)   // the moment of the last kill
	c.kill(c.pids()...)
	<-c.exited
	c.up(c.begin())
	lines := published(t, c)

	type figure struct{ number, hidden, told string }
	history := map[string][]figure{}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) != 17 || f[15] != "1" || f[16] != "1" {
			t.Fatalf("not published exactly once: %s", line)
		}
		at := strings.Join(f[:7], " ")
		history[at] = append(history[at], figure{f[7], f[8], strings.Join(f[9:14], " ")})
		delete(seen, line)
	}
	for line := range seen {
		if line != "" {
			t.Errorf("was published, and is not there any more: %s", line)
		}
	}
	masked, corrected := 0, 0
	for at, list := range history {
		for i, f := range list {
			if f.number != fmt.Sprint(i+1) {
				t.Errorf("%s: figure %d of it has the number %s", at, i+1, f.number)
			}
			if f.hidden != list[0].hidden {
				t.Errorf("%s: hidden %s, then %s", at, list[0].hidden, f.hidden)
			}
			if i > 0 {
				if corrected++; f.told == list[i-1].told {
					t.Errorf("%s: published again as it was: %s", at, f.told)
				}
			}
		}
		if list[0].hidden == "true" {
			masked++
		}
	}
	// Three KPIs, six months and two quarters, by region and as a whole, where anybody came.
	if len(history) < 3*8*3 || masked == 0 || corrected == 0 || len(kills) == 0 {
		t.Errorf("%d places are published, %d hidden, %d corrected, killed %v", len(history), masked, corrected, kills)
	}
	if r := ombor(t, "verify", "--data", c.data); r.code != 0 {
		t.Errorf("ombor verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	c.stop()
	if r := ombor(t, "rebuild", "--data", c.data, "--pack", c.arguments[slices.Index(c.arguments, "--pack")+1]); r.code != 0 {
		t.Fatalf("ombor rebuild: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	c.up(c.begin())
	if again := published(t, c); !slices.Equal(again, lines) {
		t.Errorf("rebuilt, %d figures are published, %d were:\n%s", len(again), len(lines), differing(lines, again))
	}
	t.Logf("killed %v; %d figures of %d places, %d hidden, %d corrected", kills, len(lines), len(history), masked, corrected)
}

// published waits until every closed month and quarter tells outside what stands inside, and
// nothing more is to be published; then it is what was published.
func published(t *testing.T, c *crashed) []string {
	t.Helper()
	standing := func() error {
		for _, kpi := range []string{"granted-share", "visitors", "visits"} {
			for _, grain := range []string{"month", "quarter"} {
				var inside, outside struct {
					Cells []struct {
						Period, State string
						Open          bool
						Value         *float64
						Corrected     *string
					}
				}
				path := fmt.Sprintf("/v1/kpis/%s/values?from=2024-01-01&to=2024-06-30&grain=%s", kpi, grain)
				if err := c.getJSON(path, &inside); err != nil {
					return err
				}
				if err := c.getJSON(path+"&audience=outside", &outside); err != nil {
					return err
				}
				for i, cell := range inside.Cells {
					is, err := json.Marshal(cell.Value)
					if err != nil {
						return err
					}
					told, err := json.Marshal(outside.Cells[i].Value)
					if err != nil {
						return err
					}
					if cell.Open || outside.Cells[i].Open || !bytes.Equal(is, told) || cell.State != outside.Cells[i].State {
						return fmt.Errorf("%s of %s: inside %s %s, outside %s %s (open: %t)", kpi, cell.Period, cell.State, is, outside.Cells[i].State, told, cell.Open)
					}
				}
			}
		}
		return nil
	}
	var last []string
	same := 0
	for deadline := time.Now().Add(2 * time.Minute); same < 5; time.Sleep(300 * time.Millisecond) {
		c.settled(t)
		err := standing()
		now := publications(&c.server)
		if same++; err != nil || !slices.Equal(now, last) {
			same = 0
		}
		if last = now; time.Now().After(deadline) {
			t.Fatalf("not everything is published: %v\n%s", err, tailOf(c.log.String()))
		}
	}
	return last
}

// differing are the lines that one of two lists has alone.
func differing(a, b []string) string {
	var out strings.Builder
	for _, side := range []struct {
		mark     string
		of, from []string
	}{{"-", a, b}, {"+", b, a}} {
		for _, line := range side.of {
			if !slices.Contains(side.from, line) {
				fmt.Fprintf(&out, "%s %s\n", side.mark, line)
			}
		}
	}
	return out.String()
}
