package mapping

import (
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"ombor/internal/contract"
)

// numbers reads numbers as people write them.
type numbers struct {
	decimal   rune
	thousands string // any of these may stand between groups of three digits
	times     int64
	whole     bool
}

// append writes a cell as a JSON number with exactly the digits it has. Groups are
// held to three digits, so that "1,23" is never read as 123.
func (n *numbers) append(dst []byte, cell string) ([]byte, *fault) {
	var (
		digits   uint64
		count    int // significant digits so far
		scale    int // of them behind the mark
		negative bool
		group    = -1 // digits since the last mark of thousands
		seen     bool
		fraction bool
		exponent int
	)
	text := cell
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		negative = text[0] == '-'
		text = text[1:]
	} else if rest, ok := strings.CutPrefix(text, "−"); ok { // U+2212, as typeset tables have it
		negative, text = true, rest
	}
	bad := func() ([]byte, *fault) { return dst, refuse(contract.WrongType, "%s is not a number", shown(cell)) }
	for i := 0; i < len(text); {
		b := text[i]
		if b-'0' <= 9 {
			seen = true
			if count > 0 || b != '0' {
				count++
			}
			if count > 19 {
				return dst, refuse(contract.OutOfRange, "%s has more digits than can be kept", shown(cell))
			}
			hi, lo := bits.Mul64(digits, 10)
			sum, carry := bits.Add64(lo, uint64(b-'0'), 0)
			if hi != 0 || carry != 0 {
				return dst, refuse(contract.OutOfRange, "%s has more digits than can be kept", shown(cell))
			}
			digits = sum
			if fraction {
				scale++
			} else if group >= 0 {
				group++
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == n.decimal && !fraction && (group < 0 || group == 3):
			fraction, group = true, -1
		case strings.ContainsRune(n.thousands, r) && r != utf8.RuneError && !fraction && seen && (group == 3 || group < 0 && i <= 3):
			group = 0
		case (r == 'e' || r == 'E') && seen && group < 0 && i+1 < len(text):
			e, err := strconv.Atoi(text[i+1:])
			if err != nil || e > 400 || e < -400 {
				return bad()
			}
			exponent = e
			size = len(text) - i
		default:
			return bad()
		}
		i += size
	}
	if !seen || group >= 0 && group != 3 {
		return bad()
	}
	if n.times != 0 {
		by := uint64(n.times)
		if n.times < 0 {
			by, negative = uint64(-n.times), !negative
		}
		hi, lo := bits.Mul64(digits, by)
		if hi != 0 {
			return dst, refuse(contract.OutOfRange, "%s is too large", shown(cell))
		}
		digits = lo
	}
	for scale -= exponent; scale > 0 && digits%10 == 0; scale-- {
		if digits == 0 {
			scale = 1
		}
		digits /= 10
	}
	if n.whole && scale > 0 {
		return dst, refuse(contract.WrongType, "%s is not a whole number", shown(cell))
	}
	if digits == 0 {
		return append(dst, '0'), nil
	}
	if scale < -18 || scale > 40 {
		return dst, refuse(contract.OutOfRange, "%s is outside what can be kept", shown(cell))
	}
	if negative {
		dst = append(dst, '-')
	}
	from := len(dst)
	dst = strconv.AppendUint(dst, digits, 10)
	for ; scale < 0; scale++ {
		dst = append(dst, '0')
	}
	if scale > 0 {
		for len(dst)-from <= scale {
			dst = append(dst, 0)
			copy(dst[from+1:], dst[from:])
			dst[from] = '0'
		}
		dst = append(dst, 0)
		point := len(dst) - 1 - scale
		copy(dst[point+1:], dst[point:])
		dst[point] = '.'
	}
	return dst, nil
}
