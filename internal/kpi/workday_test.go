package kpi

import (
	"strings"
	"testing"

	"ombor/internal/reference"
)

func TestExpandWorkdays(t *testing.T) {
	c := &reference.Calendar{}
	for _, plain := range []string{"a = 1", "workdays_of = 2", "'workdays(a, b)' = x"} {
		if got, err := ExpandWorkdays(plain, c); err != nil || got != plain {
			t.Errorf("%q became %q, %v", plain, got, err)
		}
	}
	for text, says := range map[string]string{"workdays(a)": "takes two days", "workdays(a, b, c)": "takes two days", "workdays(a, )": "takes two days", "workdays(a, (b": "never closed"} {
		if _, err := ExpandWorkdays(text, c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	got, err := ExpandWorkdays("workdays(least(a, b), c) < 5 AND workdays(c, workdays(d, e)) > 1", c)
	if err != nil || strings.Contains(got, "workdays") || strings.Count(got, "least(a, b)") != 2 {
		t.Errorf("%q, %v", got, err)
	}
}
