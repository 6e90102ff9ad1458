package queries

import "ombor/internal/reference"

// Request asks for the values of one KPI. The zero value of every field but KPI
// is the default that its comment names.
type Request struct {
	KPI string `json:"kpi"` // the KPI's permanent id

	// From and To are the first and the last day, both inclusive, in the pack's
	// time zone. 0 and reference.NoDay leave an end open: events answer with
	// everything known, reported figures with their latest window, stocks with today, or
	// with the last day of the calendar year that the events of half of the contracts reach, where that is over. A first day after today is BadInput; periods of a grain that begin after today
	// are left out.
	From reference.Day `json:"from,omitempty"`
	To   reference.Day `json:"to,omitempty"`

	Grain    Grain               `json:"grain,omitempty"`    // "": one cell for the whole period
	By       []string            `json:"by,omitempty"`       // dimensions to break down by, in the order of the answer
	Where    map[string][]string `json:"where,omitempty"`    // dimension → values, any of which; codes or names of reference tables
	Compare  Compare             `json:"compare,omitempty"`  // "": no comparison
	Basis    string              `json:"basis,omitempty"`    // "": the definition's own; "events", "reported", "stock"
	Version  int                 `json:"version,omitempty"`  // 0: the version valid on the last day asked for
	Variant  string              `json:"variant,omitempty"`  // "": the default definition
	KnownOn  reference.Day       `json:"known_on,omitempty"` // what was known at the end of that day; 0: everything received
	Audience Audience            `json:"audience,omitempty"` // "": inside
	Language string              `json:"lang,omitempty"`     // of notes and coverage: one of [Languages]; "": en
	Plan     bool                `json:"plan,omitempty"`     // answer with the choice of table and the SQL beside the cells
}

// Grain is the length of the periods of an answer.
type Grain string

const (
	Whole   Grain = ""               // one period from From to To
	Hour    Grain = "hour"           // where the definition keeps hours
	Day     Grain = "day"            //
	Week    Grain = "week"           // ISO 8601 weeks, Monday to Sunday
	Month   Grain = "month"          //
	Quarter Grain = "quarter"        // calendar quarters
	Year    Grain = "year"           //
	Fiscal  Grain = "fiscal"         // fiscal years of the pack's calendar
	School  Grain = "school_quarter" // school quarters of the pack's calendar; days in the holidays are in none
	Window  Grain = "window"         // the windows for which figures were reported
)

// Compare names what every cell is held against: an earlier period, or the whole ([National]).
type Compare string

const (
	NoComparison Compare = ""
	Previous     Compare = "previous" // the period of the same length just before
	YearBefore   Compare = "year"     // the same period one year earlier
)
