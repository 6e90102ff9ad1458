package pack

import (
	"encoding/json"
	"reflect"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// schemaKinds are the kinds of file that have a schema, with the type that each is
// decoded into.
var schemaKinds = []struct {
	name    string
	file    string // which files of a pack
	of      reflect.Type
	literal bool
}{
	{"pack", "pack.yaml", reflect.TypeFor[packDeclaration](), false},
	{"contract", "contracts/*.yaml", reflect.TypeFor[contractDeclaration](), false},
	{"mapping", "mappings/*.yaml", reflect.TypeFor[contract.Mapping](), true},
	{"kpi", "kpis/*.yaml", reflect.TypeFor[kpiDeclaration](), false},
	{"targets", "targets.yaml", reflect.TypeFor[[]targetDeclaration](), false},
}

// SchemaKinds are what [Schema] knows: pack, contract, mapping, kpi, targets.
func SchemaKinds() []string {
	var names []string
	for _, k := range schemaKinds {
		names = append(names, k.name)
	}
	return names
}

// Schema is the JSON Schema (2020-12) of one document of a kind of file. It is made
// from the declarations that the decoder reads into, so the two cannot drift apart;
// what needs more than one file (names that must exist) only [Read] checks. An unknown
// kind is a NotFound error.
func Schema(kind string) ([]byte, error) {
	for _, k := range schemaKinds {
		if k.name != kind {
			continue
		}
		s := schemaWriter{literal: k.literal}.of(k.of, "")
		s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
		s["title"] = "Ombor pack: " + k.file
		return json.MarshalIndent(s, "", "  ")
	}
	return nil, problem.New(problem.NotFound, "there is no schema %q; there are: %s", kind, strings.Join(SchemaKinds(), ", ")).In("kind")
}

// schemaWriter mirrors decoder: each case here has its case there.
type schemaWriter struct{ literal bool }

type object = map[string]any

func (w schemaWriter) of(t reflect.Type, tag reflect.StructTag) object {
	if t.Kind() == reflect.Pointer {
		return w.of(t.Elem(), tag)
	}
	switch {
	case t == dayType:
		return object{"type": "string", "format": "date", "pattern": `^\d{4}-\d{2}-\d{2}$`}
	case t == durationType:
		return object{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$`}
	case t == reflect.TypeFor[months]():
		return object{"type": "string", "pattern": `^([0-9]+[my]|forever)$`}
	}
	structural := w.structural(t, tag)
	if !reflect.PointerTo(t).Implements(scalarDecoderType) {
		return structural
	}
	forms := []any{w.text(tag), structural}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		forms = append(forms, w.of(t.Elem(), tag))
	}
	return object{"anyOf": forms}
}

func (w schemaWriter) structural(t reflect.Type, tag reflect.StructTag) object {
	switch t.Kind() {
	case reflect.String:
		return w.text(tag)
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	case reflect.Map:
		s := object{"type": "object", "additionalProperties": w.of(t.Elem(), tag)}
		if byLanguage(t) {
			s["propertyNames"] = object{"pattern": forms["language"].pattern.String()}
		}
		return s
	case reflect.Slice:
		if key, keyed := keyField(t.Elem()); keyed {
			s := object{"type": "object", "additionalProperties": w.of(t.Elem(), tag)}
			if like, ok := t.Elem().Field(key).Tag.Lookup("like"); ok {
				s["propertyNames"] = object{"pattern": forms[like].pattern.String()}
			}
			return s
		}
		return object{"type": "array", "items": w.of(t.Elem(), tag)}
	}
	properties, required := object{}, []string{}
	fields := fieldsOf(t)
	for _, name := range fields.keys {
		field := t.Field(fields.index[name])
		property := w.of(field.Type, field.Tag)
		if doc := field.Tag.Get("doc"); doc != "" {
			property["description"] = doc
		}
		properties[name] = property
		if field.Tag.Get("need") == "yes" {
			required = append(required, name)
			switch property["type"] {
			case "string":
				property["minLength"] = 1
			case "array":
				property["minItems"] = 1
			case "object":
				property["minProperties"] = 1
			}
		}
	}
	s := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func (w schemaWriter) text(tag reflect.StructTag) object {
	s := object{"type": "string"}
	if one, ok := tag.Lookup("one"); ok {
		s["enum"] = strings.Fields(one)
	} else if like, ok := tag.Lookup("like"); ok {
		s["pattern"] = forms[like].pattern.String()
	} else if w.literal {
		s["type"] = []string{"string", "number", "boolean", "null"}
	}
	return s
}
