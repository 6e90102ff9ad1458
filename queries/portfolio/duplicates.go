package portfolio

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// The score of a pair of projects; see [Portfolio.Duplicates].
const (
	nameWeight    = 0.6
	agencyWeight  = 0.2
	budgetWeight  = 0.1
	serviceWeight = 0.1

	closeBudget   = 0.1 // of the larger of the two
	LeastScore    = 0.7 // of the pairs that are listed when nothing else is asked
	fewPairs      = 100_000
	commonestWord = 0.1 // a word in more of the names than this does not make a candidate by itself
)

// Duplicate is a pair of projects that may be one, and why.
type Duplicate struct {
	A          Named    `json:"a"`
	B          Named    `json:"b"`
	Score      float64  `json:"score"`      // 0 to 1
	Name       float64  `json:"name_score"` // likeness of the names, 0 to 1
	SameAgency bool     `json:"same_agency"`
	Budget     bool     `json:"close_budget"`
	Shared     []string `json:"shared"` // services and KPIs that both name
}

// Named is a project by its id and name.
type Named struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Agency string `json:"agency"`
	Status Status `json:"status"`
}

// Duplicates are the pairs of likely duplicates in which at least one of the two fits, the
// likeliest first. Ended projects are not looked at. The score is
//
//	0.6 × likeness of the names + 0.2 same agency + 0.1 close budget + 0.1 a shared service or KPI
//
// The likeness of two names is the Dice coefficient of their trigrams, folded
// ([reference.Fold]: case, apostrophes, spaces); budgets are close when they differ by at
// most a tenth of the larger. least 0 is [LeastScore]. Where more than a hundred thousand pairs would have to be
// looked at, those without a common word of four letters or more that at most a tenth of the names have are left out.
func (p *Portfolio) Duplicates(ctx context.Context, r Request, least float64) ([]Duplicate, error) {
	if least < 0 || least > 1 {
		return nil, problem.New(problem.BadInput, "least %g is not between 0 and 1", least).In("least").
			Also("uz", "least=%g: 0 dan 1 gacha son boʻlishi kerak.", least).
			Also("ru", "least=%g: нужно число от 0 до 1.", least)
	}
	s, fit, err := p.fitting(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.duplicates(fit, cmp.Or(least, LeastScore)), nil
}

func (s *state) duplicates(fit []*project, least float64) []Duplicate {
	in := map[*project]bool{}
	for _, one := range fit {
		in[one] = true
	}
	var all []*project
	words := map[string][]int{}
	var grams [][]string
	for _, one := range s.ordered {
		if one.Status == Ended || one.Name == "" {
			continue
		}
		name := reference.Fold(one.Name)
		for _, word := range slices.Compact(slices.Sorted(slices.Values(strings.Fields(name)))) {
			if len([]rune(word)) >= 4 {
				words[word] = append(words[word], len(all))
			}
		}
		all, grams = append(all, one), append(grams, trigrams(name))
	}
	seen := map[[2]int]bool{}
	var found []Duplicate
	if len(fit)*len(all) <= fewPairs { // of few, every one is looked at
		everyone := make([]int, len(all))
		for i := range everyone {
			everyone[i] = i
		}
		words = map[string][]int{"": everyone}
	}
	most := max(int(commonestWord*float64(len(all))), len(words[""]))
	for _, members := range words {
		if len(members) > most {
			continue
		}
		for i, a := range members {
			for _, b := range members[i+1:] {
				if seen[[2]int{a, b}] || !in[all[a]] && !in[all[b]] {
					continue
				}
				seen[[2]int{a, b}] = true
				if d := likeness(all[a], all[b], grams[a], grams[b]); d.Score >= least {
					found = append(found, d)
				}
			}
		}
	}
	slices.SortFunc(found, func(x, y Duplicate) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), byID(x.A.ID, y.A.ID), byID(x.B.ID, y.B.ID))
	})
	return found
}

func likeness(a, b *project, x, y []string) Duplicate {
	d := Duplicate{A: a.named(), B: b.named(), Shared: []string{}}
	d.Name = dice(x, y)
	d.Score = nameWeight * d.Name
	if d.SameAgency = a.Agency == b.Agency && a.Agency != ""; d.SameAgency {
		d.Score += agencyWeight
	}
	if m, n := a.Money.Budgeted, b.Money.Budgeted; m != nil && n != nil {
		large, small := float64(max(*m, *n)), float64(min(*m, *n))
		if d.Budget = large > 0 && large-small <= closeBudget*large; d.Budget {
			d.Score += budgetWeight
		}
	}
	for _, one := range slices.Concat(a.Services, a.Serves) {
		if slices.Contains(b.Services, one) || slices.Contains(b.Serves, one) {
			d.Shared = append(d.Shared, one)
		}
	}
	if len(d.Shared) > 0 {
		d.Score += serviceWeight
	}
	return d
}

func (p *project) named() Named { return Named{p.ID, p.Name, p.Agency, p.Status} }

// trigrams are the different runs of three letters of a text with a space on either side, sorted.
func trigrams(text string) []string {
	letters := []rune(" " + text + " ")
	var list []string
	for i := 0; i+3 <= len(letters); i++ {
		list = append(list, string(letters[i:i+3]))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// dice is twice what two sorted sets share over what they have together.
func dice(a, b []string) float64 {
	if len(a)+len(b) == 0 {
		return 0
	}
	shared, i, j := 0, 0, 0
	for i < len(a) && j < len(b) {
		switch strings.Compare(a[i], b[j]) {
		case 0:
			shared, i, j = shared+1, i+1, j+1
		case -1:
			i++
		default:
			j++
		}
	}
	return 2 * float64(shared) / float64(len(a)+len(b))
}
