package workbench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/protocol"
)

// Door is the governed door for SQL: it answers ClickHouse's HTTP interface to somebody who has been
// admitted, after judging and recording what is asked.
type Door interface {
	Serve(w http.ResponseWriter, r *http.Request, p *access.Principal)
}

// Through is the [Gate] that leads through a door, in this process.
type Through struct {
	Door      Door
	Database  string   // the analysts' database
	Functions []string // that the door lets through

	// Progress is how far the statement with a query id has come; nil: nobody knows.
	Progress func(ctx context.Context, queryID string) (Progress, error)
	// RowBytes are the bytes on disk of one row, by table with its database; nil: nobody knows.
	RowBytes func(ctx context.Context) (map[string]float64, error)

	mu      sync.Mutex
	schemas map[access.Scope]keptSchema
}

type keptSchema struct {
	*Schema
	asked time.Time
}

const (
	askPace    = 500 * time.Millisecond // between two looks at how far a statement has come
	schemaAge  = time.Minute            // for which a schema is taken as it was
	maxText    = 64 << 10               // bytes of an exception that are read
	maxListing = 16 << 20               // bytes of the door's own lists
)

// output are the settings with which answers are written: what is no number is null, and 64 bits
// are a number, which whoever cannot hold it has to see to.
var output = map[string]string{"output_format_json_quote_64bit_integers": "0", "output_format_json_quote_denormals": "0", "output_format_json_quote_decimals": "0"}

// Ask is [Gate.Ask].
func (t *Through) Ask(ctx context.Context, p *access.Principal, s Statement) (io.ReadCloser, error) {
	values := url.Values{"default_format": {s.Format}, "query_id": {cmp.Or(s.ID, newID())}}
	for name, value := range s.Parameters {
		values.Set("param_"+name, value)
	}
	for name, value := range output {
		values.Set(name, value)
	}
	ctx, cancel := context.WithCancel(ctx)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://workbench/?"+values.Encode(), strings.NewReader(s.SQL))
	if err != nil {
		cancel()
		return nil, err
	}
	if s.From != nil {
		r.RemoteAddr, r.Header["X-Forwarded-For"] = s.From.RemoteAddr, s.From.Header["X-Forwarded-For"]
	}
	reader, writer := io.Pipe()
	a := &passage{header: http.Header{}, begun: make(chan struct{}), to: writer}
	go func() {
		defer func() {
			broken := recover()
			if err, ok := broken.(error); broken != nil && (!ok || !errors.Is(err, http.ErrAbortHandler)) {
				slog.Error("workbench: the door for SQL panicked", "panic", fmt.Sprint(broken))
			}
			a.begin(http.StatusBadGateway) // an answer that never began was broken off
			if broken != nil {
				writer.CloseWithError(cmp.Or[error](ctx.Err(), errBroken))
				return
			}
			writer.Close()
		}()
		t.Door.Serve(a, r, p)
	}()
	answer := &asked{from: reader, cancel: cancel}
	tell := func(Progress) {}
	if s.Progress != nil && p.Scope() == (access.Scope{}) { // what was read of others' rows is not an agency's
		tell = furthest(s.Progress)
		if t.Progress != nil {
			answer.watched = t.watch(ctx, values.Get("query_id"), tell)
		}
	}
	<-a.begun
	if a.status != http.StatusOK {
		defer answer.Close()
		text, err := io.ReadAll(io.LimitReader(reader, maxText))
		if err != nil {
			return nil, err
		}
		return nil, problemOf(string(text), a.header.Get("Retry-After"))
	}
	if format := a.header.Get("X-ClickHouse-Format"); format != s.Format {
		answer.Close()
		if format == "" {
			return nil, bad("sql", "this statement gives no rows: send one that reads").
				Also("uz", "Bu soʻrov qator bermaydi: oʻqiydigan soʻrov yuboring.").
				Also("ru", "Этот запрос не даёт строк: отправьте тот, который читает.")
		}
		return nil, bad("sql", "leave FORMAT %s out: the workbench shows rows, and exports have a format of their own", format).
			Also("uz", "FORMAT %s ni olib tashlang: ustaxona qatorlarni koʻrsatadi, eksport formati alohida tanlanadi.", format).
			Also("ru", "Уберите FORMAT %s: мастерская показывает строки, а формат выгрузки выбирают отдельно.", format)
	}
	tell(summary(a.header.Get("X-ClickHouse-Summary"))) // a short statement is over before it is looked at
	if tag := a.header.Get("X-ClickHouse-Exception-Tag"); tag != "" {
		answer.mark = []byte("\r\n__exception__\r\n" + tag + "\r\n")
	}
	return answer, nil
}

// furthest tells of the furthest that was seen: who looks when a statement is over sees nothing of it.
func furthest(tell func(Progress)) func(Progress) {
	var mu sync.Mutex
	var most Progress
	return func(now Progress) {
		mu.Lock()
		defer mu.Unlock()
		most = Progress{max(most.ReadRows, now.ReadRows), max(most.ReadBytes, now.ReadBytes), max(most.TotalRows, now.TotalRows)}
		tell(most)
	}
}

// summary is what the engine had read when an answer began: all of what an aggregate reads, of other statements a part.
func summary(header string) (now Progress) {
	var told struct {
		ReadRows  uint64 `json:"read_rows,string"`
		ReadBytes uint64 `json:"read_bytes,string"`
	}
	if err := json.Unmarshal([]byte(header), &told); err != nil {
		return Progress{} // a server that tells nothing
	}
	return Progress{ReadRows: told.ReadRows, ReadBytes: told.ReadBytes}
}

var errBroken = problem.New(problem.Unavailable, "the answer broke off: the engine ended, or a limit was reached while rows were sent").
	Also("uz", "Javob uzilib qoldi: mexanizm toʻxtadi yoki qatorlar uzatilayotganda chegaraga yetildi.").
	Also("ru", "Ответ оборвался: движок остановился, или при передаче строк достигнут предел.")

// watch looks at how far a statement has come until ctx ends.
func (t *Through) watch(ctx context.Context, id string, tell func(Progress)) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(askPace)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now, err := t.Progress(ctx, id); err == nil { // it is a courtesy: the statement runs without
				tell(now)
			}
		}
	}()
	return done
}

// asked is an answer on its way. Closing it ends the statement.
type asked struct {
	from    *io.PipeReader
	mark    []byte // before an exception in the middle of an answer; nil: there can be none
	piece   []byte // reused
	held    []byte // read and not yet told
	told    int    // of held, what may be told: the rest is perhaps the beginning of the mark
	err     error  // after what is held
	cancel  context.CancelFunc
	watched chan struct{}
}

// Read reads the answer. What went wrong while it was written is an error, as it is told behind the mark.
func (a *asked) Read(p []byte) (int, error) {
	for a.told == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if a.piece == nil {
			a.piece = make([]byte, 64<<10)
		}
		n, err := a.from.Read(a.piece)
		a.held = append(a.held, a.piece[:n]...)
		a.told = len(a.held)
		if at := bytes.Index(a.held, a.mark); len(a.mark) > 0 && at >= 0 {
			rest, _ := io.ReadAll(io.LimitReader(a.from, maxText)) // what there is of it says enough
			text, _, _ := bytes.Cut(append(a.held[at+len(a.mark):], rest...), []byte("\n"))
			a.err = problemOf(string(text), "")
			a.held, a.told = a.held[:at], at
			continue
		}
		if a.err = err; err != nil {
			continue
		}
		for keep := min(len(a.mark)-1, len(a.held)); keep > 0; keep-- {
			if bytes.HasPrefix(a.mark, a.held[len(a.held)-keep:]) {
				a.told -= keep
				break
			}
		}
	}
	n := copy(p, a.held[:a.told])
	a.held, a.told = append(a.held[:0], a.held[n:]...), a.told-n
	return n, nil
}

func (a *asked) Close() error {
	a.cancel()
	err := a.from.Close()
	if a.watched != nil {
		<-a.watched
	}
	return err
}

// passage takes the door's answer.
type passage struct {
	header http.Header
	to     *io.PipeWriter
	once   sync.Once
	begun  chan struct{} // closed when status and header stand
	status int
}

func (a *passage) Header() http.Header { return a.header }

func (a *passage) WriteHeader(status int) { a.begin(status) }

func (a *passage) begin(status int) {
	a.once.Do(func() {
		a.status = status
		close(a.begun)
	})
}

func (a *passage) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.to.Write(p)
}

// Flush makes the door send rows as they come.
func (a *passage) Flush() {}

// problemOf is an exception of the door as a problem.
func problemOf(text, retry string) error {
	e := protocol.ParseException(text)
	kind := problem.BadInput
	switch e.Code {
	case protocol.CodeAccessDenied, protocol.CodeReadonly:
		kind = problem.Denied
	case protocol.CodeTooManySimultaneous:
		kind = problem.Busy
	case protocol.CodeUnavailable, protocol.CodeNetworkError:
		kind = problem.Unavailable
	case protocol.CodeQueryIsTooLarge, protocol.CodeTooBigTree, protocol.CodeTooDeep, protocol.CodeTimeoutExceeded, protocol.CodeMemoryLimitExceeded, protocol.CodeTooManyBytes, codeTooManyRows, codeTooManyRowsOrBytes:
		kind = problem.TooLarge
	case protocol.CodeStdException:
		kind = problem.Unavailable
	}
	err := &problem.Error{Kind: kind, Message: strings.TrimSpace(e.Message), Field: "sql", Words: toDo(e.Code)}
	if seconds, wrong := time.ParseDuration(retry + "s"); wrong == nil {
		err.RetryAfter = seconds
	}
	return err
}

// Codes of ClickHouse for a limit that was reached.
const (
	codeTooManyRows        = 158
	codeTooManyRowsOrBytes = 396
)

// ask asks a question of the workbench's own and calls fn with each row's cells.
func (t *Through) ask(ctx context.Context, p *access.Principal, s Statement, fn func(row []json.RawMessage) error) error {
	s.Format = "JSONCompactEachRow"
	body, err := t.Ask(ctx, p, s)
	if err != nil {
		return err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxListing))
	if err != nil {
		return err
	}
	for line := range bytes.Lines(text) {
		var row []json.RawMessage
		if err := json.Unmarshal(line, &row); err != nil {
			return problemOf(string(text), "")
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	return nil
}

func read(row []json.RawMessage, into ...any) error {
	if len(row) != len(into) {
		return fmt.Errorf("workbench: %d columns instead of %d", len(row), len(into))
	}
	for i, cell := range row {
		if err := json.Unmarshal(cell, into[i]); err != nil {
			return err
		}
	}
	return nil
}

// Estimate is [Gate.Estimate], by the engine's EXPLAIN ESTIMATE. Statements that read nothing stored
// give nothing.
func (t *Through) Estimate(ctx context.Context, p *access.Principal, s Statement) ([]Reading, error) {
	list := []Reading{}
	if first, _, _ := strings.Cut(strings.TrimSpace(s.SQL), " "); slices.Contains([]string{"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN"}, strings.ToUpper(first)) {
		return list, nil
	}
	s.SQL = "EXPLAIN ESTIMATE " + s.SQL
	if err := t.ask(ctx, p, s, func(row []json.RawMessage) error {
		var database, table string
		var marks uint64
		var r Reading
		if err := read(row, &database, &table, &r.Parts, &r.Rows, &marks); err != nil {
			return err
		}
		r.Table = database + "." + table
		list = append(list, r)
		return nil
	}); err != nil {
		return nil, err
	}
	if t.RowBytes == nil || len(list) == 0 {
		return list, nil
	}
	sizes, err := t.RowBytes(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Bytes = uint64(sizes[list[i].Table] * float64(list[i].Rows))
	}
	slices.SortFunc(list, func(a, b Reading) int { return cmp.Or(cmp.Compare(b.Rows, a.Rows), strings.Compare(a.Table, b.Table)) })
	return list, nil
}

// Schema is [Gate.Schema]: what the door lists to who asks. It is asked again after a minute.
func (t *Through) Schema(ctx context.Context, p *access.Principal) (*Schema, error) {
	scope := p.Scope()
	t.mu.Lock()
	kept := t.schemas[scope]
	t.mu.Unlock()
	if kept.Schema != nil && time.Since(kept.asked) < schemaAge {
		return kept.Schema, nil
	}
	s := &Schema{Database: t.Database, Tables: []Table{}, Functions: t.Functions}
	at := map[string]int{}
	database := map[string]string{"database": t.Database}
	err := t.ask(ctx, p, Statement{SQL: "SELECT name, comment FROM system.tables WHERE database = {database:String} ORDER BY name", Parameters: database}, func(row []json.RawMessage) error {
		one := Table{Columns: []Column{}}
		err := read(row, &one.Name, &one.About)
		at[one.Name] = len(s.Tables)
		s.Tables = append(s.Tables, one)
		return err
	})
	if err == nil {
		err = t.ask(ctx, p, Statement{SQL: "SELECT table, name, type, comment FROM system.columns WHERE database = {database:String} ORDER BY table, position", Parameters: database}, func(row []json.RawMessage) error {
			var table string
			var c Column
			err := read(row, &table, &c.Name, &c.Type, &c.About)
			if i, ok := at[table]; ok {
				s.Tables[i].Columns = append(s.Tables[i].Columns, c)
			}
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.schemas == nil || len(t.schemas) > 1000 {
		t.schemas = map[access.Scope]keptSchema{}
	}
	t.schemas[scope] = keptSchema{s, time.Now()}
	return s, nil
}
