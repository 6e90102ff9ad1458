package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Broken is a rule of a contract of the set as a ClickHouse condition over the contract's
// facts: true for a row that breaks it, false or NULL for one that keeps it or for which
// it is skipped. SQL's logic of three values is CEL's where an absent field is an error:
// one side of && and || that decides is enough. fields are those that the rule reads.
//
// ok is false when the rule holds something that has no such form: comparisons, && || !,
// has, in, + - * of whole numbers, and times with differences and durations have one. A
// sum beyond 64 bits, which the door takes for broken, is computed here.
func (s *Set) Broken(c *Contract, r *Rule) (condition string, fields []string, ok bool) {
	i := slices.IndexFunc(c.compiled.rules, func(k rule) bool { return k.Rule == r })
	if i < 0 {
		return "", nil, false
	}
	w := sqlWriter{of: c.compiled, ast: c.compiled.rules[i].checked, zone: s.zone}
	holds := w.truth(w.ast.Expr())
	if w.failed {
		return "", nil, false
	}
	return "NOT (" + holds + ")", w.fields, true
}

// sqlWriter writes expressions; failed is that one of them has no form in SQL.
type sqlWriter struct {
	of     *compiled
	ast    *ast.AST
	zone   *time.Location
	fields []string
	failed bool
}

func (w *sqlWriter) fail() string { w.failed = true; return "" }

// column is the field that an expression names; nil when it names none.
func (w *sqlWriter) column(e ast.Expr) *Field {
	if e.Kind() != ast.IdentKind {
		return nil
	}
	name, _, _ := strings.Cut(e.AsIdent(), "@")
	i, ok := w.of.byName[name]
	if !ok {
		return nil
	}
	if !slices.Contains(w.fields, name) {
		w.fields = append(w.fields, name)
	}
	return &w.of.contract.Fields[i]
}

func identifier(name string) string { return "`" + name + "`" } // letters, digits and _ by fieldName

func (w *sqlWriter) truth(e ast.Expr) string {
	switch e.Kind() {
	case ast.LiteralKind:
		if v, ok := e.AsLiteral().(types.Bool); ok {
			return strconv.FormatBool(bool(v))
		}
	case ast.IdentKind:
		f := w.column(e)
		switch {
		case f == nil:
		case strings.HasSuffix(e.AsIdent(), "@present") && f.EmptyIsAbsent():
			return "notEmpty(" + identifier(f.Name) + ")"
		case strings.HasSuffix(e.AsIdent(), "@present"):
			return "isNotNull(" + identifier(f.Name) + ")"
		case f.Type == Boolean:
			return identifier(f.Name)
		}
	case ast.CallKind:
		args := e.AsCall().Args()
		switch name := e.AsCall().FunctionName(); name {
		case operators.LogicalNot:
			return "NOT (" + w.truth(args[0]) + ")"
		case operators.LogicalAnd, operators.LogicalOr:
			word := map[string]string{operators.LogicalAnd: " AND ", operators.LogicalOr: " OR "}[name]
			sides := make([]string, len(args))
			for i, a := range args {
				sides[i] = "(" + w.truth(a) + ")"
			}
			return strings.Join(sides, word)
		case operators.In:
			return w.in(args[0], args[1])
		case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Equals, operators.NotEquals:
			word := map[string]string{operators.Less: " < ", operators.LessEquals: " <= ", operators.Greater: " > ",
				operators.GreaterEquals: " >= ", operators.Equals: " = ", operators.NotEquals: " != "}[name]
			if w.ast.GetType(args[0].ID()).Kind() != w.ast.GetType(args[1].ID()).Kind() {
				return w.fail()
			}
			return w.value(args[0]) + word + w.value(args[1])
		}
	}
	return w.fail()
}

func (w *sqlWriter) in(needle, list ast.Expr) string {
	if list.Kind() != ast.ListKind || len(list.AsList().Elements()) == 0 {
		return w.fail()
	}
	var values []string
	for _, e := range list.AsList().Elements() {
		if e.Kind() != ast.LiteralKind {
			return w.fail()
		}
		values = append(values, w.value(e))
	}
	return w.value(needle) + " IN (" + strings.Join(values, ", ") + ")"
}

// value is an operand of a comparison, NULL where a field is absent: whole numbers as
// they are, in arithmetic as Int128; doubles; texts; instants and durations in milliseconds.
func (w *sqlWriter) value(e ast.Expr) string {
	if e.Kind() == ast.IdentKind && e.AsIdent() == ColumnTime {
		return "toUnixTimestamp64Milli(time)"
	}
	if f := w.column(e); f != nil {
		name := identifier(f.Name)
		switch {
		case strings.Contains(e.AsIdent(), "@"):
			return w.fail()
		case f.EmptyIsAbsent():
			return "nullIf(toString(" + name + "), '')"
		}
		switch f.Type {
		case Integer, Money, Duration, Boolean:
			return name
		case Decimal, Number:
			return "toFloat64(" + name + ")"
		case Timestamp:
			return "toUnixTimestamp64Milli(" + name + ")"
		case Date:
			return "toUnixTimestamp64Milli(toDateTime64(" + name + ", 3, '" + w.zone.String() + "'))"
		}
		return w.fail()
	}
	switch e.Kind() {
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Int:
			return strconv.FormatInt(int64(v), 10)
		case types.Double:
			return fmt.Sprintf("toFloat64('%s')", strconv.FormatFloat(float64(v), 'g', -1, 64))
		case types.String:
			return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(string(v)) + "'"
		}
	case ast.CallKind:
		return w.computed(e)
	}
	return w.fail()
}

func (w *sqlWriter) computed(e ast.Expr) string {
	args, name := e.AsCall().Args(), e.AsCall().FunctionName()
	switch name {
	case "timestamp":
		if v, ok := converted(args, types.TimestampType).(types.Timestamp); ok && v.Nanosecond()%int(time.Millisecond) == 0 {
			return strconv.FormatInt(v.UnixMilli(), 10)
		}
		return w.fail()
	case "duration":
		if v, ok := converted(args, types.DurationType).(types.Duration); ok && v.Duration%time.Millisecond == 0 {
			return strconv.FormatInt(v.Milliseconds(), 10)
		}
		return w.fail()
	case operators.Negate:
		if w.ast.GetType(e.ID()).Kind() == types.IntKind {
			return "-toInt128(" + w.value(args[0]) + ")"
		}
		return w.fail()
	}
	sign, ok := map[string]string{operators.Add: " + ", operators.Subtract: " - ", operators.Multiply: " * "}[name]
	if !ok {
		return w.fail()
	}
	wide := func(x string) string { return x }
	switch w.ast.GetType(e.ID()).Kind() {
	case types.IntKind:
		wide = func(x string) string { return "toInt128(" + x + ")" }
	case types.DoubleKind, types.TimestampKind, types.DurationKind:
	default:
		return w.fail()
	}
	return "(" + wide(w.value(args[0])) + sign + wide(w.value(args[1])) + ")"
}
