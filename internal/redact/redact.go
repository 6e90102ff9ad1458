// Package redact keeps numbers that may be somebody's out of texts that people write: statements,
// descriptions, replies, entries of the audit log. The data hold no raw identifier to compare with,
// so that it goes by form alone, and rather takes a number too many:
//
//   - nine digits or more in a row, as personal and tax numbers have, unless the last six are zeros;
//   - a word of one to three capital letters, a hyphen or none, and seven digits or more, as
//     passports and identity cards have.
//
// Fields of events are not its affair: contracts declare those that identify people.
package redact

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	numbers      = regexp.MustCompile(`\d{9,}|(?:^|[^\pL\d])\p{Lu}{1,3}-?\d{7,}`)
	placeholders = regexp.MustCompile(`‹\d+ (digits|characters)›`)
)

// round is how a number ends that is nobody's.
const round = "000000"

// Found says whether a text has a number that may be somebody's.
func Found(text string) bool { return Text(text) != text }

// Only says whether a text is such a number and nothing else.
func Only(text string) bool {
	at := numbers.FindStringIndex(text)
	return at != nil && at[0] == 0 && at[1] == len(text) && Found(text)
}

// Text is a text with a placeholder in place of each such number: ‹14 digits›, ‹9 characters›.
func Text(text string) string {
	return numbers.ReplaceAllStringFunc(text, func(found string) string {
		at := strings.IndexFunc(found, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
		number, of := found[at:], "characters"
		if unicode.IsDigit(rune(number[0])) {
			of = "digits"
			if strings.HasSuffix(number, round) {
				return found
			}
		}
		return fmt.Sprintf("%s‹%d %s›", found[:at], utf8.RuneCountInString(number), of)
	})
}

// Lacks says whether a text has such placeholders, so that it is not what was written.
func Lacks(text string) bool { return placeholders.MatchString(text) }
