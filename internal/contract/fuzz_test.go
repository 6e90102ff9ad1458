package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAdd throws bytes at the checker. Whatever comes: it does not panic, a refusal
// leaves no trace, all columns have one length, the batch stays usable, and an
// identifier sent in a person's field is in nothing that comes out.
func FuzzAdd(f *testing.F) {
	for _, seed := range []string{
		good,
		envelopeWith("every.v1", `{"text":"Oʻ\u02bb\ud83d\ude00","code":"k","enum":"b","ref":"Fergana","person":"+998 90 123-45-67","at":"2024-02-29T23:59:59.1239-00:30","day":"2149-06-05","whole":-9007199254740991,"price":-0.5e1,"money":1e3,"yes":true,"took":0,"number":-0.0}`),
		replace(good, "e-1", pinfl), replace(good, "r-1", pinfl), replace(good, `"1726"`, `"1799"`),
		replace(good, `"applicant"`, `"applicant":"`+pinfl+`","applicant"`),
		replace(good, `"id"`, `"corrects":"e-0","revision":2,"withdrawn":true,"onchange":"correct","simulated":true,"traceparent":"00-1","id"`),
		`{"data":{"whole":5,"text":"x"},"id":"9","source":"s","specversion":"1.0","time":"2024-01-01T00:00:00Z","type":"uz.gov.every.v1"}`,
		replace(good, `":`, `" : `), replace(good, `"type"`, `"subject":[{"a":[1,{}]}],"dataschema":-1e5,"type"`), replace(good, `"deadline"`, `"agency":"IIV","deadline"`),
		"[]", "{}", `{"id":1e99}`, `{"data":{}}`, strings.Repeat(`{"data":`, 40), "{\"id\":\"\xff\x00\"}", `{"\u0000":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	b := checker(f).NewBatch()
	f.Fuzz(func(t *testing.T, event []byte) {
		refusal := b.Add(0, event)
		rows := b.Len()
		parts, held := b.Parts(), b.Held()
		if refusal != nil && (rows != 0 || len(parts) != 0 || len(held) != 0) || refusal == nil && rows+len(held) != 1 {
			t.Fatalf("refusal %v, %d rows, %d held", refusal, rows, len(held))
		}
		for _, p := range parts {
			if sameLength(p.Record) != 1 {
				t.Fatal("columns differ in length")
			}
		}
		var sent struct {
			Type string
			Data map[string]any
		}
		if json.Unmarshal(event, &sent) == nil {
			c := b.checker.set.ByType(sent.Type)
			if c == nil {
				return
			}
			out := fmt.Sprint(refusal, parts)
			for _, h := range held {
				out += h.ID + h.Source + h.Field + h.Reason + string(h.Event)
			}
			for name, v := range sent.Data {
				raw, ok := v.(string)
				if field := c.Field(name); ok && field != nil && field.Type == Person && len(raw) >= 9 && strings.Contains(out, strings.TrimSpace(raw)) &&
					strings.Count(string(event), name) == 1 && strings.Count(string(event), `"type"`) == 1 {
					t.Fatalf("the identifier of %s came out: %s", name, out)
				}
			}
		}
		if r := b.Add(1, []byte(good)); r != nil {
			t.Fatalf("the batch is not usable any more: %v", r)
		}
		if p := b.Parts(); len(p) != 1 || sameLength(p[0].Record) != 1 {
			t.Fatal("the batch is not usable any more")
		}
	})
}

// FuzzJSON holds the reading of events against encoding/json: what is taken is JSON and
// was understood as the standard library understands it; what is refused as malformed
// is not JSON. (The standard library replaces half of a surrogate pair and bytes that are
// not UTF-8, and of two equal names takes the last; here all these are refused.)
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		envelopeWith("every.v1", `{"text":"a\u0041\\\"\/\b\f\n\r\t\ud83d\ude00","code":"\u00e9","whole":12,"yes":true,"took":1e3}`),
		envelopeWith("every.v1", ` { "text" : null ,"whole":-0 , "yes":false } `),
		replace(good, `"id"`, `"trace":[1,{"a":[]},"x",tru],"id"`), replace(good, `"id"`, `"subject":{"a":[{}],"b":{}},"id"`),
		`{"data":{"text":"a","whole":1},"id":"1","source":"s","specversion":"1.0","time":"2024-01-01T00:00:00Z","type":"uz.gov.every.v1"}`,
		`{"data":{},}`, `{"data":{"text":"a",}}`, `{"data" {}}`, `{"subject":01}`, `{"subject":1.}`, `"a"`, ` 1 `, "{} x",
	} {
		f.Add([]byte(seed))
	}
	b := checker(f).NewBatch()
	f.Fuzz(func(t *testing.T, event []byte) {
		refusal := b.Add(0, event)
		parts := b.Parts()
		b.Held()
		sound := json.Valid(event) && utf8.Valid(event)
		if refusal != nil {
			if refusal.Code == BadJSON && strings.Contains(refusal.Reason, "malformed") && sound {
				t.Fatalf("refused, and is JSON: %v", refusal)
			}
			return
		}
		if !sound {
			t.Fatal("taken, and is not JSON")
		}
		var sent struct {
			Type, Source string
			Data         map[string]json.RawMessage
		}
		if len(parts) == 0 || json.Unmarshal(event, &sent) != nil { // held; or a name in another case
			return
		}
		record := parts[0].Record
		if got := record.Column(6).ValueStr(0); sent.Type == parts[0].Contract.Type && got != sent.Source {
			t.Fatalf("source %q, want %q", got, sent.Source)
		}
		for i := range parts[0].Contract.Fields {
			f := &parts[0].Contract.Fields[i]
			raw, given := sent.Data[f.Name]
			column := record.Column(FirstField + i)
			if !given || string(raw) == "null" {
				if f.Default == "" && !f.EmptyIsAbsent() && column.IsValid(0) {
					t.Fatalf("%s is %s, and was not sent", f.Name, column.ValueStr(0))
				}
				continue
			}
			got, want := column.ValueStr(0), ""
			switch f.Type {
			case Text, Code, Enum:
				if err := json.Unmarshal(raw, &want); err != nil {
					t.Fatal(err)
				}
			case Integer, Money, Duration, Boolean:
				want = string(raw)
				if n, ok := rational(want, 0); ok {
					want = fmt.Sprint(n)
				}
			default:
				continue
			}
			if got != want {
				t.Fatalf("%s is %q, the standard library reads %q", f.Name, got, want)
			}
		}
	})
}

// FuzzTime holds the time parser against the standard library's.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2024-02-29T23:59:59.1239-00:30", "0000-01-01T00:00:00Z", "9999-12-31t23:59:59z", "2023-02-29T00:00:00Z", "2024-06-30T23:59:60Z", "2024-06-30T24:00:00+24:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, fault := parseTime([]byte(s))
		want, err := timeParse(s)
		if fault.is() != (err != nil) {
			t.Fatalf("%q: %v, the standard library: %v", s, fault, err)
		}
		if err == nil && got != want.UnixMilli() {
			t.Fatalf("%q is %d, want %d", s, got, want.UnixMilli())
		}
	})
}

// FuzzFixed holds the number parser against big rationals.
func FuzzFixed(f *testing.F) {
	for _, s := range []string{"0", "-0.0", "1.50", "15e-1", "9223372036854775807", "-9223372036854775808", "1e18", "0.000001e6", "00", "1.", "1e", "+1"} {
		f.Add(s, 2)
	}
	f.Fuzz(func(t *testing.T, s string, scale int) {
		if scale < 0 || scale > 9 || len(s) > 60 {
			return
		}
		got, wrong := parseFixed([]byte(s), scale)
		want, sound := rational(s, scale)
		if (wrong == "") != sound || sound && got != want {
			t.Fatalf("%q at scale %d: %d %q, want %d %v", s, scale, got, wrong, want, sound)
		}
	})
}
