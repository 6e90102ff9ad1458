package pack

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
)

// seed is a table whose rows are sent as events of a contract.
type seed struct {
	table    *reference.Table
	contract *contract.Contract
	key      string // field of the contract that takes the code
	since    reference.Day
	active   string
}

func (r *reader) readSeeds(p *Pack) {
	for i, d := range r.declared.Seed {
		before := len(r.issues)
		bad := func(field, format string, args ...any) {
			r.bad(r.head, join(index("seed", i), field), format, args...)
		}
		table := r.table(p, r.head, join(index("seed", i), "table"), d.Table)
		c := r.find(p, r.head, join(index("seed", i), "contract"), d.Contract)
		if table == nil || c == nil || r.damaged[d.Table] {
			continue
		}
		s := seed{table: table, contract: c, key: keyOf(c, d.Table), since: d.Since, active: d.Active}
		if s.key == "" {
			bad("contract", "%s has not exactly one required field that refers to %s, which would take the code", c.Name, d.Table)
			continue
		}
		if d.Active != "" {
			if f := c.Field(d.Active); f == nil || f.Type != contract.Boolean {
				bad("active", "%s has no boolean field %q", c.Name, d.Active)
				continue
			}
		}
		for _, f := range c.Fields {
			if f.Required && f.Name != s.key && f.Name != s.active && f.Default == "" && !table.HasColumn(f.Name) {
				bad("contract", "%s requires %s, which is no column of %s", c.Name, f.Name, table.Name)
			}
		}
		for _, row := range table.Rows() {
			if _, field, err := s.data(row, true); err != nil {
				r.issues.Add("reference/"+r.tableFile(table.Name), row.Line, field, "%v", err)
			}
		}
		if len(r.issues) == before {
			p.seeds = append(p.seeds, s)
		}
	}
}

func (r *reader) tableFile(name string) string {
	i := slices.IndexFunc(r.declared.Reference, func(t tableDeclaration) bool { return t.Name == name })
	return r.declared.Reference[i].File
}

// Seeds are the events that bring the reference tables named under seed in pack.yaml
// into the ledger, as CloudEvents in JSON. Their ids follow from table, code and day,
// so that sending them again changes nothing; a row that was edited in the pack
// corrects what was sent for it.
func (p *Pack) Seeds() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, s := range p.seeds {
			for _, row := range s.table.Rows() {
				if !yield(p.seedEvent(s, row, s.day(row), true)) {
					return
				}
				if s.active == "" || row.Valid.To == reference.NoDay {
					continue
				}
				if _, goesOn := s.table.At(row.Code, row.Valid.To+1); !goesOn {
					if !yield(p.seedEvent(s, row, row.Valid.To+1, false)) {
						return
					}
				}
			}
		}
	}
}

// day is when the row begins to hold.
func (s seed) day(row reference.Row) reference.Day {
	if row.Valid.From == reference.NoDay {
		return s.since
	}
	return row.Valid.From
}

func (p *Pack) seedEvent(s seed, row reference.Row, day reference.Day, active bool) []byte {
	data, _, _ := s.data(row, active) // Read has seen that every row converts
	event, err := json.Marshal(map[string]any{
		"specversion": "1.0",
		"type":        s.contract.Type,
		"source":      s.contract.Source,
		"id":          s.table.Name + "/" + row.Code + "/" + day.String(),
		"subject":     row.Code,
		"onchange":    "correct",
		"time":        p.Reference.Calendar().Start(day).Format(time.RFC3339),
		"data":        data,
	})
	if err != nil {
		panic("pack: a seed of text, numbers and booleans does not marshal: " + err.Error())
	}
	return event
}

// data is the event's data of a row: the cells under the names of the contract's
// fields, in their types. field is the column at fault.
func (s seed) data(row reference.Row, active bool) (data map[string]any, field string, err error) {
	data = map[string]any{}
	for _, f := range s.contract.Fields {
		if f.Name == s.key {
			data[f.Name] = row.Code
			continue
		}
		if f.Name == s.active {
			data[f.Name] = active
			continue
		}
		cell := row.Value(f.Name)
		if cell == "" {
			if f.Required && s.table.HasColumn(f.Name) {
				return nil, f.Name, fmt.Errorf("is empty, but %s requires it", s.contract.Name)
			}
			continue
		}
		switch f.Type {
		case contract.Boolean:
			truth, ok := map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false}[strings.ToLower(cell)]
			if !ok {
				return nil, f.Name, fmt.Errorf("%q is neither true nor false", cell)
			}
			data[f.Name] = truth
		case contract.Integer, contract.Money, contract.Duration:
			number, err := strconv.ParseInt(cell, 10, 64)
			if err != nil {
				return nil, f.Name, fmt.Errorf("%q is not a whole number", cell)
			}
			data[f.Name] = number
		case contract.Number, contract.Decimal:
			if _, err := strconv.ParseFloat(cell, 64); err != nil || !json.Valid([]byte(cell)) {
				return nil, f.Name, fmt.Errorf("%q is not a number", cell)
			}
			data[f.Name] = json.Number(cell)
		default:
			data[f.Name] = cell
		}
	}
	return data, "", nil
}
