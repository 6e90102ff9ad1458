package contract

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/problem"
)

// A pseudonym made with all keys is that of the first key, put through the others; who holds an
// older file takes what the newer one has.
func TestRotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	first, err := keys.Pseudonym("pinfl", pinfl)
	if err != nil {
		t.Fatal(err)
	}
	identity, mark := keys.Derive("receipts"), keys.PseudonymMark(1)
	if v, err := keys.Rotate(); v != 2 || err != nil {
		t.Fatal(v, err)
	}
	second, _ := keys.Pseudonym("pinfl", pinfl)
	advanced, err := keys.Advance("pinfl", first, 1, 2)
	if err != nil || advanced != second || first == second {
		t.Errorf("%x advances to %x, want %x: %v", first, advanced, second, err)
	}
	if phone, _ := keys.Advance("phone", first, 1, 2); phone == second {
		t.Error("two kinds share a domain")
	}
	if same, err := keys.Advance("pinfl", first, 2, 2); same != first || err != nil {
		t.Error(same, err)
	}
	for _, versions := range [][2]int{{2, 1}, {1, 3}} {
		if _, err := keys.Advance("pinfl", first, versions[0], versions[1]); problem.KindOf(err) != problem.Conflict {
			t.Errorf("from %d to %d: %v", versions[0], versions[1], err)
		}
	}
	if v, err := other.Rotate(); v != 2 || err != nil { // no third key
		t.Error(v, err)
	}
	again, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]*Keys{"other": other, "again": again} {
		if p, _ := k.Pseudonym("pinfl", pinfl); p != second || k.PseudonymVersion() != 2 {
			t.Errorf("%s: version %d, %x", name, k.PseudonymVersion(), p)
		}
	}
	if !bytes.Equal(again.Derive("receipts"), identity) || again.PseudonymMark(1) != mark || again.PseudonymMark(2) == mark || again.PseudonymMark(3) != "" {
		t.Error("identity or marks have changed")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("in the folder are %v", left)
	}
	// A file of others in its place is no reason to lose these.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Rotate(); problem.KindOf(err) != problem.Conflict || keys.PseudonymVersion() != 2 {
		t.Error(err)
	}
}

// A batch that was begun before a rotation keeps its version to its end; the next takes the new key. Record and
// held event advance to the same.
func TestBatchesAcrossRotation(t *testing.T) {
	c := checker(t)
	b := c.NewBatch()
	held := replace(good, `"1726"`, `"1799"`)
	for i, event := range []string{good, held} {
		if r := b.Add(i, []byte(event)); r != nil {
			t.Fatal(r)
		}
	}
	if _, err := c.keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	if r := b.Add(2, []byte(good)); r != nil {
		t.Fatal(r)
	}
	before, kept := b.Parts()[0], b.Held() // the record holds until the batch is used again
	next := c.NewBatch()
	if r := next.Add(0, []byte(good)); r != nil {
		t.Fatal(r)
	}
	after := next.Parts()[0]
	if before.Pseudonyms != 1 || after.Pseudonyms != 2 || len(kept) != 1 || kept[0].Pseudonyms != 1 {
		t.Fatalf("versions %d, %d, %+v", before.Pseudonyms, after.Pseudonyms, kept)
	}
	at := before.Record.Schema().FieldIndices("applicant")[0]
	person := func(p Part, row int) string {
		return hex.EncodeToString(p.Record.Column(at).(*array.FixedSizeBinary).Value(row))
	}
	want := person(after, 0)
	if person(before, 0) != person(before, 1) || person(before, 0) == want {
		t.Errorf("pseudonyms %s, %s, then %s", person(before, 0), person(before, 1), want)
	}
	rec, err := c.keys.AdvanceRecord(before.Contract, before.Record, before.Pseudonyms, 2)
	if err != nil {
		t.Fatal(err)
	}
	if got := person(Part{Record: rec}, 1); got != want {
		t.Errorf("the record advances to %s, want %s", got, want)
	}
	for i := range rec.Columns() {
		if i != at && !array.Equal(rec.Column(i), before.Record.Column(i)) {
			t.Errorf("column %s has changed", rec.ColumnName(i))
		}
	}
	h, err := c.keys.AdvanceHeld(before.Contract, kept[0], 2)
	if err != nil || h.Pseudonyms != 2 || !strings.Contains(string(h.Event), want) || h.Digest != kept[0].Digest {
		t.Errorf("%+v, %v", h, err)
	}
	// Replayed as it was kept, or as it was rewritten, it is the same person.
	for _, held := range []Held{kept[0], h} {
		held.Event = bytes.ReplaceAll(held.Event, []byte(`"1799"`), []byte(`"1726"`))
		if r := b.Replay(0, held); r != nil {
			t.Fatal(r)
		}
		if p := b.Parts()[0]; p.Pseudonyms != 2 || person(p, 0) != want {
			t.Errorf("replayed it is %s by %d, want %s", person(p, 0), p.Pseudonyms, want)
		}
	}
	h.Pseudonyms = 3
	if r := b.Replay(0, h); r == nil || r.Code != BadIdentifier {
		t.Errorf("of later keys: %v", r)
	}
}
