package mapping_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
)

// BenchmarkCSV reads rows of ten fields: texts, labels, a time, numbers, a mapped value.
func BenchmarkCSV(b *testing.B) {
	c := &contract.Contract{Type: "t.v1", Source: "s"}
	m := &contract.Mapping{For: "t.v1", ID: contract.Texts{"id"}, Read: contract.Read{TimeZone: "America/New_York", Empty: contract.Texts{" "}},
		Time: &contract.Value{Column: "at", Format: contract.Texts{"2006-01-02 15:04:05"}}, Fields: map[string]*contract.Value{}}
	field := func(name string, typ contract.Type, v *contract.Value) {
		c.Fields = append(c.Fields, contract.Field{Name: name, Type: typ})
		m.Fields[name] = v
	}
	for _, name := range []string{"place", "street", "department", "channel"} {
		field(name, contract.Text, &contract.Value{Column: name})
	}
	field("closed", contract.Timestamp, &contract.Value{Column: "closed", Format: contract.Texts{"2006-01-02 15:04:05"}})
	field("on_time", contract.Boolean, &contract.Value{Column: "on_time", Values: map[string]string{"ONTIME": "true", "OVERDUE": "false"}})
	field("people", contract.Integer, &contract.Value{Column: "people"})
	field("price", contract.Decimal, &contract.Value{Column: "price"})
	field("note", contract.Text, &contract.Value{Column: "note"})
	var text strings.Builder
	text.WriteString("id,at,place,street,department,channel,closed,on_time,people,price,note\n")
	const rows = 100_000
	for i := range rows {
		fmt.Fprintf(&text, "%d,2011-07-%02d 01:32:%02d,Dorchester,39 Lorraine St,PWDx,Constituent Call,2011-08-%02d 05:06:58,ONTIME,%d,%d.25,\"a note, quoted\"\n", 101000295613+i, i%28+1, i%60, i%28+1, i%7, i%900)
	}
	file := write(b, "cases.csv", text.String())
	mapper, err := mapping.New(m, c, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		stats, err := mapper.Read(context.Background(), file, func([]byte, mapping.Place) error { return nil }, func(at mapping.Place, field, code, reason string) {
			b.Fatal(at, field, code, reason)
		})
		if err != nil || stats.Events != rows {
			b.Fatal(stats, err)
		}
	}
	b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkLog reads a day of a web server's log: an expression for every line, one
// computed field, the whole line hashed.
func BenchmarkLog(b *testing.B) {
	m := mappers(b, testPack(b, "epa"))[0]
	file := shared(b, "us_epa_http/epa-http.zip")
	var rows int64
	b.ReportAllocs()
	for b.Loop() {
		stats, err := m.Read(context.Background(), file, func([]byte, mapping.Place) error { return nil }, func(mapping.Place, string, string, string) {})
		if err != nil || stats.Events != 47727 {
			b.Fatal(stats, err)
		}
		rows += stats.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
