//go:build bench

package loader

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBenchIndex fills an index with IDS keyed ids (100 000 000 when not told) as the
// loader fills it, plan by plan, in the folder INDEX, and leaves it there; then it
// measures looking ids up, and opening. 'make bench-scale' ingests on top of it. It
// fails when an id is forgotten or invented, never for a time.
func TestBenchIndex(t *testing.T) {
	ids, dir := uint64(100_000_000), os.Getenv("INDEX")
	if text := os.Getenv("IDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n < 1 {
			t.Fatalf("IDS=%q: want a whole number from 1", text)
		}
		ids = n
	}
	if dir == "" {
		t.Fatal("INDEX: the folder that the index is to be made in; 'make bench-scale' says which")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	open := func() *index {
		x, err := openIndex(dir, slog.Default())
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := open()
	began, used := time.Now(), cpu()
	const plan = 250_000
	var batch []entry
	for n := range ids {
		e := entry{id: synthetic(n), seq: n + 1, digest: n} // before any message
		x.add(e)
		if batch = append(batch, e); len(batch) == plan || n == ids-1 {
			if err := x.log(batch, 0); err != nil {
				t.Fatal(err)
			}
			if err := x.turn(); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	added := time.Since(began)
	settle(x)
	fmt.Printf("index     %d ids in plans of %d: all added after %.1f s, all merged after %.1f s; %.0f ns of processor time an id\n",
		ids, plan, added.Seconds(), time.Since(began).Seconds(), float64((cpu()-used).Nanoseconds())/float64(ids))
	var disk int64
	files := map[string]int{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			disk += info.Size()
			files[strings.Join(strings.SplitN(d.Name(), "-", 3)[:len(strings.SplitN(d.Name(), "-", 3))-1], "-")]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var filters, mapped int64
	for _, s := range x.segments {
		for _, b := range s.blocks {
			filters += int64(len(b.filter.Fingerprints)) * 2
		}
		mapped += int64(len(s.mapped))
	}
	fmt.Printf("disk      %.2f bytes an id in %v; mapped %d MiB, of which filters %d MiB (%.2f bytes an id)\n",
		float64(disk)/float64(ids), files, mapped>>20, filters>>20, float64(filters)/float64(ids))
	if err := x.close(); err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"cold", "warm"} {
		if name == "cold" {
			if err := evict(dir); err != nil {
				t.Fatal(err)
			}
		}
		before := resident(t)
		began := time.Now()
		x = open()
		opened := time.Since(began)
		began = time.Now()
		probe(t, x, 10_000, ids, 0)
		fmt.Printf("open      %s: %.3f s, then %.3f s for the first 10 000 new ids; resident %+d MiB\n", name, opened.Seconds(), time.Since(began).Seconds(), (resident(t)-before)>>20)
		if name == "cold" {
			if err := x.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer x.close()
	probe(t, x, 1_000_000, ids, 0) // warm
	for _, known := range []int{0, 10, 100} {
		const n = 2_000_000
		used := cpu()
		probe(t, x, n, ids, known)
		fmt.Printf("find      %3d %% of them known: %.0f ns of processor time an id\n", known, float64((cpu()-used).Nanoseconds())/n)
	}
	fmt.Printf("resident  %d MiB\n", resident(t)>>20)
}

// synthetic is the n-th id; they look like keyed hashes.
func synthetic(n uint64) (id [16]byte) {
	mix := func(h uint64) uint64 { // a bijection: no two are the same
		h ^= h >> 33
		h *= 0xff51afd7ed558ccd
		h ^= h >> 33
		h *= 0xc4ceb9fe1a85ec53
		return h ^ h>>33
	}
	binary.LittleEndian.PutUint64(id[:], mix(n))
	binary.LittleEndian.PutUint64(id[8:], mix(^n))
	return id
}

var probed uint64 // ids that were asked for; new ones are never asked for twice

// probe looks n ids up as a plan does, a message of 15 000 at a time; known of a hundred
// are from among the first ids, the rest new.
func probe(t *testing.T, x *index, n int, ids uint64, known int) {
	t.Helper()
	const message = 15_000
	var list []byte
	var want []uint64
	for ; n > 0; n -= len(want) {
		list, want = list[:0], want[:0]
		for i := range min(message, n) {
			probed++
			at := ids + probed
			if i%100 < known {
				at = probed * 0x9e3779b97f4a7c15 % ids
			}
			id := synthetic(at)
			list, want = append(list, id[:]...), append(want, at)
		}
		for i, old := range x.sift(list) {
			got := x.lookUp((*[16]byte)(list[i*16:]), old)
			if isKnown := want[i] < ids; isKnown && (len(got) != 1 || got[0].digest != want[i]) || !isKnown && len(got) > 0 {
				t.Fatalf("id %d has the entries %v", want[i], got)
			}
		}
	}
}

// evict asks the kernel to forget the folder's files.
func evict(dir string) error {
	names, err := os.ReadDir(dir)
	for _, d := range names {
		f, ferr := os.Open(filepath.Join(dir, d.Name()))
		if ferr != nil {
			return ferr
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
		if err != nil {
			return err
		}
	}
	return err
}

func resident(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(syscall.Getpagesize())
}
