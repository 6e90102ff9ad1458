package loader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/objects/miniotest"
	"ombor/internal/objects/objectstest"
	"ombor/internal/problem"
	"ombor/internal/stream/natstest"
)

// smallLoad is a load in three requests with everything that counts: new events of two
// contracts, a duplicate, corrections in any order, a withdrawal, one conflict. All ids
// begin with the name. stands is what must stand in the end.
func smallLoad(name string) (requests [][]string, stands []string) {
	id := func(s string) string { return name + s }
	fee := func(n int) string { return fmt.Sprintf(`{"service":%q,"fee":%d}`, name, n) }
	corrects := func(s string, rev int) string { return fmt.Sprintf(`,"corrects":%q,"revision":%d`, id(s), rev) }
	return [][]string{
		{event(id("a"), "", fee(1)), event(id("b"), "", fee(2)), session(id("s")), event(id("c2"), corrects("c", 2), fee(3))},
		{event(id("a1"), corrects("a", 1), fee(4)), event(id("a"), "", fee(1)), event(id("b"), "", fee(5)), event(id("c"), "", fee(6)), session(id("s"))},
		{event(id("b1"), corrects("b", 1)+`,"withdrawn":true`, `{}`), event(id("c1"), corrects("c", 1), fee(7)), event(id("d"), "", fee(8)), event(id("a1"), corrects("a", 1), fee(4))},
	}, []string{name + " 4.00", name + " 3.00", name + " 8.00"}
}

// stands checks the events of one load among those of the total checker.
func stands(t *testing.T, current []string, name string, want []string) {
	t.Helper()
	var got []string
	for _, c := range current {
		if fields := strings.Fields(c); fields[1] == name {
			got = append(got, strings.Join(fields[1:], " "))
		}
	}
	count := func(list []string, s string) (n int) {
		for _, l := range list {
			if l == s {
				n++
			}
		}
		return n
	}
	for _, w := range want {
		if count(got, w) != 1 {
			t.Errorf("%q stands %d times: %q", w, count(got, w), got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events of %s stand, want %d: %q", len(got), name, len(want), got)
	}
}

// Operation i through the object store fails, for every i, not done or done without an
// answer; the loader tries again, or is dead and another one goes on. Then everything
// is there once.
func TestObjectStoreFaults(t *testing.T) {
	t.Parallel() // most of the time is spent waiting before another attempt
	for _, where := range []string{"folder", "s3"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			place := ""
			if where == "s3" {
				place = miniotest.Start(t).URL("faults")
			}
			w := newWorld(t, place)
			whole := w.store
			var names []string
			wants := map[string][]string{}
			for _, how := range objectstest.Hows {
				if where == "s3" && (how == objectstest.Died || how == objectstest.Gone) {
					continue // what the loader makes of it does not depend on the store
				}
				for i := 1; ; i++ {
					broken := objectstest.Wrap(whole)
					w.store = broken
					broken.Fail(i, how)
					name := fmt.Sprintf("%s%d-", how, i)
					requests, want := smallLoad(name)
					names, wants[name] = append(names, name), want
					w.start()
					var last journal.Range
					for _, request := range requests {
						last = w.send(request...)
						if how == objectstest.Refused || how == objectstest.Lost {
							w.wait(last.Last.Seq) // a plan each
						}
					}
					if how == objectstest.Died || how == objectstest.Gone {
						for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
							failed, _ := broken.Failed()
							if s := w.loader.Status(); failed != "" && s.Trouble != "" || s.Loaded == last.Last.Seq {
								break
							}
							if time.Now().After(end) {
								t.Fatalf("operation %d: neither a fault nor the end: %+v", i, w.loader.Status())
							}
						}
					}
					failed, operations := broken.Failed()
					if err := w.stop(); err != nil {
						t.Fatalf("%s at operation %d (%s): %v", how, i, failed, err)
					}
					w.store = whole
					w.start()
					w.wait(last.Last.Seq)
					if err := w.stop(); err != nil {
						t.Fatal(err)
					}
					if failed == "" {
						if i < 4 {
							t.Errorf("%s: the load needed only %d operations", how, operations)
						}
						break // it has fewer operations than i
					}
				}
			}
			current := w.check()
			for _, name := range names {
				stands(t, current, name, wants[name])
			}
			t.Logf("%d loads, a fault in each", len(names))
		})
	}
}

// faultyWorld is a world whose journal is on a NATS server, behind a wire that loses what it is told to.
func faultyWorld(t *testing.T) (*world, *natstest.Wire) {
	t.Helper()
	wire := natstest.Lossy(t, natstest.Start(t))
	w := newWorld(t, "")
	w.close()
	w.url, w.timeout = wire.URL(), 250*time.Millisecond
	w.open()
	return w, wire
}

// insist sends one request until it is acknowledged, as a sender must.
func (w *world) insist(events ...string) journal.Range {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		b := w.checker.NewBatch()
		for i, e := range events {
			if r := b.Add(i, []byte(e)); r != nil {
				w.t.Fatalf("%v\n%s", r, e)
			}
		}
		r, err := w.journal.AppendRange(context.Background(), b.Parts())
		if err == nil {
			return r
		}
		if k := problem.KindOf(err); k != problem.Unavailable && k != problem.Busy || time.Now().After(end) {
			w.t.Fatalf("a request is refused for good: %v", err)
		}
	}
}

// Operation i through the journal fails, for every i: a request is lost, an answer is
// lost (the message is stored and not acknowledged), a message that is read is lost.
func TestJournalFaults(t *testing.T) {
	t.Parallel() // most of the time is spent waiting for what was lost
	for _, lose := range []natstest.Direction{natstest.Requests, natstest.Answers} {
		t.Run(lose.String(), func(t *testing.T) {
			t.Parallel()
			w, wire := faultyWorld(t)
			var names []string
			wants := map[string][]string{}
			for i := 1; ; i++ {
				name := fmt.Sprintf("%d-", i)
				requests, want := smallLoad(name)
				names, wants[name] = append(names, name), want
				w.start()
				wire.Lose(lose, i)
				var last journal.Range
				for _, request := range requests {
					last = w.insist(request...)
				}
				w.wait(last.Last.Seq)
				lost := wire.Lost()
				wire.Lose(lose, 0)
				if err := w.stop(); err != nil {
					t.Fatalf("%s %d (%s): %v", lose, i, lost, err)
				}
				if lost == "" {
					if i < 5 {
						t.Errorf("the load needed only %d %s", i, lose)
					}
					break
				}
			}
			w.start()
			current := w.check()
			for _, name := range names {
				stands(t, current, name, wants[name])
			}
			held := map[string]int{}
			if err := w.journal.Held(context.Background(), func(e journal.Entry) error { held[e.Held.Code]++; return nil }); err != nil {
				t.Fatal(err)
			}
			if held[contract.Conflict] != len(names) || len(held) != 1 {
				t.Errorf("in quarantine are %v, want %d conflicts", held, len(names))
			}
			t.Logf("%d loads, something lost in each", len(names))
		})
	}
}
