//go:build endtoend

package main_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

// TestPartsFullJournal fills the journal of an outside NATS server while events are sent: its
// stream reaches the limit that the operator gave it, and gets room by a higher limit and
// by a purge of what is loaded; and the disk of the server is full. Meanwhile doors answer
// 503 with Retry-After and status says so; then they go on by themselves, and every
// acknowledged event is there once.
func TestPartsFullJournal(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "nats")
	tmpfs(t, disk, "256m")
	server := natstest.StartIn(t, filepath.Join(disk, "data"), "1TB")
	s := serve(t, t.TempDir(), "--pack", files(t, crashPack), "--journal", server.URL())
	f := newTraffic(t, s.url, setting(t, "SEED", 13))

	// What an operator does with the command nats.
	conn, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := js.Stream(t.Context(), "JOURNAL")
	if err != nil {
		t.Fatal(err)
	}
	whole := journal.CachedInfo().Config
	limit := func(bytes int64) {
		limited := whole
		limited.MaxBytes = bytes
		if _, err := js.UpdateStream(context.Background(), limited); err != nil {
			t.Fatal(err)
		}
	}
	held := func() int64 {
		info, err := journal.Info(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return int64(info.State.Bytes)
	}
	fill, free := filler(t, disk)

	quiet := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 3 {
		senders.Go(func() { f.run(n, quiet, 20) })
	}
	t.Cleanup(senders.Wait)
	f.under(s, []fault{
		{name: "journal: at its limit", begin: func() { limit(held() + 100<<10) }, end: func() { limit(whole.MaxBytes) }, words: "journal is full", refuses: true},
		{name: "journal: at its limit, purged", begin: func() {
			for held() < 2<<20 { // so that purging makes room for a while
				time.Sleep(50 * time.Millisecond)
			}
			limit(held() + 100<<10)
		}, end: func() {
			var st statusOf
			if err := s.getJSON("/v1/status", &st); err != nil {
				t.Fatal(err)
			}
			if err := journal.Purge(context.Background(), jetstream.WithPurgeSequence(st.Loaded+1)); err != nil {
				t.Fatal(err)
			}
		}, words: "journal is full", refuses: true},
		{name: "journal: full disk", begin: func() { limit(whole.MaxBytes); fill() }, end: func() { free(); server.Stop(); server.Up() }, words: "journal", refuses: true},
	})
	close(quiet)
	senders.Wait()
	f.total(s, filepath.Join(s.data, "lake"))
	s.stop()
	f.quarantined(stream.Options{URL: server.URL()})
	t.Logf("%d requests acknowledged, %d refused, %d without answer; %d events and revisions", f.answered.Load(), f.refused.Load(), f.failed.Load(), f.revisions)
}
