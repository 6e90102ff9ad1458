package access_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/problem"
)

// provider starts a certified OpenID Connect provider that knows one client.
func provider(t *testing.T, home string) string {
	t.Helper()
	server := filepath.Join("..", "..", ".tools", "oidc", "server.mjs")
	if _, err := os.Stat(server); err != nil {
		t.Fatal("oidc-provider is missing: run `make .tools/oidc/node_modules/.package-lock.json` once")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	cmd := exec.Command("node", server, port, home+"/sign-in/callback", home+"/")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() }) // the kill is its result
	if lines := bufio.NewScanner(out); !lines.Scan() || lines.Text() != "ready" {
		t.Fatal("the provider did not start")
	}
	go io.Copy(io.Discard, out)
	return "http://127.0.0.1:" + port
}

// site is Ombor as a browser sees it: the gate's pages, and one that says who is there.
type site struct {
	*world
	url, issuer string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.issuer = provider(t, s.url)
	s.world = newWorld(t, access.Options{People: s.provider(map[string]access.Role{"dgc-leaders": access.Leader, "customs-officers": access.Agency})})
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) { s.gate.SignIn(w, r) })
	mux.HandleFunc("GET /sign-in/callback", func(w http.ResponseWriter, r *http.Request) { s.gate.Callback(w, r) })
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) { s.gate.SignOut(w, r) })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		p, err := s.gate.Enter(r, "GET /v1/scorecard")
		if err != nil {
			problem.Write(w, err)
			return
		}
		fmt.Fprintf(w, "%s|%s|%v|%s|%s", p.ID, p.Name, p.Roles, p.Agency, r.URL.Path)
	})
	return s
}

// provider are the settings of the site's provider, with the roles that its groups give.
func (s *site) provider(roles map[string]access.Role) *access.Provider {
	p := &access.Provider{Issuer: s.issuer, ClientID: "ombor", ClientSecret: "a-secret-of-the-tests", Public: s.url, Roles: roles,
		Grants: []access.Grant{{Subject: "granted", Roles: []access.Role{access.Analyst}}}}
	p.Claims.Roles, p.Claims.Agency = "groups", "org_code"
	return p
}

// browser follows redirects and keeps cookies, as a browser does.
func browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, Timeout: 20 * time.Second}
}

var form = regexp.MustCompile(`(?s)<form[^>]*action="([^"]+)".*?name="prompt" value="([^"]+)"`)

// signIn opens a page and fills in the provider's forms until it comes back to us.
func (s *site) signIn(b *http.Client, login, page string) (status int, text string) {
	s.Helper()
	answer, err := b.Get(s.url + "/sign-in?to=" + url.QueryEscape(page))
	for range 4 {
		if err != nil {
			s.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			s.Fatal(err)
		}
		if strings.HasPrefix(answer.Request.URL.String(), s.url) {
			return answer.StatusCode, string(body)
		}
		found := form.FindStringSubmatch(string(body))
		if found == nil {
			s.Fatalf("no form at %s: %s", answer.Request.URL, body)
		}
		answer, err = b.PostForm(found[1], url.Values{"prompt": {found[2]}, "login": {login}, "password": {"any"}})
		if err != nil {
			s.Fatal(err)
		}
	}
	s.Fatal("the provider asks for ever")
	return 0, ""
}

func (s *site) get(b *http.Client, path string) (int, string) {
	s.Helper()
	answer, err := b.Get(s.url + path)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	host := strings.TrimPrefix(s.issuer, "http://")
	for _, c := range []struct{ login, want string }{
		{"leader", "person:" + host + "/leader|Leyla Karimova|[leader]||/kpis"},
		{"officer", "person:" + host + "/officer|Oʻktam Aliyev|[agency]|customs-committee|/kpis"},
		{"granted", "person:" + host + "/granted|Granted by hand|[analyst]||/kpis"},
	} {
		b := browser()
		if status, _ := s.get(b, "/kpis"); status != http.StatusUnauthorized {
			t.Errorf("before: %d", status)
		}
		if status, text := s.signIn(b, c.login, "/kpis"); status != http.StatusOK || text != c.want {
			t.Errorf("%s: %d %s", c.login, status, text)
		}
	}
	if status, text := s.signIn(browser(), "stranger", "/kpis"); status != http.StatusForbidden || !strings.Contains(text, "nobody gave you a role") {
		t.Errorf("stranger: %d %s", status, text)
	}
	entries, err := s.audit.Read(t.Context(), audit.Filter{Text: "gave you a role"})
	if err != nil || len(entries) != 1 || entries[0].Allowed {
		t.Error(entries, err)
	}
	s.gate = s.open(access.Options{People: s.provider(map[string]access.Role{"dgc-leaders": access.Agency})})
	if status, text := s.signIn(browser(), "leader", "/kpis"); status != http.StatusForbidden || !strings.Contains(text, "nobody says of which") {
		t.Errorf("of an agency that nobody names: %d %s", status, text)
	}
}

// A provider that is busy has not said no.
func TestProviderThatIsBusy(t *testing.T) {
	type said struct {
		status int
		code   string
	}
	for said, want := range map[said]problem.Kind{{400, ""}: problem.Unauthenticated, {400, "invalid_grant"}: problem.Unauthenticated, {401, ""}: problem.Unauthenticated, {403, ""}: problem.Unauthenticated,
		{401, "invalid_client"}: problem.Unavailable, {408, ""}: problem.Unavailable, {429, ""}: problem.Unavailable, {502, ""}: problem.Unavailable} {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux)
		mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/k"}`, server.URL)
		})
		mux.HandleFunc("POST /t", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(said.status)
			fmt.Fprintf(w, `{"error":%q}`, said.code)
		})
		people, err := access.NewSignIn(access.Provider{Issuer: server.URL, ClientID: "ombor", Public: server.URL}, secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := people.Refreshed(t.Context(), &access.Session{Refresh: "of before"}); problem.KindOf(err) != want {
			t.Errorf("%+v: %v", said, err)
		}
		server.Close()
	}
}

// withoutToken takes the ID token out of what a provider answers to a refresh, as some do.
type withoutToken struct{ taken int }

func (w *withoutToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	refresh := r.PostForm.Get("grant_type") == "refresh_token"
	text := r.PostForm.Encode()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !refresh {
		return answer, err
	}
	var all map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&all); err != nil {
		return nil, err
	}
	answer.Body.Close()
	delete(all, "id_token")
	w.taken++
	left, err := json.Marshal(all)
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(left)), int64(len(left))
	return answer, err
}

// What the provider says is asked again when its word is old, and who has left there is out here; also
// where a refresh brings no ID token, and the provider is asked who somebody is.
func TestSessionFollowsProvider(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprint("without ID token ", bare), func(t *testing.T) { sessionFollows(t, bare) })
	}
}

func sessionFollows(t *testing.T, bare bool) {
	s := newSite(t)
	if bare {
		left := &withoutToken{}
		people := s.provider(map[string]access.Role{"dgc-leaders": access.Leader, "customs-officers": access.Agency})
		people.Client = &http.Client{Transport: left, Timeout: 10 * time.Second}
		s.world = newWorld(t, access.Options{People: people})
		defer func() {
			if left.taken == 0 {
				t.Error("no refresh was seen")
			}
		}()
	}
	b, leaver := browser(), browser()
	s.signIn(b, "officer", "/")
	s.signIn(leaver, "leader", "/")
	for round := range 3 { // the refresh token is another one each time
		s.now = s.now.Add(time.Minute)
		if status, text := s.get(b, "/"); status != http.StatusOK || !strings.Contains(text, "customs-committee") {
			t.Fatalf("round %d: %d %s", round, status, text)
		}
	}
	for _, path := range []string{"/move/officer", "/dismiss/leader"} {
		answer, err := http.Get(s.issuer + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	s.now = s.now.Add(time.Minute)
	if status, text := s.get(b, "/"); status != http.StatusOK || !strings.Contains(text, "tax-committee") {
		t.Errorf("moved: %d %s", status, text)
	}
	for range 2 {
		if status, text := s.get(leaver, "/"); status != http.StatusUnauthorized {
			t.Errorf("gone: %d %s", status, text)
		}
	}
}

func TestSignOut(t *testing.T) {
	s := newSite(t)
	b := browser()
	s.signIn(b, "leader", "/")
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := b.PostForm(s.url+"/sign-out", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	next := regexp.MustCompile(`content="0; url=([^"]+)"`).FindStringSubmatch(string(text))
	if next == nil {
		t.Fatalf("leads nowhere: %d %s", answer.StatusCode, text)
	}
	to, err := url.Parse(html.UnescapeString(next[1]))
	if err != nil || !strings.HasPrefix(to.String(), s.issuer) || to.Query().Get("post_logout_redirect_uri") != s.url+"/" || to.Query().Get("id_token_hint") == "" {
		t.Errorf("leads to %s", to)
	}
	if status, _ := s.get(b, "/"); status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", status)
	}
	// The provider's token stands in an address that browsers remember: it opens nothing.
	if p, err := s.gate.Who(request("GET", "/", to.Query().Get("id_token_hint"))); problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("with the provider's token: %+v, %v", p, err)
	}
}

// An answer of the provider that belongs to no attempt of this browser begins no session.
func TestForgedCallback(t *testing.T) {
	s := newSite(t)
	b, victim := browser(), browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := b.Get(s.url + "/sign-in")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	to, _ := url.Parse(answer.Header.Get("Location"))
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" || q.Get("response_type") != "code" {
		t.Errorf("the request is %s", to)
	}
	state := q.Get("state")
	for _, c := range []struct {
		b     *http.Client
		query string
	}{
		{victim, "?code=x&state=" + state}, // a login of somebody else, pressed upon this browser
		{b, "?code=x&state=other"},
		{b, ""},
	} {
		if status, text := s.get(c.b, "/sign-in/callback"+c.query); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", c.query, status, text)
		}
	}
}

// grant is a provider that knows one person, of role agency.
func grant(g access.Grant) access.Provider {
	g.Roles = []access.Role{access.Agency}
	return access.Provider{Issuer: "https://id.example", Public: "https://ombor.example", ClientID: "x", Grants: []access.Grant{g}}
}

func TestProviderThatIsAway(t *testing.T) {
	s := newSite(t)
	b := browser()
	s.signIn(b, "leader", "/")
	away := &access.Provider{Issuer: "http://127.0.0.1:1", ClientID: "ombor", Public: s.url}
	s.gate = s.open(access.Options{People: away})
	// Its word is old and it cannot be asked: for ten minutes it holds.
	s.now = s.now.Add(time.Minute)
	if status, text := s.get(b, "/"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	s.now = s.now.Add(10 * time.Minute)
	if status, text := s.get(b, "/"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, text)
	}
	rec := httptest.NewRecorder()
	s.gate.SignIn(rec, request("GET", "/sign-in", ""))
	if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
		t.Error(rec.Code, rec.Body)
	}
	for _, wrong := range []access.Provider{{Issuer: "http://id.example", Public: s.url, ClientID: "x"}, {Issuer: "https://id.example", Public: "ombor", ClientID: "x"}, {Issuer: "https://id.example", Public: s.url},
		grant(access.Grant{Subject: "x"}), grant(access.Grant{Subject: "x", Agency: "customs", Region: "1726"})} {
		if _, err := access.NewSignIn(wrong, secret, nil); problem.KindOf(err) != problem.BadInput {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}
