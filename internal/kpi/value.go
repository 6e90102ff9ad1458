package kpi

import "ombor/internal/reference"

// State is one of the five states of a value. None is ever turned into another.
type State string

const (
	HasValue      State = "value"
	Zero          State = "zero"
	NotApplicable State = "not_applicable"
	NotProvided   State = "not_provided"
	Suppressed    State = "suppressed"
)

// Reasons of a value that is not applicable.
const (
	NoCases       = "no_cases"       // 0 ÷ 0
	NoDenominator = "no_denominator" // something ÷ 0: the two counts contradict each other
)

// Value is a KPI's number with its state. Number means something in the states
// value and zero only.
type Value struct {
	Number float64 // in the KPI's unit; percentages 0–100, above 100 when the data say so
	State  State
	Reason string // with NotApplicable
}

// Divide makes a value of two sums, at the very end: the numerator alone when there
// is no denominator, else numerator ÷ denominator, times 100 for percent. Nothing is
// clipped or rounded.
func Divide(numerator float64, denominator *float64, unit Unit) Value {
	number := numerator
	if denominator != nil {
		switch {
		case *denominator != 0:
			number = numerator / *denominator
			if unit == Percent {
				number = 100 * numerator / *denominator // one division: 74 of 100 is 74, not 74.00000000000001
			}
		case numerator == 0:
			return Value{State: NotApplicable, Reason: NoCases}
		default:
			return Value{State: NotApplicable, Reason: NoDenominator}
		}
	}
	if number == 0 {
		return Value{State: Zero}
	}
	return Value{Number: number, State: HasValue}
}

// Status says how a value stands to a target.
type Status string

const (
	Unmeasured Status = "unmeasured" // no number to hold against it
	NotATarget Status = "published"  // a result or claim: compared, never coloured
	Reached    Status = "reached"    // on the target's side of its value
	Missed     Status = "missed"     // not reached, and the stated day has passed
	Behind     Status = "behind"     // not reached yet; the day is to come
	Open       Status = "open"       // not reached, and the act states no day
)

// StatusOf holds a value against a target on a day. A value equal to the target
// reaches it. Whether the pace suffices is not guessed here: a run rate needs the
// value's history.
func StatusOf(t *Target, v Value, today reference.Day) Status {
	if t.Kind != Asked {
		return NotATarget
	}
	if v.State != HasValue && v.State != Zero {
		return Unmeasured
	}
	reached := v.Number >= t.Value
	if t.Comparator == AtMost {
		reached = v.Number <= t.Value
	}
	switch {
	case reached:
		return Reached
	case t.Due == reference.NoDay || !t.DueStated:
		return Open
	case today > t.Due:
		return Missed
	}
	return Behind
}
