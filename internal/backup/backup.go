// Package backup keeps copies of an installation in an object store: a folder or a
// bucket. It knows nothing of what it keeps but names, bytes and checksums.
//
// A store holds any number of backups of one installation:
//
//	lake/<name>                         immutable objects, shared by all backups
//	state/<id>/<name>.<piece>           what belongs to one backup, in pieces of 16 MiB
//	backups/<id>.json                   its manifest, put last
//
// A backup is there once its manifest is. The manifest names every object with its size and
// SHA-256 and ends with a line that is the SHA-256 of all before it. An immutable object
// that an earlier backup holds is not copied again. Reading checks every byte: what is not what was written is an
// Internal error that names the object.
//
// Secrets are encrypted with age (https://age-encryption.org) to the operator's
// recipients before they get here ([Encrypt]): a backup never holds them plainly.
package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"ombor/internal/objects"
	"ombor/internal/problem"
)

const (
	pieceBytes = 16 << 20
	manifests  = "backups/"
	states     = "state/"
	immutables = "lake/"
	version    = 1
)

// Manifest says what a backup holds.
type Manifest struct {
	Version int       `json:"version"`
	ID      string    `json:"id"` // sorts by time
	Made    time.Time `json:"made"`
	About   any       `json:"about"` // of the caller: what the backup is of
	State   []Entry   `json:"state"`
	Lake    []Object  `json:"lake"` // in the order in which they are to be restored
}

// Entry is a stream of bytes of one backup.
type Entry struct {
	Name   string   `json:"name"`
	Bytes  int64    `json:"bytes"`
	Pieces []Object `json:"pieces"`
}

// Object is one object of the store.
type Object struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Writer writes one backup. It is for one goroutine.
type Writer struct {
	to       objects.Store
	manifest Manifest
	known    map[string]Object // immutable objects of earlier backups
	Copied   int               // immutable objects that were not there
	Bytes    int64             // written
}

// Create begins a backup. Nothing is seen of it before [Writer.Finish].
func Create(ctx context.Context, to objects.Store, now time.Time) (*Writer, error) {
	w := &Writer{to: to, known: map[string]Object{}}
	w.manifest = Manifest{Version: version, Made: now.UTC().Truncate(time.Second), ID: now.UTC().Format("20060102T150405.000Z")}
	ids, err := List(ctx, to)
	if err != nil {
		return nil, err
	}
	if slices.Contains(ids, w.manifest.ID) {
		return nil, problem.New(problem.Conflict, "there is a backup %s already", w.manifest.ID)
	}
	for _, id := range ids[max(0, len(ids)-1):] { // the newest holds what is still needed
		before, err := Open(ctx, to, id)
		if err != nil {
			return nil, err
		}
		for _, o := range before.Lake {
			w.known[o.Name] = o
		}
	}
	return w, nil
}

// ID is the backup's.
func (w *Writer) ID() string { return w.manifest.ID }

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// Add writes what fill writes, under a name.
func (w *Writer) Add(ctx context.Context, name string, fill func(io.Writer) error) error {
	e := Entry{Name: name}
	p := &pieces{put: func(data []byte) error {
		o := Object{Name: fmt.Sprintf("%s%s/%s.%06d", states, w.manifest.ID, name, len(e.Pieces)), Bytes: int64(len(data)), SHA256: sum(data)}
		if err := w.to.Put(ctx, o.Name, data); err != nil {
			return err
		}
		e.Pieces = append(e.Pieces, o)
		e.Bytes += o.Bytes
		w.Bytes += o.Bytes
		return nil
	}}
	err := fill(p)
	if err == nil && len(p.buffer) > 0 {
		err = p.put(p.buffer)
	}
	if err == nil {
		w.manifest.State = append(w.manifest.State, e)
	}
	return err
}

// pieces cuts what is written into objects.
type pieces struct {
	put    func([]byte) error
	buffer []byte
}

func (p *pieces) Write(data []byte) (int, error) {
	written := len(data)
	for len(data) > 0 {
		n := min(len(data), pieceBytes-len(p.buffer))
		p.buffer = append(p.buffer, data[:n]...)
		data = data[n:]
		if len(p.buffer) == pieceBytes {
			if err := p.put(p.buffer); err != nil {
				return 0, err
			}
			p.buffer = p.buffer[:0]
		}
	}
	return written, nil
}

// Copy adds an immutable object; get is only asked when no earlier backup holds it with
// that size.
func (w *Writer) Copy(ctx context.Context, name string, size int64, get func(context.Context) ([]byte, error)) error {
	place := immutables + name
	if o, ok := w.known[place]; ok && (size < 0 || o.Bytes == size) {
		info, err := w.to.Stat(ctx, place)
		if err == nil && info.Size == o.Bytes {
			w.manifest.Lake = append(w.manifest.Lake, o)
			return nil
		}
		if err != nil && problem.KindOf(err) != problem.NotFound {
			return err
		}
	}
	data, err := get(ctx)
	if err != nil {
		return err
	}
	if err := w.to.Put(ctx, place, data); err != nil {
		return err
	}
	w.Copied++
	w.Bytes += int64(len(data))
	w.manifest.Lake = append(w.manifest.Lake, Object{Name: place, Bytes: int64(len(data)), SHA256: sum(data)})
	return nil
}

// Finish puts the manifest: from then on the backup is there.
func (w *Writer) Finish(ctx context.Context, about any) error {
	w.manifest.About = about
	text, err := json.MarshalIndent(w.manifest, "", " ")
	if err != nil {
		return problem.Wrap(err, problem.Internal, "backup: manifest", "the backup's manifest cannot be written")
	}
	text = append(text, '\n')
	return w.to.Put(ctx, manifests+w.manifest.ID+".json", append(text, sum(text)+"\n"...))
}

// List names the backups of a store, the oldest first.
func List(ctx context.Context, store objects.Store) (ids []string, err error) {
	err = store.List(ctx, manifests, func(o objects.Info) error {
		if id, ok := strings.CutSuffix(strings.TrimPrefix(o.Name, manifests), ".json"); ok {
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// Backup is one that is there.
type Backup struct {
	Manifest
	About json.RawMessage
	from  objects.Store
}

// Open reads a backup's manifest; the newest one's when id is "".
func Open(ctx context.Context, store objects.Store, id string) (*Backup, error) {
	if id == "" {
		ids, err := List(ctx, store)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			return nil, problem.New(problem.NotFound, "there is no backup in %s", store)
		}
		id = ids[len(ids)-1]
	}
	name := manifests + id + ".json"
	text, err := store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	damaged := func(err error) error {
		return problem.Wrap(err, problem.Internal, "backup: open", "%s in %s is damaged", name, store)
	}
	cut := bytes.LastIndexByte(bytes.TrimSuffix(text, []byte("\n")), '\n') + 1
	if want := strings.TrimSpace(string(text[cut:])); want != sum(text[:cut]) {
		return nil, damaged(fmt.Errorf("its checksum is %s, its last line says %q", sum(text[:cut]), want))
	}
	b := &Backup{from: store}
	if err := json.Unmarshal(text[:cut], &b.Manifest); err != nil {
		return nil, damaged(err)
	}
	var about struct{ About json.RawMessage }
	if err := json.Unmarshal(text[:cut], &about); err != nil {
		return nil, damaged(err)
	}
	if b.About = about.About; b.Version != version {
		return nil, problem.New(problem.Unsupported, "the backup %s has version %d, this program reads version %d", id, b.Version, version)
	}
	return b, nil
}

// Get reads one object and checks it.
func (b *Backup) Get(ctx context.Context, o Object) ([]byte, error) {
	data, err := b.from.Get(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != o.Bytes || sum(data) != o.SHA256 {
		return nil, problem.New(problem.Internal, "%s in %s is damaged: it has %d bytes with the SHA-256 %s, the manifest says %d and %s", o.Name, b.from, len(data), sum(data), o.Bytes, o.SHA256)
	}
	return data, nil
}

// Read writes an entry to w; what is damaged is an error before its piece is written.
func (b *Backup) Read(ctx context.Context, e Entry, w io.Writer) error {
	for _, o := range e.Pieces {
		data, err := b.Get(ctx, o)
		if err != nil {
			return err
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
	}
	return nil
}

// Entry finds a stream of bytes by its name.
func (b *Backup) Entry(name string) (Entry, bool) {
	at := slices.IndexFunc(b.State, func(e Entry) bool { return e.Name == name })
	if at < 0 {
		return Entry{}, false
	}
	return b.State[at], true
}

// Immutable is the name under which [Writer.Copy] was given an object.
func (o Object) Immutable() string { return strings.TrimPrefix(o.Name, immutables) }
