// Package audit is the log of who asked for what, and whether it was allowed.
//
//	log, err := audit.Open(ctx, conn, audit.Options{Key: keys.Derive("audit"), Head: "data/audit.head"})
//	n, err := log.Record(ctx, audit.Entry{Who: "key:7Qm2", Role: "analyst", Action: "sql", Object: statement, Allowed: true})
//	// only now may the statement run
//
// [Log.Record] returns when the entry is on disk, so that whoever acts after it has
// left a trace that a crash does not take away. Entries of concurrent callers share one
// message of the stream, and so one fsync.
//
// # The chain
//
// Entries are numbered from 1 without gaps, and each carries a code made of the one before:
//
//	codeₙ = HMAC-SHA-256(key, codeₙ₋₁ ‖ entry as JSON), code₀ = 32 zero bytes
//
// Whoever changes, removes, inserts or reorders an entry breaks every code after it, and
// cannot mend them without the key. What a chain alone cannot show is that its end was cut
// off: for that the newest number and code are also kept in a file beside the data, once a second at
// most, and an operator may note them elsewhere ([Log.Head], [Log.Verify]). A kept head that the chain
// does not have is told by [Log.Fault] and every [Log.Verify], and no newer one takes its place: only
// who removes the file gives up what is lost.
//
// Entries are kept until [Log.Retire] removes the oldest, no younger than a year. An entry says so, with the
// code of the last one that went, and the chain is followed from there.
//
// All processes on one journal write one chain: an append behind an entry that another
// process wrote meanwhile is refused by the stream and made again behind it.
//
// # What an entry does not hold
//
// No answer, no row, no secret. Runs of nine or more digits in Object and Why, which could be
// somebody's identifier or telephone, are replaced by their length before the entry leaves memory.
package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ombor/internal/problem"
	"ombor/internal/redact"
	"ombor/internal/stream"
)

// Entry is one request to do something. Number and Time are given by [Log.Record].
type Entry struct {
	Number  uint64    `json:"number"` // from 1, without gaps
	Time    time.Time `json:"time"`
	Who     string    `json:"who"`            // principal: "key:7Qm2", "person:…"; "nobody" before it is known who
	Name    string    `json:"name,omitempty"` // as people know it
	Role    string    `json:"role,omitempty"`
	Address string    `json:"address,omitempty"` // of the client
	Action  string    `json:"action"`            // the rule's name in the table of access
	Object  string    `json:"object,omitempty"`  // what it was asked of: a path with its query, a statement; at most 16 KiB
	Allowed bool      `json:"allowed"`
	Why     string    `json:"why,omitempty"` // of a denial
}

// Head is the newest entry of a chain: enough to tell later whether its end was cut off.
type Head struct {
	Number uint64 `json:"number"`
	Code   Code   `json:"code"`
}

// String is the form that [ParseHead] reads.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Number, h.Code) }

// Options say how a log is kept.
type Options struct {
	Key  []byte           // of the codes; at least 32 bytes
	Head string           // file of this process alone that keeps the newest head; empty: none is kept
	Now  func() time.Time // nil is time.Now
}

// Log is the audit log of one journal. It is safe for concurrent use.
type Log struct {
	stream  *stream.Stream
	options Options
	chain   chain
	queue   chan *waiting
	closed  chan struct{}
	close   sync.Once
	done    chan struct{}

	mu    sync.Mutex
	head  Head
	fault string // of the head that was kept, in words
}

// waiting is an entry whose caller waits for its place on disk.
type waiting struct {
	entry  Entry
	number uint64
	err    error
	stored chan struct{}
}

const (
	streamName  = "AUDIT"
	streamBytes = 1 << 30 // at least; the stream grows
	groupMost   = 1000    // entries of one message
	groupBytes  = 512 << 10
	objectBytes = 16 << 10
	headEvery   = time.Second
	attempts    = 3 // after errors whose outcome is unknown
	patience    = 30 * time.Second
)

// Open opens the log of a journal, making it when missing. An entry at its end that does not
// belong to the chain is refused with Conflict: the log goes on only behind what it can vouch for.
func Open(ctx context.Context, conn *stream.Conn, options Options) (*Log, error) {
	if len(options.Key) < 32 {
		return nil, problem.New(problem.BadInput, "audit: the key of the log needs 32 bytes")
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s, err := conn.Stream(ctx, stream.Config{Name: streamName, About: "Who asked for what, and whether it was allowed", MaxBytes: streamBytes, Grows: true, Least: 64 << 20})
	if err != nil {
		return nil, err
	}
	l := &Log{stream: s, options: options, chain: chain{key: options.Key}, queue: make(chan *waiting, groupMost), closed: make(chan struct{}), done: make(chan struct{})}
	kept, unread := l.kept() // before the chain's end is looked for, which it is never ahead of
	if err := l.resume(ctx); err != nil {
		return nil, err
	}
	if unread != nil {
		l.fault = "the end of the audit log cannot be vouched for: " + problem.DocumentOf(unread).Detail
	} else if stands, err := l.stands(ctx, kept); err != nil {
		return nil, err
	} else if !stands {
		l.fault = "the end of the audit log was cut off, or changed: entry " + kept.String() + " was there"
	}
	if l.fault != "" {
		slog.Error("audit: "+l.fault, "file", filepath.Base(options.Head))
	}
	go l.write()
	return l, nil
}

// kept is the head that the file keeps; zero when it keeps none.
func (l *Log) kept() (Head, error) {
	if l.options.Head == "" {
		return Head{}, nil
	}
	h, err := KeptHead(l.options.Head)
	if problem.KindOf(err) == problem.NotFound {
		err = nil
	}
	return h, err
}

// Fault says in words what is wrong with the head that was kept when the log was opened; empty: nothing,
// or its file was removed since, with which the operator gives up what is lost.
func (l *Log) Fault() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault != "" {
		if _, err := os.Stat(l.options.Head); errors.Is(err, os.ErrNotExist) {
			l.fault = ""
		}
	}
	return l.fault
}

// resume finds the end of the chain from the newest message alone: its first entry is taken at
// its word, [Log.Verify] holds it against those before.
func (l *Log) resume(ctx context.Context) error {
	state, err := l.stream.State(ctx)
	if err != nil {
		return err
	}
	l.chain.last = state.Last
	if state.Messages == 0 {
		return nil
	}
	m, err := l.stream.Get(ctx, state.Last)
	if err != nil {
		return err
	}
	if err := l.chain.follow(m.Data, true, nil); err != nil {
		return problem.Wrap(err, problem.Conflict, "audit", "the end of the audit log is damaged: run 'ombor audit verify'")
	}
	l.setHead(l.chain.head)
	return nil
}

// Record writes an entry and returns its number once it is on disk. Unavailable: it may not be
// there, so what it tells of must not be done.
func (l *Log) Record(ctx context.Context, e Entry) (uint64, error) {
	if len(e.Object) > objectBytes {
		e.Object = strings.ToValidUTF8(e.Object[:objectBytes], "") + "…"
	}
	e.Object, e.Why = redact.Text(e.Object), redact.Text(e.Why)
	return l.record(ctx, e)
}

// record writes an entry as it stands.
func (l *Log) record(ctx context.Context, e Entry) (uint64, error) {
	w := &waiting{entry: e, stored: make(chan struct{})}
	gone := problem.New(problem.Unavailable, "the audit log is closed")
	select {
	case l.queue <- w:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.closed:
		return 0, gone
	}
	select {
	case <-w.stored:
		return w.number, w.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.done:
		select {
		case <-w.stored:
			return w.number, w.err
		default:
			return 0, gone
		}
	}
}

// Close writes what is waiting and ends the log.
func (l *Log) Close() error {
	l.close.Do(func() { close(l.closed) })
	<-l.done
	return l.keepHead()
}

// Head is the newest entry that this process knows of.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

func (l *Log) setHead(h Head) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head = h
}

// write gathers what waits into groups until the log is closed.
func (l *Log) write() {
	defer close(l.done)
	kept := time.Time{}
	for {
		var group []*waiting
		select {
		case w := <-l.queue:
			group = append(group, w)
		case <-l.closed:
			select { // what was queued before it closed is written
			case w := <-l.queue:
				group = append(group, w)
			default:
				return
			}
		}
		size := 0
	gather:
		for len(group) < groupMost && size < groupBytes {
			select {
			case w := <-l.queue:
				group, size = append(group, w), size+len(w.entry.Object)+512
			default:
				break gather
			}
		}
		err := l.append(group)
		for _, w := range group {
			w.err = err
			close(w.stored)
		}
		if now := time.Now(); err == nil && now.Sub(kept) >= headEvery {
			kept = now
			_ = l.keepHead() // the chain itself is on disk; the next second tries again
		}
	}
}

// append stores a group behind the chain's end, wherever that has come to be.
func (l *Log) append(group []*waiting) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for failed := 0; ; {
		next := l.chain
		data, err := next.grow(group, l.options.Now())
		if err != nil {
			return err
		}
		if next.last, err = l.stream.Append(ctx, data, l.chain.last); err == nil {
			l.chain = next
			l.setHead(next.head)
			return nil
		}
		if problem.KindOf(err) == problem.Conflict { // another process was faster
			if err = l.catchUp(ctx); err == nil {
				time.Sleep(rand.N(5 * time.Millisecond)) // and shall not always be
			}
		} else { // the same message may be appended again, whatever became of it
			failed++
		}
		if err != nil && (failed == attempts || failed == 0) || ctx.Err() != nil {
			return problem.Wrap(errors.Join(err, ctx.Err()), problem.Unavailable, "audit: record", "the audit log cannot be written, so nothing is done that it would have to tell of; try again in a moment")
		}
	}
}

// catchUp follows the chain through what other processes have written.
func (l *Log) catchUp(ctx context.Context) error {
	for {
		m, err := l.stream.Next(ctx, l.chain.last+1)
		if problem.KindOf(err) == problem.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		next := l.chain
		if err := next.follow(m.Data, false, nil); err != nil {
			return err
		}
		next.last = m.Seq
		l.chain = next
	}
}

// keepHead writes the newest head beside the data, unless the one there tells of a loss.
func (l *Log) keepHead() error {
	if l.options.Head == "" || l.Fault() != "" {
		return nil
	}
	temporary := l.options.Head + ".new"
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = file.WriteString(l.Head().String() + "\n")
		err = errors.Join(err, file.Sync(), file.Close()) // a crash leaves the one of before, never half of one
	}
	if err == nil {
		err = os.Rename(temporary, l.options.Head)
	}
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "audit", "%s cannot be written", filepath.Base(l.options.Head))
	}
	return nil
}

// ParseHead reads what [Head.String] wrote.
func ParseHead(text string) (Head, error) {
	var h Head
	number, code, found := strings.Cut(strings.TrimSpace(text), ":")
	if _, err := fmt.Sscanf(number, "%d", &h.Number); err != nil || !found || h.Code.UnmarshalText([]byte(code)) != nil {
		return Head{}, problem.New(problem.BadInput, "%q is no head of an audit log: want NUMBER:CODE, as 'ombor audit verify' prints it", text)
	}
	return h, nil
}

// KeptHead is the head that a file keeps; NotFound when there is no such file.
func KeptHead(file string) (Head, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return Head{}, problem.New(problem.NotFound, "no head of the audit log is kept in %s", filepath.Base(file))
	}
	if err != nil {
		return Head{}, problem.Wrap(err, problem.Unavailable, "audit", "%s cannot be read", filepath.Base(file))
	}
	return ParseHead(string(text))
}
