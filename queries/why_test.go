package queries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/ipc"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

func decimal(t *testing.T, n queries.Number) *big.Rat {
	t.Helper()
	x, ok := new(big.Rat).SetString(string(n))
	if !ok {
		t.Fatalf("%q is no number", n)
	}
	return x
}

// addsUp holds every sum of an answer: values to change, parts to change, units to parts.
func addsUp(t *testing.T, w *queries.Why) {
	t.Helper()
	sum := func(about string, total queries.Number, parts ...queries.Number) {
		t.Helper()
		left := decimal(t, total)
		for _, p := range parts {
			left.Sub(left, decimal(t, p))
		}
		if left.Sign() != 0 {
			t.Errorf("%s: %s is not the sum of %v", about, total, parts)
		}
	}
	sum("now", w.Now.Value, w.Before.Value, w.Change)
	var parts []queries.Number
	for _, p := range w.Parts {
		parts = append(parts, p.Change)
		units := []queries.Number{p.Others}
		for _, c := range p.Largest {
			units = append(units, c.Change)
		}
		sum(p.Key, p.Change, units...)
	}
	sum("parts", w.Change, parts...)
	if l := w.LikeForLike; l != nil {
		sum("like for like", l.Now, l.Before, l.Change)
	}
}

func why(t *testing.T, q *queries.Queries, r queries.WhyRequest) *queries.Why {
	t.Helper()
	w, err := q.Why(context.Background(), r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	addsUp(t, w)
	return w
}

// TestWhyByHand takes changes apart that can be followed with a pencil.
func TestWhyByHand(t *testing.T) {
	_, _, q, _ := loaded(t)
	// First quarter: visa 60 of 100, tax 0 of 900. Second: visa 150 of 200.
	w := why(t, q, queries.WhyRequest{Request: queries.Request{KPI: "take-up", From: day("2024-04-01"), To: day("2024-06-30"), By: []string{"service"}}})
	if w.Before.Value != "6.00" || w.Now.Value != "75.00" || w.Change != "69.00" {
		t.Errorf("from %s to %s: %s", w.Before.Value, w.Now.Value, w.Change)
	}
	// Without tax the first quarter was 60 %: 54 points are who reported, 15 visa itself.
	for i, want := range []struct {
		key    string
		change queries.Number
	}{{"reported", "54.00"}, {"mix", "0.00"}, {"rates", "15.00"}} {
		if p := w.Parts[i]; p.Key != want.key || p.Change != want.change {
			t.Errorf("%s %s, want %s %s", p.Key, p.Change, want.key, want.change)
		}
	}
	if c := w.Parts[0].Largest; len(c) != 1 || c[0].Unit["service"] != "tax" || c[0].Kind != "before" || c[0].Change != "54.00" || c[0].Before != "0.00" || c[0].Now != "" {
		t.Errorf("who reported: %+v", c)
	}
	if l := w.LikeForLike; l == nil || l.Units != 1 || l.Before != "60.00" || l.Now != "75.00" || l.Change != "15.00" {
		t.Errorf("like for like: %+v", l)
	}
	if want := "From 6.00 % to 75.00 %: +69.00 points. Who reported: +54.00 points, most of all tax (no longer). Which of them were used: 0.00 points. Each of them by itself: +15.00 points. " +
		"Like for like, over the 1 that have figures for both periods: from 60.00 % to 75.00 %, +15.00 points."; w.Sentence.Text["en"] != want {
		t.Errorf("%q, want %q", w.Sentence.Text["en"], want)
	}
	for _, language := range []string{"uz", "ru"} {
		if text := w.Sentence.Text[language]; !strings.Contains(text, "+54,00") || strings.ContainsAny(text, "{}") {
			t.Errorf("%s: %q", language, text)
		}
	}
	if w.Sentence.Key != "why.ratio" || w.Sentence.Params["part"] != "reported" || w.Sentence.Params["reported"] != "54.00" {
		t.Errorf("the sentence's parameters: %+v", w.Sentence)
	}
	// A count, turned round: 1000 in the first quarter, 200 in the second.
	w = why(t, q, queries.WhyRequest{Request: queries.Request{KPI: "transactions", From: day("2024-01-01"), To: day("2024-03-31"), By: []string{"service"}}, BeforeFrom: day("2024-04-01"), BeforeTo: day("2024-06-30")})
	var parts []queries.Number
	for _, p := range w.Parts {
		parts = append(parts, p.Change)
	}
	if w.Change != "850" || !slices.Equal(parts, []queries.Number{"0", "0", "850"}) || w.Before.Value != "200" || w.Now.Value != "1050" {
		t.Errorf("%s is %v: %+v", w.Change, parts, w.Parts)
	}
	// A stock is held against another day.
	w = why(t, q, queries.WhyRequest{Request: queries.Request{KPI: "services", To: day("2024-10-31"), By: []string{"kind"}}, BeforeFrom: day("2024-05-31"), BeforeTo: day("2024-05-31")})
	if w.Change != "2" || w.Before.Value != "17" || w.Now.Value != "19" || w.Before.To.String() != "2024-05-31" || w.Now.Period != "2024-10-31" {
		t.Errorf("a stock: %+v", w)
	}
}

// TestWhyAnyOrder shows that the parts do not hang on which period is taken first: turned
// round, every part is its opposite.
func TestWhyAnyOrder(t *testing.T) {
	_, _, q, _ := loaded(t)
	for _, id := range []string{"online-share", "guarded-share", "satisfaction", "fees", "requests", "mean-area", "automatic-per-submitted"} {
		for _, by := range [][]string{{"region"}, {"region", "processing"}, {"agency"}, {"mobile"}} {
			a := queries.WhyRequest{Request: queries.Request{KPI: id, From: day("2024-03-01"), To: day("2024-05-31"), By: by}, BeforeFrom: day("2023-09-01"), BeforeTo: day("2023-11-30")}
			b := a
			b.From, b.To, b.BeforeFrom, b.BeforeTo = a.BeforeFrom, a.BeforeTo, a.From, a.To
			forward, back := why(t, q, a), why(t, q, b)
			for i := range forward.Parts {
				j := i
				if forward.Parts[0].Key == "appeared" && i < 2 { // what appears one way is gone the other
					j = 1 - i
				}
				x, y := decimal(t, forward.Parts[i].Change), decimal(t, back.Parts[j].Change)
				if sum := new(big.Rat).Add(x, y); new(big.Rat).Abs(sum).Cmp(big.NewRat(2, 100)) > 0 { // what rounding moved
					t.Errorf("%s by %v: %s is %s one way and %s the other", id, by, forward.Parts[i].Key, forward.Parts[i].Change, back.Parts[j].Change)
				}
			}
		}
	}
}

// TestWhyNamesNobody shows that units of few persons are never named, and that
// everything still adds up with them.
func TestWhyNamesNobody(t *testing.T) {
	_, _, q, _ := loaded(t)
	hidden := 0
	for month := 2; month <= 11; month++ {
		first := day("2024-01-01")
		from := first.Time().AddDate(0, month-1, 0).Format("2006-01-02")
		to := first.Time().AddDate(0, month, -1).Format("2006-01-02")
		r := queries.WhyRequest{Request: queries.Request{KPI: "guarded-share", From: day(from), To: day(to), By: []string{"agency", "region"}}, Largest: 100}
		w, err := q.Why(context.Background(), r)
		if problem.KindOf(err) == problem.BadInput && strings.Contains(err.Error(), "hidden to protect people") {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		addsUp(t, w)
		m, err := q.Movers(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		few := map[string]bool{}
		for _, p := range []queries.WhyPeriod{w.Before, w.Now} {
			for _, c := range values(t, q, queries.Request{KPI: "guarded-share", From: p.From.Day, To: p.To.Day, By: r.By}).Cells {
				if c.State == queries.Suppressed {
					few[c.Dims[0].Value+"|"+c.Dims[1].Value] = true
				}
			}
		}
		hidden += len(few)
		named := m.Movers
		for _, p := range w.Parts {
			named = append(named, p.Largest...)
		}
		for _, c := range named {
			if few[c.Unit["agency"]+"|"+c.Unit["region"]] {
				t.Errorf("%s: %v is named, and hidden in one of the periods", from, c.Unit)
			}
		}
	}
	if hidden == 0 {
		t.Error("nothing was hidden, so nothing was shown here")
	}
}

// TestMovers adds the three parts of each unit together.
func TestMovers(t *testing.T) {
	_, _, q, _ := loaded(t)
	r := queries.WhyRequest{Request: queries.Request{KPI: "online-share", From: day("2024-03-01"), To: day("2024-05-31"), By: []string{"region"}}, Largest: 2}
	m, err := q.Movers(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Movers) != 2 || m.Now.Period != "2024-03-01/2024-05-31" || m.Before.Period != "2023-12-01/2024-02-29" {
		t.Fatalf("%+v", m)
	}
	sum := decimal(t, m.Others)
	for i, c := range m.Movers {
		sum.Add(sum, decimal(t, c.Change))
		if i > 0 && new(big.Rat).Abs(decimal(t, c.Change)).Cmp(new(big.Rat).Abs(decimal(t, m.Movers[i-1].Change))) > 0 {
			t.Errorf("%v comes after one that moved less", c)
		}
	}
	if sum.Cmp(decimal(t, m.Change)) != 0 {
		t.Errorf("movers and others are %s, the change is %s", sum.FloatString(2), m.Change)
	}
}

// TestWhyOfTheUK explains the fall of the United Kingdom's digital take-up by ten points:
// a few large services stopped reporting, the others went up. It is held against an
// independent script, which reads the published file.
func TestWhyOfTheUK(t *testing.T) {
	root := os.Getenv("OMBOR_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "shared")
	}
	file := filepath.Join(root, "data", "uk_transactions", "transaction-volumes.csv")
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("the test reads a real file: put the shared folder beside the project, or set OMBOR_SHARED to it (%v)", err)
	}
	p, err := pack.Read(os.DirFS(filepath.Join("..", "internal", "pack", "testdata", "uk")), pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	reader, err := mapping.New(p.Mappings[0], p.Set.ByType(p.Mappings[0].For), p.Reference, p.Zone)
	if err != nil {
		t.Fatal(err)
	}
	batch := contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{}).NewBatch()
	if _, err := reader.Read(context.Background(), file, func(event []byte, at mapping.Place) error {
		if refusal := batch.Add(0, event); refusal != nil {
			t.Errorf("%s is refused: %v", at, refusal)
		}
		return nil
	}, func(at mapping.Place, field, code, reason string) { t.Errorf("%s: %s: %s", at, field, reason) }); err != nil {
		t.Fatal(err)
	}
	for _, part := range batch.Parts() {
		var stream bytes.Buffer
		record := warehousetest.Signed(part.Record, 1, receivedOn)
		writer := ipc.NewWriter(&stream, ipc.WithSchema(record.Schema()))
		if err := errors.Join(writer.Write(record), writer.Close(), w.InsertFacts(context.Background(), part.Contract, &stream), w.ApplyRollups(context.Background(), part.Contract, receivedOn, 1)); err != nil {
			t.Fatal(err)
		}
		part.Record.Release()
	}
	q := queries.New(w, p.KPIs, p.Reference, queries.Options{})
	for _, c := range []struct {
		about, before, from, to string
		r                       queries.WhyRequest
	}{
		{"the window of a year before", "2015-07-01", "2016-07-01", "2017-06-30", queries.WhyRequest{}},
		{"the window that begins a quarter earlier", "2016-04-01", "2016-07-01", "2017-06-30", queries.WhyRequest{BeforeFrom: day("2016-04-01"), BeforeTo: day("2017-03-31")}},
	} {
		t.Run(c.about, func(t *testing.T) {
			script := exec.Command("node", filepath.Join("testdata", "why_uk.mjs"), file, c.before, c.from)
			script.Stderr = os.Stderr
			out, err := script.Output()
			if err != nil {
				t.Fatalf("why_uk.mjs: %v", err)
			}
			type part struct {
				Change  float64
				Largest [][]any
			}
			var want struct {
				Before, Now, LikeBefore, LikeNow float64
				Units                            int
				Reported, Mix, Rates             part
			}
			if err := json.Unmarshal(out, &want); err != nil {
				t.Fatal(err)
			}
			c.r.Request = queries.Request{KPI: "digital-take-up", From: day(c.from), To: day(c.to)}
			w := why(t, q, c.r)
			near := func(about string, got queries.Number, want float64) {
				t.Helper()
				if f, ok := got.Float(); !ok || math.Abs(f-want) > 0.01 { // half a last digit, and as much for adding up
					t.Errorf("%s is %s, the script says %v", about, got, want)
				}
			}
			near("before", w.Before.Value, want.Before)
			near("now", w.Now.Value, want.Now)
			near("like for like, before", w.LikeForLike.Before, want.LikeBefore)
			near("like for like, now", w.LikeForLike.Now, want.LikeNow)
			if w.LikeForLike.Units != want.Units || !slices.Equal(w.By, []string{"service"}) {
				t.Errorf("%d units by %v, the script says %d services", w.LikeForLike.Units, w.By, want.Units)
			}
			for i, p := range []part{want.Reported, want.Mix, want.Rates} {
				near(w.Parts[i].Key, w.Parts[i].Change, p.Change)
				for j, l := range p.Largest {
					got := w.Parts[i].Largest[j]
					near(l[0].(string), got.Change, l[1].(float64))
					if got.Unit["service"] != l[0] {
						t.Errorf("%s: %v is number %d, the script says %s", w.Parts[i].Key, got.Unit, j+1, l[0])
					}
				}
			}
			if f, _ := w.Parts[0].Change.Float(); f > -10 || want.LikeNow < want.LikeBefore || w.Parts[0].Largest[0].Kind != "before" {
				t.Errorf("the fall is not told by who stopped reporting: %+v", w.Parts[0])
			}
			if text := w.Sentence.Text["en"]; !strings.Contains(text, "most of all Stamp Duty Reserve Tax transactions (no longer); PAYE transactions (no longer); Customs transactions (no longer)") || !strings.Contains(text, "Like for like") {
				t.Errorf("%q", text)
			}
			t.Log(w.Sentence.Text["en"])
		})
	}
}

// TestWhyWithoutDays: without days the newest whole month is held against the one before, as if it had been asked for.
func TestWhyWithoutDays(t *testing.T) {
	_, _, q, rows := loaded(t)
	newest := reference.NoDay
	for _, r := range rows {
		newest = max(newest, r.Day(zone))
	}
	next := newest + 1
	to := next - reference.Day(next.Time().Day()) // the end of the month before, or of this one when it is whole
	from := to - reference.Day(to.Time().Day()-1)
	for _, compare := range []queries.Compare{queries.NoComparison, queries.YearBefore} {
		for _, id := range []string{"requests", "fees"} {
			r := queries.Request{KPI: id, By: []string{"region"}, Compare: compare}
			got, err := q.Why(context.Background(), queries.WhyRequest{Request: r})
			if err != nil {
				t.Errorf("%s, %s: %v", id, compare, err)
				continue
			}
			if r.From, r.To = from, to; got.Now.From.Day != from || got.Now.To.Day != to || got.Before.To.Day >= from {
				t.Errorf("%s: %s against %s, want %s to %s", id, got.Now.Period, got.Before.Period, from, to)
			}
			want, err := q.Why(context.Background(), queries.WhyRequest{Request: r})
			if err != nil || fmt.Sprintf("%+v", got.Parts) != fmt.Sprintf("%+v", want.Parts) || got.Change != want.Change {
				t.Errorf("%s: %+v, asked with its days %+v %v", id, got, want, err)
			}
		}
	}
}

func TestWhyRefuses(t *testing.T) {
	_, _, q, _ := loaded(t)
	year := func(id string) queries.Request {
		return queries.Request{KPI: id, From: day("2024-01-01"), To: day("2024-12-31"), By: []string{"region"}}
	}
	for _, c := range []struct {
		r    queries.WhyRequest
		want string
	}{
		{queries.WhyRequest{Request: year("duration")}, "is a quantile"},
		{queries.WhyRequest{Request: year("applicants")}, "counts distinct values"},
		{queries.WhyRequest{Request: year("highest-fee")}, "least or greatest"},
		{queries.WhyRequest{Request: year("online-share"), BeforeFrom: day("2020-01-01"), BeforeTo: day("2020-12-31")}, "was not reported for"},
		{queries.WhyRequest{Request: year("online-share"), BeforeFrom: day("2020-01-01")}, "both days"},
		{queries.WhyRequest{Request: queries.Request{KPI: "online-share", Compare: "national"}}, "no earlier period"},
		{queries.WhyRequest{Request: queries.Request{KPI: "transactions", From: day("2023-01-01"), To: day("2024-12-31"), By: []string{"service"}}}, "reported windows"},
		{queries.WhyRequest{Request: queries.Request{KPI: "transactions"}}, "no dimension by which"},
	} {
		_, err := q.Why(context.Background(), c.r)
		if problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.r, err, c.want)
		}
		if _, movers := q.Movers(context.Background(), c.r); problem.KindOf(movers) != problem.BadInput {
			t.Errorf("movers of %+v: %v", c.r, movers)
		}
	}
}
