package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	inFlight      = 4 // requests under way at once when order does not matter
)

// place says where an event stands in its file.
type place struct {
	file string
	row  int64
}

// refusal is one event that the door or the mapping refused.
type refusal struct {
	File   string `json:"file"`
	Row    int64  `json:"row"`
	ID     string `json:"id,omitempty"`
	Field  string `json:"field,omitempty"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// outcome is what became of a load.
type outcome struct {
	Accepted  int64 `json:"accepted"`
	Duplicate int64 `json:"duplicate"`
	Rejected  int64 `json:"rejected"`
	Conflict  int64 `json:"conflict"`
	Held      int64 `json:"held"`
	Withdrawn int64 `json:"withdrawn"` // gone from a delivery that replaces its days
}

// delivery is everything that a load holds of one type and source, where that replaces
// what was known of its days.
type delivery struct {
	eventType, source string
	days              map[reference.Day]bool
	receipts          []string
	missing           int64 // rows that did not become events: refused or held
}

// sender streams events to the door in requests of bounded size. When the door is
// busy or away it waits as long as the door asks and sends the same request
// again, which is safe because an event counts once. Not safe for concurrent use.
type sender struct {
	ctx    context.Context
	server *client
	refuse func(refusal)
	sent   func(events int)

	body     bytes.Buffer
	places   []place
	delivery *delivery // that the events added belong to; nil: to none

	slots    chan struct{}
	wait     sync.WaitGroup
	mu       sync.Mutex
	failed   error
	outcome  outcome
	receipts []string

	withdrawals []string // receipts
}

// newSender makes a sender; ordered sends one request at a time, for events whose
// order matters.
func newSender(ctx context.Context, server *client, ordered bool, refuse func(refusal), sent func(int)) *sender {
	slots := inFlight
	if ordered {
		slots = 1
	}
	return &sender{ctx: ctx, server: server, refuse: refuse, sent: sent, slots: make(chan struct{}, slots)}
}

// add takes one event as a line of JSON.
func (s *sender) add(event []byte, at place) error {
	if s.body.Len()+len(event) > requestBytes || len(s.places) >= requestEvents {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.body.Write(event)
	if n := len(event); n == 0 || event[n-1] != '\n' {
		s.body.WriteByte('\n')
	}
	s.places = append(s.places, at)
	return nil
}

// of says what the events added from now on belong to, so that no request holds
// events of two deliveries.
func (s *sender) of(d *delivery) error {
	err := s.flush()
	s.delivery = d
	return err
}

// flush sends what was added. It returns the first failure of any request.
func (s *sender) flush() error {
	if len(s.places) == 0 {
		return s.failure()
	}
	body, places, delivery := bytes.Clone(s.body.Bytes()), s.places, s.delivery
	s.body.Reset()
	s.places = make([]place, 0, len(places))
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if err := s.failure(); err != nil {
		<-s.slots
		return err
	}
	s.wait.Go(func() {
		defer func() { <-s.slots }()
		if err := s.post(body, places, delivery); err != nil {
			s.mu.Lock()
			if s.failed == nil {
				s.failed = err
			}
			s.mu.Unlock()
		}
	})
	return nil
}

func (s *sender) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// finish sends the rest and waits for every answer.
func (s *sender) finish() error {
	err := s.flush()
	s.wait.Wait()
	if err != nil {
		return err
	}
	return s.failure()
}

type doorAnswer struct {
	Accepted int64 `json:"accepted"`
	Held     int64 `json:"held"`
	Rejected []struct {
		Index  int    `json:"index"`
		ID     string `json:"id"`
		Field  string `json:"field"`
		Code   string `json:"code"`
		Reason string `json:"reason"`
	} `json:"rejected"`
	Receipt string `json:"receipt"`
}

func (s *sender) post(body []byte, places []place, d *delivery) error {
	var answer doorAnswer
	err := s.patiently("/v1/events", "application/x-ndjson", body, &answer)
	if err == nil {
		s.took(answer, places, d)
	}
	return err
}

// patiently posts a request, again and again while the server is busy or away.
func (s *sender) patiently(path, contentType string, body []byte, answer any) error {
	header := http.Header{"Content-Type": {contentType}}
	wait := 200 * time.Millisecond
	for {
		response, err := s.server.do(s.ctx, http.MethodPost, path, header, bytes.NewReader(body))
		if err == nil {
			defer response.Body.Close()
			if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
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
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

func (s *sender) took(answer doorAnswer, places []place, d *delivery) {
	s.mu.Lock()
	s.outcome.Accepted += answer.Accepted
	s.outcome.Held += answer.Held
	s.outcome.Rejected += int64(len(answer.Rejected))
	if answer.Receipt != "" {
		s.receipts = append(s.receipts, answer.Receipt)
	}
	if d != nil {
		d.missing += answer.Held + int64(len(answer.Rejected))
		if answer.Receipt != "" {
			d.receipts = append(d.receipts, answer.Receipt)
		}
	}
	s.mu.Unlock()
	for _, r := range answer.Rejected {
		at := place{}
		if r.Index >= 0 && r.Index < len(places) {
			at = places[r.Index]
		}
		s.refuse(refusal{File: at.file, Row: at.row, ID: r.ID, Field: r.Field, Code: r.Code, Reason: r.Reason})
	}
	s.sent(len(places))
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
	if err := s.patiently("/v1/deliveries", "application/json", text, &closed); err != nil {
		return err
	}
	s.outcome.Withdrawn += closed.Withdrawn
	if closed.Receipt != "" {
		s.withdrawals = append(s.withdrawals, closed.Receipt)
	}
	return nil
}

// refused counts a row that never became an event.
func (s *sender) refused(r refusal) {
	s.mu.Lock()
	s.outcome.Rejected++
	if s.delivery != nil {
		s.delivery.missing++
	}
	s.mu.Unlock()
	s.refuse(r)
}

// settle waits until everything that was accepted can be seen in KPIs and lies in
// the lake, and adds up how many were duplicates and conflicts.
func (s *sender) settle(out io.Writer) error {
	bar := newProgress(out, "into warehouse and lake", "events")
	defer bar.end()
	sent := s.outcome.Accepted
	for i, id := range s.receipts {
		r, err := s.loaded(id)
		if err != nil {
			return err
		}
		s.outcome.Duplicate += r.Duplicate
		s.outcome.Conflict += r.Conflict
		s.outcome.Accepted -= r.Duplicate + r.Conflict
		done := float64(i+1) / float64(len(s.receipts))
		bar.set(done, int64(done*float64(sent)))
	}
	for _, id := range s.withdrawals {
		r, err := s.loaded(id)
		if err != nil {
			return err
		}
		s.outcome.Withdrawn -= r.Duplicate + r.Conflict // withdrawn twice at once; changed at that moment
	}
	return nil
}

// receiptState is what became of the events of one answer.
type receiptState struct {
	Loaded    bool  `json:"loaded"`
	Duplicate int64 `json:"duplicate"`
	Conflict  int64 `json:"conflict"`
}

// loaded waits until the events of a receipt are loaded.
func (s *sender) loaded(id string) (receiptState, error) {
	pause := 20 * time.Millisecond
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
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return receipt, s.ctx.Err()
		}
		pause = min(2*pause, time.Second)
	}
}
