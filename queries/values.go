package queries

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries/disclosure"
	"ombor/warehouse"
)

// Values answers one request. An unknown KPI is NotFound; an unknown dimension,
// value, grain, version or a period that cannot be is BadInput, names the parameter and
// lists what is allowed.
func (q *Queries) Values(ctx context.Context, r Request) (*Result, error) {
	qn, err := q.asked(ctx, r)
	if err != nil {
		return nil, err
	}
	if _, err := language(r.Language); err != nil {
		return nil, err
	}
	qn.shared = q.remembered(qn.knownOn)
	if q.published(qn) {
		return q.valuesPublished(ctx, qn, r)
	}
	asked := *qn // answering closes the open ends
	beside, besideCtx := errgroup.WithContext(ctx)
	var said []closing
	var before map[place][]*publication
	beside.Go(func() (err error) { said, err = q.closings(besideCtx, &asked); return err })
	if set, ok := q.publishedTable(qn); ok && publishes(qn.version) {
		beside.Go(func() (err error) {
			before, err = q.publicationsOf(besideCtx, &asked, set)
			return err
		})
	}
	var src *sources
	var a *answer
	if qn.version.Basis == kpi.Events && qn.from != reference.NoDay && qn.to != reference.NoDay {
		// Nothing of the answer hangs on the sources before the end: ask for both at once.
		group, ctx := errgroup.WithContext(ctx)
		var failed error
		done := make(chan struct{})
		group.Go(func() error {
			src, failed = q.sources(ctx, &asked)
			close(done)
			return failed
		})
		group.Go(func() (err error) {
			a, err = q.answerEvents(ctx, qn, func() (*sources, error) { <-done; return src, failed })
			return err
		})
		if err := group.Wait(); err != nil {
			return nil, err
		}
	} else {
		if src, err = q.sources(ctx, qn); err != nil {
			return nil, err
		}
		if a, err = q.answer(ctx, qn, src); err != nil {
			return nil, err
		}
	}
	if err := beside.Wait(); err != nil {
		return nil, err
	}
	qn.arriving = qn.arriving || qn.several() && q.arriving() // since it was asked
	for i := range a.cells {
		c := &a.cells[i]
		if i > 0 && a.cells[i-1].From == c.From && a.cells[i-1].To == c.To { // cells of one period close together
			c.Closed, c.Unclosed = a.cells[i-1].Closed, a.cells[i-1].Unclosed
			continue
		}
		q.settle(qn, src, said, c)
	}
	if qn.arriving {
		a.notes = append(a.notes, Note{Key: "being-loaded"})
	} else {
		q.correct(qn, before, a.cells)
	}
	if qn.compare != NoComparison && len(a.cells) > 0 {
		compared := q.compared
		if qn.compare == National {
			compared = q.beside
		}
		if err := compared(ctx, qn, src, a); err != nil {
			return nil, err
		}
	}
	if err := q.aim(ctx, qn, a.cells); err != nil {
		return nil, err
	}
	return q.result(ctx, qn, r, src, a)
}

// valuesPublished answers from what was published.
func (q *Queries) valuesPublished(ctx context.Context, qn *question, r Request) (*Result, error) {
	src, err := q.sources(ctx, qn)
	if err != nil {
		return nil, err
	}
	said, err := q.closings(ctx, qn)
	if err != nil {
		return nil, err
	}
	a, err := q.answerPublished(ctx, qn, src, said)
	if err != nil {
		return nil, err
	}
	if qn.compare != NoComparison && len(a.cells) > 0 {
		if qn.compare == National {
			return nil, bad("compare", "what is published is held against an earlier period only: previous, year").Of("previous", "year").
				Also("uz", "Eʼlon qilingan koʻrsatkich faqat oldingi davrlar bilan taqqoslanadi.").
				Also("ru", "Опубликованное сравнивается только с более ранними периодами.")
		}
		before, earlier := q.earlier(qn, a.cells)
		b, err := q.answerPublished(ctx, before, src, said)
		if err != nil {
			return nil, err
		}
		match(before.grain, a.cells, earlier, b.cells)
	}
	a.notes = append(a.notes, Note{Key: "published-only"})
	if err := q.aim(ctx, qn, a.cells); err != nil {
		return nil, err
	}
	result, err := q.result(ctx, qn, r, src, a)
	if err == nil {
		result.Audience = Outside
		if r.Audience == Outside {
			result.Plan = nil // how it is stored is not published
		}
	}
	return result, err
}

// result is an answer with all that belongs beside its cells.
func (q *Queries) result(ctx context.Context, qn *question, r Request, src *sources, a *answer) (*Result, error) {
	result := q.describe(qn, r)
	last := reference.NoDay
	if qn.version.Basis == kpi.Stock {
		if last = qn.to; last == reference.NoDay {
			last = qn.today
		}
	}
	result.DataThrough = q.through(src, last)
	if !src.loaded.IsZero() {
		loaded := src.loaded.In(q.warehouse.Zone())
		result.Loaded = &loaded
	}
	result.Cells, result.Said = a.cells, append(result.Said, a.notes...)
	if result.Cells == nil {
		result.Cells = []Cell{}
	}
	result.From, result.To = Date{}, Date{}
	for i, c := range a.cells {
		if i == 0 || c.From < result.From.Day {
			result.From = dateOf(c.From)
		}
		if i == 0 || c.To > result.To.Day {
			result.To = dateOf(c.To)
		}
		result.Simulated = result.Simulated || c.Simulated
	}
	result.Coverage = a.coverage
	if valid := qn.version.Valid; result.From.Set && valid.From != reference.NoDay && result.From.Day < valid.From {
		result.Said = append(result.Said, Note{"version-valid-from", map[string]string{"version": fmt.Sprint(qn.version.Version), "day": valid.From.String()}})
	}
	if sharesCases(qn.kpi, qn.version) {
		var above []string
		for _, c := range a.cells {
			if c.exceeds() && !slices.Contains(above, c.Period) {
				above = append(above, c.Period)
			}
		}
		if len(above) > 0 {
			result.Said = append(result.Said, Note{aboveAll, map[string]string{"periods": shorten(above)}})
		}
	}
	if result.Simulated {
		result.Said = append(result.Said, Note{Key: "simulated"})
		scale, known, err := q.scaled(ctx, qn)
		if err != nil {
			return nil, err
		}
		if known && scale != 1 {
			result.Said = append(result.Said, Note{"scale", map[string]string{"percent": strconv.FormatFloat(100*scale, 'g', 4, 64)}})
		}
	}
	result.Names = q.names(qn, a.cells)
	if r.Plan {
		result.Plan = a.plan
	}
	words, err := language(r.Language)
	if err != nil {
		return nil, err
	}
	speaker := q.speaker(words)
	var unclosed []string
	for _, c := range a.cells {
		for _, source := range c.Unclosed {
			unclosed = append(unclosed, speaker.title(source))
		}
	}
	if slices.Sort(unclosed); len(unclosed) > 0 {
		result.Said = append(result.Said, Note{"not-closed-by-source", map[string]string{"names": shorten(slices.Compact(unclosed))}})
	}
	if err := q.weighMissing(ctx, qn, a.cells, Cell{From: result.From.Day, To: result.To.Day, Coverage: result.Coverage}); err != nil {
		return nil, err
	}
	speaker.result(result)
	return result, nil
}

// through is how far the data behind an answer reach, not beyond its last day (NoDay: it
// has none); nil when there are none.
func (q *Queries) through(src *sources, last reference.Day) *time.Time {
	if src.through.IsZero() {
		return nil
	}
	through := src.through.In(q.warehouse.Zone())
	if last != reference.NoDay {
		year, month, day := last.Time().Date()
		if end := time.Date(year, month, day, 23, 59, 59, 0, q.warehouse.Zone()); through.After(end) {
			through = end
		}
	}
	return &through
}

func (q *Queries) describe(qn *question, r Request) *Result {
	k, v := qn.kpi, qn.version
	result := &Result{
		KPI: k.ID, Title: k.Title, Audience: "inside", Unit: string(k.Unit), Direction: string(k.Direction), Owner: k.Owner, Basis: string(v.Basis),
		Version: v.Version, Variant: v.Variant, Grain: qn.grain, By: qn.by, Where: map[string][]string{}, Compare: qn.compare,
		KnownOn:    dateOf(qn.knownOn),
		Definition: Definition{About: k.About, From: v.From, At: qn.sides[0].At, Source: v.Source.In("en"), Sources: v.Source, ValidFrom: dateOf(v.Valid.From), ValidTo: dateOf(v.Valid.To), Exact: true},
	}
	if result.By == nil {
		result.By = []string{}
	}
	for _, f := range qn.where {
		result.Where[f.dimension] = f.values
	}
	d := &result.Definition
	if v.Numerator != nil {
		d.Numerator = v.Numerator.Text
	}
	if v.Denominator != nil {
		d.Denominator = v.Denominator.Text
	}
	if v.Distribution != nil {
		d.Of, d.Quantiles, d.Exact, d.Error = cmp.Or(v.Distribution.Text, v.Distribution.Of), v.Distribution.Quantiles, false, warehouse.RelativeError
	}
	if v.Distinct != nil {
		d.Of = v.Distinct.Of
	}
	if v.Per != nil {
		d.Denominator = v.Per.String()
	}
	if v.Backlog != nil {
		d.Of, d.Quantiles = v.Backlog.String(), v.Backlog.Quantiles
	}
	return result
}

// names are those of the reference codes in the cells.
func (q *Queries) names(qn *question, cells []Cell) map[string]map[string]reference.Names {
	all := map[string]map[string]reference.Names{}
	for i, dimension := range qn.by {
		f := qn.sides[0].contract.Field(dimension)
		if f == nil || f.Type != contract.Ref {
			continue
		}
		table := q.refs.Table(f.To)
		if table == nil {
			continue
		}
		all[dimension] = map[string]reference.Names{}
		last := ""
		for _, c := range cells {
			value := c.Dims[i].Value
			if value == last { // as most often: cells are sorted
				continue
			}
			if row, ok := table.Get(value); ok {
				all[dimension][value] = row.Names
			}
			last = value
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// answer is the cells of a question, without comparison.
type answer struct {
	cells    []Cell
	persons  []disclosure.Cell // of the cells of spans, whose reader decides what is held against what
	coverage *Coverage
	plan     *Plan
	notes    []Note
}

func (q *Queries) answer(ctx context.Context, qn *question, src *sources) (*answer, error) {
	switch qn.version.Basis {
	case kpi.Reported:
		return q.answerReported(ctx, qn)
	case kpi.Stock:
		return q.answerStock(ctx, qn, src)
	}
	if !qn.span(src) {
		return &answer{coverage: src.coverage(nil, qn.today), notes: []Note{{Key: "nothing-received"}}}, nil
	}
	return q.answerEvents(ctx, qn, func() (*sources, error) { return src, nil })
}

func (q *Queries) planOf(ctx context.Context, s *statement) (*Plan, error) {
	rows, err := q.warehouse.Rows(ctx, s.table)
	return &Plan{Table: strings.ReplaceAll(s.table, "`", ""), Rows: rows, Why: s.why, SQL: s.sql, Bindings: s.params}, err
}

// span closes the open ends of a question with the days of the data. It answers false
// when there is nothing to ask about.
func (qn *question) span(src *sources) bool {
	if qn.from == reference.NoDay {
		qn.from = src.first
		if qn.to != reference.NoDay && qn.from > qn.to {
			qn.from = qn.to
		}
	}
	if qn.from == reference.NoDay {
		return false
	}
	if qn.to == reference.NoDay {
		qn.to = max(src.last, qn.from)
	}
	return true
}

// answerEvents answers for days that both are given. wait gives the sources, which may
// still be read.
func (q *Queries) answerEvents(ctx context.Context, qn *question, wait func() (*sources, error)) (*answer, error) {
	if err := q.checkDistinct(qn); err != nil {
		return nil, err
	}
	periods := qn.spans
	if periods == nil {
		periods = q.calendar.periods(qn.grain, qn.from, qn.to, q.maxCells)
	}
	if len(periods) > q.maxCells {
		return nil, q.tooMany("grain", "%s to %s by %s is more than %d cells; ask for a shorter period or a coarser grain", qn.from, qn.to, qn.grain, q.maxCells)
	}
	s, err := q.events(ctx, qn)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if a.plan, err = q.planOf(ctx, s); err != nil {
		return nil, err
	}
	var rows []*sums // of each period by each tuple
	var tuples []string
	var values [][]string // of each tuple
	var persons []disclosure.Cell
	var hidden func() []bool
	var reporting map[key]map[string]bool
	group, asking := errgroup.WithContext(ctx)
	group.Go(func() error {
		found, err := q.find(asking, qn, s)
		if err != nil {
			return err
		}
		if qn.grain == School { // what is dated in the holidays belongs to no quarter
			found = maps.Clone(found)
			maps.DeleteFunc(found, func(k key, _ *sums) bool { return k.from == 0 })
		}
		if tuples = tuplesOf(qn, found); len(tuples)*len(periods) > q.maxCells { // before persons are counted, which takes long
			return q.tooMany("by", "the answer has more than %d cells; ask for a shorter period, a coarser grain or fewer dimensions", q.maxCells)
		}
		if qn.version.Persons != "" {
			if err := q.countPersons(asking, qn, s, found); err != nil {
				return err
			}
			for _, sum := range found { // what is only taken away is somebody's, too
				if sum.persons == 0 && (!sum.numerator.zero() || !sum.denominator.zero()) {
					sum.persons = 1
				}
			}
		}
		rows = make([]*sums, 0, len(periods)*len(tuples))
		persons = make([]disclosure.Cell, 0, cap(rows))
		for _, p := range periods {
			k := key{hour: p.hour, span: p.span}
			if qn.grain != Whole {
				k.from = q.calendar.start(qn.grain, p.from)
			}
			for _, k.by = range tuples {
				sum := found[k]
				if sum == nil {
					sum = qn.nothing()
				}
				rows = append(rows, sum)
				persons = append(persons, q.guarded(qn.version, sum))
			}
		}
		values = splitAll(tuples, len(qn.by))
		switch {
		case qn.spans != nil:
			placed(persons, periods, values)
		case levels(qn.version):
			hidden = func() []bool { return q.hideLevels(persons, values, rows) }
		default:
			placed(persons, periods, values)
			hidden = q.hidden(qn, persons, periods)
		}
		return nil
	})
	group.Go(func() (err error) {
		reporting, err = q.reporting(asking, qn)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	src, err := wait()
	if err != nil {
		return nil, err
	}
	fill := q.filling(qn)
	a.cells = make([]Cell, len(rows))
	dims := dimsOf(qn.by, values)
	anySeen := map[string]bool{}
	for i, p := range periods {
		seenKey := key{span: p.span}
		if qn.grain != Whole {
			seenKey.from = q.calendar.start(qn.grain, p.from)
		}
		seen := reporting[seenKey]
		maps.Copy(anySeen, seen)
		coverage := src.coverage(seen, p.to)
		for j := range tuples {
			at := i*len(tuples) + j
			c := &a.cells[at]
			*c = Cell{Period: p.label, From: p.from, To: p.to, Dims: dims[j], Coverage: coverage}
			fill.cell(c, rows[at], len(seen) > 0)
		}
	}
	a.coverage = src.coverage(anySeen, qn.to)
	if qn.spans != nil {
		a.persons = persons
	} else {
		suppress(a.cells, hidden())
	}
	return a, q.withhold(ctx, qn, s, a)
}

// placed gives the cells of all periods their places in the table.
func placed(cells []disclosure.Cell, periods []period, tuples [][]string) {
	if len(cells) == 0 {
		return
	}
	keys := make([]string, 0, len(cells)*(1+len(tuples[0]))) // of one piece
	for i, p := range periods {
		for j, values := range tuples {
			from := len(keys)
			keys = append(append(keys, p.label), values...)
			cells[i*len(tuples)+j].Key = keys[from:len(keys):len(keys)]
		}
	}
}

// dimsOf are the dimensions of the cells of each tuple.
func dimsOf(by []string, tuples [][]string) [][]Dim {
	list, dims := make([][]Dim, len(tuples)), make([]Dim, 0, len(tuples)*len(by))
	for j, values := range tuples {
		from := len(dims)
		for i, value := range values {
			dims = append(dims, Dim{by[i], value})
		}
		list[j] = dims[from:len(dims):len(dims)]
	}
	return list
}

// enough is a number of persons as far as it matters. A rollup counts no further, and what is
// hidden must not hang on the table that was read.
func (q *Queries) enough(persons int) int { return min(persons, q.k+1) }

// hide suppresses the cells of one table that tell of too few persons, and those that
// would give them away.
func (q *Queries) hide(qn *question, cells []Cell, persons []disclosure.Cell, periods []period) {
	suppress(cells, q.hidden(qn, persons, periods)())
}

// hidden works out beside the caller which cells of one table are to be suppressed; what it returns waits for
// that. It is nil for figures without persons.
func (q *Queries) hidden(qn *question, persons []disclosure.Cell, periods []period) (wait func() []bool) {
	if !qn.version.Guarded() {
		return func() []bool { return nil }
	}
	done := make(chan []bool, 1)
	go func() { done <- disclosure.Inside(persons, q.k, q.inTable(qn, persons, periods)...) }()
	return func() []bool { return <-done }
}

func suppress(cells []Cell, hidden []bool) {
	for i, is := range hidden {
		if is {
			cells[i].suppress()
		}
	}
}

// nothing is what the formulae give for no rows: sums are 0, a least or greatest value
// does not exist.
func (qn *question) nothing() *sums {
	of := func(f *kpi.Formula) Number {
		if f != nil && !f.Retractable() {
			return ""
		}
		return "0"
	}
	return &sums{numerator: of(qn.version.Numerator), denominator: of(qn.version.Denominator)}
}

// suppress leaves nothing of a cell but its place.
func (c *Cell) suppress() {
	c.Numerator, c.Denominator, c.Value, c.Cases, c.Quantiles, c.Reason, c.State = "", "", nil, nil, nil, "", Suppressed
}

func (q *Queries) cell(qn *question, p period, by string) Cell {
	return Cell{Period: p.label, From: p.from, To: p.to, Dims: dimsOf(qn.by, splitAll([]string{by}, len(qn.by)))[0]}
}

// rowsTold says how many rows a figure is made of; nil: that is not told.
type rowsTold func(numerator, denominator Number, rows *int64) *int64

// rowsToldBy tells of a version how many rows a figure is made of, as far as that may be told: with persons only of rows
// that are in the figure, since those are the ones whose persons were counted. Other rows of the cell may be of
// one person. So it is all rows where an aggregate takes each of them, else what a plain count has
// found, else nothing (nil).
func rowsToldBy(v *kpi.Version) rowsTold {
	all := func(_, _ Number, rows *int64) *int64 { return rows }
	if !v.Guarded() || v.Persons != "" && v.Basis == kpi.Stock || v.Distinct != nil || v.Distribution != nil {
		return all
	}
	taken := func(side kpi.Side) bool { // of which the persons of all rows were counted
		return !v.OfPersons && slices.ContainsFunc([]*kpi.Formula{v.Numerator, v.Denominator}, func(f *kpi.Formula) bool {
			return f != nil && slices.ContainsFunc(f.Terms, func(t kpi.Term) bool { return t.If == "" && side.Counts(t) })
		})
	}
	if !slices.ContainsFunc(v.Sides(), func(side kpi.Side) bool { return !taken(side) }) {
		return all
	}
	counts := func(f *kpi.Formula) bool {
		return f != nil && len(f.Terms) == 1 && f.Terms[0].Func == kpi.CountRows && f.Terms[0].Coefficient == 1
	}
	found := func(n Number) *int64 {
		count, err := strconv.ParseInt(string(n), 10, 64)
		if err != nil {
			return nil
		}
		return &count
	}
	switch {
	case counts(v.Denominator):
		return func(_, denominator Number, rows *int64) *int64 {
			if rows == nil {
				return nil
			}
			return found(denominator)
		}
	case v.Denominator != nil || !counts(v.Numerator):
		return func(_, _ Number, _ *int64) *int64 { return nil }
	}
	return func(numerator, _ Number, rows *int64) *int64 {
		if rows == nil {
			return nil
		}
		return found(numerator)
	}
}

// filling makes cells of sums; what is the same for all cells of a question is found once.
type filling struct {
	version *kpi.Version
	unit    kpi.Unit
	minor   int64
	told    rowsTold
	per     func(*Cell) Number // of versions with Per
}

func (q *Queries) filling(qn *question) filling {
	return filling{qn.version, qn.kpi.Unit, q.minorUnits(qn), rowsToldBy(qn.version), q.per(qn)}
}

// cell divides. provided says whether anybody reported for the period.
func (f filling) cell(c *Cell, s *sums, provided bool) {
	v := f.version
	c.Simulated = s.simulated > 0
	cases := s.cases
	if !provided && cases == 0 {
		c.State = NotProvided
		return
	}
	c.Cases = f.told(s.numerator, s.denominator, &cases)
	if quantiles := v.Quantiles(); quantiles != nil {
		values, n := quantilesOf(v, s.buckets)
		c.Cases = &n
		if n == 0 {
			c.State, c.Reason = NotApplicable, kpi.NoCases
			return
		}
		for i, value := range values {
			c.Quantiles = append(c.Quantiles, Quantile{quantiles[i], value})
		}
		c.Value, c.State = &values[0], HasValue
		if values[0] == 0 {
			c.State = Zero
		}
		return
	}
	c.Numerator = s.numerator
	numerator, ok := s.numerator.Float()
	if !ok { // the least of no rows
		c.State, c.Reason = NotApplicable, kpi.NoCases
		return
	}
	var denominator *float64
	if v.Denominator != nil || v.Per != nil {
		if c.Denominator = s.denominator; v.Per != nil {
			c.Denominator = f.per(c)
		}
		d, ok := c.Denominator.Float()
		if !ok {
			c.State, c.Reason = NotApplicable, kpi.NoCases
			return
		}
		denominator = &d
	}
	value := kpi.Divide(numerator/float64(f.minor), denominator, f.unit)
	c.State, c.Reason = value.State, value.Reason
	if value.State == HasValue || value.State == Zero {
		c.Value = &value.Number
	}
}

// tuplesOf are the combinations of dimension values in an answer, in order; the one
// empty combination without dimensions. Values that a filter names are there even when
// no row has them.
func tuplesOf(qn *question, found map[key]*sums) []string {
	if len(qn.by) == 0 {
		return []string{""}
	}
	set := map[string]bool{}
	if len(qn.by) == 1 {
		for _, value := range qn.filtered(qn.by[0]) {
			set[value] = true
		}
	}
	if rows := inOrder(found); rows != nil && len(set) == 0 {
		return rows
	}
	for k := range found {
		set[k.by] = true
	}
	tuples := slices.Collect(maps.Keys(set))
	sort.Strings(tuples)
	return tuples
}

// inOrder are the combinations in the order of the statement's rows, if that is theirs, each in one row; else nil.
func inOrder(found map[key]*sums) []string {
	rows := make([]string, len(found))
	for k, sum := range found {
		if sum.row >= len(rows) {
			return nil
		}
		rows[sum.row] = k.by
	}
	for i := 1; i < len(rows); i++ {
		if rows[i-1] >= rows[i] {
			return nil
		}
	}
	return rows
}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// minorUnits is how many minor units make one of the KPI's unit: money fields hold
// minor units (ISO 4217), a KPI in a currency is told in the currency itself. 1 for
// every other KPI.
func (q *Queries) minorUnits(qn *question) int64 {
	if !currency.MatchString(string(qn.kpi.Unit)) || qn.version.Numerator == nil {
		return 1
	}
	for _, t := range qn.version.Numerator.Terms {
		for _, column := range kpi.Columns(t.Of) {
			for _, s := range qn.sides {
				c := s.contract
				if f := c.Field(column); f != nil && f.Type == contract.Money {
					return minor(string(qn.kpi.Unit))
				}
			}
		}
	}
	return 1
}

// minor is ISO 4217's exponent as a factor.
func minor(code string) int64 {
	switch code {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF":
		return 1
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 1000
	}
	return 100
}

// checkDistinct holds an exact distinct count to its declared calendar periods.
func (q *Queries) checkDistinct(qn *question) error {
	d := qn.version.Distinct
	if d == nil || qn.spans != nil { // whoever asks for spans has chosen periods for which it is declared
		return nil
	}
	grains := make([]Grain, len(d.Grains))
	for i, g := range d.Grains {
		grains[i] = Grain(g)
	}
	if qn.grain == Whole {
		for _, g := range grains {
			if start := q.calendar.start(g, qn.from); start == qn.from && q.calendar.after(g, start)-1 == qn.to {
				return nil
			}
		}
		return bad("grain", "%s counts distinct values, which cannot be added up: ask for one whole %s, or give one of these as the grain", qn.kpi.ID, strings.Join(d.Grains, ", ")).Of(d.Grains...).
			Also("uz", "Bu koʻrsatkich takrorlanmas qiymatlarni sanaydi, ularni davrlar boʻyicha qoʻshib boʻlmaydi: bitta toʻliq davrni (%s) soʻrang.", grainsIn("uz", grains...)).
			Also("ru", "Показатель считает неповторяющиеся значения, по периодам они не складываются: запросите один целый период (%s).", grainsIn("ru", grains...))
	}
	return nil
}

// countPersons settles how many distinct persons stand behind each cell. From a rollup
// the count is right unless a row of the cell was taken back; then those days count
// whose rows all stand; and where these are not enough, or no rollup was read, facts do. Where rows take cases
// away, those count whom none takes away, and where these are not enough in a large cell, facts do.
func (q *Queries) countPersons(ctx context.Context, qn *question, s *statement, found map[key]*sums) error {
	if s.settled {
		return nil
	}
	all := s.exact || q.k > q.warehouse.PersonsLimit() // rollups do not count that far
	uncounts := warehouse.Uncounts(qn.version)
	open := map[key]bool{} // cells of which the rollup may count too many
	for at, c := range found {
		switch {
		case all || c.persons == 0:
		case c.retracted > 0, uncounts && !q.surely(c):
			open[at] = true
		}
	}
	if !all && len(open) == 0 {
		return nil
	}
	if !all {
		settled, err := q.untouched(ctx, qn)
		if err != nil {
			return err
		}
		for at := range open {
			c := found[at]
			if c.persons = 0; settled[at] != nil {
				c.persons = settled[at].persons
			}
			if c.persons >= q.k {
				delete(open, at)
			}
		}
		if len(open) == 0 {
			return nil
		}
	}
	exact, err := q.read(ctx, q.persons(qn))
	if err != nil {
		return err
	}
	for at, c := range found {
		if all || open[at] {
			c.persons, c.sure = 0, 0
			if found := exact[at]; found != nil {
				c.persons, c.sure = found.persons, found.sure
			}
			if uncounts && c.persons > 0 {
				q.surely(c)
			}
		}
	}
	return nil
}

// certainOf is of how many cases for each of k a cell is told by whom no row can take away, whoever else may be in it:
// a cell of few cases is not worth reading facts.
const certainOf = 10

// surely takes those persons for the cell's whom no row can take away, where they are enough or the cell is
// small; false: it has to be found out who is left.
func (q *Queries) surely(c *sums) bool {
	if c.sure < q.k && c.cases >= int64(certainOf*q.k) {
		return false
	}
	c.persons = max(1, c.sure)
	return true
}

// untouched counts, from rollups, the persons of rows by day and dimensions of which
// none was taken back: never more than there are.
func (q *Queries) untouched(ctx context.Context, qn *question) (map[key]*sums, error) {
	s := &statement{params: bind{}}
	var selects []string
	var parts []part
	k := q.warehouse.PersonsLimit()
	for _, side := range qn.sides {
		r, _, _, err := q.fitting(ctx, qn, side)
		if err != nil {
			return nil, err
		}
		if r == nil {
			return nil, problem.New(problem.Internal, "queries: %s has no rollup any more", qn.kpi.ID)
		}
		column, _ := q.warehouse.PersonsColumn(r, qn.version, side.Side)
		if warehouse.Uncounts(qn.version) {
			column, _ = q.warehouse.SurelyColumn(r, qn.version, side.Side)
		}
		parts = q.grouping(qn, "_day", "_hour", quote)
		fine := []string{"_day"}
		for _, d := range r.Dims {
			fine = append(fine, quote(d))
		}
		if r.Hourly {
			fine = append(fine, "_hour")
		}
		columns, group := "", ""
		for _, p := range parts {
			columns += p.inner + " AS " + p.name + ", "
			group += p.name + ", "
		}
		selects = append(selects, fmt.Sprintf("SELECT %suniqUpToMergeState(%d)(%s) AS Standing\nFROM %s%s\nGROUP BY %s%s\nHAVING sum(_retracted) = 0",
			columns, k, column, q.warehouse.Table(r), whereSQL(qn.conditions(s.params, "_day", quote)), group, strings.Join(fine, ", ")))
	}
	var names []string
	for _, p := range parts {
		s.columns = append(s.columns, p.is)
		names = append(names, p.name)
	}
	s.columns = append(s.columns, colPersons)
	s.sql = "SELECT " + strings.Join(append(slices.Clone(names), fmt.Sprintf("uniqUpToMerge(%d)(Standing) AS Persons", k)), ", ") +
		"\nFROM (\n" + strings.Join(selects, "\nUNION ALL\n") + "\n)" + groupSQL(names)
	return q.read(ctx, s)
}

func (q *Queries) answerStock(ctx context.Context, qn *question, src *sources) (*answer, error) {
	var periods []period
	if qn.grain == Whole {
		to := qn.to
		if to == reference.NoDay {
			to = qn.today
		}
		periods = []period{{from: to, to: to, label: to.String()}}
	} else {
		if qn.to == reference.NoDay {
			qn.to = qn.today
		}
		if qn.from == reference.NoDay {
			qn.from = min(src.first, qn.to)
		}
		if qn.from == reference.NoDay {
			return &answer{coverage: src.coverage(nil, qn.today), notes: []Note{{Key: "nothing-received"}}}, nil
		}
		periods = q.calendar.periods(qn.grain, qn.from, qn.to, q.maxCells)
	}
	if len(periods) > q.maxCells {
		return nil, q.tooMany("grain", "%s to %s by %s is more than %d cells; ask for a shorter period or a coarser grain", qn.from, qn.to, qn.grain, q.maxCells)
	}
	return q.stockOn(ctx, qn, src, periods)
}

// stockOn tells the stock at the end of each period.
func (q *Queries) stockOn(ctx context.Context, qn *question, src *sources, periods []period) (*answer, error) {
	days := make([]reference.Day, len(periods))
	for i, p := range periods {
		days[i] = min(p.to, qn.today) // a period that has not ended is told as it stands today
	}
	stock := q.stock
	if qn.version.Backlog != nil {
		stock = q.backlog
	}
	s, err := stock(ctx, qn, slices.Compact(slices.Sorted(slices.Values(days))))
	if err != nil {
		return nil, err
	}
	found, err := q.find(ctx, qn, s)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if a.plan, err = q.planOf(ctx, s); err != nil {
		return nil, err
	}
	fill := q.filling(qn)
	begun := func(day reference.Day) map[string]bool {
		seen := map[string]bool{}
		for _, x := range src.list {
			if x.first <= day {
				seen[x.name] = true
			}
		}
		return seen
	}
	tuples := tuplesOf(qn, found)
	var counted []*sums
	var heads []disclosure.Cell
	for i, p := range periods {
		seen := begun(days[i])
		coverage := src.coverage(seen, days[i])
		var persons []disclosure.Cell
		for _, by := range tuples {
			c := q.cell(qn, p, by)
			c.Coverage = coverage
			sum := found[key{from: days[i], by: by}]
			if sum == nil {
				sum = qn.nothing()
			}
			fill.cell(&c, sum, len(seen) > 0)
			if countsUnits(qn.version) && c.State != NotProvided {
				c.Coverage = unitCoverage(sum.covered, sum.expected)
				if sum.covered == 0 && sum.expected > 0 { // nobody has told any unit: that is no zero
					c.Numerator, c.Denominator, c.Value, c.Reason, c.State = "", "", nil, "", NotProvided
				}
			}
			a.cells = append(a.cells, c)
			cell := q.guarded(qn.version, sum)
			cell.Key = split(by, len(qn.by))
			persons, counted = append(persons, cell), append(counted, sum)
		}
		heads = append(heads, persons...)
		a.coverage = coverage
		if qn.version.Backlog != nil { // each day is a table of its own: days of a stock are not added up
			q.hide(qn, a.cells[len(a.cells)-len(persons):], persons, nil)
		}
	}
	if levels(qn.version) {
		suppress(a.cells, q.hideLevels(heads, splitAll(tuples, len(qn.by)), counted))
	}
	if err := q.withhold(ctx, qn, s, a); err != nil {
		return nil, err
	}
	if countsUnits(qn.version) {
		if units := addUp(a.cells); units != nil {
			a.coverage = units
		}
	}
	return a, nil
}

// window is one window with its figures by combination of dimensions.
type window struct {
	from, to reference.Day
	sums     map[string]*sums
}

func (q *Queries) answerReported(ctx context.Context, qn *question) (*answer, error) {
	s := q.reported(qn, qn.sides[0].contract, bind{})
	found, err := q.read(ctx, s)
	if err != nil {
		return nil, err
	}
	a := q.tellReported(qn, found)
	a.plan, err = q.planOf(ctx, s)
	return a, err
}

// tellReported answers from the figures that were found, of which some may lie outside
// of the question's days.
func (q *Queries) tellReported(qn *question, found map[key]*sums) *answer {
	latest := qn.grain == Whole && qn.from == reference.NoDay && qn.to == reference.NoDay
	a := &answer{}
	var windows []window
	for k, sum := range found {
		if k.from < qn.from || qn.to != reference.NoDay && k.to > qn.to {
			continue
		}
		i := slices.IndexFunc(windows, func(w window) bool { return w.from == k.from && w.to == k.to })
		if i < 0 {
			i = len(windows)
			windows = append(windows, window{k.from, k.to, map[string]*sums{}})
		}
		windows[i].sums[k.by] = sum
	}
	sort.Slice(windows, func(a, b int) bool {
		if windows[a].to != windows[b].to {
			return windows[a].to < windows[b].to
		}
		return windows[a].from < windows[b].from
	})
	if latest && len(windows) > 1 {
		windows = windows[len(windows)-1:]
	}
	tuples := tuplesOf(qn, found)
	fill := q.filling(qn)
	add := func(w window, label string) {
		for _, by := range tuples {
			cell := q.cell(qn, period{from: w.from, to: w.to, label: label}, by)
			fill.reported(&cell, w.sums[by])
			a.cells = append(a.cells, cell)
		}
	}
	whole := func(w window) string { return q.calendar.label(Whole, w.from, w.to, 0) }
	one := func(windows []window, from, to reference.Day, label string) {
		if joined, ok := tile(windows); ok && (label == "" || joined.from == from && joined.to == to) {
			if label == "" {
				label = whole(joined)
			}
			add(joined, label)
			return
		}
		for _, w := range windows {
			add(w, whole(w))
		}
		if len(windows) > 1 {
			a.notes = append(a.notes, Note{Key: "windows-not-added"})
		}
	}
	switch {
	case qn.grain == Window:
		for _, w := range windows {
			add(w, whole(w))
		}
	case qn.grain == Whole:
		if len(windows) == 0 && !latest {
			from, to := qn.from, qn.to
			if from == reference.NoDay {
				from = to
			}
			if to == reference.NoDay {
				to = max(from, qn.today)
			}
			for _, by := range tuples {
				cell := q.cell(qn, period{from: from, to: to, label: q.calendar.label(Whole, from, to, 0)}, by)
				cell.State = NotProvided
				a.cells = append(a.cells, cell)
			}
			break
		}
		one(windows, 0, 0, "")
	default:
		from, to := qn.from, qn.to
		for _, w := range windows {
			if from == reference.NoDay || qn.from == reference.NoDay && w.from < from {
				from = w.from
			}
			to = max(to, w.to)
		}
		if from == reference.NoDay {
			break
		}
		rest := windows
		for _, p := range q.calendar.periods(qn.grain, from, to, q.maxCells) {
			start := q.calendar.start(qn.grain, p.from)
			end := q.calendar.after(qn.grain, start) - 1
			var inside []window
			rest = slices.DeleteFunc(slices.Clone(rest), func(w window) bool {
				in := w.from >= start && w.to <= end
				if in {
					inside = append(inside, w)
				}
				return in
			})
			if len(inside) == 0 {
				add(window{p.from, p.to, nil}, p.label)
				continue
			}
			one(inside, start, end, p.label)
		}
		if len(rest) > 0 {
			a.notes = append(a.notes, Note{"windows-across", map[string]string{"n": fmt.Sprint(len(rest)), "grain": string(qn.grain)}})
		}
	}
	a.notes = slices.CompactFunc(a.notes, func(x, y Note) bool { return x.Key == y.Key })
	a.coverage = addUp(a.cells)
	return a
}

// tile joins windows that follow each other day by day; false when they do not.
func tile(windows []window) (window, bool) {
	if len(windows) == 0 {
		return window{}, false
	}
	joined := window{windows[0].from, windows[0].to, map[string]*sums{}}
	for i, w := range windows {
		if i > 0 {
			if w.from != joined.to+1 {
				return window{}, false
			}
			joined.to = w.to
		}
		for by, s := range w.sums {
			if joined.sums[by] == nil {
				joined.sums[by] = &sums{}
			}
			joined.sums[by].add(s)
		}
	}
	return joined, true
}

func (s *sums) add(o *sums) {
	s.numerator, s.denominator = plus(s.numerator, o.numerator), plus(s.denominator, o.denominator)
	s.cases += o.cases
	s.simulated += o.simulated
	s.covered += o.covered
	s.expected += o.expected
	if o.states != "" && !strings.Contains(s.states, o.states) {
		s.states = strings.Trim(s.states+","+o.states, ",")
	}
}

// plus adds exact decimals; none is neither.
func plus(a, b Number) Number {
	if a == "" {
		return b
	}
	if b == "" {
		return a
	}
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	if !okX || !okY {
		return ""
	}
	digits := 0
	for _, n := range []Number{a, b} {
		if _, fraction, ok := strings.Cut(string(n), "."); ok {
			digits = max(digits, len(fraction))
		}
	}
	return Number(x.Add(x, y).FloatString(digits))
}

// reported divides a reported figure. Nobody's figure is not provided; what a
// sender says of a figure without numbers is taken as said.
func (f filling) reported(c *Cell, s *sums) {
	if s == nil || s.cases == 0 {
		c.State = NotProvided
		return
	}
	cases := s.cases
	c.Cases, c.Simulated = &cases, s.simulated > 0
	units := countsUnits(f.version)
	if units {
		c.Coverage = unitCoverage(s.covered, s.expected)
	}
	if s.numerator == "" || f.version.Denominator != nil && s.denominator == "" {
		c.Numerator, c.Denominator = s.numerator, s.denominator
		switch said := strings.Split(s.states, ","); {
		case slices.Contains(said, string(Suppressed)):
			c.suppress()
		case units && s.expected == 0: // nothing was to be reported
			c.State = NotApplicable
		case slices.Contains(said, string(NotProvided)), s.states == "", !slices.Contains(said, string(NotApplicable)):
			c.State = NotProvided
		default:
			c.State = NotApplicable
		}
		return
	}
	f.cell(c, s, true)
}

// compared gives every cell its comparison with the earlier period.
func (q *Queries) compared(ctx context.Context, qn *question, src *sources, a *answer) error {
	before, earlier := q.earlier(qn, a.cells)
	b, err := q.answer(ctx, before, src)
	if err != nil {
		return err
	}
	match(before.grain, a.cells, earlier, b.cells)
	return nil
}

// earlier is the question whose answer the cells are held against, and for each cell the
// period of it.
func (q *Queries) earlier(qn *question, cells []Cell) (*question, []period) {
	earlier := make([]period, len(cells))
	before := *qn
	before.compare = NoComparison
	before.from, before.to = reference.NoDay, reference.NoDay
	for i, c := range cells {
		p := period{from: c.From, to: c.To, label: c.Period}
		grain := qn.grain
		switch {
		case grain == Hour:
			p.hour = hourOf(c.Period)
		case strings.Contains(c.Period, "/") && grain != Fiscal:
			grain = Window
			if qn.grain == Whole && qn.version.Basis != kpi.Reported {
				grain = Whole
			}
		}
		if qn.version.Basis == kpi.Stock && grain == Whole {
			day := q.calendar.stockBefore(qn.compare, qn.from, p.to)
			earlier[i] = period{from: day, to: day, label: day.String()}
		} else if grain == Window && qn.compare == Previous && qn.version.Basis == kpi.Reported {
			earlier[i].from, earlier[i].to = q.calendar.before(p.from, p.to)
			earlier[i].label = q.calendar.label(Whole, earlier[i].from, earlier[i].to, 0)
		} else {
			earlier[i] = q.calendar.earlier(grain, qn.compare, p)
		}
		if i == 0 || earlier[i].from < before.from {
			before.from = earlier[i].from
		}
		before.to = max(before.to, earlier[i].to)
	}
	if qn.version.Basis == kpi.Reported {
		before.grain = Window
	}
	if qn.version.Basis == kpi.Stock && qn.grain == Whole {
		before.grain = Day
		before.from = before.to
	}
	return &before, earlier
}

// match holds each cell against the one of its earlier period, as far as there is one.
func match(grain Grain, cells []Cell, earlier []period, old []Cell) {
	type place struct {
		from, to reference.Day // to only of windows: periods may be cut short
		hour     int
		by       string
	}
	placeOf := func(from, to reference.Day, hour int, dims []Dim) place {
		p := place{from: from, hour: hour}
		if grain == Window {
			p.to = to
		}
		for _, d := range dims {
			p.by += d.Value + separator
		}
		return p
	}
	index := map[place]*Cell{}
	for i := range old {
		c := &old[i]
		index[placeOf(c.From, c.To, hourIf(grain, c.Period), c.Dims)] = c
	}
	for i := range cells {
		c, e := &cells[i], earlier[i]
		c.Comparison = comparison(c, e.label, index[placeOf(e.from, e.to, e.hour, c.Dims)])
	}
}

// comparison holds a cell against the one of an earlier period; nil is none.
func comparison(c *Cell, label string, old *Cell) *Comparison {
	held := &Comparison{Period: label, State: NotProvided}
	if old == nil {
		return held
	}
	held.State = old.State
	if c.State == Suppressed { // the old value beside a hidden one tells too much of it
		held.State = Suppressed
		return held
	}
	if old.Value == nil {
		return held
	}
	value := *old.Value
	held.Value = &value
	if c.Value == nil {
		return held
	}
	difference := *c.Value - value
	held.Difference = &difference
	if value != 0 {
		change := 100 * difference / value
		held.Change = &change
	}
	return held
}

func hourIf(g Grain, label string) int {
	if g == Hour {
		return hourOf(label)
	}
	return 0
}

// hourOf reads the hour back from a label such as 2024-03-05T14.
func hourOf(label string) int {
	var hour int
	if _, text, ok := strings.Cut(label, "T"); ok {
		_, _ = fmt.Sscanf(text, "%d", &hour) // made by calendar.label
	}
	return hour
}
