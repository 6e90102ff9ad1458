package governed

import (
	"slices"
	"strings"
)

// Functions are the names of the functions that statements may use, sorted, for who completes a
// statement. Endings that make an aggregate function of another one are not among them.
func Functions() []string {
	var names []string
	for line := range strings.Lines(functionList) {
		if !strings.HasPrefix(line, "#") {
			names = append(names, strings.Fields(line)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
