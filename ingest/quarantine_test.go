package ingest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/stream"
)

// quarantined is a rig with events in quarantine whose region is not known.
func quarantined(t *testing.T, n int) (*rig, *contract.Checker, *ingest.Quarantine, []string) {
	t.Helper()
	g, c := newRig(t, ingest.Limits{}), checker(t)
	batch := c.NewBatch()
	for i := range n {
		if r := batch.Add(i, []byte(event(fmt.Sprint("q", i), `{"request":"r","applicant":"`+pinfl+`","region":"9999"}`))); r != nil {
			t.Fatal(r)
		}
	}
	if err := g.journal.Hold(t.Context(), batch.Held()); err != nil {
		t.Fatal(err)
	}
	ids, err := g.journal.Quarantine().IDs(t.Context(), journal.Filter{})
	if err != nil || len(ids) != n {
		t.Fatal(ids, err)
	}
	return g, c, ingest.NewQuarantine(c, g.journal, slog.New(slog.DiscardHandler)), ids
}

func fixAll(t *testing.T, q *ingest.Quarantine, ids []string) {
	t.Helper()
	for _, id := range ids {
		fixed, err := q.Fix(t.Context(), id, ingest.Fix{Set: map[string]json.RawMessage{"region": json.RawMessage(`"1726"`)}})
		if err != nil || !fixed.Applied || len(fixed.Entry.Faults) > 0 {
			t.Fatal(fixed, err)
		}
	}
}

// Whoever has signed in or shows a key is who did it, whatever name is given.
func TestDoneBy(t *testing.T) {
	g, _, q, ids := quarantined(t, 1)
	ctx := access.With(t.Context(), &access.Principal{ID: "key:abc", Name: "the center", Roles: []access.Role{access.Center}})
	if _, err := q.Dismiss(ctx, ingest.Choice{IDs: ids, By: "ali", Note: "a test"}); err != nil {
		t.Fatal(err)
	}
	if e, err := g.journal.Quarantine().Entry(ctx, ids[0]); err != nil || e.By != "the center (key:abc)" {
		t.Errorf("dismissed by %q, %v", e.By, err)
	}
}

// states counts entries by state.
func states(t *testing.T, g *rig) string {
	t.Helper()
	counts := map[string]int{}
	if err := g.journal.Held(t.Context(), func(e journal.Entry) error { counts[e.State.String()]++; return nil }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(counts)
}

// A crash between any two steps of a replay is settled: each event is in the journal
// once, and its entry says so.
func TestReplayIsSettled(t *testing.T) {
	g, c, q, ids := quarantined(t, 4)
	kept, ctx := g.journal.Quarantine(), t.Context()
	if done, err := q.Replay(ctx, ingest.Choice{IDs: ids}); err != nil || done.Refused != 4 || done.Refusals[0].Code != contract.UnknownReference {
		t.Fatal(done, err)
	}
	fixAll(t, q, ids)
	// The first two were begun and never appended; the other two were appended, and that
	// was never written down.
	if _, err := kept.Begin(ctx, ids[:2], g.journal.Last(), "ali", "lost"); err != nil {
		t.Fatal(err)
	}
	if _, err := kept.Begin(ctx, ids[2:], g.journal.Last(), "ali", "there"); err != nil {
		t.Fatal(err)
	}
	batch := c.NewBatch()
	for i, id := range ids[2:] {
		e, err := kept.Entry(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if r := batch.Replay(i, e.Held); r != nil {
			t.Fatal(r)
		}
	}
	if _, err := g.journal.AppendRange(ctx, batch.Parts()); err != nil {
		t.Fatal(err)
	}
	if got := states(t, g); got != "map[replaying:4]" {
		t.Fatal(got)
	}
	if _, err := q.Fix(ctx, ids[0], ingest.Fix{Set: map[string]json.RawMessage{"fee": json.RawMessage("1")}}); problem.KindOf(err) != problem.Conflict {
		t.Fatal(err)
	}
	// The next start.
	q = ingest.NewQuarantine(c, g.journal, slog.New(slog.DiscardHandler))
	running, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { q.Run(running) })
	for deadline := time.Now().Add(30 * time.Second); states(t, g) != "map[open:2 replayed:2]"; {
		if time.Now().After(deadline) {
			t.Fatal(states(t, g))
		}
	}
	stop()
	group.Wait()
	for range 2 {
		if _, err := q.Replay(ctx, ingest.Choice{Filter: &ingest.HeldFilter{}, By: "vali"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := states(t, g); got != "map[replayed:4]" || g.rows(t) != 4 {
		t.Errorf("%s, %d rows in the journal", got, g.rows(t))
	}
	for i, by := range []string{"vali", "vali", "ali", "ali"} {
		if e, err := q.Show(ctx, ids[i]); err != nil || e.By != by || e.Into == "" || len(e.Persons) != 1 || strings.Contains(string(e.Content), pinfl) {
			t.Errorf("%+v %v", e, err)
		}
	}
}

// A sender who sends again what was fixed and replayed sends a duplicate: nothing is held, and
// nothing comes into the journal a second time. What is open or dismissed is held as before.
func TestSentAgain(t *testing.T) {
	g, ctx := newRig(t, ingest.Limits{}), t.Context()
	q := ingest.NewQuarantine(checker(t), g.journal, slog.New(slog.DiscardHandler))
	var lines []string
	for i := range 3 {
		lines = append(lines, event(fmt.Sprint("q", i), `{"request":"r","applicant":"`+pinfl+`","region":"9999"}`))
	}
	send := func() (got struct {
		ingest.Answer
		Text string
	}) {
		a := post(t, g.url, typeLines, strings.NewReader(strings.Join(lines, "\n")))
		if got.Text = a.Text; a.Status != http.StatusOK {
			t.Fatal(a.Text)
		}
		if err := json.Unmarshal([]byte(a.Text), &got.Answer); err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := send()
	if first.Held != 3 || first.Duplicate != 0 || strings.Contains(first.Text, "duplicate") || len(first.Quarantined) != 3 {
		t.Fatalf("%s", first.Text)
	}
	replayed, dismissed := []string{first.Quarantined[0].Entry}, []string{first.Quarantined[1].Entry}
	fixAll(t, q, replayed)
	if done, err := q.Replay(ctx, ingest.Choice{IDs: replayed}); err != nil || done.Replayed != 1 {
		t.Fatal(done, err)
	}
	if _, err := q.Dismiss(ctx, ingest.Choice{IDs: dismissed, Note: "sent by mistake"}); err != nil {
		t.Fatal(err)
	}
	again := send()
	if again.Accepted != 0 || again.Duplicate != 1 || again.Held != 2 || len(again.Rejected) != 0 || fmt.Sprint(again.Quarantined) != fmt.Sprint(first.Quarantined[1:]) {
		t.Errorf("sent again: %s", again.Text)
	}
	if got := states(t, g); got != "map[dismissed:1 open:1 replayed:1]" || g.rows(t) != 1 {
		t.Errorf("%s, %d rows in the journal", got, g.rows(t))
	}
}

// Whoever replays at the same time as others replays what they have not.
func TestReplaysAtTheSameTime(t *testing.T) {
	g, c, q, ids := quarantined(t, 50)
	fixAll(t, q, ids)
	var mu sync.Mutex
	replayed := 0
	var group sync.WaitGroup
	for i := range 6 {
		mine := q
		if i%2 == 1 { // as another process would
			mine = ingest.NewQuarantine(c, g.journal, slog.New(slog.DiscardHandler))
		}
		group.Go(func() {
			done, err := mine.Replay(t.Context(), ingest.Choice{Filter: &ingest.HeldFilter{Source: "portal"}})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			replayed += done.Replayed
			mu.Unlock()
		})
	}
	group.Wait()
	if _, err := q.Replay(t.Context(), ingest.Choice{IDs: ids}); err != nil {
		t.Fatal(err)
	}
	if got := states(t, g); got != "map[replayed:50]" {
		t.Errorf("%s; %d said to be replayed", got, replayed)
	}
}

// A conflict is taken as a correction, on request; the conflict sent once more is not
// taken for its replay.
func TestConflictIsSettled(t *testing.T) {
	g, c, q, _ := quarantined(t, 0)
	ctx := t.Context()
	batch := c.NewBatch()
	text := []byte(event("a", `{"request":"other"}`))
	if r := batch.Add(0, text); r != nil {
		t.Fatal(r)
	}
	again := batch.Parts()
	h := heldOf(t, c, text)
	h.Code = contract.Conflict
	if err := g.journal.Quarantine().Hold(ctx, []journal.Found{{Held: h, Row: 1}}); err != nil {
		t.Fatal(err)
	}
	ids, err := g.journal.Quarantine().IDs(ctx, journal.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := q.Replay(ctx, ingest.Choice{IDs: ids}); err != nil || done.Refused != 1 || !strings.Contains(done.Refusals[0].Reason, "as a correction") {
		t.Fatal(done, err)
	}
	if _, err := g.journal.Quarantine().Begin(ctx, ids, g.journal.Last(), "ali", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := g.journal.AppendRange(ctx, again); err != nil { // the sender, not the replay
		t.Fatal(err)
	}
	done, err := q.Replay(ctx, ingest.Choice{IDs: ids, As: "correction"})
	if err != nil || done.Replayed != 1 || done.Message == 0 {
		t.Fatal(done, err)
	}
	stop := errors.New("stop")
	if err := g.journal.Replay(ctx, done.Message, func(m journal.Message) error {
		rec := m.Parts[0].Record
		at := rec.Schema().FieldIndices(contract.ColumnCorrect)[0]
		if rec.NumRows() != 1 || rec.Column(at).ValueStr(0) != "true" || rec.Column(0).ValueStr(0) != again[0].Record.Column(0).ValueStr(0) {
			t.Errorf("%v", rec)
		}
		return stop
	}); err != stop {
		t.Fatal(err)
	}
}

// Rows of special contracts are never readable, in the quarantine neither; mended they can be all the same.
func TestSpecialInQuarantine(t *testing.T) {
	g, c, q, _ := quarantined(t, 0)
	batch := c.NewBatch()
	text := strings.Replace(event("s", `{"patient":"`+pinfl+`","illness":"secret","region":"9999"}`), "test.request.v1", "test.stay.v1", 1)
	if r := batch.Add(0, []byte(text)); r != nil {
		t.Fatal(r)
	}
	if err := g.journal.Hold(t.Context(), batch.Held()); err != nil {
		t.Fatal(err)
	}
	ids, err := g.journal.Quarantine().IDs(t.Context(), journal.Filter{})
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	entry, err := q.Show(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"secret", "illness", "patient"} {
		if strings.Contains(string(entry.Content), text) {
			t.Errorf("the entry tells %s: %s", text, entry.Content)
		}
	}
	if !strings.Contains(string(entry.Content), `"region":"9999"`) || fmt.Sprint(entry.Unread) != "[patient illness]" {
		t.Errorf("the entry is %s, unread %v", entry.Content, entry.Unread)
	}
	fixAll(t, q, ids)
	if done, err := q.Replay(t.Context(), ingest.Choice{IDs: ids}); err != nil || done.Replayed != 1 {
		t.Fatal(done, err)
	}
	found := ""
	stop := errors.New("stop")
	if err := g.journal.Replay(t.Context(), g.journal.Last(), func(m journal.Message) error {
		found = fmt.Sprint(m.Parts[0].Record)
		return stop
	}); err != stop || !strings.Contains(found, "secret") {
		t.Errorf("what was replayed has lost its illness: %v %s", err, found)
	}
}

// heldOf is an event as the quarantine has it: with its identity and digest.
func heldOf(t *testing.T, c *contract.Checker, text []byte) contract.Held {
	t.Helper()
	batch := c.NewBatch()
	unknown := strings.Replace(string(text), `"data":{`, `"data":{"region":"9999",`, 1)
	if r := batch.Add(0, []byte(unknown)); r != nil {
		t.Fatal(r)
	}
	h := batch.Held()[0]
	if r := batch.Add(0, text); r != nil {
		t.Fatal(r)
	}
	rec := batch.Parts()[0].Record
	if _, err := fmt.Sscan(rec.Column(1).ValueStr(0), &h.Digest); err != nil {
		t.Fatal(err)
	}
	h.Event = text
	return h
}

// A full quarantine refuses what it would hold, with the reason, and spoils nothing else.
func TestDoorWithFullQuarantine(t *testing.T) {
	c := checker(t)
	conn, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), conn, journal.Options{Contracts: c.Set(), MaxEntries: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(); conn.Close() })
	refusals, err := ingest.OpenRefusals(filepath.Join(t.TempDir(), "refusals.json"), time.UTC, func(source string) bool { return source == "portal" })
	if err != nil {
		t.Fatal(err)
	}
	d, err := ingest.New(ingest.Config{Checker: c, Journal: j, SigningKey: make([]byte, 32), Refusals: refusals, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, d)
	unknown := func(id string) string { return event(id, `{"request":"r","region":"9999"}`) }
	if a := post(t, url, typeLines, strings.NewReader(unknown("a"))); a.Held != 1 || !strings.Contains(a.Text, `"entry":"`) {
		t.Fatal(a.Text)
	}
	a := post(t, url, typeLines, strings.NewReader(unknown("b")+"\n"+event("c", `{"request":"r"}`)))
	if a.Status != http.StatusOK || a.Accepted != 1 || a.Held != 0 || len(a.Rejected) != 1 || a.Rejected[0].Code != contract.QuarantineFull || a.Rejected[0].ID != "b" || a.Receipt == "" {
		t.Fatal(a.Text)
	}
	if a = post(t, url, typeLines, strings.NewReader(unknown("a"))); a.Held != 1 || len(a.Rejected) != 0 { // is held already
		t.Fatal(a.Text)
	}
	days := refusals.Between(0, 1<<30)
	if len(days) != 1 || days[0].Source != "portal" || days[0].Type != "test.request.v1" || days[0].Events != 1 {
		t.Errorf("%+v", days)
	}
}

// Refusals are counted by day, and by a source only where it is known; they outlast
// the process.
func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "quality", "refusals.json")
	open := func() *ingest.Refusals {
		r, err := ingest.OpenRefusals(file, time.UTC, func(source string) bool { return source == "portal" })
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	r.Add([]*contract.Refusal{{Source: "portal", Type: "a"}, {Source: "portal", Type: "a"}, {Source: "31507856543210", Type: "a"}, {}})
	if err := r.Write(); err != nil {
		t.Fatal(err)
	}
	r = open()
	r.Add([]*contract.Refusal{{Source: "portal", Type: "a"}})
	today := reference.DayOf(time.Now().UTC())
	got := r.Between(today-1, today+1)
	if want := fmt.Sprintf("[{%[1]s   1} {%[1]s  a 1} {%[1]s portal a 3}]", today); fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if none := r.Between(today+1, today+9); len(none) != 0 {
		t.Errorf("%v", none)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(text), "31507856543210") {
		t.Errorf("%s %v", text, err)
	}
	var none *ingest.Refusals
	none.Add([]*contract.Refusal{{}}) // counts nothing
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.OpenRefusals(file, time.UTC, nil); problem.KindOf(err) != problem.Internal || !strings.Contains(err.Error(), "refusals.json") {
		t.Errorf("a damaged file: %v", err)
	}
}

// The routes answer problems as every other does.
func TestQuarantineRoutes(t *testing.T) {
	_, _, q, ids := quarantined(t, 1)
	mux := http.NewServeMux()
	mux.Handle("/v1/quarantine/{id}", q.Entries())
	mux.Handle("/v1/quarantine/{id}/fix", q.Fixes())
	mux.Handle("/v1/quarantine/replay", q.Replays())
	mux.Handle("/v1/quarantine/dismiss", q.Dismissals())
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", ids[0], "", 200, `"persons":["applicant"]`},
		{"POST", ids[0], "", 415, "GET"},
		{"GET", "nothing", "", 404, "nothing"},
		{"POST", ids[0] + "/fix", `{"set":{"region":"1"}}`, 200, `"applied":false`},
		{"POST", ids[0] + "/fix", `{"set":{"applicant":null}}`, 400, "pseudonym"},
		{"POST", ids[0] + "/fix", `{"set":{"time":"yesterday"}}`, 200, contract.BadTime},
		{"POST", ids[0] + "/fix", `{"set":{"request":null,"region":null}}`, 200, contract.MissingField},
		{"POST", ids[0] + "/fix", `{"set":{"region":"1726"},"note":"` + strings.Repeat("n", 2001) + `"}`, 413, "2000"},
		{"POST", ids[0] + "/fix", `{"set":{"region":"` + strings.Repeat("n", 1<<20) + `"}}`, 413, "1 MiB"},
		{"POST", "replay", `{"ids":["` + ids[0] + `","` + ids[0] + `"]}`, 400, "twice"},
		{"POST", "dismiss", `{"ids":["` + ids[0] + `"]}`, 400, "note"},
		{"POST", "dismiss", `{"ids":["` + ids[0] + `"],"as":"correction","note":"n"}`, 400, "as"},
		{"POST", "dismiss", `{"ids":["` + ids[0] + `"],"note":"n"}`, 200, `"dismissed":1`},
		{"POST", "dismiss", `{"ids":["` + ids[0] + `"],"note":"n"}`, 200, `"skipped":1`},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(c.method, "/v1/quarantine/"+c.path, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %.60s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
}

// What waits for a reference table is replayed by itself once the table has it, but not
// what somebody has fixed, and not when nothing has changed since the last time.
func TestLearned(t *testing.T) {
	g, _, q, ids := quarantined(t, 3)
	fixAll(t, q, ids[:1])
	run := func(learned bool) (told bool) {
		q := ingest.NewQuarantine(checkerOf(t, "1726,Tashkent\n9999,Atlantis\n"), g.journal, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		asked := make(chan struct{})
		q.Learned(func() bool { defer close(asked); return learned }, func() error { told = true; stop(); return nil })
		var group sync.WaitGroup
		group.Go(func() { q.Run(ctx) })
		if <-asked; !learned {
			stop()
		}
		group.Wait()
		stop()
		return told
	}
	if told := run(false); told || states(t, g) != "map[open:3]" {
		t.Errorf("nothing was learned: %v %s", told, states(t, g))
	}
	if told := run(true); !told || states(t, g) != "map[open:1 replayed:2]" || g.rows(t) != 2 {
		t.Errorf("learned: %v %s, %d rows", told, states(t, g), g.rows(t))
	}
	if e, err := q.Show(t.Context(), ids[1]); err != nil || e.By != "ombor" || e.Note == "" {
		t.Errorf("%+v %v", e, err)
	}
}
