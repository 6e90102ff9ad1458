package contract

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/minio/highwayhash"

	"ombor/internal/redact"
	"ombor/internal/reference"
)

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
		other := person.raw
		if bytes.Equal(other, person.s) {
			other = nil
		}
		repeats := func(s []byte) bool { return occurs(s, person.s) || occurs(s, other) }
		name := t.contract.Fields[p].Name
		const reason = "repeats the identifier in %s, and is stored as it is; make it without"
		switch {
		case repeats(b.row.id):
			b.fail(PersonalValue, "id", reason, name)
		case b.row.revision > 0 && repeats(b.row.root):
			b.fail(PersonalValue, "corrects", reason, name)
		case repeats(b.row.source):
			b.fail(PersonalValue, "source", reason, name)
		}
		for _, i := range t.texts {
			if v := &b.row.values[i]; v.set && repeats(v.s) {
				b.fail(PersonalValue, t.contract.Fields[i].Name, reason, name)
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
	b.row.key = highwayhash.Sum128(buf, b.identity)
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
	le := binary.LittleEndian
	const head, each = 24, 16 // bytes before the fields, and of a field at most, texts apart
	need := head + each*len(t.names)
	buf := slices.Grow(b.scratch[:0], need)[:need]
	le.PutUint64(buf, t.tag)
	le.PutUint64(buf[8:], uint64(r.time))
	le.PutUint64(buf[16:], 0)
	if r.withdrawn {
		buf[16] = 1
	}
	n := head
	for _, i := range t.names {
		v := &r.values[i]
		if !v.set {
			continue
		}
		switch t.types[i] {
		case Code, Enum, Ref:
			if v.word.sum == 0 {
				v.word.sum = b.wordSum(t.tags[i], v.s)
			}
			le.PutUint64(buf[n:], v.word.sum)
			n += 8
		case Text, Person:
			if need += len(v.s); need > len(buf) {
				buf = slices.Grow(buf, need-len(buf))[:need]
			}
			le.PutUint64(buf[n:], t.tags[i])
			le.PutUint64(buf[n+8:], uint64(len(v.s)))
			n += 16 + copy(buf[n+16:], v.s)
		default:
			le.PutUint64(buf[n:], t.tags[i])
			le.PutUint64(buf[n+8:], uint64(v.i))
			n += 16
		}
	}
	b.scratch = buf
	r.digest = highwayhash.Sum64(buf[:n], b.digest)
}

// wordSum stands in a digest for a label: of the field and its text, 64 bits.
func (b *Batch) wordSum(tag uint64, text []byte) uint64 {
	return highwayhash.Sum64(append(binary.LittleEndian.AppendUint64(nil, tag), text...), b.digest)
}

func (b *Batch) pseudonymise() {
	t := b.row.table
	for _, i := range t.persons {
		v := &b.row.values[i]
		switch chain := b.pseudonyms[t.kinds[i]]; {
		case !v.set:
		case b.replay != nil: // it is a pseudonym, perhaps of an earlier version
			chain.of(v.p[:], max(b.replay.Pseudonyms, 1), &v.p)
		default:
			chain.of(v.s, 0, &v.p)
		}
	}
}

func (b *Batch) fillDefaults() {
	t := b.row.table
	for slot := range t.defaults {
		d := &t.defaults[slot]
		to, from := &b.row.values[d.to], &b.row.values[d.from]
		if to.set || !from.set || from.word.code == nil {
			continue
		}
		code := from.word.code
		if code.given == nil {
			code.given = make([]given, len(t.defaults))
			for i := range code.given {
				code.given[i] = given{first: 1, last: 0} // no day: not asked yet
			}
		}
		g := &code.given[slot]
		if b.row.day < g.first || b.row.day > g.last {
			*g = t.gives(d, code.text, b.row.day)
		}
		if len(g.text) > 0 {
			to.s, to.word, to.set = g.text, g.word, true
		}
	}
}

// gives is what a default fills in for a code on a day, and on which other days.
func (t *table) gives(d *defaultValue, code string, day int32) given {
	g := given{first: day, last: day}
	r, ok := d.table.At(code, reference.Day(day))
	if ok {
		g.first, g.last = int32(r.Valid.From), int32(r.Valid.To)
		if r.Valid.To == reference.NoDay { // as From it is before every day already
			g.last = math.MaxInt32
		}
	} else if r, ok = d.table.Get(code); !ok {
		return g
	}
	cell := r.Value(d.column)
	if cell == "" {
		return g
	}
	switch t.contract.Fields[d.to].Type {
	case Ref:
		if g.word = t.words[d.to].ref([]byte(cell), t.tables[d.to]).code; g.word == nil {
			return g
		}
		cell = g.word.text
	case Code, Enum:
		g.word, _ = t.words[d.to].add([]byte(cell))
	}
	g.text = []byte(cell)
	return g
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
	for _, i := range t.refs {
		if v := &b.row.values[i]; v.set && v.word.code == nil {
			if redact.Only(string(v.s)) && !t.numbered(t.tables[i]) {
				b.fail(PersonalValue, t.contract.Fields[i].Name, "is in no row of table %s, and has the form of somebody's number, so that it is not kept", t.tables[i].Name)
				return
			}
			b.fail(UnknownReference, t.contract.Fields[i].Name, "is in no row of table %s, as a code, a name or another spelling", t.tables[i].Name)
			return
		}
	}
}

// numbered says whether codes of a table have themselves the form of somebody's number.
func (t *compiled) numbered(table *reference.Table) bool {
	return slices.ContainsFunc(table.Rows(), func(r reference.Row) bool { return redact.Only(r.Code) })
}

// heldRule marks a broken rule of severity quarantine until the event is held.
const heldRule = "held " + RuleBroken

func (b *Batch) applyRules() {
	t := b.row.table
	for i := range t.rules {
		r := &t.rules[i]
		if b.holds(r) {
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
