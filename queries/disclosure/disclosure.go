// Package disclosure hides the cells of tables that would tell about a few persons. It is
// pure: figures in, a mask out. There are two rules, for two audiences.
//
// # Inside
//
// [Inside] takes one table. Signed-in people may ask for its totals too, each of which is a
// table of its own under the same rule. A cell with 1 to k−1 distinct persons is hidden. A
// hidden cell that stands alone in a line of the table could be had by subtracting the rest
// from the line's total; so the next smallest cell of the line is hidden beside it, until at
// least two are hidden and together they hold k persons. What could still be computed from
// all totals at once (lines that cross) is found by solving their equations, and one more
// neighbour is hidden. A cell of nobody is shown as zero, unless only the zeros would give
// the rest away. The totals' own masks are worked out from the sums of the cells' persons:
// where the same person stands in several cells, a total may be hidden that is here taken
// as shown, never the other way round.
//
// That holds for one table with its totals. Nothing is said about the difference of two
// questions: with other filters, other days, or tomorrow. For those who must not know, there
// is the lattice.
//
// # Outside
//
// [Lattice] takes all that is ever published of one KPI in a year: the declared tables, for
// calendar periods alone, with all the totals that link them (of tables over their
// dimensions, of months in quarters, of quarters in the year), and what was published of
// them before, shown or hidden. A hidden figure has no number at all: no numerator, no
// denominator, no count of rows. Its rule:
//
//	For every figure with 1 to k−1 distinct persons, and every measure that tells how many
//	stand behind it (rows, the denominator, the count itself), there are two tables of
//	whole numbers, not negative, in which all that was shown is the same, and which
//	differ in that figure by k or more.
//
// So whoever knows everything that was published knows the figure no closer than within k
// rows. For other measures (the numerator of a share, an amount) the two tables differ by as
// much as the figure itself, unless the totals alone tell more: where a total of k persons
// and more has a numerator of 0, its parts have none either, whatever is hidden.
//
// The rule holds for every sequence of publications, by induction. Figures that were
// published keep their masks: what was shown cannot be taken back, and what was hidden stays
// hidden. A figure that is corrected is a new one beside the old; both are in the equations,
// and an unchanged one is the same number in both, so that the rule also holds for those who
// know which hidden figures have stayed the same. What is new can be hidden altogether, which
// adds nothing to what was known: so a mask exists always, and figures are hidden one after
// the other, the smallest first, until bounds (the simplex method, over the equations of the
// hidden figures that hang together) show that it is one. The bounds are sharp: with tables
// that do not hang together in a circle every solution of the equations is some table of all
// persons. A bound that is reached in fractions only is not counted.
//
// Not in the rule: what somebody knows from elsewhere, a person's own row for one; and what
// may be guessed from how masks are chosen.
package disclosure

import (
	"maps"
	"slices"
	"strings"
)

// Cell is one figure of a table.
type Cell struct {
	Key     []string // its place: one coordinate for each axis; every cell has as many
	Persons int      // distinct persons behind it; a count that stops above k is enough
	Size    int64    // rows behind it, which order cells of many persons
}

// largest is the number of cells that are solved for at once: elimination costs its
// cube. Larger groups of hidden cells that hang together keep the rule of the lines,
// two cells and k persons in each, and are not solved.
const largest = 300

// Inside answers, for each cell, whether it is hidden. k below 2 hides nothing.
func Inside(cells []Cell, k int) []bool {
	t := newTable(cells)
	few := make([]bool, len(cells))
	for i, c := range cells {
		few[i] = c.Persons > 0 && c.Persons < k
		t.hidden[i] = few[i]
	}
	t.addTotals(k)
	for {
		t.closeLines(k)
		if !t.closeCycles(few, k) {
			return t.hidden
		}
	}
}

type table struct {
	cells  []Cell
	axes   []int // those with more than one coordinate
	hidden []bool
	all    []int   // every cell
	lines  [][]int // cells that differ in one coordinate only
	totals [][]int // cells under one total that is shown, small totals first
	under  [][]int // cell → the totals that it is in
}

func newTable(cells []Cell) *table {
	t := &table{cells: cells, hidden: make([]bool, len(cells)), under: make([][]int, len(cells))}
	if len(cells) == 0 {
		return t
	}
	for axis := range cells[0].Key {
		for _, c := range cells {
			if c.Key[axis] != cells[0].Key[axis] {
				t.axes = append(t.axes, axis)
				break
			}
		}
	}
	for i := range cells {
		t.all = append(t.all, i)
	}
	for _, axis := range t.axes {
		keep := slices.DeleteFunc(slices.Clone(t.axes), func(a int) bool { return a == axis })
		_, members := t.margin(keep)
		t.lines = append(t.lines, members...)
	}
	return t
}

// margin adds up the table over all axes but those kept.
func (t *table) margin(keep []int) (sums []Cell, members [][]int) {
	places := map[string]int{}
	for i, c := range t.cells {
		key := make([]string, len(keep))
		for n, axis := range keep {
			key[n] = c.Key[axis]
		}
		id := strings.Join(key, "\x00")
		at, ok := places[id]
		if !ok {
			at = len(sums)
			places[id] = at
			sums, members = append(sums, Cell{Key: key}), append(members, nil)
		}
		sums[at].Persons += c.Persons
		sums[at].Size += c.Size
		members[at] = append(members[at], i)
	}
	return sums, members
}

// addTotals lists the totals that are shown: every table with fewer axes, under its
// own mask.
func (t *table) addTotals(k int) {
	for set := range 1<<len(t.axes) - 1 { // all axes together are the table itself
		var keep []int
		for n, axis := range t.axes {
			if set>>n&1 == 1 {
				keep = append(keep, axis)
			}
		}
		sums, members := t.margin(keep)
		for i, hidden := range Inside(sums, k) {
			if !hidden {
				t.totals = append(t.totals, members[i])
			}
		}
	}
	slices.SortStableFunc(t.totals, func(a, b []int) int { return len(a) - len(b) })
	for n, members := range t.totals {
		for _, i := range members {
			t.under[i] = append(t.under[i], n)
		}
	}
}

// closeLines hides neighbours until no hidden cell can be had from its line's total.
func (t *table) closeLines(k int) {
	for again := true; again; {
		again = false
		for _, line := range t.lines {
			hidden, persons := 0, 0
			for _, i := range line {
				if t.hidden[i] {
					hidden++
					persons += t.cells[i].Persons
				}
			}
			for hidden > 0 && (hidden < 2 || persons < k) {
				next, ok := t.smallest(line)
				if !ok {
					break // the total is the hidden cells alone: it is hidden wherever it is shown
				}
				t.hidden[next] = true
				hidden++
				persons += t.cells[next].Persons
				again = true
			}
		}
	}
}

// smallest is the smallest cell of a line that is shown and not empty.
func (t *table) smallest(line []int) (int, bool) {
	best, found := 0, false
	for _, i := range line {
		if t.hidden[i] || t.cells[i].Persons == 0 {
			continue
		}
		if !found || t.less(i, best) {
			best, found = i, true
		}
	}
	return best, found
}

func (t *table) less(a, b int) bool {
	x, y := t.cells[a], t.cells[b]
	if x.Persons != y.Persons {
		return x.Persons < y.Persons
	}
	if x.Size != y.Size {
		return x.Size < y.Size
	}
	return a < b
}

// closeCycles finds hidden cells of few persons that the totals determine, alone or
// together with others that they determine, and hides one more neighbour; false when
// there is none left.
func (t *table) closeCycles(few []bool, k int) bool {
	known := make([]bool, len(t.cells))
	for _, group := range t.groups() {
		if len(group) <= largest {
			for _, i := range t.determined(group) {
				known[i] = true
			}
		}
	}
	for i := range t.cells {
		if !few[i] {
			continue
		}
		for _, total := range t.under[i] {
			open, persons := 0, 0
			for _, j := range t.totals[total] {
				if t.hidden[j] && !known[j] {
					open++
					persons += t.cells[j].Persons
				}
			}
			if !known[i] && open >= 2 && persons >= k {
				continue
			}
			if next, ok := t.smallest(t.totals[total]); ok {
				t.hidden[next] = true
				return true
			}
		}
		if !known[i] {
			continue
		}
		// Everything beside it is hidden and it still follows: from elsewhere in the
		// table, or from the zeros, which are then hidden too.
		next, ok := t.smallest(t.all)
		if !ok {
			next = slices.Index(t.hidden, false)
		}
		if next >= 0 {
			t.hidden[next] = true
			return true
		}
	}
	return false
}

// groups are the hidden cells that hang together by totals.
func (t *table) groups() [][]int {
	seen := make([]bool, len(t.cells))
	var groups [][]int
	for start := range t.cells {
		if !t.hidden[start] || seen[start] {
			continue
		}
		group := []int{start}
		seen[start] = true
		for at := 0; at < len(group); at++ {
			for _, total := range t.under[group[at]] {
				for _, i := range t.totals[total] {
					if t.hidden[i] && !seen[i] {
						seen[i] = true
						group = append(group, i)
					}
				}
			}
		}
		groups = append(groups, group)
	}
	return groups
}

// determined are the cells of a group whose value follows from the totals: those
// whose unit vector lies in the row space of the equations.
func (t *table) determined(group []int) []int {
	place := map[int]int{}
	totals := map[int]bool{}
	for n, i := range group {
		place[i] = n
		for _, total := range t.under[i] {
			totals[total] = true
		}
	}
	var rows [][]int64
	for _, total := range slices.Sorted(maps.Keys(totals)) {
		row := make([]int64, len(group))
		for _, i := range t.totals[total] {
			if n, ok := place[i]; ok {
				row[n] = 1
			}
		}
		rows = append(rows, row)
	}
	reduce(rows)
	var found []int
	for _, row := range rows {
		at, n := 0, 0
		for i, v := range row {
			if v != 0 {
				at, n = i, n+1
			}
		}
		if n == 1 {
			found = append(found, group[at])
		}
	}
	return found
}

// modulus is a prime: rank over it can only be lower than over the rationals by an
// accident that 2³¹ makes negligible.
const modulus = 2147483647

// reduce brings rows to reduced echelon form modulo the prime: a variable is
// determined exactly when a row holds it alone.
func reduce(rows [][]int64) {
	if len(rows) == 0 {
		return
	}
	top := 0
	for column := range rows[0] {
		pivot := -1
		for r := top; r < len(rows); r++ {
			if rows[r][column] != 0 {
				pivot = r
				break
			}
		}
		if pivot < 0 {
			continue
		}
		rows[top], rows[pivot] = rows[pivot], rows[top]
		inverse := power(rows[top][column], modulus-2)
		for c := range rows[top] {
			rows[top][c] = rows[top][c] * inverse % modulus
		}
		for r := range rows {
			if factor := rows[r][column]; r != top && factor != 0 {
				for c := column; c < len(rows[r]); c++ {
					if rows[top][c] != 0 {
						rows[r][c] = ((rows[r][c]-factor*rows[top][c])%modulus + modulus) % modulus
					}
				}
			}
		}
		if top++; top == len(rows) {
			return
		}
	}
}

func power(base, exponent int64) int64 {
	result := int64(1)
	for base %= modulus; exponent > 0; exponent >>= 1 {
		if exponent&1 == 1 {
			result = result * base % modulus
		}
		base = base * base % modulus
	}
	return result
}
