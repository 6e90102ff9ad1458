package dashboards

import (
	"context"
	"strings"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

var changesParams = []string{"since", "from", "to", "where", "lang"}

// changesBody is what has changed, with the names of the organisations that own figures.
type changesBody struct {
	Owners map[string]reference.Names `json:"owners"`
	*queries.Changes
}

// getChanges answers with the figures that are not what they were.
func (s *server) getChanges(ctx context.Context, q *query) (*answer, error) {
	r := queries.ChangesRequest{Language: q.get("lang")}
	var err error
	if r.Since, err = s.since(q.get("since")); err != nil {
		return nil, err
	}
	if r.From, err = day(q, "from"); err != nil {
		return nil, err
	}
	if r.To, err = day(q, "to"); err != nil {
		return nil, err
	}
	if r.Where, err = where(q.get("where")); err != nil {
		return nil, err
	}
	changes, err := s.config.Queries.Changes(ctx, r)
	if err != nil {
		return nil, err
	}
	body := changesBody{Owners: map[string]reference.Names{}, Changes: changes}
	for _, c := range changes.Changes {
		body.Owners[c.Owner] = s.organisation(c.Owner)
	}
	return &answer{body: body, name: "changes", table: func() (*table, error) { return changesTable(body, s.language(q)), nil }}, nil
}

// since reads a day, or an instant of which the day in the pack's zone is taken.
func (s *server) since(given string) (reference.Day, error) {
	if given == "" {
		return reference.NoDay, problem.New(problem.BadInput, "since is missing: a day as 2024-12-31, or an instant as 2024-12-31T18:00:00+05:00").In("since").
			Also("uz", "Qaysi kundan beri ekani koʻrsatilmagan; 2024-12-31 yoki 2024-12-31T18:00:00+05:00 koʻrinishida yoziladi.").
			Also("ru", "Не указано, с какого дня; пишется 2024-12-31 или 2024-12-31T18:00:00+05:00.")
	}
	if d, err := reference.ParseDay(given); err == nil {
		return inReach(d, "since")
	}
	at, err := time.Parse(time.RFC3339, given)
	if err != nil {
		return reference.NoDay, problem.New(problem.BadInput, "since=%q is neither a day nor an instant; write 2024-12-31 or 2024-12-31T18:00:00+05:00", given).In("since").
			Also("uz", "“%s” kun ham, vaqt ham emas; 2024-12-31 yoki 2024-12-31T18:00:00+05:00 koʻrinishida yoziladi.", given).
			Also("ru", "«%s» — не день и не момент; пишется 2024-12-31 или 2024-12-31T18:00:00+05:00.", given)
	}
	return inReach(reference.DayOf(at.In(s.config.Pack.Zone)), "since")
}

func changesTable(body changesBody, language string) *table {
	t := newTable(text("kpi"), text("title"), text("group"), text("owner"), text("period"), number("was"), text("was_state"), number("now"), text("now_state"), number("difference"), text("unit"),
		text("trend"), text("settled"), count("corrected"), count("late"), text("targets"), text("problem"))
	for _, c := range body.Changes.Changes {
		row := []any{c.KPI, c.Title.In(language), c.Group, c.Owner}
		period := ""
		var figures []any
		for _, cell := range []*queries.Cell{c.Was, c.Now} {
			if cell == nil {
				figures = append(figures, nil, missing(c.Problem))
				continue
			}
			period = cell.Period
			figures = append(figures, pointed(cell.Value), string(cell.State))
		}
		row = append(append(row, period), figures...)
		var settled, targets []string
		for _, revision := range c.Settled {
			settled = append(settled, revision.Period)
		}
		for _, target := range c.Targets {
			targets = append(targets, string(target.Status)+": "+target.Wordings.In(language))
		}
		t.add(append(row, pointed(c.Difference), c.Unit, string(c.Trend), strings.Join(settled, " "), float64(c.Corrected), float64(c.Late), strings.Join(targets, "; "), c.Problem)...)
	}
	return t
}
