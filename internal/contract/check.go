package contract

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"ombor/internal/redact"
)

// Limits bound one event. The zero value has the defaults.
type Limits struct {
	Event int              // bytes of one event; 512 KiB, so that any event fits a journal message
	Text  int              // bytes of a text; 64 KiB
	Depth int              // nesting of objects and arrays; 32
	Now   func() time.Time // what time it is, for times in the future; time.Now
	Own   bool             // takes figure.published, which Ombor alone writes; to others it is an unknown type
}

const (
	maxLabel      = 256            // bytes of an id, source, type, code, enum, ref or identifier: they are keys
	maxExtensions = 64             // attributes of an event that Ombor does not know
	maxAhead      = 24 * time.Hour // how far a sender's clock may run ahead
)

func (l Limits) withDefaults() Limits {
	if l.Event == 0 {
		l.Event = 512 << 10
	}
	if l.Text == 0 {
		l.Text = 64 << 10
	}
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.Now == nil {
		l.Now = time.Now
	}
	return l
}

// Checker checks events against a set. It is safe for concurrent use.
type Checker struct {
	set    *Set
	keys   *Keys
	limits Limits
	types  []string // event types that a sender may send, for reasons
}

// NewChecker makes a checker; zero limits have defaults.
func NewChecker(set *Set, keys *Keys, limits Limits) *Checker {
	c := &Checker{set: set, keys: keys, limits: limits.withDefaults()}
	for _, k := range set.all {
		if c.takes(k) {
			c.types = append(c.types, k.Type)
		}
	}
	return c
}

// takes says whether events of a contract may come from whoever sends here.
func (c *Checker) takes(k *Contract) bool { return k.Name != FigurePublished || c.limits.Own }

// Limits are the limits in force.
func (c *Checker) Limits() Limits { return c.limits }

// Set is the set that events are checked against.
func (c *Checker) Set() *Set { return c.set }

// Batch gathers the events of one request as records. It is not safe for concurrent
// use; after [Batch.Parts] and [Batch.Held] it can be used again, which saves its
// buffers and what it has learned of the senders' ways.
type Batch struct {
	checker *Checker
	tables  []*table  // by contract; nil until an event of it came
	last    *table    // of the event before
	order   followers // of attributes
	held    []Held
	size    int
	rows    int

	identity, digest []byte   // keys
	pseudonyms       []*chain // by kind of identifier
	version          int      // of the keys in them
	days             zoneDays
	midnights        midnights
	latest           int64 // Unix milliseconds; no event is later

	// The event that is being checked. Its slices are the event's own bytes, or plain's.
	scanner
	attributes  [attrCount]token
	extensions  []extension
	members     []member // of data
	of          *table   // whose fields the members name; nil: not known
	row         row
	facts       facts
	replay      *Held
	sends       func(source, contract string) bool // nil: the sender may send everything
	sentSource  string                             // that it may send, of sentTable
	sentTable   *table
	namedSource string // that has not the form of somebody's number
	index       int
	fault       fault
	field       string // where fault is
	plain       []byte // texts without their escapes, identifiers in canonical form
	scratch     []byte
}

// row is what the event becomes.
type row struct {
	table     *table
	id, root  []byte
	source    []byte
	time      int64 // Unix milliseconds
	day       int32
	revision  uint32
	withdrawn bool
	correct   bool
	simulated bool
	key       [16]byte
	digest    uint64
	values    []value
}

// NewBatch makes an empty batch.
func (c *Checker) NewBatch() *Batch {
	b := &Batch{checker: c, tables: make([]*table, len(c.set.all)), order: make(followers, attrCount+2),
		identity: c.keys.identityKey(), digest: c.keys.digestKey(),
		days: zoneDays{zone: c.set.zone}, midnights: midnights{zone: c.set.zone}}
	b.renew()
	b.depth = c.limits.Depth
	b.facts.b = b
	return b
}

// renew takes the newest pseudonym keys. All rows of a record have one version.
func (b *Batch) renew() {
	if now := b.checker.keys.PseudonymVersion(); b.rows == 0 && now > b.version {
		b.version, b.pseudonyms = now, b.pseudonyms[:0]
		for _, kind := range b.checker.set.kinds {
			b.pseudonyms = append(b.pseudonyms, b.checker.keys.chain(kind, 0, now))
		}
	}
}

// Len is the number of events in the batch's records, held ones not included.
func (b *Batch) Len() int { return b.rows }

// Size is about the number of bytes that the batch's records take.
func (b *Batch) Size() int { return b.size }

// Parts hands over what was gathered, one record for each contract in the set's order,
// and leaves the batch without rows. The records hold until the batch is used again: it
// fills the same memory anew.
func (b *Batch) Parts() []Part {
	var parts []Part
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		if t.rows > 0 {
			parts = append(parts, Part{t.contract, t.build(), b.version})
		}
		t.forget()
	}
	b.rows, b.size = 0, 0
	return parts
}

// Held hands over the events that are held, in the order they came.
func (b *Batch) Held() []Held {
	held := b.held
	b.held = nil
	return held
}

// Warnings counts the broken rules of severity warn since the last call.
func (b *Batch) Warnings() []Warning {
	var list []Warning
	for _, t := range b.tables {
		if t == nil {
			continue
		}
		for i, n := range t.warned {
			if n > 0 {
				list = append(list, Warning{t.contract.Type, t.rules[i].ID, n})
				t.warned[i] = 0
			}
		}
	}
	return list
}

// Reset forgets rows, held events and warnings, for a request that failed as a whole.
func (b *Batch) Reset() {
	b.Parts()
	b.Held()
	b.Warnings()
	b.Only(nil)
}

// Only refuses, until [Batch.Reset], events of a source and a contract for which sends says
// no: NotYours. nil takes them all.
func (b *Batch) Only(sends func(source, contract string) bool) {
	b.sends, b.sentTable = sends, nil
}

// Add checks one event, structured CloudEvents JSON, and adds it to the records or to
// the held events. index is the event's place in its request, for messages. nil means
// that it was taken; a refused event leaves no trace. The event's bytes are not kept.
func (b *Batch) Add(index int, event []byte) *Refusal {
	b.index, b.replay = index, nil
	return b.add(event)
}

// Replay adds an event that was held, after its cause was put right: its persons are
// pseudonyms already and its digest is the one that was taken from the raw content.
func (b *Batch) Replay(index int, h Held) *Refusal {
	b.index, b.replay = index, &h
	return b.add(h.Event)
}

func (b *Batch) add(event []byte) *Refusal {
	b.begin(event)
	if len(event) > b.checker.limits.Event {
		return b.refuse(TooLong, "", fmt.Sprintf("the event has %d bytes; an event has at most %d", len(event), b.checker.limits.Event))
	}
	if !b.scanEvent() {
		return b.explain()
	}
	if b.fault.is() {
		return b.refused()
	}
	if b.readEnvelope(); b.fault.is() {
		return b.refused()
	}
	if b.readData(); b.fault.is() {
		return b.refused()
	}
	if b.row.withdrawn {
		b.digestRow()
		b.identify()
		b.accept(len(event))
		return nil
	}
	if b.guardPersons(); b.fault.is() {
		return b.refused()
	}
	b.digestRow()
	b.identify()
	b.fillDefaults()
	if b.requireFields(); b.fault.is() && b.fault.code != UnknownReference {
		return b.refused()
	}
	if b.applyRules(); b.fault.is() && b.fault.code != UnknownReference && b.fault.code != heldRule {
		return b.refused()
	}
	b.pseudonymise()
	if b.fault.is() {
		b.hold()
		return nil
	}
	b.accept(len(event))
	return nil
}

// begin forgets the event before.
func (b *Batch) begin(event []byte) {
	b.event, b.level = event, 0
	b.attributes = [attrCount]token{}
	b.extensions, b.members, b.plain = b.extensions[:0], b.members[:0], b.plain[:0]
	b.fault, b.field = fault{}, ""
	b.row = row{values: b.row.values}
	if b.rows == 0 {
		b.renew()
	}
}

func (b *Batch) accept(size int) {
	if b.replay != nil {
		// It may have waited for months: what has been sent since under its id is newer, and
		// only who asks for it puts the old content over that.
		if b.row.correct = b.replay.Correct; b.row.correct {
			b.row.revision = 0
		}
	}
	b.row.table.append(&b.row)
	b.last = b.row.table
	b.rows++
	b.size += size
}

// fail notes the first fault.
func (b *Batch) fail(code, field, format string, args ...any) {
	if !b.fault.is() {
		b.fault, b.field = fault{code, fmt.Sprintf(format, args...)}, field
	}
}

// refused makes the answer for the fault.
func (b *Batch) refused() *Refusal { return b.refuse(b.fault.code, b.field, b.fault.reason) }

// refuse makes the answer for an event that was not taken.
func (b *Batch) refuse(code, field, reason string) *Refusal {
	r := &Refusal{Index: b.index, Field: field, Code: code, Reason: reason}
	if code == DuplicateKey && (field == "id" || field == "type" || field == "data") {
		return r // which of two?
	}
	if t := b.attributes[attrID]; t.kind.isString() {
		if id := b.text(t); len(id) <= maxLabel && !b.personal(id) {
			r.ID = strings.ToValidUTF8(string(id), "\uFFFD")
		}
	}
	if t := b.attributes[attrSource]; t.kind.isString() {
		if source := b.text(t); len(source) <= maxLabel && !b.personal(source) && !redact.Only(string(source)) {
			r.Source = strings.ToValidUTF8(string(source), "\uFFFD")
		}
	}
	if t := b.attributes[attrType]; t.kind.isString() {
		if c := b.checker.set.byType[string(b.text(t))]; c != nil {
			r.Type = c.Type
		}
	}
	return r
}

// personal says whether text holds a person's identifier of the event, so that an id
// made of one is not answered, logged or kept.
func (b *Batch) personal(text []byte) bool {
	typ := b.attributes[attrType]
	if !typ.kind.isString() {
		return false
	}
	c := b.checker.set.byType[string(b.text(typ))]
	if c == nil {
		return false
	}
	for i := range b.members { // all of them: one may stand twice
		m := &b.members[i]
		f := c.Field(string(b.memberName(m)))
		if f == nil || f.Type != Person {
			continue
		}
		var raw []byte
		switch {
		case m.value.kind.isString():
			raw = b.text(m.value)
		case m.value.kind == isNumber:
			raw = b.bytes(m.value)
		}
		id, _ := canonical(nil, f.ID, raw)
		if occurs(text, bytes.TrimSpace(raw)) || occurs(text, id) {
			return true
		}
	}
	return false
}

// minOccurrence is the length from which an identifier inside another text is no
// coincidence.
const minOccurrence = 7

func occurs(text, identifier []byte) bool {
	return len(identifier) >= minOccurrence && len(text) >= len(identifier) && bytes.Contains(text, identifier)
}

// explain refuses an event that is not sound JSON. When nothing but bytes inside its
// strings is at fault, it names the event's id and the field.
func (b *Batch) explain() *Refusal {
	event := b.event
	b.begin(event)
	f := wellFormed(event, b.depth)
	switch {
	case !f.is():
		return b.refuse(BadJSON, "", "the event is not JSON (RFC 8259): it is cut off or malformed")
	case f.code != InvalidUTF8 && f.code != NULByte:
		return b.refuse(f.code, "", f.reason)
	}
	b.lenient = true
	sound := b.scanEvent()
	b.lenient = false
	if !sound {
		b.begin(event)
		return b.refuse(f.code, "", f.reason)
	}
	field, first := "", int32(math.MaxInt32)
	look := func(name []byte, t token) {
		if !t.kind.isString() || t.begin > first {
			return
		}
		if s := b.text(t); f.code == NULByte && bytes.IndexByte(s, 0) >= 0 || f.code == InvalidUTF8 && !utf8.Valid(s) {
			field, first = shown(string(name)), t.begin
		}
	}
	for a, t := range b.attributes {
		look([]byte(attributeNames[a]), t)
	}
	for _, x := range b.extensions {
		look(x.name, x.value)
	}
	for i := range b.members {
		look(b.memberName(&b.members[i]), b.members[i].value)
	}
	return b.refuse(f.code, field, f.reason)
}
