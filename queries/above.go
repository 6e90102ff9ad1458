package queries

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/warehouse"
)

// aboveAll is the rule, and the note, of shares of cases above 100 %.
const aboveAll = "above-100"

// sharesCases says whether a version tells what part of its cases something holds for: above 100 % its sources
// contradict each other.
func sharesCases(k *kpi.KPI, v *kpi.Version) bool {
	return k.Unit == kpi.Percent && counts(v.Numerator) && counts(v.Denominator) && v.Per == nil
}

// exceeds says whether a cell counts more cases than there are. Where there are none nothing is said: their events may be older
// than the data.
func (c *Cell) exceeds() bool {
	n, ok := c.Numerator.Float()
	d, known := c.Denominator.Float()
	return ok && known && d > 0 && n > d
}

// Figures lets an examiner look at the figures that q answers, too: by month, at shares of cases above 100 %.
func (y *Quality) Figures(q *Queries) { y.figures = q }

// above finds the closed months in which a share of cases is above 100 %. Looked at are those whose numerator and denominator
// are counted in different rows: of the same rows a share is a part by its formula. Figures that are only
// published are not told here.
func (y *Quality) above(ctx context.Context) ([]Finding, error) {
	if y.figures == nil {
		return nil, nil
	}
	var found []Finding
	for _, k := range y.figures.catalogue.All() {
		for i := range k.Versions {
			v := &k.Versions[i]
			if v.Basis != kpi.Events || !sharesCases(k, v) || v.Match != nil || len(v.Sides()) < 2 || y.figures.special(v) {
				continue
			}
			result, err := y.figures.Values(ctx, Request{KPI: k.ID, Variant: v.Variant, Version: v.Version, Grain: Month})
			if problem.KindOf(err) == problem.BadInput || warehouse.NoValue(err) {
				continue // more months than an answer has, or no such figure
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.ID, err)
			}
			side := v.Sides()[slices.IndexFunc(v.Sides(), func(s kpi.Side) bool { return slices.ContainsFunc(v.Numerator.Terms, s.Counts) })]
			c := y.warehouse.Contract(side.From)
			for _, cell := range result.Cells {
				whole := (cell.To + 1).Time().Day() == 1 // the last month ends with the data
				if cell.Open() || !whole || !cell.exceeds() || !v.Valid.Holds(cell.To) {
					continue
				}
				n, _ := cell.Numerator.Float()
				d, _ := cell.Denominator.Float()
				found = append(found, Finding{Source: c.Source, Contract: c.Type, Rule: aboveAll, Severity: Wrong, Period: cell.Period, From: dateOf(cell.From), To: dateOf(cell.To),
					Count: int64(n), Expected: &d, Since: dateOf(cell.From), Owner: cmp.Or(y.owner(c.Source, c), k.Owner), Words: y.wordsOf(c.Source,
						"%s: %s koʻrsatkichi %s davrida 100 %% dan yuqori: %.0f ta holatdan %.0f tasi sanalgan (%.0f %%).",
						"%s: показатель %s за %s выше 100 %%: из случаев (%.0f) засчитано %.0f (%.0f %%).",
						"%s: %s is above 100 %% in %s: of %.0f cases %.0f are counted (%.0f %%).", k.ID, cell.Period, d, n, 100*n/d)})
			}
		}
	}
	return found, nil
}
