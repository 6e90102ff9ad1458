//go:build endtoend

package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answer is the door's answer to one request.
type answer struct {
	Status   int
	Accepted int64
	Rejected []struct {
		Index                   int
		ID, Field, Code, Reason string
	}
	Receipt string
	Detail  string
	raw     string
}

func (s *server) post(contentType, encoding string, body io.Reader) answer {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.url+"/v1/events", body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatalf("post: %v\n%s", err, s.log.String())
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{Status: response.StatusCode, raw: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		s.t.Fatalf("the door's answer %d is not JSON: %s", response.StatusCode, text)
	}
	a.Status = response.StatusCode
	return a
}

// alive proves that the server still takes and serves.
func (s *server) alive(id string) {
	s.t.Helper()
	if a := s.post("application/x-ndjson", "", strings.NewReader(goodEvent(id))); a.Status != 200 || a.Accepted != 1 {
		s.t.Fatalf("after the bad input a good event is not taken: %d %s", a.Status, a.raw)
	}
}

// goodEvent is a case of the pack boston.
func goodEvent(id string) string {
	return event(id, "2011-08-01T10:00:00-04:00", `"case":"1","source":"Self Service"`)
}

func event(id, time, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"boston-311","type":"gov.boston.case.opened.v1","time":%q,"data":{%s}}`, id, time, data)
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // to memory
	_ = w.Close()
	return b.Bytes()
}

// TestBadEvents posts every kind of broken event between two good ones: each is
// refused with its index, field, code and reason, and its neighbours are taken.
func TestBadEvents(t *testing.T) {
	s := serve(t, t.TempDir(), "--pack", "internal/pack/testdata/boston")
	const at = "2011-08-01T10:00:00-04:00"
	good := `"case":"1","source":"Self Service"`
	for _, c := range []struct {
		name, body, field, code string
	}{
		{"invalid UTF-8", event("x", at, good+`,"department":"`)[:len(event("x", at, good+`,"department":"`))-2] + "\xff\"}}", "", "invalid_utf8"},
		{"NUL byte", event("x", at, `"case":"a\u0000b","source":"Self Service"`), "case", "nul_byte"},
		{"nested 10,000 deep", event("x", at, good+`,"department":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)), "", "too_deep"},
		{"wrong type", event("x", at, good+`,"on_time":"perhaps"`), "on_time", "wrong_type"},
		{"unknown field", event("x", at, good+`,"colour":"red"`), "colour", "unknown_field"},
		{"missing field", event("x", at, `"source":"Self Service"`), "case", "missing_field"},
		{"date in 9999", event("x", "9999-01-01T00:00:00Z", good), "time", "out_of_range"},
		{"time without offset", event("x", "2011-08-01T10:00:00", good), "time", "bad_time"},
		{"duplicate keys", event("x", at, good+`,"case":"2"`), "case", "duplicate_key"},
		{"unknown event type", strings.Replace(goodEvent("x"), "case.opened", "case.opend", 1), "type", "unknown_type"},
		{"not JSON", `{"specversion":`, "", "bad_json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.post("application/x-ndjson", "", strings.NewReader(goodEvent("a "+c.name)+"\n"+c.body+"\n"+goodEvent("b "+c.name)+"\n"))
			if a.Status != 200 || a.Accepted != 2 || len(a.Rejected) != 1 {
				t.Fatalf("status %d, accepted %d, rejected %d, want 200, 2, 1: %s", a.Status, a.Accepted, len(a.Rejected), a.raw)
			}
			r := a.Rejected[0]
			if r.Index != 1 || r.Code != c.code || (c.field != "" && !strings.HasSuffix(r.Field, c.field)) || r.Reason == "" {
				t.Errorf("refusal %+v, want index 1, field %q, code %q and a reason", r, c.field, c.code)
			}
		})
	}
	t.Run("50 MB string", func(t *testing.T) {
		body := goodEvent("a") + "\n" + event("x", at, good+`,"department":"`+strings.Repeat("x", 50<<20)+`"`) + "\n" + goodEvent("b")
		a := s.post("application/x-ndjson", "", strings.NewReader(body))
		switch {
		case a.Status == 200 && a.Accepted == 2 && len(a.Rejected) == 1 && a.Rejected[0].Code == "too_long":
		case a.Status == http.StatusRequestEntityTooLarge && a.Accepted == 0 && a.Detail != "":
		default:
			t.Errorf("status %d: %.300s", a.Status, a.raw)
		}
		s.alive("after the long string")
	})
	t.Run("truncated gzip", func(t *testing.T) {
		whole := zipped([]byte(strings.Repeat(goodEvent("t")+"\n", 1000)))
		a := s.post("application/x-ndjson", "gzip", bytes.NewReader(whole[:len(whole)/2]))
		if a.Status != http.StatusBadRequest || a.Detail == "" {
			t.Errorf("status %d, want 400 and where it breaks: %s", a.Status, a.raw)
		}
		s.alive("after the truncated gzip")
	})
	t.Run("1 GB of zeros", func(t *testing.T) {
		before := s.resident()
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		zeros := make([]byte, 1<<20)
		for range 1024 {
			_, _ = w.Write(zeros)
		}
		_ = w.Close()
		a := s.post("application/x-ndjson", "gzip", &b)
		if a.Status != http.StatusRequestEntityTooLarge || a.Detail == "" {
			t.Errorf("status %d, want 413 and the limit: %s", a.Status, a.raw)
		}
		if grown := s.resident() - before; grown > 256<<20 {
			t.Errorf("memory grew by %d MB", grown>>20)
		}
		s.alive("after the zeros")
	})
	t.Run("not events at all", func(t *testing.T) {
		if a := s.post("text/html", "", strings.NewReader("<html>")); a.Status != http.StatusUnsupportedMediaType || a.Detail == "" {
			t.Errorf("status %d, want 415 with what is allowed: %s", a.Status, a.raw)
		}
	})
}

// resident is the server's resident memory in bytes, without the engine's.
func (s *server) resident() int64 {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.command.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		s.t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

const caseHeader = "case_enquiry_id,open_dt,target_dt,closed_dt,ontime,department,neighborhood,source\n"

// TestBadFiles loads files that are broken in one place: the place is named, and
// the rest is loaded.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return full
	}
	s := serve(t, t.TempDir(), "--pack", "internal/pack/testdata/boston")
	row := func(id string) string {
		return id + ",2011-08-01 10:00:00,,,ONTIME,PWDx,Roxbury,Self Service\n"
	}
	t.Run("ragged rows", func(t *testing.T) {
		l, r := s.load("--mapping", "cases", write("ragged.csv", caseHeader+row("r1")+"r2,2011-08-01 10:00:00\n"+row("r3")))
		if l.Accepted != 2 || l.Rejected != 1 || r.code != 3 {
			t.Errorf("%+v, exit %d, want 2 accepted, 1 rejected, exit 3", l, r.code)
		}
		mustContain(t, "load", r.stderr, "ragged.csv:3")
	})
	t.Run("quotes, BOM and CRLF", func(t *testing.T) {
		cases := "\ufeff" + strings.ReplaceAll(caseHeader+"q1,2011-08-01 10:00:00,,,ONTIME,\"PW, \"\"D\"\"\",\"Rox\nbury\",Self Service\n"+row("q2"), "\n", "\r\n")
		l, r := s.load("--mapping", "cases", write("quotes.csv", cases))
		if l.Accepted != 2 || l.Rejected != 0 || r.code != 0 {
			t.Errorf("%+v, exit %d, want 2 accepted\n%s", l, r.code, r.stderr)
		}
		found := false
		for _, c := range s.kpi("cases", "--by", "department") {
			found = found || text(c["department"]) == `PW, "D"`
		}
		if !found {
			t.Error(`no department PW, "D"`)
		}
	})
	t.Run("missing column", func(t *testing.T) {
		r := ombor(t, "load", "--data", s.data, "--mapping", "cases", write("missing.csv", strings.Replace(caseHeader, "open_dt", "opened", 1)+row("m1")))
		if r.code == 0 || r.code == 3 {
			t.Errorf("exit %d, want a failure", r.code)
		}
		mustContain(t, "load", r.stderr, "open_dt", "missing.csv")
	})
	t.Run("truncated gzip", func(t *testing.T) {
		whole := zipped([]byte(caseHeader + strings.Repeat(row("g"), 10_000)))
		r := ombor(t, "load", "--data", s.data, "--mapping", "cases", write("cut.csv.gz", string(whole[:len(whole)-20])))
		if r.code == 0 {
			t.Error("exit 0 for a truncated file")
		}
		mustContain(t, "load", r.stderr, "cut.csv.gz")
	})
	t.Run("no such mapping", func(t *testing.T) {
		r := ombor(t, "load", "--data", s.data, "--mapping", "nothing", write("n.csv", caseHeader))
		mustContain(t, "load", r.stderr, "cases")
		if r.code == 0 {
			t.Error("exit 0")
		}
	})
	t.Run("no such file", func(t *testing.T) {
		r := ombor(t, "load", "--data", s.data, filepath.Join(dir, "absent.csv"))
		if r.code == 0 {
			t.Error("exit 0")
		}
		mustContain(t, "load", r.stderr, "absent.csv")
	})
	s.alive("after the bad files")
}

// TestBadStarts starts servers that cannot start: each says why and what to do.
func TestBadStarts(t *testing.T) {
	s := serve(t, t.TempDir(), "--pack", "internal/pack/testdata/boston")
	start := func(arguments ...string) result { return ombor(t, append([]string{"serve"}, arguments...)...) }
	t.Run("port in use", func(t *testing.T) {
		r := start("--data", t.TempDir(), "--listen", strings.TrimPrefix(s.url, "http://"))
		if r.code != 1 {
			t.Errorf("exit %d, want 1", r.code)
		}
		mustContain(t, "serve", r.stderr, strings.TrimPrefix(s.url, "http://"))
	})
	t.Run("second server on the same data", func(t *testing.T) {
		r := start("--data", s.data, "--listen", "127.0.0.1:0")
		if r.code != 1 {
			t.Errorf("exit %d, want 1", r.code)
		}
		mustContain(t, "serve", r.stderr, fmt.Sprint(s.command.Process.Pid))
	})
	t.Run("unreadable pack", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte("name: [\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, arguments := range [][]string{{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--pack", dir}, {"pack", "check", dir}} {
			r := ombor(t, arguments...)
			if r.code != 2 {
				t.Errorf("%v: exit %d, want 2", arguments, r.code)
			}
			mustContain(t, arguments[0], r.stderr, "pack.yaml:")
		}
	})
	t.Run("keys lost, and the keys of others", func(t *testing.T) {
		data := t.TempDir()
		first := serve(t, data, "--pack", "internal/pack/testdata/boston")
		first.stop()
		keys := filepath.Join(data, "keys.json")
		if err := os.Rename(keys, keys+".kept"); err != nil {
			t.Fatal(err)
		}
		r := start("--data", data, "--listen", "127.0.0.1:0")
		if r.code != 1 {
			t.Errorf("without keys: exit %d, want 1", r.code)
		}
		mustContain(t, "serve", r.stderr, "keys.json", "backup")
		r = start("--data", data, "--listen", "127.0.0.1:0", "--keys", filepath.Join(s.data, "keys.json"))
		if r.code != 1 {
			t.Errorf("with other keys: exit %d, want 1", r.code)
		}
		mustContain(t, "serve", r.stderr, "--keys")
		serve(t, data, "--pack", "internal/pack/testdata/boston", "--keys", keys+".kept").alive("with the right keys")
	})
	t.Run("another pack", func(t *testing.T) {
		data := t.TempDir()
		serve(t, data, "--pack", "internal/pack/testdata/boston").stop()
		// Neither a server nor a command that starts the parts for itself may add another pack's tables and events.
		for _, r := range []result{start("--data", data, "--listen", "127.0.0.1:0"), ombor(t, "compact", "--data", data)} {
			if r.code != 1 {
				t.Errorf("exit %d, want 1", r.code)
			}
			mustContain(t, "the refusal", r.stderr, "boston", "--pack")
		}
		again := serve(t, data, "--pack", "internal/pack/testdata/boston")
		again.alive("with the right pack")
		again.settled(t)
	})
	t.Run("not loopback", func(t *testing.T) {
		r := start("--data", t.TempDir(), "--listen", "0.0.0.0:0")
		if r.code != 2 {
			t.Errorf("exit %d, want 2", r.code)
		}
		mustContain(t, "serve", r.stderr, "loopback")
	})
	t.Run("unknown key in the configuration", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "ombor.yaml")
		if err := os.WriteFile(name, []byte("listn: 127.0.0.1:0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r := start("--data", t.TempDir(), "--config", name)
		if r.code != 2 {
			t.Errorf("exit %d, want 2", r.code)
		}
		mustContain(t, "serve", r.stderr, "listn", "listen")
	})
	s.alive("after the bad starts")
}

// TestFullDisk fills the disk below the data folder: the door refuses with 503 and
// when to come again, and takes events again when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400m"); err != nil {
		t.Skipf("THE FULL DISK IS NOT TESTED: mounting a small file system needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := serve(t, filepath.Join(dir, "data"), "--pack", "internal/pack/testdata/boston")
	s.alive("before")
	filler := filepath.Join(dir, "filler")
	if out, err := exec.Command("sh", "-c", "dd if=/dev/zero of="+filler+" bs=1M 2>/dev/null; true").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	deadline := time.Now().Add(time.Minute)
	for n := 0; ; n++ {
		a := s.post("application/x-ndjson", "", strings.NewReader(goodEvent(fmt.Sprint("full ", n))))
		if a.Status == http.StatusServiceUnavailable || a.Status == http.StatusTooManyRequests {
			if a.Detail == "" {
				t.Errorf("no reason: %s", a.raw)
			}
			break
		}
		if a.Status != 200 || time.Now().After(deadline) {
			t.Fatalf("on a full disk the door answers %d: %s", a.Status, a.raw)
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	for {
		a := s.post("application/x-ndjson", "", strings.NewReader(goodEvent("room again")))
		if a.Status == 200 {
			break
		}
		if time.Now().After(deadline.Add(time.Minute)) {
			t.Fatalf("with room on the disk the door still answers %d: %s", a.Status, a.raw)
		}
		time.Sleep(200 * time.Millisecond)
	}
	l, r := s.load(func() string {
		name := filepath.Join(t.TempDir(), "more.ndjson")
		if err := os.WriteFile(name, []byte(goodEvent("more")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}())
	if l.Accepted != 1 {
		t.Errorf("after the full disk: %+v %s\n%s", l, r.stderr, s.log.String())
	}
}
