package dashboards

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

var referenceParams = []string{"on", "q"}

type referenceBody struct {
	Table   string         `json:"table"`
	On      string         `json:"on"`
	Columns []string       `json:"columns"`
	Rows    []referenceRow `json:"rows"`
}

type referenceRow struct {
	Code   string            `json:"code"`
	Parent string            `json:"parent"`
	Names  reference.Names   `json:"names"`
	Valid  spanBody          `json:"valid"`
	Values map[string]string `json:"values"`
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

// getReference lists a table of the pack as it was on a day, today when none is
// given. q keeps the rows whose code or a name contains the text, whatever its
// case and apostrophes.
func (s *server) getReference(name string) handler {
	return func(_ context.Context, q *query) (*answer, error) {
		t := s.config.Pack.Reference.Table(name)
		if t == nil {
			return nil, problem.New(problem.NotFound, "this pack has no table of %s; it has %s", name, strings.Join(s.config.Pack.Reference.Tables(), ", "))
		}
		on := s.today()
		if given := q.get("on"); given != "" {
			var err error
			if on, err = reference.ParseDay(given); err != nil {
				return nil, problem.New(problem.BadInput, "on=%q is not a date; write it as 2024-12-31", given).In("on")
			}
		}
		sought := reference.Fold(q.get("q"))
		body := referenceBody{Table: name, On: on.String(), Columns: attributes(t), Rows: []referenceRow{}}
		for _, row := range t.Rows() {
			if !row.Valid.Holds(on) || !mentions(row, sought) {
				continue
			}
			r := referenceRow{Code: row.Code, Parent: row.Parent, Names: names(row.Names), Valid: span(row.Valid), Values: map[string]string{}}
			for _, column := range body.Columns {
				if v := row.Value(column); v != "" {
					r.Values[column] = v
				}
			}
			body.Rows = append(body.Rows, r)
		}
		return &answer{body: body, name: name, table: func() (*table, error) { return s.referenceTable(body), nil }}, nil
	}
}

func mentions(row reference.Row, sought string) bool {
	if sought == "" || strings.Contains(reference.Fold(row.Code), sought) {
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
	columns := []column{text("code"), text("parent"), text("valid_from"), text("valid_to")}
	for _, language := range s.config.Pack.Languages {
		columns = append(columns, text("name_"+language))
	}
	for _, c := range body.Columns {
		columns = append(columns, text(c))
	}
	t := newTable(columns...)
	for _, row := range body.Rows {
		cells := []any{row.Code, row.Parent, optional(row.Valid.From), optional(row.Valid.To)}
		for _, language := range s.config.Pack.Languages {
			cells = append(cells, row.Names[language])
		}
		for _, c := range body.Columns {
			cells = append(cells, row.Values[c])
		}
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
