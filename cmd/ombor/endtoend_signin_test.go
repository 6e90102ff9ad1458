//go:build endtoend

package main_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSignInWithBrowser: a person who is not known signs in at a certified OpenID Connect
// provider, meets the page of the role that the provider's groups give, and leaves again.
func TestSignInWithBrowser(t *testing.T) {
	address := freeAddress(t)
	public := "http://" + address
	issuer := provider(t, public)
	access := filepath.Join(t.TempDir(), "access.yaml")
	secret := filepath.Join(t.TempDir(), "client-secret")
	if err := os.WriteFile(secret, []byte("a-secret-of-the-tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(access, fmt.Appendf(nil, `
public: %s
sign_in:
  issuer: %s
  client_id: ombor
  client_secret_file: %s
  claims: {name: name, roles: groups, agency: org_code}
  roles: {dgc-leaders: leader, customs-officers: agency}
people:
  - {subject: granted, roles: [analyst]}
`, public, issuer, secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveAt(t, address, t.TempDir(), "--access", access)
	r := run(t, nil, "node", filepath.Join(root, "dashboards-api", "web", "browser", "signin.mjs"), "--url", s.url)
	t.Log(r.stdout)
	if r.code != 0 {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	r = ombor(t, "audit", "list", "--data", s.data)
	mustContain(t, "the audit log", r.stdout, "Leyla Karimova", "nobody gave you a role")
}

// provider starts oidc-provider for one client, which is at home.
func provider(t *testing.T, home string) (issuer string) {
	t.Helper()
	script := filepath.Join(root, ".tools", "oidc", "server.mjs")
	if _, err := os.Stat(script); err != nil {
		t.Fatal("oidc-provider is missing: run `make .tools/oidc/node_modules/.package-lock.json` once")
	}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("node", script, port, home+"/sign-in/callback", home+"/")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() }) // the kill is its result
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Fatal("the provider did not start")
	}
	go func() {
		for lines.Scan() { // so that it never waits for a reader
		}
	}()
	return "http://" + address
}
