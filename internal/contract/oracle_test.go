package contract

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// timeParse is RFC 3339 by the standard library, whose UnmarshalText is strict about
// digits and offsets but wants upper-case T and Z.
func timeParse(s string) (t time.Time, err error) {
	err = t.UnmarshalText([]byte(strings.ToUpper(s)))
	return t, err
}

// rational reads a JSON number exactly; sound says that it fits 64 bits at that scale.
func rational(s string, scale int) (v int64, sound bool) {
	if !json.Valid([]byte(s)) || strings.ContainsAny(s, "\"[]{}tfn \t\r\n") {
		return 0, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 && len(strings.TrimLeft(s[i+1:], "+-0")) > 4 {
		return 0, strings.Trim(s[:i], "-0.") == "" // with so large an exponent only zero fits
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, false
	}
	r.Mul(r, new(big.Rat).SetInt64(pow10[scale]))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, false
	}
	return r.Num().Int64(), true
}

// The JSON Schema takes what the checker takes, and refuses what it can see is wrong.
func TestJSONSchema(t *testing.T) {
	c := checker(t)
	for _, contract := range c.set.All() {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(contract.JSONSchema())))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		compiler.AssertFormat()
		if err := compiler.AddResource("contract.json", doc); err != nil {
			t.Fatal(err)
		}
		schema, err := compiler.Compile("contract.json")
		if err != nil {
			t.Fatal(err)
		}
		events := map[string]bool{}
		switch contract.Name {
		case "request.decided":
			events[good] = true
			events[replace(good, `"approved"`, `"lost"`)] = false
			events[replace(good, `"outcome":"approved",`, ``)] = false
			events[replace(good, `"fee":1500`, `"fee":1.5`)] = false
			events[replace(good, `"request"`, `"nope":1,"request"`)] = false
			events[replace(good, `"1.0"`, `"0.3"`)] = false
			events[replace(good, pinfl, "123")] = false
			events[replace(good, `,"data":`+goodData, `,"withdrawn":true,"corrects":"e-0","revision":1`)] = true
			events[replace(good, `,"data":`+goodData, `,"withdrawn":true`)] = false
			events[replace(good, `,"data":`+goodData, ``)] = false
		case "every":
			events[envelopeWith("every.v1", `{"text":"","code":null,"enum":"","ref":"1726","person":"+998901234567","at":"2024-02-29T00:00:00Z","day":"2024-02-29","whole":5,"price":1.25,"money":null,"yes":false,"took":0,"number":1e3}`)] = true
			events[envelopeWith("every.v1", `{"price":1.255}`)] = false
			events[envelopeWith("every.v1", `{"took":-1}`)] = false
			events[envelopeWith("every.v1", `{"enum":"c"}`)] = false
		}
		for event, want := range events {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(event))
			if err != nil {
				t.Fatal(err)
			}
			err = schema.Validate(value)
			refusal := c.NewBatch().Add(0, []byte(event))
			if (err == nil) != want || (refusal == nil) != want {
				t.Errorf("%s\nschema: %v\nchecker: %v\nwant taken: %v", event, err, refusal, want)
			}
		}
	}
}

func TestDictionary(t *testing.T) {
	entries := checker(t).Set().Dictionary()
	if len(entries) != 12+13 {
		t.Fatalf("%d entries", len(entries))
	}
	agency, _ := json.Marshal(entries[4])
	if want := `{"contract":"uz.gov.request.decided.v1","field":"agency","type":"ref","column":"dictionary\u003cvalues=utf8, indices=int32, ordered=false\u003e","required":false,"class":"internal","table":"organisations","default":"service.agency"}`; string(agency) != want {
		t.Errorf("got %s", agency)
	}
}
