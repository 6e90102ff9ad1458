// Package natstest runs a real NATS server for tests, built once by
// "make .tools/nats-server/nats-server": a process of its own, which can be killed,
// frozen and started again on its data.
package natstest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Server is a NATS process with JetStream on a loopback port of its own, set up as an
// operator of a journal should: sync_interval: always, and room for the journal's limits.
type Server struct {
	t      testing.TB
	addr   string
	config string
	cmd    *exec.Cmd
	log    *bytes.Buffer
}

// Start runs a server for the length of the test, its data in a folder of their own.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, filepath.Join(t.TempDir(), "data"), "1TB")
}

// StartIn is Start with the data in a folder, of which streams may claim as much as room
// says, "3GB" for instance.
func StartIn(t testing.TB, data, room string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &Server{t: t, addr: l.Addr().String(), config: filepath.Join(dir, "nats.conf")}
	l.Close()
	text := fmt.Sprintf("listen: %q\njetstream {\n  store_dir: %q\n  sync_interval: always\n  max_file_store: %s\n}\n", s.addr, data, room)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.Up()
	return s
}

// Addr is the server's host and port.
func (s *Server) Addr() string { return s.addr }

// URL is the server's address, as --journal takes it.
func (s *Server) URL() string { return "nats://" + s.addr }

// Stop kills the server, as kill -9 does, frozen or not; its data stay for Up.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait() // the kill is its result
		s.cmd = nil
	}
}

// Freeze stops the server's clock (SIGSTOP): connections stay open, and nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// Up starts the server on the same address and data, and waits until it takes connections.
func (s *Server) Up() {
	s.t.Helper()
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command(binary(s.t), "-c", s.config)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", s.addr, time.Second); err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			s.Stop() // its log is whole then
			s.t.Fatalf("the NATS server does not start: %s", s.log)
		}
	}
}

// binary finds the built server from any package's folder.
func binary(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".tools", "nats-server", "nats-server")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == "/" {
			t.Fatal("the NATS server is missing: run `make .tools/nats-server/nats-server` once")
		}
	}
}
