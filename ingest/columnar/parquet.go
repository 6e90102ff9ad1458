package columnar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"ombor/internal/problem"
)

// A file is row groups of column chunks of pages, and a footer that says where they are:
// https://parquet.apache.org/docs/file-format/

// Bounds of a file's metadata: thousands of row groups fit.
const (
	maxFooter = 16 << 20 // bytes
	maxChunks = 1 << 18  // row groups × columns
)

// Parquet reads a Parquet file of size bytes. Of every column one page and its dictionary
// are held at a time.
func Parquet(r io.ReaderAt, size int64, o Options) (rows *Rows, err error) {
	defer caughtOpening("the Parquet file", &err)
	o = o.withDefaults()
	p := &parquetSource{r: r, size: size, options: o, budget: budget{left: o.Unpacked, page: o.Page, charge: o.Charge}}
	headers, metadata, err := p.footer()
	if err != nil {
		return nil, err
	}
	if p.total > int64(o.Rows) {
		return nil, problem.New(problem.TooLarge, "there are %d rows and at most %d are taken; send them in several requests", p.total, o.Rows)
	}
	return open(p, headers, metadata, o)
}

type parquetSource struct {
	r       io.ReaderAt
	size    int64
	options Options
	budget  budget
	leaves  []*leaf
	groups  []rowGroup
	total   int64 // rows of the file, as it says
	chunks  int   // and row groups, counted while they are read
	claimed int64 // bytes of all chunks
	read    int   // row groups begun
	left    int64 // rows of the group that are still to come
	gunzip  *gzip.Reader
	zstd    *zstd.Decoder
}

type rowGroup struct {
	rows   int64
	chunks []chunk
}

// chunk is where a column's pages of a row group lie.
type chunk struct {
	codec, values, size, data, dictionary int64
	path                                  bool // in another file
	encrypted                             bool
}

// leaf is a column, and what is read of it.
type leaf struct {
	header
	physical  int
	length    int // bytes of physicalFixed
	dataLevel int // the level from which the struct data is there
	level     int // the level of a value that is there
	token     func(dst []byte, v raw) []byte

	at, end    int64 // of the chunk, in the file
	codec      int64
	left       int64 // values of the page that are still to come
	levels     hybrid
	values     decoder
	dictionary *pageDictionary
	packed     []byte // page as it lies in the file
}

func (p *parquetSource) where() string {
	return fmt.Sprintf("the Parquet file, in row group %d,", p.read)
}

func (p *parquetSource) readAt(b []byte, at int64) error {
	if _, err := p.r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return problem.Wrap(err, problem.Internal, "columnar: read", "the Parquet file cannot be read")
	} else if err != nil {
		damaged("it ends before its byte %d", at+int64(len(b)))
	}
	return nil
}

// footer reads the metadata.
func (p *parquetSource) footer() (headers []header, metadata map[string]string, err error) {
	if p.size < 12 {
		return nil, nil, problem.New(problem.BadInput, "this is no Parquet file: it has %d bytes", p.size)
	}
	var head [4]byte
	var tail [8]byte
	if err := errors.Join(p.readAt(head[:], 0), p.readAt(tail[:], p.size-8)); err != nil {
		return nil, nil, err
	}
	switch {
	case string(head[:]) == "PARE" || string(tail[4:]) == "PARE":
		return nil, nil, problem.New(problem.BadInput, "the Parquet file is encrypted; write it without")
	case string(head[:]) != "PAR1":
		return nil, nil, problem.New(problem.BadInput, "this is no Parquet file: it does not begin with PAR1")
	case string(tail[4:]) != "PAR1":
		return nil, nil, problem.New(problem.BadInput, "the Parquet file is cut off: it does not end with PAR1")
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if length > p.size-12 || length > maxFooter {
		damaged("its footer has %d bytes", length)
	}
	b := make([]byte, length)
	if err := p.readAt(b, p.size-8-length); err != nil {
		return nil, nil, err
	}
	t := &thrift{b: b}
	var schema []element
	metadata = map[string]string{}
	t.object(func(id int, kind byte) bool {
		switch id {
		case 2:
			return t.elements(kind, func(kind byte) { schema = append(schema, readElement(t, kind, len(schema))) })
		case 3:
			return t.number(kind, &p.total)
		case 4:
			return t.elements(kind, func(kind byte) { p.groups = append(p.groups, p.group(t, kind)) })
		case 5:
			return t.elements(kind, func(kind byte) {
				var key, value []byte
				t.structure(kind, func(id int, kind byte) bool {
					switch id {
					case 1:
						return t.text(kind, &key)
					case 2:
						return t.text(kind, &value)
					}
					return false
				})
				if k := string(key); k == "ce-type" || k == "ce-source" {
					metadata[k] = string(value)
				}
			})
		}
		return false
	})
	if err := p.columns(schema); err != nil {
		return nil, nil, err
	}
	for _, l := range p.leaves {
		headers = append(headers, l.header)
	}
	return headers, metadata, nil
}

// element is a node of the schema, its children behind it.
type element struct {
	name                                              string
	physical, length, repetition, children, converted int64
	scale                                             int64
	logical                                           int // field of the union LogicalType, 0 for none
	utc, signed                                       bool
	unit                                              unit
	leaf                                              bool
}

const (
	required = 0
	optional = 1
	repeated = 2
)

func readElement(t *thrift, kind byte, n int) element {
	e := element{converted: -1}
	if n > maxColumns {
		damaged("its schema has more than %d columns", maxColumns)
	}
	if !t.structure(kind, func(id int, kind byte) bool {
		switch id {
		case 1:
			e.leaf = true
			return t.number(kind, &e.physical)
		case 2:
			return t.number(kind, &e.length)
		case 3:
			return t.number(kind, &e.repetition)
		case 4:
			var name []byte
			ok := t.text(kind, &name)
			e.name = columnName(name)
			return ok
		case 5:
			return t.number(kind, &e.children)
		case 6:
			return t.number(kind, &e.converted)
		case 7:
			return t.number(kind, &e.scale)
		case 10:
			return t.structure(kind, func(id int, kind byte) bool {
				e.logical = id
				return t.structure(kind, func(field int, kind byte) bool { return e.readLogical(t, field, kind) })
			})
		}
		return false
	}) {
		damaged("its schema is none")
	}
	return e
}

// Members of the union LogicalType that are told apart here.
const (
	logicalString    = 1
	logicalMap       = 2
	logicalList      = 3
	logicalEnum      = 4
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTime      = 7
	logicalTimestamp = 8
	logicalInteger   = 10
	logicalUnknown   = 11
	logicalJSON      = 12
	logicalBSON      = 13
	logicalUUID      = 14
	logicalFloat16   = 15
)

var logicalNames = map[int]string{logicalMap: "a map", logicalList: "a list", logicalTime: "a time of day", logicalBSON: "BSON"}

func (e *element) readLogical(t *thrift, field int, kind byte) bool {
	switch {
	case e.logical == logicalDecimal && field == 1:
		return t.number(kind, &e.scale)
	case e.logical == logicalTimestamp && field == 1:
		return t.boolean(kind, &e.utc)
	case e.logical == logicalTimestamp && field == 2:
		return t.structure(kind, func(id int, _ byte) bool { e.unit = unit(min(max(id, 1), 3)); return false })
	case e.logical == logicalInteger && field == 2:
		return t.boolean(kind, &e.signed)
	}
	return false
}

// group reads where a row group lies. All chunks together are no larger than the file,
// so that what is held of them is not either.
func (p *parquetSource) group(t *thrift, kind byte) rowGroup {
	var g rowGroup
	if p.chunks++; p.chunks > maxChunks {
		damaged("it has more than %d column chunks", maxChunks)
	}
	t.structure(kind, func(id int, kind byte) bool {
		switch id {
		case 1:
			return t.elements(kind, func(kind byte) {
				c := readChunk(t, kind)
				if p.chunks++; p.chunks > maxChunks {
					damaged("it has more than %d column chunks", maxChunks)
				}
				if c.size < 0 || c.size > p.size-p.claimed {
					damaged("its columns have more bytes than the file")
				}
				p.claimed += c.size
				g.chunks = append(g.chunks, c)
			})
		case 3:
			return t.number(kind, &g.rows)
		}
		return false
	})
	return g
}

func readChunk(t *thrift, kind byte) chunk {
	var c chunk
	t.structure(kind, func(id int, kind byte) bool {
		switch id {
		case 1:
			var path []byte
			ok := t.text(kind, &path)
			c.path = len(path) > 0
			return ok
		case 3:
			return t.structure(kind, func(id int, kind byte) bool {
				switch id {
				case 4:
					return t.number(kind, &c.codec)
				case 5:
					return t.number(kind, &c.values)
				case 7:
					return t.number(kind, &c.size)
				case 9:
					return t.number(kind, &c.data)
				case 11:
					return t.number(kind, &c.dictionary)
				}
				return false
			})
		case 8, 9:
			c.encrypted = true
		}
		return false
	})
	return c
}

// columns makes the leaves of the schema, or refuses what is nested otherwise than in data.
func (p *parquetSource) columns(schema []element) error {
	if len(schema) == 0 {
		damaged("it has no schema")
	}
	at := 1
	for range schema[0].children {
		if at >= len(schema) {
			damaged("its schema is cut off")
		}
		e := schema[at]
		at++
		if e.leaf {
			if err := p.column(e, 0, false); err != nil {
				return err
			}
			continue
		}
		if e.name != "data" || e.repetition == repeated || e.logical != 0 || e.converted >= 0 {
			what := logicalNames[e.logical]
			if what == "" {
				what = "a group"
			}
			return wrong(e.name, "is %s, which is not taken; write one column for each value. Only data may be a struct", what)
		}
		level := 0
		if e.repetition == optional {
			level = 1
		}
		for range e.children {
			if at >= len(schema) {
				damaged("its schema is cut off")
			}
			if !schema[at].leaf {
				return wrong("data."+schema[at].name, "is a group, list or map, which no field takes")
			}
			if err := p.column(schema[at], level, true); err != nil {
				return err
			}
			at++
		}
	}
	return nil
}

func (p *parquetSource) column(e element, level int, inData bool) error {
	l := &leaf{header: header{name: e.name, inData: inData}, physical: int(e.physical), length: int(e.length), dataLevel: level, level: level}
	if e.repetition == repeated {
		return wrong(l.full(), "is a list, which no field takes; write one column for each value")
	}
	if e.repetition == optional {
		l.level++
	}
	if e.physical == physicalFixed && (e.length < 1 || e.length > 1<<16) {
		damaged("column %s has values of %d bytes", l.full(), e.length)
	}
	if err := l.interpret(e, p.options.Event); err != nil {
		return err
	}
	p.leaves = append(p.leaves, l)
	return nil
}

// Converted types, which files had before there were logical ones.
const (
	convertedUTF8            = 0
	convertedEnum            = 4
	convertedDecimal         = 5
	convertedDate            = 6
	convertedTimeMillis      = 7
	convertedTimeMicros      = 8
	convertedTimestampMillis = 9
	convertedTimestampMicros = 10
	convertedUint8           = 11
	convertedUint64          = 14
	convertedJSON            = 19
	convertedBSON            = 20
	convertedInterval        = 21
)

// modernise gives an element that has only a converted type the logical one that means
// the same (LogicalTypes.md of the format).
func (e *element) modernise() {
	if e.logical != 0 {
		return
	}
	switch c := e.converted; {
	case c == convertedUTF8:
		e.logical = logicalString
	case c == convertedEnum:
		e.logical = logicalEnum
	case c == convertedDecimal:
		e.logical = logicalDecimal
	case c == convertedDate:
		e.logical = logicalDate
	case c == convertedTimeMillis, c == convertedTimeMicros:
		e.logical = logicalTime
	case c == convertedTimestampMillis:
		e.logical, e.utc, e.unit = logicalTimestamp, true, millis
	case c == convertedTimestampMicros:
		e.logical, e.utc, e.unit = logicalTimestamp, true, micros
	case c >= convertedUint8 && c <= convertedUint64:
		e.logical = logicalInteger
	case c == convertedJSON:
		e.logical = logicalJSON
	case c == convertedBSON:
		e.logical = logicalBSON
	}
}

var physicalNames = [...]string{"BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}

// interpret decides what a column's values mean, or refuses its type.
func (l *leaf) interpret(e element, limit int) error {
	e.modernise()
	if l.physical < 0 || l.physical >= len(physicalNames) {
		damaged("column %s has a type %d", l.full(), l.physical)
	}
	l.spelt = physicalNames[l.physical]
	is := func(physical ...int) bool { return slices.Contains(physical, l.physical) }
	set := func(k kind, spelt string, token func([]byte, raw) []byte) error {
		l.kind, l.token = k, token
		if spelt != "" {
			l.spelt = spelt
		}
		return nil
	}
	switch {
	case (e.logical == logicalString || e.logical == logicalEnum || e.logical == logicalJSON) && is(physicalBytes, physicalFixed):
		return set(text, "a string", func(dst []byte, v raw) []byte {
			if len(v.b) > limit {
				return nil
			}
			return appendQuoted(dst, v.b)
		})
	case e.logical == logicalDecimal:
		scale := int(e.scale)
		if scale < -maxScale || scale > maxScale {
			return wrong(l.full(), "is a decimal with scale %d", scale)
		}
		spelt := fmt.Sprintf("a decimal with scale %d", scale)
		if is(physicalInt32, physicalInt64) {
			return set(decimal, spelt, func(dst []byte, v raw) []byte { return appendSmallDecimal(dst, v.n, scale) })
		}
		if is(physicalBytes, physicalFixed) {
			return set(decimal, spelt, func(dst []byte, v raw) []byte {
				if len(v.b) > 32 {
					damaged("a decimal has %d bytes", len(v.b))
				}
				return appendDecimal(dst, bigEndian(v.b), scale)
			})
		}
	case e.logical == logicalDate && is(physicalInt32):
		return set(date, "a date", func(dst []byte, v raw) []byte { return appendDay(dst, v.n) })
	case e.logical == logicalTimestamp && is(physicalInt64):
		if !e.utc {
			return wrong(l.full(), "is a timestamp without a time zone (isAdjustedToUTC=false), so nobody can tell which moment it is; write it in UTC (DuckDB: TIMESTAMPTZ)")
		}
		u := e.unit
		return set(instant, "a timestamp", func(dst []byte, v raw) []byte { return appendInstant(dst, v.n, u) })
	case e.logical == logicalInteger && is(physicalInt32, physicalInt64) && !e.signed:
		if is(physicalInt32) {
			return set(whole, "an unsigned integer", func(dst []byte, v raw) []byte { return strconv.AppendUint(dst, uint64(uint32(v.n)), 10) })
		}
		return set(whole, "an unsigned integer", func(dst []byte, v raw) []byte { return strconv.AppendUint(dst, uint64(v.n), 10) })
	case e.logical == logicalUUID && is(physicalFixed) && l.length == 16:
		return set(text, "a UUID", func(dst []byte, v raw) []byte {
			if len(v.b) != 16 {
				damaged("a UUID has %d bytes", len(v.b))
			}
			return appendUUID(dst, v.b)
		})
	case e.logical == logicalFloat16 && is(physicalFixed) && l.length == 2:
		return set(float, "FLOAT16", func(dst []byte, v raw) []byte {
			if len(v.b) != 2 {
				damaged("a FLOAT16 has %d bytes", len(v.b))
			}
			return appendFloat(dst, halfFloat(binary.LittleEndian.Uint16(v.b)), 32)
		})
	case e.logical == logicalUnknown:
		return set(nothing, "always null", func([]byte, raw) []byte {
			damaged("column %s has a value and is declared to have none", l.full())
			return nil
		})
	case logicalNames[e.logical] != "":
		return wrong(l.full(), "is %s, which no field takes", logicalNames[e.logical])
	case is(physicalBoolean):
		return set(boolean, "", func(dst []byte, v raw) []byte { return strconv.AppendBool(dst, v.n != 0) })
	case is(physicalInt32, physicalInt64):
		return set(whole, "", func(dst []byte, v raw) []byte { return strconv.AppendInt(dst, v.n, 10) })
	case is(physicalFloat):
		return set(float, "", func(dst []byte, v raw) []byte {
			return appendFloat(dst, float64(math.Float32frombits(uint32(v.n))), 32)
		})
	case is(physicalDouble):
		return set(float, "", func(dst []byte, v raw) []byte { return appendFloat(dst, math.Float64frombits(uint64(v.n)), 64) })
	case is(physicalInt96): // nanoseconds of a day, and its Julian number: how Impala and Spark wrote times
		return set(instant, "", func(dst []byte, v raw) []byte {
			day := int64(binary.LittleEndian.Uint32(v.b[8:])) - 2440588
			at := time.Unix(day*86400, 0).Add(time.Duration(binary.LittleEndian.Uint64(v.b)))
			return append(at.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
		})
	}
	return wrong(l.full(), "is binary (%s without a logical type), which no field takes; write it as STRING", l.spelt)
}

// advance goes to the next row, and begins row groups as needed.
func (p *parquetSource) advance() error {
	for p.left == 0 {
		if p.read == len(p.groups) {
			return io.EOF
		}
		g := p.groups[p.read]
		p.read++
		if len(g.chunks) != len(p.leaves) {
			damaged("it has %d columns where the schema has %d", len(g.chunks), len(p.leaves))
		}
		if g.rows < 0 {
			damaged("it has %d rows", g.rows)
		}
		p.left = g.rows
		for i, c := range g.chunks {
			if err := p.begin(p.leaves[i], c, g.rows); err != nil {
				return err
			}
		}
	}
	p.left--
	return nil
}

func (p *parquetSource) begin(l *leaf, c chunk, rows int64) error {
	switch {
	case c.encrypted:
		return wrong(l.full(), "is encrypted; write it without")
	case c.path:
		return wrong(l.full(), "lies in another file; write one file")
	case c.values != rows:
		damaged("column %s has %d values for %d rows", l.full(), c.values, rows)
	}
	if names := []string{"", "", "", "LZO", "BROTLI", "LZ4"}; c.codec >= 3 && c.codec < 6 {
		return wrong(l.full(), "is compressed with %s, which is not read; use ZSTD, SNAPPY, GZIP or LZ4_RAW", names[c.codec])
	}
	l.at = c.data
	if c.dictionary > 0 && c.dictionary < c.data {
		l.at = c.dictionary
	}
	l.codec, l.left, l.dictionary = c.codec, 0, nil
	if l.end = l.at + c.size; l.at < 4 || c.size < 0 || l.end < l.at || l.end > p.size {
		damaged("column %s lies outside the file", l.full())
	}
	return nil
}

// maxHeader bounds the header of a page, whose statistics may hold values.
const maxHeader = 1 << 20

// pageHeader is what a page says of itself.
type pageHeader struct {
	kind, unpacked, packed, crc                      int64
	values, encoding, levels, definition, repetition int64
	checked                                          bool
	plain                                            bool // version 2: not compressed
}

const (
	dataPage       = 0
	dictionaryPage = 2
	dataPageV2     = 3
)

// Encodings.
const (
	encodingPlain           = 0
	encodingPlainDictionary = 2
	encodingRLE             = 3
	encodingDelta           = 5
	encodingDeltaLengths    = 6
	encodingDeltaBytes      = 7
	encodingRLEDictionary   = 8
	encodingSplit           = 9
)

func (p *parquetSource) header(l *leaf) (h pageHeader, err error) {
	var buf []byte
	for size := int64(256); ; size *= 16 { // most headers are small
		buf = make([]byte, min(size, l.end-l.at, maxHeader))
		if err := p.readAt(buf, l.at); err != nil {
			return h, err
		}
		n, ok := readPageHeader(buf, &h)
		if ok {
			l.at += int64(n)
			return h, nil
		}
		if int64(len(buf)) < size {
			damaged("a page header of column %s is cut off", l.full())
		}
	}
}

// readPageHeader says how long the header is, and whether all of it was there.
func readPageHeader(b []byte, into *pageHeader) (n int, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			if _, is := v.(damage); !is {
				panic(v)
			}
		}
	}()
	t, h := &thrift{b: b}, pageHeader{}
	head, version1, dictionary := t.numbers(&h.kind, &h.unpacked, &h.packed, &h.crc), t.numbers(&h.values, &h.encoding, &h.levels), t.numbers(&h.values, &h.encoding)
	version2 := t.numbers(&h.values, nil, nil, &h.encoding, &h.definition, &h.repetition)
	t.object(func(id int, kind byte) bool {
		switch id {
		case 4:
			h.checked = true
		case 5:
			return t.structure(kind, version1)
		case 7:
			return t.structure(kind, dictionary)
		case 8:
			return t.structure(kind, func(id int, kind byte) bool {
				if id == 7 {
					packed := true
					ok := t.boolean(kind, &packed)
					h.plain = !packed
					return ok
				}
				return version2(id, kind)
			})
		}
		return head(id, kind)
	})
	*into = h
	return t.at, true
}

// page reads the leaf's next data page, and its dictionary before it.
func (p *parquetSource) page(l *leaf) error {
	for {
		if l.at >= l.end {
			damaged("column %s has fewer values than rows", l.full())
		}
		h, err := p.header(l)
		if err != nil {
			return err
		}
		if h.packed < 0 || h.packed > l.end-l.at || h.unpacked < 0 || h.values < 0 {
			damaged("a page of column %s lies outside it", l.full())
		}
		if h.packed > p.options.Page {
			return problem.New(problem.TooLarge, "a page has more than %d MiB; write smaller row groups", p.options.Page>>20)
		}
		if int64(cap(l.packed)) < h.packed {
			l.packed = make([]byte, h.packed)
		}
		b := l.packed[:h.packed]
		if err := p.readAt(b, l.at); err != nil {
			return err
		}
		l.at += h.packed
		if h.checked && uint32(h.crc) != crc32.ChecksumIEEE(b) {
			damaged("the checksum of a page of column %s is wrong", l.full())
		}
		switch h.kind {
		case dictionaryPage:
			if b, err = p.unpack(l.codec, b, h.unpacked); err != nil {
				return err
			}
			if h.encoding != encodingPlain && h.encoding != encodingPlainDictionary || l.physical == physicalBoolean {
				damaged("the dictionary of column %s has encoding %d", l.full(), h.encoding)
			}
			l.dictionary = newPageDictionary(b, h.values, widthOf(l.physical, l.length))
			if p.budget.charge != nil {
				if err := p.budget.charge(4 * int64(len(l.dictionary.offsets))); err != nil {
					return err
				}
			}
			if l.codec == 0 {
				l.packed = nil // is the dictionary's now
			}
			continue
		case dataPage, dataPageV2:
		default:
			continue // an index page, say
		}
		if h.values > p.left+1 {
			damaged("a page of column %s has %d values for %d rows", l.full(), h.values, p.left+1)
		}
		if h.values == 0 {
			continue
		}
		return p.open(l, h, b)
	}
}

// open makes the levels and values of a data page ready.
func (p *parquetSource) open(l *leaf, h pageHeader, b []byte) (err error) {
	l.left, l.levels = h.values, hybrid{}
	bits := bitsFor(l.level)
	if h.kind == dataPageV2 {
		if h.repetition < 0 || h.definition < 0 || h.repetition+h.definition > int64(len(b)) {
			damaged("the levels of a page of column %s lie outside it", l.full())
		}
		l.levels = hybrid{b: b[h.repetition:][:h.definition], width: bits}
		levels := h.repetition + h.definition
		if b = b[levels:]; !h.plain {
			// The levels stay where they are: unpack reads b and writes elsewhere.
			if b, err = p.unpack(l.codec, b, h.unpacked-levels); err != nil {
				return err
			}
		}
	} else {
		if b, err = p.unpack(l.codec, b, h.unpacked); err != nil {
			return err
		}
		if l.level > 0 {
			if h.levels != encodingRLE {
				return wrong(l.full(), "has levels in the deprecated encoding BIT_PACKED, which is not read")
			}
			if len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
				damaged("the levels of a page of column %s lie outside it", l.full())
			}
			n := binary.LittleEndian.Uint32(b)
			l.levels = hybrid{b: b[4 : 4+n], width: bits}
			b = b[4+n:]
		}
	}
	width, limit := widthOf(l.physical, l.length), int(h.values)
	switch h.encoding {
	case encodingPlain:
		if l.values = (decoder)(&plain{b: b, width: width}); l.physical == physicalBoolean {
			l.values = &plainBits{b: b}
		}
		return nil
	case encodingPlainDictionary, encodingRLEDictionary:
		l.values = newIndexed(b, l.dictionary)
		return nil
	case encodingRLE:
		if l.physical == physicalBoolean {
			l.values = newHybridBits(b)
			return nil
		}
	case encodingDelta:
		if l.physical == physicalInt32 || l.physical == physicalInt64 {
			l.values = newDelta(b, l.physical == physicalInt32)
			return nil
		}
	case encodingDeltaLengths:
		if l.physical == physicalBytes {
			if err := p.chargeLengths(4 * h.values); err != nil {
				return err
			}
			l.values = newDeltaLengths(b, limit)
			return nil
		}
	case encodingDeltaBytes:
		if l.physical == physicalBytes || l.physical == physicalFixed {
			if err := p.chargeLengths(8 * h.values); err != nil {
				return err
			}
			l.values = newDeltaBytes(b, limit)
			return nil
		}
	case encodingSplit:
		if width > 0 && width <= 16 {
			l.values = newSplit(b, width)
			return nil
		}
	}
	damaged("column %s has the encoding %d, which its type cannot have", l.full(), h.encoding)
	return nil
}

func (p *parquetSource) chargeLengths(n int64) error {
	if n > p.budget.page {
		return problem.New(problem.TooLarge, "a page has too many values; write smaller pages")
	}
	if p.budget.charge == nil {
		return nil
	}
	return p.budget.charge(n)
}

// Codecs.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecZstd   = 6
	codecLZ4    = 7
)

// unpack gives what has to be size bytes.
func (p *parquetSource) unpack(codec int64, b []byte, size int64) ([]byte, error) {
	if codec == codecNone {
		return b, nil
	}
	if err := p.budget.take(size); err != nil {
		return nil, err
	}
	switch codec {
	case codecSnappy:
		if n, err := snappy.DecodedLen(b); err != nil || int64(n) != size {
			damaged("a size differs from what Snappy says")
		}
		out, err := snappy.Decode(make([]byte, size), b)
		if err != nil {
			damaged("a page cannot be unpacked with Snappy")
		}
		return out, nil
	case codecGzip:
		var err error
		if p.gunzip == nil {
			p.gunzip = new(gzip.Reader)
		}
		if err = p.gunzip.Reset(bytes.NewReader(b)); err != nil {
			damaged("a page cannot be unpacked with gzip")
		}
		out, err := readN(p.gunzip, nil, int(size))
		if err != nil {
			damaged("a page cannot be unpacked with gzip")
		}
		var more [1]byte
		if n, err := p.gunzip.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) { // and its checksum
			damaged("a page cannot be unpacked with gzip")
		}
		return out, nil
	case codecZstd:
		var err error
		if p.zstd == nil {
			if p.zstd, err = newZstd(p.options.Page); err != nil {
				return nil, err
			}
		}
		if len(b) == 0 && size == 0 {
			return nil, nil
		}
		return unzstd(p.zstd, b, size), nil
	case codecLZ4:
		out := make([]byte, size)
		if n, err := lz4.UncompressBlock(b, out); err != nil || int64(n) != size {
			damaged("a page cannot be unpacked with LZ4")
		}
		return out, nil
	}
	damaged("a column has the codec %d", codec)
	return nil, nil
}

func (p *parquetSource) next(column int, dst []byte) ([]byte, presence, error) {
	l := p.leaves[column]
	if l.left == 0 {
		if err := p.page(l); err != nil {
			return dst, null, err
		}
	}
	l.left--
	if l.level > 0 {
		switch level := int(l.levels.next()); {
		case level > l.level:
			damaged("a level of column %s is too high", l.full())
		case level < l.dataLevel:
			return dst, absent, nil
		case level < l.level:
			return dst, null, nil
		}
	}
	out := l.token(dst, l.values.value())
	if out == nil {
		return dst, long, nil
	}
	return out, present, nil
}
