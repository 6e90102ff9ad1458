//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ombor/internal/stream"
)

// A country of two kinds of events, both with the same fields: number and edition tell
// which event a row came from and which of its contents it has, so that warehouse and
// lake can be compared with what was sent without knowing any key.
var crashPack = map[string]string{
	"pack.yaml": `name: crash
prefix: crash.
title: {en: Crash}
languages: [en]
zone: Asia/Tashkent
sources:
  till-0: {title: {en: Till}, owner: shop}
reference:
  organisations: {file: organisations.csv}
`,
	"reference/organisations.csv": "code,name_en\nshop,Shop\n",
	"contracts/sale.yaml":         crashContract("sale"),
	"contracts/visit.yaml":        crashContract("visit"),
	"kpis/kpis.yaml":              crashKPI("sale") + "---\n" + crashKPI("visit"),
}

func crashContract(name string) string {
	return fmt.Sprintf(`type: crash.%s.v1
title: {en: %s}
about: One %s.
source: till-0
fields:
  number: {type: text, required: true, class: open}
  edition: {type: integer, required: true, class: open}
  good: {type: code, required: true, class: open}
  amount: {type: integer, required: true, class: open}
rules:
  - {id: affordable, check: amount <= 5000, severity: quarantine}
`, name, name, name)
}

func crashKPI(name string) string {
	const head = `
owner: shop
unit: count
direction: up
versions:
`
	return fmt.Sprintf("id: %[1]ss\ntitle: {en: Number of %[1]ss}\nabout: {en: How many there were.}"+head+
		"  - {version: 1, source: The shop, from: %[1]s, numerator: count(), rollups: [[good]]}\n---\n"+
		"id: %[1]s-amount\ntitle: {en: Amount of %[1]ss}\nabout: {en: What was sold.}"+head+
		"  - {version: 1, source: The shop, from: %[1]s, numerator: sum(amount), rollups: [[good]]}\n---\n"+
		"id: %[1]s-median\ntitle: {en: Median of %[1]ss}\nabout: {en: The middle amount.}"+head+
		"  - {version: 1, source: The shop, from: %[1]s, distribution: {of: amount, quantiles: [0.5]}, rollups: [[good]]}\n", name)
}

const crashFrom, crashDays = "2024-05-01", 20

// revision is one event as it is sent: the root (0), the nth correction or the
// withdrawal of the event that number names, or, of a kind that changes, its nth
// edition under one id.
type revision struct {
	kind, source, number string
	day, rev, edition    int
	amount               int
	withdrawn, changes   bool
	conflict             bool // other content under an id and revision that are known
}

func (r *revision) good() string { return fmt.Sprint("good", r.amount%5) }

// event is the CloudEvent. The same revision is the same bytes.
func (r *revision) event() string {
	id, extra := r.number, ""
	data := fmt.Sprintf(`"number":%q,"edition":%d,"good":%q,"amount":%d`, r.number, r.edition, r.good(), r.amount)
	switch {
	case r.changes:
		extra = `,"onchange":"correct"`
	case r.rev > 0:
		id = fmt.Sprintf("%s/%d", r.number, r.rev)
		extra = fmt.Sprintf(`,"corrects":%q,"revision":%d`, r.number, r.rev)
	}
	if r.withdrawn {
		extra, data = extra+`,"withdrawn":true`, ""
	}
	day, _ := time.Parse(time.DateOnly, crashFrom) // a constant
	at := day.AddDate(0, 0, r.day).Format(time.DateOnly)
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"crash.%s.v1","time":"%sT12:00:00+05:00"%s,"data":{%s}}`, id, r.source, r.kind, at, extra, data)
}

// key tells one accepted revision from another.
func (r *revision) key() string { return fmt.Sprintf("%s|%d", r.number, r.rev) }

// receiptSent is one acknowledged request.
type receiptSent struct {
	receipt           string
	events, conflicts int
}

// traffic sends events as several agencies would, remembers what was acknowledged and
// sends again what was not, in another order.
type traffic struct {
	t      *testing.T
	url    string
	others []string // other doors of the same journal
	client *http.Client
	seed   uint64

	refused, failed, answered atomic.Int64 // requests: 429 or 503; no answer; 200

	mu        sync.Mutex
	acked     []*revision // not those that change
	known     map[string]bool
	top       map[string]*revision // the highest acknowledged revision of each number
	conflicts map[string]bool      // events; true: acknowledged
	receipts  []receiptSent
	revisions int // acknowledged, different
}

func newTraffic(t *testing.T, url string, seed uint64) *traffic {
	return &traffic{t: t, url: url, seed: seed, client: &http.Client{Timeout: 30 * time.Second},
		known: map[string]bool{}, top: map[string]*revision{}, conflicts: map[string]bool{}}
}

// post sends one request to a door: true when it was acknowledged.
func (f *traffic) post(door string, events []*revision) bool {
	var body bytes.Buffer
	conflicts := 0
	for _, e := range events {
		body.WriteString(e.event())
		body.WriteByte('\n')
		if e.conflict {
			conflicts++
			f.mu.Lock()
			f.conflicts[e.event()] = f.conflicts[e.event()]
			f.mu.Unlock()
		}
	}
	response, err := f.client.Post(door+"/v1/events", "application/x-ndjson", &body)
	if err != nil {
		f.failed.Add(1)
		return false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		f.failed.Add(1)
		return false
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		f.refused.Add(1)
		if response.Header.Get("Retry-After") == "" {
			f.t.Errorf("%d without Retry-After: %s", response.StatusCode, text)
		}
		return false
	default:
		f.t.Errorf("the door answers %d: %s", response.StatusCode, text)
		return false
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil || a.Accepted != int64(len(events)) || len(a.Rejected) > 0 || a.Receipt == "" {
		f.t.Errorf("of %d events: %s (%v)", len(events), text, err)
		return false
	}
	f.answered.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receipts = append(f.receipts, receiptSent{a.Receipt, len(events), conflicts})
	for _, e := range events {
		if e.conflict {
			f.conflicts[e.event()] = true
			continue
		}
		if f.known[e.key()] {
			continue
		}
		f.known[e.key()] = true
		f.revisions++
		f.acked = append(f.acked, e)
		if t := f.top[e.number]; t == nil || e.rev > t.rev {
			f.top[e.number] = e
		}
	}
	return true
}

// old is an event that was acknowledged before, by anybody; nil when there is none.
// Editions of changing events are not among them: an older one would be a change back.
func (f *traffic) old(rng *rand.Rand) *revision {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range 10 {
		if len(f.acked) == 0 {
			return nil
		}
		if e := f.acked[rng.IntN(len(f.acked))]; !e.changes {
			return e
		}
	}
	return nil
}

// sender is one agency. What was not acknowledged waits in backlog.
type sender struct {
	*traffic
	rng     *rand.Rand
	name    string
	count   int
	backlog []*revision
	changed []*revision // the newest edition of each changing event, acknowledged
}

// run sends until quiet is closed, and then what has not been acknowledged yet.
// With most, it pauses so long between two requests that about that many are sent a second.
func (f *traffic) run(n int, quiet <-chan struct{}, most float64) {
	s := &sender{traffic: f, rng: rand.New(rand.NewPCG(f.seed, uint64(n)+1)), name: fmt.Sprint("till-", n)}
	busy := time.Now() // the last moment at which there were faults
	for !f.t.Failed() {
		select {
		case <-quiet:
			if len(s.backlog) == 0 {
				return
			}
			if time.Since(busy) > 2*time.Minute {
				f.t.Errorf("%s: %d events are still not acknowledged, two minutes after the last fault", s.name, len(s.backlog))
				return
			}
		default:
			busy = time.Now()
			s.invent()
		}
		n := 1 + s.rng.IntN(10)
		if s.rng.IntN(3) == 0 {
			n = 1 + s.rng.IntN(400)
		}
		s.rng.Shuffle(len(s.backlog), func(i, j int) { s.backlog[i], s.backlog[j] = s.backlog[j], s.backlog[i] })
		events := slices.Clone(s.backlog[:min(n, len(s.backlog))])
		events = s.repeat(events)
		before := time.Now()
		door := s.url
		if n := s.rng.IntN(1 + len(s.others)); n > 0 {
			door = s.others[n-1]
		}
		if s.post(door, events) {
			s.settle(events)
			time.Sleep(time.Duration(float64(time.Second)/most) - time.Since(before)) // the load's rate, not a wait for anything
		} else {
			time.Sleep(20 * time.Millisecond) // a refused sender comes again; in a hurry, to meet the restart
		}
	}
}

// invent adds new events to the backlog: roots with their corrections and withdrawals,
// which may well arrive before them, and the next edition of what changes.
func (s *sender) invent() {
	for len(s.backlog) < 200 {
		s.count++
		e := &revision{kind: "sale", source: s.name, number: fmt.Sprintf("%s-%06d", s.name, s.count), day: s.rng.IntN(crashDays), amount: s.rng.IntN(1000)}
		if s.rng.IntN(4) == 0 {
			e.kind = "visit"
		}
		s.backlog = append(s.backlog, e)
		if s.rng.IntN(8) > 0 {
			continue
		}
		for rev := range 1 + s.rng.IntN(3) {
			c := *e
			c.rev, c.edition, c.amount, c.withdrawn = rev+1, rev+1, s.rng.IntN(1000), s.rng.IntN(4) == 0
			s.backlog = append(s.backlog, &c)
		}
	}
	if len(s.changed) < 5 && s.rng.IntN(4) == 0 {
		s.count++
		s.changed = append(s.changed, &revision{kind: "sale", source: s.name, number: fmt.Sprintf("%s-%06d", s.name, s.count), edition: -1, changes: true})
	}
	for i, e := range s.changed {
		if e.edition < 0 || s.rng.IntN(10) == 0 && s.has(e) {
			next := *e
			next.edition, next.amount = e.edition+1, s.rng.IntN(1000)
			next.rev = next.edition // it is numbered by the loader
			s.changed[i] = &next
			s.backlog = append(s.backlog, &next)
		}
	}
}

// has says whether a revision was acknowledged.
func (s *sender) has(e *revision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[e.key()]
}

// repeat mixes in what was acknowledged before, and other content under its ids.
func (s *sender) repeat(events []*revision) []*revision {
	for range len(events)/5 + s.rng.IntN(2) {
		if e := s.old(s.rng); e != nil {
			events = append(events, e)
		}
	}
	for range 1 + len(events)/100 {
		if e := s.old(s.rng); e != nil && !e.withdrawn && s.rng.IntN(5) == 0 {
			c := *e
			c.conflict, c.edition, c.amount = true, 1000+s.rng.IntN(1000), 1000+s.rng.IntN(1000)
			events = append(events, &c)
		}
	}
	s.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

// settle takes acknowledged events out of the backlog.
func (s *sender) settle(events []*revision) {
	gone := map[*revision]bool{}
	for _, e := range events {
		gone[e] = true
	}
	s.backlog = slices.DeleteFunc(s.backlog, func(e *revision) bool { return gone[e] })
}

// standing are the rows that must stand in the end: "number edition good amount" by kind.
func (f *traffic) standing() map[string]map[string]bool {
	all := map[string]map[string]bool{"sale": {}, "visit": {}}
	for _, e := range f.top {
		if !e.withdrawn {
			all[e.kind][fmt.Sprintf("%s\t%d\t%s\t%d", e.number, e.edition, e.good(), e.amount)] = true
		}
	}
	return all
}

// statusOf is what /v1/status says.
type statusOf struct {
	Journal, Loaded, Lake, Duplicates, Conflicts, Held uint64
	LagEvents                                          uint64 `json:"lag_events"`
	Sources                                            []struct {
		Source string
		Events uint64
	}
	Engine struct {
		Restarts int
		Resident int64 `json:"resident_bytes"`
	}
	Problems []string
}

func (s *server) getJSON(path string, into any) error {
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Get(s.url + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return json.Unmarshal(text, into)
}

// settled waits until everything acknowledged is loaded and nothing is wrong.
func (s *server) settled(t *testing.T) statusOf {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var st statusOf
		err := s.getJSON("/v1/status", &st)
		var troubles []string
		for _, p := range st.Problems {
			if !strings.HasPrefix(p, "durability not proven") {
				troubles = append(troubles, p)
			}
		}
		if err == nil && st.Loaded == st.Journal && st.Lake == st.Journal && len(troubles) == 0 {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("not everything is loaded three minutes after the last fault: %v %+v\n%s", err, st, tailOf(s.log.String()))
		}
	}
}

// tailOf is the end of a log.
func tailOf(log string) string { return log[max(0, len(log)-6000):] }

// duckRows runs one statement in DuckDB and returns its rows, cells joined by tabs.
func duckRows(t *testing.T, sql string) []string {
	t.Helper()
	r := run(t, []byte(sql), "node", filepath.Join(duckdb(t), "rows.mjs"))
	if r.code != 0 {
		t.Fatalf("DuckDB cannot read the lake: %s", r.stderr)
	}
	return linesOf(r.stdout)
}

func linesOf(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// lakeFiles are the files of each table that the current manifests in a lake's folder
// name: a manifest is current unless one of a higher generation covers its messages.
func lakeFiles(t *testing.T, folder string) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "_manifest", "*.jsonl"))
	if err != nil || len(names) == 0 {
		t.Fatalf("the lake in %s has no manifest: %v", folder, err)
	}
	type manifest struct {
		name                    string
		first, last, generation uint64
	}
	var all []manifest
	for _, name := range names {
		m := manifest{name: name}
		base := strings.TrimSuffix(filepath.Base(name), ".jsonl")
		if _, err := fmt.Sscanf(base, "%d-%d.g%d", &m.first, &m.last, &m.generation); m.last == 0 {
			t.Fatalf("%s is not the name of a manifest: %v", name, err)
		}
		all = append(all, m)
	}
	files := map[string][]string{}
	for _, m := range all {
		if slices.ContainsFunc(all, func(o manifest) bool {
			return o.generation > m.generation && o.first <= m.first && m.last <= o.last
		}) {
			continue
		}
		text, err := os.ReadFile(m.name)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range linesOf(string(text)) {
			var f struct{ Name, Table string }
			if err := json.Unmarshal([]byte(line), &f); err != nil || f.Name == "" || f.Table == "" {
				t.Fatalf("%s: %v: %s", m.name, err, line)
			}
			files[f.Table] = append(files[f.Table], filepath.Join(folder, f.Name))
		}
	}
	return files
}

// total is the total checker. It reads the warehouse with its engine and the lake with
// DuckDB, and compares both, row by row, with what was acknowledged: every
// event exactly once, in its highest revision, and no other; the figures of the API and the
// rollups; receipts and quarantine. Nothing may be on its way any more. lake is a folder.
func (f *traffic) total(s *server, lake string) {
	t := f.t
	t.Helper()
	status := s.settled(t)
	files := lakeFiles(t, lake)
	standing := f.standing()
	for _, kind := range []string{"sale", "visit"} {
		table := kind + "_v1"
		r := engineSQL(t, s.data, "SELECT toString(_id), _seq, _sign, _rev, number, edition, good, amount FROM facts."+table, "TSV")
		if r.code != 0 {
			t.Fatalf("sql: %s", r.stderr)
		}
		facts := linesOf(r.stdout)
		if len(files[table]) == 0 {
			t.Fatalf("the lake has no files of %s", table)
		}
		inLake := duckRows(t, "SELECT _id::VARCHAR, _seq, _sign, _rev, number, edition, good, amount FROM read_parquet(['"+strings.Join(files[table], "','")+"'])")
		f.compare(kind+" in the warehouse", facts, standing[kind])
		f.compare(kind+" in the lake", inLake, standing[kind])
		signed := slices.DeleteFunc(inLake, func(row string) bool { return strings.Split(row, "\t")[2] == "0" })
		slices.Sort(facts)
		slices.Sort(signed)
		if !slices.Equal(facts, signed) {
			t.Errorf("%s: the rows of warehouse and lake differ: %d and %d", kind, len(facts), len(signed))
		}
		f.figures(s, kind, standing[kind])
		r = engineSQL(t, s.data, "SELECT name FROM system.tables WHERE database = 'rollups' AND name LIKE '"+table+"\\_\\_%'", "TSV")
		rollups := linesOf(r.stdout)
		if len(rollups) < 2 {
			t.Errorf("%s: rollups are %q, want two or more: %s", kind, rollups, r.stderr)
		}
		for _, rollup := range rollups {
			r := engineSQL(t, s.data, "SELECT sum(_n) FROM rollups.`"+rollup+"`", "TSV")
			if got := strings.TrimSpace(r.stdout); got != fmt.Sprint(len(standing[kind])) {
				t.Errorf("rollup %s counts %s, want %d %s", rollup, got, len(standing[kind]), r.stderr)
			}
		}
	}
	var events uint64
	for _, source := range status.Sources {
		if strings.HasPrefix(source.Source, "till-") {
			events += source.Events
		}
	}
	if events != uint64(f.revisions) {
		t.Errorf("status counts %d events accepted, want %d", events, f.revisions)
	}
	f.checkReceipts(s, uint64(f.revisions))
}

// compare adds up rows "id seq sign rev number edition good amount".
func (f *traffic) compare(where string, rows []string, want map[string]bool) {
	f.t.Helper()
	net, seen, wrong := map[string]int{}, map[string]bool{}, 0
	complain := func(format string, a ...any) {
		if wrong++; wrong <= 5 {
			f.t.Errorf(where+": "+format, a...)
		}
	}
	for _, row := range rows {
		cells := strings.SplitN(row, "\t", 5)
		if len(cells) != 5 {
			f.t.Fatalf("%s: a row is %q", where, row)
		}
		key := strings.Join(cells[:3], " ")
		if seen[key] {
			complain("the row %q is there twice", row)
		}
		seen[key] = true
		switch cells[2] {
		case "1":
			net[cells[4]]++
		case "-1":
			net[cells[4]]--
		case "0":
		default:
			complain("a sign of %s: %q", cells[2], row)
		}
	}
	for event, n := range net {
		if n != 0 && !want[event] {
			complain("%q counts %d times, want none", event, n)
		}
	}
	for event := range want {
		if net[event] != 1 {
			complain("%q counts %d times, want once", event, net[event])
		}
	}
	if wrong > 5 {
		f.t.Errorf("%s: and %d more", where, wrong-5)
	}
}

// figures compares the API's answers, which come from rollups, with what must stand.
func (f *traffic) figures(s *server, kind string, standing map[string]bool) {
	f.t.Helper()
	counts, amounts := map[string]float64{}, map[string]float64{}
	for row := range standing {
		var number, good string
		var edition, amount int
		if _, err := fmt.Sscan(row, &number, &edition, &good, &amount); err != nil {
			f.t.Fatal(row, err)
		}
		counts[good]++
		amounts[good] += float64(amount)
	}
	first, _ := time.Parse(time.DateOnly, crashFrom)
	to := first.AddDate(0, 0, crashDays).Format(time.DateOnly)
	for id, want := range map[string]map[string]float64{kind + "s": counts, kind + "-amount": amounts} {
		got := map[string]float64{}
		for good, c := range byKey(s.kpi(id, "--by", "good", "--from", crashFrom, "--to", to), "good") {
			if v, ok := figure(c["value"]); ok && v != 0 {
				got[good] = v
			}
		}
		maps.DeleteFunc(want, func(_ string, v float64) bool { return v == 0 })
		if !maps.Equal(got, want) {
			f.t.Errorf("%s by good is %v, want %v", id, got, want)
		}
	}
}

// checkReceipts asks what became of every acknowledged request: each of its events was
// new, a duplicate or a conflict, and all new ones together are no more than there are.
func (f *traffic) checkReceipts(s *server, revisions uint64) {
	t := f.t
	t.Helper()
	var accepted uint64
	const most = 1500 // of those asked one by one
	asked := f.receipts
	if len(asked) > most {
		rng := rand.New(rand.NewPCG(f.seed, 0))
		asked = slices.Clone(asked)
		rng.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
		asked = asked[:most]
	}
	for _, sent := range asked {
		var state struct {
			Accepted, Duplicate, Conflict uint64
			Loaded                        bool
		}
		if err := s.getJSON("/v1/receipts/"+sent.receipt, &state); err != nil {
			t.Fatal(err)
		}
		accepted += state.Accepted
		if !state.Loaded || state.Accepted+state.Duplicate+state.Conflict != uint64(sent.events) || state.Conflict != uint64(sent.conflicts) {
			t.Errorf("the receipt %s of %d events, %d of them conflicts, says %+v", sent.receipt, sent.events, sent.conflicts, state)
			return
		}
	}
	if accepted > revisions {
		t.Errorf("the receipts tell of %d new events, there are %d", accepted, revisions)
	}
}

// quarantined compares the quarantine of a stopped server with the conflicts: each that
// was acknowledged is there, under its own content, and nothing that was never sent. A
// conflict may be there more than once: as often as it was sent, and again after a crash.
func (f *traffic) quarantined(options stream.Options) {
	t := f.t
	t.Helper()
	conn, err := stream.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	held, err := conn.Stream(t.Context(), stream.Config{Name: "JOURNAL_HELD", MaxBytes: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	state, err := held.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type content struct { // of a conflict; its id is kept only as a keyed hash
		Data struct {
			Number, Good    string
			Edition, Amount int
		}
	}
	sent, acknowledged := map[content]bool{}, 0 // true: acknowledged
	for event, acked := range f.conflicts {
		var c content
		if err := json.Unmarshal([]byte(event), &c); err != nil {
			t.Fatal(err)
		}
		sent[c] = acked
		if acked {
			acknowledged++
		}
	}
	got := map[content]bool{}
	end := errors.New("end")
	if state.First <= state.Last {
		err = held.Follow(t.Context(), state.First, func(m stream.Message) error {
			for _, line := range linesOf(string(m.Data)) {
				var entry struct {
					Op   string
					Held struct {
						Code  string
						Event []byte
					}
				}
				if err := json.Unmarshal([]byte(line), &entry); err != nil {
					return err
				}
				if entry.Op != "hold" || entry.Held.Code != "conflict" {
					t.Errorf("in quarantine is more than conflicts: %s", line)
					continue
				}
				var c content
				if err := json.Unmarshal(entry.Held.Event, &c); err != nil {
					return err
				}
				got[c] = true
			}
			if m.Seq >= state.Last {
				return end
			}
			return nil
		})
		if err != end {
			t.Fatal(err)
		}
	}
	for c, acked := range sent {
		if acked && !got[c] {
			t.Errorf("the conflict %+v was acknowledged and is not in quarantine", c)
			break
		}
	}
	for c := range got {
		if _, known := sent[c]; !known {
			t.Errorf("%+v is in quarantine and was never sent as a conflict", c)
			break
		}
	}
	if acknowledged == 0 {
		t.Error("no conflict was acknowledged: the test is too short")
	}
}
