package governed

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"sync"
	"time"

	"ombor/internal/access"
	"ombor/internal/protocol"
)

// running are the queries that run, by who asks and the id they gave.
type running struct {
	mu sync.Mutex
	of map[[2]string]context.CancelCauseFunc
}

// begin notes a query until done is called. An id that runs already is refused.
func (r *running) begin(who, id string, cancel context.CancelCauseFunc) (done func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{who, id}
	if r.of[key] != nil {
		return nil, protocol.Exceptionf(protocol.CodeSameQueryID, "Query with id = %s is already running", id)
	}
	if r.of == nil {
		r.of = map[[2]string]context.CancelCauseFunc{}
	}
	r.of[key] = cancel
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.of, key)
	}, nil
}

// kill ends a query of somebody, and says whether there was one.
func (r *running) kill(who, id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	cancel := r.of[[2]string{who, id}]
	if cancel != nil {
		cancel(protocol.Exceptionf(protocol.CodeQueryWasCancelled, "Query was cancelled"))
	}
	return cancel != nil
}

// sessions remember the settings that clients SET under a session_id. Nothing of a session reaches the engine.
type sessions struct {
	mu sync.Mutex
	of map[[2]string]*session
}

type session struct {
	mu       sync.Mutex
	settings []protocol.Pair
	until    time.Time // of sessions.mu
}

const (
	maxSessions = 10_000
	maxOwn      = 500 // sessions of one principal
	maxSet      = 100 // settings of one session
)

// get is the session of a request; one of its own when it names none.
func (s *sessions) get(p *access.Principal, req *protocol.Request, now time.Time) (*session, error) {
	if req.SessionID == "" {
		return &session{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{p.ID, req.SessionID}
	found := s.of[key]
	if found != nil && found.until.Before(now) {
		delete(s.of, key)
		found = nil
	}
	if found == nil && req.SessionCheck {
		return nil, protocol.Exceptionf(protocol.CodeSessionNotFound, "Session %s not found", req.SessionID)
	}
	if found == nil {
		own := 0
		maps.DeleteFunc(s.of, func(of [2]string, old *session) bool {
			over := old.until.Before(now)
			if of[0] == p.ID && !over {
				own++
			}
			return over
		})
		if own >= maxOwn {
			return nil, busy("you have %d sessions already; close some (close_session=1), or let them last less long (session_timeout)", maxOwn)
		}
		if len(s.of) >= maxSessions {
			return nil, busy("there are %d sessions already", maxSessions)
		}
		found = &session{}
		if s.of == nil {
			s.of = map[[2]string]*session{}
		}
		s.of[key] = found
	}
	found.until = now.Add(req.SessionTimeout)
	if req.SessionClose {
		delete(s.of, key)
	}
	return found, nil
}

func (s *session) set() []protocol.Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]protocol.Pair(nil), s.settings...)
}

// keep remembers settings; a later one of the same name counts.
func (s *session) keep(set []protocol.Pair) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.settings)+len(set) <= maxSet {
		s.settings = append(s.settings, set...)
	}
}

// trees keeps what the engine's parser made of short queries: tools ask the same again and again.
type trees struct {
	mu sync.Mutex
	of map[[32]byte]*node
}

const maxTrees = 2000

func treeKey(query string, params []protocol.Pair) (key [32]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", query)
	for _, p := range params {
		fmt.Fprintf(h, " %q=%q", p.Name, p.Value)
	}
	h.Sum(key[:0])
	return key
}

func (t *trees) get(key [32]byte) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[key]
}

func (t *trees) put(key [32]byte, n *node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil || len(t.of) >= maxTrees {
		t.of = map[[32]byte]*node{} // all of it: what is asked again comes back with its next question
	}
	t.of[key] = n
}
