package governed

import (
	"bytes"
	"strings"

	"ombor/internal/protocol"
)

// kind is what a statement is, as its first words say.
type kind int

const (
	isQuery    kind = iota // SELECT, WITH, FROM or an opening parenthesis
	isExplain              // EXPLAIN [kind] [option = n, …] query
	isShow                 // SHOW DATABASES, EXISTS DATABASE, SHOW TABLES [FROM database] [LIKE pattern]
	isDescribe             // DESCRIBE, SHOW CREATE, SHOW COLUMNS and EXISTS of one table
	isUse                  // USE database
	isSet                  // SET name = value, …
	isKill                 // KILL QUERY WHERE query_id = '…'
)

// statement is a text as it was read. What the engine is given is text: everything that its lexer
// and this one could see differently has been refused, and comments, a last semicolon, FORMAT and
// SETTINGS are blanks, so that positions in the engine's messages are those of the client's text.
type statement struct {
	kind     kind
	text     string
	plan     bool            // an EXPLAIN that tells how much of a table is read
	query    string          // the query alone: of EXPLAIN without what stands before it
	format   string          // of FORMAT; empty: none
	settings []protocol.Pair // of SETTINGS or SET, wherever they stood
	database string          // of isShow, isDescribe and isUse; empty: none was named
	table    string          // of isDescribe
	id       string          // of isKill
	common   []string        // names of the subqueries in WITH, in their order
}

// Bounds of a statement.
const (
	maxStatement = 256 << 10 // bytes: the engine's own max_query_size
	maxNesting   = 200       // of brackets of all kinds
)

func refusal(format string, args ...any) *protocol.Exception {
	return protocol.Exceptionf(protocol.CodeAccessDenied, format, args...)
}

func syntax(format string, args ...any) *protocol.Exception {
	return protocol.Exceptionf(protocol.CodeSyntaxError, format, args...)
}

// readStatement reads one statement. It knows where words, quotes and comments begin and end, and
// judges nothing that the engine's parser will tell. Errors are [*protocol.Exception].
func readStatement(text string) (*statement, error) {
	if len(text) > maxStatement {
		return nil, protocol.Exceptionf(protocol.CodeQueryIsTooLarge, "the statement is %d bytes long; at most %d are allowed. Send long lists as an external table", len(text), maxStatement)
	}
	r := reader{text: []byte(text)}
	if err := r.split(); err != nil {
		return nil, err
	}
	if len(r.tokens) == 0 {
		return nil, syntax("Empty query")
	}
	if err := r.takeSettings(); err != nil {
		return nil, err
	}
	s := &r.statement
	if n := len(r.tokens); n > 2 && r.word(n-2, "FORMAT") && r.tokens[n-1].kind == word && r.tokens[n-2].depth == 0 {
		s.format = r.of(n - 1)
		r.blank(n-2, n)
	}
	if len(r.tokens) == 0 {
		return nil, syntax("Empty query")
	}
	err := r.classify()
	r.findCommon()
	s.text = string(r.text)
	if s.kind == isQuery {
		s.query = s.text
	}
	return s, err
}

// tokenKind is what a piece of a statement is.
type tokenKind byte

const (
	word   tokenKind = iota // letters, digits and _, numbers among them
	text                    // '…'
	quoted                  // `…` or "…"
	symbol                  // one byte
)

type token struct {
	kind    tokenKind
	at, end int // offsets
	depth   int // brackets that are open
}

type reader struct {
	text   []byte
	tokens []token
	statement
}

// symbols are the bytes that may stand outside of quotes beside words and blanks. Not among them
// are $ (heredocs), \ (\G), # (comments of some lexers), NUL, and everything that is not ASCII
// (curly quotes, dashes and blanks that some lexers take for the plain ones).
const symbols = "()[]{},.:?=<>!+-*/%|^&~@"

// split finds the tokens and blanks comments and the last semicolon.
func (r *reader) split() error {
	var open []byte
	ended := false // a semicolon has been seen
	for i := 0; i < len(r.text); {
		c := r.text[i]
		rest := string(r.text[i:min(i+2, len(r.text))])
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			i++
			continue
		case rest == "--" || rest == "//" || rest == "#!" || rest == "# ":
			for i < len(r.text) && r.text[i] != '\n' {
				r.text[i] = ' '
				i++
			}
			continue
		case rest == "/*":
			end, ok := comment(r.text, i)
			if !ok {
				return syntax("a comment is not closed")
			}
			for ; i < end; i++ {
				if r.text[i] != '\n' {
					r.text[i] = ' '
				}
			}
			continue
		case c == ';':
			ended = true
			r.text[i] = ' '
			i++
			continue
		}
		if ended {
			return syntax("Syntax error (Multi-statements are not allowed): send one statement in a request")
		}
		t := token{kind: symbol, at: i, end: i + 1, depth: len(open)}
		switch {
		case wordByte(c):
			t.kind = word
			for t.end < len(r.text) && wordByte(r.text[t.end]) {
				t.end++
			}
		case c == '\'' || c == '`' || c == '"':
			t.kind = quoted
			if c == '\'' {
				t.kind = text
			}
			end, ok := closing(r.text, i)
			if !ok {
				return syntax("a quotation mark at position %d is not closed", i+1)
			}
			t.end = end
			if err := plainName(t.kind, r.text[i+1:end-1]); err != nil {
				return err
			}
		case strings.IndexByte("([{", c) >= 0:
			open = append(open, c)
			if len(open) > maxNesting {
				return protocol.Exceptionf(protocol.CodeTooDeep, "brackets are nested deeper than %d", maxNesting)
			}
		case strings.IndexByte(")]}", c) >= 0:
			if len(open) == 0 || open[len(open)-1] != "([{"[strings.IndexByte(")]}", c)] {
				return syntax("a bracket at position %d closes what is not open", i+1)
			}
			open = open[:len(open)-1]
			t.depth--
		case strings.IndexByte(symbols, c) < 0:
			return syntax("the byte %#02x at position %d may stand in quotation marks alone", c, i+1)
		}
		r.tokens = append(r.tokens, t)
		i = t.end
	}
	if len(open) > 0 {
		return syntax("a bracket is not closed")
	}
	return nil
}

// comment finds the end of a comment, which may hold others.
func comment(b []byte, i int) (end int, closed bool) {
	for level := 0; i+1 < len(b); {
		switch string(b[i : i+2]) {
		case "/*":
			level++
			i += 2
		case "*/":
			i += 2
			if level--; level == 0 {
				return i, true
			}
		default:
			i++
		}
	}
	return 0, false
}

// closing finds the end of what is quoted from i on.
func closing(b []byte, i int) (end int, closed bool) {
	mark := b[i]
	for i++; i < len(b); i++ {
		switch {
		case b[i] == 0:
			return 0, false
		case b[i] == '\\':
			i++
		case b[i] == mark && i+1 < len(b) && b[i+1] == mark:
			i++
		case b[i] == mark:
			return i + 1, true
		}
	}
	return 0, false
}

// plainName refuses quoted names that could look like something else in the engine's own listing
// of what it parsed: see [parseTree].
func plainName(k tokenKind, name []byte) error {
	if k == text {
		return nil
	}
	for _, c := range name {
		if c < ' ' || c == '\\' || c == '`' || c == '"' || c == 0x7f {
			return refusal("a quoted name may not hold quotation marks, backslashes or control characters")
		}
	}
	if s := string(name); strings.TrimSpace(s) == "" || strings.Contains(s, "(children") || strings.Contains(s, "(alias") {
		return refusal("%q cannot be used as a name here", name)
	}
	return nil
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// of is the text of a token; of a quoted name without its marks.
func (r *reader) of(i int) string {
	t := r.tokens[i]
	if t.kind == quoted {
		return string(r.text[t.at+1 : t.end-1])
	}
	return string(r.text[t.at:t.end])
}

// word says whether a token is one of some words, in any case.
func (r *reader) word(i int, words ...string) bool {
	if i >= len(r.tokens) || r.tokens[i].kind != word {
		return false
	}
	for _, w := range words {
		if strings.EqualFold(r.of(i), w) {
			return true
		}
	}
	return false
}

// is says whether a token is a symbol.
func (r *reader) is(i int, symbol_ byte) bool {
	return i < len(r.tokens) && r.tokens[i].kind == symbol && r.text[r.tokens[i].at] == symbol_
}

// blank takes tokens out of the text.
func (r *reader) blank(from, to int) {
	for i := r.tokens[from].at; i < r.tokens[to-1].end; i++ {
		if r.text[i] != '\n' {
			r.text[i] = ' '
		}
	}
	r.tokens = append(r.tokens[:from:from], r.tokens[to:]...)
}

// takeSettings takes every SETTINGS name = value, … out of the text, also those of subqueries.
// What it does not recognise stays, and the engine's parser will show it.
func (r *reader) takeSettings() error {
	for i := 1; i < len(r.tokens); i++ {
		if !r.word(i, "SETTINGS") || i+1 >= len(r.tokens) || r.tokens[i+1].kind == symbol || !r.is(i+2, '=') {
			continue
		}
		end, err := r.assignments(i + 1)
		if err != nil {
			return err
		}
		r.blank(i, end)
		i--
	}
	return nil
}

// assignments reads name = value, … from a token on, and returns the index behind them.
func (r *reader) assignments(i int) (end int, err error) {
	for {
		if i+2 >= len(r.tokens) || r.tokens[i].kind != word || !r.is(i+1, '=') {
			return 0, refusal("settings are given as name = value, with a number or a string")
		}
		name, value, at := r.of(i), "", i+2
		sign := ""
		if r.is(at, '-') || r.is(at, '+') {
			sign = r.of(at)
			at++
		}
		if at >= len(r.tokens) {
			return 0, refusal("the setting %s has no value", name)
		}
		switch t := r.tokens[at]; {
		case t.kind == text && sign == "":
			plain := r.text[t.at+1 : t.end-1]
			if strings.ContainsAny(string(plain), `\'`) {
				return 0, refusal("the value of the setting %s may not hold quotation marks or backslashes", name)
			}
			value = string(plain)
		case t.kind == word:
			value = sign + r.of(at)
			for at+1 < len(r.tokens) && r.tokens[at+1].at == r.tokens[at].end && (r.is(at+1, '.') || r.tokens[at+1].kind == word) { // 0.5
				at++
				value += r.of(at)
			}
		default:
			return 0, refusal("the setting %s needs a number or a string", name)
		}
		r.settings = append(r.settings, protocol.Pair{Name: name, Value: value})
		if i = at + 1; !r.is(i, ',') || i+2 >= len(r.tokens) || !r.is(i+2, '=') {
			return i, nil
		}
		i++
	}
}

// explainable are the kinds of EXPLAIN. All of them explain a query that has been judged.
var explainable = map[string]bool{"": true, "PLAN": true, "AST": true, "SYNTAX": true, "PIPELINE": true, "ESTIMATE": true, "QUERY TREE": true}

// explainOptions are what may be asked of an EXPLAIN, as name = number.
var explainOptions = map[string]bool{
	"header": true, "description": true, "indexes": true, "actions": true, "json": true, "projections": true, "sorting": true, "keep_logical_steps": true,
	"pretty": true, "compact": true, "graph": true, "oneline": true, "run_passes": true, "dump_passes": true, "passes": true, "dump_tree": true, "dump_ast": true,
	"run_query_tree_passes": true, "query_tree_passes": true, "distributed": true,
}

// classify says what the statement is.
func (r *reader) classify() error {
	s := &r.statement
	switch {
	case r.word(0, "SELECT", "WITH", "FROM") || r.is(0, '('):
		s.kind = isQuery
		return nil
	case r.word(0, "EXPLAIN"):
		s.kind = isExplain
		return r.explain()
	case r.word(0, "SHOW") && r.word(1, "DATABASES", "TABLES"):
		s.kind = isShow
		return r.show()
	case r.word(0, "DESCRIBE", "DESC"):
		return r.describe(1, "TABLE")
	case r.word(0, "EXISTS") && r.word(1, "DATABASE") && len(r.tokens) == 3 && r.tokens[2].kind != symbol && r.tokens[2].kind != text:
		s.kind, s.database = isShow, r.of(2)
		return nil
	case r.word(0, "EXISTS"):
		return r.describe(1, "TABLE", "VIEW")
	case r.word(0, "SHOW") && r.word(1, "CREATE"):
		return r.describe(2, "TABLE", "VIEW")
	case r.word(0, "USE") && len(r.tokens) == 2 && r.tokens[1].kind != symbol:
		s.kind, s.database = isUse, r.of(1)
		return nil
	case r.word(0, "SET") && len(r.tokens) > 1:
		s.kind = isSet
		end, err := r.assignments(1)
		if err == nil && end < len(r.tokens) {
			err = refusal("SET takes name = value, …")
		}
		return err
	case r.word(0, "KILL") && r.word(1, "QUERY"):
		s.kind = isKill
		n := len(r.tokens)
		if r.word(n-1, "ASYNC", "SYNC") {
			n--
		}
		if n != 6 || !r.word(2, "WHERE") || !r.word(3, "query_id") || !r.is(4, '=') || r.tokens[5].kind != text {
			return refusal("KILL QUERY WHERE query_id = '…' ends a query of your own; there is no other KILL")
		}
		t := r.tokens[5]
		s.id = string(r.text[t.at+1 : t.end-1])
		return nil
	}
	if !r.word(0, verbs...) {
		return r.slip(0, "SELECT, WITH, EXPLAIN, SHOW, DESCRIBE, EXISTS, USE, SET")
	}
	return protocol.Exceptionf(protocol.CodeReadonly, "%.40s: only reading is possible here: SELECT, EXPLAIN, SHOW TABLES, DESCRIBE", strings.ToUpper(r.of(0)))
}

// slip is the syntax error of a statement that begins at a token with what no statement begins with.
func (r *reader) slip(i int, expected string) error {
	at := r.tokens[i].at
	return syntax("Syntax error: failed at position %d (%.40s): %.100s. Expected one of: %s", at+1, r.of(i), bytes.TrimSpace(r.text[at:]), expected)
}

// verbs begin statements of ClickHouse. Whatever else a statement begins with is a slip of the pen.
var verbs = strings.Fields(`ALTER ATTACH BACKUP BEGIN CALL CHECK COMMIT COPY CREATE DELETE DETACH DROP EXCHANGE EXECUTE EXISTS GRANT INSERT KILL MOVE OPTIMIZE
	PARALLEL RENAME REPLACE RESTORE REVOKE ROLLBACK SET SHOW START SYSTEM TRUNCATE UNDROP UPDATE USE WATCH`)

// explain finds the query behind EXPLAIN.
func (r *reader) explain() error {
	i, what := 1, ""
	for ; r.word(i, "PLAN", "AST", "SYNTAX", "PIPELINE", "ESTIMATE", "QUERY", "TREE", "TABLE", "OVERRIDE", "CURRENT", "TRANSACTION"); i++ {
		what = strings.TrimSpace(what + " " + strings.ToUpper(r.of(i)))
	}
	if !explainable[what] {
		return refusal("EXPLAIN %s is not possible here", what)
	}
	r.plan = what == "" || what == "PLAN" || what == "PIPELINE" || what == "ESTIMATE"
	for r.tokens[min(i, len(r.tokens)-1)].kind == word && r.is(i+1, '=') {
		if !explainOptions[strings.ToLower(r.of(i))] || i+2 >= len(r.tokens) || r.tokens[i+2].kind != word {
			return refusal("EXPLAIN does not take %s here", r.of(i))
		}
		if i += 3; r.is(i, ',') {
			i++
		}
	}
	if !r.word(i, "SELECT", "WITH", "FROM") && !r.is(i, '(') {
		if i < len(r.tokens) && !r.word(i, "SHOW", "DESCRIBE", "DESC", "USE", "SET", "EXPLAIN") && !r.word(i, verbs...) {
			return r.slip(i, "SELECT, WITH")
		}
		return refusal("only a query can be explained here")
	}
	r.query = strings.Repeat(" ", r.tokens[i].at) + string(r.text[r.tokens[i].at:])
	return nil
}

// show reads SHOW DATABASES and SHOW TABLES [FROM database] [LIKE pattern].
func (r *reader) show() error {
	i := 2
	if r.word(1, "TABLES") && r.word(2, "FROM", "IN") && len(r.tokens) > 3 && r.tokens[3].kind != symbol && r.tokens[3].kind != text {
		r.database = r.of(3)
		i = 4
	}
	if i < len(r.tokens) && r.word(i, "LIKE", "ILIKE") && i+2 == len(r.tokens) && r.tokens[i+1].kind == text {
		i += 2
	}
	if i != len(r.tokens) {
		return refusal("SHOW DATABASES and SHOW TABLES take [FROM database] [LIKE 'pattern'] here; system.tables and system.columns tell more")
	}
	return nil
}

// describe reads a statement that names one table from a token on, perhaps behind one of some words.
func (r *reader) describe(i int, before ...string) error {
	r.kind = isDescribe
	if len(r.tokens) > i+1 && r.word(i, before...) {
		i++
	}
	names := r.tokens[min(i, len(r.tokens)):]
	ok := len(names) == 1 || len(names) == 3 && r.is(i+1, '.')
	for j := range names {
		if j != 1 && (names[j].kind == symbol || names[j].kind == text) {
			ok = false
		}
	}
	if !ok {
		return refusal("name one table, as DATABASE.TABLE")
	}
	r.table = r.of(len(r.tokens) - 1)
	if len(names) == 3 {
		r.database = r.of(i)
	}
	return nil
}

// findCommon finds the names of subqueries in WITH: name [(columns)] AS [[NOT] MATERIALIZED] (SELECT …
func (r *reader) findCommon() {
	for i := range r.tokens {
		if !r.word(i, "AS") || i == 0 {
			continue
		}
		behind := i + 1
		for r.word(behind, "NOT", "MATERIALIZED") {
			behind++
		}
		if !r.is(behind, '(') {
			continue
		}
		for r.is(behind, '(') {
			behind++
		}
		if !r.word(behind, "SELECT", "WITH", "FROM", "VALUES", "EXPLAIN") {
			continue
		}
		name := i - 1
		if r.is(name, ')') {
			for name--; name > 0 && r.tokens[name].depth > r.tokens[i].depth; name-- {
			}
			name-- // in front of the bracket
		}
		if name >= 0 {
			r.common = append(r.common, r.of(name))
		}
	}
}
