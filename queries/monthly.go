package queries

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ombor/internal/reference"
	"ombor/warehouse"
)

// keptMonths are the first days of the months inside the question whose rows of a wide rollup are
// kept added up and hold: made from the rows that the senders have sent. None where days count.
func (q *Queries) keptMonths(ctx context.Context, qn *question, s side, r *warehouse.Rollup) ([]reference.Day, error) {
	if !slices.Contains([]Grain{Whole, Month, Quarter, Year, Fiscal}, qn.grain) || qn.spans != nil || qn.version.Running ||
		qn.knownOn != reference.NoDay || qn.from == reference.NoDay || qn.to == reference.NoDay {
		return nil, nil
	}
	made, err := q.warehouse.Months(ctx, r)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	senders, err := q.sent(ctx, qn, s)
	if err != nil {
		return nil, err
	}
	sent := map[reference.Day]warehouse.Made{}
	for _, sender := range senders {
		for _, d := range sender.days {
			month := q.calendar.start(Month, d.day)
			m := sent[month]
			sent[month] = warehouse.Made{Through: max(m.Through, d.batch), Rows: m.Rows + d.rows}
		}
	}
	var kept []reference.Day
	for month, m := range made {
		if month >= qn.from && q.calendar.after(Month, month)-1 <= qn.last() && sent[month] == m {
			kept = append(kept, month)
		}
	}
	slices.Sort(kept)
	return kept, nil
}

// last is the last day that the answer tells of.
func (qn *question) last() reference.Day {
	if qn.matured != reference.NoDay {
		return min(qn.to, qn.matured)
	}
	return qn.to
}

// rowsOfRollup is where to read the rows of a rollup of the question's side i: months that are kept from
// their own table, the days before, between and after them from the rollup's.
func (q *Queries) rowsOfRollup(qn *question, i int, r *warehouse.Rollup, kept []reference.Day, params bind) string {
	conditions := qn.conditions(params, "_day", quote)
	if len(kept) == 0 {
		return q.warehouse.Table(r) + whereSQL(conditions)
	}
	columns, _ := q.holds(r, qn, qn.sides[i])
	columns = append(columns, "_day", "_retracted", "_simulated")
	slices.Sort(columns)
	columns = slices.Compact(columns)
	for at, c := range columns {
		columns[at] = quote(c)
	}
	selected := "SELECT " + strings.Join(columns, ", ") + " FROM "
	var months, days []string
	next := qn.from
	between := func(last reference.Day) {
		if next <= last {
			at := fmt.Sprintf("%d_%d", i+1, len(days)+1)
			days = append(days, "_day BETWEEN "+params.day("since"+at, next)+" AND "+params.day("until"+at, last))
		}
	}
	for _, month := range kept {
		between(month - 1)
		next = q.calendar.after(Month, month)
		months = append(months, month.String())
	}
	between(qn.last())
	name := fmt.Sprintf("months%d", i+1)
	params[name] = array(months)
	from := selected + q.warehouse.MonthsTable(r) + whereSQL(append([]string{"_day IN CAST({" + name + ":Array(String)}, 'Array(Date)')"}, qn.filters(params, quote)...))
	if len(days) > 0 {
		from += "\nUNION ALL\n" + selected + q.warehouse.Table(r) + whereSQL(append(conditions, "("+strings.Join(days, " OR ")+")"))
	}
	return "(\n" + from + "\n)"
}
