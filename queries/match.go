package queries

import (
	"fmt"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// matches are those of the version that the expressions read.
func matches(v *kpi.Version, expressions []string) []kpi.Match {
	var list []kpi.Match
	for _, m := range v.Match {
		if slices.ContainsFunc(expressions, func(e string) bool { return slices.Contains(kpi.Columns(e), m.Name) }) {
			list = append(list, m)
		}
	}
	return list
}

// rows is what a statement over a contract's facts reads under the conditions: with
// every match that the expressions name as a column. A row that was taken back has the
// same matches as the row that it takes back, so that the two settle.
func (q *Queries) rows(qn *question, c *contract.Contract, params bind, conditions, expressions []string) string {
	list := matches(qn.version, expressions)
	for _, m := range list {
		expressions = append(expressions, m.When, m.Newest)
	}
	from := q.warehouse.From(c, and(conditions), expressions...)
	if len(list) == 0 {
		return from
	}
	asOf := qn.today
	if qn.knownOn != reference.NoDay {
		asOf = qn.knownOn
	}
	return q.matched(qn, "SELECT *, "+params.day(kpi.AsOf, asOf)+" AS "+kpi.AsOf+" FROM "+from, params, list)
}

// matched gives the rows of a query a column for each match: whether the other contract
// has a row that stands, has the same keys, and meets the condition, or what the first has in a field (kpi.Match). The others' rows are
// gathered by their keys, so that a row is never counted more than once.
func (q *Queries) matched(qn *question, own string, params bind, list []kpi.Match) string {
	var columns, joins strings.Builder
	for i, m := range list {
		other := q.warehouse.Contract(m.In)
		var fields, keys, on []string
		tells := m.Tells(fmt.Sprintf("its%d.rows", i+1), func(field string) string {
			at := slices.Index(fields, field)
			if at < 0 {
				fields, at = append(fields, field), len(fields)
			}
			return fmt.Sprintf("tupleElement(its, %d)", at+1)
		})
		for j, pair := range m.On {
			keys = append(keys, fmt.Sprintf("toString(%s) AS key%d", quote(pair.Its), j+1))
			on = append(on, fmt.Sprintf("toString(own.%s) = its%d.key%d", quote(pair.Own), i+1, j+1))
		}
		quoted := []string{"1"} // a tuple has at least one element
		for j, f := range fields {
			if j == 0 {
				quoted = nil
			}
			quoted = append(quoted, quote(f))
		}
		conditions := []string{q.live(other, qn, params)}
		conditions = append(conditions, qn.known(params)...)
		for _, pair := range m.On {
			conditions = append(conditions, present(other, pair.Its))
		}
		var group []string
		for j := range m.On {
			group = append(group, fmt.Sprintf("key%d", j+1))
		}
		mentioned := append([]string{m.When, m.Newest}, fields...)
		fmt.Fprintf(&joins, "\nLEFT JOIN (SELECT %s, groupArray(tuple(%s)) AS rows FROM %s GROUP BY %s) AS its%d ON %s",
			strings.Join(keys, ", "), strings.Join(quoted, ", "), q.warehouse.From(other, and(conditions), mentioned...), strings.Join(group, ", "), i+1, strings.Join(on, " AND "))
		fmt.Fprintf(&columns, ", %s AS %s", tells, quote(m.Name))
	}
	return "(SELECT own.*" + columns.String() + "\nFROM (" + own + ") AS own" + joins.String() + ")"
}
