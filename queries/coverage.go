package queries

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// sources says who has reported for the contracts of a question, and how far.
type sources struct {
	list            []source // by name
	total           int64
	through, loaded time.Time
	first, last     reference.Day // days of the first and last row; NoDay when there is none
}

type source struct {
	name  string
	first reference.Day
	rows  int64
}

// sources reads the rollups by source: who sent how much, since when, and in which
// periods.
func (q *Queries) sources(ctx context.Context, qn *question) (*sources, error) {
	s := &sources{first: reference.NoDay, last: reference.NoDay}
	for _, c := range qn.contracts {
		r := q.bySource(c, qn.at)
		params := bind{}
		sql := "SELECT " + contract.ColumnSource + ", min(_day) AS First, max(_day) AS Last, max(_last) AS Through, max(_loaded) AS Loaded, sum(_n) AS Cases\nFROM " +
			q.warehouse.Table(r) + whereSQL(qn.known(params)) + "\nGROUP BY " + contract.ColumnSource + "\nHAVING Cases > 0\nORDER BY " + contract.ColumnSource
		err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
			var x source
			var first, last, through, loaded time.Time
			if err := scan(&x.name, &first, &last, &through, &loaded, &x.rows); err != nil {
				return err
			}
			x.first = reference.DayOf(first)
			if s.first == reference.NoDay || x.first < s.first {
				s.first = x.first
			}
			s.last = max(s.last, reference.DayOf(last))
			if through.After(s.through) {
				s.through = through
			}
			if loaded.After(s.loaded) {
				s.loaded = loaded
			}
			s.total += x.rows
			for i := range s.list {
				if s.list[i].name == x.name {
					s.list[i].rows += x.rows
					s.list[i].first = min(s.list[i].first, x.first)
					return nil
				}
			}
			s.list = append(s.list, x)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	sort.Slice(s.list, func(a, b int) bool { return s.list[a].name < s.list[b].name })
	return s, nil
}

// bySource is the contract's rollup by source for a time field, or for time.
func (q *Queries) bySource(c *contract.Contract, at string) *warehouse.Rollup {
	var best *warehouse.Rollup
	for _, r := range q.warehouse.Rollups(c) {
		if slices.Equal(r.Dims, []string{contract.ColumnSource}) && (best == nil || r.At == at && (best.At != at || !r.Hourly)) {
			best = r
		}
	}
	return best
}

// reporting says which sources have rows in which period of the question, by the
// period's first whole day (0 for the whole).
func (q *Queries) reporting(ctx context.Context, qn *question) (map[key]map[string]bool, error) {
	all := map[key]map[string]bool{}
	for _, c := range qn.contracts {
		r := q.bySource(c, qn.at)
		bare := &question{from: qn.from, to: qn.to, knownOn: qn.knownOn}
		params := bind{}
		grain := qn.grain
		if grain == Hour {
			grain = Day
		}
		period := q.periodSQL(grain, "_day")
		if grain == Whole {
			period = "toDate('1970-01-01')"
		}
		sql := "SELECT " + period + " AS Period, " + contract.ColumnSource + "\nFROM " + q.warehouse.Table(r) + whereSQL(bare.conditions(params, "_day", quote)) +
			"\nGROUP BY Period, " + contract.ColumnSource + "\nHAVING sum(_n) > 0"
		err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
			var day time.Time
			var name string
			if err := scan(&day, &name); err != nil {
				return err
			}
			k := key{from: reference.DayOf(day)}
			if all[k] == nil {
				all[k] = map[string]bool{}
			}
			all[k][name] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// coverage of a period: the sources that had begun by its end and those of them that
// have rows in it.
func (s *sources) coverage(seen map[string]bool, to reference.Day) *Coverage {
	c := &Coverage{}
	var missing []string
	for _, x := range s.list {
		switch {
		case seen[x.name]:
			c.Covered++
			c.Expected++
		case x.first <= to:
			c.Expected++
			c.Missing = append(c.Missing, x.name)
			missing = append(missing, fmt.Sprintf("%s (%s of all rows)", x.name, percent(100*float64(x.rows)/float64(s.total))))
		}
	}
	c.Share, c.Words = share(c.Covered, c.Expected), words(c.Covered, c.Expected, "source")
	if len(missing) > 0 {
		c.Words += "; missing: " + shorten(missing)
	}
	return c
}

func share(covered, expected int64) float64 {
	if expected == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(expected)
}

// words says a coverage aloud.
func words(covered, expected int64, noun string) string {
	switch {
	case expected == 0:
		return "no " + noun + " has reported yet"
	case expected == 1 && covered == 1:
		return "the one " + noun
	case covered == expected:
		return fmt.Sprintf("all %d %ss", expected, noun)
	}
	return fmt.Sprintf("%d of %d %ss", covered, expected, noun)
}

// percent writes a share with as many digits as it needs to be told from none.
func percent(p float64) string {
	switch {
	case p == 0:
		return "0 %"
	case p < 0.1:
		return "below 0.1 %"
	case p < 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", p), ".0") + " %"
	}
	return fmt.Sprintf("%.0f %%", math.Round(p))
}
