package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries/replies"
)

// accessFile is what --access names: where people sign in, and what they may do then.
type accessFile struct {
	Public string `yaml:"public"` // https://ombor.example.uz, as people type it
	Open   bool   `yaml:"open"`   // what has been published is shown to everybody
	SignIn *struct {
		Issuer           string   `yaml:"issuer"`
		ClientID         string   `yaml:"client_id"`
		ClientSecretFile string   `yaml:"client_secret_file"`
		Scopes           []string `yaml:"scopes"`
		Hosts            []string `yaml:"hosts"`
		Claims           struct {
			Name   string `yaml:"name"`
			Roles  string `yaml:"roles"`
			Agency string `yaml:"agency"`
			Region string `yaml:"region"`
		} `yaml:"claims"`
		Roles map[string]access.Role `yaml:"roles"`
	} `yaml:"sign_in"`
	People []struct {
		Subject string        `yaml:"subject"`
		Roles   []access.Role `yaml:"roles"`
		Agency  string        `yaml:"agency"`
		Region  string        `yaml:"region"`
	} `yaml:"people"`
	Limits struct {
		Requests float64 `yaml:"requests"`
		Burst    int     `yaml:"burst"`
	} `yaml:"limits"`
}

// readAccess reads the file of --access. A key that it does not know is an error: a
// misspelt rule would be one that does not hold.
func readAccess(name string) (accessFile, error) {
	var a accessFile
	if name == "" {
		return a, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return a, problem.Wrap(err, problem.BadInput, "", "the file of --access cannot be read")
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&a); err != nil && !errors.Is(err, io.EOF) {
		return a, problem.Wrap(err, problem.BadInput, "", "%s is not as docs/security.md describes it", name)
	}
	if u, err := url.Parse(a.Public); a.Public != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return a, problem.New(problem.BadInput, "%s: public: %q is no address: want https://HOST", name, a.Public).In("public")
	}
	if a.SignIn != nil && a.Public == "" {
		return a, problem.New(problem.BadInput, "%s: public is missing: the address to which the provider sends people back", name).In("public")
	}
	return a, nil
}

// provider is where people sign in; nil when they cannot.
func (a *accessFile) provider() (*access.Provider, error) {
	if a.SignIn == nil {
		return nil, nil
	}
	p := &access.Provider{Issuer: a.SignIn.Issuer, ClientID: a.SignIn.ClientID, Scopes: a.SignIn.Scopes, Hosts: a.SignIn.Hosts, Public: a.Public, Roles: a.SignIn.Roles}
	p.Claims.Name, p.Claims.Roles, p.Claims.Agency, p.Claims.Region = a.SignIn.Claims.Name, a.SignIn.Claims.Roles, a.SignIn.Claims.Agency, a.SignIn.Claims.Region
	for _, one := range a.People {
		p.Grants = append(p.Grants, access.Grant{Subject: one.Subject, Roles: one.Roles, Agency: one.Agency, Region: one.Region})
	}
	if name := a.SignIn.ClientSecretFile; name != "" {
		secret, err := os.ReadFile(name)
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "", "the client secret in %s cannot be read", name)
		}
		p.ClientSecret = strings.TrimSpace(string(secret))
	}
	return p, nil
}

// check refuses people of an agency or a region that the pack does not have: they would see nothing.
func (a *accessFile) check(refs *reference.Set) error {
	for _, one := range a.People {
		for _, given := range []struct{ table, field, code string }{{"organisations", "agency", one.Agency}, {"regions", "region", one.Region}} {
			if table := refs.Table(given.table); given.code != "" && table != nil && !table.Has(given.code) {
				return problem.New(problem.BadInput, "people: the subject %q is of the %s %q, which the pack does not have", one.Subject, given.field, given.code).In("people")
			}
		}
	}
	return nil
}

// https says whether people reach the server by https only.
func (a *accessFile) https(cfg *config) bool {
	return cfg.TLSCert != "" || strings.HasPrefix(a.Public, "https://")
}

// openGate opens the audit log and the gate in front of everything.
func (p *program) openGate(ctx context.Context, keys *contract.Keys) error {
	file, err := readAccess(p.config.Access)
	if err != nil {
		return err
	}
	if err := file.check(p.pack.Reference); err != nil {
		return err
	}
	provider, err := file.provider()
	if err != nil {
		return err
	}
	if p.audit, err = audit.Open(ctx, p.stream, audit.Options{Key: keys.Derive("audit"), Head: filepath.Join(p.config.Data, auditHead)}); err != nil {
		return err
	}
	p.closing(p.audit.Close)
	if p.gate, err = access.Open(ctx, p.stream, p.audit, access.Options{
		Secret: keys.Derive("access"), Machine: p.token, People: provider, Public: file.Open, TLS: file.https(&p.config),
		Proxy: p.config.TLSCert == "" && file.Public != "", Limits: access.Limits{Requests: file.Limits.Requests, Burst: file.Limits.Burst},
	}); err != nil {
		return err
	}
	if p.settings, err = access.OpenSettings(ctx, p.stream, nil); err != nil {
		return err
	}
	if p.replies, err = replies.Open(ctx, p.stream, nil); err != nil {
		return err
	}
	p.page = p.url()
	if file.Public != "" {
		p.page = strings.TrimRight(file.Public, "/")
		u, err := url.Parse(file.Public)
		if err != nil {
			return err
		}
		p.hosts = append(p.hosts, u.Hostname())
	}
	sweeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.running.Go(func() { p.gate.Sessions.Sweep(sweeping) })
	p.closing(func() error { stop(); return nil })
	return nil
}

// auditHead is the file in the data folder that keeps the newest head of the audit log.
const auditHead = "audit.head"

// ownHosts refuses requests that name another host than this server's: a page elsewhere could
// otherwise point its own name at this address and read what is served here (DNS rebinding).
func (p *program) ownHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !onThisMachine(strings.Trim(host, "[]")) && !slices.Contains(p.hosts, host) {
			problem.Write(w, problem.New(problem.Denied, "this server answers to 127.0.0.1, localhost, [::1] and the host under public in the file of --access; a proxy in front must send one of these as Host").
				Also("uz", "Bu server faqat 127.0.0.1, localhost, [::1] va operator koʻrsatgan manzil nomidan javob beradi: sahifani shu manzildan oching.").
				Also("ru", "Этот сервер отвечает только по 127.0.0.1, localhost, [::1] и адресу, который указал оператор: откройте страницу по нему."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// certificate is one that is read again when its file has changed, so that a renewal needs no restart.
// It is safe for concurrent use.
type certificate struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	read   time.Time // when the file that is loaded was changed
	looked time.Time
	wrong  string // in words; empty: nothing
}

// certificateAge is how long a certificate is taken as it was read.
const certificateAge = 10 * time.Second

// certificateEnds is how long before its end a certificate's renewal is missed: of one that is made for a
// few days a fifth of these.
const certificateEnds = 7 * 24 * time.Hour

// get is tls.Config.GetCertificate. A renewal that cannot be read leaves the certificate of before, and is
// told by fault and once by the log.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.loaded != nil && now.Sub(c.looked) < certificateAge {
		return c.loaded, nil
	}
	c.looked = now
	info, err := os.Stat(c.cert)
	if err == nil && (c.loaded == nil || !info.ModTime().Equal(c.read)) {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.cert, c.key); err == nil {
			c.loaded, c.read = &pair, info.ModTime()
		}
	}
	if c.loaded == nil {
		return nil, problem.Wrap(err, problem.BadInput, "", "the certificate %s and the key %s cannot be read", c.cert, c.key)
	}
	wrong, leaf := "", c.loaded.Leaf
	switch left := leaf.NotAfter.Sub(now); {
	case err != nil:
		wrong = "the certificate of --tls-cert was changed and cannot be read with its key, the one of before stays until " + leaf.NotAfter.Format(time.DateTime) + " UTC: " + err.Error()
	case left < min(certificateEnds, leaf.NotAfter.Sub(leaf.NotBefore)/5):
		wrong = "the certificate of --tls-cert ends on " + leaf.NotAfter.Format(time.DateTime) + " UTC and has not been renewed"
	}
	if wrong != "" && wrong != c.wrong {
		slog.Warn(wrong)
	}
	c.wrong = wrong
	return c.loaded, nil
}

// fault is what is wrong with the certificate now, in words; empty: nothing.
func (c *certificate) fault() string {
	_, _ = c.get(nil) // it was read before, and stays
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}

// over is the listener with TLS, for protocols in order of preference.
func (c *certificate) over(l net.Listener, protocols ...string) net.Listener {
	return tls.NewListener(l, &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, NextProtos: protocols})
}

// readCertificate reads that of --tls-cert; without one there is none.
func (p *program) readCertificate() error {
	if p.config.TLSCert == "" {
		return nil
	}
	p.cert = &certificate{cert: p.config.TLSCert, key: p.config.TLSKey}
	_, err := p.cert.get(nil)
	return err
}

// secure is the listener with TLS, when there is a certificate. The commands of this machine then
// have a listener of their own, on a loopback address: the certificate is not for that.
func (p *program) secure(listener net.Listener) (outside, inside net.Listener, err error) {
	if p.cert == nil {
		return listener, nil, nil
	}
	if inside, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, nil, problem.Wrap(err, problem.Unavailable, "", "no loopback address is free for the commands of this machine")
	}
	p.inside = inside.Addr()
	return p.cert.over(listener, "h2", "http/1.1"), inside, nil
}

// client is one of the operator of this machine.
func (p *program) client() *client {
	address := p.url()
	if p.inside != nil {
		address = "http://" + p.inside.String()
	}
	return &client{url: address, page: p.page, token: p.token}
}
