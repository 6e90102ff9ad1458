// Package reference holds what a country is made of, as data: regions,
// organisations, services and calendars, each with names in several languages
// and a validity in time.
//
// Tables come from the CSV files of a pack. A [Table] answers two questions:
// what a code meant on a day, and which code a text means, whatever its
// apostrophes, case or script variant.
package reference

import (
	"fmt"
	"time"
)

// Day is a civil date as days since 1970-01-01, without a time zone.
type Day int32

// NoDay is an open end of a validity.
const NoDay Day = -1 << 31

// DayOf is the civil date of t in its own location.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// ParseDay reads YYYY-MM-DD.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return NoDay, err
	}
	return DayOf(t), nil
}

// Time is midnight UTC of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

func (d Day) String() string {
	if d == NoDay {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

var months = map[string][12]string{
	"uz": {"yanvar", "fevral", "mart", "aprel", "may", "iyun", "iyul", "avgust", "sentabr", "oktabr", "noyabr", "dekabr"},
	"ru": {"января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября", "октября", "ноября", "декабря"},
}

// In is the day as a sentence of a language writes it: 2024-yil 5-mart, 5 марта 2024 года, 5 March 2024.
func (d Day) In(language string) string {
	t := d.Time()
	switch language {
	case "uz":
		return fmt.Sprintf("%d-yil %d-%s", t.Year(), t.Day(), months[language][t.Month()-1])
	case "ru":
		return fmt.Sprintf("%d %s %d года", t.Day(), months[language][t.Month()-1], t.Year())
	}
	return t.Format("2 January 2006")
}

// Span is a validity: From is the first day, To the last; NoDay is open.
type Span struct{ From, To Day }

// Holds says whether the day lies in the span.
func (s Span) Holds(d Day) bool {
	return (s.From == NoDay || s.From <= d) && (s.To == NoDay || d <= s.To)
}

// Names holds one text in several languages, by BCP 47 tag ("uz", "ru", "en").
type Names map[string]string

// In is the text in a language, or in English, or in any language that there is.
func (n Names) In(language string) string {
	if s := n[language]; s != "" {
		return s
	}
	if s := n["en"]; s != "" {
		return s
	}
	best := ""
	for tag, s := range n {
		if best == "" || tag < best {
			best = tag
		}
		_ = s
	}
	return n[best]
}
