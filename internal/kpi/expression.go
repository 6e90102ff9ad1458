package kpi

import "strings"

// scanner takes a ClickHouse expression apart into words, numbers, quoted text and
// single signs. It knows just enough of the language to find where things end.
type scanner struct {
	text  string
	start int // byte where the token begins
	at    int // byte after it
	fault string
}

// next is the next token; false at the end or at a fault. Quoted text keeps its
// quotes.
func (s *scanner) next() (string, bool) {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	s.start = s.at
	if s.at == len(s.text) {
		return "", false
	}
	switch c := s.text[s.at]; {
	case c == '\'' || c == '"' || c == '`':
		return s.quoted(c)
	case c >= '0' && c <= '9':
		s.number()
	case wordByte(c) || c >= 0x80:
		for s.at < len(s.text) && (wordByte(s.text[s.at]) || s.text[s.at] >= 0x80) {
			s.at++
		}
	case c == ';':
		s.fault = "; is not allowed: a formula is one expression"
		return "", false
	case strings.HasPrefix(s.text[s.at:], "--") || strings.HasPrefix(s.text[s.at:], "/*") || c == '#':
		s.fault = "comments are not allowed in a formula"
		return "", false
	case strings.HasPrefix(s.text[s.at:], "->") || strings.HasPrefix(s.text[s.at:], "::"):
		s.at += 2
	default:
		s.at++
	}
	return s.text[s.start:s.at], true
}

// quoted reads to the quote that closes, past \x and doubled quotes.
func (s *scanner) quoted(quote byte) (string, bool) {
	for i := s.at + 1; i < len(s.text); i++ {
		switch {
		case s.text[i] == '\\':
			i++
		case s.text[i] == quote && i+1 < len(s.text) && s.text[i+1] == quote:
			i++
		case s.text[i] == quote:
			s.at = i + 1
			return s.text[s.start:s.at], true
		}
	}
	s.fault = "this quote is never closed"
	return "", false
}

// number reads 12, 1.5, 1e9, 0x1F.
func (s *scanner) number() {
	for s.at < len(s.text) {
		c := s.text[s.at]
		exponent := (c == '+' || c == '-') && strings.IndexByte("eE", s.text[s.at-1]) >= 0 && !strings.HasPrefix(s.text[s.start:], "0x")
		if !wordByte(c) && c != '.' && !exponent {
			return
		}
		s.at++
	}
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// inexact finds what turns a whole or decimal amount into a float: a number with a
// point or exponent, a division, a conversion. at is -1 when there is nothing.
func inexact(expression string) (at int, what string) {
	s := scanner{text: expression}
	for {
		token, ok := s.next()
		if !ok {
			return -1, ""
		}
		switch c := token[0]; {
		case c >= '0' && c <= '9' && strings.ContainsAny(token, ".eE") && !strings.HasPrefix(token, "0x"):
			return s.start, token
		case token == "/":
			return s.start, "a division"
		case strings.HasPrefix(strings.ToLower(token), "tofloat"), strings.EqualFold(token, "float64"), strings.EqualFold(token, "float32"):
			return s.start, token
		}
	}
}

// Columns are the names that an expression reads, each once, in the order in which
// they stand: words that are no function, keyword, type or parameter of a lambda.
// `quoted` and "quoted" names count without their quotes. A field of a matched row is
// one name, its.field.
func Columns(expression string) []string {
	type word struct {
		text   string
		quoted bool
	}
	var words []word
	s := scanner{text: expression}
	for {
		token, ok := s.next()
		if !ok {
			break
		}
		words = append(words, word{token, false})
		if token[0] == '`' || token[0] == '"' {
			words[len(words)-1] = word{token[1 : len(token)-1], true}
		}
	}
	local := map[string]bool{} // parameters of lambdas
	for i, w := range words {
		if w.text != "->" || i == 0 {
			continue
		}
		local[words[i-1].text] = true
		if words[i-1].text == ")" {
			for j := i - 2; j >= 0 && words[j].text != "("; j-- {
				local[words[j].text] = true
			}
		}
	}
	var columns []string
	seen := map[string]bool{}
	for i, w := range words {
		if w.text == "its" && i+2 < len(words) && words[i+1].text == "." {
			words[i+2].text, words[i+2].quoted = "its."+words[i+2].text, true
			continue
		}
		if w.text == "" || seen[w.text] || local[w.text] {
			continue
		}
		if !w.quoted {
			c := w.text[0]
			if !wordByte(c) || c >= '0' && c <= '9' || keywords[strings.ToUpper(w.text)] {
				continue
			}
			if i+1 < len(words) && words[i+1].text == "(" { // a function
				continue
			}
			if i > 0 && (words[i-1].text == "::" || strings.EqualFold(words[i-1].text, "AS")) { // a type
				continue
			}
		}
		seen[w.text] = true
		columns = append(columns, w.text)
	}
	return columns
}

// Comparison is a field that an expression holds against a text.
type Comparison struct{ Column, Text string }

// Comparisons are the texts that an expression holds a field against: kind = 'a', 'a' != kind,
// kind IN ('a', 'b'). A field of a matched row is its.field.
func Comparisons(expression string) []Comparison {
	var words []string
	for s := (scanner{text: expression}); ; {
		token, ok := s.next()
		if !ok {
			break
		}
		if n := len(words); n >= 2 && words[n-1] == "." && words[n-2] == "its" { // one name
			words = append(words[:n-2], "its."+token)
			continue
		}
		if n := len(words); n > 0 && (token == "=" || token == ">") && strings.Contains("=!<", words[n-1]) { // one sign
			words[n-1] += token
			continue
		}
		words = append(words, token)
	}
	at := func(i int) string {
		if i < 0 || i >= len(words) {
			return " "
		}
		return words[i]
	}
	var found []Comparison
	add := func(column, text string) {
		if column = strings.Trim(column, "`\""); text[0] == '\'' && wordByte(column[0]) {
			text = strings.NewReplacer("''", "'", `\\`, `\`, `\'`, "'").Replace(text[1 : len(text)-1])
			found = append(found, Comparison{column, text})
		}
	}
	for i, word := range words {
		switch word {
		case "=", "==", "!=", "<>":
			if next := at(i + 2); next != "(" && next != "." { // a function's name
				add(at(i+1), at(i-1))
			}
			add(at(i-1), at(i+1))
		}
		if !strings.EqualFold(word, "IN") || at(i+1) != "(" {
			continue
		}
		column := at(i - 1)
		if strings.EqualFold(column, "NOT") {
			column = at(i - 2)
		}
		for j := i + 2; j < len(words) && words[j] != ")"; j++ {
			add(column, words[j])
		}
	}
	return found
}

var keywords = func() map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(`AND OR NOT XOR IN IS NULL LIKE ILIKE REGEXP BETWEEN CASE WHEN THEN ELSE END TRUE FALSE
		INTERVAL SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR DIV MOD AS DATE TIMESTAMP DISTINCT GLOBAL INF NAN
		FROM FOR BOTH LEADING TRAILING CAST EXTRACT`) {
		set[word] = true
	}
	return set
}()

// Apart says whether no row can meet both conditions, as far as that can be read off them: both ask a column, among other
// things, to be a text, and not the same one.
func Apart(a, b string) bool {
	others := mustBe(b)
	for column, text := range mustBe(a) {
		if other, ok := others[column]; ok && other != text {
			return true
		}
	}
	return false
}

// mustBe are the columns that a condition asks to be a text, with it, in quotes: of "a = 'x' AND …" a.
func mustBe(condition string) map[string]string {
	found := map[string]string{}
	var part []string // of the conjunction
	depth := 0
	end := func() {
		if len(part) == 3 && wordByte(part[0][0]) && part[1] == "=" && part[2][0] == '\'' && !strings.Contains(part[2], `\`) {
			found[part[0]] = part[2]
		}
		part = nil
	}
	s := scanner{text: condition}
	for {
		token, ok := s.next()
		if !ok {
			break
		}
		switch {
		case token == "(" || token == "[":
			depth++
		case token == ")" || token == "]":
			depth--
		case depth == 0 && strings.EqualFold(token, "AND"):
			end()
			continue
		case depth == 0 && (strings.EqualFold(token, "OR") || token == "?"):
			return nil
		}
		part = append(part, token)
	}
	if end(); s.fault != "" {
		return nil
	}
	return found
}
