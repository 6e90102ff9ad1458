package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t *testing.T, dir string) *stream.Conn {
	t.Helper()
	c, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func kind(t *testing.T, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Fatalf("got %v, want an error of kind %v", err, want)
	}
}

func TestMessagesSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	s, err := c.Stream(t.Context(), stream.Config{Name: "J", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		seq, err := s.Publish(t.Context(), "", fmt.Appendf(nil, "m%d", i))
		if err != nil || seq != uint64(i+1) {
			t.Fatalf("publish %d: %d, %v", i, seq, err)
		}
	}
	if seq, err := s.Publish(t.Context(), "once", []byte("m5")); err != nil || seq != 6 {
		t.Fatal(seq, err)
	}
	if seq, err := s.Publish(t.Context(), "once", []byte("m5")); err != nil || seq != 6 {
		t.Fatalf("the same id again: %d, %v", seq, err)
	}
	c.Close()

	c = open(t, dir)
	if s, err = c.Stream(t.Context(), stream.Config{Name: "J", MaxBytes: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	st, err := s.State(t.Context())
	if err != nil || st.First != 1 || st.Last != 6 || st.MaxBytes != 2<<20 {
		t.Fatalf("%+v, %v", st, err)
	}
	stop := errors.New("stop")
	next := uint64(3)
	err = s.Follow(t.Context(), 3, func(m stream.Message) error {
		if m.Seq != next || string(m.Data) != fmt.Sprintf("m%d", m.Seq-1) || time.Since(m.Time) > time.Hour {
			t.Errorf("message %d is %q of %v", m.Seq, m.Data, m.Time)
		}
		if next++; m.Seq == 6 {
			if _, err := s.Publish(t.Context(), "", []byte("m6")); err != nil {
				return err
			}
		}
		if m.Seq == 7 {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Get(t.Context(), 3); problem.KindOf(err) != problem.NotFound {
		t.Fatal(err)
	}
	m, err := s.Get(t.Context(), 7)
	if err != nil || string(m.Data) != "m6" {
		t.Fatal(m, err)
	}
	if err := s.Delete(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if st, err = s.State(t.Context()); err != nil || st.First != 8 || st.Last != 7 {
		t.Fatalf("%+v, %v", st, err)
	}
}

func TestFullStreamRefuses(t *testing.T) {
	c := open(t, t.TempDir())
	s, err := c.Stream(t.Context(), stream.Config{Name: "J", MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var full error
	stored := 0
	for range 100 {
		if _, full = s.Publish(t.Context(), "", make([]byte, 4<<10)); full != nil {
			break
		}
		stored++
	}
	kind(t, full, problem.Unavailable)
	if !strings.Contains(full.Error(), "full") {
		t.Fatal(full)
	}
	st, err := s.State(t.Context())
	if err != nil || st.Messages != uint64(stored) {
		t.Fatalf("%d stored, the stream has %+v, %v", stored, st, err)
	}
	if err := s.Purge(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(t.Context(), "", make([]byte, 4<<10)); err != nil {
		t.Fatalf("after a purge: %v", err)
	}
	_, err = s.Publish(t.Context(), "", make([]byte, 2<<20))
	kind(t, err, problem.TooLarge)
}

func TestNearlyFullDiskRefuses(t *testing.T) {
	c, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Reserve: 1 << 60, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Stream(t.Context(), stream.Config{Name: "J", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Publish(t.Context(), "", []byte("x"))
	kind(t, err, problem.Unavailable)
	if !strings.Contains(err.Error(), "disk is full") {
		t.Fatal(err)
	}
}

func TestSecondHolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	_, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: quiet})
	kind(t, err, problem.Conflict)
	if !strings.Contains(err.Error(), fmt.Sprintf("pid %d", os.Getpid())) {
		t.Fatal(err)
	}
	c.Close()
	open(t, dir)
}

func TestBucket(t *testing.T) {
	c := open(t, t.TempDir())
	b, err := c.Bucket(t.Context(), "state", "test")
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := b.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatal(keys, err)
	}
	_, _, err = b.Get(t.Context(), "a")
	kind(t, err, problem.NotFound)
	rev, err := b.Update(t.Context(), "a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Update(t.Context(), "a", []byte("2"), 0)
	kind(t, err, problem.Conflict)
	if _, err = b.Update(t.Context(), "a", []byte("2"), rev); err != nil {
		t.Fatal(err)
	}
	_, err = b.Update(t.Context(), "a", []byte("3"), rev)
	kind(t, err, problem.Conflict)
	if v, _, err := b.Get(t.Context(), "a"); err != nil || !bytes.Equal(v, []byte("2")) {
		t.Fatal(v, err)
	}
	for _, key := range []string{"b.1", "b.2", "c.1"} {
		if _, err := b.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Delete(t.Context(), "b.2"); err != nil {
		t.Fatal(err)
	}
	each := func(pattern string) (found []string) {
		if err := b.Each(t.Context(), pattern, func(key string, value []byte) error {
			found = append(found, key+"="+string(value))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if all, none, of := each(">"), each("d.*"), each("b.*"); len(all) != 3 || len(none) != 0 || len(of) != 1 || of[0] != "b.1=b.1" {
		t.Fatal(all, none, of)
	}
	if err := b.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
}

// outside runs a NATS server on a loopback port, as an operator would.
func outside(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, SyncAlways: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return srv
}

func TestOutsideServer(t *testing.T) {
	dir := t.TempDir()
	srv := outside(t, dir, -1)
	defer func() { srv.Shutdown(); srv.WaitForShutdown() }()
	url := srv.ClientURL()
	ctx := t.Context()

	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]jetstream.StreamConfig{
		"ASYNC": {PersistMode: jetstream.AsyncPersistMode, Discard: jetstream.DiscardNew},
		"OLD":   {Discard: jetstream.DiscardOld},
		"AGE":   {Discard: jetstream.DiscardNew, MaxAge: time.Hour},
		"MEM":   {Discard: jetstream.DiscardNew, Storage: jetstream.MemoryStorage},
	} {
		cfg.Name, cfg.Subjects = name, []string{"ombor." + name}
		if _, err := js.CreateStream(ctx, cfg); err != nil {
			t.Fatal(name, err)
		}
	}
	c, err := stream.Open(ctx, stream.Options{URL: url, Timeout: 2 * time.Second, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"ASYNC", "OLD", "AGE", "MEM"} {
		_, err := c.Stream(ctx, stream.Config{Name: name, MaxBytes: 1 << 20})
		kind(t, err, problem.Conflict)
	}
	if proven, why := c.Durability(); proven || !strings.Contains(why, "not proven") {
		t.Fatal(proven, why)
	}
	s, err := c.Stream(ctx, stream.Config{Name: "J", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(ctx, "", []byte("before")); err != nil {
		t.Fatal(err)
	}

	// The server goes away and comes back on its data: publishing says so, and works again.
	port := srv.Addr().String()[strings.LastIndex(srv.Addr().String(), ":")+1:]
	srv.Shutdown()
	srv.WaitForShutdown()
	_, err = s.Publish(ctx, "", []byte("away"))
	kind(t, err, problem.Unavailable)
	var p int
	fmt.Sscan(port, &p)
	srv = outside(t, dir, p)
	wait, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		seq, err := s.Publish(wait, "", []byte("after"))
		if err == nil {
			if seq != 2 {
				t.Fatalf("sequence %d after the server came back", seq)
			}
			return
		}
		if wait.Err() != nil {
			t.Fatalf("does not come back: %v", err)
		}
	}
}

// A write that the disk refuses is not acknowledged; when the disk takes writes again the
// server comes back by itself with everything that was acknowledged. The limit on file
// sizes stands for a disk that is full: JetStream treats every failed write alike.
func TestFailedWriteIsOvercome(t *testing.T) {
	c, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Timeout: 2 * time.Second, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Stream(t.Context(), stream.Config{Name: "J", MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 3 << 20, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	acknowledged := uint64(0)
	for {
		seq, err := s.Publish(t.Context(), "", make([]byte, 256<<10))
		if err != nil {
			kind(t, err, problem.Unavailable)
			break
		}
		if acknowledged = seq; seq > 100 {
			t.Fatal("no write failed")
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seq := uint64(0)
	for seq, err = s.Publish(ctx, "", []byte("after")); err != nil; seq, err = s.Publish(ctx, "", []byte("after")) {
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		kind(t, err, problem.Unavailable)
	}
	if seq <= acknowledged {
		t.Fatalf("sequence %d again after %d was acknowledged", seq, acknowledged)
	}
	for n := uint64(1); n <= acknowledged; n++ {
		if m, err := s.Get(ctx, n); err != nil || len(m.Data) != 256<<10 {
			t.Fatalf("message %d was acknowledged: %v", n, err)
		}
	}
}
