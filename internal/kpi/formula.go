package kpi

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Formula is a sum of aggregates, each with a whole coefficient: the form that a
// signed ledger can retract. "sum(score) - count()" has two terms.
//
//	formula   = [sign] term { sign term }
//	sign      = "+" | "-"
//	term      = [whole "*"] aggregate | aggregate "*" whole
//	aggregate = "count()" | "countIf(" condition ")"
//	          | "sum(" amount ")" | "sumIf(" amount "," condition ")"
//	          | "min(" value ")"  | "max(" value ")"
//
// Conditions, amounts and values are ClickHouse SQL over the contract's fields and
// time. An amount is whole or decimal: a number with a point, a division and
// toFloat are refused in it, because regrouping a sum of floats changes its last
// digit.
type Formula struct {
	Text  string // as written in the pack
	Terms []Term // at least one
}

// Term is one aggregate of a formula.
type Term struct {
	Coefficient int64 // never 0
	Func        Func
	Of          string // SQL expression over the contract's fields and time; empty for CountRows
	If          string // SQL condition; empty: every row
	From        string // the contract that it is counted over; empty: every contract of the version
	At          string // with From: the field that dates its rows
}

// Func is an aggregate function.
type Func uint8

const (
	CountRows Func = iota + 1 // count(), countIf(condition)
	Sum                       // sum(x), sumIf(x, condition): integers and decimals only
	Min                       // min(x): read from facts
	Max                       // max(x): read from facts
)

func (f Func) String() string {
	return [...]string{"", "count", "sum", "min", "max"}[f]
}

// Retractable says whether a correction can take a row back out of every term, so
// that the formula can be answered from rollups; min and max are read from facts.
func (f *Formula) Retractable() bool {
	for _, t := range f.Terms {
		if t.Func == Min || t.Func == Max {
			return false
		}
	}
	return true
}

// expressions are the SQL expressions of the formula on one side, in order.
func (f *Formula) expressions(side Side) []string {
	if f == nil {
		return nil
	}
	var all []string
	for _, t := range f.Terms {
		if !side.Counts(t) {
			continue
		}
		if t.Of != "" {
			all = append(all, t.Of)
		}
		if t.If != "" {
			all = append(all, t.If)
		}
	}
	return all
}

// FormulaError says where a formula breaks the grammar.
type FormulaError struct {
	Position int // character of the text, from 1
	Message  string
}

func (e *FormulaError) Error() string {
	return fmt.Sprintf("at character %d: %s", e.Position, e.Message)
}

const allowedAggregates = "count(), countIf(condition), sum(x), sumIf(x, condition), min(x), max(x)"

var aggregates = map[string]struct {
	fn      Func
	of, if_ bool
}{
	"count":   {CountRows, false, false},
	"countIf": {CountRows, false, true},
	"sum":     {Sum, true, false},
	"sumIf":   {Sum, true, true},
	"min":     {Min, true, false},
	"max":     {Max, true, false},
}

// ParseFormula reads a formula. The error is a *[FormulaError] that names the
// position and what is allowed there. The SQL inside is only taken apart; whether it
// is right, the engine's parser says.
func ParseFormula(text string) (*Formula, error) {
	p := &parser{text: text}
	f := &Formula{Text: strings.TrimSpace(text)}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return nil, p.fail(0, "a formula is UTF-8 text without NUL")
	}
	if f.Text == "" {
		return nil, p.fail(0, "a formula is expected; allowed: %s", allowedAggregates)
	}
	for first := true; ; first = false {
		sign := int64(1)
		switch p.peek() {
		case 0:
			if first {
				return nil, p.fail(p.at, "an aggregate is expected")
			}
			return f, nil
		case '-':
			sign = -1
			p.at++
		case '+':
			p.at++
		default:
			if !first {
				return nil, p.fail(p.at, "+ or - is expected between aggregates; a division is written as numerator and denominator")
			}
		}
		term, err := p.term()
		if err != nil {
			return nil, err
		}
		term.Coefficient *= sign
		f.Terms = append(f.Terms, term)
	}
}

type parser struct {
	text string
	at   int // byte
}

func (p *parser) fail(at int, format string, args ...any) error {
	at = min(at, len(p.text))
	return &FormulaError{Position: utf8.RuneCountInString(p.text[:at]) + 1, Message: fmt.Sprintf(format, args...)}
}

// peek is the next byte that is not white space; 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) term() (Term, error) {
	coefficient, given := int64(1), false
	if c := p.peek(); c >= '0' && c <= '9' || c == '.' {
		n, err := p.whole()
		if err != nil {
			return Term{}, err
		}
		if p.peek() != '*' {
			return Term{}, p.fail(p.at, "* and an aggregate are expected after %d; a number alone is no formula", n)
		}
		p.at++
		coefficient, given = n, true
	}
	term, err := p.aggregate()
	if err != nil {
		return Term{}, err
	}
	if p.peek() == '*' {
		if given {
			return Term{}, p.fail(p.at, "one whole number may stand before or after an aggregate, not both")
		}
		p.at++
		p.peek()
		if coefficient, err = p.whole(); err != nil {
			return Term{}, err
		}
	}
	term.Coefficient = coefficient
	return term, nil
}

// whole reads a coefficient: 1 to a billion, so that sums stay within 64 bits.
func (p *parser) whole() (int64, error) {
	start := p.at
	for p.at < len(p.text) && (wordByte(p.text[p.at]) || p.text[p.at] == '.') {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[start:p.at], 10, 64)
	if err != nil || n < 1 || n > 1_000_000_000 {
		return 0, p.fail(start, "%q is no coefficient; allowed: whole numbers from 1 to 1000000000", p.text[start:p.at])
	}
	return n, nil
}

func (p *parser) aggregate() (Term, error) {
	p.peek()
	start := p.at
	for p.at < len(p.text) && wordByte(p.text[p.at]) {
		p.at++
	}
	name := p.text[start:p.at]
	known, ok := aggregates[name]
	if !ok {
		if name == "" {
			return Term{}, p.fail(start, "an aggregate is expected; allowed: %s", allowedAggregates)
		}
		return Term{}, p.fail(start, "%q is no aggregate that the ledger can retract; allowed: %s", name, allowedAggregates)
	}
	if p.peek() != '(' {
		return Term{}, p.fail(p.at, "( is expected after %s", name)
	}
	p.at++
	arguments, starts, err := p.arguments()
	if err != nil {
		return Term{}, err
	}
	wanted := 0
	if known.of {
		wanted++
	}
	if known.if_ {
		wanted++
	}
	if len(arguments) != wanted {
		return Term{}, p.fail(start, "%s takes %s, here it has %d; allowed: %s", name, plural(wanted), len(arguments), allowedAggregates)
	}
	term := Term{Coefficient: 1, Func: known.fn}
	if known.of {
		term.Of = arguments[0]
		if term.Func == Sum {
			if at, what := inexact(term.Of); at >= 0 {
				return Term{}, p.fail(starts[0]+at, "%s makes a float, and a sum of floats changes with its grouping; sum whole or decimal amounts, divide with a denominator or intDivOrZero", what)
			}
		}
	}
	if known.if_ {
		term.If = arguments[len(arguments)-1]
	}
	return term, nil
}

func plural(n int) string {
	switch n {
	case 0:
		return "no argument"
	case 1:
		return "one argument"
	}
	return strconv.Itoa(n) + " arguments"
}

// arguments reads up to the parenthesis that closes the aggregate.
func (p *parser) arguments() (arguments []string, starts []int, err error) {
	open := p.at - 1
	begin := p.at
	take := func(last bool) error {
		raw := p.text[begin:p.at]
		trimmed := strings.TrimSpace(raw)
		if trimmed == "" {
			if last && len(arguments) == 0 {
				return nil
			}
			return p.fail(begin, "an argument is empty")
		}
		arguments = append(arguments, trimmed)
		starts = append(starts, begin+strings.Index(raw, trimmed))
		return nil
	}
	var nested []byte
	s := scanner{text: p.text, at: p.at}
	for {
		token, ok := s.next()
		if !ok {
			if s.fault != "" {
				return nil, nil, p.fail(s.start, "%s", s.fault)
			}
			return nil, nil, p.fail(open, "this ( is never closed")
		}
		p.at = s.start
		switch token {
		case "(", "[", "{":
			nested = append(nested, closing[token])
		case ")", "]", "}":
			if len(nested) == 0 {
				if token != ")" {
					return nil, nil, p.fail(s.start, "%s closes nothing", token)
				}
				if err := take(true); err != nil {
					return nil, nil, err
				}
				p.at = s.at
				return arguments, starts, nil
			}
			if nested[len(nested)-1] != token[0] {
				return nil, nil, p.fail(s.start, "%c is expected before %s", nested[len(nested)-1], token)
			}
			nested = nested[:len(nested)-1]
		case ",":
			if len(nested) == 0 {
				if err := take(false); err != nil {
					return nil, nil, err
				}
				begin = s.at
			}
		default:
			if strings.EqualFold(token, "select") {
				return nil, nil, p.fail(s.start, "a query inside a formula is not allowed; it sees one row at a time")
			}
		}
	}
}

var closing = map[string]byte{"(": ')', "[": ']', "{": '}'}

// String is the term as a formula spells it, with its sign: "+4*sumIf(a, b)".
func (t Term) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+d*%s", t.Coefficient, t.Func)
	if t.If != "" {
		b.WriteString("If")
	}
	b.WriteByte('(')
	b.WriteString(t.Of)
	if t.Of != "" && t.If != "" {
		b.WriteString(", ")
	}
	b.WriteString(t.If)
	b.WriteByte(')')
	return b.String()
}
