package main

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/kpi"
)

// TestTerminalHasWords finds every text that a command says in the reader's language, and holds it
// against the table: each has Uzbek and Russian, with the same places.
func TestTerminalHasWords(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{"": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "say" && method.Sel.Name != "row" {
				return true
			}
			for i, argument := range call.Args {
				if literal, ok := argument.(*ast.BasicLit); ok && literal.Kind == token.STRING && (i == 0 || method.Sel.Name == "row") {
					text, _ := strconv.Unquote(literal.Value)
					said[text] = true
				}
			}
			return true
		})
	}
	for _, head := range chapterColumns {
		said[head] = true
	}
	for _, status := range []string{"reached", "missed", "on_course", "at_risk", "off_course", "open", "unmeasured", "published"} {
		said[heldTarget{Status: status}.verdict()] = true
	}
	for _, holds := range []bool{true, false} {
		said[heldTarget{Holds: &holds}.verdict()] = true
	}
	for _, code := range contract.Codes() {
		said[code.Code] = true
	}
	documented, err := os.ReadFile("../../docs/mappings.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(documented), "| code | what was wrong |")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, code := range regexp.MustCompile("(?m)^\\| `([a-z_0-9]+)` \\|").FindAllStringSubmatch(table, -1) {
		said[code[1]] = true
	}
	if !said["ragged"] {
		t.Error("the refusal codes of mappings are not found in docs/mappings.md")
	}
	if len(said) < 140 {
		t.Fatalf("only %d texts were found: this test no longer sees them", len(said))
	}
	for text := range said {
		for _, language := range []string{"uz", "ru"} {
			words := terminal[text][language]
			if text != "" && words == "" {
				t.Errorf("%q has no words in %s", text, language)
			}
			if strings.Count(words, "%") != strings.Count(text, "%") {
				t.Errorf("%q has other places in %s: %q", text, language, words)
			}
		}
	}
}

// TestErrorsSpeakTheCommandsLanguage: the sentence in the language, what is possible, the English below.
func TestErrorsSpeakTheCommandsLanguage(t *testing.T) {
	for language, want := range map[string]string{"ru": "ombor: --format «xls» нет\nвозможны: table, json, csv\n(--format", "uz": "ombor: --format “xls” yoʻq\nmumkin: table, json, csv\n(--format", "en": "ombor: --format \"xls\": want one of table, json, csv"} {
		var out, told bytes.Buffer
		if code := execute(context.Background(), []string{"kpi", "--language", language, "--format", "xls"}, &out, &told); code != 2 || !strings.HasPrefix(told.String(), want) {
			t.Errorf("%s: exit %d\n%s\nwant %s", language, code, told.String(), want)
		}
	}
	if _, ok := terminal[string(kpi.Percent)]; !ok {
		t.Error("units have no words")
	}
}
