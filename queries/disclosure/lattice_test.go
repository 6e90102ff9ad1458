package disclosure_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	. "ombor/queries/disclosure"
	"ombor/queries/disclosure/attack"
)

// nation is a small country's published tables: months 0 to 11, quarters 12 to 15 and
// the year 16, each for every set of axes of a chain of tables, with their totals.
type nation struct {
	figures []Figure
	names   []string
	totals  []Total
	order   [][]int // figures that are published together, in time
}

func members(t Total) []int { return append([]int{t.Whole}, t.Parts...) }

var counted = []Measure{{Whole: true, Size: true}, {Whole: true, Size: true}, {Whole: true}}

// randomNation draws persons for each base cell. chain is how many of two axes are
// published: 0 the nation only, 1 by the first, 2 by the first and by both.
func randomNation(r *rand.Rand, chain, months int) *nation {
	n := &nation{}
	sizes := []int{1 + r.IntN(4), 1 + r.IntN(3)}
	sparse := r.IntN(3)
	place := map[[3]int]int{} // period, first, second; −1 is all of an axis
	add := func(period, first, second, level int) int {
		at := len(n.figures)
		n.figures = append(n.figures, Figure{Amounts: make([]float64, len(counted)), Level: level})
		n.names = append(n.names, fmt.Sprintf("%d/%d/%d", period, first, second))
		place[[3]int{period, first, second}] = at
		return at
	}
	grain := func(period int) int { return min(max(period-11, 0), 1) + min(max(period-15, 0), 1) }
	periods := []int{}
	for m := range months {
		periods = append(periods, m)
		if m%3 == 2 {
			periods = append(periods, 12+m/3)
		}
		if m == 11 {
			periods = append(periods, 16)
		}
	}
	for _, p := range periods {
		add(p, -1, -1, 3*grain(p))
		for a := range sizes[0] {
			if chain > 0 {
				add(p, a, -1, 3*grain(p)+1)
			}
			for b := range sizes[1] {
				if chain > 1 {
					add(p, a, b, 3*grain(p)+2)
				}
			}
		}
	}
	// A person may have several rows, and comes back in other months: the persons of a
	// total are fewer than those of its parts together.
	for m := range months {
		for a := range sizes[0] {
			for b := range sizes[1] {
				persons := r.IntN(30)
				if r.IntN(3) == 0 || sparse == 0 {
					persons = r.IntN(8)
				}
				if sparse == 1 && r.IntN(4) == 0 {
					persons = 0
				}
				rows := persons
				if persons > 0 && r.IntN(4) == 0 {
					rows += r.IntN(2 * persons)
				}
				counts := []float64{float64(rows), float64(rows - r.IntN(max(rows-persons, 0)+1)), float64(r.IntN(persons + 1))}
				for _, p := range []int{m, 12 + m/3, 16} {
					for _, key := range [][3]int{{p, -1, -1}, {p, a, -1}, {p, a, b}} {
						if at, ok := place[key]; ok {
							f := &n.figures[at]
							if p == m {
								f.Persons += persons
							} else {
								f.Persons = max(f.Persons, persons)
							}
							for i, x := range counts {
								f.Amounts[i] += x
							}
						}
					}
				}
			}
		}
	}
	under := func(key [3]int, parts ...[3]int) {
		whole, ok := place[key]
		t := Total{Whole: whole}
		for _, part := range parts {
			at, there := place[part]
			ok = ok && there
			t.Parts = append(t.Parts, at)
		}
		if ok && len(parts) > 0 {
			n.totals = append(n.totals, t)
		}
	}
	for key := range place {
		var firsts, seconds, times [][3]int
		for a := range sizes[0] {
			firsts = append(firsts, [3]int{key[0], a, -1})
		}
		for b := range sizes[1] {
			seconds = append(seconds, [3]int{key[0], key[1], b})
		}
		switch p := key[0]; {
		case p == 16:
			for q := range 4 {
				times = append(times, [3]int{12 + q, key[1], key[2]})
			}
		case p >= 12:
			for m := range 3 {
				times = append(times, [3]int{3*(p-12) + m, key[1], key[2]})
			}
		}
		if key[1] < 0 {
			under(key, firsts...)
		} else if key[2] < 0 {
			under(key, seconds...)
		}
		under(key, times...)
	}
	slices.SortFunc(n.totals, func(a, b Total) int { return slices.Compare(members(a), members(b)) })
	// A month is published with the quarter and the year that end with it.
	for m := range months {
		var together []int
		for _, p := range []int{m, 12 + m/3, 16} {
			if p != m && (p < 16 && m%3 != 2 || p == 16 && m != 11) {
				continue
			}
			for i, name := range n.names {
				if slices.Contains([]string{fmt.Sprint(p)}, name[:len(fmt.Sprint(p))]) && name[len(fmt.Sprint(p))] == '/' {
					together = append(together, i)
				}
			}
		}
		n.order = append(n.order, together)
	}
	return n
}

// known is the part of the country that has been published up to a step, as an attacker
// has it.
func (n *nation) known(figures []Figure, published []bool) ([]Figure, []Total, []int) {
	place := map[int]int{}
	var part []Figure
	var whole []int
	for i := range figures {
		if published[i] {
			place[i] = len(part)
			part, whole = append(part, figures[i]), append(whole, i)
		}
	}
	var totals []Total
next:
	for _, t := range n.totals {
		moved := Total{}
		for at, i := range members(t) {
			j, ok := place[i]
			if !ok {
				continue next
			}
			if at == 0 {
				moved.Whole = j
			} else {
				moved.Parts = append(moved.Parts, j)
			}
		}
		totals = append(totals, moved)
	}
	return part, totals, whole
}

// tried is how far apart a hidden figure can be in whole numbers up to a limit, found by
// trying all of them; false when there are too many to try.
func tried(figures []Figure, hidden []bool, totals []Total, m, of int, limit float64) (float64, bool) {
	values := make([]float64, len(figures))
	place := map[int]int{}
	var free []int
	for i := range figures {
		if values[i] = figures[i].Amounts[m]; hidden[i] {
			place[i] = len(free)
			free = append(free, i)
		}
	}
	if len(free) > 9 {
		return 0, false
	}
	ready := make([][]Total, len(free)) // totals whose last hidden figure it is
	for _, t := range totals {
		last := -1
		for _, i := range members(t) {
			if at, ok := place[i]; ok {
				last = max(last, at)
			}
		}
		if last >= 0 {
			ready[last] = append(ready[last], t)
		}
	}
	low, high := figures[of].Amounts[m], figures[of].Amounts[m]
	steps := 0
	var try func(at int)
	try = func(at int) {
		if at == len(free) {
			low, high = min(low, values[of]), max(high, values[of])
			return
		}
	next:
		for x := 0.0; x <= limit && steps < 3_000_000; x++ {
			steps++
			values[free[at]] = x
			for _, t := range ready[at] {
				sum := -values[t.Whole]
				for _, i := range t.Parts {
					sum += values[i]
				}
				if sum != 0 {
					continue next
				}
			}
			try(at + 1)
		}
	}
	try(0)
	return high - low, steps < 3_000_000
}

// TestLatticeInWholeNumbers tries all tables of whole numbers that agree with what is
// shown of small countries: whoever knows that rows are whole knows no more.
func TestLatticeInWholeNumbers(t *testing.T) {
	checked := 0
	for seed := range uint64(250) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := randomNation(r, 1+int(seed%2), 3)
		for i := range n.figures {
			for m := range n.figures[i].Amounts {
				if n.figures[i].Amounts[m] > 40 {
					n = nil // too many to try
					break
				}
			}
			if n == nil {
				break
			}
		}
		if n == nil {
			continue
		}
		const k = 5
		hidden := Lattice(n.figures, n.totals, counted, k)
		for i, f := range n.figures {
			if f.Persons == 0 || f.Persons >= k {
				continue
			}
			if width, ok := tried(n.figures, hidden, n.totals, 0, i, 45); ok {
				if checked++; width < k {
					t.Errorf("seed %d: figure %s of %d persons lies within %v, k = %d", seed, n.names[i], f.Persons, width, k)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d figures were tried", checked)
	}
}

// TestLatticeCorrected corrects figures that were published. The attacker keeps all that
// was ever shown, and knows which hidden figures stayed the same.
func TestLatticeCorrected(t *testing.T) {
	checked := 0
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 4))
		k := 5 + r.IntN(6)
		n := randomNation(r, int(seed%3), 3)
		current := make([]int, len(n.figures)) // base place → its newest figure
		for i := range current {
			current[i] = i
		}
		totals := slices.Clone(n.totals)
		places, originals := len(n.figures), slices.Clone(n.totals)
		hidden := Lattice(n.figures, totals, counted, k)
		for round := range 3 {
			for i := range n.figures {
				n.figures[i].Fixed, n.figures[i].Hidden = true, hidden[i]
			}
			// The finest figures that change; totals follow.
			whole := map[int]bool{}
			for _, o := range originals {
				whole[o.Whole] = true
			}
			amounts := map[int][]float64{}
			persons := map[int]int{}
			for i := range places {
				f := n.figures[current[i]]
				amounts[i], persons[i] = slices.Clone(f.Amounts), f.Persons
				if !whole[i] && r.IntN(6) == 0 {
					change := r.IntN(9) - 3
					persons[i] = max(0, persons[i]+change)
					for m := range amounts[i] {
						amounts[i][m] = max(float64(persons[i]), amounts[i][m]+float64(change))
					}
					if persons[i] == 0 {
						clear(amounts[i])
					}
				}
			}
			for range 4 { // tables of tables of tables
				for _, o := range originals {
					sum, most := make([]float64, len(counted)), 0
					for _, i := range o.Parts {
						most = max(most, persons[i])
						for m := range sum {
							sum[m] += amounts[i][m]
						}
					}
					if !slices.Equal(sum, amounts[o.Whole]) {
						amounts[o.Whole], persons[o.Whole] = sum, max(persons[o.Whole], most)
					}
				}
			}
			changed := false
			for i := range places {
				old := n.figures[current[i]]
				if slices.Equal(old.Amounts, amounts[i]) && old.Persons == persons[i] {
					continue
				}
				changed = true
				current[i] = len(n.figures)
				n.figures = append(n.figures, Figure{Persons: persons[i], Amounts: amounts[i], Level: old.Level, Hidden: old.Hidden})
			}
			if !changed {
				continue
			}
			for _, o := range originals {
				moved := Total{Whole: current[o.Whole]}
				for _, i := range o.Parts {
					moved.Parts = append(moved.Parts, current[i])
				}
				totals = append(totals, moved)
			}
			hidden = Lattice(n.figures, totals, counted, k)
			checked += holds(t, fmt.Sprintf("seed %d, round %d", seed, round), n.figures, hidden, totals, counted, k)
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d intervals were checked", checked)
	if checked < 100 {
		t.Errorf("only %d intervals were checked", checked)
	}
}

// holds checks every figure of few persons against the rule, with the attacker's own
// program.
func holds(t *testing.T, where string, figures []Figure, hidden []bool, totals []Total, measures []Measure, k int) (checked int) {
	t.Helper()
	for i, f := range figures {
		if f.Persons == 0 || f.Persons >= k {
			continue
		}
		if !hidden[i] {
			t.Errorf("%s: a figure of %d persons is shown", where, f.Persons)
			continue
		}
		for m, measure := range measures {
			if !measure.Size {
				continue
			}
			checked++
			low, high := attack.Interval(figures, hidden, totals, m, i)
			if low == nil {
				t.Errorf("%s: no least value: the program is wrong", where)
				continue
			}
			if high == nil {
				continue
			}
			if width := new(big.Rat).Sub(high, low); width.Cmp(big.NewRat(int64(k), 1)) < 0 {
				t.Errorf("%s: figure %d of %d persons and %v rows lies between %s and %s, k = %d", where, i, f.Persons, f.Amounts[m], low.RatString(), high.RatString(), k)
			}
		}
	}
	return checked
}

// TestLattice publishes the months of random countries one after the other, with their
// quarters and years, and attacks after each.
func TestLattice(t *testing.T) {
	checked, shown, all := 0, 0, 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 2))
		chain := int(seed % 3)
		months := []int{3, 6, 12}[r.IntN(3)]
		if chain == 2 {
			months = min(months, 6)
		}
		k := 5 + r.IntN(6)
		n := randomNation(r, chain, months)
		published := make([]bool, len(n.figures))
		for step, together := range n.order {
			for _, i := range together {
				published[i] = true
			}
			part, totals, whole := n.known(n.figures, published)
			hidden := Lattice(part, totals, counted, k)
			where := fmt.Sprintf("seed %d, step %d", seed, step)
			if step == len(n.order)-1 || step%3 == 2 {
				checked += holds(t, where, part, hidden, totals, counted, k)
			}
			for j, i := range whole {
				if n.figures[i].Fixed && n.figures[i].Hidden != hidden[j] {
					t.Fatalf("%s: figure %s was published otherwise", where, n.names[i])
				}
				n.figures[i].Fixed, n.figures[i].Hidden = true, hidden[j]
			}
		}
		for _, f := range n.figures {
			if all++; !f.Hidden {
				shown++
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d intervals were checked; %d of %d figures are shown", checked, shown, all)
	if checked < 100 || shown < all/3 {
		t.Errorf("%d intervals checked, %d of %d figures shown: this proves little, or hides too much", checked, shown, all)
	}
}
