package pack

import (
	"maps"
	"reflect"
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
	declared *contractDeclaration
}

func (r *reader) contracts(p *Pack) {
	r.broken = map[string]bool{}
	r.each("contracts", func(name string, d *decoder, root *yaml.Node) {
		before := len(r.issues)
		var declared contractDeclaration
		d.decode(root, reflect.ValueOf(&declared).Elem(), "", "")
		c := convertContract(p.Prefix, name, &declared)
		if len(r.issues) > before {
			r.broken[c.Name] = true
		}
		r.describe(p, c, &declared)
		r.contract = append(r.contract, declaredContract{c, &declared})
		if len(r.issues) == before {
			p.Contracts = append(p.Contracts, c)
		}
	})
	set, err := contract.NewSet(p.Prefix, p.Zone, p.Contracts, p.Reference)
	if err != nil {
		list := problem.IssuesOf(err)
		if list == nil {
			r.issues.Add("contracts", 0, "", "%v", err)
		}
		r.issues = append(r.issues, list...)
		return
	}
	p.Set = set
}

func convertContract(prefix, file string, d *contractDeclaration) *contract.Contract {
	c := &contract.Contract{Type: d.Type, Title: d.Title, About: d.About, Source: d.Source, File: file, Line: d.Line,
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
func (r *reader) describe(p *Pack, c *contract.Contract, d *contractDeclaration) {
	r.titled(c.File, c.Line, "title", d.Title)
	if _, ok := p.Sources[d.Source]; !ok && d.Source != "" {
		all := slices.Sorted(maps.Keys(p.Sources))
		r.issues.Add(c.File, c.Line, "source", "pack.yaml has no source %q%s; it has %s", d.Source, nearest(d.Source, all), strings.Join(all, ", "))
	}
	for _, f := range d.Fields {
		r.titled(c.File, f.Line, "fields."+f.Name+".title", f.Title)
	}
}

// find is the contract that a name means, with or without version; nil when there
// is none, which is noted unless its own file is to blame.
func (r *reader) find(p *Pack, file string, line int, field, name string) *contract.Contract {
	if name == "" {
		return nil
	}
	short, major := splitVersion(strings.TrimPrefix(name, p.Prefix))
	var best *contract.Contract
	var all []string
	for _, c := range r.contract {
		all = append(all, c.Name)
		if c.Name == short && (c.Major == major || major == 0 && (best == nil || c.Major > best.Major)) {
			best = c.Contract
		}
	}
	if best == nil {
		slices.Sort(all)
		all = slices.Compact(all)
		r.issues.Add(file, line, field, "there is no contract %q%s; there are: %s", name, nearest(short, all), strings.Join(all, ", "))
		return nil
	}
	if r.broken[best.Name] {
		return nil
	}
	return best
}

func (r *reader) mapping(p *Pack, m *contract.Mapping) {
	c := r.find(p, m.File, m.Line, "for", m.For)
	for _, other := range p.Mappings {
		if other.Name == m.Name {
			r.issues.Add(m.File, m.Line, "", "a second mapping in one file; each has a file of its own, whose name is its name")
		}
	}
	if c == nil {
		return
	}
	var names []string
	for _, f := range c.Fields {
		names = append(names, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Fields)) {
		if c.Field(name) == nil {
			r.issues.Add(m.File, valueLine(m, name), "fields."+name, "%s has no such field%s; it has %s", c.Name, nearest(name, names), strings.Join(names, ", "))
		}
	}
	for _, f := range c.Fields {
		if f.Required && f.Default == "" && m.Fields[f.Name] == nil {
			r.issues.Add(m.File, m.Line, "fields."+f.Name, "is missing: %s requires it", c.Name)
		}
	}
	if r.checks.Mapping != nil {
		r.issues = append(r.issues, r.checks.Mapping(m, c, p.Reference)...)
	}
}

func valueLine(m *contract.Mapping, field string) int {
	if v := m.Fields[field]; v != nil && v.Line > 0 {
		return v.Line
	}
	return m.Line
}
