package queries_test

import (
	"context"
	"encoding/json"
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
	if c.Open {
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
		if got := result.Cells[1]; got.State != queries.NotProvided || !got.Open {
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
		if len(card.Rows) != 16 || card.DataThrough == nil || !card.Simulated {
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
				if len(r.Targets) != 1 || r.Targets[0].Status != kpi.Behind || math.Abs(*r.Targets[0].Gap-(75-100*6.0/19)) > 1e-9 {
					t.Errorf("target %+v", r.Targets)
				}
			}
		}
		if _, err := q.Scorecard(context.Background(), queries.ScorecardRequest{Where: map[string][]string{"region": {"1703"}}}); err != nil {
			t.Error(err)
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
		if k.Versions[0].Basis == kpi.Events {
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
