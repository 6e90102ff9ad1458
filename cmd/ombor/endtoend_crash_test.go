//go:build endtoend

package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ombor/internal/objects/miniotest"
	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

// crashed is a server that is killed and started again on the same folder and address.
type crashed struct {
	server
	arguments []string
	probe     string          // answers 200 once requests are served
	ready     []time.Duration // how long each start took until then
}

func newCrashed(t *testing.T, arguments ...string) *crashed {
	t.Helper()
	address := freeAddress(t)
	c := &crashed{server: server{t: t, data: t.TempDir(), url: "http://" + address}, probe: "/readyz"}
	folders.Store(address, c.data)
	c.arguments = append([]string{"serve", "--data", c.data, "--listen", address}, arguments...)
	t.Cleanup(func() {
		if c.command != nil {
			c.kill(c.pids()...)
			<-c.exited
		}
	})
	return c
}

// begin starts the process, and does not wait for it.
func (c *crashed) begin() time.Time {
	c.t.Helper()
	c.log, c.exited = bytes.Buffer{}, make(chan struct{})
	c.command = exec.Command(binary, c.arguments...)
	c.command.Dir = root
	c.command.Stdout, c.command.Stderr = &c.log, &c.log
	began := time.Now()
	if err := c.command.Start(); err != nil {
		c.t.Fatal(err)
	}
	command, exited := c.command, c.exited
	go func() { _ = command.Wait(); close(exited) }()
	return began
}

// up waits until the server serves.
func (c *crashed) up(began time.Time) {
	c.t.Helper()
	for {
		select {
		case <-c.exited:
			c.t.Fatalf("serve ended by itself: %s", tailOf(c.log.String()))
		default:
		}
		if response, err := http.Get(c.url + c.probe); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK && c.known() {
				c.ready = append(c.ready, time.Since(began))
				return
			}
		}
		if time.Since(began) > 2*time.Minute {
			c.t.Fatalf("serve is not ready: %s", tailOf(c.log.String()))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// known says whether the folder tells where its server is, by which commands find it; an engine
// of its own has no such folder.
func (c *crashed) known() bool {
	if c.data == "" {
		return true
	}
	_, err := os.Stat(filepath.Join(c.data, "running.json"))
	return err == nil
}

// pids are the server's process and its children, the engine.
func (c *crashed) pids() []int {
	return append([]int{c.command.Process.Pid}, children(c.command.Process.Pid)...)
}

// children are the processes that a process has started.
func children(parent int) []int {
	all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	var found []int
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state ppid …; the name may hold anything
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == fmt.Sprint(parent) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

func (c *crashed) kill(pids ...int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestCrash kills the real server under load, ROUNDS times: door and loader, the engine, or
// all, at any moment, their starts included. Senders send again what was not acknowledged, in
// another order, and some of what was. In the end every acknowledged event is in
// warehouse and lake exactly once, and no other. SEED repeats a run's events and moments.
func TestCrash(t *testing.T) {
	rounds, seed := setting(t, "ROUNDS", 30), setting(t, "SEED", uint64(time.Now().UnixNano())%1_000_000)
	t.Logf("SEED=%d ROUNDS=%d", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 1<<32))
	pack := files(t, crashPack)
	c := newCrashed(t, "--pack", pack)
	f := newTraffic(t, c.url, seed)
	c.up(c.begin())
	first := c.ready[0]
	c.ready = nil

	quiet := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 4 {
		senders.Go(func() { f.run(n, quiet, 10) })
	}
	// Compaction is killed, too: it runs inside the server, or by itself when there is none
	// at the moment; then the next server waits for it.
	var compacted atomic.Int64
	var compacting sync.Mutex
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			compacting.Lock()
			if exec.Command(binary, "compact", "--data", c.data, "--pack", pack, "--grace", "0s").Run() == nil {
				compacted.Add(1)
			}
			compacting.Unlock()
			select {
			case <-quiet:
				return
			case <-time.After(time.Second): // a compaction every second or so
			}
		}
	}()
	kills := map[string]int{}
	for range rounds {
		time.Sleep(time.Duration(rng.IntN(900)) * time.Millisecond) // the moment of the kill
		if t.Failed() {
			break
		}
		switch pids := c.pids(); rng.IntN(4) {
		case 0:
			kills["engine"]++
			c.kill(pids[1:]...)
			continue // it is started again by the server
		case 1:
			kills["door and loader"]++
			c.kill(pids[0])
		default:
			kills["all"]++
			c.kill(pids...)
		}
		<-c.exited
		compacting.Lock()
		began := c.begin()
		if rng.IntN(4) == 0 { // and once more, while it starts
			kills["start"]++
			time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
			c.kill(c.pids()...)
			<-c.exited
			began = c.begin()
		}
		c.up(began)
		compacting.Unlock()
	}
	close(quiet)
	senders.Wait()
	<-stopped
	f.total(&c.server, filepath.Join(c.data, "lake"))
	if r := ombor(t, "verify", "--data", c.data); r.code != 0 {
		t.Errorf("ombor verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	c.stop()
	f.quarantined(stream.Options{Dir: filepath.Join(c.data, "journal")})

	var sum, most time.Duration
	for _, d := range c.ready {
		sum, most = sum+d, max(most, d)
	}
	t.Logf("killed %v; %d requests acknowledged, %d refused, %d without answer; %d events and revisions, %d conflicts, %d compactions", kills,
		f.answered.Load(), f.refused.Load(), f.failed.Load(), f.revisions, len(f.conflicts), compacted.Load())
	t.Logf("first start %v; serving again after %v, at most %v", first.Round(time.Millisecond), (sum / time.Duration(max(1, len(c.ready)))).Round(time.Millisecond), most.Round(time.Millisecond))
	if len(kills) == 0 || f.answered.Load() == 0 {
		t.Error("nothing was killed, or nothing sent")
	}
}

// newEngineApart is an engine of its own, which is killed and started again.
func newEngineApart(t *testing.T) *crashed {
	t.Helper()
	address := freeAddress(t)
	c := &crashed{server: server{t: t, url: "http://" + address}, probe: "/?query=SELECT+1"}
	c.arguments = []string{"engine", "--path", t.TempDir(), "--listen", address}
	t.Cleanup(func() {
		if c.command != nil {
			c.kill(c.command.Process.Pid)
			<-c.exited
		}
	})
	return c
}

// TestCrashApart is TestCrash of a cluster on one machine: two servers, each with a door and a
// loader, of which one is at work; a NATS server, an S3 server and an engine, each a process of
// its own. One after the other is killed, or frozen for longer than a loader's lease,
// and comes back; the other server goes on.
func TestCrashApart(t *testing.T) {
	rounds, seed := setting(t, "ROUNDS", 8), setting(t, "SEED", uint64(time.Now().UnixNano())%1_000_000)
	t.Logf("SEED=%d ROUNDS=%d", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 1<<33))
	minio, nats, engine := miniotest.Start(t), natstest.Start(t), newEngineApart(t)
	engine.up(engine.begin())
	keys := filepath.Join(t.TempDir(), "keys.json")
	var servers []*crashed
	var urls []string
	for range 2 {
		c := newCrashed(t, "--pack", files(t, crashPack), "--keys", keys, "--journal", nats.URL(), "--lake", minio.URL("crash"), "--warehouse", engine.url)
		c.up(c.begin())
		servers, urls = append(servers, c), append(urls, c.url)
	}
	f := newTraffic(t, urls[0], seed)
	f.others = urls[1:]
	quiet := make(chan struct{})
	var senders sync.WaitGroup
	for n := range 4 {
		senders.Go(func() { f.run(n, quiet, 10) })
	}
	acts := map[string]int{}
	// frozen stops a process for a while that is longer than a lease.
	frozen := func(pid int) {
		signalTo(t, pid, syscall.SIGSTOP)
		time.Sleep(time.Duration(8+rng.IntN(4)) * time.Second) // the fault; a lease lasts 6 s, and another 1.5 s until it is taken
		signalTo(t, pid, syscall.SIGCONT)
	}
	for round := range rounds {
		time.Sleep(time.Duration(500+rng.IntN(1500)) * time.Millisecond) // the moment
		if t.Failed() {
			break
		}
		away := time.Duration(rng.IntN(1500)) * time.Millisecond // how long it is away
		server := servers[rng.IntN(2)]
		// The first rounds meet everything once.
		act := int(round)
		if act >= 6 {
			act = rng.IntN(6)
		}
		switch act {
		case 0:
			acts["server killed"]++
			server.kill(server.pids()...)
			<-server.exited
			time.Sleep(away)
			server.up(server.begin())
		case 1:
			acts["engine killed"]++
			engine.kill(engine.command.Process.Pid)
			<-engine.exited
			time.Sleep(away)
			engine.up(engine.begin())
		case 2:
			acts["journal killed"]++
			nats.Stop()
			time.Sleep(away)
			nats.Up()
		case 3:
			acts["lake killed"]++
			minio.Stop()
			time.Sleep(away)
			minio.Up()
		case 4:
			acts["server frozen"]++
			frozen(server.command.Process.Pid)
		case 5:
			acts["engine frozen, server killed"]++
			signalTo(t, engine.command.Process.Pid, syscall.SIGSTOP)
			time.Sleep(away)
			server.kill(server.pids()...)
			<-server.exited
			began := server.begin()
			time.Sleep(away)
			signalTo(t, engine.command.Process.Pid, syscall.SIGCONT)
			server.up(began)
		}
	}
	close(quiet)
	senders.Wait()
	for _, c := range servers {
		c.settled(t)
	}
	lake := t.TempDir()
	download(t, minio.URL("crash"), lake)
	f.total(&servers[0].server, lake)
	if r := ombor(t, "verify", "--data", servers[0].data); r.code != 0 {
		t.Errorf("ombor verify: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, c := range servers {
		c.stop()
	}
	f.quarantined(stream.Options{URL: nats.URL()})
	t.Logf("%v; %d requests acknowledged, %d refused, %d without answer; %d events and revisions, %d conflicts", acts,
		f.answered.Load(), f.refused.Load(), f.failed.Load(), f.revisions, len(f.conflicts))
}
