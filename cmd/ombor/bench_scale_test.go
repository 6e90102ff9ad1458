//go:build bench

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBenchScale ingests the same events into a country whose ids of many years are
// known and into one that knows a million. The indexes are those that
// 'make bench-scale' made in .tools/bench by the loader's own TestBenchIndex.
// It never fails for a time.
func TestBenchScale(t *testing.T) {
	r := newReport(t, "scale-ingest")
	p, events, rounds := embedded(t), number(t, "EVENTS", 1_000_000), number(t, "ROUNDS", 3)
	few, many := 1_000_000, number(t, "IDS", 100_000_000)
	file, _ := decided(t, p, events, share(t, "SCALE", 1))
	type run struct {
		ids               int
		took, restart     time.Duration
		door, engine      usage
		anonymous, mapped int64 // resident at the end, bytes
	}
	version := ""
	one := func(t *testing.T, ids int) (out run) {
		data := fresh(t)
		in := &race{pack: p, contract: decisions(t, p), events: events}
		s := serve(t, data)
		in.settle(s)
		version = s.sql("SELECT version()")
		s.stop()
		index := filepath.Join(data, "loader", "index")
		if err := os.RemoveAll(index); err != nil {
			t.Fatal(err)
		}
		link(t, filepath.Join(benches, fmt.Sprintf("index-%d", ids)), index)
		began := time.Now()
		s = serve(t, data)
		out.ids, out.restart = ids, time.Since(began)
		in.settle(s)
		door, engine := usageOf(t, s.command.Process.Pid), usageOf(t, s.engineOf())
		began = time.Now()
		s.accept(file, events)
		out.took = time.Since(began)
		out.door, out.engine = usageOf(t, s.command.Process.Pid).since(door), usageOf(t, s.engineOf()).since(engine)
		out.anonymous, out.mapped = s.residentOf("RssAnon"), s.residentOf("RssFile")
		s.stop()
		return out
	}
	runs := map[int][]run{}
	began := load(t)
	for round := range rounds {
		for i := range 2 {
			ids := []int{few, many}[(i+round)%2]
			t.Run(fmt.Sprintf("%d %d ids", round+1, ids), func(t *testing.T) { runs[ids] = append(runs[ids], one(t, ids)) })
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	r.machine(version)
	r.say("load      %s before the first round, %s after the last (1, 5, 15 minutes)", began, load(t))
	r.say("events    %d new request.decided through the door into warehouse and lake, with so many ids known; rounds: %d", events, rounds)
	r.say("")
	cost := map[int]float64{}
	clock := map[int]float64{}
	for _, ids := range []int{few, many} {
		var took, restart, cpu, engine []time.Duration
		var peak, anonymous, mapped int64
		for _, u := range runs[ids] {
			took, restart = append(took, u.took), append(restart, u.restart)
			cpu, engine = append(cpu, u.door.cpu), append(engine, u.engine.cpu)
			peak, anonymous, mapped = max(peak, u.door.peak), max(anonymous, u.anonymous), max(mapped, u.mapped)
		}
		cost[ids], clock[ids] = float64(median(cpu)+median(engine)), float64(median(took))
		r.say("%9d ids: %s median (%s to %s), %.0f events/s; door and loader %.2f µs of processor time an event, engine %.2f µs",
			ids, seconds(median(took)), seconds(quantile(took, 0)), seconds(quantile(took, 1)), float64(events)/median(took).Seconds(),
			float64(median(cpu).Nanoseconds())/1e3/float64(events), float64(median(engine).Nanoseconds())/1e3/float64(events))
		r.say("               door and loader: resident %s at most; at the end %s of its own, %s of mapped files; serving %s after its start",
			mebibytes(peak), mebibytes(anonymous), mebibytes(mapped), seconds(median(restart)))
	}
	r.say("")
	r.say("an event costs, with %d ids to %d known: %.3f by processor time, %.3f by the clock (goal: at most 1.10)", many, few, cost[many]/cost[few], clock[many]/clock[few])
	r.say("scale/cost ratio %.3f", cost[many]/cost[few])
}

// resident is a line of the server's /proc status, in bytes.
func (s *server) residentOf(line string) int64 {
	s.t.Helper()
	var kib int64
	if _, err := fmt.Sscanf(after(s.t, fmt.Sprintf("/proc/%d/status", s.command.Process.Pid), line), "%d kB", &kib); err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

// link makes a folder of hard links to the files of another. The index never writes
// into a file that is there.
func link(t *testing.T, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatalf("%v: make bench-scale makes it", err)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range names {
		if err := os.Link(filepath.Join(from, d.Name()), filepath.Join(to, d.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
