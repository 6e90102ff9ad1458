package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"ombor/ingest/journal"
	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// Quarantine is what people can do with the events that are kept aside: look at one, fix
// it, replay it, dismiss it. Where they are kept is [journal.Quarantine]; this is the check
// against the contract, and the way back into the journal.
//
//	GET  /v1/quarantine/{id}                                     one entry with its content and what is wrong with it today
//	POST /v1/quarantine/{id}/fix  {"set":{"region":"1726"}}      other values for fields; null removes one
//	POST /v1/quarantine/replay    {"ids":["…"],"as":"correction"}
//	POST /v1/quarantine/dismiss   {"filter":{"source":"portal"},"note":"…"}
//
// # What a replayed event is
//
// It is the event that was sent: its identity and its digest are those of the original,
// whatever was fixed in it, so that a sender who sends the original again sends a
// duplicate. Its persons are pseudonyms already and are not pseudonymised again, and
// therefore cannot be changed. It passes the same checks as at the door, with today's reference
// tables, and goes through the journal to the loader, which decides as ever.
//
// A conflict stands against an event that counts. Replayed as a correction it becomes
// that event's next revision; else it is dismissed. What was held at the door and has come
// with other content since is found in conflict when it is replayed, and waits again: old
// content replaces newer only when somebody asks for it. A damaged batch has no content
// left: its sender sends it again, and the entry is dismissed.
//
// # Exactly once
//
// A replay is written down before anything is appended. When a crash comes between, the
// next start looks into the journal: what is there was replayed, what is not is open
// again. Appending an event that the loader knows counts nothing twice either.
//
// # By itself
//
// An event that was held only because a reference table did not have its code is
// replayed at the first start with a table that has it ([Quarantine.Run]). Whatever needs
// a decision waits for somebody.
//
// A Quarantine is safe for concurrent use.
type Quarantine struct {
	checker *contract.Checker
	journal *journal.Journal
	kept    *journal.Quarantine
	log     *slog.Logger
	one     sync.Mutex // fixes and replays: what was checked is what is appended
	learned func() bool
	told    func() error
}

// NewQuarantine makes a quarantine over a journal's.
func NewQuarantine(checker *contract.Checker, j *journal.Journal, log *slog.Logger) *Quarantine {
	if log == nil {
		log = slog.Default()
	}
	return &Quarantine{checker: checker, journal: j, kept: j.Quarantine(), log: log}
}

// Learned says whether contracts and reference tables are others than when [Quarantine.Run]
// last went through what waits for them; told is called when it has. Without it Run goes
// through at every start. Call it before Run.
func (q *Quarantine) Learned(learned func() bool, told func() error) {
	q.learned, q.told = learned, told
}

// HeldEvent is an entry as people see it. Its text never holds a raw identifier.
type HeldEvent struct {
	ID     string     `json:"id"`
	State  string     `json:"state"` // open, replaying, replayed or dismissed
	HeldAt time.Time  `json:"held_at"`
	Code   string     `json:"code"`
	Field  string     `json:"field"`
	Reason string     `json:"reason"`
	Type   string     `json:"type"`
	Source string     `json:"source"`
	Event  string     `json:"event"` // the sender's id; "" where it is not known
	Key    string     `json:"key"`   // _id, 32 hexadecimal digits; "" for damage
	Time   time.Time  `json:"time"`  // when it happened
	Place  string     `json:"place"` // message.row of the journal; "" when held at the door
	Fixed  int        `json:"fixed"`
	Closed *time.Time `json:"closed_at"`
	By     string     `json:"by"`
	Note   string     `json:"note"`
	Into   string     `json:"into"` // where in the journal it was replayed to
}

// HeldDetail is an entry with its content.
type HeldDetail struct {
	HeldEvent
	Content json.RawMessage     `json:"content"` // CloudEvents JSON, persons as pseudonyms; null for damage
	Persons []string            `json:"persons"` // fields that are pseudonyms
	Unread  []string            `json:"unread"`  // fields of a special contract that nobody reads, left out of the content: those of class special, and persons
	Faults  []*contract.Refusal `json:"faults"`  // what keeps it from being replayed today
}

// Describe is an entry as people see it.
func Describe(e *journal.Entry) HeldEvent {
	h := &e.Held
	out := HeldEvent{ID: e.ID, State: e.State.String(), HeldAt: e.At, Code: h.Code, Field: h.Field, Reason: h.Reason, Type: h.Type, Source: h.Source,
		Event: h.ID, Key: h.Key, Time: h.Time, Fixed: e.Fixed, By: e.By, Note: e.Note, Into: e.Into}
	if h.Code == contract.Conflict {
		out.Event = "" // the journal does not have it
	}
	if e.Row > 0 {
		out.Place = fmt.Sprintf("%d.%d", e.Row>>rowBits, e.Row&(1<<rowBits-1))
	}
	if !e.Closed.IsZero() {
		out.Closed = &e.Closed
	}
	return out
}

// Show is one entry with its content; NotFound when there is none.
func (q *Quarantine) Show(ctx context.Context, id string) (*HeldDetail, error) {
	e, err := q.kept.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	return q.detail(&e), nil
}

func (q *Quarantine) detail(e *journal.Entry) *HeldDetail {
	d := &HeldDetail{HeldEvent: Describe(e), Persons: []string{}, Unread: []string{}, Faults: []*contract.Refusal{}}
	if len(e.Held.Event) == 0 {
		return d
	}
	d.Content = e.Held.Event
	if c := q.checker.Set().ByType(e.Held.Type); c != nil {
		for i := range c.Fields {
			if c.Fields[i].Type == contract.Person {
				d.Persons = append(d.Persons, c.Fields[i].Name)
			}
		}
		if c.Special() {
			d.Content, d.Unread = readable(c, d.Content)
		}
	}
	if e.State == journal.StateOpen || e.State == journal.StateReplaying {
		d.Faults = append(d.Faults, q.checker.NewBatch().Faults(e.Held)...)
	}
	return d
}

// readable is the content of an event of a special contract without what nobody reads, and what that is. Content that cannot
// be taken apart is left out whole.
func readable(c *contract.Contract, content json.RawMessage) (json.RawMessage, []string) {
	unread := []string{}
	var event, data map[string]json.RawMessage
	err := json.Unmarshal(content, &event)
	if err == nil && event["data"] != nil {
		err = json.Unmarshal(event["data"], &data)
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if _, told := data[f.Name]; told && (f.Class == contract.Special || f.Type == contract.Person) {
			delete(data, f.Name)
			unread = append(unread, f.Name)
		}
	}
	if err == nil && data != nil {
		event["data"], err = json.Marshal(data)
	}
	if err == nil {
		content, err = json.Marshal(event)
	}
	if err != nil {
		return nil, unread
	}
	return content, unread
}

// Fix is the body of POST /v1/quarantine/{id}/fix.
type Fix struct {
	Set  map[string]json.RawMessage `json:"set"` // field → value; null removes it. "time" is when it happened
	By   string                     `json:"by"`
	Note string                     `json:"note"`
}

// Fixed is the answer to a fix.
type Fixed struct {
	Applied bool                `json:"applied"` // false: the faults are those that the event would have had; nothing was changed
	Faults  []*contract.Refusal `json:"faults"`
	Entry   *HeldDetail         `json:"entry"`
}

// Fix changes fields of an open entry, when the event is then one that can be
// replayed; otherwise it changes nothing and says everything that is still wrong.
// BadInput names a field that cannot be changed; Conflict, NotFound as of Replay.
func (q *Quarantine) Fix(ctx context.Context, id string, fix Fix) (*Fixed, error) {
	if err := checkWords(fix.By, fix.Note); err != nil {
		return nil, err
	}
	fix.By = doneBy(ctx, fix.By)
	if len(fix.Set) == 0 {
		return nil, problem.New(problem.BadInput, "set is empty; it names the fields to change and their values").In("set").
			Also("uz", "Oʻzgarish yoʻq: kamida bitta maydonga yangi qiymat bering.").
			Also("ru", "Нечего менять: укажите новое значение хотя бы одного поля.")
	}
	q.one.Lock()
	defer q.one.Unlock()
	e, err := q.kept.Entry(ctx, id)
	if err != nil {
		return nil, err
	}
	held, err := q.mend(e.Held, fix.Set)
	if err != nil {
		return nil, err
	}
	if faults := q.checker.NewBatch().Faults(held); len(faults) > 0 {
		return &Fixed{Faults: faults, Entry: q.detail(&e)}, nil
	}
	if e, err = q.kept.Fix(ctx, id, held, fix.By, fix.Note); err != nil {
		return nil, err
	}
	q.log.Info("an event in quarantine was fixed", "entry", id, "by", fix.By)
	return &Fixed{Applied: true, Faults: []*contract.Refusal{}, Entry: q.detail(&e)}, nil
}

// mend puts values into an event's content.
func (q *Quarantine) mend(h contract.Held, set map[string]json.RawMessage) (contract.Held, error) {
	c := q.checker.Set().ByType(h.Type)
	switch {
	case len(h.Event) == 0:
		return h, problem.New(problem.Conflict, "the content of this entry is lost; its sender has it and sends it again").
			Also("uz", "Bu yozuvning mazmuni yoʻqolgan: u yuboruvchida bor, qayta yuborsin.").
			Also("ru", "Содержимое этой записи утрачено: оно есть у отправителя, пусть пришлёт снова.")
	case c == nil:
		return h, problem.New(problem.Conflict, "the pack has no contract %s", h.Type).
			Also("uz", "Paketda “%s” turidagi hodisalar yoʻq.", h.Type).
			Also("ru", "В пакете нет событий вида «%s».", h.Type)
	case h.Withdrawn:
		return h, problem.New(problem.Conflict, "a withdrawal has no fields").
			Also("uz", "Qaytarib olish hodisasida maydonlar yoʻq.").
			Also("ru", "У отзыва события нет полей.")
	}
	var event, data map[string]json.RawMessage
	err := json.Unmarshal(h.Event, &event)
	if err == nil && event["data"] != nil {
		err = json.Unmarshal(event["data"], &data)
	}
	if err != nil {
		return h, problem.Wrap(err, problem.Internal, "quarantine: fix", "the entry cannot be read")
	}
	if data == nil {
		data = map[string]json.RawMessage{}
	}
	for name, value := range set {
		absent := len(value) == 0 || string(value) == "null"
		f := c.Field(name)
		switch {
		case name == contract.ColumnTime && !absent:
			event["time"] = value
			var at time.Time
			if json.Unmarshal(value, &at) == nil { // else Faults says what is wrong with it
				h.Time = at.UTC()
			}
		case f == nil:
			return h, problem.New(problem.BadInput, "%s has no field %q; it has %s, and time", h.Type, name, fieldNames(c)).In(name).
				Also("uz", "“%s” maydoni yoʻq.", name).
				Also("ru", "Поля «%s» нет.", name)
		case f.Type == contract.Person:
			return h, problem.New(problem.BadInput, "%s is a person, kept as a pseudonym that only the door can make; dismiss the entry and have the event sent again", name).In(name).
				Also("uz", "“%s” — shaxs; u taxallus sifatida saqlanadi va bu yerda oʻzgartirilmaydi: yozuvni yoping va hodisani qayta yuborishni soʻrang.", name).
				Also("ru", "«%s» — лицо; оно хранится как псевдоним и здесь не меняется: закройте запись и попросите прислать событие снова.", name)
		case absent:
			delete(data, name)
		default:
			data[name] = value
		}
	}
	if event["data"], err = json.Marshal(data); err == nil {
		h.Event, err = json.Marshal(event)
	}
	if err != nil {
		return h, problem.New(problem.BadInput, "set holds a value that is no JSON").
			Also("uz", "Yangi qiymatlardan biri JSON emas.").
			Also("ru", "Одно из новых значений — не JSON.").
			From("", err)
	}
	return h, nil
}

func fieldNames(c *contract.Contract) string {
	var names []string
	for i := range c.Fields {
		if c.Fields[i].Type != contract.Person {
			names = append(names, c.Fields[i].Name)
		}
	}
	return strings.Join(names, ", ")
}

const (
	maxWords   = 2000   // bytes of a note
	maxBy      = 256    // bytes of a name
	maxIDs     = 10_000 // named one by one
	maxRefused = 1000   // told one by one
	chunkSize  = 500    // entries replayed with one message
	chunkBytes = 4 << 20
)

// doneBy is who does something: whoever has signed in or carries a key. Only on the server's own
// machine, whose operator may be several people, is it as it was given.
func doneBy(ctx context.Context, given string) string {
	p := access.Of(ctx)
	if p.ID == "nobody" || p.ID == "operator:machine" {
		return given
	}
	return p.Name + " (" + p.ID + ")"
}

func checkWords(by, note string) error {
	for _, words := range []struct {
		name, text string
		limit      int
	}{{"by", by, maxBy}, {"note", note, maxWords}} {
		if len(words.text) > words.limit {
			return problem.New(problem.TooLarge, "%s has %d bytes; at most %d are kept", words.name, len(words.text), words.limit).In(words.name).
				Also("uz", "“%s” juda uzun: %d bayt, koʻpi bilan %d.", words.name, len(words.text), words.limit).
				Also("ru", "«%s» слишком длинно: %d байт, не больше %d.", words.name, len(words.text), words.limit)
		}
		if strings.ContainsFunc(words.text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' || r == unicode.ReplacementChar }) {
			return problem.New(problem.BadInput, "%s has characters that cannot be shown", words.name).In(words.name).
				Also("uz", "“%s” da koʻrsatib boʻlmaydigan belgilar bor.", words.name).
				Also("ru", "В «%s» есть знаки, которые нельзя показать.", words.name)
		}
	}
	return nil
}

// Choice says which entries are meant: by id, or all open ones that a filter chooses.
type Choice struct {
	IDs    []string    `json:"ids"`
	Filter *HeldFilter `json:"filter"`
	As     string      `json:"as"` // replay: "correction" makes what is known with other content its next revision
	By     string      `json:"by"`
	Note   string      `json:"note"`

	untouched bool // pass over what somebody has fixed: it is theirs to replay
}

// HeldFilter chooses entries; what is empty chooses all.
type HeldFilter struct {
	Code   string     `json:"code"`
	Source string     `json:"source"`
	Type   string     `json:"type"`
	Since  *time.Time `json:"since"` // kept aside from then on
	Until  *time.Time `json:"until"` // and before then
}

// Settled is what became of the entries of a choice.
type Settled struct {
	Replayed  int       `json:"replayed"`
	Dismissed int       `json:"dismissed"`
	Skipped   int       `json:"skipped"`  // were not open: somebody settled them before
	Refused   int       `json:"refused"`  // stay open
	Refusals  []NotDone `json:"refusals"` // the first 1000 of them
	Message   uint64    `json:"message"`  // of the journal, the last that holds a replayed one; 0: none was replayed
}

// NotDone is why an entry stays open.
type NotDone struct {
	ID     string `json:"id"`
	Code   string `json:"code"`
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

func (s *Settled) refuse(id, code, field, reason string) {
	if s.Refused++; len(s.Refusals) < maxRefused {
		s.Refusals = append(s.Refusals, NotDone{id, code, field, reason})
	}
}

// choose finds the ids of a choice. NotFound names an id that there is not.
func (q *Quarantine) choose(ctx context.Context, c *Choice) ([]string, error) {
	if err := checkWords(c.By, c.Note); err != nil {
		return nil, err
	}
	c.By = doneBy(ctx, c.By)
	switch {
	case len(c.IDs) > 0 && c.Filter != nil:
		return nil, problem.New(problem.BadInput, "name ids or a filter, not both").In("filter").
			Also("uz", "Yo ids, yo filter: ikkalasi birga berilmaydi.").
			Also("ru", "Либо ids, либо filter: вместе они не указываются.")
	case len(c.IDs) > maxIDs:
		return nil, problem.New(problem.TooLarge, "ids: has %d; name at most %d at once, or a filter", len(c.IDs), maxIDs).In("ids").
			Also("uz", "Bir yoʻla %d ta yozuv tanlangan, koʻpi bilan %d ta mumkin: filter bering.", len(c.IDs), maxIDs).
			Also("ru", "Выбрано сразу %d записей, можно не больше %d: укажите filter.", len(c.IDs), maxIDs)
	case len(c.IDs) > 0:
		entries := slices.Clone(c.IDs)
		slices.Sort(entries)
		if entries = slices.Compact(entries); len(entries) < len(c.IDs) {
			return nil, problem.New(problem.BadInput, "ids: one stands twice").In("ids").
				Also("uz", "ids da bitta yozuv ikki marta uchraydi.").
				Also("ru", "В ids одна запись указана дважды.")
		}
		known, err := q.kept.IDs(ctx, journal.Filter{})
		if err != nil {
			return nil, err
		}
		there := make(map[string]bool, len(known))
		for _, id := range known {
			there[id] = true
		}
		for _, id := range c.IDs {
			if !there[id] {
				return nil, problem.New(problem.NotFound, "nothing is in quarantine under %q", id).In("ids").
					Also("uz", "Karantinda “%s” yozuvi yoʻq.", id).
					Also("ru", "В карантине нет записи «%s».", id)
			}
		}
		return c.IDs, nil
	case c.Filter == nil:
		return nil, problem.New(problem.BadInput, "name the entries: ids, or a filter ({} is all that are open)").In("ids").
			Also("uz", "Yozuvlarni tanlang: ids yoki filter ({} — barcha ochiqlari).").
			Also("ru", "Укажите записи: ids или filter ({} — все открытые).")
	}
	f := journal.Filter{Code: c.Filter.Code, Source: c.Filter.Source, Type: c.Filter.Type, States: []journal.EntryState{journal.StateOpen}}
	if c.Filter.Since != nil {
		f.Since = *c.Filter.Since
	}
	if c.Filter.Until != nil {
		f.Until = *c.Filter.Until
	}
	return q.kept.IDs(ctx, f)
}

// Dismiss closes open entries for good: they will not be counted. A note says why.
func (q *Quarantine) Dismiss(ctx context.Context, c Choice) (*Settled, error) {
	if c.As != "" {
		return nil, problem.New(problem.BadInput, "as: only a replay takes it").In("as").
			Also("uz", "as faqat qayta yuborishda beriladi.").
			Also("ru", "as указывается только при повторной отправке.")
	}
	if strings.TrimSpace(c.Note) == "" {
		return nil, problem.New(problem.BadInput, "note: is missing; say why these events do not count").In("note").
			Also("uz", "Izoh yoʻq: bu hodisalar nega hisobga olinmasligini yozing.").
			Also("ru", "Нет примечания: напишите, почему эти события не учитываются.")
	}
	ids, err := q.choose(ctx, &c)
	if err != nil {
		return nil, err
	}
	n, err := q.kept.Dismiss(ctx, ids, c.By, c.Note)
	if n > 0 {
		q.log.Info("events in quarantine were dismissed", "entries", n, "by", c.By, "note", c.Note)
	}
	return &Settled{Dismissed: n, Skipped: len(ids) - n, Refusals: []NotDone{}}, err
}

// Replay checks open entries again and appends those that pass to the journal, where
// they are durable when it returns. What does not pass stays open, and is told. Entries
// that are not open are passed over, so that replaying twice changes nothing. An error
// may come after a part of the entries was replayed; replay the rest again.
func (q *Quarantine) Replay(ctx context.Context, c Choice) (*Settled, error) {
	if c.As != "" && c.As != "correction" {
		return nil, problem.New(problem.BadInput, "as: is none of the allowed values: correction").In("as").Of("correction").
			Also("uz", "as: faqat correction boʻlishi mumkin.").
			Also("ru", "as: допустимо только correction.")
	}
	ids, err := q.choose(ctx, &c)
	if err != nil {
		return nil, err
	}
	q.one.Lock()
	defer q.one.Unlock()
	if err := q.settle(ctx); err != nil {
		return nil, err
	}
	done := &Settled{Refusals: []NotDone{}}
	for some := range slices.Chunk(ids, chunkSize) {
		if err := q.replay(ctx, some, &c, done); err != nil {
			return nil, err
		}
	}
	if done.Replayed > 0 {
		q.log.Info("events in quarantine were replayed", "entries", done.Replayed, "by", c.By)
	}
	return done, nil
}

// replay replays some entries. The caller holds q.one.
func (q *Quarantine) replay(ctx context.Context, ids []string, c *Choice, done *Settled) error {
	entries, err := q.kept.Entries(ctx, ids)
	if err != nil {
		return err
	}
	done.Skipped += len(ids) - len(entries) // forgotten meanwhile
	batch := q.checker.NewBatch()
	var ready []string
	content := map[string]contract.Held{}
	size := 0
	flush := func() error {
		if len(ready) == 0 {
			return nil
		}
		err := q.append(ctx, batch, ready, content, c, done)
		ready, size = ready[:0], 0
		return err
	}
	for i := range entries {
		e := &entries[i]
		h := e.Held
		if e.State != journal.StateOpen || c.untouched && e.Fixed > 0 {
			done.Skipped++
			continue
		}
		switch {
		case len(h.Event) == 0:
			done.refuse(e.ID, h.Code, "", "its content is lost; its sender has it and sends it again. Dismiss the entry")
			continue
		case h.Code == contract.Conflict && c.As != "correction":
			done.refuse(e.ID, h.Code, "", h.Reason+". Replay it as a correction, or dismiss it")
			continue
		}
		h.Correct = c.As == "correction"
		if faults := batch.Faults(h); len(faults) > 0 {
			done.refuse(e.ID, faults[0].Code, faults[0].Field, faults[0].Reason)
			continue
		}
		ready, content[e.ID] = append(ready, e.ID), h
		if size += len(h.Event); size >= chunkBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// append writes down that entries are replayed, appends them, and writes that down too.
func (q *Quarantine) append(ctx context.Context, batch *contract.Batch, ids []string, content map[string]contract.Held, c *Choice, done *Settled) error {
	at, err := q.journal.Status(ctx)
	if err != nil {
		return err
	}
	begun, err := q.kept.Begin(ctx, ids, at.Last, c.By, c.Note)
	if err != nil {
		return err
	}
	done.Skipped += len(ids) - len(begun.IDs)
	if len(begun.IDs) == 0 {
		return nil
	}
	for i, id := range begun.IDs {
		if r := batch.Replay(i, content[id]); r != nil || len(batch.Held()) > 0 { // it passed a moment ago, with the same tables
			batch.Reset()
			return errors.Join(problem.New(problem.Internal, "entry %s passes its check and is not taken: %v", id, r), q.kept.Back(ctx, begun, begun.IDs))
		}
	}
	where, err := q.journal.AppendRange(ctx, batch.Parts())
	if err != nil {
		return err // it may be in the journal all the same: settle looks
	}
	if err := q.kept.End(ctx, begun, begun.IDs, where); err != nil {
		return err
	}
	done.Replayed += len(begun.IDs)
	done.Message = where.Last.Seq
	return nil
}

// settle finishes replays that a crash or a fault broke off: what the journal has was
// replayed, the rest is open again. The caller holds q.one.
func (q *Quarantine) settle(ctx context.Context) error {
	all, err := q.kept.Begun(ctx)
	if err != nil {
		return err
	}
	for _, r := range all {
		entries, err := q.kept.Entries(ctx, r.IDs)
		if err != nil {
			return err
		}
		wanted := make([]contract.Held, len(entries))
		for i := range entries {
			wanted[i] = entries[i].Held
		}
		found, err := q.journal.Find(ctx, r.After, wanted)
		if err != nil {
			return err
		}
		var back []string
		for i := range entries {
			place, ok := found[i]
			if !ok {
				back = append(back, entries[i].ID)
				continue
			}
			if err := q.kept.End(ctx, r, []string{entries[i].ID}, journal.Range{First: place, Last: place}); err != nil {
				return err
			}
		}
		if err := q.kept.Back(ctx, r, back); err != nil {
			return err
		}
		q.log.Info("a replay that had been broken off was settled", "replayed", len(entries)-len(back), "open", len(back))
	}
	return nil
}

const (
	settlePause = 30 * time.Second
	// By whom and why an event is replayed whose reference has become known.
	replayedBy   = "ombor"
	replayedNote = "the reference table has the code now"
)

// Run settles what a crash broke off, replays what waited only for today's reference
// tables, and settles broken replays from time to time, until ctx ends.
func (q *Quarantine) Run(ctx context.Context) {
	learned := q.learned != nil && !q.learned()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		err := func() error {
			q.one.Lock()
			defer q.one.Unlock()
			return q.settle(ctx)
		}()
		if err == nil && !learned {
			var done *Settled
			if done, err = q.replayLearned(ctx); err == nil {
				learned = true
				if q.told != nil {
					err = q.told()
				}
				if done.Replayed > 0 {
					q.log.Info("the reference tables know what they did not: events were replayed", "entries", done.Replayed, "waiting", done.Refused)
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			q.log.Warn("quarantine: trying again", "err", err)
		}
		pause.Reset(settlePause)
	}
}

// replayLearned replays the events that were held for an unknown reference, that nobody
// has touched, and that pass today.
func (q *Quarantine) replayLearned(ctx context.Context) (*Settled, error) {
	c := Choice{Filter: &HeldFilter{Code: contract.UnknownReference}, By: replayedBy, Note: replayedNote, untouched: true}
	ids, err := q.choose(ctx, &c)
	if err != nil {
		return nil, err
	}
	done := &Settled{}
	for some := range slices.Chunk(ids, chunkSize) { // others have their turn in between
		q.one.Lock()
		err := q.replay(ctx, some, &c, done)
		q.one.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}

const quarantineBody = 1 << 20 // bytes

// Entries serves GET /v1/quarantine/{id}.
func (q *Quarantine) Entries() http.Handler {
	return q.handle(http.MethodGet, func(r *http.Request) (any, error) { return q.Show(r.Context(), r.PathValue("id")) })
}

// Fixes serves POST /v1/quarantine/{id}/fix.
func (q *Quarantine) Fixes() http.Handler {
	return q.handle(http.MethodPost, func(r *http.Request) (any, error) {
		var fix Fix
		if err := readBody(r, &fix, "set, by and note"); err != nil {
			return nil, err
		}
		return q.Fix(r.Context(), r.PathValue("id"), fix)
	})
}

// Replays serves POST /v1/quarantine/replay.
func (q *Quarantine) Replays() http.Handler {
	return q.handle(http.MethodPost, func(r *http.Request) (any, error) {
		var c Choice
		if err := readBody(r, &c, "ids or filter, as, by and note"); err != nil {
			return nil, err
		}
		return q.Replay(r.Context(), c)
	})
}

// Dismissals serves POST /v1/quarantine/dismiss.
func (q *Quarantine) Dismissals() http.Handler {
	return q.handle(http.MethodPost, func(r *http.Request) (any, error) {
		var c Choice
		if err := readBody(r, &c, "ids or filter, by and note"); err != nil {
			return nil, err
		}
		return q.Dismiss(r.Context(), c)
	})
}

func (q *Quarantine) handle(method string, do func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			problem.Write(w, problem.New(problem.Unsupported, "this is asked with %s, not %s", method, r.Method).
				Also("uz", "Bu %s bilan soʻraladi, %s bilan emas.", method, r.Method).
				Also("ru", "Это запрашивают через %s, не через %s.", method, r.Method))
			return
		}
		if method == http.MethodPost {
			// A server that cannot set deadlines (a test's recorder) has no slow clients either.
			control := http.NewResponseController(w)
			_ = control.SetReadDeadline(time.Now().Add(30 * time.Second))
			defer func() { _ = control.SetReadDeadline(time.Time{}) }()
			r.Body = http.MaxBytesReader(w, r.Body, quarantineBody)
		}
		answer, err := do(r)
		if err != nil {
			if problem.KindOf(err) == problem.Internal && r.Context().Err() == nil {
				q.log.Error("a request failed", "route", r.Method+" "+r.URL.Path, "cause", err)
			}
			problem.Write(w, err)
			return
		}
		write(w, answer)
	})
}

// readBody reads a JSON object and nothing else.
func readBody(r *http.Request, into any, members string) error {
	text, err := io.ReadAll(r.Body)
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return problem.New(problem.TooLarge, "the body has more than %s", size(quarantineBody)).
			Also("uz", "Soʻrov mazmuni %s dan katta.", size(quarantineBody)).
			Also("ru", "Содержимое запроса больше %s.", size(quarantineBody))
	}
	if err == nil {
		in := json.NewDecoder(bytes.NewReader(text))
		in.DisallowUnknownFields()
		if err = in.Decode(into); err == nil && len(bytes.TrimSpace(text[in.InputOffset():])) > 0 {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return problem.New(problem.BadInput, "the body is no object of %s", members).
			Also("uz", "Soʻrov mazmuni bunday JSON obyekti emas: %s.", members).
			Also("ru", "Содержимое запроса — не такой объект JSON: %s.", members).
			From("", err)
	}
	return nil
}
