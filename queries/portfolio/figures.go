package portfolio

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/problem"
)

// Figures are the figures of a set of projects. A share is in percent, and null where
// there is nothing to divide by; the parts stand beside it.
type Figures struct {
	Key              string         `json:"key"` // what the set has in common; empty for all, or where it is not told
	Projects         int            `json:"projects"`
	Active           int            `json:"active"`
	ByStatus         map[Status]int `json:"by_status"`
	MilestonesDue    int            `json:"milestones_due"`
	MilestonesOn     int            `json:"milestones_on_time"`
	OnTimeShare      *float64       `json:"on_time_share"`
	DaysLate         *float64       `json:"days_late"` // median over all milestones reached
	Overdue          int            `json:"overdue"`   // milestones of active projects whose current date has passed
	Stale            int            `json:"stale"`     // of the active
	StaleShare       *float64       `json:"stale_share"`
	PromisesDue      int            `json:"promises_due"`
	PromisesMet      int            `json:"promises_met"`
	PromisesShare    *float64       `json:"promises_met_share"`
	Rated            int            `json:"rated"`  // active with a computed rating
	Rating           *float64       `json:"rating"` // mean of those
	Overridden       int            `json:"overridden"`
	ExpertRated      int            `json:"expert_rated"`  // active with an expert's points
	ExpertRating     *float64       `json:"expert_rating"` // mean of those
	Budgeted         int64          `json:"budgeted"`
	Contracted       int64          `json:"contracted"`
	Spent            int64          `json:"spent"`
	ServingNothing   int            `json:"serving_nothing"` // active that promised no KPI
	NeedingAttention int            `json:"needing_attention"`
	Simulated        int            `json:"simulated"`
}

func figuresOf(key string, all []*project) Figures {
	f := Figures{Key: key, Projects: len(all), ByStatus: map[Status]int{}}
	for _, status := range Statuses {
		f.ByStatus[status] = 0
	}
	var late []float64
	var rating, expert float64
	for _, p := range all {
		f.ByStatus[p.Status]++
		f.MilestonesDue += p.Milestones.Due
		f.MilestonesOn += p.Milestones.OnTime
		f.PromisesDue += p.Promises.Due
		f.PromisesMet += p.Promises.Met
		for _, m := range p.milestones {
			if m.DaysLate != nil {
				late = append(late, float64(max(*m.DaysLate, 0)))
			}
		}
		for _, money := range []struct {
			sum *int64
			of  *int64
		}{{&f.Budgeted, p.Money.Budgeted}, {&f.Contracted, p.Money.Contracted}, {&f.Spent, p.Money.Spent}} {
			if money.of != nil {
				*money.sum += *money.of
			}
		}
		if p.Simulated {
			f.Simulated++
		}
		if p.Status != Active {
			continue
		}
		f.Active++
		f.Overdue += p.Milestones.Overdue
		if p.Report.Stale {
			f.Stale++
		}
		if p.Rating.Computed != nil {
			f.Rated, rating = f.Rated+1, rating+*p.Rating.Computed
		}
		if p.Rating.Overridden {
			f.Overridden++
		}
		if p.Rating.Expert != nil {
			f.ExpertRated, expert = f.ExpertRated+1, expert+float64(*p.Rating.Expert)
		}
		if len(p.Serves) == 0 {
			f.ServingNothing++
		}
		if len(p.Attention) > 0 {
			f.NeedingAttention++
		}
	}
	f.OnTimeShare = share(f.MilestonesOn, f.MilestonesDue, 100)
	f.StaleShare = share(f.Stale, f.Active, 100)
	f.PromisesShare = share(f.PromisesMet, f.PromisesDue, 100)
	f.Rating = share(rating, f.Rated, 1)
	f.ExpertRating = share(expert, f.ExpertRated, 1)
	f.DaysLate = median(late)
	return f
}

// share divides last; null where there is nothing to divide by.
func share[N int | float64](part N, whole int, times float64) *float64 {
	if whole == 0 {
		return nil
	}
	v := times * float64(part) / float64(whole)
	return &v
}

// Groupings are what figures can be broken down by.
var Groupings = []string{"agency", "stage", "priority", "programme", "status", "serves"}

// Summary are the figures of the projects that fit, and of each group of them.
type Summary struct {
	On      Date      `json:"on"`
	KnownOn Date      `json:"known_on"`
	By      string    `json:"by"` // empty: not broken down
	Total   Figures   `json:"total"`
	Groups  []Figures `json:"groups"` // by key

	DataThrough Date `json:"data_through"` // day of the newest event by then; missing: none
}

// Summary sums the projects that fit up, broken down by one of [Groupings] or not at all. A
// project that serves several KPIs is in the group of each.
func (p *Portfolio) Summary(ctx context.Context, r Request, by string) (*Summary, error) {
	if by != "" && !slices.Contains(Groupings, by) {
		return nil, problem.New(problem.BadInput, "there is no breakdown %q; allowed are %s", by, strings.Join(Groupings, ", ")).In("by").Of(Groupings...).
			Also("uz", "“%s” kesimi yoʻq.", by).
			Also("ru", "Разреза «%s» нет.", by)
	}
	s, all, err := p.fitting(ctx, r)
	if err != nil {
		return nil, err
	}
	summary := &Summary{On: Date(s.on), KnownOn: s.knownOn, DataThrough: s.through, By: by, Total: figuresOf("", all), Groups: []Figures{}}
	if by == "" {
		return summary, nil
	}
	groups := map[string][]*project{}
	for _, one := range all {
		for _, key := range one.keys(by) {
			groups[key] = append(groups[key], one)
		}
	}
	for key, members := range groups {
		summary.Groups = append(summary.Groups, figuresOf(key, members))
	}
	slices.SortFunc(summary.Groups, func(a, b Figures) int { return strings.Compare(a.Key, b.Key) })
	return summary, nil
}

// keys are the groups of a breakdown that a project is in.
func (p *project) keys(by string) []string {
	switch by {
	case "agency":
		return []string{p.Agency}
	case "stage":
		return []string{p.Stage}
	case "priority":
		return []string{p.Priority}
	case "programme":
		return []string{p.Programme}
	case "status":
		return []string{string(p.Status)}
	case "serves":
		if len(p.Serves) == 0 {
			return []string{""}
		}
		return p.Serves
	case "rule":
		return p.Attention
	}
	return nil
}

// Serving is a project that promised to move a KPI.
type Serving struct {
	Project string   `json:"project"`
	Name    string   `json:"name"`
	Agency  string   `json:"agency"`
	Status  Status   `json:"status"`
	Due     Date     `json:"due"`
	AtLeast *float64 `json:"at_least"`
	AtMost  *float64 `json:"at_most"`
	Met     *bool    `json:"met"` // null while nothing was measured
}

// Serves are the promises of active and ended projects by the KPI that they are about, each
// list by project and due day. The key "" has the active projects that promised nothing.
// A pack without a portfolio has none, which is no error.
func (p *Portfolio) Serves(ctx context.Context, at At) (map[string][]Serving, error) {
	serves := map[string][]Serving{}
	if p == nil || p.declared == nil {
		return serves, nil
	}
	s, err := p.read(ctx, at, "")
	if err != nil {
		return nil, err
	}
	for _, one := range s.ordered {
		entry := Serving{Project: one.ID, Name: one.Name, Agency: one.Agency, Status: one.Status, Due: NoDate}
		switch {
		case one.Status != Active && one.Status != Ended:
			continue
		case len(one.promises) == 0 && one.Status == Active:
			serves[""] = append(serves[""], entry)
		}
		for _, q := range one.promises {
			entry.Due, entry.AtLeast, entry.AtMost, entry.Met = q.Due, q.AtLeast, q.AtMost, q.Met
			serves[q.Indicator] = append(serves[q.Indicator], entry)
		}
	}
	return serves, nil
}
