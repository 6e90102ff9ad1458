package access

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"ombor/internal/audit"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Options say who is let in, and how.
type Options struct {
	Secret  []byte    // 32 bytes, from which the keys of sessions are made
	Machine string    // token of the operator of this machine; empty: there is none
	People  *Provider // where people sign in; nil: they cannot
	Public  bool      // what has been published is shown to everybody
	TLS     bool      // people reach this server, or the proxy in front, by https only
	Proxy   bool      // a proxy on this machine is in front: the client is the last of X-Forwarded-For
	Limits  Limits
	Now     func() time.Time // nil is time.Now
}

// Gate is the door that every request passes. It is safe for concurrent use.
type Gate struct {
	Keys     *Keys
	Sessions *Sessions

	signIn  *SignIn
	audit   *audit.Log
	options Options
	limits  *limiter
	cross   *http.CrossOriginProtection
	renewal singleflight.Group

	mu    sync.Mutex
	links map[string]time.Time // sign-in links that were given out, until when they work
}

// Open opens the gate of an installation. It asks nothing of the provider yet. log may be nil in
// tools that only manage keys; then nothing can be entered that has to be recorded.
func Open(ctx context.Context, conn *stream.Conn, log *audit.Log, options Options) (*Gate, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	g := &Gate{audit: log, options: options, limits: newLimiter(options.Limits, options.Now), cross: http.NewCrossOriginProtection(), links: map[string]time.Time{}}
	var err error
	if g.Keys, err = OpenKeys(ctx, conn, options.Now); err != nil {
		return nil, err
	}
	derive := func(purpose string) []byte {
		key, _ := hkdf.Key(sha256.New, options.Secret, nil, "ombor/access/"+purpose, 32) // never fails for 32 bytes
		return key
	}
	if g.Sessions, err = OpenSessions(ctx, conn, derive("sessions"), options.Now); err != nil {
		return nil, err
	}
	if options.People != nil {
		if g.signIn, err = NewSignIn(*options.People, derive("attempts"), options.Now); err != nil {
			return nil, err
		}
		if err := g.cross.AddTrustedOrigin(g.signIn.provider.Public); err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "access", "the public address %q cannot be used", options.People.Public)
		}
	}
	return g, nil
}

// Enter lets a request in under a rule of [Table], or says why not. What the rule records, and
// every denial, is in the audit log when it returns. The principal that it returns
// is put into the request's context by the caller ([With]).
func (g *Gate) Enter(r *http.Request, name string) (*Principal, error) {
	p, err := g.Admit(r, name)
	if err != nil {
		return nil, err
	}
	if rules[name].Record {
		if err := g.record(r.Context(), r, p, name, r.URL.RequestURI(), nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Admit is [Gate.Enter] for a rule whose uses differ by what a request's body asks: who is let in still
// needs a decision, which [Gate.Decide] records. Denials are in the audit log when it returns.
func (g *Gate) Admit(r *http.Request, name string) (*Principal, error) {
	object := r.URL.RequestURI()
	ctx := r.Context()
	p, err := g.Who(r)
	if err != nil && problem.KindOf(err) != problem.Unauthenticated {
		return nil, err
	}
	rule, known := rules[name]
	if !known {
		p, err = nobody(p), problem.New(problem.Denied, "there is no rule for %s, so nobody may do it", name).
			Also("uz", "Bunga hech kimga ruxsat berilmagan.").
			Also("ru", "Это никому не разрешено.")
		return nil, g.deny(ctx, r, p, name, object, err)
	}
	if rule.Open {
		if err != nil && claims(r) { // a guess is one wherever it is tried
			if limited := g.limits.failed(g.address(r)); limited != nil {
				return nil, limited
			}
			g.deny(ctx, r, nobody(nil), name, object, err)
		}
		return nobody(p), nil
	}
	if err != nil {
		if !g.options.Public || claims(r) || !rule.allows(&Principal{Roles: []Role{Public}}) {
			if limited := g.limits.failed(g.address(r)); limited != nil {
				return nil, limited // and not recorded: who tries shall not fill the log
			}
			return nil, g.deny(ctx, r, nobody(nil), name, object, err)
		}
		p = &Principal{ID: "public", Name: "public", Roles: []Role{Public}}
	}
	if err := g.limits.take(p, g.address(r)); err != nil {
		return nil, err
	}
	if !rule.allows(p) {
		return nil, g.deny(ctx, r, p, name, object, problem.New(problem.Denied, "this is for %s; you are signed in as %s", words(rule.Roles), p.role()).
			Also("uz", "Rolingiz bunga ruxsat bermaydi.").
			Also("ru", "Вашей роли это не разрешено."))
	}
	return p, nil
}

// Holds says whether somebody whom a rule let in would still be let in, as the same and with the same
// rows: an answer that goes on for long asks it before it says more. Nothing is recorded or counted.
func (g *Gate) Holds(r *http.Request, p *Principal, name string) error {
	now, err := g.Who(r)
	if err != nil {
		if p.Is(Public) && problem.KindOf(err) == problem.Unauthenticated { // was nobody, and still is
			return nil
		}
		return err
	}
	if rule := rules[name]; now.ID != p.ID || now.Scope() != p.Scope() || !rule.allows(now) {
		return problem.New(problem.Denied, "what you may see has changed: ask again").
			Also("uz", "Sizga nima koʻrsatilishi oʻzgardi: qayta soʻrang.").
			Also("ru", "То, что вам показывается, изменилось: повторите запрос.")
	}
	return nil
}

// Decide records what an admitted principal asks of a rule, and whether it is refused: only when
// it returns nil may it be done. What it returns otherwise is refused, or that the log cannot be written.
func (g *Gate) Decide(r *http.Request, p *Principal, name, object string, refused error) error {
	ctx := context.WithoutCancel(r.Context()) // also of somebody who has gone
	if refused != nil {
		return g.deny(ctx, r, p, name, object, refused)
	}
	return g.record(ctx, r, p, name, object, nil)
}

func nobody(p *Principal) *Principal {
	if p != nil {
		return p
	}
	return &Principal{ID: "nobody"}
}

// deny records a denial and returns it. That it cannot be recorded changes nothing for who is denied.
func (g *Gate) deny(ctx context.Context, r *http.Request, p *Principal, rule, object string, why error) error {
	if err := g.record(ctx, r, p, rule, object, why); err != nil && ctx.Err() == nil {
		slog.Error("access: a denial could not be recorded", "who", p.ID, "rule", rule, "err", err)
	}
	return why
}

func (g *Gate) record(ctx context.Context, r *http.Request, p *Principal, rule, object string, why error) error {
	if g.audit == nil {
		return problem.New(problem.Unavailable, "there is no audit log, and this has to be recorded").
			Also("uz", "Audit jurnali ishlamayapti, bu amal esa qayd etilishi shart.").
			Also("ru", "Журнал аудита недоступен, а это действие должно быть записано.")
	}
	e := audit.Entry{Who: p.ID, Name: p.Name, Role: p.role(), Address: g.address(r), Action: rule, Object: object, Allowed: why == nil}
	if why != nil {
		e.Why = problem.DocumentOf(why).Detail
	}
	_, err := g.audit.Record(ctx, e)
	return err
}

// Record writes down what somebody did beside a request's own rule: a key made, a file exported.
func (g *Gate) Record(r *http.Request, p *Principal, action, object string) error {
	return g.record(r.Context(), r, p, action, object, nil)
}

// HasProvider says whether people sign in with a provider.
func (g *Gate) HasProvider() bool { return g.signIn != nil }

// IsOpen says whether what has been published is shown to everybody.
func (g *Gate) IsOpen() bool { return g.options.Public }

// Who is the principal of a request: by bearer token (a key, or the machine's token), by basic
// authentication with a key as password, by the header X-ClickHouse-Key, or by session. A token of the
// provider opens nothing: it would outlive a sign-out, and stands in the address that leads to it. Unauthenticated: nobody, or somebody who shows what is not known.
func (g *Gate) Who(r *http.Request) (*Principal, error) {
	if token := shown(r); token != "" {
		return g.ByToken(r.Context(), token)
	}
	cookie, err := r.Cookie(g.cookie("session"))
	if err != nil {
		return nil, errNoSession
	}
	// A page elsewhere can make a browser send the cookie, not read the answer: so it may not change anything.
	if err := g.cross.Check(r); err != nil {
		return nil, problem.New(problem.Denied, "this request was made by a page of another site").
			Also("uz", "Bu soʻrovni boshqa saytning sahifasi yubordi, shuning uchun bajarilmadi.").
			Also("ru", "Этот запрос отправила страница другого сайта, поэтому он не выполнен.").
			From("access", err)
	}
	s, err := g.Sessions.Of(r.Context(), cookie.Value)
	if err != nil {
		return nil, err
	}
	if s, err = g.fresh(r.Context(), cookie.Value, s); err != nil {
		return nil, err
	}
	p := s.Principal
	return &p, nil
}

// shown is the secret that a request carries besides cookies.
func shown(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	return r.Header.Get("X-ClickHouse-Key")
}

// claims says whether a request means to be somebody in particular. A cookie does not: a browser sends it
// unasked, also when its session has ended.
func claims(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || r.Header.Get("X-ClickHouse-Key") != ""
}

// ByToken is who shows a token.
func (g *Gate) ByToken(ctx context.Context, token string) (*Principal, error) {
	switch {
	case g.options.Machine != "" && subtle.ConstantTimeCompare([]byte(token), []byte(g.options.Machine)) == 1:
		return &Principal{ID: "operator:machine", Name: "operator of the machine", Roles: []Role{Operator}}, nil
	case strings.HasPrefix(token, tokenPrefix):
		return g.Keys.Principal(ctx, token)
	}
	return nil, errUnknown
}

// grace is how long a session holds that its provider could not be asked about.
const grace = 10 * time.Minute

// fresh asks the provider again when what it said is old. Of many requests at once one asks.
func (g *Gate) fresh(ctx context.Context, cookie string, s *Session) (*Session, error) {
	if g.signIn == nil || s.Fresh.IsZero() || s.Fresh.After(g.options.Now()) {
		return s, nil
	}
	result, err, _ := g.renewal.Do(sessionKey(cookie), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		// Another process may have asked; a refresh token often works once.
		if now, err := g.Sessions.Of(ctx, cookie); err == nil && now.Fresh.After(g.options.Now()) {
			return now, nil
		}
		next, err := g.signIn.Refreshed(ctx, s)
		if err != nil {
			if problem.KindOf(err) != problem.Unavailable {
				err = errors.Join(err, g.Sessions.End(ctx, cookie))
			}
			return nil, err
		}
		return next, g.Sessions.Renew(ctx, cookie, next)
	})
	switch {
	case err == nil:
		return result.(*Session), nil
	case problem.KindOf(err) == problem.Unavailable && g.options.Now().Before(s.Fresh.Add(grace)):
		return s, nil
	}
	return nil, err
}

// address is the client's, without its port.
func (g *Gate) address(r *http.Request) string {
	if g.options.Proxy {
		if all := r.Header.Values("X-Forwarded-For"); len(all) > 0 {
			list := strings.Split(all[len(all)-1], ",")
			if last := strings.TrimSpace(list[len(list)-1]); net.ParseIP(last) != nil {
				return last
			}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// linkLasts is how long a sign-in link works.
const linkLasts = 15 * time.Minute

// Link is a path that signs whoever opens it in as operator, once, within 15 minutes, in
// this process.
func (g *Gate) Link() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.options.Now()
	for token, until := range g.links {
		if until.Before(now) {
			delete(g.links, token)
		}
	}
	token := rand.Text()
	g.links[token] = now.Add(linkLasts)
	return "/sign-in?link=" + token
}

// follow takes a link, which then works no more.
func (g *Gate) follow(token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, ok := g.links[token]
	delete(g.links, token)
	return ok && until.After(g.options.Now())
}

// cookie is the name of a cookie. With https it has the prefix that keeps other hosts of the
// domain from setting it.
func (g *Gate) cookie(name string) string {
	if g.options.TLS {
		return "__Host-ombor-" + name
	}
	return "ombor-" + name
}

func (g *Gate) setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	c := &http.Cookie{Name: g.cookie(name), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: g.options.TLS}
	if c.MaxAge = int(lasts / time.Second); lasts <= 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// SignIn answers GET /sign-in: it follows a link, or sends people to their provider.
func (g *Gate) SignIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if link := r.URL.Query().Get("link"); link != "" {
		if err := g.limits.failed(g.address(r)); err != nil {
			refuse(w, r, err)
			return
		}
		if !g.follow(link) {
			refuse(w, r, problem.New(problem.Unauthenticated, "this link has been used, or is older than 15 minutes; 'ombor sign-in' on the server's machine prints another").
				Also("uz", "Bu havoladan foydalanilgan yoki u 15 daqiqadan eski: serverning oʻzida “ombor sign-in” yangisini beradi.").
				Also("ru", "По этой ссылке уже входили, или ей больше 15 минут: новую выдаёт «ombor sign-in» на самом сервере."))
			return
		}
		g.begin(w, r, Session{Principal: Principal{ID: "operator:link", Name: "operator", Roles: []Role{Operator}}}, r.URL.Query().Get("to"))
		return
	}
	if g.signIn == nil {
		refuse(w, r, problem.New(problem.NotFound, "no provider is configured where people sign in; the operator signs in with the link that 'ombor sign-in' prints on the server's machine").
			Also("uz", "Kirish xizmati sozlanmagan; operator serverning oʻzida “ombor sign-in” beradigan havola bilan kiradi.").
			Also("ru", "Служба входа не настроена; оператор входит по ссылке, которую выдаёт «ombor sign-in» на самом сервере."))
		return
	}
	to, cookie, err := g.signIn.Leave(r.Context(), r.URL.Query().Get("to"))
	if err != nil {
		refuse(w, r, err)
		return
	}
	g.setCookie(w, "attempt", cookie, attemptLasts)
	http.Redirect(w, r, to, http.StatusFound)
}

// Callback answers GET /sign-in/callback, to which the provider sends people back.
func (g *Gate) Callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if g.signIn == nil {
		refuse(w, r, problem.New(problem.NotFound, "no provider is configured where people sign in").
			Also("uz", "Kirish xizmati sozlanmagan.").
			Also("ru", "Служба входа не настроена."))
		return
	}
	var attempt string
	if c, err := r.Cookie(g.cookie("attempt")); err == nil {
		attempt = c.Value
	}
	g.setCookie(w, "attempt", "", 0)
	s, to, err := g.signIn.Return(r.Context(), r.URL.Query(), attempt)
	if err != nil {
		if limited := g.limits.failed(g.address(r)); limited == nil {
			err = g.deny(r.Context(), r, nobody(nil), "GET /sign-in/callback", "", err)
		}
		refuse(w, r, err)
		return
	}
	g.begin(w, r, *s, to)
}

func (g *Gate) begin(w http.ResponseWriter, r *http.Request, s Session, to string) {
	if err := g.record(r.Context(), r, &s.Principal, actionSignIn, "", nil); err != nil {
		refuse(w, r, err)
		return
	}
	cookie, err := g.Sessions.Begin(r.Context(), s)
	if err != nil {
		refuse(w, r, err)
		return
	}
	g.setCookie(w, "session", cookie, sessionLength)
	http.Redirect(w, r, ownPage(to), http.StatusFound)
}

// SignOut answers POST /sign-out: the session ends here, and then at the provider. Browsers
// follow no redirect from a form of ours to another host (form-action of the page's policy), so
// a page leads there.
func (g *Gate) SignOut(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if err := g.cross.Check(r); err != nil {
		problem.Write(w, problem.New(problem.Denied, "this request was made by a page of another site").
			Also("uz", "Bu soʻrovni boshqa saytning sahifasi yubordi, shuning uchun bajarilmadi.").
			Also("ru", "Этот запрос отправила страница другого сайта, поэтому он не выполнен.").
			From("access", err))
		return
	}
	var next string
	if c, err := r.Cookie(g.cookie("session")); err == nil {
		if s, err := g.Sessions.Of(r.Context(), c.Value); err == nil {
			if err := g.record(r.Context(), r, &s.Principal, actionSignOut, "", nil); err != nil {
				problem.Write(w, err)
				return
			}
			if g.signIn != nil && s.Hint != "" {
				next = g.signIn.Farewell(r.Context(), s.Hint)
			}
		}
		if err := g.Sessions.End(r.Context(), c.Value); err != nil {
			problem.Write(w, err)
			return
		}
	}
	g.setCookie(w, "session", "", 0)
	if next != "" {
		language := languageOf(r)
		words := pages[language]
		writePage(w, http.StatusOK, pageText{Language: language, Title: words.out, Detail: words.ends, Way: words.on, Next: next})
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
