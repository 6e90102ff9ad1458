package dashboards

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

var (
	referenceParams = []string{"on", "q"}
	catalogueParams = []string{"on", "known_on", "q"} // of a table that events change
)

type referenceBody struct {
	Table   string         `json:"table"`
	On      string         `json:"on"`
	KnownOn *string        `json:"known_on"`
	Basis   string         `json:"basis"` // table, or events where some were received
	Columns []string       `json:"columns"`
	Rows    []referenceRow `json:"rows"`
}

type referenceRow struct {
	Code   string            `json:"code"`
	Parent string            `json:"parent"`
	Names  reference.Names   `json:"names"`
	Valid  spanBody          `json:"valid"`
	Values map[string]string `json:"values"`

	Simulated bool `json:"simulated"` // the event behind it is
}

// spanBody is a validity; an open end is null.
type spanBody struct {
	From *string `json:"from"`
	To   *string `json:"to"`
}

func span(s reference.Span) spanBody { return spanBody{dayText(s.From), dayText(s.To)} }

func dayText(d reference.Day) *string {
	if d == reference.NoDay {
		return nil
	}
	text := d.String()
	return &text
}

// names is never null in JSON.
func names(n reference.Names) reference.Names {
	if n == nil {
		return reference.Names{}
	}
	return n
}

// getReference lists a table of the pack as it was on a day, today when none is given.
// Where events change the table and some were received, they say which codes there are
// and what is known of them; names stay those of the table. q keeps the rows whose code or
// a name contains the text, whatever its case and apostrophes.
func (s *server) getReference(name string) handler {
	return func(ctx context.Context, q *query) (*answer, error) {
		t := s.config.Pack.Reference.Table(name)
		if t == nil {
			return nil, problem.New(problem.NotFound, "this pack has no table of %s; it has %s", name, strings.Join(s.config.Pack.Reference.Tables(), ", ")).
				Also("uz", "Bu paketda “%s” jadvali yoʻq.", name).
				Also("ru", "В этом пакете нет таблицы «%s».", name)
		}
		on, err := day(q, "on")
		if err != nil {
			return nil, err
		}
		if on == reference.NoDay {
			on = s.today()
		}
		knownOn, err := day(q, "known_on")
		if err != nil {
			return nil, err
		}
		if on > s.today() {
			return nil, problem.New(problem.BadInput, "on=%s is after today, %s", on, s.today()).In("on").
				Also("uz", "%s hali kelmagan.", on).
				Also("ru", "День %s ещё не наступил.", on)
		}
		body := referenceBody{Table: name, On: on.String(), KnownOn: dayText(knownOn), Basis: "table", Columns: attributes(t), Rows: []referenceRow{}}
		described, fields, err := s.config.Queries.Descriptions(ctx, t, on, knownOn)
		if err != nil {
			return nil, err
		}
		if described != nil {
			s.describedRows(&body, t, on, described, fields)
		} else {
			for _, row := range t.Rows() {
				if row.Valid.Holds(on) {
					body.add(row)
				}
			}
		}
		if sought := reference.Fold(q.get("q")); sought != "" {
			body.Rows = slices.DeleteFunc(body.Rows, func(r referenceRow) bool { return !mentions(r, sought) })
		}
		return &answer{body: body, name: name, table: func() (*table, error) { return s.referenceTable(body), nil }}, nil
	}
}

// add takes a row of the table as it stands.
func (b *referenceBody) add(row reference.Row) {
	r := referenceRow{Code: row.Code, Parent: row.Parent, Names: names(row.Names), Valid: span(row.Valid), Values: map[string]string{}}
	for _, column := range b.Columns {
		if v := row.Value(column); v != "" {
			r.Values[column] = v
		}
	}
	b.Rows = append(b.Rows, r)
}

// describedRows are the codes that events describe: what an event tells stands in place of
// the table's cell, and what it does not tell is not known.
func (s *server) describedRows(body *referenceBody, t *reference.Table, on reference.Day, described []queries.Description, fields []string) {
	body.Basis = "events"
	for _, field := range fields {
		if !slices.Contains(body.Columns, field) {
			body.Columns = append(body.Columns, field)
		}
	}
	for _, d := range described {
		row, ok := t.At(d.Code, on)
		if !ok {
			row, ok = t.Get(d.Code)
		}
		if !ok {
			row = reference.Row{Code: d.Code}
		}
		body.add(row)
		r := &body.Rows[len(body.Rows)-1]
		for _, field := range fields {
			if v, told := d.Values[field]; told {
				r.Values[field] = v
			} else {
				delete(r.Values, field)
			}
		}
		since := reference.DayOf(d.Since.In(s.config.Pack.Zone))
		r.Valid, r.Simulated = spanBody{From: dayText(since)}, d.Simulated
	}
}

func mentions(row referenceRow, sought string) bool {
	if strings.Contains(reference.Fold(row.Code), sought) {
		return true
	}
	for _, name := range row.Names {
		if strings.Contains(reference.Fold(name), sought) {
			return true
		}
	}
	return false
}

// attributes are a table's columns besides those that have a place of their own.
func attributes(t *reference.Table) []string {
	own := []string{t.Key, "parent", "aliases", "valid_from", "valid_to"}
	columns := []string{}
	for _, c := range t.Columns {
		if !slices.Contains(own, c) && !strings.HasPrefix(c, "name_") {
			columns = append(columns, c)
		}
	}
	return columns
}

func (s *server) referenceTable(body referenceBody) *table {
	columns := []column{text("code"), text("parent"), date("valid_from"), date("valid_to")}
	for _, language := range s.config.Pack.Languages {
		columns = append(columns, text("name_"+language))
	}
	for _, c := range body.Columns {
		columns = append(columns, text(c))
	}
	columns = append(columns, flag("simulated"))
	t := newTable(columns...)
	for _, row := range body.Rows {
		cells := []any{row.Code, row.Parent, optional(row.Valid.From), optional(row.Valid.To)}
		for _, language := range s.config.Pack.Languages {
			cells = append(cells, row.Names[language])
		}
		for _, c := range body.Columns {
			cells = append(cells, row.Values[c])
		}
		cells = append(cells, row.Simulated)
		t.add(cells...)
	}
	return t
}

func optional(s *string) any {
	if s == nil {
		return nil
	}
	return *s
}
