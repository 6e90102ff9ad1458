package mapping

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// FuzzCSV holds the reader against encoding/csv: what that accepts in its strict form
// reads the same here.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "\"a\"\"\",\"b\nc\"\r\n,\r\n", "a\r\n\r\nb", "\"\"", "\"a\r\n\"", "a,\"b", "\"a\"b,c\n", "\xef\xbb\xbfa\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		// encoding/csv makes LF of CRLF inside quotes and drops every CR before a
		// line's end; cells here keep the bytes that they have.
		if bytes.Contains(text, []byte("\r")) {
			return
		}
		strict := csv.NewReader(bytes.NewReader(text))
		strict.FieldsPerRecord = -1
		want, err := strict.ReadAll()
		if err != nil {
			return
		}
		r := &csvRows{w: newWindow(&slowReader{text}), delimiter: ',', counted: func() int64 { return 0 }}
		for _, cells := range want {
			for {
				if err := r.record(context.Background()); err != nil {
					t.Fatalf("%q: %v, want %q", text, err, cells)
				}
				if len(r.cells) != 1 || len(r.cells[0]) > 0 || len(cells) == 1 && cells[0] == "" {
					break // encoding/csv passes empty lines over
				}
			}
			got := make([]string, len(r.cells))
			for i := range r.cells {
				got[i] = string(r.cells[i])
			}
			if !slices.Equal(got, cells) {
				if len(cells) == 1 && cells[0] == "" && len(got) == 1 { // `""` and an empty line before it
					continue
				}
				t.Fatalf("%q: %q, want %q", text, got, cells)
			}
		}
	})
}

// slowReader gives a few bytes at a time, so that records begin and end anywhere.
type slowReader struct{ rest []byte }

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(3, len(s.rest)/4))], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// FuzzRead reads anything as every format: it ends, without a panic, with events that
// are JSON, and with a problem when the file is at fault.
func FuzzRead(f *testing.F) {
	formats := []string{formatCSV, formatTSV, formatXLSX, formatNDJSON, formatParquet, formatLines}
	f.Add(byte(0), []byte("a,b,c\n1,2024-01-01,3.5\n\"x\",,\n"))
	f.Add(byte(1), []byte("a\tb\tc\n1\t2\n"))
	f.Add(byte(2), []byte("PK\x03\x04"))
	f.Add(byte(3), []byte("{\"a\":1,\"b\":{\"c\":[2]}}\n{\n"))
	f.Add(byte(4), []byte("PAR1PAR1"))
	f.Add(byte(5), []byte("one 2\nthree\n"))
	f.Add(byte(0), []byte("\x1f\x8b\x08\x00"))
	c := &contract.Contract{Type: "t.v1", Source: "s", Fields: []contract.Field{
		{Name: "a", Type: contract.Text}, {Name: "b", Type: contract.Date}, {Name: "c", Type: contract.Decimal}, {Name: "d", Type: contract.Integer},
	}}
	f.Fuzz(func(t *testing.T, which byte, content []byte) {
		format := formats[int(which)%len(formats)]
		m := &contract.Mapping{For: "t.v1", Read: contract.Read{Format: format, Empty: contract.Texts{"-"}, Thousands: ","},
			Time:   &contract.Value{Constant: "2024-01-01T00:00:00Z"},
			Fields: map[string]*contract.Value{"a": {Column: "a"}, "b": {Column: "b", Format: contract.Texts{"2006-01-02", "excel"}}, "c": {Column: "c", Times: 3}, "d": {Compute: "size(row.a)"}},
		}
		if format == formatLines {
			m.Read.Lines = `(?P<a>\w+) (?P<b>\S+) ?(?P<c>.*)`
		}
		mapper, err := New(m, c, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		stats, err := mapper.Read(context.Background(), file, func(event []byte, at Place) error {
			if !json.Valid(event) {
				t.Fatalf("%s: %s", at, event)
			}
			return nil
		}, func(_ Place, _, code, reason string) {
			if code == "" || strings.TrimSpace(reason) == "" {
				t.Fatalf("a refusal without a code or a reason: %q %q", code, reason)
			}
		})
		if err != nil && problem.KindOf(err) == problem.Internal || errors.Is(err, io.EOF) && problem.KindOf(err) != problem.BadInput {
			t.Fatalf("a faulty file gives an internal error: %v", err)
		}
		if stats.Rows != stats.Events+stats.Refused+stats.Skipped {
			t.Fatalf("%+v", stats)
		}
	})
}
