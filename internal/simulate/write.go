package simulate

import (
	"encoding/json"
	"strconv"

	"ombor/internal/reference"
)

// texts are the parts of events that are the same again and again, and the calendar
// as an array.
type texts struct {
	first    reference.Day
	days     []dayText
	services []string // "service":"496"
	heads    [kinds]string
	people   []span // users of each region
	company  uint64
	work     []reference.Day // working days
	workAt   []int32         // by day from first: number of working days up to it
}

// dayText is a day as it is written.
type dayText struct {
	start  int64  // its first millisecond
	date   string // 2024-03-05
	offset string // +05:00
	shift  int64  // of the zone, milliseconds
	year   int
}

type span struct{ from, n uint64 }

func (t *texts) day(d reference.Day) *dayText { return &t.days[d-t.first] }

// yearOf is the year of a moment in the country's zone.
func (g *Generator) yearOf(ms int64) int { return g.text.day(g.dayOfMillis(ms)).year }

func (g *Generator) prepareTexts() {
	inv := &g.nation.Invented
	t := &g.text
	margin := reference.Day(inv.Duration.MostDays + int(inv.LateDays+inv.AgainDays) + inv.Figures.DaysAfter + 2*maxTerm + 40)
	t.first = min(g.options.From, g.opens)
	for i := range g.flows {
		f := &g.flows[i]
		margin = max(margin, reference.Day(f.LagDays+inv.Duration.MostDays)+40)
		t.first = min(t.first, f.since)
	}
	t.first -= margin
	for d := t.first; d <= g.options.To+margin; d++ {
		start := g.calendar.Start(d)
		_, seconds := start.Zone()
		t.days = append(t.days, dayText{start: start.UnixMilli(), date: d.String(), offset: start.Format("-07:00"), shift: int64(seconds) * 1000, year: d.Time().Year()})
		if g.calendar.Works(d) {
			t.work = append(t.work, d)
		}
		t.workAt = append(t.workAt, int32(len(t.work)))
	}
	quoted := func(s string) string {
		b, _ := json.Marshal(s) // a string always marshals
		return string(b)
	}
	for i := range g.services {
		t.services = append(t.services, `,"service":`+quoted(g.services[i].code))
	}
	for k, contract := range map[kind]string{kindSubmitted: contractSubmitted, kindDecided: contractDecided, kindSession: contractSession} {
		t.heads[k] = g.head(contract)
	}
	at := uint64(0)
	people := make([]uint64, len(g.regions))
	for i := range g.regions {
		people[i] = g.regions[i].weight
	}
	for i, n := range apportion(uint64(float64(g.nation.Published.Users)*g.scale), people) {
		n = max(n, 20) // a region is never one person
		t.people = append(t.people, span{at, n})
		at += n
		r := &g.regions[i]
		r.fragment = `,"region":` + quoted(r.code)
		for _, code := range r.districts {
			fragment := r.fragment
			if code != "" {
				fragment += `,"district":` + quoted(code)
			}
			r.fragments = append(r.fragments, fragment)
		}
	}
	t.company = max(uint64(float64(inv.Companies)*g.scale), 20)
}

// head is an event up to its id.
func (g *Generator) head(contract string) string {
	t := g.types[contract]
	b, _ := json.Marshal(map[string]any{"specversion": "1.0", "simulated": true, "source": t.source, "type": t.typ})
	return string(b[:len(b)-1]) + `,"id":"`
}

// write appends the lines of a job's events to b.
func (g *Generator) write(b []byte, j *job) []byte {
	for _, it := range j.items {
		switch it.kind {
		case kindStatic:
			b = append(b, j.statics[it.index].line...)
		case kindSession:
			b = g.writeSession(b, it.day, it.index)
		case kindFlow:
			f := &g.flows[it.flow]
			c := (*flowCase)(nil)
			if f.Requests != nil {
				c = g.caseOf(f, &j.cohorts[it.day-j.base][it.index])
			} else {
				c = g.newCase(f, it.day, uint64(it.index))
			}
			b = c.append(b, int(it.step), int(it.rep))
		default:
			b = g.writeRequest(b, &j.cohorts[it.day-j.base][it.index], it.kind)
		}
	}
	return b
}

func (g *Generator) appendKey(b []byte, q *request) []byte {
	b = append(b, g.tag...)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(g.yearOf(q.decided)), 10)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(q.number), 10)
}

func (g *Generator) writeRequest(b []byte, q *request, k kind) []byte {
	a := g.attributes(q)
	s := &g.services[q.service]
	b = append(b, g.text.heads[k]...)
	b = g.appendKey(b, q)
	if k == kindSubmitted {
		b = append(b, `-s","time":"`...)
		b = g.appendTime(b, q.submitted)
	} else {
		b = append(b, `-d","time":"`...)
		b = g.appendTime(b, q.decided)
	}
	b = append(b, `","data":{"request":"`...)
	b = g.appendKey(b, q)
	b = append(b, `","applicant":"`...)
	b = g.nation.Invented.Identifiers.Person.append(b, a.person)
	if a.company != noCompany {
		b = append(b, `","company":"`...)
		b = g.nation.Invented.Identifiers.Company.append(b, a.company)
		b = append(b, `","applicant_kind":"legal_entity"`...)
	} else {
		b = append(b, `","applicant_kind":"citizen"`...)
	}
	b = append(b, g.text.services[q.service]...)
	b = append(b, g.regions[q.region].fragments[a.district]...)
	b = append(b, `,"intake":"`...)
	b = append(b, intakes[a.intake]...)
	if a.partner > 0 {
		b = append(b, `","partner":"`...)
		b = append(b, intakes[a.intake]...)
		b = append(b, '-')
		b = strconv.AppendUint(b, a.partner, 10)
	}
	b = append(b, `","signature_method":"`...)
	b = append(b, signatures[a.signature]...)
	b = append(b, '"')
	if q.processing != automatic && s.term > 0 {
		b = append(b, `,"deadline":"`...)
		b = g.appendTime(b, g.deadline(q.submitted, s.term))
		b = append(b, '"')
	}
	if k == kindDecided {
		b = append(b, `,"processing":"`...)
		b = append(b, processings[q.processing]...)
		b = append(b, `","records":"`...)
		b = append(b, records[a.records]...)
		b = append(b, `","outcome":"`...)
		b = append(b, outcomes[a.outcome]...)
		if a.delivery != nowhere {
			b = append(b, `","delivery":"`...)
			b = append(b, deliveries[a.delivery]...)
		}
		b = append(b, `","submitted_at":"`...)
		b = g.appendTime(b, q.submitted)
		b = append(b, `","documents_demanded":`...)
		b = strconv.AppendUint(b, a.demanded, 10)
		b = append(b, `,"documents_avoided":`...)
		b = strconv.AppendUint(b, a.avoided, 10)
		if s.fee >= 0 {
			b = append(b, `,"fee":`...)
			b = strconv.AppendInt(b, s.fee-a.discount, 10)
		}
		if a.discount > 0 {
			b = append(b, `,"discount":`...)
			b = strconv.AppendInt(b, a.discount, 10)
		}
	}
	return append(b, "}}\n"...)
}

var (
	signatures = [...]string{"none", "oneid", "face_id", "eds", "mobile_id"}
	records    = [...]string{"electronic", "paper"}
	outcomes   = [...]string{"approved", "rejected", "withdrawn"}
	deliveries = [...]string{"account", "application", "paper", "partner"}
)

const (
	approved = iota
	rejected
	withdrawn
)

const (
	toAccount = iota
	toApplication
	onPaper
	throughPartner
	nowhere = 255
)

const noCompany = ^uint64(0)

// attributes are the parts of a request that nothing else depends on.
type attributes struct {
	person, company   uint64
	partner           uint64
	demanded, avoided uint64
	discount          int64
	district          int
	intake, signature uint8
	records, outcome  uint8
	delivery          uint8
}

func (g *Generator) attributes(q *request) attributes {
	inv := &g.nation.Invented
	s := &g.services[q.service]
	lot := draw(g.lot(q))
	day := g.dayOfMillis(q.submitted)
	var a attributes

	people := g.text.people[q.region]
	a.person = people.from + lot.below(people.n)
	a.district = int(mix(a.person) % uint64(len(g.regions[q.region].fragments))) // a person lives in one place
	a.company = noCompany
	if s.users == "legal" || s.users != "citizen" && lot.permille(inv.Legal) {
		a.company = lot.below(g.text.company)
	}

	which := 1
	if s.certificate {
		which = 0
	}
	mobile := uint64(0)
	if day >= s.mobile {
		// Around mid-year as told, less before and more after, by the growth of a year.
		growth := inv.Intake.MobileGrowthPermille
		ofYear := uint64(day - dayOfYearStart(g.text.day(day).year))
		mobile = g.table.mobile[which] * (1000 - growth/2 + growth*ofYear/366) / 1000
	}
	if lot.permille(mobile) {
		a.intake = intakeMobile
	} else {
		a.intake = uint8(g.table.intake[which].of(&lot))
	}
	partners := uint64(0)
	switch a.intake {
	case intakeOperator, intakeBank, intakePaymentSystem:
		partners = inv.Partners[intakes[a.intake]]
	}
	if partners > 0 {
		// The first partners are the largest: the smaller of two draws.
		a.partner = 1 + min(lot.below(partners), lot.below(partners))
	}

	switch x := lot.below(1000); {
	case s.signatureOn(day) && x < 700:
		a.signature = 3 // eds
	case s.signatureOn(day):
		a.signature = 4 // mobile_id
	case x >= 550 && x < 850:
		a.signature = 1 // oneid
	case x >= 850:
		a.signature = 2 // face_id
	}

	switch {
	case !s.certificate && q.processing != automatic && lot.permille(inv.Withdrawn):
		a.outcome = withdrawn
	case lot.permille(inv.Rejected.of(q.processing)):
		a.outcome = rejected
	}
	switch q.processing {
	case officerOnline:
		if lot.permille(80) {
			a.records = 1
		}
	case offline:
		if lot.permille(780) {
			a.records = 1
		}
	}
	a.delivery = nowhere
	if a.outcome == approved {
		switch {
		case lot.permille(inv.Account.of(q.processing)):
			a.delivery = toAccount
		case a.partner > 0 && q.processing != offline:
			a.delivery = throughPartner
		case a.intake == intakeMobile && q.processing != offline:
			a.delivery = toApplication
		default:
			a.delivery = onPaper
		}
	}
	switch q.processing {
	case automatic:
		a.avoided = lot.below(4)
	case officerOnline:
		a.demanded, a.avoided = lot.below(3), lot.below(4)
	case offline:
		a.demanded, a.avoided = lot.below(5), lot.below(2)
	}
	if s.fee > 0 && (a.intake == intakePortal || a.intake == intakeMobile) {
		a.discount = s.fee / 1000 * inv.Discount
	}
	return a
}

func dayOfYearStart(year int) reference.Day { return dayOf(year, 1, 1) }

// deadline is the end of office hours on the day that is so many working days
// after a request was made.
func (g *Generator) deadline(submitted int64, term int) int64 {
	t := &g.text
	i := int(t.workAt[g.dayOfMillis(submitted)-t.first]) - 1 + term
	return g.start(t.work[min(i, len(t.work)-1)]) + 18*3600_000
}

func (g *Generator) sessionLot(d reference.Day, i uint32) uint64 {
	return mix(g.seed ^ mix(uint64(i)<<32|uint64(uint32(d))) ^ 0x7365)
}

// session is when a session began, and what is left to draw from.
func (g *Generator) session(d reference.Day, i uint32) (begin int64, lot draw) {
	lot = draw(g.sessionLot(d, i))
	begin = g.start(d) + int64(g.table.citizenHours.of(&lot))*3600_000 + int64(lot.below(3600_000))
	return begin, lot
}

func (g *Generator) writeSession(b []byte, d reference.Day, i uint32) []byte {
	begin, lot := g.session(d, i)
	day := g.text.day(d)
	p, at := g.plan(d)
	number := p.earlier[at] + uint64(i)
	region := g.regionOf(number * 3)
	people := g.text.people[region]
	person := people.from + lot.below(people.n)
	platform := g.table.platforms.of(&lot)
	b = append(b, g.text.heads[kindSession]...)
	key := len(b)
	b = append(b, g.tag...)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(day.year), 10)
	b = append(b, "-v"...)
	b = strconv.AppendUint(b, number, 10)
	end := len(b)
	b = append(b, `","time":"`...)
	b = g.appendTime(b, begin)
	b = append(b, `","data":{"session":"`...)
	b = append(b, b[key:end]...)
	if lot.permille(820) { // the others did not sign in
		b = append(b, `","user":"`...)
		b = g.nation.Invented.Identifiers.Person.append(b, person)
	}
	b = append(b, `","platform":"`...)
	b = append(b, platforms[platform]...)
	if platform != 0 {
		// A new version comes each quarter; some keep the one before.
		versions := g.nation.Invented.Versions
		v := int(d-dayOfYearStart(day.year)) * len(versions) / 366
		if v > 0 && lot.permille(300) {
			v--
		}
		b = append(b, `","version":"`...)
		b = append(b, versions[v]...)
	}
	b = append(b, `","language":"`...)
	b = append(b, languages[g.table.languages.of(&lot)]...)
	b = append(b, '"')
	b = append(b, g.regions[region].fragment...)
	screens := 1 + lot.below(4) + lot.below(8)
	b = append(b, `,"screens":`...)
	b = strconv.AppendUint(b, screens, 10)
	b = append(b, `,"duration":`...)
	b = strconv.AppendUint(b, screens*(4000+lot.below(26000)), 10)
	return append(b, "}}\n"...)
}

// append writes the identifier of the n-th person or company. The factor is a power of
// 3, so that different n below 10 to the power of Digits give different digits.
func (id *identifier) append(b []byte, n uint64) []byte {
	at := len(b)
	b = append(b, id.Prefix...)
	b = appendDigits(b, n*387420489+314159265358, id.Digits)
	if len(id.Check) == 0 {
		return b
	}
	sum := 0
	for i, c := range b[at:] {
		sum += int(c-'0') * id.Check[i%len(id.Check)]
	}
	return append(b, byte('0'+sum%10))
}

// appendDigits writes the last digits of n.
func appendDigits(b []byte, n uint64, digits int) []byte {
	var buffer [20]byte
	for i := digits - 1; i >= 0; i-- {
		buffer[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, buffer[:digits]...)
}

// appendTime writes a moment as RFC 3339 in the country's zone, to the millisecond.
func (g *Generator) appendTime(b []byte, ms int64) []byte {
	day := g.text.day(g.dayOfMillis(ms))
	of := uint64(ms - day.start)
	b = append(b, day.date...)
	b = append(b, 'T')
	b = appendDigits(b, of/3600_000, 2)
	b = append(b, ':')
	b = appendDigits(b, of/60_000%60, 2)
	b = append(b, ':')
	b = appendDigits(b, of/1000%60, 2)
	b = append(b, '.')
	b = appendDigits(b, of%1000, 3)
	return append(b, day.offset...)
}

// serviceEvent is a service as it stands from a day on.
func (g *Generator) serviceEvent(b []byte, s *service, day reference.Day, at int64) []byte {
	b = append(b, g.head(contractService)...)
	b = append(b, g.tag...)
	b = append(b, "-service-"...)
	b = append(b, s.code...)
	b = append(b, '-')
	b = append(b, day.String()...)
	b = append(b, `","time":"`...)
	b = g.appendTime(b, at)
	data := map[string]any{"service": s.code, "active": true, "electronic": true, "mobile": day >= s.mobile, "automated": s.automatedOn(day),
		"proactive": day >= s.proactive, "signature_required": s.signatureOn(day)}
	if day >= s.proactive {
		data["proactive_since"] = max(s.proactive, g.opens).String()
	}
	if s.paid != "" {
		data["paid"] = s.paid == "true"
		if s.paid == "true" && g.options.Systems { // most of what is paid, the more the newer
			data["payable_online"] = s.draw%1000 < 780
		}
	}
	if s.users != "" {
		data["users"] = s.users
	}
	if n, err := strconv.Atoi(s.minutes); err == nil {
		data["form_minutes"] = n
	}
	text, _ := json.Marshal(data) // strings, numbers and booleans always marshal; keys come sorted
	b = append(b, `","data":`...)
	b = append(b, text...)
	return append(b, "}\n"...)
}

// figures writes what agencies report for each quarter inside the range: the requests
// for certificates that they decided, and those of them processed online.
func (g *Generator) figures(emit func(at int64, line []byte)) {
	inv := &g.nation.Invented.Figures
	var agencies []string
	seen := map[string]int{}
	for i := range g.services {
		s := &g.services[i]
		if _, ok := seen[s.agency]; !ok && s.certificate && s.agency != "" {
			seen[s.agency] = len(agencies)
			agencies = append(agencies, s.agency)
		}
	}
	if len(agencies) == 0 || inv.Indicator == "" {
		return
	}
	for year := g.options.From.Time().Year(); year <= g.options.To.Time().Year(); year++ {
		for quarter := range 4 {
			begin := dayOf(year, 1, 1).Time()
			from, to := reference.DayOf(begin.AddDate(0, 3*quarter, 0)), reference.DayOf(begin.AddDate(0, 3*quarter+3, 0))-1
			if from < g.options.From || to > g.options.To {
				continue
			}
			decided, online := make([]int64, len(agencies)), make([]int64, len(agencies))
			for d := from; d <= to; d++ {
				p, _ := g.plan(d)
				for i, c := range p.day(d, len(g.services)) {
					if s := &g.services[i]; s.certificate && s.agency != "" {
						decided[seen[s.agency]] += int64(c.n)
						online[seen[s.agency]] += int64(c.n) - int64(c.offline)
					}
				}
			}
			silent := int(mix(g.seed^uint64(uint32(from))) % uint64(len(agencies)))
			for i, agency := range agencies {
				data := map[string]any{"indicator": inv.Indicator, "window_from": from.String(), "window_to": to.String(), "agency": agency, "state": "value"}
				switch {
				case i == silent:
					data["state"] = "not_provided"
				case decided[i] == 0:
					data["state"] = "not_applicable"
				default:
					data["numerator"], data["denominator"] = online[i], decided[i]
				}
				at := g.start(to+reference.Day(inv.DaysAfter)) + 10*3600_000 + int64(i)*60_000
				b := append([]byte(g.head(contractFigure)), g.tag...)
				b = append(b, "-figure-"+from.String()+"-"+agency+`","time":"`...)
				b = g.appendTime(b, at)
				text, _ := json.Marshal(data)
				b = append(b, `","data":`...)
				b = append(b, text...)
				emit(at, append(b, "}\n"...))
			}
		}
	}
}
