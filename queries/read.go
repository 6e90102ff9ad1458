package queries

import (
	"context"
	"strings"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// key is the place of a cell.
type key struct {
	from, to reference.Day // to is 0 but for windows
	hour     int
	by       string // dimension values, joined
}

const separator = "\x00"

func join(by []string) string { return strings.Join(by, separator) }

func split(by string, n int) []string {
	if n == 0 {
		return nil
	}
	return strings.Split(by, separator)
}

// sums is what a statement gave for one cell, before division.
type sums struct {
	numerator, denominator      Number
	buckets                     map[int32]int64
	cases, retracted, simulated int64
	persons                     int
	covered, expected           int64
	states                      string
}

// read runs a statement. Cells without a period have from 0.
func (q *Queries) read(ctx context.Context, s *statement) (map[key]*sums, error) {
	cells := map[key]*sums{}
	err := q.warehouse.Each(ctx, s.sql, s.params, func(scan warehouse.Scan) error {
		var k key
		var c sums
		var by []string
		var period, from, to time.Time
		var hour uint8
		var numerator, denominator *string
		var persons uint64
		dest := make([]any, len(s.columns))
		values := make([]string, len(s.columns))
		for i, is := range s.columns {
			switch is {
			case colPeriod:
				dest[i] = &period
			case colHour:
				dest[i] = &hour
			case colFrom:
				dest[i] = &from
			case colTo:
				dest[i] = &to
			case colBy:
				dest[i] = &values[i]
			case colNumerator:
				dest[i] = &numerator
			case colDenominator:
				dest[i] = &denominator
			case colBuckets:
				dest[i] = &c.buckets
			case colN:
				dest[i] = &c.cases
			case colRetracted:
				dest[i] = &c.retracted
			case colSimulated:
				dest[i] = &c.simulated
			case colPersons:
				dest[i] = &persons
			case colCovered:
				dest[i] = &c.covered
			case colExpected:
				dest[i] = &c.expected
			case colStates:
				dest[i] = &c.states
			}
		}
		if err := scan(dest...); err != nil {
			return err
		}
		for i, is := range s.columns {
			switch is {
			case colPeriod:
				k.from = reference.DayOf(period)
			case colFrom:
				k.from = reference.DayOf(from)
			case colTo:
				k.to = reference.DayOf(to)
			case colBy:
				by = append(by, values[i])
			}
		}
		k.hour, k.by, c.persons = int(hour), join(by), int(min(persons, 1<<30))
		if numerator != nil {
			c.numerator = Number(*numerator)
		}
		if denominator != nil {
			c.denominator = Number(*denominator)
		}
		cells[k] = &c
		if len(cells) > q.maxCells {
			return problem.New(problem.BadInput, "the answer has more than %d cells; ask for a shorter period, a coarser grain or fewer dimensions", q.maxCells).In("by")
		}
		return nil
	})
	return cells, err
}
