package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/access"
	"ombor/internal/pack"
	"ombor/internal/problem"
)

// Every command has a rule, and every rule of a command has its command.
func TestEveryCommandHasItsRule(t *testing.T) {
	commands := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
		if c.Runnable() && c.HasParent() {
			commands[c.CommandPath()] = true
		}
	}
	walk(newRoot())
	for name := range commands {
		if rule, ok := access.RuleOf(name); !ok || len(rule.Via) == 0 {
			t.Errorf("%s has no rule in the table of access", name)
		}
	}
	for _, rule := range access.Table {
		if strings.HasPrefix(rule.Name, "ombor ") && !commands[rule.Name] {
			t.Errorf("the table of access has %s, and there is no such command", rule.Name)
		}
	}
	for name := range operations {
		if _, ok := access.RuleOf("POST " + operatorPath + name); !ok {
			t.Errorf("the operation %s has no rule", name)
		}
	}
}

func TestReadAccess(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(text string) string {
		name := filepath.Join(dir, "access.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a, err := readAccess(write(`
public: https://ombor.example.uz
sign_in:
  issuer: https://id.example.uz
  client_id: ombor
  client_secret_file: ` + secret + `
  claims: {roles: realm_access.roles, agency: org_code}
  roles: {dgc.leaders: leader}
people:
  - {subject: "4711", roles: [center, operator]}
limits: {requests: 50}
`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.provider()
	if err != nil || p.ClientSecret != "hush" || p.Claims.Roles != "realm_access.roles" || p.Roles["dgc.leaders"] != access.Leader ||
		len(p.Grants) != 1 || len(p.Grants[0].Roles) != 2 || p.Public != "https://ombor.example.uz" || a.Limits.Requests != 50 {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, wrong := range []string{"publik: https://x", "public: ombor", "sign_in: {issuer: https://id}", "people: [{subject: 1, role: x}]", ": :"} {
		if _, err := readAccess(write(wrong)); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := readAccess(filepath.Join(dir, "nothing")); problem.KindOf(err) != problem.BadInput {
		t.Error(err)
	}
	if a, err := readAccess(write("")); err != nil || a.Public != "" {
		t.Error(a, err)
	}
}

// TestPeopleOfThePack: who is of an agency that the pack does not have would see nothing.
func TestPeopleOfThePack(t *testing.T) {
	p, err := readPack("", pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{"agency: customs-committee": true, "region: \"1726\"": true, "agency: nosuch-agency": false, "region: \"9999\"": false} {
		name := filepath.Join(t.TempDir(), "access.yaml")
		if err := os.WriteFile(name, []byte("people: [{subject: x, roles: [agency], "+text+"}]"), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := readAccess(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.check(p.Reference); (err == nil) != good || err != nil && problem.KindOf(err) != problem.BadInput {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCertificate: a renewed certificate is shown on both ports without a restart, one that cannot be read leaves
// the one of before, and what is wrong is told.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	pool := x509.NewCertPool()
	written := time.Now().Add(-time.Hour)
	p := &program{failed: make(chan error, 4), ending: make(chan struct{}), config: config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}}
	write := func(name string, text []byte) {
		t.Helper()
		written = written.Add(time.Minute)
		if err := errors.Join(os.WriteFile(name, text, 0o600), os.Chtimes(name, written, written)); err != nil {
			t.Fatal(err)
		}
		if p.cert != nil {
			p.cert.looked = time.Time{} // ten seconds have gone
		}
	}
	renew := func(serial int64, began, ends time.Duration) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(began), NotAfter: time.Now().Add(ends), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(p.config.TLSKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
		write(p.config.TLSCert, text)
		pool.AppendCertsFromPEM(text)
	}
	const day = 24 * time.Hour
	renew(1, -time.Hour, 90*day)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := listen()
	free := listen()
	p.config.SQLListen = free.Addr().String()
	free.Close()
	if err := p.readCertificate(); err != nil {
		t.Fatal(err)
	}
	outside, inside, err := p.secure(l)
	if err != nil {
		t.Fatal(err)
	}
	inside.Close()
	p.serve(outside, http.NotFoundHandler())
	if err := p.serveSQL(http.NotFoundHandler()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	shown := func(when string, serial int64, fault string) {
		t.Helper()
		for _, address := range []string{l.Addr().String(), p.config.SQLListen} {
			c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool})
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); got != serial {
				t.Errorf("%s: %s shows certificate %d, want %d", when, address, got, serial)
			}
			c.Close()
		}
		if got := p.cert.fault(); (got == "") != (fault == "") || !strings.Contains(got, fault) {
			t.Errorf("%s: the fault is %q, want %q", when, got, fault)
		}
	}
	shown("at the start", 1, "")
	renew(2, -time.Hour, 90*day)
	shown("renewed", 2, "")
	write(p.config.TLSCert, []byte("garbage"))
	shown("a broken renewal", 2, "cannot be read")
	renew(3, -80*day, 5*day)
	shown("near its end", 3, "has not been renewed")
	renew(4, -day, 5*day)
	shown("made for a few days", 4, "")
}
