package pack

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

var record = flag.Bool("record", false, "write the key tables of docs/packs.md and the golden messages of testdata/bad anew")

var documented = map[string]reflect.Type{
	"pack": reflect.TypeFor[packDeclaration](), "calendar": reflect.TypeFor[calendarDeclaration](),
	"source": reflect.TypeFor[sourceDeclaration](), "table": reflect.TypeFor[tableDeclaration](),
	"seed": reflect.TypeFor[seedDeclaration](), "contract": reflect.TypeFor[contractDeclaration](),
	"field": reflect.TypeFor[fieldDeclaration](), "rule": reflect.TypeFor[ruleDeclaration](),
	"window": reflect.TypeFor[windowDeclaration](), "retention": reflect.TypeFor[retentionDeclaration](),
	"mapping": reflect.TypeFor[contract.Mapping](), "read": reflect.TypeFor[contract.Read](),
	"value": reflect.TypeFor[contract.Value](), "lookup": reflect.TypeFor[contract.Lookup](),
	"unpivot": reflect.TypeFor[contract.Unpivot](),
	"kpi":     reflect.TypeFor[kpiDeclaration](), "version": reflect.TypeFor[versionDeclaration](), "part": reflect.TypeFor[partDeclaration](), "match": reflect.TypeFor[matchDeclaration](),
	"span": reflect.TypeFor[spanDeclaration](), "distribution": reflect.TypeFor[distributionDeclaration](),
	"distinct": reflect.TypeFor[distinctDeclaration](), "target": reflect.TypeFor[targetDeclaration](),
	"act": reflect.TypeFor[actDeclaration](), "baseline": reflect.TypeFor[baseDeclaration](),
	"per": reflect.TypeFor[perDeclaration](), "backlog": reflect.TypeFor[backlogDeclaration](), "portfolio": reflect.TypeFor[portfolioDeclaration](),
}

// TestDocsTellEveryKey holds the key tables of docs/packs.md against the declarations
// that the decoder reads into.
func TestDocsTellEveryKey(t *testing.T) {
	const file = "../../docs/packs.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	told := map[reflect.Type]bool{}
	block := regexp.MustCompile(`(?s)<!-- keys (\w+) -->\n.*?<!-- end -->`)
	want := block.ReplaceAllFunc(text, func(found []byte) []byte {
		name := string(block.FindSubmatch(found)[1])
		of, ok := documented[name]
		if !ok {
			t.Fatalf("%s has a table of keys %q, which is no declaration", file, name)
		}
		told[of] = true
		return []byte(fmt.Sprintf("<!-- keys %s -->\n%s<!-- end -->", name, keyTable(of)))
	})
	for _, k := range schemaKinds {
		walk(k.of, func(of reflect.Type) {
			if !told[of] {
				t.Errorf("%s has no table of the keys of %s", file, of)
			}
		})
	}
	if *record {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(text, want) {
		t.Errorf("the key tables of %s are not those of the declarations; run: go test ./internal/pack -record", file)
	}
}

// walk visits every struct that a declaration is made of.
func walk(t reflect.Type, visit func(reflect.Type)) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		walk(t.Elem(), visit)
	case reflect.Struct:
		visit(t)
		fields := fieldsOf(t)
		for _, key := range fields.keys {
			walk(t.Field(fields.index[key]).Type, visit)
		}
	}
}

func keyTable(t reflect.Type) string {
	var b strings.Builder
	b.WriteString("| key | is | what |\n|---|---|---|\n")
	fields := fieldsOf(t)
	for _, key := range fields.keys {
		field := t.Field(fields.index[key])
		is := kindOfValue(field.Type, field.Tag)
		if field.Tag.Get("need") == "yes" {
			is += ", **required**"
		}
		if field.Tag.Get("doc") == "" {
			panic(fmt.Sprintf("%s.%s has no doc tag", t, field.Name))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, is, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
	}
	return b.String()
}

func kindOfValue(t reflect.Type, tag reflect.StructTag) string {
	text := "text"
	if one, ok := tag.Lookup("one"); ok {
		text = "one of " + strings.Join(strings.Fields(one), ", ")
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return kindOfValue(t.Elem(), tag)
	case t == dayType:
		return "date"
	case t == durationType, t == reflect.TypeFor[months]():
		return "length of time"
	case t == reflect.TypeFor[reference.Names]():
		return "text by language"
	case t == reflect.TypeFor[wordsDeclaration]():
		return "text, or text by language"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String && reflect.PointerTo(t).Implements(scalarDecoderType):
		return "text or list"
	case t.Kind() == reflect.Slice && reflect.PointerTo(t).Implements(scalarDecoderType):
		return "text, mapping or list"
	}
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Struct:
		return "mapping"
	case reflect.Map:
		return "mapping"
	case reflect.Slice:
		if _, keyed := keyField(t.Elem()); keyed {
			return "mapping"
		}
		switch t.Elem().Kind() {
		case reflect.Slice:
			return "list of lists"
		case reflect.String:
			if text != "text" {
				return "list: " + strings.TrimPrefix(text, "one of ")
			}
		}
		return "list"
	}
	panic("docs: no word for " + t.String())
}

// TestDocsExamplesDecode reads the YAML of docs/packs.md as the files that they show.
func TestDocsExamplesDecode(t *testing.T) {
	text, err := os.ReadFile("../../docs/packs.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{"pack.yaml": "pack", "A contract": "contract", "A mapping": "mapping", "A KPI": "kpi", "Targets": "targets"}
	found := 0
	for section := range strings.SplitSeq(string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		_, example, ok := strings.Cut(body, "```yaml\n")
		if !ok || sections[title] == "" {
			continue
		}
		example, _, _ = strings.Cut(example, "```")
		found++
		for _, k := range schemaKinds {
			if k.name != sections[title] {
				continue
			}
			var issues problem.Issues
			d := &decoder{place: place{file: title}, literal: k.literal, issues: &issues}
			roots, _ := d.documents([]byte(example))
			if len(roots) == 1 {
				d.root(roots[0], reflect.New(k.of).Interface())
			}
			if err := issues.Err(); err != nil || len(roots) != 1 {
				t.Errorf("%d documents, %v", len(roots), err)
			}
		}
	}
	if found != len(sections) {
		t.Errorf("%d of %d sections have an example", found, len(sections))
	}
}

var formulaLine = regexp.MustCompile(`(?m)^ *(?:numerator|denominator|covered|expected): ([^{ ].*)$|\{from: .*, is: ((?:[^,(){}\n]|\([^()]*\))+)`)

// TestDocsFormulaeParse reads the formulae and the whole example of docs/kpis.md.
func TestDocsFormulaeParse(t *testing.T) {
	text, err := os.ReadFile("../../docs/kpis.md")
	if err != nil {
		t.Fatal(err)
	}
	formulae := formulaLine.FindAllSubmatch(text, -1)
	if len(formulae) < 8 {
		t.Errorf("%d formulae found", len(formulae))
	}
	for _, f := range formulae {
		text := string(f[1]) + string(f[2])
		if _, err := kpi.ParseFormula(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, example, _ := strings.Cut(string(text), "   ```yaml\n")
	example, _, _ = strings.Cut(example, "   ```")
	var issues problem.Issues
	d := &decoder{place: place{file: "docs/kpis.md"}, issues: &issues}
	roots, _ := d.documents([]byte(strings.ReplaceAll(example, "\n   ", "\n")[3:]))
	if len(roots) == 1 {
		d.root(roots[0], &kpiDeclaration{})
	}
	if err := issues.Err(); err != nil || len(roots) != 1 {
		t.Errorf("%d documents, %v", len(roots), err)
	}
}
