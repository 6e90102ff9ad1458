package dashboards

import (
	"context"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// DictionaryEntry is one field of one contract, as people need to know it.
type DictionaryEntry struct {
	Type       string          `json:"type"` // of the events
	Contract   reference.Names `json:"contract"`
	Table      string          `json:"table"` // of the facts
	Field      string          `json:"field"`
	Title      reference.Names `json:"title"`
	About      string          `json:"about"`
	FieldType  string          `json:"field_type"`
	Unit       string          `json:"unit"`
	Required   bool            `json:"required"`
	Class      string          `json:"class"` // of privacy
	Values     []WordedValue   `json:"values"`
	Reference  string          `json:"reference"`  // table of a ref, else ""
	Identifier string          `json:"identifier"` // kind of a person's identifier, else ""
	Default    string          `json:"default"`
	Retention  retentionBody   `json:"retention_months"`
	Source     string          `json:"source"`
	Owner      string          `json:"owner"` // code of the source's organisation
	OwnerNames reference.Names `json:"owner_names"`
	KPIs       []string        `json:"kpis"` // ids of those that read it
}

// WordedValue is a value of an enumeration and what it is called.
type WordedValue struct {
	Value string          `json:"value"`
	Words reference.Names `json:"words"`
}

// Dictionary is every field of every contract of a pack, in the order of the contracts.
func Dictionary(f Facts) []DictionaryEntry {
	read := readers(f)
	list := []DictionaryEntry{}
	organisations := f.Reference.Table("organisations")
	for _, c := range f.Contracts.All() {
		owner := f.Sources[c.Source].Owner
		ownerNames := reference.Names{}
		if organisations != nil {
			if row, ok := organisations.Get(owner); ok {
				ownerNames = names(row.Names)
			}
		}
		for i := range c.Fields {
			x := &c.Fields[i]
			e := DictionaryEntry{Type: c.Type, Contract: names(c.Title), Table: c.Table(), Field: x.Name, Title: names(x.Title), About: x.About, FieldType: typeNames[x.Type],
				Unit: x.Unit, Required: x.Required, Class: classNames[x.Class], Values: []WordedValue{}, Reference: x.To, Identifier: x.ID, Default: x.Default,
				Retention: retentionBody{c.Retention.Warehouse, c.Retention.Lake}, Source: c.Source, Owner: owner, OwnerNames: ownerNames, KPIs: listed(read[c.Type+" "+x.Name])}
			for _, value := range x.Values {
				words := wordsOf(f.Labels, "value."+x.Name+"."+value)
				if len(words) == 0 { // states have words of their own
					words = wordsOf(f.Labels, x.Name+"."+value)
				}
				e.Values = append(e.Values, WordedValue{value, words})
			}
			list = append(list, e)
		}
	}
	return list
}

// wordsOf are the words of a label in every language that has some.
func wordsOf(labels map[string]map[string]string, key string) reference.Names {
	words := reference.Names{}
	for language, byKey := range labels {
		if text := byKey[key]; text != "" {
			words[language] = text
		}
	}
	return words
}

// readers are the KPIs that read a field, by "type field".
func readers(f Facts) map[string][]string {
	read := map[string][]string{}
	for _, k := range f.KPIs {
		add := func(c *contract.Contract, fields ...string) {
			for _, field := range fields {
				at := ""
				if c != nil && c.Field(field) != nil {
					at = c.Type + " " + field
				}
				if at != "" && !slices.Contains(read[at], k.ID) {
					read[at] = append(read[at], k.ID)
				}
			}
		}
		for i := range k.Versions {
			v := &k.Versions[i]
			for _, side := range v.Sides() {
				c := contractNamed(f.Contracts, side.From)
				add(c, side.At, v.Key, v.Persons)
				if v.Distinct != nil {
					add(c, v.Distinct.Of)
				}
				for _, expression := range v.ExpressionsOf(side) {
					add(c, kpi.Columns(expression)...)
				}
				for _, dimensions := range v.Rollups {
					add(c, dimensions...)
				}
				for _, m := range v.Match {
					own, its := m.Columns()
					add(c, own...)
					add(contractNamed(f.Contracts, m.In), its...)
				}
			}
		}
	}
	return read
}

// contractNamed finds a contract by a KPI's from: "request.decided" (its newest major
// version) or "request.decided.v1"; nil when there is none.
func contractNamed(set *contract.Set, from string) *contract.Contract {
	if c := set.ByType(set.Prefix() + from); c != nil {
		return c
	}
	if c := set.ByType(from); c != nil {
		return c
	}
	return set.ByName(from, 0)
}

func (s *server) getDictionary(_ context.Context, q *query) (*answer, error) {
	list := Dictionary(s.config.Pack)
	if given := q.get("type"); given != "" {
		if s.config.Pack.Contracts.ByType(given) == nil {
			return nil, problem.New(problem.BadInput, "there is no contract for the type %q; /v1/contracts lists them", given).In("type").
				Also("uz", "“%s” degan hodisa turi yoʻq.", given).
				Also("ru", "Вида событий «%s» нет.", given)
		}
		list = slices.DeleteFunc(list, func(e DictionaryEntry) bool { return e.Type != given })
	}
	return &answer{body: map[string]any{"entries": list}, name: "dictionary", table: func() (*table, error) {
		columns := []column{text("type"), text("table"), text("field")}
		for _, language := range s.config.Pack.Languages {
			columns = append(columns, text("title_"+language), text("values_"+language))
		}
		columns = append(columns, text("about"), text("field_type"), text("unit"), flag("required"), text("class"), text("reference"), text("identifier"), text("default"),
			count("warehouse_months"), count("lake_months"), text("source"), text("owner"), text("kpis"))
		t := newTable(columns...)
		for _, e := range list {
			cells := []any{e.Type, e.Table, e.Field}
			for _, language := range s.config.Pack.Languages {
				cells = append(cells, e.Title[language], worded(e.Values, language))
			}
			t.add(append(cells, e.About, e.FieldType, e.Unit, e.Required, e.Class, e.Reference, e.Identifier, e.Default,
				float64(e.Retention.Warehouse), float64(e.Retention.Lake), e.Source, e.Owner, strings.Join(e.KPIs, " "))...)
		}
		return t, nil
	}}, nil
}

// worded writes the values of an enumeration with what they are called.
func worded(values []WordedValue, language string) string {
	var list []string
	for _, v := range values {
		said := v.Value
		if words := v.Words[language]; words != "" {
			said += " (" + words + ")"
		}
		list = append(list, said)
	}
	return strings.Join(list, ", ")
}
