package loader

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/cespare/xxhash/v2"

	"ombor/internal/contract"
	"ombor/warehouse"
)

// contents are the checksums of a record's rows, as the warehouse computes them of the
// same rows (warehouse, content.go).
func contents(c *contract.Contract, rec arrow.Record) ([]uint64, error) {
	sums := make([]uint64, rec.NumRows())
	for _, name := range warehouse.Columns(c) {
		at := rec.Schema().FieldIndices(name)
		if len(at) != 1 {
			return nil, fmt.Errorf("there is no column %s", name)
		}
		if err := addCells(sums, rec.Column(at[0]), warehouse.Salt(name)); err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
	}
	for i, sum := range sums {
		sums[i] = warehouse.Mix(sum)
	}
	return sums, nil
}

// addCells adds the checksum of every value of a column.
func addCells(sums []uint64, col arrow.Array, salt uint64) error {
	var cell func(i int) uint64
	switch a := col.(type) {
	case *array.FixedSizeBinary:
		if a.DataType().(*arrow.FixedSizeBinaryType).ByteWidth != 16 {
			return fmt.Errorf("%s has no checksum", a.DataType())
		}
		cell = func(i int) uint64 {
			v := a.Value(i)
			return warehouse.Mix(warehouse.Mix(binary.BigEndian.Uint64(v)^salt) ^ binary.BigEndian.Uint64(v[8:]))
		}
	case *array.Dictionary:
		dict, ok := a.Dictionary().(*array.String)
		if !ok {
			return fmt.Errorf("%s has no checksum", a.DataType())
		}
		cells := make([]uint64, dict.Len())
		for i := range cells {
			cells[i] = textCell(dict.Value(i), salt)
		}
		cell = func(i int) uint64 { return cells[a.GetValueIndex(i)] }
	case *array.String:
		cell = func(i int) uint64 { return textCell(a.Value(i), salt) }
	case *array.Timestamp:
		return addNumbers(sums, a, a.TimestampValues(), salt)
	case *array.Date32:
		return addNumbers(sums, a, a.Date32Values(), salt)
	case *array.Int64:
		return addNumbers(sums, a, a.Int64Values(), salt)
	case *array.Uint64:
		return addNumbers(sums, a, a.Uint64Values(), salt)
	case *array.Uint32:
		return addNumbers(sums, a, a.Uint32Values(), salt)
	case *array.Int8:
		return addNumbers(sums, a, a.Int8Values(), salt)
	case *array.Boolean:
		cell = func(i int) uint64 {
			if a.Value(i) {
				return warehouse.Mix(1 ^ salt)
			}
			return warehouse.Mix(salt)
		}
	case *array.Decimal128:
		cell = func(i int) uint64 { return warehouse.Mix(a.Value(i).LowBits() ^ salt) } // 18 digits fit
	case *array.Float64:
		cell = func(i int) uint64 { return warehouse.Mix(math.Float64bits(a.Value(i)) ^ salt) }
	default:
		return fmt.Errorf("%s has no checksum", col.DataType())
	}
	for i := range sums {
		if !col.IsNull(i) {
			sums[i] += cell(i)
		}
	}
	return nil
}

func textCell(s string, salt uint64) uint64 {
	if s == "" {
		return 0
	}
	return warehouse.Mix(xxhash.Sum64String(s) ^ salt)
}

func addNumbers[T ~int64 | ~int32 | ~int8 | ~uint64 | ~uint32](sums []uint64, col arrow.Array, v []T, salt uint64) error {
	if col.NullN() == 0 {
		for i := range sums {
			sums[i] += warehouse.Mix(uint64(int64(v[i])) ^ salt)
		}
		return nil
	}
	for i := range sums {
		if !col.IsNull(i) {
			sums[i] += warehouse.Mix(uint64(int64(v[i])) ^ salt)
		}
	}
	return nil
}
