package disclosure

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// attacker is an independent check: with the shown cells and every total that its own
// table shows (of lines, planes and the whole), which hidden cells follow? It solves
// over the rationals.
func attacker(cells []Cell, hidden []bool, k int) map[int]bool {
	var axes []int
	for a := range cells[0].Key {
		if slices.ContainsFunc(cells, func(c Cell) bool { return c.Key[a] != cells[0].Key[a] }) {
			axes = append(axes, a)
		}
	}
	var unknown []int
	place := map[int]int{}
	for i := range cells {
		if hidden[i] {
			place[i] = len(unknown)
			unknown = append(unknown, i)
		}
	}
	var rows [][]*big.Rat
	for fixed := range 1<<len(axes) - 1 { // every margin
		var sums []Cell
		var members [][]int
		for i, c := range cells {
			var key []string
			for n, a := range axes {
				if fixed>>n&1 == 1 {
					key = append(key, c.Key[a])
				}
			}
			at := slices.IndexFunc(sums, func(s Cell) bool { return slices.Equal(s.Key, key) })
			if at < 0 {
				at = len(sums)
				sums, members = append(sums, Cell{Key: key}), append(members, nil)
			}
			sums[at].Persons += c.Persons
			sums[at].Size += c.Size
			members[at] = append(members[at], i)
		}
		for at, masked := range Inside(sums, k) {
			if masked {
				continue
			}
			row := make([]*big.Rat, len(unknown))
			for n := range row {
				row[n] = new(big.Rat)
			}
			for _, i := range members[at] {
				if hidden[i] {
					row[place[i]].SetInt64(1)
				}
			}
			rows = append(rows, row)
		}
	}
	top := 0
	for column := range unknown {
		for r := top; r < len(rows); r++ {
			if rows[r][column].Sign() == 0 {
				continue
			}
			rows[top], rows[r] = rows[r], rows[top]
			inverse := new(big.Rat).Inv(rows[top][column])
			for _, v := range rows[top] {
				v.Mul(v, inverse)
			}
			for o := range rows {
				if o == top || rows[o][column].Sign() == 0 {
					continue
				}
				factor := new(big.Rat).Set(rows[o][column])
				for c := range rows[o] {
					rows[o][c].Sub(rows[o][c], new(big.Rat).Mul(factor, rows[top][c]))
				}
			}
			top++
			break
		}
	}
	found := map[int]bool{}
	for _, row := range rows {
		at, n := 0, 0
		for c, v := range row {
			if v.Sign() != 0 {
				at, n = c, n+1
			}
		}
		if n == 1 {
			found[unknown[at]] = true
		}
	}
	return found
}

func randomTable(r *rand.Rand, axes int) []Cell {
	var cells []Cell
	var fill func(key []string)
	sizes := []int{2 + r.IntN(7), 1 + r.IntN(6), 1 + r.IntN(3)}
	gaps := r.IntN(3)
	fill = func(key []string) {
		if len(key) == axes {
			persons := r.IntN(60)
			if r.IntN(3) == 0 {
				persons = r.IntN(14)
			}
			if gaps == 0 && r.IntN(5) == 0 {
				persons = 0
			}
			if gaps == 1 && r.IntN(8) == 0 {
				return // no such cell
			}
			cells = append(cells, Cell{Key: append([]string(nil), key...), Persons: persons, Size: int64(persons)})
			return
		}
		for n := range sizes[len(key)] {
			fill(append(key, fmt.Sprint(n)))
		}
	}
	fill(nil)
	return cells
}

func TestNothingHiddenCanBeComputed(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 1))
		axes := 1 + int(seed%3)
		k := 5 + r.IntN(8)
		cells := randomTable(r, axes)
		if len(cells) == 0 {
			continue
		}
		hidden := Inside(cells, k)
		for i, c := range cells {
			if c.Persons > 0 && c.Persons < k && !hidden[i] {
				t.Fatalf("seed %d: cell %v of %d persons is shown, k = %d", seed, c.Key, c.Persons, k)
			}
			if c.Persons == 0 && hidden[i] && slices.ContainsFunc(cells, func(o Cell) bool {
				return o.Persons > 0 && !hidden[slices.IndexFunc(cells, func(x Cell) bool { return slices.Equal(x.Key, o.Key) })]
			}) {
				t.Fatalf("seed %d: empty cell %v is hidden", seed, c.Key)
			}
		}
		for i := range attacker(cells, hidden, k) {
			if cells[i].Persons >= k {
				continue // hidden only to shield another, and not needed for it then
			}
			if !slices.Contains(hidden, false) {
				continue // nothing of the table is shown: only the totals' own masks could hide it
			}
			t.Errorf("seed %d (%d axes, k = %d): hidden cell %v follows from the totals", seed, axes, k, cells[i].Key)
		}
		for _, line := range masked(cells, k).lines {
			n, persons, shown := 0, 0, 0
			for _, i := range line.cells {
				switch {
				case hidden[i]:
					n, persons = n+1, persons+cells[i].Persons
				case cells[i].Persons > 0:
					shown++
				}
			}
			if n > 0 && shown > 0 && (n < 2 || persons < k) {
				t.Errorf("seed %d: a line hides %d cells of %d persons beside %d shown, k = %d", seed, n, persons, shown, k)
			}
		}
	}
}

// TestMasksStay holds the masks of many tables to those that they had: two answers with other
// masks would tell together what neither does.
func TestMasksStay(t *testing.T) {
	digest := fnv.New64a()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		cells := randomTable(r, 1+int(seed%3))
		if seed%4 == 0 {
			cells = wideTable(r, 3+r.IntN(30), 14, 4)
		}
		for _, hidden := range Inside(cells, 5+r.IntN(8)) {
			fmt.Fprint(digest, hidden)
		}
	}
	if have, want := digest.Sum64(), uint64(0x9fffee34687ece19); have != want {
		t.Errorf("the masks are others than they were: %#x, not %#x", have, want)
	}
}

// wideTable is as agencies by regions by ways in are: a few large cells, many small and empty ones,
// persons counted up to 11.
func wideTable(r *rand.Rand, sizes ...int) (cells []Cell) {
	weights := make([][]float64, len(sizes))
	for axis, n := range sizes {
		for range n {
			weights[axis] = append(weights[axis], math.Exp(1.5*r.NormFloat64()))
		}
	}
	var fill func(key []string, weight float64)
	fill = func(key []string, weight float64) {
		if axis := len(key); axis < len(sizes) {
			for n, w := range weights[axis] {
				fill(append(slices.Clone(key), fmt.Sprint(n)), weight*w)
			}
			return
		}
		if persons := int(weight * 20); persons > 0 || r.IntN(4) == 0 {
			cells = append(cells, Cell{Key: key, Persons: min(persons, 11), Size: int64(persons)})
		}
	}
	fill(nil, 1)
	return cells
}

func TestInside(t *testing.T) {
	line := func(persons ...int) (cells []Cell) {
		for i, p := range persons {
			cells = append(cells, Cell{Key: []string{fmt.Sprint(i)}, Persons: p, Size: int64(p)})
		}
		return cells
	}
	for _, c := range []struct {
		cells []Cell
		want  string
	}{
		{line(20, 30, 40), "..."},
		{line(3, 30, 20, 40), "x.x."},
		{line(3, 4, 5, 40), "xxx."},
		{line(3, 4, 20, 40), "xxx."},
		{line(3), "x"},
		{line(0, 3, 0), ".x."},
		{line(0, 0), ".."},
		{nil, ""},
	} {
		got := ""
		for _, h := range Inside(c.cells, 10) {
			if h {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("Inside(%v) = %s, want %s", c.cells, got, c.want)
		}
	}
}

func BenchmarkInside(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name  string
		cells []Cell
	}{{"months by regions", wideTable(r, 12, 14)}, {"agencies by regions by ways in", wideTable(r, 60, 14, 4)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Inside(c.cells, 10)
			}
			b.ReportMetric(float64(len(c.cells)), "cells")
		})
	}
}
