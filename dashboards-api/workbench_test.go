package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/parquet-go/parquet-go"
	"github.com/xuri/excelize/v2"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/problem"
	"ombor/internal/stream"
	"ombor/queries"
	"ombor/queries/governed"
	"ombor/queries/replies"
	"ombor/queries/workbench"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
)

// office is the API over the engine of [real], with a gate, the door for SQL and everything that is
// kept in a journal of its own.
type office struct {
	*testing.T
	config Config
	url    string
	log    *audit.Log
	keys   map[string]string // tokens, by what they are for
}

var analystsViews sync.Once

func open(t *testing.T, change ...func(*Config)) *office {
	t.Helper()
	real(t) // fills the engine
	ctx := t.Context()
	analystsViews.Do(func() {
		if err := loaded.warehouse.MigrateViews(ctx, loaded.pack.Reference); err != nil {
			t.Fatal(err)
		}
	})
	conn, err := stream.Open(ctx, stream.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	o := &office{T: t, keys: map[string]string{}}
	secret := []byte("a secret of thirty-two bytes !!!")
	if o.log, err = audit.Open(ctx, conn, audit.Options{Key: secret}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.log.Close() })
	config := configOf(loaded.pack)
	if config.Gate, err = access.Open(ctx, conn, o.log, access.Options{Secret: secret}); err != nil {
		t.Fatal(err)
	}
	config.Audit = o.log
	if config.Settings, err = access.OpenSettings(ctx, conn, config.Now); err != nil {
		t.Fatal(err)
	}
	if config.Replies, err = replies.Open(ctx, conn, config.Now); err != nil {
		t.Fatal(err)
	}
	door, err := governed.New(governed.Config{Gate: config.Gate, Engine: governed.Engine{Client: enginetest.Shared(t).Client()}, Database: "dashboards_ombor"})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := workbench.Open(ctx, conn, workbench.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config.Workbench = &Workbench{Workbench: kept, Gate: &workbench.Through{Door: door, Database: "dashboards_ombor", Functions: governed.Functions(),
		Progress: func(ctx context.Context, id string) (now workbench.Progress, err error) {
			err = loaded.warehouse.Each(ctx, "SELECT read_rows, read_bytes, total_rows_approx FROM system.processes WHERE startsWith(Settings['log_comment'], {id:String})", map[string]string{"id": id},
				func(scan warehouse.Scan) error { return scan(&now.ReadRows, &now.ReadBytes, &now.TotalRows) })
			return now, err
		},
		RowBytes: func(context.Context) (map[string]float64, error) {
			return map[string]float64{"dashboards_facts.case_opened_v1": 100}, nil
		}}}
	config.Queries = queries.New(loaded.warehouse, loaded.pack.KPIs, loaded.pack.Reference, queries.Options{Targets: loaded.pack.Targets, Now: config.Now, Systems: loaded.pack.Systems()})
	for _, one := range change {
		one(&config)
	}
	for name, k := range map[string]access.Key{
		"analyst": {Roles: []access.Role{access.Analyst}}, "other": {Roles: []access.Role{access.Analyst}}, "leader": {Roles: []access.Role{access.Leader}},
		"center": {Roles: []access.Role{access.Center}}, "operator": {Roles: []access.Role{access.Operator}},
		"hall": {Roles: []access.Role{access.Agency}, Agency: "city-hall"}, "roads": {Roles: []access.Role{access.Agency}, Agency: "roads"},
	} {
		k.Name = name
		if o.keys[name], _, err = config.Gate.Keys.Create(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	o.config = config
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// ask sends a request as somebody and returns the answer with its body.
func (o *office) ask(who, method, path, body string) (*http.Response, []byte) {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.keys[who])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		o.Fatalf("%s %s: %v", method, path, err)
	}
	return answer, text
}

// want is ask for an answer of a status, held against a schema of the document when one is named.
func (o *office) want(who, method, path, body string, status int, schema string) []byte {
	o.Helper()
	answer, text := o.ask(who, method, path, body)
	if answer.StatusCode != status {
		o.Fatalf("%s: %s %s: %s %s, want %d", who, method, path, answer.Status, text, status)
	}
	if schema != "" {
		newChecker(o.T).check(method+" "+path, schema, text)
	}
	return text
}

// line is any line of a run's answer.
type line struct {
	Event   string
	ID      string
	State   string
	Columns []struct{ Name, Type string }
	Rows    json.RawMessage
	Read    uint64 `json:"read_rows"`
	Problem *struct {
		Status int
		Detail string
	}
}

// ran runs a statement and gives the lines of its answer, each held against the document.
func (o *office) ran(who, body string) (id string, rows string, end line) {
	o.Helper()
	check := newChecker(o.T)
	text := o.want(who, "POST", "/v1/workbench/runs", body, http.StatusOK, "")
	var all []line
	for one := range bytes.Lines(text) {
		check.check("a line", "RunLine", one)
		var l line
		if err := json.Unmarshal(one, &l); err != nil {
			o.Fatal(err)
		}
		if l.Event == "rows" {
			rows += string(l.Rows)
		}
		all = append(all, l)
	}
	if len(all) < 2 || all[0].Event != "begun" || all[len(all)-1].Event != "end" {
		o.Fatalf("%s", text)
	}
	return all[0].ID, rows, all[len(all)-1]
}

// TestWorkbench is an analyst's hour: what there is, what it would cost, rows, a limit, a refusal, the
// history, a query kept for others.
func TestWorkbench(t *testing.T) {
	o := open(t)
	schema := string(o.want("analyst", "GET", "/v1/workbench/schema", "", 200, "WorkbenchSchema"))
	for _, says := range []string{`"name":"case_opened_v1"`, `"name":"department"`, `"arrayMap"`, `"database":"dashboards_ombor"`} {
		if !strings.Contains(schema, says) {
			t.Errorf("the schema lacks %s", says)
		}
	}
	if strings.Contains(schema, `"file"`) || strings.Contains(schema, "dashboards_facts") {
		t.Error("the schema tells of what cannot be asked")
	}
	if e := string(o.want("analyst", "POST", "/v1/workbench/estimates", `{"sql":"SHOW TABLES"}`, 200, "Estimate")); !strings.Contains(e, `"tables":[]`) {
		t.Error(e)
	}
	estimate := string(o.want("analyst", "POST", "/v1/workbench/estimates", `{"sql":"SELECT department, count() FROM case_opened_v1 GROUP BY department"}`, 200, "Estimate"))
	if !strings.Contains(estimate, `"table":"dashboards_facts.case_opened_v1"`) || !strings.Contains(estimate, `rows will be read, about`) {
		t.Error(estimate)
	}
	id, rows, end := o.ran("analyst", `{"sql":"SELECT department, count() AS n, toInt64(9007199254740)*1000 AS long FROM case_opened_v1 WHERE channel = {c:String} GROUP BY department ORDER BY department","parameters":{"c":"Citizens Connect App"}}`)
	if rows != `[["=INFO",12,"9007199254740000"],["PWDx",24,"9007199254740000"]]` || end.State != "done" || end.Problem != nil || end.Read < 36 { // the rows of the answer's cells at least
		t.Errorf("%s %+v", rows, end)
	}
	if _, rows, end := o.ran("analyst", `{"sql":"SELECT number FROM numbers(1000)","limit":3}`); rows != "[[0],[1],[2]]" || end.State != "cut" || end.Problem.Status != 413 {
		t.Errorf("%s %+v", rows, end)
	}
	for body, says := range map[string]string{
		`{"sql":"SELECT file('/etc/passwd')"}`:                            "403 function file",
		`{"sql":"SELECT 1; DROP TABLE x"}`:                                "400 one statement",
		`{"sql":"SELECT * FROM dashboards_facts.case_opened_v1"}`:         "400 cannot be read here",
		`{"sql":"SELECT nothing FROM case_opened_v1"}`:                    "400 nothing",
		`{"sql":"SELECT 1 FORMAT CSV"}`:                                   "400 leave FORMAT CSV out",
		`{"sql":"SET max_threads = 1"}`:                                   "400 gives no rows",
		`{"sql":""}`:                                                      "400 no statement",
		`{"sql":"SELECT 1","limit":-1}`:                                   "400 limit",
		`{"sql":"SELECT 1","colour":1}`:                                   "400 colour",
		`{"sql":"SELECT 1"}{"sql":"SELECT"}`:                              "400 more than one",
		`{"sql":"` + strings.Repeat(" ", workbench.MaxSQL) + `SELECT 1"}`: "413 128 KiB",
		`{"sql":"` + strings.Repeat("x", runBody) + `"}`:                  "413 KiB",
	} {
		answer, text := o.ask("analyst", "POST", "/v1/workbench/runs", body)
		status, words, _ := strings.Cut(says, " ")
		if fmt.Sprint(answer.StatusCode) != status || !strings.Contains(string(text), words) {
			t.Errorf("%.60s: %s %s, want %s", body, answer.Status, text, says)
		}
		newChecker(t).check(body, "Problem", text)
	}
	history := string(o.want("analyst", "GET", "/v1/workbench/runs", "", 200, "Runs"))
	if !strings.Contains(history, `"state":"failed"`) || !strings.Contains(history, `"state":"cut"`) || !strings.Contains(history, id) {
		t.Error(history)
	}
	if other := string(o.want("other", "GET", "/v1/workbench/runs", "", 200, "Runs")); strings.Contains(other, id) {
		t.Error("a history is seen by another")
	}
	o.want("analyst", "GET", "/v1/workbench/runs/"+id, "", 200, "Run")
	o.want("other", "GET", "/v1/workbench/runs/"+id, "", 404, "Problem")
	o.want("analyst", "DELETE", "/v1/workbench/runs/"+id, "", 404, "Problem")

	var saved struct{ ID string }
	if err := json.Unmarshal(o.want("analyst", "POST", "/v1/workbench/queries", `{"title":"Cases","sql":"SELECT count() FROM case_opened_v1","sharing":"everybody"}`, 201, "SavedQuery"), &saved); err != nil {
		t.Fatal(err)
	}
	at := "/v1/workbench/queries/" + saved.ID
	o.want("other", "GET", at, "", 200, "SavedQuery")
	o.want("other", "PUT", at, `{"title":"Mine","sql":"SELECT 1","sharing":"private","revision":1}`, 403, "Problem")
	o.want("analyst", "PUT", at, `{"title":"Cases","sql":"SELECT 2","sharing":"private","revision":1}`, 200, "SavedQuery")
	o.want("analyst", "PUT", at, `{"title":"Cases","sql":"SELECT 3","sharing":"private","revision":1}`, 409, "Problem")
	o.want("other", "GET", at, "", 404, "Problem")
	o.want("analyst", "GET", "/v1/workbench/queries", "", 200, "SavedQueries")
	for _, path := range []string{"/v1/workbench/queries", "/v1/workbench/runs", "/v1/workbench/schema"} {
		if csv := o.want("analyst", "GET", path+"?format=csv", "", 200, ""); !bytes.Contains(csv, []byte("\n")) {
			t.Errorf("%s as CSV: %s", path, csv)
		}
	}
	o.want("analyst", "DELETE", at, "", 204, "")
	for _, who := range []string{"leader"} {
		o.want(who, "POST", "/v1/workbench/runs", `{"sql":"SELECT 1"}`, 403, "Problem")
		o.want(who, "GET", "/v1/workbench/queries", "", 403, "Problem")
	}
	// An agency asks through the same door, which has no rows of its own in a contract without agencies.
	if answer, text := o.ask("roads", "POST", "/v1/workbench/runs", `{"sql":"SELECT count() FROM case_opened_v1"}`); answer.StatusCode < 400 {
		t.Errorf("an agency was shown rows of everybody: %s", text)
	}
	entries, err := o.log.Read(t.Context(), audit.Filter{Text: "SELECT department, count() AS n", Limit: 10})
	if err != nil || len(entries) != 1 || entries[0].Name != "analyst" || !entries[0].Allowed || entries[0].Address != "127.0.0.1" {
		t.Errorf("the audit log tells of the statement: %+v, %v", entries, err)
	}
	if denied, err := o.log.Read(t.Context(), audit.Filter{Text: "/etc/passwd", Denied: true}); err != nil || len(denied) != 1 {
		t.Errorf("the audit log tells of the refusal: %+v, %v", denied, err)
	}
}

// TestExports takes one result away in every format: typed cells, no formulas, the mark, and no file
// that looks whole and is not.
func TestExports(t *testing.T) {
	o := open(t)
	id, _, _ := o.ran("analyst", `{"sql":"SELECT department, count() AS n, toDate('2024-02-29') AS day, toDateTime('2024-02-29 13:14:15') AS at, n > 50 AS many, toBool(1) AS yes, 0.5 AS half, [1, 2] AS list, CAST(NULL, 'Nullable(String)') AS none, toInt64(90071992)*10000*10000+90071992 AS long FROM case_opened_v1 GROUP BY department ORDER BY department"}`)
	get := func(format string) []byte {
		t.Helper()
		answer, body := o.ask("analyst", "GET", "/v1/workbench/runs/"+id+"/export?format="+format, "")
		if answer.StatusCode != 200 || answer.Header.Get(markHeader) != internalMark || !strings.Contains(answer.Header.Get("Content-Disposition"), `filename="ombor-internal-2024-03-01-`) || !strings.HasSuffix(answer.Header.Get("Content-Disposition"), "."+format+`"`) {
			t.Fatalf("%s: %s %v %s", format, answer.Status, answer.Header, body)
		}
		return body
	}
	if got, want := string(get("csv")), `department,n,day,at,many,yes,half,list,none,long
'=INFO,48,2024-02-29,2024-02-29 13:14:15,0,true,0.5,"[1,2]",,9007199290071992
PWDx,48,2024-02-29,2024-02-29 13:14:15,0,true,0.5,"[1,2]",,9007199290071992
`; got != want {
		t.Errorf("CSV:\n%s", got)
	}
	newChecker(t).check("JSON", "Exported", get("json"))
	sheet, err := excelize.OpenReader(bytes.NewReader(get("xlsx")))
	if err != nil {
		t.Fatal(err)
	}
	defer sheet.Close()
	for cell, want := range map[string]struct {
		kind  excelize.CellType
		value string
	}{
		"A2": {excelize.CellTypeInlineString, "=INFO"}, "B2": {excelize.CellTypeUnset, "48"}, "C2": {excelize.CellTypeUnset, "2024-02-29"}, "D2": {excelize.CellTypeUnset, "2024-02-29 13:14:15"},
		"F2": {excelize.CellTypeBool, "TRUE"}, "G2": {excelize.CellTypeUnset, "0.5"}, "I2": {excelize.CellTypeUnset, ""}, "J2": {excelize.CellTypeInlineString, "9007199290071992"},
	} {
		kind, err := sheet.GetCellType("rows", cell)
		value, wrong := sheet.GetCellValue("rows", cell)
		if err != nil || wrong != nil || kind != want.kind || value != want.value {
			t.Errorf("%s is %v %q, want %v %q", cell, kind, value, want.kind, want.value)
		}
		if formula, err := sheet.GetCellFormula("rows", cell); err != nil || formula != "" {
			t.Errorf("%s has the formula %q", cell, formula)
		}
	}
	if mark, err := sheet.GetCellValue(internalMark, "B1"); err != nil || !strings.HasPrefix(mark, internalMark) {
		t.Errorf("the sheet says %q, %v", mark, err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(get("parquet")), int64(len(get("parquet"))))
	if err != nil || file.NumRows() != 2 || file.Schema().Fields()[2].Type().LogicalType() == nil {
		t.Errorf("Parquet: %v", err)
	} else if mark, ok := file.Lookup("ombor.mark"); !ok || mark != internalMark {
		t.Errorf("the Parquet file says %q", mark)
	}
	if read, err := parquet.Read[struct {
		Department string `parquet:"department"`
		N          uint64 `parquet:"n"`
	}](bytes.NewReader(get("parquet")), int64(len(get("parquet")))); err != nil || len(read) != 2 || read[1].N != 48 {
		t.Errorf("Parquet: %v, %v", read, err)
	}
	arrows, err := ipc.NewReader(bytes.NewReader(get("arrow")))
	if err != nil {
		t.Fatal(err)
	}
	defer arrows.Release()
	rows := int64(0)
	for arrows.Next() {
		rows += arrows.Record().NumRows()
	}
	if rows != 2 || arrows.Err() != nil {
		t.Errorf("Arrow: %d rows, %v", rows, arrows.Err())
	}
	if i := arrows.Schema().Metadata().FindKey("ombor.mark"); i < 0 || arrows.Schema().Metadata().Values()[i] != internalMark {
		t.Errorf("the Arrow stream says %v", arrows.Schema().Metadata())
	}
	var ran struct {
		Runs []struct {
			Format string
			Rows   int
		}
	}
	if err := json.Unmarshal(o.want("analyst", "GET", "/v1/workbench/runs", "", 200, "Runs"), &ran); err != nil {
		t.Fatal(err)
	}
	for _, run := range ran.Runs {
		if run.Rows != 2 {
			t.Errorf("the history counts %d rows of the %s", run.Rows, run.Format)
		}
	}
	o.want("other", "GET", "/v1/workbench/runs/"+id+"/export", "", 404, "Problem")
	o.want("analyst", "GET", "/v1/workbench/runs/"+id+"/export?format=ods", "", 415, "Problem")
	if entries, err := o.log.Read(t.Context(), audit.Filter{Text: "/export?format=xlsx"}); err != nil || len(entries) != 1 {
		t.Errorf("the audit log tells of the file: %v, %v", entries, err)
	}

	// More rows than a sheet holds: nothing is sent. A failure after rows were sent: the file breaks off.
	var sent bytes.Buffer
	_, err = exportXLSX(&sent, newRowReader(strings.NewReader("[\"n\"]\n[\"UInt8\"]\n[1]\n[2]\n[3]\n")), exportAbout{}, 3)
	if problem.KindOf(err) != problem.TooLarge || sent.Len() > 0 {
		t.Errorf("three rows in a sheet of two: %v, %d bytes", err, sent.Len())
	}
	id, _, _ = o.ran("analyst", `{"sql":"SELECT intDiv(10, 900000 - toInt64(number)) AS n FROM numbers(1000000) SETTINGS max_threads = 1","limit":1}`)
	r, err := http.NewRequest("GET", o.url+"/v1/workbench/runs/"+id+"/export?format=csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.keys["analyst"])
	answer, err := http.DefaultClient.Do(r)
	if err == nil {
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode == http.StatusOK {
			t.Errorf("a file of %d bytes looks whole, and its statement failed", len(text))
		}
	}
	if history := string(o.want("analyst", "GET", "/v1/workbench/runs", "", 200, "Runs")); !strings.Contains(history, "Division by zero") {
		t.Errorf("the history does not say why: %.600s", history)
	} else {
		var list struct{ Runs []struct{ ID string } }
		if err := json.Unmarshal([]byte(history), &list); err != nil {
			t.Fatal(err)
		}
		for i, run := range list.Runs {
			if i > 0 && run.ID == list.Runs[i-1].ID {
				t.Errorf("the history has a run twice: %s", run.ID)
			}
		}
	}
}

// TestCancel ends statements in both ways: by their id, and by going away.
func TestCancel(t *testing.T) {
	o := open(t)
	begin := func(ctx context.Context) (*http.Response, *json.Decoder, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, "POST", o.url+"/v1/workbench/runs", strings.NewReader(`{"sql":"SELECT sum(sipHash64(number)) FROM numbers(1000000000)"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+o.keys["analyst"])
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		in := json.NewDecoder(answer.Body)
		var first line
		if err := in.Decode(&first); err != nil || first.Event != "begun" {
			t.Fatal(first, err)
		}
		return answer, in, first.ID
	}
	state := func(id string) string {
		t.Helper()
		var run struct{ State string }
		if err := json.Unmarshal(o.want("analyst", "GET", "/v1/workbench/runs/"+id, "", 200, "Run"), &run); err != nil {
			t.Fatal(err)
		}
		return run.State
	}
	answer, in, id := begin(t.Context())
	defer answer.Body.Close()
	if got := state(id); got != "running" {
		t.Errorf("it is %s", got)
	}
	o.want("other", "DELETE", "/v1/workbench/runs/"+id, "", 404, "Problem")
	o.want("analyst", "DELETE", "/v1/workbench/runs/"+id, "", 204, "")
	var last line
	for last.Event != "end" {
		last = line{}
		if err := in.Decode(&last); err != nil {
			t.Fatal(err)
		}
	}
	if last.State != "cancelled" {
		t.Errorf("%+v", last)
	}
	ctx, leave := context.WithCancel(t.Context())
	answer, _, id = begin(ctx)
	leave()
	answer.Body.Close()
	for deadline := time.Now().Add(time.Minute); state(id) == "running"; {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for it, and it runs on")
		}
	}
	if got := state(id); got != "cancelled" {
		t.Errorf("after its reader has gone it is %s", got)
	}
}
