package queries

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ombor/internal/reference"
)

// Languages are those in which answers have words; the first is the default.
var Languages = []string{"en", "uz", "ru"}

// sentences are the words of notes and coverage, with {parameters}.
var sentences = map[string]reference.Names{
	"nothing-received": {
		"en": "Nothing has been received yet.",
		"uz": "Hali hech narsa kelmagan.",
		"ru": "Пока ничего не получено."},
	"version-valid-from": {
		"en": "Version {version} of the definition is valid from {day}; earlier periods are told by the same formula.",
		"uz": "Taʼrifning {version}-tahriri {day}dan amal qiladi; oldingi davrlar ham shu formula boʻyicha hisoblangan.",
		"ru": "Редакция {version} определения действует с {day}; более ранние периоды посчитаны по той же формуле."},
	"simulated": {
		"en": "Some rows behind these figures are simulated.",
		"uz": "Bu koʻrsatkichlar ortidagi yozuvlarning bir qismi modellashtirilgan.",
		"ru": "Часть записей за этими цифрами смоделирована."},
	"scale": {
		"en": "The simulation is at {percent} % of full scale: its numbers of cases, sums and users are that much smaller than in life, its shares and times are not.",
		"uz": "Modellashtirish toʻliq hajmning {percent} % ida bajarilgan: holatlar, summalar va foydalanuvchilar soni shuncha kam, ulushlar va muddatlar esa emas.",
		"ru": "Моделирование выполнено в масштабе {percent} % от полного: число случаев, суммы и число пользователей во столько же раз меньше, доли и сроки — нет."},
	aboveAll: {
		"en": "Above 100 %: more cases are counted than there are ({periods}). This points to a fault of the source.",
		"uz": "100 % dan yuqori: borligidan koʻp holat sanalgan ({periods}). Bu manbadagi xatodan darak beradi.",
		"ru": "Выше 100 %: засчитано больше случаев, чем их есть ({periods}). Это указывает на ошибку источника."},
	"windows-not-added": {
		"en": "The reported windows overlap or leave gaps; each is told by itself and they are not added up.",
		"uz": "Hisobot davrlari ustma-ust tushadi yoki oraliq qoldiradi; har biri alohida berilgan va qoʻshilmagan.",
		"ru": "Отчётные периоды пересекаются или оставляют пропуски; каждый показан отдельно, и они не складываются."},
	"windows-across": {
		"en": "{n} reported windows lie across periods of a {grain} and are left out; ask for the grain window.",
		"uz": "{n} ta hisobot davri tanlangan davrlar ({grain}) chegarasidan oʻtadi va kiritilmagan; window kesimini soʻrang.",
		"ru": "Отчётных периодов, не попадающих целиком в один период ({grain}): {n}; они не вошли, запросите разбивку window."},
	"published-only": {
		"en": "These are the published figures: of an open period the whole country only.",
		"uz": "Bular eʼlon qilingan koʻrsatkichlar: yopilmagan davr uchun faqat butun mamlakat boʻyicha.",
		"ru": "Это опубликованные показатели: за незакрытый период только по стране в целом."},
	"correction-waits": {
		"en": "A correction of {periods} is not told yet, because beside the published figure it would tell of a few people; told is what was published.",
		"uz": "{periods} uchun tuzatish hali koʻrsatilmaydi: eʼlon qilingan koʻrsatkich yonida u bir necha kishi haqida maʼlumot berib qoʻyadi; avval eʼlon qilingani koʻrsatilgan.",
		"ru": "Поправка за {periods} пока не показана: рядом с опубликованным показателем она выдала бы сведения о нескольких людях; показано опубликованное ранее."},
	"not-closed-by-source": {
		"en": "Closed by its deadline, without word from: {names}.",
		"uz": "Muddati oʻtgani uchun yopildi, xabar bermaganlar: {names}.",
		"ru": "Период закрыт по сроку, без подтверждения от: {names}."},

	"being-loaded": {
		"en": "Events are being loaded: the parts of this figure may not have come equally far.",
		"uz": "Maʼlumotlar yuklanmoqda: bu koʻrsatkichning qismlari hali teng toʻlmagan boʻlishi mumkin.",
		"ru": "Данные загружаются: части этого показателя могли поступить не в равной мере."},

	"one-source":  {"en": "the one source", "uz": "yagona manba", "ru": "единственный источник"},
	"one-unit":    {"en": "the one unit", "uz": "yagona birlik", "ru": "единственная единица"},
	"all-source":  {"en": "all {all} sources", "uz": "barcha {all} ta manba", "ru": "все источники ({all})"},
	"all-unit":    {"en": "all {all} units", "uz": "barcha {all} ta birlik", "ru": "все единицы ({all})"},
	"some-source": {"en": "{n} of {all} sources", "uz": "{all} ta manbadan {n} tasi", "ru": "{n} из {all} источников"},
	"some-unit":   {"en": "{n} of {all} units", "uz": "{all} ta birlikdan {n} tasi", "ru": "{n} из {all} единиц"},
	"no-source":   {"en": "no source has reported yet", "uz": "hali birorta manba xabar bermagan", "ru": "ни один источник ещё не отчитался"},
	"no-unit":     {"en": "no unit is expected", "uz": "birorta birlik kutilmaydi", "ru": "единиц не ожидается"},
	"simulates":   {"en": "simulated: {names}", "uz": "modellashtirilgan: {names}", "ru": "смоделировано: {names}"},
	"in-part":     {"en": "{name} in part", "uz": "{name} (qisman)", "ru": "{name} (частично)"},
	"missing":     {"en": "missing: {names}", "uz": "yetishmaydi: {names}", "ru": "нет данных: {names}"},
	"never":       {"en": "{name} (nothing received yet)", "uz": "{name} (hali hech narsa kelmagan)", "ru": "{name} (пока ничего не получено)"},
	"of-all":      {"en": "{name} ({share} of all rows)", "uz": "{name} (barcha yozuvlarning {share})", "ru": "{name} ({share} всех записей)"},
	"of-before":   {"en": "{name} ({share} of the rows of {period})", "uz": "{name} ({period} yozuvlarining {share})", "ru": "{name} ({share} записей за {period})"},
	"below":       {"en": "below 0.1 %", "uz": "0,1 % dan kam", "ru": "менее 0,1 %"},

	"period-not-ended": {
		"en": "the period of which this speaks ends on {day}",
		"uz": "bu gap tegishli boʻlgan davr {day} kuni tugaydi",
		"ru": "период, о котором идёт речь, заканчивается {day}"},
	"no-target": {
		"en": "No target was published: what does not count is listed all the same.",
		"uz": "Maqsad eʼlon qilinmagan: hisobga kirmaydiganlar baribir sanab oʻtilgan.",
		"ru": "Цель не опубликована: то, что не засчитано, всё равно перечислено."},
	"left-out": {
		"en": "{n} are left out to protect people.",
		"uz": "Odamlarni himoya qilish uchun {n} tasi koʻrsatilmagan.",
		"ru": "Не показаны, чтобы защитить людей: {n}."},
	"units-together": {
		"en": "Units of few persons are taken together and not named.",
		"uz": "Odamlari kam boʻlganlar birga olingan va nomi aytilmagan.",
		"ru": "Единицы, за которыми стоит мало людей, взяты вместе и не названы."},

	// What is missing to a target: of things that are counted, and of amounts.
	"short-of":        {"en": "{amount} {unit} short of {aim}", "uz": "{aim} gacha {amount} {unit} yetishmaydi", "ru": "до {aim} не хватает {amount} {unit}"},
	"short-of-things": {"en": "{amount} {unit} short of {aim}", "uz": "{aim} gacha {amount} {unit} yetishmaydi", "ru": "до {aim} не хватает {unit}: {amount}"},
	"over":            {"en": "{amount} {unit} over {aim}", "uz": "{aim} dan {amount} {unit} ortiq", "ru": "больше {aim} на {amount} {unit}"},
	"over-things":     {"en": "{amount} {unit} over {aim}", "uz": "{aim} dan {amount} {unit} ortiq", "ru": "больше {aim}, лишних {unit}: {amount}"},
	"unit-cases":      {"en": "cases", "uz": "ta holat", "ru": "случаев"},
	"unit-services":   {"en": "services", "uz": "ta xizmat", "ru": "услуг"},
	"unit-count":      {"en": "count", "uz": "ta", "ru": "ед."},
	"unit-points":     {"en": "points", "uz": "foiz punkti", "ru": "п. п."},
	"unit-days":       {"en": "days", "uz": "kun", "ru": "дн."},
	"unit-hours":      {"en": "hours", "uz": "soat", "ru": "ч"},
	"unit-minutes":    {"en": "minutes", "uz": "daqiqa", "ru": "мин"},
}

// grainWords are what a length of time is called within a sentence.
var grainWords = map[Grain]reference.Names{
	Hour:    {"uz": "soat", "ru": "час"},
	Day:     {"uz": "kun", "ru": "день"},
	Week:    {"uz": "hafta", "ru": "неделя"},
	Month:   {"uz": "oy", "ru": "месяц"},
	Quarter: {"uz": "chorak", "ru": "квартал"},
	Year:    {"uz": "yil", "ru": "год"},
	Fiscal:  {"uz": "moliya yili", "ru": "финансовый год"},
	School:  {"uz": "oʻquv choragi", "ru": "учебная четверть"},
	Window:  {"uz": "hisobot davri", "ru": "отчётный период"},
}

// grainsIn lists lengths of time in a language; one that has no words there stands as it was asked.
func grainsIn(language string, grains ...Grain) string {
	names := make([]string, len(grains))
	for i, g := range grains {
		if names[i] = grainWords[g][language]; names[i] == "" {
			names[i] = string(g)
		}
	}
	return strings.Join(names, ", ")
}

// dayIn is a day in a sentence: 2024-yil 5-mart, 5 марта 2024 года; elsewhere 2024-03-05, as it would be asked for.
func dayIn(language string, d reference.Day) string {
	if language == "uz" || language == "ru" {
		return d.In(language)
	}
	return d.String()
}

// tooMany refuses an answer of more cells than are told at once.
func (q *Queries) tooMany(field, format string, args ...any) error {
	return bad(field, format, args...).
		Also("uz", "Javobda kataklar juda koʻp, %d tadan ortiq: qisqaroq davr, yirikroq qadam yoki kamroq kesim tanlang.", q.maxCells).
		Also("ru", "В ответе слишком много значений, больше %d: выберите более короткий период, более крупный шаг или меньше разрезов.", q.maxCells)
}

// language is one of [Languages]; none is the first.
func language(asked string) (string, error) {
	if asked == "" {
		return Languages[0], nil
	}
	if !slices.Contains(Languages, asked) {
		return "", bad("lang", "there are no words in %q; allowed: %s", asked, strings.Join(Languages, ", ")).
			Also("uz", "“%s” tilida soʻzlar yoʻq.", asked).
			Also("ru", "На языке «%s» слов нет.", asked).
			Of(Languages...)
	}
	return asked, nil
}

// say is a sentence in a language, with its parameters given as name, value, name, value. A day
// among them is written as the language does.
func say(language, key string, parameters ...string) string {
	words := sentences[key]
	if words[language] == "" {
		language = Languages[0]
	}
	for i := 0; i+1 < len(parameters); i += 2 {
		parameters[i] = "{" + parameters[i] + "}"
		if day, err := reference.ParseDay(parameters[i+1]); err == nil {
			parameters[i+1] = dayIn(language, day)
		}
	}
	return strings.NewReplacer(parameters...).Replace(words[language])
}

// Note is a sentence that belongs under a figure, by its key, so that a reader may have
// words of its own for it.
type Note struct {
	Key        string            `json:"key"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// In is the note in a language, English where there is none.
func (n Note) In(language string) string {
	var parameters []string
	for _, name := range slices.Sorted(maps.Keys(n.Parameters)) {
		parameters = append(parameters, name, n.Parameters[name])
	}
	return say(language, n.Key, parameters...)
}

// inWords are notes in a language.
func inWords(notes []Note, language string) []string {
	list := make([]string, len(notes))
	for i, n := range notes {
		list[i] = n.In(language)
	}
	return list
}

// weighMissing says of every coverage that lacks a source how much that source had of the rows of
// the period of the same length just before.
func (q *Queries) weighMissing(ctx context.Context, qn *question, cells []Cell, more ...Cell) error {
	lacking := map[*Coverage]period{}
	for i := range len(cells) + len(more) {
		var c *Cell
		if i < len(cells) {
			c = &cells[i]
		} else {
			c = &more[i-len(cells)]
		}
		if c.Coverage == nil || len(c.Coverage.Missing) == 0 || lacking[c.Coverage].label != "" {
			continue
		}
		p := period{}
		if p.from, p.to = q.calendar.before(c.From, c.To); c.From == c.To && qn.version.Basis == "stock" {
			continue
		}
		p.label = q.calendar.label(Whole, p.from, p.to, 0)
		for _, g := range []Grain{Month, Quarter, Year} {
			if q.calendar.start(g, p.from) == p.from && q.calendar.after(g, p.from) == p.to+1 {
				p.label = q.calendar.label(g, p.from, p.to, 0)
				break
			}
		}
		lacking[c.Coverage] = p
	}
	if len(lacking) == 0 {
		return nil
	}
	var senders []sender
	for _, s := range qn.sides {
		sent, err := q.sent(ctx, qn, s)
		if err != nil {
			return err
		}
		senders = append(senders, sent...)
	}
	for c, p := range lacking {
		sum := func(of func(name string) bool) (n int64) {
			for _, s := range senders {
				if !of(s.name) {
					continue
				}
				for _, d := range s.days {
					if d.day >= p.from && d.day <= p.to {
						n += d.rows
					}
				}
			}
			return n
		}
		all := sum(func(string) bool { return true })
		if all == 0 {
			continue // there is nothing to weigh by
		}
		c.Weights, c.WeighedBy = map[string]float64{}, p.label
		for _, name := range c.Missing {
			c.Weights[name] = 100 * float64(sum(func(sender string) bool { return sender == name || sender == standIn(name) })) / float64(all)
		}
		c.say(Languages[0], func(source string) string { return source })
	}
	return nil
}

// say puts a coverage into words. title is what people call a source.
func (c *Coverage) say(language string, title func(source string) string) {
	noun := c.noun
	switch {
	case c.Expected == 0:
		c.Words = say(language, "no-"+noun)
	case c.Expected == 1 && c.Covered == 1:
		c.Words = say(language, "one-"+noun)
	case c.Covered == c.Expected:
		c.Words = say(language, "all-"+noun, "all", fmt.Sprint(c.Expected))
	default:
		c.Words = say(language, "some-"+noun, "n", fmt.Sprint(c.Covered), "all", fmt.Sprint(c.Expected))
	}
	var names []string
	for _, name := range c.Simulated {
		if words := title(name); slices.Contains(c.inPart, name) {
			names = append(names, say(language, "in-part", "name", words))
		} else {
			names = append(names, words)
		}
	}
	if len(names) > 0 {
		c.Words += "; " + say(language, "simulates", "names", shorten(names))
	}
	names = nil
	for _, name := range c.Missing {
		weight, weighed := c.Weights[name]
		switch {
		case weighed && c.ofAll[name] > 0:
			names = append(names, say(language, "of-before", "name", title(name), "share", percent(language, weight), "period", c.WeighedBy))
		case c.ofAll[name] == 0:
			names = append(names, say(language, "never", "name", title(name)))
		default:
			names = append(names, say(language, "of-all", "name", title(name), "share", percent(language, c.ofAll[name])))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		c.Words += "; " + say(language, "missing", "names", shorten(names))
	}
}

// speaker puts what answers say into a language.
type speaker struct {
	language string
	title    func(source string) string // what people call a source
	said     map[*Coverage]bool         // cells share their coverage
}

func (q *Queries) speaker(language string) *speaker {
	return &speaker{language: language, said: map[*Coverage]bool{}, title: func(source string) string {
		if of := q.titles[source]; len(of) > 0 {
			return of.In(language)
		}
		return source
	}}
}

func (s *speaker) result(r *Result) {
	r.Notes = inWords(r.Said, s.language)
	s.coverage(r.Coverage)
	s.cells(r.Cells)
}

func (s *speaker) coverage(c *Coverage) {
	if c != nil && !s.said[c] {
		s.said[c] = true
		c.say(s.language, s.title)
	}
}

func (s *speaker) cells(cells []Cell) {
	for i := range cells {
		s.coverage(cells[i].Coverage)
	}
}

func (s *speaker) cell(c *Cell) {
	if c != nil {
		s.coverage(c.Coverage)
	}
}

func (s *speaker) target(t *TargetStatus) {
	if t != nil && t.lacks != nil {
		t.Words = t.lacks.in(s.language)
	}
}

func (s *speaker) row(r *ScorecardRow) {
	s.cell(r.Cell)
	s.cells(r.Months)
	for i := range r.Targets {
		s.target(&r.Targets[i])
	}
}
