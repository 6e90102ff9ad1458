package warehouse

import (
	"slices"
	"testing"
)

func TestWeakest(t *testing.T) {
	for _, c := range []struct{ given, want []string }{
		{[]string{"a = 1"}, []string{"a = 1"}},
		{[]string{"a = 1 AND b", "b"}, []string{"b"}},
		{[]string{"b", "a = 1 and b"}, []string{"b"}},
		{[]string{"a AND b", "b AND a"}, []string{"a AND b"}},
		{[]string{"a AND b", "a AND c"}, []string{"a AND b", "a AND c"}},
		{[]string{"x IN ('a AND b', 'b') AND y", "y", "b"}, []string{"y", "b"}},
		{[]string{"(a OR b) AND c", "(a OR b)"}, []string{"(a OR b)"}},
		// An OR outside of brackets, and the AND of a BETWEEN, are no places to cut.
		{[]string{"a AND b OR c", "a"}, []string{"a AND b OR c", "a"}},
		{[]string{"n BETWEEN 1 AND b", "b"}, []string{"n BETWEEN 1 AND b", "b"}},
		{[]string{"CASE WHEN a AND b THEN 1 ELSE 0 END", "b THEN 1 ELSE 0 END"}, []string{"CASE WHEN a AND b THEN 1 ELSE 0 END", "b THEN 1 ELSE 0 END"}},
		{[]string{"a AND `b AND c`", "`b AND c`", "`b"}, []string{"`b AND c`", "`b"}},
		{[]string{"arrayExists(x -> x AND a, l)", "a, l)"}, []string{"arrayExists(x -> x AND a, l)", "a, l)"}},
	} {
		if got := weakest(c.given); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.given, got, c.want)
		}
	}
}
