package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// readers are the files whose faults reach people who read Uzbek or Russian: on the page, in an
// answer of the API. What queries/governed refuses is an exception of the engine's protocol, which
// queries/workbench puts into words; what the door says of events is for programs.
var readers = []string{"dashboards-api/*.go", "queries/*.go", "queries/letters/*.go", "queries/portfolio/*.go", "queries/replies/*.go", "queries/workbench/*.go",
	"internal/access/*.go", "internal/kpi/*.go", "ingest/quarantine.go", "ingest/journal/quarantine.go"}

// operators are functions of internal/access that read the configuration: their faults are told to
// who starts a server.
var operators = []string{"NewSignIn", "Open", "newSealer"}

// TestFaultsAreSaidInEveryLanguage reads every place where a fault is made. A fault of ours
// (problem.Internal) has its one sentence already, and so has a part that is busy or away; a maker, which is a function that returns a
// *problem.Error, is held to it where it is called.
func TestFaultsAreSaidInEveryLanguage(t *testing.T) {
	made := 0
	for _, room := range readers {
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(room)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", room, err)
		}
		set := token.NewFileSet()
		var parsed []*ast.File
		makers := map[string]bool{} // functions of this room whose callers have to say the words
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, file)
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && makesFault(f.Type) && !says(f.Body, "uz") {
					makers[f.Name.Name] = true
				}
			}
		}
		for _, file := range parsed {
			for _, d := range file.Decls {
				f, _ := d.(*ast.FuncDecl)
				if f != nil && (makesFault(f.Type) || room == "internal/access/*.go" && slices.Contains(operators, f.Name.Name)) {
					continue
				}
				var above []ast.Node
				ast.Inspect(d, func(n ast.Node) bool {
					if n == nil {
						above = above[:len(above)-1]
						return true
					}
					made += faultAt(t, set, n, above, makers)
					above = append(above, n)
					return true
				})
			}
		}
	}
	if made < 100 {
		t.Errorf("only %d faults were found: this test no longer sees them", made)
	}
}

// faultAt holds one node to the rule; it is 1 where a fault is made.
func faultAt(t *testing.T, set *token.FileSet, n ast.Node, above []ast.Node, makers map[string]bool) int {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if selects(n.Type) != "problem.Error" {
			return 0
		}
		told := slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
			pair, ok := e.(*ast.KeyValueExpr)
			return ok && (selects(pair.Key) == "Words" || selects(pair.Key) == "Kind" && slices.Contains([]string{"problem.Busy", "problem.Unavailable"}, selects(pair.Value)))
		})
		if !told {
			t.Errorf("%s: this problem.Error has no Words", set.Position(n.Pos()))
		}
		return 1
	case *ast.CallExpr:
		called := selects(n.Fun)
		switch {
		case called == "problem.Wrap" && selects(n.Args[1]) != "problem.Internal":
			t.Errorf("%s: problem.Wrap says one language; write problem.New(…).Also(\"uz\", …).Also(\"ru\", …).From(op, cause)", set.Position(n.Pos()))
			return 1
		case called == "problem.New" && selects(n.Args[0]) == "problem.Internal":
		case called == "problem.New" || makers[called] && !strings.Contains(called, "."):
			said := chained(n, above)
			for _, language := range []string{"uz", "ru"} {
				if !said[language] && !saidLater(n, above, language) {
					t.Errorf("%s: this fault is not said in %s: .Also(%[2]q, …)", set.Position(n.Pos()), language)
				}
			}
			return 1
		}
	}
	return 0
}

// selects is the name of an expression: "problem.New", "bad"; "" when it has none.
func selects(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			return x.Name + "." + e.Sel.Name
		}
	}
	return ""
}

func makesFault(f *ast.FuncType) bool {
	if f.Results == nil || len(f.Results.List) != 1 {
		return false
	}
	star, ok := f.Results.List[0].Type.(*ast.StarExpr)
	return ok && selects(star.X) == "problem.Error"
}

// also is the language of a call of Also.
func also(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	literal, told := call.Args[0].(*ast.BasicLit)
	if !ok || !told || method.Sel.Name != "Also" {
		return ""
	}
	language, _ := strconv.Unquote(literal.Value)
	return language
}

// chained are the languages of the calls of Also that stand after a call.
func chained(call ast.Node, above []ast.Node) map[string]bool {
	said := map[string]bool{}
	for i := len(above) - 1; i > 0; i -= 2 {
		method, ok := above[i].(*ast.SelectorExpr)
		next, called := above[i-1].(*ast.CallExpr)
		if !ok || !called || method.X != call || next.Fun != method {
			break
		}
		said[also(next)] = true
		call = next
	}
	return said
}

// says tells whether a piece of code has words in a language.
func says(body ast.Node, language string) (found bool) {
	if body == nil {
		return false
	}
	ast.Inspect(body, func(n ast.Node) bool {
		found = found || n != nil && also(n) == language
		return !found
	})
	return found
}

// saidLater tells whether the variable that a fault is put into is given its words in a later line
// of the same function.
func saidLater(call ast.Node, above []ast.Node, language string) bool {
	var name string
	for i := len(above) - 1; i >= 0; i-- {
		switch n := above[i].(type) {
		case *ast.AssignStmt:
			if at := slices.IndexFunc(n.Rhs, func(e ast.Expr) bool { return e.Pos() <= call.Pos() && call.End() <= e.End() }); name == "" && at >= 0 && at < len(n.Lhs) {
				name = selects(n.Lhs[at])
			}
		case *ast.BlockStmt:
			if name == "" {
				return false
			}
			found := false
			ast.Inspect(n, func(inner ast.Node) bool {
				if inner != nil && also(inner) == language && rootOf(inner) == name {
					found = true
				}
				return !found
			})
			return found
		}
	}
	return false
}

// rootOf is the variable that a chain of calls begins with.
func rootOf(n ast.Node) string {
	for {
		switch e := n.(type) {
		case *ast.CallExpr:
			n = e.Fun
		case *ast.SelectorExpr:
			n = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}
