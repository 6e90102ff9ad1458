package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/contract"
)

// fields are one of each type that a contract can have, optional and required.
func fields(t testing.TB) *contract.Contract {
	t.Helper()
	c := &contract.Contract{Type: "test.all.v1", Name: "all", Major: 1, File: "all.yaml"}
	for _, f := range []contract.Field{
		{Name: "text", Type: contract.Text}, {Name: "code", Type: contract.Code}, {Name: "enum", Type: contract.Enum, Values: []string{"a", "b"}},
		{Name: "person", Type: contract.Person, ID: "card", Class: contract.Personal}, {Name: "at", Type: contract.Timestamp},
		{Name: "day", Type: contract.Date}, {Name: "whole", Type: contract.Integer}, {Name: "price", Type: contract.Decimal, Scale: 2},
		{Name: "money", Type: contract.Money}, {Name: "yes", Type: contract.Boolean}, {Name: "number", Type: contract.Number},
	} {
		c.Fields = append(c.Fields, f)
		f.Name, f.Required = "must_"+f.Name, true
		c.Fields = append(c.Fields, f)
	}
	if _, err := contract.NewSet("test.", time.UTC, []*contract.Contract{c}, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// records makes batches of random events, from one row to some thousands.
func records(t testing.TB, c *contract.Contract, seed uint64, rows int) arrow.Record {
	t.Helper()
	set, err := contract.NewSet("test.", time.UTC, []*contract.Contract{c}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := contract.NewChecker(set, contract.NewKeys(), contract.Limits{}).NewBatch()
	random := rand.New(rand.NewPCG(seed, 0))
	spread := random.IntN(4) // how far values lie apart
	whole := func() int64 {
		switch spread {
		case 0:
			return 7
		case 1:
			return random.Int64N(200) - 100
		case 2:
			return random.Int64N(1 << 40)
		}
		return []int64{-contract.LargestWhole, contract.LargestWhole, 0, random.Int64N(2*contract.LargestWhole) - contract.LargestWhole}[random.IntN(4)]
	}
	absent := random.IntN(3) // nobody, some, all optional values
	for i := range rows {
		data := map[string]any{}
		for j := range c.Fields {
			f := &c.Fields[j]
			if !f.Required && (absent == 2 || absent == 1 && random.IntN(2) == 0) {
				continue
			}
			var v any
			switch f.Type {
			case contract.Text:
				v = strings.Repeat("matn ", 1+random.IntN(20)) + fmt.Sprint(i)
			case contract.Code:
				v = fmt.Sprint("code ", random.IntN(1+spread*300))
			case contract.Enum:
				v = []string{"a", "b"}[random.IntN(2)]
			case contract.Person:
				v = fmt.Sprint("card ", whole())
			case contract.Timestamp:
				v = time.UnixMilli(whole() % 1e12).UTC().Format(time.RFC3339Nano)
			case contract.Date:
				v = time.Unix(whole()%2e9, 0).UTC().Format(time.DateOnly)
			case contract.Integer, contract.Money:
				v = whole()
			case contract.Decimal:
				v = json.Number(fmt.Sprintf("%d.25", whole()%1e15))
			case contract.Boolean:
				v = whole()%2 == 0
			case contract.Number:
				v = float64(whole()) / 3
			}
			data[f.Name] = v
		}
		event, err := json.Marshal(map[string]any{"specversion": "1.0", "id": fmt.Sprint(i), "source": "s", "type": c.Type, "time": "2024-05-01T10:00:00Z", "data": data})
		if err != nil {
			t.Fatal(err)
		}
		if r := b.Add(i, event); r != nil {
			t.Fatalf("%v\n%s", r, event)
		}
	}
	return b.Parts()[0].Record
}

func TestColumnsComeBack(t *testing.T) {
	c := fields(t)
	for seed := range uint64(60) {
		rows := []int{1, 2, 7, 8, 9, 64, 1000}[seed%7]
		rec := records(t, c, seed, rows)
		for _, span := range [][2]int{{0, rows}, {rows / 3, rows}, {rows / 3, rows/3 + 1}, {0, (rows + 1) / 2}} {
			want := rec.NewSlice(int64(span[0]), int64(span[1]))
			body, err := pack(nil, rec, span[0], span[1])
			if err != nil {
				t.Fatal(err)
			}
			for name, known := range map[string]*arrow.Schema{"its own": c.Schema(), "none": nil, "another": arrow.NewSchema(c.Schema().Fields()[:3], nil)} {
				got, err := unpack(body, span[1]-span[0], known)
				if err != nil {
					t.Fatalf("seed %d, rows %v, schema %s: %v", seed, span, name, err)
				}
				if err := got.Schema().Field(0); known == c.Schema() && got.Schema() != known || err.Name != contract.ColumnID {
					t.Errorf("the schema is %v", got.Schema())
				}
				if !array.RecordEqual(got, want) {
					t.Fatalf("seed %d, rows %v, schema %s: got %v\nwant %v", seed, span, name, got, want)
				}
			}
			if _, err := unpack(body[:len(body)-1], span[1]-span[0], nil); err == nil {
				t.Error("a body that is cut off is read")
			}
			if _, err := unpack(append(body, 0), span[1]-span[0], nil); err == nil {
				t.Error("a body with something behind it is read")
			}
			if _, err := unpack(body, span[1]-span[0]+1, nil); err == nil {
				t.Error("a body is read with a row too many")
			}
		}
	}
}

// No bytes end the process, and what is read is sound: every value can be looked at.
func FuzzColumns(f *testing.F) {
	c := fields(f)
	for seed := range uint64(6) {
		rows := []int{1, 9, 40}[seed%3]
		body, err := pack(nil, records(f, c, seed, rows), 0, rows)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, rows)
	}
	f.Fuzz(func(t *testing.T, body []byte, rows int) {
		rec, err := unpack(body, rows, c.Schema())
		if err != nil {
			return
		}
		for i, column := range rec.Columns() {
			if column.Len() != rows {
				t.Fatalf("column %d has %d rows of %d", i, column.Len(), rows)
			}
			for row := range rows {
				_ = column.ValueStr(row)
			}
		}
		again, err := pack(nil, rec, 0, rows)
		if err != nil {
			return // a label with nulls
		}
		back, err := unpack(again, rows, rec.Schema())
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if third, err := pack(nil, back, 0, rows); err != nil || !bytes.Equal(again, third) { // bytes: NaN is no equal of itself
			t.Fatalf("written again it is another record: %v", err)
		}
	})
}
