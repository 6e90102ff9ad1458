package contract

import (
	"fmt"
	"strings"
	"time"
)

// Code says why an event was refused or held, or what a warning is about. Codes are
// stable: programs may act on them.
const (
	BadJSON          = "bad_json"          // not a JSON object as RFC 8259 has it
	InvalidUTF8      = "invalid_utf8"      // bytes that are not UTF-8
	NULByte          = "nul_byte"          // U+0000, raw or escaped
	DuplicateKey     = "duplicate_key"     // one name twice in an object
	TooLong          = "too_long"          // an event or a value over its limit
	TooDeep          = "too_deep"          // objects and arrays nested over the limit
	UnknownType      = "unknown_type"      // no contract for the event's type
	UnknownField     = "unknown_field"     // a field that the contract does not have
	MissingField     = "missing_field"     // a required field or attribute is absent
	WrongType        = "wrong_type"        // a value of another JSON type than the field's
	BadTime          = "bad_time"          // not RFC 3339 with an offset, or not a date
	OutOfRange       = "out_of_range"      // a number or time outside what can be kept
	NotInEnum        = "not_in_enum"       // none of the allowed values
	BadIdentifier    = "bad_identifier"    // not an identifier of the field's kind
	PersonalValue    = "personal_value"    // a person's identifier in a place that is stored as it is
	RuleBroken       = "rule_broken"       // a rule of the contract does not hold
	UnknownReference = "unknown_reference" // held: a code that the reference table does not have
	NotYours         = "not_yours"         // the sender's key is not for this source or type
	QuarantineFull   = "quarantine_full"   // it would be held, and the quarantine has no room
)

// Codes that only the quarantine has: they are found after the door has answered.
const (
	Conflict = "conflict" // the id and revision are known with other content
	Damaged  = "damaged"  // a batch in the journal whose bytes are not those that were written
)

// Codes lists every code with what it means, for documentation.
func Codes() []CodeDescription {
	return []CodeDescription{
		{BadJSON, "The event is not a JSON object (RFC 8259)."},
		{InvalidUTF8, "It holds bytes that are not UTF-8."},
		{NULByte, "It holds U+0000, raw or as \\u0000."},
		{DuplicateKey, "A name stands twice in one object."},
		{TooLong, "The event, or a value in it, is over its limit."},
		{TooDeep, "Objects and arrays are nested over the limit."},
		{UnknownType, "The pack has no contract for this type; the reason names the nearest."},
		{UnknownField, "The contract does not have this field."},
		{MissingField, "A required field or attribute is absent, null or empty."},
		{WrongType, "The value has another JSON type than the field, or a fraction where a whole number is expected."},
		{BadTime, "A timestamp is not RFC 3339 with an offset, or a date is not YYYY-MM-DD."},
		{OutOfRange, "A number or a time lies outside what can be kept."},
		{NotInEnum, "The value is none of those allowed; the reason lists them."},
		{BadIdentifier, "A person's identifier does not have the form of its kind. The reason never repeats it."},
		{PersonalValue, "A person's identifier stands in a value that is stored as it is (id, source or a text), or an unknown code has the form of one."},
		{RuleBroken, "A rule of the contract does not hold (refused or held, by its severity)."},
		{UnknownReference, "Held, not refused: a code that the reference table does not have yet."},
		{NotYours, "The key that the request showed does not send this type for this source."},
		{QuarantineFull, "The event would be held, but the quarantine has no room; send it again later."},
	}
}

// CodeDescription is one line of [Codes].
type CodeDescription struct{ Code, Means string }

// Refusal says why one event was not taken. It never holds a person's identifier.
type Refusal struct {
	Index  int    `json:"index"` // the event's place in its request, from 0
	ID     string `json:"id"`    // the event's id; empty when it could not be read
	Field  string `json:"field"` // the field, or the attribute of the envelope; empty: the event as a whole
	Code   string `json:"code"`
	Reason string `json:"reason"`

	// Of the event, to count refusals by: empty when they could not be read. Type is one
	// that the pack knows.
	Source string `json:"-"`
	Type   string `json:"-"`
}

func (r *Refusal) Error() string {
	if r.Field == "" {
		return fmt.Sprintf("event %d: %s: %s", r.Index, r.Code, r.Reason)
	}
	return fmt.Sprintf("event %d: %s: %s: %s", r.Index, r.Field, r.Code, r.Reason)
}

// Held is an event that is sound but waits for somebody: its reference is unknown, or
// it breaks a rule whose severity is quarantine. Event is CloudEvents JSON whose
// persons are pseudonyms (32 hexadecimal digits); [Batch.Replay] reads it.
type Held struct {
	Index  int       `json:"index"`
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Field  string    `json:"field,omitempty"`
	Code   string    `json:"code"` // UnknownReference or RuleBroken; the loader adds Conflict and Damaged
	Reason string    `json:"reason"`
	Digest uint64    `json:"digest,string"` // _digest, taken before pseudonymisation
	Event  []byte    `json:"event"`

	// What names the event for ever, so that a replay is the same event whatever was fixed
	// in it: a sender who sends the original again sends a duplicate.
	Key       string `json:"key,omitempty"` // _id, 32 hexadecimal digits
	Revision  uint32 `json:"revision,omitempty"`
	Withdrawn bool   `json:"withdrawn,omitempty"`
	// Correct asks [Batch.Replay] to take the event as the next revision of the one that
	// stands under its Key, whatever revision it came as: how a conflict is settled. Without
	// it, a replayed event corrects nothing that came since, also when it came with onchange: correct.
	Correct bool `json:"correct,omitempty"`

	Pseudonyms int `json:"pseudonyms,omitempty"` // version of the keys that its persons were made with; 0 is the first
}

// Warning counts the events that broke a rule whose severity is warn.
type Warning struct {
	Type  string `json:"type"`
	Rule  string `json:"rule"`
	Count int    `json:"count"`
}

// Nearest is the known name that text most resembles, or "" when none is near:
// Levenshtein's distance, at most a third of the text.
func Nearest(text string, known []string) string {
	best, bestDistance := "", len(text)/3+1
	for _, k := range known {
		if d := distance(text, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

func distance(a, b string) int {
	if len(a) > 128 || len(b) > 128 { // names are shorter; the cost is the product
		return 128
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// shown is a name that somebody sent, fit for a message: as it is when it looks like a
// name, else its length, since it may be anything, a person's number included.
func shown(name string) string {
	digits := 0
	plain := len(name) > 0 && len(name) <= 128
	for _, r := range name {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', strings.ContainsRune("_.-", r):
		case '0' <= r && r <= '9':
			digits++
		default:
			plain = false
		}
	}
	if !plain || digits > 5 {
		return fmt.Sprintf("(a name of %d bytes)", len(name))
	}
	return name
}
