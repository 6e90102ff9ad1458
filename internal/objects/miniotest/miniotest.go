// Package miniotest starts a real S3 server for tests: MinIO, built once by
// "make .tools/minio/minio".
package miniotest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	user   = "ombor-test"
	secret = "ombor-test-secret"
	// Bucket is made at start.
	Bucket = "lake"
)

// Server is a MinIO process with an empty bucket, on a loopback port of its own.
type Server struct {
	t    testing.TB
	addr string
	dir  string
	cmd  *exec.Cmd
	log  *bytes.Buffer
}

// Start runs MinIO for the length of the test, makes Bucket, and sets the
// credentials' environment variables for this process.
func Start(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, addr: l.Addr().String(), dir: t.TempDir()}
	l.Close()
	for key, value := range map[string]string{"OMBOR_S3_ACCESS_KEY": user, "OMBOR_S3_SECRET_KEY": secret} {
		old, was := os.LookupEnv(key)
		os.Setenv(key, value)
		t.Cleanup(func() {
			if os.Unsetenv(key); was {
				os.Setenv(key, old)
			}
		})
	}
	t.Cleanup(s.Stop)
	s.Up()
	client, err := minio.New(s.addr, &minio.Options{Creds: credentials.NewStaticV4(user, secret, "")})
	if err == nil {
		err = client.MakeBucket(context.Background(), Bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	return s
}

// URL is the address of a lake under a prefix, as [objects.Open] takes it.
func (s *Server) URL(prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=http://%s", Bucket, prefix, s.addr)
}

// Endpoint is the server's address, for a proxy before it.
func (s *Server) Endpoint() string { return "http://" + s.addr }

// Stop kills the server, as kill -9 does; its data stays for Up.
func (s *Server) Stop() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait() // the kill is its result
		s.cmd = nil
	}
}

// Up starts the server on the same address and data, and waits until it answers.
func (s *Server) Up() {
	s.t.Helper()
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command(binary(s.t), "server", "--quiet", "--address", s.addr, "--console-address", "127.0.0.1:0", s.dir)
	s.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+user, "MINIO_ROOT_PASSWORD="+secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Second}
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		resp, err := client.Get("http://" + s.addr + "/minio/health/live")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			s.t.Fatalf("MinIO does not start: %v", err)
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
		path := filepath.Join(dir, ".tools", "minio", "minio")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == "/" {
			t.Fatal("MinIO is missing: run `make .tools/minio/minio` once (it takes some minutes)")
		}
	}
}
