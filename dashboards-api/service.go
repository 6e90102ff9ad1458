package dashboards

import (
	"context"
	"slices"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

var serviceParams = []string{"known_on"}

// serviceBody is one service with every state that it had.
type serviceBody struct {
	Code    string          `json:"code"`
	Names   reference.Names `json:"names"`
	KnownOn *string         `json:"known_on"`
	Basis   string          `json:"basis"` // table, or events where some were received
	Columns []string        `json:"columns"`
	States  []serviceState  `json:"states"` // by time
}

// serviceState is what held of a service from a day on.
type serviceState struct {
	Valid     spanBody          `json:"valid"`
	InForce   bool              `json:"in_force"`
	Changed   []string          `json:"changed"` // columns that differ from the state before
	Values    map[string]string `json:"values"`  // a column that was not told is not there
	Simulated bool              `json:"simulated"`
}

// getService answers with the states of one service: those that events tell, else the row of
// the table. What the table tells besides, as the text of a fee, has no history and is told
// of the last state alone.
func (s *server) getService(ctx context.Context, q *query) (*answer, error) {
	const name = "services"
	t := s.config.Pack.Reference.Table(name)
	if t == nil {
		return nil, problem.New(problem.NotFound, "this pack has no table of %s", name).
			Also("uz", "Bu paketda “%s” jadvali yoʻq.", name).
			Also("ru", "В этом пакете нет таблицы «%s».", name)
	}
	knownOn, err := day(q, "known_on")
	if err != nil {
		return nil, err
	}
	code := q.path("id")
	states, fields, err := s.config.Queries.History(ctx, t, code, knownOn)
	if err != nil {
		return nil, err
	}
	row, known := t.Get(code)
	if !known && len(states) == 0 {
		return nil, problem.New(problem.NotFound, "there is no service %q; /v1/services lists them", code).In("id").
			Also("uz", "“%s” kodli xizmat yoʻq.", code).
			Also("ru", "Услуги с кодом «%s» нет.", code)
	}
	body := serviceBody{Code: code, Names: names(row.Names), KnownOn: dayText(knownOn), Basis: "table", Columns: attributes(t), States: []serviceState{}}
	static := map[string]string{}
	for _, column := range body.Columns {
		if v := row.Value(column); v != "" && !slices.Contains(fields, column) {
			static[column] = v
		}
	}
	if len(states) == 0 {
		one := referenceBody{Columns: body.Columns}
		one.add(row)
		body.States = append(body.States, serviceState{Valid: one.Rows[0].Valid, InForce: row.Valid.Holds(s.today()), Changed: []string{}, Values: one.Rows[0].Values})
	} else {
		body.Basis = "events"
	}
	for _, field := range fields {
		if len(states) > 0 && !slices.Contains(body.Columns, field) {
			body.Columns = append(body.Columns, field)
		}
	}
	for i, d := range states {
		from := reference.DayOf(d.Since.In(s.config.Pack.Zone))
		state := serviceState{Valid: spanBody{From: dayText(from)}, InForce: d.Values["active"] != "false", Changed: []string{}, Values: d.Values, Simulated: d.Simulated}
		for _, field := range fields {
			if i > 0 && d.Values[field] != states[i-1].Values[field] {
				state.Changed = append(state.Changed, field)
			}
		}
		if i+1 < len(states) {
			state.Valid.To = dayText(max(from, reference.DayOf(states[i+1].Since.In(s.config.Pack.Zone))-1))
		} else {
			for column, v := range static {
				state.Values[column] = v
			}
		}
		body.States = append(body.States, state)
	}
	return &answer{body: body, name: "service", table: func() (*table, error) { return serviceTable(body), nil }}, nil
}

func serviceTable(body serviceBody) *table {
	columns := []column{text("code"), date("valid_from"), date("valid_to"), flag("in_force")}
	for _, c := range body.Columns {
		columns = append(columns, text(c))
	}
	t := newTable(append(columns, flag("simulated"))...)
	for _, one := range body.States {
		cells := []any{body.Code, optional(one.Valid.From), optional(one.Valid.To), one.InForce}
		for _, c := range body.Columns {
			cells = append(cells, one.Values[c])
		}
		t.add(append(cells, one.Simulated)...)
	}
	return t
}
