package portfolio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/simulate"
	"ombor/queries"
	"ombor/queries/portfolio"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

func day(s string) reference.Day {
	d, err := reference.ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

var (
	on       = day("2024-12-31") // the day on which the simulated portfolio is looked at
	received = day("2025-01-10")
	ctx      = context.Background()
)

// told is what one simulated event says.
type told struct {
	Type string         `json:"type"`
	Time time.Time      `json:"time"`
	Data map[string]any `json:"data"`
}

func (e told) text(name string) string { s, _ := e.Data[name].(string); return s }

// nation is the whole simulated portfolio of the pack uz, of which some rows were withdrawn.
type nation struct {
	pack   *pack.Pack
	w      *warehouse.Warehouse
	kpis   *queries.Queries
	p      *portfolio.Portfolio
	stands map[string][]told // by the contract's name
}

var shared struct {
	sync.Once
	*nation
}

// simulated is the portfolio that all tests of a run read; nobody writes to it.
func simulated(t testing.TB) *nation {
	t.Helper()
	shared.Do(func() { shared.nation = newNation(t) })
	if shared.nation == nil {
		t.Fatal("the portfolio could not be loaded; an earlier test says why")
	}
	return shared.nation
}

const scale = 0.003 // of everything but the projects

// newNation simulates all projects, as at full scale, and next to nothing else.
func newNation(t testing.TB) *nation {
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	overlaid := fstest.MapFS{}
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		overlaid[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var flows, kept []map[string]any
	if err := json.Unmarshal(overlaid["simulation/systems.json"].Data, &flows); err != nil {
		t.Fatal(err)
	}
	for _, flow := range flows {
		if strings.HasPrefix(flow["name"].(string), "pro") && flow["every"] == "once" {
			kept = append(kept, flow)
		}
	}
	if overlaid["simulation/systems.json"].Data, err = json.Marshal(kept); err != nil {
		t.Fatal(err)
	}
	n := &nation{stands: map[string][]told{}}
	if n.pack, err = pack.Read(overlaid, pack.Checks{}); err != nil {
		t.Fatal(err)
	}
	g, err := simulate.New(n.pack, simulate.Options{Seed: 1, Scale: scale, From: on, To: on, Systems: true})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if _, err := g.WriteTo(ctx, &lines, nil); err != nil {
		t.Fatal(err)
	}
	keys, err := contract.OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	// Not closed when the test ends that came first.
	if n.w, err = warehouse.Open(ctx, warehousetest.Config(t, warehousetest.Prefix()), n.pack.Set, n.pack.KPIs); err != nil {
		t.Fatal(err)
	}
	if err := n.w.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	batch := contract.NewChecker(n.pack.Set, keys, contract.Limits{}).NewBatch()
	sent := map[string][]told{}
	for i, line := range bytes.Split(bytes.TrimSpace(lines.Bytes()), []byte{'\n'}) {
		var e told
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		c := n.pack.Set.ByType(e.Type)
		if !strings.HasPrefix(c.Name, "pro") {
			continue
		}
		if refusal := batch.Add(i, line); refusal != nil {
			t.Fatalf("%+v\n%s", refusal, line)
		}
		sent[c.Name] = append(sent[c.Name], e)
	}
	for _, part := range batch.Parts() {
		all := sent[part.Contract.Name]
		if len(all) != int(part.Record.NumRows()) {
			t.Fatalf("%s: %d rows of %d events", part.Contract.Name, part.Record.NumRows(), len(all))
		}
		first, end := len(all)/3, len(all)/3+len(all)/100 // withdrawn
		if part.Contract.Name == "project.registered" {
			end = first
		}
		warehousetest.InsertRecord(t, n.w, part.Contract, part.Record, received, first, end)
		if err := n.w.ApplyRollups(ctx, part.Contract, received, 1); err != nil {
			t.Fatal(err)
		}
		n.stands[part.Contract.Name] = slices.Concat(all[:first], all[end:])
		part.Record.Release()
	}
	now := func() time.Time { return day("2025-06-01").Time().Add(6 * time.Hour) }
	n.kpis = queries.New(n.w, n.pack.KPIs, n.pack.Reference, queries.Options{Targets: n.pack.Targets, Now: now})
	n.p = portfolio.New(n.w, n.pack.Portfolio, n.kpis, n.pack.Reference, portfolio.Options{Now: now})
	return n
}

func at(d reference.Day) portfolio.At { return portfolio.At{On: d} }

// TestFiguresAreTheKPIs holds the figures of the portfolio against the catalogued KPIs,
// which the compiler of questions computes from the same facts in SQL, for the whole and
// for every agency, at several days.
func TestFiguresAreTheKPIs(t *testing.T) {
	n := simulated(t)
	for _, d := range []reference.Day{on, day("2024-01-09"), day("2023-07-01")} {
		summary, err := n.p.Summary(ctx, portfolio.Request{At: at(d)}, "agency")
		if err != nil {
			t.Fatal(err)
		}
		if d == on && (summary.Total.Projects < 2000 || summary.Total.Active < 1000 || summary.Total.Simulated != summary.Total.Projects) {
			t.Fatalf("%+v is no portfolio of 2,100 simulated projects", summary.Total)
		}
		figures := map[string]portfolio.Figures{"": summary.Total}
		for _, g := range summary.Groups {
			figures["agency "+g.Key] = g
		}
		for id, of := range map[string]func(portfolio.Figures) (numerator, denominator float64){
			"project-count":           func(f portfolio.Figures) (float64, float64) { return float64(f.Active), -1 },
			"milestone-on-time-share": func(f portfolio.Figures) (float64, float64) { return float64(f.MilestonesOn), float64(f.MilestonesDue) },
			"project-stale-share":     func(f portfolio.Figures) (float64, float64) { return float64(f.Stale), float64(f.Active) },
			"promises-met-share":      func(f portfolio.Figures) (float64, float64) { return float64(f.PromisesMet), float64(f.PromisesDue) },
			"computed-rating": func(f portfolio.Figures) (float64, float64) {
				if f.Rating == nil {
					return 0, 0
				}
				return math.Round(3 * *f.Rating * float64(f.Rated)), 3 * float64(f.Rated)
			},
			"milestone-days-late": func(f portfolio.Figures) (float64, float64) {
				if f.DaysLate == nil {
					return -1, -1
				}
				return *f.DaysLate, -1
			},
		} {
			for _, by := range [][]string{nil, {"agency"}} {
				if id == "promises-met-share" && d != on {
					continue // the KPI of a past period has what was measured since, the portfolio of a past day has not
				}
				result, err := n.kpis.Values(ctx, queries.Request{KPI: id, From: day("2000-01-01"), To: d, By: by})
				if err != nil {
					t.Fatal(err)
				}
				for _, cell := range result.Cells {
					key := ""
					if by != nil {
						key = "agency " + cell.Dims[0].Value
					}
					numerator, denominator := of(figures[key])
					where := fmt.Sprintf("%s on %s %s", id, d, key)
					if id == "milestone-days-late" {
						if cell.Value == nil || math.Abs(*cell.Value-numerator) > 0.02*numerator+1.5 {
							t.Errorf("%s: the KPI is %v, the portfolio says %v", where, cell.Value, numerator)
						}
						continue
					}
					if got, err := strconv.ParseFloat(string(cell.Numerator), 64); err != nil || got != numerator {
						t.Errorf("%s: the KPI's numerator is %v, the portfolio's %v", where, cell.Numerator, numerator)
					}
					if denominator >= 0 {
						if got, err := strconv.ParseFloat(string(cell.Denominator), 64); err != nil || got != denominator {
							t.Errorf("%s: the KPI's denominator is %v, the portfolio's %v", where, cell.Denominator, denominator)
						}
					}
				}
			}
		}
	}
}

// TestProjectsByHand computes money, ratings, stages and reports of every project again
// from the lines that the simulation wrote.
func TestProjectsByHand(t *testing.T) {
	n := simulated(t)
	list, err := n.p.Projects(ctx, portfolio.Request{At: at(on)})
	if err != nil {
		t.Fatal(err)
	}
	last := func(name, project string) (found *told) {
		for i := range n.stands[name] {
			if e := &n.stands[name][i]; e.text("project") == project && (found == nil || !e.Time.Before(found.Time)) {
				found = e
			}
		}
		return found
	}
	sum := func(name, project string) (sum int64) {
		for _, e := range n.stands[name] {
			if e.text("project") == project {
				amount, _ := e.Data["amount"].(float64)
				sum += int64(amount)
			}
		}
		return sum
	}
	pointed := func(v *int64) int64 {
		if v == nil {
			return 0
		}
		return *v
	}
	cycles, stale, weighted := 0, 0, 0
	for i, p := range list.Projects {
		if i%7 != 0 { // the whole is quadratic
			continue
		}
		for name, got := range map[string]*int64{"project.spent": p.Money.Spent, "project.contracted": p.Money.Contracted, "project.budgeted": p.Money.Budgeted} {
			if want := sum(name, p.ID); pointed(got) != want {
				t.Errorf("%s: %s adds up to %d, the portfolio says %d", p.ID, name, want, pointed(got))
			}
		}
		if e := last("project.staged", p.ID); e != nil && e.text("stage") != p.Stage || e == nil && p.Stage != "" {
			t.Errorf("%s: stage %q, want %v", p.ID, p.Stage, e)
		}
		if e := last("project.reported", p.ID); (e == nil) != (p.Report.Percent == nil) || e != nil && e.Data["percent"] != float64(*p.Report.Percent) {
			t.Errorf("%s: report %+v, want %v", p.ID, p.Report, e)
		}
		if e := last("project.rated", p.ID); e != nil {
			cost, schedule, expert := e.Data["cost_points"].(float64), e.Data["schedule_points"].(float64), e.Data["expert_points"].(float64)
			want := (cost + schedule + expert) / 3
			if expert < cost && expert < schedule {
				want = expert
			}
			if p.Rating.Computed == nil || math.Abs(*p.Rating.Computed-want) > 1e-12 || p.Rating.Overridden != (expert < min(cost, schedule)) {
				t.Errorf("%s: rated %+v, want %v", p.ID, p.Rating, want)
			}
		}
		if slices.Contains(p.Attention, "dependency-cycle") {
			cycles++
		}
		if p.Report.Stale {
			stale++
		}
		if p.EarnedValue.SPI != nil {
			weighted++
		}
	}
	if stale == 0 || weighted == 0 || list.Figures.NeedingAttention == 0 {
		t.Errorf("the simulated life is not believable: %d stale, %d with earned value, %d cycles, %+v", stale, weighted, cycles, list.Figures)
	}
}

// TestFilters asks for parts, and for what does not exist.
func TestFilters(t *testing.T) {
	n := simulated(t)
	all, err := n.p.Projects(ctx, portfolio.Request{At: at(on), Limit: 50, Offset: 100})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Projects) != 50 || all.Total < 2000 || all.Projects[0].ID != "P-101" {
		t.Errorf("%d of %d projects, the first is %s", len(all.Projects), all.Total, all.Projects[0].ID)
	}
	for _, c := range []struct {
		request portfolio.Request
		fits    func(portfolio.Project) bool
	}{
		{portfolio.Request{Agency: []string{"Ministry of Justice"}}, func(p portfolio.Project) bool { return p.Agency == "ministry-of-justice" }},
		{portfolio.Request{Stage: []string{"pilot", "closed"}, Priority: []string{"national"}}, func(p portfolio.Project) bool {
			return (p.Stage == "pilot" || p.Stage == "closed") && p.Priority == "national"
		}},
		{portfolio.Request{Status: []string{"ended"}, Programme: []string{"e-health"}}, func(p portfolio.Project) bool { return p.Status == portfolio.Ended && p.Programme == "e-health" }},
		{portfolio.Request{Serves: []string{"none"}}, func(p portfolio.Project) bool { return len(p.Serves) == 0 }},
		{portfolio.Request{Rule: []string{"report-missing"}}, func(p portfolio.Project) bool { return p.Report.Stale }},
		{portfolio.Request{Search: "TO'LOV"}, func(p portfolio.Project) bool { return strings.Contains(reference.Fold(p.Name), "toʻlov") }},
	} {
		c.request.At = at(on)
		part, err := n.p.Projects(ctx, c.request)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := n.p.Projects(ctx, portfolio.Request{At: at(on)})
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, p := range whole.Projects {
			if c.fits(p) {
				want++
			}
		}
		if part.Total != want || want == 0 || slices.ContainsFunc(part.Projects, func(p portfolio.Project) bool { return !c.fits(p) }) {
			t.Errorf("%+v: %d projects, want %d", c.request, part.Total, want)
		}
	}
	for _, c := range []struct {
		request portfolio.Request
		field   string
	}{
		{portfolio.Request{Agency: []string{"nobody"}}, "agency"}, {portfolio.Request{Stage: []string{"x' OR 1"}}, "stage"},
		{portfolio.Request{Status: []string{"late"}}, "status"}, {portfolio.Request{At: at(day("2031-01-01"))}, "on"},
		{portfolio.Request{At: portfolio.At{KnownOn: day("2031-01-01")}}, "known_on"}, {portfolio.Request{Offset: -1}, "offset"}, {portfolio.Request{Rule: []string{"mood"}}, "rule"},
	} {
		_, err := n.p.Projects(ctx, c.request)
		if problem.KindOf(err) != problem.BadInput || !strings.Contains(fmt.Sprint(err), c.field) {
			t.Errorf("%+v: %v", c.request, err)
		}
	}
	nothing, err := n.p.Projects(ctx, portfolio.Request{At: portfolio.At{On: on, KnownOn: received - 1}})
	if err != nil || nothing.Total != 0 {
		t.Errorf("before anything was received: %d projects, %v", nothing.Total, err)
	}
	if _, err := n.p.Project(ctx, "P-0", at(on)); problem.KindOf(err) != problem.NotFound {
		t.Errorf("a project that does not exist: %v", err)
	}
	if _, err := portfolio.New(n.w, nil, nil, nil, portfolio.Options{}).Projects(ctx, portfolio.Request{}); problem.KindOf(err) != problem.NotFound {
		t.Errorf("a pack without projects: %v", err)
	}
}

// TestTwins finds the forty projects that were proposed a second time under another id.
func TestTwins(t *testing.T) {
	n := simulated(t)
	found, err := n.p.Duplicates(ctx, portfolio.Request{At: at(on)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[string]string{}
	for _, d := range found {
		pairs[d.B.ID] = d.A.ID
	}
	list, err := n.p.Projects(ctx, portfolio.Request{At: at(on)})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]portfolio.Project{}
	for _, p := range list.Projects {
		if strings.HasPrefix(p.ID, "P-") && p.Status != portfolio.Ended {
			byName[p.Agency+p.Name] = p
		}
	}
	twins := 0
	for _, p := range list.Projects {
		if strings.HasPrefix(p.ID, "PX-") && byName[p.Agency+p.Name].ID != "" {
			if twins++; pairs[p.ID] == "" {
				t.Errorf("%s has the name and the agency of %s, and is in no pair", p.ID, byName[p.Agency+p.Name].ID)
			}
		}
	}
	if twins < 20 {
		t.Errorf("only %d twins stand", twins)
	}
	t.Logf("%d twins, %d pairs", twins, len(found))
}

// TestDetail looks at one project with a promise: the KPI stands beside it, and what the
// list says of it is what it says itself.
func TestDetail(t *testing.T) {
	n := simulated(t)
	serves, err := n.p.Serves(ctx, at(on))
	if err != nil {
		t.Fatal(err)
	}
	if len(serves[""]) == 0 || len(serves["mobile-availability"]) == 0 || n.pack.KPI("mobile-availability") == nil {
		t.Fatalf("%d projects serve nothing, %d serve mobile-availability", len(serves[""]), len(serves["mobile-availability"]))
	}
	id := serves["mobile-availability"][0].Project
	d, err := n.p.Project(ctx, id, at(on))
	if err != nil {
		t.Fatal(err)
	}
	now, err := n.kpis.Values(ctx, queries.Request{KPI: "mobile-availability", To: on})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Promises) != 1 || d.Promises[0].Unit != "percent" || fmt.Sprint(d.Promises[0].Current) == "" || (d.Promises[0].Current == nil) != (now.Cells[0].Value == nil) {
		t.Errorf("promises of %s: %+v", id, d.Promises)
	}
	if len(d.Milestones) != d.Project.Milestones.Planned || len(d.Reports) != d.Project.Report.Count || len(d.Stages) == 0 {
		t.Errorf("%s: %d milestones, %d reports, %d stages; %+v", id, len(d.Milestones), len(d.Reports), len(d.Stages), d.Project)
	}
	for _, m := range d.Milestones {
		if m.Replanned > 0 && m.Baseline == m.Due && m.Due != portfolio.NoDate {
			t.Errorf("%s %s was replanned, and the baseline moved with it", id, m.Milestone)
		}
	}
	attention, err := n.p.Attention(ctx, portfolio.Request{At: at(on)})
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	for i, f := range attention.Findings {
		broken[f.Rule] = true
		if i > 0 && f.Severity > attention.Findings[i-1].Severity {
			t.Errorf("%+v stands behind %+v", f, attention.Findings[i-1])
		}
	}
	for _, rule := range []string{"report-missing", "milestone-overdue", "promise-missed", "rating-low", "dependency-late", "risk-high", "report-due", "no-milestones"} {
		if !broken[rule] {
			t.Errorf("no simulated project breaks %s", rule)
		}
	}
}

// BenchmarkProjects reads and folds 2,100 projects without any memory of an earlier answer.
func BenchmarkProjects(b *testing.B) {
	n := simulated(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.p.Projects(ctx, portfolio.Request{At: at(on), Limit: 100}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWorkdays counts working days on the engine, between every pair of days of a year and a half
// and three others, as the calendar counts them.
func TestWorkdays(t *testing.T) {
	n := simulated(t)
	calendar := n.pack.Reference.Calendar()
	for _, c := range []*reference.Calendar{calendar, {}, {Week: []time.Weekday{time.Sunday, time.Thursday}, Days: calendar.Days}} {
		sql, err := kpi.ExpandWorkdays("workdays(toDate({from:String}), day)", c)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []reference.Day{day("2024-02-29"), day("2023-12-30"), day("2024-03-21")} {
			compared := 0
			err := n.w.Each(ctx, "SELECT toInt64(toUInt16(toDate('2024-01-01') + number AS day)), toInt64("+sql+") FROM numbers(550)", map[string]string{"from": from.String()}, func(scan warehouse.Scan) error {
				var to, got int64
				if err := scan(&to, &got); err != nil {
					return err
				}
				want := int64(c.WorkingDays(from+1, reference.Day(to)) - c.WorkingDays(reference.Day(to)+1, from))
				if compared++; got != want {
					t.Errorf("%s to %s: %d working days, want %d", from, reference.Day(to), got, want)
				}
				return nil
			})
			if err != nil || compared != 550 {
				t.Fatalf("%d days, %v", compared, err)
			}
		}
	}
}
