package contract

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Most rules compare fields with each other, with time or with literals. Those are
// compiled from CEL's checked tree to closures over the row, which take nanoseconds;
// the rest is left to CEL's interpreter. What is compiled here cannot fail but by
// reading an absent field, so that the outcome is CEL's in every case.

// outcome is what a test gives; unknown is that it had to read an absent field.
type outcome uint8

const (
	no outcome = iota
	yes
	unknown
)

func outcomeOf(b bool) outcome {
	if b {
		return yes
	}
	return no
}

// test is a boolean expression over the row of a batch.
type test func(b *Batch) outcome

// operand is an expression of another type; ok is that it could be read.
type operand[T any] func(b *Batch) (v T, ok bool)

// native compiles a checked rule; nil when CEL has to run it.
func native(c *compiled, checked *cel.Ast) test {
	return predicates{c, checked.NativeRep()}.test(checked.NativeRep().Expr())
}

type predicates struct {
	of  *compiled
	ast *ast.AST
}

func (p predicates) test(e ast.Expr) test {
	switch e.Kind() {
	case ast.LiteralKind:
		if v, ok := e.AsLiteral().(types.Bool); ok {
			return func(*Batch) outcome { return outcomeOf(bool(v)) }
		}
	case ast.IdentKind:
		if i, ok := p.of.presence[e.AsIdent()]; ok {
			return func(b *Batch) outcome { return outcomeOf(b.row.values[i].set) }
		}
		if i, ok := p.of.byName[e.AsIdent()]; ok && p.of.contract.Fields[i].Type == Boolean {
			return func(b *Batch) outcome {
				if v := &b.row.values[i]; v.set {
					return outcomeOf(v.i != 0)
				}
				return unknown
			}
		}
	case ast.CallKind:
		return p.call(e.AsCall())
	}
	return nil
}

func (p predicates) call(call ast.CallExpr) test {
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.LogicalNot:
		if x := p.test(args[0]); x != nil {
			return func(b *Batch) outcome {
				switch x(b) {
				case yes:
					return no
				case no:
					return yes
				}
				return unknown
			}
		}
	case operators.LogicalAnd:
		return p.join(args, no)
	case operators.LogicalOr:
		return p.join(args, yes)
	case operators.In:
		return p.in(args[0], args[1])
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals, operators.Equals, operators.NotEquals:
		return p.compare(name, args[0], args[1])
	}
	return nil
}

// join is && or ||: one side that decides is enough, even when the other is unknown.
func (p predicates) join(args []ast.Expr, decides outcome) test {
	var sides []test
	for _, a := range args {
		t := p.test(a)
		if t == nil {
			return nil
		}
		sides = append(sides, t)
	}
	return func(b *Batch) outcome {
		result := yes - decides
		for _, side := range sides {
			switch side(b) {
			case decides:
				return decides
			case unknown:
				result = unknown
			}
		}
		return result
	}
}

func (p predicates) compare(operator string, left, right ast.Expr) test {
	kind := p.ast.GetType(left.ID()).Kind()
	if kind != p.ast.GetType(right.ID()).Kind() {
		return nil
	}
	switch kind {
	case types.IntKind:
		return compared(operator, p.whole(left), p.whole(right), cmp.Compare)
	case types.DoubleKind:
		return compared(operator, p.float(left), p.float(right), cmp.Compare)
	case types.StringKind:
		return compared(operator, p.text(left), p.text(right), bytes.Compare)
	case types.TimestampKind:
		return compared(operator, p.instant(left), p.instant(right), cmp.Compare)
	case types.DurationKind:
		return compared(operator, p.duration(left), p.duration(right), cmp.Compare)
	}
	return nil
}

func compared[T any](operator string, left, right operand[T], compare func(T, T) int) test {
	if left == nil || right == nil {
		return nil
	}
	var holds [3]outcome // for less, equal, greater
	switch operator {
	case operators.Less:
		holds = [3]outcome{yes, no, no}
	case operators.LessEquals:
		holds = [3]outcome{yes, yes, no}
	case operators.Greater:
		holds = [3]outcome{no, no, yes}
	case operators.GreaterEquals:
		holds = [3]outcome{no, yes, yes}
	case operators.Equals:
		holds = [3]outcome{no, yes, no}
	default:
		holds = [3]outcome{yes, no, yes}
	}
	return func(b *Batch) outcome {
		x, ok := left(b)
		y, ok1 := right(b)
		if !ok || !ok1 {
			return unknown
		}
		return holds[compare(x, y)+1]
	}
}

// in is membership in a list of literals.
func (p predicates) in(needle, list ast.Expr) test {
	if list.Kind() != ast.ListKind {
		return nil
	}
	var values []ref.Val
	for _, e := range list.AsList().Elements() {
		if e.Kind() != ast.LiteralKind {
			return nil
		}
		values = append(values, e.AsLiteral())
	}
	switch p.ast.GetType(needle.ID()).Kind() {
	case types.IntKind:
		return among(p.whole(needle), values, func(x int64, v ref.Val) bool { return v == types.Int(x) })
	case types.StringKind:
		return among(p.text(needle), values, func(x []byte, v ref.Val) bool { s, ok := v.(types.String); return ok && string(x) == string(s) })
	}
	return nil
}

func among[T any](needle operand[T], values []ref.Val, same func(T, ref.Val) bool) test {
	if needle == nil {
		return nil
	}
	return func(b *Batch) outcome {
		x, ok := needle(b)
		if !ok {
			return unknown
		}
		return outcomeOf(slices.ContainsFunc(values, func(v ref.Val) bool { return same(x, v) }))
	}
}

// field is the index of the field that an expression names, if it has one of the types.
func (p predicates) field(e ast.Expr, allowed ...Type) (i int, ok bool) {
	if e.Kind() != ast.IdentKind {
		return 0, false
	}
	i, ok = p.of.byName[e.AsIdent()]
	return i, ok && slices.Contains(allowed, p.of.contract.Fields[i].Type)
}

func constant[T any](v T) operand[T] { return func(*Batch) (T, bool) { return v, true } }

func (p predicates) whole(e ast.Expr) operand[int64] {
	if e.Kind() == ast.LiteralKind {
		if v, ok := e.AsLiteral().(types.Int); ok {
			return constant(int64(v))
		}
	}
	if i, ok := p.field(e, Integer, Money, Duration); ok {
		return func(b *Batch) (int64, bool) { v := &b.row.values[i]; return v.i, v.set }
	}
	return nil
}

func (p predicates) float(e ast.Expr) operand[float64] {
	if e.Kind() == ast.LiteralKind {
		if v, ok := e.AsLiteral().(types.Double); ok && v == v {
			return constant(float64(v))
		}
	}
	if i, ok := p.field(e, Decimal, Number); ok {
		f := &p.of.contract.Fields[i]
		return func(b *Batch) (float64, bool) { v := &b.row.values[i]; return v.float(f), v.set }
	}
	return nil
}

func (p predicates) text(e ast.Expr) operand[[]byte] {
	if e.Kind() == ast.LiteralKind {
		if v, ok := e.AsLiteral().(types.String); ok {
			return constant([]byte(v))
		}
	}
	if i, ok := p.field(e, Text, Code, Enum, Ref, Person); ok {
		return func(b *Batch) ([]byte, bool) { v := &b.row.values[i]; return v.s, v.set }
	}
	return nil
}

// instant is a time in Unix milliseconds.
func (p predicates) instant(e ast.Expr) operand[int64] {
	if e.Kind() == ast.IdentKind && e.AsIdent() == ColumnTime {
		return func(b *Batch) (int64, bool) { return b.row.time, true }
	}
	if i, ok := p.field(e, Timestamp); ok {
		return func(b *Batch) (int64, bool) { v := &b.row.values[i]; return v.i, v.set }
	}
	if i, ok := p.field(e, Date); ok {
		return func(b *Batch) (int64, bool) {
			v := &b.row.values[i]
			if !v.set {
				return 0, false
			}
			return b.midnights.of(v.i).UnixMilli(), true
		}
	}
	if e.Kind() != ast.CallKind {
		return nil
	}
	args := e.AsCall().Args()
	switch name := e.AsCall().FunctionName(); name {
	case "timestamp":
		if v, ok := converted(args, types.TimestampType).(types.Timestamp); ok && v.Nanosecond()%int(time.Millisecond) == 0 {
			return constant(v.UnixMilli())
		}
	case operators.Add, operators.Subtract:
		// Times lie between 1900 and 2149 and durations are below 293 years: the sum is
		// within CEL's range for times, the years 1 to 9999.
		if name == operators.Add && p.plainInstant(args[1]) {
			args = []ast.Expr{args[1], args[0]}
		}
		at, by := p.instant(args[0]), p.duration(args[1])
		if !p.plainInstant(args[0]) || by == nil {
			return nil
		}
		sign := int64(1)
		if name == operators.Subtract {
			sign = -1
		}
		return func(b *Batch) (int64, bool) {
			x, ok := at(b)
			y, ok1 := by(b)
			return x + sign*y, ok && ok1
		}
	}
	return nil
}

// duration is a difference of two times, or a literal, in milliseconds.
func (p predicates) duration(e ast.Expr) operand[int64] {
	if e.Kind() != ast.CallKind || p.ast.GetType(e.ID()).Kind() != types.DurationKind {
		return nil
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case "duration":
		if v, ok := converted(args, types.DurationType).(types.Duration); ok && v.Duration%time.Millisecond == 0 {
			return constant(v.Milliseconds())
		}
	case operators.Subtract:
		if !p.plainInstant(args[0]) || !p.plainInstant(args[1]) {
			return nil
		}
		from, to := p.instant(args[1]), p.instant(args[0])
		return func(b *Batch) (int64, bool) {
			x, ok := from(b)
			y, ok1 := to(b)
			return y - x, ok && ok1
		}
	}
	return nil
}

// plainInstant is time or a field: two of them are less than 292 years apart, so that
// their difference cannot overflow CEL's durations.
func (p predicates) plainInstant(e ast.Expr) bool {
	_, ok := p.field(e, Timestamp, Date)
	return ok || e.Kind() == ast.IdentKind && e.AsIdent() == ColumnTime
}

// converted is a literal text as a value of another type, or an error, by CEL itself.
func converted(args []ast.Expr, to ref.Type) ref.Val {
	if len(args) != 1 || args[0].Kind() != ast.LiteralKind {
		return nil
	}
	s, ok := args[0].AsLiteral().(types.String)
	if !ok {
		return nil
	}
	return s.ConvertToType(to)
}
