package lake_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/objects/miniotest"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse/lake"
)

// set finds the contracts of a test.
type set map[string]*contract.Contract

func (s set) ByType(eventType string) *contract.Contract { return s[eventType] }

func pair(t testing.TB, more ...contract.Field) set {
	t.Helper()
	second := *everything(t, more...)
	second.Type, second.Name = "test.other.v1", "other"
	return set{"test.all.v1": everything(t, more...), second.Type: &second}
}

// rowsOf is a plan's rows of a contract, with the loader's columns as the loader sets them.
func rowsOf(c *contract.Contract, plan lake.Plan, n int) contract.Part {
	rec := record(c, n, plan.First)
	columns := slices.Clone(rec.Columns())
	cuts, batches := array.NewDate32Builder(memory.DefaultAllocator), array.NewUint64Builder(memory.DefaultAllocator)
	for range n {
		cuts.Append(arrow.Date32(plan.Cut))
		batches.Append(plan.First)
	}
	columns[rec.Schema().FieldIndices(lake.ColumnCut)[0]] = cuts.NewArray()
	columns[rec.Schema().FieldIndices(lake.ColumnBatch)[0]] = batches.NewArray()
	return contract.Part{Contract: c, Record: array.NewRecord(rec.Schema(), columns, int64(n))}
}

// fill writes plans of several messages on three days of receipt: many small ones, some
// of which have no rows of the second contract, and one too large to be merged.
func fill(t testing.TB, l *lake.Lake, s set, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		plan := lake.Plan{First: uint64(10 * i), Last: uint64(10*i + 6), Cut: reference.Day(19_844 + i/8)}
		n := 40 + i
		if i == 5 {
			n = 3000
		}
		parts := []contract.Part{rowsOf(s["test.all.v1"], plan, n)}
		if i%3 != 0 {
			parts = append(parts, rowsOf(s["test.other.v1"], plan, 5))
		}
		if _, err := l.Write(t.Context(), plan, parts); err != nil {
			t.Fatal(err)
		}
	}
}

// dump reads the whole lake through its manifests, holding every file against its
// manifest, as a line for each row.
func dump(t testing.TB, store objects.Store, s set) []string {
	t.Helper()
	l := lake.Open(store)
	files, err := l.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range files {
		if err := l.Verify(t.Context(), f, s[f.Contract], func(rec arrow.Record) error {
			for row := range int(rec.NumRows()) {
				line := f.Contract
				for i := range int(rec.NumCols()) {
					line += "|" + rec.Column(i).ValueStr(row)
				}
				lines = append(lines, line)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(lines)
	return lines
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: row %d is\n%s\nwant\n%s", what, i, got[i], want[i])
		}
	}
}

// list is what the store holds.
func list(t testing.TB, store objects.Store) (names []string) {
	t.Helper()
	if err := store.List(t.Context(), "", func(o objects.Info) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

func TestCompactFolder(t *testing.T) { compacts(t, t.TempDir()) }
func TestCompactS3(t *testing.T)     { compacts(t, miniotest.Start(t).URL("lake")) }

func compacts(t *testing.T, place string) {
	s := pair(t)
	l, store := open(t, place)
	fill(t, l, s, 1, 20)
	before, small := dump(t, store, s), list(t, store)
	now := time.Date(2024, 5, 3, 12, 0, 0, 0, time.UTC)
	c := lake.Compaction{Contracts: s, Through: 196, Rows: 1000, Grace: time.Hour, Now: now}

	got, err := l.Compact(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	// Plan 20 is not done; plan 5 is too large; days are kept apart: 1–4, 6–7, 8–15, 16–19.
	if got.Into != 4 || got.Plans != 18 || got.Removed != 0 || got.Waiting == 0 {
		t.Errorf("%+v", got)
	}
	same(t, "merged", dump(t, store, s), before)
	for _, name := range small {
		if _, err := store.Stat(t.Context(), name); err != nil {
			t.Errorf("removed before its grace was over: %v", err)
		}
	}
	files, err := l.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(files); n != 4+4+1+1+1+1 {
		t.Errorf("%d files", n)
	}

	// Nothing more to do; after the grace the old files go and nothing else.
	c.Now = now.Add(time.Hour)
	if got, err = l.Compact(t.Context(), c); err != nil || got.Into != 0 || got.Removed == 0 || got.Waiting != 0 {
		t.Errorf("%+v %v", got, err)
	}
	same(t, "swept", dump(t, store, s), before)
	needed, err := l.Manifests(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		needed = append(needed, f.Name)
	}
	slices.Sort(needed)
	if have := list(t, store); !slices.Equal(have, needed) {
		t.Errorf("the store has\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(needed, "\n"))
	}

	// What comes later joins what was merged; without grace the old files go at once.
	fill(t, l, s, 21, 30)
	before = dump(t, store, s)
	c.Through, c.Rows, c.Grace = 1000, 10_000, 0
	if got, err = l.Compact(t.Context(), c); err != nil || got.Into == 0 || got.Removed == 0 {
		t.Errorf("%+v %v", got, err)
	}
	same(t, "merged again", dump(t, store, s), before)
	if files, err = l.Files(t.Context()); err != nil || len(files) != 2*4 { // four days, two contracts
		t.Errorf("%d files, %v", len(files), err)
	}
	generations := map[int]int{}
	for _, f := range files {
		generations[f.Generation]++
	}
	if !maps.Equal(generations, map[int]int{1: 4, 2: 4}) {
		t.Errorf("generations %v", generations)
	}
}

// TestCompactKilled ends a compaction at every step: whoever opens the lake then reads
// every row once, and the next compaction leaves nothing behind.
func TestCompactKilled(t *testing.T) {
	s := pair(t)
	steps := map[string]int{}
	for kill := 0; ; kill++ {
		dir := t.TempDir()
		l, store := open(t, dir)
		fill(t, l, s, 1, 4)
		before := dump(t, store, s)
		c := lake.Compaction{Contracts: s, Through: 1000, Rows: 1000}
		killed := func() (killed bool) {
			at := 0
			defer lake.SetFailpoint(func(step string) {
				if at++; at > kill {
					steps[step]++
					panic(step)
				}
			})()
			defer func() {
				if r := recover(); r != nil {
					killed = true
				}
			}()
			if _, err := l.Compact(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			return false
		}()
		same(t, fmt.Sprintf("killed at %d", kill), dump(t, store, s), before)
		// More plans came meanwhile, so that other files are merged than the last time.
		fresh, store := open(t, dir)
		fill(t, fresh, s, 6, 7)
		before = dump(t, store, s)
		if _, err := fresh.Compact(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprintf("finished after %d", kill), dump(t, store, s), before)
		needed, err := fresh.Manifests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		files, err := fresh.Files(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			needed = append(needed, f.Name)
		}
		slices.Sort(needed)
		if have := list(t, store); !slices.Equal(have, needed) {
			t.Fatalf("killed at %d: the store has\n%s\nwant\n%s", kill, strings.Join(have, "\n"), strings.Join(needed, "\n"))
		}
		if !killed {
			break
		}
	}
	if len(steps) != 5 {
		t.Errorf("killed at %v: not every kind of step", steps)
	}
}

// TestCompactEvolved merges a file from before a contract got a field with one from after.
func TestCompactEvolved(t *testing.T) {
	l, store := open(t, t.TempDir())
	fill(t, l, pair(t), 1, 3)
	grown := pair(t, contract.Field{Name: "later", Type: contract.Integer}, contract.Field{Name: "label", Type: contract.Code})
	fill(t, l, grown, 6, 7)
	before := dump(t, store, grown)
	if got, err := l.Compact(t.Context(), lake.Compaction{Contracts: grown, Through: 1000}); err != nil || got.Into != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	same(t, "merged", dump(t, store, grown), before)

	// A pack that does not know a contract leaves its files alone.
	fill(t, l, grown, 8, 10)
	delete(grown, "test.other.v1")
	if got, err := l.Compact(t.Context(), lake.Compaction{Contracts: grown, Through: 1000}); err != nil || got.Into != 0 {
		t.Fatalf("%+v %v", got, err)
	}
}

// TestCompactDamaged refuses to merge a file that is not what its manifest says, and
// two manifests that tell of the same messages.
func TestCompactDamaged(t *testing.T) {
	s, dir := pair(t), t.TempDir()
	l, store := open(t, dir)
	fill(t, l, s, 1, 4)
	files, err := l.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, files[2].Name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = l.Compact(t.Context(), lake.Compaction{Contracts: s, Through: 1000})
	kind(t, err, problem.Internal)
	if !strings.Contains(err.Error(), files[2].Name) {
		t.Errorf("the error does not name the file: %v", err)
	}
	if err := store.Put(t.Context(), "_manifest/00000000000000000020-00000000000000000031.jsonl", []byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	_, err = l.Files(context.Background())
	kind(t, err, problem.Internal)
}
