//go:build endtoend

package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ombor/internal/objects/miniotest"
)

// pseudonymKeys are the pseudonym keys of a file, by version.
func pseudonymKeys(t *testing.T, name string) (keys [][]byte) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Pseudonyms []struct{ Key []byte }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Pseudonyms {
		keys = append(keys, p.Key)
	}
	return keys
}

// chainOf is what the documents say that a PINFL becomes: HMAC(kₙ, … HMAC(k₁, identifier)).
func chainOf(identifier string, keys ...[]byte) string {
	input := []byte(identifier)
	for _, key := range keys {
		domain := hmac.New(sha256.New, key)
		domain.Write([]byte("ombor person pinfl"))
		h := hmac.New(sha256.New, domain.Sum(nil))
		h.Write(input)
		input = h.Sum(nil)[:16]
	}
	return hex.EncodeToString(input)
}

// spellings are the bytes by which a pseudonym could be found on a disk: as it is in Parquet and in the journal,
// in the order of the engine, and as text, also inside base64.
func spellings(t *testing.T, pseudonym string) (all [][]byte) {
	t.Helper()
	raw, err := hex.DecodeString(pseudonym)
	if err != nil || len(raw) != 16 {
		t.Fatalf("%q is no pseudonym", pseudonym)
	}
	engine := slices.Clone(raw)
	slices.Reverse(engine[:8])
	slices.Reverse(engine[8:])
	all = append(all, raw, engine, []byte(pseudonym), []byte(fmt.Sprintf("%s-%s-%s-%s-%s", pseudonym[:8], pseudonym[8:12], pseudonym[12:16], pseudonym[16:20], pseudonym[20:])))
	for shift := range 3 {
		for _, inside := range []string{pseudonym, string(raw)} {
			encoded := base64.StdEncoding.EncodeToString(append(make([]byte, shift), inside...))
			all = append(all, []byte(encoded[4:len(encoded)-4]))
		}
	}
	return all
}

// TestPartsRotation rotates the pseudonym keys of a shop with twelve buyers who are also visitors. The server
// is killed in the middle of it, and again while it goes on at the next start. Then every figure is what it
// was, who comes again is who they were, no pseudonym of the old key is in facts, lake, quarantine or ledger,
// the parts agree, and a backup from before is rewritten when it is restored.
func TestPartsRotation(t *testing.T) {
	shop := stallOfBuyers()
	shop["contracts/visit.yaml"] = `type: shop.visit.v1
title: {en: Visit}
about: One visit.
source: till
fields:
  visitor: {type: person, id: pinfl, class: personal, required: true}
`
	dir := t.TempDir()
	minio := miniotest.Start(t)
	s3 := newS3Proxy(t, minio.Endpoint())
	pack := files(t, shop)
	c := newCrashed(t, "--pack", pack, "--lake", "s3://"+miniotest.Bucket+"/lake?endpoint="+s3.URL)
	c.up(c.begin())
	buyers := twelveBuyers()
	of := func(event, who string) string { return strings.Replace(event, buyer, who, 1) }
	visit := func(id, who string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"till","type":"shop.visit.v1","time":"2024-05-01T10:00:00+05:00","data":{"visitor":%q}}`, id, who)
	}
	for plan := range 3 {
		var lines []string
		for i := range 36 {
			lines = append(lines, of(sale(fmt.Sprintf("s-%d-%d", plan, i), "bread", 1+i), buyers[i%len(buyers)]))
		}
		lines = append(lines, visit(fmt.Sprint("v-", plan), buyers[plan]))
		if plan > 0 { // takes a row of an earlier plan back: the ledger holds it meanwhile
			correction := of(sale(fmt.Sprintf("s-%d-0/1", plan-1), "bread", 50), buyers[0])
			lines = append(lines, strings.Replace(correction, `"source"`, fmt.Sprintf(`"corrects":"s-%d-0","revision":1,"source"`, plan-1), 1))
		}
		if sold := c.sell(lines...); sold.Accepted != len(lines) {
			t.Fatalf("%+v", sold)
		}
		c.settled(t)
	}
	// Kept aside: a rule that is broken, another content under a known id.
	if sold := c.sell(of(sale("many", "bread", 1000), buyers[3]), of(sale("s-0-1", "bread", 77), buyers[1])); sold.Held != 1 {
		t.Fatalf("%+v", sold)
	}
	c.settled(t)
	kept := filepath.Join(dir, "backup")
	identity, recipient := operatorKey(t, dir)
	c.backup(kept, "--recipient", recipient)

	ask := func(statement string) []string {
		t.Helper()
		r := engineSQL(t, c.data, statement, "TSV")
		if r.code != 0 {
			t.Fatal(r.stderr)
		}
		return linesOf(r.stdout)
	}
	const groups = "SELECT count(), sum(_sign), sum(amount * _sign), groupArray(_seq) FROM (SELECT * FROM facts.sale_v1 ORDER BY _seq, _sign) GROUP BY buyer ORDER BY groupArray(_seq)"
	const joined = "SELECT count(), uniqExact(buyer) FROM ombor.sale_v1 WHERE buyer IN (SELECT visitor FROM ombor.visit_v1)"
	const named = "SELECT DISTINCT lower(hex(buyer)) FROM facts.sale_v1 ORDER BY 1"
	figures := func() string {
		t.Helper()
		text, err := json.Marshal(append(c.stallFigures(), ask(groups), ask(joined)))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	before := figures()
	keysFile := filepath.Join(c.data, "keys.json")
	first := pseudonymKeys(t, keysFile)
	var old []string
	for _, b := range buyers {
		old = append(old, chainOf(b, first...))
	}
	slices.Sort(old)
	if names := ask(named); len(first) != 1 || !slices.Equal(names, old) || !strings.Contains(before, `"value":12`) {
		t.Fatalf("%d keys, the facts name %q, want %q\n%s", len(first), names, old, before)
	}

	// holding are the files of disk and object store that have a pseudonym of the first key.
	holding := func() (names string) {
		t.Helper()
		disk := t.TempDir()
		download(t, minio.URL("lake"), filepath.Join(disk, "lake"))
		for _, where := range []string{disk, c.data} {
			if err := filepath.WalkDir(where, func(name string, d fs.DirEntry, err error) error {
				// The messages of the journal go 72 hours after they were loaded.
				if err != nil || !d.Type().IsRegular() || strings.Contains(name, "/streams/JOURNAL/") {
					if errors.Is(err, fs.ErrNotExist) {
						return nil
					}
					return err
				}
				data, err := os.ReadFile(name)
				if errors.Is(err, fs.ErrNotExist) { // the engine merges meanwhile
					return nil
				}
				for _, b := range buyers {
					if slices.ContainsFunc(spellings(t, chainOf(b, first...)), func(spelling []byte) bool { return bytes.Contains(data, spelling) }) {
						names += name + "\n"
						break
					}
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		return names
	}
	mustContain(t, "the old pseudonyms", holding(), "/lake/sale_v1/", "/engine/", "_HELD/", "_LEDGER/")

	rotate := func() result {
		return ombor(t, "pseudonyms", "rotate", "--data", c.data, "--format", "json")
	}
	killed := s3.kill(2, true, func() { c.kill(c.pids()...) })
	if r := rotate(); r.code != 1 || !killed() {
		t.Errorf("killed: exit %d: %s", r.code, r.stderr)
	}
	<-c.exited
	keys := pseudonymKeys(t, keysFile)
	if len(keys) != 2 || !bytes.Equal(keys[0], first[0]) {
		t.Fatalf("%d keys", len(keys))
	}
	killed = s3.kill(5, false, func() { c.kill(c.pids()...) })
	c.begin()
	<-c.exited
	if !killed() {
		t.Fatalf("it does not go on: %s", tailOf(c.log.String()))
	}
	c.up(c.begin())
	if n := len(pseudonymKeys(t, keysFile)); n != 2 {
		t.Errorf("%d keys after it went on", n)
	}

	var now []string
	for _, b := range buyers {
		now = append(now, chainOf(b, keys...))
	}
	slices.Sort(now)
	if names := ask(named); !slices.Equal(names, now) {
		t.Errorf("the facts name %q, want %q", names, now)
	}
	if after := figures(); after != before {
		t.Errorf("figures are\n%s, were\n%s", after, before)
	}
	c.verify(0)
	if names := holding(); names != "" {
		t.Errorf("rotated: old pseudonyms are in\n%s", names)
	}
	if list := c.aside(); len(list) != 2 {
		t.Errorf("in quarantine are %+v", list)
	} else {
		for _, e := range list {
			want := chainOf(buyers[3], keys...)
			if e.Code == "conflict" {
				want = chainOf(buyers[1], keys...)
			}
			r := c.quarantine(0, "show", e.ID, "--format", "json")
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%s has not the new pseudonym: %s", e.Code, r.stdout)
			}
		}
	}

	// Who comes again is who they were: at the door, from quarantine, and by a correction.
	again := of(sale("again", "bread", 3), buyers[0])
	correction := strings.Replace(of(sale("s-2-0/1", "bread", 60), buyers[0]), `"source"`, `"corrects":"s-2-0","revision":1,"source"`, 1)
	if sold := c.sell(again, correction, visit("v-again", buyers[0]), of(sale("s-0-1", "bread", 2), buyers[1])); sold.Accepted != 4 {
		t.Errorf("%+v", sold)
	}
	for _, e := range c.aside("--code", "rule_broken") {
		c.quarantine(0, "fix", e.ID, "--set", "amount=9")
		c.quarantine(0, "replay", e.ID)
	}
	c.settled(t)
	if names := ask(named); !slices.Equal(names, now) {
		t.Errorf("the facts name %q now, want %q", names, now)
	}
	later := figures()
	if later == before || !strings.Contains(later, `"value":12`) || ask(joined)[0] == "" {
		t.Errorf("figures are %s, were %s", later, before)
	}
	c.verify(0)
	for _, command := range []string{"rebuild", "compact", "retain"} {
		if r := ombor(t, command, "--data", c.data); r.code != 0 {
			t.Fatalf("%s: %s", command, r.stderr)
		}
	}
	if now := figures(); now != later {
		t.Errorf("rebuilt and compacted: figures are\n%s, were\n%s", now, later)
	}

	// Once more, of files that a compaction made; then somebody is erased.
	r := rotate()
	var done struct{ Pseudonyms, Files, Rows, Held int }
	if err := json.Unmarshal([]byte(r.stdout), &done); err != nil || done.Pseudonyms != 3 || done.Files == 0 || done.Held != 2 {
		t.Errorf("%+v, %v: exit %d: %s", done, err, r.code, r.stderr)
	}
	if now := figures(); now != later {
		t.Errorf("rotated again: figures are\n%s, were\n%s", now, later)
	}
	if r := run(t, []byte(buyers[5]+"\n"), binary, "erase", "--data", c.data, "--kind", "pinfl"); r.code != 0 {
		t.Errorf("erase: exit %d: %s", r.code, r.stderr)
	}
	keys = pseudonymKeys(t, keysFile)
	if names := ask(named); len(names) != 12 || slices.Contains(names, chainOf(buyers[5], keys...)) || !slices.Contains(names, chainOf(buyers[6], keys...)) {
		t.Errorf("erased: the facts name %q", names)
	}
	if now := figures(); now != later {
		t.Errorf("erased: figures are\n%s, were\n%s", now, later)
	}
	c.verify(0)
	if names := holding(); names != "" {
		t.Errorf("rotated twice: old pseudonyms are in\n%s", names)
	}
	mustContain(t, "audit", ombor(t, "audit", "list", "--data", c.data, "--format", "json").stdout, "POST /operator/rotate")
	newest := filepath.Join(dir, "keys.json")
	copyFile(t, keysFile, newest)
	c.kill(c.pids()...)
	<-c.exited

	// An older file of keys is refused, and changes nothing.
	cut := cutKeys(t, newest)
	if err := os.WriteFile(keysFile, cut, 0o600); err != nil {
		t.Fatal(err)
	}
	c.begin()
	<-c.exited
	mustContain(t, "older keys", c.log.String(), "put back the newest")

	// The backup from before, with the newest keys: what is restored is rewritten. With its own
	// keys it is what it was.
	restored := filepath.Join(dir, "restored")
	if r := ombor(t, "restore", kept, "--data", restored, "--pack", pack, "--keys", newest); r.code != 0 {
		t.Fatalf("restore: exit %d: %s", r.code, r.stderr)
	}
	c.data = restored
	folders.Store(strings.TrimPrefix(c.url, "http://"), c.data)
	c.arguments = []string{"serve", "--data", restored, "--pack", pack, "--keys", newest, "--listen", strings.TrimPrefix(c.url, "http://")}
	c.up(c.begin())
	if names := ask(named); !slices.Contains(names, chainOf(buyers[5], keys...)) || len(names) != 12 {
		t.Errorf("restored with the newest keys: the facts name %q", names)
	}
	if now := figures(); now != before {
		t.Errorf("restored with the newest keys: figures are\n%s, were\n%s", now, before)
	}
	c.verify(0)
	c.kill(c.pids()...)
	<-c.exited
	if r := ombor(t, "restore", kept, "--data", filepath.Join(dir, "own"), "--pack", pack, "--identity", identity); r.code != 0 {
		t.Fatalf("restore: exit %d: %s", r.code, r.stderr)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// cutKeys is a file of keys as it was before the newest version.
func cutKeys(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	versions := file["pseudonyms"].([]any)
	file["pseudonyms"] = versions[:len(versions)-1]
	if text, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	return text
}
