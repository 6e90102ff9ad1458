package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/s2"
)

// The body of a part holds the columns of a record of package contract, little-endian,
// each as small as its values allow without a search for repeats: most columns of
// events are labels of few values, times close together, and nothing.
//
//	uint16, bytes   length of the description, description
//	for each column:
//	  nulls         only where the description allows them
//	  values        those that are not null
//
// The description has for each column a byte for the length of its name, the name, its
// form, one byte for the decimals' scale, and 1 where it can have nulls. What stands for
// the values, by form:
//
//	number, time, date     the smallest (int64), the width of the rest (a byte: 0 to 8), then each less the smallest
//	decimal, float         the same of its digits, of its bits
//	hash                   16 bytes
//	flag                   a bitmap
//	text                   the lengths as numbers; uint32 the bytes of all; uint32 the bytes that follow, S2 when they are fewer; the bytes
//	label                  uint32 how many words there are, the words as texts, the word of each row as numbers
//
// A bitmap is a byte for none (0), all (1) or some (2), and in the last case the bits,
// the lowest of a byte first. Nulls are a bitmap of what is not null.
type form uint8

const (
	formText form = iota + 1
	formLabel
	formHash
	formTime
	formDate
	formInt64
	formUint64
	formUint32
	formDecimal
	formFlag
	formFloat
)

var (
	timeType  = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
	labelType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	hashType  = &arrow.FixedSizeBinaryType{ByteWidth: hashBytes}
)

const (
	hashBytes       = 16
	decimalDigits   = 18      // so that they fit 64 bits
	compressedBytes = 1 << 10 // texts shorter than this together are not worth it
)

// forms are the types that package contract's records have.
var forms = [...]arrow.DataType{
	formText: arrow.BinaryTypes.String, formLabel: labelType, formHash: hashType, formTime: timeType, formDate: arrow.FixedWidthTypes.Date32,
	formInt64: arrow.PrimitiveTypes.Int64, formUint64: arrow.PrimitiveTypes.Uint64, formUint32: arrow.PrimitiveTypes.Uint32,
	formDecimal: &arrow.Decimal128Type{Precision: decimalDigits}, formFlag: arrow.FixedWidthTypes.Boolean, formFloat: arrow.PrimitiveTypes.Float64,
}

func formOf(t arrow.DataType) (k form, scale uint8, err error) {
	if d, ok := t.(*arrow.Decimal128Type); ok && d.Precision == decimalDigits && 0 <= d.Scale && d.Scale <= decimalDigits {
		return formDecimal, uint8(d.Scale), nil
	}
	for k := formText; int(k) < len(forms); k++ {
		if k != formDecimal && arrow.TypeEqual(forms[k], t) {
			return k, 0, nil
		}
	}
	return 0, 0, fmt.Errorf("the journal has no form for %s", t)
}

// describe appends the description of a schema's columns.
func describe(dst []byte, schema *arrow.Schema) ([]byte, error) {
	begin := len(dst)
	dst = append(dst, 0, 0)
	for _, f := range schema.Fields() {
		k, scale, err := formOf(f.Type)
		if err != nil || len(f.Name) > 255 {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		dst = append(append(dst, byte(len(f.Name))), f.Name...)
		dst = append(dst, byte(k), scale, 0)
		if f.Nullable {
			dst[len(dst)-1] = 1
		}
	}
	n := len(dst) - begin - 2
	if n > 1<<16-1 {
		return nil, fmt.Errorf("%d columns have too long names", len(schema.Fields()))
	}
	binary.LittleEndian.PutUint16(dst[begin:], uint16(n))
	return dst, nil
}

// schemaOf reads a description; known is the schema that it most likely is, or nil.
func schemaOf(description []byte, known *arrow.Schema) (*arrow.Schema, error) {
	if known != nil {
		if same, err := describe(nil, known); err == nil && string(same[2:]) == string(description) {
			return known, nil
		}
	}
	var fields []arrow.Field
	for len(description) > 0 {
		n := int(description[0])
		if len(description) < n+4 {
			return nil, errBody
		}
		f := arrow.Field{Name: string(description[1 : 1+n]), Nullable: description[n+3] == 1}
		switch k, scale := form(description[n+1]), description[n+2]; {
		case k == formDecimal && scale <= decimalDigits:
			f.Type = &arrow.Decimal128Type{Precision: decimalDigits, Scale: int32(scale)}
		case k == 0 || int(k) >= len(forms) || k == formDecimal:
			return nil, errBody
		default:
			f.Type = forms[k]
		}
		fields = append(fields, f)
		description = description[n+4:]
	}
	return arrow.NewSchema(fields, nil), nil
}

var errBody = errors.New("it is not a body of columns")

// pack appends the body of rows start to end of a record.
func pack(dst []byte, rec arrow.Record, start, end int) ([]byte, error) {
	dst, err := describe(dst, rec.Schema())
	if err != nil {
		return nil, err
	}
	for i, column := range rec.Columns() {
		if int64(end-start) < rec.NumRows() {
			slice := array.NewSlice(column, int64(start), int64(end))
			dst, err = packColumn(dst, slice, rec.Schema().Field(i).Nullable)
			slice.Release()
		} else {
			dst, err = packColumn(dst, column, rec.Schema().Field(i).Nullable)
		}
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", rec.ColumnName(i), err)
		}
	}
	return dst, nil
}

func packColumn(dst []byte, column arrow.Array, nullable bool) ([]byte, error) {
	n, nulls := column.Len(), column.NullN()
	var valid func(i int) bool // nil: all are
	if nullable {
		at, offset := column.NullBitmapBytes(), column.Data().Offset()
		if nulls > 0 {
			valid = func(i int) bool { return bitutil.BitIsSet(at, offset+i) }
		}
		dst = packBits(dst, n, n-nulls, valid)
	} else if nulls > 0 {
		return nil, errors.New("holds nulls and may not")
	}
	switch a := column.(type) {
	case *array.Timestamp:
		return packNumbers(dst, a.TimestampValues(), n-nulls, valid), nil
	case *array.Date32:
		return packNumbers(dst, a.Date32Values(), n-nulls, valid), nil
	case *array.Int64:
		return packNumbers(dst, a.Int64Values(), n-nulls, valid), nil
	case *array.Uint64:
		return packNumbers(dst, a.Uint64Values(), n-nulls, valid), nil
	case *array.Uint32:
		return packNumbers(dst, a.Uint32Values(), n-nulls, valid), nil
	case *array.Decimal128:
		digits := make([]int64, n)
		for i, v := range a.Values() {
			if digits[i] = int64(v.LowBits()); v.HighBits() != digits[i]>>63 && (valid == nil || valid(i)) {
				return nil, fmt.Errorf("%v has more than %d digits", v, decimalDigits)
			}
		}
		return packNumbers(dst, digits, n-nulls, valid), nil
	case *array.Float64:
		return packNumbers(dst, arrow.Int64Traits.CastFromBytes(arrow.Float64Traits.CastToBytes(a.Float64Values())), n-nulls, valid), nil
	case *array.FixedSizeBinary:
		for i := range n {
			if valid == nil || valid(i) {
				dst = append(dst, a.Value(i)...)
			}
		}
		return dst, nil
	case *array.Boolean:
		set := 0
		for i := range n {
			if a.Value(i) && (valid == nil || valid(i)) {
				set++
			}
		}
		return packBits(dst, n, set, func(i int) bool { return a.Value(i) && (valid == nil || valid(i)) }), nil
	case *array.String:
		return packTexts(dst, a), nil
	case *array.Dictionary:
		if nulls > 0 {
			return nil, errors.New("is a label and holds nulls")
		}
		words := a.Dictionary().(*array.String)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(words.Len()))
		dst = packTexts(dst, words)
		return packNumbers(dst, a.Indices().(*array.Int32).Int32Values(), n, nil), nil
	}
	return nil, fmt.Errorf("the journal has no form for %s", column.DataType())
}

// packBits writes a bitmap of n bits, of which so many are set.
func packBits(dst []byte, n, set int, bit func(i int) bool) []byte {
	switch set {
	case 0:
		return append(dst, 0)
	case n:
		return append(dst, 1)
	}
	dst = append(dst, 2)
	var b byte
	for i := range n {
		if bit(i) {
			b |= 1 << (i & 7)
		}
		if i&7 == 7 || i == n-1 {
			dst, b = append(dst, b), 0
		}
	}
	return dst
}

// packNumbers writes the count values that are valid.
func packNumbers[T ~int32 | ~int64 | ~uint32 | ~uint64](dst []byte, values []T, count int, valid func(int) bool) []byte {
	var low, high int64
	first := true
	for i, v := range values {
		if valid != nil && !valid(i) {
			continue
		}
		if x := int64(v); first {
			low, high, first = x, x, false
		} else {
			low, high = min(low, x), max(high, x)
		}
	}
	width := (bits.Len64(uint64(high)-uint64(low)) + 7) / 8
	dst = binary.LittleEndian.AppendUint64(dst, uint64(low))
	dst = append(dst, byte(width))
	if width == 0 {
		return dst
	}
	at := len(dst)
	dst = slices.Grow(dst, count*width+8)[:at+count*width+8] // each is written as 8 bytes, of which width stay
	for i, v := range values {
		if valid != nil && !valid(i) {
			continue
		}
		binary.LittleEndian.PutUint64(dst[at:], uint64(int64(v))-uint64(low))
		at += width
	}
	return dst[:at]
}

func packTexts(dst []byte, texts *array.String) []byte {
	n := texts.Len()
	lengths := make([]int32, n)
	for i := range n {
		lengths[i] = int32(texts.ValueLen(i))
	}
	dst = packNumbers(dst, lengths, n, nil)
	all := texts.ValueBytes()
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(all)))
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(all)))
	if len(all) >= compressedBytes {
		room := s2.MaxEncodedLen(len(all))
		dst = slices.Grow(dst, room)
		if small := s2.Encode(dst[len(dst):len(dst)+room], all); len(small) < len(all)-len(all)/8 {
			binary.LittleEndian.PutUint32(dst[at:], uint32(len(small)))
			return dst[:len(dst)+len(small)] // they are there already
		}
	}
	return append(dst, all...)
}

// unpacker reads a body. After the first nonsense bad is true and everything empty.
type unpacker struct {
	body []byte
	rows int
	bad  bool
}

// unpack reads the record of a body. known is the schema that it most likely has, or
// nil. The record's texts may be the body's own bytes.
func unpack(body []byte, rows int, known *arrow.Schema) (arrow.Record, error) {
	u := unpacker{body: body, rows: rows}
	schema, err := schemaOf(u.take(int(u.uint16())), known)
	if err != nil {
		return nil, err
	}
	// Every record begins with _id, so there are no more rows than the body has room for.
	if n := len(schema.Fields()); n == 0 || schema.Field(0).Nullable || !arrow.TypeEqual(schema.Field(0).Type, hashType) || rows < 0 || rows > len(body)/hashBytes {
		return nil, fmt.Errorf("%w of %d rows: %d bytes, %d columns", errBody, rows, len(body), n)
	}
	columns := make([]arrow.Array, 0, len(schema.Fields()))
	for _, f := range schema.Fields() {
		c := u.column(f)
		if u.bad {
			return nil, fmt.Errorf("%w: column %s is damaged", errBody, f.Name)
		}
		columns = append(columns, c)
	}
	if len(u.body) > 0 {
		return nil, fmt.Errorf("%w: %d bytes are left over", errBody, len(u.body))
	}
	return array.NewRecord(schema, columns, int64(rows)), nil
}

func (u *unpacker) take(n int) []byte {
	if n < 0 || n > len(u.body) {
		u.bad, u.body = true, nil
		return nil
	}
	b := u.body[:n:n]
	u.body = u.body[n:]
	return b
}

func (u *unpacker) byte() byte {
	if b := u.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (u *unpacker) uint16() uint16 {
	if b := u.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (u *unpacker) uint32() uint32 {
	if b := u.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// bits reads a bitmap and how many of it are set.
func (u *unpacker) bits() (bitmap []byte, set int) {
	n := (u.rows + 7) / 8
	switch u.byte() {
	case 0:
		return make([]byte, n), 0
	case 1:
		bitmap = slices.Repeat([]byte{0xff}, n)
		return bitmap, u.rows
	case 2:
		if bitmap = u.take(n); bitmap != nil {
			return bitmap, bitutil.CountSetBits(bitmap, 0, u.rows)
		}
	}
	u.bad = true
	return nil, 0
}

func (u *unpacker) column(f arrow.Field) arrow.Array {
	var valid []byte // nil: all are
	count := u.rows
	if f.Nullable {
		if valid, count = u.bits(); count == u.rows {
			valid = nil
		}
	}
	if u.bad {
		return nil
	}
	built := func(typ arrow.DataType, buffers ...[]byte) arrow.Array {
		if u.bad {
			return nil
		}
		return newArray(typ, u.rows, u.rows-count, valid, buffers...)
	}
	switch typ := f.Type.(type) {
	case *arrow.TimestampType, *arrow.Int64Type, *arrow.Uint64Type, *arrow.Float64Type:
		return built(typ, arrow.Int64Traits.CastToBytes(numbers[int64](u, u.rows, count, valid)))
	case *arrow.Date32Type, *arrow.Uint32Type:
		return built(typ, arrow.Int32Traits.CastToBytes(numbers[int32](u, u.rows, count, valid)))
	case *arrow.Decimal128Type:
		values := []decimal128.Num{}
		for _, v := range numbers[int64](u, u.rows, count, valid) {
			values = append(values, decimal128.FromI64(v))
		}
		return built(typ, arrow.Decimal128Traits.CastToBytes(values))
	case *arrow.FixedSizeBinaryType:
		return built(typ, spread(u.take(hashBytes*count), u.rows, valid))
	case *arrow.BooleanType:
		flags, _ := u.bits()
		return built(typ, flags)
	case *arrow.StringType:
		return u.texts(u.rows, valid, u.rows-count)
	case *arrow.DictionaryType:
		n := int(u.uint32())
		if n > len(u.body) && n > u.rows { // a word is in a row
			u.bad = true
		}
		if u.bad {
			return nil
		}
		words := u.texts(n, nil, 0)
		places := numbers[int32](u, u.rows, u.rows, nil)
		for _, p := range places {
			if p < 0 || int(p) >= n {
				u.bad = true
			}
		}
		if u.bad {
			return nil
		}
		indices := newArray(arrow.PrimitiveTypes.Int32, u.rows, 0, nil, arrow.Int32Traits.CastToBytes(places))
		defer indices.Release()
		defer words.Release()
		return array.NewDictionaryArray(typ, indices, words)
	}
	u.bad = true
	return nil
}

func newArray(typ arrow.DataType, n, nulls int, valid []byte, buffers ...[]byte) arrow.Array {
	all := []*memory.Buffer{nil}
	if valid != nil {
		all[0] = memory.NewBufferBytes(valid)
	}
	for _, b := range buffers {
		all = append(all, memory.NewBufferBytes(b))
	}
	data := array.NewData(typ, n, all, nil, nulls, 0)
	defer data.Release()
	return array.MakeFromData(data)
}

// numbers reads n numbers of which count are there, 0 in place of the others.
func numbers[T int32 | int64](u *unpacker, n, count int, valid []byte) []T {
	base := u.take(8)
	width := int(u.byte())
	if u.bad || width > 8 {
		u.bad = true
		return nil
	}
	low := binary.LittleEndian.Uint64(base)
	packed := u.take(count * width)
	if u.bad {
		return nil
	}
	values := make([]T, n)
	mask := uint64(1)<<(8*width) - 1 // all of 64 bits for a width of 8
	if width == 8 {
		mask = ^uint64(0)
	}
	for i := range values {
		if valid != nil && !bitutil.BitIsSet(valid, i) {
			continue
		}
		var x uint64
		if len(packed) >= 8 {
			x = binary.LittleEndian.Uint64(packed) & mask
		} else {
			for j := range min(width, len(packed)) {
				x |= uint64(packed[j]) << (8 * j)
			}
		}
		values[i] = T(low + x)
		packed = packed[width:]
	}
	return values
}

// spread puts zeros in the place of hashes that are null.
func spread(packed []byte, rows int, valid []byte) []byte {
	if valid == nil || packed == nil {
		return packed
	}
	all := make([]byte, rows*hashBytes)
	for i := range rows {
		if bitutil.BitIsSet(valid, i) {
			copy(all[i*hashBytes:], packed[:hashBytes])
			packed = packed[hashBytes:]
		}
	}
	return all
}

func (u *unpacker) texts(n int, valid []byte, nulls int) arrow.Array {
	lengths := numbers[int32](u, n, n, nil)
	size, stored := int(u.uint32()), int(u.uint32())
	text := u.take(stored)
	if u.bad {
		return nil
	}
	ends := make([]int32, n+1)
	end := int64(0)
	for i, l := range lengths {
		if end += int64(l); l < 0 || end > int64(size) {
			u.bad = true
			return nil
		}
		ends[i+1] = int32(end)
	}
	if end != int64(size) || size > maxText {
		u.bad = true
		return nil
	}
	if stored != size {
		if have, err := s2.DecodedLen(text); err != nil || have != size {
			u.bad = true
			return nil
		}
		var err error
		if text, err = s2.Decode(nil, text); err != nil {
			u.bad = true
			return nil
		}
	}
	return newArray(arrow.BinaryTypes.String, n, nulls, valid, arrow.Int32Traits.CastToBytes(ends), text)
}

// maxText bounds the texts of one column: S2 could promise much more than a message holds.
const maxText = 256 << 20
