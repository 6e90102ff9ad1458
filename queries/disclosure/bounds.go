package disclosure

import (
	"math"
	"slices"
)

// program is a set of equations over numbers that are not negative, of which one
// solution is known, the truth. It answers within which bounds a number lies by all of
// them: the simplex method in tableau form, with Bland's rule, which ends.
type program struct {
	rows  [][]float64 // basic number = last entry − Σ entry × the numbers that are not basic
	basis []int       // row → number
	row   []int       // number → row; −1: not basic, it is 0
	truth []float64
	scale float64 // of the truth: entries are divided by it
}

// tolerance is what counts as nothing: entries are small whole numbers wherever the
// totals form two hierarchies, and fractions of small ones elsewhere.
const tolerance = 1e-7

func newProgram(equations [][]float64, truth []float64) *program {
	p := &program{truth: truth, scale: 1}
	largest := 0.0
	for _, x := range truth {
		largest = math.Max(largest, math.Abs(x))
	}
	if largest > 1e9 {
		p.scale = largest / 1e6
	}
	n := len(truth)
	// Artificial numbers, one a row, are driven out: those left are of equations that
	// say nothing new.
	for r, equation := range equations {
		line := make([]float64, n+len(equations)+1)
		copy(line, equation)
		sum := 0.0
		for i, x := range truth {
			sum += equation[i] * x / p.scale
		}
		line[len(line)-1] = sum
		if sum < 0 {
			for i := range line {
				line[i] = -line[i]
			}
		}
		line[n+r] = 1
		p.rows = append(p.rows, line)
		p.basis = append(p.basis, n+r)
	}
	p.row = make([]int, n+len(equations))
	for i := range p.row {
		p.row[i] = -1
	}
	for r, i := range p.basis {
		p.row[i] = r
	}
	p.driveOut(n)
	return p
}

// driveOut makes the artificial numbers, from the n-th on, nothing and removes them.
func (p *program) driveOut(n int) {
	for {
		// The sum of the artificial numbers falls with a number whose entries in their
		// rows add up to more than nothing.
		enter := -1
		for i := 0; i < n && enter < 0; i++ {
			if p.row[i] >= 0 {
				continue
			}
			gain := 0.0
			for r, b := range p.basis {
				if b >= n {
					gain += p.rows[r][i]
				}
			}
			if gain > tolerance {
				enter = i
			}
		}
		if enter < 0 {
			break
		}
		leave := p.ratio(enter)
		if leave < 0 {
			break // cannot be: the sum is not negative
		}
		p.pivot(leave, enter)
	}
	for r := len(p.basis) - 1; r >= 0; r-- {
		if p.basis[r] < n {
			continue
		}
		enter := slices.IndexFunc(p.rows[r][:n], func(x float64) bool { return math.Abs(x) > tolerance })
		if enter >= 0 { // it is nothing: any number may take its place
			p.pivot(r, enter)
			continue
		}
		p.rows = slices.Delete(p.rows, r, r+1)
		p.basis = slices.Delete(p.basis, r, r+1)
	}
	p.row = p.row[:n]
	for i := range p.row {
		p.row[i] = -1
	}
	for r, i := range p.basis {
		p.row[i] = r
		last := len(p.rows[r]) - 1
		p.rows[r] = append(p.rows[r][:n:n], p.rows[r][last])
	}
}

// ratio is the row that limits how far a number can rise, −1 when none does.
func (p *program) ratio(enter int) int {
	leave, least := -1, math.Inf(1)
	for r, line := range p.rows {
		entry := line[enter]
		if entry <= tolerance {
			continue
		}
		switch ratio := line[len(line)-1] / entry; {
		case ratio < least-tolerance, ratio < least+tolerance && leave >= 0 && p.basis[r] < p.basis[leave]:
			leave, least = r, math.Min(ratio, least)
		}
	}
	return leave
}

func (p *program) pivot(leave, enter int) {
	line := p.rows[leave]
	by := line[enter]
	for i := range line {
		line[i] /= by
	}
	for r, other := range p.rows {
		factor := other[enter]
		if r == leave || factor == 0 {
			continue
		}
		for i, x := range line {
			if x != 0 {
				other[i] -= factor * x
			}
		}
		if math.Abs(other[len(other)-1]) < 1e-9 {
			other[len(other)-1] = 0
		}
	}
	p.row[p.basis[leave]] = -1
	p.basis[leave], p.row[enter] = enter, leave
}

// value of a number in the solution at hand.
func (p *program) value(i int) float64 {
	if r := p.row[i]; r >= 0 {
		return p.rows[r][len(p.rows[r])-1] * p.scale
	}
	return 0
}

// extreme moves to a solution in which a number is as large (sign 1) or small (−1) as it
// can be; infinite when nothing bounds it. It stops once enough is reached.
func (p *program) extreme(i int, sign, enough float64) float64 {
	for sign*p.value(i) < sign*enough {
		enter := -1
		if r := p.row[i]; r < 0 {
			if sign < 0 {
				return 0
			}
			enter = i
		} else {
			for j := range p.row {
				if j != i && p.row[j] < 0 && sign*p.rows[r][j] < -tolerance {
					enter = j
					break
				}
			}
		}
		if enter < 0 {
			break
		}
		leave := p.ratio(enter)
		if leave < 0 {
			return math.Inf(1)
		}
		p.pivot(leave, enter)
	}
	return p.value(i)
}

// width is how far apart two solutions are for a number, at least as far as asked for if
// they can be. Of counts the two are in whole numbers: a solution with fractions is not
// one that could be true, and the truth stands in its place.
func (p *program) width(i int, asked float64, whole bool) float64 {
	truth := p.truth[i]
	bound := func(sign, enough float64) float64 {
		x := p.extreme(i, sign, enough)
		if whole && !math.IsInf(x, 0) && !p.inWhole() {
			return truth
		}
		return x
	}
	high := bound(1, truth+asked)
	if high-truth >= asked {
		return high - truth
	}
	return high - bound(-1, high-asked)
}

// inWhole says whether the solution at hand is in whole numbers.
func (p *program) inWhole() bool {
	for r := range p.rows {
		if x := p.rows[r][len(p.rows[r])-1] * p.scale; math.Abs(x-math.Round(x)) > 1e-4 {
			return false
		}
	}
	return true
}
