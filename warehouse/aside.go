package warehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
)

// # Measures that are set aside
//
// [Warehouse.Prove] finds the formulae that have no value for some event. Should it ever miss one,
// that event must not keep the rollups of its contract from being filled for ever. The measure is set aside:
// rollups are filled without it, and [Rollup.Column] does not offer it, so that figures which need
// it are read from facts, where a period without such an event still has them.
//
// That it is aside stands in the comment of each rollup that has it, in the place of the definition's
// hash, before the first row is written without it. So the next Migrate makes these rollups anew, with
// the measure if it has a value for every row by then: its formula was changed, or the row is gone.
// Until then facts of the contract are not retired.

// Aside is a measure that has no value for some row of facts.
type Aside struct {
	Contract string   // CloudEvents type
	KPIs     []string // that need it, sorted
	Rollups  []string // that are filled without it
	Measure  string   // as an expression over facts
	Reason   string   // what the engine says of it, in words and without any value of a row
}

func (a Aside) String() string {
	return fmt.Sprintf("%s of %s has no value for some event: %s. The KPIs that need it (%s) are read from facts, and have no figures of periods with such an event; the rollups %s are filled without it. Change the formula and start again",
		a.Measure, a.Contract, a.Reason, strings.Join(a.KPIs, ", "), strings.Join(a.Rollups, ", "))
}

// asides are the measures that are set aside, by contract and column.
type asides struct {
	setting sync.Mutex // held while measures are tried one by one

	mu    sync.RWMutex
	of    map[asideKey]asideOf
	tried int // how often Migrate has tried them again
}

type asideKey struct {
	contract *contract.Contract
	column   string
}

type asideOf struct {
	code  int32 // the engine's error
	again bool  // Migrate tries it again; not offered before it has succeeded
}

// offered says whether a column holds what it says.
func (a *asides) offered(c *contract.Contract, column string) bool {
	if a == nil {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	_, aside := a.of[asideKey{c, column}]
	return !aside
}

// filled says whether a column is to be computed.
func (a *asides) filled(c *contract.Contract, column string) bool {
	if a == nil {
		return true
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	of, aside := a.of[asideKey{c, column}]
	return !aside || of.again
}

// count is the number of measures that are not computed.
func (a *asides) count() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	n := 0
	for _, of := range a.of {
		if !of.again {
			n++
		}
	}
	return n
}

// change calls fn with the map, which it may change.
func (a *asides) change(fn func(map[asideKey]asideOf)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = map[asideKey]asideOf{}
	}
	fn(a.of)
}

// asidePrefix stands in a rollup's comment before the columns that are set aside.
const asidePrefix = "definition aside"

// definition ends the comment of a rollup's table: the hash of its definition, or what is set aside.
func (w *Warehouse) definition(r *Rollup, hash string) string {
	var list []string
	w.asides.mu.RLock()
	defer w.asides.mu.RUnlock()
	for _, m := range r.measures {
		if of, aside := w.asides.of[asideKey{r.Contract, m.column}]; aside && !of.again {
			list = append(list, fmt.Sprintf(" %s:%d", m.column, of.code))
		}
	}
	if len(list) == 0 {
		return "definition " + hash
	}
	return asidePrefix + strings.Join(list, "")
}

// readAside adds what another process, or this one before it was started, has set aside.
func (w *Warehouse) readAside(ctx context.Context) error {
	tried := 0
	w.asides.change(func(map[asideKey]asideOf) { tried = w.asides.tried })
	return w.each(ctx, "warehouse: what is set aside", "SELECT name, comment FROM system.tables WHERE database = {rollups:String} AND position(comment, {aside:String}) > 0",
		map[string]string{"rollups": w.databases.rollups, "aside": asidePrefix}, func(scan Scan) error {
			var table, comment string
			if err := scan(&table, &comment); err != nil {
				return err
			}
			at := slices.IndexFunc(w.rollups, func(r *Rollup) bool { return r.Name == table })
			if at < 0 {
				return nil // its months, or of another pack
			}
			_, columns, _ := strings.Cut(comment, asidePrefix)
			w.asides.change(func(of map[asideKey]asideOf) {
				if w.asides.tried != tried {
					return // the comment may be of before
				}
				for _, field := range strings.Fields(columns) {
					column, code, _ := strings.Cut(field, ":")
					key := asideKey{w.rollups[at].Contract, column}
					if _, known := of[key]; known {
						continue
					}
					if _, has := w.rollups[at].has(column); has {
						number, _ := strconv.ParseInt(code, 10, 32) // not a number: an unnamed reason
						of[key] = asideOf{code: int32(number)}
					}
				}
			})
			return nil
		})
}

// Aside lists the measures that are set aside, in a fixed order. It asks nobody.
func (w *Warehouse) Aside() []Aside {
	w.asides.mu.RLock()
	defer w.asides.mu.RUnlock()
	var list []Aside
	for key, of := range w.asides.of {
		a := Aside{Contract: key.contract.Type, Reason: valueless(of.code)}
		for _, r := range w.Rollups(key.contract) {
			for _, m := range r.measures {
				if m.column == key.column {
					a.Measure, a.Rollups = m.about, append(a.Rollups, r.Name)
				}
			}
		}
		for _, k := range w.kpis {
			if slices.ContainsFunc(k.Versions, func(v kpi.Version) bool { return w.needs(&v, key) }) {
				a.KPIs = append(a.KPIs, k.ID)
			}
		}
		slices.Sort(a.KPIs)
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Aside) int {
		return cmp.Or(cmp.Compare(a.Contract, b.Contract), cmp.Compare(a.Measure, b.Measure))
	})
	return list
}

func (w *Warehouse) needs(v *kpi.Version, key asideKey) bool {
	return slices.ContainsFunc(v.Sides(), func(side kpi.Side) bool {
		return w.Contract(side.From) == key.contract &&
			slices.ContainsFunc(w.aggregates(v, side), func(m measure) bool { return m.column == key.column })
	})
}

// keptBack says whether facts of a contract must stay, since a rollup of it lacks what only they can give.
func (w *Warehouse) keptBack(c *contract.Contract) bool {
	w.asides.mu.RLock()
	defer w.asides.mu.RUnlock()
	for key := range w.asides.of {
		if key.contract == c {
			return true
		}
	}
	return false
}

// orAside does a step that fills rollups of a contract from facts that a condition takes. Where it
// fails for a measure that has no value for some of them, the measure is set aside, and the step done again.
func (w *Warehouse) orAside(ctx context.Context, c *contract.Contract, where string, step func() error) error {
	for {
		before := w.asides.count()
		err := step()
		if codeOf(err) == 0 {
			return err
		}
		if failed := w.setAside(ctx, c, where); failed != nil {
			return failed
		}
		if w.asides.count() == before { // no measure of ours is at fault
			return err
		}
	}
}

// setAside tries the measures of a contract one by one, and sets those aside that have no value for
// some of the facts.
func (w *Warehouse) setAside(ctx context.Context, c *contract.Contract, where string) error {
	w.asides.setting.Lock()
	defer w.asides.setting.Unlock()
	tried := map[string]int32{} // column → the engine's error, or 0
	for _, r := range w.Rollups(c) {
		for _, m := range r.measures {
			if _, done := tried[m.column]; done || !w.asides.filled(c, m.column) {
				continue
			}
			body, err := w.Raw(ctx, "SELECT "+m.expr+" FROM "+w.From(c, where, m.inputs...), nil, "Null")
			if err == nil {
				_, err = io.Copy(io.Discard, body)
				err = failure(errors.Join(err, body.Close()), "warehouse: try "+m.column)
			}
			if tried[m.column] = codeOf(err); err != nil && tried[m.column] == 0 {
				return err
			}
		}
	}
	maps.DeleteFunc(tried, func(_ string, code int32) bool { return code == 0 })
	if len(tried) == 0 {
		return nil
	}
	w.asides.change(func(of map[asideKey]asideOf) {
		for column, code := range tried {
			of[asideKey{c, column}] = asideOf{code: code}
		}
	})
	for _, a := range w.Aside() {
		slog.Error("warehouse: a measure is set aside", "contract", a.Contract, "kpis", a.KPIs, "rollups", a.Rollups, "measure", a.Measure, "reason", a.Reason)
	}
	return w.noteAside(ctx, c)
}

// noteAside writes down which rollups of a contract, nil of any, are filled without one of their measures.
func (w *Warehouse) noteAside(ctx context.Context, c *contract.Contract) error {
	for _, r := range w.rollups {
		comment := w.definition(r, "")
		if c != nil && r.Contract != c || !strings.HasPrefix(comment, asidePrefix) {
			continue
		}
		for _, table := range []string{r.Name, r.monthsName()} {
			var there uint64
			if err := w.each(ctx, "warehouse: set aside", "SELECT count() FROM system.tables WHERE database = {rollups:String} AND name = {table:String}",
				map[string]string{"rollups": w.databases.rollups, "table": table}, func(scan Scan) error { return scan(&there) }); err != nil {
				return err
			}
			if there == 0 {
				continue
			}
			if err := w.exec(ctx, "warehouse: set aside", nil, fmt.Sprintf("ALTER TABLE %s.%s MODIFY COMMENT %s", name(w.databases.rollups), name(table), literal(r.Name+"; "+comment))); err != nil {
				return err
			}
		}
	}
	return nil
}

// NoValue says whether an answer failed since its formula has no value for some event, whatever else can be answered.
func NoValue(err error) bool { return codeOf(err) != 0 }

// codeOf is the engine's error, when it says that an expression has no value for some row; else 0.
func codeOf(err error) int32 {
	var e *clickhouse.Exception
	if errors.As(err, &e) && valueless(e.Code) != "" {
		return e.Code
	}
	return 0
}

// valueless is in words why an expression has no value; "" when an error of the engine says something else.
func valueless(code int32) string {
	switch code {
	case 153:
		return "a division by zero"
	case 407:
		return "a decimal is too large for its type"
	case 12, 36, 69, 128, 131, 135, 321:
		return "a value is out of the range that a function takes"
	case 6, 26, 27, 32, 38, 41, 72, 376, 427, 467:
		return "a text is no such value"
	case 43, 53, 70, 349:
		return "a value cannot be converted"
	}
	return ""
}

// unvalued is an answer that cannot be computed, as whoever asked is told it.
func unvalued(err error) error {
	code := codeOf(err)
	if code == 0 {
		return err
	}
	return problem.Wrap(err, problem.Unavailable, "warehouse: read",
		"there is no such figure: its formula has no value for some event of the period (%s). Other periods may have one; the formula is to be changed", valueless(code))
}
