package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Settings are what a person has arranged for themselves. The zero value is somebody who has
// arranged nothing.
type Settings struct {
	Language string          `json:"language"` // of the page: uz, ru or en; empty: the browser's
	Theme    string          `json:"theme"`    // light or dark; empty: the machine's
	Looked   *time.Time      `json:"looked"`   // when they last looked at what has changed; null: never
	Pinned   []string        `json:"pinned"`   // KPIs, in their order; up to 100
	Views    []View          `json:"views"`    // of pages, by name; up to 100
	More     json.RawMessage `json:"more"`     // what else the page keeps: an object; null: nothing
	Changed  *time.Time      `json:"changed"`  // when they were kept last; null: never
}

// View is a page as somebody likes to see it.
type View struct {
	Name    string `json:"name"`    // 1 to 100 characters
	Address string `json:"address"` // of the page, with what it is narrowed to: "/projects?stage=work"
}

// Bounds of what one person keeps.
const (
	MaxSettings = 64 << 10 // bytes of all as JSON
	maxPinned   = 100
	maxViews    = 100
)

// AllSettings are those of everybody, in the key-value store of the journal. A key is the hash of
// its person. It is safe for concurrent use; of two changes at once the later one stands.
type AllSettings struct {
	bucket *stream.Bucket
	now    func() time.Time
}

// OpenSettings opens the settings of an installation. A nil now is time.Now.
func OpenSettings(ctx context.Context, conn *stream.Conn, now func() time.Time) (*AllSettings, error) {
	bucket, err := conn.Bucket(ctx, "SETTINGS", "What people have arranged for themselves")
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &AllSettings{bucket, now}, nil
}

func settingsKey(p *Principal) string {
	sum := sha256.Sum256([]byte(p.ID))
	return hex.EncodeToString(sum[:16])
}

// Of are the settings of a person; those of somebody who has arranged nothing are empty.
func (a *AllSettings) Of(ctx context.Context, p *Principal) (*Settings, error) {
	s := &Settings{}
	value, _, err := a.bucket.Get(ctx, settingsKey(p))
	if err != nil && problem.KindOf(err) != problem.NotFound {
		return nil, err
	}
	if err == nil {
		if err := json.Unmarshal(value, s); err != nil {
			return nil, problem.Wrap(err, problem.Internal, "access: settings", "the settings cannot be read")
		}
	}
	s.complete()
	return s, nil
}

// complete makes lists that are empty rather than missing.
func (s *Settings) complete() {
	if s.Pinned == nil {
		s.Pinned = []string{}
	}
	if s.Views == nil {
		s.Views = []View{}
	}
	if len(s.More) == 0 {
		s.More = json.RawMessage("null")
	}
}

// Keep replaces the settings of a person. BadInput names the field that cannot be, TooLarge says
// that they are too many.
func (a *AllSettings) Keep(ctx context.Context, p *Principal, s Settings) (*Settings, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	at := a.now().UTC().Truncate(time.Millisecond)
	s.Changed = &at
	s.complete()
	value, err := json.Marshal(s)
	if err != nil {
		return nil, problem.New(problem.BadInput, "the settings cannot be kept").
			Also("uz", "Sozlamalarni saqlab boʻlmadi.").
			Also("ru", "Настройки не удалось сохранить.").
			From("access: settings", err)
	}
	if len(value) > MaxSettings {
		return nil, problem.New(problem.TooLarge, "settings have up to %d KiB", MaxSettings>>10).
			Also("uz", "Sozlamalar hajmi koʻpi bilan %d KB.", MaxSettings>>10).
			Also("ru", "Настройки занимают не больше %d КБ.", MaxSettings>>10)
	}
	_, err = a.bucket.Put(ctx, settingsKey(p), value)
	return &s, err
}

func (s *Settings) check() error {
	switch {
	case !slices.Contains([]string{"", "uz", "ru", "en"}, s.Language):
		return bad("language", "language=%q: want uz, ru, en or nothing", s.Language).Of("uz", "ru", "en").
			Also("uz", "“%s” tili yoʻq.", s.Language).
			Also("ru", "Языка «%s» нет.", s.Language)
	case !slices.Contains([]string{"", "light", "dark"}, s.Theme):
		return bad("theme", "theme=%q: want light, dark or nothing", s.Theme).Of("light", "dark").
			Also("uz", "“%s” koʻrinishi yoʻq: yorugʻ — light, qorongʻi — dark.", s.Theme).
			Also("ru", "Оформления «%s» нет: светлое — light, тёмное — dark.", s.Theme)
	case len(s.Pinned) > maxPinned:
		return bad("pinned", "up to %d KPIs can be pinned", maxPinned).
			Also("uz", "Koʻpi bilan %d ta koʻrsatkichni qadab qoʻyish mumkin.", maxPinned).
			Also("ru", "Закрепить можно не больше %d показателей.", maxPinned)
	case len(s.Views) > maxViews:
		return bad("views", "up to %d views can be kept", maxViews).
			Also("uz", "Koʻpi bilan %d ta koʻrinish saqlanadi.", maxViews).
			Also("ru", "Хранится не больше %d видов.", maxViews)
	case len(s.More) > 0 && s.More[0] != '{' && string(s.More) != "null":
		return bad("more", "what else is kept is an object").
			Also("uz", "more — JSON obyekti boʻlishi kerak.").
			Also("ru", "more должно быть объектом JSON.")
	}
	for _, id := range s.Pinned {
		if id == "" || len(id) > 100 {
			return bad("pinned", "%.100q is no KPI", id).
				Also("uz", "“%.100s” koʻrsatkich emas.", id).
				Also("ru", "«%.100s» — не показатель.", id)
		}
	}
	for _, v := range s.Views {
		if name := strings.TrimSpace(v.Name); name == "" || len([]rune(name)) > 100 {
			return bad("views", "a view needs a name of up to 100 characters").
				Also("uz", "Koʻrinishga 100 belgigacha nom kerak.").
				Also("ru", "Виду нужно название, до 100 знаков.")
		}
		// An address that left this server would make of a view a trap.
		if ownPage(v.Address) != v.Address || len(v.Address) > 2000 {
			return bad("views", "the view %q: %.100q is no page of this server", v.Name, v.Address).
				Also("uz", "“%s” koʻrinishi: “%.100s” bu serverning sahifasi emas.", v.Name, v.Address).
				Also("ru", "Вид «%s»: «%.100s» — не страница этого сервера.", v.Name, v.Address)
		}
	}
	return nil
}
