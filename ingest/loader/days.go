package loader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Days counts outcomes by the day on which the journal received the events. The ledger
// says it all, a record for each plan; what was added up is kept in memory and, as a
// copy that may be lost, in a file. Its methods are safe for concurrent use.
type Days struct {
	ledger *ledger
	file   string // "" is none

	mu      sync.Mutex
	through uint64 // message up to which plans are counted
	kept    uint64 // through, of the file
	counts  map[reference.Day]map[countKey]*Outcome
}

type dayCounts struct {
	Day    reference.Day `json:"day"`
	Counts []Count       `json:"counts"`
}

type daysFile struct {
	Through uint64      `json:"through"`
	Days    []dayCounts `json:"days"`
}

// Days counts this loader's outcomes by day, beginning with what a file of it says.
func (l *Loader) Days(file string) *Days {
	d := &Days{ledger: l.ledger, file: file, counts: map[reference.Day]map[countKey]*Outcome{}}
	var kept daysFile
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if loaded, _ := l.ledger.now(); err != nil || kept.Through > loaded { // of another ledger
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.log.Warn("loader: the counts by day are made anew", "err", err)
		}
		return d
	}
	for _, day := range kept.Days {
		d.add(day.Day, day.Counts)
	}
	d.through, d.kept = kept.Through, kept.Through
	return d
}

func (d *Days) add(day reference.Day, counts []Count) {
	if d.counts[day] == nil {
		d.counts[day] = map[countKey]*Outcome{}
	}
	for _, c := range counts {
		key := countKey{c.Source, c.Contract}
		if d.counts[day][key] == nil {
			d.counts[day][key] = new(Outcome)
		}
		d.counts[day][key].add(c.Outcome)
	}
}

// Advance counts the plans that were done since, and keeps the sums.
func (d *Days) Advance(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	loaded, _ := d.ledger.now()
	if loaded > d.through {
		err := d.ledger.plans(ctx, d.through+1, loaded, func(one *done, _ time.Time, _ []byte) error {
			if one.Last > d.through {
				d.add(one.Cut, one.Counts)
				d.through = one.Last
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if d.file == "" || d.through == d.kept {
		return nil
	}
	kept := daysFile{Through: d.through}
	for day, counts := range d.counts {
		kept.Days = append(kept.Days, dayCounts{day, listOf(counts)})
	}
	text, err := json.Marshal(&kept)
	if err == nil {
		if err = os.MkdirAll(filepath.Dir(d.file), 0o700); err == nil {
			if err = os.WriteFile(d.file+".new", text, 0o600); err == nil {
				err = os.Rename(d.file+".new", d.file) // not synced: a torn one does not parse, and is made anew
			}
		}
	}
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "loader: days", "the counts by day cannot be kept in %s", d.file)
	}
	d.kept = d.through
	return nil
}

// Between is what became of the events that the journal received on the days from since
// to until, both inclusive, and that are loaded, by contract and source.
func (d *Days) Between(ctx context.Context, since, until reference.Day) ([]Count, error) {
	if err := d.Advance(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	sums := map[countKey]*Outcome{}
	for day, counts := range d.counts {
		if day < since || day > until {
			continue
		}
		for key, o := range counts {
			if sums[key] == nil {
				sums[key] = new(Outcome)
			}
			sums[key].add(*o)
		}
	}
	return listOf(sums), nil
}

// Damaged is the first day on which the journal received what it has damaged, by contract
// and source; both are "" where they are not known.
func (d *Days) Damaged(ctx context.Context) (map[[2]string]reference.Day, error) {
	if err := d.Advance(ctx); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	first := map[[2]string]reference.Day{}
	for day, counts := range d.counts {
		for key, o := range counts {
			of := [2]string{key.contract, key.source}
			if known, ok := first[of]; o.Damaged > 0 && (!ok || day < known) {
				first[of] = day
			}
		}
	}
	return first, nil
}

func listOf(counts map[countKey]*Outcome) []Count {
	var list []Count
	for key, o := range counts {
		list = append(list, Count{key.source, key.contract, *o})
	}
	slices.SortFunc(list, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.Contract, b.Contract), strings.Compare(a.Source, b.Source))
	})
	return list
}
