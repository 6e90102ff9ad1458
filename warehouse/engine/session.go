package engine

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"ombor/internal/protocol"
)

// newID is a query_id: a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])                      // crypto/rand never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a random UUID (RFC 9562)
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// sessions are connections that clients keep by name, with their temporary tables
// and settings.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// maxSessions bounds the connections that idle sessions hold.
const maxSessions = 1000

type session struct {
	conn    *connection
	busy    bool
	timeout time.Duration
	timer   *time.Timer // closes the session; stopped while busy
}

// connectSession takes the request's session, or begins it. One request at a time
// uses a session.
func (q *query) connectSession() (release func(), err error) {
	all := &q.f.sessions
	id := q.req.User + "\x00" + q.req.SessionID
	all.mu.Lock()
	s := all.byID[id]
	switch {
	case s == nil && q.req.SessionCheck:
		all.mu.Unlock()
		return nil, protocol.Exceptionf(protocol.CodeSessionNotFound, "Session %s not found", q.req.SessionID)
	case s == nil && len(all.byID) >= maxSessions:
		all.mu.Unlock()
		return nil, protocol.Exceptionf(protocol.CodeTooManySimultaneous, "there are %d sessions already", maxSessions)
	case s != nil && s.busy:
		all.mu.Unlock()
		return nil, protocol.Exceptionf(protocol.CodeSessionLocked, "Session %s is locked by a concurrent client", q.req.SessionID)
	}
	if s == nil {
		conn, err := q.f.lib.dial(q.f.base)
		if err != nil {
			all.mu.Unlock()
			return nil, err
		}
		s = &session{conn: conn}
		if all.byID == nil {
			all.byID = make(map[string]*session)
		}
		all.byID[id] = s
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.busy, s.timeout = true, q.req.SessionTimeout
	all.mu.Unlock()

	giveBack := func() {
		all.mu.Lock()
		defer all.mu.Unlock()
		s.busy = false
		s.timer = time.AfterFunc(s.timeout, func() { all.drop(id, s) })
	}
	q.conn = s.conn
	restore, err := q.remember()
	if err == nil {
		err = q.prepare()
	}
	if err != nil {
		giveBack()
		return nil, err
	}
	return func() {
		if q.req.SessionClose {
			all.mu.Lock()
			delete(all.byID, id)
			all.mu.Unlock()
			s.conn.close()
			return
		}
		restore()
		giveBack()
	}, nil
}

func (all *sessions) drop(id string, s *session) {
	all.mu.Lock()
	if s.busy || all.byID[id] != s {
		all.mu.Unlock()
		return
	}
	delete(all.byID, id)
	all.mu.Unlock()
	s.conn.close()
}

// closeAll ends every session that is not in use.
func (all *sessions) closeAll() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for id, s := range all.byID {
		if !s.busy {
			s.timer.Stop()
			s.conn.close()
			delete(all.byID, id)
		}
	}
}

// remember notes what this request alone changes in its session (settings in the
// URL, database, external tables), and returns what puts it back.
func (q *query) remember() (restore func(), err error) {
	set := q.settings()
	names := make([]string, len(set))
	for i, p := range set {
		names[i] = protocol.QuoteString(p.Name)
	}
	r, err := q.conn.run([]byte("SELECT name, value FROM system.settings WHERE changed AND name IN ("+strings.Join(names, ", ")+")"), "TabSeparatedRaw", nil)
	if err != nil {
		return nil, err
	}
	before := make(map[string]string)
	for _, line := range strings.Split(string(r.bytes()), "\n") {
		if name, value, ok := strings.Cut(line, "\t"); ok {
			before[name] = value
		}
	}
	r.free()
	database := ""
	if q.req.Database != "" && q.statement.Verb != "USE" {
		r, err := q.conn.run([]byte("SELECT currentDatabase()"), "TabSeparatedRaw", nil)
		if err != nil {
			return nil, err
		}
		database = strings.TrimSuffix(string(r.bytes()), "\n")
		r.free()
	}
	return func() {
		// Each step is tried: what cannot be put back (a table that was dropped, a
		// session made read-only) is the session's own doing.
		for i := len(set) - 1; i >= 0; i-- {
			p := set[i]
			if q.statement.Verb == "SET" && p.Name != markSetting && p.Name != protocol.TypesInBinary {
				continue
			}
			value := "DEFAULT"
			if v, ok := before[p.Name]; ok {
				value = protocol.QuoteString(v)
			}
			_ = q.do("SET " + protocol.QuoteIdentifier(p.Name) + " = " + value)
		}
		for _, t := range q.req.External {
			_ = q.do("DROP TEMPORARY TABLE IF EXISTS " + protocol.QuoteIdentifier(t.Name))
		}
		if database != "" {
			_ = q.do("USE " + protocol.QuoteIdentifier(database))
		}
	}, nil
}
