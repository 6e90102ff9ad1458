package lake_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/objects/miniotest"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse/lake"
)

// everything has a field of every type, required and optional.
func everything(t testing.TB, more ...contract.Field) *contract.Contract {
	t.Helper()
	c := &contract.Contract{Type: "test.all.v1", Name: "all", Major: 1, File: "all.yaml"}
	for typ := contract.Text; typ <= contract.Number; typ++ {
		if typ == contract.Ref {
			continue // stored as a code
		}
		for _, required := range []bool{true, false} {
			f := contract.Field{Name: typ.String(), Type: typ, Required: required}
			if !required {
				f.Name += "_or_not"
			}
			switch typ {
			case contract.Enum:
				f.Values = []string{"a", "b"}
			case contract.Person:
				f.Class, f.ID = contract.Personal, "pinfl"
			case contract.Decimal:
				f.Scale = 2
			}
			c.Fields = append(c.Fields, f)
		}
	}
	c.Fields = append(c.Fields, more...)
	if _, err := contract.NewSet("test.", time.UTC, []*contract.Contract{c}, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// record makes n rows whose values depend on the row; every third optional value is absent.
func record(c *contract.Contract, n int, seq uint64) arrow.Record {
	schema := lake.Schema(c)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i := range n {
		for k, f := range schema.Fields() {
			if f.Nullable && i%3 == 0 {
				b.Field(k).AppendNull()
				continue
			}
			switch b := b.Field(k).(type) {
			case *array.FixedSizeBinaryBuilder:
				b.Append(bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 8))
			case *array.BinaryDictionaryBuilder:
				b.AppendString([]string{"Toshkent shahri", "Qoraqalpogʻiston", ""}[i%3])
			case *array.StringBuilder:
				b.Append(strings.Repeat("ў", i%5))
			case *array.TimestampBuilder:
				b.Append(arrow.Timestamp(1_700_000_000_000 + int64(i)*3_600_000))
			case *array.Date32Builder:
				b.Append(arrow.Date32(19_000 + i/100))
			case *array.Decimal128Builder:
				b.Append(decimal128.FromI64(int64(i) - 500))
			case *array.Int64Builder:
				b.Append(int64(i)*1_000_003 - 5)
			case *array.Uint64Builder:
				if b.Append(uint64(i) * 0x9E3779B97F4A7C15); f.Name == lake.ColumnSeq {
					b.SetNull(i)
				}
			case *array.Uint32Builder:
				b.Append(uint32(i % 4))
			case *array.Int8Builder:
				b.Append(int8(i%3) - 1)
			case *array.BooleanBuilder:
				b.Append(i%2 == 0)
			case *array.Float64Builder:
				b.Append(float64(i) / 3)
			}
		}
	}
	columns := b.NewRecord().Columns()
	seqs := array.NewUint64Builder(memory.DefaultAllocator)
	for i := range n {
		seqs.Append(seq<<20 + uint64(i))
	}
	columns[schema.FieldIndices(lake.ColumnSeq)[0]] = seqs.NewArray()
	return array.NewRecord(schema, columns, int64(n))
}

func kind(t *testing.T, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Fatalf("got %v, want an error of kind %v", err, want)
	}
}

func open(t testing.TB, place string) (*lake.Lake, objects.Store) {
	t.Helper()
	store, err := objects.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	return lake.Open(store), store
}

func TestFolder(t *testing.T) { behaves(t, t.TempDir()) }
func TestS3(t *testing.T)     { behaves(t, miniotest.Start(t).URL("lake")) }

func behaves(t *testing.T, place string) {
	ctx, c := t.Context(), everything(t)
	l, store := open(t, place)
	const rows = 140_000 // two row groups
	cut := reference.Day(19_844)
	rec := record(c, rows, 7)
	plan := lake.Plan{First: 7, Last: 9, Cut: cut}
	written, err := l.Write(ctx, plan, []contract.Part{{Contract: c, Record: rec}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write(ctx, lake.Plan{First: 10, Last: 10, Cut: cut}, []contract.Part{{Contract: c, Record: record(c, 3, 10)}}); err != nil {
		t.Fatal(err)
	}
	if f, err := l.Write(ctx, lake.Plan{First: 11, Last: 11, Cut: cut}, []contract.Part{{Contract: c, Record: rec.NewSlice(0, 0)}}); err != nil || f != nil {
		t.Fatalf("a plan without rows: %v, %v", f, err)
	}

	// Another process finds the same files, and the same rows in them.
	l, _ = open(t, place)
	files, err := l.Files(ctx)
	if err != nil || len(files) != 2 || files[0] != written[0] {
		t.Fatal(files, err)
	}
	f := files[0]
	if f.Name != "all_v1/cut=2024-05-01/00000000000000000007-00000000000000000009.parquet" || f.Rows != rows || f.Facts != rows-rows/3-1 || f.MinDay != 19_000 || f.MaxDay != 20_399 {
		t.Errorf("%+v", f)
	}
	at := int64(0)
	if err := l.Read(ctx, f, c, func(got arrow.Record) error {
		want := rec.NewSlice(at, at+got.NumRows())
		at += got.NumRows()
		if !got.Schema().Equal(want.Schema()) {
			return fmt.Errorf("schema %v, want %v", got.Schema(), want.Schema())
		}
		for i, f := range got.Schema().Fields() {
			if _, label := got.Column(i).(*array.Dictionary); !label {
				if !array.Equal(got.Column(i), want.Column(i)) {
					return fmt.Errorf("%s is not as written", f.Name)
				}
				continue
			}
			for row := range int(got.NumRows()) {
				if g, w := got.Column(i).ValueStr(row), want.Column(i).ValueStr(row); g != w {
					return fmt.Errorf("%s of row %d is %s, want %s", f.Name, row, g, w)
				}
			}
		}
		return nil
	}); err != nil || at != rows {
		t.Fatal(at, err)
	}
	stop := errors.New("stop")
	if err := l.Read(ctx, f, c, func(arrow.Record) error { return stop }); err != stop {
		t.Fatal(err)
	}

	// Writing again finds its own files; other rows under the same plan are refused.
	again, err := l.Write(ctx, plan, []contract.Part{{Contract: c, Record: rec}})
	if err != nil || again[0] != f {
		t.Fatal(again, err)
	}
	_, err = l.Write(ctx, plan, []contract.Part{{Contract: c, Record: record(c, rows, 8)}})
	kind(t, err, problem.Conflict)

	// A contract that got an optional field reads older files: the field is absent.
	grown := everything(t, contract.Field{Name: "later", Type: contract.Integer}, contract.Field{Name: "label", Type: contract.Code})
	if err := l.Read(ctx, files[1], grown, func(got arrow.Record) error {
		later := got.Column(got.Schema().FieldIndices("later")[0])
		label := got.Column(got.Schema().FieldIndices("label")[0])
		if got.NumRows() != 3 || later.NullN() != 3 || label.ValueStr(2) != "" || label.NullN() != 0 {
			return fmt.Errorf("%d rows, later %v, label %v", got.NumRows(), later, label)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	// A file that is not the one of the manifest is named.
	broken := files[1]
	broken.Checksum = f.Checksum
	err = l.Read(ctx, broken, c, func(arrow.Record) error { return nil })
	kind(t, err, problem.Internal)
	if !strings.Contains(err.Error(), broken.Name) {
		t.Fatal(err)
	}
	if err := store.Delete(ctx, f.Name); err != nil {
		t.Fatal(err)
	}
	err = l.Read(ctx, f, c, func(arrow.Record) error { return nil })
	kind(t, err, problem.NotFound)
}

// No damage to a file's bytes goes unnoticed, or ends the process.
func TestDamage(t *testing.T) {
	c := everything(t)
	dir := t.TempDir()
	l, _ := open(t, dir)
	files, err := l.Write(t.Context(), lake.Plan{First: 1, Last: 1}, []contract.Part{{Contract: c, Record: record(c, 50, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, files[0].Name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(data); at += 41 {
		bad := bytes.Clone(data)
		bad[at] ^= 0x55
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		err := l.Read(t.Context(), files[0], c, func(arrow.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("byte %d: %v", at, err)
		}
		// Also without the checksum's help nothing but an error may come of it.
		if _, err := l.Write(t.Context(), lake.Plan{First: 1, Last: 1}, []contract.Part{{Contract: c, Record: record(c, 50, 2)}}); err == nil || problem.KindOf(err) != problem.Conflict {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	manifest := filepath.Join(dir, "_manifest", "00000000000000000001-00000000000000000001.jsonl")
	for _, bad := range []string{"{", "{}\n", `{"name":"x.parquet","first":2,"last":1}`, "null"} {
		if err := os.WriteFile(manifest, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		fresh, _ := open(t, dir)
		_, err := fresh.Files(t.Context())
		kind(t, err, problem.Internal)
	}
}

func BenchmarkWrite(b *testing.B) {
	c := everything(b)
	l, _ := open(b, b.TempDir())
	const rows = 250_000
	rec := record(c, rows, 1)
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		files, err := l.Write(b.Context(), lake.Plan{First: n, Last: n}, []contract.Part{{Contract: c, Record: rec}})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(files[0].Bytes)
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
