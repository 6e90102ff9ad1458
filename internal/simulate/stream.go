package simulate

import (
	"cmp"
	"context"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

const dayMillis = 24 * 60 * 60 * 1000

// request is what is fixed about a request when its day is planned; the rest follows
// from its number when it is written.
type request struct {
	submitted, decided int64  // Unix milliseconds
	number             uint32 // within the year of its decision, from 0
	service            uint16
	region             uint8
	processing         processing
}

// kind is what an item of the stream is.
type kind uint8

const (
	kindStatic kind = iota // prepared: catalogue, figures
	kindSubmitted
	kindDecided
	kindSession
	kindFlow
	kinds
)

// item is one delivery of one event.
type item struct {
	at    int64         // when it arrives, Unix milliseconds
	day   reference.Day // of the cohort, the session or the case; 0 for what is prepared
	index uint32        // in the cohort, also of a case of requests; in the day's sessions, in what is prepared; of any other case
	kind  kind
	flow  uint8 // of kindFlow, with the step and its repeat
	step  uint8
	rep   uint16
}

// static is an event that was written beforehand.
type static struct {
	at       int64
	contract string
	line     []byte
}

// run is the state of one WriteTo.
type run struct {
	*Generator
	first, last reference.Day // days of the stream, tail included
	oldest      reference.Day // on which requests were decided that still have events in the range
	cohorts     [][]request   // by day decided, from oldest
	buckets     [][]item      // by day of arrival, from first
	statics     []static
	summary     Summary
	counts      [kinds]int64
	bySort      map[string]int64 // prepared events by contract
	byType      map[string]int64 // events of flows by type
	tally       tally
}

// job is a stretch of the stream to be written out by one worker.
type job struct {
	items   []item
	cohorts [][]request // from day base
	base    reference.Day
	statics []static
	out     []byte
	done    chan struct{}
}

const jobItems = 4096

// WriteTo writes the events, one JSON object a line, and says what it wrote. Memory
// follows from the busiest two months, not from the length of the range: at full scale
// about 350 MB. progress, when not nil, is called from time to time with the number of
// lines written and about how many there will be.
//
// A writer that fails and a context that ends stop it; the summary is nil then.
func (g *Generator) WriteTo(ctx context.Context, w io.Writer, progress func(done, total int64)) (*Summary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *job, 2*workers)
	ordered := make(chan *job, 4*workers)
	spare := make(chan []byte, 8*workers) // buffers of jobs that were written
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for j := range work {
				var buffer []byte
				select {
				case buffer = <-spare:
				default:
				}
				j.out = g.write(buffer[:0], j)
				close(j.done)
			}
		})
	}
	for d := g.options.From - g.lag(); d <= g.options.To+reference.Day(g.nation.Invented.Duration.MostDays); d++ {
		g.plan(d) // from here on the years are only read
	}
	total, failed := g.expected(), make(chan error, 1)
	group.Go(func() {
		done, stopped := int64(0), false
		for j := range ordered {
			<-j.done
			if stopped {
				continue
			}
			if _, err := w.Write(j.out); err != nil {
				failed <- problem.Wrap(err, problem.Unavailable, "simulate: write", "the simulated events could not be written on")
				stopped = true
				cancel()
				continue
			}
			done += int64(len(j.items))
			if progress != nil {
				progress(done, max(total, done))
			}
			select {
			case spare <- j.out:
			default:
			}
		}
	})
	r := &run{Generator: g, bySort: map[string]int64{}, byType: map[string]int64{}, tally: tally{}}
	err := r.feed(ctx, work, ordered)
	close(work)
	close(ordered)
	group.Wait()
	select {
	case err = <-failed: // why the context ended
	default:
	}
	if err != nil {
		return nil, err
	}
	return r.report(), nil
}

// feed plans day after day and hands the stream on in stretches.
func (r *run) feed(ctx context.Context, work, ordered chan<- *job) error {
	inv := &r.nation.Invented
	from, to := r.options.From, r.options.To
	ahead := reference.Day(inv.Duration.MostDays)
	tail := reference.Day(max(inv.LateDays, uint64(inv.Figures.DaysAfter)) + inv.AgainDays + 1)
	r.first, r.last, r.oldest = from, to+tail, from-r.lag()
	r.cohorts = make([][]request, to+ahead-r.oldest+1)
	r.buckets = make([][]item, r.last-r.first+1)
	r.prepare()
	r.prepareFlows()
	planned := r.oldest
	for d := r.first; d <= r.last; d++ {
		for ; planned <= min(d+ahead, to+ahead); planned++ {
			r.cohorts[planned-r.oldest] = r.cohort(planned)
			r.schedule(planned)
		}
		if d <= to {
			r.scheduleSessions(d)
			r.scheduleFlows(d)
		}
		r.closeMonths(d)
		items := r.buckets[d-r.first]
		r.buckets[d-r.first] = nil
		slices.SortFunc(items, func(a, b item) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.day, b.day), cmp.Compare(a.flow, b.flow), cmp.Compare(a.index, b.index),
				cmp.Compare(a.step, b.step), cmp.Compare(a.rep, b.rep))
		})
		// An event arrives at most so many days before or after the day of its request's decision.
		keep := tail + r.lag()
		base, end := max(d-keep, r.oldest), min(d+ahead, to+ahead)
		var cohorts [][]request
		if base <= end {
			cohorts = slices.Clone(r.cohorts[base-r.oldest : end-r.oldest+1])
		}
		for len(items) > 0 {
			n := min(len(items), jobItems)
			j := &job{items: items[:n:n], cohorts: cohorts, base: base, statics: r.statics, done: make(chan struct{})}
			items = items[n:]
			r.summary.Events += int64(n)
			select {
			case <-ctx.Done():
				return problem.Wrap(context.Cause(ctx), problem.Unavailable, "simulate", "stopped before the end")
			case work <- j:
			}
			ordered <- j // never blocks for good: the writer takes every job that a worker has
		}
		if old := d - keep - r.oldest; old >= 0 && int(old) < len(r.cohorts) {
			r.cohorts[old] = nil
		}
	}
	return nil
}

// put enters one delivery and decides whether it is late and whether it comes twice.
func (r *run) put(it item, lot draw) {
	r.counts[it.kind]++
	r.note(r.nameOf(it), it.at)
	if r.options.LateShare > 0 && chance(&lot, r.options.LateShare) {
		it.at += dayMillis/4 + int64(lot.below(r.nation.Invented.LateDays*dayMillis-dayMillis/4))
		r.summary.Late++
	}
	r.enter(it)
	if r.options.DuplicateShare > 0 && chance(&lot, r.options.DuplicateShare) {
		it.at += 1000 + int64(lot.below(r.nation.Invented.AgainDays*dayMillis-1000))
		r.summary.Duplicates++
		r.enter(it)
	}
}

func chance(lot *draw, share float64) bool { return float64(lot.next()>>11) < share*(1<<53) }

func (r *run) enter(it item) {
	d := r.dayOfMillis(it.at)
	d = min(max(d, r.first), r.last) // the catalogue's past comes on the first day
	r.buckets[d-r.first] = append(r.buckets[d-r.first], it)
}

// schedule enters the events of the requests decided on a day and of their cases, as far as
// they fall into the range.
func (r *run) schedule(d reference.Day) {
	begin, end := r.start(r.options.From), r.start(r.options.To+1)
	for i := range r.cohorts[d-r.oldest] {
		q := &r.cohorts[d-r.oldest][i]
		lot := draw(r.lot(q) ^ 1)
		if q.submitted >= begin && q.submitted < end {
			r.put(item{at: q.submitted, day: d, index: uint32(i), kind: kindSubmitted}, lot)
		}
		if q.decided >= begin && q.decided < end {
			r.put(item{at: q.decided, day: d, index: uint32(i), kind: kindDecided}, draw(mix(uint64(lot))))
		}
		for j := range r.flows {
			f := &r.flows[j]
			if f.Requests == nil || !f.asked[q.service] {
				continue
			}
			if c := r.caseOf(f, q); c.chosen(r.shareOfYear(f, r.yearOf(q.decided))) {
				r.enterCase(c, d, uint32(i), begin)
			}
		}
	}
}

// lag is how many days after its decision a request may still have events.
func (g *Generator) lag() (most reference.Day) {
	for i := range g.flows {
		if f := &g.flows[i]; f.Requests != nil {
			most = max(most, reference.Day(f.LagDays))
		}
	}
	return most
}

func (r *run) scheduleSessions(d reference.Day) {
	p, day := r.plan(d)
	for i := range p.sessions[day] {
		begin, _ := r.session(d, i)
		lot := draw(r.sessionLot(d, i) ^ 1)
		r.put(item{at: begin, day: d, index: i, kind: kindSession}, lot)
	}
}

// prepareFlows enters the cases of flows that began before the range: of those with every
// once all that has happened so far, of the others what falls into it.
func (r *run) prepareFlows() {
	for i := range r.flows {
		f := &r.flows[i]
		f.size = r.sizeOf(f)
		if f.Every == "once" {
			for n := range f.size {
				if d := r.onceOn(f, n); d <= r.options.To {
					r.enterCase(r.newCase(f, d, n), d, uint32(n), 0)
				}
			}
		}
	}
	begin := r.start(r.options.From)
	for i := range r.flows {
		f := &r.flows[i]
		for d := r.options.From - reference.Day(f.LagDays); d < r.options.From; d++ {
			r.casesOf(f, d, begin)
		}
	}
}

// onceOn is the day on which an entity's only case begins; most are early.
func (g *Generator) onceOn(f *flow, number uint64) reference.Day {
	lot := draw(mix(g.seed ^ hash(f.Name) ^ mix(number) ^ 0x6f6e6365))
	days := uint64(f.until - f.since + 1)
	return f.since + reference.Day(min(lot.below(days), lot.below(days)))
}

func (r *run) scheduleFlows(d reference.Day) {
	for i := range r.flows {
		r.casesOf(&r.flows[i], d, r.start(r.options.From))
	}
}

func (r *run) casesOf(f *flow, d reference.Day, begin int64) {
	if f.Every == "once" || f.Requests != nil {
		return
	}
	n, first := r.cases(f, d)
	for k := range n {
		number := first + uint64(k)
		r.enterCase(r.newCase(f, d, number), d, uint32(number), begin)
	}
}

// enterCase enters the events of a case that happen from begin to the end of the range; it is
// found again by day and index.
func (r *run) enterCase(c *flowCase, day reference.Day, index uint32, begin int64) {
	end := r.start(r.options.To + 1)
	for i := range c.f.Steps {
		s := &c.f.Steps[i]
		if c.at(i) == never64 {
			continue
		}
		for rep := range s.Times {
			at := c.repeat(i, rep)
			if at < begin || at >= end || c.of != nil && at >= r.start(day+reference.Day(c.f.LagDays)+1) {
				continue
			}
			r.byType[s.event.Type]++
			it := item{at: at, day: day, index: index, kind: kindFlow, flow: uint8(c.f.index), step: uint8(i), rep: uint16(rep)}
			r.put(it, draw(mix(c.lot^mix(uint64(i)<<32|uint64(rep)))))
		}
	}
}

// prepare writes the events that are few: the catalogue and the reported figures.
func (r *run) prepare() {
	r.changes(func(s *service, day reference.Day) {
		at := r.start(day)
		if day > r.opens {
			at += (10*3600 + int64(mix(s.draw^uint64(uint32(day)))%(6*3600))) * 1000 // in office hours
		}
		r.statics = append(r.statics, static{at: at, contract: contractService, line: r.serviceEvent(nil, s, day, at)})
	})
	r.figures(func(at int64, line []byte) {
		r.statics = append(r.statics, static{at: at, contract: contractFigure, line: line})
	})
	for i, s := range r.statics {
		r.bySort[s.contract]++
		r.put(item{at: s.at, index: uint32(i), kind: kindStatic}, draw(mix(r.seed^uint64(i))))
	}
}

func (r *run) report() *Summary {
	s := &r.summary
	s.Seed, s.Scale, s.From, s.To = r.options.Seed, r.scale, r.options.From, r.options.To
	for _, t := range []struct {
		contract string
		count    int64
	}{{contractSubmitted, r.counts[kindSubmitted]}, {contractDecided, r.counts[kindDecided]}, {contractSession, r.counts[kindSession]},
		{contractService, r.bySort[contractService]}, {contractFigure, r.bySort[contractFigure]}} {
		s.ByType = append(s.ByType, TypeCount{r.types[t.contract].typ, t.count})
	}
	if closed := r.bySort[contractClosed]; closed > 0 {
		s.ByType = append(s.ByType, TypeCount{r.pack.Set.ByName(contractClosed, 1).Type, closed})
	}
	for _, name := range slices.Sorted(maps.Keys(r.byType)) {
		s.ByType = append(s.ByType, TypeCount{name, r.byType[name]})
	}
	s.Certificates, s.CertificatesOnline = r.certificates()
	s.OthersOneIn = r.othersOneIn()
	return s
}

// start is the first millisecond of a day in the country's zone.
func (g *Generator) start(d reference.Day) int64 { return g.text.day(d).start }

// dayOfMillis is the day of a moment in the country's zone.
func (g *Generator) dayOfMillis(ms int64) reference.Day {
	d := reference.Day(floorDiv(ms, dayMillis))
	for ms < g.start(d) {
		d--
	}
	for ms >= g.start(d+1) {
		d++
	}
	return d
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// lot is what all that is drawn for a request begins with.
func (g *Generator) lot(q *request) uint64 {
	return mix(g.seed ^ mix(uint64(q.number)<<16|uint64(uint16(g.yearOf(q.decided)))))
}

// cohort is the requests that are decided on a day.
func (g *Generator) cohort(d reference.Day) []request {
	p, day := g.plan(d)
	cells := p.day(d, len(g.services))
	n := 0
	for _, c := range cells {
		n += int(c.n)
	}
	requests := make([]request, 0, n)
	number := p.before[day]
	for i, c := range cells {
		if c.n == 0 {
			continue
		}
		s := &g.services[i]
		lot := draw(mix(g.seed ^ s.draw ^ mix(uint64(uint32(d)))))
		from := len(requests)
		tilts := uint64(0)
		for range c.n {
			region := g.regionOf(number)
			tilts += g.regions[region].tilt
			requests = append(requests, request{number: uint32(number), service: uint16(i), region: uint8(region)})
			number++
		}
		left := uint64(c.offline)
		for k := range requests[from:] {
			q := &requests[from+k]
			tilt := g.regions[q.region].tilt
			rest := uint64(len(requests) - from - k)
			switch {
			case left > 0 && (left == rest || lot.below(tilts) < left*tilt):
				q.processing = offline
				left--
			case !s.automatedOn(d):
				q.processing = officerOnline
			}
			tilts -= tilt
			g.date(q, s, d, &lot)
		}
	}
	return requests
}

// date draws when a request was decided, on the day d, and when it had been made.
func (g *Generator) date(q *request, s *service, d reference.Day, lot *draw) {
	inv := &g.nation.Invented.Duration
	hours := g.table.officeHours
	if q.processing == automatic {
		hours = g.table.citizenHours
	}
	q.decided = g.start(d) + int64(hours.of(lot))*3600_000 + int64(lot.below(3600_000))
	if q.processing == automatic {
		took := inv.Automatic.Median * g.table.automatic[lot.next()>>52]
		q.submitted = q.decided - int64(min(took, inv.Automatic.Most*1000))
		return
	}
	median, spread := inv.OfficerOnline.MedianOfTerm, g.table.officer
	if q.processing == offline {
		median, spread = inv.Offline.MedianOfTerm, g.table.offline
	}
	term := uint64(s.term)
	if term == 0 {
		term = 1
	}
	// A working day is 7/5 of a calendar day.
	took := term * dayMillis * 7 / 5 * median / 1000 * spread[lot.next()>>52] / 1000
	took = max(min(took, uint64(inv.MostDays-1)*dayMillis), 60_000)
	q.submitted = q.decided - int64(took)
	// People ask at other hours than offices answer.
	at := g.start(g.dayOfMillis(q.submitted)) + int64(g.table.citizenHours.of(lot))*3600_000 + int64(lot.below(3600_000))
	if at < q.decided-60_000 {
		q.submitted = at
	}
}
