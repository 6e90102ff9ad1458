// Package journal is the promise: what was acknowledged is on disk, in one total
// order, and stays there until warehouse and lake hold it.
//
// The journal is a JetStream stream ([ombor/internal/stream]) of messages. A message
// is an envelope of parts; a part is a batch of rows of one contract, as columns,
// with a checksum of its own (the layout stands in envelope.go and columns.go). The
// message's sequence and a row's index in it number every event for ever:
// _seq = sequence × 2²⁰ + row.
//
// # Group commit
//
// An fsync costs about a millisecond however many events it makes durable. While
// one message is being synced, the requests that arrive wait together and
// become the next message, up to 900 KB. So a hundred concurrent requests share an
// fsync, and a lone one is never kept waiting. A larger request is cut into several
// messages and acknowledged after the last.
//
// # Full, slow, away
//
// A full journal refuses; it never forgets ([Journal.Purge] alone removes). Append
// answers Busy when too many bytes wait for their fsync, and Unavailable when the
// journal or its disk is full or its server away: memory does not grow, and the
// sender comes again. After an Unavailable the events may or may not be in the
// journal; sending them again is always right, the loader counts each once.
//
// # Damage
//
// [Journal.Replay] checks every checksum and that no sequence is missing. A part whose
// bytes changed is named ([Damage]) and passed by, its neighbours are not touched. So is
// a message that the server says it has lost. Receipts tell the sender, and since its
// events were never seen, they are accepted when they are sent again.
//
// A journal that ends before a message that was acknowledged here is another one, or
// was cut short: Open refuses it ([Options.Mark]).
//
// # Clocks
//
// A message is stamped with the time at which its group was committed, never before that
// of the message before it from the same process. A clock that is set back repeats a time until
// it has caught up; one that jumps ahead by more than an hour is believed only after ten
// minutes, and until then time is counted from before the jump on a clock that cannot be set.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Contracts finds the contract of an event type; *contract.Set is one.
type Contracts interface {
	ByType(eventType string) *contract.Contract
}

// Options of a journal. The zero value of each field but Contracts works.
type Options struct {
	Contracts  Contracts        // required
	Name       string           // of the stream; "" is JOURNAL
	MaxBytes   int64            // of the journal on disk; 0 is 64 GB, or what an outside server has to give
	MaxWaiting int64            // bytes that may wait for their fsync before Append answers Busy; 0 is 64 MB
	MaxHeld    int64            // bytes of the quarantine; 0 is 4 GB
	MaxEntries int              // of the quarantine; 0 is 500,000
	HeldIndex  string           // file of the quarantine's index; "" is none: it is made from the log at every start
	Mark       string           // file that remembers the last message that was acknowledged here; "" is none
	Now        func() time.Time // the clock that messages are stamped with; nil is time.Now
	Logger     *slog.Logger
}

// Journal appends and replays. It is safe for concurrent use.
type Journal struct {
	opts  Options
	log   *slog.Logger
	conn  *stream.Conn
	s     *stream.Stream
	queue chan *request
	quit  chan struct{}
	ended chan struct{} // closed when commit has returned

	quarantine *Quarantine

	clock clock    // of commit
	mark  *os.File // of commit; nil without Options.Mark

	refused atomic.Pointer[refusal] // the newest message, when it could not be stored

	waiting atomic.Int64 // bytes in the queue and in the message being synced
	last    atomic.Uint64
	events  atomic.Uint64 // appended since Open
	closing sync.Once

	mu     sync.Mutex
	perRow map[string]float64 // event type → encoded bytes of a row, smoothed
}

// Open opens the journal on a server, making its streams when missing.
func Open(ctx context.Context, conn *stream.Conn, opts Options) (*Journal, error) {
	if opts.Contracts == nil {
		return nil, problem.New(problem.Internal, "journal: no contracts")
	}
	if opts.Name == "" {
		opts.Name = "JOURNAL"
	}
	var least int64 // an outside server may have less to give than the default
	if opts.MaxBytes == 0 {
		opts.MaxBytes, least = 64<<30, 1<<30
	}
	if opts.MaxWaiting == 0 {
		opts.MaxWaiting = 64 << 20
	}
	if opts.MaxHeld == 0 {
		opts.MaxHeld = 4 << 30
	}
	if opts.MaxEntries == 0 {
		opts.MaxEntries = defaultEntries
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	j := &Journal{opts: opts, log: opts.Logger, conn: conn, queue: make(chan *request, 1024), quit: make(chan struct{}), ended: make(chan struct{}), perRow: map[string]float64{}}
	j.clock.wall = opts.Now
	var err error
	if j.s, err = conn.Stream(ctx, stream.Config{Name: opts.Name, About: "Events as they were acknowledged", MaxBytes: opts.MaxBytes, Least: least}); err != nil {
		return nil, err
	}
	st, err := j.s.State(ctx)
	if err != nil {
		return nil, err
	}
	if j.quarantine, err = openQuarantine(ctx, conn, opts); err != nil {
		return nil, err
	}
	j.last.Store(st.Last)
	if err := j.openMark(st.Last); err != nil {
		return nil, err
	}
	if st.Last >= st.First {
		// Its own time, when it is there and whole; else time begins anew.
		if raw, err := j.s.Get(ctx, st.Last); err == nil {
			if received, _, err := unseal(raw.Data); err == nil {
				j.clock.last = received
			}
		}
	}
	go j.commit()
	return j, nil
}

// Conn is the server that holds the journal, for what its loaders keep beside it.
func (j *Journal) Conn() *stream.Conn { return j.conn }

// Name is the name of the journal's stream.
func (j *Journal) Name() string { return j.opts.Name }

// Close waits for the message that is being synced and refuses what still waits.
// The connection stays open.
func (j *Journal) Close() error {
	var err error
	j.closing.Do(func() {
		close(j.quit)
		err = j.quarantine.close()
		<-j.ended
		if j.mark != nil {
			err = errors.Join(err, j.mark.Close())
		}
	})
	return err
}

// Place is a part of a message.
type Place struct {
	Seq  uint64 // of the message
	Part int    // in the message, from 0
}

// Range is where a request stands in the journal: all parts from First to Last,
// both inclusive. Its text is "12.0-14.3".
type Range struct{ First, Last Place }

func (r Range) String() string {
	return fmt.Sprintf("%d.%d-%d.%d", r.First.Seq, r.First.Part, r.Last.Seq, r.Last.Part)
}

// request is one Append that waits.
type request struct {
	blocks []block
	bytes  int64
	placed Range
	done   chan error // one answer, buffered
}

// Append makes the parts durable and returns the sequence of the last message that
// holds them. Errors: Busy and Unavailable (come again after RetryAfter), TooLarge (an
// event that no message can hold). Appending nothing returns 0. When ctx ends first,
// the events may still become durable.
func (j *Journal) Append(ctx context.Context, parts []contract.Part) (uint64, error) {
	r, err := j.AppendRange(ctx, parts)
	return r.Last.Seq, err
}

// AppendRange is Append for a caller who wants to ask later what became of the
// events: the messages of a group hold parts of other requests, too.
func (j *Journal) AppendRange(ctx context.Context, parts []contract.Part) (Range, error) {
	req := &request{done: make(chan error, 1)}
	rows := 0
	for _, part := range parts {
		if part.Record.NumRows() == 0 {
			continue
		}
		eventType := part.Contract.Type
		j.mu.Lock()
		perRow := j.perRow[eventType]
		j.mu.Unlock()
		blocks, err := encode(part, perRow)
		if err != nil {
			return Range{}, err
		}
		bytes := 0
		for i := range blocks {
			bytes += len(blocks[i].body)
			req.bytes += int64(blocks[i].size())
		}
		n := float64(part.Record.NumRows())
		rows += int(n)
		if n >= 1000 { // smaller batches are mostly dictionary
			now := float64(bytes) / n
			j.mu.Lock()
			if perRow > 0 {
				now = 0.7*perRow + 0.3*now
			}
			j.perRow[eventType] = now
			j.mu.Unlock()
		}
		req.blocks = append(req.blocks, blocks...)
	}
	if len(req.blocks) == 0 {
		return Range{}, nil
	}
	if j.waiting.Add(req.bytes) > j.opts.MaxWaiting && j.waiting.Load() != req.bytes {
		j.waiting.Add(-req.bytes)
		return Range{}, &problem.Error{Kind: problem.Busy, Op: "journal: append", RetryAfter: time.Second,
			Message: "too many events wait to be written; send them again in a moment"}
	}
	select {
	case j.queue <- req:
	case <-ctx.Done():
		j.waiting.Add(-req.bytes)
		return Range{}, ctx.Err()
	case <-j.quit:
		j.waiting.Add(-req.bytes)
		return Range{}, errClosed()
	}
	select {
	case err := <-req.done:
		if err != nil {
			return Range{}, err
		}
		j.events.Add(uint64(rows))
		return req.placed, nil
	case <-ctx.Done():
		return Range{}, ctx.Err()
	case <-j.ended:
		select { // the answer may have come together with the end
		case err := <-req.done:
			return req.placed, err
		default:
			return Range{}, errClosed()
		}
	}
}

func errClosed() error {
	return &problem.Error{Kind: problem.Unavailable, Op: "journal: append", Message: "the journal is closing", RetryAfter: 5 * time.Second}
}

// commit makes messages of what waits, one fsync after the other.
func (j *Journal) commit() {
	defer close(j.ended)
	g := group{journal: j}
	for {
		var req *request
		select {
		case req = <-j.queue:
		case <-j.quit:
			return
		}
		for req != nil {
			g.add(req)
			select {
			case req = <-j.queue:
			default:
				req = nil
			}
		}
		g.publish()
	}
}

// group is the message that is being put together.
type group struct {
	journal *Journal
	blocks  []block
	size    int
	rows    int
	message []byte     // sealed; in the memory of the one before
	members []*request // that have a block in this message
	failed  map[*request]error
}

// add puts a request's blocks into messages and publishes those that are full.
// A request is answered with the message of its last block, or with the first
// error of any of its messages.
func (g *group) add(req *request) {
	for i := range req.blocks {
		b := &req.blocks[i]
		if len(g.blocks) > 0 && (g.size+b.size() > MaxMessage || g.rows+b.rows > MaxRows || len(g.blocks) == maxParts) {
			g.publish()
			if err := g.failed[req]; err != nil {
				break // its other messages would be in vain
			}
		}
		if len(g.blocks) == 0 {
			g.size = headerBytes + sumBytes
		}
		if n := len(g.members); n == 0 || g.members[n-1] != req {
			g.members = append(g.members, req)
		}
		part := len(g.blocks)
		if i == 0 {
			req.placed.First.Part = part
		}
		req.placed.Last.Part = part
		g.blocks = append(g.blocks, *b)
		g.size += b.size()
		g.rows += b.rows
	}
	if err := g.failed[req]; err != nil {
		delete(g.failed, req)
		g.journal.waiting.Add(-req.bytes)
		req.done <- err
		return
	}
	req.blocks = nil // complete: answered by the publish of its last block
}

// publish stores the message and answers the requests that are complete with it.
func (g *group) publish() {
	if len(g.blocks) == 0 {
		return
	}
	j := g.journal
	g.message = seal(g.message[:0], j.clock.now(), g.blocks)
	seq, err := j.s.Publish(context.Background(), "", g.message)
	if err == nil {
		j.last.Store(seq)
		j.note(seq)
		j.refused.Store(nil)
	} else {
		j.refused.Store(&refusal{time.Now(), problem.DocumentOf(err).Detail})
	}
	for _, req := range g.members {
		if req.placed.First.Seq == 0 {
			req.placed.First.Seq = seq
		}
		req.placed.Last.Seq = seq
		switch {
		case req.blocks == nil:
			j.waiting.Add(-req.bytes)
			req.done <- err
		case err != nil:
			if g.failed == nil {
				g.failed = map[*request]error{}
			}
			g.failed[req] = err
		}
	}
	clear(g.blocks)
	g.blocks, g.members, g.size, g.rows = g.blocks[:0], g.members[:0], 0, 0
}

// Message is one message of the journal, its parts open.
type Message struct {
	Seq      uint64
	Received time.Time // when the group was committed
	Bytes    int
	Parts    []contract.Part // by index of the part; a damaged part has no Record
	Damage   []Damage
}

// Damage is a part, or a whole message, whose bytes are not what was written.
type Damage struct {
	Place
	Whole  bool // the envelope itself: nothing of the message can be read
	Type   string
	Rows   int // that are lost with it; unknown, 0, when Whole
	Reason string
}

func (d Damage) String() string {
	if d.Whole {
		return fmt.Sprintf("message %d: %s", d.Seq, d.Reason)
	}
	return fmt.Sprintf("message %d, part %d (%d events of %s): %s", d.Seq, d.Part, d.Rows, d.Type, d.Reason)
}

// Gap is the cause of the error with which Read stops at a missing message.
type Gap struct{ Want, Have uint64 }

func (g *Gap) Error() string {
	return fmt.Sprintf("message %d follows where %d is due", g.Have, g.Want)
}

// idle is after how long without a message Replay asks whether the end of the journal was lost.
const idle = 2 * time.Second

// lostMessage stands for one that the server does not have any more.
func lostMessage(seq uint64, received time.Time) Message {
	return Message{Seq: seq, Received: received, Damage: []Damage{{Place: Place{Seq: seq}, Whole: true, Reason: "the journal's server has lost it"}}}
}

// Replay calls fn with every message from sequence from (0 is the first there is)
// in order and follows the tail until ctx ends. It stops with fn's error; with
// Unavailable when the server is away (call again from the next sequence); with Conflict
// when a message has events of a type that the pack does not know. Neither damaged
// parts stop it nor lost messages: when the server says that it does not have a message and
// a later one is there, fn gets it as one whole [Damage], received with the next one.
// A message that is there and does not come is waited for (Unavailable). Records
// live on Go's heap and stay valid.
func (j *Journal) Replay(ctx context.Context, from uint64, fn func(Message) error) error {
	var next atomic.Uint64
	if next.Store(from); from == 0 {
		st, err := j.s.State(ctx)
		if err != nil {
			return err
		}
		next.Store(st.First)
	}
	// lose tells fn of the messages up to before, all of which the server must say it has lost.
	lose := func(before uint64, received time.Time) error {
		for next.Load() < before {
			first, last := next.Load(), min(before-1, next.Load()+9_999)
			gone, err := j.s.Lost(ctx, first, last)
			if err != nil {
				return err
			}
			if uint64(len(gone)) != last-first+1 {
				return &problem.Error{Kind: problem.Unavailable, Op: "journal: replay", RetryAfter: time.Second,
					Message: fmt.Sprintf("of the messages %d to %d some are in the journal and did not come", first, last)}
			}
			for seq := first; seq <= last; seq++ {
				if err := fn(lostMessage(seq, received)); err != nil {
					return err
				}
				next.Store(seq + 1)
			}
		}
		return nil
	}
	var taking atomic.Bool // fn has a message: that none comes meanwhile says nothing
	for {
		// The last messages of all have none behind them that would show that they are missing.
		following, stop := context.WithCancelCause(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				before := next.Load()
				select {
				case <-time.After(idle):
				case <-following.Done():
					return
				}
				if taking.Load() || next.Load() != before {
					continue
				}
				st, err := j.s.State(following)
				if err != nil || st.Last < before {
					continue
				}
				gone, err := j.s.Lost(following, before, min(st.Last, before+9_999))
				if err == nil && uint64(len(gone)) == min(st.Last, before+9_999)-before+1 && next.Load() == before {
					stop(&tail{before + uint64(len(gone))})
				}
			}
		}()
		err := j.s.Follow(following, next.Load(), func(raw stream.Message) error {
			taking.Store(true)
			defer taking.Store(false)
			m, err := j.open(raw, "")
			if err != nil {
				return err
			}
			if raw.Seq > next.Load() {
				if err := lose(raw.Seq, m.Received); err != nil {
					return err
				}
			}
			if err := fn(m); err != nil {
				return err
			}
			next.Store(raw.Seq + 1)
			return nil
		})
		stop(nil)
		<-ended
		var t *tail
		if errors.As(context.Cause(following), &t) && ctx.Err() == nil {
			if err := lose(t.end, time.Now()); err != nil {
				return err
			}
			continue
		}
		return err
	}
}

// tail says that the journal has lost its last messages, up to before end.
type tail struct{ end uint64 }

func (t *tail) Error() string { return "the end of the journal is lost" }

// Read calls fn with the messages from first to last, both inclusive, in order, and
// returns. Of their parts only those of eventType are open; the others have no Record.
// Conflict when the journal no longer holds them all: they have been purged. Other
// errors as of [Journal.Replay].
func (j *Journal) Read(ctx context.Context, first, last uint64, eventType string, fn func(Message) error) error {
	purged := func(have uint64) error {
		return problem.Wrap(&Gap{Want: first, Have: have}, problem.Conflict, "journal: read", "the journal no longer holds message %d", first)
	}
	st, err := j.s.State(ctx)
	switch {
	case err != nil:
		return err
	case st.First > first:
		return purged(st.First)
	case st.Last < last:
		return problem.New(problem.BadInput, "the journal ends before message %d", last)
	}
	next := first
	err = j.s.Follow(ctx, first, func(raw stream.Message) error {
		m, err := j.open(raw, eventType)
		if err != nil {
			return err
		}
		for ; next < min(raw.Seq, last+1); next++ {
			st, err := j.s.State(ctx)
			if err != nil {
				return err
			}
			if st.First > next { // purged since
				return purged(st.First)
			}
			if gone, err := j.s.Lost(ctx, next, next); err != nil || len(gone) == 0 {
				return errors.Join(err, problem.New(problem.Unavailable, "message %d of the journal did not come", next))
			}
			if err := fn(lostMessage(next, m.Received)); err != nil {
				return err
			}
		}
		if raw.Seq > last {
			return errEnd
		}
		next++
		if err := fn(m); err != nil {
			return err
		}
		if raw.Seq >= last {
			return errEnd
		}
		return nil
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// open reads a message; with only, none but its parts of that event type.
func (j *Journal) open(raw stream.Message, only string) (Message, error) {
	m := Message{Seq: raw.Seq, Bytes: len(raw.Data)}
	received, sealed, err := unseal(raw.Data)
	if err != nil {
		m.Received = raw.Time
		m.Damage = []Damage{{Place: Place{Seq: m.Seq}, Whole: true, Reason: err.Error()}}
		return m, nil
	}
	m.Received = received
	for i := range sealed {
		p := &sealed[i]
		c := j.opts.Contracts.ByType(p.eventType)
		if c == nil {
			return m, problem.New(problem.Conflict, "message %d of the journal has events of type %s, which this pack does not know; load with the pack that accepted them", m.Seq, p.eventType)
		}
		if only != "" && p.eventType != only {
			m.Parts = append(m.Parts, contract.Part{Contract: c, Pseudonyms: p.pseudonyms})
			continue
		}
		rec, err := p.open(c.Schema())
		if err != nil {
			m.Damage = append(m.Damage, Damage{Place: Place{m.Seq, i}, Type: p.eventType, Rows: p.rows, Reason: err.Error()})
		}
		m.Parts = append(m.Parts, contract.Part{Contract: c, Record: rec, Pseudonyms: p.pseudonyms})
	}
	return m, nil
}

// Status is what the journal holds.
type Status struct {
	First    uint64 `json:"first"` // sequences of messages; First is Last+1 when it is empty
	Last     uint64 `json:"last"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Waiting  int64  `json:"waiting"`  // bytes that wait for their fsync
	Appended uint64 `json:"appended"` // events since this process began
}

// Status asks the server.
func (j *Journal) Status(ctx context.Context) (Status, error) {
	st, err := j.s.State(ctx)
	if err != nil {
		return Status{}, err
	}
	return Status{First: st.First, Last: st.Last, Bytes: st.Bytes, MaxBytes: st.MaxBytes, Waiting: j.waiting.Load(), Appended: j.events.Load()}, nil
}

// refusal is why a message could not be stored, and when.
type refusal struct {
	at    time.Time
	words string
}

// Refusing says why the newest message could not be stored: the journal is full, or away.
// It is "" when it was stored, and when nobody has tried for a minute.
func (j *Journal) Refusing() string {
	if r := j.refused.Load(); r != nil && time.Since(r.at) < time.Minute {
		return r.words
	}
	return ""
}

// Last is the newest sequence that this process knows of, without asking.
func (j *Journal) Last() uint64 { return j.last.Load() }

// Purge removes every message below before. Only who knows that warehouse and lake
// hold them may call it.
func (j *Journal) Purge(ctx context.Context, before uint64) error { return j.s.Purge(ctx, before) }

var errEnd = errors.New("end of what was there")
