package contract

import (
	"encoding/json"
	"math"
	"strconv"
)

// JSONSchema is a JSON Schema (2020-12) of the whole event, envelope included, for
// integrators and their editors. It says what a sender can know beforehand: codes of
// reference tables and rules are checked at the door alone.
func (c *Contract) JSONSchema() []byte {
	properties := map[string]any{}
	required := []string{}
	for i := range c.Fields {
		f := &c.Fields[i]
		properties[f.Name] = f.jsonSchema()
		if f.Required && f.Default == "" {
			required = append(required, f.Name)
		}
	}
	key := map[string]any{"type": "string", "minLength": 1, "maxLength": maxLabel}
	data := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		data["required"] = required
	}
	withdrawal := map[string]any{"properties": map[string]any{"withdrawn": map[string]any{"const": true}}, "required": []string{"withdrawn"}}
	schema := map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$id":         "urn:ombor:contract:" + c.Type,
		"title":       c.Title.In("en"),
		"description": c.About,
		"type":        "object",
		"required":    []string{"specversion", "id", "source", "type", "time"},
		"properties": map[string]any{
			"specversion":     map[string]any{"const": "1.0"},
			"id":              key,
			"source":          key,
			"type":            map[string]any{"const": c.Type},
			"time":            map[string]any{"type": "string", "format": "date-time", "description": "when it happened, RFC 3339 with an offset"},
			"datacontenttype": map[string]any{"type": "string"},
			"corrects":        map[string]any{"type": "string", "minLength": 1, "maxLength": maxLabel, "description": "id of the first event, of which this is a new revision"},
			"revision":        map[string]any{"type": "integer", "minimum": 0, "maximum": math.MaxInt32},
			"withdrawn":       map[string]any{"type": "boolean", "description": "the first event never was"},
			"simulated":       map[string]any{"type": "boolean"},
			"onchange":        map[string]any{"enum": []string{"conflict", "correct"}},
		},
		"dependentRequired": map[string]any{"corrects": []string{"revision"}},
		"if":                withdrawal,
		"then":              map[string]any{"required": []string{"corrects"}},
		"else":              map[string]any{"required": []string{"data"}, "properties": map[string]any{"data": data}},
	}
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic("contract: a JSON Schema of strings and numbers does not marshal: " + err.Error())
	}
	return append(out, '\n')
}

func (f *Field) jsonSchema() map[string]any {
	s := map[string]any{}
	switch f.Type {
	case Text:
		s["type"] = "string"
	case Code:
		s["type"], s["maxLength"] = "string", maxLabel
	case Enum:
		s["enum"] = f.Values
	case Ref:
		s["type"], s["maxLength"] = "string", maxLabel
		s["$comment"] = "a code of reference table " + f.To
	case Person:
		s["type"], s["maxLength"] = "string", maxLabel
		switch f.ID {
		case "pinfl":
			s["pattern"] = `^\s*[0-9]{14}\s*$`
		case "stir":
			s["pattern"] = `^\s*[0-9]{9}\s*$`
		}
		s["$comment"] = "an identifier of kind " + f.ID + "; only its keyed pseudonym is kept"
	case Timestamp:
		s["type"], s["format"] = "string", "date-time"
	case Date:
		s["type"], s["format"] = "string", "date"
	case Integer, Money:
		s["type"], s["minimum"], s["maximum"] = "integer", -LargestWhole, LargestWhole
	case Duration:
		s["type"], s["minimum"], s["maximum"] = "integer", 0, LargestWhole
	case Decimal:
		s["type"], s["multipleOf"] = "number", json.Number("1e-"+strconv.Itoa(f.Scale))
	case Number:
		s["type"] = "number"
	case Boolean:
		s["type"] = "boolean"
	}
	if title := f.Title.In("en"); title != "" {
		s["title"] = title
	}
	if f.About != "" {
		s["description"] = f.About
	}
	if !f.Required || f.Default != "" { // null, and an empty label, are an absent value
		if kind, ok := s["type"]; ok {
			s["type"] = []any{kind, "null"}
		} else {
			s["enum"] = append(anys(f.Values), "", nil)
		}
	} else if f.EmptyIsAbsent() && f.Type != Enum {
		s["minLength"] = 1
	}
	return s
}

func anys(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// Entry is one field in the data dictionary.
type Entry struct {
	Contract string            `json:"contract"` // event type
	Field    string            `json:"field"`
	Title    map[string]string `json:"title,omitempty"` // by language
	About    string            `json:"about,omitempty"`
	Type     string            `json:"type"`
	Column   string            `json:"column"` // Arrow type of its column
	Required bool              `json:"required"`
	Class    string            `json:"class"` // privacy
	Unit     string            `json:"unit,omitempty"`
	Values   []string          `json:"values,omitempty"`  // of an enum
	Table    string            `json:"table,omitempty"`   // reference table of a ref
	ID       string            `json:"id,omitempty"`      // kind of a person's identifier
	Default  string            `json:"default,omitempty"` // where an absent value comes from
}

// Dictionary is the data dictionary: every field of every contract, in order.
func (s *Set) Dictionary() []Entry {
	var entries []Entry
	for _, c := range s.all {
		for i := range c.Fields {
			f := &c.Fields[i]
			entries = append(entries, Entry{Contract: c.Type, Field: f.Name, Title: f.Title, About: f.About, Type: f.Type.String(),
				Column: f.Arrow().String(), Required: f.Required, Class: f.Class.String(), Unit: f.Unit, Values: f.Values,
				Table: f.To, ID: f.ID, Default: f.Default})
		}
	}
	return entries
}
