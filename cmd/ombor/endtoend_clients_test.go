//go:build endtoend

package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/google/uuid"
)

// desk is a server with its SQL door, simulated events and the key of an analyst.
type desk struct {
	*server
	sql string // address of the door
	key string
}

// newDesk starts a server with a small simulated year of all systems.
func newDesk(t *testing.T) *desk {
	t.Helper()
	address := freeAddress(t)
	d := &desk{server: serve(t, t.TempDir(), "--sql-listen", address, "--publish-every", "2s"), sql: "http://" + address}
	for _, arguments := range [][]string{{"--events", "6000"}, {"--scale", "0.002"}} {
		file := filepath.Join(t.TempDir(), "year.ndjson")
		if r := ombor(t, append([]string{"simulate", "-o", file}, arguments...)...); r.code != 0 {
			t.Fatal(r.stderr)
		}
		if l, r := d.load(file); l.Accepted < 1000 || r.code != 0 {
			t.Fatalf("load: %+v %s", l, r.stderr)
		}
	}
	d.key = d.newKey("analyst")
	return d
}

// newKey makes an API key of a role.
func (d *desk) newKey(role string, arguments ...string) string {
	d.t.Helper()
	r := ombor(d.t, append([]string{"key", "create", "--data", d.data, "--role", role, "--name", role, "--format", "json"}, arguments...)...)
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(r.stdout), &made); err != nil || made.Key == "" {
		d.t.Fatalf("key create: exit %d: %s %s", r.code, r.stdout, r.stderr)
	}
	return made.Key
}

// TestClients lets clients that are not ours, unchanged, do an analyst's work at the SQL door.
func TestClients(t *testing.T) {
	d := newDesk(t)
	t.Run("clickhouse-js", d.node)
	t.Run("clickhouse-go", d.native)
	t.Run("database/sql", d.standard)
	t.Run("first queries", d.first)
	t.Run("ten questions", d.questions)
	t.Run("agency", d.agency)
	t.Run("commands", d.commands)
	if r := ombor(t, "audit", "verify", "--data", d.data); r.code != 0 {
		t.Errorf("audit verify: exit %d: %s %s", r.code, r.stdout, r.stderr)
	}
}

// node runs the day of the official client for Node.js.
func (d *desk) node(t *testing.T) {
	out := t.TempDir()
	command := exec.Command("node", "--test", "day.test.mjs")
	command.Dir = filepath.Join(root, ".tools", "clients")
	command.Env = append(os.Environ(), "OMBOR_SQL="+d.sql, "OMBOR_KEY="+d.key, "OMBOR_OUT="+out)
	if said, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v (make test-end-to-end installs the client)\n%s", err, said)
	}
	// What it fetched as Parquet is read by an engine that is not ours.
	counted := run(t, []byte("SELECT count(*), sum(works::INT) > 7000, max(day)::VARCHAR FROM '"+filepath.Join(out, "calendar.parquet")+"'"), "node", filepath.Join(root, ".tools", "duckdb", "rows.mjs"))
	if counted.code != 0 || counted.stdout != "11323\ttrue\t2040-12-31\n" {
		t.Errorf("DuckDB reads of the calendar: %q %s", counted.stdout, counted.stderr)
	}
}

func (d *desk) options(compression clickhouse.CompressionMethod) *clickhouse.Options {
	return &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{strings.TrimPrefix(d.sql, "http://")}, Auth: clickhouse.Auth{Database: "ombor", Username: "analyst", Password: d.key},
		Compression: &clickhouse.Compression{Method: compression}, MaxOpenConns: 4, ReadTimeout: 5 * time.Minute}
}

// native is the same day with clickhouse-go over HTTP, with every compression it has.
func (d *desk) native(t *testing.T) {
	ctx := context.Background()
	for name, compression := range map[string]clickhouse.CompressionMethod{"none": clickhouse.CompressionNone, "gzip": clickhouse.CompressionGZIP, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD} {
		numbers := map[string]int{"lz4": 1000}[name] // a million rows once
		if numbers == 0 {
			numbers = 100
		}
		conn, err := clickhouse.Open(d.options(compression))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Ping(ctx); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := conn.Query(ctx, "SELECT number, c.day, c.holiday, c.works FROM numbers({n:UInt64}) AS n CROSS JOIN (SELECT * FROM calendar ORDER BY day LIMIT 1000) AS c", clickhouse.Named("n", strconv.Itoa(numbers)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		count, sum := 0, uint64(0)
		for rows.Next() {
			var n uint64
			var day time.Time
			var holiday string
			var works bool
			if err := rows.Scan(&n, &day, &holiday, &works); err != nil {
				t.Fatal(err)
			}
			count, sum = count+1, sum+n
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || count != 1000*numbers || sum != uint64(1000*numbers*(numbers-1)/2) {
			t.Errorf("%s: %d rows, sum %d: %v", name, count, sum, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	conn, err := clickhouse.Open(d.options(clickhouse.CompressionLZ4))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	version, err := conn.ServerVersion()
	if err != nil || version.Version.Major < 26 || version.Timezone == nil {
		t.Errorf("server version: %+v %v", version, err)
	}
	var day time.Time
	var agency string
	var applicant *uuid.UUID
	if err := conn.QueryRow(ctx, "SELECT _day, agency, applicant FROM request_decided_v1 WHERE applicant IS NOT NULL AND _day >= {from:Date} ORDER BY _day LIMIT 1", clickhouse.Named("from", "2024-01-01")).Scan(&day, &agency, &applicant); err != nil || applicant == nil || *applicant == uuid.Nil {
		t.Errorf("a request: %v %q %v: %v", day, agency, applicant, err)
	}
	var listed uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM calendar WHERE day IN (?, ?)", "2024-03-08", "2024-03-21").Scan(&listed); err != nil || listed != 2 {
		t.Errorf("a pasted list: %d %v", listed, err)
	}
	mine, err := ext.NewTable("mine", ext.Column("code", "String"), ext.Column("wanted", "UInt8"))
	if err != nil {
		t.Fatal(err)
	}
	for code, wanted := range map[string]uint8{"1703": 1, "1726": 2} {
		if err := mine.Append(code, wanted); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	if err := conn.QueryRow(clickhouse.Context(ctx, clickhouse.WithExternalTable(mine)), "SELECT groupArray(name_en) FROM (SELECT r.name_en FROM mine AS m INNER JOIN regions AS r ON r.code = m.code ORDER BY m.wanted)").Scan(&names); err != nil || strings.Join(names, ", ") != "Andijan, Tashkent city" {
		t.Errorf("an own list: %q %v", names, err)
	}

	// What is refused has a code; what is cancelled frees its place.
	for statement, code := range map[string]int32{"SELECT 1 FROM nowhere": 60, "SELECT nothing FROM calendar": 47, "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')": 497, "INSERT INTO calendar (day) VALUES ('2024-01-01')": 164} {
		err := conn.Exec(ctx, statement)
		var e *clickhouse.Exception
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("%s: %v, want code %d", statement, err, code)
		}
	}
	for range 4 {
		hurried, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		var e *clickhouse.Exception
		if err := conn.QueryRow(hurried, "SELECT count() FROM numbers(1900000000) WHERE NOT ignore(sipHash64(number), sipHash64(number + 1))").Scan(&listed); err == nil || errors.As(err, &e) {
			t.Errorf("a minute of work was not cancelled, but ended with %v", err)
		}
		cancel()
	}
	if err := conn.QueryRow(ctx, "SELECT count() FROM calendar").Scan(&listed); err != nil || listed != 11_323 {
		t.Errorf("after what was cancelled: %d %v", listed, err)
	}
}

// standard goes through database/sql, as Grafana does.
func (d *desk) standard(t *testing.T) {
	ctx := context.Background()
	options := d.options(clickhouse.CompressionGZIP)
	options.Settings = clickhouse.Settings{"max_execution_time": 60, "limit": 5}
	db := clickhouse.OpenDB(options)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(ctx, "SELECT name, comment FROM system.tables WHERE database = 'ombor' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for ; rows.Next(); count++ {
		var name, comment string
		if err := rows.Scan(&name, &comment); err != nil || comment == "" {
			t.Errorf("%q %q: %v", name, comment, err)
		}
	}
	if rows.Err() != nil || count != 5 {
		t.Errorf("%d tables under the limit of 5: %v", count, rows.Err())
	}
	var value sql.NullFloat64
	var state string
	if err := db.QueryRowContext(ctx, "SELECT value, state FROM kpi_values WHERE latest AND kpi = ? AND `by` = '' LIMIT 1", "service-count").Scan(&value, &state); err != nil || state == "" {
		t.Errorf("a figure: %v %q: %v", value, state, err)
	}
}

// firstQueries is a tool of testdata/first_queries.sql.
type firstQueries struct {
	tool       string
	parameters url.Values
	header     http.Header
	statements []firstQuery
}

type firstQuery struct {
	sql     string
	answers *regexp.Regexp
}

func readFirstQueries(t *testing.T) (tools []firstQueries) {
	t.Helper()
	file, err := os.Open(filepath.Join(root, "cmd", "ombor", "testdata", "first_queries.sql"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var statement []string
	var answers *regexp.Regexp
	end := func() {
		if len(statement) > 0 {
			if answers == nil || len(tools) == 0 {
				t.Fatalf("nothing is said of the answer to %s", statement[0])
			}
			tool := &tools[len(tools)-1]
			tool.statements = append(tool.statements, firstQuery{strings.Join(statement, "\n"), answers})
		}
		statement, answers = nil, nil
	}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		_, said, _ := strings.Cut(strings.TrimPrefix(line, "-- "), " ")
		switch {
		case line == "":
			end()
		case strings.HasPrefix(line, "-- ##"):
			tools = append(tools, firstQueries{tool: said, header: http.Header{}})
		case strings.HasPrefix(line, "-- & "):
			if tools[len(tools)-1].parameters, err = url.ParseQuery(said); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(line, "-- : "):
			name, value, _ := strings.Cut(said, ": ")
			tools[len(tools)-1].header.Set(name, value)
		case strings.HasPrefix(line, "-- ~"):
			answers = regexp.MustCompile("(?s)" + strings.TrimSpace(said))
		case strings.HasPrefix(line, "-- ") && len(statement) == 0:
			// a remark
		default:
			statement = append(statement, line)
		}
	}
	if end(); lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return tools
}

// first replays what tools ask first, as they ask it: each must hear what it needs. It is asked
// twice, as the tool does and as text that a pattern is held against.
func (d *desk) first(t *testing.T) {
	tools := readFirstQueries(t)
	if len(tools) < 6 {
		t.Fatalf("%d tools", len(tools))
	}
	for _, tool := range tools {
		for _, q := range tool.statements {
			asked, body := d.post(t, q.sql, tool.parameters, tool.header)
			if asked.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s\n%.300s", tool.tool, asked.Status, q.sql, body)
				continue
			}
			if code := asked.Header.Get("X-ClickHouse-Exception-Code"); code != "" || asked.Header.Get("X-ClickHouse-Query-Id") == "" && !strings.HasPrefix(q.sql, "SET") {
				t.Errorf("%s: exception %q, headers %v\n%s", tool.tool, code, asked.Header, q.sql)
			}
			text := q.sql
			if at := strings.LastIndex(text, "\n FORMAT "); at > 0 && !strings.Contains(text[at:], "JSON") {
				text = text[:at]
			}
			plain := url.Values{"default_format": {cmp.Or(tool.parameters.Get("default_format"), "TSVWithNames")}, "database": {"ombor"}}
			if plain.Get("default_format") == "Native" {
				plain.Set("default_format", "TSVWithNames")
			}
			if said, body := d.post(t, text, plain, nil); said.StatusCode != http.StatusOK || !q.answers.Match(body) {
				t.Errorf("%s: the answer to\n%s\nis %s\n%.400s\nwhich does not match %s", tool.tool, q.sql, said.Status, body, q.answers)
			}
		}
	}
}

// post asks the door with the analyst's key and reads the answer out of its compression.
func (d *desk) post(t *testing.T, statement string, parameters url.Values, header http.Header) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, d.sql+"/?"+parameters.Encode(), strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("X-ClickHouse-User", "analyst")
	r.Header.Set("X-ClickHouse-Key", d.key)
	encoded := r.Header.Get("Accept-Encoding") != ""
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	switch {
	case encoded && response.Header.Get("Content-Encoding") == "gzip":
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(unzipped)
		}
		if err != nil {
			t.Errorf("%s: the compressed answer cannot be read: %v", statement, err)
		}
	case parameters.Get("compress") == "1":
		if body, err = io.ReadAll(compress.NewReader(bytes.NewReader(body))); err != nil && !errors.Is(err, io.EOF) { // it ends with an EOF of its own
			t.Errorf("%s: the compressed answer cannot be read: %v", statement, err)
		}
	}
	return response, body
}

var codeBlocks = regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```")

// sqlDocs is docs/sql.md from one heading to the next of its rank; "" is what stands before the first.
func sqlDocs(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "sql.md"))
	if err != nil {
		t.Fatal(err)
	}
	section := string(text)
	if heading != "" {
		var ok bool
		if _, section, ok = strings.Cut(section, "\n## "+heading+"\n"); !ok {
			t.Fatalf("docs/sql.md has no heading %q", heading)
		}
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// questions asks the ten questions of docs/sql.md through the door.
func (d *desk) questions(t *testing.T) {
	blocks := codeBlocks.FindAllStringSubmatch(sqlDocs(t, "Ten questions"), -1)
	if len(blocks) != 10 {
		t.Fatalf("docs/sql.md has %d questions, not ten", len(blocks))
	}
	for i, block := range blocks {
		response, body := d.post(t, block[2], url.Values{"default_format": {"JSONCompact"}, "database": {"ombor"}}, nil)
		var table struct {
			Meta []struct{ Name string }
			Rows int
		}
		if err := json.Unmarshal(body, &table); response.StatusCode != http.StatusOK || err != nil || len(table.Meta) == 0 {
			t.Errorf("question %d: %s %v\n%.500s", i+1, response.Status, err, body)
			continue
		}
		if response.Header.Get("X-Ombor-Class") != "internal" {
			t.Errorf("question %d: rows without the mark internal", i+1)
		}
	}
}

// agency asks with the key of an agency, which sees its own rows and the figures of the whole.
func (d *desk) agency(t *testing.T) {
	table := url.Values{"database": {"ombor"}}
	_, most := d.post(t, "SELECT agency FROM request_decided_v1 GROUP BY agency ORDER BY count() DESC, agency LIMIT 1", table, nil)
	own := strings.TrimSpace(string(most))
	one := *d
	one.key = d.newKey("agency", "--agency", own)
	table.Set("param_own", own)
	for statement, want := range map[string]string{
		"SELECT count() > 0, countIf(agency != {own:String}) FROM request_decided_v1":                                                     "1\t0",
		"SELECT countIf(by = '') > 0, countIf(by != '' AND key[indexOf(splitByChar(',', by), 'agency')] != {own:String}) FROM kpi_values": "1\t0",
		"SELECT countIf(owner != {own:String}) FROM dataset_served_v1":                                                                    "0",
		"SELECT count() > 50, uniq(owner) > 1 FROM kpis":                                                                                  "1\t1",
		"SELECT count() > 1 FROM organisations":                                                                                           "1",
	} {
		if response, body := one.post(t, statement, table, nil); response.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != want {
			t.Errorf("%s sees of %s: %s %s, want %s", own, statement, response.Status, body, want)
		}
	}
	if response, body := one.post(t, "SELECT count() FROM exchange_completed_v1", table, nil); response.Header.Get("X-ClickHouse-Exception-Code") != "497" {
		t.Errorf("%s sees exchanges that are nobody's own: %s %s", own, response.Status, body)
	}
}

// commands runs what docs/sql.md shows of ombor, of curl and of Node.js, with the variables set that it names.
func (d *desk) commands(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "ombor")); err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, block := range codeBlocks.FindAllStringSubmatch(sqlDocs(t, "")+sqlDocs(t, "Connecting"), -1) {
		var command *exec.Cmd
		switch block[1] {
		case "sh":
			command = exec.Command("bash", "-euo", "pipefail", "-c", block[2])
			command.Dir = dir
		case "js":
			command = exec.Command("node", "--input-type=module", "-")
			command.Dir, command.Stdin = filepath.Join(root, ".tools", "clients"), strings.NewReader(block[2])
		default:
			continue
		}
		ran[block[1]]++
		command.Env = append(os.Environ(), "OMBOR_SQL="+d.sql, "OMBOR_KEY="+d.key, "OMBOR_DATA="+d.data, "PATH="+dir+":"+os.Getenv("PATH"))
		said, err := command.CombinedOutput()
		if err != nil || bytes.Contains(said, []byte("Code: ")) {
			t.Errorf("%v\n%s\n%s", err, block[2], said)
		}
	}
	if ran["sh"] < 4 || ran["js"] != 1 {
		t.Errorf("docs/sql.md shows commands: %v", ran)
	}
}
