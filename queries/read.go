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
	span     int    // place in question.spans, from 1
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
	found, err := q.readJoint(ctx, s, 1)
	return found[0], err
}

// readJoint runs what n statements were made into. A cell that one of them would not have
// has no cases in its answer.
func (q *Queries) readJoint(ctx context.Context, s *statement, n int) ([]map[key]*sums, error) {
	found := make([]map[key]*sums, n)
	for i := range found {
		found[i] = map[key]*sums{}
	}
	// The places that a row is read into are the same for all rows but those of its cells.
	var period, from, to time.Time
	var hour uint8
	var span uint16
	numerators, denominators, persons := make([]*string, n), make([]*string, n), make([]uint64, n)
	dest, values := make([]any, len(s.columns)), make([]string, len(s.columns))
	by := make([]string, 0, len(s.columns))
	err := q.warehouse.Each(ctx, s.sql, s.params, func(scan warehouse.Scan) error {
		var k key
		by = by[:0]
		clear(numerators)
		clear(denominators)
		cells := make([]sums, n)
		for i, is := range s.columns {
			of := 0
			if s.of != nil {
				of = s.of[i]
			}
			c := &cells[of]
			switch is {
			case colPeriod:
				dest[i] = &period
			case colHour:
				dest[i] = &hour
			case colSpan:
				dest[i] = &span
			case colFrom:
				dest[i] = &from
			case colTo:
				dest[i] = &to
			case colBy:
				dest[i] = &values[i]
			case colNumerator:
				dest[i] = &numerators[of]
			case colDenominator:
				dest[i] = &denominators[of]
			case colBuckets:
				dest[i] = &c.buckets
			case colN:
				dest[i] = &c.cases
			case colRetracted:
				dest[i] = &c.retracted
			case colSimulated:
				dest[i] = &c.simulated
			case colPersons:
				dest[i] = &persons[of]
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
		k.hour, k.span, k.by = int(hour), int(span), join(by)
		for i := range cells {
			c := &cells[i]
			c.persons = int(min(persons[i], 1<<30))
			if numerators[i] != nil {
				c.numerator = Number(*numerators[i])
			}
			if denominators[i] != nil {
				c.denominator = Number(*denominators[i])
			}
			found[i][k] = c
		}
		if len(found[0]) > q.maxCells {
			return problem.New(problem.BadInput, "the answer has more than %d cells; ask for a shorter period, a coarser grain or fewer dimensions", q.maxCells).In("by")
		}
		return nil
	})
	return found, err
}

// find reads a statement the way that its question asks for.
func (q *Queries) find(ctx context.Context, qn *question, s *statement) (map[key]*sums, error) {
	if qn.ask != nil {
		return qn.ask(ctx, s)
	}
	return q.read(ctx, s)
}
