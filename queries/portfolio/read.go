package portfolio

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// readers is how many roles are read at once.
const readers = 4

// absent is a whole number, a day or a flag that an event does not have.
const absent = math.MinInt64

// reading is how the facts of one role are read: texts first, then whole numbers (days and
// flags among them), then decimals.
type reading struct {
	role     contract.PortfolioRole
	contract *contract.Contract
	texts    []string // names of fields that the contract has
	wholes   []string
	decimals []string
	columns  string
	settled  string // columns of one row for each project; "" where every event is needed
}

// settling says for the roles of which a project has many events, but only their last
// or their sum matters to the list, how their fields settle. What is not named here is
// that of the last event. A report without a percentage leaves the one before standing.
var settling = map[string]map[string]string{
	contract.RoleSpent:    {"amount": "sum(amount)"},
	contract.RoleRated:    {},
	contract.RoleReported: {"percent": "argMax(percent, (time, _seq))"},
}

func newReading(role contract.PortfolioRole, c *contract.Contract) *reading {
	r := &reading{role: role, contract: c}
	var texts, wholes, decimals []string
	for _, field := range role.Fields {
		f := c.Field(field.Name)
		if f == nil {
			continue
		}
		column := "`" + f.Name + "`"
		switch {
		case field.Is == contract.PortfolioText:
			r.texts, texts = append(r.texts, f.Name), append(texts, "toString("+column+")")
		case field.Is == contract.PortfolioDecimal:
			r.decimals, decimals = append(r.decimals, f.Name), append(decimals, "ifNull(toFloat64("+column+"), nan)")
		case field.Is == contract.PortfolioDay:
			r.wholes, wholes = append(r.wholes, f.Name), append(wholes, "ifNull(toInt64(toInt32("+column+")), toInt64(-9223372036854775808))")
		default:
			r.wholes, wholes = append(r.wholes, f.Name), append(wholes, "ifNull(toInt64("+column+"), toInt64(-9223372036854775808))")
		}
	}
	columns := slices.Concat(texts, wholes, decimals)
	r.columns = strings.Join(columns, ", ")
	if fields, ok := settling[role.Name]; ok {
		for i, name := range slices.Concat(r.texts, r.wholes, r.decimals) {
			switch settled := fields[name]; {
			case settled != "":
				columns[i] = "ifNull(toInt64(" + settled + "), toInt64(-9223372036854775808))"
			case name != "project":
				columns[i] = "argMax(" + columns[i] + ", (time, _seq))"
			}
		}
		r.settled = strings.Join(columns, ", ")
	}
	return r
}

// event is one row of a role.
type event struct {
	of        *reading
	ms        int64 // its time
	seq       uint64
	day       reference.Day
	simulated bool
	count     int64 // of events that this one settles
	due       Date  // reports: the day on which the last of them makes the next one due
	texts     []string
	wholes    []int64
	decimals  []float64
}

func (e *event) text(name string) string {
	if i := slices.Index(e.of.texts, name); i >= 0 {
		return e.texts[i]
	}
	return ""
}

// whole is a number, a day or a flag; absent when the event or its contract has none.
func (e *event) whole(name string) int64 {
	if i := slices.Index(e.of.wholes, name); i >= 0 {
		return e.wholes[i]
	}
	return absent
}

func (e *event) date(name string) Date {
	if v := e.whole(name); v != absent {
		return Date(v)
	}
	return NoDate
}

// flag is a truth, or what stands for it when it is not told.
func (e *event) flag(name string, otherwise bool) bool {
	if v := e.whole(name); v != absent {
		return v != 0
	}
	return otherwise
}

func (e *event) number(name string) *int64 {
	if v := e.whole(name); v != absent {
		return &v
	}
	return nil
}

func (e *event) decimal(name string) *float64 {
	if i := slices.Index(e.of.decimals, name); i >= 0 && !math.IsNaN(e.decimals[i]) {
		v := e.decimals[i]
		return &v
	}
	return nil
}

// question is what is asked of every role.
type question struct {
	on, knownOn reference.Day
	whole       string // a project of which every event is read; of others, some roles are settled
}

// events are the rows of a role that stand, in the order of their time.
func (p *Portfolio) events(ctx context.Context, r *reading, q question) ([]event, error) {
	if r.settled == "" {
		return p.rows(ctx, r, q, "SELECT toUnixTimestamp64Milli(time), _seq, toInt64(toUInt16(_day)), _simulated, toInt64(1), "+p.dueSQL(r)+", "+r.columns, "", "ORDER BY time, _seq")
	}
	settled, err := p.rows(ctx, r, q, "SELECT toUnixTimestamp64Milli(max(time)), max(_seq), toInt64(toUInt16(argMax(_day, (time, _seq)))), max(_simulated), toInt64(count()), argMax("+p.dueSQL(r)+", (time, _seq)), "+r.settled,
		"project != {whole:String}", "GROUP BY project")
	if err != nil || q.whole == "" {
		return settled, err
	}
	every, err := p.rows(ctx, r, q, "SELECT toUnixTimestamp64Milli(time), _seq, toInt64(toUInt16(_day)), _simulated, toInt64(1), "+p.dueSQL(r)+", "+r.columns, "project = {whole:String}", "ORDER BY time, _seq")
	return append(settled, every...), err
}

// dueSQL is the day on which an event makes the next report due; far in the past when it does not.
func (p *Portfolio) dueSQL(r *reading) string {
	if r.role.Name != contract.RoleReported {
		return "toInt64(0)"
	}
	named, after := "NULL", "NULL"
	if r.contract.Field("next_due") != nil {
		named = "toInt64(toInt32(next_due))"
	}
	if p.declared.ReportEvery > 0 {
		after = fmt.Sprintf("toInt64(toUInt16(_day)) + %d", p.declared.ReportEvery)
	}
	return fmt.Sprintf("ifNull(coalesce(%s, %s), toInt64(%d))", named, after, reference.NoDay)
}

func (p *Portfolio) rows(ctx context.Context, r *reading, q question, selected, condition, order string) ([]event, error) {
	facts := p.warehouse.Facts(r.contract)
	params := map[string]string{"on": q.on.String()}
	known := ""
	if !open(q.knownOn) {
		params["known_on"] = q.knownOn.String()
		known = " AND _cut <= toDate({known_on:String})"
	}
	if condition != "" {
		params["whole"] = q.whole
		condition = " AND " + condition
	}
	sql := fmt.Sprintf("%s\nFROM %s\nWHERE _sign > 0 AND _day <= toDate({on:String})%s%s AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %s WHERE _sign < 0%s)\n%s",
		selected, facts, known, condition, facts, known, order)
	// One row is scanned into the same places as the one before, and what it holds is kept in
	// pieces of a few thousand values: tens of thousands of rows leave little behind.
	var ms, day, count, due int64
	var seq uint64
	var simulated bool
	texts, wholes, decimals := make([]string, len(r.texts)), make([]int64, len(r.wholes)), make([]float64, len(r.decimals))
	into := []any{&ms, &seq, &day, &simulated, &count, &due}
	for i := range texts {
		into = append(into, &texts[i])
	}
	for i := range wholes {
		into = append(into, &wholes[i])
	}
	for i := range decimals {
		into = append(into, &decimals[i])
	}
	var all []event
	var keptTexts piece[string]
	var keptWholes piece[int64]
	var keptDecimals piece[float64]
	err := p.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		if err := scan(into...); err != nil {
			return err
		}
		all = append(all, event{of: r, ms: ms, seq: seq, day: reference.Day(day), simulated: simulated, count: count, due: Date(due),
			texts: keptTexts.keep(texts), wholes: keptWholes.keep(wholes), decimals: keptDecimals.keep(decimals)})
		return nil
	})
	return all, err
}

// piece keeps copies of short slices side by side.
type piece[T any] []T

func (p *piece[T]) keep(values []T) []T {
	if len(*p)+len(values) > cap(*p) {
		*p = make([]T, 0, max(4096, len(values)))
	}
	at := len(*p)
	*p = append(*p, values...)
	return (*p)[at:len(*p):len(*p)]
}

// read folds what is known at a moment into projects. Of the project named whole, every
// report, payment and rating is there; of the others what they come to.
func (p *Portfolio) read(ctx context.Context, at At, whole string) (*state, error) {
	if p.declared == nil {
		return nil, problem.New(problem.NotFound, "this pack has no portfolio of projects; pack.yaml declares one under portfolio").
			Also("uz", "Bu paketda loyihalar portfeli yoʻq.").
			Also("ru", "В этом пакете нет портфеля проектов.")
	}
	today := reference.DayOf(p.now().In(p.warehouse.Zone()))
	if !open(at.KnownOn) && at.KnownOn > today {
		return nil, problem.New(problem.BadInput, "known_on %s lies in the future; today is %s", at.KnownOn, today).In("known_on").
			Also("uz", "%s hali kelmagan: bu kunda nima maʼlum boʻlishi nomaʼlum.", at.KnownOn).
			Also("ru", "День %s ещё не наступил: что будет на него известно, неизвестно.", at.KnownOn)
	}
	on := at.On
	switch {
	case !open(on) && on > today:
		return nil, problem.New(problem.BadInput, "on %s lies in the future; today is %s", on, today).In("on").
			Also("uz", "%s hali kelmagan.", on).
			Also("ru", "День %s ещё не наступил.", on)
	case open(on) && !open(at.KnownOn):
		on = at.KnownOn
	case open(on):
		on = today
	}
	s := &state{portfolio: p, on: on, knownOn: NoDate, through: NoDate, projects: map[string]*project{}, programmes: map[string]string{}}
	if !open(at.KnownOn) {
		s.knownOn = Date(at.KnownOn)
	}
	roles := contract.PortfolioRoles()
	found := make([][]event, len(roles))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, role := range roles {
		if r := p.readings[role.Name]; r != nil {
			group.Go(func() (err error) {
				found[i], err = p.events(ctx, r, question{on, at.KnownOn, whole})
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.fold(found)
	return s, nil
}
