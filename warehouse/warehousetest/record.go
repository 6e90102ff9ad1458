package warehousetest

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// InsertRecord puts the rows of a checked record into the facts of its contract as one batch that
// was received on a day, and then takes the rows from first up to end back.
func InsertRecord(t testing.TB, w *warehouse.Warehouse, c *contract.Contract, record arrow.Record, received reference.Day, first, end int) {
	t.Helper()
	var stream bytes.Buffer
	whole := Signed(record, 1, received)
	writer := ipc.NewWriter(&stream, ipc.WithSchema(whole.Schema()))
	records := []arrow.Record{whole}
	if end > first {
		records = append(records, Signed(record.NewSlice(int64(first), int64(end)), -1, received))
	}
	for _, r := range records {
		if err := writer.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.InsertFacts(context.Background(), c, &stream); err != nil {
		t.Fatal(err)
	}
}

// Signed gives a record the columns that the loader adds.
func Signed(record arrow.Record, sign int8, received reference.Day) arrow.Record {
	rows := int(record.NumRows())
	signs, cuts := array.NewInt8Builder(memory.DefaultAllocator), array.NewDate32Builder(memory.DefaultAllocator)
	seqs, batches := array.NewUint64Builder(memory.DefaultAllocator), array.NewUint64Builder(memory.DefaultAllocator)
	for i := range rows {
		signs.Append(sign)
		cuts.Append(arrow.Date32(received))
		seqs.Append(1<<20 + uint64(i))
		batches.Append(1)
	}
	fields, columns := slices.Clone(record.Schema().Fields()), slices.Clone(record.Columns())
	for _, c := range []struct {
		name   string
		values arrow.Array
	}{{"_sign", signs.NewArray()}, {"_cut", cuts.NewArray()}, {"_seq", seqs.NewArray()}, {"_batch", batches.NewArray()}} {
		fields, columns = append(fields, arrow.Field{Name: c.name, Type: c.values.DataType()}), append(columns, c.values)
	}
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows))
}
