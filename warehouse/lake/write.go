package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"ombor/internal/contract"
)

// Files are written from whole Arrow columns: a dictionary becomes a dictionary page and
// its indices are packed as they are. A writer that takes values one by one has to
// hash and compare each string again to find what Arrow has known all along, which
// was three quarters of the time. Schema, encodings and Thrift structures are
// parquet-go's; the layout is that of data pages of version 1, which every reader knows
// (https://parquet.apache.org/docs/file-format/).

// Tests make them smaller.
var (
	rowGroup = 128 << 10 // rows: small enough to be passed over by day, large enough for its dictionaries
	pageRows = 32 << 10  // rows of a data page; a multiple of 8, so that validity is copied by bytes
)

const (
	maxBound = 128 // bytes of a text told as a column's least or greatest value
	magic    = "PAR1"
)

// encode is the record as a Parquet file.
func encode(rec arrow.Record, f File) ([]byte, error) {
	schema, err := schemaOf(rec.Schema())
	if err != nil {
		return nil, err
	}
	footer, err := footerOf(schema, parquet.KeyValueMetadata(metaContent, f.Content), parquet.KeyValueMetadata(metaContract, f.Contract))
	if err != nil {
		return nil, err
	}
	rows := int(rec.NumRows())
	day := rec.Schema().FieldIndices(contract.ColumnDay)
	e := encoder{out: append(make([]byte, 0, rows*64+1<<16), magic...)}
	for start := 0; start < rows; start += rowGroup {
		end := min(start+rowGroup, rows)
		group := format.RowGroup{NumRows: int64(end - start), FileOffset: int64(len(e.out)), Ordinal: int16(len(footer.RowGroups))}
		if len(day) == 1 {
			group.SortingColumns = []format.SortingColumn{{ColumnIdx: int32(day[0])}}
		}
		for i, field := range rec.Schema().Fields() {
			leaf, ok := schema.Lookup(field.Name)
			if !ok {
				return nil, fmt.Errorf("column %s is not in the file's schema", field.Name)
			}
			chunk, err := e.column(leaf, rec.Column(i), field.Nullable, start, end)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", field.Name, err)
			}
			group.Columns = append(group.Columns, chunk)
			group.TotalByteSize += chunk.MetaData.TotalUncompressedSize
			group.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		}
		footer.RowGroups = append(footer.RowGroups, group)
	}
	footer.NumRows = int64(rows)
	data, err := thrift.Marshal(new(thrift.CompactProtocol), footer)
	if err != nil {
		return nil, err
	}
	e.out = append(e.out, data...)
	e.out = binary.LittleEndian.AppendUint32(e.out, uint32(len(data)))
	return append(e.out, magic...), nil
}

// footerOf is the footer of a file without rows, as parquet-go writes it.
func footerOf(schema *parquet.Schema, options ...parquet.WriterOption) (*format.FileMetaData, error) {
	var empty bytes.Buffer
	w := parquet.NewWriter(&empty, append(options, schema, parquet.CreatedBy("ombor", "1", "0"))...)
	if err := w.Close(); err != nil {
		return nil, err
	}
	f, err := parquet.OpenFile(bytes.NewReader(empty.Bytes()), int64(empty.Len()))
	if err != nil {
		return nil, err
	}
	footer := *f.Metadata()
	footer.RowGroups = format.FileMetaData{}.RowGroups
	return &footer, nil
}

// packer compresses pages as compression would. Its window is that of a page, not of the 4 MB that it
// would make room for; and it is one, kept: a pool loses its own with every second garbage collection.
// Safe for concurrent use.
var packer = newPacker()

func newPacker() *zstd.Encoder {
	p, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are always these
	}
	return p
}

// encoder appends pages to a file. What it needs on the way it uses again.
type encoder struct {
	out     []byte
	body    []byte // encoded values of a page
	page    []byte // levels and values
	packed  []byte // the page, compressed
	rows    []int32
	ints    []int64
	indices []int32
	codes   []int32
	raw     []byte
	offsets []uint32
}

// values are the column's values of a row group, ready to be encoded page by page.
type values struct {
	encode     func(lo, hi int, rows []int32) error // rows lo to hi into body; of those only rows, when not nil
	dictionary []byte                               // PLAIN; nil without one
	distinct   int                                  // its values
	low, high  []byte                               // least and greatest, PLAIN; nil when not told
}

// column appends rows start to end of a column: a chunk.
func (e *encoder) column(leaf parquet.LeafColumn, col arrow.Array, nullable bool, start, end int) (format.ColumnChunk, error) {
	var enc encoding.Encoding = &parquet.Plain
	if of := leaf.Node.Encoding(); of != nil {
		enc = of
	}
	v, err := e.values(enc, col, start, end)
	if err != nil {
		return format.ColumnChunk{}, err
	}
	codec := leaf.Node.Compression()
	meta := format.ColumnMetaData{
		Type: format.Type(leaf.Node.Type().Kind()), PathInSchema: leaf.Path, NumValues: int64(end - start),
		Encoding: []format.Encoding{enc.Encoding()},
	}
	if codec != nil {
		meta.Codec = codec.CompressionCodec()
	}
	if v.dictionary != nil {
		meta.DictionaryPageOffset = int64(len(e.out))
		meta.Encoding = append(meta.Encoding, format.Plain)
		head := format.PageHeader{Type: format.DictionaryPage}
		head.DictionaryPageHeader.Set(format.DictionaryPageHeader{NumValues: int32(v.distinct), Encoding: format.Plain})
		if err := e.append(&meta, head, codec, v.dictionary); err != nil {
			return format.ColumnChunk{}, err
		}
	}
	if nullable {
		meta.Encoding = append(meta.Encoding, format.RLE)
	}
	meta.DataPageOffset = int64(len(e.out))
	for lo := start; lo < end; lo += pageRows {
		hi := min(lo+pageRows, end)
		var rows []int32
		if nullable && col.NullN() > 0 {
			if rows = e.told(col, lo, hi); len(rows) == hi-lo {
				rows = nil
			} else {
				meta.Statistics.NullCount += int64(hi - lo - len(rows))
			}
		}
		if err := v.encode(lo, hi, rows); err != nil {
			return format.ColumnChunk{}, err
		}
		page := e.body
		if nullable {
			e.page = append(e.page[:0], 0, 0, 0, 0) // the length of the levels
			e.page = appendLevels(e.page, col, lo, hi, rows == nil)
			binary.LittleEndian.PutUint32(e.page, uint32(len(e.page)-4))
			e.page = append(e.page, e.body...)
			page = e.page
		}
		head := format.PageHeader{Type: format.DataPage}
		head.DataPageHeader.Set(format.DataPageHeader{
			NumValues: int32(hi - lo), Encoding: enc.Encoding(), DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		})
		if err := e.append(&meta, head, codec, page); err != nil {
			return format.ColumnChunk{}, err
		}
	}
	meta.Statistics.MinValue, meta.Statistics.MaxValue = v.low, v.high
	return format.ColumnChunk{MetaData: meta}, nil
}

// append writes a page.
func (e *encoder) append(meta *format.ColumnMetaData, head format.PageHeader, codec compress.Codec, page []byte) error {
	head.UncompressedPageSize = int32(len(page))
	if codec != nil {
		e.packed = packer.EncodeAll(page, e.packed[:0])
		page = e.packed
	}
	head.CompressedPageSize = int32(len(page))
	data, err := thrift.Marshal(new(thrift.CompactProtocol), &head)
	if err != nil {
		return err
	}
	meta.TotalUncompressedSize += int64(len(data)) + int64(head.UncompressedPageSize)
	meta.TotalCompressedSize += int64(len(data) + len(page))
	e.out = append(append(e.out, data...), page...)
	return nil
}

// told are the rows that have a value.
func (e *encoder) told(col arrow.Array, lo, hi int) []int32 {
	e.rows = slices.Grow(e.rows[:0], hi-lo)
	valid, offset := col.NullBitmapBytes(), col.Data().Offset()
	for i := lo; i < hi; i++ {
		if bitutil.BitIsSet(valid, offset+i) {
			e.rows = append(e.rows, int32(i))
		}
	}
	return e.rows
}

// appendLevels writes definition levels in the RLE hybrid: 1 where there is a value. They are
// one run when all have, and else a bit for each row, as Arrow has them.
func appendLevels(dst []byte, col arrow.Array, lo, hi int, all bool) []byte {
	if all {
		return append(binary.AppendUvarint(dst, uint64(hi-lo)<<1), 1)
	}
	n := (hi - lo + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(n)<<1|1)
	valid, offset := col.NullBitmapBytes(), col.Data().Offset()+lo
	at := len(dst)
	if offset%8 == 0 {
		dst = append(dst, valid[offset/8:offset/8+n]...)
	} else {
		dst = append(dst, make([]byte, n)...)
		bitutil.CopyBitmap(valid, offset, hi-lo, dst[at:], 0)
	}
	if rest := (hi - lo) % 8; rest > 0 {
		dst[len(dst)-1] &= 1<<rest - 1
	}
	return dst
}

// chosen are rows lo to hi of v, or of those only rows.
func chosen[T any](scratch *[]T, v []T, lo, hi int, rows []int32) []T {
	if rows == nil {
		return v[lo:hi]
	}
	*scratch = slices.Grow((*scratch)[:0], len(rows))
	for _, row := range rows {
		*scratch = append(*scratch, v[row])
	}
	return *scratch
}

// values prepares rows start to end of a column.
func (e *encoder) values(enc encoding.Encoding, col arrow.Array, start, end int) (values, error) {
	var v values
	var err error
	switch a := col.(type) {
	case *array.FixedSizeBinary:
		width := a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth
		all := a.Data().Buffers()[1].Bytes()[a.Data().Offset()*width:]
		v.encode = func(lo, hi int, rows []int32) error {
			some := all[lo*width : hi*width]
			if rows != nil {
				e.raw = e.raw[:0]
				for _, row := range rows {
					e.raw = append(e.raw, all[int(row)*width:(int(row)+1)*width]...)
				}
				some = e.raw
			}
			e.body, err = enc.EncodeFixedLenByteArray(e.body, some, width)
			return err
		}
	case *array.Dictionary:
		dict, ok := a.Dictionary().(*array.String)
		indices, iok := a.Indices().(*array.Int32)
		if !ok || !iok {
			return v, fmt.Errorf("dictionary %s", a.DataType())
		}
		e.labels(&v, col, dict, indices.Int32Values(), start, end)
		v.encode = e.coded(enc, start)
	case *array.Date32:
		numbers(e, &v, col, a.Date32Values(), start, end, func(d arrow.Date32) int32 { return int32(d) }, false)
		v.encode = e.coded(enc, start)
	case *array.Uint32:
		numbers(e, &v, col, a.Uint32Values(), start, end, func(n uint32) int32 { return int32(n) }, true)
		v.encode = e.coded(enc, start)
	case *array.Int8:
		numbers(e, &v, col, a.Int8Values(), start, end, func(n int8) int32 { return int32(n) }, false)
		v.encode = e.coded(enc, start)
	case *array.String:
		offsets, text := a.ValueOffsets(), []byte(nil)
		if buffer := a.Data().Buffers()[2]; buffer != nil { // a column of empty texts may have none
			text = buffer.Bytes()
		}
		v.encode = func(lo, hi int, rows []int32) error {
			e.offsets = append(e.offsets[:0], 0)
			some := text[offsets[lo]:offsets[hi]]
			if rows == nil {
				for _, end := range offsets[lo+1 : hi+1] {
					e.offsets = append(e.offsets, uint32(end-offsets[lo]))
				}
			} else {
				e.raw = e.raw[:0]
				for _, row := range rows {
					e.raw = append(e.raw, text[offsets[row]:offsets[row+1]]...)
					e.offsets = append(e.offsets, uint32(len(e.raw)))
				}
				some = e.raw
			}
			e.body, err = enc.EncodeByteArray(e.body, some, e.offsets)
			return err
		}
	case *array.Timestamp:
		e.longs(&v, enc, col, as[int64](a.TimestampValues()), start, end, false)
	case *array.Int64:
		e.longs(&v, enc, col, a.Int64Values(), start, end, false)
	case *array.Uint64:
		e.longs(&v, enc, col, as[int64](a.Uint64Values()), start, end, true)
	case *array.Decimal128:
		low := make([]int64, end)
		for i, d := range a.Values()[start:end] {
			low[start+i] = int64(d.LowBits())
		}
		e.longs(&v, enc, col, low, start, end, false)
	case *array.Boolean:
		v.encode = func(lo, hi int, rows []int32) error {
			n := hi - lo
			if rows != nil {
				n = len(rows)
			}
			e.raw = append(e.raw[:0], make([]byte, (n+7)/8)...)
			for i := range n {
				row := lo + i
				if rows != nil {
					row = int(rows[i])
				}
				if a.Value(row) {
					e.raw[i>>3] |= 1 << (i & 7)
				}
			}
			e.body, err = enc.EncodeBoolean(e.body, e.raw)
			return err
		}
	case *array.Float64:
		var scratch []float64
		v.encode = func(lo, hi int, rows []int32) error {
			e.body, err = enc.EncodeDouble(e.body, chosen(&scratch, a.Float64Values(), lo, hi, rows))
			return err
		}
	default:
		return v, fmt.Errorf("type %s has no place in the lake", col.DataType())
	}
	return v, nil
}

// as reads numbers of 64 bits as others.
func as[T, F any](v []F) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}

// coded encodes the indices that labels or numbers have left, of rows from start on.
func (e *encoder) coded(enc encoding.Encoding, start int) func(lo, hi int, rows []int32) error {
	return func(lo, hi int, rows []int32) (err error) {
		some := e.indices[lo-start : hi-start]
		if rows != nil {
			e.codes = e.codes[:0]
			for _, row := range rows {
				e.codes = append(e.codes, e.indices[int(row)-start])
			}
			some = e.codes
		}
		e.body, err = enc.EncodeInt32(e.body, some)
		return err
	}
}

// labels makes a dictionary of what stands in rows start to end, in the order in which
// it comes, and leaves the rows' indices.
func (e *encoder) labels(v *values, col arrow.Array, dict *array.String, index []int32, start, end int) {
	local := make([]int32, dict.Len()) // 1 + index in the row group's dictionary
	e.indices = slices.Grow(e.indices[:0], end-start)
	v.dictionary = []byte{}
	for i, code := range index[start:end] {
		if col.NullN() > 0 && col.IsNull(start+i) {
			e.indices = append(e.indices, 0)
			continue
		}
		if local[code] == 0 {
			v.distinct++
			local[code] = int32(v.distinct)
			text := dict.Value(int(code))
			v.dictionary = binary.LittleEndian.AppendUint32(v.dictionary, uint32(len(text)))
			v.dictionary = append(v.dictionary, text...)
			bound := []byte(text)
			if v.distinct == 1 || bytes.Compare(bound, v.low) < 0 {
				v.low = bound
			}
			if v.distinct == 1 || bytes.Compare(bound, v.high) > 0 {
				v.high = bound
			}
		}
		e.indices = append(e.indices, local[code]-1)
	}
	if len(v.low) > maxBound || len(v.high) > maxBound {
		v.low, v.high = nil, nil
	}
}

// numbers does the same for numbers of at most 32 bits.
func numbers[T comparable](e *encoder, v *values, col arrow.Array, all []T, start, end int, number func(T) int32, unsigned bool) {
	local := map[T]int32{}
	e.indices = slices.Grow(e.indices[:0], end-start)
	v.dictionary = []byte{}
	var before T
	var code, low, high int32
	less := func(a, b int32) bool { return a < b != (unsigned && (a < 0) != (b < 0)) }
	for i, n := range all[start:end] {
		if col.NullN() > 0 && col.IsNull(start+i) {
			e.indices = append(e.indices, 0)
			continue
		}
		if n != before || v.distinct == 0 {
			known, ok := local[n]
			if !ok {
				known = int32(v.distinct)
				local[n] = known
				value := number(n)
				v.dictionary = binary.LittleEndian.AppendUint32(v.dictionary, uint32(value))
				if v.distinct == 0 || less(value, low) {
					low = value
				}
				if v.distinct == 0 || less(high, value) {
					high = value
				}
				v.distinct++
			}
			before, code = n, known
		}
		e.indices = append(e.indices, code)
	}
	if v.distinct > 0 {
		v.low, v.high = binary.LittleEndian.AppendUint32(nil, uint32(low)), binary.LittleEndian.AppendUint32(nil, uint32(high))
	}
}

// longs encodes numbers of 64 bits.
func (e *encoder) longs(v *values, enc encoding.Encoding, col arrow.Array, all []int64, start, end int, unsigned bool) {
	v.encode = func(lo, hi int, rows []int32) (err error) {
		e.body, err = enc.EncodeInt64(e.body, chosen(&e.ints, all, lo, hi, rows))
		return err
	}
	flip := uint64(1) << 63 // orders signed numbers as unsigned ones
	if unsigned {
		flip = 0
	}
	some, low, high := false, ^uint64(0), uint64(0)
	for i, n := range all[start:end] {
		if col.NullN() == 0 || col.IsValid(start+i) {
			some, low, high = true, min(low, uint64(n)^flip), max(high, uint64(n)^flip)
		}
	}
	if some {
		v.low, v.high = binary.LittleEndian.AppendUint64(nil, low^flip), binary.LittleEndian.AppendUint64(nil, high^flip)
	}
}
