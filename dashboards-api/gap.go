package dashboards

import (
	"context"
	"strconv"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

var gapParams = []string{"from", "to", "where", "by", "variant", "known_on", "limit", "lang"}

// gapBody is a gap with the names of the organisations in it.
type gapBody struct {
	Owners map[string]reference.Names `json:"owners"`
	*queries.Gap
}

// getGap answers with what is missing to a KPI's target, and where it could come from.
func (s *server) getGap(ctx context.Context, q *query) (*answer, error) {
	r := queries.GapRequest{KPI: q.path("id"), Variant: q.get("variant"), By: q.get("by"), Language: q.get("lang")}
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
	if given := q.get("limit"); given != "" {
		if r.Limit, err = strconv.Atoi(given); err != nil || r.Limit < 1 {
			return nil, problem.New(problem.BadInput, "limit=%q is not a number of entries from 1 to 1000", given).In("limit").
				Also("uz", "“%s” 1 dan 1000 gacha boʻlgan son emas.", given).
				Also("ru", "«%s» — не число от 1 до 1000.", given)
		}
	}
	gap, err := s.config.Queries.Gap(ctx, r)
	if err != nil {
		return nil, err
	}
	body := gapBody{Owners: map[string]reference.Names{}, Gap: gap}
	body.Owners[gap.Owner] = s.organisation(gap.Owner)
	for _, e := range gap.Entries {
		if e.Owner != "" {
			body.Owners[e.Owner] = s.organisation(e.Owner)
		}
	}
	return &answer{body: body, name: gap.KPI + "-gap", table: func() (*table, error) { return gapTable(body, s.language(q)), nil }}, nil
}

func gapTable(body gapBody, language string) *table {
	t := newTable(text("kpi"), count("rank"), text(body.By), text("name"), text("owner"), text("owner_name"), number("missing"), number("weight"), text("ranked_by"), flag("told"))
	for i, e := range body.Entries {
		t.add(body.KPI, float64(i+1), e.Code, body.Names[e.Code].In(language), e.Owner, body.Owners[e.Owner].In(language), pointed(e.Missing), pointed(e.Weight), body.RankedBy, e.Told)
	}
	return t
}
