package warehouse

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"ombor/internal/problem"
)

// Check parses an expression of a KPI with the engine's own parser (EXPLAIN AST,
// which executes nothing) and refuses what is not one expression over the columns,
// made of literals and allowed pure functions, none of which divides by what may be zero.
// The error is BadInput and says what is wrong. It does not know types: [Warehouse.Prove] does.
func (w *Warehouse) Check(ctx context.Context, expression string, columns []string) error {
	if err := scannable(expression); err != nil {
		return err
	}
	// Inside identity( … ) an expression that closes the bracket itself leaves
	// something else at the top of the tree.
	var tree []string
	err := w.each(ctx, "warehouse: check", asked+expression+")", nil, func(scan Scan) error {
		var line string
		err := scan(&line)
		tree = append(tree, line)
		return err
	})
	switch problem.KindOf(err) {
	case problem.Busy, problem.Unavailable:
		return err
	}
	if err != nil {
		return problem.New(problem.BadInput, "the engine cannot read %q as an expression: %s", expression, unread(expression, reason(err)))
	}
	return checkTree(expression, tree, columns)
}

const asked = "EXPLAIN AST SELECT identity("

var syntaxError = regexp.MustCompile(`^Syntax error: failed at position (\d+)`)

// unread says in plain words up to where the engine could read an expression.
func unread(expression, says string) string {
	found := syntaxError.FindStringSubmatch(says)
	if found == nil {
		return says
	}
	at, err := strconv.Atoi(found[1]) // from 1, in all that was asked
	if at -= len(asked) + 1; err != nil || at <= 0 || at >= len(expression) {
		return "it ends too early, or a bracket is missing"
	}
	return fmt.Sprintf("it is not understood from %q on", expression[at:])
}

// The frame of EXPLAIN AST SELECT identity(x) above x itself.
var frame = []string{
	"SelectWithUnionQuery (children 1)", " ExpressionList (children 1)", "  SelectQuery (children 1)",
	"   ExpressionList (children 1)", "    Function identity (children 1)", "     ExpressionList (children 1)",
}

func checkTree(expression string, tree, columns []string) error {
	refuse := func(format string, args ...any) error {
		return problem.New(problem.BadInput, "in the expression %q: "+format, append([]any{expression}, args...)...)
	}
	if len(tree) <= len(frame) {
		return refuse("there is no expression")
	}
	for i, line := range frame {
		if tree[i] != line {
			return refuse("write one expression, without FROM, WHERE, a comma or another bracket")
		}
	}
	known := map[string]bool{}
	for _, c := range columns {
		known[c] = true
	}
	for i, line := range tree[len(frame):] {
		node := strings.TrimLeft(line, " ")
		if len(line)-len(node) < len(frame) {
			return refuse("write one expression, without FROM, WHERE, a comma or another bracket")
		}
		kind, rest, _ := strings.Cut(node, " ")
		if kind == "Literal" {
			continue
		}
		if strings.Contains(rest, "(alias ") {
			return refuse("a name cannot be given with AS")
		}
		rest, _, _ = strings.Cut(rest, " (children ")
		switch kind {
		case "ExpressionList":
		case "Identifier":
			if !known[rest] {
				return refuse("there is no field %q; fields are %s", rest, strings.Join(columns, ", "))
			}
		case "Function":
			switch instead, divides := dividing[rest]; {
			case divides && !divisible(tree[len(frame)+i:]):
				return refuse("%s fails where the divisor is zero, and one such event keeps all of its contract from being counted: divide by a number, by greatest(…, 1) or by nullIf(…, 0), %s", rest, instead)
			case !divides && !pure[rest]:
				return refuse("the function %s is not allowed", rest)
			}
		default:
			return refuse("%s is not allowed", words(kind))
		}
	}
	return nil
}

// divisible says whether the second argument of the function at the head of a tree is never
// zero: a number of the formula's own above zero, greatest(…, such a number) or nullIf(…, 0).
func divisible(tree []string) bool {
	depth := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	var arguments []int // each where it begins
	end := 1
	for ; end < len(tree) && depth(tree[end]) > depth(tree[0]); end++ {
		if depth(tree[end]) == depth(tree[0])+2 {
			arguments = append(arguments, end)
		}
	}
	if len(arguments) != 2 {
		return true // the engine refuses it
	}
	divisor, last := tree[arguments[1]], tree[end-1] // where the divisor is a function, its last argument
	switch name := strings.TrimLeft(divisor, " "); {
	case strings.HasPrefix(name, "Literal "):
		return positive(name)
	case depth(last) != depth(divisor)+2:
		return false
	case strings.HasPrefix(name, "Function greatest "):
		return positive(strings.TrimLeft(last, " "))
	default:
		return strings.HasPrefix(name, "Function nullIf ") && strings.HasSuffix(last, " Literal UInt64_0")
	}
}

// positive says whether a line of a tree is a number above zero.
func positive(line string) bool {
	for _, kind := range []string{"Literal UInt64_", "Literal Float64_"} {
		if number, ok := strings.CutPrefix(line, kind); ok {
			value, err := strconv.ParseFloat(number, 64)
			return err == nil && value > 0
		}
	}
	return false
}

func words(kind string) string {
	switch kind {
	case "Subquery":
		return "a subquery"
	case "Asterisk", "QualifiedAsterisk":
		return "*"
	case "WindowDefinition":
		return "OVER"
	}
	return kind
}

// reason is the engine's own sentence, without its stack.
func reason(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "DB::Exception: "); ok {
		text = after
	}
	if _, after, ok := strings.Cut(text, ", message: "); ok {
		text = after
	}
	for _, end := range []string{". Expected one of", ": while executing", ": In scope", ": while converting", ". ("} {
		text, _, _ = strings.Cut(text, end)
	}
	return strings.TrimSpace(text)
}

// scannable refuses, before the engine sees it, what could end the statement or begin
// another one: a semicolon, a comment, a parameter, a heredoc, control characters.
func scannable(expression string) error {
	if strings.TrimSpace(expression) == "" {
		return problem.New(problem.BadInput, "the expression is empty")
	}
	if len(expression) > 4096 {
		return problem.New(problem.BadInput, "the expression is longer than 4096 bytes")
	}
	return tokens(expression, func(kind tokenKind, text string) error {
		switch {
		case kind == unclosed:
			return problem.New(problem.BadInput, "in the expression %q: a quotation mark is not closed", expression)
		case kind == other && strings.ContainsAny(text, ";#{}$@?\\") || kind == other && text[0] < ' ' && !strings.ContainsAny(text, "\n\t"):
			return problem.New(problem.BadInput, "in the expression %q: %q is not allowed", expression, text)
		case kind == comment:
			return problem.New(problem.BadInput, "in the expression %q: comments are not allowed", expression)
		}
		return nil
	})
}

type tokenKind uint8

const (
	word tokenKind = iota
	quotedWord
	text
	number
	comment
	unclosed
	other
)

// tokens cuts an expression as ClickHouse's lexer does, as far as it matters here.
func tokens(s string, visit func(kind tokenKind, text string) error) error {
	for i := 0; i < len(s); {
		start, kind := i, other
		switch c := s[i]; {
		case c == '\'' || c == '`' || c == '"':
			kind = unclosed
			for i++; i < len(s); i++ {
				if s[i] == '\\' {
					i++
				} else if s[i] == c {
					if i+1 < len(s) && s[i+1] == c {
						i++
						continue
					}
					i++
					kind = text
					if c != '\'' {
						kind = quotedWord
					}
					break
				}
			}
			i = min(i, len(s))
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			kind = word
			for i < len(s) && (s[i] == '_' || 'a' <= s[i] && s[i] <= 'z' || 'A' <= s[i] && s[i] <= 'Z' || '0' <= s[i] && s[i] <= '9') {
				i++
			}
		case '0' <= c && c <= '9':
			kind = number
			for i < len(s) && ('0' <= s[i] && s[i] <= '9' || s[i] == '.') {
				i++
			}
		case strings.HasPrefix(s[i:], "--"), strings.HasPrefix(s[i:], "/*"), strings.HasPrefix(s[i:], "//"):
			kind = comment
			i += 2
		default:
			i++
		}
		if err := visit(kind, s[start:i]); err != nil {
			return err
		}
	}
	return nil
}

// identifiers are the names in an expression, functions among them.
func identifiers(expression string) []string {
	var list []string
	_ = tokens(expression, func(kind tokenKind, text string) error { // visit never fails
		switch kind {
		case word:
			list = append(list, text)
		case quotedWord:
			list = append(list, text[1:len(text)-1])
		}
		return nil
	})
	return list
}

// dividing are functions that fail for a divisor of zero, with those that never do.
var dividing = map[string]string{
	"divide": "or multiply the other side of a comparison", "intDiv": "or write intDivOrZero or intDivOrNull",
	"modulo": "or write moduloOrZero or moduloOrNull", "positiveModulo": "or write positiveModuloOrNull",
}

// pure are the functions that an expression may use: they depend on their arguments
// alone, read nothing, cost little, and have a finite value for every argument. For some
// texts conversions have none, and for large values decimals: [Warehouse.Prove] finds these.
var pure = set(`
and or not xor if multiIf caseWithExpression transform ifNull nullIf coalesce isNull isNotNull assumeNotNull toNullable identity
equals notEquals less greater lessOrEquals greaterOrEquals in notIn between has
plus minus multiply intDivOrZero intDivOrNull divideOrNull moduloOrZero moduloOrNull positiveModuloOrNull negate abs sign min2 max2 least greatest
round roundDown floor ceil trunc roundBankers isFinite isNaN
toInt8 toInt16 toInt32 toInt64 toUInt8 toUInt16 toUInt32 toUInt64 toFloat64 toString toBool CAST
toDecimal32 toDecimal64 toDecimal128 toDecimal256 toInt64OrNull toInt64OrZero toFloat64OrNull toFloat64OrZero
toDecimal64OrNull toDecimal64OrZero toDecimal128OrNull toDecimal128OrZero toDateOrNull toDate32OrNull toDateTime64OrNull accurateCastOrNull
toDate toDate32 toDateTime toDateTime64 toTimeZone toYear toQuarter toMonth toDayOfMonth toDayOfWeek toDayOfYear toHour toMinute toSecond
toISOWeek toISOYear toStartOfDay toStartOfWeek toStartOfMonth toStartOfQuarter toStartOfYear toStartOfHour toYYYYMM toYYYYMMDD
toUnixTimestamp toUnixTimestamp64Milli dateDiff date_diff timeDiff addDays addHours addMonths addYears addMinutes addSeconds addWeeks addQuarters
subtractDays subtractHours subtractMonths subtractYears subtractMinutes subtractSeconds
toIntervalDay toIntervalHour toIntervalMinute toIntervalSecond toIntervalWeek toIntervalMonth toIntervalQuarter toIntervalYear
lower upper lowerUTF8 upperUTF8 length lengthUTF8 empty notEmpty concat substring substringUTF8 left right trim trimLeft trimRight trimBoth
startsWith endsWith position positionCaseInsensitive like notLike ilike notILike match replaceAll replaceOne splitByChar splitByString
array tuple tupleElement arrayElement indexOf countEqual
bitAnd bitOr bitXor bitNot bitTest
`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
