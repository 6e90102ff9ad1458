package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ombor/ingest/mapping"
)

// A file arrives byte for byte, whatever its lines are; what is refused is told with its line, and a block
// that the door does not take at once comes in halves.
func TestSections(t *testing.T) {
	var mu sync.Mutex
	bodies := map[string]int{} // of what was taken
	busy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			t.Errorf("%d bytes of %d came: %v", len(body), r.ContentLength, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if busy { // once: the same again
			busy = false
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if bytes.Contains(body, []byte("halve")) && len(body) > requestBytes/2+1<<16 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		bodies[string(body)]++
		answer := doorAnswer{}
		lines := bytes.Split(body, newline)
		for i, row := range rowsOf(body, 0) {
			if line := lines[row]; bytes.HasPrefix(line, []byte("refuse")) {
				answer.Rejected = append(answer.Rejected, doorRefusals{Index: i, Code: "x", ID: string(line)})
			} else {
				answer.Accepted++
			}
		}
		_ = json.NewEncoder(w).Encode(answer) // the client sees when it fails
	}))
	defer server.Close()

	var content bytes.Buffer
	var want []string // that arrives
	refused := map[int64]string{}
	accepted := int64(0)
	add := func(line string) {
		content.WriteString(line + "\n")
		want = append(want, line)
	}
	content.WriteString("\ufeff")
	for n := int64(1); content.Len() < 4*requestBytes; n++ {
		switch {
		case n%1000 == 7:
			refused[n] = fmt.Sprintf("refuse %d", n)
			add(refused[n])
		case n == 2000: // in the second block
			refused[n] = ""
			content.WriteString(strings.Repeat("x", requestBytes+1) + "\n")
		case n == 3500:
			add("halve" + strings.Repeat(" ", 3000))
			accepted++
		case n%100 == 50:
			add("")
		default:
			add(fmt.Sprintf("%d %s", n, strings.Repeat("y", 1500)))
			accepted++
		}
	}
	content.WriteString("the last without an end")
	want, accepted = append(want, "the last without an end"), accepted+1
	name := filepath.Join(t.TempDir(), "lines.ndjson")
	if err := os.WriteFile(name, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	got := map[int64]string{}
	s := newSender(t.Context(), &client{url: server.URL}, 3, func(r refusal) {
		mu.Lock()
		defer mu.Unlock()
		got[r.Row] = r.ID
	}, func(int64) {})
	size, start, ok := mapping.Plain(name)
	if !ok || start != 3 || size != int64(content.Len()) {
		t.Fatalf("the file is plain text from byte 3 on: %d, %d, %t", size, start, ok)
	}
	l := s.lane("lines.ndjson", nil)
	var through int64
	if err := l.sections(name, start, size, func(n int64) { through = n }); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for body, times := range bodies {
		if times != 1 {
			t.Errorf("a block was taken %d times", times)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(body, "\n"), "\n")...)
	}
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("%d lines arrived, not the %d of the file", len(lines), len(want))
	}
	if len(got) != len(refused) || l.outcome.Accepted != accepted || l.outcome.Rejected != int64(len(refused)) || through != size {
		t.Errorf("refused %d, want %d; %+v; want %d accepted; %d of %d bytes", len(got), len(refused), l.outcome, accepted, through, size)
	}
	for row, id := range refused {
		if got[row] != id {
			t.Errorf("line %d is told as %q, want %q", row, got[row], id)
		}
	}

	// A file that becomes shorter while it is sent ends the load; it is not waited for.
	piece := &section{of: &textFile{name: name, start: start, marks: []mark{{line: 1}}}, from: 0, to: size - start}
	if err := os.Truncate(name, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := piece.open(); err == nil {
		t.Error("a section beyond the file's end was opened")
	}
}
