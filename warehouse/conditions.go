package warehouse

import (
	"slices"
	"strings"
)

// weakest leaves out of alternatives those that another one takes in: (a AND b) OR b is
// b, also where a or b is null. A share counts its numerator among its denominator, so
// this is the rule for the persons behind it; many shares then have the same persons,
// and one column keeps them.
func weakest(alternatives []string) []string {
	parts := make([][]string, len(alternatives))
	for i, a := range alternatives {
		parts[i] = conjuncts(a)
	}
	implied := func(i int) bool {
		for j := range parts {
			among := func(c string) bool { return slices.Contains(parts[i], c) }
			if i != j && !slices.ContainsFunc(parts[j], func(c string) bool { return !among(c) }) && (len(parts[j]) < len(parts[i]) || j < i) {
				return true
			}
		}
		return false
	}
	var left []string
	for i, a := range alternatives {
		if !implied(i) {
			left = append(left, a)
		}
	}
	return left
}

// conjuncts cuts a condition at the ANDs outside of brackets. One with an operator there that
// binds less, or with a BETWEEN, whose AND is another, stays whole.
func conjuncts(condition string) []string {
	var list []string
	depth, at, from, whole := 0, 0, 0, false
	_ = tokens(condition, func(kind tokenKind, token string) error { // visit never fails
		start := at
		at += len(token)
		switch {
		case kind == other && (token == "(" || token == "["):
			depth++
		case kind == other && (token == ")" || token == "]"):
			depth--
		case kind == other && depth == 0 && (token == "?" || token == ">" && strings.HasSuffix(condition[:start], "-")):
			whole = true
		case kind == word && depth == 0:
			switch strings.ToUpper(token) {
			case "AND":
				list = append(list, strings.TrimSpace(condition[from:start]))
				from = at
			case "OR", "BETWEEN", "CASE", "AS":
				whole = true
			}
		}
		return nil
	})
	if whole {
		return []string{condition}
	}
	return append(list, strings.TrimSpace(condition[from:]))
}
