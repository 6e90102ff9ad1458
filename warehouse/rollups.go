package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Rollup is one derived table: the sums of one contract's signs and measures by a
// set of dimensions, by the day (or hour) of one of its time fields.
type Rollup struct {
	Contract *contract.Contract
	At       string   // the field that dates a row: "time" or another
	Hourly   bool     // there is a column _hour, 0 to 23 in the pack's zone
	Dims     []string // dimensions, in the order of the sort key
	Name     string   // of the table, without its database

	measures []measure
	asides   *asides // measures that its rows lack; nil: none
}

// measure is one aggregated column. Two KPIs share it when their expressions are the
// same text.
type measure struct {
	column string
	kind   string // ClickHouse type; "" until the engine has told it
	expr   string // aggregate over the facts
	inputs []string
	about  string
	summed bool // a plain sum, kept by the engine's SummingMergeTree list
}

// bucketsKind is the type of a column of buckets.
const bucketsKind = "SimpleAggregateFunction(sumMap, Map(Int32, Int64))"

// columnName names a measure after its expression.
func columnName(prefix, expr string) string {
	sum := sha256.Sum256([]byte(expr))
	return prefix + "_" + hex.EncodeToString(sum[:5])
}

// Signed is the aggregate over facts that a term of a formula stands for, with
// corrections settled by the sign. The engine sums it exactly: whole numbers and decimals, in 38 digits ([wideSign]).
func Signed(t kpi.Term) string {
	switch {
	case t.Func == kpi.CountRows && t.If == "":
		return "sum(toInt64(_sign))"
	case t.Func == kpi.CountRows:
		return "sumIf(toInt64(_sign), " + t.If + ")"
	case t.If == "":
		return "sum((" + t.Of + ") * " + wideSign + ")"
	default:
		return "sumIf((" + t.Of + ") * " + wideSign + ", " + t.If + ")"
	}
}

// wideSign is the sign of a row as a factor of what is summed. The engine adds whole numbers in 64 bits and says nothing when they
// wrap, which a thousand rows of the largest that a field can have would do; a product with this one is added in 38 digits.
const wideSign = "toDecimal128(_sign, 0)"

// measureName is the column of an expression, as it was called when sums were narrow: figures that are kept of months without
// rows stay where they are.
func measureName(expr string) string {
	return columnName("m", strings.ReplaceAll(expr, wideSign, "_sign"))
}

// Persons is the expression of the person behind a row of a side as far as the row is in the
// figure, null otherwise: a row that no aggregate of the version takes is nobody's, and so is
// one that only takes away, or adds as much as it takes away. Rows
// whose person is not told are one person together, so that a cell of a few of them is
// a cell of few. It is "" when the version declares none.
//
// Where rows take away others ([Uncounts]) these are all persons who could be in the figure.
func Persons(v *kpi.Version, side kpi.Side) string {
	if v.Persons == "" {
		return ""
	}
	r := rolesOf(v, side)
	return who(v, r.sure, r.maybe)
}

// Surely is [Persons] of those alone whom no other row can take away.
func Surely(v *kpi.Version, side kpi.Side) string { return who(v, rolesOf(v, side).sure) }

// Role says what a row of a side does for its person, as SQL: [CountsIn], [MayCount], [TakesAway] or 0.
func Role(v *kpi.Version, side kpi.Side) string {
	r := rolesOf(v, side)
	role := func(of conditions) string {
		switch {
		case of.all:
			return "true"
		case len(of.list) == 0:
			return "false"
		}
		return "(" + strings.Join(weakest(of.list), ") OR (") + ")"
	}
	return fmt.Sprintf("multiIf(%s, %d, %s, %d, %s, %d, 0)", role(r.sure), CountsIn, role(r.taken), TakesAway, role(r.maybe), MayCount)
}

// What a row does for its person: it puts it into the figure, it does unless another row takes it away, it
// takes a case away.
const (
	CountsIn  = 2
	MayCount  = 1
	TakesAway = -1
)

// Uncounts says whether the version takes cases away that other rows have added, as withdrawn
// requests from those that were made: then rows do not tell by themselves who is in the figure.
func Uncounts(v *kpi.Version) bool {
	return v.Persons != "" && slices.ContainsFunc(v.Sides(), func(side kpi.Side) bool { r := rolesOf(v, side); return r.taken.all || len(r.taken.list) > 0 })
}

// conditions are those of which one must hold.
type conditions struct {
	all  bool // it always does
	list []string
}

func (c *conditions) add(condition string) {
	if condition == "" {
		c.all = true
	} else if !slices.Contains(c.list, condition) {
		c.list = append(c.list, condition)
	}
}

// Anyone is the expression of the person of a row, whatever the row does.
func Anyone(v *kpi.Version) string { return who(v, conditions{all: true}) }

// roles are the rows of a side by what they do for their persons.
type roles struct{ sure, maybe, taken conditions }

// who is the person of the rows for which one of the conditions holds.
func who(v *kpi.Version, of ...conditions) string {
	person := "ifNull(" + name(v.Persons) + ", toUUID('00000000-0000-0000-0000-000000000000'))"
	var any conditions
	for _, c := range of {
		any.all, any.list = any.all || c.all, append(any.list, c.list...)
	}
	switch {
	case any.all:
		return "toNullable(" + person + ")"
	case len(any.list) == 0:
		return "if(false, " + person + ", NULL)"
	}
	return "if((" + strings.Join(weakest(any.list), ") OR (") + "), " + person + ", NULL)"
}

// rolesOf finds them. A row is in a sum for which its condition holds, be its amount nothing; it is in what is counted where
// its cases, those that it takes away deducted, are more than none. Sums that are taken away put nobody in and take nobody out:
// who got money back has paid.
func rolesOf(v *kpi.Version, side kpi.Side) roles {
	var r roles
	if v.Numerator == nil && v.Distribution == nil && v.Distinct == nil {
		r.sure.all = true // what waits
	}
	for _, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
		if f == nil {
			continue
		}
		sign := int64(1)
		if !slices.ContainsFunc(f.Terms, func(t kpi.Term) bool { return t.Coefficient > 0 }) {
			sign = -1 // all of it with a minus before it
		}
		taken := false
		for _, s := range v.Sides() {
			taken = taken || balanceOf(f, s, sign).takes()
		}
		in := &r.sure
		if taken {
			in = &r.maybe
		}
		n := balanceOf(f, side, sign)
		for _, condition := range n.adds {
			in.add(condition)
		}
		if n.takes() {
			r.taken.add("(" + n.sql + ") < 0")
		}
	}
	if v.Distribution != nil {
		r.sure.add(v.Distribution.If)
	}
	if v.Distinct != nil {
		r.sure.add(v.Distinct.If)
	}
	return r
}

// balance is what a formula counts of the rows of a side.
type balance struct {
	adds  []string // conditions under which a row is in it
	sql   string   // the cases of a row, where some are taken away
	least int64    // that a row can be
}

func (n balance) takes() bool { return n.least < 0 }

func balanceOf(f *kpi.Formula, side kpi.Side, sign int64) balance {
	var n balance
	var counted, cases []string
	negative := false
	for _, t := range f.Terms {
		coefficient := sign * t.Coefficient
		switch {
		case !side.Counts(t):
		case t.Func != kpi.CountRows:
			if coefficient > 0 {
				n.adds = append(n.adds, t.If)
			}
		default:
			if coefficient > 0 {
				counted = append(counted, t.If)
			} else {
				negative = true
			}
			if t.If == "" {
				cases, n.least = append(cases, fmt.Sprint(coefficient)), n.least+coefficient
			} else {
				cases, n.least = append(cases, fmt.Sprintf("if(%s, %d, 0)", t.If, coefficient)), n.least+min(coefficient, 0)
			}
		}
	}
	if !negative {
		n.adds = append(n.adds, counted...)
		return n
	}
	n.sql = strings.Join(cases, " + ")
	if slices.Contains(n.adds, "") {
		n.least = 0 // every row is in it
	} else if len(counted) > 0 {
		n.adds = append(n.adds, "("+n.sql+") > 0")
	}
	return n
}

// linear says whether a formula consists of sums and counts, which a rollup can keep.
func linear(f *kpi.Formula) bool { return f == nil || f.Retractable() }

// aggregates are the expressions over facts that a side of the version needs, without
// repeats: those of its formulae or its distribution, and of its persons.
func (w *Warehouse) aggregates(v *kpi.Version, side kpi.Side) []measure {
	var out []measure
	add := func(m measure) {
		if !slices.ContainsFunc(out, func(o measure) bool { return o.column == m.column }) {
			out = append(out, m)
		}
	}
	for _, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
		if f == nil {
			continue
		}
		for _, t := range f.Terms {
			if expr := Signed(t); side.Counts(t) && (t.Func != kpi.CountRows || t.If != "") {
				add(measure{column: measureName(expr), expr: expr, inputs: []string{t.Of, t.If}, about: expr, summed: true})
			}
		}
	}
	if d := v.Distribution; d != nil {
		expr := Buckets(d)
		add(measure{column: columnName("b", expr), kind: bucketsKind, expr: expr,
			inputs: []string{d.Of, d.If}, about: "logarithmic buckets of " + d.Of})
	}
	if p := Persons(v, side); p != "" {
		expr := w.personsState(p)
		add(measure{column: columnName("p", expr), kind: fmt.Sprintf("AggregateFunction(uniqUpTo(%d), Nullable(UInt32))", w.persons), expr: expr,
			inputs: []string{p}, about: "distinct persons, up to k"})
		if Uncounts(v) {
			p = Surely(v, side)
			expr = w.personsState(p)
			add(measure{column: columnName("p", expr), kind: fmt.Sprintf("AggregateFunction(uniqUpTo(%d), Nullable(UInt32))", w.persons), expr: expr,
				inputs: []string{p}, about: "distinct persons whom no row takes away, up to k"})
		}
	}
	return out
}

// Column is the rollup's column for a term of a formula; false when it keeps none.
func (r *Rollup) Column(t kpi.Term) (string, bool) {
	if t.Func == kpi.CountRows && t.If == "" {
		return "_n", true
	}
	if t.Func != kpi.CountRows && t.Func != kpi.Sum {
		return "", false
	}
	return r.offers(measureName(Signed(t)))
}

// BucketsColumn is the rollup's column for a distribution's buckets.
func (r *Rollup) BucketsColumn(d *kpi.Distribution) (string, bool) {
	return r.offers(columnName("b", Buckets(d)))
}

// personsState is the aggregate over facts that counts distinct persons up to k, rows of
// sign −1 aside. A state holds up to k of them, and k of 16 bytes were most of what a
// rollup took on disk: 32 bits of the pseudonym, which is a keyed hash, tell k persons
// apart as well. Once in 80 million cells of k+1 = 11 persons two look alike, and the
// cell then counts one person less than it has, never more.
func (w *Warehouse) personsState(person string) string {
	return fmt.Sprintf("uniqUpToState(%d)(if(_sign > 0, reinterpretAsUInt32(%s), NULL))", w.persons, person)
}

// PersonsColumn is the rollup's column for the distinct persons of a version, as a
// state of uniqUpTo([Warehouse.PersonsLimit]); rows of sign −1 are not in it.
func (w *Warehouse) PersonsColumn(r *Rollup, v *kpi.Version, side kpi.Side) (string, bool) {
	return r.offers(columnName("p", w.personsState(Persons(v, side))))
}

// SurelyColumn is that of the persons whom no other row can take away.
func (w *Warehouse) SurelyColumn(r *Rollup, v *kpi.Version, side kpi.Side) (string, bool) {
	return r.offers(columnName("p", w.personsState(Surely(v, side))))
}

// PersonsLimit is k: a count of persons from a rollup above it is only "more than k".
func (w *Warehouse) PersonsLimit() int { return w.persons }

func (r *Rollup) has(column string) (string, bool) {
	return column, slices.ContainsFunc(r.measures, func(m measure) bool { return m.column == column })
}

// offers is has of a column that is not set aside.
func (r *Rollup) offers(column string) (string, bool) {
	_, ok := r.has(column)
	return column, ok && r.asides.offered(r.Contract, column)
}

// settled says whether the engine has told the types of all measures.
func (r *Rollup) settled() bool {
	return !slices.ContainsFunc(r.measures, func(m measure) bool { return m.kind == "" })
}

// Rollups are those of a contract, in a fixed order. The first of each At has the
// single dimension "source".
func (w *Warehouse) Rollups(c *contract.Contract) []*Rollup { return w.declared[c.Table()] }

// Table is the rollup's table with its database, quoted.
func (w *Warehouse) Table(r *Rollup) string { return name(w.databases.rollups) + "." + name(r.Name) }

// derive lists the rollups that contracts and KPIs ask for: for each contract its
// rows by source and day; for each version that can be summed, its sets of dimensions
// and the implied set by source.
func (w *Warehouse) derive() error {
	w.declared = map[string][]*Rollup{}
	find := func(c *contract.Contract, at string, dims []string, hourly bool) *Rollup {
		dims = canonical(c, dims)
		id := strings.Join(append([]string{c.Table(), at}, dims...), "__")
		if hourly {
			id += "__hour"
		}
		for _, r := range w.declared[c.Table()] {
			if r.Name == id {
				return r
			}
		}
		r := &Rollup{Contract: c, At: at, Hourly: hourly, Dims: dims, Name: id, asides: &w.asides}
		w.declared[c.Table()] = append(w.declared[c.Table()], r)
		w.rollups = append(w.rollups, r)
		return r
	}
	for _, c := range w.contracts {
		find(c, "time", []string{contract.ColumnSource}, false)
	}
	var issues problem.Issues
	for _, k := range w.kpis {
		for i := range k.Versions {
			v := &k.Versions[i]
			if v.Basis != kpi.Events || v.Distinct != nil || v.Match != nil || !linear(v.Numerator) || !linear(v.Denominator) {
				continue
			}
			for _, side := range v.Sides() {
				c := w.Contract(side.From)
				if c == nil {
					issues.Add(k.File, v.Line, "from", "no contract is called %q", side.From)
					continue
				}
				needs := w.aggregates(v, side)
				for _, dims := range append([][]string{{contract.ColumnSource}}, v.Rollups...) {
					for _, d := range dims {
						if !Dimension(c, d) {
							issues.Add(k.File, v.Line, "rollups", "%q cannot be a dimension of %s; dimensions are %s", d, c.Type, strings.Join(Dimensions(c), ", "))
						}
					}
					r := find(c, cmpOr(side.At, "time"), dims, v.Grain == "hour")
					for _, m := range needs {
						if _, ok := r.has(m.column); !ok {
							r.measures = append(r.measures, m)
						}
					}
				}
			}
		}
	}
	for _, r := range w.rollups {
		sort.Slice(r.measures, func(a, b int) bool { return r.measures[a].column < r.measures[b].column })
	}
	return issues.Err()
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// canonical orders a set of dimensions, those of fewest values first.
func canonical(c *contract.Contract, dims []string) []string {
	size := func(d string) int {
		f := c.Field(d)
		switch {
		case f == nil, f.Type == contract.Boolean:
			return 0
		case f.Type == contract.Enum:
			return len(f.Values)
		case f.Type == contract.Ref:
			return 1000
		}
		return 2000
	}
	dims = slices.Clone(dims)
	slices.SortFunc(dims, func(a, b string) int {
		if d := size(a) - size(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(dims)
}

// Dimension says whether figures of a contract can be broken down by a field: the
// source, labels, references and truth values; and texts and whole numbers, which a
// pack may use as labels.
func Dimension(c *contract.Contract, field string) bool {
	if field == contract.ColumnSource {
		return true
	}
	f := c.Field(field)
	if f == nil || f.Class == contract.Personal {
		return false
	}
	switch f.Type {
	case contract.Code, contract.Enum, contract.Ref, contract.Boolean, contract.Text, contract.Integer:
		return true
	}
	return false
}

// Dimensions lists what [Dimension] allows.
func Dimensions(c *contract.Contract) []string {
	list := []string{contract.ColumnSource}
	for i := range c.Fields {
		if n := c.Fields[i].Name; Dimension(c, n) {
			list = append(list, n)
		}
	}
	return list
}

// DimensionOf is the expression over facts of a dimension's value as text; "" is a
// value that was not told.
func DimensionOf(c *contract.Contract, field string) string {
	f := c.Field(field)
	if f == nil || f.EmptyIsAbsent() {
		return name(field)
	}
	if f.Required {
		return "toString(" + name(field) + ")"
	}
	return "ifNull(toString(" + name(field) + "), '')"
}

// DayOf is the expression over facts of the civil day of a time field in the pack's
// zone; "" when the field is not a time of the contract.
func (w *Warehouse) DayOf(c *contract.Contract, at string) string {
	if at == "time" || at == "" {
		return "_day"
	}
	f := c.Field(at)
	switch {
	case f == nil:
		return ""
	case f.Type == contract.Timestamp && f.Required:
		return "toDate(" + w.local(at) + ")"
	case f.Type == contract.Timestamp:
		return "toDate(assumeNotNull(" + w.local(at) + "))"
	case f.Type == contract.Date && f.Required:
		return "toDate(" + name(at) + ")"
	case f.Type == contract.Date:
		return "toDate(assumeNotNull(" + name(at) + "))"
	}
	return ""
}

// HourOf is the hour, 0 to 23, of a time field in the pack's zone.
func (w *Warehouse) HourOf(c *contract.Contract, at string) string {
	if f := c.Field(at); at != "time" && f != nil && !f.Required {
		return "toHour(assumeNotNull(" + w.local(at) + "))"
	}
	return "toHour(" + w.local(at) + ")"
}

func (w *Warehouse) local(at string) string {
	return "toTimeZone(" + name(at) + ", " + literal(w.zone.String()) + ")"
}

// Dated is the condition that a row has a value in the field that dates it; "" when
// it always has.
func Dated(c *contract.Contract, at string) string {
	if f := c.Field(at); f != nil && !f.Required {
		return "isNotNull(" + name(at) + ")"
	}
	return ""
}

// From is what a statement over facts reads: the table under a condition, with the
// times that the expressions mention in the pack's zone, so that toHour(time) is
// the hour on the clock of the country.
func (w *Warehouse) From(c *contract.Contract, where string, expressions ...string) string {
	return w.reading(w.Facts(c), c, where, expressions...)
}

// reading is From of another table with the contract's columns.
func (w *Warehouse) reading(table string, c *contract.Contract, where string, expressions ...string) string {
	var replace []string
	mentioned := map[string]bool{}
	for _, e := range expressions {
		for _, id := range identifiers(e) {
			mentioned[id] = true
		}
	}
	if w.zone.String() != "UTC" {
		if mentioned["time"] {
			replace = append(replace, w.local("time")+" AS time")
		}
		for i := range c.Fields {
			if f := &c.Fields[i]; f.Type == contract.Timestamp && mentioned[f.Name] {
				replace = append(replace, w.local(f.Name)+" AS "+name(f.Name))
			}
		}
	}
	if len(replace) == 0 {
		if where == "" {
			return table
		}
		return table + "\nWHERE " + where
	}
	if where != "" {
		where = " WHERE " + where
	}
	return "(SELECT * REPLACE (" + strings.Join(replace, ", ") + ") FROM " + table + where + ")"
}

func (r *Rollup) key() []string {
	key := append(slices.Clone(r.Dims), "_day")
	if r.Hourly {
		key = append(key, "_hour")
	}
	return append(key, "_cut")
}

// columns are those of the rollup's table: its key, what every rollup has, its measures.
func (r *Rollup) columns() []column {
	var columns []column
	for _, d := range r.Dims {
		columns = append(columns, column{d, "LowCardinality(String)", codecPlain, ""})
	}
	columns = append(columns, column{"_day", "Date", codecPlain, "day of " + r.At + " in the pack's time zone"})
	if r.Hourly {
		columns = append(columns, column{"_hour", "UInt8", codecPlain, "hour of " + r.At + " in the pack's time zone"})
	}
	columns = append(columns,
		column{"_cut", "Date", codecPlain, "day on which the journal received the rows"},
		column{"_n", "Int64", codecNumber, "rows, corrections settled"},
		column{"_retracted", "Int64", codecNumber, "rows of sign -1"},
		column{"_simulated", "Int64", codecNumber, "rows made by simulation, corrections settled"},
		column{"_last", "SimpleAggregateFunction(max, DateTime64(3, 'UTC'))", codecNumber, "time of the latest event"},
		column{"_through", "SimpleAggregateFunction(max, UInt64)", codecNumber, "highest batch in the row"},
		column{"_loaded", "SimpleAggregateFunction(max, DateTime)", codecNumber, "when it was last written"})
	for _, m := range r.measures {
		columns = append(columns, column{m.column, m.kind, codecPlain, m.about})
	}
	return columns
}

// create makes the rollup's table under a name. Its comment ends with its definition
// ([Warehouse.definition]).
func (w *Warehouse) create(r *Rollup, table, definition string) string {
	// A merge keeps the first value of every column that is not listed here, also of
	// aggregate functions: _through and the buckets must be listed with the sums.
	var lines, merged []string
	for _, c := range r.columns() {
		lines = append(lines, "    "+c.definition())
		if !slices.Contains(r.key(), c.name) {
			merged = append(merged, c.name)
		}
	}
	// By month first: a question about some months reads no others.
	return fmt.Sprintf("CREATE TABLE %s.%s\n(\n%s\n)\nENGINE = SummingMergeTree((%s))\nPARTITION BY toYYYYMM(_cut)\nORDER BY (toStartOfMonth(_day), %s)\n"+
		"SETTINGS fsync_after_insert = 1, fsync_part_directory = 1\nCOMMENT %s",
		name(w.databases.rollups), name(table), strings.Join(lines, ",\n"), names(merged), names(r.key()),
		literal(fmt.Sprintf("%s by %s of %s and %s; %s", r.Contract.Type, map[bool]string{false: "day", true: "hour"}[r.Hourly],
			r.At, strings.Join(r.Dims, ", "), definition)))
}

// fill computes rows of the rollup from the facts that a condition takes.
func (w *Warehouse) fill(r *Rollup, where string) string {
	c := r.Contract
	day := w.DayOf(c, r.At)
	if dated := Dated(c, r.At); dated != "" {
		where += " AND " + dated
	}
	var group, columns, expressions, inputs []string
	for _, d := range r.Dims {
		columns = append(columns, d)
		group = append(group, DimensionOf(c, d))
	}
	columns, group = append(columns, "_day"), append(group, day)
	if r.Hourly {
		columns, group = append(columns, "_hour"), append(group, w.HourOf(c, r.At))
	}
	columns, group = append(columns, "_cut"), append(group, "_cut")
	expressions = append(expressions, group...)
	columns = append(columns, "_n", "_retracted", "_simulated", "_last", "_through", "_loaded")
	expressions = append(expressions, "sum(toInt64(_sign))", "countIf(_sign < 0)", "sumIf(toInt64(_sign), _simulated)",
		"max(time)", "max(_batch)", "now()")
	for _, m := range r.measures {
		if !r.asides.filled(c, m.column) {
			continue // it has its type's default: zero, or nothing
		}
		columns = append(columns, m.column)
		expr := m.expr
		if m.summed {
			expr = "ifNull(" + expr + ", 0)"
		}
		expressions = append(expressions, expr)
		inputs = append(inputs, m.inputs...)
	}
	return fmt.Sprintf("(%s)\nSELECT %s\nFROM %s\nGROUP BY %s", names(columns), strings.Join(expressions, ",\n    "), w.From(c, where, inputs...), strings.Join(group, ", "))
}

// hash is of everything that decides what stands in the rollup.
func (w *Warehouse) hash(r *Rollup) string {
	whole := *r
	whole.asides = nil
	sum := sha256.Sum256([]byte(w.create(r, r.Name, "definition ") + w.fill(&whole, "1")))
	return hex.EncodeToString(sum[:8])
}

// wholeBlock makes an INSERT … SELECT write one part, or nothing. Its rows are not merged
// on the way, since a GROUP BY leaves one of each key and facts have nothing to merge.
var wholeBlock = settings{
	"optimize_on_insert": 0,
	// Compiling the expressions of all rollups takes the engine some tenths of a second after
	// each start, and saves 5 % of them then.
	"compile_expressions": 0, "compile_aggregate_expressions": 0,
	"max_insert_threads": 1, "min_insert_block_size_rows": 1 << 28, "min_insert_block_size_bytes": 4 << 30,
	"max_partitions_per_insert_block": 1, "async_insert": 0, "max_execution_time": 0,
}

func monthOf(cut reference.Day) uint32 {
	t := cut.Time()
	return uint32(t.Year()*100 + int(t.Month()))
}

// ApplyRollups brings the rollups of a contract, in the month of cut, up to and
// including batch. What is applied already is asked of each table, so applying a batch
// again, or after a crash at any point, changes nothing that was there and adds what was
// not. All rows of a batch must have been inserted before. A measure that has no value for
// one of them is set aside ([Warehouse.Aside]). For one caller at a time.
func (w *Warehouse) ApplyRollups(ctx context.Context, c *contract.Contract, cut reference.Day, batch uint64) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	month := monthOf(cut)
	return w.orAside(ctx, c, fmt.Sprintf("toYYYYMM(_cut) = %d AND _batch <= %d", month, batch), func() error {
		return w.applyRollups(ctx, c, month, batch)
	})
}

func (w *Warehouse) applyRollups(ctx context.Context, c *contract.Contract, month uint32, batch uint64) error {
	rollups := w.Rollups(c)
	through, err := w.through(ctx, rollups, month)
	if err != nil {
		return err
	}
	// Two at a time: one waits for the disk while the other sums.
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	set, unless := w.own(wholeBlock)
	for _, family := range families(rollups) {
		family = slices.DeleteFunc(family, func(r *Rollup) bool { return through[r.Name] >= batch })
		where := func(r *Rollup) string {
			return fmt.Sprintf("toYYYYMM(_cut) = %d AND _batch > %d AND _batch <= %d AND %s", month, through[r.Name], batch, unless)
		}
		// After a crash those of one family may be at different batches; and who has not called
		// Migrate does not know the types of what would be gathered.
		if len(family) > 1 && !slices.ContainsFunc(family, func(r *Rollup) bool { return through[r.Name] != through[family[0].Name] || !r.settled() }) {
			group.Go(func() error { return w.applyFamily(ctx, family, where(family[0])) })
			continue
		}
		for _, r := range family {
			group.Go(func() error {
				return w.exec(ctx, "warehouse: apply "+r.Name, set, "INSERT INTO "+w.Table(r)+" "+w.fill(r, where(r)))
			})
		}
	}
	return group.Wait()
}

// CatchUp applies to all rollups what a crash between facts and rollups kept from them.
// It is idempotent; for one caller at a time, as ApplyRollups.
func (w *Warehouse) CatchUp(ctx context.Context) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	return w.catchUp(ctx)
}

// through is the highest batch in each rollup in a month of receipt.
func (w *Warehouse) through(ctx context.Context, rollups []*Rollup, month uint32) (map[string]uint64, error) {
	var parts []string
	for _, r := range rollups {
		parts = append(parts, fmt.Sprintf("SELECT %s AS name, max(_through) AS batch FROM %s WHERE toYYYYMM(_cut) = %d", literal(r.Name), w.Table(r), month))
	}
	done := map[string]uint64{}
	err := w.each(ctx, "warehouse: what is applied", strings.Join(parts, "\nUNION ALL\n"), nil, func(scan Scan) error {
		var name string
		var batch uint64
		if err := scan(&name, &batch); err != nil {
			return err
		}
		done[name] = batch
		return nil
	})
	return done, err
}

// Refill computes the contract's rollups of the month of cut anew from the facts
// and puts each in place in one step: the repair for any doubt; Conflict where these are not kept. Batches after it must
// be applied after it. Of a loader whose epoch is over it is a Conflict.
func (w *Warehouse) Refill(ctx context.Context, c *contract.Contract, cut reference.Day) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	month := monthOf(cut)
	if gone, err := w.isRetired(ctx, c, month); err != nil || gone {
		if err == nil {
			err = errRetired(c, month)
		}
		return err
	}
	for _, r := range w.Rollups(c) {
		twin := w.twin(r.Name)
		set, _ := w.own(wholeBlock)
		run := func(statements ...string) error {
			for _, statement := range statements {
				if err := w.exec(ctx, "warehouse: refill "+r.Name, set, statement); err != nil {
					return err
				}
			}
			return nil
		}
		if err := run("DROP TABLE IF EXISTS "+twin, "CREATE TABLE "+twin+" AS "+w.Table(r),
			"INSERT INTO "+twin+" "+w.fill(r, fmt.Sprintf("toYYYYMM(_cut) = %d", month))); err != nil {
			return err
		}
		// Who takes over after this drops the twin: then it is not put in place.
		if err := w.stillReigns(ctx); err != nil {
			return err
		}
		if err := run(fmt.Sprintf("ALTER TABLE %s REPLACE PARTITION %d FROM %s", w.Table(r), month, twin), "DROP TABLE "+twin); err != nil {
			return err
		}
	}
	return nil
}

// Difference is a rollup that does not add up to its facts.
type Difference struct {
	Rollup         string
	Month          uint32 // yyyymm of _cut
	Rollups, Facts int64  // Σ of signs
}

// Verify holds the sum of every rollup, by month of receipt, against its facts, where
// these are kept.
// Nothing found is an empty list.
func (w *Warehouse) Verify(ctx context.Context) ([]Difference, error) {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	retired, err := w.Retired(ctx)
	if err != nil {
		return nil, err
	}
	var found []Difference
	for _, r := range w.rollups {
		where := "1"
		if dated := Dated(r.Contract, r.At); dated != "" {
			where = dated
		}
		statement := fmt.Sprintf("SELECT month, sum(rollup), sum(fact) FROM (\nSELECT toYYYYMM(_cut) AS month, sum(_n) AS rollup, toInt64(0) AS fact FROM %s GROUP BY month\n"+
			"UNION ALL\nSELECT toYYYYMM(_cut) AS month, toInt64(0) AS rollup, sum(toInt64(_sign)) AS fact FROM %s WHERE %s GROUP BY month\n) GROUP BY month HAVING sum(rollup) != sum(fact) ORDER BY month",
			w.Table(r), w.Facts(r.Contract), where)
		err := w.each(ctx, "warehouse: verify", statement, nil, func(scan Scan) error {
			d := Difference{Rollup: r.Name}
			if err := scan(&d.Month, &d.Rollups, &d.Facts); err != nil {
				return err
			}
			if !slices.ContainsFunc(retired, func(m Retired) bool { return m.contract == r.Contract && m.month == d.Month }) {
				found = append(found, d)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// Freshness says how far the data of a contract reach.
type Freshness struct {
	Through time.Time // time of the latest event; zero when there is none
	Loaded  time.Time // when its rollups were last written; zero when never
	Batch   uint64    // highest batch applied: figures can only change when it does
}

// Freshness reads the contract's rollup by source.
func (w *Warehouse) Freshness(ctx context.Context, c *contract.Contract) (Freshness, error) {
	var f Freshness
	var n uint64
	err := w.each(ctx, "warehouse: freshness", "SELECT count(), max(_last), max(_loaded), max(_through) FROM "+w.Table(w.Rollups(c)[0]), nil, func(scan Scan) error {
		return scan(&n, &f.Through, &f.Loaded, &f.Batch)
	})
	if n == 0 {
		f = Freshness{}
	}
	return f, err
}

// Sender is what one source has sent, over all contracts.
type Sender struct {
	Source   string
	Rows     int64     // corrections settled
	Last     time.Time // time of its newest event; what closes a period is none: zero when nothing else came
	Received time.Time // when its newest rows came in: when they were loaded, at most the end of the day on which the journal received them
}

// Senders reads the contracts' rollups by source, in one statement; by name.
func (w *Warehouse) Senders(ctx context.Context) ([]Sender, error) {
	var parts []string
	for _, c := range w.contracts {
		last := "_last"
		if c.Name == contract.PeriodClosed {
			last = "NULL" // what is said about events is none of them
		}
		parts = append(parts, fmt.Sprintf("SELECT %s AS source, _n AS n, "+last+" AS last, least(toInt64(toUnixTimestamp(_loaded)), toInt64(toUnixTimestamp(toDateTime(_cut + 1, %s))) - 1) AS received FROM %s",
			contract.ColumnSource, literal(w.zone.String()), w.Table(w.Rollups(c)[0])))
	}
	if len(parts) == 0 {
		return nil, nil
	}
	var list []Sender
	err := w.each(ctx, "warehouse: senders", "SELECT source, sum(n), max(last), max(received) FROM (\n"+strings.Join(parts, "\nUNION ALL\n")+"\n) GROUP BY source ORDER BY source", nil, func(scan Scan) error {
		var s Sender
		var received int64
		var last *time.Time
		err := scan(&s.Source, &s.Rows, &last, &received)
		if last != nil {
			s.Last = *last
		}
		s.Received = time.Unix(received, 0)
		list = append(list, s)
		return err
	})
	return list, err
}

// dayOfMonth is the first day of a month given as yyyymm.
func dayOfMonth(month uint32) reference.Day {
	return reference.DayOf(time.Date(int(month/100), time.Month(month%100), 1, 0, 0, 0, 0, time.UTC))
}
