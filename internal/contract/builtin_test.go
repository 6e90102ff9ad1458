package contract

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// What Ombor publishes nobody else can send.
func TestOwnContracts(t *testing.T) {
	set, err := NewSet("uz.gov.", nil, BuiltIn("uz.gov."), nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	published := []byte(`{"specversion":"1.0","type":"uz.gov.figure.published.v1","source":"ombor","id":"1","time":"2024-06-01T00:00:00Z","data":{"kpi":"requests","version":1,"grain":"month","from":"2024-05-01","to":"2024-05-31","number":1,"hidden":false,"state":"zero","through":7}}`)
	closed := []byte(`{"specversion":"1.0","type":"uz.gov.period.closed.v1","source":"portal","id":"1","time":"2024-06-01T00:00:00Z","data":{"source":"portal","contract":"request.decided","from":"2024-05-01","to":"2024-05-31","count":7}}`)
	for _, own := range []bool{false, true} {
		batch := NewChecker(set, keys, Limits{Own: own}).NewBatch()
		if refusal := batch.Add(0, closed); refusal != nil {
			t.Errorf("period.closed is refused: %+v", refusal)
		}
		refusal := batch.Add(1, published)
		if own && refusal != nil || !own && (refusal == nil || refusal.Code != UnknownType) {
			t.Errorf("own %t: figure.published: %+v", own, refusal)
		}
		if refusal != nil && strings.Count(refusal.Reason, FigurePublished) > 1 {
			t.Errorf("what nobody may send is offered: %s", refusal.Reason)
		}
		batch.Reset()
	}
	batch := NewChecker(set, keys, Limits{}).NewBatch()
	if refusal := batch.Add(0, bytes.Replace(closed, []byte(`"to":"2024-05-31"`), []byte(`"to":"2024-04-30"`), 1)); refusal == nil {
		t.Error("a period that ends before it begins is taken")
	}
}
