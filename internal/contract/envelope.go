package contract

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"ombor/internal/redact"
)

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

// attributeOf is the attribute of that name; attrCount is an extension's.
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
	return attrCount
}

// extension is an attribute that Ombor does not know.
type extension struct {
	name  []byte
	value token
}

// scanEvent passes over the event, takes its attributes and notes a fault of theirs;
// false is that the event is not sound JSON.
func (b *Batch) scanEvent() bool {
	i := b.space(0)
	if b.at(i) != '{' {
		t, i, ok := b.value(i)
		b.fail(BadJSON, "", "an event is a JSON object, this is %s", article(t.kind.String()))
		return ok && b.space(i) == len(b.event)
	}
	b.level = 1
	if i = b.space(i + 1); b.at(i) == '}' {
		return b.space(i+1) == len(b.event)
	}
	before := -1
	for {
		var name, value token
		var ok bool
		a, n := b.order.after(before, b.event[i:])
		if n > 0 {
			i = b.space(i + n)
		} else {
			begin := i
			if name, i, ok = b.name(i); !ok {
				return false
			}
			if a = attributeOf(b.text(name)); a < attrCount {
				b.order.learn(before, a, b.event[begin:i])
			}
		}
		if a == attrData && b.at(i) == '{' {
			value, i, ok = b.scanData(i)
		} else {
			value, i, ok = b.value(i)
		}
		if !ok {
			return false
		}
		b.attribute(a, name, value)
		before = a
		switch i = b.space(i); b.at(i) {
		case ',':
			i = b.space(i + 1)
		case '}':
			return b.space(i+1) == len(b.event)
		default:
			return false
		}
	}
}

// attribute takes one member of the event's object. Extension attributes that Ombor
// does not know (traceparent, partitionkey …) are let through, as CloudEvents asks of
// consumers, when they are named and typed as extensions are.
func (b *Batch) attribute(a int, name, value token) {
	notJSON := value.kind == isNumber && !isJSONNumber(b.bytes(value))
	if a < attrCount {
		switch {
		case b.attributes[a].kind != absent:
			b.fail(DuplicateKey, attributeNames[a], "stands twice in the event")
			b.extensions = append(b.extensions, extension{[]byte(attributeNames[a]), value}) // for explain
		case notJSON && (a == attrSubject || a == attrSchema): // nobody else reads them
			b.fail(BadJSON, attributeNames[a], notNumber)
		default:
			b.attributes[a] = value
		}
		return
	}
	key := b.text(name)
	if slices.ContainsFunc(b.extensions, func(x extension) bool { return bytes.Equal(x.name, key) }) {
		b.fail(DuplicateKey, shown(string(key)), "stands twice in the event")
		return
	}
	b.extensions = append(b.extensions, extension{key, value})
	for _, c := range key {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b.fail(UnknownField, shown(string(key)), "is no attribute of CloudEvents 1.0 (names have lower-case letters and digits); fields of the contract belong in data")
			return
		}
	}
	switch {
	case notJSON:
		b.fail(BadJSON, shown(string(key)), notNumber)
	case len(key) == 0, value.kind == isObject, value.kind == isArray, len(b.extensions) > maxExtensions:
		b.fail(UnknownField, shown(string(key)), "is no extension attribute of CloudEvents 1.0: a text, number or boolean, and not more than %d of them; fields of the contract belong in data", maxExtensions)
	}
}

// label is an attribute that is a non-empty string of at most maxLabel bytes.
func (b *Batch) label(a int) []byte {
	t := b.attributes[a]
	if t.kind == absent || t.kind == isNull {
		b.fail(MissingField, attributeNames[a], "is missing; every event has it")
		return nil
	}
	if !t.kind.isString() {
		b.fail(WrongType, attributeNames[a], "is %s; a string is expected", article(t.kind.String()))
		return nil
	}
	s := b.text(t)
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
	t := b.attributes[a]
	switch {
	case t.kind == absent, t.kind == isNull, t.kind == isFalse:
	case t.kind == isTrue:
		return true
	case t.kind.isString() && string(b.text(t)) == "true":
		return true
	case t.kind.isString() && string(b.text(t)) == "false":
	default:
		b.fail(WrongType, attributeNames[a], "is neither true nor false")
	}
	return false
}

func (b *Batch) given(a int) bool {
	k := b.attributes[a].kind
	return k != absent && k != isNull
}

func (b *Batch) readEnvelope() {
	r := &b.row
	if version := b.label(attrSpecVersion); !b.fault.is() && string(version) != "1.0" {
		b.fail(NotInEnum, "specversion", "is none of the allowed values: 1.0")
	}
	r.id, r.source = b.label(attrID), b.label(attrSource)
	if b.readType(b.label(attrType)); b.fault.is() {
		return
	}
	// A system's name is kept as it is. An id is kept as a hash, and ids are numbers often enough.
	if b.replay == nil && string(r.source) != b.namedSource {
		if redact.Only(string(r.source)) {
			b.fail(PersonalValue, "source", "has the form of somebody's number, and is stored as it is; name the system that sends")
			return
		}
		b.namedSource = string(r.source)
	}
	if b.sends != nil && (r.table != b.sentTable || string(r.source) != b.sentSource) {
		source, t := string(r.source), r.table
		if !b.sends(source, t.contract.Type) {
			b.fail(NotYours, "source", "is one for which this key does not send %s; the operator makes keys", t.contract.Type)
			return
		}
		b.sentSource, b.sentTable = source, t
	}
	if at := b.label(attrTime); !b.fault.is() {
		b.readTime(at)
	}
	r.root = r.id
	r.withdrawn, r.simulated = b.flag(attrWithdrawn), b.flag(attrSimulated)
	if b.given(attrOnChange) {
		switch string(b.label(attrOnChange)) {
		case "correct":
			r.correct = true
		case "conflict":
		default:
			b.fail(NotInEnum, "onchange", "is none of the allowed values: conflict, correct")
		}
	}
	if b.given(attrContentType) {
		if t := string(b.label(attrContentType)); !isJSON(t) {
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
	if r.root = b.label(attrCorrects); b.fault.is() {
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
	t := b.attributes[attrRevision]
	var token []byte
	switch {
	case t.kind == isNumber:
		token = b.bytes(t)
	case t.kind.isString():
		token = b.text(t)
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
	if b.row.table = b.tableOf(typ); b.row.table == nil {
		known := b.checker.types
		reason := "the pack has no contract " + shown(string(typ))
		if near := Nearest(string(typ), known); near != "" {
			reason += "; did you mean " + near + "?"
		} else {
			reason += "."
		}
		if len(known) > 20 {
			reason += fmt.Sprintf(" Known are %s and %d more", strings.Join(known[:20], ", "), len(known)-20)
		} else {
			reason += " Known are " + listed(known)
		}
		b.fail(UnknownType, "type", "%s", reason)
	}
}

// tableOf is the table of an event type, or nil.
func (b *Batch) tableOf(typ []byte) *table {
	if b.last != nil && b.last.contract.Type == string(typ) {
		return b.last
	}
	if c := b.checker.set.byType[string(typ)]; c != nil && b.checker.takes(c) {
		return b.table(c.compiled)
	}
	return nil
}

func (b *Batch) table(k *compiled) *table {
	if b.tables[k.index] == nil {
		b.tables[k.index] = newTable(k)
	}
	return b.tables[k.index]
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
