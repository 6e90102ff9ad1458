//go:build endtoend

package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRebuildCommand loses the warehouse in two ways, in the middle of a rebuild and altogether, with the
// warehouse made from merged files of the lake, and has every figure back after a start.
func TestRebuildCommand(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, filepath.Join(dir, "data"))
	s.loadAll(simulated(t, dir, 4000, 2))
	before := s.figures()

	// The server is killed while it rebuilds, or, if it was faster, right after.
	command := exec.Command(binary, "rebuild", "--data", s.data)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	killed := false
	for !killed {
		select {
		case err := <-ended:
			t.Logf("the rebuild had ended before the server was killed: %v", err)
			ended <- err
			killed = true
		default:
			if response, err := http.Get(s.url + "/v1/scorecard"); err == nil {
				response.Body.Close()
				if killed = response.StatusCode == http.StatusServiceUnavailable; killed && response.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			}
		}
	}
	s.kill()
	<-ended
	s = serve(t, s.data)
	sameFigures(t, "after the interrupted rebuild", s.figures(), before)
	s.verify(0)

	if r := ombor(t, "compact", "--data", s.data, "--grace", "0s"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if r := ombor(t, "rebuild", "--index", "--data", s.data); r.code != 1 || !strings.Contains(r.stderr, "stop it") {
		t.Errorf("the index of a running server: exit %d: %s", r.code, r.stderr)
	}
	s.stop()
	if r := ombor(t, "rebuild", "--index", "--data", s.data); r.code != 0 || !strings.Contains(r.stderr, "ids") {
		t.Errorf("rebuild --index: exit %d: %s", r.code, r.stderr)
	}
	if err := os.RemoveAll(filepath.Join(s.data, "engine")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.data, "loader")); err != nil {
		t.Fatal(err)
	}
	s = serve(t, s.data)
	sameFigures(t, "without the engine's folder and the index", s.figures(), before)
	s.verify(0)
}
