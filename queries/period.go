package queries

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ombor/internal/reference"
)

// period is one column of the calendar in an answer.
type period struct {
	from, to reference.Day // inclusive; the first and last of an answer may be cut short
	hour     int           // 0 to 23 with Hour, else 0
	label    string
	span     int // place in question.spans, from 1; 0 without them
}

// calendar cuts days into periods.
type calendar struct{ *reference.Calendar }

// start is the first day of the period of a grain in which the day lies.
func (c calendar) start(g Grain, d reference.Day) reference.Day {
	t := d.Time()
	switch g {
	case Week:
		return d - reference.Day((int(t.Weekday())+6)%7)
	case Month:
		return d - reference.Day(t.Day()-1)
	case Quarter:
		return reference.DayOf(time.Date(t.Year(), (t.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC))
	case Year:
		return reference.DayOf(time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC))
	case Fiscal:
		return c.FiscalSpan(c.FiscalYear(d)).From
	case School:
		if quarter, ok := c.Quarter(d); ok {
			return quarter.Valid.From
		}
	}
	return d
}

// after is the first day behind the period that begins on a day.
func (c calendar) after(g Grain, start reference.Day) reference.Day {
	t := start.Time()
	switch g {
	case Week:
		return start + 7
	case Month:
		return reference.DayOf(t.AddDate(0, 1, 0))
	case Quarter:
		return reference.DayOf(t.AddDate(0, 3, 0))
	case Year, Fiscal:
		return reference.DayOf(t.AddDate(1, 0, 0))
	case School:
		if quarter, ok := c.Quarter(start); ok {
			return quarter.Valid.To + 1
		}
	}
	return start + 1
}

// label names a period by its grain and first whole day.
func (c calendar) label(g Grain, from, to reference.Day, hour int) string {
	start := c.start(g, from)
	t := start.Time()
	switch g {
	case Hour:
		return fmt.Sprintf("%sT%02d", start, hour)
	case Day:
		return start.String()
	case Week:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	case Month:
		return t.Format("2006-01")
	case Quarter:
		return fmt.Sprintf("%d-Q%d", t.Year(), (int(t.Month())-1)/3+1)
	case Year:
		return t.Format("2006")
	case Fiscal:
		span := c.FiscalSpan(c.FiscalYear(from))
		return span.From.String() + "/" + span.To.String()
	case School:
		if quarter, ok := c.Quarter(from); ok {
			return quarter.Code
		}
	}
	return from.String() + "/" + to.String()
}

// periods cuts the days from..to by a grain, at most limit+1 of them.
func (c calendar) periods(g Grain, from, to reference.Day, limit int) []period {
	if g == Whole || g == Window {
		return []period{{from: from, to: to, label: c.label(Whole, from, to, 0)}}
	}
	var list []period
	if g == School {
		for _, quarter := range c.Quarters {
			if span := quarter.Valid; span.From <= to && span.To >= from && len(list) <= limit {
				list = append(list, period{from: max(span.From, from), to: min(span.To, to), label: quarter.Code})
			}
		}
		return list
	}
	for d := from; d <= to && len(list) <= limit; {
		next := c.after(g, c.start(g, d))
		last := min(next-1, to)
		if g == Hour {
			for hour := range 24 {
				list = append(list, period{from: d, to: d, hour: hour, label: c.label(g, d, d, hour)})
			}
		} else {
			list = append(list, period{from: d, to: last, label: c.label(g, d, last, 0)})
		}
		d = next
	}
	return list
}

// yearBefore is the same day of the year before; 29 February becomes the 28th.
func yearBefore(d reference.Day) reference.Day {
	t := d.Time()
	if t.Month() == time.February && t.Day() == 29 {
		return reference.DayOf(time.Date(t.Year()-1, 2, 28, 0, 0, 0, 0, time.UTC))
	}
	return reference.DayOf(t.AddDate(-1, 0, 0))
}

// earlier is the period that p is held against.
func (c calendar) earlier(g Grain, how Compare, p period) period {
	e := period{hour: p.hour}
	switch {
	case g == Whole && how == Previous:
		e.from, e.to = c.before(p.from, p.to)
	case g == Whole || g == Window && how == YearBefore:
		e.from, e.to = yearBefore(p.from), yearBefore(p.to)
		if c.lastOfMonth(p.to) {
			e.to = c.after(Month, c.start(Month, e.to)) - 1
		}
	case g == Window:
		e.from, e.to = c.before(p.from, p.to)
	case g == Hour && how == Previous:
		if e.from, e.hour = p.from, p.hour-1; e.hour < 0 {
			e.from, e.hour = p.from-1, 23
		}
		e.to = e.from
	case g == School:
		return c.schoolBefore(how, p)
	case how == Previous:
		e.to = c.start(g, p.from) - 1
		e.from = c.start(g, e.to)
	case g == Week:
		e.from = c.start(g, p.from) - 364
		e.to = e.from + 6
	default:
		e.from = c.start(g, yearBefore(c.start(g, p.from)))
		e.to = c.after(g, e.from) - 1
	}
	label := g
	if g == Window {
		label = Whole
	}
	e.label = c.label(label, e.from, e.to, e.hour)
	return e
}

// stockBefore is the day that the stock of a whole period is held against: the last
// of the period of the same length just before, or the same day a year earlier. Of a
// period without a beginning it is a month earlier.
func (c calendar) stockBefore(how Compare, from, to reference.Day) reference.Day {
	switch {
	case how == YearBefore:
		return c.earlier(Whole, how, period{from: to, to: to}).to
	case from != reference.NoDay:
		_, before := c.before(from, to)
		return before
	}
	last := c.start(Month, to) - 1 // of the month before
	if c.lastOfMonth(to) {
		return last
	}
	return min(last, c.start(Month, last)+reference.Day(to.Time().Day()-1))
}

func (c calendar) lastOfMonth(d reference.Day) bool { return (d + 1).Time().Day() == 1 }

// before is the span of the same length just before: of as many whole months when
// the days are whole months, else of as many days.
func (c calendar) before(from, to reference.Day) (reference.Day, reference.Day) {
	if from.Time().Day() == 1 && c.lastOfMonth(to) {
		a, b := from.Time(), to.Time()
		months := (b.Year()-a.Year())*12 + int(b.Month()-a.Month()) + 1
		return reference.DayOf(a.AddDate(0, -months, 0)), from - 1
	}
	return from - (to - from + 1), from - 1
}

// schoolSQL is the first day of the school quarter around a day, 1970-01-01 in the
// holidays. The days are those of the pack, written out.
func (c calendar) schoolSQL(day string) string {
	var first, last []string
	for _, quarter := range c.Quarters {
		first = append(first, quarter.Valid.From.String())
		last = append(last, quarter.Valid.To.String())
	}
	dates := func(days []string) string { return "CAST(['" + strings.Join(days, "', '") + "'], 'Array(Date)')" }
	return "arrayFirst((First, Last) -> " + day + " BETWEEN First AND Last, " + dates(first) + ", " + dates(last) + ")"
}

// schoolBefore is the school quarter before p's, or the one in which the middle of p's lies
// a year earlier. Where the calendar has none it is a period that nothing is found for.
func (c calendar) schoolBefore(how Compare, p period) period {
	i := slices.IndexFunc(c.Quarters, func(quarter reference.Quarter) bool { return quarter.Valid.Holds(p.from) })
	if i < 0 {
		return period{from: p.from - 1, to: p.from - 1, label: "-"}
	}
	valid := c.Quarters[i].Valid
	if how == Previous {
		i--
	} else {
		middle := yearBefore(valid.From + (valid.To-valid.From)/2)
		i = slices.IndexFunc(c.Quarters, func(quarter reference.Quarter) bool { return quarter.Valid.Holds(middle) })
	}
	if i < 0 {
		return period{from: valid.From - 1, to: valid.From - 1, label: "-"}
	}
	quarter := c.Quarters[i]
	return period{from: quarter.Valid.From, to: quarter.Valid.To, label: quarter.Code}
}
