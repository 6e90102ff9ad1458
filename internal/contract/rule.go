package contract

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// rule is a compiled [Rule], safe for concurrent use.
type rule struct {
	*Rule
	test    test        // nil: program runs it
	program cel.Program // nil: test runs it
	checked *ast.AST    // for [Set.Broken]
	field   string      // the first field that it reads, for refusals
}

// present is what the argument of has() becomes: a variable of its own. The @ keeps
// it apart from every field.
func present(field string) string { return field + "@present" }

// ruleEnvironment declares the contract's fields and time to CEL. has(field) takes a
// plain field, where standard CEL wants a selection from a message.
func ruleEnvironment(c *Contract) (*cel.Env, error) {
	has := func(eh cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		if args[0].Kind() != ast.IdentKind {
			return nil, eh.NewError(args[0].ID(), "has() takes the name of a field")
		}
		return eh.NewIdent(present(args[0].AsIdent())), nil
	}
	options := []cel.EnvOption{
		cel.Macros(cel.GlobalMacro("has", 1, has)),
		cel.Variable(ColumnTime, cel.TimestampType),
		cel.DefaultUTCTimeZone(true),
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		options = append(options, cel.Variable(f.Name, f.celType()), cel.Variable(present(f.Name), cel.BoolType))
	}
	return cel.NewEnv(options...)
}

// celType is what a field is in a rule. A date is midnight in the set's zone, so that
// it compares with time; money and duration are whole numbers of their minor unit and
// of milliseconds; a decimal is a double.
func (f *Field) celType() *cel.Type {
	switch f.Type {
	case Timestamp, Date:
		return cel.TimestampType
	case Integer, Money, Duration:
		return cel.IntType
	case Decimal, Number:
		return cel.DoubleType
	case Boolean:
		return cel.BoolType
	}
	return cel.StringType
}

func compileRule(env *cel.Env, k *compiled, r *Rule) (rule, error) {
	checked, issues := env.Compile(r.Check)
	if err := issues.Err(); err != nil {
		first := issues.Errors()[0]
		return rule{}, fmt.Errorf("check: %s (at character %d of %q)", first.Message, first.Location.Column()+1, r.Check)
	}
	if checked.OutputType() != cel.BoolType {
		return rule{}, fmt.Errorf("check: %q gives %s; a rule is true or false", r.Check, checked.OutputType())
	}
	out := rule{Rule: r, test: native(k, checked), checked: checked.NativeRep()}
	if out.test == nil {
		var err error
		if out.program, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize)); err != nil {
			return rule{}, fmt.Errorf("check: %w", err)
		}
	}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind && out.field == "" && e.AsIdent() != ColumnTime {
			out.field, _, _ = strings.Cut(e.AsIdent(), "@")
		}
	}))
	return out, nil
}

// facts is one event as a rule sees it: cel's Activation.
type facts struct {
	b      *Batch
	absent bool // a rule read a field that the event does not have
}

func (*facts) Parent() cel.Activation { return nil }

func (x *facts) ResolveName(name string) (any, bool) {
	row, c := &x.b.row, x.b.row.table.compiled
	if name == ColumnTime {
		return types.Timestamp{Time: time.UnixMilli(row.time).UTC()}, true
	}
	if i, ok := c.byName[name]; ok {
		v := &row.values[i]
		if !v.set {
			x.absent = true
			return nil, false
		}
		switch f := &c.contract.Fields[i]; f.Type {
		case Timestamp:
			return types.Timestamp{Time: time.UnixMilli(v.i).UTC()}, true
		case Date:
			return types.Timestamp{Time: x.b.midnights.of(v.i)}, true
		case Integer, Money, Duration:
			return types.Int(v.i), true
		case Decimal, Number:
			return types.Double(v.float(f)), true
		case Boolean:
			return types.Bool(v.i != 0), true
		default:
			return types.String(v.s), true
		}
	}
	if i, ok := c.presence[name]; ok {
		return types.Bool(row.values[i].set), true
	}
	return nil, false
}

// holds runs one rule. A rule that had to read an absent field is skipped; one that
// cannot be evaluated for another reason is broken.
func (b *Batch) holds(r *rule) bool {
	if r.test != nil {
		return r.test(b) != no
	}
	x := &b.facts
	x.absent = false
	out, _, err := r.program.Eval(x)
	if err != nil {
		return x.absent
	}
	return out == types.True
}
