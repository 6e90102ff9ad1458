//go:build endtoend

package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"ombor/ingest/journal"
	"ombor/internal/pack"
	"ombor/internal/stream"
)

// decidedIn writes simulated events of one type to a file, and returns how many different
// ones there are.
func decidedIn(t *testing.T, file string, events int) int64 {
	t.Helper()
	all := filepath.Join(t.TempDir(), "all.ndjson")
	if r := ombor(t, "simulate", "--events", fmt.Sprint(events), "--duplicates", "0", "-o", all); r.code != 0 {
		t.Fatal(r.stderr)
	}
	text, err := os.ReadFile(all)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte(`"type":"uz.gov.request.decided.v1"`)) {
			out.Write(line)
		}
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	n := int64(bytes.Count(out.Bytes(), []byte("\n")))
	if n == 0 {
		t.Fatal("nothing was decided")
	}
	return n
}

// TestColumnsOfDuckDB sends the same events as lines, and then as the Parquet that DuckDB
// makes of them, through 'ombor load' and straight to the door. Every event is known
// already, with the same content to the last digit: nothing was lost in columns.
func TestColumnsOfDuckDB(t *testing.T) {
	dir := t.TempDir()
	lines := filepath.Join(dir, "lines.ndjson")
	n := decidedIn(t, lines, 30_000)
	s := serve(t, t.TempDir())
	if l, r := s.load(lines); l.Accepted != n || r.code != 0 {
		t.Fatalf("%+v, want %d accepted\n%s", l, n, r.stderr)
	}

	fields := `request VARCHAR, applicant VARCHAR, company VARCHAR, applicant_kind VARCHAR, service VARCHAR, region VARCHAR, district VARCHAR, intake VARCHAR,
		signature_method VARCHAR, processing VARCHAR, records VARCHAR, outcome VARCHAR, delivery VARCHAR, submitted_at TIMESTAMPTZ, documents_demanded BIGINT, documents_avoided BIGINT, fee BIGINT`
	var sample struct{ Data map[string]any }
	for line := range strings.Lines(contentsOf(t, lines)) {
		if err := json.Unmarshal([]byte(line), &sample); err != nil {
			t.Fatal(err)
		}
		for name, value := range sample.Data {
			if regexp.MustCompile(`\b` + name + ` [VTB]`).MatchString(fields) {
				continue
			}
			switch value.(type) {
			case float64:
				fields += ", " + name + " BIGINT"
			case bool:
				fields += ", " + name + " BOOLEAN"
			default:
				fields += ", " + name + " VARCHAR"
			}
		}
	}
	nested, flat := filepath.Join(dir, "nested.parquet"), filepath.Join(dir, "flat.parquet")
	duckRows(t, fmt.Sprintf(`SET TimeZone = 'Asia/Tashkent';
		CREATE TABLE e AS FROM read_json('%s', format = 'newline_delimited', columns = {id: 'VARCHAR', source: 'VARCHAR', type: 'VARCHAR', time: 'TIMESTAMPTZ', simulated: 'BOOLEAN', data: 'STRUCT(%s)'});
		COPY e TO '%s' (COMPRESSION zstd, ROW_GROUP_SIZE 2048);
		COPY (SELECT id, time, simulated, unnest(data) FROM e) TO '%s' (PARQUET_VERSION V2, KV_METADATA {'ce-type': 'uz.gov.request.decided.v1', 'ce-source': 'simulation/portal'});
		SELECT 1`, lines, strings.Join(strings.Fields(fields), " "), nested, flat))
	for _, file := range []string{nested, flat} {
		if l, r := s.load(file); l.Duplicate != n || l.Accepted+l.Rejected+l.Conflict != 0 || r.code != 0 {
			t.Errorf("load %s: %+v, want %d duplicates\n%s", filepath.Base(file), l, n, r.stderr)
		}
		a := s.post("application/vnd.apache.parquet", "", strings.NewReader(contentsOf(t, file)))
		if a.Status != 200 || a.Accepted != n || len(a.Rejected) != 0 {
			t.Fatalf("%s at the door: %d %.500s", filepath.Base(file), a.Status, a.raw)
		}
		if r := s.receipt(a.Receipt); r.Duplicate != n || r.Conflict != 0 {
			t.Errorf("%s at the door: %+v, want %d duplicates", filepath.Base(file), r, n)
		}
	}
	if a := s.post("application/vnd.apache.parquet", "", strings.NewReader(contentsOf(t, flat)[:5000])); a.Status != http.StatusBadRequest || a.Detail == "" {
		t.Errorf("half a file: %d %s", a.Status, a.raw)
	}
}

func contentsOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type receiptOf struct {
	Accepted, Duplicate, Conflict int64
	Loaded                        bool
}

// receipt waits until the events of an answer are loaded.
func (s *server) receipt(id string) receiptOf {
	s.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		response, err := http.Get(s.url + "/v1/receipts/" + id)
		if err != nil {
			s.t.Fatal(err)
		}
		var r receiptOf
		err = json.NewDecoder(response.Body).Decode(&r)
		response.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		if r.Loaded {
			return r
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not loaded after two minutes: %+v\n%s", r, s.log.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestLoadFolders loads a folder with every cover, a pattern and a file that is broken: the
// broken one is named, and all others are loaded, each told on a line of its own.
func TestLoadFolders(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(goodEvent(fmt.Sprint(prefix, i)) + "\n")
		}
		return b.String()
	}
	packed := func(text string, make func(io.Writer) io.WriteCloser) string {
		var b bytes.Buffer
		w := make(&b)
		_, _ = io.WriteString(w, text) // to memory
		_ = w.Close()
		return b.String()
	}
	write("in/a.ndjson", lines("a", 10))
	write("in/deep/b.ndjson.gz", packed(lines("b", 20), func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }))
	write("in/deep/c.jsonl.zst", packed(lines("c", 30), func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z }))
	write("in/deep/cases.csv", caseHeader+"d1,2011-08-01 10:00:00,,,ONTIME,PWDx,Roxbury,Self Service\n")
	write("in/.hidden/z.ndjson", lines("z", 5))
	write("in/notes.txt", "nothing to load")
	write("in/broken.parquet", "PAR1 and nothing else")
	write("more/2011-1.ndjson", lines("e", 5)+"\n\n{\"broken\":\n"+lines("f", 5))
	write("more/2012-1.ndjson", lines("g", 5))

	s := serve(t, t.TempDir(), "--pack", "internal/pack/testdata/boston")
	l, r := s.load("--mapping", "", filepath.Join(dir, "in"), filepath.Join(dir, "more", "2011-*.ndjson"))
	if l.Accepted != 10+20+30+1+10 || l.Rejected != 1 || r.code != 1 {
		t.Errorf("%+v, exit %d, want 71 accepted, 1 rejected, exit 1\n%s", l, r.code, r.stderr)
	}
	mustContain(t, "load", r.stderr, "broken.parquet", "1 of 6 files", "2011-1.ndjson:8:", "bad_json")
	mustContain(t, "load", r.stdout, `c.jsonl.zst","accepted":30,`, `broken.parquet","accepted":0,`, `"error":`)
	if strings.Contains(r.stdout, "hidden") || strings.Contains(r.stdout, "notes.txt") {
		t.Errorf("files were taken that nobody meant:\n%s", r.stdout)
	}
	r = run(t, []byte(lines("in", 3)), binary, "load", "--data", s.data, "--format", "json", "-")
	if mustContain(t, "load -", r.stdout, `"accepted":3`); r.code != 0 {
		t.Errorf("standard input: exit %d %s", r.code, r.stderr)
	}
	for _, c := range []struct {
		code      int
		says      string
		arguments []string
	}{
		{2, "--parallel 0", []string{"--parallel", "0", dir}},
		{1, "no file matches", []string{filepath.Join(dir, "*.nothing")}},
		{1, "holds no file", []string{t.TempDir()}},
	} {
		if r := ombor(t, append([]string{"load", "--data", s.data}, c.arguments...)...); r.code != c.code || !strings.Contains(r.stderr, c.says) {
			t.Errorf("load %v: exit %d, want %d and %q: %s", c.arguments, r.code, c.code, c.says, r.stderr)
		}
	}
}

// TestLoadGoesOn kills a load that has sent a part. Started again it says so, does not send
// that part again, and its summary is of the whole.
func TestLoadGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lines.ndjson")
	n := decidedIn(t, file, 400_000)
	s := serve(t, t.TempDir())
	state := filepath.Join(s.data, "load.state")
	command := exec.Command(binary, "load", "--data", s.data, "--parallel", "1", file)
	command.Dir = root
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	var acknowledged string
	for !strings.Contains(acknowledged, "receipt") {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was acknowledged: %s\n%s", stderr.String(), s.log.String())
		}
		text, _ := os.ReadFile(state) // it is made by and by
		acknowledged = string(text)
		time.Sleep(time.Millisecond)
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	before := s.intake()
	l, r := s.load(file)
	if l.Accepted+l.Duplicate != n || r.code != 0 {
		t.Errorf("%+v, exit %d, want %d in all\n%s", l, r.code, n, r.stderr)
	}
	mustContain(t, "load", r.stderr, "goes on where an earlier load was broken off")
	if sent := s.intake() - before; sent >= n {
		t.Errorf("all %d of %d events were sent again", sent, n)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the state is still there after the end: %v %.300s", err, contentsOf(t, state))
	}
	if r := engineSQL(t, s.data, "SELECT sum(_sign) FROM facts.request_decided_v1", "TSV"); strings.TrimSpace(r.stdout) != fmt.Sprint(n) {
		t.Errorf("the warehouse has %s events, want %d", r.stdout, n)
	}
	if l, _ := s.load(file); l.Duplicate != n {
		t.Errorf("loaded again: %+v, want %d duplicates", l, n)
	}
}

// intake is how many events the door has accepted since the server began.
func (s *server) intake() int64 {
	s.t.Helper()
	response, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`ombor_door_events_total\{outcome="accepted"\} (\d+)`).FindSubmatch(text)
	if found == nil {
		s.t.Fatalf("no count of accepted events: %s", text)
	}
	var n int64
	_, _ = fmt.Sscan(string(found[1]), &n)
	return n
}

// TestNoIdentifierOnDisk sends a person's identifier through every door and to every
// outcome: taken, refused, held, in conflict, withdrawn, with lines, Arrow, Parquet and a
// mapping. It is then in no byte of the data folder, and in nothing that can be read out
// of it: every fact, every file of the lake, every event in quarantine, every message of the
// journal, what the server said, and the state of a load that was broken off.
func TestNoIdentifierOnDisk(t *testing.T) {
	shop := stall("bread")
	shop["mappings/till.yaml"] = `for: shop.sale.v1
files: ["till*.csv"]
id: number
time: {column: at, format: "2006-01-02 15:04"}
fields: {good: good, amount: amount, buyer: buyer}
`
	place := files(t, shop)
	data := t.TempDir()
	s := serve(t, data, "--pack", place, "--log", "debug")

	var said strings.Builder
	send := func(contentType string, body []byte) answer {
		a := s.post(contentType, "", bytes.NewReader(body))
		said.WriteString(a.raw)
		return a
	}
	const lines = "application/x-ndjson"
	a := send(lines, []byte(strings.Join([]string{
		sale("taken", "bread", 1),
		sale("taken", "bread", 2), // conflict
		sale("held", "honey", 1), sale("rule", "bread", 1000),
		sale("refused", "bread", 1) + "}",
		strings.Replace(sale("number", "bread", 1), `"`+buyer+`"`, buyer, 1),
		strings.Replace(sale("field", "bread", 1), `"amount"`, `"`+buyer+`"`, 1),
		sale("in-the-id-"+buyer, "bread", 1),
		strings.Replace(sale("extension", "bread", 1), `"id"`, `"`+"x"+buyer+`":1,"id"`, 1),
		`{"specversion":"1.0","id":"gone","corrects":"taken","revision":1,"withdrawn":true,"source":"till","type":"shop.sale.v1","time":"2024-05-01T10:00:00+05:00"}`,
	}, "\n")))
	if a.Status != 200 || a.Accepted < 3 || len(a.Rejected) < 4 {
		t.Fatalf("%d %s", a.Status, a.raw)
	}
	type row struct {
		ID     string    `parquet:"id"`
		Time   time.Time `parquet:"time,timestamp(millisecond)"`
		Source string    `parquet:"source,dict"`
		Type   string    `parquet:"type,dict"`
		Good   string    `parquet:"good"`
		Amount int64     `parquet:"amount"`
		Buyer  string    `parquet:"buyer"`
	}
	at := time.Date(2024, 5, 1, 5, 0, 0, 0, time.UTC)
	var parquetFile bytes.Buffer
	if err := parquet.Write(&parquetFile, []row{{"p1", at, "till", "shop.sale.v1", "bread", 1, buyer}, {"p1", at, "till", "shop.sale.v1", "bread", 2, buyer},
		{"p2", at, "till", "shop.sale.v1", "honey", 1, buyer}, {"p3-" + buyer, at, "till", "shop.sale.v1", "bread", 1, buyer}, {"p4", at, "till", "shop.sale.v1", buyer, 1, buyer}}); err != nil {
		t.Fatal(err)
	}
	if a := send("application/vnd.apache.parquet", parquetFile.Bytes()); a.Status != 200 || a.Accepted != 2 || len(a.Rejected) != 2 {
		t.Fatalf("Parquet: %d %s", a.Status, a.raw)
	}
	send("application/vnd.apache.parquet", parquetFile.Bytes()[:parquetFile.Len()/2])
	arrowStream := arrowSales(t, "buyer")
	if a := send("application/vnd.apache.arrow.stream", arrowStream); a.Status != 200 || a.Accepted != 2 {
		t.Fatalf("Arrow: %d %s", a.Status, a.raw)
	}
	send("application/vnd.apache.arrow.stream", arrowStream[:len(arrowStream)-20])
	if a := send("application/vnd.apache.arrow.stream", arrowSales(t, buyer)); a.Status != 400 {
		t.Fatalf("a column named %s: %d %s", buyer, a.Status, a.raw)
	}

	till := filepath.Join(t.TempDir(), "till.csv")
	table := "number,at,good,amount,buyer\nm1,2024-05-01 10:00,bread,1," + buyer + "\nm2,2024-05-01 10:00,honey,1," + buyer + "\nm3,2024-05-01 10:00,bread,x," + buyer + "\n" +
		buyer + ",2024-05-01 10:00,bread,1," + buyer + "\nm4,2024-05-01 10:00,bread,1,12" + buyer + "\n"
	if err := os.WriteFile(till, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	l, r := s.load(till)
	if l.Accepted != 1 || l.Rejected != 3 || r.code != 3 {
		t.Fatalf("mapping: %+v, exit %d\n%s", l, r.code, r.stderr)
	}
	// A load that is killed leaves its state behind.
	many := filepath.Join(t.TempDir(), "many.ndjson")
	var text strings.Builder
	for i := range 60_000 {
		text.WriteString(sale(fmt.Sprint("n", i), "bread", i%100) + "\n")
	}
	if err := os.WriteFile(many, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "load", "--data", data, "--parallel", "1", many)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if state, _ := os.ReadFile(filepath.Join(data, "load.state")); bytes.Contains(state, []byte("receipt")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no state after a minute")
		}
	}
	_ = command.Process.Kill()
	_ = command.Wait()
	s.load("--state", filepath.Join(t.TempDir(), "other"), till) // waits until everything is loaded

	clean := func(what, text string) {
		t.Helper()
		if i := strings.Index(text, buyer); i >= 0 {
			t.Errorf("%s holds the identifier: …%s…", what, text[max(0, i-80):min(len(text), i+80)])
		}
	}
	clean("an answer", said.String())
	// What can be read out of the engine and the lake.
	facts := engineSQL(t, data, "SELECT * FROM facts.sale_v1", "JSONEachRow")
	if facts.code != 0 || strings.Count(facts.stdout, "\n") < 5 {
		t.Fatalf("the facts: %s %s", facts.stderr, facts.stdout)
	}
	clean("the warehouse", facts.stdout)
	tables := engineSQL(t, data, "SELECT database || '.' || name FROM system.tables WHERE database IN ('facts', 'rollups') AND engine LIKE '%MergeTree'", "TSV")
	for _, table := range linesOf(tables.stdout) {
		clean(table, engineSQL(t, data, "SELECT * FROM "+table, "JSONEachRow").stdout)
	}
	rows := 0
	for table, names := range lakeFiles(t, filepath.Join(data, "lake")) {
		for _, name := range names {
			all := duckRows(t, fmt.Sprintf("SELECT to_json(COLUMNS(*)) FROM '%s'", name))
			rows += len(all)
			clean("the lake's "+table, strings.Join(all, "\n"))
		}
	}
	if rows == 0 {
		t.Error("nothing was read from the lake")
	}
	held, err := http.Get(s.url + "/v1/quarantine?format=json")
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := io.ReadAll(held.Body)
	held.Body.Close()
	clean("quarantine", string(kept))
	s.stop()
	clean("the log", s.log.String())

	// Every message of the journal, unpacked.
	p, err := pack.Read(os.DirFS(place), pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.Open(t.Context(), stream.Options{Dir: filepath.Join(data, "journal"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	j, err := journal.Open(t.Context(), conn, journal.Options{Contracts: p.Set})
	if err != nil {
		t.Fatal(err)
	}
	last, messages := j.Last(), 0
	if status, err := j.Status(t.Context()); err == nil {
		last = status.Last
	}
	if last == 0 {
		t.Fatal("the journal is empty")
	}
	done := fmt.Errorf("read to the end")
	err = j.Replay(t.Context(), 0, func(m journal.Message) error {
		messages++
		for _, part := range m.Parts {
			if part.Record != nil {
				text, err := part.Record.MarshalJSON()
				if err != nil {
					return err
				}
				clean(fmt.Sprintf("message %d of the journal", m.Seq), string(text))
			}
		}
		if m.Seq >= last {
			return done
		}
		return nil
	})
	if err != done || messages == 0 {
		t.Errorf("%d messages of the journal were read: %v", messages, err)
	}
	j.Close()

	// Every byte, as it lies there.
	seen := map[string]bool{}
	err = filepath.WalkDir(data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		relative, _ := filepath.Rel(data, name)
		seen[strings.Split(relative, string(filepath.Separator))[0]] = true
		clean(relative, contentsOf(t, name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"journal", "engine", "lake", "loader", "load.state", "keys.json"} {
		if !seen[part] {
			t.Errorf("%s is not in the data folder, so nothing was shown of it: %v", part, seen)
		}
	}
}

// arrowSales are two sales as the arrow-go client writes them.
func arrowSales(t *testing.T, buyerColumn string) []byte {
	t.Helper()
	text := arrow.BinaryTypes.String
	metadata := arrow.MetadataFrom(map[string]string{"ce-type": "shop.sale.v1", "ce-source": "till"})
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: text}, {Name: "time", Type: arrow.FixedWidthTypes.Timestamp_s}, {Name: "good", Type: text},
		{Name: "amount", Type: arrow.PrimitiveTypes.Int32}, {Name: buyerColumn, Type: text}}, &metadata)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 2 {
		b.Field(0).(*array.StringBuilder).Append(fmt.Sprint("arrow", i))
		b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(1714539600))
		b.Field(2).(*array.StringBuilder).Append("bread")
		b.Field(3).(*array.Int32Builder).Append(int32(i))
		b.Field(4).(*array.StringBuilder).Append(buyer)
	}
	record := b.NewRecord()
	defer record.Release()
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(record); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
