package disclosure

import (
	"math"
	"slices"
)

// Measure is one number that is published of every figure, and adds up over the parts of
// a total.
type Measure struct {
	Whole bool // it counts, in whole numbers
	Size  bool // it tells how many stand behind the figure
}

// Figure is one cell of the published tables, a total or not, as it was or is to be
// published.
type Figure struct {
	Persons int       // distinct persons behind it; a count that stops at k is enough
	Amounts []float64 // one for each measure
	Level   int       // figures of one table and length of period have the same
	Fixed   bool      // published before: Hidden says how, and that cannot be changed
	Hidden  bool      // without Fixed: stays hidden, because it was hidden before
}

// Total says that one figure is the sum of others.
type Total struct {
	Whole int
	Parts []int
}

// Lattice answers which figures are hidden, so that [Width] of every figure of few
// persons is at least what the rule asks for. It always can: what was published before
// held the rule, and publishing nothing more keeps it.
func Lattice(figures []Figure, totals []Total, measures []Measure, k int) []bool {
	l := newLattice(figures, totals, measures, k)
	for l.hideOneMore() {
	}
	return l.hidden
}

// lattice is a mask that is being worked out.
type lattice struct {
	figures  []Figure
	totals   []Total
	measures []Measure
	k        int
	hidden   []bool
	in       [][]int // figure → totals with it
}

func newLattice(figures []Figure, totals []Total, measures []Measure, k int) *lattice {
	l := &lattice{figures: figures, totals: totals, measures: measures, k: k,
		hidden: make([]bool, len(figures)), in: make([][]int, len(figures))}
	for i, f := range figures {
		l.hidden[i] = f.Hidden || !f.Fixed && l.few(i)
	}
	for n, t := range totals {
		for _, i := range t.members() {
			l.in[i] = append(l.in[i], n)
		}
	}
	return l
}

func (t Total) members() []int { return append([]int{t.Whole}, t.Parts...) }

func (l *lattice) few(i int) bool { return l.figures[i].Persons > 0 && l.figures[i].Persons < l.k }

// hideOneMore hides one figure beside each that could be computed too closely; false
// when there is none.
func (l *lattice) hideOneMore() bool {
	// One hidden figure of a total is told by the others: no need to compute.
	more := false
	for again := true; again; {
		again = false
		for _, t := range l.totals {
			alone, n := -1, 0
			for _, i := range t.members() {
				if l.hidden[i] {
					alone, n = i, n+1
				}
			}
			if n != 1 || !l.matters(alone) {
				continue
			}
			if next, ok := l.next(t.members(), -1); ok {
				l.hidden[next] = true
				again, more = true, true
			}
		}
	}
	if more {
		return true
	}
	for _, group := range l.groups() {
		if len(group) > largestGroup {
			if l.hideGroup(group) {
				return true
			}
			continue
		}
		for m, measure := range l.measures {
			p := l.program(group, m)
			for at, i := range group {
				if !l.hidden[i] || !l.few(i) {
					continue
				}
				if asked := l.asked(i, m); p.width(at, asked, measure.Whole) >= asked {
					continue
				}
				level := -1
				if !measure.Size {
					level = l.figures[i].Level
				}
				if next, ok := l.beside(i, group, level); ok {
					l.hidden[next] = true
					return true
				}
			}
		}
	}
	return false
}

// asked is how wide the interval of a figure must be.
func (l *lattice) asked(i, m int) float64 {
	if l.measures[m].Size {
		return float64(l.k)
	}
	return math.Abs(l.figures[i].Amounts[m])
}

// matters says whether what becomes of a hidden figure can tell of few persons: it is of
// few itself, or hidden figures of few are in a total with it.
func (l *lattice) matters(i int) bool {
	if l.few(i) {
		return true
	}
	for _, group := range l.groupOf(i, make([]bool, len(l.figures))) {
		if l.few(group) {
			return true
		}
	}
	return false
}

// next is the smallest figure of a list that can still be hidden, of one level if it is
// not negative. One of nobody comes last.
func (l *lattice) next(list []int, level int) (int, bool) {
	best := -1
	for _, i := range list {
		f := l.figures[i]
		if l.hidden[i] || f.Fixed || level >= 0 && f.Level != level {
			continue
		}
		if best < 0 || l.before(i, best) {
			best = i
		}
	}
	return best, best >= 0
}

func (l *lattice) before(a, b int) bool {
	x, y := l.figures[a], l.figures[b]
	if (x.Persons == 0) != (y.Persons == 0) {
		return y.Persons == 0
	}
	for m := range l.measures {
		if l.measures[m].Size && x.Amounts[m] != y.Amounts[m] {
			return x.Amounts[m] < y.Amounts[m]
		}
	}
	return a < b
}

// beside is what to hide next for figure i: of its own totals, of those of its group, of
// everything.
func (l *lattice) beside(i int, group []int, level int) (int, bool) {
	var near []int
	for _, n := range l.in[i] {
		near = append(near, l.totals[n].Parts...)
	}
	if next, ok := l.next(near, level); ok {
		return next, true
	}
	for _, j := range group {
		for _, n := range l.in[j] {
			near = append(near, l.totals[n].members()...)
		}
	}
	if next, ok := l.next(near, level); ok || level >= 0 {
		return next, ok
	}
	all := make([]int, len(l.figures))
	for j := range all {
		all[j] = j
	}
	return l.next(all, level)
}

// hideGroup hides whatever could still be shown beside a group that is too large to be
// solved: then nothing new is told of it. False when there is nothing left.
func (l *lattice) hideGroup(group []int) bool {
	more := false
	for _, i := range group {
		for _, n := range l.in[i] {
			for _, j := range l.totals[n].members() {
				if !l.hidden[j] && !l.figures[j].Fixed {
					l.hidden[j], more = true, true
				}
			}
		}
	}
	return more
}

// largestGroup is how many hidden figures that hang together are solved for.
const largestGroup = 1500

// groups are the hidden figures that hang together by totals, as far as one of few persons
// is among them.
func (l *lattice) groups() [][]int {
	seen := make([]bool, len(l.figures))
	var groups [][]int
	for i := range l.figures {
		if l.hidden[i] && !seen[i] && l.few(i) {
			groups = append(groups, l.groupOf(i, seen))
		}
	}
	return groups
}

// groupOf are the hidden figures that hang together with one, in order; it marks them.
func (l *lattice) groupOf(i int, seen []bool) []int {
	group := []int{i}
	seen[i] = true
	for at := 0; at < len(group); at++ {
		for _, n := range l.in[group[at]] {
			for _, j := range l.totals[n].members() {
				if l.hidden[j] && !seen[j] {
					seen[j] = true
					group = append(group, j)
				}
			}
		}
	}
	slices.Sort(group)
	return group
}

// program is what is known of one measure of a group of hidden figures: each of their
// totals is an equation, what is shown a constant.
func (l *lattice) program(group []int, m int) *program {
	place := map[int]int{}
	var start []float64
	for at, i := range group {
		place[i] = at
		start = append(start, l.figures[i].Amounts[m])
	}
	var rows [][]float64
	done := map[int]bool{}
	for _, i := range group {
		for _, n := range l.in[i] {
			if done[n] {
				continue
			}
			done[n] = true
			row := make([]float64, len(group))
			if at, hidden := place[l.totals[n].Whole]; hidden {
				row[at]--
			}
			for _, j := range l.totals[n].Parts {
				if at, hidden := place[j]; hidden {
					row[at]++
				}
			}
			rows = append(rows, row)
		}
	}
	return newProgram(rows, start)
}
