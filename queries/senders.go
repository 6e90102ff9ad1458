package queries

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// sender is what one source has sent of a contract: how many rows for which days, corrections
// settled.
type sender struct {
	name            string
	through, loaded time.Time
	days            []sentDay // by day
}

type sentDay struct {
	day   reference.Day
	rows  int64
	batch uint64 // the highest
}

// sent is what the rollup by source of a side tells.
func (q *Queries) sent(ctx context.Context, qn *question, s side) ([]sender, error) {
	table := q.warehouse.Table(q.bySource(s))
	return once(qn.shared, sentKey(table, qn.knownOn), func() ([]sender, error) {
		all, err := q.readSent(context.WithoutCancel(ctx), []string{table}, qn.knownOn)
		return all[table], err
	})
}

func sentKey(table string, knownOn reference.Day) string {
	return fmt.Sprint("sent ", table, " ", knownOn)
}

// sentOfAll reads in one statement what the sources of all KPIs sent: questions about
// many of them would ask one by one.
func (q *Queries) sentOfAll(ctx context.Context, common *shared, knownOn reference.Day) error {
	var tables []string
	for _, k := range q.catalogue.All() {
		for i := range k.Versions {
			for _, s := range k.Versions[i].Sides() {
				c := q.warehouse.Contract(s.From)
				if c == nil {
					continue // the question says so
				}
				if s.At == "" {
					s.At = contract.ColumnTime
				}
				table := q.warehouse.Table(q.bySource(side{s, c}))
				if _, known := common.asked.Load(sentKey(table, knownOn)); !known && !slices.Contains(tables, table) {
					tables = append(tables, table)
				}
			}
		}
	}
	if len(tables) == 0 {
		return nil
	}
	all, err := q.readSent(ctx, tables, knownOn)
	if err != nil {
		return err
	}
	for _, table := range tables {
		common.asked.LoadOrStore(sentKey(table, knownOn), func() ([]sender, error) { return all[table], nil })
	}
	return nil
}

func (q *Queries) readSent(ctx context.Context, tables []string, knownOn reference.Day) (map[string][]sender, error) {
	params := bind{}
	known := whereSQL((&question{knownOn: knownOn}).known(params))
	selects := make([]string, len(tables))
	for i, table := range tables {
		selects[i] = fmt.Sprintf("SELECT toUInt16(%d) AS Place, %s AS Sender, _day AS Day, sum(_n) AS Cases, max(_last) AS Through, max(_loaded) AS Loaded, max(_through) AS Batch\nFROM %s%s\nGROUP BY Sender, Day",
			i, contract.ColumnSource, table, known)
	}
	all := map[string][]sender{}
	err := q.warehouse.Each(ctx, strings.Join(selects, "\nUNION ALL\n"), params, func(scan warehouse.Scan) error {
		var place uint16
		var name string
		var day, through, loaded time.Time
		var rows int64
		var batch uint64
		if err := scan(&place, &name, &day, &rows, &through, &loaded, &batch); err != nil {
			return err
		}
		list := all[tables[place]]
		i := slices.IndexFunc(list, func(s sender) bool { return s.name == name })
		if i < 0 {
			i, list = len(list), append(list, sender{name: name})
		}
		s := &list[i]
		s.days = append(s.days, sentDay{reference.DayOf(day), rows, batch})
		if through.After(s.through) {
			s.through = through
		}
		if loaded.After(s.loaded) {
			s.loaded = loaded
		}
		all[tables[place]] = list
		return nil
	})
	for _, list := range all {
		for _, s := range list {
			slices.SortFunc(s.days, func(a, b sentDay) int { return int(a.day) - int(b.day) })
		}
	}
	return all, err
}

// sources says who sent how much for the contracts of a question, since when.
func (q *Queries) sources(ctx context.Context, qn *question) (*sources, error) {
	all := &sources{first: reference.NoDay, last: reference.NoDay}
	for _, side := range qn.sides {
		if from := side.contract.Source; from != "" && !slices.Contains(all.expected, from) {
			all.expected = append(all.expected, from)
		}
		senders, err := q.sent(ctx, qn, side)
		if err != nil {
			return nil, err
		}
		for _, s := range senders {
			x := source{name: s.name, first: s.days[0].day}
			for _, d := range s.days {
				x.rows += d.rows
			}
			if x.rows <= 0 {
				continue
			}
			if all.first == reference.NoDay || x.first < all.first {
				all.first = x.first
			}
			all.last = max(all.last, s.days[len(s.days)-1].day)
			if s.through.After(all.through) {
				all.through = s.through
			}
			if s.loaded.After(all.loaded) {
				all.loaded = s.loaded
			}
			all.total += x.rows
			if old := all.of(x.name); old != nil {
				old.rows += x.rows
				old.first = min(old.first, x.first)
				continue
			}
			all.list = append(all.list, x)
		}
	}
	sort.Slice(all.list, func(a, b int) bool { return all.list[a].name < all.list[b].name })
	sort.Strings(all.expected)
	return all, nil
}

// bySource is the rollup by source of a side, or of its contract by time.
func (q *Queries) bySource(s side) *warehouse.Rollup {
	var best *warehouse.Rollup
	for _, r := range q.warehouse.Rollups(s.contract) {
		if slices.Equal(r.Dims, []string{contract.ColumnSource}) && (best == nil || r.At == s.At && (best.At != s.At || !r.Hourly)) {
			best = r
		}
	}
	return best
}

// reporting says which senders have reported in which period of the question, by rows or by their word that there are none: by the
// period's first whole day (0 for the whole), or by the span's place.
func (q *Queries) reporting(ctx context.Context, qn *question) (map[key]map[string]bool, error) {
	grain := qn.grain
	if grain == Hour {
		grain = Day
	}
	all := map[key]map[string]bool{}
	report := func(k key, sender string) {
		if all[k] == nil {
			all[k] = map[string]bool{}
		}
		all[k][sender] = true
	}
	said, err := q.closings(ctx, qn)
	if err != nil {
		return nil, err
	}
	for _, side := range qn.sides {
		senders, err := q.sent(ctx, qn, side)
		if err != nil {
			return nil, err
		}
		for _, x := range said {
			if x.contract != side.contract.Name || side.At != contract.ColumnTime && side.At != "" || !x.kept(senders) {
				continue
			}
			for d := max(x.from, qn.from); d <= x.to && (qn.to == reference.NoDay && d <= qn.today || d <= qn.to); d++ {
				k := key{}
				if grain != Whole {
					k.from = q.calendar.start(grain, d)
				}
				if qn.spans == nil {
					report(k, x.sender)
				}
				for _, p := range qn.spans {
					if k.span = p.span; d >= p.from && d <= p.to {
						report(k, x.sender)
					}
				}
			}
		}
		for _, s := range senders {
			rows := map[key]int64{}
			for _, d := range s.days {
				if d.day < qn.from || qn.to != reference.NoDay && d.day > qn.to { // NoDay is before every day
					continue
				}
				k := key{}
				if grain != Whole {
					k.from = q.calendar.start(grain, d.day)
				}
				if qn.spans == nil {
					rows[k] += d.rows
				}
				for _, p := range qn.spans {
					if k.span = p.span; d.day >= p.from && d.day <= p.to {
						rows[k] += d.rows
					}
				}
			}
			for k, n := range rows {
				if n > 0 {
					report(k, s.name)
				}
			}
		}
	}
	return all, nil
}

// kept says whether as many rows stand as the sender told of, or more; it may have told of none.
func (x closing) kept(senders []sender) bool {
	rows := int64(0)
	for _, s := range senders {
		for _, d := range s.days {
			if s.name == x.sender && d.day >= x.from && d.day <= x.to {
				rows += d.rows
			}
		}
	}
	return x.count == nil || rows >= *x.count
}

// shared keeps what several questions would each ask alike. What it gives is not changed
// by those who ask.
type shared struct{ asked sync.Map } // key → func() (T, error)

// once asks for a key the first time; without a shared every time. An error is not kept,
// and one who has left spoils nothing for those who wait.
func once[T any](s *shared, key string, ask func() (T, error)) (T, error) {
	if s == nil {
		return ask()
	}
	first, waited := s.asked.LoadOrStore(key, sync.OnceValues(func() (T, error) {
		found, err := ask()
		if err != nil {
			s.asked.Delete(key)
		}
		return found, err
	}))
	found, err := first.(func() (T, error))()
	if waited && errors.Is(err, context.Canceled) {
		return ask()
	}
	return found, err
}

// remembered is what is shared by all questions while no event is loaded: empty when the
// watermark has moved, when nobody tells it, and for what was known on an earlier day.
func (q *Queries) remembered(knownOn reference.Day) *shared {
	if q.loaded == nil || knownOn != reference.NoDay {
		return &shared{}
	}
	loaded := q.loaded()
	q.memory.Lock()
	defer q.memory.Unlock()
	if q.memory.shared == nil || q.memory.loaded != loaded {
		q.memory.shared, q.memory.loaded = &shared{}, loaded
	}
	return q.memory.shared
}
