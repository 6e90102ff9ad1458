package portfolio

import (
	"cmp"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/reference"
)

// state is the portfolio at a moment.
type state struct {
	portfolio  *Portfolio
	on         reference.Day
	knownOn    Date
	projects   map[string]*project
	ordered    []*project // by id; only those that were recommended, accepted or registered
	programmes map[string]string
	through    Date // day of the newest event
}

// project is one project with everything that its events say.
type project struct {
	Project
	recommended, accepted, ended Date
	stages                       []StageEntry
	milestones                   []*Milestone
	replans                      []Replan
	reports                      []ReportEntry
	budgets                      []*Budget
	contracts                    []*ContractEntry
	spent                        int64
	hasSpent                     bool
	waits                        map[string]bool // in force
	risks                        []*Risk
	promises                     []*Promise
	findings                     []Finding
	waitedFor                    []string
	cycle                        []string
	fold                         string
}

// folded is what a search looks through.
func (p *project) folded() string {
	if p.fold == "" {
		p.fold = reference.Fold(p.Name + " " + p.ID + " " + p.RegisterNumber)
	}
	return p.fold
}

// StageEntry is one stage entered.
type StageEntry struct {
	Stage string `json:"stage"`
	On    Date   `json:"on"`
}

// Milestone is one milestone against its first baseline.
type Milestone struct {
	Milestone string `json:"milestone"`
	Name      string `json:"name"`
	Baseline  Date   `json:"baseline"` // the first due date; missing when it was never planned
	Due       Date   `json:"due"`      // as replanned last
	Reached   Date   `json:"reached_on"`
	DaysLate  *int64 `json:"days_late"` // from the baseline to the day reached; negative is early; null when not reached
	Weight    *int64 `json:"weight"`    // share of the whole work, in whatever unit the pack gives
	Evidence  string `json:"evidence"`
	Replanned int    `json:"replanned"`

	told Date // the baseline as who reached it tells it
}

// Replan is one date that was moved, and why.
type Replan struct {
	Milestone   string `json:"milestone"`
	On          Date   `json:"on"`
	Old         Date   `json:"old_due"`
	New         Date   `json:"new_due"`
	Reason      string `json:"reason"`
	Explanation string `json:"explanation"`
}

// ReportEntry is one report.
type ReportEntry struct {
	On       Date   `json:"on"`
	Percent  *int64 `json:"percent"`
	Evidence string `json:"evidence"`
	NextDue  Date   `json:"next_due"`
}

// Budget is what was set aside in a year from a source.
type Budget struct {
	Year   *int64 `json:"year"`
	Source string `json:"money_source"`
	Amount int64  `json:"amount"`
}

// ContractEntry is a contract with a supplier.
type ContractEntry struct {
	Number string `json:"contract_number"`
	Amount int64  `json:"amount"`
	Due    Date   `json:"delivery_due"`
	Spent  int64  `json:"spent"` // payments that name it
}

// Risk is a risk as it was last described.
type Risk struct {
	Risk     string `json:"risk"`
	What     string `json:"what"`
	Severity string `json:"severity"`
	Open     bool   `json:"open"`
	On       Date   `json:"on"`
}

// Promise is a promised value of a KPI beside what was measured, and beside the KPI.
type Promise struct {
	Indicator  string   `json:"indicator"`
	Due        Date     `json:"due"`
	AtLeast    *float64 `json:"at_least"`
	AtMost     *float64 `json:"at_most"`
	IsDue      bool     `json:"is_due"`
	Value      *float64 `json:"value"` // measured last
	MeasuredOn Date     `json:"measured_on"`
	Met        *bool    `json:"met"`      // null while nothing was measured
	SaidMet    *bool    `json:"said_met"` // what the sender said of it
	Current    *float64 `json:"current"`  // the KPI itself, of the year so far; null when it has no value
	Unit       string   `json:"unit"`     // of the KPI; empty when the pack has no such KPI
}

// fold brings the events of every role, in the order of the roles, into projects.
func (s *state) fold(found [][]event) {
	roles := contract.PortfolioRoles()
	var described []*event
	for i, role := range roles {
		for j := range found[i] {
			if day := Date(found[i][j].day); s.through == NoDate || day > s.through {
				s.through = day
			}
			switch role.Name {
			case contract.RoleProgramme:
				e := &found[i][j]
				s.programmes[e.text("programme")] = e.text("name")
			case contract.RoleRecommended, contract.RoleAccepted, contract.RoleRegistered:
				described = append(described, &found[i][j])
			}
		}
	}
	slices.SortStableFunc(described, func(a, b *event) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.seq, b.seq)) })
	for _, e := range described {
		s.describe(e)
	}
	for i, role := range roles {
		take := takers[role.Name]
		if take == nil {
			continue
		}
		for j := range found[i] {
			e := &found[i][j]
			// What nobody ever proposed is no project; its events are not the portfolio's.
			if p := s.projects[e.text("project")]; p != nil {
				p.Simulated = p.Simulated || e.simulated
				take(p, e)
			}
		}
	}
	for _, p := range s.projects {
		s.ordered = append(s.ordered, p)
	}
	slices.SortFunc(s.ordered, func(a, b *project) int { return byID(a.ID, b.ID) })
	for _, p := range s.ordered {
		s.settle(p)
	}
	s.depend()
	for _, p := range s.ordered {
		s.attend(p)
	}
}

// describe takes what an event says of a project as a whole; a field that it leaves out
// stays as it was.
func (s *state) describe(e *event) {
	id := e.text("project")
	p := s.projects[id]
	if p == nil {
		p = &project{Project: Project{ID: id, Services: []string{}, Serves: []string{}, WaitsFor: []string{}, Attention: []string{}, StageSince: NoDate, Registered: NoDate,
			Report: Report{On: NoDate, Due: NoDate}, Milestones: Progress{NextDue: NoDate}, Rating: Rating{On: NoDate}},
			recommended: NoDate, accepted: NoDate, ended: NoDate, waits: map[string]bool{}}
		s.projects[id] = p
	}
	for _, f := range []struct {
		name string
		into *string
	}{{"name", &p.Name}, {"agency", &p.Agency}, {"programme", &p.Programme}, {"priority", &p.Priority}, {"register_number", &p.RegisterNumber}} {
		if v := e.text(f.name); v != "" {
			*f.into = v
		}
	}
	if service := e.text("service"); service != "" && !slices.Contains(p.Services, service) {
		p.Services = append(p.Services, service)
	}
	p.Simulated = p.Simulated || e.simulated
	switch first := map[string]*Date{contract.RoleRecommended: &p.recommended, contract.RoleAccepted: &p.accepted, contract.RoleRegistered: &p.Registered}[e.of.role.Name]; {
	case *first == NoDate:
		*first = Date(e.day)
	}
}

// takers bring an event of a role into its project.
var takers = map[string]func(*project, *event){
	contract.RoleStaged: func(p *project, e *event) {
		p.Stage, p.StageSince = e.text("stage"), Date(e.day)
		p.stages = append(p.stages, StageEntry{p.Stage, p.StageSince})
	},
	contract.RolePlanned: func(p *project, e *event) {
		m := p.milestone(e.text("milestone"))
		if m.Baseline != NoDate {
			return // the first plan is the baseline; a new date is a replan
		}
		m.Name, m.Baseline, m.Due, m.Weight = e.text("name"), e.date("due"), e.date("due"), e.number("weight")
	},
	contract.RoleReached: func(p *project, e *event) {
		m := p.milestone(e.text("milestone"))
		if m.Reached == NoDate || e.date("reached_on") < m.Reached {
			m.Reached, m.Evidence = e.date("reached_on"), e.text("evidence")
		}
		m.told = e.date("baseline")
	},
	contract.RoleReplanned: func(p *project, e *event) {
		m := p.milestone(e.text("milestone"))
		old := m.Due
		if old == NoDate {
			old = e.date("old_due")
		}
		m.Due = e.date("new_due")
		m.Replanned++
		p.replans = append(p.replans, Replan{m.Milestone, Date(e.day), old, m.Due, e.text("reason"), e.text("explanation")})
	},
	contract.RoleBudgeted: func(p *project, e *event) {
		year, source := e.number("year"), e.text("money_source")
		for _, b := range p.budgets {
			if b.Source == source && (b.Year == nil) == (year == nil) && (year == nil || *b.Year == *year) {
				b.Amount = e.whole("amount")
				return
			}
		}
		p.budgets = append(p.budgets, &Budget{year, source, e.whole("amount")})
	},
	contract.RoleContracted: func(p *project, e *event) {
		number := e.text("contract_number")
		i := slices.IndexFunc(p.contracts, func(c *ContractEntry) bool { return c.Number == number })
		if i < 0 {
			i, p.contracts = len(p.contracts), append(p.contracts, &ContractEntry{Number: number})
		}
		p.contracts[i].Amount, p.contracts[i].Due = e.whole("amount"), e.date("delivery_due")
	},
	contract.RoleSpent: func(p *project, e *event) {
		p.spent, p.hasSpent = p.spent+e.whole("amount"), true
		number := e.text("contract_number")
		if i := slices.IndexFunc(p.contracts, func(c *ContractEntry) bool { return c.Number == number && number != "" }); i >= 0 {
			p.contracts[i].Spent += e.whole("amount")
		}
	},
	contract.RoleReported: func(p *project, e *event) {
		p.reports = append(p.reports, ReportEntry{Date(e.day), e.number("percent"), e.text("evidence"), e.date("next_due")})
		p.Report.Count += int(e.count)
		p.Report.Due = e.due // events come in the order of their time: the last one's stays
	},
	contract.RoleRated: func(p *project, e *event) {
		p.Rating = ratingOf(e.number("cost_points"), e.number("schedule_points"), e.number("expert_points"))
		p.Rating.On = Date(e.day)
	},
	contract.RoleDependsOn: func(p *project, e *event) {
		p.waits[e.text("other")] = e.flag("active", true)
	},
	contract.RoleRisk: func(p *project, e *event) {
		id := e.text("risk")
		i := slices.IndexFunc(p.risks, func(r *Risk) bool { return r.Risk == id })
		if i < 0 {
			i, p.risks = len(p.risks), append(p.risks, &Risk{Risk: id})
		}
		r := p.risks[i]
		r.Severity, r.Open, r.On = e.text("severity"), e.flag("open", true), Date(e.day)
		r.What = cmp.Or(e.text("what"), r.What)
	},
	contract.RolePromised: func(p *project, e *event) {
		indicator, due := e.text("indicator"), e.date("due")
		i := slices.IndexFunc(p.promises, func(q *Promise) bool { return q.Indicator == indicator && q.Due == due })
		if i < 0 {
			i, p.promises = len(p.promises), append(p.promises, &Promise{Indicator: indicator, Due: due, MeasuredOn: NoDate})
		}
		p.promises[i].AtLeast, p.promises[i].AtMost = e.decimal("at_least"), e.decimal("at_most")
	},
	contract.RoleMeasured: func(p *project, e *event) {
		indicator, due := e.text("indicator"), e.date("due")
		for _, q := range p.promises {
			if q.Indicator != indicator || due != NoDate && q.Due != due {
				continue
			}
			said := e.flag("met", false)
			q.SaidMet, q.MeasuredOn = &said, Date(e.day)
			met := said
			if value := e.decimal("value"); value != nil {
				q.Value = value
				met = (q.AtLeast == nil || *value >= *q.AtLeast) && (q.AtMost == nil || *value <= *q.AtMost)
			}
			met = met || q.Met != nil && *q.Met // kept once is kept
			q.Met = &met
		}
	},
}

func (p *project) milestone(id string) *Milestone {
	for _, m := range p.milestones {
		if m.Milestone == id {
			return m
		}
	}
	m := &Milestone{Milestone: id, Baseline: NoDate, Due: NoDate, Reached: NoDate, told: NoDate}
	p.milestones = append(p.milestones, m)
	return m
}

// ratingOf computes a rating as the US federal IT Dashboard does.
func ratingOf(cost, schedule, expert *int64) Rating {
	r := Rating{Cost: cost, Schedule: schedule, Expert: expert, On: NoDate}
	if cost == nil || schedule == nil || expert == nil {
		return r
	}
	computed := float64(*cost+*schedule+*expert) / 3
	if *expert < *cost && *expert < *schedule {
		computed, r.Overridden = float64(*expert), true
	}
	r.Computed = &computed
	return r
}

// settle computes what follows from a project's events on the day.
func (s *state) settle(p *project) {
	on := Date(s.on)
	declared := s.portfolio.declared
	for _, stage := range p.stages {
		if p.ended == NoDate && slices.Contains(declared.Ended, stage.Stage) {
			p.ended = stage.On
		}
	}
	switch {
	case p.ended != NoDate:
		p.Status = Ended
	case p.Registered != NoDate:
		p.Status = Active
	case p.accepted != NoDate:
		p.Status = Accepted
	default:
		p.Status = Proposed
	}
	s.settleReports(p)
	var late []float64
	progress := &p.Milestones
	for _, m := range p.milestones {
		if s.portfolio.readings[contract.RolePlanned] == nil { // then no other event tells it
			m.Baseline, m.Due = m.told, m.told
		}
		progress.Planned++
		progress.Replanned += m.Replanned
		if m.Reached != NoDate {
			progress.Reached++
			if m.Baseline != NoDate {
				days := int64(m.Reached) - int64(m.Baseline)
				m.DaysLate = &days
				late = append(late, float64(max(days, 0)))
			}
		} else if m.Due != NoDate {
			if m.Due < on {
				progress.Overdue++
			}
			if progress.NextDue == NoDate || m.Due < progress.NextDue {
				progress.NextDue = m.Due
			}
		}
		if m.Baseline != NoDate && m.Baseline <= on {
			progress.Due++
			if m.Reached != NoDate && m.Reached <= m.Baseline {
				progress.OnTime++
			}
		}
	}
	progress.DaysLate = median(late)
	if len(p.budgets) > 0 {
		sum := int64(0)
		for _, b := range p.budgets {
			sum += b.Amount
		}
		p.Money.Budgeted = &sum
	}
	if len(p.contracts) > 0 {
		sum := int64(0)
		for _, c := range p.contracts {
			sum += c.Amount
		}
		p.Money.Contracted = &sum
	}
	if p.hasSpent {
		p.Money.Spent = &p.spent
	}
	p.EarnedValue = earnedValue(p, on)
	for _, q := range p.promises {
		q.IsDue = q.Due != NoDate && q.Due <= on
		p.Promises.Promised++
		if q.Met != nil {
			p.Promises.Measured++
		}
		if q.IsDue {
			p.Promises.Due++
			if q.Met != nil && *q.Met {
				p.Promises.Met++
			}
		}
		if !slices.Contains(p.Serves, q.Indicator) {
			p.Serves = append(p.Serves, q.Indicator)
		}
	}
	for _, r := range p.risks {
		if r.Open {
			p.RisksOpen++
		}
	}
	for other, active := range p.waits {
		if active {
			p.WaitsFor = append(p.WaitsFor, other)
		}
	}
	slices.SortFunc(p.WaitsFor, byID)
	slices.SortStableFunc(p.milestones, func(a, b *Milestone) int {
		return cmp.Or(cmp.Compare(a.Baseline, b.Baseline), strings.Compare(a.Milestone, b.Milestone))
	})
}

// settleReports finds the last report, and when the next is due.
func (s *state) settleReports(p *project) {
	declared := s.portfolio.declared
	r := &p.Report
	for _, one := range p.reports {
		r.On, r.Evidence = one.On, one.Evidence
		if one.Percent != nil {
			r.Percent = one.Percent
		}
	}
	if r.Count == 0 && p.Registered != NoDate && declared.ReportEvery > 0 {
		r.Due = p.Registered + Date(declared.ReportEvery)
	}
	if p.Status != Active || r.Due == NoDate || r.Due >= Date(s.on) {
		return
	}
	missing := reference.Day(r.Due)
	if declared.ReportGrace > 0 {
		missing = s.portfolio.refs.Calendar().AddWorkingDays(missing, declared.ReportGrace)
	}
	r.Stale = missing < s.on
}

// earnedValue computes the indices of a project whose milestones all have weights.
func earnedValue(p *project, on Date) EarnedValue {
	if len(p.milestones) == 0 {
		return EarnedValue{Reason: "no_milestones"}
	}
	var all, planned, earned float64
	for _, m := range p.milestones {
		if m.Weight == nil || m.Baseline == NoDate {
			return EarnedValue{Reason: "no_weights"}
		}
		w := float64(*m.Weight)
		all += w
		if m.Baseline <= on {
			planned += w
		}
		if m.Reached != NoDate {
			earned += w
		}
	}
	v := EarnedValue{}
	switch {
	case all == 0:
		return EarnedValue{Reason: "no_weights"}
	case planned == 0:
		v.Reason = "nothing_due"
	default:
		spi := earned / planned
		v.SPI = &spi
	}
	switch {
	case p.Money.Budgeted == nil:
		v.Reason = cmp.Or(v.Reason, "no_budget")
	case p.Money.Spent == nil || *p.Money.Spent == 0:
		v.Reason = cmp.Or(v.Reason, "nothing_spent")
	default:
		cpi := earned / all * float64(*p.Money.Budgeted) / float64(*p.Money.Spent)
		v.CPI = &cpi
	}
	return v
}

// median is the middle value, or the mean of the two in the middle; nil of none. values
// are sorted by it.
func median(values []float64) *float64 {
	n := len(values)
	if n == 0 {
		return nil
	}
	slices.Sort(values)
	m := (values[(n-1)/2] + values[n/2]) / 2
	return &m
}
