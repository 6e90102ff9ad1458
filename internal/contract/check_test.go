package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

var now = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

func tables(t testing.TB) *reference.Set {
	t.Helper()
	var issues problem.Issues
	read := func(name, text string) *reference.Table {
		return reference.ReadTable(name, name+".csv", strings.NewReader(text), reference.TableFormat{}, &issues)
	}
	set := reference.NewSet(nil,
		read("services", "code,agency,name_en\npassport,mia,Passport\nland-title,cadastre,Land title\n"),
		read("organisations", "code,name_en,name_uz,aliases\nmia,Ministry of Internal Affairs,Ichki ishlar vazirligi,IIV\ncadastre,Cadastre Agency,Kadastr agentligi,\n"),
		read("regions", "code,name_en,name_uz\n1726,Tashkent city,Toshkent shahri\n1730,Fergana,Fargʻona viloyati\n"))
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	return set
}

// decided is a contract of twelve fields like the portal's busiest one.
func decided() *Contract {
	return &Contract{Type: "uz.gov.request.decided.v1", Name: "request.decided", Major: 1, File: "request_decided.yaml",
		Title: reference.Names{"en": "Request decided"}, Fields: []Field{
			{Name: "request", Type: Text, Required: true},
			{Name: "applicant", Type: Person, ID: "pinfl", Class: Personal},
			{Name: "applicant_kind", Type: Enum, Values: []string{"citizen", "legal_entity"}, Required: true},
			{Name: "service", Type: Ref, To: "services", Required: true},
			{Name: "agency", Type: Ref, To: "organisations", Default: "service.agency"},
			{Name: "region", Type: Ref, To: "regions"},
			{Name: "intake", Type: Enum, Values: []string{"portal", "mobile", "operator", "bank", "payment_system", "service_centre", "agency_desk"}},
			{Name: "processing", Type: Enum, Values: []string{"automatic", "officer_online", "offline"}, Required: true},
			{Name: "submitted_at", Type: Timestamp, Required: true},
			{Name: "deadline", Type: Timestamp},
			{Name: "outcome", Type: Enum, Values: []string{"approved", "rejected", "withdrawn"}, Required: true},
			{Name: "fee", Type: Money, Unit: "tiyin"},
		},
		Rules: []Rule{
			{ID: "decided-after-submitted", Check: "submitted_at <= time"},
			{ID: "deadline-after-submitted", Check: "submitted_at <= deadline", Severity: Quarantine},
			{ID: "fee-known", Check: "has(fee)", Severity: Warn},
		}}
}

// every has one field of each type.
func every() *Contract {
	return &Contract{Type: "uz.gov.every.v1", Name: "every", Major: 1, File: "every.yaml", Fields: []Field{
		{Name: "text", Type: Text}, {Name: "code", Type: Code}, {Name: "enum", Type: Enum, Values: []string{"a", "b"}},
		{Name: "ref", Type: Ref, To: "regions"}, {Name: "person", Type: Person, ID: "phone", Class: Personal},
		{Name: "at", Type: Timestamp}, {Name: "day", Type: Date}, {Name: "whole", Type: Integer},
		{Name: "price", Type: Decimal, Scale: 2}, {Name: "money", Type: Money}, {Name: "yes", Type: Boolean},
		{Name: "took", Type: Duration}, {Name: "number", Type: Number},
	}}
}

func checker(t testing.TB, contracts ...*Contract) *Checker {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Tashkent")
	if err != nil {
		t.Fatal(err)
	}
	if len(contracts) == 0 {
		contracts = []*Contract{decided(), every()}
	}
	set, err := NewSet("uz.gov.", zone, contracts, tables(t))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := OpenKeys(filepath.Join(t.TempDir(), "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	return NewChecker(set, keys, Limits{Now: func() time.Time { return now }})
}

const pinfl = "31507856543210"

// envelopeWith is an event of a type whose data is given.
func envelopeWith(typ, data string) string {
	return `{"specversion":"1.0","id":"e-1","source":"portal","type":"uz.gov.` + typ + `","time":"2024-06-30T23:30:00+05:00","data":` + data + `}`
}

const goodData = `{"request":"r-1","applicant":"` + pinfl + `","applicant_kind":"citizen","service":"passport","region":"1726","intake":"mobile","processing":"automatic","submitted_at":"2024-06-30T10:00:00+05:00","deadline":"2024-07-10T10:00:00+05:00","outcome":"approved","fee":1500}`

var good = envelopeWith("request.decided.v1", goodData)

func replace(s string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			panic("not in the event: " + pairs[i])
		}
		s = strings.ReplaceAll(s, pairs[i], pairs[i+1])
	}
	return s
}

func TestRow(t *testing.T) {
	c := checker(t)
	b := c.NewBatch()
	if r := b.Add(0, []byte(good)); r != nil {
		t.Fatal(r)
	}
	parts := b.Parts()
	if len(parts) != 1 || parts[0].Record.NumRows() != 1 || !parts[0].Record.Schema().Equal(parts[0].Contract.Schema()) {
		t.Fatalf("parts: %v", parts)
	}
	record := parts[0].Record
	want := map[string]string{
		"_rev": "0", "_withdrawn": "false", "_correct": "false", "_simulated": "false", "_source": "portal",
		"time": "2024-06-30 18:30:00Z", "_day": "2024-06-30", "request": "r-1", "applicant_kind": "citizen", "service": "passport",
		"agency": "mia", "region": "1726", "intake": "mobile", "processing": "automatic", "submitted_at": "2024-06-30 05:00:00Z",
		"deadline": "2024-07-10 05:00:00Z", "outcome": "approved", "fee": "1500",
	}
	for i, f := range record.Schema().Fields() {
		if text, ok := want[f.Name]; ok {
			if got := record.Column(i).ValueStr(0); got != text {
				t.Errorf("%s is %q, want %q", f.Name, got, text)
			}
			delete(want, f.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("columns missing: %v", want)
	}
	if strings.Contains(fmt.Sprint(record), pinfl) {
		t.Error("the record holds the raw identifier")
	}
}

// The day is the civil day of the pack's zone, not of the sender's or of UTC.
func TestDay(t *testing.T) {
	for at, want := range map[string]string{
		"2024-06-30T23:59:59.999+05:00": "2024-06-30",
		"2024-06-30T19:00:00Z":          "2024-07-01",
		"2024-07-01T00:00:00+09:00":     "2024-06-30",
		"1970-01-01T00:00:00Z":          "1970-01-01",
		"1991-03-31T12:00:00Z":          "1991-03-31", // the zone's offset changed that year
	} {
		b := checker(t).NewBatch()
		if r := b.Add(0, []byte(replace(good, "2024-06-30T23:30:00+05:00", at, "2024-06-30T10:00:00+05:00", "1969-01-01T00:00:00Z"))); r != nil {
			t.Fatal(at, r)
		}
		parts := b.Parts()
		if got := parts[0].Record.Column(8).ValueStr(0); got != want {
			t.Errorf("%s is %s, want %s", at, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	data := func(d string) string { return envelopeWith("every.v1", d) }
	deep := strings.Repeat("[", 10000) + strings.Repeat("]", 10000)
	for _, c := range []struct{ name, event, code, field, reason string }{
		{"empty", "", BadJSON, "", ""},
		{"cut off", good[:100], BadJSON, "", "cut off"},
		{"two values", good + good, BadJSON, "", ""},
		{"array", "[]", BadJSON, "", "an array"},
		{"number", "12", BadJSON, "", "a number"},
		{"bad escape", data(`{"text":"\q"}`), BadJSON, "", "escape"},
		{"half surrogate", data(`{"text":"\ud800"}`), BadJSON, "", "surrogate"},
		{"control", data("{\"text\":\"a\tb\"}"), BadJSON, "", "control"},
		{"utf8", data("{\"text\":\"a\xffb\"}"), InvalidUTF8, "text", "not UTF-8"},
		{"utf8 in id", replace(good, `"e-1"`, "\"e\xc3\""), InvalidUTF8, "id", ""},
		{"nul", data("{\"text\":\"a\x00b\"}"), NULByte, "text", "NUL"},
		{"escaped nul", data(`{"code":"a\u0000b"}`), NULByte, "code", "NUL"},
		{"deep", data(deep), TooDeep, "", "32"},
		{"deep objects", strings.Repeat(`{"a":`, 10000), TooDeep, "", ""},
		{"long", data(`{"text":"` + strings.Repeat("x", 50<<20) + `"}`), TooLong, "", "at most 524288"},
		{"long text", data(`{"text":"` + strings.Repeat("x", 70000) + `"}`), TooLong, "text", "70000"},
		{"long code", data(`{"code":"` + strings.Repeat("x", 257) + `"}`), TooLong, "code", "256"},
		{"twice", data(`{"code":"a","text":"t","code":"a"}`), DuplicateKey, "code", "twice"},
		{"twice, escaped", data(`{"code":"a","cod\u0065":"a"}`), DuplicateKey, "code", "twice"},
		{"twice, null first", data(`{"code":null,"code":"a"}`), DuplicateKey, "code", ""},
		{"id twice", replace(good, `"id":"e-1"`, `"id":"e-1","id":"e-2"`), DuplicateKey, "id", ""},
		{"extension twice", replace(good, `"id"`, `"trace":"a","trace":"b","id"`), DuplicateKey, "trace", ""},
		{"unknown field", data(`{"txt":"a"}`), UnknownField, "txt", "did you mean text"},
		{"unknown far field", data(`{"completely_other":"a"}`), UnknownField, "completely_other", "it has text, code"},
		{"field beside data", replace(good, `"id"`, `"Service":"a","id"`), UnknownField, "Service", "belong in data"},
		{"no number as extension", replace(good, `"id"`, `"trace":1-2,"id"`), BadJSON, "trace", ""},
		{"object as extension", replace(good, `"id"`, `"trace":{},"id"`), UnknownField, "trace", "belong in data"},
		{"missing", replace(good, `"outcome":"approved",`, ``), MissingField, "outcome", "approved, rejected"},
		{"null", replace(good, `"approved"`, `null`), MissingField, "outcome", ""},
		{"empty enum", replace(good, `"approved"`, `""`), MissingField, "outcome", ""},
		{"no data", replace(good, `,"data":`+goodData, ``), MissingField, "data", ""},
		{"data is text", envelopeWith("every.v1", `"x"`), WrongType, "data", "object"},
		{"data in base64", replace(good, `"data":`, `"data_base64":"aGk=","data":`), WrongType, "data_base64", "JSON object"},
		{"no id", replace(good, `"id":"e-1",`, ``), MissingField, "id", ""},
		{"empty id", replace(good, `"e-1"`, `""`), MissingField, "id", ""},
		{"number as id", replace(good, `"e-1"`, `17`), WrongType, "id", "a string is expected"},
		{"long id", replace(good, `"e-1"`, `"`+strings.Repeat("i", 257)+`"`), TooLong, "id", "257"},
		{"no source", replace(good, `"source":"portal",`, ``), MissingField, "source", ""},
		{"number as source", replace(good, `"portal"`, `"40234567890131"`), PersonalValue, "source", "name the system"},
		{"no type", replace(good, `"type":"uz.gov.request.decided.v1",`, ``), MissingField, "type", ""},
		{"unknown type", replace(good, "decided.v1", "decidet.v1"), UnknownType, "type", "did you mean uz.gov.request.decided.v1?"},
		{"foreign type", replace(good, "uz.gov.request.decided.v1", "com.example.x"), UnknownType, "type", ". Known are uz.gov.request.decided.v1, uz.gov.every.v1"},
		{"old version", replace(good, `"1.0"`, `"0.3"`), NotInEnum, "specversion", "1.0"},
		{"no version", replace(good, `"specversion":"1.0",`, ``), MissingField, "specversion", ""},
		{"no time", replace(good, `"time":"2024-06-30T23:30:00+05:00",`, ``), MissingField, "time", ""},
		{"no offset", replace(good, `23:30:00+05:00`, `23:30:00`), BadTime, "time", "no offset"},
		{"only a date", replace(good, `T23:30:00+05:00`, ``), BadTime, "time", "date without a time"},
		{"no such day", replace(good, `2024-06-30T23`, `2024-06-31T23`), BadTime, "time", ""},
		{"no leap day", replace(good, `2024-06-30T23`, `2023-02-29T23`), BadTime, "time", ""},
		{"hour 24", replace(good, `T23:30:00`, `T24:30:00`), BadTime, "time", ""},
		{"leap second", replace(good, `T23:30:00`, `T23:30:60`), BadTime, "time", "leap second"},
		{"year 9999", replace(good, `2024-06-30T23`, `9999-06-30T23`), OutOfRange, "time", "ahead of this server's clock"},
		{"day after tomorrow", replace(good, `2024-06-30T23`, `2025-03-03T23`), OutOfRange, "time", ""},
		{"before the epoch", replace(good, `2024-06-30T23`, `1969-06-30T23`), OutOfRange, "time", "1970"},
		{"content type", replace(good, `"id"`, `"datacontenttype":"text/xml","id"`), NotInEnum, "datacontenttype", "application/json"},
		{"number as text", data(`{"text":5}`), WrongType, "text", "this is a number"},
		{"text as number", data(`{"whole":"5"}`), WrongType, "whole", "this is a string"},
		{"object as text", data(`{"text":{}}`), WrongType, "text", "this is an object"},
		{"fraction", data(`{"whole":1.5}`), WrongType, "whole", "fraction"},
		{"beyond 64 bits", data(`{"whole":9223372036854775808}`), OutOfRange, "whole", "±9007199254740991"},
		{"beyond what JSON keeps", data(`{"whole":9007199254740992}`), OutOfRange, "whole", "±9007199254740991"},
		{"money below it", data(`{"money":-9007199254740992}`), OutOfRange, "money", "±9007199254740991"},
		{"far beyond", data(`{"whole":1e999999999999}`), OutOfRange, "whole", ""},
		{"money fraction", data(`{"money":0.01}`), WrongType, "money", "minor units"},
		{"scale", data(`{"price":1.005}`), OutOfRange, "price", "2 digits"},
		{"19 digits", data(`{"price":10000000000000000.00}`), OutOfRange, "price", "18 digits"},
		{"not a number", data(`{"number":NaN}`), WrongType, "number", ""},
		{"infinite", data(`{"number":1e400}`), OutOfRange, "number", ""},
		{"leading zero", data(`{"whole":007}`), WrongType, "whole", ""},
		{"negative duration", data(`{"took":-1}`), OutOfRange, "took", "negative"},
		{"text as boolean", data(`{"yes":"true"}`), WrongType, "yes", ""},
		{"enum", data(`{"enum":"c"}`), NotInEnum, "enum", "a, b"},
		{"timestamp", data(`{"at":"2024-01-01T00:00:00"}`), BadTime, "at", "no offset"},
		{"timestamp 9999", data(`{"at":"9999-12-31T23:59:59Z"}`), OutOfRange, "at", "2149"},
		{"date", data(`{"day":"01.02.2024"}`), BadTime, "day", "YYYY-MM-DD"},
		{"date 9999", data(`{"day":"9999-12-31"}`), OutOfRange, "day", "2149"},
		{"telephone", data(`{"person":"901234567"}`), BadIdentifier, "person", "E.164"},
		{"person as number", replace(good, `"`+pinfl+`"`, pinfl), WrongType, "applicant", "pinfl"},
		{"bad person", replace(good, pinfl, "3150785654321X"), BadIdentifier, "applicant", "14 digits"},
		{"person in id", replace(good, "e-1", "e-"+pinfl), PersonalValue, "id", "applicant"},
		{"person in text", replace(good, "r-1", "r/"+pinfl), PersonalValue, "request", "applicant"},
		{"rule", replace(good, "2024-06-30T10:00:00+05:00", "2024-07-01T10:00:00+05:00"), RuleBroken, "submitted_at", "submitted_at <= time"},
		{"revision alone", replace(good, `"id"`, `"revision":1,"id"`), MissingField, "corrects", ""},
		{"corrects alone", replace(good, `"id"`, `"corrects":"e-0","id"`), MissingField, "revision", ""},
		{"revision 0", replace(good, `"id"`, `"corrects":"e-0","revision":0,"id"`), OutOfRange, "revision", ""},
		{"revision −1", replace(good, `"id"`, `"corrects":"e-0","revision":-1,"id"`), OutOfRange, "revision", ""},
		{"corrects itself", replace(good, `"id"`, `"corrects":"e-1","revision":1,"id"`), OutOfRange, "corrects", ""},
		{"withdrawn alone", replace(good, `"id"`, `"withdrawn":true,"id"`), MissingField, "corrects", ""},
		{"withdrawn with data", replace(good, `"id"`, `"withdrawn":true,"corrects":"e-0","revision":1,"id"`), UnknownField, "data", "withdrawal"},
		{"simulated", replace(good, `"id"`, `"simulated":"yes","id"`), WrongType, "simulated", ""},
		{"onchange", replace(good, `"id"`, `"onchange":"ignore","id"`), NotInEnum, "onchange", "conflict, correct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := checker(t).NewBatch()
			r := b.Add(7, []byte(c.event))
			if r == nil {
				t.Fatal("taken")
			}
			if r.Code != c.code || r.Field != c.field || !strings.Contains(r.Reason, c.reason) || r.Index != 7 {
				t.Errorf("got %+v, want code %s, field %q, reason with %q", r, c.code, c.field, c.reason)
			}
			if strings.Contains(fmt.Sprintf("%+v", r), pinfl) {
				t.Errorf("the refusal holds the raw identifier: %+v", r)
			}
			if b.Len() != 0 || len(b.Parts()) != 0 || len(b.Held()) != 0 {
				t.Error("a refused event left a row")
			}
			if r := b.Add(8, []byte(good)); r != nil {
				t.Errorf("the event after it was refused too: %v", r)
			}
			parts := b.Parts()
			if len(parts) != 1 || sameLength(parts[0].Record) != 1 {
				t.Error("columns differ in length")
			}
		})
	}
}

// sameLength is the length that all columns have, or −1.
func sameLength(r arrow.Record) int64 {
	for _, c := range r.Columns() {
		if int64(c.Len()) != r.NumRows() {
			return -1
		}
	}
	return r.NumRows()
}

func TestRefusalNamesTheEvent(t *testing.T) {
	b := checker(t).NewBatch()
	r := b.Add(3, []byte(envelopeWith("every.v1", `{"nope":1}`)))
	got, _ := json.Marshal(r)
	want := `{"index":3,"id":"e-1","field":"nope","code":"unknown_field","reason":"uz.gov.every.v1 has no such field; it has text, code, enum, ref, person, at, day, whole, price, money, yes, took, number"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// values adds the events and gives the columns of the last part as text.
func values(t *testing.T, b *Batch, events ...string) map[string][]string {
	t.Helper()
	for i, e := range events {
		if r := b.Add(i, []byte(e)); r != nil {
			t.Fatalf("%v\n%s", r, e)
		}
	}
	parts := b.Parts()
	if len(parts) != 1 {
		t.Fatalf("%d parts", len(parts))
	}
	out := map[string][]string{}
	record := parts[0].Record
	for i, f := range record.Schema().Fields() {
		for row := range int(record.NumRows()) {
			out[f.Name] = append(out[f.Name], record.Column(i).ValueStr(row))
		}
	}
	return out
}

func TestEveryType(t *testing.T) {
	got := values(t, checker(t).NewBatch(),
		envelopeWith("every.v1", `{"text":"Oʻzbek \"matn\" \ud83d\ude00","code":"k","enum":"b","ref":"fargʼona viloyati","person":"+998 90 123-45-67",`+
			`"at":"2024-02-29T23:59:59.1239-00:30","day":"2149-06-05","whole":-9007199254740991,"price":-0.5e1,"money":1e3,"yes":true,"took":0,"number":-0.0}`),
		envelopeWith("every.v1", `{}`))
	for name, want := range map[string][]string{
		"text": {`Oʻzbek "matn" 😀`, ""}, "code": {"k", ""}, "enum": {"b", ""}, "ref": {"1730", ""},
		"at": {"2024-03-01 00:29:59.123Z", array.NullValueStr}, "day": {"2149-06-05", array.NullValueStr},
		"whole": {"-9007199254740991", array.NullValueStr}, "price": {"-5", array.NullValueStr}, "money": {"1000", array.NullValueStr},
		"yes": {"true", array.NullValueStr}, "took": {"0", array.NullValueStr}, "number": {"0", array.NullValueStr},
	} {
		if fmt.Sprint(got[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if got["person"][0] == array.NullValueStr || got["person"][1] != array.NullValueStr {
		t.Errorf("person is %q", got["person"])
	}
}

func TestIdentityAndDigest(t *testing.T) {
	c := checker(t)
	one := func(event string) (id, digest string) {
		v := values(t, c.NewBatch(), event)
		return v["_id"][0], v["_digest"][0]
	}
	base := envelopeWith("every.v1", `{"whole":1000,"price":1.50,"text":"a","at":"2024-01-01T05:00:00+05:00","person":"+998901234567"}`)
	id, digest := one(base)
	same := envelopeWith("every.v1", `{"person":"998 90 123 45 67","at":"2024-01-01T00:00:00Z","text":"\u0061","price":15e-1,"whole":1.000e3,"code":null,"ref":""}`)
	if i, d := one(same); i != id || d != digest {
		t.Error("order and spelling changed identity or digest")
	}
	for name, other := range map[string]string{
		"a field more":  replace(base, `"text":"a"`, `"text":"a","code":"c"`),
		"another value": replace(base, "1000", "1001"),
		"another field": replace(base, `"text"`, `"code"`),
		"another time":  replace(base, "23:30:00+05", "23:30:01+05"),
		"another phone": replace(base, "4567", "4568"),
	} {
		if i, d := one(other); i != id || d == digest {
			t.Errorf("%s: same identity %v (want true), same digest %v (want false)", name, i == id, d == digest)
		}
	}
	if i, _ := one(replace(base, `"portal"`, `"porta"`, `"e-1"`, `"le-1"`)); i == id {
		t.Error("source and id run into each other")
	}
	correction := replace(base, `"id":"e-1"`, `"id":"e-2","corrects":"e-1","revision":"3"`)
	if i, d := one(correction); i != id || d != digest {
		t.Error("a correction has another identity than its root, or the same content another digest")
	}
	withdrawal := replace(correction, base[strings.Index(base, `,"data"`):], `,"withdrawn":true}`)
	v := values(t, c.NewBatch(), withdrawal)
	if v["_id"][0] != id || v["_rev"][0] != "3" || v["_withdrawn"][0] != "true" || v["_digest"][0] == digest {
		t.Errorf("withdrawal: %v", v)
	}
	// Another installation has other keys.
	other := values(t, checker(t).NewBatch(), base)
	if other["_id"][0] == id || other["_digest"][0] == digest {
		t.Error("identity or digest do not depend on the keys")
	}
}

func TestPseudonyms(t *testing.T) {
	c := checker(t)
	a := values(t, c.NewBatch(), good, replace(good, pinfl, " "+pinfl+" "), replace(good, pinfl, "31507856543211"))["applicant"]
	if a[0] != a[1] || a[0] == a[2] {
		t.Errorf("pseudonyms %q", a)
	}
	// The same digits as another kind of identifier have another pseudonym.
	contract := every()
	contract.Fields[4].ID = "card"
	contract2 := every()
	contract2.Type, contract2.Name = "uz.gov.other.v1", "other"
	b := checker(t, contract, contract2).NewBatch()
	event := envelopeWith("every.v1", `{"person":"998901234567"}`)
	if r := b.Add(0, []byte(event)); r != nil {
		t.Fatal(r)
	}
	if r := b.Add(1, []byte(replace(event, "every", "other"))); r != nil {
		t.Fatal(r)
	}
	p := b.Parts()
	if x, y := p[0].Record.Column(FirstField+4).ValueStr(0), p[1].Record.Column(FirstField+4).ValueStr(0); x == y {
		t.Error("two kinds share a domain")
	}
}

func TestHeldAndReplayed(t *testing.T) {
	c := checker(t)
	b := c.NewBatch()
	late := replace(good, `"1726"`, `"1799"`)
	if r := b.Add(0, []byte(late)); r != nil {
		t.Fatal(r)
	}
	if r := b.Add(1, []byte(replace(good, "2024-07-10T", "2024-06-10T"))); r != nil {
		t.Fatal(r)
	}
	if b.Len() != 0 {
		t.Error("a held event is a row too")
	}
	// What a person's number seems to be is not kept for later, whatever field it stands in.
	other := c.NewBatch()
	for _, source := range []string{"AB1234567", "40234567890131"} {
		if r := other.Add(2, []byte(replace(good, `"portal"`, `"`+source+`"`))); r == nil || r.Code != PersonalValue || r.Source != "" {
			t.Errorf("the source %s: %+v", source, r)
		}
	}
	for _, source := range []string{"/systems/301234567", "urn:uz:register:40234567890131", "100000000", "2024", "my.gov.uz"} {
		if r := other.Add(2, []byte(replace(replace(good, "e-1", "e-"+source), `"portal"`, `"`+source+`"`))); r != nil {
			t.Errorf("the source %s is refused: %+v", source, r)
		}
	}
	if r := b.Add(2, []byte(replace(good, `"1726"`, `"40234567890131"`))); r == nil || r.Code != PersonalValue || r.Field != "region" || strings.Contains(r.Reason, "40234567890131") {
		t.Errorf("a number in place of a region: %+v", r)
	}
	held := b.Held()
	if len(held) != 2 || held[0].Code != UnknownReference || held[0].Field != "region" || held[1].Code != RuleBroken || held[1].Field != "submitted_at" {
		t.Fatalf("held: %+v", held)
	}
	text, err := json.Marshal(held)
	if err != nil || strings.Contains(string(text), pinfl) || strings.Contains(string(held[0].Event), pinfl) {
		t.Errorf("held events hold the raw identifier, or do not marshal: %v", err)
	}
	// The region is added to the table; replayed, the event is the one it would have been.
	held[0].Event = []byte(strings.ReplaceAll(string(held[0].Event), "1799", "1726"))
	again := c.NewBatch()
	if r := again.Replay(0, held[0]); r != nil {
		t.Fatal(r)
	}
	replayed := again.Parts()[0].Record
	if r := b.Add(0, []byte(good)); r != nil {
		t.Fatal(r)
	}
	direct := b.Parts()[0].Record
	for i, f := range direct.Schema().Fields() {
		same := replayed.Column(i).ValueStr(0) == direct.Column(i).ValueStr(0)
		if same == (f.Name == ColumnDigest) { // the digest says what had been sent: region 1799
			t.Errorf("%s: %s and %s", f.Name, replayed.Column(i).ValueStr(0), direct.Column(i).ValueStr(0))
		}
	}
}

func TestRules(t *testing.T) {
	c := every()
	c.Rules = []Rule{
		{ID: "skipped", Check: "whole > 10"},
		{ID: "presence", Check: "!has(money) || whole > 10"},
		{ID: "both", Check: "has(code) && code == 'x' || !has(code)", Severity: Warn},
		{ID: "day", Check: "day <= time"},
		{ID: "zero", Check: "100 / took > 1", Severity: Warn},
	}
	b := checker(t, c).NewBatch()
	for data, wantRule := range map[string]string{
		`{}`:                      "",
		`{"whole":11}`:            "",
		`{"whole":9}`:             "skipped",
		`{"money":1,"whole":5}`:   "skipped",
		`{"day":"2024-06-30"}`:    "",
		`{"day":"2024-07-01"}`:    "day",
		`{"money":1}`:             "",
		`{"code":"x"}`:            "",
		`{"code":"y"}`:            "", // warned
		`{"took":0}`:              "", // warned: cannot be evaluated
		`{"whole":50,"money":10}`: "",
	} {
		r := b.Add(0, []byte(envelopeWith("every.v1", data)))
		switch {
		case r == nil && wantRule != "", r != nil && !strings.Contains(r.Reason, "the rule "+wantRule+" "):
			t.Errorf("%s: %v, want rule %q", data, r, wantRule)
		}
	}
	if w := b.Warnings(); len(w) != 2 || w[0].Rule != "both" || w[0].Count != 1 || w[1].Rule != "zero" || w[1].Count != 1 {
		t.Errorf("warnings %v", w)
	}
}

// Where data stands before type, its members are those of the type that follows, whatever
// the event before was.
func TestDataBeforeType(t *testing.T) {
	b := checker(t).NewBatch()
	before := func(typ, data string) []byte {
		return []byte(`{"data":` + data + `,"id":"e-` + pinfl + `","source":"portal","specversion":"1.0","time":"2024-06-30T23:30:00+05:00","type":"uz.gov.` + typ + `"}`)
	}
	every := `{"text":"a","code":"k","whole":5}`
	decided := strings.Replace(goodData, `"r-1"`, `"r-2"`, 1)
	for i, c := range []struct{ typ, data, field, code string }{
		{"every.v1", every, "", ""}, {"every.v1", every, "", ""}, // learned
		{"request.decided.v1", every, "text", UnknownField},
		{"request.decided.v1", decided, "id", PersonalValue}, {"every.v1", decided, "request", UnknownField},
		{"every.v1", every, "", ""}, {"request.decided.v1", `{"request":"r","code":"x"}`, "code", UnknownField},
		{"every.v1", `{"text":"a","text":"b"}`, "text", DuplicateKey}, {"none.v1", every, "type", UnknownType},
	} {
		r := b.Add(i, before(c.typ, c.data))
		if r == nil && c.code != "" || r != nil && (r.Code != c.code || r.Field != c.field) {
			t.Errorf("%d: %v, want field %q, code %q", i, r, c.field, c.code)
		}
		if r != nil && c.typ == "request.decided.v1" && strings.Contains(c.data, pinfl) && r.ID != "" {
			t.Errorf("%d: the refusal repeats an identifier: %q", i, r.ID)
		}
	}
	parts := b.Parts()
	if len(parts) != 1 || parts[0].Record.NumRows() != 3 || parts[0].Record.Column(FirstField).ValueStr(2) != "a" {
		t.Errorf("parts %v", parts)
	}
}

// A rule sees what a default filled in.
func TestRulesSeeDefaults(t *testing.T) {
	for check, holds := range map[string]bool{"agency == 'mia'": true, "agency != 'mia'": false, "agency.startsWith('mi')": true, "!has(agency)": false} {
		c := decided()
		c.Rules = []Rule{{ID: "agency", Check: check}}
		if r := checker(t, c).NewBatch().Add(0, []byte(good)); (r == nil) != holds {
			t.Errorf("%s: %v, want that it holds: %v", check, r, holds)
		}
	}
}

// A default follows the reference table through time, whatever came before.
func TestDefaultsOfTheDay(t *testing.T) {
	var issues problem.Issues
	services := reference.ReadTable("services", "services.csv", strings.NewReader(
		"code,agency,kind,valid_from,valid_to\npassport,mia,old,,2024-05-31\npassport,cadastre,,2024-06-01,2024-12-31\nother,Cadastre Agency,new,,\n"), reference.TableFormat{}, &issues)
	if err := issues.Err(); err != nil {
		t.Fatal(err)
	}
	c := decided()
	c.Rules = nil
	c.Fields = append(c.Fields, Field{Name: "kind", Type: Code, Default: "service.kind"}, Field{Name: "kind_text", Type: Text, Default: "service.kind"})
	zone := time.UTC
	set, err := NewSet("uz.gov.", zone, []*Contract{c}, reference.NewSet(nil, services, tables(t).Table("organisations"), tables(t).Table("regions")))
	if err != nil {
		t.Fatal(err)
	}
	b := NewChecker(set, NewKeys(), Limits{Now: func() time.Time { return now }}).NewBatch()
	type want struct{ day, service, agency, kind string }
	var wants []want
	for range 2 {
		wants = append(wants, want{"2024-05-31", "passport", "mia", "old"}, want{"2024-06-01", "passport", "cadastre", ""}, want{"2024-07-01", "other", "cadastre", "new"},
			want{"2025-01-01", "passport", "cadastre", ""}, want{"1999-01-01", "passport", "mia", "old"}) // after the last day its latest meaning holds
	}
	var events []string
	for _, w := range wants {
		events = append(events, replace(good, "2024-06-30T23:30:00+05:00", w.day+"T12:00:00Z", `"passport"`, `"`+w.service+`"`,
			`"2024-06-30T10:00:00+05:00"`, `"1998-01-01T00:00:00Z"`))
	}
	got := values(t, b, events...)
	for i, w := range wants {
		kind := func(s string) string { return strings.TrimPrefix(s, array.NullValueStr) }
		if got["agency"][i] != w.agency || kind(got["kind"][i]) != w.kind || got["kind_text"][i] != w.kind {
			t.Errorf("%+v: agency %s, kind %s, as text %s", w, got["agency"][i], got["kind"][i], got["kind_text"][i])
		}
	}
}

func TestSetTellsEverything(t *testing.T) {
	c := &Contract{Type: "uz.gov.Bad.v1", Name: "Bad", Major: 1, File: "bad.yaml", Line: 1, Kind: Figure,
		Fields: []Field{
			{Name: "time", Type: Text, Line: 3}, {Name: "Upper", Type: Text, Line: 4}, {Name: "e", Type: Enum, Line: 5},
			{Name: "r", Type: Ref, To: "nowhere", Line: 6}, {Name: "p", Type: Person, ID: "pinfl", Line: 7},
			{Name: "t", Type: Text, Class: Personal, Line: 8}, {Name: "d", Type: Decimal, Scale: 12, Line: 9},
			{Name: "x", Type: Text, Default: "e.agency", Line: 10}, {Name: "x", Type: Text, Line: 11},
		}}
	rules := every()
	rules.Rules = []Rule{{ID: "a", Check: "whole >", Line: 20}, {ID: "b", Check: "whole + 1", Line: 21}, {ID: "c", Check: "nothing > 1", Line: 22}, {ID: "c", Check: "has(whole)", Line: 23}}
	_, err := NewSet("uz.gov.", time.UTC, []*Contract{c, rules, every()}, tables(t))
	if problem.KindOf(err) != problem.BadInput {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`bad.yaml:1: type: "uz.gov.Bad.v1" is not uz.gov.,`, "bad.yaml:3: fields.time: the name is reserved", "bad.yaml:4: fields.Upper: a name has lower-case",
		"bad.yaml:5: fields.e: an enum lists its values", `bad.yaml:6: fields.r: to: there is no reference table "nowhere"; there are organisations, regions, services`,
		"bad.yaml:7: fields.p: a person's identifier has class personal or special", "bad.yaml:8: fields.t: class personal is pseudonymised",
		"bad.yaml:9: fields.d: scale: 12 is not 0 to 9", "bad.yaml:10: fields.x.default:", "bad.yaml:11: fields.x: stands twice",
		"bad.yaml:1: window.from:", "bad.yaml:1: window.to:", "every.yaml:20: rules.a: check:", "every.yaml:21: rules.b: check:", "every.yaml:22: rules.c: check: undeclared reference",
		"every.yaml:23: rules: every rule has an id", "every.yaml: type: uz.gov.every.v1 stands in every.yaml already",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	k, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, err := OpenKeys(path)
	if err != nil || string(again.identity) != string(k.identity) || string(again.Derive("x")) != string(k.Derive("x")) || string(k.Derive("x")) == string(k.Derive("y")) {
		t.Fatal("other keys the second time", err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %x %q", k, k, k, k, k, struct{ K *Keys }{k})
	marshalled, _ := json.Marshal(map[string]any{"k": k})
	if strings.Count(printed, redacted) != 6 || !strings.Contains(string(marshalled), redacted) {
		t.Errorf("printed %s, %s", printed, marshalled)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(path); problem.KindOf(err) != problem.Denied || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("wide permissions: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"format":"ombor-keys-2","identity":"c2VjcmV0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(path, 0o600)
	if _, err := OpenKeys(path); problem.KindOf(err) != problem.BadInput || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("damaged: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"format":"ombor-keys-1","identity":"c2VjcmV0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(path); problem.KindOf(err) != problem.BadInput || !strings.Contains(err.Error(), "earlier version") || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("of another version: %v", err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("files left: %v", entries)
	}
}
