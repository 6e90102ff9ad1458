package dashboards

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries/portfolio"
)

var (
	projectFilters   = []string{"on", "known_on", "agency", "stage", "priority", "programme", "status", "serves", "rule", "q"}
	projectParams    = append(append([]string{}, projectFilters...), "limit", "offset")
	projectOneParams = []string{"on", "known_on"}
	summaryParams    = append(append([]string{}, projectFilters...), "by")
	duplicateParams  = append(append([]string{}, projectFilters...), "least")
)

// Pages of projects in JSON. A table without a limit has all that fit: a file that ends
// early would look whole.
const (
	projectsShown = 100
	mostProjects  = 10_000
)

// projectRoutes are those of the portfolio.
func (s *server) projectRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/projects", tabular: true, params: projectParams, handle: s.getProjects},
		{method: "GET", path: "/v1/projects/:id", params: projectOneParams, scoped: true, handle: s.getProject},
		{method: "GET", path: "/v1/portfolio", tabular: true, params: summaryParams, handle: s.getPortfolio},
		{method: "GET", path: "/v1/portfolio/attention", tabular: true, params: projectFilters, handle: s.getAttention},
		{method: "GET", path: "/v1/portfolio/duplicates", tabular: true, params: duplicateParams, handle: s.getDuplicates},
	}
}

// projects is the portfolio and what is asked of it, or the problem that this process has none.
func (s *server) projects(q *query) (*portfolio.Portfolio, portfolio.Request, error) {
	if s.config.Projects == nil {
		return nil, portfolio.Request{}, problem.New(problem.NotFound, "this server has no portfolio of projects").
			Also("uz", "Bu serverda loyihalar portfeli yoʻq.").
			Also("ru", "На этом сервере нет портфеля проектов.")
	}
	r, err := projectRequest(q)
	return s.config.Projects, r, err
}

// projectRequest reads the filters that the routes of the portfolio share. Several values
// of one stand with commas between.
func projectRequest(q *query) (r portfolio.Request, err error) {
	if r.On, err = day(q, "on"); err != nil {
		return r, err
	}
	if r.KnownOn, err = day(q, "known_on"); err != nil {
		return r, err
	}
	for name, into := range map[string]*[]string{"agency": &r.Agency, "stage": &r.Stage, "priority": &r.Priority, "programme": &r.Programme,
		"status": &r.Status, "serves": &r.Serves, "rule": &r.Rule} {
		if given := q.get(name); given != "" {
			*into = strings.Split(given, ",")
		}
	}
	r.Search = q.get("q")
	return r, nil
}

// between is a whole number of a parameter; 0 when it is not given.
func between(q *query, name string, least, most int) (int, error) {
	given := q.get(name)
	if given == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < least || n > most {
		return 0, problem.New(problem.BadInput, "%s=%q is not a whole number between %d and %d", name, given, least, most).In(name).
			Also("uz", "“%s” %d dan %d gacha boʻlgan butun son emas.", given, least, most).
			Also("ru", "«%s» — не целое число от %d до %d.", given, least, most)
	}
	return n, nil
}

// projectsBody is a list of projects with the names of their agencies.
type projectsBody struct {
	*portfolio.List
	Limit    int                        `json:"limit"`
	National *portfolio.Figures         `json:"national"` // of all projects, for an agency that is shown its own; else null
	Agencies map[string]reference.Names `json:"agencies"`
}

// national are the figures of all projects, beside those of one agency; nil for whoever sees all.
func (s *server) national(ctx context.Context, p *portfolio.Portfolio, at portfolio.At) (*portfolio.Figures, error) {
	if s.scope(ctx) == (access.Scope{}) {
		return nil, nil
	}
	all, err := p.Summary(ctx, portfolio.Request{At: at}, "")
	if err != nil {
		return nil, err
	}
	return &all.Total, nil
}

func (s *server) getProjects(ctx context.Context, q *query) (*answer, error) {
	p, r, err := s.projects(q)
	if err != nil {
		return nil, err
	}
	if r.Limit, err = between(q, "limit", 1, mostProjects); err != nil {
		return nil, err
	}
	if r.Offset, err = between(q, "offset", 0, math.MaxInt32); err != nil {
		return nil, err
	}
	limit := cmp.Or(r.Limit, projectsShown)
	list, err := p.Projects(ctx, r)
	if err != nil {
		return nil, err
	}
	shown := *list
	shown.Projects = shown.Projects[:min(limit, len(shown.Projects))]
	body := projectsBody{List: &shown, Limit: limit, Agencies: map[string]reference.Names{}}
	if body.National, err = s.national(ctx, p, r.At); err != nil {
		return nil, err
	}
	for _, one := range shown.Projects {
		s.nameAgency(body.Agencies, one.Agency)
	}
	return &answer{body: body, name: "projects", table: func() (*table, error) { return projectTable(list.Projects), nil }}, nil
}

// nameAgency adds the names of an organisation.
func (s *server) nameAgency(into map[string]reference.Names, code string) {
	if organisations := s.config.Pack.Reference.Table("organisations"); organisations != nil {
		if row, ok := organisations.Get(code); ok {
			into[code] = names(row.Names)
		}
	}
}

func projectTable(projects []portfolio.Project) *table {
	t := newTable(text("project"), text("register_number"), text("name"), text("agency"), text("programme"), text("priority"), text("status"), text("stage"), date("stage_since"),
		date("registered_on"), count("percent"), date("reported_on"), date("report_due"), flag("stale"), count("milestones"), count("milestones_due"), count("milestones_on_time"),
		count("milestones_overdue"), number("days_late"), count("replanned"), date("next_due"), count("budgeted"), count("contracted"), count("spent"), count("cost_points"),
		count("schedule_points"), count("expert_points"), number("rating"), flag("overridden"), number("spi"), number("cpi"), count("promises"), count("promises_due"), count("promises_met"),
		count("risks_open"), text("serves"), text("services"), text("waits_for"), text("attention"), flag("simulated"))
	for _, p := range projects {
		t.add(p.ID, p.RegisterNumber, p.Name, p.Agency, p.Programme, p.Priority, string(p.Status), p.Stage, dated(p.StageSince),
			dated(p.Registered), whole(p.Report.Percent), dated(p.Report.On), dated(p.Report.Due), p.Report.Stale, float64(p.Milestones.Planned), float64(p.Milestones.Due), float64(p.Milestones.OnTime),
			float64(p.Milestones.Overdue), pointed(p.Milestones.DaysLate), float64(p.Milestones.Replanned), dated(p.Milestones.NextDue), whole(p.Money.Budgeted), whole(p.Money.Contracted), whole(p.Money.Spent), whole(p.Rating.Cost),
			whole(p.Rating.Schedule), whole(p.Rating.Expert), pointed(p.Rating.Computed), p.Rating.Overridden, pointed(p.EarnedValue.SPI), pointed(p.EarnedValue.CPI), float64(p.Promises.Promised), float64(p.Promises.Due), float64(p.Promises.Met),
			float64(p.RisksOpen), strings.Join(p.Serves, " "), strings.Join(p.Services, " "), strings.Join(p.WaitsFor, " "), strings.Join(p.Attention, " "), p.Simulated)
	}
	return t
}

// dated is a day as a cell.
func dated(d portfolio.Date) any {
	if d == portfolio.NoDate {
		return nil
	}
	return d.String()
}

// whole is a whole number as a cell.
func whole(n *int64) any {
	if n == nil {
		return nil
	}
	return *n
}

func (s *server) getProject(ctx context.Context, q *query) (*answer, error) {
	p, r, err := s.projects(q)
	if err != nil {
		return nil, err
	}
	id := q.path("id")
	one, err := p.Project(ctx, id, r.At)
	if err != nil {
		return nil, err
	}
	if scope := s.scope(ctx); scope != (access.Scope{}) && scope != (access.Scope{Dimension: "agency", Value: one.Project.Agency}) {
		return nil, problem.New(problem.Denied, "this project is of another agency; you see those of %s=%s", scope.Dimension, scope.Value).
			Also("uz", "Bu loyiha boshqa idoraniki; siz faqat %s=%s loyihalarini koʻrasiz.", scope.Dimension, scope.Value).
			Also("ru", "Этот проект другого ведомства; вам показываются проекты %s=%s.", scope.Dimension, scope.Value)
	}
	return &answer{body: one, name: "project"}, nil
}

// portfolioBody are figures with the names of the agencies that they are broken down by.
type portfolioBody struct {
	*portfolio.Summary
	Currency string                     `json:"currency"`
	National *portfolio.Figures         `json:"national"` // of all projects, for an agency that is shown its own; else null
	Agencies map[string]reference.Names `json:"agencies"`
}

func (s *server) getPortfolio(ctx context.Context, q *query) (*answer, error) {
	p, r, err := s.projects(q)
	if err != nil {
		return nil, err
	}
	summary, err := p.Summary(ctx, r, q.get("by"))
	if err != nil {
		return nil, err
	}
	body := portfolioBody{Summary: summary, Currency: s.config.Pack.Currency, Agencies: map[string]reference.Names{}}
	if body.National, err = s.national(ctx, p, r.At); err != nil {
		return nil, err
	}
	if summary.By == "agency" {
		for _, g := range summary.Groups {
			s.nameAgency(body.Agencies, g.Key)
		}
	}
	return &answer{body: body, name: "portfolio", table: func() (*table, error) { return figuresTable(summary), nil }}, nil
}

func figuresTable(summary *portfolio.Summary) *table {
	key := "group"
	rows := summary.Groups
	if summary.By != "" {
		key = summary.By
	} else {
		rows = []portfolio.Figures{summary.Total}
	}
	t := newTable(text(key), count("projects"), count("active"), count("milestones_due"), count("milestones_on_time"), number("on_time_share"), number("days_late"), count("overdue"),
		count("stale"), number("stale_share"), count("promises_due"), count("promises_met"), number("promises_met_share"), count("rated"), number("rating"), count("overridden"),
		count("expert_rated"), number("expert_rating"), count("budgeted"), count("contracted"), count("spent"), count("serving_nothing"), count("needing_attention"), count("simulated"))
	for _, f := range rows {
		t.add(f.Key, float64(f.Projects), float64(f.Active), float64(f.MilestonesDue), float64(f.MilestonesOn), pointed(f.OnTimeShare), pointed(f.DaysLate), float64(f.Overdue),
			float64(f.Stale), pointed(f.StaleShare), float64(f.PromisesDue), float64(f.PromisesMet), pointed(f.PromisesShare), float64(f.Rated), pointed(f.Rating), float64(f.Overridden),
			float64(f.ExpertRated), pointed(f.ExpertRating), float64(f.Budgeted), float64(f.Contracted), float64(f.Spent), float64(f.ServingNothing), float64(f.NeedingAttention), float64(f.Simulated))
	}
	return t
}

func (s *server) getAttention(ctx context.Context, q *query) (*answer, error) {
	p, r, err := s.projects(q)
	if err != nil {
		return nil, err
	}
	found, err := p.Attention(ctx, r)
	if err != nil {
		return nil, err
	}
	return &answer{body: found, name: "attention", table: func() (*table, error) {
		t := newTable(text("project"), text("name"), text("agency"), text("rule"), count("severity"), date("since"), text("words"))
		for _, f := range found.Findings {
			t.add(f.Project, f.Name, f.Agency, f.Rule, float64(f.Severity), dated(f.Since), f.Words)
		}
		return t, nil
	}}, nil
}

func (s *server) getDuplicates(ctx context.Context, q *query) (*answer, error) {
	p, r, err := s.projects(q)
	if err != nil {
		return nil, err
	}
	least := 0.0
	if given := q.get("least"); given != "" {
		if least, err = strconv.ParseFloat(given, 64); err != nil {
			return nil, problem.New(problem.BadInput, "least=%q is not a number between 0 and 1", given).In("least").
				Also("uz", "least=“%s”: 0 dan 1 gacha son boʻlishi kerak.", given).
				Also("ru", "least=«%s»: нужно число от 0 до 1.", given)
		}
	}
	found, err := p.Duplicates(ctx, r, least)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = []portfolio.Duplicate{}
	}
	return &answer{body: map[string]any{"duplicates": found}, name: "duplicates", table: func() (*table, error) {
		t := newTable(text("a"), text("a_name"), text("a_agency"), text("b"), text("b_name"), text("b_agency"), number("score"), number("name_score"), flag("same_agency"), flag("close_budget"), text("shared"))
		for _, d := range found {
			t.add(d.A.ID, d.A.Name, d.A.Agency, d.B.ID, d.B.Name, d.B.Agency, d.Score, d.Name, d.SameAgency, d.Budget, strings.Join(d.Shared, " "))
		}
		return t, nil
	}}, nil
}

// postDifference says what events would change, and changes nothing.
func (s *server) postDifference(c *gin.Context) {
	if s.config.Projects == nil {
		s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "this server compares no events").
			Also("uz", "Bu server hodisalarni solishtirmaydi.").
			Also("ru", "Этот сервер не сравнивает события."))
		return
	}
	done := bounded(c.Writer, c.Request, portfolio.MaxDifference, answerPatience)
	d, err := s.config.Projects.Difference(c.Request.Context(), c.Request.Body)
	done()
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	c.JSON(http.StatusOK, d)
}
