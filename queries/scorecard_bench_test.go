package queries_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/internal/simulate"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// BenchmarkScorecard asks for the scorecard of the embedded pack over the simulated
// year 2024, each time from nothing: OMBOR_EVENTS events (by default 300,000 here),
// received in twelve plans.
func BenchmarkScorecard(b *testing.B) {
	n := 300_000
	if given := events(b); given != 1_000_000 {
		n = given
	}
	p, w, n := simulated(b, n)
	for _, c := range []struct {
		name    string
		request queries.ScorecardRequest
	}{
		{"year", queries.ScorecardRequest{From: day("2024-01-01"), To: day("2024-12-31")}},
		{"region", queries.ScorecardRequest{From: day("2024-01-01"), To: day("2024-12-31"), Where: map[string][]string{"region": {"1703"}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := queries.New(w, p.KPIs, p.Reference, queries.Options{Targets: p.Targets, K: p.K})
				card, err := q.Scorecard(context.Background(), c.request)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range card.Rows {
					if r.Problem != "" {
						b.Fatalf("%s: %s", r.KPI, r.Problem)
					}
				}
			}
			b.ReportMetric(float64(n), "events")
		})
	}
}

// simulated is a warehouse of the embedded pack with about n simulated events of 2024 and
// the catalogue before it.
func simulated(b *testing.B, n int) (*pack.Pack, *warehouse.Warehouse, int) {
	b.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		b.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		b.Fatal(err)
	}
	g, err := simulate.New(p, simulate.Options{Seed: 1, Events: n})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(b.TempDir(), "keys.json"))
	if err != nil {
		b.Fatal(err)
	}
	w := warehousetest.Open(b, p.Set, p.KPIs)
	lines, ends := io.Pipe()
	go func() {
		_, err := g.WriteTo(context.Background(), ends, nil)
		ends.CloseWithError(err)
	}()
	batch := contract.NewChecker(p.Set, keys, contract.Limits{}).NewBatch()
	sent, plan := 0, uint64(0)
	flush := func() {
		for _, part := range batch.Parts() {
			plan++
			cut := reference.Day(0)
			received(b, part.Record, plan, func(record arrow.Record, on reference.Day) {
				var stream bytes.Buffer
				writer := ipc.NewWriter(&stream, ipc.WithSchema(record.Schema()))
				if err := writer.Write(record); err != nil {
					b.Fatal(err)
				}
				if err := writer.Close(); err != nil {
					b.Fatal(err)
				}
				if err := w.InsertFacts(context.Background(), part.Contract, &stream); err != nil {
					b.Fatal(err)
				}
				cut = on
			})
			if err := w.ApplyRollups(context.Background(), part.Contract, cut, plan); err != nil {
				b.Fatal(err)
			}
			part.Record.Release()
		}
	}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if refusal := batch.Add(sent, scanner.Bytes()); refusal != nil {
			b.Fatalf("%+v", refusal)
		}
		if sent++; batch.Len() >= n/12 {
			flush()
		}
	}
	if err := scanner.Err(); err != nil {
		b.Fatal(err)
	}
	flush()
	return p, w, sent
}

// received gives a record the loader's columns: all of it was received, in one plan, on
// the day of its last event.
func received(b *testing.B, record arrow.Record, plan uint64, insert func(arrow.Record, reference.Day)) {
	b.Helper()
	rows := int(record.NumRows())
	times := record.Column(record.Schema().FieldIndices(contract.ColumnTime)[0]).(*array.Timestamp)
	last := arrow.Timestamp(0)
	for i := range rows {
		last = max(last, times.Value(i))
	}
	cut := reference.DayOf(time.UnixMilli(int64(last)))
	sign, day := array.NewInt8Builder(memory.DefaultAllocator), array.NewDate32Builder(memory.DefaultAllocator)
	seq, batch := array.NewUint64Builder(memory.DefaultAllocator), array.NewUint64Builder(memory.DefaultAllocator)
	for i := range rows {
		sign.Append(1)
		day.Append(arrow.Date32(cut))
		seq.Append(plan<<20 + uint64(i))
		batch.Append(plan)
	}
	fields, columns := record.Schema().Fields(), record.Columns()
	for _, c := range []struct {
		name   string
		values arrow.Array
	}{{"_sign", sign.NewArray()}, {"_cut", day.NewArray()}, {"_seq", seq.NewArray()}, {"_batch", batch.NewArray()}} {
		fields, columns = append(fields, arrow.Field{Name: c.name, Type: c.values.DataType()}), append(columns, c.values)
	}
	insert(array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows)), cut)
}
