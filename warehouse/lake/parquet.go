package lake

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

const chunk = 1024 // values read at a time

// compression of what is read, and the name of it in files; pages are packed by packer.
var compression = &zstd.Codec{Level: zstd.SpeedFastest, Concurrency: 1}

// node is the Parquet type of a column.
func node(f arrow.Field) (parquet.Node, error) {
	var n parquet.Node
	switch t := f.Type.(type) {
	case *arrow.FixedSizeBinaryType:
		n = parquet.UUID()
	case *arrow.DictionaryType:
		n = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	case *arrow.StringType:
		n = parquet.Encoded(parquet.String(), &parquet.DeltaLengthByteArray)
	case *arrow.TimestampType:
		n = parquet.Encoded(parquet.Timestamp(parquet.Millisecond), &parquet.DeltaBinaryPacked)
	case *arrow.Date32Type:
		n = parquet.Encoded(parquet.Date(), &parquet.RLEDictionary)
	case *arrow.Decimal128Type:
		n = parquet.Encoded(parquet.Decimal(int(t.Scale), int(t.Precision), parquet.Int64Type), &parquet.DeltaBinaryPacked)
	case *arrow.Int64Type:
		n = parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	case *arrow.Uint64Type:
		n = parquet.Uint(64)
		if f.Name == ColumnSeq || f.Name == ColumnBatch {
			n = parquet.Encoded(n, &parquet.DeltaBinaryPacked)
		}
	case *arrow.Uint32Type:
		n = parquet.Encoded(parquet.Uint(32), &parquet.RLEDictionary)
	case *arrow.Int8Type:
		n = parquet.Encoded(parquet.Int(8), &parquet.RLEDictionary)
	case *arrow.BooleanType:
		n = parquet.Leaf(parquet.BooleanType)
	case *arrow.Float64Type:
		n = parquet.Leaf(parquet.DoubleType)
	default:
		return nil, fmt.Errorf("column %s: type %s has no place in the lake", f.Name, f.Type)
	}
	if f.Nullable {
		n = parquet.Optional(n)
	} else {
		n = parquet.Required(n)
	}
	if f.Name == contract.ColumnID || f.Name == contract.ColumnDigest { // random bits: packing them saves nothing
		return n, nil
	}
	return parquet.Compressed(n, compression), nil
}

// columns is a parquet.Group that keeps the schema's order; a plain Group sorts
// its fields by name.
type columns struct {
	parquet.Group
	fields []parquet.Field
}

func (c *columns) Fields() []parquet.Field { return c.fields }

func schemaOf(s *arrow.Schema) (*parquet.Schema, error) {
	group := parquet.Group{}
	for _, f := range s.Fields() {
		n, err := node(f)
		if err != nil {
			return nil, err
		}
		group[f.Name] = n
	}
	byName := map[string]parquet.Field{}
	for _, f := range group.Fields() {
		byName[f.Name()] = f
	}
	ordered := &columns{Group: group}
	for _, f := range s.Fields() {
		ordered.fields = append(ordered.fields, byName[f.Name])
	}
	return parquet.NewSchema("row", ordered), nil
}

const (
	metaContent  = "ombor.content"
	metaContract = "ombor.contract"
)

// damageError is a file that is not what its name promises.
type damageError struct{ err error }

func (e *damageError) Error() string { return e.err.Error() }
func (e *damageError) Unwrap() error { return e.err }

func openFile(data []byte) (f *parquet.File, err error) {
	defer func() {
		if r := recover(); r != nil { // the reader panics on some damaged footers
			err = &damageError{fmt.Errorf("%v", r)}
		}
	}()
	f, err = parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, &damageError{err}
	}
	return f, nil
}

// contentOf is the content hash that a file carries.
func contentOf(data []byte) (string, error) {
	f, err := openFile(data)
	if err != nil {
		return "", err
	}
	content, _ := f.Lookup(metaContent)
	return content, nil
}

// decode calls fn with each row group as a record of the given layout.
func decode(data []byte, schema *arrow.Schema, fn func(arrow.Record) error) error {
	f, err := openFile(data)
	if err != nil {
		return err
	}
	for _, group := range f.RowGroups() {
		rec, err := decodeGroup(f, group, schema)
		if err != nil {
			return &damageError{err}
		}
		err = fn(rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

func decodeGroup(f *parquet.File, group parquet.RowGroup, schema *arrow.Schema) (rec arrow.Record, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	chunks := group.ColumnChunks()
	rows := int(group.NumRows())
	for i, field := range schema.Fields() {
		leaf, ok := f.Schema().Lookup(field.Name)
		if !ok { // the contract got this optional field later
			for range rows {
				if err := appendAbsent(b.Field(i), field.Nullable); err != nil {
					return nil, err
				}
			}
			continue
		}
		if err := readColumn(chunks[leaf.ColumnIndex], b.Field(i), field); err != nil {
			return nil, fmt.Errorf("column %s: %w", field.Name, err)
		}
		if n := b.Field(i).Len(); n != rows {
			return nil, fmt.Errorf("column %s: %d values of %d", field.Name, n, rows)
		}
	}
	return b.NewRecord(), nil
}

func appendAbsent(b array.Builder, nullable bool) error {
	switch d, label := b.(*array.BinaryDictionaryBuilder); {
	case nullable:
		b.AppendNull()
	case label: // an empty value of a dictionary would be an index of nothing
		return d.AppendString("")
	default:
		b.AppendEmptyValue()
	}
	return nil
}

func readColumn(column parquet.ColumnChunk, b array.Builder, field arrow.Field) error {
	b.Reserve(int(column.NumValues()))
	pages := column.Pages()
	defer pages.Close()
	values := make([]parquet.Value, chunk)
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for reader := page.Values(); ; {
			n, err := reader.ReadValues(values)
			for _, v := range values[:n] {
				if aerr := appendValue(b, v, field); aerr != nil {
					return aerr
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
		}
		parquet.Release(page)
	}
}

func appendValue(b array.Builder, v parquet.Value, field arrow.Field) error {
	if v.IsNull() {
		return appendAbsent(b, field.Nullable)
	}
	switch b := b.(type) {
	case *array.FixedSizeBinaryBuilder:
		b.Append(v.ByteArray())
	case *array.BinaryDictionaryBuilder:
		return b.Append(v.ByteArray())
	case *array.StringBuilder:
		b.BinaryBuilder.Append(v.ByteArray())
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Int64()))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.Int32()))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(v.Int64()))
	case *array.Int64Builder:
		b.Append(v.Int64())
	case *array.Uint64Builder:
		b.Append(v.Uint64())
	case *array.Uint32Builder:
		b.Append(v.Uint32())
	case *array.Int8Builder:
		b.Append(int8(v.Int32()))
	case *array.BooleanBuilder:
		b.Append(v.Boolean())
	case *array.Float64Builder:
		b.Append(v.Double())
	default:
		return fmt.Errorf("type %s has no place in the lake", field.Type)
	}
	return nil
}

// ledger is the columns of a record that say what each row is.
type ledger struct {
	id     *array.FixedSizeBinary
	digest []uint64
	rev    []uint32
	day    []arrow.Date32
	sign   []int8
	seq    []uint64
}

// rowsOf reads them; where only ids are, every day is 0.
func rowsOf(rec arrow.Record) (l ledger, err error) {
	ok := true
	column := func(name string) arrow.Array {
		at := rec.Schema().FieldIndices(name)
		if len(at) != 1 {
			ok = false
			return nil
		}
		return rec.Column(at[0])
	}
	id, iok := column(contract.ColumnID).(*array.FixedSizeBinary)
	digest, dok := column(contract.ColumnDigest).(*array.Uint64)
	rev, rok := column(contract.ColumnRev).(*array.Uint32)
	day := make([]arrow.Date32, rec.NumRows())
	if rec.Schema().HasField(contract.ColumnDay) {
		days, yok := column(contract.ColumnDay).(*array.Date32)
		if ok = ok && yok; yok {
			day = days.Date32Values()
		}
	}
	sign, sok := column(ColumnSign).(*array.Int8)
	seq, qok := column(ColumnSeq).(*array.Uint64)
	if !ok || !iok || !dok || !rok || !sok || !qok {
		return l, problem.New(problem.Internal, "a record for the lake has not the lake's columns: %s", rec.Schema())
	}
	return ledger{id, digest.Uint64Values(), rev.Uint32Values(), day, sign.Int8Values(), seq.Uint64Values()}, nil
}

// hash mixes what makes row i itself. Sums of it compare sets of rows.
func (l *ledger) hash(i int) uint64 {
	id := l.id.Value(i)
	h := binary.LittleEndian.Uint64(id) ^ mix(binary.LittleEndian.Uint64(id[8:]))
	h = mix(h ^ l.seq[i])
	h = mix(h ^ l.digest[i] ^ uint64(l.rev[i])<<32)
	return mix(h ^ uint64(uint8(l.sign[i])))
}

// mix is the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
