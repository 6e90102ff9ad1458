package mapping

import (
	"fmt"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// plainByte says which bytes stand for themselves in a JSON string, as long as the
// whole is ASCII.
var plainByte = func() (plain [256]bool) {
	for b := 0x20; b < utf8.RuneSelf; b++ {
		plain[b] = b != '"' && b != '\\'
	}
	return plain
}()

// appendText writes a JSON string; false when the bytes are not UTF-8.
func appendText[T string | []byte](dst []byte, text T) ([]byte, bool) {
	dst = append(dst, '"')
	for i := 0; i < len(text); i++ {
		if !plainByte[text[i]] {
			return appendHardText(append(dst, text[:i]...), text[i:])
		}
	}
	dst = append(dst, text...)
	return append(dst, '"'), true
}

func appendHardText[T string | []byte](dst []byte, text T) ([]byte, bool) {
	if !utf8.ValidString(string(text)) {
		return dst, false
	}
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case plainByte[b] || b >= utf8.RuneSelf:
			dst = append(dst, b)
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		case b == '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		}
	}
	return append(dst, '"'), true
}

// shown is a cell for a message: quoted, and no longer than a line.
func shown(cell string) string {
	const most = 60
	if len(cell) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(cell[cut]) {
			cut--
		}
		return fmt.Sprintf("%q…", cell[:cut])
	}
	return fmt.Sprintf("%q", cell)
}
