package dashboards

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"ombor/internal/contract"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Quarantine is where events wait that are kept aside, as another room has it.
type Quarantine struct {
	// List is the entries that a filter chooses, the newest first, and the cursor of the next
	// page, "" on the last one.
	List func(ctx context.Context, f HeldFilter) ([]HeldEvent, string, error)
	// Entry takes GET /v1/quarantine/{id}, Fix POST /v1/quarantine/{id}/fix, whose id they
	// read with (*http.Request).PathValue("id"); Replay and Dismiss are POST.
	Entry, Fix, Replay, Dismiss http.Handler
}

// HeldFilter chooses entries; empty fields choose all.
type HeldFilter struct {
	Code, Source, Type string
	State              string    // open, replayed or dismissed
	Since, Until       time.Time // kept aside from Since to before Until
	Cursor             string
	Limit              int
}

// HeldEvent is one entry without its content.
type HeldEvent struct {
	ID     string     `json:"id"`
	State  string     `json:"state"`
	HeldAt time.Time  `json:"held_at"`
	Code   string     `json:"code"`
	Field  string     `json:"field"`
	Reason string     `json:"reason"`
	Type   string     `json:"type"`
	Source string     `json:"source"`
	Event  string     `json:"event"`
	Key    string     `json:"key"`
	Time   time.Time  `json:"time"`
	Place  string     `json:"place"`
	Fixed  int        `json:"fixed"`
	Closed *time.Time `json:"closed_at"`
	By     string     `json:"by"`
	Note   string     `json:"note"`
	Into   string     `json:"into"`
}

var quarantineParams = []string{"code", "source", "type", "state", "since", "until", "cursor", "limit"}

const (
	defaultHeld = 100
	maxHeld     = 1000
)

var heldStates = []string{"open", "replayed", "dismissed"}

func (s *server) getQuarantine(ctx context.Context, q *query) (*answer, error) {
	if s.config.Quarantine == nil {
		return nil, problem.New(problem.NotFound, "this process keeps no quarantine; its roles do not include the door").
			Also("uz", "Bu serverda karantin yoʻq: door rolidagi serverdan soʻrang.").
			Also("ru", "На этом сервере нет карантина: спросите сервер с ролью door.")
	}
	f := HeldFilter{Code: q.get("code"), Source: q.get("source"), Type: q.get("type"), State: q.get("state"), Cursor: q.get("cursor"), Limit: defaultHeld}
	if f.State != "" && f.State != heldStates[0] && f.State != heldStates[1] && f.State != heldStates[2] {
		return nil, problem.New(problem.BadInput, "state: %q is none of the allowed values: %s", f.State, strings.Join(heldStates, ", ")).In("state").
			Also("uz", "“%s” degan holat yoʻq.", f.State).
			Also("ru", "Состояния «%s» нет.", f.State).
			Of(heldStates...)
	}
	var err error
	if text := q.get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > maxHeld {
			return nil, problem.New(problem.BadInput, "limit: %q is no whole number from 1 to %d", text, maxHeld).In("limit").
				Also("uz", "“%s” 1 dan %d gacha boʻlgan butun son emas.", text, maxHeld).
				Also("ru", "«%s» — не целое число от 1 до %d.", text, maxHeld)
		}
	}
	if f.Code != "" {
		codes := []string{contract.Conflict, contract.Damaged}
		for _, c := range contract.Codes() {
			codes = append(codes, c.Code)
		}
		if err := among("code", f.Code, codes); err != nil {
			return nil, err
		}
	}
	if f.Source != "" || f.Type != "" {
		var received []Quality // from senders that the pack does not name, too
		if s.config.Quality != nil {
			if received, err = s.config.Quality(ctx, QualitySpan{All: true}); err != nil {
				return nil, err
			}
		}
		if err := s.knownSender(f.Source, f.Type, received); err != nil {
			return nil, err
		}
	}
	if f.Since, err = s.instant("since", q.get("since")); err != nil {
		return nil, err
	}
	if f.Until, err = s.instant("until", q.get("until")); err != nil {
		return nil, err
	}
	entries, next, err := s.config.Quarantine.List(ctx, f)
	if err != nil {
		return nil, err
	}
	body := struct {
		Entries []HeldEvent `json:"entries"`
		Next    *string     `json:"next"`
	}{Entries: append([]HeldEvent{}, entries...)}
	if next != "" {
		body.Next = &next
	}
	for i := range body.Entries {
		e := &body.Entries[i]
		e.HeldAt, e.Time = e.HeldAt.In(s.config.Pack.Zone), e.Time.In(s.config.Pack.Zone)
		if e.Closed != nil {
			e.Closed = s.moment(*e.Closed)
		}
	}
	return &answer{body: body, name: "quarantine", table: func() (*table, error) {
		t := newTable(text("id"), text("state"), text("held_at"), text("code"), text("field"), text("reason"), text("type"), text("source"),
			text("event"), text("key"), text("time"), text("place"), count("fixed"), text("closed_at"), text("by"), text("note"), text("into"))
		for _, e := range body.Entries {
			t.add(e.ID, e.State, e.HeldAt.Format(time.RFC3339), e.Code, e.Field, e.Reason, e.Type, e.Source, e.Event, e.Key,
				e.Time.Format(time.RFC3339), e.Place, float64(e.Fixed), stamp(e.Closed), e.By, e.Note, e.Into)
		}
		return t, nil
	}}, nil
}

// instant reads a time with its offset, or the beginning of a day in the pack's zone;
// zero for "".
func (s *server) instant(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, s.config.Pack.Zone)
	if err != nil {
		return time.Time{}, problem.New(problem.BadInput, "%s: %q is neither a day, 2024-12-31, nor a time with its offset, 2024-12-31T18:00:00+05:00", name, text).In(name).
			Also("uz", "“%s” kun ham, vaqt ham emas; 2024-12-31 yoki 2024-12-31T18:00:00+05:00 koʻrinishida yoziladi.", text).
			Also("ru", "«%s» — не день и не время; пишется 2024-12-31 или 2024-12-31T18:00:00+05:00.", text)
	}
	return day, nil
}

// heldBody counts what is in quarantine for one reason.
type heldBody struct {
	Code      string `json:"code"`
	Open      uint64 `json:"open"`
	Replayed  uint64 `json:"replayed"`
	Dismissed uint64 `json:"dismissed"`
}

// HeldCount counts the entries of one code, for /v1/status.
type HeldCount struct {
	Code                      string
	Open, Replayed, Dismissed uint64
}

// Quality is what is known of the events of one source and contract.
type Quality struct {
	Source, Type string
	Accepted     uint64 // counted, or superseded by a later revision
	Duplicate    uint64 // came again unchanged
	Conflict     uint64 // other content under a known id
	Rejected     uint64 // refused at the door, stored nowhere
	Damaged      uint64 // their bytes in the journal are not those that were accepted
	Open         uint64 // in quarantine
	Replayed     uint64
	Dismissed    uint64
	LastEvent    time.Time     // time of the source's newest event; zero: silent so far
	Received     time.Time     // when its newest rows came in
	Promise      time.Duration // freshness promised; 0: none
	Late         bool          // beyond its promise
}

type qualityBody struct {
	Source         string     `json:"source"`
	Type           string     `json:"type"`
	Accepted       uint64     `json:"accepted"`
	Duplicate      uint64     `json:"duplicate"`
	Conflict       uint64     `json:"conflict"`
	Rejected       uint64     `json:"rejected"`
	Damaged        uint64     `json:"damaged"`
	Open           uint64     `json:"quarantine_open"`
	Replayed       uint64     `json:"quarantine_replayed"`
	Dismissed      uint64     `json:"quarantine_dismissed"`
	LastEvent      *time.Time `json:"last_event"`
	Received       *time.Time `json:"received"`
	PromiseSeconds float64    `json:"promise_seconds"`
	Late           bool       `json:"late"`
}

// qualitySum is what came of the events of all sources, beside those of one agency.
type qualitySum struct {
	Accepted  uint64 `json:"accepted"`
	Duplicate uint64 `json:"duplicate"`
	Conflict  uint64 `json:"conflict"`
	Rejected  uint64 `json:"rejected"`
	Damaged   uint64 `json:"damaged"`
	Open      uint64 `json:"quarantine_open"`
}

func (q *qualitySum) add(x Quality) {
	q.Accepted, q.Duplicate, q.Conflict = q.Accepted+x.Accepted, q.Duplicate+x.Duplicate, q.Conflict+x.Conflict
	q.Rejected, q.Damaged, q.Open = q.Rejected+x.Rejected, q.Damaged+x.Damaged, q.Open+x.Open
}

var qualityParams = []string{"since", "until", "source", "type"}

func (s *server) getQuality(ctx context.Context, q *query) (*answer, error) {
	if s.config.Quality == nil {
		return nil, problem.New(problem.NotFound, "this process does not load, so it knows nothing of quality; ask one with the role loader").
			Also("uz", "Bu server maʼlumot yuklamaydi va ularning sifatini bilmaydi: loader rolidagi serverdan soʻrang.").
			Also("ru", "Этот сервер не загружает данных и не знает их качества: спросите сервер с ролью loader.")
	}
	span := QualitySpan{Until: s.today()}
	since, err := day(q, "since")
	if err != nil {
		return nil, err
	}
	until, err := day(q, "until")
	if err != nil {
		return nil, err
	}
	bounded, ended := since != reference.NoDay, until != reference.NoDay
	if span.All = !bounded && !ended; bounded {
		span.Since = since
	}
	if ended {
		span.Until = until
	}
	if bounded && since > s.today() {
		return nil, problem.New(problem.BadInput, "since=%s is after today, %s", since, s.today()).In("since").
			Also("uz", "%s hali kelmagan.", since).
			Also("ru", "День %s ещё не наступил.", since)
	}
	if span.Until < span.Since {
		return nil, problem.New(problem.BadInput, "until is before since").In("until").
			Also("uz", "Davr boshlanishidan oldin tugaydi.").
			Also("ru", "Период кончается раньше, чем начинается.")
	}
	list, err := s.config.Quality(ctx, span)
	if err != nil {
		return nil, err
	}
	body := struct {
		Since    *string       `json:"since"`
		Until    *string       `json:"until"`
		Rows     []qualityBody `json:"rows"`
		National *qualitySum   `json:"national"`
	}{Rows: []qualityBody{}}
	scope := s.scope(ctx)
	if scope != (access.Scope{}) {
		body.National = &qualitySum{}
	}
	if bounded {
		text := since.String()
		body.Since = &text
	}
	if ended {
		text := until.String()
		body.Until = &text
	}
	source, eventType := q.get("source"), q.get("type")
	if err := s.knownSender(source, eventType, list); err != nil {
		return nil, err
	}
	for _, x := range list {
		if source != "" && source != x.Source || eventType != "" && eventType != x.Type {
			continue
		}
		if body.National != nil {
			body.National.add(x)
		}
		if !s.answers(scope, x.Source) {
			continue
		}
		body.Rows = append(body.Rows, qualityBody{x.Source, x.Type, x.Accepted, x.Duplicate, x.Conflict, x.Rejected, x.Damaged,
			x.Open, x.Replayed, x.Dismissed, s.moment(x.LastEvent), s.moment(x.Received), x.Promise.Seconds(), x.Late})
	}
	return &answer{body: body, name: "quality", table: func() (*table, error) {
		t := newTable(text("source"), text("type"), count("accepted"), count("duplicate"), count("conflict"), count("rejected"), count("damaged"),
			count("quarantine_open"), count("quarantine_replayed"), count("quarantine_dismissed"), text("last_event"), text("received"), number("promise_seconds"), flag("late"))
		for _, r := range body.Rows {
			t.add(r.Source, r.Type, float64(r.Accepted), float64(r.Duplicate), float64(r.Conflict), float64(r.Rejected), float64(r.Damaged),
				float64(r.Open), float64(r.Replayed), float64(r.Dismissed), stamp(r.LastEvent), stamp(r.Received), r.PromiseSeconds, r.Late)
		}
		return t, nil
	}}, nil
}

// knownSender refuses a source and a type that neither the pack nor what was received knows; empty ones stand.
func (s *server) knownSender(source, eventType string, received []Quality) error {
	sources := slices.Collect(maps.Keys(s.config.Pack.Sources))
	var types []string
	for _, c := range s.config.Pack.Contracts.All() {
		types = append(types, c.Type)
	}
	for _, x := range received {
		sources, types = append(sources, x.Source), append(types, x.Type)
	}
	if source != "" {
		if err := among("source", source, sources); err != nil {
			return err
		}
	}
	if eventType != "" {
		return among("type", eventType, types)
	}
	return nil
}

// mostTold is how many values a refusal lists.
const mostTold = 40

// among refuses a value that is none of the known ones, and tells those.
func among(field, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	slices.Sort(known)
	known = slices.Compact(known)
	near := ""
	if name := contract.Nearest(value, known); name != "" {
		near = "; did you mean " + name + "?"
	}
	allowed := slices.Clone(known)
	if more := len(known) - mostTold; more > 0 {
		known = append(known[:mostTold], fmt.Sprintf("… %d more", more))
	}
	return problem.New(problem.BadInput, "there is no %s %q%s Allowed are %s", field, value, cmp.Or(near, "."), strings.Join(known, ", ")).In(field).
		Also("uz", "“%s” degan qiymat yoʻq.", value).
		Also("ru", "Значения «%s» нет.", value).
		Of(allowed...)
}

// QualitySpan is the days, of the pack's time zone and both inclusive, on which events
// were received. All is everything that is known.
type QualitySpan struct {
	All          bool
	Since, Until reference.Day
}
