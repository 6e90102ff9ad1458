package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFuzzersAreListed holds the table in CONTRIBUTING.md against the fuzzers there are.
func TestFuzzersAreListed(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	fuzzer := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	found := 0
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		code, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, match := range fuzzer.FindAllSubmatch(code, -1) {
			found++
			folder, _ := filepath.Rel(root, filepath.Dir(name))
			listed := regexp.MustCompile("(?m)^\\|.*`" + string(match[1]) + "`.*`" + regexp.QuoteMeta(filepath.ToSlash(folder)) + "`")
			if !listed.Match(text) {
				t.Errorf("%s in %s is not in the table of CONTRIBUTING.md", match[1], folder)
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d fuzzers found: %v", found, err)
	}
}
