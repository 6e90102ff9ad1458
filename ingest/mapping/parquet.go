package mapping

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"ombor/internal/problem"
)

// parquetRows reads the flat columns of a Parquet file, row group after row group,
// page by page. Columns inside groups have names joined by points; repeated columns
// (lists, maps) are no columns here. Cells are the text of the values: dates as
// YYYY-MM-DD, instants as RFC 3339, decimals with their point.
type parquetRows struct {
	groups []parquet.RowGroup
	rows   parquet.Rows
	batch  []parquet.Row
	have   int
	used   int
	names  []string
	column []int // leaf column → cell, -1 when it is none
	types  []parquet.Type
	cells  [][]byte
	text   []byte
	place  Place
	size   int64
	total  int64
	failed error
}

func openParquet(r io.ReaderAt, size int64, place Place) (p *parquetRows, err error) {
	defer recovered(place.File, &err)
	f, err := parquet.OpenFile(r, size)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "mapping: open Parquet", "%s is no Parquet file that can be read", place.File)
	}
	p = &parquetRows{groups: f.RowGroups(), place: place, size: size, total: f.NumRows(), batch: make([]parquet.Row, 256)}
	schema := f.Schema()
	for _, path := range schema.Columns() {
		leaf, ok := schema.Lookup(path...)
		if !ok || leaf.MaxRepetitionLevel > 0 {
			p.column, p.types = append(p.column, -1), append(p.types, nil)
			continue
		}
		p.column = append(p.column, len(p.names))
		p.names = append(p.names, strings.Join(path, "."))
		p.types = append(p.types, leaf.Node.Type())
	}
	p.cells = make([][]byte, len(p.names))
	return p, nil
}

// recovered turns a panic of the Parquet reader over a damaged file into an error:
// the library checks much, and not everything, of what a file claims.
func recovered(file string, err *error) {
	if v := recover(); v != nil {
		*err = problem.Wrap(fmt.Errorf("panic: %v", v), problem.BadInput, "mapping: read Parquet", "%s is damaged and cannot be read", file)
	}
}

func (p *parquetRows) columns() []string { return p.names }
func (p *parquetRows) raw() []byte       { return nil }
func (p *parquetRows) at() Place         { return p.place }

func (p *parquetRows) close() error {
	if p.rows == nil {
		return nil
	}
	return p.rows.Close()
}

func (p *parquetRows) next(context.Context) (cells [][]byte, err error) {
	defer recovered(p.place.File, &err)
	for p.used == p.have {
		if p.failed != nil {
			return nil, p.failed
		}
		if p.rows == nil {
			if len(p.groups) == 0 {
				return nil, io.EOF
			}
			p.rows = p.groups[0].Rows()
			p.groups = p.groups[1:]
		}
		p.used = 0
		p.have, err = p.rows.ReadRows(p.batch)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.failed = problem.Wrap(err, problem.BadInput, "mapping: read Parquet", "%s cannot be read on behind row %d", p.place.File, p.place.Row+int64(p.have))
			}
			if closed := p.rows.Close(); closed != nil && p.failed == nil {
				p.failed = problem.Wrap(closed, problem.BadInput, "mapping: read Parquet", "%s cannot be read on behind row %d", p.place.File, p.place.Row+int64(p.have))
			}
			p.rows = nil
		}
	}
	row := p.batch[p.used]
	p.used++
	p.place.Row++
	if p.total > 0 {
		p.place.Bytes = int64(float64(p.size) * float64(p.place.Row) / float64(p.total))
	}
	p.text = p.text[:0]
	clear(p.cells)
	for _, v := range row {
		at := p.column[v.Column()]
		if at < 0 || v.IsNull() {
			continue
		}
		from := len(p.text)
		p.text = appendParquet(p.text, v, p.types[v.Column()])
		p.cells[at] = p.text[from:len(p.text):len(p.text)]
	}
	return p.cells, nil
}

func appendParquet(dst []byte, v parquet.Value, t parquet.Type) []byte {
	if logical := t.LogicalType(); logical != nil {
		switch l := logical.Value.(type) {
		case *format.DateType:
			return time.Unix(int64(v.Int32())*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
		case *format.TimestampType:
			layout := time.RFC3339Nano
			if !l.IsAdjustedToUTC {
				layout = "2006-01-02T15:04:05.999999999" // a wall clock, read in time_zone
			}
			var at time.Time
			switch l.Unit.Value.(type) {
			case *format.MilliSeconds:
				at = time.UnixMilli(v.Int64())
			case *format.MicroSeconds:
				at = time.UnixMicro(v.Int64())
			default:
				at = time.Unix(0, v.Int64())
			}
			return at.UTC().AppendFormat(dst, layout)
		case *format.DecimalType:
			return appendScaled(dst, unscaled(v), int(l.Scale))
		case *format.UUIDType:
			if b := v.ByteArray(); len(b) == 16 {
				return fmt.Appendf(dst, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
			}
		case *format.IntType:
			if !l.IsSigned && v.Kind() == parquet.Int32 {
				return strconv.AppendUint(dst, uint64(v.Uint32()), 10)
			}
			if !l.IsSigned && v.Kind() == parquet.Int64 {
				return strconv.AppendUint(dst, v.Uint64(), 10)
			}
		case *format.StringType, *format.EnumType, *format.JsonType:
			return append(dst, v.ByteArray()...)
		}
	}
	if converted := t.ConvertedType(); converted != nil && *converted == deprecated.UTF8 {
		return append(dst, v.ByteArray()...)
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(dst, v.Boolean())
	case parquet.Int32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10)
	case parquet.Int64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case parquet.Float:
		return strconv.AppendFloat(dst, float64(v.Float()), 'f', -1, 32)
	case parquet.Double:
		return strconv.AppendFloat(dst, v.Double(), 'f', -1, 64)
	case parquet.Int96: // nanoseconds of a day and its Julian number, as Impala and Spark wrote
		n := v.Int96()
		return time.Unix((int64(n[2])-2440588)*86400, int64(uint64(n[1])<<32|uint64(n[0]))).UTC().AppendFormat(dst, time.RFC3339Nano)
	case parquet.FixedLenByteArray:
		return hex.AppendEncode(dst, v.ByteArray())
	}
	return append(dst, v.ByteArray()...)
}

// unscaled is a decimal's whole number: an integer, or big-endian two's complement.
func unscaled(v parquet.Value) *big.Int {
	switch v.Kind() {
	case parquet.Int32:
		return big.NewInt(int64(v.Int32()))
	case parquet.Int64:
		return big.NewInt(v.Int64())
	}
	b := v.ByteArray()
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func appendScaled(dst []byte, n *big.Int, scale int) []byte {
	if n.Sign() < 0 {
		dst = append(dst, '-')
		n = new(big.Int).Neg(n)
	}
	digits := n.String()
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	dst = append(dst, digits[:len(digits)-scale]...)
	if scale > 0 {
		dst = append(dst, '.')
		dst = append(dst, digits[len(digits)-scale:]...)
	}
	return dst
}
