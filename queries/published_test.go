package queries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/disclosure"
	"ombor/queries/disclosure/attack"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// town is a pack that publishes, its warehouse, and a clock.
type town struct {
	pack    *pack.Pack
	w       *warehouse.Warehouse
	q       *queries.Queries
	checker *contract.Checker
	today   reference.Day
	batch   uint64
}

func newTown(t *testing.T) *town {
	t.Helper()
	kpi := func(id, unit, body string) string {
		return "id: " + id + "\ntitle: {en: Share}\nabout: {en: A share.}\ngroup: desk\nowner: hall\nunit: " + unit + "\ndirection: up\nversions:\n  - version: 1\n    source: Statute 7\n    persons: person\n" + body + "---\n"
	}
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"pack.yaml": `name: town
prefix: town.
title: {en: Town}
languages: [en]
zone: Asia/Tashkent
k: 5
sources:
  desk: {title: {en: Desk}, owner: hall, closing: 10d}
  ward: {title: {en: Ward}, owner: hall, closing: 10d}
reference:
  organisations: {file: organisations.csv}
  regions: {file: regions.csv}
published: [[], [region], [region, kind]]
`,
		"contracts/request.yaml": `type: town.request.v1
title: {en: Request}
source: desk
fields:
  person: {type: person, id: phone, required: true}
  region: {type: ref, to: regions, required: true}
  kind: {type: enum, values: [a, b], required: true}
  granted: {type: boolean, required: true}
  took: {type: integer, required: true}
---
type: town.stay.v1
title: {en: Stay}
source: ward
fields:
  person: {type: person, id: phone, required: true}
  region: {type: ref, to: regions, required: true}
  illness: {type: code, class: special}
---
type: town.visit.v1
title: {en: Visit}
source: desk
fields:
  person: {type: person, id: phone, required: true}
  region: {type: ref, to: regions, required: true}
  paid: {type: integer, required: true}
  wrong: {type: boolean, required: true}
  room: {type: enum, values: [red, blue], required: true}
`,
		"kpis/all.yaml": kpi("granted-share", "percent", "    from: request\n    numerator: countIf(granted)\n    denominator: count()\n    rollups: [[region, kind]]\n") +
			kpi("grants", "count", "    from: request\n    numerator: countIf(granted)\n    rollups: [[region]]\n") +
			kpi("time-granted", "minutes", "    from: request\n    numerator: sumIf(took, granted)\n    rollups: [[region]]\n") +
			kpi("people", "count", "    from: request\n    distinct: {of: person, grains: [month, quarter]}\n    rollups: [[region]]\n") +
			kpi("time-taken", "minutes", "    from: request\n    distribution: {of: took, quantiles: [0.5]}\n    rollups: [[region]]\n") +
			kpi("visits-paid", "count", "    from: visit\n    numerator: sumIf(paid, room = 'red')\n    rollups: [[region]]\n") +
			kpi("visits-wrong", "count", "    from: visit\n    numerator: countIf(wrong AND room = 'red')\n    rollups: [[region]]\n") +
			kpi("visits-right", "percent", "    from: visit\n    numerator: countIf(NOT wrong AND room = 'red')\n    denominator: countIf(room = 'red')\n    rollups: [[region]]\n") +
			kpi("visits-blue", "count", "    from: visit\n    numerator: countIf(room = 'blue')\n    rollups: [[region]]\n") +
			strings.TrimSuffix(kpi("stays", "count", "    from: stay\n    numerator: count()\n    rollups: [[region]]\n"), "---\n"),
		"reference/organisations.csv": "code,name_en\nhall,Hall\n",
		"reference/regions.csv":       "code,name_en\nnorth,North\nsouth,South\nwest,West\n",
		"labels/en.yaml":              "group.desk: Desk\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	n := &town{pack: p, w: warehousetest.Open(t, p.Set, p.KPIs), checker: contract.NewChecker(p.Set, keys, contract.Limits{Own: true}), today: day("2024-01-01")}
	closing := map[string]time.Duration{}
	for id, source := range p.Sources {
		closing[id] = source.Closing
	}
	n.q = queries.New(n.w, p.KPIs, p.Reference, queries.Options{K: p.K, Closing: closing, Now: func() time.Time { return n.today.Time().Add(8 * time.Hour) }})
	return n
}

// send puts events into the ledger as one batch that was received today; sign −1 takes
// them back.
func (n *town) send(t *testing.T, sign int8, events ...[]byte) {
	t.Helper()
	n.batch++
	batch := n.checker.NewBatch()
	for i, event := range events {
		if refusal := batch.Add(i, event); refusal != nil {
			t.Fatalf("%+v\n%s", refusal, event)
		}
	}
	for _, part := range batch.Parts() {
		rows := int(part.Record.NumRows())
		signs, cuts := array.NewInt8Builder(memory.DefaultAllocator), array.NewDate32Builder(memory.DefaultAllocator)
		seqs, batches := array.NewUint64Builder(memory.DefaultAllocator), array.NewUint64Builder(memory.DefaultAllocator)
		for i := range rows {
			signs.Append(sign)
			cuts.Append(arrow.Date32(n.today))
			seqs.Append(n.batch<<20 + uint64(i))
			batches.Append(n.batch)
		}
		fields, columns := slices.Clone(part.Record.Schema().Fields()), slices.Clone(part.Record.Columns())
		for _, c := range []struct {
			name   string
			values arrow.Array
		}{{"_sign", signs.NewArray()}, {"_cut", cuts.NewArray()}, {"_seq", seqs.NewArray()}, {"_batch", batches.NewArray()}} {
			fields, columns = append(fields, arrow.Field{Name: c.name, Type: c.values.DataType()}), append(columns, c.values)
		}
		record := array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(rows))
		var stream bytes.Buffer
		writer := ipc.NewWriter(&stream, ipc.WithSchema(record.Schema()))
		if err := writer.Write(record); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.w.InsertFacts(context.Background(), part.Contract, &stream); err != nil {
			t.Fatal(err)
		}
		if err := n.w.ApplyRollups(context.Background(), part.Contract, n.today, n.batch); err != nil {
			t.Fatal(err)
		}
		part.Record.Release()
	}
}

// request is one event.
type townRequest struct {
	id           int
	day          reference.Day
	region, kind string
	granted      bool
	person       int
}

func (r townRequest) event() []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","type":"town.request.v1","source":"desk","id":"r%d","time":"%sT10:00:00+05:00","data":{"person":"+9989%08d","region":%q,"kind":%q,"granted":%t,"took":%d}}`,
		r.id, r.day, r.person, r.region, r.kind, r.granted, 10+r.id%50)
}

func closed(source, contract string, from, to reference.Day, count int) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","type":"town.period.closed.v1","source":%q,"id":"closed/%[2]s/%[3]s","time":"%[4]sT23:00:00+05:00","data":{"source":%[1]q,"contract":%[2]q,"from":"%[3]s","to":"%[4]s","count":%[5]d}}`,
		source, contract, from, to, count)
}

// publish publishes what there is, and answers how many figures.
func (n *town) publish(t *testing.T) int {
	t.Helper()
	count := 0
	err := n.q.Publish(context.Background(), "town.", func(_ context.Context, events [][]byte) error {
		n.send(t, 1, events...)
		count += len(events)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestClosing(t *testing.T) {
	n := newTown(t)
	n.today = day("2024-01-20")
	var events [][]byte
	for i := range 40 {
		events = append(events, townRequest{id: i, day: day("2024-01-10"), region: []string{"north", "south"}[i%2], kind: "a", granted: i%4 == 0, person: i}.event())
	}
	n.send(t, 1, events...)
	january := queries.Request{KPI: "granted-share", From: day("2024-01-01"), To: day("2024-01-31")}
	ask := func() queries.Cell { return values(t, n.q, january).Cells[0] }
	if c := ask(); !c.Open() || c.Closed.Set {
		t.Errorf("before its end: %+v", c)
	}
	n.today = day("2024-02-03")
	if c := ask(); !c.Open() {
		t.Error("January is closed, and nobody has closed it")
	}
	if n.publish(t) != 0 {
		t.Error("figures of an open month are published")
	}
	n.send(t, 1, closed("desk", "request", day("2024-01-01"), day("2024-01-31"), 41))
	if c := ask(); c.Open() || c.Closed.Day != day("2024-02-03") || c.Unclosed != nil {
		t.Errorf("closed by its source: %+v", c)
	}
	if c := values(t, n.q, queries.Request{KPI: "granted-share", From: day("2024-01-01"), To: day("2024-01-31"), KnownOn: day("2024-02-02")}).Cells[0]; !c.Open() {
		t.Error("on 2 February January was open")
	}
	manifests, err := n.q.Manifests(context.Background(), reference.NoDay, reference.NoDay)
	if err != nil || len(manifests) != 1 || manifests[0].Matches() || *manifests[0].Count != 41 || manifests[0].Stored != 40 || manifests[0].Contract != "request" {
		t.Errorf("manifests: %+v %v", manifests, err)
	}
	if published := n.publish(t); published == 0 {
		t.Error("nothing was published")
	}
	if again := n.publish(t); again != 0 {
		t.Errorf("%d figures were published again", again)
	}
	// A process that begins looks at everything, and publishes nothing twice.
	n.q = queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{K: 5, Closing: map[string]time.Duration{"desk": 240 * time.Hour}, Titles: map[string]reference.Names{"desk": {"en": "Desk", "ru": "Стол"}}, Now: func() time.Time { return n.today.Time().Add(8 * time.Hour) }})
	if again := n.publish(t); again != 0 {
		t.Errorf("%d figures were published again after a restart", again)
	}
	if c := ask(); c.Corrected.Set {
		t.Errorf("corrected: %+v", c)
	}

	// Late events change the closed figure: 10 of 40 were granted, now 11 of 41.
	n.today = day("2024-05-03")
	n.send(t, 1, townRequest{id: 100, day: day("2024-01-11"), region: "north", kind: "a", granted: true, person: 100}.event())
	for _, published := range []bool{false, true} {
		if published && n.publish(t) == 0 {
			t.Error("a corrected figure was not published anew")
		}
		if c := ask(); c.Corrected.Day != day("2024-05-03") || c.Was == nil || *c.Was != 25 || c.Denominator != "41" || c.Open() {
			t.Errorf("published anew %t: %s, corrected %s, was %v", published, line(c), c.Corrected, c.Was)
		}
	}
	outside := january
	outside.Audience = queries.Outside
	if c := values(t, n.q, outside).Cells[0]; c.Denominator != "41" || c.Corrected.Day != day("2024-05-03") || c.Was == nil || *c.Was != 25 {
		t.Errorf("outside: %s, corrected %s", line(c), c.Corrected)
	}
	outside.KnownOn = day("2024-05-02")
	if c := values(t, n.q, outside).Cells[0]; c.Denominator != "40" || c.Corrected.Set {
		t.Errorf("outside, known before: %s, corrected %s", line(c), c.Corrected)
	}
	text, err := json.Marshal(ask())
	if err != nil || !strings.Contains(string(text), `"open":false,"closed":"2024-02-03","corrected":"2024-05-03","was":25,"was_state":"value"`) {
		t.Errorf("%s %v", text, err)
	}
	// Nobody closes February: its deadline does, which is told, and that nothing came.
	february := values(t, n.q, queries.Request{KPI: "granted-share", From: day("2024-02-01"), To: day("2024-02-29"), Language: "ru"})
	if c := february.Cells[0]; c.Open() || c.Closed.Day != day("2024-03-11") || !slices.Equal(c.Unclosed, []string{"desk"}) || c.State != queries.NotProvided {
		t.Errorf("February: %+v", c)
	}
	if w := february.Coverage; w.Words != "0 из 1 источников; нет данных: Стол (100 % записей за 2024-01)" || w.Weights["desk"] != 100 {
		t.Errorf("February's coverage: %+v", w)
	}
	if !slices.Contains(february.Notes, "Период закрыт по сроку, без подтверждения от: Стол.") {
		t.Errorf("February's notes: %q", february.Notes)
	}
}

// TestOutsideScorecard holds the scorecard for everybody against what was published, and that a
// figure changes nothing of it before it is.
func TestOutsideScorecard(t *testing.T) {
	n := newTown(t)
	n.today = day("2024-01-20")
	var events [][]byte
	for i := range 40 {
		events = append(events, townRequest{id: i, day: day("2024-01-10"), region: []string{"north", "south"}[i%2], kind: "a", granted: i%4 == 0, person: i}.event())
	}
	n.send(t, 1, events...)
	n.today = day("2024-02-03")
	n.send(t, 1, closed("desk", "request", day("2024-01-01"), day("2024-01-31"), 40))
	n.publish(t)
	n.send(t, 1, townRequest{id: 100, day: day("2024-01-11"), region: "north", kind: "a", granted: true, person: 100}.event())
	card := func(audience queries.Audience, from, to string, where map[string][]string) (*queries.Scorecard, error) {
		return n.q.Scorecard(context.Background(), queries.ScorecardRequest{From: day(from), To: day(to), Where: where, Audience: audience})
	}
	row := func(c *queries.Scorecard, id string) *queries.ScorecardRow {
		i := slices.IndexFunc(c.Rows, func(r queries.ScorecardRow) bool { return r.KPI == id })
		if i < 0 {
			t.Fatalf("%s is not on the scorecard for %q", id, c.Audience)
		}
		return &c.Rows[i]
	}
	for _, c := range []struct {
		audience    queries.Audience
		where       map[string][]string
		denominator queries.Number
	}{{queries.Inside, nil, "41"}, {queries.Outside, nil, "40"}, {queries.Inside, map[string][]string{"region": {"north"}}, "21"}, {queries.Outside, map[string][]string{"region": {"north"}}, "20"}} {
		got, err := card(c.audience, "2024-01-01", "2024-01-31", c.where)
		if err != nil {
			t.Fatal(err)
		}
		if r := row(got, "granted-share"); r.Problem != "" || r.Cell == nil || r.Cell.Denominator != c.denominator {
			t.Errorf("%q in %v: %+v", c.audience, c.where, r)
		} else if months := r.Months; len(months) != 13 || months[12].Period != "2024-01" || months[12].Denominator != c.denominator {
			t.Errorf("%q in %v, by month: %+v", c.audience, c.where, months)
		}
	}
	for _, c := range []struct {
		audience queries.Audience
		to       string
		where    map[string][]string
		says     string
	}{
		{queries.Outside, "2024-01-30", nil, "is published for a whole month, quarter, year"},
		{"neighbours", "2024-01-31", nil, "allowed: inside, outside"},
		{queries.Inside, "2024-01-31", map[string][]string{"weather": {"fine"}}, "no KPI has the dimension"},
		{queries.Inside, "2024-01-31", map[string][]string{"kind": {"z"}}, "allowed: a"},
	} {
		if _, err := card(c.audience, "2024-01-01", c.to, c.where); problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q up to %s in %v: %v", c.audience, c.to, c.where, err)
		}
	}
}

// TestOutside plays half a year with corrections, and asks at each step what anybody may
// ask. Nobody comes to know a figure of few persons more closely than the rule allows.
func TestOutside(t *testing.T) {
	regions, kinds := []string{"north", "south", "west"}, []string{"a", "b"}
	const k = 5
	checked, shown, fewGranted, waited := 0, 0, 0, 0
	for seed := range uint64(2) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := newTown(t)
		var all []townRequest
		add := func(month reference.Day, most int) (events [][]byte) {
			for _, region := range regions {
				for _, kind := range kinds {
					for range r.IntN(most) {
						x := townRequest{id: len(all), day: month + reference.Day(r.IntN(28)), region: region, kind: kind, granted: r.IntN(3) == 0, person: r.IntN(500)}
						all = append(all, x)
						events = append(events, x.event())
					}
				}
			}
			return events
		}
		everHidden, published := map[string]bool{}, map[string]map[string]bool{}
		for m := range 6 {
			month := reference.DayOf(time.Date(2024, time.Month(m+1), 1, 0, 0, 0, 0, time.UTC))
			next := reference.DayOf(month.Time().AddDate(0, 1, 0))
			n.today = next + 2
			n.send(t, 1, add(month, 16)...)
			if m > 1 && r.IntN(2) == 0 { // a correction of an earlier month
				n.send(t, 1, add(reference.DayOf(month.Time().AddDate(0, -2, 0)), 3)...)
			}
			n.send(t, 1, closed("desk", "request", month, next-1, 0))
			n.publish(t)

			// What one figure hides no other of the same events tells: of what is published first, all of a place is hidden, or nothing.
			together := map[string]int{}
			ids := []string{"granted-share", "grants", "time-granted", "time-taken", "people"}
			for _, id := range ids {
				for _, by := range [][]string{nil, {"region"}} {
					for _, c := range values(t, n.q, queries.Request{KPI: id, From: month, To: next - 1, Grain: queries.Month, By: by, Audience: queries.Outside}).Cells {
						persons, place := map[int]bool{}, fmt.Sprint(c.Period, c.Dims)
						for _, x := range all {
							if x.granted && x.day >= c.From && x.day <= c.To && (by == nil || x.region == c.Dims[0].Value) {
								persons[x.person] = true
							}
						}
						if few := len(persons) > 0 && len(persons) < k; few && c.State != queries.Suppressed {
							t.Errorf("seed %d: %s of %s is shown, where %d were granted something", seed, id, place, len(persons))
						} else if few && id == "granted-share" {
							fewGranted++
						}
						if c.State == queries.Suppressed {
							together[place]++
						}
					}
				}
			}
			for place, hidden := range together {
				if hidden != len(ids) {
					t.Errorf("seed %d: %s is hidden in %d of %d figures", seed, place, hidden, len(ids))
				}
			}

			// What everybody can ask: each table by each period.
			var figures []disclosure.Figure
			var hidden []bool
			at := map[string]int{}
			for _, g := range []queries.Grain{queries.Month, queries.Quarter} {
				for _, by := range [][]string{nil, {"region"}, {"region", "kind"}} {
					to := next - 1
					if g == queries.Quarter {
						to = day([]string{"2024-03-31", "2024-06-30"}[m/3])
					}
					result := values(t, n.q, queries.Request{KPI: "granted-share", From: day("2024-01-01"), To: to, Grain: g, By: by, Audience: queries.Outside})
					for _, c := range result.Cells {
						if c.Open() && len(by) > 0 && c.State != queries.Suppressed {
							t.Fatalf("an open period is told by %v: %s", by, line(c))
						}
						if c.Open() {
							continue
						}
						key := c.Period
						persons, rows, granted := map[int]bool{}, 0, 0
						for _, x := range all {
							if x.day < c.From || x.day > c.To || len(by) > 0 && x.region != c.Dims[0].Value || len(by) > 1 && x.kind != c.Dims[1].Value {
								continue
							}
							rows++
							persons[x.person] = true
							if x.granted {
								granted++
							}
						}
						for _, d := range c.Dims {
							key += "/" + d.Value
						}
						isHidden, earlier := c.State == queries.Suppressed, false
						now := fmt.Sprintf("%d/%d", granted, rows)
						if isHidden {
							if c.Value != nil || c.Cases != nil || c.Numerator != "" || c.Denominator != "" {
								t.Fatalf("a hidden figure has numbers: %+v", c)
							}
						} else if is := fmt.Sprintf("%s/%s", c.Numerator, c.Denominator); is != now {
							if earlier = published[key][is]; !earlier || !slices.ContainsFunc(result.Said, func(n queries.Note) bool { return n.Key == "correction-waits" }) {
								t.Fatalf("%s is published as %s, and is %s", key, is, now)
							}
							waited++
						}
						if !isHidden && !earlier {
							if published[key] == nil {
								published[key] = map[string]bool{}
							}
							published[key][now] = true
						}
						if isHidden && published[key] != nil {
							t.Errorf("%s was shown, and is hidden now", key)
						}
						if everHidden[key] && !isHidden {
							t.Errorf("%s was hidden, and is shown now", key)
						}
						everHidden[key] = everHidden[key] || isHidden
						at[key] = len(figures)
						figures, hidden = append(figures, disclosure.Figure{Persons: len(persons), Amounts: []float64{float64(rows)}}), append(hidden, isHidden || earlier)
					}
				}
			}
			var totals []disclosure.Total
			for key, whole := range at {
				var parts [3][]int
				for other, i := range at {
					switch rest, ok := strings.CutPrefix(other, key+"/"); {
					case ok && !strings.Contains(rest, "/"):
						parts[0] = append(parts[0], i)
					case strings.HasPrefix(key, "2024-Q"):
						quarter := map[string]string{"01": "Q1", "02": "Q1", "03": "Q1", "04": "Q2", "05": "Q2", "06": "Q2"}
						if len(other) > 7-1 && other[5] != 'Q' && "2024-"+quarter[other[5:7]]+other[7:] == key {
							parts[1] = append(parts[1], i)
						}
					}
				}
				for _, list := range parts {
					if len(list) > 0 {
						totals = append(totals, disclosure.Total{Whole: whole, Parts: list})
					}
				}
			}
			for key, i := range at {
				if !hidden[i] {
					shown++
				}
				if f := figures[i]; f.Persons == 0 || f.Persons >= k {
					continue
				}
				if !hidden[i] {
					t.Errorf("%s of %d persons is shown", key, figures[i].Persons)
					continue
				}
				checked++
				low, high := attack.Interval(figures, hidden, totals, 0, i)
				if high != nil && new(big.Rat).Sub(high, low).Cmp(big.NewRat(k, 1)) < 0 {
					t.Errorf("seed %d, month %d: %s of %d persons lies between %s and %s", seed, m+1, key, figures[i].Persons, low.RatString(), high.RatString())
				}
			}
		}
		if seed > 0 {
			continue
		}
		// What is not published is not to be had by asking otherwise.
		for _, c := range []struct {
			request queries.Request
			field   string
		}{
			{queries.Request{From: day("2024-01-01"), To: day("2024-01-30")}, "to"},
			{queries.Request{From: day("2024-01-01"), To: day("2024-02-29")}, "to"},
			{queries.Request{From: day("2024-01-01"), To: day("2024-03-30"), Grain: queries.Month}, "from"},
			{queries.Request{Grain: queries.Week}, "grain"},
			{queries.Request{Grain: queries.Day}, "grain"},
			{queries.Request{Grain: queries.Month, By: []string{"kind"}}, "by"},
			{queries.Request{Grain: queries.Month, By: []string{"granted"}}, "by"},
			{queries.Request{Grain: queries.Month, Where: map[string][]string{"kind": {"a"}}}, "where"},
			{queries.Request{Grain: queries.Month, Where: map[string][]string{"region": {"north", "south"}}}, "where"},
			{queries.Request{Grain: queries.Month, Compare: queries.National}, "compare"},
		} {
			c.request.KPI, c.request.Audience = "granted-share", queries.Outside
			if _, err := n.q.Values(context.Background(), c.request); problem.KindOf(err) != problem.BadInput || problem.DocumentOf(err).Field != c.field || c.field == "by" && !slices.Contains(problem.DocumentOf(err).Allowed, "region") {
				t.Errorf("%+v: %v", c.request, err)
			}
		}
		one := values(t, n.q, queries.Request{KPI: "granted-share", Grain: queries.Month, Where: map[string][]string{"region": {"north"}}, Audience: queries.Outside})
		table := values(t, n.q, queries.Request{KPI: "granted-share", Grain: queries.Month, By: []string{"region"}, Audience: queries.Outside})
		for i, c := range one.Cells {
			same := table.Cells[slices.IndexFunc(table.Cells, func(x queries.Cell) bool { return x.Period == c.Period && x.Dims[0].Value == "north" })]
			if c.State != same.State || c.Denominator != same.Denominator {
				t.Errorf("month %d of the north is %s alone and %s in the table", i, line(c), line(same))
			}
		}
		// Rows that are not in a figure are not counted beside it: they may be of one person.
		for _, id := range []string{"grants", "time-granted"} {
			for _, audience := range []queries.Audience{queries.Outside, queries.Inside} {
				for _, c := range values(t, n.q, queries.Request{KPI: id, Grain: queries.Month, By: []string{"region"}, Audience: audience}).Cells {
					if c.Cases != nil && (id != "grants" || string(c.Numerator) != fmt.Sprint(*c.Cases)) {
						t.Errorf("%s: %s is told with %d rows", id, line(c), *c.Cases)
					}
				}
			}
		}
		// Medians and numbers of different persons are hidden with few persons, too.
		for _, id := range []string{"time-taken", "people"} {
			result := values(t, n.q, queries.Request{KPI: id, Grain: queries.Month, By: []string{"region"}, Audience: queries.Outside})
			waits := slices.ContainsFunc(result.Said, func(n queries.Note) bool { return n.Key == "correction-waits" })
			for _, c := range result.Cells {
				persons := map[int]bool{}
				for _, x := range all {
					if x.day >= c.From && x.day <= c.To && x.region == c.Dims[0].Value {
						persons[x.person] = true
					}
				}
				if c.State != queries.Suppressed && len(persons) > 0 && len(persons) < k {
					t.Errorf("%s of %d persons is shown: %s", id, len(persons), line(c))
				}
				if id == "people" && c.State == queries.HasValue && *c.Value != float64(len(persons)) && (!waits || *c.Value > float64(len(persons))) { // nobody is ever taken back here
					t.Errorf("people: %s, and they are %d", line(c), len(persons))
				}
			}
		}
	}
	t.Logf("%d hidden figures were attacked; %d were shown; in %d places few were granted something", checked, shown, fewGranted)
	if waited == 0 {
		t.Error("no correction waited: nothing is known of those that do")
	}
	if checked < 20 || shown < 100 || fewGranted < 10 {
		t.Errorf("%d hidden figures were attacked, %d shown, %d places of few grants: this proves little", checked, shown, fewGranted)
	}
}

// TestSpecial: figures of a contract with special fields are those that are published, also
// inside, for quarters and regions at the least.
// TestWhatHidesWhat: three wrong visits hide the share of right ones, which would tell their number by what is missing to all, and
// neither what was paid nor the visits to another room.
func TestWhatHidesWhat(t *testing.T) {
	n := newTown(t)
	var events [][]byte
	add := func(count int, room string, wrong bool) {
		for range count {
			id := len(events)
			events = append(events, fmt.Appendf(nil, `{"specversion":"1.0","type":"town.visit.v1","source":"desk","id":"v%d","time":"2024-01-%02dT09:00:00Z","data":{"person":"+9989000%05d","region":"north","paid":%d,"wrong":%t,"room":%q}}`, id, 2+id%20, id, 10+id, wrong, room))
		}
	}
	add(30, "red", false)
	add(3, "red", true)
	add(20, "blue", false)
	n.today = day("2024-03-01")
	n.send(t, 1, events...)
	n.send(t, 1, closed("desk", "visit", day("2024-01-01"), day("2024-01-31"), 0))
	n.publish(t)
	for id, want := range map[string]queries.State{"visits-paid": queries.HasValue, "visits-wrong": queries.Suppressed, "visits-right": queries.Suppressed, "visits-blue": queries.HasValue} {
		cell := values(t, n.q, queries.Request{KPI: id, From: day("2024-01-01"), To: day("2024-01-31"), Grain: queries.Month, Audience: queries.Outside}).Cells[0]
		if cell.State != want {
			t.Errorf("%s is told as %s, want %s", id, line(cell), want)
		}
	}
}

func TestSpecial(t *testing.T) {
	n := newTown(t)
	n.today = day("2024-04-05")
	var events [][]byte
	for i := range 60 {
		region := "north"
		if i < 3 {
			region = "south"
		} else if i < 20 {
			region = "west"
		}
		events = append(events, fmt.Appendf(nil, `{"specversion":"1.0","type":"town.stay.v1","source":"ward","id":"s%d","time":"2024-0%d-05T10:00:00+05:00","data":{"person":"+9989%08d","region":%q}}`, i, 1+i%3, i, region))
	}
	n.send(t, 1, events...)
	ask := func(by ...string) string {
		return lines(values(t, n.q, queries.Request{KPI: "stays", Grain: queries.Quarter, By: by}).Cells)
	}
	if got := ask(); got != "2024-Q1 60 60 value open" {
		t.Errorf("open: %s", got)
	}
	n.today = day("2024-04-20")
	n.publish(t)
	if got := ask(); got != "2024-Q1 60 60 value" {
		t.Errorf("closed: %s", got)
	}
	if got := ask("region"); got != "2024-Q1 north 40 40 value\n2024-Q1 south  null suppressed\n2024-Q1 west  null suppressed" {
		t.Errorf("by regions: %s", got)
	}
	for _, r := range []queries.Request{{Grain: queries.Month}, {Grain: queries.Quarter, By: []string{"illness"}}, {From: day("2024-01-01"), To: day("2024-02-29")}} {
		r.KPI = "stays"
		if _, err := n.q.Values(context.Background(), r); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%+v: %v", r, err)
		}
	}
	// What is published of it is held against the last period that had ended, which the half of a
	// quarter is not.
	claim := &kpi.Target{KPI: "stays", Kind: kpi.Claim, Act: kpi.Act{Title: "News", InForce: reference.NoDay}, Comparator: kpi.AtLeast, Value: 50, Due: reference.NoDay, Period: always}
	held := queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{K: 5, Targets: []*kpi.Target{claim}, Closing: map[string]time.Duration{"ward": 240 * time.Hour}, Now: func() time.Time { return n.today.Time().Add(8 * time.Hour) }})
	if got, err := held.Targets(context.Background(), queries.TargetsRequest{On: day("2024-04-15")}); err != nil {
		t.Error(err)
	} else if p := got.Promises[0]; p.Problem != "" || p.Cell == nil || p.Cell.Period != "2024-Q1" || p.Measured == nil || *p.Measured != 60 || p.Holds == nil || !*p.Holds {
		t.Errorf("a claim: %q, %+v, %+v", p.Problem, p.Cell, p.TargetStatus)
	}
	// Nothing is offered that is refused.
	k := n.pack.KPIs[slices.IndexFunc(n.pack.KPIs, func(k *kpi.KPI) bool { return k.ID == "stays" })]
	sets, grains := queries.Tables(&k.Versions[0], true)
	for _, by := range sets {
		for _, grain := range grains {
			values(t, n.q, queries.Request{KPI: "stays", Grain: grain, By: by})
		}
	}
	if len(sets) != 2 || len(grains) != 2 {
		t.Errorf("offered: %v by %v", sets, grains)
	}
}
