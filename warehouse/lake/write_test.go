package lake

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"
)

// layout has a column of every type, required and optional where a contract can have it.
func layout() *arrow.Schema {
	label := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	moment := &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
	money := &arrow.Decimal128Type{Precision: 18, Scale: 2}
	hash := &arrow.FixedSizeBinaryType{ByteWidth: 16}
	var fields []arrow.Field
	for _, t := range []arrow.DataType{hash, label, arrow.BinaryTypes.String, moment, arrow.FixedWidthTypes.Date32, money,
		arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Int8,
		arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Float64} {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%02d", len(fields)), Type: t})
		if t != label && t != arrow.BinaryTypes.String {
			fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%02d", len(fields)), Type: t, Nullable: true})
		}
	}
	return arrow.NewSchema(fields, nil)
}

// random fills n rows; nulls is the share of optional values that are absent.
func random(t *testing.T, schema *arrow.Schema, n int, nulls float64) arrow.Record {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), 7))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, f := range schema.Fields() {
		for row := range n {
			if f.Nullable && r.Float64() < nulls {
				b.Field(i).AppendNull()
				continue
			}
			switch b := b.Field(i).(type) {
			case *array.FixedSizeBinaryBuilder:
				b.Append([]byte(fmt.Sprintf("%016x", r.Uint64())))
			case *array.BinaryDictionaryBuilder:
				// Each row group has labels of its own, and empty ones.
				if err := b.AppendString([]string{"", "oʻzbek", fmt.Sprint(row / 1000), fmt.Sprint(r.IntN(300))}[r.IntN(4)]); err != nil {
					t.Fatal(err)
				}
			case *array.StringBuilder:
				b.Append(fmt.Sprintf("%.*s", r.IntN(20), "a text of any length ʼ"))
			case *array.TimestampBuilder:
				b.Append(arrow.Timestamp(r.Int64() >> 20))
			case *array.Date32Builder:
				b.Append(arrow.Date32(r.IntN(40_000) - 20_000))
			case *array.Decimal128Builder:
				b.Append(decimal128.FromI64(r.Int64()>>10 - 1<<40))
			case *array.Int64Builder:
				b.Append(int64(r.Uint64()))
			case *array.Uint64Builder:
				b.Append(r.Uint64())
			case *array.Uint32Builder:
				b.Append(r.Uint32() >> (r.IntN(4) * 8))
			case *array.Int8Builder:
				b.Append(int8(r.IntN(256) - 128))
			case *array.BooleanBuilder:
				b.Append(r.IntN(3) == 0)
			case *array.Float64Builder:
				b.Append(r.NormFloat64())
			}
		}
	}
	return b.NewRecord()
}

// Every type comes back as it was written, over pages and row groups, and what a row
// group says of its least and greatest values and of its nulls is what parquet-go finds in its pages.
func TestPages(t *testing.T) {
	defer func(rows, page int) { rowGroup, pageRows = rows, page }(rowGroup, pageRows)
	rowGroup, pageRows = 4096, 1024
	for _, c := range []struct {
		rows  int
		nulls float64
	}{{1, 0}, {1, 1}, {9, 0.5}, {pageRows, 0}, {pageRows + 1, 1}, {2*rowGroup + pageRows + 3, 0.3}} {
		rec := random(t, layout(), c.rows, c.nulls)
		for _, rec := range []arrow.Record{rec, rec.NewSlice(int64(c.rows/3), int64(c.rows))} {
			data, err := encode(rec, File{Content: "0123", Contract: "test"})
			if err != nil {
				t.Fatal(err)
			}
			at := int64(0)
			if err := decode(data, rec.Schema(), func(got arrow.Record) error {
				want := rec.NewSlice(at, at+got.NumRows())
				for i, f := range rec.Schema().Fields() {
					if !sameValues(want.Column(i), got.Column(i)) {
						t.Errorf("%d rows, %g null: column %s, %s, from row %d on: wrote %.200v, read %.200v", c.rows, c.nulls, f.Name, f.Type, at, want.Column(i), got.Column(i))
					}
				}
				at += got.NumRows()
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if at != rec.NumRows() {
				t.Errorf("%d rows of %d", at, rec.NumRows())
			}
			if content, err := contentOf(data); err != nil || content != "0123" {
				t.Errorf("content %q, %v", content, err)
			}
			bounds(t, data)
		}
	}
}

func sameValues(a, b arrow.Array) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if a.IsNull(i) != b.IsNull(i) || !a.IsNull(i) && a.ValueStr(i) != b.ValueStr(i) {
			return false
		}
	}
	return true
}

// bounds holds the statistics of a file against its values.
func bounds(t *testing.T, data []byte) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for g, group := range f.RowGroups() {
		for i, column := range group.ColumnChunks() {
			meta := f.Metadata().RowGroups[g].Columns[i].MetaData
			kind := f.Schema().Columns()[i]
			leaf, _ := f.Schema().Lookup(kind...)
			var low, high parquet.Value
			var missing, values int64
			pages := column.Pages()
			for page, err := pages.ReadPage(); err == nil; page, err = pages.ReadPage() {
				all := make([]parquet.Value, page.NumValues())
				n, _ := page.Values().ReadValues(all)
				values += int64(n)
				for _, v := range all[:n] {
					if v.IsNull() {
						missing++
						continue
					}
					if low.IsNull() || leaf.Node.Type().Compare(v, low) < 0 {
						low = v.Clone()
					}
					if high.IsNull() || leaf.Node.Type().Compare(v, high) > 0 {
						high = v.Clone()
					}
				}
			}
			pages.Close()
			if missing != meta.Statistics.NullCount || values != meta.NumValues || values != group.NumRows() {
				t.Errorf("column %v: %d values with %d nulls, told are %d with %d", kind, values, missing, meta.NumValues, meta.Statistics.NullCount)
			}
			if meta.Statistics.MinValue == nil {
				continue
			}
			told++
			if !bytes.Equal(low.Bytes(), meta.Statistics.MinValue) || !bytes.Equal(high.Bytes(), meta.Statistics.MaxValue) {
				t.Errorf("column %v: from %v to %v, told is %x to %x", kind, low, high, meta.Statistics.MinValue, meta.Statistics.MaxValue)
			}
		}
	}
	if told == 0 {
		t.Error("no column tells its least and greatest value")
	}
}
