package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Set is all contracts of a pack, checked and compiled. It does not change and is
// safe for concurrent use.
type Set struct {
	prefix string
	zone   *time.Location
	all    []*Contract // in the order given
	byType map[string]*Contract
	kinds  []string // kinds of person identifier, each a domain of pseudonyms
	refs   *reference.Set
}

// compiled is what a Set derives from a contract.
type compiled struct {
	contract *Contract
	index    int // in Set.all
	schema   *arrow.Schema
	byName   map[string]int // field → index
	presence map[string]int // present(field) → index
	names    []int          // field indexes by name: the order of the digest
	tag      uint64         // of the type, in the digest
	tags     []uint64       // of the fields, in the digest
	types    []Type         // of the fields: side by side, where reading looks at them
	tables   []*reference.Table
	refs     []int // indexes of Ref fields
	texts    []int // indexes of fields that are stored as they are sent: Text, Code, Ref
	kinds    []int // of Person fields: index into Set.kinds
	persons  []int // indexes of Person fields
	defaults []defaultValue
	required []int
	rules    []rule
}

// defaultValue fills field to from a column of the row that the ref field from names.
type defaultValue struct {
	to, from int
	column   string
	table    *reference.Table
}

var (
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	eventName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$`)
)

// Words that CEL keeps for itself; a field cannot have them as its name
// (https://github.com/cel-expr/cel-spec/blob/master/doc/langdef.md#syntax).
var celWords = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while has")

// NewSet checks the contracts of a pack and compiles them. prefix is what every event
// type begins with ("uz.gov."), zone the pack's time zone, refs its reference tables.
// The error is a BadInput that lists everything wrong, with file, line and field.
//
// The contracts belong to the set from now on: do not change them.
func NewSet(prefix string, zone *time.Location, contracts []*Contract, refs *reference.Set) (*Set, error) {
	if zone == nil {
		zone = time.UTC
	}
	s := &Set{prefix: prefix, zone: zone, byType: map[string]*Contract{}, refs: refs}
	var issues problem.Issues
	tables := map[string]*Contract{}
	for _, c := range contracts {
		if other := s.byType[c.Type]; other != nil {
			issues.Add(c.File, c.Line, "type", "%s stands in %s already", c.Type, other.File)
			continue
		}
		if other := tables[c.Table()]; other != nil {
			issues.Add(c.File, c.Line, "type", "%s would have the same table as %s: %s", c.Type, other.Type, c.Table())
		}
		s.byType[c.Type], tables[c.Table()] = c, c
		s.compile(c, &issues)
		s.all = append(s.all, c)
	}
	if err := issues.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// ByType is the contract of a CloudEvents type, or nil.
func (s *Set) ByType(eventType string) *Contract { return s.byType[eventType] }

// ByName is the contract of that name and major version, or nil; major 0 is the newest.
func (s *Set) ByName(name string, major int) *Contract {
	var best *Contract
	for _, c := range s.all {
		if c.Name == name && (c.Major == major || major == 0 && (best == nil || c.Major > best.Major)) {
			best = c
		}
	}
	return best
}

// All are the contracts in the order given. The slice is shared: do not change it.
func (s *Set) All() []*Contract { return s.all }

// Zone is the pack's time zone.
func (s *Set) Zone() *time.Location { return s.zone }

// Prefix is what every event type of the pack begins with: "uz.gov.".
func (s *Set) Prefix() string { return s.prefix }

func (s *Set) compile(c *Contract, issues *problem.Issues) {
	if want := s.prefix + c.Name + fmt.Sprintf(".v%d", c.Major); c.Type != want || !eventName.MatchString(c.Name) || c.Major < 1 {
		issues.Add(c.File, c.Line, "type", "%q is not %s, a name in lower case, and .v with a number from 1, as in %srequest.decided.v1", c.Type, s.prefix, s.prefix)
	}
	if len(c.Fields) == 0 {
		issues.Add(c.File, c.Line, "fields", "there are none; an event needs one at least")
	}
	k := &compiled{contract: c, index: len(s.all), byName: map[string]int{}, presence: map[string]int{}, tag: nameTag(c.Type),
		tables: make([]*reference.Table, len(c.Fields)), kinds: make([]int, len(c.Fields))}
	sound := true // names and types are such that rules can be compiled
	for i := range c.Fields {
		f := &c.Fields[i]
		at := "fields." + f.Name
		bad := func(format string, args ...any) { issues.Add(c.File, f.Line, at, format, args...) }
		if _, twice := k.byName[f.Name]; twice {
			bad("stands twice")
			sound = false
		}
		switch {
		case f.Name == ColumnSource, f.Name == ColumnTime, slices.Contains(celWords, f.Name):
			bad("the name is reserved; choose another")
			sound = false
		case !fieldName.MatchString(f.Name):
			bad("a name has lower-case letters, digits and _, begins with a letter, and is at most 63 long")
			sound = false
		}
		k.byName[f.Name], k.presence[present(f.Name)] = i, i
		s.checkField(c, k, i, bad)
		if f.Required {
			k.required = append(k.required, i)
		}
		switch f.Type {
		case Text, Code:
			k.texts = append(k.texts, i)
		case Ref:
			k.texts, k.refs = append(k.texts, i), append(k.refs, i)
		}
		k.names, k.tags, k.types = append(k.names, i), append(k.tags, nameTag(f.Name)), append(k.types, f.Type)
	}
	slices.SortFunc(k.names, func(a, b int) int { return strings.Compare(c.Fields[a].Name, c.Fields[b].Name) })
	for i := range c.Fields {
		if c.Fields[i].Default != "" {
			s.compileDefault(c, k, i, issues)
		}
	}
	s.checkWindow(c, issues)
	if sound {
		compileRules(c, k, issues)
	}
	c.compiled = nil
	k.schema = c.Schema()
	c.compiled = k
}

func (s *Set) checkField(c *Contract, k *compiled, i int, bad func(string, ...any)) {
	f := &c.Fields[i]
	if f.Type.String() == "unknown" {
		bad("has no type; types are %s", strings.Join(typeNames[1:], ", "))
	}
	if f.Type == Enum {
		if len(f.Values) == 0 {
			bad("an enum lists its values")
		}
		for j, v := range f.Values {
			if v == "" || len(v) > maxLabel || slices.Contains(f.Values[:j], v) {
				bad("the value %q is empty, too long or stands twice", v)
			}
		}
	} else if len(f.Values) > 0 {
		bad("only an enum lists values")
	}
	if f.Type == Ref {
		if k.tables[i] = s.refs.Table(f.To); k.tables[i] == nil {
			bad("to: there is no reference table %q; there are %s", f.To, listed(s.refs.Tables()))
		}
	} else if f.To != "" {
		bad("to: only a ref names a table")
	}
	if f.Type == Person {
		if f.Class != Personal && f.Class != Special {
			bad("a person's identifier has class personal or special")
		}
		if f.ID == "" {
			bad("id: name the kind of identifier: %s, or another word", strings.Join(identifierKinds, ", "))
		}
		k.persons = append(k.persons, i)
		if k.kinds[i] = slices.Index(s.kinds, f.ID); k.kinds[i] < 0 {
			k.kinds[i] = len(s.kinds)
			s.kinds = append(s.kinds, f.ID)
		}
	} else {
		if f.ID != "" {
			bad("id: only a person has a kind of identifier")
		}
		if f.Class == Personal {
			bad("class personal is pseudonymised, so its type is person")
		}
	}
	switch {
	case f.Type == Decimal && (f.Scale < 0 || f.Scale > 9):
		bad("scale: %d is not 0 to 9", f.Scale)
	case f.Type != Decimal && f.Scale != 0:
		bad("scale: only a decimal has one")
	}
}

func (s *Set) compileDefault(c *Contract, k *compiled, to int, issues *problem.Issues) {
	f := &c.Fields[to]
	bad := func(format string, args ...any) {
		issues.Add(c.File, f.Line, "fields."+f.Name+".default", format, args...)
	}
	ref, column, ok := strings.Cut(f.Default, ".")
	from, known := k.byName[ref]
	switch {
	case !ok || !known || c.Fields[from].Type != Ref || from == to:
		bad("%q is not a ref field of this contract, a point, and a column of its table, as in service.agency", f.Default)
		return
	case !f.EmptyIsAbsent():
		bad("only text, code, enum and ref take a default")
		return
	case k.tables[from] == nil:
		return // told already
	case !k.tables[from].HasColumn(column):
		bad("table %s has no column %q; it has %s", k.tables[from].Name, column, strings.Join(k.tables[from].Columns, ", "))
		return
	}
	wrong := 0
	for _, row := range k.tables[from].Rows() {
		cell := row.Value(column)
		if cell == "" || wrong == 3 { // three are enough to find the column
			continue
		}
		if f.Type == Ref && k.tables[to] != nil {
			if _, ok := k.tables[to].Resolve(cell); !ok {
				bad("line %d of table %s: %q is not in table %s", row.Line, k.tables[from].Name, cell, f.To)
				wrong++
			}
		}
		if f.Type == Enum && !slices.Contains(f.Values, cell) {
			bad("line %d of table %s: %q is not one of %s", row.Line, k.tables[from].Name, cell, strings.Join(f.Values, ", "))
			wrong++
		}
	}
	k.defaults = append(k.defaults, defaultValue{to: to, from: from, column: column, table: k.tables[from]})
}

func (s *Set) checkWindow(c *Contract, issues *problem.Issues) {
	if c.Kind != Figure {
		if c.Window != (Window{}) {
			issues.Add(c.File, c.Line, "window", "only a contract of kind figure has a window")
		}
		return
	}
	for _, side := range []struct{ key, field string }{{"window.from", c.Window.From}, {"window.to", c.Window.To}} {
		if f := c.Field(side.field); f == nil || f.Type != Date || !f.Required {
			issues.Add(c.File, c.Line, side.key, "%q is not a required field of type date; a figure names the first and the last day that it covers", side.field)
		}
	}
}

func compileRules(c *Contract, k *compiled, issues *problem.Issues) {
	if len(c.Rules) == 0 {
		return
	}
	env, err := ruleEnvironment(c)
	if err != nil {
		issues.Add(c.File, c.Line, "rules", "cannot be prepared: %v", err)
		return
	}
	seen := map[string]bool{}
	for i := range c.Rules {
		r := &c.Rules[i]
		at := "rules." + r.ID
		if r.ID == "" || seen[r.ID] {
			issues.Add(c.File, r.Line, "rules", "every rule has an id of its own; %q is missing or stands twice", r.ID)
		}
		seen[r.ID] = true
		compiledRule, err := compileRule(env, k, r)
		if err != nil {
			issues.Add(c.File, r.Line, at, "%v", err)
			continue
		}
		k.rules = append(k.rules, compiledRule)
	}
}

// listed joins names for a message, "none" when there are none.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
