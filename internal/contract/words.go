package contract

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"ombor/internal/reference"
)

// word is one text of a column of labels, with all that has been found out about it:
// a value that comes again, as labels do, costs one look into the column's lexicon.
type word struct {
	text  string
	code  *word   // of a ref the code that the text means, often itself; nil: in no row of its table
	given []given // of a ref by default of its contract: what it fills in
	sum   uint64  // what stands for it in digests; 0 is not known yet
	place int32   // in the dictionary of the record that is being gathered,
	round uint32  // if this is the column's round
}

// given is what a default fills in on the days first to last.
type given struct {
	first, last int32
	text        []byte // empty: nothing
	word        *word  // of a column of labels
}

// lexicon finds words by their bytes. It is a hash table with linear probing, keyed
// at random so that no sender can choose texts that collide.
type lexicon struct {
	slots []slot // a power of two, at most half full
	n     int
	seed  maphash.Seed
	a, b  uint64 // the seed of short texts
}

// slot holds the word of a key; nil is a free slot.
type slot struct {
	key  key
	word *word
}

// key is a text of up to 16 bytes itself, as its two halves, which may overlap, and its
// length; of a longer one a hash.
type key struct {
	low, high uint64
	n         int
}

// maxWords is how many words a lexicon remembers from one record to the next.
const maxWords = 4096

func newLexicon() *lexicon {
	seed := maphash.MakeSeed()
	return &lexicon{slots: make([]slot, 16), seed: seed, a: maphash.String(seed, "a"), b: maphash.String(seed, "b")}
}

func (l *lexicon) key(s []byte) key {
	le := binary.LittleEndian
	switch n := len(s); {
	case n > 16:
		return key{maphash.Bytes(l.seed, s), 0, n}
	case n >= 8:
		return key{le.Uint64(s), le.Uint64(s[n-8:]), n}
	case n >= 4:
		return key{uint64(le.Uint32(s)), uint64(le.Uint32(s[n-4:])), n}
	case n > 0:
		return key{uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16, 0, n}
	}
	return key{}
}

// place is where the probing for a key begins.
func (l *lexicon) place(k key) int {
	high, low := bits.Mul64(k.low^l.a, k.high^l.b^uint64(k.n)<<56)
	return int(high^low) & (len(l.slots) - 1)
}

// find is the word of a text, or nil, and where it would be.
func (l *lexicon) find(s []byte) (w *word, k key, at int) {
	k = l.key(s)
	for at = l.place(k); ; at = (at + 1) & (len(l.slots) - 1) {
		x := &l.slots[at]
		if x.word == nil || x.key == k && (k.n <= 16 || x.word.text == string(s)) {
			return x.word, k, at
		}
	}
}

// add is the word of a text; an unknown one becomes known. It says whether it is new.
func (l *lexicon) add(s []byte) (w *word, isNew bool) {
	w, k, at := l.find(s)
	if w != nil {
		return w, false
	}
	w = &word{text: string(s)}
	l.slots[at] = slot{k, w}
	if l.n++; 2*l.n > len(l.slots) {
		l.grow()
	}
	return w, true
}

func (l *lexicon) grow() {
	old := l.slots
	l.slots = make([]slot, 2*len(old))
	for _, x := range old {
		if x.word == nil {
			continue
		}
		at := l.place(x.key)
		for l.slots[at].word != nil {
			at = (at + 1) & (len(l.slots) - 1)
		}
		l.slots[at] = x
	}
}

// ref is the word of a text in a column whose codes are those of a table.
func (l *lexicon) ref(s []byte, table *reference.Table) *word {
	w, isNew := l.add(s)
	if isNew {
		if code, ok := table.Resolve(w.text); ok {
			w.code = w
			if code != w.text {
				w.code, _ = l.add([]byte(code))
				w.code.code = w.code
			}
		}
	}
	return w
}
