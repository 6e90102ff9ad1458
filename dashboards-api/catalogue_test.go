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
	special, others := 0, 0
	for _, k := range s.catalogue() {
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
	if special == 0 || others == 0 {
		t.Errorf("the pack has %d and %d dimensions", special, others)
	}
}
