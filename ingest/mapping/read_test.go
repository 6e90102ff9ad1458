package mapping_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// visit is the contract of these tests.
func visit() *contract.Contract {
	return &contract.Contract{
		Type: "test.visit.v1", Name: "visit", Major: 1, Source: "desk",
		Fields: []contract.Field{
			{Name: "place", Type: contract.Text},
			{Name: "kind", Type: contract.Enum, Values: []string{"walk", "ride"}},
			{Name: "people", Type: contract.Integer},
			{Name: "price", Type: contract.Decimal, Scale: 5},
			{Name: "paid", Type: contract.Money},
			{Name: "good", Type: contract.Boolean},
			{Name: "ended", Type: contract.Timestamp},
			{Name: "on", Type: contract.Date},
			{Name: "guest", Type: contract.Person, ID: "phone", Class: contract.Personal},
			{Name: "score", Type: contract.Number},
			{Name: "region", Type: contract.Ref, To: "regions"},
		},
	}
}

func column(name string) *contract.Value { return &contract.Value{Column: name} }

// outcome is what a reading gave: for each event its data as JSON, for each refusal
// one line.
type outcome struct {
	ids, times, data []string
	refused          []string
	err              error
	stats            mapping.Stats
}

func read(t testing.TB, m *contract.Mapping, c *contract.Contract, file string) outcome {
	t.Helper()
	m.For = c.Type
	if m.Time == nil && c.Kind == contract.Event {
		m.Time = &contract.Value{Constant: "2024-01-02T03:04:05Z"}
	}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := mapping.New(m, c, nil, zone)
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	o.stats, o.err = mapper.Read(context.Background(), file, func(raw []byte, at mapping.Place) error {
		var e struct {
			SpecVersion, ID, Source, Type, Time string
			Data                                json.RawMessage
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatalf("%s: %v in %s", at, err, raw)
		}
		if e.SpecVersion != "1.0" || e.Type != c.Type || e.Source != "desk" {
			t.Fatalf("%s: %s", at, raw)
		}
		o.ids, o.times, o.data = append(o.ids, e.ID), append(o.times, e.Time), append(o.data, string(e.Data))
		return nil
	}, func(at mapping.Place, field, code, reason string) {
		o.refused = append(o.refused, fmt.Sprintf("%s %s %s: %s", at, field, code, reason))
	})
	return o
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestCSVAsItIsFound(t *testing.T) {
	text := "\ufeffplace,n\r\n" +
		"plain,1\r\n" +
		"\"with, comma\",2\r\n" +
		"\"two\r\nlines\",3\r\n" +
		"\"said \"\"so\"\"\",4\r\n" +
		"a \"bare\" quote,5\r\n" +
		"\"half\" quoted,6\r\n" +
		"ragged,7,8\r\n" +
		"short\r\n" +
		"\r\n" +
		"bad \xff byte,9\r\n" +
		"nul \x00 tab \t,10\r\n" +
		"\"never closed,11\r\n" +
		"after,12\r\n" +
		"last,13"
	m := &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place"), "people": column("n")}}
	o := read(t, m, visit(), write(t, "a.csv", text))
	if o.err != nil {
		t.Fatal(o.err)
	}
	equal(t, "data", o.data, []string{
		`{"place":"plain","people":1}`,
		`{"place":"with, comma","people":2}`,
		`{"place":"two\r\nlines","people":3}`,
		`{"place":"said \"so\"","people":4}`,
		`{"place":"a \"bare\" quote","people":5}`,
		`{"place":"nul \u0000 tab \t","people":10}`,
		`{"place":"after","people":12}`,
		`{"place":"last","people":13}`,
	})
	equal(t, "refused", o.refused, []string{
		`a.csv:8  unclosed_quote: a quote opened in this line is not closed within 4 MiB`,
		`a.csv:9  ragged: the row has 3 cells, the header 2 columns`,
		`a.csv:10  ragged: the row has 1 cells, the header 2 columns`,
		`a.csv:12 place invalid_utf8: the cell is not text in the declared encoding`,
		`a.csv:14  unclosed_quote: a quote opened in this line is not closed within 4 MiB`,
	})
	if !reflect.DeepEqual(o.stats, mapping.Stats{Rows: 13, Events: 8, Refused: 5}) {
		t.Errorf("stats are %+v", o.stats)
	}
}

func TestFormatsSayTheSame(t *testing.T) {
	type row struct {
		Place string  `parquet:"place"`
		N     int64   `parquet:"n"`
		Price float64 `parquet:"price"`
		Good  bool    `parquet:"good"`
	}
	rows := []row{{"Tōkyō", 3, 1.25, true}, {"Oslo, N", 0, 0.5, false}, {"", 7, 12345.6789, true}}
	csv, tsv, ndjson := "place,n,price,good\n", "place\tn\tprice\tgood\n", ""
	book := excelize.NewFile()
	set := func(cell string, v any) {
		if err := book.SetCellValue("Sheet1", cell, v); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"place", "n", "price", "good"} {
		set(fmt.Sprintf("%c1", 'A'+i), name)
	}
	for i, r := range rows {
		csv += fmt.Sprintf("%q,%d,%v,%v\n", r.Place, r.N, r.Price, r.Good)
		tsv += fmt.Sprintf("%s\t%d\t%v\t%v\n", r.Place, r.N, r.Price, r.Good)
		object, _ := json.Marshal(map[string]any{"place": r.Place, "n": r.N, "price": r.Price, "good": r.Good})
		ndjson += string(object) + "\n"
		for j, v := range []any{r.Place, r.N, r.Price, fmt.Sprint(r.Good)} {
			set(fmt.Sprintf("%c%d", 'A'+j, i+2), v)
		}
	}
	sheet, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	var columns bytes.Buffer
	if err := parquet.Write(&columns, rows); err != nil {
		t.Fatal(err)
	}
	wide, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(csv)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"place":"Tōkyō","people":3,"price":1.25,"good":true}`,
		`{"place":"Oslo, N","people":0,"price":0.5,"good":false}`,
		`{"people":7,"price":12345.6789,"good":true}`,
	}
	for name, text := range map[string]string{"a.csv": csv, "a.tsv": tsv, "a.ndjson": ndjson, "a.xlsx": sheet.String(), "a.parquet": columns.String(), "utf16.csv": wide} {
		for _, cover := range []string{"", ".gz", ".zip"} {
			packed := text
			switch cover {
			case ".gz":
				var b bytes.Buffer
				w := gzip.NewWriter(&b)
				w.Write([]byte(text))
				w.Close()
				packed = b.String()
			case ".zip":
				packed = zipped(t, map[string]string{"data/" + name: text, "__MACOSX/data/._" + name: "junk", "data/.DS_Store": "junk"})
			}
			m := &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place"), "people": column("n"), "price": column("price"), "good": column("good")}}
			o := read(t, m, visit(), write(t, name+cover, packed))
			if o.err != nil || len(o.refused) > 0 {
				t.Errorf("%s: %v %v", name+cover, o.err, o.refused)
			}
			equal(t, name+cover, o.data, want)
		}
	}
}

func zipped(t testing.TB, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestParquetTypes(t *testing.T) {
	type row struct {
		Date    int32     `parquet:"date,date"`
		At      time.Time `parquet:"at,timestamp(microsecond)"`
		Price   int64     `parquet:"price,decimal(2:18)"`
		Missing *int64    `parquet:"missing,optional"`
		Inner   struct {
			Place string `parquet:"place"`
		} `parquet:"inner"`
		List []string `parquet:"list"`
	}
	r := row{Date: 19723, At: time.Date(2024, 1, 1, 12, 30, 0, 250000000, time.UTC), Price: -105, List: []string{"x", "y"}}
	r.Inner.Place = "deep"
	var b bytes.Buffer
	if err := parquet.Write(&b, []row{r}); err != nil {
		t.Fatal(err)
	}
	file := write(t, "t.parquet", b.String())
	o := read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("inner.place"), "people": column("missing"), "price": column("price"), "ended": column("at"), "on": column("date")}}, visit(), file)
	if o.err != nil {
		t.Fatal(o.err)
	}
	equal(t, "data", o.data, []string{`{"place":"deep","price":-1.05,"ended":"2024-01-01T12:30:00.25Z","on":"2024-01-01"}`})
	o = read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("list")}}, visit(), file)
	if o.err == nil || !strings.Contains(o.err.Error(), `the column "list", which the file does not have`) {
		t.Errorf("a list is no column: %v", o.err)
	}
	o = read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("inner.place")}}, visit(), write(t, "cut.parquet", b.String()[:b.Len()/2]))
	if problem.KindOf(o.err) != problem.BadInput {
		t.Errorf("half a file: %v", o.err)
	}
}

func TestDeclaredEncoding(t *testing.T) {
	if _, err := charmap.Windows1251.NewEncoder().String("place\nСамарқанд\n"); err == nil { // қ has no place there
		t.Fatal("the encoder took a letter that the encoding does not have")
	}
	text, err := charmap.Windows1251.NewEncoder().String("place\nСамарканд\n")
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "a.csv", text)
	o := read(t, &contract.Mapping{Read: contract.Read{Encoding: "windows-1251"}, Fields: map[string]*contract.Value{"place": column("place")}}, visit(), file)
	equal(t, "declared", o.data, []string{`{"place":"Самарканд"}`})
	o = read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place")}}, visit(), file)
	equal(t, "not declared", o.refused, []string{"a.csv:2 place invalid_utf8: the cell is not text in the declared encoding"})
}

func TestNumbers(t *testing.T) {
	cases := []struct {
		decimal, thousands string
		times              int64
		field, cell, want  string
	}{
		{"", "", 0, "people", "12", "12"},
		{"", "", 0, "people", "+012", "12"},
		{"", "", 0, "people", "-0", "0"},
		{"", "", 0, "people", "−7", "-7"},
		{"", "", 0, "people", "12.00", "12"},
		{"", "", 0, "people", "1.5E3", "1500"},
		{"", "", 0, "people", "12.5", `wrong_type: "12.5" is not a whole number`},
		{"", "", 0, "people", "1,234", `wrong_type: "1,234" is not a number`},
		{"", ",", 0, "people", "1,234", "1234"},
		{"", ",", 0, "people", "12,345,678", "12345678"},
		{"", ",", 0, "people", "1234,567", `wrong_type: "1234,567" is not a number`},
		{"", ",", 0, "people", "1,23", `wrong_type: "1,23" is not a number`},
		{"", ",", 0, "people", ",123", `wrong_type: ",123" is not a number`},
		{",", ".", 0, "price", "1.234,5", "1234.5"},
		{",", ". \u00a0\u202f", 0, "price", "1\u00a0234\u202f567,25", "1234567.25"},
		{",", "", 0, "price", "0,00500", "0.005"},
		{"", "", 0, "price", ".5", "0.5"},
		{"", "", 0, "price", "-0.00001", "-0.00001"},
		{"", "", 0, "price", "1e-5", "0.00001"},
		{"", "", 100, "paid", "12.34", "1234"},
		{"", "", 100, "paid", "12.345", `wrong_type: "12.345" is not a whole number`},
		{"", "", 0, "people", "99999999999999999999", `out_of_range: "99999999999999999999" has more digits than can be kept`},
		{"", "", 0, "people", "1e30", `out_of_range: "1e30" is outside what can be kept`},
		{"", "", 0, "people", "twelve", `wrong_type: "twelve" is not a number`},
		{"", "", 0, "people", "-", `wrong_type: "-" is not a number`},
		{"", "", 0, "people", "0x10", `wrong_type: "0x10" is not a number`},
		{"", "", 0, "score", "2.5e-3", "0.0025"},
	}
	for _, c := range cases {
		v := column("n")
		v.Times = c.times
		o := read(t, &contract.Mapping{Read: contract.Read{Decimal: c.decimal, Thousands: c.thousands}, Fields: map[string]*contract.Value{c.field: v}}, visit(), write(t, "n.csv", "n\n\""+c.cell+"\"\n"))
		got := strings.Join(o.data, "")
		if len(o.refused) > 0 {
			_, got, _ = strings.Cut(o.refused[0], c.field+" ")
			if got != c.want {
				t.Errorf("%q: %s, want %s", c.cell, got, c.want)
			}
		} else if want := fmt.Sprintf(`{"%s":%s}`, c.field, c.want); got != want {
			t.Errorf("%q: %s, want %s", c.cell, got, want)
		}
	}
}

func TestStamps(t *testing.T) {
	format := func(column string, formats ...string) *contract.Value {
		return &contract.Value{Column: column, Format: formats}
	}
	london := format("s", "2006-01-02 15:04")
	london.TimeZone = "Europe/London"
	prefixed := format("s", "2006-01-02:15:04:05")
	prefixed.Prefix = "1995-08-"
	last := format("s", "January 2006", "2006")
	last.Day = "last"
	cases := []struct {
		field, cell, want string
		v                 *contract.Value
	}{
		{"ended", "2011-07-01 01:32:33", "2011-07-01T01:32:33-04:00", format("s", "2006-01-02 15:04:05")},
		{"ended", "2011-12-01 01:32:33.25", "2011-12-01T01:32:33.25-05:00", format("s", "2006-01-02 15:04:05")},
		{"ended", "2011-11-06 01:30:00", "2011-11-06T01:30:00-04:00", format("s", "2006-01-02 15:04:05")}, // shown twice: the first
		{"ended", "2011-11-06 02:00:00", "2011-11-06T02:00:00-05:00", format("s", "2006-01-02 15:04:05")},
		{"ended", "2011-03-13 02:30:00", "2011-03-13T03:30:00-04:00", format("s", "2006-01-02 15:04:05")}, // never shown
		{"ended", "2011-03-13 01:59:59", "2011-03-13T01:59:59-05:00", format("s", "2006-01-02 15:04:05")},
		{"ended", "2011-03-13 03:00:00", "2011-03-13T03:00:00-04:00", format("s", "2006-01-02 15:04:05")},
		{"ended", "2024-10-27 01:30", "2024-10-27T01:30:00+01:00", london}, // the first, also east of New York
		{"ended", "2024-03-31 01:30", "2024-03-31T02:30:00+01:00", london},
		{"ended", "29:23:53:25", "1995-08-29T23:53:25-04:00", prefixed},
		{"ended", "2024-01-01T00:00:00+05:00", "2024-01-01T00:00:00+05:00", column("s")},
		{"ended", "31/12/2024 23:59", "2024-12-31T23:59:00-05:00", format("s", "2006-01-02 15:04", "02/01/2006 15:04")},
		{"ended", "1700000000", "2023-11-14T17:13:20-05:00", format("s", "unix")},
		{"ended", "1700000000250", "2023-11-14T17:13:20.25-05:00", format("s", "unix_ms")},
		{"ended", "45292.5", "2024-01-01T12:00:00-05:00", format("s", "excel")},
		{"on", "45292", "2024-01-01", format("s", "excel")},
		{"on", "1", "1900-01-01", format("s", "excel")},
		{"on", "1700000000", "2023-11-14", format("s", "unix")},
		{"on", "2024-02-29", "2024-02-29", column("s")},
		{"on", "March 2012", "2012-03-31", last},
		{"on", "February 2012", "2012-02-29", last},
		{"on", "2012", "2012-12-31", last},
		{"on", "March 2012", "2012-03-01", format("s", "January 2006")},
		{"on", "2024-02-30", `bad_time: "2024-02-30" is not written as "2024-11-25" or "25.11.2024"`, column("s")},
		{"on", "05.03.2024", "2024-03-05", column("s")},
		{"on", "5.3.2024", "2024-03-05", column("s")},
		{"on", "05.13.2024", `bad_time: "05.13.2024" is not written as "2024-11-25" or "25.11.2024"`, column("s")},
		{"ended", "05.03.2024 09:30", "2024-03-05T09:30:00-05:00", column("s")},
		{"ended", "soon", `bad_time: "1995-08-soon" is not written as "2024-11-25:14:30:00"`, prefixed},
		{"ended", "1e99", `bad_time: "1e99" is not written as a workbook's own date`, format("s", "excel")},
		{"ended", "NaN", `bad_time: "NaN" is not written as a workbook's own date`, format("s", "excel")},
	}
	for _, c := range cases {
		o := read(t, &contract.Mapping{Fields: map[string]*contract.Value{c.field: c.v}}, visit(), write(t, "s.csv", "s\n"+c.cell+"\n"))
		got := strings.Join(o.data, "")
		if len(o.refused) > 0 {
			_, got, _ = strings.Cut(o.refused[0], c.field+" ")
		} else {
			got = strings.TrimSuffix(strings.TrimPrefix(got, `{"`+c.field+`":"`), `"}`)
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.cell, got, c.want)
		}
	}
}

func TestEmptyValuesOthersDefault(t *testing.T) {
	values := map[string]string{"on foot": "walk", "bus": "ride", "unknown": ""}
	cases := []struct {
		v          *contract.Value
		cell, want string
	}{
		{&contract.Value{Column: "k", Values: values}, "bus", `{"kind":"ride"}`},
		{&contract.Value{Column: "k", Values: values}, "unknown", `{}`},
		{&contract.Value{Column: "k", Values: values}, "boat", `unmapped: "boat" is none of "bus", "on foot", "unknown"`},
		{&contract.Value{Column: "k", Values: values, Others: "pass"}, "walk", `{"kind":"walk"}`},
		{&contract.Value{Column: "k", Values: values, Others: "ride"}, "boat", `{"kind":"ride"}`},
		{&contract.Value{Column: "k", Values: values, Default: "walk"}, "unknown", `{"kind":"walk"}`},
		{&contract.Value{Column: "k", Values: values, Default: "walk"}, "", `{"kind":"walk"}`},
		{&contract.Value{Column: "k", Values: values, Empty: contract.Texts{"-"}}, "-", `{}`},
		{&contract.Value{Column: "k", Values: values, Empty: contract.Texts{"-"}}, "?", `{}`}, // Read's
		{&contract.Value{Column: "k", Values: values}, "  bus\t", `{"kind":"ride"}`},          // Trim
		{&contract.Value{Constant: "ride"}, "boat", `{"kind":"ride"}`},
		{&contract.Value{Compute: `row.k.startsWith("b") ? "ride" : "walk"`}, "boat", `{"kind":"ride"}`},
		{&contract.Value{Compute: `regex.extract(row.k, "^(wa)")`, Values: map[string]string{"wa": "walk"}}, "wander", `{"kind":"walk"}`},
		{&contract.Value{Compute: `regex.extract(row.k, "^(wa)")`}, "boat", `{}`},
		{&contract.Value{Compute: `row.k.split("/")[1]`}, "boat", `not_computed: row.k.split("/")[1]: index out of bounds: 1`},
	}
	for _, c := range cases {
		o := read(t, &contract.Mapping{Read: contract.Read{Empty: contract.Texts{"?"}, Trim: true}, Fields: map[string]*contract.Value{"kind": c.v}}, visit(), write(t, "k.csv", "k,other\n"+c.cell+",x\n"))
		got := strings.Join(o.data, "")
		if len(o.refused) > 0 {
			_, got, _ = strings.Cut(o.refused[0], "kind ")
		}
		if got != c.want {
			t.Errorf("%q by %+v: %s, want %s", c.cell, c.v, got, c.want)
		}
	}
}

func TestPersonalCellsAreNotRepeated(t *testing.T) {
	const secret = "998901234567"
	c := visit()
	for i := range c.Fields { // as personal as the guest
		c.Fields[i].Class = contract.Personal
	}
	for _, field := range []string{"kind", "people", "price", "good", "ended", "on"} {
		v := column("x")
		if field == "kind" {
			v.Values = map[string]string{"a": "walk"}
		}
		cell := secret
		if field == "people" || field == "price" {
			cell += "x"
		}
		o := read(t, &contract.Mapping{Fields: map[string]*contract.Value{field: v}}, c, write(t, "x.csv", "x\n"+cell+"\n"))
		if len(o.refused) != 1 || strings.Contains(o.refused[0], secret) {
			t.Errorf("%s: %v", field, o.refused)
		}
	}
}

func TestRequired(t *testing.T) {
	c := visit()
	c.Fields[0].Required = true
	o := read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place")}}, c, write(t, "p.csv", "place,n\nOslo,1\n,2\n"))
	equal(t, "refused", o.refused, []string{"p.csv:3 place missing_field: the field is required, and the row has no value for it"})
	equal(t, "data", o.data, []string{`{"place":"Oslo"}`})
}

func TestMissingColumn(t *testing.T) {
	m := &contract.Mapping{ID: contract.Texts{"idd"}, Time: column("opened"), Skip: `row.state == "x"`,
		Fields: map[string]*contract.Value{"place": column("Place"), "kind": {Compute: "row.knd"}}}
	o := read(t, m, visit(), write(t, "cases.csv", "id,place,kind,opened_at\n1,a,walk,2024\n"))
	if o.err == nil || len(o.data) > 0 || problem.KindOf(o.err) != problem.BadInput {
		t.Fatalf("%v, with %d events", o.err, len(o.data))
	}
	for _, want := range []string{
		`cases.csv: fields.place: the mapping reads the column "Place", which the file does not have; the nearest is "place"`,
		`cases.csv: fields.kind: the mapping reads the column "knd", which the file does not have; the nearest is "kind"`,
		`cases.csv: id: the mapping reads the column "idd", which the file does not have; the nearest is "id"`,
		`cases.csv: time: the mapping reads the column "opened", which the file does not have; the nearest is "opened_at"`,
		`cases.csv: skip: the mapping reads the column "state", which the file does not have`,
	} {
		if !strings.Contains(o.err.Error(), want) {
			t.Errorf("%v\nlacks %s", o.err, want)
		}
	}
	o = read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("a")}}, visit(), write(t, "twice.csv", "a,a\n1,2\n"))
	if o.err == nil || !strings.Contains(o.err.Error(), `the file has two of that name`) {
		t.Errorf("two columns of one name: %v", o.err)
	}
}

func TestHeaders(t *testing.T) {
	m := func(r contract.Read) *contract.Mapping {
		return &contract.Mapping{Read: r, Fields: map[string]*contract.Value{"place": column("place")}}
	}
	file := write(t, "h.csv", "A report, of 2024\n\nplace;n\nOslo;1\n")
	equal(t, "third row", read(t, m(contract.Read{Header: 3, Delimiter: ";"}), visit(), file).data, []string{`{"place":"Oslo"}`})
	file = write(t, "h.txt", "Oslo|1\nRome|2\n")
	equal(t, "no row", read(t, m(contract.Read{Format: "csv", Delimiter: "|", Columns: contract.Texts{"place", "n"}}), visit(), file).data, []string{`{"place":"Oslo"}`, `{"place":"Rome"}`})
	for name, text := range map[string]string{"empty.csv": "", "mark.csv": "\ufeff", "blank.csv": "\n"} {
		o := read(t, m(contract.Read{}), visit(), write(t, name, text))
		if o.err == nil || !strings.Contains(o.err.Error(), name+" is empty: there is no row that names the columns") {
			t.Errorf("%s: %v", name, o.err)
		}
	}
	o := read(t, m(contract.Read{}), visit(), write(t, "h.dat", "place\n"))
	if problem.KindOf(o.err) != problem.Unsupported {
		t.Errorf("a name that tells no format: %v", o.err)
	}
	o = read(t, m(contract.Read{}), visit(), filepath.Join(t.TempDir(), "none.csv"))
	if problem.KindOf(o.err) != problem.NotFound {
		t.Errorf("no file: %v", o.err)
	}
	o = read(t, m(contract.Read{}), visit(), t.TempDir())
	if problem.KindOf(o.err) != problem.BadInput {
		t.Errorf("a folder: %v", o.err)
	}
}

func TestSheets(t *testing.T) {
	book := excelize.NewFile()
	if _, err := book.NewSheet("Data"); err != nil {
		t.Fatal(err)
	}
	date, err := book.NewStyle(&excelize.Style{NumFmt: 14})
	if err != nil {
		t.Fatal(err)
	}
	for cell, v := range map[string]any{"A3": "place", "B3": "on", "A4": "Oslo", "B4": time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), "A6": "Rome", "A7": "too", "B7": 45292, "C7": "many"} {
		if err := book.SetCellValue("Data", cell, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.SetCellStyle("Data", "B4", "B4", date); err != nil {
		t.Fatal(err)
	}
	b, err := book.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "b.xlsx", b.String())
	fields := map[string]*contract.Value{"place": column("place"), "on": {Column: "on", Format: contract.Texts{"excel"}}}
	o := read(t, &contract.Mapping{Read: contract.Read{Sheet: "Data", Header: 3}, Fields: fields}, visit(), file)
	equal(t, "data", o.data, []string{`{"place":"Oslo","on":"2024-01-01"}`, `{"place":"Rome"}`})
	equal(t, "refused", o.refused, []string{"b.xlsx Data:7  ragged: the row has 3 cells, the header 2 columns"})
	o = read(t, &contract.Mapping{Read: contract.Read{Sheet: "Other"}, Fields: fields}, visit(), file)
	if o.err == nil || !strings.Contains(o.err.Error(), `b.xlsx has no sheet "Other"; it has "Sheet1", "Data"`) {
		t.Errorf("no such sheet: %v", o.err)
	}
	o = read(t, &contract.Mapping{Fields: fields}, visit(), write(t, "no.xlsx", "PK\x03\x04 nothing"))
	if problem.KindOf(o.err) != problem.BadInput {
		t.Errorf("no workbook: %v", o.err)
	}
}

func TestObjects(t *testing.T) {
	text := `{"place": {"name": "Oslo", "n": 3}, "tags": ["a"], "good": true}` + "\n" +
		"\n" +
		`{"place": {"name": null}}` + "\n" +
		`{"place": {"name": "Rome"}` + "\n" +
		`[1]` + "\n" +
		strings.Repeat(`{"a":`, 20000) + "\n" +
		`{"place": {"name": "x"}} {}` + "\n" +
		`{"place.name": "Paris"}`
	m := &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place.name"), "people": column("place.n"), "good": column("good"), "price": column("never")}}
	o := read(t, m, visit(), write(t, "o.ndjson", text))
	equal(t, "data", o.data, []string{`{"place":"Oslo","people":3,"good":true}`, `{}`, `{"place":"Paris"}`})
	if len(o.refused) != 4 {
		t.Errorf("refused: %v", o.refused)
	}
	for _, r := range o.refused {
		if !strings.Contains(r, " bad_json: ") {
			t.Errorf("refused: %s", r)
		}
	}
	c := visit()
	c.Fields[0].Required = true
	o = read(t, &contract.Mapping{Fields: map[string]*contract.Value{"place": column("nmae")}}, c, write(t, "o.ndjson", text))
	if o.err == nil || len(o.data)+len(o.refused) > 0 || !strings.Contains(o.err.Error(), `the mapping reads the column "nmae"`) {
		t.Errorf("a required key that no object has: %v", o.err)
	}
}

func TestLog(t *testing.T) {
	m := &contract.Mapping{Read: contract.Read{Lines: `^(?P<host>\S+) "(?P<path>.*)" (?P<n>\d+|-)$`},
		Skip: `row.path == "/health"`, Fields: map[string]*contract.Value{"place": column("path"), "people": {Column: "n", Empty: contract.Texts{"-"}}}}
	file := write(t, "a.log", "h \"/a \"b\"\" 1\r\nbroken\nh \"/health\" 2\nh \"/c\" -\nh \"/c\" -\nh \"/c\" -")
	o := read(t, m, visit(), file)
	equal(t, "data", o.data, []string{`{"place":"/a \"b\"","people":1}`, `{"place":"/c"}`, `{"place":"/c"}`, `{"place":"/c"}`})
	equal(t, "refused", o.refused, []string{"a.log:2  no_match: the line does not match read.lines"})
	if !reflect.DeepEqual(o.stats, mapping.Stats{Rows: 6, Events: 4, Skipped: 1, Refused: 1}) {
		t.Errorf("stats are %+v", o.stats)
	}
	// Equal lines are different events, and the same ones when the file is read again.
	if o.ids[2] != o.ids[1]+"-1" || o.ids[3] != o.ids[1]+"-2" || o.ids[0] == o.ids[1] {
		t.Errorf("ids: %v", o.ids)
	}
	equal(t, "ids again", read(t, m, visit(), file).ids, o.ids)
}

func TestIdentity(t *testing.T) {
	fields := map[string]*contract.Value{"place": column("a")}
	file := write(t, "i.csv", "a,b,n\nx,yz,1\nxy,z,2\nx,yz,3\n")
	one := read(t, &contract.Mapping{ID: contract.Texts{"n"}, Fields: fields}, visit(), file)
	equal(t, "one column", one.ids, []string{"1", "2", "3"})
	two := read(t, &contract.Mapping{ID: contract.Texts{"a", "b"}, Fields: fields}, visit(), file)
	if two.ids[0] != two.ids[2] || two.ids[0] == two.ids[1] {
		t.Errorf("two columns: %v", two.ids)
	}
	numbered := read(t, &contract.Mapping{ID: contract.Texts{"a", "b"}, Repeats: true, Fields: fields}, visit(), file)
	if numbered.ids[2] != two.ids[0]+"-1" {
		t.Errorf("repeats: %v", numbered.ids)
	}
	whole := read(t, &contract.Mapping{Fields: fields}, visit(), file)
	if whole.ids[0] == whole.ids[2] {
		t.Errorf("whole rows: %v", whole.ids)
	}
	other := visit()
	other.Type = "test.other.v1"
	if read(t, &contract.Mapping{ID: contract.Texts{"a", "b"}, Fields: fields}, other, file).ids[0] == two.ids[0] {
		t.Error("events of two contracts share an id")
	}
	o := read(t, &contract.Mapping{ID: contract.Texts{"n"}, Fields: fields}, visit(), write(t, "i.csv", "a,n\nx,\n"))
	equal(t, "no id", o.refused, []string{`i.csv:2 id missing_field: the column "n", which is the id, is empty`})
}

func TestUnpivot(t *testing.T) {
	c := visit()
	c.Kind, c.Window = contract.Figure, contract.Window{From: "on", To: "last"}
	c.Fields = append(c.Fields, contract.Field{Name: "last", Type: contract.Date, Required: true})
	m := func() *contract.Mapping {
		return &contract.Mapping{
			Unpivot: &contract.Unpivot{Columns: `(?P<year>\d{4}) (?P<measure>.+)`, Headers: map[string]string{"2032": "2023"}},
			ID:      contract.Texts{"place", "year"},
			Fields: map[string]*contract.Value{"place": column("place"), "people": column("people"), "price": column("price"),
				"on": {Column: "year", Format: contract.Texts{"2006"}}, "last": {Column: "year", Format: contract.Texts{"2006"}, Day: "last"}},
		}
	}
	text := "2022 people,place,2022 price,2032 people\n1,Oslo,2.5,\n,Rome,,4\n"
	o := read(t, m(), c, write(t, "w.csv", text))
	if o.err != nil {
		t.Fatal(o.err)
	}
	equal(t, "data", o.data, []string{
		`{"place":"Oslo","people":1,"price":2.5,"on":"2022-01-01","last":"2022-12-31"}`,
		`{"place":"Rome","people":4,"on":"2023-01-01","last":"2023-12-31"}`,
	})
	equal(t, "times", o.times, []string{"2022-12-31T00:00:00-05:00", "2023-12-31T00:00:00-05:00"})
	keep := m()
	keep.Unpivot.Empty = "keep"
	if o := read(t, keep, c, write(t, "w.csv", text)); len(o.data) != 4 {
		t.Errorf("with empty: keep there are %v", o.data)
	}
	clash := m()
	clash.Unpivot.Headers = nil
	o = read(t, clash, c, write(t, "w.csv", "place,2022 people,2022 price,2022 people\n"))
	if o.err == nil || !strings.Contains(o.err.Error(), `the columns "2022 people" and "2022 people" are the same measure of the same group`) {
		t.Errorf("one measure twice: %v", o.err)
	}
	o = read(t, m(), c, write(t, "w.csv", "place,people\n"))
	if o.err == nil || !strings.Contains(o.err.Error(), "no column matches unpivot.columns") {
		t.Errorf("nothing to turn: %v", o.err)
	}
	o = read(t, m(), c, write(t, "w.csv", "place,year,2022 people,2022 price\n"))
	if o.err == nil || !strings.Contains(o.err.Error(), `unpivot makes a column "year", and there is one already`) {
		t.Errorf("a group named as a column: %v", o.err)
	}
}

func TestLookup(t *testing.T) {
	folder := t.TempDir()
	put := func(name, text string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	m := func() *contract.Mapping {
		return &contract.Mapping{Fields: map[string]*contract.Value{"place": {Lookup: &contract.Lookup{File: "places_*.csv", By: contract.Texts{"code", "year"}, Column: "name"}}}}
	}
	file := put("v.csv", "code,year\n1,2023\n1,2024\n2,2024\n")
	if o := read(t, m(), visit(), file); problem.KindOf(o.err) != problem.NotFound || !strings.Contains(o.err.Error(), "places_*.csv") {
		t.Errorf("no file: %v", o.err)
	}
	put("places_1.csv", "year,code,name\n2023,1,Oslo\n2024,1,Bergen\n")
	o := read(t, m(), visit(), file)
	equal(t, "data", o.data, []string{`{"place":"Oslo"}`, `{"place":"Bergen"}`})
	equal(t, "refused", o.refused, []string{`v.csv:4 place not_found: no row of places_*.csv agrees in "code", "year"`})
	put("places_1.csv", "year,code,name\n2023,1,Oslo\n2023,1,Bergen\n")
	if o := read(t, m(), visit(), file); o.err == nil || !strings.Contains(o.err.Error(), "two rows that agree") {
		t.Errorf("two answers: %v", o.err)
	}
	put("places_2.csv", "year,code,name\n")
	if o := read(t, m(), visit(), file); o.err == nil || !strings.Contains(o.err.Error(), "has several") {
		t.Errorf("two files: %v", o.err)
	}
}

func TestReplaces(t *testing.T) {
	c := visit()
	m := &contract.Mapping{For: c.Type, Time: column("at"), OnChange: "correct", Replaces: map[string]string{"source": "", "day": ""}, Fields: map[string]*contract.Value{"place": column("place")}}
	zone, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := mapping.New(m, c, nil, zone)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	stats, err := mapper.Read(context.Background(), write(t, "r.csv", "at,place\n2024-01-03T20:00:00Z,Rome\n2024-01-01T20:00:00Z,Oslo\n"), func(e []byte, _ mapping.Place) error { got = string(e); return nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if days := fmt.Sprint(stats.Days); days != "[2024-01-02 2024-01-04]" {
		t.Errorf("the file stands for %s", days)
	}
	if !strings.Contains(got, `"onchange":"correct","replaces":"2024-01-02"`) {
		t.Errorf("the event is %s; its day is that of Tashkent", got)
	}
}

func TestReferencesTakeNames(t *testing.T) {
	var issues problem.Issues
	table := reference.ReadTable("regions", "regions.csv", strings.NewReader("code,name_uz,aliases\n1703,Fargʻona,Ferghana\n"), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	c := visit()
	m := &contract.Mapping{For: c.Type, Time: &contract.Value{Constant: "2024-01-01T00:00:00Z"}, Fields: map[string]*contract.Value{"region": column("region")}}
	mapper, err := mapping.New(m, c, reference.NewSet(nil, table), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	emit := func(e []byte, _ mapping.Place) error {
		_, data, _ := strings.Cut(string(e), `"data":`)
		got = append(got, data)
		return nil
	}
	if _, err := mapper.Read(context.Background(), write(t, "r.csv", "region\nFARG'ONA\nferghana\n1703\nAtlantis\n"), emit, nil); err != nil {
		t.Fatal(err)
	}
	// What the table does not know goes on as it is: the door decides.
	equal(t, "regions", got, []string{`{"region":"1703"}}`, `{"region":"1703"}}`, `{"region":"1703"}}`, `{"region":"Atlantis"}}`})
}

func TestBrokenFiles(t *testing.T) {
	var text strings.Builder
	text.WriteString("place\n")
	for i := range 20000 {
		fmt.Fprintf(&text, "place %d is not like the others: %x\n", i, i*i*7919)
	}
	m := func() *contract.Mapping {
		return &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place")}}
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text.String()))
	w.Close()
	o := read(t, m(), visit(), write(t, "cut.csv.gz", b.String()[:b.Len()/2]))
	if problem.KindOf(o.err) != problem.BadInput || len(o.data) < 5000 || !strings.Contains(o.err.Error(), fmt.Sprintf("cut.csv.gz:%d: the file is cut off here", len(o.data)+2)) {
		t.Errorf("a truncated gzip file gave %d events and %v", len(o.data), o.err)
	}
	damaged := bytes.Clone(b.Bytes())
	damaged[len(damaged)-6] ^= 1 // the checksum
	o = read(t, m(), visit(), write(t, "sum.csv.gz", string(damaged)))
	if problem.KindOf(o.err) != problem.BadInput || !strings.Contains(o.err.Error(), "the file is damaged here") {
		t.Errorf("a damaged gzip file gave %v", o.err)
	}
	packed := zipped(t, map[string]string{"a.csv": text.String()})
	o = read(t, m(), visit(), write(t, "cut.zip", packed[:len(packed)/2]))
	if problem.KindOf(o.err) != problem.BadInput || !strings.Contains(o.err.Error(), "cut.zip is a damaged zip archive") {
		t.Errorf("a truncated zip archive gave %v", o.err)
	}
	several := write(t, "two.zip", zipped(t, map[string]string{"a.csv": "place\nA\n", "b.csv": "place\nB\n"}))
	o = read(t, m(), visit(), several)
	if o.err == nil || !strings.Contains(o.err.Error(), `"a.csv"`) || !strings.Contains(o.err.Error(), `"b.csv"`) {
		t.Errorf("two members: %v", o.err)
	}
	chosen := m()
	chosen.Read.Member = "b*"
	equal(t, "chosen member", read(t, chosen, visit(), several).data, []string{`{"place":"B"}`})
}

// TestZerosAndLongRows holds the memory that one endless row takes.
func TestZerosAndLongRows(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte("place\nbefore\n"))
	zeros := make([]byte, 1<<20)
	for range 64 {
		w.Write(zeros)
	}
	w.Write([]byte("\nafter\n"))
	w.Close()
	for _, name := range []string{"zeros.csv.gz", "zeros.log.gz"} {
		m := &contract.Mapping{Fields: map[string]*contract.Value{"place": column("place")}}
		want := []string{`{"place":"before"}`, `{"place":"after"}`}
		if strings.Contains(name, "log") {
			m.Read.Lines = `^(?P<place>\w+)$`
			want = append([]string{`{"place":"place"}`}, want...)
		}
		file := write(t, name, b.String())
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		o := read(t, m, visit(), file)
		runtime.ReadMemStats(&end)
		equal(t, name, o.data, want)
		if len(o.refused) != 1 || !strings.Contains(o.refused[0], " too_long: ") {
			t.Errorf("%s: %v", name, o.refused)
		}
		if taken := end.TotalAlloc - start.TotalAlloc; taken > 24<<20 {
			t.Errorf("%s: 64 MiB of zeros took %d MiB of memory", name, taken>>20)
		}
	}
}

func TestStopping(t *testing.T) {
	m := &contract.Mapping{For: "test.visit.v1", Time: &contract.Value{Constant: "2024-01-01T00:00:00Z"}, Fields: map[string]*contract.Value{"place": column("place")}}
	mapper, err := mapping.New(m, visit(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "a.csv", "place\n"+strings.Repeat("Oslo\n", 5000))
	full := errors.New("the disk is full")
	stats, err := mapper.Read(context.Background(), file, func([]byte, mapping.Place) error { return full }, nil)
	if err != full || stats.Events != 0 {
		t.Errorf("emit's error came back as %v after %d events", err, stats.Events)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, err = mapper.Read(ctx, file, func([]byte, mapping.Place) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	}, nil)
	if !errors.Is(err, context.Canceled) || n >= 5000 {
		t.Errorf("a cancelled reading gave %v after %d events", err, n)
	}
}

func TestItDashboard(t *testing.T) {
	// Tabs in front of codes, line breaks inside cells, a byte-order mark.
	m := &contract.Mapping{Read: contract.Read{Trim: true}, Fields: map[string]*contract.Value{"place": column("Agency Code"), "price": column("Funding CY ($ M)")}}
	o := read(t, m, visit(), shared(t, "us_it_dashboard/businesscase.csv"))
	if o.err != nil || len(o.data) != 747 || len(o.refused) > 0 {
		t.Fatalf("%d rows, %v, %v", len(o.data), o.refused, o.err)
	}
	for _, d := range o.data {
		if strings.Contains(d, `\t`) || strings.Contains(d, `"place":""`) {
			t.Fatalf("a code with its tab: %s", d)
		}
	}
}
