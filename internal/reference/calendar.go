package reference

import (
	"io"
	"sort"
	"strings"
	"time"

	"ombor/internal/problem"
)

// Calendar is a country's days: its time zone, working week, holidays, school
// quarters and fiscal year. The zero value is UTC, seven working days a week, no
// holidays, a fiscal year that begins on 1 January.
type Calendar struct {
	Zone        *time.Location  // nil is UTC
	Week        []time.Weekday  // working days; empty is all seven
	Days        map[Day]DayKind // days that differ from the week's rule
	DayNames    map[Day]Names   // what those of them are called that have a name
	Quarters    []Quarter       // school quarters, by time
	FiscalMonth time.Month      // month whose first day begins the fiscal year; 0 is January
}

// DayKind says how a day differs from its week.
type DayKind uint8

const (
	Holiday    DayKind = iota + 1 // not worked, whatever the weekday
	WorkingDay                    // worked, whatever the weekday
)

// Quarter is a school quarter; its days are not those of a calendar quarter.
type Quarter struct {
	Code  string
	Names Names
	Valid Span // both ends are given
}

// Today is the civil date of t in the calendar's zone.
func (c *Calendar) Today(t time.Time) Day { return DayOf(t.In(c.zone())) }

// Start is the first moment of the day in the calendar's zone: midnight, the first of two
// where the clocks are put back to it, or the moment to which they are put forward over it.
func (c *Calendar) Start(d Day) time.Time {
	y, m, day := d.Time().Date()
	at := time.Date(y, m, day, 0, 0, 0, 0, c.zone())
	begin, end := at.ZoneBounds()
	if DayOf(at) != d {
		return end
	}
	if before := begin.Add(-time.Nanosecond); !begin.IsZero() && DayOf(before) == d {
		_, offset := before.Zone()
		return time.Unix(int64(d)*86400-int64(offset), 0).In(c.zone())
	}
	return at
}

func (c *Calendar) zone() *time.Location {
	if c == nil || c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// Works says whether the day is a working day.
func (c *Calendar) Works(d Day) bool {
	switch c.Days[d] {
	case Holiday:
		return false
	case WorkingDay:
		return true
	}
	if len(c.Week) == 0 {
		return true
	}
	weekday := d.Time().Weekday()
	for _, w := range c.Week {
		if w == weekday {
			return true
		}
	}
	return false
}

// WorkingDays counts the working days from one day to another, both inclusive; 0
// when to is before from.
func (c *Calendar) WorkingDays(from, to Day) int {
	n := 0
	for d := from; d <= to; d++ {
		if c.Works(d) {
			n++
		}
	}
	return n
}

// AddWorkingDays is the n-th working day after d; n is at least 1. It is NoDay when
// the calendar has no working day within ten years.
func (c *Calendar) AddWorkingDays(d Day, n int) Day {
	for at := d + 1; at < d+3653; at++ {
		if c.Works(at) {
			if n--; n <= 0 {
				return at
			}
		}
	}
	return NoDay
}

// FiscalYear is the fiscal year in which the day lies, named by the calendar year in
// which it begins: with April, 31 March 2025 is in 2024.
func (c *Calendar) FiscalYear(d Day) int {
	t := d.Time()
	if t.Month() < c.fiscal() {
		return t.Year() - 1
	}
	return t.Year()
}

// FiscalSpan is the first and the last day of a fiscal year.
func (c *Calendar) FiscalSpan(year int) Span {
	first := time.Date(year, c.fiscal(), 1, 0, 0, 0, 0, time.UTC)
	return Span{DayOf(first), DayOf(first.AddDate(1, 0, -1))}
}

func (c *Calendar) fiscal() time.Month { return max(c.FiscalMonth, time.January) }

// Quarter is the school quarter in which the day lies; false in the holidays.
func (c *Calendar) Quarter(d Day) (Quarter, bool) {
	i := sort.Search(len(c.Quarters), func(i int) bool { return c.Quarters[i].Valid.To >= d })
	if i < len(c.Quarters) && c.Quarters[i].Valid.Holds(d) {
		return c.Quarters[i], true
	}
	return Quarter{}, false
}

// ReadDays reads a CSV file with the columns date, kind (holiday or working) and
// name_…; problems are added to issues. It gives the kinds of the days and their names.
func ReadDays(file string, r io.Reader, issues *problem.Issues) (map[Day]DayKind, map[Day]Names) {
	days, called := map[Day]DayKind{}, map[Day]Names{}
	lines := readCSV(file, r, issues)
	if lines == nil {
		return days, called
	}
	if _, ok := lines.index["date"]; !ok {
		issues.Add(file, 1, "date", "the column is missing")
		return days, called
	}
	for _, l := range lines.rows {
		before := len(*issues)
		day := lines.day(file, l, "date", issues)
		if day == NoDay {
			if len(*issues) == before {
				issues.Add(file, l.line, "date", "is empty")
			}
			continue
		}
		if days[day] != 0 {
			issues.Add(file, l.line, "date", "%s stands twice", day)
		}
		switch kind := lines.cell(l, "kind"); kind {
		case "holiday", "":
			days[day] = Holiday
		case "working":
			days[day] = WorkingDay
		default:
			issues.Add(file, l.line, "kind", "%q is not a kind of day; allowed: holiday, working", kind)
		}
		names := Names{}
		for column := range lines.index {
			if tag, ok := strings.CutPrefix(column, columnName); ok && lines.cell(l, column) != "" {
				names[tag] = lines.cell(l, column)
			}
		}
		if len(names) > 0 {
			called[day] = names
		}
	}
	return days, called
}

// ReadQuarters reads a CSV file with the columns code, valid_from, valid_to and
// name_…; both dates are needed and quarters do not overlap.
func ReadQuarters(file string, r io.Reader, issues *problem.Issues) []Quarter {
	before := len(*issues)
	table := ReadTable("quarters", file, r, TableFormat{}, issues)
	if len(*issues) > before {
		return nil
	}
	rows := append([]Row(nil), table.Rows()...)
	sort.Slice(rows, func(a, b int) bool { return rows[a].Valid.From < rows[b].Valid.From })
	var quarters []Quarter
	for i, row := range rows {
		if row.Valid.From == NoDay || row.Valid.To == NoDay {
			issues.Add(file, row.Line, "", "a quarter needs valid_from and valid_to")
		} else if i > 0 && row.Valid.From <= rows[i-1].Valid.To {
			issues.Add(file, row.Line, columnFrom, "begins before %q has ended", rows[i-1].Code)
		}
		quarters = append(quarters, Quarter{Code: row.Code, Names: row.Names, Valid: row.Valid})
	}
	return quarters
}
