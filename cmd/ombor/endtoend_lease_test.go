//go:build endtoend

package main_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ombor/internal/stream/natstest"
)

// loaderOf asks a server which loader is at work.
func (s *server) loaderOf() (role, holder string, epoch uint64) {
	s.t.Helper()
	response, err := http.Get(s.url + "/v1/status")
	if err != nil {
		return "", "", 0 // frozen or starting
	}
	defer response.Body.Close()
	var status struct {
		Loader struct {
			Role   string
			Holder string
			Epoch  uint64
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		s.t.Fatal(err)
	}
	return status.Loader.Role, status.Loader.Holder, status.Loader.Epoch
}

func (s *server) becomes(role string) {
	s.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if now, _, _ := s.loaderOf(); now == role {
			return
		}
		if time.Now().After(end) {
			now, _, _ := s.loaderOf()
			s.t.Fatalf("the loader is %q, want %q\n%s", now, role, s.log.String())
		}
	}
}

func (s *server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// TestStandbyMachine runs one installation as three: a door with the API, a loader and a
// standby, on one journal, warehouse and lake. The loader is frozen under load for longer than its
// lease, the standby takes over, the frozen one wakes and changes nothing; then the
// standby is killed, and the first one, which has no index of what was loaded meanwhile, takes over.
func TestStandbyMachine(t *testing.T) {
	nats, engine := natstest.Start(t), engineAlone(t)
	common := t.TempDir()
	arguments := []string{"--pack", "internal/pack/testdata/boston", "--journal", nats.URL(), "--warehouse", engine,
		"--lake", "file://" + filepath.Join(common, "lake"), "--keys", filepath.Join(common, "keys.json"), "--journal-durable"}
	with := func(roles string) *server {
		return serve(t, t.TempDir(), append(arguments, "--roles", roles)...)
	}
	first := with("loader")
	first.becomes("active")
	second := with("loader")
	second.becomes("standby")
	front := with("door,api")
	front.becomes("watching")
	for s, path := range map[*server]string{first: "/v1/kpis", second: "/v1/events"} {
		if response, err := http.Get(s.url + path); err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("%s of a loader: %v %v", path, response.Status, err)
		}
	}

	file := shared(t, "us_boston_311/311_service_requests_2011.zip")
	frozen := make(chan struct{})
	go func() {
		defer close(frozen)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if rows := facts(t, front, "count()"); rows != "0" && rows != "" { // it is in the middle
				break
			}
		}
		_ = first.command.Process.Signal(syscall.SIGSTOP)
	}()
	l, r := front.load(file)
	<-frozen
	if l.Accepted != 58_251 {
		t.Fatalf("load: %+v %s\n%s", l, r.stderr, second.log.String())
	}
	second.becomes("active")
	first.signal(syscall.SIGCONT)
	first.becomes("standby")
	once := func() {
		t.Helper()
		for what, want := range map[string]string{"count()": "58251", "sum(_sign)": "58251", "uniqExact(_id)": "58251"} {
			if got := facts(t, front, what); got != want {
				t.Errorf("%s of facts is %s, want %s", what, got, want)
			}
		}
		if cells := front.kpi("cases"); len(cells) != 1 || cells[0]["value"] != 58251.0 {
			t.Errorf("cases: %v", cells)
		}
	}
	once()

	second.signal(syscall.SIGKILL)
	<-second.exited
	first.becomes("active")
	if l, r := front.load(file); l.Duplicate != 58_251 || l.Accepted != 0 {
		t.Errorf("again: %+v %s", l, r.stderr)
	}
	once()
	if _, _, epoch := first.loaderOf(); epoch != 3 {
		t.Errorf("epoch %d, want 3", epoch)
	}
	if r := ombor(t, "verify", "--data", first.data); r.code != 0 {
		t.Errorf("verify: exit %d\n%s\n%s", r.code, r.stdout, r.stderr)
	}
	for _, s := range []*server{first, front} {
		if strings.Contains(s.log.String(), "undone") {
			t.Errorf("rows had to be undone:\n%s", s.log.String())
		}
	}
}

// facts is an aggregate over the facts of cases.
func facts(t *testing.T, s *server, what string) string {
	t.Helper()
	return strings.TrimSpace(engineSQL(t, s.data, "SELECT "+what+" FROM facts.case_opened_v1", "TSV").stdout)
}
