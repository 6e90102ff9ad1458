// Command conformance runs clickhouse-go's own tests against the embedded engine.
//
//	go run ./warehouse/engine/conformance
//
// It copies the module clickhouse-go at the version of go.mod to .tools/conformance
// (never committed), lets its set-up use HTTP instead of the native protocol, starts
// an engine on a loopback port, and runs the packages tests, tests/std and
// tests/issues. It prints a table and exits 1 when less than 97 % of what applies
// passes, or when something fails that explained.txt does not explain.
//
// What applies is decided by rules, never by name:
//
//   - the test function chooses its protocol (its source mentions TestProtocols,
//     clickhouse.HTTP or "Http"), and the counted test is the node of the HTTP
//     protocol: a test whose last name is HTTP, Http Protocol, http or http Protocol;
//   - its source does not need what is not ClickHouse's HTTP interface: see needs;
//   - it does not dial the native port, which is closed here, nor read
//     system.query_log, which the library does not write;
//   - the suite itself does not skip it.
package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"time"

	"ombor/warehouse/engine"
)

const (
	module   = "github.com/ClickHouse/clickhouse-go/v2"
	wanted   = 97.0 // percent of what applies
	patience = 4 * time.Minute
)

var packages = []string{"tests", "tests/std", "tests/issues"}

//go:embed explained.txt
var explained string

// needs are what the suite asks of its surroundings besides the HTTP interface.
var needs = []struct {
	what   string
	source *regexp.Regexp
}{
	{"containers", regexp.MustCompile(`CreateTinyProxy|CreateNginx|testcontainers`)},
	{"users", regexp.MustCompile(`CREATE USER|createUserWithReadOnlySetting|GetJWTConnection`)},
	{"a cluster", regexp.MustCompile(`ON CLUSTER|InterserverSecret`)},
	{"ClickHouse Cloud", regexp.MustCompile(`SkipNotCloud`)},
	{"log tables of a server", regexp.MustCompile(`system\.(query_log|opentelemetry_span_log)`)},
}

// protocolNode is the last name of a test that stands for the HTTP protocol.
var protocolNode = regexp.MustCompile(`^(?i:http([ _]protocol)?)$`)

func main() {
	engine.RunChildIfAsked()
	verbose := flag.Bool("v", false, "show the output of every failing test")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, verbose bool) (ok bool, err error) {
	suite, version, err := prepare(ctx)
	if err != nil {
		return false, err
	}
	data, err := os.MkdirTemp("", "ombor-conformance-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(data)
	p, err := engine.Start(ctx, engine.Config{Path: data, Listen: "127.0.0.1:0"})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	closed, err := closedPort()
	if err != nil {
		return false, err
	}
	_, port, err := net.SplitHostPort(p.State().Address)
	if err != nil {
		return false, err
	}
	env := append(os.Environ(), "CLICKHOUSE_USE_DOCKER=false", "CLICKHOUSE_HOST=127.0.0.1",
		"CLICKHOUSE_HTTP_PORT="+port, "CLICKHOUSE_PORT="+closed)

	fmt.Printf("clickhouse-go %s against the engine %s\n\n", version, p.State().Version)
	fmt.Printf("%-14s %7s %7s %7s   %s\n", "package", "applies", "passed", "failed", "left out")
	var total tally
	for _, name := range packages {
		t, err := runPackage(ctx, suite, name, env, closed)
		if err != nil {
			return false, err
		}
		fmt.Printf("%-14s %7d %7d %7d   %s\n", name, t.applies(), t.passed, len(t.failed), t.left())
		total.add(t)
	}
	percent := 100 * float64(total.passed) / float64(max(total.applies(), 1))
	fmt.Printf("%-14s %7d %7d %7d   %.1f %%\n\n", "all", total.applies(), total.passed, len(total.failed), percent)
	return total.judge(percent, verbose), nil
}

// tally is what became of the tests of a package.
type tally struct {
	passed  int
	failed  map[string]string // test to output
	without map[string]int    // why a test does not apply, to how many
}

func (t *tally) applies() int { return t.passed + len(t.failed) }

func (t *tally) add(u tally) {
	t.passed += u.passed
	if t.failed == nil {
		t.failed, t.without = make(map[string]string), make(map[string]int)
	}
	for k, v := range u.failed {
		t.failed[k] = v
	}
	for k, v := range u.without {
		t.without[k] += v
	}
}

func (t *tally) left() string {
	var parts []string
	for why, n := range t.without {
		parts = append(parts, fmt.Sprintf("%d %s", n, why))
	}
	sort.Strings(parts)
	return strings.Join(parts, ", ")
}

// judge prints the failures with their explanations.
func (t *tally) judge(percent float64, verbose bool) bool {
	reasons := make(map[string]string)
	for _, line := range strings.Split(explained, "\n") {
		if test, why, found := strings.Cut(line, "\t"); found && !strings.HasPrefix(line, "#") {
			reasons[test] = strings.TrimSpace(why)
		}
	}
	ok := true
	names := make([]string, 0, len(t.failed))
	for name := range t.failed {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		why := reasons[name]
		if why == "" {
			ok, why = false, "NOT EXPLAINED"
		}
		fmt.Printf("failed: %s\n        %s\n", name, why)
		if verbose || why == "NOT EXPLAINED" {
			fmt.Println(indent(t.failed[name]))
		}
		delete(reasons, name)
	}
	for name := range reasons {
		fmt.Printf("explained, but it does not fail: %s\n", name)
		ok = false
	}
	switch {
	case percent < wanted:
		fmt.Printf("%.1f %% is less than the %.0f %% that are wanted\n", percent, wanted)
		return false
	case t.applies() < 200:
		fmt.Printf("only %d tests were found to apply: the rules no longer fit the suite\n", t.applies())
		return false
	}
	return ok
}

func indent(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > 30 {
		lines = lines[:30]
	}
	return "        | " + strings.Join(lines, "\n        | ")
}

// prepare copies the suite and lets its set-up use HTTP.
func prepare(ctx context.Context) (dir, version string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\t{{.Version}}", module).Output()
	if err != nil {
		return "", "", fmt.Errorf("find %s: %w", module, err)
	}
	source, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	dir, err = filepath.Abs(filepath.Join(".tools", "conformance", "clickhouse-go@"+version))
	if err != nil {
		return "", "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return "", "", err
	}
	// The module cache is read-only, and so is its copy.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
	if err != nil {
		return "", "", err
	}
	return dir, version, rewrite(filepath.Join(dir, "tests", "utils.go"))
}

// rewrite changes the suite's set-up, which asks for the version and makes its
// database over the native protocol.
func rewrite(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, change := range []struct {
		old, new string
		times    int
	}{
		{"\tport := env.Port\n\tvar tlsConfig *tls.Config\n\tif useSSL {\n\t\ttlsConfig = &tls.Config{}\n\t\tport = env.SslPort\n\t}\n",
			"\tvar tlsConfig *tls.Config\n\tif useSSL {\n\t\ttlsConfig = &tls.Config{}\n\t}\n", 1},
		{"\t\tAddr:     []string{fmt.Sprintf(\"%s:%d\", env.Host, port)},\n\t\tSettings: nil,\n",
			"\t\tProtocol: clickhouse.HTTP,\n\t\tAddr:     []string{fmt.Sprintf(\"%s:%d\", env.Host, env.HttpPort)},\n\t\tSettings: nil,\n", 1},
		{"conn, err := getConnection(env, \"default\", nil, nil, nil)",
			"conn, err := getHTTPConnection(env, \"\", \"default\", nil, nil, nil)", 2},
	} {
		if n := bytes.Count(text, []byte(change.old)); n != change.times {
			return fmt.Errorf("the suite's set-up has changed: %q occurs %d times in %s", change.old, n, path)
		}
		text = bytes.ReplaceAll(text, []byte(change.old), []byte(change.new))
	}
	return os.WriteFile(path, text, 0o644)
}

// closedPort is a port on which nobody listens.
func closedPort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// choose finds the test functions of a package that choose their protocol, and
// says which of them need more than the HTTP interface.
func choose(dir string) (names []string, without map[string]int, err error) {
	without = make(map[string]int)
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			return nil, nil, err
		}
	functions:
		for _, d := range file.Decls {
			f, isFunc := d.(*ast.FuncDecl)
			if !isFunc || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Name.Name == "TestMain" {
				continue
			}
			body := string(text[set.Position(f.Pos()).Offset:set.Position(f.End()).Offset])
			if !strings.Contains(body, "TestProtocols(") && !strings.Contains(body, "clickhouse.HTTP") && !strings.Contains(body, `"Http"`) {
				continue
			}
			for _, need := range needs {
				if need.source.MatchString(body) {
					without["need "+need.what]++
					continue functions
				}
			}
			names = append(names, f.Name.Name)
		}
	}
	return names, without, nil
}

func runPackage(ctx context.Context, suite, name string, env []string, closed string) (tally, error) {
	t := tally{failed: make(map[string]string)}
	names, without, err := choose(filepath.Join(suite, name))
	if err != nil {
		return t, err
	}
	t.without = without
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-count=1", "-timeout", patience.String(),
		"-run", "^("+strings.Join(names, "|")+")$", "-skip", "/(?i)^native|//(?i)^native", "-json", "./"+name)
	cmd.Dir, cmd.Env = suite, env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		return t, err
	}
	if err := cmd.Start(); err != nil {
		return t, err
	}
	outcome, output, err := read(out)
	if err != nil {
		return t, err
	}
	_ = cmd.Wait() // it fails when a test fails: the outcomes say which
	for test, action := range outcome {
		if !protocolNode.MatchString(test[strings.LastIndexByte(test, '/')+1:]) || !strings.Contains(test, "/") {
			continue
		}
		text := output[test]
		for other, more := range output {
			if strings.HasPrefix(other, test+"/") {
				text += more
			}
		}
		switch {
		case action == "skip":
			t.without["skipped by the suite"]++
		case action == "fail" && strings.Contains(text, "127.0.0.1:"+closed):
			t.without["dial the native port"]++
		case action == "fail" && strings.Contains(text, "'system.query_log'"):
			t.without["need log tables of a server"]++
		case action == "fail":
			t.failed[name+"."+test] = text
		case action == "pass":
			t.passed++
		}
	}
	if t.applies() == 0 {
		return t, fmt.Errorf("no test of %s ran:\n%s\n%s", name, stderr.String(), output[""])
	}
	for test, text := range output {
		if test != "" && outcome[test] == "" || strings.Contains(text, "panic: test timed out") {
			return t, fmt.Errorf("the tests of %s did not end; the last was %s:\n%s", name, test, indent(text))
		}
	}
	return t, nil
}

// read collects the outcome and the output of every test from `go test -json`.
func read(r io.Reader) (outcome, output map[string]string, err error) {
	outcome, output = make(map[string]string), make(map[string]string)
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(in.Bytes(), &event) != nil {
			continue // go prints what it builds between the events
		}
		switch event.Action {
		case "output":
			output[event.Test] += event.Output
		case "pass", "fail", "skip":
			if event.Test != "" {
				outcome[event.Test] = event.Action
			}
		}
	}
	return outcome, output, in.Err()
}
