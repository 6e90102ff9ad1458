package loader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"ombor/ingest/journal"
	"ombor/internal/problem"
	"ombor/internal/reference"
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
	Rows  map[string]uint64 `json:"rows"` // event type → rows for the warehouse
	// Arrow streams, by event type, of the rows that the plan takes back: once the plan's own
	// rows are in, the warehouse cannot be asked for them any more.
	Retracted map[string][]byte `json:"retracted,omitempty"`
}

// done is what is written down when warehouse, rollups and lake hold a plan.
type done struct {
	First  uint64  `json:"first"`
	Last   uint64  `json:"last"`
	Counts []Count `json:"counts,omitempty"` // of this plan; in a file's first record: of all before
	Total  bool    `json:"total,omitempty"`
}

// ledger is the loader's durable memory: an append-only log of plans, so that a crash
// finds what was begun, and of what became of every message. It lives in files
// of about fileBytes, named by the first message they tell of:
//
//	plans-<first message>.log
//
// A record is: uint32 length, uint64 xxHash64, body. A body is one byte of kind, a
// line of JSON, and for a plan that is done the outcomes of its messages as
// varints: for each message the number of its parts, for each part accepted × 2
// when that is all, else accepted × 2 + 1, duplicate, conflict, damaged.
type ledger struct {
	dir string

	mu     sync.Mutex
	f      *os.File
	size   int64 // of complete records in f
	broken bool  // f may end in half a record: cut it before the next
	loaded uint64
	open   *planned // begun and not done
	totals map[countKey]*Outcome
}

const (
	recordHead = 12
	kindPlan   = 'P'
	kindDone   = 'D'
)

// fileBytes is when a new file of the ledger begins. A receipt is found by reading
// one file.
var fileBytes int64 = 8 << 20

func openLedger(dir string) (*ledger, error) {
	l := &ledger{dir: dir, totals: map[countKey]*Outcome{}}
	err := os.MkdirAll(dir, 0o700)
	var names []string
	if err == nil {
		names, err = l.files()
	}
	if err == nil && len(names) > 0 {
		// The newest file begins with the totals. A crash just after its creation may
		// have left it without: then the one before tells.
		err = l.load(names[len(names)-1])
		if err == nil && l.size == 0 {
			l.f.Close()
			err = os.Remove(names[len(names)-1])
			if err == nil && len(names) > 1 {
				err = l.load(names[len(names)-2])
			} else {
				l.f = nil
			}
		}
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "loader: ledger", "the loader's ledger in %s cannot be read", dir)
	}
	return l, nil
}

func (l *ledger) files() ([]string, error) {
	names, err := filepath.Glob(filepath.Join(l.dir, "plans-*.log"))
	slices.Sort(names) // the numbers have leading zeros
	return names, err
}

// load reads a file, cuts what a crash tore at its end, and goes on writing there.
func (l *ledger) load(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	l.f = f
	l.size, err = records(f, func(kind byte, line, _ []byte) error {
		switch kind {
		case kindPlan:
			l.open = new(planned)
			return json.Unmarshal(line, l.open)
		case kindDone:
			var d done
			if err := json.Unmarshal(line, &d); err != nil {
				return err
			}
			l.note(d)
			return nil
		}
		return fmt.Errorf("a record of unknown kind %q", kind)
	})
	if err != nil {
		return err
	}
	l.broken = true
	return l.mend()
}

// mend cuts the file to its complete records.
func (l *ledger) mend() error {
	if !l.broken {
		return nil
	}
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	if _, err := l.f.Seek(l.size, io.SeekStart); err != nil {
		return err
	}
	l.broken = false
	return nil
}

func (l *ledger) note(d done) {
	for _, c := range d.Counts {
		key := countKey{c.Source, c.Contract}
		if l.totals[key] == nil {
			l.totals[key] = new(Outcome)
		}
		if d.Total {
			*l.totals[key] = c.Outcome
		} else {
			l.totals[key].add(c.Outcome)
		}
	}
	l.loaded = d.Last
	if l.open != nil && l.open.Last <= d.Last {
		l.open = nil
	}
}

// records calls fn with every complete record and returns where the last one ends.
func records(r io.Reader, fn func(kind byte, line, rest []byte) error) (int64, error) {
	in := bufio.NewReaderSize(r, 1<<18)
	var at int64
	var head [recordHead]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return at, nil
			}
			return at, err
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[:]))
		if _, err := io.ReadFull(in, body); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return at, nil
			}
			return at, err
		}
		line, rest, ok := bytes.Cut(body, []byte("\n"))
		if !ok || len(line) == 0 || xxhash.Sum64(body) != binary.LittleEndian.Uint64(head[4:]) {
			return at, nil // torn: nothing after it was promised
		}
		if err := fn(line[0], line[1:], rest); err != nil {
			return at, err
		}
		at += recordHead + int64(len(body))
	}
}

func (l *ledger) append(kind byte, v any, rest []byte) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := l.mend(); err != nil {
		return err
	}
	record := make([]byte, recordHead, recordHead+2+len(line)+len(rest))
	record = append(record, kind)
	record = append(record, line...)
	record = append(record, '\n')
	record = append(record, rest...)
	binary.LittleEndian.PutUint32(record, uint32(len(record)-recordHead))
	binary.LittleEndian.PutUint64(record[4:], xxhash.Sum64(record[recordHead:]))
	l.broken = true
	if _, err := l.f.Write(record); err != nil {
		return err
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.broken = false
	l.size += int64(len(record))
	return nil
}

func (l *ledger) fault(err error) error {
	return problem.Wrap(err, problem.Unavailable, "loader: ledger", "the loader's ledger in %s cannot be written", l.dir)
}

// begin writes a plan down, durably. Beginning the plan that is open again is fine.
func (l *ledger) begin(p *planned) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != nil && l.open.First == p.First {
		return nil
	}
	if l.f == nil || l.size > fileBytes {
		if err := l.turn(p.First); err != nil {
			return l.fault(err)
		}
	}
	if err := l.append(kindPlan, p, nil); err != nil {
		return l.fault(err)
	}
	l.open = p
	return nil
}

// turn begins a new file with the totals so far. Half a file, from a crash or an
// error here, is begun again.
func (l *ledger) turn(first uint64) error {
	f, err := os.OpenFile(filepath.Join(l.dir, fmt.Sprintf("plans-%020d.log", first)), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	old, size := l.f, l.size
	l.f, l.size, l.broken = f, 0, false
	if err = l.append(kindDone, done{First: l.loaded, Last: l.loaded, Counts: l.counts(), Total: true}, nil); err == nil {
		err = syncDir(l.dir)
	}
	if err != nil {
		f.Close()
		l.f, l.size, l.broken = old, size, false
		return err
	}
	if old != nil {
		old.Close() // everything in it is synced
	}
	return nil
}

// finish writes down that a plan is done, and what became of its messages.
func (l *ledger) finish(d done, outcomes [][]Outcome) error {
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
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.append(kindDone, d, rest); err != nil {
		return l.fault(err)
	}
	l.note(d)
	return nil
}

// counts are the totals, by source and contract. The caller holds l.mu.
func (l *ledger) counts() []Count {
	var all []Count
	for key, o := range l.totals {
		all = append(all, Count{key.source, key.contract, *o})
	}
	slices.SortFunc(all, func(a, b Count) int {
		if a.Contract != b.Contract {
			if a.Contract < b.Contract {
				return -1
			}
			return 1
		}
		if a.Source < b.Source {
			return -1
		}
		return 1
	})
	return all
}

var errEnough = errors.New("enough")

// outcome adds up what became of the parts of a range that are loaded.
func (l *ledger) outcome(r journal.Range) (sum Outcome, err error) {
	l.mu.Lock()
	names, err := l.files()
	loaded := l.loaded
	l.mu.Unlock()
	if err != nil {
		return sum, problem.Wrap(err, problem.Internal, "loader: outcome", "the loader's ledger cannot be read")
	}
	// Begin with the newest file whose first message is not behind the range.
	at := 0
	for i, name := range names {
		var first uint64
		if scan(filepath.Base(name), "plans-%020d.log", &first) && first <= r.First.Seq {
			at = i
		}
	}
	for _, name := range names[at:] {
		if r.First.Seq > loaded {
			break
		}
		f, err := os.Open(name)
		if err != nil {
			return sum, problem.Wrap(err, problem.Internal, "loader: outcome", "the loader's ledger cannot be read")
		}
		_, err = records(f, func(kind byte, line, rest []byte) error {
			var d done
			if kind != kindDone {
				return nil
			}
			if err := json.Unmarshal(line, &d); err != nil {
				return err
			}
			if d.Total || d.Last < r.First.Seq {
				return nil
			}
			if d.First > r.Last.Seq {
				return errEnough
			}
			return outcomes(rest, d.First, r, &sum)
		})
		f.Close()
		if err == errEnough {
			break
		}
		if err != nil {
			return sum, problem.Wrap(err, problem.Internal, "loader: outcome", "the loader's ledger is damaged: %s", name)
		}
	}
	return sum, nil
}

// outcomes adds up the parts of a range from the outcomes of a plan's messages.
func outcomes(rest []byte, seq uint64, r journal.Range, sum *Outcome) error {
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
	return nil
}

func (l *ledger) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
