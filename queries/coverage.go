package queries

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
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
func standIn(source string) string { return contract.StandIn(source) }

// of is what a sender has sent; nil when nothing.
func (s *sources) of(name string) *source {
	for i := range s.list {
		if s.list[i].name == name {
			return &s.list[i]
		}
	}
	return nil
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
