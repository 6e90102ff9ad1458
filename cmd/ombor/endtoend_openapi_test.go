//go:build endtoend

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// described is a server's own description, /openapi.json, with what was held against it.
type described struct {
	s        *server
	paths    map[string]any
	all      map[string]any
	compiler *jsonschema.Compiler
	met      map[string]map[int]bool // "get /v1/kpis" to statuses
	entry    string                  // an entry of the quarantine
	project  string                  // a project
	run      string                  // a run of the workbench
	query    string                  // a saved query
	reply    string                  // a reply to a figure
}

const documentName = "openapi.json"

func describe(s *server, met map[string]map[int]bool) *described {
	s.t.Helper()
	response, err := http.Get(s.url + "/openapi.json")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := jsonschema.UnmarshalJSON(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("/openapi.json: %s %v", response.Status, err)
	}
	d := &described{s: s, compiler: jsonschema.NewCompiler(), met: met}
	d.all, _ = text.(map[string]any)
	d.paths, _ = d.all["paths"].(map[string]any)
	if len(d.paths) < 20 {
		s.t.Fatalf("/openapi.json describes %d paths", len(d.paths))
	}
	d.compiler.AssertFormat()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource(documentName, text); err != nil {
		s.t.Fatal(err)
	}
	return d
}

// at goes down a path of keys and follows a reference at its end. It returns what is
// there and its JSON pointer; nil when nothing is.
func (d *described) at(keys ...string) (map[string]any, string) {
	var here any = d.all
	pointer := "#"
	for _, key := range keys {
		object, _ := here.(map[string]any)
		if here = object[key]; here == nil {
			return nil, ""
		}
		key = strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		pointer += "/" + url.PathEscape(key)
	}
	object, _ := here.(map[string]any)
	if to, ok := object["$ref"].(string); ok {
		return d.at(strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
	}
	return object, pointer
}

// valid holds a JSON text against the schema at a pointer.
func (d *described) valid(what, pointer string, text []byte) {
	d.s.t.Helper()
	schema, err := d.compiler.Compile(documentName + pointer)
	if err != nil {
		d.s.t.Fatalf("%s: %v", what, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		d.s.t.Errorf("%s: not JSON: %v: %.300s", what, err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		d.s.t.Errorf("%s is not as %s says: %v\n%.600s", what, pointer, err, text)
	}
}

// asked is one request and the status that it must have.
type asked struct {
	path   string // as the document writes it
	id     string // in place of {…}
	query  string
	status int // 0: any that is documented

	method string // GET when not given
	header map[string]string
	body   []byte
}

// ask sends a request, and holds status, media type and body against the document.
func (d *described) ask(a asked) []byte {
	t := d.s.t
	t.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	target := a.path
	if before, rest, ok := strings.Cut(a.path, "{"); ok {
		_, after, _ := strings.Cut(rest, "}")
		target = before + url.PathEscape(a.id) + after
	}
	if a.query != "" {
		target += "?" + a.query
	}
	what := a.method + " " + target
	request, err := http.NewRequest(a.method, d.s.url+target, bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range a.header {
		request.Header.Set(name, value)
	}
	if host, ok := a.header["Host"]; ok {
		request.Host = host
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, d.s.log.String())
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK && a.path == "/v1/live" {
		d.firstWatermark(what, response)
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if a.status == 0 {
		a.status = response.StatusCode
	}
	if response.StatusCode != a.status {
		t.Errorf("%s: %s, want %d: %.300s", what, response.Status, a.status, body)
		return body
	}
	what = fmt.Sprintf("%s, answered %d,", what, a.status)
	if unchanged, _ := d.at("paths", a.path, "get", "responses", "304"); a.status == 200 && (unchanged != nil) != (response.Header.Get("ETag") != "") {
		t.Errorf("%s has the ETag %q; is 304 documented: %v", what, response.Header.Get("ETag"), unchanged != nil)
	}
	d.hold(what, a, response.Header.Get("Content-Type"), body)
	return body
}

// hold finds the schema of an answer. A method that a path does not have is answered as
// its GET, or its POST, documents a problem.
func (d *described) hold(what string, a asked, contentType string, body []byte) {
	t := d.s.t
	t.Helper()
	method := strings.ToLower(a.method)
	if operation, _ := d.at("paths", a.path, method); operation == nil {
		item := d.paths[a.path].(map[string]any)
		for _, method = range []string{"get", "post", "delete"} {
			if item[method] != nil {
				break
			}
		}
	}
	where := []string{"paths", a.path, method, "responses", fmt.Sprint(a.status)}
	answer, pointer := d.at(where...)
	if answer == nil && a.status >= 400 {
		answer, pointer = d.at(append(where[:4:4], "default")...)
	}
	if answer == nil {
		t.Errorf("%s is documented nowhere", what)
		return
	}
	operation := method + " " + a.path
	if d.met[operation] == nil {
		d.met[operation] = map[int]bool{}
	}
	d.met[operation][a.status] = true
	content, _ := answer["content"].(map[string]any)
	if len(content) == 0 {
		if len(body) > 0 {
			t.Errorf("%s has a body, and none is documented: %.300s", what, body)
		}
		return
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || content[media] == nil {
		t.Errorf("%s has the type %q, which is not documented", what, contentType)
		return
	}
	if len(body) == 0 {
		t.Errorf("%s is empty", what)
	}
	if media == lineForm {
		for line := range bytes.Lines(body) {
			d.valid(what, pointer+"/content/"+url.PathEscape(strings.ReplaceAll(media, "/", "~1"))+"/schema", line)
		}
	} else if strings.HasSuffix(media, "json") {
		d.valid(what, pointer+"/content/"+url.PathEscape(strings.ReplaceAll(media, "/", "~1"))+"/schema", body)
	}
}

// firstWatermark reads the beginning of a stream that does not end.
func (d *described) firstWatermark(what string, response *http.Response) {
	t := d.s.t
	t.Helper()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			_, pointer := d.at("components", "schemas", "Watermark")
			d.valid(what, pointer, []byte(data))
			d.hold(what, asked{path: "/v1/live", method: http.MethodGet, status: http.StatusOK}, response.Header.Get("Content-Type"), []byte(data))
			return
		}
	}
	t.Errorf("%s: no data in the stream: %v", what, lines.Err())
}

// sent is a request with a body that the document says is sound.
func (d *described) sent(path, media string, body []byte, status int) []byte {
	d.s.t.Helper()
	_, pointer := d.at("paths", path, "post", "requestBody", "content", media, "schema")
	if pointer == "" {
		d.s.t.Fatalf("POST %s does not document %s", path, media)
	}
	parts := [][]byte{body}
	if media == "application/x-ndjson" { // its schema is of the text; each line is an event
		parts = bytes.Split(bytes.TrimSpace(body), []byte("\n"))
		_, pointer = d.at("components", "schemas", "CloudEvent")
	}
	for _, part := range parts {
		d.valid("a body sent to "+path, pointer, part)
	}
	return d.post(path, media, body, status)
}

// post sends a body of which the document need not approve.
func (d *described) post(path, media string, body []byte, status int, header ...string) []byte {
	d.s.t.Helper()
	a := asked{path: path, method: http.MethodPost, status: status, body: body, header: map[string]string{"Content-Type": media}}
	for i := 0; i+1 < len(header); i += 2 {
		a.header[header[i]] = header[i+1]
	}
	return d.ask(a)
}

// intake is an answer of the door; its schema has been checked.
type intake struct {
	Accepted, Held     int
	Rejected, Warnings []map[string]any
	Receipt            string
}

func (d *described) took(what string, body []byte, accepted, held, rejected, warnings int) string {
	d.s.t.Helper()
	got := read[intake](d.s.t, body)
	if got.Accepted != accepted || got.Held != held || len(got.Rejected) != rejected || len(got.Warnings) != warnings {
		d.s.t.Errorf("%s: %s; want %d accepted, %d held, %d rejected, %d warnings", what, body, accepted, held, rejected, warnings)
	}
	return got.Receipt
}

func read[T any](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	return v
}

// loaded asks for a receipt until its events are loaded.
func (d *described) loaded(receipt string) map[string]any {
	d.s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		state := read[map[string]any](d.s.t, d.ask(asked{path: "/v1/receipts/{id}", id: receipt, status: 200}))
		if state["loaded"] == true {
			return state
		}
		if time.Now().After(deadline) {
			d.s.t.Fatalf("not loaded: %v\n%s", state, d.s.log.String())
		}
	}
}

// TestAnswersAreAsDocumented holds the answers of two real servers against the
// description that they serve: every path and method of it, with what is right and with
// what is wrong.
func TestAnswersAreAsDocumented(t *testing.T) {
	met := map[string]map[int]bool{}
	var paths map[string]any
	t.Run("uz", func(t *testing.T) {
		d := describe(serve(t, t.TempDir()), met)
		paths = d.paths
		file := filepath.Join(t.TempDir(), "year.ndjson")
		if r := ombor(t, "simulate", "--events", "3000", "-o", file); r.code != 0 {
			t.Fatal(r.stderr)
		}
		d.figures("before anything is loaded", "request-duration")
		if l, r := d.s.load(file); l.Accepted < 3000 || r.code != 0 {
			t.Fatalf("load: %+v %s", l, r.stderr)
		}
		d.events(file)
		d.quarantine()
		systems := filepath.Join(t.TempDir(), "systems.ndjson")
		if r := ombor(t, "simulate", "--scale", "0.002", "-o", systems); r.code != 0 {
			t.Fatal(r.stderr)
		}
		d.contracts(systems)
		if l, r := d.s.load(systems); l.Accepted < 1000 || r.code != 0 {
			t.Fatalf("load: %+v %s", l, r.stderr)
		}
		d.projects(systems)
		d.access()
		d.figures("loaded")
		d.workbench()
		d.replies()
		d.tables()
		d.refusals()
		d.everywhere()
	})
	t.Run("boston", func(t *testing.T) {
		d := describe(serve(t, t.TempDir(), "--pack", "internal/pack/testdata/boston"), met)
		d.deliveries()
		d.figures("boston")
		for _, table := range []string{"/v1/regions", "/v1/services"} { // this pack has neither
			d.ask(asked{path: table, status: 404})
		}
	})
	for path, item := range paths {
		for method, operation := range item.(map[string]any) {
			statuses := met[method+" "+path]
			if !statuses[200] && !statuses[201] && !statuses[204] && !statuses[302] && !statuses[303] && path != "/sign-in/callback" { // of which internal/access has the tests
				t.Errorf("no good answer of %s %s was looked at", method, path)
			}
			for status := range operation.(map[string]any)["responses"].(map[string]any) {
				if status == "304" && !statuses[304] {
					t.Errorf("no answer 304 of %s %s was looked at", method, path)
				}
			}
			refused := false
			for status := range statuses {
				refused = refused || status >= 400
			}
			if !refused {
				t.Errorf("no refusal of %s %s was looked at", method, path)
			}
		}
	}
	for _, status := range []int{200, 400, 403, 405, 413, 415} {
		if !met["post /v1/events"][status] {
			t.Errorf("no answer %d of the door was looked at", status)
		}
	}
}

const (
	lineForm   = "application/x-ndjson"
	singleForm = "application/cloudevents+json"
	arrayForm  = "application/cloudevents-batch+json"
)

// events sends what is good, in part good, and bad.
func (d *described) events(file string) {
	t := d.s.t
	t.Helper()
	decided := eventsOf(t, file, "uz.gov.request.decided.v1")[:4]
	good := bytes.Join(decided, []byte("\n"))
	d.loaded(d.took("events again", d.sent("/v1/events", lineForm, good, 200), 4, 0, 0, 0))
	d.took("a batch", d.sent("/v1/events", arrayForm, []byte("["+string(bytes.Join(decided, []byte(",")))+"]"), 200), 4, 0, 0, 0)
	d.took("zipped", d.post("/v1/events", lineForm, zipped(good), 200, "Content-Encoding", "gzip"), 4, 0, 0, 0)
	one := read[map[string]any](t, decided[0])
	change := func(id string, changes map[string]any) []byte {
		event := read[map[string]any](t, decided[0])
		event["id"] = id
		for field, value := range changes {
			event["data"].(map[string]any)[field] = value
		}
		text, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	data, err := json.Marshal(one["data"])
	if err != nil {
		t.Fatal(err)
	}
	binary := []string{"ce-specversion", "1.0", "ce-id", "openapi-binary", "ce-source", text(one["source"]), "ce-type", text(one["type"]), "ce-time", text(one["time"])}
	d.took("binary mode", d.post("/v1/events", "application/json", data, 200, binary...), 1, 0, 0, 0)
	d.took("one", d.sent("/v1/events", singleForm, change("openapi-one", nil), 200), 1, 0, 0, 0)

	// The same id with other content is a conflict, which the receipt tells.
	state := d.loaded(d.took("other content", d.sent("/v1/events", singleForm, change("openapi-one", map[string]any{"fee": 17}), 200), 1, 0, 0, 0))
	if state["conflict"] != 1.0 {
		t.Errorf("the receipt of other content: %v", state)
	}
	unknown := change("openapi-held", map[string]any{"region": "0000"})
	d.took("an unknown region", d.sent("/v1/events", singleForm, unknown, 200), 0, 1, 0, 0)
	bad := change("openapi-bad", map[string]any{"outcome": "perhaps"})
	mixed := bytes.Join([][]byte{change("openapi-mixed", nil), unknown, bad, []byte("{")}, []byte("\n"))
	d.took("of every kind", d.post("/v1/events", lineForm, mixed, 200), 1, 1, 2, 0)
	broken := bytes.Join([][]byte{[]byte("{"), []byte("7"), bad, change("", nil), []byte("{\"a\":\"\xff\"}"), []byte(`{"specversion":"1.0"}`)}, []byte("\n"))
	if receipt := d.took("all broken", d.post("/v1/events", lineForm, broken, 200), 0, 0, 6, 0); receipt != "" {
		t.Errorf("nothing was accepted, and there is a receipt %s", receipt)
	}
	d.took("nothing", d.post("/v1/events", lineForm, nil, 200), 0, 0, 0, 0)

	// A rule of severity warn: proactive since a day after the event.
	service := read[map[string]any](t, eventsOf(t, file, "uz.gov.service.changed.v1")[0])
	service["id"] = "openapi-warned"
	service["data"].(map[string]any)["proactive_since"] = "2030-01-01"
	warned, err := json.Marshal(service)
	if err != nil {
		t.Fatal(err)
	}
	d.took("a warning", d.sent("/v1/events", singleForm, warned, 200), 1, 0, 0, 1)

	whole := zipped(bytes.Repeat(append(good, '\n'), 50))
	d.post("/v1/events", lineForm, whole[:len(whole)/2], 400, "Content-Encoding", "gzip")
	d.post("/v1/events", arrayForm, []byte("["), 400)
	d.post("/v1/events", singleForm, nil, 400)
	d.post("/v1/events", "text/html", good, 415)
	d.post("/v1/events", lineForm, good, 415, "Content-Encoding", "br")
	d.post("/v1/events", lineForm, zipped(make([]byte, 16<<20)), 413, "Content-Encoding", "gzip") // a bomb
	d.ask(asked{path: "/v1/events", method: http.MethodPost, query: "colour=red", status: 400})
	for _, receipt := range []string{"AQ", "nothing", strings.Repeat("A", 300)} {
		d.ask(asked{path: "/v1/receipts/{id}", id: receipt, status: 404})
	}
}

// quarantine works off what events left there, a conflict and an unknown region, and asks for what
// cannot be done.
func (d *described) quarantine() {
	t := d.s.t
	t.Helper()
	type page struct {
		Entries []struct{ ID, Code string }
		Next    *string
	}
	const all, fix, replay, dismiss = "/v1/quarantine", "/v1/quarantine/{id}/fix", "/v1/quarantine/replay", "/v1/quarantine/dismiss"
	list := read[page](t, d.ask(asked{path: all, query: "state=open", status: 200}))
	ids := map[string]string{}
	for _, e := range list.Entries {
		ids[e.Code] = e.ID
		d.ask(asked{path: "/v1/quarantine/{id}", id: e.ID, status: 200})
	}
	if len(list.Entries) != 2 || ids["conflict"] == "" || ids["unknown_reference"] == "" {
		t.Fatalf("in quarantine: %+v", list)
	}
	d.entry = ids["conflict"]
	first := read[page](t, d.ask(asked{path: all, query: "limit=1&since=2020-01-01&until=2099-01-01T00:00:00Z", status: 200}))
	if len(first.Entries) != 1 || first.Next == nil {
		t.Fatalf("a page of one: %+v", first)
	}
	if next := read[page](t, d.ask(asked{path: all, query: "limit=1&cursor=" + *first.Next, status: 200})); len(next.Entries) != 1 || next.Next != nil || next.Entries[0] == first.Entries[0] {
		t.Errorf("the next page: %+v", next)
	}
	for _, query := range []string{"colour=red", "state=new", "limit=0", "limit=many", "since=yesterday", "until=1", "cursor=-", "code=a&code=b"} {
		d.ask(asked{path: all, query: query, status: 400})
	}
	do := func(path, id, body string, status int) map[string]any {
		t.Helper()
		return read[map[string]any](t, d.ask(asked{path: path, id: id, method: http.MethodPost, body: []byte(body), header: map[string]string{"Content-Type": "application/json"}, status: status}))
	}
	d.ask(asked{path: "/v1/quarantine/{id}", id: "nothing", status: 404})
	do(fix, "nothing", `{"set":{"region":"1726"}}`, 404)
	unknown := ids["unknown_reference"]
	for _, body := range []string{"", "[]", "{", `{}`, `{"set":{}}`, `{"set":{"colour":"red"}}`, `{"set":{"applicant":"31507856543210"}}`, `{"colour":"red"}`, `{"set":{"region":"1726"}} {}`, `{"set":{"region":"1726"},"by":"\u0007"}`} {
		do(fix, unknown, body, 400)
	}
	if a := do(fix, unknown, `{"set":{"region":"0001","outcome":"perhaps"}}`, 200); a["applied"] != false {
		t.Errorf("a fix that mends nothing: %v", a)
	}
	for _, body := range []string{"", "{}", `{"ids":["nothing"],"filter":{}}`, `{"filter":{},"as":"truth"}`, `{"filter":{"since":"yesterday"}}`} {
		do(replay, "", body, 400)
	}
	do(replay, "", `{"ids":["nothing"]}`, 404)
	do(dismiss, "", `{"filter":{}}`, 400) // no note
	if a := do(replay, "", `{"filter":{}}`, 200); a["refused"] != 2.0 || a["replayed"] != 0.0 {
		t.Errorf("a replay of what is wrong: %v", a)
	}
	if a := do(fix, unknown, `{"set":{"region":"1726"},"by":"ali","note":"asked"}`, 200); a["applied"] != true {
		t.Errorf("a fix: %v", a)
	}
	if a := do(replay, "", `{"filter":{"code":"unknown_reference","type":"uz.gov.request.decided.v1"},"by":"ali"}`, 200); a["replayed"] != 1.0 || a["message"] == 0.0 {
		t.Errorf("a replay: %v", a)
	}
	if a := do(replay, "", `{"ids":["`+unknown+`"]}`, 200); a["skipped"] != 1.0 || a["replayed"] != 0.0 {
		t.Errorf("a second replay: %v", a)
	}
	do(fix, unknown, `{"set":{"region":"1726"}}`, 409)
	if a := do(dismiss, "", `{"ids":["`+d.entry+`"],"note":"a test"}`, 200); a["dismissed"] != 1.0 {
		t.Errorf("a dismissal: %v", a)
	}
	for _, state := range []string{"replayed", "dismissed"} {
		if list := read[page](t, d.ask(asked{path: all, query: "state=" + state, status: 200})); len(list.Entries) != 1 {
			t.Errorf("%s: %+v", state, list)
		}
	}
	d.ask(asked{path: "/v1/quality", query: "since=2020-01-01&until=2099-12-31", status: 200})
	for _, query := range []string{"since=yesterday", "since=2024-02-01&until=2024-01-01", "colour=red"} {
		d.ask(asked{path: "/v1/quality", query: query, status: 400})
	}
	for _, query := range []string{"rule=nothing", "source=nobody", "type=uz.gov.nothing.v1", "from=yesterday", "from=2024-02-01&to=2024-01-01"} {
		d.ask(asked{path: "/v1/quality/findings", query: query, status: 400})
	}
}

// eventsOf are the lines of a file that hold one type of event.
func eventsOf(t testing.TB, file, eventType string) [][]byte {
	t.Helper()
	all, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found [][]byte
	for line := range strings.Lines(string(all)) {
		if strings.Contains(line, `"type":"`+eventType+`"`) {
			found = append(found, []byte(strings.TrimSpace(line)))
		}
	}
	if len(found) < 10 {
		t.Fatalf("%s has %d events %s", file, len(found), eventType)
	}
	return found
}

// contracts asks for the schema of every event type, which holds for simulated events.
func (d *described) contracts(file string) {
	t := d.s.t
	t.Helper()
	dictionary := read[struct{ Contracts []struct{ Type string } }](t, d.ask(asked{path: "/v1/contracts", status: 200}))
	samples := map[string][][]byte{}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var event struct{ Type string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		if len(samples[event.Type]) < 10 {
			samples[event.Type] = append(samples[event.Type], bytes.Clone(lines.Bytes()))
		}
	}
	if len(dictionary.Contracts) != len(samples)+1 { // nobody but Ombor publishes
		t.Errorf("the dictionary has %d contracts, %d are simulated", len(dictionary.Contracts), len(samples))
	}
	for _, c := range dictionary.Contracts {
		text := d.ask(asked{path: "/v1/contracts/{type}", id: c.Type, status: 200})
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource("contract.json", value); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("contract.json")
		if err != nil {
			t.Fatalf("%s: %v", c.Type, err)
		}
		if len(samples[c.Type]) == 0 && c.Type != "uz.gov.figure.published.v1" {
			t.Errorf("no event of %s is simulated", c.Type)
		}
		for _, event := range samples[c.Type] {
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(event))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("the door took an event that its schema does not allow: %v\n%s", err, event)
			}
		}
	}
	d.ask(asked{path: "/v1/contracts/{type}", id: "uz.gov.nothing.v1", status: 404})
	d.ask(asked{path: "/v1/dictionary", query: "type=uz.gov.request.decided.v1", status: 200})
	d.ask(asked{path: "/v1/dictionary", query: "type=uz.gov.nothing.v1", status: 400})
	d.ask(asked{path: "/v1/services", query: "known_on=2999-01-01", status: 400})
	d.ask(asked{path: "/v1/services/{id}", id: "496", status: 200})
	d.ask(asked{path: "/v1/services/{id}", id: "496", query: "known_on=2999-01-01", status: 400})
	d.ask(asked{path: "/v1/services/{id}", id: "no-such-service", status: 404})
	d.ask(asked{path: "/v1/contracts/{type}", id: "uz.gov.request.decided.v1", query: "format=csv", status: 400})
}

// figures asks for the named KPIs, or every one, in many ways.
func (d *described) figures(when string, ids ...string) {
	t := d.s.t
	t.Helper()
	catalogue := read[struct {
		KPIs []struct {
			ID         string
			Dimensions []struct{ Name string }
		}
	}](t, d.ask(asked{path: "/v1/kpis", status: 200}))
	if len(catalogue.KPIs) == 0 {
		t.Fatal("no KPIs")
	}
	_, pointer := d.at("components", "schemas", "Cell")
	keys, _ := d.at("components", "schemas", "Cell", "properties")
	cells := 0
	special := func(id string) bool {
		return strings.HasPrefix(id, "discount-") || strings.HasPrefix(id, "pension-") || id == "certificates-avoided"
	}
	for _, k := range catalogue.KPIs {
		if len(ids) > 0 && !slices.Contains(ids, k.ID) {
			continue
		}
		d.ask(asked{path: "/v1/kpis/{id}", id: k.ID, status: 200})
		queries := []string{"", "plan=true", "from=2024-01-01&to=2024-12-31&compare=previous", "from=1999-01-01&to=1999-01-31", "known_on=2001-01-01"}
		for _, dimension := range k.Dimensions {
			queries = append(queries, "by="+url.QueryEscape(dimension.Name))
		}
		for _, query := range queries {
			if special(k.ID) && query != "" && query != "plan=true" { // told as published: whole quarters and years
				d.ask(asked{path: "/v1/kpis/{id}/values", id: k.ID, query: query})
				continue
			}
			answer := read[struct {
				By    []string
				Cells []map[string]any
			}](t, d.ask(asked{path: "/v1/kpis/{id}/values", id: k.ID, query: query, status: 200}))
			cells += len(answer.Cells)
			odd := map[string]bool{} // a cell has its dimensions and nothing else beside its keys
			for _, cell := range answer.Cells {
				for key := range cell {
					if keys[key] == nil && !slices.Contains(answer.By, strings.TrimPrefix(key, "by.")) {
						odd[key] = true
					}
				}
			}
			if len(odd) > 0 {
				t.Errorf("%s %s?%s: cells have %v, which are neither in %s nor dimensions", when, k.ID, query, odd, pointer)
			}
		}
		for _, format := range []string{"csv", "xlsx", "parquet", "arrow"} {
			d.ask(asked{path: "/v1/kpis/{id}/values", id: k.ID, query: "format=" + format, status: 200})
		}
	}
	if cells == 0 {
		t.Errorf("%s: no cells", when)
	}
	for _, query := range []string{"", "from=2024-01-01&to=2024-12-31", "from=1999-01-01&to=1999-01-31", "known_on=2001-01-01"} {
		d.ask(asked{path: "/v1/scorecard", query: query, status: 200})
	}
	d.ask(asked{path: "/v1/targets", status: 200})
	d.ask(asked{path: "/v1/status", status: 200})
	d.ask(asked{path: "/v1/labels", status: 200})
	d.ask(asked{path: "/v1/organisations", status: 200})
}

// tables asks for the reference tables of a pack that has all three.
func (d *described) tables() {
	t := d.s.t
	t.Helper()
	type table struct {
		On   string
		Rows []any
	}
	for _, path := range []string{"/v1/regions", "/v1/services", "/v1/organisations"} {
		if all := read[table](t, d.ask(asked{path: path, status: 200})); len(all.Rows) == 0 {
			t.Errorf("%s has no rows", path)
		}
		if old := read[table](t, d.ask(asked{path: path, query: "on=2020-02-29", status: 200})); old.On != "2020-02-29" {
			t.Errorf("%s tells of %s", path, old.On)
		}
		if none := read[table](t, d.ask(asked{path: path, query: "q=no+such+name", status: 200})); len(none.Rows) != 0 {
			t.Errorf("%s found %v", path, none.Rows)
		}
		d.ask(asked{path: path, query: "on=yesterday", status: 400})
		d.ask(asked{path: path, query: "format=yaml", status: 415})
	}
	if found := read[table](t, d.ask(asked{path: "/v1/regions", query: "q=andijon", status: 200})); len(found.Rows) != 1 {
		t.Errorf("/v1/regions?q=andijon found %v", found.Rows)
	}
}

// refusals asks for figures wrongly.
func (d *described) refusals() {
	d.s.t.Helper()
	for _, path := range []string{"/v1/kpis/{id}", "/v1/kpis/{id}/values"} {
		d.ask(asked{path: path, id: "nothing", status: 404})
		d.ask(asked{path: path, id: "a/b ü?", status: 404})
	}
	d.ask(asked{path: "/v1/kpis/{id}", id: "requests", query: "format=csv", status: 415})
	for _, query := range []string{"colour=red", "from=yesterday", "from=2024-12-31&to=2024-01-01", "from=2024-01-01&from=2024-01-02", "grain=fortnight", "by=weather",
		"where=region", "where=region%3Dnowhere", "compare=tomorrow", "basis=guess", "version=last", "version=99", "variant=nobody", "known_on=never", "plan=perhaps", "from=%25zz"} {
		d.ask(asked{path: "/v1/kpis/{id}/values", id: "requests", query: query, status: 400})
	}
	for _, query := range []string{"colour=red", "from=yesterday", "where=region", "known_on=never"} {
		d.ask(asked{path: "/v1/scorecard", query: query, status: 400})
	}
}

// access makes a key, and uses and ends it; and signs in with a link.
func (d *described) access() {
	t := d.s.t
	t.Helper()
	body := map[string]string{"Content-Type": "application/json"}
	made := read[struct{ Key, ID string }](t, d.ask(asked{path: "/v1/keys", method: http.MethodPost, header: body, body: []byte(`{"name":"a leader's","roles":["leader"]}`), status: 201}))
	with := map[string]string{"Authorization": "Bearer " + made.Key}
	d.ask(asked{path: "/v1/me", header: with, status: 200})
	d.ask(asked{path: "/v1/scorecard", header: with, status: 200})
	d.ask(asked{path: "/v1/audit", header: with, status: 403})
	d.ask(asked{path: "/v1/links", method: http.MethodPost, header: with, status: 403})
	for _, wrong := range []string{"", "[]", `{"name":"x"}`, `{"name":"x","roles":["king"]}`, `{"name":"x","roles":["source"]}`, `{"name":"x","roles":["leader"],"colour":"red"}`} {
		d.ask(asked{path: "/v1/keys", method: http.MethodPost, header: body, body: []byte(wrong), status: 400})
	}
	d.ask(asked{path: "/v1/keys/{id}", id: made.ID, method: http.MethodDelete, status: 200})
	d.ask(asked{path: "/v1/keys/{id}", id: "nothing", method: http.MethodDelete, status: 404})
	d.ask(asked{path: "/v1/scorecard", header: with, status: 401})
	d.ask(asked{path: "/v1/audit", query: "denied=true&limit=5&text=leader", status: 200})
	for _, query := range []string{"denied=perhaps", "limit=0", "before=-1", "from=yesterday"} {
		d.ask(asked{path: "/v1/audit", query: query, status: 400})
	}
	link := read[struct{ Path string }](t, d.ask(asked{path: "/v1/links", method: http.MethodPost, status: 201}))
	_, query, _ := strings.Cut(link.Path, "?")
	d.ask(asked{path: "/sign-in", query: query, status: 302})
	d.ask(asked{path: "/sign-in", query: query, status: 401})
	d.ask(asked{path: "/sign-in/callback", status: 404}) // this server has no provider
	d.ask(asked{path: "/sign-out", method: http.MethodPost, status: 303})
	d.ask(asked{path: "/sign-out", method: http.MethodPost, status: 403, header: map[string]string{"Origin": "https://elsewhere.example"}})
}

// workbench runs a statement, saves a query, and asks for both wrongly.
func (d *described) workbench() {
	t := d.s.t
	t.Helper()
	post := func(path, body string, status int) []byte {
		t.Helper()
		return d.post(path, "application/json", []byte(body), status)
	}
	d.ask(asked{path: "/v1/workbench/schema", status: 200})
	lines := bytes.Split(bytes.TrimSpace(post("/v1/workbench/runs", `{"sql":"SELECT region, count() AS n FROM request_decided_v1 GROUP BY region ORDER BY n DESC"}`, 200)), []byte("\n"))
	d.run = read[struct{ ID string }](t, lines[0]).ID
	if end := read[struct{ Event, State string }](t, lines[len(lines)-1]); end.Event != "end" || end.State != "done" || d.run == "" {
		t.Errorf("a run: %s", lines)
	}
	if e := read[struct{ Rows int }](t, post("/v1/workbench/estimates", `{"sql":"SELECT count() FROM request_decided_v1 WHERE region = {r:String}","parameters":{"r":"1726"}}`, 200)); e.Rows < 1000 {
		t.Errorf("an estimate of %d rows", e.Rows)
	}
	for _, path := range []string{"/v1/workbench/runs", "/v1/workbench/estimates"} {
		for _, wrong := range []string{"", "[]", "{}", `{"sql":"SELECT"}`, `{"sql":"SELECT 1","colour":"red"}`} {
			post(path, wrong, 400)
		}
		post(path, `{"sql":"DROP TABLE facts.request_decided_v1"}`, 403)
	}
	d.query = read[struct{ ID string }](t, post("/v1/workbench/queries", `{"title":"By region","sql":"SELECT 1","sharing":"everybody"}`, 201)).ID
	post("/v1/workbench/queries", `{"title":"","sql":"SELECT 1"}`, 400)
	put := map[string]string{"Content-Type": "application/json"}
	d.ask(asked{path: "/v1/workbench/queries/{id}", id: d.query, status: 200})
	d.ask(asked{path: "/v1/workbench/queries/{id}", id: d.query, method: http.MethodPut, header: put, body: []byte(`{"title":"Waits","sql":"SELECT 2","sharing":"private","revision":1}`), status: 200})
	d.ask(asked{path: "/v1/workbench/queries/{id}", id: d.query, method: http.MethodPut, header: put, body: []byte(`{"title":"Waits","sql":"SELECT 3","sharing":"private","revision":1}`), status: 409})
	d.ask(asked{path: "/v1/workbench/queries/{id}", id: "nothing", status: 404})
	gone := read[struct{ ID string }](t, post("/v1/workbench/queries", `{"title":"Gone","sql":"SELECT 1"}`, 201)).ID
	d.ask(asked{path: "/v1/workbench/queries/{id}", id: gone, method: http.MethodDelete, status: 204})
	d.ask(asked{path: "/v1/workbench/runs/{id}", id: d.run, status: 200})
	d.ask(asked{path: "/v1/workbench/runs/{id}", id: d.run, method: http.MethodDelete, status: 404}) // it is over
	d.cancelled()
	d.ask(asked{path: "/v1/workbench/runs/{id}/export", id: "nothing", status: 404})
}

// cancelled runs something long and ends it by its id.
func (d *described) cancelled() {
	t := d.s.t
	t.Helper()
	answer, err := http.Post(d.s.url+"/v1/workbench/runs", "application/json", strings.NewReader(`{"sql":"SELECT sum(sipHash64(number)) FROM numbers(1000000000)"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	if !lines.Scan() {
		t.Fatal("a run without its first line")
	}
	id := read[struct{ ID string }](t, lines.Bytes()).ID
	d.ask(asked{path: "/v1/workbench/runs/{id}", id: id, method: http.MethodDelete, status: 204})
	last := ""
	for lines.Scan() {
		last = lines.Text()
	}
	if !strings.Contains(last, `"state":"cancelled"`) {
		t.Errorf("a run that was cancelled ends with %s", last)
	}
}

// replies answers for a figure and takes it back, drafts a letter, and keeps settings.
func (d *described) replies() {
	t := d.s.t
	t.Helper()
	post := func(body string, status int) []byte {
		t.Helper()
		return d.post("/v1/replies", "application/json", []byte(body), status)
	}
	reply := `{"kpi":"online-processing-share","from":"2024-01-01","to":"2024-12-31","state":"dispute","text":"Two registers were moved in May.","language":"en"}`
	d.reply = read[struct{ ID string }](t, post(reply, 201)).ID
	post(strings.Replace(reply, "dispute", "applaud", 1), 400)
	post(strings.Replace(reply, "2024-12-31", "2023-12-31", 1), 400)
	post(strings.Replace(reply, "online-processing-share", "nothing", 1), 400)
	d.ask(asked{path: "/v1/replies/{id}/withdraw", id: d.reply, method: http.MethodPost, status: 200})
	d.ask(asked{path: "/v1/replies/{id}/withdraw", id: "nothing", method: http.MethodPost, status: 404})
	if list := read[struct{ Replies []struct{ State, Was string } }](t, d.ask(asked{path: "/v1/replies", query: "kpi=online-processing-share&from=2024-06-01", status: 200})); len(list.Replies) != 1 || list.Replies[0].State != "withdrawn" || list.Replies[0].Was != "dispute" {
		t.Errorf("replies: %+v", list)
	}
	d.ask(asked{path: "/v1/replies", query: "kpi=nothing", status: 400})
	for _, language := range []string{"uz", "ru", "en"} {
		if letter := read[struct{ Text string }](t, d.ask(asked{path: "/v1/letters/{source}", id: "customs", query: "language=" + language, status: 200})); len(letter.Text) < 300 {
			t.Errorf("a letter: %s", letter.Text)
		}
	}
	d.ask(asked{path: "/v1/letters/{source}", id: "nothing", status: 404})
	d.ask(asked{path: "/v1/letters/{source}", id: "customs", query: "language=de", status: 400})
	put := map[string]string{"Content-Type": "application/json"}
	d.ask(asked{path: "/v1/me/settings", status: 200})
	d.ask(asked{path: "/v1/me/settings", method: http.MethodPut, header: put, body: []byte(`{"language":"ru","looked":"2024-12-31T09:00:00+05:00","pinned":["requests"],"views":[{"name":"Late","address":"/projects?rule=report-missing"}],"more":{"grid":3}}`), status: 200})
	d.ask(asked{path: "/v1/me/settings", method: http.MethodPut, header: put, body: []byte(`{"views":[{"name":"Away","address":"https://elsewhere.example/"}]}`), status: 400})
	d.ask(asked{path: "/v1/me/settings", method: http.MethodPut, header: put, body: []byte(`{"more":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`), status: 413})
}

// everywhere asks every path for what all have in common.
func (d *described) everywhere() {
	t := d.s.t
	t.Helper()
	ids := map[string]string{"/v1/kpis/{id}": "requests", "/v1/services/{id}": "496", "/v1/kpis/{id}/values": "requests", "/v1/contracts/{type}": "uz.gov.request.decided.v1", "/v1/receipts/{id}": "AQ",
		"/v1/quarantine/{id}": d.entry, "/v1/quarantine/{id}/fix": d.entry, "/v1/projects/{id}": d.project, "/v1/kpis/{id}/sql": "requests", "/v1/keys/{id}": "nothing",
		"/v1/workbench/runs/{id}": d.run, "/v1/workbench/runs/{id}/export": d.run, "/v1/workbench/queries/{id}": d.query, "/v1/replies/{id}/withdraw": d.reply, "/v1/letters/{source}": "customs",
		"/v1/kpis/{id}/gap": "mobile-availability", "/v1/kpis/{id}/why": "online-processing-share", "/v1/kpis/{id}/movers": "online-processing-share"}
	needs := map[string]string{"/v1/changes": "since=2024-12-31", "/v1/projects/{id}": "on=2024-12-31",
		"/v1/kpis/{id}/why": "from=2024-07-01&to=2024-12-31", "/v1/kpis/{id}/movers": "from=2024-07-01&to=2024-12-31"}
	for path, item := range d.paths {
		if strings.HasPrefix(path, "/sign-") {
			continue // no answer of these is like the others'
		}
		id, foreign, query := ids[path], http.MethodPost, needs[path]
		if item, _ := item.(map[string]any); item["delete"] != nil {
			foreign = http.MethodDelete
		} else if item["get"] != nil {
			foreign = http.MethodGet
			if path != "/v1/receipts/{id}" {
				d.ask(asked{path: path, id: id, query: query, status: 200})
			}
			if responses, _ := d.at("paths", path, "get", "responses"); responses["304"] != nil {
				d.ask(asked{path: path, id: id, status: 304, header: map[string]string{"If-None-Match": "*"}})
			}
			if strings.HasPrefix(path, "/v1/") {
				d.ask(asked{path: path, id: id, query: "colour=red", status: 400})
			}
			d.ask(asked{path: path, id: id, query: query, header: map[string]string{"Accept": "text/csv"}})
			if answer, _ := d.at("paths", path, "get", "responses", "200", "content"); answer["text/csv"] != nil {
				for _, format := range []string{"csv", "xlsx", "parquet", "arrow"} {
					d.ask(asked{path: path, id: id, query: strings.TrimPrefix(query+"&format="+format, "&"), status: 200})
				}
			}
		}
		if item, _ := item.(map[string]any); item["put"] == nil {
			d.ask(asked{path: path, id: id, method: http.MethodPut, status: 405})
		}
		d.ask(asked{path: path, id: id, method: foreign, status: 403, header: map[string]string{"Host": "elsewhere.example"}})
	}
}

// deliveries closes some, and asks for what cannot be closed.
func (d *described) deliveries() {
	t := d.s.t
	t.Helper()
	event := func(id string) []byte {
		return []byte(strings.Replace(goodEvent(id), `"data"`, `"onchange":"correct","data"`, 1))
	}
	send := func(ids ...string) string {
		var lines [][]byte
		for _, id := range ids {
			lines = append(lines, event(id))
		}
		receipt := d.took("a delivery", d.sent("/v1/events", lineForm, bytes.Join(lines, []byte("\n")), 200), len(ids), 0, 0, 0)
		d.loaded(receipt)
		return receipt
	}
	delivery := func(receipts ...string) []byte {
		body, err := json.Marshal(map[string]any{"type": "gov.boston.case.opened.v1", "source": "boston-311", "days": []string{"2011-08-01"}, "receipts": receipts})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	type closed struct {
		Events, Withdrawn int
		Receipt           string
	}
	first := send("a", "b", "c")
	if c := read[closed](t, d.sent("/v1/deliveries", "application/json", delivery(first), 200)); c.Events != 3 || c.Withdrawn != 0 || c.Receipt != "" {
		t.Errorf("the first delivery: %+v", c)
	}
	second := send("a", "b")
	c := read[closed](t, d.sent("/v1/deliveries", "application/json", delivery(second), 200))
	if c.Events != 2 || c.Withdrawn != 1 || c.Receipt == "" {
		t.Errorf("the second delivery: %+v", c)
	}
	if state := d.loaded(c.Receipt); state["accepted"] != 1.0 {
		t.Errorf("the receipt of the withdrawals: %v", state)
	}
	d.sent("/v1/deliveries", "application/json", delivery(first), 409) // c is withdrawn
	d.sent("/v1/deliveries", "application/json", delivery("AQ"), 400)
	for _, body := range []string{"", "[]", "{", `{"colour":"red"}`, `{"type":"gov.boston.nothing.v1"}`} {
		d.post("/v1/deliveries", "application/json", []byte(body), 400)
	}
	many := strings.Replace(string(delivery(first)), `"2011-08-01"`, `"2011-08-01"`+strings.Repeat(`,"2011-08-01"`, 10_000), 1)
	d.post("/v1/deliveries", "application/json", []byte(many), 413)
}
