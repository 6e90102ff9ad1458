package dashboards

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"ombor/internal/reference"
	"ombor/queries"
)

// decimalDigits is how many digits a decimal of 128 bits holds.
const decimalDigits = 38

// record is the table in Arrow's types: what Arrow and Parquet are written from, so that both
// tell the same. A count is Int64, a day Date32, an exact number a decimal of 38 digits with as many
// after the point as the column's numbers have; a column whose numbers no decimal holds is Float64.
// The caller releases it.
func (t *table) record() (arrow.Record, error) {
	fields := make([]arrow.Field, len(t.columns))
	for i, c := range t.columns {
		fields[i] = arrow.Field{Name: c.name, Nullable: true, Type: t.typed(i)}
	}
	build := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer build.Release()
	for _, row := range t.rows {
		for i, cell := range row {
			if err := appendCell(build.Field(i), cell); err != nil {
				return nil, fmt.Errorf("api: column %s: %w", t.columns[i].name, err)
			}
		}
	}
	return build.NewRecord(), nil
}

func (t *table) typed(at int) arrow.DataType {
	switch t.columns[at].kind {
	case numberColumn:
		return arrow.PrimitiveTypes.Float64
	case flagColumn:
		return arrow.FixedWidthTypes.Boolean
	case countColumn:
		return arrow.PrimitiveTypes.Int64
	case dateColumn:
		return arrow.FixedWidthTypes.Date32
	case exactColumn:
		before, after := 1, 0 // digits of the point's sides
		for _, row := range t.rows {
			n, ok := row[at].(queries.Number)
			if !ok {
				continue // none
			}
			whole, fraction, _ := strings.Cut(strings.TrimPrefix(string(n), "-"), ".")
			if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
				return arrow.PrimitiveTypes.Float64 // 1e+300
			}
			before, after = max(before, len(whole)), max(after, len(fraction))
		}
		if before+after > decimalDigits {
			return arrow.PrimitiveTypes.Float64
		}
		return &arrow.Decimal128Type{Precision: decimalDigits, Scale: int32(after)}
	}
	return arrow.BinaryTypes.String
}

// appendCell appends a cell as its column's type has it.
func appendCell(to array.Builder, cell any) error {
	if cell == nil {
		to.AppendNull()
		return nil
	}
	switch b := to.(type) {
	case *array.StringBuilder:
		if v, ok := cell.(string); ok {
			b.Append(v)
			return nil
		}
	case *array.BooleanBuilder:
		if v, ok := cell.(bool); ok {
			b.Append(v)
			return nil
		}
	case *array.Float64Builder:
		switch v := cell.(type) {
		case float64:
			b.Append(v)
			return nil
		case queries.Number:
			if f, ok := v.Float(); ok {
				b.Append(f)
				return nil
			}
		}
	case *array.Int64Builder:
		switch v := cell.(type) {
		case int64:
			b.Append(v)
			return nil
		case float64:
			if n := int64(v); float64(n) == v {
				b.Append(n)
				return nil
			}
		}
	case *array.Date32Builder:
		if v, ok := cell.(string); ok {
			if v == "" {
				b.AppendNull()
				return nil
			}
			day, err := reference.ParseDay(v)
			if err != nil {
				return err
			}
			b.Append(arrow.Date32(day))
			return nil
		}
	case *array.Decimal128Builder:
		if v, ok := cell.(queries.Number); ok {
			whole, fraction, _ := strings.Cut(string(v), ".")
			scale := int(b.Type().(*arrow.Decimal128Type).Scale)
			if n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10); ok {
				b.Append(decimal128.FromBigInt(n))
				return nil
			}
		}
	}
	return fmt.Errorf("%T %v is no %s", cell, cell, to.Type())
}

func encodeArrow(w io.Writer, t *table) error {
	record, err := t.record()
	if err != nil {
		return err
	}
	defer record.Release()
	out := ipc.NewWriter(w, ipc.WithSchema(record.Schema()))
	if err := out.Write(record); err != nil {
		return err
	}
	return out.Close()
}

// inOrder is a parquet.Group whose columns lie as they are given; a plain Group sorts them by name.
type inOrder struct {
	parquet.Group
	fields []parquet.Field
}

func (g *inOrder) Fields() []parquet.Field { return g.fields }

func encodeParquet(w io.Writer, t *table) error {
	record, err := t.record()
	if err != nil {
		return err
	}
	defer record.Release()
	group := parquet.Group{}
	for _, f := range record.Schema().Fields() {
		var node parquet.Node
		switch typed := f.Type.(type) {
		case *arrow.Float64Type:
			node = parquet.Leaf(parquet.DoubleType)
		case *arrow.BooleanType:
			node = parquet.Leaf(parquet.BooleanType)
		case *arrow.Int64Type:
			node = parquet.Int(64)
		case *arrow.Date32Type:
			node = parquet.Date()
		case *arrow.Decimal128Type:
			node = parquet.Decimal(int(typed.Scale), int(typed.Precision), parquet.FixedLenByteArrayType(decimalBytes))
		default:
			node = parquet.String()
		}
		group[f.Name] = parquet.Compressed(parquet.Optional(node), &parquet.Zstd)
	}
	named := map[string]parquet.Field{}
	for _, f := range group.Fields() {
		named[f.Name()] = f
	}
	ordered := &inOrder{Group: group}
	for _, f := range record.Schema().Fields() {
		ordered.fields = append(ordered.fields, named[f.Name])
	}
	out := parquet.NewGenericWriter[any](w, parquet.NewSchema("answer", ordered))
	row := make(parquet.Row, len(t.columns))
	for at := range int(record.NumRows()) {
		for i, column := range record.Columns() {
			if column.IsNull(at) {
				row[i] = parquet.NullValue().Level(0, 0, i)
			} else {
				row[i] = parquetValue(column, at).Level(0, 1, i)
			}
		}
		if _, err := out.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
	}
	return out.Close()
}

// decimalBytes is the size of a decimal of 38 digits: two's complement, the highest byte first.
const decimalBytes = 16

func parquetValue(column arrow.Array, at int) parquet.Value {
	switch c := column.(type) {
	case *array.Float64:
		return parquet.DoubleValue(c.Value(at))
	case *array.Boolean:
		return parquet.BooleanValue(c.Value(at))
	case *array.Int64:
		return parquet.Int64Value(c.Value(at))
	case *array.Date32:
		return parquet.Int32Value(int32(c.Value(at)))
	case *array.Decimal128:
		var b [decimalBytes]byte
		binary.BigEndian.PutUint64(b[:8], uint64(c.Value(at).HighBits()))
		binary.BigEndian.PutUint64(b[8:], c.Value(at).LowBits())
		return parquet.FixedLenByteArrayValue(b[:])
	}
	return parquet.ByteArrayValue([]byte(column.(*array.String).Value(at)))
}
