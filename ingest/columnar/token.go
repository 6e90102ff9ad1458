package columnar

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// appendQuoted appends text as a JSON string. Bytes that are no UTF-8 stay as they are,
// for the checker to see.
func appendQuoted[T string | []byte](dst []byte, text T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(text) {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		if from = i + 1; c < 0x20 {
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		} else {
			dst = append(dst, '\\', c)
		}
	}
	dst = append(dst, text[from:]...)
	return append(dst, '"')
}

// appendFloat appends the shortest number that reads back as f. JSON has no NaN and no
// infinities: they become strings, which no field of numbers takes.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendQuoted(dst, strconv.FormatFloat(f, 'g', -1, bits))
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// halfFloat widens an IEEE 754 binary16.
func halfFloat(h uint16) float64 {
	sign, exponent, fraction := 1.0, int(h>>10&31), float64(h&1023)
	if h&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// maxScale is the largest scale of a decimal: that of 256 bits.
const maxScale = 76

// appendDecimal appends n × 10^-scale with all its digits.
func appendDecimal(dst []byte, n *big.Int, scale int) []byte {
	switch {
	case scale < 0:
		dst = n.Append(dst, 10)
		if n.Sign() == 0 {
			return dst
		}
		return append(dst, strings.Repeat("0", -scale)...)
	case scale == 0:
		return n.Append(dst, 10)
	}
	from := len(dst)
	dst = n.Append(dst, 10)
	if dst[from] == '-' {
		from++
	}
	if missing := scale + 1 - (len(dst) - from); missing > 0 {
		digits := string(dst[from:])
		dst = append(append(dst[:from], strings.Repeat("0", missing)...), digits...)
	}
	point := len(dst) - scale
	dst = append(dst, 0)
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst
}

// appendSmallDecimal is appendDecimal for 64 bits.
func appendSmallDecimal(dst []byte, n int64, scale int) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, n, 10)
	}
	return appendDecimal(dst, big.NewInt(n), scale)
}

// bigEndian reads two's complement, as Parquet stores decimals in bytes.
func bigEndian(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

// unit is that of a timestamp or duration.
type unit uint8

const (
	seconds unit = iota
	millis
	micros
	nanos
)

var unitNames = [...]string{"s", "ms", "us", "ns"}

// appendInstant appends a time since 1970 as RFC 3339 in UTC.
func appendInstant(dst []byte, n int64, u unit) []byte {
	var at time.Time
	switch u {
	case seconds:
		at = time.Unix(n, 0)
	case millis:
		at = time.UnixMilli(n)
	case micros:
		at = time.UnixMicro(n)
	default:
		at = time.Unix(n/1e9, n%1e9)
	}
	return append(at.UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// appendDay appends a day since 1970 as YYYY-MM-DD.
func appendDay(dst []byte, day int64) []byte {
	return append(time.Unix(day*86400, 0).UTC().AppendFormat(append(dst, '"'), time.DateOnly), '"')
}

// appendMillis appends a duration in milliseconds.
func appendMillis(dst []byte, n int64, u unit) []byte {
	switch u {
	case seconds:
		return appendDecimal(dst, new(big.Int).Mul(big.NewInt(n), big.NewInt(1000)), 0)
	case millis:
		return strconv.AppendInt(dst, n, 10)
	case micros:
		return appendDecimal(dst, big.NewInt(n), 3)
	}
	return appendDecimal(dst, big.NewInt(n), 6)
}

// appendUUID appends 16 bytes as 8-4-4-4-12 hexadecimal digits.
func appendUUID(dst, b []byte) []byte {
	dst = append(dst, '"')
	for i, end := range []int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[[]int{0, 4, 6, 8, 10}[i]:end])
	}
	return append(dst, '"')
}
