// Package portfolio tells of the projects of a pack: where each stands, what it was to
// do by when and for how much, what it promised to move, and what of it needs attention.
//
//	p := portfolio.New(w, pack.Portfolio, q, pack.Reference, portfolio.Options{})
//	list, err := p.Projects(ctx, portfolio.Request{Agency: []string{"ministry-of-justice"}})
//
// Nothing here knows a country: a pack names the contracts that play the roles of
// [contract.PortfolioRoles], and a project is what its events say, read from facts and
// folded in the order of their time. A question is asked at a day, and may be asked of what
// was known on a day; with the same days the same answer comes back.
//
// # Definitions
//
// Status. A project is proposed when it was recommended, accepted when it was, active when
// it is in the register, and ended once it has entered a stage in which projects leave the
// portfolio; it does not come back.
//
// First baseline. The due date of a milestone is the one with which it was planned first.
// Replanning moves the current due date, never the baseline. Days late are the days from the
// baseline to the day on which the milestone was reached, 0 when early; a project's are the
// median of its milestones reached.
//
// Reports. A report is due on the latest day that any report of the project named, or
// ReportEvery days after a report that named none; before the first report, ReportEvery days after
// the project was registered. An active project is stale when no report came within
// ReportGrace working days after that, by the pack's calendar. Nothing but a report resets this.
//
// Rating. The mean of the points for cost, for schedule and of the expert, 1 to 5; an
// expert's points below both others are the rating, and it is marked as overridden (US federal IT
// Dashboard, calculation of the overall rating). Without all three there is none.
//
// Earned value. Where every milestone of a project has a weight: planned value is the
// weight due by the first baseline, earned value the weight reached, actual cost what was spent.
// SPI = earned ÷ planned; CPI = earned × budget ÷ spent. Elsewhere there is a reason instead.
//
// Money. The budget is the sum of the newest amount of each year and source, contracted
// that of the newest amount of each contract, spent the sum of payments; all in the minor unit of
// the pack's currency.
//
// Promises. A promised value of a KPI is met when a value measured for the same promise
// keeps its bounds, whatever the sender says of it. Beside it stands the KPI as it is.
//
// Likely duplicates. See [Portfolio.Duplicates]. What needs attention: [Rules].
//
// [Portfolio.Difference] says what events of any contract would change, before they are sent.
package portfolio

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/warehouse"
)

// Options are what the operator decides. The zero value works.
type Options struct {
	Now     func() time.Time  // nil is time.Now
	Checker *contract.Checker // of the door, for [Portfolio.Difference]; nil: nothing is compared
}

// Portfolio answers for the projects of one pack. It is safe for concurrent use.
type Portfolio struct {
	warehouse *warehouse.Warehouse
	declared  *contract.Portfolio
	kpis      *queries.Queries
	refs      *reference.Set
	checker   *contract.Checker
	now       func() time.Time
	readings  map[string]*reading // by role
}

// New makes the answers. A nil declared is a pack without projects: every question is
// then answered NotFound. kpis gives the current values of promised KPIs; nil gives none.
func New(w *warehouse.Warehouse, declared *contract.Portfolio, kpis *queries.Queries, refs *reference.Set, options Options) *Portfolio {
	p := &Portfolio{warehouse: w, declared: declared, kpis: kpis, refs: refs, checker: options.Checker, now: options.Now, readings: map[string]*reading{}}
	if p.now == nil {
		p.now = time.Now
	}
	if declared != nil {
		for _, role := range contract.PortfolioRoles() {
			if c := declared.Contracts[role.Name]; c != nil {
				p.readings[role.Name] = newReading(role, c)
			}
		}
	}
	return p
}

// At is when a portfolio is looked at. 0 and reference.NoDay leave a day open.
type At struct {
	On      reference.Day // events up to the end of this day; KnownOn when open, else today
	KnownOn reference.Day // what was received by the end of that day; everything when open
}

func open(d reference.Day) bool { return d == 0 || d == reference.NoDay }

// Date is a day that may be missing; in JSON a missing one is null.
type Date reference.Day

// NoDate is a missing day.
const NoDate = Date(reference.NoDay)

// String is YYYY-MM-DD, or "" for a missing day.
func (d Date) String() string {
	if d == NoDate {
		return ""
	}
	return reference.Day(d).String()
}

func (d Date) MarshalJSON() ([]byte, error) {
	if d == NoDate {
		return []byte("null"), nil
	}
	return json.Marshal(reference.Day(d).String())
}

// Status is how far a project has come on its way through the portfolio.
type Status string

const (
	Proposed Status = "proposed"
	Accepted Status = "accepted"
	Active   Status = "active"
	Ended    Status = "ended"
)

// Statuses are all, in the order of a project's life.
var Statuses = []Status{Proposed, Accepted, Active, Ended}

// Project is one project in short.
type Project struct {
	ID             string      `json:"id"`
	RegisterNumber string      `json:"register_number"`
	Name           string      `json:"name"`
	Agency         string      `json:"agency"`
	Programme      string      `json:"programme"`
	Priority       string      `json:"priority"`
	Services       []string    `json:"services"`
	Serves         []string    `json:"serves"` // KPIs that it promised to move
	Status         Status      `json:"status"`
	Stage          string      `json:"stage"`
	StageSince     Date        `json:"stage_since"`
	Registered     Date        `json:"registered_on"`
	Report         Report      `json:"report"`
	Milestones     Progress    `json:"milestones"`
	Money          Money       `json:"money"`
	Rating         Rating      `json:"rating"`
	EarnedValue    EarnedValue `json:"earned_value"`
	Promises       Promises    `json:"promises"`
	RisksOpen      int         `json:"risks_open"`
	WaitsFor       []string    `json:"waits_for"`
	Attention      []string    `json:"attention"` // rules that it breaks, the gravest first
	Simulated      bool        `json:"simulated"` // made by simulation, at least in part
}

// Report is the last report of a project, and the next.
type Report struct {
	Percent  *int64 `json:"percent"` // of the work, as last told
	Evidence string `json:"evidence"`
	On       Date   `json:"on"`
	Due      Date   `json:"due"`   // of the next; missing when none is
	Stale    bool   `json:"stale"` // active, and no report within the grace after one was due
	Count    int    `json:"count"`
}

// Progress counts the milestones of a project. Due, OnTime and DaysLate are measured
// against the first baseline.
type Progress struct {
	Planned   int      `json:"planned"`
	Reached   int      `json:"reached"`
	Due       int      `json:"due"`
	OnTime    int      `json:"on_time"`
	Overdue   int      `json:"overdue"`   // current due date passed and not reached
	Replanned int      `json:"replanned"` // how often a date was moved
	DaysLate  *float64 `json:"days_late"` // median over the milestones reached
	NextDue   Date     `json:"next_due"`  // earliest current due date not reached
}

// Money is in the minor unit of the currency; null is not known.
type Money struct {
	Budgeted   *int64 `json:"budgeted"`
	Contracted *int64 `json:"contracted"`
	Spent      *int64 `json:"spent"`
}

// Rating holds points from 1, the worst, to 5.
type Rating struct {
	Cost       *int64   `json:"cost"`
	Schedule   *int64   `json:"schedule"`
	Expert     *int64   `json:"expert"`
	Computed   *float64 `json:"computed"`   // null unless all three are known
	Overridden bool     `json:"overridden"` // the expert's points are below both others, and are the rating
	On         Date     `json:"on"`
}

// EarnedValue are the two indices; above 1 is ahead of the plan. Reason says why one is null:
// no_milestones, no_weights, nothing_due, nothing_spent, no_budget.
type EarnedValue struct {
	SPI    *float64 `json:"spi"`
	CPI    *float64 `json:"cpi"`
	Reason string   `json:"reason"`
}

// Promises counts what a project promised.
type Promises struct {
	Promised int `json:"promised"`
	Due      int `json:"due"`
	Met      int `json:"met"` // of those due
	Measured int `json:"measured"`
}

// Request asks for projects. Zero values do not restrict. A list of values is any of them.
type Request struct {
	At
	Agency    []string // codes or names of the table organisations
	Stage     []string
	Priority  []string
	Programme []string
	Status    []string
	Serves    []string // KPI ids; "none" is a project that serves none
	Rule      []string // rules of attention that it breaks
	Search    string   // in name, id and register number, whatever case or apostrophe
	Offset    int
	Limit     int // 0 is all
}

// List is an answer about projects.
type List struct {
	On       Date      `json:"on"`
	KnownOn  Date      `json:"known_on"`
	Total    int       `json:"total"` // that fit, before Offset and Limit
	Offset   int       `json:"offset"`
	Figures  Figures   `json:"figures"` // of all that fit
	Projects []Project `json:"projects"`

	DataThrough Date `json:"data_through"` // day of the newest event by then; missing: none
}

// Projects are those that fit, by id.
func (p *Portfolio) Projects(ctx context.Context, r Request) (*List, error) {
	s, all, err := p.fitting(ctx, r)
	if err != nil {
		return nil, err
	}
	list := &List{On: Date(s.on), KnownOn: s.knownOn, DataThrough: s.through, Total: len(all), Offset: r.Offset, Figures: figuresOf("", all), Projects: []Project{}}
	if r.Offset < 0 || r.Limit < 0 {
		return nil, problem.New(problem.BadInput, "limit and offset are not negative").In("offset").
			Also("uz", "limit va offset manfiy boʻlmaydi.").
			Also("ru", "limit и offset не бывают отрицательными.")
	}
	all = all[min(r.Offset, len(all)):]
	if r.Limit > 0 {
		all = all[:min(r.Limit, len(all))]
	}
	for _, one := range all {
		list.Projects = append(list.Projects, one.Project)
	}
	return list, nil
}

// fitting reads the portfolio and picks the projects that fit, by id.
func (p *Portfolio) fitting(ctx context.Context, r Request) (*state, []*project, error) {
	s, err := p.read(ctx, r.At, "")
	if err != nil {
		return nil, nil, err
	}
	fits, err := p.filter(s, r)
	if err != nil {
		return nil, nil, err
	}
	var all []*project
	for _, one := range s.ordered {
		if fits(one) {
			all = append(all, one)
		}
	}
	return s, all, nil
}

// filter compiles the restrictions of a request. A value that nothing has and nothing
// may have is refused, naming what there is.
func (p *Portfolio) filter(s *state, r Request) (func(*project) bool, error) {
	type restriction struct {
		name string
		want []string
		of   func(*project) []string
	}
	var active []restriction
	for _, one := range []restriction{
		{"agency", r.Agency, func(p *project) []string { return []string{p.Agency} }},
		{"stage", r.Stage, func(p *project) []string { return []string{p.Stage} }},
		{"priority", r.Priority, func(p *project) []string { return []string{p.Priority} }},
		{"programme", r.Programme, func(p *project) []string { return []string{p.Programme} }},
		{"status", r.Status, func(p *project) []string { return []string{string(p.Status)} }},
		{"serves", r.Serves, func(p *project) []string {
			if len(p.Serves) == 0 {
				return []string{"none"}
			}
			return p.Serves
		}},
		{"rule", r.Rule, func(p *project) []string { return p.Attention }},
	} {
		if len(one.want) == 0 {
			continue
		}
		allowed, resolve := p.allowed(s, one.name)
		resolved := make([]string, len(one.want))
		for i, value := range one.want {
			if resolved[i] = value; allowed[value] {
				continue
			}
			code, ok := resolve(value)
			if !ok {
				names := slices.Sorted(maps.Keys(allowed))
				more := ""
				if len(names) > 40 {
					names, more = names[:40], " …"
				}
				return nil, problem.New(problem.BadInput, "no project has the %s %q; there are %s", one.name, value, strings.Join(names, ", ")+more).In(one.name).
					Also("uz", "“%s” qiymatiga ega loyiha yoʻq.", value).
					Also("ru", "Проектов со значением «%s» нет.", value)
			}
			resolved[i] = code
		}
		one.want = resolved
		active = append(active, one)
	}
	search := reference.Fold(r.Search)
	return func(one *project) bool {
		for _, a := range active {
			if !slices.ContainsFunc(a.of(one), func(v string) bool { return slices.Contains(a.want, v) }) {
				return false
			}
		}
		return search == "" || strings.Contains(one.folded(), search)
	}, nil
}

// allowed are the values that a filter takes, and how another spelling becomes one.
func (p *Portfolio) allowed(s *state, name string) (values map[string]bool, resolve func(string) (string, bool)) {
	values = map[string]bool{}
	resolve = func(string) (string, bool) { return "", false }
	field := func(role, name string) {
		c := p.declared.Contracts[role]
		if c == nil || c.Field(name) == nil {
			return
		}
		f := c.Field(name)
		for _, v := range f.Values {
			values[v] = true
		}
		if table := p.refs.Table(f.To); f.Type == contract.Ref && table != nil {
			for _, row := range table.Rows() {
				values[row.Code] = true
			}
			resolve = table.Resolve
		}
	}
	switch name {
	case "stage":
		field(contract.RoleStaged, "stage")
	case "status":
		for _, one := range Statuses {
			values[string(one)] = true
		}
	case "rule":
		for _, rule := range Rules {
			values[rule.ID] = true
		}
	case "serves":
		values["none"] = true
	default:
		field(contract.RoleRegistered, name)
	}
	for _, one := range s.ordered {
		switch name {
		case "agency":
			values[one.Agency] = true
		case "stage":
			values[one.Stage] = true
		case "priority":
			values[one.Priority] = true
		case "programme":
			values[one.Programme] = true
		case "serves":
			for _, id := range one.Serves {
				values[id] = true
			}
		}
	}
	delete(values, "")
	return values, resolve
}

// byID orders ids as people do: P-2 before P-10.
func byID(a, b string) int {
	for a != "" && b != "" {
		x, y := digitsOf(a), digitsOf(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digitsOf(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
