package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"ombor/internal/protocol"
	"ombor/warehouse/engine"
	"ombor/warehouse/engine/enginetest"
)

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request with parameters "a=b&c=d" and a body.
func send(t testing.TB, e *enginetest.Engine, method, params string, body io.Reader, header ...string) answer {
	t.Helper()
	a, err := trySend(context.Background(), e, method, params, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func trySend(ctx context.Context, e *enginetest.Engine, method, params string, body io.Reader, header ...string) (answer, error) {
	client := e.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, method, "http://engine/?"+params, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

func post(t testing.TB, e *enginetest.Engine, params, body string) answer {
	t.Helper()
	return send(t, e, http.MethodPost, params, strings.NewReader(body))
}

func (a answer) want(t testing.TB, body string) {
	t.Helper()
	if a.status != http.StatusOK || a.body != body {
		t.Errorf("status %d, body %.300q, want %.300q", a.status, a.body, body)
	}
}

func (a answer) wantCode(t testing.TB, status, code int) {
	t.Helper()
	if a.status != status || a.header.Get("X-ClickHouse-Exception-Code") != strconv.Itoa(code) || !strings.HasPrefix(a.body, fmt.Sprintf("Code: %d. DB::Exception: ", code)) {
		t.Errorf("status %d, code %s, body %.300q, want status %d and code %d", a.status, a.header.Get("X-ClickHouse-Exception-Code"), a.body, status, code)
	}
}

func TestPlainPaths(t *testing.T) {
	e := enginetest.Shared(t)
	client := e.Client()
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/ping": "Ok.\n", "/": "Ok.\n", "/replicas_status": "Ok.\n"} {
		r, err := client.Get("http://engine" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		if err := errors.Join(err, r.Body.Close()); err != nil || string(body) != want || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %q %v", path, r.StatusCode, body, err)
		}
	}
	r, err := client.Get("http://engine/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Body.Close(); err != nil || r.StatusCode != http.StatusNotFound {
		t.Errorf("/nowhere: %d, %v", r.StatusCode, err)
	}
}

func TestHeaders(t *testing.T) {
	e := enginetest.Shared(t)
	a := post(t, e, "query_id=mine", "SELECT number FROM numbers(10) FORMAT JSONEachRow")
	for name, want := range map[string]string{
		"X-ClickHouse-Query-Id": "mine", "X-ClickHouse-Format": "JSONEachRow", "X-ClickHouse-Timezone": "UTC",
		"X-ClickHouse-Server-Display-Name": "ombor", "Content-Type": "application/x-ndjson; charset=UTF-8",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := a.header.Get("X-ClickHouse-Summary"); !strings.Contains(got, `"read_rows":"10"`) || !strings.Contains(got, `"result_rows":"10"`) {
		t.Errorf("summary of a SELECT: %s", got)
	}
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64) ENGINE = MergeTree ORDER BY a")
	a = post(t, e, "query=INSERT+INTO+t+FORMAT+CSV&database="+db, "1\n2\n3\n")
	a.want(t, "")
	if got := a.header.Get("X-ClickHouse-Summary"); !strings.Contains(got, `"written_rows":"3"`) {
		t.Errorf("summary of an INSERT: %s", got)
	}
	a = post(t, e, "send_progress_in_http_headers=1", "SELECT 1")
	if a.header.Get("X-ClickHouse-Progress") == "" {
		t.Error("no progress was sent")
	}
}

func TestStatements(t *testing.T) {
	e := enginetest.Shared(t)
	send(t, e, http.MethodGet, "query=SELECT+1", nil).want(t, "1\n")
	post(t, e, "query=SELECT", "1+1").want(t, "2\n")
	post(t, e, "default_format=CSV", "SELECT 'a', 1").want(t, "\"a\",1\n")
	post(t, e, "", "SELECT 1 AS a FORMAT CSVWithNames").want(t, "\"a\"\n1\n")
	post(t, e, "default_format=CSVWithNames", "SELECT 1 AS a WHERE 0").want(t, "\"a\"\n")
	post(t, e, "", "SHOW DATABASES LIKE 'default'").want(t, "default\n")
	post(t, e, "", "  -- a comment\n/* another */ SELECT 1;  -- end").want(t, "1\n")
	post(t, e, "", "WITH 2 AS x SELECT x").want(t, "2\n")
	post(t, e, "", "(SELECT 3)").want(t, "3\n")
	post(t, e, "database=system", "SELECT currentDatabase()").want(t, "system\n")
	send(t, e, http.MethodPost, "", strings.NewReader("SELECT currentDatabase()"), "X-ClickHouse-Database", "system").want(t, "system\n")

	post(t, e, "", "").wantCode(t, 400, 62)
	post(t, e, "", "SELECT 1; SELECT 2").wantCode(t, 400, 62)
	post(t, e, "", "SELEC 1").wantCode(t, 400, 62)
	post(t, e, "", "SELECT * FROM nowhere").wantCode(t, 404, 60)
	post(t, e, "database=nowhere", "SELECT 1").wantCode(t, 404, 81)
	post(t, e, "no_such_setting=1", "SELECT 1").wantCode(t, 404, 115)
	post(t, e, "max_threads=many", "SELECT 1").wantCode(t, 400, 27)
	post(t, e, "", "SELECT 1 INTO OUTFILE '/tmp/x'").wantCode(t, 501, 48)
	post(t, e, "default_format=Nonsense", "SELECT 1").wantCode(t, 404, 73)
	send(t, e, http.MethodGet, "query=CREATE+DATABASE+no", nil).wantCode(t, 500, 164)
	post(t, e, "readonly=1", "CREATE DATABASE no").wantCode(t, 500, 164)
}

// The bytes of a value must never be taken for SQL.
func TestParametersAreBound(t *testing.T) {
	e := enginetest.Shared(t)
	q := url.Values{"param_s": {"'; DROP TABLE x; --"}, "param_n": {"7"}, "param_a": {"[1,2]"}}
	post(t, e, q.Encode(), "SELECT {s:String}, {n:UInt8} + 1, {a:Array(UInt8)}").want(t, "\\'; DROP TABLE x; --\t8\t[1,2]\n")
	post(t, e, "param_n=x", "SELECT {n:UInt8}").wantCode(t, 500, 457)
	post(t, e, "", "SELECT {n:UInt8}").wantCode(t, 500, 456)
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
	post(t, e, "param_a=5&param_b=x&database="+db, "INSERT INTO t VALUES ({a:UInt64}, {b:String})").want(t, "")
	post(t, e, "param_t=t&database="+db, "SELECT * FROM {t:Identifier}").want(t, "5\tx\n")
}

func TestInsertShapes(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
	for i, c := range []struct{ params, body string }{
		{"query=INSERT+INTO+t+FORMAT+CSV", "1,x\n2,y\n"},
		{"", "INSERT INTO t FORMAT CSV\n1,x\n2,y\n"},
		{"", "INSERT INTO t (a, b) VALUES (1, 'x'),\n\n(2, 'y');"},
		{"query=INSERT+INTO+t+VALUES", "(1, 'x'), (2, 'y')"},
		{"query=INSERT+INTO+t&default_format=JSONEachRow", `{"a":1,"b":"x"} {"a":2,"b":"y"}`},
		{"", "INSERT INTO t SETTINGS max_threads = 1 FORMAT TSV\n1\tx\n2\ty\n"},
		{"", "INSERT INTO t FORMAT TSV SETTINGS max_threads = 1, input_format_tsv_empty_as_default = 1\n1\tx\n2\ty\n"},
		{"", "INSERT INTO t SELECT a, b FROM input('a UInt64, b String') FORMAT CSV\n1,x\n2,y\n"},
		{"query=INSERT+INTO+t+SELECT+a,upper(b)+FROM+input('a+UInt64,b+String')+WHERE+a<3+FORMAT+CSV", "1,x\n2,y\n3,z\n"},
		{"", "INSERT INTO t SELECT number + 1, 'x' FROM numbers(2)"},
		{"", "INSERT INTO TABLE t (* EXCEPT(b)) FORMAT CSV\n1\n2\n"},
		{"", "/* one */ INSERT INTO `t` (`a`) FORMAT CSV\n1\n2\n"},
		{"async_insert=1", "INSERT INTO t FORMAT CSV\n1,x\n2,y\n"},
	} {
		a := post(t, e, c.params+"&database="+db, c.body)
		a.want(t, "")
		if got := e.Exec(t, "SELECT count(), sum(a) FROM "+db+".t"); got != "2\t3\n" {
			t.Errorf("case %d %q: the table holds %q", i, c.body, got)
		}
		e.Exec(t, "TRUNCATE TABLE "+db+".t")
	}
	post(t, e, "query=INSERT+INTO+t+FORMAT+CSV&database="+db, "x,y\nz,z\n").wantCode(t, 400, 27)
	post(t, e, "query=INSERT+INTO+t+FORMAT+CSV&database="+db, "").want(t, "")
	if got := e.Exec(t, "SELECT count() FROM "+db+".t"); got != "0\n" {
		t.Errorf("after a refused INSERT the table holds %q", got)
	}
}

// The library takes an empty line in the text of a statement for the end of its
// data: data must not travel in the text.
func TestDataWithEmptyLinesArrivesWhole(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	for _, format := range []string{"Native", "RowBinary", "ArrowStream", "Parquet", "CSV", "TSV", "JSONEachRow"} {
		source := "SELECT number AS a, 'x\n\ny; DROP TABLE t' AS s FROM numbers(100000) FORMAT " + format
		data := post(t, e, "", source)
		if !strings.Contains(data.body, "\n\n") && format != "JSONEachRow" && format != "TSV" && format != "Parquet" {
			t.Errorf("%s: this data does not test what it should", format)
		}
		post(t, e, "query=INSERT+INTO+t+FORMAT+"+format+"&database="+db, data.body).want(t, "")
		if got := e.Exec(t, "SELECT count(), sum(a), uniqExact(s), any(length(s)) FROM "+db+".t"); got != "100000\t4999950000\t1\t18\n" {
			t.Errorf("%s: the table holds %q", format, got)
		}
		e.Exec(t, "TRUNCATE TABLE "+db+".t")
	}
}

func TestInsertIsOneBlockUpToTheLimit(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{InsertLimit: 32 << 20})
	e.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS merge_selector_algorithm = 'Manual'")
	rows := func(n int) string {
		return post(t, e, "", fmt.Sprintf("SELECT number FROM numbers(%d) FORMAT RowBinary", n)).body
	}
	post(t, e, "query=INSERT+INTO+t+FORMAT+RowBinary", rows(3_000_000)).want(t, "") // 24 MB, three blocks by default
	if got := e.Exec(t, "SELECT count() FROM system.parts WHERE table = 't'"); got != "1\n" {
		t.Errorf("an INSERT under the limit makes %s parts", got)
	}
	post(t, e, "query=INSERT+INTO+t+FORMAT+RowBinary", rows(8_000_000)).want(t, "") // 64 MB
	if got := e.Exec(t, "SELECT count(), sum(a) FROM t"); got != "11000000\t36499994500000\n" {
		t.Errorf("the table holds %q", got)
	}
	if got := e.Exec(t, "SELECT count() > 2 FROM system.parts WHERE table = 't'"); got != "1\n" {
		t.Error("an INSERT over the limit was not committed in pieces")
	}
}

// Many large INSERTs at once are held on disk when memory is used up.
func TestManyInsertsAtOnce(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{InsertLimit: 4 << 20}) // 8 MB in memory
	e.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	data := post(t, e, "", "SELECT number FROM numbers(500000) FORMAT RowBinary").body // 4 MB, less than the limit
	var group sync.WaitGroup
	for range 12 {
		group.Add(1)
		go func() {
			defer group.Done()
			// Without a length, as clickhouse-go sends a batch.
			send(t, e, http.MethodPost, "query=INSERT+INTO+t+FORMAT+RowBinary", io.MultiReader(strings.NewReader(data))).want(t, "")
		}()
	}
	group.Wait()
	if got := e.Exec(t, "SELECT count(), sum(a) FROM t"); got != "6000000\t1499997000000\n" {
		t.Errorf("the table holds %q", got)
	}
}

func TestDeduplicationToken(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 10")
	for range 2 {
		post(t, e, "query=INSERT+INTO+t+FORMAT+CSV&insert_deduplication_token=x&database="+db, "1\n2\n").want(t, "")
	}
	if got := e.Exec(t, "SELECT count() FROM "+db+".t"); got != "2\n" {
		t.Errorf("an INSERT sent twice with one token left %q rows", got)
	}
}

// broken gives some data and then fails.
type broken struct{ data io.Reader }

func (b *broken) Read(p []byte) (int, error) {
	if n, err := b.data.Read(p); err == nil {
		return n, nil
	}
	return 0, errors.New("the line is dead")
}

func TestBrokenBodyCommitsNothing(t *testing.T) {
	for name, limit := range map[string]int64{"held": 0, "piped": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			e := enginetest.StartWith(t, engine.Config{InsertLimit: limit})
			e.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
			data := strings.Repeat("12345678\n", 400_000) // 3.6 MB, less than a block
			if _, err := trySend(context.Background(), e, http.MethodPost, "query=INSERT+INTO+t+FORMAT+CSV", &broken{strings.NewReader(data)}); err == nil {
				t.Error("a broken body was accepted")
			}
			// The door has let go of the request when its turn is free again.
			waitFor(t, "the end of the broken INSERT", func() bool {
				return e.Exec(t, "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'") == "0\n"
			})
			if got := e.Exec(t, "SELECT count() FROM t"); got != "0\n" {
				t.Errorf("a broken body left %q rows", got)
			}
			// A compressed body that is cut short, with the client still there.
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			if _, err := io.WriteString(w, data+data+data); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			a := send(t, e, http.MethodPost, "query=INSERT+INTO+t+FORMAT+CSV", bytes.NewReader(packed.Bytes()[:packed.Len()-10]), "Content-Encoding", "gzip")
			a.wantCode(t, 500, 271)
			if got := e.Exec(t, "SELECT count() FROM t"); got != "0\n" {
				t.Errorf("a truncated body left %q rows", got)
			}
		})
	}
}

func TestCompression(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64) ENGINE = MergeTree ORDER BY a")
	const query = "SELECT number FROM numbers(300000)"
	plain := post(t, e, "", query).body
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "lz4"} {
		a := send(t, e, http.MethodPost, "enable_http_compression=1", strings.NewReader(query), "Accept-Encoding", encoding)
		if got := a.header.Get("Content-Encoding"); got != encoding {
			t.Errorf("%s: the answer has encoding %q", encoding, got)
			continue
		}
		r, err := protocol.ContentReader(encoding, strings.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil || string(text) != plain {
			t.Errorf("%s: %d bytes, %v", encoding, len(text), err)
		}
		send(t, e, http.MethodPost, "query=INSERT+INTO+t+FORMAT+TSV&database="+db, strings.NewReader(a.body), "Content-Encoding", encoding).want(t, "")
		if got := e.Exec(t, "SELECT count() FROM "+db+".t"); got != "300000\n" {
			t.Errorf("%s: the table holds %q rows", encoding, got)
		}
		e.Exec(t, "TRUNCATE TABLE "+db+".t")
	}
	for _, method := range []string{"LZ4", "ZSTD", "NONE"} {
		a := post(t, e, "compress=1&network_compression_method="+method, query)
		text, err := io.ReadAll(protocol.NewFrameReader(strings.NewReader(a.body)))
		if err != nil || string(text) != plain {
			t.Errorf("frames %s: %d bytes, %v", method, len(text), err)
		}
		post(t, e, "decompress=1&query=INSERT+INTO+t+FORMAT+TSV&database="+db, a.body).want(t, "")
		if got := e.Exec(t, "SELECT count() FROM "+db+".t"); got != "300000\n" {
			t.Errorf("frames %s: the table holds %q rows", method, got)
		}
		e.Exec(t, "TRUNCATE TABLE "+db+".t")
	}
	send(t, e, http.MethodPost, "enable_http_compression=0", strings.NewReader("SELECT 1"), "Accept-Encoding", "gzip").want(t, "1\n")
	post(t, e, "compress=1&network_compression_method=SNAPPY", "SELECT 1").wantCode(t, 500, 89)
}

func TestExternalTables(t *testing.T) {
	e := enginetest.Shared(t)
	form := func(name, data string) (io.Reader, string) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		part, err := w.CreateFormFile(name, "file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return &b, w.FormDataContentType()
	}
	body, kind := form("people", "1\tA\n\n\n2\tB\n")
	send(t, e, http.MethodPost, "query=SELECT+count()+FROM+people&people_structure=id+UInt64,name+String&input_format_tsv_skip_trailing_empty_lines=1", body, "Content-Type", kind).wantCode(t, 400, 27)
	body, kind = form("people", "1\tA\n2\tB\n")
	send(t, e, http.MethodPost, "query=SELECT+sum(id),max(name)+FROM+people&people_structure=id+UInt64,name+String", body, "Content-Type", kind).want(t, "3\tB\n")
	body, kind = form("people", "1,\"A\"\n2,\"B\"\n")
	send(t, e, http.MethodPost, "query=SELECT+sum(_1)+FROM+people&people_types=UInt64,String&people_format=CSV", body, "Content-Type", kind).want(t, "3\n")
	post(t, e, "", "SELECT * FROM people").wantCode(t, 404, 60)
}

func TestSessions(t *testing.T) {
	e := enginetest.Shared(t)
	db := e.Database(t)
	const s = "session_id=first&"
	post(t, e, "session_id=none&session_check=1", "SELECT 1").wantCode(t, 500, 372)
	post(t, e, "session_id=x&session_timeout=99999", "SELECT 1").wantCode(t, 500, 374)
	post(t, e, s, "CREATE TEMPORARY TABLE mine (a UInt8)").want(t, "")
	post(t, e, s, "INSERT INTO mine VALUES (1), (2)").want(t, "")
	post(t, e, s+"session_check=1", "SELECT sum(a) FROM mine").want(t, "3\n")
	post(t, e, "session_id=other", "SELECT sum(a) FROM mine").wantCode(t, 404, 60)
	post(t, e, "", "SELECT sum(a) FROM mine").wantCode(t, 404, 60)

	// SET stays in the session; a setting in the URL is for its request alone.
	post(t, e, s, "SET max_block_size = 4321").want(t, "")
	const ask = "SELECT getSetting('max_block_size'), getSetting('max_result_rows')"
	post(t, e, s+"max_block_size=99&max_result_rows=77", ask).want(t, "99\t77\n")
	post(t, e, s, ask).want(t, "4321\t0\n")
	post(t, e, "", ask).want(t, "65409\t0\n")
	post(t, e, s+"readonly=1", "CREATE TEMPORARY TABLE no (a UInt8)").wantCode(t, 500, 164)

	post(t, e, s, "USE "+db).want(t, "")
	post(t, e, s+"database=system", "SELECT currentDatabase()").want(t, "system\n")
	post(t, e, s, "SELECT currentDatabase()").want(t, db+"\n")
	post(t, e, s, "USE default").want(t, "")

	post(t, e, "session_id=short", "CREATE TEMPORARY TABLE mine (a UInt8)").want(t, "")
	post(t, e, "session_id=short&close_session=1", "SELECT count() FROM mine").want(t, "0\n")
	post(t, e, "session_id=short&session_check=1", "SELECT 1").wantCode(t, 500, 372)

	// One request at a time.
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan struct{})
	go func() {
		defer close(end)
		_, _ = trySend(ctx, e, http.MethodPost, s+"log_comment=holder", strings.NewReader("SELECT count() FROM system.numbers")) // it is cancelled
	}()
	waitFor(t, "the query that holds the session", func() bool {
		return e.Exec(t, "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'holder ')") == "1\n"
	})
	post(t, e, s, "SELECT 1").wantCode(t, 500, 373)
	cancel()
	<-end
	waitFor(t, "a free session", func() bool { return post(t, e, s, "SELECT 1").status == http.StatusOK })
	post(t, e, s, "SELECT getSetting('log_comment') LIKE 'holder%'").want(t, "0\n")
}

// A request's settings, database and tables are its own.
func TestNothingLeaksBetweenRequests(t *testing.T) {
	e := enginetest.Shared(t)
	var group sync.WaitGroup
	for i := range 32 {
		group.Add(1)
		go func() {
			defer group.Done()
			set := 1000 + i
			post(t, e, fmt.Sprintf("max_block_size=%d&max_result_rows=%d", set, set), "SELECT getSetting('max_block_size'), getSetting('max_result_rows')").
				want(t, fmt.Sprintf("%d\t%d\n", set, set))
			post(t, e, "", "SELECT getSetting('max_block_size'), getSetting('max_result_rows'), currentDatabase()").want(t, "65409\t0\tdefault\n")
		}()
	}
	group.Wait()
}

func TestMemoryLimit(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{MemoryLimit: 512 << 20})
	a := post(t, e, "max_bytes_before_external_group_by=0&max_bytes_ratio_before_external_group_by=0", "SELECT count() FROM (SELECT groupArray(toString(number)) FROM numbers(100000000))")
	a.wantCode(t, 500, 241)
	pid := e.State().PID
	post(t, e, "", "SELECT 1").want(t, "1\n")
	if s := e.State(); s.Restarts != 0 || s.PID != pid {
		t.Errorf("the engine did not survive: %+v", s)
	}
}

func TestGoneClientEndsItsQuery(t *testing.T) {
	e := enginetest.Shared(t)
	for name, query := range map[string]string{
		"streamed": "SELECT number FROM system.numbers FORMAT RowBinary",
		"one":      "SELECT count() FROM system.numbers FORMAT JSON",
		"insert":   "INSERT INTO FUNCTION null('a UInt64') SELECT number FROM system.numbers",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() {
				_, err := trySend(ctx, e, http.MethodPost, "log_comment=gone-"+name, strings.NewReader(query))
				ended <- err
			}()
			running := func() string {
				return e.Exec(t, "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'gone-"+name+" ')")
			}
			waitFor(t, "the query", func() bool { return running() == "1\n" })
			cancel()
			if err := <-ended; err == nil {
				t.Error("a cancelled request was answered")
			}
			waitFor(t, "the query's end", func() bool { return running() == "0\n" })
		})
	}
}

func TestLateExceptionIsSeen(t *testing.T) {
	e := enginetest.Shared(t)
	const query = "SELECT number, throwIf(number = 5000000) FROM system.numbers"
	a, err := trySend(context.Background(), e, http.MethodPost, "max_threads=1", strings.NewReader(query+" FORMAT TSV"))
	if err != nil || a.status != http.StatusOK {
		t.Fatalf("status %d, %v", a.status, err)
	}
	tag := a.header.Get("X-ClickHouse-Exception-Tag")
	end := a.body[max(0, len(a.body)-2000):]
	if tag == "" || !strings.Contains(end, "\r\n__exception__\r\n"+tag+"\r\nCode: 395. DB::Exception: ") || !strings.HasSuffix(end, tag+"\r\n__exception__\r\n") {
		t.Errorf("the end of the answer is %q", end)
	}
	conn := connect(t, e, "", clickhouse.Settings{"max_threads": 1})
	rows, err := conn.Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	var exception *clickhouse.Exception
	if err := rows.Err(); !errors.As(err, &exception) || exception.Code != 395 || n == 0 {
		t.Errorf("after %d rows the client has %v", n, err)
	}
	// With wait_end_of_query the status tells.
	post(t, e, "wait_end_of_query=1&max_threads=1", "SELECT number, throwIf(number = 500000) FROM system.numbers").wantCode(t, 500, 395)
}

func TestConcurrentQueries(t *testing.T) {
	e := enginetest.Shared(t)
	conn := connect(t, e, "", nil)
	var group sync.WaitGroup
	for i := range 50 {
		group.Add(1)
		go func() {
			defer group.Done()
			var sum uint64
			err := conn.QueryRow(context.Background(), "SELECT sum(number + {i:UInt64}) FROM numbers(200000)", clickhouse.Named("i", strconv.Itoa(i))).Scan(&sum)
			if want := uint64(199999*100000 + 200000*i); err != nil || sum != want {
				t.Errorf("query %d: %d, %v, want %d", i, sum, err, want)
			}
		}()
	}
	group.Wait()
}

func TestFullQueueAnswersRetryAfter(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{MaxConcurrent: 1, QueueSeconds: 1})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// It ends with an error, because it is cancelled.
		_, _ = trySend(ctx, e, http.MethodPost, "", strings.NewReader("SELECT count() FROM system.numbers"))
	}()
	var a answer
	waitFor(t, "a full queue", func() bool {
		a = post(t, e, "", "SELECT 1")
		return a.status != http.StatusOK
	})
	a.wantCode(t, 503, 202)
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
	cancel()
	<-ended
	waitFor(t, "a free turn", func() bool { return post(t, e, "", "SELECT 1").status == http.StatusOK })
}

// A large answer passes through in pieces: neither side holds it.
func TestLargeAnswerIsStreamed(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{MemoryLimit: 512 << 20})
	rows, err := connect(t, e, "", nil).Query(context.Background(), "SELECT number, toString(number) AS s FROM numbers(20000000)") // 300 MB, of which a chunk is 1 MB
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var n, most int64
	for rows.Next() {
		if n++; n%2_000_000 == 0 {
			most = max(most, e.State().Resident)
		}
	}
	if err := rows.Err(); err != nil || n != 20_000_000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if most > 700<<20 {
		t.Errorf("the engine held %d MB", most>>20)
	}
}

func TestHostileRequests(t *testing.T) {
	e := enginetest.Shared(t)
	pid := e.State().PID
	garbage := make([]byte, 1<<20)
	for i := range garbage {
		garbage[i] = byte(i*7919 + i>>8)
	}
	frame := post(t, e, "compress=1", "SELECT number FROM numbers(1000)").body
	flipped := []byte(frame)
	flipped[len(flipped)/2] ^= 1
	for name, a := range map[string]answer{
		"garbage":              send(t, e, http.MethodPost, "", bytes.NewReader(garbage)),
		"NUL bytes":            post(t, e, "", "SELECT 1\x00\x00"),
		"NUL in a setting":     post(t, e, "max_threads=1%00", "SELECT 1"),
		"NUL in a name":        post(t, e, "a%00b=1", "SELECT 1"),
		"truncated frame":      post(t, e, "decompress=1&query=INSERT+INTO+FUNCTION+null('a+UInt64')+FORMAT+TSV", frame[:len(frame)/2]),
		"flipped bit":          post(t, e, "decompress=1&query=INSERT+INTO+FUNCTION+null('a+UInt64')+FORMAT+TSV", string(flipped)),
		"no frame":             post(t, e, "decompress=1", "SELECT 1 and more than a header"),
		"huge frame":           post(t, e, "decompress=1", strings.Repeat("\xff", 64)),
		"wrong encoding":       send(t, e, http.MethodPost, "", strings.NewReader("SELECT 1"), "Content-Encoding", "gzip"),
		"unknown encoding":     send(t, e, http.MethodPost, "", strings.NewReader("SELECT 1"), "Content-Encoding", "rot13"),
		"bad URL escape":       post(t, e, "query=%zz", ""),
		"semicolon in the URL": post(t, e, "a;b=1", "SELECT 1"),
		"broken form":          send(t, e, http.MethodPost, "query=SELECT+1", strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end"), "Content-Type", "multipart/form-data; boundary=x"),
		"no boundary":          send(t, e, http.MethodPost, "query=SELECT+1", strings.NewReader("--x\r\n"), "Content-Type", "multipart/form-data"),
		"deep":                 post(t, e, "", "SELECT "+strings.Repeat("(", 100000)),
		"long":                 post(t, e, "", "SELECT '"+strings.Repeat("x", 5<<20)+"'"),
		"huge URL":             post(t, e, "query=SELECT+'"+strings.Repeat("x", 1<<20)+"'", ""),
		"bad number":           post(t, e, "client_protocol_version=-1", "SELECT 1"),
		"broken Native":        post(t, e, "query=INSERT+INTO+FUNCTION+null('a+UInt64')+FORMAT+Native", string(garbage)),
		"broken Arrow":         post(t, e, "query=INSERT+INTO+FUNCTION+null('a+UInt64')+FORMAT+ArrowStream", string(garbage)),
		"broken Parquet":       post(t, e, "query=INSERT+INTO+FUNCTION+null('a+UInt64')+FORMAT+Parquet", string(garbage)),
	} {
		if a.status < 400 || !strings.HasPrefix(a.body, "Code: ") {
			t.Errorf("%s: status %d, %.200q", name, a.status, a.body)
		}
	}
	// Longer than any header may be.
	if a, err := trySend(context.Background(), e, http.MethodPost, strings.Repeat("x", 4<<20), nil); err == nil && a.status < 400 {
		t.Errorf("a URL of 4 MB: status %d", a.status)
	}
	if s := e.State(); s.PID != pid || s.Restarts != 0 {
		t.Errorf("the engine did not survive: %+v", s)
	}
	post(t, e, "", "SELECT 1").want(t, "1\n")
}

func TestBackup(t *testing.T) {
	folder := t.TempDir()
	e := enginetest.StartWith(t, engine.Config{Backups: folder})
	e.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	e.Exec(t, "INSERT INTO t SELECT number FROM numbers(100)")
	e.Exec(t, "BACKUP TABLE t TO File('"+folder+"/one')")
	e.Exec(t, "DROP TABLE t SYNC")
	e.Exec(t, "RESTORE TABLE t FROM File('"+folder+"/one')")
	if got := e.Exec(t, "SELECT count() FROM t"); got != "100\n" {
		t.Errorf("after RESTORE the table holds %q", got)
	}
	if _, err := e.Query(context.Background(), "BACKUP TABLE t TO File('/tmp/elsewhere')"); err == nil {
		t.Error("a backup outside of the folder was made")
	}
}

func TestDefaults(t *testing.T) {
	e := enginetest.StartWith(t, engine.Config{Settings: map[string]string{"max_execution_time": "33"}, MergeTree: map[string]string{"fsync_after_insert": "1", "non_replicated_deduplication_window": "1000"}, Threads: 1})
	if got := e.Exec(t, "SELECT getSetting('async_insert'), getSetting('max_execution_time'), getSetting('max_threads'), timezone()"); got != "false\t33\t1\tUTC\n" {
		t.Errorf("settings: %q", got)
	}
	if got := e.Exec(t, "SELECT value FROM system.merge_tree_settings WHERE name IN ('fsync_after_insert', 'non_replicated_deduplication_window') ORDER BY name"); got != "1\n1000\n" {
		t.Errorf("settings of tables: %q", got)
	}
}

func TestSlowStopEndsInTime(t *testing.T) {
	e := enginetest.Start(t)
	begun := make(chan struct{})
	go func() {
		close(begun)
		// It is cut off when the engine stops.
		_, _ = trySend(context.Background(), e, http.MethodPost, "", strings.NewReader("SELECT count() FROM system.numbers"))
	}()
	<-begun
	waitFor(t, "the query", func() bool {
		return e.Exec(t, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM system.numbers%'") == "1\n"
	})
	pid := e.State().PID
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("the child still lives")
	}
	if err := e.Wait(); err != nil {
		t.Errorf("Wait after Close: %v", err)
	}
}

// An answer that goes out in chunks is the same as one that is made as a whole.
func TestStreamedFormatsAreOneDocument(t *testing.T) {
	e := enginetest.Shared(t)
	const query = "SELECT number AS `a\n\"b`, toString(number) AS s FROM numbers(150000)"
	for _, format := range []string{"TSV", "TSVWithNames", "TSVWithNamesAndTypes", "CSV", "CSVWithNames", "CSVWithNamesAndTypes", "JSONEachRow",
		"JSONCompactEachRow", "JSONCompactEachRowWithNames", "JSONCompactEachRowWithNamesAndTypes", "RowBinary", "RowBinaryWithNames", "RowBinaryWithNamesAndTypes", "TSKV"} {
		// A query that names extremes is never streamed.
		streamed := post(t, e, "max_threads=1", query+" FORMAT "+format).body
		whole := post(t, e, "max_threads=1&extremes=0", query+" FORMAT "+format).body
		if streamed != whole || len(streamed) < 1000000 {
			t.Errorf("%s: %d bytes streamed, %d as a whole", format, len(streamed), len(whole))
		}
	}
	db := e.Database(t)
	e.Exec(t, "CREATE TABLE "+db+".t (a UInt64, s LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
	for _, dictionary := range []string{"0", "1"} {
		arrow := post(t, e, "output_format_arrow_low_cardinality_as_dictionary="+dictionary, "SELECT number AS a, toLowCardinality(toString(number)) AS s FROM numbers(150000) FORMAT ArrowStream").body
		post(t, e, "query=INSERT+INTO+t+FORMAT+ArrowStream&database="+db, arrow).want(t, "")
		if got := e.Exec(t, "SELECT count(), sum(a), sum(toUInt64(s)), uniqExact(s) FROM "+db+".t"); got != "150000\t11249925000\t11249925000\t150000\n" {
			t.Errorf("an Arrow stream (dictionary %s) came back as %q", dictionary, got)
		}
		e.Exec(t, "TRUNCATE TABLE "+db+".t")
	}
	post(t, e, "default_format=CSV", "SELECT number % 2 AS n, count() FROM numbers(10) GROUP BY n WITH TOTALS ORDER BY n").want(t, "0,5\n1,5\n\n0,10\n")
	post(t, e, "default_format=JSONEachRow&output_format_json_array_of_rows=1", "SELECT number FROM numbers(2)").want(t, "[\n{\"number\":0},\n{\"number\":1}\n]\n")
}
