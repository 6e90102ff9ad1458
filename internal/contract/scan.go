package contract

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// An event is read in one pass over its bytes. The pass checks that they are JSON
// (RFC 8259, UTF-8, no NUL, nested no deeper than the limit) and notes where the
// attributes and the members of data stand, as tokens into the event's own bytes:
// nothing is copied and nothing allocated. What the values mean is read afterwards,
// by a field's type. A pass that fails says only that; [Batch.explain] looks at the
// event again to name the reason.

// token is one JSON value, where it stands in the event.
type token struct {
	kind       kind
	begin, end int32 // of a string what is between its quotes, else the whole value
}

type kind uint8

const (
	absent kind = iota
	isNull
	isTrue
	isFalse
	isNumber  // looks like one: parseFixed knows
	isText    // a string without escapes
	isEscaped // a string with escapes
	isObject
	isArray
)

func (k kind) isString() bool { return k == isText || k == isEscaped }

// what a person calls a JSON value of the kind.
func (k kind) String() string {
	switch k {
	case isNull:
		return "null"
	case isTrue, isFalse:
		return "boolean"
	case isNumber:
		return "number"
	case isObject:
		return "object"
	case isArray:
		return "array"
	}
	return "string"
}

// member is one member of data.
type member struct {
	name  token
	field int // index in the contract's fields, −1 when it has no such field or is not known yet
	value token
}

// followers predicts the next member of an object: senders write their members in one
// order, with few of them left out now and then. It holds for every member the one
// that came after it last time, with all bytes up to its value, and is never wrong: a
// prediction counts only when those bytes are there.
type followers []follower // by the index of the member before, +1; the first stands at 0

type follower struct {
	text  []byte // from the quote before the name to the value: `"region": `
	index int
}

// after is the member predicted after the one before, and the length of its text; 0
// when the bytes at i are another's.
func (f followers) after(before int, event []byte) (index, length int) {
	p := &f[before+1]
	if n := len(p.text); n > 0 && n <= len(event) && string(event[:n]) == string(p.text) {
		return p.index, n
	}
	return 0, 0
}

func (f followers) learn(before, index int, text []byte) {
	const longest = 128 // a longer one is not worth its memory
	if len(text) <= longest {
		p := &f[before+1]
		p.text, p.index = append(p.text[:0], text...), index
	}
}

// scanner walks over one event. Its methods take the place of the next byte and give
// that of the next after what they read; false is that this is not sound JSON.
type scanner struct {
	event   []byte
	depth   int  // of nesting, at most
	level   int  // how many objects the next value lies in
	lenient bool // takes any bytes inside strings: to find what can be named
}

// at is the byte at i, or 0, which no JSON has, after the end.
func (s *scanner) at(i int) byte {
	if uint(i) < uint(len(s.event)) {
		return s.event[i]
	}
	return 0
}

// space passes over white space: most often there is none.
func (s *scanner) space(i int) int {
	if uint(i) < uint(len(s.event)) && s.event[i] > ' ' {
		return i
	}
	return s.spaces(i)
}

func (s *scanner) spaces(i int) int {
	for uint(i) < uint(len(s.event)) {
		switch s.event[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

const (
	everyByte = 0x0101010101010101
	highBits  = 0x8080808080808080
)

// str reads a string whose first quote is before i: eight bytes at a time to the next
// that is a quote, a backslash or a control character (Mycroft's tests,
// https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord; the lowest bit
// that they set is exact).
func (s *scanner) str(i int) (t token, next int, ok bool) {
	event, begin := s.event, i
	t = token{kind: isText, begin: int32(i)}
	high := uint64(0)
	for {
		for i+8 <= len(event) {
			w := binary.LittleEndian.Uint64(event[i:])
			quote, slash := w^everyByte*'"', w^everyByte*'\\'
			stop := ((quote - everyByte) &^ quote) | ((slash - everyByte) &^ slash) | ((w - everyByte*0x20) &^ w)
			if stop &= highBits; stop == 0 {
				high |= w
				i += 8
				continue
			}
			high |= w & (stop&-stop - 1)
			i += bits.TrailingZeros64(stop) >> 3
			break
		}
		for i < len(event) && event[i] != '"' && event[i] != '\\' && event[i] >= 0x20 {
			high |= uint64(event[i])
			i++
		}
		switch c := s.at(i); {
		case i >= len(event):
			return t, i, false
		case c == '"':
			if high&highBits != 0 && !s.lenient && !utf8.Valid(event[begin:i]) {
				return t, i, false
			}
			t.end = int32(i)
			return t, i + 1, true
		case c == '\\':
			t.kind = isEscaped
			n, wrong := escape(event[i:])
			if wrong != "" {
				if n = 2; !s.lenient {
					return t, i, false
				}
			}
			i += n
		case s.lenient:
			i++
		default:
			return t, i, false
		}
	}
}

// value reads any value. Of objects and arrays it sees only that they are sound.
func (s *scanner) value(i int) (t token, next int, ok bool) {
	switch c := s.at(i); {
	case c == '"':
		return s.str(i + 1)
	case c == '-' || '0' <= c && c <= '9':
		return s.number(i)
	case c == '{' || c == '[':
		return s.nested(i)
	case c == 't':
		return s.word(i, "true", isTrue)
	case c == 'f':
		return s.word(i, "false", isFalse)
	case c == 'n' && s.at(i+1) == 'u':
		return s.word(i, "null", isNull)
	}
	return s.number(i)
}

func (s *scanner) word(i int, word string, k kind) (t token, next int, ok bool) {
	end := i + len(word)
	if end > len(s.event) || string(s.event[i:end]) != word {
		return t, i, false
	}
	return token{k, int32(i), int32(end)}, end, true
}

// number reads what is meant as a number; NaN and infinities too, which programs write
// by mistake and JSON does not have, so that the refusal names the field.
func (s *scanner) number(i int) (t token, next int, ok bool) {
	begin := i
	for uint(i) < uint(len(s.event)) {
		if c := s.event[i]; '0' <= c && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E' {
			i++
			continue
		}
		break
	}
	if signed := i == begin+1 && (s.event[begin] == '-' || s.event[begin] == '+'); i == begin || signed {
		if i+3 > len(s.event) || !bytes.EqualFold(s.event[i:i+3], []byte("nan")) && !bytes.EqualFold(s.event[i:i+3], []byte("inf")) {
			return t, i, false
		}
		i += 3
	}
	return token{isNumber, int32(begin), int32(i)}, i, true
}

// nested passes over an object or an array inside data or an attribute.
func (s *scanner) nested(i int) (t token, next int, ok bool) {
	t = token{kind: isObject, begin: int32(i)}
	if s.event[i] == '[' {
		t.kind = isArray
	}
	var stack []bool // is it an object?
	for {
		// A value begins here.
		if c := s.at(i); c == '{' || c == '[' {
			if s.level+len(stack) >= s.depth {
				return t, i, false
			}
			stack = append(stack, c == '{')
			i = s.space(i + 1)
			switch {
			case c == '{' && s.at(i) == '}', c == '[' && s.at(i) == ']':
			case c == '{':
				if _, i, ok = s.name(i); !ok {
					return t, i, false
				}
				continue
			default:
				continue
			}
		} else {
			v, after, ok := s.value(i)
			if !ok || v.kind == isNumber && !isJSONNumber(s.event[v.begin:v.end]) {
				return t, i, false
			}
			i = s.space(after)
		}
		// It has ended: what it is in goes on or ends, too.
		for {
			if len(stack) == 0 {
				t.end = int32(i)
				return t, i, true
			}
			inObject := stack[len(stack)-1]
			c := s.at(i)
			if c == ',' {
				i = s.space(i + 1)
				if inObject {
					if _, i, ok = s.name(i); !ok {
						return t, i, false
					}
				}
				break
			}
			if inObject && c != '}' || !inObject && c != ']' {
				return t, i, false
			}
			stack = stack[:len(stack)-1]
			i++
			if len(stack) > 0 {
				i = s.space(i)
			}
		}
	}
}

// name reads a member's name and colon, up to its value.
func (s *scanner) name(i int) (t token, next int, ok bool) {
	if s.at(i) != '"' {
		return t, i, false
	}
	if t, i, ok = s.str(i + 1); !ok {
		return t, i, false
	}
	if i = s.space(i); s.at(i) != ':' {
		return t, i, false
	}
	return t, s.space(i + 1), true
}

// isJSONNumber says whether a number is one as RFC 8259 has it.
func isJSONNumber(b []byte) bool {
	_, wrong := parseFixed(b, 0)
	return wrong != notNumber
}

// unescape appends what a string means. Escapes that are none, in a lenient pass, stay.
func unescape(dst, s []byte) []byte {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(dst, s...)
		}
		dst, s = append(dst, s[:i]...), s[i:]
		n, wrong := escape(s)
		switch {
		case wrong == NULByte:
			dst, n = append(dst, 0), 6
		case wrong != "":
			dst, n = append(dst, s[0]), 1
		case n == 2:
			dst = append(dst, unescaped(s[1]))
		default:
			r, _ := hex4(s[2:])
			if n == 12 {
				low, _ := hex4(s[8:])
				r = (r-0xD800)<<10 + (low - 0xDC00) + 0x10000
			}
			dst = utf8.AppendRune(dst, rune(r))
		}
		s = s[n:]
	}
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c // a quote, a backslash or a slash
}
