package queries

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries/disclosure"
	"ombor/warehouse"
)

// Publisher is the source of the events of figure.published.
const Publisher = "ombor"

// place is where a figure stands in what is published of one version of a KPI.
type place struct {
	grain Grain
	from  reference.Day
	by    string // dimensions, by comma
	key   string // their values, joined
}

// publication is one figure as it was published.
type publication struct {
	place
	to                     reference.Day
	number                 int64
	hidden                 bool
	state                  State
	reason                 string
	numerator, denominator Number
	value                  *float64
	quantiles              []Quantile
	cases                  *int64
	persons                int
	simulated              bool
	through                uint64        // newest batch whose events are in it
	at                     int64         // when it was published, in milliseconds: what was published together has the same
	on                     reference.Day // when it was received
}

// same says whether a figure says the same as another, and hides the same.
func (p *publication) same(o *publication) bool {
	return p.hidden == o.hidden && p.state == o.state && p.reason == o.reason && p.numerator == o.numerator && p.denominator == o.denominator &&
		equal(p.value, o.value) && equal(p.cases, o.cases) && slices.Equal(p.quantiles, o.quantiles)
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// publishedGrains are the calendar periods in which a version is published, the shortest
// first.
func (q *Queries) publishedGrains(v *kpi.Version) []Grain { return periodsOf(v, q.special(v)) }

func periodsOf(v *kpi.Version, special bool) []Grain {
	grains := []Grain{Month, Quarter, Year}
	if special {
		grains = grains[1:]
	}
	if v.Distinct != nil {
		grains = slices.DeleteFunc(grains, func(g Grain) bool { return !slices.Contains(v.Distinct.Grains, string(g)) })
	}
	return grains
}

// special says whether a version reads a contract with special fields.
func (q *Queries) special(v *kpi.Version) bool {
	return slices.ContainsFunc(v.Sides(), func(s kpi.Side) bool {
		c := q.warehouse.Contract(s.From)
		return c != nil && c.Special()
	})
}

// publishes says whether figures of a version are published: counted ones, and stocks of
// which nobody's persons are to be protected.
func publishes(v *kpi.Version) bool {
	switch {
	case v.Published == nil || v.Backlog != nil:
		return false
	case v.Basis == kpi.Stock:
		return !v.Guarded()
	}
	return v.Basis == kpi.Events && (v.Persons == "" || retractable(v))
}

// Tables are how a version is told from what was published: the sets of dimensions that its
// tables break it down by, the empty one for the whole, and their periods, the shortest first.
// Both are empty when nothing of it is published. special says that it reads a contract with
// special fields, of which these tables are all that is told.
func Tables(v *kpi.Version, special bool) (sets [][]string, periods []Grain) {
	if !publishes(v) {
		return nil, nil
	}
	return v.Published, periodsOf(v, special)
}

// edition is one version of a KPI.
type edition struct {
	kpi, variant string
	version      int64
}

func editionOf(k *kpi.KPI, v *kpi.Version) edition { return edition{k.ID, v.Variant, int64(v.Version)} }

// versionOf is an edition's definition; nil when the pack has it no more.
func (q *Queries) versionOf(e edition) *kpi.Version {
	k, err := q.catalogue.KPI(e.kpi)
	if err != nil {
		return nil
	}
	for i := range k.Versions {
		if editionOf(k, &k.Versions[i]) == e {
			return &k.Versions[i]
		}
	}
	return nil
}

// publishedKey is under what a published table of an edition is remembered.
func publishedKey(e edition, table string, from, to, knownOn reference.Day) string {
	return fmt.Sprint("published ", e, " ", table, " ", from, " ", to, " ", knownOn)
}

// publicationsOf are what was published of a question's version in one table, remembered with
// what else its shared keeps: of the whole at any time, else for the calendar years of its days.
func (q *Queries) publicationsOf(ctx context.Context, qn *question, set []string) (map[place][]*publication, error) {
	table, from, to := strings.Join(set, ","), reference.NoDay, reference.NoDay
	if len(set) > 0 && qn.from != reference.NoDay {
		from = q.calendar.start(Year, qn.from)
	}
	if len(set) > 0 && qn.to != reference.NoDay {
		to = q.calendar.after(Year, q.calendar.start(Year, qn.to)) - 1
	}
	return once(qn.shared, publishedKey(editionOf(qn.kpi, qn.version), table, from, to, qn.knownOn), func() (map[place][]*publication, error) {
		return q.publications(ctx, qn.kpi, qn.version, from, to, qn.knownOn, "`by` = {by:String}", bind{"by": table})
	})
}

// publishedWholes reads in one statement what was published of the whole, for the KPIs of a
// scorecard that are told by it.
func (q *Queries) publishedWholes(ctx context.Context, common *shared, audience Audience, knownOn reference.Day) error {
	var editions []edition
	var ids []string
	for _, k := range q.catalogue.All() {
		for i := range k.Versions {
			v := &k.Versions[i]
			if e := editionOf(k, v); publishes(v) && (audience == Outside || q.special(v)) {
				if _, known := common.asked.Load(publishedKey(e, "", reference.NoDay, reference.NoDay, knownOn)); !known {
					editions, ids = append(editions, e), append(ids, k.ID)
				}
			}
		}
	}
	if len(editions) == 0 {
		return nil
	}
	found, err := q.editions(ctx, knownOn, bind{"kpis": array(slices.Compact(ids))}, "kpi IN {kpis:Array(String)}", "`by` = ''")
	if err != nil {
		return err
	}
	for _, e := range editions {
		common.asked.LoadOrStore(publishedKey(e, "", reference.NoDay, reference.NoDay, knownOn), func() (map[place][]*publication, error) { return found[e], nil })
	}
	return nil
}

// publications are what was published of a version, by place, the oldest first; of days
// from from to to (NoDay: open), as known on a day, under one more condition if given.
func (q *Queries) publications(ctx context.Context, k *kpi.KPI, v *kpi.Version, from, to, knownOn reference.Day, condition string, params bind) (map[place][]*publication, error) {
	params = maps.Clone(params)
	if params == nil {
		params = bind{}
	}
	params["kpi"], params["variant"], params["version"] = k.ID, v.Variant, fmt.Sprint(v.Version)
	conditions := []string{"kpi = {kpi:String}", "variant = {variant:String}", "version = {version:Int64}"}
	if condition != "" {
		conditions = append(conditions, condition)
	}
	if from != reference.NoDay {
		conditions = append(conditions, "`to` >= "+s32(params.day("from", from)))
	}
	if to != reference.NoDay {
		conditions = append(conditions, "`from` <= "+s32(params.day("to", to)))
	}
	found, err := q.editions(ctx, knownOn, params, conditions...)
	return found[editionOf(k, v)], err
}

// editions are what was published under the conditions, by version and place, the oldest first.
func (q *Queries) editions(ctx context.Context, knownOn reference.Day, params bind, conditions ...string) (map[edition]map[place][]*publication, error) {
	c := q.warehouse.Contract(contract.FigurePublished)
	if c == nil {
		return nil, nil
	}
	qn := &question{knownOn: knownOn}
	conditions = append(conditions, "_source = '"+Publisher+"'", q.live(c, qn, params))
	sql := "SELECT kpi, variant, version, grain, toDate(`from`), toDate(`to`), `by`, `key`, number, hidden, state, reason, numerator, denominator, value, quantiles, cases, persons, through, _simulated, _cut, toUnixTimestamp64Milli(time)\nFROM " +
		q.warehouse.Facts(c) + whereSQL(append(conditions, qn.known(params)...)) + "\nORDER BY number, _seq"
	found, tells := map[edition]map[place][]*publication{}, map[edition]rowsTold{}
	err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		var e edition
		var p publication
		var grain, state, key, quantiles, numerator, denominator string
		var from, to, on time.Time
		var persons *int64
		var through int64
		if err := scan(&e.kpi, &e.variant, &e.version, &grain, &from, &to, &p.by, &key, &p.number, &p.hidden, &state, &p.reason, &numerator, &denominator, &p.value, &quantiles, &p.cases, &persons, &through, &p.simulated, &on, &p.at); err != nil {
			return err
		}
		p.grain, p.state, p.from, p.to, p.on, p.through = Grain(grain), State(state), reference.DayOf(from), reference.DayOf(to), reference.DayOf(on), uint64(through)
		p.numerator, p.denominator = Number(numerator), Number(denominator)
		if persons != nil {
			p.persons = int(*persons)
		}
		var values []string
		if key != "" {
			if err := json.Unmarshal([]byte(key), &values); err != nil {
				return problem.Wrap(err, problem.Internal, "queries: published figures", "a key cannot be read")
			}
		}
		if quantiles != "" {
			if err := json.Unmarshal([]byte(quantiles), &p.quantiles); err != nil {
				return problem.Wrap(err, problem.Internal, "queries: published figures", "quantiles cannot be read")
			}
		}
		p.key = join(values)
		if found[e] == nil {
			found[e] = map[place][]*publication{}
			if v := q.versionOf(e); v != nil {
				tells[e] = rowsToldBy(v)
			}
		}
		if told := tells[e]; told != nil {
			p.cases = told(p.numerator, p.denominator, p.cases)
		}
		found[e][p.place] = append(found[e][p.place], &p)
		return nil
	})
	return found, err
}

// event is a publication as a CloudEvent. Its id follows from its place, its number and
// what it says, so that writing it twice changes nothing.
func (p *publication) event(prefix string, k *kpi.KPI, v *kpi.Version) ([]byte, error) {
	data := map[string]any{"kpi": k.ID, "version": v.Version, "grain": string(p.grain), "from": p.from.String(), "to": p.to.String(),
		"number": p.number, "hidden": p.hidden, "state": string(p.state), "persons": p.persons, "through": p.through}
	put := func(name, text string) {
		if text != "" {
			data[name] = text
		}
	}
	put("variant", v.Variant)
	put("by", p.by)
	put("reason", p.reason)
	put("numerator", string(p.numerator))
	put("denominator", string(p.denominator))
	if p.by != "" {
		key, err := json.Marshal(split(p.key, strings.Count(p.by, ",")+1))
		if err != nil {
			return nil, err
		}
		put("key", string(key))
	}
	if p.value != nil {
		data["value"] = *p.value
	}
	if p.cases != nil {
		data["cases"] = *p.cases
	}
	if p.quantiles != nil {
		quantiles, err := json.Marshal(p.quantiles)
		if err != nil {
			return nil, err
		}
		put("quantiles", string(quantiles))
	}
	content, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	event := map[string]any{"specversion": "1.0", "type": prefix + contract.FigurePublished + ".v1", "source": Publisher,
		"id": fmt.Sprintf("%s/%s/%d/%s", k.ID, p.from, p.number, hex.EncodeToString(sum[:12])), "time": time.UnixMilli(p.at).UTC().Format("2006-01-02T15:04:05.000Z"), "data": json.RawMessage(content)}
	if p.simulated {
		event["simulated"] = true
	}
	return json.Marshal(event)
}

// Publish works out what is to be published now: figures of periods that were closed since
// it was last asked, and of closed ones that have changed. send takes events in JSON, all of
// them or none, and returns when they can be read; what it took before an error is
// published. Publish remembers in memory what it has looked at; a new process looks at
// everything once. A figure that cannot be worked out does not hold the others: they are published, and the error names
// it. It is for one process at a time, as the loader is, and for one goroutine.
func (q *Queries) Publish(ctx context.Context, prefix string, send func(ctx context.Context, events [][]byte) error) (err error) {
	if q.warehouse.Contract(contract.FigurePublished) == nil {
		return nil
	}
	defer func() {
		if err != nil {
			clear(q.looked) // some of it may not have been sent
		}
	}()
	var failed []error
	var events [][]byte // of whole years: a mask holds for what is published together
	common := &shared{}
	for _, group := range q.publishedTogether() {
		found, err := q.publishGroup(ctx, prefix, group, common)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed = append(failed, err)
		}
		if events = append(events, found...); len(events) >= publishedAtOnce {
			if err := send(ctx, events); err != nil {
				return err
			}
			events = nil
		}
	}
	if len(events) > 0 {
		if err := send(ctx, events); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// publishedAtOnce is how many events are sent together: each sending is a batch of its own.
const publishedAtOnce = 4000

// publishing is a version of which figures are published.
type publishing struct {
	kpi     *kpi.KPI
	version *kpi.Version
}

// publishedTogether are the versions that are published, those of which one could tell what another hides in one group: both
// tell numbers of rows of one contract, or both tell amounts of them, and no condition keeps their rows apart.
func (q *Queries) publishedTogether() [][]publishing {
	var groups [][]publishing
	tells := map[*kpi.Version][]tellsOf{}
	for _, k := range q.catalogue.All() {
		for i := range k.Versions {
			v := &k.Versions[i]
			if !publishes(v) || len(q.publishedGrains(v)) == 0 {
				continue
			}
			tells[v] = q.tells(v)
			joined := []publishing{{k, v}}
			groups = slices.DeleteFunc(groups, func(group []publishing) bool {
				same := slices.ContainsFunc(group, func(p publishing) bool {
					return slices.ContainsFunc(tells[v], func(a tellsOf) bool {
						return slices.ContainsFunc(tells[p.version], func(b tellsOf) bool { return a.meets(b) })
					})
				})
				if same {
					joined = append(joined, group...)
				}
				return same
			})
			groups = append(groups, joined)
		}
	}
	return groups
}

// tellsOf is one number that a figure tells: how many rows of a contract there are under a condition, or an
// amount of theirs.
type tellsOf struct {
	contract  *contract.Contract
	amount    bool
	condition string
}

// tells are the numbers that the figures of a version tell of rows.
func (q *Queries) tells(v *kpi.Version) (list []tellsOf) {
	if v.Basis != kpi.Events {
		return nil
	}
	add := func(from string, amount bool, condition string) {
		list = append(list, tellsOf{q.warehouse.Contract(from), amount, condition})
	}
	one := int64(1)
	for _, s := range v.Sides() {
		for _, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
			if f == nil {
				continue
			}
			for _, t := range f.Terms {
				if s.Counts(t) {
					add(s.From, t.Func != kpi.CountRows, t.If)
				}
			}
		}
		switch {
		case v.Distinct != nil:
			add(s.From, false, v.Distinct.If)
		case v.Distribution != nil:
			add(s.From, false, v.Distribution.If)
			add(s.From, true, v.Distribution.If)
		case rowsToldBy(v)("", "", &one) != nil: // all rows
			add(s.From, false, "")
		}
	}
	return list
}

// meets says whether both may tell of the same rows in the same way.
func (t tellsOf) meets(o tellsOf) bool {
	return t.contract == o.contract && t.amount == o.amount && !kpi.Apart(t.condition, o.condition)
}

// publishGroup gives the events of what is new or changed in the closed periods of the versions of a group. The error
// names those that could not be worked out; the events of the others hold all the same.
func (q *Queries) publishGroup(ctx context.Context, prefix string, group []publishing, common *shared) ([][]byte, error) {
	var failed []error
	fail := func(p publishing, err error) {
		failed = append(failed, fmt.Errorf("%s: %w", p.kpi.ID, err))
	}
	years := map[reference.Day][]*publishedYear{}
	for _, p := range group {
		found, err := q.publishedYears(ctx, p, common)
		if err != nil {
			fail(p, err)
			continue
		}
		for _, y := range found {
			years[y.year] = append(years[y.year], y)
		}
	}
	var events [][]byte
	for _, year := range slices.Sorted(maps.Keys(years)) {
		list := years[year]
		if !slices.ContainsFunc(list, func(y *publishedYear) bool { return q.looked[y.id] != y.state }) {
			continue
		}
		guarded := slices.ContainsFunc(list, func(y *publishedYear) bool { return y.version.Guarded() })
		var lattices []*lattice
		for _, y := range list {
			var err error
			if y.lattice, err = q.publishYear(ctx, y, guarded); err != nil {
				fail(y.publishing, err)
				continue
			}
			lattices = append(lattices, y.lattice)
		}
		maskTogether(lattices, q.k)
		for _, y := range list {
			if y.lattice == nil {
				continue
			}
			for _, p := range y.lattice.fresh {
				event, err := p.event(prefix, y.kpi, y.version)
				if err != nil {
					return nil, problem.Wrap(err, problem.Internal, "queries: publish "+y.kpi.ID, "a figure cannot be written")
				}
				events = append(events, event)
			}
			q.looked[y.id] = y.state
		}
	}
	return events, errors.Join(failed...)
}

// publishedYear is a year of a version that has closed periods.
type publishedYear struct {
	publishing
	question  *question
	year      reference.Day // its first day
	periods   []publishedPeriod
	through   uint64 // newest batch behind its figures
	id, state string // for Queries.looked: the same while nothing of it has changed
	lattice   *lattice
}

// publishedYears are those of a version.
func (q *Queries) publishedYears(ctx context.Context, p publishing, common *shared) ([]*publishedYear, error) {
	k, v := p.kpi, p.version
	qn, err := q.question(ctx, Request{KPI: k.ID, Variant: v.Variant, Version: v.Version})
	if err != nil {
		return nil, err
	}
	qn.shared = common
	src, err := q.sources(ctx, qn)
	if err != nil || src.first == reference.NoDay {
		return nil, err
	}
	said, err := q.closings(ctx, qn)
	if err != nil {
		return nil, err
	}
	var all []*publishedYear
	first, last := src.first, qn.ended()
	if valid := v.Valid; valid.From != reference.NoDay {
		first = max(first, valid.From)
	}
	if v.Valid.To != reference.NoDay {
		last = min(last, v.Valid.To)
	}
	first = max(first, last-50*366) // an event of a wrong century opens no table
	for year := q.calendar.start(Year, first); year <= last; year = q.calendar.after(Year, year) {
		y := &publishedYear{publishing: p, question: qn, year: year, id: fmt.Sprint(k.ID, "/", v.Variant, "/", v.Version, "/", year)}
		if y.through, err = q.fingerprint(ctx, qn, year); err != nil {
			return nil, err
		}
		for _, g := range q.publishedGrains(v) {
			for _, period := range q.calendar.periods(g, year, q.calendar.after(Year, year)-1, 12) {
				c := Cell{From: period.from, To: period.to}
				if q.settle(qn, src, said, &c); c.Open() || period.to < first || v.Valid.From != reference.NoDay && period.from < v.Valid.From {
					continue
				}
				y.periods = append(y.periods, publishedPeriod{g, period})
			}
		}
		if len(y.periods) > 0 {
			y.state = fmt.Sprint(y.through, " ", len(y.periods))
			all = append(all, y)
		}
	}
	return all, nil
}

type publishedPeriod struct {
	grain  Grain
	period period
}

// fingerprint is the newest batch with rows that a year of the question's figures can
// hang on.
func (q *Queries) fingerprint(ctx context.Context, qn *question, year reference.Day) (uint64, error) {
	var newest uint64
	ask := func(c *contract.Contract, r *warehouse.Rollup, all bool) error {
		params := bind{}
		where := ""
		if !all {
			where = whereSQL([]string{"_day >= " + params.day("from", year), "_day < " + params.day("to", q.calendar.after(Year, year))})
		}
		sql := "SELECT max(_through) FROM " + q.warehouse.Table(r) + where
		found, err := once(qn.shared, sql+params["from"], func() (uint64, error) {
			var n uint64
			err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error { return scan(&n) })
			return n, err
		})
		newest = max(newest, found)
		return err
	}
	v := qn.version
	for _, s := range qn.sides {
		r := q.bySource(s)
		if err := ask(s.contract, r, v.Basis == kpi.Stock || v.Match != nil || r.At != s.At); err != nil {
			return 0, err
		}
	}
	for _, m := range v.Match {
		if c := q.warehouse.Contract(m.In); c != nil {
			if err := ask(c, q.bySource(side{kpi.Side{At: contract.ColumnTime}, c}), true); err != nil {
				return 0, err
			}
		}
	}
	return newest, nil
}

// publishYear is what is published of a year, with what is new or changed in its closed periods. guarded says that there
// are persons to be protected behind figures of the same events.
func (q *Queries) publishYear(ctx context.Context, y *publishedYear, guarded bool) (*lattice, error) {
	v := y.version
	before, err := q.publications(ctx, y.kpi, v, y.year, q.calendar.after(Year, y.year)-1, reference.NoDay, "", nil)
	if err != nil {
		return nil, err
	}
	now := q.now().UnixMilli()
	for _, list := range before { // in their order, also when the clock was set back
		now = max(now, list[len(list)-1].at+1)
	}
	current := map[place]*publication{}
	for _, by := range v.Published {
		cells, persons, _, err := q.unhidden(ctx, y.question, by, y.periods)
		if err != nil {
			return nil, err
		}
		for i, c := range cells {
			g := y.periods[i*len(y.periods)/max(len(cells), 1)].grain
			var values []string
			for _, d := range c.Dims {
				values = append(values, d.Value)
			}
			p := &publication{place: place{g, c.From, strings.Join(by, ","), join(values)}, to: c.To, number: 1, state: c.State, reason: c.Reason,
				numerator: c.Numerator, denominator: c.Denominator, value: c.Value, quantiles: c.Quantiles, cases: c.Cases,
				persons: persons[i], simulated: c.Simulated, through: y.through, at: now}
			if v.Distinct != nil {
				p.cases = nil // beside the number of persons it would tell how often they come
			}
			current[p.place] = p
		}
	}
	return newLattice(q, v, before, current, guarded), nil
}

// unhidden are the figures of one table for the periods, period by period, with the number
// of persons behind each.
func (q *Queries) unhidden(ctx context.Context, qn *question, by []string, periods []publishedPeriod) ([]Cell, []int, *Plan, error) {
	of := *qn
	of.by, of.where, of.grain, of.compare = by, nil, Whole, NoComparison
	var spans []period
	for i, p := range periods {
		p.period.span = i + 1
		spans = append(spans, p.period)
	}
	src, err := q.sources(ctx, &of)
	if err != nil {
		return nil, nil, nil, err
	}
	if qn.version.Basis == kpi.Stock {
		a, err := q.stockOn(ctx, &of, src, spans)
		if err != nil {
			return nil, nil, nil, err
		}
		return a.cells, make([]int, len(a.cells)), a.plan, nil
	}
	of.spans = spans
	of.from, of.to = spans[0].from, spans[0].to
	for _, p := range spans {
		of.from, of.to = min(of.from, p.from), max(of.to, p.to)
	}
	if len(by) == 0 && (src.first == reference.NoDay || of.to < src.first || of.from > src.last) { // nothing was sent of these days
		cells := make([]Cell, len(spans))
		for i, p := range spans {
			cells[i] = q.cell(&of, p, "")
			cells[i].State, cells[i].Coverage = NotProvided, src.coverage(nil, p.to)
		}
		return cells, make([]int, len(cells)), nil, nil
	}
	if levels(qn.version) { // the period before each grain's first, from which its level changed
		for _, g := range q.publishedGrains(qn.version) {
			if i := slices.IndexFunc(periods, func(p publishedPeriod) bool { return p.grain == g }); i >= 0 {
				day := spans[i].from - 1
				of.spans = append(of.spans, period{from: q.calendar.start(g, day), to: day, span: len(of.spans) + 1})
			}
		}
	}
	a, err := q.answerEvents(ctx, &of, func() (*sources, error) { return src, nil })
	if err != nil {
		return nil, nil, nil, err
	}
	persons := make([]int, len(a.cells))
	if qn.version.Guarded() {
		for i, c := range a.persons {
			persons[i] = c.Persons
		}
	}
	if levels(qn.version) {
		q.stepPublished(qn.version, periods, of.spans, a.cells, persons)
		n := len(a.cells) / len(of.spans) * len(periods)
		a.cells, persons = a.cells[:n], persons[:n]
	}
	return a.cells, persons, a.plan, nil
}

// lattice is a year of one KPI's published figures as package disclosure takes them: each
// publication is a figure of its own, because who reads all of them may know that a hidden
// one has stayed the same.
type lattice struct {
	version  *kpi.Version
	figures  []disclosure.Figure
	of       map[*publication]int
	totals   []disclosure.Total
	measures []disclosure.Measure
	amounts  []func(*publication) float64
	fresh    []*publication // not published yet, in a fixed order
	levels   map[place]int
}

func newLattice(q *Queries, v *kpi.Version, before map[place][]*publication, current map[place]*publication, guarded bool) *lattice {
	l := &lattice{version: v, of: map[*publication]int{}, levels: map[place]int{}}
	history := map[place][]*publication{}
	for at, list := range before {
		history[at] = slices.Clone(list)
	}
	for _, at := range slices.SortedFunc(maps.Keys(current), placeOrder) {
		p := current[at]
		if list := history[at]; len(list) > 0 {
			last := list[len(list)-1]
			if p.hidden = last.hidden; p.same(last) {
				continue
			}
			p.number = last.number + 1
			if _, waits := lastTold(list); waits { // it may be told again, if the mask allows
				p.hidden = false
			}
		}
		l.fresh = append(l.fresh, p)
		history[at] = append(history[at], p)
	}
	if !guarded {
		return l // nobody to protect
	}
	l.measure(history)
	fresh := map[*publication]bool{}
	for _, p := range l.fresh {
		fresh[p] = true
	}
	for _, at := range slices.SortedFunc(maps.Keys(history), placeOrder) {
		level := place{grain: at.grain, by: at.by}
		if _, ok := l.levels[level]; !ok {
			l.levels[level] = len(l.levels)
		}
		for _, p := range history[at] {
			f := disclosure.Figure{Persons: p.persons, Level: l.levels[level], Fixed: !fresh[p], Hidden: p.hidden}
			for _, amount := range l.amounts {
				f.Amounts = append(f.Amounts, amount(p))
			}
			l.of[p] = len(l.figures)
			l.figures = append(l.figures, f)
		}
	}
	l.link(q, history)
	return l
}

func placeOrder(a, b place) int {
	if a.grain != b.grain {
		return len(a.grain) - len(b.grain) // year, month, quarter: any order that stays
	}
	if a.from != b.from {
		return int(a.from - b.from)
	}
	if a.by != b.by {
		return strings.Compare(a.by, b.by)
	}
	return strings.Compare(a.key, b.key)
}

// measure lists what adds up: the rows, the denominator, the numerator. What may be
// negative is bounded by nothing, and follows the others.
func (l *lattice) measure(history map[place][]*publication) {
	counts := func(f *kpi.Formula) bool {
		return !slices.ContainsFunc(f.Terms, func(t kpi.Term) bool { return t.Func != kpi.CountRows || t.Coefficient < 0 })
	}
	add := func(m disclosure.Measure, amount func(*publication) float64) {
		for _, list := range history {
			for _, p := range list {
				if amount(p) < 0 {
					return
				}
			}
		}
		l.measures, l.amounts = append(l.measures, m), append(l.amounts, amount)
	}
	of := func(n func(*publication) Number) func(*publication) float64 {
		return func(p *publication) float64 { f, _ := n(p).Float(); return f }
	}
	v := l.version
	numerator := of(func(p *publication) Number { return p.numerator })
	if v.Distinct != nil {
		add(disclosure.Measure{Whole: true, Size: true}, numerator)
		return
	}
	told := false
	for _, list := range history {
		told = told || slices.ContainsFunc(list, func(p *publication) bool { return p.cases != nil })
	}
	if told {
		add(disclosure.Measure{Whole: true, Size: true}, func(p *publication) float64 {
			if p.cases == nil {
				return 0
			}
			return float64(*p.cases)
		})
	}
	if v.Denominator != nil {
		whole := counts(v.Denominator) || v.OfPersons
		add(disclosure.Measure{Whole: whole, Size: whole}, of(func(p *publication) Number { return p.denominator }))
	}
	if v.Numerator != nil {
		whole := counts(v.Numerator) || v.OfPersons && v.Denominator == nil
		add(disclosure.Measure{Whole: whole, Size: whole && v.Denominator == nil}, numerator)
	}
}

// link adds the totals: of each table over the dimensions that another has more, of each
// period over the shorter ones in it; as they were after each publication.
func (l *lattice) link(q *Queries, history map[place][]*publication) {
	grains := q.publishedGrains(l.version)
	below := map[Grain]Grain{} // a period's parts: the longest published grain that is shorter
	for i, g := range grains[1:] {
		below[g] = grains[i]
	}
	wholes := map[place]map[string][]place{} // whole → which way it is divided → parts
	add := func(whole place, way string, part place) {
		if history[whole] == nil {
			return
		}
		if wholes[whole] == nil {
			wholes[whole] = map[string][]place{}
		}
		wholes[whole][way] = append(wholes[whole][way], part)
	}
	for _, at := range slices.SortedFunc(maps.Keys(history), placeOrder) {
		for longer, shorter := range below {
			if at.grain != shorter {
				continue
			}
			// What there is by the end of a period is what there is by the end of the last one in it.
			if !l.version.Running || q.calendar.after(shorter, at.from) == q.calendar.after(longer, q.calendar.start(longer, at.from)) {
				add(place{longer, q.calendar.start(longer, at.from), at.by, at.key}, "time", at)
			}
		}
		dimensions := dimensionsOf(at.by)
		for _, set := range l.version.Published {
			if l.covers(set, dimensions) {
				add(place{at.grain, at.from, strings.Join(set, ","), project(at, set)}, at.by, at)
			}
		}
	}
	seen := map[string]bool{}
	for _, whole := range slices.SortedFunc(maps.Keys(wholes), placeOrder) {
		for _, way := range slices.Sorted(maps.Keys(wholes[whole])) {
			parts := wholes[whole][way]
			var times []int64
			for _, at := range append([]place{whole}, parts...) {
				for _, p := range history[at] {
					times = append(times, p.at)
				}
			}
			slices.Sort(times)
			for _, t := range slices.Compact(times) {
				total := disclosure.Total{Whole: -1}
				if p := standingAt(history[whole], t); p != nil {
					total.Whole = l.of[p]
				}
				complete := total.Whole >= 0
				for _, at := range parts {
					if p := standingAt(history[at], t); p != nil {
						total.Parts = append(total.Parts, l.of[p])
					} else if way == "time" {
						complete = false
					}
				}
				if id := fmt.Sprint(total); complete && len(total.Parts) > 0 && !seen[id] {
					seen[id] = true
					l.total(total)
				}
			}
		}
	}
}

// total enters one total. A number of different persons is at most the sum of its parts
// and at least each of them: what is missing to equality is one more figure, hidden.
func (l *lattice) total(t disclosure.Total) {
	if l.version.Distinct == nil {
		l.totals = append(l.totals, t)
		return
	}
	slack := func(amount float64) int {
		l.figures = append(l.figures, disclosure.Figure{Persons: 1 << 30, Amounts: []float64{math.Max(0, amount)}, Level: -1, Fixed: true, Hidden: true})
		return len(l.figures) - 1
	}
	sum := 0.0
	for _, i := range t.Parts {
		sum += l.figures[i].Amounts[0]
	}
	whole := l.figures[t.Whole].Amounts[0]
	over := slack(sum - whole)
	helper := slack(sum) // the parts' sum = the whole + what is counted more than once
	l.totals = append(l.totals, disclosure.Total{Whole: helper, Parts: t.Parts}, disclosure.Total{Whole: helper, Parts: []int{t.Whole, over}})
	for _, i := range t.Parts {
		l.totals = append(l.totals, disclosure.Total{Whole: t.Whole, Parts: []int{i, slack(whole - l.figures[i].Amounts[0])}})
	}
}

// standingAt is the newest publication up to a moment.
func standingAt(list []*publication, at int64) *publication {
	for _, p := range slices.Backward(list) {
		if p.at <= at {
			return p
		}
	}
	return nil
}

func dimensionsOf(by string) []string {
	if by == "" {
		return nil
	}
	return strings.Split(by, ",")
}

// covers says whether a table is a total of one with more dimensions, with no other
// published table between the two.
func (l *lattice) covers(set, finer []string) bool {
	within := func(a, b []string) bool {
		return len(a) < len(b) && !slices.ContainsFunc(a, func(d string) bool { return !slices.Contains(b, d) })
	}
	return within(set, finer) && !slices.ContainsFunc(l.version.Published, func(between []string) bool {
		return within(set, between) && within(between, finer)
	})
}

// project is the key of a place in a table of fewer dimensions.
func project(at place, set []string) string {
	own, values := dimensionsOf(at.by), split(at.key, len(dimensionsOf(at.by)))
	var key []string
	for _, d := range set {
		key = append(key, values[slices.Index(own, d)])
	}
	return join(key)
}

// mask settles which of the fresh figures are hidden.
func (l *lattice) mask(k int) {
	if len(l.figures) == 0 {
		return
	}
	hidden := disclosure.Lattice(l.figures, l.totals, l.measures, k)
	for _, p := range l.fresh {
		p.hidden = hidden[l.of[p]]
	}
}

// maskTogether settles which of the fresh figures are hidden, for versions that count the same events: where one of them
// has few persons all are guarded as it is, and where one is hidden all are. So the tables that each of them could as
// well have come from differ in hidden figures of all of them alone, and who knows all knows no more of one.
func maskTogether(list []*lattice, k int) {
	few := map[place]int{} // the fewest persons, where they are few
	for _, l := range list {
		for p, i := range l.of {
			if n := l.figures[i].Persons; n > 0 && n < k && (few[p.place] == 0 || n < few[p.place]) {
				few[p.place] = n
			}
		}
	}
	for _, l := range list {
		for p, i := range l.of {
			if n := few[p.place]; n > 0 {
				l.figures[i].Persons = n
			}
		}
		l.mask(k)
	}
	for again := true; again; {
		again = false
		hidden := map[place]bool{}
		for _, l := range list {
			for p := range l.of {
				hidden[p.place] = hidden[p.place] || p.hidden
			}
		}
		for _, l := range list {
			changed := false
			for _, p := range l.fresh {
				if i, ok := l.of[p]; ok && hidden[p.place] && !p.hidden {
					l.figures[i].Hidden, changed = true, true
				}
			}
			if changed {
				l.mask(k)
				again = true
			}
		}
	}
}
