package governed

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"

	"ombor/internal/protocol"
)

// node is a piece of what the engine's parser made of a query.
type node struct {
	kind  string // SelectQuery, Function, TableIdentifier …
	name  string // of a function, an identifier or a table: as it was written, parts joined by dots
	alias string
	of    []*node
}

// treeLine is a line of EXPLAIN AST: indentation, kind, name, alias, number of children.
var treeLine = regexp.MustCompile(`^( *)([A-Za-z:]+)(?: (.*?))??(?: \(alias (.*?)\))?(?: \(children (\d+)\))?$`)

// parseTree reads what EXPLAIN AST answered. The listing is text, in which a name could be made to look
// like a node of its own: [plainName] has refused such names, and every number of children must be right.
func parseTree(listing string) (*node, error) {
	strange := func(line string) error {
		return refusal("the engine's parser shows what is not understood here: %.100s", strings.TrimSpace(line))
	}
	type place struct {
		*node
		left int
	}
	var root *node
	var path []place // from the root down to the last line
	for line := range strings.Lines(listing) {
		line = strings.TrimSuffix(line, "\n")
		m := treeLine.FindStringSubmatch(line)
		if m == nil {
			return nil, strange(line)
		}
		children, _ := strconv.Atoi(m[5]) // none is 0
		n := &node{kind: m[2], name: m[3], alias: m[4]}
		depth := len(m[1])
		switch {
		case depth == 0 && root == nil:
			root = n
		case depth == 0 || depth > len(path):
			return nil, strange(line)
		default:
			for _, done := range path[depth:] {
				if done.left != 0 {
					return nil, strange(line)
				}
			}
			path = path[:depth]
			above := &path[depth-1]
			if above.left--; above.left < 0 {
				return nil, strange(line)
			}
			above.of = append(above.of, n)
		}
		path = append(path, place{n, children})
	}
	for _, p := range path {
		if p.left != 0 {
			return nil, strange(p.kind)
		}
	}
	if root == nil {
		return nil, strange("nothing")
	}
	return root, nil
}

// kinds are the nodes of queries whose whole content is in their name and their children. Not among them
// are Set (settings, whose names are not listed) and ColumnsApplyTransformer (a function that is not listed).
var kinds = set(`SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Subquery WithElement
	TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin SampleRatio
	Function Identifier Literal Asterisk QualifiedAsterisk OrderByElement InterpolateElement WindowDefinition WindowListElement
	ColumnsRegexpMatcher QualifiedColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsListMatcher
	ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement`)

// tableFunctions make rows of nothing but their arguments.
var tableFunctions = set("numbers numbers_mt zeros zeros_mt generateseries generate_series values sqlstandardvalues null")

// inTable are the functions whose second argument may be a table.
var inTable = set("in notin globalin globalnotin nullin notnullin globalnullin globalnotnullin not_in")

//go:embed functions.txt
var functionList string

// functions and aggregates are the allowed ones, in lower case: names that differ by case alone are one function.
var functions, aggregates = func() (map[string]bool, map[string]bool) {
	plain, aggregate, _ := strings.Cut(functionList, "\n\n")
	return set(plain), set(aggregate)
}()

func set(words string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(words) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.Fields(line) {
			all[w] = true
			all[strings.ToLower(w)] = true
		}
	}
	return all
}

// combinators are the endings that make an aggregate function of another one.
var combinators = []string{"simplestate", "ordefault", "distinct", "resample", "foreach", "argmax", "argmin", "ornull", "tuple", "merge", "state", "array", "null", "map", "if"}

func allowedFunction(name string) bool {
	name = strings.ToLower(name)
	if functions[name] || aggregates[name] {
		return true
	}
	for range 4 { // combinators at once
		for _, c := range combinators {
			if rest, ok := strings.CutSuffix(name, c); ok && rest != "" {
				if aggregates[rest] {
					return true
				}
				name = rest
				break
			}
		}
	}
	return false
}

// judge holds a query's tree against the allow-lists. allowed says of a table, as it is written ("ombor.calendar",
// "system.tables", or a bare name), whether it may be read. rows says whether the query reads or makes rows, beyond
// the catalogue of the engine.
func judge(root *node, s *statement, allowed func(table string) error) (rows bool, err error) {
	if root.kind != "SelectWithUnionQuery" || len(root.of) != 1 { // a second child is INTO OUTFILE, FORMAT or SETTINGS
		return false, refusal("only a query can be run here, without INTO OUTFILE")
	}
	table := func(name string) error {
		rows = rows || !isCatalogue(name)
		return allowed(name)
	}
	var walk func(n, above *node) error
	walk = func(n, above *node) error {
		if !kinds[n.kind] {
			if n.kind == "ColumnsApplyTransformer" {
				return refusal("APPLY is not possible here: name the columns")
			}
			return refusal("%s is not possible in a query here", n.kind)
		}
		if above.kind == "TableExpression" {
			if err := plainAlias(n); err != nil {
				return err
			}
		}
		switch {
		case n.kind == "TableIdentifier":
			if err := table(n.name); err != nil {
				return err
			}
		case n.kind == "Function" && above.kind == "TableExpression":
			if !tableFunctions[strings.ToLower(n.name)] {
				return refusal("the table function %s is not possible here", n.name)
			}
			rows = true
		case n.kind == "Function":
			if !allowedFunction(n.name) {
				return refusal("the function %s is not possible here", n.name)
			}
			if inTable[strings.ToLower(n.name)] && len(n.of) > 0 && len(n.of[0].of) > 1 {
				right := n.of[0].of[1]
				if err := plainAlias(right); err != nil {
					return err
				}
				if right.kind == "Identifier" {
					if err := table(right.name); err != nil {
						return err
					}
				}
			}
		}
		for _, child := range n.of {
			if err := walk(child, n); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(root, root); err != nil {
		return false, err
	}
	return rows, expansion(root, s.common)
}

// plainAlias refuses an alias for a table that could be the whole name of another one: the engine would read the table
// through the other one's condition.
func plainAlias(n *node) error {
	if strings.Contains(n.alias, ".") {
		return refusal("%q is no alias for a table: it could be taken for the name of another one", n.alias)
	}
	return nil
}

// aliases adds the names that a tree gives to its parts.
func (n *node) aliases(names map[string]bool) {
	if n.alias != "" {
		names[n.alias] = true
	}
	for _, child := range n.of {
		child.aliases(names)
	}
}

// isCatalogue says whether a table tells what there is, which is little.
func isCatalogue(name string) bool {
	name = strings.ToLower(name)
	_, ok := catalogue[name]
	return ok && !strings.HasPrefix(name, "system.numbers") && !strings.HasPrefix(name, "system.zeros")
}

// maxExpanded bounds the nodes of a query when every name stands for what it was given to.
const maxExpanded = 100_000

// expansion refuses queries whose names stand for others that stand for others, twice each: a few
// lines of them are more than any memory holds, and the engine looks at its clock only later. The tree
// does not name the subqueries of WITH: common are their names, in the order of the text.
func expansion(root *node, common []string) error {
	var elements []*node
	named := map[string][]*node{} // by lower-case name; of several with one name the largest counts
	var collect func(n *node)
	collect = func(n *node) {
		if n.alias != "" {
			named[strings.ToLower(n.alias)] = append(named[strings.ToLower(n.alias)], n)
		}
		if n.kind == "WithElement" {
			elements = append(elements, n)
		}
		for _, child := range n.of {
			collect(child)
		}
	}
	collect(root)
	if len(elements) != len(common) {
		return refusal("a name in WITH is not understood: write WITH name AS (SELECT …)")
	}
	for i, name := range common {
		named[strings.ToLower(name)] = append(named[strings.ToLower(name)], elements[i])
	}
	known := map[*node]int{}
	open := map[*node]bool{}
	var size func(n *node) int
	size = func(n *node) int {
		if total, ok := known[n]; ok {
			return total
		}
		if open[n] { // a name that is used in its own definition means something else there
			return 1
		}
		open[n] = true
		defer delete(open, n)
		total := 1
		if n.kind == "Identifier" || n.kind == "TableIdentifier" {
			name, _, _ := strings.Cut(strings.ToLower(n.name), ".")
			most := 0
			for _, meaning := range named[name] {
				most = max(most, size(meaning))
			}
			total += most
		}
		for _, child := range n.of {
			total = min(total+size(child), maxExpanded+1)
		}
		known[n] = total
		return total
	}
	if size(root) > maxExpanded {
		return protocol.Exceptionf(protocol.CodeTooBigTree, "with every name put in its place the query has more than %d parts", maxExpanded)
	}
	return nil
}
