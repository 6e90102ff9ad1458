package dashboards

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"

	"ombor/internal/reference"
	"ombor/queries"
)

// TestFiveStates sends a cell of every state through every format and reads it back: a value that is
// not there is nowhere a zero, a zero nowhere absent, and the state stands beside it as it was.
func TestFiveStates(t *testing.T) {
	number := func(f float64) *float64 { return &f }
	day := reference.DayOf(noon)
	result := &queries.Result{KPI: "cases", Unit: "percent", By: []string{}}
	want := []string{"value 37.5", "zero 0", "not_applicable –", "not_provided –", "suppressed –"}
	for i, c := range []queries.Cell{
		{State: queries.HasValue, Value: number(37.5), Numerator: "3", Denominator: "8"},
		{State: queries.Zero, Value: number(0), Numerator: "0", Denominator: "8"},
		{State: queries.NotApplicable, Reason: "no_cases", Numerator: "0", Denominator: "0"},
		{State: queries.NotProvided},
		{State: queries.Suppressed},
	} {
		c.From, c.To = day+reference.Day(i), day+reference.Day(i)
		c.Period = c.From.String()
		result.Cells = append(result.Cells, c)
	}
	s := small(t)
	figures := s.cellTable(result, "en")
	at := map[string]int{}
	for i, c := range figures.columns {
		at[c.name] = i
	}
	read := map[string]func(body []byte) ([]string, error){
		"json": func(body []byte) (list []string, err error) {
			var answer struct{ Cells []map[string]any }
			err = json.Unmarshal(body, &answer)
			for _, c := range answer.Cells {
				value, there := c["value"]
				if !there {
					return nil, fmt.Errorf("a cell has no value, not even null")
				}
				list = append(list, told(c["state"], value))
			}
			return list, err
		},
		"csv": func(body []byte) (list []string, err error) {
			records, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
			for _, r := range records[1:] {
				list = append(list, told(r[at["state"]], r[at["value"]]))
			}
			return list, err
		},
		"xlsx": func(body []byte) (list []string, err error) {
			book, err := excelize.OpenReader(bytes.NewReader(body))
			if err != nil {
				return nil, err
			}
			for i := range result.Cells {
				var cells [2]string
				for j, name := range []string{"state", "value"} {
					place, _ := excelize.CoordinatesToCellName(at[name]+1, i+2)
					if cells[j], err = book.GetCellValue("Sheet1", place); err != nil {
						return nil, err
					}
				}
				list = append(list, told(cells[0], cells[1]))
			}
			return list, book.Close()
		},
		"parquet": func(body []byte) (list []string, err error) {
			file, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
			if err != nil {
				return nil, err
			}
			place := map[string]int{}
			for i, path := range file.Schema().Columns() {
				place[path[0]] = i
			}
			rows := parquet.NewReader(file)
			defer rows.Close()
			for range result.Cells {
				found := make([]parquet.Row, 1)
				if n, _ := rows.ReadRows(found); n != 1 {
					return nil, fmt.Errorf("%d rows", len(list))
				}
				var value any
				if v := found[0][place["value"]]; !v.IsNull() {
					value = v.Double()
				}
				list = append(list, told(found[0][place["state"]].String(), value))
			}
			return list, nil
		},
		"arrow": func(body []byte) (list []string, err error) {
			stream, err := ipc.NewReader(bytes.NewReader(body))
			if err != nil {
				return nil, err
			}
			defer stream.Release()
			for stream.Next() {
				states, values := stream.Record().Column(at["state"]).(*array.String), stream.Record().Column(at["value"]).(*array.Float64)
				for i := range int(stream.Record().NumRows()) {
					var value any
					if values.IsValid(i) {
						value = values.Value(i)
					}
					list = append(list, told(states.Value(i), value))
				}
			}
			return list, stream.Err()
		},
	}
	for _, f := range formats {
		out, err := render(&answer{body: result, name: "cases", table: func() (*table, error) { return figures, nil }}, f)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if read[f.name] == nil {
			t.Fatalf("%s: nobody looks how it tells states", f.name)
		}
		got, err := read[f.name](out.body)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s tells %q, want %q (%v)", f.name, got, want, err)
		}
	}
}

// told is a state and its value, where there is one.
func told(state, value any) string {
	if value == nil || value == "" {
		value = "–"
	}
	return fmt.Sprintf("%v %v", state, value)
}

// TestProblemIsNoState holds the tables of figures that could not be asked for: they say why, and
// no state, for a figure of which nothing is known has none. One that nobody has sent has one.
func TestProblemIsNoState(t *testing.T) {
	const why = "discount-rate is published for a whole quarter, year"
	s := small(t)
	rows := func(problem string) map[string]*table {
		return map[string]*table{
			"targets":   promiseTable(promisesBody{Targets: []promiseBody{{Promise: queries.Promise{KPI: "discount-rate", Problem: problem}}}}, "en"),
			"scorecard": s.scorecardTable(scorecardBody{Scorecard: &queries.Scorecard{Rows: []queries.ScorecardRow{{KPI: "discount-rate", Problem: problem}}}}, "en"),
			"changes":   changesTable(changesBody{Changes: &queries.Changes{Changes: []queries.Change{{KPI: "discount-rate", Problem: problem}}}}, "en"),
		}
	}
	for problem, state := range map[string]string{why: "", "": "not_provided"} {
		for name, answer := range rows(problem) {
			cells := map[string]any{}
			if len(answer.rows) != 1 || len(answer.rows[0]) != len(answer.columns) {
				t.Fatalf("%s: %d columns, %v", name, len(answer.columns), answer.rows)
			}
			for i, c := range answer.columns {
				cells[c.name] = answer.rows[0][i]
			}
			states := []string{"state"}
			if name == "changes" {
				states = []string{"was_state", "now_state"}
			}
			for _, column := range states {
				if cells[column] != state || cells["problem"] != problem {
					t.Errorf("%s: %s %q, problem %q; want %q, %q", name, column, cells[column], cells["problem"], state, problem)
				}
			}
		}
	}
}
