package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/problem"
)

// How long somebody may take to send a body, and to take an answer or the next piece of one.
const (
	bodyPatience   = 30 * time.Second
	answerPatience = 5 * time.Minute
)

// patience bounds how long an answer may take to be taken, and what is left of a body that nobody has
// read. The door of events and the stream of news, which take long rightly, see to it themselves.
func (s *server) patience(c *gin.Context) {
	control := http.NewResponseController(c.Writer)
	until := time.Now().Add(handlerTimeout + answerPatience)
	if path := c.FullPath(); path == "/v1/events" || path == "/v1/live" {
		until = time.Time{}
	}
	_ = control.SetWriteDeadline(until) // not every writer has deadlines
	c.Next()
	_ = control.SetReadDeadline(time.Now().Add(s.bodyPatience)) // likewise; the next request has its own
}

// bounded lets a handler read at most so many bytes of a body, within some time. Call the function
// that it returns when the body has been read.
func bounded(w http.ResponseWriter, r *http.Request, most int64, within time.Duration) (done func()) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(within)) // not every reader has deadlines
	r.Body = http.MaxBytesReader(w, r.Body, most)
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}

// changer answers a request that changes something. into reads its body, once. A nil body answers 204.
type changer func(ctx context.Context, q *query, into func(any) error) (status int, body any, err error)

// change is the adapter of routes whose requests carry a JSON object of at most so many bytes.
func (s *server) change(most int64, handle changer) gin.HandlerFunc {
	return func(c *gin.Context) {
		if _, err := readParams(c.Request, nil); err != nil {
			s.fail(c.Writer, c.Request, err)
			return
		}
		ctx, cancel := context.WithTimeout(c.Request.Context(), handlerTimeout)
		defer cancel()
		status, body, err := handle(ctx, &query{path: c.Param, request: c.Request}, func(into any) error { return s.readJSON(c.Writer, c.Request, most, into) })
		c.Writer.Header().Set("Cache-Control", "no-store")
		switch {
		case err != nil:
			s.fail(c.Writer, c.Request, err)
		case body == nil:
			c.Status(http.StatusNoContent)
		default:
			s.tell(c.Writer, status, body)
		}
	}
}

// readJSON reads a body that is one JSON object of at most so many bytes, whose keys all have a
// place in into.
func (s *server) readJSON(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	defer bounded(w, r, most, s.bodyPatience)()
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return problem.New(problem.Unsupported, "this body is taken as it is, not as %s", coding).In("Content-Encoding")
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		return problem.New(problem.BadInput, "the body has more than one JSON value")
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem.New(problem.TooLarge, "the body has more than %d KiB", most>>10)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem.New(problem.BadInput, "the body did not come within %s", s.bodyPatience)
	}
	return problem.Wrap(err, problem.BadInput, "", "the body cannot be read: %v", err)
}
