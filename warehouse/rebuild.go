package warehouse

import (
	"context"
	"fmt"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// Empty says whether no contract has any facts, nor had any that were retired.
func (w *Warehouse) Empty(ctx context.Context) (bool, error) {
	if retired, err := w.Retired(ctx); err != nil || len(retired) > 0 {
		return false, err
	}
	for _, c := range w.contracts {
		var n uint64
		err := w.each(ctx, "warehouse: rows", "SELECT count() FROM (SELECT 1 FROM "+w.Facts(c)+" LIMIT 1)", nil, func(scan Scan) error { return scan(&n) })
		if err != nil || n > 0 {
			return false, err
		}
	}
	return true, nil
}

// DeleteBatches removes the facts of a contract from batch first to batch last: what an
// interrupted rebuild left of a file. It returns when they are gone.
func (w *Warehouse) DeleteBatches(ctx context.Context, c *contract.Contract, first, last uint64) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	return w.exec(ctx, "warehouse: delete from "+c.Table(), settings{"mutations_sync": 2, "max_execution_time": 0},
		fmt.Sprintf("ALTER TABLE %s DELETE WHERE _batch BETWEEN %d AND %d", w.Facts(c), first, last))
}

// BeginRebuild drops every fact and rollup. From then on, until [Warehouse.EndRebuild],
// [Warehouse.Rebuilding] says so, also to another process. The fact tables are there
// afterwards, and empty. The months of which the lake keeps figures, and not the rows, are
// retired afterwards, and no others.
func (w *Warehouse) BeginRebuild(ctx context.Context, months []Retired) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	if err := w.migrateFixed(ctx); err != nil {
		return err
	}
	if err := w.note(ctx, "dropping"); err != nil {
		return err
	}
	// Of other months the lake has what was retired here: it is there again until it is retired again.
	var retired, kept []string
	for _, r := range months {
		c, month, err := w.find(r)
		if err != nil {
			return err
		}
		for _, d := range r.Days {
			retired = append(retired, fmt.Sprintf("(%s, %d, %s, %s, %s, %d, %d)", literal(c.Table()), month, literal(d.By), literal(d.First.String()), literal(d.Last.String()), r.Through, r.Rows))
		}
		kept = append(kept, keptRow(c, month, "toUUID('"+uuid([16]byte{})+"')", nil, "system.one"))
	}
	for _, table := range []string{".retired", ".kept"} {
		if err := w.exec(ctx, "warehouse: rebuild", nil, "TRUNCATE TABLE "+name(w.databases.meta)+table); err != nil {
			return err
		}
	}
	if len(months) > 0 {
		if err := w.exec(ctx, "warehouse: rebuild", settings{"async_insert": 0}, "INSERT INTO "+name(w.databases.meta)+".retired (table, month, dated, first, last, through, rows) VALUES "+strings.Join(retired, ", ")); err != nil {
			return err
		}
		if err := w.insertKept(ctx, kept); err != nil {
			return err
		}
	}
	w.forgetRetired()
	for _, database := range []string{w.databases.rollups, w.databases.facts} {
		if err := w.exec(ctx, "warehouse: rebuild", settings{"max_table_size_to_drop": 0, "max_partition_size_to_drop": 0}, "DROP DATABASE IF EXISTS "+name(database)+" SYNC"); err != nil {
			return err
		}
	}
	if err := w.migrateFixed(ctx); err != nil {
		return err
	}
	if err := w.migrateFacts(ctx); err != nil {
		return err
	}
	return w.note(ctx, "filling")
}

// Rebuilding says whether a rebuild was begun and not ended, and whether the old facts
// are gone: if not, begin again.
func (w *Warehouse) Rebuilding(ctx context.Context) (begun, dropped bool, err error) {
	var there uint64
	err = w.each(ctx, "warehouse: rebuild", "SELECT count() FROM system.tables WHERE database = {meta:String} AND name = 'rebuild'",
		map[string]string{"meta": w.databases.meta}, func(scan Scan) error { return scan(&there) })
	if err != nil || there == 0 {
		return false, false, err
	}
	err = w.each(ctx, "warehouse: rebuild", "SELECT count() > 0, countIf(state = 'filling') > 0 FROM "+name(w.databases.meta)+".rebuild", nil,
		func(scan Scan) error { return scan(&begun, &dropped) })
	return begun, dropped, err
}

// EndRebuild computes every rollup anew from the facts, has put in what facts do not tell any
// more ([Warehouse.PutFigures]) and ends the rebuild.
func (w *Warehouse) EndRebuild(ctx context.Context, put func(context.Context) error) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	if begun, dropped, err := w.Rebuilding(ctx); err != nil || !begun || !dropped {
		if err == nil {
			err = problem.New(problem.Internal, "no rebuild of the warehouse is under way")
		}
		return err
	}
	if err := w.exec(ctx, "warehouse: rebuild", settings{"max_table_size_to_drop": 0}, "DROP DATABASE IF EXISTS "+name(w.databases.rollups)+" SYNC"); err != nil {
		return err
	}
	if err := w.Migrate(ctx); err != nil {
		return err
	}
	if err := put(ctx); err != nil {
		return err
	}
	return w.exec(ctx, "warehouse: rebuild", nil, "DROP TABLE IF EXISTS "+name(w.databases.meta)+".rebuild SYNC")
}

// note writes the state of a rebuild down.
func (w *Warehouse) note(ctx context.Context, state string) error {
	table := name(w.databases.meta) + ".rebuild"
	if err := w.exec(ctx, "warehouse: rebuild", nil, "CREATE TABLE IF NOT EXISTS "+table+
		" (state String, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY at SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"); err != nil {
		return err
	}
	return w.exec(ctx, "warehouse: rebuild", settings{"async_insert": 0}, "INSERT INTO "+table+" (state) VALUES ("+literal(state)+")")
}
