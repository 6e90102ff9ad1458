package dashboards

import (
	"context"
	"maps"
	"slices"
	"strings"

	"ombor/internal/access"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/portfolio"
)

var targetParams = []string{"on", "known_on", "lang"}

// targetBody is what an act, a plan or a press release says of a KPI. Only kind
// "target" is a target.
type targetBody struct {
	KPI        string            `json:"kpi"`
	Variant    string            `json:"variant"`
	Kind       string            `json:"kind"`
	Act        string            `json:"act"`
	URL        string            `json:"url"`
	InForce    *string           `json:"in_force"`
	Wording    string            `json:"wording"`
	Language   string            `json:"language"`
	Acts       reference.Names   `json:"act_names"`
	Wordings   reference.Names   `json:"wording_names"`
	Comparator string            `json:"comparator"`
	Value      *float64          `json:"value"`
	Due        *string           `json:"due"`
	DueStated  bool              `json:"due_stated"`
	Period     spanBody          `json:"period"`
	Check      reference.Names   `json:"check"`
	Owner      string            `json:"owner"`
	OwnerNames reference.Names   `json:"owner_names"`
	Where      map[string]string `json:"where"`
}

// targetsOf lists what was published of a KPI.
func (s *server) targetsOf(id string) []targetBody {
	list := []targetBody{}
	for _, t := range s.config.Pack.Targets {
		if t.KPI != id {
			continue
		}
		body := describeTarget(t)
		body.OwnerNames = s.organisation(t.Owner)
		list = append(list, body)
	}
	return list
}

func describeTarget(t *kpi.Target) targetBody {
	where := map[string]string{}
	maps.Copy(where, t.Where)
	body := targetBody{KPI: t.KPI, Variant: t.Variant, Kind: string(t.Kind), Act: t.Act.Title, URL: t.Act.URL, InForce: dayText(t.Act.InForce), Wording: t.Wording, Language: t.Language, Acts: names(t.Act.Titles), Wordings: names(t.Wordings),
		Comparator: string(t.Comparator), Period: span(t.Period), Check: names(t.Check), Owner: t.Owner,
		OwnerNames: reference.Names{}, Where: where}
	if t.DueStated {
		body.Due, body.DueStated = dayText(t.Due), t.Due != reference.NoDay
	}
	if t.Judged() {
		value := t.Value
		body.Value = &value
	}
	return body
}

// organisation is the names of an organisation; none when it is not known.
func (s *server) organisation(code string) reference.Names {
	if t := s.config.Pack.Reference.Table("organisations"); t != nil {
		if row, ok := t.Get(code); ok {
			return names(row.Names)
		}
	}
	return reference.Names{}
}

// promiseBody is a published figure with who answers for it and which projects serve it.
type promiseBody struct {
	queries.Promise
	OwnerNames reference.Names     `json:"owner_names"`
	Projects   []portfolio.Serving `json:"projects"` // that promised to move its KPI, of an agency its own; null: no project is known

	serving *int // projects of everybody; nil: no project is known
}

type promisesBody struct {
	On          queries.Date        `json:"on"`
	KnownOn     queries.Date        `json:"known_on"`
	Targets     []promiseBody       `json:"targets"`
	Unserved    *int                `json:"unserved"`     // targets that no project serves; null: no project is known
	ServingNone []portfolio.Serving `json:"serving_none"` // projects that promised to move no KPI, of an agency its own; null: no project is known
}

// getTargets answers with everything that was published, held against what was measured.
func (s *server) getTargets(ctx context.Context, q *query) (*answer, error) {
	r := queries.TargetsRequest{Language: q.get("lang")}
	var err error
	if r.On, err = day(q, "on"); err != nil {
		return nil, err
	}
	if r.KnownOn, err = day(q, "known_on"); err != nil {
		return nil, err
	}
	promises, err := s.config.Queries.Targets(ctx, r)
	if err != nil {
		return nil, err
	}
	body := promisesBody{On: promises.On, KnownOn: promises.KnownOn, Targets: []promiseBody{}}
	serves, err := s.config.Projects.Serves(ctx, portfolio.At{On: promises.On.Day, KnownOn: r.KnownOn})
	if err != nil {
		return nil, err
	}
	scope := s.scope(ctx)
	projects := func(id string) []portfolio.Serving {
		if len(serves) == 0 {
			return nil
		}
		return slices.DeleteFunc(append([]portfolio.Serving{}, serves[id]...), func(p portfolio.Serving) bool {
			return scope != (access.Scope{}) && scope != (access.Scope{Dimension: "agency", Value: p.Agency})
		})
	}
	body.ServingNone = projects("")
	unserved := 0
	for _, p := range promises.Promises {
		one := promiseBody{Promise: p, OwnerNames: s.organisation(p.Owner), Projects: projects(p.KPI)}
		if n := len(serves[p.KPI]); len(serves) > 0 {
			one.serving = &n
		}
		if p.Kind == kpi.Asked && len(serves[p.KPI]) == 0 {
			unserved++
		}
		body.Targets = append(body.Targets, one)
	}
	if len(serves) > 0 {
		body.Unserved = &unserved
	}
	return &answer{body: body, name: "targets", table: func() (*table, error) { return promiseTable(body, s.language(q)), nil }}, nil
}

func promiseTable(body promisesBody, language string) *table {
	t := newTable(text("kpi"), text("variant"), text("title"), text("kind"), text("comparator"), number("value"), text("unit"), text("where"), text("period"), number("measured"), text("quantile"), text("state"),
		number("gap"), count("units"), text("status"), flag("holds"), text("words"), date("due"), flag("due_stated"), number("expected"), number("projected"), text("wording"), text("act"),
		date("in_force"), text("url"), text("check"), text("owner"), count("projects"), text("problem"))
	for _, p := range body.Targets {
		row := []any{p.KPI, p.Variant, p.Title.In(language), string(p.Kind), string(p.Comparator), pointed(p.Value), p.Unit, whereText(p.Where)}
		if p.Cell != nil {
			row = append(row, p.Cell.Period, pointed(p.Measured), quantileOf(p.Cell, p.Comparator), string(p.Cell.State))
		} else {
			row = append(row, nil, nil, nil, missing(p.Problem))
		}
		row = append(row, pointed(p.Gap), whole(p.Units), string(p.Status))
		if p.Holds != nil {
			row = append(row, *p.Holds)
		} else {
			row = append(row, nil)
		}
		row = append(row, p.Words, p.Due.String(), p.DueStated)
		if p.RunRate != nil {
			row = append(row, p.RunRate.Expected, p.RunRate.Projected)
		} else {
			row = append(row, nil, nil)
		}
		row = append(row, p.Wordings.In(language), p.Acts.In(language), p.InForce.String(), p.URL, p.Check.In(language), p.Owner)
		if p.serving != nil {
			row = append(row, float64(*p.serving))
		} else {
			row = append(row, nil)
		}
		t.add(append(row, p.Problem)...)
	}
	return t
}

// missing is the state of a figure that is not there: no report was received, unless a problem
// kept it from being asked for, of which nothing is known.
func missing(problem string) string {
	if problem != "" {
		return ""
	}
	return string(queries.NotProvided)
}

// whereText writes the part that a figure is about: "region=1703, agency=land".
func whereText(where map[string]string) string {
	var list []string
	for dimension, value := range where {
		list = append(list, dimension+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
