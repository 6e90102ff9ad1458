package protocol

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
)

func float64FromBits(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

// quote is s as a string literal of ClickHouse SQL.
func quote(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('\'')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\'', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case 0:
			b.WriteString(`\0`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// QuoteString is s as a string literal of ClickHouse SQL.
func QuoteString(s string) string { return quote(s) }

// QuoteIdentifier is name as it may stand in ClickHouse SQL: bare when it is a
// plain word, else in backticks.
func QuoteIdentifier(name string) string {
	if plainWord(name) {
		return name
	}
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(name) + "`"
}

func plainWord(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !wordByte(s[i]) {
			return false
		}
	}
	switch strings.ToLower(s) { // words the parser would read as something else
	case "distinct", "all", "table", "select", "from", "date", "null", "not":
		return false
	}
	return true
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Statement is what a door has to know of a query before it runs it: it does not
// judge the query, the engine's own parser does.
type Statement struct {
	// Verb is the statement's first word in upper case: SELECT, INSERT, CREATE …
	// A statement that begins with a parenthesis is a SELECT. Empty when there is
	// no statement.
	Verb string
	// Streams says that the statement is a SELECT, possibly after WITH.
	Streams bool
	// Format is the word after the statement's own FORMAT; empty when it has none.
	Format string
	// Data says that data for an INSERT may follow at DataAt: after FORMAT, or
	// after VALUES.
	Data bool
	// DataAt is the offset of the first byte of that data in the text: behind the
	// white space and the one line break that belong to the statement.
	DataAt int
	// SourceAt and FormatAt cut the text of such an INSERT in three: up to SourceAt
	// the statement's table and columns, up to FormatAt its settings, then its
	// format and data.
	SourceAt, FormatAt int
	// InputAt and InputEnd enclose the word and the opening parenthesis of input(…)
	// in an INSERT … SELECT that reads its data from there; zero when it does not.
	InputAt, InputEnd int
	// Tail are settings that stand behind the format: " SETTINGS a = 1".
	Tail string
	// NeedsFormat says that the statement is an INSERT that ends after its
	// columns: its data follows in a format that is named elsewhere.
	NeedsFormat bool
	// More says that another statement follows the first.
	More bool
	// Totals says that the word TOTALS occurs: the answer may have totals at its end.
	Totals bool
	// ClientFile says that the statement names a file of the client (INTO OUTFILE,
	// FROM INFILE), which an HTTP door does not have.
	ClientFile bool
	// Session says that the statement changes its connection (SET, USE, temporary
	// tables), so that the connection must not be given to anyone else.
	Session bool
}

// Read looks at the beginning of a query: text may be cut off inside an INSERT's
// data, and its bytes need not be text there.
func Read(text []byte) Statement {
	l := lexer{text: text}
	var s Statement
	var last, beforeLast string // the last two words at depth 0
	settingsAt := -1            // where SETTINGS begins at depth 0
	formatAt := 0               // where FORMAT begins
	depth, word := 0, 0
	with, clause := false, false // clause: the last word named a FORMAT, which must end the statement
	for {
		t := l.next()
		if t.kind == tokenEnd {
			break
		}
		if clause {
			clause = false
			if !(t.kind == tokenSymbol && t.text[0] == ';') && !(t.kind == tokenWord && strings.EqualFold(string(t.text), "SETTINGS")) {
				s.Format = "" // a column or table called format
			}
		}
		if s.Verb == "" && t.kind == tokenSymbol && t.text[0] == '(' {
			s.Verb, s.Streams = "SELECT", true
		}
		if t.kind == tokenSymbol {
			switch t.text[0] {
			case '(':
				depth++
			case ')':
				depth--
			case ';':
				if s.Verb != "" && l.next().kind != tokenEnd {
					s.More = true
				}
				if s.Verb != "" {
					s.NeedsFormat = s.NeedsFormat && !s.More
					return s
				}
			}
		}
		if t.kind != tokenWord {
			if depth == 0 {
				beforeLast, last = last, ""
			}
			continue
		}
		upper := strings.ToUpper(string(t.text))
		if s.Verb == "" {
			s.Verb = upper
			s.Streams = upper == "SELECT" || upper == "WITH" || upper == "FROM"
			with = upper == "WITH"
			s.NeedsFormat = upper == "INSERT"
			s.Session = upper == "SET" || upper == "USE"
			last, word = upper, 1
			continue
		}
		word++
		switch {
		case upper == "TOTALS" && last == "WITH":
			s.Totals = true
		case upper == "OUTFILE" && last == "INTO" || upper == "INFILE" && last == "FROM":
			s.ClientFile = true
		case upper == "TEMPORARY" && word <= 5:
			s.Session = true
		case s.Verb == "INSERT" && upper == "INPUT" && s.InputAt == 0 && l.opens():
			s.InputAt = l.pos - len(t.text)
			l.next()
			depth++
			s.InputEnd = l.pos
		case with && depth == 0 && upper == "INSERT":
			s.Verb, s.Streams, s.NeedsFormat = "INSERT", false, true
		case s.Verb == "INSERT" && last != "INTO" && last != "TABLE" &&
			(upper == "SELECT" || depth == 0 && (upper == "WITH" || upper == "FROM")):
			s.NeedsFormat = false // it inserts what it reads
		case s.Verb == "INSERT" && s.NeedsFormat && upper == "VALUES" && last != "INTO" && last != "TABLE" && depth == 0:
			s.data(&l, "Values", settingsAt, l.pos-len(t.text))
			return s
		case last == "FORMAT" && depth == 0 && beforeLast != "INTO":
			s.Format, clause = string(t.text), true
			if s.Verb == "INSERT" && (s.NeedsFormat || s.InputAt > 0) {
				s.data(&l, s.Format, settingsAt, formatAt)
				return s
			}
		}
		if depth == 0 && upper == "FORMAT" {
			formatAt = l.pos - len(t.text)
		}
		if depth == 0 && upper == "SETTINGS" && settingsAt < 0 {
			settingsAt = l.pos - len(t.text)
		}
		if depth == 0 {
			beforeLast, last = last, upper
		}
	}
	return s
}

// data notes where the data of an INSERT begins; l stands behind its format.
func (s *Statement) data(l *lexer, format string, settingsAt, formatAt int) {
	s.Format, s.Data, s.NeedsFormat = format, true, false
	s.SourceAt, s.FormatAt = formatAt, formatAt
	if settingsAt >= 0 && settingsAt < formatAt {
		s.SourceAt = settingsAt
	}
	at := l.pos
	if format != "Values" { // settings may stand behind a FORMAT, where VALUES has its data
		if t := l.next(); t.kind == tokenWord && strings.EqualFold(string(t.text), "SETTINGS") {
			from := l.pos - len(t.text)
			at = l.assignments()
			s.Tail = " " + string(l.text[from:at])
		}
	}
	// ParserInsertQuery.cpp: spaces, a semicolon, spaces, and one line break.
	blank := func() {
		for at < len(l.text) && (l.text[at] == ' ' || l.text[at] == '\t' || l.text[at] == '\f') {
			at++
		}
	}
	blank()
	if at < len(l.text) && l.text[at] == ';' {
		at++
		blank()
	}
	if at < len(l.text) && l.text[at] == '\r' {
		at++
	}
	if at < len(l.text) && l.text[at] == '\n' {
		at++
	}
	s.DataAt = at
}

// opens says that a parenthesis opens next.
func (l *lexer) opens() bool {
	ahead := *l
	t := ahead.next()
	return t.kind == tokenSymbol && t.text[0] == '('
}

// assignments passes name = value, name = value … and returns the offset behind
// the last value.
func (l *lexer) assignments() int {
	end := l.pos
	for {
		if l.next().kind != tokenWord {
			return end
		}
		if t := l.next(); t.kind != tokenSymbol || t.text[0] != '=' {
			return end
		}
		t := l.next()
		if t.kind == tokenSymbol && (t.text[0] == '-' || t.text[0] == '+') {
			t = l.next()
		}
		if t.kind == tokenSymbol || t.kind == tokenEnd {
			return end
		}
		end = l.pos
		if t := l.next(); t.kind != tokenSymbol || t.text[0] != ',' {
			return end
		}
	}
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenNumber
	tokenString
	tokenQuoted
	tokenSymbol
)

type token struct {
	kind tokenKind
	text []byte
}

// lexer splits ClickHouse SQL: comments and white space are skipped.
type lexer struct {
	text []byte
	pos  int
}

func (l *lexer) next() token {
	l.skip()
	if l.pos >= len(l.text) {
		return token{}
	}
	start := l.pos
	switch c := l.text[l.pos]; {
	case c >= '0' && c <= '9':
		for l.pos < len(l.text) && (wordByte(l.text[l.pos]) || l.text[l.pos] == '.') {
			l.pos++
		}
		return token{tokenNumber, l.text[start:l.pos]}
	case wordByte(c):
		for l.pos < len(l.text) && wordByte(l.text[l.pos]) {
			l.pos++
		}
		return token{tokenWord, l.text[start:l.pos]}
	case c == '\'':
		l.quoted(c)
		return token{tokenString, l.text[start:l.pos]}
	case c == '`' || c == '"':
		l.quoted(c)
		return token{tokenQuoted, l.text[start:l.pos]}
	case c == '$':
		if l.heredoc() {
			return token{tokenString, l.text[start:l.pos]}
		}
	}
	l.pos++
	return token{tokenSymbol, l.text[start:l.pos]}
}

func (l *lexer) skip() {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch c := rest[0]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			l.pos++
		case has(rest, "--"), has(rest, "#!"), has(rest, "# "):
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
		case has(rest, "/*"):
			level := 0 // block comments nest
			for l.pos < len(l.text) {
				if has(l.text[l.pos:], "/*") {
					level++
					l.pos += 2
				} else if has(l.text[l.pos:], "*/") {
					l.pos += 2
					if level--; level == 0 {
						break
					}
				} else {
					l.pos++
				}
			}
		default:
			return
		}
	}
}

func has(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

func (l *lexer) quoted(mark byte) {
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch l.text[l.pos] {
		case '\\':
			l.pos++
		case mark:
			l.pos++
			if l.pos < len(l.text) && l.text[l.pos] == mark {
				continue
			}
			return
		}
	}
	l.pos = len(l.text)
}

// heredoc reads $tag$ … $tag$.
func (l *lexer) heredoc() bool {
	end := l.pos + 1
	for end < len(l.text) && wordByte(l.text[end]) {
		end++
	}
	if end >= len(l.text) || l.text[end] != '$' {
		return false
	}
	tag := l.text[l.pos : end+1]
	if i := bytes.Index(l.text[end+1:], tag); i >= 0 {
		l.pos = end + 1 + i + len(tag)
		return true
	}
	return false
}

// SplitTypes splits a list of types at its own commas: "UInt64, Map(String, Date)"
// has two.
func SplitTypes(list string) []string {
	var parts []string
	depth, start := 0, 0
	l := lexer{text: []byte(list)}
	for {
		t := l.next()
		if t.kind == tokenEnd {
			return append(parts, strings.TrimSpace(list[start:]))
		}
		if t.kind != tokenSymbol {
			continue
		}
		switch t.text[0] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(list[start:l.pos-1]))
				start = l.pos
			}
		}
	}
}
