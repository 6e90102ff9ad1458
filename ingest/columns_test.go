package ingest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/parquet-go/parquet-go"

	"ombor/ingest"
)

const (
	arrowType   = "application/vnd.apache.arrow.stream"
	parquetType = "application/vnd.apache.parquet"
)

// request is an event of the rig's contract as a row.
type request struct {
	ID        string    `parquet:"id"`
	Time      time.Time `parquet:"time,timestamp(millisecond)"`
	Request   *string   `parquet:"request,optional"`
	Applicant *string   `parquet:"applicant,optional,dict"`
	Region    string    `parquet:"region"`
	Fee       *int64    `parquet:"fee,optional"`
}

// requests are good ones, but for the third (no request), the fourth (a bad identifier)
// and the fifth (an unknown region).
func requests(n int) []request {
	var rows []request
	for i := range n {
		r := request{ID: fmt.Sprint("e", i), Time: time.Date(2024, 5, 1, 0, 0, i, 0, time.UTC), Request: new(fmt.Sprint("r", i)), Applicant: new(pinfl), Region: "1726", Fee: new(int64(i))}
		switch i {
		case 2:
			r.Request = nil
		case 3:
			r.Applicant = new("12345")
		case 4:
			r.Region = "nowhere"
		}
		rows = append(rows, r)
	}
	return rows
}

func parquetOf(t testing.TB, rows []request) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := parquet.Write(&out, rows, parquet.Compression(&parquet.Zstd)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func arrowOf(t testing.TB, rows []request) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "time", Type: arrow.FixedWidthTypes.Timestamp_ms},
		{Name: "data", Type: arrow.StructOf(
			arrow.Field{Name: "request", Type: arrow.BinaryTypes.String, Nullable: true},
			arrow.Field{Name: "applicant", Type: arrow.BinaryTypes.String, Nullable: true},
			arrow.Field{Name: "region", Type: arrow.BinaryTypes.String},
			arrow.Field{Name: "fee", Type: arrow.PrimitiveTypes.Int64, Nullable: true})},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	data := b.Field(2).(*array.StructBuilder)
	text := func(i int, s *string) {
		if s == nil {
			data.FieldBuilder(i).AppendNull()
		} else {
			data.FieldBuilder(i).(*array.StringBuilder).Append(*s)
		}
	}
	for _, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(r.ID)
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(r.Time.UnixMilli()))
		data.Append(true)
		text(0, r.Request)
		text(1, r.Applicant)
		text(2, &r.Region)
		data.FieldBuilder(3).(*array.Int64Builder).Append(*r.Fee)
	}
	record := b.NewRecord()
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// postColumns posts with type and source told once.
func postColumns(t *testing.T, url, contentType string, body []byte, headers ...string) answer {
	t.Helper()
	return post(t, url+"/v1/events?type=test.request.v1&source=portal#", contentType, bytes.NewReader(body), headers...)
}

// Columns have the same outcomes as lines: row by row, with index, field and code.
func TestColumns(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	rows := requests(10)
	for _, c := range []struct {
		contentType string
		body        []byte
		headers     []string
	}{
		{arrowType, arrowOf(t, rows), nil},
		{arrowType, gzipped(t, string(arrowOf(t, rows))), []string{"Content-Encoding", "gzip"}},
		{parquetType, parquetOf(t, rows), nil},
		{parquetType, zstded(t, string(parquetOf(t, rows))), []string{"Content-Encoding", "zstd"}},
	} {
		a := postColumns(t, g.url, c.contentType, c.body, c.headers...)
		if a.Status != http.StatusOK || a.Accepted != 7 || a.Held != 1 || len(a.Rejected) != 2 || a.Receipt == "" {
			t.Fatalf("%s: %d %s", c.contentType, a.Status, a.Text)
		}
		for i, want := range []string{"2 e2 request missing_field", "3 e3 applicant bad_identifier"} {
			r := a.Rejected[i]
			if got := fmt.Sprint(r.Index, " ", r.ID, " ", r.Field, " ", r.Code); got != want {
				t.Errorf("%s: refused %q, want %q", c.contentType, got, want)
			}
		}
		if strings.Contains(a.Text, pinfl) {
			t.Errorf("the answer repeats an identifier: %s", a.Text)
		}
	}
}

// What cannot be read is one clear answer, and stores nothing.
func TestBrokenColumns(t *testing.T) {
	g := newRig(t, ingest.Limits{Text: 1 << 20, Events: 1000})
	stream, file := arrowOf(t, requests(10)), parquetOf(t, requests(10))
	flipped := bytes.Clone(file)
	flipped[len(flipped)/3] ^= 0x40
	wide := parquetOf(t, requests(1001))
	type bomb struct {
		ID   string `parquet:"id"`
		Time string `parquet:"time"`
		Text string `parquet:"request,zstd"`
	}
	var bombed bytes.Buffer
	if err := parquet.Write(&bombed, []bomb{{"a", "2024-05-01T00:00:00Z", strings.Repeat("x", 8<<20)}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, contentType string
		body              []byte
		status            int
		says              string
	}{
		{"half a stream", arrowType, stream[:len(stream)/2], 400, "ends early"},
		{"no end of stream", arrowType, stream[:len(stream)-8], 400, "ends early"},
		{"half a file", parquetType, file[:len(file)/2], 400, "PAR1"},
		{"no stream", arrowType, []byte("id,time\n"), 400, "Arrow"},
		{"nothing", parquetType, nil, 400, "no Parquet file"},
		{"a flipped bit", parquetType, flipped, 400, "damaged"},
		{"more rows than a request has", parquetType, wide, 413, "1000"},
		{"a bomb", parquetType, bombed.Bytes(), 413, "decompression"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := postColumns(t, g.url, c.contentType, c.body)
			if a.Status != c.status || !strings.Contains(a.Detail, c.says) || a.Receipt != "" {
				t.Errorf("%d %s, want %d and %q", a.Status, a.Text, c.status, c.says)
			}
		})
	}
	if a := post(t, g.url+"/v1/events?tpye=x#", arrowType, bytes.NewReader(stream)); a.Status != 400 || !strings.Contains(a.Detail, `"tpye"`) {
		t.Errorf("an unknown parameter: %d %s", a.Status, a.Text)
	}
	if a := post(t, g.url+"/v1/events?source=x#", arrowType, bytes.NewReader(stream)); a.Status != 400 || !strings.Contains(a.Detail, "?type=") {
		t.Errorf("no type: %d %s", a.Status, a.Text)
	}
	if n := g.Counts().Accepted; n != 0 {
		t.Errorf("%d events of broken requests were accepted", n)
	}
}
