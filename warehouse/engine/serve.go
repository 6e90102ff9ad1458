package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"

	"ombor/internal/problem"
	"ombor/internal/protocol"
)

const (
	childVariable = "OMBOR_ENGINE_CHILD" // set in a child: RunChildIfAsked serves
	parentFD      = 3                    // a pipe whose other end only the parent holds
	readyFD       = 4                    // where the child says once that it serves
	stopPatience  = 5 * time.Second      // how long running statements may go on after a stop
	diePatience   = 5 * time.Second      // how long an engine whose parent was killed may take to be gone
)

// RunChildIfAsked serves an engine and ends the process when this process was
// started to be one by [Start]; else it returns at once. A program that calls
// Start calls this first in main; test binaries get it by importing enginetest.
func RunChildIfAsked() {
	if os.Getenv(childVariable) == "" {
		return
	}
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil))) // the parent reads it
	signal.Ignore(syscall.SIGPIPE)                                 // and may die before the child has stopped
	args := os.Args[1:]
	for len(args) > 0 && !strings.HasPrefix(args[0], "--path") {
		args = args[1:] // the subcommand's name
	}
	if err := Command(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is the `engine` subcommand: it serves what its flags say until SIGTERM
// or SIGINT.
func Command(args []string) error {
	config, err := ParseArgs(args)
	if errors.Is(err, flag.ErrHelp) {
		fs := flag.NewFlagSet("engine", flag.ContinueOnError)
		fs.SetOutput(os.Stdout)
		config.Flags(fs)
		fmt.Println("Serve ClickHouse's HTTP interface over the embedded engine.\n\nFlags:")
		fs.PrintDefaults()
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return Serve(ctx, config)
}

// Serve loads the library, opens the data folder and serves ClickHouse's HTTP
// interface until ctx ends or, in a child of [Start], the parent dies. A process
// can serve once: the library cannot be started again after it was stopped.
func Serve(ctx context.Context, config Config) error {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return err
	}
	if config.Listen != "" {
		if err := checkLoopback(config.Listen); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	child := os.Getenv(childVariable) != ""
	if child {
		watchParent(cancel)
	}
	if config.Ephemeral {
		if rest, err := os.ReadDir(config.Path); err == nil && len(rest) > 0 {
			return problem.New(problem.Conflict, "%s is not empty, and an ephemeral engine would remove it", config.Path).In("ephemeral")
		}
		defer os.RemoveAll(config.Path)
	}
	if child {
		awaitOrphan(config.Path)
	}
	f, err := boot(config)
	if err != nil {
		return err
	}
	defer f.shutdown()

	server := &http.Server{
		Handler:           f,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    2 << 20, // a query may stand in the URL
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // it may be closed already
		}
	}()
	address := ""
	if config.Socket != "" {
		l, err := listenSocket(config.Socket)
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
	}
	if config.Listen != "" {
		l, err := net.Listen("tcp", config.Listen)
		if err != nil {
			return problem.Wrap(err, problem.Conflict, "engine: listen", "cannot listen on %s", config.Listen)
		}
		listeners = append(listeners, l)
		address = l.Addr().String()
	}
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, l := range listeners {
		serving.Add(1)
		go func() {
			defer serving.Done()
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	slog.Info("engine serves", "version", f.identity.Version, "path", config.Path, "socket", config.Socket, "listen", address)
	if child {
		ready := os.NewFile(readyFD, "ready")
		_, err := fmt.Fprintf(ready, "%s\n", strings.Join([]string{f.identity.Version, address}, "\t"))
		if err := errors.Join(err, ready.Close()); err != nil {
			return fmt.Errorf("engine: tell the parent: %w", err)
		}
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	patience, stop := context.WithTimeout(context.Background(), stopPatience)
	defer stop()
	if server.Shutdown(patience) != nil {
		_ = server.Close() // what still runs is cut off and killed
	}
	serving.Wait()
	return err
}

func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return problem.Wrap(err, problem.BadInput, "engine: listen", "%q is not an address such as 127.0.0.1:8123", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return problem.New(problem.BadInput, "the engine has no users and listens on loopback addresses only, not on %q", host).In("listen")
	}
	return nil
}

// listenSocket replaces a stale socket: the engine holds the data folder's lock by
// now, so nobody serves this folder on it.
func listenSocket(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "engine: socket", "cannot make the folder of %s", path)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, problem.New(problem.Conflict, "%s exists and is not a socket", path).In("socket")
		}
		if err := os.Remove(path); err != nil {
			return nil, problem.Wrap(err, problem.Unavailable, "engine: socket", "cannot replace %s", path)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "engine: socket", "cannot listen on %s", path)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// watchParent stops the child when its parent has gone: the pipe it holds ends.
func watchParent(cancel context.CancelCauseFunc) {
	pipe := os.NewFile(parentFD, "parent")
	go func() {
		var b [1]byte
		_, _ = pipe.Read(b[:]) // returns only at the end
		cancel(errors.New("the parent has gone"))
		time.Sleep(stopPatience + 5*time.Second)
		os.Exit(1) // native code that does not stop must not outlive the parent
	}()
}

// awaitOrphan waits until nobody has the folder open: the engine of a parent that was
// killed dies with it, but the kernel takes a moment to give its memory and its lock
// back. Whoever still holds the folder then is met by boot, which says so.
func awaitOrphan(path string) {
	status, err := os.Open(filepath.Join(path, "status")) // the engine locks this file
	if err != nil {
		return // a new folder
	}
	defer status.Close()
	for end := time.Now().Add(diePatience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err := unix.Flock(int(status.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return // free, and free again with the file's closing; or an error that boot will meet
		}
	}
}

// boot loads the library and opens the data folder.
func boot(config Config) (*front, error) {
	path, err := FindLibrary(config.Library)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Path, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "engine: data folder", "cannot make %s", config.Path)
	}
	file, err := config.writeFiles()
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "engine: configuration", "cannot write the engine's configuration under %s", config.Path)
	}
	lib, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := useUTC(); err != nil {
		return nil, err
	}
	if err := keepSignalHandlers(func() { lib.setSignalHandlers(0) }); err != nil {
		return nil, err
	}
	f := &front{
		lib:     lib,
		base:    []string{"--path=" + config.Path, "--config-file=" + file},
		config:  config,
		turns:   make(chan struct{}, config.MaxConcurrent),
		waiting: make(chan struct{}, 4*config.MaxConcurrent),
		ahead:   make(chan struct{}, config.MaxConcurrent),
		parsers: make(chan *connection, 4),
		inserts: &budget{left: 2 * config.InsertLimit},
	}
	f.admin.conn, err = lib.dial(f.base)
	if err != nil {
		return nil, problem.Wrap(err, problem.Conflict, "engine: open data folder",
			"the engine cannot open %s: another process may be using it, or its files are damaged (the lines above say more)", config.Path)
	}
	facts, err := f.ask("SELECT version(), timezone()")
	if err != nil {
		return nil, fmt.Errorf("engine: ask for the version: %w", err)
	}
	version, zone, _ := strings.Cut(strings.TrimSpace(facts), "\t")
	f.identity = protocol.Identity{Name: serverName, Version: version, Zone: zone}
	return f, nil
}

// shutdown closes every connection and stops the engine for good. Statements that
// do not end in time keep it open: the end of the process takes it, as kill -9 would.
func (f *front) shutdown() {
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	for range cap(f.turns) {
		select {
		case f.turns <- struct{}{}:
		case <-patience.C:
			slog.Warn("engine stops while statements still run", "statements", len(f.turns))
			return
		}
	}
	f.sessions.closeAll()
	for len(f.parsers) > 0 {
		(<-f.parsers).close()
	}
	f.admin.Lock()
	defer f.admin.Unlock()
	f.admin.conn.close()
	f.admin.conn = nil
	// Closing the last connection has shut the tables down. What remains is to join
	// idle threads, which the end of the process does as well: chdb.h calls it safe.
	if f.lib.shutdown() != 0 {
		slog.Debug("engine: the library leaves threads to the end of the process")
	}
}

// useUTC sets the zone of the native code: the library reads TZ from the C
// environment and ignores its own <timezone>.
func useUTC() error {
	symbol, err := purego.Dlsym(purego.RTLD_DEFAULT, "setenv")
	if err != nil {
		return fmt.Errorf("engine: set time zone: %w", err)
	}
	var setenv func(name, value string, overwrite int32) int32
	purego.RegisterFunc(&setenv, symbol)
	if setenv("TZ", "UTC", 1) != 0 {
		return errors.New("engine: set time zone: refused")
	}
	return nil
}
