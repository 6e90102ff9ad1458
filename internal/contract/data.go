package contract

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// scanData passes over the members of data.
func (b *Batch) scanData(i int) (t token, next int, ok bool) {
	t = token{kind: isObject, begin: int32(i)}
	if b.level = 2; b.depth < 2 {
		return t, i, false
	}
	// Where data stands before type, it is taken to be as that of the event before.
	if b.of = b.last; b.attributes[attrType].kind == isText {
		b.of = b.tableOf(b.bytes(b.attributes[attrType]))
	}
	if i = b.space(i + 1); b.at(i) == '}' {
		t.end, b.level = int32(i+1), 1
		return t, i + 1, true
	}
	before := -1
	for {
		var name token
		field, n := -1, 0
		if b.of != nil {
			field, n = b.of.order.after(before, b.event[i:])
		}
		if n > 0 {
			i = b.space(i + n)
		} else {
			begin := i
			if name, i, ok = b.name(i); !ok {
				return t, i, false
			}
			if field = b.of.field(b.text(name)); field >= 0 {
				b.of.order.learn(before, field, b.event[begin:i])
			}
		}
		if len(b.members) == cap(b.members) {
			b.members = slices.Grow(b.members, 32)
		}
		b.members = b.members[:len(b.members)+1]
		m := &b.members[len(b.members)-1]
		m.name, m.field = name, field
		if b.at(i) == '"' { // most are
			m.value, i, ok = b.str(i + 1)
		} else {
			m.value, i, ok = b.value(i)
		}
		if !ok {
			return t, i, false
		}
		if field >= 0 {
			before = field
		}
		switch i = b.space(i); b.at(i) {
		case ',':
			i = b.space(i + 1)
		case '}':
			t.end, b.level = int32(i+1), 1
			return t, i + 1, true
		default:
			return t, i, false
		}
	}
}

// field is the index of the named field, or −1; a nil table has none.
func (t *table) field(name []byte) int {
	if t != nil {
		if i, ok := t.byName[string(name)]; ok {
			return i
		}
	}
	return -1
}

func (b *Batch) memberName(m *member) []byte {
	if m.name.kind == absent { // it was predicted
		return []byte(b.of.contract.Fields[m.field].Name)
	}
	return b.text(m.name)
}

// bytes are a token's own.
func (b *Batch) bytes(t token) []byte { return b.event[t.begin:t.end] }

// text is what a string means.
func (b *Batch) text(t token) []byte {
	if t.kind != isEscaped {
		return b.event[t.begin:t.end]
	}
	begin := len(b.plain)
	b.plain = unescape(b.plain, b.event[t.begin:t.end])
	return b.plain[begin:len(b.plain):len(b.plain)]
}

func (b *Batch) readData() {
	t := b.row.table
	fields := len(t.contract.Fields)
	if cap(b.row.values) < fields {
		b.row.values = make([]value, fields)
	}
	b.row.values = b.row.values[:fields]
	for i := range b.row.values {
		b.row.values[i].seen, b.row.values[i].set = false, false // nobody reads the rest without set
	}
	data := b.attributes[attrData]
	switch {
	case !b.given(attrData):
		if !b.row.withdrawn {
			b.fail(MissingField, "data", "is missing; it holds the fields of %s", t.contract.Type)
		}
		return
	case data.kind != isObject:
		b.fail(WrongType, "data", "is %s; an object with the fields of %s is expected", article(data.kind.String()), t.contract.Type)
		return
	case b.row.withdrawn:
		if len(b.members) > 0 {
			b.fail(UnknownField, "data", "a withdrawal has none: it says that the event never was")
		}
		return
	}
	for i := range b.members {
		m := &b.members[i]
		field := m.field
		if b.of != t { // data stood before type, and the event before was of another
			field = t.field(b.memberName(m))
		}
		if field < 0 {
			b.unknownField(string(b.memberName(m)))
			return
		}
		x := &b.row.values[field]
		if x.seen {
			b.fail(DuplicateKey, t.contract.Fields[field].Name, "stands twice in data")
			return
		}
		x.seen = true
		if m.value.kind == isNull {
			continue
		}
		if code, reason := b.read(field, x, m.value); code != "" {
			b.fail(code, t.contract.Fields[field].Name, "%s", reason)
			return
		}
	}
}

func (b *Batch) unknownField(name string) {
	t := b.row.table
	if near := Nearest(name, b.fieldNames()); near != "" {
		b.fail(UnknownField, shown(name), "%s has no such field; did you mean %s?", t.contract.Type, near)
	} else {
		b.fail(UnknownField, shown(name), "%s has no such field; it has %s", t.contract.Type, strings.Join(b.fieldNames(), ", "))
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
func (b *Batch) read(i int, x *value, t token) (code, reason string) {
	switch typ := b.row.table.types[i]; typ {
	case Text, Code, Enum, Ref, Person, Timestamp, Date:
		switch t.kind {
		case isText:
			return b.readString(i, x, typ, b.event[t.begin:t.end])
		case isEscaped:
			return b.readString(i, x, typ, b.text(t))
		}
	case Boolean:
		if t.kind == isTrue || t.kind == isFalse {
			if x.i, x.set = 0, true; t.kind == isTrue {
				x.i = 1
			}
			return "", ""
		}
	default:
		if t.kind == isNumber {
			return b.readNumber(i, x, b.event[t.begin:t.end])
		}
	}
	return WrongType, b.row.table.contract.Fields[i].expected() + ", this is " + article(t.kind.String())
}

func (b *Batch) readNumber(i int, x *value, token []byte) (code, reason string) {
	f := &b.row.table.contract.Fields[i]
	if f.Type == Number {
		if !isJSONNumber(token) {
			return WrongType, notNumber
		}
		n, err := strconv.ParseFloat(string(token), 64)
		if err != nil {
			return OutOfRange, "is larger than a 64-bit float holds"
		}
		x.i, x.set = int64(math.Float64bits(n+0)), true // -0 becomes 0
		return "", ""
	}
	n, wrong := parseFixed(token, f.Scale)
	switch {
	case wrong == notNumber:
		return WrongType, wrong
	case wrong == fraction && f.Type == Decimal:
		return OutOfRange, fmt.Sprintf("has more than the %d digits after the point that are kept", f.Scale)
	case wrong == fraction:
		return WrongType, f.expected() + ", this has a fraction"
	case f.Type == Decimal && (wrong != "" || n >= pow10[decimalDigits] || n <= -pow10[decimalDigits]):
		return OutOfRange, fmt.Sprintf("has more than %d digits", decimalDigits)
	case f.Type != Decimal && (wrong != "" || (n > LargestWhole || n < -LargestWhole) && b.replay == nil): // earlier builds took all of 64 bits
		return OutOfRange, fmt.Sprintf("is beyond ±%d, the largest whole number that every program keeps exactly", LargestWhole)
	case f.Type == Duration && n < 0:
		return OutOfRange, "is negative; a duration is not"
	}
	x.i, x.set = n, true
	return "", ""
}

func (b *Batch) readString(i int, x *value, typ Type, s []byte) (code, reason string) {
	if len(s) == 0 && typ.emptyIsAbsent() {
		return "", ""
	}
	limit := maxLabel
	if typ == Text {
		limit = b.checker.limits.Text
	}
	if len(s) > limit {
		return TooLong, fmt.Sprintf("has %d bytes; at most %d are kept", len(s), limit)
	}
	x.s, x.set = s, true
	switch typ {
	case Enum:
		if x.word, _, _ = b.row.table.words[i].find(s); x.word == nil {
			return NotInEnum, "is none of the allowed values: " + strings.Join(b.row.table.contract.Fields[i].Values, ", ")
		}
	case Code:
		x.word, _ = b.row.table.words[i].add(s)
	case Ref: // an unknown one does not refuse the event: the reference table may be what is late
		x.word = b.row.table.words[i].ref(s, b.row.table.tables[i])
	case Person:
		if b.replay != nil {
			if n, err := hex.Decode(x.p[:], s); err != nil || n != len(x.p) {
				return BadIdentifier, "is not a pseudonym: 32 hexadecimal digits"
			}
			if b.replay.Pseudonyms > b.version {
				return BadIdentifier, "is a pseudonym of later keys than this server has: give it the newest file of keys"
			}
			return "", ""
		}
		begin := len(b.plain)
		plain, wrong := canonical(b.plain, b.row.table.contract.Fields[i].ID, s)
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
