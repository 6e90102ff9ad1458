//go:build bench

package main_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBenchStorage measures what events take on disk, in each place that keeps them,
// when everything has come to rest. It never fails for a size.
func TestBenchStorage(t *testing.T) {
	r := newReport(t, "storage")
	p, events := embedded(t), number(t, "EVENTS", 1_000_000)
	in := &race{pack: p, contract: decisions(t, p), events: events}
	file, raw := decided(t, p, events, share(t, "SCALE", 1))
	s := serve(t, fresh(t))
	in.settle(s)
	s.accept(file, events)
	of := func(n int64) string { // bytes
		return fmt.Sprintf("%13d  %7.3f an event  %6.4f of raw", n, float64(n)/float64(events), float64(n)/float64(raw))
	}
	parts := s.sql("SELECT sum(bytes_on_disk), count() FROM system.parts WHERE active AND database IN ('facts', 'rollups')")
	fresh := s.numbers(parts)
	for _, table := range strings.Fields(s.sql("SELECT concat(database, '.`', name, '`') FROM system.tables WHERE database IN ('facts', 'rollups')")) {
		s.tell("OPTIMIZE TABLE " + table + " FINAL")
	}

	r.machine(s.sql("SELECT version()"))
	r.say("load      %s (1, 5, 15 minutes)", load(t))
	r.say("settings  Ombor and engine as they come. Parts of the warehouse are merged to the end (OPTIMIZE … FINAL), which")
	r.say("          the engine does by itself with time; the lake and the journal are as the loader left them")
	r.say("events    %d request.decided, %d bytes of NDJSON (%.1f an event)", events, raw, float64(raw)/float64(events))
	r.say("")
	facts := s.numbers(s.sql("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'facts'"))[0]
	rollups := s.numbers(s.sql("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'rollups'"))[0]
	lake := bytesIn(t, filepath.Join(s.data, "lake"))
	r.say("raw             %s", of(raw))
	r.say("warehouse       %s", of(facts+rollups))
	r.say("  facts         %s", of(facts))
	r.say("  rollups       %s", of(rollups))
	r.say("  just loaded   %s in %d parts", of(fresh[0]), fresh[1])
	r.say("lake            %s", of(lake))
	r.say("journal         %s, kept for 72 h", of(bytesIn(t, filepath.Join(s.data, "journal"))))
	r.say("loader          %s", of(bytesIn(t, filepath.Join(s.data, "loader"))))
	r.say("  index         %s", of(bytesIn(t, filepath.Join(s.data, "loader", "index"))))
	r.say("")
	r.say("facts, sorted by %s; bytes an event", s.sql("SELECT sorting_key FROM system.tables WHERE database = 'facts' AND name = '"+in.contract.Table()+"'"))
	columns := s.sql("SELECT name, replaceOne(type, 'LowCardinality', 'LC'), compression_codec, bytes FROM system.columns AS c INNER JOIN (" +
		"SELECT column, sum(column_bytes_on_disk) AS bytes FROM system.parts_columns WHERE active AND database = 'facts' AND table = '" + in.contract.Table() +
		"' GROUP BY column) AS p ON p.column = c.name WHERE c.database = 'facts' AND c.table = '" + in.contract.Table() + "' ORDER BY bytes DESC")
	for line := range strings.Lines(columns) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		r.say("  %-20s %-30s %-26s %7.3f", c[0], strings.ReplaceAll(c[1], "\\'", "'"), strings.TrimSuffix(strings.TrimPrefix(c[2], "CODEC("), ")"), float64(s.numbers(c[3])[0])/float64(events))
	}
	r.say("")
	r.say("rollups; rows, bytes")
	for line := range strings.Lines(s.sql("SELECT table, sum(rows), sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = 'rollups' GROUP BY table ORDER BY bytes DESC")) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		r.say("  %-62s %9s %11s", c[0], c[1], c[2])
	}
	r.say("")
	r.say("lake; bytes an event")
	columns = s.sql("SELECT c.name, any(c.physical_type), arrayStringConcat(arraySort(arrayDistinct(arrayFlatten(groupArray(c.encodings)))), '+'), any(c.compression), sum(c.total_compressed_size) AS bytes FROM file('" +
		filepath.Join(s.data, "lake", in.contract.Table(), "**", "*.parquet") + "', ParquetMetadata) ARRAY JOIN columns AS c GROUP BY c.name ORDER BY bytes DESC")
	for line := range strings.Lines(columns) {
		c := strings.Split(strings.TrimSpace(line), "\t")
		r.say("  %-20s %-20s %-36s %-12s %7.3f", c[0], c[1], c[2], c[3], float64(s.numbers(c[4])[0])/float64(events))
	}
	r.say("")
	r.say("warehouse/raw ratio %.4f, lake/raw ratio %.4f (goal 0.1429 each, then 0.1)", float64(facts+rollups)/float64(raw), float64(lake)/float64(raw))
	r.say("storage/raw ratio %.3f", float64(max(facts+rollups, lake))/float64(raw))
}

// accept loads a file into warehouse and lake and fails unless all its events are accepted.
func (s *server) accept(file string, events int) {
	s.t.Helper()
	if l, done := s.load(file); done.code != 0 || l.Accepted != int64(events) {
		s.t.Fatalf("load: exit %d, %+v\n%s\n%s", done.code, l, done.stderr, s.log.String())
	}
}

// numbers are the whole numbers of a line of TSV.
func (s *server) numbers(line string) (list []int64) {
	s.t.Helper()
	for _, text := range strings.Fields(line) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			s.t.Fatalf("%q: want whole numbers", line)
		}
		list = append(list, n)
	}
	return list
}

// tell runs a statement on the server's engine, past Ombor, which only reads.
func (s *server) tell(statement string) {
	s.t.Helper()
	client := http.Client{Timeout: 10 * time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.socket())
	}}}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://engine/", "text/plain", strings.NewReader(statement))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s\n%s: %s %v", statement, response.Status, body, err)
	}
}

// bytesIn is the size of all files below a folder.
func bytesIn(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
