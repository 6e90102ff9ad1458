//go:build bench

package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	perRequest = 500 // events; a portal that gathers for some milliseconds
	senders    = 16  // connections of the open loop
	echoAfter  = 50_000
)

// TestBenchLatency measures how long the door takes to acknowledge at half of the full
// load, how long an event takes into a KPI at that load, and what it costs when one
// tenth of the events come twice. It fails when an event is lost or counted twice,
// never for a time.
func TestBenchLatency(t *testing.T) {
	r := newReport(t, "latency")
	p, events, rounds := embedded(t), number(t, "EVENTS", 1_000_000), number(t, "ROUNDS", 3)
	in := &race{pack: p, contract: decisions(t, p), events: events}
	file, _ := decided(t, p, events, share(t, "SCALE", 1))
	twice, lines := echoed(t, file, events)

	type full struct{ rate, cpu float64 } // lines/s, processor time of door and loader and engine a line
	loadOf := func(t *testing.T, file string, lines int) full {
		s := serve(t, fresh(t))
		defer s.stop()
		in.settle(s)
		door, engine := usageOf(t, s.command.Process.Pid), usageOf(t, s.engineOf())
		began := time.Now()
		l, done := s.load(file)
		took := time.Since(began)
		if done.code != 0 || l.Accepted != int64(lines) && l.Accepted+l.Duplicate != int64(lines) {
			t.Fatalf("load: exit %d, %+v of %d lines\n%s", done.code, l, lines, done.stderr)
		}
		if got := s.sql("SELECT count(), uniqExact(_id) FROM facts." + in.contract.Table()); got != fmt.Sprintf("%d\t%[1]d", events) {
			t.Fatalf("the facts are (rows, ids) %s, want %d", got, events)
		}
		cpu := usageOf(t, s.command.Process.Pid).since(door).cpu + usageOf(t, s.engineOf()).since(engine).cpu
		return full{float64(lines) / took.Seconds(), float64(cpu) / float64(lines)}
	}
	began := load(t)
	var once, again []full
	for round := range rounds {
		t.Run(fmt.Sprint(round+1), func(t *testing.T) {
			for i := range 2 {
				if (i+round)%2 == 0 {
					once = append(once, loadOf(t, file, events))
				} else {
					again = append(again, loadOf(t, twice, lines))
				}
			}
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	var rate, rateAgain, cpu, cpuAgain []float64
	for i := range once {
		rate, rateAgain = append(rate, once[i].rate), append(rateAgain, again[i].rate)
		cpu, cpuAgain = append(cpu, once[i].cpu), append(cpuAgain, again[i].cpu)
	}

	s := serve(t, fresh(t))
	in.settle(s)
	half := median(rate) / 2
	o := openLoop{s: s, rate: half, file: file, events: events}
	stop := make(chan struct{})
	var visible []time.Duration
	var watching sync.WaitGroup
	watching.Go(func() { visible = s.watch(stop) })
	acked := o.run(t)
	close(stop)
	watching.Wait()
	version := s.sql("SELECT version()")

	r.machine(version)
	r.say("load      %s before, %s after (1, 5, 15 minutes); the sender shares the cores", began, load(t))
	r.say("")
	r.say("full load      %.0f events/s (ombor load, median of %d)", median(rate), rounds)
	r.say("acknowledged   at %.0f events/s, %d requests of %d events over %d connections, timed from when each was due:", half, len(acked), perRequest, senders)
	r.say("               p50 %s, p90 %s, p99 %s, longest %s (goal: p99 below 50 ms)", ms(quantile(acked, 0.5)), ms(quantile(acked, 0.9)), ms(quantile(acked, 0.99)), ms(quantile(acked, 1)))
	if len(visible) == 0 {
		t.Fatal("the load ended before one event was seen in the KPI: give more EVENTS")
	}
	r.say("in the KPI     at that load, from when it was sent, %d events one by one: p50 %s, p99 %s, longest %s (goal: below 2 s)",
		len(visible), seconds(quantile(visible, 0.5)), seconds(quantile(visible, 0.99)), seconds(quantile(visible, 1)))
	r.say("twice          one tenth of the events again after %d others: %.3f of the events/s, %.3f of the processor time of each (goal: at least 0.85)",
		echoAfter, median(rateAgain)/median(rate), median(cpuAgain)/median(cpu))
	r.say("latency/ack p99 %s", ms(quantile(acked, 0.99)))
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// echoed is a copy of a file in which every tenth line comes again later.
func echoed(t *testing.T, file string, events int) (name string, lines int) {
	t.Helper()
	from, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	name = filepath.Join(fresh(t), "twice.ndjson")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := bufio.NewWriterSize(out, 1<<20)
	type echo struct {
		line []byte
		due  int
	}
	var echoes []echo
	in := bufio.NewScanner(from)
	for i := 0; in.Scan(); i++ {
		for len(echoes) > 0 && echoes[0].due <= i {
			w.Write(echoes[0].line)
			echoes = echoes[1:]
			lines++
		}
		if line := append(slices.Clone(in.Bytes()), '\n'); i%10 == 3 {
			echoes = append(echoes, echo{line, i + echoAfter})
		}
		w.Write(in.Bytes())
		w.WriteByte('\n')
		lines++
	}
	for _, e := range echoes {
		w.Write(e.line)
		lines++
	}
	if err := w.Flush(); err != nil || in.Err() != nil {
		t.Fatal(err, in.Err())
	}
	if want := events + events/10; lines != want {
		t.Fatalf("%d lines of %d events, want %d", lines, events, want)
	}
	return name, lines
}

// openLoop sends a file at a fixed rate, whatever the door does.
type openLoop struct {
	s      *server
	rate   float64 // events/s
	file   string
	events int
}

// run returns how long each request took from when it was due until it was acknowledged.
func (o openLoop) run(t *testing.T) []time.Duration {
	t.Helper()
	file, err := os.Open(o.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type request struct {
		body []byte
		due  time.Time
	}
	requests := make(chan request, 2*senders)
	var mu sync.Mutex
	var took []time.Duration
	client := &http.Client{Transport: asOperator{&http.Transport{MaxIdleConnsPerHost: senders}}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for q := range requests {
				time.Sleep(time.Until(q.due))
				err := post(client, o.s.url, q.body)
				d := time.Since(q.due)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			}
		})
	}
	began := time.Now().Add(100 * time.Millisecond)
	in := bufio.NewReaderSize(file, 1<<20)
	for i := 0; i < o.events/perRequest; i++ {
		var body []byte
		for range perRequest {
			line, err := in.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			body = append(body, line...)
		}
		requests <- request{body, began.Add(time.Duration(float64(i*perRequest) / o.rate * float64(time.Second)))}
	}
	close(requests)
	group.Wait()
	return took
}

// post sends events; all of them must be accepted.
func post(client *http.Client, url string, body []byte) error {
	response, err := client.Post(url+"/v1/events", "application/x-ndjson", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var receipt struct{ Accepted int }
	if err := json.Unmarshal(answer, &receipt); err != nil || receipt.Accepted != bytes.Count(body, []byte{'\n'}) {
		return fmt.Errorf("%s: %s", response.Status, answer)
	}
	return nil
}

// watch sends events one by one until stop, of a day of their own, and returns how
// long each took until the KPI counted it.
func (s *server) watch(stop <-chan struct{}) (took []time.Duration) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	sent := 0
	send := func() {
		event := fmt.Sprintf(`{"specversion":"1.0","id":"seen-%d","source":"portal","type":"uz.gov.request.decided.v1","time":"2023-06-15T10:00:00+05:00",`+
			`"data":{"request":"seen-%[1]d","applicant":"%014d","applicant_kind":"citizen","service":"323","intake":"portal","processing":"automatic","submitted_at":"2023-06-15T09:00:00+05:00","outcome":"approved"}}`+"\n",
			sent, 30_000_000_000_000+sent)
		if err := post(client, s.url, []byte(event)); err != nil {
			s.t.Error(err)
		}
		sent++
	}
	counted := func() int {
		response, err := client.Get(s.url + "/v1/kpis/requests/values?from=2023-06-15&to=2023-06-15")
		if err != nil {
			s.t.Error(err)
			return -1
		}
		defer response.Body.Close()
		var answer struct{ Cells []struct{ Value *float64 } }
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			s.t.Errorf("%s: %v", response.Status, err)
			return -1
		}
		if len(answer.Cells) != 1 || answer.Cells[0].Value == nil {
			return 0
		}
		return int(*answer.Cells[0].Value)
	}
	for range 50 { // more persons than the least that is told
		send()
	}
	var at time.Time // when the one that is waited for was sent
	for seen := false; ; {
		for counted() < sent {
			select {
			case <-stop:
				return took
			case <-time.After(50 * time.Millisecond): // asking takes some of what is measured
			}
			if s.t.Failed() {
				return took
			}
		}
		if seen { // the first ones only lead up to it
			took = append(took, time.Since(at))
		}
		seen = true
		at = time.Now()
		send()
	}
}
