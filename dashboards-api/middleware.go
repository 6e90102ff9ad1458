package dashboards

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/problem"
)

// policy lets the page load what this server holds and nothing else. Styles set
// by scripts on elements (the CSS object model) are not restricted by it.
const policy = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func headers(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY") // for readers that do not know frame-ancestors
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if c.Request.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// recover turns a panic of a handler into an internal error; the process lives.
func (s *server) recover(c *gin.Context) {
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		if fault == http.ErrAbortHandler {
			panic(fault)
		}
		s.log.Error("handler panicked", "path", c.Request.URL.Path, "panic", fault, "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			problem.Write(c.Writer, problem.New(problem.Internal, "panic"))
		}
	}()
	c.Next()
}

func writeMethodNotAllowed(c *gin.Context) {
	allow := c.Writer.Header().Get("Allow")
	c.Writer.WriteHeader(http.StatusMethodNotAllowed)
	_ = json.NewEncoder(c.Writer).Encode(problem.Document{ // the client has gone: nobody is left to tell
		Type: "about:blank", Title: "Not supported", Status: http.StatusMethodNotAllowed,
		Detail: fmt.Sprintf("%s does not take %s; it takes %s", c.Request.URL.Path, c.Request.Method, allow), Allowed: strings.Split(allow, ", "),
		Words: map[string]string{
			"uz": fmt.Sprintf("%s %s bilan soʻralmaydi; mumkin: %s.", c.Request.URL.Path, c.Request.Method, allow),
			"ru": fmt.Sprintf("%s не запрашивают через %s; можно: %s.", c.Request.URL.Path, c.Request.Method, allow),
		},
	})
}

// parseQuery is url.ParseQuery, which skips what it cannot read unless its error
// is looked at.
func parseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	return values, nil
}

// counters are the API's own metrics.
type counters struct {
	mu       sync.Mutex
	requests map[requestKey]*requestCount
}

type requestKey struct {
	route, method string
	status        int
}

type requestCount struct {
	n       uint64
	seconds float64
}

func (s *server) observe(c *gin.Context) {
	begin := time.Now()
	c.Next()
	path := c.FullPath()
	if path == "" {
		path = "page" // unknown addresses share one series: a scanner cannot grow the metrics
	}
	key := requestKey{path, c.Request.Method, c.Writer.Status()}
	s.counters.mu.Lock()
	defer s.counters.mu.Unlock()
	if s.counters.requests == nil {
		s.counters.requests = map[requestKey]*requestCount{}
	}
	count := s.counters.requests[key]
	if count == nil {
		count = &requestCount{}
		s.counters.requests[key] = count
	}
	count.n++
	count.seconds += time.Since(begin).Seconds()
}

func (s *server) writeMetrics(w io.Writer) error {
	s.counters.mu.Lock()
	lines := make([]string, 0, 2*len(s.counters.requests))
	for key, count := range s.counters.requests {
		labels := fmt.Sprintf(`{route=%q,method=%q,status="%d"}`, key.route, key.method, key.status)
		lines = append(lines,
			fmt.Sprintf("ombor_http_requests_total%s %d\n", labels, count.n),
			fmt.Sprintf("ombor_http_seconds_total%s %g\n", labels, count.seconds))
	}
	s.counters.mu.Unlock()
	slices.Sort(lines)
	var b strings.Builder
	b.WriteString("# TYPE ombor_http_requests_total counter\n# TYPE ombor_http_seconds_total counter\n")
	for _, line := range lines {
		b.WriteString(line)
	}
	if s.config.Status != nil {
		st := s.config.Status()
		fmt.Fprintf(&b, "# TYPE ombor_journal_seq gauge\nombor_journal_seq %d\n# TYPE ombor_loaded_seq gauge\nombor_loaded_seq %d\n# TYPE ombor_lake_seq gauge\nombor_lake_seq %d\n# TYPE ombor_lag_events gauge\nombor_lag_events %d\n# TYPE ombor_lag_seconds gauge\nombor_lag_seconds %g\n",
			st.Journal, st.Loaded, st.Lake, st.LagEvents, st.Lag.Seconds())
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if s.config.Metrics != nil {
		return s.config.Metrics(w)
	}
	return nil
}
