package simulate

import (
	"math"

	"ombor/internal/reference"
)

// cell is the requests decided for one service on one day.
type cell struct{ n, offline uint32 }

// yearPlan is the requests and sessions of one whole calendar year. Their numbers are
// divided exactly; a range takes the days that it wants.
type yearPlan struct {
	first    reference.Day
	days     int
	cells    []cell   // by day, then by service
	before   []uint64 // requests decided on earlier days of the year, by day
	sessions []uint32 // by day
	earlier  []uint64 // sessions on earlier days of the year, by day
}

func (y *yearPlan) day(d reference.Day, services int) []cell {
	i := int(d-y.first) * services
	return y.cells[i : i+services]
}

// total is a yearly total of the published year, grown to another and scaled.
func (g *Generator) total(published uint64, year int) uint64 {
	t := published * 1000 // keep three digits while growing
	for y := g.nation.Published.Year; y < year; y++ {
		t = t * g.nation.Invented.GrowthPermille / 1000
	}
	for y := g.nation.Published.Year; y > year; y-- {
		t = t * 1000 / g.nation.Invented.GrowthPermille
	}
	return uint64(math.Round(float64(t) / 1000 * g.scale))
}

// offlineOf is how many of n requests of a year are processed offline.
func (g *Generator) offlineOf(n, onlinePermille uint64, year int) uint64 {
	online := int64(onlinePermille) + g.nation.Invented.OnlineStepPermille*int64(year-g.nation.Published.Year)
	online = min(max(online, 300), 970)
	return n - (n*uint64(online)+500)/1000
}

// dayWeight is how much of a year's work falls on a day: in the lives of citizens, or
// in offices.
func (g *Generator) dayWeight(d reference.Day, office bool) uint64 {
	inv := &g.nation.Invented
	t := d.Time()
	week, holiday := &inv.Weekdays.Citizen, inv.Holiday.Citizen
	if office {
		week, holiday = &inv.Weekdays.Office, inv.Holiday.Office
	}
	w := inv.Months[t.Month()-1] * week[t.Weekday()] * 1000
	if g.calendar.Days[d] == reference.Holiday {
		w = w * holiday / 1000
	}
	return w / 1000
}

func (g *Generator) year(year int) *yearPlan {
	if p := g.years[year]; p != nil {
		return p
	}
	p := &yearPlan{first: dayOf(year, 1, 1)}
	p.days = int(dayOf(year+1, 1, 1) - p.first)
	p.cells = make([]cell, p.days*len(g.services))
	citizen, office := make([]uint64, p.days), make([]uint64, p.days)
	for d := range p.days {
		citizen[d], office[d] = g.dayWeight(p.first+reference.Day(d), false), g.dayWeight(p.first+reference.Day(d), true)
	}
	published, inv := &g.nation.Published, &g.nation.Invented
	g.fill(p, year, true, g.total(published.Certificates, year), published.CertificatesOnlinePermille, citizen, office)
	g.fill(p, year, false, g.total(inv.Others, year), inv.OthersOnlinePermille, citizen, office)
	at := uint64(0)
	for d := range p.days {
		p.before = append(p.before, at)
		for _, c := range p.cells[d*len(g.services) : (d+1)*len(g.services)] {
			at += uint64(c.n)
		}
	}
	at = 0
	for _, n := range apportion(g.total(inv.Sessions, year), citizen) {
		p.sessions, p.earlier = append(p.sessions, uint32(n)), append(p.earlier, at)
		at += n
	}
	g.years[year] = p
	return p
}

// fill divides total requests over the services that are certificates, or over those
// that are not, and their days.
func (g *Generator) fill(p *yearPlan, year int, certificates bool, total, online uint64, citizen, office []uint64) {
	weight := func(s *service, d int) uint64 {
		switch day := p.first + reference.Day(d); {
		case !s.existsOn(day):
			return 0
		case s.automatedOn(day):
			return citizen[d]
		}
		return office[d]
	}
	weights := make([]uint64, len(g.services))
	for i := range g.services {
		s := &g.services[i]
		if s.certificate != certificates {
			continue
		}
		for d := range p.days {
			weights[i] += weight(s, d)
		}
		weights[i] *= s.weight
	}
	for i, n := range apportion(total, weights) {
		s := &g.services[i]
		whole := uint64(0)
		if n > 0 {
			whole = weights[i] / s.weight
		}
		// Rounding the running sum, from a start of the service's own, gives whole numbers
		// that add up to n and, over all services, no day more than its due.
		sum, given := uint64(0), uint64(0)
		for d := 0; d < p.days && n > 0; d++ {
			sum += weight(s, d)
			upTo := (n*sum + s.draw%whole) / whole
			p.cells[d*len(g.services)+i].n = uint32(upTo - given)
			given = upTo
		}
	}
	// What an officer could have taken on paper, less and less of it through the year.
	trend := func(d int) uint64 { return uint64(1200 - 400*d/p.days) }
	eligible, possible := uint64(0), uint64(0)
	each := func(fn func(d int, c *cell)) {
		for d := range p.days {
			for i := range g.services {
				s := &g.services[i]
				if c := &p.cells[d*len(g.services)+i]; c.n > 0 && s.certificate == certificates && !s.automatedOn(p.first+reference.Day(d)) {
					fn(d, c)
				}
			}
		}
	}
	each(func(d int, c *cell) { eligible += uint64(c.n) * trend(d); possible += uint64(c.n) })
	want := min(g.offlineOf(total, online, year), possible)
	if want == 0 {
		return
	}
	sum, given := uint64(0), uint64(0)
	each(func(d int, c *cell) {
		sum += uint64(c.n) * trend(d)
		c.offline = min(c.n, uint32(mulDiv(want, sum, eligible)-given))
		given += uint64(c.offline)
	})
	each(func(d int, c *cell) { // what did not fit where it fell
		more := min(uint64(c.n-c.offline), want-given)
		c.offline += uint32(more)
		given += more
	})
}

// days of the plan that hold a day.
func (g *Generator) plan(d reference.Day) (*yearPlan, int) {
	p := g.year(d.Time().Year())
	return p, int(d - p.first)
}

// expected is about how many events a run writes.
func (g *Generator) expected() int64 {
	n := int64(0)
	for d := g.options.From; d <= g.options.To; d++ {
		p, i := g.plan(d)
		for _, c := range p.day(d, len(g.services)) {
			n += 2 * int64(c.n)
		}
		n += int64(p.sessions[i])
	}
	n += g.expectedOfFlows(false) + int64(g.catalogueEvents()+g.expectedClosings())
	return n + int64(float64(n)*g.options.DuplicateShare)
}

// certificates are the decided requests for certificates of the range.
func (g *Generator) certificates() (n, online int64) {
	for d := g.options.From; d <= g.options.To; d++ {
		p, _ := g.plan(d)
		for i, c := range p.day(d, len(g.services)) {
			if g.services[i].certificate {
				n += int64(c.n)
				online += int64(c.n) - int64(c.offline)
			}
		}
	}
	return n, online
}

// othersOneIn is what the weights of the other kinds would give in the published year
// at the scale of the certificates, for one that is made.
func (g *Generator) othersOneIn() float64 {
	certificates, others := 0.0, 0.0
	last := dayOf(g.nation.Published.Year, 12, 31)
	for i := range g.services {
		switch s := &g.services[i]; {
		case !s.existsOn(last):
		case s.certificate:
			certificates += float64(s.weight)
		default:
			others += float64(s.weight)
		}
	}
	return others / certificates * float64(g.nation.Published.Certificates) / float64(g.nation.Invented.Others)
}
