package kpi

import "ombor/internal/reference"

// Kind of a published figure says what may be done with it.
type Kind string

const (
	Asked  Kind = "target" // an act asks for it: progress is measured against it
	Result Kind = "result" // a published result, to be reproduced
	Claim  Kind = "claim"  // something said, to be checked
)

// Comparator says how a value is held against a published figure.
type Comparator string

const (
	AtLeast Comparator = "at_least"
	AtMost  Comparator = "at_most"
	About   Comparator = "about" // a rounded figure
	UpTo    Comparator = "up_to" // the largest single value, never an average
)

// Target is what an act, a plan or a press release says of a KPI. Only Kind Asked is
// a target; the others are kept beside the value and never coloured.
type Target struct {
	KPI        string
	Variant    string // the definition that it means; empty for the default
	Kind       Kind
	Act        Act
	Wording    string          // in the act's own words
	Language   string          // of those, and of the title of the act; BCP 47
	Wordings   reference.Names // the wording and its translations
	Comparator Comparator
	Value      float64       // in the KPI's unit; percentages 0–100
	Due        reference.Day // the day by which it is asked; NoDay when there is none
	DueStated  bool          // false: the act gives no date: Due is a reading of it that decides nothing
	Period     reference.Span
	Baseline   *Baseline         // where progress is counted from; nil: the value on the day the act came into force
	Check      reference.Names   // of results and claims: what of it can be checked, and by what; may be nil
	Owner      string            // organisation code
	Where      map[string]string // the part it holds for: dimension → code; empty: the whole
	File       string
	Line       int
}

// Baseline is where the progress towards a target is counted from.
type Baseline struct {
	On    reference.Day
	Value *float64 // as the act tells it, in the KPI's unit; nil: what was measured on that day
}

// Start is the day from which the progress towards the target is counted: that of its
// baseline, or the one on which the act came into force; NoDay when neither is told.
func (t *Target) Start() reference.Day {
	if t.Baseline != nil {
		return t.Baseline.On
	}
	return t.Act.InForce
}

// Judged says whether the target has a comparator: a claim may say yes or no only.
func (t *Target) Judged() bool { return t.Comparator != "" }

// Act is where a figure is written.
type Act struct {
	Title   string
	Titles  reference.Names // the title and its translations
	URL     string
	InForce reference.Day // NoDay when not told
}
