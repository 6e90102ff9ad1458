package governed_test

import (
	"bufio"
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
	log   *audit.Log
	gate  *access.Gate
	door  *governed.Door
	url   string
	keys  map[access.Role]string
	limit governed.Limits
}

// filled is the engine with its rows, once for all tests.
var filled sync.Once

func fill(t testing.TB) *reference.Set {
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
			if slices.Contains([]string{"request.submitted", "service.changed", contract.FigurePublished}, c.Name) {
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
		at := time.Date(2024, 3, 7, 10, 0, 0, 0, time.UTC)
		var rows []warehousetest.Row
		for i := range uint64(200) {
			data := map[string]any{"request": fmt.Sprint("r", i), "agency": "mine", "service": "service-of-mine", "region": "1718", "applicant": i % 50, "channel": "portal"}
			if i%2 == 1 {
				data["agency"], data["service"], data["region"] = "theirs", canaryOthers, "1726"
			}
			rows = append(rows, warehousetest.Row{ID: i + 1, Time: at.Add(time.Duration(i) * time.Minute), Batch: 1, Data: data})
		}
		warehousetest.Insert(t, w, w.Contract("request.submitted"), rows)
		warehousetest.Insert(t, w, w.Contract("register.entered"), []warehousetest.Row{{ID: 1, Time: at, Batch: 1, Data: map[string]any{"illness": canarySpecial}}})
	})
	return p.Reference
}

func newWorld(t testing.TB, limits governed.Limits) *world {
	t.Helper()
	refs := fill(t)
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
	config := governed.Config{Gate: w.gate, Engine: governed.Engine{Client: enginetest.Shared(t).Client()}, Database: "ombor", Reference: []string{"calendar"}, Limits: limits}
	for _, table := range refs.Tables() {
		config.Reference = append(config.Reference, table, table+"_history")
	}
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
		if want := asked[i]; len(want) < 100 && !strings.ContainsAny(want, "\x00\xef") && !longNumber.MatchString(want) && e.Object != want {
			w.Errorf("entry %d tells %q, asked was %q", i, e.Object, want)
		}
	}
}

// What analysts ask works for analysts and for an agency, and an agency sees its own rows alone.
func TestLegit(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	for _, s := range statements(t, "legit.sql") {
		for _, role := range []access.Role{access.Analyst, access.Agency} {
			r := w.ask(role, s)
			if r.refused() {
				t.Errorf("%s as %s: %s", s, role, r.body)
			}
			if role == access.Agency && strings.Contains(r.body, canaryOthers) {
				t.Errorf("%s: an agency sees rows of another", s)
			}
		}
	}
}

var _ = []any{bufio.NewReader, bytes.NewReader, gzip.NewReader, multipart.NewWriter}
