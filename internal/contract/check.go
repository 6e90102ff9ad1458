package contract

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// Limits bound one event. The zero value has the defaults.
type Limits struct {
	Event int              // bytes of one event; 512 KiB, so that any event fits a journal message
	Text  int              // bytes of a text; 64 KiB
	Depth int              // nesting of objects and arrays; 32
	Now   func() time.Time // what time it is, for times in the future; time.Now
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
	types  []string // known event types, for reasons
}

// NewChecker makes a checker; zero limits have defaults.
func NewChecker(set *Set, keys *Keys, limits Limits) *Checker {
	c := &Checker{set: set, keys: keys, limits: limits.withDefaults()}
	for _, k := range set.all {
		c.types = append(c.types, k.Type)
	}
	return c
}

// Limits are the limits in force.
func (c *Checker) Limits() Limits { return c.limits }

// Set is the set that events are checked against.
func (c *Checker) Set() *Set { return c.set }

// Batch gathers the events of one request as records. It is not safe for concurrent
// use; after [Batch.Parts] and [Batch.Held] it can be used again, which saves its
// buffers.
type Batch struct {
	checker *Checker
	parser  fastjson.Parser
	tables  []*table // by contract; nil until an event of it came
	held    []Held
	size    int
	rows    int

	identity, digest hash.Hash
	pseudonyms       [][]hash.Hash // by kind of identifier: one for each key version
	days             zoneDays
	latest           int64 // Unix milliseconds; no event is later
	spellings        map[spelling]string

	envelope   envelope
	row        row
	facts      facts
	replay     *Held
	attributes func([]byte, *fastjson.Value) // b.attribute, bound once
	members    func([]byte, *fastjson.Value) // b.member, bound once
	position   int                           // of the next member of data
	index      int
	fault      fault
	field      string // where fault is
	scratch    []byte
	plain      []byte // canonical identifiers of the row
	sum        [sha256.Size]byte
}

// row is the event that is being checked.
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

// spelling is a text of a ref that is not its code.
type spelling struct {
	table int // by field and contract
	text  string
}

const maxSpellings = 4096

// NewBatch makes an empty batch.
func (c *Checker) NewBatch() *Batch {
	b := &Batch{checker: c, tables: make([]*table, len(c.set.all)),
		identity: hmac.New(sha256.New, c.keys.identity), digest: hmac.New(sha256.New, c.keys.digest),
		days: zoneDays{zone: c.set.zone}, spellings: map[spelling]string{}}
	for _, kind := range c.set.kinds {
		b.pseudonyms = append(b.pseudonyms, c.keys.pseudonymChain(kind))
	}
	b.attributes, b.members = b.attribute, b.member
	b.facts.b = b
	return b
}

// Len is the number of events in the batch's records, held ones not included.
func (b *Batch) Len() int { return b.rows }

// Size is about the number of bytes that the batch's records take.
func (b *Batch) Size() int { return b.size }

// Parts hands over what was gathered, one record for each contract in the set's order,
// and leaves the batch without rows.
func (b *Batch) Parts() []Part {
	var parts []Part
	for _, t := range b.tables {
		if t != nil && t.rows > 0 {
			parts = append(parts, Part{t.contract, t.build()})
		}
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
}

// Add checks one event, structured CloudEvents JSON, and adds it to the records or to
// the held events. index is the event's place in its request, for messages. nil means
// that it was taken; a refused event leaves no trace. The event's bytes are not kept.
func (b *Batch) Add(index int, event []byte) *Refusal {
	b.index, b.fault, b.field, b.envelope, b.replay = index, fault{}, "", envelope{extra: b.envelope.extra[:0]}, nil
	b.row = row{values: b.row.values}
	return b.add(event)
}

// Replay adds an event that was held, after its cause was put right: its persons are
// pseudonyms already and its digest is the one that was taken from the raw content.
func (b *Batch) Replay(index int, h Held) *Refusal {
	b.index, b.fault, b.field, b.envelope, b.replay = index, fault{}, "", envelope{extra: b.envelope.extra[:0]}, &h
	b.row = row{values: b.row.values}
	return b.add(h.Event)
}

func (b *Batch) add(event []byte) *Refusal {
	if len(event) > b.checker.limits.Event {
		return b.refuse(TooLong, "", fmt.Sprintf("the event has %d bytes; an event has at most %d", len(event), b.checker.limits.Event))
	}
	if f := wellFormed(event, b.checker.limits.Depth); f.is() {
		return b.refuseUnsound(event, f)
	}
	v, err := b.parser.ParseBytes(event)
	if err != nil { // its message quotes the event, so it stays here
		return b.refuse(BadJSON, "", "the event is not JSON (RFC 8259): it is cut off or malformed")
	}
	object, err := v.Object()
	if err != nil {
		return b.refuse(BadJSON, "", "an event is a JSON object, this is "+article(typeOf(v)))
	}
	if object.Visit(b.attributes); b.fault.is() {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	if b.readEnvelope(); b.fault.is() {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	if b.readData(); b.fault.is() {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	if b.row.withdrawn {
		b.digestRow()
		b.identify()
		b.accept(len(event))
		return nil
	}
	if b.guardPersons(); b.fault.is() {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	b.digestRow()
	b.identify()
	b.fillDefaults()
	if b.requireFields(); b.fault.is() && b.fault.code != UnknownReference {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	if b.applyRules(); b.fault.is() && b.fault.code != UnknownReference && b.fault.code != heldRule {
		return b.refuse(b.fault.code, b.field, b.fault.reason)
	}
	b.pseudonymise()
	if b.fault.is() {
		b.hold()
		return nil
	}
	b.accept(len(event))
	return nil
}

func (b *Batch) accept(size int) {
	if b.replay != nil && b.replay.Correct {
		b.row.revision, b.row.correct = 0, true
	}
	b.row.table.append(&b.row)
	b.rows++
	b.size += size
}

// fail notes the first fault.
func (b *Batch) fail(code, field, format string, args ...any) {
	if !b.fault.is() {
		b.fault, b.field = fault{code, fmt.Sprintf(format, args...)}, field
	}
}

// refuse makes the answer for an event that was not taken.
func (b *Batch) refuse(code, field, reason string) *Refusal {
	r := &Refusal{Index: b.index, Field: field, Code: code, Reason: reason}
	if code == DuplicateKey && (field == "id" || field == "type" || field == "data") {
		return r // which of two?
	}
	if v := b.envelope.values[attrID]; v != nil && v.Type() == fastjson.TypeString {
		if id := v.GetStringBytes(); len(id) <= maxLabel && !b.personal(id) {
			r.ID = strings.ToValidUTF8(string(id), "\uFFFD")
		}
	}
	if v := b.envelope.values[attrSource]; v != nil && v.Type() == fastjson.TypeString {
		if source := v.GetStringBytes(); len(source) <= maxLabel && !b.personal(source) {
			r.Source = strings.ToValidUTF8(string(source), "\uFFFD")
		}
	}
	if v := b.envelope.values[attrType]; v != nil && v.Type() == fastjson.TypeString {
		if c := b.checker.set.byType[string(v.GetStringBytes())]; c != nil {
			r.Type = c.Type
		}
	}
	return r
}

// personal says whether text holds a person's identifier of the event, so that an id
// made of one is not answered, logged or kept.
func (b *Batch) personal(text []byte) bool {
	typ, data := b.envelope.values[attrType], b.envelope.values[attrData]
	if typ == nil || data == nil || typ.Type() != fastjson.TypeString || data.Type() != fastjson.TypeObject {
		return false
	}
	c := b.checker.set.byType[string(typ.GetStringBytes())]
	if c == nil {
		return false
	}
	found := false
	data.GetObject().Visit(func(key []byte, v *fastjson.Value) { // all members: one may stand twice
		f := c.Field(string(key))
		if f == nil || f.Type != Person {
			return
		}
		var raw []byte
		switch v.Type() {
		case fastjson.TypeString:
			raw = v.GetStringBytes()
		case fastjson.TypeNumber:
			raw = v.MarshalTo(nil)
		}
		id, _ := canonical(nil, f.ID, raw)
		found = found || occurs(text, bytes.TrimSpace(raw)) || occurs(text, id)
	})
	return found
}

// minOccurrence is the length from which an identifier inside another text is no
// coincidence.
const minOccurrence = 7

func occurs(text, identifier []byte) bool {
	return len(identifier) >= minOccurrence && len(text) >= len(identifier) && bytes.Contains(text, identifier)
}

// refuseUnsound refuses an event that is not well formed, and where it parses all the
// same names its id and the field at fault.
func (b *Batch) refuseUnsound(event []byte, f fault) *Refusal {
	if f.code != InvalidUTF8 && f.code != NULByte {
		return b.refuse(f.code, "", f.reason)
	}
	unsound := func(s []byte) bool {
		if f.code == NULByte {
			return bytes.IndexByte(s, 0) >= 0
		}
		return invalidAt(s) < len(s)
	}
	field := ""
	if v, err := b.parser.ParseBytes(event); err == nil && v.Type() == fastjson.TypeObject {
		look := func(key []byte, v *fastjson.Value) {
			if field == "" && v.Type() == fastjson.TypeString && unsound(v.GetStringBytes()) {
				field = shown(string(key))
			}
		}
		v.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			if a := attributeOf(key); a >= 0 {
				b.envelope.values[a] = v
			}
			look(key, v)
		})
		v.GetObject("data").Visit(look)
	}
	return b.refuse(f.code, field, f.reason)
}

// envelope holds the attributes of an event as they stand in the JSON.
type envelope struct {
	values [attrCount]*fastjson.Value
	extra  [][]byte // names of other extension attributes
}

const (
	attrSpecVersion = iota
	attrID
	attrSource
	attrType
	attrTime
	attrSubject
	attrContentType
	attrSchema
	attrData
	attrDataBase64
	attrCorrects
	attrRevision
	attrWithdrawn
	attrSimulated
	attrOnChange
	attrCount
)

var attributeNames = [attrCount]string{"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema",
	"data", "data_base64", "corrects", "revision", "withdrawn", "simulated", "onchange"}

func attributeOf(key []byte) int {
	switch string(key) {
	case "specversion":
		return attrSpecVersion
	case "id":
		return attrID
	case "source":
		return attrSource
	case "type":
		return attrType
	case "time":
		return attrTime
	case "subject":
		return attrSubject
	case "datacontenttype":
		return attrContentType
	case "dataschema":
		return attrSchema
	case "data":
		return attrData
	case "data_base64":
		return attrDataBase64
	case "corrects":
		return attrCorrects
	case "revision":
		return attrRevision
	case "withdrawn":
		return attrWithdrawn
	case "simulated":
		return attrSimulated
	case "onchange":
		return attrOnChange
	}
	return -1
}

// attribute takes one member of the event's object. Extension attributes that Ombor
// does not know (traceparent, partitionkey …) are let through, as CloudEvents asks of
// consumers, when they are named and typed as extensions are.
func (b *Batch) attribute(key []byte, v *fastjson.Value) {
	if a := attributeOf(key); a >= 0 {
		if b.envelope.values[a] != nil {
			b.fail(DuplicateKey, attributeNames[a], "stands twice in the event")
			return
		}
		b.envelope.values[a] = v
		return
	}
	if slices.ContainsFunc(b.envelope.extra, func(other []byte) bool { return bytes.Equal(other, key) }) {
		b.fail(DuplicateKey, shown(string(key)), "stands twice in the event")
		return
	}
	b.envelope.extra = append(b.envelope.extra, key)
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b.fail(UnknownField, shown(string(key)), "is no attribute of CloudEvents 1.0 (names have lower-case letters and digits); fields of the contract belong in data")
			return
		}
	}
	if v.Type() == fastjson.TypeNumber { // fastjson takes NaN and 1-2 for numbers
		b.scratch = v.MarshalTo(b.scratch[:0])
		if _, wrong := parseFixed(b.scratch, 0); wrong == notNumber {
			b.fail(BadJSON, shown(string(key)), "%s", wrong)
			return
		}
	}
	if t := v.Type(); len(key) == 0 || t == fastjson.TypeObject || t == fastjson.TypeArray || len(b.envelope.extra) > maxExtensions {
		b.fail(UnknownField, shown(string(key)), "is no extension attribute of CloudEvents 1.0: a text, number or boolean, and not more than %d of them; fields of the contract belong in data", maxExtensions)
	}
}

// text is an attribute that is a non-empty string of at most maxLabel bytes.
func (b *Batch) text(a int) []byte {
	v := b.envelope.values[a]
	if v == nil || v.Type() == fastjson.TypeNull {
		b.fail(MissingField, attributeNames[a], "is missing; every event has it")
		return nil
	}
	if v.Type() != fastjson.TypeString {
		b.fail(WrongType, attributeNames[a], "is %s; a string is expected", article(typeOf(v)))
		return nil
	}
	s := v.GetStringBytes()
	switch {
	case len(s) == 0:
		b.fail(MissingField, attributeNames[a], "is empty; every event has it")
	case len(s) > maxLabel:
		b.fail(TooLong, attributeNames[a], "has %d bytes; at most %d are kept", len(s), maxLabel)
	}
	return s
}

// flag is an extension attribute that is a boolean, or its text as HTTP headers carry it.
func (b *Batch) flag(a int) bool {
	v := b.envelope.values[a]
	switch {
	case v == nil, v.Type() == fastjson.TypeNull, v.Type() == fastjson.TypeFalse:
	case v.Type() == fastjson.TypeTrue:
		return true
	case v.Type() == fastjson.TypeString && string(v.GetStringBytes()) == "true":
		return true
	case v.Type() == fastjson.TypeString && string(v.GetStringBytes()) == "false":
	default:
		b.fail(WrongType, attributeNames[a], "is neither true nor false")
	}
	return false
}

func (b *Batch) given(a int) bool {
	v := b.envelope.values[a]
	return v != nil && v.Type() != fastjson.TypeNull
}

func (b *Batch) readEnvelope() {
	r := &b.row
	if version := b.text(attrSpecVersion); !b.fault.is() && string(version) != "1.0" {
		b.fail(NotInEnum, "specversion", "is none of the allowed values: 1.0")
	}
	r.id, r.source = b.text(attrID), b.text(attrSource)
	if b.readType(b.text(attrType)); b.fault.is() {
		return
	}
	if at := b.text(attrTime); !b.fault.is() {
		b.readTime(at)
	}
	r.root = r.id
	r.withdrawn, r.simulated = b.flag(attrWithdrawn), b.flag(attrSimulated)
	if b.given(attrOnChange) {
		switch string(b.text(attrOnChange)) {
		case "correct":
			r.correct = true
		case "conflict":
		default:
			b.fail(NotInEnum, "onchange", "is none of the allowed values: conflict, correct")
		}
	}
	if b.given(attrContentType) {
		if t := string(b.text(attrContentType)); !isJSON(t) {
			b.fail(NotInEnum, "datacontenttype", "is none of the allowed values: application/json")
		}
	}
	if b.given(attrDataBase64) {
		b.fail(WrongType, "data_base64", "is not taken; send data as a JSON object")
	}
	b.readCorrection()
}

func (b *Batch) readCorrection() {
	r := &b.row
	if !b.given(attrCorrects) {
		if r.withdrawn {
			b.fail(MissingField, "corrects", "is missing; a withdrawal names the id of the first event in corrects")
		}
		if b.given(attrRevision) {
			if n, ok := b.revision(); ok && n != 0 {
				b.fail(MissingField, "corrects", "is missing; an event with a revision names the id of the first event in corrects")
			}
		}
		return
	}
	if r.root = b.text(attrCorrects); b.fault.is() {
		return
	}
	if bytes.Equal(r.root, r.id) {
		b.fail(OutOfRange, "corrects", "names the event itself; a correction has an id of its own and names the first event")
	}
	if !b.given(attrRevision) {
		b.fail(MissingField, "revision", "is missing; a correction counts its revisions from 1")
		return
	}
	if n, ok := b.revision(); ok && n == 0 {
		b.fail(OutOfRange, "revision", "is 0, which is the first event; a correction counts from 1")
	} else {
		r.revision = n
	}
}

// revision reads a CloudEvents integer, or its text as HTTP headers carry it.
func (b *Batch) revision() (uint32, bool) {
	v := b.envelope.values[attrRevision]
	var token []byte
	switch v.Type() {
	case fastjson.TypeNumber:
		b.scratch = v.MarshalTo(b.scratch[:0])
		token = b.scratch
	case fastjson.TypeString:
		token = v.GetStringBytes()
	}
	n, wrong := parseFixed(token, 0)
	if wrong != "" || n < 0 || n > math.MaxInt32 {
		b.fail(OutOfRange, "revision", "is not a whole number from 1 to %d", math.MaxInt32)
		return 0, false
	}
	return uint32(n), true
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

func (b *Batch) readType(typ []byte) {
	if b.fault.is() {
		return
	}
	c := b.checker.set.byType[string(typ)]
	if c == nil {
		known := b.checker.types
		reason := "the pack has no contract " + shown(string(typ))
		if near := nearest(string(typ), known); near != "" {
			reason += "; did you mean " + near + "?"
		}
		if len(known) > 20 {
			reason += fmt.Sprintf(" Known are %s and %d more", strings.Join(known[:20], ", "), len(known)-20)
		} else {
			reason += " Known are " + listed(known)
		}
		b.fail(UnknownType, "type", "%s", reason)
		return
	}
	k := c.compiled
	if b.tables[k.index] == nil {
		b.tables[k.index] = newTable(k)
	}
	b.row.table = b.tables[k.index]
}

func (b *Batch) readTime(s []byte) {
	ms, f := parseTime(s)
	if f.is() {
		b.fail(f.code, "time", "%s", f.reason)
		return
	}
	if b.rows == 0 || b.latest == 0 || ms > b.latest {
		b.latest = b.checker.limits.Now().Add(maxAhead).UnixMilli()
	}
	switch figure := b.row.table.contract.Kind == Figure; {
	case ms < 0:
		b.fail(OutOfRange, "time", "is before 1970-01-01; events and figures are dated from then on")
	case figure && floorDiv(ms, dayMs) >= lastDay:
		b.fail(OutOfRange, "time", "is after 2149-06-05; figures are dated until then")
	case !figure && ms > b.latest:
		b.fail(OutOfRange, "time", "is more than %v ahead of this server's clock; an event is dated when it happened", maxAhead)
	}
	b.row.time, b.row.day = ms, b.days.day(ms)
	if b.row.day < 0 { // the first hours of 1970 west of Greenwich
		b.fail(OutOfRange, "time", "is before 1970-01-01 in %s; events and figures are dated from then on", b.checker.set.zone)
	}
}

func (b *Batch) readData() {
	t := b.row.table
	fields := len(t.contract.Fields)
	if cap(b.row.values) < fields {
		b.row.values = make([]value, fields)
	}
	b.row.values = b.row.values[:fields]
	clear(b.row.values)
	b.plain = b.plain[:0]
	if !b.given(attrData) {
		if !b.row.withdrawn {
			b.fail(MissingField, "data", "is missing; it holds the fields of %s", t.contract.Type)
		}
		return
	}
	data, err := b.envelope.values[attrData].Object()
	if err != nil {
		b.fail(WrongType, "data", "is %s; an object with the fields of %s is expected", article(typeOf(b.envelope.values[attrData])), t.contract.Type)
		return
	}
	if b.row.withdrawn {
		if data.Len() > 0 {
			b.fail(UnknownField, "data", "a withdrawal has none: it says that the event never was")
		}
		return
	}
	b.position = 0
	data.Visit(b.members)
}

// member takes one member of data. Senders write their fields in one order, so the
// field that stood in this place last time is tried before the map.
func (b *Batch) member(key []byte, v *fastjson.Value) {
	t := b.row.table
	at := b.position
	b.position++
	i := -1
	if at < len(t.order) && t.contract.Fields[t.order[at]].Name == string(key) {
		i = t.order[at]
	} else {
		var ok bool
		if i, ok = t.byName[string(key)]; !ok {
			if near := nearest(string(key), b.fieldNames()); near != "" {
				b.fail(UnknownField, shown(string(key)), "%s has no such field; did you mean %s?", t.contract.Type, near)
			} else {
				b.fail(UnknownField, shown(string(key)), "%s has no such field; it has %s", t.contract.Type, strings.Join(b.fieldNames(), ", "))
			}
			return
		}
		if at < len(t.order) {
			t.order[at] = i
		} else if at == len(t.order) && at < len(t.contract.Fields) {
			t.order = append(t.order, i)
		}
	}
	x := &b.row.values[i]
	if x.seen {
		b.fail(DuplicateKey, t.contract.Fields[i].Name, "stands twice in data")
		return
	}
	x.seen = true
	if v.Type() == fastjson.TypeNull {
		return
	}
	if code, reason := b.read(i, x, v); code != "" {
		b.fail(code, t.contract.Fields[i].Name, "%s", reason)
	}
}

func (b *Batch) fieldNames() []string {
	var names []string
	for i := range b.row.table.contract.Fields {
		names = append(names, b.row.table.contract.Fields[i].Name)
	}
	return names
}

// read sets x from the JSON value of field i, which is not null.
func (b *Batch) read(i int, x *value, v *fastjson.Value) (code, reason string) {
	t := b.row.table
	f := &t.contract.Fields[i]
	switch f.Type {
	case Text, Code, Enum, Ref, Person, Timestamp, Date:
		if v.Type() != fastjson.TypeString {
			return WrongType, f.expected() + ", this is " + article(typeOf(v))
		}
		return b.readString(i, x, f, v.GetStringBytes())
	case Boolean:
		switch v.Type() {
		case fastjson.TypeTrue:
			x.i = 1
		case fastjson.TypeFalse:
		default:
			return WrongType, f.expected() + ", this is " + article(typeOf(v))
		}
		x.set = true
		return "", ""
	}
	if v.Type() != fastjson.TypeNumber {
		return WrongType, f.expected() + ", this is " + article(typeOf(v))
	}
	b.scratch = v.MarshalTo(b.scratch[:0])
	if f.Type == Number {
		if _, wrong := parseFixed(b.scratch, 0); wrong == notNumber {
			return WrongType, wrong
		}
		n, err := strconv.ParseFloat(string(b.scratch), 64)
		if err != nil {
			return OutOfRange, "is larger than a 64-bit float holds"
		}
		x.f, x.set = n+0, true // -0 becomes 0
		return "", ""
	}
	n, wrong := parseFixed(b.scratch, f.Scale)
	switch {
	case wrong == notNumber:
		return WrongType, wrong
	case wrong == fraction && f.Type == Decimal:
		return OutOfRange, fmt.Sprintf("has more than the %d digits after the point that are kept", f.Scale)
	case wrong == fraction:
		return WrongType, f.expected() + ", this has a fraction"
	case wrong != "":
		return OutOfRange, "is outside 64 bits: −2^63 to 2^63−1"
	case f.Type == Decimal && (n >= pow10[decimalDigits] || n <= -pow10[decimalDigits]):
		return OutOfRange, fmt.Sprintf("has more than %d digits", decimalDigits)
	case f.Type == Duration && n < 0:
		return OutOfRange, "is negative; a duration is not"
	}
	x.i, x.set = n, true
	return "", ""
}

func (b *Batch) readString(i int, x *value, f *Field, s []byte) (code, reason string) {
	if len(s) == 0 && f.EmptyIsAbsent() {
		return "", ""
	}
	limit := maxLabel
	if f.Type == Text {
		limit = b.checker.limits.Text
	}
	if len(s) > limit {
		return TooLong, fmt.Sprintf("has %d bytes; at most %d are kept", len(s), limit)
	}
	x.s, x.set = s, true
	switch f.Type {
	case Enum:
		if !slices.ContainsFunc(f.Values, func(v string) bool { return v == string(s) }) {
			return NotInEnum, "is none of the allowed values: " + strings.Join(f.Values, ", ")
		}
	case Ref:
		b.resolve(i, x, f)
	case Person:
		if b.replay != nil {
			if n, err := hex.Decode(x.p[:], s); err != nil || n != len(x.p) {
				return BadIdentifier, "is not a pseudonym: 32 hexadecimal digits"
			}
			return "", ""
		}
		begin := len(b.plain)
		plain, wrong := canonical(b.plain, f.ID, s)
		if wrong != "" {
			return BadIdentifier, wrong
		}
		x.s, x.raw, b.plain = plain[begin:], s, plain
	case Timestamp:
		ms, fault := parseTime(s)
		if fault.is() {
			return fault.code, fault.reason
		}
		if ms < firstDay*dayMs || ms >= lastDay*dayMs {
			return OutOfRange, "is outside 1900-01-01 to 2149-06-05, the times that are kept"
		}
		x.i = ms
	case Date:
		day, fault := parseDate(s)
		if fault.is() {
			return fault.code, fault.reason
		}
		if day < firstDay || day >= lastDay {
			return OutOfRange, "is outside 1900-01-01 to 2149-06-05, the dates that are kept"
		}
		x.i = day
	}
	return "", ""
}

// resolve finds the code that a ref means. An unknown one does not refuse the event:
// the reference table may be what is late.
func (b *Batch) resolve(i int, x *value, f *Field) {
	t := b.row.table
	refs := t.tables[i]
	if x.known = refs.Has(string(x.s)); x.known {
		return // the code itself
	}
	key := spelling{t.index<<16 | i, ""}
	key.text = string(x.s)
	code, known := b.spellings[key]
	if !known {
		code, _ = refs.Resolve(key.text)
		if len(b.spellings) < maxSpellings {
			b.spellings[key] = code
		}
	}
	x.code, x.known = code, code != ""
}

// guardPersons refuses an event that repeats a person's identifier in a value that is
// stored as it is: the promise that no raw identifier reaches a disk would not hold.
func (b *Batch) guardPersons() {
	t := b.row.table
	if b.replay != nil {
		return
	}
	for _, p := range t.persons {
		person := &b.row.values[p]
		if !person.set {
			continue
		}
		repeats := func(s []byte) bool { return occurs(s, person.s) || occurs(s, person.raw) }
		name := t.contract.Fields[p].Name
		const reason = "repeats the identifier in %s, and is stored as it is; make it without"
		switch {
		case repeats(b.row.id):
			b.fail(PersonalValue, "id", reason, name)
		case repeats(b.row.root):
			b.fail(PersonalValue, "corrects", reason, name)
		case repeats(b.row.source):
			b.fail(PersonalValue, "source", reason, name)
		}
		for i := range t.contract.Fields {
			if f := &t.contract.Fields[i]; (f.Type == Text || f.Type == Code || f.Type == Ref) && b.row.values[i].set && repeats(b.row.values[i].s) {
				b.fail(PersonalValue, f.Name, reason, name)
			}
		}
	}
}

// identify makes _id: who sent it and which event it is, or corrects. Lengths stand
// before both, so that no two pairs have the same bytes.
func (b *Batch) identify() {
	if b.replay != nil && len(b.replay.Key) == 2*len(b.row.key) {
		if _, err := hex.Decode(b.row.key[:], []byte(b.replay.Key)); err == nil {
			return
		}
	}
	buf := binary.BigEndian.AppendUint32(b.scratch[:0], uint32(len(b.row.source)))
	buf = append(buf, b.row.source...)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(b.row.root)))
	buf = append(buf, b.row.root...)
	b.scratch = buf
	b.identity.Reset()
	b.identity.Write(buf)
	copy(b.row.key[:], b.identity.Sum(b.sum[:0]))
}

// digestRow makes _digest: what the event says, whatever the order of its fields and
// the spelling of its numbers and times. Only fields that are there count, each by its
// name, so that a new optional field changes no digest; a ref counts as it was sent,
// and defaults do not count, so that new reference data changes none either.
func (b *Batch) digestRow() {
	if b.replay != nil {
		b.row.digest = b.replay.Digest
		return
	}
	r, t := &b.row, b.row.table
	buf := append(b.scratch[:0], t.contract.Type...)
	buf = append(buf, 0)
	buf = binary.BigEndian.AppendUint64(buf, uint64(r.time))
	if r.withdrawn {
		buf = append(buf, 1)
	} else {
		buf = append(buf, 0)
	}
	for _, i := range t.names {
		v := &r.values[i]
		if !v.set {
			continue
		}
		f := &t.contract.Fields[i]
		buf = append(buf, byte(len(f.Name)))
		buf = append(buf, f.Name...)
		switch f.Type {
		case Text, Code, Enum, Ref, Person:
			buf = binary.BigEndian.AppendUint32(buf, uint32(len(v.s)))
			buf = append(buf, v.s...)
		case Number:
			buf = binary.BigEndian.AppendUint64(buf, math.Float64bits(v.f))
		default:
			buf = binary.BigEndian.AppendUint64(buf, uint64(v.i))
		}
	}
	b.scratch = buf
	b.digest.Reset()
	b.digest.Write(buf)
	r.digest = binary.BigEndian.Uint64(b.digest.Sum(b.sum[:0]))
}

func (b *Batch) pseudonymise() {
	if b.replay != nil {
		return
	}
	t := b.row.table
	for _, i := range t.persons {
		v := &b.row.values[i]
		if !v.set {
			continue
		}
		input := v.s
		for _, h := range b.pseudonyms[t.kinds[i]] {
			h.Reset()
			h.Write(input)
			copy(v.p[:], h.Sum(b.sum[:0]))
			input = v.p[:]
		}
	}
}

func (b *Batch) fillDefaults() {
	for _, d := range b.row.table.defaults {
		to, from := &b.row.values[d.to], &b.row.values[d.from]
		if to.set || !from.set {
			continue
		}
		code := from.code
		if code == "" {
			code = string(from.s)
		}
		reference, ok := d.table.At(code, dayOf(b.row.day))
		if !ok {
			reference, ok = d.table.Get(code)
		}
		if !ok {
			continue
		}
		cell := reference.Value(d.column)
		if table := b.row.table.tables[d.to]; table != nil && cell != "" {
			cell, _ = table.Resolve(cell)
		}
		if cell != "" {
			to.code, to.set, to.known = cell, true, true
		}
	}
}

// requireFields refuses what lacks a field, and notes the first unknown reference.
func (b *Batch) requireFields() {
	t := b.row.table
	for _, i := range t.required {
		if !b.row.values[i].set {
			f := &t.contract.Fields[i]
			b.fail(MissingField, f.Name, "is missing; %s", f.expected())
			return
		}
	}
	for i, refs := range t.tables {
		if v := &b.row.values[i]; refs != nil && v.set && !v.known {
			b.fail(UnknownReference, t.contract.Fields[i].Name, "is in no row of table %s, as a code, a name or another spelling", refs.Name)
			return
		}
	}
}

// heldRule marks a broken rule of severity quarantine until the event is held.
const heldRule = "held " + RuleBroken

func (b *Batch) applyRules() {
	t := b.row.table
	for i := range t.rules {
		r := &t.rules[i]
		if b.facts.verdict(r) {
			continue
		}
		const reason = "the rule %s does not hold: %s"
		switch r.Severity {
		case Refuse:
			b.fault, b.field = fault{RuleBroken, fmt.Sprintf(reason, r.ID, r.Check)}, r.field // weighs more than being held
			return
		case Quarantine:
			b.fail(heldRule, r.field, reason, r.ID, r.Check)
		case Warn:
			t.warned[i]++
		}
	}
}

// typeOf is what a person calls a JSON value's type.
func typeOf(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return "boolean"
	}
	return v.Type().String()
}

// expected says what a field takes.
func (f *Field) expected() string {
	switch f.Type {
	case Enum:
		return "a string is expected, one of " + strings.Join(f.Values, ", ")
	case Ref:
		return "a string is expected, a code of table " + f.To
	case Person:
		return "a string is expected, an identifier of kind " + f.ID
	case Timestamp:
		return "a string is expected, a time with its offset"
	case Date:
		return "a string is expected, a date YYYY-MM-DD"
	case Integer:
		return "a whole number is expected"
	case Money:
		return "a whole number is expected, of minor units"
	case Duration:
		return "a whole number is expected, of milliseconds"
	case Decimal:
		return fmt.Sprintf("a number is expected, with at most %d digits after the point", f.Scale)
	case Number:
		return "a number is expected"
	case Boolean:
		return "true or false is expected"
	}
	return "a string is expected"
}
