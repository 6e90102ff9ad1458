package disclosure

// equations say which hidden cells follow from the totals that are shown: known are those
// whose value is the same in all solutions.
//
// A hidden cell is a vector, of the totals that it is in. One that the vectors of the cells
// before it do not give is known until a later one depends on it; where a vector is a sum
// of others, all of them may change together and none is known. So each cell is reduced once, when it
// is hidden, and what is known gets less with every one.
type equations struct {
	known  []bool    // by cell
	basis  []*vector // by its first total; nil: none begins with it
	groups []group   // by total: of cells that hang together
	parent []int     // of a total: another of its group, in the end the one that stands for it

	row, sum []int64 // the vector at hand: what is left of it by total, and the cells that it was made of
}

// vector is a sum of hidden cells' vectors whose first entry is 1.
type vector struct {
	totals, cells []entry
}

type entry struct {
	at int
	is int64 // modulo the prime
}

// group is hidden cells that hang together by totals.
type group struct {
	cells []int
	large bool // more than are solved for: none is known
}

// largest is the number of cells that are solved for at once. Larger groups of hidden cells
// that hang together keep the rule of the lines, two cells and k persons in each, and are not
// solved.
const largest = 300

// modulus is a prime: rank over it can only be lower than over the rationals by an
// accident that 2³¹ makes negligible.
const modulus = 2147483647

func newEquations(totals, cells int) equations {
	e := equations{known: make([]bool, cells), basis: make([]*vector, totals), groups: make([]group, totals), parent: make([]int, totals),
		row: make([]int64, totals), sum: make([]int64, cells)}
	for n := range e.parent {
		e.parent[n] = n
	}
	return e
}

// hideIn adds a hidden cell, which is in some of the totals, in ascending order. told says
// whether its value is known; untold are cells whose values are not any longer.
func (e *equations) hideIn(cell int, totals []int) (told bool, untold []int) {
	if len(totals) == 0 {
		return false, nil
	}
	g := e.join(totals)
	if g.cells = append(g.cells, cell); g.large || len(g.cells) > largest {
		untold = e.forget(g.cells)
		g.cells, g.large = nil, true
		return false, untold
	}
	made := []int{cell}
	e.sum[cell] = 1
	for _, n := range totals {
		e.row[n] = 1
	}
	for n := totals[0]; n < len(e.row); n++ {
		factor := e.row[n]
		if factor == 0 {
			continue
		}
		v := e.basis[n]
		if v == nil {
			e.basis[n] = e.take(n, made)
			e.known[cell] = true
			return true, nil
		}
		for _, x := range v.totals {
			e.row[x.at] = modulo(e.row[x.at] - factor*x.is)
		}
		for _, x := range v.cells {
			e.sum[x.at] = modulo(e.sum[x.at] - factor*x.is)
			made = append(made, x.at)
		}
	}
	var together []int
	for _, i := range made {
		if e.sum[i] != 0 {
			e.sum[i] = 0
			together = append(together, i)
		}
	}
	return false, e.forget(together)
}

// join makes one group of those of the totals.
func (e *equations) join(totals []int) *group {
	one := e.groupOf(totals[0])
	for _, n := range totals[1:] {
		other := e.groupOf(n)
		if other == one {
			continue
		}
		if len(e.groups[other].cells) > len(e.groups[one].cells) {
			one, other = other, one
		}
		a, b := &e.groups[one], &e.groups[other]
		a.cells, a.large = append(a.cells, b.cells...), a.large || b.large
		b.cells = nil
		e.parent[other] = one
	}
	return &e.groups[one]
}

func (e *equations) groupOf(total int) int {
	for e.parent[total] != total {
		e.parent[total] = e.parent[e.parent[total]]
		total = e.parent[total]
	}
	return total
}

// forget lists those of the cells that were known.
func (e *equations) forget(cells []int) (untold []int) {
	for _, i := range cells {
		if e.known[i] {
			e.known[i] = false
			untold = append(untold, i)
		}
	}
	return untold
}

// take makes a vector of what is at hand, whose first entry is that of a total.
func (e *equations) take(first int, made []int) *vector {
	v, inverse := &vector{}, power(e.row[first], modulus-2)
	for n := first; n < len(e.row); n++ {
		if e.row[n] != 0 {
			v.totals = append(v.totals, entry{n, e.row[n] * inverse % modulus})
			e.row[n] = 0
		}
	}
	for _, i := range made {
		if e.sum[i] != 0 {
			v.cells = append(v.cells, entry{i, e.sum[i] * inverse % modulus})
			e.sum[i] = 0
		}
	}
	return v
}

func modulo(x int64) int64 {
	if x %= modulus; x < 0 {
		x += modulus
	}
	return x
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
