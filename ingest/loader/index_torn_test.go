package loader

import (
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limitFiles lets every write of this process fail beyond so many bytes of a file, as on a
// full disk, until the function it returns is called.
func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ) // the write fails with EFBIG then
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// A write that fails half way leaves nothing behind which what is logged later cannot be
// read: otherwise its ids would be forgotten at the next start, and count twice.
func TestIndexWriteFails(t *testing.T) {
	dir := t.TempDir()
	x := openTestIndex(t, dir)
	add := func(n uint64) []entry {
		e := entry{id: idOf(n), seq: n << rowBits, digest: n}
		x.add(e)
		return []entry{e}
	}
	if err := x.log(add(1), 1); err != nil {
		t.Fatal(err)
	}
	second := add(2)
	lift := limitFiles(t, batchHead+entryBytes+batchHead+5) // in the middle of the second batch
	err := x.log(second, 2)
	lift()
	if err == nil {
		t.Fatal("a write beyond the limit did not fail")
	}
	if err := x.log(second, 2); err != nil {
		t.Fatal(err)
	}
	if err := x.log(add(3), 3); err != nil {
		t.Fatal(err)
	}
	// A kill: nothing is closed.
	y := openTestIndex(t, dir)
	defer y.close()
	for n := range uint64(3) {
		if id := idOf(n + 1); len(y.find(&id)) != 1 {
			t.Errorf("id %d is found %d times after a restart", n+1, len(y.found))
		}
	}
	if y.known() != 3 {
		t.Errorf("the index is complete up to message %d, want 3", y.known())
	}
	x.close()
}

// A segment says only what it covers: what was logged while it was written is not in it.
func TestSegmentCoversItsOwn(t *testing.T) {
	dir := t.TempDir()
	x := openTestIndex(t, dir)
	var entries []entry
	for n := range uint64(recentEntries) {
		e := entry{id: idOf(n), seq: n << rowBits, digest: n}
		x.add(e)
		entries = append(entries, e)
	}
	if err := x.log(entries, 7); err != nil {
		t.Fatal(err)
	}
	if err := x.turn(); err != nil {
		t.Fatal(err)
	}
	if err := x.log(nil, 8); err != nil { // perhaps before the segment is written
		t.Fatal(err)
	}
	settle(x)
	x.mu.Lock()
	segments := x.segments
	x.mu.Unlock()
	if len(segments) != 1 || segments[0].through != 7 {
		t.Errorf("%d segments, the first covers up to message %d, want 7", len(segments), segments[0].through)
	}
	if err := x.close(); err != nil {
		t.Fatal(err)
	}
}
