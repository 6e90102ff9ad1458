package contract

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The manual names every code with its meaning, every field type, and the limits in force.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../docs/contracts.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range Codes() {
		want = append(want, fmt.Sprintf("| `%s` | %s |\n", c.Code, c.Means))
	}
	for _, name := range typeNames[1:] {
		want = append(want, fmt.Sprintf("\n| `%s` |", name))
	}
	l := Limits{}.withDefaults()
	want = append(want,
		fmt.Sprintf("| one event, or one line | %d KiB |", l.Event>>10),
		fmt.Sprintf("| a text; any other string | %d KiB; %d bytes |", l.Text>>10, maxLabel),
		fmt.Sprintf("| nesting of objects and arrays | %d |", l.Depth),
		fmt.Sprintf("identifiers of %d characters and more", minOccurrence))
	for _, w := range want {
		if !strings.Contains(string(text), w) {
			t.Errorf("docs/contracts.md lacks %q", w)
		}
	}
	// Every code of the table is one of the code.
	begin := strings.Index(string(text), "## Refusal codes")
	end := strings.Index(string(text), "## Limits")
	if n := strings.Count(string(text)[begin:end], "\n| `"); n != len(Codes()) {
		t.Errorf("docs/contracts.md tells %d codes, there are %d", n, len(Codes()))
	}
}
