package queries

import (
	"context"
	"fmt"
	"math"
	"sort"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// ChangesRequest asks what has changed since a moment.
type ChangesRequest struct {
	Since    reference.Day       // held against what was known at the end of the day before
	From, To reference.Day       // the period of the figures, as in [ScorecardRequest]
	Where    map[string][]string // KPIs without one of the dimensions are left out
	Language string              // as in Request
}

// Changes are the figures that are not what they were.
type Changes struct {
	Since       Date       `json:"since"`
	KnownOn     Date       `json:"known_on"`     // the day whose knowledge the figures are held against
	From        Date       `json:"from"`         // of the figures' period
	To          Date       `json:"to"`           // inclusive
	DataThrough *time.Time `json:"data_through"` //
	Simulated   bool       `json:"simulated"`
	Unchanged   int        `json:"unchanged"` // KPIs that are what they were
	Changes     []Change   `json:"changes"`   // those that matter most first
}

// Change is what has become of one KPI.
type Change struct {
	KPI        string          `json:"kpi"`
	Group      string          `json:"group"`
	Title      reference.Names `json:"title"`
	Unit       string          `json:"unit"`
	Direction  string          `json:"direction"`
	Owner      string          `json:"owner"`
	Was        *Cell           `json:"was"`               // the period as it was known; null: it was not, or Problem
	Now        *Cell           `json:"now"`               // the period as it is known now; null: nothing has come, or Problem
	Difference *float64        `json:"difference"`        // in the unit; percentage points for percent; null unless both have a number
	Trend      Trend           `json:"trend"`             // of the difference
	Settled    []Revision      `json:"settled"`           // months that had ended before, whose figure is another one now
	Corrected  int64           `json:"corrected"`         // rows of those months that were taken back since
	Late       int64           `json:"late"`              // rows that have come since for days before
	Targets    []TargetChange  `json:"targets"`           // targets that have been reached or missed since
	Problem    string          `json:"problem,omitempty"` // why Was or Now could not be asked for, in the request's language
}

// Revision is a month that had ended and whose figure has changed since.
type Revision struct {
	Period     string   `json:"period"`
	Was        *float64 `json:"was"`
	WasState   State    `json:"was_state"`
	Now        *float64 `json:"now"`
	NowState   State    `json:"now_state"`
	Difference *float64 `json:"difference"`
}

// TargetChange is a target whose verdict is another one.
type TargetChange struct {
	TargetStatus
	Was kpi.Status `json:"was"`
}

// Changes holds every KPI's figure against what was known at the end of the day before
// Since: by how much it moved, which months that had ended were corrected or completed by
// late rows, and which targets have been reached or missed. It costs a scorecard and one sum
// over the rollup by source of each contract, however long ago Since is, and the first time
// that a day is asked for a scorecard from facts.
func (q *Queries) Changes(ctx context.Context, r ChangesRequest) (*Changes, error) {
	today := q.calendar.Today(q.now())
	if open(r.Since) == reference.NoDay {
		return nil, bad("since", "is missing: the day from which on changes are told").
			Also("uz", "Oʻzgarishlar qaysi kundan beri aytilishi koʻrsatilmagan.").
			Also("ru", "Не указан день, с которого сообщать об изменениях.")
	}
	if r.Since > today {
		return nil, bad("since", "%s is after today, %s", r.Since, today).
			Also("uz", "%s hali kelmagan: undan keyingi oʻzgarish yoʻq.", dayIn("uz", r.Since)).
			Also("ru", "День %s ещё не наступил: изменений после него нет.", dayIn("ru", r.Since))
	}
	known := r.Since - 1
	now, err := q.Scorecard(ctx, ScorecardRequest{From: r.From, To: r.To, Where: r.Where, Language: r.Language})
	if err != nil {
		return nil, err
	}
	was := &Scorecard{}
	if now.From.Set || now.To.Set { // else nothing has ever come
		if was, err = q.scorecardOf(ctx, ScorecardRequest{From: dayOr(now.From), To: dayOr(now.To), Where: r.Where, KnownOn: known, Language: r.Language}); err != nil {
			return nil, err
		}
	}
	answer := &Changes{Since: dateOf(r.Since), KnownOn: dateOf(known), From: now.From, To: now.To, DataThrough: now.DataThrough, Simulated: now.Simulated, Changes: []Change{}}
	before := map[string]*ScorecardRow{}
	for i := range was.Rows {
		before[was.Rows[i].KPI] = &was.Rows[i]
	}
	arrived := map[string]arrivals{}
	for i := range now.Rows {
		row := &now.Rows[i]
		old := before[row.KPI]
		if old == nil {
			old = &ScorecardRow{}
		}
		change := changeOf(row, old, known)
		if change == nil {
			answer.Unchanged++
			continue
		}
		if len(change.Settled) > 0 {
			came, err := q.arrived(ctx, row.KPI, known, arrived)
			if err != nil {
				return nil, err
			}
			change.Corrected, change.Late = came.corrected, came.late
		}
		answer.Changes = append(answer.Changes, *change)
	}
	sort.SliceStable(answer.Changes, func(i, j int) bool {
		a, b := &answer.Changes[i], &answer.Changes[j]
		if len(a.Targets) != len(b.Targets) {
			return len(a.Targets) > len(b.Targets)
		}
		if (len(a.Settled) > 0) != (len(b.Settled) > 0) {
			return len(a.Settled) > 0
		}
		return a.size() > b.size()
	})
	return answer, nil
}

// knownKept is how many scorecards of what was known are kept.
const knownKept = 32

// scorecardOf is the scorecard of what was known at the end of an earlier day. It stands on
// facts, which takes its time, and what had come by then does not change: it is kept for
// whoever asks next. Of a day before anything had come nothing was known.
func (q *Queries) scorecardOf(ctx context.Context, r ScorecardRequest) (*Scorecard, error) {
	key := fmt.Sprint(r)
	q.known.Lock()
	found := q.known.cards[key]
	q.known.Unlock()
	if found != nil {
		return found, nil
	}
	common := &shared{}
	if err := q.sentOfAll(ctx, common, r.KnownOn); err != nil {
		return nil, err
	}
	card, something := &Scorecard{}, false
	common.asked.Range(func(_, sent any) bool {
		senders, err := sent.(func() ([]sender, error))()
		something = err != nil || len(senders) > 0
		return !something
	})
	if something {
		var err error
		if card, err = q.Scorecard(ctx, r); err != nil {
			return nil, err
		}
	}
	q.known.Lock()
	defer q.known.Unlock()
	if len(q.known.cards) >= knownKept || q.known.cards == nil {
		q.known.cards = map[string]*Scorecard{}
	}
	q.known.cards[key] = card
	return card, nil
}

func dayOr(d Date) reference.Day {
	if !d.Set {
		return reference.NoDay
	}
	return d.Day
}

// changeOf holds one row of a scorecard against what was known of it; nil is no change.
func changeOf(now, was *ScorecardRow, known reference.Day) *Change {
	c := &Change{KPI: now.KPI, Group: now.Group, Title: now.Title, Unit: now.Unit, Direction: now.Direction, Owner: now.Owner,
		Was: was.Cell, Now: now.Cell, Settled: []Revision{}, Targets: []TargetChange{}}
	if c.Problem = now.Problem; c.Problem == "" {
		c.Problem = was.Problem
	}
	changed := !sameFigure(now.Cell, was.Cell)
	if now.Cell != nil && was.Cell != nil {
		c.Difference = difference(was.Cell, now.Cell)
		c.Trend = trendOf(kpi.Direction(now.Direction), &Comparison{Difference: c.Difference})
	}
	months := map[string]*Cell{}
	for i := range was.Months {
		months[was.Months[i].Period] = &was.Months[i]
	}
	for i := range now.Months {
		month := &now.Months[i]
		old := months[month.Period]
		if month.To > known || sameFigure(month, old) {
			continue
		}
		revision := Revision{Period: month.Period, WasState: NotProvided, Now: month.Value, NowState: month.State}
		if old != nil {
			revision.Was, revision.WasState, revision.Difference = old.Value, old.State, difference(old, month)
		}
		c.Settled = append(c.Settled, revision)
	}
	for i, t := range now.Targets {
		status := kpi.Unmeasured // also where nothing was known of the KPI
		if i < len(was.Targets) {
			status = was.Targets[i].Status
		}
		if t.Status != status && (t.Status == kpi.Reached || t.Status == kpi.Missed) {
			c.Targets = append(c.Targets, TargetChange{t, status})
		}
	}
	if !changed && len(c.Settled) == 0 && len(c.Targets) == 0 {
		return nil
	}
	return c
}

// sameFigure says whether two cells say the same: the value, its state and what it was
// divided of.
func sameFigure(a, b *Cell) bool {
	if a == nil || b == nil {
		return (a == nil || a.State == NotProvided) && (b == nil || b.State == NotProvided)
	}
	return a.State == b.State && a.Numerator == b.Numerator && a.Denominator == b.Denominator && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || *a.Value == *b.Value)
}

func difference(was, now *Cell) *float64 {
	if was.Value == nil || now.Value == nil {
		return nil
	}
	d := *now.Value - *was.Value
	return &d
}

// size ranks changes: percentage points of a percentage, else percent of the earlier
// value; a figure that has appeared or gone counts as a hundred.
func (c *Change) size() float64 {
	if c.Difference == nil {
		if sameFigure(c.Was, c.Now) {
			return 0
		}
		return 100
	}
	d := math.Abs(*c.Difference)
	if c.Unit == string(kpi.Percent) || d == 0 {
		return d
	}
	if *c.Was.Value == 0 {
		return 100
	}
	return 100 * d / math.Abs(*c.Was.Value)
}

// arrivals are rows that came after a day for days up to it.
type arrivals struct{ corrected, late int64 }

// arrived adds up what came after a day for the days up to it, of the contracts behind a KPI.
func (q *Queries) arrived(ctx context.Context, id string, known reference.Day, asked map[string]arrivals) (arrivals, error) {
	var sum arrivals
	qn, err := q.question(ctx, Request{KPI: id})
	if err != nil {
		return sum, err
	}
	seen := map[string]bool{}
	for _, side := range qn.sides {
		table := q.warehouse.Table(q.bySource(side))
		if seen[table] {
			continue
		}
		seen[table] = true
		a, ok := asked[table]
		if !ok {
			params := bind{}
			day := params.day("known", known)
			// A correction takes a row back and puts another in its place; what is left over came late.
			sql := fmt.Sprintf("SELECT toInt64(sum(_retracted)), toInt64(greatest(sum(_n), 0)) FROM %s WHERE _cut > %s AND _day <= %s", table, day, day)
			err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error { return scan(&a.corrected, &a.late) })
			if err != nil {
				return sum, err
			}
			asked[table] = a
		}
		sum.corrected, sum.late = sum.corrected+a.corrected, sum.late+a.late
	}
	return sum, nil
}
