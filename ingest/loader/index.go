package loader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/FastFilter/xorfilter"
	"github.com/cespare/xxhash/v2"
	"golang.org/x/sys/unix"

	"ombor/internal/problem"
)

// entry is one accepted revision of one event: where it was first seen.
type entry struct {
	id     [16]byte
	seq    uint64 // message × 2²⁰ + row
	digest uint64
	rev    uint32
	flags  uint32
}

const (
	entryBytes    = 40
	flagWithdrawn = 1
)

// The files store entries as memory holds them: little-endian, without padding.
var _ = [1]struct{}{}[unsafe.Sizeof(entry{})-entryBytes]

func (e *entry) key() uint64 { return binary.LittleEndian.Uint64(e.id[:]) }

// order sorts entries by id and then by sequence.
func order(a, b *entry) int {
	if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	switch {
	case a.seq < b.seq:
		return -1
	case a.seq > b.seq:
		return 1
	}
	return 0
}

func entriesAsBytes(e []entry) []byte {
	if len(e) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&e[0])), len(e)*entryBytes)
}

// index remembers every accepted revision of every event for ever: 128-bit id →
// sequence, digest, revision. It lives in a folder of its own:
//
//	recent-<generation>.log   what came last, appended and fsynced plan by plan
//	seg-<level>-<first generation>-<last generation>.idx
//	                          sorted entries and a BinaryFuse16 filter of their ids
//
// The recent entries are also in memory, at most recentEntries of them (40 MB and
// 8 MB of slots). When they are full they become a segment of level 0, in the
// background; mergeFan segments of a level become one of the next, up to
// mergeEntries. Segments are mapped into memory: 40 bytes an entry and 2.3 bytes of filter, of
// which only the filters need to stay in the page cache, 230 MB for 100 M ids. Merging
// needs 30 bytes for each entry of the segment it makes.
//
// The index needs no common commit with the warehouse. It may run ahead: an entry
// whose sequence is the row's own does not count when that row is decided again.
// When it is lost it is rebuilt from the lake.
//
// find and add are for one goroutine; log may be called from another.
type index struct {
	dir    string
	logger *slog.Logger
	active *memtable
	found  []entry // find's answer
	count  atomic.Int64

	mu         sync.Mutex // guards what follows
	through    uint64     // last message whose entries are durable here
	segments   []*segment // newest last
	frozen     []*memtable
	retired    *memtable // written as a segment; turn uses it again
	recent     *os.File  // the log of the active generation
	generation uint64
	failed     error // of the background work; reported by the next log
	work       *sync.Cond
	closed     bool
	done       chan struct{}
}

const (
	recentEntries = 1 << 20
	mergeFan      = 8
	mergeEntries  = 8 << 20
)

// memtable is an open-addressing hash table: slots hold position+1 in entries.
type memtable struct {
	generation uint64
	entries    []entry
	slots      []uint32
}

func newMemtable(generation uint64) *memtable {
	return &memtable{generation: generation, slots: make([]uint32, 1<<10)}
}

func (m *memtable) find(id *[16]byte, key uint64, out []entry) []entry {
	mask := uint64(len(m.slots) - 1)
	for at := key & mask; m.slots[at] != 0; at = (at + 1) & mask {
		if e := &m.entries[m.slots[at]-1]; e.id == *id {
			out = append(out, *e)
		}
	}
	return out
}

func (m *memtable) add(e entry) {
	if len(m.entries)*2 >= len(m.slots) {
		m.slots = make([]uint32, len(m.slots)*4)
		for i := range m.entries {
			m.place(i)
		}
	}
	m.entries = append(m.entries, e)
	m.place(len(m.entries) - 1)
}

func (m *memtable) place(i int) {
	mask := uint64(len(m.slots) - 1)
	at := m.entries[i].key() & mask
	for m.slots[at] != 0 {
		at = (at + 1) & mask
	}
	m.slots[at] = uint32(i + 1)
}

// segment is a sorted, immutable file, mapped into memory.
//
//	8 bytes  "OMBIDX01"
//	uint64   entries; through: the last message that they cover
//	uint64   filter: seed; segment length, mask; count, count length; fingerprints
//	uint64   xxHash64 of the head
//	entries, fingerprints
type segment struct {
	path        string
	level       int
	first, last uint64 // generations
	through     uint64
	entries     []entry
	filter      xorfilter.BinaryFuse[uint16]
	mapped      []byte
}

const (
	segmentMagic = "OMBIDX01"
	segmentHead  = 8 + 8*6 + 8
)

func (s *segment) find(id *[16]byte, key uint64, out []entry) []entry {
	if !s.filter.Contains(key) {
		return out
	}
	// Ids are keyed hashes, so they are spread evenly: begin where id should stand
	// and gallop to it.
	n := len(s.entries)
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(id[:]), uint64(n))
	lo, up, step := int(hi), int(hi), 64
	less := func(i int) bool { return bytes.Compare(s.entries[i].id[:], id[:]) < 0 }
	for lo > 0 && !less(lo) {
		lo, step = max(0, lo-step), step*2
	}
	for step = 64; up < n && less(up); step *= 2 {
		up = min(n, up+step)
	}
	for lo < up {
		mid := (lo + up) / 2
		if less(mid) {
			lo = mid + 1
		} else {
			up = mid
		}
	}
	for ; lo < n && s.entries[lo].id == *id; lo++ {
		out = append(out, s.entries[lo])
	}
	return out
}

// openIndex opens the folder, making it when missing.
func openIndex(dir string, logger *slog.Logger) (*index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "loader: index", "the folder %s cannot be made", dir)
	}
	x := &index{dir: dir, logger: logger, done: make(chan struct{})}
	x.work = sync.NewCond(&x.mu)
	if err := x.load(); err != nil {
		x.unmap()
		return nil, problem.Wrap(err, problem.Internal, "loader: index", "the first-seen index in %s cannot be read", dir)
	}
	n := len(x.active.entries)
	for _, s := range x.segments {
		n += len(s.entries)
	}
	x.count.Store(int64(n))
	go x.background()
	return x, nil
}

func (x *index) load() error {
	names, err := os.ReadDir(x.dir)
	if err != nil {
		return err
	}
	var logs []uint64
	for _, d := range names {
		path := filepath.Join(x.dir, d.Name())
		var level int
		var first, last, generation uint64
		switch {
		case strings.HasSuffix(d.Name(), ".tmp"):
			if err := os.Remove(path); err != nil {
				return err
			}
		case scan(d.Name(), "seg-%d-%d-%d.idx", &level, &first, &last):
			s, err := openSegment(path, level, first, last)
			if err != nil {
				return err
			}
			x.segments = append(x.segments, s)
		case scan(d.Name(), "recent-%d.log", &generation):
			logs = append(logs, generation)
		}
	}
	// A crash between a merge and the removal of its sources leaves both.
	x.segments = slices.DeleteFunc(x.segments, func(s *segment) bool {
		merged := slices.ContainsFunc(x.segments, func(o *segment) bool { return o.level > s.level && o.first <= s.first && s.last <= o.last })
		if merged {
			s.remove()
		}
		return merged
	})
	slices.SortFunc(x.segments, func(a, b *segment) int { return int(int64(a.first) - int64(b.first)) })
	for _, s := range x.segments {
		x.generation, x.through = max(x.generation, s.last), max(x.through, s.through)
	}
	slices.Sort(logs)
	x.active = newMemtable(0)
	var old []string
	for _, g := range logs {
		path := filepath.Join(x.dir, fmt.Sprintf("recent-%d.log", g))
		if g <= x.generation { // its segment was written, the log not yet removed
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		if err := x.replay(path); err != nil {
			return err
		}
		old = append(old, path)
	}
	// Everything recent begins a new log, so that what was torn is left behind.
	if len(logs) > 0 {
		x.generation = max(x.generation, logs[len(logs)-1])
	}
	if err := x.begin(); err != nil {
		return err
	}
	if len(x.active.entries) > 0 {
		if err := x.write(x.active.entries, x.through); err != nil {
			return err
		}
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// scan is fmt.Sscanf for a whole name.
func scan(name, format string, into ...any) bool {
	n, err := fmt.Sscanf(name, format, into...)
	if err != nil || n != len(into) {
		return false
	}
	values := make([]any, len(into))
	for i, p := range into {
		switch p := p.(type) {
		case *int:
			values[i] = *p
		case *uint64:
			values[i] = *p
		}
	}
	return fmt.Sprintf(format, values...) == name
}

// begin starts a new generation with an empty log. The caller holds x.mu or is alone.
func (x *index) begin() error {
	x.generation++
	f, err := os.OpenFile(filepath.Join(x.dir, fmt.Sprintf("recent-%d.log", x.generation)), os.O_CREATE|os.O_WRONLY|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if x.recent != nil {
		x.recent.Close() // everything in it is synced
	}
	x.recent = f
	x.active.generation = x.generation
	return syncDir(x.dir)
}

// A batch in the log: count, through, xxHash64 of both and the entries, entries.
const batchHead = 24

func (x *index) write(entries []entry, through uint64) error {
	var head [batchHead]byte
	binary.LittleEndian.PutUint64(head[:], uint64(len(entries)))
	binary.LittleEndian.PutUint64(head[8:], through)
	body := entriesAsBytes(entries)
	h := xxhash.New()
	h.Write(head[:16])
	h.Write(body)
	binary.LittleEndian.PutUint64(head[16:], h.Sum64())
	if _, err := x.recent.Write(head[:]); err != nil {
		return err
	}
	if _, err := x.recent.Write(body); err != nil {
		return err
	}
	return x.recent.Sync()
}

// replay reads a log up to its end or to the first batch that a crash tore.
func (x *index) replay(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	var head [batchHead]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil
			}
			return err
		}
		n := binary.LittleEndian.Uint64(head[:])
		if n > 1<<28 {
			return nil
		}
		entries := make([]entry, n)
		if _, err := io.ReadFull(r, entriesAsBytes(entries)); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil
			}
			return err
		}
		h := xxhash.New()
		h.Write(head[:16])
		h.Write(entriesAsBytes(entries))
		if binary.LittleEndian.Uint64(head[16:]) != h.Sum64() {
			return nil
		}
		for _, e := range entries {
			x.active.add(e)
		}
		x.through = max(x.through, binary.LittleEndian.Uint64(head[8:]))
	}
}

// find returns every entry of an id, in no order. The slice is valid until the next find.
func (x *index) find(id *[16]byte) []entry {
	key := binary.LittleEndian.Uint64(id[:])
	out := x.active.find(id, key, x.found[:0])
	x.mu.Lock()
	frozen, segments := x.frozen, x.segments
	x.mu.Unlock()
	for _, m := range frozen {
		out = m.find(id, key, out)
	}
	for _, s := range segments {
		out = s.find(id, key, out)
	}
	x.found = out
	return out
}

// add remembers an entry in memory; log makes it durable.
func (x *index) add(e entry) {
	x.active.add(e)
	x.count.Add(1)
}

// log makes a plan's entries durable; through is its last message. An error of
// writing leaves the log torn at its end, which a later load passes by: the plan
// must be logged again.
func (x *index) log(entries []entry, through uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.failed
	if err == nil {
		err = x.write(entries, through)
	} else {
		x.failed = nil
		x.work.Signal() // try again
	}
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "loader: index", "the first-seen index in %s cannot be written", x.dir)
	}
	x.through = max(x.through, through)
	return nil
}

// known is the last message up to which the index is complete and durable.
func (x *index) known() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.through
}

// covers says whether the index is complete up to a message.
func (x *index) covers(message uint64) bool { return x.known() >= message }

// turn freezes the active table when it is full; called between plans.
func (x *index) turn() error {
	if len(x.active.entries) < recentEntries {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.frozen) >= 2 && x.failed == nil && !x.closed { // the background is behind: memory stays bounded
		x.work.Wait()
	}
	full := x.active
	if x.active = x.retired; x.active == nil {
		x.active = newMemtable(0)
	} else { // no find reads it any more: find and turn are of one goroutine
		x.retired = nil
		clear(x.active.slots)
		x.active.entries = x.active.entries[:0]
	}
	if err := x.begin(); err != nil {
		x.active = full
		return problem.Wrap(err, problem.Unavailable, "loader: index", "the first-seen index in %s cannot be written", x.dir)
	}
	x.frozen = append(slices.Clone(x.frozen), full)
	x.work.Broadcast()
	return nil
}

// background writes frozen tables as segments and merges segments.
func (x *index) background() {
	defer close(x.done)
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		for !x.closed && (x.failed != nil || len(x.frozen) == 0 && x.toMerge() == nil) {
			x.work.Wait()
		}
		if x.closed {
			return
		}
		var err error
		if len(x.frozen) > 0 {
			m, through := x.frozen[0], x.through
			x.mu.Unlock()
			s, serr := writeSegment(x.dir, 0, m.generation, m.generation, through, sorted(m.entries))
			x.mu.Lock()
			if err = serr; err == nil {
				x.segments = append(slices.Clone(x.segments), s)
				x.frozen = slices.Clone(x.frozen[1:])
				x.retired = m
				err = os.Remove(filepath.Join(x.dir, fmt.Sprintf("recent-%d.log", m.generation)))
			}
		} else {
			old := x.toMerge()
			x.mu.Unlock()
			s, serr := mergeSegments(x.dir, old)
			x.mu.Lock()
			if err = serr; err == nil {
				at := slices.Index(x.segments, old[0])
				x.segments = slices.Replace(slices.Clone(x.segments), at, at+len(old), s)
				for _, o := range old {
					// A find may still read the mapping: it is kept until close.
					err = errors.Join(err, os.Remove(o.path))
				}
			}
		}
		if err != nil {
			x.failed = err
			x.logger.Error("loader: the first-seen index cannot be written", "err", err)
		}
		x.work.Broadcast()
	}
}

// toMerge is a run of neighbours of one level that are due. The caller holds x.mu.
func (x *index) toMerge() []*segment {
	for end := len(x.segments); end > 0; {
		start := end - 1
		for start > 0 && x.segments[start-1].level == x.segments[end-1].level {
			start--
		}
		run := x.segments[start:end]
		if len(run) >= mergeFan {
			total := 0
			for _, s := range run[:mergeFan] {
				total += len(s.entries)
			}
			if total <= mergeEntries+mergeFan*recentEntries {
				return slices.Clone(run[:mergeFan])
			}
		}
		end = start
	}
	return nil
}

// len is the number of entries; those that a crash wrote twice count twice until
// they are merged.
func (x *index) len() int { return int(x.count.Load()) }

// close ends the background work. What is not in segments is in the logs.
func (x *index) close() error {
	x.mu.Lock()
	x.closed = true
	x.work.Broadcast()
	x.mu.Unlock()
	<-x.done
	err := x.recent.Close()
	x.unmap()
	return err
}

func (x *index) unmap() {
	for _, s := range x.segments {
		unix.Munmap(s.mapped) // nothing to do when it fails
	}
	x.segments = nil
}

// sorted returns the entries by id and sequence, each once. Ids are spread evenly, so a
// counting sort by their first 16 bits leaves little to do.
func sorted(entries []entry) []entry {
	var starts [1<<16 + 1]uint32
	bucket := func(e *entry) int { return int(e.id[0])<<8 | int(e.id[1]) }
	for i := range entries {
		starts[bucket(&entries[i])+1]++
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	next := starts
	out := make([]entry, len(entries))
	for i := range entries {
		b := bucket(&entries[i])
		out[next[b]] = entries[i]
		next[b]++
	}
	for b := range 1 << 16 {
		run := out[starts[b]:starts[b+1]]
		slices.SortFunc(run, func(a, b entry) int { return order(&a, &b) })
	}
	return slices.CompactFunc(out, func(a, b entry) bool { return a.id == b.id && a.seq == b.seq })
}

// mergeSegments makes one segment of the next level out of neighbours.
func mergeSegments(dir string, old []*segment) (*segment, error) {
	total, through := 0, uint64(0)
	for _, s := range old {
		total += len(s.entries)
		through = max(through, s.through)
	}
	out := make([]entry, 0, total)
	at := make([]int, len(old))
	for {
		least := -1
		for i, s := range old {
			if at[i] < len(s.entries) && (least < 0 || order(&s.entries[at[i]], &old[least].entries[at[least]]) < 0) {
				least = i
			}
		}
		if least < 0 {
			break
		}
		e := old[least].entries[at[least]]
		at[least]++
		if n := len(out); n == 0 || out[n-1].id != e.id || out[n-1].seq != e.seq {
			out = append(out, e)
		}
	}
	return writeSegment(dir, old[0].level+1, old[0].first, old[len(old)-1].last, through, out)
}

func writeSegment(dir string, level int, first, last, through uint64, entries []entry) (*segment, error) {
	keys := make([]uint64, 0, len(entries))
	for i := range entries {
		if i == 0 || entries[i].id != entries[i-1].id {
			keys = append(keys, entries[i].key())
		}
	}
	filter, err := xorfilter.NewBinaryFuse[uint16](keys)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fmt.Sprintf("seg-%d-%d-%d.idx", level, first, last))
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	le := binary.LittleEndian
	head := append(make([]byte, 0, segmentHead), segmentMagic...)
	for _, v := range []uint64{uint64(len(entries)), through, filter.Seed,
		uint64(filter.SegmentLength) | uint64(filter.SegmentLengthMask)<<32,
		uint64(filter.SegmentCount) | uint64(filter.SegmentCountLength)<<32, uint64(len(filter.Fingerprints))} {
		head = le.AppendUint64(head, v)
	}
	head = le.AppendUint64(head, xxhash.Sum64(head))
	prints := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(filter.Fingerprints))), len(filter.Fingerprints)*2)
	for _, b := range [][]byte{head, entriesAsBytes(entries), prints} {
		if _, err := f.Write(b); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return nil, err
	}
	if err := syncDir(dir); err != nil {
		return nil, err
	}
	return openSegment(path, level, first, last)
}

func openSegment(path string, level int, first, last uint64) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	damaged := fmt.Errorf("%s is damaged", path)
	if st.Size() < segmentHead {
		return nil, damaged
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	n, prints := le.Uint64(data[8:]), le.Uint64(data[48:])
	if string(data[:8]) != segmentMagic || le.Uint64(data[segmentHead-8:]) != xxhash.Sum64(data[:segmentHead-8]) ||
		n == 0 || uint64(st.Size()) != segmentHead+n*entryBytes+prints*2 {
		unix.Munmap(data)
		return nil, damaged
	}
	s := &segment{path: path, level: level, first: first, last: last, through: le.Uint64(data[16:]), mapped: data}
	s.entries = unsafe.Slice((*entry)(unsafe.Pointer(&data[segmentHead])), n)
	s.filter = xorfilter.BinaryFuse[uint16]{Seed: le.Uint64(data[24:]),
		SegmentLength: le.Uint32(data[32:]), SegmentLengthMask: le.Uint32(data[36:]),
		SegmentCount: le.Uint32(data[40:]), SegmentCountLength: le.Uint32(data[44:]),
		Fingerprints: unsafe.Slice((*uint16)(unsafe.Pointer(&data[segmentHead+n*entryBytes])), prints)}
	return s, nil
}

func (s *segment) remove() {
	unix.Munmap(s.mapped)
	os.Remove(s.path) // tried again at the next start
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
