// Package letters drafts the letter that asks an owner for what a source has not sent. Nothing is
// sent: a draft is text that somebody reads, changes and signs.
//
//	letter, err := letters.Draft("uz", letters.Case{Source: "my-gov-uz", Title: sender.Title, Owner: owner, Findings: findings, Today: today})
//
// What it says comes from the pack's names and from the findings of the data's quality, in the
// words that they have there: the source and its owner, since when it has been silent, what it
// promised, and what is missing. It says nothing of persons, and judges nobody.
package letters

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

// Case is what is known of a source.
type Case struct {
	Source    string
	Title     reference.Names // of the source
	Owner     reference.Names // of the organisation that can mend it
	LastEvent reference.Day   // day of its newest event; NoDay: it never sent one
	Promise   time.Duration   // how old its newest event may be; 0: nothing was promised
	Late      bool
	Findings  []queries.Finding // of this source
	Today     reference.Day
}

// Letter is a draft.
type Letter struct {
	Source   string `json:"source"`
	Language string `json:"language"`
	To       string `json:"to"` // the owner, as people know it
	Subject  string `json:"subject"`
	Text     string `json:"text"`    // the whole letter, subject included, with lines
	Missing  int    `json:"missing"` // findings that it is about; the gravest are told one by one
}

// Languages are those in which letters are drafted.
var Languages = []string{"uz", "ru", "en"}

// told are the findings that a letter tells one by one, and answerDays those within which it asks for an answer.
const (
	told       = 20
	answerDays = 10
)

// words of a letter, with {places}.
var words = map[string]map[string]string{
	"subject": {
		"uz": "«{source}» axborot tizimidan maʼlumotlar haqida",
		"ru": "О данных информационной системы «{source}»",
		"en": "Data of the information system “{source}”"},
	"greeting": {"uz": "{owner} eʼtiboriga", "ru": "Вниманию: {owner}", "en": "For the attention of: {owner}"},
	"never": {
		"uz": "«{source}» axborot tizimidan bugungi kungacha ({today}) hech qanday maʼlumot kelib tushmagan.",
		"ru": "На сегодня ({today}) из информационной системы «{source}» не поступило никаких данных.",
		"en": "Until today ({today}) nothing has been received from the information system “{source}”."},
	"silent": {
		"uz": "«{source}» axborot tizimidan kelgan eng soʻnggi maʼlumot {last} kuniga tegishli. Shundan beri oʻtgan kunlar soni: {days}.",
		"ru": "Последние данные информационной системы «{source}» относятся к {last}. Дней с тех пор: {days}.",
		"en": "The newest data of the information system “{source}” are of {last}. Days since then: {days}."},
	"current": {
		"uz": "«{source}» axborot tizimidan maʼlumotlar kelmoqda; eng soʻnggisi {last} kuniga tegishli. Biroq ularda quyidagilar aniqlandi.",
		"ru": "Данные информационной системы «{source}» поступают; последние относятся к {last}. Однако в них обнаружено следующее.",
		"en": "Data of the information system “{source}” do arrive, the newest of {last}. The following was found in them."},
	"promise": {
		"uz": "Kelishuvga koʻra maʼlumotlar koʻpi bilan {promise} kechikishi mumkin.",
		"ru": "По договорённости данные могут запаздывать не более чем на {promise}.",
		"en": "As agreed, data may be up to {promise} late."},
	"missing": {"uz": "Aniqlangan kamchiliklar:", "ru": "Что обнаружено:", "en": "What was found:"},
	"more":    {"uz": "… va yana {n} ta.", "ru": "… и ещё: {n}.", "en": "… and {n} more."},
	"ask": {
		"uz": "Yetishmayotgan maʼlumotlarni yuborishingizni yoki {until} kuniga qadar sababini va qachon yuborilishini bildirishingizni soʻraymiz. Maʼlumot boʻlmagan davr boʻlsa, shuni ham tasdiqlashingizni soʻraymiz: unda u nol deb emas, «maʼlumot yoʻq» deb koʻrsatiladi.",
		"ru": "Просим направить недостающие данные или до {until} сообщить причину и срок. Если за какой-либо период данных не было, просим подтвердить и это: до тех пор он показан не как ноль, а как «нет данных».",
		"en": "Please send what is missing, or tell us by {until} why it is and when it will come. If there was nothing to report in a period, please confirm that as well: until then it is shown as “not provided”, not as zero."},
	"reply": {
		"uz": "Koʻrsatkichga eʼtirozingiz boʻlsa, uni tizimda koʻrsatkichning yonida bildirishingiz mumkin.",
		"ru": "Если вы не согласны с показателем, вы можете ответить прямо рядом с ним в системе.",
		"en": "If you disagree with a figure, you can answer right beside it in the system."},
	"sign": {
		"uz": "{today}\n\n[ism, lavozim, aloqa uchun maʼlumot]",
		"ru": "{today}\n\n[имя, должность, контакты]",
		"en": "{today}\n\n[name, office, contact]"},
	"hours": {"uz": "{n} soat", "ru": "{n} ч", "en": "{n} hours"},
	"days":  {"uz": "{n} kun", "ru": "{n} дн.", "en": "{n} days"},
}

// say fills the places of words, given as name, value, name, value. One full stop ends both a sentence
// and the abbreviation before it.
func say(language, key string, places ...string) string {
	for i := 0; i+1 < len(places); i += 2 {
		places[i] = "{" + places[i] + "}"
	}
	return strings.ReplaceAll(strings.NewReplacer(places...).Replace(words[key][language]), "..", ".")
}

var isoDays = regexp.MustCompile(`\d{4}-\d{2}-\d{2}(/\d{4}-\d{2}-\d{2})?`)

// inWords is what a rule found with its days as the letter writes them.
func inWords(language, found string) string {
	return strings.ReplaceAll(isoDays.ReplaceAllStringFunc(found, func(text string) string {
		var days []string
		for iso := range strings.SplitSeq(text, "/") {
			d, err := reference.ParseDay(iso)
			if err != nil {
				return text
			}
			days = append(days, d.In(language))
		}
		return strings.Join(days, " – ")
	}), "..", ".")
}

// lasting is a duration in whole days, or in hours below two days.
func lasting(language string, d time.Duration) string {
	if hours := int(d.Hours()); hours < 48 {
		if hours == 1 && language == "en" {
			return "1 hour"
		}
		return say(language, "hours", "n", fmt.Sprint(hours))
	}
	return say(language, "days", "n", fmt.Sprint(int(d.Hours())/24))
}

// Draft writes the letter. BadInput: there are no words in the language. A source with nothing wrong
// gets no letter: NotFound.
func Draft(language string, c Case) (*Letter, error) {
	if !slices.Contains(Languages, language) {
		return nil, problem.New(problem.BadInput, "there are no letters in %q; allowed: %s", language, strings.Join(Languages, ", ")).In("language").Of(Languages...).
			Also("uz", "“%s” tilida xatlar yozilmaydi.", language).
			Also("ru", "Писем на языке «%s» нет.", language)
	}
	if !c.Late && len(c.Findings) == 0 {
		return nil, problem.New(problem.NotFound, "nothing is missing from %s: there is nothing to ask for", c.Source).
			Also("uz", "“%s” manbasida hech narsa yetishmayapti: soʻraydigan narsa yoʻq.", c.Source).
			Also("ru", "У источника «%s» всё есть: просить нечего.", c.Source)
	}
	source, owner := c.Title.In(language), c.Owner.In(language)
	if source == "" {
		source = c.Source
	}
	l := &Letter{Source: c.Source, Language: language, To: owner, Subject: say(language, "subject", "source", source), Missing: len(c.Findings)}
	today := c.Today.In(language)
	begin := say(language, "never", "source", source, "today", today)
	if c.LastEvent != reference.NoDay {
		key := "current"
		if c.Late {
			key = "silent"
		}
		begin = say(language, key, "source", source, "last", c.LastEvent.In(language), "days", fmt.Sprint(max(0, int(c.Today-c.LastEvent))))
	}
	if c.Promise > 0 {
		begin += " " + say(language, "promise", "promise", lasting(language, c.Promise))
	}
	parts := []string{l.Subject, say(language, "greeting", "owner", owner), begin}
	if len(c.Findings) > 0 {
		lines := []string{say(language, "missing")}
		for _, f := range c.Findings[:min(told, len(c.Findings))] {
			lines = append(lines, "– "+inWords(language, f.Words.In(language)))
		}
		if more := len(c.Findings) - told; more > 0 {
			lines = append(lines, say(language, "more", "n", fmt.Sprint(more)))
		}
		parts = append(parts, strings.Join(lines, "\n"))
	}
	parts = append(parts, say(language, "ask", "until", (c.Today+answerDays).In(language)), say(language, "reply"), say(language, "sign", "today", today))
	l.Text = strings.Join(parts, "\n\n") + "\n"
	return l, nil
}
