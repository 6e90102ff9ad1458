package contract

import (
	"slices"
	"strings"
)

// Portfolio says which contracts of a pack tell of projects, and by which rule a
// report is late. A pack declares it under portfolio in pack.yaml; what the roles are
// is [PortfolioRoles].
type Portfolio struct {
	Contracts   map[string]*Contract // by role; a role without a contract is absent
	Ended       []string             // stages in which a project has left the portfolio
	ReportEvery int                  // days after which a report is due when none named a day; 0: none is due then
	ReportGrace int                  // working days after which a report that was due is missing
}

// PortfolioRole is what a contract can say of a project. A contract that plays a role
// has the role's fields under these names; those that are not Needed may be absent
// from the contract, and are then not known of any project.
type PortfolioRole struct {
	Name   string
	Fields []PortfolioField
	Key    []string // fields that, with the day where "day" stands among them, make an event one of its kind
}

// PortfolioField is a field of a role.
type PortfolioField struct {
	Name   string
	Is     PortfolioValue
	Needed bool
}

// PortfolioValue is how the portfolio reads a field.
type PortfolioValue uint8

const (
	PortfolioText    PortfolioValue = iota // text, code, enum, ref
	PortfolioWhole                         // integer
	PortfolioMoney                         // money, in minor units
	PortfolioDay                           // date
	PortfolioFlag                          // boolean
	PortfolioDecimal                       // decimal, integer, number
)

var portfolioTypes = map[PortfolioValue][]Type{
	PortfolioText:    {Text, Code, Enum, Ref},
	PortfolioWhole:   {Integer},
	PortfolioMoney:   {Money},
	PortfolioDay:     {Date},
	PortfolioFlag:    {Boolean},
	PortfolioDecimal: {Decimal, Integer, Number, Money},
}

// Roles of a portfolio's contracts.
const (
	RoleProgramme   = "programme"
	RoleRecommended = "recommended"
	RoleAccepted    = "accepted"
	RoleRegistered  = "registered"
	RoleStaged      = "staged"
	RolePlanned     = "milestone_planned"
	RoleReached     = "milestone_reached"
	RoleReplanned   = "replanned"
	RoleBudgeted    = "budgeted"
	RoleContracted  = "contracted"
	RoleSpent       = "spent"
	RoleReported    = "reported"
	RoleRated       = "rated"
	RoleDependsOn   = "depends_on"
	RoleRisk        = "risk_raised"
	RolePromised    = "benefit_promised"
	RoleMeasured    = "benefit_measured"
)

// PortfolioRoles are all roles, in the order in which a project meets them.
func PortfolioRoles() []PortfolioRole { return portfolioRoles }

var portfolioRoles = func() []PortfolioRole {
	need := func(name string, is PortfolioValue) PortfolioField { return PortfolioField{name, is, true} }
	may := func(name string, is PortfolioValue) PortfolioField { return PortfolioField{name, is, false} }
	project := need("project", PortfolioText)
	described := []PortfolioField{project, may("name", PortfolioText), may("agency", PortfolioText), may("programme", PortfolioText),
		may("priority", PortfolioText), may("service", PortfolioText), may("register_number", PortfolioText)}
	milestone := need("milestone", PortfolioText)
	return []PortfolioRole{
		{RoleProgramme, []PortfolioField{need("programme", PortfolioText), may("name", PortfolioText), may("agency", PortfolioText)}, []string{"programme"}},
		{RoleRecommended, described, []string{"project"}},
		{RoleAccepted, described, []string{"project"}},
		{RoleRegistered, described, []string{"project"}},
		{RoleStaged, []PortfolioField{project, need("stage", PortfolioText)}, []string{"project", "stage", "day"}},
		{RolePlanned, []PortfolioField{project, milestone, need("due", PortfolioDay), may("name", PortfolioText), may("weight", PortfolioWhole)}, []string{"project", "milestone"}},
		{RoleReached, []PortfolioField{project, milestone, need("reached_on", PortfolioDay), may("baseline", PortfolioDay), may("evidence", PortfolioText)}, []string{"project", "milestone"}},
		{RoleReplanned, []PortfolioField{project, milestone, need("new_due", PortfolioDay), may("old_due", PortfolioDay), may("reason", PortfolioText), may("explanation", PortfolioText)}, []string{"project", "milestone", "new_due"}},
		{RoleBudgeted, []PortfolioField{project, need("amount", PortfolioMoney), may("year", PortfolioWhole), may("money_source", PortfolioText)}, []string{"project", "year", "money_source"}},
		{RoleContracted, []PortfolioField{project, need("contract_number", PortfolioText), need("amount", PortfolioMoney), may("delivery_due", PortfolioDay)}, []string{"project", "contract_number"}},
		{RoleSpent, []PortfolioField{project, need("amount", PortfolioMoney), may("contract_number", PortfolioText)}, []string{"project", "contract_number", "amount", "day"}},
		{RoleReported, []PortfolioField{project, may("percent", PortfolioWhole), may("evidence", PortfolioText), may("next_due", PortfolioDay)}, []string{"project", "day"}},
		{RoleRated, []PortfolioField{project, may("cost_points", PortfolioWhole), may("schedule_points", PortfolioWhole), may("expert_points", PortfolioWhole)}, []string{"project", "day"}},
		{RoleDependsOn, []PortfolioField{project, need("other", PortfolioText), may("active", PortfolioFlag)}, []string{"project", "other", "day"}},
		{RoleRisk, []PortfolioField{project, need("risk", PortfolioText), may("severity", PortfolioText), may("open", PortfolioFlag), may("what", PortfolioText)}, []string{"project", "risk", "day"}},
		{RolePromised, []PortfolioField{project, need("indicator", PortfolioText), need("due", PortfolioDay), may("at_least", PortfolioDecimal), may("at_most", PortfolioDecimal)}, []string{"project", "indicator", "due"}},
		{RoleMeasured, []PortfolioField{project, need("indicator", PortfolioText), need("met", PortfolioFlag), may("value", PortfolioDecimal), may("due", PortfolioDay)}, []string{"project", "indicator", "due"}},
	}
}()

// Role is the role of a contract in the portfolio; false when it has none. A nil
// portfolio has none.
func (p *Portfolio) Role(c *Contract) (PortfolioRole, bool) {
	if p != nil {
		for _, role := range portfolioRoles {
			if p.Contracts[role.Name] == c {
				return role, true
			}
		}
	}
	return PortfolioRole{}, false
}

// Check tells bad what hinders the portfolio from being read, by the key of the
// declaration: a role that does not exist, a contract without a field that its role needs
// or with one of another type, ended stages that no project can have, no contract of
// registered projects, and numbers of days that make no sense.
func (p *Portfolio) Check(bad func(field, format string, args ...any)) {
	var names []string
	for _, role := range portfolioRoles {
		names = append(names, role.Name)
	}
	for name := range p.Contracts {
		if !slices.Contains(names, name) {
			bad("contracts."+name, "is no role of a contract in a portfolio; roles are %s", strings.Join(names, ", "))
		}
	}
	if p.Contracts[RoleRegistered] == nil {
		bad("contracts", "has no contract for registered, which says what projects there are")
	}
	for _, role := range portfolioRoles {
		c := p.Contracts[role.Name]
		if c == nil {
			continue
		}
		for _, want := range role.Fields {
			f := c.Field(want.Name)
			switch types := portfolioTypes[want.Is]; {
			case f == nil && want.Needed:
				bad("contracts."+role.Name, "%s has no field %s, which this role needs", c.Name, want.Name)
			case f != nil && !slices.Contains(types, f.Type):
				var allowed []string
				for _, t := range types {
					allowed = append(allowed, t.String())
				}
				bad("contracts."+role.Name, "%s.%s is %s; in this role it is %s", c.Name, want.Name, article(f.Type.String()), strings.Join(allowed, " or "))
			}
		}
	}
	staged := p.Contracts[RoleStaged]
	for _, stage := range p.Ended {
		if staged == nil {
			bad("ended", "names stages, but no contract plays the role staged")
			break
		}
		if f := staged.Field("stage"); f != nil && f.Type == Enum && !slices.Contains(f.Values, stage) {
			bad("ended", "%q is no stage of %s; stages are %s", stage, staged.Name, strings.Join(f.Values, ", "))
		}
	}
	if p.ReportEvery < 0 || p.ReportEvery > 3660 {
		bad("report_every", "is %d; it is a number of days from 0 to 3660", p.ReportEvery)
	}
	if p.ReportGrace < 0 || p.ReportGrace > maxGrace {
		bad("report_grace", "is %d; it is a number of working days from 0 to %d", p.ReportGrace, maxGrace)
	}
}

// maxGrace is how many working days a report may be late at most before it is missing.
const maxGrace = 250
