// Package dashboards is the analytics API and the page: KPI values, the
// scorecard, reference data and the data dictionary over HTTP, each as JSON and
// as a table, each described in openapi.yaml, which a test holds against the real
// answers.
//
// [New] takes everything it serves in a [Config]; the doors of other rooms (the
// intake of events, receipts, status) come in as plain handlers and functions. The
// handler is safe for concurrent use.
//
// # Answers
//
// Every answer but status carries an ETag made of the loaded watermark, the
// definitions, the format and the day; If-None-Match is answered 304 before any
// work is done. Formats are chosen by ?format= or Accept. A query parameter that a
// route does not know is refused, naming those it knows. Errors are RFC 9457
// documents, rendered in one place.
//
// A table for spreadsheets (CSV, XLSX) has the same columns and the same states as
// the JSON: a missing value is an empty cell beside its state, never a zero. Text
// that a spreadsheet would take for a formula is preceded by an apostrophe.
package dashboards

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzhttp"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/portfolio"
	"ombor/queries/replies"
)

// Config is everything that the API serves. Queries and Pack are needed; a nil
// function or handler answers that its part is not served by this process.
type Config struct {
	Queries *queries.Queries
	Pack    Facts

	// Gate lets requests in, each under the rule of its route. Nil: everybody may do everything,
	// which only a test wants.
	Gate *access.Gate
	// Audit is the log that the gate writes. Nil: there is none to read.
	Audit *audit.Log

	// Events takes POST /v1/events, Deliveries POST /v1/deliveries, Receipts GET
	// /v1/receipts/{id}, whose id it reads with (*http.Request).PathValue("id").
	Events, Deliveries, Receipts http.Handler

	// Quarantine is where events wait that are kept aside. Nil: this process keeps none.
	Quarantine *Quarantine
	// Quality tells of every source and contract what came of its events. Nil: nothing is known.
	Quality func(ctx context.Context, span QualitySpan) ([]Quality, error)
	// Findings lists what is wrong with the data. Nil: nothing is known.
	Findings func(ctx context.Context, r queries.FindingsRequest) ([]queries.Finding, error)

	// Workbench is what analysts work with. Nil: this process has none.
	Workbench *Workbench

	// Replies are what owners say of their figures. Nil: none are kept.
	Replies *replies.Book
	// Settings are what people have arranged for themselves. Nil: none are kept.
	Settings *access.AllSettings

	// Projects answers for the portfolio of projects. Nil: this process has none.
	Projects *portfolio.Portfolio

	// Watermark says what answers are made of; called for every request, so it must cost
	// next to nothing. Nil: nothing is loaded.
	Watermark func() Watermark
	// Status says how far the data are. Nil: nothing is known.
	Status func() Status
	// WaitLoaded returns when the loaded watermark has reached seq, or ctx's
	// error. Nil: /v1/live announces the first watermark only.
	WaitLoaded func(ctx context.Context, seq uint64) error

	// Ready is nil when figures can be served, else the reason why not.
	Ready func(ctx context.Context) error
	// Metrics writes the rest of the process's metrics in the text format of
	// Prometheus, after those of the API itself.
	Metrics func(w io.Writer) error

	Version string           // of the binary, for the page and the document
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: slog.Default
}

// Facts is what the API tells of a pack. The values are shared: they are not
// changed here.
type Facts struct {
	Name      string
	Title     reference.Names
	Languages []string // first is the default
	Zone      *time.Location
	Currency  string
	Labels    map[string]map[string]string // language → key → text
	KPIs      []*kpi.KPI
	Targets   []*kpi.Target
	Contracts *contract.Set
	Reference *reference.Set
	Sources   map[string]queries.Sender // who is expected to send, by id
	Examples  map[string][][]byte       // by event type: events in JSON that pass
}

// Watermark is what changes when answers may.
type Watermark struct {
	Loaded  uint64 // last message in facts and rollups
	Retired int    // months of receipt, of all contracts, whose facts are not kept any longer
}

// Status is how far the data are.
type Status struct {
	Journal   uint64    // last message acknowledged
	Loaded    uint64    // last message in facts and rollups
	Lake      uint64    // last message in the lake
	LagEvents uint64    // events acknowledged and not yet loaded
	Received  time.Time // when the newest rows came in; zero: none yet
	Lag       time.Duration
	Sources   []Source

	Duplicates uint64 // events that came again unchanged, since the journal began
	Conflicts  uint64 // events with other content under an id that was known, since the journal began
	Held       uint64 // open entries of the quarantine, conflicts among them
	Quarantine []HeldCount

	// Accepted are the events that count or have been superseded, by event type, since the journal began:
	// at least those of Loaded.
	Accepted map[string]uint64

	Engine     Engine
	Loader     Loader
	Durability string   // what an acknowledgement proves, in one sentence
	Problems   []string // what is wrong now, each in words; empty: nothing
}

// Engine is the warehouse's engine.
type Engine struct {
	Version  string // ClickHouse's; empty: not known yet
	Resident int64  // bytes of memory that the embedded one holds; 0: it is elsewhere, or away
	Restarts int    // how often the embedded one was started again
}

// Loader is which of several loaders is at work.
type Loader struct {
	Role     string // of this server: active, standby, watching, starting, stopped
	Holder   string // the loader at work, as machine and folder; empty: not known
	Epoch    uint64 // how often a loader has taken over
	Repaired uint64 // batches of the warehouse that this one put right
}

// Source is what is known of one expected sender.
type Source struct {
	Source    string
	Title     reference.Names
	Owner     string        // organisation code
	Promise   time.Duration // freshness promised; 0: none
	LastEvent time.Time     // time of its newest event; zero: silent so far
	Received  time.Time     // when its newest rows came in
	Events    uint64
	Late      bool // beyond its promise, or promised and silent so far
}

// A route is one row of the API: everything the adapter needs to know.
type route struct {
	method, path string
	params       []string // query parameters besides format
	tabular      bool     // CSV and the other table formats are served
	fresh        bool     // no ETag: changes without new data
	scoped       bool     // the handler itself holds its answer to what its principal sees
	handle       handler
}

type server struct {
	config      Config
	log         *slog.Logger
	definitions uint64                    // hash of the pack's facts, for ETags
	document    func() (*document, error) // rendered when it is first asked for
	counters    counters

	bodyPatience time.Duration // [bodyPatience]; a test has less
	kept         kept
}

// New makes the handler. It fails when the Config lacks a needed part.
func New(config Config) (http.Handler, error) {
	s, err := newServer(config)
	if err != nil {
		return nil, err
	}
	return s.handler()
}

func newServer(config Config) (*server, error) {
	if config.Queries == nil || config.Pack.Contracts == nil {
		return nil, errors.New("dashboards: Config needs Queries and Pack.Contracts")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Pack.Zone == nil {
		config.Pack.Zone = time.UTC
	}
	s := &server{config: config, log: config.Log, bodyPatience: bodyPatience}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.document = sync.OnceValues(func() (*document, error) { return readDocument(config.Version) })
	var err error
	if s.definitions, err = hashOf([]any{config.Version, config.Pack.Labels, s.catalogue()}); err != nil {
		return nil, fmt.Errorf("dashboards: hash of the definitions: %w", err)
	}
	return s, nil
}

// routes are all that answer with a value of the pack or the warehouse.
func (s *server) routes() []route {
	return append(slices.Concat(s.projectRoutes(), s.workbenchRoutes(), s.replyRoutes()), []route{
		{method: "GET", path: "/v1/status", tabular: true, fresh: true, handle: s.getStatus},
		{method: "GET", path: "/v1/quality", tabular: true, fresh: true, scoped: true, params: qualityParams, handle: s.getQuality},
		{method: "GET", path: "/v1/quality/findings", tabular: true, fresh: true, scoped: true, params: findingsParams, handle: s.getFindings},
		{method: "GET", path: "/v1/quarantine", tabular: true, fresh: true, params: quarantineParams, handle: s.getQuarantine},
		{method: "GET", path: "/v1/kpis", tabular: true, handle: s.getKPIs},
		{method: "GET", path: "/v1/kpis/:id", handle: s.getKPI},
		{method: "GET", path: "/v1/kpis/:id/values", tabular: true, params: valueParams, handle: s.getValues},
		{method: "GET", path: "/v1/kpis/:id/why", tabular: true, params: whyParams, handle: s.getWhy},
		{method: "GET", path: "/v1/kpis/:id/movers", tabular: true, params: whyParams, handle: s.getMovers},
		{method: "GET", path: "/v1/kpis/:id/sql", params: sqlParams, handle: s.getSQL},
		{method: "GET", path: "/v1/scorecard", tabular: true, params: scorecardParams, handle: s.getScorecard},
		{method: "GET", path: "/v1/targets", tabular: true, scoped: true, params: targetParams, handle: s.getTargets},
		{method: "GET", path: "/v1/kpis/:id/gap", tabular: true, params: gapParams, handle: s.getGap},
		{method: "GET", path: "/v1/changes", tabular: true, params: changesParams, handle: s.getChanges},
		{method: "GET", path: "/v1/services", tabular: true, params: catalogueParams, handle: s.getReference("services")},
		{method: "GET", path: "/v1/services/:id", tabular: true, params: serviceParams, handle: s.getService},
		{method: "GET", path: "/v1/organisations", tabular: true, params: referenceParams, handle: s.getReference("organisations")},
		{method: "GET", path: "/v1/regions", tabular: true, params: referenceParams, handle: s.getReference("regions")},
		{method: "GET", path: "/v1/contracts", tabular: true, handle: s.getContracts},
		{method: "GET", path: "/v1/dictionary", tabular: true, params: []string{"type"}, handle: s.getDictionary},
		{method: "GET", path: "/v1/labels", handle: s.getLabels},
		{method: "GET", path: "/v1/keys", tabular: true, fresh: true, handle: s.getKeys},
		{method: "GET", path: "/v1/audit", tabular: true, fresh: true, params: auditParams, handle: s.getAudit},
	}...)
}

func (s *server) handler() (http.Handler, error) {
	page, err := s.page()
	if err != nil {
		return nil, err
	}
	compress, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.ExceptContentTypes([]string{
		"text/event-stream", "font/woff2", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}))
	if err != nil {
		return nil, fmt.Errorf("dashboards: compression: %w", err)
	}
	return compress(s.engine(page)), nil
}

// engine holds every route; page answers for the addresses of the application.
func (s *server) engine(page gin.HandlerFunc) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.RedirectFixedPath = false
	engine.UseRawPath = true
	engine.UnescapePathValues = true
	engine.Use(s.observe, s.patience, s.recover, headers, s.enter)
	for _, r := range s.routes() {
		engine.Handle(r.method, r.path, s.serve(r))
		if r.method == http.MethodGet {
			engine.HEAD(r.path, s.serve(r))
		}
	}
	get := func(path string, h gin.HandlerFunc) {
		engine.GET(path, h)
		engine.HEAD(path, h)
	}
	engine.POST("/v1/events", s.door(s.config.Events, "type", "source", "dry_run"))
	engine.POST("/v1/deliveries", s.door(s.config.Deliveries))
	get("/v1/receipts/:id", s.door(s.config.Receipts))
	held := s.config.Quarantine
	if held == nil {
		held = new(Quarantine)
	}
	get("/v1/quarantine/:id", s.door(held.Entry))
	engine.POST("/v1/quarantine/:id/fix", s.door(held.Fix))
	engine.POST("/v1/quarantine/replay", s.door(held.Replay))
	engine.POST("/v1/quarantine/dismiss", s.door(held.Dismiss))
	engine.POST("/v1/differences", s.postDifference)
	s.workbenchChanges(engine)
	s.replyChanges(engine)
	get("/v1/contracts/:type", s.getContract)
	get("/asyncapi.json", s.getAsyncAPI)
	engine.GET("/v1/live", s.live)
	engine.GET("/v1/me", s.getMe)
	engine.POST("/v1/keys", s.through(s.createKey))
	engine.DELETE("/v1/keys/:id", s.through(s.revokeKey))
	engine.POST("/v1/links", s.through(s.createLink))
	engine.GET("/sign-in", s.through((*access.Gate).SignIn))
	engine.GET("/sign-in/callback", s.through((*access.Gate).Callback))
	engine.POST("/sign-out", s.through((*access.Gate).SignOut))
	get("/openapi.json", s.getDocument)
	get("/docs", s.getDocs)
	get("/docs/style.css", s.getDocsStyle)
	get("/metrics", s.getMetrics)
	get("/healthz", s.getHealth)
	get("/readyz", s.getReady)
	get("/", page)
	get("/assets/*file", s.asset)
	get("/icon.svg", s.asset)
	get("/theme.js", s.asset)
	engine.NoRoute(func(c *gin.Context) {
		if owned(c.Request.URL.Path) || (c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead) {
			s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "there is nothing at %s; /docs lists what there is", c.Request.URL.Path).
				Also("uz", "%s manzilida hech narsa yoʻq.", c.Request.URL.Path).
				Also("ru", "По адресу %s ничего нет.", c.Request.URL.Path))
			return
		}
		page(c)
	})
	engine.NoMethod(func(c *gin.Context) {
		c.Writer.Header().Set("Content-Type", "application/problem+json")
		writeMethodNotAllowed(c)
	})
	return engine
}

// Server is an HTTP server with limits for an API that slow or hostile clients
// can reach: headers within 10 s and 64 KiB, idle connections for 2 min. The
// handlers bound their own reading and writing, because an upload may rightly take
// longer than an answer.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
}

func (s *server) now() time.Time { return s.config.Now().In(s.config.Pack.Zone) }

func (s *server) today() reference.Day { return reference.DayOf(s.now()) }
