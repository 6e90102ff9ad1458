package loader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
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
//	                          sorted entries and BinaryFuse16 filters of their ids
//
// The recent entries are also in memory. When a plan ends and there are recentEntries or more
// they become a segment of level 0, in the background; 16 segments of a level become one of the next.
// So a table has no more than recentEntries and those of a plan (20 MB and 4 MB of slots), there are
// two of them under load, 100 M ids lie in at most 31 segments, and 1000 M in at most 44. Segments are
// mapped into memory: 40 bytes an entry and 2.3 bytes of filter, of which only the
// filters stay resident, 230 MB for 100 M ids: entries that were read are let go of.
// A segment of any size is made in 20 MB.
//
// The index needs no common commit with the warehouse. It may run ahead: an entry
// whose sequence is the row's own does not count when that row is decided again.
// When it is lost it is rebuilt from the lake.
//
// find, sift, add and turn are for one goroutine; log may be called from another.
type index struct {
	dir     string
	gone    map[string]uint64 // event type → last message whose facts are not kept any longer
	most    int               // recent entries, before they become a segment
	logger  *slog.Logger
	active  *memtable
	found   []entry // find's answer
	asked   []asked // sift's ids, in their order and in that of the blocks
	old     []bool  // sift's answer
	touched uint32
	count   atomic.Int64

	mu         sync.Mutex // guards what follows
	through    uint64     // last message whose entries are durable here
	segments   []*segment // newest last
	merged     []*segment // into others; a find may still read them until the next turn
	frozen     []*memtable
	retired    *memtable // written as a segment; turn uses it again
	recent     *os.File  // the log of the active generation
	whole      int64     // bytes of complete batches in recent
	torn       bool      // recent may end in half a batch
	generation uint64
	failed     error // of the background work; reported by the next log
	work       *sync.Cond
	closed     bool
	done       chan struct{}
}

const (
	recentEntries = 1 << 18
	mergeFan      = 16
	blockEntries  = 1 << 17 // of a segment, at most about
)

// memtable is an open-addressing hash table: slots hold position+1 of an entry. Entries
// stand in pages, so that growing copies none.
type memtable struct {
	generation uint64
	through    uint64 // when it was frozen: what came later is in the logs of later generations
	pages      [][]entry
	count      int
	slots      []uint32
}

const pageEntries = 1 << 14

func newMemtable(generation uint64) *memtable {
	return &memtable{generation: generation, slots: make([]uint32, 1<<10)}
}

func (m *memtable) find(id *[16]byte, key uint64, out []entry) []entry {
	mask := uint64(len(m.slots) - 1)
	for at := key & mask; m.slots[at] != 0; at = (at + 1) & mask {
		if e := m.at(int(m.slots[at] - 1)); e.id == *id {
			out = append(out, *e)
		}
	}
	return out
}

func (m *memtable) add(e entry) {
	if m.count*2 >= len(m.slots) {
		m.slots = make([]uint32, len(m.slots)*2)
		for i := range m.count {
			m.place(i)
		}
	}
	if m.count == len(m.pages)*pageEntries {
		m.pages = append(m.pages, make([]entry, pageEntries))
	}
	*m.at(m.count) = e
	m.place(m.count)
	m.count++
}

func (m *memtable) at(i int) *entry { return &m.pages[i/pageEntries][i%pageEntries] }

// all is the entries in the order in which they came, a page at a time.
func (m *memtable) all() iter.Seq[[]entry] {
	return func(yield func([]entry) bool) {
		for i, page := range m.pages {
			if n := min(m.count-i*pageEntries, pageEntries); n <= 0 || !yield(page[:n]) {
				return
			}
		}
	}
}

// clear empties the table and keeps its memory.
func (m *memtable) clear() {
	m.count = 0
	clear(m.slots)
}

func (m *memtable) place(i int) {
	mask := uint64(len(m.slots) - 1)
	at := m.at(i).key() & mask
	for m.slots[at] != 0 {
		at = (at + 1) & mask
	}
	m.slots[at] = uint32(i + 1)
}

// segment is a sorted, immutable file, mapped into memory. It is cut into blocks by
// the leading bits of the ids, so that it can be made block by block:
//
//	8 bytes     "OMBIDX02"
//	uint64      through: the last message that it covers; bits: there are 2^bits blocks
//	5 × uint64  of each block: entries; filter: seed; segment length, mask; count, count
//	            length; fingerprints
//	uint64      xxHash64 of the head
//	            of each block: entries, fingerprints, zeros up to a multiple of 8
//
// "OMBIDX01", which earlier builds wrote, has one block, and its entries before through.
type segment struct {
	path        string
	level       int
	first, last uint64 // generations
	through     uint64
	entries     int
	bits        int
	blocks      []block
	mapped      []byte
}

// block is the entries of a segment whose ids begin with the same bits.
type block struct {
	entries []entry
	filter  xorfilter.BinaryFuse[uint16]
}

const (
	segmentMagic    = "OMBIDX02"
	segmentMagicOne = "OMBIDX01"
	blockWords      = 5
	maxBits         = 16
)

// block is where an id belongs; lead is its first 4 bytes.
func (s *segment) block(lead uint32) *block { return &s.blocks[lead>>(32-s.bits)] }

// may says whether the block may have an id; it errs once in 65,000 times.
func (b *block) may(key uint64) bool {
	return len(b.filter.Fingerprints) > 0 && b.filter.Contains(key)
}

// sift marks those of the ids that the block may have: may, in a loop that waits for
// nothing between one id and the next.
func (b *block) sift(ids []asked, old []bool) {
	prints, seed := b.filter.Fingerprints, b.filter.Seed
	if len(prints) == 0 {
		return
	}
	length, mask, count := b.filter.SegmentLength, b.filter.SegmentLengthMask, uint64(b.filter.SegmentCountLength)
	for i := range ids {
		h := ids[i].key + seed
		h ^= h >> 33
		h *= 0xff51afd7ed558ccd
		h ^= h >> 33
		h *= 0xc4ceb9fe1a85ec53
		h ^= h >> 33
		first, _ := bits.Mul64(h, count)
		p0 := uint32(first)
		p1 := p0 + length
		p2 := p1 + length
		p1 ^= uint32(h>>18) & mask
		p2 ^= uint32(h) & mask
		if prints[p0]^prints[p1]^prints[p2] == uint16(h)^uint16(h>>32) {
			old[ids[i].row] = true
		}
	}
}

func (s *segment) find(id *[16]byte, key uint64, out []entry) []entry {
	b := s.block(binary.BigEndian.Uint32(id[:]))
	if !b.may(key) {
		return out
	}
	entries := b.entries
	// Ids are keyed hashes, so they are spread evenly: begin where id should stand
	// and gallop to it.
	n := len(entries)
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(id[:])<<s.bits, uint64(n))
	lo, up, step := int(hi), int(hi), 64
	less := func(i int) bool { return bytes.Compare(entries[i].id[:], id[:]) < 0 }
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
	for ; lo < n && entries[lo].id == *id; lo++ {
		out = append(out, entries[lo])
	}
	return out
}

// openIndex opens the folder, making it when missing.
func openIndex(dir string, logger *slog.Logger) (*index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "loader: index", "the folder %s cannot be made", dir)
	}
	x := &index{dir: dir, most: recentEntries, logger: logger, done: make(chan struct{})}
	x.work = sync.NewCond(&x.mu)
	if err := x.load(); err != nil {
		x.unmap()
		return nil, problem.Wrap(err, problem.Internal, "loader: index", "the first-seen index in %s cannot be read", dir)
	}
	n := x.active.count
	for _, s := range x.segments {
		n += s.entries
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
	if x.active.count > 0 {
		if err := x.write(slices.Concat(slices.Collect(x.active.all())...), x.through); err != nil {
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
	x.recent, x.whole, x.torn = f, 0, false
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
	if x.torn {
		// Behind half a batch a load would find nothing more.
		if err := x.recent.Truncate(x.whole); err != nil {
			return err
		}
	}
	x.torn = true
	if _, err := x.recent.Write(head[:]); err != nil {
		return err
	}
	if _, err := x.recent.Write(body); err != nil {
		return err
	}
	if err := x.recent.Sync(); err != nil {
		return err
	}
	x.torn, x.whole = false, x.whole+int64(len(head)+len(body))
	return nil
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
func (x *index) find(id *[16]byte) []entry { return x.lookUp(id, true) }

// lookUp is find; old is false for an id that [index.sift] did not find.
func (x *index) lookUp(id *[16]byte, old bool) []entry {
	key := binary.LittleEndian.Uint64(id[:])
	out := x.active.find(id, key, x.found[:0])
	if old {
		frozen, segments := x.settled()
		for _, m := range frozen {
			out = m.find(id, key, out)
		}
		for _, s := range segments {
			out = s.find(id, key, out)
		}
	}
	x.found = out
	return out
}

// settled is everything but the active table.
func (x *index) settled() ([]*memtable, []*segment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.frozen, x.segments
}

// sift says which of many ids, of 16 bytes each, may be anywhere but in the active
// table. Almost all time of finding an id that is new goes into waiting for memory, and
// for the pages that it lies in: ids that are asked for together, in the order of the
// segments' blocks, wait together. Of the active table, which changes from one id to the
// next, it brings near what lookUp will read. The answer is valid until the next sift or turn.
func (x *index) sift(ids []byte) []bool {
	n := len(ids) / 16
	if cap(x.old) < n {
		x.old, x.asked = make([]bool, n), make([]asked, 2*n)
	}
	old, list := x.old[:n], x.asked[:n]
	clear(old)
	slots := x.active.slots
	mask, sum := uint64(len(slots)-1), uint32(0)
	for i := range list {
		id := ids[i*16:]
		list[i] = asked{binary.LittleEndian.Uint64(id), binary.BigEndian.Uint32(id), int32(i)}
		sum += slots[list[i].key&mask]
	}
	x.touched = sum // or the compiler would not read them
	frozen, segments := x.settled()
	if len(segments) > 0 {
		byBlock(list, x.asked[n:2*n])
		list = x.asked[n : 2*n]
	}
	for _, s := range segments {
		for rest := list; len(rest) > 0; {
			at, n := rest[0].lead>>(32-s.bits), 1
			for n < len(rest) && rest[n].lead>>(32-s.bits) == at {
				n++
			}
			s.blocks[at].sift(rest[:n], old)
			rest = rest[n:]
		}
	}
	for _, m := range frozen {
		mask := uint64(len(m.slots) - 1)
		for i := range old {
			id := (*[16]byte)(ids[i*16:])
			if key := binary.LittleEndian.Uint64(id[:]); m.slots[key&mask] != 0 {
				x.found = m.find(id, key, x.found[:0])
				old[i] = old[i] || len(x.found) > 0
			}
		}
	}
	return old
}

// asked is an id of a sift.
type asked struct {
	key  uint64
	lead uint32 // its first 4 bytes
	row  int32
}

// byBlock copies ids in the order of their leading bits.
func byBlock(from, to []asked) {
	const leading = 10
	var next [1<<leading + 1]int32
	for i := range from {
		next[from[i].lead>>(32-leading)+1]++
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	for i := range from {
		at := &next[from[i].lead>>(32-leading)]
		to[*at] = from[i]
		*at++
	}
}

// add remembers an entry in memory; log makes it durable.
func (x *index) add(e entry) {
	x.active.add(e)
	x.count.Add(1)
}

// log makes a plan's entries durable; through is its last message. An error of
// writing leaves the log torn at its end: the plan must be logged again, which mends it.
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
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.merged { // no find reads them any more: find and turn are of one goroutine
		s.unmap()
	}
	x.merged = nil
	if x.active.count < x.most {
		return nil
	}
	for len(x.frozen) >= 2 && x.failed == nil && !x.closed { // the background is behind: memory stays bounded
		x.work.Wait()
	}
	for _, s := range x.segments {
		s.pass(s.blocks...)
	}
	full := x.active
	if x.active = x.retired; x.active == nil {
		x.active = newMemtable(0)
	} else { // no find reads it any more
		x.retired = nil
		x.active.clear()
	}
	if err := x.begin(); err != nil {
		x.active = full
		return problem.Wrap(err, problem.Unavailable, "loader: index", "the first-seen index in %s cannot be written", x.dir)
	}
	full.through = x.through
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
			m := x.frozen[0]
			x.mu.Unlock()
			s, serr := writeSegment(x.dir, 0, m.generation, m.generation, m.through, m.count, m.sorted())
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
				x.merged = append(x.merged, old...)
				for _, o := range old {
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
		if end-start >= mergeFan {
			return slices.Clone(x.segments[start : start+mergeFan])
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
	for _, s := range append(x.merged, x.segments...) {
		s.unmap()
	}
	x.merged, x.segments = nil, nil
}

// sorted is a table's entries by id and sequence, each once. Ids are spread evenly, so a
// counting sort of their places by the first 16 bits leaves little to do, a few neighbours at a
// time. No entry is copied.
func (m *memtable) sorted() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		starts := make([]uint32, 1<<16+1)
		bucket := func(e *entry) int { return int(e.id[0])<<8 | int(e.id[1]) }
		for entries := range m.all() {
			for i := range entries {
				starts[bucket(&entries[i])+1]++
			}
		}
		for i := 1; i < len(starts); i++ {
			starts[i] += starts[i-1]
		}
		places, next, place := make([]uint32, m.count), slices.Clone(starts), uint32(0)
		for entries := range m.all() {
			for i := range entries {
				b := bucket(&entries[i])
				places[next[b]] = place
				next[b]++
				place++
			}
		}
		var last *entry
		for b := range 1 << 16 {
			run := places[starts[b]:starts[b+1]]
			slices.SortFunc(run, func(a, b uint32) int { return order(m.at(int(a)), m.at(int(b))) })
			for _, place := range run {
				e := m.at(int(place))
				if last == nil || last.id != e.id || last.seq != e.seq {
					if !yield(e) {
						return
					}
				}
				last = e
			}
		}
	}
}

// mergeSegments makes one segment of the next level out of neighbours.
func mergeSegments(dir string, old []*segment) (*segment, error) {
	total, through := 0, uint64(0)
	for _, s := range old {
		total += s.entries
		through = max(through, s.through)
	}
	return writeSegment(dir, old[0].level+1, old[0].first, old[len(old)-1].last, through, total, merged(old))
}

// merged is the entries of all segments by id and sequence, each once.
func merged(segments []*segment) iter.Seq[*entry] {
	type source struct {
		block int // that entries is the rest of
		rest  []entry
		of    *segment
	}
	return func(yield func(*entry) bool) {
		sources := make([]source, len(segments))
		heads := make([]uint64, len(segments)) // the first 8 bytes of each source's next id: they nearly always decide
		next := func(i int) {
			s := &sources[i]
			for len(s.rest) == 0 {
				if s.block >= 0 {
					s.of.pass(s.of.blocks[s.block])
				}
				if s.block++; s.block == len(s.of.blocks) {
					heads[i] = math.MaxUint64
					return
				}
				s.rest = s.of.blocks[s.block].entries
			}
			heads[i] = binary.BigEndian.Uint64(s.rest[0].id[:])
		}
		for i, s := range segments {
			sources[i] = source{block: -1, of: s}
			next(i)
		}
		var last *entry
		for {
			least, tied := 0, false
			for i := 1; i < len(heads); i++ {
				if heads[i] < heads[least] {
					least, tied = i, false
				} else if heads[i] == heads[least] {
					tied = true
				}
			}
			if tied {
				least = -1
				for i := range sources {
					if len(sources[i].rest) > 0 && (least < 0 || order(&sources[i].rest[0], &sources[least].rest[0]) < 0) {
						least = i
					}
				}
			}
			if least < 0 || len(sources[least].rest) == 0 {
				return
			}
			e := &sources[least].rest[0]
			sources[least].rest = sources[least].rest[1:]
			next(least)
			if last == nil || last.id != e.id || last.seq != e.seq {
				if !yield(e) {
					return
				}
			}
			last = e
		}
	}
}

// writeSegment writes entries, at most total of them, which come by id and sequence.
func writeSegment(dir string, level int, first, last, through uint64, total int, entries iter.Seq[*entry]) (*segment, error) {
	path := filepath.Join(dir, fmt.Sprintf("seg-%d-%d-%d.idx", level, first, last))
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := &segmentWriter{file: f, bits: min(maxBits, bits.Len(uint(total/blockEntries)))}
	w.words = make([]uint64, blockWords<<w.bits)
	w.keys = make([]uint64, 0, min(total, total>>w.bits+total>>w.bits/8+1024))
	if err := w.write(make([]byte, 8+8*2+8*len(w.words)+8)); err != nil { // the head comes last
		return nil, err
	}
	for e := range entries {
		if err := w.add(e); err != nil {
			return nil, err
		}
	}
	if err := w.endBlock(); err != nil {
		return nil, err
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	head := append([]byte(nil), segmentMagic...)
	head = le.AppendUint64(head, through)
	head = le.AppendUint64(head, uint64(w.bits))
	for _, v := range w.words {
		head = le.AppendUint64(head, v)
	}
	head = le.AppendUint64(head, xxhash.Sum64(head))
	if _, err := f.WriteAt(head, 0); err != nil {
		return nil, err
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

// segmentWriter writes the blocks of a segment, one after the other.
type segmentWriter struct {
	file    *os.File
	bits    int
	words   []uint64 // of the head
	at      int      // the block that is being written
	entries int      // of the block
	last    *entry
	keys    []uint64 // of the block
	out     []byte
	size    int64 // of what was written
}

func (w *segmentWriter) add(e *entry) error {
	for at := int(binary.BigEndian.Uint32(e.id[:]) >> (32 - w.bits)); w.at < at; w.at++ {
		if err := w.endBlock(); err != nil {
			return err
		}
	}
	if w.last == nil || w.last.id != e.id {
		w.keys = append(w.keys, e.key())
	}
	w.last = e
	w.entries++
	return w.write(unsafe.Slice((*byte)(unsafe.Pointer(e)), entryBytes))
}

// endBlock writes the filter of the block.
func (w *segmentWriter) endBlock() error {
	if w.entries == 0 {
		return nil // all its words are 0
	}
	filter, err := xorfilter.NewBinaryFuse[uint16](w.keys)
	if err != nil {
		return err
	}
	copy(w.words[w.at*blockWords:], []uint64{uint64(w.entries), filter.Seed,
		uint64(filter.SegmentLength) | uint64(filter.SegmentLengthMask)<<32,
		uint64(filter.SegmentCount) | uint64(filter.SegmentCountLength)<<32, uint64(len(filter.Fingerprints))})
	w.keys, w.entries = w.keys[:0], 0
	if err := w.write(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(filter.Fingerprints))), len(filter.Fingerprints)*2)); err != nil {
		return err
	}
	return w.write(make([]byte, padding(len(filter.Fingerprints)*2)))
}

// padding is what is missing to a multiple of 8.
func padding(n int) int { return -n & 7 }

// writeBytes go to the disk at once, in pieces: what one write brought into the page cache, up to
// 2 MB, is mapped as a whole when one byte of it is read, and with a filter came all entries around it.
const (
	writeBytes = 4 << 20
	writePiece = 64 << 10
)

func (w *segmentWriter) write(b []byte) error {
	if w.out == nil {
		w.out = make([]byte, 0, writeBytes)
	}
	for len(w.out)+len(b) > cap(w.out) {
		n := copy(w.out[len(w.out):cap(w.out)], b)
		w.out, b = w.out[:cap(w.out)], b[n:]
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.out = append(w.out, b...)
	return nil
}

// flush hands what was written to the disk at once: gigabytes at the end would keep the
// fsyncs of others waiting.
func (w *segmentWriter) flush() error {
	n := int64(len(w.out))
	for piece := range slices.Chunk(w.out, writePiece) {
		if _, err := w.file.Write(piece); err != nil {
			return err
		}
	}
	w.out = w.out[:0]
	w.size += n
	err := unix.SyncFileRange(int(w.file.Fd()), w.size-n, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	if err == unix.ENOSYS || err == unix.EINVAL { // not on this file system; Sync comes at the end anyway
		return nil
	}
	return err
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
	if st.Size() < 8+8*2+8*blockWords+8 {
		return nil, damaged
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, level: level, first: first, last: last, mapped: data}
	if !s.read() {
		s.unmap()
		return nil, damaged
	}
	s.fetch()
	return s, nil
}

// fetch asks the kernel to read the filters now: every new id needs them, and one page
// after the other would take seconds after a start.
func (s *segment) fetch() {
	for i := range s.blocks {
		if prints := s.blocks[i].filter.Fingerprints; len(prints) > 0 {
			s.advise(unsafe.Pointer(&prints[0]), len(prints)*2, unix.MADV_WILLNEED)
		}
	}
}

// pass lets go of the blocks' entries that were read: the process would seem as large as all
// that it ever looked up or merged. They stay in the page cache, and readable.
func (s *segment) pass(blocks ...block) {
	for i := range blocks {
		if entries := blocks[i].entries; len(entries) > 0 {
			s.advise(unsafe.Pointer(&entries[0]), len(entries)*entryBytes, unix.MADV_DONTNEED)
		}
	}
}

// advise tells the kernel about the pages of n bytes of the mapping. They stay readable.
func (s *segment) advise(at unsafe.Pointer, n, advice int) {
	from := int(uintptr(at) - uintptr(unsafe.Pointer(&s.mapped[0])))
	to := from + n
	from -= from % os.Getpagesize()
	unix.Madvise(s.mapped[from:to], advice) // only advice: nothing to do when it is not taken
}

// read takes the head and the blocks from the mapped file; false when they are not whole.
func (s *segment) read() bool {
	le := binary.LittleEndian
	data := s.mapped
	word := func(i int) uint64 { return le.Uint64(data[8+8*i:]) }
	var words []uint64
	switch string(data[:8]) {
	case segmentMagic:
		s.through, s.bits = word(0), int(word(1))
		if word(1) > maxBits || len(data) < 8+8*2+8*blockWords<<s.bits+8 {
			return false
		}
		for i := range blockWords << s.bits {
			words = append(words, word(2+i))
		}
	case segmentMagicOne:
		s.through = word(1)
		words = []uint64{word(0), word(2), word(3), word(4), word(5)}
	default:
		return false
	}
	at := 8 + 8*(len(words)+1)
	if string(data[:8]) == segmentMagic {
		at += 8
	}
	if le.Uint64(data[at:]) != xxhash.Sum64(data[:at]) {
		return false
	}
	at += 8
	for ; len(words) > 0; words = words[blockWords:] {
		n, prints, left := words[0], words[4], uint64(len(data)-at)
		if n == 0 {
			s.blocks = append(s.blocks, block{})
			continue
		}
		if n > left/entryBytes || prints == 0 || prints > (left-n*entryBytes)/2 {
			return false
		}
		s.blocks = append(s.blocks, block{
			entries: unsafe.Slice((*entry)(unsafe.Pointer(&data[at])), n),
			filter: xorfilter.BinaryFuse[uint16]{Seed: words[1],
				SegmentLength: uint32(words[2]), SegmentLengthMask: uint32(words[2] >> 32),
				SegmentCount: uint32(words[3]), SegmentCountLength: uint32(words[3] >> 32),
				Fingerprints: unsafe.Slice((*uint16)(unsafe.Pointer(&data[at+int(n)*entryBytes])), prints)},
		})
		s.entries += int(n)
		at += int(n)*entryBytes + int(prints)*2
		if string(data[:8]) == segmentMagic {
			at += padding(int(prints) * 2)
		}
	}
	return at == len(data) && s.entries > 0
}

func (s *segment) unmap() { unix.Munmap(s.mapped) } // nothing to do when it fails

func (s *segment) remove() {
	s.unmap()
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
