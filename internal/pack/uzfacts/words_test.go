package main

import (
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/pack"
)

func uz(t *testing.T) *pack.Pack {
	t.Helper()
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever a page may show as a value, a breakdown or a variant has its words, in
// every language. (That titles and groups have theirs is the reader's check.)
func TestEveryValueHasWords(t *testing.T) {
	p := uz(t)
	need := map[string]bool{}
	for _, c := range p.Contracts {
		for _, f := range c.Fields {
			if f.Type == contract.Enum && f.Name != "state" { // states of a figure are the page's own words
				for _, value := range f.Values {
					need["value."+f.Name+"."+value] = true
				}
			}
			if f.Title["uz"] == "" || f.Title["ru"] == "" || f.Title["en"] == "" {
				t.Errorf("%s: the field %s has no title in some language", c.File, f.Name)
			}
		}
	}
	for _, row := range p.Reference.Table("services").Rows() {
		need["value.kind."+row.Value("kind")] = true
		need["value.service_kind."+row.Value("kind")] = true
	}
	for _, k := range p.KPIs {
		need["unit."+string(k.Unit)] = true
		for _, v := range k.Versions {
			if v.Variant != "" {
				need["variant."+v.Variant] = true
			}
			for _, set := range v.Rollups {
				for _, dimension := range set {
					need["dimension."+dimension] = true
				}
			}
		}
	}
	for key := range need {
		for _, language := range p.Languages {
			if p.Labels[language][key] == "" {
				t.Errorf("labels/%s.yaml has no words for %s", language, key)
			}
		}
	}
}

// Uzbek is written with U+02BB in oʻ and gʻ and U+02BC elsewhere, and without Cyrillic
// letters that only look Latin.
func TestUzbekSpelling(t *testing.T) {
	p := uz(t)
	check := func(where, text string) {
		if strings.ContainsAny(text, "'`’‘") || text != spelling(text) {
			t.Errorf("%s: %q would be spelled %q", where, text, spelling(text))
		}
	}
	for key, words := range p.Labels["uz"] {
		check("labels/uz.yaml: "+key, words)
	}
	for _, k := range p.KPIs {
		check(k.File, k.Title["uz"])
		check(k.File, k.About["uz"])
		for _, v := range k.Versions {
			check(k.File, v.Source["uz"])
		}
	}
	for _, c := range p.Contracts {
		check(c.File, c.Title["uz"])
		for _, f := range c.Fields {
			check(c.File+" "+f.Name, f.Title["uz"])
		}
	}
	for _, name := range p.Reference.Tables() {
		for _, row := range p.Reference.Table(name).Rows() {
			check(name+" "+row.Code, row.Names["uz"])
		}
	}
}

// The catalogue holds the published facts: 850 services, 254.8 million applications,
// of which the automated services, 29.8 % of all, have 62.4 %.
func TestCatalogueFacts(t *testing.T) {
	services, automated, all, ofAutomated := 0, 0, 0, 0
	for _, row := range uz(t).Reference.Table("services").Rows() {
		n := 0
		for _, c := range row.Value("applications_since_launch") {
			n = 10*n + int(c-'0')
		}
		services++
		all += n
		if row.Value("automated") == "true" {
			automated++
			ofAutomated += n
		}
	}
	if services != 850 || all != 254_812_363 || automated != 253 || ofAutomated != 159_003_192 {
		t.Errorf("%d services with %d applications, %d automated with %d", services, all, automated, ofAutomated)
	}
}
