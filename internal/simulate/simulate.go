// Package simulate makes the events of a country that has not sent its own yet: a
// stream of CloudEvents with the shape of a nation's year, for trying things out,
// for demonstrations and for measuring. Nothing that it makes is a fact about the
// country: every event carries the extension "simulated": true and a source that
// begins with simulation/, and whatever shows its figures says "simulated".
//
//	g, err := simulate.New(p, simulate.Options{Seed: 1})
//	summary, err := g.WriteTo(ctx, os.Stdout, nil)
//
// # What is made
//
// One line of JSON for each event (NDJSON), in the order in which they would arrive:
//
//   - request.submitted and request.decided. The requests of a day are a plan, not a
//     dice roll: a year's published totals are divided over services, days and ways of
//     processing by largest remainders, so that a full year at full scale has exactly
//     the published number of decided requests for certificates (8,300,000 in 2024) and
//     exactly the published share of them processed online (74.0 %). Requests of other
//     kinds have a total of their own, smaller than their weights would give, so that a
//     year stays below 30 million events: [Summary.OthersOneIn] says by how much.
//     Certificates are never withdrawn, so that every reading of "decided" gives the
//     published number. A request that was decided in the range but made before it has
//     no request.submitted; one that was made in it and decided after has no
//     request.decided: those are the open ones at the end.
//   - usage.session: visits, with no published number behind them.
//   - service.changed: the catalogue as it opened and every change of it up to the last
//     day, not scaled, whatever the first day: a stock is a sum over its history.
//   - with [Options.Systems] the events of all other systems of the pack, as its file
//     simulation/systems.json tells: cases (a payment, a project, a school's day) of
//     which each gives some events, one after the other. All of that is invented.
//     Registers are scaled, save those that the file says are not: the projects of a
//     country are as many however few of its events are made.
//   - figure.reported: for each quarter inside the range, what each agency with
//     certificates would report; the same numbers as its events, save for one agency in
//     each quarter that does not report.
//   - period.closed: ten days after each whole month of the range, what each source sent of
//     each contract, and how many events that were; now and then a source forgets it.
//
// A share of the events arrives late, up to some days after it happened, and a share
// arrives twice, the second time the same bytes ([Options.LateShare],
// [Options.DuplicateShare]).
//
// # What it stands on
//
// The pack's tables services, regions and districts, its calendar, and its file
// simulation/nation.json, which keeps published numbers apart from invented ones.
// Services are weighted by their real number of applications since launch, regions by
// their population (approximate). Times of day, weekdays, seasons, holidays, channels,
// durations (log-normal, by way of processing and legal term), outcomes, deliveries,
// documents, signatures and fees are invented.
//
// Persons and companies are invented too, with identifiers that no real one has
// (nation.json says which). As everywhere they are pseudonymised at the door.
//
// # Guarantees
//
// The same pack, options and version of this package give the same bytes, on any
// number of processors. A shorter range is a cut of a longer one: an event that both
// have has the same id and the same bytes. Ids hold a mark of seed and scale, so that
// two simulations never meet under one id.
package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Shares that are usual for a national portal whose agencies send in batches.
const (
	UsualLateShare      = 0.01
	UsualDuplicateShare = 0.005
)

// Options say how much to simulate. The zero value is the published year at full
// scale, seed 0, with nothing late and nothing twice.
type Options struct {
	// Events is about how many events to make; the scale follows from it. 0: use Scale.
	Events int
	// Scale multiplies the number of requests, sessions and persons. 0 is 1, full scale.
	// The catalogue of services is never scaled.
	Scale float64
	Seed  uint64
	// From and To are the first and the last day, both included, in the pack's zone. The
	// zero day (and NoDay) is the first or last day of the published year.
	From, To reference.Day
	// LateShare is the share of events that arrive some days late, 0 to 1.
	LateShare float64
	// DuplicateShare is the share of events that arrive a second time, 0 to 1.
	DuplicateShare float64
	// Systems adds what the pack's other systems send, as simulation/systems.json tells.
	Systems bool
}

// Generator makes one simulation. It is safe to call WriteTo again (it gives the same
// bytes), not concurrently.
type Generator struct {
	pack     *pack.Pack
	nation   *nation
	options  Options
	scale    float64
	seed     uint64
	tag      string // of seed and scale, part of every id
	services []service
	regions  []region
	flows    []flow
	calendar *reference.Calendar
	opens    reference.Day        // of the catalogue
	types    map[string]eventType // by contract name
	table    tables
	years    map[int]*yearPlan
	text     texts
}

// eventType is what an event of a contract begins with.
type eventType struct{ typ, source string }

// New prepares a simulation of a pack. It fails with kind NotFound when the pack has
// nothing to simulate from, and with BadInput when an option or the pack's
// simulation/nation.json makes no sense.
func New(p *pack.Pack, options Options) (*Generator, error) {
	n, err := readNation(p.Files)
	if err != nil {
		return nil, err
	}
	g := &Generator{pack: p, nation: n, options: options, calendar: p.Reference.Calendar(), types: map[string]eventType{}, years: map[int]*yearPlan{}}
	for _, name := range []string{contractSubmitted, contractDecided, contractSession, contractService, contractFigure} {
		c := p.Set.ByName(name, 1)
		if c == nil {
			return nil, problem.New(problem.NotFound, "the pack %s has no contract %s.v1, which a simulation needs", p.Name, name)
		}
		g.types[name] = eventType{typ: c.Type, source: "simulation/" + c.Source}
	}
	if err := g.setRange(); err != nil {
		return nil, err
	}
	for _, share := range []struct {
		field string
		value float64
	}{{"late", options.LateShare}, {"duplicate", options.DuplicateShare}} {
		if !(share.value >= 0 && share.value <= 1) {
			return nil, problem.New(problem.BadInput, "the share of %s events is %g; a share is between 0 and 1", share.field, share.value).In(share.field)
		}
	}
	g.seed = mix(options.Seed ^ 0x6f6d626f72) // "ombor": seed 0 is as good as any
	g.table = makeTables(n)
	if err := g.readRegions(); err != nil {
		return nil, err
	}
	if err := g.readServices(); err != nil {
		return nil, err
	}
	if err := g.setScale(); err != nil {
		return nil, err
	}
	if err := g.readSystems(); err != nil {
		return nil, err
	}
	g.prepareTexts()
	return g, nil
}

func (g *Generator) setRange() error {
	year := g.nation.Published.Year
	if g.options.From == 0 || g.options.From == reference.NoDay {
		g.options.From = dayOf(year, 1, 1)
	}
	if g.options.To == 0 || g.options.To == reference.NoDay {
		g.options.To = dayOf(year, 12, 31)
	}
	if g.options.To < g.options.From {
		return problem.New(problem.BadInput, "the last day %s is before the first day %s", g.options.To, g.options.From).In("to")
	}
	// Growth is compounded from the published year; a century away it means nothing.
	for _, day := range []reference.Day{g.options.From, g.options.To} {
		if y := day.Time().Year(); y < year-10 || y > year+10 {
			return problem.New(problem.BadInput, "%s is more than ten years from %d, the published year", day, year).In("from")
		}
	}
	return nil
}

// setScale takes the scale from the options. With Events it follows from the number
// of events that full scale would give.
func (g *Generator) setScale() error {
	o := g.options
	g.scale = o.Scale
	switch {
	case o.Events < 0 || o.Scale < 0 || o.Scale > 100:
		return problem.New(problem.BadInput, "the number of events must not be negative, the scale must lie between 0 and 100").In("events")
	case o.Events > 0:
		fixed, full := float64(int64(g.catalogueEvents()+g.expectedClosings())+g.expectedOfFlows(true)), 0.0
		g.scale = 1
		full = float64(g.expected())
		g.scale = (float64(o.Events) - fixed) / max(full-fixed, 1)
		g.years = map[int]*yearPlan{}
		if g.scale <= 0 {
			return problem.New(problem.BadInput, "%d events are too few: the catalogue of services, the closing of months and the registers that have no scale alone take %d", o.Events, int(fixed)).In("events")
		}
	case o.Scale == 0:
		g.scale = 1
	}
	g.tag = strconv.FormatUint(mix(g.seed^mix(uint64(g.scale*1e9)))>>34, 36)
	return nil
}

// Summary tells what a simulation holds.
type Summary struct {
	Seed       uint64
	Scale      float64
	From, To   reference.Day
	Events     int64 // lines written, duplicates included
	ByType     []TypeCount
	Late       int64 // events that arrive later than they happened
	Duplicates int64 // lines that are the second copy of an event
	// Certificates is the number of decided requests for certificates in the range,
	// CertificatesOnline those of them that were not processed offline.
	Certificates, CertificatesOnline int64
	// OthersOneIn is how many requests of other kinds the weights would give, at this
	// scale, for each one that was made.
	OthersOneIn float64
}

// TypeCount counts the events of one type, without their duplicates.
type TypeCount struct {
	Type  string
	Count int64
}

// String is the summary for people, several lines.
func (s *Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "simulated: %s to %s, seed %d, scale %s\n", s.From, s.To, s.Seed, strconv.FormatFloat(s.Scale, 'g', 6, 64))
	for _, t := range s.ByType {
		fmt.Fprintf(&b, "  %-34s %12d\n", t.Type, t.Count)
	}
	fmt.Fprintf(&b, "  %-34s %12d\n", "delivered twice", s.Duplicates)
	fmt.Fprintf(&b, "  %-34s %12d\n", "all", s.Events)
	share := func(part, whole int64) string {
		if whole == 0 {
			return "no cases"
		}
		return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64) + " %"
	}
	fmt.Fprintf(&b, "requests for certificates decided: %d, processed online: %d (%s)\n", s.Certificates, s.CertificatesOnline, share(s.CertificatesOnline, s.Certificates))
	fmt.Fprintf(&b, "requests of other kinds: 1 made for every %.1f that their weights would give\n", s.OthersOneIn)
	fmt.Fprintf(&b, "late: %d events; the catalogue of services is not scaled", s.Late)
	return b.String()
}

const (
	contractSubmitted = "request.submitted"
	contractDecided   = "request.decided"
	contractSession   = "usage.session"
	contractService   = "service.changed"
	contractFigure    = "figure.reported"
)

// nationFile is where a pack keeps the numbers of its simulation.
const nationFile = "simulation/nation.json"

// nation is simulation/nation.json. Shares are in thousandths, so that everything
// is divided in whole numbers.
type nation struct {
	Published struct {
		Year                       int
		Certificates               uint64
		CertificatesOnlinePermille uint64 `json:"certificates_online_permille"`
		Users                      uint64
	}
	Invented invented
}

type invented struct {
	GrowthPermille       uint64 `json:"growth_permille"`      // of a year's requests over the year before
	OnlineStepPermille   int64  `json:"online_step_permille"` // of the online share, a year
	Others               uint64 // decided requests of other kinds in the published year
	OthersOnlinePermille uint64 `json:"others_online_permille"`
	Sessions             uint64
	Figures              struct {
		Indicator string
		DaysAfter int `json:"days_after"`
	}
	UnknownWeight uint64 `json:"unknown_weight"` // of a service that shows no applications
	Terms         struct {
		Days  pattern // a number of working days, or a range of them, as its first and second group
		Month pattern
	}
	Fees struct {
		Free       string
		Amount     pattern // the amount as its first group
		MinorUnits int64   `json:"minor_units"`
		Usual      int64   // where a fee is told and its amount is not
	}
	Identifiers struct{ Person, Company identifier }
	Companies   uint64
	Catalogue   struct {
		Opens       string
		Start, End  catalogueCount // at the opening; at the end of the published year
		GrowthUntil string         `json:"growth_until"` // by then the whole catalogue is electronic
	}
	Months   [12]uint64
	Weekdays struct{ Citizen, Office [7]uint64 } // Sunday first
	Holiday  struct{ Citizen, Office uint64 }    `json:"holiday_permille"`
	Hours    struct{ Citizen, Office [24]uint64 }
	Duration struct {
		Automatic struct {
			Median        uint64
			SigmaPermille uint64 `json:"sigma_permille"`
			Most          uint64
		}
		OfficerOnline   officeDuration `json:"officer_online"`
		Offline         officeDuration
		DefaultTermDays int `json:"default_term_days"`
		MostDays        int `json:"most_days"`
	} `json:"duration_seconds"`
	Intake struct {
		Certificate, Other   map[string]uint64
		MobileGrowthPermille uint64 `json:"mobile_growth_permille"`
	} `json:"intake_permille"`
	Partners  map[string]uint64
	Legal     uint64            `json:"legal_permille"`
	Withdrawn uint64            `json:"withdrawn_permille"`
	Rejected  byProcessing      `json:"rejected_permille"`
	Account   byProcessing      `json:"account_permille"`
	Tilt      map[string]uint64 `json:"offline_tilt_permille"` // by region: more is more often offline
	Discount  int64             `json:"discount_permille"`
	Closes    int64             `json:"office_closes_hour"`
	LateDays  uint64            `json:"late_days"`
	AgainDays uint64            `json:"duplicate_days"`
	Platforms map[string]uint64 `json:"platforms_permille"`
	Languages map[string]uint64 `json:"languages_permille"`
	Versions  []string
}

// identifier is the form of invented identifiers: a prefix that no real one has, a
// number of so many digits, and a check digit by weights when there are any.
type identifier struct {
	Prefix string
	Digits int
	Check  []int
}

// pattern is a regular expression of the pack; the zero value matches nothing.
type pattern struct{ *regexp.Regexp }

// UnmarshalText compiles the expression.
func (p *pattern) UnmarshalText(text []byte) (err error) {
	p.Regexp, err = regexp.Compile(string(text))
	return err
}

// find is the match of the expression and its groups, or nil.
func (p pattern) find(text string) []string {
	if p.Regexp == nil {
		return nil
	}
	return p.FindStringSubmatch(text)
}

type catalogueCount struct{ Electronic, Automated, Mobile, Proactive, Signature int }

type officeDuration struct {
	MedianOfTerm  uint64 `json:"median_of_term_permille"`
	SigmaPermille uint64 `json:"sigma_permille"`
}

type byProcessing struct {
	Automatic     uint64
	OfficerOnline uint64 `json:"officer_online"`
	Offline       uint64
}

func (b byProcessing) of(p processing) uint64 {
	return [...]uint64{b.Automatic, b.OfficerOnline, b.Offline}[p]
}

func readNation(files fs.FS) (*nation, error) {
	f, err := files.Open(nationFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.NotFound, "this pack has no %s, so there is nothing to simulate", nationFile)
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "simulate: read", "%s cannot be read", nationFile)
	}
	defer f.Close()
	n := &nation{}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(n); err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "simulate: read", "%s does not have the right form", nationFile)
	}
	i := &n.Invented
	var issues problem.Issues
	check := func(ok bool, field, message string) {
		if !ok {
			issues.Add(nationFile, 0, field, "%s", message)
		}
	}
	check(n.Published.Year > 1900 && n.Published.Certificates > 0 && n.Published.CertificatesOnlinePermille <= 1000 && n.Published.Users > 0,
		"published", "needs a year, certificates, a share of at most 1000 and users")
	check(n.Published.Certificates < 1<<31 && i.Others < 1<<31 && i.Sessions < 1<<31, "published.certificates", "is more than two thousand million")
	check(i.GrowthPermille >= 500 && i.GrowthPermille <= 2000, "invented.growth_permille", "lies between 500 and 2000")
	check(i.Others > 0 && i.OthersOnlinePermille <= 1000 && i.UnknownWeight > 0 && i.Companies > 0, "invented.others", "needs others, a share of at most 1000, unknown_weight and companies")
	check(i.Duration.MostDays > 0 && i.Duration.MostDays <= 60, "invented.duration_seconds.most_days", "lies between 1 and 60")
	check(i.Duration.DefaultTermDays > 0 && i.Duration.DefaultTermDays <= maxTerm, "invented.duration_seconds.default_term_days", "lies between 1 and 60")
	check(i.LateDays > 0 && i.LateDays <= 60 && i.AgainDays > 0 && i.AgainDays <= 60, "invented.late_days", "and duplicate_days lie between 1 and 60")
	check(i.Fees.MinorUnits > 0 && i.Fees.Usual >= 0 && i.Closes >= 0 && i.Closes < 24, "invented.fees", "needs minor_units; usual is not negative, office_closes_hour is an hour")
	for _, id := range []identifier{i.Identifiers.Person, i.Identifiers.Company} {
		check(id.Digits >= 6 && id.Digits <= 12, "invented.identifiers", "have 6 to 12 digits after the prefix")
	}
	check(len(i.Versions) > 0, "invented.versions", "names one version at least")
	for _, sum := range []struct {
		field string
		of    []uint64
	}{{"months", i.Months[:]}, {"weekdays.citizen", i.Weekdays.Citizen[:]}, {"weekdays.office", i.Weekdays.Office[:]},
		{"hours.citizen", i.Hours.Citizen[:]}, {"hours.office", i.Hours.Office[:]}} {
		total := uint64(0)
		for _, w := range sum.of {
			check(w < 1000, "invented."+sum.field, "a weight is below 1000")
			total += w
		}
		check(total > 0, "invented."+sum.field, "has no weight at all")
	}
	_, errOpens := reference.ParseDay(i.Catalogue.Opens)
	_, errUntil := reference.ParseDay(i.Catalogue.GrowthUntil)
	check(errOpens == nil && errUntil == nil, "invented.catalogue", "opens and growth_until are dates, YYYY-MM-DD")
	return n, issues.Err()
}

func dayOf(year int, month time.Month, day int) reference.Day {
	return reference.DayOf(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}
