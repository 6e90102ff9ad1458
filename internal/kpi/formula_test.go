package kpi

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseFormula(t *testing.T) {
	for _, test := range []struct {
		text string
		want []Term
	}{
		{"count()", []Term{{Coefficient: 1, Func: CountRows}}},
		{" count ( ) ", []Term{{Coefficient: 1, Func: CountRows}}},
		{"-count()", []Term{{Coefficient: -1, Func: CountRows}}},
		{"countIf(processing IN ('automatic', 'officer_online'))", []Term{{Coefficient: 1, Func: CountRows, If: "processing IN ('automatic', 'officer_online')"}}},
		{"sum(score) - count()", []Term{{Coefficient: 1, Func: Sum, Of: "score"}, {Coefficient: -1, Func: CountRows}}},
		{"4 * count()", []Term{{Coefficient: 4, Func: CountRows}}},
		{"count() * 4", []Term{{Coefficient: 4, Func: CountRows}}},
		{"sum(a) + 2*sumIf(b, c = 1)\n- 3 * countIf(d)", []Term{{Coefficient: 1, Func: Sum, Of: "a"}, {Coefficient: 2, Func: Sum, Of: "b", If: "c = 1"}, {Coefficient: -3, Func: CountRows, If: "d"}}},
		{"countIf(note = 'a, (b')", []Term{{Coefficient: 1, Func: CountRows, If: "note = 'a, (b'"}}},
		{`countIf(note = 'it''s \' )')`, []Term{{Coefficient: 1, Func: CountRows, If: `note = 'it''s \' )'`}}},
		{"sumIf(x[1], y IN [1, 2] AND z = (3))", []Term{{Coefficient: 1, Func: Sum, Of: "x[1]", If: "y IN [1, 2] AND z = (3)"}}},
		{"countIf(share > 0.5)", []Term{{Coefficient: 1, Func: CountRows, If: "share > 0.5"}}},
		{"max(x / 2) - min(x)", []Term{{Coefficient: 1, Func: Max, Of: "x / 2"}, {Coefficient: -1, Func: Min, Of: "x"}}},
		{"sum(fee * toDecimal64('0.01', 2))", []Term{{Coefficient: 1, Func: Sum, Of: "fee * toDecimal64('0.01', 2)"}}},
	} {
		f, err := ParseFormula(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if !slices.Equal(f.Terms, test.want) {
			t.Errorf("%q: terms %+v, want %+v", test.text, f.Terms, test.want)
		}
	}
}

func TestParseFormulaRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "at character 1: a formula is expected",
		"count() / count()":          "at character 9: + or - is expected between aggregates; a division is written as numerator and denominator",
		"count() count()":            "at character 9: + or -",
		"100":                        "at character 4: * and an aggregate are expected after 100",
		"0.5 * count()":              `at character 1: "0.5" is no coefficient`,
		"0 * count()":                `at character 1: "0" is no coefficient`,
		"2 * count() * 2":            "at character 13: one whole number",
		"9999999999 * count()":       `"9999999999" is no coefficient`,
		"1e3 * count()":              `"1e3" is no coefficient`,
		"count() +":                  "at character 10: an aggregate is expected",
		"avg(x)":                     `at character 1: "avg" is no aggregate that the ledger can retract; allowed: count()`,
		"count() + uniq(x)":          `at character 11: "uniq" is no aggregate`,
		"count":                      "at character 6: ( is expected after count",
		"count(x)":                   "at character 1: count takes no argument, here it has 1",
		"countIf()":                  "countIf takes one argument, here it has 0",
		"sumIf(x)":                   "sumIf takes 2 arguments, here it has 1",
		"sum(x, y)":                  "sum takes one argument, here it has 2",
		"sum(x,)":                    "at character 7: an argument is empty",
		"sum(,x)":                    "at character 5: an argument is empty",
		"countIf((a)":                "at character 8: this ( is never closed",
		"countIf(a]":                 "at character 10: ] closes nothing",
		"countIf([a)":                "at character 11: ] is expected before )",
		"countIf(a = 'b)":            "at character 13: this quote is never closed",
		"countIf(a); DROP TABLE x":   "at character 11: + or -",
		"countIf(a; b)":              "; is not allowed",
		"countIf(a -- b\n)":          "comments are not allowed",
		"countIf(a /* b */)":         "comments are not allowed",
		"countIf(a # b\n)":           "comments are not allowed",
		"countIf(a IN (SELECT 1))":   "at character 15: a query inside a formula is not allowed",
		"sum(x * 0.5)":               "at character 9: 0.5 makes a float",
		"sum(x / 2)":                 "at character 7: a division makes a float",
		"sum(toFloat64(x))":          "at character 5: toFloat64 makes a float",
		"sum(CAST(x AS Float64))":    "Float64 makes a float",
		"sum(1e3 * x)":               "1e3 makes a float",
		"countIf(ж = 1) + avg(x)":    `at character 18: "avg"`,
		"countIf(a)\x00":             "without NUL",
		strings.Repeat("(", 100_000): "an aggregate is expected",
	} {
		f, err := ParseFormula(text)
		if err == nil {
			t.Errorf("%.40q was read as %+v", text, f.Terms)
			continue
		}
		var at *FormulaError
		if !errors.As(err, &at) || at.Position < 1 {
			t.Errorf("%.40q: error %v names no position", text, err)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: said %q, want %q", text, err, want)
		}
	}
}

func TestColumns(t *testing.T) {
	for text, want := range map[string]string{
		"processing IN ('automatic', 'offline')":                      "processing",
		"a AND NOT b OR isNull(c)":                                    "a b c",
		"dateDiff('second', submitted_at, time) / 3600":               "submitted_at time",
		"time - INTERVAL 1 DAY < deadline":                            "time deadline",
		"CAST(a AS Int64) + b::UInt8":                                 "a b",
		"arrayExists(x -> x = a, [b, c])":                             "a b c",
		"arrayExists((x, y) -> x = y AND a, p, q)":                    "a p q",
		"`a` = \"b\" AND 'c' = 'd'":                                   "a b",
		"CASE WHEN a THEN 1 ELSE 2 END":                               "a",
		"a = a AND a":                                                 "a",
		"1.5e3 < a":                                                   "a",
		"toStartOfHour(time) BETWEEN from_time AND if(null, TRUE, b)": "time from_time b",
	} {
		if got := strings.Join(Columns(text), " "); got != want {
			t.Errorf("%s: columns %q, want %q", text, got, want)
		}
	}
}

func TestRetractable(t *testing.T) {
	for text, want := range map[string]bool{"count()": true, "sum(x) - sumIf(x, y)": true, "count() + max(x)": false} {
		f, err := ParseFormula(text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Retractable() != want {
			t.Errorf("%s: retractable is %t", text, !want)
		}
	}
}

// What is read can be written down again and means the same; whatever is not read
// has an error that names a place in the text.
func FuzzParseFormula(f *testing.F) {
	for _, seed := range []string{"count()", "4*sumIf(a, b = 'x,''y\\'') - countIf(c IN (1, 2))", "sum(x) * 3 + min(`a b`)",
		"countIf(\"(\" = '", "- - count()", "countIf(ж→)", "sum(0x1F * x)", "countIf(a->b::c)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		formula, err := ParseFormula(text)
		if err != nil {
			var at *FormulaError
			if !errors.As(err, &at) || at.Position < 1 || at.Position > len(text)+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		var b strings.Builder
		for _, term := range formula.Terms {
			b.WriteString(term.String())
		}
		again, err := ParseFormula(b.String())
		if err != nil {
			t.Fatalf("%q was read, its form %q was not: %v", text, b.String(), err)
		}
		if !slices.Equal(again.Terms, formula.Terms) {
			t.Fatalf("%q: %+v, again %+v", text, formula.Terms, again.Terms)
		}
		for _, expression := range formula.expressions(Side{}) {
			Columns(expression)
		}
	})
}

// TestFormulaOfEveryKind holds the line in which each kind of definition is told to readers of any language.
func TestFormulaOfEveryKind(t *testing.T) {
	for want, v := range map[string]Version{
		"countIf(mobile) ÷ count()":                        {Numerator: &Formula{Text: "countIf(mobile)"}, Denominator: &Formula{Text: "count()"}},
		"count() ÷ (regions.population / 1000)":            {Numerator: &Formula{Text: "count()"}, Per: &Per{Table: "regions", Column: "population", Each: 1000}},
		"quantile(0.5)(hours)":                             {Distribution: &Distribution{Of: "divided", Text: "hours", Quantiles: []float64{0.5, 0.9}}},
		"quantileIf(0.9)(hours, decided)":                  {Distribution: &Distribution{Of: "hours", If: "decided", Quantiles: []float64{0.9}}},
		"uniqExact(user)":                                  {Distinct: &Distinct{Of: "user"}},
		"quantile(0.5)(age(case.received ∖ case.decided))": {Backlog: &Backlog{Enters: "case.received", Leaves: "case.decided", Quantiles: []float64{0.5}}},
	} {
		if got := v.Formula(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestApart(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"field = 'court'", "field = 'school'", true},
		{"field = 'court' AND minutes > 0", "minutes > 5 AND field = 'school'", true},
		{"field = 'court'", "field = 'court' AND minutes > 0", false},
		{"field = 'court'", "minutes > 0", false},
		{"field = 'court'", "", false},
		{"field = 'court' OR minutes > 0", "field = 'school'", false},
		{"(field = 'court' OR minutes > 0)", "field = 'school'", false},
		{"NOT field = 'court'", "field = 'school'", false},
		{"field = 'court' AND (a OR b)", "field = 'school'", true},
		{"field = other", "field = 'school'", false},
		{"field = 'a\\'b'", "field = 'school'", false},
		{"lower(field) = 'court'", "field = 'school'", false},
		{"field = 'court' ? a : b", "field = 'school'", false},
		{"field = 'court", "field = 'school'", false},
	} {
		if got := Apart(c.a, c.b); got != c.want {
			t.Errorf("Apart(%q, %q) = %v", c.a, c.b, got)
		}
	}
}
