package protocol

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Revisions of ClickHouse's Native format at which its bytes change
// (ClickHouse, src/Core/ProtocolDefines.h).
const (
	revisionBlockInfo     = 1     // each block begins with its block info
	revisionSerialization = 54454 // each column carries a serialization byte
)

// TypesInBinary is the engine setting under which [Reframe] works: with it a
// Native block names its column types in ClickHouse's binary encoding. Without
// it the zone of a DateTime is lost, because at revision 0 the engine writes
// the bare name.
const TypesInBinary = "output_format_native_encode_types_in_binary_format"

// blockInfo is what a server sends before a block: not an overflow row, no bucket.
var blockInfo = []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}

// Reframe appends to dst the Native blocks in src, which the engine wrote at
// revision 0 with [TypesInBinary], as a client of the given revision expects
// them: block info, type names as text, and a serialization byte per column. A
// value is copied, never decoded. src holds whole blocks.
//
// An error says that src holds a type this function cannot walk over; what was
// appended until then is not usable.
func Reframe(dst, src []byte, revision uint64) (out []byte, err error) {
	w := &walker{src: src, dst: dst}
	defer func() {
		if r := recover(); r != nil {
			broken, ok := r.(walkError)
			if !ok {
				panic(r)
			}
			err = broken
		}
	}()
	for w.pos < len(w.src) {
		w.block(revision)
	}
	return w.dst, nil
}

type walkError struct{ text string }

func (e walkError) Error() string { return "protocol: native block: " + e.text }

// walker moves over src and copies what it passes. It panics with walkError,
// which Reframe returns.
type walker struct {
	src   []byte
	pos   int
	dst   []byte
	depth int
}

func (w *walker) fail(format string, args ...any) {
	panic(walkError{fmt.Sprintf(format, args...) + fmt.Sprintf(" (at byte %d of %d)", w.pos, len(w.src))})
}

// take reads n bytes without copying them out.
func (w *walker) take(n int) []byte {
	if n < 0 || n > len(w.src)-w.pos {
		w.fail("%d bytes are missing", n)
	}
	b := w.src[w.pos : w.pos+n]
	w.pos += n
	return b
}

func (w *walker) takeByte() byte { return w.take(1)[0] }

func (w *walker) takeVarint() uint64 {
	v, n := binary.Uvarint(w.src[w.pos:])
	if n <= 0 {
		w.fail("a length is broken")
	}
	w.pos += n
	return v
}

// takeCount reads the number of things that each take at least one byte.
func (w *walker) takeCount() int {
	v := w.takeVarint()
	if v > uint64(len(w.src)-w.pos) {
		w.fail("a count of %d is more than the block holds", v)
	}
	return int(v)
}

func (w *walker) takeString() string { return string(w.take(w.takeCount())) }

// pass copies n values of size bytes.
func (w *walker) pass(n, size int) []byte {
	if size != 0 && n > (len(w.src)-w.pos)/size {
		w.fail("%d values of %d bytes are missing", n, size)
	}
	b := w.take(n * size)
	w.dst = append(w.dst, b...)
	return b
}

func (w *walker) passUint64() uint64 { return binary.LittleEndian.Uint64(w.pass(1, 8)) }

func (w *walker) putVarint(v uint64) { w.dst = binary.AppendUvarint(w.dst, v) }

func (w *walker) putString(s string) {
	w.putVarint(uint64(len(s)))
	w.dst = append(w.dst, s...)
}

func (w *walker) passString() string {
	s := w.takeString()
	w.putString(s)
	return s
}

func (w *walker) block(revision uint64) {
	if revision >= revisionBlockInfo {
		w.dst = append(w.dst, blockInfo...)
	}
	columns := w.takeVarint()
	w.putVarint(columns)
	rows := w.takeVarint()
	w.putVarint(rows)
	for i := uint64(0); i < columns; i++ {
		w.passString()
		t := w.takeType()
		w.putString(t.name)
		if revision >= revisionSerialization {
			w.dst = append(w.dst, 0) // the default serialization: the engine writes no other at revision 0
		}
		if rows == 0 {
			continue
		}
		if t.kind == kindState {
			// States have no lengths. The last column of the last block ends with the bytes.
			if i != columns-1 {
				w.fail("column of type %s: aggregate states cannot be sent in Native; finalize them", t.name)
			}
			w.pass(len(w.src)-w.pos, 1)
			return
		}
		w.prefix(t)(int(rows))
	}
}

type kind uint8

const (
	kindFixed   kind = iota // size bytes a value
	kindString              // length and bytes
	kindArray               // offsets, then of[0]
	kindTuple               // of, one after the other
	kindNull                // flags, then of[0]
	kindDict                // LowCardinality of of[0]
	kindVariant             // one of of
	kindDynamic
	kindJSON  // of are the typed paths, in order
	kindState // AggregateFunction
	kindUnknown
)

// columnType is a type in as much as it is needed to walk over values.
type columnType struct {
	name string
	kind kind
	size int
	of   []*columnType
}

func fixed(name string, size int) *columnType { return &columnType{name: name, size: size} }

var stringType = &columnType{name: "String", kind: kindString}

// binaryTypes are the one-byte types of ClickHouse's binary type encoding
// (https://clickhouse.com/docs/sql-reference/data-types/data-types-binary-encoding).
var binaryTypes = map[byte]*columnType{
	0x00: fixed("Nothing", 1),
	0x01: fixed("UInt8", 1), 0x02: fixed("UInt16", 2), 0x03: fixed("UInt32", 4), 0x04: fixed("UInt64", 8),
	0x05: fixed("UInt128", 16), 0x06: fixed("UInt256", 32),
	0x07: fixed("Int8", 1), 0x08: fixed("Int16", 2), 0x09: fixed("Int32", 4), 0x0a: fixed("Int64", 8),
	0x0b: fixed("Int128", 16), 0x0c: fixed("Int256", 32),
	0x0d: fixed("Float32", 4), 0x0e: fixed("Float64", 8), 0x31: fixed("BFloat16", 2),
	0x0f: fixed("Date", 2), 0x10: fixed("Date32", 4), 0x11: fixed("DateTime", 4), 0x32: fixed("Time", 4),
	0x15: stringType, 0x1d: fixed("UUID", 16), 0x28: fixed("IPv4", 4), 0x29: fixed("IPv6", 16), 0x2d: fixed("Bool", 1),
}

var intervals = []string{"Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year"}

// maxTypeDepth bounds the nesting of a type; the engine's own limit is lower.
const maxTypeDepth = 500

// takeType reads one type in the binary encoding.
func (w *walker) takeType() *columnType {
	if w.depth++; w.depth > maxTypeDepth {
		w.fail("a type is nested deeper than %d", maxTypeDepth)
	}
	defer func() { w.depth-- }()
	code := w.takeByte()
	if t := binaryTypes[code]; t != nil {
		return t
	}
	switch code {
	case 0x12:
		return fixed("DateTime("+quote(w.takeString())+")", 4)
	case 0x13:
		return fixed(fmt.Sprintf("DateTime64(%d)", w.takeByte()), 8)
	case 0x14:
		scale := w.takeByte()
		return fixed(fmt.Sprintf("DateTime64(%d, %s)", scale, quote(w.takeString())), 8)
	case 0x34:
		return fixed(fmt.Sprintf("Time64(%d)", w.takeByte()), 8)
	case 0x16:
		n := w.takeVarint()
		if n > 1<<24 {
			w.fail("FixedString(%d)", n)
		}
		return fixed(fmt.Sprintf("FixedString(%d)", n), int(n))
	case 0x17:
		return fixed(w.takeEnum("Enum8", func() int64 { return int64(int8(w.takeByte())) }), 1)
	case 0x18:
		return fixed(w.takeEnum("Enum16", func() int64 { return int64(int16(binary.LittleEndian.Uint16(w.take(2)))) }), 2)
	case 0x19, 0x1a, 0x1b, 0x1c:
		precision, scale := w.takeByte(), w.takeByte()
		return fixed(fmt.Sprintf("Decimal(%d, %d)", precision, scale), 4<<(code-0x19))
	case 0x36:
		of, dimension := w.takeType(), w.takeVarint()
		if of.kind != kindFixed || dimension > 1<<24 {
			w.fail("QBit of %s", of.name)
		}
		// One FixedString for each bit of an element, as wide as there are elements.
		return fixed(fmt.Sprintf("QBit(%s, %d)", of.name, dimension), 8*of.size*int((dimension+7)/8))
	case 0x1e:
		of := w.takeType()
		return &columnType{name: "Array(" + of.name + ")", kind: kindArray, of: []*columnType{of}}
	case 0x1f:
		of := make([]*columnType, w.takeCount())
		for i := range of {
			of[i] = w.takeType()
		}
		return &columnType{name: "Tuple(" + typeNames(of) + ")", kind: kindTuple, of: of}
	case 0x20, 0x2f:
		names, of := w.takeNamed()
		tuple := &columnType{name: "Tuple(" + named(names, of) + ")", kind: kindTuple, of: of}
		if code == 0x20 {
			return tuple
		}
		return &columnType{name: "Nested(" + named(names, of) + ")", kind: kindArray, of: []*columnType{tuple}}
	case 0x22:
		if k := int(w.takeByte()); k < len(intervals) {
			return fixed("Interval"+intervals[k], 8)
		}
		w.fail("unknown interval")
	case 0x23:
		of := w.takeType()
		return &columnType{name: "Nullable(" + of.name + ")", kind: kindNull, of: []*columnType{of}}
	case 0x26:
		of := w.takeType()
		dictionary := of
		if of.kind == kindNull {
			dictionary = of.of[0]
		}
		return &columnType{name: "LowCardinality(" + of.name + ")", kind: kindDict, of: []*columnType{dictionary}}
	case 0x27:
		key := w.takeType()
		value := w.takeType()
		pair := &columnType{kind: kindTuple, of: []*columnType{key, value}}
		return &columnType{name: "Map(" + key.name + ", " + value.name + ")", kind: kindArray, of: []*columnType{pair}}
	case 0x2a:
		of := make([]*columnType, w.takeCount())
		for i := range of {
			of[i] = w.takeType()
		}
		return &columnType{name: "Variant(" + typeNames(of) + ")", kind: kindVariant, of: of}
	case 0x2b:
		if n := w.takeByte(); n != 32 {
			return &columnType{name: fmt.Sprintf("Dynamic(max_types=%d)", n), kind: kindDynamic}
		}
		return &columnType{name: "Dynamic", kind: kindDynamic}
	case 0x2c:
		return customType(w.takeString())
	case 0x25:
		version := w.takeVarint()
		function, of := w.takeFunction()
		name := "AggregateFunction("
		if version != 0 {
			name += fmt.Sprintf("%d, ", version)
		}
		return &columnType{name: name + commaJoin(function, typeNames(of)) + ")", kind: kindState}
	case 0x2e:
		function, of := w.takeFunction()
		if len(of) == 0 {
			w.fail("SimpleAggregateFunction(%s) without a type", function)
		}
		t := *of[0]
		t.name = "SimpleAggregateFunction(" + commaJoin(function, typeNames(of)) + ")"
		return &t
	case 0x30:
		return w.takeJSON()
	}
	w.fail("type code %#02x is not known", code)
	return nil
}

func (w *walker) takeEnum(name string, value func() int64) string {
	var b strings.Builder
	b.WriteString(name)
	b.WriteByte('(')
	for i, n := 0, w.takeCount(); i < n; i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(w.takeString()))
		b.WriteString(" = ")
		b.WriteString(strconv.FormatInt(value(), 10))
	}
	b.WriteByte(')')
	return b.String()
}

func (w *walker) takeNamed() (names []string, of []*columnType) {
	for n := w.takeCount(); n > 0; n-- {
		names = append(names, w.takeString())
		of = append(of, w.takeType())
	}
	return names, of
}

func (w *walker) takeFunction() (name string, of []*columnType) {
	name = w.takeString()
	if n := w.takeCount(); n > 0 {
		fields := make([]string, n)
		for i := range fields {
			fields[i] = w.takeField()
		}
		name += "(" + strings.Join(fields, ", ") + ")"
	}
	for n := w.takeCount(); n > 0; n-- {
		of = append(of, w.takeType())
	}
	return name, of
}

// takeField reads a literal parameter of an aggregate function.
func (w *walker) takeField() string {
	switch code := w.takeByte(); code {
	case 0x00:
		return "NULL"
	case 0x01:
		return strconv.FormatUint(w.takeVarint(), 10)
	case 0x02:
		v := w.takeVarint() // zigzag
		return strconv.FormatInt(int64(v>>1)^-int64(v&1), 10)
	case 0x07:
		return strconv.FormatFloat(float64FromBits(w.take(8)), 'g', -1, 64)
	case 0x0c:
		return quote(w.takeString())
	case 0x13:
		return strconv.FormatBool(w.takeByte() != 0)
	default:
		w.fail("a parameter of an aggregate function has the unknown code %#02x", code)
		return ""
	}
}

func (w *walker) takeJSON() *columnType {
	if v := w.takeByte(); v != 0 {
		w.fail("JSON type of version %d", v)
	}
	paths, types := w.takeVarint(), w.takeByte()
	var arguments []string
	if types != 32 {
		arguments = append(arguments, fmt.Sprintf("max_dynamic_types=%d", types))
	}
	if paths != 1024 {
		arguments = append(arguments, fmt.Sprintf("max_dynamic_paths=%d", paths))
	}
	names, of := w.takeNamed()
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return names[order[a]] < names[order[b]] })
	sorted := make([]*columnType, len(of))
	for i, j := range order {
		sorted[i] = of[j]
		arguments = append(arguments, jsonPath(names[j])+" "+of[j].name)
	}
	var skips []string
	for n := w.takeCount(); n > 0; n-- {
		skips = append(skips, jsonPath(w.takeString()))
	}
	sort.Strings(skips)
	for _, s := range skips {
		arguments = append(arguments, "SKIP "+s)
	}
	for n := w.takeCount(); n > 0; n-- {
		arguments = append(arguments, "SKIP REGEXP "+quote(w.takeString()))
	}
	name := "JSON"
	if len(arguments) > 0 {
		name += "(" + strings.Join(arguments, ", ") + ")"
	}
	return &columnType{name: name, kind: kindJSON, of: sorted}
}

// customType lays out the named types that ClickHouse builds from others.
func customType(name string) *columnType {
	array := func(name string, of *columnType) *columnType {
		return &columnType{name: name, kind: kindArray, of: []*columnType{of}}
	}
	float := fixed("Float64", 8)
	point := &columnType{name: "Point", kind: kindTuple, of: []*columnType{float, float}}
	ring, line := array("Ring", point), array("LineString", point)
	polygon, lines := array("Polygon", ring), array("MultiLineString", line)
	polygons := array("MultiPolygon", polygon)
	for _, t := range []*columnType{point, ring, line, polygon, lines, polygons} {
		if t.name == name {
			return t
		}
	}
	if name == "Geometry" {
		return &columnType{name: name, kind: kindVariant, of: []*columnType{line, lines, polygons, point, polygon, ring}}
	}
	return &columnType{name: name, kind: kindUnknown}
}

// rows is how the values of one column are passed, once its prefix is read.
type rows func(n int)

// prefix passes the state that stands before a column's values and says how to
// pass the values.
func (w *walker) prefix(t *columnType) rows {
	switch t.kind {
	case kindFixed:
		return func(n int) { w.pass(n, t.size) }
	case kindString:
		return w.strings
	case kindArray:
		of := w.prefix(t.of[0])
		return func(n int) {
			if n == 0 {
				return
			}
			offsets := w.pass(n, 8)
			of(w.bounded(binary.LittleEndian.Uint64(offsets[len(offsets)-8:])))
		}
	case kindTuple:
		of := w.prefixes(t.of)
		if len(of) == 0 {
			return func(n int) { w.pass(n, 1) }
		}
		return func(n int) {
			for _, f := range of {
				f(n)
			}
		}
	case kindNull:
		of := w.prefix(t.of[0])
		return func(n int) {
			w.pass(n, 1)
			of(n)
		}
	case kindDict:
		if v := w.passUint64(); v != 1 {
			w.fail("LowCardinality of version %d", v)
		}
		of := w.prefix(t.of[0])
		return func(n int) { w.dictionary(of, n) }
	case kindVariant:
		if mode := w.passUint64(); mode != 0 {
			w.fail("Variant in mode %d", mode)
		}
		return w.variant(w.prefixes(t.of))
	case kindDynamic:
		return w.dynamic()
	case kindJSON:
		return w.json(t)
	}
	w.fail("type %s cannot be sent in Native to this client", t.name)
	return nil
}

func (w *walker) prefixes(types []*columnType) []rows {
	of := make([]rows, len(types))
	for i, t := range types {
		of[i] = w.prefix(t)
	}
	return of
}

// bounded is v as an int, refused when no block could hold as many values.
func (w *walker) bounded(v uint64) int {
	if v > 1<<40 {
		w.fail("%d values in one column", v)
	}
	return int(v)
}

func (w *walker) strings(n int) {
	start := w.pos
	for ; n > 0; n-- {
		size := w.takeVarint()
		if size > uint64(len(w.src)-w.pos) {
			w.fail("a string of %d bytes is cut short", size)
		}
		w.pos += int(size)
	}
	w.dst = append(w.dst, w.src[start:w.pos]...)
}

func (w *walker) dictionary(of rows, n int) {
	if n == 0 {
		return
	}
	const extraKeys, width = 1 << 9, 0xff
	flags := w.passUint64()
	if flags&extraKeys == 0 {
		w.fail("LowCardinality with a shared dictionary")
	}
	of(w.bounded(w.passUint64()))
	w.pass(w.bounded(w.passUint64()), 1<<(flags&width&3))
}

func (w *walker) variant(of []rows) rows {
	return func(n int) {
		var count [256]int
		for _, d := range w.pass(n, 1) {
			count[d]++ // 255 is NULL, which has no value
		}
		for i, f := range of {
			f(count[i])
		}
	}
}

// Versions of a Dynamic column's structure (SerializationDynamic.h) and of a JSON
// column's (SerializationObject.h).
const (
	dynamicV1        = 1
	dynamicV2        = 2
	dynamicFlattened = 3
	jsonV1           = 0
	jsonString       = 1
	jsonV2           = 2
	jsonFlattened    = 3
)

func (w *walker) dynamic() rows {
	version := w.passUint64()
	if version == dynamicV1 {
		w.putVarint(w.takeVarint()) // the most types it may hold
	}
	of := make([]*columnType, w.takeCount())
	w.putVarint(uint64(len(of)))
	for i := range of {
		of[i] = w.takeType()
		w.putString(of[i].name)
	}
	switch version {
	case dynamicV1, dynamicV2:
		// Values that found no place among the types are in one more variant, and
		// variants are ordered by name.
		of = append(of, &columnType{name: "SharedVariant", kind: kindString})
		sort.SliceStable(of, func(a, b int) bool { return of[a].name < of[b].name })
		if mode := w.passUint64(); mode != 0 {
			w.fail("Variant in mode %d", mode)
		}
		return w.variant(w.prefixes(of))
	case dynamicFlattened:
		types := w.prefixes(of)
		return func(n int) {
			size := 1
			for len(types) > 1<<(8*size)-1 {
				size *= 2
			}
			count := make([]int, len(types)+1)
			marks := w.pass(n, size)
			for i := 0; i < len(marks); i += size {
				var wide [8]byte
				copy(wide[:], marks[i:i+size])
				which := binary.LittleEndian.Uint64(wide[:])
				if which > uint64(len(types)) {
					w.fail("a Dynamic value has type %d of %d", which, len(types))
				}
				count[which]++ // the last is NULL
			}
			for i, f := range types {
				f(count[i])
			}
		}
	}
	w.fail("Dynamic of version %d", version)
	return nil
}

func (w *walker) json(t *columnType) rows {
	version := w.passUint64()
	switch version {
	case jsonString:
		return w.strings
	case jsonV1:
		w.putVarint(w.takeVarint())
	case jsonV2, jsonFlattened:
	default:
		w.fail("JSON of version %d", version)
	}
	paths := w.takeCount()
	w.putVarint(uint64(paths))
	for i := 0; i < paths; i++ {
		w.passString()
	}
	columns := w.prefixes(t.of)
	for i := 0; i < paths; i++ {
		columns = append(columns, w.dynamic())
	}
	if version != jsonFlattened { // paths that found no place: Array(Tuple(path, value))
		pair := &columnType{kind: kindTuple, of: []*columnType{stringType, stringType}}
		columns = append(columns, w.prefix(&columnType{kind: kindArray, of: []*columnType{pair}}))
	}
	return func(n int) {
		for _, f := range columns {
			f(n)
		}
	}
}

func typeNames(types []*columnType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.name
	}
	return strings.Join(names, ", ")
}

func named(names []string, types []*columnType) string {
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = QuoteIdentifier(names[i]) + " " + t.name
	}
	return strings.Join(parts, ", ")
}

func commaJoin(a, b string) string {
	if b == "" {
		return a
	}
	return a + ", " + b
}

// jsonPath is a path of a JSON type: each of its parts is quoted when it must be.
func jsonPath(path string) string {
	parts := strings.Split(path, ".")
	for i, p := range parts {
		parts[i] = QuoteIdentifier(p)
	}
	return strings.Join(parts, ".")
}
