//go:build endtoend

package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestNothingIsAcknowledgedBeforeItsFsync watches the door's system calls: for every
// request the bytes of its events were written to a file of the journal, then that file
// was fsynced, and only then did the 200 leave. Events kept in quarantine are no
// exception.
func TestNothingIsAcknowledgedBeforeItsFsync(t *testing.T) {
	s := serve(t, t.TempDir(), "--pack", files(t, crashPack))
	trace, stop := straced(t, s.command.Process.Pid)
	const clients, each = 8, 20
	var sent sync.Map // marker → nil
	var clientsDone sync.WaitGroup
	for n := range clients {
		clientsDone.Go(func() {
			client := http.Client{Transport: asOperator{&http.Transport{DisableKeepAlives: true}}, Timeout: time.Minute} // a connection for each request
			for i := range each {
				// Hexadecimal digits that no packing shortens, once in each request.
				marker := fmt.Sprintf("%016x", uint64(n*each+i+1)*0x9e3779b97f4a7c15)
				e := revision{kind: "sale", source: "till-0", number: marker, amount: i}
				if i%5 == 4 {
					e.amount = 6000 // kept in quarantine
				}
				response, err := client.Post(s.url+"/v1/events", "application/x-ndjson", strings.NewReader(e.event()))
				if err != nil {
					t.Error(err)
					return
				}
				response.Body.Close()
				if response.StatusCode != http.StatusOK {
					t.Errorf("the door answers %s", response.Status)
				}
				sent.Store(marker, nil)
			}
		})
	}
	clientsDone.Wait()
	stop()
	calls := readTrace(t, trace)
	markers := 0
	sent.Range(func(key, _ any) bool {
		markers++
		if wrong := unsynced(calls, key.(string)); wrong != "" {
			t.Errorf("%s: %s", key, wrong)
		}
		return true
	})
	if markers != clients*each {
		t.Errorf("%d requests were answered, want %d", markers, clients*each)
	}
	// The proof that this test can fail: the same calls without their fsyncs.
	never := slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return c.name == "fsync" || c.name == "fdatasync" })
	sent.Range(func(key, _ any) bool {
		if unsynced(never, key.(string)) == "" {
			t.Errorf("%s: a trace without any fsync passes", key)
		}
		return !t.Failed()
	})
}

// straced traces a running process, all its threads and what they start, until stop.
func straced(t *testing.T, pid int) (file string, stop func()) {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Fatalf("strace is missing: %v; run 'make /usr/bin/strace'", err)
	}
	file = filepath.Join(t.TempDir(), "trace")
	var stderr watched
	command := exec.Command(path, "-f", "-yy", "-s", "65536", "-e", "trace=read,write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync", "-o", file, "-p", fmt.Sprint(pid))
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = command.Process.Signal(syscall.SIGINT) // it lets go of the process
			<-ended
		})
	}
	t.Cleanup(stop)
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(stderr.String(), "attached"); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("PTRACE IS DENIED HERE, so it cannot be shown that a 200 follows its fsync; run the tests as root or with CAP_SYS_PTRACE: %s", stderr.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("strace does not attach: %s", stderr.String())
		}
	}
	return file, stop
}

// watched is a buffer that is read while it is written.
type watched struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// call is one system call on a file or socket. start and end are lines of the trace: a call
// whose start is after another's end began when that one had returned.
type call struct {
	name, fd, on, text string // on is what the descriptor fd stands for
	start, end         int
	failed             bool
}

var (
	callBegins  = regexp.MustCompile(`^(\d+)\s+(\w+)\((\d+)<(.*?)>[,) ](.*)$`)
	callResumes = regexp.MustCompile(`^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$`)
)

func readTrace(t *testing.T, file string) []call {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []call
	open := map[string]call{} // of threads that are in a call
	for n, line := range strings.Split(string(text), "\n") {
		if m := callResumes.FindStringSubmatch(line); m != nil {
			if c, ok := open[m[1]]; ok && c.name == m[2] {
				c.text, c.end, c.failed = c.text+m[3], n, strings.Contains(m[3], ") = -1 ")
				calls = append(calls, c)
				delete(open, m[1])
			}
			continue
		}
		m := callBegins.FindStringSubmatch(strings.ReplaceAll(line, "->", "→")) // a socket's name has an arrow
		if m == nil {
			continue
		}
		c := call{name: m[2], fd: m[3], on: m[4], text: m[5], start: n, end: n, failed: strings.Contains(m[5], " = -1 ")}
		if strings.HasSuffix(line, "<unfinished ...>") {
			open[m[1]] = c
			continue
		}
		calls = append(calls, c)
	}
	return calls
}

// unsynced tells what is wrong with the request that holds a marker; "" when nothing is.
// A connection is known by its descriptor, which is its own until the answer has left:
// strace looks its two ends up anew at each call, and under load not always with success.
func unsynced(calls []call, marker string) string {
	var socket string
	written := map[string]int{} // file of the journal → when the marker was in it
	synced, answered := -1, -1
	for _, c := range calls {
		switch holds := strings.Contains(c.text, marker); {
		case c.failed:
		case holds && c.name == "read" && isSocket(c.on):
			socket = c.fd
		case holds && strings.Contains(c.on, "/journal/") && strings.HasSuffix(c.on, ".blk") && c.name != "read":
			if _, again := written[c.on]; !again {
				written[c.on] = c.end
			}
		case c.name == "fsync" || c.name == "fdatasync":
			if w, ok := written[c.on]; ok && c.start > w && synced < 0 {
				synced = c.end
			}
		case c.fd == socket && isSocket(c.on) && answered < 0 && c.name != "read" && strings.Contains(c.text, "HTTP/1.1 200 "):
			answered = c.start
		}
	}
	switch {
	case socket == "":
		return "the request was not seen"
	case len(written) == 0:
		return "its event was never written to the journal"
	case answered < 0:
		return "its 200 was not seen"
	case synced < 0 || synced >= answered:
		return fmt.Sprintf("its 200 left (line %d of the trace) before its event was fsynced (line %d)", answered, synced)
	}
	return ""
}

// isSocket says whether a descriptor's name is a TCP connection's, looked up or not.
func isSocket(on string) bool {
	return strings.HasPrefix(on, "TCP") || strings.HasPrefix(on, "socket:")
}
