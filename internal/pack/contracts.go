package pack

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// declaredContract is a contract beside what its file says.
type declaredContract struct {
	*contract.Contract
	at       place
	declared *contractDeclaration
	sound    bool // it could be decoded
}

func (r *reader) readContracts(p *Pack) {
	r.each("contracts", func(d *decoder, root *yaml.Node) {
		before := len(r.issues)
		declared := &contractDeclaration{}
		d.root(root, declared)
		sound := len(r.issues) == before
		c := convertContract(p.Prefix, d.file, declared)
		if !strings.HasPrefix(c.Type, p.Prefix) {
			r.lost["contracts"] = true // package contract tells it
		}
		r.describe(p, d.place, declared)
		r.contracts = append(r.contracts, declaredContract{c, d.place, declared, sound})
		if sound {
			p.Contracts = append(p.Contracts, c)
		}
	})
	if len(r.contracts) == 0 && !r.lost["contracts"] {
		r.issues.Add("contracts", 0, "", "holds no contract; a pack has one at least")
	}
	p.Contracts = append(p.Contracts, contract.BuiltIn(p.Prefix)...)
	set, err := contract.NewSet(p.Prefix, p.Zone, p.Contracts, p.Reference)
	if err != nil {
		found := problem.IssuesOf(err)
		if found == nil {
			r.issues.Add("contracts", 0, "", "%v", err)
		}
		for _, issue := range found {
			if !r.follows(issue) {
				r.issues = append(r.issues, issue)
			}
		}
		return
	}
	p.Set = set
}

// readHistories notes tables whose history is no contract.
func (r *reader) readHistories(p *Pack) {
	for _, t := range r.declared.Reference {
		r.find(p, r.head, "reference."+t.Name+".history", t.History)
	}
}

// follows says whether a problem with a field only comes from a table that lost rows.
func (r *reader) follows(issue problem.Issue) bool {
	for _, c := range r.contracts {
		if c.File != issue.File {
			continue
		}
		for _, f := range c.Fields {
			if !strings.HasPrefix(issue.Field+".", "fields."+f.Name+".") {
				continue
			}
			ref, _, _ := strings.Cut(f.Default, ".")
			if r.damaged[f.To] || c.Field(ref) != nil && r.damaged[c.Field(ref).To] {
				return true
			}
		}
	}
	return false
}

func convertContract(prefix, file string, d *contractDeclaration) *contract.Contract {
	c := &contract.Contract{Type: d.Type, Title: d.Title, About: d.About, Source: d.Source, File: file, Line: d.Line, Once: d.Once,
		Window:    contract.Window{From: d.Window.From, To: d.Window.To},
		Retention: contract.Retention{Warehouse: int(d.Retention.Warehouse), Lake: int(d.Retention.Lake)}}
	c.Name, c.Major = splitVersion(strings.TrimPrefix(d.Type, prefix))
	if d.Kind == "figure" {
		c.Kind = contract.Figure
	}
	for _, f := range d.Fields {
		typ, _ := contract.ParseType(f.Type) // an unknown word was noted by the decoder, here and below
		class, _ := contract.ParseClass(f.Class)
		if f.Class == "" && typ == contract.Person {
			class = contract.Personal
		}
		c.Fields = append(c.Fields, contract.Field{Name: f.Name, Type: typ, Required: f.Required, Class: class,
			Title: f.Title, About: f.About, Values: f.Values, To: f.To, ID: f.ID, Unit: f.Unit, Scale: f.Scale, Default: f.Default, Line: f.Line})
	}
	for _, rule := range d.Rules {
		severity, _ := contract.ParseSeverity(rule.Severity)
		c.Rules = append(c.Rules, contract.Rule{ID: rule.ID, Check: rule.Check, Severity: severity, Line: rule.Line})
	}
	return c
}

// splitVersion takes "request.decided.v1" apart; without a version major is 0.
func splitVersion(name string) (string, int) {
	if i := strings.LastIndex(name, ".v"); i >= 0 {
		if major, err := strconv.Atoi(name[i+2:]); err == nil {
			return name[:i], major
		}
	}
	return name, 0
}

// describe checks what package contract does not know of: titles and sources.
func (r *reader) describe(p *Pack, at place, d *contractDeclaration) {
	r.titled(p, at, "title", d.Title)
	if _, ok := p.Sources[d.Source]; !ok && d.Source != "" {
		all := sortedKeys(p.Sources)
		r.bad(at, "source", "pack.yaml has no source %q%s; it has %s", d.Source, nearest(d.Source, all), strings.Join(all, ", "))
	}
	var names []string
	for _, f := range d.Fields {
		r.titled(p, at, "fields."+f.Name+".title", f.Title)
		names = append(names, f.Name)
	}
	for _, name := range d.Once {
		if !slices.Contains(names, name) {
			r.bad(at, "once", "there is no field %q%s; it has %s", name, nearest(name, names), strings.Join(names, ", "))
		}
	}
}

// find is the contract that a name means, with or without version; nil when there is
// none, which is noted, or when its own file is to blame.
func (r *reader) find(p *Pack, at place, field, name string) *contract.Contract {
	if name == "" {
		return nil
	}
	c, known := r.lookup(p, name)
	if !known {
		var all []string
		for _, c := range r.contracts {
			all = append(all, c.Name)
		}
		slices.Sort(all)
		all = slices.Compact(all)
		short, _ := splitVersion(strings.TrimPrefix(name, p.Prefix))
		r.bad(at, field, "there is no contract %q%s; there are: %s", name, nearest(short, all), strings.Join(all, ", "))
	}
	return c
}

// lookup is the contract that a name means; nil when it cannot be used, known when
// that is told elsewhere.
func (r *reader) lookup(p *Pack, name string) (c *contract.Contract, known bool) {
	short, major := splitVersion(strings.TrimPrefix(name, p.Prefix))
	var best *declaredContract
	for i := range r.contracts {
		c := &r.contracts[i]
		if c.Name == short && (c.Major == major || major == 0 && (best == nil || c.Major > best.Major)) {
			best = c
		}
	}
	if best == nil {
		return nil, r.lost["contracts"]
	}
	if !best.sound {
		return nil, true
	}
	return best.Contract, true
}

func (r *reader) mapping(p *Pack, at place, m *contract.Mapping) {
	if other := p.Mapping(m.Name); other != nil {
		r.bad(at, "", "is a second mapping called %q, after %s; each has a file of its own, whose name is its name", m.Name, other.File)
	}
	c := r.find(p, at, "for", m.For)
	if c == nil {
		return
	}
	var names []string
	for _, f := range c.Fields {
		names = append(names, f.Name)
		if f.Required && f.Default == "" && m.Fields[f.Name] == nil {
			r.bad(at, "fields."+f.Name, "is missing: %s requires it", c.Name)
		}
	}
	for _, name := range sortedKeys(m.Fields) {
		if c.Field(name) == nil {
			r.bad(at, "fields."+name, "%s has no such field%s; it has %s", c.Name, nearest(name, names), strings.Join(names, ", "))
		}
	}
	if r.checks.Mapping == nil {
		return
	}
	told := map[string]bool{} // fields with a problem that was noted here or by the decoder
	for _, issue := range r.issues {
		if issue.File == at.file && issue.Line >= at.begin {
			told[issue.Field] = true
		}
	}
	for _, issue := range r.checks.Mapping(m, c, p.Reference) {
		rest, _ := strings.CutPrefix(issue.Field, "fields.")
		name, _, _ := strings.Cut(rest, ".")
		if f := c.Field(name); told[issue.Field] || f != nil && r.damaged[f.To] {
			continue
		}
		issue.Line = at.line(issue.Field) // the compiler knows a declaration, not where its keys stand
		r.issues = append(r.issues, issue)
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
