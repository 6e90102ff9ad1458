//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ombor/internal/objects/miniotest"
)

type compacted struct{ Plans, Into, Files, Merged, Removed, Waiting int }

func (s *server) compact(arguments ...string) (c compacted) {
	s.t.Helper()
	r := ombor(s.t, append([]string{"compact", "--data", s.data, "--format", "json"}, arguments...)...)
	if r.code != 0 {
		s.t.Fatalf("compact: exit %d: %s", r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &c); err != nil {
		s.t.Fatalf("compact: %v: %s", err, r.stdout)
	}
	return c
}

// byManifest is the statement of docs/sql.md, on a lake and a table of this test.
func byManifest(t *testing.T, lake, table, statement string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "sql.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, documented, ok := strings.Cut(string(text), "```sql\n-- DuckDB")
	documented, _, closed := strings.Cut(documented, "```")
	set, _, there := strings.Cut(documented, "SELECT sum(_sign)")
	if !ok || !closed || !there {
		t.Fatal("docs/sql.md has no statement for DuckDB")
	}
	set = strings.NewReplacer("data/lake", lake, "request_decided_v1", table).Replace("-- DuckDB" + set)
	r := run(t, []byte(set+statement), "node", filepath.Join(duckdb(t), "rows.mjs"))
	if r.code != 0 {
		t.Fatalf("DuckDB: %s\n%s", r.stderr, set)
	}
	return strings.TrimSpace(r.stdout)
}

// TestCompactCommand merges the files of a lake beside a server that loads: who reads by the
// manifests, here DuckDB, sees every row once at every moment; when the old files are gone,
// so does who reads with a pattern.
func TestCompactCommand(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, filepath.Join(dir, "data"))
	lake := filepath.Join(s.data, "lake")
	files := pieces(t, simulated(t, dir, 4000, 10), 6)
	for _, file := range files[:4] {
		s.loadAll(file)
	}
	before := s.figures()
	const rows = "SELECT count(*), count(DISTINCT _seq::VARCHAR || _sign::VARCHAR), sum(_sign) FROM read_parquet(getvariable('files'), union_by_name = true)"
	const table = "request_decided_v1"
	want := byManifest(t, lake, table, rows)
	if net := s.engine("SELECT sum(_sign) FROM facts." + table); !strings.HasSuffix(want, "\t"+net) || net == "0" {
		t.Fatalf("DuckDB gives %q, the warehouse %q", want, net)
	}

	got := s.compact()
	if got.Into == 0 || got.Files <= got.Merged || got.Removed != 0 || got.Waiting == 0 {
		t.Errorf("%+v", got)
	}
	if now := byManifest(t, lake, table, rows); now != want {
		t.Errorf("with old and merged files: %q, before %q", now, want)
	}
	s.verify(0)
	if got = s.compact("--grace", "0s"); got.Removed == 0 || got.Waiting != 0 {
		t.Errorf("%+v", got)
	}
	if now := byManifest(t, lake, table, rows); now != want {
		t.Errorf("merged: %q, before %q", now, want)
	}
	pattern := strings.ReplaceAll(rows, "getvariable('files')", "'"+lake+"/"+table+"/**/*.parquet'")
	r := run(t, []byte(pattern), "node", filepath.Join(duckdb(t), "rows.mjs"))
	if now := strings.TrimSpace(r.stdout); now != want {
		t.Errorf("by a pattern: %q %s, before %q", now, r.stderr, want)
	}
	sameFigures(t, "compacted", s.figures(), before)
	s.verify(0)

	// The server is killed while it merges what came since, whenever that is.
	s.load(files[4])
	s.load(files[5])
	want = byManifest(t, lake, table, rows)
	killer := time.AfterFunc(30*time.Millisecond, func() { _ = s.command.Process.Kill() })
	ombor(t, "compact", "--data", s.data, "--grace", "0s")
	killer.Stop()
	s.kill()
	if now := byManifest(t, lake, table, rows); now != want {
		t.Errorf("killed: %q, before %q", now, want)
	}
	s = serve(t, s.data)
	s.verify(0)
	if r := ombor(t, "compact", "--data", s.data, "--rows", "0"); r.code != 2 {
		t.Errorf("--rows 0: exit %d", r.code)
	}
}

// TestCompactKilledS3 kills a server with its lake on object storage in the middle of a compaction:
// before the first merged file is put, around the manifest that
// switches, between the removals. After each kill who reads by the manifests has every
// row once, and so has who compacts again.
func TestCompactKilledS3(t *testing.T) {
	minio := miniotest.Start(t)
	s3 := newS3Proxy(t, minio.Endpoint())
	place := minio.URL("lake")
	c := newCrashed(t, "--pack", files(t, crashPack), "--lake", "s3://"+miniotest.Bucket+"/lake?endpoint="+s3.URL)
	c.up(c.begin())
	f := newTraffic(t, c.url, setting(t, "SEED", 17))
	s := &sender{traffic: f, rng: rand.New(rand.NewPCG(f.seed, 1)), name: "till-0"}
	readers := func(when string) {
		t.Helper()
		dir := t.TempDir()
		download(t, place, dir)
		for _, table := range []string{"sale_v1", "visit_v1"} {
			got := byManifest(t, dir, table, "SELECT count(*) FILTER (_sign <> 0), count(DISTINCT _seq::VARCHAR || _sign::VARCHAR) FILTER (_sign <> 0), sum(_sign) FROM read_parquet(getvariable('files'), union_by_name = true)")
			want := engineSQL(t, c.data, "SELECT count(), uniqExact(_seq, _sign), sum(_sign) FROM facts."+table, "TSV")
			if want := strings.TrimSpace(want.stdout); got != want || got == "" {
				t.Errorf("%s: readers of %s have %q, the warehouse %q", when, table, got, want)
			}
		}
	}
	for _, moment := range []struct {
		operation int // of those that change the store, from 1
		done      bool
	}{{1, false}, {3, false}, {3, true}, {8, true}} {
		for range 2 { // a plan each
			s.wave(c.url, 1)
			c.settled(t)
		}
		when := fmt.Sprintf("killed at operation %d (done: %t)", moment.operation, moment.done)
		killed := s3.kill(moment.operation, moment.done, func() { c.kill(c.pids()...) })
		ombor(t, "compact", "--data", c.data, "--grace", "0s")
		if !killed() {
			t.Errorf("%s: the compaction needed fewer", when)
		}
		c.kill(c.pids()...)
		<-c.exited
		c.up(c.begin())
		c.settled(t)
		readers(when)
	}
	if got := c.compact("--grace", "0s"); got.Into+got.Removed == 0 || got.Waiting != 0 {
		t.Errorf("after the kills: %+v", got)
	}
	readers("compacted")
	c.verify(0)
	lake := t.TempDir()
	download(t, place, lake)
	f.total(&c.server, lake)
}

// TestCompactS3 merges on object storage.
func TestCompactS3(t *testing.T) {
	minio := miniotest.Start(t)
	dir := t.TempDir()
	s := serve(t, filepath.Join(dir, "data"), "--lake", minio.URL("lake"))
	for _, file := range pieces(t, simulated(t, dir, 2000, 40), 3) {
		s.load(file)
	}
	before := s.verify(0)
	if got := s.compact("--grace", "0s"); got.Into == 0 || got.Removed == 0 {
		t.Errorf("%+v", got)
	}
	if after := s.verify(0); after.Lake.Rows != before.Lake.Rows || after.Lake.Files >= before.Lake.Files {
		t.Errorf("%+v, before %+v", after, before)
	}
}
