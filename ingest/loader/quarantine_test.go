package loader

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ombor/ingest/journal"
)

// A full quarantine makes the loader wait and say so, for conflicts have been
// acknowledged already; with room again it goes on by itself, and nothing is lost.
func TestFullQuarantineWaits(t *testing.T) {
	w := newWorld(t, "")
	w.close()
	w.entries = 5
	w.open()
	w.start()
	conflicts := func(from, n int) (list []string) {
		for i := range n {
			list = append(list, event("a", "", fmt.Sprintf(`{"service":"other","fee":%d}`, from+i)))
		}
		return list
	}
	w.send(event("a", "", root))
	first := w.send(conflicts(10, 4)...)
	w.wait(first.Last.Seq)
	second := w.send(conflicts(20, 3)...)
	third := w.send(event("b", "", root))
	for deadline := time.Now().Add(30 * time.Second); ; {
		if s := w.loader.Status(); strings.Contains(s.Trouble, "the quarantine is full") {
			if s.Loaded != first.Last.Seq {
				t.Errorf("loaded %d behind the full quarantine", s.Loaded)
			}
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%+v", s)
		}
	}
	kept := w.journal.Quarantine()
	ids, err := kept.IDs(t.Context(), journal.Filter{})
	if err != nil || len(ids) != 4 {
		t.Fatal(ids, err)
	}
	if n, err := kept.Dismiss(t.Context(), ids, "ali", "a test"); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	w.wait(third.Last.Seq)
	if got := w.outcome(second); got != "0 accepted 0 duplicate 3 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	open, err := kept.IDs(t.Context(), journal.Filter{States: []journal.EntryState{journal.StateOpen}})
	if err != nil || len(open) != 3 || len(w.check()) != 2 {
		t.Error(open, err)
	}
	if s := w.loader.Status(); s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}
