package queries

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// backlog compiles a question on what has entered and not left by the end of days, by age.
//
// Nothing is looked up by its key: of what entered on a day, those that have not left to
// this day are the ones that entered less the ones that left, however late; and those that
// had not left by an earlier day are these and the ones that have left since, each of which
// tells when it had entered. So two sums by day of entry answer, and one pass over what left
// for all days together. What leaves without having entered counts until it left, and not
// against others.
func (q *Queries) backlog(qn *question, days []reference.Day) (*statement, error) {
	b := qn.version.Backlog
	enters, leaves := qn.sides[0].contract, qn.sides[1].contract
	s := &statement{params: bind{}, table: q.warehouse.Facts(leaves), facts: true, why: "what waits is what has entered less what has left"}
	dates := make([]string, len(days))
	for i, d := range days {
		dates[i] = d.String()
	}
	s.params["days"] = array(dates)
	const asked = "CAST({days:Array(String)}, 'Array(Date)')"

	var by []string
	for i := range qn.by {
		by = append(by, fmt.Sprintf("By%d", i+1))
	}
	with := func(columns ...string) string { return strings.Join(append(columns, by...), ", ") }
	labels := func(c *contract.Contract) string {
		text := ""
		for i, d := range qn.by {
			text += ", toString(" + warehouse.DimensionOf(c, d) + ") AS " + by[i]
		}
		return text
	}
	where := func(c *contract.Contract, more ...string) string {
		conditions := append(more, qn.filters(s.params, func(d string) string { return warehouse.DimensionOf(c, d) })...)
		return whereSQL(append(conditions, qn.known(s.params)...))
	}
	entered := q.warehouse.DayOf(leaves, b.Entered)
	side := func(c *contract.Contract, entry, sign string) string {
		return "SELECT " + entry + " AS Entered" + labels(c) + ", " + sign + "sum(toInt64(_sign)) AS N, " + sign + "sumIf(toInt64(_sign), _simulated) AS S\nFROM " +
			q.warehouse.Facts(c) + where(c) + "\nGROUP BY " + with("Entered")
	}
	still := "SELECT arrayJoin(arrayFilter(Day -> Day >= Entered, " + asked + ")) AS Period, toInt32(Period - Entered) AS Age, " + with("Waiting", "Simulated") +
		"\nFROM (\nSELECT " + with("Entered", "sum(N) AS Waiting", "sum(S) AS Simulated") + "\nFROM (\n" +
		side(enters, q.warehouse.DayOf(enters, contract.ColumnTime), "") + "\nUNION ALL\n" + side(leaves, entered, "-") + "\n)\nGROUP BY " + with("Entered") + "\nHAVING Waiting > 0\n)"
	since := "SELECT arrayJoin(arrayFilter(Day -> Day >= " + entered + " AND Day < _day, " + asked + ")) AS Period, toInt32(Period - " + entered + ") AS Age, toInt64(_sign) AS Waiting, toInt64(_sign) * _simulated AS Simulated" +
		labels(leaves) + "\nFROM " + q.warehouse.Facts(leaves) + where(leaves, "_day > arrayMin("+asked+")")
	s.columns = []columnOf{colPeriod}
	for range by {
		s.columns = append(s.columns, colBy)
	}
	s.columns = append(s.columns, colBuckets, colN, colSimulated)
	s.sql = "SELECT " + with("Period") + ", sumMap(map(Age, Waiting)) AS Ages, sum(Waiting) AS Cases, sum(Simulated) AS SimulatedCases\nFROM (\n" +
		still + "\nUNION ALL\nSELECT " + with("Period", "Age", "Waiting", "Simulated") + "\nFROM (" + since + ")\n)\nGROUP BY " + with("Period") + "\nORDER BY " + with("Period") +
		fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s, nil
}

// waiting counts the distinct persons behind the cells of a backlog: those of whom
// something waits. Many cases are many persons, and are not counted.
func (q *Queries) waiting(ctx context.Context, qn *question, s *statement, found map[key]*sums) error {
	person := qn.version.Persons
	if person == "" {
		return nil
	}
	few := map[reference.Day]bool{}
	for k, c := range found {
		if c.persons = q.k; c.cases < int64(q.k)*manyCases {
			few[k.from] = true
		}
	}
	if len(few) == 0 {
		return nil
	}
	params := maps.Clone(s.params)
	var dates, by []string
	for _, d := range slices.Sorted(maps.Keys(few)) {
		dates = append(dates, d.String())
	}
	params["days"] = array(dates)
	var selects []string
	for i, side := range qn.sides {
		c := side.contract
		columns := ""
		by = nil
		for j, d := range qn.by {
			by = append(by, fmt.Sprintf("By%d", j+1))
			columns += ", toString(" + warehouse.DimensionOf(c, d) + ") AS " + by[j]
		}
		conditions := append(qn.filters(params, func(d string) string { return warehouse.DimensionOf(c, d) }), qn.known(params)...)
		selects = append(selects, "SELECT arrayJoin(arrayFilter(Day -> Day >= _day, CAST({days:Array(String)}, 'Array(Date)'))) AS Period"+columns+", toNullable("+quote(person)+") AS Person, "+
			[]string{"", "-"}[i]+"toInt64(_sign) AS Waiting\nFROM "+q.warehouse.Facts(c)+whereSQL(conditions))
	}
	group := strings.Join(append([]string{"Period"}, by...), ", ")
	counted := &statement{params: params, columns: []columnOf{colPeriod}}
	for range by {
		counted.columns = append(counted.columns, colBy)
	}
	counted.columns = append(counted.columns, colPersons)
	counted.sql = "SELECT " + group + ", uniqExact(Person) AS Persons\nFROM (SELECT " + group + ", Person FROM (\n" + strings.Join(selects, "\nUNION ALL\n") +
		"\n)\nGROUP BY " + group + ", Person\nHAVING sum(Waiting) > 0)\nGROUP BY " + group
	exact, err := q.read(ctx, counted)
	if err != nil {
		return err
	}
	for k, c := range found {
		if few[k.from] {
			if c.persons = 0; exact[k] != nil {
				c.persons = exact[k].persons
			}
		}
	}
	return nil
}

// manyCases is how many times k cases are taken to be of k persons at the least, without
// counting them.
const manyCases = 1000

// quantilesOf reads the quantiles of a version off its buckets: those of a backlog are
// whole days, exact but for the day between two of them.
func quantilesOf(v *kpi.Version, buckets map[int32]int64) ([]float64, int64) {
	if v.Backlog == nil {
		return warehouse.Quantiles(buckets, v.Distribution.Quantiles)
	}
	ages := slices.Sorted(maps.Keys(buckets))
	var n int64
	for _, age := range ages {
		n += max(buckets[age], 0)
	}
	if n == 0 {
		return nil, 0
	}
	at := func(rank int64) float64 {
		for _, age := range ages {
			if rank -= max(buckets[age], 0); rank < 0 {
				return float64(age)
			}
		}
		return float64(ages[len(ages)-1])
	}
	var values []float64
	for _, quantile := range v.Backlog.Quantiles {
		rank := quantile * float64(n-1)
		low := math.Floor(rank)
		a, b := at(int64(low)), at(int64(math.Ceil(rank)))
		values = append(values, a+(b-a)*(rank-low))
	}
	return values, n
}

// per is the denominator that a version takes from a reference table, for the rows that a
// cell is about on its last day: those that its dimensions or the filters name, or all that
// stand under no other.
func (q *Queries) per(qn *question, c *Cell) Number {
	per := qn.version.Per
	table := q.refs.Table(per.Table)
	var codes []string
	named := false
	for _, f := range qn.sides[0].contract.Fields {
		if f.To != per.Table || named {
			continue
		}
		if i := slices.Index(qn.by, f.Name); i >= 0 {
			codes, named = []string{c.Dims[i].Value}, true
		} else if values := qn.filtered(f.Name); values != nil {
			codes, named = values, true
		}
	}
	if !named {
		for _, row := range table.Rows() {
			if row.Parent == "" && !slices.Contains(codes, row.Code) {
				codes = append(codes, row.Code)
			}
		}
	}
	sum := new(big.Rat)
	for _, code := range codes {
		if row, ok := table.At(code, c.To); ok {
			if n, ok := new(big.Rat).SetString(row.Value(per.Column)); ok {
				sum.Add(sum, n)
			}
		}
	}
	text := sum.Quo(sum, big.NewRat(per.Each, 1)).FloatString(6)
	return Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
}
