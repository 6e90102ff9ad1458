package queries_test

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/disclosure"
	"ombor/warehouse/warehousetest"
)

func values(t *testing.T, q *queries.Queries, r queries.Request) *queries.Result {
	t.Helper()
	result, err := q.Values(context.Background(), r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return result
}

// line is a cell in short: "2024-03 certificate 3/8 37.5 value".
func line(c queries.Cell) string {
	parts := []string{c.Period}
	for _, d := range c.Dims {
		parts = append(parts, d.Value)
	}
	number := string(c.Numerator)
	if c.Denominator != "" {
		number += "/" + string(c.Denominator)
	}
	value := "null"
	if c.Value != nil {
		text, _ := json.Marshal(*c.Value)
		value = string(text)
	}
	parts = append(parts, number, value, string(c.State))
	if c.Open() {
		parts = append(parts, "open")
	}
	return strings.Join(parts, " ")
}

func lines(cells []queries.Cell) string {
	var all []string
	for _, c := range cells {
		all = append(all, line(c))
	}
	return strings.Join(all, "\n")
}

func TestKinds(t *testing.T) {
	f, w, q, rows := loaded(t)

	t.Run("stock", func(t *testing.T) {
		for _, c := range []struct {
			request queries.Request
			want    string
		}{
			// 20 services came until June; s00 to s07 became mobile from May to August; s03 closed, and of s04 it is not known since September.
			{queries.Request{KPI: "services", To: day("2024-01-31")}, "2024-01-31 4 4 value"},
			{queries.Request{KPI: "services"}, "2024-12-10 19 19 value open"},
			{queries.Request{KPI: "mobile-availability", To: day("2024-08-31")}, "2024-08-31 8/20 40 value"},
			{queries.Request{KPI: "mobile-availability", To: day("2024-09-30")}, "2024-09-30 6/19 31.57894736842105 value"},
			// Nobody had told of any service whether it is mobile: not known is not 0 %.
			{queries.Request{KPI: "mobile-availability", To: day("2024-01-31")}, "2024-01-31  null not_provided"},
			{queries.Request{KPI: "services", To: day("2023-12-31")}, "2023-12-31  null not_provided"},
			{queries.Request{KPI: "services", From: day("2024-01-01"), To: day("2024-12-31"), Grain: queries.Quarter},
				"2024-Q1 11 11 value\n2024-Q2 20 20 value\n2024-Q3 19 19 value\n2024-Q4 19 19 value open"},
			{queries.Request{KPI: "services", To: day("2024-06-30"), By: []string{"kind"}}, "2024-06-30 certificate 12 12 value\n2024-06-30 licence 8 8 value"},
			{queries.Request{KPI: "services", To: day("2024-06-30"), Where: map[string][]string{"mobile": {"true"}}}, "2024-06-30 4 4 value"},
			{queries.Request{KPI: "services", KnownOn: day("2024-10-31")}, "2024-12-10  null not_provided open"},
		} {
			if got := lines(values(t, q, c.request).Cells); got != c.want {
				t.Errorf("%+v:\n%s\nwant\n%s", c.request, got, c.want)
			}
		}
		for to, want := range map[string]string{"2024-01-31": "0 of 4 units", "2024-09-30": "6 of 19 units"} {
			result := values(t, q, queries.Request{KPI: "mobile-availability", To: day(to)})
			if result.Coverage == nil || result.Coverage.Words != want || result.Cells[0].Coverage.Words != want {
				t.Errorf("on %s the coverage is %+v, want %s", to, result.Coverage, want)
			}
		}
		for _, c := range []struct {
			request queries.Request
			period  string
			value   float64
		}{
			{queries.Request{KPI: "services", From: day("2024-07-01"), To: day("2024-09-30"), Compare: queries.Previous}, "2024-06-30", 20},
			{queries.Request{KPI: "services", From: day("2024-01-01"), To: day("2024-12-31"), Compare: queries.Previous}, "2023-12-31", math.NaN()},
			{queries.Request{KPI: "services", To: day("2024-03-31"), Compare: queries.Previous}, "2024-02-29", 8},
			{queries.Request{KPI: "services", To: day("2024-03-30"), Compare: queries.Previous}, "2024-02-29", 8},
			{queries.Request{KPI: "services", Compare: queries.Previous}, "2024-11-10", 19}, // today is 10 December
			{queries.Request{KPI: "services", To: day("2024-09-30"), Compare: queries.YearBefore}, "2023-09-30", math.NaN()},
		} {
			got := values(t, q, c.request).Cells[0].Comparison
			if got == nil || got.Period != c.period || (got.Value == nil) != math.IsNaN(c.value) || got.Value != nil && *got.Value != c.value {
				t.Errorf("%+v is held against %+v, want %v on %s", c.request, got, c.value, c.period)
			}
		}
		// The catalogue goes on in September; what is said of June does not.
		through := values(t, q, queries.Request{KPI: "services", From: day("2024-01-01"), To: day("2024-06-30")}).DataThrough
		if want := time.Date(2024, 6, 30, 23, 59, 59, 0, zone); through == nil || !through.Equal(want) {
			t.Errorf("the stock of June has data through %v, want %s", through, want)
		}
	})

	t.Run("reported", func(t *testing.T) {
		for _, c := range []struct {
			request queries.Request
			want    string
		}{
			{queries.Request{KPI: "transactions"}, "2024-04-01/2024-06-30 200 200 value"},
			{queries.Request{KPI: "transactions", From: day("2024-01-01"), To: day("2024-12-31")}, "2024-01-01/2024-06-30 1250 1250 value"},
			{queries.Request{KPI: "transactions", Grain: queries.Window}, "2024-01-01/2024-03-31 1050 1050 value\n2023-07-01/2024-06-30 700 700 value\n2024-04-01/2024-06-30 200 200 value"},
			// The rolling year overlaps the quarters: nothing is added up.
			{queries.Request{KPI: "transactions", From: day("2023-01-01"), To: day("2024-12-31")}, "2024-01-01/2024-03-31 1050 1050 value\n2023-07-01/2024-06-30 700 700 value\n2024-04-01/2024-06-30 200 200 value"},
			{queries.Request{KPI: "transactions", From: day("2024-01-01"), To: day("2024-09-30"), Grain: queries.Quarter}, "2024-Q1 1050 1050 value\n2024-Q2 200 200 value\n2024-Q3  null not_provided"},
			{queries.Request{KPI: "transactions", From: day("2024-04-01"), To: day("2024-06-30"), By: []string{"service"}},
				"2024-04-01/2024-06-30 land  null not_applicable\n2024-04-01/2024-06-30 tax  null not_provided\n2024-04-01/2024-06-30 visa 200 200 value"},
			// Σ digital ÷ Σ volume over those that report both.
			{queries.Request{KPI: "take-up", From: day("2024-01-01"), To: day("2024-03-31")}, "2024-01-01/2024-03-31 60/1000 6 value"},
			{queries.Request{KPI: "take-up", From: day("2024-01-01"), To: day("2024-03-31"), Where: map[string][]string{"service": {"tax"}}}, "2024-01-01/2024-03-31 0/900 0 zero"},
			// Nobody was to report both: that does not apply, though one said that it would not.
			{queries.Request{KPI: "take-up", From: day("2024-04-01"), To: day("2024-06-30"), Where: map[string][]string{"service": {"tax"}}}, "2024-04-01/2024-06-30  null not_applicable"},
			{queries.Request{KPI: "transactions", From: day("2021-01-01"), To: day("2021-12-31")}, "2021-01-01/2021-12-31  null not_provided"},
		} {
			if got := lines(values(t, q, c.request).Cells); got != c.want {
				t.Errorf("%+v:\n%s\nwant\n%s", c.request, got, c.want)
			}
		}
		got := values(t, q, queries.Request{KPI: "take-up", From: day("2024-01-01"), To: day("2024-03-31")}).Coverage
		if got == nil || got.Words != "2 of 3 units" || got.Covered != 2 {
			t.Errorf("coverage %+v, want 2 of 3 units", got)
		}
		compared := values(t, q, queries.Request{KPI: "transactions", From: day("2024-04-01"), To: day("2024-06-30"), Compare: queries.Previous}).Cells[0].Comparison
		if compared.Value == nil || *compared.Value != 1050 || *compared.Difference != -850 || compared.Period != "2024-01-01/2024-03-31" {
			t.Errorf("comparison %+v, want 1050 of the quarter before", compared)
		}
	})

	t.Run("gaps", func(t *testing.T) {
		// Nobody had sent anything in 2022; in 2024 they had, so that nothing is zero.
		result := values(t, q, queries.Request{KPI: "requests", From: day("2022-12-01"), To: day("2022-12-31"), Grain: queries.Month})
		if got := lines(result.Cells); got != "2022-12  null not_provided" {
			t.Errorf("before the first event: %s", got)
		}
		result = values(t, q, queries.Request{KPI: "requests", From: day("2024-11-01"), To: day("2024-12-31"), Grain: queries.Month})
		if got := result.Cells[1]; got.State != queries.NotProvided || !got.Open() {
			t.Errorf("after the last event: %+v", got)
		}
		if got := result.Cells[1].Coverage.Words; got != "0 of 2 sources; missing: mobile (50 % of all rows), portal (50 % of all rows)" {
			if !strings.HasPrefix(got, "0 of 2 sources; missing: mobile (") {
				t.Errorf("coverage is %q", got)
			}
		}
		result = values(t, q, queries.Request{KPI: "guarded-share", From: day("2024-03-01"), To: day("2024-03-31"), Where: map[string][]string{"mobile": {"false"}, "agency": {"justice"}, "region": {"1703"}}, By: []string{"region"}})
		if got := result.Cells[0].State; got != queries.NotApplicable && got != queries.Suppressed {
			t.Errorf("a share of nothing is %s", got)
		}
	})

	t.Run("comparison", func(t *testing.T) {
		for _, grain := range []queries.Grain{queries.Whole, queries.Month, queries.Quarter} {
			for _, how := range []queries.Compare{queries.Previous, queries.YearBefore} {
				result := values(t, q, queries.Request{KPI: "online-share", From: day("2024-04-01"), To: day("2024-09-30"), Grain: grain, By: []string{"region"}, Compare: how})
				for _, c := range result.Cells {
					e := c.Comparison
					from, to := c.From.Time(), c.To.Time().AddDate(0, 0, 1)
					months := (to.Year()-from.Year())*12 + int(to.Month()-from.Month())
					if how == queries.YearBefore {
						months = 12
					}
					old := values(t, q, queries.Request{KPI: "online-share", From: reference.DayOf(from.AddDate(0, -months, 0)), To: reference.DayOf(to.AddDate(0, -months, 0)) - 1, Where: map[string][]string{"region": {c.Dims[0].Value}}}).Cells[0]
					if (e.Value == nil) != (old.Value == nil) || e.Value != nil && *e.Value != *old.Value {
						t.Errorf("%s %s: compared with %v, want %v", how, line(c), e.Value, old.Value)
					}
					if e.Value != nil && c.Value != nil && (*e.Difference != *c.Value-*old.Value || *old.Value != 0 && math.Abs(*e.Change-100*(*c.Value / *old.Value - 1)) > 1e-9) {
						t.Errorf("%s %s: difference %v, change %v", how, line(c), *e.Difference, *e.Change)
					}
				}
				if grain == queries.Whole {
					break
				}
			}
		}
	})

	t.Run("disclosure", func(t *testing.T) {
		k, q := 10, q
		for n, by := range [][]string{{"region"}, {"region", "processing"}, {"agency", "region"}, {"region", "processing"}} { // the third has no rollup
			if n == 3 { // further than the rollups count
				k, q = 14, queries.New(w, f.kpis, f.refs, queries.Options{K: 14, Now: func() time.Time { return now }})
			}
			request := queries.Request{KPI: "guarded-share", From: day("2024-01-01"), To: day("2024-10-31"), Grain: queries.Month, By: by, Compare: queries.Previous}
			result := values(t, q, request)
			var cells []disclosure.Cell
			for _, c := range result.Cells {
				set := map[any]bool{}
				n := int64(0)
				for _, r := range standing(rows, 0) {
					d := r.Day(zone)
					if d < c.From || d > c.To {
						continue
					}
					if slices.ContainsFunc(c.Dims, func(d queries.Dim) bool { return text(r, d.Name) != d.Value }) {
						continue
					}
					n++
					if r.Data["mobile"] == true || r.Data["processing"] == "automatic" {
						set[r.Data["applicant"]] = true // those not told are one person together
					}
				}
				cell := disclosure.Cell{Key: []string{c.Period}, Persons: len(set), Size: n}
				for _, d := range c.Dims {
					cell.Key = append(cell.Key, d.Value)
				}
				cells = append(cells, cell)
			}
			hiddenCells := 0
			for i, c := range result.Cells {
				if p := cells[i].Persons; p > 0 && p < k && c.State != queries.Suppressed {
					t.Errorf("%v %s is shown with %d persons", by, line(c), p)
				}
				if c.State == queries.Suppressed {
					hiddenCells++
					if c.Numerator != "" || c.Denominator != "" || c.Value != nil || c.Cases != nil || c.Comparison.Value != nil || c.Comparison.State != queries.Suppressed {
						t.Errorf("%v: the hidden cell %s still says something", by, line(c))
					}
				}
			}
			if len(by) > 1 && (hiddenCells == 0 || hiddenCells == len(cells)) {
				t.Errorf("%v: %d of %d cells are hidden; the test is about some", by, hiddenCells, len(cells))
			}
		}
	})

	t.Run("plan", func(t *testing.T) {
		for _, c := range []struct {
			request queries.Request
			table   string
		}{
			{queries.Request{KPI: "online-share"}, "__time___source"},
			{queries.Request{KPI: "online-share", By: []string{"region"}}, "__time__region"},
			{queries.Request{KPI: "online-share", By: []string{"processing"}}, "__time__processing__region"},
			{queries.Request{KPI: "online-share", By: []string{"agency"}, Where: map[string][]string{"mobile": {"true"}}}, "__time__mobile__agency"},
			{queries.Request{KPI: "online-share", By: []string{"agency", "region"}}, "facts.request_decided_v1"},
			{queries.Request{KPI: "requests", Grain: queries.Hour, From: day("2024-05-01"), To: day("2024-05-02")}, "__time___source__hour"},
			{queries.Request{KPI: "submitted", By: []string{"region"}}, "__submitted_at__region"},
			{queries.Request{KPI: "highest-fee"}, "facts.request_decided_v1"},
		} {
			c.request.Plan = true
			plan := values(t, q, c.request).Plan
			if !strings.HasSuffix(plan.Table, c.table) || plan.SQL == "" || plan.Why == "" || plan.Rows == 0 {
				t.Errorf("%+v reads %s (%d rows): want %s", c.request, plan.Table, plan.Rows, c.table)
			}
		}
	})

	t.Run("bad input", func(t *testing.T) {
		for _, c := range []struct {
			request queries.Request
			kind    problem.Kind
			field   string
			want    string
		}{
			{queries.Request{KPI: "nothing"}, problem.NotFound, "kpi", "online-share"},
			{queries.Request{KPI: "requests", By: []string{"colour"}}, problem.BadInput, "by", "agency"},
			{queries.Request{KPI: "requests", By: []string{"applicant"}}, problem.BadInput, "by", "agency"},
			{queries.Request{KPI: "requests", By: []string{"request"}}, problem.BadInput, "by", "agency"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"request": {"R-1"}}}, problem.BadInput, "where", "agency"},
			{queries.Request{KPI: "requests", By: []string{"region", "region"}}, problem.BadInput, "by", "twice"},
			{queries.Request{KPI: "requests", Grain: "decade"}, problem.BadInput, "grain", "month"},
			{queries.Request{KPI: "online-share", Grain: queries.Hour}, problem.BadInput, "grain", "day"},
			{queries.Request{KPI: "applicants", Grain: queries.Week}, problem.BadInput, "grain", "month, year"},
			{queries.Request{KPI: "applicants", From: day("2024-01-02"), To: day("2024-02-01")}, problem.BadInput, "grain", "month, year"},
			{queries.Request{KPI: "requests", From: day("2024-05-02"), To: day("2024-05-01")}, problem.BadInput, "to", "before"},
			{queries.Request{KPI: "requests", From: day("2025-05-02")}, problem.BadInput, "from", "after today"},
			{queries.Request{KPI: "requests", KnownOn: day("2025-05-02")}, problem.BadInput, "known_on", "after today"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"region": {"1799"}}}, problem.BadInput, "where", "1703, 1726, 1730"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"processing": {"slow"}}}, problem.BadInput, "where", "officer_online"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"mobile": {"maybe"}}}, problem.BadInput, "where", "true, false"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"agency": {"x' OR '1'='1"}}}, problem.BadInput, "where", "justice"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"colour": {"red"}}}, problem.BadInput, "where", "agency"},
			{queries.Request{KPI: "requests", Where: map[string][]string{"region": {}}}, problem.BadInput, "where", "no value"},
			{queries.Request{KPI: "requests", Compare: "decade"}, problem.BadInput, "compare", "previous, year"},
			{queries.Request{KPI: "requests", Basis: "reported"}, problem.BadInput, "basis", "events"},
			{queries.Request{KPI: "requests", Basis: "guesses"}, problem.BadInput, "basis", "events, reported, stock"},
			{queries.Request{KPI: "requests", Version: 9}, problem.BadInput, "version", "1"},
			{queries.Request{KPI: "requests", Variant: "rival"}, problem.BadInput, "variant", "rival"},
			{queries.Request{KPI: "requests", From: day("1990-01-01"), To: day("2024-01-01"), Grain: queries.Hour}, problem.BadInput, "grain", "100000 cells"},
		} {
			_, err := q.Values(context.Background(), c.request)
			document := problem.DocumentOf(err)
			if err == nil || problem.KindOf(err) != c.kind || document.Field != c.field || !strings.Contains(document.Detail, c.want) {
				t.Errorf("%+v: %v (field %q), want %s in %s with %q", c.request, err, document.Field, c.kind, c.field, c.want)
			}
		}
	})

	t.Run("scorecard", func(t *testing.T) {
		card, err := q.Scorecard(context.Background(), queries.ScorecardRequest{From: day("2024-01-01"), To: day("2024-12-31")})
		if err != nil {
			t.Fatal(err)
		}
		if len(card.Rows) != len(f.kpis) || card.DataThrough == nil || !card.Simulated {
			t.Errorf("%d rows, through %v, simulated %v", len(card.Rows), card.DataThrough, card.Simulated)
		}
		for _, r := range card.Rows {
			if r.Problem != "" || r.Cell == nil || r.Owner != "ministry" {
				t.Errorf("%s: %q, %v", r.KPI, r.Problem, r.Cell)
			}
			if r.Basis != "reported" && len(r.Months) != 13 {
				t.Errorf("%s has %d months", r.KPI, len(r.Months))
			}
			if r.KPI == "mobile-availability" {
				if len(r.Targets) != 1 || r.Targets[0].Status != kpi.Open || math.Abs(*r.Targets[0].Gap-(75-100*6.0/19)) > 1e-9 {
					t.Errorf("target %+v", r.Targets)
				}
			}
		}
		// The row of a KPI says what its own page says, however many were asked together.
		same := func(what string, got, want any) {
			t.Helper()
			a, errA := json.Marshal(got)
			b, errB := json.Marshal(want)
			if errA != nil || errB != nil || string(a) != string(b) {
				t.Errorf("%s:\n%s\nwant\n%s", what, a, b)
			}
		}
		for _, r := range []queries.ScorecardRequest{
			{From: day("2024-01-01"), To: day("2024-09-30")},
			{From: day("2024-02-10"), To: day("2024-09-17"), KnownOn: day("2024-11-20")},
			{From: day("2024-04-01"), To: day("2024-06-30"), Where: map[string][]string{"region": {"1703", "1726"}}},
			{To: day("2024-06-30")},
		} {
			card, err := q.Scorecard(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			if end := r.To.Time().AddDate(0, 0, 1).In(zone); card.DataThrough == nil || card.DataThrough.After(end) {
				t.Errorf("%+v: data through %v", r, card.DataThrough)
			}
			kinds := map[string]int{}
			for _, row := range card.Rows {
				if row.Problem != "" {
					t.Errorf("%+v %s: %s", r, row.KPI, row.Problem)
					continue
				}
				request := queries.Request{KPI: row.KPI, From: r.From, To: r.To, Where: r.Where, KnownOn: r.KnownOn, Compare: queries.Previous}
				trend := queries.Request{KPI: row.KPI, From: reference.DayOf(time.Date(2023, r.To.Time().Month(), 1, 0, 0, 0, 0, time.UTC)),
					To: reference.DayOf(time.Date(2024, r.To.Time().Month()+1, 1, 0, 0, 0, 0, time.UTC)) - 1, Where: r.Where, KnownOn: r.KnownOn, Grain: queries.Month}
				switch {
				case row.Basis == "reported":
					trend.From, trend.To, trend.Grain = 0, r.To, queries.Window
				case row.KPI == "applicants": // told by the last month
					request = trend
				}
				cells := values(t, q, request).Cells
				cell := cells[len(cells)-1]
				if cell.Target != nil { // the row has its targets beside the cell
					i := slices.IndexFunc(row.Targets, func(t queries.TargetStatus) bool { return t.Kind == kpi.Asked })
					if i < 0 {
						t.Errorf("%s: %v is asked of the figure, nothing of its row", row.KPI, *cell.Target)
					} else {
						same(row.KPI+" target", []any{row.Targets[i].Value, row.Targets[i].Status}, []any{cell.Target, cell.Status})
					}
					cell.Target, cell.Status = nil, ""
				}
				same(row.KPI+" whole", row.Cell, cell)
				same(row.KPI+" months", row.Months, values(t, q, trend).Cells)
				kinds[row.Basis]++
			}
			want := map[string]int{}
			for _, k := range f.kpis {
				if v := k.Versions[0]; r.Where == nil || v.Basis == kpi.Events && len(v.From) == 1 { // those that have a region
					want[string(v.Basis)]++
				}
			}
			if !maps.Equal(kinds, want) {
				t.Errorf("%+v has rows of %v, want %v", r, kinds, want)
			}
		}
		card, err = q.Scorecard(context.Background(), queries.ScorecardRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if card.From.String() != "2024-01-01" || card.To.String() != "2024-12-31" {
			t.Errorf("without a period the card is of %s to %s, want the year of the newest event", card.From, card.To)
		}
	})

	t.Run("json", func(t *testing.T) {
		result := values(t, q, queries.Request{KPI: "online-share", From: day("2024-01-01"), To: day("2024-12-31"), Grain: queries.Quarter, By: []string{"region"}, Compare: queries.YearBefore})
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"kpi":"online-share"`, `"from":"2024-01-01"`, `"known_on":null`, `"simulated":true`, `"1703":{"en":"Andijan"`,
			`{"period":"2024-Q1","from":"2024-01-01","to":"2024-03-31","region":"","numerator":`, `"state":"value"`, `"data_through":"2024-`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in\n%.3000s", want, text)
			}
		}
		empty := queries.New(w, nil, nil, queries.Options{})
		if _, err := empty.Values(context.Background(), queries.Request{KPI: "x"}); problem.KindOf(err) != problem.NotFound {
			t.Errorf("an empty catalogue answers %v", err)
		}
	})
}

// TestCoverage counts who was to report: a source that its contract names, silent or not,
// and whoever else has begun.
func TestCoverage(t *testing.T) {
	f := country(t)
	second := *f.decided
	second.Type, second.Major, second.Source, second.Fields = "t.request.decided.v2", 2, "centres", slices.Clone(f.decided.Fields)
	set, err := contract.NewSet("t.", zone, []*contract.Contract{f.decided, &second}, f.refs)
	if err != nil {
		t.Fatal(err)
	}
	one, two := *f.kpis[0], *f.kpis[0]
	one.Versions, two.Versions = slices.Clone(one.Versions), slices.Clone(two.Versions)
	one.Versions[0].From = []string{"request.decided.v1"}
	two.ID, two.Versions[0].From = "both", []string{"request.decided.v1", "request.decided.v2"}
	kpis := []*kpi.KPI{&one, &two}
	w := warehousetest.Open(t, set, kpis)
	q := queries.New(w, kpis, f.refs, queries.Options{Now: func() time.Time { return now }})
	words := func(id, month string) string {
		first := day(month + "-01")
		last := reference.DayOf(first.Time().AddDate(0, 1, -1))
		result := values(t, q, queries.Request{KPI: id, From: first, To: last, Grain: queries.Month})
		if result.Coverage.Words != result.Cells[0].Coverage.Words {
			t.Errorf("%s %s: %q for the cell, %q for the answer", id, month, result.Cells[0].Coverage.Words, result.Coverage.Words)
		}
		return result.Cells[0].Coverage.Words
	}
	if got := words("requests", "2024-01"); got != "0 of 1 sources; missing: portal (nothing received yet)" {
		t.Errorf("before anything came: %s", got)
	}
	var rows []warehousetest.Row
	for i, r := range []struct{ source, day string }{{"simulation/portal", "2024-01-10"}, {"portal", "2024-02-10"}, {"mobile", "2024-02-11"}, {"portal", "2024-03-01"}, {"simulation/portal", "2024-03-02"}, {"simulation/other", "2024-03-03"}} {
		at := day(r.day).Time()
		rows = append(rows, warehousetest.Row{ID: uint64(i + 1), Source: r.source, Simulated: strings.HasPrefix(r.source, "simulation/"), Time: at, Cut: day("2024-11-01"), Batch: 1,
			Data: map[string]any{"processing": "offline", "submitted_at": at}})
	}
	warehousetest.Insert(t, w, f.decided, rows)
	for _, c := range []struct{ kpi, month, want string }{
		{"requests", "2024-01", "the one source; simulated: portal"},
		{"requests", "2024-02", "all 2 sources"},
		{"requests", "2024-03", "2 of 3 sources; simulated: portal in part; missing: mobile (50 % of the rows of 2024-02)"},
		{"requests", "2024-04", "0 of 3 sources; missing: mobile (0 % of the rows of 2024-03), portal (67 % of the rows of 2024-03), simulation/other (33 % of the rows of 2024-03)"},
		{"both", "2024-02", "2 of 3 sources; missing: centres (nothing received yet)"},
	} {
		if got := words(c.kpi, c.month); got != c.want {
			t.Errorf("%s of %s: %q, want %q", c.kpi, c.month, got, c.want)
		}
	}
}

// TestTwoMajorVersions reads two contracts as one series.
func TestTwoMajorVersions(t *testing.T) {
	f := country(t)
	second := *f.decided
	second.Type, second.Major, second.Fields = "t.request.decided.v2", 2, slices.Clone(f.decided.Fields)
	first := *f.decided
	first.Fields = slices.Clone(f.decided.Fields)
	set, err := contract.NewSet("t.", zone, []*contract.Contract{&first, &second}, f.refs)
	if err != nil {
		t.Fatal(err)
	}
	var both []*kpi.KPI
	for _, k := range f.kpis {
		if v := k.Versions[0]; v.Basis == kpi.Events && !v.Split() && v.Match == nil {
			k.Versions[0].From = []string{"request.decided.v1", "request.decided.v2"}
			both = append(both, k)
		}
	}
	w := warehousetest.Open(t, set, both)
	rows := pooled(decidedRows(300, 5))
	var old, young []warehousetest.Row
	for _, r := range rows {
		if r.ID%2 == 0 {
			old = append(old, r)
		} else {
			young = append(young, r)
		}
	}
	warehousetest.Insert(t, w, &first, old)
	warehousetest.Insert(t, w, &second, young)
	q := queries.New(w, both, f.refs, queries.Options{Now: func() time.Time { return now }})
	for _, id := range []string{"requests", "online-share", "fees", "mean-area", "satisfaction", "duration", "applicants", "highest-fee"} {
		for _, by := range [][]string{nil, {"region"}, {"agency", "region"}} {
			result := values(t, q, queries.Request{KPI: id, From: day("2024-01-01"), To: day("2024-12-31"), Grain: queries.Year, By: by})
			for _, c := range result.Cells {
				var mine []warehousetest.Row
				for _, r := range standing(rows, 0) {
					if d := r.Day(zone); d >= c.From && d <= c.To && !slices.ContainsFunc(c.Dims, func(d queries.Dim) bool { return text(r, d.Name) != d.Value }) {
						mine = append(mine, r)
					}
				}
				checkCell(t, id, line(c), c, mine)
			}
		}
	}
	if result := values(t, q, queries.Request{KPI: "guarded-share", From: day("2024-01-01"), To: day("2024-12-31"), By: []string{"region"}}); len(result.Cells) == 0 {
		t.Error("no cells")
	}
}
