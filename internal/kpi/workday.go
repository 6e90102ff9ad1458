package kpi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/reference"
)

// ExpandWorkdays writes every workdays(from, to) of a ClickHouse expression out: how many
// working days lie after one day up to another, that one included, by the working week and
// the special days of the calendar. It is negative when to is before from. Both are expressions
// that are dates, from 1970 to 2149, and not null. In the SQL every day has a number, of which
// the two are subtracted.
func ExpandWorkdays(expression string, c *reference.Calendar) (string, error) {
	for {
		s := scanner{text: expression}
		from := -1
		for {
			token, ok := s.next()
			if !ok {
				break
			}
			if token == "workdays" && strings.HasPrefix(strings.TrimSpace(expression[s.at:]), "(") {
				from = s.start // the last one, so that one inside another is written out first
			}
		}
		if from < 0 {
			return expression, nil
		}
		s = scanner{text: expression, at: from}
		s.next() // workdays
		s.next() // (
		var arguments []string
		begin := s.at
		for depth := 1; depth > 0; {
			token, ok := s.next()
			if !ok {
				return "", fmt.Errorf("workdays(from, to): the bracket is never closed")
			}
			switch token {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			}
			if depth == 0 || token == "," && depth == 1 {
				arguments = append(arguments, strings.TrimSpace(expression[begin:s.start]))
				begin = s.at
			}
		}
		if len(arguments) != 2 || slices.Contains(arguments, "") {
			return "", fmt.Errorf("workdays(from, to) takes two days")
		}
		sql := "(" + workdayNumber(arguments[1], c) + " - " + workdayNumber(arguments[0], c) + ")"
		expression = expression[:from] + sql + expression[s.at:]
	}
}

// workdayNumber is SQL for how many working days there were up to a day, from an unnamed Monday on.
func workdayNumber(day string, c *reference.Calendar) string {
	day = "toInt64(toUInt16(toDate(" + day + ")))" // days since 1 January 1970, a Thursday
	var sofar [7]string                            // working days of a week up to Monday, Tuesday …
	inWeek := 0
	for i := range sofar {
		if len(c.Week) == 0 || slices.Contains(c.Week, time.Weekday((i+1)%7)) {
			inWeek++
		}
		sofar[i] = strconv.Itoa(inWeek)
	}
	// The first element is before every day, so that the place of the last one that is not
	// after the day is one more than how many are not.
	holidays, worked := []int{-1}, []int{-1}
	for d, kind := range c.Days {
		weekday := len(c.Week) == 0 || slices.Contains(c.Week, d.Time().Weekday())
		switch {
		case kind == reference.Holiday && weekday:
			holidays = append(holidays, int(d))
		case kind == reference.WorkingDay && !weekday:
			worked = append(worked, int(d))
		}
	}
	upTo := func(days []int) string {
		if len(days) == 1 {
			return "1"
		}
		slices.Sort(days)
		list := strings.ReplaceAll(fmt.Sprint(days), " ", ", ")
		return "toInt64(indexOf(" + list + ", roundDown(" + day + ", " + list + ")))"
	}
	return fmt.Sprintf("(%[1]d * intDiv(%[2]s + 3, 7) + arrayElement([%[3]s], (%[2]s + 3) %% 7 + 1) - %[4]s + %[5]s)", inWeek, day, strings.Join(sofar[:], ", "), upTo(holidays), upTo(worked))
}
