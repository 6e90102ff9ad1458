//go:build endtoend

package main_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"ombor/internal/objects/miniotest"
	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

type backupDone struct {
	ID                            string
	Through, Journal, Rows, Bytes uint64
	Files, Copied                 int
	Keys                          bool
	Streams                       []struct{ Name string }
}

func (s *server) backup(place string, arguments ...string) (b backupDone) {
	s.t.Helper()
	r := ombor(s.t, append([]string{"backup", place, "--data", s.data, "--format", "json"}, arguments...)...)
	if r.code != 0 {
		s.t.Fatalf("backup: exit %d: %s", r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil {
		s.t.Fatalf("backup: %v: %s", err, r.stdout)
	}
	return b
}

// operatorKey makes an age identity: its file, and who it is.
func operatorKey(t *testing.T, dir string) (identity, recipient string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity = filepath.Join(dir, key.Recipient().String()[:12]+".key")
	if err := os.WriteFile(identity, []byte(key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return identity, key.Recipient().String()
}

// TestBackup backs a running server up, twice, and restores it into an empty folder: every figure is the
// same, every old event is known. A flipped bit is found, wherever it is.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	identity, recipient := operatorKey(t, dir)
	place := filepath.Join(dir, "backup")
	s := serve(t, filepath.Join(dir, "data"))
	files := pieces(t, simulated(t, dir, 3000, 50), 3)
	s.loadAll(files[0])
	first := s.backup(place, "--recipient", recipient)
	s.loadAll(files[1])
	if r := ombor(t, "key", "create", "--role", "analyst", "--name", "of the backup", "--data", s.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	second := s.backup(place, "--recipient", recipient)
	if !first.Keys || first.Copied == 0 || second.Copied >= first.Copied+first.Files || second.Files <= first.Files || second.Rows <= first.Rows {
		t.Errorf("first %+v, second %+v", first, second)
	}
	before := s.figures()
	mustContain(t, "backup --list", ombor(t, "backup", "--list", place).stdout, first.ID, second.ID, "keys inside")
	if r := ombor(t, "backup", place, "--data", s.data); r.code != 2 || !strings.Contains(r.stderr, "--recipient") {
		t.Errorf("without saying who may read the keys: exit %d: %s", r.code, r.stderr)
	}
	s.kill()

	// The backup holds no key.
	text, err := os.ReadFile(filepath.Join(s.data, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(text, &keys); err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, v := range keys {
		secret, ok := v.(string)
		if !ok || len(secret) < 16 {
			continue
		}
		secrets++
		each(t, place, func(name string, data []byte) {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds a key", name)
			}
		})
	}
	if secrets == 0 {
		t.Fatalf("keys.json has no keys: %s", text)
	}

	restored := filepath.Join(dir, "restored")
	r := ombor(t, "restore", place, "--data", restored, "--identity", identity)
	if r.code != 0 {
		t.Fatalf("restore: exit %d: %s\n%s", r.code, r.stdout, r.stderr)
	}
	mustContain(t, "restore", r.stdout, second.ID, "they agree")
	again := serve(t, restored)
	sameFigures(t, "restored", again.figures(), before)
	mustContain(t, "keys restored", ombor(t, "key", "list", "--data", restored).stdout, "of the backup")
	mustContain(t, "audit log restored", ombor(t, "audit", "list", "--data", restored).stdout, "POST /v1/keys")
	if r := ombor(t, "audit", "verify", "--data", restored); r.code != 0 {
		t.Errorf("the restored audit log: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if l, r := again.load(files[1]); l.Accepted != 0 || l.Conflict != 0 || l.Duplicate == 0 {
		t.Errorf("old events again: %+v %s", l, r.stderr)
	}
	if l, r := again.load(files[2]); l.Accepted == 0 || l.Conflict != 0 {
		t.Errorf("new events: %+v %s", l, r.stderr)
	}
	again.verify(0)
	again.stop()

	// Only into an empty folder, only with the right identity.
	if r := ombor(t, "restore", place, "--data", restored, "--identity", identity); r.code != 1 || !strings.Contains(r.stderr, "not empty") {
		t.Errorf("into a folder in use: exit %d: %s", r.code, r.stderr)
	}
	other, _ := operatorKey(t, dir)
	if r := ombor(t, "restore", place, "--data", filepath.Join(dir, "none"), "--identity", other); r.code != 1 || !strings.Contains(r.stderr, "cannot be read with the identity") {
		t.Errorf("with another identity: exit %d: %s", r.code, r.stderr)
	}
	// A flipped bit in any kind of object is named, and nothing stays of the attempt.
	seen := map[string]bool{}
	each(t, place, func(name string, data []byte) {
		kind, _, _ := strings.Cut(strings.TrimPrefix(name, "state/"+second.ID+"/"), "/")
		if strings.HasPrefix(name, "state/"+first.ID) || strings.Contains(name, first.ID) || seen[kind] || len(data) == 0 {
			return
		}
		seen[kind] = true
		path := filepath.Join(place, filepath.FromSlash(name))
		bad := bytes.Clone(data)
		bad[len(bad)/2] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(dir, "damaged")
		r := ombor(t, "restore", place, "--data", target, "--identity", identity)
		if r.code != 1 || !strings.Contains(r.stderr, name) || !strings.Contains(r.stderr, "damaged") {
			t.Errorf("a flipped bit in %s: exit %d: %s", name, r.code, r.stderr)
		}
		if left, err := os.ReadDir(target); err == nil && len(left) > 0 {
			t.Errorf("after the flipped bit in %s there is %v", name, left)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if len(seen) < 5 {
		t.Errorf("only %v were tried", seen)
	}
}

// each calls fn with every file of a folder.
func each(t *testing.T, dir string, fn func(name string, data []byte)) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		fn(filepath.ToSlash(name), data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestBackupElsewhere backs up to object storage and restores with the lake there, too.
func TestBackupElsewhere(t *testing.T) {
	minio := miniotest.Start(t)
	dir := t.TempDir()
	identity, recipient := operatorKey(t, dir)
	s := serve(t, filepath.Join(dir, "data"), "--lake", minio.URL("lake"))
	s.loadAll(simulated(t, dir, 2000, 60))
	before := s.figures()
	s.backup(minio.URL("backup"), "--recipient", recipient)
	s.stop()
	restored := filepath.Join(dir, "restored")
	if r := ombor(t, "restore", minio.URL("backup"), "--data", restored, "--identity", identity, "--lake", minio.URL("lake2")); r.code != 0 {
		t.Fatalf("restore: exit %d: %s", r.code, r.stderr)
	}
	again := serve(t, restored, "--lake", minio.URL("lake2"))
	sameFigures(t, "restored", again.figures(), before)
	again.verify(0)
}

// TestOperateElsewhere does all of it with every part elsewhere: the journal on a NATS server, the warehouse
// over TCP, the lake on object storage; and restores to others of each. A backup has every stream that Ombor
// opened on the NATS server but those that are of the moment.
func TestOperateElsewhere(t *testing.T) {
	minio := miniotest.Start(t)
	dir := t.TempDir()
	identity, recipient := operatorKey(t, dir)
	parts := func(nats, lake string) []string {
		return []string{"--journal", nats, "--warehouse", engineAlone(t), "--lake", minio.URL(lake)}
	}
	nats := natstest.Start(t).URL()
	s := serve(t, filepath.Join(dir, "data"), parts(nats, "one")...)
	s.loadAll(simulated(t, dir, 2000, 70))
	before := s.figures()
	s.verify(0)
	if got := s.compact("--grace", "0s"); got.Into == 0 || got.Removed == 0 {
		t.Errorf("%+v", got)
	}
	if r := ombor(t, "rebuild", "--data", s.data); r.code != 0 {
		t.Fatal(r.stderr)
	}
	sameFigures(t, "rebuilt", s.figures(), before)
	s.verify(0)
	var has []string
	for _, one := range s.backup(minio.URL("backup"), "--recipient", recipient).Streams {
		has = append(has, one.Name)
	}
	conn, err := stream.Open(t.Context(), stream.Options{URL: nats})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	opened, err := conn.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range opened {
		if !slices.Contains(has, name) && name != "KV_SESSIONS" && !strings.HasSuffix(name, "_LEASE") {
			t.Errorf("the backup does not have the stream %s, only %v", name, has)
		}
	}
	s.stop()

	restored, others := filepath.Join(dir, "restored"), parts(natstest.Start(t).URL(), "two")
	if r := ombor(t, append([]string{"restore", minio.URL("backup"), "--data", restored, "--identity", identity}, others...)...); r.code != 0 {
		t.Fatalf("restore: exit %d: %s", r.code, r.stderr)
	}
	again := serve(t, restored, others...)
	sameFigures(t, "restored", again.figures(), before)
	again.verify(0)
}
