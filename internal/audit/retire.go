package audit

import (
	"context"
	"fmt"
	"time"

	"ombor/internal/problem"
	"ombor/internal/redact"
)

// Shortened is the action of the entry behind which earlier ones may be missing. Its object begins
// with the head of the last entry that was removed, as [Head.String] writes it.
const Shortened = "audit log shortened"

// LeastKept is how long entries are kept at least: who breaks in today cannot remove what tells of it.
const LeastKept = 365 * 24 * time.Hour

// Retired is what [Log.Retire] removed.
type Retired struct {
	Entries uint64 `json:"entries"` // that were removed
	Last    Head   `json:"last"`    // the last of them; zero when there were none
}

// Retire removes the entries before a moment, as far as whole messages of the stream are older. That it
// does is itself an entry, which holds the head of the last one removed: from there
// [Log.Verify] follows the chain that is left, and nobody without the key can make such an entry.
// who names the principal; nothing is removed when the entry cannot be written. BadInput: the moment lies within [LeastKept].
// It may be ended and repeated at any moment.
func (l *Log) Retire(ctx context.Context, before time.Time, who Entry) (*Retired, error) {
	now := l.options.Now()
	if now.Sub(before) < LeastKept {
		return nil, problem.New(problem.BadInput, "entries are kept for %d days at least", int(LeastKept.Hours()/24)).In("before")
	}
	state, err := l.stream.State(ctx)
	if err != nil || state.Messages == 0 {
		return &Retired{}, err
	}
	var last []byte // newest message that goes
	next := state.First
	for seq := state.First; seq <= state.Last; {
		m, err := l.stream.Next(ctx, seq)
		if err != nil {
			return nil, err
		}
		if !m.Time.Before(before) || m.Seq >= state.Last { // the newest stays: the chain goes on from it
			break
		}
		last, next, seq = m.Data, m.Seq+1, m.Seq+1
	}
	if last == nil {
		return &Retired{}, nil
	}
	first, err := l.firstNumber(ctx, state.First)
	if err != nil {
		return nil, err
	}
	c := chain{key: l.options.Key}
	if err := c.follow(last, true, nil); err != nil {
		return nil, problem.Wrap(err, problem.Conflict, "audit: retire", "the audit log is damaged: run 'ombor audit verify'")
	}
	r := &Retired{Entries: c.head.Number - first + 1, Last: c.head}
	who.Action, who.Allowed = Shortened, true
	who.Object = fmt.Sprintf("%s is the last of %d entries from before %s that are removed", r.Last, r.Entries, before.UTC().Format(time.RFC3339))
	who.Why = redact.Text(who.Why)
	if _, err := l.record(ctx, who); err != nil { // as it stands: a code may hold runs of digits
		return nil, err
	}
	return r, l.stream.Purge(ctx, next)
}

// firstNumber is the number of the first entry in or behind a message.
func (l *Log) firstNumber(ctx context.Context, seq uint64) (uint64, error) {
	m, err := l.stream.Next(ctx, seq)
	if err != nil {
		return 0, err
	}
	entries := entriesOf(m.Data)
	if len(entries) == 0 {
		return 0, problem.New(problem.Conflict, "the first entry of the audit log cannot be read: run 'ombor audit verify'")
	}
	return entries[0].Number, nil
}

// beginning is the head behind which the chain that is left begins: zero when nothing was removed,
// else what the newest entry of a removal says of it. Whether that entry is genuine is seen when the chain is followed.
func (l *Log) beginning(ctx context.Context, first, last uint64) (Head, error) {
	number, err := l.firstNumber(ctx, first)
	if err != nil || number == 1 {
		return Head{}, nil // what cannot be read is found by who follows the chain
	}
	for seq := last; seq >= first; seq-- {
		m, err := l.stream.Get(ctx, seq)
		if err != nil {
			if problem.KindOf(err) == problem.NotFound {
				continue
			}
			return Head{}, err
		}
		for _, e := range entriesOf(m.Data) {
			if e.Action != Shortened || !e.Allowed {
				continue
			}
			var h Head
			var code string
			if _, err := fmt.Sscanf(e.Object, "%d:%64s", &h.Number, &code); err == nil && h.Code.UnmarshalText([]byte(code)) == nil && h.Number+1 == number {
				return h, nil
			}
		}
	}
	return Head{}, nil
}
