package queries

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// ScorecardRequest asks for every KPI at once.
type ScorecardRequest struct {
	From, To reference.Day       // as in Request; both open: the calendar year that the events of half of the contracts behind KPIs reach
	Where    map[string][]string // KPIs without one of the dimensions are left out
	KnownOn  reference.Day
	Audience Audience // outside: KPIs that are published, by what was published
	Language string   // as in Request
}

// Scorecard is every KPI with its value, its last 13 months, its targets and its owner.
type Scorecard struct {
	From        Date           `json:"from"`         // null: open
	To          Date           `json:"to"`           //
	Audience    Audience       `json:"audience"`     // outside: only what was published
	DataThrough *time.Time     `json:"data_through"` // of the KPI whose data reach farthest, not beyond To
	Simulated   bool           `json:"simulated"`
	Rows        []ScorecardRow `json:"rows"` // by group, then by id
}

// ScorecardRow is one KPI of a scorecard.
type ScorecardRow struct {
	KPI         string          `json:"kpi"`
	Group       string          `json:"group"`
	Title       reference.Names `json:"title"`
	Unit        string          `json:"unit"`
	Direction   string          `json:"direction"`
	Owner       string          `json:"owner"`
	Basis       string          `json:"basis"`
	Version     int             `json:"version"`
	Cell        *Cell           `json:"cell"`   // the whole period, compared with the one before; null with Problem
	Trend       Trend           `json:"trend"`  // since the period before
	Months      []Cell          `json:"months"` // the 13 months up to the period's end, the oldest first; the windows until then, for a reported figure
	Targets     []TargetStatus  `json:"targets"`
	DataThrough *time.Time      `json:"data_through"`
	Simulated   bool            `json:"simulated"`
	Problem     string          `json:"problem,omitempty"` // why there is no figure, in the request's language
}

// Trend says which way a value went, in the eyes of those who want it up or down.
type Trend string

const (
	NoTrend Trend = ""       // nothing to compare with, or neither way is better
	Better  Trend = "better" //
	Worse   Trend = "worse"  //
	Steady  Trend = "steady" // the same number
)

func trendOf(direction kpi.Direction, c *Comparison) Trend {
	switch {
	case c == nil || c.Difference == nil:
		return NoTrend
	case *c.Difference == 0:
		return Steady
	case direction == kpi.Neither:
		return NoTrend
	case (*c.Difference > 0) == (direction == kpi.Up):
		return Better
	}
	return Worse
}

// Scorecard answers for every KPI. One KPI that fails does not spoil the others: its
// row says why. An engine that is away fails the whole.
func (q *Queries) Scorecard(ctx context.Context, r ScorecardRequest) (*Scorecard, error) {
	language, err := language(r.Language)
	if err != nil {
		return nil, err
	}
	if err := checkAudience(r.Audience); err != nil {
		return nil, err
	}
	if err := checkPeriod(open(r.From), open(r.To), open(r.KnownOn), q.calendar.Today(q.now())); err != nil {
		return nil, err
	}
	kpis := q.catalogue.All()
	rows, refused := make([]*ScorecardRow, len(kpis)), make([]error, len(kpis))
	common := q.remembered(open(r.KnownOn))
	if err := q.sentOfAll(ctx, common, open(r.KnownOn)); err != nil {
		return nil, err
	}
	if r.From, r.To = open(r.From), open(r.To); r.From == reference.NoDay && r.To == reference.NoDay {
		newest, err := q.newest(ctx, kpis, r, common)
		if err != nil {
			return nil, err
		}
		if newest != reference.NoDay {
			r.From = q.calendar.start(Year, newest)
			r.To = q.calendar.after(Year, r.From) - 1
		}
	}
	if err := q.publishedWholes(ctx, common, r.Audience, open(r.KnownOn)); err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	gathering := &gathering{queries: q, atOnce: scorecardAtOnce, left: len(kpis)}
	for i, k := range kpis {
		group.Go(func() error {
			seat := gathering.seat()
			defer seat.giveUp()
			row, err := q.row(ctx, k, r, common, seat)
			switch problem.KindOf(err) {
			case problem.Busy, problem.Unavailable:
				return err
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && (len(r.Where) > 0 || r.Audience == Outside) && problem.KindOf(err) == problem.BadInput:
				refused[i] = err // it has no such dimension, or is not published so
				return nil
			case err != nil:
				row.Problem = problem.DocumentOf(err).In(language)
			}
			rows[i] = row
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	card := &Scorecard{From: dateOf(r.From), To: dateOf(r.To), Audience: "inside", Rows: []ScorecardRow{}}
	if r.Audience == Outside {
		card.Audience = Outside
	}
	words := q.speaker(language)
	for _, row := range rows {
		if row == nil {
			continue
		}
		words.row(row)
		if row.DataThrough != nil && (card.DataThrough == nil || row.DataThrough.After(*card.DataThrough)) {
			card.DataThrough = row.DataThrough
		}
		card.Simulated = card.Simulated || row.Simulated
		card.Rows = append(card.Rows, *row)
	}
	if len(card.Rows) == 0 {
		if err := mostTelling(refused, r.Where); err != nil {
			return nil, err
		}
	}
	sort.SliceStable(card.Rows, func(a, b int) bool { return card.Rows[a].Group < card.Rows[b].Group })
	return card, nil
}

// mostTelling is the refusal that says most: that a value is not there rather than that a KPI
// has no such dimension. When no KPI has it, those that any of them has are told.
func mostTelling(refused []error, where map[string][]string) (first error) {
	var allowed []string
	for _, err := range refused {
		if err != nil && (first == nil || errors.Is(first, errNoDimension) && !errors.Is(err, errNoDimension)) {
			first = err
		}
		var p *problem.Error
		if errors.As(err, &p) {
			allowed = append(allowed, p.Allowed...)
		}
	}
	if !errors.Is(first, errNoDimension) {
		return first
	}
	slices.Sort(allowed)
	allowed = slices.Compact(allowed)
	for _, d := range slices.Sorted(maps.Keys(where)) {
		if !slices.Contains(allowed, d) {
			return bad("where", "no KPI has the dimension %q; allowed: %s", d, strings.Join(allowed, ", ")).
				Also("uz", "Hech bir koʻrsatkichda “%s” degan kesim yoʻq.", d).
				Also("ru", "Разреза «%s» нет ни у одного показателя.", d).
				Of(allowed...)
		}
	}
	return first // each dimension is of some KPI, all of them are of none
}

// scorecardAtOnce is how many statements of a scorecard run at once: the engine has few
// connections, and others ask too.
const scorecardAtOnce = 3

const trendMonths = 13

// lastDay is the day up to which figures are told when none is asked for: today, or the last day of the
// calendar year that the events of half of the contracts behind KPIs reach, where that year is over.
func (q *Queries) lastDay(ctx context.Context, knownOn reference.Day, common *shared) (reference.Day, error) {
	return once(common, fmt.Sprint("last day ", knownOn), func() (reference.Day, error) {
		today := q.calendar.Today(q.now())
		newest, err := q.newest(context.WithoutCancel(ctx), q.catalogue.All(), ScorecardRequest{KnownOn: knownOn}, common)
		if err != nil || newest == reference.NoDay {
			return today, err
		}
		return min(today, q.calendar.after(Year, q.calendar.start(Year, newest))-1), nil
	})
}

// asked is the question of a request. A stock without a last day is told for [Queries.lastDay]: today's
// register may have nothing of what the events of the other figures tell.
func (q *Queries) asked(ctx context.Context, r Request) (*question, error) {
	qn, err := q.question(ctx, r)
	if err != nil || qn.version.Basis != kpi.Stock || qn.to != reference.NoDay || q.published(qn) {
		return qn, err
	}
	day, err := q.lastDay(ctx, qn.knownOn, q.remembered(qn.knownOn))
	if err != nil || day < qn.from {
		return qn, err // what begins later is told as it stands today
	}
	r.To = day
	return q.question(ctx, r)
}

// newest is the day that the events of half of the contracts behind KPIs reach, today at the latest: one event with a
// wrong day takes nobody to another year. NoDay when there are none.
func (q *Queries) newest(ctx context.Context, kpis []*kpi.KPI, r ScorecardRequest, common *shared) (reference.Day, error) {
	if err := q.sentOfAll(ctx, common, open(r.KnownOn)); err != nil {
		return reference.NoDay, err
	}
	reach := map[*contract.Contract]reference.Day{}
	for _, k := range kpis {
		qn, err := q.question(ctx, Request{KPI: k.ID, KnownOn: r.KnownOn})
		if err != nil {
			return reference.NoDay, err
		}
		if qn.version.Basis != kpi.Events {
			continue
		}
		qn.shared = common
		src, err := q.sources(ctx, qn)
		if err != nil {
			return reference.NoDay, err
		}
		if c := qn.sides[0].contract; !src.through.IsZero() {
			reach[c] = max(reach[c], min(q.calendar.Today(src.through), qn.today))
		}
	}
	days := slices.Sorted(maps.Values(reach))
	if len(days) == 0 {
		return reference.NoDay, nil
	}
	return days[len(days)/2], nil
}

// row answers for one KPI with one statement, run together with those of other KPIs; what
// they ask alike about their senders is asked once.
func (q *Queries) row(ctx context.Context, k *kpi.KPI, r ScorecardRequest, common *shared, seat *seat) (*ScorecardRow, error) {
	row := &ScorecardRow{KPI: k.ID, Group: k.Group, Title: k.Title, Unit: string(k.Unit), Direction: string(k.Direction), Owner: k.Owner,
		Months: []Cell{}, Targets: []TargetStatus{}}
	qn, err := q.question(ctx, Request{KPI: k.ID, From: r.From, To: r.To, Where: r.Where, KnownOn: r.KnownOn, Compare: Previous, Audience: r.Audience})
	if err != nil {
		return row, err
	}
	qn.shared, qn.ask = common, seat.ask
	v := qn.version
	row.Basis, row.Version = string(v.Basis), v.Version
	src, err := q.sources(ctx, qn)
	if err != nil {
		return row, err
	}
	switch {
	case q.published(qn):
		err = q.rowPublished(ctx, qn, src, row)
	case v.Basis == kpi.Reported:
		err = q.rowReported(ctx, qn, row)
	case v.Basis == kpi.Stock:
		err = q.rowStock(ctx, qn, src, row, seat)
	case !qn.span(src): // nothing has been received yet
	case v.Distinct != nil:
		err = q.rowDistinct(ctx, qn, src, row)
	default:
		err = q.rowEvents(ctx, qn, src, row)
	}
	if err != nil {
		return row, err
	}
	said, err := q.closings(ctx, qn)
	if err != nil {
		return row, err
	}
	if row.Cell != nil {
		q.settle(qn, src, said, row.Cell)
	}
	for i := range row.Months {
		q.settle(qn, src, said, &row.Months[i])
	}
	told := row.Months
	if row.Cell != nil {
		told = append(slices.Clone(told), *row.Cell)
	}
	if err := q.weighMissing(ctx, qn, told); err != nil {
		return row, err
	}
	last := r.To
	if v.Basis == kpi.Stock && last == reference.NoDay {
		last = qn.today
	}
	row.DataThrough = q.through(src, last)
	if row.Cell != nil {
		row.Simulated = row.Cell.Simulated
	}
	if row.Cell != nil {
		row.Trend = trendOf(k.Direction, row.Cell.Comparison)
	}
	row.Targets, err = q.held(ctx, qn, row.Cell)
	return row, err
}

// trend is the months up to the end of the question, or to the one that is running.
func (q *Queries) trend(qn *question) []period {
	end := qn.to
	if end == reference.NoDay || end > qn.today {
		end = qn.today
	}
	month := q.calendar.start(Month, end)
	first := reference.DayOf(month.Time().AddDate(0, 1-trendMonths, 0))
	return q.calendar.periods(Month, first, q.calendar.after(Month, month)-1, trendMonths)
}

// rowEvents asks for the period, the one before and the months in one statement.
func (q *Queries) rowEvents(ctx context.Context, qn *question, src *sources, row *ScorecardRow) error {
	whole := period{from: qn.from, to: qn.to, label: q.calendar.label(Whole, qn.from, qn.to, 0)}
	before := q.calendar.earlier(Whole, Previous, whole)
	all := *qn
	all.spans = append([]period{whole, before}, q.trend(qn)...)
	for i := range all.spans {
		all.spans[i].span = i + 1
		all.from, all.to = min(all.from, all.spans[i].from), max(all.to, all.spans[i].to)
	}
	a, err := q.answerEvents(ctx, &all, func() (*sources, error) { return src, nil })
	if err != nil {
		return err
	}
	// Each of the three is a table of its own: months are hidden for each other's sake.
	q.hide(qn, a.cells[:1], a.persons[:1], nil)
	q.hide(qn, a.cells[1:2], a.persons[1:2], nil)
	months := *qn
	months.grain = Month
	q.hide(&months, a.cells[2:], a.persons[2:], all.spans[2:])
	row.Cell, row.Months = &a.cells[0], a.cells[2:]
	row.Cell.Comparison = comparison(row.Cell, before.label, &a.cells[1])
	return nil
}

// rowStock asks for the days at the end of the period, of the one before and of the months
// in one statement.
func (q *Queries) rowStock(ctx context.Context, qn *question, src *sources, row *ScorecardRow, seat *seat) error {
	day := qn.to
	if day == reference.NoDay {
		var err error
		if day, err = q.lastDay(ctx, qn.knownOn, qn.shared); err != nil {
			return err
		}
		day = max(day, qn.from)
	}
	before := q.calendar.stockBefore(Previous, qn.from, day)
	if qn.version.Backlog != nil { // it has two statements and is joined with none
		seat.giveUp()
		qn.ask = nil
	}
	for _, k := range q.catalogue.All() {
		for i := range k.Versions {
			if v := &k.Versions[i]; v.Basis == kpi.Stock && v.Match == nil && slices.Equal(v.From, qn.version.From) && v.Key == qn.version.Key {
				qn.beside = append(qn.beside, v)
			}
		}
	}
	a, err := q.stockOn(ctx, qn, src, append([]period{{from: day, to: day, label: day.String()}, {from: before, to: before, label: before.String()}}, q.trend(qn)...))
	if err != nil {
		return err
	}
	row.Cell, row.Months = &a.cells[0], a.cells[2:]
	row.Cell.Comparison = comparison(row.Cell, before.String(), &a.cells[1])
	return nil
}

// rowPublished tells what is published: to people outside, and of a contract with special
// fields, nothing else is.
func (q *Queries) rowPublished(ctx context.Context, qn *question, src *sources, row *ScorecardRow) error {
	said, err := q.closings(ctx, qn)
	if err != nil {
		return err
	}
	asked := *qn
	a, err := q.answerPublished(ctx, &asked, src, said)
	if err != nil || len(a.cells) == 0 {
		return err
	}
	last := a.cells[len(a.cells)-1:]
	before, earlier := q.earlier(&asked, last)
	b, err := q.answerPublished(ctx, before, src, said)
	if err != nil {
		return err
	}
	match(before.grain, last, earlier, b.cells)
	row.Cell = &last[0]
	if slices.Contains(q.publishedGrains(qn.version), Month) {
		months, trend := *qn, q.trend(qn)
		months.grain, months.from, months.to = Month, trend[0].from, trend[len(trend)-1].to
		if a, err = q.answerPublished(ctx, &months, src, said); err != nil {
			return err
		}
		row.Months = a.cells
	}
	return nil
}

// rowReported reads every window at once.
func (q *Queries) rowReported(ctx context.Context, qn *question, row *ScorecardRow) error {
	every := *qn
	every.from, every.to, every.grain = reference.NoDay, reference.NoDay, Window
	found, err := q.find(ctx, qn, q.reported(&every, qn.sides[0].contract, bind{}))
	if err != nil {
		return err
	}
	if cells := q.tellReported(qn, found).cells; len(cells) > 0 {
		before, earlier := q.earlier(qn, cells)
		match(before.grain, cells, earlier, q.tellReported(before, found).cells)
		row.Cell = &cells[len(cells)-1]
	}
	every.to = qn.to
	row.Months = append(row.Months, q.tellReported(&every, found).cells...)
	row.Months = row.Months[max(0, len(row.Months)-trendMonths):]
	return nil
}

// rowDistinct tells an exact distinct count, which cannot be added up, by the last month
// of the period; by its first grain when it is not counted by month.
func (q *Queries) rowDistinct(ctx context.Context, qn *question, src *sources, row *ScorecardRow) error {
	by := *qn
	by.grain = Month
	months := q.trend(qn)
	by.from, by.to = months[0].from, months[len(months)-1].to
	if q.checkGrain(&by) != nil {
		by.grain = Grain(qn.version.Distinct.Grains[0])
		by.from, by.to = q.calendar.start(by.grain, min(qn.to, qn.today)), min(qn.to, qn.today)
	}
	a, err := q.answerEvents(ctx, &by, func() (*sources, error) { return src, nil })
	if err != nil {
		return err
	}
	cell := a.cells[len(a.cells)-1]
	row.Cell = &cell
	if by.grain == Month {
		row.Months = a.cells
	}
	return nil
}

// isFor says whether a target for a part is one for exactly what the question filters.
func (qn *question) isFor(where map[string]string) bool {
	if len(where) != len(qn.where) {
		return false
	}
	for dimension, value := range where {
		if values := qn.filtered(dimension); len(values) != 1 || values[0] != value {
			return false
		}
	}
	return true
}
