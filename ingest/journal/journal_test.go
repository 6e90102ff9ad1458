package journal_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

var quiet = slog.New(slog.DiscardHandler)

// door is a real checker over one contract.
type door struct {
	set     *contract.Set
	checker *contract.Checker
}

func newDoor(t testing.TB) *door {
	t.Helper()
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{{
		Type: "test.request.decided.v1", Name: "request.decided", Major: 1, Source: "portal", File: "decided.yaml",
		Fields: []contract.Field{
			{Name: "service", Type: contract.Code, Required: true},
			{Name: "outcome", Type: contract.Enum, Values: []string{"granted", "refused"}},
			{Name: "applicant", Type: contract.Person, Class: contract.Personal, ID: "pinfl"},
			{Name: "took", Type: contract.Duration},
			{Name: "fee", Type: contract.Decimal, Scale: 2},
			{Name: "note", Type: contract.Text},
		},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return &door{set, contract.NewChecker(set, keys, contract.Limits{})}
}

func event(id, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"portal","type":"test.request.decided.v1","time":"2024-05-01T10:00:00Z","data":%s}`, id, data)
}

func (d *door) parts(t testing.TB, events ...string) []contract.Part {
	t.Helper()
	b := d.checker.NewBatch()
	for i, e := range events {
		if r := b.Add(i, []byte(e)); r != nil {
			t.Fatal(r)
		}
	}
	return b.Parts()
}

func open(t testing.TB, dir string, d *door, opts journal.Options) (*journal.Journal, *stream.Conn) {
	t.Helper()
	conn, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	opts.Contracts, opts.Logger = d.set, quiet
	j, err := journal.Open(t.Context(), conn, opts)
	if err != nil {
		conn.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(); conn.Close() })
	return j, conn
}

// until reads the journal up to and including message last.
func until(t testing.TB, j *journal.Journal, from, last uint64, fn func(journal.Message)) error {
	t.Helper()
	if last == 0 {
		return nil
	}
	stop := errors.New("stop")
	err := j.Replay(t.Context(), from, func(m journal.Message) error {
		fn(m)
		if m.Seq == last {
			return stop
		}
		return nil
	})
	if err == stop {
		return nil
	}
	return err
}

func services(m journal.Message) []string {
	var all []string
	for _, p := range m.Parts {
		if p.Record == nil {
			all = append(all, "?")
			continue
		}
		d := p.Record.Column(contract.FirstField).(*array.Dictionary)
		for i := range d.Len() {
			all = append(all, d.Dictionary().(*array.String).Value(d.GetValueIndex(i)))
		}
	}
	return all
}

func TestWhatWasAppendedIsReplayed(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	j, conn := open(t, dir, d, journal.Options{})
	for i := range 3 {
		parts := d.parts(t, event(fmt.Sprint(i), fmt.Sprintf(`{"service":"s%d","outcome":"granted","took":5,"fee":1.25,"applicant":"12345678901234"}`, i)), event(fmt.Sprint(i, "b"), `{"service":"x"}`))
		seq, err := j.Append(t.Context(), parts)
		if err != nil || seq != uint64(i+1) {
			t.Fatal(seq, err)
		}
	}
	if seq, err := j.Append(t.Context(), nil); seq != 0 || err != nil {
		t.Fatal(seq, err)
	}
	j.Close()
	conn.Close()

	j, _ = open(t, dir, d, journal.Options{})
	if j.Last() != 3 {
		t.Fatal(j.Last())
	}
	var got []string
	if err := until(t, j, 2, 3, func(m journal.Message) {
		got = append(got, fmt.Sprint(m.Seq, services(m), m.Parts[0].Record.Schema().Equal(d.set.All()[0].Schema())))
		if time.Since(m.Received) > time.Hour || len(m.Damage) > 0 {
			t.Errorf("received %v, damage %v", m.Received, m.Damage)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[2 [s1 x] true 3 [s2 x] true]" {
		t.Fatal(got)
	}
}

func TestConcurrentAppendsShareMessages(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{})
	const senders, each = 32, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[string]journal.Range{}
	for s := range senders {
		var batches [each][]contract.Part
		for i := range batches {
			batches[i] = d.parts(t, event(fmt.Sprint(s, i), fmt.Sprintf(`{"service":"%d-%d"}`, s, i)))
		}
		wg.Go(func() {
			for i, parts := range batches {
				r, err := j.AppendRange(t.Context(), parts)
				if err != nil || r.First != r.Last || r.First.Seq == 0 {
					t.Error(r, err)
					return
				}
				mu.Lock()
				want[fmt.Sprintf("%d-%d", s, i)] = r
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if j.Last() >= senders*each {
		t.Fatalf("%d appends made %d messages: nothing was shared", senders*each, j.Last())
	}
	seen := 0
	if err := until(t, j, 1, j.Last(), func(m journal.Message) {
		for i, s := range services(m) {
			if r := want[s]; r.First != (journal.Place{Seq: m.Seq, Part: i}) {
				t.Errorf("%s stands in %d.%d, its sender was told %v", s, m.Seq, i, r)
			}
			seen++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if seen != senders*each {
		t.Fatal(seen)
	}
	t.Logf("%d appends in %d messages", senders*each, j.Last())
}

func TestLargeRequestIsCut(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{})
	rnd := rand.New(rand.NewPCG(1, 1))
	var events []string
	for i := range 4000 {
		note := make([]byte, 600)
		for k := range note {
			note[k] = 'a' + byte(rnd.IntN(26))
		}
		events = append(events, event(fmt.Sprint(i), fmt.Sprintf(`{"service":"s%d","note":%q}`, i, note)))
	}
	r, err := j.AppendRange(t.Context(), d.parts(t, events...))
	if err != nil || r.Last.Seq < 3 {
		t.Fatal(r, err)
	}
	var got []string
	if err := until(t, j, 1, r.Last.Seq, func(m journal.Message) {
		if m.Bytes > journal.MaxMessage {
			t.Errorf("message %d has %d bytes", m.Seq, m.Bytes)
		}
		got = append(got, services(m)...)
	}); err != nil {
		t.Fatal(err)
	}
	for i, s := range got {
		if s != fmt.Sprintf("s%d", i) {
			t.Fatalf("row %d is %s", i, s)
		}
	}
	if len(got) != 4000 {
		t.Fatal(len(got))
	}
}

func TestFullJournalRefusesAndComesBack(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{MaxBytes: 32 << 10})
	var err error
	var last uint64
	for i := 0; err == nil && i < 1000; i++ {
		var seq uint64
		if seq, err = j.Append(t.Context(), d.parts(t, event(fmt.Sprint(i), `{"service":"x"}`))); err == nil {
			last = seq
		}
	}
	var p *problem.Error
	if !errors.As(err, &p) || p.Kind != problem.Unavailable || p.RetryAfter == 0 || !strings.Contains(p.Message, "full") {
		t.Fatal(err)
	}
	n := 0
	if err := until(t, j, 0, last, func(journal.Message) { n++ }); err != nil || uint64(n) != last {
		t.Fatalf("%d of %d acknowledged messages, %v", n, last, err)
	}
	if err := j.Purge(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), d.parts(t, event("again", `{"service":"x"}`))); err != nil {
		t.Fatalf("after a purge: %v", err)
	}
	// What was purged is gone, and who wants it is told so for each message.
	lost := uint64(0)
	if err := until(t, j, 1, last, func(m journal.Message) {
		if len(m.Damage) == 1 && m.Damage[0].Whole && m.Seq == lost+1 {
			lost++
		}
	}); err != nil || lost != last-1 {
		t.Fatal(lost, err)
	}
}

func TestTooMuchWaitingIsBusy(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{MaxWaiting: 1})
	var wg sync.WaitGroup
	var busy, ok sync.Map
	for i := range 64 {
		parts := d.parts(t, event("a", `{"service":"x"}`))
		wg.Go(func() {
			_, err := j.Append(t.Context(), parts)
			switch {
			case err == nil:
				ok.Store(i, true)
			case problem.KindOf(err) == problem.Busy:
				busy.Store(i, true)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := func(m *sync.Map) (n int) { m.Range(func(any, any) bool { n++; return true }); return }
	if count(&ok) == 0 || count(&ok)+count(&busy) != 64 {
		t.Fatal(count(&ok), count(&busy))
	}
	if _, err := j.Append(t.Context(), d.parts(t, event("a", `{"service":"x"}`))); err != nil {
		t.Fatalf("when nothing waits: %v", err)
	}
}

func TestClosedJournalRefuses(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{})
	j.Close()
	_, err := j.Append(t.Context(), d.parts(t, event("a", `{"service":"x"}`)))
	if err == nil || problem.KindOf(err) != problem.Unavailable {
		t.Fatal(err)
	}
}

// A flipped bit in a part is named and stops nothing but that part; in the envelope,
// nothing but that message.
func TestFlippedBitIsNamed(t *testing.T) {
	d := newDoor(t)
	j, conn := open(t, t.TempDir(), d, journal.Options{})
	two := append(d.parts(t, event("a", `{"service":"first"}`)), d.parts(t, event("b", `{"service":"second"}`))...)
	if _, err := j.Append(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	raw, err := conn.Stream(t.Context(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := raw.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(1)
	for at := range whole.Data {
		if at > 120 && at%61 != 0 { // every byte of the envelope's head, some of the bodies
			continue
		}
		flipped := append([]byte(nil), whole.Data...)
		flipped[at] ^= 1 << (at % 8)
		if _, err = raw.Publish(t.Context(), "", flipped); err != nil {
			t.Fatal(err)
		}
	}
	if last, err = j.Append(t.Context(), d.parts(t, event("c", `{"service":"after"}`))); err != nil {
		t.Fatal(err)
	}
	envelopes, parts := 0, 0
	if err := until(t, j, 1, last, func(m journal.Message) {
		got := fmt.Sprint(services(m))
		switch {
		case m.Seq == 1 && got == "[first second]" && m.Damage == nil, m.Seq == last && got == "[after]" && m.Damage == nil:
		case m.Seq == 1 || m.Seq == last || len(m.Damage) != 1 || m.Damage[0].Seq != m.Seq:
			t.Errorf("message %d: %s, damage %v", m.Seq, got, m.Damage)
		case m.Damage[0].Whole:
			envelopes++
			if len(m.Parts) != 0 {
				t.Errorf("message %d: parts of a damaged envelope", m.Seq)
			}
		case got == "[? second]" || got == "[first ?]":
			parts++
			if !strings.Contains(m.Damage[0].String(), "1 events of test.request.decided.v1") {
				t.Error(m.Damage[0])
			}
		default:
			t.Errorf("message %d: %s, damage %v", m.Seq, got, m.Damage)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if envelopes == 0 || parts == 0 {
		t.Fatal(envelopes, parts)
	}
}

// A message that the server does not have is told as damage, in the middle and at the end.
func TestLostMessages(t *testing.T) {
	d := newDoor(t)
	j, conn := open(t, t.TempDir(), d, journal.Options{})
	for i := range 5 {
		if _, err := j.Append(t.Context(), d.parts(t, event(fmt.Sprint(i), `{"service":"x"}`))); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := conn.Stream(t.Context(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{2, 4, 5} {
		if err := raw.Delete(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	if err := until(t, j, 0, 5, func(m journal.Message) {
		if len(m.Damage) == 1 {
			got = append(got, m.Damage[0].String())
		} else {
			got = append(got, fmt.Sprint(m.Seq, services(m)))
		}
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"1 [x]", "message 2: the journal's server has lost it", "3 [x]", "message 4: the journal's server has lost it", "message 5: the journal's server has lost it"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	// What comes next has a sequence of its own.
	if seq, err := j.Append(t.Context(), d.parts(t, event("5", `{"service":"x"}`))); err != nil || seq != 6 {
		t.Error(seq, err)
	}
}

func TestUnknownContractStops(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	j, conn := open(t, dir, d, journal.Options{})
	if _, err := j.Append(t.Context(), d.parts(t, event("a", `{"service":"x"}`))); err != nil {
		t.Fatal(err)
	}
	j.Close()
	conn.Close()
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{{Type: "test.other.v1", Name: "other", Major: 1, Fields: []contract.Field{{Name: "a", Type: contract.Text}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	j, _ = open(t, dir, &door{set: set}, journal.Options{})
	err = j.Replay(t.Context(), 1, func(journal.Message) error { return nil })
	if err == nil || problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "test.request.decided.v1") {
		t.Fatal(err)
	}
}

// blocks are the files of the journal's stream, in their order.
func blocks(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "JOURNAL", "msgs", "*.blk"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	slices.Sort(found)
	return found
}

// copyOf copies a folder.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// A bit that flips on the disk below JetStream, anywhere in a message of a stopped server, is
// told, takes nothing with it but the part in which it is (or the message, in the envelope's
// head), and no sequence is given out twice. After a stop in order and after a crash.
func TestFlippedBitOnDisk(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	j, conn := open(t, dir, d, journal.Options{})
	const messages = 5
	for i := range messages {
		// Two parts, so that one may be damaged alone.
		parts := append(d.parts(t, event(fmt.Sprint(i, "a"), fmt.Sprintf(`{"service":"first%d"}`, i))), d.parts(t, event(fmt.Sprint(i, "b"), fmt.Sprintf(`{"service":"second%d"}`, i)))...)
		if _, err := j.Append(t.Context(), parts); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	conn.Close()
	name := blocks(t, dir)[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// The records of the block: length, sequence, time, length of the subject, subject, data, checksum.
	var starts []int
	for at := 0; at < len(data); at += int(binary.LittleEndian.Uint32(data[at:])) {
		starts = append(starts, at)
	}
	if len(starts) != messages {
		t.Fatalf("%d records of %d messages", len(starts), messages)
	}
	starts = append(starts, len(data))
	random := rand.New(rand.NewPCG(1, 2))
	flips, whole, part, healed := 0, 0, 0, 0
	for record := range messages {
		start, end := starts[record], starts[record+1]
		subject := start + 22 + len("ombor.JOURNAL")
		classes := map[string][2]int{
			"length": {start, start + 4}, "sequence": {start + 4, start + 12}, "time": {start + 12, start + 20}, "length of subject": {start + 20, start + 22},
			"subject": {start + 22, subject}, "envelope": {subject, subject + 16}, "head of part": {subject + 16, subject + 80},
			"body": {subject + 200, end - 8}, "end of body": {end - 16, end - 8}, "checksum": {end - 8, end},
		}
		for class, span := range classes {
			for _, crashed := range []bool{false, true} {
				at, bit := span[0]+random.IntN(span[1]-span[0]), random.IntN(8)
				flips++
				copied := copyOf(t, dir)
				flipped := slices.Clone(data)
				flipped[at] ^= 1 << bit
				if err := os.WriteFile(blocks(t, copied)[0], flipped, 0o600); err != nil {
					t.Fatal(err)
				}
				if crashed { // no note of an orderly stop, no index of the server
					for _, gone := range []string{"stopped", "jetstream/$G/streams/JOURNAL/msgs/index.db"} {
						if err := os.Remove(filepath.Join(copied, gone)); err != nil {
							t.Fatal(err)
						}
					}
				}
				what := fmt.Sprintf("message %d, %s, byte %d, bit %d, crashed %t", record+1, class, at-start, bit, crashed)
				j, conn := open(t, copied, d, journal.Options{})
				damaged := 0
				if err := until(t, j, 1, messages, func(m journal.Message) {
					want := []string{fmt.Sprint("first", m.Seq-1), fmt.Sprint("second", m.Seq-1)}
					if int(m.Seq) == record+1 && len(m.Damage) > 0 {
						damaged += len(m.Damage)
						if m.Damage[0].Whole {
							whole++
							return
						}
						part++
						want[m.Damage[0].Part] = "?"
					}
					if got := services(m); !slices.Equal(got, want) {
						t.Errorf("%s: message %d holds %q, want %q; %v", what, m.Seq, got, want, m.Damage)
					}
				}); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				switch class {
				case "length", "sequence", "time", "length of subject", "subject", "checksum": // the envelope is whole
					healed++
					if damaged != 0 {
						t.Errorf("%s: %d damaged", what, damaged)
					}
				default:
					if damaged != 1 {
						t.Errorf("%s: %d damaged, want 1", what, damaged)
					}
				}
				if seq, err := j.Append(t.Context(), d.parts(t, event("more", `{"service":"x"}`))); err != nil || seq != messages+1 {
					t.Errorf("%s: the next message is %d, %v", what, seq, err)
				}
				j.Close()
				conn.Close()
			}
		}
	}
	t.Logf("%d flips: %d whole messages and %d parts damaged, %d without loss", flips, whole, part, healed)
	if whole == 0 || part == 0 || healed == 0 {
		t.Error("not every kind of damage was seen")
	}
}

// A journal that ends before what was acknowledged here is refused.
func TestCutJournalIsRefused(t *testing.T) {
	dir, d := t.TempDir(), newDoor(t)
	mark := filepath.Join(t.TempDir(), "mark")
	j, conn := open(t, dir, d, journal.Options{Mark: mark})
	for i := range 3 {
		if _, err := j.Append(t.Context(), d.parts(t, event(fmt.Sprint(i), `{"service":"x"}`))); err != nil {
			t.Fatal(err)
		}
	}
	j.Close()
	conn.Close()
	j, conn = open(t, dir, d, journal.Options{Mark: mark}) // as it was
	j.Close()
	conn.Close()
	other, err := stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := journal.Open(t.Context(), other, journal.Options{Contracts: d.set, Mark: mark, Logger: quiet}); err == nil || problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "message 3 was acknowledged here") {
		t.Error(err)
	}
}

func TestReadBetween(t *testing.T) {
	d := newDoor(t)
	j, _ := open(t, t.TempDir(), d, journal.Options{})
	for i := range 5 {
		if seq, err := j.Append(t.Context(), d.parts(t, event(fmt.Sprint(i), fmt.Sprintf(`{"service":"s%d"}`, i)))); err != nil || seq != uint64(i+1) {
			t.Fatal(seq, err)
		}
	}
	read := func(first, last uint64, eventType string) (string, error) {
		var all []string
		err := j.Read(t.Context(), first, last, eventType, func(m journal.Message) error {
			all = append(all, fmt.Sprint(m.Seq, services(m)))
			return nil
		})
		return strings.Join(all, " "), err
	}
	const decided = "test.request.decided.v1"
	if got, err := read(2, 4, decided); err != nil || got != "2 [s1] 3 [s2] 4 [s3]" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := read(5, 5, "test.another.v1"); err != nil || got != "5 [?]" {
		t.Errorf("of another type: %q, %v", got, err)
	}
	if _, err := read(5, 6, decided); problem.KindOf(err) != problem.BadInput {
		t.Errorf("behind the end: %v", err)
	}
	stop := errors.New("stop")
	if err := j.Read(t.Context(), 1, 5, decided, func(journal.Message) error { return stop }); err != stop {
		t.Errorf("fn's error: %v", err)
	}
	for _, before := range []uint64{3, 6} { // a part, and all
		if err := j.Purge(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		var gap *journal.Gap
		if got, err := read(2, 5, decided); problem.KindOf(err) != problem.Conflict || !errors.As(err, &gap) || got != "" {
			t.Errorf("purged below %d: %q, %v", before, got, err)
		}
	}
}
