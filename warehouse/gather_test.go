package warehouse

import (
	"slices"
	"strings"
	"testing"
)

// Which rollups are filled together: each with all of its dimensions among those of the
// first, and source wherever others have joined.
func TestFamilies(t *testing.T) {
	rollups := func(list ...string) (all []*Rollup) {
		for _, one := range list {
			at, dims, _ := strings.Cut(one, ": ")
			r := &Rollup{At: strings.TrimSuffix(at, " hour"), Hourly: strings.HasSuffix(at, " hour"), Dims: strings.Fields(dims), Name: one}
			all = append(all, r)
		}
		return all
	}
	for _, c := range []struct{ of, want []string }{
		{[]string{"time: _source"}, []string{"time: _source"}},
		{[]string{"time: _source", "time: region"}, []string{"time: region + time: _source"}},
		{[]string{"time: _source", "time: agency service", "time: processing region", "time: intake agency region", "time: processing region kind"},
			[]string{"time: processing region kind + time: processing region + time: _source", "time: intake agency region", "time: agency service"}},
		{[]string{"time: _source", "time: agency", "time: agency service", "time: intake agency region"},
			[]string{"time: agency service + time: agency + time: _source", "time: intake agency region"}},
		{[]string{"time: _source", "deadline: region", "deadline: _source", "time hour: region", "time hour: _source"},
			[]string{"deadline: region + deadline: _source", "time hour: region + time hour: _source", "time: _source"}},
	} {
		var got []string
		for _, family := range families(rollups(c.of...)) {
			var names []string
			for _, r := range family {
				names = append(names, r.Name)
			}
			got = append(got, strings.Join(names, " + "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q are divided into %q, want %q", c.of, got, c.want)
		}
	}
}
