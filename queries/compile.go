package queries

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// statement is SQL with its bound values, and what its columns are.
type statement struct {
	sql     string
	params  map[string]string
	columns []columnOf
	table   string
	why     string
	exact   bool                   // persons are not in it: they are counted from facts
	settled bool                   // persons are in it, and exact
	facts   bool                   // it reads facts, which may not be kept any longer
	ready   map[reference.Day]bool // but not for the periods that begin on these days
	lacks   []warehouse.Gone       // days of which a rollup that it reads does not hold everything

	parts []part // and from: what joint needs; none when it reads several tables
	from  string
	of    []int // of a joint statement: the place of the statement that a column belongs to
}

// columnOf says what a column of a statement's result is, so that a row can be read.
type columnOf uint8

const (
	colPeriod      columnOf = iota // Date: first day of the period
	colHour                        // UInt8
	colSpan                        // UInt16: place in question.spans, from 1
	colFrom                        // Date: first day of a window
	colTo                          // Date: last day of a window
	colBy                          // String
	colNumerator                   // Nullable(String): exact decimal
	colDenominator                 // Nullable(String)
	colBuckets                     // Map(Int32, Int64)
	colN                           // Int64: rows, corrections settled
	colRetracted                   // Int64: rows of sign −1
	colSimulated                   // Int64
	colPersons                     // UInt64
	colSure                        // UInt64: those of them whom no other row takes away
	colCovered                     // Int64
	colExpected                    // Int64
	colStates                      // String: distinct states told by senders, by comma
)

// part is one column of a SELECT: what it is called, its expression over one contract's
// table, and how the contracts' results are put together.
type part struct {
	is    columnOf
	name  string
	inner string
	join  string // aggregate over the contracts' rows; "" groups by it
}

func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }

// array writes values as ClickHouse reads the text of an Array(String) parameter.
func array(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'", "\n", "\\n", "\t", "\\t", "\x00", "\\0").Replace(v) + "'"
	}
	return "[" + strings.Join(quoted, ",") + "]"
}

// linearSQL is a formula as SQL, each aggregate through column.
func linearSQL(f *kpi.Formula, column func(kpi.Term) string) string {
	var b strings.Builder
	for i, t := range f.Terms {
		coefficient := t.Coefficient
		switch {
		case i > 0 && coefficient < 0:
			b.WriteString(" - ")
			coefficient = -coefficient
		case i > 0:
			b.WriteString(" + ")
		}
		if coefficient != 1 {
			fmt.Fprintf(&b, "%d * ", coefficient)
		}
		b.WriteString(column(t))
	}
	return b.String()
}

// periodSQL is the first day of the grain's period around a day.
func (q *Queries) periodSQL(g Grain, day string) string {
	switch g {
	case Week:
		return "toMonday(" + day + ")"
	case Month:
		return "toStartOfMonth(" + day + ")"
	case Quarter:
		return "toStartOfQuarter(" + day + ")"
	case Year:
		return "toStartOfYear(" + day + ")"
	case Fiscal:
		if shift := int(q.calendar.FiscalMonth) - 1; shift > 0 {
			return fmt.Sprintf("addMonths(toStartOfYear(addMonths(%s, -%d)), %d)", day, shift, shift)
		}
		return "toStartOfYear(" + day + ")"
	case School:
		return q.calendar.schoolSQL(day)
	}
	return day
}

// runningSQL gives a row once for each of the grain's periods that has not ended before its day.
func (q *Queries) runningSQL(qn *question, day string) string {
	var first, last []string
	for _, p := range q.calendar.periods(qn.grain, qn.from, qn.to, q.maxCells) {
		first, last = append(first, q.calendar.start(qn.grain, p.from).String()), append(last, p.to.String()) // named as periodSQL does, though cut
	}
	dates := func(list []string) string { return "CAST(" + array(list) + ", 'Array(Date)')" }
	return "arrayJoin(arrayFilter((First, Last) -> " + day + " <= Last, " + dates(first) + ", " + dates(last) + "))"
}

// bind collects the values of a statement.
type bind map[string]string

func (b bind) day(name string, d reference.Day) string {
	b[name] = d.String()
	return "{" + name + ":Date}"
}

// conditions are the parts of WHERE that every table shares.
func (qn *question) conditions(params bind, day string, dimension func(string) string) []string {
	var list []string
	if from := qn.first(); from != reference.NoDay {
		list = append(list, day+" >= "+params.day("from", from))
	}
	if qn.to != reference.NoDay {
		list = append(list, day+" <= "+params.day("to", qn.to))
	}
	if qn.matured != reference.NoDay && (qn.to == reference.NoDay || qn.matured < qn.to) {
		list = append(list, day+" <= "+params.day("matured", qn.matured))
	}
	if qn.spans != nil { // for spanSQL
		first, last := make([]string, len(qn.spans)), make([]string, len(qn.spans))
		for i, p := range qn.spans {
			first[i], last[i] = p.from.String(), p.to.String()
			if qn.version.Running {
				first[i] = "1970-01-01"
			}
		}
		params["span_from"], params["span_to"] = array(first), array(last)
	}
	list = append(list, qn.filters(params, dimension)...)
	return append(list, qn.known(params)...)
}

// spanSQL gives a row once for each of the question's spans in which its day lies, and
// is the place of that span.
func spanSQL(day string) string {
	return "arrayJoin(arrayFilter((i, First, Last) -> " + day + " BETWEEN First AND Last, CAST(arrayEnumerate({span_from:Array(String)}), 'Array(UInt16)'), " +
		"CAST({span_from:Array(String)}, 'Array(Date)'), CAST({span_to:Array(String)}, 'Array(Date)')))"
}

func (qn *question) filters(params bind, dimension func(string) string) []string {
	var list []string
	for i, f := range qn.where {
		name := fmt.Sprintf("where%d", i+1)
		params[name] = array(f.values)
		list = append(list, dimension(f.dimension)+" IN {"+name+":Array(String)}")
	}
	return list
}

func (qn *question) known(params bind) []string {
	if qn.knownOn == reference.NoDay {
		return nil
	}
	return []string{"_cut <= " + params.day("known_on", qn.knownOn)}
}

func and(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return strings.Join(conditions, " AND ")
}

func whereSQL(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return "\nWHERE " + and(conditions)
}

// events compiles a question on events: for each contract over its smallest rollup that
// has everything, or over its facts.
func (q *Queries) events(ctx context.Context, qn *question) (*statement, error) {
	if s, err := q.counted(ctx, qn); s != nil || err != nil {
		return s, err
	}
	s := &statement{params: bind{}}
	var parts []part
	var selects []string
	for i, side := range qn.sides {
		r, rows, lacks, err := q.fitting(ctx, qn, side)
		if err != nil {
			return nil, err
		}
		s.lacks = append(s.lacks, lacks...)
		var from string
		if r != nil {
			parts = q.overRollup(qn, i, r)
			s.table, s.why = q.warehouse.Table(r), fmt.Sprintf("the smallest rollup by %s that holds the measures: %d rows", strings.Join(r.Dims, ", "), rows)
			kept, err := q.keptMonths(ctx, qn, side, r)
			if err != nil {
				return nil, err
			}
			from = q.rowsOfRollup(qn, i, r, kept, s.params)
			if len(kept) > 0 {
				s.why += fmt.Sprintf("; %d months of it are kept added up", len(kept))
			}
		} else {
			parts, from = q.overFacts(qn, i, s.params)
			s.settled = countsPersons(qn.version) && len(qn.sides) == 1
			s.exact = qn.version.Persons != "" && !s.settled
			s.table, s.why, s.facts = q.warehouse.Facts(side.contract), q.whyFacts(qn), true
		}
		selects = append(selects, selectSQL(parts, from))
		s.parts, s.from = parts, from
	}
	if len(selects) == 1 {
		s.sql = selects[0]
	} else {
		s.parts = nil
		if s.exact { // one side counts persons from facts: then both do
			parts = slices.DeleteFunc(parts, func(p part) bool { return p.is == colPersons || p.is == colSure })
		}
		var columns, group []string
		for _, p := range parts {
			if p.join == "" {
				columns, group = append(columns, p.name), append(group, p.name)
				continue
			}
			expr := p.join + "(" + p.name + ")"
			if p.is == colNumerator || p.is == colDenominator {
				expr = "toString(" + expr + ")"
			}
			columns = append(columns, expr+" AS Total"+p.name)
		}
		s.sql = "SELECT " + strings.Join(columns, ", ") + "\nFROM (\n" + strings.Join(selects, "\nUNION ALL\n") + "\n)" + groupSQL(group)
	}
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
	}
	s.sql += orderSQL(parts) + fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s, nil
}

func groupSQL(group []string) string {
	if len(group) == 0 {
		return ""
	}
	return "\nGROUP BY " + strings.Join(group, ", ")
}

func orderSQL(parts []part) string {
	var order []string
	for _, p := range parts {
		if p.join == "" {
			order = append(order, p.name)
		}
	}
	if len(order) == 0 {
		return ""
	}
	return "\nORDER BY " + strings.Join(order, ", ")
}

func (q *Queries) whyFacts(qn *question) string {
	v := qn.version
	switch {
	case v.Distinct != nil:
		return "exact distinct counts are made from facts"
	case v.Match != nil:
		return "rows are matched with those of another contract"
	case !retractable(v):
		return "minimum and maximum are read from facts"
	}
	return "no rollup has the dimensions " + strings.Join(qn.needed(), ", ")
}

// retractable says whether sums of signs answer the version; a least or greatest value
// needs the rows that stand.
func retractable(v *kpi.Version) bool {
	return (v.Numerator == nil || v.Numerator.Retractable()) && (v.Denominator == nil || v.Denominator.Retractable())
}

// needed are the dimensions that a table must have.
func (qn *question) needed() []string {
	list := slices.Clone(qn.by)
	for _, f := range qn.where {
		if !slices.Contains(list, f.dimension) {
			list = append(list, f.dimension)
		}
	}
	return list
}

// fitting is the smallest rollup of a side that has the dimensions, the grain and
// every measure, with its number of rows; nil when there is none. It is one that holds all days
// of the question, if one does; lacks are those that it does not.
func (q *Queries) fitting(ctx context.Context, qn *question, side side) (best *warehouse.Rollup, least uint64, lacks []warehouse.Gone, err error) {
	v := qn.version
	if v.Distinct != nil || v.Match != nil {
		return nil, 0, nil, nil
	}
	for _, r := range q.warehouse.Rollups(side.contract) {
		columns, ok := q.holds(r, qn, side)
		if r.At != side.At || qn.grain == Hour && !r.Hourly || !ok {
			continue
		}
		rows, err := q.warehouse.Rows(ctx, q.warehouse.Table(r))
		if err != nil {
			return nil, 0, nil, err
		}
		gone, err := q.warehouse.Lacks(ctx, r, columns)
		if err != nil {
			return nil, 0, nil, err
		}
		gone = slices.DeleteFunc(gone, func(g warehouse.Gone) bool {
			return qn.first() != reference.NoDay && g.Last < qn.first() || qn.to != reference.NoDay && g.First > qn.to
		})
		whole, before := len(gone) == 0, len(lacks) == 0
		if best == nil || whole && !before || whole == before && (rows < least || rows == least && len(r.Dims) < len(best.Dims)) {
			best, least, lacks = r, rows, gone
		}
	}
	return best, least, lacks, nil
}

// holds lists the columns of a rollup that answer a side of the question; false when it lacks one.
func (q *Queries) holds(r *warehouse.Rollup, qn *question, side side) (columns []string, ok bool) {
	v := qn.version
	for _, d := range qn.needed() {
		if !slices.Contains(r.Dims, d) {
			return nil, false
		}
	}
	columns, ok = append(slices.Clone(qn.needed()), "_n"), true
	needs := func(column string, has bool) {
		columns, ok = append(columns, column), ok && has
	}
	for _, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
		if f == nil {
			continue
		}
		for _, t := range side.of(f).Terms {
			needs(r.Column(t))
		}
	}
	if v.Distribution != nil {
		needs(r.BucketsColumn(v.Distribution))
	}
	if v.Persons != "" {
		needs(q.warehouse.PersonsColumn(r, v, side.Side))
		if warehouse.Uncounts(v) {
			needs(q.warehouse.SurelyColumn(r, v, side.Side))
		}
	}
	return columns, ok
}

// grouping are the columns that an answer is grouped by.
func (q *Queries) grouping(qn *question, day, hour string, dimension func(string) string) []part {
	var parts []part
	if qn.spans != nil {
		parts = append(parts, part{colSpan, "Span", spanSQL(day), ""})
	}
	if qn.grain != Whole {
		period := q.periodSQL(qn.grain, day)
		if qn.version.Running {
			period = q.runningSQL(qn, day)
		}
		parts = append(parts, part{colPeriod, "Period", period, ""})
	}
	if qn.grain == Hour {
		parts = append(parts, part{colHour, "Hour", hour, ""})
	}
	for i, d := range qn.by {
		parts = append(parts, part{colBy, fmt.Sprintf("By%d", i+1), "toString(" + dimension(d) + ")", ""})
	}
	return parts
}

// overRollup is what to read of the rows of a rollup of the question's side i.
func (q *Queries) overRollup(qn *question, i int, r *warehouse.Rollup) []part {
	v := qn.version
	parts := q.grouping(qn, "_day", "_hour", quote)
	column := func(t kpi.Term) string {
		name, _ := r.Column(t) // holds made sure
		return "sum(" + name + ")"
	}
	parts = append(parts, formulaParts(v, qn.sides, i, func(f *kpi.Formula) string { return linearSQL(f, column) })...)
	if v.Distribution != nil {
		name, _ := r.BucketsColumn(v.Distribution)
		parts = append(parts, part{colBuckets, "Buckets", "sumMap(" + name + ")", "sumMap"})
	}
	parts = append(parts,
		part{colN, "Cases", "sum(_n)", "sum"},
		part{colRetracted, "Retracted", "sum(_retracted)", "sum"},
		part{colSimulated, "Simulated", "sum(_simulated)", "sum"})
	if v.Persons != "" {
		name, _ := q.warehouse.PersonsColumn(r, v, qn.sides[i].Side)
		merge, k := "uniqUpToMerge", q.warehouse.PersonsLimit()
		if len(qn.sides) > 1 {
			merge = "uniqUpToMergeState"
		}
		add := func(is columnOf, as, name string) {
			parts = append(parts, part{is, as, fmt.Sprintf("%s(%d)(%s)", merge, k, name), fmt.Sprintf("uniqUpToMerge(%d)", k)})
		}
		add(colPersons, "Persons", name)
		if warehouse.Uncounts(v) {
			name, _ := q.warehouse.SurelyColumn(r, v, qn.sides[i].Side)
			add(colSure, "Sure", name)
		}
	}
	return parts
}

// formulaParts are the numerator and the denominator on one of the sides. The texts that
// leave the engine are exact decimals.
func formulaParts(v *kpi.Version, sides []side, i int, sql func(*kpi.Formula) string) []part {
	var parts []part
	add := func(is columnOf, name string, f *kpi.Formula) {
		if f == nil {
			return
		}
		join := "sum"
		if len(f.Terms) == 1 && (f.Terms[0].Func == kpi.Min || f.Terms[0].Func == kpi.Max) {
			join = f.Terms[0].Func.String()
		}
		expr := "toInt64(0)"
		if here := sides[i].of(f); len(here.Terms) > 0 {
			expr = sql(here)
		}
		if len(sides) == 1 {
			expr = "toString(" + expr + ")"
		}
		parts = append(parts, part{is, name, expr, join})
	}
	add(colNumerator, "Numerator", v.Numerator)
	add(colDenominator, "Denominator", v.Denominator)
	return parts
}

func selectSQL(parts []part, from string) string {
	var columns, group []string
	for _, p := range parts {
		columns = append(columns, p.inner+" AS "+p.name)
		if p.join == "" {
			group = append(group, p.name)
		}
	}
	return "SELECT " + strings.Join(columns, ",\n    ") + "\nFROM " + from + groupSQL(group)
}

// live is the condition that a row of facts stands: it was not taken back by what is
// known on the day asked for.
func (q *Queries) live(c *contract.Contract, qn *question, params bind) string {
	conditions := append([]string{"_sign < 0"}, qn.known(params)...)
	return "_sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM " + q.warehouse.Facts(c) + " WHERE " + and(conditions) + ")"
}

// overFacts is what to read of the facts of the question's side i, and where; under more
// conditions if given.
func (q *Queries) overFacts(qn *question, i int, params bind, more ...string) ([]part, string) {
	v, c, at := qn.version, qn.sides[i].contract, qn.sides[i].At
	joined := len(qn.sides) > 1
	dimension := func(d string) string { return warehouse.DimensionOf(c, d) }
	day, hour := q.warehouse.DayOf(c, at), q.warehouse.HourOf(c, at)
	conditions := append(qn.conditions(params, day, dimension), more...)
	if dated := warehouse.Dated(c, at); dated != "" {
		conditions = append([]string{dated}, conditions...)
	}
	expressions := v.ExpressionsOf(qn.sides[i].Side)
	counts := []part{
		{colN, "Cases", "sum(toInt64(_sign))", "sum"},
		{colRetracted, "Retracted", "toInt64(countIf(_sign < 0))", "sum"},
		{colSimulated, "Simulated", "sumIf(toInt64(_sign), _simulated)", "sum"},
	}
	if v.Distinct != nil {
		// A value counts while its signs add up to more than nothing.
		inner := q.grouping(qn, day, hour, dimension)
		value, counted := quote(v.Distinct.Of), ""
		conditions = append(conditions, present(c, v.Distinct.Of))
		if v.Distinct.If != "" { // a NULL is no value
			value, counted = "if("+v.Distinct.If+", "+value+", NULL)", " AND isNotNull(Value)"
		}
		inner = append(inner, part{colBy, "Value", value, ""}, counts[0], counts[1], counts[2])
		parts := append(q.grouping(qn, day, hour, dimension),
			part{colNumerator, "Numerator", "toString(count())", "sum"})
		for i := range parts {
			if parts[i].join == "" {
				parts[i].inner = parts[i].name
			}
		}
		if joined {
			parts[len(parts)-1].inner = "toInt64(count())"
		}
		parts = append(parts, part{colN, "Cases", "sum(Cases)", "sum"}, part{colRetracted, "Retracted", "sum(Retracted)", "sum"}, part{colSimulated, "Simulated", "sum(Simulated)", "sum"})
		if countsPersons(v) && !joined {
			parts = append(parts, part{colPersons, "Persons", "count()", "sum"})
		}
		for i := range parts { // the outer names must not hide the inner columns
			if is := parts[i].is; is == colN || is == colRetracted || is == colSimulated {
				parts[i].inner = strings.Replace(parts[i].inner, "(", "(counted.", 1)
			}
		}
		return parts, "(\n" + selectSQL(inner, q.rows(qn, c, params, conditions, expressions)) + "\nHAVING Cases > 0" + counted + "\n) AS counted"
	}
	parts := q.grouping(qn, day, hour, dimension)
	if !retractable(v) {
		conditions = append(conditions, q.live(c, qn, params))
	}
	parts = append(parts, formulaParts(v, qn.sides, i, func(f *kpi.Formula) string { return linearSQL(f, onFacts) })...)
	if v.Distribution != nil {
		parts = append(parts, part{colBuckets, "Buckets", warehouse.Buckets(v.Distribution), "sumMap"})
	}
	return append(parts, counts...), q.rows(qn, c, params, conditions, expressions)
}

// onFacts is a term over facts: a sum of nothing is 0, the least of nothing is null.
func onFacts(t kpi.Term) string {
	switch t.Func {
	case kpi.Min, kpi.Max:
		if t.If != "" {
			return t.Func.String() + "OrNullIf(" + t.Of + ", " + t.If + ")"
		}
		return t.Func.String() + "OrNull(" + t.Of + ")"
	case kpi.Sum:
		return "ifNull(" + warehouse.Signed(t) + ", 0)"
	}
	return warehouse.Signed(t)
}

// present is the condition that a field is told.
func present(c *contract.Contract, field string) string {
	if f := c.Field(field); f != nil && f.EmptyIsAbsent() {
		return "notEmpty(" + quote(field) + ")"
	}
	return "isNotNull(" + quote(field) + ")"
}

// persons counts the distinct persons of each cell exactly, from facts: those with
// a row that stands. Where rows take cases away whoever has such a row is left out, unless
// another part of the figure counts him for sure: he may have been counted more than once, but
// that the figure has him cannot be said. Where that leaves nobody it is one.
func (q *Queries) persons(qn *question) *statement {
	s := &statement{params: bind{}}
	v := qn.version
	uncounts := warehouse.Uncounts(v)
	var selects []string
	var parts []part
	for _, side := range qn.sides {
		c := side.contract
		person := warehouse.Persons(v, side.Side)
		if v.Distinct != nil && v.Distinct.Of == v.Persons {
			person = "toNullable(" + quote(v.Persons) + ")"
			if v.Distinct.If != "" {
				person = "if(" + v.Distinct.If + ", " + quote(v.Persons) + ", NULL)"
			}
		}
		dimension := func(d string) string { return warehouse.DimensionOf(c, d) }
		day := q.warehouse.DayOf(c, side.At)
		conditions := qn.conditions(s.params, day, dimension)
		if dated := warehouse.Dated(c, side.At); dated != "" {
			conditions = append([]string{dated}, conditions...)
		}
		parts = q.grouping(qn, day, q.warehouse.HourOf(c, side.At), dimension)
		one := append(slices.Clone(parts), part{colBy, "Person", person, ""})
		if uncounts {
			role := warehouse.Role(v, side.Side)
			one[len(one)-1].inner = "if(" + role + " = 0, NULL, " + warehouse.Anyone(v) + ")"
			one = append(one, part{colBy, "Role", role, ""})
		}
		selects = append(selects, selectSQL(append(one, part{colN, "Cases", "sum(toInt64(_sign))", "sum"}),
			q.rows(qn, c, s.params, conditions, v.ExpressionsOf(side.Side))))
	}
	var group []string
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
		group = append(group, p.name)
	}
	s.columns = append(s.columns, colPersons)
	persons, sure := "uniqExact(Person)", ""
	if uncounts {
		s.columns = append(s.columns, colSure)
		sure = fmt.Sprintf(", uniqExactIf(Person, Role = %d) AS Sure", warehouse.CountsIn)
		persons = fmt.Sprintf("greatest(toUInt64(1), uniqExact(Person) - uniqExactIf(Person, Role IN (%d, %d)) + uniqExactIf(Person, Role = %[1]d))", warehouse.CountsIn, warehouse.TakesAway)
	}
	s.sql = "SELECT " + strings.Join(append(slices.Clone(group), persons+" AS Persons"), ", ") + sure +
		"\nFROM (\n" + strings.Join(selects, "\nUNION ALL\n") + "\n)\nWHERE Cases > 0 AND isNotNull(Person)" + groupSQL(group) + orderSQL(parts)
	return s
}
