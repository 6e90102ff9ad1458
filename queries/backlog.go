package queries

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// backlog compiles a question on what has entered and not left by the end of days, by age.
//
// Two sets wait on a day. What has never left is found on the days of entry on which as
// many have left as have entered, and the same ones, on all others: counts and sums of hashes
// tell, so that keys are looked up on the few days that are left over. That tally is a statement of its own,
// remembered with what else the question shares. What has left since the day asked for tells
// itself when it had entered; that it had is not asked.
func (q *Queries) backlog(ctx context.Context, qn *question, days []reference.Day) (*statement, error) {
	b := qn.version.Backlog
	enters, leaves := qn.sides[0].contract, qn.sides[1].contract
	s := &statement{params: bind{}, table: q.warehouse.Facts(enters), facts: true, settled: true, why: "what waits is what has entered and not left"}
	dates := make([]string, len(days))
	for i, d := range days {
		dates[i] = d.String()
	}
	s.params["days"] = array(dates)
	numbers := []string{"0"} // what is before every day
	for _, d := range days {
		numbers = append(numbers, strconv.Itoa(int(d)))
	}
	s.params["numbers"] = "[" + strings.Join(numbers, ",") + "]"
	const asked = "CAST({days:Array(String)}, 'Array(Date)')"
	key := "cityHash64(" + quote(b.On) + ")"
	came, left := q.warehouse.DayOf(enters, contract.ColumnTime), q.warehouse.DayOf(leaves, b.Entered)

	var by []string
	for i := range qn.by {
		by = append(by, fmt.Sprintf("By%d", i+1))
	}
	with := func(columns ...string) string { return strings.Join(append(columns, by...), ", ") }
	where := func(c *contract.Contract, more ...string) string {
		conditions := append(more, qn.filters(s.params, func(d string) string { return warehouse.DimensionOf(c, d) })...)
		return whereSQL(append(conditions, qn.known(s.params)...))
	}
	// one is a row of a contract for each key that stands, with its labels and its person.
	one := func(c *contract.Contract, entered, conditions string, more ...string) string {
		columns := entered + " AS Entered, " + key + " AS Key"
		for _, m := range more {
			columns += ", " + m
		}
		for i, d := range qn.by {
			columns += ", toString(" + warehouse.DimensionOf(c, d) + ") AS " + by[i]
		}
		person := "NULL"
		if qn.version.Persons != "" {
			person = "anyIf(toNullable(" + quote(qn.version.Persons) + "), _sign > 0)"
		}
		group := with("Entered", "Key")
		if len(more) > 0 {
			group += ", Left"
		}
		return "SELECT " + columns + ", " + person + " AS Person, toInt64(max(_simulated)) AS Simulated\nFROM " + q.warehouse.Facts(c) + conditions +
			"\nGROUP BY " + group + "\nHAVING sum(toInt64(_sign)) > 0"
	}
	tally := bind{}
	total := func(c *contract.Contract, entered, sign string) string {
		conditions := append(qn.filters(tally, func(d string) string { return warehouse.DimensionOf(c, d) }), qn.known(tally)...)
		return "SELECT " + entered + " AS Entered, " + sign + "sum(toInt64(_sign)) AS Count, " + sign + "sum(_sign * toInt64(" + key + ")) AS Hash FROM " +
			q.warehouse.Facts(c) + whereSQL(conditions) + " GROUP BY Entered"
	}
	tallied := "SELECT Entered FROM (" + total(enters, came, "") + "\nUNION ALL\n" + total(leaves, left, "-") + ") GROUP BY Entered HAVING sum(Count) != 0 OR sum(Hash) != 0 ORDER BY Entered"
	leftOver, err := q.daysOf(ctx, qn, tallied, tally)
	if err != nil {
		return nil, err
	}
	s.params["uneven"] = array(leftOver)
	const uneven = "CAST({uneven:Array(String)}, 'Array(Date)')"
	gone := "(SELECT " + key + " FROM " + q.warehouse.Facts(leaves) + whereSQL(append([]string{left + " IN " + uneven}, qn.known(s.params)...)) + " GROUP BY " + key + " HAVING sum(toInt64(_sign)) > 0)"
	never := "SELECT arrayJoin(arrayFilter(Day -> Day >= Entered, " + asked + ")) AS Period, toInt32(Period - Entered) AS Age, " + with("Person", "Simulated") +
		"\nFROM (\n" + one(enters, came, where(enters, came+" IN "+uneven, key+" NOT IN "+gone)) + "\n)"
	since := "SELECT arrayJoin(arrayFilter(Day -> Day >= Entered AND Day < Left, " + asked + ")) AS Period, toInt32(Period - Entered) AS Age, " + with("Person", "Simulated") +
		"\nFROM (\n" + one(leaves, left, where(leaves, "roundDown(toInt32(_day) - 1, {numbers:Array(Int32)}) >= toInt32("+left+")"), "_day AS Left") + "\n)"

	s.columns = []columnOf{colPeriod}
	for range by {
		s.columns = append(s.columns, colBy)
	}
	s.columns = append(s.columns, colBuckets, colN, colSimulated, colPersons)
	s.sql = "SELECT " + with("Period") + ", sumMap(map(Age, toInt64(1))) AS Ages, toInt64(count()) AS Cases, sum(Simulated) AS SimulatedCases, uniqExact(Person) AS Persons\nFROM (\n" +
		never + "\nUNION ALL\n" + since + "\n)\nGROUP BY " + with("Period") + "\nORDER BY " + with("Period") + fmt.Sprintf("\nLIMIT %d", q.maxCells+1)
	return s, nil
}

// daysOf runs a statement that gives days, once for all who share it.
func (q *Queries) daysOf(ctx context.Context, qn *question, sql string, params bind) ([]string, error) {
	return once(qn.shared, fmt.Sprint("days ", sql, params), func() (days []string, err error) {
		err = q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
			var day time.Time
			err := scan(&day)
			days = append(days, reference.DayOf(day).String())
			return err
		})
		return days, err
	})
}

// quantilesOf reads the quantiles of a version off its buckets: those of a backlog are
// whole days, exact but for the day between two of them.
func quantilesOf(v *kpi.Version, buckets warehouse.Histogram) ([]float64, int64) {
	if v.Backlog == nil {
		return warehouse.Quantiles(buckets, v.Distribution.Quantiles)
	}
	return warehouse.WholeQuantiles(buckets, v.Backlog.Quantiles)
}

// per is the denominator that a version takes from a reference table, for the rows that a
// cell is about on its last day: those that its dimensions or the filters name, or all that
// stand under no other. It is nil for a version that takes none.
func (q *Queries) per(qn *question) func(*Cell) Number {
	per := qn.version.Per
	if per == nil {
		return nil
	}
	table := q.refs.Table(per.Table)
	var codes []string
	by := -1 // the dimension that names the row
	for _, f := range qn.sides[0].contract.Fields {
		if f.To != per.Table {
			continue
		}
		if by = slices.Index(qn.by, f.Name); by >= 0 {
			break
		}
		if codes = qn.filtered(f.Name); codes != nil {
			break
		}
	}
	if by < 0 && codes == nil {
		for _, row := range table.Rows() {
			if row.Parent == "" && !slices.Contains(codes, row.Code) {
				codes = append(codes, row.Code)
			}
		}
	}
	type place struct {
		code string
		on   reference.Day
	}
	known := map[place]Number{}
	return func(c *Cell) Number {
		at, codes := place{on: c.To}, codes
		if by >= 0 {
			at.code, codes = c.Dims[by].Value, []string{c.Dims[by].Value}
		}
		if n, ok := known[at]; ok {
			return n
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
		known[at] = Number(strings.TrimRight(strings.TrimRight(text, "0"), "."))
		return known[at]
	}
}
