package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"ombor/internal/problem"
	"ombor/internal/stream"
)

// Key is an API key without its secret, which is known only to its holder.
type Key struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"` // what it is for
	Roles     []Role     `json:"roles"`
	Agency    string     `json:"agency,omitempty"`
	Region    string     `json:"region,omitempty"`
	Sources   []string   `json:"sources,omitempty"`
	Contracts []string   `json:"contracts,omitempty"`
	Created   time.Time  `json:"created"`
	By        string     `json:"by"` // principal who made it
	Expires   *time.Time `json:"expires"`
	Revoked   *time.Time `json:"revoked"`
}

// KeyRequest is what is told of a key by who asks for one: the body of POST /v1/keys. The rest is the server's.
type KeyRequest struct {
	Name      string   `json:"name"`
	Roles     []Role   `json:"roles"`
	Agency    string   `json:"agency,omitempty"`
	Region    string   `json:"region,omitempty"`
	Sources   []string `json:"sources,omitempty"`
	Contracts []string `json:"contracts,omitempty"`
	Expires   *string  `json:"expires,omitempty"` // a moment, or the last day in the zone that the server knows
}

// Key is the key that is asked for, without its expiry.
func (r *KeyRequest) Key() *Key {
	return &Key{Name: r.Name, Roles: r.Roles, Agency: r.Agency, Region: r.Region, Sources: r.Sources, Contracts: r.Contracts}
}

// Principal is who acts with the key.
func (k *Key) Principal() *Principal {
	return &Principal{ID: "key:" + k.ID, Name: k.Name, Roles: k.Roles, Agency: k.Agency, Region: k.Region, Sources: k.Sources, Contracts: k.Contracts}
}

// stored is a key as the bucket has it. A secret has 130 random bits, so that one round of
// SHA-256 is enough: there is nothing to guess.
type stored struct {
	Key
	Hash []byte `json:"hash"`
}

// Keys are the API keys of an installation, in the key-value store of its journal.
type Keys struct {
	bucket *stream.Bucket
	now    func() time.Time

	mu    sync.Mutex
	known map[string]recent // by id
}

type recent struct {
	key  *stored // nil: there is none
	read time.Time
}

// remembered is how long a key is taken as it was read: after that long at the latest a key that
// another process revoked is refused here too.
const remembered = 2 * time.Second

const (
	tokenPrefix = "ombor_"
	idLength    = 8
)

// OpenKeys opens the keys of an installation. A nil now is time.Now.
func OpenKeys(ctx context.Context, conn *stream.Conn, now func() time.Time) (*Keys, error) {
	bucket, err := conn.Bucket(ctx, "KEYS", "API keys: what they may do, and the hash of their secret")
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Keys{bucket: bucket, now: now, known: map[string]recent{}}, nil
}

// Create makes a key of what k says and returns its token, "ombor_<id>_<secret>", which
// is told this once. BadInput names the field of k that cannot be.
func (ks *Keys) Create(ctx context.Context, k Key) (token string, made Key, err error) {
	if err := k.check(ks.now()); err != nil {
		return "", Key{}, err
	}
	k.ID, k.Created, k.Revoked = strings.ToLower(rand.Text()[:idLength]), ks.now().UTC().Truncate(time.Second), nil
	secret := rand.Text()
	hash := sha256.Sum256([]byte(secret))
	value, err := json.Marshal(stored{k, hash[:]})
	if err != nil {
		return "", Key{}, err
	}
	if _, err := ks.bucket.Update(ctx, k.ID, value, 0); err != nil {
		return "", Key{}, err
	}
	return tokenPrefix + k.ID + "_" + secret, k, nil
}

func bad(field, format string, args ...any) *problem.Error {
	return problem.New(problem.BadInput, format, args...).In(field)
}

// check holds a key to the rules of its roles.
func (k *Key) check(now time.Time) error {
	if strings.TrimSpace(k.Name) == "" || len(k.Name) > 200 {
		return bad("name", "say in up to 200 characters what the key is for, so that whoever finds it in the list knows").
			Also("uz", "Kalit nima uchunligini 200 belgigacha yozing: uni roʻyxatda koʻrgan kishi tushunsin.").
			Also("ru", "Напишите до 200 знаков, для чего ключ, чтобы это понял тот, кто увидит его в списке.")
	}
	if err := CheckRoles(k.Roles); err != nil {
		return err
	}
	is := func(r Role) bool { return slices.Contains(k.Roles, r) }
	switch {
	case is(Source) && len(k.Sources) == 0:
		return bad("sources", "a key of role source needs the sources that it may send for, or * for any").
			Also("uz", "“Manba” rolidagi kalitga u qaysi manbalar nomidan yuborishi koʻrsatiladi, hammasi uchun — *.").
			Also("ru", "Ключу с ролью «источник» нужны источники, от имени которых он отправляет; * — любые.")
	case !is(Source) && (len(k.Sources) > 0 || len(k.Contracts) > 0):
		return bad("sources", "sources and contracts are for keys of role source").
			Also("uz", "Manbalar va hodisa turlari faqat “manba” rolidagi kalitda koʻrsatiladi.").
			Also("ru", "Источники и виды событий указываются только у ключа с ролью «источник».")
	case is(Agency) && k.Agency == "" && k.Region == "":
		return bad("agency", "a key of role agency needs the code of its agency, or of its region").
			Also("uz", "“Idora” rolidagi kalitga idora yoki hudud kodi kerak.").
			Also("ru", "Ключу с ролью «ведомство» нужен код ведомства или региона.")
	case !is(Agency) && (k.Agency != "" || k.Region != ""):
		return bad("agency", "an agency or a region narrows a key of role agency; a key of other roles sees what they see").
			Also("uz", "Idora yoki hudud faqat “idora” rolidagi kalitni cheklaydi.").
			Also("ru", "Ведомство или регион ограничивают только ключ с ролью «ведомство».")
	case k.Agency != "" && k.Region != "":
		return bad("region", "a key is of an agency or of a region: give one of them").
			Also("uz", "Kalit yo idoraniki, yo hududniki boʻladi: bittasini koʻrsating.").
			Also("ru", "Ключ бывает либо ведомства, либо региона: укажите одно.")
	case k.Expires != nil && !k.Expires.After(now):
		return bad("expires", "the key would have expired already").
			Also("uz", "Bu muddat oʻtib ketgan: kalit darhol yaroqsiz boʻlar edi.").
			Also("ru", "Этот срок уже прошёл: ключ был бы сразу недействителен.")
	}
	return nil
}

// CheckRoles refuses an empty list and a role that nobody can be given.
func CheckRoles(roles []Role) error {
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	for _, r := range roles {
		if !slices.Contains(Roles, r) {
			return problem.New(problem.BadInput, "%q is no role; roles are %s", r, strings.Join(names, ", ")).In("roles").Of(names...).
				Also("uz", "“%s” degan rol yoʻq.", r).
				Also("ru", "Роли «%s» нет.", r)
		}
	}
	if len(roles) == 0 {
		return problem.New(problem.BadInput, "at least one role is needed, of %s", strings.Join(names, ", ")).In("roles").
			Also("uz", "Kamida bitta rol tanlang.").
			Also("ru", "Выберите хотя бы одну роль.")
	}
	return nil
}

// List gives all keys, the newest first, those that are revoked or have expired included.
func (ks *Keys) List(ctx context.Context) ([]Key, error) {
	ids, err := ks.bucket.Keys(ctx)
	if err != nil {
		return nil, err
	}
	list := []Key{}
	for _, id := range ids {
		s, _, err := ks.read(ctx, id)
		if err != nil {
			return nil, err
		}
		if s != nil {
			list = append(list, s.Key)
		}
	}
	slices.SortFunc(list, func(a, b Key) int {
		if d := b.Created.Compare(a.Created); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// Revoke ends a key: here at once, in other processes within two seconds. Revoking it
// again changes nothing; an unknown id is NotFound.
func (ks *Keys) Revoke(ctx context.Context, id string) (Key, error) {
	for {
		s, revision, err := ks.read(ctx, id)
		if err != nil {
			return Key{}, err
		}
		if s == nil {
			return Key{}, problem.New(problem.NotFound, "there is no key %q; 'ombor key list' names those that there are", id).
				Also("uz", "“%s” kaliti yoʻq.", id).
				Also("ru", "Ключа «%s» нет.", id)
		}
		if s.Revoked != nil {
			return s.Key, nil
		}
		at := ks.now().UTC().Truncate(time.Second)
		s.Revoked = &at
		value, err := json.Marshal(s)
		if err != nil {
			return Key{}, err
		}
		_, err = ks.bucket.Update(ctx, id, value, revision)
		if err != nil && problem.KindOf(err) == problem.Conflict {
			continue // somebody else changed it: look again
		}
		ks.mu.Lock()
		delete(ks.known, id)
		ks.mu.Unlock()
		return s.Key, err
	}
}

// read gives a key as it is stored; nil when there is none.
func (ks *Keys) read(ctx context.Context, id string) (*stored, uint64, error) {
	value, revision, err := ks.bucket.Get(ctx, id)
	if err != nil && problem.KindOf(err) == problem.NotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	s := new(stored)
	if err := json.Unmarshal(value, s); err != nil {
		return nil, 0, problem.Wrap(err, problem.Internal, "access: key "+id, "the key cannot be read")
	}
	return s, revision, nil
}

// errUnknown is the same whatever is wrong with a key, so that nothing is learned by trying.
var errUnknown = problem.New(problem.Unauthenticated, "this key is not known here, or it has expired or been revoked; ask the operator for a new one").
	Also("uz", "Bu kalit bu yerda nomaʼlum, muddati tugagan yoki bekor qilingan: operatordan yangisini soʻrang.").
	Also("ru", "Этот ключ здесь неизвестен, истёк или отозван: попросите у оператора новый.")

// Principal is who holds a token. Unauthenticated: nobody.
func (ks *Keys) Principal(ctx context.Context, token string) (*Principal, error) {
	id, secret, found := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	if !found || !strings.HasPrefix(token, tokenPrefix) || len(id) != idLength || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" || len(secret) > 64 {
		return nil, errUnknown
	}
	now := ks.now()
	ks.mu.Lock()
	r, ok := ks.known[id]
	ks.mu.Unlock()
	if !ok || now.Sub(r.read) > remembered {
		s, _, err := ks.read(ctx, id)
		if err != nil {
			return nil, err
		}
		r = recent{s, now}
		ks.mu.Lock()
		if len(ks.known) > 10_000 { // of somebody who tries
			clear(ks.known)
		}
		ks.known[id] = r
		ks.mu.Unlock()
	}
	hash := sha256.Sum256([]byte(secret))
	if r.key == nil || subtle.ConstantTimeCompare(hash[:], r.key.Hash) != 1 || r.key.Revoked != nil || r.key.Expires != nil && !r.key.Expires.After(now) {
		return nil, errUnknown
	}
	return r.key.Principal(), nil
}
