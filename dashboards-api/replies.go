package dashboards

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
	"ombor/queries/letters"
	"ombor/queries/replies"
)

var replyParams = []string{"kpi", "from", "to"}

// replyBytes bounds the body of a reply.
const replyBytes = 32 << 10

func (s *server) replyRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/replies", tabular: true, fresh: true, params: replyParams, handle: s.getReplies},
		{method: "GET", path: "/v1/letters/:source", fresh: true, params: []string{"language"}, handle: s.getLetter},
		{method: "GET", path: "/v1/me/settings", fresh: true, handle: s.getSettings},
	}
}

func (s *server) replyChanges(engine *gin.Engine) {
	engine.POST("/v1/replies", s.change(replyBytes, s.addReply))
	engine.POST("/v1/replies/:id/withdraw", s.change(replyBytes, s.withdrawReply))
	engine.PUT("/v1/me/settings", s.change(access.MaxSettings, s.keepSettings))
}

func (s *server) replies() (*replies.Book, error) {
	if s.config.Replies == nil {
		return nil, problem.New(problem.NotFound, "this server keeps no replies").
			Also("uz", "Bu server javoblarni saqlamaydi.").
			Also("ru", "Этот сервер не хранит ответов.")
	}
	return s.config.Replies, nil
}

// seen says whether somebody sees a reply: an agency those to national figures, to its own rows, and its own.
func seen(p *access.Principal, scope access.Scope, r *replies.Reply) bool {
	return scope == (access.Scope{}) || len(r.Where) == 0 || p.Agency != "" && r.Agency == p.Agency ||
		maps.Equal(r.Where, map[string]string{scope.Dimension: scope.Value})
}

// repliesBody are replies with the names of the organisations that gave them.
type repliesBody struct {
	Replies  []replies.Reply            `json:"replies"`
	Agencies map[string]reference.Names `json:"agencies"`
}

func (s *server) getReplies(ctx context.Context, q *query) (*answer, error) {
	book, err := s.replies()
	if err != nil {
		return nil, err
	}
	if id := q.get("kpi"); id != "" {
		if _, err := s.kpi(id); err != nil {
			return nil, err
		}
	}
	from, err := day(q, "from")
	if err != nil {
		return nil, err
	}
	to, err := day(q, "to")
	if err != nil {
		return nil, err
	}
	list, err := book.Of(ctx, q.get("kpi"))
	if err != nil {
		return nil, err
	}
	p, scope := access.Of(ctx), s.scope(ctx)
	body := repliesBody{Replies: slices.DeleteFunc(list, func(r replies.Reply) bool {
		return !seen(p, scope, &r) || from != reference.NoDay && r.To < from.String() || to != reference.NoDay && r.From > to.String()
	}), Agencies: map[string]reference.Names{}}
	for _, r := range body.Replies {
		s.nameAgency(body.Agencies, r.Agency)
	}
	return &answer{body: body, name: "replies", table: func() (*table, error) {
		t := newTable(text("id"), text("kpi"), date("from"), date("to"), text("where"), text("state"), text("was"), text("text"), text("language"), number("value"), text("value_state"), text("agency"), text("name"), text("at"), text("withdrawn_at"))
		for _, r := range body.Replies {
			var where []string
			for _, dimension := range slices.Sorted(maps.Keys(r.Where)) {
				where = append(where, dimension+"="+r.Where[dimension])
			}
			t.add(r.ID, r.KPI, r.From, r.To, strings.Join(where, " "), string(r.State), string(r.Was), r.Text, r.Language, pointed(r.Figure.Value), r.Figure.State, r.Agency, r.Name, r.At.Format(time.RFC3339), when(r.WithdrawnAt))
		}
		return t, nil
	}}, nil
}

// kpi is the KPI that a parameter or a body names.
func (s *server) kpi(id string) (*kpi.KPI, error) {
	var ids []string
	for _, k := range s.config.Pack.KPIs {
		if k.ID == id {
			return k, nil
		}
		ids = append(ids, k.ID)
	}
	return nil, among("kpi", id, ids)
}

// replyBody is a reply as its owner sends it.
type replyBody struct {
	KPI      string            `json:"kpi"`
	From     string            `json:"from"`
	To       string            `json:"to"`
	Where    map[string]string `json:"where"`
	State    replies.State     `json:"state"`
	Text     string            `json:"text"`
	Language string            `json:"language"`
	Agency   string            `json:"agency"` // on whose behalf the center writes; empty: its own
}

func (s *server) addReply(ctx context.Context, _ *query, into func(any) error) (int, any, error) {
	book, err := s.replies()
	if err != nil {
		return 0, nil, err
	}
	var sent replyBody
	if err := into(&sent); err != nil {
		return 0, nil, err
	}
	k, err := s.kpi(sent.KPI)
	if err != nil {
		return 0, nil, err
	}
	p := access.Of(ctx)
	if err := s.mayReply(ctx, p, k, &sent); err != nil {
		return 0, nil, err
	}
	r := replies.Reply{KPI: k.ID, From: sent.From, To: sent.To, Where: sent.Where, State: sent.State, Text: sent.Text, Language: sent.Language, Agency: sent.Agency}
	if r.Figure, err = s.figure(ctx, k, &sent); err != nil {
		return 0, nil, err
	}
	made, err := book.Add(ctx, p, r)
	return http.StatusCreated, made, err
}

// mayReply holds a reply to who may give it: the owner of a KPI to its national figure, an agency to its
// own row of any KPI, the center and the operator to every figure.
func (s *server) mayReply(ctx context.Context, p *access.Principal, k *kpi.KPI, sent *replyBody) error {
	scope := s.scope(ctx)
	own := maps.Equal(sent.Where, map[string]string{scope.Dimension: scope.Value})
	switch {
	case len(sent.Where) > 1:
		return problem.New(problem.BadInput, "a reply is to the whole, or to the row of one dimension's value").In("where").
			Also("uz", "Javob butun koʻrsatkichga yoki bitta kesimning bitta qiymatiga beriladi.").
			Also("ru", "Ответ даётся на весь показатель или на одно значение одного разреза.")
	case p.Is(access.Center, access.Operator):
		if organisations := s.config.Pack.Reference.Table("organisations"); sent.Agency != "" && organisations != nil {
			if _, known := organisations.Get(sent.Agency); !known {
				return problem.New(problem.BadInput, "there is no organisation %q", sent.Agency).In("agency").
					Also("uz", "“%s” degan tashkilot yoʻq.", sent.Agency).
					Also("ru", "Организации «%s» нет.", sent.Agency)
			}
		}
		return nil
	case sent.Agency != "" && sent.Agency != p.Agency:
		return problem.New(problem.Denied, "you speak for %s alone", p.Agency).
			Also("uz", "Siz faqat %s nomidan javob bera olasiz.", p.Agency).
			Also("ru", "Вы отвечаете только от имени %s.", p.Agency)
	case own, len(sent.Where) == 0 && p.Agency != "" && k.Owner == p.Agency:
		sent.Agency = p.Agency
		return nil
	}
	return problem.New(problem.Denied, "you may reply to the row of %s=%s, and to the whole of KPIs that your agency owns; %s is of %s", scope.Dimension, scope.Value, k.ID, k.Owner).
		Also("uz", "Siz %s=%s qatoriga va idorangizga tegishli koʻrsatkichlarga javob bera olasiz; bu koʻrsatkich — %s.", scope.Dimension, scope.Value, k.Owner).
		Also("ru", "Вы можете ответить на строку %s=%s и на показатели своего ведомства; этот показатель — %s.", scope.Dimension, scope.Value, k.Owner)
}

// figure is what a reply is about, as it is told now.
func (s *server) figure(ctx context.Context, k *kpi.KPI, sent *replyBody) (f replies.Figure, err error) {
	r := queries.Request{KPI: k.ID, Where: map[string][]string{}}
	for _, d := range []struct {
		name, given string
		into        *reference.Day
	}{{"from", sent.From, &r.From}, {"to", sent.To, &r.To}} {
		if *d.into, err = reference.ParseDay(d.given); err != nil {
			return f, problem.New(problem.BadInput, "%s=%q is not a date; write it as 2024-12-31", d.name, d.given).In(d.name).
				Also("uz", "“%s” sana emas; sana 2024-12-31 koʻrinishida yoziladi.", d.given).
				Also("ru", "«%s» — не дата; дата пишется 2024-12-31.", d.given)
		}
	}
	if r.To < r.From {
		return f, problem.New(problem.BadInput, "the period ends before it begins").In("to").
			Also("uz", "Davr boshlanishidan oldin tugaydi.").
			Also("ru", "Период кончается раньше, чем начинается.")
	}
	for dimension, value := range sent.Where {
		r.Where[dimension] = []string{value}
	}
	result, err := s.config.Queries.Values(ctx, r)
	if err != nil {
		return f, err
	}
	f.Unit, f.State = result.Unit, string(queries.NotProvided)
	if len(result.Cells) > 0 {
		f.Value, f.State = result.Cells[0].Value, string(result.Cells[0].State)
	}
	return f, nil
}

func (s *server) withdrawReply(ctx context.Context, q *query, _ func(any) error) (int, any, error) {
	book, err := s.replies()
	if err != nil {
		return 0, nil, err
	}
	r, err := book.Withdraw(ctx, access.Of(ctx), q.path("id"))
	return http.StatusOK, r, err
}

// getLetter drafts the letter that asks the owner of a source for what is missing.
func (s *server) getLetter(ctx context.Context, q *query) (*answer, error) {
	source := q.path("source")
	sender, known := s.config.Pack.Sources[source]
	if !known {
		return nil, problem.New(problem.NotFound, "there is no source %q; /v1/status lists those that there are", source).In("source").Of(slices.Sorted(maps.Keys(s.config.Pack.Sources))...).
			Also("uz", "“%s” degan manba yoʻq.", source).
			Also("ru", "Источника «%s» нет.", source)
	}
	c := letters.Case{Source: source, Title: sender.Title, Owner: reference.Names{}, Promise: sender.Freshness, LastEvent: reference.NoDay, Today: s.today()}
	named := map[string]reference.Names{}
	s.nameAgency(named, sender.Owner)
	if c.Owner = named[sender.Owner]; c.Owner == nil {
		c.Owner = reference.Names{"uz": sender.Owner, "ru": sender.Owner, "en": sender.Owner}
	}
	if s.config.Status != nil {
		for _, one := range s.config.Status().Sources {
			if one.Source == source {
				c.Late = one.Late
				if !one.LastEvent.IsZero() {
					c.LastEvent = reference.DayOf(one.LastEvent.In(s.config.Pack.Zone))
				}
			}
		}
	}
	if s.config.Findings != nil {
		var err error
		if c.Findings, err = s.config.Findings(ctx, queries.FindingsRequest{From: reference.NoDay, To: reference.NoDay, Source: source}); err != nil {
			return nil, err
		}
	}
	language := q.get("language")
	if language == "" {
		language = letters.Languages[0]
	}
	letter, err := letters.Draft(language, c)
	return &answer{body: letter}, err
}

func (s *server) settings() (*access.AllSettings, error) {
	if s.config.Settings == nil {
		return nil, problem.New(problem.NotFound, "this server keeps no settings").
			Also("uz", "Bu server sozlamalarni saqlamaydi.").
			Also("ru", "Этот сервер не хранит настроек.")
	}
	return s.config.Settings, nil
}

func (s *server) getSettings(ctx context.Context, _ *query) (*answer, error) {
	all, err := s.settings()
	if err != nil {
		return nil, err
	}
	own, err := all.Of(ctx, access.Of(ctx))
	return &answer{body: own}, err
}

func (s *server) keepSettings(ctx context.Context, _ *query, into func(any) error) (int, any, error) {
	all, err := s.settings()
	if err != nil {
		return 0, nil, err
	}
	var sent access.Settings
	if err := into(&sent); err != nil {
		return 0, nil, err
	}
	kept, err := all.Keep(ctx, access.Of(ctx), sent)
	return http.StatusOK, kept, err
}
