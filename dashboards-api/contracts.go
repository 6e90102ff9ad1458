package dashboards

import (
	"cmp"
	"context"
	"strings"

	"github.com/gin-gonic/gin"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

type contractBody struct {
	Type      string          `json:"type"`
	Name      string          `json:"name"`
	Major     int             `json:"major"`
	Title     reference.Names `json:"title"`
	About     string          `json:"about"`
	Source    string          `json:"source"`
	Kind      string          `json:"kind"`
	Table     string          `json:"table"`
	Schema    string          `json:"schema"`
	Retention retentionBody   `json:"retention_months"`
	Fields    []fieldBody     `json:"fields"`
	Rules     []ruleBody      `json:"rules"`
}

// retentionBody counts months; 0 is for ever.
type retentionBody struct {
	Warehouse int `json:"warehouse"`
	Lake      int `json:"lake"`
}

type fieldBody struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Required bool            `json:"required"`
	Class    string          `json:"class"`
	Title    reference.Names `json:"title"`
	About    string          `json:"about"`
	Values   []string        `json:"values"`
	To       string          `json:"to"`
	ID       string          `json:"id"`
	Unit     string          `json:"unit"`
	Scale    int             `json:"scale"`
	Default  string          `json:"default"`
}

type ruleBody struct {
	ID       string `json:"id"`
	Check    string `json:"check"`
	Severity string `json:"severity"`
}

var (
	typeNames = map[contract.Type]string{contract.Text: "text", contract.Code: "code", contract.Enum: "enum", contract.Ref: "ref",
		contract.Person: "person", contract.Timestamp: "timestamp", contract.Date: "date", contract.Integer: "integer", contract.Decimal: "decimal",
		contract.Money: "money", contract.Boolean: "boolean", contract.Duration: "duration", contract.Number: "number"}
	classNames    = map[contract.Class]string{contract.Internal: "internal", contract.Open: "open", contract.Personal: "personal", contract.Special: "special"}
	severityNames = map[contract.Severity]string{contract.Refuse: "refuse", contract.Quarantine: "quarantine", contract.Warn: "warn"}
	kindNames     = map[contract.Kind]string{contract.Event: "event", contract.Figure: "figure"}
)

func describeContract(c *contract.Contract) contractBody {
	body := contractBody{Type: c.Type, Name: c.Name, Major: c.Major, Title: names(c.Title), About: c.About, Source: c.Source, Kind: kindNames[c.Kind],
		Table: c.Table(), Schema: "/v1/contracts/" + c.Type, Retention: retentionBody{c.Retention.Warehouse, c.Retention.Lake}, Fields: []fieldBody{}, Rules: []ruleBody{}}
	for _, f := range c.Fields {
		body.Fields = append(body.Fields, fieldBody{f.Name, typeNames[f.Type], f.Required, classNames[f.Class], names(f.Title), f.About, listed(f.Values), f.To, f.ID, f.Unit, f.Scale, f.Default})
	}
	for _, r := range c.Rules {
		body.Rules = append(body.Rules, ruleBody{r.ID, r.Check, severityNames[r.Severity]})
	}
	return body
}

// getContracts is every event type with its fields and rules.
func (s *server) getContracts(_ context.Context, q *query) (*answer, error) {
	list := []contractBody{}
	for _, c := range s.config.Pack.Contracts.All() {
		list = append(list, describeContract(c))
	}
	return &answer{body: map[string]any{"contracts": list}, name: "contracts", table: func() (*table, error) {
		t := newTable(text("type"), text("table"), text("field"), text("field_type"), flag("required"), text("class"), text("title"), text("about"), text("values"), text("reference"), text("unit"))
		for _, c := range list {
			for _, f := range c.Fields {
				t.add(c.Type, c.Table, f.Name, f.Type, f.Required, f.Class, f.Title.In(s.language(q)), f.About, strings.Join(f.Values, " "), f.To, f.Unit)
			}
		}
		return t, nil
	}}, nil
}

// getContract answers with the JSON Schema of one event type, for integrators.
func (s *server) getContract(c *gin.Context) {
	if _, err := readParams(c.Request, nil); err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	found := s.config.Pack.Contracts.ByType(c.Param("type"))
	if found == nil {
		s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "there is no contract for the type %q; /v1/contracts lists them", c.Param("type")).In("type").
			Also("uz", "“%s” turidagi hodisalar yoʻq.", c.Param("type")).
			Also("ru", "Событий вида «%s» нет.", c.Param("type")))
		return
	}
	s.raw(c, "application/schema+json", found.JSONSchema())
}

// getAsyncAPI answers with all event types as an AsyncAPI document.
func (s *server) getAsyncAPI(c *gin.Context) {
	if _, err := readParams(c.Request, nil); err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	s.raw(c, "application/json", s.config.Pack.Contracts.AsyncAPI(s.config.Pack.Title.In("en"), cmp.Or(s.config.Version, "0"), s.config.Pack.Examples))
}
