package dashboards

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Every route that takes a body bounds it in bytes, takes it uncompressed where it is small, and
// does not wait for ever for its rest.
func TestBodiesAreBounded(t *testing.T) {
	o := open(t, func(c *Config) { c.Projects = townConfig(t).Projects })
	for route, most := range map[string]int{
		"POST /v1/keys": 64 << 10, "PUT /v1/me/settings": 64 << 10, "POST /v1/replies": replyBytes, "POST /v1/workbench/runs": runBody,
		"POST /v1/workbench/estimates": runBody, "POST /v1/workbench/queries": runBody, "PUT /v1/workbench/queries/aaaaaaaaaaaa": runBody,
	} {
		method, path, _ := strings.Cut(route, " ")
		o.want("operator", method, path, `{"more":"`+strings.Repeat("x", most)+`"}`, http.StatusRequestEntityTooLarge, "Problem")
		r, err := http.NewRequest(method, o.url+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+o.keys["operator"])
		r.Header.Set("Content-Encoding", "gzip")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnsupportedMediaType && answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s, compressed: %s", route, answer.Status)
		}
	}
	s, err := newServer(o.config)
	if err != nil {
		t.Fatal(err)
	}
	s.bodyPatience = 100 * time.Millisecond
	h, err := s.handler()
	if err != nil {
		t.Fatal(err)
	}
	impatient := httptest.NewServer(h)
	defer impatient.Close()
	conn, err := net.Dial("tcp", impatient.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /v1/me/settings HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Length: 20\r\n\r\n{", o.keys["leader"])
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "did not come within") {
		t.Errorf("a body that does not come: %s %s", answer.Status, text)
	}
}

// TestSecurityHeaders looks for the headers on answers of every kind, errors too; that https is wanted
// from now on is said over https alone.
func TestSecurityHeaders(t *testing.T) {
	h := mustHandler(t, small(t))
	for _, server := range []*httptest.Server{httptest.NewServer(h), httptest.NewTLSServer(h)} {
		defer server.Close()
		for _, path := range []string{"/", "/v1/labels", "/v1/nothing", "/docs", "/openapi.json", "/kpis/some", "/v1/kpis?format=yaml", "/assets/nothing.js"} {
			answer, err := server.Client().Get(server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			for name, want := range map[string]string{"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=()"} {
				if got := answer.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q", path, name, got)
				}
			}
			if got := answer.Header.Get("Strict-Transport-Security"); (got != "") != (server.TLS != nil) {
				t.Errorf("%s%s: Strict-Transport-Security is %q", server.URL, path, got)
			}
		}
	}
	for _, forbidden := range []string{"unsafe-inline", "unsafe-eval", "http:", "https:", "*"} {
		if strings.Contains(policy, forbidden) {
			t.Errorf("the policy allows %s", forbidden)
		}
	}
}

// TestHeads: what cannot be read as a request is answered in plain text, as docs/http-api.md says, and the
// connection ends; a head within the limit reaches the handler.
func TestHeads(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	go func() { _ = server.Serve(listener) }() // until Close
	defer server.Close()
	for head, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 60<<10): "204 ",
		"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 72<<10): "431 text/plain; charset=utf-8 true",
		"GET /" + strings.Repeat("a", 72<<10) + " HTTP/1.1\r\nHost: x":        "431 text/plain; charset=utf-8 true",
		"GET / HTTP/1.1": "400 text/plain; charset=utf-8 true",
	} {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s\r\n\r\n", head)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Content-Type"))
		if answer.StatusCode >= 400 {
			got += fmt.Sprint(" ", answer.Close)
		}
		if got != want {
			t.Errorf("%.30s… of %d bytes: %s, want %s", head, len(head), got, want)
		}
		conn.Close()
	}
}
