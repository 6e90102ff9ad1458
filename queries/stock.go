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

// stock compiles a question on a reference table's history: for each day, the latest
// description of every key whose events had happened by then, and the formulae over those.
// The cell of a period is keyed by its day in colPeriod.
func (q *Queries) stock(_ context.Context, qn *question, days []reference.Day) (*statement, error) {
	v, c := qn.version, qn.sides[0].contract
	s := &statement{params: bind{}, table: q.warehouse.Facts(c), facts: true, why: "a stock is counted from the history of its table"}
	keyField := v.Key
	if keyField == "" {
		return nil, bad("kpi", "%s counts a stock, but its definition has no key", qn.kpi.ID).
			Also("uz", "Bu koʻrsatkichning taʼrifida kalit yoʻq.").
			Also("ru", "В определении этого показателя нет ключа.")
	}
	dates := make([]string, len(days))
	for i, d := range days {
		dates[i] = d.String()
	}
	s.params["days"] = array(dates)

	// The fields that the formulae and dimensions mention.
	var fields []string
	expressions := v.Expressions()
	for _, other := range qn.beside {
		expressions = append(expressions, other.Expressions()...)
	}
	list := matches(v, expressions)
	for _, m := range list {
		expressions = append(expressions, m.When, m.Newest)
		for _, pair := range m.On {
			expressions = append(expressions, quote(pair.Own))
		}
	}
	for i := range c.Fields {
		name := c.Fields[i].Name
		used := name == keyField || slices.Contains(qn.needed(), name)
		for _, e := range expressions {
			used = used || slices.Contains(kpi.Columns(e), name)
		}
		if used {
			fields = append(fields, name)
		}
	}
	for _, extra := range []string{contract.ColumnSource, contract.ColumnTime} {
		used := slices.Contains(qn.needed(), extra)
		for _, e := range expressions {
			used = used || slices.Contains(kpi.Columns(e), extra)
		}
		if used && !slices.Contains(fields, extra) {
			fields = append(fields, extra)
		}
	}
	var packed, unpacked []string
	for i, f := range fields {
		packed = append(packed, quote(f))
		unpacked = append(unpacked, fmt.Sprintf("tupleElement(State, %d) AS %s", i+1, quote(f)))
	}
	conditions := append([]string{"_day <= Day", q.live(c, qn, s.params)}, qn.known(s.params)...)
	history := "SELECT Day, argMax(tuple(" + strings.Join(packed, ", ") + ", _simulated), tuple(time, _seq)) AS State\nFROM " + q.warehouse.Facts(c) +
		"\nARRAY JOIN CAST({days:Array(String)}, 'Array(Date)') AS Day\nWHERE " + and(conditions) + "\nGROUP BY Day, " + quote(keyField)
	rows := "SELECT Day, Day AS " + kpi.AsOf + ", " + strings.Join(unpacked, ", ") + fmt.Sprintf(", tupleElement(State, %d) AS Simulated\nFROM (\n", len(fields)+1) + history + "\n)"

	dimension := func(d string) string { return warehouse.DimensionOf(c, d) }
	parts := []part{{colPeriod, "Period", "Day", ""}}
	for i, d := range qn.by {
		parts = append(parts, part{colBy, fmt.Sprintf("By%d", i+1), "toString(" + dimension(d) + ")", ""})
	}
	parts = append(parts, formulaParts(v, qn.sides, 0, func(f *kpi.Formula) string { return linearSQL(f, standing) })...)
	parts = append(parts, part{colN, "Cases", "toInt64(count())", "sum"}, part{colSimulated, "SimulatedCases", "toInt64(countIf(Simulated))", "sum"})
	parts = append(parts, unitParts(v)...)
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
	}
	from := "(\n" + rows + "\n)"
	if len(list) > 0 {
		from = q.matched(qn, rows, s.params, list)
	}
	s.parts, s.from = parts, from+whereSQL(qn.filters(s.params, dimension))
	s.sql = selectSQL(parts, s.from) + orderSQL(parts) + fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s, nil
}

// wide is what is summed, in as many digits as rows with a sign are added up ([warehouse.Signed]). Materialized, because the
// engine takes a constant factor out of a sum, which would then be added in 64 bits all the same.
func wide(of string) string { return "(" + of + ") * materialize(toDecimal128(1, 0))" }

// standing is [unsigned], added up in so many digits.
func standing(t kpi.Term) string {
	if t.Func == kpi.Sum {
		t.Of = wide(t.Of)
	}
	return unsigned(t)
}

// reportedTerm is a term over reported figures: of nothing but absent values a sum is
// null, not 0.
func reportedTerm(t kpi.Term) string {
	switch {
	case t.Func != kpi.Sum:
		return unsigned(t)
	case t.If == "":
		return "sumOrNull(" + wide(t.Of) + ")"
	}
	return "sumOrNullIf(" + wide(t.Of) + ", " + t.If + ")"
}

// unsigned is a term over rows that stand.
func unsigned(t kpi.Term) string {
	switch {
	case t.Func == kpi.CountRows && t.If == "":
		return "count()"
	case t.Func == kpi.CountRows:
		return "countIf(" + t.If + ")"
	case t.Func == kpi.Sum && t.If == "":
		return "ifNull(sum(" + t.Of + "), 0)"
	case t.Func == kpi.Sum:
		return "ifNull(sumIf(" + t.Of + ", " + t.If + "), 0)"
	}
	return onFacts(t)
}

// reported compiles a question on reported figures: one row for each window and
// combination of dimensions. A sum of nothing but absent values is null.
func (q *Queries) reported(qn *question, c *contract.Contract, params bind) *statement {
	v := qn.version
	s := &statement{params: params, table: q.warehouse.Facts(c), why: "reported figures are read for their exact windows"}
	dimension := func(d string) string { return warehouse.DimensionOf(c, d) }
	from, to := quote(c.Window.From), quote(c.Window.To)
	var conditions []string
	if qn.from != reference.NoDay {
		conditions = append(conditions, from+" >= "+s32(params.day("from", qn.from)))
	}
	if qn.to != reference.NoDay {
		conditions = append(conditions, to+" <= "+s32(params.day("to", qn.to)))
	}
	if v.Only != "" {
		conditions = append(conditions, "("+v.Only+")")
	}
	conditions = append(conditions, qn.filters(params, dimension)...)
	conditions = append(conditions, qn.known(params)...)
	conditions = append(conditions, q.live(c, qn, params))

	parts := []part{{colFrom, "WindowFrom", "toDate(assumeNotNull(" + from + "))", ""}, {colTo, "WindowTo", "toDate(assumeNotNull(" + to + "))", ""}}
	for i, d := range qn.by {
		parts = append(parts, part{colBy, fmt.Sprintf("By%d", i+1), "toString(" + dimension(d) + ")", ""})
	}
	parts = append(parts, formulaParts(v, qn.sides, 0, func(f *kpi.Formula) string { return linearSQL(f, reportedTerm) })...)
	parts = append(parts, part{colN, "Cases", "toInt64(count())", "sum"}, part{colSimulated, "Simulated", "toInt64(countIf(_simulated))", "sum"})
	parts = append(parts, unitParts(v)...)
	if f := c.Field("state"); f != nil && f.Type == contract.Enum {
		parts = append(parts, part{colStates, "States", "arrayStringConcat(arraySort(groupUniqArray(state)), ',')", "any"})
	}
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
	}
	s.parts, s.from = parts, q.warehouse.From(c, and(conditions), v.Expressions()...)
	s.sql = selectSQL(parts, s.from) + orderSQL(parts) + fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s
}

// countsUnits says whether a version says itself how much of it is known.
func countsUnits(v *kpi.Version) bool { return v.Covered != nil && v.Expected != nil }

// unitParts are how many units a figure covers and how many it should, over rows that
// stand; none when the version does not say.
func unitParts(v *kpi.Version) []part {
	if !countsUnits(v) {
		return nil
	}
	return []part{
		{colCovered, "Covered", "toInt64(" + linearSQL(v.Covered, unsigned) + ")", "sum"},
		{colExpected, "Expected", "toInt64(" + linearSQL(v.Expected, unsigned) + ")", "sum"},
	}
}

func s32(day string) string { return "toDate32(" + day + ")" }
