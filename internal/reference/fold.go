package reference

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// In stored names of the languages in apostrophes two signs stand for all five: Apostrophe,
// U+02BB, in the letters oʻ and gʻ, and Tutuq, U+02BC, the sign of its own in taʼrif and eʼlon.
// Texts are compared with the first alone.
const (
	Apostrophe = 'ʻ'
	Tutuq      = 'ʼ'
)

// isApostrophe: the five that arrive for the same sign. U+0027 and U+2019 come from
// keyboards and word processors, U+2018 from web pages, U+02BC from dictionaries.
func isApostrophe(r rune) bool {
	switch r {
	case '\'', 'ʻ', 'ʼ', '‘', '’':
		return true
	}
	return false
}

// Languages in which an apostrophe is part of a letter, so that names have one
// stored form. Elsewhere it is punctuation and stays as written.
var apostrophes = map[string]bool{"uz": true, "kaa": true, "uz-Latn": true, "kaa-Latn": true}

// Clean is the stored form of a name in a language: Unicode NFC, single spaces, and
// where the language has letters with an apostrophe, [Apostrophe] behind o and g and
// [Tutuq] elsewhere for all five.
func Clean(name, tag string) string {
	name = strings.Join(strings.Fields(norm.NFC.String(name)), " ")
	if apostrophes[tag] {
		before := rune(0)
		name = strings.Map(func(r rune) rune {
			if isApostrophe(r) {
				if r = Tutuq; strings.ContainsRune("oOgG", before) {
					r = Apostrophe
				}
			}
			before = r
			return r
		}, name)
	}
	return name
}

// Fold is the form in which texts are compared: NFC, case folded, one form of
// apostrophe, single spaces. Fold(Fold(s)) == Fold(s). A text of lower-case ASCII
// letters, digits and - . _ / is its own fold and is returned without allocation.
func Fold(text string) string {
	if plain(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	space := false
	// Folding a letter may let it compose with the mark behind it, so normalise again.
	for _, r := range norm.NFC.String(strings.Map(foldRune, norm.NFC.String(text))) {
		if unicode.IsSpace(r) {
			space = b.Len() > 0
			continue
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		if isApostrophe(r) {
			r = Apostrophe
		}
		b.WriteRune(r)
	}
	return b.String()
}

// foldRune is one form of all letters that differ by case only: the small letter of
// the first of them. (cases.Fold of golang.org/x/text is not idempotent for Cherokee.)
func foldRune(r rune) rune {
	first := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		first = min(first, other)
	}
	return unicode.ToLower(first)
}

func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '/':
		default:
			return false
		}
	}
	return true
}
