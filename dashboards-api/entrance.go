package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// enter lets a request in under the rule of its route, and puts who makes it into its context.
// An address that no route has needs no rule: there is nothing at it.
func (s *server) enter(c *gin.Context) {
	gate := s.config.Gate
	if gate == nil {
		return
	}
	method := c.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path := c.FullPath()
	if path == "" {
		if method != http.MethodGet || owned(c.Request.URL.Path) {
			return
		}
		path = "page"
	}
	p, err := gate.Enter(c.Request, method+" "+path)
	if err != nil {
		if problem.KindOf(err) == problem.Unauthenticated {
			c.Writer.Header().Set("WWW-Authenticate", `Bearer realm="ombor"`)
		}
		c.Writer.Header().Set("Cache-Control", "no-store")
		s.fail(c.Writer, c.Request, err)
		c.Abort()
		return
	}
	c.Request = c.Request.WithContext(access.With(c.Request.Context(), p))
}

// scope is the part of all rows that the principal of a request sees; all when there is no gate.
func (s *server) scope(ctx context.Context) access.Scope {
	if s.config.Gate == nil {
		return access.Scope{}
	}
	return access.Of(ctx).Scope()
}

// narrow holds the parameters of a request to what its principal may see. Whoever sees only an
// agency's (or a region's) rows sees those, and beside them the nation's total: a question without
// breakdown and filter, where that is told as one figure (total). Any other question is narrowed to the
// own rows, which its answer says: reasons, gaps and movers name services of everybody.
func narrow(scope access.Scope, total bool, values map[string]string, allowed []string) (map[string]string, error) {
	if scope == (access.Scope{}) {
		return values, nil
	}
	denied := problem.New(problem.Denied, "you see the rows of %s=%s and the national total; ask with where=%[1]s=%[2]s, or without by and where", scope.Dimension, scope.Value).
		Also("uz", "Siz oʻz idorangiz qatorlarini va mamlakat jamini koʻrasiz: %s=%s.", scope.Dimension, scope.Value).
		Also("ru", "Вам показываются строки вашего ведомства и итог по стране: %s=%s.", scope.Dimension, scope.Value)
	own := scope.Dimension + "=" + scope.Value
	switch {
	case scope.Value == "":
		return nil, problem.New(problem.Denied, "you see the rows of your own agency, and nobody says which that is; ask the operator").
			Also("uz", "Siz oʻz idorangiz qatorlarini koʻrasiz, lekin u qaysi idora ekani koʻrsatilmagan; operatorga murojaat qiling.").
			Also("ru", "Вам показываются строки вашего ведомства, но какого именно, не указано; обратитесь к оператору.")
	case slices.Contains(allowed, "where"):
		if total && values["by"] == "" && values["where"] == "" {
			return values, nil
		}
		for line := range strings.SplitSeq(values["where"], "\n") {
			if dimension, _, _ := strings.Cut(line, "="); dimension == scope.Dimension && line != own {
				return nil, denied
			}
		}
		if !slices.Contains(strings.Split(values["where"], "\n"), own) {
			values["where"] = strings.TrimPrefix(values["where"]+"\n"+own, "\n")
		}
	case slices.Contains(allowed, scope.Dimension):
		if given := values[scope.Dimension]; given != "" && given != scope.Value {
			return nil, denied
		}
		values[scope.Dimension] = scope.Value
	default:
		return nil, problem.New(problem.Denied, "this is told of all agencies together, and you see the rows of %s=%s", scope.Dimension, scope.Value).
			Also("uz", "Bu barcha idoralar boʻyicha birgalikda aytiladi, siz esa faqat %s=%s qatorlarini koʻrasiz.", scope.Dimension, scope.Value).
			Also("ru", "Это сообщается по всем ведомствам вместе, а вам показываются строки %s=%s.", scope.Dimension, scope.Value)
	}
	return values, nil
}

// mark tells answers for one scope from those for another.
func mark(scope access.Scope) string {
	if scope == (access.Scope{}) {
		return ""
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%s=%s", scope.Dimension, scope.Value)
	return fmt.Sprintf(".%x", h.Sum32())
}

// parameter is a part of a route that the router binds, as the router writes it.
var parameter = regexp.MustCompile(`:(\w+)`)

// getMe says who asks, what they may ask for, and how one signs in.
func (s *server) getMe(c *gin.Context) {
	if _, err := readParams(c.Request, nil); err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	me := struct {
		Principal *access.Principal `json:"principal"`
		SignIn    string            `json:"sign_in"` // provider, or link: the operator's, from the server's machine
		Open      bool              `json:"open"`
		May       []string          `json:"may"` // "GET /v1/kpis/{id}"
	}{SignIn: "link", May: []string{}}
	if gate := s.config.Gate; gate != nil {
		if gate.HasProvider() {
			me.SignIn = "provider"
		}
		me.Open = gate.IsOpen()
		p, err := gate.Who(c.Request)
		switch kind := problem.KindOf(err); {
		case err == nil:
			me.Principal = p
		case kind != problem.Unauthenticated && kind != problem.Denied:
			s.fail(c.Writer, c.Request, err)
			return
		}
	}
	asking := me.Principal
	if s.config.Gate == nil {
		asking = &access.Principal{Roles: access.Roles} // nothing is guarded
	}
	if asking != nil || me.Open {
		for _, route := range access.May(asking) {
			me.May = append(me.May, parameter.ReplaceAllString(route, "{$1}"))
		}
	}
	c.Writer.Header().Set("Cache-Control", "no-store")
	c.JSON(http.StatusOK, me)
}

// through hands a request to one of the gate's own pages.
func (s *server) through(h func(*access.Gate, http.ResponseWriter, *http.Request)) gin.HandlerFunc {
	return func(c *gin.Context) {
		if s.config.Gate == nil {
			s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "nobody signs in to this server").
				Also("uz", "Bu serverga kirilmaydi.").
				Also("ru", "В этот сервер не входят."))
			return
		}
		for _, p := range c.Params {
			c.Request.SetPathValue(p.Key, p.Value)
		}
		h(s.config.Gate, c.Writer, c.Request)
	}
}

var auditParams = []string{"who", "action", "text", "denied", "from", "to", "before", "limit"}

// getAudit answers with entries of the audit log, the newest first.
func (s *server) getAudit(ctx context.Context, q *query) (*answer, error) {
	if s.config.Audit == nil {
		return nil, problem.New(problem.NotFound, "this process has no audit log").
			Also("uz", "Bu serverda audit jurnali yoʻq.").
			Also("ru", "На этом сервере нет журнала аудита.")
	}
	f := audit.Filter{Who: q.get("who"), Action: q.get("action"), Text: q.get("text")}
	var err error
	if f.Action != "" {
		if err := among("action", f.Action, access.Actions()); err != nil {
			return nil, err
		}
	}
	if given := q.get("denied"); given != "" {
		if f.Denied, err = strconv.ParseBool(given); err != nil {
			return nil, problem.New(problem.BadInput, "denied=%q is neither true nor false", given).In("denied").Of("true", "false").
				Also("uz", "denied=“%s”: true yoki false boʻlishi kerak.", given).
				Also("ru", "denied=«%s»: нужно true или false.", given)
		}
	}
	for _, n := range []struct {
		name string
		set  func(uint64)
	}{{"before", func(v uint64) { f.Before = v }}, {"limit", func(v uint64) { f.Limit = int(min(v, 10_000)) }}} {
		if given := q.get(n.name); given != "" {
			v, err := strconv.ParseUint(given, 10, 63)
			if err != nil || v == 0 {
				return nil, problem.New(problem.BadInput, "%s=%q is not a whole number from 1", n.name, given).In(n.name).
					Also("uz", "%s=“%s”: 1 dan boshlanadigan butun son boʻlishi kerak.", n.name, given).
					Also("ru", "%s=«%s»: нужно целое число от 1.", n.name, given)
			}
			n.set(v)
		}
	}
	zone := s.config.Pack.Zone
	for _, d := range []struct {
		name string
		set  func(time.Time)
	}{{"from", func(t time.Time) { f.From = t }}, {"to", func(t time.Time) { f.To = t.AddDate(0, 0, 1) }}} {
		if given := q.get(d.name); given != "" {
			day, err := day(q, d.name)
			if err != nil {
				return nil, err
			}
			y, m, n := day.Time().Date()
			d.set(time.Date(y, m, n, 0, 0, 0, 0, zone))
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return nil, problem.New(problem.BadInput, "the last day, %s, is before the first, %s", q.get("to"), q.get("from")).In("to").
			Also("uz", "Davr boshlanishidan oldin tugaydi.").
			Also("ru", "Период кончается раньше, чем начинается.")
	}
	entries, err := s.config.Audit.Read(ctx, f)
	if err != nil {
		return nil, err
	}
	return &answer{body: map[string]any{"entries": entries, "head": s.config.Audit.Head()}, name: "audit", table: func() (*table, error) {
		t := newTable(count("number"), text("time"), text("who"), text("name"), text("role"), text("address"), text("action"), text("object"), flag("allowed"), text("why"))
		for _, e := range entries {
			t.add(float64(e.Number), e.Time.Format(time.RFC3339Nano), e.Who, e.Name, e.Role, e.Address, e.Action, e.Object, e.Allowed, e.Why)
		}
		return t, nil
	}}, nil
}

// getKeys lists the API keys, without their secrets.
func (s *server) getKeys(ctx context.Context, _ *query) (*answer, error) {
	if s.config.Gate == nil {
		return nil, problem.New(problem.NotFound, "this process has no keys").
			Also("uz", "Bu server kalitlarni saqlamaydi.").
			Also("ru", "Этот сервер не хранит ключей.")
	}
	keys, err := s.config.Gate.Keys.List(ctx)
	if err != nil {
		return nil, err
	}
	return &answer{body: map[string]any{"keys": keys}, name: "keys", table: func() (*table, error) {
		t := newTable(text("id"), text("name"), text("roles"), text("agency"), text("region"), text("sources"), text("contracts"), text("created"), text("by"), text("expires"), text("revoked"))
		for _, k := range keys {
			roles := make([]string, len(k.Roles))
			for i, r := range k.Roles {
				roles[i] = string(r)
			}
			t.add(k.ID, k.Name, strings.Join(roles, ","), k.Agency, k.Region, strings.Join(k.Sources, ","), strings.Join(k.Contracts, ","),
				k.Created.Format(time.RFC3339), k.By, when(k.Expires), when(k.Revoked))
		}
		return t, nil
	}}, nil
}

func when(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.Format(time.RFC3339)
}

// createKey answers POST /v1/keys: {"name", "roles", "agency", "region", "sources", "contracts",
// "expires"}, the last a moment, or the last day in the pack's zone. The key itself is in this one answer and nowhere else.
func (s *server) createKey(g *access.Gate, w http.ResponseWriter, r *http.Request) {
	var given access.KeyRequest
	if err := s.readJSON(w, r, 64<<10, &given); err != nil {
		s.fail(w, r, err)
		return
	}
	k := given.Key()
	err := s.checkKey(k)
	if err == nil && given.Expires != nil {
		k.Expires, err = s.expiry(*given.Expires)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := access.Of(r.Context())
	k.By = p.ID
	token, made, err := g.Keys.Create(r.Context(), *k)
	if err == nil {
		err = g.Record(r, p, access.KeyCreated, fmt.Sprintf("%s %q roles=%v agency=%s region=%s sources=%v", made.ID, made.Name, made.Roles, made.Agency, made.Region, made.Sources))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.tell(w, http.StatusCreated, struct {
		Token string `json:"key"`
		access.Key
	}{token, made})
}

// expiry is when a key ends: a moment, or the end of a day in the pack's zone.
func (s *server) expiry(given string) (*time.Time, error) {
	at, err := time.Parse(time.RFC3339, given)
	if err != nil {
		if at, err = time.ParseInLocation(time.DateOnly, given, s.config.Pack.Zone); err != nil {
			return nil, problem.New(problem.BadInput, "expires=%q is neither a day, such as 2027-06-30, nor a moment, such as 2027-06-30T18:00:00+05:00", given).In("expires").
				Also("uz", "“%s” kun ham, vaqt ham emas; 2027-06-30 yoki 2027-06-30T18:00:00+05:00 koʻrinishida yoziladi.", given).
				Also("ru", "«%s» — не день и не момент; пишется 2027-06-30 или 2027-06-30T18:00:00+05:00.", given)
		}
		at = at.AddDate(0, 0, 1)
	}
	return &at, nil
}

// checkKey refuses a key for what the pack does not have: it would see, or send, nothing.
func (s *server) checkKey(k *access.Key) error {
	codes := func(table string) (list []string) {
		if t := s.config.Pack.Reference.Table(table); t != nil {
			for _, row := range t.Rows() {
				list = append(list, row.Code)
			}
		}
		return list
	}
	var sources []string
	for source := range s.config.Pack.Sources {
		sources = append(sources, "*", source, contract.StandIn(source))
	}
	var types []string
	for _, c := range s.config.Pack.Contracts.All() {
		if c.Name != contract.FigurePublished { // Ombor alone writes it
			types = append(types, c.Type)
		}
	}
	for _, given := range []struct {
		field, one string
		values     []string
		known      []string
	}{{"agency", "agency", []string{k.Agency}, codes("organisations")}, {"region", "region", []string{k.Region}, codes("regions")}, {"sources", "source", k.Sources, sources}, {"contracts", "contract", k.Contracts, types}} {
		for _, value := range given.values {
			if value == "" || len(given.known) == 0 { // a pack need not have regions
				continue
			}
			var wrong *problem.Error
			if errors.As(among(given.one, value, given.known), &wrong) {
				return wrong.In(given.field)
			}
		}
	}
	return nil
}

// revokeKey answers DELETE /v1/keys/{id}.
func (s *server) revokeKey(g *access.Gate, w http.ResponseWriter, r *http.Request) {
	k, err := g.Keys.Revoke(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.tell(w, http.StatusOK, k)
}

// createLink answers POST /v1/links with a link that signs in once.
func (s *server) createLink(g *access.Gate, w http.ResponseWriter, _ *http.Request) {
	s.tell(w, http.StatusCreated, map[string]string{"path": g.Link()})
}

func (s *server) tell(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
}
