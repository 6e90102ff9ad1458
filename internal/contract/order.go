package contract

import (
	"slices"
	"strings"
)

// SortLabels are the label fields by which events are stored within a day, in facts and
// lake alike, before their sequence: equal neighbours pack every other column better. A
// label from which other fields take their value by default (service, when the agency is
// service.agency) says much of the rest of the event: the one of most such fields stands
// alone. Where there is none it is up to three, the one of fewest values first.
func (c *Contract) SortLabels() []string {
	type label struct {
		name string
		size int
	}
	var labels []label
	followers := map[string]int{}
	leader := ""
	for i := range c.Fields {
		f := &c.Fields[i]
		switch f.Type {
		case Enum:
			labels = append(labels, label{f.Name, len(f.Values)})
		case Ref:
			labels = append(labels, label{f.Name, 1000})
		case Code:
			labels = append(labels, label{f.Name, 2000})
		}
		if by, _, ok := strings.Cut(f.Default, "."); ok {
			if followers[by]++; followers[by] > followers[leader] {
				leader = by
			}
		}
	}
	if leader != "" {
		return []string{leader}
	}
	slices.SortStableFunc(labels, func(a, b label) int { return a.size - b.size })
	var names []string
	for _, l := range labels[:min(3, len(labels))] {
		names = append(names, l.name)
	}
	return names
}
