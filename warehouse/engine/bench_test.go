package engine_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"ombor/warehouse/engine/enginetest"
)

// BenchmarkSelect is what one small query costs: HTTP over the Unix socket, a
// connection of its own with its settings, the engine, clickhouse-go.
func BenchmarkSelect(b *testing.B) {
	conn := connect(b, enginetest.Shared(b), "", nil)
	b.ReportAllocs()
	for b.Loop() {
		var n uint8
		if err := conn.QueryRow(context.Background(), "SELECT 1").Scan(&n); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead is a large answer as it passes through the front.
func BenchmarkRead(b *testing.B) {
	e := enginetest.Shared(b)
	client := e.Client()
	for _, c := range []struct{ name, params string }{{"plain", ""}, {"reframed", "client_protocol_version=54460"}, {"lz4", "compress=1"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := client.Post("http://engine/?"+c.params, "", strings.NewReader("SELECT number, toString(number) FROM numbers(5000000) FORMAT Native"))
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, r.Body)
				if err != nil || r.StatusCode != http.StatusOK {
					b.Fatal(err, r.Status)
				}
				b.SetBytes(n)
				if err := r.Body.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkInsert is one INSERT of 65,000 rows in Native.
func BenchmarkInsert(b *testing.B) {
	e := enginetest.Shared(b)
	e.Exec(b, "CREATE TABLE IF NOT EXISTS bench (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	defer e.Exec(b, "DROP TABLE bench")
	data := post(b, e, "", "SELECT number AS a, toString(number) AS s FROM numbers(65000) FORMAT Native").body
	client := e.Client()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := client.Post("http://engine/?query=INSERT+INTO+bench+FORMAT+Native", "", strings.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		if r.StatusCode != http.StatusOK {
			b.Fatal(r.Status)
		}
		if err := r.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
