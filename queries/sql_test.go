package queries_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestSQLGivesTheSameFigures runs, for every KPI and variant of the embedded pack, the query
// that an analyst is given, and holds every figure against the API's: of the whole half
// year by month and main dimension, and for one value of that as it was known earlier.
func TestSQLGivesTheSameFigures(t *testing.T) {
	n := halfYear(t)
	q := queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{Targets: n.pack.Targets, K: 5, Now: func() time.Time { return askedOn.Time().Add(12 * time.Hour) }})
	cells, refused := 0, 0
	for _, k := range n.pack.KPIs {
		t.Run(k.ID, func(t *testing.T) {
			for _, variant := range k.Variants() {
				v, err := k.Select(variant, 0, n.to)
				if err != nil {
					t.Fatal(err)
				}
				whole := queries.Request{KPI: k.ID, Variant: variant, From: n.from, To: n.to}
				if v.Distinct != nil || n.special(v) { // whole calendar periods alone
					whole.From, whole.To = day("2024-07-01"), day("2024-09-30")
				}
				earlier := whole
				earlier.KnownOn = day("2024-12-10")
				requests := []queries.Request{earlier}
				if !n.special(v) {
					byMonth := whole
					byMonth.Grain = queries.Month
					if d := mainDimension(v); d != "" {
						byMonth.By = []string{d}
						if value := commonest(t, q, byMonth); value != "" {
							requests[0].Where = map[string][]string{d: {value}}
						}
					}
					requests = append(requests, byMonth)
				}
				for _, r := range requests {
					answer, err := q.SQL(context.Background(), r)
					if problem.KindOf(err) == problem.BadInput && strings.Contains(err.Error(), "analysts see no rows") {
						if !n.special(v) {
							t.Errorf("%+v: %v", r, err)
						}
						refused++
						continue
					}
					if err != nil && strings.Contains(err.Error(), "nothing was reported") {
						if cells := values(t, q, r).Cells; slices.ContainsFunc(cells, func(c queries.Cell) bool { return c.Value != nil }) {
							t.Errorf("%+v: the API tells %d cells, SQL nothing", r, len(cells))
						}
						continue
					}
					if err != nil {
						t.Fatalf("%+v: %v", r, err)
					}
					cells += sameFigures(t, n.w, r, askedOn, answer, values(t, q, r))
				}
			}
		})
	}
	t.Logf("%d cells are the same; %d questions have no rows for analysts", cells, refused)
	if cells < 2000 {
		t.Errorf("only %d cells were compared", cells)
	}
	if refused == 0 {
		t.Error("no KPI was refused, so none reads anything special")
	}
}

// commonest is the value of a request's dimension behind most rows; "" without any.
func commonest(t *testing.T, q *queries.Queries, r queries.Request) (value string) {
	t.Helper()
	most := int64(0)
	for _, c := range values(t, q, r).Cells {
		if c.Cases != nil && *c.Cases > most && c.Dims[0].Value != "" {
			most, value = *c.Cases, c.Dims[0].Value
		}
	}
	return value
}

// sameFigures runs the query and counts the cells that it gives as the API does.
func sameFigures(t *testing.T, w *warehouse.Warehouse, r queries.Request, today reference.Day, answer *queries.SQL, result *queries.Result) (same int) {
	t.Helper()
	rows := map[string]map[string]any{}
	for _, row := range run(t, w, answer.SQL) {
		key := ""
		if period, ok := row["Period"]; ok {
			key = fmt.Sprint(period)
		}
		if hour, ok := row["Hour"]; ok {
			key += fmt.Sprintf("T%v", hour)
		}
		for _, d := range r.By {
			key += "|" + fmt.Sprint(row[queries.DimensionColumn(d)])
		}
		if rows[key] != nil {
			t.Errorf("%+v: two rows for %s\n%s", r, key, answer.SQL)
		}
		rows[key] = row
	}
	fail := func(key string, c queries.Cell, row map[string]any) {
		t.Helper()
		value := "none"
		if c.Value != nil {
			value = fmt.Sprint(*c.Value)
		}
		t.Errorf("%+v\n%s: the API tells %s ÷ %s = %s of %s, the query %v\n%s", r, key, c.Numerator, c.Denominator, value, c.State, row, answer.SQL)
	}
	told := map[string]bool{}
	for _, c := range result.Cells {
		key := ""
		switch {
		case result.Basis == string(kpi.Reported):
			key = c.Period
		case result.Basis == string(kpi.Stock):
			key = min(c.To, today).String()
		case result.Grain == queries.Hour:
			key = strings.Replace(c.Period, "T0", "T", 1)
		case result.Grain == queries.Week:
			key = (c.From - reference.Day((c.From.Time().Weekday()+6)%7)).String() // the first week may be cut
		case result.Grain == queries.Fiscal:
			key = c.Period[:10]
		case result.Grain == queries.Year:
			key = c.Period + "-01-01"
		case result.Grain != queries.Whole:
			key = c.From.String()
		}
		for _, d := range c.Dims {
			key += "|" + d.Value
		}
		row := rows[key]
		told[key] = true // of a stock, days to come are told by today's row
		if c.State == queries.Suppressed {
			continue
		}
		if row == nil {
			if c.Cases != nil && *c.Cases > 0 {
				fail(key, c, row)
			}
			continue
		}
		tolerance := 1e-12
		if !answer.Exact {
			tolerance = answer.Error / 100
		}
		value, has := row["Value"].(float64)
		if c.Value != nil && (!has || math.Abs(value-*c.Value) > tolerance*math.Abs(*c.Value)+1e-9) || c.Value == nil && has && c.State == queries.HasValue {
			fail(key, c, row)
			continue
		}
		for column, want := range map[string]queries.Number{"Numerator": c.Numerator, "Denominator": c.Denominator} {
			want, wanted := want.Float()
			got, has := row[column].(float64)
			if wanted && (!has || got != want) {
				fail(key, c, row)
			}
		}
		same++
	}
	for key, row := range rows {
		if n, _ := row["Cases"].(float64); n > 0 && !told[key] {
			t.Errorf("%+v: the query tells of %s, the API does not: %v\n%s", r, key, row, answer.SQL)
		}
	}
	return same
}

// run is what a statement gives, numbers as numbers.
func run(t *testing.T, w *warehouse.Warehouse, sql string) []map[string]any {
	t.Helper()
	rows, err := ask(w, sql)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return rows
}

func ask(w *warehouse.Warehouse, sql string) (rows []map[string]any, err error) {
	body, err := w.Raw(context.Background(), sql+"\nSETTINGS output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 0", nil, "JSONEachRow")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	decoder := json.NewDecoder(bufio.NewReader(body))
	for {
		var row map[string]any
		if err := decoder.Decode(&row); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}

// TestSQLDoesNotWrap: sums of the largest fees that the door takes are those of the API, in 38 digits.
func TestSQLDoesNotWrap(t *testing.T) {
	f := country(t)
	w := warehousetest.Open(t, f.set, f.kpis)
	rows := pooled(decidedRows(1500, 3))
	for _, r := range rows {
		r.Data["fee"], r.Data["numerator"] = 1<<53-1, 1<<53-1
	}
	warehousetest.Insert(t, w, f.decided, rows)
	figures := figureRows()[:1]
	for i := range uint64(1500) {
		one := figures[0]
		one.ID, one.Seq, one.Data = one.ID+i, one.Seq+i, maps.Clone(one.Data)
		one.Data["volume"] = 1<<53 - 1
		figures = append(figures, one)
	}
	warehousetest.Insert(t, w, f.figure, figures[1:])
	if err := w.MigrateViews(context.Background(), f.refs); err != nil {
		t.Fatal(err)
	}
	q := queries.New(w, f.kpis, f.refs, queries.Options{Targets: f.targets, Now: func() time.Time { return now }})
	for _, id := range []string{"fees", "odd", "transactions"} {
		r := queries.Request{KPI: id, From: day("2023-01-01"), To: day("2024-12-31")}
		result := values(t, q, r)
		if n, ok := result.Cells[0].Numerator.Float(); !ok || n <= math.MaxInt64 {
			t.Fatalf("%s is %s, which does not wrap", id, result.Cells[0].Numerator)
		}
		answer, err := q.SQL(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if same := sameFigures(t, w, r, reference.DayOf(now), answer, result); same != 1 {
			t.Errorf("%d cells of %s are the same", same, id)
		}
	}
}

// TestSQLOfTheCountry holds queries against the API where rows were corrected and
// withdrawn in every order, at grains and in forms that the pack does not use.
func TestSQLOfTheCountry(t *testing.T) {
	f, w, q, _ := loaded(t)
	if err := w.MigrateViews(context.Background(), f.refs); err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, k := range f.kpis {
		year := queries.Request{KPI: k.ID, From: day("2024-01-01"), To: day("2024-12-31")}
		requests := []queries.Request{year, {KPI: k.ID}}
		for _, grain := range []queries.Grain{queries.Hour, queries.Week, queries.Month, queries.Fiscal, queries.School, queries.Window} {
			r := year
			if r.Grain = grain; grain == queries.Hour {
				r.From, r.To = day("2024-06-28"), day("2024-07-08")
			}
			requests = append(requests, r)
		}
		for _, by := range [][]string{{"mobile"}, {"numerator"}, {"agency", "_source"}, {"kind"}, {"service"}} {
			r := year
			r.By, r.KnownOn = by, day("2024-08-15")
			requests = append(requests, r)
		}
		r := year
		r.Where = map[string][]string{"agency": {"health's", `back\slash`, ""}}
		requests = append(requests, r)
		for _, r := range requests {
			result, err := q.Values(context.Background(), r)
			if err != nil {
				continue // a grain or dimension that this one does not have
			}
			answer, err := q.SQL(context.Background(), r)
			if err != nil && strings.Contains(err.Error(), "nothing was reported") && !slices.ContainsFunc(result.Cells, func(c queries.Cell) bool { return c.Value != nil }) {
				continue
			}
			if err != nil {
				t.Errorf("%+v: %v", r, err)
				continue
			}
			same += sameFigures(t, w, r, reference.DayOf(now), answer, result)
		}
	}
	if same < 1000 {
		t.Errorf("only %d cells were compared", same)
	}
}

// TestQuestions runs the questions of docs/sql.md on the simulation, and holds the first
// against the API.
func TestQuestions(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "sql.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := halfYear(t)
	view, _ := n.w.View(n.w.Contract("request.decided"))
	database, _, _ := strings.Cut(view, ".")
	_, questions, _ := strings.Cut(string(text), "## Ten questions")
	questions, _, _ = strings.Cut(questions, "\n## ")
	var answers [][]map[string]any
	for i, question := range strings.Split(questions, "\n### ")[1:] {
		title, rest, _ := strings.Cut(question, "\n")
		_, sql, _ := strings.Cut(rest, "```sql\n")
		sql, _, ok := strings.Cut(sql, "```")
		if !ok || !strings.HasPrefix(title, fmt.Sprintf("%d. ", i+1)) {
			t.Fatalf("question %d: %q has no query", i+1, title)
		}
		rows := run(t, n.w, strings.ReplaceAll(sql, "ombor.", database+"."))
		if len(rows) == 0 {
			t.Errorf("%s\nno rows", title)
			continue
		}
		t.Logf("%s %d rows, as %v", title, len(rows), rows[0])
		answers = append(answers, rows)
	}
	if len(answers) != 10 {
		t.Fatalf("%d questions have answers, want ten", len(answers))
	}
	// Most payments are of requests that are there, and come hours after them.
	paid, of := 0.0, 0.0
	for _, row := range answers[4] {
		all, with := count(t, row["paid"]), count(t, row["with_request"])
		paid, of = paid+all, of+with
		if hours, ok := row["hours_from_request"].(float64); with > 0 && (!ok || hours <= 0) {
			t.Errorf("%v: paid %v hours after the request", row["channel"], row["hours_from_request"])
		}
	}
	if of < paid/2 {
		t.Errorf("%.0f of %.0f payments are of a request", of, paid)
	}
	q := queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{K: 5, Now: func() time.Time { return askedOn.Time().Add(12 * time.Hour) }})
	month := map[string]float64{}
	for _, c := range values(t, q, queries.Request{KPI: "online-processing-share", From: n.from, To: n.to, Grain: queries.Month}).Cells {
		if c.Value != nil {
			month[c.Period] = *c.Value
		}
	}
	if len(month) != 6 || len(answers[0]) != 6 {
		t.Errorf("%d months of the API, %d of the query", len(month), len(answers[0]))
	}
	for _, row := range answers[0] {
		if got := row["online_percent"].(float64); math.Abs(got-month[row["month"].(string)]) > 1e-9 {
			t.Errorf("%v: %v online, the API says %v", row["month"], got, month[row["month"].(string)])
		}
	}
}

// count is a number of rows, as JSON has it.
func count(t *testing.T, v any) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSQLRefuses says what no query can tell, and why.
func TestSQLRefuses(t *testing.T) {
	_, _, q, _ := loaded(t)
	for _, c := range []struct {
		r    queries.Request
		want string
	}{
		{queries.Request{KPI: "requests", Compare: queries.Previous}, "a query tells one period"},
		{queries.Request{KPI: "requests", By: []string{"nothing"}}, "no dimension"},
		{queries.Request{KPI: "applicants", From: day("2024-01-05"), To: day("2024-02-05")}, "cannot be added up"},
		{queries.Request{KPI: "transactions", From: day("2024-11-01"), To: day("2024-11-30")}, "nothing was reported"},
	} {
		if _, err := q.SQL(context.Background(), c.r); problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.r, err, c.want)
		}
	}
}
