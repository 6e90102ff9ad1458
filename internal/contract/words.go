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
	slots []*word // a power of two, at most half full
	n     int
	seed  maphash.Seed
	a, b  uint64 // the seed of short texts
}

// maxWords is how many words a lexicon remembers from one record to the next.
const maxWords = 4096

func newLexicon() *lexicon {
	seed := maphash.MakeSeed()
	return &lexicon{slots: make([]*word, 16), seed: seed, a: maphash.String(seed, "a") | 1, b: maphash.String(seed, "b") | 1}
}

// hash covers every byte: of up to 16 the two halves, which overlap, are multiplied.
func (l *lexicon) hash(s []byte) uint64 {
	n := len(s)
	var low, high uint64
	switch {
	case n > 16:
		return maphash.Bytes(l.seed, s)
	case n >= 8:
		low, high = binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[n-8:])
	case n >= 4:
		low, high = uint64(binary.LittleEndian.Uint32(s)), uint64(binary.LittleEndian.Uint32(s[n-4:]))
	case n > 0:
		low = uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	high, low = bits.Mul64(low^l.a, high^l.b^uint64(n)<<56)
	return high ^ low
}

// find is the word of a text, or nil, and where it would be.
func (l *lexicon) find(s []byte) (w *word, slot int) {
	slot = int(l.hash(s)) & (len(l.slots) - 1)
	for {
		w = l.slots[slot]
		if w == nil || w.text == string(s) {
			return w, slot
		}
		slot = (slot + 1) & (len(l.slots) - 1)
	}
}

// add is the word of a text; unknown ones become known. It says whether it is new.
func (l *lexicon) add(s []byte) (w *word, isNew bool) {
	w, slot := l.find(s)
	if w != nil {
		return w, false
	}
	w = &word{text: string(s)}
	l.slots[slot] = w
	if l.n++; 2*l.n > len(l.slots) {
		l.grow()
	}
	return w, true
}

func (l *lexicon) grow() {
	old := l.slots
	l.slots = make([]*word, 2*len(old))
	for _, w := range old {
		if w != nil {
			_, slot := l.find([]byte(w.text))
			l.slots[slot] = w
		}
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
