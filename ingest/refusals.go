package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Refusals counts refused events by day, source and type. A refused event is stored
// nowhere, so its count is all that is left of it. The counts are kept in a file, which is
// written every ten seconds: a crash forgets no more than that.
//
// A source that nothing was ever accepted from counts as "", so that a text of unknown
// origin reaches no disk. The zero value is not useful; a nil *Refusals counts nothing.
// Its methods are safe for concurrent use.
type Refusals struct {
	file  string
	zone  *time.Location
	known func(source string) bool
	now   func() time.Time

	mu     sync.Mutex
	counts map[refusalKey]uint64
	fresh  bool // counted since the file was written
}

// RefusalCount is the number of refused events of a source and type on one day. Both
// are "" where they are not known.
type RefusalCount struct {
	Day    reference.Day `json:"day"`
	Source string        `json:"source"`
	Type   string        `json:"type"`
	Events uint64        `json:"events"`
}

type refusalKey struct {
	day              reference.Day
	source, typeName string
}

const refusalsEvery = 10 * time.Second

// OpenRefusals reads the counts of a file, or begins with none. Days are of the zone;
// known says whether a source may be counted by its name.
func OpenRefusals(file string, zone *time.Location, known func(source string) bool) (*Refusals, error) {
	r := &Refusals{file: file, zone: zone, known: known, now: time.Now, counts: map[refusalKey]uint64{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	var list []RefusalCount
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "door: refusals", "the counts of refused events in %s cannot be read; remove the file to begin anew", file)
	}
	for _, c := range list {
		r.counts[refusalKey{c.Day, c.Source, c.Type}] = c.Events
	}
	return r, nil
}

// Add counts refused events.
func (r *Refusals) Add(list []*contract.Refusal) {
	if r == nil || len(list) == 0 {
		return
	}
	day := reference.DayOf(r.now().In(r.zone))
	named := map[string]bool{}
	for _, one := range list {
		if _, asked := named[one.Source]; !asked {
			named[one.Source] = one.Source != "" && r.known(one.Source)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range list {
		key := refusalKey{day: day, typeName: one.Type}
		if named[one.Source] {
			key.source = one.Source
		}
		r.counts[key]++
	}
	r.fresh = true
}

// Between adds up the days from since to until, both inclusive, by source and type. The
// day of a sum is the first of them on which one was refused.
func (r *Refusals) Between(since, until reference.Day) []RefusalCount {
	sums := map[refusalKey]*RefusalCount{}
	r.mu.Lock()
	for key, n := range r.counts {
		if key.day < since || key.day > until {
			continue
		}
		of := refusalKey{source: key.source, typeName: key.typeName}
		if sums[of] == nil {
			sums[of] = &RefusalCount{Day: key.day, Source: key.source, Type: key.typeName}
		}
		sums[of].Day, sums[of].Events = min(sums[of].Day, key.day), sums[of].Events+n
	}
	r.mu.Unlock()
	list := []RefusalCount{}
	for _, sum := range sums {
		list = append(list, *sum)
	}
	return sorted(list)
}

func refusalList(counts map[refusalKey]uint64) []RefusalCount {
	list := []RefusalCount{}
	for key, n := range counts {
		list = append(list, RefusalCount{key.day, key.source, key.typeName, n})
	}
	return sorted(list)
}

func sorted(list []RefusalCount) []RefusalCount {
	slices.SortFunc(list, func(a, b RefusalCount) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Source, b.Source), strings.Compare(a.Type, b.Type))
	})
	return list
}

// Run writes the file from time to time and once more when ctx ends.
func (r *Refusals) Run(ctx context.Context) {
	tick := time.NewTicker(refusalsEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if err := r.Write(); err != nil {
			slog.Warn("door: the counts of refused events were not written; they will be with the next", "err", err)
		}
	}
}

// Write writes the file when something was counted since.
func (r *Refusals) Write() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh {
		return nil
	}
	text, err := json.Marshal(refusalList(r.counts))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(r.file+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(r.file+".new", r.file)
	}
	r.fresh = err != nil
	return err
}
