package contract

import (
	"fmt"
	"unicode/utf8"
)

// fault is why a value was not taken; the zero fault is none. Its reason names what
// is allowed and never repeats what was sent.
type fault struct{ code, reason string }

func (f fault) is() bool { return f.code != "" }

// wellFormed tells why an event at which a pass stopped is not sound; no fault is that
// it is malformed in another way.
func wellFormed(event []byte, maxDepth int) fault {
	if at := invalidAt(event); at < len(event) {
		return fault{InvalidUTF8, fmt.Sprintf("byte %d of the event is not UTF-8", at)}
	}
	depth := 0
	inString := false
	for i := 0; i < len(event); i++ {
		c := event[i]
		switch {
		case c == 0:
			return fault{NULByte, fmt.Sprintf("byte %d of the event is NUL", i)}
		case !inString:
			switch c {
			case '"':
				inString = true
			case '{', '[':
				if depth++; depth > maxDepth {
					return fault{TooDeep, fmt.Sprintf("objects and arrays are nested deeper than %d at byte %d; an event is an object with data, an object of plain values", maxDepth, i)}
				}
			case '}', ']':
				depth--
			}
		case c == '"':
			inString = false
		case c < 0x20:
			return fault{BadJSON, fmt.Sprintf("byte %d is a control character inside a string; write it as an escape", i)}
		case c == '\\':
			n, f := escape(event[i:])
			if f != "" {
				if f == NULByte {
					return fault{NULByte, fmt.Sprintf("the escape at byte %d is NUL", i)}
				}
				return fault{BadJSON, fmt.Sprintf("the escape at byte %d %s", i, f)}
			}
			i += n - 1
		}
	}
	return fault{}
}

// escape measures the escape that b begins with, a pair of surrogates as one.
func escape(b []byte) (length int, wrong string) {
	if len(b) < 2 {
		return 0, "is cut off"
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, ""
	case 'u':
	default:
		return 0, "is none of JSON's"
	}
	first, ok := hex4(b[2:])
	switch {
	case !ok:
		return 0, "has not four hexadecimal digits"
	case first == 0:
		return 0, NULByte
	case first < 0xD800 || first > 0xDFFF:
		return 6, ""
	case first < 0xDC00 && len(b) >= 12 && b[6] == '\\' && b[7] == 'u':
		if second, ok := hex4(b[8:]); ok && second >= 0xDC00 && second <= 0xDFFF {
			return 12, ""
		}
	}
	return 0, "is half of a surrogate pair"
}

func hex4(b []byte) (v uint32, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		v = v<<4 | uint32(d)
	}
	return v, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// invalidAt is the offset of the first byte that is not UTF-8.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(b)
}
