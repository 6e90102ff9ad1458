// Package objectstest breaks a real object store at a chosen operation, for tests of
// whoever writes to one.
//
//	s := objectstest.Wrap(store)
//	s.Fail(3, objectstest.Lost)    // the third operation from now is done, and its answer lost
package objectstest

import (
	"context"
	"sync"
	"time"

	"ombor/internal/objects"
	"ombor/internal/problem"
)

// How an operation fails.
type How int

const (
	Refused How = iota // it is not done
	Lost               // it is done, and the answer is lost
	Died               // it is not done, nor is any later one: as if the process were dead
	Gone               // it is done, and no later one is
)

// Hows are all ways to fail.
var Hows = []How{Refused, Lost, Died, Gone}

func (h How) String() string { return [...]string{"refused", "lost", "died", "gone"}[h] }

// Store is a store that fails as told. It is safe for concurrent use.
type Store struct {
	objects.Store

	mu   sync.Mutex
	n    int // operations since Fail
	at   int // the one that fails; 0 is none
	how  How
	hit  bool
	last string // operation that failed
}

// Wrap makes a store that works until Fail.
func Wrap(store objects.Store) *Store { return &Store{Store: store} }

// Fail lets the ith operation from now on fail, from 1; 0 is none.
func (s *Store) Fail(i int, how How) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.at, s.how, s.hit, s.last = 0, i, how, false, ""
}

// Failed says which operation failed, "" when none has yet, and how many were asked
// for since Fail.
func (s *Store) Failed() (operation string, operations int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.n
}

// do counts an operation and lets it fail when it is its turn.
func (s *Store) do(name string, operation func() error) error {
	s.mu.Lock()
	s.n++
	mine := s.at > 0 && s.n == s.at
	dead := s.hit && (s.how == Died || s.how == Gone)
	if mine {
		s.hit, s.last = true, name
	}
	how := s.how
	s.mu.Unlock()
	broken := &problem.Error{Kind: problem.Unavailable, Op: "objects: " + name, Message: "the object store was broken by the test", RetryAfter: time.Second}
	switch {
	case dead && !mine, mine && (how == Refused || how == Died):
		return broken
	case mine:
		if err := operation(); err != nil {
			return err
		}
		return broken
	}
	return operation()
}

func (s *Store) Put(ctx context.Context, name string, data []byte) error {
	return s.do("put "+name, func() error { return s.Store.Put(ctx, name, data) })
}

func (s *Store) Get(ctx context.Context, name string) (data []byte, err error) {
	err = s.do("get "+name, func() (err error) { data, err = s.Store.Get(ctx, name); return })
	return data, err
}

func (s *Store) Range(ctx context.Context, name string, offset, length int64) (data []byte, err error) {
	err = s.do("range "+name, func() (err error) { data, err = s.Store.Range(ctx, name, offset, length); return })
	return data, err
}

func (s *Store) Stat(ctx context.Context, name string) (info objects.Info, err error) {
	err = s.do("stat "+name, func() (err error) { info, err = s.Store.Stat(ctx, name); return })
	return info, err
}

func (s *Store) List(ctx context.Context, prefix string, fn func(objects.Info) error) error {
	return s.do("list "+prefix, func() error { return s.Store.List(ctx, prefix, fn) })
}

func (s *Store) Delete(ctx context.Context, name string) error {
	return s.do("delete "+name, func() error { return s.Store.Delete(ctx, name) })
}
