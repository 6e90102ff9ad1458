package contract

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"ombor/internal/reference"
)

// Spelled is an event as it was checked, for people: its identity, and its values as text.
type Spelled struct {
	Contract  *Contract
	Index     int      // of the event in its request
	ID        string   // of the event
	Source    string   // of the event
	Key       [16]byte // of the root event, as in the column _id
	Time      time.Time
	Day       reference.Day
	Revision  uint32
	Withdrawn bool
	Correct   bool     // other content under a known id corrects it
	Held      bool     // sound, but it waits for a reference or a rule
	Values    []string // by field, as [Contract.SpellSQL] spells what is stored; "" is absent
}

// Last is the event that [Batch.Add] took last. What is known of a withdrawal is its identity.
func (b *Batch) Last() Spelled {
	r := &b.row
	c := r.table.contract
	s := Spelled{Contract: c, Index: b.index, ID: string(r.id), Source: string(r.source), Key: r.key, Time: time.UnixMilli(r.time).UTC(),
		Day: reference.Day(r.day), Revision: r.revision, Withdrawn: r.withdrawn, Correct: r.correct, Held: b.fault.is(), Values: make([]string, len(c.Fields))}
	if r.withdrawn {
		return s
	}
	for i := range c.Fields {
		f, v := &c.Fields[i], &r.values[i]
		if !v.set {
			continue
		}
		switch f.Type {
		case Person:
			s.Values[i] = hex.EncodeToString(v.p[:])
		case Date:
			s.Values[i] = reference.Day(v.i).String()
		case Timestamp, Integer, Money, Duration:
			s.Values[i] = strconv.FormatInt(v.i, 10)
		case Decimal:
			if s.Values[i] = spelled(v.i, f.Scale); f.Scale > 0 {
				s.Values[i] = strings.TrimSuffix(strings.TrimRight(s.Values[i], "0"), ".")
			}
		case Boolean:
			s.Values[i] = strconv.FormatBool(v.i != 0)
		case Number:
			s.Values[i] = strconv.FormatFloat(v.float(f), 'g', -1, 64)
		default:
			s.Values[i] = string(v.s)
		}
	}
	return s
}

// SpellSQL is a ClickHouse expression that spells the field's column as [Spelled] does.
func (f *Field) SpellSQL() string {
	column := "`" + f.Name + "`"
	switch f.Type {
	case Person:
		column = "lower(hex(UUIDStringToNum(toString(" + column + "))))"
	case Timestamp:
		column = "toString(toUnixTimestamp64Milli(" + column + "))"
	default:
		column = "toString(" + column + ")"
	}
	return "ifNull(" + column + ", '')"
}
