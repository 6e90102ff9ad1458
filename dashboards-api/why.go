package dashboards

import (
	"context"
	"strconv"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

var whyParams = []string{"from", "to", "by", "where", "compare", "before_from", "before_to", "basis", "version", "variant", "known_on", "largest", "lang"}

const mostNamed = 1000

// whyRequest reads what /why and /movers ask.
func whyRequest(q *query) (*queries.WhyRequest, error) {
	values, err := valueRequest(q)
	if err != nil {
		return nil, err
	}
	r := &queries.WhyRequest{Request: *values}
	for name, into := range map[string]*reference.Day{"before_from": &r.BeforeFrom, "before_to": &r.BeforeTo} {
		given, err := day(q, name)
		if err != nil {
			return nil, err
		}
		if given != reference.NoDay {
			*into = given
		}
	}
	if given := q.get("largest"); given != "" {
		if r.Largest, err = strconv.Atoi(given); err != nil || r.Largest < 1 || r.Largest > mostNamed {
			return nil, problem.New(problem.BadInput, "largest=%q is not a number of units; it is 1 to %d", given, mostNamed).In("largest").
				Also("uz", "“%s” 1 dan %d gacha boʻlgan son emas.", given, mostNamed).
				Also("ru", "«%s» — не число от 1 до %d.", given, mostNamed)
		}
	}
	return r, nil
}

// getWhy answers with what moved a KPI between two periods.
func (s *server) getWhy(ctx context.Context, q *query) (*answer, error) {
	r, err := whyRequest(q)
	if err != nil {
		return nil, err
	}
	why, err := s.config.Queries.Why(ctx, *r)
	if err != nil {
		return nil, err
	}
	return &answer{body: why, name: why.KPI + "-why", table: func() (*table, error) {
		t := newTable(contributionColumns(why.By, why.Names, text("part"))...)
		for _, part := range why.Parts {
			row := func(c *queries.Contribution, kind string, change queries.Number) {
				t.add(contributionRow(s.language(q), why.By, why.Names, c, kind, change, why.Before, why.Now, why.KPI, why.Unit, part.Key)...)
			}
			row(nil, "all", part.Change)
			for i := range part.Largest {
				row(&part.Largest[i], part.Largest[i].Kind, part.Largest[i].Change)
			}
			row(nil, "others", part.Others)
		}
		return t, nil
	}}, nil
}

// getMovers answers with the units that moved a KPI most.
func (s *server) getMovers(ctx context.Context, q *query) (*answer, error) {
	r, err := whyRequest(q)
	if err != nil {
		return nil, err
	}
	m, err := s.config.Queries.Movers(ctx, *r)
	if err != nil {
		return nil, err
	}
	return &answer{body: m, name: m.KPI + "-movers", table: func() (*table, error) {
		t := newTable(contributionColumns(m.By, m.Names)...)
		row := func(c *queries.Contribution, kind string, change queries.Number) {
			t.add(contributionRow(s.language(q), m.By, m.Names, c, kind, change, m.Before, m.Now, m.KPI, m.Unit)...)
		}
		for i := range m.Movers {
			row(&m.Movers[i], m.Movers[i].Kind, m.Movers[i].Change)
		}
		row(nil, "others", m.Others)
		return t, nil
	}}, nil
}

// contributionColumns are those of a table of what units add to a change.
func contributionColumns(by []string, known map[string]map[string]reference.Names, own ...column) []column {
	columns := append([]column{text("kpi"), text("before_period"), text("now_period"), text("unit_of_value")}, own...)
	for _, dimension := range by {
		columns = append(columns, text(dimension))
		if known[dimension] != nil {
			columns = append(columns, text(dimension+"_name"))
		}
	}
	return append(columns, text("kind"), exact("change"), exact("before"), exact("now"))
}

// contributionRow is one of its rows; without a contribution it is about several units.
func contributionRow(language string, by []string, known map[string]map[string]reference.Names, c *queries.Contribution, kind string, change queries.Number, before, now queries.WhyPeriod, kpi, unit string, own ...any) []any {
	row := append([]any{kpi, before.Period, now.Period, unit}, own...)
	for _, dimension := range by {
		var code any
		if c != nil {
			code = c.Unit[dimension]
		}
		row = append(row, code)
		if names := known[dimension]; names != nil {
			if c != nil {
				row = append(row, names[c.Unit[dimension]].In(language))
			} else {
				row = append(row, nil)
			}
		}
	}
	if c == nil {
		c = &queries.Contribution{}
	}
	return append(row, kind, decimal(change), decimal(c.Before), decimal(c.Now))
}
