package dashboards

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/queries"
)

var findingsParams = []string{"from", "to", "source", "type", "rule"}

// findingsBody are findings; of an agency those of its sources, with the number of all beside them.
type findingsBody struct {
	Findings []queries.Finding `json:"findings"`
	National *findingCounts    `json:"national"`
}

// findingCounts counts findings by their severity.
type findingCounts struct {
	Error   int `json:"error"`
	Warning int `json:"warning"`
	Notice  int `json:"notice"`
}

func (c *findingCounts) count(severity string) {
	switch severity {
	case queries.Wrong:
		c.Error++
	case queries.Doubtful:
		c.Warning++
	default:
		c.Notice++
	}
}

// answers says whether a source, or a simulation in its place, is of the agency that a scope names.
func (s *server) answers(scope access.Scope, source string) bool {
	owner := s.config.Pack.Sources[strings.TrimPrefix(source, contract.StandIn(""))].Owner
	return scope == (access.Scope{}) || scope.Dimension == "agency" && scope.Value != "" && owner == scope.Value
}

// getFindings lists what is wrong with the data, each with who can mend it.
func (s *server) getFindings(ctx context.Context, q *query) (*answer, error) {
	if s.config.Findings == nil {
		return nil, problem.New(problem.NotFound, "this process does not load, so it knows nothing of quality; ask one with the role loader").
			Also("uz", "Bu server maʼlumot yuklamaydi va ularning sifatini bilmaydi: loader rolidagi serverdan soʻrang.").
			Also("ru", "Этот сервер не загружает данных и не знает их качества: спросите сервер с ролью loader.")
	}
	r := queries.FindingsRequest{Source: q.get("source"), Contract: q.get("type"), Rule: q.get("rule")}
	var err error
	if r.From, err = day(q, "from"); err != nil {
		return nil, err
	}
	if r.To, err = day(q, "to"); err != nil {
		return nil, err
	}
	list, err := s.config.Findings(ctx, r)
	if err != nil {
		return nil, err
	}
	body := findingsBody{Findings: list}
	if scope := s.scope(ctx); scope != (access.Scope{}) {
		body.National = &findingCounts{}
		for _, f := range list {
			body.National.count(f.Severity)
		}
		body.Findings = slices.DeleteFunc(slices.Clone(list), func(f queries.Finding) bool {
			return !s.answers(scope, f.Source) && (scope.Dimension != "agency" || f.Owner != scope.Value)
		})
	}
	list = body.Findings
	return &answer{body: body, name: "findings", table: func() (*table, error) {
		t := newTable(text("severity"), text("source"), text("type"), text("rule"), text("period"), date("from"), date("to"), text("field"), count("count"), number("expected"),
			text("words_uz"), text("words_ru"), text("words_en"), text("owner"), date("since"), text("examples"))
		for _, f := range list {
			t.add(f.Severity, f.Source, f.Contract, f.Rule, f.Period, f.From.String(), f.To.String(), f.Field, float64(f.Count), pointed(f.Expected),
				f.Words["uz"], f.Words["ru"], f.Words["en"], f.Owner, f.Since.String(), strings.Join(f.Examples, "; "))
		}
		return t, nil
	}}, nil
}
