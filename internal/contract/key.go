package contract

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"ombor/internal/problem"
)

// Keys are the secrets of an installation. They are made once and kept in one file:
//
//	{"format": "ombor-keys-2", "identity": "…", "digest": "…", "pseudonyms": [{"version": 1, "key": "…"}]}
//
// each key 256 bits in base64. The identity key and the digest key never change: the
// first-seen index holds what they made. Pseudonym keys chain: a pseudonym is
// HMAC(kₙ, … HMAC(k₁, identifier)), so that adding a version ([Keys.Rotate]) can rewrite
// what is stored without the identifiers ([Keys.Advance]).
//
// Pseudonyms are HMAC-SHA-256 (RFC 2104, FIPS 198-1), cut to 128 bits: they have to
// withstand who holds the data and knows what identifiers look like. _id and _digest are
// HighwayHash (Alakuijala et al., https://arxiv.org/abs/1612.06257), of 128 and 64 bits:
// their keys keep a sender from making two events that look like one.
// docs/decisions/0310 tells why they differ. The format names these algorithms: a file
// of ombor-keys-1, when all was HMAC-SHA-256, is refused.
//
// Keys never print: formatted or logged they are "contract.Keys(redacted)".
type Keys struct {
	identity, digest []byte
	path             string // of their file; "": they live in memory only

	mu         sync.RWMutex
	pseudonyms [][]byte // by version, 1 first; only added to
}

// keyFile is the file's form.
type keyFile struct {
	Format     string         `json:"format"`
	Identity   []byte         `json:"identity"`
	Digest     []byte         `json:"digest"`
	Pseudonyms []keyOfVersion `json:"pseudonyms"`
}

type keyOfVersion struct {
	Version int    `json:"version"`
	Key     []byte `json:"key"`
}

const (
	keyFormat = "ombor-keys-2"
	oldFormat = "ombor-keys-1"
	keySize   = 32 // bytes, the strength of SHA-256
)

// OpenKeys reads the keys at path, or makes them there when there is no such file:
// mode 0600, written beside, fsynced and linked into place, so that a crash leaves
// either no file or a whole one, and of two that start at once both use the same.
//
// A file that group or others may read is refused with kind Denied, a damaged one
// with BadInput. The error never holds a key.
func OpenKeys(path string) (*Keys, error) {
	keys, err := readKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := createKeys(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, problem.Wrap(err, problem.Internal, "contract: create keys", "the key file %s cannot be made", path)
	}
	return readKeys(path)
}

func readKeys(path string) (*Keys, error) {
	const op = "contract: read keys"
	f, err := os.Open(path)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, op, "the key file %s cannot be opened", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, op, "the key file %s cannot be read", path)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, problem.New(problem.Denied, "the key file %s has mode %v; it must be a file that only its owner may read: chmod 600 %s", path, mode, path)
	}
	var file keyFile
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	err = decoder.Decode(&file)
	if err == nil && file.Format == oldFormat {
		return nil, problem.New(problem.BadInput, "the key file %s is of an earlier version of Ombor (%s), whose identities and digests this one cannot make: every event would look new. Go on with that version, or load the events anew into an empty data folder", path, oldFormat)
	}
	if err != nil || file.Format != keyFormat {
		// The decoder's message may quote the file, so it stays behind.
		return nil, problem.New(problem.BadInput, "the key file %s is damaged or of another format (%s is expected); restore it from its backup: other keys would make every event look new", path, keyFormat)
	}
	k := &Keys{identity: file.Identity, digest: file.Digest, path: path}
	sound := len(k.identity) == keySize && len(k.digest) == keySize && len(file.Pseudonyms) > 0
	for i, p := range file.Pseudonyms {
		sound = sound && p.Version == i+1 && len(p.Key) == keySize
		k.pseudonyms = append(k.pseudonyms, p.Key)
	}
	if !sound {
		return nil, problem.New(problem.BadInput, "the key file %s lacks a key of %d bytes; restore it from its backup", path, keySize)
	}
	return k, nil
}

func createKeys(path string) error {
	// Unlike a rename, a link never replaces.
	return writeKeys(path, &keyFile{Format: keyFormat, Identity: secret(), Digest: secret(), Pseudonyms: []keyOfVersion{{Version: 1, Key: secret()}}}, os.Link)
}

// secret is a new key.
func secret() []byte {
	b := make([]byte, keySize)
	_, _ = rand.Read(b) // never fails (crypto/rand since Go 1.24)
	return b
}

// writeKeys writes them beside path, and puts them in place when they are durable.
func writeKeys(path string, file *keyFile, place func(from, to string) error) (err error) {
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(append(data, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Derive makes a 256-bit key for another purpose of this installation, such as
// signing receipts. The same purpose always gives the same key.
func (k *Keys) Derive(purpose string) []byte { return derive(k.identity, "ombor derived "+purpose) }

// identityKey is HighwayHash's for _id.
func (k *Keys) identityKey() []byte { return derive(k.identity, "ombor identity") }

// digestKey is HighwayHash's for _digest.
func (k *Keys) digestKey() []byte { return derive(k.digest, "ombor digest") }

// nameTag stands in the digest for a name: 64 bits, the same in every installation.
func nameTag(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint64(sum[:])
}

func derive(key []byte, purpose string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}

const redacted = "contract.Keys(redacted)"

// String, GoString, Format and LogValue keep the keys out of messages and logs.
func (*Keys) String() string   { return redacted }
func (*Keys) GoString() string { return redacted }
func (*Keys) Format(s fmt.State, _ rune) {
	_, _ = s.Write([]byte(redacted)) // fmt reports a failing writer itself
}
func (*Keys) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (*Keys) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
