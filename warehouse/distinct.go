package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// Distinct is a table of exact distinct counts: of one field of a contract under one condition, for each
// calendar month, quarter and year, as a whole and by one dimension. Counting persons anew
// takes seconds where there are millions, so a count is kept with what it was made from:
// the highest batch and the number of rows in its period. While the rollup by source tells
// the same two numbers of the period, no row has come into it or gone, and the count holds;
// when it tells others the count is passed over, and [Warehouse.CountDistinct] makes it anew.
// So nobody has to say what was touched, and nothing kept is ever read too late.
type Distinct struct {
	Contract *contract.Contract
	Of       string   // the field; rows without a value are not counted
	If       string   // SQL condition of the rows that count; empty: all
	Grains   []string // month, quarter, year: those that definitions ask for
	Dims     []string // a count by each of them alone, and one without any

	table string // with its hash: another definition is another table
}

// deriveDistinct lists the counts that the definitions ask for. One that is dated by another
// field than time is made from facts each time.
func (w *Warehouse) deriveDistinct() {
	for _, k := range w.kpis {
		for i := range k.Versions {
			v := &k.Versions[i]
			if v.Basis != kpi.Events || v.Distinct == nil || v.Match != nil || len(v.Sides()) != 1 || v.At != "" && v.At != contract.ColumnTime {
				continue
			}
			c := w.Contract(v.Sides()[0].From)
			if c == nil {
				continue // derive says so
			}
			d := w.Distinct(c, v.Distinct)
			if d == nil {
				d = &Distinct{Contract: c, Of: v.Distinct.Of, If: v.Distinct.If}
				w.distincts = append(w.distincts, d)
			}
			for _, g := range v.Distinct.Grains {
				if !slices.Contains(d.Grains, g) {
					d.Grains = append(d.Grains, g)
				}
			}
			for _, dim := range v.Dimensions() {
				if Dimension(c, dim) && !slices.Contains(d.Dims, dim) {
					d.Dims = append(d.Dims, dim)
				}
			}
		}
	}
	for _, d := range w.distincts {
		slices.Sort(d.Grains)
		slices.Sort(d.Dims)
		sum := sha256.Sum256([]byte(w.count(d, "", reference.NoDay, reference.NoDay, "", fingerprint{}) + strings.Join(d.Grains, " ") + strings.Join(d.Dims, " ") + w.zone.String()))
		d.table = d.Contract.Table() + "__distinct__" + d.Of + "__" + hex.EncodeToString(sum[:5])
	}
}

// Distinct are the kept counts of a contract's field under a definition's condition; nil when there are none.
func (w *Warehouse) Distinct(c *contract.Contract, of *kpi.Distinct) *Distinct {
	for _, d := range w.distincts {
		if d.Contract == c && d.Of == of.Of && d.If == of.If {
			return d
		}
	}
	return nil
}

// DistinctTable is where the counts are kept, with its database, quoted. Its columns: grain,
// period (first day), dimension (” for the whole), value, n (how many), cases, retracted
// and simulated (rows behind them), and what they were made from: through and rows. Only
// rows of which [Warehouse.Counted] gives both are true.
func (w *Warehouse) DistinctTable(d *Distinct) string {
	return name(w.databases.rollups) + "." + name(d.table)
}

// distinctColumns are those of a table of distinct counts.
var distinctColumns = []column{
	{name: "grain", kind: "LowCardinality(String)"}, {name: "period", kind: "Date"}, {name: "dimension", kind: "LowCardinality(String)"}, {name: "value", kind: "LowCardinality(String)"},
	{name: "n", kind: "UInt64"}, {name: "cases", kind: "Int64"}, {name: "retracted", kind: "Int64"}, {name: "simulated", kind: "Int64"}, {name: "through", kind: "UInt64"}, {name: "rows", kind: "Int64"},
}

func (w *Warehouse) createDistinct(d *Distinct) string {
	var columns []string
	for _, c := range distinctColumns {
		columns = append(columns, c.definition())
	}
	// A newer count of the same cell takes the place of an older one when parts are merged.
	return fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s
(
    %s
)
ENGINE = ReplacingMergeTree(through)
ORDER BY (grain, period, dimension, value)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT %s`, w.DistinctTable(d), strings.Join(columns, ", "), literal("exact distinct counts of "+d.Of+" in "+d.Contract.Type))
}

// count computes a period's counts by a dimension, or as a whole, from facts.
func (w *Warehouse) count(d *Distinct, grain string, from, to reference.Day, dimension string, made fingerprint) string {
	of, value, counts := name(d.Of), "''", "Cases > 0"
	present := "isNotNull(" + of + ")"
	if f := d.Contract.Field(d.Of); f != nil && f.EmptyIsAbsent() {
		present = "notEmpty(" + of + ")"
	}
	within := "_day BETWEEN " + literal(from.String()) + " AND " + literal(to.String()) + " AND " + present
	rows := w.Facts(d.Contract) + " WHERE " + within
	counted, by := of, of
	if d.If != "" { // a NULL is no value
		counted, by, counts, rows = "if("+d.If+", "+of+", NULL) AS Counted", "Counted", counts+" AND isNotNull(Counted)", w.From(d.Contract, within, d.If)
	}
	group := ""
	if dimension != "" {
		value, group = DimensionOf(d.Contract, dimension), "\nGROUP BY Value"
	}
	// A value counts while its signs add up to more than nothing.
	return fmt.Sprintf(`SELECT %s AS grain, toDate(%s) AS period, %s AS dimension, %s, count(), sum(Cases), sum(Retracted), sum(Simulated), %d, %d
FROM (
SELECT %s AS Value, %s, sum(toInt64(_sign)) AS Cases, toInt64(countIf(_sign < 0)) AS Retracted, sumIf(toInt64(_sign), _simulated) AS Simulated
FROM %s GROUP BY Value, %s HAVING %s
)%s`, literal(grain), literal(from.String()), literal(dimension), map[bool]string{true: "''", false: "Value"}[dimension == ""], made.through, made.rows,
		value, counted, rows, by, counts, group)
}

// fingerprint is what a count was made from: while both stay, no row of the period has come
// or gone.
type fingerprint struct {
	through uint64 // highest batch
	rows    int64  // Σ of signs
}

// Counted is a calendar period that has rows, and whether its counts are ready.
type Counted struct {
	From        reference.Day // first day of the period
	First, Last reference.Day // days of its first and last row
	Through     uint64        // highest batch in it
	Rows        int64         // Σ of signs
	Ready       bool
}

// Counted lists the periods of a grain that have rows between two days, in their order.
func (w *Warehouse) Counted(ctx context.Context, d *Distinct, grain string, from, to reference.Day) ([]Counted, error) {
	periods, err := w.touched(ctx, d, grain, from, to)
	if err != nil || len(periods) == 0 {
		return nil, err
	}
	ready := map[reference.Day]map[fingerprint]bool{}
	// The count of the whole is written last.
	err = w.each(ctx, "warehouse: distinct", "SELECT period, through, rows FROM "+w.DistinctTable(d)+" WHERE grain = {grain:String} AND dimension = '' AND period BETWEEN {from:Date} AND {to:Date}",
		map[string]string{"grain": grain, "from": periods[0].From.String(), "to": periods[len(periods)-1].From.String()}, func(scan Scan) error {
			var period time.Time
			var made fingerprint
			err := scan(&period, &made.through, &made.rows)
			if day := reference.DayOf(period); ready[day] == nil {
				ready[day] = map[fingerprint]bool{made: true}
			} else {
				ready[day][made] = true
			}
			return err
		})
	for i, p := range periods {
		periods[i].Ready = ready[p.From][fingerprint{p.Through, p.Rows}]
	}
	return periods, err
}

// touched lists the periods with rows as the rollup by source has them.
func (w *Warehouse) touched(ctx context.Context, d *Distinct, grain string, from, to reference.Day) ([]Counted, error) {
	var list []Counted
	from, to = startOf(grain, from), reference.DayOf(startOf(grain, to).Time().AddDate(0, monthsOf[grain], -1))
	sql := fmt.Sprintf("SELECT %s(_day) AS period, min(_day), max(_day), max(_through), sum(_n) FROM %s WHERE _day BETWEEN {from:Date} AND {to:Date} GROUP BY period ORDER BY period",
		startFunction[grain], w.Table(w.Rollups(d.Contract)[0]))
	err := w.each(ctx, "warehouse: distinct", sql, map[string]string{"from": from.String(), "to": to.String()}, func(scan Scan) error {
		var c Counted
		var period, first, last time.Time
		err := scan(&period, &first, &last, &c.Through, &c.Rows)
		c.From, c.First, c.Last = reference.DayOf(period), reference.DayOf(first), reference.DayOf(last)
		list = append(list, c)
		return err
	})
	return list, err
}

var (
	startFunction = map[string]string{"month": "toStartOfMonth", "quarter": "toStartOfQuarter", "year": "toStartOfYear"}
	monthsOf      = map[string]int{"month": 1, "quarter": 3, "year": 12}
)

// monthsOfGrain is how many months the period of a row of counts has, as an expression.
func monthsOfGrain() string {
	return fmt.Sprintf("transform(grain, ['month', 'quarter', 'year'], [%d, %d, %d], 0)", monthsOf["month"], monthsOf["quarter"], monthsOf["year"])
}

func startOf(grain string, d reference.Day) reference.Day {
	t := d.Time()
	months := monthsOf[grain]
	return reference.DayOf(time.Date(t.Year(), time.Month((int(t.Month())-1)/months*months+1), 1, 0, 0, 0, 0, time.UTC))
}

// CountDistinct makes anew the counts of every period into which a row has come, or out of
// which one has gone, since they were made, and returns how many periods that were. A period
// is counted with what facts hold now; one of which facts are not kept any longer keeps the
// count that it has. Interrupted, or run twice at once, it leaves nothing that is untrue.
func (w *Warehouse) CountDistinct(ctx context.Context) (int, error) {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	made := 0
	for _, d := range w.distincts {
		for _, grain := range d.Grains {
			periods, err := w.Counted(ctx, d, grain, earliest, latest)
			if err != nil {
				return made, err
			}
			gone, err := w.NotKept(ctx, d.Contract, "time")
			if err != nil {
				return made, err
			}
			for _, p := range periods {
				// What was counted before facts went stays; without them it would be too few.
				if p.Ready || slices.ContainsFunc(gone, func(g Gone) bool { return g.First <= p.Last && p.First <= g.Last }) {
					continue
				}
				if err := w.countPeriod(ctx, d, grain, p); err != nil {
					return made, err
				}
				made++
			}
		}
	}
	return made, nil
}

// The days that an engine's Date can hold in whole years.
var earliest, latest = reference.DayOf(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)), reference.DayOf(time.Date(2148, 12, 31, 0, 0, 0, 0, time.UTC))

func (w *Warehouse) countPeriod(ctx context.Context, d *Distinct, grain string, p Counted) error {
	end := reference.DayOf(p.From.Time().AddDate(0, monthsOf[grain], -1))
	set, unless := w.own(settings{
		// One core, and little memory: others ask and load meanwhile.
		"max_threads": 1, "max_insert_threads": 1, "max_bytes_before_external_group_by": 512 << 20, "max_execution_time": 0, "async_insert": 0,
	})
	for _, dimension := range append(slices.Clone(d.Dims), "") {
		sql := "INSERT INTO " + w.DistinctTable(d) + "\n" + w.count(d, grain, p.From, end, dimension, fingerprint{p.Through, p.Rows}) + "\nHAVING " + unless
		if err := w.exec(ctx, "warehouse: count "+d.table, set, sql); err != nil {
			return err
		}
	}
	return nil
}
