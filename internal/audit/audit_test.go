package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/internal/audit"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

var key = []byte("a key of thirty-two bytes or more")

func server(t *testing.T) *stream.Conn {
	t.Helper()
	c, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func open(t *testing.T, c *stream.Conn, options audit.Options) *audit.Log {
	t.Helper()
	if options.Key == nil {
		options.Key = key
	}
	l, err := audit.Open(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func record(t *testing.T, l *audit.Log, e audit.Entry) uint64 {
	t.Helper()
	n, err := l.Record(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Two processes on one journal write one chain without gaps; whoever was told a number finds
// his entry under it.
func TestOneChainOfManyWriters(t *testing.T) {
	c := server(t)
	logs := []*audit.Log{open(t, c, audit.Options{}), open(t, c, audit.Options{})}
	const writers, each = 16, 25
	var mu sync.Mutex
	told := map[uint64]string{}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				object := fmt.Sprintf("writer %d, entry %d", w, i)
				n, err := logs[w%2].Record(t.Context(), audit.Entry{Who: fmt.Sprintf("key:%d", w), Action: "test", Object: object, Allowed: w%4 > 0})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				told[n] = object
				mu.Unlock()
			}
		})
	}
	group.Wait()
	report, err := logs[0].Verify(t.Context(), logs[0].Head(), logs[1].Head())
	if err != nil || len(report.Faults) > 0 || report.Entries != writers*each {
		t.Fatalf("%+v, %v", report, err)
	}
	entries, err := logs[1].Read(t.Context(), audit.Filter{Limit: 10_000})
	if err != nil || len(entries) != writers*each {
		t.Fatal(len(entries), err)
	}
	for i, e := range entries {
		if want := uint64(writers*each - i); e.Number != want || told[e.Number] != e.Object {
			t.Fatalf("entry %d is %+v; told was %q", want, e, told[want])
		}
	}
	if denied, err := logs[0].Read(t.Context(), audit.Filter{Denied: true, Limit: 10_000}); err != nil || len(denied) != writers/4*each {
		t.Fatal(len(denied), err)
	}
	if of, err := logs[0].Read(t.Context(), audit.Filter{Who: "key:3", Text: "ENTRY 2", Before: 1 << 40}); err != nil || len(of) != 1+5 {
		t.Fatal(len(of), err)
	}
}

func TestGoesOnAfterRestart(t *testing.T) {
	dir, head := t.TempDir(), filepath.Join(t.TempDir(), "audit.head")
	for round := range 3 {
		c, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := audit.Open(t.Context(), c, audit.Options{Key: key, Head: head})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if n := record(t, l, audit.Entry{Who: "operator", Action: "test"}); n != uint64(3*round+i+1) {
				t.Fatal(round, i, n)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		kept, err := audit.KeptHead(head)
		if err != nil || kept != l.Head() || kept.Number != uint64(3*round+3) {
			t.Fatal(kept, l.Head(), err)
		}
		if _, err := l.Record(t.Context(), audit.Entry{}); problem.KindOf(err) != problem.Unavailable {
			t.Fatal(err)
		}
		c.Close()
	}
}

// What an attacker who can write the stream, but has no key, can do to it is told.
func TestTampering(t *testing.T) {
	c := server(t)
	l := open(t, c, audit.Options{})
	var lines [][]byte
	for i := range 9 {
		record(t, l, audit.Entry{Who: "key:1", Action: "sql", Object: fmt.Sprintf("SELECT %d", i), Allowed: true})
	}
	s, err := c.Stream(t.Context(), stream.Config{Name: "AUDIT", MaxBytes: 1 << 30, Grows: true})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(9) {
		m, err := s.Get(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m.Data)
	}
	head := l.Head()
	for _, attack := range []struct {
		name string
		do   func([][]byte) [][]byte
		want string // "" for none
	}{
		{"none", func(l [][]byte) [][]byte { return l }, ""},
		{"changed", func(l [][]byte) [][]byte {
			l[4] = []byte(strings.Replace(string(l[4]), "SELECT 4", "SELECT 7", 1))
			return l
		}, "entry 5 is not what was written"},
		{"removed", func(l [][]byte) [][]byte { return append(l[:4:4], l[5:]...) }, "entry 5 is missing"},
		{"reordered", func(l [][]byte) [][]byte { l[4], l[5] = l[5], l[4]; return l }, "entry 5 is missing: entry 6 stands in its place"},
		{"doubled", func(l [][]byte) [][]byte { return append(l[:5:5], l[4:]...) }, "entry 6 is missing: entry 5"},
		{"first removed", func(l [][]byte) [][]byte { return l[1:] }, "entry 1 is missing"},
		{"end cut off", func(l [][]byte) [][]byte { return l[:7] }, "entry 8 and all after it are missing"},
		{"unreadable", func(l [][]byte) [][]byte { l[4] = []byte("nothing\n"); return l }, "entry 5 cannot be read"},
		{"renumbered", func(l [][]byte) [][]byte {
			l = append(l[:4:4], l[5:]...)
			for i := 4; i < len(l); i++ {
				l[i] = []byte(strings.Replace(string(l[i]), fmt.Sprintf(`"number":%d`, i+2), fmt.Sprintf(`"number":%d`, i+1), 1))
			}
			return l
		}, "entry 5 is not what was written"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			var copied [][]byte
			for _, line := range lines {
				copied = append(copied, append([]byte(nil), line...))
			}
			other := server(t)
			forged, err := other.Stream(t.Context(), stream.Config{Name: "AUDIT", MaxBytes: 1 << 30, Grows: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range attack.do(copied) {
				if _, err := forged.Publish(t.Context(), "", line); err != nil {
					t.Fatal(err)
				}
			}
			report, err := open(t, other, audit.Options{}).Verify(t.Context(), head)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(report.Faults, "\n")
			if (attack.want == "") != (all == "") || !strings.Contains(all, attack.want) {
				t.Fatalf("want %q, got %q", attack.want, all)
			}
		})
	}
	t.Run("message deleted", func(t *testing.T) {
		if err := s.Delete(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		report, err := l.Verify(t.Context())
		if err != nil || len(report.Faults) == 0 || !strings.Contains(report.Faults[0], "entry 3") {
			t.Fatal(report, err)
		}
	})
	t.Run("another key", func(t *testing.T) {
		report, err := open(t, c, audit.Options{Key: []byte("another key of thirty-two bytes…")}).Verify(t.Context())
		if err != nil || len(report.Faults) == 0 {
			t.Fatal(report, err)
		}
	})
}

// No run of digits that could be a person's reaches the disk.
func TestIdentifiersStayOut(t *testing.T) {
	dir := t.TempDir()
	c, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, c, audit.Options{})
	record(t, l, audit.Entry{Who: "key:1", Action: "sql", Object: "SELECT * FROM t WHERE p = '31205851234567' AND d > '2024-01-31 10:00:00'", Why: "phone 998901234567"})
	entries, err := l.Read(t.Context(), audit.Filter{})
	if err != nil || !strings.Contains(entries[0].Object, "'‹14 digits›' AND d > '2024-01-31 10:00:00'") {
		t.Fatal(entries, err)
	}
	l.Close()
	c.Close()
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		for _, raw := range []string{"31205851234567", "998901234567"} {
			if strings.Contains(string(data), raw) {
				t.Errorf("%s holds %s", name, raw)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Without its log nothing may be done.
func TestServerAway(t *testing.T) {
	c := server(t)
	l := open(t, c, audit.Options{})
	c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := l.Record(ctx, audit.Entry{Who: "nobody", Action: "test"}); err == nil {
		t.Fatal("recorded without a server")
	}
}

// Old entries are removed, young ones are not; what is left is whole, what was noted of what went still
// holds, and nobody who cannot make the entry can remove more.
func TestRetire(t *testing.T) {
	c := server(t)
	now := time.Now()
	l := open(t, c, audit.Options{Now: func() time.Time { return now }})
	var heads []audit.Head
	enough := func(n int) bool { // the last but one looks as if it held somebody's identifier
		return n >= 6 && regexp.MustCompile(`\d{9}`).MatchString(heads[n-2].Code.String())
	}
	for i := 0; !enough(i); i++ {
		record(t, l, audit.Entry{Who: "key:1", Action: "sql", Object: fmt.Sprintf("SELECT %d", i), Allowed: true})
		heads = append(heads, l.Head())
	}
	n := len(heads)
	who := audit.Entry{Who: "operator:machine", Role: "operator"}
	if _, err := l.Retire(t.Context(), now.Add(-time.Hour), who); problem.KindOf(err) != problem.BadInput {
		t.Errorf("within a year: %v", err)
	}
	if r, err := l.Retire(t.Context(), now.Add(-2*audit.LeastKept), who); err != nil || r.Entries != 0 {
		t.Errorf("nothing is so old: %+v, %v", r, err)
	}
	now = now.Add(2 * audit.LeastKept) // all but what comes now is old
	r, err := l.Retire(t.Context(), now.Add(-audit.LeastKept), who)
	if err != nil || r.Entries != uint64(n-1) || r.Last != heads[n-2] { // the newest message stays
		t.Fatalf("%+v, %v; want %d up to %v", r, err, n-1, heads[n-2])
	}
	verify := func(what string, faults int, noted ...audit.Head) {
		t.Helper()
		if report, err := l.Verify(t.Context(), noted...); err != nil || (len(report.Faults) > 0) != (faults > 0) {
			t.Errorf("%s: %+v, %v", what, report, err)
		}
	}
	verify("shortened", 0, l.Head(), heads[n-2], heads[n-1])
	verify("shortened, with another head noted", 1, audit.Head{Number: uint64(n - 1)})
	entries, err := l.Read(t.Context(), audit.Filter{})
	if err != nil || len(entries) != 2 || entries[0].Who != "operator:machine" || entries[1].Object != fmt.Sprintf("SELECT %d", n-1) {
		t.Errorf("%+v, %v", entries, err)
	}
	record(t, l, audit.Entry{Who: "key:1", Action: "sql", Object: "SELECT more"})
	verify("going on", 0)
	other := open(t, c, audit.Options{})
	record(t, other, audit.Entry{Who: "key:2", Action: "sql", Object: "SELECT again"})
	verify("opened again", 0, other.Head())
	s, err := c.Stream(t.Context(), stream.Config{Name: "AUDIT", MaxBytes: 1 << 30, Grows: true})
	if err != nil {
		t.Fatal(err)
	}
	state, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), state.First+1); err != nil {
		t.Fatal(err)
	}
	verify("somebody removed one more", 1)
}

// TestKeptHead: a log whose end was cut off, or written anew, while nobody had it open goes on, and tells of
// it until somebody gives up what is lost; other servers of the journal, whose heads are older, do not.
func TestKeptHead(t *testing.T) {
	c := server(t)
	dir := t.TempDir()
	file := func(name string, h audit.Head) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(h.String()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	l := open(t, c, audit.Options{})
	heads := []audit.Head{{}}
	for i := range 9 {
		record(t, l, audit.Entry{Who: "key:1", Action: "sql", Object: fmt.Sprintf("SELECT %d", i), Allowed: true})
		heads = append(heads, l.Head())
	}
	for _, h := range heads {
		other := open(t, c, audit.Options{Head: file("whole.head", h)})
		if report, err := other.Verify(t.Context()); err != nil || other.Fault() != "" || len(report.Faults) > 0 {
			t.Errorf("kept %s: %q, %+v, %v", h, other.Fault(), report, err)
		}
		other.Close()
	}
	s, err := c.Stream(t.Context(), stream.Config{Name: "AUDIT", MaxBytes: 1 << 30, Grows: true})
	if err != nil {
		t.Fatal(err)
	}
	short := server(t)
	forged, err := short.Stream(t.Context(), stream.Config{Name: "AUDIT", MaxBytes: 1 << 30, Grows: true})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(2) {
		m, err := s.Get(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forged.Publish(t.Context(), "", m.Data); err != nil {
			t.Fatal(err)
		}
	}
	head := file("audit.head", heads[5])
	told := func(when string, l *audit.Log, want bool) {
		t.Helper()
		report, err := l.Verify(t.Context())
		if err != nil || (l.Fault() != "") != want || (len(report.Faults) > 0) != want {
			t.Errorf("%s: %q, %+v, %v", when, l.Fault(), report, err)
		}
	}
	for round := range 2 { // the second has as many entries as before, and others
		again := open(t, short, audit.Options{Head: head})
		told(fmt.Sprint("opened, round ", round), again, true)
		for range 4 {
			record(t, again, audit.Entry{Who: "key:2", Action: "sql"})
		}
		told(fmt.Sprint("went on, round ", round), again, true)
		again.Close()
		if kept, err := audit.KeptHead(head); err != nil || kept != heads[5] {
			t.Fatalf("round %d: the evidence is gone: %v, %v", round, kept, err)
		}
	}
	again := open(t, short, audit.Options{Head: head})
	if err := os.Remove(head); err != nil {
		t.Fatal(err)
	}
	told("given up", again, false)
	record(t, again, audit.Entry{Who: "key:2", Action: "sql"})
	again.Close()
	if kept, err := audit.KeptHead(head); err != nil || kept != again.Head() {
		t.Errorf("kept %v, %v", kept, err)
	}
	if err := os.WriteFile(head, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	told("a file that says nothing", open(t, short, audit.Options{Head: head}), true)
}
