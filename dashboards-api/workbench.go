package dashboards

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries/workbench"
)

// Workbench is what analysts work with: what they keep, and the gate that answers their statements.
type Workbench struct {
	*workbench.Workbench
	Gate workbench.Gate
}

// Bounds of a result that is shown as rows on the page.
const (
	rowsShown    = 10_000
	mostRows     = 100_000
	mostRowBytes = 64 << 20
	lineBytes    = 64 << 10               // of rows that one line carries, at least when more follow at once
	progressPace = 300 * time.Millisecond // between two lines of progress
	runBody      = 512 << 10              // of the body of a request that carries a statement
)

// statementFormat is the format in which rows are asked for: one JSON array a line, names and types first.
const statementFormat = "JSONCompactEachRowWithNamesAndTypes"

// bench is the workbench, or the problem that this process has none.
func (s *server) bench() (*Workbench, error) {
	if s.config.Workbench == nil {
		return nil, problem.New(problem.NotFound, "this server has no workbench").
			Also("uz", "Bu serverda soʻrovlar ustaxonasi yoʻq.").
			Also("ru", "На этом сервере нет мастерской запросов.")
	}
	return s.config.Workbench, nil
}

// workbenchRoutes are those that answer with what is there.
func (s *server) workbenchRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/workbench/schema", tabular: true, fresh: true, handle: s.getSchema},
		{method: "GET", path: "/v1/workbench/queries", tabular: true, fresh: true, handle: s.getQueries},
		{method: "GET", path: "/v1/workbench/queries/:id", fresh: true, handle: s.getQuery},
		{method: "GET", path: "/v1/workbench/runs", tabular: true, fresh: true, handle: s.getRuns},
		{method: "GET", path: "/v1/workbench/runs/:id", fresh: true, handle: s.getRun},
	}
}

// workbenchChanges are those that change or run something.
func (s *server) workbenchChanges(engine *gin.Engine) {
	engine.POST("/v1/workbench/queries", s.change(runBody, s.saveQuery))
	engine.PUT("/v1/workbench/queries/:id", s.change(runBody, s.changeQuery))
	engine.DELETE("/v1/workbench/queries/:id", s.change(0, s.removeQuery))
	engine.POST("/v1/workbench/estimates", s.change(runBody, s.estimate))
	engine.POST("/v1/workbench/runs", s.run)
	engine.DELETE("/v1/workbench/runs/:id", s.change(0, s.cancelRun))
	engine.GET("/v1/workbench/runs/:id/export", s.exportRun)
}

func (s *server) getSchema(ctx context.Context, _ *query) (*answer, error) {
	b, err := s.bench()
	if err != nil {
		return nil, err
	}
	schema, err := b.Gate.Schema(ctx, access.Of(ctx))
	if err != nil {
		return nil, err
	}
	return &answer{body: schema, name: "schema", table: func() (*table, error) {
		t := newTable(text("table"), text("table_about"), text("column"), text("type"), text("about"))
		for _, one := range schema.Tables {
			for _, c := range one.Columns {
				t.add(one.Name, one.About, c.Name, c.Type, c.About)
			}
		}
		return t, nil
	}}, nil
}

func (s *server) getQueries(ctx context.Context, _ *query) (*answer, error) {
	b, err := s.bench()
	if err != nil {
		return nil, err
	}
	list, err := b.Queries(ctx, access.Of(ctx))
	if err != nil {
		return nil, err
	}
	return &answer{body: map[string]any{"queries": list}, name: "queries", table: func() (*table, error) {
		t := newTable(text("id"), text("title"), text("description"), text("sql"), text("sharing"), text("owner_name"), text("agency"), text("changed"))
		for _, q := range list {
			t.add(q.ID, q.Title, q.Description, q.SQL, string(q.Sharing), q.OwnerName, q.Agency, q.Changed.Format(time.RFC3339))
		}
		return t, nil
	}}, nil
}

func (s *server) getQuery(ctx context.Context, q *query) (*answer, error) {
	b, err := s.bench()
	if err != nil {
		return nil, err
	}
	saved, err := b.Query(ctx, access.Of(ctx), q.path("id"))
	return &answer{body: saved}, err
}

func (s *server) getRuns(ctx context.Context, _ *query) (*answer, error) {
	b, err := s.bench()
	if err != nil {
		return nil, err
	}
	list, err := b.Runs(ctx, access.Of(ctx))
	if err != nil {
		return nil, err
	}
	return &answer{body: map[string]any{"runs": list}, name: "runs", table: func() (*table, error) {
		t := newTable(text("id"), text("began"), text("state"), number("seconds"), count("rows"), count("bytes"), count("read_rows"), count("read_bytes"), text("format"), text("sql"), text("problem"))
		for _, r := range list {
			t.add(r.ID, r.Began.Format(time.RFC3339), string(r.State), r.Seconds, float64(r.Rows), float64(r.Bytes), float64(r.ReadRows), float64(r.ReadBytes), r.Format, r.SQL, r.Problem)
		}
		return t, nil
	}}, nil
}

func (s *server) getRun(ctx context.Context, q *query) (*answer, error) {
	b, err := s.bench()
	if err != nil {
		return nil, err
	}
	run, err := b.Run(ctx, access.Of(ctx), q.path("id"))
	return &answer{body: run}, err
}

// queryBody is a query as its owner sends it.
type queryBody struct {
	Title       string            `json:"title"`
	Description string            `json:"description"`
	SQL         string            `json:"sql"`
	Parameters  map[string]string `json:"parameters"`
	Sharing     workbench.Sharing `json:"sharing"`
	Revision    uint64            `json:"revision"`
}

func (q *queryBody) query() workbench.Query {
	return workbench.Query{Title: q.Title, Description: q.Description, SQL: q.SQL, Parameters: q.Parameters, Sharing: q.Sharing, Revision: q.Revision}
}

func (s *server) saveQuery(ctx context.Context, _ *query, into func(any) error) (int, any, error) {
	b, err := s.bench()
	if err != nil {
		return 0, nil, err
	}
	sent := queryBody{Sharing: workbench.Private}
	if err := into(&sent); err != nil {
		return 0, nil, err
	}
	saved, err := b.Save(ctx, access.Of(ctx), sent.query())
	return http.StatusCreated, saved, err
}

func (s *server) changeQuery(ctx context.Context, q *query, into func(any) error) (int, any, error) {
	b, err := s.bench()
	if err != nil {
		return 0, nil, err
	}
	var sent queryBody
	if err := into(&sent); err != nil {
		return 0, nil, err
	}
	saved, err := b.Change(ctx, access.Of(ctx), q.path("id"), sent.query())
	return http.StatusOK, saved, err
}

func (s *server) removeQuery(ctx context.Context, q *query, _ func(any) error) (int, any, error) {
	b, err := s.bench()
	if err != nil {
		return 0, nil, err
	}
	return 0, nil, b.Remove(ctx, access.Of(ctx), q.path("id"))
}

func (s *server) cancelRun(ctx context.Context, q *query, _ func(any) error) (int, any, error) {
	b, err := s.bench()
	if err != nil {
		return 0, nil, err
	}
	return 0, nil, b.Cancel(access.Of(ctx), q.path("id"))
}

// statementBody is a statement that somebody sends.
type statementBody struct {
	SQL        string            `json:"sql"`
	Parameters map[string]string `json:"parameters"`
	Query      string            `json:"query"` // the saved query that it is; empty: none
	Limit      int               `json:"limit"` // most rows that are answered; 0 is 10,000
}

func (b *statementBody) check() error {
	if b.Limit == 0 {
		b.Limit = rowsShown
	}
	if b.Limit < 0 || b.Limit > mostRows {
		return problem.New(problem.BadInput, "limit=%d lies not between 1 and %d; an export has all rows", b.Limit, mostRows).In("limit").
			Also("uz", "limit=%d: 1 dan %d gacha boʻladi; barcha qatorlar eksportda beriladi.", b.Limit, mostRows).
			Also("ru", "limit=%d: допустимо от 1 до %d; все строки даёт выгрузка.", b.Limit, mostRows)
	}
	return workbench.CheckStatement(b.SQL, b.Parameters)
}

// estimateBody says what a statement would read.
type estimateBody struct {
	Tables []workbench.Reading `json:"tables"`
	Parts  uint64              `json:"parts"`
	Rows   uint64              `json:"rows"`
	Bytes  uint64              `json:"bytes"`
	Words  reference.Names     `json:"words"`
}

func (s *server) estimate(ctx context.Context, q *query, into func(any) error) (int, any, error) {
	b, err := s.bench()
	if err != nil {
		return 0, nil, err
	}
	var sent statementBody
	if err := into(&sent); err != nil {
		return 0, nil, err
	}
	if err := sent.check(); err != nil {
		return 0, nil, err
	}
	e := estimateBody{}
	if e.Tables, err = b.Gate.Estimate(ctx, access.Of(ctx), workbench.Statement{SQL: sent.SQL, Parameters: sent.Parameters, From: q.request}); err != nil {
		return 0, nil, err
	}
	if e.Tables == nil {
		e.Tables = []workbench.Reading{}
	}
	for _, t := range e.Tables {
		e.Parts, e.Rows, e.Bytes = e.Parts+t.Parts, e.Rows+t.Rows, e.Bytes+t.Bytes
	}
	e.Words = workbench.Words(e.Tables)
	return http.StatusOK, e, nil
}

// One line of a run's answer, by its event.
type (
	begunLine struct {
		Event string `json:"event"` // begun
		ID    string `json:"id"`
	}
	progressLine struct {
		Event     string  `json:"event"` // progress
		Seconds   float64 `json:"seconds"`
		ReadRows  uint64  `json:"read_rows"`
		ReadBytes uint64  `json:"read_bytes"`
		TotalRows uint64  `json:"total_rows"`
	}
	columnsLine struct {
		Event   string       `json:"event"` // columns
		Columns []columnBody `json:"columns"`
	}
	rowsLine struct {
		Event string            `json:"event"` // rows
		Rows  []json.RawMessage `json:"rows"`
	}
	endLine struct {
		Event     string            `json:"event"` // end
		State     workbench.State   `json:"state"`
		Rows      uint64            `json:"rows"`
		Bytes     uint64            `json:"bytes"`
		Seconds   float64           `json:"seconds"`
		ReadRows  uint64            `json:"read_rows"`
		ReadBytes uint64            `json:"read_bytes"`
		Problem   *problem.Document `json:"problem"`
	}
	columnBody struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
)

// run answers POST /v1/workbench/runs: it runs one statement and answers with lines of JSON as they
// come, the last one telling how it ended. The first line goes out when the engine has begun to read,
// so that whatever is wrong before that is a problem with its status.
func (s *server) run(c *gin.Context) {
	var sent statementBody
	b, err := s.bench()
	if err == nil {
		_, err = readParams(c.Request, nil)
	}
	if err == nil {
		err = s.readJSON(c.Writer, c.Request, runBody, &sent)
	}
	if err == nil {
		err = sent.check()
	}
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	p := access.Of(c.Request.Context())
	run, ctx, end, err := b.Begin(c.Request.Context(), p, workbench.Run{SQL: sent.SQL, Parameters: sent.Parameters, Query: sent.Query, Format: "rows"})
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	defer func() { end(run) }() // also when a writer panics
	run.State = workbench.Failed
	out := &lines{w: c.Writer, control: http.NewResponseController(c.Writer)}
	pace := time.NewTicker(progressPace)
	defer pace.Stop()
	events := make(chan any) // of the reader; closed at its end
	var progress atomic.Pointer[workbench.Progress]
	progress.Store(new(workbench.Progress))
	go func() {
		defer close(events)
		err := s.rows(ctx, b.Gate, p, workbench.Statement{SQL: sent.SQL, Parameters: sent.Parameters, Format: statementFormat, ID: "workbench-" + run.ID, From: c.Request, Progress: func(now workbench.Progress) { progress.Store(&now) }}, sent.Limit, events)
		if err != nil {
			events <- err
		}
	}()
	begun := func() {
		if !out.begun {
			out.begin()
			out.write(begunLine{"begun", run.ID})
		}
	}
	for open := true; open; {
		select {
		case event, more := <-events:
			open = more
			switch e := event.(type) {
			case columnsLine:
				begun()
				out.write(e)
			case rowsLine:
				run.Rows += uint64(len(e.Rows))
				for _, row := range e.Rows {
					run.Bytes += uint64(len(row))
				}
				out.write(e)
			case error:
				err = e
			}
		case <-pace.C:
			now := progress.Load()
			if !out.begun && now.ReadRows == 0 && now.TotalRows == 0 {
				continue // the engine has not begun to read: it may still refuse, which is answered with a status
			}
			b.Progress(run.ID, now.ReadRows, now.ReadBytes, now.TotalRows)
			begun()
			out.write(progressLine{"progress", time.Since(run.Began).Seconds(), now.ReadRows, now.ReadBytes, now.TotalRows})
		}
	}
	now := progress.Load()
	run.ReadRows, run.ReadBytes, run.TotalRows = now.ReadRows, now.ReadBytes, now.TotalRows
	run.State, err = ended(ctx, err)
	last := endLine{Event: "end", State: run.State, Rows: run.Rows, Bytes: run.Bytes, Seconds: time.Since(run.Began).Seconds(), ReadRows: run.ReadRows, ReadBytes: run.ReadBytes}
	if err != nil {
		document := problem.DocumentOf(err)
		last.Problem, run.Problem, run.Words = &document, document.Detail, document.Words
		if run.State == workbench.Failed && !out.begun {
			s.fail(c.Writer, c.Request, err)
			return
		}
		if kind := problem.KindOf(err); kind == problem.Internal {
			s.log.Error("a statement failed", "run", run.ID, "error", err)
		}
	}
	begun()
	out.write(last)
}

// errCut is that a result has more rows than were asked for.
var errCut = errors.New("the result was cut")

// ended is how a run ended whose rows ended with err, and what is told of it.
func ended(ctx context.Context, err error) (workbench.State, error) {
	switch {
	case err == nil:
		return workbench.Done, nil
	case errors.Is(err, errCut):
		return workbench.Cut, problem.New(problem.TooLarge, "the result has more rows than are shown; narrow the statement, or export all of it").
			Also("uz", "Natijada koʻrsatilganidan koʻp qator bor: soʻrovni toraytiring yoki hammasini yuklab oling.").
			Also("ru", "В результате больше строк, чем показывается: сузьте запрос или выгрузите его целиком.")
	case ctx.Err() != nil:
		return workbench.Cancelled, workbench.ErrCancelled
	}
	return workbench.Failed, err
}

// rows asks the gate and sends what it answers as columnsLine and rowsLine.
func (s *server) rows(ctx context.Context, gate workbench.Gate, p *access.Principal, ask workbench.Statement, limit int, to chan<- any) error {
	body, err := gate.Ask(ctx, p, ask)
	if err != nil {
		return err
	}
	defer body.Close()
	in := newRowReader(body)
	columns, err := in.columns()
	if err != nil {
		return err
	}
	to <- columnsLine{"columns", columns}
	var held []json.RawMessage
	size, total := 0, 0
	flush := func() {
		if len(held) > 0 {
			to <- rowsLine{"rows", held}
			held, size = nil, 0
		}
	}
	defer flush()
	for n := 0; ; n++ {
		row, err := in.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		total += len(row)
		if n == limit || total > mostRowBytes {
			return errCut
		}
		held = append(held, exactNumbers(row))
		if size += len(row); size >= lineBytes {
			flush()
		}
	}
}

// rowReader reads statementFormat.
type rowReader struct{ in *bufio.Reader }

func newRowReader(r io.Reader) *rowReader { return &rowReader{bufio.NewReaderSize(r, 64<<10)} }

// columns reads the two lines before the rows.
func (r *rowReader) columns() ([]columnBody, error) {
	var names, types []string
	for _, into := range []*[]string{&names, &types} {
		line, err := r.next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err == nil {
			err = json.Unmarshal(line, into)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(names) != len(types) {
		return nil, fmt.Errorf("api: %d names of columns and %d types", len(names), len(types))
	}
	list := make([]columnBody, len(names))
	for i := range names {
		list[i] = columnBody{names[i], types[i]}
	}
	return list, nil
}

// next is the next row, valid until the one after; io.EOF after the last. One without its line's
// end is not whole.
func (r *rowReader) next() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= mostRowBytes {
			line, err = r.in.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	switch {
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// exactNumbers is a copy of a row in which integers of more digits than a reader's numbers hold are text.
func exactNumbers(row []byte) json.RawMessage {
	const digits = 15
	out := make([]byte, 0, len(row))
	for i := 0; i < len(row); {
		c := row[i]
		switch {
		case c == '"':
			end := i + 1
			for end < len(row) && row[end] != '"' {
				if row[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(row))
			out = append(out, row[i:end]...)
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(row) && bytes.IndexByte([]byte("0123456789.eE+-"), row[end]) >= 0 {
				end++
			}
			if number := row[i:end]; len(bytes.TrimPrefix(number, []byte("-"))) > digits && !bytes.ContainsAny(number, ".eE") {
				out = append(append(append(out, '"'), number...), '"')
			} else {
				out = append(out, number...)
			}
			i = end
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

// lines writes an answer that comes line by line.
type lines struct {
	w       gin.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (l *lines) begin() {
	h := l.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy shall pass lines on as they come
	h.Set(markHeader, internalMark)
	l.w.WriteHeader(http.StatusOK)
	l.begun = true
}

// write sends one line. That the reader has gone is told by the request's context.
func (l *lines) write(line any) {
	_ = l.control.SetWriteDeadline(time.Now().Add(bodyPatience)) // not every writer has deadlines; a dead reader is found by the context then
	encoder := json.NewEncoder(l.w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(line)
	_ = l.control.Flush()
}

// Rows that analysts take away are for people inside.
const (
	markHeader   = "X-Ombor-Class"
	internalMark = "internal"
)
