package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"ombor/internal/problem"
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
}

// sender streams events to the door in requests of bounded size. When the door is
// busy or away it waits as long as the door asks and sends the same request
// again, which is safe because an event counts once. Not safe for concurrent use.
type sender struct {
	ctx     context.Context
	server  *client
	ordered bool // one request at a time, for events whose order matters
	refuse  func(refusal)
	sent    func(events int)

	body   bytes.Buffer
	places []place

	slots    chan struct{}
	wait     sync.WaitGroup
	mu       sync.Mutex
	failed   error
	outcome  outcome
	receipts []string
}

func newSender(ctx context.Context, server *client, ordered bool, refuse func(refusal), sent func(int)) *sender {
	slots := inFlight
	if ordered {
		slots = 1
	}
	return &sender{ctx: ctx, server: server, ordered: ordered, refuse: refuse, sent: sent, slots: make(chan struct{}, slots)}
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

// flush sends what was added. It returns the first failure of any request.
func (s *sender) flush() error {
	if len(s.places) == 0 {
		return s.failure()
	}
	body, places := bytes.Clone(s.body.Bytes()), s.places
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
		if err := s.post(body, places); err != nil {
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

func (s *sender) post(body []byte, places []place) error {
	header := http.Header{"Content-Type": {"application/x-ndjson"}}
	wait := 200 * time.Millisecond
	for {
		response, err := s.server.do(s.ctx, http.MethodPost, "/v1/events", header, bytes.NewReader(body))
		if err == nil {
			defer response.Body.Close()
			var answer doorAnswer
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
				return problem.Wrap(err, problem.Internal, "load", "the door's answer cannot be read")
			}
			s.took(answer, places)
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

func (s *sender) took(answer doorAnswer, places []place) {
	s.mu.Lock()
	s.outcome.Accepted += answer.Accepted
	s.outcome.Held += answer.Held
	s.outcome.Rejected += int64(len(answer.Rejected))
	if answer.Receipt != "" {
		s.receipts = append(s.receipts, answer.Receipt)
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

// refused counts a row that never became an event.
func (s *sender) refused(r refusal) {
	s.mu.Lock()
	s.outcome.Rejected++
	s.mu.Unlock()
	s.refuse(r)
}

// settle waits until everything that was accepted can be seen in KPIs and lies in
// the lake, and adds up how many were duplicates and conflicts.
func (s *sender) settle(report func(done, all int)) error {
	for i, id := range s.receipts {
		pause := 20 * time.Millisecond
		for {
			var receipt struct {
				Loaded    bool  `json:"loaded"`
				Duplicate int64 `json:"duplicate"`
				Conflict  int64 `json:"conflict"`
			}
			err := s.server.get(s.ctx, "/v1/receipts/"+id, nil, &receipt)
			kind := problem.KindOf(err)
			if err != nil && kind != problem.Busy && kind != problem.Unavailable {
				return err
			}
			if err == nil && receipt.Loaded {
				s.outcome.Duplicate += receipt.Duplicate
				s.outcome.Conflict += receipt.Conflict
				s.outcome.Accepted -= receipt.Duplicate + receipt.Conflict
				break
			}
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
				return s.ctx.Err()
			}
			pause = min(2*pause, time.Second)
		}
		report(i+1, len(s.receipts))
	}
	return nil
}
