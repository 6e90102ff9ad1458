// Package workbench keeps what analysts work with beside the data: the queries that they save and
// share, and what they ran. It also holds the statements that run now, so that they can be
// watched and cancelled.
//
//	b, err := workbench.Open(ctx, conn, workbench.Options{})
//	saved, err := b.Save(ctx, principal, workbench.Query{Title: "Waits by region", SQL: "SELECT …", Sharing: workbench.Everybody})
//	run, done := b.Begin(principal, workbench.Run{SQL: saved.SQL}, cancel)
//	defer done(…)
//
// It runs nothing itself: statements go through the gate of queries/governed, which decides what
// may be asked and has it in the audit log first.
//
// # Where it is kept
//
// In the key-value store of the journal, on the same durable ground as keys and sessions: a
// change is on disk when its call returns, and every server of an installation sees it. Numbers
// that may be somebody's have no place there: what has one is not saved, and in a history a
// placeholder stands for it ([ombor/internal/redact]).
//
// # Who sees what
//
// A private query is its owner's alone, one shared with the agency that of everybody with the same
// agency, one shared with everybody that of all who may run SQL. Only the owner changes a query;
// an operator may remove one, since people leave. A history is its person's alone; what
// everybody did is in the audit log.
package workbench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/redact"
	"ombor/internal/stream"
)

// Sharing says who sees a query.
type Sharing string

const (
	Private   Sharing = "private"   // its owner
	Agency    Sharing = "agency"    // everybody of the owner's agency
	Everybody Sharing = "everybody" // all who may run SQL
)

// Query is a saved query.
type Query struct {
	ID          string            `json:"id"`
	Title       string            `json:"title"`       // 1 to 200 characters
	Description string            `json:"description"` // up to 4,000
	SQL         string            `json:"sql"`         // up to 128 KiB
	Parameters  map[string]string `json:"parameters"`  // values for {name:Type} in the statement
	Sharing     Sharing           `json:"sharing"`
	Owner       string            `json:"owner"` // principal
	OwnerName   string            `json:"owner_name"`
	Agency      string            `json:"agency"` // the owner's; empty: none
	Created     time.Time         `json:"created"`
	Changed     time.Time         `json:"changed"`
	Revision    uint64            `json:"revision"` // given back with a change
}

// Limits of what is kept.
const (
	MaxSQL         = 128 << 10 // bytes of a statement
	MaxTitle       = 200       // characters
	MaxDescription = 4000      // characters
	MaxParameters  = 50        // of a statement
	MaxParameter   = 4 << 10   // bytes of a value
	MaxQueries     = 1000      // that one person owns
	KeptRuns       = 200       // of one person, the newest
	keptBytes      = 512 << 10 // of them in all, as they are stored; the newest is kept whatever its size
	MaxRunning     = 20        // statements of one person at once, in one process
)

// Options say how a workbench is kept. The zero value works.
type Options struct {
	Now func() time.Time // nil is time.Now
}

// Workbench is the saved queries, histories and running statements of an installation; those that
// run are this process's. It is safe for concurrent use.
type Workbench struct {
	bucket *stream.Bucket
	now    func() time.Time

	mu      sync.Mutex
	running map[string]*running // by run
}

// Open opens the workbench of a journal, making it when missing.
func Open(ctx context.Context, conn *stream.Conn, options Options) (*Workbench, error) {
	bucket, err := conn.Bucket(ctx, "WORKBENCH", "Analysts' saved queries, and what they ran")
	if err != nil {
		return nil, err
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Workbench{bucket: bucket, now: options.Now, running: map[string]*running{}}, nil
}

const queryPrefix = "query."

// personKey is where the history of a principal is kept.
func personKey(p *access.Principal) string {
	sum := sha256.Sum256([]byte(p.ID))
	return "runs." + hex.EncodeToString(sum[:16])
}

func newID() string { return strings.ToLower(rand.Text()[:12]) }

// validID keeps what a path carries out of the bucket's patterns.
func validID(id string) bool {
	return len(id) == 12 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// sees says whether somebody may read a query.
func (q *Query) sees(p *access.Principal) bool {
	return q.Owner == p.ID || q.Sharing == Everybody || q.Sharing == Agency && q.Agency != "" && q.Agency == p.Agency
}

func bad(field, format string, args ...any) *problem.Error {
	return problem.New(problem.BadInput, format, args...).In(field)
}

// check holds a query to its limits.
func (q *Query) check(p *access.Principal) error {
	q.Title = strings.TrimSpace(q.Title)
	switch {
	case q.Title == "" || len([]rune(q.Title)) > MaxTitle:
		return bad("title", "a query needs a title of up to %d characters, so that others find it", MaxTitle).
			Also("uz", "Soʻrovga %d belgigacha sarlavha kerak.", MaxTitle).
			Also("ru", "Запросу нужно название, до %d знаков.", MaxTitle)
	case len([]rune(q.Description)) > MaxDescription:
		return bad("description", "the description is longer than %d characters", MaxDescription).
			Also("uz", "Tavsif %d belgidan uzun.", MaxDescription).
			Also("ru", "Описание длиннее %d знаков.", MaxDescription)
	case !slices.Contains([]Sharing{Private, Agency, Everybody}, q.Sharing):
		return bad("sharing", "sharing=%q: want private, agency or everybody", q.Sharing).Of(string(Private), string(Agency), string(Everybody)).
			Also("uz", "sharing=“%s”: faqat oʻzingizga — private, idoraga — agency, hammaga — everybody.", q.Sharing).
			Also("ru", "sharing=«%s»: только себе — private, ведомству — agency, всем — everybody.", q.Sharing)
	case q.Sharing == Agency && p.Agency == "":
		return bad("sharing", "you belong to no agency; share with everybody, or keep it private").
			Also("uz", "Siz hech bir idoraga tegishli emassiz: hammaga oching yoki oʻzingizda qoldiring.").
			Also("ru", "Вы не относитесь ни к одному ведомству: откройте запрос всем или оставьте себе.")
	}
	if err := CheckStatement(q.SQL, q.Parameters); err != nil {
		return err
	}
	for field, text := range map[string]string{"title": q.Title, "description": q.Description} {
		if redact.Found(text) {
			return bad(field, "the %s has a number that may be somebody's, such as one of nine digits, and is not saved", field).
				Also("uz", "Sarlavha yoki tavsifda kimningdir raqami boʻlishi mumkin boʻlgan son bor (masalan, toʻqqiz xonali), shuning uchun saqlanmadi.").
				Also("ru", "В названии или описании есть число, которое может быть чьим-то номером (например, девятизначное), поэтому запрос не сохранён.")
		}
	}
	if redact.Found(q.SQL) {
		return bad("sql", "the statement has a number that may be somebody's, such as one of nine digits, and is not saved; ask for it by a parameter, {name:String}").
			Also("uz", "Soʻrovda kimningdir raqami boʻlishi mumkin boʻlgan son bor (masalan, toʻqqiz xonali), shuning uchun saqlanmadi: uni {nom:String} parametri bilan soʻrang.").
			Also("ru", "В запросе есть число, которое может быть чьим-то номером (например, девятизначное), поэтому он не сохранён: спрашивайте его параметром {имя:String}.")
	}
	for name, value := range q.Parameters {
		if redact.Found(value) {
			return bad("parameters", "the value of %s may be somebody's number; save the query without it", name).
				Also("uz", "“%s” parametrining qiymati kimningdir raqami boʻlishi mumkin: soʻrovni usiz saqlang.", name).
				Also("ru", "Значение параметра «%s» может быть чьим-то номером: сохраните запрос без него.", name)
		}
	}
	return nil
}

// CheckStatement holds a statement and its parameters to the limits of what is kept and run. What
// the statement may say is the gate's affair.
func CheckStatement(sql string, parameters map[string]string) error {
	if strings.TrimSpace(sql) == "" {
		return bad("sql", "there is no statement").
			Also("uz", "Soʻrov matni boʻsh.").
			Also("ru", "Текст запроса пуст.")
	}
	if len(sql) > MaxSQL {
		return problem.New(problem.TooLarge, "the statement has more than %d KiB", MaxSQL>>10).In("sql").
			Also("uz", "Soʻrov matni %d KB dan uzun.", MaxSQL>>10).
			Also("ru", "Текст запроса длиннее %d КБ.", MaxSQL>>10)
	}
	if len(parameters) > MaxParameters {
		return bad("parameters", "a statement has up to %d parameters", MaxParameters).
			Also("uz", "Soʻrovda koʻpi bilan %d ta parametr boʻladi.", MaxParameters).
			Also("ru", "У запроса не больше %d параметров.", MaxParameters)
	}
	for name, value := range parameters {
		if name == "" || len(name) > 100 || len(value) > MaxParameter {
			return bad("parameters", "a parameter's name has 1 to 100 bytes, its value up to %d KiB", MaxParameter>>10).
				Also("uz", "Parametr nomi 1–100 bayt, qiymati koʻpi bilan %d KB boʻladi.", MaxParameter>>10).
				Also("ru", "Имя параметра — от 1 до 100 байт, значение — не больше %d КБ.", MaxParameter>>10)
		}
	}
	return nil
}

// Queries are those that somebody may see, the last changed first.
func (b *Workbench) Queries(ctx context.Context, p *access.Principal) ([]Query, error) {
	list := []Query{}
	err := b.each(ctx, func(q *Query) {
		if q.sees(p) {
			list = append(list, *q)
		}
	})
	slices.SortFunc(list, func(a, b Query) int {
		if d := b.Changed.Compare(a.Changed); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, err
}

// each calls fn with every saved query of everybody. Its revision is not told.
func (b *Workbench) each(ctx context.Context, fn func(*Query)) error {
	return b.bucket.Each(ctx, queryPrefix+"*", func(key string, value []byte) error {
		q := new(Query)
		if err := json.Unmarshal(value, q); err != nil {
			return problem.Wrap(err, problem.Internal, "workbench: "+key, "a saved query cannot be read")
		}
		fn(q)
		return nil
	})
}

// Query is a saved query; NotFound when there is none that somebody may see.
func (b *Workbench) Query(ctx context.Context, p *access.Principal, id string) (*Query, error) {
	q, _, err := b.read(ctx, id)
	if err == nil && !q.sees(p) {
		err = notFound(id)
	}
	if err != nil {
		return nil, err
	}
	return q, nil
}

func notFound(id string) error {
	return problem.New(problem.NotFound, "there is no query %q that you may see", id).
		Also("uz", "Siz koʻra oladigan bunday soʻrov yoʻq.").
		Also("ru", "Такого запроса среди доступных вам нет.")
}

// read gives a query with the revision of its key.
func (b *Workbench) read(ctx context.Context, id string) (*Query, uint64, error) {
	if !validID(id) {
		return nil, 0, notFound(id)
	}
	value, revision, err := b.bucket.Get(ctx, queryPrefix+id)
	if err != nil && problem.KindOf(err) == problem.NotFound {
		return nil, 0, notFound(id)
	}
	if err != nil {
		return nil, 0, err
	}
	q := new(Query)
	if err := json.Unmarshal(value, q); err != nil {
		return nil, 0, problem.Wrap(err, problem.Internal, "workbench: query "+id, "the query cannot be read")
	}
	return q, revision, nil
}

// Save keeps a new query as p's own and returns it with its ID.
func (b *Workbench) Save(ctx context.Context, p *access.Principal, q Query) (*Query, error) {
	if err := q.check(p); err != nil {
		return nil, err
	}
	own := 0
	if err := b.each(ctx, func(other *Query) {
		if other.Owner == p.ID {
			own++
		}
	}); err != nil {
		return nil, err
	}
	if own >= MaxQueries {
		return nil, problem.New(problem.TooLarge, "you keep %d queries, which is as many as one may; remove some", own).
			Also("uz", "Sizda %d ta saqlangan soʻrov bor, bundan koʻp mumkin emas: baʼzilarini oʻchiring.", own).
			Also("ru", "Сохранённых запросов у вас %d, больше нельзя: удалите лишние.", own)
	}
	q.ID, q.Owner, q.OwnerName, q.Agency = newID(), p.ID, p.Name, p.Agency
	q.Created = b.now().UTC().Truncate(time.Millisecond)
	q.Changed, q.Revision = q.Created, 1
	return &q, b.write(ctx, &q, 0)
}

// Change replaces title, description, statement, parameters and sharing of a query that p owns.
// Conflict: it has another revision than q says, somebody changed it meanwhile.
func (b *Workbench) Change(ctx context.Context, p *access.Principal, id string, q Query) (*Query, error) {
	if err := q.check(p); err != nil {
		return nil, err
	}
	have, at, err := b.read(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !have.sees(p):
		return nil, notFound(id)
	case have.Owner != p.ID:
		return nil, problem.New(problem.Denied, "this query is of %s, who alone changes it; save a copy of your own", have.OwnerName).
			Also("uz", "Bu soʻrov egasi — %s, uni faqat u oʻzgartiradi: oʻzingizga nusxa saqlang.", have.OwnerName).
			Also("ru", "Владелец запроса — %s, изменить его может только он: сохраните себе копию.", have.OwnerName)
	case have.Revision != q.Revision:
		return nil, problem.New(problem.Conflict, "the query was changed meanwhile: it has revision %d, not %d; read it again", have.Revision, q.Revision).In("revision").
			Also("uz", "Soʻrov shu orada oʻzgartirilgan: uni qayta oching.").
			Also("ru", "Запрос за это время изменили: откройте его снова.")
	}
	have.Title, have.Description, have.SQL, have.Parameters, have.Sharing = q.Title, q.Description, q.SQL, q.Parameters, q.Sharing
	have.OwnerName, have.Agency = p.Name, p.Agency
	have.Changed, have.Revision = b.now().UTC().Truncate(time.Millisecond), have.Revision+1
	return have, b.write(ctx, have, at)
}

func (b *Workbench) write(ctx context.Context, q *Query, at uint64) error {
	if q.Parameters == nil {
		q.Parameters = map[string]string{}
	}
	value, err := encode(q)
	if err != nil {
		return err
	}
	_, err = b.bucket.Update(ctx, queryPrefix+q.ID, value, at)
	return err
}

// encode is JSON as it is stored: statements are full of < and >, which no browser takes for tags here.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// Remove removes a query that p owns; an operator may remove anybody's.
func (b *Workbench) Remove(ctx context.Context, p *access.Principal, id string) error {
	q, _, err := b.read(ctx, id)
	switch {
	case err != nil:
		return err
	case q.Owner == p.ID || p.Is(access.Operator):
		return b.bucket.Delete(ctx, queryPrefix+id)
	case !q.sees(p):
		return notFound(id)
	}
	return problem.New(problem.Denied, "this query is of %s, who alone removes it", q.OwnerName).
		Also("uz", "Bu soʻrov egasi — %s, uni faqat u oʻchiradi.", q.OwnerName).
		Also("ru", "Владелец запроса — %s, удалить его может только он.", q.OwnerName)
}
