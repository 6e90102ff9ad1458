package governed

import (
	"context"
	"sync"
	"time"

	"ombor/internal/protocol"
)

// turns are the places for statements that run at once. Of those who wait, the first one of who has the fewest
// running is next, and of several such of who was not called for the longest: many statements of one principal
// delay that principal.
type turns struct {
	most, each int // at once: of everybody, of one principal
	limits     *Limits

	mu      sync.Mutex
	running int
	of      map[string]int // running, by principal
	queue   []*turn
	calls   int
	called  map[string]int // the last call of each principal since nothing ran
}

func newTurns(limits *Limits, most, each int) turns {
	return turns{limits: limits, most: most, each: each, of: map[string]int{}, called: map[string]int{}}
}

type turn struct {
	who   string
	ready chan struct{} // closed when it may begin
}

// take waits for a turn. leave gives it back.
func (t *turns) take(ctx context.Context, who string) (leave func(), err error) {
	t.mu.Lock()
	waiting := 0
	for _, other := range t.queue {
		if other.who == who {
			waiting++
		}
	}
	if waiting >= t.limits.Waiting {
		t.mu.Unlock()
		return nil, busy("%d statements of yours are waiting already", waiting)
	}
	mine := &turn{who: who, ready: make(chan struct{})}
	t.queue = append(t.queue, mine)
	t.call()
	t.mu.Unlock()

	leave = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.running--
		if t.of[who]--; t.of[who] == 0 {
			delete(t.of, who)
		}
		if t.call(); t.running == 0 {
			clear(t.called)
		}
	}
	patience := time.NewTimer(t.limits.Wait)
	defer patience.Stop()
	select {
	case <-mine.ready:
		return leave, nil
	case <-patience.C:
		err = busy("no turn came up in %s: too many statements are running", t.limits.Wait)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.mu.Lock()
	for i, other := range t.queue {
		if other == mine {
			t.queue = append(t.queue[:i], t.queue[i+1:]...)
			t.mu.Unlock()
			return nil, err
		}
	}
	t.mu.Unlock() // it was called at the same moment
	leave()
	return nil, err
}

// call lets begin whoever may. The lock is held.
func (t *turns) call() {
	for t.running < t.most {
		next := -1
		for i, waiting := range t.queue {
			if t.of[waiting.who] < t.each && (next < 0 || t.before(waiting.who, t.queue[next].who)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		mine := t.queue[next]
		t.queue = append(t.queue[:next], t.queue[next+1:]...)
		t.running++
		t.of[mine.who]++
		t.calls++
		t.called[mine.who] = t.calls
		close(mine.ready)
	}
}

// before says whether one of two principals is called before the other. The lock is held.
func (t *turns) before(one, other string) bool {
	if t.of[one] != t.of[other] {
		return t.of[one] < t.of[other]
	}
	return t.called[one] < t.called[other]
}

func busy(format string, args ...any) error {
	e := protocol.Exceptionf(protocol.CodeTooManySimultaneous, format, args...)
	e.RetryAfter = 5
	return e
}
