package dashboards

import (
	"fmt"
	"slices"

	"ombor/internal/contract"
	"ombor/internal/kpi"
)

// changing finds out, for one stream of /v1/live, the KPIs whose events have come since its last
// message.
type changing struct {
	counts map[string]uint64 // by event type, as last seen; nil: nothing has been
	until  map[string]uint64 // by event type that had new events: the journal's last message at that time
}

// kpis are the ids of KPIs that may be others than at the last message, by id; nil: any may. What is
// counted may be loaded only later, so a type is told until all is loaded that was there when its
// count moved.
func (c *changing) kpis(st Status, contracts *contract.Set, all []*kpi.KPI) []string {
	first := c.counts == nil
	if first {
		c.counts, c.until = map[string]uint64{}, map[string]uint64{}
	}
	for eventType, n := range st.Accepted {
		if c.counts[eventType] != n && (!first || st.Loaded < st.Journal) {
			c.until[eventType] = st.Journal
		}
		c.counts[eventType] = n
	}
	ids, any := []string{}, first
	for eventType, last := range c.until {
		if st.Loaded >= last {
			delete(c.until, eventType)
		}
		sent := contracts.ByType(eventType)
		if sent == nil || sent.Name == contract.PeriodClosed || sent.Name == contract.FigurePublished { // of every KPI
			any = true
			continue
		}
		for _, k := range all {
			if slices.ContainsFunc(k.Versions, func(v kpi.Version) bool { return reads(&v, sent) }) {
				ids = append(ids, k.ID)
			}
		}
	}
	if any {
		return nil
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// reads says whether a version reads a contract, which it names with or without its major version.
func reads(v *kpi.Version, c *contract.Contract) bool {
	names := slices.Clone(v.From)
	for _, s := range v.Sides() {
		names = append(names, s.From)
	}
	for _, m := range v.Match {
		names = append(names, m.In)
	}
	if v.Backlog != nil {
		names = append(names, v.Backlog.Enters, v.Backlog.Leaves)
	}
	return slices.Contains(names, c.Name) || slices.Contains(names, fmt.Sprintf("%s.v%d", c.Name, c.Major))
}
