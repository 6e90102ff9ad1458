package pack

import (
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

const maxDimensions = 3 // of one rollup: more, and it is nearly as long as the facts

func (r *reader) readKPIs(p *Pack) {
	places := map[string]place{}
	r.kpis = places
	r.each("kpis", func(d *decoder, root *yaml.Node) {
		declared := &kpiDeclaration{}
		d.root(root, declared)
		places[declared.ID] = d.place
		p.KPIs = append(p.KPIs, r.kpi(p, d.place, declared))
	})
	slices.SortStableFunc(p.KPIs, func(a, b *kpi.KPI) int { return strings.Compare(a.ID, b.ID) })
	for _, k := range p.KPIs {
		if k.Ranked != "" && p.KPI(k.Ranked) == nil && !r.lost["kpis"] {
			r.bad(places[k.ID], "ranked_by", "there is no KPI %q", k.Ranked)
		}
	}
	for i, set := range r.declared.Published {
		if !r.lost["kpis"] && len(p.KPIs) > 0 && !slices.ContainsFunc(p.KPIs, func(k *kpi.KPI) bool {
			return slices.ContainsFunc(k.Versions, func(v kpi.Version) bool { return v.Declares(set) })
		}) {
			r.bad(r.head, index("published", i), "no rollup of any KPI has %s, so nothing would be published by it", strings.Join(set, ", "))
		}
	}
}

func (r *reader) kpi(p *Pack, at place, d *kpiDeclaration) *kpi.KPI {
	k := &kpi.KPI{ID: d.ID, Title: d.Title, About: d.About, Group: d.Group, Owner: d.Owner,
		Unit: kpi.Unit(d.Unit), Direction: kpi.Direction(d.Direction), Ranked: d.Ranked, File: at.file}
	for _, other := range p.KPIs {
		if other.ID == d.ID && d.ID != "" {
			r.bad(at, "id", "%q stands in %s already", d.ID, other.File)
		}
	}
	r.titled(p, at, "title", d.Title)
	r.titled(p, at, "about", d.About)
	r.owner(p, at, "owner", d.Owner)
	for i := range d.Versions {
		k.Versions = append(k.Versions, r.version(p, at, i, d))
	}
	r.sequence(at, k)
	return k
}

// sequence notes versions of one variant that hold on the same day or stand twice, and days between two of them
// on which none holds.
func (r *reader) sequence(at place, k *kpi.KPI) {
	for i, v := range k.Versions {
		last := reference.NoDay // on which an earlier version holds
		for _, before := range k.Versions[:i] {
			if before.Variant != v.Variant {
				continue
			}
			last = before.Valid.To
			path := index("versions", i)
			switch {
			case before.Version >= v.Version:
				r.bad(at, path+".version", "is %d after %d; versions of a variant stand in order", v.Version, before.Version)
			case v.Valid.From == reference.NoDay || before.Valid.To == reference.NoDay || before.Valid.To >= v.Valid.From:
				r.bad(at, path+".valid", "begins before version %d has ended; end that one with valid.to", before.Version)
			}
		}
		if last != reference.NoDay && v.Valid.From > last+1 {
			r.bad(at, index("versions", i)+".valid.from", "is %s, and the version before ends on %s: on the days between none holds", v.Valid.From, last)
		}
	}
}

// compute has the engine compute what the KPIs of sound files are made of.
func (r *reader) compute(p *Pack) {
	if r.checks.Prove == nil || p.Set == nil {
		return
	}
	damaged := map[string]bool{}
	for _, issue := range r.issues {
		damaged[issue.File] = true
	}
	sound := slices.DeleteFunc(slices.Clone(p.KPIs), func(k *kpi.KPI) bool { return damaged[k.File] })
	faults, err := r.checks.Prove(p.Set, sound)
	if err != nil {
		r.bad(r.head, "", "the KPIs could not be computed: %v", err)
	}
	for _, f := range faults {
		r.bad(r.kpis[f.KPI.ID], join(index("versions", f.Version), f.Field), "of %s: %s", f.KPI.ID, f.Message)
	}
}

// version converts one version and checks it against the contracts that it reads.
func (r *reader) version(p *Pack, at place, i int, k *kpiDeclaration) kpi.Version {
	d := &k.Versions[i]
	path := index("versions", i)
	bad := func(field, format string, args ...any) {
		r.bad(at, join(path, field), format, args...)
	}
	v := kpi.Version{Version: d.Version, Variant: d.Variant, Valid: reference.Span(d.Valid), Source: r.worded(p, at, join(path, "source"), d.Source), Basis: kpi.Events,
		From: d.From, At: d.At, Grain: d.Grain, Rollups: d.Rollups, Persons: d.Persons, OfPersons: d.Counts == "persons", Matures: d.Matures, Running: d.Running, Only: d.Only, Line: d.Line}
	if v.At == "" {
		v.At = contract.ColumnTime
	}
	if v.Grain == "" {
		v.Grain = "day"
	}
	if d.Version < 1 {
		bad("version", "is %d; versions are numbered from 1", d.Version)
	}
	if v.Valid.From != reference.NoDay && v.Valid.To != reference.NoDay && v.Valid.To < v.Valid.From {
		bad("valid.to", "%s is before from %s", v.Valid.To, v.Valid.From)
	}
	expand := func(field, expression string) string {
		sql, err := kpi.ExpandWorkdays(expression, p.Reference.Calendar())
		if err != nil {
			bad(field, "%v", err)
		}
		return sql
	}
	formula := func(field, text string) *kpi.Formula {
		if text == "" {
			return nil
		}
		f, err := kpi.ParseFormula(text)
		if err != nil {
			bad(field, "%v, in %q", err, text)
			return f
		}
		for i := range f.Terms {
			f.Terms[i].Of, f.Terms[i].If = expand(field, f.Terms[i].Of), expand(field, f.Terms[i].If)
		}
		return f
	}
	// parts are one formula whose terms name their contracts.
	parts := func(field string, parts formulaDeclaration) *kpi.Formula {
		var all kpi.Formula
		for i, part := range parts {
			if part.Is == "" && part.From == "" {
				bad(field, "is empty; write a formula, or leave it out")
			}
			f := formula(field, part.Is)
			if f == nil {
				return nil
			}
			if part.From == "" {
				return f
			}
			for _, t := range f.Terms {
				t.From, t.At = part.From, part.At
				if t.At == "" {
					t.At = contract.ColumnTime
				}
				all.Terms = append(all.Terms, t)
			}
			if i > 0 {
				all.Text += "; "
			}
			all.Text += part.From + ": " + f.Text
		}
		if all.Terms == nil {
			return nil
		}
		return &all
	}
	v.Numerator = parts("numerator", d.Numerator)
	v.Denominator = parts("denominator", d.Denominator)
	v.Covered = formula("covered", d.Covered)
	v.Expected = formula("expected", d.Expected)
	quantiles := func(field string, list []float64) {
		for _, share := range list {
			if share <= 0 || share > 1 {
				bad(field, "%g is not between 0 and 1", share)
			}
		}
		if len(list) == 0 {
			bad(field, "there are none; 0.5 is the median")
		}
	}
	if q := d.Distribution; q != nil {
		v.Distribution = &kpi.Distribution{Of: expand("distribution.of", q.Of), Text: q.Of, If: expand("distribution.if", q.If), Quantiles: q.Quantiles}
		quantiles("distribution.quantiles", q.Quantiles)
	}
	if q := d.Distinct; q != nil {
		v.Distinct = &kpi.Distinct{Of: q.Of, If: expand("distinct.if", q.If), Grains: q.Grains}
	}
	if q := d.Backlog; q != nil {
		v.Backlog = &kpi.Backlog{Enters: q.Enters, Leaves: q.Leaves, On: q.On, Entered: q.Entered, Quantiles: q.Quantiles}
		quantiles("backlog.quantiles", q.Quantiles)
	}
	if q := d.Per; q != nil {
		v.Per = &kpi.Per{Table: q.Table, Column: q.Column, Each: q.Each}
		r.per(p, at, path, v.Per)
	}
	for _, m := range d.Match {
		match := kpi.Match{Name: m.Name, In: m.In, When: expand("match."+m.Name+".when", m.When), Newest: expand("match."+m.Name+".newest", m.Newest), First: m.First, Line: m.Line}
		for _, pair := range m.On {
			own, its, differ := strings.Cut(pair, "=")
			if own = strings.TrimSpace(own); !differ {
				its = own
			}
			match.On = append(match.On, kpi.Pair{Own: own, Its: strings.TrimSpace(its)})
		}
		v.Match = append(v.Match, match)
	}
	r.shape(k, d, bad)
	own := map[string]*contract.Contract{}
	for side, c := range r.from(p, at, path, k, d, &v) {
		r.against(p, at, path, &v, side, c)
		own[side.From] = c
	}
	if v.Only != "" && v.Basis != kpi.Reported {
		bad("only", "is of reported figures; what is meant of events stands in the formulae")
	}
	r.publish(&v, d.Published, own, bad)
	return v
}

// shape notes parts of a definition that do not go together.
func (r *reader) shape(k *kpiDeclaration, d *versionDeclaration, bad func(string, string, ...any)) {
	forms := 0
	for _, given := range []bool{d.Numerator != nil, d.Distribution != nil, d.Distinct != nil, d.Backlog != nil} {
		if given {
			forms++
		}
	}
	switch {
	case forms == 0:
		bad("numerator", "is missing: a definition has a numerator, a distribution, a distinct or a backlog")
	case forms > 1:
		bad("numerator", "only one of numerator, distribution, distinct and backlog defines the value")
	}
	switch {
	case d.Per == nil:
	case d.Numerator == nil:
		bad("per", "needs a numerator")
	case d.Denominator != nil:
		bad("per", "stands in place of a denominator; one of the two")
	case k.Unit == string(kpi.Count) || k.Unit == string(kpi.Percent):
		bad("per", "makes a quotient for each so many, which is neither a count nor a percentage; name the unit with words, as in unit.per_1000")
	}
	if d.Backlog != nil && (k.Kind != "stock" || k.Unit != string(kpi.Days)) {
		bad("backlog", "is counted on a day and told in days: kind stock and unit days")
	}
	if d.Matures < 0 || d.Matures > 0 && (k.Kind == "stock" || d.Distinct != nil) {
		bad("matures", "is a number of days of what is counted over periods, and not of stocks and distinct counts")
	}
	if d.Running && (k.Kind != "" && k.Kind != "events" || d.Numerator == nil || d.Grain == "hour") {
		bad("running", "is of sums over events, by days: a numerator, and a denominator if any")
	}
	if d.Counts != "" && (d.Persons != "" || d.Numerator == nil || d.Per != nil) {
		bad("counts", "is for numbers of persons whom no field tells apart: a numerator, a denominator if any, and no persons beside it")
	}
	if d.Numerator == nil && d.Denominator != nil {
		bad("denominator", "needs a numerator")
	}
	if d.Numerator != nil && d.Denominator == nil && d.Per == nil && (k.Unit == string(kpi.Percent) || k.Unit == string(kpi.Ratio)) {
		bad("denominator", "is missing: %s is numerator ÷ denominator", k.Unit)
	}
	if d.Denominator != nil && k.Unit == string(kpi.Count) {
		bad("denominator", "makes a quotient, which is no count; unit ratio or percent, or no denominator")
	}
	if (d.Covered == "") != (d.Expected == "") {
		bad("covered", "covered and expected go together")
	}
	for i, set := range d.Rollups {
		at := index("rollups", i)
		if len(set) == 0 {
			bad(at, "is empty; the whole needs no declaration")
		}
		if len(set) > maxDimensions {
			bad(at, "has %d dimensions; %d at most, declare several sets", len(set), maxDimensions)
		}
		for j, name := range set {
			if slices.Contains(set[:j], name) {
				bad(at, "%s stands twice", name)
			}
		}
	}
}

// from resolves the contracts that a version reads, side by side, and with them its
// basis.
func (r *reader) from(p *Pack, at place, path string, k *kpiDeclaration, d *versionDeclaration, v *kpi.Version) iter.Seq2[kpi.Side, *contract.Contract] {
	field := join(path, "from")
	contracts := map[string]*contract.Contract{} // by the name that the version uses
	split := v.Split() || v.Denominator != nil && v.Denominator.Terms[0].From != ""
	switch {
	case k.Kind == "stock" && split:
		r.bad(at, join(path, "numerator"), "a stock counts the rows of one reference table")
		return none
	case d.Backlog != nil:
		contracts = r.backlog(p, at, path, d, v)
	case k.Kind == "stock":
		contracts = r.stock(p, at, field, d, v)
	case split:
		if len(d.From) > 0 {
			r.bad(at, field, "stands with each part of the formulae, and not here as well")
			return none
		}
		for _, f := range []*kpi.Formula{v.Numerator, v.Denominator} {
			if f == nil {
				continue
			}
			for _, t := range f.Terms {
				if t.From == "" {
					r.bad(at, join(path, "numerator"), "names its contract and the denominator does not, or the other way; both do or neither")
					return none
				}
				if contracts[t.From] != nil {
					continue
				}
				v.From = append(v.From, t.From)
				if contracts[t.From] = r.find(p, at, field, t.From); contracts[t.From] != nil && contracts[t.From].Kind == contract.Figure {
					r.bad(at, field, "%s is a reported figure; parts of a formula are counted from events", t.From)
				}
			}
		}
	case len(d.From) == 0:
		r.bad(at, field, "is missing: contracts that it reads (request.decided or request.decided.v1), one or a list")
	default:
		var first *contract.Contract
		for _, name := range d.From {
			c := r.find(p, at, field, name)
			switch {
			case c == nil:
				continue
			case slices.Contains(slices.Collect(maps.Values(contracts)), c):
				r.bad(at, field, "%s stands twice", name)
				continue
			case first != nil && first.Kind != c.Kind:
				r.bad(at, field, "mixes events and reported figures, which are never one number")
				continue
			case c.Kind == contract.Figure:
				v.Basis = kpi.Reported
			}
			if first == nil {
				first = c
			}
			contracts[name] = c
		}
	}
	return func(yield func(kpi.Side, *contract.Contract) bool) {
		for _, side := range v.Sides() {
			if c := contracts[side.From]; c != nil && !yield(side, c) {
				return
			}
		}
	}
}

func none(func(kpi.Side, *contract.Contract) bool) {}

func (r *reader) stock(p *Pack, at place, field string, d *versionDeclaration, v *kpi.Version) map[string]*contract.Contract {
	v.Basis = kpi.Stock
	if len(d.From) != 1 {
		r.bad(at, field, "a stock counts the rows of one reference table")
		return nil
	}
	if d.Each != "" {
		c := r.find(p, at, field, d.From[0])
		if c == nil {
			return nil
		}
		v.From, v.Key = d.From, d.Each
		if f := c.Field(d.Each); f == nil || !f.Required {
			r.bad(at, strings.TrimSuffix(field, "from")+"each", "%s has no required field %q, so a row cannot be told from another", c.Name, d.Each)
		}
		return map[string]*contract.Contract{d.From[0]: c}
	}
	table := r.table(p, at, field, d.From[0])
	if table == nil {
		return nil
	}
	if table.History == "" {
		r.bad(at, field, "the table %s has no history; name the contract that changes it in pack.yaml, reference.%s.history", table.Name, table.Name)
		return nil
	}
	c, _ := r.lookup(p, table.History)
	if c == nil {
		return nil // told by readHistories
	}
	v.From, v.Table = []string{table.History}, table.Name
	if v.Key = keyOf(c, table.Name); v.Key == "" {
		r.bad(at, field, "%s has not exactly one required field that refers to %s, so a row cannot be told from another", c.Name, table.Name)
	}
	return map[string]*contract.Contract{table.History: c}
}

// backlog resolves the two contracts of a backlog.
func (r *reader) backlog(p *Pack, at place, path string, d *versionDeclaration, v *kpi.Version) map[string]*contract.Contract {
	v.Basis = kpi.Stock
	b := d.Backlog
	if len(d.From) > 0 {
		r.bad(at, join(path, "from"), "stands with the backlog, as enters and leaves, and not here as well")
		return nil
	}
	enters, leaves := r.find(p, at, join(path, "backlog.enters"), b.Enters), r.find(p, at, join(path, "backlog.leaves"), b.Leaves)
	if enters == nil || leaves == nil {
		return nil
	}
	if f := leaves.Field(b.Entered); f == nil || f.Type != contract.Timestamp || !f.Required {
		r.bad(at, join(path, "backlog.entered"), "%s has no required timestamp %q, which would tell when it had entered", leaves.Name, b.Entered)
		return nil
	}
	for _, c := range []*contract.Contract{enters, leaves} {
		if f := c.Field(b.On); f == nil || !f.Required {
			r.bad(at, join(path, "backlog.on"), "%s has no required field %q, so what enters cannot be told from what leaves", c.Name, b.On)
			return nil
		}
	}
	v.From = []string{b.Enters, b.Leaves}
	return map[string]*contract.Contract{b.Enters: enters, b.Leaves: leaves}
}

// per notes a table without the column, or a column that is no number.
func (r *reader) per(p *Pack, at place, path string, per *kpi.Per) {
	table := r.table(p, at, join(path, "per.table"), per.Table)
	if table == nil {
		return
	}
	if per.Each < 1 {
		r.bad(at, join(path, "per.each"), "is %d; a value is for each 1 or more", per.Each)
	}
	if !table.HasColumn(per.Column) {
		r.bad(at, join(path, "per.column"), "the table %s has no column %q%s; it has %s", table.Name, per.Column, nearest(per.Column, table.Columns), strings.Join(table.Columns, ", "))
		return
	}
	for _, row := range table.Rows() {
		if n, err := strconv.ParseInt(row.Value(per.Column), 10, 64); err != nil || n < 0 {
			r.bad(at, join(path, "per.column"), "%s of %q is %q, which is no whole number", per.Column, row.Code, row.Value(per.Column))
		}
	}
}

// keyOf is the one required field of a contract that refers to a table.
func keyOf(c *contract.Contract, table string) string {
	key := ""
	for _, f := range c.Fields {
		if f.Type == contract.Ref && f.To == table && f.Required {
			if key != "" {
				return ""
			}
			key = f.Name
		}
	}
	return key
}

// against checks the names in a version against the fields of the contract of one side.
func (r *reader) against(p *Pack, at place, path string, v *kpi.Version, side kpi.Side, c *contract.Contract) {
	bad := func(field, format string, args ...any) {
		r.bad(at, join(path, field), format, args...)
	}
	columns := []string{contract.ColumnTime, contract.ColumnSource}
	for _, f := range c.Fields {
		columns = append(columns, f.Name)
	}
	known := func(field, name string) *contract.Field {
		f := c.Field(name)
		if f == nil {
			bad(field, "%s has no field %q%s; it has %s", c.Name, name, nearest(name, columns), strings.Join(columns, ", "))
		}
		return f
	}
	if side.At != contract.ColumnTime {
		field := "at"
		if v.Split() {
			field = "numerator"
		}
		if f := known(field, side.At); f != nil && f.Type != contract.Timestamp && f.Type != contract.Date {
			bad(field, "%q is no timestamp or date, so it cannot date a row", side.At)
		} else if f != nil && f.Type == contract.Date && v.Grain == "hour" {
			bad("grain", "%q is a date, which has no hours", side.At)
		}
	}
	for i, set := range v.Rollups {
		for _, name := range set {
			if name == contract.ColumnSource { // every event has it
				continue
			}
			f := known(index("rollups", i), name)
			if f == nil {
				continue
			}
			switch f.Type {
			case contract.Code, contract.Enum, contract.Ref, contract.Boolean:
			default:
				bad(index("rollups", i), "%q is no dimension: allowed are fields of type code, enum, ref and boolean", name)
			}
		}
	}
	if v.Per != nil && !slices.ContainsFunc(c.Fields, func(f contract.Field) bool { return f.To == v.Per.Table }) {
		bad("per.table", "no field of %s refers to %s", c.Name, v.Per.Table)
	}
	if v.Persons != "" {
		if f := known("persons", v.Persons); f != nil && f.Type != contract.Person {
			bad("persons", "%q is no field of type person", v.Persons)
		}
	}
	if v.OfPersons && v.Basis == kpi.Reported {
		bad("counts", "is for what is counted by day; what agencies report they answer for")
	}
	if v.Distinct != nil {
		if f := known("distinct.of", v.Distinct.Of); f != nil {
			switch f.Type {
			case contract.Person, contract.Text, contract.Code, contract.Ref, contract.Enum:
			default:
				bad("distinct.of", "%q is neither a person nor a key; allowed are fields of type person, text, code, enum and ref", v.Distinct.Of)
			}
		}
	}
	if v.Basis == kpi.Stock || v.Match != nil {
		columns = append(columns, kpi.AsOf)
	}
	named := columns
	for i := range v.Match {
		if slices.Contains(columns, v.Match[i].Name) {
			bad("match."+v.Match[i].Name, "is a field of %s; give the match another name", c.Name)
		}
		named = append(named, v.Match[i].Name)
	}
	for i := range v.Match {
		if other := r.find(p, at, join(path, "match."+v.Match[i].Name+".in"), v.Match[i].In); other != nil {
			r.match(p, &v.Match[i], c, other, columns, bad)
		}
	}
	r.expressions(p, v, side, c, named, bad)
}

// match checks one match of rows of c with those of another contract.
func (r *reader) match(p *Pack, m *kpi.Match, c, other *contract.Contract, columns []string, bad func(string, string, ...any)) {
	at := "match." + m.Name
	columns = append(slices.Clone(columns), contract.ColumnID)
	theirs := []string{contract.ColumnTime, contract.ColumnSource, contract.ColumnID}
	for _, f := range other.Fields {
		theirs = append(theirs, f.Name)
	}
	for _, pair := range m.On {
		if !slices.Contains(columns, pair.Own) || pair.Own == kpi.AsOf {
			bad(at+".on", "%s has no field %q%s; it has %s", c.Name, pair.Own, nearest(pair.Own, columns), strings.Join(columns, ", "))
		}
		if !slices.Contains(theirs, pair.Its) && (pair.Its != pair.Own || slices.Contains(columns, pair.Own)) { // a name that neither has is told once
			bad(at+".on", "%s has no field %q%s; it has %s", other.Name, pair.Its, nearest(pair.Its, theirs), strings.Join(theirs, ", "))
		}
	}
	all := slices.Clone(columns)
	for _, name := range theirs {
		all = append(all, "its."+name)
	}
	if m.When != "" {
		r.expression(p, at+".when", m.When, c, other, all, bad)
	}
	if m.Newest != "" {
		r.expression(p, at+".newest", m.Newest, c, other, all, bad)
	}
	if m.First != "" && other.Field(m.First) == nil {
		bad(at+".first", "%s has no field %q%s; it has %s", other.Name, m.First, nearest(m.First, theirs), strings.Join(theirs, ", "))
	}
	if m.First != "" && m.Newest != "" {
		bad(at+".first", "the name stands for a truth or for a value; newest or first, not both")
	}
}

// expressions checks each SQL expression of a version: first its names, then, where
// the engine is at hand, the whole.
func (r *reader) expressions(p *Pack, v *kpi.Version, side kpi.Side, c *contract.Contract, columns []string, bad func(string, string, ...any)) {
	check := func(field, sql string) { r.expression(p, field, sql, c, nil, columns, bad) }
	for field, formula := range v.Formulae() {
		for _, t := range formula.Terms {
			if !side.Counts(t) {
				continue
			}
			if t.Of != "" {
				check(field, t.Of)
			}
			if t.If != "" {
				check(field, t.If)
			}
			if t.Func != kpi.Sum {
				continue
			}
			for _, name := range kpi.Columns(t.Of) {
				if f := c.Field(name); f != nil && f.Type == contract.Number {
					bad(field, "sums %q, a number with a floating point, whose sum changes with its grouping; make it a decimal or integer", name)
				}
			}
		}
	}
	if v.Distribution != nil {
		check("distribution.of", v.Distribution.Of)
		if v.Distribution.If != "" {
			check("distribution.if", v.Distribution.If)
		}
	}
	if v.Distinct != nil && v.Distinct.If != "" {
		check("distinct.if", v.Distinct.If)
	}
}

// expression checks one expression over columns of c and, as its.field, of another contract.
func (r *reader) expression(p *Pack, field, sql string, c, other *contract.Contract, columns []string, bad func(string, string, ...any)) {
	sound := true
	for _, name := range kpi.Columns(sql) {
		if !slices.Contains(columns, name) {
			bad(field, "%s has no field %q%s; it has %s", c.Name, name, nearest(name, columns), strings.Join(columns, ", "))
			sound = false
		}
	}
	for _, compared := range kpi.Comparisons(sql) {
		f := c.Field(compared.Column)
		if its, ok := strings.CutPrefix(compared.Column, "its."); ok && other != nil {
			f = other.Field(its)
		}
		if f != nil && (compared.Text != "" || !f.EmptyIsAbsent()) { // '' is absent
			r.value(p, f, compared.Text, func(format string, args ...any) { bad(field, "in %q: "+format, append([]any{sql}, args...)...) })
		}
	}
	if sound && r.checks.Expression != nil {
		if err := r.checks.Expression(sql, columns); err != nil {
			bad(field, "%q: %v", sql, err)
		}
	}
}

func (r *reader) readTargets(p *Pack) {
	if !r.seen["targets.yaml"] {
		return
	}
	var declared []targetDeclaration
	at, ok := r.one("targets.yaml", &declared)
	if !ok {
		return
	}
	for i := range declared {
		p.Targets = append(p.Targets, r.target(p, at, i, &declared[i]))
	}
}

// translated is a text with its translations: all that the pack's languages ask for, or none.
func (r *reader) translated(p *Pack, at place, field, language, text string, others reference.Names) reference.Names {
	all := reference.Names{language: text}
	if others[language] != "" {
		r.bad(at, join(field, language), "is the language of the text itself")
	}
	for tag, other := range others {
		all[tag] = other
	}
	if len(others) > 0 && slices.Contains(p.Languages, language) { // else that is the fault, told where it stands
		r.titled(p, at, field, all)
	}
	return all
}

func (r *reader) target(p *Pack, at place, i int, d *targetDeclaration) *kpi.Target {
	t := &kpi.Target{KPI: d.KPI, Variant: d.Variant, Kind: kpi.Asked, Wording: d.Wording, Due: d.Due, DueStated: true,
		Act: kpi.Act{Title: d.Act.Title, URL: d.Act.URL, InForce: d.Act.InForce}, Language: d.In, Period: reference.Span(d.Period), Check: d.Check, Owner: d.Owner, Where: d.Where, File: at.file, Line: d.Line}
	bad := func(field, format string, args ...any) {
		r.bad(at, join(index("", i), field), format, args...)
	}
	if t.Language == "" && len(p.Languages) > 0 {
		t.Language = p.Languages[0]
	}
	if !slices.Contains(p.Languages, t.Language) && len(p.Languages) > 0 {
		bad("language", "is no language of the pack; its languages: %s", strings.Join(p.Languages, ", "))
	}
	t.Wordings = r.translated(p, at, join(index("", i), "translations"), t.Language, d.Wording, d.Others)
	t.Act.Titles = r.translated(p, at, join(index("", i), "act.translations"), t.Language, d.Act.Title, d.Act.Others)
	if d.Kind != "" {
		t.Kind = kpi.Kind(d.Kind)
	}
	if d.Base != nil {
		t.Baseline = &kpi.Baseline{On: d.Base.On, Value: d.Base.Value}
		if t.Kind != kpi.Asked {
			bad("baseline", "is where progress towards a target is counted from; a %s has none", t.Kind)
		}
	}
	if d.Check != nil {
		r.titled(p, at, join(index("", i), "check"), d.Check)
		if t.Kind == kpi.Asked {
			bad("check", "is for results and claims; a target is measured")
		}
	}
	if d.Stated != nil {
		t.DueStated = *d.Stated
	}
	given := 0
	for _, c := range []struct {
		comparator kpi.Comparator
		value      *float64
	}{{kpi.AtLeast, d.AtLeast}, {kpi.AtMost, d.AtMost}, {kpi.About, d.About}, {kpi.UpTo, d.UpTo}} {
		if c.value == nil {
			continue
		}
		given++
		t.Comparator, t.Value = c.comparator, *c.value
		if t.Kind == kpi.Asked && c.comparator != kpi.AtLeast && c.comparator != kpi.AtMost {
			bad(string(c.comparator), "is for results and claims; a target is at_least or at_most")
		}
	}
	if given > 1 || given == 0 && t.Kind == kpi.Asked {
		bad("", "tells %d of at_least, at_most, about and up_to; a target needs exactly one, and only results and claims that say yes or no have none", given)
	}
	r.owner(p, at, join(index("", i), "owner"), d.Owner)
	told := func(day reference.Day) bool { return day != 0 && day != reference.NoDay }
	if told(t.Due) && told(t.Act.InForce) && t.Due < t.Act.InForce {
		bad("due", "is %s, and the act is in force from %s only", t.Due, t.Act.InForce)
	}
	if t.Baseline != nil && told(t.Due) && told(t.Baseline.On) && t.Baseline.On >= t.Due {
		bad("baseline.on", "is %s, and progress is counted from there to %s", t.Baseline.On, t.Due)
	}
	if told(t.Period.From) && told(t.Period.To) && t.Period.To < t.Period.From {
		bad("period.to", "%s is before from %s", t.Period.To, t.Period.From)
	}
	if t.Kind == kpi.Asked && (told(t.Period.From) || told(t.Period.To)) {
		bad("period", "is for results and claims; a target is held against the day on which it is due")
	}
	for j, other := range p.Targets {
		if other.KPI == t.KPI && other.Variant == t.Variant && other.Kind == t.Kind && other.Comparator == t.Comparator && other.Value == t.Value && other.Due == t.Due &&
			other.Period == t.Period && other.Act.Title == t.Act.Title && other.Wording == t.Wording && maps.Equal(other.Where, t.Where) {
			bad("", "is [%d] once more", j)
		}
	}
	k := p.KPI(d.KPI)
	if k == nil {
		if d.KPI != "" && !r.lost["kpis"] {
			var ids []string
			for _, k := range p.KPIs {
				ids = append(ids, k.ID)
			}
			bad("kpi", "there is no KPI %q%s; there are: %s", d.KPI, nearest(d.KPI, ids), strings.Join(ids, ", "))
		}
		return t
	}
	if t.Owner == "" {
		t.Owner = k.Owner
	}
	if k.Unit == kpi.Percent && t.Comparator != "" && (t.Value < 0 || t.Value > 100) {
		bad(string(t.Comparator), "is %g, and %s is a share in percent, between 0 and 100", t.Value, k.ID)
	}
	if variants := k.Variants(); len(variants) > 0 && d.Variant != "" && !slices.Contains(variants, d.Variant) {
		bad("variant", "%s has no variant %q%s; it has %s", k.ID, d.Variant, nearest(d.Variant, variants), named(variants))
	}
	for _, dimension := range sortedKeys(d.Where) {
		if len(k.Versions) > 0 && !slices.ContainsFunc(k.Versions, func(v kpi.Version) bool { return slices.Contains(v.Dimensions(), dimension) }) {
			bad("where."+dimension, "no rollup of %s has this dimension", k.ID)
			continue
		}
		r.where(p, k, dimension, d.Where[dimension], func(format string, args ...any) { bad("where."+dimension, format, args...) })
	}
	return t
}

// where notes a value that the field of a dimension cannot have.
func (r *reader) where(p *Pack, k *kpi.KPI, dimension, value string, bad func(string, ...any)) {
	for _, v := range k.Versions {
		for _, name := range v.From {
			c, _ := r.lookup(p, name)
			if c == nil || c.Field(dimension) == nil {
				continue
			}
			if r.value(p, c.Field(dimension), value, bad) {
				return
			}
		}
	}
}

// value notes a text that a reference or an enumeration cannot have.
func (r *reader) value(p *Pack, f *contract.Field, value string, bad func(string, ...any)) (noted bool) {
	if table := p.Reference.Table(f.To); f.Type == contract.Ref && table != nil && !table.Has(value) && !r.damaged[f.To] {
		bad("the table %s has no code %q", f.To, value)
		return true
	}
	if f.Type == contract.Enum && !slices.Contains(f.Values, value) {
		bad("%q is none of the values of %s: %s", value, f.Name, strings.Join(f.Values, ", "))
		return true
	}
	return false
}

// named lists variants for people: the default has no name.
func named(variants []string) string {
	var names []string
	for _, v := range variants {
		if v == "" {
			v = "the default, which has no name"
		}
		names = append(names, v)
	}
	return strings.Join(names, ", ")
}
