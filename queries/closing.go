package queries

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// closing is what a sender said: all events of a contract on these days are sent.
type closing struct {
	sender, contract string
	from, to         reference.Day
	on               reference.Day // when it was received
	count            *int64        // how many events of these days were sent; nil: it did not say
	scale            float64       // of a simulation: what part of the real numbers its events have; 1: all of them
}

// closings are those of the question's contracts, by their first days.
func (q *Queries) closings(ctx context.Context, qn *question) ([]closing, error) {
	c := q.warehouse.Contract(contract.PeriodClosed)
	if c == nil {
		return nil, nil
	}
	var names []string
	for _, s := range qn.sides {
		if !slices.Contains(names, s.contract.Name) {
			names = append(names, s.contract.Name)
		}
	}
	params := bind{}
	sql := "SELECT source, contract, toDate(`from`), toDate(`to`), min(_cut), argMax(ifNull(scale, 1), _seq), argMax(tuple(count), _seq).1\nFROM " + q.warehouse.Facts(c) +
		whereSQL(append([]string{q.live(c, qn, params)}, qn.known(params)...)) +
		"\nGROUP BY 1, 2, 3, 4 ORDER BY 3, 4"
	// Those of all contracts are few, and are read once for all questions.
	all, err := once(qn.shared, "closings "+sql+params["known_on"], func() ([]closing, error) {
		var list []closing
		err := q.warehouse.Each(ctx, sql, params, func(scan warehouse.Scan) error {
			var x closing
			var from, to, on time.Time
			if err := scan(&x.sender, &x.contract, &from, &to, &on, &x.scale, &x.count); err != nil {
				return err
			}
			x.from, x.to, x.on = reference.DayOf(from), reference.DayOf(to), reference.DayOf(on)
			list = append(list, x)
			return nil
		})
		return list, err
	})
	var own []closing
	for _, x := range all {
		if slices.Contains(names, x.contract) {
			own = append(own, x)
		}
	}
	return own, err
}

// scaled is what part of the real numbers of cases, sums and users a question's simulated events have, as the simulation said when
// it closed their months; the least, where it is not the same for all of its contracts. It is not known as long as nobody has said it of each.
func (q *Queries) scaled(ctx context.Context, qn *question) (scale float64, known bool, err error) {
	said, err := q.closings(ctx, qn)
	for _, s := range qn.sides {
		sender, told := standIn(s.contract.Source), false
		for _, x := range said {
			if x.contract == s.contract.Name && x.sender == sender {
				if told = true; scale == 0 || x.scale < scale {
					scale = x.scale
				}
			}
		}
		if !told {
			return 0, false, err
		}
	}
	return scale, scale > 0, err
}

// ended is the last day that is over, by what is known on the day of the question.
func (qn *question) ended() reference.Day {
	if qn.knownOn != reference.NoDay {
		return min(qn.knownOn, qn.today-1)
	}
	return qn.today - 1
}

// settle says of a cell whether its period is open, and if not, since when it is closed
// and by whom.
func (q *Queries) settle(qn *question, src *sources, said []closing, c *Cell) {
	c.Closed, c.Unclosed = Date{}, nil
	from := c.From
	if qn.version.Basis == kpi.Stock {
		from = c.To
	}
	if qn.arriving || c.To > qn.ended() || qn.matured != reference.NoDay && c.To > qn.matured {
		return
	}
	last := c.To + 1
	for _, s := range qn.sides {
		if s.contract.Source == "" {
			continue
		}
		if on, ok := closedOn(s.contract, src, said, from, c.To); ok {
			last = max(last, on)
			continue
		}
		deadline, promised := q.deadlines[s.contract.Source]
		days := reference.Day(deadline / (24 * time.Hour))
		switch {
		case promised && deadline > 0 && c.To+days > qn.ended():
			return
		case promised && deadline > 0:
			last = max(last, c.To+days+1)
			if !slices.Contains(c.Unclosed, s.contract.Source) {
				c.Unclosed = append(c.Unclosed, s.contract.Source)
			}
		case qn.version.Basis == kpi.Events && (src.through.IsZero() || c.To > q.calendar.Today(src.through)):
			return
		}
	}
	sort.Strings(c.Unclosed)
	c.Closed = dateOf(last)
}

// closedOn is the day on which the source of a contract, or who stands in for it, had said
// of all days of a period that they are sent. Days before its first event need no closing.
func closedOn(c *contract.Contract, src *sources, said []closing, from, to reference.Day) (reference.Day, bool) {
	for _, sender := range []string{c.Source, standIn(c.Source)} {
		of := func(x closing) bool { return x.sender == sender && x.contract == c.Name }
		next, on := from, reference.NoDay
		if first := slices.IndexFunc(said, of); first < 0 {
			continue
		} else if s := src.of(sender); s == nil || s.first > from {
			begin := said[first].from
			if s != nil {
				begin = min(begin, s.first)
			}
			next = max(from, min(begin, to))
		}
		for next <= to {
			// Of those that begin by then, the one that reaches farthest.
			best := slices.MaxFunc(append([]closing{{to: reference.NoDay}}, slices.DeleteFunc(slices.Clone(said), func(x closing) bool {
				return !of(x) || x.from > next
			})...), func(a, b closing) int { return cmp.Compare(a.to, b.to) })
			if best.to < next {
				break
			}
			next, on = best.to+1, max(on, best.on)
		}
		if next > to && on != reference.NoDay {
			return on, true
		}
	}
	return reference.NoDay, false
}

// Manifest is what a sender said when it closed a period, beside what is stored of it.
type Manifest struct {
	Source   string `json:"source"` // the sender, as source of its events
	Contract string `json:"contract"`
	From     Date   `json:"from"`
	To       Date   `json:"to"`     // inclusive
	Closed   Date   `json:"closed"` // when it was received
	Count    *int64 `json:"count"`  // events that it has sent; null: it did not say
	Stored   int64  `json:"stored"` // events of it that stand, by the day of their time
}

// Matches says whether as many events are stored as were sent, or none were told.
func (m Manifest) Matches() bool { return m.Count == nil || *m.Count == m.Stored }

// Manifests are the newest of each sender, contract and period, of periods that end from
// from to to (NoDay: open), by contract, sender and day. Rows are counted as they stand now:
// a correction after the closing is in Stored.
func (q *Queries) Manifests(ctx context.Context, from, to reference.Day) ([]Manifest, error) {
	c := q.warehouse.Contract(contract.PeriodClosed)
	if c == nil {
		return nil, nil
	}
	all := &question{knownOn: reference.NoDay}
	params := bind{}
	conditions := []string{q.live(c, all, params)}
	if open(from) != reference.NoDay {
		conditions = append(conditions, "`to` >= "+s32(params.day("from", from)))
	}
	if open(to) != reference.NoDay {
		conditions = append(conditions, "`to` <= "+s32(params.day("to", to)))
	}
	var list []Manifest
	contracts := map[string]bool{}
	err := q.warehouse.Each(ctx, "SELECT source, contract, toDate(`from`), toDate(`to`), argMax(_cut, _seq), argMax(tuple(count), _seq).1\nFROM "+q.warehouse.Facts(c)+
		whereSQL(conditions)+"\nGROUP BY 1, 2, 3, 4 ORDER BY 2, 1, 3, 4", params, func(scan warehouse.Scan) error {
		var m Manifest
		var from, to, on time.Time
		if err := scan(&m.Source, &m.Contract, &from, &to, &on, &m.Count); err != nil {
			return err
		}
		m.From, m.To, m.Closed = dateOf(reference.DayOf(from)), dateOf(reference.DayOf(to)), dateOf(reference.DayOf(on))
		list = append(list, m)
		contracts[m.Contract] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	type count struct {
		day  reference.Day
		rows int64
	}
	stored := map[[2]string][]count{} // by contract and sender
	for name := range contracts {
		of := q.warehouse.Contract(name)
		if of == nil {
			continue // closed what the pack does not have
		}
		r := q.bySource(side{kpi.Side{At: contract.ColumnTime}, of})
		err := q.warehouse.Each(ctx, "SELECT "+contract.ColumnSource+", _day, sum(_n) FROM "+q.warehouse.Table(r)+" GROUP BY 1, 2", nil, func(scan warehouse.Scan) error {
			var sender string
			var day time.Time
			var n int64
			err := scan(&sender, &day, &n)
			at := [2]string{name, sender}
			stored[at] = append(stored[at], count{reference.DayOf(day), n})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range list {
		m := &list[i]
		for _, c := range stored[[2]string{m.Contract, m.Source}] {
			if c.day >= m.From.Day && c.day <= m.To.Day {
				m.Stored += c.rows
			}
		}
	}
	return list, nil
}
