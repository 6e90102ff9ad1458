package objects_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/internal/objects"
	"ombor/internal/objects/miniotest"
	"ombor/internal/problem"
)

func kind(t *testing.T, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Fatalf("got %v, want an error of kind %v", err, want)
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s, err := objects.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	behaves(t, s)

	// What a crash left of a write is removed, and never listed.
	left := filepath.Join(dir, ".partial-1")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := objects.Open(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Fatal("the rest of a crashed write is still there")
	}
}

func TestS3(t *testing.T) {
	m := miniotest.Start(t)
	s, err := objects.Open(t.Context(), m.URL("lake/one"))
	if err != nil {
		t.Fatal(err)
	}
	behaves(t, s)
	other, err := objects.Open(t.Context(), m.URL("lake/two"))
	if err != nil {
		t.Fatal(err)
	}
	if names := list(t, other, ""); len(names) != 0 {
		t.Fatalf("prefixes mix: %v", names)
	}

	m.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kind(t, s.Put(ctx, "away", []byte("x")), problem.Unavailable)
	_, err = s.Get(ctx, "t/b")
	kind(t, err, problem.Unavailable)
	m.Up()
	if err := s.Put(t.Context(), "away", []byte("x")); err != nil {
		t.Fatalf("after the server came back: %v", err)
	}

	t.Setenv("OMBOR_S3_SECRET_KEY", "wrong")
	_, err = objects.Open(t.Context(), m.URL("lake/one"))
	kind(t, err, problem.Unavailable)
	if !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "wrong") {
		t.Fatal(err)
	}
}

func list(t *testing.T, s objects.Store, prefix string) []string {
	t.Helper()
	var names []string
	if err := s.List(t.Context(), prefix, func(o objects.Info) error {
		names = append(names, fmt.Sprintf("%s %d", o.Name, o.Size))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

func behaves(t *testing.T, s objects.Store) {
	t.Helper()
	ctx := t.Context()
	data := []byte("0123456789")
	for _, name := range []string{"t/cut=2024-05-01/1-2.parquet", "t/b", "t-a", "t/cut=2024-05-02/3-3.parquet"} {
		if err := s.Put(ctx, name, data); err != nil {
			t.Fatal(name, err)
		}
	}
	if err := s.Put(ctx, "t/b", data); err != nil {
		t.Fatalf("the same bytes again: %v", err)
	}
	kind(t, s.Put(ctx, "t/b", []byte("0123456780")), problem.Conflict)
	kind(t, s.Put(ctx, "t/b", []byte("01234567890")), problem.Conflict)
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a b", "a\x00", strings.Repeat("a", 1000)} {
		kind(t, s.Put(ctx, name, data), problem.BadInput)
		_, err := s.Get(ctx, name)
		kind(t, err, problem.BadInput)
	}
	got, err := s.Get(ctx, "t/b")
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%q, %v", got, err)
	}
	for _, r := range []struct {
		offset, length int64
		want           string
	}{{0, 3, "012"}, {7, 10, "789"}, {10, 5, ""}, {2, 0, ""}} {
		got, err := s.Range(ctx, "t/b", r.offset, r.length)
		if err != nil || string(got) != r.want {
			t.Fatalf("%v: %q, %v", r, got, err)
		}
	}
	if o, err := s.Stat(ctx, "t/b"); err != nil || o.Size != 10 || o.Name != "t/b" {
		t.Fatal(o, err)
	}
	_, err = s.Get(ctx, "t/none")
	kind(t, err, problem.NotFound)
	_, err = s.Range(ctx, "t/none", 0, 1)
	kind(t, err, problem.NotFound)
	_, err = s.Stat(ctx, "t/none")
	kind(t, err, problem.NotFound)
	_, err = s.Stat(ctx, "t/cut=2024-05-01")
	kind(t, err, problem.NotFound)

	want := []string{"t/b 10", "t/cut=2024-05-01/1-2.parquet 10", "t/cut=2024-05-02/3-3.parquet 10"}
	if got := list(t, s, "t/"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatal(got)
	}
	if got := list(t, s, "t/cut=2024-05-0"); fmt.Sprint(got) != fmt.Sprint(want[1:]) {
		t.Fatal(got)
	}
	if got := list(t, s, ""); len(got) != 4 || got[0] != "t-a 10" {
		t.Fatal(got)
	}
	if got := list(t, s, "none/at/all"); len(got) != 0 {
		t.Fatal(got)
	}
	stop := errors.New("stop")
	if err := s.List(ctx, "", func(objects.Info) error { return stop }); err != stop {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(ctx, "t/b"); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, s, "t/b"); len(got) != 0 {
		t.Fatal(got)
	}

	// Writers race for one name: one content wins, whole, and every other writer hears Conflict.
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = s.Put(ctx, "race", bytes.Repeat([]byte{byte('a' + i)}, 100_000)) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		if err == nil {
			if winner >= 0 {
				t.Fatal("two writers won")
			}
			winner = i
		} else {
			kind(t, err, problem.Conflict)
		}
	}
	if winner < 0 {
		t.Fatal(errs)
	}
	if got, err := s.Get(ctx, "race"); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte('a' + winner)}, 100_000)) {
		t.Fatalf("the winner's content is not there: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for place, want := range map[string]string{
		"":                                  "give the lake a folder",
		"gs://b":                            "gs://",
		"s3://?endpoint=http://h":           "names no bucket",
		"s3://b/p?endpoint=host:1":          "endpoint must be",
		"s3://b/p?endpoint=http://h&x=1":    "unknown parameter",
		"s3://u:secret@b?endpoint=http://h": "do not belong into",
	} {
		_, err := objects.Open(t.Context(), place)
		kind(t, err, problem.BadInput)
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", place, err)
		}
	}
}
