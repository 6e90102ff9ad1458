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
				{Name: "source", Title: names("Sender", "Yuboruvchi", "Отправитель"), Type: Code, Required: true, Class: Open, About: "The sender, as source of its events."},
				{Name: "contract", Title: names("Contract", "Kontrakt", "Контракт"), Type: Code, Required: true, Class: Open, About: "The contract without prefix and version: request.decided."},
				{Name: "from", Title: names("First day", "Birinchi kun", "Первый день"), Type: Date, Required: true, Class: Open, About: "The first day."},
				{Name: "to", Title: names("Last day", "Oxirgi kun", "Последний день"), Type: Date, Required: true, Class: Open, About: "The last day."},
				{Name: "count", Title: names("Events", "Hodisalar", "События"), Type: Integer, Class: Open, About: "How many events of these days stand, corrections and withdrawals settled; a sender that cannot count leaves it out."},
				{Name: "scale", Title: names("Scale", "Koʻlam", "Масштаб"), Type: Number, Class: Open, About: "Of a simulation: what part of the real numbers of cases, sums and users its events have; 0.01 is one in a hundred. Left out: as many as in life."},
			},
			Rules: []Rule{
				{ID: "to-after-from", Check: "from <= to", Severity: Refuse},
				{ID: "count-not-negative", Check: "count >= 0", Severity: Refuse},
				{ID: "scale-positive", Check: "scale > 0.0", Severity: Refuse},
			},
		},
		{
			Type: prefix + FigurePublished + ".v1", Name: FigurePublished, Major: 1, File: "every pack",
			Title: reference.Names{"en": "Figure published", "uz": "Koʻrsatkich eʼlon qilindi", "ru": "Показатель опубликован"},
			About: "What was published of one KPI for one closed period and one combination of dimensions, hidden or not. Ombor writes it; the newest number counts. Its rows are never shown as rows.",
			Fields: []Field{
				{Name: "kpi", Title: names("KPI", "Koʻrsatkich", "Показатель"), Type: Code, Required: true},
				{Name: "variant", Title: names("Variant", "Variant", "Вариант"), Type: Code},
				{Name: "version", Title: names("Version", "Versiya", "Версия"), Type: Integer, Required: true},
				{Name: "grain", Title: names("Period", "Davr", "Период"), Type: Enum, Required: true, Values: []string{"month", "quarter", "year"}},
				{Name: "from", Title: names("First day", "Birinchi kun", "Первый день"), Type: Date, Required: true},
				{Name: "to", Title: names("Last day", "Oxirgi kun", "Последний день"), Type: Date, Required: true},
				{Name: "by", Title: names("By", "Kesimlar", "Разрезы"), Type: Code, About: "The dimensions, by comma; none for the whole."},
				{Name: "key", Title: names("Values of the dimensions", "Kesim qiymatlari", "Значения разрезов"), Type: Text, About: "Their values, as a JSON list."},
				{Name: "number", Title: names("Number", "Tartib raqami", "Номер"), Type: Integer, Required: true, About: "1 for what was published when the period closed, 2 and so on for corrections."},
				{Name: "hidden", Title: names("Hidden", "Yashirilgan", "Скрыто"), Type: Boolean, Required: true, About: "Whether the figure is hidden outside, for whatever reason."},
				{Name: "state", Title: names("State", "Holat", "Состояние"), Type: Enum, Required: true, Values: []string{"value", "zero", "not_applicable", "not_provided", "suppressed"}, Class: Special},
				{Name: "reason", Title: names("Reason", "Sabab", "Причина"), Type: Code, Class: Special},
				{Name: "numerator", Title: names("Numerator", "Surat", "Числитель"), Type: Text, Class: Special, About: "An exact decimal."},
				{Name: "denominator", Title: names("Denominator", "Maxraj", "Знаменатель"), Type: Text, Class: Special, About: "An exact decimal."},
				{Name: "value", Title: names("Value", "Qiymat", "Значение"), Type: Number, Class: Special},
				{Name: "quantiles", Title: names("Quantiles", "Kvantillar", "Квантили"), Type: Text, Class: Special, About: "As JSON."},
				{Name: "cases", Title: names("Cases", "Holatlar soni", "Случаи"), Type: Integer, Class: Special},
				{Name: "persons", Title: names("Persons", "Shaxslar", "Лица"), Type: Integer, Class: Special, About: "Distinct persons, counted up to a little above k."},
				{Name: "through", Title: names("Through message", "Qaysi xabargacha", "По сообщение"), Type: Integer, Required: true, About: "The newest message whose events are in it."},
			},
		},
	}
}

func names(en, uz, ru string) reference.Names {
	return reference.Names{"en": en, "uz": uz, "ru": ru}
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
