package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ombor/internal/reference"
)

// flowCase is one case while its events are found. Every value is drawn from a lot of its
// own, so that it does not matter which is asked for first.
type flowCase struct {
	g      *Generator
	f      *flow
	day    reference.Day // on which it begins
	number uint64        // within the day's year, or of the entity
	of     *request      // which it belongs to; nil: none
	lot    uint64
	entity uint64
	times  []int64 // of the first repeat of each step, Unix milliseconds; 0 while not known
	values []value
	known  []bool
	depth  int
}

const never64 = int64(-1) // a step that does not happen

func (g *Generator) newCase(f *flow, d reference.Day, number uint64) *flowCase {
	c := &flowCase{g: g, f: f, day: d, number: number, entity: number,
		lot:   mix(g.seed ^ hash(f.Name) ^ mix(number<<20|uint64(uint32(d)))),
		times: make([]int64, len(f.Steps)), values: make([]value, len(f.Draw)), known: make([]bool, len(f.Draw))}
	for i := range f.Draw {
		if e := &f.Draw[i]; e.Entity != "" && f.Each == 0 {
			lot := draw(mix(c.lot ^ e.hash))
			size := g.entities(e.Of)
			c.entity = min(lot.below(size), lot.below(size)) // the first are the largest
		}
	}
	return c
}

// caseOf is the case of a flow that belongs to a request.
func (g *Generator) caseOf(f *flow, q *request) *flowCase {
	c := g.newCase(f, g.dayOfMillis(f.begin(q)), uint64(q.number))
	c.of = q
	c.lot = mix(g.lot(q) ^ hash(f.Name))
	return c
}

// chosen says whether a request has its case, in so many of one.
func (c *flowCase) chosen(share float64) bool {
	lot := draw(c.lot ^ 0x63686f73656e)
	return chance(&lot, share)
}

// begin is the moment of a request at which its case begins.
func (f *flow) begin(q *request) int64 {
	if f.Begins == "submitted" {
		return q.submitted
	}
	return q.decided
}

// begin is the moment at which the case begins.
func (c *flowCase) begin() int64 {
	if c.of != nil {
		return c.f.begin(c.of)
	}
	if c.f.Midnight {
		return c.g.start(c.day)
	}
	lot := draw(c.lot ^ 0x626567)
	hours := c.g.table.citizenHours
	if c.f.Office {
		hours = c.g.table.officeHours
	}
	return c.g.start(c.day) + int64(hours.of(&lot))*3600_000 + int64(lot.below(3600_000))
}

// at is when a step happens first; never64 when it does not.
func (c *flowCase) at(i int) int64 {
	if i < 0 {
		return c.begin()
	}
	if c.times[i] != 0 {
		return c.times[i]
	}
	s := &c.f.Steps[i]
	c.times[i] = never64
	from := c.at(s.after)
	if from == never64 {
		return never64
	}
	lot := draw(mix(c.lot ^ hash(s.Name) ^ 0x73746570))
	if len(s.Permille) > 0 && !lot.permille(c.g.trend(s.Permille, c.day)) {
		return never64
	}
	if s.When != nil && !c.holds(s.When) {
		return never64
	}
	if s.Wait != nil {
		from += s.Wait.of(&lot) * 1000
	}
	if s.Plus != "" {
		from += c.value(c.f.drafts[s.Plus], i, 0).n
	}
	if s.Days != nil {
		d := c.g.dayOfMillis(from) + reference.Day(s.Days.of(&lot))
		if d > c.g.options.To {
			return never64 // not yet
		}
		later := c.g.start(d) + int64(c.g.table.officeHours.of(&lot))*3600_000 + int64(lot.below(3600_000))
		from = max(from+1000, later)
	}
	if from >= c.g.start(c.g.options.To+1) {
		return never64 // not yet
	}
	c.times[i] = from
	return from
}

func (c *flowCase) repeat(i, rep int) int64 {
	return c.at(i) + int64(rep)*c.f.Steps[i].Every*1000
}

func (c *flowCase) holds(w *condition) bool {
	v := c.value(c.f.drafts[w.Of], 0, 0)
	return v.is != absent && slices.Contains(w.In, v.word())
}

// trend is a share that moves from one to another over the published year, in thousandths.
func (g *Generator) trend(permille []uint64, d reference.Day) uint64 {
	switch len(permille) {
	case 0:
		return 0
	case 1:
		return permille[0]
	}
	first := dayOf(g.nation.Published.Year, 1, 1)
	at := min(max(int64(d-first), 0), 366)
	return uint64(int64(permille[0]) + (int64(permille[1])-int64(permille[0]))*at/366)
}

// value finds what a draft gives at a repeat of a step.
func (c *flowCase) value(d *draft, at int, rep int) value {
	if !d.Each && c.known[d.index] {
		return c.values[d.index]
	}
	if c.depth++; c.depth > 40 {
		panic("simulate: " + c.f.Name + ": the draw " + d.Name + " hangs on itself") // told when the pack is read
	}
	v := c.find(d, at, rep)
	c.depth--
	if !d.Each {
		c.values[d.index], c.known[d.index] = v, true
	}
	return v
}

func (c *flowCase) find(d *draft, at, rep int) value {
	if d.When != nil && !c.holds(d.When) {
		return value{}
	}
	lot := draw(mix(c.lot ^ d.hash))
	if d.Stable {
		lot = draw(mix(c.g.seed ^ d.hash ^ mix(hash(c.family())^c.entity)))
	}
	if d.Each {
		lot = draw(mix(uint64(lot) ^ mix(uint64(at)<<32|uint64(rep)+1)))
	}
	g := c.g
	switch {
	case d.Pick != nil:
		return value{is: text, text: d.names[d.choice.of(&lot)]}
	case d.Permille != nil:
		return boolean(lot.permille(g.trend(d.Permille, c.day)))
	case d.Whole != nil:
		v := value{is: whole, n: d.Whole.of(&lot)}
		if d.Minus {
			v.n = -v.n
		}
		if d.Scaled {
			v.n = int64(float64(v.n) * g.scale * float64(c.f.Each) / float64(c.f.size))
		}
		if d.Scale > 0 {
			v.is, v.text = decimal, strconv.Itoa(d.Scale)
		}
		return v
	case d.InTurn:
		return value{is: text, text: g.regions[c.entity%uint64(len(g.regions))].code}
	case d.Users:
		return value{is: whole, n: int64(g.text.people[c.regionIndex()].n)}
	case d.Region:
		return value{is: text, text: g.regions[c.region(d, &lot)].code}
	case d.District:
		r := &g.regions[c.regionIndex()]
		if code := r.districts[lot.below(uint64(len(r.districts)))]; code != "" {
			return value{is: text, text: code}
		}
		return value{}
	case d.Person:
		people := g.text.people[c.regionIndex()]
		return value{is: text, text: string(g.nation.Invented.Identifiers.Person.append(nil, people.from+lot.below(people.n)))}
	case d.Company:
		return value{is: text, text: string(g.nation.Invented.Identifiers.Company.append(nil, lot.below(g.text.company)))}
	case d.Service != nil:
		i, _ := slices.BinarySearch(d.until, lot.below(d.until[len(d.until)-1])+1)
		return value{is: text, text: g.services[d.services[i]].code}
	case d.Request != "":
		return c.requested(d.Request)
	case d.Code != "":
		return value{is: text, text: d.Code + strconv.FormatUint(1+min(lot.below(d.Of), lot.below(d.Of)), 10)}
	case d.Entity != "":
		return value{is: text, text: d.Entity + strconv.FormatUint(1+c.entity, 10)}
	case d.Number != "":
		return value{is: text, text: d.Number + string(c.key(nil))}
	case d.Share != nil:
		of := c.value(c.f.drafts[d.Share.Of], at, rep)
		if len(d.Share.Permille) == 2 { // a share drawn between the two
			return value{is: whole, n: of.n * int64(d.Share.Permille[0]+lot.below(d.Share.Permille[1]-d.Share.Permille[0]+1)) / 1000}
		}
		return value{is: whole, n: of.n * int64(d.Share.Permille[0]) / 1000}
	case len(d.Less) > 0:
		v := c.value(c.f.drafts[d.Less[0]], at, rep)
		for _, name := range d.Less[1:] {
			v.n -= c.value(c.f.drafts[name], at, rep).n
		}
		return v
	case len(d.Join) > 0:
		var words []string
		for _, name := range d.Join {
			words = append(words, c.value(c.f.drafts[name], at, rep).word())
		}
		return value{is: text, text: strings.Join(words, " ")}
	case d.Copy != "":
		return c.value(c.f.drafts[d.Copy], at, rep)
	case d.Is != nil:
		return boolean(c.holds(d.Is))
	case d.TimeOf != "":
		ms := c.at(c.f.step(d.TimeOf))
		if ms == never64 {
			return value{}
		}
		if d.Plus != "" {
			ms += c.value(c.f.drafts[d.Plus], at, rep).n
		}
		return value{is: text, text: string(g.appendTime(nil, ms+int64(d.PlusDay)*dayMillis))}
	case d.DateOf != "":
		i := c.f.step(d.DateOf)
		ms := c.at(i)
		if ms == never64 {
			return value{}
		}
		if i == at {
			ms = c.repeat(i, rep)
		}
		return value{is: text, text: (g.dayOfMillis(ms) + reference.Day(d.PlusDay)).String()}
	case d.Quarter != "":
		day, last := quarterOf(c.day)
		if d.Quarter == "last" {
			day = last
		}
		return value{is: text, text: day.String()}
	case len(d.Days) == 2, len(d.Working) == 2:
		names := append(d.Days, d.Working...)
		a, b := c.at(c.f.step(names[0])), c.at(c.f.step(names[1]))
		if a == never64 || b == never64 {
			return value{}
		}
		from, to := g.dayOfMillis(a), g.dayOfMillis(b)
		if len(d.Working) == 2 {
			return value{is: whole, n: int64(g.text.workAt[to-g.text.first] - g.text.workAt[from-g.text.first])}
		}
		return value{is: whole, n: int64(to - from)}
	case d.Percent:
		return value{is: whole, n: int64(rep+1) * 100 / int64(c.f.Steps[at].Times)}
	}
	return d.literal
}

// requested is what the case's request has.
func (c *flowCase) requested(what string) value {
	g, q := c.g, c.of
	switch what {
	case "service":
		return value{is: text, text: g.services[q.service].code}
	case "region":
		return value{is: text, text: g.regions[q.region].code}
	case "request":
		return value{is: text, text: string(g.appendKey(nil, q))}
	}
	a := g.attributes(q)
	switch {
	case what == "applicant":
		return value{is: text, text: string(g.nation.Invented.Identifiers.Person.append(nil, a.person))}
	case what == "intake":
		return value{is: text, text: intakes[a.intake]}
	case a.partner > 0:
		return value{is: text, text: fmt.Sprintf("%s-%d", intakes[a.intake], a.partner)}
	}
	return value{}
}

// family is what entities share their stable values with.
func (c *flowCase) family() string {
	for i := range c.f.Draw {
		if d := &c.f.Draw[i]; d.Entity != "" && d.Family != "" {
			return d.Family
		}
	}
	return c.f.Name
}

func (c *flowCase) region(d *draft, lot *draw) int {
	u := lot.next()
	i := 0
	for u > c.g.regions[i].until {
		i++
	}
	return i
}

// regionIndex is the place of the case's region; persons of a case without one live anywhere.
func (c *flowCase) regionIndex() int {
	if d := c.f.drafts["region"]; d != nil {
		if v := c.value(d, 0, 0); v.is == text {
			return slices.IndexFunc(c.g.regions, func(r region) bool { return r.code == v.text })
		}
	}
	lot := draw(mix(c.lot ^ 0x726567))
	return c.region(nil, &lot)
}

// key is what no other case has.
func (c *flowCase) key(b []byte) []byte {
	if c.of != nil {
		return c.g.appendKey(b, c.of)
	}
	b = append(b, c.g.tag...)
	b = append(b, '-')
	if c.f.AYear > 0 {
		b = strconv.AppendInt(b, int64(c.g.text.day(c.day).year), 10)
	} else {
		b = append(b, strings.ReplaceAll(c.g.text.day(c.day).date, "-", "")...)
	}
	b = append(b, '-')
	return strconv.AppendUint(b, c.number, 10)
}

// append writes the event of a repeat of a step.
func (c *flowCase) append(b []byte, i, rep int) []byte {
	s := &c.f.Steps[i]
	b = append(b, s.heads...)
	b = append(b, c.f.Name...)
	b = append(b, '-')
	b = c.key(b)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(i), 10)
	if s.Times > 1 {
		b = append(b, '-')
		b = strconv.AppendInt(b, int64(rep), 10)
	}
	b = append(b, `","time":"`...)
	b = c.g.appendTime(b, c.repeat(i, rep))
	b = append(b, `","data":{`...)
	first := true
	for _, f := range s.fields {
		v := c.value(f.draft, i, rep)
		if v.is == absent {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.name...)
		switch v.is {
		case text:
			b = strconv.AppendQuote(b, v.text)
		case whole:
			b = strconv.AppendInt(b, v.n, 10)
		case truth:
			b = strconv.AppendBool(b, v.n != 0)
		case decimal:
			digits, _ := strconv.Atoi(v.text)
			b = appendScaled(b, v.n, digits)
		}
	}
	return append(b, "}}\n"...)
}

func appendScaled(b []byte, n int64, digits int) []byte {
	unit := int64(1)
	for range digits {
		unit *= 10
	}
	b = strconv.AppendInt(b, n/unit, 10)
	b = append(b, '.')
	return appendDigits(b, uint64(n%unit), digits)
}
