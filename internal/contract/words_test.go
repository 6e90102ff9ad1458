package contract

import (
	"fmt"
	"testing"
)

// A lexicon tells all texts apart, of whatever length, and keeps them while it grows.
func TestLexicon(t *testing.T) {
	l := newLexicon()
	texts := []string{"", "a", "b", "ab", "ba", "aba", "aab", "aabb", "abab", "\x00", "\x00\x00", "\x00\x00\x00"}
	for n := range 40 {
		for c := range 26 {
			text := make([]byte, n+1)
			for i := range text {
				text[i] = 'x'
			}
			text[(n*7+c)%(n+1)] = byte('a' + c)
			texts = append(texts, string(text))
		}
	}
	for i := range 5000 {
		texts = append(texts, fmt.Sprint("number ", i))
	}
	words := map[string]*word{}
	for _, text := range texts {
		w, isNew := l.add([]byte(text))
		if _, known := words[text]; known == isNew || w.text != text {
			t.Fatalf("%q is %q, new %v", text, w.text, isNew)
		}
		words[text] = w
	}
	if l.n != len(words) {
		t.Errorf("%d words of %d texts", l.n, len(words))
	}
	for text, w := range words {
		if found, _, _ := l.find([]byte(text)); found != w {
			t.Errorf("%q is lost", text)
		}
	}
	if w, _, _ := l.find([]byte("never added")); w != nil {
		t.Errorf("found %q", w.text)
	}
}
