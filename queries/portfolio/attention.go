package portfolio

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ombor/internal/contract"
)

// Severity is how grave a finding is.
type Severity int

const (
	Notice  Severity = 1 // something to know this week
	Warning Severity = 2
	Grave   Severity = 3
)

// Rule is one reason for which a project needs attention.
type Rule struct {
	ID       string   `json:"rule"`
	Severity Severity `json:"severity"`
	About    string   `json:"about"`
}

// Rules are all, the gravest first. They look at active projects only, at the day that is
// asked about; "this week" is that day and the six after it.
var Rules = []Rule{
	{"report-missing", Grave, "no report within the grace after one was due"},
	{"milestone-overdue", Grave, "a milestone's current due date has passed and it was not reached"},
	{"promise-missed", Grave, "a promised benefit was due and what was measured does not keep it"},
	{"dependency-cycle", Grave, "the project waits for itself, through others or not"},
	{"overspent", Grave, "more was spent than was contracted or set aside"},
	{"rating-low", Grave, "the computed rating is below 2.5"},
	{"promise-unmeasured", Warning, "a promised benefit was due and nothing was measured"},
	{"dependency-late", Warning, "a project that it waits for has an overdue milestone or no report"},
	{"dependency-ended", Warning, "a project that it waits for has ended or is not in the portfolio"},
	{"risk-high", Warning, "a risk of high severity is open"},
	{"replanned-often", Warning, "dates were moved three times or more"},
	{"claim-differs", Warning, "the sender says of a promise what its value does not bear out"},
	{"no-milestones", Warning, "in the register, and no milestone was planned"},
	{"report-due", Notice, "a report is due this week, or was and is within the grace"},
	{"milestone-due", Notice, "a milestone is due this week"},
	{"promise-due", Notice, "a promised benefit is due this week"},
}

const (
	week         = 6   // days after today
	lowRating    = 2.5 // of 1 to 5
	oftenReplans = 3
)

// Finding is one rule that a project breaks, with what was found.
type Finding struct {
	Project  string   `json:"project"`
	Name     string   `json:"name"`
	Agency   string   `json:"agency"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Since    Date     `json:"since"` // the day on which it begins, where there is one
	Words    string   `json:"words"`

	// Facts are the parts of Words, for who says them in another language: days as
	// YYYY-MM-DD; of a milestone its milestone, name, due and first_due, of a report due and last, of a promise
	// indicator, due, said and met, of money percent and of (contracted or budgeted), of a
	// rating rating and by (expert or all), of other projects project, ended, stage, last, overdue or
	// projects; risk; times.
	Facts map[string]string `json:"facts"`
}

// Attention are findings about the projects that fit.
type Attention struct {
	On       Date           `json:"on"`
	KnownOn  Date           `json:"known_on"`
	Rules    []Rule         `json:"rules"`
	Counts   map[string]int `json:"counts"` // projects by rule
	Findings []Finding      `json:"findings"`

	DataThrough Date `json:"data_through"` // day of the newest event by then; missing: none
}

// Attention is what needs attention in the week that begins on the day asked about, the
// gravest and oldest first.
func (p *Portfolio) Attention(ctx context.Context, r Request) (*Attention, error) {
	s, all, err := p.fitting(ctx, r)
	if err != nil {
		return nil, err
	}
	a := &Attention{On: Date(s.on), KnownOn: s.knownOn, DataThrough: s.through, Rules: Rules, Counts: map[string]int{}, Findings: []Finding{}}
	for _, rule := range Rules {
		a.Counts[rule.ID] = 0
	}
	for _, one := range all {
		for _, f := range one.findings {
			if len(r.Rule) == 0 || slices.Contains(r.Rule, f.Rule) {
				a.Findings = append(a.Findings, f)
			}
		}
		for _, rule := range one.Attention {
			if len(r.Rule) == 0 || slices.Contains(r.Rule, rule) {
				a.Counts[rule]++
			}
		}
	}
	slices.SortStableFunc(a.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(place(x.Rule), place(y.Rule)), cmp.Compare(x.Since, y.Since), byID(x.Project, y.Project))
	})
	return a, nil
}

// place is where a rule stands in [Rules].
func place(id string) int { return slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == id }) }

// attend holds a project against every rule. Its dependencies are known by then.
func (s *state) attend(p *project) {
	if p.Status != Active {
		return
	}
	on := Date(s.on)
	found := func(id string, since Date, facts map[string]string, format string, args ...any) {
		maps.DeleteFunc(facts, func(_, told string) bool { return told == "" })
		p.findings = append(p.findings, Finding{p.ID, p.Name, p.Agency, id, Rules[place(id)].Severity, since, fmt.Sprintf(format, args...), facts})
		if !slices.Contains(p.Attention, id) {
			p.Attention = append(p.Attention, id)
		}
	}
	thisWeek := func(d Date) bool { return d != NoDate && d >= on && d <= on+week }

	switch r := p.Report; {
	case r.Stale && r.Count == 0:
		found("report-missing", r.Due, map[string]string{"due": r.Due.String()}, "never reported; the first report was due on %s", r.Due)
	case r.Stale:
		found("report-missing", r.Due, map[string]string{"due": r.Due.String(), "last": r.On.String()}, "the last report is of %s; the next was due on %s", r.On, r.Due)
	case r.Due != NoDate && r.Due <= on+week:
		found("report-due", r.Due, map[string]string{"due": r.Due.String()}, "a report is due on %s", r.Due)
	}
	if p.Milestones.Planned == 0 && s.portfolio.readings[contract.RolePlanned] != nil {
		found("no-milestones", p.Registered, map[string]string{}, "no milestone was planned since it was registered on %s", p.Registered)
	}
	for _, m := range p.milestones {
		switch {
		case m.Reached != NoDate || m.Due == NoDate:
		case m.Due < on:
			found("milestone-overdue", m.Due, m.facts(), "%s was due on %s%s", named(m), m.Due, firstDue(m))
		case thisWeek(m.Due):
			found("milestone-due", m.Due, m.facts(), "%s is due on %s%s", named(m), m.Due, firstDue(m))
		}
	}
	if p.Milestones.Replanned >= oftenReplans {
		found("replanned-often", p.replans[len(p.replans)-1].On, map[string]string{"times": fmt.Sprint(p.Milestones.Replanned)}, "dates were moved %d times", p.Milestones.Replanned)
	}
	for _, q := range p.promises {
		facts := func() map[string]string { return map[string]string{"indicator": q.Indicator, "due": q.Due.String()} }
		switch {
		case thisWeek(q.Due) && (q.Met == nil || !*q.Met):
			found("promise-due", q.Due, facts(), "%s is promised for %s", q.Indicator, q.Due)
		case !q.IsDue:
		case q.Met == nil:
			found("promise-unmeasured", q.Due, facts(), "%s was promised for %s and not measured", q.Indicator, q.Due)
		case !*q.Met:
			found("promise-missed", q.Due, facts(), "%s was promised for %s and missed", q.Indicator, q.Due)
		}
		if q.Met != nil && *q.SaidMet != *q.Met {
			found("claim-differs", q.MeasuredOn, map[string]string{"indicator": q.Indicator, "said": fmt.Sprint(*q.SaidMet), "met": fmt.Sprint(*q.Met)}, "the sender says of %s that it is met: %t; by its value: %t", q.Indicator, *q.SaidMet, *q.Met)
		}
	}
	overspent := func(of, words string, spent, whole int64) {
		percent := fmt.Sprintf("%.0f", 100*float64(spent)/float64(max(whole, 1)))
		found("overspent", NoDate, map[string]string{"percent": percent, "of": of}, "spent %s %% of what was %s", percent, words)
	}
	switch m := p.Money; {
	case m.Spent == nil:
	case m.Contracted != nil && *m.Spent > *m.Contracted:
		overspent("contracted", "contracted", *m.Spent, *m.Contracted)
	case m.Budgeted != nil && *m.Spent > *m.Budgeted:
		overspent("budgeted", "set aside", *m.Spent, *m.Budgeted)
	}
	if r := p.Rating; r.Computed != nil && *r.Computed < lowRating {
		found("rating-low", r.On, map[string]string{"rating": fmt.Sprintf("%.1f", *r.Computed), "by": map[bool]string{true: "expert", false: "all"}[r.Overridden]}, "rated %.1f%s", *r.Computed, map[bool]string{true: ", by the expert's points alone"}[r.Overridden])
	}
	for _, r := range p.risks {
		if r.Open && r.Severity == "high" {
			found("risk-high", r.On, map[string]string{"risk": cmp.Or(r.What, r.Risk)}, "%s", cmp.Or(r.What, r.Risk))
		}
	}
	if len(p.cycle) > 0 {
		found("dependency-cycle", NoDate, map[string]string{"projects": strings.Join(p.cycle, " ")}, "%s", strings.Join(append(slices.Clone(p.cycle), p.cycle[0]), " waits for "))
	}
	for _, id := range p.WaitsFor {
		switch other := s.projects[id]; {
		case other == nil:
			found("dependency-ended", NoDate, map[string]string{"project": id}, "waits for %s, which is not in the portfolio", id)
		case other.Status == Ended:
			found("dependency-ended", other.ended, map[string]string{"project": id, "ended": other.ended.String(), "stage": other.Stage}, "waits for %s, which ended on %s (%s)", id, other.ended, other.Stage)
		case other.Report.Stale:
			found("dependency-late", other.Report.Due, map[string]string{"project": id, "last": other.Report.On.String()}, "waits for %s, which has not reported since %s", id, cmp.Or(other.Report.On.String(), "it was registered"))
		case other.Milestones.Overdue > 0:
			found("dependency-late", NoDate, map[string]string{"project": id, "overdue": fmt.Sprint(other.Milestones.Overdue)}, "waits for %s, which has %d overdue milestones", id, other.Milestones.Overdue)
		}
	}
	slices.SortStableFunc(p.findings, func(a, b Finding) int { return cmp.Compare(place(a.Rule), place(b.Rule)) })
	slices.SortFunc(p.Attention, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
}

func named(m *Milestone) string {
	if m.Name == "" {
		return "milestone " + m.Milestone
	}
	return m.Milestone + " (" + m.Name + ")"
}

// firstDue is the day on which a milestone was due at first, where it was moved; else "".
func (m *Milestone) firstDue() string {
	if m.Baseline == m.Due {
		return ""
	}
	return m.Baseline.String()
}

func firstDue(m *Milestone) string {
	if m.firstDue() == "" {
		return ""
	}
	return ", at first on " + m.firstDue()
}

func (m *Milestone) facts() map[string]string {
	return map[string]string{"milestone": m.Milestone, "name": m.Name, "due": m.Due.String(), "first_due": m.firstDue()}
}

// depend finds who waits for whom, and the cycles: the strongly connected components
// of more than one project, or of one that waits for itself (Tarjan, 1972).
func (s *state) depend() {
	index, low, on := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var visit func(id string)
	visit = func(id string) {
		index[id], low[id] = len(index)+1, len(index)+1
		stack, on[id] = append(stack, id), true
		for _, other := range s.projects[id].WaitsFor {
			switch {
			case s.projects[other] == nil:
			case index[other] == 0:
				visit(other)
				low[id] = min(low[id], low[other])
			case on[other]:
				low[id] = min(low[id], index[other])
			}
		}
		if low[id] != index[id] {
			return
		}
		at := slices.Index(stack, id)
		members := slices.Clone(stack[at:])
		stack = stack[:at]
		for _, m := range members {
			on[m] = false
		}
		for _, m := range members {
			s.projects[m].cycle = s.circle(m, members)
		}
	}
	for _, p := range s.ordered {
		for _, other := range p.WaitsFor {
			if q := s.projects[other]; q != nil {
				q.waitedFor = append(q.waitedFor, p.ID)
			}
		}
		if index[p.ID] == 0 {
			visit(p.ID)
		}
	}
}

// circle is the shortest way from a project back to itself among the members of its
// component; nil when there is none. The last waits for the first.
func (s *state) circle(from string, members []string) []string {
	before := map[string]string{}
	queue := []string{from}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		for _, other := range s.projects[id].WaitsFor {
			if other == from {
				way := []string{id}
				for way[0] != from {
					way = append([]string{before[way[0]]}, way...)
				}
				return way
			}
			if _, seen := before[other]; !seen && slices.Contains(members, other) {
				before[other] = id
				queue = append(queue, other)
			}
		}
	}
	return nil
}
