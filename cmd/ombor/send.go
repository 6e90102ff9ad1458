package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// A request to the door carries at most this much; both bounds stay well below
// the door's own limits.
const (
	requestBytes  = 4 << 20
	requestEvents = 20_000
)

// refusal is one event that the door or the mapping refused.
type refusal struct {
	File   string `json:"file"`
	Row    int64  `json:"row"`
	ID     string `json:"id,omitempty"`
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Entry  string `json:"entry,omitempty"` // of the quarantine: it is held; empty: it is stored nowhere
}

// outcome is what became of a load.
type outcome struct {
	Accepted  int64 `json:"accepted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
	Conflict  int64 `json:"conflict"`
	Held      int64 `json:"held"`
	Withdrawn int64 `json:"withdrawn"`         // gone from a delivery that replaces its days
	Damaged   int64 `json:"damaged,omitempty"` // lost in the journal since: send them again
}

func (o *outcome) add(other outcome) {
	o.Accepted += other.Accepted
	o.Duplicate += other.Duplicate
	o.Rejected += other.Rejected
	o.Conflict += other.Conflict
	o.Held += other.Held
	o.Withdrawn += other.Withdrawn
	o.Damaged += other.Damaged
}

// delivery is everything that a load holds of one type and source, where that replaces
// what was known of its days.
type delivery struct {
	eventType, source string
	days              map[reference.Day]bool
	receipts          []string
	missing           int64 // rows that did not become events: refused or held
	broken            bool  // a file was not read to its end
}

// sender posts requests of events to the door, several at a time. When the door is busy
// or away it waits as long as the door asks and sends the same request again, which is
// safe because an event counts once. Safe for concurrent use.
type sender struct {
	ctx    context.Context
	server *client
	refuse func(refusal)
	sent   func(events int64)
	wait   func(reason *problem.Error, pause time.Duration) // told before it waits; nil: nobody
	dry    bool                                             // the door only says what it would do

	slots   chan struct{}
	buffers sync.Pool // of *[]byte, requestBytes large

	mu          sync.Mutex
	withdrawals []string // receipts
	withdrawn   int64
}

// newSender makes a sender that has parallel requests under way at most.
func newSender(ctx context.Context, server *client, parallel int, refuse func(refusal), sent func(int64)) *sender {
	s := &sender{ctx: ctx, server: server, refuse: refuse, sent: sent, slots: make(chan struct{}, parallel)}
	s.buffers.New = func() any { b := make([]byte, 0, requestBytes); return &b }
	server.http.Transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialHanding, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: parallel + 1, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, ExpectContinueTimeout: time.Second,
		DisableCompression: true, // answers are short
	}
	return s
}

// lane is what one file sends, in the file's order. Only its requests' answers come
// from other goroutines.
type lane struct {
	s        *sender
	file     string
	delivery *delivery // that the events belong to; nil: to none
	state    *loadState
	identity string // of the file, in the state; "" keeps none

	// What add has gathered.
	body *[]byte
	rows []int64
	from int64 // number of its first event in the file, from 0
	next int64 // number of the next event
	skip int64 // events below it were acknowledged to an earlier run

	pending sync.WaitGroup

	mu       sync.Mutex // the answers' goroutines and the file's
	failed   error
	outcome  outcome
	receipts []string
}

func (s *sender) lane(file string, d *delivery) *lane {
	return &lane{s: s, file: file, delivery: d}
}

// resume goes on from the state of an earlier run.
func (l *lane) resume(state *loadState, identity string) {
	l.state, l.identity = state, identity
}

// block is what one request carries.
type block struct {
	body     []byte
	buffer   *[]byte  // under body; given back with the answer
	section  *section // in place of body: it was not read
	from, to int64    // where it stands in the file: events of add, bytes of lines
	rows     []int64  // of each event, or nil: the events are the lines from line on
	line     int64    // of a section not known before it is read
	lines    int64
}

// read brings the body of a section into memory, and tells its lines.
func (b *block) read() (err error) {
	if b.section == nil {
		return nil
	}
	if b.body, b.line, err = b.section.read(); err == nil {
		b.section, b.lines = nil, lineCount(b.body)
	}
	return err
}

// lineCount is the number of lines, the last one with its end or without.
func lineCount(text []byte) int64 {
	n := int64(bytes.Count(text, newline))
	if len(text) > 0 && text[len(text)-1] != '\n' {
		n++
	}
	return n
}

// add takes one event as JSON without a line end.
func (l *lane) add(event []byte, row int64) error {
	at := l.next
	l.next++
	if at < l.skip {
		return nil
	}
	if l.body != nil && (len(*l.body)+len(event)+1 > requestBytes || len(l.rows) >= requestEvents) {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if l.body == nil {
		if done, ok := l.state.done(l.identity, at); ok {
			l.skip = done.To
			l.took(done.answer(), nil)
			return nil
		}
		l.body, l.from = l.s.buffers.Get().(*[]byte), at
	}
	*l.body = append(append(*l.body, event...), '\n')
	l.rows = append(l.rows, row)
	return nil
}

// flush sends what was added.
func (l *lane) flush() error {
	if l.body == nil {
		return l.failure()
	}
	b := block{body: *l.body, buffer: l.body, from: l.from, to: l.from + int64(len(l.rows)), rows: l.rows}
	l.body, l.rows = nil, make([]int64, 0, len(l.rows))
	return l.send(b)
}

// send posts a block when a slot is free. It returns the lane's first failure.
func (l *lane) send(b block) error {
	select {
	case l.s.slots <- struct{}{}:
	case <-l.s.ctx.Done():
		return l.s.ctx.Err()
	}
	if err := l.failure(); err != nil {
		<-l.s.slots
		return err
	}
	l.pending.Go(func() {
		defer func() { <-l.s.slots }()
		if err := l.post(b); err != nil {
			l.mu.Lock()
			if l.failed == nil {
				l.failed = err
			}
			l.mu.Unlock()
		}
		if b.buffer == nil {
			return
		}
		*b.buffer = (*b.buffer)[:0]
		if cap(*b.buffer) <= 2*requestBytes {
			l.s.buffers.Put(b.buffer)
		}
	})
	return nil
}

func (l *lane) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// finish sends the rest and waits for every answer.
func (l *lane) finish() error {
	err := l.flush()
	l.pending.Wait()
	if err != nil {
		return err
	}
	return l.failure()
}

// lines sends a text of one event a line, in blocks that end at line ends. Nothing of a
// line is looked at but its end.
func (l *lane) lines(text io.Reader) error {
	var carry []byte // begins the next block
	offset, line := int64(0), int64(1)
	for {
		if done, ok := l.state.done(l.identity, offset); ok {
			if err := skipText(&carry, text, done.To-offset); err != nil {
				return err
			}
			offset, line = done.To, line+done.Lines
			l.took(done.answer(), nil)
			continue
		}
		buffer := l.s.buffers.Get().(*[]byte)
		b := append((*buffer)[:0], carry...)
		n, err := io.ReadFull(text, b[len(b):requestBytes])
		b = b[:len(b)+n]
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && endedWell(text)
		if err != nil && !ended {
			b = b[:bytes.LastIndexByte(b, '\n')+1] // a line that broke off in the middle is no line
			carry = nil
		} else if !ended {
			cut := bytes.LastIndexByte(b, '\n') + 1
			if cut == 0 { // a line that no door takes
				size, rest, skipErr := skipLine(text, requestBytes)
				l.refused(tooLong(l.file, line))
				offset, line, carry = offset+int64(len(b))+size-int64(len(rest)), line+1, rest
				l.s.buffers.Put(buffer)
				if skipErr != nil && !errors.Is(skipErr, io.EOF) {
					return skipErr
				}
				continue
			}
			carry, b = append(carry[:0], b[cut:]...), b[:cut]
		}
		*buffer = b
		if len(b) > 0 {
			lines := lineCount(b)
			if sendErr := l.send(block{body: b, buffer: buffer, from: offset, to: offset + int64(len(b)), line: line, lines: lines}); sendErr != nil {
				return sendErr
			}
			offset, line = offset+int64(len(b)), line+lines
		}
		if ended {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var newline = []byte{'\n'}

// tooLong is the refusal of a line that is longer than a block.
func tooLong(file string, line int64) refusal {
	return refusal{File: file, Row: line, Code: "too_long", Reason: fmt.Sprintf("the line is longer than %d MiB", requestBytes>>20)}
}

// endedWell tells a text that ended from one that was cut off, which a decompressor
// reports with the same error as io.ReadFull: at its end it says so again.
func endedWell(text io.Reader) bool {
	var more [1]byte
	n, err := text.Read(more[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// skipText passes over n bytes, of which the first may have been read already.
func skipText(carry *[]byte, text io.Reader, n int64) error {
	have := min(n, int64(len(*carry)))
	*carry = (*carry)[have:]
	_, err := io.CopyN(io.Discard, text, n-have)
	return err
}

// skipLine passes over the rest of a line, and returns what was read behind it.
func skipLine(text io.Reader, size int) (n int64, rest []byte, err error) {
	b := make([]byte, min(size, 64<<10))
	for {
		m, err := text.Read(b)
		n += int64(m)
		if i := bytes.IndexByte(b[:m], '\n'); i >= 0 {
			return n, b[i+1 : m], nil
		}
		if err != nil {
			return n, nil, err
		}
	}
}

type doorAnswer struct {
	Accepted    int64          `json:"accepted"`
	Held        int64          `json:"held"`
	Duplicate   int64          `json:"duplicate"` // held before and replayed since
	Rejected    []doorRefusals `json:"rejected"`
	Quarantined []doorRefusals `json:"quarantined"`
	Receipt     string         `json:"receipt"`
}

type doorRefusals struct {
	Index  int    `json:"index"`
	ID     string `json:"id"`
	Field  string `json:"field"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Entry  string `json:"entry"` // of what is held
}

// post sends one block until it is answered. A block of so many short lines that the door
// will not take it is sent in halves.
func (l *lane) post(b block) error {
	var answer doorAnswer
	path := "/v1/events"
	if l.s.dry {
		path += "?dry_run=true"
	}
	err := l.s.patiently(path, "application/x-ndjson", b.content, &answer)
	if problem.KindOf(err) == problem.TooLarge {
		if failed := b.read(); failed != nil {
			return failed
		}
	}
	if problem.KindOf(err) == problem.TooLarge && b.rows == nil && b.lines > 1 {
		cut := len(b.body)/2 + bytes.IndexByte(b.body[len(b.body)/2:], '\n') + 1
		if cut >= len(b.body) || cut <= len(b.body)/2 {
			cut = bytes.LastIndexByte(b.body[:len(b.body)-1], '\n') + 1
		}
		first, second := b, b
		first.body, first.lines = b.body[:cut], lineCount(b.body[:cut])
		first.to = b.from + int64(cut)
		second.body, second.line, second.lines, second.from = b.body[cut:], b.line+first.lines, b.lines-first.lines, first.to
		if err := l.post(first); err != nil {
			return err
		}
		return l.post(second)
	}
	if err != nil {
		return err
	}
	if len(answer.Rejected)+len(answer.Quarantined) > 0 {
		if err := b.read(); err != nil {
			return err
		}
	}
	if len(answer.Rejected) == 0 && l.delivery == nil {
		// A block of which something was refused is sent again, so that it is told again.
		l.state.acknowledge(l.identity, b, answer)
	}
	l.took(answer, &b)
	return nil
}

// content is the body of the block's request.
func (b *block) content() (io.Reader, error) {
	if b.section != nil {
		return b.section.open()
	}
	return bytes.NewReader(b.body), nil
}

// patiently posts a request, again and again while the server is busy or away.
func (s *sender) patiently(path, contentType string, content func() (io.Reader, error), answer any) error {
	header := http.Header{"Content-Type": {contentType}}
	wait := 200 * time.Millisecond
	for {
		body, err := content()
		if err != nil {
			return err
		}
		response, err := s.server.do(s.ctx, http.MethodPost, path, header, body)
		if err == nil {
			err := json.NewDecoder(response.Body).Decode(answer)
			_, _ = io.Copy(io.Discard, response.Body) // to its end, so that the connection is used again
			response.Body.Close()
			if err != nil {
				return problem.Wrap(err, problem.Internal, "load", "the door's answer cannot be read")
			}
			return nil
		}
		var p *problem.Error
		if !errors.As(err, &p) || (p.Kind != problem.Busy && p.Kind != problem.Unavailable) {
			return err
		}
		pause := max(p.RetryAfter, wait)
		wait = min(2*wait, 10*time.Second)
		if s.wait != nil {
			s.wait(p, pause)
		}
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// took counts what a request was answered; of an earlier run's there is no block.
func (l *lane) took(answer doorAnswer, b *block) {
	rejected := int64(len(answer.Rejected))
	l.mu.Lock()
	l.outcome.add(outcome{Accepted: answer.Accepted, Duplicate: answer.Duplicate, Held: answer.Held, Rejected: rejected})
	if answer.Receipt != "" {
		l.receipts = append(l.receipts, answer.Receipt)
	}
	l.mu.Unlock()
	if d := l.delivery; d != nil {
		l.s.mu.Lock()
		d.missing += answer.Held + answer.Duplicate + rejected // what was replayed is in the journal, and not in this delivery
		if answer.Receipt != "" {
			d.receipts = append(d.receipts, answer.Receipt)
		}
		l.s.mu.Unlock()
	}
	if told := slices.Concat(answer.Rejected, answer.Quarantined); len(told) > 0 && b != nil {
		rows := b.rows
		if rows == nil {
			rows = rowsOf(b.body, b.line)
		}
		for _, r := range told {
			var row int64
			if r.Index >= 0 && r.Index < len(rows) {
				row = rows[r.Index]
			}
			l.s.refuse(refusal{File: l.file, Row: row, ID: r.ID, Field: r.Field, Code: r.Code, Reason: r.Reason, Entry: r.Entry})
		}
	}
	l.s.sent(answer.Accepted + answer.Duplicate + answer.Held + rejected)
}

// rowsOf are the numbers of the lines that are not blank, as the door counts events.
func rowsOf(body []byte, line int64) []int64 {
	var rows []int64
	for text := range bytes.Lines(body) {
		if len(bytes.Trim(text, " \t\r\n")) > 0 {
			rows = append(rows, line)
		}
		line++
	}
	return rows
}

// refused counts a row that never became an event.
func (l *lane) refused(r refusal) {
	l.mu.Lock()
	l.outcome.Rejected++
	l.mu.Unlock()
	if l.delivery != nil {
		l.s.mu.Lock()
		l.delivery.missing++
		l.s.mu.Unlock()
	}
	l.s.refuse(r)
}

// closeDelivery says that a delivery is complete, so that the server withdraws what is
// gone from it. The withdrawals are waited for with everything else. Call it after
// finish, when every event was taken.
func (s *sender) closeDelivery(d *delivery) error {
	body := struct {
		Type     string   `json:"type"`
		Source   string   `json:"source"`
		Days     []string `json:"days"`
		Receipts []string `json:"receipts"`
	}{Type: d.eventType, Source: d.source, Receipts: d.receipts}
	for _, day := range slices.Sorted(maps.Keys(d.days)) {
		body.Days = append(body.Days, day.String())
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var closed struct {
		Withdrawn int64  `json:"withdrawn"`
		Receipt   string `json:"receipt"`
	}
	content := func() (io.Reader, error) { return bytes.NewReader(text), nil }
	if err := s.patiently("/v1/deliveries", "application/json", content, &closed); err != nil {
		return err
	}
	s.withdrawn += closed.Withdrawn
	if closed.Receipt != "" {
		s.withdrawals = append(s.withdrawals, closed.Receipt)
	}
	return nil
}

// settle waits until everything that was accepted can be seen in KPIs and lies in
// the lake, and adds up how many were duplicates and conflicts.
func (s *sender) settle(lanes []*lane, in tongue, out io.Writer) error {
	var all, settled int
	var sent int64
	for _, l := range lanes {
		all += len(l.receipts)
		sent += l.outcome.Accepted
	}
	if all+len(s.withdrawals) == 0 {
		return nil
	}
	bar := newProgress(out, in.say("into warehouse and lake"), in.say("events"))
	defer bar.end()
	for _, l := range lanes {
		for _, id := range l.receipts {
			r, err := s.loaded(id)
			if err != nil {
				return err
			}
			l.outcome.add(outcome{Duplicate: r.Duplicate, Conflict: r.Conflict, Damaged: r.Damaged, Accepted: -r.Duplicate - r.Conflict - r.Damaged})
			settled++
			done := float64(settled) / float64(all)
			bar.set(done, int64(done*float64(sent)))
		}
	}
	for _, id := range s.withdrawals {
		r, err := s.loaded(id)
		if err != nil {
			return err
		}
		s.withdrawn -= r.Duplicate + r.Conflict // withdrawn twice at once; changed at that moment
	}
	return nil
}

// receiptState is what became of the events of one answer.
type receiptState struct {
	Loaded    bool  `json:"loaded"`
	Duplicate int64 `json:"duplicate"`
	Conflict  int64 `json:"conflict"`
	Damaged   int64 `json:"damaged"`
}

// loaded waits until the events of a receipt are loaded.
func (s *sender) loaded(id string) (receiptState, error) {
	began := time.Now()
	for {
		var receipt receiptState
		err := s.server.get(s.ctx, "/v1/receipts/"+id, nil, &receipt)
		kind := problem.KindOf(err)
		if err != nil && kind != problem.Busy && kind != problem.Unavailable {
			return receipt, err
		}
		if err == nil && receipt.Loaded {
			return receipt, nil
		}
		select { // told at most a hundredth later than it is so
		case <-time.After(max(20*time.Millisecond, min(time.Since(began)/100, time.Second))):
		case <-s.ctx.Done():
			return receipt, s.ctx.Err()
		}
	}
}
