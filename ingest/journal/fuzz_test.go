package journal

import (
	"testing"
	"time"

	"ombor/internal/contract"
	"ombor/internal/stream"
)

type one struct{ c *contract.Contract }

func (o one) ByType(eventType string) *contract.Contract {
	if eventType == o.c.Type {
		return o.c
	}
	return nil
}

// No bytes in the journal end the process: they are a message, or named damage, or
// an error.
func FuzzEnvelope(f *testing.F) {
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{{Type: "test.a.v1", Name: "a", Major: 1, File: "a.yaml",
		Fields: []contract.Field{{Name: "label", Type: contract.Code}, {Name: "note", Type: contract.Text}, {Name: "n", Type: contract.Integer}}}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	c := set.All()[0]
	keys, err := contract.OpenKeys(f.TempDir() + "/keys")
	if err != nil {
		f.Fatal(err)
	}
	b := contract.NewChecker(set, keys, contract.Limits{}).NewBatch()
	if r := b.Add(0, []byte(`{"specversion":"1.0","id":"1","source":"s","type":"test.a.v1","time":"2024-05-01T10:00:00Z","data":{"label":"x","note":"y","n":3}}`)); r != nil {
		f.Fatal(r)
	}
	blocks, err := encode(b.Parts()[0], 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seal(nil, time.Unix(1, 0), blocks))
	f.Add(seal(nil, time.Unix(1, 0), append(blocks, blocks...)))
	f.Add([]byte("OMBJ"))
	j := &Journal{opts: Options{Contracts: one{c}}}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := j.open(stream.Message{Seq: 1, Data: data}, "")
		if err == nil {
			for i, p := range m.Parts {
				if p.Record == nil && len(m.Damage) == 0 {
					t.Errorf("part %d is missing without a word", i)
				}
			}
		}
	})
}
