package loader

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/warehouse/lake"
)

// request is a decided request as a national portal sends it.
func request(r *rand.Rand, n int) []byte {
	// About 23,000 a day, nearly in the order of time: 8.3 million in a year.
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n)*3800*time.Millisecond + time.Duration(r.Int64N(3600*1000))*time.Millisecond)
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"r-%09d","source":"portal","type":"test.request.decided.v1","time":%q,"data":{"service":"svc-%03d","outcome":%q,"applicant":"%014d","submitted":%q,"due":%q,"took":%d,"fee":%d.%02d,"online":%t}}`,
		n, at.Format("2006-01-02T15:04:05.000Z"), r.IntN(300), []string{"granted", "refused"}[r.IntN(10)/8], 30000000000000+r.Int64N(20_000_000), at.Add(-time.Duration(r.IntN(1e6))*time.Second).Format(time.RFC3339), at.Format(time.DateOnly), r.IntN(1e8), r.IntN(1000), r.IntN(100), r.IntN(4) > 0)
}

// batches are n events as the door makes them of requests of 20,000.
func batches(t testing.TB, checker *contract.Checker, n int) (all [][]contract.Part, raw int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	b := checker.NewBatch()
	for i := range n {
		e := request(r, i)
		raw += len(e) + 1
		if refusal := b.Add(i, e); refusal != nil {
			t.Fatal(refusal)
		}
		if b.Len() == 20_000 || i == n-1 {
			all, b = append(all, b.Parts()), checker.NewBatch() // the records stay
		}
	}
	return all, raw
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoad measures events from the journal until they are in facts, rollups
// and Parquet, everything durable. cpu/event is this process alone, the engine apart.
func BenchmarkLoad(b *testing.B) {
	const events = 1_000_000
	for range b.N {
		b.StopTimer()
		w := newWorld(b, "")
		all, _ := batches(b, w.checker, events)
		began := time.Now()
		var last uint64
		for _, parts := range all {
			seq, err := w.journal.Append(context.Background(), parts)
			if err != nil {
				b.Fatal(err)
			}
			last = seq
		}
		appended := time.Since(began)
		all = nil
		began, used := time.Now(), cpu()
		b.StartTimer()
		if testing.Verbose() {
			w.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		w.start()
		w.wait(last)
		b.StopTimer()
		took, used := time.Since(began), cpu()-used
		b.ReportMetric(events/took.Seconds(), "events/s")
		b.ReportMetric(float64(used.Nanoseconds())/events, "cpu-ns/event")
		b.ReportMetric(events/appended.Seconds(), "appended/s")
		b.ReportMetric(float64(w.loader.Status().Plans), "plans")
		files, err := lake.Open(w.store).Files(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		size := int64(0)
		for _, f := range files {
			size += f.Bytes
		}
		b.ReportMetric(float64(size)/events, "lake-B/event")
		w.close()
		b.StartTimer()
	}
}

// BenchmarkGather measures the loader's own part on one core: decode, decide, gather.
func BenchmarkGather(b *testing.B) {
	const events = 200_000
	w := newWorld(b, "")
	all, _ := batches(b, w.checker, events)
	var last uint64
	for _, parts := range all {
		seq, err := w.journal.Append(b.Context(), parts)
		if err != nil {
			b.Fatal(err)
		}
		last = seq
	}
	b.Run("take", func(b *testing.B) {
		for b.Loop() {
			x, err := openIndex(b.TempDir(), quiet)
			if err != nil {
				b.Fatal(err)
			}
			p := newPlan()
			ctx, cancel := context.WithCancel(b.Context())
			if err := w.journal.Replay(ctx, 1, replayInto(p, x, last, cancel)); ctx.Err() == nil {
				b.Fatal(err)
			}
			x.close()
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	x, err := openIndex(b.TempDir(), quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer x.close()
	p := newPlan()
	ctx, cancel := context.WithCancel(b.Context())
	if err := w.journal.Replay(ctx, 1, replayInto(p, x, last, cancel)); ctx.Err() == nil {
		b.Fatal(err)
	}
	c := w.set.All()[0]
	b.Run("record", func(b *testing.B) {
		for b.Loop() {
			p.tables[c].record(p.cut, p.first, false)
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	rec := p.tables[c].record(p.cut, p.first, false)
	b.Run("arrow", func(b *testing.B) {
		for b.Loop() {
			var out bytes.Buffer
			if err := facts(&out, rec); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			x, err := openIndex(b.TempDir(), quiet)
			if err != nil {
				b.Fatal(err)
			}
			if err := x.log(p.entries, 1); err != nil {
				b.Fatal(err)
			}
			x.close()
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	l := w.config().Lake
	n := uint64(0)
	b.Run("lake", func(b *testing.B) {
		for b.Loop() {
			n++
			if _, err := l.Write(b.Context(), lake.Plan{First: n, Last: n}, []contract.Part{{Contract: c, Record: rec}}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
}

func replayInto(p *plan, x *index, last uint64, stop func()) func(journal.Message) error {
	return func(m journal.Message) error {
		if err := p.take(m, 19_900, x); err != nil {
			return err
		}
		if m.Seq == last {
			stop()
		}
		return nil
	}
}
