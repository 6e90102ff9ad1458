//go:build bench

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// race is what the contestants of 'make bench-ingest' share: the same events, the
// same tables. docs/performance.md says what each of them does and leaves out.
type race struct {
	pack     *pack.Pack
	contract *contract.Contract
	file     string
	bytes    int64
	events   int
	again    string        // the file with every tenth event twice
	cut      reference.Day // the day on which the rows are received: today, in the pack's zone

	facts   string   // what every contestant must have made of the events
	rollups []string // the same for each rollup
	engine  string   // version
}

// finish is how one contestant came in.
type finish struct {
	events int   // sent
	bytes  int64 // of them
	took   time.Duration
	used   []process
	stages []time.Duration // of which facts, rollups, Parquet; the last two at the same time
}

// cpu is the processor time of all processes.
func (f finish) cpu() (sum time.Duration) {
	for _, p := range f.used {
		sum += p.cpu
	}
	return sum
}

// process is what one process took for it.
type process struct {
	name string
	usage
}

// TestBenchIngest measures Ombor against its own engine and against a plain
// inserter. It fails when a contestant did not do the same work, never for a time.
func TestBenchIngest(t *testing.T) {
	r := newReport(t, "ingest")
	events, rounds := number(t, "EVENTS", 2_000_000), number(t, "ROUNDS", 3)
	scale := share(t, "SCALE", 1)
	p := embedded(t)
	in := &race{pack: p, contract: decisions(t, p), events: events, cut: reference.DayOf(time.Now().In(p.Zone))}
	in.file, in.bytes = decided(t, p, events, scale)
	in.again = repeated(t, in.file)
	contestants := []struct {
		name, about string
		run         func(*testing.T) finish
	}{
		{"ombor", "ombor load to ombor serve, everything embedded, fsync on: checked, journalled, counted once, facts, rollups, Parquet",
			func(t *testing.T) finish { return in.ombor(t, in.file, 0) }},
		{"same work", "the engine alone: facts from file(), the same rollups, the same rows as Parquet; no checks, no journal, nothing counted once", in.sameWork},
		{"engine", "the engine alone: facts from file(), nothing else", in.bareLoad},
		{"naive", "encoding/json and clickhouse-go batches of 100 000 rows, one goroutine: facts, nothing else", in.naive},
		{"repeats", "ombor with every tenth event sent a second time; events/s of what was sent",
			func(t *testing.T) finish { return in.ombor(t, in.again, events/10) }},
	}
	finishes := make([][]finish, len(contestants))
	began := load(t)
	for round := range rounds {
		for i := range contestants {
			i := (i + round) % len(contestants) // nobody is always the first
			c := contestants[i]
			t.Run(fmt.Sprintf("%d %s", round+1, c.name), func(t *testing.T) {
				f := c.run(t)
				if f.events == 0 {
					f.events, f.bytes = in.events, in.bytes
				}
				finishes[i] = append(finishes[i], f)
				fmt.Fprintf(os.Stderr, "round %d, %s: %s\n", round+1, c.name, seconds(f.took))
			})
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	r.machine(in.engine)
	r.say("load      %s before the first round, %s after the last (1, 5, 15 minutes)", began, load(t))
	r.say("settings  Ombor and engine as they come: fsync_after_insert = 1, fsync_part_directory = 1, engine memory limit 2 GiB, one file, rounds: %d", rounds)
	r.say("events    %d request.decided at %g times the density of the country, %d bytes of NDJSON (%d a line)", events, scale, in.bytes, in.bytes/int64(events))
	r.say("")
	for i, c := range contestants {
		var took []time.Duration
		for _, f := range finishes[i] {
			took = append(took, f.took)
		}
		middle := median(took)
		f := finishes[i][0]
		r.say("%-9s  %s median, %s to %s: %.0f events/s, %.1f MB/s", c.name, seconds(middle), seconds(quantile(took, 0)), seconds(quantile(took, 1)),
			float64(f.events)/middle.Seconds(), float64(f.bytes)/1e6/middle.Seconds())
		r.say("           %s", c.about)
		for k, process := range finishes[i][0].used {
			var peak int64
			var cpu []time.Duration
			for _, f := range finishes[i] {
				peak, cpu = max(peak, f.used[k].peak), append(cpu, f.used[k].cpu)
			}
			resident := ""
			if peak > 0 {
				resident = ", " + mebibytes(peak) + " resident at most"
			}
			r.say("           %-16s %s of processor time%s", process.name, seconds(median(cpu)), resident)
		}
		for k := range finishes[i][0].stages {
			var took []time.Duration
			for _, f := range finishes[i] {
				took = append(took, f.stages[k])
			}
			r.say("           %-16s %s", []string{"facts", "rollups", "Parquet"}[k], seconds(median(took)))
		}
	}
	r.say("")
	r.say("processor time of a million events, median of the rounds:")
	for i, c := range contestants {
		f := finishes[i]
		line := ""
		for k, process := range f[0].used {
			var cpu []time.Duration
			for _, f := range f {
				cpu = append(cpu, f.used[k].cpu)
			}
			line += fmt.Sprintf(", %s %.2f s", process.name, median(cpu).Seconds()*1e6/float64(f[0].events))
		}
		var all []float64
		for _, f := range f {
			all = append(all, f.cpu().Seconds()*1e6/float64(f.events))
		}
		r.say("  %-9s  %.2f s: %s", c.name, median(all), strings.TrimPrefix(line, ", "))
	}
	r.say("")
	var repeats []float64
	for round := range rounds {
		plain, twice := finishes[0][round], finishes[4][round]
		repeats = append(repeats, float64(twice.events)/twice.took.Seconds()/(float64(plain.events)/plain.took.Seconds()))
	}
	r.say("With every tenth event sent twice, Ombor takes %.2f times as many events a second (%.2f to %.2f); goal: 0.85.", median(repeats), quantile(repeats, 0), quantile(repeats, 1))
	r.say("")
	r.say("Ombor's events/s to the other's, median of the rounds (lowest to highest); and an estimate of it from the processor")
	r.say("time of all processes, which others on the machine disturb less: what it would be if nobody ever waited.")
	ratios := []struct {
		name  string
		other int
	}{{"ingest/naive", 3}, {"ingest/same-work", 1}, {"ingest/engine", 2}}
	var last []string
	for _, of := range ratios {
		var all, byCPU []float64
		for round := range rounds {
			ombor, other := finishes[0][round], finishes[of.other][round]
			all = append(all, other.took.Seconds()/ombor.took.Seconds())
			byCPU = append(byCPU, other.cpu().Seconds()/ombor.cpu().Seconds())
		}
		r.say("  %-9s  %.2f (%.2f to %.2f)   by processor time %.2f", contestants[of.other].name, median(all), quantile(all, 0), quantile(all, 1), median(byCPU))
		last = append(last, fmt.Sprintf("%s ratio %.2f", of.name, median(all)))
	}
	r.say("%s", strings.Join(last, "\n"))
}

// ombor sends a file to a new server and waits until it is in facts, rollups and lake.
// Twice is how many of its events have come before.
func (in *race) ombor(t *testing.T, file string, twice int) finish {
	s := serve(t, fresh(t))
	in.settle(s)
	command := exec.Command(binary, "load", file, "--data", s.data, "--wait", "--format", "json")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	door, engine := usageOf(t, s.command.Process.Pid), usageOf(t, s.engineOf())
	began := time.Now()
	err := command.Run()
	took := time.Since(began)
	var l loaded
	if err != nil || json.Unmarshal([]byte(lastLine(stdout.String())), &l) != nil || l.Accepted != int64(in.events) || l.Duplicate != int64(twice) {
		t.Fatalf("load: %v: %s\n%s\n%s", err, stdout.String(), stderr.String(), s.log.String())
	}
	client := usage{cpu: command.ProcessState.UserTime() + command.ProcessState.SystemTime()}
	if of, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		client.peak = of.Maxrss << 10
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	f := finish{events: in.events + twice, bytes: info.Size(), took: took, used: []process{
		{"load", client},
		{"door and loader", usageOf(t, s.command.Process.Pid).since(door)},
		{"engine", usageOf(t, s.engineOf()).since(engine)},
	}}
	in.sameFacts(t, s.sql)
	in.sameRollups(t, in.open(t, warehouse.Config{Socket: s.socket()}), s.sql)
	lake := filepath.Join(s.data, "lake", in.contract.Table(), "**", "*.parquet")
	if rows := s.sql("SELECT count() FROM file('" + lake + "', Parquet)"); rows != fmt.Sprint(in.events) {
		t.Errorf("the lake has %s rows, want %d", rows, in.events)
	}
	if in.engine == "" {
		in.engine = s.sql("SELECT version()")
	}
	return f
}

// settle waits until the pack's own events are loaded, so that they are not measured.
func (in *race) settle(s *server) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var status struct{ Journal, Loaded uint64 }
		response, err := http.Get(s.url + "/v1/status")
		if err == nil {
			err = json.NewDecoder(response.Body).Decode(&status)
			response.Body.Close()
		}
		if err == nil && status.Journal > 0 && status.Loaded == status.Journal {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the pack's own events are not loaded: %+v %v", status, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// open is the warehouse of an engine, with the tables of the pack: Ombor's own
// migration makes them, so that they cannot differ from Ombor's.
func (in *race) open(t *testing.T, where warehouse.Config) *warehouse.Warehouse {
	t.Helper()
	where.Persons = in.pack.K
	w, err := warehouse.Open(t.Context(), where, in.pack.Set, in.pack.KPIs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() }) // its engine is about to be stopped
	if err := w.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

const batch = 1 // of the rows that the engine inserts by itself

// sameWork lets the engine do alone what can be seen of Ombor's work afterwards.
func (in *race) sameWork(t *testing.T) finish {
	s := engine(t)
	w := in.open(t, warehouse.Config{URL: s.url})
	parquet := filepath.Join(s.data, "decided.parquet")
	before := usageOf(t, s.command.Process.Pid)
	began := time.Now()
	s.statement(in.insert(t, w))
	facts := time.Now()
	var rolledUp time.Duration
	// Ombor writes the lake beside the rollups: so does its rival.
	var group errgroup.Group
	group.Go(func() error {
		err := w.ApplyRollups(t.Context(), in.contract, in.cut, batch)
		rolledUp = time.Since(facts)
		return err
	})
	s.statement(fmt.Sprintf("INSERT INTO FUNCTION file('%s', Parquet) SELECT * FROM %s ORDER BY _day\n"+
		"SETTINGS output_format_parquet_compression_method = 'zstd', output_format_parquet_row_group_size = %d", parquet, w.Facts(in.contract), 128<<10))
	if err := syncFile(parquet); err != nil {
		t.Fatal(err)
	}
	written := time.Since(facts)
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	f := finish{took: took, used: []process{{"engine", usageOf(t, s.command.Process.Pid).since(before)}}, stages: []time.Duration{facts.Sub(began), rolledUp, written}}
	in.sameFacts(t, s.statement)
	in.sameRollups(t, w, s.statement)
	if rows := s.statement(fmt.Sprintf("SELECT count() FROM file('%s', Parquet)", parquet)); rows != fmt.Sprint(in.events) {
		t.Errorf("the engine's Parquet has %s rows, want %d", rows, in.events)
	}
	return f
}

// bareLoad lets the engine fill the table of facts and do nothing else.
func (in *race) bareLoad(t *testing.T) finish {
	s := engine(t)
	w := in.open(t, warehouse.Config{URL: s.url})
	before := usageOf(t, s.command.Process.Pid)
	began := time.Now()
	s.statement(in.insert(t, w))
	took := time.Since(began)
	f := finish{took: took, used: []process{{"engine", usageOf(t, s.command.Process.Pid).since(before)}}}
	in.sameFacts(t, s.statement)
	return f
}

// repeated is the file with every tenth event a second time, some thousands of events
// later: a sender that did not hear the answer. It is made once.
func repeated(t *testing.T, file string) string {
	t.Helper()
	again := strings.TrimSuffix(file, ".ndjson") + "-repeats.ndjson"
	if _, err := os.Stat(again); err == nil {
		return again
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() // it was only read
	out, err := os.Create(again + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	lines, w := bufio.NewScanner(in), bufio.NewWriterSize(out, 1<<20)
	lines.Buffer(nil, 1<<20)
	var late [][]byte
	for n := 1; lines.Scan(); n++ {
		w.Write(lines.Bytes()) // Flush tells what went wrong
		w.WriteByte('\n')
		if n%10 == 0 {
			late = append(late, append(bytes.Clone(lines.Bytes()), '\n'))
		}
		if n%50_000 == 0 {
			w.Write(bytes.Join(late, nil))
			late = late[:0]
		}
	}
	w.Write(bytes.Join(late, nil))
	err = errors.Join(lines.Err(), w.Flush(), out.Sync())
	if err == nil {
		err = os.Rename(out.Name(), again)
	}
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func syncFile(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close() // it was only read
	return file.Sync()
}

// insert is the statement by which the engine reads the events itself. Identities and
// persons are hashed with a key to 128 bits as at the door, but by SipHash: HMAC in
// the engine takes longer than all the rest. That is in the engine's favour.
func (in *race) insert(t *testing.T, w *warehouse.Warehouse) string {
	t.Helper()
	hash := func(of string) string {
		return "reinterpretAsUUID(sipHash128Keyed((toUInt64(81985529216486895), toUInt64(1147797409030816545)), " + of + "))"
	}
	var members []string
	columns := map[string]string{
		"_id": hash("source, id"), "_rev": "0", "_simulated": "simulated", "_source": "source", "time": "time",
		"_day":  "toDate(toTimeZone(time, '" + w.Zone().String() + "'))",
		"_sign": "1", "_cut": "toDate('" + in.cut.String() + "')", "_seq": "rowNumberInAllBlocks()", "_batch": fmt.Sprint(batch),
	}
	for _, f := range in.contract.Fields {
		member, kind := "data.`"+f.Name+"`", ""
		value := member
		switch f.Type {
		case contract.Text, contract.Code, contract.Enum, contract.Ref:
			kind = "String"
			if f.Default != "" {
				value = "if(" + member + " = '', " + in.lookup(t, f) + ", " + member + ")"
			}
		case contract.Person:
			kind, value = "String", "if("+member+" = '', NULL, "+hash(member)+")"
		case contract.Timestamp:
			kind = "DateTime64(3, 'UTC')"
		case contract.Integer, contract.Money, contract.Duration:
			kind = "Int64"
		case contract.Boolean:
			kind = "Bool"
		default:
			t.Fatalf("field %s: say here how the engine reads the type %v from JSON", f.Name, f.Type)
		}
		if kind != "String" && !f.Required {
			kind = "Nullable(" + kind + ")"
		}
		members = append(members, "`"+f.Name+"` "+kind)
		columns[f.Name] = value
	}
	var names, values []string
	for _, c := range warehouse.Columns(in.contract) {
		if columns[c] == "" {
			t.Fatalf("column %s: say here how the engine makes it", c)
		}
		names, values = append(names, "`"+c+"`"), append(values, columns[c])
	}
	structure := "id String, source String, simulated Bool, time DateTime64(3, 'UTC'), data Tuple(" + strings.Join(members, ", ") + ")"
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM file('%s', JSONEachRow, '%s')\nSETTINGS date_time_input_format = 'best_effort', insert_deduplicate = 0",
		w.Facts(in.contract), strings.Join(names, ", "), strings.Join(values, ", "), in.file, strings.ReplaceAll(structure, "'", "\\'"))
}

// lookup is the expression of a field's default, "service.agency": a column of the
// row of a reference table that another field names.
func (in *race) lookup(t *testing.T, f contract.Field) string {
	t.Helper()
	by, column, _ := strings.Cut(f.Default, ".")
	table := in.pack.Reference.Table(in.contract.Field(by).To)
	if table == nil {
		t.Fatalf("field %s: no table for %s", f.Name, f.Default)
	}
	var codes, values []string
	for _, row := range table.Rows() {
		codes, values = append(codes, "'"+row.Code+"'"), append(values, "'"+row.Value(column)+"'")
	}
	return "transform(data.`" + by + "`, [" + strings.Join(codes, ", ") + "], [" + strings.Join(values, ", ") + "], '')"
}

// sameFacts holds a table of facts against those of the contestants before: every
// column but what differs by design, which are the hashes and the places in the journal.
func (in *race) sameFacts(t *testing.T, ask func(string) string) {
	t.Helper()
	var columns, distinct []string
	for _, c := range warehouse.Columns(in.contract) {
		f := in.contract.Field(c)
		switch {
		case c == "_id", f != nil && f.Type == contract.Person:
			distinct = append(distinct, "uniqExact(`"+c+"`)")
		case c == "_cut", c == "_seq", c == "_batch":
		default:
			columns = append(columns, "`"+c+"`")
		}
	}
	got := ask(fmt.Sprintf("SELECT count(), %s, sum(cityHash64(formatRow('TSV', %s))) FROM facts.`%s`",
		strings.Join(distinct, ", "), strings.Join(columns, ", "), in.contract.Table()))
	if in.facts == "" {
		in.facts = got
	}
	if got != in.facts || !strings.HasPrefix(got, fmt.Sprintf("%d\t%d\t", in.events, in.events)) {
		t.Errorf("facts (rows, distinct ids and persons, hash of the rest): %s, another contestant has %s; want %d events", got, in.facts, in.events)
	}
}

// sameRollups does the same for the rollups: rows and what they count.
func (in *race) sameRollups(t *testing.T, w *warehouse.Warehouse, ask func(string) string) {
	t.Helper()
	var got []string
	for _, r := range w.Rollups(in.contract) {
		got = append(got, r.Name+"\t"+ask("SELECT count(), sum(_n), sum(_simulated), toString(max(_last)) FROM "+w.Table(r)+" FINAL"))
	}
	if in.rollups == nil {
		in.rollups = got
	}
	if a, b := strings.Join(got, "\n"), strings.Join(in.rollups, "\n"); a != b {
		t.Errorf("rollups (rows, events, simulated, last):\n%s\nanother contestant has\n%s", a, b)
	}
}
