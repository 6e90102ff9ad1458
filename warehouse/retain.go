package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// # Retention
//
// Facts are kept for as long as their contract says, counted from the day of receipt, and go by
// whole months of receipt, a partition each. Rollups stay, so that figures stay. What only
// facts could tell of such a month is told as not kept any longer: [Warehouse.NotKept]. While the
// lake has the rows, they can be made again from there. When it has not (kept.go), rollups hold
// what was kept of them.

// Retired is a month of receipt whose facts are not kept, or need not be kept, any longer.
type Retired struct {
	Contract string      `json:"contract"` // CloudEvents type
	Month    string      `json:"month"`    // of receipt, YYYY-MM
	Rows     uint64      `json:"rows"`     // of facts, corrections included
	Through  uint64      `json:"-"`        // last message of them
	Days     []DatedDays `json:"-"`        // that they tell of; none before they are retired

	contract *contract.Contract
	month    uint32
}

// DatedDays are the first and the last day that rows tell of, by one of the fields that date them in some KPI.
type DatedDays struct {
	By          string // "time" or another field
	First, Last reference.Day
}

// days are those by a field; all days when no KPI was dated by it when the facts went.
func (r *Retired) days(by string) Gone {
	at := slices.IndexFunc(r.Days, func(d DatedDays) bool { return d.By == by })
	if at < 0 {
		return Gone{reference.Day(-1 << 31), reference.Day(1<<31 - 1)}
	}
	return Gone{r.Days[at].First, r.Days[at].Last}
}

// Gone is a span of days, both inclusive, of which facts are not kept.
type Gone struct{ First, Last reference.Day }

// retired is what [Warehouse.Retired] was told last. Months only become retired, so that
// an old answer is one that was right a moment ago.
type retired struct {
	sync.Mutex
	taken  time.Time
	months []Retired
	kept   kept

	known atomic.Int64 // number of months, without the lock
}

// retiredLast is how long another process's retention may go unnoticed.
const retiredLast = 10 * time.Second

// Expired lists the months of receipt whose last day is further back from today than
// their contract keeps facts, and that have facts still; months from newest on stay, and
// those of a contract with a measure that is set aside ([Warehouse.Aside]).
func (w *Warehouse) Expired(ctx context.Context, today, newest reference.Day) ([]Retired, error) {
	var list []Retired
	for _, c := range w.contracts {
		keep := c.Retention.Warehouse
		if keep == 0 || w.keptBack(c) {
			continue
		}
		err := w.each(ctx, "warehouse: retention", "SELECT toYYYYMM(_cut) AS month, count(), max(intDiv(_seq, 1048576)) FROM "+w.Facts(c)+" GROUP BY month ORDER BY month", nil, func(scan Scan) error {
			r := Retired{Contract: c.Type, contract: c}
			if err := scan(&r.month, &r.Rows, &r.Through); err != nil {
				return err
			}
			if r.month >= monthOf(newest) || !Over(dayOfMonth(r.month), keep, today) {
				return nil
			}
			r.Month = dayOfMonth(r.month).Time().Format("2006-01")
			list = append(list, r)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Over says whether the last day of the month of a day is further back from today than some months.
func Over(day reference.Day, months int, today reference.Day) bool {
	d, t := day.Time(), today.Time()
	return !time.Date(d.Year(), d.Month()+1, 1, 0, 0, 0, 0, time.UTC).After(time.Date(t.Year(), t.Month()-time.Month(months), t.Day(), 0, 0, 0, 0, time.UTC))
}

// Retire removes the facts of one of the months that [Warehouse.Expired] lists. Its rollups
// must be up to date. What is known of the month afterwards is written down first: a crash
// in between leaves facts that the next call removes.
func (w *Warehouse) Retire(ctx context.Context, r Retired) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	known, err := w.Retired(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(known, r.same) {
		var parts []string
		for _, at := range w.dated(r.contract) {
			where := fmt.Sprintf("toYYYYMM(_cut) = %d", r.month)
			if condition := Dated(r.contract, at); condition != "" {
				where += " AND " + condition
			}
			day := w.DayOf(r.contract, at)
			parts = append(parts, fmt.Sprintf("SELECT %s, toUInt32(%d), %s, min(%s), max(%s), toUInt64(%d), toUInt64(%d) FROM %s WHERE %s",
				literal(r.contract.Table()), r.month, literal(at), day, day, r.Through, r.Rows, w.Facts(r.contract), where))
		}
		set, unless := w.own(settings{"async_insert": 0, "max_execution_time": 0})
		statement := "INSERT INTO " + name(w.databases.meta) + ".retired (table, month, dated, first, last, through, rows) SELECT * FROM (\n" + strings.Join(parts, "\nUNION ALL\n") + "\n) WHERE " + unless
		if err := w.exec(ctx, "warehouse: retire "+r.contract.Table(), set, statement); err != nil {
			return err
		}
	}
	if err := w.stillReigns(ctx); err != nil {
		return err
	}
	w.forgetRetired()
	if _, err := w.Retired(ctx); err != nil { // who asks from here on is told that they are not kept
		return err
	}
	return w.exec(ctx, "warehouse: retire "+r.contract.Table(), settings{"max_partition_size_to_drop": 0},
		fmt.Sprintf("ALTER TABLE %s DROP PARTITION %d", w.Facts(r.contract), r.month))
}

// RetiredMonths is how many months were retired when anybody of this process last looked.
// Answers that are kept for later are good for as long as it stays.
func (w *Warehouse) RetiredMonths() int { return int(w.retired.known.Load()) }

// forgetRetired has the next one who asks look again.
func (w *Warehouse) forgetRetired() {
	w.retired.Lock()
	defer w.retired.Unlock()
	w.retired.months = nil
}

// dated are the fields of a contract that date its rows in some KPI, "time" first.
func (w *Warehouse) dated(c *contract.Contract) []string {
	fields := []string{"time"}
	for _, k := range w.kpis {
		for i := range k.Versions {
			for _, side := range k.Versions[i].Sides() {
				if w.Contract(side.From) == c && side.At != "" && !slices.Contains(fields, side.At) && w.DayOf(c, side.At) != "" {
					fields = append(fields, side.At)
				}
			}
		}
	}
	return fields
}

// Retired lists the months of receipt whose facts are gone, in no order.
func (w *Warehouse) Retired(ctx context.Context) ([]Retired, error) {
	months, _, err := w.retirements(ctx)
	return months, err
}

func (w *Warehouse) retirements(ctx context.Context) ([]Retired, kept, error) {
	w.retired.Lock()
	defer w.retired.Unlock()
	if w.retired.months != nil && time.Since(w.retired.taken) < retiredLast {
		return w.retired.months, w.retired.kept, nil
	}
	if err := w.readAside(ctx); err != nil { // as old as what is known of retired months
		return nil, kept{}, err
	}
	months := []Retired{}
	var there, figures uint64 // the tables come with the migration, which another server's loader may not have run yet
	err := w.each(ctx, "warehouse: what is retired", "SELECT countIf(name = 'retired'), countIf(name = 'kept') FROM system.tables WHERE database = {meta:String}",
		map[string]string{"meta": w.databases.meta}, func(scan Scan) error { return scan(&there, &figures) })
	if err != nil || there == 0 {
		return months, kept{}, err
	}
	err = w.each(ctx, "warehouse: what is retired", "SELECT table, month, dated, toInt64(first), toInt64(last), through, rows FROM "+name(w.databases.meta)+".retired ORDER BY table, month, dated", nil, func(scan Scan) error {
		var r Retired
		var table, dated string
		var first, last int64
		if err := scan(&table, &r.month, &dated, &first, &last, &r.Through, &r.Rows); err != nil {
			return err
		}
		at := slices.IndexFunc(w.contracts, func(c *contract.Contract) bool { return c.Table() == table })
		if at < 0 {
			return nil // of a contract that the pack does not have any more
		}
		r.contract = w.contracts[at]
		r.Contract, r.Month = r.contract.Type, dayOfMonth(r.month).Time().Format("2006-01")
		if n := len(months); n == 0 || !months[n-1].same(r) {
			months = append(months, r)
		}
		m := &months[len(months)-1]
		m.Days = append(m.Days, DatedDays{dated, reference.Day(first), reference.Day(last)})
		return nil
	})
	if err != nil {
		return nil, kept{}, err
	}
	var kept kept
	if figures > 0 {
		if kept, err = w.readKept(ctx); err != nil {
			return nil, kept, err
		}
	}
	w.retired.known.Store(int64(len(months)))
	w.retired.taken, w.retired.months, w.retired.kept = time.Now(), months, kept
	return months, kept, nil
}

func (r *Retired) same(other Retired) bool {
	return r.contract == other.contract && r.month == other.month
}

// NotKept lists the days, by the field that dates a row, of which facts of a contract are not kept
// any longer: not all facts of such a day need be gone. Nothing retired is nil. What rollups
// tell of those days is whole, but for [Warehouse.Lacks].
func (w *Warehouse) NotKept(ctx context.Context, c *contract.Contract, at string) ([]Gone, error) {
	months, _, err := w.retirements(ctx)
	var days []Gone
	for _, m := range months {
		if m.contract == c {
			days = append(days, m.days(cmpOr(at, "time")))
		}
	}
	return days, err
}

// isRetired says whether the facts of a month of receipt are gone.
func (w *Warehouse) isRetired(ctx context.Context, c *contract.Contract, month uint32) (bool, error) {
	months, err := w.Retired(ctx)
	return slices.ContainsFunc(months, func(r Retired) bool { return r.contract == c && (month == 0 || r.month == month) }), err
}

// keepFigures is asked before a rollup of a contract is made anew. Where facts are gone and the
// lake has the rows, the warehouse is to be rebuilt from there ([Warehouse.Rebuilding]). Where the
// lake has only figures, they are put in later ([Warehouse.PutFigures]).
func (w *Warehouse) keepFigures(ctx context.Context, c *contract.Contract) error {
	months, kept, err := w.retirements(ctx)
	if err != nil || !slices.ContainsFunc(months, func(r Retired) bool { return r.contract == c && !kept.has(r) }) {
		return err
	}
	if begun, _, err := w.Rebuilding(ctx); err != nil || begun {
		return err
	}
	return w.note(ctx, "dropping")
}

// errRetired is of whoever would compute rollups anew from facts that are gone.
func errRetired(c *contract.Contract, month uint32) error {
	return problem.New(problem.Conflict, "the rollups of %s, received in %d-%02d, cannot be computed anew: their facts are not kept any longer; 'ombor rebuild' makes both from the lake", c.Type, month/100, month%100)
}
