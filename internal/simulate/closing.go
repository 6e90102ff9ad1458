package simulate

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
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
// how many they are, none too, and at which scale. Only whole months of the range are closed. One source in fifty
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
		for _, name := range slices.Sorted(maps.Keys(r.contracts())) {
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
	months := 0
	for month := monthOf(g.options.From); month <= g.options.To; month = monthOf(month + 31) {
		if month >= g.options.From && monthOf(month+31)-1 <= g.options.To {
			months++
		}
	}
	return len(g.contracts()) * months
}

// contracts are those of which there are events, each with the part of the real numbers that they have.
func (g *Generator) contracts() map[string]float64 {
	parts := map[string]float64{contractSubmitted: g.scale, contractDecided: g.scale, contractSession: g.scale, contractService: 1, contractFigure: 1}
	for i := range g.flows {
		f := &g.flows[i]
		part := g.part(f)
		for j := range f.Steps {
			name := f.Steps[j].event.Name
			if told, ok := parts[name]; !ok || part < told {
				parts[name] = part
			}
		}
	}
	return parts
}

// part is what part of the real numbers a flow has: the scale, but for registers that have an entry of each kind at any scale, or
// are there in full.
func (g *Generator) part(f *flow) float64 {
	switch {
	case slices.ContainsFunc(f.Draw, func(d draft) bool { return d.Users || d.Scaled }):
		return g.scale // of what is counted in it
	case f.AYear > 0:
		year := g.nation.Published.Year
		return float64(max(g.total(f.AYear, year), f.AtLeast)) / float64(f.AYear)
	}
	return float64(g.sizeOf(f)) / float64(f.Each)
}

func (r *run) closedEvent(c *contract.Contract, from, to, on reference.Day) []byte {
	source := "simulation/" + c.Source
	data := map[string]any{"source": source, "contract": c.Name, "from": from.String(), "to": to.String(), "count": r.tally[c.Name][from]}
	if part, _ := strconv.ParseFloat(strconv.FormatFloat(r.contracts()[c.Name], 'g', 4, 64), 64); part != 1 && part > 0 {
		data["scale"] = part
	}
	line, err := json.Marshal(map[string]any{
		"specversion": "1.0", "simulated": true, "source": source, "type": r.pack.Set.ByName(contractClosed, 1).Type,
		"id": r.tag + "-closed-" + c.Name + "-" + from.String(), "time": time.UnixMilli(r.start(on) + 6*3600_000).UTC().Format(time.RFC3339),
		"data": data,
	})
	if err != nil {
		panic("simulate: an event of texts and numbers does not marshal: " + err.Error())
	}
	return append(line, '\n')
}
