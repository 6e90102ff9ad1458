package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Session is somebody who has signed in.
type Session struct {
	Principal Principal `json:"principal"`
	Began     time.Time `json:"began"`
	Ends      time.Time `json:"ends"`  // whatever happens
	Fresh     time.Time `json:"fresh"` // until then the provider need not be asked again; zero: never

	Refresh string `json:"refresh,omitempty"` // the provider's refresh token
	Hint    string `json:"hint,omitempty"`    // its ID token, with which it is told of a sign-out
}

// sessionLength is a working day.
const sessionLength = 12 * time.Hour

// Sessions are those of all processes on one journal. A session is found by the hash of
// its cookie, and what is stored of it is encrypted: who reads the store can act as nobody.
type Sessions struct {
	bucket *stream.Bucket
	seal   sealer
	now    func() time.Time

	mu    sync.Mutex
	known map[string]recentSession // by key
}

type recentSession struct {
	session *Session
	read    time.Time
}

var errNoSession = problem.New(problem.Unauthenticated, "nobody is signed in, or the session has ended: sign in again").
	Also("uz", "Tizimga kirilmagan yoki seans tugagan: qayta kiring.").
	Also("ru", "Вход не выполнен или сеанс завершён: войдите снова.")

// OpenSessions opens the sessions of an installation. secret has 32 bytes; a nil now is time.Now.
func OpenSessions(ctx context.Context, conn *stream.Conn, secret []byte, now func() time.Time) (*Sessions, error) {
	bucket, err := conn.Bucket(ctx, "SESSIONS", "Who is signed in; encrypted")
	if err != nil {
		return nil, err
	}
	seal, err := newSealer(secret)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Sessions{bucket: bucket, seal: seal, now: now, known: map[string]recentSession{}}, nil
}

func sessionKey(cookie string) string {
	hash := sha256.Sum256([]byte(cookie))
	return hex.EncodeToString(hash[:])
}

// Begin stores a session and returns the value of its cookie. Began and Ends are set.
func (ss *Sessions) Begin(ctx context.Context, s Session) (cookie string, err error) {
	cookie = rand.Text()
	s.Began = ss.now().UTC()
	s.Ends = s.Began.Add(sessionLength)
	return cookie, ss.Renew(ctx, cookie, &s)
}

// Renew stores what has changed of a session.
func (ss *Sessions) Renew(ctx context.Context, cookie string, s *Session) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	key := sessionKey(cookie)
	if _, err := ss.bucket.Put(ctx, key, ss.seal.seal(text, key)); err != nil {
		return err
	}
	ss.remember(key, s)
	return nil
}

func (ss *Sessions) remember(key string, s *Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.known) > 10_000 {
		clear(ss.known)
	}
	ss.known[key] = recentSession{s, ss.now()}
}

// Of is the session of a cookie; Unauthenticated when there is none, or it has ended.
func (ss *Sessions) Of(ctx context.Context, cookie string) (*Session, error) {
	key := sessionKey(cookie)
	ss.mu.Lock()
	r, ok := ss.known[key]
	ss.mu.Unlock()
	if !ok || ss.now().Sub(r.read) > remembered {
		value, _, err := ss.bucket.Get(ctx, key)
		if err != nil && problem.KindOf(err) == problem.NotFound {
			return nil, errNoSession
		}
		if err != nil {
			return nil, err
		}
		text, err := ss.seal.open(value, key)
		s := new(Session)
		if err != nil || json.Unmarshal(text, s) != nil {
			return nil, errNoSession // of other keys, or not of ours
		}
		r.session = s
		ss.remember(key, s)
	}
	if !r.session.Ends.After(ss.now()) {
		return nil, errNoSession
	}
	return r.session, nil
}

// End ends a session: here at once, in other processes within two seconds.
func (ss *Sessions) End(ctx context.Context, cookie string) error {
	key := sessionKey(cookie)
	err := ss.bucket.Delete(ctx, key)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.known, key)
	return err
}

// Sweep removes sessions that have ended, now and every hour until ctx ends.
func (ss *Sessions) Sweep(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := ss.sweep(ctx); err != nil && ctx.Err() == nil {
			slog.Debug("access: sessions that have ended are still stored", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (ss *Sessions) sweep(ctx context.Context) error {
	keys, err := ss.bucket.Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, _, err := ss.bucket.Get(ctx, key)
		if err != nil {
			continue // gone meanwhile
		}
		var s Session
		text, err := ss.seal.open(value, key)
		if err != nil || json.Unmarshal(text, &s) != nil || s.Ends.After(ss.now()) {
			continue
		}
		if err := ss.bucket.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// sealer encrypts what is given out or stored: AES-256-GCM, with a name that it belongs to.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte) (sealer, error) {
	if len(secret) != 32 {
		return sealer{}, problem.New(problem.BadInput, "access: the secret needs 32 bytes")
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealer{aead}, err
}

func (s sealer) seal(text []byte, name string) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return s.aead.Seal(nonce, nonce, text, []byte(name))
}

func (s sealer) open(sealed []byte, name string) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("too short")
	}
	return s.aead.Open(nil, sealed[:n], sealed[n:], []byte(name))
}
