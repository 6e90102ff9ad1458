package ingest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"ombor/internal/problem"
)

// structured writes an event in binary mode as a structured one: its attributes are
// the ce- headers, percent-decoded (CloudEvents, HTTP Protocol Binding 1.0.2, section
// 3.1.3), its data is the body. A body that is not one JSON value is an unreadable request.
func structured(header http.Header, data []byte) ([]byte, error) {
	attributes := map[string]json.RawMessage{}
	for name, values := range header {
		attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !ok {
			continue
		}
		if _, twice := attributes[attribute]; twice || attribute == "data" || attribute == "data_base64" || len(values) != 1 {
			return nil, problem.New(problem.BadInput, "the header %s is no attribute of an event, or stands twice", name).In(name)
		}
		text, err := url.PathUnescape(values[0])
		if err != nil {
			return nil, problem.New(problem.BadInput, "the header %s is not percent-encoded; a percent sign is written %%25", name).In(name)
		}
		// Marshal would hide what is not UTF-8; the checker is to see it.
		attributes[attribute] = quote(text)
	}
	if len(data) > 0 {
		if !json.Valid(data) {
			return nil, problem.New(problem.BadInput, "the body is not JSON: in binary mode it is the event's data. Nothing was stored")
		}
		attributes["data"] = data
	}
	attributes["datacontenttype"] = quote(header.Get("Content-Type"))
	var out []byte
	out = append(out, '{')
	for name, value := range attributes {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, quote(name)...), ':'), value...)
	}
	return append(out, '}'), nil
}

// quote is text as a JSON string, its bytes unchanged.
func quote(text string) []byte {
	const hex = "0123456789abcdef"
	out := []byte{'"'}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return append(out, '"')
}
