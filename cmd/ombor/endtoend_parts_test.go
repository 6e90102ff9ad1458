//go:build endtoend

package main_test

import (
	"bufio"
	"cmp"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"ombor/internal/objects/miniotest"
)

// TestPartsElsewhere runs the server with parts of its own left out: the lake in an
// S3 server, the warehouse in an engine that somebody else started and that is
// reached over TCP. The same data give the same figures as with everything embedded.
func TestPartsElsewhere(t *testing.T) {
	minio := miniotest.Start(t)
	engine := os.Getenv("WAREHOUSE") // 'make test-server WAREHOUSE=https://…' names an empty ClickHouse server
	if engine == "" {
		engine = engineAlone(t)
	}
	file := shared(t, "us_boston_311/311_service_requests_2011.zip")
	const boston = "internal/pack/testdata/boston"

	embedded := serve(t, t.TempDir(), "--pack", boston)
	analysts := cmp.Or(os.Getenv("SQL_WAREHOUSE"), strings.Replace(engine, "://", "://ombor_analyst@", 1)) // of a server: the user that 'ombor warehouse users' makes
	elsewhere := serve(t, t.TempDir(), "--pack", boston, "--lake", minio.URL("lake"), "--warehouse", engine, "--sql-warehouse", analysts)
	for _, s := range []*server{embedded, elsewhere} {
		if l, r := s.load(file); l.Accepted != 58_251 {
			t.Fatalf("load: %+v %s", l, r.stderr)
		}
	}
	for _, id := range []string{"cases", "digital-share", "on-time-share", "close-hours"} {
		here, there := embedded.kpi(id, "--grain", "month"), elsewhere.kpi(id, "--grain", "month")
		if len(here) != len(there) || len(here) != 6 {
			t.Errorf("%s: %d cells embedded, %d elsewhere, want 6", id, len(here), len(there))
			continue
		}
		for i := range here {
			for _, name := range []string{"period", "numerator", "denominator", "value"} {
				if here[i][name] != there[i][name] {
					t.Errorf("%s %v: %s is %v embedded and %v elsewhere", id, here[i]["period"], name, here[i][name], there[i][name])
				}
			}
		}
	}
	// SQL is answered there by the same door.
	if r := ombor(t, "sql", "SELECT count() FROM case_opened_v1", "--data", elsewhere.data, "--format", "TSV"); strings.TrimSpace(r.stdout) != "58251" {
		t.Errorf("sql: %q %s", r.stdout, r.stderr)
	}
	if r := ombor(t, "sql", "SELECT count() FROM facts.case_opened_v1", "--data", elsewhere.data); r.code == 0 {
		t.Errorf("the facts are told: %s", r.stdout)
	}
	r := engineSQL(t, elsewhere.data, "SELECT sum(_sign) FROM facts.case_opened_v1", "TSV")
	if got := strings.TrimSpace(r.stdout); got != "58251" {
		t.Errorf("sql: %q %s", got, r.stderr)
	}
}

// engineAlone runs 'ombor engine' on a free port and returns its address.
func engineAlone(t *testing.T) string {
	t.Helper()
	command := exec.Command(binary, "engine", "--path", t.TempDir(), "--listen", "127.0.0.1:0")
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	address := regexp.MustCompile(`127\.0\.0\.1:[1-9]\d*`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if found := address.FindString(lines.Text()); found != "" {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return "http://" + found + "/"
		}
	}
	t.Fatal("the engine does not say where it listens")
	return ""
}
