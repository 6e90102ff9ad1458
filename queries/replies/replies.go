// Package replies keeps what owners say of their figures: that a figure is answered for, or
// disputed. It is their right of reply, shown beside the figure.
//
//	r, err := book.Add(ctx, principal, replies.Reply{KPI: "online-processing-share", From: "2024-01-01", To: "2024-12-31",
//		State: replies.Dispute, Text: "Two of our registers were moved in May …", Figure: figure})
//	list, err := book.Of(ctx, "online-processing-share")
//
// A reply is dated and never changed. It holds the figure as it was told then, so that it is seen
// what was answered, whatever is corrected later. Who takes it back leaves it there, as
// withdrawn, with the day and the name.
//
// Replies are in the key-value store of the journal: one is on disk when [Book.Add] returns. Who
// may reply to what is decided by whoever knows the KPIs and their owners.
package replies

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/redact"
	"ombor/internal/stream"
)

// State is what a reply is.
type State string

const (
	Answer    State = "answer"    // the owner explains the figure
	Dispute   State = "dispute"   // the owner says that it is not right
	Withdrawn State = "withdrawn" // taken back
)

// Reply is what an owner says of one figure.
type Reply struct {
	ID       string            `json:"id"`
	KPI      string            `json:"kpi"`
	From     string            `json:"from"`  // first day of the period, YYYY-MM-DD
	To       string            `json:"to"`    // last day, inclusive
	Where    map[string]string `json:"where"` // dimension → value of the cell; empty: the whole
	State    State             `json:"state"`
	Was      State             `json:"was"` // what a withdrawn reply was; empty: it stands
	Text     string            `json:"text"`
	Language string            `json:"language"` // of the text: uz, ru or en
	Figure   Figure            `json:"figure"`   // as it was told when the reply was given
	Agency   string            `json:"agency"`   // organisation that speaks; empty: the center itself
	By       string            `json:"by"`       // principal
	Name     string            `json:"name"`     // as people know them
	At       time.Time         `json:"at"`

	WithdrawnAt   *time.Time `json:"withdrawn_at"`
	WithdrawnName string     `json:"withdrawn_name"`
}

// Figure is a figure as it was told.
type Figure struct {
	Value *float64 `json:"value"` // null: state says why
	State string   `json:"state"`
	Unit  string   `json:"unit"`
}

// Bounds of a reply.
const (
	MinText = 10 // characters
	MaxText = 4000
	mostOf  = 1000 // replies of one KPI that stand
)

// Book is the replies of an installation. It is safe for concurrent use.
type Book struct {
	bucket *stream.Bucket
	now    func() time.Time
}

// Open opens the replies of a journal, making the place for them when missing. A nil now is time.Now.
func Open(ctx context.Context, conn *stream.Conn, now func() time.Time) (*Book, error) {
	bucket, err := conn.Bucket(ctx, "REPLIES", "What owners say of their figures")
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Book{bucket, now}, nil
}

// Of are the replies to one KPI, or to all when it is empty, the newest first.
func (b *Book) Of(ctx context.Context, kpi string) ([]Reply, error) {
	pattern := ">"
	if kpi != "" {
		pattern = kpi + ".*"
	}
	list := []Reply{}
	err := b.bucket.Each(ctx, pattern, func(key string, value []byte) error {
		var r Reply
		if err := json.Unmarshal(value, &r); err != nil {
			return problem.Wrap(err, problem.Internal, "replies: "+key, "a reply cannot be read")
		}
		list = append(list, r)
		return nil
	})
	slices.SortFunc(list, func(a, b Reply) int {
		if d := b.At.Compare(a.At); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, err
}

// Add keeps a reply of p and returns it with its ID. KPI, period and figure are taken as they are.
func (b *Book) Add(ctx context.Context, p *access.Principal, r Reply) (*Reply, error) {
	r.Text = strings.TrimSpace(r.Text)
	n := len([]rune(r.Text))
	switch {
	case r.State != Answer && r.State != Dispute:
		return nil, problem.New(problem.BadInput, "state=%q: want answer or dispute", r.State).In("state").Of("answer", "dispute").
			Also("uz", "state=“%s”: javob — answer, eʼtiroz — dispute.", r.State).
			Also("ru", "state=«%s»: ответ — answer, возражение — dispute.", r.State)
	case n < MinText || n > MaxText:
		return nil, problem.New(problem.BadInput, "a reply has %d to %d characters", MinText, MaxText).In("text").
			Also("uz", "Javob %d dan %d tagacha belgidan iborat boʻladi.", MinText, MaxText).
			Also("ru", "В ответе от %d до %d знаков.", MinText, MaxText)
	case redact.Found(r.Text):
		return nil, problem.New(problem.BadInput, "the text has a number that may be somebody's, such as one of nine digits; a reply is read by all, so say it without").In("text").
			Also("uz", "Matnda kimningdir raqami boʻlishi mumkin boʻlgan son bor, masalan toʻqqiz xonali; javobni hamma oʻqiydi, uni raqamsiz yozing.").
			Also("ru", "В тексте есть число, которое может быть чьим-то номером, например из девяти цифр; ответ читают все, напишите без него.")
	case !slices.Contains([]string{"uz", "ru", "en"}, r.Language):
		return nil, problem.New(problem.BadInput, "language=%q: want uz, ru or en", r.Language).In("language").Of("uz", "ru", "en").
			Also("uz", "“%s” tilida javob yozilmaydi.", r.Language).
			Also("ru", "На языке «%s» ответы не пишут.", r.Language)
	}
	there, err := b.Of(ctx, r.KPI)
	if err != nil {
		return nil, err
	}
	if len(slices.DeleteFunc(there, func(r Reply) bool { return r.State == Withdrawn })) >= mostOf {
		return nil, problem.New(problem.TooLarge, "%s has %d replies, which is as many as are kept; withdraw some", r.KPI, mostOf).
			Also("uz", "Bu koʻrsatkichga %d ta javob bor, bundan ortigʻi saqlanmaydi; bir nechtasini qaytarib oling.", mostOf).
			Also("ru", "У показателя уже %d ответов, больше не хранится; отзовите часть.", mostOf)
	}
	if r.Where == nil {
		r.Where = map[string]string{}
	}
	r.ID, r.By, r.Name, r.At = strings.ToLower(rand.Text()[:12]), p.ID, p.Name, b.now().UTC().Truncate(time.Second)
	r.Was, r.WithdrawnAt, r.WithdrawnName = "", nil, ""
	return &r, b.write(ctx, &r, 0)
}

func (b *Book) write(ctx context.Context, r *Reply, revision uint64) error {
	value, err := json.Marshal(r)
	if err == nil {
		_, err = b.bucket.Update(ctx, r.KPI+"."+r.ID, value, revision)
	}
	return err
}

// Withdraw takes a reply back that p gave, or its agency; the center and the operator may
// take back any. Doing it again changes nothing. NotFound: there is no such reply.
func (b *Book) Withdraw(ctx context.Context, p *access.Principal, id string) (*Reply, error) {
	list, err := b.Of(ctx, "")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(r Reply) bool { return r.ID == id })
	if i < 0 {
		return nil, problem.New(problem.NotFound, "there is no reply %q", id).
			Also("uz", "Bunday javob yoʻq.").
			Also("ru", "Такого ответа нет.")
	}
	value, revision, err := b.bucket.Get(ctx, list[i].KPI+"."+id)
	if err != nil {
		return nil, err
	}
	r := new(Reply)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, problem.Wrap(err, problem.Internal, "replies: "+id, "the reply cannot be read")
	}
	switch {
	case r.By != p.ID && (p.Agency == "" || r.Agency != p.Agency) && !p.Is(access.Center, access.Operator):
		return nil, problem.New(problem.Denied, "this reply is of %s", r.Name).
			Also("uz", "Bu javobning muallifi — %s.", r.Name).
			Also("ru", "Этот ответ написал другой участник: %s.", r.Name)
	case r.State == Withdrawn:
		return r, nil
	}
	at := b.now().UTC().Truncate(time.Second)
	r.Was, r.State, r.WithdrawnAt, r.WithdrawnName = r.State, Withdrawn, &at, p.Name
	return r, b.write(ctx, r, revision)
}
