package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// systemsFile is where a pack keeps what its other systems send, as flows.
const systemsFile = "simulation/systems.json"

// flow is one kind of case of one system, such as a payment or a project: what is drawn
// for a case, and the events that it gives, step after step.
type flow struct {
	Name     string
	AYear    uint64            `json:"a_year"` // cases begun in the published year at full scale; scaled, and grown to other years
	Each     uint64            // cases of each entity of a register, numbered from 0; scaled, at least 12
	AtLeast  uint64            `json:"at_least"` // with a_year: so many in a year at any scale
	Unscaled bool              // each: as many at every scale, as the projects that officers work off
	Every    string            // with each: day, working_day, school_day (a working day of a school quarter), month, quarter (its last day), or once: a register's past up to today
	Since    string            // once: the first day on which a case can begin; the opening of the catalogue when not told
	Until    string            // once: the last such day; the end of the published year when not told
	Requests map[string]string // with a_year: each case is of a request for a service like that, by columns of the table services, as far as there are so many
	Begins   string            // with requests: submitted or decided, the moment of its request at which a case begins
	Office   bool              // cases begin in office hours
	Midnight bool              // cases begin with the day
	LagDays  int               `json:"lag_days"` // at most so many days from the beginning to the last step; a case of a request has none later
	Contract string            // of steps that name none
	Draw     []draft
	Steps    []step

	index  int
	drafts map[string]*draft
	years  map[int]*flowYear
	since  reference.Day
	until  reference.Day
	size   uint64          // entities
	asked  []bool          // with requests: whether a service is like that
	shares map[int]float64 // with requests: how many of those of a year have a case
}

// flowYear divides a year's cases over its days.
type flowYear struct {
	first  reference.Day
	n      []uint32
	before []uint64
}

// step is one event of a case, or several.
type step struct {
	Name     string // of the contract when not told
	Contract string
	After    string   // the step that it follows; the one before when not told
	Permille []uint64 // in how many cases of a thousand: one number, or from and to over the published year
	When     *condition
	Wait     *spread // seconds after that
	Plus     string  // milliseconds after that: a whole number of the case
	Days     *spread // days after that, at office hours
	Times    int     // repeated, by entity of waiting: every so many seconds
	Every    int64   // seconds between repeats
	Fields   map[string]string

	heads  string
	event  *contract.Contract
	fields []boundField
	after  int // index; -1 is the beginning
}

type boundField struct {
	name  string // ,"region":
	draft *draft
}

// spread is a whole number: between two bounds, or log-normal.
type spread struct {
	From, To, Median, Sigma, Most uint64
	table                         *[4096]uint64
}

func (s *spread) of(d *draw) int64 {
	if s.Median > 0 {
		return int64(min(max(s.Median*s.table[d.next()>>52]/1000, s.From), s.Most))
	}
	return int64(s.From + d.below(s.To-s.From+1))
}

// condition is true of a case whose value is one of those listed.
type condition struct {
	Of string
	In []string
}

// draft says how one value of a case is found. One of its keys is told.
type draft struct {
	Name   string
	Stable bool // the same for every case of an entity
	Each   bool // another one for every repeat of a step
	When   *condition

	Pick     map[string]uint64 // by weight
	Permille []uint64          // truth
	Whole    *spread
	Scale    int  // of whole: digits after the point
	Region   bool // by population
	InTurn   bool `json:"in_turn"` // of region: one entity after the other has the next
	Users    bool // how many users the case's region has, at the scale
	District bool
	Person   bool
	Company  bool
	Service  map[string]string // of the table services, by columns; weighted by applications
	Request  string            // what the case's request has: request (its key), applicant, service, region, intake, partner
	Code     string            // prefix of one of so many entities
	Of       uint64
	Entity   string // prefix: the entity of a case
	Family   string // entities of one family share what is stable
	Number   string // prefix: the number of a case
	Share    *struct {
		Of       string
		Permille []uint64
	}
	Less    []string // the first less the others
	Join    []string // texts with a space between
	Copy    string
	Is      *condition
	TimeOf  string   `json:"time_of"`
	DateOf  string   `json:"date_of"`
	PlusDay int      `json:"plus_days"`
	Quarter string   // first or last: that day of the quarter in which the case begins
	Plus    string   // milliseconds, a whole number of the case
	Minus   bool     // of whole: the number is negative
	Scaled  bool     // of whole: a total of the full scale, which entities share
	Days    []string // calendar days between two steps
	Working []string // working days between two steps
	Percent bool     // of the repeats, up to this one
	Const   any

	index    int
	names    []string
	choice   *choice
	services []int32
	until    []uint64
	literal  value
	hash     uint64
}

// value is one value of a case.
type value struct {
	is   valueKind
	text string
	n    int64
}

type valueKind uint8

const (
	absent valueKind = iota
	text
	whole
	truth
	decimal
)

func (v value) word() string {
	switch v.is {
	case truth:
		return map[bool]string{true: "true", false: "false"}[v.n != 0]
	case whole, decimal:
		return fmt.Sprint(v.n)
	}
	return v.text
}

// readSystems reads the flows; a pack without them has none.
func (g *Generator) readSystems() error {
	if !g.options.Systems {
		return nil
	}
	f, err := g.pack.Files.Open(systemsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return problem.Wrap(err, problem.BadInput, "simulate: read", "%s cannot be read", systemsFile)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&g.flows); err != nil {
		return problem.Wrap(err, problem.BadInput, "simulate: read", "%s does not have the right form", systemsFile)
	}
	var issues problem.Issues
	for i := range g.flows {
		f := &g.flows[i]
		f.index, f.years, f.shares = i, map[int]*flowYear{}, map[int]float64{}
		g.bindFlow(f, func(format string, args ...any) {
			issues.Add(systemsFile, 0, f.Name, format, args...)
		})
	}
	return issues.Err()
}

func (g *Generator) bindFlow(f *flow, bad func(string, ...any)) {
	if (f.AYear > 0) == (f.Each > 0) || f.Name == "" || len(f.Steps) == 0 || len(f.Steps) > 200 {
		bad("has a name, a_year or each, and 1 to 200 steps")
		return
	}
	if f.Each > 0 && !slices.Contains([]string{"day", "working_day", "school_day", "month", "quarter", "once"}, f.Every) {
		bad("every is %q; allowed: day, working_day, school_day, month, quarter, once", f.Every)
	}
	if f.AtLeast > f.AYear || f.AtLeast > 0 && f.Requests != nil {
		bad("at_least is of cases of no requests, and at most a_year")
	}
	if f.LagDays < 0 || f.LagDays > 400 {
		bad("lag_days lies between 0 and 400")
	}
	if f.Requests != nil {
		f.asked = make([]bool, len(g.services))
		for _, i := range g.servicesLike(f.Requests) {
			f.asked[i] = true
		}
		if f.AYear == 0 || f.Begins != "submitted" && f.Begins != "decided" || !slices.Contains(f.asked, true) {
			bad("cases of requests have a_year, begin when theirs is submitted or decided, and some service is like that")
		}
	}
	f.since = g.opens
	if f.Since != "" {
		day, err := reference.ParseDay(f.Since)
		if err != nil {
			bad("since: %v", err)
		}
		f.since = day
	}
	f.until = dayOf(g.nation.Published.Year, 12, 31)
	if f.Until != "" {
		day, err := reference.ParseDay(f.Until)
		if err != nil || day < f.since {
			bad("until: %q is no day from since on", f.Until)
		}
		f.until = day
	}
	f.drafts = map[string]*draft{}
	for i := range f.Draw {
		d := &f.Draw[i]
		d.index, d.hash = i, hash(f.Name+" "+d.Name)
		if d.Stable {
			d.hash = hash(d.Name)
		}
		if f.drafts[d.Name] != nil || d.Name == "" {
			bad("draws %q twice, or without a name", d.Name)
		}
		f.drafts[d.Name] = d
		g.bindDraft(d, bad)
		if d.Request != "" && (f.Requests == nil || !slices.Contains([]string{"request", "applicant", "service", "region", "intake", "partner"}, d.Request)) {
			bad("%s: a case of requests takes from its own: request, applicant, service, region, intake, partner", d.Name)
		}
	}
	for i := range f.Steps {
		g.bindStep(f, i, bad)
	}
	known := func(of string) {
		if of != "" && f.drafts[of] == nil {
			bad("there is no draw %q", of)
		}
	}
	stepKnown := func(name string) {
		if name != "" && f.step(name) < 0 {
			bad("there is no step %q", name)
		}
	}
	for i := range f.Draw {
		d := &f.Draw[i]
		for _, c := range []*condition{d.When, d.Is} {
			if c != nil {
				known(c.Of)
			}
		}
		if d.Share != nil {
			known(d.Share.Of)
		}
		known(d.Copy)
		known(d.Plus)
		for _, of := range slices.Concat(d.Less, d.Join) {
			known(of)
		}
		for _, name := range append(append([]string{d.TimeOf, d.DateOf}, d.Days...), d.Working...) {
			stepKnown(name)
		}
	}
}

func (f *flow) step(name string) int {
	return slices.IndexFunc(f.Steps, func(s step) bool { return s.Name == name })
}

func (g *Generator) bindStep(f *flow, i int, bad func(string, ...any)) {
	s := &f.Steps[i]
	if s.Contract == "" {
		s.Contract = f.Contract
	}
	if s.Name == "" {
		s.Name = s.Contract
	}
	if s.Times == 0 {
		s.Times = 1
	}
	if s.Times < 1 || s.Times > 1000 || s.Times > 1 && s.Every < 1 {
		bad("step %s: times lies between 1 and 1000, and every tells the seconds between", s.Name)
	}
	s.after = i - 1
	if s.After != "" {
		if s.after = f.step(s.After); s.after >= i || s.after < 0 {
			bad("step %s: %q does not come before it", s.Name, s.After)
			return
		}
	}
	for _, w := range []*spread{s.Wait, s.Days} {
		if w != nil {
			w.bind(s.Name, bad)
		}
	}
	if s.Plus != "" && f.drafts[s.Plus] == nil {
		bad("step %s: there is no draw %q", s.Name, s.Plus)
	}
	if s.When != nil && f.drafts[s.When.Of] == nil {
		bad("step %s: there is no draw %q", s.Name, s.When.Of)
	}
	s.event = g.pack.Set.ByName(s.Contract, 1)
	if s.event == nil {
		bad("step %s: there is no contract %s.v1", s.Name, s.Contract)
		return
	}
	b, _ := json.Marshal(map[string]any{"specversion": "1.0", "simulated": true, "source": "simulation/" + s.event.Source, "type": s.event.Type})
	s.heads = string(b[:len(b)-1]) + `,"id":"`
	for j := range s.event.Fields {
		field := &s.event.Fields[j]
		name := field.Name
		if other, ok := s.Fields[name]; ok {
			name = other
		}
		if name == "" {
			continue
		}
		d := f.drafts[name]
		if d == nil {
			if field.Required || s.Fields[field.Name] != "" {
				bad("step %s: nothing is drawn for %s", s.Name, field.Name)
			}
			continue
		}
		s.fields = append(s.fields, boundField{`"` + field.Name + `":`, d})
	}
	for name := range s.Fields {
		if s.event.Field(name) == nil {
			bad("step %s: %s has no field %q", s.Name, s.Contract, name)
		}
	}
}

func (s *spread) bind(name string, bad func(string, ...any)) {
	switch {
	case s.Median > 0:
		s.table = logNormal(s.Sigma)
		if s.Most < s.Median {
			bad("%s: most is less than the median", name)
		}
	case s.To < s.From:
		bad("%s: to is before from", name)
	}
}

func (g *Generator) bindDraft(d *draft, bad func(string, ...any)) {
	switch {
	case d.Pick != nil:
		var weights []uint64
		for name := range d.Pick {
			d.names = append(d.names, name)
		}
		slices.Sort(d.names)
		for _, name := range d.names {
			weights = append(weights, d.Pick[name])
		}
		if len(d.names) == 0 || len(d.names) > 200 {
			bad("%s: pick has 1 to 200 values", d.Name)
			return
		}
		d.choice = newChoice(weights)
	case d.Whole != nil:
		d.Whole.bind(d.Name, bad)
	case d.Service != nil:
		sum := uint64(0)
		for _, i := range g.servicesLike(d.Service) {
			sum += g.services[i].weight
			d.services, d.until = append(d.services, i), append(d.until, sum)
		}
		if len(d.services) == 0 {
			bad("%s: no service is like that", d.Name)
		}
	case d.Quarter != "" && d.Quarter != "first" && d.Quarter != "last":
		bad("%s: quarter is first or last", d.Name)
	case d.Code != "" && d.Of == 0:
		bad("%s: of says how many there are", d.Name)
	case d.Const != nil:
		switch c := d.Const.(type) {
		case string:
			d.literal = value{is: text, text: c}
		case bool:
			d.literal = boolean(c)
		case float64:
			d.literal = value{is: whole, n: int64(c)}
		default:
			bad("%s: const is a text, a whole number, true or false", d.Name)
		}
	}
	for _, p := range [][]uint64{d.Permille, shareOf(d)} {
		if len(p) > 2 {
			bad("%s: permille is one number or two", d.Name)
		}
	}
}

// servicesLike are the places of the services whose columns have one of the values told, between bars.
func (g *Generator) servicesLike(columns map[string]string) (like []int32) {
	table := g.pack.Reference.Table("services")
	for i := range g.services {
		row, _ := table.Get(g.services[i].code)
		fits := true
		for column, want := range columns {
			fits = fits && slices.Contains(strings.Split(want, "|"), row.Value(column))
		}
		if fits {
			like = append(like, int32(i))
		}
	}
	return like
}

// shareOfYear is how many of the requests decided in a year have a case of the flow.
func (g *Generator) shareOfYear(f *flow, year int) float64 {
	share, known := f.shares[year]
	if !known {
		all := uint64(0)
		p := g.year(year)
		for d := range p.days {
			for i, c := range p.day(p.first+reference.Day(d), len(g.services)) {
				if f.asked[i] {
					all += uint64(c.n)
				}
			}
		}
		share = float64(g.total(f.AYear, year)) / float64(max(all, 1))
		f.shares[year] = share
	}
	return share
}

func shareOf(d *draft) []uint64 {
	if d.Share == nil {
		return nil
	}
	return d.Share.Permille
}

func boolean(b bool) value {
	if b {
		return value{is: truth, n: 1}
	}
	return value{is: truth}
}

// sizeOf is how many entities a flow of a register has at the scale of the simulation.
func (g *Generator) sizeOf(f *flow) uint64 {
	if f.Unscaled {
		return f.Each
	}
	return g.entities(f.Each)
}

// entities is how many of n a register has at the scale of the simulation.
func (g *Generator) entities(n uint64) uint64 {
	return max(uint64(float64(n)*min(g.scale, 1)), min(n, 12))
}

// cases are those of a flow that begin on a day: how many, and the number of the first.
func (g *Generator) cases(f *flow, d reference.Day) (n uint32, first uint64) {
	if f.AYear == 0 {
		begins := false
		switch f.Every {
		case "day":
			begins = true
		case "working_day":
			begins = g.calendar.Works(d)
		case "school_day":
			_, begins = g.calendar.Quarter(d)
			begins = begins && g.calendar.Works(d)
		case "month":
			begins = d.Time().Day() == 1
		case "quarter":
			_, last := quarterOf(d)
			begins = d == last
		}
		if !begins {
			return 0, 0
		}
		return uint32(f.size), 0
	}
	year := d.Time().Year()
	y := f.years[year]
	if y == nil {
		y = &flowYear{first: dayOf(year, time.January, 1)}
		days := int(dayOf(year+1, time.January, 1) - y.first)
		weights := make([]uint64, days)
		for i := range weights {
			weights[i] = g.dayWeight(y.first+reference.Day(i), f.Office)
		}
		at := uint64(0)
		for _, n := range parcel(max(g.total(f.AYear, year), f.AtLeast), weights) {
			y.n, y.before = append(y.n, uint32(n)), append(y.before, at)
			at += n
		}
		f.years[year] = y
	}
	return y.n[d-y.first], y.before[d-y.first]
}

// quarterOf is the first and the last day of the calendar quarter in which a day lies.
func quarterOf(d reference.Day) (first, last reference.Day) {
	t := d.Time()
	first = dayOf(t.Year(), t.Month()-(t.Month()-1)%3, 1)
	return first, reference.DayOf(first.Time().AddDate(0, 3, -1))
}

// expectedOfFlows is about how many events the flows give, or those alone that are the
// same at every scale.
func (g *Generator) expectedOfFlows(unscaled bool) int64 {
	all := 0.0
	for i := range g.flows {
		f := &g.flows[i]
		if unscaled && !f.Unscaled {
			continue
		}
		f.size = g.sizeOf(f)
		of := 0.0 // events of a case
		for j := range f.Steps {
			s := &f.Steps[j]
			share := 1.0
			if len(s.Permille) > 0 {
				share = float64(s.Permille[0]+s.Permille[len(s.Permille)-1]) / 2000
			}
			of += share * float64(s.Times)
		}
		if f.Every == "once" {
			all += of * float64(f.size)
			continue
		}
		for d := g.options.From; d <= g.options.To; d++ {
			n, _ := g.cases(f, d)
			all += of * float64(n)
		}
	}
	return int64(all)
}
