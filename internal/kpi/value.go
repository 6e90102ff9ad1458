package kpi

import (
	"math"
	"strconv"
	"strings"

	"ombor/internal/reference"
)

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
	OnCourse   Status = "on_course"  // not reached yet; at the pace since the baseline it will be, by the stated day
	AtRisk     Status = "at_risk"    // at that pace at least 80 % of the way will be behind by then
	OffCourse  Status = "off_course" // at that pace less
	Open       Status = "open"       // not reached, and no pace can be told: no day is stated, or nothing is known to start from
)

// riskFrom is the part of the way that must be behind on the stated day, at the present
// pace, for a target to be at risk and not off course.
const riskFrom = 0.8

// Holds says whether a number is on the side of a published figure that its words ask
// for. An equal one is. A rounded figure holds what rounds to it: half a unit to either side of its last
// digit that is no zero, or of its second where nothing but zeros follow the first (74 holds 73.5 to 74.5, 8,300,000 holds
// 8,250,000 to 8,350,000, 10 holds 9.5 to 10.5). A maximum ("up to") holds when the largest value comes within one percent of
// it, which is as near as quantiles are. A claim without a figure holds nothing.
func (t *Target) Holds(number float64) bool {
	switch t.Comparator {
	case AtLeast:
		return number >= t.Value
	case AtMost:
		return number <= t.Value
	case About:
		return math.Abs(number-t.Value) <= lastDigit(t.Value)/2*(1+1e-9)
	case UpTo:
		return number >= 0.99*t.Value
	}
	return false
}

// lastDigit is what one unit of a number's last digit that is no zero is worth; of its second, when zeros
// follow the first.
func lastDigit(x float64) float64 {
	text := strconv.FormatFloat(math.Abs(x), 'e', -1, 64)
	digits, exponent, _ := strings.Cut(text, "e")
	power, _ := strconv.Atoi(exponent)
	_, fraction, _ := strings.Cut(digits, ".")
	if fraction == "" && power > 0 {
		power-- // ten million, and not any number from five to fifteen
	}
	return math.Pow10(power - len(fraction))
}

// Gap is what a number lacks to the published figure, in the KPI's unit: 0 or less when it
// is on its side.
func (t *Target) Gap(number float64) float64 {
	if t.Comparator == AtMost {
		return number - t.Value
	}
	return t.Value - number
}

// Course is the way from a baseline to a target and how much of it is behind.
type Course struct {
	Start     reference.Day
	Baseline  float64 // value on Start
	Expected  float64 // value that the straight line from baseline to target has on the day
	Projected float64 // value on the day that is due, at the mean pace since Start
}

// CourseOf draws the straight line from the baseline on the target's [Target.Start] to its
// value on the day that is due. It is nil when the act states no day, when no day to start
// from is told, when that day is not before the other two, and after the day that is due.
func CourseOf(t *Target, baseline, number float64, on reference.Day) *Course {
	start := t.Start()
	if t.Kind != Asked || !t.DueStated || t.Due == reference.NoDay || start == reference.NoDay || start >= t.Due || on <= start || on > t.Due {
		return nil
	}
	past, whole := float64(on-start), float64(t.Due-start)
	return &Course{Start: start, Baseline: baseline, Expected: baseline + (t.Value-baseline)*past/whole, Projected: baseline + (number-baseline)*whole/past}
}

// StatusOf holds a value against a target on a day. A value equal to the target reaches
// it. Before the stated day it is the course that tells; with nil the target is open. After
// it the value has to be the one of that day, and there are only reached and missed.
func StatusOf(t *Target, v Value, course *Course, on reference.Day) Status {
	if t.Kind != Asked {
		return NotATarget
	}
	if v.State != HasValue && v.State != Zero {
		return Unmeasured
	}
	dated := t.DueStated && t.Due != reference.NoDay
	switch {
	case t.Holds(v.Number):
		return Reached
	case dated && on > t.Due:
		return Missed
	case !dated || course == nil:
		return Open
	case t.Holds(course.Projected):
		return OnCourse
	}
	if way := t.Value - course.Baseline; way != 0 && (course.Projected-course.Baseline)/way >= riskFrom {
		return AtRisk
	}
	return OffCourse
}
