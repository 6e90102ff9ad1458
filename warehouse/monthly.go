package warehouse

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"ombor/internal/reference"
)

// # Months of wide rollups
//
// A rollup of three dimensions has some hundred thousand rows a year by day, and a question about a
// year reads all of them; one of two dimensions has fewer, but with the buckets of a distribution each row is a map. So
// its calendar months are kept added up in a table beside it, thirty times
// shorter. Loading does not write it. [Warehouse.KeepMonths] does, afterwards, and notes with each month
// what it was made from, as with distinct counts: the highest batch and the number of rows in it. While the rollup by
// source tells the same two numbers of the month, the month holds; else it is read by day.

// Made is what a kept month was made from: while both stay, no row of it has come or gone.
type Made struct {
	Through uint64 // highest batch
	Rows    int64  // Σ of signs
}

// wide is the number of dimensions from which a rollup's months are kept; with buckets one less.
const wide = 3

// monthly are the rollups that have a table of months.
func (w *Warehouse) monthly() []*Rollup {
	return slices.DeleteFunc(slices.Clone(w.rollups), func(r *Rollup) bool { return !r.monthly() })
}

func (r *Rollup) monthly() bool {
	buckets := slices.ContainsFunc(r.measures, func(m measure) bool { return m.kind == bucketsKind })
	return !r.Hourly && (len(r.Dims) >= wide || buckets && len(r.Dims) == wide-1)
}

func (r *Rollup) monthsName() string { return r.Name + "__months" }

// MonthsTable is where the rollup's months are kept, with its database, quoted: the columns of the rollup
// but _cut, with the first day of the month as _day.
func (w *Warehouse) MonthsTable(r *Rollup) string {
	return name(w.databases.rollups) + "." + name(r.monthsName())
}

// monthColumns are those of the rollup that its months have.
func (r *Rollup) monthColumns() []column {
	return slices.DeleteFunc(r.columns(), func(c column) bool { return c.name == "_cut" })
}

func (w *Warehouse) createMonths(r *Rollup, hash string) string {
	var lines []string
	for _, c := range append(r.monthColumns(), column{name: "through", kind: "UInt64"}, column{name: "rows", kind: "Int64"}) {
		lines = append(lines, "    "+c.definition())
	}
	return fmt.Sprintf("CREATE TABLE %s\n(\n%s\n)\nENGINE = MergeTree\nPARTITION BY _day\nORDER BY (%s)\nSETTINGS fsync_after_insert = 1, fsync_part_directory = 1\nCOMMENT %s",
		w.MonthsTable(r), strings.Join(lines, ",\n"), names(r.Dims), literal("months of "+r.Name+"; definition "+hash))
}

// migrateMonths makes the tables of months anew, and empty, whose rollups have changed. there are all
// tables with their definitions' hashes; it adds its own to those that are wanted.
func (w *Warehouse) migrateMonths(ctx context.Context, there map[string]string, wanted map[string]bool) error {
	for _, r := range w.monthly() {
		table, hash := r.monthsName(), w.hash(r)
		if wanted[table] = true; there[table] == hash {
			continue
		}
		statements := []string{w.createMonths(r, hash)}
		if _, earlier := there[table]; earlier {
			statements = slices.Insert(statements, 0, "DROP TABLE "+w.MonthsTable(r)+" SYNC")
		}
		for _, statement := range statements {
			if err := w.exec(ctx, "warehouse: make "+table, nil, statement); err != nil {
				return err
			}
		}
	}
	w.forgetMonths()
	return nil
}

// Months are the kept months of a rollup by their first days, with what they were made from; none
// where it has too few rows. They are asked for again after some seconds: a month that was made since
// is read by day until then.
func (w *Warehouse) Months(ctx context.Context, r *Rollup) (map[reference.Day]Made, error) {
	if !r.monthly() {
		return nil, nil
	}
	if n, err := w.Rows(ctx, w.MonthsTable(r)); err != nil || n == 0 {
		return nil, err
	}
	w.keptMonths.Lock()
	defer w.keptMonths.Unlock()
	if time.Since(w.keptMonths.taken) > sizesLast {
		w.keptMonths.of, w.keptMonths.taken = map[*Rollup]map[reference.Day]Made{}, time.Now()
	}
	if found, ok := w.keptMonths.of[r]; ok {
		return found, nil
	}
	found, err := w.monthsOf(ctx, "SELECT _day, max(through), max(rows) FROM "+w.MonthsTable(r)+" GROUP BY _day")
	if err == nil {
		w.keptMonths.of[r] = found
	}
	return found, err
}

func (w *Warehouse) monthsOf(ctx context.Context, sql string) (map[reference.Day]Made, error) {
	found := map[reference.Day]Made{}
	err := w.each(ctx, "warehouse: months", sql, nil, func(scan Scan) error {
		var month time.Time
		var made Made
		err := scan(&month, &made.Through, &made.Rows)
		found[reference.DayOf(month)] = made
		return err
	})
	return found, err
}

// KeepMonths adds up the months of wide rollups into which a row has come, or out of which one has gone, since
// they were kept, and returns how many that were. Interrupted, or run twice at once, it leaves nothing that is untrue.
func (w *Warehouse) KeepMonths(ctx context.Context) (int, error) {
	made := 0
	for _, r := range w.monthly() {
		if n, err := w.Rows(ctx, w.Table(r)); err != nil {
			return made, err
		} else if n < w.from {
			continue
		}
		n, err := w.keepMonths(ctx, r, false)
		if made += n; err != nil {
			return made, err
		}
	}
	return made, nil
}

// keepMonths is [Warehouse.KeepMonths] of one rollup; with anew all that are kept are made once more instead.
func (w *Warehouse) keepMonths(ctx context.Context, r *Rollup, anew bool) (int, error) {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	now, err := w.monthsOf(ctx, "SELECT toStartOfMonth(_day) AS month, max(_through), sum(_n) FROM "+w.Table(r)+" GROUP BY month")
	if err != nil {
		return 0, err
	}
	kept, err := w.monthsOf(ctx, "SELECT _day, max(through), max(rows) FROM "+w.MonthsTable(r)+" GROUP BY _day")
	if err != nil {
		return 0, err
	}
	var stale []string
	for month, made := range now {
		if before, ok := kept[month]; anew && ok || !anew && before != made {
			stale = append(stale, literal(month.String()))
		}
	}
	gone := slices.DeleteFunc(slices.Collect(maps.Keys(kept)), func(month reference.Day) bool { _, ok := now[month]; return ok })
	if len(stale)+len(gone) == 0 {
		return 0, nil
	}
	slices.Sort(stale)
	twin := w.twin(r.monthsName())
	// One core: others ask and load meanwhile.
	set, unless := w.own(with(wholeBlock, settings{"max_threads": 1, "max_partitions_per_insert_block": 0}))
	run := func(statements ...string) error {
		for _, statement := range statements {
			if err := w.exec(ctx, "warehouse: months of "+r.Name, set, statement); err != nil {
				return err
			}
		}
		return nil
	}
	var columns, expressions []string
	for _, c := range r.monthColumns() {
		expression := w.summed(r, c)
		if c.name == "_day" {
			expression = "month"
		}
		columns, expressions = append(columns, c.name), append(expressions, expression)
	}
	drop := "DROP TABLE IF EXISTS " + twin + " SYNC"
	statements := []string{drop, "CREATE TABLE " + twin + " AS " + w.MonthsTable(r)}
	if len(stale) > 0 {
		key := "month, " + names(r.Dims)
		// What a month is made from is told by the statement that makes it: rows may come in between.
		statements = append(statements, fmt.Sprintf("INSERT INTO %s (%s, through, rows)\nSELECT %s, max(max(_through)) OVER (PARTITION BY month), sum(sum(_n)) OVER (PARTITION BY month)\nFROM %s\nWHERE (toStartOfMonth(_day) AS month) IN (%s) AND %s\nGROUP BY %s",
			twin, names(columns), strings.Join(expressions, ", "), w.Table(r), strings.Join(stale, ", "), unless, key))
	}
	if err := run(statements...); err != nil {
		return 0, err
	}
	if err := w.stillReigns(ctx); err != nil {
		return 0, err
	}
	for _, month := range stale {
		if err := run("ALTER TABLE " + w.MonthsTable(r) + " REPLACE PARTITION " + month + " FROM " + twin); err != nil {
			return 0, err
		}
	}
	for _, month := range gone {
		if err := run("ALTER TABLE " + w.MonthsTable(r) + " DROP PARTITION " + literal(month.String())); err != nil {
			return 0, err
		}
	}
	w.forgetMonths()
	slog.Debug("warehouse: months are added up", "rollup", r.Name, "months", len(stale))
	return len(stale), run(drop)
}

// forgetMonths lets what was read of kept months be asked for anew.
func (w *Warehouse) forgetMonths() {
	w.sizes.Lock()
	w.sizes.rows = nil
	w.sizes.Unlock()
	w.keptMonths.Lock()
	w.keptMonths.taken = time.Time{}
	w.keptMonths.Unlock()
}
