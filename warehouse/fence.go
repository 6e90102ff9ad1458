package warehouse

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// The fence keeps out what a loader before this one has sent, or will send when it wakes.
// Two loaders may carry out the same plan, never different ones: the loaders' ledger
// sees to that. So:
//
//   - facts: an insert carries a token that names plan and contract. The second
//     one with that token is dropped by the table (non_replicated_deduplication_window).
//   - rollups: an INSERT … SELECT reads the newest epoch in the same statement, and
//     selects nothing when it is not its own.
//   - repairs: rows are removed, and put back from a table beside, under the same condition; a
//     refilled partition is put in place from a table that the one who takes over drops.
//   - what runs already when a loader takes over is ended first: every statement of a
//     loader names its epoch in the setting log_comment. A removal of rows that has begun is
//     waited for.

// Shared says whether loaders of other processes can write here. The embedded engine of this
// process is reached by nobody else, and its statements go without the fence.
func (w *Warehouse) Shared() bool { return w.shared }

// fenceComment begins the log_comment of a loader's statements.
const fenceComment = "ombor loader "

// Claim makes this warehouse's statements those of an epoch, and ends those of every
// epoch before. After nil nothing that another loader has sent or will send changes
// facts or rollups beyond the plan that both know of. A later epoch that has claimed the
// warehouse already is a Conflict. Claiming an epoch again is fine.
func (w *Warehouse) Claim(ctx context.Context, epoch uint64) error {
	if err := w.migrateFixed(ctx); err != nil {
		return err
	}
	if err := w.exec(ctx, "warehouse: fence", settings{"async_insert": 0}, fmt.Sprintf("INSERT INTO %s.fence (epoch) VALUES (%d)", name(w.databases.meta), epoch)); err != nil {
		return err
	}
	if err := w.reigns(ctx, epoch); err != nil {
		return err
	}
	for {
		ids, removals, err := w.others(ctx, epoch)
		if err != nil {
			return err
		}
		if len(ids) == 0 && removals == 0 {
			break
		}
		for _, id := range ids {
			// It may have ended by itself. SYNC would wait for ever on the embedded engine.
			if err := w.exec(ctx, "warehouse: fence", nil, "KILL QUERY WHERE query_id = "+literal(id)+" ASYNC"); err != nil {
				return err
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := w.dropTwins(ctx, epoch); err != nil {
		return err
	}
	w.epoch.Store(epoch)
	return nil
}

// reigns is a Conflict when a later epoch has claimed the warehouse.
func (w *Warehouse) reigns(ctx context.Context, epoch uint64) error {
	var newest uint64
	if err := w.each(ctx, "warehouse: fence", "SELECT max(epoch) FROM "+name(w.databases.meta)+".fence", nil, func(scan Scan) error { return scan(&newest) }); err != nil {
		return err
	}
	if newest > epoch {
		return problem.New(problem.Conflict, "the warehouse belongs to a loader of epoch %d, this one is of epoch %d", newest, epoch)
	}
	return nil
}

// others are the statements under way of loaders of other epochs, and the number of batches
// that are being removed.
func (w *Warehouse) others(ctx context.Context, epoch uint64) (ids []string, removals uint64, err error) {
	err = w.each(ctx, "warehouse: fence", "SELECT query_id FROM system.processes WHERE startsWith(Settings['log_comment'], {comment:String}) AND Settings['log_comment'] != {own:String}",
		map[string]string{"comment": fenceComment + w.databases.meta + " ", "own": w.tag(epoch)}, func(scan Scan) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	if err != nil {
		return nil, 0, err
	}
	err = w.each(ctx, "warehouse: fence", "SELECT count() FROM system.mutations WHERE database = {facts:String} AND NOT is_done AND position(command, {fence:String}) > 0",
		map[string]string{"facts": w.databases.facts, "fence": w.databases.meta + ".fence"}, func(scan Scan) error { return scan(&removals) })
	return ids, removals, err
}

// twin is a table of an epoch's own beside another, from which rows are put in place.
func (w *Warehouse) twin(of string) string {
	return fmt.Sprintf("%s.%s", name(w.databases.meta), name(fmt.Sprintf("%s%s%d", of, twinMark, w.epoch.Load())))
}

const twinMark = "__twin_"

// dropTwins removes what repairs of other epochs left beside: one of them that wakes in the
// middle of a repair finds nothing to put in place.
func (w *Warehouse) dropTwins(ctx context.Context, epoch uint64) error {
	var left []string
	err := w.each(ctx, "warehouse: fence", "SELECT name FROM system.tables WHERE database = {meta:String} AND position(name, {mark:String}) > 0 AND NOT endsWith(name, {own:String})",
		map[string]string{"meta": w.databases.meta, "mark": twinMark, "own": fmt.Sprint(twinMark, epoch)}, func(scan Scan) error {
			var table string
			err := scan(&table)
			left = append(left, table)
			return err
		})
	for _, table := range left {
		if err := w.exec(ctx, "warehouse: fence", nil, "DROP TABLE IF EXISTS "+name(w.databases.meta)+"."+name(table)+" SYNC"); err != nil {
			return err
		}
	}
	return err
}

func (w *Warehouse) tag(epoch uint64) string {
	return fmt.Sprintf("%s%s %d", fenceComment, w.databases.meta, epoch)
}

// own are the settings of a statement that writes, and the condition under which
// an INSERT … SELECT may.
func (w *Warehouse) own(set settings) (settings, string) {
	epoch := w.epoch.Load()
	if epoch == 0 || !w.shared { // nobody claimed, or nobody else is there
		return set, "1"
	}
	all := settings{"log_comment": w.tag(epoch)}
	for name, value := range set {
		all[name] = value
	}
	return all, fmt.Sprintf("(SELECT max(epoch) FROM %s.fence) = %d", name(w.databases.meta), epoch)
}

// InsertBatch is [Warehouse.InsertFacts] under a token: of all inserts with the same token
// into the same contract's facts only the first has an effect, also when they run at the same
// time. The table remembers its last 1000 tokens, over a restart; it forgets those
// of rows that are dropped with their partition or table, not of rows that
// [Warehouse.ReplaceBatch] removed.
func (w *Warehouse) InsertBatch(ctx context.Context, c *contract.Contract, token string, arrowStream io.Reader) error {
	set := wholeBlock
	if token != "" {
		set = with(set, settings{"insert_deduplication_token": token, "insert_deduplicate": 1})
	}
	return w.insertInto(ctx, w.Facts(c), c, set, arrowStream)
}

func (w *Warehouse) insertInto(ctx context.Context, table string, c *contract.Contract, set settings, arrowStream io.Reader) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	set, _ = w.own(set)
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(set))
	statement := "INSERT INTO " + table + " (" + names(Columns(c)) + ") FORMAT ArrowStream"
	limited := &limitedReader{from: arrowStream, left: MaxInsert}
	err := w.conn.InsertFormat(ctx, "ArrowStream", statement, limited)
	if limited.passed {
		return problem.Wrap(err, problem.TooLarge, "warehouse: insert into "+c.Table(), "a batch of more than %d bytes cannot be inserted in one piece", MaxInsert)
	}
	return failure(err, "warehouse: insert into "+c.Table())
}

// with is set and more.
func with(set, more settings) settings {
	all := settings{}
	for _, part := range []settings{set, more} {
		for name, value := range part {
			all[name] = value
		}
	}
	return all
}

// ReplaceBatch puts rows in the place of those that the facts of a contract have of a
// batch, in the month of cut; a nil arrowStream removes them. It returns when that is done.
// An error leaves the old rows, none or the new ones: ask [Warehouse.BatchRows]. The rollups of
// the month have to be filled anew then ([Warehouse.Refill]). Of a loader whose epoch is
// over it is a Conflict, and nothing has been changed.
func (w *Warehouse) ReplaceBatch(ctx context.Context, c *contract.Contract, cut reference.Day, batch uint64, arrowStream io.Reader) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	const op = "warehouse: replace a batch"
	twin := w.twin(c.Table())
	if arrowStream != nil {
		for _, statement := range []string{"DROP TABLE IF EXISTS " + twin + " SYNC", "CREATE TABLE " + twin + " AS " + w.Facts(c)} {
			if err := w.exec(ctx, op, nil, statement); err != nil {
				return err
			}
		}
		if err := w.insertInto(ctx, twin, c, wholeBlock, arrowStream); err != nil {
			return err
		}
	}
	set, mine := w.own(settings{"mutations_sync": 2})
	if err := w.exec(ctx, op, set, fmt.Sprintf("ALTER TABLE %s DELETE WHERE toYYYYMM(_cut) = %d AND _batch = %d AND %s", w.Facts(c), monthOf(cut), batch, mine)); err != nil {
		return err
	}
	if arrowStream != nil {
		set, mine = w.own(with(wholeBlock, settings{"insert_deduplicate": 0}))
		if err := w.exec(ctx, op, set, fmt.Sprintf("INSERT INTO %s (%s) SELECT %[2]s FROM %s WHERE %s", w.Facts(c), names(Columns(c)), twin, mine)); err != nil {
			return err
		}
		if err := w.exec(ctx, op, nil, "DROP TABLE IF EXISTS "+twin+" SYNC"); err != nil {
			return err
		}
	}
	return w.stillReigns(ctx)
}

// stillReigns is a Conflict when another loader has taken over.
func (w *Warehouse) stillReigns(ctx context.Context) error {
	epoch := w.epoch.Load()
	if epoch == 0 || !w.shared {
		return nil
	}
	return w.reigns(ctx, epoch)
}

// MonthRows counts the facts of a contract in the month of cut. The engine knows the
// number without reading a row.
func (w *Warehouse) MonthRows(ctx context.Context, c *contract.Contract, cut reference.Day) (uint64, error) {
	var n uint64
	err := w.each(ctx, "warehouse: rows of a month", fmt.Sprintf("SELECT count() FROM %s WHERE toYYYYMM(_cut) = %d", w.Facts(c), monthOf(cut)), nil,
		func(scan Scan) error { return scan(&n) })
	return n, err
}

// Batches calls row with every batch of a contract's facts in the month of cut, in
// their order, and the number of its rows.
func (w *Warehouse) Batches(ctx context.Context, c *contract.Contract, cut reference.Day, row func(batch, rows uint64) error) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	return w.each(ctx, "warehouse: batches", fmt.Sprintf("SELECT _batch, count() FROM %s WHERE toYYYYMM(_cut) = %d GROUP BY _batch ORDER BY _batch", w.Facts(c), monthOf(cut)), nil,
		func(scan Scan) error {
			var batch, rows uint64
			if err := scan(&batch, &rows); err != nil {
				return err
			}
			return row(batch, rows)
		})
}

// Newest is the highest batch above a message in the facts of a contract, and the day on
// which its rows were received; 0 when there is none.
func (w *Warehouse) Newest(ctx context.Context, c *contract.Contract, above uint64) (batch uint64, cut reference.Day, err error) {
	var day int64
	err = w.each(ctx, "warehouse: newest batch", fmt.Sprintf("SELECT max(_batch), toInt64(argMax(_cut, _batch)) FROM %s WHERE _batch > %d", w.Facts(c), above), nil,
		func(scan Scan) error { return scan(&batch, &day) })
	return batch, reference.Day(day), err
}
