//go:build endtoend

package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ombor/internal/objects"
	"ombor/internal/objects/miniotest"
	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

// s3Proxy stands before a real S3 server and breaks what it is told to break.
type s3Proxy struct {
	*httptest.Server
	mode  atomic.Value // string: "", "500", "403", "slow", "cut", "lost"
	broke atomic.Int64 // requests that were broken
	fatal atomic.Pointer[fatalRequest]
}

// fatalRequest is one in the middle of which somebody dies.
type fatalRequest struct {
	at    int64 // of the requests that change something, from 1
	done  bool  // the server carries it out
	kill  func()
	count atomic.Int64
}

// kill has somebody killed at a request that changes something, before or after it is done,
// and says whether it came to that. Nothing changes afterwards.
func (p *s3Proxy) kill(at int, done bool, kill func()) (killed func() bool) {
	f := &fatalRequest{at: int64(at), done: done, kill: kill}
	p.fatal.Store(f)
	return func() bool {
		p.fatal.Store(nil)
		return f.count.Load() >= f.at
	}
}

func newS3Proxy(t *testing.T, target string) *s3Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &s3Proxy{}
	p.mode.Store("")
	forward := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }, // the host is signed
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.fatal.Load(); f != nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
			if n := f.count.Add(1); n >= f.at {
				if n == f.at && f.done {
					forward.ServeHTTP(httptest.NewRecorder(), r)
				}
				if n == f.at {
					f.kill()
				}
				panic(http.ErrAbortHandler)
			}
		}
		mode := p.mode.Load().(string)
		if mode != "" {
			p.broke.Add(1)
		}
		refuse := func(status int, code string) {
			_, _ = io.Copy(io.Discard, r.Body) // a server reads before it refuses
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>broken by the test</Message></Error>`, code)
		}
		switch mode {
		case "500":
			refuse(http.StatusInternalServerError, "InternalError")
		case "403":
			refuse(http.StatusForbidden, "AccessDenied")
		case "cut":
			panic(http.ErrAbortHandler)
		case "lost": // the server has it, and nobody hears so
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case "slow":
			time.Sleep(2 * time.Second) // the fault
			forward.ServeHTTP(w, r)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// tcpProxy stands before a real server and delays or cuts what passes.
type tcpProxy struct {
	listener net.Listener
	target   string
	delay    atomic.Int64 // nanoseconds for each piece
	deaf     atomic.Bool  // what the server answers is dropped
	mu       sync.Mutex
	open     map[net.Conn]bool
}

func newTCPProxy(t *testing.T, target string) *tcpProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tcpProxy{listener: l, target: target, open: map[net.Conn]bool{}}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.open[client], p.open[server] = true, true
			p.mu.Unlock()
			go p.pass(client, server, false)
			go p.pass(server, client, true)
		}
	}()
	t.Cleanup(func() { l.Close(); p.cut() })
	return p
}

func (p *tcpProxy) pass(from, to net.Conn, answers bool) {
	defer func() {
		from.Close()
		to.Close()
		p.mu.Lock()
		delete(p.open, from)
		p.mu.Unlock()
	}()
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !(answers && p.deaf.Load()) {
			time.Sleep(time.Duration(p.delay.Load())) // the fault
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut closes every connection.
func (p *tcpProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
	}
}

// problemsOf are what /v1/status says is wrong, without what is so by design.
func problemsOf(s *server) (string, error) {
	var st statusOf
	err := s.getJSON("/v1/status", &st)
	var list []string
	for _, p := range st.Problems {
		if !strings.HasPrefix(p, "durability not proven") {
			list = append(list, p)
		}
	}
	return strings.Join(list, "; "), err
}

// metric is a number of /metrics, the sum over its labels.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	response, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var sum float64
	found := false
	for _, line := range linesOf(string(text)) {
		var v float64
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
				s.t.Fatal(line)
			}
			sum, found = sum+v, true
		}
	}
	if !found {
		s.t.Fatalf("/metrics has no %s", name)
	}
	return sum
}

// fault is something that goes wrong for a while.
type fault struct {
	name       string
	begin, end func()
	words      string // what /v1/status says meanwhile; "" for a fault that is only slow
	refuses    bool   // the door cannot take events meanwhile, and says so; else it must
}

// under lets faults come and go while events are sent, and looks at what the server says
// and needs meanwhile.
func (f *traffic) under(s *server, faults []fault) {
	t := f.t
	t.Helper()
	for _, fault := range faults {
		before, answered, refused := time.Now(), f.answered.Load(), f.refused.Load()
		fault.begin()
		want := regexp.MustCompile(fault.words)
		var said string
		var named, acted time.Duration
		for named == 0 || acted == 0 {
			list, err := problemsOf(s)
			if err == nil && list != "" {
				said = list
			}
			if named == 0 && (fault.words == "" || want.MatchString(list) && s.metric("ombor_fault") > 0) {
				named = time.Since(before)
			}
			if acted == 0 && (fault.refuses && f.refused.Load() > refused+2 || !fault.refuses && f.answered.Load() > answered+20) {
				acted = time.Since(before)
			}
			if r := s.resident(); r > 512<<20 {
				t.Errorf("%s: door and loader hold %d MB", fault.name, r>>20)
			}
			if time.Since(before) > time.Minute {
				t.Errorf("%s: named after %v, the door refused or served after %v (0 is never within a minute); status said %q, %v", fault.name, named, acted, said, err)
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		fault.end()
		ended := time.Now()
		for answered := f.answered.Load(); ; time.Sleep(50 * time.Millisecond) {
			list, err := problemsOf(s)
			if err == nil && list == "" && f.answered.Load() > answered+5 {
				break
			}
			if time.Since(ended) > time.Minute {
				t.Fatalf("%s: a minute after its end the server says %q (%v) and %d requests were answered\n%s", fault.name, list, err, f.answered.Load()-answered, tailOf(s.log.String()))
			}
		}
		t.Logf("%-28s named %.1f s, refused or served %.1f s, well again %.1f s after its end, %d MB: %.150s", fault.name, named.Seconds(), acted.Seconds(), time.Since(ended).Seconds(), s.resident()>>20, said)
	}
}

// engineOf is the process of the server's engine.
func engineOf(t *testing.T, s *server) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if found := children(s.command.Process.Pid); len(found) == 1 {
			return found[0]
		}
		if time.Now().After(deadline) {
			t.Fatal("the server has no engine")
		}
	}
}

func signalTo(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

// TestPartsAwayUnderLoad runs the server with its journal on a NATS server, its lake on an S3
// server, and lets each of them, and the engine, be killed, frozen, slow, cut off, full of
// errors, while events are sent. The door answers 2xx, 429 or 503 with Retry-After; memory
// stays flat; status and metrics name the fault; it recovers by itself; nothing is lost.
func TestPartsAwayUnderLoad(t *testing.T) {
	minio, nats := miniotest.Start(t), natstest.Start(t)
	s3 := newS3Proxy(t, minio.Endpoint())
	wire := newTCPProxy(t, nats.Addr())
	s := serve(t, t.TempDir(), "--pack", files(t, crashPack), "--journal", "nats://"+wire.listener.Addr().String(),
		"--lake", "s3://"+miniotest.Bucket+"/crash?endpoint="+s3.URL)
	f := newTraffic(t, s.url, setting(t, "SEED", 7))
	quiet := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 3 {
		senders.Go(func() { f.run(n, quiet, 20) })
	}
	t.Cleanup(senders.Wait)
	s3Mode := func(mode string) (func(), func()) {
		return func() { s3.mode.Store(mode) }, func() { s3.mode.Store("") }
	}
	var faults []fault
	for _, mode := range []string{"500", "403", "cut", "lost", "slow"} {
		begin, end := s3Mode(mode)
		words := "lake"
		if mode == "slow" {
			words = ""
		}
		faults = append(faults, fault{name: "object store: " + mode, begin: begin, end: end, words: words})
	}
	engine := 0
	faults = append(faults,
		fault{name: "object store: killed", begin: minio.Stop, end: minio.Up, words: "lake"},
		fault{name: "journal: killed", begin: nats.Stop, end: nats.Up, words: "journal", refuses: true},
		fault{name: "journal: frozen", begin: nats.Freeze, end: nats.Thaw, words: "journal", refuses: true},
		fault{name: "journal: slow", begin: func() { wire.delay.Store(int64(100 * time.Millisecond)) }, end: func() { wire.delay.Store(0) }},
		fault{name: "journal: cut", begin: wire.cut, end: func() {}},
		fault{name: "journal: answers lost", begin: func() { wire.deaf.Store(true) }, end: func() { wire.deaf.Store(false); wire.cut() }, words: "journal", refuses: true},
		fault{name: "engine: killed", begin: func() { engine = engineOf(t, s); signalTo(t, engine, syscall.SIGKILL) },
			end: func() { // the dead one is the server's child until it has been waited for
				for engineOf(t, s) == engine {
					time.Sleep(20 * time.Millisecond)
				}
			}},
		fault{name: "engine: frozen", begin: func() { engine = engineOf(t, s); signalTo(t, engine, syscall.SIGSTOP) },
			end: func() { signalTo(t, engine, syscall.SIGCONT) }, words: "engine|warehouse"},
		fault{name: "engine: frozen and killed", begin: func() { engine = engineOf(t, s); signalTo(t, engine, syscall.SIGSTOP) },
			end: func() { signalTo(t, engine, syscall.SIGKILL) }, words: "engine|warehouse"},
	)
	f.under(s, faults)
	close(quiet)
	senders.Wait()
	s.settled(t)
	if s3.broke.Load() == 0 {
		t.Error("no request to the object store was broken")
	}
	lake := t.TempDir()
	download(t, minio.URL("crash"), lake)
	f.total(s, lake)
	s.stop()
	f.quarantined(stream.Options{URL: nats.URL()})
	t.Logf("%d requests acknowledged, %d refused, %d without answer; %d events and revisions", f.answered.Load(), f.refused.Load(), f.failed.Load(), f.revisions)
}

// download copies every object of a store into a folder.
func download(t *testing.T, place, dir string) {
	t.Helper()
	store, err := objects.Open(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.List(context.Background(), "", func(o objects.Info) error {
		data, err := store.Get(context.Background(), o.Name)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, filepath.FromSlash(o.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o644)
	}); err != nil {
		t.Fatal(err)
	}
}

// tmpfs mounts a small file system on a folder for the length of the test.
func tmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("FULL DISKS ARE NOT TESTED: mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }) // it goes with the machine otherwise
}

// filler fills the disk of a folder to its last page, and makes room again.
func filler(t *testing.T, dir string) (fill, free func()) {
	name := filepath.Join(dir, "filler")
	return func() {
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for _, piece := range []int{1 << 20, 4 << 10} {
				for err = nil; err == nil; {
					_, err = f.Write(make([]byte, piece))
				}
			}
		}, func() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
}

// TestFullDisksUnderLoad fills the lake's disk, then the disk of everything else, while
// events are sent. A full lake keeps the door open; a full disk closes it with 503. When
// there is room again everything goes on by itself and every acknowledged event is there once.
func TestFullDisksUnderLoad(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	lake := filepath.Join(data, "lake")
	tmpfs(t, data, "1500m") // status warns below 1 GiB of room
	tmpfs(t, lake, "48m")
	s := serve(t, data, "--pack", files(t, crashPack))
	f := newTraffic(t, s.url, setting(t, "SEED", 9))
	quiet := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 3 {
		senders.Go(func() { f.run(n, quiet, 10) })
	}
	t.Cleanup(senders.Wait)
	fillLake, freeLake := filler(t, lake)
	fillData, freeData := filler(t, data)
	f.under(s, []fault{
		{name: "lake: full disk", begin: fillLake, end: freeLake, words: "lake"},
		{name: "data: full disk", begin: fillData, end: freeData, words: "disk", refuses: true},
	})
	close(quiet)
	senders.Wait()
	f.total(s, lake)
	if r := ombor(t, "verify", "--data", data); r.code != 0 {
		t.Errorf("ombor verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	t.Logf("%d requests acknowledged, %d refused, %d without answer; %d events and revisions", f.answered.Load(), f.refused.Load(), f.failed.Load(), f.revisions)
}
