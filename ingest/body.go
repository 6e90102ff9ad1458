package ingest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"ombor/internal/problem"
)

// form is how the events lie in a body.
type form uint8

const (
	lines       form = iota + 1 // one structured event a line
	array                       // a JSON array of structured events
	single                      // one structured event
	binary                      // the data of one event, its attributes in headers
	arrowStream                 // an Arrow IPC stream or file: a row is an event
	parquetFile                 // a Parquet file: a row is an event
)

const forms = "application/x-ndjson, application/cloudevents+json, application/cloudevents-batch+json, application/vnd.apache.arrow.stream, application/vnd.apache.parquet, or application/json with ce- headers"

func formOf(r *http.Request) (form, error) {
	given := r.Header.Get("Content-Type")
	media, parameters, err := mime.ParseMediaType(given)
	if given == "" || err != nil {
		return 0, problem.New(problem.Unsupported, "the request has no Content-Type that can be read; send %s", forms).In("Content-Type")
	}
	if charset := parameters["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return 0, problem.New(problem.Unsupported, "events are UTF-8, not %q", charset).In("Content-Type")
	}
	switch media {
	case "application/x-ndjson", "application/ndjson", "application/jsonl":
		return lines, nil
	case "application/cloudevents+json":
		return single, nil
	case "application/cloudevents-batch+json":
		return array, nil
	case "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file":
		return arrowStream, nil
	case "application/vnd.apache.parquet":
		return parquetFile, nil
	}
	if r.Header.Get("ce-specversion") != "" {
		if media == "application/json" || strings.HasSuffix(media, "+json") {
			return binary, nil
		}
		return 0, problem.New(problem.Unsupported, "an event in binary mode has data of type application/json, not %s", media).In("Content-Type")
	}
	return 0, problem.New(problem.Unsupported, "events do not come as %s; send %s", media, forms).In("Content-Type")
}

// body reads a request's text: decompressed, bounded, and counted against the door's
// memory.
type body struct {
	door    *Door
	raw     *counter  // bytes as sent
	idle    *deadline // under raw
	text    io.Reader // decompressed
	coding  string    // "gzip", "zstd" or ""
	release func()
	n       int64 // decompressed bytes read
	extra   int64 // bytes taken besides
	held    int64 // of both, counted in door.memory
}

// chunk is how much memory is taken from the door's at a time.
const chunk = 1 << 20

func (d *Door) open(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength > d.limits.Body {
		return nil, d.tooLarge()
	}
	b := &body{door: d, release: func() {}}
	b.idle = &deadline{body: r.Body, control: http.NewResponseController(w), idle: d.limits.Idle, end: time.Now().Add(d.limits.Reading)}
	b.raw = &counter{r: b.idle, limit: d.limits.Body}
	switch coding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); coding {
	case "", "identity":
		b.text = b.raw
	case "gzip", "x-gzip":
		b.coding = "gzip"
		z, err := gzip.NewReader(b.raw)
		if err != nil {
			return nil, b.explain(err, nil)
		}
		b.text = z
	case "zstd":
		b.coding = "zstd"
		// One goroutine; a window of at most 8 MiB, as RFC 8878 asks decoders to bear.
		z, err := zstd.NewReader(b.raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, b.explain(err, nil)
		}
		b.text, b.release = z, z.Close
	default:
		return nil, problem.New(problem.Unsupported, "the Content-Encoding is none of gzip, zstd").In("Content-Encoding")
	}
	return b, nil
}

func (d *Door) tooLarge() error {
	return problem.New(problem.TooLarge, "the request has more than %s; send the events in several requests", size(d.limits.Body))
}

// Read reads decompressed text, and stops at the limits.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	b.n += int64(n)
	limits := &b.door.limits
	switch {
	case b.n > limits.Text:
		return 0, problem.New(problem.TooLarge, "the request has more than %s after decompression; send the events in several requests", size(limits.Text))
	case b.coding != "" && b.n > chunk && b.n/limits.Ratio > b.raw.n:
		return 0, problem.New(problem.TooLarge, "the request is compressed by more than 1 : %d, which no events are", limits.Ratio)
	}
	if busy := b.charge(0); busy != nil {
		return 0, busy
	}
	return n, err
}

// charge takes memory besides the text: n bytes that what is read unpacks to.
func (b *body) charge(n int64) error {
	b.extra += n
	for b.held < b.n+b.extra {
		b.held += chunk
		if all := b.door.memory.Add(chunk); all > b.door.limits.Memory && all > b.held {
			return problem.New(problem.Busy, "too many bytes are under way; send this request again in a moment")
		}
	}
	return nil
}

func (b *body) close() {
	b.release()
	b.door.memory.Add(-b.held)
	b.door.counts.bytes.Add(uint64(b.n))
}

// explain turns what stopped the reading into an answer that names the place.
func (b *body) explain(err error, split *splitter) error {
	var p *problem.Error
	if errors.As(err, &p) {
		return err
	}
	if errors.Is(err, errBodyLimit) {
		return b.door.tooLarge()
	}
	read := ""
	if split != nil {
		read = fmt.Sprintf(" %d events had been read.", split.events)
	}
	var broken *brokenArray
	if errors.As(err, &broken) {
		return problem.New(problem.BadInput, "the array breaks at byte %d: %s.%s Nothing was stored.", broken.at, broken.reason, read)
	}
	if b.coding == "" || errors.Is(err, errSender) {
		return problem.Wrap(err, problem.BadInput, "ingest: read", "the request ends early, at byte %d.%s Nothing was stored; send it again", b.raw.n, read)
	}
	return problem.Wrap(err, problem.BadInput, "ingest: decompress",
		"the %s stream is damaged or cut off near its byte %d, after %d bytes of text.%s Nothing was stored; send it again", b.coding, b.raw.n, b.n, read)
}

var (
	errBodyLimit = errors.New("the request is over its limit")
	errSender    = errors.New("the sender stopped")
)

// counter counts and bounds the bytes as sent.
type counter struct {
	r     io.Reader
	n     int64
	limit int64
}

func (c *counter) Read(p []byte) (int, error) {
	if room := c.limit + 1 - c.n; int64(len(p)) > room {
		p = p[:room] // one more than allowed tells a larger body from a full one
	}
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n > c.limit {
		return 0, errBodyLimit
	}
	return n, err
}

// deadline gives up on a sender that sends nothing for too long, or too slowly.
type deadline struct {
	body    io.Reader
	control *http.ResponseController
	idle    time.Duration
	end     time.Time // of the whole body
	armed   time.Time
}

func (d *deadline) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(d.armed) > d.idle/4 {
		until := now.Add(d.idle + d.idle/4)
		if until.After(d.end) {
			until = d.end
		}
		// A writer without deadlines (a test's recorder) has no slow senders either.
		_ = d.control.SetReadDeadline(until)
		d.armed = now
	}
	n, err := d.body.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errSender, err)
	}
	return n, err
}

// disarm lifts the deadline after the whole body: what follows is the door's own time,
// and the server watches the connection meanwhile. After a failure it stays, because
// the server reads on a little before it closes the connection.
func (d *deadline) disarm() {
	if !d.armed.IsZero() {
		_ = d.control.SetReadDeadline(time.Time{})
		d.armed = time.Time{}
	}
}

// size spells a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
