package queries

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// WhyRequest asks what moved a figure between two periods.
type WhyRequest struct {
	Request                            // Grain is not used; By are the units, by default the finest; Compare by default Previous; without From and To events are asked of the newest month that is whole
	BeforeFrom, BeforeTo reference.Day // the earlier period, in place of Compare; both or none
	Largest              int           // how many units are named in each part; 0 is 5
}

// Why is a change and what it consists of. Numbers are rounded so that they add up.
type Why struct {
	KPI       string              `json:"kpi"`
	Title     reference.Names     `json:"title"`
	Unit      string              `json:"unit"` // that of a change is percentage points for percent
	Direction string              `json:"direction"`
	Basis     string              `json:"basis"`
	Version   int                 `json:"version"`
	Variant   string              `json:"variant,omitempty"`
	By        []string            `json:"by"` // what a unit is
	Where     map[string][]string `json:"where"`
	KnownOn   Date                `json:"known_on"`

	Before WhyPeriod `json:"before"`
	Now    WhyPeriod `json:"now"`
	Change Number    `json:"change"` // Now less Before

	// LikeForLike is the change among the units that have cases in both periods; null
	// when there are none.
	LikeForLike *LikeForLike `json:"like_for_like"`
	Parts       []WhyPart    `json:"parts"` // reported, mix, rates; of a count appeared, gone, same

	Names     map[string]map[string]reference.Names `json:"names,omitempty"` // as in a Result
	Sentence  Sentence                              `json:"sentence"`
	Simulated bool                                  `json:"simulated"`
	Notes     []string                              `json:"notes"`          // as in a Result, like Said
	Said      []Note                                `json:"said,omitempty"` //
}

// WhyPeriod is one of the two figures.
type WhyPeriod struct {
	Period      string `json:"period"`
	From        Date   `json:"from"`
	To          Date   `json:"to"`
	Numerator   Number `json:"numerator"`
	Denominator Number `json:"denominator"`
	Value       Number `json:"value"` // rounded
	Units       int    `json:"units"` // units with cases that are told one by one
	Open        bool   `json:"open"`
}

// LikeForLike is the figure over the units of both periods alone.
type LikeForLike struct {
	Units  int    `json:"units"`
	Before Number `json:"before"`
	Now    Number `json:"now"`
	Change Number `json:"change"` // the parts mix and rates, or same
}

// WhyPart is one of the three parts of a change.
type WhyPart struct {
	Key     string          `json:"key"`
	Label   reference.Names `json:"label"`
	Change  Number          `json:"change"`
	Units   int             `json:"units"`   // that add to it
	Largest []Contribution  `json:"largest"` // those that add most, either way
	Others  Number          `json:"others"`  // all other units together, hidden ones among them
}

// Contribution is what one unit adds to a part, or to the change.
type Contribution struct {
	Unit   map[string]string `json:"unit"`   // dimension → value
	Kind   string            `json:"kind"`   // both, or in which period alone it has cases: now, before
	Change Number            `json:"change"` //
	Before Number            `json:"before"` // the unit's own value; null without cases
	Now    Number            `json:"now"`    //
}

// Why tells what moved a figure. Of a figure that is no sum over units (quantiles,
// distinct counts, least and greatest values, values per inhabitants) and of one that is
// hidden or missing in one of the periods, or reads fields of class special, it is a BadInput
// error that says so; other errors are those of Values.
func (q *Queries) Why(ctx context.Context, r WhyRequest) (*Why, error) {
	c, err := q.change(ctx, r)
	if err != nil {
		return nil, err
	}
	why := c.why
	names := partNames(c.ratio)
	parts := make([]*big.Rat, len(names))
	for i := range names {
		parts[i] = new(big.Rat)
		for _, u := range c.units {
			parts[i].Add(parts[i], u.parts[i])
		}
	}
	shown := c.round(c.moved, parts)
	for i, name := range names {
		part := WhyPart{Key: name, Label: explanations["part."+name], Change: shown[i].number(c.digits), Largest: []Contribution{}}
		var list []*unit
		for _, u := range c.units {
			if u.parts[i].Sign() != 0 {
				part.Units++
				if !u.hidden {
					list = append(list, u)
				}
			}
		}
		largest := most(list, r.Largest, func(u *unit) *big.Rat { return u.parts[i] })
		exact, rest := make([]*big.Rat, 0, len(largest)+1), new(big.Rat).Set(parts[i])
		for _, u := range largest {
			exact = append(exact, u.parts[i])
			rest.Sub(rest, u.parts[i])
		}
		rounded := c.round(shown[i], append(exact, rest))
		for j, u := range largest {
			part.Largest = append(part.Largest, c.contribution(u, rounded[j]))
		}
		part.Others = rounded[len(largest)].number(c.digits)
		why.Parts = append(why.Parts, part)
	}
	if c.both[0] != nil {
		before := roundTo(c.both[0], c.digits)
		moved := shown[len(shown)-1] // same, or mix and rates
		if c.ratio {
			moved += shown[len(shown)-2]
		}
		why.LikeForLike = &LikeForLike{Units: c.inBoth, Before: before.number(c.digits), Now: (before + moved).number(c.digits), Change: moved.number(c.digits)}
	}
	why.Sentence = sentence(why)
	return why, nil
}

// unit is one value of the dimensions with its sums in the two periods.
type unit struct {
	dims   []Dim
	n, d   [2]*big.Rat // never nil; d is 0 for a count
	cases  [2]bool
	value  [2]Number
	hidden bool        // what is not told unit by unit, all together
	parts  [3]*big.Rat // what it adds to each part
}

// change is the exact arithmetic behind an answer.
type change struct {
	why    *Why
	units  []*unit
	ratio  bool
	digits int         // after the point, of what is shown
	moved  tick        // the change as shown
	both   [2]*big.Rat // the figure over the units of both periods; nil without any
	inBoth int
}

// tick counts in the last digit that is shown.
type tick int64

// number is a count of last digits as a decimal.
func (t tick) number(digits int) Number {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	return Number(new(big.Rat).SetFrac(big.NewInt(int64(t)), scale).FloatString(digits))
}

// roundTo is the nearest count of last digits, halves up.
func roundTo(x *big.Rat, digits int) tick {
	return floorTo(new(big.Rat).Add(x, new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))), digits)
}

func floorTo(x *big.Rat, digits int) tick {
	scaled := new(big.Rat).Mul(x, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)))
	quotient := new(big.Int)
	quotient.Div(scaled.Num(), scaled.Denom()) // Euclidean: down, the denominator is positive
	return tick(quotient.Int64())
}

// round shows exact parts so that they add up to a total that is within one last digit
// of their sum: each down, and one up for those that lost most.
func (c *change) round(total tick, exact []*big.Rat) []tick {
	shown := make([]tick, len(exact))
	lost := make([]*big.Rat, len(exact))
	order := make([]int, len(exact))
	for i, x := range exact {
		shown[i], order[i] = floorTo(x, c.digits), i
		down, _ := new(big.Rat).SetString(string(shown[i].number(c.digits)))
		lost[i] = new(big.Rat).Sub(x, down)
		total -= shown[i]
	}
	sort.SliceStable(order, func(a, b int) bool { return lost[order[a]].Cmp(lost[order[b]]) > 0 })
	for _, i := range order {
		if total > 0 {
			shown[i]++
			total--
		}
	}
	return shown
}

// most are the units that add most, either way.
func most(list []*unit, n int, of func(*unit) *big.Rat) []*unit {
	if n == 0 {
		n = 5
	}
	list = slices.Clone(list)
	sort.SliceStable(list, func(a, b int) bool {
		return new(big.Rat).Abs(of(list[a])).Cmp(new(big.Rat).Abs(of(list[b]))) > 0
	})
	return list[:min(n, len(list))]
}

func (c *change) contribution(u *unit, moved tick) Contribution {
	told := Contribution{Unit: map[string]string{}, Kind: "both", Change: moved.number(c.digits), Before: u.value[0], Now: u.value[1]}
	for _, d := range u.dims {
		told.Unit[d.Name] = d.Value
	}
	switch {
	case !u.counts(0, c.ratio):
		told.Kind = "now"
	case !u.counts(1, c.ratio):
		told.Kind = "before"
	}
	return told
}

// counts says whether the unit has cases in a period: a rate of its own, or rows.
func (u *unit) counts(period int, ratio bool) bool {
	if ratio {
		return u.d[period].Sign() > 0
	}
	return u.cases[period]
}

func partNames(ratio bool) []string {
	if ratio {
		return []string{"reported", "mix", "rates"}
	}
	return []string{"appeared", "gone", "same"}
}

// change reads both periods, by unit and as a whole, and takes the change apart.
func (q *Queries) change(ctx context.Context, r WhyRequest) (*change, error) {
	words, err := language(r.Language)
	if err != nil {
		return nil, err
	}
	ask := r.Request
	ask.Grain, ask.Plan, ask.Compare = Whole, false, NoComparison
	if r.Compare == NoComparison {
		r.Compare = Previous
	}
	if r.Compare != Previous && r.Compare != YearBefore {
		return nil, bad("compare", "%q names no earlier period; allowed: previous, year", r.Compare).
			Also("uz", "“%s” oldingi davrni bildirmaydi.", r.Compare).
			Also("ru", "«%s» не называет прежнего периода.", r.Compare).
			Of(string(Previous), string(YearBefore))
	}
	qn, err := q.question(ctx, ask)
	if err != nil {
		return nil, err
	}
	ask.By, qn.by = nil, nil // it was checked; first the whole is read
	if q.special(qn.version) {
		return nil, bad("kpi", "%s reads a contract with special fields: it is told by its published tables, which do not say what moved it", qn.kpi.ID).
			Also("uz", "Koʻrsatkich maxsus maydonli hodisalardan hisoblanadi va faqat eʼlon qilinadigan jadvallar bilan aytiladi; ular nima oʻzgartirganini koʻrsatmaydi.").
			Also("ru", "Показатель считается по событиям с особыми полями и сообщается только опубликованными таблицами; что его изменило, они не показывают.")
	}
	v := qn.version
	if err := sumsUp(qn); err != nil {
		return nil, err
	}
	if v.Basis == kpi.Events && qn.from == reference.NoDay && qn.to == reference.NoDay {
		src, err := q.sources(ctx, qn)
		if err != nil {
			return nil, err
		}
		if last := q.lastMonth(qn, src); last != reference.NoDay {
			ask.From, ask.To = q.calendar.start(Month, last), last
		}
	}
	by := r.By
	if len(by) == 0 {
		if by = q.finest(qn); by == nil {
			return nil, bad("by", "%s has no dimension by which a change could be told", qn.kpi.ID).
				Also("uz", "Koʻrsatkichda oʻzgarishni boʻlib koʻrsatadigan kesim yoʻq.").
				Also("ru", "У показателя нет разреза, по которому можно разложить изменение.")
		}
	}
	ask.Version, ask.Variant = v.Version, v.Variant // both periods by one formula
	now, err := q.Values(ctx, ask)
	if err != nil {
		return nil, err
	}
	if err := told(now, "from"); err != nil {
		return nil, err
	}
	cell := now.Cells[0]
	before := ask
	switch {
	case (r.BeforeFrom != 0) != (r.BeforeTo != 0):
		return nil, bad("before_from", "give both days of the earlier period, or none").
			Also("uz", "Oldingi davrning ikkala kuni ham beriladi yoki hech biri berilmaydi.").
			Also("ru", "У прежнего периода указываются оба дня или ни одного.")
	case r.BeforeFrom != 0:
		before.From, before.To = r.BeforeFrom, r.BeforeTo
		if v.Basis == kpi.Events && before.From <= cell.To && before.To >= cell.From { // windows of what is reported may
			return nil, bad("before_to", "%s to %s overlaps %s to %s, which it is held against: events would count in both", before.From, before.To, cell.From, cell.To).
				Also("uz", "Bu davr (%s – %s) u bilan taqqoslanayotgan davr bilan ustma-ust tushadi: hodisalar ikkalasida ham sanalardi.", dayIn("uz", before.From), dayIn("uz", before.To)).
				Also("ru", "Этот период (%s – %s) пересекается с тем, с которым он сравнивается: события были бы посчитаны в обоих.", dayIn("ru", before.From), dayIn("ru", before.To))
		}
	default:
		qn.compare = r.Compare
		_, earlier := q.earlier(qn, now.Cells[:1])
		before.From, before.To = earlier[0].from, earlier[0].to
	}
	ask.From, ask.To = cell.From, cell.To
	if v.Basis == kpi.Stock { // a day has no beginning
		ask.From, before.From = reference.NoDay, reference.NoDay
	}
	then, err := q.Values(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := told(then, "before_from"); err != nil {
		return nil, err
	}
	ask.By, before.By = by, by
	nowBy, err := q.Values(ctx, ask)
	if err != nil {
		return nil, err
	}
	thenBy, err := q.Values(ctx, before)
	if err != nil {
		return nil, err
	}
	c := &change{ratio: v.Denominator != nil, why: &Why{KPI: now.KPI, Title: now.Title, Unit: now.Unit, Direction: now.Direction, Basis: now.Basis, Version: now.Version, Variant: now.Variant,
		By: by, Where: now.Where, KnownOn: now.KnownOn, Simulated: now.Simulated || then.Simulated, Parts: []WhyPart{}}}
	scale := big.NewRat(1, q.minorUnits(qn))
	if qn.kpi.Unit == kpi.Percent {
		scale.SetInt64(100)
	}
	c.digits = c.shownDigits(qn, now.Cells[0], then.Cells[0])
	hidden := c.gather(thenBy, nowBy)
	whole := c.rest(then.Cells[0], now.Cells[0], hidden)
	c.split(whole, scale)
	c.why.Before, c.why.Now = whyPeriod(then.Cells[0]), whyPeriod(now.Cells[0])
	values := [2]tick{}
	for i, p := range []*WhyPeriod{&c.why.Before, &c.why.Now} {
		values[i] = roundTo(new(big.Rat).Mul(scale, quotient(whole.n[i], whole.d[i], c.ratio)), c.digits)
		p.Value = values[i].number(c.digits)
		for _, u := range c.units {
			if !u.hidden && u.counts(i, c.ratio) {
				p.Units++
			}
		}
	}
	c.moved = values[1] - values[0]
	c.why.Change = c.moved.number(c.digits)
	if hidden {
		c.why.Said = append(c.why.Said, Note{Key: "units-together"})
	}
	if c.why.Simulated {
		c.why.Said = append(c.why.Said, Note{Key: "simulated"})
	}
	c.why.Notes = inWords(c.why.Said, words)
	qn.by = by
	c.why.Names = q.names(qn, append(nowBy.Cells, thenBy.Cells...))
	return c, nil
}

// lastMonth is the last day of the newest calendar month that is over and whose last day
// the received events reach; NoDay when nothing was received.
func (q *Queries) lastMonth(qn *question, src *sources) reference.Day {
	if src.through.IsZero() {
		return reference.NoDay
	}
	last := min(q.calendar.Today(src.through), qn.ended())
	if qn.matured != reference.NoDay {
		last = min(last, qn.matured)
	}
	return q.calendar.start(Month, last+1) - 1
}

// sumsUp refuses a figure that is not made of sums over units.
func sumsUp(qn *question) error {
	v := qn.version
	switch {
	case v.Quantiles() != nil:
		return bad("kpi", "%s is a quantile: it is no sum over units, so its change has no parts that add up; hold its quantiles in the two periods against each other", qn.kpi.ID).
			Also("uz", "Bu koʻrsatkich — kvantil: u birliklar yigʻindisi emas, shuning uchun oʻzgarishi qismlarga boʻlinmaydi.").
			Also("ru", "Это квантиль: он не сумма по единицам, поэтому его изменение не делится на части.")
	case v.Distinct != nil:
		return bad("kpi", "%s counts distinct values: one may stand in several units, so its change has no parts that add up", qn.kpi.ID).
			Also("uz", "Bu koʻrsatkich takrorlanmas qiymatlarni sanaydi: bittasi bir nechta birlikda uchrashi mumkin, shuning uchun oʻzgarish qismlarga boʻlinmaydi.").
			Also("ru", "Показатель считает неповторяющиеся значения: одно может быть в нескольких единицах, поэтому изменение не делится на части.")
	case v.Per != nil:
		return bad("kpi", "%s is told per what %s counts, which is no sum over units; ask what moved the count itself", qn.kpi.ID, v.Per.Table).
			Also("uz", "Bu koʻrsatkich boshqa songa nisbatan hisoblanadi va birliklar yigʻindisi emas; nima oʻzgartirganini sonning oʻzidan soʻrang.").
			Also("ru", "Показатель отнесён к другому числу и не складывается из единиц; спросите, что изменило само количество.")
	case !retractable(v):
		return bad("kpi", "%s is a least or greatest value: one unit decides it, so its change has no parts", qn.kpi.ID).
			Also("uz", "Bu eng kichik yoki eng katta qiymat: uni bitta birlik belgilaydi, shuning uchun oʻzgarishi qismlarga boʻlinmaydi.").
			Also("ru", "Это наименьшее или наибольшее значение: его определяет одна единица, поэтому изменение не делится на части.")
	}
	return nil
}

// told refuses an answer without one number.
func told(r *Result, field string) error {
	if len(r.Cells) == 0 {
		return bad(field, "nothing is known of %s for this period", r.KPI).
			Also("uz", "Bu davr uchun koʻrsatkich haqida hech narsa maʼlum emas.").
			Also("ru", "За этот период о показателе ничего не известно.")
	}
	if len(r.Cells) > 1 {
		return bad(field, "%s has %d reported windows in this period, which cannot be added up; ask for the days of one", r.KPI, len(r.Cells)).
			Also("uz", "Bu davrda %d ta hisobot davri bor, ular qoʻshilmaydi: bittasining kunlarini soʻrang.", len(r.Cells)).
			Also("ru", "Отчётных периодов здесь %d, они не складываются: запросите дни одного из них.", len(r.Cells))
	}
	c := r.Cells[0]
	if c.Value != nil {
		return nil
	}
	reason := map[State]reference.Names{
		NotProvided:   {"en": "was not reported", "uz": "hisobot kelmagan", "ru": "отчёт не получен"},
		Suppressed:    {"en": "is hidden to protect people", "uz": "odamlarni himoya qilish uchun yashirilgan", "ru": "значение скрыто ради защиты людей"},
		NotApplicable: {"en": "has no cases", "uz": "holatlar yoʻq", "ru": "случаев нет"},
	}[c.State]
	return bad(field, "%s %s for %s, so there is no change to explain", r.KPI, reason["en"], c.Period).
		Also("uz", "%s: %s, shuning uchun tushuntiriladigan oʻzgarish yoʻq.", c.Period, reason["uz"]).
		Also("ru", "%s: %s, поэтому объяснять нечего.", c.Period, reason["ru"])
}

// finest is the unit of a change when none is asked for: the service where there is one,
// else the declared dimension of the most values.
func (q *Queries) finest(qn *question) []string {
	declared := qn.version.Dimensions()
	if slices.Contains(declared, "service") {
		return []string{"service"}
	}
	best, most := "", -1
	for _, d := range declared {
		f := qn.sides[0].contract.Field(d)
		if f == nil {
			continue
		}
		size := 0
		switch f.Type {
		case contract.Enum:
			size = len(f.Values)
		case contract.Ref:
			if t := q.refs.Table(f.To); t != nil {
				size = t.Len()
			}
		case contract.Code, contract.Text, contract.Integer:
			size = 1 << 30 // nobody lists them
		case contract.Boolean:
			size = 2
		}
		if size > most {
			best, most = d, size
		}
	}
	if best == "" {
		return nil
	}
	return []string{best}
}

// shownDigits are those after the point that the answer shows.
func (c *change) shownDigits(qn *question, cells ...Cell) int {
	switch {
	case qn.kpi.Unit == kpi.Percent, currency.MatchString(string(qn.kpi.Unit)):
		return 2
	case c.ratio:
		return 3
	}
	digits := 0
	for _, cell := range cells {
		if _, fraction, ok := strings.Cut(string(cell.Numerator), "."); ok {
			digits = max(digits, len(fraction))
		}
	}
	return digits
}

// rational is an exact number; none is 0.
func rational(n Number) *big.Rat {
	if x, ok := new(big.Rat).SetString(string(n)); ok {
		return x
	}
	return new(big.Rat)
}

// gather takes the units from both answers. Those that are hidden in one of them are
// left out, and it says whether there are any.
func (c *change) gather(answers ...*Result) (hidden bool) {
	index := map[string]*unit{}
	var order []string
	for i, r := range answers {
		for _, cell := range r.Cells {
			values := make([]string, len(cell.Dims))
			for j, d := range cell.Dims {
				values[j] = d.Value
			}
			key := join(values)
			u := index[key]
			if u == nil {
				u = &unit{dims: cell.Dims, n: [2]*big.Rat{{}, {}}, d: [2]*big.Rat{{}, {}}}
				index[key] = u
				order = append(order, key)
			}
			if cell.State == Suppressed {
				u.hidden, hidden = true, true
				continue
			}
			u.n[i], u.d[i] = rational(cell.Numerator), rational(cell.Denominator)
			u.cases[i] = cell.Cases != nil && *cell.Cases > 0 || cell.Cases == nil && cell.State == HasValue // rows that are not told
			if cell.Value != nil && u.cases[i] {
				u.value[i] = Number(fmt.Sprintf("%.*f", c.digits, *cell.Value))
			}
		}
	}
	slices.Sort(order)
	for _, key := range order {
		if u := index[key]; !u.hidden {
			c.units = append(c.units, u)
		}
	}
	return hidden
}

// rest adds what is in the whole and in none of the units as a unit of its own, and gives
// the whole.
func (c *change) rest(then, now Cell, hidden bool) *unit {
	whole := &unit{n: [2]*big.Rat{rational(then.Numerator), rational(now.Numerator)}, d: [2]*big.Rat{rational(then.Denominator), rational(now.Denominator)}}
	left := &unit{hidden: true}
	some := false
	for i := range 2 {
		left.n[i], left.d[i] = new(big.Rat).Set(whole.n[i]), new(big.Rat).Set(whole.d[i])
		for _, u := range c.units {
			left.n[i].Sub(left.n[i], u.n[i])
			left.d[i].Sub(left.d[i], u.d[i])
		}
		left.cases[i] = hidden || left.n[i].Sign() != 0
		some = some || left.n[i].Sign() != 0 || left.d[i].Sign() != 0
	}
	if some {
		c.units = append(c.units, left)
	}
	return whole
}

func quotient(n, d *big.Rat, ratio bool) *big.Rat {
	if !ratio {
		return n
	}
	return new(big.Rat).Quo(n, d)
}

// split gives every unit what it adds to each part, in the KPI's unit.
func (c *change) split(whole *unit, scale *big.Rat) {
	zero := func() [3]*big.Rat { return [3]*big.Rat{{}, {}, {}} }
	both := &unit{n: [2]*big.Rat{{}, {}}, d: [2]*big.Rat{{}, {}}}
	shared := false
	for _, u := range c.units {
		u.parts = zero()
		if u.counts(0, c.ratio) && u.counts(1, c.ratio) {
			shared = true
			if !u.hidden {
				c.inBoth++
			}
			for i := range 2 {
				both.n[i].Add(both.n[i], u.n[i])
				both.d[i].Add(both.d[i], u.d[i])
			}
		}
	}
	half := big.NewRat(1, 2)
	mul := func(a, b *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }
	add := func(a, b *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }
	sub := func(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }
	var b [2]*big.Rat // the figure of those in both
	if shared {
		for i := range 2 {
			b[i] = quotient(both.n[i], both.d[i], c.ratio)
			c.both[i] = mul(scale, b[i])
		}
	} else if c.ratio {
		mean := mul(half, add(quotient(whole.n[0], whole.d[0], true), quotient(whole.n[1], whole.d[1], true)))
		b = [2]*big.Rat{mean, mean}
	}
	for _, u := range c.units {
		in := [2]bool{u.counts(0, c.ratio), u.counts(1, c.ratio)}
		switch {
		case !c.ratio && in[0] && in[1]:
			u.parts[2] = sub(u.n[1], u.n[0])
		case !c.ratio:
			u.parts[0], u.parts[1] = u.n[1], new(big.Rat).Neg(u.n[0])
		case in[0] && in[1]:
			w := [2]*big.Rat{quotient(u.d[0], both.d[0], true), quotient(u.d[1], both.d[1], true)}
			r := [2]*big.Rat{quotient(u.n[0], u.d[0], true), quotient(u.n[1], u.d[1], true)}
			u.parts[1] = mul(sub(w[1], w[0]), mul(half, sub(add(r[0], r[1]), add(b[0], b[1]))))
			u.parts[2] = mul(sub(r[1], r[0]), mul(half, add(w[0], w[1])))
		default:
			now := quotient(sub(u.n[1], mul(u.d[1], b[1])), whole.d[1], true)
			before := quotient(sub(mul(u.d[0], b[0]), u.n[0]), whole.d[0], true)
			u.parts[0] = add(now, before)
		}
		for i := range u.parts {
			u.parts[i] = mul(scale, u.parts[i])
		}
	}
}

func whyPeriod(c Cell) WhyPeriod {
	return WhyPeriod{Period: c.Period, From: dateOf(c.From), To: dateOf(c.To), Numerator: c.Numerator, Denominator: c.Denominator, Open: c.Open()}
}
