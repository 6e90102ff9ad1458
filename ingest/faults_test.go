package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"ombor/ingest"
)

// Senders that send nothing hold no more than their places: who comes besides is told to
// come again, and when the door has given up on them all is as before.
func TestManySlowSenders(t *testing.T) {
	const slow = 16
	g := newRig(t, ingest.Limits{Requests: slow, Idle: 8 * time.Second}) // all are there before the first is given up
	address := strings.TrimPrefix(g.url, "http://")
	forms := []struct {
		contentType string
		body        []byte
	}{{typeLines, []byte(ndjson(3))}, {typeArray, []byte("[" + event("a", data(1)) + "]")}, {arrowType, arrowOf(t, requests(3))}, {parquetType, parquetOf(t, requests(3))}}
	var conns []net.Conn
	for i := range slow {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// Half an event, a byte or a header each, and then nothing.
		form := forms[i%len(forms)]
		fmt.Fprintf(conn, "POST /v1/events?type=test.request.v1&source=portal HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			form.contentType, len(form.body), form.body[:i*len(form.body)/slow])
		conns = append(conns, conn)
	}
	// One that asks before they are all in would take the place of one of them.
	for deadline := time.Now().Add(time.Minute); g.Counts().Requests < slow; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d requests have come", g.Counts().Requests, slow)
		}
	}
	// The places are taken when one more is turned away.
	for deadline := time.Now().Add(time.Minute); ; {
		if time.Now().After(deadline) {
			t.Fatal("nobody is turned away")
		}
		a := post(t, g.url, typeLines, strings.NewReader(event("besides", data(1))))
		if a.Status == http.StatusTooManyRequests {
			if a.Header.Get("Retry-After") == "" || a.Detail == "" {
				t.Errorf("turned away without a word: %v %s", a.Header, a.Text)
			}
			break
		}
		if a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Text)
		}
	}
	for i, conn := range conns {
		text, err := io.ReadAll(conn) // until the door closes it
		if err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 400")) {
			t.Errorf("slow sender %d: %q %v", i, text, err)
		}
	}
	if a := post(t, g.url, typeLines, strings.NewReader(event("afterwards", data(1)))); a.Status != http.StatusOK || a.Accepted != 1 {
		t.Errorf("afterwards: %d %s", a.Status, a.Text)
	}
}

// A body that is cut off anywhere stores nothing, in every form, and the door goes on.
func TestBodiesCutOff(t *testing.T) {
	g := newRig(t, ingest.Limits{})
	address := strings.TrimPrefix(g.url, "http://")
	lines := []byte(ndjson(30))
	query := "?type=test.request.v1&source=portal"
	for _, c := range []struct {
		name, target, contentType, encoding string
		body                                []byte
	}{
		{"lines", "", typeLines, "", lines},
		{"gzip", "", typeLines, "gzip", gzipped(t, string(lines))},
		{"zstd", "", typeLines, "zstd", zstded(t, string(lines))},
		{"array", "", typeArray, "", []byte("[" + strings.ReplaceAll(strings.TrimSpace(string(lines)), "\n", ",") + "]")},
		{"Arrow", query, arrowType, "", arrowOf(t, requests(30))},
		{"Parquet", query, parquetType, "", parquetOf(t, requests(30))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, n := range []int{0, 1, len(c.body) / 3, len(c.body) / 2, len(c.body) - 1} {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "POST /v1/events%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n", c.target, c.contentType, c.encoding, len(c.body))
				_, _ = conn.Write(c.body[:n])
				_ = conn.(*net.TCPConn).CloseWrite() // the answer can still be read
				text, err := io.ReadAll(conn)
				conn.Close()
				if err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 400")) {
					t.Errorf("%d of %d bytes: %.200q %v", n, len(c.body), text, err)
				}
			}
		})
	}
	if n := g.Counts().Accepted; n != 0 {
		t.Errorf("%d events of cut bodies were accepted", n)
	}
	if n := g.rows(t); n != 0 {
		t.Errorf("%d rows are in the journal", n)
	}
	if a := post(t, g.url, typeLines, bytes.NewReader(lines)); a.Accepted != 30 {
		t.Errorf("afterwards: %d %s", a.Status, a.Text)
	}
}

// Thirty-two bodies as large as they may be, at once and of every form, are all taken in
// the end, those that came while too many bytes were under way at another try; and the door
// never holds much more than it says.
func TestMemoryStaysFlat(t *testing.T) {
	const senders, body, memory = 32, 2 << 20, 8 << 20
	g := newRig(t, ingest.Limits{Body: body, Text: body, Memory: memory})
	var lines bytes.Buffer
	for i := 0; lines.Len() < body-1000; i++ {
		lines.WriteString(event(fmt.Sprint("e-", i), data(i)) + "\n")
	}
	// Parquet that unpacks to almost as much as a request may hold.
	var wide []request
	for i := range body / 1200 {
		r := requests(1)[0]
		r.ID, r.Request = fmt.Sprint("w", i), new(strings.Repeat(fmt.Sprint(i%10), 1000))
		wide = append(wide, r)
	}
	var columns bytes.Buffer
	if err := parquet.Write(&columns, wide, parquet.Compression(&parquet.Zstd)); err != nil {
		t.Fatal(err)
	}
	bodies := []struct {
		target, contentType, encoding string
		body                          []byte
		events                        int
	}{
		{"", typeLines, "", lines.Bytes(), bytes.Count(lines.Bytes(), []byte("\n"))},
		{"", typeLines, "gzip", gzipped(t, lines.String()), bytes.Count(lines.Bytes(), []byte("\n"))},
		{"?type=test.request.v1&source=portal", parquetType, "", columns.Bytes(), len(wide)},
		{"?type=test.request.v1&source=portal", arrowType, "", arrowOf(t, wide), len(wide)},
	}

	live := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	watching, stop := context.WithCancel(t.Context())
	peak := make(chan uint64)
	before := live()
	go func() {
		var most uint64
		for watching.Err() == nil {
			most = max(most, live())
			time.Sleep(2 * time.Millisecond)
		}
		peak <- most
	}()
	var turnedAway sync.Map
	var all sync.WaitGroup
	for i := range senders {
		b := bodies[i%len(bodies)]
		all.Go(func() {
			for try := 1; ; try++ {
				if try > 1 {
					turnedAway.Store(i, true)
					time.Sleep(time.Duration(min(try, 10)) * 100 * time.Millisecond) // as a sender does
				}
				r, err := http.NewRequest(http.MethodPost, g.url+"/v1/events"+b.target, bytes.NewReader(b.body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", b.contentType)
				r.Header.Set("Content-Encoding", b.encoding)
				response, err := http.DefaultClient.Do(r)
				if err != nil { // turned away while the body was still being sent
					continue
				}
				text, _ := io.ReadAll(response.Body)
				response.Body.Close()
				switch {
				case response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable:
				case response.StatusCode != http.StatusOK || !bytes.Contains(text, fmt.Appendf(nil, `"accepted":%d,`, b.events)):
					t.Errorf("%s: %d %.300s, want %d accepted", b.contentType, response.StatusCode, text, b.events)
					return
				default:
					return
				}
			}
		})
	}
	all.Wait()
	stop()
	turned := 0
	turnedAway.Range(func(any, any) bool { turned++; return true })
	if turned == 0 {
		t.Error("nobody was turned away, so the limit was not met")
	}
	// The columns of an event take about as much as its text, and twice that while they grow;
	// the journal holds what waits for its fsync. Without the limit it would be 32 × 2 MiB of each.
	if grown := int64(<-peak) - int64(before); grown > 12*memory {
		t.Errorf("the door held %d MiB with a limit of %d", grown>>20, memory>>20)
	} else {
		t.Logf("%d MiB at most, %d of %d turned away at first", grown>>20, turned, senders)
	}
}
