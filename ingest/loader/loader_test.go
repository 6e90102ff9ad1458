package loader

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/cespare/xxhash/v2"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/objects"
	"ombor/internal/objects/miniotest"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/stream"
	"ombor/warehouse"
	"ombor/warehouse/engine"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/lake"
	"ombor/warehouse/warehousetest"
)

var quiet = slog.New(slog.DiscardHandler)

func decided() *contract.Contract {
	return &contract.Contract{
		Type: "test.request.decided.v1", Name: "request.decided", Major: 1, Source: "portal", File: "decided.yaml",
		Fields: []contract.Field{
			{Name: "service", Type: contract.Code, Required: true},
			{Name: "outcome", Type: contract.Enum, Values: []string{"granted", "refused"}},
			{Name: "applicant", Type: contract.Person, Class: contract.Personal, ID: "pinfl"},
			{Name: "submitted", Type: contract.Timestamp},
			{Name: "due", Type: contract.Date},
			{Name: "took", Type: contract.Duration},
			{Name: "fee", Type: contract.Decimal, Scale: 2},
			{Name: "online", Type: contract.Boolean},
			{Name: "weight", Type: contract.Number},
			{Name: "note", Type: contract.Text},
		},
	}
}

func testSet(t testing.TB) *contract.Set {
	t.Helper()
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{decided(), {
		Type: "test.usage.session.v1", Name: "usage.session", Major: 1, Source: "portal", File: "session.yaml",
		Fields: []contract.Field{{Name: "page", Type: contract.Code, Required: true}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func testKPIs(t testing.TB) []*kpi.KPI {
	t.Helper()
	fees, err := kpi.ParseFormula("sum(fee)")
	if err != nil {
		t.Fatal(err)
	}
	open := reference.Span{From: reference.NoDay, To: reference.NoDay}
	return []*kpi.KPI{
		{ID: "fees", Unit: kpi.Count, File: "fees.yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request.decided"},
			Valid: open, Numerator: fees, Rollups: [][]string{{"service"}}}}},
		{ID: "took", Unit: kpi.Hours, File: "took.yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request.decided"},
			Valid: open, Distribution: &kpi.Distribution{Of: "took", Quantiles: []float64{0.5}}, Rollups: [][]string{{"service"}}}}},
	}
}

// world is one data folder with everything real: journal, engine, lake.
type world struct {
	t       testing.TB
	dir     string
	place   string // of the lake
	url     string // of the journal's server; "" is embedded under dir
	lease   time.Duration
	log     *slog.Logger
	prefix  string
	set     *contract.Set
	checker *contract.Checker
	keys    *contract.Keys
	names   [][16]byte // of applicants, by the first keys
	wh      *warehouse.Warehouse
	store   objects.Store
	timeout time.Duration    // of a request to the journal's server; 0 is its own
	entries int              // of the quarantine; 0 is its own
	now     func() time.Time // of the journal; nil is its own
	conn    *stream.Conn
	journal *journal.Journal
	loader  *Loader
	stop    func() error // ends the loader's Run
}

func newWorld(t testing.TB, place string) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), prefix: warehousetest.Prefix(), set: testSet(t), log: quiet}
	if w.place = place; place == "" {
		w.place = filepath.Join(w.dir, "lake")
	}
	keys, err := contract.OpenKeys(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	w.keys, w.checker = keys, contract.NewChecker(w.set, keys, contract.Limits{})
	w.wh = warehousetest.Reopen(t, w.prefix, w.set, testKPIs(t))
	t.Cleanup(func() {
		w.close()
		for _, database := range []string{"facts", "rollups", "meta"} {
			enginetest.Shared(t).Exec(t, "DROP DATABASE IF EXISTS "+w.prefix+database+" SYNC")
		}
	})
	w.open()
	return w
}

// open opens journal and lake.
func (w *world) open() {
	w.t.Helper()
	options := stream.Options{URL: w.url, Timeout: w.timeout, Logger: quiet}
	if w.url == "" {
		options.Dir = filepath.Join(w.dir, "nats")
	}
	var err error
	if w.conn, err = stream.Open(context.Background(), options); err != nil {
		w.t.Fatal(err)
	}
	if w.journal, err = journal.Open(context.Background(), w.conn, journal.Options{Contracts: w.set, MaxEntries: w.entries, Now: w.now, Logger: quiet}); err != nil {
		w.t.Fatal(err)
	}
	if w.store, err = objects.Open(context.Background(), w.place); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) config() Config {
	return Config{Journal: w.journal, Warehouse: w.wh, Lake: lake.Open(w.store), Set: w.set, Keys: w.keys, Dir: filepath.Join(w.dir, "loader"),
		Interval: 10 * time.Millisecond, Lease: w.lease, Logger: w.log}
}

// start runs a loader.
func (w *world) start() *Loader {
	w.t.Helper()
	l, err := New(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	w.loader = l
	w.stop = func() error {
		cancel()
		err := <-ended
		w.loader, w.stop = nil, nil
		if cerr := l.Close(); err == nil {
			err = cerr
		}
		return err
	}
	return l
}

func (w *world) close() {
	if w.stop != nil {
		w.stop() // its error was the test's to look at
	}
	if w.journal != nil {
		w.journal.Close()
		w.conn.Close()
		w.journal = nil
	}
}

func event(id, extra, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"portal","type":"test.request.decided.v1","time":"2024-05-01T10:00:00Z"%s,"data":%s}`, id, extra, data)
}

const root = `{"service":"s1","outcome":"granted","applicant":"12345678901234","submitted":"2024-04-30T10:00:00.123Z","due":"2024-05-09","took":3600000,"fee":10.25,"online":true,"weight":1.5,"note":"oʻ'\\\n"}`

// send accepts events as one request.
func (w *world) send(events ...string) journal.Range {
	w.t.Helper()
	b := w.checker.NewBatch()
	for i, e := range events {
		if r := b.Add(i, []byte(e)); r != nil {
			w.t.Fatalf("%v\n%s", r, e)
		}
	}
	r, err := w.journal.AppendRange(context.Background(), b.Parts())
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) wait(seq uint64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := w.loader.WaitLoaded(ctx, seq); err != nil {
		w.t.Fatalf("message %d is not loaded: %v; %+v", seq, err, w.loader.Status())
	}
}

// troubled waits until the loader says that a part is away.
func (w *world) troubled(part string) {
	w.t.Helper()
	end := time.After(60 * time.Second)
	for {
		w.loader.mu.Lock()
		changed, trouble := w.loader.changed, w.loader.trouble
		w.loader.mu.Unlock()
		if strings.HasPrefix(trouble, part) {
			return
		}
		select {
		case <-changed:
		case <-end:
			w.t.Fatalf("no trouble with the %s: %q", part, trouble)
		}
	}
}

func (w *world) query(sql string) string {
	w.t.Helper()
	return strings.TrimRight(enginetest.Shared(w.t).Exec(w.t, strings.ReplaceAll(sql, "facts.", w.prefix+"facts.")), "\n")
}

// check is the total checker: lake, facts and rollups hold the same rows, every row
// once. It returns the current events as "id service fee", sorted.
func (w *world) check() []string {
	w.t.Helper()
	l := lake.Open(w.store)
	files, err := l.Files(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	type key struct {
		id   string
		seq  uint64
		sign int8
	}
	inLake := map[key]bool{}
	var current []string
	net := map[string]int{}
	for _, f := range files {
		c := w.set.ByType(f.Contract)
		if err := l.Read(context.Background(), f, c, func(rec arrow.Record) error {
			column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
			for i := range int(rec.NumRows()) {
				k := key{hex.EncodeToString(column("_id").(*array.FixedSizeBinary).Value(i)), column("_seq").(*array.Uint64).Value(i), column("_sign").(*array.Int8).Value(i)}
				if inLake[k] {
					w.t.Errorf("twice in the lake: %+v", k)
				}
				inLake[k] = true
				if c.Name == "request.decided" {
					service, _ := text(column("service"), i)
					fee := column("fee").(*array.Decimal128)
					net[fmt.Sprintf("%s %s %s", k.id, service, fee.Value(i).ToString(2))] += int(k.sign)
				}
			}
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	for event, n := range net {
		if n != 0 && n != 1 {
			w.t.Errorf("%s counts %d times", event, n)
		}
		if n == 1 {
			current = append(current, event)
		}
	}
	sort.Strings(current)
	inFacts := map[key]bool{}
	for _, c := range w.set.All() {
		for line := range strings.SplitSeq(w.query("SELECT lower(replaceAll(toString(_id), '-', '')), _seq, _sign FROM facts."+c.Table()), "\n") {
			if line == "" {
				continue
			}
			var k key
			if _, err := fmt.Sscan(line, &k.id, &k.seq, &k.sign); err != nil {
				w.t.Fatal(line, err)
			}
			if inFacts[k] {
				w.t.Errorf("twice in the warehouse: %+v", k)
			}
			inFacts[k] = true
			if !inLake[k] {
				w.t.Errorf("in the warehouse and not in the lake: %+v", k)
			}
		}
	}
	for k := range inLake {
		if k.sign != 0 && !inFacts[k] {
			w.t.Errorf("in the lake and not in the warehouse: %+v", k)
		}
	}
	// Rollups are what the facts add up to.
	for _, c := range w.set.All() {
		for _, r := range w.wh.Rollups(c) {
			got := w.query("SELECT sum(_n) FROM " + w.wh.Table(r))
			if want := w.query("SELECT sum(toInt64(_sign)) FROM facts." + c.Table()); got != want {
				w.t.Errorf("rollup %s counts %s, the facts %s", r.Name, got, want)
			}
		}
	}
	differences, err := w.wh.Verify(context.Background())
	if err != nil || len(differences) > 0 {
		w.t.Errorf("rollups differ from facts: %v %v", differences, err)
	}
	facts := w.query("SELECT lower(replaceAll(toString(_id), '-', '')), service, toDecimalString(any(fee), 2) FROM facts.request_decided_v1 GROUP BY _id, service, fee HAVING sum(_sign) != 0 ORDER BY 1, 2")
	if want := strings.ReplaceAll(strings.Join(current, "\n"), " ", "\t"); facts != want {
		w.t.Errorf("the warehouse's current events:\n%s\nthe lake's:\n%s", facts, want)
	}
	return current
}

func (w *world) outcome(r journal.Range) string {
	w.t.Helper()
	got, err := w.loader.Outcome(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprintf("%d accepted %d duplicate %d conflict %d damaged loaded %t", got.Accepted, got.Duplicate, got.Conflict, got.Damaged, got.Loaded)
}

func session(id string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"site","type":"test.usage.session.v1","time":"2024-05-01T10:00:00Z","data":{"page":"home"}}`, id)
}

func TestEachEventOnce(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	first := w.send(event("a", "", root), event("b", "", `{"service":"s2","fee":1}`), session("a"))
	w.wait(first.Last.Seq)
	again := w.send(event("b", "", `{"service":"s2","fee":1}`), event("a", "", root), event("c", "", `{"service":"s3","fee":2}`), event("c", "", `{"service":"s3","fee":2}`))
	w.wait(again.Last.Seq)
	conflict := w.send(event("a", "", `{"service":"other","fee":5}`), session("b"))
	w.wait(conflict.Last.Seq)
	if got := len(w.check()); got != 3 {
		t.Fatalf("%d current events", got)
	}
	for r, want := range map[journal.Range]string{
		first:    "3 accepted 0 duplicate 0 conflict 0 damaged loaded true",
		again:    "1 accepted 3 duplicate 0 conflict 0 damaged loaded true",
		conflict: "1 accepted 0 duplicate 1 conflict 0 damaged loaded true",
	} {
		if got := w.outcome(r); got != want {
			t.Errorf("%v: %s, want %s", r, got, want)
		}
	}
	var held []string
	if err := w.journal.Held(context.Background(), func(e journal.Entry) error {
		held = append(held, e.Held.Code+" "+e.Held.Type+" "+string(e.Held.Event))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(held) != 1 || !strings.HasPrefix(held[0], "conflict test.request.decided.v1") || !strings.Contains(held[0], `"service":"other"`) {
		t.Fatal(held)
	}
	// Everything a row holds arrives as it was sent.
	if got, want := w.query("SELECT service, outcome, submitted, due, took, fee, online, weight, note, applicant IS NOT NULL, time, _day, _rev, _sign, _source FROM facts.request_decided_v1 WHERE service = 's1'"),
		"s1\tgranted\t2024-04-30 10:00:00.123\t2024-05-09\t3600000\t10.25\ttrue\t1.5\toʻ\\'\\\\\\n\t1\t2024-05-01 10:00:00.000\t2024-05-01\t0\t1\tportal"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := w.query("SELECT outcome, submitted, due, took, online, note FROM facts.request_decided_v1 WHERE service = 's2'"); got != "\t\\N\t\\N\t\\N\t\\N\t" {
		t.Errorf("%q", got)
	}
	s := w.loader.Status()
	if s.Lag.Messages != 0 || s.Lag.Events != 0 || s.Loaded != conflict.Last.Seq || s.Trouble != "" || s.IDs != 5 {
		t.Errorf("%+v", s)
	}
	want := []Count{{"portal", "test.request.decided.v1", Outcome{3, 3, 1, 0}}, {"site", "test.usage.session.v1", Outcome{2, 0, 0, 0}}}
	if !slices.Equal(s.Counts, want) {
		t.Errorf("%+v", s.Counts)
	}

	// A new process knows all of it.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
	last := w.send(event("a", "", root), event("d", "", root))
	w.wait(last.Last.Seq)
	if got := w.outcome(last); got != "1 accepted 1 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := w.outcome(first); got != "3 accepted 0 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := len(w.check()); got != 4 {
		t.Fatalf("%d current events", got)
	}
}

// Corrections, withdrawals and changed files arrive in every order and end in the
// same figures.
func TestCorrections(t *testing.T) {
	fee := func(n int) string { return fmt.Sprintf(`{"service":"s","fee":%d,"took":%d}`, n, n*1000) }
	rev := func(n int) string { return fmt.Sprintf(`,"corrects":"a","revision":%d`, n) }
	a0, a1, a2 := event("a", "", fee(1)), event("a1", rev(1), fee(2)), event("a2", rev(2), fee(4))
	gone := event("a3", rev(3)+`,"withdrawn":true`, `{}`)
	other := event("b", "", fee(8))
	for name, c := range map[string]struct {
		requests [][]string
		want     int // sum of fees
	}{
		"in order":                 {[][]string{{a0, other}, {a1}, {a2}}, 12},
		"in one request":           {[][]string{{a0, other, a1, a2}}, 12},
		"backwards":                {[][]string{{a2}, {a1}, {a0, other}}, 12},
		"root last":                {[][]string{{a1, other}, {a2}, {a0}}, 12},
		"each twice":               {[][]string{{a0, a0}, {other}, {a1}, {a0}, {a1, a2}, {a2, a1, a0}, {other}}, 12},
		"withdrawn":                {[][]string{{a0, other}, {a1}, {gone}, {a2}}, 8},
		"withdrawn first":          {[][]string{{gone}, {a0, other, a1}, {a2}}, 8},
		"withdrawn in one":         {[][]string{{other, a0, gone, gone}}, 8},
		"changed file":             {[][]string{{event("a", `,"onchange":"correct"`, fee(1)), other}, {event("a", `,"onchange":"correct"`, fee(5)), other}, {event("a", `,"onchange":"correct"`, fee(5))}, {event("a", `,"onchange":"correct"`, fee(7))}}, 15},
		"changed and changed back": {[][]string{{event("a", `,"onchange":"correct"`, fee(1)), other}, {event("a", `,"onchange":"correct"`, fee(5))}, {event("a", `,"onchange":"correct"`, fee(1))}}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			w.start()
			var last journal.Range
			for _, request := range c.requests {
				last = w.send(request...)
				if !strings.Contains(name, "one") {
					w.wait(last.Last.Seq) // a plan each
				}
			}
			w.wait(last.Last.Seq)
			w.check()
			if got := w.query("SELECT sum(fee * _sign) FROM facts.request_decided_v1"); got != fmt.Sprint(c.want) {
				t.Errorf("fees are %s, want %d", got, c.want)
			}
			if s := w.loader.Status(); s.Trouble != "" {
				t.Error(s.Trouble)
			}
		})
	}
}

func TestConflictOfRevision(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.send(event("a", "", root), event("a1", `,"corrects":"a","revision":1`, `{"service":"s1","fee":2}`))
	r := w.send(event("a1b", `,"corrects":"a","revision":1`, `{"service":"s1","fee":3}`))
	w.wait(r.Last.Seq)
	if got := w.outcome(r); got != "0 accepted 0 duplicate 1 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := w.check(); len(got) != 1 || !strings.HasSuffix(got[0], "s1 2.00") {
		t.Error(got)
	}
}

// steps are the failpoints of a plan, in order; those of warehouse and lake run side by
// side, and those of rollups beside everything.
var steps = []string{"index", "plan", "begun", "before lake", "inserted", "before rollups", "rolled up", "in the lake", "held", "done"}

// TestMain is also the process that the crash tests kill.
func TestMain(m *testing.M) {
	if spec := os.Getenv("OMBOR_LOADER_FROZEN"); spec != "" {
		frozen(spec)
		return
	}
	if spec := os.Getenv("OMBOR_LOADER_CHILD"); spec != "" {
		child(spec)
		return
	}
	os.Exit(m.Run())
}

// child runs a loader on the folder and kills itself at the nth pass of a step, or ends
// when message last is loaded. The specification is socket, prefix, folder, step, n, last.
func child(spec string) {
	f := strings.Split(spec, "|")
	t := &fatalT{}
	var n, last uint64
	fmt.Sscan(f[4], &n)
	fmt.Sscan(f[5], &last)
	set := testSet(t)
	ctx := context.Background()
	wh, err := warehouse.Open(ctx, warehouse.Config{Socket: f[0], Prefix: f[1]}, set, testKPIs(t))
	t.must(err)
	t.must(wh.Migrate(ctx))
	conn, err := stream.Open(ctx, stream.Options{Dir: filepath.Join(f[2], "nats"), Logger: quiet})
	t.must(err)
	j, err := journal.Open(ctx, conn, journal.Options{Contracts: set, Logger: quiet})
	t.must(err)
	store, err := objects.Open(ctx, filepath.Join(f[2], "lake"))
	t.must(err)
	step, together := strings.CutSuffix(f[3], " together")
	var passed, plans atomic.Uint64
	three := make(chan struct{}) // three plans are done
	failpoint = func(at string) {
		if at == "done" && plans.Add(1) == 3 {
			close(three)
		}
		if together && at == "before rollups" {
			<-three
		}
		if at == step && passed.Add(1) == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	l, err := New(Config{Journal: j, Warehouse: wh, Lake: lake.Open(store), Set: set, Dir: filepath.Join(f[2], "loader"), Interval: time.Millisecond, MaxRows: 2, Logger: quiet})
	t.must(err)
	go func() {
		if err := l.Run(ctx); err != nil {
			fmt.Println("run:", err)
			os.Exit(3)
		}
	}()
	t.must(l.WaitLoaded(ctx, last))
	os.Exit(0)
}

type fatalT struct{ testing.TB }

func (t *fatalT) Helper()           {}
func (t *fatalT) Fatal(args ...any) { fmt.Println(args...); os.Exit(4) }
func (t *fatalT) must(err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a loader in a process of its own, which kills itself at the nth pass of a step
// (the error says so), or ends when message last is loaded. A step " together" is one
// where rollups wait until three plans are done.
func (w *world) run(step string, n int, last uint64) error {
	w.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("OMBOR_LOADER_CHILD=%s|%s|%s|%s|%d|%d", enginetest.Shared(w.t).Socket(), w.prefix, w.dir, step, n, last))
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		w.t.Fatalf("%s: %v\n%s", step, err, out)
	}
	return err
}

// A process that is killed between any two steps of any plan loses nothing and counts
// nothing twice, with corrections and conflicts among the events.
func TestKillBetweenAnySteps(t *testing.T) {
	w := newWorld(t, "")
	fee := func(n int) string { return fmt.Sprintf(`{"service":"s%d","fee":%d}`, n%3, n) }
	var last journal.Range
	messages := 5 * len(steps) // rollups lag, and so take several plans at a time
	for i := range messages {
		a, b := fmt.Sprint("a", i), fmt.Sprint("a", i-1)
		events := []string{event(a, "", fee(i)), session(a)}
		if i > 0 {
			events = append(events,
				event(b, "", fee(i-1)), // a duplicate
				event(b+"-1", fmt.Sprintf(`,"corrects":%q,"revision":1`, b), fee(i+1000)),
				event(b+"-1x", fmt.Sprintf(`,"corrects":%q,"revision":1`, b), fee(i+2000))) // a conflict
		}
		last = w.send(events...)
	}
	w.close()
	kills := 0
	for _, n := range []int{1, 2} { // in the plan that is found, and in the one after
		for _, step := range steps {
			if w.run(step, n, last.Last.Seq) != nil {
				kills++
			}
		}
	}
	if err := w.run("never", 1, last.Last.Seq); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.start()
	w.wait(last.Last.Seq)
	if got := w.outcome(journal.Range{First: journal.Place{Seq: 1}, Last: last.Last}); got != fmt.Sprintf("%d accepted %d duplicate %d conflict 0 damaged loaded true", 3*messages-1, messages-1, messages-1) {
		t.Error(got)
	}
	if got := len(w.check()); got != messages {
		t.Errorf("%d current events of %d", got, messages)
	}
	// Every conflict is held once, under the entry that its row leads to.
	var held, there []string
	if err := w.journal.Held(t.Context(), func(e journal.Entry) error { held = append(held, e.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	there, err := w.journal.HeldIn(t.Context(), journal.Range{First: journal.Place{Seq: 1}, Last: last.Last})
	slices.Sort(held)
	if slices.Sort(there); err != nil || len(held) != messages-1 || !slices.Equal(held, there) {
		t.Errorf("%d conflicts are held, of %d: %v, and %v by their rows, %v", len(held), messages-1, held, there, err)
	}
	if kills < 2*len(steps)-1 {
		t.Errorf("only %d of %d kills took place", kills, 2*len(steps))
	}
}

// Rollups that are several plans behind when the process is killed, or had just got them all at
// once, are whole after the next start.
func TestKillWhileRollupsAreBehind(t *testing.T) {
	w := newWorld(t, "")
	var last journal.Range
	const messages = 36 // more than three processes take
	for i := range messages {
		last = w.send(event(fmt.Sprint("a", i), "", fmt.Sprintf(`{"service":"s%d","fee":%d}`, i%3, i)), session(fmt.Sprint("a", i)))
	}
	w.close()
	rollup := w.wh.Table(w.wh.Rollups(w.set.All()[0])[0])
	counts := func() (facts, rolled int) {
		if _, err := fmt.Sscan(w.query("SELECT (SELECT count() FROM facts.request_decided_v1), (SELECT sum(_n) FROM "+rollup+")"), &facts, &rolled); err != nil {
			t.Fatal(err)
		}
		return facts, rolled
	}
	if err := w.run("before rollups together", 1, last.Last.Seq); err == nil {
		t.Fatal("it was not killed")
	}
	if facts, rolled := counts(); facts < 3 || rolled != 0 {
		t.Fatalf("%d facts, %d in the rollups: the rollups are not three plans behind", facts, rolled)
	}
	if err := w.run("rolled up together", 1, last.Last.Seq); err == nil {
		t.Fatal("it was not killed")
	}
	if facts, rolled := counts(); facts < 6 || rolled < 4 || rolled > facts {
		t.Fatalf("%d facts, %d in the rollups", facts, rolled)
	}
	if err := w.run("before rollups together", 1, last.Last.Seq); err == nil {
		t.Fatal("it was not killed")
	}
	w.open()
	w.start()
	w.wait(last.Last.Seq)
	if got := len(w.check()); got != messages {
		t.Errorf("%d current events of %d", got, messages)
	}
}

// While Quiet holds, rollups have what facts have, and nothing changes.
func TestQuiet(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	for i := range 20 {
		w.send(event(fmt.Sprint("a", i), "", root))
		if err := w.loader.Quiet(t.Context(), func() error { w.check(); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// The index is rebuilt from the lake, and decides as before.
func TestIndexLost(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.send(event("a", "", root), event("a1", `,"corrects":"a","revision":2`, `{"service":"s1","fee":2}`), event("w", `,"corrects":"z","revision":1,"withdrawn":true`, `{}`))
	r := w.send(event("b", "", root), event("late", `,"corrects":"a","revision":1`, `{"service":"s1","fee":9}`))
	w.wait(r.Last.Seq)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "loader", "index")); err != nil {
		t.Fatal(err)
	}
	w.start()
	r = w.send(event("a", "", root), event("b", "", root), event("a1", `,"corrects":"a","revision":2`, `{"service":"s1","fee":2}`),
		event("late", `,"corrects":"a","revision":1`, `{"service":"s1","fee":9}`), event("z", "", root), event("a3", `,"corrects":"a","revision":3`, `{"service":"s1","fee":3}`))
	w.wait(r.Last.Seq)
	// z is accepted late: it was withdrawn before it came.
	if got := w.outcome(r); got != "2 accepted 4 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := w.check(); len(got) != 2 {
		t.Error(got)
	}
}

// A loader on another journal does not begin on a lake that is filled.
func TestLedgerLost(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.wait(w.send(event("a", "", root)).Last.Seq)
	w.close()
	if err := os.RemoveAll(filepath.Join(w.dir, "nats")); err != nil {
		t.Fatal(err)
	}
	w.open()
	l := w.start()
	if err := l.WaitLoaded(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "use the journal that filled it") {
		t.Fatal(err)
	}
	w.check()
}

func TestSecondLoaderIsRefused(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	_, err := New(w.config())
	if err == nil || problem.KindOf(err) != problem.Conflict {
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.start()
}

// The lake on S3 goes away and comes back: what was accepted meanwhile is loaded then.
func TestLakeAway(t *testing.T) {
	m := miniotest.Start(t)
	w := newWorld(t, m.URL("away"))
	w.start()
	w.wait(w.send(event("a", "", root)).Last.Seq)
	m.Stop()
	r := w.send(event("b", "", root))
	w.troubled("lake")
	if s := w.loader.Status(); s.Lag.Messages != 1 || s.Lag.Events != 1 || s.Lag.Seconds <= 0 || s.Since == nil {
		t.Errorf("%+v", s)
	}
	m.Up()
	w.wait(r.Last.Seq)
	if s := w.loader.Status(); s.Trouble != "" || s.Lag.Messages != 0 {
		t.Errorf("%+v", s)
	}
	if got := w.check(); len(got) != 2 {
		t.Error(got)
	}
}

// The engine goes away in the middle and comes back on its own data.
func TestWarehouseAway(t *testing.T) {
	dir := t.TempDir()
	first, err := engine.Start(t.Context(), engine.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "")
	if w.wh, err = warehouse.Open(t.Context(), warehouse.Config{Socket: first.Socket()}, w.set, testKPIs(t)); err != nil {
		t.Fatal(err)
	}
	defer w.wh.Close()
	if err := w.wh.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.wait(w.send(event("a", "", root)).Last.Seq)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r := w.send(event("b", "", root), event("a1", `,"corrects":"a","revision":1`, `{"service":"s1","fee":2}`))
	w.troubled("warehouse")
	second, err := engine.Start(t.Context(), engine.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	w.wait(r.Last.Seq)
	if s, err := w.wh.Status(t.Context()); err != nil || s.Rows != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	if differences, err := w.wh.Verify(t.Context()); err != nil || len(differences) > 0 {
		t.Error(differences, err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// Damage stops nothing but its own part and is reported.
func TestDamageIsSetAside(t *testing.T) {
	w := newWorld(t, "")
	raw, err := w.conn.Stream(t.Context(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	w.send(event("a", "", root), session("a"))
	m, err := raw.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	m.Data[len(m.Data)-20] ^= 4 // in the body of the last part
	if _, err := raw.Publish(t.Context(), "", m.Data); err != nil {
		t.Fatal(err)
	}
	w.start()
	r := w.send(event("c", "", root))
	w.wait(r.Last.Seq)
	if got := w.outcome(journal.Range{First: journal.Place{Seq: 2}, Last: journal.Place{Seq: 2, Part: 1}}); got != "0 accepted 1 duplicate 0 conflict 1 damaged loaded true" {
		t.Error(got)
	}
	if got := w.check(); len(got) != 2 {
		t.Error(got)
	}
	found := false
	if err := w.journal.Held(context.Background(), func(e journal.Entry) error {
		found = found || e.Held.Code == "damaged" && strings.Contains(e.Held.Reason, "message 2, part 1")
		return nil
	}); err != nil || !found {
		t.Fatal(err, found)
	}
}

// A message that the journal's server has lost is told, stops nothing, and its events are
// accepted when they are sent again.
func TestLostMessageIsSetAside(t *testing.T) {
	w := newWorld(t, "")
	raw, err := w.conn.Stream(t.Context(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	w.send(event("a", "", root))
	lost := w.send(event("b", "", root), session("b"))
	last := w.send(event("c", "", root))
	if err := raw.Delete(t.Context(), lost.Last.Seq); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.wait(last.Last.Seq)
	if got := w.outcome(lost); !strings.HasPrefix(got, "0 accepted 0 duplicate 0 conflict") || !strings.HasSuffix(got, "damaged loaded true") || strings.Contains(got, " 0 damaged") {
		t.Error(got)
	}
	again := w.send(event("b", "", root), session("b"))
	w.wait(again.Last.Seq)
	if got := w.outcome(again); got != "2 accepted 0 duplicate 0 conflict 0 damaged loaded true" {
		t.Error(got)
	}
	if got := w.check(); len(got) != 3 {
		t.Error(got)
	}
	found := 0
	if err := w.journal.Held(context.Background(), func(e journal.Entry) error {
		if e.Held.Code == "damaged" && strings.Contains(e.Held.Reason, "message 2") {
			found++
		}
		return nil
	}); err != nil || found == 0 {
		t.Fatal(err, found)
	}
}

// The clock of a door is set back by days: days of receipt do not go back.
func TestDaysOfReceiptNeverGoBack(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.wait(w.send(event("a", "", root)).Last.Seq)
	raw, err := w.conn.Stream(t.Context(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	// A message as another door writes it, whose clock is three days behind.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.send(event("x", "", root))
	m, err := raw.Get(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Delete(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	seq, err := raw.Publish(t.Context(), "", restamped(m.Data, time.Now().Add(-72*time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.wait(seq)
	last := w.send(event("c", "", root))
	w.wait(last.Last.Seq)
	if got := w.query("SELECT uniqExact(_cut) FROM facts.request_decided_v1"); got != "1" {
		t.Errorf("%s days of receipt", got)
	}
	w.check()
}

// restamped is an envelope that was received at another time.
func restamped(data []byte, received time.Time) []byte {
	le := binary.LittleEndian
	data = bytes.Clone(data)
	le.PutUint64(data[8:], uint64(received.UnixMilli()))
	at := 16
	for range le.Uint16(data[6:]) {
		at += 2 + int(le.Uint16(data[at:])) + 16
	}
	le.PutUint64(data[at:], xxhash.Sum64(data[:at]))
	return data
}
