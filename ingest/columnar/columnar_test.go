package columnar_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/float16"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/deprecated"

	"ombor/ingest/columnar"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// contracts are two: one with a field of every type, one with fields named as attributes.
func contracts(t testing.TB) *contract.Set {
	t.Helper()
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{
		{Type: "test.every.v1", Name: "every", Major: 1, File: "every.yaml", Fields: []contract.Field{
			{Name: "text", Type: contract.Text}, {Name: "code", Type: contract.Code},
			{Name: "person", Type: contract.Person, Class: contract.Personal, ID: "pinfl"},
			{Name: "at", Type: contract.Timestamp}, {Name: "day", Type: contract.Date},
			{Name: "whole", Type: contract.Integer}, {Name: "money", Type: contract.Money},
			{Name: "share", Type: contract.Decimal, Scale: 3}, {Name: "yes", Type: contract.Boolean},
			{Name: "took", Type: contract.Duration}, {Name: "ratio", Type: contract.Number},
		}},
		{Type: "test.named.v1", Name: "named", Major: 1, File: "named.yaml", Fields: []contract.Field{
			{Name: "source", Type: contract.Text}, {Name: "subject", Type: contract.Text},
		}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// all reads every event, as objects with their numbers as they are written.
func all(t testing.TB, rows *columnar.Rows, err error) []map[string]any {
	t.Helper()
	var events []map[string]any
	for err == nil {
		var event []byte
		if event, err = rows.Next(); err == nil {
			d := json.NewDecoder(bytes.NewReader(event))
			d.UseNumber()
			var object map[string]any
			if err := d.Decode(&object); err != nil {
				t.Fatalf("row %d is no JSON: %v: %s", rows.Count(), err, event)
			}
			events = append(events, object)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return events
}

// exact writes numbers in one way, so that 1.50 and 1.5 are the same and 0.1 and
// 0.1000000000000000055 are not.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(v.String())
		return r.String()
	case map[string]any:
		for key := range v {
			v[key] = exact(v[key])
		}
	}
	return v
}

func same(t *testing.T, got []map[string]any, want string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(want))
	d.UseNumber()
	for i := 0; ; i++ {
		var object map[string]any
		if err := d.Decode(&object); errors.Is(err, io.EOF) {
			if i != len(got) {
				t.Errorf("%d events, want %d", len(got), i)
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if i >= len(got) {
			t.Errorf("event %d is not there: %v", i, object)
			continue
		}
		for key := range object {
			if !reflect.DeepEqual(exact(got[i][key]), exact(object[key])) {
				t.Errorf("event %d: %s\n got %v\nwant %v", i, key, got[i][key], object[key])
			}
		}
		for key := range got[i] {
			if _, ok := object[key]; !ok {
				t.Errorf("event %d: %s = %v is not wanted", i, key, got[i][key])
			}
		}
	}
}

// every are the events that the writers below write.
const every = `
{"specversion":"1.0","type":"test.every.v1","source":"s","id":"a\"\\\n","time":"2024-05-01T05:00:00.123456789Z","revision":1,"corrects":"z","simulated":true,"data":
	{"text":"Тошкент é","code":"x","at":"1999-12-31T23:59:59.999Z","day":"1899-12-31","whole":-9223372036854775808,"money":18446744073709551615,"share":-0.007,"yes":true,"took":1500.25,"ratio":0.1}}
{"specversion":"1.0","type":"test.every.v1","source":"s","id":"b","time":"1970-01-01T00:00:00Z","data":{}}
{"specversion":"1.0","type":"test.every.v1","source":"s","id":"c","time":"1969-12-31T23:59:59.999999999Z","simulated":false,"data":
	{"text":"","code":"y","at":"2149-06-05T00:00:00Z","day":"2149-06-05","whole":7,"money":0,"share":123456789012345.678,"yes":false,"took":-1,"ratio":1e+300}}
`

// arrowEvery writes every with the arrow-go client: flat or as a struct data, codes as a
// dictionary.
func arrowEvery(t testing.TB, inData bool, batches int, options ...ipc.Option) []byte {
	t.Helper()
	mem := memory.DefaultAllocator
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	fields := []arrow.Field{
		{Name: "text", Type: arrow.BinaryTypes.LargeString, Nullable: true},
		{Name: "code", Type: dictionary, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "Asia/Tashkent"}, Nullable: true},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "whole", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "money", Type: arrow.PrimitiveTypes.Uint64, Nullable: true},
		{Name: "share", Type: &arrow.Decimal128Type{Precision: 30, Scale: 3}, Nullable: true},
		{Name: "yes", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "took", Type: arrow.FixedWidthTypes.Duration_us, Nullable: true},
		{Name: "ratio", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "person", Type: arrow.Null, Nullable: true},
	}
	frame := []arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "time", Type: arrow.FixedWidthTypes.Timestamp_ns},
		{Name: "revision", Type: arrow.PrimitiveTypes.Int16, Nullable: true},
		{Name: "corrects", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "simulated", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	}
	columns := append(frame[:len(frame):len(frame)], fields...)
	if inData {
		columns = append(frame[:len(frame):len(frame)], arrow.Field{Name: "data", Type: arrow.StructOf(fields...)})
	}
	metadata := arrow.NewMetadata([]string{"ce-source", "pandas", "ce-type"}, []string{"s", "{}", "test.every.v1"})
	schema := arrow.NewSchema(columns, &metadata)
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	builders := b.Fields()
	if inData {
		s := builders[5].(*array.StructBuilder)
		builders = builders[:5:5]
		for i := range s.NumField() {
			builders = append(builders, s.FieldBuilder(i))
		}
		s.AppendValues([]bool{true, true, true})
	}
	for i, values := range [][]any{
		{"a\"\\\n", "b", "c"},
		{arrow.Timestamp(1714539600123456789), arrow.Timestamp(0), arrow.Timestamp(-1)},
		{int16(1), nil, nil},
		{"z", nil, nil},
		{true, nil, false},
		{"Тошкент é", nil, ""},
		{"x", nil, "y"},
		{arrow.Timestamp(946684799999), nil, arrow.Timestamp(5662137600000)},
		{arrow.Date32(-25568), nil, arrow.Date32(65534)},
		{int64(math.MinInt64), nil, int64(7)},
		{uint64(math.MaxUint64), nil, uint64(0)},
		{decimal128.FromI64(-7), nil, decimal128.FromI64(123456789012345678)},
		{true, nil, false},
		{arrow.Duration(1500250), nil, arrow.Duration(-1000)},
		{0.1, nil, 1e300},
		{nil, nil, nil},
	} {
		for _, v := range values {
			put(t, builders[i], v)
		}
	}
	record := b.NewRecord()
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, append(options, ipc.WithSchema(schema))...)
	if batches == 1 {
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
	} else {
		for i := range record.NumRows() {
			one := record.NewSlice(i, i+1)
			if err := w.Write(one); err != nil {
				t.Fatal(err)
			}
			one.Release()
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func put(t testing.TB, b array.Builder, v any) {
	t.Helper()
	if v == nil {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.LargeStringBuilder:
		b.Append(v.(string))
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(v.(string)); err != nil {
			t.Fatal(err)
		}
	case *array.TimestampBuilder:
		b.Append(v.(arrow.Timestamp))
	case *array.Date32Builder:
		b.Append(v.(arrow.Date32))
	case *array.Int16Builder:
		b.Append(v.(int16))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Uint64Builder:
		b.Append(v.(uint64))
	case *array.Decimal128Builder:
		b.Append(v.(decimal128.Num))
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.DurationBuilder:
		b.Append(v.(arrow.Duration))
	case *array.Float64Builder:
		b.Append(v.(float64))
	default:
		t.Fatalf("no way to put into %T", b)
	}
}

func TestArrow(t *testing.T) {
	set := contracts(t)
	for _, c := range []struct {
		name    string
		inData  bool
		batches int
		options []ipc.Option
	}{
		{"flat", false, 1, nil},
		{"data", true, 1, nil},
		{"batches", false, 3, []ipc.Option{ipc.WithDictionaryDeltas(true)}},
		{"zstd", true, 1, []ipc.Option{ipc.WithZstd()}},
		{"lz4", false, 3, []ipc.Option{ipc.WithLZ4()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := arrowEvery(t, c.inData, c.batches, c.options...)
			rows, err := columnar.Arrow(bytes.NewReader(stream), columnar.Options{Set: set})
			same(t, all(t, rows, err), every)

			// Every piece of it is an error, and no panic.
			for n := 0; n < len(stream); n += 1 + n%13 {
				if drain(columnar.Arrow(bytes.NewReader(stream[:n]), columnar.Options{Set: set})) == nil {
					t.Fatalf("the first %d of %d bytes are taken for a whole stream", n, len(stream))
				}
			}
		})
	}
}

// drain reads to the end, or to the first error.
func drain(rows *columnar.Rows, err error) error {
	for err == nil {
		_, err = rows.Next()
		if errors.Is(err, columnar.ErrLong) {
			err = nil
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func TestArrowFile(t *testing.T) {
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "time", Type: arrow.BinaryTypes.String},
		{Name: "f16", Type: arrow.FixedWidthTypes.Float16}, {Name: "wide", Type: &arrow.Decimal256Type{Precision: 60, Scale: 2}}}, nil)
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{{Type: "test.n.v1", Name: "n", Major: 1, File: "n.yaml",
		Fields: []contract.Field{{Name: "f16", Type: contract.Number}, {Name: "wide", Type: contract.Decimal}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"a", "b", "c"}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"2024-01-01T00:00:00Z", "x", "y"}, nil)
	b.Field(2).(*array.Float16Builder).AppendValues([]float16.Num{float16.New(1.5), float16.New(float32(math.NaN())), float16.New(-0.0009765625)}, nil)
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890123456789012345678", 10)
	b.Field(3).(*array.Decimal256Builder).AppendValues([]decimal256.Num{decimal256.FromBigInt(huge), decimal256.FromI64(1), decimal256.FromI64(-100)}, nil)
	record := b.NewRecord()
	var out writeSeeker
	w, err := ipc.NewFileWriter(&out, ipc.WithSchema(schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(record), w.Close()); err != nil {
		t.Fatal(err)
	}
	rows, err := columnar.Arrow(bytes.NewReader(out.b), columnar.Options{Set: set, Type: "test.n.v1", Source: "s"})
	same(t, all(t, rows, err), `
{"specversion":"1.0","type":"test.n.v1","source":"s","id":"a","time":"2024-01-01T00:00:00Z","data":{"f16":1.5,"wide":-1234567890123456789012345678901234567890123456.78}}
{"specversion":"1.0","type":"test.n.v1","source":"s","id":"b","time":"x","data":{"f16":"NaN","wide":0.01}}
{"specversion":"1.0","type":"test.n.v1","source":"s","id":"c","time":"y","data":{"f16":-0.0009765625,"wide":-1.00}}`)
}

type writeSeeker struct {
	b  []byte
	at int
}

func (w *writeSeeker) Write(p []byte) (int, error) {
	w.b = append(w.b[:w.at], p...)
	w.at = len(w.b)
	return len(p), nil
}

func (w *writeSeeker) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		w.at = int(offset)
	}
	return int64(w.at), nil
}

// parquetRow is every as the parquet-go client writes it.
type parquetRow struct {
	ID        string    `parquet:"id"`
	Time      time.Time `parquet:"time,timestamp(nanosecond)"`
	Revision  *int32    `parquet:"revision,optional"`
	Corrects  *string   `parquet:"corrects,optional"`
	Simulated *bool     `parquet:"simulated,optional"`
	parquetFields
}

type parquetFields struct {
	Text  *string    `parquet:"text,optional"`
	Code  *string    `parquet:"code,optional,dict"`
	At    *time.Time `parquet:"at,optional,timestamp(millisecond)"`
	Day   *int32     `parquet:"day,optional,date"`
	Whole *int64     `parquet:"whole,optional"`
	Money *uint64    `parquet:"money,optional"`
	Share *int64     `parquet:"share,optional,decimal(3:18)"`
	Yes   *bool      `parquet:"yes,optional"`
	Took  *float64   `parquet:"took,optional"`
	Ratio *float64   `parquet:"ratio,optional,dict"`
}

type parquetNested struct {
	ID        string         `parquet:"id,dict"`
	Time      time.Time      `parquet:"time,timestamp(nanosecond)"`
	Revision  *int32         `parquet:"revision,optional"`
	Corrects  *string        `parquet:"corrects,optional,dict"`
	Simulated *bool          `parquet:"simulated,optional"`
	Data      *parquetFields `parquet:"data,optional"`
}

func at[T any](v T) *T { return &v }

func parquetEvery() []parquetRow {
	return []parquetRow{
		{"a\"\\\n", time.Unix(0, 1714539600123456789), at(int32(1)), at("z"), at(true), parquetFields{at("Тошкент é"), at("x"), at(time.UnixMilli(946684799999)), at(int32(-25568)),
			at(int64(math.MinInt64)), at(uint64(math.MaxUint64)), at(int64(-7)), at(true), at(1500.25), at(0.1)}},
		{"b", time.Unix(0, 0), nil, nil, nil, parquetFields{}},
		{"c", time.Unix(0, -1), nil, nil, at(false), parquetFields{at(""), at("y"), at(time.UnixMilli(5662137600000)), at(int32(65534)), at(int64(7)), at(uint64(0)), at(int64(123456789012345678)), at(false), at(-1.0), at(1e300)}},
	}
}

func parquetFile[T any](t testing.TB, rows []T, groups int, options ...parquet.WriterOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[T](&out, append(options, parquet.KeyValueMetadata("ce-type", "test.every.v1"), parquet.KeyValueMetadata("ce-source", "s"))...)
	for i := range rows {
		if _, err := w.Write(rows[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if groups > 1 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParquet(t *testing.T) {
	set := contracts(t)
	read := func(b []byte) (*columnar.Rows, error) {
		return columnar.Parquet(bytes.NewReader(b), int64(len(b)), columnar.Options{Set: set})
	}
	for _, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Lz4Raw} {
		for _, version := range []int{1, 2} {
			for _, groups := range []int{1, 3} {
				t.Run(fmt.Sprint(codec, version, groups), func(t *testing.T) {
					options := []parquet.WriterOption{parquet.Compression(codec), parquet.DataPageVersion(version)}
					flat := parquetFile(t, parquetEvery(), groups, options...)
					rows, err := read(flat)
					same(t, all(t, rows, err), every)

					var nested []parquetNested
					for _, r := range parquetEvery() {
						nested = append(nested, parquetNested{r.ID, r.Time, r.Revision, r.Corrects, r.Simulated, &r.parquetFields})
					}
					rows, err = read(parquetFile(t, nested, groups, options...))
					same(t, all(t, rows, err), every)

					for n := 0; n < len(flat); n += 1 + n%97 {
						if drain(read(flat[:n])) == nil {
							t.Fatalf("the first %d of %d bytes are taken for a whole file", n, len(flat))
						}
					}
				})
			}
		}
	}
}

// A null struct is an event without data: what a withdrawal is.
func TestWithdrawal(t *testing.T) {
	b := parquetFile(t, []parquetNested{{ID: "w", Time: time.Unix(0, 0)}}, 1)
	rows, err := columnar.Parquet(bytes.NewReader(b), int64(len(b)), columnar.Options{Set: contracts(t)})
	same(t, all(t, rows, err), `{"specversion":"1.0","type":"test.every.v1","source":"s","id":"w","time":"1970-01-01T00:00:00Z"}`)
}

// Encodings that only need many values, and times as old writers wrote them.
func TestManyValues(t *testing.T) {
	type row struct {
		ID    string           `parquet:"id,delta"`
		Time  deprecated.Int96 `parquet:"time"`
		Text  string           `parquet:"text,optional,delta"`
		Code  *string          `parquet:"code,optional,dict"`
		Whole int64            `parquet:"whole,delta"`
		Day   int32            `parquet:"day,date,delta"`
		Money int32            `parquet:"money,split"`
		Ratio float32          `parquet:"ratio,split"`
		Yes   bool             `parquet:"yes"`
	}
	var rows []row
	const n = 20_000
	whole := func(i int) int64 { return int64(i) * int64(i) * 1_000_003 * int64(1-2*(i%2)) }
	for i := range n {
		r := row{ID: fmt.Sprintf("event-%d", i), Time: deprecated.Int96{uint32(i), 0, 2440588 + 19844}, Text: strings.Repeat("x", i%50), Whole: whole(i), Day: int32(i), Money: int32(-i), Ratio: float32(i) / 3, Yes: i%3 == 0}
		if i%7 != 0 {
			r.Code = at(fmt.Sprint(i % 300))
		}
		rows = append(rows, r)
	}
	for _, version := range []int{1, 2} {
		b := parquetFile(t, rows, 1, parquet.DataPageVersion(version), parquet.PageBufferSize(16<<10))
		opened, err := columnar.Parquet(bytes.NewReader(b), int64(len(b)), columnar.Options{Set: contracts(t)})
		events := all(t, opened, err)
		if len(events) != n {
			t.Fatalf("%d events, want %d", len(events), n)
		}
		for i, e := range events {
			data := e["data"].(map[string]any)
			var code, text any
			if i%50 != 0 {
				text = strings.Repeat("x", i%50)
			}
			if i%7 != 0 {
				code = fmt.Sprint(i % 300)
			}
			wantTime := time.Date(2024, 5, 1, 0, 0, 0, i, time.UTC).Format(time.RFC3339Nano)
			if e["id"] != fmt.Sprintf("event-%d", i) || e["time"] != wantTime || data["text"] != text || data["code"] != code ||
				data["whole"] != json.Number(fmt.Sprint(whole(i))) || data["day"] != time.Unix(int64(i)*86400, 0).UTC().Format(time.DateOnly) ||
				data["money"] != json.Number(fmt.Sprint(-i)) || data["ratio"] != json.Number(trimmed(float32(i)/3)) || data["yes"] != (i%3 == 0) {
				t.Fatalf("version %d, row %d: %v, want time %s, code %v", version, i, e, wantTime, code)
			}
		}
	}
}

func trimmed(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

// What the columns of a file may not be is said at once, by name, with what to write.
func TestRefusedColumns(t *testing.T) {
	set := contracts(t)
	id, moment := arrow.Field{Name: "id", Type: arrow.BinaryTypes.String}, arrow.Field{Name: "time", Type: arrow.FixedWidthTypes.Timestamp_us}
	column := func(name string, t arrow.DataType) []arrow.Field {
		return []arrow.Field{id, moment, {Name: name, Type: t}}
	}
	for _, c := range []struct {
		name   string
		fields []arrow.Field
		o      columnar.Options
		want   string
	}{
		{"no id", []arrow.Field{moment}, columnar.Options{}, "there is no column id"},
		{"no time", []arrow.Field{id}, columnar.Options{}, "there is no column time"},
		{"list", column("text", arrow.ListOf(arrow.BinaryTypes.String)), columnar.Options{}, `column "text": is list`},
		{"map", column("text", arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String)), columnar.Options{}, `column "text": is map`},
		{"struct", column("text", arrow.StructOf(id)), columnar.Options{}, `column "text": is struct`},
		{"binary", column("text", arrow.BinaryTypes.Binary), columnar.Options{}, "write it as utf8"},
		{"no zone", column("at", &arrow.TimestampType{Unit: arrow.Second}), columnar.Options{}, "timestamp[s, tz=UTC]"},
		{"time of day", column("at", arrow.FixedWidthTypes.Time32ms), columnar.Options{}, "time of day"},
		{"number for a text", column("text", arrow.PrimitiveTypes.Int32), columnar.Options{}, "is int32; the field is of type text, which takes text"},
		{"unknown field", column("txt", arrow.BinaryTypes.String), columnar.Options{}, "test.every.v1 has no such field; it has text, code"},
		{"twice", column("id", arrow.BinaryTypes.String), columnar.Options{}, `column "id": stands twice`},
		{"type twice", column("type", arrow.BinaryTypes.String), columnar.Options{}, "tell it once"},
		{"unknown type", column("text", arrow.BinaryTypes.String), columnar.Options{Type: "test.evry.v1"}, "has no contract"},
		{"time as number", []arrow.Field{id, {Name: "time", Type: arrow.PrimitiveTypes.Int64}}, columnar.Options{}, `column "time": is int64`},
		{"extension", append(column("data.text", arrow.BinaryTypes.String), arrow.Field{Name: "Trace", Type: arrow.BinaryTypes.String}), columnar.Options{}, "is no attribute"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := ipc.NewWriter(&out, ipc.WithSchema(arrow.NewSchema(c.fields, nil))).Close(); err != nil {
				t.Fatal(err)
			}
			c.o.Set, c.o.Source = set, "s"
			if c.o.Type == "" {
				c.o.Type = "test.every.v1"
			}
			_, err := columnar.Arrow(&out, c.o)
			if problem.KindOf(err) != problem.BadInput || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%v, want BadInput that says %q", err, c.want)
			}
		})
	}
	type list struct {
		ID   string   `parquet:"id"`
		Time int64    `parquet:"time,timestamp"`
		Text []string `parquet:"text,list"`
	}
	type binary struct {
		ID   string `parquet:"id"`
		Time int64  `parquet:"time,timestamp"`
		Text []byte `parquet:"text"`
	}
	type local struct {
		ID   string `parquet:"id"`
		Time int64  `parquet:"time,timestamp(millisecond:local)"`
	}
	for want, b := range map[string][]byte{
		`column "text": is a list`: parquetFile(t, []list{{}}, 1),
		"write it as STRING":       parquetFile(t, []binary{{}}, 1),
		"TIMESTAMPTZ":              parquetFile(t, []local{{}}, 1),
		"BROTLI":                   parquetFile(t, parquetEvery(), 1, parquet.Compression(&parquet.Brotli)),
	} {
		if err := drain(columnar.Parquet(bytes.NewReader(b), int64(len(b)), columnar.Options{Set: set})); problem.KindOf(err) != problem.BadInput || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want BadInput that says %q", err, want)
		}
	}
}

// Fields that are named as attributes are told apart.
func TestNamedAsAttributes(t *testing.T) {
	type row struct {
		ID      string `parquet:"id"`
		Type    string `parquet:"type"`
		Source  string `parquet:"source"`
		Time    string `parquet:"time"`
		Subject string `parquet:"data.subject"`
		Field   string `parquet:"data.source"`
		Trace   string `parquet:"traceparent"`
	}
	var out bytes.Buffer
	if err := parquet.Write(&out, []row{{"a", "test.named.v1", "portal", "2024-01-01T00:00:00Z", "x", "y", "t"}}); err != nil {
		t.Fatal(err)
	}
	rows, err := columnar.Parquet(bytes.NewReader(out.Bytes()), int64(out.Len()), columnar.Options{Set: contracts(t)})
	same(t, all(t, rows, err), `{"specversion":"1.0","id":"a","type":"test.named.v1","source":"portal","time":"2024-01-01T00:00:00Z","traceparent":"t","data":{"subject":"x","source":"y"}}`)
}

// Limits hold for what is read, not for what a file says.
func TestLimits(t *testing.T) {
	set := contracts(t)
	type row struct {
		ID   string `parquet:"id"`
		Time string `parquet:"time"`
		Text string `parquet:"text,dict,zstd"`
	}
	rows := make([]row, 1000)
	for i := range rows {
		rows[i] = row{fmt.Sprint(i), "2024-01-01T00:00:00Z", strings.Repeat("x", 10_000)}
	}
	b := parquetFile(t, rows, 1)
	if len(b) > 100_000 {
		t.Fatalf("the file has %d bytes; it was to be a bomb", len(b))
	}
	for name, o := range map[string]columnar.Options{
		"more than 999 rows": {Rows: 999},
		"as JSON":            {Text: 5 << 20},
		"decompression":      {Unpacked: 5_000},
	} {
		if o.Set = set; name == "more than 999 rows" {
			name = "at most 999"
		}
		if err := drain(columnar.Parquet(bytes.NewReader(b), int64(len(b)), o)); problem.KindOf(err) != problem.TooLarge || !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%v, want TooLarge that says %q", err, name)
		}
	}
	rows[1].Text = "short"
	b = parquetFile(t, rows[:3], 1)
	opened, err := columnar.Parquet(bytes.NewReader(b), int64(len(b)), columnar.Options{Set: set, Event: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 4 {
		_, err := opened.Next()
		got = append(got, fmt.Sprint(errors.Is(err, columnar.ErrLong), errors.Is(err, io.EOF)))
	}
	if want := []string{"true false", "false false", "true false", "false true"}; !reflect.DeepEqual(got, want) {
		t.Errorf("long events: %v, want %v", got, want)
	}
	var charged int64
	stop := errors.New("stop")
	err = drain(columnar.Arrow(bytes.NewReader(arrowEvery(t, false, 1, ipc.WithZstd())), columnar.Options{Set: set, Charge: func(n int64) error {
		if charged += n; charged > 100 {
			return stop
		}
		return nil
	}}))
	if !errors.Is(err, stop) {
		t.Errorf("%v, want what Charge returned", err)
	}
}
