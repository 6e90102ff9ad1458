package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/gzip"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/queries"
)

// An answer is what a handler returns: a JSON value and, where the same facts
// make a table, that table for the other formats.
type answer struct {
	body  any
	table func() (*table, error) // nil: JSON only
	name  string                 // file name without extension, for tables
}

// A handler reads a request that already passed the check of its parameters.
type handler func(ctx context.Context, q *query) (*answer, error)

// query is the checked input of one request.
type query struct {
	path    func(name string) string
	values  map[string]string
	request *http.Request // of a change; else nil
}

// get is the named query parameter, or "".
func (q *query) get(name string) string { return q.values[name] }

// day-bounded work: a query that a person waits for is over long before this.
const handlerTimeout = 30 * time.Second

// serve is the one adapter between handlers and HTTP: it checks the parameters
// against the route's, answers 304 when the reader already has these bytes'
// facts, runs the handler, negotiates the format and renders errors.
func (s *server) serve(r route) gin.HandlerFunc {
	allowed := append(slices.Clone(r.params), "format")
	rule, _ := access.RuleOf(r.method + " " + r.path) // that there is one is the gate's affair
	return func(c *gin.Context) {
		values, err := readParams(c.Request, allowed)
		if err != nil {
			s.fail(c.Writer, c.Request, err)
			return
		}
		format, err := negotiate(values["format"], c.Request.Header.Get("Accept"), r.tabular)
		if err != nil {
			s.fail(c.Writer, c.Request, err)
			return
		}
		h := c.Writer.Header()
		h.Add("Vary", "Accept, Accept-Language, Authorization, Cookie")
		if slices.Contains(allowed, "lang") {
			if err := speak(values, c.Request.Header.Get("Accept-Language")); err != nil {
				s.fail(c.Writer, c.Request, err)
				return
			}
		}
		var scope access.Scope
		if rule.Own {
			scope = s.scope(c.Request.Context())
		}
		if !r.scoped {
			if values, err = narrow(scope, rule.Total, values, allowed); err != nil {
				s.fail(c.Writer, c.Request, err)
				return
			}
		}
		if access.Of(c.Request.Context()).Is(access.Public) && slices.Contains(allowed, "audience") {
			values["audience"] = string(queries.Outside)
			scope = access.Scope{Dimension: "audience", Value: "outside"} // nobody inside is shown this answer as his
		}
		if r.fresh {
			h.Set("Cache-Control", "no-store")
		} else {
			tag := s.etag(format, values["lang"], scope)
			h.Set("ETag", tag)
			h.Set("Cache-Control", "private, no-cache")
			if matches(c.Request.Header.Get("If-None-Match"), tag) {
				c.Writer.WriteHeader(http.StatusNotModified)
				return
			}
		}
		render := func(ctx context.Context) (*rendered, error) {
			ctx, cancel := context.WithTimeout(ctx, handlerTimeout)
			defer cancel()
			a, err := r.handle(ctx, &query{path: c.Param, values: values})
			if err != nil {
				return nil, err
			}
			return render(a, format)
		}
		var out *rendered
		if r.fresh {
			out, err = render(c.Request.Context())
		} else {
			key := c.Request.URL.Path + "?" + url.Values(asList(values)).Encode() + "#" + format.name + mark(scope) // whose rows, where the handler itself holds to them
			out, err = s.kept.answer(c.Request.Context(), h.Get("ETag"), key, render)
		}
		if err != nil {
			h.Del("ETag")
			h.Set("Cache-Control", "no-store")
			s.fail(c.Writer, c.Request, err)
			return
		}
		out.write(c.Writer, c.Request, format)
	}
}

func asList(values map[string]string) map[string][]string {
	list := make(map[string][]string, len(values))
	for name, value := range values {
		list[name] = []string{value}
	}
	return list
}

// fail renders an error: the person gets the problem document, the operator the
// cause of what is ours.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the reader has gone
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = problem.New(problem.Unavailable, "this took longer than %s: narrow the period or the breakdown", handlerTimeout).
			Also("uz", "Bu %s dan uzoq davom etdi: davrni yoki kesimni toraytiring.", handlerTimeout).
			Also("ru", "Это заняло больше %s: сузьте период или разрез.", handlerTimeout).
			From("api", err)
	}
	if kind := problem.KindOf(err); kind == problem.Internal || kind == problem.Unavailable {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	problem.Write(w, err)
}

// rendered is an answer in its bytes.
type rendered struct {
	body []byte
	file string // name for Content-Disposition; empty: shown, not saved

	zip    sync.Once
	zipped []byte // the body by gzip; nil: it is small, packed already, or nobody has asked for it
}

// packedFrom is how many bytes an answer has that is worth packing.
const packedFrom = 1 << 10

// gzipped is the body by gzip, packed once however often it is sent; nil: it is not worth it.
func (o *rendered) gzipped() []byte {
	o.zip.Do(func() {
		if len(o.body) < packedFrom {
			return
		}
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, err := w.Write(o.body)
		if err = errors.Join(err, w.Close()); err == nil { // a buffer never fails
			o.zipped = buf.Bytes()
		}
	})
	return o.zipped
}

// takesGzip says whether a reader unpacks gzip (RFC 9110, 12.5.3).
func takesGzip(acceptEncoding string) bool {
	for part := range strings.SplitSeq(acceptEncoding, ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if coding = strings.TrimSpace(coding); coding == "gzip" || coding == "*" {
			q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
			return weight == "" || err == nil && q > 0
		}
	}
	return false
}

// render encodes an answer completely before the first byte leaves, so that an
// error never follows a 200.
func render(a *answer, f *format) (*rendered, error) {
	if result, ok := a.body.(*queries.Result); ok && f.encode == nil {
		body, err := result.AppendJSON(nil)
		if err != nil {
			return nil, fmt.Errorf("api: encode: %w", err)
		}
		return &rendered{body: append(body, '\n')}, nil
	}
	var buf bytes.Buffer
	if f.encode == nil {
		encoder := json.NewEncoder(&buf)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(a.body); err != nil {
			return nil, fmt.Errorf("api: encode: %w", err)
		}
		return &rendered{body: buf.Bytes()}, nil
	}
	t, err := a.table()
	if err != nil {
		return nil, err
	}
	if err := f.encode(&buf, t); err != nil {
		return nil, fmt.Errorf("api: %s: %w", f.name, err)
	}
	return &rendered{body: buf.Bytes(), file: a.name + "." + f.name}, nil
}

func (o *rendered) write(w http.ResponseWriter, r *http.Request, f *format) {
	h, body := w.Header(), o.body
	if !f.packed && takesGzip(r.Header.Get("Accept-Encoding")) {
		if zipped := o.gzipped(); zipped != nil {
			body = zipped
			h.Set("Content-Encoding", "gzip")
		}
	}
	if o.file != "" {
		h.Set("Content-Disposition", `attachment; filename="`+o.file+`"`)
	}
	h.Set("Content-Type", f.media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		slog.Debug("the reader left", "error", err)
	}
}

// readParams refuses unknown and repeated query parameters, naming those that
// the route knows.
func readParams(r *http.Request, allowed []string) (map[string]string, error) {
	given, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, problem.New(problem.BadInput, "the address has a malformed query").
			Also("uz", "Manzildagi parametrlarni oʻqib boʻlmadi: qiymatlar foizli kodda yoziladi (masalan, boʻsh joy — %%20).").
			Also("ru", "Параметры адреса не читаются: значения пишутся в процентной кодировке (пробел — %%20).").
			From("", err)
	}
	values := make(map[string]string, len(given))
	for name, list := range given {
		if len(allowed) == 0 {
			return nil, problem.New(problem.BadInput, "there is no parameter %q here; none is allowed", name).In(name).
				Also("uz", "Bu yerda “%s” parametri yoʻq.", name).
				Also("ru", "Параметра «%s» здесь нет.", name)
		}
		if !slices.Contains(allowed, name) {
			return nil, problem.New(problem.BadInput, "there is no parameter %q here; allowed are %s", name, strings.Join(allowed, ", ")).In(name).Of(allowed...).
				Also("uz", "Bu yerda “%s” parametri yoʻq.", name).
				Also("ru", "Параметра «%s» здесь нет.", name)
		}
		if len(list) > 1 && name != "where" {
			return nil, problem.New(problem.BadInput, "the parameter %q is given %d times; give it once", name, len(list)).In(name).
				Also("uz", "“%s” parametri bir necha marta berilgan; bir marta bering.", name).
				Also("ru", "Параметр «%s» указан несколько раз; укажите его один раз.", name)
		}
		values[name] = strings.Join(list, "\n")
	}
	return values, nil
}

// speak sets the parameter lang, where it is not given, to the language that the reader would like
// best of those that there are (RFC 9110, 12.5.4), if he names one.
func speak(values map[string]string, acceptLanguage string) error {
	if asked := values["lang"]; asked != "" {
		if !slices.Contains(queries.Languages, asked) {
			return problem.New(problem.BadInput, "there are no words in %q; allowed are %s", asked, strings.Join(queries.Languages, ", ")).In("lang").
				Also("uz", "“%s” tilida soʻzlar yoʻq.", asked).
				Also("ru", "На языке «%s» слов нет.", asked).
				Of(queries.Languages...)
		}
		return nil
	}
	if wished := problem.Wished(acceptLanguage, queries.Languages...); wished != "" {
		values["lang"] = wished
	}
	return nil
}

// etag names the facts an answer is made of: what is loaded and still kept, the definitions,
// the day, because a target is judged by its date, and behind the last hyphen the format, the language and whose rows they are.
func (s *server) etag(f *format, language string, scope access.Scope) string {
	var at Watermark
	if s.config.Watermark != nil {
		at = s.config.Watermark()
	}
	return fmt.Sprintf(`W/"%x.%x-%x-%d-%s.%s%s"`, at.Loaded, at.Retired, s.definitions, s.today(), f.name, language, mark(scope))
}

func matches(ifNoneMatch, tag string) bool {
	for candidate := range strings.SplitSeq(ifNoneMatch, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || (candidate != "" && strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/")) {
			return true
		}
	}
	return false
}

func hashOf(v any) (uint64, error) {
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(v); err != nil {
		return 0, err
	}
	return h.Sum64(), nil
}
