package ingest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzBinary: headers and data of an event in binary mode become one JSON object that
// holds both unchanged, or the request is refused as a whole.
func FuzzBinary(f *testing.F) {
	f.Add("ce-id", "a", "ce-source", "portal", []byte(`{"request":"r"}`))
	f.Add("Ce-Id", "a%22b", "CE-ID", "b", []byte(`null`))
	f.Add("ce-data", "x", "ce-x", "%zz", []byte(`{`))
	f.Add("ce-subject", "Euro %E2%82%AC %F0%9F%98%80", "ce-time", "\"\\\n", []byte(` [1] `))
	f.Add("ce-", "\x00\xff", "ce-datacontenttype", "x", []byte(``))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, data []byte) {
		header := http.Header{"Content-Type": {"application/json"}}
		header[name1] = append(header[name1], value1)
		header[name2] = append(header[name2], value2)
		event, err := structured(header, data)
		if err != nil {
			return
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(event, &object); err != nil {
			t.Fatalf("%q, %q, %q give no JSON: %v: %q", name1, name2, data, err, event)
		}
		if len(data) > 0 {
			var sent, got bytes.Buffer
			if json.Compact(&sent, data) != nil || json.Compact(&got, object["data"]) != nil || sent.String() != got.String() {
				t.Fatalf("data %q became %q", data, object["data"])
			}
		}
		for name, values := range header {
			attribute, ok := strings.CutPrefix(strings.ToLower(name), "ce-")
			if !ok || attribute == "datacontenttype" {
				continue
			}
			want, _ := url.PathUnescape(values[0])
			if want != strings.ToValidUTF8(want, "\uFFFD") || attribute != strings.ToValidUTF8(attribute, "\uFFFD") {
				continue // encoding/json mends what the checker refuses
			}
			var got string
			if err := json.Unmarshal(object[attribute], &got); err != nil || got != want {
				t.Fatalf("%s: %q became %q (%v)", name, values[0], object[attribute], err)
			}
		}
	})
}
