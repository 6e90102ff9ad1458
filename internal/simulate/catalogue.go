package simulate

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// processing is how a request is handled.
type processing uint8

const (
	automatic processing = iota
	officerOnline
	offline
)

var processings = [...]string{"automatic", "officer_online", "offline"}

// What has always been so, as far as the catalogue can tell, and what never will be.
const (
	always = reference.NoDay
	never  = reference.Day(math.MaxInt32)
)

// maxTerm is the longest legal term that is simulated, in working days.
const maxTerm = 60

// service is one service of the catalogue with the days on which it changes.
type service struct {
	code        string
	agency      string
	certificate bool
	benefit     bool
	users       string // citizen, legal, both or empty
	weight      uint64
	term        int   // working days; 0 when it is decided at once
	fee         int64 // minor units of the currency; 0 free, -1 not known
	paid        string
	minutes     string
	factually   string // automated in the table: "true", "false" or empty
	draw        uint64 // its lot

	electronic, automated, mobile, proactive reference.Day // since when; always, never
	signature                                bool          // asked for a signature at the opening
	freed                                    reference.Day // from then on it asks for none
}

func (s *service) automatedOn(d reference.Day) bool { return d >= s.automated }
func (s *service) existsOn(d reference.Day) bool    { return d >= s.electronic }
func (s *service) signatureOn(d reference.Day) bool { return s.signature && d < s.freed }

func (g *Generator) readServices() error {
	table := g.pack.Reference.Table("services")
	if table == nil || table.Len() == 0 {
		return problem.New(problem.NotFound, "the pack %s has no table services, so there is nothing to simulate", g.pack.Name)
	}
	inv := &g.nation.Invented
	for _, row := range table.Rows() {
		if len(g.services) > 0 && g.services[len(g.services)-1].code == row.Code {
			continue // a later meaning of the same code
		}
		s := service{code: row.Code, agency: row.Value("agency"), certificate: row.Value("kind") == "certificate", benefit: row.Value("kind") == "benefit",
			users: row.Value("users"), paid: row.Value("paid"), minutes: row.Value("form_minutes"), factually: row.Value("automated"),
			draw: mix(g.seed ^ mix(hash(row.Code))), electronic: never, automated: never, mobile: never, proactive: never, freed: never}
		if w, err := strconv.ParseUint(row.Value("applications_since_launch"), 10, 31); err == nil {
			s.weight = w
		}
		s.weight = max(s.weight, inv.UnknownWeight)
		s.term = inv.termOf(row.Value("term_text"), s.factually == "true")
		s.fee = inv.feeOf(row.Value("fee_text"))
		g.services = append(g.services, s)
	}
	// The portal numbers services as they come, so that the number is their age.
	slices.SortStableFunc(g.services, func(a, b service) int {
		x, errX := strconv.Atoi(a.code)
		y, errY := strconv.Atoi(b.code)
		if errX != nil || errY != nil {
			return cmp.Compare(a.code, b.code)
		}
		return cmp.Compare(x, y)
	})
	if len(g.services) >= 1<<16 {
		return problem.New(problem.BadInput, "the table services has %d services; a simulation takes 65,535", len(g.services))
	}
	return g.layOut()
}

func hash(text string) uint64 { // FNV-1a
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

// termOf is the number of working days that a published term means; 0 for what is
// decided at once.
func (v *invented) termOf(text string, automated bool) int {
	if m := v.Terms.Days.find(text); len(m) == 3 {
		if n, err := strconv.Atoi(cmp.Or(m[2], m[1])); err == nil {
			return min(max(n, 1), maxTerm)
		}
	}
	switch {
	case v.Terms.Month.find(text) != nil:
		return 22 // working days of a month
	case automated:
		return 0
	}
	return v.Duration.DefaultTermDays
}

// feeOf is the fee that a published text means, in minor units; -1 when there is no
// text.
func (v *invented) feeOf(text string) int64 {
	switch text {
	case "":
		return -1
	case v.Fees.Free:
		return 0
	}
	if m := v.Fees.Amount.find(text); len(m) == 2 {
		if n, err := strconv.ParseInt(strings.ReplaceAll(m[1], " ", ""), 10, 32); err == nil {
			return n * v.Fees.MinorUnits
		}
	}
	return v.Fees.Usual * v.Fees.MinorUnits
}

// layOut draws the days on which services became electronic, automated, mobile,
// proactive and free of a signature, so that the counts at the opening and at the end
// of the published year are those of the nation file.
func (g *Generator) layOut() error {
	c := &g.nation.Invented.Catalogue
	opens, _ := reference.ParseDay(c.Opens)
	until, _ := reference.ParseDay(c.GrowthUntil)
	first, last := dayOf(g.nation.Published.Year, 1, 1), dayOf(g.nation.Published.Year, 12, 31)
	if c.Start.Electronic > c.End.Electronic || c.End.Electronic > len(g.services) || opens > first || until < last {
		return problem.New(problem.BadInput, "%s: the catalogue cannot grow from %d to %d services of %d between %s and %s",
			nationFile, c.Start.Electronic, c.End.Electronic, len(g.services), opens, until)
	}
	between := func(from, to reference.Day, i, n int) reference.Day { // the i-th of n, evenly spread
		return from + reference.Day((int64(to-from)*int64(2*i+1))/int64(2*n))
	}
	for i := range g.services {
		switch s := &g.services[i]; {
		case i < c.Start.Electronic:
			s.electronic = always
		case i < c.End.Electronic:
			s.electronic = between(first, last, i-c.Start.Electronic, c.End.Electronic-c.Start.Electronic)
		default:
			s.electronic = between(last+1, until, i-c.End.Electronic, len(g.services)-c.End.Electronic)
			if s.factually == "true" {
				s.automated = s.electronic
			}
			if s.draw>>8%5 < 3 {
				s.mobile = s.electronic
			}
		}
	}
	g.opens = opens
	// pick takes services in the order of rank: start of them have the property at the
	// opening, the others get it in the year, in turn, never before they are there.
	pick := func(what string, start, end int, rank func(*service) uint64, set func(*service, reference.Day)) error {
		chosen := make([]*service, c.End.Electronic)
		for i := range chosen {
			chosen[i] = &g.services[i]
		}
		slices.SortStableFunc(chosen, func(a, b *service) int {
			return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.draw, b.draw))
		})
		if start > end || end > len(chosen) {
			return problem.New(problem.BadInput, "%s: %d %s services at the opening and %d at the end do not fit %d services", nationFile, start, what, end, len(chosen))
		}
		chosen = chosen[:end]
		slices.SortStableFunc(chosen, func(a, b *service) int {
			return cmp.Or(cmp.Compare(a.electronic, b.electronic), cmp.Compare(mix(a.draw), mix(b.draw)))
		})
		if start > 0 && chosen[start-1].electronic > opens {
			return problem.New(problem.BadInput, "%s: fewer than %d %s services are there at the opening", nationFile, start, what)
		}
		for i, s := range chosen {
			if i < start {
				set(s, always)
			} else {
				set(s, max(s.electronic, between(first, last, i-start, end-start)))
			}
		}
		return nil
	}
	// What is automated in the table comes first, then what the table does not know.
	automated := func(s *service) uint64 { return map[string]uint64{"true": 0, "": 1, "false": 2}[s.factually] }
	if err := pick("automated", c.Start.Automated, c.End.Automated, automated, func(s *service, d reference.Day) { s.automated = d }); err != nil {
		return err
	}
	if err := pick("mobile", c.Start.Mobile, c.End.Mobile, lotByWeight, func(s *service, d reference.Day) { s.mobile = d }); err != nil {
		return err
	}
	benefits := func(s *service) uint64 {
		if s.benefit && s.users != "legal" {
			return 0
		}
		return 1
	}
	if err := pick("proactive", c.Start.Proactive, c.End.Proactive, benefits, func(s *service, d reference.Day) { s.proactive = d }); err != nil {
		return err
	}
	if c.End.Signature > c.Start.Signature || c.Start.Signature > c.Start.Electronic {
		return problem.New(problem.BadInput, "%s: services that need a signature grow fewer, and are there at the opening", nationFile)
	}
	signed := make([]*service, c.Start.Electronic)
	for i := range signed {
		signed[i] = &g.services[i]
	}
	slices.SortStableFunc(signed, func(a, b *service) int { return cmp.Compare(mix(a.draw^1), mix(b.draw^1)) })
	freed := c.Start.Signature - c.End.Signature
	for i, s := range signed[:c.Start.Signature] {
		s.signature = true
		if i < freed {
			s.freed = between(first, last, i, freed)
		}
	}
	return nil
}

// popularity is the power of a service's weight by which it is drawn for the application: what is asked for a
// thousand times as often has three times the tickets, so that most of the large are in it and some are not.
const popularity = 1.0 / 6

// lotByWeight ranks services as a draw without putting back does, in which each has tickets by its weight
// (Efraimidis and Spirakis 2006: the least of exponential waits).
func lotByWeight(s *service) uint64 {
	u := (float64(mix(s.draw^2)>>11) + 0.5) / (1 << 53) // between 0 and 1, neither of them
	return math.Float64bits(-math.Log(u) / math.Pow(float64(max(s.weight, 1)), popularity))
}

// changes calls fn for each day up to the last of the range, in time order for one
// service, on which the catalogue opens with it or it is new or different.
func (g *Generator) changes(fn func(s *service, day reference.Day)) {
	for i := range g.services {
		s := &g.services[i]
		on := []reference.Day{s.electronic, s.automated, s.mobile, s.proactive}
		if s.signature {
			on = append(on, s.freed)
		}
		for i := range on {
			on[i] = max(on[i], g.opens)
		}
		slices.Sort(on)
		for _, day := range slices.Compact(on) {
			if s.existsOn(day) && day <= g.options.To {
				fn(s, day)
			}
		}
	}
}

func (g *Generator) catalogueEvents() (n int) {
	g.changes(func(*service, reference.Day) { n++ })
	return n
}

// region is one region with its districts and its users.
type region struct {
	code      string
	until     uint64 // end of its part of 2⁶⁴
	weight    uint64
	tilt      uint64 // offline, in thousandths of what is usual
	districts []string
	fragment  string   // ,"region":"1703"
	fragments []string // the same with a district, one for each
}

func (g *Generator) readRegions() error {
	table, districts := g.pack.Reference.Table("regions"), g.pack.Reference.Table("districts")
	if table == nil || districts == nil || table.Len() == 0 || table.Len() > 200 {
		return problem.New(problem.NotFound, "the pack %s needs the tables regions (200 at most) and districts for a simulation", g.pack.Name)
	}
	total := uint64(0)
	for _, row := range table.Rows() {
		people, err := strconv.ParseUint(row.Value("population"), 10, 40)
		if err != nil || people == 0 {
			return problem.New(problem.BadInput, "line %d of the table regions: population %q is not a number of people", row.Line, row.Value("population"))
		}
		tilt := g.nation.Invented.Tilt[row.Code]
		if tilt == 0 {
			tilt = 1000
		}
		g.regions = append(g.regions, region{code: row.Code, weight: people, tilt: tilt})
		total += people
	}
	sum := uint64(0)
	for i := range g.regions {
		r := &g.regions[i]
		sum += r.weight
		r.until = mulDiv(math.MaxUint64, sum, total)
		for _, row := range districts.Rows() {
			if row.Value("region") == r.code {
				r.districts = append(r.districts, row.Code)
			}
		}
		if len(r.districts) == 0 {
			r.districts = []string{""}
		}
	}
	return nil
}

// golden is 2⁶⁴ ÷ the golden ratio. Its multiples modulo 2⁶⁴ fill the range more evenly
// than any random numbers do, over every stretch of them (Weyl's sequence): so every
// region has its share of every day, to a few requests.
const golden = 0x9e3779b97f4a7c15

// regionOf is the region of the n-th request of a year.
func (g *Generator) regionOf(n uint64) int {
	u := (n+1)*golden + g.seed
	i := 0
	for u > g.regions[i].until {
		i++
	}
	return i
}
