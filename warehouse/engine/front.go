package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"ombor/internal/protocol"
)

// serverName is X-ClickHouse-Server-Display-Name and displayName().
const serverName = "ombor"

// headSize is how much of a body is looked at to know what the statement is. It is
// the engine's max_query_size: no statement is longer, only its data is.
const headSize = 256 << 10

// exceptionOf makes the engine's exception text typed.
func exceptionOf(text string) error { return protocol.ParseException(text) }

// front serves ClickHouse's HTTP interface over one engine.
type front struct {
	lib      *library
	base     []string // arguments of every connection
	config   Config
	identity protocol.Identity
	limits   protocol.Limits
	turns    chan struct{}    // one place for each statement that runs
	waiting  chan struct{}    // one place for each statement that waits
	ahead    chan struct{}    // one place for each connection that is made ready ahead of its statement
	parsers  chan *connection // that nothing runs on but EXPLAIN AST
	inserts  *budget
	sessions sessions

	admin struct {
		sync.Mutex
		conn *connection // kept open: the last close would stop the engine; runs KILL QUERY
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ping", "/replicas_status":
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = io.WriteString(w, "Ok.\n") // the client has gone: nothing to do
		return
	case "/", "/query":
	default:
		w.Header().Set("X-ClickHouse-Exception-Code", "0")
		http.Error(w, "There is no handler "+r.URL.Path+"\n\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated health checks.\n\nSend queries from your program with POST method or GET /?query=...", http.StatusNotFound)
		return
	}
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.URL.RawQuery == "" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		_, _ = io.WriteString(w, "Ok.\n") // likewise
		return
	}
	req, err := protocol.ParseRequest(r, f.limits)
	if req != nil && req.QueryID == "" {
		req.QueryID = newID()
	}
	answer := protocol.NewAnswer(w, req, f.identity)
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			slog.Error("engine: a request failed inside the front", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			answer.Fail(protocol.Exceptionf(protocol.CodeStdException, "the door failed on this request; the log says why"))
		}
	}()
	if err == nil {
		err = f.handle(r.Context(), req, answer)
	}
	if err == nil {
		err = answer.Close()
	}
	if err == nil {
		return
	}
	if r.Context().Err() != nil {
		// Nobody is left to read an answer; the connection must not look complete.
		panic(http.ErrAbortHandler)
	}
	answer.Fail(err)
}

// handle runs one request to its end. What it returns has not been answered yet.
func (f *front) handle(ctx context.Context, req *protocol.Request, answer *protocol.Answer) error {
	q := &query{f: f, req: req, answer: answer, mark: newID()}
	release, err := q.connectAhead()
	if err != nil {
		return err
	}
	leave := func() {}
	defer func() { release(); leave() }()
	head, err := readHead(req)
	if err != nil {
		return err
	}
	statement := protocol.Read(head)
	switch {
	case statement.Verb == "":
		return protocol.Exceptionf(protocol.CodeSyntaxError, "Empty query")
	case statement.More:
		return protocol.Exceptionf(protocol.CodeSyntaxError, "Syntax error (Multi-statements are not allowed): send one statement in a request")
	case statement.ClientFile:
		return protocol.Exceptionf(protocol.CodeNotImplemented, "INTO OUTFILE and FROM INFILE name a file of the client and cannot be used over HTTP")
	}
	if err := f.enter(ctx); err != nil {
		return err
	}
	leave = f.leave

	format := statement.Format
	if format == "" || statement.Verb == "INSERT" {
		format = req.DefaultFormat
	}
	if format == "" {
		format = "TabSeparated"
	}
	reframe := strings.EqualFold(format, "Native") && req.Revision > 0
	q.statement, q.format = statement, format
	if q.parses(head) {
		return q.parse(head)
	}
	if q.conn != nil && q.reframe != reframe { // its own FORMAT says otherwise than the request
		release()
		q.conn, release = nil, func() {}
	}
	if q.reframe = reframe; q.conn == nil {
		if release, err = q.connect(); err != nil {
			release = func() {}
			return err
		}
	}

	done := make(chan struct{})
	defer close(done)
	go f.killWhenGone(ctx, q.mark, done)

	if statement.Verb == "INSERT" {
		err = q.insert(head)
	} else {
		err = q.read(ctx, head)
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

// readHead returns the statement's text: all of it, unless it is an INSERT whose
// data goes on in req.Body.
func readHead(req *protocol.Request) ([]byte, error) {
	var head []byte
	if req.Query != "" {
		head = append(append(head, req.Query...), '\n')
	}
	size := int64(headSize)
	if req.BodySize >= 0 {
		size = min(size, req.BodySize+1) // one more, to see the end
	}
	buf := make([]byte, size)
	n, err := io.ReadFull(req.Body, buf)
	head = append(head, buf[:n]...)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		req.Body = http.NoBody
		return head, nil
	}
	if err != nil {
		return nil, bodyError(err)
	}
	if s := protocol.Read(head); s.Data || s.NeedsFormat {
		return head, nil
	}
	// A long statement without data: the engine judges its length.
	rest, err := io.ReadAll(io.LimitReader(req.Body, headSize*4))
	if err != nil {
		return nil, bodyError(err)
	}
	req.Body = http.NoBody
	return append(head, rest...), nil
}

func bodyError(err error) error {
	var e *protocol.Exception
	if errors.As(err, &e) {
		return err
	}
	return protocol.Exceptionf(protocol.CodeNetworkError, "the body of the request cannot be read: %v", err)
}

// enter waits for a turn to run a statement.
func (f *front) enter(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
		return nil
	default:
	}
	full := protocol.Exceptionf(protocol.CodeTooManySimultaneous, "Too many simultaneous queries. Maximum: %d", f.config.MaxConcurrent)
	full.RetryAfter = 1
	select {
	case f.waiting <- struct{}{}:
		defer func() { <-f.waiting }()
	default:
		return full
	}
	timer := time.NewTimer(time.Duration(f.config.QueueSeconds) * time.Second)
	defer timer.Stop()
	select {
	case f.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return full
	}
}

func (f *front) leave() { <-f.turns }

// markSetting carries our own id of a running query: the engine chooses
// query_id itself, and this is the setting that changes nothing.
const markSetting = "log_comment"

// killWhenGone ends the query that carries mark once ctx is over. It asks again
// until done, because a query that has not begun yet cannot be killed.
func (f *front) killWhenGone(ctx context.Context, mark string, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		f.kill(mark)
		select {
		case <-done:
			return
		case <-again.C:
		}
	}
}

// kill asks the engine to end the query that carries mark, and says whether there
// is one.
func (f *front) kill(mark string) bool {
	found, err := f.ask("KILL QUERY WHERE endsWith(Settings['" + markSetting + "'], " + protocol.QuoteString(mark) + ") ASYNC")
	if err != nil {
		slog.Warn("engine: a query whose client has gone could not be killed", "error", err)
	}
	return found != ""
}

// ask runs a statement of our own and returns its answer as tab-separated text.
func (f *front) ask(text string) (string, error) {
	f.admin.Lock()
	defer f.admin.Unlock()
	if f.admin.conn == nil {
		return "", errors.New("engine: it is stopping")
	}
	r, err := f.admin.conn.run([]byte(text), "TabSeparated", nil)
	if err != nil {
		return "", err
	}
	defer r.free()
	return string(r.bytes()), nil
}

// query is one statement on its way.
type query struct {
	f         *front
	req       *protocol.Request
	statement protocol.Statement
	answer    *protocol.Answer
	conn      *connection
	format    string
	reframe   bool
	mark      string
	out       []byte // reused between chunks
	began     time.Time
}

// explainAST is how a statement begins that shows what the parser makes of it, and executes nothing.
const explainAST = "EXPLAIN AST "

// parses says whether a query needs no connection of its own: it shows a tree, and no setting but readonly comes with it.
func (q *query) parses(text []byte) bool {
	return q.conn == nil && q.req.SessionID == "" && len(q.req.Settings) == 1 && q.req.Settings[0].Name == "readonly" && len(q.req.External) == 0 &&
		q.req.Database == "" && bytes.HasPrefix(text, []byte(explainAST))
}

// parse runs EXPLAIN AST on a connection that is kept for it: making one costs as much as parsing.
func (q *query) parse(text []byte) (err error) {
	select {
	case q.conn = <-q.f.parsers:
	default:
		if q.conn, err = q.f.lib.dial(q.f.base); err != nil {
			return err
		}
		if err = q.do("SET readonly = 1"); err != nil {
			q.conn.close()
			return err
		}
	}
	defer func() {
		select {
		case q.f.parsers <- q.conn:
		default:
			q.conn.close()
		}
	}()
	r, err := q.conn.run(text, q.format, q.params())
	if err != nil {
		return err
	}
	defer r.free()
	return q.send(r.bytes())
}

// connectAhead connects a query that can only read before its statement is there: who sends that later than
// the head of the request finds the connection ready. Of others, and when many are ready already, it does
// nothing: conn is nil.
func (q *query) connectAhead() (release func(), err error) {
	nothing := func() {}
	if readonly, _ := q.req.Setting("readonly"); readonly == "" || readonly == "0" || q.req.Database == "" || q.req.SessionID != "" || len(q.req.External) > 0 {
		return nothing, nil
	}
	select {
	case q.f.ahead <- struct{}{}:
	default:
		return nothing, nil
	}
	q.reframe = strings.EqualFold(q.req.DefaultFormat, "Native") && q.req.Revision > 0
	disconnect, err := q.connect()
	if err != nil {
		<-q.f.ahead
		return nothing, err
	}
	return func() { disconnect(); <-q.f.ahead }, nil
}

// connect gives the query a connection with its settings, database and external
// tables. release gives everything back.
func (q *query) connect() (release func(), err error) {
	if q.req.SessionID != "" {
		return q.connectSession()
	}
	q.conn, err = q.f.lib.dial(q.f.base)
	if err != nil {
		return nil, err
	}
	if err := q.prepare(); err != nil {
		q.conn.close()
		return nil, err
	}
	return q.conn.close, nil
}

// prepare applies what the request asks of its connection.
func (q *query) prepare() error {
	if q.req.Database != "" {
		if err := q.do("USE " + protocol.QuoteIdentifier(q.req.Database)); err != nil {
			return err
		}
	}
	for _, t := range q.req.External {
		if err := q.external(t); err != nil {
			return err
		}
	}
	return q.do("SET " + assignments(q.settings()))
}

// settings of this request, ours included; readonly is last, because nothing can
// be set after it.
func (q *query) settings() []protocol.Pair {
	var set []protocol.Pair
	mark, readonly := q.mark, ""
	for _, p := range q.req.Settings {
		switch p.Name {
		case markSetting:
			mark = p.Value + " " + mark
		case "readonly":
			readonly = p.Value
		default:
			set = append(set, p)
		}
	}
	if q.statement.Data || q.statement.NeedsFormat {
		for _, p := range oneBlock {
			if _, ok := q.req.Setting(p.Name); !ok {
				set = append(set, p)
			}
		}
	}
	if q.reframe {
		set = append(set, protocol.Pair{Name: protocol.TypesInBinary, Value: "1"})
	}
	set = append(set, protocol.Pair{Name: markSetting, Value: mark})
	if readonly == "" && q.req.ReadOnly {
		readonly = "2" // as a server does for GET
	}
	if readonly != "" && readonly != "0" {
		set = append(set, protocol.Pair{Name: "readonly", Value: readonly})
	}
	return set
}

func assignments(set []protocol.Pair) string {
	parts := make([]string, len(set))
	for i, p := range set {
		parts[i] = protocol.QuoteIdentifier(p.Name) + " = " + protocol.QuoteString(p.Value)
	}
	return strings.Join(parts, ", ")
}

// do runs a statement that answers nothing.
func (q *query) do(text string) error {
	r, err := q.conn.run([]byte(text), "Null", nil)
	if err != nil {
		return err
	}
	r.free()
	return nil
}

// external makes a temporary table of what came with the request.
func (q *query) external(t protocol.External) error {
	structure := t.Structure
	if structure == "" && t.Types != "" {
		for i, of := range protocol.SplitTypes(t.Types) {
			if i > 0 {
				structure += ", "
			}
			structure += fmt.Sprintf("_%d %s", i+1, of)
		}
	}
	if structure == "" {
		return protocol.Exceptionf(protocol.CodeBadArguments, "external table %q has neither a structure nor types", t.Name)
	}
	name := protocol.QuoteIdentifier(t.Name)
	if err := q.do("CREATE TEMPORARY TABLE " + name + " (" + structure + ") ENGINE = Memory"); err != nil {
		return err
	}
	if len(t.Data) == 0 {
		return nil
	}
	return q.insertData("INSERT INTO "+name+" FROM INFILE ", " FORMAT "+t.Format, bytes.NewReader(t.Data))
}

func (q *query) params() []parameter {
	params := make([]parameter, len(q.req.Params))
	for i, p := range q.req.Params {
		params[i] = parameter{p.Name, p.Value}
	}
	return params
}

// read runs a statement that is not an INSERT with data and sends on what it
// answers.
func (q *query) read(ctx context.Context, text []byte) error {
	q.began = time.Now()
	q.answer.Format(q.format)
	if form, ok := streamed[strings.ToLower(q.format)]; ok && q.statement.Streams && !q.wholeOnly(text) {
		done, err := q.stream(ctx, text, form)
		if done || err != nil {
			return err
		}
	}
	r, err := q.conn.run(text, q.format, q.params())
	if err != nil {
		return err
	}
	defer r.free()
	q.count(r.counts())
	return q.send(r.bytes())
}

// wholeOnly says that the answer has something at its end or around all of it,
// which its chunks would each have.
func (q *query) wholeOnly(text []byte) bool {
	if q.statement.Totals {
		return true
	}
	for _, name := range []string{"extremes", "output_format_json_array_of_rows"} {
		if _, ok := q.req.Setting(name); ok || bytes.Contains(text, []byte(name)) {
			return true
		}
	}
	return false
}

// stream sends an answer on while the engine makes it. done is false when the
// engine does not stream this statement: then nothing has been sent.
func (q *query) stream(ctx context.Context, text []byte, form chunks) (done bool, err error) {
	c := q.conn
	handle := c.call(c.lib.streamQuery, text, q.format, q.params())
	if handle == nil {
		return false, nil
	}
	stream := &result{lib: c.lib, handle: handle}
	defer stream.free()
	if err := stream.err(); err != nil {
		if strings.Contains(err.Error(), "Streaming query is not supported") {
			return false, nil
		}
		return true, err
	}
	// The engine makes the next chunk while one is on its way to the client.
	ahead := make(chan fetched, 1)
	fetch := func() { ahead <- c.fetch(stream) }
	go fetch()
	fetching, ended := true, false
	defer func() {
		if fetching { // a connection does one thing at a time; a client that has gone has its query killed meanwhile
			chunk := <-ahead
			ended = chunk.last()
			chunk.free()
		}
		if !ended { // after its end a stream must not be cancelled
			c.lib.cancel(*c.handle, handle)
		}
	}()
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return true, err
		}
		chunk := <-ahead
		fetching, ended = false, chunk.last()
		if chunk.err != nil {
			return true, chunk.err
		}
		q.count(chunk.counts())
		if ended {
			chunk.free()
			return true, q.send(form.end)
		}
		fetching = true
		go fetch()
		data := chunk.bytes()
		if first {
			data = form.first(data)
		} else {
			data = form.next(data)
		}
		err := q.send(data)
		chunk.free()
		if err != nil {
			return true, err
		}
	}
}

// fetched is a chunk of a stream, or why there is none.
type fetched struct {
	*result
	err error
}

// fetch waits for the next chunk of a stream. Nothing else may use the connection meanwhile.
func (c *connection) fetch(stream *result) fetched {
	chunk := &result{lib: c.lib, handle: c.lib.fetch(*c.handle, stream.handle)}
	if chunk.handle == nil {
		return fetched{chunk, protocol.Exceptionf(protocol.CodeStdException, "the engine gave no answer")}
	}
	err := chunk.err()
	if err != nil {
		chunk.free()
	}
	return fetched{chunk, err}
}

// last says that the stream has ended: nothing follows, and there is nothing to cancel.
func (f fetched) last() bool { return f.err != nil || len(f.bytes()) == 0 }

func (q *query) count(c counts) {
	s := &q.answer.Summary
	s.ReadRows += c.readRows
	s.ReadBytes += c.readBytes
	s.WrittenRows += c.writtenRows
	s.WrittenBytes += c.writtenBytes
	if c.writtenRows == 0 {
		s.ResultRows += c.resultRows
	}
	s.Elapsed = time.Since(q.began)
}

func (q *query) send(data []byte) error {
	q.answer.Summary.ResultBytes += uint64(len(data))
	if q.reframe {
		out, err := protocol.Reframe(q.out[:0], data, q.req.Revision)
		if err != nil {
			return protocol.Exceptionf(protocol.CodeNotImplemented, "%v", err)
		}
		q.out, data = out, out
	}
	_, err := q.answer.Write(data)
	return err
}
