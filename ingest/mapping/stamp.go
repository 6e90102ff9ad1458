package mapping

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// clock turns wall time into instants, by one rule for every zone: a time that the
// clocks show twice, when they go back, is the first of the two; a time that they
// never show, when they go forward, is as much later as the clocks skip.
type clock struct {
	zone   *time.Location
	offset int64 // seconds east of UTC …
	lo, hi int64 // … of every wall time in [lo, hi)
}

const day = 86400

// at is the instant of a wall time, given as if it were UTC.
func (c *clock) at(wall time.Time) time.Time {
	seconds := wall.Unix()
	if seconds < c.lo || seconds >= c.hi {
		// No zone is further from UTC than 24 h, and none changes twice in two days
		// of which one is asked: before and after bracket the change, if there is one.
		before := offsetAt(seconds-day, c.zone)
		after := offsetAt(seconds+day, c.zone)
		if before != after {
			if offsetAt(seconds-before, c.zone) != before && offsetAt(seconds-after, c.zone) == after {
				before = after // behind the change
			}
			return time.Unix(seconds-before, int64(wall.Nanosecond())).In(c.zone)
		}
		c.offset = before
		start, end := time.Unix(seconds-before, 0).In(c.zone).ZoneBounds()
		c.lo, c.hi = math.MinInt64, math.MaxInt64
		if !start.IsZero() {
			c.lo = start.Unix() + 2*day
		}
		if !end.IsZero() {
			c.hi = end.Unix() - 2*day
		}
	}
	return time.Unix(seconds-c.offset, int64(wall.Nanosecond())).In(c.zone)
}

func offsetAt(seconds int64, zone *time.Location) int64 {
	_, offset := time.Unix(seconds, 0).In(zone).Zone()
	return int64(offset)
}

// stamps reads dates and times in a list of formats.
type stamps struct {
	formats []stampFormat
	prefix  string
	clock   clock
	last    bool // a stamp without a day means the last day of its month or year
}

type stampFormat struct {
	layout string // "" for the numbers below
	number string // unix, unix_ms, excel
	zoned  bool   // the stamp tells its offset
	noDay  bool
	noMoon bool // nor a month
}

// Defaults: what ISO 8601 and RFC 3339 write, and days with full stops, which are never months
// first; one digit will do. Go reads a fraction of a second also where the layout has none.
var (
	timestampDefaults = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2.1.2006 15:04:05", "2.1.2006 15:04"}
	dateDefaults      = []string{time.DateOnly, "2.1.2006"}
)

// example is a stamp in the format, with a day that no one takes for a month.
func (f *stampFormat) example() string {
	at := time.Date(2024, 11, 25, 14, 30, 0, 0, time.UTC)
	switch f.number {
	case "excel":
		return "a workbook's own date"
	case "unix":
		return strconv.Quote(strconv.FormatInt(at.Unix(), 10))
	case "unix_ms":
		return strconv.Quote(strconv.FormatInt(at.UnixMilli(), 10))
	}
	return strconv.Quote(at.Format(f.layout))
}

func parseFormat(text string) (stampFormat, error) {
	switch text {
	case "unix", "unix_ms", "excel":
		return stampFormat{number: text, zoned: text != "excel"}, nil
	}
	if strings.Contains(text, "MST") {
		return stampFormat{}, fmt.Errorf("%q reads the abbreviation of a zone, and abbreviations mean several zones; name the zone in time_zone", text)
	}
	f := stampFormat{layout: text}
	base := time.Date(2001, 2, 3, 16, 5, 6, 0, time.UTC)
	same := func(other time.Time) bool { return base.Format(text) == other.Format(text) }
	f.zoned = !same(time.Date(2001, 2, 3, 16, 5, 6, 0, time.FixedZone("", 3*3600)))
	f.noDay = same(base.AddDate(0, 0, 14))
	f.noMoon = same(base.AddDate(0, 5, 0))
	if same(base.AddDate(3, 0, 0)) && f.noDay && f.noMoon && same(base.Add(3*time.Hour)) {
		return f, fmt.Errorf("%q is no layout: write 2 January 2006, 15:04:05 the way the file writes its stamps", text)
	}
	return f, nil
}

// read finds the wall time or the instant of a cell. isWall says which of them it is.
func (s *stamps) read(cell string, since1904 bool) (t time.Time, isWall bool, err error) {
	if s.prefix != "" {
		cell = s.prefix + cell
	}
	for i := range s.formats {
		f := &s.formats[i]
		if f.number != "" {
			if t, err = f.fromNumber(cell, since1904); err == nil {
				if f.zoned {
					t = t.In(s.clock.zone)
				}
				return t, !f.zoned, nil
			}
			continue
		}
		if t, err = time.Parse(f.layout, cell); err == nil {
			if s.last && f.noDay {
				if f.noMoon {
					t = t.AddDate(1, 0, -1)
				} else {
					t = t.AddDate(0, 1, -1)
				}
			}
			return t, !f.zoned, nil
		}
	}
	return t, false, err
}

func (f *stampFormat) fromNumber(cell string, since1904 bool) (time.Time, error) {
	if f.number == "excel" {
		serial, err := strconv.ParseFloat(cell, 64)
		if err != nil || !(serial >= 0 && serial < 2958466) { // the end of the year 9999
			return time.Time{}, fmt.Errorf("not a serial number of a date")
		}
		days, part := math.Modf(serial)
		epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
		switch {
		case since1904:
			epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
		case days < 60:
			days++ // Excel believes that there was a 29 February 1900, day 60
		}
		ms := math.Round(part * day * 1000)
		return epoch.AddDate(0, 0, int(days)).Add(time.Duration(ms) * time.Millisecond), nil
	}
	n, err := strconv.ParseInt(cell, 10, 64)
	if err != nil || n > 253402300799999 || n < -62135596800000 {
		return time.Time{}, fmt.Errorf("not a whole number of the epoch")
	}
	if f.number == "unix" {
		if n > 253402300799 || n < -62135596800 {
			return time.Time{}, fmt.Errorf("outside the years 1 to 9999")
		}
		return time.Unix(n, 0).UTC(), nil
	}
	return time.UnixMilli(n).UTC(), nil
}

// instant is the moment that a cell names.
func (s *stamps) instant(cell string, since1904 bool) (time.Time, error) {
	t, wall, err := s.read(cell, since1904)
	if err != nil {
		return t, err
	}
	if wall {
		return s.clock.at(t), nil
	}
	return t, nil
}

// civil is the day that a cell names: of a stamp with an offset the day as it is
// written, of seconds since 1970 the day in the zone.
func (s *stamps) civil(cell string, since1904 bool) (time.Time, error) {
	t, _, err := s.read(cell, since1904)
	return t, err
}
