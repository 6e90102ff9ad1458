//go:build bench

package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/simulate"
)

// benches holds what the measurements keep between runs: the events and the last
// report of each. Data folders are made below it too, on the disk that is measured.
var benches = filepath.Join(root, ".tools", "bench")

// number is a positive number from the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a whole number from 1", name, text)
	}
	return n
}

// share is a number above 0 and up to 100 from the environment.
func share(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= 100) {
		t.Fatalf("%s=%q: want a number above 0, at most 100", name, text)
	}
	return n
}

// fresh is an empty folder that goes with the test.
func fresh(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(benches, "data-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// report is what a measurement prints: on standard error as it goes, and in a file
// that make prints at the end, so that its last lines are make's last lines.
type report struct {
	t    *testing.T
	file *os.File
}

func newReport(t *testing.T, name string) *report {
	t.Helper()
	if err := os.MkdirAll(benches, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(benches, name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	return &report{t, file}
}

func (r *report) say(format string, a ...any) {
	r.t.Helper()
	line := fmt.Sprintf(format, a...) + "\n"
	fmt.Fprint(os.Stderr, line)
	if _, err := r.file.WriteString(line); err != nil {
		r.t.Fatal(err)
	}
}

// machine says what the figures were measured on.
func (r *report) machine(engineVersion string) {
	r.say("date      %s", time.Now().UTC().Format("2006-01-02 15:04 MST"))
	r.say("machine   %s, %d cores, %s memory, Linux %s", after(r.t, "/proc/cpuinfo", "model name"), runtime.NumCPU(),
		after(r.t, "/proc/meminfo", "MemTotal"), strings.TrimSpace(contents(r.t, "/proc/sys/kernel/osrelease")))
	r.say("versions  %s, engine %s", runtime.Version(), engineVersion)
}

func load(t *testing.T) string {
	return strings.Join(strings.Fields(contents(t, "/proc/loadavg"))[:3], " ")
}

func contents(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// after is what follows "name:" in a file of /proc; "" when nothing does.
func after(t testing.TB, file, name string) string {
	t.Helper()
	for line := range strings.Lines(contents(t, file)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// usage is what a process has taken so far.
type usage struct {
	peak int64         // resident memory at its highest, bytes; 0 is not known
	cpu  time.Duration // of all its threads, in user and kernel
}

func usageOf(t *testing.T, pid int) usage {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", pid)
	kib, err := strconv.ParseInt(strings.TrimSuffix(after(t, proc+"status", "VmHWM"), " kB"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	// proc(5): fields 14 and 15 are utime and stime in ticks of 1/100 s; the second field
	// is a name in brackets that may hold anything.
	stat := contents(t, proc+"stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return usage{kib << 10, time.Duration(ticks) * 10 * time.Millisecond}
}

// since is what was taken after an earlier reading; the peak is of the whole life.
func (u usage) since(before usage) usage { return usage{u.peak, u.cpu - before.cpu} }

// engineOf is the process of the engine that a server has started.
func (s *server) engineOf() int {
	s.t.Helper()
	parent := strconv.Itoa(s.command.Process.Pid)
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), "\nPPid:\t"+parent+"\n") {
			continue // it has ended, or is another's child
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			s.t.Fatal(err)
		}
		return pid
	}
	s.t.Fatal("the server has no engine")
	return 0
}

// socket is that of the server's engine.
func (s *server) socket() string {
	s.t.Helper()
	var note struct{ Engine string }
	if err := json.Unmarshal([]byte(contents(s.t, filepath.Join(s.data, "running.json"))), &note); err != nil {
		s.t.Fatal(err)
	}
	return note.Engine
}

// engine starts 'ombor engine' alone on an empty folder.
func engine(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	s := &server{t: t, data: fresh(t), url: "http://" + address, exited: make(chan struct{})}
	s.start(root, "engine", "--path", filepath.Join(s.data, "engine"), "--listen", address)
	deadline := time.Now().Add(time.Minute)
	for {
		if response, err := http.Get(s.url + "/ping"); err == nil {
			response.Body.Close()
			return s
		}
		select {
		case <-s.exited:
			t.Fatalf("the engine ended: %s", s.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine is not ready: %s", s.log.String())
		}
	}
}

// statement runs one statement on an engine and returns its answer.
func (s *server) statement(sql string) string {
	s.t.Helper()
	response, err := http.Post(s.url, "text/plain", strings.NewReader(sql))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s\n%s: %s %v", sql, response.Status, body, err)
	}
	return strings.TrimSpace(string(body))
}

// sql asks the warehouse of a running server.
func (s *server) sql(query string) string {
	s.t.Helper()
	r := engineSQL(s.t, s.data, query, "TSV")
	if r.code != 0 {
		s.t.Fatalf("%s: exit %d: %s", query, r.code, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// embedded is the pack that the events are of.
func embedded(t *testing.T) *pack.Pack {
	t.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// nationalYear is how many requests are decided in the simulated year at full scale:
// 8.3 million for certificates, which is the published number, and the others.
const nationalYear = 10_700_000

var enough = errors.New("as many events as were wanted")

// decided writes the first n simulated decisions of a year, nothing twice, as NDJSON,
// and returns the file and its size in bytes. Scale is the density, 1 that of the
// country. It is made once: remove .tools/bench after a change of the simulation.
func decided(t *testing.T, p *pack.Pack, n int, scale float64) (file string, size int64) {
	t.Helper()
	if err := os.MkdirAll(benches, 0o755); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(benches, fmt.Sprintf("decided-%d-%.4f.ndjson", n, scale))
	if _, err := os.Stat(file); err != nil {
		fmt.Fprintf(os.Stderr, "simulating %d decisions\n", n)
		g, err := simulate.New(p, simulate.Options{Seed: 1, Scale: scale, LateShare: simulate.UsualLateShare})
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(file + ".new")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		only := &onlyLines{mark: []byte(`"type":"` + decisions(t, p).Type + `"`), left: n, out: out}
		if _, err := g.WriteTo(t.Context(), only, nil); err != nil && !errors.Is(err, enough) {
			t.Fatal(err)
		}
		if only.left > 0 {
			t.Fatalf("a year at scale %g is %d decisions short of %d", scale, only.left, n)
		}
		if err := out.Sync(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(out.Name(), file); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, info.Size()
}

func decisions(t *testing.T, p *pack.Pack) *contract.Contract {
	t.Helper()
	c := p.Set.ByName("request.decided", 0)
	if c == nil {
		t.Fatal("the pack has no contract request.decided")
	}
	return c
}

// onlyLines passes on the first lines that hold a mark, and ends with enough.
type onlyLines struct {
	mark []byte
	left int // lines still wanted
	out  io.Writer
	part []byte // of a line that has not ended
}

func (o *onlyLines) Write(p []byte) (int, error) {
	rest := append(o.part, p...)
	var keep []byte
	for o.left > 0 {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		if bytes.Contains(rest[:end], o.mark) {
			keep = append(keep, rest[:end+1]...)
			o.left--
		}
		rest = rest[end+1:]
	}
	o.part = append([]byte(nil), rest...)
	if _, err := o.out.Write(keep); err != nil {
		return 0, err
	}
	if o.left == 0 {
		return 0, enough
	}
	return len(p), nil
}

// quantile is the smallest of values that at least a share q of them does not exceed.
func quantile[T int64 | float64 | time.Duration](values []T, q float64) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1))]
}

// median is the middle value, of an even number the lower of two.
func median[T int64 | float64 | time.Duration](values []T) T { return quantile(values, 0.5) }

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
