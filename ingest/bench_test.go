package ingest_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/internal/simulate"
	"ombor/internal/stream"
)

// BenchmarkDoor sends simulated decisions of the embedded pack through everything
// that an acknowledgement stands on: loopback HTTP, the check, a real journal with
// its fsync. A request holds what `ombor load` puts into one. cpu-ns/event is the
// processor time of the whole process, the sending client and the journal's server
// included: it is what to compare while others use the machine.
func BenchmarkDoor(b *testing.B) {
	const perRequest = 7_300 // 4 MiB
	p, events := decisions(b, 4*perRequest)
	var bodies [][]byte
	for i := 0; i < len(events); i += perRequest {
		bodies = append(bodies, append(bytes.Join(events[i:i+perRequest], []byte{'\n'}), '\n'))
	}
	conn, err := stream.Open(b.Context(), stream.Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	j, err := journal.Open(b.Context(), conn, journal.Options{Contracts: p.Set})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	door, err := ingest.New(ingest.Config{Checker: contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{}), Journal: j, SigningKey: make([]byte, 16)})
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(door.Events())
	defer server.Close()

	send := func(i int) {
		response, err := http.Post(server.URL, "application/x-ndjson", bytes.NewReader(bodies[i%len(bodies)]))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			b.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			b.Fatal(response.Status)
		}
	}
	send(0) // buffers, caches, the connection
	accepted := door.Counts().Accepted
	before, err := j.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	begin := processorTime(b)
	for i := range b.N {
		send(i)
	}
	used := processorTime(b) - begin
	b.StopTimer()
	n := door.Counts().Accepted - accepted
	if n != uint64(b.N)*perRequest {
		b.Fatalf("%d of %d accepted", n, b.N*perRequest)
	}
	after, err := j.Status(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(used.Nanoseconds())/float64(n), "cpu-ns/event")
	b.ReportMetric(float64(after.Bytes-before.Bytes)/float64(n), "journal-B/event")
}

// decisions are the first n simulated decisions of a busy fortnight.
func decisions(b *testing.B, n int) (*pack.Pack, [][]byte) {
	b.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		b.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		b.Fatal(err)
	}
	from, err := reference.ParseDay("2024-03-01")
	if err != nil {
		b.Fatal(err)
	}
	g, err := simulate.New(p, simulate.Options{Seed: 1, Scale: 0.2, From: from, To: from + 13})
	if err != nil {
		b.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := g.WriteTo(b.Context(), &text, nil); err != nil {
		b.Fatal(err)
	}
	var events [][]byte
	for line := range bytes.Lines(text.Bytes()) {
		if line = bytes.TrimSpace(line); bytes.Contains(line, []byte(`"type":"uz.gov.request.decided.v1"`)) {
			if events = append(events, line); len(events) == n {
				return p, events
			}
		}
	}
	b.Fatalf("%d decisions, want %d", len(events), n)
	return nil, nil
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
