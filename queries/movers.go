package queries

import (
	"context"
	"math/big"

	"ombor/internal/reference"
)

// Movers are the values of a dimension that moved a figure most between two periods: what
// each adds to the change, by who reported, by how much it was used and by itself together.
type Movers struct {
	KPI       string                                `json:"kpi"`
	Title     reference.Names                       `json:"title"`
	Unit      string                                `json:"unit"`
	Direction string                                `json:"direction"`
	By        []string                              `json:"by"`
	Where     map[string][]string                   `json:"where"`
	KnownOn   Date                                  `json:"known_on"`
	Before    WhyPeriod                             `json:"before"`
	Now       WhyPeriod                             `json:"now"`
	Change    Number                                `json:"change"`
	Movers    []Contribution                        `json:"movers"` // most first, either way
	Others    Number                                `json:"others"` // all others together; with Movers it adds up to Change
	Names     map[string]map[string]reference.Names `json:"names,omitempty"`
	Simulated bool                                  `json:"simulated"`
	Notes     []string                              `json:"notes"`          // as in a Result, like Said
	Said      []Note                                `json:"said,omitempty"` //
}

// Movers tells which units moved a figure most; Largest is how many, 0 is 10. It refuses
// what [Queries.Why] does.
func (q *Queries) Movers(ctx context.Context, r WhyRequest) (*Movers, error) {
	c, err := q.change(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Largest == 0 {
		r.Largest = 10
	}
	sum := func(u *unit) *big.Rat {
		total := new(big.Rat)
		for _, p := range u.parts {
			total.Add(total, p)
		}
		return total
	}
	var list []*unit
	rest := new(big.Rat)
	for _, u := range c.units {
		rest.Add(rest, sum(u))
		if !u.hidden && sum(u).Sign() != 0 {
			list = append(list, u)
		}
	}
	largest := most(list, r.Largest, sum)
	var exact []*big.Rat
	for _, u := range largest {
		exact = append(exact, sum(u))
		rest.Sub(rest, sum(u))
	}
	shown := c.round(c.moved, append(exact, rest))
	w := c.why
	m := &Movers{KPI: w.KPI, Title: w.Title, Unit: w.Unit, Direction: w.Direction, By: w.By, Where: w.Where, KnownOn: w.KnownOn, Before: w.Before, Now: w.Now, Change: w.Change,
		Movers: []Contribution{}, Others: shown[len(largest)].number(c.digits), Names: w.Names, Simulated: w.Simulated, Notes: w.Notes, Said: w.Said}
	for i, u := range largest {
		m.Movers = append(m.Movers, c.contribution(u, shown[i]))
	}
	return m, nil
}
