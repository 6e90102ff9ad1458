// Package contract is what an event is, and everything that follows from it.
//
// A [Contract] is read from a pack's contracts/*.yaml by internal/pack. From it
// derive the check of an event at the door, its Arrow schema, the ClickHouse
// table (in package warehouse), the Parquet schema (in package lake), the JSON
// Schema for integrators and the data dictionary; none of these is written by
// hand.
//
// A [Set] holds all contracts of a pack, checked and compiled. A [Checker] turns
// events into Arrow record batches, one event at a time:
//
//	set, err := contract.NewSet("uz.gov.", zone, contracts, refs)
//	keys, err := contract.OpenKeys("data/keys.json")
//	batch := contract.NewChecker(set, keys, contract.Limits{}).NewBatch()
//	if refusal := batch.Add(0, event); refusal != nil { … }   // the sender has it: answer, store nothing
//	journal.Append(ctx, batch.Parts())                       // one record for each contract
//	journal.Hold(ctx, batch.Held())                          // checked, but to be looked at
//
// An event is a CloudEvent 1.0 in structured JSON. It has three outcomes:
//
//   - it is a row of its contract's record, as [Contract.Schema] lays it out;
//   - it is held: it is sound, but names an unknown reference or breaks a rule whose
//     severity is quarantine;
//   - it is refused, with a [Code], the field and a reason. A refused event adds
//     nothing to any column.
//
// What identifies a person ([Person]) is replaced by a keyed pseudonym before anything
// is stored. The raw value is in no record, no held event and no refusal: reasons
// name what is allowed and never repeat what was sent.
package contract

import (
	"slices"
	"strconv"
	"strings"

	"ombor/internal/reference"
)

// Contract is one major version of one event type.
type Contract struct {
	Type      string          // CloudEvents type: "uz.gov.request.decided.v1"
	Name      string          // Type without the pack's prefix and version: "request.decided"
	Major     int             // 1
	Title     reference.Names // what people call it
	About     string          // when it is sent and what it says
	Source    string          // the system that sends it, a key of pack.yaml's sources
	Kind      Kind            // event or figure
	Window    Window          // with Kind Figure: which fields hold the window
	Fields    []Field         // in the order of the file
	Rules     []Rule          // CEL checks over the fields and time
	Once      []string        // fields that tell one thing from another: events that are alike in all of them tell of it again; empty: none do
	Retention Retention
	File      string // where it was read, for messages
	Line      int    // where it begins; 0 is the file as a whole

	compiled *compiled // by NewSet
}

// Table is the name of the fact table and of the lake's folder: "request_decided_v1".
func (c *Contract) Table() string {
	return strings.ReplaceAll(c.Name, ".", "_") + "_v" + strconv.Itoa(c.Major)
}

// Field is the named field, or nil.
func (c *Contract) Field(name string) *Field {
	for i := range c.Fields {
		if c.Fields[i].Name == name {
			return &c.Fields[i]
		}
	}
	return nil
}

// NamesPersons says whether events of the contract may name a person.
func (c *Contract) NamesPersons() bool {
	return slices.ContainsFunc(c.Fields, func(f Field) bool { return f.Type == Person })
}

// Kind tells the two kinds of input apart; they are never mixed in one figure.
type Kind uint8

const (
	Event  Kind = iota // something that happened, once, at a time
	Figure             // a total that an agency reports for a window
)

// Window names the two date fields that bound a reported figure, both inclusive.
type Window struct{ From, To string }

// Retention says how long rows are kept, in months; 0 is for ever.
type Retention struct{ Warehouse, Lake int }

// Type is the type of a field.
type Type uint8

const (
	Text      Type = iota + 1 // free text or a key; high cardinality
	Code                      // a label of few distinct values, not listed
	Enum                      // one of Values
	Ref                       // a code of the reference table To
	Person                    // an identifier of a person; only its pseudonym is kept
	Timestamp                 // RFC 3339 with offset; kept in milliseconds, UTC
	Date                      // YYYY-MM-DD
	Integer                   // 64 bits, signed
	Decimal                   // fixed point with Scale digits, 18 digits in all
	Money                     // minor units of the currency, 64 bits, signed
	Boolean                   //
	Duration                  // milliseconds, 64 bits, not negative
	Number                    // 64-bit float; never summed
)

// Class is the privacy class of a field.
type Class uint8

const (
	Internal Class = iota // the default: for signed-in people
	Open
	Personal // pseudonymised at the door
	Special  // health, disability, children: never leaves as rows
)

// Field is one field of a contract's data.
type Field struct {
	Name     string
	Type     Type
	Required bool
	Class    Class
	Title    reference.Names
	About    string
	Values   []string // Enum: allowed values
	To       string   // Ref: table
	ID       string   // Person: kind of identifier ("pinfl", "stir", "phone"); its pseudonym domain
	Unit     string   // "tiyin", "ms", "byte"
	Scale    int      // Decimal: digits after the point, 0 to 9
	Default  string   // "service.agency": the column of the row that another Ref field names
	Line     int      // where it was read
}

// Optional text, codes, enums and refs are stored as the empty string; the other
// optional types are stored as null. An empty string sent is an absent value.
func (f *Field) EmptyIsAbsent() bool { return f.Type.emptyIsAbsent() }

func (t Type) emptyIsAbsent() bool {
	switch t {
	case Text, Code, Enum, Ref:
		return true
	}
	return false
}

// Severity says what a broken rule does to an event.
type Severity uint8

const (
	Refuse     Severity = iota // answered with the reason, never stored
	Quarantine                 // kept aside, pseudonymised, to be fixed and replayed
	Warn                       // kept and counted
)

// Rule is one check of an event: a CEL expression over its fields and time. A
// rule that reads an absent optional field is skipped.
type Rule struct {
	ID       string
	Check    string
	Severity Severity
	Line     int
}
