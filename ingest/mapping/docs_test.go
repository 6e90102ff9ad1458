package mapping_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"ombor/internal/contract"
)

// TestDocs holds docs/mappings.md against the declaration: every key has its row, no
// row is about a key that is not there, and the examples are lines of the packs.
func TestDocs(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "mappings.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		sections[title] = body
	}
	row := regexp.MustCompile("(?m)^\\| (`[a-z_]+`(?:, `[a-z_]+`)*) \\|")
	documented := func(section string) map[string]bool {
		keys := map[string]bool{}
		for _, m := range row.FindAllStringSubmatch(section, -1) {
			for key := range strings.SplitSeq(m[1], ", ") {
				keys[strings.Trim(key, "`")] = true
			}
		}
		return keys
	}
	fields := sections["Fields"]
	lookup := fields[strings.Index(fields, "**Lookup**"):]
	fields = fields[:strings.Index(fields, "**Lookup**")]
	for section, of := range map[string]struct {
		text string
		typ  reflect.Type
	}{
		"The file": {sections["The file"], reflect.TypeFor[contract.Mapping]()},
		"read":     {sections["read"], reflect.TypeFor[contract.Read]()},
		"unpivot":  {sections["unpivot"], reflect.TypeFor[contract.Unpivot]()},
		"Fields":   {fields, reflect.TypeFor[contract.Value]()},
		"Lookup":   {lookup, reflect.TypeFor[contract.Lookup]()},
	} {
		keys := documented(of.text)
		for i := range of.typ.NumField() {
			key := of.typ.Field(i).Tag.Get("yaml")
			if key == "-" || key == ",line" {
				continue
			}
			if !keys[key] {
				t.Errorf("docs/mappings.md, %s: the key %s has no row", section, key)
			}
			delete(keys, key)
		}
		for key := range keys {
			t.Errorf("docs/mappings.md, %s: there is no key %s", section, key)
		}
	}
	examples := regexp.MustCompile("(?s)```yaml\n# (\\S+)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	packs := map[string]bool{}
	for _, e := range examples {
		packs[strings.Split(e[1], "/")[3]] = true
		file, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e[1])))
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range strings.Lines(e[2]) {
			if !strings.Contains("\n"+string(file), "\n"+line) {
				t.Errorf("docs/mappings.md: %s has no line %q", e[1], line)
			}
		}
	}
	if len(packs) != 4 {
		t.Errorf("docs/mappings.md has examples of %v, not of four packs", packs)
	}
}
