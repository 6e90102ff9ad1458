package dashboards

import (
	"strings"

	"ombor/internal/reference"
)

// columnWords are what the columns of a table of values hold. Their ids are the same in every
// language and format, for programs; the sheet About of a workbook says them to people.
var columnWords = map[string]reference.Names{
	"kpi":              {"en": "id of the figure", "uz": "koʻrsatkich kodi", "ru": "код показателя"},
	"period":           {"en": "period", "uz": "davr", "ru": "период"},
	"from":             {"en": "first day", "uz": "birinchi kun", "ru": "первый день"},
	"to":               {"en": "last day", "uz": "oxirgi kun", "ru": "последний день"},
	"numerator":        {"en": "numerator", "uz": "surat", "ru": "числитель"},
	"denominator":      {"en": "denominator", "uz": "maxraj", "ru": "знаменатель"},
	"value":            {"en": "the figure", "uz": "koʻrsatkich qiymati", "ru": "значение показателя"},
	"unit":             {"en": "unit", "uz": "oʻlchov birligi", "ru": "единица измерения"},
	"state":            {"en": "state: value, zero, not applicable, not provided, suppressed", "uz": "holati: qiymat (value), nol (zero), taalluqli emas (not_applicable), maʼlumot kelmagan (not_provided), yashirilgan (suppressed)", "ru": "состояние: значение (value), ноль (zero), не применимо (not_applicable), данных не поступало (not_provided), скрыто (suppressed)"},
	"reason":           {"en": "why there is no figure", "uz": "nega koʻrsatkich yoʻq", "ru": "почему показателя нет"},
	"cases":            {"en": "rows behind the figure", "uz": "koʻrsatkich ortidagi yozuvlar soni", "ru": "число записей за показателем"},
	"open":             {"en": "data still arrive", "uz": "maʼlumot hali kelmoqda", "ru": "данные ещё поступают"},
	"closed":           {"en": "when the period was closed", "uz": "davr qachon yopilgan", "ru": "когда период закрыт"},
	"unclosed":         {"en": "sources that have not closed it", "uz": "davrni yopmagan manbalar", "ru": "источники, которые его не закрыли"},
	"corrected":        {"en": "when it was corrected", "uz": "qachon tuzatilgan", "ru": "когда исправлено"},
	"was":              {"en": "figure before the correction", "uz": "tuzatishdan oldingi qiymat", "ru": "значение до исправления"},
	"was_state":        {"en": "state before the correction", "uz": "tuzatishdan oldingi holat", "ru": "состояние до исправления"},
	"simulated":        {"en": "simulated rows among them", "uz": "orasida modellashtirilganlari bor", "ru": "есть смоделированные записи"},
	"covered":          {"en": "sources or units that reported", "uz": "hisobot bergan manba yoki birliklar", "ru": "отчитавшиеся источники или единицы"},
	"expected":         {"en": "sources or units expected", "uz": "kutilgan manba yoki birliklar", "ru": "ожидаемые источники или единицы"},
	"coverage_percent": {"en": "coverage, %", "uz": "qamrov, %", "ru": "охват, %"},
	"coverage":         {"en": "coverage in words", "uz": "qamrov soʻz bilan", "ru": "охват словами"},
	"data_through":     {"en": "data through", "uz": "maʼlumotlar sanasi", "ru": "данные по"},
	"variant":          {"en": "variant of the definition", "uz": "taʼrif varianti", "ru": "вариант определения"},
	"version":          {"en": "version of the definition", "uz": "taʼrif versiyasi", "ru": "версия определения"},
	"basis":            {"en": "basis: events, reported, stock", "uz": "asosi: hodisalar (events), hisobotlar (reported), mavjudlari (stock)", "ru": "основа: события (events), отчёты (reported), наличие (stock)"},
	"known_on":         {"en": "as known at the end of this day", "uz": "shu kun oxirida maʼlum holatiga", "ru": "как было известно на конец этого дня"},
	"target":           {"en": "target", "uz": "maqsad", "ru": "цель"},
	"status":           {"en": "how it stands to the target", "uz": "maqsadga nisbatan holati", "ru": "положение относительно цели"},
	"compared_with":    {"en": "period of comparison", "uz": "taqqoslanayotgan davr", "ru": "период сравнения"},
	"compared_value":   {"en": "figure of that period", "uz": "oʻsha davrdagi qiymat", "ru": "значение за тот период"},
	"compared_state":   {"en": "state in that period", "uz": "oʻsha davrdagi holat", "ru": "состояние за тот период"},
	"difference":       {"en": "difference", "uz": "farq", "ru": "разница"},
}

// quantileWords is what a column of a quantile holds: p50, p90.
var quantileWords = reference.Names{"en": "quantile: so many per cent are at most this", "uz": "kvantil: shuncha foizi koʻpi bilan shu qiymatga teng", "ru": "квантиль: у стольких процентов значение не больше"}

// aboutColumns says what the columns of a table of values hold, in a language. dimensions are what
// people call those that it is broken down by.
func aboutColumns(t *table, dimensions map[string]reference.Names, language string) [][2]string {
	var about [][2]string
	for _, c := range t.columns {
		words := columnWords[c.name]
		id, named := strings.CutSuffix(c.name, "_name")
		code := dimensions[strings.TrimPrefix(c.name, "by.")]
		switch {
		case words != nil:
		case named && dimensions[id] != nil:
			words = dimensions[id]
		case code != nil:
			words = reference.Names{}
			for tag, name := range code {
				words[tag] = name + map[string]string{"uz": " (kodi)", "ru": " (код)", "en": " (code)"}[tag]
			}
		case c.kind == numberColumn:
			words = quantileWords
		default: // a dimension that nobody has named: the sender's, say
			continue
		}
		about = append(about, [2]string{c.name, words.In(language)})
	}
	return about
}
