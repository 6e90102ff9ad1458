package queries

import (
	"context"
	"strings"

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

// splitAll is [split] of each, as parts of one piece.
func splitAll(tuples []string, n int) [][]string {
	list, values := make([][]string, len(tuples)), make([]string, 0, len(tuples)*n)
	for i, by := range tuples {
		from := len(values)
		for range n {
			value, rest, _ := strings.Cut(by, separator)
			values, by = append(values, value), rest
		}
		list[i] = values[from:len(values):len(values)]
	}
	return list
}

// sums is what a statement gave for one cell, before division.
type sums struct {
	row                         int // of the statement's answer
	numerator, denominator      Number
	buckets                     warehouse.Histogram
	cases, retracted, simulated int64
	persons                     int
	sure                        int // of them, whom no other row takes away: where rows take cases away
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
	err := q.warehouse.Columns(ctx, s.sql, s.params, func(rows int, columns []warehouse.Column) error {
		if len(found[0])+rows > q.maxCells {
			return q.tooMany("by", "the answer has more than %d cells; ask for a shorter period, a coarser grain or fewer dimensions", q.maxCells)
		}
		keys, by := make([]key, rows), make([][]string, 0, len(columns))
		cells := make([][]sums, n)
		for i := range cells {
			cells[i] = make([]sums, rows)
		}
		for i, c := range columns {
			of := 0
			if s.of != nil {
				of = s.of[i]
			}
			if err := into(cells[of], keys, &by, s.columns[i], c); err != nil {
				return err
			}
		}
		for row, joined := range joinAll(by, rows) {
			keys[row].by = joined
		}
		for i := range cells {
			if found[i] == nil {
				found[i] = make(map[key]*sums, rows)
			}
			before := len(found[i])
			for row := range cells[i] {
				c := &cells[i][row]
				c.row = before + row
				found[i][keys[row]] = c
			}
		}
		return nil
	})
	for i := range found {
		if found[i] == nil {
			found[i] = map[key]*sums{}
		}
	}
	return found, err
}

// into copies a column into the cells and keys of its rows, or adds it to the dimensions.
func into(cells []sums, keys []key, by *[][]string, is columnOf, c warehouse.Column) error {
	numbers := func(set func(row int, n int64)) error {
		list, err := c.Numbers()
		for row, n := range list {
			set(row, n)
		}
		return err
	}
	texts := func(set func(row int, text string)) error {
		list, err := c.Texts()
		for row, text := range list {
			set(row, text)
		}
		return err
	}
	switch is {
	case colPeriod, colFrom:
		return numbers(func(row int, n int64) { keys[row].from = reference.Day(n) })
	case colTo:
		return numbers(func(row int, n int64) { keys[row].to = reference.Day(n) })
	case colHour:
		return numbers(func(row int, n int64) { keys[row].hour = int(n) })
	case colSpan:
		return numbers(func(row int, n int64) { keys[row].span = int(n) })
	case colBy:
		list, err := c.Texts()
		*by = append(*by, list)
		return err
	case colNumerator:
		return texts(func(row int, text string) { cells[row].numerator = Number(text) })
	case colDenominator:
		return texts(func(row int, text string) { cells[row].denominator = Number(text) })
	case colBuckets:
		list, err := c.Histograms()
		for row, buckets := range list {
			cells[row].buckets = buckets
		}
		return err
	case colN:
		return numbers(func(row int, n int64) { cells[row].cases = n })
	case colRetracted:
		return numbers(func(row int, n int64) { cells[row].retracted = n })
	case colSimulated:
		return numbers(func(row int, n int64) { cells[row].simulated = n })
	case colPersons:
		return numbers(func(row int, n int64) { cells[row].persons = int(min(n, 1<<30)) })
	case colSure:
		return numbers(func(row int, n int64) { cells[row].sure = int(min(n, 1<<30)) })
	case colCovered:
		return numbers(func(row int, n int64) { cells[row].covered = n })
	case colExpected:
		return numbers(func(row int, n int64) { cells[row].expected = n })
	case colStates:
		return texts(func(row int, text string) { cells[row].states = text })
	}
	return problem.New(problem.Internal, "queries: nothing is known of column %d of a statement", is)
}

// joinAll is [join] for each row of columns, as parts of one string.
func joinAll(columns [][]string, rows int) []string {
	size := rows * max(0, len(columns)-1) // of separators
	for _, column := range columns {
		for _, text := range column {
			size += len(text)
		}
	}
	var all strings.Builder
	all.Grow(size)
	ends := make([]int, rows)
	for row := range rows {
		for i, column := range columns {
			if i > 0 {
				all.WriteString(separator)
			}
			all.WriteString(column[row])
		}
		ends[row] = all.Len()
	}
	list, text, from := make([]string, rows), all.String(), 0
	for row, end := range ends {
		list[row], from = text[from:end], end
	}
	return list
}

// find reads a statement the way that its question asks for.
func (q *Queries) find(ctx context.Context, qn *question, s *statement) (map[key]*sums, error) {
	if qn.ask != nil {
		return qn.ask(ctx, s)
	}
	return q.read(ctx, s)
}
