package queries_test

import (
	"encoding/json"
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
			{Period: text, Dims: []queries.Dim{{text + "x", text}}, Numerator: "12.50", Value: &value, State: kpi.HasValue, Cases: &cases, Open: true, Closed: queries.Date{Day: day("2024-02-29"), Set: true}},
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
				"open": c.Open, "closed": c.Closed, "corrected": c.Corrected, "simulated": c.Simulated}
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
