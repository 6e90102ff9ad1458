package backup_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"ombor/internal/backup"
	"ombor/internal/objects"
	"ombor/internal/problem"
)

func open(t *testing.T, dir string) objects.Store {
	t.Helper()
	store, err := objects.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func kind(t *testing.T, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Fatalf("got %v, want an error of kind %v", err, want)
	}
}

var day = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// write makes a backup of a large stream, a small one, and objects.
func write(t *testing.T, store objects.Store, at time.Time, large []byte, lake map[string]string, order ...string) *backup.Writer {
	t.Helper()
	w, err := backup.Create(t.Context(), store, at)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"streams/LARGE": large, "data/small.txt": []byte("small")} {
		if err := w.Add(t.Context(), name, func(to io.Writer) error {
			for part := range 7 { // in writes that are not pieces
				if _, err := to.Write(data[part*len(data)/7 : (part+1)*len(data)/7]); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range order {
		if err := w.Copy(t.Context(), name, int64(len(lake[name])), func(context.Context) ([]byte, error) { return []byte(lake[name]), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(t.Context(), map[string]string{"of": at.String()}); err != nil {
		t.Fatal(err)
	}
	return w
}

// read reads everything of a backup.
func read(ctx context.Context, b *backup.Backup) (map[string]string, error) {
	all := map[string]string{}
	for _, e := range b.State {
		var data strings.Builder
		if err := b.Read(ctx, e, &data); err != nil {
			return nil, err
		}
		all[e.Name] = data.String()
	}
	for _, o := range b.Lake {
		data, err := b.Get(ctx, o)
		if err != nil {
			return nil, err
		}
		all[o.Immutable()] = string(data)
	}
	return all, nil
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	large := make([]byte, 17<<20) // two pieces
	_, _ = rand.Read(large)       // never fails
	lake := map[string]string{"t/1.parquet": "one", "t/2.parquet": "two", "_manifest/1.jsonl": "lines"}
	_, err := backup.Open(t.Context(), store, "")
	kind(t, err, problem.NotFound)
	first := write(t, store, day, large, lake, "t/1.parquet", "_manifest/1.jsonl")
	second := write(t, store, day.Add(time.Hour), large[:100], lake, "t/1.parquet", "t/2.parquet", "_manifest/1.jsonl")
	if first.Copied != 2 || second.Copied != 1 {
		t.Errorf("copied %d, then %d", first.Copied, second.Copied)
	}
	_, err = backup.Create(t.Context(), store, day)
	kind(t, err, problem.Conflict)

	ids, err := backup.List(t.Context(), store)
	if err != nil || len(ids) != 2 || ids[0] != first.ID() || ids[1] != second.ID() {
		t.Fatal(ids, err)
	}
	for id, want := range map[string]int{first.ID(): len(large), "": 100} {
		b, err := backup.Open(t.Context(), store, id)
		if err != nil {
			t.Fatal(err)
		}
		all, err := read(t.Context(), b)
		if err != nil || all["streams/LARGE"] != string(large[:want]) || all["data/small.txt"] != "small" || all["t/1.parquet"] != "one" || all["_manifest/1.jsonl"] != "lines" {
			t.Fatalf("%q: %v, %d entries", id, err, len(all))
		}
		if _, there := b.Entry("data/small.txt"); !there || !strings.Contains(string(b.About), "2024-05-01") {
			t.Errorf("%+v", b)
		}
	}

	// An object that somebody removed is copied again.
	if err := os.Remove(filepath.Join(dir, "lake", "t", "1.parquet")); err != nil {
		t.Fatal(err)
	}
	if third := write(t, store, day.Add(2*time.Hour), nil, lake, "t/1.parquet", "t/2.parquet"); third.Copied != 1 {
		t.Errorf("copied %d", third.Copied)
	}
	// A source that fails leaves no backup.
	w, err := backup.Create(t.Context(), store, day.Add(3*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := w.Add(t.Context(), "streams/LARGE", func(io.Writer) error { return broken }); err != broken {
		t.Error(err)
	}
	if ids, err := backup.List(t.Context(), store); err != nil || len(ids) != 3 {
		t.Error(ids, err)
	}
}

// TestDamage flips a bit at every place of every object of a small backup, and cuts it.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	store := open(t, dir)
	lake := map[string]string{"t/1.parquet": "one"}
	id := write(t, store, day, []byte("some state"), lake, "t/1.parquet").ID()
	var names []string
	if err := store.List(t.Context(), "", func(o objects.Info) error { names = append(names, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(names) != 4 {
		t.Fatal(names)
	}
	try := func(name string) error {
		b, err := backup.Open(t.Context(), store, id)
		if err == nil {
			_, err = read(t.Context(), b)
		}
		if err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
		return err
	}
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for at := range data {
			bad := bytes.Clone(data)
			bad[at] ^= 1 << (at % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			// The line end after the manifest's own checksum says nothing.
			if err := try(name); err == nil && (at < len(data)-1 || !strings.HasPrefix(name, "backups/")) {
				t.Errorf("byte %d of %s", at, name)
			}
		}
		if err := os.Truncate(path, int64(len(data)-2)); err != nil {
			t.Fatal(err)
		}
		kind(t, try(name), problem.Internal)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := try(""); err != nil {
		t.Error(err)
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, err := backup.Recipients(fmt.Sprintf("# the operator\n%s\n", key.Recipient()))
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("a key that nobody may see")
	sealed, err := backup.Encrypt(secret, to)
	if err != nil || bytes.Contains(sealed, secret[:8]) {
		t.Fatal(err)
	}
	file := func(text string) string {
		name := filepath.Join(dir, fmt.Sprint(len(text)))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if got, err := backup.Decrypt(sealed, file("# made today\n"+key.String()+"\n")); err != nil || !bytes.Equal(got, secret) {
		t.Error(string(got), err)
	}
	_, err = backup.Decrypt(sealed, file(other.String()))
	kind(t, err, problem.Denied)
	_, err = backup.Decrypt(sealed, file("nothing"))
	kind(t, err, problem.BadInput)
	_, err = backup.Decrypt(sealed, filepath.Join(dir, "none"))
	kind(t, err, problem.BadInput)
	sealed[len(sealed)-1] ^= 1
	if _, err = backup.Decrypt(sealed, file(key.String())); err == nil {
		t.Error("a changed secret was read")
	}
	for _, text := range []string{"", "# nobody", "age1nobody", key.String()} {
		if _, err := backup.Recipients(text); problem.KindOf(err) != problem.BadInput || strings.Contains(fmt.Sprint(err), "AGE-SECRET") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
