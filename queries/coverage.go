package queries

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// sources says who should report for the contracts of a question, who has, and how far.
type sources struct {
	list            []source // senders with rows, by name
	expected        []string // sources that the contracts name, by name
	total           int64
	through, loaded time.Time
	first, last     reference.Day // days of the first and last row; NoDay when there is none
}

type source struct {
	name  string
	first reference.Day
	rows  int64
}

// standIn is the sender of simulated rows of a source.
func standIn(source string) string { return "simulation/" + source }

// sources reads the rollups by source: who sent how much, since when.
func (q *Queries) sources(ctx context.Context, qn *question) (*sources, error) {
	key := fmt.Sprint("sources ", qn.knownOn)
	for _, s := range qn.sides {
		key += " " + q.warehouse.Table(q.bySource(s))
	}
	return once(qn.shared, key, func() (*sources, error) { return q.readSources(ctx, qn) })
}

func (q *Queries) readSources(ctx context.Context, qn *question) (*sources, error) {
	s := &sources{first: reference.NoDay, last: reference.NoDay}
	for _, side := range qn.sides {
		if from := side.contract.Source; from != "" && !slices.Contains(s.expected, from) {
			s.expected = append(s.expected, from)
		}
		r := q.bySource(side)
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
			if old := s.of(x.name); old != nil {
				old.rows += x.rows
				old.first = min(old.first, x.first)
				return nil
			}
			s.list = append(s.list, x)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	sort.Slice(s.list, func(a, b int) bool { return s.list[a].name < s.list[b].name })
	sort.Strings(s.expected)
	return s, nil
}

// of is what a sender has sent; nil when nothing.
func (s *sources) of(name string) *source {
	for i := range s.list {
		if s.list[i].name == name {
			return &s.list[i]
		}
	}
	return nil
}

// bySource is the rollup by source of a side, or of its contract by time.
func (q *Queries) bySource(s side) *warehouse.Rollup {
	var best *warehouse.Rollup
	for _, r := range q.warehouse.Rollups(s.contract) {
		if slices.Equal(r.Dims, []string{contract.ColumnSource}) && (best == nil || r.At == s.At && (best.At != s.At || !r.Hourly)) {
			best = r
		}
	}
	return best
}

// reporting says which senders have rows in which period of the question: by the
// period's first whole day (0 for the whole), or by the span's place.
func (q *Queries) reporting(ctx context.Context, qn *question) (map[key]map[string]bool, error) {
	var statements []statement
	for _, side := range qn.sides {
		bare := &question{from: qn.from, to: qn.to, knownOn: qn.knownOn, spans: qn.spans}
		s := statement{params: bind{}}
		period := "toDate('1970-01-01')"
		switch {
		case qn.grain == Hour:
			period = q.periodSQL(Day, "_day")
		case qn.grain != Whole:
			period = q.periodSQL(qn.grain, "_day")
		}
		span := "toUInt16(0)"
		if qn.spans != nil {
			span = spanSQL("_day")
		}
		s.sql = "SELECT " + period + " AS Period, " + span + " AS Span, " + contract.ColumnSource + "\nFROM " + q.warehouse.Table(q.bySource(side)) +
			whereSQL(bare.conditions(s.params, "_day", quote)) + "\nGROUP BY Period, Span, " + contract.ColumnSource + "\nHAVING sum(_n) > 0"
		statements = append(statements, s)
	}
	return once(qn.shared, fmt.Sprint("reporting ", statements), func() (map[key]map[string]bool, error) {
		all := map[key]map[string]bool{}
		for _, s := range statements {
			err := q.warehouse.Each(ctx, s.sql, s.params, func(scan warehouse.Scan) error {
				var day time.Time
				var span uint16
				var name string
				if err := scan(&day, &span, &name); err != nil {
					return err
				}
				k := key{from: reference.DayOf(day), span: int(span)}
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
	})
}

// shared keeps what several questions of one answer would each ask alike. What it
// gives is not changed by those who ask.
type shared struct{ asked sync.Map } // key → func() (T, error)

// once asks for a key the first time; without a shared every time.
func once[T any](s *shared, key string, ask func() (T, error)) (T, error) {
	if s == nil {
		return ask()
	}
	first, _ := s.asked.LoadOrStore(key, sync.OnceValues(ask))
	return first.(func() (T, error))()
}

// coverage of a period, given the senders that have rows in it. Each source that a
// contract names is expected, also one that has never sent anything; its simulated
// stand-in counts for it, and the words say so. Any other sender counts as itself, from
// its first row on.
func (s *sources) coverage(seen map[string]bool, to reference.Day) *Coverage {
	c := &Coverage{noun: "source", ofAll: map[string]float64{}}
	miss := func(name string, rows int64) {
		c.Expected++
		c.Missing = append(c.Missing, name)
		if rows > 0 {
			c.ofAll[name] = 100 * float64(rows) / float64(s.total)
		}
	}
	for _, name := range s.expected {
		if seen[standIn(name)] {
			c.Simulated = append(c.Simulated, name)
			if seen[name] {
				c.inPart = append(c.inPart, name)
			}
		}
		if seen[name] || seen[standIn(name)] {
			c.Covered++
			c.Expected++
			continue
		}
		var rows int64
		for _, sender := range []string{name, standIn(name)} {
			if x := s.of(sender); x != nil {
				rows += x.rows
			}
		}
		miss(name, rows)
	}
	for _, x := range s.list {
		switch {
		case slices.ContainsFunc(s.expected, func(name string) bool { return x.name == name || x.name == standIn(name) }):
		case seen[x.name]:
			c.Covered++
			c.Expected++
		case x.first <= to:
			miss(x.name, x.rows)
		}
	}
	sort.Strings(c.Missing)
	c.Share = share(c.Covered, c.Expected)
	c.say(Languages[0], func(source string) string { return source })
	return c
}

// unitCoverage is what a version says itself of how much of a figure is known.
func unitCoverage(covered, expected int64) *Coverage {
	c := &Coverage{Covered: covered, Expected: expected, Share: share(covered, expected), noun: "unit"}
	c.say(Languages[0], nil)
	return c
}

// addUp is the coverage of the last period among cells of units: periods are not added up.
func addUp(cells []Cell) *Coverage {
	var covered, expected int64
	for _, c := range cells {
		if last := cells[len(cells)-1]; c.Coverage != nil && c.From == last.From && c.To == last.To {
			covered, expected = covered+c.Coverage.Covered, expected+c.Coverage.Expected
		}
	}
	if expected == 0 {
		return nil
	}
	return unitCoverage(covered, expected)
}

func share(covered, expected int64) float64 {
	if expected == 0 {
		return 0
	}
	return 100 * float64(covered) / float64(expected)
}

// percent writes a share with as many digits as it needs to be told from none.
func percent(language string, p float64) string {
	text := fmt.Sprintf("%.0f", math.Round(p))
	switch {
	case p == 0:
		text = "0"
	case p < 0.1:
		return say(language, "below")
	case p < 10:
		text = strings.TrimSuffix(fmt.Sprintf("%.1f", p), ".0")
	}
	if language != "en" {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text + " %"
}
