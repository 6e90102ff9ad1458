package contract

import (
	"slices"
	"testing"
)

func TestSortLabels(t *testing.T) {
	labels := []Field{
		{Name: "note", Type: Text}, {Name: "kind", Type: Code}, {Name: "service", Type: Ref, To: "services"},
		{Name: "outcome", Type: Enum, Values: []string{"a", "b", "c"}}, {Name: "who", Type: Enum, Values: []string{"a", "b"}},
	}
	for _, test := range []struct {
		more []Field
		want []string
	}{
		{nil, []string{"who", "outcome", "service"}},
		{[]Field{{Name: "agency", Type: Ref, Default: "service.agency"}, {Name: "area", Type: Code, Default: "region.area"}, {Name: "sort", Type: Code, Default: "service.sort"}}, []string{"service"}},
	} {
		c := &Contract{Fields: append(slices.Clone(labels), test.more...)}
		if got := c.SortLabels(); !slices.Equal(got, test.want) {
			t.Errorf("with %d more fields the labels are %v, want %v", len(test.more), got, test.want)
		}
	}
	if got := (&Contract{Fields: labels[:1]}).SortLabels(); len(got) != 0 {
		t.Errorf("without labels they are %v", got)
	}
}
