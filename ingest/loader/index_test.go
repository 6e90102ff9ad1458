package loader

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func idOf(n uint64) (id [16]byte) {
	r := rand.New(rand.NewPCG(n, 7))
	binary.LittleEndian.PutUint64(id[:], r.Uint64())
	binary.LittleEndian.PutUint64(id[8:], r.Uint64())
	return id
}

func openTestIndex(t testing.TB, dir string) *index {
	t.Helper()
	x, err := openIndex(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Every id stays known, with every revision, through freezing, merging and restarts.
func TestIndexKnowsEveryID(t *testing.T) {
	dir := t.TempDir()
	x := openTestIndex(t, dir)
	const total, plan = 9*recentEntries + 1234, 100_000
	var batch []entry
	for n := uint64(1); n <= total; n++ {
		e := entry{id: idOf(n), seq: n << 20, digest: n * 3}
		x.add(e)
		batch = append(batch, e)
		if n%1000 == 0 {
			e.rev, e.seq, e.digest = 1, n<<20+1, 1
			x.add(e)
			batch = append(batch, e)
		}
		if len(batch) >= plan {
			if err := x.log(batch, n); err != nil {
				t.Fatal(err)
			}
			if err := x.turn(); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if err := x.log(batch, total); err != nil {
		t.Fatal(err)
	}
	check := func(x *index) {
		t.Helper()
		for n := uint64(1); n <= total; n += 13 {
			id := idOf(n)
			want := 1
			if n%1000 == 0 {
				want = 2
			}
			got := x.find(&id)
			if len(got) != want {
				t.Fatalf("id %d: %d entries, want %d", n, len(got), want)
			}
			for _, e := range got {
				if e.id != id || e.seq>>20 != n || e.rev == 0 && e.digest != n*3 || e.rev == 1 && e.digest != 1 {
					t.Fatalf("id %d: %+v", n, e)
				}
			}
		}
		for n := uint64(total + 1); n < total+200_000; n++ {
			id := idOf(n)
			if got := x.find(&id); len(got) != 0 {
				t.Fatalf("id %d was never added: %+v", n, got)
			}
		}
	}
	check(x)
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	x = openTestIndex(t, dir)
	check(x)
	if x.through != total {
		t.Fatal(x.through)
	}
	x.close()
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	t.Log(names)
}

// A log that a crash tore is read up to the tear.
func TestIndexLogTorn(t *testing.T) {
	dir := t.TempDir()
	x := openTestIndex(t, dir)
	for n := uint64(1); n <= 3; n++ {
		if err := x.log([]entry{{id: idOf(n), seq: n << 20}}, n); err != nil {
			t.Fatal(err)
		}
	}
	x.close()
	logs, err := filepath.Glob(filepath.Join(dir, "recent-*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	data, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := range data {
		if err := os.WriteFile(logs[0], data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		x := openTestIndex(t, dir)
		want := cut / (batchHead + entryBytes)
		if x.len() != want || x.through != uint64(want) {
			t.Fatalf("cut at %d: %d entries through %d, want %d", cut, x.len(), x.through, want)
		}
		x.close()
		left, _ := filepath.Glob(filepath.Join(dir, "recent-*.log"))
		for _, name := range left {
			os.Remove(name)
		}
	}
}

func BenchmarkIndexNewIDs(b *testing.B) {
	x := openTestIndex(b, b.TempDir())
	defer x.close()
	r := rand.New(rand.NewPCG(1, 2))
	var batch []entry
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		var e entry
		binary.LittleEndian.PutUint64(e.id[:], r.Uint64())
		binary.LittleEndian.PutUint64(e.id[8:], r.Uint64())
		if len(x.find(&e.id)) == 0 {
			e.seq = uint64(n)
			x.add(e)
			batch = append(batch, e)
		}
		if len(batch) == 200_000 {
			if err := x.log(batch, uint64(n)); err != nil {
				b.Fatal(err)
			}
			if err := x.turn(); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}
