// Package kpi is what is measured: definitions with their versions and variants,
// the formulae that the ledger can retract, and the targets that acts have set.
//
// A definition is two aggregates and a division at the end, a distribution
// (quantiles from retractable buckets), or an exact distinct count at a declared
// calendar grain. It is pure data: package warehouse derives the rollups from it,
// package queries compiles it to SQL.
package kpi

import "ombor/internal/reference"

// KPI is one measure under one permanent id.
type KPI struct {
	ID        string // "online-processing-share"; permanent
	Title     reference.Names
	About     reference.Names // the definition in words that a minister understands
	Group     string          // the system it belongs to; a key of labels
	Owner     string          // organisation code
	Unit      Unit
	Direction Direction
	Versions  []Version // in time order within a variant; the first variant is the default
	File      string
}

// Unit is what a value is counted in.
type Unit string

const (
	Percent Unit = "percent" // value is 100 × numerator ÷ denominator
	Count   Unit = "count"   // value is the numerator
	Ratio   Unit = "ratio"   // value is numerator ÷ denominator
	Hours   Unit = "hours"
	Minutes Unit = "minutes"
	Days    Unit = "days"
	Bytes   Unit = "bytes"
	// Any other unit is a currency code ("UZS", "GBP") or a noun of the pack's labels.
)

// Direction says which way is better.
type Direction string

const (
	Up      Direction = "up"
	Down    Direction = "down"
	Neither Direction = "neither"
)

// Basis says what a figure stands on.
type Basis string

const (
	Events   Basis = "events"   // counted by Ombor from events
	Reported Basis = "reported" // totals that agencies sent, for exact windows
	Stock    Basis = "stock"    // counted on a date from the history of a reference table
)

// Version is one formula with its validity and source.
type Version struct {
	Version int
	Variant string // empty for the default definition
	Valid   reference.Span
	Source  string // the act or publication that states the formula
	Basis   Basis
	From    []string // contracts: "request.decided" or "request.decided.v1"; for Stock the contract that changes the table

	Numerator    *Formula      // nil with Distribution or Distinct
	Denominator  *Formula      // nil for counts
	Distribution *Distribution // quantiles of an expression
	Distinct     *Distinct     // exact distinct count

	At      string     // the field that dates it; "time" by default
	Grain   string     // finest grain of its rollups: "day" (default) or "hour"
	Rollups [][]string // declared sets of at most three dimensions; the empty set is implied
	Persons string     // the Person field that disclosure counts; empty: none
	// Coverage is a count of the units that could have counted and of those that did,
	// for reported figures: "over services that report both". Nil: by sources.
	Covered, Expected *Formula
	Line              int
}

// Distribution gives quantiles of Of over the rows where If holds, from
// logarithmic buckets of ratio 1.02 (±1 %), which a correction can retract.
type Distribution struct {
	Of        string    // SQL expression over the contract's fields, in the KPI's unit
	If        string    // SQL condition; empty: all rows
	Quantiles []float64 // 0.5 and 0.9; the first is the value
}

// Distinct counts a Person or key field exactly, at calendar grains.
type Distinct struct {
	Of     string
	Grains []string // "month", "quarter", "year"
}
