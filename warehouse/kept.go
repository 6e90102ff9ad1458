package warehouse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// # Figures of months without rows
//
// Before the lake lets go of the rows of a retired month, it is given their figures: what each
// rollup, and each table of distinct counts, has of the month ([Warehouse.Figures]). From then on
// these tables hold of the month what was kept, and no more. One that is made anew, by a rebuild
// or because its definition changed, is told as lacking the month until it gets that from the lake
// ([Warehouse.Lacking], [Warehouse.PutFigures]). A measure, or a set of dimensions, that came
// later has no figures of it: such answers are not kept any longer ([Warehouse.Lacks]).

// Figures are what one table of figures has of a retired month.
type Figures struct {
	Table   string   // a rollup's or a table of distinct counts, without its database
	Columns []string // of Parquet
	Cases   int64    // of a rollup: Σ of signs; 0 of distinct counts
	Parquet []byte   // states of aggregate functions in hexadecimal digits
}

// holder is a table that holds figures: a rollup, or exact distinct counts.
type holder struct {
	name    string
	columns []column
	rollup  *Rollup // nil of distinct counts
}

func (w *Warehouse) holders(c *contract.Contract) []holder {
	var list []holder
	for _, r := range w.Rollups(c) {
		list = append(list, holder{r.Name, r.columns(), r})
	}
	for _, d := range w.distincts {
		if d.Contract == c {
			list = append(list, holder{d.table, distinctColumns, nil})
		}
	}
	return list
}

func (w *Warehouse) table(h holder) string { return name(w.databases.rollups) + "." + name(h.name) }

// Figures calls fn with what each table has of a month that is retired. Its rollups must be
// up to date.
func (w *Warehouse) Figures(ctx context.Context, r Retired, fn func(Figures) error) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	c, month, err := w.find(r)
	if err != nil {
		return err
	}
	if gone, err := w.isRetired(ctx, c, month); err != nil || !gone {
		if err == nil {
			err = problem.New(problem.Conflict, "the facts of %s, received in %s, are not retired", r.Contract, r.Month)
		}
		return err
	}
	for _, h := range w.holders(c) {
		f := Figures{Table: h.name}
		var inner, outer, key []string
		from := w.table(h)
		where := fmt.Sprintf("toYYYYMM(_cut) = %d", month)
		for i, col := range h.columns {
			expression := name(col.name)
			if h.rollup != nil {
				expression = w.summed(h.rollup, col)
			}
			alias := fmt.Sprintf("k%d", i) // a column's own name would be taken for its sum
			inner = append(inner, expression+" AS "+alias)
			outer = append(outer, written(col, alias)+" AS "+name(col.name))
			f.Columns = append(f.Columns, col.name)
		}
		if h.rollup != nil {
			key = h.rollup.key()
			where += "\nGROUP BY " + names(key)
			err = w.each(ctx, "warehouse: figures", fmt.Sprintf("SELECT sum(_n) FROM %s WHERE toYYYYMM(_cut) = %d", from, month), nil, func(scan Scan) error { return scan(&f.Cases) })
		} else { // periods that rows of the month are in
			days := r.days("time")
			key = []string{"grain", "period", "dimension", "value"}
			from += " FINAL"
			where = fmt.Sprintf("period <= toDate(%s) AND addMonths(period, %s) > toDate(%s)", literal(days.Last.String()), monthsOfGrain(), literal(days.First.String()))
		}
		if err != nil {
			return err
		}
		body, err := w.Raw(ctx, fmt.Sprintf("SELECT %s FROM (\nSELECT %s\nFROM %s\nWHERE %s\nORDER BY %s\n)", strings.Join(outer, ", "), strings.Join(inner, ", "), from, where, names(key)), nil, "Parquet")
		if err == nil {
			f.Parquet, err = io.ReadAll(body)
			if cerr := body.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			return failure(err, "warehouse: figures of "+h.name)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	return nil
}

// written is how a column stands in Parquet.
func written(c column, expression string) string {
	switch {
	case c.kind == "Date":
		return "toDate32(" + expression + ")"
	case c.kind == "SimpleAggregateFunction(max, DateTime)":
		return "toDateTime64(" + expression + ", 3, 'UTC')"
	case strings.HasPrefix(c.kind, "AggregateFunction("):
		return "hex(CAST(" + expression + " AS String))"
	}
	return expression
}

// readAs is the type as which a column is read from Parquet, and read what makes its value of that.
func readAs(c column) (kind, read string) {
	if strings.HasPrefix(c.kind, "AggregateFunction(") {
		return "String", "CAST(unhex(" + name(c.name) + ") AS " + c.kind + ")"
	}
	if simple, ok := strings.CutPrefix(c.kind, "SimpleAggregateFunction("); ok {
		_, kind, _ = strings.Cut(strings.TrimSuffix(simple, ")"), ", ")
		return kind, name(c.name)
	}
	return c.kind, name(c.name)
}

// find is the contract and the month of a Retired that was read from elsewhere.
func (w *Warehouse) find(r Retired) (*contract.Contract, uint32, error) {
	day, err := reference.ParseDay(r.Month + "-01")
	at := slices.IndexFunc(w.contracts, func(c *contract.Contract) bool { return c.Type == r.Contract })
	if err != nil || at < 0 {
		return nil, 0, problem.New(problem.Conflict, "figures of %s, received in %q, are kept, which this pack does not know; use the pack that accepted the events", r.Contract, r.Month)
	}
	return w.contracts[at], monthOf(day), nil
}

// NoteKept writes down that the lake has the figures of a retired month, and need not have its rows.
// Every table holds them all then. What was written down before stays.
func (w *Warehouse) NoteKept(ctx context.Context, r Retired) error {
	c, month, err := w.find(r)
	if err != nil {
		return err
	}
	if _, kept, err := w.retirements(ctx); err != nil || kept.months[keptMonth{c.Table(), month}] {
		return err
	}
	parts := []string{keptRow(c, month, "toUUID('"+uuid([16]byte{})+"')", nil, "system.one")}
	for _, h := range w.holders(c) {
		parts = append(parts, w.holding(c, month, h, nil))
	}
	return w.insertKept(ctx, parts)
}

func keptRow(c *contract.Contract, month uint32, holder string, columns []string, from string) string {
	quoted := make([]string, len(columns))
	for i, n := range columns {
		quoted[i] = literal(n)
	}
	return fmt.Sprintf("SELECT %s, toUInt32(%d), %s, CAST([%s] AS Array(String)) FROM %s", literal(c.Table()), month, holder, strings.Join(quoted, ", "), from)
}

// holding is the row of a table that holds columns of the month; but is those that it does not hold.
func (w *Warehouse) holding(c *contract.Contract, month uint32, h holder, but func(column string) bool) string {
	var columns []string
	for _, col := range h.columns {
		if but == nil || !but(col.name) {
			columns = append(columns, col.name)
		}
	}
	return keptRow(c, month, "uuid", columns, "system.tables WHERE database = "+literal(w.databases.rollups)+" AND name = "+literal(h.name))
}

func (w *Warehouse) insertKept(ctx context.Context, parts []string) error {
	set, unless := w.own(settings{"async_insert": 0})
	statement := "INSERT INTO " + name(w.databases.meta) + ".kept (table, month, holder, columns) SELECT * FROM (\n" + strings.Join(parts, "\nUNION ALL\n") + "\n) WHERE " + unless
	if err := w.exec(ctx, "warehouse: figures", set, statement); err != nil {
		return err
	}
	w.forgetRetired()
	return w.stillReigns(ctx)
}

// Lack is a table that does not hold the figures of a month that the lake has.
type Lack struct {
	Retired
	Table string
}

// Lacking lists the tables that were made since, and wait for [Warehouse.PutFigures].
func (w *Warehouse) Lacking(ctx context.Context) ([]Lack, error) {
	w.forgetRetired()
	months, kept, err := w.retirements(ctx)
	var list []Lack
	for _, r := range months {
		if !kept.has(r) {
			continue
		}
		for _, h := range w.holders(r.contract) {
			if _, ok := kept.columns[h.name][r.month]; !ok {
				list = append(list, Lack{r, h.name})
			}
		}
	}
	return list, err
}

// PutFigures puts what was kept of a month into a table that lacks it, in the place of whatever it
// has of the month; columns that it does not have any more are passed over. A Figures without
// columns says that nothing was kept for this table. It may be interrupted and repeated at any point.
func (w *Warehouse) PutFigures(ctx context.Context, r Retired, f Figures) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	c, month, err := w.find(r)
	if err != nil {
		return err
	}
	holders := w.holders(c)
	at := slices.IndexFunc(holders, func(h holder) bool { return h.name == f.Table })
	if at < 0 {
		return problem.New(problem.Internal, "the warehouse has no table %s", f.Table)
	}
	h := holders[at]
	missing := func(column string) bool { return !slices.Contains(f.Columns, column) }
	op := "warehouse: put figures into " + h.name
	var into, kinds, reads []string
	for _, col := range h.columns {
		if !missing(col.name) {
			kind, read := readAs(col)
			into, kinds, reads = append(into, col.name), append(kinds, name(col.name)+" "+kind), append(reads, read)
		}
	}
	twin := w.twin(h.name)
	set, unless := w.own(wholeBlock)
	drop := "DROP TABLE IF EXISTS " + twin + " SYNC"
	if len(into) > 0 {
		for _, statement := range []string{drop, "CREATE TABLE " + twin + " (" + strings.Join(kinds, ", ") + ") ENGINE = Memory"} {
			if err := w.exec(ctx, op, set, statement); err != nil {
				return err
			}
		}
		inner := clickhouse.Context(ctx, clickhouse.WithSettings(set))
		if err := w.conn.InsertFormat(inner, "Parquet", "INSERT INTO "+twin+" ("+names(into)+") FORMAT Parquet", bytes.NewReader(f.Parquet)); err != nil {
			return failure(err, op)
		}
	}
	if err := w.stillReigns(ctx); err != nil {
		return err
	}
	if h.rollup != nil { // distinct counts of the same cell take each other's place
		if err := w.exec(ctx, op, settings{"max_partition_size_to_drop": 0}, fmt.Sprintf("ALTER TABLE %s DROP PARTITION %d", w.table(h), month)); err != nil {
			return err
		}
	}
	if len(into) > 0 {
		for _, statement := range []string{fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", w.table(h), names(into), strings.Join(reads, ", "), twin, unless), drop} {
			if err := w.exec(ctx, op, set, statement); err != nil {
				return err
			}
		}
	}
	return w.insertKept(ctx, []string{w.holding(c, month, h, missing)})
}

// Lacks lists the days, by the field that dates the rollup's rows, of which it does not hold
// one of its columns, since their rows went before it was declared.
func (w *Warehouse) Lacks(ctx context.Context, r *Rollup, columns []string) ([]Gone, error) {
	months, kept, err := w.retirements(ctx)
	var days []Gone
	for _, m := range months {
		if m.contract == r.Contract && kept.has(m) && slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(kept.columns[r.Name][m.month], c) }) {
			days = append(days, m.days(r.At))
		}
	}
	return days, err
}

// Held is Σ of signs in each rollup of a contract, by its table and the month of receipt, YYYY-MM.
func (w *Warehouse) Held(ctx context.Context, c *contract.Contract) (map[string]map[string]int64, error) {
	held := map[string]map[string]int64{}
	for _, r := range w.Rollups(c) {
		months := map[string]int64{}
		if err := w.each(ctx, "warehouse: figures", "SELECT toYYYYMM(_cut) AS month, sum(_n) FROM "+w.Table(r)+" GROUP BY month", nil, func(scan Scan) error {
			var month uint32
			var n int64
			err := scan(&month, &n)
			months[dayOfMonth(month).Time().Format("2006-01")] = n
			return err
		}); err != nil {
			return nil, err
		}
		held[r.Name] = months
	}
	return held, nil
}

// kept is what meta.kept says.
type kept struct {
	months  map[keptMonth]bool
	columns map[string]map[uint32][]string // table of figures → month → columns that it holds
}

type keptMonth struct {
	table string
	month uint32
}

// has says whether the lake has figures of a month, and not its rows.
func (k kept) has(r Retired) bool { return k.months[keptMonth{r.contract.Table(), r.month}] }

func (w *Warehouse) readKept(ctx context.Context) (kept, error) {
	k := kept{map[keptMonth]bool{}, map[string]map[uint32][]string{}}
	table := name(w.databases.meta) + ".kept"
	err := w.each(ctx, "warehouse: what is kept", "SELECT table, month FROM "+table+" WHERE holder = toUUID('"+uuid([16]byte{})+"')", nil, func(scan Scan) error {
		var m keptMonth
		err := scan(&m.table, &m.month)
		k.months[m] = true
		return err
	})
	if err != nil || len(k.months) == 0 {
		return k, err
	}
	err = w.each(ctx, "warehouse: what is kept", "SELECT t.name, k.month, k.columns FROM "+table+" AS k INNER JOIN system.tables AS t ON k.holder = t.uuid WHERE t.database = {rollups:String}",
		map[string]string{"rollups": w.databases.rollups}, func(scan Scan) error {
			var holder string
			var month uint32
			var columns []string
			err := scan(&holder, &month, &columns)
			if k.columns[holder] == nil {
				k.columns[holder] = map[uint32][]string{}
			}
			k.columns[holder][month] = columns
			return err
		})
	return k, err
}
