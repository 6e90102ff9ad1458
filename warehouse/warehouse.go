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
//	_source, time, _day, fields …            _batch UInt64  first message of the plan that wrote it
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
// is the same. [Warehouse.ApplyRollups] writes them after the facts, those whose
// dimensions lie in a larger one's from the same gathered rows (gather.go); no
// materialized view does. Each row carries the highest batch in it (_through), and
// one insert is one part: so what has been applied is asked of the table itself,
// and applying again changes nothing. The definition's hash stands in the table's
// comment; a rollup whose definition changed is filled anew beside the old one,
// from facts, and takes its place in one step. The months of wide ones are kept added up
// beside them (monthly.go).
//
// # The analysts' database
//
// The database ombor is what analysts see; docs/sql.md describes it. Everything in it
// follows from the pack:
//
//   - <contract>_v<major>: a view of the rows that stand, exact, with pseudonyms in place
//     of persons and times on the clock of the country; <contract>_v<major>_ledger: every
//     row with its sign, for what was known on a day;
//   - <table>: a reference table, one row for each code; <table>_history: a row for each
//     span in which a code had one meaning;
//   - calendar: a row for each day;
//   - kpi_values: every figure that was published of a closed period, masked as it was
//     published, with the day from which it was known. Figures of open periods are not in it.
//
// A contract with a field of class special has neither view of its own.
//
// A view costs nothing to keep. It reads what was taken back (the rows of sign −1) for
// every question, which are few, and passes every condition on to the facts' own index;
// no FINAL is needed.
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
	"cmp"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Config says where the engine is. Exactly one of Socket and URL is set.
type Config struct {
	Socket string // path of the embedded engine's Unix socket
	URL    string // "https://user:password@host:8443/database"; the database is not used for tables

	Shared  bool          // loaders of other processes write here, too: statements are fenced ([Warehouse.Claim]). A URL always is
	Prefix  string        // before the names of the databases facts, rollups, meta and ombor; for a server that others share
	Persons int           // k: distinct persons are counted up to this many in rollups, 1 to 100; 0 is 10
	Months  uint64        // rows from which a wide rollup's months are kept added up ([Warehouse.KeepMonths]); 0 is 50,000, of which fewer are read as fast
	Timeout time.Duration // of one statement; 0 is 60 s. Migrations and fills of rollups are not bounded by it
	Conns   int           // connections at most; 0 is 8
}

// Contracts is what the warehouse needs of a pack's contracts. *contract.Set is one;
// another is the empty one of a command that only checks expressions.
type Contracts interface {
	All() []*contract.Contract
	Zone() *time.Location
}

// Warehouse is a pool of connections and the tables derived from a pack.
type Warehouse struct {
	conn      driver.Conn
	timeout   time.Duration
	databases databases
	zone      *time.Location
	persons   int
	from      uint64 // Config.Months
	reads     settings
	contracts []*contract.Contract
	kpis      []*kpi.KPI

	shared bool          // others can reach the engine
	epoch  atomic.Uint64 // of the loader whose statements these are; 0: nobody claimed

	rollups   []*Rollup
	declared  map[string][]*Rollup // by contract.Table()
	distincts []*Distinct
	asides    asides

	retired retired

	sizes struct {
		sync.Mutex
		rows  map[string]uint64 // table with database → rows
		taken time.Time
	}
	keptMonths struct {
		sync.Mutex
		of    map[*Rollup]map[reference.Day]Made
		taken time.Time
	}
}

type databases struct{ facts, rollups, meta, ombor string }

//go:embed migrations/*.sql
var migrations embed.FS

// Open connects to the engine. It creates nothing: call [Warehouse.Migrate] before
// writing. An engine that does not answer is an Unavailable error; an expression that
// no rollup can hold is a BadInput error, reported by Migrate.
func Open(ctx context.Context, config Config, contracts Contracts, kpis []*kpi.KPI) (*Warehouse, error) {
	if config.Persons == 0 {
		config.Persons = 10
	}
	if config.Months == 0 {
		config.Months = 50_000
	}
	if config.Persons < 1 || config.Persons > 100 {
		return nil, problem.New(problem.BadInput, "the number of persons that a cell needs is between 1 and 100, not %d", config.Persons)
	}
	options, err := config.options()
	if err != nil {
		return nil, err
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "warehouse: open", "the address of the warehouse cannot be used")
	}
	w := &Warehouse{
		conn:    conn,
		timeout: cmp.Or(config.Timeout, time.Minute),
		databases: databases{
			facts:   config.Prefix + "facts",
			rollups: config.Prefix + "rollups",
			meta:    config.Prefix + "meta",
			ombor:   config.Prefix + "ombor",
		},
		shared:  config.Shared || config.URL != "",
		zone:    contracts.Zone(),
		persons: config.Persons,
		from:    config.Months,
		// An aggregate that is met for the third time would be compiled first, which one answer waits for; what is read here is as fast without.
		reads:     settings{"readonly": 2, "compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0},
		contracts: contracts.All(),
		kpis:      kpis,
	}
	if w.zone == nil {
		w.zone = time.UTC
	}
	if config.Socket != "" {
		// The embedded engine gives a statement one thread for each free gigabyte, which of the two that it has by default is one, always.
		w.reads["max_threads_min_free_memory_per_thread"] = 0
		w.reads["use_uncompressed_cache"] = 1
	}
	if err := w.derive(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	w.deriveDistinct()
	if err := conn.Ping(ctx); err != nil {
		return nil, errors.Join(failure(err, "warehouse: open"), conn.Close())
	}
	if err := w.readAside(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

func (config Config) options() (*clickhouse.Options, error) {
	options := &clickhouse.Options{
		Protocol:     clickhouse.HTTP,
		ClientInfo:   clickhouse.ClientInfo{Products: []struct{ Name, Version string }{{Name: "ombor"}}},
		DialTimeout:  10 * time.Second,
		ReadTimeout:  whole, // a statement's own limit is its context: one that fills a rollup answers nothing for minutes
		MaxOpenConns: config.Conns,
		MaxIdleConns: config.Conns,
	}
	if options.MaxOpenConns == 0 {
		options.MaxOpenConns, options.MaxIdleConns = 8, 8
	}
	options.HttpMaxConnsPerHost = options.MaxOpenConns
	switch {
	case config.Socket != "" && config.URL != "":
		return nil, problem.New(problem.BadInput, "give the warehouse a socket or a URL, not both")
	case config.Socket != "":
		options.Addr = []string{"ombor"}
		options.DialContext = func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", config.Socket)
		}
		return options, nil
	case config.URL == "":
		return nil, problem.New(problem.BadInput, "the warehouse has no address: give a socket or a URL")
	}
	u, err := url.Parse(config.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		// The cause is left out: it would print the password.
		return nil, problem.New(problem.BadInput, "the warehouse's URL must read https://user:password@host:8443/database").In("warehouse")
	}
	port := u.Port()
	switch {
	case port == "" && u.Scheme == "https":
		port = "8443"
	case port == "":
		port = "8123"
	}
	options.Addr = []string{net.JoinHostPort(u.Hostname(), port)}
	if u.Scheme == "https" {
		options.TLS = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	options.Auth.Username = u.User.Username()
	options.Auth.Password, _ = u.User.Password()
	options.Auth.Database = strings.Trim(u.Path, "/")
	return options, nil
}

// Close gives the connections back. It does not stop the engine.
func (w *Warehouse) Close() error { return w.conn.Close() }

// Zone is the pack's time zone, never nil.
func (w *Warehouse) Zone() *time.Location { return w.zone }

// Contract finds "request.decided" (its newest major version) or
// "request.decided.v1"; nil when there is none.
func (w *Warehouse) Contract(name string) *contract.Contract {
	var best *contract.Contract
	for _, c := range w.contracts {
		if c.Table() == tableOf(name) {
			return c
		}
		if c.Name == name && (best == nil || c.Major > best.Major) {
			best = c
		}
	}
	return best
}

func tableOf(name string) string { return strings.ReplaceAll(name, ".", "_") }

// settings of a statement, on top of the engine's.
type settings = clickhouse.Settings

// exec runs one statement that answers nothing.
func (w *Warehouse) exec(ctx context.Context, op string, set settings, statement string) error {
	ctx, cancel := w.bounded(ctx)
	defer cancel()
	if set != nil {
		ctx = clickhouse.Context(ctx, clickhouse.WithSettings(set))
	}
	return failure(w.conn.Exec(ctx, statement), op)
}

// bounded gives ctx the statement's time-out, when it has no deadline of its own.
func (w *Warehouse) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, w.timeout)
}

// unbounded lifts the client's time-out for statements whose length follows the
// size of the data; ctx still ends them.
func unbounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, whole)
}

// whole is the time that no statement needs.
const whole = 24 * time.Hour

// ClickHouse's error codes that are not faults of ours.
const (
	codeTimeout      = 159
	codeQueries      = 202
	codeMemory       = 241
	codeTooManyParts = 252
	codeNetwork      = 210
)

// failure gives an error of the client its kind: an engine that is away, too busy or
// out of memory is to be asked again; anything else is ours to mend.
func failure(err error, op string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		switch e.Code {
		case codeTooManyParts, codeQueries:
			return problem.Wrap(err, problem.Busy, op, "the warehouse is busy; try again")
		case codeTimeout, codeMemory, codeNetwork:
			return problem.Wrap(err, problem.Unavailable, op, "the warehouse could not finish this in the time and memory that it has")
		}
		return problem.Wrap(err, problem.Internal, op, "the engine refused a statement")
	}
	var netError net.Error
	if errors.As(err, &netError) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, clickhouse.ErrAcquireConnTimeout) || isClosed(err) {
		return problem.Wrap(err, problem.Unavailable, op, "the warehouse does not answer; it may be starting again")
	}
	return problem.Wrap(err, problem.Internal, op, "the warehouse gave an answer that was not understood")
}

func isClosed(err error) bool {
	text := err.Error()
	return slices.ContainsFunc([]string{"EOF", "connection refused", "connection reset", "no such file"}, func(s string) bool {
		return strings.Contains(text, s)
	})
}
