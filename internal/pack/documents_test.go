package pack_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"ombor/internal/contract"
	"ombor/internal/pack"
)

// visible are the refusals that a JSON Schema can foresee.
var visible = []string{contract.MissingField, contract.WrongType, contract.NotInEnum, contract.UnknownField, contract.BadTime, contract.OutOfRange, contract.BadJSON}

// TestSchemasAgreeWithTheDoor holds the JSON Schema of every contract of the packs here
// against the door: with the pack's examples, and with examples of which one field is
// gone, is of another type, is out of its enumeration, or is of no contract.
func TestSchemasAgreeWithTheDoor(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/pack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	uz, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	packs := map[string]fs.FS{"uz": uz}
	for _, f := range folders {
		packs[filepath.Base(filepath.Dir(f))] = os.DirFS(filepath.Dir(f))
	}
	tried, refused := 0, 0
	for name, files := range packs {
		p, err := pack.Read(files, pack.Checks{})
		if err != nil {
			t.Fatal(err)
		}
		checker := contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{})
		for _, c := range p.Set.All() {
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(c.JSONSchema())))
			if err != nil {
				t.Fatal(err)
			}
			compiler := jsonschema.NewCompiler()
			compiler.AssertFormat()
			if err := compiler.AddResource("contract.json", document); err != nil {
				t.Fatal(err)
			}
			schema, err := compiler.Compile("contract.json")
			if err != nil {
				t.Fatalf("%s: %s: %v", name, c.Type, err)
			}
			hold := func(what string, event map[string]any) {
				t.Helper()
				text, err := json.Marshal(event)
				if err != nil {
					t.Fatal(err)
				}
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
				if err != nil {
					t.Fatal(err)
				}
				tried++
				refusal, fault := checker.NewBatch().Add(0, text), schema.Validate(value)
				switch {
				case refusal == nil && fault != nil:
					t.Errorf("%s: %s, %s: the door takes it, the schema does not: %v", name, c.Type, what, fault)
				case refusal != nil && fault == nil && slices.Contains(visible, refusal.Code):
					t.Errorf("%s: %s, %s: the schema takes it, the door does not: %s %s %s", name, c.Type, what, refusal.Code, refusal.Field, refusal.Reason)
				case refusal != nil:
					refused++
				}
			}
			for _, example := range p.Examples[c.Type] {
				var event map[string]any
				if err := json.Unmarshal(example, &event); err != nil {
					t.Fatal(err)
				}
				hold("an example", event)
				data, _ := event["data"].(map[string]any)
				with := func(what, field string, value any) {
					mutant, changed := maps.Clone(event), maps.Clone(data)
					if value == nil {
						delete(changed, field)
					} else {
						changed[field] = value
					}
					mutant["data"] = changed
					hold(what+" "+field, mutant)
				}
				with("no such field", "of_no_contract", 1)
				for i := range c.Fields {
					f := &c.Fields[i]
					with("without", f.Name, nil)
					with("an object in", f.Name, map[string]any{"a": 1})
					with("a list in", f.Name, []any{1})
					with("a text in", f.Name, "of no meaning")
					with("a truth value in", f.Name, true)
					with("a fraction in", f.Name, 1.123456789012)
					with("a whole number in", f.Name, 7)
				}
				for _, attribute := range []string{"id", "source", "type", "time", "specversion", "data"} {
					mutant := maps.Clone(event)
					delete(mutant, attribute)
					hold("without "+attribute, mutant)
					mutant = maps.Clone(event)
					mutant[attribute] = 5
					hold("a number in "+attribute, mutant)
				}
			}
		}
	}
	if tried < 3000 || refused < 1500 {
		t.Errorf("%d events were tried, %d of them refused", tried, refused)
	}
}
