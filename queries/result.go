package queries

import (
	"strconv"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// Result is the answer to a [Request]. Its JSON form is stable:
//
//	{"kpi": "online-processing-share", "title": {"en": "…"}, "unit": "percent",
//	 "direction": "up", "basis": "events", "version": 1, "from": "2024-01-01", "to": "2024-12-31",
//	 "grain": "month", "by": ["region"], "where": {}, "data_through": "2024-12-31T18:59:59Z",
//	 "loaded": "…", "simulated": false, "definition": {…}, "coverage": {…},
//	 "names": {"region": {"1703": {"en": "Andijan"}}}, "cells": [{…}, …]}
//
// Percentages are 0–100. Numbers are numbers; what has no number is null and its
// state says why.
type Result struct {
	KPI       string              `json:"kpi"`
	Title     reference.Names     `json:"title"`
	Unit      string              `json:"unit"`
	Direction string              `json:"direction"`
	Owner     string              `json:"owner"`
	Basis     string              `json:"basis"`
	Version   int                 `json:"version"`
	Variant   string              `json:"variant,omitempty"`
	From      Date                `json:"from"` // first day that the cells speak of; null when there is nothing at all
	To        Date                `json:"to"`   // last day, inclusive
	Grain     Grain               `json:"grain"`
	By        []string            `json:"by"`
	Where     map[string][]string `json:"where"`
	Compare   Compare             `json:"compare,omitempty"`
	KnownOn   Date                `json:"known_on"` // null: everything received so far
	Audience  Audience            `json:"audience"` // outside: only what was published, also where a contract has special fields

	// DataThrough is the time of the latest event that the contracts behind the
	// KPI hold (of a stock not later than the day that it is told for), and Loaded the moment at which their rollups were last written;
	// null when nothing was ever received.
	DataThrough *time.Time `json:"data_through"`
	Loaded      *time.Time `json:"loaded"`
	Simulated   bool       `json:"simulated"` // some row behind some cell was made by simulation

	Definition Definition                            `json:"definition"`
	Coverage   *Coverage                             `json:"coverage"`        // of the whole answer; null when nothing can be said
	Names      map[string]map[string]reference.Names `json:"names,omitempty"` // dimension → code → names, for reference dimensions
	Notes      []string                              `json:"notes,omitempty"` // sentences that belong under the figure, in the request's language
	Said       []Note                                `json:"said,omitempty"`  // the same by key and parameters
	Cells      []Cell                                `json:"cells"`
	Plan       *Plan                                 `json:"plan,omitempty"`
}

// Definition is what a figure means.
type Definition struct {
	About       reference.Names `json:"about,omitempty"`
	Numerator   string          `json:"numerator,omitempty"`   // formula, as the pack states it
	Denominator string          `json:"denominator,omitempty"` //
	Of          string          `json:"of,omitempty"`          // expression of a distribution, field of a distinct count
	Quantiles   []float64       `json:"quantiles,omitempty"`
	From        []string        `json:"from"`         // contracts
	At          string          `json:"at"`           // the field that dates a row
	Source      string          `json:"source"`       // Sources in English
	Sources     reference.Names `json:"source_names"` // the act or publication that states the formula
	ValidFrom   Date            `json:"valid_from"`
	ValidTo     Date            `json:"valid_to"`
	Exact       bool            `json:"exact"`           // false: quantiles, within ±1 %
	Error       float64         `json:"error,omitempty"` // relative error, in percent, when not exact
}

// Cell is one figure. In JSON its dimensions stand beside the other keys, in the
// order of the request; a dimension named like one of them is written "by.<name>".
type Cell struct {
	Period string // "2024-03", "2024-W10", "2024-Q1", "2024", "2024-03-05", "2024-03-05T14", or "<from>/<to>"
	From   reference.Day
	To     reference.Day // inclusive
	Dims   []Dim         // as many as the result's By

	// Numerator and Denominator are exact decimal numbers in the formula's own
	// unit; "" is null. Value is Numerator, or 100 × or 1 × Numerator ÷
	// Denominator, or the first quantile; nil unless State is value or zero.
	Numerator   Number
	Denominator Number
	Value       *float64
	State       State
	Reason      string     // with NotApplicable: "no_cases" (0 ÷ 0) or "no_denominator" (something ÷ 0); with NotProvided: "" or [NotKept]
	Cases       *int64     // rows behind the cell, corrections settled; nil when suppressed, and where [rowsToldBy] does not tell them
	Quantiles   []Quantile // of a distribution
	Closed      Date       // since when it is closed; none while it is open
	Unclosed    []string   // sources whose deadline closed it, without their word
	Corrected   Date       // when a published figure became another; none: it is as it was first published, or was not
	Was         *float64   // with Corrected: the value published before; nil: WasState says why
	WasState    State      // with Corrected
	Simulated   bool
	Coverage    *Coverage
	Comparison  *Comparison // with Request.Compare
	Target      *float64    // what an act asks of this figure, in the KPI's unit; nil: none, or the answer has more cells
	Status      kpi.Status  // how the figure stands to Target; "" without one
}

// Open says whether the cell is still arriving: its period has not ended, or not every source has closed it.
func (c *Cell) Open() bool { return !c.Closed.Set }

// Dim is one dimension of a cell and its value; the empty value is "not told".
type Dim struct{ Name, Value string }

// State says what a cell without a number means; none is ever turned into another.
type State = kpi.State

const (
	HasValue      = kpi.HasValue
	Zero          = kpi.Zero
	NotApplicable = kpi.NotApplicable // 0 ÷ 0 (reason no_cases), or said so by the sender
	NotProvided   = kpi.NotProvided   // no report received
	Suppressed    = kpi.Suppressed    // hidden to protect people
)

// Quantile is one point of a distribution.
type Quantile struct {
	Q     float64 `json:"q"`
	Value float64 `json:"value"`
}

// Coverage says how much of what should have reported has reported: sources, or the
// units that a reported figure or a stock counts.
type Coverage struct {
	Covered  int64    `json:"covered"`
	Expected int64    `json:"expected"`
	Share    float64  `json:"share"` // percent
	Words    string   `json:"words"` // "31 of 32 sources; missing: customs (9 % of the rows of 2024-04)", in the request's language
	Missing  []string `json:"missing,omitempty"`

	// Weights are the shares, in percent, that the missing sources had of the rows of the
	// period of the same length just before, WeighedBy; none when that has no rows.
	Weights   map[string]float64 `json:"weights,omitempty"`
	WeighedBy string             `json:"weighed_by,omitempty"`
	Simulated []string           `json:"simulated,omitempty"` // sources for which a simulation stands in, wholly or in part

	noun   string             // source or unit
	inPart []string           // of Simulated: those that have sent, too
	ofAll  map[string]float64 // missing source → share of all rows, in percent
}

// Comparison holds a cell against an earlier period.
type Comparison struct {
	Period     string   `json:"period"`
	Value      *float64 `json:"value"` // null: its state says why
	State      State    `json:"state"`
	Difference *float64 `json:"difference"` // in the unit; percentage points for percent
	Change     *float64 `json:"change"`     // percent of the earlier value; null when that is 0 or unknown
}

// Plan says how an answer was computed.
type Plan struct {
	Table    string            `json:"table"` // the rollup or the facts that were read
	Rows     uint64            `json:"rows"`  // rows in that table
	Why      string            `json:"why"`
	SQL      string            `json:"sql"`
	Bindings map[string]string `json:"bindings"` // values of the SQL's {name:Type} parameters
}

// Number is an exact decimal number as text, or "" for none. It is a number, or
// null, in JSON.
type Number string

// Float is the nearest float64; false for none.
func (n Number) Float() (float64, bool) {
	if n == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return f, err == nil
}

// zero says whether it is nothing, or not there.
func (n Number) zero() bool { f, ok := n.Float(); return ok && f == 0 || n == "" }

func (n Number) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return []byte(n), nil
}

// Date is a day that is written YYYY-MM-DD in JSON, and null when there is none.
// The zero value is none.
type Date struct {
	Day reference.Day
	Set bool
}

func dateOf(d reference.Day) Date { return Date{d, d != reference.NoDay} }

func (d Date) String() string {
	if !d.Set {
		return ""
	}
	return d.Day.String()
}

func (d Date) MarshalJSON() ([]byte, error) {
	if !d.Set {
		return []byte("null"), nil
	}
	return []byte(`"` + d.Day.String() + `"`), nil
}
