package loader

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"ombor/ingest/journal"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/stream"
)

// Outcome is what became of events.
type Outcome struct {
	Accepted  uint64 `json:"accepted"`  // counted, or superseded by a later revision that came before
	Duplicate uint64 `json:"duplicate"` // the same content under an id that was known
	Conflict  uint64 `json:"conflict"`  // other content under an id that was known: in quarantine
	Damaged   uint64 `json:"damaged"`   // their bytes in the journal are not those that were acknowledged
}

func (o *Outcome) add(p Outcome) {
	o.Accepted += p.Accepted
	o.Duplicate += p.Duplicate
	o.Conflict += p.Conflict
	o.Damaged += p.Damaged
}

// Count is the outcome of the events of one source and contract.
type Count struct {
	Source   string `json:"source"`
	Contract string `json:"contract"` // CloudEvents type
	Outcome
}

type countKey struct{ source, contract string }

// planned is what is written down before anything of a plan is inserted.
type planned struct {
	First uint64            `json:"first"` // messages
	Last  uint64            `json:"last"`
	Cut   reference.Day     `json:"cut"`
	Rows  map[string]uint64 `json:"rows"`           // event type → rows for the warehouse
	Gone  map[string]uint64 `json:"gone,omitempty"` // what the index said was retired
	// Arrow streams, by event type, of the rows that the plan takes back: once the plan's own
	// rows are in, the warehouse cannot be asked for them any more.
	Retracted map[string][]byte `json:"retracted,omitempty"`

	at uint64 // its record in the ledger
}

// done is what is written down when warehouse, rollups and lake hold a plan.
type done struct {
	First  uint64            `json:"first"`
	Last   uint64            `json:"last"`
	Cut    reference.Day     `json:"cut"`
	Rows   map[string]uint64 `json:"rows,omitempty"`
	Counts []Count           `json:"counts,omitempty"` // of this plan
}

// summary is all that the records before it say, but for the outcomes of messages.
type summary struct {
	Epoch  uint64   `json:"epoch"`
	Loaded uint64   `json:"loaded"`
	Counts []Count  `json:"counts,omitempty"`
	Keys   *keyed   `json:"keys,omitempty"`  // nil: the first
	Begun  []uint64 `json:"begun,omitempty"` // records of the plans that are begun and not done
	Last   *done    `json:"last,omitempty"`  // the newest plan that is done, without counts
}

// reign is the record with which a loader takes over: whoever wrote before it cannot
// write after it.
type reign struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
}

// keyed is the record that says of which pseudonym keys everything that is stored is from then on.
type keyed struct {
	Pseudonyms int    `json:"pseudonyms"` // version
	Mark       string `json:"mark"`       // [contract.Keys.PseudonymMark] of it
}

// ledger is the loaders' durable memory: an append-only log of plans, so that a crash, or
// a standby, finds what was begun, and of what became of every message. It is the stream
// <journal>_LEDGER beside the journal, so that every machine sees the same one.
//
// Only the active loader writes. It appends each record behind the newest that it
// knows of; a loader that took over meanwhile has written another there, and the
// append of the one before is refused: a loader that was stopped for however long
// cannot begin a plan, nor finish one.
//
// A message is: one byte of flags, uint64 message of the newest summary before it, uint64
// xxHash64 of what follows, a piece of a record. A record longer than pieceBytes has several
// pieces, one after the other. A record is one byte of kind, a line of JSON, and for a plan
// that is done the outcomes of its messages as varints: for each message the number of
// its parts, for each part accepted × 2 when that is all, else accepted × 2 + 1,
// duplicate, conflict, damaged.
//
// Opening it reads the newest message and, from the summary that it names on, at most
// summaryEvery records.
type ledger struct {
	s *stream.Stream

	// writing is held while the server is asked, by whoever changes anything here.
	writing sync.Mutex
	summary uint64 // newest summary known, 0 for none
	since   int    // records since

	mu     sync.Mutex // never held while the server is asked
	seq    uint64     // newest message known
	epoch  uint64
	loaded uint64
	begun  []*planned // and not done, in their order
	last   *done      // the newest plan that is done
	keys   keyed      // version 1 without a mark until a record says another
	totals map[countKey]*Outcome
}

const (
	pieceHead  = 1 + 8 + 8
	pieceBytes = 768 << 10

	flagMore = 1 // the record goes on in the next message
	flagRest = 2 // the record began in the message before

	kindPlan    = 'P'
	kindDone    = 'D'
	kindSummary = 'S'
	kindReign   = 'R'
	kindKeyed   = 'K'

	summaryEvery = 500
)

// errDeposed says that another loader has taken over.
var errDeposed = errors.New("another loader has taken over")

// openLedger opens the ledger of a journal and reads what it says now.
func openLedger(ctx context.Context, j *journal.Journal) (*ledger, error) {
	s, err := j.Conn().Stream(ctx, stream.Config{Name: j.Name() + "_LEDGER", About: "What became of the journal's messages", MaxBytes: 1 << 30, Grows: true, Least: 64 << 20})
	if err != nil {
		return nil, err
	}
	l := &ledger{s: s, keys: keyed{Pseudonyms: 1}, totals: map[countKey]*Outcome{}}
	return l, l.catchUp(ctx)
}

// record is one record as it is read.
type record struct {
	at, next uint64 // its first message, and the one after its last
	time     time.Time
	kind     byte
	line     []byte // of JSON
	rest     []byte
	summary  uint64
	damage   error // its bytes are not what was written
}

// read reads the first record at or after a message; NotFound when there is none, or
// when its last piece is not there yet.
func (l *ledger) read(ctx context.Context, from uint64) (record, error) {
	var r record
	var body []byte
	for {
		m, err := l.s.Next(ctx, from)
		if err != nil {
			return r, err
		}
		good := len(m.Data) >= pieceHead && binary.LittleEndian.Uint64(m.Data[9:]) == xxhash.Sum64(m.Data[pieceHead:])
		switch {
		case !good:
			return record{at: m.Seq, next: m.Seq + 1, time: m.Time, damage: fmt.Errorf("record %d is damaged", m.Seq)}, nil
		case r.at == 0 && m.Data[0]&flagRest != 0: // of a record that began before
			from = m.Seq + 1
			continue
		case r.at == 0:
			r.at, r.time, r.summary = m.Seq, m.Time, binary.LittleEndian.Uint64(m.Data[1:])
		case m.Data[0]&flagRest == 0 || m.Seq != from: // its end was never written, or is lost
			return record{at: r.at, next: m.Seq, time: r.time, damage: fmt.Errorf("record %d has no end", r.at)}, nil
		}
		body = append(body, m.Data[pieceHead:]...)
		from = m.Seq + 1
		if m.Data[0]&flagMore != 0 {
			continue
		}
		r.next = from
		line, rest, ok := bytes.Cut(body, []byte("\n"))
		if !ok || len(line) == 0 {
			r.damage = fmt.Errorf("record %d cannot be read", r.at)
			return r, nil
		}
		r.kind, r.line, r.rest = line[0], line[1:], rest
		return r, nil
	}
}

// catchUp reads what was written since.
func (l *ledger) catchUp(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.seq == 0 {
		if err := l.toSummary(ctx); err != nil {
			return err
		}
	}
	var damage error
	for {
		r, err := l.read(ctx, l.seq+1)
		if err != nil && problem.KindOf(err) == problem.NotFound {
			break
		}
		if err != nil {
			return err
		}
		if r.damage == nil {
			r.damage = l.note(ctx, r)
		}
		if r.damage != nil && damage == nil {
			damage = r.damage
		} else if r.damage == nil && r.kind != kindReign && r.kind != kindKeyed {
			damage = nil // what it said is said again by what follows
		}
		l.mu.Lock()
		l.seq = r.next - 1
		l.mu.Unlock()
	}
	if damage != nil {
		return problem.Wrap(damage, problem.Internal, "loader: ledger", "the end of the loader's ledger cannot be read: what was begun is not known")
	}
	return nil
}

// toSummary goes to the newest summary. The caller holds l.writing.
func (l *ledger) toSummary(ctx context.Context) error {
	st, err := l.s.State(ctx)
	if err != nil || st.First > st.Last {
		return err
	}
	from := st.First
	for seq := st.Last; seq >= st.First; seq-- { // a damaged one is passed by
		m, err := l.s.Get(ctx, seq)
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return err
		}
		if err == nil && len(m.Data) >= pieceHead && binary.LittleEndian.Uint64(m.Data[9:]) == xxhash.Sum64(m.Data[pieceHead:]) {
			from = max(from, binary.LittleEndian.Uint64(m.Data[1:]))
			break
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq = from - 1
	return nil
}

// note takes in one record. The caller holds l.writing.
func (l *ledger) note(ctx context.Context, r record) error {
	switch r.kind {
	case kindReign:
		var e reign
		if err := json.Unmarshal(r.line, &e); err != nil {
			return err
		}
		l.mu.Lock()
		l.epoch = max(l.epoch, e.Epoch)
		l.mu.Unlock()
	case kindKeyed:
		var k keyed
		if err := json.Unmarshal(r.line, &k); err != nil {
			return err
		}
		l.mu.Lock()
		l.keys = k
		l.mu.Unlock()
	case kindPlan:
		p := &planned{at: r.at}
		if err := json.Unmarshal(r.line, p); err != nil {
			return err
		}
		l.mu.Lock()
		if p.First > l.loaded {
			l.begun = append(l.begun, p)
		}
		l.mu.Unlock()
	case kindDone:
		d := new(done)
		if err := json.Unmarshal(r.line, d); err != nil {
			return err
		}
		l.finished(d)
	case kindSummary:
		var s summary
		if err := json.Unmarshal(r.line, &s); err != nil {
			return err
		}
		if l.summary != 0 { // everything before it was read already
			l.summary, l.since = r.at, 0
			return nil
		}
		var begun []*planned
		for _, at := range s.Begun {
			old, err := l.read(ctx, at)
			if err != nil {
				return err
			}
			p := &planned{at: at}
			if old.damage != nil || old.at != at || old.kind != kindPlan {
				return fmt.Errorf("record %d, of a plan, cannot be read", at)
			}
			if err := json.Unmarshal(old.line, p); err != nil {
				return err
			}
			begun = append(begun, p)
		}
		l.summary, l.since = r.at, 0
		l.mu.Lock()
		defer l.mu.Unlock()
		l.epoch, l.loaded, l.last, l.begun = max(l.epoch, s.Epoch), s.Loaded, s.Last, begun
		if s.Keys != nil {
			l.keys = *s.Keys
		}
		clear(l.totals)
		for _, c := range s.Counts {
			o := c.Outcome
			l.totals[countKey{c.Source, c.Contract}] = &o
		}
		return nil
	default:
		return fmt.Errorf("record %d is of an unknown kind %q", r.at, r.kind)
	}
	l.since++
	return nil
}

// finished takes in that a plan is done.
func (l *ledger) finished(d *done) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range d.Counts {
		key := countKey{c.Source, c.Contract}
		if l.totals[key] == nil {
			l.totals[key] = new(Outcome)
		}
		l.totals[key].add(c.Outcome)
	}
	l.loaded = max(l.loaded, d.Last)
	l.last = &done{First: d.First, Last: d.Last, Cut: d.Cut, Rows: d.Rows}
	l.begun = slices.DeleteFunc(l.begun, func(p *planned) bool { return p.Last <= d.Last })
}

// append writes a record behind the newest known; errDeposed when somebody else has
// written there. After another error the same record is to be written again. The caller
// holds l.writing. It returns the record's first message.
func (l *ledger) append(ctx context.Context, kind byte, v any, rest []byte) (uint64, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	body := make([]byte, 0, 2+len(line)+len(rest))
	body = append(body, kind)
	body = append(body, line...)
	body = append(body, '\n')
	body = append(body, rest...)
	seq := l.seq
	for at := 0; at < len(body); at += pieceBytes {
		piece := body[at:min(at+pieceBytes, len(body))]
		data := make([]byte, pieceHead, pieceHead+len(piece))
		if at+len(piece) < len(body) {
			data[0] |= flagMore
		}
		if at > 0 {
			data[0] |= flagRest
		}
		binary.LittleEndian.PutUint64(data[1:], l.summary)
		binary.LittleEndian.PutUint64(data[9:], xxhash.Sum64(piece))
		next, err := l.s.Append(ctx, append(data, piece...), seq)
		if err != nil && problem.KindOf(err) == problem.Conflict {
			return 0, fatal{errDeposed}
		}
		if err != nil {
			return 0, err
		}
		seq = next
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.seq + 1
	l.seq = seq
	l.since++
	return first, nil
}

// now is the last message that is loaded, and the newest epoch.
func (l *ledger) now() (loaded, epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loaded, l.epoch
}

// newest are the newest plan that is done and the one that is begun; nil when there is none.
func (l *ledger) newest() (last *done, begun *planned) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.begun) > 0 {
		begun = l.begun[0]
	}
	return l.last, begun
}

// adopt refuses a folder whose ledger was a file of the loader's own, as the first builds kept it.
func (l *ledger) adopt(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "plans-*.log"))
	if err == nil && len(old) > 0 {
		return problem.New(problem.Conflict, "%s is the ledger of an earlier build, which kept it in files; this build keeps it in the journal: load the events into a new data folder", dir)
	}
	return err
}

// reign makes the caller the only one who writes. The ledger must be caught up.
func (l *ledger) reign(ctx context.Context, e reign) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if e.Epoch <= l.epoch {
		return problem.New(problem.Conflict, "the ledger knows of a loader of epoch %d, which is not before %d", l.epoch, e.Epoch)
	}
	if _, err := l.append(ctx, kindReign, e, nil); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch = e.Epoch
	return nil
}

// pseudonyms are the keys that what is stored was made with.
func (l *ledger) pseudonyms() keyed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys
}

// turn writes down that everything that is stored is of these keys from now on.
func (l *ledger) turn(ctx context.Context, k keyed) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if _, err := l.append(ctx, kindKeyed, k, nil); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = k
	return nil
}

// forgetRows erases the records of plans that are done and hold rows that they took back: once
// the plan is done nobody asks for them, and they name persons.
func (l *ledger) forgetRows(ctx context.Context) error {
	loaded, _ := l.now()
	for from := uint64(1); ; {
		r, err := l.read(ctx, from)
		if err != nil && problem.KindOf(err) == problem.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		var p planned
		if r.damage != nil || r.kind == kindPlan && json.Unmarshal(r.line, &p) == nil && p.Last <= loaded && len(p.Retracted) > 0 {
			for at := r.next; at > r.at; at-- { // from its end: half erased it is damaged, and found again
				if err := l.s.Erase(ctx, at-1); err != nil {
					return err
				}
			}
		}
		from = r.next
	}
}

// overtaken says whether somebody has written behind what this ledger knows; no when the server
// cannot tell.
func (l *ledger) overtaken(ctx context.Context) bool {
	l.mu.Lock()
	next := l.seq + 1
	l.mu.Unlock()
	_, err := l.s.Next(ctx, next)
	return err == nil
}

// begin writes a plan down, durably. Beginning a plan that is begun again is fine.
func (l *ledger) begin(ctx context.Context, p *planned) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if slices.ContainsFunc(l.begun, func(b *planned) bool { return b.First == p.First }) {
		return nil
	}
	if l.since >= summaryEvery {
		l.mu.Lock()
		s := summary{Epoch: l.epoch, Loaded: l.loaded, Counts: l.counts(), Last: l.last}
		if l.keys.Pseudonyms > 1 {
			keys := l.keys
			s.Keys = &keys
		}
		for _, b := range l.begun {
			s.Begun = append(s.Begun, b.at)
		}
		l.mu.Unlock()
		at, err := l.append(ctx, kindSummary, s, nil)
		if err != nil {
			return err
		}
		l.summary, l.since = at, 0
	}
	at, err := l.append(ctx, kindPlan, p, nil)
	if err != nil {
		return err
	}
	p.at = at
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = append(l.begun, p)
	return nil
}

// finish writes down that a plan is done, and what became of its messages.
func (l *ledger) finish(ctx context.Context, d *done, outcomes [][]Outcome) error {
	var rest []byte
	for _, parts := range outcomes {
		rest = binary.AppendUvarint(rest, uint64(len(parts)))
		for _, o := range parts {
			if o.Duplicate|o.Conflict|o.Damaged == 0 {
				rest = binary.AppendUvarint(rest, o.Accepted<<1)
				continue
			}
			rest = binary.AppendUvarint(rest, o.Accepted<<1|1)
			for _, n := range []uint64{o.Duplicate, o.Conflict, o.Damaged} {
				rest = binary.AppendUvarint(rest, n)
			}
		}
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if _, err := l.append(ctx, kindDone, d, rest); err != nil {
		return err
	}
	l.finished(d)
	return nil
}

// counts are the totals, by contract and source. The caller holds l.mu.
func (l *ledger) counts() []Count {
	var all []Count
	for key, o := range l.totals {
		all = append(all, Count{key.source, key.contract, *o})
	}
	slices.SortFunc(all, func(a, b Count) int {
		if c := strings.Compare(a.Contract, b.Contract); c != 0 {
			return c
		}
		return strings.Compare(a.Source, b.Source)
	})
	return all
}

// plans calls fn with every plan that is done and has a message in first to last, in
// their order; rest are the outcomes of its messages. It stops with fn's error.
func (l *ledger) plans(ctx context.Context, first, last uint64, fn func(d *done, at time.Time, rest []byte) error) error {
	from, err := l.search(ctx, func(d *done, _ time.Time) bool { return d.Last >= first })
	if err != nil {
		return err
	}
	for {
		d, r, err := l.nextDone(ctx, from)
		if err != nil || d == nil || d.First > last {
			return err
		}
		if d.Last >= first {
			if err := fn(d, r.time, r.rest); err != nil {
				return err
			}
		}
		from = r.next
	}
}

// nextDone is the first plan that is done at or after a message of the ledger; nil at
// the end. What cannot be read is passed by.
func (l *ledger) nextDone(ctx context.Context, from uint64) (*done, record, error) {
	for {
		r, err := l.read(ctx, from)
		if err != nil && problem.KindOf(err) == problem.NotFound {
			return nil, r, nil
		}
		if err != nil {
			return nil, r, err
		}
		d := new(done)
		if r.damage == nil && r.kind == kindDone && json.Unmarshal(r.line, d) == nil {
			return d, r, nil
		}
		from = r.next
	}
}

// search is the first message of the ledger from which on every plan that is done is
// as asked; found by halving.
func (l *ledger) search(ctx context.Context, is func(*done, time.Time) bool) (uint64, error) {
	l.mu.Lock()
	low, high := uint64(1), l.seq+1
	l.mu.Unlock()
	for low < high {
		middle := low + (high-low)/2
		d, r, err := l.nextDone(ctx, middle)
		if err != nil {
			return 0, err
		}
		if d == nil || is(d, r.time) {
			high = middle
		} else {
			low = r.next
		}
	}
	return low, nil
}

// outcome adds up what became of the parts of a range that are loaded.
func (l *ledger) outcome(ctx context.Context, r journal.Range) (sum Outcome, err error) {
	l.mu.Lock()
	loaded := l.loaded
	l.mu.Unlock()
	if r.First.Seq > loaded {
		return sum, nil
	}
	err = l.plans(ctx, r.First.Seq, r.Last.Seq, func(d *done, _ time.Time, rest []byte) error {
		outcomes(rest, d.First, r, &sum)
		return nil
	})
	return sum, err
}

// loadedBefore is the last message that was loaded before a moment of the ledger's
// server's clock; 0 when none was.
func (l *ledger) loadedBefore(ctx context.Context, moment time.Time) (uint64, error) {
	end, err := l.search(ctx, func(_ *done, at time.Time) bool { return at.After(moment) })
	if err != nil {
		return 0, err
	}
	// The plan before that place: the search went by it, at most a few records back.
	for from := end; from > 1; {
		from -= min(from-1, 8)
		var last uint64
		for at := from; at < end; {
			d, r, err := l.nextDone(ctx, at)
			if err != nil {
				return 0, err
			}
			if d == nil || r.at >= end {
				break
			}
			last, at = d.Last, r.next
		}
		if last > 0 {
			return last, nil
		}
	}
	return 0, nil
}

// outcomes adds up the parts of a range from the outcomes of a plan's messages.
func outcomes(rest []byte, seq uint64, r journal.Range, sum *Outcome) {
	next := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			n, v = len(rest), 0
		}
		rest = rest[n:]
		return v
	}
	for ; len(rest) > 0; seq++ {
		parts := next()
		for part := range int(parts) {
			accepted := next()
			o := Outcome{Accepted: accepted >> 1}
			if accepted&1 == 1 {
				o.Duplicate, o.Conflict, o.Damaged = next(), next(), next()
			}
			if (seq > r.First.Seq || seq == r.First.Seq && part >= r.First.Part) &&
				(seq < r.Last.Seq || seq == r.Last.Seq && part <= r.Last.Part) {
				sum.add(o)
			}
		}
	}
}
