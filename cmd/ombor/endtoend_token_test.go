//go:build endtoend || bench

package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// folders are the data folders of the servers that the tests started, by their addresses.
var folders sync.Map

// asOperator adds to requests for one of these servers the token of its machine's operator, as
// the commands of the same machine do, unless the request says who it is.
type asOperator struct{ http.RoundTripper }

func (a asOperator) RoundTrip(r *http.Request) (*http.Response, error) {
	if folder, ok := folders.Load(r.URL.Host); ok && r.Header.Get("Authorization") == "" && r.Header.Get("Cookie") == "" {
		if token, err := os.ReadFile(filepath.Join(folder.(string), "machine.token")); err == nil {
			r = r.Clone(r.Context())
			r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		}
	}
	return a.RoundTripper.RoundTrip(r)
}

// nobody asks as nobody.
var nobody = http.DefaultTransport

func init() { http.DefaultTransport = asOperator{nobody} }

// token is that of the operator of the server's machine.
func (s *server) token() string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "machine.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}
