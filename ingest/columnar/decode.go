package columnar

import (
	"encoding/binary"
	"math/bits"
)

// The encodings of Parquet's values (https://parquet.apache.org/docs/file-format/data-pages/encodings/),
// each read one value at a time.

// raw is a value as Parquet stores it: a number of 32 or 64 bits, or bytes.
type raw struct {
	n int64
	b []byte
}

// decoder gives the values of a page that are not null, in order.
type decoder interface{ value() raw }

// Physical types.
const (
	physicalBoolean = iota
	physicalInt32
	physicalInt64
	physicalInt96
	physicalFloat
	physicalDouble
	physicalBytes
	physicalFixed
)

// widthOf is the number of bytes of a value, 0 when they differ.
func widthOf(physical, length int) int {
	switch physical {
	case physicalInt32, physicalFloat:
		return 4
	case physicalInt64, physicalDouble:
		return 8
	case physicalInt96:
		return 12
	case physicalFixed:
		return length
	}
	return 0
}

func rawOf(b []byte) raw {
	switch len(b) {
	case 4:
		return raw{int64(int32(binary.LittleEndian.Uint32(b))), b}
	case 8:
		return raw{int64(binary.LittleEndian.Uint64(b)), b}
	}
	return raw{0, b}
}

// plain reads values one after the other.
type plain struct {
	b     []byte
	width int // 0: each has its length before it
}

func (p *plain) value() raw {
	n := p.width
	if n == 0 {
		if len(p.b) < 4 {
			damaged("a page has too few values")
		}
		length := binary.LittleEndian.Uint32(p.b)
		if p.b = p.b[4:]; uint64(length) > uint64(len(p.b)) {
			damaged("a text lies outside its page")
		}
		n = int(length)
	}
	if len(p.b) < n {
		damaged("a page has too few values")
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	if p.width == 0 {
		return raw{0, v}
	}
	return rawOf(v)
}

// plainBits reads booleans.
type plainBits struct {
	b  []byte
	at int
}

func (p *plainBits) value() raw {
	if p.at>>3 >= len(p.b) {
		damaged("a page has too few values")
	}
	n := int64(p.b[p.at>>3] >> (p.at & 7) & 1)
	p.at++
	return raw{n: n}
}

// hybrid reads runs and bit-packed groups of small numbers.
type hybrid struct {
	b      []byte
	width  int // bits
	run    uint64
	number uint32
	packed []byte
	left   int // of packed
	bit    int
}

func (h *hybrid) next() uint32 {
	for h.run == 0 && h.left == 0 {
		head, n := binary.Uvarint(h.b)
		if n <= 0 {
			damaged("a page has too few values")
		}
		h.b = h.b[n:]
		if head&1 == 0 {
			size := (h.width + 7) / 8
			if len(h.b) < size {
				damaged("a run is cut off")
			}
			h.run, h.number = head>>1, 0
			for i := range size {
				h.number |= uint32(h.b[i]) << (8 * i)
			}
			h.b = h.b[size:]
			continue
		}
		groups := head >> 1
		if h.width > 0 && groups > uint64(len(h.b)/h.width) {
			// The last group may be cut off where its values are not needed.
			if groups = uint64(len(h.b)/h.width) + 1; len(h.b) == 0 {
				damaged("a bit-packed group is cut off")
			}
		}
		size := min(int(groups)*h.width, len(h.b))
		if h.width == 0 {
			h.run, h.number = min(groups, 1<<50)*8, 0
			continue
		}
		h.packed, h.b, h.bit = h.b[:size], h.b[size:], 0
		h.left = size * 8 / h.width
	}
	if h.run > 0 {
		h.run--
		return h.number
	}
	h.left--
	n := unpack(h.packed, h.bit, h.width)
	h.bit += h.width
	return uint32(n)
}

// unpack reads width bits (at most 64) that begin at a bit, the lowest first; bits
// behind the end are zero.
func unpack(b []byte, at, width int) uint64 {
	if width == 0 {
		return 0
	}
	var buf [9]byte
	copy(buf[:], b[min(at>>3, len(b)):])
	n := binary.LittleEndian.Uint64(buf[:]) >> (at & 7)
	if shift := at & 7; shift+width > 64 {
		n |= uint64(buf[8]) << (64 - shift)
	}
	if width < 64 {
		n &= 1<<width - 1
	}
	return n
}

// hybridBits reads booleans in runs.
type hybridBits struct{ h hybrid }

func newHybridBits(b []byte) *hybridBits {
	if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
		damaged("a page has too few values")
	}
	return &hybridBits{hybrid{b: b[4 : 4+binary.LittleEndian.Uint32(b)], width: 1}}
}

func (h *hybridBits) value() raw { return raw{n: int64(h.h.next())} }

// pageDictionary is a dictionary page.
type pageDictionary struct {
	b       []byte
	width   int
	offsets []uint32 // where the texts begin, and where the last ends; with width 0
	n       int
}

func newPageDictionary(b []byte, n int64, width int) *pageDictionary {
	d := &pageDictionary{b: b, width: width, n: int(n)}
	if least := max(width, 1); n < 0 || n > int64(len(b)/least) {
		damaged("a dictionary has too few values")
	}
	if width > 0 {
		return d
	}
	if n > int64(len(b)/4) {
		damaged("a dictionary has too few values")
	}
	d.offsets = make([]uint32, 0, n)
	p := plain{b: b}
	for range n {
		d.offsets = append(d.offsets, uint32(len(b)-len(p.b)))
		p.value()
	}
	return d
}

func (d *pageDictionary) at(i uint32) raw {
	if int64(i) >= int64(d.n) {
		damaged("an index is outside its dictionary")
	}
	if d.width > 0 {
		return rawOf(d.b[int(i)*d.width:][:d.width])
	}
	p := plain{b: d.b[d.offsets[i]:]}
	return p.value()
}

// indexed reads indexes into a dictionary.
type indexed struct {
	h          hybrid
	dictionary *pageDictionary
}

func newIndexed(b []byte, d *pageDictionary) *indexed {
	if d == nil {
		damaged("a page refers to a dictionary that is not there")
	}
	if len(b) == 0 {
		return &indexed{dictionary: d} // all null
	}
	if b[0] > 32 {
		damaged("the indexes of a dictionary have %d bits", b[0])
	}
	return &indexed{hybrid{b: b[1:], width: int(b[0])}, d}
}

func (i *indexed) value() raw { return i.dictionary.at(i.h.next()) }

// split reads numbers whose first bytes stand together, then the second bytes …
type split struct {
	b            []byte
	width, n, at int
	scratch      [16]byte
}

func newSplit(b []byte, width int) *split {
	if width < 1 || width > 16 || len(b)%width != 0 {
		damaged("a page does not hold whole values")
	}
	return &split{b: b, width: width, n: len(b) / width}
}

func (s *split) value() raw {
	if s.at >= s.n {
		damaged("a page has too few values")
	}
	for i := range s.width {
		s.scratch[i] = s.b[i*s.n+s.at]
	}
	s.at++
	return rawOf(s.scratch[:s.width])
}

// delta reads whole numbers by their differences. Numbers of 32 bits wrap around at 32.
type delta struct {
	b         []byte
	narrow    bool
	left      uint64 // values that are still to come
	first     bool
	last      int64
	perMini   int
	minis     int
	widths    []byte // of the miniblocks that are left in the block
	least     int64
	mini      []byte // the miniblock
	miniLeft  int
	miniWidth int
	bit       int
}

func (d *delta) uvarint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		damaged("a block of differences is cut off")
	}
	d.b = d.b[size:]
	return n
}

func (d *delta) varint() int64 {
	n := d.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

func newDelta(b []byte, narrow bool) *delta {
	d := &delta{b: b, narrow: narrow, first: true}
	block, minis := d.uvarint(), d.uvarint()
	d.left = d.uvarint()
	d.last = d.varint()
	if minis < 1 || minis > 1<<10 || block%minis != 0 || block/minis < 8 || block/minis%8 != 0 || block > 1<<20 {
		damaged("a block of differences has an impossible size")
	}
	d.perMini, d.minis = int(block/minis), int(minis)
	return d
}

func (d *delta) next() int64 {
	if d.left == 0 {
		damaged("a page has too few values")
	}
	d.left--
	if d.first {
		d.first = false
		return d.last
	}
	for d.miniLeft == 0 {
		d.startMini()
	}
	n := unpack(d.mini, d.bit, d.miniWidth)
	d.bit += d.miniWidth
	d.miniLeft--
	d.last += d.least + int64(n)
	if d.narrow {
		d.last = int64(int32(d.last))
	}
	return d.last
}

func (d *delta) startMini() {
	if len(d.widths) == 0 {
		d.least = d.varint()
		if len(d.b) < d.minis {
			damaged("a block of differences is cut off")
		}
		d.widths, d.b = d.b[:d.minis], d.b[d.minis:]
	}
	d.miniWidth, d.widths = int(d.widths[0]), d.widths[1:]
	if d.miniWidth > 64 {
		damaged("a difference has %d bits", d.miniWidth)
	}
	// The last miniblock may be cut off where its values are not needed.
	size := min(d.perMini*d.miniWidth/8, len(d.b))
	d.mini, d.b, d.bit = d.b[:size], d.b[size:], 0
	d.miniLeft = d.perMini
	if size*8 < min(d.perMini, int(min(d.left+1, 1<<20)))*d.miniWidth {
		damaged("a block of differences is cut off")
	}
}

// rest is what stands behind the numbers, when all of them were read.
func (d *delta) rest() []byte { return d.b }

func (d *delta) value() raw { return raw{n: d.next()} }

// lengths reads a list of at most limit numbers of 32 bits whole, and what follows it.
func lengths(b []byte, limit int) ([]int32, []byte) {
	d := newDelta(b, true)
	if d.left > uint64(limit) {
		damaged("a page has %d lengths for %d values", d.left, limit)
	}
	all := make([]int32, 0, min(d.left, uint64(len(b))+1))
	for d.left > 0 {
		n := d.next()
		if n < 0 {
			damaged("a length is negative")
		}
		all = append(all, int32(n))
	}
	return all, d.rest()
}

// deltaLengths reads texts whose lengths stand together before them.
type deltaLengths struct {
	lengths []int32
	b       []byte
}

func newDeltaLengths(b []byte, limit int) *deltaLengths {
	d := &deltaLengths{}
	d.lengths, d.b = lengths(b, limit)
	return d
}

func (d *deltaLengths) value() raw {
	if len(d.lengths) == 0 {
		damaged("a page has too few values")
	}
	n := int(d.lengths[0])
	if n > len(d.b) {
		damaged("a text lies outside its page")
	}
	v := d.b[:n]
	d.lengths, d.b = d.lengths[1:], d.b[n:]
	return raw{0, v}
}

// deltaBytes reads texts that begin as the one before.
type deltaBytes struct {
	prefixes []int32
	suffixes deltaLengths
	last     []byte
}

func newDeltaBytes(b []byte, limit int) *deltaBytes {
	d := &deltaBytes{}
	d.prefixes, b = lengths(b, limit)
	d.suffixes.lengths, d.suffixes.b = lengths(b, limit)
	return d
}

func (d *deltaBytes) value() raw {
	if len(d.prefixes) == 0 {
		damaged("a page has too few values")
	}
	n := int(d.prefixes[0])
	if n > len(d.last) {
		damaged("a text begins as one that is shorter")
	}
	d.prefixes = d.prefixes[1:]
	d.last = append(d.last[:n], d.suffixes.value().b...)
	return raw{0, d.last}
}

// bitsFor is the number of bits of levels up to most.
func bitsFor(most int) int { return bits.Len(uint(most)) }
