package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzArray holds the array splitter against encoding/json: what both can read they
// cut the same way, and what is an array of JSON values the splitter reads.
func FuzzArray(f *testing.F) {
	for _, s := range []string{`[]`, ` [ {"a":"]\"}"} , 1,true , "x\\" ] `, `[[1,[2]],{}]`, `[1 2]`, `[,]`, `[{]}]`, "\ufeff[1]", `["`, `[1`, `[]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		split := newSplitter(64)
		split.reset(iotest.OneByteReader(strings.NewReader(s)))
		var got []string
		var err error
		for {
			var event []byte
			var long bool
			if event, long, err = split.next(array); err != nil {
				break
			}
			if long {
				event = []byte("long")
			}
			got = append(got, string(event))
		}
		var want []json.RawMessage
		if json.Unmarshal([]byte(strings.TrimPrefix(s, "\ufeff")), &want) != nil || want == nil {
			return
		}
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("%q: %d elements and %v, want %d", s, len(got), err, len(want))
		}
		for i := range want {
			text := string(bytes.TrimSpace(want[i]))
			if len(text) > 64 {
				text = "long"
			}
			if got[i] != text {
				t.Fatalf("%q: element %d is %q, want %q", s, i, got[i], text)
			}
		}
	})
}

// FuzzLines: every line that is not blank comes once, in order, or is long.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"a\nb", "\r\n a \r\n\n", "\ufeffx\n", strings.Repeat("y", 70) + "\nz", strings.Repeat("y", 64) + "\r\nz", strings.Repeat(" ", 65) + "q"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		split := newSplitter(64)
		split.reset(iotest.HalfReader(strings.NewReader(s)))
		for i, line := range strings.Split(strings.TrimPrefix(s, "\ufeff"), "\n") {
			text := strings.Trim(line, " \t\r")
			if text == "" && len(line) <= 64 {
				continue
			}
			if text == "" {
				return // a long blank line may be told as long
			}
			event, long, err := split.next(lines)
			if err != nil {
				t.Fatalf("%q: line %d: %v", s, i, err)
			}
			if long && len(line) <= 64 || !long && (len(text) > 64 || string(event) != text) {
				t.Fatalf("%q: line %d is %q (long %v), want %q", s, i, event, long, text)
			}
		}
		if event, long, err := split.next(lines); !errors.Is(err, io.EOF) {
			t.Fatalf("%q: %q %v %v after the last line", s, event, long, err)
		}
	})
}
