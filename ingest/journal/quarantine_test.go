package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

func heldOf(n int, code string) contract.Held {
	return contract.Held{ID: fmt.Sprint("e-", n), Source: "portal", Type: "test.request.decided.v1", Time: time.Unix(int64(n), 0).UTC(), Field: "service",
		Code: code, Reason: "because", Key: fmt.Sprintf("%032x", n), Digest: uint64(n), Event: fmt.Appendf(nil, `{"n":%d}`, n)}
}

func several(first, n int, code string) (list []contract.Held) {
	for i := range n {
		list = append(list, heldOf(first+i, code))
	}
	return list
}

// told is the quarantine in a line for each entry, the newest first.
func told(t *testing.T, q *journal.Quarantine, f journal.Filter) string {
	t.Helper()
	var b strings.Builder
	before := uint64(0)
	for {
		entries, more, err := q.List(t.Context(), f, before, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintf(&b, "%s %s %s %s fixed %d by %q note %q into %q row %d\n", strconv.FormatUint(e.Number, 36), e.Held.ID, e.State, e.Held.Event, e.Fixed, e.By, e.Note, e.Into, e.Row)
			before = e.Number
		}
		if !more {
			return b.String()
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T, q *journal.Quarantine, f journal.Filter) []string {
	t.Helper()
	list, err := q.IDs(t.Context(), f)
	must(t, err)
	return list
}

// What is held again, after a crash or because a sender repeats himself, is held once; a
// conflict and an event of the door are two entries.
func TestHoldingTwiceIsOnce(t *testing.T) {
	j, _ := open(t, t.TempDir(), newDoor(t), journal.Options{})
	q := j.Quarantine()
	if got := told(t, q, journal.Filter{}); got != "" {
		t.Fatal(got)
	}
	for range 3 {
		must(t, j.Hold(t.Context(), several(1, 4, contract.UnknownReference)))
		must(t, q.Hold(t.Context(), []journal.Found{{Held: heldOf(2, contract.Conflict), Row: 7}, {Held: contract.Held{Code: contract.Damaged, Reason: "bits"}, Row: 9},
			{Held: contract.Held{Code: contract.Damaged, Reason: "bits"}, Row: 10}}))
		must(t, q.Hold(t.Context(), []journal.Found{{Held: heldOf(2, contract.Conflict), Row: 1000}})) // the same again, later
	}
	if n := len(ids(t, q, journal.Filter{})); n != 7 {
		t.Fatalf("%d entries:\n%s", n, told(t, q, journal.Filter{}))
	}
	if got := told(t, q, journal.Filter{Code: contract.Conflict}); !strings.Contains(got, "row 7") || strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
	if got := told(t, q, journal.Filter{Source: "portal", Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}); strings.Count(got, "\n") != 5 {
		t.Error(got)
	}
	for _, f := range []journal.Filter{{Source: "x"}, {Type: "x"}, {Since: time.Now().Add(time.Hour)}, {Until: time.Now().Add(-time.Hour)}, {States: []journal.EntryState{journal.StateDismissed}}} {
		if got := told(t, q, f); got != "" {
			t.Errorf("%+v: %s", f, got)
		}
	}
	err := j.Hold(t.Context(), []contract.Held{{ID: "d", Event: make([]byte, 2<<20)}})
	if err == nil || problem.KindOf(err) != problem.TooLarge {
		t.Fatal(err)
	}
	for _, id := range []string{"", "x", strings.Repeat("0", 20), strings.Repeat("0", 19), strings.Repeat("0", 40)} {
		if _, err := q.Entry(t.Context(), id); problem.KindOf(err) != problem.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A cursor is one that a server gave: any other text is none.
func TestCursors(t *testing.T) {
	for _, n := range []uint64{1, 2, 1 << 20, 7<<20 | 3, 1<<60 - 1} {
		cursor := journal.FormatCursor(n)
		if got, ok := journal.ParseCursor(cursor); !ok || got != n {
			t.Errorf("%d is written %q and read %d %v", n, cursor, got, ok)
		}
		for _, other := range []string{cursor + "0", "0" + cursor, cursor[1:], cursor[:len(cursor)-1], strings.ToUpper(cursor) + "A", "1" + cursor} {
			if got, ok := journal.ParseCursor(other); ok {
				t.Errorf("%q is read as %d", other, got)
			}
		}
	}
	for _, text := range []string{"", "x", "1", "zzzz", "zzzzz", "10000", "-1abcd", "00000", strings.Repeat("z", 40), "x' OR 1"} {
		if got, ok := journal.ParseCursor(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

// An entry goes from state to state once, and whoever comes second learns it.
func TestEntryStates(t *testing.T) {
	j, _ := open(t, t.TempDir(), newDoor(t), journal.Options{})
	q, ctx := j.Quarantine(), t.Context()
	must(t, j.Hold(ctx, several(1, 5, contract.RuleBroken)))
	all := ids(t, q, journal.Filter{})
	oldest, err := q.Entry(ctx, all[0])
	must(t, err)
	if tally := q.Tally(time.Time{}, time.Time{}); len(tally) != 1 || tally[0].Open != 5 || !tally[0].Since.Equal(oldest.At) {
		t.Errorf("%v, the oldest open one is of %s", tally, oldest.At)
	}
	fixed := heldOf(1, contract.UnknownReference)
	fixed.Event = []byte(`{"fixed":true}`)
	e, err := q.Fix(ctx, all[0], fixed, "ali", "typo")
	must(t, err)
	if string(e.Held.Event) != `{"fixed":true}` || e.Fixed != 1 || e.State != journal.StateOpen {
		t.Fatalf("%+v", e)
	}
	r, err := q.Begin(ctx, []string{all[0], all[1], all[2], all[2], "nothing"}, 41, "ali", "why")
	must(t, err)
	if len(r.IDs) != 3 {
		t.Fatal(r.IDs)
	}
	if again, err := q.Begin(ctx, all[:3], 42, "vali", ""); err != nil || len(again.IDs) != 0 {
		t.Fatal(again, err)
	}
	if _, err := q.Fix(ctx, all[0], fixed, "vali", ""); problem.KindOf(err) != problem.Conflict {
		t.Fatal(err)
	}
	begun, err := q.Begun(ctx)
	must(t, err)
	if len(begun) != 1 || len(begun[0].IDs) != 3 || begun[0].After != 41 || begun[0].By != "ali" || begun[0].Note != "why" {
		t.Fatalf("%+v", begun)
	}
	must(t, q.End(ctx, begun[0], all[:2], journal.Range{First: journal.Place{Seq: 50}, Last: journal.Place{Seq: 51, Part: 2}}))
	must(t, q.Back(ctx, r, all[2:3]))
	n, err := q.Dismiss(ctx, all, "vali", "not ours")
	if must(t, err); n != 3 {
		t.Fatal(n)
	}
	if n, err = q.Dismiss(ctx, all, "ali", "again"); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	want := `1s e-5 dismissed {"n":5} fixed 0 by "vali" note "not ours" into "" row 0
1r e-4 dismissed {"n":4} fixed 0 by "vali" note "not ours" into "" row 0
1q e-3 dismissed {"n":3} fixed 0 by "vali" note "not ours" into "" row 0
1p e-2 replayed {"n":2} fixed 0 by "ali" note "why" into "50.0-51.2" row 0
1o e-1 replayed {"fixed":true} fixed 1 by "ali" note "why" into "50.0-51.2" row 0
`
	got := told(t, q, journal.Filter{})
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if _, rest, _ := strings.Cut(line, " "); !strings.Contains(got, rest) {
			t.Errorf("%q is not in\n%s", rest, got)
		}
	}
	tally, none := q.Tally(time.Time{}, time.Time{}), fmt.Sprint(time.Time{}) // none is open
	if want := "[{rule_broken portal test.request.decided.v1 0 1 3 " + none + "} {unknown_reference portal test.request.decided.v1 0 1 0 " + none + "}]"; fmt.Sprint(tally) != want {
		t.Error(tally)
	}
	if since := q.Tally(time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); fmt.Sprint(since) != fmt.Sprint(tally) {
		t.Error(since)
	}
	if later := q.Tally(time.Now().Add(time.Hour), time.Time{}); len(later) != 0 {
		t.Error(later)
	}
	if begun, err = q.Begun(ctx); err != nil || len(begun) != 0 {
		t.Error(begun, err)
	}
}

// The index is a copy: kept, lost, damaged or of another log, the quarantine is the same.
func TestQuarantineIndex(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	file := filepath.Join(t.TempDir(), "quarantine", "index")
	want := ""
	cases := []struct {
		name string
		do   func()
	}{
		{"new", func() {}},
		{"kept", func() {
			if _, err := os.Stat(file); err != nil {
				t.Fatal(err)
			}
		}},
		{"damaged", func() {
			data, err := os.ReadFile(file)
			must(t, err)
			data[len(data)/2] ^= 1
			must(t, os.WriteFile(file, data, 0o600))
		}},
		{"cut off", func() {
			data, err := os.ReadFile(file)
			must(t, err)
			must(t, os.WriteFile(file, data[:len(data)/2], 0o600))
		}},
		{"lost", func() { must(t, os.Remove(file)) }},
	}
	for i, c := range cases {
		c.do()
		j, conn := open(t, dir, d, journal.Options{HeldIndex: file})
		q := j.Quarantine()
		if got := told(t, q, journal.Filter{}); got != want {
			t.Errorf("%s:\n%swant\n%s", c.name, got, want)
		}
		must(t, j.Hold(t.Context(), several(i*10, 4, contract.RuleBroken)))
		all := ids(t, q, journal.Filter{States: []journal.EntryState{journal.StateOpen}})
		_, err := q.Dismiss(t.Context(), all[:1], "ali", c.name)
		must(t, err)
		r, err := q.Begin(t.Context(), all[1:2], 1, "ali", c.name)
		must(t, err)
		must(t, q.End(t.Context(), r, r.IDs, journal.Range{First: journal.Place{Seq: 1}, Last: journal.Place{Seq: 1}}))
		want = told(t, q, journal.Filter{})
		must(t, j.Close())
		must(t, conn.Close())
	}
	if strings.Count(want, "\n") != 4*len(cases) {
		t.Error(want)
	}
	other, _ := open(t, t.TempDir(), d, journal.Options{HeldIndex: file}) // another log
	if got := told(t, other.Quarantine(), journal.Filter{}); got != "" {
		t.Errorf("an index of another log was believed:\n%s", got)
	}
}

// A full quarantine refuses the door first and then the loader, still lets entries be
// dismissed, and has room again when the log was made shorter. Numbers, states and
// contents are the same before and after, also when they are read from the log alone.
func TestFullQuarantine(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	j, conn := open(t, dir, d, journal.Options{MaxEntries: 100})
	q, ctx := j.Quarantine(), t.Context()
	must(t, j.Hold(ctx, several(0, 90, contract.RuleBroken)))
	err := j.Hold(ctx, several(90, 1, contract.RuleBroken))
	var p *problem.Error
	if !errors.Is(err, journal.ErrFull) || !errors.As(err, &p) || p.Kind != problem.Unavailable || p.RetryAfter == 0 || !strings.Contains(p.Message, "90 entries of 100") {
		t.Fatal(err)
	}
	must(t, j.Hold(ctx, several(80, 10, contract.RuleBroken))) // known already: nothing more to hold
	var found []journal.Found
	for _, h := range several(0, 10, contract.Conflict) {
		found = append(found, journal.Found{Held: h, Row: 1})
	}
	must(t, q.Hold(ctx, found))
	more := []journal.Found{{Held: heldOf(10, contract.Conflict), Row: 1}}
	if err := q.Hold(ctx, more); !errors.Is(err, journal.ErrFull) {
		t.Fatal(err)
	}
	if q.Full() != 1 {
		t.Error(q.Full())
	}
	all := ids(t, q, journal.Filter{})
	n, err := q.Dismiss(ctx, all[:60], "ali", "old")
	if must(t, err); n != 60 {
		t.Fatal(n)
	}
	deadline := time.Now().Add(30 * time.Second)
	for errors.Is(err, journal.ErrFull) || err == nil && q.Full() > 0.7 { // the log is made shorter in the background
		if err = q.Hold(ctx, more); time.Now().After(deadline) {
			t.Fatalf("no room: %v, %v full", err, q.Full())
		}
	}
	must(t, err)
	got := told(t, q, journal.Filter{})
	if open := strings.Count(got, " open "); open != 41 {
		t.Errorf("%d are open:\n%s", open, got)
	}
	must(t, j.Close())
	must(t, conn.Close())
	j, _ = open(t, dir, d, journal.Options{MaxEntries: 100})
	if again := told(t, j.Quarantine(), journal.Filter{}); again != got {
		t.Errorf("from the log alone:\n%swant\n%s", again, got)
	}
}

// Lines of an older version are entries too.
func TestOldQuarantine(t *testing.T) {
	dir := t.TempDir()
	conn, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: quiet})
	must(t, err)
	s, err := conn.Stream(t.Context(), stream.Config{Name: "JOURNAL_HELD", MaxBytes: 4 << 30})
	must(t, err)
	_, err = s.Publish(t.Context(), "", []byte(`{"index":0,"id":"00112233445566778899aabbccddeeff","source":"portal","type":"a","time":"2024-05-01T10:00:00Z","code":"conflict","reason":"r","digest":"5","event":"e30="}
{"index":3,"id":"x","source":"portal","type":"a","time":"2024-05-01T10:00:00Z","code":"rule_broken","reason":"r","digest":"6","event":"e30="}
`))
	must(t, err)
	must(t, conn.Close())
	j, _ := open(t, dir, newDoor(t), journal.Options{})
	entries, _, err := j.Quarantine().List(t.Context(), journal.Filter{}, 0, 10)
	must(t, err)
	if len(entries) != 2 || entries[1].Held.Key != "00112233445566778899aabbccddeeff" || entries[0].Held.Code != contract.RuleBroken || entries[0].Held.Digest != 6 {
		t.Fatalf("%+v", entries)
	}
	if e, err := j.Quarantine().Entry(t.Context(), entries[1].ID); err != nil || e.Held.Code != contract.Conflict {
		t.Fatal(e, err)
	}
}

// What the disk has lost of the quarantine is said, and stops nothing else.
func TestQuarantineWithALostMessage(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	file := filepath.Join(t.TempDir(), "index")
	j, conn := open(t, dir, d, journal.Options{HeldIndex: file})
	for i := range 3 {
		must(t, j.Hold(t.Context(), several(i, 1, contract.RuleBroken)))
	}
	must(t, j.Close())
	s, err := conn.Stream(t.Context(), stream.Config{Name: "JOURNAL_HELD", MaxBytes: 4 << 30})
	must(t, err)
	must(t, s.Delete(t.Context(), 2))
	must(t, conn.Close())
	j, conn = open(t, dir, d, journal.Options{HeldIndex: file}) // the index knows what there was
	entries, _, err := j.Quarantine().List(t.Context(), journal.Filter{}, 0, 10)
	must(t, err)
	if len(entries) != 3 || entries[1].Held.Event != nil || !strings.Contains(entries[1].Held.Reason, "message 2 of the quarantine") || entries[1].Held.Source != "portal" || string(entries[0].Held.Event) != `{"n":2}` {
		t.Errorf("%+v", entries)
	}
	must(t, j.Close())
	must(t, conn.Close())
	must(t, os.Remove(file))
	j, _ = open(t, dir, d, journal.Options{HeldIndex: file})
	entries, _, err = j.Quarantine().List(t.Context(), journal.Filter{}, 0, 10)
	if must(t, err); len(entries) != 2 || j.Quarantine().Lost() != 1 {
		t.Errorf("%+v, %d lost", entries, j.Quarantine().Lost())
	}
}
