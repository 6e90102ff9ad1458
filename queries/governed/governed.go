// Package governed is the door through which people ask the warehouse in SQL. It speaks
// ClickHouse's HTTP interface, so that every tool that speaks to ClickHouse works, and stands in
// front of the embedded engine and of a ClickHouse server alike.
//
//	door, err := governed.New(governed.Config{Gate: gate, Engine: governed.Engine{Client: process.Client()}, Database: "ombor"})
//	http.Serve(listener, door)
//
//	curl -H "Authorization: Bearer $KEY" http://127.0.0.1:8123/ --data 'SELECT count() FROM request_decided_v1'
//
// # What a statement passes
//
//  1. Who asks: an API key or session (bearer token, basic authentication, X-ClickHouse-Key), and
//     the rule [Rule] of the table of access. Too many requests are Busy.
//  2. What is one statement ([readStatement]): bytes that the engine's lexer could see differently
//     are refused; comments, SETTINGS and FORMAT are taken out of the text. SELECT and EXPLAIN of one go
//     on; SHOW, DESCRIBE and EXISTS name one table; USE, SET and KILL of an own query are
//     answered here and never reach the engine; everything else is refused.
//  3. What it reads: the engine's own parser lists the query's tree (EXPLAIN AST, which executes
//     nothing), and every kind of node, function (functions.txt), table function and table in it
//     must be on a list ([judge]). A bare name is a table that is known or something of the query's own.
//  4. The audit log: what was asked, and whether it was allowed, is on disk before anything runs.
//  5. A turn: so many statements run at once, so many of one principal, and the others wait ([turns]).
//  6. The engine, read only, on a connection of its own with limits of time, memory, rows and bytes
//     ([Limits]); a limit that is reached is an exception, never a shorter answer. Bytes go through
//     as the engine writes them, and are not looked at.
//
// A client that goes away ends its query.
//
// # What can be read
//
// The analysts' database, by role analyst, center and operator all of it. Of the engine's own tables those
// that clients ask for what there is, narrowed to that database ([catalogue]). An agency sees its own rows: its
// statements read each view through a condition ([Config.Own]), and a view that does not tell whose a
// row is not at all; the reference tables it sees whole. The condition is the engine's additional_table_filters, which holds
// wherever a table is read, in views and subqueries too. The engine finds it by the table's name or alias, so that an alias
// that could be the name of another table is refused ([plainAlias]). So that no expression of a statement sees a row before
// the condition has passed it (an error would tell of other agencies' rows), the engine does not reorder the plan of such a
// statement; and how many rows were read before is told to nobody who sees a part of them.
//
// # Marks
//
// Answers carry X-Ombor-Class: internal, since rows are for use inside and not for publication.
package governed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/protocol"
)

// Rule is the name of the door in the table of access.
const Rule = "SQL"

// Engine is where statements run.
type Engine struct {
	Client *http.Client
	URL    string // of a server, with the user that may only read; empty: the embedded engine, which Client reaches
}

// Config is what a door needs.
type Config struct {
	Gate     *access.Gate
	Engine   Engine
	Database string // the analysts' database
	Limits   Limits

	// Own is the condition on the rows of one of its tables under which somebody sees no others than those
	// of one agency or region and what is everybody's: "1" is every row, "0" none. Nil: none of any table.
	Own func(table, dimension, value string) string

	// Ready is an error while the warehouse does not hold everything, as when it is made anew: statements
	// are refused with it then. Nil: it always does.
	Ready func() error
}

// Door serves SQL. It is safe for concurrent use.
type Door struct {
	config   Config
	turns    turns
	quick    turns // of statements that read nothing but the catalogue
	sessions sessions
	running  running
	forms    turns // of requests with external tables
	trees    trees
	tables   tables
	embedded bool // the engine is the embedded one
	identity struct {
		sync.Mutex
		protocol.Identity
	}
}

// New makes a door. It asks the engine nothing yet.
func New(config Config) (*Door, error) {
	config.Limits = config.Limits.withDefaults()
	l := &config.Limits
	embedded := config.Engine.URL == ""
	config.Engine.URL = or(config.Engine.URL, "http://engine/")
	if _, err := url.Parse(config.Engine.URL); err != nil {
		return nil, problem.New(problem.BadInput, "the address of the warehouse for SQL cannot be used") // the cause would print its password
	}
	d := &Door{config: config, embedded: embedded}
	d.forms = newTurns(l, maxForms, 1)
	d.turns = newTurns(l, l.Running, l.Each)
	d.quick = newTurns(l, 2, 1)
	return d, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// ServeHTTP answers ClickHouse's HTTP interface.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case "/ping", "/replicas_status":
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		_, _ = io.WriteString(w, "Ok.\n") // the client has gone: nothing to do
		return
	case "/", "/query":
	default:
		http.Error(w, "There is no handler "+r.URL.Path+"\n\nUse / or /ping for health checks.\n\nSend queries from your program with POST method or GET /?query=...", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodOptions:
		h.Set("Allow", "GET, HEAD, OPTIONS, POST")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet, http.MethodHead:
		if r.URL.RawQuery == "" {
			h.Set("Content-Type", "text/plain; charset=UTF-8")
			_, _ = io.WriteString(w, "Ok.\n") // likewise
			return
		}
	case http.MethodPost:
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS, POST")
		http.Error(w, "only GET, HEAD, OPTIONS and POST are answered", http.StatusMethodNotAllowed)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			slog.Error("governed: a request failed inside the door", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			panic(http.ErrAbortHandler) // whatever was sent must not look whole
		}
	}()
	p, err := d.config.Gate.Admit(r, Rule)
	if err != nil {
		if problem.KindOf(err) == problem.Unauthenticated && r.Header.Get("Authorization") == "" && r.Header.Get("X-ClickHouse-Key") == "" {
			h.Set("WWW-Authenticate", `Basic realm="ombor", charset="UTF-8"`) // a browser and Excel ask then
			err = protocol.Exceptionf(protocol.CodeRequiredPassword, "show an API key: as bearer token, as password of any user, or as X-ClickHouse-Key")
		}
		d.refuse(w, nil, err)
		return
	}
	d.Serve(w, r, p)
}

// bodyWait is how long the whole body of a request may take to arrive.
const bodyWait = 2 * time.Minute

// Bounds of what a request holds in memory before it is judged.
const (
	maxExternal = 32 << 20 // bytes of all external tables of a request
	maxForms    = 4        // requests with external tables at once, one of each principal; others wait
	maxRatio    = 200      // times that a compressed body may become larger, as at the door for events
	maxFrame    = 1 << 20  // bytes of one of ClickHouse's compressed frames, which is what its clients send
)

// Serve answers a request of somebody who has been admitted under [Rule].
func (d *Door) Serve(w http.ResponseWriter, r *http.Request, p *access.Principal) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") { // its tables are held in memory
		leave, err := d.forms.take(r.Context(), p.ID)
		if err != nil {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler)
			}
			d.refuse(w, nil, err)
			return
		}
		defer leave()
	}
	body := &patient{ReadCloser: r.Body, control: http.NewResponseController(w), piece: d.config.Limits.Piece, until: time.Now().Add(bodyWait)}
	if r.Body != nil {
		r.Body = body
	}
	req, err := protocol.ParseRequest(r, protocol.Limits{Query: maxStatement, External: maxExternal, Ratio: maxRatio, Frame: maxFrame})
	if req != nil {
		req.QueryID = or(req.QueryID, newID())
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	var q *query
	if err == nil {
		q, err = d.read(ctx, req, p)
	}
	if !body.late {
		_ = body.control.SetReadDeadline(time.Time{}) // from now on a read tells that the client has gone
	}
	if err == nil && q.runs() && d.config.Ready != nil {
		if whole := d.config.Ready(); whole != nil {
			err = exception(whole)
		}
	}
	var sent *sending
	if err == nil {
		if q.runs() && len(req.External) == 0 && d.embedded && scopeOf(p).Dimension == "" { // of others the judgement narrows it further
			sent = d.begin(ctx, q)
		}
		err = d.judge(ctx, q)
	}
	if err != nil {
		err = problem.Wrap(err, problem.Denied, "", "%s", exception(err).Message) // for the log: the client gets the exception
	}
	if err = d.config.Gate.Decide(r, p, Rule, object(r, q, req), err); err == nil {
		err = d.run(ctx, cancel, w, q, sent)
	}
	if err == nil {
		return
	}
	if r.Context().Err() != nil && !body.late { // which ends the context as well
		panic(http.ErrAbortHandler) // nobody is left to read an answer
	}
	d.refuse(w, req, err)
}

// patient is a body that has to keep arriving.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	piece   time.Duration // between its pieces at most
	until   time.Time     // of the whole body
	late    bool          // it did not arrive in time: the server reads no more of it, either
}

func (b *patient) Read(p []byte) (int, error) {
	deadline := time.Now().Add(b.piece)
	if b.until.Before(deadline) {
		deadline = b.until
	}
	_ = b.control.SetReadDeadline(deadline) // where it is not supported there is none
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.late = true
		err = protocol.Exceptionf(protocol.CodeSocketTimeout, "the body of the request did not arrive in time: no more than %s between its pieces, and %s in all", b.piece, bodyWait)
	}
	return n, err
}

// refuse answers with an exception.
func (d *Door) refuse(w http.ResponseWriter, req *protocol.Request, err error) {
	e := exception(err)
	d.identity.Lock()
	identity := d.identity.Identity
	d.identity.Unlock()
	protocol.NewAnswer(w, req, identity).Fail(e)
}

// exception is a problem in the codes that clients know.
func exception(err error) *protocol.Exception {
	var e *protocol.Exception
	if errors.As(err, &e) {
		return e
	}
	document := problem.DocumentOf(err)
	code := protocol.CodeStdException
	switch problem.KindOf(err) {
	case problem.Unauthenticated:
		code = protocol.CodeAuthenticationFailed
	case problem.Denied:
		code = protocol.CodeAccessDenied
	case problem.Busy:
		code = protocol.CodeTooManySimultaneous
	case problem.Unavailable:
		code = protocol.CodeUnavailable
	case problem.BadInput:
		code = protocol.CodeBadArguments
	}
	e = protocol.Exceptionf(code, "%s", document.Detail)
	var kind *problem.Error
	if errors.As(err, &kind) && kind.RetryAfter > 0 {
		e.RetryAfter = int(kind.RetryAfter/time.Second) + 1
	}
	return e
}

// query is a statement that may run.
type query struct {
	*statement
	req      *protocol.Request
	who      *access.Principal
	raw      string // as it was sent
	format   string
	settings []protocol.Pair
	session  *session
	known    *schema
	catalog  bool // it reads nothing but the engine's catalogue: it has turns of its own, and little time
}

// runs says whether the engine is asked: the door answers other statements itself.
func (q *query) runs() bool { return q.kind != isUse && q.kind != isSet && q.kind != isKill }

// object is what the audit log says of a request.
func object(r *http.Request, q *query, req *protocol.Request) string {
	if q == nil {
		return r.Method + " " + r.URL.Path // it could not be read
	}
	said := q.raw
	for _, p := range req.Params {
		said += "\n" + p.Name + " = " + p.Value
	}
	for _, t := range req.External {
		said += fmt.Sprintf("\ntable %s: %d bytes", t.Name, len(t.Data))
	}
	return said
}

// quickTime is what a statement may take that reads nothing but the catalogue.
const quickTime = 5 * time.Second

// queryID is what a client may call its query.
var queryID = regexp.MustCompile(`^[!-~]{1,200}$`)

// read reads a request: its statement, and the settings with which that would run. The query is there with
// the error, too, so that the log can tell of it.
func (d *Door) read(ctx context.Context, req *protocol.Request, p *access.Principal) (*query, error) {
	body, err := io.ReadAll(io.LimitReader(req.Body, maxStatement+1))
	q := &query{req: req, who: p, raw: req.Query, statement: &statement{}}
	if len(body) > 0 {
		if q.raw != "" {
			q.raw += "\n"
		}
		q.raw += string(body)
	}
	if err != nil {
		return q, err
	}
	if !queryID.MatchString(req.QueryID) {
		return q, protocol.Exceptionf(protocol.CodeBadArguments, "a query_id has at most 200 printable characters")
	}
	if q.statement, err = readStatement(q.raw); err != nil {
		q.statement = &statement{}
		return q, err
	}
	if err := d.database(req.Database); err != nil {
		return q, err
	}
	if q.session, err = d.sessions.get(p, req, time.Now()); err != nil {
		return q, err
	}
	asked := append(append(q.session.set(), req.Settings...), q.statement.settings...)
	q.format = or(q.statement.format, or(req.DefaultFormat, "TabSeparated"))
	if !formats[q.format] {
		return q, protocol.Exceptionf(protocol.CodeUnknownFormat, "Unknown format %s, or one that is not possible here", q.format)
	}
	for i := range req.External {
		if err := structure(&req.External[i]); err != nil {
			return q, err
		}
	}
	if q.known, err = d.tables.get(ctx, d); err != nil {
		return q, err
	}
	if scopeOf(p).Dimension != "" && strings.HasSuffix(strings.ToLower(q.format), "withprogress") {
		return q, refusal("%s tells how many rows are read, rows of others among them", q.format)
	}
	if q.settings, err = d.config.Limits.settle(asked, q.format); err != nil {
		return q, err
	}
	q.settings = append(q.settings, q.known.narrowing(d, scopeOf(p))...)
	return q, nil
}

// judge says whether a query that was read may run.
func (d *Door) judge(ctx context.Context, q *query) error {
	scope := scopeOf(q.who)
	switch q.kind {
	case isQuery, isExplain:
		if q.plan && scope.Dimension != "" {
			return refusal("this EXPLAIN counts what is read before rows of others are left out; EXPLAIN SYNTAX, EXPLAIN AST and EXPLAIN QUERY TREE do not")
		}
		tree, err := d.tree(ctx, q)
		if err != nil {
			return err
		}
		own := q.own(tree)
		var strange []string // names of its own under which there may be a table by now
		rows, err := judge(tree, q.statement, func(name string) error {
			if own[name] && !q.known.tables[name] {
				strange = append(strange, name)
				return nil
			}
			return d.allowed(q.known, scope, name)
		})
		if err != nil {
			return err
		}
		q.catalog = !rows
		if scope.Dimension != "" && len(strange) > 0 {
			q.settings = append(q.settings, d.without(q.known.narrowing(d, scope), strange)...)
		}
	case isDescribe:
		q.catalog = true
		return d.allowed(q.known, scope, or(q.statement.database, d.config.Database)+"."+q.table)
	case isShow, isUse:
		q.catalog = true
		return d.database(q.statement.database)
	}
	return nil
}

// own are the bare names to which a query itself may give a meaning: aliases, subqueries in WITH and external tables.
func (q *query) own(tree *node) map[string]bool {
	names := map[string]bool{}
	tree.aliases(names)
	for _, name := range q.common {
		names[name] = true
	}
	for _, t := range q.req.External {
		names[t.Name] = true
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool { return strings.Contains(name, ".") })
	return names
}

// database refuses any current database but the analysts': a name without one means a table there.
func (d *Door) database(name string) error {
	if name == "" || name == "default" || name == d.config.Database {
		return nil
	}
	return protocol.Exceptionf(protocol.CodeUnknownDatabase, "Database %s does not exist, or cannot be the current one: use %s", name, d.config.Database)
}

// rows is what one scope sees of the rows: those where a column has a value.
type rows = access.Scope

// scopeOf is what somebody sees here. Leaders see all figures, and no rows.
func scopeOf(p *access.Principal) rows {
	if p.Is(access.Analyst, access.Center, access.Operator) {
		return rows{}
	}
	if p.Agency == "" && p.Region != "" {
		return rows{Dimension: "region", Value: p.Region}
	}
	return rows{Dimension: "agency", Value: p.Agency}
}

// catalogue are the engine's own tables that may be read, with what narrows each; DATABASE stands for the
// analysts' database, TABLES for its tables that somebody may read. Where clients ask and nobody has to know the answer is nothing.
var catalogue = map[string]string{
	"system.databases": "name = DATABASE", "system.tables": "database = DATABASE" + andTables + "name IN TABLES", "system.columns": "database = DATABASE" + andTables + "table IN TABLES",
	"system.one": "", "system.settings": "", "system.functions": "", "system.formats": "", "system.data_type_families": "", "system.table_functions": "", "system.table_engines": "",
	"system.collations": "", "system.time_zones": "", "system.aggregate_function_combinators": "", "system.keywords": "",
	"system.numbers": "", "system.numbers_mt": "", "system.zeros": "", "system.zeros_mt": "",
	"system.dictionaries": "0", "system.clusters": "0", "system.macros": "0", "system.processes": "0", "system.parts": "0", "system.parts_columns": "0", "system.mutations": "0", "system.disks": "0",
	"system.current_roles": "0", "system.enabled_roles": "0", "system.replicas": "0", "system.merges": "0",
	"system.data_skipping_indices": "0", "system.projections": "0", "system.named_collections": "0", "system.storage_policies": "0", "system.metrics": "0", "system.events": "0", "system.asynchronous_metrics": "0",
	"information_schema.tables": "", "information_schema.columns": "", "information_schema.schemata": "", "information_schema.views": "",
	"information_schema.key_column_usage": "", "information_schema.referential_constraints": "", "information_schema.statistics": "",
}

// andTables is before a condition of [catalogue] that who sees all tables of the database does not need.
const andTables = " AND "

// allowed says whether a scope may read a table, as a query names it. A bare name is a table of the
// analysts' database.
func (d *Door) allowed(known *schema, scope rows, name string) error {
	database, table, dotted := strings.Cut(name, ".")
	if !dotted {
		database, table = d.config.Database, name
	}
	if _, ok := catalogue[strings.ToLower(name)]; ok && dotted {
		return nil
	}
	if database != d.config.Database || !known.tables[table] {
		return d.unknown(known, scope, name)
	}
	if d.own(table, scope) == "0" {
		return refusal("%s does not tell whose a row is (it names no %s), and %s does not own the system that sends it; the figures of all are on the page and in the API", name, scope.Dimension, or(scope.Value, "an agency without a code"))
	}
	return nil
}

// unknown says of a table that a scope cannot read it, and what it can that is spelled alike.
func (d *Door) unknown(known *schema, scope rows, name string) error {
	var there []string
	for table := range known.tables {
		if d.own(table, scope) != "0" {
			there = append(there, table)
		}
	}
	slices.Sort(there)
	maybe := ""
	if near := contract.Nearest(name[strings.LastIndexByte(name, '.')+1:], there); near != "" {
		maybe = ". Maybe you meant " + d.config.Database + "." + near + "?"
	}
	return protocol.Exceptionf(protocol.CodeUnknownTable, "Table %s does not exist, or cannot be read here; SHOW TABLES lists those that can%s", name, maybe)
}

// own is the condition on a table's rows under which a scope sees them.
func (d *Door) own(table string, scope rows) string {
	switch {
	case scope.Dimension == "":
		return "1"
	case d.config.Own == nil:
		return "0"
	}
	return d.config.Own(table, scope.Dimension, scope.Value)
}

// filters is the engine's setting that puts conditions on tables.
const filters = "additional_table_filters"

// without are the settings of a scope with no row of some names: a table of such a name was made after the list
// of tables was, so that the scope has no condition on it.
func (d *Door) without(set []protocol.Pair, names []string) []protocol.Pair {
	set = slices.Clone(set)
	for i, p := range set {
		if p.Name != filters {
			continue
		}
		more := strings.TrimSuffix(p.Value, "}")
		for _, name := range names {
			more += ", " + protocol.QuoteString(d.config.Database+"."+name) + ": '0'"
		}
		set[i].Value = more + "}"
	}
	return set
}

// barrier keeps the engine from evaluating a statement's expressions before the condition of a scope.
const barrier = "query_plan_enable_optimizations"

// narrowed are the settings that keep a statement to what a scope may see.
func (d *Door) narrowed(known *schema, scope rows) []protocol.Pair {
	var visible, conditions []string
	for _, table := range slices.Sorted(maps.Keys(known.tables)) {
		if d.allowed(known, scope, d.config.Database+"."+table) != nil {
			continue
		}
		visible = append(visible, protocol.QuoteString(table))
		if condition := d.own(table, scope); condition != "1" {
			conditions = append(conditions, protocol.QuoteString(d.config.Database+"."+table)+": "+protocol.QuoteString(condition))
		}
	}
	for _, table := range slices.Sorted(maps.Keys(catalogue)) {
		condition := catalogue[table]
		if condition == "" {
			continue
		}
		if len(visible) == len(known.tables) { // the database says it, and shorter: the engine reads this with each statement
			condition, _, _ = strings.Cut(condition, andTables)
		}
		condition = strings.ReplaceAll(condition, "DATABASE", protocol.QuoteString(d.config.Database))
		condition = strings.ReplaceAll(condition, "TABLES", "("+strings.Join(append(visible, "''"), ", ")+")")
		conditions = append(conditions, protocol.QuoteString(table)+": "+protocol.QuoteString(condition))
	}
	set := []protocol.Pair{{Name: filters, Value: "{" + strings.Join(conditions, ", ") + "}"}}
	if scope.Dimension != "" {
		set = append(set, protocol.Pair{Name: barrier, Value: "0"})
		// How many rows were read before those of others were left out is not told in an answer, nor by a limit that is asked for.
		set = append(set, protocol.Pair{Name: outputPrefix + "write_statistics", Value: "0"}, protocol.Pair{Name: readRows, Value: limitText(float64(d.config.Limits.ReadRows))})
	}
	return set
}

// run runs a query that may, and sends its answer on. cancel ends ctx, and sent is what [Door.begin] has begun; nil: nothing.
func (d *Door) run(ctx context.Context, cancel context.CancelCauseFunc, w http.ResponseWriter, q *query, sent *sending) error {
	switch q.kind {
	case isUse:
		return d.empty(w, q)
	case isSet:
		q.session.keep(q.statement.settings)
		return d.empty(w, q)
	case isKill:
		answer := protocol.NewAnswer(w, q.req, protocol.Identity{})
		answer.Format("TabSeparated")
		if d.running.kill(q.who.ID, q.id) {
			_, _ = fmt.Fprintf(answer, "waiting\t%s\t%s\t\n", q.id, q.who.ID) // held back: no error
		}
		return answer.Close()
	}
	done, err := d.running.begin(q.who.ID, q.req.QueryID, cancel)
	if err != nil {
		return err
	}
	defer done()
	lane, limit := &d.turns, d.config.Limits.Time+30*time.Second // the engine's own clock comes first
	if q.catalog {
		lane, limit = &d.quick, min(limit, quickTime)
	}
	leave, err := lane.take(ctx, q.who.ID)
	if err != nil {
		return err
	}
	defer leave()
	clock := time.AfterFunc(limit, func() {
		cancel(protocol.Exceptionf(protocol.CodeTimeoutExceeded, "Timeout exceeded: more than %s", min(limit, d.config.Limits.Time)))
	})
	defer clock.Stop()
	if sent == nil {
		sent = d.begin(ctx, q)
	}
	answer, err := sent.finish()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause
		}
		return err
	}
	defer answer.Body.Close()
	return d.pass(ctx, w, q, answer)
}

// sending is a request to the engine whose statement is held back. While it is judged and recorded, the
// engine makes a connection ready for it.
type sending struct {
	may    chan struct{} // closed when the statement may go
	ended  chan struct{} // closed when there is an answer, or an error
	answer *http.Response
	err    error
}

// begin sends the engine all of a query but its statement, which goes with [sending.finish], or never when ctx ends.
func (d *Door) begin(ctx context.Context, q *query) *sending {
	s := &sending{may: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.answer, s.err = d.send(ctx, q.req, q.who.ID, q.text, q.format, q.settings, s.may)
	}()
	context.AfterFunc(ctx, func() {
		<-s.ended // at once: its context is over
		if s.answer != nil {
			s.answer.Body.Close()
		}
	})
	return s
}

// finish lets the statement go and waits for the answer.
func (s *sending) finish() (*http.Response, error) {
	close(s.may)
	<-s.ended
	return s.answer, s.err
}

// heldBack is a body that is read once it may.
type heldBack struct {
	context.Context
	io.Reader
	may <-chan struct{}
}

func (h *heldBack) Read(p []byte) (int, error) {
	select {
	case <-h.may:
		return h.Reader.Read(p)
	case <-h.Done():
		return 0, h.Err()
	}
}

func (d *Door) empty(w http.ResponseWriter, q *query) error {
	return protocol.NewAnswer(w, q.req, protocol.Identity{}).Close()
}

// pass sends the engine's answer on, as it is.
func (d *Door) pass(ctx context.Context, w http.ResponseWriter, q *query, answer *http.Response) error {
	h := w.Header()
	for name, values := range answer.Header {
		switch {
		case scopeOf(q.who).Dimension != "" && (name == "X-Clickhouse-Summary" || name == "X-Clickhouse-Progress"):
			// They count what was read before the rows of others were left out.
		case strings.HasPrefix(name, "X-Clickhouse-"), name == "Content-Type", name == "Content-Encoding", name == "Content-Length", name == "Retry-After", name == "Vary":
			h[name] = values
		}
	}
	h.Set("X-ClickHouse-Query-Id", q.req.QueryID)
	h.Set("X-Ombor-Class", "internal")
	w.WriteHeader(answer.StatusCode)
	control := http.NewResponseController(w)
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	for {
		n, err := answer.Body.Read(piece[:])
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(writePatience)) // where it is not supported there is none
			if _, err := w.Write(piece[:n]); err != nil {
				panic(http.ErrAbortHandler)
			}
			if n < trickle {
				_ = control.Flush() // likewise
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			panic(http.ErrAbortHandler) // a part of an answer must not look whole
		}
	}
}

// pieces are what answers pass through: a small one would leave as much behind for the collector as a large one.
var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

const pieceSize = 256 << 10

// trickle is how many bytes are sent on at once although more may follow; larger pieces go out by themselves.
const trickle = 4 << 10

// writePatience is how long a client may take no bytes.
const writePatience = time.Minute

// send asks the engine, for a principal or, without one, for the door itself: then of the request the
// parameters alone go with it, and there is no current database. The text goes once it may; nil: at once.
func (d *Door) send(ctx context.Context, req *protocol.Request, who, text, format string, settings []protocol.Pair, may <-chan struct{}) (*http.Response, error) {
	u, err := url.Parse(d.config.Engine.URL)
	if err != nil {
		return nil, err
	}
	user := u.User
	u.User, u.Path = nil, "/"
	values := url.Values{"default_format": {format}}
	if user == nil { // a server's profile says it
		values.Set("readonly", "1")
	}
	for _, p := range settings {
		values.Set(p.Name, p.Value)
	}
	for _, p := range req.Params {
		values.Set("param_"+p.Name, p.Value)
	}
	header := http.Header{}
	if who != "" {
		values.Set("database", d.config.Database)
		answerValues(values, header, req)
		values.Set("quota_key", who)
		if user == nil { // the embedded engine chooses query ids itself: this is how a statement is found while it runs
			values.Set("log_comment", req.QueryID)
		}
	}
	var body bytes.Buffer
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	if who != "" && len(req.External) > 0 {
		form := multipart.NewWriter(&body)
		if err := writeForm(form, text, req.External); err != nil {
			return nil, err
		}
		header.Set("Content-Type", form.FormDataContentType())
	} else {
		body.WriteString(text)
	}
	u.RawQuery = values.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), &body)
	if err != nil {
		return nil, err
	}
	r.Header = header
	if may != nil {
		r.Body, r.GetBody = io.NopCloser(&heldBack{ctx, &body, may}), nil
	}
	if user != nil {
		password, _ := user.Password()
		r.Header.Set("X-ClickHouse-User", user.Username())
		r.Header.Set("X-ClickHouse-Key", password)
	}
	answer, err := d.config.Engine.Client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		slog.Warn("governed: the engine does not answer", "error", err)
		e := protocol.Exceptionf(protocol.CodeUnavailable, "the warehouse does not answer; it may be starting again")
		e.RetryAfter = 2
		return nil, e
	}
	return answer, nil
}

// answerValues are the parameters that say how the answer is to be written.
func answerValues(values url.Values, header http.Header, req *protocol.Request) {
	number := func(name string, n int64) {
		if n > 0 {
			values.Set(name, strconv.FormatInt(n, 10))
		}
	}
	header.Set("Accept-Encoding", "identity")
	values.Set("enable_http_compression", "0")
	if req.HTTPEncoding != "" {
		header.Set("Accept-Encoding", req.HTTPEncoding)
		values.Set("enable_http_compression", "1")
	}
	if req.Compress {
		values.Set("compress", "1")
	}
	if req.FrameMethod != "" {
		values.Set("network_compression_method", req.FrameMethod)
	}
	number("network_zstd_compression_level", int64(req.FrameLevel))
	number("client_protocol_version", int64(req.Revision))
	number("buffer_size", min(req.Buffer, 16<<20))
	if req.WaitEnd {
		values.Set("wait_end_of_query", "1")
	}
	if req.Progress {
		values.Set("send_progress_in_http_headers", "1")
	}
	values.Set("query_id", req.QueryID)
}

func writeForm(form *multipart.Writer, text string, tables []protocol.External) error {
	if err := form.WriteField("query", text); err != nil {
		return err
	}
	for _, t := range tables {
		if err := errors.Join(form.WriteField(t.Name+"_format", t.Format), form.WriteField(t.Name+"_structure", t.Structure)); err != nil {
			return err
		}
		part, err := form.CreateFormFile(t.Name, t.Name)
		if err != nil {
			return err
		}
		if _, err := part.Write(t.Data); err != nil {
			return err
		}
	}
	return form.Close()
}

// ask asks the engine for something of the door's own, that takes little, and reads the answer to its end.
func (d *Door) ask(ctx context.Context, req *protocol.Request, text, format string) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	answer, err := d.send(ctx, req, "", text, format, nil, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxListing+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxListing {
		return nil, protocol.Exceptionf(protocol.CodeTooBigTree, "the query has too many parts")
	}
	d.identity.Lock()
	d.identity.Identity = protocol.Identity{Name: answer.Header.Get("X-ClickHouse-Server-Display-Name"), Version: d.identity.Version, Zone: answer.Header.Get("X-ClickHouse-Timezone")}
	d.identity.Unlock()
	if answer.StatusCode != http.StatusOK || bytes.Contains(body, []byte("__exception__")) {
		e := protocol.ParseException(string(body))
		return nil, e
	}
	return body, nil
}

// maxListing bounds, in bytes, what the engine lists of one query.
const maxListing = 32 << 20

// tree is what the engine's parser makes of a query, with its parameters.
func (d *Door) tree(ctx context.Context, q *query) (*node, error) {
	key := treeKey(q.query, q.req.Params)
	if n := d.trees.get(key); n != nil {
		return n, nil
	}
	listing, err := d.ask(ctx, &protocol.Request{Params: q.req.Params}, explainAST+q.query, "TabSeparatedRaw")
	if err != nil {
		return nil, asWritten(err)
	}
	n, err := parseTree(string(listing))
	if err != nil {
		return nil, err
	}
	d.trees.put(key, n)
	return n, nil
}

const explainAST = "EXPLAIN AST "

// place is where a syntax error was found: its position, and its column when that is in the first line.
var place = regexp.MustCompile(`(^Syntax error: failed at position |\(line 1, col )(\d+)`)

// asWritten makes the places of a syntax error in what the engine was given to parse those of the client's text.
func asWritten(err error) error {
	var e *protocol.Exception
	if !errors.As(err, &e) || e.Code != protocol.CodeSyntaxError {
		return err
	}
	moved := *e
	moved.Message = place.ReplaceAllStringFunc(e.Message, func(found string) string {
		m := place.FindStringSubmatch(found)
		at, _ := strconv.Atoi(m[2]) // digits
		return m[1] + strconv.Itoa(max(1, at-len(explainAST)))
	})
	return &moved
}

// schema is what is in the analysts' database at some time.
type schema struct {
	tables map[string]bool // by name

	mu       sync.Mutex
	narrowed map[rows][]protocol.Pair // by scope: made once
}

// narrowing is [Door.narrowed] of a scope. What it returns is not to be changed.
func (s *schema) narrowing(d *Door, scope rows) []protocol.Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	set, ok := s.narrowed[scope]
	if !ok {
		set = d.narrowed(s, scope)
		s.narrowed[scope] = set
	}
	return set
}

// tables remembers the schema.
type tables struct {
	mu     sync.Mutex
	known  *schema
	asked  time.Time
	asking bool // again, while statements go on with what is known
}

// tablesAge is how long the list of tables is taken as it was. From the half of it on it is asked for
// beside the statements, so that of many none waits for it.
const tablesAge = 5 * time.Second

func (t *tables) get(ctx context.Context, d *Door) (*schema, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := time.Since(t.asked)
	if t.known != nil && age < tablesAge {
		if age > tablesAge/2 && !t.asking {
			t.asking = true
			go func() {
				began := time.Now()
				found, err := d.list(context.WithoutCancel(ctx))
				t.mu.Lock()
				defer t.mu.Unlock()
				if t.asking = false; err == nil { // otherwise whoever comes when it is too old asks, and is told
					t.keep(found, began)
				}
			}()
		}
		return t.known, nil
	}
	began := time.Now()
	found, err := d.list(ctx)
	if err != nil {
		return nil, err
	}
	t.keep(found, began)
	return t.known, nil
}

// keep takes what was found by asking at some time, unless something newer is known. The lock is held.
func (t *tables) keep(found map[string]bool, asked time.Time) {
	if asked.Before(t.asked) {
		return
	}
	t.asked = asked
	if t.known == nil || !maps.Equal(t.known.tables, found) {
		t.known = &schema{tables: found, narrowed: map[rows][]protocol.Pair{}}
	}
}

// list asks the engine for the names of the analysts' tables, and for its version.
func (d *Door) list(ctx context.Context) (map[string]bool, error) {
	body, err := d.ask(ctx, &protocol.Request{}, "SELECT name, version() FROM system.tables WHERE database = "+protocol.QuoteString(d.config.Database), "JSONCompactEachRow")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for line := range bytes.Lines(body) {
		var table, version string
		if err := json.Unmarshal(line, &[]any{&table, &version}); err != nil {
			return nil, problem.Wrap(err, problem.Internal, "governed: tables", "the list of tables cannot be read")
		}
		found[table] = true
		d.identity.Lock()
		d.identity.Version = version
		d.identity.Unlock()
	}
	return found, nil
}

// newID is a query id: a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])                      // crypto/rand never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a random UUID (RFC 9562)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
