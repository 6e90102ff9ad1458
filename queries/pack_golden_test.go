package queries_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/simulate"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestGoldenPack asks for every KPI and variant of the embedded pack, on the engine, over the
// simulated half of a year of all systems, of which a thirtieth was withdrawn: for the whole of
// it, by the main dimension and by month. Three things are held against each
// other, and each proves something else:
//
//   - testdata/pack/<kpi>.txt has the request, the SQL and the cells. It shows what changed,
//     and proves nothing about what was there first.
//   - [plainly] computes every cell again from the events that stand: without signs,
//     rollups and the compiler of questions, by the very text of the formulae as the
//     engine's own aggregates, on the engine. It proves that rollups, choice of table,
//     retraction, matching and stocks do not change what a formula says.
//   - [byHand] counts some KPIs in Go, over the lines that the simulation wrote. It proves
//     that what a definition says in words is what the formula, the check at the door and
//     the tables make of it.
//
// After a change that was meant, record with: go test ./queries -run TestGolden -record
func TestGoldenPack(t *testing.T) {
	n := halfYear(t)
	q := queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{Targets: n.pack.Targets, K: 5, Now: func() time.Time { return askedOn.Time().Add(12 * time.Hour) }})
	if *record {
		if err := os.RemoveAll(filepath.Join("testdata", "pack")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join("testdata", "pack"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	compared, silent := 0, []string{}
	for _, k := range n.pack.KPIs {
		t.Run(k.ID, func(t *testing.T) {
			var out strings.Builder
			for _, variant := range k.Variants() {
				v, err := k.Select(variant, 0, n.to)
				if err != nil {
					t.Fatal(err)
				}
				cases := []queries.Request{{}, {Grain: queries.Month}}
				if d := mainDimension(v); d != "" {
					cases = append(cases, queries.Request{By: []string{d}})
				}
				if n.special(v) { // told for whole quarters; by regions what was published
					cases = []queries.Request{{}, {Grain: queries.Quarter}}
				}
				for _, r := range cases {
					r.KPI, r.Variant, r.From, r.To, r.Plan = k.ID, variant, n.from, n.to, true
					if v.Distinct != nil && r.Grain == queries.Whole || n.special(v) { // whole calendar periods alone
						r.From, r.To = day("2024-07-01"), day("2024-09-30")
					}
					result := values(t, q, r)
					writeGolden(&out, r, result)
					compared += n.plainly(t, k, v, r, result)
					if len(r.By) == 0 && r.Grain == queries.Whole {
						if result.Cells[0].Value == nil && variant == "" {
							silent = append(silent, k.ID)
						}
						n.byHand(t, r, result)
					}
				}
			}
			golden(t, filepath.Join("testdata", "pack", k.ID+".txt"), out.String())
		})
	}
	t.Run("level", func(t *testing.T) { level(t, n, q) })
	t.Run("gap", func(t *testing.T) { listed(t, n, q) })
	t.Run("choice", func(t *testing.T) { choice(t, n, q) })
	t.Run("scale", func(t *testing.T) { scaled(t, n, q) })
	t.Run("rollups", func(t *testing.T) { asked(t, n, q) })
	files, err := filepath.Glob(filepath.Join("testdata", "pack", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(n.pack.KPIs) {
		t.Errorf("%d goldens for %d KPIs", len(files), len(n.pack.KPIs))
	}
	t.Logf("%d cells were computed a second time; no value: %s", compared, strings.Join(silent, ", "))
	if len(silent) > len(n.pack.KPIs)/10 {
		t.Errorf("too many KPIs have no value in the simulated half of a year: %s", strings.Join(silent, ", "))
	}
}

// level: what there is by the end of a month does not hang on the day from which one looks.
func level(t *testing.T, n *half, q *queries.Queries) {
	whole := values(t, q, queries.Request{KPI: "registered-users", From: n.from, To: n.to, Grain: queries.Month}).Cells
	cut := values(t, q, queries.Request{KPI: "registered-users", From: n.from + 20, To: n.to, Grain: queries.Month}).Cells
	if len(whole) != len(cut) || cut[0].Value == nil || *cut[0].Value < 10_000 {
		t.Fatalf("%d and %d cells, the first %+v", len(whole), len(cut), cut[0])
	}
	for i := range whole {
		if *whole[i].Value != *cut[i].Value {
			t.Errorf("%s: %g, from a day in the month %g", whole[i].Period, *whole[i].Value, *cut[i].Value)
		}
	}
}

// listed: what is missing can be listed for every KPI, or it is said why no list of it makes sense.
func listed(t *testing.T, n *half, q *queries.Queries) {
	lists := 0
	for _, k := range n.pack.KPIs {
		gap, err := q.Gap(context.Background(), queries.GapRequest{KPI: k.ID, From: n.from, To: n.to})
		switch {
		case err == nil && gap.By != "":
			lists++
		case problem.KindOf(err) != problem.BadInput || strings.Contains(err.Error(), "has no dimension"):
			t.Errorf("%s: %v", k.ID, err)
		}
	}
	if lists < len(n.pack.KPIs)/3 {
		t.Errorf("%d of %d KPIs have a list", lists, len(n.pack.KPIs))
	}
}

// choice: of all tables that can answer, the plan names the one with the fewest rows that are
// there: a breakdown by region leaves the services aside.
func choice(t *testing.T, n *half, q *queries.Queries) {
	plans := map[string]*queries.Plan{}
	for _, by := range []string{"", "region", "service", "region,intake", "region,service"} {
		r := queries.Request{KPI: "requests", From: n.from, To: n.to, Plan: true}
		if by != "" {
			r.By = strings.Split(by, ",")
		}
		plans[by] = values(t, q, r).Plan
		dims := strings.Split(plans[by].Table, "__time__")
		for _, rollup := range n.w.Rollups(n.w.Contract("request.decided")) {
			fits := rollup.At == "time" && (len(rollup.Dims) > 1 || slices.Contains(rollup.Dims, "_source") && by == "")
			for _, d := range r.By {
				fits = fits && slices.Contains(rollup.Dims, d)
			}
			rows, err := n.w.Rows(context.Background(), n.w.Table(rollup))
			if err != nil {
				t.Fatal(err)
			}
			if _, holds := rollup.Column(kpi.Term{Func: kpi.CountRows}); fits && holds && rows < plans[by].Rows && declared(n.pack, "requests", rollup.Dims) {
				t.Errorf("by %q is read from %s with %d rows, and %s has %d", by, plans[by].Table, plans[by].Rows, rollup.Name, rows)
			}
		}
		if by == "region,service" && len(dims) > 1 { // no set has both
			t.Errorf("by %q is read from %s", by, plans[by].Table)
		}
	}
	if !(plans[""].Rows < plans["region"].Rows && plans["region"].Rows < plans["service"].Rows && plans["region"].Rows < plans["region,intake"].Rows) {
		t.Errorf("rows that were read: %d as a whole, %d by region, %d by service, %d by region and intake", plans[""].Rows, plans["region"].Rows, plans["service"].Rows, plans["region,intake"].Rows)
	}
}

// scaled: what is simulated at a scale says so, by what its events tell, and what is there in full does not.
func scaled(t *testing.T, n *half, q *queries.Queries) {
	for id, percent := range map[string]string{"requests": "0.3", "certificate-requests": "0.3", "registered-users": "0.3", "exchange-volume": "0.3", "hosted-systems": "30",
		"project-count": "", "service-count": "", "proactive-service-count": ""} {
		r := values(t, q, queries.Request{KPI: id, From: n.from, To: n.to})
		told := ""
		if i := slices.IndexFunc(r.Said, func(n queries.Note) bool { return n.Key == "scale" }); i >= 0 {
			told = r.Said[i].Parameters["percent"]
		}
		if told != percent || !r.Simulated {
			t.Errorf("%s is told to be at %q %% of life (simulated: %t), and is at %q", id, told, r.Simulated, percent)
		}
	}
	promises, err := q.Targets(context.Background(), queries.TargetsRequest{On: n.to})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range promises.Promises {
		if p.KPI == "registered-users" && p.Holds != nil {
			t.Errorf("%g registered users of a simulation at another scale are held against %g: %t", *p.Measured, *p.Value, *p.Holds)
		}
		if p.Comparator == kpi.UpTo && (p.Measured == nil || p.Holds != nil && !*p.Holds) { // among fewer the largest is smaller
			t.Errorf("%s: the largest of a simulation at another scale refutes a maximum, or is not told: %+v", p.KPI, p.TargetStatus)
		}
	}
}

// asked: each rollup is read for some question that a KPI allows, so that none is kept for nobody.
func asked(t *testing.T, n *half, q *queries.Queries) {
	read := map[string]bool{}
	note := func(r queries.Request) {
		result, err := q.Values(context.Background(), r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		for _, found := range readTables.FindAllStringSubmatch(result.Plan.SQL, -1) {
			read[found[1]] = true
		}
	}
	for _, k := range n.pack.KPIs {
		for i := range k.Versions {
			v := &k.Versions[i]
			r := queries.Request{KPI: k.ID, Variant: v.Variant, Version: v.Version, From: n.from, To: n.to, Plan: true}
			if v.Basis != kpi.Events || v.Distinct != nil || v.Match != nil {
				continue
			}
			if v.Grain == "hour" {
				r.Grain, r.From = queries.Hour, n.to-1
			}
			if n.special(v) { // told as it was published, by these sets
				for _, side := range v.Sides() {
					for _, rollup := range n.w.Rollups(n.w.Contract(side.From)) {
						read[rollup.Name] = read[rollup.Name] || slices.ContainsFunc(v.Published, func(set []string) bool { return slices.Equal(set, rollup.Dims) })
					}
				}
				continue
			}
			note(r)
			for _, r.By = range v.Rollups {
				note(r)
			}
		}
	}
	for _, c := range n.pack.Set.All() {
		for i, r := range n.w.Rollups(n.w.Contract(c.Name)) {
			if i > 0 && !read[r.Name] && !slices.Equal(r.Dims, []string{contract.ColumnSource}) {
				t.Errorf("no question reads %s", r.Name)
			}
		}
	}
}

var readTables = regexp.MustCompile("rollups`\\.`(\\w+)`")

// declared says whether a KPI's default definition declares a set.
func declared(p *pack.Pack, id string, set []string) bool {
	k := p.KPIs[slices.IndexFunc(p.KPIs, func(k *kpi.KPI) bool { return k.ID == id })]
	return slices.ContainsFunc(k.Versions[0].Rollups, func(s []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(s)), slices.Sorted(slices.Values(set)))
	})
}

// special says whether a version reads a contract with special fields.
func (n *half) special(v *kpi.Version) bool {
	return slices.ContainsFunc(v.Sides(), func(s kpi.Side) bool { return n.w.Contract(s.From).Special() })
}

// mainDimension is the one by which a figure is first looked at.
func mainDimension(v *kpi.Version) string {
	all := v.Dimensions()
	for _, d := range append([]string{"region", "agency", "owner"}, all...) {
		if slices.Contains(all, d) {
			return d
		}
	}
	return ""
}

func writeGolden(out *strings.Builder, r queries.Request, result *queries.Result) {
	request := []string{"from=" + r.From.String(), "to=" + r.To.String()}
	for name, value := range map[string]string{"variant": r.Variant, "grain": string(r.Grain), "by": strings.Join(r.By, ",")} {
		if value != "" {
			request = append(request, name+"="+value)
		}
	}
	slices.Sort(request[2:])
	fmt.Fprintf(out, "== %s?%s\n%s: %s\n", r.KPI, strings.Join(request, "&"), databases.ReplaceAllString(unprefixed.ReplaceAllString(result.Plan.Table, "$1"), "$1"), result.Plan.Why)
	out.WriteString(databases.ReplaceAllString(result.Plan.SQL, "`$1`") + "\n")
	for _, name := range slices.Sorted(maps.Keys(result.Plan.Bindings)) {
		fmt.Fprintf(out, "-- {%s} = %s\n", name, result.Plan.Bindings[name])
	}
	fmt.Fprintf(out, "-> period,%snumerator,denominator,value,state,cases\n", strings.Join(append(slices.Clone(r.By), ""), ","))
	for _, c := range result.Cells {
		out.WriteString(c.Period)
		for _, d := range c.Dims {
			out.WriteString("," + d.Value)
		}
		fmt.Fprintf(out, ",%s,%s,%s,%s,%s\n", c.Numerator, c.Denominator, shown(c.Value), c.State, shown(c.Cases))
	}
	out.WriteByte('\n')
}

var unprefixed = regexp.MustCompile(`^t[0-9]+_(facts|rollups)`)

// shown is a number as it is recorded: the twelfth digit of a quotient is nobody's.
func shown[T int64 | float64](n *T) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*n), 'g', 12, 64)
}

// half is a warehouse of the embedded pack with half a year, simulated, and the lines
// that stand.
type half struct {
	pack     *pack.Pack
	w        *warehouse.Warehouse
	from, to reference.Day
	standing map[string][][]byte // contract, as "request.decided" → lines that were not withdrawn
}

type event struct {
	Time time.Time      `json:"time"`
	Data map[string]any `json:"data"`
}

// halfYear is that warehouse. All tests of a run share one: nobody writes to it.
func halfYear(t *testing.T) *half {
	t.Helper()
	sharedHalf.Do(func() { sharedHalf.half = newHalfYear(t) })
	if sharedHalf.half == nil {
		t.Fatal("the half of a year could not be loaded; an earlier test says why")
	}
	return sharedHalf.half
}

var sharedHalf struct {
	sync.Once
	half *half
}

func newHalfYear(t *testing.T) *half {
	t.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	n := &half{from: day("2024-06-01"), to: day("2024-11-30"), standing: map[string][][]byte{}}
	if n.pack, err = pack.Read(files, pack.Checks{}); err != nil {
		t.Fatal(err)
	}
	g, err := simulate.New(n.pack, simulate.Options{Seed: 1, Scale: 0.003, From: n.from, To: n.to, LateShare: 0.01, Systems: true})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if _, err := g.WriteTo(context.Background(), &lines, nil); err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	if n.w, err = warehouse.Open(context.Background(), warehousetest.Config(t, warehousetest.Prefix()), n.pack.Set, n.pack.KPIs); err != nil {
		t.Fatal(err)
	}
	if err := n.w.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := n.w.MigrateViews(context.Background(), n.pack.Reference); err != nil {
		t.Fatal(err)
	}
	batch := contract.NewChecker(n.pack.Set, keys, contract.Limits{}).NewBatch()
	sent := map[string][][]byte{} // type → lines
	for i, line := range bytes.Split(bytes.TrimSpace(lines.Bytes()), []byte{'\n'}) {
		if refusal := batch.Add(i, line); refusal != nil {
			t.Fatalf("%+v", refusal)
		}
		_, typ, _ := bytes.Cut(line, []byte(`"type":"`))
		typ, _, _ = bytes.Cut(typ, []byte{'"'})
		sent[string(typ)] = append(sent[string(typ)], line)
	}
	for _, part := range batch.Parts() {
		lines := sent[part.Contract.Type]
		rows := int(part.Record.NumRows())
		if len(lines) != rows {
			t.Fatalf("%s: %d rows of %d events", part.Contract.Type, rows, len(lines))
		}
		first, end := rows/3, rows/3+rows/30 // withdrawn
		n.standing[part.Contract.Name] = slices.Concat(lines[:first], lines[end:])
		var stream bytes.Buffer
		whole := warehousetest.Signed(part.Record, 1, receivedOn)
		writer := ipc.NewWriter(&stream, ipc.WithSchema(whole.Schema()))
		write := func(r arrow.Record) {
			if err := writer.Write(r); err != nil {
				t.Fatal(err)
			}
		}
		write(whole)
		if end > first {
			write(warehousetest.Signed(part.Record.NewSlice(int64(first), int64(end)), -1, receivedOn))
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := n.w.InsertFacts(context.Background(), part.Contract, &stream); err != nil {
			t.Fatal(err)
		}
		if err := n.w.ApplyRollups(context.Background(), part.Contract, receivedOn, 1); err != nil {
			t.Fatal(err)
		}
		part.Record.Release()
	}
	return n
}

// receivedOn is the day on which the journal received everything, in one plan: each table
// is one part, so that no merge changes how many rows it has.
var receivedOn, askedOn = day("2024-12-10"), day("2024-12-15")

// stands is the query of a contract's rows that were not withdrawn, with all moments on
// the country's clocks.
func (n *half) stands(c *contract.Contract) string {
	local := []string{"toTimeZone(time, 'Asia/Tashkent') AS time"}
	for _, f := range c.Fields {
		if f.Type == contract.Timestamp {
			local = append(local, fmt.Sprintf("toTimeZone(%[1]s, 'Asia/Tashkent') AS %[1]s", f.Name))
		}
	}
	return fmt.Sprintf("(SELECT * REPLACE (%s) FROM %s WHERE _id NOT IN (SELECT _id FROM %[2]s WHERE _sign < 0))", strings.Join(local, ", "), n.w.Facts(c))
}

// its are the fields of the other row in a match.
var its = regexp.MustCompile(`\bits\.(\w+)`)

// matching gives a query of rows the columns of a version's matches: whether the row is
// among those that a join with the other contract finds, or what the first of them has.
func (n *half) matching(v *kpi.Version, rows, asOf string) string {
	rows = fmt.Sprintf("(SELECT *, toDate('%s') AS as_of FROM %s)", asOf, rows)
	columns := "*"
	for _, m := range v.Match {
		other := n.w.Contract(m.In)
		fields, on := map[string]bool{}, []string{}
		for _, p := range m.On {
			fields[p.Its] = true
			on = append(on, fmt.Sprintf("toString(own.%s) = toString(its.its_%s)", p.Own, p.Its))
		}
		fields["time"], fields["_seq"] = true, true
		for _, found := range its.FindAllStringSubmatch(m.When+" "+m.Newest, -1) {
			fields[found[1]] = true
		}
		var renamed []string
		for _, f := range slices.Sorted(maps.Keys(fields)) {
			renamed = append(renamed, f+" AS its_"+f)
		}
		when := "1"
		if m.When != "" {
			when = its.ReplaceAllString(m.When, "its_$1")
		}
		joined := func(names string) string {
			return fmt.Sprintf("%s AS own INNER JOIN (SELECT %s FROM %s) AS its ON %s WHERE %s", rows, names, n.stands(other), strings.Join(on, " AND "), when)
		}
		if m.First != "" {
			names := strings.Join(append(renamed, m.First+" AS its_first"), ", ")
			first := "(SELECT mapFromArrays(groupArray(id), groupArray(first)) FROM (SELECT toString(own._id) AS id, argMin(its_first, (its_time, its__seq)) AS first FROM " + joined(names) + " GROUP BY id) WHERE isNotNull(first))"
			columns += fmt.Sprintf(", if(mapContains(%[1]s, toString(_id)), %[1]s[toString(_id)], NULL) AS %[2]s", first, m.Name)
			continue
		}
		having := ""
		if m.Newest != "" {
			having = " GROUP BY own._id HAVING argMax(toBool(" + its.ReplaceAllString(m.Newest, "its_$1") + "), (its_time, its__seq))"
		}
		columns += fmt.Sprintf(", _id IN (SELECT own._id FROM %s%s) AS %s", joined(strings.Join(renamed, ", ")), having, m.Name)
	}
	return "(SELECT " + columns + " FROM " + rows + ")"
}

// said is a formula as the engine's own aggregates: as the pack writes it, or term by
// term where the terms name their contract.
func said(f *kpi.Formula, side kpi.Side) string {
	if f.Terms[0].From == "" {
		return f.Text
	}
	text := "0"
	for _, t := range f.Terms {
		if !side.Counts(t) {
			continue
		}
		aggregate := t.Func.String() + "If(" + strings.Trim(t.Of+", "+cond(t.If), ", ") + ")"
		text += fmt.Sprintf(" + %d * %s", t.Coefficient, aggregate)
	}
	return text
}

func cond(condition string) string {
	if condition == "" {
		return "true"
	}
	return condition
}

// told is what the rows that stand say of one cell.
type told struct {
	numerator, denominator big.Rat
	quantiles              []*float64
}

// plainly holds every cell of an answer against the same from the rows that stand, and
// returns how many cells it could compare.
func (n *half) plainly(t *testing.T, k *kpi.KPI, v *kpi.Version, r queries.Request, result *queries.Result) int {
	t.Helper()
	compared := 0
	periods := map[string]map[string]*told{}
	for _, c := range result.Cells {
		if c.State == queries.Suppressed {
			continue
		}
		if periods[c.Period] == nil {
			periods[c.Period] = n.plainPeriod(t, v, r.By, c.From, c.To)
		}
		by, place := "", c.Period
		for _, d := range c.Dims {
			by, place = d.Value, place+" "+d.Name+"="+d.Value
		}
		want := periods[c.Period][by]
		if want == nil {
			want = &told{}
		}
		compared++
		n.hold(t, place, k, v, c, want)
	}
	return compared
}

// plainPeriod asks the engine for one period, by at most one dimension.
func (n *half) plainPeriod(t *testing.T, v *kpi.Version, by []string, from, to reference.Day) map[string]*told {
	t.Helper()
	found := map[string]*told{}
	if v.Backlog != nil {
		return n.plainBacklog(t, v, by, to)
	}
	for _, side := range v.Sides() {
		c := n.w.Contract(side.From)
		rows, at := n.stands(c), side.At
		if at == "" {
			at = "time"
		}
		condition, asOf := fmt.Sprintf("toDate(%s) BETWEEN '%s' AND '%s'", at, from, to), askedOn
		if v.Running {
			condition = fmt.Sprintf("toDate(%s) <= '%s'", at, to)
		}
		switch v.Basis {
		case kpi.Stock:
			rows = fmt.Sprintf("(SELECT * FROM %s WHERE toDate(time) <= '%s' ORDER BY time DESC, _seq DESC LIMIT 1 BY %s)", rows, to, v.Key)
			condition, asOf = "1", to
		case kpi.Reported:
			condition = fmt.Sprintf("%s >= '%s' AND %s <= '%s' AND (%s)", c.Window.From, from, c.Window.To, to, cond(v.Only))
		}
		if v.Matures > 0 {
			condition += fmt.Sprintf(" AND toDate(%s) <= '%s'", at, askedOn-reference.Day(v.Matures))
		}
		if len(v.Match) > 0 || v.Basis == kpi.Stock {
			rows = n.matching(v, rows, asOf.String())
		}
		columns := []string{"''", "'0'", "'0'"}
		for _, d := range by {
			columns[0] = "ifNull(toString(" + d + "), '')"
		}
		for i, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
			if f != nil {
				columns[i+1] = "ifNull(toString(" + said(f, side) + "), '0')"
			}
		}
		if d := v.Distinct; d != nil {
			columns[1] = fmt.Sprintf("toString(uniqExactIf(%s, ifNull(toString(%[1]s), '') != '' AND (%s)))", d.Of, cond(d.If))
		}
		if d := v.Distribution; d != nil {
			for _, p := range d.Quantiles {
				columns = append(columns, fmt.Sprintf("toNullable(toFloat64(quantileExactInclusiveIf(%g)(toFloat64(%s), %s)))", p, d.Of, cond(d.If)))
			}
		}
		sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + rows + " WHERE " + condition + " GROUP BY " + columns[0]
		err := n.w.Each(context.Background(), sql, nil, func(scan warehouse.Scan) error {
			var key, numerator, denominator string
			quantiles := make([]*float64, len(columns)-3)
			dest := []any{&key, &numerator, &denominator}
			for i := range quantiles {
				dest = append(dest, &quantiles[i])
			}
			if err := scan(dest...); err != nil {
				return err
			}
			if found[key] == nil {
				found[key] = &told{}
			}
			found[key].quantiles = quantiles
			for sum, text := range map[*big.Rat]string{&found[key].numerator: numerator, &found[key].denominator: denominator} {
				more, ok := new(big.Rat).SetString(text)
				if !ok {
					t.Fatalf("%q is no number", text)
				}
				sum.Add(sum, more)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, sql)
		}
	}
	if v.Per != nil {
		for key, one := range found {
			one.denominator.SetInt64(0)
			for _, row := range n.pack.Reference.Table(v.Per.Table).Rows() {
				if len(by) == 0 || row.Code == key {
					count, ok := new(big.Rat).SetString(row.Value(v.Per.Column))
					if !ok {
						t.Fatalf("%s of %s is no number", v.Per.Column, row.Code)
					}
					one.denominator.Add(&one.denominator, count)
				}
			}
			one.denominator.Quo(&one.denominator, big.NewRat(v.Per.Each, 1))
		}
	}
	return found
}

// plainBacklog joins what entered with what left, key by key.
func (n *half) plainBacklog(t *testing.T, v *kpi.Version, by []string, on reference.Day) map[string]*told {
	t.Helper()
	b := v.Backlog
	enters, leaves := n.stands(n.w.Contract(b.Enters)), n.stands(n.w.Contract(b.Leaves))
	key := "''"
	for _, d := range by {
		key = "ifNull(toString(" + d + "), '')"
	}
	waiting := fmt.Sprintf(`SELECT %[1]s AS place, toDate('%[2]s') - toDate(time) AS age FROM %[3]s WHERE toDate(time) <= '%[2]s' AND %[4]s NOT IN (SELECT %[4]s FROM %[5]s)
		UNION ALL SELECT %[1]s, toDate('%[2]s') - toDate(%[6]s) FROM %[5]s WHERE toDate(%[6]s) <= '%[2]s' AND toDate(time) > '%[2]s'`, key, on, enters, b.On, leaves, b.Entered)
	columns := ""
	for _, p := range b.Quantiles {
		columns += fmt.Sprintf(", toNullable(toFloat64(quantileExactInclusive(%g)(age)))", p)
	}
	found := map[string]*told{}
	err := n.w.Each(context.Background(), "SELECT place"+columns+" FROM ("+waiting+") GROUP BY place", nil, func(scan warehouse.Scan) error {
		var place string
		one := &told{quantiles: make([]*float64, len(b.Quantiles))}
		dest := []any{&place}
		for i := range one.quantiles {
			dest = append(dest, &one.quantiles[i])
		}
		err := scan(dest...)
		found[place] = one
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// hold compares one cell.
func (n *half) hold(t *testing.T, place string, k *kpi.KPI, v *kpi.Version, c queries.Cell, want *told) {
	t.Helper()
	if v.Quantiles() != nil {
		if want.quantiles == nil {
			if c.State == queries.HasValue || c.State == queries.Zero {
				t.Errorf("%s: %s, plainly nothing", place, c.State)
			}
			return
		}
		for i, have := range c.Quantiles {
			if exact := want.quantiles[i]; exact == nil || math.Abs(have.Value-*exact) > 0.01*math.Abs(*exact)+1e-9 {
				t.Errorf("%s: quantile %g is %g, plainly %s", place, have.Q, have.Value, shown(exact))
			}
		}
		return
	}
	if c.State != queries.HasValue && c.State != queries.Zero && c.State != queries.NotApplicable {
		if want.numerator.Sign() != 0 || want.denominator.Sign() != 0 {
			t.Errorf("%s: %s, plainly %s ÷ %s", place, c.State, want.numerator.RatString(), want.denominator.RatString())
		}
		return
	}
	for name, pair := range map[string]struct {
		have queries.Number
		want *big.Rat
	}{"numerator": {c.Numerator, &want.numerator}, "denominator": {c.Denominator, &want.denominator}} {
		have := new(big.Rat)
		if _, ok := have.SetString(string(pair.have)); !ok && pair.have != "" || have.Cmp(pair.want) != 0 {
			t.Errorf("%s: %s is %s, plainly %s", place, name, pair.have, pair.want.RatString())
		}
	}
	if c.Value == nil {
		if want.denominator.Sign() != 0 || v.Denominator == nil && v.Per == nil && c.State != queries.NotApplicable {
			t.Errorf("%s: no value, plainly %s ÷ %s", place, want.numerator.RatString(), want.denominator.RatString())
		}
		return
	}
	value, _ := want.numerator.Float64()
	switch {
	case v.Denominator != nil || v.Per != nil:
		below, _ := want.denominator.Float64()
		if value /= below; k.Unit == kpi.Percent {
			value *= 100
		}
	case k.ID == "payment-volume" || k.ID == "discount-granted":
		value /= 100 // counted in tiyin
	}
	if math.Abs(*c.Value-value) > 1e-9*math.Abs(value) {
		t.Errorf("%s: the value is %g, plainly %g", place, *c.Value, value)
	}
}

// byHand counts, for KPIs that it knows, over the lines that stand.
func (n *half) byHand(t *testing.T, r queries.Request, result *queries.Result) {
	t.Helper()
	in := func(at time.Time) bool {
		d := reference.DayOf(at.In(zone))
		return d >= r.From && d <= r.To
	}
	read := map[string][]event{}
	standing := func(name string) []event {
		if read[name] == nil {
			for _, line := range n.standing[name] {
				var e event
				if err := json.Unmarshal(line, &e); err != nil {
					t.Fatal(err)
				}
				read[name] = append(read[name], e)
			}
		}
		return read[name]
	}
	count := func(name string, ok func(e event) bool) (sum float64) {
		for _, e := range standing(name) {
			if in(e.Time) && ok(e) {
				sum++
			}
		}
		return sum
	}
	add := func(name, field string) (sum float64) {
		for _, e := range standing(name) {
			if v, told := e.Data[field].(float64); told && in(e.Time) {
				sum += v
			}
		}
		return sum
	}
	is := func(field string, values ...any) func(event) bool {
		return func(e event) bool { return slices.Contains(values, e.Data[field]) }
	}
	all := func(event) bool { return true }
	not := func(f func(event) bool) func(event) bool { return func(e event) bool { return !f(e) } }
	both := func(f, g func(event) bool) func(event) bool { return func(e event) bool { return f(e) && g(e) } }
	moment := func(e event, field string) time.Time {
		text, told := e.Data[field].(string)
		if !told {
			return time.Time{}
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	distinct := func(name, field string, ok func(event) bool) float64 {
		set := map[any]bool{}
		for _, e := range standing(name) {
			if v := e.Data[field]; v != nil && v != "" && in(e.Time) && ok(e) {
				set[v] = true
			}
		}
		return float64(len(set))
	}
	percent := func(part, whole float64) float64 { return 100 * part / whole }
	settled := not(is("outcome", "withdrawn"))
	certificate := func(e event) bool {
		row, ok := n.pack.Reference.Table("services").Get(e.Data["service"].(string))
		return ok && row.Value("kind") == "certificate"
	}
	electronic := is("processing", "automatic", "officer_online")
	var want float64
	switch id := r.KPI + " " + r.Variant; strings.TrimSpace(id) {
	case "requests":
		want = count("request.decided", all)
	case "requests submitted":
		want = count("request.submitted", all)
	case "certificate-requests":
		want = count("request.decided", certificate)
	case "online-processing-share":
		want = percent(count("request.decided", both(settled, electronic)), count("request.decided", settled))
	case "certificate-online-share":
		want = percent(count("request.decided", both(both(settled, certificate), electronic)), count("request.decided", both(settled, certificate)))
	case "on-time-share":
		due, met := 0.0, 0.0
		for _, name := range []string{"request.submitted", "request.decided"} {
			for _, e := range standing(name) {
				deadline := moment(e, "deadline")
				switch {
				case deadline.IsZero() || !in(deadline):
				case name == "request.submitted":
					due++
				case !settled(e):
					due--
				case !e.Time.After(deadline):
					met++
				}
			}
		}
		want = percent(met, due)
	case "on-time-share by-decision":
		limited := both(settled, func(e event) bool { return !moment(e, "deadline").IsZero() })
		want = percent(count("request.decided", both(limited, func(e event) bool { return !e.Time.After(moment(e, "deadline")) })), count("request.decided", limited))
	case "active-users":
		want = distinct("request.submitted", "applicant", all)
	case "active-identities":
		want = distinct("identity.authenticated", "person", is("ok", true))
	case "relying-parties":
		want = distinct("identity.authenticated", "relying_party", is("ok", true))
	case "registered-users":
		r.From = reference.NoDay // how many there are
		want = add("user.balance", "count") + count("user.registered", all) - count("user.closed", all)
	case "payment-volume":
		want = (add("payment.settled", "paid") - add("payment.refunded", "refunded")) / 100
	case "satisfaction":
		want = percent(add("feedback.given", "score")-count("feedback.given", all), 4*count("feedback.given", all))
	case "exchange-success-share":
		client := is("side", "client")
		want = percent(count("exchange.completed", both(client, is("ok", true))), count("exchange.completed", client))
	case "exchange-reconciled-share":
		sides := map[any]map[any]float64{}
		for _, e := range standing("exchange.completed") {
			id := e.Data["request_id"]
			if sides[id] == nil {
				sides[id] = map[any]float64{}
			}
			if in(e.Time) {
				sides[id][e.Data["side"]]++
			}
		}
		var pairs, orphans float64
		for _, s := range sides {
			if s["client"] > 0 && s["producer"] > 0 {
				pairs += s["client"]
			} else {
				orphans += s["client"] + s["producer"]
			}
		}
		want = percent(pairs, pairs+orphans)
	case "customs-no-touch-share":
		want = percent(count("declaration.released", is("inspector_touch", false)), count("declaration.released", all))
	case "service-count":
		newest := map[any]event{}
		for _, e := range standing("service.changed") {
			key := e.Data["service"]
			if old, ok := newest[key]; reference.DayOf(e.Time.In(zone)) <= n.to && (!ok || !e.Time.Before(old.Time)) {
				newest[key] = e
			}
		}
		for _, e := range newest {
			if e.Data["electronic"] == true && e.Data["active"] == true {
				want++
			}
		}
	default:
		return
	}
	if c := result.Cells[0]; c.Value == nil || math.Abs(*c.Value-want) > 1e-9*math.Abs(want) {
		t.Errorf("%s: the value is %s, by hand %g", r.KPI, shown(c.Value), want)
	}
}
