package engine_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/warehouse/engine"
	"ombor/warehouse/engine/enginetest"
)

// waitFor asks until done says so; a minute is for ever.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-limit:
			t.Fatalf("this never came: %s", what)
		case <-tick.C:
		}
	}
}

func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(state), ") Z ")
}

func TestKilledChildIsStartedAgainWithItsData(t *testing.T) {
	e := enginetest.Start(t)
	e.Exec(t, "CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
	e.Exec(t, "INSERT INTO kept SELECT number FROM numbers(1000)")
	before := e.State()
	if before.PID == 0 || !before.Serving || before.Resident == 0 || !strings.HasPrefix(before.Version, "26.") {
		t.Fatalf("state of a serving engine: %+v", before)
	}
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "another child", func() bool { s := e.State(); return s.Serving && s.PID != before.PID })
	after := e.State()
	if after.Restarts != 1 || after.LastExit != "signal: killed" {
		t.Errorf("state after a restart: %+v", after)
	}
	if got := e.Exec(t, "SELECT count(), sum(a) FROM kept"); got != "1000\t499500\n" {
		t.Errorf("after kill -9 the table holds %q", got)
	}
	if err := e.Ready(context.Background()); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

func TestParentsDeathEndsChild(t *testing.T) {
	for _, c := range []struct {
		signal    syscall.Signal
		ephemeral string
	}{{syscall.SIGKILL, ""}, {syscall.SIGTERM, ""}, {syscall.SIGKILL, "1"}} {
		dir := filepath.Join(t.TempDir(), "data")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), parentVariable+"="+dir, ephemeralVariable+"="+c.ephemeral)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if !alive(child) {
			t.Fatalf("child %d does not live", child)
		}
		if err := cmd.Process.Signal(c.signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		waitFor(t, "the end of the child after "+c.signal.String()+" of its parent", func() bool { return !alive(child) })
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) != (c.ephemeral != "") {
			t.Errorf("after %s of the parent, ephemeral %q: the folder: %v", c.signal, c.ephemeral, err)
		}
	}
}

func TestSecondProcessOnTheSameFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	e := enginetest.StartWith(t, engine.Config{Path: dir})
	_, err := engine.Start(context.Background(), engine.Config{Path: dir, Socket: filepath.Join(t.TempDir(), "s")})
	if err == nil || !strings.Contains(err.Error(), "another process may be using it") {
		t.Fatalf("a second engine on the same folder: %v", err)
	}
	if got := e.Exec(t, "SELECT 1"); got != "1\n" {
		t.Errorf("the first engine answers %q", got)
	}
}

func TestLongFolderGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	p, err := engine.Start(context.Background(), engine.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	socket := p.Socket()
	if len(socket) > 107 {
		t.Errorf("socket %q has %d bytes", socket, len(socket))
	}
	if info, err := os.Stat(filepath.Dir(socket)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the socket: %v, %v", info, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the socket is still there: %v", err)
	}
}

func TestEphemeralFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p, err := engine.Start(context.Background(), engine.Config{Path: dir, Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Start(context.Background(), engine.Config{Path: full, Ephemeral: true}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("an ephemeral engine on a folder in use: %v", err)
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Errorf("a file of others: %v", err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		config engine.Config
		want   string
	}{
		{engine.Config{}, "needs a data folder"},
		{engine.Config{Path: t.TempDir(), Library: "/nowhere/libchdb.so"}, "there is no engine library at /nowhere/libchdb.so"},
		{engine.Config{Path: t.TempDir(), Library: os.Args[0]}, "cannot be loaded"},
		{engine.Config{Path: t.TempDir(), MemoryLimit: 1 << 20}, "memory limit of 1048576 bytes is too low"},
		{engine.Config{Path: t.TempDir(), Listen: "0.0.0.0:0"}, "loopback addresses only"},
		{engine.Config{Path: t.TempDir(), Socket: "/" + strings.Repeat("x", 120)}, "the system allows 107"},
		{engine.Config{Path: t.TempDir(), Command: []string{"/bin/false"}}, "could not start"},
	} {
		p, err := engine.Start(context.Background(), c.config)
		if err == nil {
			t.Errorf("%+v starts", c.config)
			_ = p.Close()
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

func TestArgsRoundTrip(t *testing.T) {
	want := engine.Config{Path: "/d", Socket: "/s", Listen: "127.0.0.1:1", Library: "/l", MemoryLimit: 1 << 30, Threads: 3,
		MaxConcurrent: 4, QueueSeconds: 5, InsertLimit: 6, Backups: "/b", Ephemeral: true,
		Settings: map[string]string{"a": "1=2", "b": "x y"}, MergeTree: map[string]string{"c": "3"}}
	got, err := engine.ParseArgs(want.Args())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := strings.Join(got.Args(), "\n"), strings.Join(want.Args(), "\n"); a != b {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
	for _, bad := range [][]string{{"--nonsense"}, {"--threads=x"}, {"--setting=novalue"}, {"rest"}} {
		if _, err := engine.ParseArgs(bad); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A parent that is killed leaves the folder to the next one at once, also when its
// child is stopped and so hears no other signal.
func TestKilledParentIsFollowedAtOnce(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), parentVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if stopped {
			if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		next, err := engine.Start(context.Background(), engine.Config{Path: dir})
		if err != nil {
			t.Fatalf("child stopped %t: %v", stopped, err)
		}
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
