//go:build endtoend

package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestReadme runs the README's first ten minutes as they are written: the first
// block starts a server, every line of the second must end well.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, minutes, ok := strings.Cut(string(text), "## First ten minutes")
	if !ok {
		t.Fatal("README.md has no first ten minutes")
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(minutes, -1)
	if len(blocks) < 2 {
		t.Fatalf("README.md has %d blocks of commands, want 2", len(blocks))
	}
	dir := t.TempDir()
	for name, target := range map[string]string{
		"bin": filepath.Join(root, "bin"), "internal": filepath.Join(root, "internal"), ".tools": filepath.Join(root, ".tools"),
		"311_service_requests_2011.zip": shared(t, "us_boston_311/311_service_requests_2011.zip"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OMBOR_LISTEN", "127.0.0.1:0")
	started := false
	for _, line := range strings.Split(blocks[0][1], "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if arguments, ok := strings.CutPrefix(line, "bin/ombor serve "); ok {
			serveIn(t, dir, strings.Fields(arguments)...)
			started = true
		} else if strings.HasPrefix(line, "bin/ombor ") {
			runIn(t, dir, line)
		}
	}
	if !started {
		t.Fatal("the first block starts no server")
	}
	runIn(t, dir, "set -e\n"+blocks[1][1])
}

// TestContributing adds a KPI as CONTRIBUTING.md says, to data that are there already.
func TestContributing(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## How to add a KPI")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 3 {
		t.Fatalf("adding a KPI has %d blocks of commands, want the definition, the server and the figure", len(blocks))
	}
	dir := t.TempDir()
	for _, name := range []string{"bin", "internal", ".tools"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OMBOR_LISTEN", "127.0.0.1:0")
	s := serveIn(t, dir, "--data", "data/boston", "--pack", filepath.Join(root, "internal", "pack", "testdata", "boston"))
	runIn(t, dir, "bin/ombor load --data data/boston --wait "+shared(t, "us_boston_311/311_service_requests_2011.zip"))
	s.stop()
	runIn(t, dir, "set -e\n"+blocks[0][1])
	command, arguments, _ := strings.Cut(strings.TrimSpace(blocks[1][1]), " serve ")
	if command != "bin/ombor" {
		t.Fatalf("the second block starts no server: %q", blocks[1][1])
	}
	serveIn(t, dir, strings.Fields(arguments)...)
	r := run(t, nil, "bash", "-c", "cd "+dir+"\nset -e\n"+blocks[2][1])
	// Of the file's 58,251 cases 54,570 have a closing time, counted without Ombor.
	if r.code != 0 {
		t.Fatalf("exit %d: %s %s", r.code, r.stdout, r.stderr)
	}
	mustContain(t, "the figure", r.stdout, "93.7 %", "rollups", "ombor.")
}

func runIn(t *testing.T, dir, script string) {
	t.Helper()
	r := run(t, nil, "bash", "-c", "cd "+dir+"\n"+script)
	if r.code != 0 {
		t.Errorf("exit %d:\n%s\n%s\n%s", r.code, script, r.stdout, r.stderr)
	}
}

// serveIn starts a server as a line of the README does, in its own folder.
func serveIn(t *testing.T, dir string, arguments ...string) *server {
	t.Helper()
	s := &server{t: t, exited: make(chan struct{})}
	s.start(dir, append([]string{"serve"}, arguments...)...)
	note := ""
	for i, a := range arguments {
		if a == "--data" {
			note = filepath.Join(dir, arguments[i+1], "running.json")
		}
	}
	deadline := time.Now().Add(5 * time.Minute) // much, on a machine that others share
	for {
		if _, err := os.Stat(note); err == nil {
			return s
		}
		select {
		case <-s.exited:
			t.Fatalf("serve ended: %s", s.log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s: %s", note, s.log.String())
		}
	}
}

// TestHelp holds the documents to the program: every command and every flag of
// serve that a document names exists, and every setting is documented.
func TestHelp(t *testing.T) {
	help := ombor(t, "serve", "--help").stdout
	operating, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, settings, _ := strings.Cut(string(operating), "\n## Settings\n")
	settings, _, _ = strings.Cut(settings, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(settings, -1)
	if len(rows) < 5 {
		t.Fatalf("docs/operating.md documents %d settings", len(rows))
	}
	documented := map[string]bool{"config": true, "help": true, "log": true}
	for _, row := range rows {
		documented[row[1]] = true
		if !strings.Contains(help, "--"+row[1]+" ") {
			t.Errorf("docs/operating.md documents %s, which serve does not have", row[1])
		}
	}
	for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(help[strings.Index(help, "Flags:"):], -1) {
		if !documented[flag[1]] {
			t.Errorf("docs/operating.md does not document --%s", flag[1])
		}
	}
}

// TestPage opens the server's own pages as a browser would ask for them.
func TestPage(t *testing.T) {
	s := serve(t, t.TempDir())
	for path, wanted := range map[string]string{
		"/": "<div id=\"root\"", "/docs": "/v1/kpis", "/openapi.json": "\"openapi\"", "/healthz": "", "/readyz": "", "/metrics": "ombor_",
	} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		buffer := make([]byte, 64<<10)
		for {
			n, err := response.Body.Read(buffer)
			b.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK || !strings.Contains(b.String(), wanted) {
			t.Errorf("%s: %s, want 200 with %q: %.200s", path, response.Status, wanted, b.String())
		}
		if policy := response.Header.Get("Content-Security-Policy"); path == "/" && !strings.Contains(policy, "default-src 'self'") {
			t.Errorf("%s: content security policy %q", path, policy)
		}
	}
	// A page elsewhere that points its own name at this machine reads nothing.
	request, err := http.NewRequest(http.MethodGet, s.url+"/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "rebound.example"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("with a foreign Host the server answers %s, want 403", response.Status)
	}
}
