package queries

import (
	"slices"
	"strings"

	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// Sentence says an answer in words. Who speaks another language makes its own from the key
// and the parameters.
type Sentence struct {
	Key    string            `json:"key"`    // why.ratio or why.count
	Params map[string]string `json:"params"` // numbers as decimals with a point; part is the key of the largest part, names are its units
	Text   reference.Names   `json:"text"`   // in uz, ru and en
}

// explanations are what sentences are made of. {name} is a place for a value.
var explanations = map[string]reference.Names{
	"part.reported": {"en": "Who reported", "ru": "Кто отчитался", "uz": "Kim hisobot bergani"},
	"part.mix":      {"en": "Which of them were used", "ru": "Чем из них пользовались", "uz": "Qaysilaridan foydalanilgani"},
	"part.rates":    {"en": "Each of them by itself", "ru": "Каждый сам по себе", "uz": "Har birining oʻzi"},
	"part.appeared": {"en": "New ones", "ru": "Появились", "uz": "Yangi paydo boʻlganlari"},
	"part.gone":     {"en": "Those that are gone", "ru": "Исчезли", "uz": "Yoʻqolganlari"},
	"part.same":     {"en": "More or less of the same", "ru": "Больше или меньше того же", "uz": "Borlarining koʻpayishi yoki kamayishi"},
	"why":           {"en": "From {before} to {now}: {change}.", "ru": "С {before} до {now}: {change}.", "uz": "{before} dan {now} ga: {change}."},
	"why.none":      {"en": "{now}, as before.", "ru": "{now}, как и было.", "uz": "{now}, avvalgidek."},
	"why.part":      {"en": "{label}: {change}.", "ru": "{label}: {change}.", "uz": "{label}: {change}."},
	"why.largest":   {"en": "{label}: {change}, most of all {names}.", "ru": "{label}: {change}, больше всего {names}.", "uz": "{label}: {change}, eng koʻpi {names}."},
	"why.like": {"en": "Like for like, over the {units} that have figures for both periods: from {like_before} to {like_now}, {like_change}.",
		"ru": "На сопоставимой основе, по {units} с данными за оба периода: с {like_before} до {like_now}, {like_change}.",
		"uz": "Oʻxshashini oʻxshashi bilan, ikkala davrda ham maʼlumoti bor {units} tasi boʻyicha: {like_before} dan {like_now} ga, {like_change}."},
	"why.gone":  {"en": "{name} (no longer)", "ru": "{name} (больше нет)", "uz": "{name} (endi yoʻq)"},
	"why.fresh": {"en": "{name} (new)", "ru": "{name} (новое)", "uz": "{name} (yangi)"},
	"points":    {"en": " points", "ru": " п. п.", "uz": " foiz band"},
}

// sentence says what moved a figure: the change, its parts, the units of the largest one,
// and the change like for like.
func sentence(w *Why) Sentence {
	s := Sentence{Key: "why.count", Params: map[string]string{"before": string(w.Before.Value), "now": string(w.Now.Value), "change": string(w.Change)}, Text: reference.Names{}}
	if w.Now.Denominator != "" {
		s.Key = "why.ratio"
	}
	largest := 0
	size := func(p WhyPart) float64 { f, _ := p.Change.Float(); return max(f, -f) }
	for i, p := range w.Parts {
		s.Params[p.Key] = string(p.Change)
		if size(p) > size(w.Parts[largest]) {
			largest = i
		}
	}
	s.Params["part"] = w.Parts[largest].Key
	if l := w.LikeForLike; l != nil {
		s.Params["units"] = string(tick(l.Units).number(0))
		s.Params["like_before"], s.Params["like_now"], s.Params["like_change"] = string(l.Before), string(l.Now), string(l.Change)
	}
	for _, language := range []string{"uz", "ru", "en"} {
		value := func(n Number) string { return n.in(language) + unitSign(w.Unit) }
		moved := func(n Number) string {
			text := n.in(language)
			if !strings.HasPrefix(text, "−") && strings.Trim(string(n), "0.") != "" {
				text = "+" + text
			}
			if w.Unit == string(kpi.Percent) {
				return text + explanations["points"][language]
			}
			return text + unitSign(w.Unit)
		}
		if strings.Trim(string(w.Change), "-0.") == "" && size(w.Parts[largest]) == 0 {
			s.Text[language] = filled("why.none", language, "now", value(w.Now.Value))
			continue
		}
		said := []string{filled("why", language, "before", value(w.Before.Value), "now", value(w.Now.Value), "change", moved(w.Change))}
		for i, p := range w.Parts {
			key, names := "why.part", ""
			if i == largest {
				if names = w.named(p, language); names != "" {
					key = "why.largest"
				}
				if language == "en" {
					s.Params["names"] = names
				}
			}
			said = append(said, filled(key, language, "label", p.Label[language], "change", moved(p.Change), "names", names))
		}
		if l := w.LikeForLike; l != nil && len(w.Parts) > 0 {
			said = append(said, filled("why.like", language, "units", tick(l.Units).number(0).in(language), "like_before", value(l.Before), "like_now", value(l.Now), "like_change", moved(l.Change)))
		}
		s.Text[language] = strings.Join(said, " ")
	}
	return s
}

// named are the three units that add most to a part the way that it goes.
func (w *Why) named(p WhyPart, language string) string {
	var names []string
	for _, c := range p.Largest {
		if strings.HasPrefix(string(c.Change), "-") != strings.HasPrefix(string(p.Change), "-") || len(names) == 3 {
			continue
		}
		var parts []string
		for _, d := range w.By {
			code := c.Unit[d]
			if known, ok := w.Names[d][code]; ok && known.In(language) != "" {
				code = known.In(language)
			}
			if code != "" {
				parts = append(parts, code)
			}
		}
		if len(parts) == 0 {
			continue
		}
		name := strings.Join(slices.Compact(parts), ", ")
		if key := map[string]string{"before": "why.gone", "now": "why.fresh"}[c.Kind]; key != "" {
			name = filled(key, language, "name", name)
		}
		names = append(names, name)
	}
	return strings.Join(names, "; ")
}

func unitSign(unit string) string {
	switch kpi.Unit(unit) {
	case kpi.Percent:
		return " %"
	case kpi.Count, kpi.Ratio:
		return ""
	}
	return " " + unit
}

// filled puts values, each after its name, into the words of a key.
func filled(key, language string, values ...string) string {
	text := explanations[key][language]
	for i := 0; i < len(values); i += 2 {
		text = strings.ReplaceAll(text, "{"+values[i]+"}", values[i+1])
	}
	return text
}

// in is the number as a language writes it, with thousands apart and a true minus.
func (n Number) in(language string) string {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(string(n), "-"), ".")
	thousand, point := "\u202f", ","
	if language == "en" {
		thousand, point = ",", "."
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + thousand + whole[at:]
	}
	if fraction != "" {
		whole += point + fraction
	}
	if strings.HasPrefix(string(n), "-") {
		return "−" + whole
	}
	return whole
}
