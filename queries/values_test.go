package queries_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"
	"time"

	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// standing is the plain reading of the ledger: for every root event, the rows that were
// not taken back by what was received up to a day (0: everything).
func standing(rows []warehousetest.Row, knownOn reference.Day) []warehousetest.Row {
	type id struct {
		id  uint64
		rev uint32
	}
	gone := map[id]bool{}
	for _, r := range rows {
		if r.Sign < 0 && (knownOn == 0 || r.Cut <= knownOn) {
			gone[id{r.ID, r.Rev}] = true
		}
	}
	var live []warehousetest.Row
	for _, r := range rows {
		if r.Sign >= 0 && !gone[id{r.ID, r.Rev}] && (knownOn == 0 || r.Cut <= knownOn) {
			live = append(live, r)
		}
	}
	return live
}

func text(r warehousetest.Row, field string) string {
	if field == "_source" {
		return r.Source
	}
	switch v := r.Data[field].(type) {
	case string:
		return v
	case bool:
		return fmt.Sprint(v)
	}
	return ""
}

// plain computes a KPI of the test pack from rows: numerator, denominator (NaN: none)
// and value (NaN: no cases).
func plain(id string, rows []warehousetest.Row) (numerator, denominator, value float64) {
	numerator, denominator = 0, math.NaN()
	count := func(ok func(warehousetest.Row) bool) (n float64) {
		for _, r := range rows {
			if ok(r) {
				n++
			}
		}
		return n
	}
	sum := func(field string, ok func(warehousetest.Row) bool) (n float64) {
		for _, r := range rows {
			if v, told := r.Data[field].(int); told && ok(r) {
				n += float64(v)
			}
		}
		return n
	}
	all := func(warehousetest.Row) bool { return true }
	has := func(field string) func(warehousetest.Row) bool {
		return func(r warehousetest.Row) bool { return r.Data[field] != nil }
	}
	scale := 1.0
	switch id {
	case "requests", "submitted":
		numerator = count(all)
	case "online-share":
		numerator, denominator, scale = count(func(r warehousetest.Row) bool { return r.Data["processing"] != "offline" }), count(all), 100
	case "guarded-share":
		numerator, denominator, scale = count(func(r warehousetest.Row) bool { return r.Data["processing"] == "automatic" }), count(func(r warehousetest.Row) bool { return r.Data["mobile"] == true }), 100
	case "fees":
		numerator = sum("fee", all)
		return numerator, denominator, numerator / 100
	case "mean-area":
		ok := func(r warehousetest.Row) bool { return r.Data["area"] != nil && r.Data["processing"] != "offline" }
		numerator, denominator = math.Round(sum("area", ok))/100, count(ok)
	case "satisfaction":
		numerator, denominator, scale = sum("score", all)-count(has("score")), 4*count(has("score")), 100
	case "mornings":
		numerator = count(func(r warehousetest.Row) bool { return r.Time.In(zone).Hour() < 12 })
	case "odd":
		numerator = sum("numerator", all)
	case "applicants":
		set := map[any]bool{}
		for _, r := range rows {
			if r.Data["applicant"] != nil {
				set[r.Data["applicant"]] = true
			}
		}
		numerator = float64(len(set))
	case "highest-fee":
		numerator = math.NaN()
		for _, r := range rows {
			if v, ok := r.Data["fee"].(int); ok && !(numerator >= float64(v)) {
				numerator = float64(v)
			}
		}
		return numerator, denominator, numerator
	default:
		panic(id)
	}
	if math.IsNaN(denominator) {
		return numerator, denominator, numerator
	}
	if denominator == 0 {
		return numerator, 0, math.NaN()
	}
	return numerator, denominator, scale * numerator / denominator
}

// median and p90 by NumPy's default.
func quantile(values []float64, q float64) float64 {
	sort.Float64s(values)
	rank := q * float64(len(values)-1)
	low := int(rank)
	high := min(low+1, len(values)-1)
	return values[low] + (values[high]-values[low])*(rank-float64(low))
}

func label(g queries.Grain, d reference.Day, hour int) string {
	t := d.Time()
	switch g {
	case queries.Hour:
		return fmt.Sprintf("%sT%02d", d, hour)
	case queries.Day:
		return d.String()
	case queries.Week:
		y, w := t.ISOWeek()
		return fmt.Sprintf("%d-W%02d", y, w)
	case queries.Month:
		return t.Format("2006-01")
	case queries.Quarter:
		return fmt.Sprintf("%d-Q%d", t.Year(), (int(t.Month())+2)/3)
	case queries.Year:
		return t.Format("2006")
	case queries.Fiscal:
		y := t.Year()
		if t.Month() < 4 {
			y--
		}
		return fmt.Sprintf("%d-04-01/%d-03-31", y, y+1)
	case queries.School:
		for _, quarter := range schoolQuarters {
			if d >= quarter.Valid.From && d <= quarter.Valid.To {
				return quarter.Code
			}
		}
	}
	return ""
}

// TestEveryFigureEqualsAPlainComputation asks for every KPI on events in many ways and
// holds each cell against a loop over the rows.
func TestEveryFigureEqualsAPlainComputation(t *testing.T) {
	_, _, q, rows := loaded(t)
	ctx := context.Background()
	grains := []queries.Grain{queries.Whole, queries.Day, queries.Week, queries.Month, queries.Quarter, queries.Year, queries.Fiscal, queries.School}
	breakdowns := [][]string{nil, {"region"}, {"processing", "region"}, {"mobile"}, {"_source"}, {"region", "agency", "mobile"}}
	wheres := []map[string][]string{nil, {"region": {"1703", "Fargʻona viloyati"}}, {"agency": {"health's", `back\slash`}, "mobile": {"true"}}}
	checked := 0
	for _, id := range []string{"requests", "online-share", "fees", "mean-area", "satisfaction", "mornings", "submitted", "odd", "highest-fee", "duration", "applicants"} {
		for n, grain := range grains {
			for m, by := range breakdowns {
				if (n+m)%2 == 1 && by != nil {
					continue // half of the combinations are enough to meet each with each
				}
				where := wheres[(n+m)%len(wheres)]
				request := queries.Request{KPI: id, From: day("2024-01-15"), To: day("2024-11-20"), Grain: grain, By: by, Where: where, Plan: true}
				if (n+m)%4 == 0 {
					request.KnownOn = day("2024-08-01")
				}
				if id == "applicants" {
					if grain != queries.Month && grain != queries.Year {
						continue
					}
					request.From, request.To = day("2024-01-01"), day("2024-12-31")
				}
				if id == "requests" && grain == queries.Day {
					request.Grain = queries.Hour
					request.To = day("2024-02-20")
				}
				result, err := q.Values(ctx, request)
				if err != nil {
					t.Fatalf("%s by %s %v: %v", id, grain, by, err)
				}
				groups := map[string][]warehousetest.Row{}
				for _, r := range standing(rows, request.KnownOn) {
					at := r.Time
					if id == "submitted" {
						at = r.Data["submitted_at"].(time.Time)
					}
					at = at.In(zone)
					d := reference.DayOf(at)
					if d < request.From || d > request.To || !fits(r, where) {
						continue
					}
					key := label(request.Grain, d, at.Hour())
					if key == "" && request.Grain == queries.School {
						continue // holidays
					}
					for _, b := range by {
						key += "|" + text(r, b)
					}
					groups[key] = append(groups[key], r)
				}
				seen := 0
				for _, c := range result.Cells {
					key := c.Period
					if request.Grain == queries.Whole {
						key = ""
					}
					for _, d := range c.Dims {
						key += "|" + d.Value
					}
					rows := groups[key]
					if len(rows) > 0 {
						seen++
					}
					if c.State == queries.NotProvided {
						if len(rows) > 0 {
							t.Errorf("%s by %q %v %s: %s with %d rows", id, grain, by, key, c.State, len(rows))
						}
						continue
					}
					checkCell(t, id, key, c, rows)
					checked++
				}
				if seen != len(groups) {
					t.Errorf("%s by %q %v: %d of %d groups are in the answer\n%s", id, grain, by, seen, len(groups), result.Plan.SQL)
				}
			}
		}
	}
	if checked < 5000 {
		t.Errorf("only %d cells were checked", checked)
	}
}

func fits(r warehousetest.Row, where map[string][]string) bool {
	for dimension, values := range where {
		if dimension == "region" {
			values = []string{"1703", "1730"}
		}
		if !slices.Contains(values, text(r, dimension)) {
			return false
		}
	}
	return true
}

func checkCell(t *testing.T, id, key string, c queries.Cell, rows []warehousetest.Row) {
	t.Helper()
	if id == "duration" {
		var hours []float64
		for _, r := range rows {
			if r.Data["processing"] != "offline" {
				hours = append(hours, float64(r.Time.Sub(r.Data["submitted_at"].(time.Time)).Milliseconds())/3600000)
			}
		}
		if len(hours) == 0 {
			if c.State != queries.NotApplicable || c.Reason != "no_cases" {
				t.Errorf("%s %s: %s %s, want no cases", id, key, c.State, c.Reason)
			}
			return
		}
		for i, q := range []float64{0.5, 0.9} {
			want := quantile(hours, q)
			if len(c.Quantiles) != 2 || math.Abs(c.Quantiles[i].Value-want) > 0.0101*want || *c.Cases != int64(len(hours)) || *c.Value != c.Quantiles[0].Value {
				t.Errorf("%s %s: %+v of %d, want quantile %g within 1 %% of %g of %d", id, key, c.Quantiles, *c.Cases, q, want, len(hours))
			}
		}
		return
	}
	numerator, denominator, value := plain(id, rows)
	if got, ok := c.Numerator.Float(); ok != !math.IsNaN(numerator) || ok && got != numerator {
		t.Errorf("%s %s: numerator %q, want %v", id, key, c.Numerator, numerator)
	}
	if got, ok := c.Denominator.Float(); ok != !math.IsNaN(denominator) || ok && got != denominator {
		t.Errorf("%s %s: denominator %q, want %v", id, key, c.Denominator, denominator)
	}
	switch {
	case math.IsNaN(value):
		if c.Value != nil || c.State != queries.NotApplicable {
			t.Errorf("%s %s: %v %s, want not_applicable", id, key, c.Value, c.State)
		}
	case value == 0:
		if c.State != queries.Zero || c.Value == nil || *c.Value != 0 {
			t.Errorf("%s %s: %v %s, want zero", id, key, c.Value, c.State)
		}
	default:
		if c.State != queries.HasValue || c.Value == nil || math.Abs(*c.Value-value) > 1e-12*math.Abs(value) {
			t.Errorf("%s %s: %v %s, want %v", id, key, c.Value, c.State, value)
		}
	}
}

// A formula whose parts count different contracts, or one by different dates, gives what
// its parts give.
func TestSides(t *testing.T) {
	_, _, q, _ := loaded(t)
	year := queries.Request{From: day("2024-01-01"), To: day("2024-11-30")}
	for _, shape := range []struct {
		grain queries.Grain
		by    []string
	}{{queries.Whole, nil}, {queries.Month, nil}, {queries.Month, []string{"region"}}, {queries.Whole, []string{"agency"}}} {
		ask := func(id string) map[string]queries.Cell {
			r := year
			r.KPI, r.Grain, r.By = id, shape.grain, shape.by
			cells := map[string]queries.Cell{}
			for _, c := range values(t, q, r).Cells {
				key := c.Period
				for _, d := range c.Dims {
					key += " " + d.Value
				}
				cells[key] = c
			}
			return cells
		}
		both, automatic, submitted := ask("automatic-per-submitted"), ask("automatic"), ask("submitted")
		if len(both) == 0 {
			t.Fatalf("%v: no cells", shape)
		}
		for key, c := range both {
			zero := func(n queries.Number) queries.Number {
				if n == "" {
					return "0"
				}
				return n
			}
			if c.Numerator != zero(automatic[key].Numerator) || c.Denominator != zero(submitted[key].Numerator) {
				t.Errorf("%v %s: %s/%s, and its parts are %s and %s", shape, key, c.Numerator, c.Denominator, automatic[key].Numerator, submitted[key].Numerator)
			}
		}
	}
	r := year
	r.KPI, r.Plan = "area-less-changes", true
	result := values(t, q, r)
	r.KPI = "mean-area"
	area, changes := 0.0, 0.0
	for _, row := range standing(shared.rows, 0) {
		if v, ok := row.Data["area"].(int); ok && reference.DayOf(row.Time.In(zone)) >= day("2024-01-01") && reference.DayOf(row.Time.In(zone)) <= day("2024-11-30") {
			area += float64(v)
		}
	}
	for _, row := range changedRows() {
		if reference.DayOf(row.Time.In(zone)) >= day("2024-01-01") {
			changes++
		}
	}
	if want := area/100 - 2*changes; len(result.Cells) != 1 || result.Cells[0].Value == nil || math.Abs(*result.Cells[0].Value-want) > 1e-9 {
		t.Errorf("area less changes is %v, want %v\n%s", lines(result.Cells), want, result.Plan.SQL)
	}
}

// A match is true once for a row, however many rows of the other contract go with it, and
// follows what stands: of both contracts, on the day asked for.
func TestMatch(t *testing.T) {
	_, _, q, rows := loaded(t)
	for _, knownOn := range []reference.Day{0, day("2024-06-30")} {
		live := standing(rows, knownOn)
		for _, region := range []string{"", "1726"} {
			numerator, denominator := 0, 0
			for _, r := range live {
				d := reference.DayOf(r.Time.In(zone))
				if r.Data["applicant"] == nil || d < day("2024-01-01") || d > day("2024-05-31") || region != "" && r.Data["region"] != region {
					continue
				}
				denominator++
				if slices.ContainsFunc(live, func(o warehousetest.Row) bool {
					return o.Data["applicant"] == r.Data["applicant"] && o.Data["processing"] != "offline" && o.Data["submitted_at"].(time.Time).Before(r.Data["submitted_at"].(time.Time))
				}) {
					numerator++
				}
			}
			request := queries.Request{KPI: "known-applicants", From: day("2024-01-01"), To: day("2024-05-31"), KnownOn: knownOn, Plan: true}
			if region != "" {
				request.Where = map[string][]string{"region": {region}}
			}
			result := values(t, q, request)
			if c := result.Cells[0]; string(c.Numerator) != fmt.Sprint(numerator) || string(c.Denominator) != fmt.Sprint(denominator) || numerator == 0 || numerator == denominator {
				t.Errorf("known on %v, region %q: %s, want %d/%d\n%s", knownOn, region, line(c), numerator, denominator, result.Plan.SQL)
			}
		}
	}
	// s00 to s07 have been mobile, s03 is closed, and of s04 it is not known any more.
	for to, want := range map[string]string{"2024-06-30": "2024-06-30 4/20 20 value", "2024-09-30": "2024-09-30 7/19 36.8421052631579 value"} {
		if got := lines(values(t, q, queries.Request{KPI: "once-mobile", To: day(to)}).Cells); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// What is made of several contracts is still arriving while they are being loaded; what is
// made of one is as it was.
func TestArriving(t *testing.T) {
	f, w, _, _ := loaded(t)
	loading := true
	q := queries.New(w, f.kpis, f.refs, queries.Options{Now: func() time.Time { return now }, Arriving: func() bool { return loading }})
	for _, loading = range []bool{true, false} {
		for id, several := range map[string]bool{"automatic-per-submitted": true, "automatic": false, "known-applicants": false} {
			r := values(t, q, queries.Request{KPI: id, From: day("2024-03-01"), To: day("2024-03-31")})
			said := slices.ContainsFunc(r.Said, func(n queries.Note) bool { return n.Key == "being-loaded" })
			if c := r.Cells[0]; c.Open() != (several && loading) || said != c.Open() || c.Closed.Set == c.Open() {
				t.Errorf("%s while loading %t: open %t, closed %v, said %t", id, loading, c.Open(), c.Closed, said)
			}
		}
	}
}
