package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestWithoutTheRaceDetector holds what the Makefile tests without the race detector to its reason: rooms
// that start no goroutine, and know nobody who does, and the simulation, whose named tests are run under it.
func TestWithoutTheRaceDetector(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + ` := (.+)$`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("the Makefile has no %s", name)
		}
		return string(found[1])
	}
	alone := strings.Fields(value("ALONE"))
	// Of the standard library, what computes in the goroutine that calls it.
	quiet := []string{"cmp", "fmt", "hash/fnv", "maps", "math", "math/big", "math/bits", "math/rand/v2", "slices", "sort", "strconv", "strings", "testing"}
	for _, folder := range alone {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(folder), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no Go file: %v", folder, err)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				ours, _ := strings.CutPrefix(imported, "ombor/")
				if !slices.Contains(quiet, imported) && !slices.Contains(alone, ours) {
					t.Errorf("%s imports %s: a room of ALONE in the Makefile may not, for it is not tested for races", name, imported)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if _, starts := n.(*ast.GoStmt); starts {
					t.Errorf("%s starts a goroutine: take its room from ALONE in the Makefile", name)
				}
				return true
			})
		}
	}
	workers := regexp.MustCompile(`^\^Test\((.+)\)\$\$$`).FindStringSubmatch(value("WORKERS"))
	tests, err := os.ReadFile(filepath.Join(root, "internal", "simulate", "simulate_test.go"))
	if err != nil || workers == nil {
		t.Fatalf("WORKERS is %q: %v", value("WORKERS"), err)
	}
	for name := range strings.SplitSeq(workers[1], "|") {
		if !strings.Contains(string(tests), "\nfunc Test"+name+"(t *testing.T)") {
			t.Errorf("WORKERS in the Makefile names Test%s, which does not exist", name)
		}
	}
}
