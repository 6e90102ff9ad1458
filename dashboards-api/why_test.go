package dashboards

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestWhy asks for explanations over HTTP, in JSON and as a table, and holds them against
// the document.
func TestWhy(t *testing.T) {
	h, check := real(t), newChecker(t)
	const quarter = "from=2023-04-01&to=2023-06-30"
	for _, c := range []struct{ target, schema string }{
		{"/v1/kpis/digital-share/why?" + quarter + "&by=department", "Why"},
		{"/v1/kpis/digital-share/why?" + quarter, "Why"},
		{"/v1/kpis/cases/why?" + quarter + "&by=channel,department&before_from=2023-01-01&before_to=2023-02-28&largest=1", "Why"},
		{"/v1/kpis/digital-share/movers?" + quarter + "&by=channel&where=" + url.QueryEscape("department=PWDx"), "Movers"},
		{"/v1/kpis/digital-share/sql?" + quarter + "&grain=month&by=channel", "SQL"},
		{"/v1/kpis/close-hours/sql", "SQL"},
		{"/v1/kpis/cases/values?" + quarter + "&by=department&compare=national", "Values"},
	} {
		response, body := answerOf(t, h, c.target)
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", c.target, response.Status, body)
			continue
		}
		check.check(c.target, c.schema, body)
	}
	for _, c := range []struct{ target, says string }{
		{"/v1/kpis/close-hours/why?" + quarter, "is a quantile"},
		{"/v1/kpis/close-hours/movers?" + quarter, "is a quantile"},
		{"/v1/kpis/cases/why?from=2023-01-01&to=2023-01-31", "was not reported for"},
		{"/v1/kpis/cases/why?" + quarter + "&largest=0", "1 to 1000"},
		{"/v1/kpis/cases/why?" + quarter + "&before_from=yesterday", "2024-12-31"},
		{"/v1/kpis/cases/why?" + quarter + "&before_from=1500-01-01&before_to=2023-02-28", `"field":"before_from"`},
		{"/v1/kpis/cases/why?from=2023-04-01&to=2023-06-30&before_from=2023-01-01&before_to=2023-04-01", `"field":"before_to"`},
		{"/v1/kpis/cases/why?from=2023-04-01&to=2023-06-30&before_from=2023-06-30&before_to=2023-07-31", `"field":"before_to"`},
		{"/v1/kpis/cases/values?from=1500-01-01", `from=1500-01-01 is outside 1900-01-01 to 2149-06-05`},
		{"/v1/kpis/cases/values?to=0000-01-01", `"field":"to"`},
		{"/v1/scorecard?to=2149-06-06", `"field":"to"`},
		{"/v1/changes?since=1899-12-31T10:00:00Z", `"field":"since"`},
		{"/v1/kpis/cases/why?" + quarter + "&by=weather", "department"},
		{"/v1/kpis/cases/sql?compare=previous", "allowed are"},
		{"/v1/kpis/cases/sql?where=" + url.QueryEscape("department=' OR 1=1 --"), "PWDx"},
	} {
		response, body := answerOf(t, h, c.target)
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s %s", c.target, response.Status, body)
		}
		check.check(c.target, "Problem", body)
		if !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %s does not say %q", c.target, body, c.says)
		}
	}
	_, table := answerOf(t, h, "/v1/kpis/cases/why?from=2023-04-01&to=2023-06-30&by=department&before_from=2023-01-01&before_to=2023-02-28&format=csv")
	if want := "kpi,before_period,now_period,unit_of_value,part,department,kind,change,before,now\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,appeared,,all,0,,\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,appeared,,others,0,,\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,gone,,all,0,,\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,gone,,others,0,,\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,same,,all,8,,\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,same,'=INFO,both,4,8,12\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,same,PWDx,both,4,8,12\n" +
		"cases,2023-01-01/2023-02-28,2023-04-01/2023-06-30,count,same,,others,0,,\n"; strings.ReplaceAll(strings.TrimPrefix(string(table), "\ufeff"), "\r\n", "\n") != want {
		t.Errorf("the table is\n%s\nwant\n%s", table, want)
	}
}

// TestNational holds a part against the whole beside it.
func TestNational(t *testing.T) {
	h := real(t)
	for _, c := range []struct {
		target string
		want   []float64 // value and the whole's, cell by cell
	}{
		{"/v1/kpis/cases/values?from=2023-04-01&to=2023-04-30&by=department&compare=national", []float64{4, 8, 4, 8}},
		{"/v1/kpis/cases/values?from=2023-04-01&to=2023-05-31&grain=month&compare=national&where=" + url.QueryEscape("department=PWDx"), []float64{4, 8, 4, 8}},
		{"/v1/kpis/cases/values?from=2023-04-01&to=2023-04-30&by=channel&compare=national&where=" + url.QueryEscape("department=PWDx"), []float64{2, 3, 2, 5}},
		{"/v1/kpis/cases/values?from=2023-04-01&to=2023-04-30&by=department&compare=national&where=" + url.QueryEscape("department=PWDx"), []float64{4, 8}},
	} {
		_, body := answerOf(t, h, c.target)
		var answer struct {
			Cells []struct {
				Value      float64
				Comparison struct{ Value float64 }
			}
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			t.Fatalf("%s: %v: %s", c.target, err, body)
		}
		var got []float64
		for _, cell := range answer.Cells {
			got = append(got, cell.Value, cell.Comparison.Value)
		}
		if len(got) != len(c.want) {
			t.Fatalf("%s: %v, want %v", c.target, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", c.target, got, c.want)
				break
			}
		}
	}
}
