package dashboards

import (
	"path/filepath"
	"slices"
	"testing"

	"ombor/internal/pack"
)

// TestSpecialFiguresOfferWhatIsTold: the catalogue offers no dimension and no period of a figure of special
// fields that every question would be refused for.
func TestSpecialFiguresOfferWhatIsTold(t *testing.T) {
	files, err := pack.Open(filepath.Join("..", "internal", "pack", "uz"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(configOf(p))
	if err != nil {
		t.Fatal(err)
	}
	special, others, own := 0, 0, 0
	for _, k := range s.catalogue() {
		for i, v := range k.Versions { // a definition offers what it can be asked by, and nothing of another's
			own += len(v.Dimensions)
			for _, d := range v.Dimensions {
				if !slices.ContainsFunc(slices.Concat(v.Rollups, v.Published), func(set []string) bool { return slices.Contains(set, d.Name) }) {
					t.Errorf("%s %s offers %s, which none of its sets has", k.ID, v.Variant, d.Name)
				}
			}
			if i > 0 && k.ID == "certificates-avoided" && len(v.Dimensions) == 0 {
				t.Errorf("%s %s offers no dimension", k.ID, v.Variant)
			}
		}
		v := k.Versions[0]
		if !v.PublishedOnly {
			others += len(k.Dimensions)
			continue
		}
		special += len(k.Dimensions)
		for _, d := range k.Dimensions {
			if !slices.ContainsFunc(v.Published, func(table []string) bool { return slices.Contains(table, d.Name) }) {
				t.Errorf("%s offers %s, and is published by %v", k.ID, d.Name, v.Published)
			}
		}
		if len(v.Periods) == 0 || !slices.Equal(v.Periods, v.PublishedPeriods) {
			t.Errorf("%s offers the periods %v, and is published for %v", k.ID, v.Periods, v.PublishedPeriods)
		}
	}
	if special == 0 || others == 0 || own == 0 {
		t.Errorf("the pack has %d and %d dimensions", special, others)
	}
}
