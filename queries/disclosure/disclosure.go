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
// An axis may determine another, as a service its agency: the agencies' totals are then totals of
// the services, whoever's services the question was about, and no agency's single hidden service
// can be had from its agency's figure. A caller who knows of such an axis gives it to the cells that were not asked by it.
//
// What follows from the totals even when the whole table is hidden cannot be protected by it: such a cell
// is hidden, and its line beside it, and no more.
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
// The rule is of one KPI. Several that count the same rows are masked alike by their caller: where one has few persons all
// are taken to have, and what one hides all hide. Then the two tables may differ in hidden figures alone for all of them at
// once: let rows of the few persons' kind stand in one hidden place instead of another, all others staying where they are.
// That needs every one of them to have the same tables and periods; where one has finer ones, its own rule, for the few
// that it takes over, is all there is.
//
// Not in the rule: what somebody knows from elsewhere, a person's own row for one; and what
// may be guessed from how masks are chosen.
package disclosure

import (
	"cmp"
	"math/bits"
	"slices"
)

// Cell is one figure of a table.
type Cell struct {
	Key     []string // its place: one coordinate for each axis; every cell has as many
	Persons int      // distinct persons behind it; a count that stops above k is enough
	Size    int64    // rows behind it, which order cells of many persons
}

// Determines says that of two axes, by their places in the keys, the first has for each coordinate only one of the second.
type Determines struct{ Axis, Other int }

// Inside answers, for each cell, whether it is hidden. k below 2 hides nothing. Of what is said of axes that holds which
// the cells do not contradict.
func Inside(cells []Cell, k int, said ...Determines) []bool { return masked(cells, k, said...).hidden }

func masked(cells []Cell, k int, said ...Determines) *table {
	c := margins(cells, said)
	for _, t := range c.tables {
		if t != nil {
			t.mask(c, k)
		}
	}
	return c.tables[len(c.tables)-1]
}

// cube is a table and what it adds up to.
type cube struct {
	axes   []axis   // those that are determined first
	tables []*table // by their axes, a bit each; nil: an axis of it determines one that is not there, so that it is another table written differently
}

// table is the cells, or what they add up to over some of the axes.
type table struct {
	axes    int   // those that it has, a bit each
	at      []int // cell of the whole table → cell of this one
	first   []int // cell of this table → the first one of the whole that is in it
	persons []int
	sizes   []int64
	hidden  []bool // once it is masked

	lines  []*total   // cells that differ in one coordinate only, whether their total is shown or not
	under  [][]*total // cell → the totals and lines that it is in, small ones first
	all    *total     // every cell; nil of a table without axes
	masked []int      // the hidden cells, as they came
	solved int        // so many of them are in the equations
	plain  []bool     // what follows from the totals although all is hidden; nil: not asked yet
	equations
}

// total is the cells that add up to one cell of a table with fewer axes. What is hidden of it
// is counted as it comes.
type total struct {
	shown   bool
	number  int   // among those that are shown
	cells   []int // the smallest first
	next    int   // those before it are hidden or of nobody
	changed bool  // a cell was hidden since the line was closed

	hidden, persons   int // hidden cells, and the persons in them
	open, openPersons int // without those that are known
}

// axis is one coordinate of all cells.
type axis struct {
	at         []int // cell → coordinate
	size       int   // coordinates
	place      int   // in the keys
	determines int   // other axes, a bit each
}

// margins are a table and what it adds up to, those with fewer axes first: the sets of axes in
// the order of their bits. An axis with one coordinate is none.
func margins(cells []Cell, said []Determines) *cube {
	var axes []axis
	for i := 0; len(cells) > 0 && i < len(cells[0].Key); i++ {
		numbers, a := map[string]int{}, axis{at: make([]int, len(cells)), place: i}
		for j, c := range cells {
			if j > 0 && c.Key[i] == cells[j-1].Key[i] { // as most often: cells are sorted
				a.at[j] = a.at[j-1]
				continue
			}
			n, ok := numbers[c.Key[i]]
			if !ok {
				n = len(numbers)
				numbers[c.Key[i]] = n
			}
			a.at[j] = n
		}
		if a.size = len(numbers); a.size > 1 {
			axes = append(axes, a)
		}
	}
	c := &cube{axes: determined(axes, said), tables: make([]*table, 1<<len(axes))}
	c.tables[0] = &table{at: make([]int, len(cells))}
	c.tables[0].add(cells, min(1, len(cells)))
	for set := 1; set < len(c.tables); set++ {
		last := bits.Len(uint(set)) - 1
		if c.closed(set) { // and without its last axis it still is
			c.tables[set] = c.tables[set&^(1<<last)].along(c.axes[last], set, cells)
		}
	}
	return c
}

// closed says whether the axes are together with all that they determine.
func (c *cube) closed(set int) bool {
	for i, a := range c.axes {
		if set>>i&1 == 1 && a.determines&^set != 0 {
			return false
		}
	}
	return true
}

// runs is the axis along which cells that differ in these axes lie in a line: it is one of them, and determines the
// others; −1 when there is none.
func (c *cube) runs(along int) int {
	for i, a := range c.axes {
		if along>>i&1 == 1 && along&^(1<<i)&^a.determines == 0 {
			return i
		}
	}
	return -1
}

// determined puts axes that others determine before those.
func determined(axes []axis, said []Determines) []axis {
	if len(said) == 0 {
		return axes
	}
	from := make([]int, len(axes)) // those that it determines, and what those do
	for _, d := range said {
		i := slices.IndexFunc(axes, func(a axis) bool { return a.place == d.Axis })
		j := slices.IndexFunc(axes, func(a axis) bool { return a.place == d.Other })
		if i < 0 || j < 0 || i == j || from[j]>>i&1 == 1 || !axes[i].has(axes[j]) {
			continue
		}
		for x := range from {
			if x == i || from[x]>>i&1 == 1 {
				from[x] |= 1<<j | from[j]
			}
		}
	}
	order := make([]int, len(axes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bits.OnesCount(uint(from[a])) - bits.OnesCount(uint(from[b])) })
	sorted := make([]axis, len(axes))
	for to, i := range order {
		sorted[to] = axes[i]
		for at, j := range order {
			sorted[to].determines |= from[i] >> j & 1 << at
		}
	}
	return sorted
}

// has says whether each coordinate goes with one of the other axis only.
func (a axis) has(other axis) bool {
	one := make([]int, a.size)
	for i, at := range a.at {
		if one[at] == 0 {
			one[at] = other.at[i] + 1
		}
		if one[at] != other.at[i]+1 {
			return false
		}
	}
	return true
}

// along is the table with one more axis.
func (t *table) along(a axis, set int, cells []Cell) *table {
	by := &table{axes: set, at: make([]int, len(t.at))}
	places := map[int]int{} // of the table's cell and the coordinate together → cell
	dense := make([]int, min(len(t.first)*a.size, 8*len(t.at)))
	n := 0
	for i, of := range t.at {
		place := of*a.size + a.at[i]
		if place < len(dense) {
			if dense[place] == 0 {
				n++
				dense[place] = n
			}
			by.at[i] = dense[place] - 1
			continue
		}
		at, ok := places[place]
		if !ok {
			at = n
			places[place] = n
			n++
		}
		by.at[i] = at
	}
	by.add(cells, n)
	return by
}

// add adds up the cells, once it is known which of the table's n each is in.
func (t *table) add(cells []Cell, n int) {
	t.first, t.persons, t.sizes = make([]int, 0, n), make([]int, n), make([]int64, n)
	for i, n := range t.at {
		if n == len(t.first) {
			t.first = append(t.first, i)
		}
		t.persons[n] += cells[i].Persons
		t.sizes[n] += cells[i].Size
	}
}

// mask works out what is hidden, once the tables with fewer axes have their masks.
func (t *table) mask(c *cube, k int) {
	t.hidden = make([]bool, len(t.first))
	few := func(i int) bool { return t.persons[i] > 0 && t.persons[i] < k }
	if !slices.ContainsFunc(t.persons, func(n int) bool { return n > 0 && n < k }) {
		return // nobody to be hidden
	}
	t.addTotals(c)
	for i := range t.hidden {
		if few(i) {
			t.hide(i)
		}
	}
	t.closeLines(k)
	for i := range t.hidden {
		for few(i) && t.closeCycle(i, k) { // and what is hidden for others later tells no more of it
			t.closeLines(k)
		}
	}
}

// smallestFirst are the cells in the order in which they are hidden for others' sake.
func (t *table) smallestFirst() []int {
	type cell struct {
		persons int
		size    int64
		at      int
	}
	cells, order := make([]cell, len(t.first)), make([]int, len(t.first))
	for i := range cells {
		cells[i] = cell{t.persons[i], t.sizes[i], i}
	}
	slices.SortFunc(cells, func(a, b cell) int {
		switch {
		case a.persons != b.persons:
			return a.persons - b.persons
		case a.size != b.size:
			return cmp.Compare(a.size, b.size)
		}
		return a.at - b.at
	})
	for i, c := range cells {
		order[i] = c.at
	}
	return order
}

// addTotals lists the totals that are shown and the lines.
func (t *table) addTotals(c *cube) {
	order := t.smallestFirst()
	lines := make([][]*total, len(c.axes)) // by the axis that they run along
	var totals []*total
	for set := range t.axes {
		over := c.tables[set]
		if set&^t.axes != 0 || over == nil {
			continue
		}
		sums := make([]total, len(over.first))
		sizes := make([]int, len(sums))
		for _, i := range t.first {
			sizes[over.at[i]]++
		}
		places := make([]int, len(order)) // of the cells of all sums
		for n, size := range sizes {
			sums[n].cells, places = places[:0:size], places[size:]
		}
		for _, i := range order {
			sum := &sums[over.at[t.first[i]]]
			sum.cells = append(sum.cells, i)
		}
		axis := c.runs(t.axes &^ set)
		var alike []*total // lines
		for n := range sums {
			sum := &sums[n]
			sum.shown = !over.hidden[n]
			if axis >= 0 {
				alike = append(alike, sum)
			}
			if axis >= 0 || sum.shown {
				totals = append(totals, sum)
			}
		}
		if axis >= 0 { // an agency's line before the country's: what it hides may do for both
			lines[axis] = slices.Concat(alike, lines[axis])
		}
		if set == 0 {
			t.all = &sums[0]
		}
	}
	t.lines = slices.Concat(lines...)
	slices.SortStableFunc(totals, func(a, b *total) int { return len(a.cells) - len(b.cells) })
	t.under = make([][]*total, len(t.first))
	most := 1 << bits.OnesCount(uint(t.axes)) // of the totals that a cell is in
	room := make([]*total, most*len(t.under))
	for i := range t.under {
		t.under[i], room = room[:0:most], room[most:]
	}
	shown := 0
	for _, sum := range totals {
		if sum.shown {
			sum.number = shown
			shown++
		}
		for _, i := range sum.cells {
			t.under[i] = append(t.under[i], sum)
		}
	}
	t.equations = newEquations(shown, len(t.first))
}

// hide hides a cell that is shown.
func (t *table) hide(i int) {
	t.hidden[i] = true
	t.masked = append(t.masked, i)
	for _, sum := range t.under[i] {
		sum.hidden, sum.persons = sum.hidden+1, sum.persons+t.persons[i]
		sum.open, sum.openPersons = sum.open+1, sum.openPersons+t.persons[i]
		sum.changed = true
	}
}

// smallest is the smallest cell of a total that is shown and not empty.
func (t *table) smallest(sum *total) (int, bool) {
	for ; sum.next < len(sum.cells); sum.next++ {
		if i := sum.cells[sum.next]; !t.hidden[i] && t.persons[i] > 0 {
			return i, true
		}
	}
	return 0, false
}

// closeLines hides neighbours until no hidden cell can be had from its line's total.
func (t *table) closeLines(k int) {
	for again := true; again; {
		again = false
		for _, line := range t.lines {
			if !line.changed {
				continue
			}
			for line.hidden < 2 || line.persons < k {
				next, ok := t.smallest(line)
				if !ok {
					break // the total is the hidden cells alone: it is hidden wherever it is shown
				}
				t.hide(next)
				again = true
			}
			line.changed = false
		}
	}
}

// closeCycle hides one more neighbour of a hidden cell of few persons that the totals determine,
// alone or together with others that they determine; false when there is no need, or nothing left.
func (t *table) closeCycle(i, k int) bool {
	t.solve()
	for _, sum := range t.under[i] {
		if !sum.shown || !t.known[i] && sum.open >= 2 && sum.openPersons >= k {
			continue
		}
		if t.follows(i) {
			return false
		}
		if next, ok := t.smallest(sum); ok {
			t.hide(next)
			return true
		}
	}
	if !t.known[i] || t.all == nil || t.follows(i) {
		return false
	}
	// Everything beside it is hidden and it still follows: from elsewhere in the
	// table, or from the zeros, which are then hidden too.
	next, ok := t.smallest(t.all)
	if !ok {
		next = slices.Index(t.hidden, false)
	}
	if next < 0 {
		return false
	}
	t.hide(next)
	return true
}

// follows says whether a cell follows from the totals that are shown although the whole table is hidden.
func (t *table) follows(i int) bool {
	if t.plain == nil {
		e := newEquations(len(t.row), len(t.first))
		for j := range t.first {
			e.hideIn(j, t.shownOver(j))
		}
		t.plain = e.known
	}
	return t.plain[i]
}

// shownOver are the numbers of the totals that are shown and have a cell, ascending.
func (t *table) shownOver(i int) (in []int) {
	for _, sum := range t.under[i] {
		if sum.shown {
			in = append(in, sum.number)
		}
	}
	return in
}

// solve brings what is known up to what is hidden.
func (t *table) solve() {
	for ; t.solved < len(t.masked); t.solved++ {
		i := t.masked[t.solved]
		told, untold := t.hideIn(i, t.shownOver(i))
		if told {
			t.count(i, -1)
		}
		for _, j := range untold {
			t.count(j, 1)
		}
	}
}

// count counts a hidden cell among the open ones of its totals, or no longer.
func (t *table) count(i, by int) {
	for _, sum := range t.under[i] {
		sum.open, sum.openPersons = sum.open+by, sum.openPersons+by*t.persons[i]
	}
}
