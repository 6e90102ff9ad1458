package pack

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"ombor/internal/problem"
)

func compiled(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	schemas := map[string]*jsonschema.Schema{}
	for _, kind := range SchemaKinds() {
		text, err := Schema(kind)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(kind, document); err != nil {
			t.Fatal(err)
		}
		if schemas[kind], err = c.Compile(kind); err != nil {
			t.Fatal(err)
		}
	}
	return schemas
}

// kindOfFile is the schema that a file of a pack is held against; "" for none.
func kindOfFile(name string) string {
	for _, k := range schemaKinds {
		if ok, _ := path.Match(k.file, name); ok {
			return k.name
		}
	}
	return ""
}

func roots(t *testing.T, name string, data []byte) []*yaml.Node {
	t.Helper()
	var issues problem.Issues
	d := &decoder{place: place{file: name}, issues: &issues}
	documents, _ := d.documents(data)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	return documents
}

func TestPacksFitTheirSchemas(t *testing.T) {
	schemas := compiled(t)
	folders := map[string]fs.FS{"whole": os.DirFS("testdata/whole"), "uz": os.DirFS("uz")}
	for _, name := range []string{"boston", "canada", "epa", "itdashboard", "uk"} {
		folders[name] = os.DirFS("testdata/" + name)
	}
	for pack, files := range folders {
		seen := 0
		err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
			kind := kindOfFile(name)
			if err != nil || kind == "" {
				return err
			}
			data, err := fs.ReadFile(files, name)
			if err != nil {
				return err
			}
			for _, root := range roots(t, name, data) {
				seen++
				if err := schemas[kind].Validate((&decoder{}).free(root)); err != nil {
					t.Errorf("%s/%s:%d: %v", pack, name, root.Line, err)
				}
			}
			return nil
		})
		if err != nil || seen < 3 {
			t.Errorf("%s: %d documents, %v", pack, seen, err)
		}
	}
}

// What the decoder refuses in one document, the schema refuses, too.
func TestSchemasRefuse(t *testing.T) {
	schemas := compiled(t)
	for _, reason := range []string{"unknown-key", "missing-key", "wrong-type", "wrong-shape", "bad-enum", "number-for-text",
		"no-value", "empty-text", "comma-in-text", "bad-date", "bad-length-of-time", "bad-retention", "bad-name", "bad-prefix"} {
		dir := os.DirFS("testdata/bad/" + reason)
		refused := false
		err := fs.WalkDir(dir, ".", func(name string, entry fs.DirEntry, err error) error {
			kind := kindOfFile(name)
			if err != nil || kind == "" {
				return err
			}
			data, err := fs.ReadFile(dir, name)
			if err != nil {
				return err
			}
			for _, root := range roots(t, name, data) {
				refused = refused || schemas[kind].Validate((&decoder{}).free(root)) != nil
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !refused {
			t.Errorf("%s fits its schema", reason)
		}
	}
	if _, err := Schema("label"); problem.KindOf(err) != problem.NotFound || !strings.Contains(err.Error(), "pack, contract, mapping, kpi, targets") {
		t.Errorf("said %v", err)
	}
}
