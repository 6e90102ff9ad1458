package lake_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/contract"
	"ombor/warehouse/lake"
)

// Persons are brought to another version of the keys in every file, once: killed between any two steps
// readers have every row once, each file says of which version it is, and doing it again ends it.
func TestAdvancePersonsKilled(t *testing.T) {
	s := pair(t)
	keys := contract.NewKeys()
	if _, err := keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	for kill := 0; ; kill++ {
		dir := t.TempDir()
		l, _ := open(t, dir)
		fill(t, l, s, 2, 4)
		fill(t, l, s, 6, 7)
		if _, err := l.Compact(t.Context(), lake.Compaction{Contracts: s, Through: 36, Rows: 1000}); err != nil {
			t.Fatal(err)
		}
		a := lake.Advance{Contracts: s, Through: 1000, Pseudonyms: 2,
			Record: func(c *contract.Contract, rec arrow.Record, from int) (arrow.Record, error) {
				return keys.AdvanceRecord(c, rec, from, 2)
			}}
		// Every person of the lake, at the version that its file says, brought to the newest.
		newest := func(l *lake.Lake) (persons []string, versions map[int]bool) {
			t.Helper()
			files, err := l.Files(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			versions = map[int]bool{}
			for _, f := range files {
				c := s.ByType(f.Contract)
				if !c.NamesPersons() {
					continue
				}
				versions[max(f.Pseudonyms, 1)] = true
				if err := l.Verify(t.Context(), f, c, func(rec arrow.Record) error {
					rec, err := keys.AdvanceRecord(c, rec, f.Pseudonyms, 2)
					if err != nil {
						return err
					}
					defer rec.Release()
					column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
					p, seq := column("person").(*array.FixedSizeBinary), column(lake.ColumnSeq).(*array.Uint64)
					for i := range p.Len() {
						persons = append(persons, fmt.Sprintf("%d %s", seq.Value(i), base64.StdEncoding.EncodeToString(p.Value(i))))
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(persons)
			return persons, versions
		}
		want, versions := newest(l)
		if len(want) == 0 || len(versions) != 1 {
			t.Fatalf("%d rows of the versions %v", len(want), versions)
		}
		killed := killedAt(t, kill, func() error {
			_, err := l.AdvancePersons(t.Context(), a)
			return err
		})
		fresh, _ := open(t, dir)
		if got, _ := newest(fresh); !slices.Equal(got, want) {
			t.Fatalf("killed at %d: %s", kill, strings.Join(got, "\n"))
		}
		if _, err := fresh.AdvancePersons(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		got, versions := newest(fresh)
		if !slices.Equal(got, want) || len(versions) != 1 || !versions[2] {
			t.Fatalf("killed at %d and done: versions %v, %s", kill, versions, strings.Join(got, "\n"))
		}
		if again, err := fresh.AdvancePersons(t.Context(), a); err != nil || again != (lake.Replaced{}) {
			t.Fatalf("again: %+v, %v", again, err)
		}
		if !killed {
			if kill < 6 {
				t.Errorf("%d steps", kill)
			}
			return
		}
	}
}
