package access

import (
	"slices"
	"strings"

	"ombor/internal/audit"
)

// Rule says who may use a route or a command.
type Rule struct {
	Name   string   // "GET /v1/scorecard", as the router has it, or "ombor load"
	Roles  []Role   // who may; nobody else
	Open   bool     // everybody may, also who shows nothing: it tells nothing of the data
	Record bool     // every use is in the audit log; denials always are
	Own    bool     // an agency sees its own rows here, and the national total
	Total  bool     // and a question without by and where is that total; elsewhere all is narrowed to its rows
	Whose  bool     // its rows belong to agencies: not for those who see a region's
	Via    []string // of a command: the routes that it uses, whose rules decide
}

// Machine marks commands that work on files of the machine and ask no server: the machine's own
// permissions decide.
const Machine = "the machine"

// Who reads figures, who also works with what lies behind them, and who runs the installation.
var (
	readers  = []Role{Leader, Analyst, Center, Agency, Operator}
	readersP = append([]Role{Public}, readers...)
	behind   = []Role{Analyst, Center, Operator}
	keepers  = []Role{Center, Operator}
	askers   = []Role{Analyst, Center, Agency, Operator} // in SQL
	everyone = append([]Role{Source, Public}, readers...)
)

// Table is every rule. A route or a command that does not stand here is denied to everybody; a
// test holds it against the router and the commands that there are.
var Table = []Rule{
	// What tells nothing of the data: the page's own files, health, signing in.
	{Name: "GET /", Open: true},
	{Name: "GET page", Open: true}, // every other address of the application
	{Name: "GET /assets/*file", Open: true},
	{Name: "GET /icon.svg", Open: true},
	{Name: "GET /theme.js", Open: true},
	{Name: "GET /healthz", Open: true},
	{Name: "GET /readyz", Open: true},
	{Name: "GET /openapi.json", Open: true},
	{Name: "GET /asyncapi.json", Open: true},
	{Name: "GET /docs", Open: true},
	{Name: "GET /docs/style.css", Open: true},
	{Name: "GET /v1/labels", Open: true},
	{Name: "GET /v1/me", Open: true},
	{Name: "GET /sign-in", Open: true},
	{Name: "GET /sign-in/callback", Open: true},
	{Name: "POST /sign-out", Open: true},

	// Sending.
	{Name: "POST /v1/events", Roles: []Role{Source, Operator}},
	{Name: "POST /v1/deliveries", Roles: []Role{Source, Operator}},
	{Name: "GET /v1/receipts/:id", Roles: []Role{Source, Center, Operator}},

	// Definitions and reference.
	{Name: "GET /v1/status", Roles: append([]Role{Source}, readers...)},
	{Name: "GET /v1/live", Roles: readersP},
	{Name: "GET /v1/kpis", Roles: readersP},
	{Name: "GET /v1/kpis/:id", Roles: readersP},
	{Name: "GET /v1/services", Roles: readersP},
	{Name: "GET /v1/services/:id", Roles: readersP},
	{Name: "GET /v1/organisations", Roles: readersP},
	{Name: "GET /v1/regions", Roles: readersP},
	{Name: "GET /v1/contracts", Roles: everyone},
	{Name: "GET /v1/contracts/:type", Roles: everyone},
	{Name: "GET /v1/dictionary", Roles: everyone},

	// Figures.
	{Name: "GET /v1/kpis/:id/values", Roles: readersP, Own: true, Total: true},
	{Name: "GET /v1/scorecard", Roles: readersP, Own: true, Total: true},
	{Name: "GET /v1/targets", Roles: readers, Own: true}, // the figures are national, the projects its own
	{Name: "GET /v1/changes", Roles: readers, Own: true, Total: true},
	{Name: "GET /v1/kpis/:id/why", Roles: readers, Own: true},
	{Name: "GET /v1/kpis/:id/gap", Roles: readers, Own: true},
	{Name: "GET /v1/kpis/:id/movers", Roles: readers, Own: true},
	{Name: "GET /v1/kpis/:id/sql", Roles: behind},
	{Name: "GET /v1/projects", Roles: readers, Own: true, Whose: true},
	{Name: "GET /v1/projects/:id", Roles: readers, Own: true, Whose: true},
	{Name: "GET /v1/portfolio", Roles: readers, Own: true, Whose: true},
	{Name: "GET /v1/portfolio/attention", Roles: readers, Own: true, Whose: true},
	{Name: "GET /v1/portfolio/duplicates", Roles: readers, Own: true, Whose: true},
	{Name: "POST /v1/differences", Roles: keepers, Record: true}, // what a file of projects would change

	// Right of reply, and the letter that asks for what is missing. An agency replies for itself.
	{Name: "GET /v1/replies", Roles: readers},
	{Name: "POST /v1/replies", Roles: []Role{Agency, Center, Operator}, Record: true},
	{Name: "POST /v1/replies/:id/withdraw", Roles: []Role{Agency, Center, Operator}, Record: true},
	{Name: "GET /v1/letters/:source", Roles: []Role{Leader, Center, Operator}},
	{Name: "GET /v1/me/settings", Roles: readers},
	{Name: "PUT /v1/me/settings", Roles: readers},

	// The workbench. The gate of SQL has every statement in the audit log, and narrows an agency to its rows.
	{Name: "GET /v1/workbench/schema", Roles: askers},
	{Name: "GET /v1/workbench/queries", Roles: askers},
	{Name: "POST /v1/workbench/queries", Roles: askers, Record: true},
	{Name: "GET /v1/workbench/queries/:id", Roles: askers},
	{Name: "PUT /v1/workbench/queries/:id", Roles: askers, Record: true},
	{Name: "DELETE /v1/workbench/queries/:id", Roles: askers, Record: true},
	{Name: "POST /v1/workbench/estimates", Roles: behind}, // counts what is read before rows of others are left out
	{Name: "GET /v1/workbench/runs", Roles: askers},
	{Name: "POST /v1/workbench/runs", Roles: askers},
	{Name: "GET /v1/workbench/runs/:id", Roles: askers},
	{Name: "DELETE /v1/workbench/runs/:id", Roles: askers},
	{Name: "GET /v1/workbench/runs/:id/export", Roles: askers, Record: true},

	// Quality of what was sent.
	{Name: "GET /v1/quality", Roles: readers, Own: true},
	{Name: "GET /v1/quality/findings", Roles: readers, Own: true},
	{Name: "GET /v1/quarantine", Roles: keepers, Record: true},
	{Name: "GET /v1/quarantine/:id", Roles: keepers, Record: true},
	{Name: "POST /v1/quarantine/:id/fix", Roles: keepers, Record: true},
	{Name: "POST /v1/quarantine/replay", Roles: keepers, Record: true},
	{Name: "POST /v1/quarantine/dismiss", Roles: keepers, Record: true},

	// Running the installation.
	{Name: "GET /metrics", Roles: []Role{Operator}},
	{Name: "GET /v1/keys", Roles: []Role{Operator}, Record: true},
	{Name: "POST /v1/keys", Roles: []Role{Operator}, Record: true},
	{Name: "DELETE /v1/keys/:id", Roles: []Role{Operator}, Record: true},
	{Name: "GET /v1/audit", Roles: []Role{Operator}, Record: true},
	{Name: "POST /v1/links", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/verify", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/retain", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/erase", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/rotate", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/compact", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/rebuild", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/backup", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/audit", Roles: []Role{Operator}, Record: true},
	{Name: "POST /operator/audit-retire", Roles: []Role{Operator}, Record: true},

	// SQL at --sql-listen, whatever the method. Every statement is in the audit log, by its text.
	{Name: "SQL", Roles: []Role{Analyst, Center, Agency, Operator}, Record: true, Own: true},

	// Commands.
	{Name: "ombor serve", Via: []string{Machine}},
	{Name: "ombor demo", Via: []string{Machine}},
	{Name: "ombor load", Via: []string{"POST /v1/events", "POST /v1/deliveries", "GET /v1/receipts/:id"}},
	{Name: "ombor kpi", Via: []string{"GET /v1/kpis", "GET /v1/kpis/:id/values"}},
	{Name: "ombor scorecard", Via: []string{"GET /v1/scorecard"}},
	{Name: "ombor targets", Via: []string{"GET /v1/targets"}},
	{Name: "ombor changes", Via: []string{"GET /v1/changes"}},
	{Name: "ombor projects", Via: []string{"GET /v1/projects", "GET /v1/projects/:id"}},
	{Name: "ombor projects attention", Via: []string{"GET /v1/portfolio/attention"}},
	{Name: "ombor projects duplicates", Via: []string{"GET /v1/portfolio/duplicates"}},
	{Name: "ombor projects template", Via: []string{Machine}},
	{Name: "ombor projects import", Via: []string{"POST /v1/differences", "POST /v1/events", "GET /v1/receipts/:id"}},
	{Name: "ombor sql", Via: []string{"SQL"}},
	{Name: "ombor warehouse users", Via: []string{Machine}},
	{Name: "ombor status", Via: []string{"GET /v1/status"}},
	{Name: "ombor quality", Via: []string{"GET /v1/quality"}},
	{Name: "ombor quality findings", Via: []string{"GET /v1/quality/findings"}},
	{Name: "ombor quality letter", Via: []string{"GET /v1/letters/:source"}},
	{Name: "ombor quarantine", Via: []string{"GET /v1/quarantine"}},
	{Name: "ombor quarantine list", Via: []string{"GET /v1/quarantine"}},
	{Name: "ombor quarantine show", Via: []string{"GET /v1/quarantine/:id"}},
	{Name: "ombor quarantine fix", Via: []string{"POST /v1/quarantine/:id/fix"}},
	{Name: "ombor quarantine replay", Via: []string{"POST /v1/quarantine/replay"}},
	{Name: "ombor quarantine dismiss", Via: []string{"POST /v1/quarantine/dismiss"}},
	{Name: "ombor verify", Via: []string{"POST /operator/verify"}},
	{Name: "ombor retain", Via: []string{"POST /operator/retain"}},
	{Name: "ombor erase", Via: []string{"POST /operator/erase"}},
	{Name: "ombor pseudonyms rotate", Via: []string{"POST /operator/rotate"}},
	{Name: "ombor compact", Via: []string{"POST /operator/compact"}},
	{Name: "ombor rebuild", Via: []string{"POST /operator/rebuild"}},
	{Name: "ombor backup", Via: []string{"POST /operator/backup"}},
	{Name: "ombor restore", Via: []string{Machine}},
	{Name: "ombor simulate", Via: []string{Machine}},
	{Name: "ombor pack check", Via: []string{Machine}},
	{Name: "ombor pack schema", Via: []string{Machine}},
	{Name: "ombor contract", Via: []string{Machine}},
	{Name: "ombor doctor", Via: []string{Machine}},
	{Name: "ombor engine", Via: []string{Machine}},
	{Name: "ombor key create", Via: []string{"POST /v1/keys"}},
	{Name: "ombor key list", Via: []string{"GET /v1/keys"}},
	{Name: "ombor key revoke", Via: []string{"DELETE /v1/keys/:id"}},
	{Name: "ombor sign-in", Via: []string{"POST /v1/links"}},
	{Name: "ombor audit list", Via: []string{"GET /v1/audit"}},
	{Name: "ombor audit verify", Via: []string{"POST /operator/audit"}},
	{Name: "ombor audit retire", Via: []string{"POST /operator/audit-retire"}},
}

var rules = func() map[string]Rule {
	all := map[string]Rule{}
	for _, r := range Table {
		all[r.Name] = r
	}
	return all
}()

// Actions are what the audit log may tell of.
func Actions() []string {
	list := []string{actionSignIn, actionSignOut, KeyCreated, audit.Shortened}
	for _, r := range Table {
		if r.Via == nil {
			list = append(list, r.Name)
		}
	}
	return list
}

// What is recorded beside the rules of requests.
const (
	actionSignIn  = "sign in"
	actionSignOut = "sign out"
	KeyCreated    = "key created"
)

// RuleOf is the rule of a route or command; false when there is none.
func RuleOf(name string) (Rule, bool) {
	r, ok := rules[name]
	return r, ok
}

func (r *Rule) allows(p *Principal) bool { return r.Open || p.Is(r.Roles...) }

// hides says whether whoever answers by the rule has nothing to show somebody whom it allows.
func (r *Rule) hides(p *Principal) bool { return r.Whose && p.Scope().Dimension == "region" }

// May are the API's routes that somebody may use, as the router has them, "GET /v1/kpis/:id". Nil is
// nobody in particular, who may use what is open and what public may.
func May(p *Principal) []string {
	if p == nil {
		p = &Principal{Roles: []Role{Public}}
	}
	var all []string
	for i := range Table {
		if strings.Contains(Table[i].Name, " /v1/") && Table[i].allows(p) && !Table[i].hides(p) {
			all = append(all, Table[i].Name)
		}
	}
	return all
}

// Allowed are the roles that may use the rule; of a command those that may use all of its routes.
// An open rule, and a command of the machine, are for every role.
func (r *Rule) Allowed() []Role {
	all := append([]Role{Public}, Roles...)
	if r.Open {
		return all
	}
	if len(r.Via) == 0 {
		return r.Roles
	}
	return slices.DeleteFunc(all, func(role Role) bool {
		return slices.ContainsFunc(r.Via, func(route string) bool {
			via := rules[route]
			return route != Machine && !slices.Contains(via.Allowed(), role)
		})
	})
}

// words names roles for people: "analysts, center or operators".
func words(roles []Role) string {
	names := map[Role]string{Source: "sources", Leader: "leaders", Analyst: "analysts", Center: "the center", Agency: "agencies", Operator: "operators"}
	var all []string
	for _, r := range roles {
		if names[r] != "" {
			all = append(all, names[r])
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
