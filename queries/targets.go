package queries

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// TargetStatus is a published figure held against the measured one.
type TargetStatus struct {
	Kind       kpi.Kind          `json:"kind"`       // target, result or claim: only a target is judged
	Comparator kpi.Comparator    `json:"comparator"` // at_least, at_most, about, up_to; empty: it says yes or no
	Value      *float64          `json:"value"`      // null: it says yes or no
	Due        Date              `json:"due"`        // the day that the act states; null: it states none, or nothing is due
	DueStated  bool              `json:"due_stated"` // whether Due is there: a day that is somebody's reading of the act is not told, and decides nothing
	Act        string            `json:"act"`
	Wording    string            `json:"wording"`
	Language   string            `json:"language"`      // of Act and Wording as they were written, BCP 47
	Acts       reference.Names   `json:"act_names"`     // Act and its translations
	Wordings   reference.Names   `json:"wording_names"` // Wording and its translations
	Owner      string            `json:"owner"`
	Where      map[string]string `json:"where"` // the part it holds for; empty: the whole

	Measured *float64   `json:"measured"` // of an "up to" the largest value; null: nothing to hold against it
	Gap      *float64   `json:"gap"`      // what is missing, in the KPI's unit; 0 or less: reached; null with Measured
	Units    *int64     `json:"units"`    // how many of Of would have to change for the target to be reached; null where that cannot be counted
	Of       string     `json:"of"`       // what Units are: the table of a stock (services), else the contract
	Words    string     `json:"words"`    // "110 services short of 75 %", in the request's language; empty when nothing is missing or known
	Status   kpi.Status `json:"status"`
	Holds    *bool      `json:"holds"`    // of a result or claim: whether the measured figure bears it out; null where that cannot be told
	RunRate  *RunRate   `json:"run_rate"` // of a target with a stated day that is still to come

	lacks *lack // what Words tells; nil: nothing
}

// RunRate is the straight line from a baseline to a target and where the value is on it.
type RunRate struct {
	From      Date    `json:"from"`      // day of the baseline
	Baseline  float64 `json:"baseline"`  // in the KPI's unit, like the rest
	Expected  float64 `json:"expected"`  // on the line, on the day of the measured value
	Projected float64 `json:"projected"` // on the day that is due, at the mean pace since the baseline
}

// TargetsRequest asks how the published figures stand.
type TargetsRequest struct {
	On       reference.Day // as of which day; open: the end of the calendar year that the events of half of the contracts behind KPIs reach, today at the latest
	KnownOn  reference.Day // as in Request, like Language
	Language string
}

// Promise is a published figure with what was measured for its own period.
type Promise struct {
	KPI       string          `json:"kpi"`
	Variant   string          `json:"variant"`
	Title     reference.Names `json:"title"`
	Unit      string          `json:"unit"`
	Direction string          `json:"direction"`
	URL       string          `json:"url"`
	InForce   Date            `json:"in_force"`
	Check     reference.Names `json:"check"` // of a result or claim: what of it can be checked, and by what
	TargetStatus
	Cell    *Cell  `json:"cell"`              // of the period or day of which it speaks; null with Problem
	Problem string `json:"problem,omitempty"` // why there is no figure, in the request's language
	Said    *Note  `json:"said,omitempty"`    // Problem by key and parameters, when it is one of the published figure's own
}

// Promises are the published figures as they stand on a day.
type Promises struct {
	On       Date      `json:"on"`
	KnownOn  Date      `json:"known_on"`
	Promises []Promise `json:"targets"` // in the order of the pack
}

// Targets holds every published figure against what was measured for its own period: a
// result for the days that it speaks of, a target that was due for the day on which it was,
// and what has no period for the year that ends on the day asked for. One that cannot be
// measured, or whose period has not ended, does not spoil the others; an engine that is away
// fails the whole.
func (q *Queries) Targets(ctx context.Context, r TargetsRequest) (*Promises, error) {
	language, err := language(r.Language)
	if err != nil {
		return nil, err
	}
	common := q.remembered(open(r.KnownOn))
	today := q.calendar.Today(q.now())
	on := open(r.On)
	if on == reference.NoDay {
		if on, err = q.lastDay(ctx, open(r.KnownOn), common); err != nil {
			return nil, err
		}
	}
	if on > today {
		return nil, bad("on", "%s is after today, %s", on, today).
			Also("uz", "%s hali kelmagan.", dayIn("uz", on)).
			Also("ru", "День %s ещё не наступил.", dayIn("ru", on))
	}
	ledger := q.catalogue.Ledger()
	promises := make([]Promise, len(ledger))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(scorecardAtOnce)
	for i, t := range ledger {
		group.Go(func() error {
			p, err := q.promise(ctx, t, on, &question{knownOn: open(r.KnownOn), shared: common})
			switch problem.KindOf(err) {
			case problem.Busy, problem.Unavailable:
				return err
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				p.Problem = problem.DocumentOf(err).In(language)
			}
			promises[i] = *p
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	words := q.speaker(language)
	for i := range promises {
		p := &promises[i]
		words.target(&p.TargetStatus)
		words.cell(p.Cell)
		if p.Said != nil {
			p.Problem = p.Said.In(language)
		}
	}
	return &Promises{On: dateOf(on), KnownOn: dateOf(open(r.KnownOn)), Promises: promises}, nil
}

func (q *Queries) promise(ctx context.Context, t *kpi.Target, on reference.Day, like *question) (*Promise, error) {
	p := &Promise{KPI: t.KPI, Variant: t.Variant, URL: t.Act.URL, InForce: dateOf(t.Act.InForce), Check: t.Check, TargetStatus: describeTarget(t)}
	if p.Check == nil {
		p.Check = reference.Names{}
	}
	k, err := q.catalogue.KPI(t.KPI)
	if err != nil {
		return p, err
	}
	p.Title, p.Unit, p.Direction = k.Title, string(k.Unit), string(k.Direction)
	if t.Kind != kpi.Asked && t.Period.To != reference.NoDay && on < t.Period.To { // nothing is borne out, or not, by a part
		p.Said = &Note{"period-not-ended", map[string]string{"day": t.Period.To.String()}}
		return p, nil
	}
	qn, cell, err := q.measure(ctx, t, on, like)
	if err != nil {
		return p, err
	}
	p.Cell = cell
	return p, q.judge(ctx, &p.TargetStatus, t, qn, cell, asOf(qn, on))
}

// describeTarget is what was published, before anything is measured.
func describeTarget(t *kpi.Target) TargetStatus {
	s := TargetStatus{Kind: t.Kind, Comparator: t.Comparator, Act: t.Act.Title, Wording: t.Wording,
		Language: t.Language, Acts: t.Act.Titles, Wordings: t.Wordings, Owner: t.Owner, Where: map[string]string{}, Status: kpi.Unmeasured}
	if t.DueStated {
		s.Due, s.DueStated = dateOf(t.Due), t.Due != reference.NoDay
	}
	if t.Judged() {
		value := t.Value
		s.Value = &value
	}
	if t.Kind != kpi.Asked {
		s.Status = kpi.NotATarget
	}
	for dimension, value := range t.Where {
		s.Where[dimension] = value
	}
	return s
}

// asOf is the day as of which a figure is judged: the one asked for, but not after today
// and not after what is known.
func asOf(qn *question, on reference.Day) reference.Day {
	if on == reference.NoDay || on > qn.today {
		on = qn.today
	}
	if qn.knownOn != reference.NoDay {
		on = min(on, qn.knownOn)
	}
	return on
}

// dated says whether a target has a day after which it is reached or missed.
func dated(t *kpi.Target) bool {
	return t.Kind == kpi.Asked && t.DueStated && t.Due != reference.NoDay
}

// measure asks for the figure of which a target, result or claim speaks, as of a day; for
// the audience of another question, as known on its day.
func (q *Queries) measure(ctx context.Context, t *kpi.Target, on reference.Day, like *question) (*question, *Cell, error) {
	to := on
	if t.Period.To != reference.NoDay {
		to = min(to, t.Period.To)
	} else if dated(t) {
		to = min(to, t.Due)
	}
	return q.measured(ctx, t, t.Period.From, to, like)
}

// lastPublished is the published period of a version that ended last by a day, the longest of
// those that ended together; false: none is published.
func (q *Queries) lastPublished(v *kpi.Version, day reference.Day) (g Grain, from, to reference.Day, ok bool) {
	to = reference.NoDay
	for _, grain := range q.publishedGrains(v) {
		if last := q.calendar.start(grain, day+1) - 1; !ok || last >= to {
			g, from, to, ok = grain, q.calendar.start(grain, last), last, true
		}
	}
	return g, from, to, ok
}

// measured asks for the figure of a target's definition and part from a day to another:
// with no first day of the calendar year up to the last, or what a definition has in its
// place.
func (q *Queries) measured(ctx context.Context, t *kpi.Target, from, to reference.Day, like *question) (*question, *Cell, error) {
	r := Request{KPI: t.KPI, Variant: t.Variant, From: from, To: to, KnownOn: like.knownOn, Where: map[string][]string{}}
	if like.outside {
		r.Audience = Outside
	}
	for dimension, value := range t.Where {
		r.Where[dimension] = []string{value}
	}
	qn, err := q.question(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	qn.shared = like.shared
	src, err := q.sources(ctx, qn)
	if err != nil {
		return nil, nil, err
	}
	v := qn.version
	special := q.special(v) && t.Period.To == reference.NoDay
	switch grain, first, last, ok := q.lastPublished(v, to); {
	case special && ok: // nothing but whole periods is told of it
		qn.grain, qn.from, qn.to = grain, first, last
	case v.Basis == kpi.Events && v.Distinct != nil: // the last whole period of the coarsest grain, or the one that is running
		qn.grain = Grain(v.Distinct.Grains[len(v.Distinct.Grains)-1])
		qn.from = q.calendar.start(qn.grain, to)
		qn.to = q.calendar.after(qn.grain, qn.from) - 1
	case v.Basis == kpi.Events && from == reference.NoDay && t.Period.To == reference.NoDay:
		qn.from = q.calendar.start(Year, to)
	}
	a, err := q.told(ctx, qn, src)
	if qn.outside && problem.KindOf(err) == problem.BadInput {
		return qn, nil, nil // it is not published
	}
	if err != nil || len(a.cells) == 0 {
		return qn, nil, err
	}
	return qn, &a.cells[len(a.cells)-1], nil
}

// told answers a question as [Queries.Values] does: to people outside, and of contracts with
// special fields, by what is published.
func (q *Queries) told(ctx context.Context, qn *question, src *sources) (*answer, error) {
	said, err := q.closings(ctx, qn)
	if err != nil {
		return nil, err
	}
	if q.published(qn) {
		return q.answerPublished(ctx, qn, src, said)
	}
	a, err := q.answer(ctx, qn, src)
	if err != nil {
		return nil, err
	}
	for i := range a.cells {
		q.settle(qn, src, said, &a.cells[i])
	}
	return a, nil
}

// held holds what was published for the whole, or for the part that the filter names,
// against the cell of a scorecard.
func (q *Queries) held(ctx context.Context, qn *question, c *Cell) ([]TargetStatus, error) {
	list := []TargetStatus{}
	on := asOf(qn, qn.to)
	for _, t := range q.catalogue.Published(qn.kpi.ID) {
		if t.Variant != qn.version.Variant || !qn.isFor(t.Where) {
			continue
		}
		status, err := q.heldAgainst(ctx, t, qn, c, on)
		if err != nil {
			return nil, err
		}
		list = append(list, status)
	}
	return list, nil
}

// heldAgainst holds a cell against a published figure as of a day. After the day that an act states the
// verdict is that of the day, whatever the cell is of: Measured is not the cell's value then.
func (q *Queries) heldAgainst(ctx context.Context, t *kpi.Target, qn *question, c *Cell, on reference.Day) (TargetStatus, error) {
	status, own := describeTarget(t), c
	switch {
	case dated(t) && on > t.Due && (c == nil || c.To != t.Due):
		_, cell, err := q.measure(ctx, t, on, qn)
		if err != nil {
			return status, err
		}
		own = cell
	case t.Kind != kpi.Asked && !speaksOf(t, qn, c):
		own = nil
	}
	return status, q.judge(ctx, &status, t, qn, own, on)
}

// aim gives the one cell of an answer the target that an act asks of it, and how it stands to that, as on
// the scorecard. Cells of a series or a breakdown have none: an act speaks of the country, or the part that it names, at its day.
func (q *Queries) aim(ctx context.Context, qn *question, cells []Cell) error {
	if len(cells) != 1 || len(qn.by) > 0 || !slices.ContainsFunc(q.catalogue.Published(qn.kpi.ID), func(t *kpi.Target) bool { return t.Kind == kpi.Asked }) {
		return nil
	}
	list, err := q.held(ctx, qn, &cells[0])
	if i := slices.IndexFunc(list, func(t TargetStatus) bool { return t.Kind == kpi.Asked }); i >= 0 {
		cells[0].Target, cells[0].Status = list[i].Value, list[i].Status
	}
	return err
}

// speaksOf says whether a published result or claim is about the period of a cell.
func speaksOf(t *kpi.Target, qn *question, c *Cell) bool {
	if c == nil || t.Period.To == reference.NoDay {
		return c != nil
	}
	return c.To == t.Period.To && (qn.version.Basis == kpi.Stock || t.Period.From == reference.NoDay || c.From == t.Period.From)
}

// judge holds a cell, which may be nil, against a published figure as of a day.
func (q *Queries) judge(ctx context.Context, s *TargetStatus, t *kpi.Target, qn *question, c *Cell, on reference.Day) error {
	if c == nil {
		return nil
	}
	value := kpi.Value{State: c.State}
	if c.Value != nil {
		value.Number = *c.Value
		if i := slices.IndexFunc(c.Quantiles, func(x Quantile) bool { return x.Q == 1 }); t.Comparator == kpi.UpTo && i >= 0 {
			value.Number = c.Quantiles[i].Value // a maximum is held against the maximum, never against the middle
		}
		measured := value.Number
		s.Measured = &measured
	}
	if s.Measured == nil || !t.Judged() {
		return nil
	}
	gap := t.Gap(value.Number)
	s.Gap = &gap
	if t.Kind != kpi.Asked {
		holds := t.Holds(value.Number)
		if v := qn.version; c.Simulated && v.Denominator == nil && v.Per == nil && (v.Quantiles() == nil || t.Comparator == kpi.UpTo) {
			scale, known, err := q.scaled(ctx, qn)
			if err != nil {
				return err
			}
			if !known || scale != 1 && (!holds || t.Comparator != kpi.AtLeast && t.Comparator != kpi.UpTo || scale > 1) {
				return nil // a number or a maximum of a simulation at another scale refutes nothing, and bears out only what even fewer reach
			}
		}
		s.Holds = &holds
		return nil
	}
	course, err := q.course(ctx, t, qn, value.Number, on)
	if err != nil {
		return err
	}
	ended := on
	if on < qn.today {
		ended++ // the day is over: on the day that is due the verdict is there
	}
	if s.Status = kpi.StatusOf(t, value, course, ended); course != nil && s.Status != kpi.Missed {
		s.RunRate = &RunRate{From: dateOf(course.Start), Baseline: course.Baseline, Expected: course.Expected, Projected: course.Projected}
	}
	s.Of = unitOf(qn.version)
	s.Units = toMove(t, qn, c, gap)
	if s.lacks = lacking(t, qn, s); s.lacks != nil {
		s.Words = s.lacks.in(Languages[0])
	}
	return nil
}

// course is the way from the baseline of a target to its value; nil when there is none.
func (q *Queries) course(ctx context.Context, t *kpi.Target, qn *question, number float64, on reference.Day) (*kpi.Course, error) {
	if kpi.CourseOf(t, 0, number, on) == nil {
		return nil, nil
	}
	v, start := qn.version, t.Start()
	var baseline *float64
	switch nothing := 0.0; {
	case t.Baseline != nil && t.Baseline.Value != nil:
		baseline = t.Baseline.Value
	case v.Basis == kpi.Stock:
		_, c, err := q.measured(ctx, t, reference.NoDay, start, qn)
		if err != nil {
			return nil, err
		}
		if c != nil {
			baseline = c.Value
		}
	case v.Basis == kpi.Events && v.Denominator == nil && v.Per == nil && v.Distribution == nil && v.Distinct == nil:
		baseline = &nothing // a count begins at nothing
	case v.Basis == kpi.Events && v.Distinct == nil:
		_, c, err := q.measured(ctx, t, reference.DayOf(start.Time().AddDate(-1, 0, 0)), start-1, qn)
		if err != nil {
			return nil, err
		}
		if c != nil {
			baseline = c.Value
		}
	}
	if baseline == nil {
		return nil, nil
	}
	return kpi.CourseOf(t, *baseline, number, on), nil
}

// unitOf is what the cases of a version are: rows of a reference table or of a contract.
func unitOf(v *kpi.Version) string {
	if v.Table != "" {
		return v.Table
	}
	return v.From[0]
}

// counts says whether a formula adds and takes away cases, each of them once.
func counts(f *kpi.Formula) bool {
	return f != nil && !slices.ContainsFunc(f.Terms, func(t kpi.Term) bool {
		return t.Func != kpi.CountRows || t.Coefficient != 1 && t.Coefficient != -1
	})
}

// toMove is how many cases would have to change sides for a target to be reached, the
// denominator as it stands; nil where numerator or denominator are no counts of cases.
func toMove(t *kpi.Target, qn *question, c *Cell, gap float64) *int64 {
	v := qn.version
	if !counts(v.Numerator) || v.Per != nil {
		return nil
	}
	const whole = 1e-9 // of what multiplication leaves behind
	missing := math.Ceil(gap - whole)
	if v.Denominator != nil {
		numerator, ok := c.Numerator.Float()
		denominator, known := c.Denominator.Float()
		if !ok || !known || !counts(v.Denominator) {
			return nil
		}
		share := t.Value
		if qn.kpi.Unit == kpi.Percent {
			share /= 100
		}
		if t.Comparator == kpi.AtMost {
			missing = numerator - math.Floor(share*denominator+whole)
		} else {
			missing = math.Ceil(share*denominator-whole) - numerator
		}
	}
	units := int64(max(missing, 0))
	return &units
}

// lack is what is missing to a target.
type lack struct {
	amount  float64
	unit    string // services, cases, points, or the KPI's unit
	counted bool   // the unit is things, not an amount
	over    bool   // too much is there
	aim     float64
	of      kpi.Unit // of the aim
}

// lacking is what is missing to a target; nil: nothing.
func lacking(t *kpi.Target, qn *question, s *TargetStatus) *lack {
	if *s.Gap <= 0 {
		return nil
	}
	l := &lack{amount: *s.Gap, unit: string(qn.kpi.Unit), over: t.Comparator == kpi.AtMost, aim: t.Value, of: qn.kpi.Unit}
	switch {
	case s.Units != nil && qn.version.Table == "": // rows of a contract
		l.amount, l.unit, l.counted = float64(*s.Units), "cases", true
	case s.Units != nil:
		l.amount, l.unit, l.counted = float64(*s.Units), s.Of, true
	case l.of == kpi.Percent:
		l.unit = "points"
	}
	return l
}

// in says it in a language: "110 services short of 75 %".
func (l *lack) in(language string) string {
	unit := func(name string) string {
		if words := say(language, "unit-"+name); words != "" {
			return words
		}
		return strings.ReplaceAll(name, "_", " ")
	}
	amount, noun := decimals(l.amount), unit(l.unit)
	if amount == "1" && language == "en" {
		noun = strings.TrimSuffix(noun, "s")
	}
	aim := Number(decimals(l.aim)).in(language)
	switch l.of {
	case kpi.Percent:
		aim += " %"
	case kpi.Count, kpi.Ratio:
	default:
		aim += " " + unit(string(l.of))
	}
	key := "short-of"
	if l.over {
		key = "over"
	}
	if l.counted {
		key += "-things"
	}
	return say(language, key, "amount", Number(amount).in(language), "unit", noun, "aim", aim)
}

// decimals writes a number with at most one decimal, or two digits where that would be 0.
func decimals(x float64) string {
	text := strings.TrimSuffix(strconv.FormatFloat(x, 'f', 1, 64), ".0")
	if text == "0" && x != 0 {
		text = strconv.FormatFloat(x, 'g', 2, 64)
	}
	return text
}
