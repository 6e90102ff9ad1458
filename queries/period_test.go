package queries

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// calendars are those of packs whose clocks and years differ.
func calendars(t *testing.T) map[string]calendar {
	t.Helper()
	all := map[string]calendar{}
	for name, month := range map[string]time.Month{"Asia/Tashkent": time.January, "America/New_York": time.October, "Europe/London": time.April, "Pacific/Apia": time.December, "America/Sao_Paulo": time.July, "America/Havana": time.March} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := &reference.Calendar{Zone: zone, FiscalMonth: month}
		for year := 1970; year < 2149; year++ { // one begins on a leap day where there is one, two touch
			at := func(y int, m time.Month, d int) reference.Day {
				return reference.DayOf(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
			}
			leap := at(year, time.March, 1) - 1
			c.Quarters = append(c.Quarters,
				reference.Quarter{Code: fmt.Sprint(year, "-1"), Valid: reference.Span{From: leap, To: at(year, time.May, 25)}},
				reference.Quarter{Code: fmt.Sprint(year, "-2"), Valid: reference.Span{From: at(year, time.September, 2), To: at(year, time.November, 3)}},
				reference.Quarter{Code: fmt.Sprint(year, "-3"), Valid: reference.Span{From: at(year, time.November, 4), To: at(year+1, time.January, 10)}})
		}
		all[name] = calendar{c}
	}
	return all
}

var everyGrain = []Grain{Day, Week, Month, Quarter, Year, Fiscal, School}

// TestPeriodsTile: whatever days are asked for, every one of them lies in exactly one
// period (of school quarters: in at most one), first and last included, and every period
// knows the one before it.
func TestPeriodsTile(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 22))
	for name, c := range calendars(t) {
		for range 400 {
			from := reference.Day(r.IntN(64_000))
			to := from + reference.Day(r.IntN(1200))
			for _, g := range everyGrain {
				next, labels := from, map[string]bool{}
				for i, p := range c.periods(g, from, to, 100_000) {
					if p.from != next && (g != School || p.from < next) || p.to < p.from || p.to > to || labels[p.label] {
						t.Fatalf("%s by %s, %s to %s: period %d is %+v after %s", name, g, from, to, i, p, next-1)
					}
					labels[p.label] = true
					for d := next; g == School && d < p.from; d++ {
						if _, in := c.Quarter(d); in {
							t.Fatalf("%s: %s lies in a school quarter but in no period", name, d)
						}
					}
					next = p.to + 1
					start, end := c.start(g, p.from), c.after(g, c.start(g, p.from))-1
					for _, d := range []reference.Day{p.from, p.to, start, end} {
						if c.start(g, d) != start || c.label(g, d, d, 0) != p.label {
							t.Fatalf("%s by %s: %s begins on %s as %s, not on %s as %s", name, g, d, c.start(g, d), c.label(g, d, d, 0), start, p.label)
						}
					}
					if p.from > from && p.from != start || p.to < to && p.to != end {
						t.Fatalf("%s by %s: %+v is cut inside %s to %s", name, g, p, from, to)
					}
					before := c.earlier(g, Previous, p)
					if touches := before.to+1 == start; touches == (g == School && c.start(g, start-1) == start-1) && before.label != "-" {
						t.Fatalf("%s by %s: before %s comes %+v", name, g, p.label, before)
					}
					year := c.earlier(g, YearBefore, p)
					if ago := start - year.from; year.label != "-" && (ago < 364-6 || ago > 366+6) || year.to < year.from {
						t.Fatalf("%s by %s: a year before %s is %+v, %d days earlier", name, g, p.label, year, ago)
					}
				}
				if g != School && next != to+1 {
					t.Fatalf("%s by %s: %s to %s ends on %s", name, g, from, to, next-1)
				}
			}
		}
	}
}

// TestDaysOfClocks: every day has a first and a last instant of its own, also when the
// clocks are put forward or back, or skip a day (Apia, 30 December 2011).
func TestDaysOfClocks(t *testing.T) {
	for name, c := range calendars(t) {
		lengths := map[time.Duration]int{}
		for d := reference.Day(0); d < 29_000; d++ { // to 2049
			start, next := c.Start(d), c.Start(d+1)
			lengths[next.Sub(start)]++
			if name == "Pacific/Apia" && d.String() == "2011-12-30" {
				continue // nobody lived through it
			}
			if got := c.Today(start); got != d {
				t.Fatalf("%s: %s begins on %s", name, d, got)
			}
			if got := c.Today(next.Add(-time.Nanosecond)); got != d {
				t.Fatalf("%s: %s ends on %s", name, d, got)
			}
		}
		if name == "America/New_York" && (lengths[23*time.Hour] < 70 || lengths[25*time.Hour] < 70) {
			t.Errorf("%s: days are %v long", name, lengths)
		}
	}
}

// TestEngineCutsAlike holds the engine's periods against the calendar's for every day that
// can be kept, and its day of an instant against the zone's at every change of the clocks.
func TestEngineCutsAlike(t *testing.T) {
	for name, c := range calendars(t) {
		moved := &contract.Contract{Type: "t.moved.v1", Name: "moved", Major: 1, Title: reference.Names{"en": "Moved"}, About: "A test.", Source: "s",
			Fields: []contract.Field{{Name: "at", Type: contract.Timestamp, Required: true}}}
		set, err := contract.NewSet("t.", c.Zone, []*contract.Contract{moved}, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := warehousetest.Open(t, set, nil)
		q := &Queries{warehouse: w, calendar: c}
		var columns []string
		for _, g := range everyGrain {
			columns = append(columns, "toInt32(toUInt16("+q.periodSQL(g, "Day")+"))")
		}
		checked := 0
		got := make([]int32, len(everyGrain))
		dest := make([]any, len(got)+1)
		var day int32
		dest[0] = &day
		for i := range got {
			dest[i+1] = &got[i]
		}
		err = w.Each(context.Background(), "SELECT toInt32(toUInt16(Day)), "+strings.Join(columns, ", ")+" FROM (SELECT toDate(number) AS Day FROM numbers(65380))", nil, func(scan warehouse.Scan) error {
			if err := scan(dest...); err != nil {
				return err
			}
			checked++
			for i, g := range everyGrain {
				want := c.start(g, reference.Day(day))
				if _, in := c.Quarter(reference.Day(day)); g == School && !in {
					want = 0
				}
				if want >= 0 && reference.Day(got[i]) != want { // Date begins in 1970
					t.Errorf("%s by %s: %s begins on %s, in the engine on %s", name, g, reference.Day(day), want, reference.Day(got[i]))
				}
			}
			return nil
		})
		if err != nil || checked != 65380 {
			t.Fatalf("%s: %d days: %v", name, checked, err)
		}
		err = w.Each(context.Background(), "SELECT toInt64(toUnixTimestamp64Milli(at)), toInt32(toUInt16("+w.DayOf(moved, "at")+")) FROM (SELECT fromUnixTimestamp64Milli(toInt64(number * 1800000 - number % 2), 'UTC') AS at FROM numbers(800000, 700000))", nil, func(scan warehouse.Scan) error {
			var ms int64
			var day int32
			if err := scan(&ms, &day); err != nil {
				return err
			}
			if want := c.Today(time.UnixMilli(ms)); reference.Day(day) != want {
				t.Errorf("%s: %s is on %s, in the engine on %s", name, time.UnixMilli(ms).UTC(), want, reference.Day(day))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
