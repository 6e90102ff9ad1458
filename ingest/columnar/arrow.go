package columnar

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"sort"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ombor/internal/problem"
)

// The stream is a sequence of messages, each a length, metadata as a FlatBuffer, and a
// body of buffers: https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format.

// Arrow reads an Arrow IPC stream, or a file in the IPC file format (Feather), which is a
// stream between two marks. The stream must end with its end-of-stream marker: without it
// nobody can tell a whole stream from one that was cut off between two batches.
func Arrow(r io.Reader, o Options) (rows *Rows, err error) {
	defer caughtOpening("the Arrow stream", &err)
	o = o.withDefaults()
	a := &arrowSource{r: bufio.NewReaderSize(r, 64<<10), options: o, dictionaries: map[int64]*dictionary{},
		budget: budget{left: o.Unpacked, page: o.Page, charge: o.Charge}}
	magic, err := a.r.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) { // which Peek would give to nobody else
		return nil, a.ended(err)
	}
	if bytes.HasPrefix(magic, []byte("ARROW1")) {
		a.file = true
		_, _ = a.r.Discard(8) // they are in the buffer
	}
	header, message, err := a.message()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, problem.New(problem.BadInput, "the Arrow stream is empty: it has no schema")
		}
		return nil, err
	}
	if header != schemaMessage {
		return nil, problem.New(problem.BadInput, "the Arrow stream does not begin with a schema")
	}
	headers, metadata, err := a.schema(message)
	if err != nil {
		return nil, err
	}
	return open(a, headers, metadata, o)
}

// Message headers.
const (
	schemaMessage     = 1
	dictionaryMessage = 2
	batchMessage      = 3
)

// maxMetadata bounds a message's FlatBuffer: a schema of thousands of columns fits.
const maxMetadata = 4 << 20

type arrowSource struct {
	r            *bufio.Reader
	file         bool // a footer follows the stream
	options      Options
	budget       budget
	metadata     []byte
	body         []byte
	dictionaries map[int64]*dictionary
	columns      []*arrowColumn
	frame        int // columns of the top level, with data counted once
	data         *arrowColumn
	batches      int
	rows         int64 // of the batch
	row          int64 // next one's index
	zstd         *zstd.Decoder
	lz4          *lz4.Reader
}

// arrowColumn is a column of the schema and its buffers in the current batch.
type arrowColumn struct {
	header     header
	layout     arrowLayout
	width      int // bytes of a value, or of an offset
	token      func(dst []byte, v arrowValues, i int64) []byte
	dictionary int64 // id, or -1
	signed     bool  // the indexes of a dictionary
	children   []*arrowColumn
	inData     bool

	validity []byte // nil: all valid
	values   arrowValues
}

type arrowLayout uint8

const (
	layoutNull arrowLayout = iota
	layoutBits
	layoutFixed
	layoutBytes // offsets and bytes
	layoutStruct
)

// arrowValues are the buffers of an array without its validity.
type arrowValues struct {
	offsets []byte
	data    []byte
	width   int
}

func (v arrowValues) bytes(i int64) []byte {
	var from, to uint64
	if v.width == 4 {
		from, to = uint64(binary.LittleEndian.Uint32(v.offsets[4*i:])), uint64(binary.LittleEndian.Uint32(v.offsets[4*i+4:]))
	} else {
		from, to = binary.LittleEndian.Uint64(v.offsets[8*i:]), binary.LittleEndian.Uint64(v.offsets[8*i+8:])
	}
	if from > to || to > uint64(len(v.data)) {
		damaged("a text lies outside its buffer")
	}
	return v.data[from:to]
}

func (v arrowValues) fixed(i int64) []byte { return v.data[i*int64(v.width):][:v.width] }

func (v arrowValues) signed(i int64) int64 {
	switch b := v.fixed(i); v.width {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	default:
		return int64(binary.LittleEndian.Uint64(b))
	}
}

func (v arrowValues) unsigned(i int64) uint64 {
	switch b := v.fixed(i); v.width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	default:
		return binary.LittleEndian.Uint64(b)
	}
}

func bit(bits []byte, i int64) bool { return bits[i>>3]>>(i&7)&1 != 0 }

// dictionary is what the indexes of a column mean: an array, and those that came after
// it as deltas.
type dictionary struct {
	column *arrowColumn // how its values look
	pieces []dictionaryPiece
	size   int64
}

type dictionaryPiece struct {
	from     int64
	validity []byte
	values   arrowValues
}

// find is the piece that holds value i, and its index there.
func (d *dictionary) find(i int64) (*dictionaryPiece, int64) {
	if i < 0 || i >= d.size {
		damaged("an index is outside its dictionary")
	}
	n := sort.Search(len(d.pieces), func(n int) bool { return d.pieces[n].from > i }) - 1
	return &d.pieces[n], i - d.pieces[n].from
}

// message reads the next message; io.EOF after the end-of-stream marker.
func (a *arrowSource) message() (header byte, m flat, err error) {
	length, err := a.length()
	if err != nil {
		return 0, m, err
	}
	if length == 0 {
		return 0, m, io.EOF
	}
	if length < 0 || length > maxMetadata {
		damaged("a message's metadata has %d bytes; at most %d are read", length, maxMetadata)
	}
	if a.metadata, err = readN(a.r, a.metadata, int(length)); err != nil {
		return 0, m, a.ended(err)
	}
	m = root(a.metadata)
	bodyLength := m.int64(3)
	if bodyLength < 0 {
		damaged("a size is negative")
	}
	if bodyLength > a.options.Page {
		return 0, m, problem.New(problem.TooLarge, "a record batch has more than %d MiB; write smaller batches", a.options.Page>>20)
	}
	header = m.byte(1, 0)
	if a.body, err = readN(a.r, a.body, int(bodyLength)); err != nil {
		return 0, m, a.ended(err)
	}
	return header, m, nil
}

// length is that of the next message's metadata. Before Arrow 0.15 no continuation mark
// stood before it.
func (a *arrowSource) length() (int32, error) {
	var b [4]byte
	for n := range 2 {
		if a.file && n == 0 { // in a file a message always has the mark; what has none is the footer
			next, err := a.r.Peek(4)
			if err != nil {
				return 0, a.ended(err)
			}
			if binary.LittleEndian.Uint32(next) != 0xFFFFFFFF {
				return 0, nil
			}
		}
		if _, err := io.ReadFull(a.r, b[:]); err != nil {
			return 0, a.ended(err)
		}
		if n := binary.LittleEndian.Uint32(b[:]); n != 0xFFFFFFFF {
			return int32(n), nil
		}
	}
	damaged("a message has no length")
	return 0, nil
}

// ended tells a stream that stops where it should not from a reader that failed.
func (a *arrowSource) ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%s ends early: %w", a.where(), io.ErrUnexpectedEOF)
	}
	return err
}

func (a *arrowSource) where() string {
	return fmt.Sprintf("the Arrow stream, in record batch %d,", a.batches)
}

// schema reads the columns.
func (a *arrowSource) schema(message flat) ([]header, map[string]string, error) {
	s := message.table(2)
	if s.int16(0, 0) != 0 {
		return nil, nil, problem.New(problem.BadInput, "the Arrow stream is big-endian; write it in the order of this machine, little-endian")
	}
	metadata := map[string]string{"ce-type": keyValue(s, 2, "ce-type"), "ce-source": keyValue(s, 2, "ce-source")}
	if n := s.vector(1); n > maxColumns {
		return nil, nil, tooManyColumns(n)
	}
	var headers []header
	for i := range s.vector(1) {
		f := s.element(1, i)
		c, err := a.field(f, columnName(f.text(0)), false)
		if err != nil {
			return nil, nil, err
		}
		a.columns = append(a.columns, c)
		if c.layout == layoutStruct {
			if a.data != nil {
				return nil, nil, wrong("data", "stands twice")
			}
			a.data = c
			for _, child := range c.children {
				headers = append(headers, child.header)
			}
			continue
		}
		headers = append(headers, c.header)
	}
	a.flatten()
	return headers, metadata, nil
}

// flatten lists the columns as their headers are listed.
func (a *arrowSource) flatten() {
	top := a.columns
	var leaves []*arrowColumn
	for _, c := range top {
		if c.layout == layoutStruct {
			leaves = append(leaves, c.children...)
		} else {
			leaves = append(leaves, c)
		}
	}
	a.frame, a.columns = len(top), append(top[:len(top):len(top)], leaves...)
}

// keyValue is the value that custom metadata give to a key, "" for none.
func keyValue(t flat, slot int, key string) string {
	for i := range t.vector(slot) {
		if kv := t.element(slot, i); string(kv.text(0)) == key {
			return string(kv.text(1))
		}
	}
	return ""
}

// Types of Arrow's Schema.fbs.
const (
	typeNull = iota + 1
	typeInt
	typeFloat
	typeBinary
	typeUTF8
	typeBool
	typeDecimal
	typeDate
	typeTime
	typeTimestamp
	typeInterval
	typeList
	typeStruct
	typeUnion
	typeFixedBinary
	typeFixedList
	typeMap
	typeDuration
	typeLargeBinary
	typeLargeUTF8
	typeLargeList
)

var arrowTypes = [...]string{"", "null", "int", "float", "binary", "utf8", "bool", "decimal", "date", "time of day", "timestamp", "interval", "list", "struct",
	"union", "fixed-size binary", "fixed-size list", "map", "duration", "large binary", "large utf8", "large list", "run-end encoded", "binary view", "utf8 view", "list view", "large list view"}

// field reads how a column looks, or refuses its type.
func (a *arrowSource) field(f flat, name string, inData bool) (*arrowColumn, error) {
	c := &arrowColumn{header: header{name: name, inData: inData}, dictionary: -1, inData: inData}
	h, t := &c.header, f.byte(2, 0)
	p := f.table(3)
	if int(t) < len(arrowTypes) {
		h.spelt = arrowTypes[t]
	} else {
		h.spelt = "of a type that is not known here"
	}
	if t == typeStruct && name == "data" && !inData {
		c.layout = layoutStruct
		if n := f.vector(5); n > maxColumns {
			return nil, tooManyColumns(n)
		}
		for i := range f.vector(5) {
			child := f.element(5, i)
			field, err := a.field(child, columnName(child.text(0)), true)
			if err != nil {
				return nil, err
			}
			c.children = append(c.children, field)
		}
		return c, nil
	}
	limit := a.options.Event
	fixed := func(width int, k kind, token func([]byte, arrowValues, int64) []byte) {
		c.layout, c.width, h.kind, c.token = layoutFixed, width, k, token
	}
	switch t {
	case typeNull:
		c.layout = layoutNull
	case typeBool:
		c.layout, h.kind = layoutBits, boolean
		c.token = func(dst []byte, v arrowValues, i int64) []byte { return strconv.AppendBool(dst, bit(v.data, i)) }
	case typeInt:
		width, signed := p.int32(0, 0), p.byte(1, 0) != 0
		if width != 8 && width != 16 && width != 32 && width != 64 {
			return nil, wrong(h.full(), "is a whole number of %d bits", width)
		}
		fixed(int(width)/8, whole, func(dst []byte, v arrowValues, i int64) []byte { return strconv.AppendInt(dst, v.signed(i), 10) })
		if h.spelt = fmt.Sprintf("int%d", width); !signed {
			h.spelt = "u" + h.spelt
			c.token = func(dst []byte, v arrowValues, i int64) []byte { return strconv.AppendUint(dst, v.unsigned(i), 10) }
		}
	case typeFloat:
		switch p.int16(0, 0) {
		case 0:
			fixed(2, float, func(dst []byte, v arrowValues, i int64) []byte {
				return appendFloat(dst, halfFloat(uint16(v.unsigned(i))), 32)
			})
		case 1:
			fixed(4, float, func(dst []byte, v arrowValues, i int64) []byte {
				return appendFloat(dst, float64(math.Float32frombits(uint32(v.unsigned(i)))), 32)
			})
		default:
			fixed(8, float, func(dst []byte, v arrowValues, i int64) []byte {
				return appendFloat(dst, math.Float64frombits(v.unsigned(i)), 64)
			})
		}
	case typeUTF8, typeLargeUTF8:
		c.layout, c.width, h.kind = layoutBytes, 4, text
		if t == typeLargeUTF8 {
			c.width = 8
		}
		c.token = func(dst []byte, v arrowValues, i int64) []byte {
			s := v.bytes(i)
			if len(s) > limit {
				return nil
			}
			return appendQuoted(dst, s)
		}
	case typeDecimal:
		scale, bits := int(p.int32(1, 0)), int(p.int32(2, 128))
		if scale < -maxScale || scale > maxScale || bits != 32 && bits != 64 && bits != 128 && bits != 256 {
			return nil, wrong(h.full(), "is a decimal of %d bits with scale %d", bits, scale)
		}
		h.spelt = fmt.Sprintf("decimal%d with scale %d", bits, scale)
		fixed(bits/8, decimal, func(dst []byte, v arrowValues, i int64) []byte {
			if v.width <= 8 {
				return appendSmallDecimal(dst, v.signed(i), scale)
			}
			return appendDecimal(dst, littleEndian(v.fixed(i)), scale)
		})
	case typeDate:
		width, perDay := 8, int64(86_400_000)
		if p.int16(0, 1) == 0 {
			width, perDay = 4, 1
		}
		fixed(width, date, func(dst []byte, v arrowValues, i int64) []byte {
			n := v.signed(i)
			day := n / perDay
			if n%perDay < 0 {
				day--
			}
			return appendDay(dst, day)
		})
	case typeTimestamp:
		u := unit(p.int16(0, 0))
		if u > nanos {
			damaged("a timestamp has no known unit")
		}
		if len(p.text(1)) == 0 {
			return nil, wrong(h.full(), "is a timestamp without a time zone, so nobody can tell which moment it is; write timestamp[%s, tz=UTC]", unitNames[u])
		}
		fixed(8, instant, func(dst []byte, v arrowValues, i int64) []byte { return appendInstant(dst, v.signed(i), u) })
	case typeDuration:
		u := unit(p.int16(0, 1))
		if u > nanos {
			damaged("a duration has no known unit")
		}
		fixed(8, duration, func(dst []byte, v arrowValues, i int64) []byte { return appendMillis(dst, v.signed(i), u) })
	case typeFixedBinary:
		if keyValue(f, 6, "ARROW:extension:name") == "arrow.uuid" && p.int32(0, 0) == 16 {
			fixed(16, text, func(dst []byte, v arrowValues, i int64) []byte { return appendUUID(dst, v.fixed(i)) })
			break
		}
		return nil, wrong(h.full(), "is %s, which no field takes; write it as utf8", h.spelt)
	default:
		instead := "write one column for each value"
		if t == typeBinary || t == typeLargeBinary || t > typeLargeList {
			instead = "write it as utf8"
		}
		return nil, wrong(h.full(), "is %s, which is not taken; %s", h.spelt, instead)
	}
	if !f.has(4) {
		return c, nil
	}
	values := *c
	d := f.table(4)
	c.dictionary, c.layout, c.width, c.signed = d.int64(0), layoutFixed, 4, true
	if d.has(1) {
		index := d.table(1)
		c.width, c.signed = int(index.int32(0, 0))/8, index.byte(1, 0) != 0
	}
	if c.width != 1 && c.width != 2 && c.width != 4 && c.width != 8 {
		damaged("the indexes of a dictionary have %d bytes", c.width)
	}
	if a.dictionaries[c.dictionary] == nil {
		a.dictionaries[c.dictionary] = &dictionary{column: &values}
	} else if other := a.dictionaries[c.dictionary].column; other.layout != values.layout || other.width != values.width {
		damaged("two columns give one dictionary two types")
	}
	return c, nil
}

// littleEndian reads two's complement, as Arrow stores decimals.
func littleEndian(b []byte) *big.Int {
	reversed := make([]byte, len(b))
	for i, c := range b {
		reversed[len(b)-1-i] = c
	}
	return bigEndian(reversed)
}

// advance goes to the next row, reading batches as needed.
func (a *arrowSource) advance() error {
	for a.row++; a.row > a.rows; a.row = 1 {
		if err := a.batch(); err != nil {
			return err
		}
	}
	return nil
}

// batch reads messages up to the next record batch.
func (a *arrowSource) batch() error {
	for {
		a.rows, a.row = 0, 0
		header, m, err := a.message()
		if errors.Is(err, io.EOF) {
			return a.end()
		}
		if err != nil {
			return err
		}
		switch header {
		case dictionaryMessage:
			if err := a.dictionaryBatch(m.table(2)); err != nil {
				return err
			}
			a.body = nil // is the dictionary's now
		case batchMessage:
			a.batches++
			record := m.table(2)
			n := record.int64(0)
			if n < 0 {
				damaged("a batch has %d rows", n)
			}
			l := &loader{a: a, record: record, body: a.body}
			for _, c := range a.columns[:a.frame] {
				if err := l.column(c, n); err != nil {
					return err
				}
			}
			a.rows = n
			return nil
		default:
			damaged("a message of kind %d stands between the batches", header)
		}
	}
}

// end reads what stands behind the last batch, so that nothing is passed over unseen and
// the sender reads the answer. It returns io.EOF when all is well.
func (a *arrowSource) end() error {
	if a.file {
		return a.footer()
	}
	n, err := io.Copy(io.Discard, a.r)
	if err != nil {
		return err
	}
	if n > 0 {
		damaged("%d bytes follow its end-of-stream marker", n)
	}
	return io.EOF
}

// footer checks that a file ends as it should and lists as many batches as there were.
// Before it stands an end-of-stream marker, which some writers leave out.
func (a *arrowSource) footer() error {
	tail, err := io.ReadAll(io.LimitReader(a.r, maxFooter))
	if err != nil {
		return err
	}
	tail = bytes.TrimPrefix(tail, []byte{0, 0, 0, 0})
	n := len(tail) - 10 // the footer; behind it its length and ARROW1
	if n < 0 || string(tail[n+4:]) != "ARROW1" || int(binary.LittleEndian.Uint32(tail[n:])) != n {
		damaged("the file does not end with a footer and ARROW1")
	}
	if listed := root(tail[:n]).pairs(3); listed != a.batches {
		damaged("the file lists %d record batches, and %d were there", listed, a.batches)
	}
	return io.EOF
}

func (a *arrowSource) dictionaryBatch(m flat) error {
	d := a.dictionaries[m.int64(0)]
	if d == nil {
		damaged("no column has dictionary %d", m.int64(0))
	}
	record := m.table(1)
	n := record.int64(0)
	if n < 0 {
		damaged("a dictionary has %d values", n)
	}
	column := *d.column
	l := &loader{a: a, record: record, body: a.body}
	if err := l.column(&column, n); err != nil {
		return err
	}
	if m.byte(2, 0) == 0 {
		d.pieces, d.size = nil, 0
	}
	d.pieces = append(d.pieces, dictionaryPiece{d.size, column.validity, column.values})
	d.size += n
	return nil
}

// loader hands the nodes and buffers of a record batch to the columns, in their order.
type loader struct {
	a            *arrowSource
	record       flat
	body         []byte
	node, buffer int
}

func (l *loader) column(c *arrowColumn, n int64) error {
	if rows := l.record.pair(1, l.node, 0); rows != n {
		damaged("column %s has %d values where the batch has %d rows", c.header.full(), rows, n)
	}
	l.node++
	if c.layout == layoutNull {
		return nil
	}
	var err error
	if c.validity, err = l.next(); err != nil {
		return err
	}
	if len(c.validity) == 0 {
		c.validity = nil
	} else if int64(len(c.validity)) < n/8 || int64(len(c.validity))*8 < n {
		damaged("the validity of column %s is cut off", c.header.full())
	}
	if c.layout == layoutStruct {
		for _, child := range c.children {
			if err := l.column(child, n); err != nil {
				return err
			}
		}
		return nil
	}
	c.values.width = c.width
	if c.layout == layoutBytes {
		if c.values.offsets, err = l.next(); err != nil {
			return err
		}
		if have := int64(len(c.values.offsets)) / int64(c.width); n > 0 && have <= n {
			damaged("the offsets of column %s are cut off", c.header.full())
		}
	}
	if c.values.data, err = l.next(); err != nil {
		return err
	}
	have := int64(len(c.values.data))
	if c.layout == layoutBits && have < n/8+min(n%8, 1) || c.layout == layoutFixed && have/int64(c.width) < n {
		damaged("the values of column %s are cut off", c.header.full())
	}
	return nil
}

// next is the record's next buffer, unpacked.
func (l *loader) next() ([]byte, error) {
	offset, length := l.record.pair(2, l.buffer, 0), l.record.pair(2, l.buffer, 8)
	l.buffer++
	if offset < 0 || length < 0 || offset > int64(len(l.body)) || length > int64(len(l.body))-offset {
		damaged("a buffer lies outside its message")
	}
	b := l.body[offset : offset+length]
	if !l.record.has(3) || length == 0 {
		return b, nil
	}
	if length < 8 {
		damaged("a compressed buffer has no size")
	}
	size := int64(binary.LittleEndian.Uint64(b))
	b = b[8:]
	if size == -1 {
		return b, nil // this one is not compressed
	}
	if err := l.a.budget.take(size); err != nil {
		return nil, err
	}
	if l.record.table(3).byte(0, 0) == 0 {
		if l.a.lz4 == nil {
			l.a.lz4 = lz4.NewReader(nil)
		}
		l.a.lz4.Reset(bytes.NewReader(b))
		out, err := readN(l.a.lz4, nil, int(size))
		if err != nil {
			damaged("a buffer cannot be unpacked with LZ4")
		}
		return out, nil
	}
	var err error
	if l.a.zstd == nil {
		if l.a.zstd, err = newZstd(l.a.options.Page); err != nil {
			return nil, err
		}
	}
	return unzstd(l.a.zstd, b, size), nil
}

// newZstd makes a decoder that gives no more than most bytes.
func newZstd(most int64) (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(uint64(most)))
}

// unzstd unpacks what has to be size bytes.
func unzstd(z *zstd.Decoder, b []byte, size int64) []byte {
	var frame zstd.Header
	if frame.Decode(b) != nil || frame.HasFCS && frame.FrameContentSize != uint64(size) {
		damaged("a size differs from what Zstandard says")
	}
	if !frame.HasFCS { // read as a stream, with a window of at most 8 MiB, as RFC 8878 asks decoders to bear
		if frame.WindowSize > 8<<20 {
			damaged("the Zstandard window is larger than 8 MiB")
		}
		stream, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			damaged("what is packed with Zstandard cannot be unpacked")
		}
		defer stream.Close()
		out, err := readN(stream, nil, int(size))
		if err != nil {
			damaged("what is packed with Zstandard cannot be unpacked")
		}
		return out
	}
	out, err := z.DecodeAll(b, make([]byte, 0, size))
	if err != nil || int64(len(out)) != size {
		damaged("what is packed with Zstandard cannot be unpacked")
	}
	return out
}

func (a *arrowSource) next(column int, dst []byte) ([]byte, presence, error) {
	c, i := a.columns[a.frame+column], a.row-1
	if c.inData && a.data.validity != nil && !bit(a.data.validity, i) {
		return dst, absent, nil
	}
	if c.layout == layoutNull || c.validity != nil && !bit(c.validity, i) {
		return dst, null, nil
	}
	values, token := c.values, c.token
	if c.dictionary >= 0 {
		d := a.dictionaries[c.dictionary]
		at := values.signed(i)
		if !c.signed {
			at = int64(values.unsigned(i))
		}
		piece, at := d.find(at)
		if d.column.layout == layoutNull || piece.validity != nil && !bit(piece.validity, at) {
			return dst, null, nil
		}
		values, i, token = piece.values, at, d.column.token
	}
	out := token(dst, values, i)
	if out == nil {
		return dst, long, nil
	}
	return out, present, nil
}
