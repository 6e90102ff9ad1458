package kpi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/reference"
)

// maxWorkdays is how many working days ahead workday looks, and workdayReach the calendar
// days in which they must lie: two long holidays and what is between.
const (
	maxWorkdays  = 30
	workdayReach = 90
)

// ExpandWorkdays writes every workday(day, n) of a ClickHouse expression out: the n-th
// working day after a day, 1 to 30, by the working week and the special days of the
// calendar. day is any expression that is a date. Where fewer than n working days lie
// in the ninety days after it, the result is 1 January 1970.
func ExpandWorkdays(expression string, c *reference.Calendar) (string, error) {
	for {
		s := scanner{text: expression}
		from := -1
		for {
			token, ok := s.next()
			if !ok {
				break
			}
			if token == "workday" && strings.HasPrefix(strings.TrimSpace(expression[s.at:]), "(") {
				from = s.start // the last one, so that one inside another is written out first
			}
		}
		if from < 0 {
			return expression, nil
		}
		s = scanner{text: expression, at: from}
		s.next() // workday
		s.next() // (
		begin, comma, depth := s.at, -1, 1
		for depth > 0 {
			token, ok := s.next()
			if !ok {
				return "", fmt.Errorf("workday(day, n): the bracket is never closed")
			}
			switch token {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			case ",":
				if depth == 1 {
					comma = s.start
				}
			}
		}
		if comma < 0 {
			return "", fmt.Errorf("workday(day, n) takes a day and a number of working days")
		}
		n, err := strconv.Atoi(strings.TrimSpace(expression[comma+1 : s.start]))
		if err != nil || n < 1 || n > maxWorkdays {
			return "", fmt.Errorf("workday(day, n): n is a whole number from 1 to %d", maxWorkdays)
		}
		expression = expression[:from] + workdaySQL(strings.TrimSpace(expression[begin:comma]), n, c) + expression[s.at:]
	}
}

func workdaySQL(day string, n int, c *reference.Calendar) string {
	var week, holidays, worked []string
	for _, w := range c.Week {
		week = append(week, strconv.Itoa((int(w)+6)%7+1)) // ClickHouse counts from Monday, 1
	}
	slices.Sort(week)
	for d, kind := range c.Days {
		text := "'" + d.String() + "'"
		if kind == reference.WorkingDay {
			worked = append(worked, text)
		} else if kind == reference.Holiday && works(c, d) {
			holidays = append(holidays, text)
		}
	}
	slices.Sort(holidays)
	slices.Sort(worked)
	test := "true"
	if len(week) > 0 {
		test = "toDayOfWeek(workday_at) IN (" + strings.Join(week, ", ") + ")"
	}
	if len(holidays) > 0 {
		test += " AND toString(workday_at) NOT IN (" + strings.Join(holidays, ", ") + ")"
	}
	if len(worked) > 0 {
		test = "(" + test + ") OR toString(workday_at) IN (" + strings.Join(worked, ", ") + ")"
	}
	return fmt.Sprintf("arrayElement(arrayFilter(workday_at -> %s, arrayMap(workday_i -> toDate(%s) + workday_i, range(1, %d))), %d)", test, day, workdayReach+1, n)
}

// works says whether the week alone makes a day a working day.
func works(c *reference.Calendar, d reference.Day) bool {
	return len(c.Week) == 0 || slices.Contains(c.Week, time.Weekday((int(d)%7+11)%7))
}
