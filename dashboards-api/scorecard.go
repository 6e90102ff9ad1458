package dashboards

import (
	"context"
	"slices"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/queries"
)

var scorecardParams = []string{"from", "to", "where", "known_on", "audience", "lang"}

// scorecardBody is the scorecard with the names of the organisations that own its figures.
type scorecardBody struct {
	Owners map[string]reference.Names `json:"owners"`
	*queries.Scorecard
}

// getScorecard answers with every KPI. Without a period it speaks of the calendar
// year that the events of half of the contracts reach.
func (s *server) getScorecard(ctx context.Context, q *query) (*answer, error) {
	r := queries.ScorecardRequest{Audience: queries.Audience(q.get("audience")), Language: q.get("lang")}
	var err error
	if r.From, err = day(q, "from"); err != nil {
		return nil, err
	}
	if r.To, err = day(q, "to"); err != nil {
		return nil, err
	}
	if r.KnownOn, err = day(q, "known_on"); err != nil {
		return nil, err
	}
	if r.Where, err = where(q.get("where")); err != nil {
		return nil, err
	}
	card, err := s.config.Queries.Scorecard(ctx, r)
	if err != nil {
		return nil, err
	}
	body := scorecardBody{Owners: map[string]reference.Names{}, Scorecard: card}
	for _, row := range card.Rows {
		body.Owners[row.Owner] = s.organisation(row.Owner)
	}
	return &answer{body: body, name: "scorecard", table: func() (*table, error) { return s.scorecardTable(body, s.language(q)), nil }}, nil
}

func (s *server) scorecardTable(body scorecardBody, language string) *table {
	t := newTable(text("kpi"), text("title"), text("group"), text("owner"), text("period"), exact("numerator"), exact("denominator"), number("value"),
		text("quantile"), text("unit"), text("state"), count("cases"), flag("open"), date("closed"), date("corrected"), number("target"), text("comparator"), date("due"), text("status"), number("gap"), count("units"), text("words"), number("expected"), number("projected"), text("trend"), number("change"), number("coverage_percent"), text("coverage"), text("data_through"), flag("simulated"), text("problem"))
	for _, row := range body.Rows {
		cell := row.Cell
		if cell == nil {
			cell = &queries.Cell{State: queries.State(missing(row.Problem))}
		}
		cells := []any{row.KPI, row.Title.In(language), row.Group, row.Owner, cell.Period, decimal(cell.Numerator), decimal(cell.Denominator),
			pointed(cell.Value), quantileOf(cell, ""), row.Unit, string(cell.State), whole(cell.Cases), cell.Open(), cell.Closed.String(), cell.Corrected.String()}
		if i := slices.IndexFunc(row.Targets, func(t queries.TargetStatus) bool { return t.Kind == kpi.Asked }); i >= 0 {
			target := row.Targets[i]
			cells = append(cells, pointed(target.Value), string(target.Comparator), target.Due.String(), string(target.Status), pointed(target.Gap), whole(target.Units), target.Words)
			if target.RunRate != nil {
				cells = append(cells, target.RunRate.Expected, target.RunRate.Projected)
			} else {
				cells = append(cells, nil, nil)
			}
		} else {
			cells = append(cells, nil, nil, nil, nil, nil, nil, nil, nil, nil)
		}
		cells = append(cells, string(row.Trend))
		if cell.Comparison != nil {
			cells = append(cells, pointed(cell.Comparison.Difference))
		} else {
			cells = append(cells, nil)
		}
		if cell.Coverage != nil {
			cells = append(cells, cell.Coverage.Share, cell.Coverage.Words)
		} else {
			cells = append(cells, nil, nil)
		}
		t.add(append(cells, stamp(s.pointedMoment(row.DataThrough)), row.Simulated, row.Problem)...)
	}
	return t
}

// quantileOf is which quantile of a distribution a figure is: the first, or the largest value where a
// comparator asks for that; empty of what is none.
func quantileOf(c *queries.Cell, comparator kpi.Comparator) string {
	if c == nil || len(c.Quantiles) == 0 {
		return ""
	}
	if comparator == kpi.UpTo && slices.ContainsFunc(c.Quantiles, func(x queries.Quantile) bool { return x.Q == 1 }) {
		return quantileName(1)
	}
	return quantileName(c.Quantiles[0].Q)
}

func (s *server) pointedMoment(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return s.moment(*t)
}
