package lint

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesItsTests holds docs/security.md against the tests that there are: each of the ten
// risks of OWASP names at least one, and none that does not exist.
func TestSecurityNamesItsTests(t *testing.T) {
	root := filepath.Join("..", "..")
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && (name != root && strings.HasPrefix(base, ".") || base == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		for _, m := range function.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	for risk := 1; risk <= 10; risk++ {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| API%d .*$`, risk)).Find(text)
		if len(named.FindAll(row, -1)) == 0 {
			t.Errorf("docs/security.md: API%d names no test", risk)
		}
	}
	for _, m := range named.FindAllSubmatch(text, -1) {
		if name := string(m[1]); !there[name] {
			t.Errorf("docs/security.md names %s, which does not exist", name)
		}
	}
}
