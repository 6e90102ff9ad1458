package dashboards

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"
)

// The memory of answers: all of it, and the largest answer that is worth keeping.
const (
	keptBytes   = 64 << 20
	largestKept = 2 << 20
)

// kept remembers rendered answers while the facts behind them stand still: it is
// emptied when the facts' tag changes. Requests for the same answer at the same
// time wait for one computation. The zero value is ready; it is safe for
// concurrent use.
type kept struct {
	flight singleflight.Group

	mu      sync.Mutex
	facts   string // tag of the facts without the format
	answers map[string]*rendered
	bytes   int
}

// answer is the kept answer, or the one that compute makes. Errors are not kept.
// The computation does not end with the reader who asked first, because others may
// be waiting for it; it has its own time limit.
func (k *kept) answer(ctx context.Context, tag, key string, compute func(context.Context) (*rendered, error)) (*rendered, error) {
	facts := tag[:strings.LastIndexByte(tag, '-')+1]
	k.mu.Lock()
	if k.facts != facts {
		k.facts, k.answers, k.bytes = facts, map[string]*rendered{}, 0
	}
	found := k.answers[key]
	k.mu.Unlock()
	if found != nil {
		return found, nil
	}
	done := k.flight.DoChan(facts+key, func() (_ any, err error) {
		defer func() {
			if fault := recover(); fault != nil { // outside of the handler's goroutine it would end the process
				err = fmt.Errorf("api: %s: panic: %v\n%s", key, fault, debug.Stack())
			}
		}()
		// The flight of somebody else may have ended since it was looked for.
		k.mu.Lock()
		found, same := k.answers[key], k.facts == facts
		k.mu.Unlock()
		if found != nil && same {
			return found, nil
		}
		out, err := compute(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		k.keep(facts, key, out)
		return out, nil
	})
	select {
	case result := <-done:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*rendered), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// keep stores an answer unless the facts have moved on; when the memory is full it
// begins anew, which is simple and rare.
func (k *kept) keep(facts, key string, out *rendered) {
	size := 2*len(out.body) + len(key) // twice: it may be kept packed, too
	if len(out.body) > largestKept {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.facts != facts || k.answers[key] != nil {
		return
	}
	if k.bytes+size > keptBytes {
		k.answers, k.bytes = map[string]*rendered{}, 0
	}
	k.answers[key] = out
	k.bytes += size
}
