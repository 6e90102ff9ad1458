package kpi

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

func day(t *testing.T, text string) reference.Day {
	t.Helper()
	d, err := reference.ParseDay(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func of(n float64) *float64 { return &n }

func TestDivide(t *testing.T) {
	for _, test := range []struct {
		numerator   float64
		denominator *float64
		unit        Unit
		want        Value
	}{
		{74, of(100), Percent, Value{74, HasValue, ""}},
		{7, of(10), Percent, Value{70, HasValue, ""}},
		{3, of(2), Percent, Value{150, HasValue, ""}}, // a finding, never clipped
		{1, of(4), Ratio, Value{0.25, HasValue, ""}},
		{-5, of(2), Hours, Value{-2.5, HasValue, ""}},
		{12, nil, Count, Value{12, HasValue, ""}},
		{0, nil, Count, Value{0, Zero, ""}},
		{0, of(9), Percent, Value{0, Zero, ""}},
		{0, of(0), Percent, Value{0, NotApplicable, NoCases}},
		{3, of(0), Percent, Value{0, NotApplicable, NoDenominator}},
	} {
		if got := Divide(test.numerator, test.denominator, test.unit); got != test.want {
			t.Errorf("%v ÷ %v in %s: %+v, want %+v", test.numerator, test.denominator, test.unit, got, test.want)
		}
	}
}

func TestStatusOf(t *testing.T) {
	due := day(t, "2024-12-31")
	target := func(change func(*Target)) *Target {
		x := &Target{Kind: Asked, Comparator: AtLeast, Value: 75, Due: due, DueStated: true}
		change(x)
		return x
	}
	asked := target(func(*Target) {})
	value := func(n float64) Value { return Value{Number: n, State: HasValue} }
	for _, test := range []struct {
		name   string
		target *Target
		value  Value
		today  reference.Day
		want   Status
	}{
		{"equal", asked, value(75), due, Reached},
		{"above", asked, value(80), due + 100, Reached},
		{"on the day", asked, value(74.9), due, Open}, // nothing is known to start from
		{"the day after", asked, value(74.9), due + 1, Missed},
		{"zero", asked, Value{State: Zero}, due + 1, Missed},
		{"no report", asked, Value{State: NotProvided}, due + 1, Unmeasured},
		{"no cases", asked, Value{State: NotApplicable}, due + 1, Unmeasured},
		{"hidden", asked, Value{State: Suppressed}, due + 1, Unmeasured},
		{"at most, below", target(func(x *Target) { x.Comparator = AtMost }), value(74), due, Reached},
		{"at most, above", target(func(x *Target) { x.Comparator = AtMost }), value(76), due + 1, Missed},
		{"date not stated", target(func(x *Target) { x.DueStated = false }), value(1), due + 1, Open},
		{"no date", target(func(x *Target) { x.Due = reference.NoDay }), value(1), due + 1, Open},
		{"claim", target(func(x *Target) { x.Kind = Claim }), value(1), due + 1, NotATarget},
	} {
		if got := StatusOf(test.target, test.value, nil, test.today); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestCourse walks a target of 75 that starts from 50 on 1 June and is due after a hundred
// days, on 9 September: a quarter of a point a day.
func TestCourse(t *testing.T) {
	start := day(t, "2024-06-01")
	asked := &Target{Kind: Asked, Comparator: AtLeast, Value: 75, Due: start + 100, DueStated: true, Act: Act{InForce: start}}
	for _, test := range []struct {
		on                  reference.Day
		number              float64
		expected, projected float64
		want                Status
	}{
		{start + 20, 55, 55, 75, OnCourse},
		{start + 20, 54, 55, 70, AtRisk}, // 20 of 25 points: four fifths of the way
		{start + 20, 53.9, 55, 69.5, OffCourse},
		{start + 20, 45, 55, 25, OffCourse},
		{start + 80, 75, 70, 81.25, Reached},
		{start + 100, 74, 75, 74, AtRisk},
	} {
		course := CourseOf(asked, 50, test.number, test.on)
		if course == nil || course.Start != start || course.Baseline != 50 || math.Abs(course.Expected-test.expected) > 1e-9 || math.Abs(course.Projected-test.projected) > 1e-9 {
			t.Errorf("%v on %s: %+v", test.number, test.on, course)
		}
		if got := StatusOf(asked, Value{Number: test.number, State: HasValue}, course, test.on); got != test.want {
			t.Errorf("%v on %s: %s, want %s", test.number, test.on, got, test.want)
		}
	}
	down := &Target{Kind: Asked, Comparator: AtMost, Value: 10, Due: start + 100, DueStated: true, Baseline: &Baseline{On: start + 50, Value: of(20)}, Act: Act{InForce: start}}
	if got := CourseOf(down, 20, 16, start+75); got == nil || got.Expected != 15 || got.Projected != 12 || StatusOf(down, Value{Number: 16, State: HasValue}, got, start+75) != AtRisk {
		t.Errorf("at most 10: %+v", got)
	}
	for name, none := range map[string]*Course{
		"on its first day": CourseOf(asked, 50, 55, start), "afterwards": CourseOf(asked, 50, 55, start+101),
		"no day stated":     CourseOf(&Target{Kind: Asked, Value: 75, Due: start + 100, Act: Act{InForce: start}}, 50, 55, start+20),
		"no day to start":   CourseOf(&Target{Kind: Asked, Value: 75, Due: start + 100, DueStated: true, Act: Act{InForce: reference.NoDay}}, 50, 55, start+20),
		"of a result":       CourseOf(&Target{Kind: Result, Value: 75, Due: start + 100, DueStated: true, Act: Act{InForce: start}}, 50, 55, start+20),
		"in force too late": CourseOf(&Target{Kind: Asked, Value: 75, Due: start, DueStated: true, Act: Act{InForce: start}}, 50, 55, start),
	} {
		if none != nil {
			t.Errorf("%s: %+v, want none", name, none)
		}
	}
}

func TestHolds(t *testing.T) {
	for _, test := range []struct {
		comparator Comparator
		value      float64
		holds, not []float64
	}{
		{AtLeast, 680, []float64{680, 700}, []float64{679}},
		{AtMost, 0, []float64{0}, []float64{0.1}},
		{About, 74, []float64{73.5, 74.5}, []float64{73.4, 74.6}},
		{About, 8_300_000, []float64{8_250_000, 8_350_000}, []float64{8_249_999, 8_350_001}},
		{About, 10_000_000, []float64{9_500_000, 10_500_000}, []float64{9_499_999, 10_500_001}},
		{About, 7, []float64{6.5, 7.5}, []float64{6.4, 7.6}},
		{About, 0.5, []float64{0.45, 0.55}, []float64{0.44, 0.56}},
		{UpTo, 20, []float64{19.8, 25}, []float64{19.7}},
		{"", 0, nil, []float64{0, 1}},
	} {
		target := &Target{Comparator: test.comparator, Value: test.value}
		for _, n := range test.holds {
			if !target.Holds(n) {
				t.Errorf("%s %v does not hold %v", test.comparator, test.value, n)
			}
		}
		for _, n := range test.not {
			if target.Holds(n) {
				t.Errorf("%s %v holds %v", test.comparator, test.value, n)
			}
		}
	}
}

func TestSelect(t *testing.T) {
	first, second := day(t, "2024-01-01"), day(t, "2025-01-01")
	k := &KPI{ID: "share", Versions: []Version{
		{Version: 1, Valid: reference.Span{From: first, To: second - 1}},
		{Version: 2, Valid: reference.Span{From: second, To: reference.NoDay}},
		{Version: 1, Variant: "strict", Valid: reference.Span{From: reference.NoDay, To: reference.NoDay}},
	}}
	if got := k.Variants(); !slices.Equal(got, []string{"", "strict"}) {
		t.Errorf("variants %q", got)
	}
	for _, test := range []struct {
		variant string
		number  int
		day     reference.Day
		want    *Version
		message string
	}{
		{"", 0, first, &k.Versions[0], ""},
		{"", 0, second - 1, &k.Versions[0], ""},
		{"", 0, second, &k.Versions[1], ""},
		{"", 0, reference.NoDay, &k.Versions[1], ""},
		{"", 1, second, &k.Versions[0], ""},
		{"strict", 0, first, &k.Versions[2], ""},
		{"", 0, first - 1, nil, "no definition for 2023-12-31; it has: 1 from 2024-01-01 to 2024-12-31, 2 from 2025-01-01"},
		{"", 3, first, nil, "no version 3"},
		{"loose", 0, first, nil, `no variant "loose"; it has: strict`},
	} {
		got, err := k.Select(test.variant, test.number, test.day)
		if got != test.want {
			t.Errorf("%q %d %s: %+v", test.variant, test.number, test.day, got)
		}
		if test.message != "" && (problem.KindOf(err) != problem.NotFound || !strings.Contains(err.Error(), test.message)) {
			t.Errorf("%q %d %s: said %v, want %s", test.variant, test.number, test.day, err, test.message)
		}
	}
	plain := &KPI{ID: "count", Versions: []Version{{Version: 1}}}
	if _, err := plain.Select("loose", 0, first); err == nil || !strings.Contains(err.Error(), `has no variants: leave variant="loose" out`) {
		t.Errorf("of one definition: %v", err)
	}
}

func TestCatalogue(t *testing.T) {
	target := func(due string, value float64) *Target {
		x := &Target{KPI: "a", Kind: Asked, Comparator: AtLeast, Value: value, Due: reference.NoDay}
		if due != "" {
			x.Due = day(t, due)
		}
		return x
	}
	claim := &Target{KPI: "a", Kind: Claim, Due: reference.NoDay}
	north := target("2024-03-01", 1)
	north.Where = map[string]string{"region": "north"}
	c := NewCatalogue([]*KPI{{ID: "b"}, {ID: "a"}},
		[]*Target{claim, north, target("2025-12-31", 3), target("2024-12-31", 2), target("", 9)})
	if all := c.All(); len(all) != 2 || all[0].ID != "a" {
		t.Errorf("order %v", all)
	}
	if _, err := c.KPI("c"); problem.KindOf(err) != problem.NotFound || !strings.Contains(err.Error(), "there are: a, b") {
		t.Errorf("said %v", err)
	}
	for text, want := range map[string]float64{"2024-01-01": 2, "2024-12-31": 2, "2025-01-01": 3, "2026-01-01": 9} {
		if got := c.Target("a", "", day(t, text)); got == nil || got.Value != want {
			t.Errorf("on %s: %+v, want %v", text, got, want)
		}
	}
	if len(c.Published("a")) != 5 || c.Target("b", "", 0) != nil || c.Target("a", "strict", 0) != nil {
		t.Error("what was published is not told apart")
	}
}

func TestDeclares(t *testing.T) {
	v := &Version{Rollups: [][]string{{"service", "agency"}, {"region", "processing"}}}
	for names, want := range map[string]bool{"": true, "service": true, "agency service": true, "service region": false, "colour": false} {
		if got := v.Declares(strings.Fields(names)); got != want {
			t.Errorf("%q: %t", names, got)
		}
	}
	if got := v.Dimensions(); !slices.Equal(got, []string{"service", "agency", "region", "processing"}) {
		t.Errorf("dimensions %v", got)
	}
}

func TestComparisons(t *testing.T) {
	for expression, want := range map[string]string{
		"kind = 'a' AND note != 'it''s'":                 "kind=a note=it's",
		"'a' == `kind` OR kind <> 'b'":                   "kind=a kind=b",
		"kind NOT IN ('a', 'b') OR its.kind in ('c')":    "kind=a kind=b its.kind=c",
		"its.kind != 'a' AND NOT its.time <= time":       "its.kind=a",
		"lower(kind) = 'a' OR 'a' = lower(kind)":         "",
		"fee = 1 AND fee IN (1, 2) AND kind = other":     "",
		"has(['a'], kind) AND CASE kind WHEN 'a' THEN 1": "",
		"'a = b' != kind AND fee >= 1":                   "kind=a = b",
	} {
		var got []string
		for _, c := range Comparisons(expression) {
			got = append(got, c.Column+"="+c.Text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Comparisons(%q) = %q, want %q", expression, got, want)
		}
	}
}
