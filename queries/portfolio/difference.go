package portfolio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// MaxDifference is how many bytes of events are compared at once; mostChanges is how many
// events the answer names one by one, and at once how many are looked up together.
const (
	MaxDifference = 64 << 20
	mostChanges   = 10_000
	together      = 1_000
)

// Kind says what would become of an event, or of a stored one that is gone from a delivery.
type Kind string

const (
	EventNew       Kind = "new"
	EventChanged   Kind = "changed"   // the next revision of what is stored
	EventConflict  Kind = "conflict"  // other content under a known id, which the sender did not mean: kept aside
	EventUnchanged Kind = "unchanged" // counted, not listed
	EventWithdrawn Kind = "withdrawn"
	EventHeld      Kind = "held" // would wait for a reference or a rule
)

// Difference is what events would change in what is loaded.
type Difference struct {
	Counts   map[Kind]int        `json:"counts"`
	Changes  []Change            `json:"changes"`  // in the order of the events, withdrawn ones last
	LeftOff  int                 `json:"left_off"` // changes that were not listed, for their number
	Repeated []Repeated          `json:"repeated"` // events that are another of those sent once more, in their order; at most as many as changes
	Refusals []*contract.Refusal `json:"refusals"`
}

// Change is one event that would be new, change or go.
type Change struct {
	Index  int           `json:"index"` // of the event among those sent, from 0; -1 of one that is gone
	Kind   Kind          `json:"kind"`
	Type   string        `json:"type"`
	ID     string        `json:"id"` // of the event; empty of one that is gone
	Day    Date          `json:"day"`
	Fields []FieldChange `json:"fields"` // of a new event those that it has; of a withdrawn one those that it had
}

// Repeated is an event that is sent more than once. Of one that corrects only the last is compared, with
// what stands: the earlier ones leave nothing.
type Repeated struct {
	First int    `json:"first"` // index of the first
	Again int    `json:"again"` // index of this one
	Type  string `json:"type"`
	ID    string `json:"id"`
}

// FieldChange is a field before and after; empty is no value. Of a person nothing is told.
type FieldChange struct {
	Field string `json:"field"`
	Was   string `json:"was"`
	Will  string `json:"will"`
}

// personal stands for the value of a field that identifies a person.
const personal = "(personal)"

// Difference checks CloudEvents, one JSON object a line, as the door would, and holds them
// against what is loaded: events of any contract of the pack. Nothing is stored. What stands for
// whole days (the extension replaces) withdraws what is not among the events of its source and day.
func (p *Portfolio) Difference(ctx context.Context, lines io.Reader) (*Difference, error) {
	if p.checker == nil {
		return nil, problem.New(problem.NotFound, "this server compares no events").
			Also("uz", "Bu server hodisalarni solishtirmaydi.").
			Also("ru", "Этот сервер не сравнивает события.")
	}
	d := &Difference{Counts: map[Kind]int{EventNew: 0, EventChanged: 0, EventConflict: 0, EventUnchanged: 0, EventWithdrawn: 0, EventHeld: 0}, Changes: []Change{}, Refusals: []*contract.Refusal{}, Repeated: []Repeated{}}
	c := comparison{p: p, d: d, delivered: map[delivery]map[[16]byte]bool{}, sent: map[identity]*sent{}}
	batch := p.checker.NewBatch()
	in := bufio.NewReaderSize(lines, 1<<16)
	for index := 0; ; {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if refusal := batch.Add(index, line); refusal != nil {
				d.Refusals = append(d.Refusals, refusal)
			} else if err := c.add(ctx, batch.Last(), line); err != nil {
				return nil, err
			}
			if index++; index%together == 0 {
				batch.Reset()
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, problem.New(problem.TooLarge, "the events could not be read to their end; at most %d MB are compared", MaxDifference>>20).
				Also("uz", "Hodisalarni oxirigacha oʻqib boʻlmadi; koʻpi bilan %d MB solishtiriladi.", MaxDifference>>20).
				Also("ru", "События не удалось прочитать до конца; сравнивается не больше %d МБ.", MaxDifference>>20).
				From("portfolio: difference", err)
		}
	}
	if err := c.compare(ctx); err != nil {
		return nil, err
	}
	d.Changes = slices.DeleteFunc(d.Changes, func(one Change) bool { return one.Kind == EventUnchanged }) // taken back
	return d, c.withdrawn(ctx)
}

// delivery is a source's day that is sent as a whole.
type delivery struct {
	contract *contract.Contract
	source   string
	day      reference.Day
}

type comparison struct {
	p         *Portfolio
	d         *Difference
	waiting   []contract.Spelled
	delivered map[delivery]map[[16]byte]bool
	sent      map[identity]*sent
}

type identity struct {
	of  *contract.Contract
	key [16]byte
}

// sent is an event of those sent: what stood before the first of them that have its identity, what would
// stand after the last, and what was told of it.
type sent struct {
	first         int // index
	before, after *stored
	kind          Kind
	at            int // in Changes; -1: not listed
}

func (c *comparison) add(ctx context.Context, e contract.Spelled, line []byte) error {
	var extensions struct {
		Replaces string `json:"replaces"`
	}
	if err := json.Unmarshal(line, &extensions); err != nil {
		return problem.Wrap(err, problem.Internal, "portfolio: difference", "an event that was checked could not be read")
	}
	if day, err := reference.ParseDay(extensions.Replaces); err == nil && extensions.Replaces != "" {
		key := delivery{e.Contract, e.Source, day}
		if c.delivered[key] == nil {
			c.delivered[key] = map[[16]byte]bool{}
		}
		c.delivered[key][e.Key] = true
	}
	if c.waiting = append(c.waiting, e); len(c.waiting) < together {
		return nil
	}
	return c.compare(ctx)
}

// stored is what stands of one event.
type stored struct {
	revision uint32
	ms       int64
	values   []string
}

// stands selects rows of a contract that stand: identity, revision, time, day, values.
func (c *comparison) stands(ctx context.Context, of *contract.Contract, where string, params map[string]string, row func(key [16]byte, day reference.Day, s stored)) error {
	columns := []string{"lower(hex(UUIDStringToNum(toString(_id))))", "_rev", "toUnixTimestamp64Milli(time)", "toInt64(toUInt16(_day))"}
	for i := range of.Fields {
		columns = append(columns, of.Fields[i].SpellSQL())
	}
	facts := c.p.warehouse.Facts(of)
	sql := fmt.Sprintf("SELECT %s\nFROM %s\nWHERE _sign > 0 AND %s AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %s WHERE _sign < 0 AND %s)\nORDER BY _id, _rev DESC LIMIT 1 BY _id",
		strings.Join(columns, ", "), facts, where, facts, where)
	return c.p.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		s := stored{values: make([]string, len(of.Fields))}
		var id string
		var day int64
		into := []any{&id, &s.revision, &s.ms, &day}
		for i := range s.values {
			into = append(into, &s.values[i])
		}
		if err := scan(into...); err != nil {
			return err
		}
		var key [16]byte
		if _, err := hex.Decode(key[:], []byte(id)); err != nil {
			return err
		}
		row(key, reference.Day(day), s)
		return nil
	})
}

// compare holds the events that wait against what is stored, and forgets them.
func (c *comparison) compare(ctx context.Context) error {
	byContract := map[*contract.Contract][]string{}
	for _, e := range c.waiting {
		h := hex.EncodeToString(e.Key[:])
		byContract[e.Contract] = append(byContract[e.Contract], "'"+h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:]+"'")
	}
	for of, ids := range byContract {
		// Written into the statement, not bound: a parameter travels in the URL, which is too
		// short for thousands. They are hexadecimal digits by construction.
		err := c.stands(ctx, of, "_id IN ("+strings.Join(ids, ", ")+")", nil, func(key [16]byte, _ reference.Day, s stored) {
			if id := (identity{of, key}); c.sent[id] == nil {
				c.sent[id] = &sent{first: -1, before: &s, after: &s, kind: EventUnchanged, at: -1}
			}
		})
		if err != nil {
			return err
		}
	}
	for _, e := range c.waiting {
		id := identity{e.Contract, e.Key}
		s := c.sent[id]
		if s == nil {
			s = &sent{first: -1, kind: EventUnchanged, at: -1}
			c.sent[id] = s
		}
		if s.first < 0 {
			s.first = e.Index
		} else if e.Revision == 0 && !e.Withdrawn {
			if len(c.d.Repeated) < mostChanges {
				c.d.Repeated = append(c.d.Repeated, Repeated{s.first, e.Index, e.Contract.Type, e.ID})
			}
			if e.Correct && !e.Held {
				c.takeBack(s)
			}
		}
		var fields []FieldChange
		s.kind, fields = c.outcome(e, s.after)
		if !e.Held || s.after == nil {
			s.after = &stored{e.Revision, e.Time.UnixMilli(), e.Values}
		}
		s.at = c.note(Change{e.Index, s.kind, e.Contract.Type, e.ID, Date(e.Day), fields})
	}
	c.waiting = c.waiting[:0]
	return nil
}

// outcome is what would become of an event, by what stands; nil is nothing.
func (c *comparison) outcome(e contract.Spelled, before *stored) (Kind, []FieldChange) {
	switch {
	case e.Held:
		return EventHeld, c.changes(e.Contract, nil, e.Values)
	case e.Withdrawn && before == nil:
		return EventUnchanged, nil
	case e.Withdrawn:
		return EventWithdrawn, c.changes(e.Contract, before.values, nil)
	case before == nil:
		return EventNew, c.changes(e.Contract, nil, e.Values)
	}
	fields := c.changes(e.Contract, before.values, e.Values)
	if before.ms != e.Time.UnixMilli() {
		fields = append([]FieldChange{{"time", c.moment(before.ms), c.moment(e.Time.UnixMilli())}}, fields...)
	}
	switch {
	case len(fields) == 0:
		return EventUnchanged, nil
	case e.Correct && e.Revision == 0, e.Revision > before.revision: // the next revision, whichever stands
		return EventChanged, fields
	case e.Revision < before.revision:
		return EventUnchanged, nil
	}
	return EventConflict, fields
}

// takeBack forgets what was told of an event that another one of the same identity takes the place of.
func (c *comparison) takeBack(s *sent) {
	c.d.Counts[s.kind]--
	switch {
	case s.at >= 0:
		c.d.Changes[s.at].Kind = EventUnchanged
	case s.kind != EventUnchanged:
		c.d.LeftOff--
	}
	s.after = s.before
}

// note counts a change and lists it; it returns its place, or -1.
func (c *comparison) note(one Change) int {
	c.d.Counts[one.Kind]++
	switch {
	case one.Kind == EventUnchanged:
		return -1
	case len(c.d.Changes) == mostChanges:
		c.d.LeftOff++
		return -1
	}
	c.d.Changes = append(c.d.Changes, one)
	return len(c.d.Changes) - 1
}

// withdrawn finds what stands of the days that were sent as a whole, and was not among them.
func (c *comparison) withdrawn(ctx context.Context) error {
	for key, sent := range c.delivered {
		var gone []Change
		err := c.stands(ctx, key.contract, "_source = {source:String} AND _day = toDate({day:String})", map[string]string{"source": key.source, "day": key.day.String()},
			func(id [16]byte, day reference.Day, s stored) {
				if !sent[id] {
					gone = append(gone, Change{-1, EventWithdrawn, key.contract.Type, "", Date(day), c.changes(key.contract, s.values, nil)})
				}
			})
		if err != nil {
			return err
		}
		for _, one := range gone {
			c.note(one)
		}
	}
	return nil
}

// changes are the fields that differ; nil has no values.
func (c *comparison) changes(of *contract.Contract, was, will []string) []FieldChange {
	list := []FieldChange{}
	none := make([]string, len(of.Fields))
	if was == nil {
		was = none
	}
	if will == nil {
		will = none
	}
	for i := range of.Fields {
		if was[i] == will[i] {
			continue
		}
		one := FieldChange{of.Fields[i].Name, was[i], will[i]}
		if f := &of.Fields[i]; f.Class == contract.Personal || f.Class == contract.Special {
			for _, side := range []*string{&one.Was, &one.Will} {
				if *side != "" {
					*side = personal
				}
			}
		} else if f.Type == contract.Timestamp {
			for _, side := range []*string{&one.Was, &one.Will} {
				if ms, err := strconv.ParseInt(*side, 10, 64); err == nil {
					*side = c.moment(ms)
				}
			}
		}
		list = append(list, one)
	}
	return slices.Clip(list)
}

// moment is a time on the clocks of the pack.
func (c *comparison) moment(ms int64) string {
	return time.UnixMilli(ms).In(c.p.warehouse.Zone()).Format(time.RFC3339)
}
