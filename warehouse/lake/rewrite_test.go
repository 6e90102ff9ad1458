package lake_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ombor/warehouse/lake"
)

// A person gets another pseudonym in the files that name them, and in no other; killed
// between any two steps readers have every row once, and doing it again ends it.
func TestReplacePersonKilled(t *testing.T) {
	s := pair(t)
	old, replacement := [16]byte(bytes.Repeat([]byte{43, 0}, 8)), [16]byte(bytes.Repeat([]byte{0xfe, 0xed}, 8)) // rows 43: of some plans
	text := func(p [16]byte) string { return base64.StdEncoding.EncodeToString(p[:]) }
	for kill := 0; ; kill++ {
		dir := t.TempDir()
		l, store := open(t, dir)
		fill(t, l, s, 2, 4)
		fill(t, l, s, 6, 7)
		if _, err := l.Compact(t.Context(), lake.Compaction{Contracts: s, Through: 36, Rows: 1000}); err != nil {
			t.Fatal(err)
		}
		before := dump(t, store, s)
		r := lake.Replacement{Contracts: s, Through: 1000, Old: old, Replacement: replacement,
			Fields: map[string][]string{"test.all.v1": {"person", "person_or_not"}}}
		// With the old pseudonym in the place of the new one, the rows are those from before.
		unchanged := func(when string) (now []string) {
			t.Helper()
			now = dump(t, store, s)
			var back []string
			for _, line := range now {
				back = append(back, strings.ReplaceAll(line, text(replacement), text(old)))
			}
			slices.Sort(back)
			same(t, fmt.Sprintf("%s, killed at %d", when, kill), back, before)
			return now
		}
		killed := killedAt(t, kill, func() error {
			_, err := l.ReplacePerson(t.Context(), r)
			return err
		})
		unchanged("at once")
		fresh, store := open(t, dir)
		out, err := fresh.ReplacePerson(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		now := unchanged("done")
		named, left := 0, 0
		for _, line := range now {
			if strings.Contains(line, text(replacement)) {
				named++
			}
			if strings.Contains(line, text(old)) {
				left++ // its own id is the same bytes
				if strings.Count(line, text(old)) > 1 && strings.HasPrefix(line, "test.all.v1") {
					t.Errorf("killed at %d: a row still has it: %s", kill, line)
				}
			}
		}
		if named == 0 || left == 0 {
			t.Fatalf("%d rows with the new pseudonym, %d with the old bytes", named, left)
		}
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
		if have := list(t, store); !slices.Equal(have, slices.Compact(needed)) {
			t.Fatalf("killed at %d: the store has\n%s\nwant\n%s", kill, strings.Join(have, "\n"), strings.Join(needed, "\n"))
		}
		if !killed {
			if kill < 6 || out.Files != 0 {
				t.Errorf("%d steps, %+v", kill, out)
			}
			return
		}
	}
}

// killedAt does something that ends in a panic after so many of the steps that readers may see it between; it is
// false when there are not so many.
func killedAt(t *testing.T, steps int, do func() error) (killed bool) {
	t.Helper()
	at := 0
	defer lake.SetFailpoint(func(string) {
		if at++; at > steps {
			panic("killed")
		}
	})()
	defer func() { killed = recover() != nil }()
	if err := do(); err != nil {
		t.Error(err)
	}
	return false
}
