// Package enginetest gives tests a real engine.
//
//	func TestSomething(t *testing.T) {
//		e := enginetest.Start(t)
//		conn, err := clickhouse.Open(&clickhouse.Options{
//			Protocol:    clickhouse.HTTP,
//			Addr:        []string{enginetest.Addr},
//			DialContext: e.Dial,
//		})
//		…
//	}
//
// Nothing else is needed, and no TestMain: the test binary is its own child
// process, which this package's init serves. The engine lives in a temporary
// folder until the test ends. [Shared] gives all tests of a package the same one,
// which is quicker: each test then makes a database of its own with
// [Engine.Database].
//
// The engine's library must be installed; a test that cannot find it fails and
// says what to run.
package enginetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ombor/internal/protocol"
	"ombor/warehouse/engine"
)

// Addr is an address for clients that want one; [Engine.Dial] ignores it.
const Addr = "engine:80"

func init() { engine.RunChildIfAsked() }

// Engine is a running engine.
type Engine struct {
	*engine.Process
	databases atomic.Int64
}

// Start runs an engine in a temporary folder and stops it when the test ends.
func Start(t testing.TB) *Engine { return StartWith(t, engine.Config{}) }

// StartWith is Start with a configuration; an empty Path means a temporary folder.
func StartWith(t testing.TB, config engine.Config) *Engine {
	t.Helper()
	if config.Path == "" {
		config.Path = t.TempDir()
	}
	p, err := engine.Start(context.Background(), config)
	if err != nil {
		t.Fatalf("the engine does not start: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("the engine does not stop: %v", err)
		}
	})
	return &Engine{Process: p}
}

var shared struct {
	sync.Once
	engine *Engine
	err    error
}

// Shared is one engine for all tests of a package. It ends with the test binary and
// takes its folder with it.
func Shared(t testing.TB) *Engine {
	t.Helper()
	shared.Do(func() {
		dir, err := os.MkdirTemp("", "ombor-engine-")
		if err != nil {
			shared.err = err
			return
		}
		p, err := engine.Start(context.Background(), engine.Config{Path: dir, Ephemeral: true})
		if err != nil {
			shared.err = err
			return
		}
		shared.engine = &Engine{Process: p}
	})
	if shared.err != nil {
		t.Fatalf("the engine does not start: %v", shared.err)
	}
	return shared.engine
}

// Database makes a database of the test's own and drops it when the test ends.
func (e *Engine) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", e.databases.Add(1))
	e.Exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { e.Exec(t, "DROP DATABASE "+name+" SYNC") })
	return name
}

// Exec runs one statement over plain HTTP and returns what it answers, as
// tab-separated text. An exception fails the test.
func (e *Engine) Exec(t testing.TB, statement string) string {
	t.Helper()
	body, err := e.Query(context.Background(), statement)
	if err != nil {
		t.Fatalf("%v\nin: %.500s", err, statement)
	}
	return body
}

// Query is Exec with an error.
func (e *Engine) Query(ctx context.Context, statement string) (string, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx, Addr) },
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+Addr+"/", strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", protocol.ParseException(string(body))
	}
	return string(body), nil
}
