package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"ombor/internal/problem"
)

// Provider is where people sign in: an OpenID Connect provider, such as a country's single sign-on.
type Provider struct {
	Issuer       string // https://id.example.uz
	ClientID     string
	ClientSecret string   // empty for a public client; PKCE is used in any case
	Scopes       []string // beside openid; nil: profile and offline_access
	Hosts        []string // hosts of its endpoints that are not the issuer's
	Public       string   // address under which people reach Ombor: https://ombor.example.uz

	// Claims are the names of the ID token's claims that say who somebody is. A claim may be a text
	// or a list of texts; a dot leads into an object ("realm_access.roles").
	Claims struct{ Name, Roles, Agency, Region string }
	Roles  map[string]Role // value of the roles claim → role; a value that is not here gives none

	// Grants are roles for people whom the provider tells nothing about.
	Grants []Grant

	Client *http.Client // nil: one with a time limit of 10 s
}

// Grant gives roles to one subject of the provider.
type Grant struct {
	Subject string
	Roles   []Role
	Agency  string
	Region  string
}

// SignIn signs people in: authorization code with PKCE (RFC 7636), state and nonce.
// What has to be remembered between leaving for the provider and coming back is in an
// encrypted cookie, so that any process can finish what another began.
type SignIn struct {
	provider Provider
	host     string
	seal     sealer
	now      func() time.Time

	mu       sync.Mutex
	endpoint *discovered
}

type discovered struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	provider *oidc.Provider
	logout   string // its end_session_endpoint; empty: it has none
}

// NewSignIn checks the settings of a provider; it asks nothing of it yet. secret has 32 bytes.
func NewSignIn(p Provider, secret []byte, now func() time.Time) (*SignIn, error) {
	issuer, err := url.Parse(p.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && !(issuer.Scheme == "http" && loopback(issuer.Hostname())) {
		return nil, problem.New(problem.BadInput, "the issuer %q: want https://HOST", p.Issuer).In("issuer")
	}
	public, err := url.Parse(p.Public)
	if err != nil || public.Host == "" || strings.Trim(public.Path, "/") != "" {
		return nil, problem.New(problem.BadInput, "the public address %q: want https://HOST, as people type it", p.Public).In("public")
	}
	p.Public = public.Scheme + "://" + public.Host
	if p.ClientID == "" {
		return nil, problem.New(problem.BadInput, "the provider's client id is missing").In("client_id")
	}
	for _, g := range p.Grants {
		if g.Subject == "" {
			return nil, problem.New(problem.BadInput, "a grant has no subject").In("people")
		}
		if err := CheckRoles(g.Roles); err != nil {
			return nil, err
		}
		if slices.Contains(g.Roles, Agency) && (g.Agency == "") == (g.Region == "") {
			return nil, problem.New(problem.BadInput, "the subject %q of role agency needs an agency or a region, and has %s", g.Subject, map[bool]string{true: "neither", false: "both"}[g.Agency == ""]).In("people")
		}
	}
	for _, role := range p.Roles {
		if err := CheckRoles([]Role{role}); err != nil {
			return nil, err
		}
	}
	if p.Scopes == nil {
		p.Scopes = []string{"profile", oidc.ScopeOfflineAccess}
	}
	if p.Claims.Name == "" {
		p.Claims.Name = "name"
	}
	if p.Client == nil {
		p.Client = &http.Client{Timeout: 10 * time.Second}
	}
	if now == nil {
		now = time.Now
	}
	seal, err := newSealer(secret)
	return &SignIn{provider: p, host: issuer.Host, seal: seal, now: now}, err
}

func loopback(host string) bool {
	return host == "localhost" || host == "127.0.0.1" || host == "::1"
}

const callback = "/sign-in/callback"

// discover asks the provider what it offers, once. Its endpoints must be on hosts that the operator named.
func (s *SignIn) discover(ctx context.Context) (*discovered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.endpoint != nil {
		return s.endpoint, nil
	}
	// The keys of the provider are fetched with this client for as long as the process lives.
	lasting := oidc.ClientContext(context.WithoutCancel(ctx), s.provider.Client)
	p, err := oidc.NewProvider(lasting, s.provider.Issuer)
	if err != nil {
		return nil, away(err)
	}
	var more struct {
		Keys   string `json:"jwks_uri"`
		Logout string `json:"end_session_endpoint"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, away(err)
	}
	for _, address := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL, p.UserInfoEndpoint(), more.Keys, more.Logout} {
		u, err := url.Parse(address)
		if err != nil || address != "" && u.Host != s.host && !slices.Contains(s.provider.Hosts, u.Host) {
			return nil, problem.New(problem.Unavailable, "the provider %s has an endpoint on %q, a host that the operator has not named under hosts", s.host, u.Host).
				Also("uz", "Kirish xizmati %s operator koʻrsatmagan “%s” manziliga murojaat qiladi: operatorga ayting.", s.host, u.Host).
				Also("ru", "Служба входа %s обращается к адресу «%s», который оператор не указал: сообщите оператору.", s.host, u.Host)
		}
	}
	s.endpoint = &discovered{
		oauth: oauth2.Config{ClientID: s.provider.ClientID, ClientSecret: s.provider.ClientSecret, Endpoint: p.Endpoint(),
			RedirectURL: s.provider.Public + callback, Scopes: append([]string{oidc.ScopeOpenID}, s.provider.Scopes...)},
		verifier: p.Verifier(&oidc.Config{ClientID: s.provider.ClientID, Now: s.now}),
		provider: p, logout: more.Logout,
	}
	return s.endpoint, nil
}

func away(err error) error {
	return problem.New(problem.Unavailable, "the provider where people sign in does not answer as it should; try again in a moment").
		Also("uz", "Kirish xizmati kerakli javobni bermayapti: birozdan soʻng qayta urining.").
		Also("ru", "Служба входа отвечает не так, как должна: попробуйте немного позже.").
		From("access: sign in", err)
}

// attempt is what is remembered of somebody who has left for the provider.
type attempt struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	To       string    `json:"to"`
	Until    time.Time `json:"until"`
}

const attemptLasts = 10 * time.Minute

// Leave gives the provider's address for somebody who wants to go to a page of ours
// afterwards, and what the cookie of the attempt must hold.
func (s *SignIn) Leave(ctx context.Context, to string) (address, cookie string, err error) {
	d, err := s.discover(ctx)
	if err != nil {
		return "", "", err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: ownPage(to), Until: s.now().Add(attemptLasts)}
	text, err := json.Marshal(a)
	if err != nil {
		return "", "", err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)}
	if slices.Contains(s.provider.Scopes, oidc.ScopeOfflineAccess) {
		options = append(options, oauth2.SetAuthURLParam("prompt", "consent")) // else no refresh token is given (OpenID Connect Core, 11)
	}
	return d.oauth.AuthCodeURL(a.State, options...), base64.RawURLEncoding.EncodeToString(s.seal.seal(text, "attempt")), nil
}

// ownPage is a path of ours, so that nobody is sent elsewhere after signing in.
func ownPage(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return u.RequestURI()
}

// Return finishes an attempt with what the provider sent: the session that begins, and the page
// that was wanted. Unauthenticated: the attempt is over, or not of this browser. Denied: the
// provider knows the person, and nobody gave them a role here.
func (s *SignIn) Return(ctx context.Context, query url.Values, cookie string) (*Session, string, error) {
	again := problem.New(problem.Unauthenticated, "this sign-in took too long, or was begun in another window: begin again").
		Also("uz", "Kirish juda uzoq davom etdi yoki boshqa oynada boshlangan: qaytadan boshlang.").
		Also("ru", "Вход длился слишком долго или начат в другом окне: начните заново.")
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return nil, "", again
	}
	text, err := s.seal.open(sealed, "attempt")
	var a attempt
	if err != nil || json.Unmarshal(text, &a) != nil || a.Until.Before(s.now()) || query.Get("state") != a.State {
		return nil, "", again
	}
	if code := query.Get("error"); code != "" {
		return nil, "", problem.New(problem.Unauthenticated, "the provider did not sign you in (%s)", strings.ToValidUTF8(code[:min(len(code), 60)], "")).
			Also("uz", "Kirish xizmati sizni kiritmadi (%s).", strings.ToValidUTF8(code[:min(len(code), 60)], "")).
			Also("ru", "Служба входа вас не впустила (%s).", strings.ToValidUTF8(code[:min(len(code), 60)], ""))
	}
	d, err := s.discover(ctx)
	if err != nil {
		return nil, "", err
	}
	token, err := d.oauth.Exchange(oidc.ClientContext(ctx, s.provider.Client), query.Get("code"), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, "", refused(err)
	}
	session, err := s.session(ctx, d, token, a.Nonce)
	return session, a.To, err
}

// refused tells a provider that says no (RFC 6749, 5.2; some say 403) from one that is away, or busy.
func refused(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) && r.ErrorCode == "invalid_client" { // no fault of whoever signs in: their session may hold
		return problem.New(problem.Unavailable, "the provider does not know this server by its client id and secret; its operator has to look at them").
			Also("uz", "Kirish xizmati bu serverni tanimaydi: operatori uning identifikatori va maxfiy kalitini tekshirishi kerak.").
			Also("ru", "Служба входа не узнаёт этот сервер: его оператору надо проверить идентификатор и секрет.").
			From("access: sign in", err)
	}
	if errors.As(err, &r) && r.Response != nil && slices.Contains([]int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden}, r.Response.StatusCode) {
		return problem.New(problem.Unauthenticated, "the provider does not accept this sign-in: begin again").
			Also("uz", "Kirish xizmati bu kirishni qabul qilmadi: qaytadan boshlang.").
			Also("ru", "Служба входа не приняла этот вход: начните заново.").
			From("access: sign in", err)
	}
	return away(err)
}

// session reads who somebody is from the provider's tokens. An empty nonce is not compared.
func (s *SignIn) session(ctx context.Context, d *discovered, token *oauth2.Token, nonce string) (*Session, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, away(errors.New("no id_token"))
	}
	p, err := s.person(ctx, d, raw, nonce)
	if err != nil {
		return nil, err
	}
	session := &Session{Principal: *p, Refresh: token.RefreshToken, Hint: raw}
	if token.RefreshToken != "" && !token.Expiry.IsZero() {
		session.Fresh = token.Expiry.UTC()
	}
	return session, nil
}

// person is who an ID token tells of.
func (s *SignIn) person(ctx context.Context, d *discovered, raw, nonce string) (*Principal, error) {
	id, err := d.verifier.Verify(oidc.ClientContext(ctx, s.provider.Client), raw)
	if err != nil {
		return nil, problem.New(problem.Unauthenticated, "the provider's token is not valid: sign in again").
			Also("uz", "Kirish xizmatining belgisi yaroqsiz: qaytadan kiring.").
			Also("ru", "Токен службы входа недействителен: войдите заново.").
			From("access: sign in", err)
	}
	if nonce != "" && id.Nonce != nonce {
		return nil, problem.New(problem.Unauthenticated, "the provider's token is of another sign-in: begin again").
			Also("uz", "Kirish xizmatining belgisi boshqa kirishniki: qaytadan boshlang.").
			Also("ru", "Токен службы входа относится к другому входу: начните заново.")
	}
	return s.claimed(id.Subject, id.Claims)
}

// claimed is who the claims of a subject tell of.
func (s *SignIn) claimed(subject string, read func(any) error) (*Principal, error) {
	var claims map[string]any
	if err := read(&claims); err != nil {
		return nil, away(err)
	}
	first := func(name string) string {
		if all := texts(claims, name); len(all) > 0 {
			return all[0]
		}
		return ""
	}
	p := &Principal{ID: "person:" + s.host + "/" + subject, Name: first(s.provider.Claims.Name), Agency: first(s.provider.Claims.Agency), Region: first(s.provider.Claims.Region)}
	for _, value := range texts(claims, s.provider.Claims.Roles) {
		if role, ok := s.provider.Roles[value]; ok && !p.Is(role) {
			p.Roles = append(p.Roles, role)
		}
	}
	for _, g := range s.provider.Grants {
		if g.Subject == subject {
			p.Roles, p.Agency, p.Region = g.Roles, g.Agency, g.Region
		}
	}
	if len(p.Roles) == 0 {
		return nil, problem.New(problem.Denied, "you are signed in as %s, and nobody gave you a role here; ask the operator for one", p.ID).
			Also("uz", "Siz %s sifatida kirdingiz, lekin bu yerda sizga rol berilmagan: operatordan soʻrang.", p.ID).
			Also("ru", "Вы вошли как %s, но роли у вас здесь нет: попросите её у оператора.", p.ID)
	}
	if p.Is(Agency) && p.Scope() == (Scope{Dimension: "agency"}) {
		return nil, problem.New(problem.Denied, "you are signed in as %s, of role agency, and nobody says of which; ask the operator", p.ID).
			Also("uz", "Siz idora vakili %s sifatida kirdingiz, lekin qaysi idoraniki ekaningiz koʻrsatilmagan: operatorga murojaat qiling.", p.ID).
			Also("ru", "Вы вошли как %s с ролью «ведомство», но не указано, какое: обратитесь к оператору.", p.ID)
	}
	return p, nil
}

// texts are the values of a claim.
func texts(claims map[string]any, name string) []string {
	if name == "" {
		return nil
	}
	var value any = claims
	if whole, ok := claims[name]; ok {
		value = whole
	} else {
		for part := range strings.SplitSeq(name, ".") {
			object, _ := value.(map[string]any)
			value = object[part]
		}
	}
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}

// Refreshed is a session after the provider was asked whether it still holds: who
// somebody is, and what they may do, as it says now. Unauthenticated: it has ended there.
func (s *SignIn) Refreshed(ctx context.Context, old *Session) (*Session, error) {
	d, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	token, err := d.oauth.TokenSource(oidc.ClientContext(ctx, s.provider.Client), &oauth2.Token{RefreshToken: old.Refresh, Expiry: s.now().Add(-time.Hour)}).Token()
	if err != nil {
		return nil, refused(err)
	}
	next := *old
	var now *Principal
	if raw, ok := token.Extra("id_token").(string); ok {
		now, err = s.person(ctx, d, raw, "")
		next.Hint = raw
	} else { // a refresh need not bring one (OpenID Connect Core, 12.2)
		now, err = s.informed(ctx, d, token)
	}
	if err != nil {
		return nil, err
	}
	if now.ID != old.Principal.ID {
		return nil, problem.New(problem.Unauthenticated, "the provider's token is of somebody else: sign in again").
			Also("uz", "Kirish xizmatining belgisi boshqa kishiniki: qaytadan kiring.").
			Also("ru", "Токен службы входа принадлежит другому: войдите заново.")
	}
	next.Principal = *now
	next.Fresh = token.Expiry.UTC()
	if token.RefreshToken != "" {
		next.Refresh = token.RefreshToken
	}
	return &next, nil
}

// informed is who the provider says that an access token belongs to. Unauthenticated: it does not say.
func (s *SignIn) informed(ctx context.Context, d *discovered, token *oauth2.Token) (*Principal, error) {
	if d.provider.UserInfoEndpoint() == "" {
		return nil, problem.New(problem.Unauthenticated, "the provider no longer says who you are: sign in again").
			Also("uz", "Kirish xizmati kimligingizni endi aytmayapti: qaytadan kiring.").
			Also("ru", "Служба входа больше не говорит, кто вы: войдите заново.")
	}
	info, err := d.provider.UserInfo(oidc.ClientContext(ctx, s.provider.Client), oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, away(err)
	}
	return s.claimed(info.Subject, info.Claims)
}

// Farewell is where somebody goes whose session here has ended, so that it ends at the
// provider too; our own first page when the provider has no such place.
func (s *SignIn) Farewell(ctx context.Context, hint string) string {
	d, err := s.discover(ctx)
	if err != nil || d.logout == "" {
		return "/"
	}
	u, err := url.Parse(d.logout)
	if err != nil {
		return "/"
	}
	q := u.Query()
	q.Set("client_id", s.provider.ClientID)
	q.Set("post_logout_redirect_uri", s.provider.Public+"/")
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
