package governed_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"ombor/internal/access"
	"ombor/queries/governed"
	"ombor/warehouse/engine/enginetest"
)

// A server elsewhere is reached by TLS alone, its certificate is verified, and what it answers goes through as it is.
func TestServerByTLS(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	behind := enginetest.Shared(t).Client().Transport
	server := httptest.NewTLSServer(&httputil.ReverseProxy{Transport: behind, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: "engine"})
		r.Out.Header.Del("X-ClickHouse-User") // the embedded engine has no users
		r.Out.Header.Del("X-ClickHouse-Key")
	}})
	defer server.Close()
	through := func(client *http.Client) {
		door, err := governed.New(governed.Config{Gate: w.gate, Engine: governed.Engine{Client: client, URL: strings.Replace(server.URL, "://", "://ombor_analyst:hush@", 1)}, Database: "ombor", Own: filled.own})
		if err != nil {
			t.Fatal(err)
		}
		front := httptest.NewServer(door)
		t.Cleanup(front.Close)
		w.url = front.URL
	}
	through(server.Client())
	if r := w.ask(access.Agency, "SELECT DISTINCT agency FROM request_submitted_v1"); r.body != "mine\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, format := range []string{"Parquet", "ArrowStream", "Native", "JSON"} {
		if r := w.ask(access.Analyst, "SELECT day FROM calendar LIMIT 3", "default_format", format); r.refused() || r.header.Get("X-ClickHouse-Format") != format {
			t.Errorf("%s: %d %v", format, r.status, r.header)
		}
	}
	if r := w.ask(access.Analyst, "SELECT file('/etc/passwd')"); !r.refused() {
		t.Errorf("%s", r.body)
	}
	through(&http.Client{}) // which does not know who signed the certificate
	if r := w.ask(access.Analyst, "SELECT 1"); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "hush") {
		t.Errorf("a certificate of nobody: %d %s", r.status, r.body)
	}
}

// Every setting that the analysts' profile names is one of the engine's. The embedded engine lets nobody make users, so that
// no more than this and the parsing is tested.
func TestUsersNameSettings(t *testing.T) {
	there := map[string]bool{}
	for name := range strings.Lines(enginetest.Shared(t).Exec(t, "SELECT name FROM system.settings")) {
		there[strings.TrimSpace(name)] = true
	}
	named := regexp.MustCompile(`(?m)^ +(\w+)(?: = \S+(?: MAX \S+)?)? CHANGEABLE_IN_READONLY`).FindAllStringSubmatch(governed.Users("", governed.Limits{}), -1)
	if len(named) < 50 {
		t.Errorf("the profile names %d settings", len(named))
	}
	for _, name := range named {
		if !there[name[1]] {
			t.Errorf("the engine has no setting %s", name[1])
		}
	}
}
