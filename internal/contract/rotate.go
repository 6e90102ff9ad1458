package contract

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"os"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/problem"
)

// # Versions of pseudonyms
//
// Whatever holds pseudonyms says of which version they are: a [Part], a [Held] event, and what
// the rooms below keep of them; 0, where nobody said so, is the first. A pseudonym is brought to
// a later version by the keys between alone, and never back.

// PseudonymVersion is the version of the newest pseudonym key, from 1.
func (k *Keys) PseudonymVersion() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.pseudonyms)
}

// PseudonymMark tells two keys of one version apart and gives nothing away: 16 hexadecimal
// digits. It is "" for a version that there is not.
func (k *Keys) PseudonymMark(version int) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if version < 1 || version > len(k.pseudonyms) {
		return ""
	}
	return hex.EncodeToString(derive(k.pseudonyms[version-1], "ombor mark")[:8])
}

// Rotate adds a pseudonym key to the file and, when that is durable, to these keys: batches that
// are begun from then on use it. It returns the new version. When the file has more versions
// already, since a crash came between or another process added one, they are taken instead of a
// new one. Unavailable: the file could not be written, and nothing has changed.
func (k *Keys) Rotate() (version int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" {
		k.pseudonyms = append(k.pseudonyms, secret())
		return len(k.pseudonyms), nil
	}
	now, err := readKeys(k.path)
	if err != nil {
		return 0, err
	}
	for i, key := range k.pseudonyms {
		if !hmac.Equal(now.identity, k.identity) || i >= len(now.pseudonyms) || !hmac.Equal(now.pseudonyms[i], key) {
			return 0, problem.New(problem.Conflict, "the key file %s is not the one that this server was started with: start it again, and then rotate", k.path)
		}
	}
	if len(now.pseudonyms) == len(k.pseudonyms) {
		now.pseudonyms = append(now.pseudonyms, secret())
		file := &keyFile{Format: keyFormat, Identity: now.identity, Digest: now.digest}
		for i, key := range now.pseudonyms {
			file.Pseudonyms = append(file.Pseudonyms, keyOfVersion{i + 1, key})
		}
		if err := writeKeys(k.path, file, os.Rename); err != nil {
			return 0, problem.Wrap(err, problem.Unavailable, "contract: rotate keys", "the key file %s cannot be written; it must be in a folder that this server may write to", k.path)
		}
	}
	k.pseudonyms = now.pseudonyms
	return len(k.pseudonyms), nil
}

// chain is the keyed hashes of versions that follow one another, in the domain of a kind of
// identifier. It is not safe for concurrent use.
type chain struct {
	hashes []hash.Hash
	sum    []byte
}

// chain has a hash for each version after from up to to.
func (k *Keys) chain(kind string, from, to int) *chain {
	k.mu.RLock()
	defer k.mu.RUnlock()
	c := new(chain)
	for _, key := range k.pseudonyms[from:to] {
		c.hashes = append(c.hashes, hmac.New(sha256.New, derive(key, "ombor person "+kind)))
	}
	return c
}

// of puts an identifier, or a pseudonym that has gone through the first hashes already, through the rest.
func (c *chain) of(input []byte, done int, p *[16]byte) {
	for _, h := range c.hashes[done:] {
		h.Reset()
		h.Write(input)
		c.sum = h.Sum(c.sum[:0])
		input = c.sum[:len(p)]
	}
	copy(p[:], input)
}

// Pseudonym is what a person's identifier of a kind ("pinfl") becomes at the door, in whichever
// of its spellings it is given. One that no event could have is a BadInput error, which does
// not repeat it.
func (k *Keys) Pseudonym(kind, identifier string) (p [16]byte, err error) {
	input, wrong := canonical(nil, kind, []byte(identifier))
	if wrong != "" {
		return p, problem.New(problem.BadInput, "the identifier %s", wrong).In("identifier")
	}
	k.chain(kind, 0, k.PseudonymVersion()).of(input, 0, &p)
	return p, nil
}

// between refuses versions that these keys cannot go between.
func (k *Keys) between(from, to int) (int, int, error) {
	from = max(from, 1)
	if have := k.PseudonymVersion(); from > to || to > have {
		return 0, 0, problem.New(problem.Conflict, "pseudonyms of version %d are to become those of version %d, and the keys have %d: put back the newest file of keys", from, to, have)
	}
	return from, to, nil
}

// Advance brings a pseudonym of a kind from one version of the keys to a later one, or the
// same. Versions that the keys do not have, and earlier ones, are a Conflict error.
func (k *Keys) Advance(kind string, p [16]byte, from, to int) ([16]byte, error) {
	from, to, err := k.between(from, to)
	if err != nil {
		return p, err
	}
	k.chain(kind, from, to).of(p[:], 0, &p)
	return p, nil
}

// AdvanceRecord brings every person of a record from one version of the keys to a later one. The
// record may have more columns than the contract's, or fewer; nothing but persons changes. Without
// persons, or from a version to itself, it is the record itself, retained. Errors as of [Keys.Advance].
func (k *Keys) AdvanceRecord(c *Contract, rec arrow.Record, from, to int) (arrow.Record, error) {
	from, to, err := k.between(from, to)
	if err != nil {
		return nil, err
	}
	var columns []arrow.Array
	for i := range c.Fields {
		f := &c.Fields[i]
		at := rec.Schema().FieldIndices(f.Name)
		if f.Type != Person || len(at) != 1 || from == to {
			continue
		}
		a, ok := rec.Column(at[0]).(*array.FixedSizeBinary)
		if !ok {
			return nil, problem.New(problem.Internal, "column %s of %s is %s, not a pseudonym", f.Name, c.Type, rec.Column(at[0]).DataType())
		}
		if columns == nil {
			columns = append(columns, rec.Columns()...)
		}
		columns[at[0]] = advanced(a, k.chain(f.ID, from, to))
	}
	if columns == nil {
		rec.Retain()
		return rec, nil
	}
	return array.NewRecord(rec.Schema(), columns, rec.NumRows()), nil
}

// advanced is a column of pseudonyms, each put through a chain.
func advanced(a *array.FixedSizeBinary, c *chain) arrow.Array {
	values := make([]byte, 16*a.Len())
	var valid *memory.Buffer
	if a.NullN() > 0 {
		valid = memory.NewBufferBytes(make([]byte, (a.Len()+7)/8))
	}
	for i := range a.Len() {
		if a.IsNull(i) {
			continue
		}
		if valid != nil {
			valid.Bytes()[i>>3] |= 1 << (i & 7)
		}
		c.of(a.Value(i), 0, (*[16]byte)(values[16*i:]))
	}
	data := array.NewData(a.DataType(), a.Len(), []*memory.Buffer{valid, memory.NewBufferBytes(values)}, nil, a.NullN(), 0)
	defer data.Release()
	return array.NewFixedSizeBinaryData(data)
}

// AdvanceHeld brings the persons of a held event of the contract to a version of the keys. One
// that has that version is returned as it is. Errors as of [Keys.Advance].
func (k *Keys) AdvanceHeld(c *Contract, h Held, to int) (Held, error) {
	from, to, err := k.between(h.Pseudonyms, to)
	if err != nil || from == to {
		return h, err
	}
	h.Pseudonyms = to
	var event, data map[string]json.RawMessage
	if len(h.Event) == 0 { // damage
		return h, nil
	}
	if err := json.Unmarshal(h.Event, &event); err != nil {
		return h, problem.Wrap(err, problem.Internal, "contract: advance", "a held event of %s cannot be read", c.Type)
	}
	if event["data"] == nil { // a withdrawal
		return h, nil
	}
	if err := json.Unmarshal(event["data"], &data); err != nil {
		return h, problem.Wrap(err, problem.Internal, "contract: advance", "a held event of %s cannot be read", c.Type)
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		text, there := data[f.Name]
		if f.Type != Person || !there || string(text) == "null" {
			continue
		}
		var p [16]byte
		if n, err := hex.Decode(p[:], text[min(1, len(text)):max(len(text)-1, min(1, len(text)))]); err != nil || n != len(p) {
			return h, problem.New(problem.Internal, "field %s of a held event of %s is not a pseudonym", f.Name, c.Type)
		}
		k.chain(f.ID, from, to).of(p[:], 0, &p)
		data[f.Name] = fmt.Appendf(nil, `"%x"`, p)
	}
	if event["data"], err = json.Marshal(data); err == nil {
		h.Event, err = json.Marshal(event)
	}
	return h, problem.Wrap(err, problem.Internal, "contract: advance", "a held event of %s cannot be written", c.Type)
}
