package governed_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/protocol"
	"ombor/internal/reference"
	"ombor/internal/stream"
	"ombor/queries/governed"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

// What nobody, or nobody of agency "mine", may ever read. Each is in a row of the engine.
const (
	canaryOthers  = "canary-of-others"  // service of requests of another agency
	canarySpecial = "canary-of-special" // text of a contract that has no view
)

// world is a door in front of a real engine with a few rows of the pack uz, and a real audit log.
type world struct {
	testing.TB
	log      *audit.Log
	gate     *access.Gate
	door     *governed.Door
	url      string
	keys     map[access.Role]string
	limit    governed.Limits
	notReady error // of the warehouse
}

// filled is the engine with its rows, once for all tests.
var filled struct {
	sync.Once
	own func(table, dimension, value string) string
}

// fill gives what somebody may see of its tables.
func fill(t testing.TB) func(table, dimension, value string) string {
	t.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	filled.Do(func() {
		var some []*contract.Contract
		for _, c := range p.Set.All() {
			if slices.Contains([]string{"request.submitted", "service.changed", "diary.used", "case.filed", contract.FigurePublished}, c.Name) {
				some = append(some, c)
			}
		}
		some = append(some, &contract.Contract{Type: "uz.gov.register.entered.v1", Name: "register.entered", Major: 1, Title: reference.Names{"en": "Register"}, About: "Who is ill.", Source: "portal",
			Fields: []contract.Field{{Name: "illness", Type: contract.Text, Class: contract.Special}}})
		set, err := contract.NewSet("uz.gov.", p.Set.Zone(), some, p.Reference)
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		w, err := warehouse.Open(ctx, warehousetest.Config(t, ""), set, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := w.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.MigrateViews(ctx, p.Reference); err != nil {
			t.Fatal(err)
		}
		systems := p.Systems()
		systems["diary"] = "mine"
		filled.own = w.Own(p.Reference, systems)
		at := time.Date(2024, 3, 7, 10, 0, 0, 0, time.UTC)
		var rows []warehousetest.Row
		for i := range uint64(200) {
			data := map[string]any{"request": fmt.Sprint("r", i), "agency": "mine", "service": "service-of-mine", "region": "1718", "applicant": i % 50, "channel": "portal"}
			source := ""
			if i%2 == 1 {
				source = "diary" // a system of agency "mine" sends requests of another: they are the other's
				data["agency"], data["service"], data["region"] = "theirs", canaryOthers, "1726"
			}
			rows = append(rows, warehousetest.Row{ID: i + 1, Source: source, Time: at.Add(time.Duration(i) * time.Minute), Batch: 1, Data: data})
		}
		warehousetest.Insert(t, w, w.Contract("request.submitted"), rows)
		used := func(id uint64, source, school string) warehousetest.Row {
			return warehousetest.Row{ID: id, Source: source, Time: at, Batch: 1, Data: map[string]any{"school": school, "day": reference.DayOf(at), "entries": 1}}
		}
		warehousetest.Insert(t, w, w.Contract("diary.used"), []warehousetest.Row{used(1, "diary", "s1"), used(2, "diary", "s2"), used(3, "portal", canaryOthers)})
		warehousetest.Insert(t, w, w.Contract("register.entered"), []warehousetest.Row{{ID: 1, Time: at, Batch: 1, Data: map[string]any{"illness": canarySpecial}}})
	})
	return filled.own
}

func newWorld(t testing.TB, limits governed.Limits) *world {
	t.Helper()
	own := fill(t)
	w := &world{TB: t, keys: map[access.Role]string{}, limit: limits}
	ctx := context.Background()
	conn, err := stream.Open(ctx, stream.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	secret := []byte("a secret of thirty-two bytes !!!")
	if w.log, err = audit.Open(ctx, conn, audit.Options{Key: secret}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.log.Close() })
	if w.gate, err = access.Open(ctx, conn, w.log, access.Options{Secret: secret, Limits: access.Limits{Requests: 1e6, Burst: 1e6}}); err != nil {
		t.Fatal(err)
	}
	for _, role := range access.Roles {
		token, _, err := w.gate.Keys.Create(ctx, access.Key{Name: "a test", Roles: []access.Role{role}, Agency: map[access.Role]string{access.Agency: "mine"}[role], Sources: map[access.Role][]string{access.Source: {"portal"}}[role]})
		if err != nil {
			t.Fatal(err)
		}
		w.keys[role] = token
	}
	config := governed.Config{Gate: w.gate, Engine: governed.Engine{Client: enginetest.Shared(t).Client()}, Database: "ombor", Own: own, Limits: limits}
	config.Ready = func() error { return w.notReady }
	if w.door, err = governed.New(config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.door)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// reply is what the door answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// refused says whether the answer is an exception, before or behind the first rows.
func (r reply) refused() bool { return r.status != 200 || strings.Contains(r.body, "__exception__") }

func (r reply) code() int { return protocol.ParseException(r.body).Code }

// ask sends a statement as somebody of a role.
func (w *world) ask(role access.Role, statement string, parameters ...string) reply {
	w.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, w.url+"/?"+values.Encode(), strings.NewReader(statement))
	if err != nil {
		w.Fatal(err)
	}
	return w.do(role, r)
}

func (w *world) do(role access.Role, r *http.Request) reply {
	w.Helper()
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+w.keys[role])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatalf("%v", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatalf("the answer broke off: %v", err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

// statements reads a list of testdata.
func statements(t testing.TB, name string) []string {
	t.Helper()
	file, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for part := range strings.SplitSeq(string(file), "\n;;\n") {
		var lines []string
		for line := range strings.SplitSeq(part, "\n") {
			if len(lines) == 0 && strings.HasPrefix(line, "-- ") {
				continue // a heading
			}
			lines = append(lines, line)
		}
		if s := strings.Trim(strings.Join(lines, "\n"), "\n"); s != "" {
			all = append(all, strings.TrimSuffix(s, "\n;;"))
		}
	}
	return all
}

// Everything of the list is refused or does no harm: nothing that must not be read is in an answer,
// nothing was changed, the engine lives on, and the log tells of every one.
func TestHostile(t *testing.T) {
	hostile := statements(t, "hostile.sql")
	if len(hostile) < 150 {
		t.Fatalf("the list has %d statements", len(hostile))
	}
	for _, size := range []int{200, 10_000, 10 << 20} {
		hostile = append(hostile, "SELECT "+strings.Repeat("(", size)+"1"+strings.Repeat(")", size))
	}
	hostile = append(hostile,
		"SELECT 1"+strings.Repeat(" + 1", 60_000), "SELECT "+strings.Repeat("NOT ", 60_000)+"1", "SELECT "+strings.Repeat("-", 1001)+"1", "SELECT "+strings.Repeat("- ", 100_000)+"1",
		"SELECT "+strings.Repeat("[", 150)+strings.Repeat("]", 150), "SELECT 1"+strings.Repeat(" UNION ALL SELECT 1", 10_000), "SELECT 1\x00; DROP TABLE ombor.services", "\xef\xbb\xbfSELECT 1",
		"SELECT 1"+strings.Repeat("/*", 50_000)+strings.Repeat("*/", 50_000), strings.Repeat("SELECT * FROM (", 190)+"SELECT 1"+strings.Repeat(")", 190), "SELECT "+strings.Repeat("x -> ", 40_000)+"1",
		"SELECT '"+strings.Repeat("'' ", 80_000)+"'", "SELECT CASE"+strings.Repeat(" WHEN 1 THEN 1", 20_000)+" END")
	w := newWorld(t, governed.Limits{Time: 300 * time.Millisecond, Memory: 128 << 20, Disk: 32 << 20, Running: 2, Each: 1, ResultRows: 100_000, Result: 16 << 20})
	engine := enginetest.Shared(t)
	before := engine.Exec(t, state)
	hostname, err := os.ReadFile("/etc/hostname")
	if err != nil {
		t.Fatal(err)
	}
	forbidden := []string{canarySpecial, "root:", "request_submitted_v1__", "daemon:"}
	if name := strings.TrimSpace(string(hostname)); len(name) > 4 {
		forbidden = append(forbidden, name)
	}
	asked, refusedOnes := 0, 0
	from := w.log.Head().Number
	for i, s := range hostile {
		role := access.Agency
		if i%2 == 0 && i < len(hostile)*3/4 { // the hungry ones, at the end, only once each as well
			role = access.Analyst
		}
		r := w.ask(role, s)
		asked++
		if r.refused() {
			refusedOnes++
			t.Logf("refused as %s: %.100q: %.120s", role, s, r.body)
			if r.status >= 500 && r.code() == protocol.CodeUnavailable {
				t.Errorf("%.200q: the engine was away", s)
			}
			continue
		}
		for _, f := range forbidden {
			if strings.Contains(r.body, f) && !strings.Contains(s, f) {
				t.Errorf("%.200q as %s gives away %q: %.300s", s, role, f, r.body)
			}
		}
		if role == access.Agency && strings.Contains(r.body, canaryOthers) {
			t.Errorf("%.200q gives an agency the rows of another: %.300s", s, r.body)
		}
		if strings.Contains(r.body, "facts\t") {
			t.Errorf("%.200q tells of the facts: %.300s", s, r.body)
		}
		t.Logf("harmless as %s: %.120q: %.60q", role, s, r.body)
	}
	t.Logf("%d of %d refused", refusedOnes, asked)
	if after := engine.Exec(t, state); after != before {
		t.Errorf("something was changed:\n%s\n%s", before, after)
	}
	if n := engine.State().Restarts; n != 0 {
		t.Errorf("the engine was started again %d times", n)
	}
	if _, err := os.Stat("/tmp/ombor-hostile"); err == nil {
		t.Error("a file was written")
	}
	w.logged(from, hostile)
}

var longNumber = regexp.MustCompile(`\d{9}`) // the log does not keep those

// state is what must not change.
const state = "SELECT (SELECT groupArray((database, name, total_rows)) FROM (SELECT * FROM system.tables WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA') AND NOT is_temporary ORDER BY database, name)), " +
	"(SELECT count() FROM system.user_defined_functions), (SELECT count() FROM system.named_collections), (SELECT groupArray(name) FROM system.dictionaries)"

// logged holds the audit log against what was asked, in its order.
func (w *world) logged(from uint64, asked []string) {
	w.Helper()
	entries, err := w.log.Read(context.Background(), audit.Filter{Limit: 10_000})
	if err != nil {
		w.Fatal(err)
	}
	slices.Reverse(entries)
	entries = slices.DeleteFunc(entries, func(e audit.Entry) bool { return e.Number <= from })
	if len(entries) != len(asked) {
		w.Fatalf("%d entries of %d statements", len(entries), len(asked))
	}
	for i, e := range entries {
		if e.Action != governed.Rule || !e.Allowed && e.Why == "" {
			w.Errorf("entry %d: %+v", i, e)
		}
		if want := asked[i]; len(want) < 100 && !strings.Contains(want, "\x00") && !longNumber.MatchString(want) && e.Object != want {
			w.Errorf("entry %d tells %q, asked was %q", i, e.Object, want)
		}
	}
}

// A table that was made after the list of tables shows an agency nothing, whatever else its name is made to mean.
func TestTableMadeMeanwhile(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	engine := enginetest.Shared(t)
	if r := w.ask(access.Agency, "SELECT count() FROM request_submitted_v1"); r.body != "100\n" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	engine.Exec(t, "CREATE VIEW ombor.late_v1 AS SELECT service FROM facts.request_submitted_v1")
	defer engine.Exec(t, "DROP VIEW ombor.late_v1")
	if all := engine.Exec(t, "SELECT countIf(service = '"+canaryOthers+"') FROM ombor.late_v1"); all != "100\n" {
		t.Fatalf("%s", all)
	}
	for _, s := range []string{
		"SELECT * FROM late_v1", "SELECT * FROM ombor.late_v1", "SELECT '" + canaryOthers + "' IN late_v1", "SELECT '" + canaryOthers + "' IN ombor.late_v1",
		"SELECT * FROM (WITH late_v1 AS (SELECT 1) SELECT * FROM late_v1) AS a, late_v1", "SELECT (SELECT 1 AS late_v1), count() FROM late_v1",
		"SELECT (SELECT 1 AS late_v1), '" + canaryOthers + "' IN late_v1", "SELECT (SELECT 1 AS late_v1), '" + canaryOthers + "' IN (SELECT service FROM late_v1)",
		"SELECT * FROM (SELECT 1 AS `late_v1`) AS a, (SELECT * FROM late_v1) AS b", "DESCRIBE late_v1",
	} {
		r := w.ask(access.Agency, s)
		if found := strings.TrimRight(r.body, "\n"); !r.refused() && found != "" && found != "1\t0" {
			t.Errorf("%s: %s", s, r.body)
		}
	}
}

// What analysts ask works for analysts and for an agency, and an agency sees its own rows alone.
func TestLegit(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	for _, s := range statements(t, "legit.sql") {
		for _, role := range []access.Role{access.Analyst, access.Agency} {
			r := w.ask(role, s)
			counts := role == access.Agency && countsEverybody.MatchString(s)
			if r.refused() != counts || counts && r.code() != protocol.CodeAccessDenied {
				t.Errorf("%s as %s: %s", s, role, r.body)
			}
			if role == access.Agency && strings.Contains(r.body, canaryOthers) {
				t.Errorf("%s: an agency sees rows of another", s)
			}
		}
	}
}

// countsEverybody are statements that tell how much is read before rows of others are left out.
var countsEverybody = regexp.MustCompile(`^EXPLAIN (?:SELECT|PLAN|PIPELINE|ESTIMATE|indexes)`)

// A slip of the pen is a syntax error at its place, as a server tells it; what would write is not.
func TestSyntaxErrors(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	for s, want := range map[string]string{
		"SELEC 1":                   "Syntax error: failed at position 1 (SELEC): SELEC 1.",
		"  -- what\n SELEC 1":       "Syntax error: failed at position 12 (SELEC): SELEC 1.",
		"EXPLAIN ESTIMATE SELEC 1":  "Syntax error: failed at position 18 (SELEC): SELEC 1.",
		"SELECT 1 +":                "Syntax error: failed at position 11 (end of query)",
		"EXPLAIN AST SELECT 1 +":    "Syntax error: failed at position 23 (end of query)",
		"SELECT 1 FROM (\nSELECT )": "Syntax error: failed at position 24 ()) (line 2, col 8)",
	} {
		r := w.ask(access.Agency, s)
		if r.code() != protocol.CodeSyntaxError || r.status != http.StatusBadRequest || !strings.Contains(r.body, want) || r.header.Get("X-ClickHouse-Exception-Code") != "62" {
			t.Errorf("%q: %d %s", s, r.status, r.body)
		}
	}
	for _, s := range []string{"INSERT INTO calendar VALUES (1)", "DROP TABLE calendar", "SYSTEM SHUTDOWN", "GRANT ALL ON *.* TO x", "SHOW GRANTS"} {
		if r := w.ask(access.Analyst, s); r.code() != protocol.CodeReadonly {
			t.Errorf("%q: %s", s, r.body)
		}
	}
}

// A table that is made, or taken away, while statements come is known soon, although none of them waits
// for the list of tables.
func TestTablesComeAndGo(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	e := enginetest.Shared(t)
	until := func(what string, is func(reply) bool) {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			r := w.ask(access.Analyst, "SELECT one FROM ombor.later")
			if is(r) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d %s", what, r.status, r.body)
			}
		}
	}
	unknown := func(r reply) bool { return r.code() == protocol.CodeUnknownTable }
	until("before", unknown)
	e.Exec(t, "CREATE VIEW ombor.later AS SELECT 1 AS one")
	defer e.Exec(t, "DROP VIEW IF EXISTS ombor.later")
	until("made", func(r reply) bool { return r.body == "1\n" })
	if r := w.ask(access.Analyst, "SELECT count() FROM system.tables WHERE name = 'later'"); r.body != "1\n" {
		t.Error(r.body)
	}
	if r := w.ask(access.Analyst, "SELECT countIf(database != 'ombor'), count() > 1 FROM system.tables"); r.body != "0\t1\n" {
		t.Error(r.body)
	}
	e.Exec(t, "DROP VIEW ombor.later")
	until("gone", func(r reply) bool { return unknown(r) && strings.Contains(r.body, "cannot be read here") }) // the door knows
}

// What grows out of a small body, and what does not arrive, is given up.
func TestBodiesAreBounded(t *testing.T) {
	w := newWorld(t, governed.Limits{Piece: 500 * time.Millisecond})
	send := func(kind, encoding, parameters string, body io.Reader) reply {
		r, err := http.NewRequest(http.MethodPost, w.url+"/?"+parameters, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		if encoding != "" {
			r.Header.Set("Content-Encoding", encoding)
		}
		return w.do(access.Analyst, r)
	}
	packed := func(encoding, text string) io.Reader {
		var b bytes.Buffer
		c, err := protocol.ContentWriter(encoding, &b)
		if err == nil {
			_, err = io.WriteString(c, text)
		}
		if err == nil {
			err = c.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return &b
	}
	var form bytes.Buffer
	fields := multipart.NewWriter(&form)
	part, err := fields.CreateFormFile("mine", "mine")
	if err == nil {
		_, err = part.Write(make([]byte, 30<<20))
	}
	if err == nil {
		err = fields.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "lz4"} {
		if r := send("text/plain", encoding, "", packed(encoding, "SELECT 5")); r.body != "5\n" {
			t.Errorf("%s: %d %s", encoding, r.status, r.body)
		}
		if r := send(fields.FormDataContentType(), encoding, "query=SELECT+1&mine_structure=a+String", packed(encoding, form.String())); encoding != "lz4" && r.code() != protocol.CodeQueryIsTooLarge { // which is never 200 times smaller at once
			t.Errorf("%s: a bomb: %d %s", encoding, r.status, r.body)
		}
	}
	// A frame whose head promises much, and one whose data is more than its head says.
	promise := append(make([]byte, 16), 0x82, 25, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f)
	if r := send("text/plain", "", "decompress=1", bytes.NewReader(append(promise, make([]byte, 16)...))); r.code() != protocol.CodeQueryIsTooLarge {
		t.Errorf("a promise: %d %s", r.status, r.body)
	}
	slow, late := io.Pipe()
	defer late.Close()
	go func() { _, _ = io.WriteString(late, "SELECT ") }() // and no more
	if r := send("text/plain", "", "", slow); r.code() != protocol.CodeSocketTimeout {
		t.Errorf("a slow sender: %d %s", r.status, r.body)
	}
	if r := w.ask(access.Analyst, "SELECT 6"); r.body != "6\n" {
		t.Errorf("after them: %d %s", r.status, r.body)
	}
}

// No expression of a statement sees a row of another agency: each of these fails, and so tells,
// when it does. For an analyst, who may, it does.
func TestScopeComesFirst(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	for _, s := range []string{
		"SELECT count() FROM request_submitted_v1 WHERE intDiv(1, agency = 'mine') = 1",
		"SELECT count() FROM request_submitted_v1 WHERE _day > '2020-01-01' AND intDiv(1, agency = 'mine') = 1",
		"SELECT sum(intDiv(1, agency = 'mine')) FROM request_submitted_v1",
		"SELECT count() FROM request_submitted_v1 AS a JOIN calendar AS b ON a._day = b.day AND intDiv(1, a.agency = 'mine') = 1",
		"SELECT count() FROM calendar AS b JOIN request_submitted_v1 AS a ON a._day = b.day AND intDiv(1, a.agency = 'mine') = 1",
		"SELECT count() FROM calendar AS b LEFT JOIN (SELECT _day, agency FROM request_submitted_v1 WHERE intDiv(1, agency = 'mine') = 1) AS a ON a._day = b.day",
		"SELECT count() FROM calendar WHERE day IN (SELECT _day FROM request_submitted_v1 WHERE intDiv(1, agency = 'mine') = 1)",
		"SELECT count() FROM (SELECT intDiv(1, agency = 'mine') AS x FROM request_submitted_v1) WHERE x = 1",
		"WITH intDiv(1, agency = 'mine') AS x SELECT count() FROM request_submitted_v1 GROUP BY x",
		"SELECT intDiv(1, agency = 'mine') AS x FROM request_submitted_v1 ORDER BY x LIMIT 1",
		"SELECT agency FROM request_submitted_v1 ORDER BY intDiv(1, agency = 'mine') LIMIT 1 BY agency",
		"SELECT count() OVER (PARTITION BY intDiv(1, agency = 'mine')) FROM request_submitted_v1",
		"SELECT count() FROM request_submitted_v1_ledger WHERE intDiv(1, agency = 'mine') = 1",
		"SELECT count() FROM request_submitted_v1 WHERE toUInt8(if(agency = 'mine', '1', 'x')) = 1",
		"SELECT count() FROM request_submitted_v1 WHERE agency = 'theirs' AND intDiv(1, agency = 'mine') = 1",
		"SELECT count() FROM request_submitted_v1 GROUP BY agency HAVING intDiv(1, agency = 'mine') = 1",
		"SELECT x FROM request_submitted_v1 ARRAY JOIN [intDiv(1, agency = 'mine')] AS x",
		"SELECT DISTINCT intDiv(1, agency = 'mine') FROM request_submitted_v1",
		"SELECT any(intDiv(1, agency = 'mine')) FROM request_submitted_v1 UNION ALL SELECT 1",
	} {
		if r := w.ask(access.Agency, s); r.refused() {
			t.Errorf("%s: an agency is told of the rows of another: %s", s, r.body)
		}
		if r := w.ask(access.Analyst, s); !r.refused() && !strings.Contains(s, "theirs") {
			t.Errorf("%s: proves nothing, an analyst gets %q", s, r.body)
		}
	}
	if r := w.ask(access.Agency, "SELECT agency, count() FROM request_submitted_v1 GROUP BY agency"); r.body != "mine\t100\n" {
		t.Errorf("an agency sees %q", r.body)
	}
	if r := w.ask(access.Analyst, "SELECT agency, count() FROM request_submitted_v1 GROUP BY agency ORDER BY agency"); r.body != "mine\t100\ntheirs\t100\n" {
		t.Errorf("an analyst sees %q", r.body)
	}
	if r := w.ask(access.Agency, "SELECT 1 FROM request_submitted_v1"); r.header.Get("X-ClickHouse-Summary") != "" {
		t.Errorf("an agency is told how many rows were read: %s", r.header.Get("X-ClickHouse-Summary"))
	}
	for _, format := range []string{"JSON", "JSONCompact", "JSONStrings", "JSONColumnsWithMetadata", "XML", "JSONEachRowWithProgress", "jsoneachrowwithprogress", "JSONCompactEachRowWithProgress"} {
		r := w.ask(access.Agency, "SELECT count() FROM request_submitted_v1 SETTINGS output_format_write_statistics = 1 FORMAT "+format, "output_format_write_statistics", "1")
		if strings.Contains(r.body, "rows_read") || strings.Contains(r.body, "read_rows") || !r.refused() && !strings.Contains(r.body, "100") {
			t.Errorf("an agency is told how many rows were read: %s", r.body)
		}
	}
	if r := w.ask(access.Agency, "SELECT count() FROM request_submitted_v1 SETTINGS max_rows_to_read = 150", "max_rows_to_read", "150"); r.body != "100\n" { // of 200
		t.Errorf("an agency can find out how many rows were read: %s", r.body)
	}
}

// Who may ask is what the table of access says, and who may not is in the log.
func TestRoles(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	rule, _ := access.RuleOf(governed.Rule)
	for _, role := range access.Roles {
		from := w.log.Head().Number
		r := w.ask(role, "SELECT 1")
		if may := slices.Contains(rule.Roles, role); may == r.refused() {
			t.Errorf("%s: %d %s", role, r.status, r.body)
		} else if !may && (r.status != http.StatusForbidden || r.code() != protocol.CodeAccessDenied) {
			t.Errorf("%s: %d %s", role, r.status, r.body)
		}
		if w.log.Head().Number != from+1 {
			t.Errorf("%s: %d entries in the log", role, w.log.Head().Number-from)
		}
	}
	request := func(header, value string) reply {
		r, err := http.NewRequest(http.MethodGet, w.url+"/?query=SELECT+1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			r.Header.Set(header, value)
		}
		return w.do("", r)
	}
	if r := request("", ""); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" {
		t.Errorf("nobody: %d %v", r.status, r.header)
	}
	if r := request("X-ClickHouse-Key", "ombor_nonsense"); r.status != http.StatusForbidden || r.code() != protocol.CodeAuthenticationFailed {
		t.Errorf("an unknown key: %d %s", r.status, r.body)
	}
	if r := request("X-ClickHouse-Key", w.keys[access.Analyst]); r.body != "1\n" {
		t.Errorf("X-ClickHouse-Key: %d %s", r.status, r.body)
	}
}

// The interface as clients use it.
func TestInterface(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	analyst := access.Analyst
	r := w.ask(analyst, "SELECT 1 AS x", "default_format", "JSONCompactEachRowWithNames", "query_id", "my own")
	if r.status != http.StatusBadRequest {
		t.Errorf("a query_id with a blank: %d %s", r.status, r.body)
	}
	r = w.ask(analyst, "SELECT 1 AS x", "default_format", "JSONCompactEachRowWithNames", "query_id", "mine")
	for name, want := range map[string]string{"X-ClickHouse-Query-Id": "mine", "X-ClickHouse-Format": "JSONCompactEachRowWithNames", "X-ClickHouse-Timezone": "UTC",
		"X-ClickHouse-Server-Display-Name": "ombor", "X-Ombor-Class": "internal", "Cache-Control": "no-store", "Content-Type": "application/x-ndjson; charset=UTF-8"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.header.Get("X-ClickHouse-Summary") == "" || r.header.Get("X-ClickHouse-Exception-Tag") == "" || r.body != "[\"x\"]\n[1]\n" {
		t.Errorf("%v %q", r.header, r.body)
	}
	if r := w.ask(analyst, "SELECT {a:String}, {b:Array(UInt8)}, {c:Nullable(UInt8)}", "param_a", "it's", "param_b", "[1,2]", "param_c", `\N`); r.body != "it\\'s\t[1,2]\t\\N\n" {
		t.Errorf("parameters: %q", r.body)
	}
	if r := w.ask(analyst, "SELECT count() FROM {t:Identifier}", "param_t", "calendar"); r.refused() {
		t.Errorf("a name as parameter: %s", r.body)
	}
	for _, name := range []string{"facts.request_submitted_v1", "system.parts_list", "file"} {
		if r := w.ask(analyst, "SELECT count() FROM {t:Identifier}", "param_t", name); !r.refused() {
			t.Errorf("%s as parameter: %s", name, r.body)
		}
	}
	if r := w.ask(analyst, "SELECT 1", "database", "facts"); r.code() != protocol.CodeUnknownDatabase {
		t.Errorf("database facts: %s", r.body)
	}
	if r := w.ask(analyst, "SELECT currentDatabase()", "database", "default"); r.body != "ombor\n" {
		t.Errorf("database default: %s", r.body)
	}
	if r := w.ask(analyst, "SELECT nothing_there", "query_id", "x"); r.status != http.StatusNotFound || r.header.Get("X-ClickHouse-Exception-Code") != "47" {
		t.Errorf("an unknown column: %d %v", r.status, r.header)
	}
	if r := w.ask(analyst, "SELECT intDiv(1, 100000 - number) FROM numbers(200000) SETTINGS max_block_size = 1000"); !strings.Contains(r.body, "Code: 153.") || !r.refused() {
		t.Errorf("an exception in the middle: %d …%.300q", r.status, r.body[max(0, len(r.body)-300):])
	}
	get, err := http.NewRequest(http.MethodGet, w.url+"/?query="+url.QueryEscape("SELECT 2 FORMAT JSONEachRow"), nil)
	if err != nil {
		t.Fatal(err)
	}
	get.Header.Set("Accept-Encoding", "gzip")
	r = w.do(analyst, get)
	unzipped, err := gzip.NewReader(strings.NewReader(r.body))
	if err != nil || r.header.Get("Content-Encoding") != "gzip" {
		t.Fatal(err, r)
	}
	if body, _ := io.ReadAll(unzipped); string(body) != "{\"2\":2}\n" {
		t.Errorf("gzip: %q", body)
	}
	if r := w.ask(analyst, "SELECT 3", "compress", "1"); r.status != 200 {
		t.Errorf("frames: %d", r.status)
	} else if body, err := io.ReadAll(protocol.NewFrameReader(strings.NewReader(r.body))); err != nil || string(body) != "3\n" {
		t.Errorf("frames: %q, %v", body, err)
	}
	var frames bytes.Buffer
	packed, err := protocol.NewFrameWriter(&frames, "ZSTD", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(packed, "SELECT 4"); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if r := w.ask(analyst, frames.String(), "decompress", "1"); r.body != "4\n" {
		t.Errorf("a packed statement: %q", r.body)
	}
	for _, s := range []struct{ set, name, want string }{{"0", "", "1\t1\n"}, {"1", "a", "1\t\\N\n"}} {
		if s.name != "" {
			if r := w.ask(analyst, "SET join_use_nulls = "+s.set, "session_id", s.name); r.refused() {
				t.Errorf("SET: %s", r.body)
			}
			if r := w.ask(analyst, "SELECT 1 AS a, b.x FROM (SELECT 2 AS k) AS t LEFT JOIN (SELECT 1 AS k, 1 AS x) AS b USING k", "session_id", s.name); r.body != s.want {
				t.Errorf("a session forgets what it SET: %q", r.body)
			}
		}
	}
	if r := w.ask(analyst, "SELECT 1", "session_id", "never", "session_check", "1"); r.code() != protocol.CodeSessionNotFound {
		t.Errorf("a session that is not there: %s", r.body)
	}
	if r := w.ask(analyst, "SELECT number FROM numbers(10)", "max_result_rows", "3", "result_overflow_mode", "break", "limit", "5"); r.body != "0\n1\n2\n" {
		t.Errorf("break at three rows of five: %q", r.body)
	}
	if r := w.ask(analyst, "SELECT number FROM numbers(10)", "max_result_rows", "3", "result_overflow_mode", "break"); r.body != "0\n1\n2\n" {
		t.Errorf("so many rows and no more: %q", r.body)
	}
	if r := w.ask(analyst, "SELECT number FROM numbers(10)", "max_result_rows", "3"); !r.refused() {
		t.Errorf("a limit that cuts: %q", r.body)
	}
	for _, path := range []string{"/ping", "/"} {
		answer, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(answer.Body); string(body) != "Ok.\n" {
			t.Errorf("%s: %q", path, body)
		}
		answer.Body.Close()
	}
}

// Own lists come as external tables; what is not a list of columns is refused.
func TestExternalTables(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	send := func(statement, structure, format, data string) reply {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("mine", "mine")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(part, data); err != nil {
			t.Fatal(err)
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, w.url+"/?"+url.Values{"query": {statement}, "mine_structure": {structure}, "mine_format": {format}}.Encode(), &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		return w.do(access.Agency, r)
	}
	if r := send("SELECT service, count() FROM request_submitted_v1 WHERE (agency, region) IN mine GROUP BY service", "agency String, region String", "TSV", "mine\t1718\ntheirs\t1726\n"); r.body != "service-of-mine\t100\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := send("SELECT sum(a), any(b) FROM mine", "a Nullable(Decimal(10, 2)), `b c` Array(Tuple(x Enum8('it' = 1), y UInt8))", "CSV", `1.5,"[]"`+"\n"); !r.refused() || r.status != http.StatusNotFound {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, structure := range []string{"a String DEFAULT file('/etc/passwd')", "a String, PRIMARY KEY(file('/etc/passwd'))", "a String) ENGINE = File(CSV, '/etc/passwd') --", "a String, PROJECTION p (SELECT file('/etc/passwd'))",
		"a String, INDEX i (file('x')) TYPE minmax", "a String ALIAS file('/etc/passwd')", "a String CODEC(ZSTD)", "a", "", "a String; DROP TABLE ombor.services", "`a` b` String", "a String, CONSTRAINT c CHECK (1)"} {
		if r := send("SELECT * FROM mine", structure, "CSV", "x\n"); !r.refused() {
			t.Errorf("%s: %s", structure, r.body)
		}
	}
	for _, format := range []string{"Values", "Template", "Regexp", "Protobuf", "CustomSeparated"} {
		if r := send("SELECT * FROM mine", "a String", format, "(file('/etc/hostname'))"); r.code() != protocol.CodeUnknownFormat {
			t.Errorf("%s: %s", format, r.body)
		}
	}
}

// A query ends when its client goes, when it is killed by its own id, and at its limits.
func TestEnding(t *testing.T) {
	w := newWorld(t, governed.Limits{Time: time.Minute, Running: 2, Each: 1, Waiting: 1, Wait: 100 * time.Millisecond})
	begin := func(id string) (ended chan reply) {
		ended = make(chan reply, 1)
		go func() {
			ended <- w.ask(access.Analyst, "SELECT sum(sipHash64(number % 7)) FROM system.numbers LIMIT 1", "query_id", id)
		}()
		for begun := false; !begun; { // until the engine runs it
			select {
			case r := <-ended:
				t.Fatalf("it ended by itself: %s", r.body)
			default:
			}
			begun = enginetest.Shared(t).Exec(t, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number % 7)%' AND query NOT LIKE '%processes%'") == "1\n"
		}
		return ended
	}
	running := begin("one")
	if r := w.ask(access.Analyst, "SELECT 1", "query_id", "one"); r.code() != protocol.CodeSameQueryID {
		t.Errorf("an id twice: %s", r.body)
	}
	if r := w.ask(access.Analyst, "SELECT count() FROM calendar"); r.code() != protocol.CodeTooManySimultaneous || r.header.Get("Retry-After") == "" {
		t.Errorf("more than one at once: %d %s", r.status, r.body)
	}
	if r := w.ask(access.Center, "SELECT count() > 0 FROM calendar"); r.body != "1\n" {
		t.Errorf("somebody else has to wait for it: %d %s", r.status, r.body)
	}
	if r := w.ask(access.Analyst, "SELECT version() != ''"); r.body != "1\n" {
		t.Errorf("what reads no rows has to wait: %s", r.body)
	}
	if r := w.ask(access.Center, "KILL QUERY WHERE query_id = 'one'"); r.body != "" {
		t.Errorf("somebody else kills it: %s", r.body)
	}
	if r := w.ask(access.Analyst, "KILL QUERY WHERE query_id = 'one' SYNC"); !strings.HasPrefix(r.body, "waiting\tone\t") {
		t.Errorf("KILL: %q", r.body)
	}
	if r := <-running; r.code() != protocol.CodeQueryWasCancelled {
		t.Errorf("a killed query answers %d %s", r.status, r.body)
	}
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader("SELECT sum(sipHash64(number % 7)) FROM system.numbers LIMIT 1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.keys[access.Analyst])
	gone := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
		}
		gone <- err
	}()
	processes := func() string {
		return enginetest.Shared(t).Exec(t, "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number % 7)%' AND query NOT LIKE '%processes%'")
	}
	for processes() == "0\n" {
		select {
		case err := <-gone:
			t.Fatalf("it ended by itself: %v", err)
		default:
		}
	}
	leave()
	<-gone
	for processes() != "0\n" { // or the test's own time ends it
	}
}

// In front of a server the door is the same, and signs in as the user of its address.
func TestServer(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	asked := make(chan *http.Request, 10)
	client := enginetest.Shared(t).Client()
	behind := client.Transport
	door, err := governed.New(governed.Config{Gate: w.gate, Engine: governed.Engine{Client: client, URL: "https://ombor_analyst:hush@warehouse:8443/"}, Database: "ombor", Own: filled.own})
	if err != nil {
		t.Fatal(err)
	}
	client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		asked <- r.Clone(r.Context())
		r.URL.Scheme = "http" // the engine of the tests has no certificate
		return behind.RoundTrip(r)
	})
	server := httptest.NewServer(door)
	defer server.Close()
	w.url = server.URL
	if r := w.ask(access.Agency, "SELECT DISTINCT agency FROM request_submitted_v1"); r.body != "mine\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	close(asked)
	for r := range asked {
		if r.URL.Host != "warehouse:8443" || r.URL.User != nil || r.URL.Query().Has("readonly") || r.Header.Get("X-ClickHouse-User") != "ombor_analyst" || r.Header.Get("X-ClickHouse-Key") != "hush" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
	}
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The engine's parser reads every statement of the users' SQL. Whether a server obeys it is not tested here.
func TestUsers(t *testing.T) {
	sql := governed.Users("dgc_", governed.Limits{})
	statements := 0
	for statement := range strings.SplitSeq(remarks.ReplaceAllString(sql, ""), ";") {
		if statement = strings.TrimSpace(statement); statement != "" {
			statements++
			enginetest.Shared(t).Exec(t, "EXPLAIN AST "+statement)
		}
	}
	if statements < 20 || strings.Contains(sql, " facts.") || governed.Users("dgc_", governed.Limits{}) == sql {
		t.Errorf("%d statements, or the prefix is missing, or the passwords are the same:\n%s", statements, sql)
	}
}

var remarks = regexp.MustCompile(`--.*`)

// What the gate lets through holds nothing that is refused, as the engine writes it again: a second
// reading of the same statement, by other code than the one that judged. And run as an agency it shows nothing of others.
func FuzzGate(f *testing.F) {
	for _, list := range []string{"hostile.sql", "legit.sql"} {
		for _, s := range statements(f, list) {
			f.Add(s)
		}
	}
	w := newWorld(f, governed.Limits{Time: 100 * time.Millisecond, Memory: 128 << 20, ResultRows: 100_000, Result: 4 << 20})
	engine := enginetest.Shared(f)
	f.Fuzz(func(t *testing.T, statement string) {
		text, err := w.door.Judge(context.Background(), statement, &access.Principal{ID: "fuzz", Roles: []access.Role{access.Agency}, Agency: "mine"})
		if err != nil || text == "" {
			return
		}
		written, err := engine.Query(context.Background(), "SELECT formatQuerySingleLine("+protocol.QuoteString(text)+") FORMAT TabSeparatedRaw")
		if err != nil {
			return // the engine cannot read it: it does not run either
		}
		if found := refusedInside.FindString(literals.ReplaceAllString(written, "''")); found != "" {
			t.Errorf("%q passes with %q in it: %s", statement, found, written)
		}
		if strings.Contains(statement, "canary") {
			return
		}
		asking := *w
		asking.TB = t
		r := asking.ask(access.Agency, statement)
		for _, hidden := range []string{canaryOthers, canarySpecial, "root:x:"} {
			if strings.Contains(r.body, hidden) {
				t.Errorf("%q shows an agency %q: %.300s", statement, hidden, r.body)
			}
		}
	})
}

var (
	literals      = regexp.MustCompile(`'(?:[^'\\]|\\.|'')*'`)
	refusedInside = regexp.MustCompile("(?i)\\b(?:file|url|s3|remote|remoteSecure|cluster|clusterAllReplicas|merge|mergeTreeIndex|loop|view|eval|executable|dictGet|joinGet|hasColumnInTable|sleep|getSetting|input|mysql|postgresql)`?\\s*\\(|" +
		"\\b(?:FROM|JOIN|IN)(?:[\\s(]+`?|`)(?:facts|rollups|meta)`?\\s*\\.|\\bOUTFILE\\b|\\bINFILE\\b|\\bAPPLY\\b|^\\s*(?:INSERT|CREATE|DROP|ALTER|SYSTEM|GRANT|SET|KILL|ATTACH|BACKUP)\\b|;")
)

// While the warehouse does not hold everything no statement is answered with less, and clients are told when to come
// again; what asks for nothing of it is answered, and the log has all of them.
func TestWarehouseMadeAnew(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	w.notReady = &problem.Error{Kind: problem.Unavailable, Message: "the warehouse is made anew: 40 %", RetryAfter: 2 * time.Second}
	r := w.ask(access.Analyst, "SELECT count() FROM request_submitted_v1")
	if r.status != http.StatusServiceUnavailable || r.code() != protocol.CodeUnavailable || !strings.Contains(r.body, "made anew: 40 %") || r.header.Get("Retry-After") == "" {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if r := w.ask(access.Analyst, "USE ombor"); r.refused() {
		t.Errorf("USE: %s", r.body)
	}
	w.notReady = nil
	if r := w.ask(access.Analyst, "SELECT count() FROM request_submitted_v1"); r.refused() {
		t.Errorf("afterwards: %s", r.body)
	}
	entries, err := w.log.Read(t.Context(), audit.Filter{})
	if err != nil || len(entries) != 3 || entries[0].Allowed != true || entries[2].Allowed || !strings.Contains(entries[2].Why, "made anew") {
		t.Errorf("%+v, %v", entries, err)
	}
}
