package access_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

var secret = []byte("a secret of thirty-two bytes !!!")

// world is a gate on a journal of its own, whose clock a test moves.
type world struct {
	*testing.T
	conn  *stream.Conn
	audit *audit.Log
	gate  *access.Gate
	now   time.Time
}

func newWorld(t *testing.T, options access.Options) *world {
	t.Helper()
	w := &world{T: t, now: time.Now()}
	var err error
	if w.conn, err = stream.Open(t.Context(), stream.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close() })
	if w.audit, err = audit.Open(t.Context(), w.conn, audit.Options{Key: secret}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.audit.Close() })
	w.gate = w.open(options)
	return w
}

func (w *world) open(options access.Options) *access.Gate {
	w.Helper()
	options.Secret, options.Now = secret, func() time.Time { return w.now }
	g, err := access.Open(w.Context(), w.conn, w.audit, options)
	if err != nil {
		w.Fatal(err)
	}
	return g
}

func (w *world) key(k access.Key) string {
	w.Helper()
	if k.Name == "" {
		k.Name = "a test"
	}
	token, _, err := w.gate.Keys.Create(w.Context(), k)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func request(method, path, token string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1"+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func kindOf(err error) string {
	if err == nil {
		return "allowed"
	}
	return problem.KindOf(err).String()
}

// Every rule lets in exactly the roles that it names, and what it does is written down.
func TestEveryRuleWithEveryRole(t *testing.T) {
	w := newWorld(t, access.Options{Limits: access.Limits{Attempts: 1000}})
	tokens := map[access.Role]string{}
	for _, role := range access.Roles {
		k := access.Key{Roles: []access.Role{role}}
		if role == access.Source {
			k.Sources = []string{"portal"}
		}
		if role == access.Agency {
			k.Agency = "customs"
		}
		tokens[role] = w.key(k)
	}
	var wanted []string
	for _, rule := range access.Table {
		if len(rule.Via) > 0 {
			for _, via := range rule.Via {
				if _, ok := access.RuleOf(via); !ok && via != access.Machine {
					t.Errorf("%s uses %s, which has no rule", rule.Name, via)
				}
			}
			continue
		}
		for _, role := range access.Roles {
			_, err := w.gate.Enter(request("GET", "/x?"+string(role), tokens[role]), rule.Name)
			want := "Not allowed"
			if rule.Open || slices.Contains(rule.Roles, role) {
				want = "allowed"
			}
			if got := kindOf(err); got != want {
				t.Errorf("%s as %s: %s, want %s", rule.Name, role, got, want)
			}
			if want != "allowed" || rule.Record {
				wanted = append(wanted, fmt.Sprintf("%s %s %t", role, rule.Name, want == "allowed"))
			}
		}
		_, err := w.gate.Enter(request("GET", "/x", ""), rule.Name)
		if (err == nil) != rule.Open || err != nil && problem.KindOf(err) != problem.Unauthenticated {
			t.Errorf("%s as nobody: %v", rule.Name, err)
		}
	}
	entries, err := w.audit.Read(t.Context(), audit.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	slices.Reverse(entries)
	for _, e := range entries {
		if e.Role != "" {
			got = append(got, fmt.Sprintf("%s %s %t", e.Role, e.Action, e.Allowed))
		} else if e.Who != "nobody" || e.Allowed {
			t.Errorf("%+v", e)
		}
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("%d entries, want %d", len(got), len(wanted))
	}
	if _, err := w.gate.Enter(request("GET", "/x", tokens[access.Operator]), "GET /v1/unknown"); problem.KindOf(err) != problem.Denied {
		t.Errorf("a route without a rule: %v", err)
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t, access.Options{})
	ctx := t.Context()
	other := w.open(access.Options{}) // of another process
	at := w.now.Add(time.Hour)
	token, made, err := w.gate.Keys.Create(ctx, access.Key{Name: "portal's sender", Roles: []access.Role{access.Source}, Sources: []string{"portal"}, Contracts: []string{"uz.gov.request.decided.v1"}, Expires: &at, By: "operator:machine"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := other.Keys.Principal(ctx, token)
	if err != nil || p.ID != "key:"+made.ID || !p.Sends("portal", "uz.gov.request.decided.v1") || p.Sends("customs", "uz.gov.request.decided.v1") || p.Sends("portal", "uz.gov.payment.settled.v1") {
		t.Fatal(p, err)
	}
	for _, wrong := range []string{"", "ombor_", "ombor__", token[:len(token)-1], token + "A", strings.ToLower(token), "ombor_aaaaaaaa_" + strings.Repeat("A", 26), "ombor_" + made.ID + "_", "ombor_../../.._x", "ombor_" + made.ID + ".>_x"} {
		if _, err := w.gate.Keys.Principal(ctx, wrong); problem.KindOf(err) != problem.Unauthenticated {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	list, err := other.Keys.List(ctx)
	if err != nil || len(list) != 1 || list[0].ID != made.ID || strings.Contains(fmt.Sprintf("%+v", list), token[15:]) {
		t.Fatal(list, err)
	}
	w.now = w.now.Add(2 * time.Hour)
	if _, err := w.gate.Keys.Principal(ctx, token); problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("an expired key: %v", err)
	}
	second := w.key(access.Key{Roles: []access.Role{access.Leader}})
	p, err = other.Keys.Principal(ctx, second)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if k, err := w.gate.Keys.Revoke(ctx, strings.TrimPrefix(p.ID, "key:")); err != nil || k.Revoked == nil {
			t.Fatal(k, err)
		}
	}
	if _, err := w.gate.Keys.Principal(ctx, second); err == nil {
		t.Error("revoked here, and works here")
	}
	w.now = w.now.Add(3 * time.Second)
	if _, err := other.Keys.Principal(ctx, second); err == nil {
		t.Error("revoked three seconds ago, and works elsewhere")
	}
	if _, err := w.gate.Keys.Revoke(ctx, "nothing1"); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	for field, k := range map[string]access.Key{
		"name":    {Roles: []access.Role{access.Leader}},
		"roles":   {Name: "x", Roles: []access.Role{"king"}},
		"sources": {Name: "x", Roles: []access.Role{access.Source}},
		"agency":  {Name: "x", Roles: []access.Role{access.Agency}},
		"region":  {Name: "x", Roles: []access.Role{access.Agency}, Agency: "customs", Region: "1726"},
		"agency ": {Name: "x", Roles: []access.Role{access.Analyst}, Agency: "customs"},
		"expires": {Name: "x", Roles: []access.Role{access.Leader}, Expires: &at},
	} {
		_, _, err := w.gate.Keys.Create(ctx, k)
		var e *problem.Error
		if problem.KindOf(err) != problem.BadInput || !asError(err, &e) || e.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func asError(err error, e **problem.Error) bool {
	found, ok := err.(*problem.Error)
	*e = found
	return ok
}

// A link signs in once; the session ends when it is told to, and by itself.
func TestLinkAndSession(t *testing.T) {
	w := newWorld(t, access.Options{})
	open := func(path string) *http.Response {
		rec := httptest.NewRecorder()
		w.gate.SignIn(rec, request("GET", path, ""))
		return rec.Result()
	}
	link := w.gate.Link()
	answer := open(link + "&to=/projects")
	if answer.StatusCode != http.StatusFound || answer.Header.Get("Location") != "/projects" {
		t.Fatal(answer.Status, answer.Header)
	}
	cookie := answer.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
		t.Errorf("%+v", cookie)
	}
	if again := open(link); again.StatusCode != http.StatusUnauthorized {
		t.Error("the link works twice")
	}
	old := w.gate.Link()
	w.now = w.now.Add(16 * time.Minute)
	if late := open(old); late.StatusCode != http.StatusUnauthorized {
		t.Error("the link works after 16 minutes")
	}
	with := func(method string, header ...string) *http.Request {
		r := request(method, "/v1/keys", "")
		r.AddCookie(cookie)
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		return r
	}
	if p, err := w.gate.Enter(with("GET"), "GET /v1/keys"); err != nil || !p.Is(access.Operator) {
		t.Fatal(p, err)
	}
	if _, err := w.gate.Enter(with("POST", "Sec-Fetch-Site", "cross-site"), "POST /v1/keys"); problem.KindOf(err) != problem.Denied {
		t.Errorf("a page of another site: %v", err)
	}
	if _, err := w.gate.Enter(with("POST", "Origin", "https://evil.example"), "POST /v1/keys"); problem.KindOf(err) != problem.Denied {
		t.Errorf("a page of another site: %v", err)
	}
	if _, err := w.gate.Enter(with("POST", "Sec-Fetch-Site", "same-origin"), "POST /v1/keys"); err != nil {
		t.Error(err)
	}
	for _, to := range []string{"//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "evil", ""} {
		if answer := open(w.gate.Link() + "&to=" + to); answer.Header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", to, answer.Header.Get("Location"))
		}
	}
	w.now = w.now.Add(12 * time.Hour)
	if _, err := w.gate.Enter(with("GET"), "GET /v1/keys"); problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("after twelve hours: %v", err)
	}
	cookie = open(w.gate.Link()).Cookies()[0]
	rec := httptest.NewRecorder()
	w.gate.SignOut(rec, with("POST"))
	if rec.Code != http.StatusSeeOther {
		t.Error(rec.Code, rec.Body)
	}
	if _, err := w.gate.Enter(with("GET"), "GET /v1/keys"); problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("after signing out: %v", err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, access.Options{Limits: access.Limits{Requests: 10, Burst: 3, Failures: 1, Attempts: 2}})
	leader, source := w.key(access.Key{Roles: []access.Role{access.Leader}}), w.key(access.Key{Roles: []access.Role{access.Source}, Sources: []string{"*"}})
	ask := func(token, rule string) string {
		_, err := w.gate.Enter(request("GET", "/", token), rule)
		return kindOf(err)
	}
	for i, want := range []string{"allowed", "allowed", "allowed", "Busy"} {
		if got := ask(leader, "GET /v1/scorecard"); got != want {
			t.Errorf("request %d: %s", i, got)
		}
	}
	w.now = w.now.Add(100 * time.Millisecond)
	if got := ask(leader, "GET /v1/scorecard") + ask(leader, "GET /v1/scorecard"); got != "allowedBusy" {
		t.Error(got)
	}
	for range 20 {
		if got := ask(source, "POST /v1/events"); got != "allowed" {
			t.Fatal(got)
		}
	}
	for i, want := range []string{"Not signed in", "Not signed in", "Busy"} {
		if got := ask("ombor_aaaaaaaa_X", "GET /v1/scorecard"); got != want {
			t.Errorf("attempt %d: %s", i, got)
		}
	}
}

// Who shows a key that is not known is told so also where everybody may look: he would take what is
// published for what he may see.
func TestUnknownKeyIsNotPublic(t *testing.T) {
	w := newWorld(t, access.Options{Public: true, Limits: access.Limits{Requests: 100, Burst: 100, Failures: 1, Attempts: 3}})
	ask := func(header, value string) string {
		r := request("GET", "/v1/scorecard", "")
		if header != "" {
			r.Header.Set(header, value)
		}
		p, err := w.gate.Enter(r, "GET /v1/scorecard")
		if err == nil && !p.Is(access.Public) {
			t.Errorf("%s %s is %+v", header, value, p)
		}
		return kindOf(err)
	}
	for _, c := range [][3]string{
		{"", "", "allowed"}, {"Cookie", "ombor-session=over", "allowed"}, // a browser sends it unasked
		{"Authorization", "Bearer ombor_aaaaaaaa_X", "Not signed in"}, {"Authorization", "Basic eDp5", "Not signed in"}, {"X-ClickHouse-Key", "nothing", "Not signed in"},
		{"Authorization", "Bearer again", "Busy"}, {"", "", "allowed"},
	} {
		if got := ask(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	// What is open tells nothing of the data, and is no place to try keys at.
	r := request("GET", "/v1/me", "")
	r.Header.Set("Authorization", "Bearer again")
	if _, err := w.gate.Enter(r, "GET /v1/me"); kindOf(err) != "Busy" {
		t.Errorf("at /v1/me: %v", err)
	}
	if entries, err := w.audit.Read(t.Context(), audit.Filter{Denied: true}); err != nil || len(entries) != 3 {
		t.Errorf("%d denials in the log, %v", len(entries), err)
	}
}

// Whoever cannot be recorded may do nothing that has to be.
func TestNoLogNoDeed(t *testing.T) {
	w := newWorld(t, access.Options{Machine: "the machine's token"})
	w.audit.Close()
	if _, err := w.gate.Enter(request("POST", "/v1/keys", "the machine's token"), "POST /v1/keys"); problem.KindOf(err) != problem.Unavailable {
		t.Error(err)
	}
	if _, err := w.gate.Enter(request("GET", "/v1/kpis", "the machine's token"), "GET /v1/kpis"); err != nil {
		t.Error(err)
	}
}

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		p    access.Principal
		want access.Scope
	}{
		{access.Principal{Roles: []access.Role{access.Agency}, Agency: "customs"}, access.Scope{Dimension: "agency", Value: "customs"}},
		{access.Principal{Roles: []access.Role{access.Agency}, Region: "1726"}, access.Scope{Dimension: "region", Value: "1726"}},
		{access.Principal{Roles: []access.Role{access.Agency}, Agency: "customs", Region: "1726"}, access.Scope{Dimension: "agency", Value: "customs"}},
		{access.Principal{Roles: []access.Role{access.Agency, access.Leader}, Agency: "customs"}, access.Scope{}},
		{access.Principal{Roles: []access.Role{access.Source}}, access.Scope{Dimension: "agency"}},
	} {
		if got := c.p.Scope(); got != c.want {
			t.Errorf("%+v sees %+v, want %+v", c.p, got, c.want)
		}
	}
	if p := access.Of(context.Background()); p.ID != "nobody" || p.Is(access.Roles...) {
		t.Error(p)
	}
}
