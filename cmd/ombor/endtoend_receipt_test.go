//go:build endtoend

package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReceiptBeyondTheJournal empties a server's data, but for the keys, under a load that waits for what it was
// promised: the receipt answers 404 and says what to do, the load ends with that, and
// the same load again brings every event.
func TestReceiptBeyondTheJournal(t *testing.T) {
	const n = 50
	file := filepath.Join(t.TempDir(), "sales.ndjson")
	var lines strings.Builder
	for i := range n {
		fmt.Fprintln(&lines, (&revision{kind: "sale", source: "till-0", number: fmt.Sprintf("till-0-%06d", i), amount: i}).event())
	}
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCrashed(t, "--pack", files(t, crashPack))
	c.up(c.begin())
	signalTo(t, engineOf(t, &c.server), syscall.SIGSTOP) // nothing can be loaded, so the load waits
	load := exec.Command(binary, "load", "--url", c.url, "--data", c.data, "--wait", file)
	load.Dir = root
	var said bytes.Buffer
	load.Stderr = &said
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- load.Wait() }()
	for deadline := time.Now().Add(time.Minute); c.intake() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was acknowledged: %s", tailOf(c.log.String()))
		}
	}
	c.kill(c.pids()...)
	<-c.exited
	for _, part := range []string{"journal", "acknowledged.mark", "quarantine", "seeded.txt", "engine", "lake", "loader"} {
		if err := os.RemoveAll(filepath.Join(c.data, part)); err != nil {
			t.Fatal(err)
		}
	}
	c.up(c.begin())
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("the load ended with %v\n%s", err, said.String())
		}
		mustContain(t, "load", said.String(), "the journal ends at message", "Send the events again")
	case <-time.After(time.Minute):
		_ = load.Process.Kill()
		t.Fatalf("the load waits for ever for what is not there\n%s", tailOf(c.log.String()))
	}
	r := ombor(t, "load", "--url", c.url, "--data", c.data, "--wait", "--format", "json", file)
	if r.code != 0 || !strings.Contains(r.stdout, fmt.Sprintf(`"accepted":%d`, n)) {
		t.Errorf("the same load again: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
}
