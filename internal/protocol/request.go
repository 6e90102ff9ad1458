package protocol

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Pair is a name with its value: a setting or a bound parameter.
type Pair struct{ Name, Value string }

// External is a table that came with the query and lives as long as it.
type External struct {
	Name      string
	Format    string // "TabSeparated" when the client names none
	Structure string // "id UInt64, name String"; empty lets the engine infer it
	Types     string // types alone; columns are then _1, _2 …
	Data      []byte
}

// Limits bound what a request may make a door hold in memory. Zero means the default.
type Limits struct {
	Query    int64 // bytes of the text of a query without its data; default 1 MiB
	External int64 // bytes of all external tables together; default 64 MiB
	Pairs    int   // parameters and settings; default 1000
	Ratio    int64 // bytes that a compressed body may become for each byte of it, beyond the first MiB; default: any number
	Frame    int64 // bytes of one frame of ClickHouse's compression; default what the library takes, 128 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Query == 0 {
		l.Query = 1 << 20
	}
	if l.External == 0 {
		l.External = 64 << 20
	}
	if l.Pairs == 0 {
		l.Pairs = 1000
	}
	return l
}

// Request is an HTTP request to ClickHouse's interface, read but not judged.
type Request struct {
	Query    string // the text in the URL or form; empty when all of it is in Body
	Body     io.Reader
	BodySize int64 // bytes of Body as it arrives, before decompression; -1 when unknown

	Params    []Pair // param_<name>: values of {name:Type}
	Settings  []Pair // everything else that is not the interface's own, in the order of names
	External  []External
	Database  string
	User      string
	QueryID   string
	QuotaKey  string
	SessionID string
	// SessionTimeout is how long an idle session lives.
	SessionTimeout time.Duration
	SessionCheck   bool // the session must exist already
	SessionClose   bool // the session ends with this request

	DefaultFormat string // the client's wish; empty means TabSeparated
	Revision      uint64 // client_protocol_version; 0 when not given
	Compress      bool   // the answer goes out in ClickHouse frames
	FrameMethod   string // LZ4 (also when empty), ZSTD, NONE, as network_compression_method says
	FrameLevel    int    // of ZSTD; 0 is the default
	HTTPEncoding  string // the answer's Content-Encoding; empty when none
	ReadOnly      bool   // GET and HEAD may not change data

	WaitEnd  bool  // hold the whole answer back until the query has ended
	Buffer   int64 // bytes of answer to hold back before the status is decided
	Progress bool  // send X-ClickHouse-Progress too
}

const (
	defaultSessionTimeout = 60 * time.Second
	maxSessionTimeout     = time.Hour
)

// ParseRequest reads the parameters, headers and form of r. The body is wrapped
// so that what is read from it is decompressed. Errors are [*Exception].
func ParseRequest(r *http.Request, limits Limits) (*Request, error) {
	limits = limits.withDefaults()
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Exceptionf(CodeBadArguments, "the parameters in the URL cannot be read: %v", err)
	}
	req := &Request{
		Body:           http.NoBody,
		SessionTimeout: defaultSessionTimeout,
		ReadOnly:       r.Method == http.MethodGet || r.Method == http.MethodHead,
		Database:       r.Header.Get("X-ClickHouse-Database"),
		DefaultFormat:  r.Header.Get("X-ClickHouse-Format"),
		User:           r.Header.Get("X-ClickHouse-User"),
		QuotaKey:       r.Header.Get("X-ClickHouse-Quota"),
	}
	if req.User == "" {
		req.User, _, _ = r.BasicAuth()
	}

	arrived := &counted{r: r.Body}
	var body io.Reader = arrived
	size := r.ContentLength
	if r.Method != http.MethodPost && r.Method != http.MethodPut || r.Body == nil {
		body, size = http.NoBody, 0
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && size != 0 {
		if body, err = ContentReader(encoding, body); err != nil {
			return nil, err
		}
		size = -1
	}
	if values.Get("decompress") == "1" {
		body, size = newFrameReader(body, limits.Frame), -1
	}
	if size == -1 && limits.Ratio > 0 {
		body = &bounded{counted: counted{r: body}, from: arrived, ratio: limits.Ratio}
	}
	kind, args, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" && size != 0 {
		if err := readForm(multipart.NewReader(body, args["boundary"]), values, req, limits); err != nil {
			return nil, err
		}
		body, size = http.NoBody, 0
	}
	req.Body, req.BodySize = body, size
	return req, req.apply(values, r.Header.Get("Accept-Encoding"), limits)
}

// readForm reads a multipart body: files are external tables, fields are parameters.
func readForm(form *multipart.Reader, values url.Values, req *Request, limits Limits) error {
	left := limits.External
	for {
		part, err := form.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unreadable(err, "the multipart form cannot be read: %v", err)
		}
		name := part.FormName()
		room := left
		field := part.FileName() == "" && (known[name] || strings.HasPrefix(name, "param_") ||
			strings.HasSuffix(name, "_format") || strings.HasSuffix(name, "_structure") || strings.HasSuffix(name, "_types"))
		if field {
			room = limits.Query
		}
		var data bytes.Buffer
		n, err := io.Copy(&data, io.LimitReader(part, room+1))
		if err != nil {
			return unreadable(err, "part %q of the multipart form cannot be read: %v", name, err)
		}
		if n > room {
			return Exceptionf(CodeQueryIsTooLarge, "part %q of the multipart form is larger than %d bytes", name, room)
		}
		if field {
			values.Set(name, data.String())
			continue
		}
		left -= n
		req.External = append(req.External, External{Name: name, Data: data.Bytes()})
	}
}

// unreadable is BAD_ARGUMENTS, unless what stopped the reading has a code of its own.
func unreadable(err error, format string, args ...any) error {
	var e *Exception
	if errors.As(err, &e) {
		return e
	}
	return Exceptionf(CodeBadArguments, format, args...)
}

// known are the parameters of the interface itself: all others are settings.
var known = map[string]bool{
	"query": true, "database": true, "default_format": true, "query_id": true, "user": true, "password": true,
	"quota_key": true, "session_id": true, "session_timeout": true, "session_check": true, "compress": true,
	"decompress": true, "client_protocol_version": true, "stacktrace": true, "role": true, "close_session": true,
	"buffer_size": true, "wait_end_of_query": true, "http_write_exception_in_output_format": true,
	"send_progress_in_http_headers": true, "http_headers_progress_interval_ms": true, "enable_http_compression": true,
	"http_zlib_compression_level": true, "network_compression_method": true, "network_zstd_compression_level": true,
	"http_response_buffer_size": true, "http_wait_end_of_query": true,
}

func (req *Request) apply(values url.Values, accept string, limits Limits) error {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	if len(names) > limits.Pairs {
		return Exceptionf(CodeBadArguments, "%d parameters are more than the %d allowed", len(names), limits.Pairs)
	}
	sort.Strings(names)

	tables := make(map[string]bool)
	for i := range req.External {
		t := &req.External[i]
		t.Format = values.Get(t.Name + "_format")
		t.Structure = values.Get(t.Name + "_structure")
		t.Types = values.Get(t.Name + "_types")
		if t.Format == "" {
			t.Format = "TabSeparated"
		}
		for _, suffix := range []string{"_format", "_structure", "_types"} {
			tables[t.Name+suffix] = true
		}
	}
	var bad error
	number := func(name string, into *int64) {
		text := values.Get(name)
		if text == "" || bad != nil {
			return
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v < 0 {
			bad = Exceptionf(CodeBadArguments, "parameter %s is not a number: %q", name, text)
			return
		}
		*into = v
	}
	var accepted bool
	for _, name := range names {
		value := values.Get(name)
		switch {
		case strings.HasPrefix(name, "param_"):
			req.Params = append(req.Params, Pair{name[len("param_"):], value})
		case tables[name]:
		case !known[name]:
			req.Settings = append(req.Settings, Pair{name, value})
		}
		switch name {
		case "query":
			req.Query = value
		case "database":
			req.Database = value
		case "default_format":
			req.DefaultFormat = value
		case "query_id":
			req.QueryID = value
		case "user":
			req.User = value
		case "quota_key":
			req.QuotaKey = value
		case "session_id":
			req.SessionID = value
		case "session_check":
			req.SessionCheck = truth(value)
		case "close_session":
			req.SessionClose = truth(value)
		case "compress":
			req.Compress = truth(value)
		case "network_compression_method":
			req.FrameMethod = strings.ToUpper(value)
		case "wait_end_of_query", "http_wait_end_of_query":
			req.WaitEnd = truth(value)
		case "send_progress_in_http_headers":
			req.Progress = truth(value)
		case "enable_http_compression":
			accepted = truth(value)
		}
	}
	if int64(len(req.Query)) > limits.Query {
		return Exceptionf(CodeQueryIsTooLarge, "the query in the URL is %d bytes; at most %d are allowed, send it as the body", len(req.Query), limits.Query)
	}
	if req.Compress {
		if _, err := NewFrameWriter(io.Discard, req.FrameMethod, 0); err != nil {
			req.Compress = false // or this could not be said
			return err
		}
	}
	var revision, level, timeout int64
	number("client_protocol_version", &revision)
	number("network_zstd_compression_level", &level)
	number("http_response_buffer_size", &req.Buffer)
	number("buffer_size", &req.Buffer)
	if bad != nil {
		return bad
	}
	req.Revision, req.FrameLevel = uint64(revision), int(level)
	if values.Get("session_timeout") != "" {
		number("session_timeout", &timeout)
		if bad != nil || timeout > int64(maxSessionTimeout/time.Second) {
			return Exceptionf(CodeInvalidSessionTimeout, "invalid session timeout: %q (at most %d seconds)", values.Get("session_timeout"), maxSessionTimeout/time.Second)
		}
		req.SessionTimeout = time.Duration(timeout) * time.Second
	}
	// Since ClickHouse 24.x enable_http_compression is 1 unless it is switched off.
	if accepted || values.Get("enable_http_compression") == "" {
		req.HTTPEncoding = ChooseEncoding(accept)
	}
	return nil
}

// Setting is the value of a setting of the request.
func (req *Request) Setting(name string) (value string, ok bool) {
	for _, p := range req.Settings {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

func truth(s string) bool { return s == "1" || strings.EqualFold(s, "true") }
