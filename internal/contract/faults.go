package contract

import "fmt"

// Faults lists everything that keeps a held event from being accepted with today's
// reference tables: what is wrong with its form, or else every missing field, every
// unknown reference and every broken rule whose severity is refuse or quarantine, in the
// contract's order. nil means that [Batch.Replay] accepts it. The batch must be empty,
// and is empty afterwards.
func (b *Batch) Faults(h Held) []*Refusal {
	defer b.Reset()
	r := b.Replay(0, h)
	if r != nil && r.Code != RuleBroken && (r.Code != MissingField || b.row.table == nil || b.row.table.contract.Field(r.Field) == nil) {
		return []*Refusal{r}
	}
	if b.row.withdrawn {
		return nil
	}
	var all []*Refusal
	t := b.row.table
	add := func(code, field, format string, args ...any) {
		all = append(all, &Refusal{ID: h.ID, Field: field, Code: code, Reason: fmt.Sprintf(format, args...)})
	}
	for _, i := range t.required {
		if f := &t.contract.Fields[i]; !b.row.values[i].set {
			add(MissingField, f.Name, "is missing; %s", f.expected())
		}
	}
	for _, i := range t.refs {
		if v := &b.row.values[i]; v.set && v.word.code == nil {
			add(UnknownReference, t.contract.Fields[i].Name, "is in no row of table %s, as a code, a name or another spelling", t.tables[i].Name)
		}
	}
	for i := range t.rules {
		if r := &t.rules[i]; r.Severity != Warn && !b.holds(r) {
			add(RuleBroken, r.field, "the rule %s does not hold: %s", r.ID, r.Check)
		}
	}
	return all
}
