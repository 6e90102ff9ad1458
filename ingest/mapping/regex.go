package mapping

import (
	"fmt"
	"regexp"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// extractOnce compiles the pattern of regex.extract(text, "pattern") when the mapping
// is read, instead of once for every row, and tells a faulty one then. It gives what
// cel-go's extension regex gives: the only group, or the whole match without one;
// none when nothing matches or the group is empty.
var extractOnce = &interpreter.RegexOptimization{
	Function:   "regex.extract",
	RegexIndex: 1,
	Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		if compiled.NumSubexp() > 1 {
			return nil, fmt.Errorf("regex.extract takes a pattern of one group at the most, and %q has %d", pattern, compiled.NumSubexp())
		}
		group := 2 * compiled.NumSubexp()
		return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(values ...ref.Val) ref.Val {
			if len(values) != 2 {
				return types.NoSuchOverloadErr()
			}
			text, ok := values[0].(types.String)
			if !ok {
				return types.MaybeNoSuchOverloadErr(values[0])
			}
			m := compiled.FindStringSubmatchIndex(string(text))
			if m == nil || m[group] < 0 || group > 0 && m[group] == m[group+1] {
				return types.OptionalNone
			}
			return types.OptionalOf(text[m[group]:m[group+1]])
		}), nil
	},
}
