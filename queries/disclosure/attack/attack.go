// Package attack computes what can be told of hidden figures from those that are shown.
// It is what tests hold the masks of package disclosure against, and shares no line with
// it: the two-phase simplex method in rational numbers.
package attack

import (
	"math/big"
	"slices"

	"ombor/queries/disclosure"
)

// Interval is what an attacker can compute of a hidden figure: the least and the greatest
// that is consistent with everything shown, over the rational numbers; nil is no bound. hidden[i]
// is whether figure i is hidden, m the measure, of the hidden figure that is asked for.
func Interval(figures []disclosure.Figure, hidden []bool, totals []disclosure.Total, m, of int) (low, high *big.Rat) {
	place, count := map[int]int{}, 0
	for i := range figures {
		if hidden[i] {
			place[i] = count
			count++
		}
	}
	var rows [][]*big.Rat // equations: coefficients, then the right side
	for _, t := range totals {
		row := make([]*big.Rat, count+1)
		for i := range row {
			row[i] = new(big.Rat)
		}
		put := func(i int, sign int64) {
			if at, ok := place[i]; ok {
				row[at].Add(row[at], big.NewRat(sign, 1))
			} else {
				amount := new(big.Rat).SetFloat64(figures[i].Amounts[m])
				row[count].Sub(row[count], amount.Mul(amount, big.NewRat(sign, 1)))
			}
		}
		put(t.Whole, -1)
		for _, i := range t.Parts {
			put(i, 1)
		}
		rows = append(rows, row)
	}
	solve := func(sign int64) *big.Rat {
		cost := make([]*big.Rat, count)
		for i := range cost {
			cost[i] = new(big.Rat)
		}
		cost[place[of]].SetInt64(sign)
		best, bounded := minimise(rows, cost)
		if !bounded {
			return nil
		}
		return best.Mul(best, big.NewRat(sign, 1))
	}
	return solve(1), solve(-1)
}

// minimise is the two-phase simplex method with a row of reduced costs, in rational
// numbers. The equations have a solution.
func minimise(equations [][]*big.Rat, cost []*big.Rat) (*big.Rat, bool) {
	n, m := len(cost), len(equations)
	width := n + m + 1
	table := make([][]*big.Rat, m+1)
	for r := range table {
		table[r] = make([]*big.Rat, width)
		for c := range table[r] {
			table[r][c] = new(big.Rat)
		}
	}
	basis := make([]int, m)
	for r, equation := range equations {
		negative := equation[n].Sign() < 0
		for c := range n {
			table[r][c].Set(equation[c])
		}
		table[r][width-1].Set(equation[n])
		if negative {
			for c := range width {
				table[r][c].Neg(table[r][c])
			}
		}
		table[r][n+r].SetInt64(1)
		basis[r] = n + r
		for c := range width { // phase one: the sum of the artificial numbers
			if c < n || c == width-1 {
				table[m][c].Sub(table[m][c], table[r][c])
			}
		}
	}
	pivot := func(r, c int) {
		by := new(big.Rat).Inv(table[r][c])
		for _, x := range table[r] {
			x.Mul(x, by)
		}
		for other := range table {
			if other == r || table[other][c].Sign() == 0 {
				continue
			}
			factor := new(big.Rat).Set(table[other][c])
			for i := range width {
				if table[r][i].Sign() != 0 {
					table[other][i].Sub(table[other][i], new(big.Rat).Mul(factor, table[r][i]))
				}
			}
		}
		basis[r] = c
	}
	run := func(columns int) bool {
		for {
			enter := slices.IndexFunc(table[m][:columns], func(x *big.Rat) bool { return x.Sign() < 0 })
			if enter < 0 {
				return true
			}
			leave := -1
			var least *big.Rat
			for r := range m {
				if table[r][enter].Sign() <= 0 {
					continue
				}
				ratio := new(big.Rat).Quo(table[r][width-1], table[r][enter])
				if order := 0; leave >= 0 {
					if order = ratio.Cmp(least); order > 0 || order == 0 && basis[r] > basis[leave] {
						continue
					}
				}
				leave, least = r, ratio
			}
			if leave < 0 {
				return false
			}
			pivot(leave, enter)
		}
	}
	run(n)
	for r := range m {
		if basis[r] < n {
			continue
		}
		if c := slices.IndexFunc(table[r][:n], func(x *big.Rat) bool { return x.Sign() != 0 }); c >= 0 {
			pivot(r, c)
		}
	}
	for c := range width {
		table[m][c].SetInt64(0)
		if c < n {
			table[m][c].Set(cost[c])
		}
	}
	for r := range m {
		if basis[r] < n && cost[basis[r]].Sign() != 0 {
			factor := new(big.Rat).Set(cost[basis[r]])
			for c := range width {
				table[m][c].Sub(table[m][c], new(big.Rat).Mul(factor, table[r][c]))
			}
		}
	}
	if !run(n) {
		return nil, false
	}
	return new(big.Rat).Neg(table[m][width-1]), true
}
