package contract

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Rules that are compiled to closures have CEL's outcome on every row: random
// expressions of the shapes that are compiled, over events with any fields left out.
func TestRulesAgainstCEL(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := every()
	c.Fields = append(c.Fields, Field{Name: "later", Type: Timestamp}, Field{Name: "more", Type: Integer}, Field{Name: "no", Type: Boolean})
	b := checker(t, c).NewBatch()
	env, err := ruleEnvironment(c)
	if err != nil {
		t.Fatal(err)
	}
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	compare := func() string { return pick("<", "<=", ">", ">=", "==", "!=") }
	instant := func() string {
		return pick("time", "at", "later", "day", "at + duration('36h')", "duration('1500ms') + later", "day - duration('24h')", "timestamp('2024-06-30T12:00:00.5Z')")
	}
	var expression func(depth int) string
	expression = func(depth int) string {
		if depth > 0 && random.IntN(2) == 0 {
			switch random.IntN(3) {
			case 0:
				return "!(" + expression(depth-1) + ")"
			case 1:
				return "(" + expression(depth-1) + " && " + expression(depth-1) + ")"
			}
			return "(" + expression(depth-1) + " || " + expression(depth-1) + ")"
		}
		switch random.IntN(9) {
		case 0:
			return "has(" + pick("text", "code", "ref", "at", "whole", "yes", "number") + ")"
		case 1:
			return pick("yes", "no", "true", "false")
		case 2:
			return pick("whole", "money", "took", "more") + compare() + pick("whole", "more", "3", "-2", "0")
		case 3:
			return pick("price", "number") + compare() + pick("price", "number", "1.5", "-0.0")
		case 4:
			return pick("text", "code", "enum") + compare() + pick("text", "code", "'a'", "'b'", "''")
		case 5:
			return instant() + compare() + instant()
		case 6:
			return pick("at - time", "time - later", "day - at") + compare() + pick("duration('10s')", "duration('-720h')", "later - at")
		case 7:
			return pick("whole", "more", "3") + pick(" in [1, 2, 3]", " in []", " in [0]")
		}
		return pick("text", "enum", "'a'") + pick(" in ['a', 'x']", " in ['b']")
	}
	data := func() string {
		var members []string
		for _, m := range []string{
			`"text":` + pick(`"a"`, `"b"`, `"x"`, `""`), `"code":` + pick(`"a"`, `"b"`), `"enum":` + pick(`"a"`, `"b"`), `"ref":"1726"`,
			`"at":` + pick(`"2024-06-30T18:30:00Z"`, `"2024-06-30T18:30:09.999Z"`, `"1900-01-01T00:00:00Z"`, `"2149-06-05T00:00:00Z"`),
			`"later":` + pick(`"2024-07-02T06:30:00Z"`, `"2024-06-30T12:00:00.5Z"`), `"day":` + pick(`"2024-07-01"`, `"2024-06-30"`, `"1991-03-31"`),
			`"whole":` + pick("3", "-2", "0"), `"more":` + pick("1", "3"), `"money":3`, `"took":0`, `"price":` + pick("1.5", "0", "-3.25"), `"number":` + pick("1.5", "0", "-1e3"),
			`"yes":` + pick("true", "false"), `"no":` + pick("true", "false"),
		} {
			if random.IntN(3) > 0 {
				members = append(members, m)
			}
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	outcomes := map[string]int{}
	for range 3000 {
		check := expression(3)
		checked, issues := env.Compile(check)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", check, issues.Err())
		}
		compiled := rule{test: native(c.compiled, checked)}
		if compiled.test == nil {
			outcomes["left to CEL"]++
			continue
		}
		program, err := env.Program(checked)
		if err != nil {
			t.Fatal(err)
		}
		interpreted := rule{program: program}
		for range 20 {
			d := data()
			if r := b.Add(0, []byte(envelopeWith("every.v1", d))); r != nil {
				t.Fatal(r)
			}
			got, want := b.holds(&compiled), b.holds(&interpreted)
			if got != want {
				t.Fatalf("%s over %s: %v, CEL says %v", check, d, got, want)
			}
			outcomes[fmt.Sprint(got)]++
		}
		b.Parts()
	}
	t.Log(outcomes)
	if outcomes["true"] < 10_000 || outcomes["false"] < 10_000 || outcomes["left to CEL"] > 30 {
		t.Errorf("the expressions do not try enough: %v", outcomes)
	}
}

// Other shapes are left to CEL.
func TestRulesLeftToCEL(t *testing.T) {
	c := every()
	checker(t, c)
	env, err := ruleEnvironment(c)
	if err != nil {
		t.Fatal(err)
	}
	for check, compiled := range map[string]bool{
		"whole >= 0": true, "at <= time": true, "day <= time": true, "!has(money) || money > 1": true, "enum in ['a']": true,
		"whole + 1 > 0": false, "100 / took > 1": false, "text.startsWith('a')": false, "size(text) > 3": false, "time.getHours() > 3": false,
		"yes == true": false, "whole > 1 ? yes : true": false, "timestamp(text) < time": false, "whole in [1, whole]": false,
		"(time - at) - (at - time) > duration('1s')": false, "time + (at - time) > at": true,
	} {
		checked, issues := env.Compile(check)
		if issues.Err() != nil {
			t.Fatalf("%s: %v", check, issues.Err())
		}
		if got := native(c.compiled, checked) != nil; got != compiled {
			t.Errorf("%s: compiled %v, want %v", check, got, compiled)
		}
	}
}
