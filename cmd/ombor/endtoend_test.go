//go:build endtoend || bench

// End-to-end tests: the real binary on real data. They are run by
// 'make test-end-to-end', which builds the binary and installs what they need.
// This file is how they drive it; the measurements of 'make bench-ingest' and
// 'make bench-kpi' drive it the same way.
package main_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is the project's folder.
var root = func() string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}()

// binary is what 'make build' made, or the file that OMBOR_BINARY names.
var binary = cmp.Or(os.Getenv("OMBOR_BINARY"), filepath.Join(root, "bin", "ombor"))

// shared is a file of the real data, which is read in place.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("OMBOR_SHARED")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared")
	}
	full := filepath.Join(dir, "data", name)
	if _, err := os.Stat(full); err != nil {
		t.Fatalf("the real data are not here: %v\nSet OMBOR_SHARED to the folder that holds data/ (see docs/packs.md)", err)
	}
	return full
}

// result is what a finished command left.
type result struct {
	code           int
	stdout, stderr string
}

// ombor runs one command line of the binary to its end.
func ombor(t testing.TB, arguments ...string) result {
	t.Helper()
	return run(t, nil, binary, arguments...)
}

// engineSQL asks the engine of a server itself, behind the door for SQL: as the operator, who may open its socket.
func engineSQL(t testing.TB, data, statement, format string) result {
	t.Helper()
	var r struct{ Engine string }
	note, err := os.ReadFile(filepath.Join(data, "running.json"))
	if err == nil {
		err = json.Unmarshal(note, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	client, address := &http.Client{}, r.Engine
	if filepath.IsAbs(r.Engine) {
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", r.Engine)
		}}
		address = "http://engine"
	}
	answer, err := client.Post(strings.TrimRight(address, "/")+"/?default_format="+format, "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		return result{code: 1, stderr: string(body)}
	}
	return result{stdout: string(body)}
}

func run(t testing.TB, stdin []byte, name string, arguments ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Dir = root
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %v: %v", name, arguments, err)
	}
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// server is a running 'ombor serve'.
type server struct {
	t       testing.TB
	data    string
	url     string
	command *exec.Cmd
	log     bytes.Buffer
	exited  chan struct{}
}

// freeAddress is one of this machine at which nobody listens.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// serve starts the binary on a free port and waits until it is ready.
func serve(t testing.TB, data string, arguments ...string) *server {
	t.Helper()
	return serveAt(t, freeAddress(t), data, arguments...)
}

// serveAt is [serve] at an address that had to be known before.
func serveAt(t testing.TB, address, data string, arguments ...string) *server {
	t.Helper()
	s := &server{t: t, data: data, url: "http://" + address, exited: make(chan struct{})}
	folders.Store(address, data)
	s.start(root, append([]string{"serve", "--data", data, "--listen", address}, arguments...)...)
	deadline := time.Now().Add(5 * time.Minute) // much, on a machine that others share
	for {
		select {
		case <-s.exited:
			t.Fatalf("serve ended: %s", s.log.String())
		default:
		}
		if response, err := http.Get(s.url + "/readyz"); err == nil {
			response.Body.Close()
			// Commands on this machine find the server by a note that it writes a moment later.
			if _, err := os.Stat(filepath.Join(data, "running.json")); err == nil && response.StatusCode == http.StatusOK {
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("serve is not ready: %s", s.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// start runs the binary in a folder until the test ends.
func (s *server) start(dir string, arguments ...string) {
	s.t.Helper()
	s.command = exec.Command(binary, arguments...)
	s.command.Dir = dir
	s.command.Stdout, s.command.Stderr = &s.log, &s.log
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = s.command.Wait(); close(s.exited) }()
	s.t.Cleanup(s.stop)
}

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(time.Minute):
		_ = s.command.Process.Kill()
		<-s.exited
		s.t.Errorf("serve did not stop on SIGTERM: %s", s.log.String())
	}
}

type loaded struct {
	Accepted, Duplicate, Rejected, Conflict, Withdrawn int64
}

// load sends a file and returns what became of it, with the exit code.
func (s *server) load(arguments ...string) (loaded, result) {
	s.t.Helper()
	r := ombor(s.t, append([]string{"load", "--data", s.data, "--wait", "--format", "json"}, arguments...)...)
	var l loaded
	if err := json.Unmarshal([]byte(lastLine(r.stdout)), &l); err != nil {
		s.t.Fatalf("load %v: exit %d, not JSON at the end: %q\n%s\n%s", arguments, r.code, r.stdout, r.stderr, s.log.String())
	}
	return l, r
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

type cell map[string]any

// kpi asks for a KPI through the command line.
func (s *server) kpi(id string, arguments ...string) []cell {
	s.t.Helper()
	r := ombor(s.t, append([]string{"kpi", id, "--data", s.data, "--format", "json"}, arguments...)...)
	if r.code != 0 {
		s.t.Fatalf("kpi %s %v: exit %d: %s\n%s", id, arguments, r.code, r.stderr, s.log.String())
	}
	var answer struct {
		KPI   string
		Cells []cell
	}
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil {
		s.t.Fatalf("kpi %s: %v: %s", id, err, r.stdout)
	}
	if answer.KPI != id {
		s.t.Fatalf("kpi %s answered for %q", id, answer.KPI)
	}
	return answer.Cells
}

// figure is a number of a cell, sent as a JSON number or, for decimals, a string.
func figure(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}

func mustContain(t testing.TB, what, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}
