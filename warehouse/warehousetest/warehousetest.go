// Package warehousetest gives tests a warehouse on a real engine, and rows to put
// into it the way the loader does: as one Arrow IPC stream for each batch.
//
//	w := warehousetest.Open(t, set, kpis)
//	warehousetest.Insert(t, w, c, []warehousetest.Row{{ID: 1, Batch: 1, Time: at, Data: map[string]any{"region": "1703"}}})
package warehousetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
)

var opened atomic.Int64

// Prefix is a prefix for databases that no other test of this binary has.
func Prefix() string { return fmt.Sprintf("t%d_", opened.Add(1)) }

// Config is a configuration for the engine that the tests of a binary share. Months of wide
// rollups are kept however few rows these have.
func Config(t testing.TB, prefix string) warehouse.Config {
	t.Helper()
	return warehouse.Config{Socket: enginetest.Shared(t).Socket(), Shared: true, Prefix: prefix, Months: 1}
}

// Open opens and migrates a warehouse with databases of its own, which are dropped
// when the test ends.
func Open(t testing.TB, set *contract.Set, kpis []*kpi.KPI) *warehouse.Warehouse {
	t.Helper()
	prefix := Prefix()
	w := Reopen(t, prefix, set, kpis)
	t.Cleanup(func() {
		for _, database := range []string{"ombor", "facts", "rollups", "meta"} {
			enginetest.Shared(t).Exec(t, "DROP DATABASE IF EXISTS "+prefix+database+" SYNC")
		}
	})
	return w
}

// Reopen opens and migrates a warehouse over the databases of a prefix.
func Reopen(t testing.TB, prefix string, set *contract.Set, kpis []*kpi.KPI) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(context.Background(), Config(t, prefix), set, kpis)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := w.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return w
}

// Row is one row of facts. Seq 0 is given the row's place in its batch.
type Row struct {
	ID        uint64
	Rev       uint32
	Sign      int8 // 0 is +1
	Simulated bool
	Source    string // "" is "test"
	Time      time.Time
	Cut       reference.Day // 0 is the day of Time
	Seq       uint64
	Batch     uint64
	Data      map[string]any // string, int, int64, float64, bool, time.Time, reference.Day, uint64 for a person; absent is absent
}

// Hash is the 128-bit hash that stands for a number.
func Hash(n uint64) (h [16]byte) {
	binary.BigEndian.PutUint64(h[:8], n*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(h[8:], n)
	return h
}

// Day is the civil day of a row in a zone.
func (r Row) Day(zone *time.Location) reference.Day { return reference.DayOf(r.Time.In(zone)) }

// Insert sends rows batch by batch, in the order of the batches, and applies the
// rollups after each.
func Insert(t testing.TB, w *warehouse.Warehouse, c *contract.Contract, rows []Row) {
	t.Helper()
	ctx := context.Background()
	batches := map[uint64][]Row{}
	var order []uint64
	for _, r := range rows {
		if batches[r.Batch] == nil {
			order = append(order, r.Batch)
		}
		batches[r.Batch] = append(batches[r.Batch], r)
	}
	slices.Sort(order)
	for _, batch := range order {
		rows := batches[batch]
		if err := w.InsertFacts(ctx, c, bytes.NewReader(Stream(t, c, w.Zone(), rows))); err != nil {
			t.Fatal(err)
		}
		if err := w.ApplyRollups(ctx, c, rows[0].cut(w.Zone()), batch); err != nil {
			t.Fatal(err)
		}
	}
}

func (r Row) cut(zone *time.Location) reference.Day {
	if r.Cut == 0 {
		return r.Day(zone)
	}
	return r.Cut
}

// Stream writes rows as one Arrow IPC stream with the columns that the loader sends.
func Stream(t testing.TB, c *contract.Contract, zone *time.Location, rows []Row) []byte {
	t.Helper()
	fields := slices.Clone(c.Schema().Fields())
	fields = append(fields,
		arrow.Field{Name: "_sign", Type: arrow.PrimitiveTypes.Int8},
		arrow.Field{Name: "_cut", Type: arrow.FixedWidthTypes.Date32},
		arrow.Field{Name: "_seq", Type: arrow.PrimitiveTypes.Uint64},
		arrow.Field{Name: "_batch", Type: arrow.PrimitiveTypes.Uint64})
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i, r := range rows {
		id := Hash(r.ID)
		values := map[string]any{
			"_id": id[:], "_digest": uint64(0), "_rev": r.Rev, "_withdrawn": false, "_correct": false, "_simulated": r.Simulated,
			"_source": r.Source, "time": r.Time, "_day": r.Day(zone),
			"_sign": r.Sign, "_cut": r.cut(zone), "_seq": r.Seq, "_batch": r.Batch,
		}
		if r.Sign == 0 {
			values["_sign"] = int8(1)
		}
		if r.Source == "" {
			values["_source"] = "test"
		}
		if r.Seq == 0 {
			values["_seq"] = r.Batch<<20 + uint64(i)
		}
		for j, f := range fields {
			value, ok := values[f.Name]
			if !ok {
				value = r.Data[f.Name]
			}
			put(t, b.Field(j), f, value)
		}
	}
	record := b.NewRecord()
	defer record.Release()
	var out bytes.Buffer
	writer := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := writer.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, b array.Builder, f arrow.Field, value any) {
	t.Helper()
	if value == nil {
		switch b := b.(type) {
		case *array.StringBuilder:
			b.Append("")
			return
		case *array.BinaryDictionaryBuilder:
			if err := b.AppendString(""); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !f.Nullable {
			t.Fatalf("column %s has no value", f.Name)
		}
		b.AppendNull()
		return
	}
	whole := func() int64 {
		switch v := value.(type) {
		case int:
			return int64(v)
		case int64:
			return v
		}
		t.Fatalf("column %s: %T is no whole number", f.Name, value)
		return 0
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(value.(string))
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(value.(string)); err != nil {
			t.Fatal(err)
		}
	case *array.FixedSizeBinaryBuilder:
		switch v := value.(type) {
		case []byte:
			b.Append(v)
		case uint64:
			h := Hash(v)
			b.Append(h[:])
		default:
			t.Fatalf("column %s: %T is no person", f.Name, value)
		}
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(value.(time.Time).UnixMilli()))
	case *array.Date32Builder:
		b.Append(arrow.Date32(value.(reference.Day)))
	case *array.Uint64Builder:
		b.Append(value.(uint64))
	case *array.Uint32Builder:
		b.Append(value.(uint32))
	case *array.Int8Builder:
		b.Append(value.(int8))
	case *array.Int64Builder:
		b.Append(whole())
	case *array.Float64Builder:
		b.Append(value.(float64))
	case *array.BooleanBuilder:
		b.Append(value.(bool))
	case *array.Decimal128Builder: // an int is the unscaled value
		b.Append(decimal128.FromI64(whole()))
	default:
		t.Fatalf("column %s: no way to write %s", f.Name, f.Type)
	}
}
