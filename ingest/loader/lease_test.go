package loader

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/objects"
	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/lake"
	"ombor/warehouse/warehousetest"
)

// newShared is a world whose journal is a NATS server that others reach, too.
func newShared(t *testing.T) (*world, *natstest.Server) {
	t.Helper()
	w, nats := newWorld(t, ""), natstest.Start(t)
	w.close()
	w.url = nats.URL()
	w.open()
	return w, nats
}

// beside is another machine of the same installation: another folder, the same journal,
// warehouse and lake.
func (w *world) beside() *world {
	other := &world{t: w.t, dir: w.t.TempDir(), place: w.place, url: w.url, prefix: w.prefix, set: w.set, checker: w.checker, log: w.log, lease: w.lease,
		wh: warehousetest.Reopen(w.t, w.prefix, w.set, testKPIs(w.t))}
	other.open()
	w.t.Cleanup(other.close)
	return other
}

// role waits until the loader has a role.
func (w *world) role(want string) {
	w.t.Helper()
	end := time.After(60 * time.Second)
	for {
		w.loader.mu.Lock()
		changed, role := w.loader.changed, w.loader.role
		w.loader.mu.Unlock()
		if role == want {
			return
		}
		select {
		case <-changed:
		case <-end:
			w.t.Fatalf("the loader is not %s but %s: %+v", want, role, w.loader.Status())
		}
	}
}

// A standby knows what was loaded, takes over at once when the other one ends, and decides as the
// other would have. The one that comes back stands by.
func TestStandby(t *testing.T) {
	w, _ := newShared(t)
	first := w.start()
	w.role(Active)
	r := w.send(event("a", "", root), event("b", "", root), session("a"))
	w.wait(r.Last.Seq)

	other := w.beside()
	other.start()
	other.role(Standby)
	other.wait(r.Last.Seq) // as the ledger says
	if got := other.outcome(r); got != "3 accepted 0 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if s := other.loader.Status(); s.Holder != first.lease.me || s.Epoch != 1 {
		t.Errorf("%+v", s)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	other.role(Active)
	r = w.send(event("a", "", root), event("b1", `,"corrects":"b","revision":1`, `{"service":"s1","fee":2}`), event("c", "", root))
	other.wait(r.Last.Seq)
	if got := other.outcome(r); got != "2 accepted 1 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	w.start()
	w.role(Standby)
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}
	w.role(Active)
	r = w.send(event("c", "", root), event("d", "", root))
	w.wait(r.Last.Seq)
	if got := w.outcome(r); got != "1 accepted 1 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := w.check(); len(got) != 4 {
		t.Error(got)
	}
	if s := w.loader.Status(); s.Epoch != 3 || s.Repaired != 0 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}

// The journal's server is away for longer than the lease: nothing is written meanwhile, nobody
// can take over, and the same loader goes on.
func TestLeaseWhileTheJournalIsAway(t *testing.T) {
	w, nats := newShared(t)
	w.lease = 500 * time.Millisecond
	w.start()
	w.wait(w.send(event("a", "", root)).Last.Seq)
	nats.Stop()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if held, err := w.loader.lease.held(); err != nil {
			t.Fatal(err)
		} else if !held {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the lease never ends")
		}
	}
	nats.Up()
	for end := time.Now().Add(time.Minute); !w.conn.Connected(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the journal's server is not found again")
		}
	}
	r := w.send(event("b", "", root))
	w.wait(r.Last.Seq)
	if got := w.check(); len(got) != 2 {
		t.Error(got)
	}
}

// frozen runs a loader that stops itself (SIGSTOP) in the step of its second plan. The
// specification is socket, prefix, folder, lake, journal's URL, step, lease.
func frozen(spec string) {
	f := strings.Split(spec, "|")
	t := &fatalT{}
	ctx := context.Background()
	set := testSet(t)
	ttl, err := time.ParseDuration(f[6])
	t.must(err)
	wh, err := warehouse.Open(ctx, warehouse.Config{Socket: f[0], Shared: true, Prefix: f[1]}, set, testKPIs(t))
	t.must(err)
	t.must(wh.Migrate(ctx))
	conn, err := stream.Open(ctx, stream.Options{URL: f[4], Logger: quiet})
	t.must(err)
	j, err := journal.Open(ctx, conn, journal.Options{Contracts: set, Logger: quiet})
	t.must(err)
	store, err := objects.Open(ctx, f[3])
	t.must(err)
	passed := 0
	failpoint = func(step string) {
		if step != f[5] {
			return
		}
		if passed++; passed == 2 {
			fmt.Println("frozen")
			syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		}
	}
	l, err := New(Config{Journal: j, Warehouse: wh, Lake: lake.Open(store), Set: set, Dir: f[2], Interval: time.Millisecond, MaxRows: 2, Lease: ttl, Logger: quiet})
	t.must(err)
	go func() {
		if err := l.Run(ctx); err != nil {
			fmt.Println("run:", err)
			os.Exit(3)
		}
	}()
	for last := ""; ; {
		l.mu.Lock()
		changed, role := l.changed, l.role
		l.mu.Unlock()
		if role != last {
			fmt.Println(role)
			last = role
		}
		<-changed
	}
}

// freeze sends a world some plans and starts another loader on it, which stops itself the second
// time it comes to a step. hear waits for a line that it says.
func freeze(t *testing.T, w *world, step string, ttl time.Duration) (last journal.Range, wake func(), hear func(want string)) {
	t.Helper()
	fee := func(n int) string { return fmt.Sprintf(`{"service":"s%d","fee":%d}`, n%3, n) }
	for i := range 6 {
		a, b := fmt.Sprint("a", i), fmt.Sprint("a", i-1)
		events := []string{event(a, "", fee(i)), session(a)}
		if i > 0 {
			events = append(events, event(b, "", fee(i-1)), event(b+"-1", fmt.Sprintf(`,"corrects":%q,"revision":1`, b), fee(i+1000)))
		}
		last = w.send(events...)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("OMBOR_LOADER_FROZEN=%s|%s|%s|%s|%s|%s|%s", enginetest.Shared(t).Socket(), w.prefix, filepath.Join(t.TempDir(), "loader"), w.place, w.url, step, ttl))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) // the kill is its result
	says := bufio.NewScanner(out)
	hear = func(want string) {
		t.Helper()
		for said := ""; said != want; {
			if !says.Scan() {
				t.Fatalf("the other loader ended before it was %s; its last word was %q", want, said)
			}
			said = says.Text()
		}
	}
	hear("frozen")
	return last, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}, hear
}

// A loader that is frozen in the middle of any step, and wakes when another has taken
// over, changes nothing: first one that looks at its lease, then one that believes it holds it
// still, whose statements are under way.
func TestFrozenLoaderChangesNothing(t *testing.T) {
	for _, ttl := range []time.Duration{time.Second, time.Hour} {
		for _, step := range steps {
			t.Run(fmt.Sprint(ttl, " ", step), func(t *testing.T) {
				t.Parallel()
				w, _ := newShared(t)
				w.lease = time.Second
				last, wake, hear := freeze(t, w, step, ttl)
				w.start()
				w.role(Active)
				w.wait(last.Last.Seq)
				wake()
				more := w.send(event("late", "", root), event("a5", "", `{"service":"s2","fee":5}`))
				w.wait(more.Last.Seq)
				w.send(event("later", "", root)) // one that looks at its lease may have noticed before
				hear(Standby)
				final := w.send(event("last", "", root))
				w.wait(final.Last.Seq)
				if got := w.check(); len(got) != 9 {
					t.Errorf("%d current events, want 9", len(got))
				}
				if s := w.loader.Status(); s.Role != Active || s.Repaired != 0 || s.Trouble != "" {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// A loader that wakes finds the facts not as it left them, and would put them right. But the
// batch that its ledger does not know is one that the new loader is just carrying out.
func TestFrozenLoaderRepairsNothing(t *testing.T) {
	w, _ := newShared(t)
	w.lease = time.Second
	last, wake, hear := freeze(t, w, "begun", time.Hour)
	reached, release := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(release) })
	t.Cleanup(goOn)
	var stop sync.Once
	var loaded atomic.Bool
	failpoint = func(step string) {
		if step == "held" && loaded.Load() {
			stop.Do(func() { close(reached); <-release })
		}
	}
	w.start()
	w.role(Active)
	w.wait(last.Last.Seq)
	loaded.Store(true)
	late := w.send(event("late", "", root))
	<-reached
	wake()
	hear(Standby)
	goOn()
	w.wait(late.Last.Seq)
	final := w.send(event("last", "", root))
	w.wait(final.Last.Seq)
	if got := w.check(); len(got) != 8 {
		t.Errorf("%d current events, want 8", len(got))
	}
	if s := w.loader.Status(); s.Role != Active || s.Repaired != 0 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	failpoint = func(string) {}
}

// Rows that no plan knows, and rows of a plan that came twice, are found before the next
// insert, undone and told.
func TestForeignRowsAreUndone(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.wait(w.send(event("a", "", root), event("b", "", root)).Last.Seq)
	// The same rows once more, as of an insert whose token was forgotten; and others.
	table := w.prefix + "facts.request_decided_v1"
	enginetest.Shared(t).Exec(t, "INSERT INTO "+table+" SELECT * FROM "+table+" SETTINGS insert_deduplicate = 0, async_insert = 0")
	enginetest.Shared(t).Exec(t, "INSERT INTO "+table+" SELECT * REPLACE (_batch + 100 AS _batch, _seq + 104857600 AS _seq) FROM "+table+" LIMIT 1 SETTINGS insert_deduplicate = 0, async_insert = 0")
	w.wait(w.send(event("c", "", root)).Last.Seq)
	if got := w.check(); len(got) != 3 {
		t.Error(got)
	}
	if s := w.loader.Status(); s.Repaired != 2 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
	// At a take-over, too.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	enginetest.Shared(t).Exec(t, "INSERT INTO "+table+" SELECT * REPLACE (_batch + 100 AS _batch, _seq + 104857600 AS _seq) FROM "+table+" LIMIT 1 SETTINGS insert_deduplicate = 0, async_insert = 0")
	enginetest.Shared(t).Exec(t, "ALTER TABLE "+table+" DELETE WHERE _batch = 2 SETTINGS mutations_sync = 2")
	w.start()
	w.wait(w.send(event("d", "", root)).Last.Seq)
	if got := w.check(); len(got) != 4 {
		t.Error(got)
	}
	if s := w.loader.Status(); s.Repaired != 2 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
}
