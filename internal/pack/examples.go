package pack

import (
	"encoding/json"
	"fmt"
	"time"

	"ombor/internal/contract"
)

// prove sends examples and seeds through the door's own checker, so that a pack that
// is whole cannot ship an event that its contracts refuse.
func (r *reader) prove(p *Pack) {
	for _, damaged := range r.damaged {
		if damaged {
			return
		}
	}
	if p.Set == nil {
		return // its contracts have problems of their own
	}
	batch := contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{}).NewBatch()
	try := func(event []byte) (field, reason string) {
		if refusal := batch.Add(0, event); refusal != nil {
			field, reason = refusal.Field, refusal.Reason
		} else if held := batch.Held(); len(held) > 0 {
			field, reason = held[0].Field, held[0].Reason
		}
		if batch.Len() >= 1000 { // only whether they pass is asked
			batch.Reset()
		}
		return field, reason
	}
	p.Examples = map[string][][]byte{}
	for _, c := range r.contracts {
		if !c.sound {
			continue
		}
		for i, data := range c.declared.Examples {
			event, err := exampleEvent(p, c.Contract, i, data)
			if err != nil {
				r.bad(c.at, index("examples", i), "%v", err)
				continue
			}
			if field, reason := try(event); reason != "" {
				r.bad(c.at, join(index("examples", i), field), "does not pass: %s", reason)
			}
			p.Examples[c.Type] = append(p.Examples[c.Type], event)
		}
	}
	for _, s := range p.seeds {
		for _, row := range s.table.Rows() {
			if field, reason := try(p.seedEvent(s, row, s.day(row), true)); reason != "" {
				r.issues.Add("reference/"+r.tableFile(s.table.Name), row.Line, field, "does not pass %s: %s", s.contract.Name, reason)
			}
		}
	}
	batch.Reset()
}

// exampleEvent makes a CloudEvent of an example's data. Its time is the example's
// time, or the latest of its timestamps, or the beginning of 2024.
func exampleEvent(p *Pack, c *contract.Contract, i int, example map[string]any) ([]byte, error) {
	data := make(map[string]any, len(example))
	when := time.Date(2024, 1, 1, 0, 0, 0, 0, p.Zone)
	_, told := example[contract.ColumnTime]
	for name, value := range example {
		if text, ok := value.(string); ok {
			f := c.Field(name)
			if name == contract.ColumnTime || !told && f != nil && f.Type == contract.Timestamp {
				at, err := time.Parse(time.RFC3339Nano, text)
				if err != nil && name == contract.ColumnTime {
					return nil, fmt.Errorf("time %q is no RFC 3339 time with an offset, as in 2024-06-01T10:00:00+05:00", text)
				}
				if err == nil && (name == contract.ColumnTime || at.After(when)) {
					when = at
				}
			}
		}
		if name != contract.ColumnTime {
			data[name] = value
		}
	}
	return json.Marshal(map[string]any{
		"specversion": "1.0", "type": c.Type, "source": c.Source, "id": fmt.Sprintf("example-%d", i+1),
		"time": when.Format(time.RFC3339Nano), "data": data,
	})
}
