package lake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/parquet-go/parquet-go"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse/lake"
)

// events reads what the first-seen rule needs of every accepted event of the files taken, in both
// layouts, and the others' rows whole, holding every file against its manifest.
func events(t testing.TB, l *lake.Lake, s set, takes func(lake.File) bool) (ids, rows []string) {
	t.Helper()
	files, err := l.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := l.Verify(t.Context(), f, s[f.Contract], func(rec arrow.Record) error {
			sign := rec.Column(rec.Schema().FieldIndices(lake.ColumnSign)[0]).(*array.Int8)
			for row := range int(rec.NumRows()) {
				line := f.Contract
				for i, field := range rec.Schema().Fields() {
					if !takes(f) || field.Name != lake.ColumnSign && lake.RetiredSchema().HasField(field.Name) {
						line += "|" + rec.Column(i).ValueStr(row)
					}
				}
				if !takes(f) {
					rows = append(rows, line)
				} else if sign.Value(row) >= 0 {
					ids = append(ids, line)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(ids)
	slices.Sort(rows)
	return ids, rows
}

// Of a day of one contract only ids stay; killed between any two steps readers have a plan's rows or its ids, never
// both, and doing it again ends it. The files have no other column, and are merged like others.
func TestRetireKilled(t *testing.T) {
	s := pair(t)
	const day = "2024-05-01"
	takes := func(f lake.File) bool { return f.Contract == "test.all.v1" && f.Cut == day }
	for kill := 0; ; kill++ {
		dir := t.TempDir()
		l, store := open(t, dir)
		fill(t, l, s, 1, 3)
		if _, err := l.Compact(t.Context(), lake.Compaction{Contracts: s, Through: 26, Rows: 1000}); err != nil {
			t.Fatal(err)
		}
		fill(t, l, s, 8, 8) // of another day
		// A plan that has nothing but a row taken back.
		back := lake.Plan{First: 5, Last: 5, Cut: reference.Day(19_844)}
		if _, err := l.Write(t.Context(), back, []contract.Part{rowsOf(s["test.all.v1"], back, 1)}); err != nil {
			t.Fatal(err)
		}
		ids, rows := events(t, l, s, takes)
		if len(ids) == 0 || len(rows) == 0 {
			t.Fatal(len(ids), len(rows))
		}
		unchanged := func(when string) {
			t.Helper()
			gotIDs, gotRows := events(t, lake.Open(store), s, takes)
			same(t, fmt.Sprintf("ids %s, killed at %d", when, kill), gotIDs, ids)
			same(t, fmt.Sprintf("rows %s, killed at %d", when, kill), gotRows, rows)
		}
		r := lake.Retirement{Contracts: s, Through: 1000, Takes: takes}
		killed := killedAt(t, kill, func() error {
			_, err := l.Retire(t.Context(), r)
			return err
		})
		unchanged("at once")
		fresh, store := open(t, dir)
		out, err := fresh.Retire(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		unchanged("done")
		files, err := fresh.Files(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		needed, err := fresh.Manifests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if f.Retired() != takes(f) || f.Retired() && f.Facts != 0 || strings.HasPrefix(f.Name, "_retired/all_v1/") != f.Retired() {
				t.Errorf("killed at %d: %+v", kill, f)
			}
			needed = append(needed, f.Name)
			if !f.Retired() {
				continue
			}
			data, err := fresh.Object(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			file, err := parquet.OpenFile(strings.NewReader(string(data)), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			for _, column := range file.Schema().Fields() {
				if !lake.RetiredSchema().HasField(column.Name()) {
					t.Errorf("%s has the column %s", f.Name, column.Name())
				}
			}
		}
		slices.Sort(needed)
		if have := list(t, store); !slices.Equal(have, slices.Compact(needed)) {
			t.Fatalf("killed at %d: the store has\n%s\nwant\n%s", kill, strings.Join(have, "\n"), strings.Join(needed, "\n"))
		}
		if killed {
			continue
		}
		if kill < 6 || out.Files != 0 {
			t.Errorf("%d steps, %+v", kill, out)
		}
		merged, err := fresh.Compact(t.Context(), lake.Compaction{Contracts: s, Through: 1000})
		if err != nil || merged.Merged == 0 {
			t.Fatal(merged, err)
		}
		unchanged("merged")
		return
	}
}

// What is kept of a month is what was put, once; a try that was cut short leaves nothing behind.
func TestKeepFigures(t *testing.T) {
	l, store := open(t, t.TempDir())
	want := lake.Figures{Contract: "test.all.v1", Table: "test_all_v1", Month: "2024-05", Rows: 7, Through: 9,
		Days: []lake.DatedDays{{By: "time", First: 19_000, Last: 19_844}}}
	keep := func(contents ...string) error {
		return l.KeepFigures(t.Context(), want, func(put func(lake.FigureFile, []byte) error) error {
			for i, text := range contents {
				if err := put(lake.FigureFile{Table: fmt.Sprintf("rollup%d", i), Columns: []string{"_n"}, Cases: int64(i)}, []byte(text)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	func() {
		defer func() { _ = recover() }() // the kill
		defer lake.SetFailpoint(func(step string) {
			if step == "figure files" {
				panic("killed")
			}
		})()
		_ = keep("a", "b") // it does not come to its end
	}()
	if kept, err := l.Figures(t.Context()); err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	if err := keep("a", "c"); err != nil {
		t.Fatal(err)
	}
	kept, err := lake.Open(store).Figures(t.Context())
	if err != nil || len(kept) != 1 || len(list(t, store)) != 3 || len(kept[0].Files) != 2 || kept[0].Files[1].Cases != 1 || kept[0].Through != 9 || kept[0].Days[0] != want.Days[0] {
		t.Fatal(kept, err, list(t, store))
	}
	if data, err := l.FigureObject(t.Context(), kept[0].Files[1]); err != nil || string(data) != "c" {
		t.Fatal(string(data), err)
	}
	if err := keep("d"); problem.KindOf(err) != problem.Conflict {
		t.Fatal(err)
	}
	damaged := kept[0].Files[0]
	damaged.Checksum = kept[0].Files[1].Checksum
	if _, err := l.FigureObject(t.Context(), damaged); problem.KindOf(err) != problem.Internal {
		t.Fatal(err)
	}
}
