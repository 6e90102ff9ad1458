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
// over the rationals. What determines an axis is never told without it.
func attacker(cells []Cell, hidden []bool, k int, said ...Determines) map[int]bool {
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
		var kept []int
		for n, a := range axes {
			if fixed>>n&1 == 1 {
				kept = append(kept, a)
			}
		}
		var among []Determines
		apart := false
		for _, d := range said {
			i, j := slices.Index(kept, d.Axis), slices.Index(kept, d.Other)
			apart = apart || i >= 0 && j < 0
			among = append(among, Determines{i, j})
		}
		if apart {
			continue
		}
		var sums []Cell
		var members [][]int
		for i, c := range cells {
			var key []string
			for _, a := range kept {
				key = append(key, c.Key[a])
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
		for at, masked := range Inside(sums, k, among...) {
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
		var everything map[int]bool // what follows if all is hidden
		for i := range attacker(cells, hidden, k) {
			if cells[i].Persons >= k {
				continue // hidden only to shield another, and not needed for it then
			}
			if everything == nil {
				everything = attacker(cells, slices.Repeat([]bool{true}, len(cells)), k)
			}
			if everything[i] {
				continue // nothing of the table need be shown for it: only the totals' own masks could hide it
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

// TestDetermined: services of agencies. Who asks by service and by agency knows no hidden service, of agencies that have
// several; who asks by both sees the same masks.
func TestDetermined(t *testing.T) {
	protected := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 5))
		var cells []Cell
		for month := range 1 + r.IntN(3) {
			for service := range 4 + r.IntN(14) {
				if persons := r.IntN(40) * r.IntN(2); persons > 0 || r.IntN(3) == 0 {
					cells = append(cells, Cell{Key: []string{fmt.Sprint(month), fmt.Sprint(service), fmt.Sprint(service % 4 % 3), fmt.Sprint(service % 2)}, Persons: persons, Size: int64(persons)})
				}
			}
		}
		if len(cells) == 0 {
			continue
		}
		said := []Determines{{1, 2}, {1, 3}}
		hidden := Inside(cells, 10, said...)
		everything := attacker(cells, slices.Repeat([]bool{true}, len(cells)), 10, said...)
		for i := range attacker(cells, hidden, 10, said...) {
			if cells[i].Persons > 0 && cells[i].Persons < 10 && !everything[i] {
				t.Errorf("seed %d: hidden service %v of %d persons follows from the totals", seed, cells[i].Key, cells[i].Persons)
			}
		}
		agency := map[[2]string][2]int{} // hidden cells, and the persons in them
		for i, c := range cells {
			if at := [2]string{c.Key[0], c.Key[2]}; hidden[i] {
				agency[at] = [2]int{agency[at][0] + 1, agency[at][1] + c.Persons}
			}
		}
		for i, c := range cells {
			if of := agency[[2]string{c.Key[0], c.Key[2]}]; !hidden[i] && c.Persons > 0 && of[0] > 0 && (of[0] < 2 || of[1] < 10) {
				t.Errorf("seed %d: %v is shown, and %v is all that is hidden of its agency", seed, c.Key, of)
			} else if hidden[i] && c.Persons < 10 {
				protected++
			}
		}
		swapped := slices.Clone(cells)
		for i, c := range cells {
			swapped[i].Key = []string{c.Key[0], c.Key[2], c.Key[3], c.Key[1]}
		}
		if other := Inside(swapped, 10, Determines{3, 2}, Determines{3, 1}); !slices.Equal(hidden, other) {
			t.Errorf("seed %d: the place of an axis that determines others changes the mask", seed)
		}
		contradicted := slices.Clone(cells)
		for i, c := range cells { // no service has one month
			contradicted[i].Key = c.Key[:2]
		}
		if !slices.Equal(Inside(contradicted, 10, Determines{1, 0}, Determines{0, 1}), Inside(contradicted, 10)) && len(contradicted) > 20 {
			t.Errorf("seed %d: what the cells contradict changes the mask", seed)
		}
	}
	if protected < 500 {
		t.Errorf("only %d cells of few persons were hidden", protected)
	}
}

// TestNotInVain: one version that only one platform has follows from what the platform and the other versions
// have, whatever is hidden; so nothing but its lines is.
func TestNotInVain(t *testing.T) {
	var cells []Cell
	for month := range 12 {
		for i, persons := range []int{2582, 595, 1348, 0} {
			if month == 1 && i == 3 {
				persons = 2
			}
			cells = append(cells, Cell{Key: []string{fmt.Sprint(month), []string{"android", "ios", "web", "android"}[i], []string{"3.1", "3.1", "", "3.2"}[i]}, Persons: min(persons, 11), Size: int64(persons + month)})
		}
	}
	hidden := Inside(cells, 10)
	n := 0
	for _, is := range hidden {
		if is {
			n++
		}
	}
	if !hidden[7] || n > 6 {
		t.Errorf("%d of %d cells are hidden: %v", n, len(cells), hidden)
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
	if have, want := digest.Sum64(), uint64(0x951c409a37eba13c); have != want {
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
