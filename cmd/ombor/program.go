package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	dashboards "ombor/dashboards-api"
	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/ingest/loader"
	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/stream"
	"ombor/queries"
	"ombor/queries/governed"
	"ombor/queries/portfolio"
	"ombor/queries/replies"
	"ombor/warehouse"
	"ombor/warehouse/engine"
	"ombor/warehouse/lake"
)

// program is a running server: every room, wired. openProgram starts it, close
// stops it in the opposite order.
type program struct {
	config  config
	pack    *pack.Pack
	address net.Addr
	page    string   // address for people
	inside  net.Addr // with TLS: where the commands of this machine are answered

	sql       *governed.Door // nil: this server answers no SQL
	sqlInside string         // where SQL of this machine is answered
	workbench *dashboards.Workbench

	engine     *engine.Process // nil with a warehouse elsewhere
	stream     *stream.Conn
	journal    *journal.Journal
	warehouse  *warehouse.Warehouse
	loader     *loader.Loader
	lake       *lake.Lake
	keys       *contract.Keys
	token      string       // of the operator of this machine
	cert       *certificate // nil: no TLS
	audit      *audit.Log
	gate       *access.Gate
	settings   *access.AllSettings
	replies    *replies.Book
	hosts      []string          // names of this server beside those of the machine
	checker    *contract.Checker // of the door
	door       *ingest.Door
	snapshot   atomic.Pointer[snapshot]
	quarantine *ingest.Quarantine
	refusals   *ingest.Refusals
	days       *loader.Days
	examiner   *queries.Quality

	started time.Time
	running sync.WaitGroup
	failed  chan error    // the first part that ended by itself
	ending  chan struct{} // closed when close begins
	end     sync.Once
	closers []func() error
}

// goMemory, in bytes, is where the garbage collector begins to work harder: door and
// loader then keep within 512 MB resident, code and stacks included. It is no hard bound;
// GOMEMLIMIT in the environment is another.
const goMemory = 380 << 20

// goGrowth, in percent, is how far the heap grows beyond what is in use before it is collected, as long as goMemory
// allows: an answer of some thousand cells allocates as much as a server at rest holds, and with Go's
// 100 a collection ran beside every other one. GOGC in the environment is another.
const goGrowth = 400

// goThreads is how many threads run Go at once: twice the cores. An acknowledgement passes through
// half a dozen goroutines, and each waits until one that computes is preempted, after 10 ms, where
// every core's one thread is busy; between threads the kernel takes turns sooner. GOMAXPROCS in the
// environment is another.
var goThreads = 2 * runtime.GOMAXPROCS(0)

// openProgram starts everything and returns once requests are served. When a part
// cannot start, those before it are stopped and its error says what to do.
func openProgram(ctx context.Context, cfg config, out io.Writer) (p *program, err error) {
	p = &program{config: cfg, started: time.Now(), failed: make(chan error, 4), ending: make(chan struct{})}
	defer func() {
		if err != nil {
			_ = p.close() // the error that stopped us is the one to tell
			p = nil
		}
	}()
	say := func(format string, a ...any) { fmt.Fprintf(out, format+"\n", a...) }
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(goMemory)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(goGrowth)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(goThreads)
	}

	lock, err := stream.Lock(cfg.Data)
	if err != nil {
		return p, err
	}
	p.closing(func() error { lock.Release(); return nil })
	if _, err := os.Stat(filepath.Join(cfg.Data, incomplete)); err == nil {
		return p, problem.New(problem.Conflict, "a restore into %s did not finish: run 'ombor restore' again", cfg.Data)
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return p, problem.Wrap(err, problem.Unavailable, "", "--listen %s: the address cannot be used; another program may have it: name another, such as --listen 127.0.0.1:8081 (make run LISTEN=127.0.0.1:8081)", cfg.Listen)
	}
	p.address = listener.Addr()
	p.closing(func() error {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	if err := p.readCertificate(); err != nil {
		return p, err
	}
	if p.token, err = machineToken(cfg.Data); err != nil {
		return p, err
	}
	keys, err := openKeys(cfg)
	if err != nil {
		return p, err
	}
	p.keys = keys
	place, err := p.startEngine(ctx)
	if err != nil {
		return p, err
	}
	if err := p.readPack(ctx, place); err != nil {
		return p, err
	}
	if err := markPack(cfg.Data, p.pack.Name); err != nil {
		return p, err
	}
	place.Persons = p.pack.K
	if p.warehouse, err = warehouse.Open(ctx, place, p.pack.Set, p.pack.KPIs); err != nil {
		return p, err
	}
	p.closing(p.warehouse.Close)
	if p.engine != nil {
		if err := p.migrate(ctx); err != nil {
			return p, err
		}
	}
	if err := p.openJournal(ctx); err != nil {
		return p, err
	}
	if err := p.openGate(ctx, keys); err != nil {
		return p, err
	}
	if err := p.startLoader(ctx); err != nil {
		return p, err
	}
	if err := p.openQuality(ctx); err != nil {
		return p, err
	}
	checker := contract.NewChecker(p.pack.Set, keys, contract.Limits{})
	p.checker = checker
	p.startQuarantine(ctx, checker)
	if p.door, err = ingest.New(ingest.Config{
		Checker: checker, Journal: p.journal, SigningKey: keys.Derive("receipts"), Outcome: p.outcome, Closing: p.closingOfDeliveries(), Refusals: p.refusals,
	}); err != nil {
		return p, err
	}
	p.watch(ctx)
	p.publish(ctx, contract.NewChecker(p.pack.Set, keys, contract.Limits{Own: true}))
	p.keepFigures(ctx)
	if err := p.openSQL(); err != nil {
		return p, err
	}
	if err := p.openWorkbench(ctx); err != nil {
		return p, err
	}
	handler, err := p.api()
	if err != nil {
		return p, err
	}
	outside, inside, err := p.secure(listener)
	if err != nil {
		return p, err
	}
	handler = p.operator(p.roles(handler))
	p.serve(outside, handler)
	if inside != nil {
		p.serve(inside, handler)
	}
	if !cfg.unseeded && cfg.does("loader") {
		if err := p.seed(ctx, checker); err != nil {
			return p, err
		}
	}
	note := running{SQL: p.sqlInside, URL: p.client().url, Page: p.page, Token: p.token, PID: os.Getpid(), Pack: cfg.Pack, Engine: cfg.Warehouse}
	if p.engine != nil {
		note.Engine = p.engine.Socket()
	}
	if note.Pack != "" {
		if note.Pack, err = filepath.Abs(note.Pack); err != nil {
			return p, err
		}
	}
	if err := note.write(cfg.Data); err != nil {
		return p, problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be written", cfg.Data)
	}
	p.closing(func() error { return os.Remove(filepath.Join(cfg.Data, runningFile)) })
	say("%s, pack %s, ready in %d ms: %s", p.pack.Title.In("en"), p.pack.Name, time.Since(p.started).Milliseconds(), p.page)
	if !p.gate.HasProvider() {
		say("sign in as operator, once within 15 minutes: %s%s", p.page, p.gate.Link())
	}
	return p, nil
}

func (p *program) closing(f func() error) { p.closers = append(p.closers, f) }

func (p *program) url() string {
	if p.config.TLSCert != "" {
		return "https://" + p.address.String()
	}
	return "http://" + p.address.String()
}

// startEngine starts the embedded engine, or names the one elsewhere.
func (p *program) startEngine(ctx context.Context) (warehouse.Config, error) {
	if p.config.Warehouse != "" {
		return warehouse.Config{URL: p.config.Warehouse}, nil
	}
	process, err := engine.Start(ctx, engine.Config{Path: filepath.Join(p.config.Data, "engine"), MemoryLimit: p.config.MemoryLimit})
	if err != nil {
		return warehouse.Config{}, err
	}
	p.engine = process
	p.closing(process.Close)
	return warehouse.Config{Socket: process.Socket()}, nil
}

// migrate brings the warehouse and the analysts' database to what the pack asks for.
func (p *program) migrate(ctx context.Context) error {
	if err := p.warehouse.Migrate(ctx); err != nil {
		return err
	}
	return p.warehouse.MigrateViews(ctx, p.pack.Reference)
}

// readPack reads the pack and proves its formulae with the engine that will run them.
func (p *program) readPack(ctx context.Context, place warehouse.Config) error {
	asker, err := warehouse.Open(ctx, place, noContracts{}, nil)
	if err != nil {
		return err
	}
	defer asker.Close()
	formulae := formulaChecks(ctx, place, asker)
	if p.config.Pack == "" {
		formulae.Prove = nil // the pack that is built in was proved when it was built
	}
	p.pack, err = readPack(p.config.Pack, formulae)
	return err
}

// packMark is a file in the data folder that names the pack of its events. A server or
// a command with another one would add its tables and reference events to data that
// are none of its own, and then no loader would know all of them.
const packMark = "pack.id"

func markPack(data, name string) error {
	mark := filepath.Join(data, packMark)
	known, err := os.ReadFile(mark)
	switch {
	case err == nil && strings.TrimSpace(string(known)) == name:
		return nil
	case err == nil && len(known) > 0:
		return problem.New(problem.Conflict, "the data in %s were made with the pack %s, not with %s; name the right one with --pack", data, strings.TrimSpace(string(known)), name)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be read", data)
	}
	if err := os.WriteFile(mark, []byte(name+"\n"), 0o644); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be written", data)
	}
	return nil
}

func (p *program) openJournal(ctx context.Context) error {
	var err error
	if p.stream, err = stream.Open(ctx, stream.Options{URL: p.config.Journal, Dir: filepath.Join(p.config.Data, "journal"), Durable: p.config.JournalDurable, Replicas: p.config.JournalReplicas}); err != nil {
		return err
	}
	p.closing(p.stream.Close)
	if p.journal, err = journal.Open(ctx, p.stream, journal.Options{Contracts: p.pack.Set, Mark: filepath.Join(p.config.Data, "acknowledged.mark"), HeldIndex: heldIndex(p.config.Data)}); err != nil {
		return err
	}
	p.closing(p.journal.Close)
	return nil
}

// close stops everything, the last started first, and returns every failure.
func (p *program) close() error {
	p.end.Do(func() { close(p.ending) })
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}

// wait returns when ctx ends (nil) or when a part has failed.
func (p *program) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// serve answers on the listener until close.
func (p *program) serve(listener net.Listener, handler http.Handler) {
	p.answer(listener, dashboards.Server(p.ownHosts(handler)))
}

// answer runs a server on the listener until close.
func (p *program) answer(listener net.Listener, server *http.Server) {
	server.ErrorLog = slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)
	p.running.Go(func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			p.failed <- problem.Wrap(err, problem.Unavailable, "serve", "the address %s is no longer served", listener.Addr())
		}
	})
	p.closing(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close() // live streams do not end by themselves
		}
		return nil
	})
}

// roles refuses what this server does not do. Health, status and metrics are always told.
func (p *program) roles(next http.Handler) http.Handler {
	if p.config.does("door") && p.config.does("api") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		role := "api"
		switch first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), "/"); {
		case !strings.HasPrefix(r.URL.Path, "/v1/") && r.URL.Path != "/", first == "status":
			next.ServeHTTP(w, r)
			return
		case first == "events" || first == "receipts" || first == "deliveries":
			role = "door"
		}
		if !p.config.does(role) {
			problem.Write(w, problem.New(problem.NotFound, "this server does not have the role %s (--roles %s); ask another", role, p.config.Roles).
				Also("uz", "Bu serverda %s roli yoʻq: boshqasidan soʻrang.", role).
				Also("ru", "У этого сервера нет роли %s: спросите другой.", role))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// seed sends the pack's reference tables through the journal, where they are new
// or changed. The ids are the same each time, so that repeating it changes nothing;
// the marker saves the work.
func (p *program) seed(ctx context.Context, checker *contract.Checker) error {
	batch := checker.NewBatch()
	hash := newSeedHash()
	index := 0
	for event := range p.pack.Seeds() {
		hash.add(event)
		if refusal := batch.Add(index, event); refusal != nil {
			return problem.New(problem.BadInput, "the pack's own event %s is refused: %s: %s", refusal.ID, refusal.Field, refusal.Reason)
		}
		index++
	}
	marker := filepath.Join(p.config.Data, "seeded.txt")
	if known, err := os.ReadFile(marker); err == nil && string(known) == hash.String() {
		return nil
	}
	parts := batch.Parts()
	defer release(parts)
	if _, err := p.journal.Append(ctx, parts); err != nil {
		return err
	}
	if held := batch.Held(); len(held) > 0 {
		if err := p.journal.Hold(ctx, held); err != nil {
			return err
		}
	}
	return os.WriteFile(marker, []byte(hash.String()), 0o644)
}

func release(parts []contract.Part) {
	for _, part := range parts {
		part.Record.Release()
	}
}

func (p *program) api() (http.Handler, error) {
	kpis := p.newQueries()
	projects := portfolio.New(p.warehouse, p.pack.Portfolio, kpis, p.pack.Reference, portfolio.Options{Checker: p.checker})
	return dashboards.New(dashboards.Config{
		Gate: p.gate, Audit: p.audit, Settings: p.settings, Replies: p.replies, Workbench: p.workbench,
		Queries: kpis, Projects: projects,
		Pack:   facts(p.pack),
		Events: p.door.Events(), Receipts: p.door.Receipts(), Deliveries: p.door.Deliveries(),
		Quarantine: p.quarantineAPI(), Quality: p.quality, Findings: p.findings,
		Watermark: func() dashboards.Watermark {
			return dashboards.Watermark{Loaded: p.loader.Loaded(), Retired: p.warehouse.RetiredMonths()}
		},
		Status: p.status, WaitLoaded: p.loader.WaitLoaded, Ready: p.ready, Metrics: p.metrics, Version: version,
	})
}

// openLake opens the lake's place: a folder under the data, or an object store.
func (p *program) openLake(ctx context.Context) (*lake.Lake, error) {
	store, err := objects.Open(ctx, p.config.lakePlace())
	if err != nil {
		return nil, err
	}
	return lake.Open(store), nil
}
