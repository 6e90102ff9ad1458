//go:build endtoend

package main_test

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

// earlierDoor is a door on a machine whose clock is behind: what it takes was received then.
// It is on the journal of a NATS server, with the keys and the pack of others there, and
// must be used before any other, since days of receipt never go back.
func earlierDoor(t *testing.T, nats, keysFile, packDir string, behind time.Duration) (url string, closeIt func()) {
	t.Helper()
	then := func() time.Time { return time.Now().Add(-behind) }
	folder, err := pack.Open(packDir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(folder, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(keysFile)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	conn, err := stream.Open(t.Context(), stream.Options{URL: nats, Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(t.Context(), conn, journal.Options{Contracts: p.Set, Now: then, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	door, err := ingest.New(ingest.Config{Checker: contract.NewChecker(p.Set, keys, contract.Limits{}), Journal: j, SigningKey: keys.Derive("receipts"), Now: then, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /v1/events", door.Events())
	server := httptest.NewServer(mux)
	return server.URL, func() {
		server.Close()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// wave invents events and sends them to a door, with repetitions and conflicts among them.
func (s *sender) wave(door string, requests int) {
	s.t.Helper()
	for range requests {
		s.invent()
		events := slices.Clone(s.backlog)
		s.rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		events = s.repeat(events)
		if !s.post(door, events) {
			s.t.Fatal("a request was not acknowledged")
		}
		s.settle(events)
	}
}

// TestEverythingTwiceWeeksLater sends everything, and five weeks later everything again in another
// order, corrections before their roots included, when the index has long been written to
// segments; once more after a kill, and once more when the index was lost. Every event counts
// once; what was known four weeks ago is still told as it was.
func TestEverythingTwiceWeeksLater(t *testing.T) {
	const weeks = 7 * 24 * time.Hour
	seed := setting(t, "SEED", 11)
	nats := natstest.Start(t)
	packDir, keys := files(t, crashPack), filepath.Join(t.TempDir(), "keys.json")
	door, closeDoor := earlierDoor(t, nats.URL(), keys, packDir, 5*weeks)
	c := newCrashed(t, "--pack", packDir, "--keys", keys, "--journal", nats.URL(), "--index-recent", "300")
	f := newTraffic(t, c.url, seed)
	s := &sender{traffic: f, rng: rand.New(rand.NewPCG(seed, 1)), name: "till-0"}
	s.wave(door, 4)
	closeDoor()
	then := f.standing()
	c.up(c.begin())
	for range 3 { // segments come between plans
		s.wave(c.url, 2)
		c.settled(t)
	}
	if segments, err := filepath.Glob(filepath.Join(c.data, "loader", "index", "seg-*.idx")); err != nil || len(segments) < 2 {
		t.Fatalf("the index has %d segments: %v", len(segments), err)
	}
	again := func() {
		t.Helper()
		var all []*revision
		for _, e := range f.acked {
			if !e.changes { // an older edition would be a change back
				all = append(all, e)
			}
		}
		s.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for events := range slices.Chunk(all, 400) {
			if !f.post(c.url, events) {
				t.Fatal("a request was not acknowledged")
			}
		}
	}
	again()
	c.kill(c.pids()...)
	<-c.exited
	c.up(c.begin())
	again()
	c.settled(t)
	c.kill(c.pids()...)
	<-c.exited
	if err := os.RemoveAll(filepath.Join(c.data, "loader")); err != nil {
		t.Fatal(err)
	}
	c.up(c.begin())
	again()
	f.total(&c.server, filepath.Join(c.data, "lake"))
	c.verify(0)

	// Figures of both moments, quantiles after corrections in any order among them.
	first, err := time.Parse(time.DateOnly, crashFrom)
	if err != nil {
		t.Fatal(err)
	}
	period := []string{"--from", crashFrom, "--to", first.AddDate(0, 0, crashDays).Format(time.DateOnly)}
	for _, moment := range []struct {
		name     string
		standing map[string]map[string]bool
		flags    []string
	}{
		{"now", f.standing(), nil},
		{"known four weeks ago", then, []string{"--known-on", time.Now().Add(-4 * weeks).Format(time.DateOnly)}},
		{"known six weeks ago", nil, []string{"--known-on", time.Now().Add(-6 * weeks).Format(time.DateOnly)}},
	} {
		var amounts []int
		for row := range moment.standing["sale"] {
			var number, good string
			var edition, amount int
			if _, err := fmt.Sscan(row, &number, &edition, &good, &amount); err != nil {
				t.Fatal(row, err)
			}
			amounts = append(amounts, amount)
		}
		slices.Sort(amounts)
		count, sum, middle := float64(len(amounts)), 0., 0.
		for _, a := range amounts {
			sum += float64(a)
		}
		if len(amounts) > 0 {
			middle = float64(amounts[(len(amounts)-1)/2])
		}
		flags := append(slices.Clone(period), moment.flags...)
		for id, want := range map[string]float64{"sales": count, "sale-amount": sum, "sale-median": middle} {
			got, _ := figure(c.kpi(id, flags...)[0]["value"])
			if off := math.Abs(got - want); id != "sale-median" && off != 0 || off > 2+0.02*want { // buckets are 2 % wide
				t.Errorf("%s, %s: %v, want %v", moment.name, id, got, want)
			}
		}
	}
}
