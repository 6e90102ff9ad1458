package portfolio

import (
	"context"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

// Detail is everything about one project.
type Detail struct {
	On      Date    `json:"on"`
	KnownOn Date    `json:"known_on"`
	Project Project `json:"project"`

	ProgrammeName string           `json:"programme_name"`
	Recommended   Date             `json:"recommended_on"`
	AcceptedOn    Date             `json:"accepted_on"`
	EndedOn       Date             `json:"ended_on"`
	Stages        []StageEntry     `json:"stages"`
	Milestones    []*Milestone     `json:"milestones"` // by baseline
	Replans       []Replan         `json:"replans"`
	Reports       []ReportEntry    `json:"reports"`
	Budgets       []*Budget        `json:"budgets"`
	Contracts     []*ContractEntry `json:"contracts"`
	Risks         []*Risk          `json:"risks"`
	Promises      []*Promise       `json:"promises"`
	WaitsFor      []Named          `json:"waits_for"` // a project that is not in the portfolio has an id only
	WaitedForBy   []Named          `json:"waited_for_by"`
	Cycle         []string         `json:"cycle"` // the last waits for the first; empty: none
	Findings      []Finding        `json:"findings"`
	Duplicates    []Duplicate      `json:"duplicates"` // likely ones of this project, A

	DataThrough Date `json:"data_through"` // day of the portfolio's newest event by then
}

// Project is one project; NotFound when nobody proposed one with this id.
func (p *Portfolio) Project(ctx context.Context, id string, at At) (*Detail, error) {
	s, err := p.read(ctx, at, id)
	if err != nil {
		return nil, err
	}
	one := s.projects[id]
	if one == nil {
		return nil, problem.New(problem.NotFound, "there is no project %q on %s", id, Date(s.on)).In("id").
			Also("uz", "Bu kunda “%s” loyihasi yoʻq.", id).
			Also("ru", "На этот день проекта «%s» нет.", id)
	}
	d := &Detail{On: Date(s.on), KnownOn: s.knownOn, DataThrough: s.through, Project: one.Project, ProgrammeName: s.programmes[one.Programme],
		Recommended: one.recommended, AcceptedOn: one.accepted, EndedOn: one.ended,
		Stages: list(one.stages), Milestones: list(one.milestones), Replans: list(one.replans), Reports: list(one.reports), Budgets: list(one.budgets),
		Contracts: list(one.contracts), Risks: list(one.risks), Promises: list(one.promises),
		WaitsFor: []Named{}, WaitedForBy: []Named{}, Cycle: list(one.cycle), Findings: list(one.findings)}
	name := func(id string) Named {
		if other := s.projects[id]; other != nil {
			return other.named()
		}
		return Named{ID: id}
	}
	for _, other := range one.WaitsFor {
		d.WaitsFor = append(d.WaitsFor, name(other))
	}
	for _, other := range one.waitedFor {
		d.WaitedForBy = append(d.WaitedForBy, name(other))
	}
	d.Duplicates = list(s.duplicates([]*project{one}, LeastScore))
	for i := range d.Duplicates {
		if two := &d.Duplicates[i]; two.A.ID != id {
			two.A, two.B = two.B, two.A
		}
	}
	return d, p.measure(ctx, s, d.Promises, at)
}

// list is never nil, so that JSON has [].
func list[T any](of []T) []T {
	if of == nil {
		return []T{}
	}
	return of
}

// measure puts the KPIs themselves beside what was promised of them: their values of the
// calendar year up to the day; of stocks, on the day.
func (p *Portfolio) measure(ctx context.Context, s *state, promises []*Promise, at At) error {
	if p.kpis == nil {
		return nil
	}
	year := reference.DayOf(time.Date(s.on.Time().Year(), 1, 1, 0, 0, 0, 0, time.UTC))
	type measured struct {
		value *float64
		unit  string
	}
	known := map[string]measured{}
	for _, q := range promises {
		m, ok := known[q.Indicator]
		if !ok {
			result, err := p.kpis.Values(ctx, queries.Request{KPI: q.Indicator, From: year, To: s.on, KnownOn: at.KnownOn})
			switch {
			case problem.KindOf(err) == problem.NotFound || problem.KindOf(err) == problem.BadInput:
				// Not a KPI of this pack, or one that has no single value for these days: the promise stands without.
			case err != nil:
				return err
			default:
				m.unit = result.Unit
				if len(result.Cells) == 1 {
					m.value = result.Cells[0].Value
				}
			}
			known[q.Indicator] = m
		}
		q.Current, q.Unit = m.value, m.unit
	}
	return nil
}
