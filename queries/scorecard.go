package queries

import (
	"context"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// ScorecardRequest asks for every KPI at once.
type ScorecardRequest struct {
	From, To reference.Day       // as in Request; both open: the calendar year of each KPI's latest event, or today for a stock
	Where    map[string][]string // KPIs without one of the dimensions are left out
	KnownOn  reference.Day
}

// Scorecard is every KPI with its value, its last 13 months, its targets and its owner.
type Scorecard struct {
	DataThrough *time.Time     `json:"data_through"` // of the KPI whose data reach farthest
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
	Months      []Cell          `json:"months"` // the 13 months up to the period's end, the oldest first; the windows, for a reported figure
	Targets     []TargetStatus  `json:"targets"`
	DataThrough *time.Time      `json:"data_through"`
	Simulated   bool            `json:"simulated"`
	Problem     string          `json:"problem,omitempty"` // why there is no figure
}

// TargetStatus is a published figure held against the measured one.
type TargetStatus struct {
	Kind       kpi.Kind       `json:"kind"`       // target, result or claim: only a target is judged
	Comparator kpi.Comparator `json:"comparator"` // at_least, at_most, about, up_to
	Value      float64        `json:"value"`
	Due        Date           `json:"due"`
	DueStated  bool           `json:"due_stated"` // false: the act gives no date
	Act        string         `json:"act"`
	Wording    string         `json:"wording"`
	Owner      string         `json:"owner"`
	Gap        *float64       `json:"gap"` // what is missing, in the KPI's unit; 0 or less: reached; null: nothing to hold against it
	Status     kpi.Status     `json:"status"`
}

// Scorecard answers for every KPI. One KPI that fails does not spoil the others: its
// row says why. An engine that is away fails the whole.
func (q *Queries) Scorecard(ctx context.Context, r ScorecardRequest) (*Scorecard, error) {
	kpis := q.catalogue.All()
	rows := make([]*ScorecardRow, len(kpis))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(scorecardAtOnce)
	for i, k := range kpis {
		group.Go(func() error {
			row, err := q.row(ctx, k, r)
			switch problem.KindOf(err) {
			case problem.Busy, problem.Unavailable:
				return err
			}
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && len(r.Where) > 0 && problem.KindOf(err) == problem.BadInput:
				return nil // it has no such dimension
			case err != nil:
				row.Problem = problem.DocumentOf(err).Detail
			}
			rows[i] = row
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	card := &Scorecard{Rows: []ScorecardRow{}}
	for _, row := range rows {
		if row == nil {
			continue
		}
		if row.DataThrough != nil && (card.DataThrough == nil || row.DataThrough.After(*card.DataThrough)) {
			card.DataThrough = row.DataThrough
		}
		card.Simulated = card.Simulated || row.Simulated
		card.Rows = append(card.Rows, *row)
	}
	sort.SliceStable(card.Rows, func(a, b int) bool { return card.Rows[a].Group < card.Rows[b].Group })
	return card, nil
}

// scorecardAtOnce is how many KPIs are asked for at once: each asks up to three
// questions at once itself, and the engine has few connections.
const scorecardAtOnce = 2

const trendMonths = 13

func (q *Queries) row(ctx context.Context, k *kpi.KPI, r ScorecardRequest) (*ScorecardRow, error) {
	row := &ScorecardRow{KPI: k.ID, Group: k.Group, Title: k.Title, Unit: string(k.Unit), Direction: string(k.Direction), Owner: k.Owner,
		Months: []Cell{}, Targets: []TargetStatus{}}
	request := Request{KPI: k.ID, From: r.From, To: r.To, Where: r.Where, KnownOn: r.KnownOn, Compare: Previous}
	qn, err := q.question(ctx, request)
	if err != nil {
		return row, err
	}
	v := qn.version
	row.Basis, row.Version = string(v.Basis), v.Version
	if qn.from == reference.NoDay && qn.to == reference.NoDay && v.Basis == kpi.Events {
		src, err := q.sources(ctx, qn)
		if err != nil {
			return row, err
		}
		if src.last != reference.NoDay {
			request.From = q.calendar.start(Year, min(src.last, qn.today))
			request.To = q.calendar.after(Year, request.From) - 1
		}
	}
	if v.Distinct != nil {
		// A period that is not one of its calendar periods is told by its last month.
		request.Grain, request.Compare = Month, NoComparison
		request.From = q.calendar.start(Month, max(open(request.From), open(request.To)))
	}
	result, err := q.Values(ctx, request)
	if err != nil {
		return row, err
	}
	row.DataThrough, row.Simulated = result.DataThrough, result.Simulated
	if len(result.Cells) > 0 {
		row.Cell = &result.Cells[len(result.Cells)-1]
	}
	row.Targets = q.targets(qn, row.Cell)

	trend := Request{KPI: k.ID, Where: r.Where, KnownOn: r.KnownOn, Grain: Month}
	if v.Basis == kpi.Reported {
		trend.Grain = Window
	} else {
		end := open(request.To)
		if end == reference.NoDay || end > qn.today {
			end = qn.today
		}
		trend.To = q.calendar.after(Month, q.calendar.start(Month, end)) - 1
		trend.From = reference.DayOf(q.calendar.start(Month, end).Time().AddDate(0, 1-trendMonths, 0))
	}
	if v.Distinct != nil && qn.checkGrainIs(Month) != nil {
		return row, nil
	}
	months, err := q.Values(ctx, trend)
	if err != nil {
		return row, err
	}
	row.Months = months.Cells
	if len(row.Months) > trendMonths {
		row.Months = row.Months[len(row.Months)-trendMonths:]
	}
	return row, nil
}

func (qn *question) checkGrainIs(g Grain) error {
	other := *qn
	other.grain = g
	return other.checkGrain()
}

// targets holds what was published for the whole, or for the part that the filter
// names, against the cell.
func (q *Queries) targets(qn *question, c *Cell) []TargetStatus {
	list := []TargetStatus{}
	for _, t := range q.catalogue.Published(qn.kpi.ID) {
		if t.Variant != qn.version.Variant || !qn.isFor(t.Where) {
			continue
		}
		status := TargetStatus{Kind: t.Kind, Comparator: t.Comparator, Value: t.Value, Due: dateOf(t.Due), DueStated: t.DueStated,
			Act: t.Act.Title, Wording: t.Wording, Owner: t.Owner, Status: kpi.Unmeasured}
		if c != nil {
			value := kpi.Value{State: c.State}
			if c.Value != nil {
				value.Number = *c.Value
				gap := t.Value - value.Number
				if t.Comparator == kpi.AtMost || t.Comparator == kpi.UpTo {
					gap = -gap
				}
				status.Gap = &gap
			}
			status.Status = kpi.StatusOf(t, value, qn.today)
		}
		list = append(list, status)
	}
	return list
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
