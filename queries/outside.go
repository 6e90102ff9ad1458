package queries

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Audience is who is to see an answer.
type Audience string

const (
	Inside  Audience = ""        // signed-in people: any table, cells of few persons hidden
	Outside Audience = "outside" // everybody: what was published
)

// checkAudience refuses what there is not.
func checkAudience(a Audience) error {
	switch a {
	case Inside, "inside", Outside:
		return nil
	}
	return bad("audience", "%q is no audience; allowed: inside, outside", a).Of(string(Outside), "inside").
		Also("uz", "“%s” degan oʻquvchilar doirasi yoʻq.", a).
		Also("ru", "Круга читателей «%s» нет.", a)
}

// published says whether a question is answered from what was published: to people outside,
// and of contracts with special fields to everybody.
func (q *Queries) published(qn *question) bool {
	return qn.outside || q.special(qn.version)
}

// table is the published table that a question asks for: the dimensions that it is broken
// down and filtered by.
func (q *Queries) table(qn *question) ([]string, error) {
	if !publishes(qn.version) {
		var ids []string
		for _, k := range q.catalogue.All() {
			if slices.ContainsFunc(k.Versions, func(v kpi.Version) bool { return publishes(&v) }) {
				ids = append(ids, k.ID)
			}
		}
		if len(ids) == 0 {
			return nil, bad("audience", "%s is not published, nor is any other KPI", qn.kpi.ID).
				Also("uz", "Bu koʻrsatkich eʼlon qilinmagan.").
				Also("ru", "Этот показатель не опубликован.")
		}
		return nil, bad("audience", "%s is not published; published are %s", qn.kpi.ID, strings.Join(ids, ", ")).
			Also("uz", "Bu koʻrsatkich eʼlon qilinmagan.").
			Also("ru", "Этот показатель не опубликован.")
	}
	asked := qn.needed()
	var tables []string
	for _, set := range qn.version.Published {
		if len(set) == len(asked) && !slices.ContainsFunc(set, func(d string) bool { return !slices.Contains(asked, d) }) {
			for _, f := range qn.where {
				if len(f.values) > 1 && !slices.Contains(qn.by, f.dimension) {
					return nil, bad("where", "several values of %s are not added up: that figure is not published; break down by %s", f.dimension, f.dimension).
						Also("uz", "“%s” boʻyicha bir nechta qiymat qoʻshib berilmaydi: bunday koʻrsatkich eʼlon qilinmagan; shu kesimda koʻring.", f.dimension).
						Also("ru", "Несколько значений «%s» не складываются: такой показатель не опубликован; смотрите в этом разрезе.", f.dimension)
				}
			}
			return set, nil
		}
		name := strings.Join(set, " and ")
		if name == "" {
			name = "none"
		}
		tables = append(tables, name)
	}
	field := "by"
	if slices.ContainsFunc(qn.version.Published, func(set []string) bool {
		return len(set) == len(qn.by) && !slices.ContainsFunc(set, func(d string) bool { return !slices.Contains(qn.by, d) })
	}) {
		field = "where" // without it the question is that of a table
	}
	refusal := bad(field, "%s is published by these dimensions: %s", qn.kpi.ID, strings.Join(tables, "; "))
	if field == "by" {
		for _, set := range qn.version.Published {
			if len(set) > 0 {
				refusal.Allowed = append(refusal.Allowed, strings.Join(set, ","))
			}
		}
	}
	return nil, refusal.
		Also("uz", "Bu koʻrsatkich soʻralgan kesimda eʼlon qilinmaydi.").
		Also("ru", "В запрошенном разрезе этот показатель не публикуется.")
}

// publishedPeriods are the calendar periods of a question, which gets their grain. Days
// that are no whole periods are refused.
func (q *Queries) publishedPeriods(qn *question, src *sources) ([]publishedPeriod, error) {
	grains := q.publishedGrains(qn.version)
	names := make([]string, len(grains))
	for i, g := range grains {
		names[i] = string(g)
	}
	whole := func(g Grain) bool {
		return (qn.from == reference.NoDay || q.calendar.start(g, qn.from) == qn.from) && (qn.to == reference.NoDay || q.calendar.start(g, qn.to+1) == qn.to+1)
	}
	one := qn.grain == Whole && qn.from != reference.NoDay && qn.to != reference.NoDay
	switch {
	case len(grains) == 0:
		return nil, bad("grain", "%s is not published for any period", qn.kpi.ID).
			Also("uz", "Bu koʻrsatkich hech bir davr uchun eʼlon qilinmaydi.").
			Also("ru", "Этот показатель не публикуется ни за какой период.")
	case one:
		i := slices.IndexFunc(grains, func(g Grain) bool { return whole(g) && q.calendar.after(g, qn.from) == qn.to+1 })
		if i < 0 {
			return nil, bad("to", "%s is published for a whole %s; %s to %s is none", qn.kpi.ID, strings.Join(names, ", "), qn.from, qn.to).
				Also("uz", "Bu koʻrsatkich faqat toʻliq davr uchun eʼlon qilinadi (%s); %sdan %sgacha boʻlgan kunlar bunday davr emas.", grainsIn("uz", grains...), dayIn("uz", qn.from), dayIn("uz", qn.to)).
				Also("ru", "Этот показатель публикуется только за целый период (%s); дни с %s по %s таким периодом не являются.", grainsIn("ru", grains...), dayIn("ru", qn.from), dayIn("ru", qn.to))
		}
		qn.grain = grains[i]
	case qn.grain == Whole:
		qn.grain = grains[len(grains)-1]
	}
	if !slices.Contains(grains, qn.grain) {
		return nil, bad("grain", "%s is published by %s, not by %s", qn.kpi.ID, strings.Join(names, ", "), qn.grain).Of(names...).
			Also("uz", "Bu koʻrsatkich faqat shu davrlar boʻyicha eʼlon qilinadi: %s.", grainsIn("uz", grains...)).
			Also("ru", "Этот показатель публикуется только по таким периодам: %s.", grainsIn("ru", grains...))
	}
	if !whole(qn.grain) {
		return nil, bad("from", "%s is published for a whole %s; begin and end with one", qn.kpi.ID, qn.grain).
			Also("uz", "Bu koʻrsatkich faqat toʻliq davr uchun eʼlon qilinadi (%s): soʻralgan kunlar davr boshida boshlanib, oxirida tugashi kerak.", grainsIn("uz", qn.grain)).
			Also("ru", "Этот показатель публикуется только за целый период (%s): первый и последний день должны быть его началом и концом.", grainsIn("ru", qn.grain))
	}
	if qn.from == reference.NoDay {
		if src.first == reference.NoDay {
			return nil, nil
		}
		qn.from = q.calendar.start(qn.grain, src.first)
	}
	if qn.to == reference.NoDay {
		qn.to = q.calendar.after(qn.grain, q.calendar.start(qn.grain, max(min(src.last, qn.today), qn.from))) - 1
	}
	var list []publishedPeriod
	for _, p := range q.calendar.periods(qn.grain, qn.from, qn.to, q.maxCells) {
		list = append(list, publishedPeriod{qn.grain, p})
	}
	if len(list) > q.maxCells {
		return nil, q.tooMany("grain", "%s to %s by %s is more than %d cells; ask for a shorter period or a coarser grain", qn.from, qn.to, qn.grain, q.maxCells)
	}
	return list, nil
}

// answerPublished answers from what was published. Of periods that are open, or closed and
// not published yet, the figure of the whole is told as it stands, unless few persons stand
// behind it or a part of it; everything else is hidden.
func (q *Queries) answerPublished(ctx context.Context, qn *question, src *sources, said []closing) (*answer, error) {
	set, err := q.table(qn)
	if err != nil {
		return nil, err
	}
	if q.warehouse.Contract(contract.FigurePublished) == nil {
		return nil, problem.New(problem.Internal, "queries: the pack has no contract %s", contract.FigurePublished)
	}
	periods, err := q.publishedPeriods(qn, src)
	if err != nil {
		return nil, err
	}
	if len(periods) == 0 {
		return &answer{coverage: src.coverage(nil, qn.today), notes: []Note{{Key: "nothing-received"}}}, nil
	}
	qn.spans = nil
	bare := *qn
	bare.by, bare.where = nil, nil
	reporting, err := q.reporting(ctx, &bare)
	if err != nil {
		return nil, err
	}
	all, err := q.publicationsOf(ctx, qn, set)
	if err != nil {
		return nil, err
	}
	live, plan, err := q.standing(ctx, qn, set, periods, all)
	if err != nil {
		return nil, err
	}
	if plan == nil {
		plan = &Plan{Table: strings.ReplaceAll(q.warehouse.Facts(q.warehouse.Contract(contract.FigurePublished)), "`", ""), Why: "what was published"}
	}
	name := strings.Join(set, ",")
	keys := map[string]bool{}
	for at := range all {
		if at.by == name && q.passes(qn, set, at.key) {
			keys[at.key] = true
		}
	}
	if len(set) == 0 {
		keys[""] = true
	} else if len(set) == 1 {
		for _, value := range qn.filtered(set[0]) {
			keys[value] = true
		}
	}
	sorted := slices.Collect(maps.Keys(keys))
	order := func(key string) string { return project(place{by: name, key: key}, qn.by) }
	sort.Slice(sorted, func(a, b int) bool { return order(sorted[a]) < order(sorted[b]) })
	a := &answer{plan: plan}
	var waiting []string
	anySeen := map[string]bool{}
	for i, p := range periods {
		seen := reporting[key{from: p.period.from}]
		maps.Copy(anySeen, seen)
		coverage := src.coverage(seen, p.period.to)
		for _, values := range sorted {
			c := q.cell(qn, p.period, order(values))
			c.Coverage = coverage
			list, waits := lastTold(all[place{p.grain, p.period.from, name, values}])
			if waits && !slices.Contains(waiting, c.Period) {
				waiting = append(waiting, c.Period)
			}
			switch {
			case len(list) > 0:
				list[len(list)-1].tell(&c)
			case live != nil:
				dims, at := c.Dims, live[i]
				at.Dims, at.Coverage = dims, coverage
				c = at
			default:
				c.suppress()
			}
			if c.State == Suppressed { // that there are rows is hidden, too; who simulates stands in the coverage
				c.Simulated = len(coverage.Simulated) > 0
			}
			q.settle(qn, src, said, &c)
			if len(list) > 1 {
				c.corrected(list[len(list)-1].on, list[len(list)-2], true)
			}
			a.cells = append(a.cells, c)
		}
	}
	if len(waiting) > 0 {
		a.notes = append(a.notes, Note{"correction-waits", map[string]string{"periods": shorten(waiting)}})
	}
	a.coverage = src.coverage(anySeen, qn.to)
	return a, nil
}

// lastTold are the publications of a place up to the one that is told: the newest that is shown, since what everybody has
// seen is not taken back. A newer one that is hidden waits until it can be told beside that one; waits says so.
// Where none was shown it is the newest.
func lastTold(list []*publication) (_ []*publication, waits bool) {
	for i, p := range slices.Backward(list) {
		if !p.hidden {
			return list[:i+1], i+1 < len(list)
		}
	}
	return list, false
}

// passes says whether a key of a table has the values that a question asks for.
func (q *Queries) passes(qn *question, set []string, key string) bool {
	values := split(key, len(set))
	for _, f := range qn.where {
		if !slices.Contains(f.values, values[slices.Index(set, f.dimension)]) {
			return false
		}
	}
	return true
}

// standing are the figures of the whole for the periods as they stand; nil when the question
// is not about the whole. One of few persons, or with a shortest period of few persons in
// it, is hidden.
func (q *Queries) standing(ctx context.Context, qn *question, set []string, periods []publishedPeriod, all map[place][]*publication) ([]Cell, *Plan, error) {
	if len(set) > 0 {
		return nil, nil, nil
	}
	if !slices.ContainsFunc(periods, func(p publishedPeriod) bool { return len(all[place{p.grain, p.period.from, "", ""}]) == 0 }) {
		return make([]Cell, len(periods)), nil, nil // none is asked for
	}
	shortest := q.publishedGrains(qn.version)[0]
	parts := slices.Clone(periods)
	var inside [][]int // period → places of its shortest periods in parts
	for i, p := range periods {
		inside = append(inside, nil)
		if p.grain == shortest {
			continue
		}
		for _, s := range q.calendar.periods(shortest, p.period.from, min(p.period.to, max(qn.today, p.period.from)), q.maxCells) {
			inside[i] = append(inside[i], len(parts))
			parts = append(parts, publishedPeriod{shortest, s})
		}
	}
	cells, persons, plan, err := q.unhidden(ctx, qn, nil, parts)
	if err != nil {
		return nil, nil, err
	}
	if len(cells) != len(parts) {
		return nil, nil, problem.New(problem.Internal, "queries: %s has %d figures for %d periods", qn.kpi.ID, len(cells), len(parts))
	}
	few := func(i int) bool {
		if list := all[place{parts[i].grain, parts[i].period.from, "", ""}]; len(list) > 0 {
			return list[len(list)-1].hidden
		}
		return qn.version.Guarded() && persons[i] > 0 && persons[i] < q.k
	}
	for i := range periods {
		cells[i].Period = periods[i].period.label
		if few(i) || slices.ContainsFunc(inside[i], few) {
			cells[i].suppress()
		}
	}
	return cells[:len(periods)], plan, nil
}

// tell fills a cell with what was published.
func (p *publication) tell(c *Cell) {
	c.Simulated = p.simulated
	if p.hidden {
		c.suppress()
		return
	}
	c.Numerator, c.Denominator, c.Value, c.State, c.Reason, c.Cases, c.Quantiles = p.numerator, p.denominator, p.value, p.state, p.reason, p.cases, p.quantiles
}

// corrected marks a cell whose figure was published otherwise before.
func (c *Cell) corrected(on reference.Day, was *publication, outside bool) {
	c.Corrected, c.WasState, c.Was = dateOf(on), was.state, was.value
	if outside && was.hidden || c.State == Suppressed {
		c.WasState, c.Was = Suppressed, nil
	}
}

// publishedTable is the published table that has the cells of a question; false: none has.
func (q *Queries) publishedTable(qn *question) ([]string, bool) {
	asked := qn.needed()
	for _, set := range qn.version.Published {
		if len(set) == len(asked) && !slices.ContainsFunc(set, func(d string) bool { return !slices.Contains(asked, d) }) {
			return set, true
		}
	}
	return nil, len(asked) == 0
}

// correct marks the cells of an answer that was not made from what was published: those
// that are now other than they were published, or were corrected before.
func (q *Queries) correct(qn *question, all map[place][]*publication, cells []Cell) {
	set, ok := q.publishedTable(qn)
	if !ok || len(all) == 0 {
		return
	}
	for i := range cells {
		c := &cells[i]
		values := make([]string, len(set))
		for j, d := range set {
			if at := slices.IndexFunc(c.Dims, func(x Dim) bool { return x.Name == d }); at >= 0 {
				values[j] = c.Dims[at].Value
			} else if f := qn.filtered(d); len(f) == 1 {
				values[j] = f[0]
			} else {
				return // several values added up: not published as one figure
			}
		}
		for _, g := range q.publishedGrains(qn.version) {
			from := c.From
			if qn.version.Basis == "stock" {
				from = q.calendar.start(g, c.To)
			}
			if q.calendar.start(g, from) != from || q.calendar.after(g, from) != c.To+1 {
				continue
			}
			list := all[place{g, from, strings.Join(set, ","), join(values)}]
			if len(list) == 0 {
				break
			}
			last := list[len(list)-1]
			now := publication{state: c.State, reason: c.Reason, numerator: c.Numerator, denominator: c.Denominator, value: c.Value, quantiles: c.Quantiles, cases: last.cases, hidden: last.hidden}
			hidden := func(p *publication) bool { return qn.version.Guarded() && p.persons > 0 && p.persons < q.k }
			switch {
			case c.State != Suppressed && !now.same(last):
				c.corrected(qn.today, last, hidden(last)) // it will be published anew
			case len(list) > 1:
				was := list[len(list)-2]
				c.corrected(last.on, was, hidden(was))
			}
			break
		}
	}
}
