// Package access says who somebody is, what they may do, and has it written down before
// it is done.
//
//	gate, err := access.Open(ctx, conn, log, access.Options{Secret: keys.Derive("access")})
//	p, err := gate.Enter(request, "GET /v1/scorecard")   // Unauthenticated, Denied, Busy, Unavailable
//
// # Who
//
// Machines carry an API key ([Keys]), people sign in with OpenID Connect ([SignIn]) and then
// carry a session ([Sessions]), and whoever can read the data folder on the server's own machine is
// its operator ([Options.Machine]). A first operator without any of these follows a link that works
// once ([Gate.Link]).
//
// # What
//
// [Table] is the one table of rules: for every route and command the roles that may use it.
// What does not stand in it is denied to everybody.
//
// # An agency's own rows
//
// A principal that is only of role agency sees figures of its own agency (or, when it has none, of its
// region), and the national total beside them; [Principal.Scope] says so, and whoever answers with rows asks it.
//
// # Written down
//
// Every denial, and every allowed use of a rule marked Record, is in the audit log on disk before
// [Gate.Enter] returns. When the log cannot be written, nothing is allowed that has to be recorded.
package access

import (
	"context"
	"slices"
	"strings"
)

// Role is what somebody is to Ombor.
type Role string

const (
	Source   Role = "source"   // a system that sends events
	Leader   Role = "leader"   // reads figures, targets and projects
	Analyst  Role = "analyst"  // a leader who also asks in SQL, of pseudonymised rows
	Center   Role = "center"   // follows all agencies: quality, quarantine, projects
	Agency   Role = "agency"   // sees its own rows, and the national total beside them
	Operator Role = "operator" // runs the installation: keys, audit log, maintenance
	Public   Role = "public"   // nobody in particular: what has been published
)

// Roles are all that somebody can be given.
var Roles = []Role{Source, Leader, Analyst, Center, Agency, Operator}

// Principal is somebody who is known.
type Principal struct {
	ID     string `json:"id"`   // "key:7Qm2…", "person:id.gov.uz/4711", "operator:machine", "public"
	Name   string `json:"name"` // as people know it
	Roles  []Role `json:"roles"`
	Agency string `json:"agency,omitempty"` // code of the organisation that somebody belongs to
	Region string `json:"region,omitempty"` // code of the region, for somebody of no agency who sees only that

	Sources   []string `json:"sources,omitempty"`   // CloudEvents sources that it may send for; "*" is any
	Contracts []string `json:"contracts,omitempty"` // CloudEvents types that it may send; empty: all of its sources
}

// Is says whether the principal has one of the roles.
func (p *Principal) Is(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(p.Roles, r) })
}

// Sends says whether the principal may send events of a source and a contract.
func (p *Principal) Sends(source, contract string) bool {
	if p.Is(Operator) {
		return true
	}
	return p.Is(Source) && (slices.Contains(p.Sources, "*") || slices.Contains(p.Sources, source)) &&
		(len(p.Contracts) == 0 || slices.Contains(p.Contracts, contract))
}

// Scope is the part of all rows that somebody sees: those where a dimension has a value.
type Scope struct {
	Dimension string // "agency" or "region"; empty: all rows
	Value     string
}

// Scope is what a principal sees. Of several roles the widest counts.
func (p *Principal) Scope() Scope {
	switch {
	case p.Is(Leader, Analyst, Center, Operator), p.Is(Public):
		return Scope{}
	case p.Agency == "" && p.Region != "": // who has both belongs to the agency, and others work in the region, too
		return Scope{"region", p.Region}
	}
	return Scope{"agency", p.Agency} // without a code: no row
}

func (p *Principal) role() string {
	names := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

type contextKey struct{}

// With is a context in which the principal acts.
func With(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// Of is the principal that acts in a context; nobody, with no role, when there is none.
func Of(ctx context.Context) *Principal {
	if p, ok := ctx.Value(contextKey{}).(*Principal); ok {
		return p
	}
	return &Principal{ID: "nobody"}
}
