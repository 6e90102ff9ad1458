package queries_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse/warehousetest"
)

// More decisions than requests are a fault of the source: of the region 1726 one request of October was received, and of the
// office three decisions. September and December have a decision and no such request, which may be older than the data.
func TestAbove100(t *testing.T) {
	openOffice(t)
	k := &kpi.KPI{ID: "decided-share", Title: reference.Names{"en": "Decided"}, About: reference.Names{"en": "Decided"}, Owner: "ministry", Unit: kpi.Percent, Direction: kpi.Up, Versions: []kpi.Version{{
		Version: 1, Valid: always, Source: reference.Names{"en": "the tests"}, Basis: kpi.Events, From: []string{"request.decided", "request.submitted"},
		Numerator: part(t, "request.decided", "count()", "time"), Denominator: part(t, "request.submitted", "countIf(region = '1726')", "time")}}}
	q := queries.New(office.w, append(slices.Clone(office.kpis), k), office.refs, queries.Options{K: 5, Now: func() time.Time { return now }})
	y := queries.NewQuality(office.w, office.set, office.refs, map[string]queries.Sender{"portal": {Owner: "health"}}, func() time.Time { return now })
	y.Figures(q)
	found, err := y.Findings(context.Background(), queries.FindingsRequest{Rule: "above-100"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s %s %s %s %d of %g, %s: %s", f.Severity, f.Source, f.Contract, f.Period, f.Count, *f.Expected, f.Owner, f.Words["en"]))
	}
	want := []string{
		"error portal t.request.decided.v1 2024-10 3 of 1, health: portal: decided-share is above 100 % in 2024-10: of 1 cases 3 are counted (300 %).",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	answer := values(t, q, queries.Request{KPI: "decided-share", Grain: queries.Month})
	if i := slices.IndexFunc(answer.Said, func(n queries.Note) bool { return n.Key == "above-100" }); i < 0 || answer.Said[i].Parameters["periods"] != "2024-10" || *answer.Cells[2].Value != 300 {
		t.Errorf("%+v", answer.Said)
	}
}

// ruled has every kind of field, and rules of every form that has a condition in SQL.
func ruled(t *testing.T) (*contract.Set, *contract.Contract) {
	t.Helper()
	c := &contract.Contract{Type: "t.ruled.v1", Name: "ruled", Major: 1, Title: reference.Names{"en": "Ruled", "ru": "Правила", "uz": "Qoidalar"}, About: "A test.", Source: "s", Fields: []contract.Field{
		{Name: "label", Type: contract.Code, Class: contract.Open}, {Name: "note", Type: contract.Text},
		{Name: "a", Type: contract.Integer, Class: contract.Open}, {Name: "b", Type: contract.Integer}, {Name: "paid", Type: contract.Money},
		{Name: "price", Type: contract.Decimal, Scale: 2}, {Name: "weight", Type: contract.Number},
		{Name: "at", Type: contract.Timestamp}, {Name: "on", Type: contract.Date}, {Name: "yes", Type: contract.Boolean},
		{Name: "must", Type: contract.Integer, Required: true},
	}}
	for i, check := range []string{
		"a <= b", "a == b - must", "paid == a - b * 2 + 1", "a < b && b < must", "a < b || b < must", "!(a < b) || yes", "!yes || has(a)", "has(a) || has(label)",
		"has(on) == has(at)", "label == 'x' || label == \"o'clock\\\\\"", "label in ['x', 'y']", "a in [1, 2, 3]", "label != note", "label < note",
		"price <= weight", "price > 1.5", "at <= time", "on <= time", "on <= at", "time - at < duration('36h')", "at + duration('1h') >= time",
		"at > timestamp('2024-05-01T00:00:00Z')", "-a < b", "yes", "true", "weight + 0.5 > price", "must >= 0",
	} {
		if strings.Contains(check, "has(on) ==") {
			continue // truth values are not compared
		}
		c.Rules = append(c.Rules, contract.Rule{ID: fmt.Sprint("r", i), Check: check, Severity: contract.Warn})
	}
	set, err := contract.NewSet("t.", zone, append(contract.BuiltIn("t."), c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return set, c
}

// TestRulesOverFacts: the rows that break a rule over the facts are those that the door
// warned of, for random events with absent fields.
func TestRulesOverFacts(t *testing.T) {
	set, c := ruled(t)
	w := warehousetest.Open(t, set, nil)
	batch := contract.NewChecker(set, contract.NewKeys(), contract.Limits{}).NewBatch()
	r := rand.New(rand.NewPCG(4, 4))
	var rows []warehousetest.Row
	for i := range 3000 {
		at := time.Date(2024, 5, 1, 0, 0, 0, 0, zone).Add(time.Duration(r.IntN(96)) * 30 * time.Minute)
		data, sent := map[string]any{}, map[string]any{}
		put := func(name string, stored, told any) {
			if r.IntN(4) > 0 || name == "must" {
				data[name], sent[name] = stored, told
			}
		}
		labels := []string{"x", "y", "z", `o'clock\`}
		for _, name := range []string{"label", "note"} {
			v := labels[r.IntN(4)]
			put(name, v, v)
		}
		for _, name := range []string{"a", "b", "paid", "must"} {
			v := r.IntN(7) - 2
			put(name, v, v)
		}
		cents := r.IntN(400)
		put("price", cents, json.Number(fmt.Sprintf("%d.%02d", cents/100, cents%100)))
		weight := float64(r.IntN(16)) / 4
		put("weight", weight, weight)
		moment := at.Add(time.Duration(r.IntN(200)-150) * 30 * time.Minute)
		put("at", moment, moment.Format(time.RFC3339))
		date := reference.DayOf(at) + reference.Day(r.IntN(3)-1)
		put("on", date, date.String())
		yes := r.IntN(2) == 0
		put("yes", yes, yes)
		event, err := json.Marshal(map[string]any{"specversion": "1.0", "id": fmt.Sprint(i), "source": "s", "type": c.Type, "time": at.Format(time.RFC3339), "data": sent})
		if err != nil {
			t.Fatal(err)
		}
		if refusal := batch.Add(i, event); refusal != nil {
			t.Fatalf("%s: %+v", event, refusal)
		}
		rows = append(rows, warehousetest.Row{ID: uint64(i + 1), Time: at, Cut: day("2024-05-04"), Batch: 1, Source: "s", Data: data})
	}
	warned := map[string]int64{}
	for _, x := range batch.Warnings() {
		warned[x.Rule] = int64(x.Count)
	}
	// A row that was taken back breaks no rule any more.
	gone := rows[0]
	gone.ID, gone.Seq = 1_000_000, 4000
	back := gone
	back.Sign, back.Seq = -1, 4001
	rows = append(rows, gone, back)
	warehousetest.Insert(t, w, c, rows)
	y := queries.NewQuality(w, set, nil, map[string]queries.Sender{"s": {Owner: "o"}}, func() time.Time { return now })
	found, err := y.Findings(context.Background(), queries.FindingsRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]int64{}
	for _, f := range found {
		if counted[f.Rule] += f.Count; f.Period != "2024-05" || f.Owner != "o" || len(f.Examples) == 0 {
			t.Errorf("%+v", f)
		}
		for _, e := range f.Examples {
			if strings.Contains(e, "note") || strings.Contains(e, "b=") {
				t.Errorf("the example %q tells of a field that is not open", e)
			}
		}
	}
	for _, rule := range c.Rules {
		if _, _, ok := set.Broken(c, &rule); ok {
			t.Errorf("a rule of no contract has a condition")
		}
		if counted[rule.ID] != warned[rule.ID] {
			t.Errorf("%s: %s is broken by %d rows over the facts, the door warned of %d", rule.ID, rule.Check, counted[rule.ID], warned[rule.ID])
		}
	}
	broken := 0
	for _, n := range warned {
		if n > 0 && n < 3000 {
			broken++
		}
	}
	if broken < 18 {
		t.Errorf("only %d rules are broken by some rows", broken)
	}
}

// TestRulesHaveConditions: every rule of the packs here can be counted over facts.
func TestRulesHaveConditions(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("..", "internal", "pack", "testdata", "*", "pack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	uz, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	packs := []*pack.Pack{}
	for _, f := range folders {
		if p, err := pack.Read(os.DirFS(filepath.Dir(f)), pack.Checks{}); err == nil {
			packs = append(packs, p)
		}
	}
	p, err := pack.Read(uz, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, p := range append(packs, p) {
		for _, c := range p.Set.All() {
			for i := range c.Rules {
				rules++
				if condition, _, ok := p.Set.Broken(c, &c.Rules[i]); !ok {
					t.Errorf("%s of %s has no condition: %s %s", c.Rules[i].ID, c.Type, c.Rules[i].Check, condition)
				}
			}
		}
	}
	if rules < 80 {
		t.Errorf("only %d rules", rules)
	}
}

// observed loads days of rows, one row standing for each event, and gives what is found.
func observed(t *testing.T, rows map[string][]warehousetest.Row, arrivals []queries.Arrival, calendar *reference.Calendar, at time.Time) []queries.Finding {
	t.Helper()
	set, err := contract.NewSet("t.", zone, append(contract.BuiltIn("t."),
		&contract.Contract{Type: "t.seen.v1", Name: "seen", Major: 1, Title: reference.Names{"en": "Seen"}, About: "A test.", Source: "gate", Fields: []contract.Field{{Name: "kind", Type: contract.Code}}},
		&contract.Contract{Type: "t.rare.v1", Name: "rare", Major: 1, Title: reference.Names{"en": "Rare"}, About: "A test.", Source: "gate", Fields: []contract.Field{{Name: "kind", Type: contract.Code}}},
		&contract.Contract{Type: "t.told.v1", Name: "told", Major: 1, Kind: contract.Figure, Window: contract.Window{From: "window_from", To: "window_to"}, Title: reference.Names{"en": "Told"}, About: "A test.", Source: "gate",
			Fields: []contract.Field{{Name: "window_from", Type: contract.Date, Required: true}, {Name: "window_to", Type: contract.Date, Required: true}}},
	), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, set, nil)
	for name, list := range rows {
		for i := range list {
			list[i].ID, list[i].Batch, list[i].Cut, list[i].Seq = uint64(i+1), 1, day("2024-12-01"), 1<<20+uint64(i)
		}
		warehousetest.Insert(t, w, set.ByName(name, 0), list)
	}
	y := queries.NewQuality(w, set, reference.NewSet(calendar), map[string]queries.Sender{"gate": {Title: reference.Names{"en": "The gate"}, Owner: "guards", Freshness: 24 * time.Hour}}, func() time.Time { return at })
	found, err := y.Findings(context.Background(), queries.FindingsRequest{}, arrivals)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// noisy are rows of a source from one day to another: busy working days, quiet weekends, a
// slow rise, and times the noise of independent events.
func noisy(r *rand.Rand, times float64, from, to reference.Day, calendar *reference.Calendar) map[reference.Day]int {
	counts := map[reference.Day]int{}
	for d := from; d <= to; d++ {
		mean := 90 + 40*float64(d-from)/float64(to-from)
		if !calendar.Works(d) {
			mean /= 4
		}
		counts[d] = max(int(mean+r.NormFloat64()*times*math.Sqrt(mean)+0.5), 1)
	}
	return counts
}

func rowsOf(counts map[reference.Day]int, source string) []warehousetest.Row {
	var rows []warehousetest.Row
	for d, n := range counts {
		for range n {
			rows = append(rows, warehousetest.Row{Time: d.Time().Add(6 * time.Hour), Source: source, Data: map[string]any{}})
		}
	}
	return rows
}

func short(found []queries.Finding) []string {
	var list []string
	for _, f := range found {
		list = append(list, fmt.Sprintf("%s %s %s %d", strings.TrimPrefix(f.Contract, "t."), f.Rule, f.Period, f.Count))
	}
	slices.Sort(list)
	return list
}

// TestSilence: what a source has closed for all that it sends is not silent, what it counted
// otherwise is; nor is the past of a register, and a simulation is not late.
func TestSilence(t *testing.T) {
	calendar := &reference.Calendar{Zone: zone, Week: []time.Weekday{1, 2, 3, 4, 5}}
	every := func(days ...string) (rows []warehousetest.Row) {
		for _, d := range days {
			rows = append(rows, warehousetest.Row{Time: day(d).Time().Add(6 * time.Hour), Source: "gate", Data: map[string]any{}})
		}
		return rows
	}
	closed := func(name, month string, count any) warehousetest.Row {
		from := day(month + "-01")
		data := map[string]any{"source": "gate", "contract": name, "from": from, "to": reference.DayOf(from.Time().AddDate(0, 1, -1))}
		if count != nil {
			data["count"] = count
		}
		return warehousetest.Row{Time: now, Source: "gate", Data: data}
	}
	rows := map[string][]warehousetest.Row{
		"seen": every("2024-01-02", "2024-01-02", "2024-02-05", "2024-02-20", "2024-03-05", "2024-03-25", "2024-04-10", "2024-04-25", "2024-05-10", "2024-05-24"),
		"rare": every("2024-02-06"),
		"period.closed": {closed("seen", "2024-02", 2), closed("rare", "2024-02", 1), closed("seen", "2024-03", 3), closed("rare", "2024-03", 0),
			closed("seen", "2024-04", nil), closed("rare", "2024-04", nil), closed("seen", "2024-05", 2)},
	}
	arrivals := []queries.Arrival{{Source: "simulation/gate", Type: "t.seen.v1", LastEvent: now.AddDate(-1, 0, 0)}}
	var got []string
	for _, one := range short(observed(t, rows, arrivals, calendar, now)) {
		if strings.Contains(one, "silence") || strings.Contains(one, "freshness") {
			got = append(got, one)
		}
	}
	want := []string{" silence 2024-03-01/2024-03-04 2", " silence 2024-03-06/2024-03-22 13", " silence 2024-03-26/2024-03-29 4", // counted otherwise
		" silence 2024-05-01/2024-05-09 7", " silence 2024-05-13/2024-05-23 9"} // closed for one of the two
	if !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRhythm plants an outage, a day of half the volume, a flood and a silence in a year of
// noise, and finds these and nothing else; in years of noise alone it finds nothing.
func TestRhythm(t *testing.T) {
	calendar := &reference.Calendar{Zone: zone, Week: []time.Weekday{1, 2, 3, 4, 5},
		Days: map[reference.Day]reference.DayKind{day("2024-03-21"): reference.Holiday, day("2024-03-22"): reference.Holiday, day("2024-04-13"): reference.WorkingDay, day("2024-05-09"): reference.Holiday}}
	from, to := day("2024-01-01"), day("2024-11-30")
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows := map[string][]warehousetest.Row{"seen": rowsOf(noisy(r, 1.5, from, to, calendar), "gate")}
		if found := observed(t, rows, nil, calendar, now); len(found) > 0 {
			t.Errorf("seed %d: in noise alone %v", seed, short(found))
		}
	}
	counts := noisy(rand.New(rand.NewPCG(9, 9)), 1, from, to, calendar)
	for _, gone := range []string{"2024-06-11", "2024-06-12", "2024-08-06", "2024-08-07", "2024-08-08", "2024-11-27", "2024-05-09"} {
		delete(counts, day(gone)) // the ninth of May is a holiday
	}
	counts[day("2024-07-16")] /= 5
	counts[day("2024-09-10")] *= 3
	counts[day("2024-09-12")] += 40 // within what the noise allows
	rows := map[string][]warehousetest.Row{"seen": rowsOf(counts, "gate"), "rare": nil, "told": nil}
	// Rare has rows every month but for two; the figure's windows end each quarter but for one.
	for month := 1; month <= 11; month++ {
		for i := range 15 {
			if month != 5 && month != 6 {
				rows["rare"] = append(rows["rare"], warehousetest.Row{Time: time.Date(2024, time.Month(month), 1+i%2, 12, 0, 0, 0, zone), Source: "gate", Data: map[string]any{}})
			}
		}
	}
	for quarter := range 8 {
		if quarter == 5 {
			continue
		}
		begin := time.Date(2022, time.Month(1+3*quarter), 1, 0, 0, 0, 0, time.UTC)
		end := begin.AddDate(0, 3, -1)
		rows["told"] = append(rows["told"], warehousetest.Row{Time: end, Source: "clerk", Data: map[string]any{"window_from": reference.DayOf(begin), "window_to": reference.DayOf(end)}})
	}
	// The gate counted one event more than came for July, and rightly for August.
	total := func(from, to string) (n int) {
		for d, k := range counts {
			if d >= day(from) && d <= day(to) {
				n += k
			}
		}
		return n
	}
	closed := func(from, to string, count int) warehousetest.Row {
		return warehousetest.Row{Time: now, Source: "gate", Data: map[string]any{"source": "gate", "contract": "seen", "from": day(from), "to": day(to), "count": count}}
	}
	rows["period.closed"] = []warehousetest.Row{closed("2024-01-01", "2024-01-31", total("2024-01-01", "2024-01-31")), closed("2024-07-01", "2024-07-31", total("2024-07-01", "2024-07-31")+1), closed("2024-08-01", "2024-08-31", total("2024-08-01", "2024-08-31"))}
	arrivals := []queries.Arrival{{Source: "gate", Type: "t.seen.v1", Conflict: 2, Rejected: 3, Held: 4, LastEvent: now.Add(-25 * time.Hour),
		Since: map[string]reference.Day{"conflict": day("2024-12-02"), "rejected": day("2024-12-03"), "quarantine": day("2024-12-04")}},
		{Source: "gate", Type: "t.rare.v1", Damaged: 1, LastEvent: now.Add(-25 * time.Hour), Since: map[string]reference.Day{"damaged": day("2024-12-05")}}}
	found := observed(t, rows, arrivals, calendar, now)
	want := []string{
		fmt.Sprintf("seen.v1 closed-count 2024-07 %d", total("2024-07-01", "2024-07-31")),
		"seen.v1 missing-period 2024-06-11/2024-06-12 2", "seen.v1 missing-period 2024-08-06/2024-08-08 3", "seen.v1 missing-period 2024-11-27 1",
		fmt.Sprintf("seen.v1 volume 2024-07-16 %d", counts[day("2024-07-16")]), fmt.Sprintf("seen.v1 volume 2024-09-10 %d", counts[day("2024-09-10")]),
		" silence 2024-06-11/2024-06-12 2", " silence 2024-08-06/2024-08-08 3",
		"rare.v1 missing-period 2024-05-01/2024-06-30 2", "told.v1 missing-period 2023-06-01/2023-08-31 1",
		"seen.v1 conflict  2", "seen.v1 rejected  3", "seen.v1 quarantine  4", "rare.v1 damaged  1", " freshness  25",
	}
	slices.Sort(want)
	if got := short(found); !slices.Equal(got, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	rank := map[string]int{queries.Wrong: 1, queries.Doubtful: 2, queries.Notable: 3}
	for i, f := range found {
		if i > 0 && rank[f.Severity] < rank[found[i-1].Severity] || rank[f.Severity] == 0 {
			t.Errorf("finding %d, %s, stands behind %s", i, f.Severity, found[i-1].Severity)
		}
		if since, told := map[string]string{"conflict": "2024-12-02", "rejected": "2024-12-03", "quarantine": "2024-12-04", "damaged": "2024-12-05"}[f.Rule]; !f.Since.Set || told && f.Since.String() != since {
			t.Errorf("%s %s is so since %q, want %s", f.Rule, f.Period, f.Since, since)
		}
		if f.Owner != "guards" {
			t.Errorf("%s %s is to be mended by %q", f.Rule, f.Period, f.Owner)
		}
		for _, language := range []string{"uz", "ru", "en"} {
			if words := f.Words[language]; words == "" || strings.Contains(words, "%!") || strings.Contains(words, "..") {
				t.Errorf("%s in %s: %q", f.Rule, language, f.Words[language])
			}
		}
	}
}
