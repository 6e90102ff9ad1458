package pack

import "ombor/internal/contract"

// readPortfolio binds the roles of the portfolio to contracts of the pack.
func (r *reader) readPortfolio(p *Pack) {
	d := r.declared.Portfolio
	if d == nil {
		return
	}
	before := len(r.issues)
	portfolio := &contract.Portfolio{Contracts: map[string]*contract.Contract{}, Ended: d.Ended, ReportEvery: d.ReportEvery, ReportGrace: d.ReportGrace}
	for _, role := range sortedKeys(d.Contracts) {
		if c := r.find(p, r.head, "portfolio.contracts."+role, d.Contracts[role]); c != nil {
			portfolio.Contracts[role] = c
		}
	}
	if len(r.issues) == before { // a role whose contract is not known is told once
		portfolio.Check(func(field, format string, args ...any) { r.bad(r.head, join("portfolio", field), format, args...) })
	}
	if len(r.issues) == before {
		p.Portfolio = portfolio
	}
}
