package queries

import (
	"context"
	"fmt"
	"slices"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// unpublishedYears is how many calendar years of figures that are not published are kept
// beside the published ones: the one of the newest row, and those before it.
const unpublishedYears = 2

// Unpublished are the figures that belong beside the published ones in kpi_values: of
// open periods, and of versions that are never published. They are the cells of [Queries.Values]
// for people inside, by month, quarter and year, reported ones by their windows, as a whole
// and by the tables that are published, else by every dimension alone; of the two newest
// calendar years. Versions on contracts with special fields are left out: of them there is
// only what was published. A table of more cells than an answer may have is left out too,
// and one whose formula has no value for some event.
func (q *Queries) Unpublished(ctx context.Context) ([]warehouse.Figure, error) {
	var list []warehouse.Figure
	for _, k := range q.catalogue.All() {
		for i := range k.Versions {
			v := &k.Versions[i]
			if q.special(v) {
				continue
			}
			found, err := q.unpublishedOf(ctx, k, v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.ID, err)
			}
			list = append(list, found...)
		}
	}
	return list, nil
}

func (q *Queries) unpublishedOf(ctx context.Context, k *kpi.KPI, v *kpi.Version) ([]warehouse.Figure, error) {
	r := Request{KPI: k.ID, Variant: v.Variant, Version: v.Version}
	qn, err := q.question(ctx, r)
	if err != nil {
		return nil, err
	}
	qn.shared = q.remembered(reference.NoDay)
	src, err := q.sources(ctx, qn)
	if err != nil || src.first == reference.NoDay {
		return nil, err
	}
	tables := v.Published
	if tables == nil {
		tables = [][]string{nil}
		for _, dimension := range v.Dimensions() {
			tables = append(tables, []string{dimension})
		}
	}
	grains, last := []Grain{Window}, qn.today
	r.From, r.To = src.first, qn.today
	if v.Basis != kpi.Reported {
		grains = slices.DeleteFunc([]Grain{Month, Quarter, Year}, func(g Grain) bool { return !slices.Contains(Grains(v, q.calendar.Calendar), g) })
		if v.Basis == kpi.Events {
			last = min(last, src.last)
		}
		r.From, r.To = q.calendar.start(Year, last), q.calendar.after(Year, q.calendar.start(Year, last))-1
		for range unpublishedYears - 1 {
			r.From = q.calendar.start(Year, r.From-1)
		}
		r.From = max(r.From, q.calendar.start(Year, src.first))
	}
	if valid := v.Valid; valid.From != reference.NoDay {
		r.From = max(r.From, valid.From)
	}
	if valid := v.Valid; valid.To != reference.NoDay {
		r.To = min(r.To, valid.To)
	}
	var said []closing
	if publishes(v) {
		if said, err = q.closings(ctx, qn); err != nil {
			return nil, err
		}
	}
	var list []warehouse.Figure
	for _, r.Grain = range grains {
		asked := r
		if publishes(v) {
			asked.From = q.firstOpen(qn, src, said, r)
		}
		for _, asked.By = range tables {
			if asked.From > min(asked.To, last) {
				break
			}
			result, err := q.Values(ctx, asked)
			if problem.KindOf(err) == problem.BadInput || warehouse.NoValue(err) {
				continue // too large, a table that this grain does not have, or no such figure
			}
			if err != nil {
				return nil, err
			}
			for _, c := range result.Cells {
				if c.From <= last && (c.Open() || !publishes(v)) {
					list = append(list, figureOf(v, result, c))
				}
			}
		}
	}
	return list, nil
}

// firstOpen is the first day of the first period of a request that is open; the day after
// all of them when none is.
func (q *Queries) firstOpen(qn *question, src *sources, said []closing, r Request) reference.Day {
	for _, p := range q.calendar.periods(r.Grain, r.From, r.To, q.maxCells) {
		c := Cell{From: p.from, To: p.to}
		if q.settle(qn, src, said, &c); c.Open() {
			return c.From
		}
	}
	return r.To + 1
}

func figureOf(v *kpi.Version, result *Result, c Cell) warehouse.Figure {
	f := warehouse.Figure{KPI: result.KPI, Variant: v.Variant, Version: v.Version, Grain: string(result.Grain), From: c.From, To: c.To, Open: c.Open(), State: string(c.State),
		Value: c.Value, Numerator: string(c.Numerator), Denominator: string(c.Denominator), Cases: c.Cases, Simulated: c.Simulated}
	for _, d := range c.Dims {
		f.By, f.Key = append(f.By, d.Name), append(f.Key, d.Value)
	}
	return f
}
