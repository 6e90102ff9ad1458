package simulate

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
)

const contractClosed = contract.PeriodClosed

// closes is how many days after a month its sources close it. Some of what happened in it
// is still late then, and is in the count.
const closes = 10

// tally counts the events of each contract by the month in which they happened.
type tally map[string]map[reference.Day]int64 // contract → first day of the month

// note counts an event where it is planned, before it is late or comes twice.
func (r *run) note(name string, at int64) {
	day := r.dayOfMillis(at)
	if day < r.options.From || day > r.options.To {
		return // the past of a register
	}
	months := r.tally[name]
	if months == nil {
		months = map[reference.Day]int64{}
		r.tally[name] = months
	}
	months[monthOf(day)]++
}

func monthOf(d reference.Day) reference.Day { return d - reference.Day(d.Time().Day()-1) }

// nameOf is the contract of a delivery.
func (r *run) nameOf(it item) string {
	switch it.kind {
	case kindStatic:
		return r.statics[it.index].contract
	case kindSubmitted:
		return contractSubmitted
	case kindDecided:
		return contractDecided
	case kindSession:
		return contractSession
	}
	return r.flows[it.flow].Steps[it.step].event.Name
}

// closeMonths enters what the sources say on a day: that all events of a month are sent,
// and how many they are. Only whole months of the range are closed. One source in fifty
// forgets a month.
func (r *run) closeMonths(d reference.Day) {
	if r.pack.Set.ByName(contractClosed, 1) == nil {
		return
	}
	for month := monthOf(r.options.From); month <= r.options.To; month = monthOf(month + 31) {
		end := monthOf(month+31) - 1
		if month < r.options.From || end > r.options.To || min(end+closes, r.last) != d {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(r.tally)) {
			c := r.pack.Set.ByName(name, 1)
			if c == nil || mix(r.seed^hash(c.Source)^mix(uint64(month)))%50 == 0 {
				continue
			}
			r.statics = append(r.statics, static{contract: contractClosed, line: r.closedEvent(c, month, end, d)})
			r.bySort[contractClosed]++
			r.enter(item{at: r.start(d) + 6*3600_000, index: uint32(len(r.statics) - 1), kind: kindStatic})
		}
	}
}

// expectedClosings is about how many events of period.closed there will be.
func (g *Generator) expectedClosings() int {
	names := map[string]bool{contractSubmitted: true, contractDecided: true, contractSession: true, contractService: true, contractFigure: true}
	for i := range g.flows {
		for j := range g.flows[i].Steps {
			names[g.flows[i].Steps[j].event.Name] = true
		}
	}
	months := 0
	for month := monthOf(g.options.From); month <= g.options.To; month = monthOf(month + 31) {
		if month >= g.options.From && monthOf(month+31)-1 <= g.options.To {
			months++
		}
	}
	return len(names) * months
}

func (r *run) closedEvent(c *contract.Contract, from, to, on reference.Day) []byte {
	source := "simulation/" + c.Source
	line, err := json.Marshal(map[string]any{
		"specversion": "1.0", "simulated": true, "source": source, "type": r.pack.Set.ByName(contractClosed, 1).Type,
		"id": r.tag + "-closed-" + c.Name + "-" + from.String(), "time": time.UnixMilli(r.start(on) + 6*3600_000).UTC().Format(time.RFC3339),
		"data": map[string]any{"source": source, "contract": c.Name, "from": from.String(), "to": to.String(), "count": r.tally[c.Name][from]},
	})
	if err != nil {
		panic("simulate: an event of texts and numbers does not marshal: " + err.Error())
	}
	return append(line, '\n')
}
