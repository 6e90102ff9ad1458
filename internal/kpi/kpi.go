// Package kpi is what is measured: definitions with their versions and variants,
// the formulae that the ledger can retract, and the targets that acts have set.
//
// A definition is two aggregates and a division at the end, a distribution
// (quantiles from retractable buckets), or an exact distinct count at a declared
// calendar grain. It is pure data: package warehouse derives the rollups from it,
// package queries compiles it to SQL.
package kpi

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"ombor/internal/reference"
)

// KPI is one measure under one permanent id.
type KPI struct {
	ID        string // "online-processing-share"; permanent
	Title     reference.Names
	About     reference.Names // the definition in words that a minister understands
	Group     string          // the system it belongs to; a key of labels
	Owner     string          // organisation code
	Unit      Unit
	Direction Direction
	Ranked    string    // id of the KPI whose value tells, of what is missing to a target, what weighs most; empty: the missing cases themselves
	Versions  []Version // in time order within a variant; the first variant is the default
	File      string
}

// Fault is what is wrong with a part of a definition when it is computed.
type Fault struct {
	KPI     *KPI
	Version int    // its index in Versions
	Field   string // of the version, as in "numerator" and "match.paired.when"
	Message string
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

// Known says whether the unit is one of those above or has the form of a currency
// code; any other is a noun that needs words in every language.
func (u Unit) Known() bool {
	switch u {
	case Percent, Count, Ratio, Hours, Minutes, Days, Bytes:
		return true
	}
	return len(u) == 3 && strings.ToUpper(string(u)) == string(u)
}

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
	Source  reference.Names // the act or publication that states the formula
	Basis   Basis
	From    []string // contracts: "request.decided" or "request.decided.v1"; for Stock the contract that changes the table; those of a split formula's terms
	Table   string   // for Stock: the reference table whose rows are counted
	Key     string   // for Stock: the field of the contract that holds the table's code; its newest row on the day counts

	Numerator    *Formula      // nil with Distribution or Distinct
	Denominator  *Formula      // nil for counts
	Distribution *Distribution // quantiles of an expression
	Distinct     *Distinct     // exact distinct count

	Per     *Per     // what the value is told for each of, in place of a denominator
	Matures int      // days for which a row's day may still change: they are left out, counted back from today
	Running bool     // a period is told with all before it: its figure is what there is by its end
	Backlog *Backlog // for Stock: what has entered and not left by the day, by its age

	Only string // for Reported: the condition on figures that are meant; those of others are not looked at

	Match []Match // truths about a row that another contract tells; answered from facts

	At      string     // the field that dates it; "time" by default
	Grain   string     // finest grain of its rollups: "day" (default) or "hour"
	Rollups [][]string // declared sets of at most three dimensions; the empty set is implied
	Persons string     // the Person field that disclosure counts; empty: none

	// OfPersons says that what the version counts, its denominator if it has one, is persons of whom no pseudonym is
	// told: disclosure holds that count itself against k.
	OfPersons bool

	// Published are the tables that may be seen outside once a period is closed, each a set
	// of dimensions, the empty one for the whole, fewer dimensions first. Nil: none.
	Published [][]string

	// Coverage is a count of the units that could have counted and of those that did,
	// for reported figures: "over services that report both". Nil: by sources.
	Covered, Expected *Formula
	Line              int
}

// Formula is the definition in one line, in the pack's own notation and without a word of any
// language: "countIf(mobile) ÷ count()", "quantileIf(0.5)(hours, decided)", "uniqExact(user)";
// behind a bar the figures that are meant: "sum(numerator) | indicator = 'users'".
func (v *Version) Formula() string {
	quantile := func(of, when string, points []float64) string {
		suffix := ""
		if when != "" {
			suffix, when = "If", ", "+when
		}
		return fmt.Sprintf("quantile%s(%g)(%s%s)", suffix, points[0], of, when)
	}
	var text string
	switch {
	case v.Numerator != nil:
		text = v.Numerator.Text
	case v.Distribution != nil:
		d := v.Distribution
		text = quantile(cmp.Or(d.Text, d.Of), d.If, d.Quantiles)
	case v.Distinct != nil:
		text = v.Distinct.Formula()
	case v.Backlog != nil:
		text = quantile("age("+v.Backlog.String()+")", "", v.Backlog.Quantiles)
	}
	switch {
	case v.Per != nil:
		text += " ÷ (" + v.Per.String() + ")"
	case v.Denominator != nil:
		text += " ÷ " + v.Denominator.Text
	}
	if v.Only != "" {
		text += " | " + v.Only
	}
	return text
}

// Guarded says whether cells of few persons are hidden.
func (v *Version) Guarded() bool { return v.Persons != "" || v.OfPersons }

// Per makes a value one for each so many of what a reference table counts: requests per
// 1,000 inhabitants. The denominator of a cell is the sum of Column over the rows of the
// table that the cell is about (all that hold on its last day where it is about no single
// ones) divided by Each.
type Per struct {
	Table  string
	Column string
	Each   int64
}

// String is the denominator as a formula: "regions.population / 1000".
func (p *Per) String() string {
	return p.Table + "." + p.Column + " / " + strconv.FormatInt(p.Each, 10)
}

// Backlog is what has entered by the end of a day and not left: events of one contract
// that another ends. The value is a quantile of the days for which it has waited, 0 on the
// day of its entry; cases are how many wait.
type Backlog struct {
	Enters, Leaves string    // contracts
	On             string    // field of both that says what enters and leaves
	Entered        string    // field of Leaves that tells when it had entered
	Quantiles      []float64 // the first is the value
}

// String is what waits as a formula, the events without those that end them: "request.submitted ∖ request.decided".
func (b *Backlog) String() string { return b.Enters + " ∖ " + b.Leaves }

// Quantiles are those that the value consists of; nil when it is no distribution.
func (v *Version) Quantiles() []float64 {
	switch {
	case v.Distribution != nil:
		return v.Distribution.Quantiles
	case v.Backlog != nil:
		return v.Backlog.Quantiles
	}
	return nil
}

// AsOf is the name under which expressions have a day: those of a stock the one that is asked
// for, those of a version with a match the one up to which everything is known.
const AsOf = "as_of"

// Match is what another contract tells of a row, by a name that expressions can ask for: whether it
// has a row that stands, has the same values in fields, and meets a condition; or what the first of
// those rows has in a field.
type Match struct {
	Name string
	In   string // the contract
	On   []Pair // at least one
	When string // SQL over the fields and time of the row, and over those of the other as its.field; empty: no condition
	// Newest is what the newest of those rows must meet, by its time and then by when it came, in the
	// same terms; empty: any row of them will do.
	Newest string
	// First is the field of the oldest of those rows, by its time and then by when it came, whose value
	// the name stands for, NULL where there is none; empty: the name is a truth.
	First string
	Line  int
}

// Pair is two fields that must be equal.
type Pair struct{ Own, Its string }

// Tells is SQL that is true when some element of an array of the other contract's rows, or the
// newest one, is as the match asks; of a match with First, the value. field is how SQL says a field of
// such a row, which is named its.
func (m *Match) Tells(rows string, field func(name string) string) string {
	if m.When != "" && m.Newest == "" && m.First == "" {
		return fmt.Sprintf("arrayExists(its -> ifNull(%s, false), %s)", ofIts(m.When, field), rows)
	}
	if m.Newest == "" && m.First == "" {
		return "notEmpty(" + rows + ")"
	}
	if m.When != "" {
		rows = fmt.Sprintf("arrayFilter(its -> ifNull(%s, false), %s)", ofIts(m.When, field), rows)
	}
	if m.First != "" {
		first := fmt.Sprintf("arraySlice(arraySort(its -> tuple(%s, %s), %s), 1, 1)", field("time"), field("_seq"), rows)
		return fmt.Sprintf("if(empty(%s), NULL, arrayMap(its -> %s, %s)[1])", rows, field(m.First), first)
	}
	newest := fmt.Sprintf("arraySlice(arrayReverseSort(its -> tuple(%s, %s), %s), 1, 1)", field("time"), field("_seq"), rows)
	return fmt.Sprintf("arrayExists(its -> ifNull(%s, false), %s)", ofIts(m.Newest, field), newest)
}

// Columns are the fields of the row that the match reads, and those of the other contract's rows.
func (m *Match) Columns() (own, its []string) {
	for _, pair := range m.On {
		own, its = append(own, pair.Own), append(its, pair.Its)
	}
	for _, expression := range []string{m.When, m.Newest} {
		own = append(own, Columns(ofIts(expression, func(field string) string { its = append(its, field); return "1" }))...)
	}
	if m.First != "" {
		its = append(its, m.First)
	}
	return own, its
}

// ofIts is an expression with its.field replaced.
func ofIts(text string, its func(field string) string) string {
	var b strings.Builder
	done := 0
	s := scanner{text: text}
	for {
		token, ok := s.next()
		if !ok {
			break
		}
		if token != "its" {
			continue
		}
		start := s.start
		if dot, ok := s.next(); !ok || dot != "." {
			continue
		}
		field, ok := s.next()
		if !ok {
			break
		}
		b.WriteString(text[done:start] + its(field))
		done = s.at
	}
	return b.String() + text[done:]
}

// Side is one contract that a version reads, dated by one of its fields. A ratio of two
// sources has two sides, and so has one that counts the same contract by two dates.
type Side struct{ From, At string }

// Sides are those of the version, in the order of the file.
func (v *Version) Sides() []Side {
	var sides []Side
	add := func(s Side) {
		if !slices.Contains(sides, s) {
			sides = append(sides, s)
		}
	}
	if !v.Split() {
		for _, from := range v.From {
			add(Side{from, v.At})
		}
		return sides
	}
	for _, f := range []*Formula{v.Numerator, v.Denominator} {
		if f == nil {
			continue
		}
		for _, t := range f.Terms {
			add(Side{t.From, t.At})
		}
	}
	return sides
}

// Formulae are those that the version has, with their fields in the file: what is counted, what that is divided
// by, and of stocks what is covered of what is expected.
func (v *Version) Formulae() iter.Seq2[string, *Formula] {
	return func(yield func(string, *Formula) bool) {
		for _, part := range []struct {
			field   string
			formula *Formula
		}{{"numerator", v.Numerator}, {"denominator", v.Denominator}, {"covered", v.Covered}, {"expected", v.Expected}} {
			if part.formula != nil && !yield(part.field, part.formula) {
				return
			}
		}
	}
}

// Split says whether the version's terms name the contracts that they count.
func (v *Version) Split() bool { return v.Numerator != nil && v.Numerator.Terms[0].From != "" }

// Counts says whether a term is counted over the side.
func (s Side) Counts(t Term) bool { return t.From == "" || t.From == s.From && t.At == s.At }

// Expressions are the SQL expressions of the version over its contracts' fields and
// time, in the order of the file.
func (v *Version) Expressions() []string {
	var all []string
	for _, side := range v.Sides() {
		all = append(all, v.ExpressionsOf(side)...)
	}
	return all
}

// ExpressionsOf are those over the fields of one side.
func (v *Version) ExpressionsOf(side Side) []string {
	all := append(v.Numerator.expressions(side), v.Denominator.expressions(side)...)
	if v.Distribution != nil {
		all = append(all, v.Distribution.Of)
		if v.Distribution.If != "" {
			all = append(all, v.Distribution.If)
		}
	}
	if v.Only != "" {
		all = append(all, v.Only)
	}
	if v.Distinct != nil && v.Distinct.If != "" {
		all = append(all, v.Distinct.If)
	}
	return append(append(all, v.Covered.expressions(side)...), v.Expected.expressions(side)...)
}

// Declares says whether the version may be broken down by the dimensions from one
// rollup: whether one declared set holds them all. No dimensions is always true.
func (v *Version) Declares(dimensions []string) bool {
	if len(dimensions) == 0 {
		return true
	}
	return slices.ContainsFunc(v.Rollups, func(set []string) bool {
		return !slices.ContainsFunc(dimensions, func(d string) bool { return !slices.Contains(set, d) })
	})
}

// Dimensions are the fields of all declared rollups, each once, in their order.
func (v *Version) Dimensions() []string {
	var all []string
	for _, set := range v.Rollups {
		for _, d := range set {
			if !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return all
}

func (v *Version) describe() string {
	text := strconv.Itoa(v.Version)
	if v.Valid.From != reference.NoDay {
		text += " from " + v.Valid.From.String()
	}
	if v.Valid.To != reference.NoDay {
		text += " to " + v.Valid.To.String()
	}
	return text
}

// Distribution gives quantiles of Of over the rows where If holds, from
// logarithmic buckets of ratio 1.02 (±1 %), which a correction can retract.
type Distribution struct {
	Of        string    // SQL expression over the contract's fields, in the KPI's unit
	Text      string    // Of as the pack states it; empty: Of itself
	If        string    // SQL condition; empty: all rows
	Quantiles []float64 // 0.5 and 0.9; the first is the value
}

// Distinct counts a Person or key field exactly, at calendar grains.
type Distinct struct {
	Of     string
	If     string   // SQL condition; empty: all rows
	Grains []string // "month", "quarter", "year"
}

// Formula is the count as the engine writes it: "uniqExactIf(person, ok)".
func (d *Distinct) Formula() string {
	if d.If == "" {
		return "uniqExact(" + d.Of + ")"
	}
	return "uniqExactIf(" + d.Of + ", " + d.If + ")"
}
