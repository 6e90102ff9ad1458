package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Quarantine keeps events aside: checked and pseudonymised, durable, and not counted.
//
// It is a log of its own beside the journal. A message holds lines of JSON, each an
// operation; what the quarantine holds is what the operations amount to, applied in
// the order of the log:
//
//	{"op":"hold","id":"…","row":…,"held":{…}}               an event is kept aside: open
//	{"op":"fix","id":"…","held":{…},"by":"…","note":"…"}    it has other content now
//	{"op":"begin","ids":[…],"after":7,"by":"…","note":"…"}  somebody begins to replay them: replaying
//	{"op":"end","ids":[…],"begun":9,"into":"8.0-8.0"}       they stand in the journal: replayed
//	{"op":"back","ids":[…],"begun":9}                       they do not, and are open again
//	{"op":"dismiss","ids":[…],"by":"…","note":"…"}          they will not be counted: dismissed
//	{"op":"keep",…}                                         an entry as it stands, when the log is made shorter
//
// An operation on an entry that is not in the state it needs changes nothing, so that
// of two who act at once the first wins and each learns the truth.
//
// # Exactly once
//
// An entry's id is a hash of what it is: its identity (_id), revision and digest, and
// whether it was held at the door or found in conflict; damage is named by its place. So
// holding the same thing again, after a crash or because a sender repeats himself for a
// year, changes nothing.
//
// # The index
//
// Every entry has about a hundred bytes in memory: what filters need, and where its text
// stands. They are written to a file now and then and when the journal closes; opening
// reads that file and what was logged since, never the whole quarantine. A file that is
// missing, damaged or of another quarantine is made anew from the log.
//
// # Full
//
// The quarantine has limits ([Options.MaxHeld] bytes, [Options.MaxEntries]). At nine
// tenths of either [Journal.Hold] refuses with [ErrFull], so that the door answers with
// the reason; the last tenth is for what the loader finds, and when that is full, too,
// [Quarantine.Hold] refuses and the loader waits. Nothing is ever dropped. What is replayed or dismissed stays
// readable for 90 days, less when room is needed.
type Quarantine struct {
	s       *stream.Stream
	log     *slog.Logger
	file    string // of the index; "" is none
	limit   struct{ bytes, entries int64 }
	due     uint64 // last message of the log when it was opened
	cancel  context.CancelFunc
	ended   chan struct{}
	compact chan struct{} // holds one: look whether the log can be shorter

	op sync.Mutex // held while an operation that depends on a state is decided and logged

	mu      sync.RWMutex
	changed chan struct{} // closed and replaced when a message was applied
	applied uint64        // last message in the index
	mark    uint64        // xxHash64 of that message
	bytes   int64         // of the log, about
	items   []item        // by number
	numbers map[entryID]uint64
	kinds   []kind
	kindAt  map[kind]uint32
	tally   []tally // by kind
	pending int     // entries being replayed
	fresh   int     // lines applied since the index was written
	lost    uint64  // messages that the log should have and has not
	changes uint64  // lines applied that change an entry's state or content
}

// Codes of what the loader finds; the door's are contract.UnknownReference and contract.RuleBroken.
const (
	codeConflict = contract.Conflict
	codeDamaged  = contract.Damaged
)

// EntryState is what has become of an entry.
type EntryState uint8

const (
	StateOpen      EntryState = iota // waits for somebody
	StateReplaying                   // somebody has begun to replay it
	StateReplayed                    // it stands in the journal
	StateDismissed                   // somebody decided that it does not count
)

var stateNames = [...]string{"open", "replaying", "replayed", "dismissed"}

func (s EntryState) String() string { return stateNames[s] }

// ParseEntryState reads what [EntryState.String] writes.
func ParseEntryState(name string) (EntryState, bool) {
	i := slices.Index(stateNames[:], name)
	return EntryState(max(i, 0)), i >= 0
}

// Entry is one event in quarantine.
type Entry struct {
	ID     string // 20 hexadecimal digits
	Number uint64 // by which entries are ordered, oldest first; never used again
	Held   contract.Held
	At     time.Time // when it was kept aside
	Row    uint64    // where the journal has it: message × 2²⁰ + row, or part when damaged; 0: held at the door
	State  EntryState
	Fixed  int       // how often its content was changed
	Closed time.Time // when it was replayed or dismissed
	By     string    // who replayed or dismissed it
	Note   string    // and why
	Into   string    // where in the journal it was replayed to, as a [Range]
}

// Filter chooses entries; an empty field chooses all.
type Filter struct {
	Code, Source, Type string
	States             []EntryState
	Since, Until       time.Time // kept aside from Since to before Until
}

// Tally counts the entries of one code, source and type.
type Tally struct {
	Code, Source, Type        string
	Open, Replayed, Dismissed uint64    // Open includes those being replayed
	Since                     time.Time // when the oldest open one was kept aside; zero when none is open
}

// ErrFull is the cause of the error when the quarantine takes no more.
var ErrFull = errors.New("the quarantine is full")

const (
	keepClosed     = 90 * 24 * time.Hour
	defaultEntries = 500_000
	doorShare      = 0.9      // of the limits; the rest is for what the loader finds
	indexEvery     = 20_000   // lines applied between two writings of the index
	compactStep    = 32 << 20 // bytes of the log that are made shorter at once
)

type entryID [10]byte

func (id entryID) String() string { return hex.EncodeToString(id[:]) }

func parseID(text string) (id entryID, ok bool) {
	n, err := hex.Decode(id[:], []byte(text[:min(len(text), 2*len(id))]))
	return id, err == nil && n == len(id) && len(text) == 2*len(id)
}

// EntryID is the id under which an event is held. row is its place when its code is
// damaged, and does not count otherwise.
func EntryID(h *contract.Held, row uint64) string { return idOf(h, row).String() }

func idOf(h *contract.Held, row uint64) (id entryID) {
	var b []byte
	switch h.Code {
	case codeDamaged:
		b = binary.BigEndian.AppendUint64([]byte("damaged "), row)
	case codeConflict:
		b = append(b, "conflict "...)
	default:
		b = append(b, "door "...)
	}
	if h.Code != codeDamaged {
		b = append(b, h.Key...)
		b = binary.BigEndian.AppendUint32(b, h.Revision)
		b = binary.BigEndian.AppendUint64(b, h.Digest)
		if h.Withdrawn {
			b = append(b, 1)
		}
	}
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id
}

// where is a line of a message of the log.
type where struct {
	Seq  uint64
	Line uint32
}

func (w where) number() uint64 { return w.Seq<<20 | uint64(w.Line) }

type kind struct{ Code, Source, Type string }

// item is what the index knows of an entry.
type item struct {
	number uint64
	id     entryID
	state  EntryState
	fixed  uint8
	kind   uint32
	size   uint32 // bytes of its line
	body   where  // the line with its content
	note   where  // the line that closed it, or began its replay
	row    uint64
	at     int64 // Unix milliseconds
	closed int64
}

type tally struct{ states [4]uint64 }

// record is a line of the log.
type record struct {
	Op    string         `json:"op"`
	ID    string         `json:"id,omitempty"`
	IDs   []string       `json:"ids,omitempty"`
	Row   uint64         `json:"row,omitempty"`
	Held  *contract.Held `json:"held,omitempty"`
	By    string         `json:"by,omitempty"`
	Note  string         `json:"note,omitempty"`
	After uint64         `json:"after,omitempty"`
	Begun uint64         `json:"begun,omitempty"`
	Into  string         `json:"into,omitempty"`

	Number uint64     `json:"number,omitempty"` // of keep, as those below
	State  EntryState `json:"state,omitempty"`
	Fixed  uint8      `json:"fixed,omitempty"`
	At     int64      `json:"at,omitempty"`
	Closed int64      `json:"closed,omitempty"`
}

// openQuarantine reads the index and goes on reading the log until close.
func openQuarantine(ctx context.Context, conn *stream.Conn, opts Options) (*Quarantine, error) {
	q := &Quarantine{log: opts.Logger, file: opts.HeldIndex, ended: make(chan struct{}), compact: make(chan struct{}, 1), changed: make(chan struct{})}
	q.limit.bytes, q.limit.entries = opts.MaxHeld, int64(opts.MaxEntries)
	var err error
	// The stream itself takes more than the limit: what dismisses must always find room.
	if q.s, err = conn.Stream(ctx, stream.Config{Name: opts.Name + "_HELD", About: "Events kept aside", MaxBytes: opts.MaxHeld + opts.MaxHeld/8 + 64<<20, Least: 128 << 20}); err != nil {
		return nil, err
	}
	st, err := q.s.State(ctx)
	if err != nil {
		return nil, err
	}
	if st.MaxBytes > 0 { // an outside server may allow less than was asked for
		q.limit.bytes = min(q.limit.bytes, (st.MaxBytes-32<<20)/9*8)
	}
	q.due = st.Last
	if !q.readIndex(ctx, st) {
		q.forget()
		q.applied = st.First - 1
		if st.Last > q.applied {
			q.log.Info("journal: the quarantine's index is made from its log", "messages", st.Last-q.applied)
		}
	}
	q.bytes = int64(st.Bytes)
	running, cancel := context.WithCancel(context.Background())
	q.cancel = cancel
	var group sync.WaitGroup
	group.Go(func() { q.follow(running) })
	group.Go(func() { q.tidy(running) })
	go func() { group.Wait(); close(q.ended) }()
	return q, nil
}

func (q *Quarantine) close() error {
	q.cancel()
	<-q.ended
	return q.writeIndex()
}

func (q *Quarantine) forget() {
	q.items, q.numbers, q.kinds, q.kindAt, q.tally, q.pending, q.applied = nil, map[entryID]uint64{}, nil, map[kind]uint32{}, nil, 0, 0
}

// follow applies what is logged, by whomever, until ctx ends.
func (q *Quarantine) follow(ctx context.Context) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		q.mu.RLock()
		next := q.applied + 1
		q.mu.RUnlock()
		err := q.s.Follow(ctx, next, func(m stream.Message) error {
			pause = 50 * time.Millisecond
			q.apply(m)
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		q.log.Debug("journal: the quarantine's log is away; trying again", "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// tidy writes the index and shortens the log when there is reason to.
func (q *Quarantine) tidy(ctx context.Context) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-q.compact:
		}
		if q.ready(ctx) != nil {
			continue
		}
		if err := q.shorten(ctx, time.Now()); err != nil && ctx.Err() == nil {
			q.log.Warn("journal: the quarantine's log was not made shorter; it will be tried again", "err", err)
		}
		q.mu.RLock()
		due := q.fresh >= indexEvery
		q.mu.RUnlock()
		if due {
			if err := q.writeIndex(); err != nil {
				q.log.Warn("journal: the quarantine's index was not written; it will be tried again", "err", err)
			}
		}
	}
}

func (q *Quarantine) look() {
	select {
	case q.compact <- struct{}{}:
	default:
	}
}

// apply brings one message into the index.
func (q *Quarantine) apply(m stream.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.Seq > q.applied+1 && q.applied > 0 {
		q.lost += m.Seq - q.applied - 1
		q.log.Error("journal: messages of the quarantine are lost; entries or what became of them may be missing", "first", q.applied+1, "last", m.Seq-1)
	}
	at := m.Time.UnixMilli()
	for n, line := range splitLines(m.Data) {
		q.fresh++
		here := where{m.Seq, uint32(n)}
		r, err := readBriefly(line, here)
		if err != nil { // the journal's streams have checksums of their own: this is no flipped bit
			q.log.Error("journal: a line of the quarantine cannot be read", "message", m.Seq, "line", n, "err", err)
			continue
		}
		q.applyRecord(&r, here, uint32(len(line)), at)
	}
	q.applied, q.mark = m.Seq, markOf(m.Data)
	if q.fresh >= indexEvery {
		q.look()
	}
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *Quarantine) applyRecord(r *record, here where, size uint32, at int64) {
	if r.Op != "hold" && r.Op != "keep" {
		q.changes++
	}
	switch r.Op {
	case "hold":
		id, ok := parseID(r.ID)
		if _, known := q.numbers[id]; !ok || known || r.Held == nil {
			return
		}
		q.add(item{number: here.number(), id: id, kind: q.kind(r.Held), size: size, body: here, row: r.Row, at: at})
	case "keep":
		id, ok := parseID(r.ID)
		if !ok || r.Held == nil {
			return
		}
		x := q.item(id)
		if x == nil {
			q.add(item{number: r.Number, id: id, state: r.State, fixed: r.Fixed, kind: q.kind(r.Held), size: size, body: here, note: here, row: r.Row, at: r.At, closed: r.Closed})
			return
		}
		x.body, x.note, x.size = here, here, size
	case "fix":
		if x := q.named(r.ID); x != nil && x.state == StateOpen && r.Held != nil {
			q.tally[x.kind].states[StateOpen]--
			x.body, x.kind, x.size = here, q.kind(r.Held), size
			q.tally[x.kind].states[StateOpen]++
			if x.fixed < 255 {
				x.fixed++
			}
		}
	case "begin":
		q.each(r.IDs, func(x *item) {
			if x.state == StateOpen {
				q.turn(x, StateReplaying)
				x.note = here
			}
		})
	case "end":
		q.each(r.IDs, func(x *item) {
			if x.state == StateReplaying && x.note.Seq == r.Begun {
				q.turn(x, StateReplayed)
				x.note, x.closed = here, at
			}
		})
	case "back":
		q.each(r.IDs, func(x *item) {
			if x.state == StateReplaying && x.note.Seq == r.Begun {
				q.turn(x, StateOpen)
			}
		})
	case "dismiss":
		q.each(r.IDs, func(x *item) {
			if x.state == StateOpen {
				q.turn(x, StateDismissed)
				x.note, x.closed = here, at
			}
		})
	}
}

func (q *Quarantine) each(ids []string, fn func(*item)) {
	for _, id := range ids {
		if x := q.named(id); x != nil {
			fn(x)
		}
	}
}

func (q *Quarantine) add(x item) {
	if n := len(q.items); n > 0 && q.items[n-1].number > x.number {
		at, _ := slices.BinarySearchFunc(q.items, x.number, byNumber)
		q.items = slices.Insert(q.items, at, x)
	} else {
		q.items = append(q.items, x)
	}
	q.numbers[x.id] = x.number
	q.tally[x.kind].states[x.state]++
	if x.state == StateReplaying {
		q.pending++
	}
}

func (q *Quarantine) turn(x *item, to EntryState) {
	t := &q.tally[x.kind]
	t.states[x.state]--
	t.states[to]++
	if x.state == StateReplaying {
		q.pending--
	}
	if to == StateReplaying {
		q.pending++
	}
	x.state = to
}

func byNumber(x item, number uint64) int {
	switch {
	case x.number < number:
		return -1
	case x.number > number:
		return 1
	}
	return 0
}

// item finds an entry; the caller holds q.mu.
func (q *Quarantine) item(id entryID) *item {
	number, ok := q.numbers[id]
	if !ok {
		return nil
	}
	at, ok := slices.BinarySearchFunc(q.items, number, byNumber)
	if !ok {
		return nil
	}
	return &q.items[at]
}

func (q *Quarantine) named(text string) *item {
	id, ok := parseID(text)
	if !ok {
		return nil
	}
	return q.item(id)
}

func (q *Quarantine) kind(h *contract.Held) uint32 {
	k := kind{h.Code, h.Source, h.Type}
	at, ok := q.kindAt[k]
	if !ok {
		at = uint32(len(q.kinds))
		q.kinds, q.tally = append(q.kinds, k), append(q.tally, tally{})
		q.kindAt[k] = at
	}
	return at
}

func splitLines(data []byte) [][]byte {
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

// brief is a line as the index needs it: of the event no more than its kind.
type brief struct {
	record
	Held *kindOfHeld `json:"held"` // hides the record's
}

type kindOfHeld struct {
	Code   string `json:"code"`
	Source string `json:"source"`
	Type   string `json:"type"`
}

// readBriefly is readLine without the event's content, which is most of the work.
func readBriefly(line []byte, here where) (record, error) {
	var b brief
	if err := json.Unmarshal(line, &b); err != nil || b.Op == "" {
		return readLine(line, here)
	}
	if b.Held != nil {
		b.record.Held = &contract.Held{Code: b.Held.Code, Source: b.Held.Source, Type: b.Held.Type}
	}
	return b.record, nil
}

// readLine reads a line of the log. Lines of an older version are an event and nothing
// else; their id is their place.
func readLine(line []byte, here where) (r record, err error) {
	if err = json.Unmarshal(line, &r); err != nil || r.Op != "" {
		return r, err
	}
	r = record{Op: "hold", Held: new(contract.Held)}
	if err = json.Unmarshal(line, r.Held); err != nil {
		return r, err
	}
	if r.Held.Key == "" && r.Held.Code == codeConflict {
		r.Held.Key = r.Held.ID // the sender's own was not stored
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "place %d.%d", here.Seq, here.Line))
	var id entryID
	copy(id[:], sum[:])
	r.ID = id.String()
	return r, nil
}

// ready returns when what stood in the log at the start is in the index; Unavailable when
// that takes longer than a moment.
func (q *Quarantine) ready(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := q.await(limited, q.due)
	if err != nil && ctx.Err() == nil {
		q.mu.RLock()
		applied := q.applied
		q.mu.RUnlock()
		return &problem.Error{Kind: problem.Unavailable, Op: "journal: quarantine", RetryAfter: 5 * time.Second, Cause: err,
			Message: fmt.Sprintf("the quarantine is being read: message %d of %d", applied, q.due)}
	}
	return err
}

// await returns when a message is in the index.
func (q *Quarantine) await(ctx context.Context, seq uint64) error {
	for {
		q.mu.RLock()
		applied, changed := q.applied, q.changed
		q.mu.RUnlock()
		if applied >= seq {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Found is an event that the loader keeps aside, and its place in the journal:
// message × 2²⁰ + row, or + part when it is damaged.
type Found struct {
	Held contract.Held
	Row  uint64
}

// Hold keeps aside what was found in the journal, durably. Holding it again changes
// nothing. Errors as of [Journal.Append], and Unavailable with [ErrFull].
func (q *Quarantine) Hold(ctx context.Context, found []Found) error {
	return q.hold(ctx, found, 1)
}

// Hold keeps events of the door aside, durably, until somebody fixes, replays or
// dismisses them. Holding an event again changes nothing. All of them or none are
// refused when the quarantine is full: Unavailable with [ErrFull]. Other errors as of
// [Journal.Append]; some of the events may be held then, and holding them again is right.
func (j *Journal) Hold(ctx context.Context, held []contract.Held) error {
	found := make([]Found, len(held))
	for i := range held {
		found[i].Held = held[i]
	}
	return j.quarantine.hold(ctx, found, doorShare)
}

func (q *Quarantine) hold(ctx context.Context, found []Found, share float64) error {
	var lines [][]byte
	size := 0
	seen := map[entryID]bool{}
	for i := range found {
		h := &found[i].Held
		id := idOf(h, found[i].Row)
		q.mu.RLock()
		_, known := q.numbers[id]
		q.mu.RUnlock()
		if known || seen[id] {
			continue
		}
		seen[id] = true
		line, err := json.Marshal(&record{Op: "hold", ID: id.String(), Row: found[i].Row, Held: h})
		if err != nil {
			return problem.Wrap(err, problem.Internal, "journal: hold", "an event cannot be kept aside")
		}
		if len(line) >= MaxMessage {
			return problem.New(problem.TooLarge, "an event of %s is larger than %d KB", h.Type, MaxMessage>>10).
				Also("uz", "“%s” turidagi hodisa %d KB dan katta.", h.Type, MaxMessage>>10).
				Also("ru", "Событие вида «%s» больше %d КБ.", h.Type, MaxMessage>>10)
		}
		lines = append(lines, line)
		size += len(line)
	}
	if len(lines) == 0 {
		return nil
	}
	if err := q.room(len(lines), size, share); err != nil {
		return err
	}
	last, err := q.publish(ctx, lines)
	if err != nil {
		return err
	}
	// It is durable; that it can be listed at once is a courtesy.
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = q.await(wait, last)
	return nil
}

// Replayed says of each event of the door whether it has an entry that was replayed: the
// event is in the journal then, as it came or as somebody fixed it.
func (j *Journal) Replayed(held []contract.Held) []bool {
	q := j.quarantine
	q.mu.RLock()
	defer q.mu.RUnlock()
	replayed := make([]bool, len(held))
	for i := range held {
		x := q.item(idOf(&held[i], 0))
		replayed[i] = x != nil && x.state == StateReplayed
	}
	return replayed
}

// room is ErrFull when the limits leave no room.
func (q *Quarantine) room(entries, bytes int, share float64) error {
	q.mu.RLock()
	n, stored := int64(len(q.items)), q.bytes
	q.mu.RUnlock()
	if float64(stored) > 0.7*float64(q.limit.bytes) || float64(n) > 0.7*float64(q.limit.entries) {
		q.look()
	}
	if float64(n+int64(entries)) <= share*float64(q.limit.entries) && float64(stored+int64(bytes)) <= share*float64(q.limit.bytes) {
		return nil
	}
	return &problem.Error{Kind: problem.Unavailable, Op: "journal: hold", RetryAfter: 10 * time.Second, Cause: ErrFull,
		Message: fmt.Sprintf("the quarantine is full: it has %d entries of %d and %d MB of %d; replay or dismiss what is open", n, q.limit.entries, stored>>20, q.limit.bytes>>20)}
}

// publish logs lines in as few messages as possible, and returns the last one's sequence.
func (q *Quarantine) publish(ctx context.Context, lines [][]byte) (last uint64, err error) {
	var message bytes.Buffer
	flush := func() error {
		if message.Len() == 0 {
			return nil
		}
		last, err = q.s.Publish(ctx, "", bytes.Clone(message.Bytes()))
		if err == nil {
			q.mu.Lock()
			q.bytes += int64(message.Len()) + 64
			q.mu.Unlock()
		}
		message.Reset()
		return err
	}
	for _, line := range lines {
		if message.Len()+len(line) >= MaxMessage {
			if err := flush(); err != nil {
				return 0, err
			}
		}
		message.Write(line)
		message.WriteByte('\n')
	}
	return last, flush()
}

// act logs one operation and returns its message, when it is in the index.
func (q *Quarantine) act(ctx context.Context, r record) (uint64, error) {
	line, err := json.Marshal(&r)
	if err != nil {
		return 0, problem.Wrap(err, problem.Internal, "journal: quarantine", "this cannot be written down")
	}
	if len(line) >= MaxMessage {
		return 0, problem.New(problem.TooLarge, "this is larger than %d KB", MaxMessage>>10).
			Also("uz", "Bu %d KB dan katta.", MaxMessage>>10).
			Also("ru", "Это больше %d КБ.", MaxMessage>>10)
	}
	seq, err := q.publish(ctx, [][]byte{line})
	if err != nil {
		return 0, err
	}
	return seq, q.awaitSoon(ctx, seq)
}

// awaitSoon is await that gives up with Unavailable when the log cannot be read back.
func (q *Quarantine) awaitSoon(ctx context.Context, seq uint64) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := q.await(limited, seq)
	if err != nil && ctx.Err() == nil {
		return &problem.Error{Kind: problem.Unavailable, Op: "journal: quarantine", RetryAfter: 5 * time.Second, Cause: err,
			Message: "what was written to the quarantine cannot be read back yet; ask again in a moment"}
	}
	return err
}

// Entry is the entry with that id; NotFound when there is none.
func (q *Quarantine) Entry(ctx context.Context, id string) (Entry, error) {
	if err := q.ready(ctx); err != nil {
		return Entry{}, err
	}
	q.mu.RLock()
	x := q.named(id)
	var copied item
	if x != nil {
		copied = *x
	}
	q.mu.RUnlock()
	if x == nil {
		return Entry{}, problem.New(problem.NotFound, "nothing is in quarantine under %q", id).
			Also("uz", "Karantinda “%s” yozuvi yoʻq.", id).
			Also("ru", "В карантине нет записи «%s».", id)
	}
	entries, err := q.read(ctx, []item{copied})
	if err == nil && len(entries) == 0 {
		err = problem.New(problem.NotFound, "nothing is in quarantine under %q any more", id).
			Also("uz", "Karantinda “%s” yozuvi endi yoʻq.", id).
			Also("ru", "В карантине больше нет записи «%s».", id)
	}
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}

// List is the entries that a filter chooses, the newest first: at most limit of those
// with a number below before (0: from the newest). more says that there are others.
// What is kept aside meanwhile moves no page.
func (q *Quarantine) List(ctx context.Context, f Filter, before uint64, limit int) (entries []Entry, more bool, err error) {
	if err := q.ready(ctx); err != nil {
		return nil, false, err
	}
	var chosen []item
	q.mu.RLock()
	for i := len(q.items) - 1; i >= 0 && !more; i-- {
		x := &q.items[i]
		if before > 0 && x.number >= before || !q.matches(&f, x) {
			continue
		}
		if more = len(chosen) == limit; !more {
			chosen = append(chosen, *x)
		}
	}
	q.mu.RUnlock()
	entries, err = q.read(ctx, chosen)
	return entries, more, err
}

// IDs are the ids of the entries that a filter chooses, the oldest first.
func (q *Quarantine) IDs(ctx context.Context, f Filter) ([]string, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	q.mu.RLock()
	defer q.mu.RUnlock()
	var ids []string
	for i := range q.items {
		if q.matches(&f, &q.items[i]) {
			ids = append(ids, q.items[i].id.String())
		}
	}
	return ids, nil
}

func (q *Quarantine) matches(f *Filter, x *item) bool {
	k := &q.kinds[x.kind]
	return (f.Code == "" || f.Code == k.Code) && (f.Source == "" || f.Source == k.Source) && (f.Type == "" || f.Type == k.Type) &&
		(len(f.States) == 0 || slices.Contains(f.States, x.state)) &&
		(f.Since.IsZero() || x.at >= f.Since.UnixMilli()) && (f.Until.IsZero() || x.at < f.Until.UnixMilli())
}

// Tally counts entries by code, source and type: those kept aside from since to before
// until, or all when both are zero. It asks nobody.
func (q *Quarantine) Tally(since, until time.Time) []Tally {
	q.mu.RLock()
	defer q.mu.RUnlock()
	counts := q.tally
	if !since.IsZero() || !until.IsZero() {
		counts = make([]tally, len(q.kinds))
		f := Filter{Since: since, Until: until}
		for i := range q.items {
			if x := &q.items[i]; q.matches(&f, x) {
				counts[x.kind].states[x.state]++
			}
		}
	}
	var list []Tally
	waiting := map[uint32]int{} // places in the list of those whose oldest open entry is looked for
	for i, k := range q.kinds {
		if s := counts[i].states; s != [4]uint64{} {
			t := Tally{Code: k.Code, Source: k.Source, Type: k.Type, Open: s[StateOpen] + s[StateReplaying], Replayed: s[StateReplayed], Dismissed: s[StateDismissed]}
			if t.Open > 0 {
				waiting[uint32(i)] = len(list)
			}
			list = append(list, t)
		}
	}
	f := Filter{States: []EntryState{StateOpen, StateReplaying}, Since: since, Until: until}
	for i := 0; i < len(q.items) && len(waiting) > 0; i++ { // the oldest stand first
		x := &q.items[i]
		if at, ok := waiting[x.kind]; ok && q.matches(&f, x) {
			list[at].Since = time.UnixMilli(x.at).UTC()
			delete(waiting, x.kind)
		}
	}
	slices.SortFunc(list, func(a, b Tally) int {
		return strings.Compare(a.Code+"\x00"+a.Source+"\x00"+a.Type, b.Code+"\x00"+b.Source+"\x00"+b.Type)
	})
	return list
}

// Full is how full the quarantine is, from 0 to 1.
func (q *Quarantine) Full() float64 {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return math.Max(float64(q.bytes)/float64(q.limit.bytes), float64(len(q.items))/float64(q.limit.entries))
}

// Lost is the number of messages that the log should have and has not, as far as it was
// read: the disk lost them. Entries may be missing.
func (q *Quarantine) Lost() uint64 {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.lost
}

// read brings items and their texts together, in the order given. Those that have gone
// meanwhile are left out.
func (q *Quarantine) read(ctx context.Context, items []item) ([]Entry, error) {
	lines := newLineReader(q.s)
	entries := make([]Entry, 0, len(items))
	for i := range items {
		x := &items[i]
		body, err := lines.read(ctx, x.body)
		if errors.Is(err, errGone) { // the log was made shorter: look where it stands now
			q.mu.RLock()
			now := q.item(x.id)
			if now != nil {
				*x = *now
			}
			q.mu.RUnlock()
			if now == nil {
				continue
			}
			body, err = lines.read(ctx, x.body)
		}
		if errors.Is(err, errGone) { // the disk lost it: what the index knows is told
			q.mu.RLock()
			k := q.kinds[x.kind]
			q.mu.RUnlock()
			body, err = record{Held: &contract.Held{Code: k.Code, Source: k.Source, Type: k.Type, Time: time.UnixMilli(x.at).UTC(),
				Reason: fmt.Sprintf("message %d of the quarantine, which had this event, is lost", x.body.Seq)}}, nil
		}
		if err != nil {
			return nil, err
		}
		if body.Held == nil {
			return nil, problem.New(problem.Internal, "message %d of the quarantine holds no event in line %d", x.body.Seq, x.body.Line)
		}
		e := Entry{ID: x.id.String(), Number: x.number, Held: *body.Held, At: time.UnixMilli(x.at).UTC(), Row: x.row, State: x.state, Fixed: int(x.fixed)}
		if x.state == StateReplayed || x.state == StateDismissed {
			note, err := lines.read(ctx, x.note)
			if err != nil && !errors.Is(err, errGone) {
				return nil, err
			}
			e.Closed, e.By, e.Note, e.Into = time.UnixMilli(x.closed).UTC(), note.By, note.Note, note.Into
		}
		entries = append(entries, e)
	}
	return entries, nil
}

var errGone = errors.New("the message is gone")

// lineReader reads lines of the log and keeps the last messages.
type lineReader struct {
	s    *stream.Stream
	kept map[uint64][][]byte
}

func newLineReader(s *stream.Stream) *lineReader {
	return &lineReader{s, map[uint64][][]byte{}}
}

func (l *lineReader) read(ctx context.Context, at where) (record, error) {
	lines, ok := l.kept[at.Seq]
	if !ok {
		m, err := l.s.Get(ctx, at.Seq)
		if err != nil && problem.KindOf(err) == problem.NotFound {
			return record{}, errGone
		}
		if err != nil {
			return record{}, err
		}
		if len(l.kept) >= 16 { // of at most 900 KB
			clear(l.kept)
		}
		lines = splitLines(m.Data)
		l.kept[at.Seq] = lines
	}
	if int(at.Line) >= len(lines) {
		return record{}, problem.New(problem.Internal, "message %d of the quarantine has no line %d", at.Seq, at.Line)
	}
	r, err := readLine(lines[at.Line], at)
	return r, problem.Wrap(err, problem.Internal, "journal: quarantine", "message %d of the quarantine is damaged", at.Seq)
}

// states tells the state of each id that there is.
func (q *Quarantine) states(ids []string) map[string]EntryState {
	q.mu.RLock()
	defer q.mu.RUnlock()
	states := map[string]EntryState{}
	q.each(ids, func(x *item) { states[x.id.String()] = x.state })
	return states
}

// Fix gives an open entry other content. Conflict when it is not open; NotFound.
func (q *Quarantine) Fix(ctx context.Context, id string, held contract.Held, by, note string) (Entry, error) {
	q.op.Lock()
	defer q.op.Unlock()
	e, err := q.Entry(ctx, id)
	if err != nil {
		return e, err
	}
	if e.State != StateOpen {
		return e, notOpen(e)
	}
	if e.Held.Pseudonyms != held.Pseudonyms {
		return e, problem.New(problem.Conflict, "the pseudonyms of entry %s have been rewritten meanwhile; look at it again", id).
			Also("uz", "%s yozuvidagi taxalluslar yangilandi: qaytadan oching.", id).
			Also("ru", "Псевдонимы записи %s обновлены: откройте её заново.", id)
	}
	if _, err := q.act(ctx, record{Op: "fix", ID: id, Held: &held, By: by, Note: note}); err != nil {
		return e, err
	}
	return q.Entry(ctx, id)
}

func notOpen(e Entry) error {
	if e.State == StateReplaying {
		return problem.New(problem.Conflict, "entry %s is being replayed; ask again in a moment", e.ID).
			Also("uz", "%s yozuvi qayta yuborilmoqda: birozdan soʻng qarang.", e.ID).
			Also("ru", "Запись %s отправляется повторно: посмотрите немного позже.", e.ID)
	}
	return problem.New(problem.Conflict, "entry %s was %s on %s by %s; only what is open can be changed", e.ID, e.State, e.Closed.Format("2 January 2006 15:04 MST"), e.By).
		Also("uz", "%s yozuvi allaqachon yopilgan (%s): faqat ochiqlari oʻzgartiriladi.", e.ID, e.By).
		Also("ru", "Запись %s уже закрыта (%s): менять можно только открытые.", e.ID, e.By)
}

// Dismiss closes the open ones of the entries for good, and returns how many they were.
func (q *Quarantine) Dismiss(ctx context.Context, ids []string, by, note string) (int, error) {
	if err := q.ready(ctx); err != nil {
		return 0, err
	}
	n := 0
	for some := range slices.Chunk(ids, idsPerLine) {
		q.op.Lock()
		open := q.only(some, StateOpen)
		var err error
		if len(open) > 0 {
			_, err = q.act(ctx, record{Op: "dismiss", IDs: open, By: by, Note: note})
		}
		q.op.Unlock()
		if err != nil {
			return n, err
		}
		n += len(open)
	}
	q.look()
	return n, nil
}

const idsPerLine = 10_000

func (q *Quarantine) only(ids []string, state EntryState) []string {
	states := q.states(ids)
	var list []string
	for _, id := range ids {
		if s, ok := states[id]; ok && s == state {
			list = append(list, id)
			delete(states, id) // named twice
		}
	}
	return list
}

// Replay is a replay that has begun: its entries are Replaying until it ends.
type Replay struct {
	IDs   []string
	By    string
	Note  string
	After uint64 // the journal's last message when it began
	begun uint64
}

// Begin marks the open ones of the entries as being replayed, durably and before
// anything is appended, so that a crash in between is found: see [Quarantine.Begun].
// after is the journal's last message.
func (q *Quarantine) Begin(ctx context.Context, ids []string, after uint64, by, note string) (*Replay, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	q.op.Lock()
	defer q.op.Unlock()
	r := &Replay{IDs: q.only(ids, StateOpen), By: by, Note: note, After: after}
	if len(r.IDs) == 0 {
		return r, nil
	}
	var err error
	r.begun, err = q.act(ctx, record{Op: "begin", IDs: r.IDs, After: after, By: by, Note: note})
	return r, err
}

// End marks entries of a replay as replayed into a range of the journal.
func (q *Quarantine) End(ctx context.Context, r *Replay, ids []string, into Range) error {
	if len(ids) == 0 {
		return nil
	}
	q.op.Lock()
	defer q.op.Unlock()
	_, err := q.act(ctx, record{Op: "end", IDs: ids, Begun: r.begun, By: r.By, Note: r.Note, Into: into.String()})
	return err
}

// Back opens entries of a replay again that were not appended.
func (q *Quarantine) Back(ctx context.Context, r *Replay, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	q.op.Lock()
	defer q.op.Unlock()
	_, err := q.act(ctx, record{Op: "back", IDs: ids, Begun: r.begun})
	return err
}

// Begun are the replays that have begun and not ended.
func (q *Quarantine) Begun(ctx context.Context) ([]*Replay, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	q.mu.RLock()
	byNote := map[where][]string{}
	if q.pending > 0 {
		for i := range q.items {
			if x := &q.items[i]; x.state == StateReplaying {
				byNote[x.note] = append(byNote[x.note], x.id.String())
			}
		}
	}
	q.mu.RUnlock()
	var all []*Replay
	lines := newLineReader(q.s)
	for at, ids := range byNote {
		line, err := lines.read(ctx, at)
		if err != nil && !errors.Is(err, errGone) { // when the disk lost it, the whole journal is looked through
			return nil, err
		}
		all = append(all, &Replay{IDs: ids, By: line.By, Note: line.Note, After: line.After, begun: at.Seq})
	}
	slices.SortFunc(all, func(a, b *Replay) int { return int(a.begun) - int(b.begun) })
	return all, nil
}

// Rewrite gives every entry the content that change makes of it, and erases from the log what
// stood there. Interrupted at any point it is done again: change must leave alone what it has made. It
// stops with change's error. Replays that are under way are waited for. Others may
// hold, fix, replay and dismiss meanwhile; what they write keeps the content that they had read.
func (q *Quarantine) Rewrite(ctx context.Context, change func(contract.Held) (contract.Held, error)) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	st, err := q.s.State(ctx)
	for err == nil {
		now, serr := q.s.State(ctx)
		if err = serr; err != nil || now.First > st.Last {
			return err
		}
		if err = q.idle(ctx); err == nil {
			_, err = q.shortenStep(ctx, nil, change)
		}
	}
	return err
}

// idle returns when no entry is being replayed.
func (q *Quarantine) idle(ctx context.Context) error {
	for {
		q.mu.RLock()
		pending, changed := q.pending, q.changed
		q.mu.RUnlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Held calls fn with every entry, the oldest first, whatever its state.
func (j *Journal) Held(ctx context.Context, fn func(Entry) error) error {
	q := j.quarantine
	if err := q.ready(ctx); err != nil {
		return err
	}
	q.mu.RLock()
	items := slices.Clone(q.items)
	q.mu.RUnlock()
	for some := range slices.Chunk(items, 1000) {
		entries, err := q.read(ctx, some)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Quarantine is where events are kept aside.
func (j *Journal) Quarantine() *Quarantine { return j.quarantine }

// FormatCursor is the number of a page's last entry as a cursor: with a checksum behind it, so
// that a text which no server gave is known as such, while the cursor of an entry that has gone
// since goes on being one.
func FormatCursor(n uint64) string {
	text := strconv.FormatUint(n, 36)
	return fmt.Sprintf("%s%04s", text, strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(text))%(36*36*36*36)), 36))
}

// ParseCursor reads what [FormatCursor] writes, and nothing else.
func ParseCursor(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text[:max(len(text)-4, 0)], 36, 64)
	return n, err == nil && n > 0 && FormatCursor(n) == text
}

// Entries are the entries with those ids, the oldest first; those that there are not
// are left out.
func (q *Quarantine) Entries(ctx context.Context, ids []string) ([]Entry, error) {
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	var items []item
	q.mu.RLock()
	q.each(ids, func(x *item) { items = append(items, *x) })
	q.mu.RUnlock()
	slices.SortFunc(items, func(a, b item) int { return byNumber(a, b.number) })
	return q.read(ctx, slices.CompactFunc(items, func(a, b item) bool { return a.number == b.number }))
}

// maxInRange bounds the ids that [Journal.HeldIn] tells.
const maxInRange = 1000

// HeldIn are the ids of the entries that the rows of a range of the journal are kept
// aside under: conflicts and damage, at most 1000. It reads the range again, so it knows
// none any more when the journal has been purged of it.
func (j *Journal) HeldIn(ctx context.Context, r Range) ([]string, error) {
	q := j.quarantine
	if err := q.ready(ctx); err != nil {
		return nil, err
	}
	var ids []string
	add := func(h *contract.Held, row uint64) {
		id := idOf(h, row)
		q.mu.RLock()
		_, known := q.numbers[id]
		q.mu.RUnlock()
		if text := id.String(); known && len(ids) < maxInRange && !slices.Contains(ids, text) {
			ids = append(ids, text)
		}
	}
	err := j.Read(ctx, r.First.Seq, r.Last.Seq, "", func(m Message) error {
		in := func(part int) bool {
			return (m.Seq > r.First.Seq || part >= r.First.Part) && (m.Seq < r.Last.Seq || part <= r.Last.Part)
		}
		for _, d := range m.Damage {
			if d.Whole || in(d.Part) {
				add(&contract.Held{Code: contract.Damaged}, m.Seq<<20|uint64(d.Part))
			}
		}
		for part, p := range m.Parts {
			if p.Record == nil || !in(part) {
				continue
			}
			rows, err := identities(p.Record)
			if err != nil {
				return err
			}
			for row := range int(p.Record.NumRows()) {
				if h := rows(row); !h.Correct { // what corrects is in no conflict
					h.Code = contract.Conflict
					add(&h, 0)
				}
			}
		}
		return nil
	})
	if problem.KindOf(err) == problem.Conflict {
		return nil, nil // purged
	}
	return ids, err
}

// Find looks for replayed events in the journal behind a message, by identity and digest,
// and returns the place of each that is there, by its index. A conflict is replayed as a
// correction: the same event sent once more is not it.
func (j *Journal) Find(ctx context.Context, after uint64, wanted []contract.Held) (map[int]Place, error) {
	st, err := j.s.State(ctx)
	if err != nil {
		return nil, err
	}
	type content struct {
		key    string
		digest uint64
	}
	at := map[content]int{}
	for i := range wanted {
		at[content{wanted[i].Key, wanted[i].Digest}] = i
	}
	found := map[int]Place{}
	first := max(after+1, st.First)
	if first > st.Last {
		return found, nil
	}
	err = j.Read(ctx, first, st.Last, "", func(m Message) error {
		for part, p := range m.Parts {
			if p.Record == nil {
				continue
			}
			rows, err := identities(p.Record)
			if err != nil {
				return err
			}
			for row := range int(p.Record.NumRows()) {
				h := rows(row)
				if i, ok := at[content{h.Key, h.Digest}]; ok && (h.Correct || wanted[i].Code != contract.Conflict) {
					found[i] = Place{m.Seq, part}
				}
			}
		}
		return nil
	})
	return found, err
}

// identities reads what names the rows of a record.
func identities(rec arrow.Record) (func(row int) contract.Held, error) {
	column := func(name string) arrow.Array {
		if at := rec.Schema().FieldIndices(name); len(at) == 1 {
			return rec.Column(at[0])
		}
		return nil
	}
	id, iok := column(contract.ColumnID).(*array.FixedSizeBinary)
	digest, dok := column(contract.ColumnDigest).(*array.Uint64)
	rev, rok := column(contract.ColumnRev).(*array.Uint32)
	withdrawn, wok := column(contract.ColumnWithdrawn).(*array.Boolean)
	correct, cok := column(contract.ColumnCorrect).(*array.Boolean)
	if !iok || !dok || !rok || !wok || !cok {
		return nil, problem.New(problem.Internal, "a batch of the journal has the columns %s", rec.Schema())
	}
	return func(row int) contract.Held {
		return contract.Held{Key: hex.EncodeToString(id.Value(row)), Digest: digest.Value(row), Revision: rev.Value(row), Withdrawn: withdrawn.Value(row), Correct: correct.Value(row)}
	}, nil
}
