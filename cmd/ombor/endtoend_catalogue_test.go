//go:build endtoend

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCatalogueAtADate asks over HTTP for the services of days in the past, told late and
// out of order, and reads the dictionary and the documents for integrators.
func TestCatalogueAtADate(t *testing.T) {
	s := serve(t, t.TempDir())
	type catalogue struct {
		Basis string
		Rows  []struct {
			Code      string
			Names     map[string]string
			Valid     struct{ From *string }
			Values    map[string]string
			Simulated bool
		}
	}
	on := func(query string) map[string]string {
		t.Helper()
		var c catalogue
		if err := s.getJSON("/v1/services?"+query, &c); err != nil {
			t.Fatal(err)
		}
		if c.Basis != "events" {
			t.Fatalf("%s: the basis is %s", query, c.Basis)
		}
		said := map[string]string{}
		for _, r := range c.Rows {
			if r.Names["uz"] == "" || r.Valid.From == nil || r.Values["active"] != "true" {
				t.Errorf("%s: %+v", query, r)
			}
			said[r.Code] = fmt.Sprint(*r.Valid.From, " ", r.Values["mobile"], r.Simulated)
		}
		return said
	}
	s.loadedAll() // what the pack tells of its services
	if got := on("on=2026-08-01"); len(got) != 850 {
		t.Fatalf("the pack's facts tell of 850 services, the catalogue of %d", len(got))
	}
	if got := on("on=2024-06-30"); len(got) != 0 {
		t.Errorf("before anything was known there are %d services", len(got))
	}
	event := func(id, time, service, rest string) string {
		return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"catalogue","type":"uz.gov.service.changed.v1","time":%q%s,"data":{"service":%q,"active":true,"electronic":true%s}}`, id, time, "", service, rest)
	}
	lines := []string{
		event("c3", "2024-07-01T00:00:00+05:00", "496", ``), // whether mobile is not known any more
		event("c1", "2024-01-10T00:00:00+05:00", "496", `,"mobile":false`),
		event("c2", "2024-06-30T23:59:59+05:00", "496", `,"mobile":true`),
		strings.Replace(event("d1", "2024-02-01T00:00:00+05:00", "285", `,"mobile":true`), `"data"`, `"simulated":true,"data"`, 1),
		strings.Replace(event("d2", "2024-03-01T00:00:00+05:00", "285", ``), `"active":true`, `"active":false`, 1),
		`{"specversion":"1.0","id":"d3","source":"catalogue","type":"uz.gov.service.changed.v1","time":"2024-03-01T00:00:00+05:00","corrects":"d2","revision":1,"withdrawn":true}`,
	}
	file := filepath.Join(t.TempDir(), "changes.ndjson")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, r := s.load(file); done.Accepted != int64(len(lines)) {
		t.Fatalf("%+v %s", done, r.stderr)
	}
	for query, want := range map[string]string{
		"on=2024-01-09": "map[]",
		"on=2024-06-29": "map[285:2024-02-01 truetrue 496:2024-01-10 falsefalse]",
		"on=2024-06-30": "map[285:2024-02-01 truetrue 496:2024-06-30 truefalse]",
		"on=2024-07-01": "map[285:2024-02-01 truetrue 496:2024-07-01 false]",
	} {
		if got := fmt.Sprint(on(query)); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := on("on=2026-08-01"); len(got) != 850 {
		t.Errorf("with what the pack tells of August 2026 there are %d services", len(got))
	}

	var dictionary struct {
		Entries []struct {
			Type, Field, Owner string
			Values             []struct {
				Value string
				Words map[string]string
			}
			KPIs []string
		}
	}
	if err := s.getJSON("/v1/dictionary?type=uz.gov.request.decided.v1", &dictionary); err != nil {
		t.Fatal(err)
	}
	for _, e := range dictionary.Entries {
		if e.Field != "processing" {
			continue
		}
		if e.Owner != "ministry-of-digital-technologies" || len(e.Values) != 3 || e.Values[0].Words["uz"] == "" || e.Values[0].Words["ru"] == "" || !strings.Contains(strings.Join(e.KPIs, " "), "online-processing-share") {
			t.Errorf("%+v", e)
		}
	}
	var asyncapi struct {
		AsyncAPI   string
		Components struct{ Messages map[string]json.RawMessage }
	}
	if err := s.getJSON("/asyncapi.json", &asyncapi); err != nil {
		t.Fatal(err)
	}
	if asyncapi.AsyncAPI != "3.0.0" || len(asyncapi.Components.Messages) < 84 {
		t.Errorf("%s with %d messages", asyncapi.AsyncAPI, len(asyncapi.Components.Messages))
	}
	for _, c := range []struct{ arguments, has string }{
		{"contract", "uz.gov.request.decided.v1"},
		{"contract uz.gov.request.decided.v1 --language ru", "Решение по заявлению"},
		{"contract --format html --language en", "<td>processing</td>"},
		{"contract --format markdown --language uz", "| `processing` | enum |"},
		{"contract uz.gov.request.decided.v1 --format schema", "2020-12"},
		{"contract --format asyncapi", `"asyncapi": "3.0.0"`},
		{"contract --pack internal/pack/testdata/xroad", "ee.xroad.exchange.matched.v1"},
	} {
		if r := ombor(t, strings.Fields(c.arguments)...); r.code != 0 || !strings.Contains(r.stdout, c.has) {
			t.Errorf("ombor %s: exit %d, without %q %s", c.arguments, r.code, c.has, r.stderr)
		}
	}
	for _, wrong := range []string{"contract uz.gov.nothing.v1", "contract --language fr", "contract --format schema", "contract --format xml"} {
		if r := ombor(t, strings.Fields(wrong)...); r.code == 0 {
			t.Errorf("ombor %s is taken", wrong)
		}
	}
}
