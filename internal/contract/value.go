package contract

import (
	"bytes"
	"math"
	"strings"
	"time"

	"ombor/internal/reference"
)

// value is one field of the event that is being checked. Whoever reads more than seen
// looks at set first: the rest may be another event's.
type value struct {
	seen bool     // the field was in the event, null included
	set  bool     // it has a value
	i    int64    // number, time, flag; of a float its bits
	s    []byte   // text or label as it was sent or filled in, a person's identifier in canonical form
	word *word    // of a label
	raw  []byte   // a person's identifier as it was sent
	p    [16]byte // Person: the pseudonym
}

// float is a decimal or a float as rules see it.
func (v *value) float(f *Field) float64 {
	if f.Type == Decimal {
		return float64(v.i) / float64(pow10[f.Scale])
	}
	return math.Float64frombits(uint64(v.i))
}

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

const (
	notNumber = "is not a JSON number"
	fraction  = "has more digits after the point than the field keeps"
	tooLarge  = "is too large"
)

// parseFixed reads a JSON number as a whole number of 10^-scale, exactly: 1.50, 1.5
// and 15e-1 are the same. What does not fit is said, never rounded.
func parseFixed(token []byte, scale int) (v int64, wrong string) {
	b := token
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	whole := digits(b)
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return 0, notNumber
	}
	b = b[len(whole):]
	if len(b) == 0 && len(whole)+scale <= 18 { // nearly all numbers
		for _, c := range whole {
			v = v*10 + int64(c-'0')
		}
		v *= pow10[scale]
		if negative {
			v = -v
		}
		return v, ""
	}
	var part []byte
	if len(b) > 0 && b[0] == '.' {
		part = digits(b[1:])
		if len(part) == 0 {
			return 0, notNumber
		}
		b = b[1+len(part):]
	}
	exponent := 0
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		minus := len(b) > 0 && b[0] == '-'
		if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
			b = b[1:]
		}
		power := digits(b)
		if len(power) == 0 {
			return 0, notNumber
		}
		b = b[len(power):]
		for _, c := range power {
			exponent = min(exponent*10+int(c-'0'), 1<<20) // longer than any event
		}
		if minus {
			exponent = -exponent
		}
	}
	if len(b) > 0 {
		return 0, notNumber
	}
	// The number is the digits of whole and part, times 10^shift.
	n, shift := len(whole)+len(part), exponent+scale-len(part)
	digit := func(i int) byte {
		if i < len(whole) {
			return whole[i]
		}
		return part[i-len(whole)]
	}
	first := 0
	for first < n && digit(first) == '0' {
		first++
	}
	if first == n {
		return 0, ""
	}
	for ; shift < 0; shift++ {
		if n == first || digit(n-1) != '0' {
			return 0, fraction
		}
		n--
	}
	if n-first+shift > 19 { // 2^63 has 19 digits
		return 0, tooLarge
	}
	var u uint64
	for i := first; i < n; i++ {
		u = u*10 + uint64(digit(i)-'0')
	}
	for range shift {
		u *= 10 // at most 19 digits: no overflow of 64 bits
	}
	switch {
	case negative && u <= 1<<63:
		return int64(-u), ""
	case !negative && u < 1<<63:
		return int64(u), ""
	}
	return 0, tooLarge
}

func digits(b []byte) []byte {
	n := 0
	for n < len(b) && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	return b[:n]
}

// What times can be kept: events date from the epoch on (ClickHouse's Date), other
// times and dates from 1900 on (DateTime64, Date32), all until 2149-06-06 (Date).
const (
	firstDay = -25567 // 1900-01-01
	lastDay  = 65535  // 2149-06-06
	dayMs    = 86400_000
)

// The days of which an event may tell, both inclusive.
const (
	FirstDay reference.Day = firstDay
	LastDay  reference.Day = lastDay - 1
)

const (
	timeForm = "write RFC 3339 with an offset, as in 2024-05-01T10:00:00+05:00"
	dateForm = "write YYYY-MM-DD, as in 2024-05-01"
)

// parseTime reads RFC 3339 as Unix milliseconds; finer digits are cut off.
func parseTime(s []byte) (ms int64, f fault) {
	if len(s) < len("2024-05-01T10:00:00") {
		if _, f := parseDate(s); !f.is() {
			return 0, fault{BadTime, "is a date without a time; " + timeForm}
		}
		return 0, fault{BadTime, "is not a time; " + timeForm}
	}
	day, ok := civil(s[:10])
	hour, ok1 := number2(s[11:])
	minute, ok2 := number2(s[14:])
	second, ok3 := number2(s[17:])
	if !ok || !ok1 || !ok2 || !ok3 || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' || hour > 23 || minute > 59 {
		return 0, fault{BadTime, "is not a time; " + timeForm}
	}
	if second > 59 {
		return 0, fault{BadTime, "has a leap second, which has no place in Unix time; write the second before it"}
	}
	rest := s[19:]
	var fractional int64
	if len(rest) > 0 && rest[0] == '.' {
		d := digits(rest[1:])
		if len(d) == 0 {
			return 0, fault{BadTime, "has no digits after the point; " + timeForm}
		}
		for i := range 3 {
			fractional *= 10
			if i < len(d) {
				fractional += int64(d[i] - '0')
			}
		}
		rest = rest[1+len(d):]
	}
	var offset int64 // minutes
	switch {
	case len(rest) == 0:
		return 0, fault{BadTime, "has no offset, so it could be any of 26 hours; " + timeForm}
	case len(rest) == 1 && rest[0]|0x20 == 'z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		h, ok := number2(rest[1:])
		m, ok1 := number2(rest[4:])
		if !ok || !ok1 || h > 23 || m > 59 {
			return 0, fault{BadTime, "has an offset that is none; " + timeForm}
		}
		if offset = h*60 + m; rest[0] == '-' {
			offset = -offset
		}
	default:
		return 0, fault{BadTime, "has an offset that is none; " + timeForm}
	}
	return day*dayMs + ((hour*60+minute-offset)*60+second)*1000 + fractional, fault{}
}

// parseDate reads YYYY-MM-DD as days since 1970-01-01.
func parseDate(s []byte) (day int64, f fault) {
	if len(s) == 10 {
		if day, ok := civil(s); ok {
			return day, fault{}
		}
	}
	return 0, fault{BadTime, "is not a date; " + dateForm}
}

// civil reads exactly YYYY-MM-DD.
func civil(s []byte) (day int64, ok bool) {
	century, ok1 := number2(s)
	year, ok2 := number2(s[2:])
	month, ok3 := number2(s[5:])
	d, ok4 := number2(s[8:])
	if !ok1 || !ok2 || !ok3 || !ok4 || s[4] != '-' || s[7] != '-' || month < 1 || month > 12 || d < 1 {
		return 0, false
	}
	year += century * 100
	last := monthDays[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		last = 29
	}
	if d > last {
		return 0, false
	}
	return daysFromCivil(year, month, d), true
}

var monthDays = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// daysFromCivil counts the days from 1970-01-01 in the proleptic Gregorian calendar
// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func daysFromCivil(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	y += 400 // so that year 0 divides without a sign
	return 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468 - 146097
}

func number2(s []byte) (int64, bool) {
	if len(s) < 2 {
		return 0, false
	}
	a, b := s[0]-'0', s[1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}

// zoneDays finds the civil day of an instant, remembering the zone's period.
type zoneDays struct {
	zone       *time.Location
	first, end int64 // seconds; the offset holds from first to before end
	offset     int64
}

func (z *zoneDays) day(ms int64) int32 {
	seconds := floorDiv(ms, 1000)
	if seconds < z.first || seconds >= z.end {
		t := time.Unix(seconds, 0).In(z.zone)
		_, offset := t.Zone()
		start, end := t.ZoneBounds()
		z.first, z.end, z.offset = math.MinInt64, math.MaxInt64, int64(offset)
		if !start.IsZero() {
			z.first = start.Unix()
		}
		if !end.IsZero() {
			z.end = end.Unix()
		}
	}
	return int32(floorDiv(seconds+z.offset, 86400))
}

// midnights finds the begin of a day in a zone, remembering the last.
type midnights struct {
	zone *time.Location
	day  int64
	at   time.Time
}

func (m *midnights) of(day int64) time.Time {
	if m.day != day || m.at.IsZero() {
		y, month, d := time.Unix(day*86400, 0).UTC().Date()
		m.day, m.at = day, time.Date(y, month, d, 0, 0, 0, 0, m.zone)
	}
	return m.at
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// identifierKinds have a form of their own; any other kind is kept as sent, trimmed.
var identifierKinds = []string{"pinfl", "stir", "phone", "passport", "device"}

// canonical appends the one form that all spellings of an identifier share, so that
// they share a pseudonym.
func canonical(dst []byte, kind string, raw []byte) (id []byte, wrong string) {
	raw = bytes.TrimSpace(raw)
	switch kind {
	case "pinfl":
		if len(raw) != 14 || len(digits(raw)) != 14 {
			return nil, "is not a PINFL: 14 digits"
		}
		return append(dst, raw...), ""
	case "stir":
		if len(raw) != 9 || len(digits(raw)) != 9 {
			return nil, "is not a STIR: 9 digits"
		}
		return append(dst, raw...), ""
	case "phone":
		// E.164: at most 15 digits, the country's code first, so + or 00 or enough digits.
		const form = "is not a telephone number: + and its country code first, 7 to 15 digits in all (E.164)"
		begin := len(dst)
		international := false
		for i, c := range raw {
			switch {
			case '0' <= c && c <= '9':
				dst = append(dst, c)
			case c == '+' && i == 0:
				international = true
			case c == ' ' || c == '-' || c == '(' || c == ')' || c == '.':
			default:
				return nil, form
			}
		}
		if !international && bytes.HasPrefix(dst[begin:], []byte("00")) {
			international = true
			dst = append(dst[:begin], dst[begin+2:]...)
		}
		n := len(dst) - begin
		if n > 15 || n < 7 || !international && n < 11 || dst[begin] == '0' {
			return nil, form
		}
		return dst, ""
	case "passport":
		const form = "is not a passport number: 5 to 20 letters and digits"
		begin := len(dst)
		for _, c := range raw {
			switch {
			case 'a' <= c && c <= 'z':
				dst = append(dst, c-'a'+'A')
			case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
				dst = append(dst, c)
			case c == ' ' || c == '-':
			default:
				return nil, form
			}
		}
		if n := len(dst) - begin; n < 5 || n > 20 {
			return nil, form
		}
		return dst, ""
	}
	if len(raw) == 0 {
		return nil, "is empty"
	}
	return append(dst, raw...), ""
}

// article puts a or an before a word.
func article(word string) string {
	if word != "" && strings.ContainsRune("aeio", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}
