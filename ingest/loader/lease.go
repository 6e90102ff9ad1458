package loader

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ombor/ingest/journal"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// lease says which of several loaders on one journal is at work: a key in the bucket
// <journal>_LEASE that the holder rewrites every quarter of the lease's time, and that
// another may take once it has seen it unchanged for a quarter longer than that. Nobody's calendar
// clock is asked: each side counts on a clock of its own that only runs forward, and also
// while the machine sleeps (CLOCK_BOOTTIME).
//
// The lease is a courtesy that keeps two loaders from working at once. What keeps a
// holder that was stopped for long from doing harm when it wakes is not the lease but
// the ledger, which refuses its records, and the warehouse, which refuses its statements.
type lease struct {
	bucket *stream.Bucket
	me     string
	ttl    time.Duration

	mu       sync.Mutex
	revision uint64
	claim    tenure
	until    time.Duration // on the clock of running
	deposed  bool
}

// tenure is the value of the key.
type tenure struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"` // "" when it was given back
	Beat   uint64 `json:"beat"`
}

const leaseKey = "loader"

// running is a clock that never jumps, and does not stop while the machine sleeps.
func running() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// openLease opens the lease of a journal for the loader that owns a folder. The same
// folder is the same holder: its lock says that the process before has ended.
func openLease(ctx context.Context, j *journal.Journal, dir string, ttl time.Duration) (*lease, error) {
	bucket, err := j.Conn().Bucket(ctx, j.Name()+"_LEASE", "Which loader is at work")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "holder")
	id, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		id = []byte(hex.EncodeToString(random[:]))
		err = os.WriteFile(path, id, 0o600)
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "loader: open", "the folder %s cannot be written", dir)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "loader: open", "this machine has no name")
	}
	return &lease{bucket: bucket, me: host + "/" + string(id), ttl: ttl}, nil
}

// acquire returns with a new epoch when nobody else holds the lease. An embedded
// journal has no other loader, and a claim of this folder is of a process that ended:
// both are taken at once. waiting is called, now and then, while another holds it.
func (l *lease) acquire(ctx context.Context, alone bool, least uint64, waiting func(holder string)) (uint64, error) {
	var seen uint64
	var since time.Duration
	for {
		value, revision, err := l.bucket.Get(ctx, leaseKey)
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return 0, err
		}
		var c tenure
		if err == nil {
			if err := json.Unmarshal(value, &c); err != nil {
				return 0, problem.Wrap(err, problem.Internal, "loader: lease", "the lease %q cannot be read", value)
			}
		}
		if revision != seen || since == 0 {
			seen, since = revision, running()
		}
		if alone || c.Holder == "" || c.Holder == l.me || running()-since > l.ttl+l.ttl/4 {
			next := tenure{Epoch: max(c.Epoch, least) + 1, Holder: l.me}
			started := running()
			revision, err := l.write(ctx, next, revision)
			if err == nil {
				l.mu.Lock()
				l.revision, l.claim, l.until, l.deposed = revision, next, started+l.ttl, false
				l.mu.Unlock()
				return next.Epoch, nil
			}
			if problem.KindOf(err) != problem.Conflict {
				return 0, err
			}
			continue // somebody was faster: look again
		}
		waiting(c.Holder)
		if err := sleep(ctx, l.ttl/8); err != nil {
			return 0, err
		}
	}
}

func (l *lease) write(ctx context.Context, c tenure, revision uint64) (uint64, error) {
	value, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	return l.bucket.Update(ctx, leaseKey, value, revision)
}

// keep holds the lease until ctx ends or another loader has it, which is errDeposed.
// While the journal's server is away the lease runs out, and nobody can take it.
func (l *lease) keep(ctx context.Context) error {
	for {
		pause := l.ttl / 4
		if err := l.renew(ctx); errors.Is(err, errDeposed) {
			return err
		} else if err != nil {
			pause = l.ttl / 16 // the journal's server is away: held says so to the work
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (l *lease) renew(ctx context.Context) error {
	l.mu.Lock()
	next, revision := l.claim, l.revision
	l.mu.Unlock()
	next.Beat++
	ctx, cancel := context.WithTimeout(ctx, l.ttl)
	defer cancel()
	started := running()
	now, err := l.write(ctx, next, revision)
	if err != nil && problem.KindOf(err) == problem.Conflict {
		// Ours, perhaps, of an attempt whose answer was lost.
		value, there, gerr := l.bucket.Get(ctx, leaseKey)
		var c tenure
		if gerr != nil {
			return gerr
		}
		if json.Unmarshal(value, &c) != nil || c != next {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.deposed = true
			return errDeposed
		}
		now, err = there, nil
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claim, l.revision, l.until = next, now, started+l.ttl
	return nil
}

// held says whether the lease is held at this moment; errDeposed when it is lost.
func (l *lease) held() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deposed {
		return false, errDeposed
	}
	return running() < l.until, nil
}

// release gives the lease back, so that a standby need not wait for its end.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.revision == 0 || l.deposed {
		return nil
	}
	_, err := l.write(ctx, tenure{Epoch: l.claim.Epoch}, l.revision)
	l.revision, l.until = 0, 0
	return err
}
