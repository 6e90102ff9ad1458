package contract_test

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/internal/simulate"
)

// nation are simulated events of the embedded pack in the order in which they would
// arrive; of one type when that is told.
func nation(b *testing.B, eventType string, n int) (*pack.Pack, [][]byte) {
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
	mark := []byte(`"type":"` + eventType)
	var events [][]byte
	for line := range bytes.Lines(text.Bytes()) {
		if line = bytes.TrimSpace(line); bytes.Contains(line, mark) {
			if events = append(events, line); len(events) == n {
				return p, events
			}
		}
	}
	b.Fatalf("%d events of %q, want %d", len(events), eventType, n)
	return nil, nil
}

// BenchmarkNation checks what a national portal sends: decisions of 23 fields, and the
// whole stream of all types. Records are built every 7,000 events, a request's worth.
func BenchmarkNation(b *testing.B) {
	for _, v := range []struct{ name, eventType string }{{"decisions", "uz.gov.request.decided.v1"}, {"all", ""}} {
		b.Run(v.name, func(b *testing.B) {
			p, events := nation(b, v.eventType, 7_000)
			batch := contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{}).NewBatch()
			size := 0
			for _, e := range events {
				size += len(e)
			}
			b.SetBytes(int64(size / len(events)))
			b.ReportAllocs()
			b.ResetTimer()
			begin := processorTime(b)
			for i := range b.N {
				if r := batch.Add(i, events[i%len(events)]); r != nil {
					b.Fatal(r)
				}
				if batch.Len() == 7_000 {
					for _, part := range batch.Parts() {
						part.Record.Release()
					}
				}
			}
			b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
			if held := batch.Held(); len(held) > 0 {
				b.Fatalf("held: %s", held[0].Reason)
			}
		})
	}
}

// processorTime is what the process has computed, collection of garbage included: what
// to compare on a machine that has others to serve.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
