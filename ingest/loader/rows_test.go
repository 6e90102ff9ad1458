package loader

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
)

// TestOrder holds the permutations that a record is made by against the library's sort.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, n := range []int{0, 1, 2, 1000} {
		for _, span := range []int32{1, 5, 100_000} {
			col := &labels{known: map[string]int32{}, dict: texts{ends: []int32{0}}}
			var days []arrow.Date32
			var want []int32
			var without []int32 // rows of sign 0 are left out
			for i := range n {
				col.v = append(col.v, col.code([]byte{byte('a' + r.IntN(26)), byte('a' + r.IntN(2))}))
				days = append(days, arrow.Date32(19_000+r.Int32N(span)))
				if i%7 != 3 {
					without = append(without, int32(i))
				}
				want = append(want, int32(i))
			}
			order := func(a, b int32) int {
				if days[a] != days[b] {
					return int(days[a]) - int(days[b])
				}
				return bytes.Compare(col.dict.value(int(col.v[a])), col.dict.value(int(col.v[b])))
			}
			all := slices.Clone(want)
			for name, rows := range map[string][]int32{"all": nil, "without": without} {
				got := byDay(days, byLabel(col, slices.Clone(rows)))
				if got == nil { // as they are
					got = slices.Clone(all)
				}
				want := slices.Clone(all)
				if rows != nil {
					want = slices.Clone(rows)
				}
				slices.SortStableFunc(want, order)
				if !slices.Equal(got, want) {
					t.Errorf("%d rows of %d days, %s: they come as %v, want %v", n, span, name, got, want)
				}
			}
		}
	}
}
