package loader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"
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
	const total, plan = (mergeFan+1)*recentEntries + 1234, 100_000
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
			if got := x.lookUp(&id, x.sift(id[:])[0]); len(got) != want {
				t.Fatalf("id %d, sifted: %d entries, want %d", n, len(got), want)
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

// Segments of earlier builds have one block; they are read, and merged with those of today.
func TestIndexOfAnEarlierBuild(t *testing.T) {
	dir := t.TempDir()
	const each = 1000
	for g := range uint64(mergeFan) {
		recent := newMemtable(g + 1)
		for n := range uint64(each) {
			recent.add(entry{id: idOf(g*each + n), seq: n << 20, digest: g*each + n})
		}
		var entries []entry
		var keys []uint64
		for e := range recent.sorted() {
			entries, keys = append(entries, *e), append(keys, e.key())
		}
		filter, err := xorfilter.NewBinaryFuse[uint16](keys)
		if err != nil {
			t.Fatal(err)
		}
		le := binary.LittleEndian
		file := []byte("OMBIDX01")
		for _, v := range []uint64{each, g + 1, filter.Seed, uint64(filter.SegmentLength) | uint64(filter.SegmentLengthMask)<<32,
			uint64(filter.SegmentCount) | uint64(filter.SegmentCountLength)<<32, uint64(len(filter.Fingerprints))} {
			file = le.AppendUint64(file, v)
		}
		file = append(le.AppendUint64(file, xxhash.Sum64(file)), entriesAsBytes(entries)...)
		for _, print := range filter.Fingerprints {
			file = le.AppendUint16(file, print)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("seg-0-%d-%d.idx", g+1, g+1)), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := openTestIndex(t, dir)
	defer func() { x.close() }()
	check := func() {
		t.Helper()
		if x.known() != mergeFan || x.len() != mergeFan*each {
			t.Errorf("the index knows %d ids up to message %d", x.len(), x.known())
		}
		for n := range uint64(mergeFan * each) {
			if id := idOf(n); len(x.find(&id)) != 1 || x.found[0].digest != n {
				t.Fatalf("id %d has the entries %+v", n, x.found)
			}
		}
	}
	check()
	settle(x)
	check()
	if err := x.turn(); err != nil { // lets go of what was merged
		t.Fatal(err)
	}
	check()
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "seg-*"))
	if want := filepath.Join(dir, fmt.Sprintf("seg-1-1-%d.idx", mergeFan)); err != nil || len(names) != 1 || names[0] != want {
		t.Fatalf("segments are %v, %v, want %s", names, err, want)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 9, 17, 40, 63, len(data)} { // magic, through, bits, a filter, the checksum; cut short
		broken := bytes.Clone(data)
		if broken = broken[:len(data)-1]; at < len(data) {
			broken = append(broken, data[len(data)-1])
			broken[at] ^= 4
		}
		if err := os.WriteFile(names[0], broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openIndex(dir, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("a segment with a flipped bit at %d of %d was opened", at, len(data))
		}
	}
	if err := os.WriteFile(names[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	x = openTestIndex(t, dir)
	check()
}

// A block's sift and its filter say the same, of ids that it has and of others.
func TestSift(t *testing.T) {
	recent := newMemtable(1)
	for n := range uint64(40_000) {
		recent.add(entry{id: idOf(n)})
	}
	s, err := writeSegment(t.TempDir(), 0, 1, 1, 1, recent.count, recent.sorted())
	if err != nil {
		t.Fatal(err)
	}
	defer s.unmap()
	var list []asked
	for n := range 400_000 {
		id := idOf(uint64(n))
		list = append(list, asked{binary.LittleEndian.Uint64(id[:]), binary.BigEndian.Uint32(id[:]), int32(n)})
	}
	sifted := make([]bool, len(list))
	s.blocks[0].sift(list, sifted)
	others := 0
	for n, got := range sifted {
		if want := s.blocks[0].may(list[n].key); got != want || n < recent.count && !got {
			t.Fatalf("id %d: sift says %t, the filter %t", n, got, want)
		}
		if got && n >= recent.count {
			others++
		}
	}
	if others == 0 || others > 50 { // 5.5 are expected
		t.Errorf("%d of 360,000 ids that it does not have may be in the block", others)
	}
}

// settle waits until there is nothing to write or merge.
func settle(x *index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.failed == nil && (len(x.frozen) > 0 || x.toMerge() != nil) {
		x.work.Wait()
	}
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
