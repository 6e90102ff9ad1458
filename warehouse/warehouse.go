// Package warehouse keeps the facts and their rollups in ClickHouse, embedded or
// as a server, and is the only client of it.
//
// # Facts
//
// Each contract has one table facts.<contract>_v<major>: an append-only ledger, whose columns are
// those of the contract's batch and the loader's:
//
//	_id UUID          the root event         _sign  Int8    +1, or −1 for what a correction takes back
//	_rev UInt32       its revision           _cut   Date    the day on which the journal received the row
//	_simulated Bool                          _seq   UInt64  message × 2²⁰ + row
//	source, time, _day, fields …             _batch UInt64  first message of the plan that wrote it
//
// It is partitioned by the month of _cut, so that an insert is one part, whole or
// absent, and late data touch one partition only; it is sorted by _day and the
// contract's few-valued fields.
//
// # Rollups
//
// For each set of dimensions that a KPI declares, and for the empty set, there is
// one SummingMergeTree table rollups.<table>__<at>__<dimensions>: the sums of signs
// and of signed measures by day (or hour). KPIs share a measure when its expression
// is the same. [Warehouse.ApplyRollups] writes them after the facts; no
// materialized view does. Each row carries the highest batch in it (_through), and
// one insert is one part: so what has been applied is asked of the table itself,
// and applying again changes nothing. The definition's hash stands in the table's
// comment; a rollup whose definition changed is filled anew beside the old one,
// from facts, and takes its place in one step.
//
// # Migrations
//
// Fixed tables come from migrations/*.sql, every one of them idempotent. A
// contract's table follows its contract: a new optional field is a new column, a
// new value of an enumeration needs nothing; anything else is refused, since it
// needs a new major version of the contract beside the old one.
//
// A Warehouse is safe for concurrent use; writing (InsertFacts, ApplyRollups,
// Migrate) is for one loader at a time.
package warehouse

import (
	"context"
	"io"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Config says where the engine is. Exactly one of Socket and URL is set.
type Config struct {
	Socket string // path of the embedded engine's Unix socket
	URL    string // "https://user:password@host:8443/database"; the database is not used for tables

	Prefix  string        // before the names of the databases facts, rollups and meta; for a server that others share
	Persons int           // k: distinct persons are counted up to this many in rollups; 0 is 10
	Timeout time.Duration // of one statement; 0 is 60 s. Fills of rollups are not bounded by it
	Conns   int           // connections at most; 0 is 8
}

// Contracts is what the warehouse needs of a pack's contracts; *contract.Set is one.
type Contracts interface {
	All() []*contract.Contract
	Zone() *time.Location
}

// Open connects to the engine. It creates nothing: call [Warehouse.Migrate] before
// writing. An engine that does not answer is an Unavailable error.
func Open(ctx context.Context, config Config, contracts Contracts, kpis []*kpi.KPI) (*Warehouse, error) {
	return nil, errNotYet
}

// Warehouse is an open connection pool and the tables derived from a pack.
type Warehouse struct{}

var errNotYet = problem.New(problem.Internal, "warehouse: being built")

// Close gives the connections back. It does not stop the engine.
func (w *Warehouse) Close() error { return nil }

// Migrate brings databases, fact tables and rollups to what the pack's contracts
// and KPIs ask for, and fills rollups that are new or changed from the facts. It
// is idempotent and may be interrupted. A change that a contract cannot make
// within its major version is a Conflict error that names every such field.
func (w *Warehouse) Migrate(ctx context.Context) error { return errNotYet }

// InsertFacts appends rows to the contract's facts: an Arrow IPC stream with at
// least the columns of the table, by name (others are passed over). The rows are
// one block: after nil they are on disk, after an error ask [Warehouse.BatchRows]
// whether they are all there or none. All rows must lie in one month of _cut.
func (w *Warehouse) InsertFacts(ctx context.Context, c *contract.Contract, arrowStream io.Reader) error {
	return errNotYet
}

// BatchRows counts the rows of one batch in the facts of a contract.
func (w *Warehouse) BatchRows(ctx context.Context, c *contract.Contract, cut reference.Day, batch uint64) (uint64, error) {
	return 0, errNotYet
}

// ApplyRollups brings the rollups of a contract, in the month of cut, up to and
// including batch. Batches must be applied in order; applying one again changes nothing.
func (w *Warehouse) ApplyRollups(ctx context.Context, c *contract.Contract, cut reference.Day, batch uint64) error {
	return errNotYet
}

// Refill computes the contract's rollups of the month of cut anew from the facts
// and puts them in place in one step: the repair for any doubt.
func (w *Warehouse) Refill(ctx context.Context, c *contract.Contract, cut reference.Day) error {
	return errNotYet
}

// FactRows streams the rows that stand for the given root events, as Arrow IPC
// with all columns of the table in its order: for each id the row of its highest
// revision that has not been taken back, and nothing for an id without one. Rows
// before the sequence from are not looked at; 0 looks at all.
func (w *Warehouse) FactRows(ctx context.Context, c *contract.Contract, ids [][16]byte, from uint64) (io.ReadCloser, error) {
	return nil, errNotYet
}

// Columns are the names of the columns of a contract's fact table, in its order.
func Columns(c *contract.Contract) []string { return nil }

// Check parses an expression of a KPI with the engine's own parser and refuses
// what is not an expression over columns made of allowed pure functions. It
// executes nothing. The error is BadInput and says what is wrong.
func (w *Warehouse) Check(ctx context.Context, expression string, columns []string) error {
	return errNotYet
}

// Raw runs one SELECT with bound parameters ({name:Type}) read-only and streams
// its result in a ClickHouse format ("JSON", "CSVWithNames", "ArrowStream").
func (w *Warehouse) Raw(ctx context.Context, sql string, params map[string]string, format string) (io.ReadCloser, error) {
	return nil, errNotYet
}

// Status is what the warehouse holds.
type Status struct {
	Engine string        `json:"engine"` // ClickHouse's version
	Rows   uint64        `json:"rows"`   // rows of facts, corrections included
	Bytes  uint64        `json:"bytes"`  // on disk, facts and rollups
	Loaded *time.Time    `json:"loaded"` // when facts were last written; null when never
	Tables []TableStatus `json:"tables"`
}

// TableStatus is the size of one table.
type TableStatus struct {
	Database string `json:"database"` // "facts", "rollups" or "meta"
	Name     string `json:"name"`
	Rows     uint64 `json:"rows"`
	Bytes    uint64 `json:"bytes"`
	Parts    uint64 `json:"parts"`
}

// Status asks the engine for its version and sizes.
func (w *Warehouse) Status(ctx context.Context) (*Status, error) { return nil, errNotYet }
