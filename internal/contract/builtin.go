package contract

import "ombor/internal/reference"

// Names of the contracts that every pack has without writing them. Their events travel as
// any others do: door, journal, loader, facts, lake.
const (
	PeriodClosed    = "period.closed"
	FigurePublished = "figure.published"
)

// BuiltIn are the contracts that every pack has, with its prefix: period.closed, by which
// a sender says that all events of some days are sent and how many they are, and
// figure.published, by which Ombor keeps what it published of a closed period, and what
// it hid.
func BuiltIn(prefix string) []*Contract {
	return []*Contract{
		{
			Type: prefix + PeriodClosed + ".v1", Name: PeriodClosed, Major: 1, File: "every pack",
			Title: reference.Names{"en": "Period closed", "uz": "Davr yopildi", "ru": "Период закрыт"},
			About: "All events of a contract that happened on some days are sent. Sent once a month, by each sender for each of its contracts; when events are corrected later, it is not sent again.",
			Fields: []Field{
				{Name: "source", Type: Code, Required: true, Class: Open, About: "The sender, as source of its events."},
				{Name: "contract", Type: Code, Required: true, Class: Open, About: "The contract without prefix and version: request.decided."},
				{Name: "from", Type: Date, Required: true, Class: Open, About: "The first day."},
				{Name: "to", Type: Date, Required: true, Class: Open, About: "The last day."},
				{Name: "count", Type: Integer, Class: Open, About: "How many events of these days stand, corrections and withdrawals settled; a sender that cannot count leaves it out."},
			},
			Rules: []Rule{
				{ID: "to-after-from", Check: "from <= to", Severity: Refuse},
				{ID: "count-not-negative", Check: "count >= 0", Severity: Refuse},
			},
		},
		{
			Type: prefix + FigurePublished + ".v1", Name: FigurePublished, Major: 1, File: "every pack",
			Title: reference.Names{"en": "Figure published", "uz": "Koʻrsatkich eʻlon qilindi", "ru": "Показатель опубликован"},
			About: "What was published of one KPI for one closed period and one combination of dimensions, hidden or not. Ombor writes it; the newest number counts. Its rows are never shown as rows.",
			Fields: []Field{
				{Name: "kpi", Type: Code, Required: true},
				{Name: "variant", Type: Code},
				{Name: "version", Type: Integer, Required: true},
				{Name: "grain", Type: Enum, Required: true, Values: []string{"month", "quarter", "year"}},
				{Name: "from", Type: Date, Required: true},
				{Name: "to", Type: Date, Required: true},
				{Name: "by", Type: Code, About: "The dimensions, by comma; none for the whole."},
				{Name: "key", Type: Text, About: "Their values, as a JSON list."},
				{Name: "number", Type: Integer, Required: true, About: "1 for what was published when the period closed, 2 and so on for corrections."},
				{Name: "hidden", Type: Boolean, Required: true, About: "Whether the figure is hidden outside, for whatever reason."},
				{Name: "state", Type: Enum, Required: true, Values: []string{"value", "zero", "not_applicable", "not_provided", "suppressed"}, Class: Special},
				{Name: "reason", Type: Code, Class: Special},
				{Name: "numerator", Type: Text, Class: Special, About: "An exact decimal."},
				{Name: "denominator", Type: Text, Class: Special, About: "An exact decimal."},
				{Name: "value", Type: Number, Class: Special},
				{Name: "quantiles", Type: Text, Class: Special, About: "As JSON."},
				{Name: "cases", Type: Integer, Class: Special},
				{Name: "persons", Type: Integer, Class: Special, About: "Distinct persons, counted up to a little above k."},
				{Name: "through", Type: Integer, Required: true, About: "The newest message whose events are in it."},
			},
		},
	}
}

// Special says whether the contract has fields that never leave as rows, so that its
// figures are published only by wide places and long periods.
func (c *Contract) Special() bool {
	for i := range c.Fields {
		if c.Fields[i].Class == Special {
			return true
		}
	}
	return false
}
