package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ombor/internal/problem"
)

// Process is an engine in a child process, started again whenever it dies. It is
// safe for concurrent use.
type Process struct {
	config  Config
	command []string
	scratch string // a private folder for the socket; empty when none was needed
	cancel  context.CancelFunc
	ended   chan struct{}

	mu    sync.Mutex
	state State
	err   error         // why supervision ended
	up    chan struct{} // closed while the child serves
}

// State is what a [Process] knows of its child.
type State struct {
	Serving  bool
	PID      int       // 0 when there is no child
	Since    time.Time // when this child began to serve
	Restarts int       // how often a child was started again
	LastExit string    // why the last child ended; empty when none has
	Version  string    // of the engine
	Address  string    // of Config.Listen, with the port that was given; empty without one
	Resident int64     // bytes of memory the child holds now
}

const (
	startPatience  = 60 * time.Second // opening a large folder takes a while
	firstBackoff   = 100 * time.Millisecond
	longestBackoff = 10 * time.Second
	calm           = 30 * time.Second // a child that lived this long starts the back-off anew
	closePatience  = 15 * time.Second // then a child that was told to stop is killed
)

// Start runs an engine in a child process and waits until it serves. The child is
// started again with growing pauses when it dies, and dies with this process. An
// error means that the first child could not serve, and nothing is left running.
//
// The child is this program with the argument `engine` and the flags of
// [Config.Args], or config.Command: its main calls [RunChildIfAsked].
func Start(ctx context.Context, config Config) (*Process, error) {
	p := &Process{config: config, ended: make(chan struct{}), up: make(chan struct{})}
	if config.Path == "" {
		return nil, problem.New(problem.BadInput, "the engine needs a data folder").In("path")
	}
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, fmt.Errorf("engine: start: %w", err)
	}
	p.config.Path = path
	if p.config.Library, err = FindLibrary(config.Library); err != nil {
		return nil, err
	}
	if p.config.Socket == "" {
		p.config.Socket = filepath.Join(path, "ombor", "engine.sock")
		if len(p.config.Socket) > maxSocketPath {
			if p.scratch, err = os.MkdirTemp("", "ombor-"); err != nil {
				return nil, problem.Wrap(err, problem.Unavailable, "engine: socket", "cannot make a private folder for the engine's socket")
			}
			p.config.Socket = filepath.Join(p.scratch, "engine.sock")
		}
	}
	p.command = config.Command
	if len(p.command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("engine: start: %w", err)
		}
		p.command = []string{self, "engine"}
	}
	p.config.Command = nil

	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	first := make(chan error, 1)
	go p.supervise(running, first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = p.Close() // err says more
		return nil, err
	}
	return p, nil
}

// Socket is the path of the Unix socket the engine serves on; it stays the same
// over restarts.
func (p *Process) Socket() string { return p.config.Socket }

// Dial connects to the engine, whatever address is asked for: it fits
// clickhouse.Options.DialContext.
func (p *Process) Dial(ctx context.Context, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", p.Socket())
}

// Client makes an HTTP client that speaks to the engine, whatever host a URL names.
// Its caller closes its idle connections.
func (p *Process) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx, "") },
	}}
}

// State tells how the child does.
func (p *Process) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state
	if s.PID != 0 {
		s.Resident = residentMemory(s.PID)
	}
	return s
}

// Ready waits until the engine serves, for instance after a restart.
func (p *Process) Ready(ctx context.Context) error {
	p.mu.Lock()
	up := p.up
	p.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-p.ended:
		return p.Wait()
	case <-ctx.Done():
		return problem.Wrap(ctx.Err(), problem.Unavailable, "engine: wait", "the engine does not serve yet")
	}
}

// Wait returns when supervision has ended: nil after [Process.Close].
func (p *Process) Wait() error {
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close stops the child, waits for its end, and removes what Start made. It may be
// called more than once.
func (p *Process) Close() error {
	p.cancel()
	<-p.ended
	if p.scratch != "" {
		return os.RemoveAll(p.scratch)
	}
	return nil
}

// supervise runs one child after the other until ctx ends. first gets the outcome
// of the first child's start.
func (p *Process) supervise(ctx context.Context, first chan<- error) {
	defer close(p.ended)
	pause := firstBackoff
	for n := 0; ; n++ {
		began := time.Now()
		served, err := p.run(ctx, func() {
			if n == 0 {
				first <- nil
			}
		})
		if n == 0 && !served {
			if err == nil {
				err = ctx.Err()
			}
			first <- err
			return
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > calm {
			pause = firstBackoff
		}
		slog.Warn("engine ended and is started again", "reason", err, "pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, longestBackoff)
		p.mu.Lock()
		p.state.Restarts++
		p.mu.Unlock()
	}
}

// run starts a child, tells when it serves, and returns when it has ended.
func (p *Process) run(ctx context.Context, serving func()) (served bool, err error) {
	// PR_SET_PDEATHSIG fires when the *thread* that forked ends (prctl(2)): this
	// goroutine keeps its thread until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	held, alive, err := os.Pipe()
	if err != nil {
		return false, fmt.Errorf("engine: start: %w", err)
	}
	defer alive.Close()
	ready, tell, err := os.Pipe()
	if err != nil {
		return false, errors.Join(fmt.Errorf("engine: start: %w", err), held.Close())
	}
	defer ready.Close()
	lines, output, err := os.Pipe()
	if err != nil {
		return false, errors.Join(fmt.Errorf("engine: start: %w", err), held.Close(), tell.Close())
	}

	cmd := exec.Command(p.command[0], append(p.command[1:len(p.command):len(p.command)], p.config.Args()...)...)
	cmd.Env = append(os.Environ(), childVariable+"=1", "TZ=UTC")
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{held, tell} // 3 and 4
	// Without its parent a child is killed, which it survives as any other kill and which
	// takes a stopped one (SIGSTOP), too: the next parent finds the folder free.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if p.config.Ephemeral { // no next parent comes for its folder: it stops by itself when the pipe ends, and takes the folder with it
		cmd.SysProcAttr.Pdeathsig = 0
	}
	err = cmd.Start()
	err = errors.Join(err, held.Close(), tell.Close(), output.Close())
	if err != nil {
		return false, errors.Join(problem.Wrap(err, problem.Unavailable, "engine: start", "cannot start %s", p.command[0]), lines.Close())
	}
	p.mu.Lock()
	p.state.PID = cmd.Process.Pid
	p.mu.Unlock()

	last := newTail(20)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		forward(lines, last)
	}()
	exited := make(chan struct{})
	stopped := make(chan struct{})
	go func() { // tells the child to stop, then makes it
		defer close(stopped)
		select {
		case <-exited:
			return
		case <-ctx.Done():
		}
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		select {
		case <-exited:
		case <-time.After(closePatience):
			_ = cmd.Process.Kill() // likewise
		}
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		_ = ready.SetReadDeadline(time.Now().Add(startPatience)) // a pipe has deadlines
		line, err := bufio.NewReader(ready).ReadString('\n')
		if err != nil {
			_ = cmd.Process.Kill() // it ended, or it hangs: Wait says which
			return
		}
		version, address, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		p.mu.Lock()
		p.state.Serving, p.state.Since, p.state.Version, p.state.Address = true, time.Now(), version, address
		close(p.up)
		p.mu.Unlock()
		served = true
		serving()
	}()
	err = cmd.Wait()
	close(exited)
	<-stopped
	<-told // the pipe has ended with the child
	<-logged

	p.mu.Lock()
	defer p.mu.Unlock()
	reason := "it ended"
	if err != nil {
		reason = err.Error()
	}
	p.state.Serving, p.state.PID, p.state.LastExit = false, 0, reason
	select {
	case <-p.up:
		p.up = make(chan struct{})
	default:
	}
	if !served {
		if text := last.text(); text != "" {
			reason += ": " + text
		}
		return served, problem.Wrap(errors.New(reason), problem.Unavailable, "engine: start", "the engine could not start")
	}
	return served, problem.Wrap(errors.New(reason), problem.Unavailable, "engine", "the engine ended")
}

// tail keeps the last lines of a child.
type tail struct {
	mu    sync.Mutex
	lines []string
	most  int
}

func newTail(most int) *tail { return &tail{most: most} }

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > t.most {
		t.lines = t.lines[1:]
	}
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// forward logs what the child prints, line by line, until it ends: its own log is
// JSON, what the library prints is not.
func forward(r io.ReadCloser, last *tail) {
	defer r.Close()
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			last.add(logLine(line))
		}
		if err != nil {
			return
		}
	}
}

// logLine logs one line of the child and returns its message.
func logLine(line string) string {
	var record map[string]any
	if json.Unmarshal([]byte(line), &record) != nil {
		slog.Warn("engine: " + line)
		return line
	}
	level := slog.LevelInfo
	message, _ := record["msg"].(string)
	if text, ok := record["level"].(string); ok {
		_ = level.UnmarshalText([]byte(text)) // stays Info
	}
	var rest []any
	for key, value := range record {
		if key != "msg" && key != "level" && key != "time" {
			rest = append(rest, slog.Any(key, value))
		}
	}
	slog.Log(context.Background(), level, message, rest...)
	return message
}

// residentMemory is how many bytes of memory a process holds, 0 when it has gone.
func residentMemory(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
