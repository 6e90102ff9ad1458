package journal

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"github.com/cespare/xxhash/v2"

	"ombor/internal/problem"
)

// clock gives messages their times: never backwards, and not far ahead because of a
// clock that was set for a moment. For one goroutine; the zero value works.
type clock struct {
	wall   func() time.Time     // nil: time.Now
	steady func() time.Duration // nil: the monotonic clock

	last    time.Time     // given
	at      time.Duration // on the steady clock
	ahead   time.Duration // on the steady clock, since when the wall is ahead of what it can be; 0 is not
	started bool
	origin  time.Time
}

const (
	farAhead  = time.Hour        // more than any correction of a clock that is right
	believed  = 10 * time.Minute // then the clock was wrong before, and is right now
	precision = time.Millisecond
)

func (c *clock) now() time.Time {
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.steady == nil {
		c.origin = time.Now()
		c.steady = func() time.Duration { return time.Since(c.origin) }
	}
	wall, steady := c.wall().Round(0).Truncate(precision), c.steady()
	if c.started {
		if most := c.last.Add(steady - c.at); wall.After(most.Add(farAhead)) {
			if c.ahead == 0 {
				c.ahead = max(steady, 1)
			}
			if steady-c.ahead < believed {
				wall = most
			}
		} else {
			c.ahead = 0
		}
	}
	if wall.Before(c.last) {
		wall = c.last
	}
	if !c.started || wall.After(c.last) {
		c.last, c.at = wall, steady
	}
	c.started = true
	return wall
}

// markBytes are the message and its xxHash64.
const markBytes = 16

// openMark holds the end of the journal against the last message that was acknowledged
// here. The file is not synced: after the machine crashed it may say less than was acknowledged,
// never more.
func (j *Journal) openMark(last uint64) error {
	if j.opts.Mark == "" {
		return nil
	}
	f, err := os.OpenFile(j.opts.Mark, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "journal: open", "%s cannot be written", j.opts.Mark)
	}
	var b [markBytes]byte
	if _, err := io.ReadFull(f, b[:]); err == nil && binary.LittleEndian.Uint64(b[8:]) == xxhash.Sum64(b[:8]) {
		if marked := binary.LittleEndian.Uint64(b[:]); marked > last {
			f.Close()
			return problem.New(problem.Conflict, "the journal ends at message %d, and message %d was acknowledged here: it was cut short, or is another one. Restore it; or, to give up what it held, remove %s", last, marked, j.opts.Mark).In("journal")
		}
	} else if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.Close()
		return problem.Wrap(err, problem.Unavailable, "journal: open", "%s cannot be read", j.opts.Mark)
	}
	j.mark = f
	return nil
}

// note remembers that a message is about to be acknowledged. That it may be forgotten is no harm.
func (j *Journal) note(seq uint64) {
	if j.mark == nil {
		return
	}
	var b [markBytes]byte
	binary.LittleEndian.PutUint64(b[:], seq)
	binary.LittleEndian.PutUint64(b[8:], xxhash.Sum64(b[:8]))
	_, _ = j.mark.WriteAt(b[:], 0)
}
