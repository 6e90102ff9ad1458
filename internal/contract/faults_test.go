package contract

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
)

// Everything that is wrong is told at once, and nothing when nothing is.
func TestFaults(t *testing.T) {
	c := checker(t)
	b := c.NewBatch()
	wrong := replace(replace(good, `"1726"`, `"1799"`), "2024-07-10T", "2024-06-10T") // an unknown region, and decided before it was submitted
	if r := b.Add(0, []byte(wrong)); r != nil {
		t.Fatal(r)
	}
	h := b.Held()[0]
	list := b.Faults(h)
	if len(list) != 2 || list[0].Code != UnknownReference || list[0].Field != "region" || list[1].Code != RuleBroken || list[1].Field != "submitted_at" {
		t.Fatalf("faults: %v", list)
	}
	h.Event = []byte(strings.Replace(string(h.Event), "1799", "1726", 1))
	if list = b.Faults(h); len(list) != 1 || list[0].Code != RuleBroken {
		t.Fatalf("faults: %v", list)
	}
	h.Event = []byte(strings.Replace(string(h.Event), "2024-06-10T", "2024-07-10T", 1))
	if list = b.Faults(h); list != nil {
		t.Fatalf("faults: %v", list)
	}
	if b.Len() != 0 || len(b.Held()) != 0 {
		t.Error("looking for faults left something in the batch")
	}
	h.Event = []byte(`{"specversion":"1.0"`)
	if list = b.Faults(h); len(list) != 1 || list[0].Code != BadJSON {
		t.Fatalf("faults: %v", list)
	}
}

// A replay is the event under its key, whatever its text says of id and revision.
func TestReplayUnderKey(t *testing.T) {
	b := checker(t).NewBatch()
	if r := b.Add(0, []byte(replace(good, `"1726"`, `"1799"`))); r != nil {
		t.Fatal(r)
	}
	h := b.Held()[0]
	if len(h.Key) != 32 {
		t.Fatalf("key %q", h.Key)
	}
	h.Event = []byte(strings.NewReplacer("1799", "1726", `"id":"`+h.ID+`"`, `"id":"another"`).Replace(string(h.Event)))
	if !strings.Contains(string(h.Event), "another") {
		t.Fatal(string(h.Event))
	}
	h.Event = []byte(strings.Replace(string(h.Event), `"data":`, `"onchange":"correct","data":`, 1))
	if r := b.Replay(0, h); r != nil {
		t.Fatal(r)
	}
	if rec := b.Parts()[0].Record; rec.Column(4).(*array.Boolean).Value(0) {
		t.Error("a replay that nobody asked to correct anything corrects")
	}
	h.Correct, h.Revision = true, 4
	if r := b.Replay(0, h); r != nil {
		t.Fatal(r)
	}
	rec := b.Parts()[0].Record
	id := hex.EncodeToString(rec.Column(0).(*array.FixedSizeBinary).Value(0))
	if id != h.Key || rec.Column(1).(*array.Uint64).Value(0) != h.Digest || rec.Column(2).(*array.Uint32).Value(0) != 0 || !rec.Column(4).(*array.Boolean).Value(0) {
		t.Errorf("id %s of %s: %v", id, h.Key, rec)
	}
}
