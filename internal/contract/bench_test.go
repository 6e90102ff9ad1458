package contract

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAdd checks events of a contract with twelve fields, two of them
// refs, one a person, with three rules; records are built every 2,000 events.
func BenchmarkAdd(b *testing.B) {
	for _, variant := range []struct {
		name  string
		rules bool
	}{{"rules", true}, {"plain", false}} {
		b.Run(variant.name, func(b *testing.B) {
			c := decided()
			if !variant.rules {
				c.Rules = nil
			}
			batch := checker(b, c).NewBatch()
			var events [][]byte
			bytes := 0
			for i := range 2000 {
				e := replace(good, "e-1", fmt.Sprintf("request-%d", i), "r-1", fmt.Sprintf("r-2024-%d", i), pinfl, fmt.Sprintf("3150785%07d", i*37))
				events = append(events, []byte(e))
				bytes += len(e)
			}
			b.SetBytes(int64(bytes / len(events)))
			b.ReportAllocs()
			b.ResetTimer()
			begin := cpuTime(b)
			for i := range b.N {
				if r := batch.Add(i, events[i%len(events)]); r != nil {
					b.Fatal(r)
				}
				if batch.Len() == len(events) {
					batch.Parts()
				}
			}
			b.ReportMetric(float64(b.N)/(cpuTime(b)-begin).Seconds(), "events/core-s")
		})
	}
}

// cpuTime is what the process has computed, collection of garbage included: what a
// core gives, also on a machine that has others to serve.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
