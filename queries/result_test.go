package queries_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"ombor/internal/kpi"
	"ombor/queries"
)

// TestCellJSON holds what a cell writes itself to what the library writes.
func TestCellJSON(t *testing.T) {
	texts := []string{"", "1703", "health's", `a "b" \c`, "<b>&", "Toshkent \u02bb\u2028", "a\nb\x00", "\xff", "\u007f"}
	numbers := []float64{0, math.Copysign(0, -1), 74.002, -1.5, 100, 1e-6, 9.99e-7, 1e20, 1e21, 123456789.123, 1.0 / 3}
	for i := range max(len(texts), len(numbers)) {
		text, value, cases := texts[i%len(texts)], numbers[i%len(numbers)], int64(i-3)
		for _, c := range []queries.Cell{
			{Period: text, Dims: []queries.Dim{{text + "x", text}}, Numerator: "12.50", Value: &value, State: kpi.HasValue, Cases: &cases, Closed: queries.Date{Day: day("2024-02-29"), Set: true}},
			{Period: text, Dims: []queries.Dim{{"state", text}}, State: kpi.NotApplicable, Reason: text + "."},
		} {
			line, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			var have map[string]json.RawMessage
			if err := json.Unmarshal(line, &have); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			want := map[string]any{"period": c.Period, "numerator": c.Numerator, "denominator": c.Denominator, "value": c.Value, "state": c.State, "cases": c.Cases,
				"open": c.Open(), "closed": c.Closed, "corrected": c.Corrected, "simulated": c.Simulated}
			if c.Reason != "" {
				want["reason"] = c.Reason
			}
			if c.Dims[0].Name == "state" {
				want["by.state"] = text
			}
			for key, value := range want {
				plain, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				if string(have[key]) != string(plain) {
					t.Errorf("%s is %s, the library writes %s", key, have[key], plain)
				}
			}
		}
	}
}

// TestResultJSON holds a whole result that writes itself to what an encoder writes of the same.
func TestResultJSON(t *testing.T) {
	shared, value, cases := &queries.Coverage{Covered: 1, Expected: 2, Words: "1 of 2 <sources>"}, 1.5, int64(3)
	for _, n := range []int{-1, 0, 1, 2, 999, 2001, 4100} { // one core writes some, several the others; -1: no list at all
		for _, plan := range []*queries.Plan{nil, {Table: "t", SQL: "a < b"}} {
			r := &queries.Result{KPI: "k", Notes: []string{"a < b & c"}, By: []string{"region", "state"}, Plan: plan}
			if n >= 0 {
				r.Cells = []queries.Cell{}
			}
			for i := range n {
				c := queries.Cell{Period: "2024", From: day("2024-01-01"), To: day("2024-12-31"), Dims: []queries.Dim{{"region", fmt.Sprint(i)}, {"state", "<"}}, Coverage: shared}
				switch i % 4 {
				case 1:
					c.From, c.Value, c.Cases, c.Numerator, c.State, c.Unclosed = day("2024-02-01"), &value, &cases, "1.50", kpi.HasValue, []string{"a", `"b"`}
				case 2:
					c.Coverage, c.Corrected, c.Was, c.WasState = &queries.Coverage{Covered: int64(i), Missing: []string{"x"}}, queries.Date{Day: c.To, Set: true}, &value, kpi.HasValue
				case 3:
					c.Coverage, c.Quantiles, c.Comparison = nil, []queries.Quantile{{Q: 0.5, Value: 1e-9}, {Q: 0.9, Value: 2}}, &queries.Comparison{Period: "2023", Change: &value}
				}
				r.Cells = append(r.Cells, c)
			}
			var want bytes.Buffer
			encoder := json.NewEncoder(&want)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(r); err != nil {
				t.Fatal(err)
			}
			have, err := r.AppendJSON([]byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if string(have)+"\n" != "x"+want.String() {
				t.Errorf("%d cells: it writes %.2000s, the encoder %.2000s", n, have, want.String())
			}
		}
	}
}
