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
	r.columns = strings.Join(slices.Concat(texts, wholes, decimals), ", ")
	return r
}

// event is one row of a role.
type event struct {
	of        *reading
	ms        int64 // its time
	seq       uint64
	day       reference.Day
	simulated bool
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

// events are the rows of a role that stand, in the order of their time.
func (p *Portfolio) events(ctx context.Context, r *reading, on, knownOn reference.Day) ([]event, error) {
	facts := p.warehouse.Facts(r.contract)
	params := map[string]string{"on": on.String()}
	known := ""
	if !open(knownOn) {
		params["known_on"] = knownOn.String()
		known = " AND _cut <= toDate({known_on:String})"
	}
	sql := fmt.Sprintf("SELECT toUnixTimestamp64Milli(time), _seq, toInt64(toUInt16(_day)), _simulated, %s\nFROM %s\n"+
		"WHERE _sign > 0 AND _day <= toDate({on:String})%s AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %s WHERE _sign < 0%s)\nORDER BY time, _seq",
		r.columns, facts, known, facts, known)
	var all []event
	err := p.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
		e := event{of: r, texts: make([]string, len(r.texts)), wholes: make([]int64, len(r.wholes)), decimals: make([]float64, len(r.decimals))}
		var day int64
		into := []any{&e.ms, &e.seq, &day, &e.simulated}
		for i := range e.texts {
			into = append(into, &e.texts[i])
		}
		for i := range e.wholes {
			into = append(into, &e.wholes[i])
		}
		for i := range e.decimals {
			into = append(into, &e.decimals[i])
		}
		if err := scan(into...); err != nil {
			return err
		}
		e.day = reference.Day(day)
		all = append(all, e)
		return nil
	})
	return all, err
}

// read folds everything that is known at a moment into projects.
func (p *Portfolio) read(ctx context.Context, at At) (*state, error) {
	if p.declared == nil {
		return nil, problem.New(problem.NotFound, "this pack has no portfolio of projects; pack.yaml declares one under portfolio")
	}
	today := reference.DayOf(p.now().In(p.warehouse.Zone()))
	if !open(at.KnownOn) && at.KnownOn > today {
		return nil, problem.New(problem.BadInput, "known_on %s lies in the future; today is %s", at.KnownOn, today).In("known_on")
	}
	on := at.On
	switch {
	case !open(on) && on > today:
		return nil, problem.New(problem.BadInput, "on %s lies in the future; today is %s", on, today).In("on")
	case open(on) && !open(at.KnownOn):
		on = at.KnownOn
	case open(on):
		on = today
	}
	s := &state{portfolio: p, on: on, knownOn: NoDate, projects: map[string]*project{}, programmes: map[string]string{}}
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
				found[i], err = p.events(ctx, r, on, at.KnownOn)
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
