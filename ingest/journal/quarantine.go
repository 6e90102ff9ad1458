package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Entry is one event in quarantine: checked and pseudonymised, but not counted.
type Entry struct {
	ID       string        `json:"id"` // "12.3": message and line
	Received time.Time     `json:"received"`
	Held     contract.Held `json:"held"`
}

// Hold keeps events aside, durably, until somebody fixes or drops them. Errors as
// of [Journal.Append].
func (j *Journal) Hold(ctx context.Context, held []contract.Held) error {
	var lines bytes.Buffer
	flush := func() error {
		if lines.Len() == 0 {
			return nil
		}
		_, err := j.held.Publish(ctx, "", bytes.Clone(lines.Bytes()))
		lines.Reset()
		return err
	}
	for i := range held {
		line, err := json.Marshal(&held[i])
		if err != nil {
			return problem.Wrap(err, problem.Internal, "journal: hold", "an event cannot be kept aside")
		}
		if len(line) >= MaxMessage {
			return problem.New(problem.TooLarge, "an event of %s is larger than %d KB", held[i].Type, MaxMessage>>10)
		}
		if lines.Len()+len(line) >= MaxMessage {
			if err := flush(); err != nil {
				return err
			}
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	return flush()
}

// Held calls fn with every event in quarantine, oldest first, and returns at the
// end of what was there when it was called, or with fn's error.
func (j *Journal) Held(ctx context.Context, fn func(Entry) error) error {
	st, err := j.held.State(ctx)
	if err != nil || st.First > st.Last {
		return err
	}
	err = j.held.Follow(ctx, st.First, func(m stream.Message) error {
		entries, err := entriesOf(m)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if m.Seq >= st.Last {
			return errEnd
		}
		return nil
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// HeldEntry is the event in quarantine with that id; NotFound when there is none.
func (j *Journal) HeldEntry(ctx context.Context, id string) (Entry, error) {
	none := problem.New(problem.NotFound, "nothing is kept aside under %q", id)
	message, line, ok := strings.Cut(id, ".")
	seq, err := strconv.ParseUint(message, 10, 64)
	n, nerr := strconv.Atoi(line)
	if !ok || err != nil || nerr != nil || seq == 0 || n < 0 {
		return Entry{}, none
	}
	m, err := j.held.Get(ctx, seq)
	if problem.KindOf(err) == problem.NotFound && err != nil {
		return Entry{}, none
	}
	if err != nil {
		return Entry{}, err
	}
	entries, err := entriesOf(m)
	if err != nil {
		return Entry{}, err
	}
	if n >= len(entries) {
		return Entry{}, none
	}
	return entries[n], nil
}

func entriesOf(m stream.Message) ([]Entry, error) {
	var entries []Entry
	dec := json.NewDecoder(bytes.NewReader(m.Data))
	for dec.More() {
		e := Entry{ID: fmt.Sprintf("%d.%d", m.Seq, len(entries)), Received: m.Time}
		if err := dec.Decode(&e.Held); err != nil {
			return nil, problem.Wrap(err, problem.Internal, "journal: quarantine", "message %d of the quarantine is damaged", m.Seq)
		}
		entries = append(entries, e)
	}
	return entries, nil
}
