package mapping_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

func TestCheck(t *testing.T) {
	type m = contract.Mapping
	type v = contract.Value
	cases := []struct {
		breaks func(*m)
		want   string
	}{
		{func(m *m) { m.For = "test.visit.v2" }, `for: "test.visit.v2" is not the contract's type "test.visit.v1"`},
		{func(m *m) { m.Time = nil }, `time: is missing: it says when an event happened; only figures, whose window says it, may leave it away`},
		{func(m *m) { m.Fields["plcae"] = column("x") }, `fields.plcae: is no field of test.visit.v1; the nearest is "place"`},
		{func(m *m) { m.Fields["place"] = &v{} }, `fields.place: needs exactly one of column, constant, compute and lookup`},
		{func(m *m) { m.Fields["place"] = &v{Column: "a", Constant: "b"} }, `fields.place: needs exactly one of column, constant, compute and lookup`},
		{func(m *m) { m.Fields["place"] = &v{Column: "a", Format: contract.Texts{"2006"}} }, `fields.place.format: is for timestamps and dates`},
		{func(m *m) { m.Fields["place"] = &v{Column: "a", Times: 2} }, `fields.place.times: is for numbers`},
		{func(m *m) { m.Fields["place"] = &v{Column: "a", Others: "x"} }, `fields.place.others: says what a cell outside values is, and there are no values`},
		{func(m *m) { m.Fields["kind"] = &v{Column: "a", Values: map[string]string{"A": "fly"}} }, `fields.kind.values.A: "fly" is none of the field's values "walk", "ride"`},
		{func(m *m) { m.Fields["kind"] = &v{Column: "a", Values: map[string]string{"": "walk"}} }, `fields.kind.values.: is never asked: the cell "" means no value, for which default stands`},
		{func(m *m) { m.Fields["kind"] = &v{Constant: "fly"} }, `fields.kind.constant: "fly" is none of the field's values "walk", "ride"`},
		{func(m *m) { m.Fields["kind"] = &v{Column: "a", Default: "fly"} }, `fields.kind.default: "fly" is none of the field's values "walk", "ride"`},
		{func(m *m) { m.Fields["good"] = &v{Column: "a", Values: map[string]string{"A": "yes"}} }, `fields.good.values.A: "yes" is neither true nor false`},
		{func(m *m) { m.Fields["on"] = &v{Column: "a", Format: contract.Texts{"dd.mm.yyyy"}} }, `fields.on.format: "dd.mm.yyyy" is no layout: write 2 January 2006, 15:04:05 the way the file writes its stamps`},
		{func(m *m) { m.Fields["ended"] = &v{Column: "a", Format: contract.Texts{"2006-01-02 15:04 MST"}} }, `abbreviations mean several zones; name the zone in time_zone`},
		{func(m *m) { m.Fields["ended"] = &v{Column: "a", TimeZone: "Mars"} }, `fields.ended.time_zone: "Mars" is no IANA time zone`},
		{func(m *m) { m.Fields["on"] = &v{Column: "a", Day: "middle"} }, `fields.on.day: "middle" is neither first nor last`},
		{func(m *m) { m.Fields["place"] = &v{Compute: "row.a +"} }, `fields.place.compute: Syntax error`},
		{func(m *m) { m.Fields["place"] = &v{Compute: "line.a"} }, `fields.place.compute: undeclared reference to 'line'`},
		{func(m *m) { m.Fields["place"] = &v{Compute: `row[row.a]`} }, `fields.place.compute: row is read by the name of a column`},
		{func(m *m) { m.Fields["place"] = &v{Compute: `regex.extract(row.a, "(")`} }, `fields.place.compute: error parsing regexp: missing closing )`},
		{func(m *m) { m.Fields["place"] = &v{Compute: `regex.extract(row.a, "(a)(b)")`} }, `fields.place.compute: regex.extract takes a pattern of one group at the most`},
		{func(m *m) { m.Fields["place"] = &v{Compute: `row.all(k, k == "")`} }, `fields.place.compute: row is read by the name of a column`},
		{func(m *m) {
			m.Fields["place"] = &v{Lookup: &contract.Lookup{File: "../x.csv", By: contract.Texts{"a"}, Column: "b"}}
		}, `fields.place.lookup.file: "../x.csv" is no glob on the name of a file in the same folder`},
		{func(m *m) { m.Fields["place"] = &v{Lookup: &contract.Lookup{File: "x.csv"}} }, `fields.place.lookup.by: names the columns that must agree in both files`},
		{func(m *m) { m.Skip = "row.a" }, `skip: gives string; it has to be true or false`},
		{func(m *m) { m.Skip = "row.a ==" }, `skip: Syntax error`},
		{func(m *m) { m.OnChange = "replace" }, `on_change: "replace" is neither conflict nor correct`},
		{func(m *m) { m.OnChange, m.Replaces = "correct", map[string]string{"day": ""} }, `replaces: names both source and day`},
		{func(m *m) { m.OnChange, m.Replaces = "correct", map[string]string{"day": "", "week": ""} }, `replaces: is {source, day} and nothing else`},
		{func(m *m) { m.Replaces = map[string]string{"day": "", "source": ""} }, `replaces: needs on_change: correct`},
		{func(m *m) { m.ID = contract.Texts{""} }, `id: has an empty name of a column`},
		{func(m *m) { m.Files = contract.Texts{"[a"} }, `files[0]: "[a" is no glob`},
		{func(m *m) { m.Read.Format = "xls" }, `read.format: "xls" is none of csv, tsv, xlsx, ndjson, parquet, lines`},
		{func(m *m) { m.Read.Format = "lines" }, `read.lines: format lines needs the expression that a line matches`},
		{func(m *m) { m.Read.Lines = "(" }, `read.lines: error parsing regexp`},
		{func(m *m) { m.Read.Lines = "(a)" }, `read.lines: has no named group`},
		{func(m *m) { m.Read.Lines, m.Read.Format = "(?P<a>a)", "csv" }, `read.lines: does not go with format csv`},
		{func(m *m) { m.Read.Encoding = "latin" }, `read.encoding: "latin" is no label of an encoding`},
		{func(m *m) { m.Read.Delimiter = "||" }, `read.delimiter: "||" is not one ASCII character`},
		{func(m *m) { m.Read.Header = -1 }, `read.header: is a row, from 1 to 1000`},
		{func(m *m) { m.Read.Columns, m.Read.Header = contract.Texts{"a"}, 1 }, `read.columns: names the columns of a file without a header row`},
		{func(m *m) { m.Read.Columns = contract.Texts{"a", "a"} }, `read.columns: names "a" twice`},
		{func(m *m) { m.Read.Member = "[" }, `read.member: "[" is no glob`},
		{func(m *m) { m.Read.TimeZone = "EST5" }, `read.time_zone: "EST5" is no IANA time zone`},
		{func(m *m) { m.Read.Decimal = ",." }, `read.decimal: ",." is not one mark`},
		{func(m *m) { m.Read.Thousands = "." }, `read.thousands: "." holds the decimal mark`},
		{func(m *m) { m.Unpivot = &contract.Unpivot{Columns: "("} }, `unpivot.columns: error parsing regexp`},
		{func(m *m) { m.Unpivot = &contract.Unpivot{Columns: "(?P<y>.+)"} }, `unpivot.columns: has no group (?P<measure>…)`},
		{func(m *m) { m.Unpivot = &contract.Unpivot{Columns: "(?P<measure>.+)", Empty: "skip"} }, `unpivot.empty: "skip" is neither drop nor keep`},
		{func(m *m) {
			m.Unpivot = &contract.Unpivot{Columns: "(?P<measure>.+)", Headers: map[string]string{"": "x"}}
		}, `unpivot.headers: an empty text cannot be found in a header`},
	}
	sound := func() *contract.Mapping {
		return &contract.Mapping{For: "test.visit.v1", File: "mappings/m.yaml", Line: 1, Time: column("at"), Fields: map[string]*contract.Value{"place": column("place")}}
	}
	if issues := mapping.Check(sound(), visit(), nil); len(issues) > 0 {
		t.Fatalf("a sound mapping has problems: %v", issues)
	}
	for _, c := range cases {
		broken := sound()
		c.breaks(broken)
		issues := mapping.Check(broken, visit(), nil)
		found := false
		for _, i := range issues {
			found = found || strings.HasPrefix(i.String(), "mappings/m.yaml:1: ") && strings.Contains(i.String(), c.want)
		}
		if !found {
			t.Errorf("%v\nlacks %s", issues, c.want)
		}
		if _, err := mapping.New(broken, visit(), nil, nil); problem.KindOf(err) != problem.BadInput {
			t.Errorf("a mapper is made although %s", c.want)
		}
	}
	c := visit()
	c.Fields[0].Required = true
	broken := sound()
	broken.Fields = map[string]*contract.Value{"kind": column("k")}
	if issues := mapping.Check(broken, c, nil); len(issues) != 1 || !strings.Contains(issues[0].String(), "fields.place: is missing: the contract requires the field") {
		t.Errorf("a required field without a value: %v", issues)
	}
}

func TestChoose(t *testing.T) {
	make := func(name string, m *contract.Mapping) *mapping.Mapper {
		m.Name, m.For, m.Time = name, "test.visit.v1", &contract.Value{Constant: "2024-01-01T00:00:00Z"}
		made, err := mapping.New(m, visit(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	all := []*mapping.Mapper{
		make("by-name", &contract.Mapping{Files: contract.Texts{"cases_*.csv"}, Fields: map[string]*contract.Value{"place": column("anything")}}),
		make("by-columns", &contract.Mapping{Fields: map[string]*contract.Value{"place": column("town"), "people": column("n")}}),
		make("by-line", &contract.Mapping{Read: contract.Read{Lines: `^(?P<place>\w+)!$`}, Fields: map[string]*contract.Value{"place": column("place")}}),
		make("by-width", &contract.Mapping{Files: contract.Texts{"open*.tsv"}, Read: contract.Read{Format: "tsv", Columns: []string{"place", "people"}}, Fields: map[string]*contract.Value{"place": column("place")}}),
	}
	cases := []struct{ name, text, want string }{
		{"cases_2024.csv", "x\n", "by-name"},
		{"cases_2024.csv.gz", "x\n", "by-name"},
		{"a.zip", zipped(t, map[string]string{"in/cases_1.csv": "x\n"}), "by-name"},
		{"b.csv", "n,town\n", "by-columns"},
		{"c.log", "Oslo!\n", "by-line"},
		{"open_1.tsv", "Oslo\tx\ty\n", "by-width"},
		{"h.tsv", "Oslo\t7\n", "by-width"},
		{"raw_1.dat", "[\n{\"place\": \"Oslo\"}\n]\n", "raw_1.dat holds no CloudEvents, and no mapping of the pack reads it:\n"},
		{"d.ndjson", "\n {\"specversion\":\"1.0\"}\n", "events"},
		{"e.csv", "a,b\n1,2\n", "e.csv holds no CloudEvents, and no mapping of the pack reads it:\nby-name: e.csv: fields.place: the mapping reads the column \"anything\""},
		{"f.csv", "town,n,anything\n", "f.csv can be read by several mappings: by-name, by-columns; name one with --mapping"},
	}
	for _, c := range cases {
		chosen, err := mapping.Choose(context.Background(), write(t, c.name, c.text), all)
		got := "events"
		if err != nil {
			got = err.Error()
		} else if chosen != nil {
			got = chosen.Name()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := mapping.Choose(context.Background(), write(t, "g.csv", "a\n"), nil); err == nil || !strings.Contains(err.Error(), "the pack has no mapping that could read it") {
		t.Errorf("a pack without mappings: %v", err)
	}
}

// A file of events is text without its cover, its mark and its encoding.
func TestLines(t *testing.T) {
	const text = "{\"specversion\":\"1.0\",\"id\":\"é\"}\r\n\n{\"id\":\"2\"}\nnot json"
	pack := func(make func(io.Writer) io.WriteCloser) string {
		var b bytes.Buffer
		w := make(&b)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	gzipped := pack(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	for name, content := range map[string]string{
		"plain.ndjson": text,
		"mark.ndjson":  "\ufeff" + text,
		"a.zip":        zipped(t, map[string]string{"e.ndjson": text}),
		"a.ndjson.gz":  gzipped,
		"a.ndjson.zst": pack(func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }),
		"wide.ndjson": pack(func(w io.Writer) io.WriteCloser {
			return transform.NewWriter(w, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder())
		}),
	} {
		r, read, _, err := mapping.Lines(write(t, name, content))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != text || read() != int64(len(content)) && name != "a.zip" {
			t.Errorf("%s: %q, %v, %d of %d bytes read", name, got, err, read(), len(content))
		}
		r.Close()
	}
	r, _, broken, err := mapping.Lines(write(t, "cut.gz", gzipped[:len(gzipped)-5]))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.ReadAll(r)
	if err = broken(err); err == nil || !strings.Contains(err.Error(), "cut.gz: the file is cut off") {
		t.Errorf("a file that is cut off: %v", err)
	}
}
