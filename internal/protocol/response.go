package protocol

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Identity is what a door says of itself in every answer.
type Identity struct {
	Name    string // X-ClickHouse-Server-Display-Name
	Version string // of the engine, such as 26.7.2.1; stands in every exception
	Zone    string // X-ClickHouse-Timezone
}

// Summary are the totals of a statement, as X-ClickHouse-Summary carries them.
type Summary struct {
	ReadRows, ReadBytes, WrittenRows, WrittenBytes, ResultRows, ResultBytes uint64
	Elapsed                                                                 time.Duration
}

func (s Summary) json() string {
	return fmt.Sprintf(`{"read_rows":"%d","read_bytes":"%d","written_rows":"%d","written_bytes":"%d","total_rows_to_read":"0","result_rows":"%d","result_bytes":"%d","elapsed_ns":"%d"}`,
		s.ReadRows, s.ReadBytes, s.WrittenRows, s.WrittenBytes, s.ResultRows, s.ResultBytes, s.Elapsed.Nanoseconds())
}

// defaultHold is how much of an answer is held back, so that an exception which
// comes at once still decides the status.
const defaultHold = 1 << 20

// maxHold bounds wait_end_of_query: an answer that is larger is refused rather
// than held in memory.
const maxHold = 256 << 20

// Answer writes one answer: it holds the first bytes back, compresses, and knows
// how to report an exception before and after the status has been sent. It is not
// safe for concurrent use.
type Answer struct {
	w        http.ResponseWriter
	req      *Request
	identity Identity
	held     bytes.Buffer
	hold     int64
	started  bool
	tag      string
	out      io.Writer
	layers   []io.WriteCloser // innermost last
	Summary  Summary          // sent with the headers, if they are not out yet
}

// NewAnswer prepares an answer to req, which may be nil when the request could
// not be read.
func NewAnswer(w http.ResponseWriter, req *Request, identity Identity) *Answer {
	var tag [8]byte
	_, _ = rand.Read(tag[:]) // crypto/rand never fails
	a := &Answer{w: w, req: req, identity: identity, hold: defaultHold, tag: hex.EncodeToString(tag[:])}
	h := w.Header()
	h.Set("X-ClickHouse-Server-Display-Name", identity.Name)
	h.Set("X-ClickHouse-Timezone", identity.Zone)
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	if req != nil {
		if req.QueryID != "" {
			h.Set("X-ClickHouse-Query-Id", req.QueryID)
		}
		if req.Buffer > 0 {
			a.hold = req.Buffer
		}
		if req.WaitEnd || a.hold > maxHold {
			a.hold = maxHold
		}
	}
	return a
}

// Format names the format of the body that follows.
func (a *Answer) Format(name string) {
	a.w.Header().Set("X-ClickHouse-Format", name)
	a.w.Header().Set("Content-Type", ContentType(name))
}

// Started says that the status has been sent and can no longer change.
func (a *Answer) Started() bool { return a.started }

func (a *Answer) Write(p []byte) (int, error) {
	if !a.started {
		if int64(a.held.Len()+len(p)) <= a.hold {
			return a.held.Write(p)
		}
		if a.req != nil && a.req.WaitEnd {
			return 0, Exceptionf(CodeTooManyBytes, "the answer is larger than the %d bytes that wait_end_of_query can hold back", maxHold)
		}
		if err := a.start(http.StatusOK); err != nil {
			return 0, err
		}
	}
	return a.out.Write(p)
}

func (a *Answer) start(status int) error {
	a.started = true
	h := a.w.Header()
	a.total()
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	h.Add("Vary", "Accept-Encoding")
	a.out = a.w
	if a.req != nil && a.req.HTTPEncoding != "" && !a.req.Compress {
		c, err := ContentWriter(a.req.HTTPEncoding, a.w)
		if err != nil {
			return err
		}
		h.Set("Content-Encoding", a.req.HTTPEncoding)
		a.layers, a.out = append(a.layers, c), c
	}
	if a.req != nil && a.req.Compress {
		c, err := NewFrameWriter(a.out, a.req.FrameMethod, a.req.FrameLevel)
		if err != nil {
			return err
		}
		a.layers, a.out = append(a.layers, c), c
	}
	a.w.WriteHeader(status)
	if a.held.Len() > 0 {
		held := a.held.Bytes()
		a.held = bytes.Buffer{}
		_, err := a.out.Write(held)
		return err
	}
	return nil
}

// total sets the headers that count. They go out with the status: what is counted
// later is not told.
func (a *Answer) total() {
	a.w.Header().Set("X-ClickHouse-Summary", a.Summary.json())
	if a.req != nil && a.req.Progress {
		a.w.Header().Set("X-ClickHouse-Progress", a.Summary.json())
	}
}

// Flush sends on what has been written, unless the status is still open.
func (a *Answer) Flush() error {
	if !a.started {
		return nil
	}
	for i := len(a.layers) - 1; i >= 0; i-- {
		if f, ok := a.layers[i].(flusher); ok {
			if err := f.Flush(); err != nil {
				return err
			}
		}
	}
	return http.NewResponseController(a.w).Flush()
}

// Close ends a good answer.
func (a *Answer) Close() error {
	if !a.started {
		if a.held.Len() == 0 {
			a.w.Header().Set("Content-Length", "0")
			a.total()
			a.started = true
			a.w.WriteHeader(http.StatusOK)
			return nil
		}
		if err := a.start(http.StatusOK); err != nil {
			return err
		}
	}
	for i := len(a.layers) - 1; i >= 0; i-- {
		if err := a.layers[i].Close(); err != nil {
			return err
		}
	}
	return nil
}

// Fail ends the answer with an exception: with a status of its own when none has
// been sent, else in the block that clients look for at the end of a body.
func (a *Answer) Fail(err error) {
	e := ExceptionOf(err)
	text := e.Text(a.identity.Version)
	if !a.started {
		a.held.Reset()
		h := a.w.Header()
		h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.Code))
		h.Set("Content-Type", "text/plain; charset=UTF-8")
		h.Del("X-ClickHouse-Format")
		if e.RetryAfter > 0 {
			h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
		}
		if err := a.start(e.Status()); err != nil {
			return // the client asked for a compression that cannot be had: the status says enough
		}
		if _, err := io.WriteString(a.out, text+"\n"); err != nil {
			return // the client has gone
		}
		_ = a.Close() // likewise
		return
	}
	// src/Server/HTTP/WriteBufferFromHTTPServerResponse.cpp: marker, tag, message,
	// length and tag, marker.
	block := fmt.Sprintf("\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", a.tag, text, len(text)+1, a.tag)
	if _, err := io.WriteString(a.out, block); err != nil {
		return // the client has gone
	}
	_ = a.Close() // likewise
}

// ContentType is the media type of a ClickHouse format.
func ContentType(format string) string {
	switch format {
	case "JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "JSONColumns", "JSONCompactColumns", "JSONColumnsWithMetadata", "JSONObjectEachRow":
		return "application/json; charset=UTF-8"
	case "JSONEachRow", "JSONLines", "NDJSON", "JSONStringsEachRow", "JSONCompactEachRow", "JSONCompactStringsEachRow",
		"JSONCompactEachRowWithNames", "JSONCompactEachRowWithNamesAndTypes", "JSONEachRowWithProgress", "PrettyNDJSON":
		return "application/x-ndjson; charset=UTF-8"
	case "CSV", "CSVWithNames", "CSVWithNamesAndTypes":
		return "text/csv; charset=UTF-8; header=" + map[bool]string{true: "absent", false: "present"}[format == "CSV"]
	case "TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw", "TabSeparatedWithNames", "TSVWithNames",
		"TabSeparatedWithNamesAndTypes", "TSVWithNamesAndTypes", "TabSeparatedRawWithNames", "TSVRawWithNames":
		return "text/tab-separated-values; charset=UTF-8"
	case "XML":
		return "application/xml; charset=UTF-8"
	case "ArrowStream":
		return "application/vnd.apache.arrow.stream"
	case "Arrow":
		return "application/vnd.apache.arrow.file"
	case "Parquet":
		return "application/vnd.apache.parquet"
	case "Native", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "ORC", "Avro", "MsgPack", "BSONEachRow", "RawBLOB", "Npy":
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}
