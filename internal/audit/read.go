package audit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Filter chooses entries. The zero value chooses all.
type Filter struct {
	Who      string    // exactly; empty: everybody
	Action   string    // exactly; empty: every action
	Text     string    // somewhere in Who, Name, Object or Why, in any case
	Denied   bool      // denials only
	From, To time.Time // From inclusive, To exclusive; zero: open
	Before   uint64    // entries with smaller numbers; 0: from the newest on
	Limit    int       // most entries of the answer; 0 is 100, at most 10,000
}

func (f *Filter) fits(e *Entry) bool {
	if f.Who != "" && e.Who != f.Who || f.Action != "" && e.Action != f.Action || f.Denied && e.Allowed ||
		!f.From.IsZero() && e.Time.Before(f.From) || !f.To.IsZero() && !e.Time.Before(f.To) || f.Before != 0 && e.Number >= f.Before {
		return false
	}
	if f.Text == "" {
		return true
	}
	text := strings.ToLower(f.Text)
	for _, in := range []string{e.Who, e.Name, e.Object, e.Why} {
		if strings.Contains(strings.ToLower(in), text) {
			return true
		}
	}
	return false
}

// Read gives entries that fit, the newest first. It does not check the chain; a damaged entry
// is skipped here and told by [Log.Verify].
func (l *Log) Read(ctx context.Context, f Filter) ([]Entry, error) {
	if f.Limit == 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 10_000)
	state, err := l.stream.State(ctx)
	if err != nil {
		return nil, err
	}
	found := []Entry{}
	for seq := state.Last; seq >= max(state.First, 1) && len(found) < f.Limit; seq-- {
		m, err := l.stream.Get(ctx, seq)
		if problem.KindOf(err) == problem.NotFound && err != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !f.To.IsZero() && m.Time.Add(-time.Hour).After(f.To) {
			continue // the clocks of entries and of the stream's server are not so far apart
		}
		entries := entriesOf(m.Data)
		for i := len(entries) - 1; i >= 0 && len(found) < f.Limit; i-- {
			if f.fits(&entries[i]) {
				found = append(found, entries[i])
			}
		}
		if !f.From.IsZero() && m.Time.Add(time.Hour).Before(f.From) {
			break
		}
	}
	return found, nil
}

func entriesOf(data []byte) []Entry {
	var entries []Entry
	for line := range strings.Lines(string(data)) {
		var c chain
		_ = c.follow([]byte(line), true, func(e Entry) error { entries = append(entries, e); return nil }) // a line that cannot be read gives none
	}
	return entries
}

// stands says whether a head is that of an entry of the chain, or of one before its first, of which nothing
// can be told ([Log.Retire]); also of the zero head.
func (l *Log) stands(ctx context.Context, h Head) (bool, error) {
	low, high, before := uint64(1), l.chain.last, h == Head{}
	for seq := high; low <= high; seq = low + (high-low)/2 { // numbers rise from message to message; mostly it is the last
		m, err := l.stream.Next(ctx, seq)
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return false, err
		}
		if err != nil || m.Seq > high { // what was here is removed
			high = seq - 1
			continue
		}
		heads := headsOf(m.Data)
		switch {
		case len(heads) == 0:
			return false, nil
		case h.Number > heads[len(heads)-1].Number:
			low = m.Seq + 1
		case h.Number < heads[0].Number:
			high, before = seq-1, true
		default:
			return slices.Contains(heads, h), nil
		}
	}
	return before && low == 1, nil
}

func headsOf(data []byte) (heads []Head) {
	for line := range strings.Lines(string(data)) {
		var c chain
		if c.follow([]byte(line), true, nil) == nil {
			heads = append(heads, c.head)
		}
	}
	return heads
}

// Report is what [Log.Verify] found.
type Report struct {
	Entries uint64   `json:"entries"` // that belong to the chain, from the first on
	Head    Head     `json:"head"`    // of the last one that does
	Faults  []string `json:"faults"`  // in words; empty: the log is whole
}

var errEnd = errors.New("the end")

// Verify follows the chain from its first entry, or from where [Log.Retire] left it, to its end, and holds it against
// the head that is kept and those that were noted earlier: the log is whole when the report has no faults. After a fault the chain is taken
// up again behind it, so that every fault is told, up to 100.
func (l *Log) Verify(ctx context.Context, noted ...Head) (*Report, error) {
	kept, unread := l.kept() // before the chain's end is looked for
	state, err := l.stream.State(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{Faults: []string{}}
	switch {
	case unread != nil:
		r.Faults = append(r.Faults, "the head that was kept: "+problem.DocumentOf(unread).Detail)
	case kept != Head{}:
		noted = append(slices.Clone(noted), kept)
	}
	known := map[uint64][]Code{}
	for _, h := range noted {
		known[h.Number] = append(known[h.Number], h.Code)
	}
	c := chain{key: l.options.Key}
	other := func(code Code) bool { return code != c.head.Code }
	tell := func(text string) {
		if len(r.Faults) < 100 {
			r.Faults = append(r.Faults, text)
		}
	}
	look := func(e Entry) error {
		r.Entries++
		if slices.ContainsFunc(known[e.Number], other) {
			tell((&fault{e.Number, "has another code than the one that was noted for it"}).Error())
		}
		return nil
	}
	if state.Messages > 0 {
		next, begin := uint64(1), false
		if c.head, err = l.beginning(ctx, state.First, state.Last); err != nil {
			return nil, err
		}
		if c.head != (Head{}) { // what came before was removed as it should be
			next = state.First
			if slices.ContainsFunc(known[c.head.Number], other) {
				tell((&fault{c.head.Number, "has another code than the one that was noted for it"}).Error())
			}
		}
		err = l.stream.Follow(ctx, 1, func(m stream.Message) error {
			if m.Seq != next {
				tell((&fault{c.head.Number + 1, "and those of its group are missing"}).Error())
			}
			next = m.Seq + 1
			for line := range strings.Lines(string(m.Data)) {
				if err := c.follow([]byte(line), begin, look); err != nil {
					tell(err.Error())
					before := c.head.Number
					if c.follow([]byte(line), true, nil) != nil { // it cannot be read: the next one stands behind it
						c.head.Number = before + 1
						begin = true
						continue
					}
				}
				begin = false
			}
			c.last = m.Seq
			if m.Seq >= state.Last {
				return errEnd
			}
			return nil
		})
		if !errors.Is(err, errEnd) { // following has no other end
			return nil, err
		}
	}
	r.Head = c.head
	for _, h := range noted {
		if h.Number > c.head.Number {
			tell((&fault{c.head.Number + 1, "and all after it are missing: entry " + h.String() + " was there"}).Error())
		}
	}
	return r, nil
}
