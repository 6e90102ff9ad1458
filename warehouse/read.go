package warehouse

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Scan copies the current row into pointers, one for each column.
type Scan func(dest ...any) error

// each runs a SELECT and calls row for every row of its result.
func (w *Warehouse) each(ctx context.Context, op, sql string, params map[string]string, row func(Scan) error) error {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(params), clickhouse.WithSettings(maps.Clone(w.reads)))
	rows, err := w.conn.Query(ctx, sql)
	if err != nil {
		return failure(err, op)
	}
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			_ = rows.Close() // the scan's error says more
			return problem.Wrap(err, problem.Internal, op, "a row could not be read")
		}
	}
	if err := rows.Close(); err != nil {
		return failure(err, op)
	}
	return failure(rows.Err(), op)
}

// Each runs one SELECT with bound parameters ({name:Type}), read-only, and calls row
// for every row of its result.
func (w *Warehouse) Each(ctx context.Context, sql string, params map[string]string, row func(Scan) error) error {
	return unvalued(w.each(ctx, "warehouse: read", sql, params, row))
}

// Raw runs one SELECT with bound parameters ({name:Type}), read-only, and streams its
// result in a ClickHouse format ("JSON", "CSVWithNames", "ArrowStream"). An error of
// the engine in the middle comes from Read. Close it in any case.
func (w *Warehouse) Raw(ctx context.Context, sql string, params map[string]string, format string) (io.ReadCloser, error) {
	ctx, cancel := w.bounded(ctx)
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(params), clickhouse.WithSettings(settings{"readonly": 2}))
	body, err := w.conn.QueryFormat(ctx, format, sql)
	if err != nil {
		cancel()
		return nil, failure(err, "warehouse: read")
	}
	return &stream{body, cancel}, nil
}

type stream struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (s *stream) Close() error {
	err := s.ReadCloser.Close()
	s.cancel()
	return err
}

// InsertFacts appends rows to the contract's facts: an Arrow IPC stream with at
// least the columns of the table, by name (others are passed over). The rows are one
// part: after nil they are on disk; after an error ask [Warehouse.BatchRows] whether
// they are all there or none, and send the same bytes again if none. All rows of a batch
// go in one call and lie in one month of _cut. A stream of more than [MaxInsert] bytes is a
// TooLarge error, and nothing of it is kept.
func (w *Warehouse) InsertFacts(ctx context.Context, c *contract.Contract, arrowStream io.Reader) error {
	return w.InsertBatch(ctx, c, "", arrowStream)
}

// MaxInsert is the size of one insert, in bytes: what the embedded engine takes as one
// piece is more (256 MiB), larger inserts it would commit piece by piece.
const MaxInsert = 192 << 20

// limitedReader fails where [io.LimitReader] would end: a cut stream must not look whole.
type limitedReader struct {
	from   io.Reader
	left   int64
	passed bool
}

func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.from.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.passed = true
		return 0, problem.New(problem.TooLarge, "the stream is longer than %d bytes", MaxInsert)
	}
	return n, err
}

// BatchRows counts the rows of one batch in the facts of a contract, in the month of
// cut: all of them, or 0, unless another writer was at work.
func (w *Warehouse) BatchRows(ctx context.Context, c *contract.Contract, cut reference.Day, batch uint64) (uint64, error) {
	var n uint64
	err := w.each(ctx, "warehouse: rows of a batch",
		"SELECT count() FROM "+w.Facts(c)+" WHERE toYYYYMM(_cut) = {month:UInt32} AND _batch = {batch:UInt64}",
		map[string]string{"month": fmt.Sprint(monthOf(cut)), "batch": fmt.Sprint(batch)},
		func(scan Scan) error { return scan(&n) })
	return n, err
}

// FactRows streams the rows that stand for the given root events, as an Arrow IPC
// stream with the columns of the table in their order: for each id the row of its
// highest revision that has not been taken back, and nothing for an id without one.
// Rows before the sequence from are not looked at: give the lowest sequence at which
// one of the ids was first seen, so that older parts are passed over; 0 looks at all.
func (w *Warehouse) FactRows(ctx context.Context, c *contract.Contract, ids [][16]byte, from uint64) (io.ReadCloser, error) {
	// The ids are written into the statement, not bound: a parameter travels in the
	// URL, which is too short for thousands. They are hexadecimal digits by construction.
	var list strings.Builder
	for i, id := range ids {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString("'" + uuid(id) + "'")
	}
	if len(ids) == 0 {
		list.WriteString("'" + uuid([16]byte{}) + "'")
	}
	where := fmt.Sprintf("_seq >= %d AND _id IN (%s)", from, list.String())
	sql := fmt.Sprintf("SELECT %s FROM %s\nWHERE %s AND _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %s WHERE %s AND _sign < 0)\nORDER BY _id, _rev DESC\nLIMIT 1 BY _id",
		names(Columns(c)), w.Facts(c), where, w.Facts(c), where)
	return w.Raw(ctx, sql, nil, "ArrowStream")
}

// Standing calls row with every event of a source on some days that stood before the
// sequence before: its id, the revision that stands, its time. Days are of the pack's
// zone, at most [MaxDays] of them.
func (w *Warehouse) Standing(ctx context.Context, c *contract.Contract, source string, days []reference.Day, before uint64, row func(id [16]byte, revision uint32, at time.Time) error) error {
	if len(days) > MaxDays {
		return problem.New(problem.TooLarge, "%d days are asked for at once; at most %d can be", len(days), MaxDays)
	}
	var list strings.Builder // not bound: a parameter travels in the URL, which is too short
	for i, day := range days {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString("'" + day.String() + "'")
	}
	if len(days) == 0 {
		return nil
	}
	// A row that was taken back has a copy with sign -1, of the same source and day.
	sql := fmt.Sprintf("SELECT UUIDStringToNum(toString(_id)), _rev, toUnixTimestamp64Milli(max(time)) FROM %s\n"+
		"WHERE _source = {source:String} AND _day IN (%s) AND _seq < {before:UInt64}\nGROUP BY _id, _rev HAVING sum(_sign) > 0",
		w.Facts(c), list.String())
	// Rows of a fixed width, so that millions of them leave no garbage behind.
	body, err := w.Raw(ctx, sql, map[string]string{"source": source, "before": fmt.Sprint(before)}, "RowBinary")
	if err != nil {
		return err
	}
	defer body.Close() // read to its end, or given up
	in := bufio.NewReaderSize(body, 1<<16)
	var line [16 + 4 + 8]byte
	for {
		switch _, err := io.ReadFull(in, line[:]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return failure(err, "warehouse: standing events")
		}
		at := time.UnixMilli(int64(binary.LittleEndian.Uint64(line[20:]))).UTC()
		if err := row([16]byte(line[:16]), binary.LittleEndian.Uint32(line[16:]), at); err != nil {
			return err
		}
	}
}

// MaxDays is how many days one question may list.
const MaxDays = 10_000

func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Status is what the warehouse holds.
type Status struct {
	Engine string        `json:"engine"` // ClickHouse's version
	Rows   uint64        `json:"rows"`   // rows of facts, corrections included
	Bytes  uint64        `json:"bytes"`  // on disk, facts and rollups
	Loaded *time.Time    `json:"loaded"` // when a table was last written or merged; null when never
	Tables []TableStatus `json:"tables"`
}

// TableStatus is the size of one table.
type TableStatus struct {
	Database string `json:"database"` // with the operator's prefix
	Name     string `json:"name"`
	Rows     uint64 `json:"rows"`
	Bytes    uint64 `json:"bytes"`
	Parts    uint64 `json:"parts"`
}

// Status asks the engine for its version and sizes.
func (w *Warehouse) Status(ctx context.Context) (*Status, error) {
	s := &Status{Tables: []TableStatus{}}
	if err := w.each(ctx, "warehouse: status", "SELECT version()", nil, func(scan Scan) error { return scan(&s.Engine) }); err != nil {
		return nil, err
	}
	var loaded time.Time
	err := w.each(ctx, "warehouse: status", `SELECT database, table, sum(rows), sum(bytes_on_disk), count(), max(modification_time)
FROM system.parts WHERE active AND database IN ({facts:String}, {rollups:String}, {meta:String})
GROUP BY database, table ORDER BY database, table`,
		map[string]string{"facts": w.databases.facts, "rollups": w.databases.rollups, "meta": w.databases.meta},
		func(scan Scan) error {
			var t TableStatus
			var written time.Time
			if err := scan(&t.Database, &t.Name, &t.Rows, &t.Bytes, &t.Parts, &written); err != nil {
				return err
			}
			if t.Database == w.databases.facts {
				s.Rows += t.Rows
				if written.After(loaded) {
					loaded = written
				}
			}
			s.Bytes += t.Bytes
			s.Tables = append(s.Tables, t)
			return nil
		})
	if !loaded.IsZero() {
		s.Loaded = &loaded
	}
	return s, err
}

// sizesLast is how long a table's size may be old: it only decides which of two
// tables that both hold the answer is read.
const sizesLast = 10 * time.Second

// Rows is about how many rows a table (quoted, with its database) has.
func (w *Warehouse) Rows(ctx context.Context, table string) (uint64, error) {
	w.sizes.Lock()
	defer w.sizes.Unlock()
	if w.sizes.rows == nil || time.Since(w.sizes.taken) > sizesLast {
		rows := map[string]uint64{}
		err := w.each(ctx, "warehouse: sizes", `SELECT database, table, sum(rows) FROM system.parts
WHERE active AND database IN ({facts:String}, {rollups:String}) GROUP BY database, table`,
			map[string]string{"facts": w.databases.facts, "rollups": w.databases.rollups},
			func(scan Scan) error {
				var database, table string
				var n uint64
				if err := scan(&database, &table, &n); err != nil {
					return err
				}
				rows[name(database)+"."+name(table)] = n
				return nil
			})
		if err != nil {
			return 0, err
		}
		w.sizes.rows, w.sizes.taken = rows, time.Now()
	}
	return w.sizes.rows[table], nil
}
