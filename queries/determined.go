package queries

import (
	"slices"

	"ombor/queries/disclosure"
	"ombor/warehouse"
)

// # Dimensions and periods that determine others
//
// A service has one agency: it stands in the row of the reference table that the service's code names, under the
// column that the agency's dimension is called by. So the figures by agency are totals of those by service, and what is hidden
// of a table by service must not follow from them, although the question did not name the agency. In the same way quarters are
// totals of months, which the same question by quarter tells. See [disclosure.Inside].

// coarser are the grains whose periods a grain's add up to. Weeks lie across months, and are held against nothing.
var coarser = map[Grain][]Grain{Hour: {Day, Month}, Day: {Month, Quarter, Year}, Month: {Quarter, Year}, Quarter: {Year}}

// determined says of two dimensions that a reference table tells the second by the first.
type determined struct {
	dimension int // in the question
	by        string
	table     string // whose column
	column    string
}

// determinations are what the question's dimensions determine, by the names of the determined ones: of the table of
// a field "service" the columns "x" that are a dimension "x" or "service_x".
func (q *Queries) determinations(qn *question) (list []determined) {
	c := qn.sides[0].contract
	for i, d := range qn.by {
		f := c.Field(d)
		if f == nil || q.refs.Table(f.To) == nil {
			continue
		}
		for _, column := range q.refs.Table(f.To).Columns {
			for _, by := range []string{column, d + "_" + column} {
				if by != d && c.Field(by) != nil && warehouse.Dimension(c, by) {
					list = append(list, determined{i, by, f.To, column})
				}
			}
		}
	}
	return list
}

// inTable gives the cells of a table their places in it: as they were, but for the dimensions, which come in the order of
// their names, however they were asked for, and after them what is determined. periods are those whose labels the places
// begin with, one after the other; nil: they begin otherwise.
func (q *Queries) inTable(qn *question, cells []disclosure.Cell, periods []period) []disclosure.Determines {
	found := q.determinations(qn)
	var grains []Grain
	if len(periods) > 1 {
		grains = coarser[qn.grain]
	}
	if len(cells) == 0 || len(qn.by) < 2 && len(found)+len(grains) == 0 {
		return nil
	}
	before := len(cells[0].Key) - len(qn.by)
	names := slices.Sorted(slices.Values(qn.by))
	order := make([]int, len(names))
	for to, name := range names {
		order[to] = slices.Index(qn.by, name)
	}
	var beside []determined
	var said []disclosure.Determines
	for _, d := range found {
		at := slices.Index(names, d.by)
		if at < 0 {
			at = len(names)
			names, beside = append(names, d.by), append(beside, d)
		}
		said = append(said, disclosure.Determines{Axis: before + slices.Index(order, d.dimension), Other: before + at})
	}
	for i := range grains {
		said = append(said, disclosure.Determines{Axis: 0, Other: before + len(names) + i})
		for j := range i { // the finer one is before
			said = append(said, disclosure.Determines{Axis: before + len(names) + j, Other: before + len(names) + i})
		}
	}
	if len(beside)+len(grains) == 0 {
		values := make([]string, len(order))
		for _, c := range cells {
			copy(values, c.Key[before:])
			for to, at := range order {
				c.Key[before+to] = values[at]
			}
		}
		return said
	}
	keys := make([]string, 0, len(cells)*(before+len(names)+len(grains)))
	var starts []string // of the cell's period, by each grain
	for i := range cells {
		if len(grains) > 0 && i%(len(cells)/len(periods)) == 0 {
			starts = starts[:0]
			for _, g := range grains {
				starts = append(starts, q.calendar.start(g, periods[i/(len(cells)/len(periods))].from).String())
			}
		}
		from, values := len(keys), cells[i].Key[before:]
		keys = append(keys, cells[i].Key[:before]...)
		for _, at := range order {
			keys = append(keys, values[at])
		}
		for _, d := range beside {
			row, _ := q.refs.Table(d.table).Get(values[d.dimension]) // of a code that it does not have: nothing
			keys = append(keys, row.Value(d.column))
		}
		keys = append(keys, starts...)
		cells[i].Key = keys[from:len(keys):len(keys)]
	}
	return said
}
