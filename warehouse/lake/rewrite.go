package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// # Files written anew
//
// A file is never changed: another takes its place, and one put of a manifest of the next
// generation makes that current, as a compaction's does. So may any part of what rows say be
// replaced, at any moment be ended and done again; readers by the manifests see every row once.

// Replacement gives a person another pseudonym.
type Replacement struct {
	Contracts        Contracts           // required
	Through          uint64              // plans up to this message are done; others stay as they are
	Fields           map[string][]string // event type → fields of type person that may name the person
	Old, Replacement [16]byte
	Progress         func(done, files int)
}

// Advance brings the persons of files to a version of the pseudonym keys.
type Advance struct {
	Contracts  Contracts // required
	Through    uint64    // plans up to this message are done; others stay as they are
	Pseudonyms int       // version
	// Record is a record of a contract with its persons brought from an earlier version to that
	// one, and nothing else changed; the caller releases it.
	Record   func(c *contract.Contract, rec arrow.Record, from int) (arrow.Record, error)
	Progress func(done, files int)
}

// Replaced is what was written anew.
type Replaced struct {
	Files int    `json:"files"`
	Rows  uint64 `json:"rows"` // with another person than before
}

var errFound = errors.New("found")

// ReplacePerson writes the files that hold a pseudonym anew, with another in its place, and
// removes them. Nothing else of a row changes. What is replaced already is passed over. No
// compaction may run at the same time; loaders may.
func (l *Lake) ReplacePerson(ctx context.Context, r Replacement) (Replaced, error) {
	var out Replaced
	return out, l.replace(ctx, r.Contracts, r.Through, r.Progress, func(f File, c *contract.Contract, next manifest) (File, bool, error) {
		fields := r.Fields[f.Contract]
		if len(fields) == 0 {
			return f, false, nil
		}
		err := l.ReadColumns(ctx, f, c, fields, func(rec arrow.Record) error {
			other, rows := replaced(rec, fields, r.Old, r.Replacement)
			if other.Release(); rows > 0 {
				return errFound
			}
			return nil
		})
		if !errors.Is(err, errFound) {
			return f, false, err
		}
		out.Files++
		f, err = l.replaceFile(ctx, f, c, next, func(rec arrow.Record) (arrow.Record, error) {
			other, rows := replaced(rec, fields, r.Old, r.Replacement)
			out.Rows += uint64(rows)
			return other, nil
		})
		return f, true, err
	})
}

// AdvancePersons writes the files anew whose pseudonyms are of an earlier version than asked for, and
// removes them. Nothing else of a row changes. What has the version is passed over, so that no
// pseudonym is advanced twice. No compaction may run at the same time; a loader may when
// what it writes has the version.
func (l *Lake) AdvancePersons(ctx context.Context, a Advance) (Replaced, error) {
	var out Replaced
	return out, l.replace(ctx, a.Contracts, a.Through, a.Progress, func(f File, c *contract.Contract, next manifest) (File, bool, error) {
		from := max(f.Pseudonyms, 1)
		if from >= a.Pseudonyms || !c.NamesPersons() || f.Retired() {
			return f, false, nil
		}
		out.Files++
		out.Rows += f.Rows
		f.Pseudonyms = a.Pseudonyms
		f, err := l.replaceFile(ctx, f, c, next, func(rec arrow.Record) (arrow.Record, error) { return a.Record(c, rec, from) })
		return f, true, err
	})
}

// change gives the file that takes the place of another in a manifest; false: it stays.
type change func(f File, c *contract.Contract, next manifest) (File, bool, error)

// replace asks change for each file and makes what it gives current: for each plan, or what a
// compaction made of several, at once. Files of a type that no contract has stay. What is replaced is removed.
func (l *Lake) replace(ctx context.Context, contracts Contracts, through uint64, progress func(done, files int), change change) error {
	clean := Compaction{Contracts: contracts, Now: time.Now()}
	if err := l.sweep(ctx, clean, new(Compacted)); err != nil { // what a crash left
		return err
	}
	current, _, err := l.manifests(ctx)
	if err != nil {
		return err
	}
	for i, m := range current {
		if progress != nil {
			progress(i, len(current))
		}
		if m.last > through {
			break
		}
		if err := l.replaceIn(ctx, contracts, m, change); err != nil {
			return err
		}
	}
	clean.Now = time.Now()
	return l.sweep(ctx, clean, new(Compacted))
}

// replaceIn writes the files of one manifest that need it, and then a manifest of the next generation.
func (l *Lake) replaceIn(ctx context.Context, contracts Contracts, m manifest, change change) error {
	files, err := l.manifest(ctx, m.object)
	if err != nil {
		return err
	}
	next := m
	next.generation++
	now := time.Now().UTC().Truncate(time.Second)
	changed := false
	var lines bytes.Buffer
	list := make([]File, len(files))
	for i, f := range files {
		if c := contracts.ByType(f.Contract); c != nil {
			other := false
			if f, other, err = change(f, c, next); err != nil {
				return err
			}
			changed = changed || other
		}
		f.First, f.Last, f.Generation, f.Merged = next.first, next.last, next.generation, &now
		list[i] = f
		if err := json.NewEncoder(&lines).Encode(f); err != nil {
			return problem.Wrap(err, problem.Internal, "lake: replace", "a manifest cannot be written")
		}
	}
	if !changed {
		return nil
	}
	failpoint("replaced files")
	name := manifests + next.base() + ".jsonl"
	if err := l.store.Put(ctx, name, lines.Bytes()); err != nil {
		return err
	}
	failpoint("replaced manifest")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[name] = list
	return nil
}

// replaceFile writes the rows of a file, each record as other gives it, under the name that it has in another manifest.
func (l *Lake) replaceFile(ctx context.Context, f File, c *contract.Contract, m manifest, other func(arrow.Record) (arrow.Record, error)) (File, error) {
	var records []arrow.Record
	defer func() {
		for _, rec := range records {
			rec.Release()
		}
	}()
	if err := l.Read(ctx, f, c, func(rec arrow.Record) error {
		next, err := other(rec)
		if err == nil {
			records = append(records, next)
		}
		return err
	}); err != nil {
		return f, err
	}
	rec, err := together(c, records)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: replace "+f.Name, "the rows of a file cannot be put together")
	}
	defer rec.Release()
	next := f
	next.Name = fmt.Sprintf("%s/cut=%s/%s.parquet", c.Table(), f.Cut, m.base())
	next.Rows, next.Facts, next.Schema = uint64(rec.NumRows()), 0, fingerprint(rec.Schema())
	if err := describe(&next, rec); err != nil {
		return f, err
	}
	if next.Rows != f.Rows || next.Facts != f.Facts || next.Content != f.Content {
		return f, problem.New(problem.Internal, "writing %s anew would change more than its persons", f.Name)
	}
	data, err := encode(rec, next)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: encode "+next.Name, "a Parquet file cannot be written")
	}
	next.Bytes, next.Checksum = int64(len(data)), checksum(data)
	return next, l.store.Put(ctx, next.Name, data)
}

// replaced is a record with another pseudonym in some of its fields, and in how many rows.
// The record is the caller's to release.
func replaced(rec arrow.Record, fields []string, old, replacement [16]byte) (arrow.Record, int) {
	columns := append([]arrow.Array(nil), rec.Columns()...)
	hit := map[int]bool{}
	for _, field := range fields {
		for _, at := range rec.Schema().FieldIndices(field) {
			a, ok := rec.Column(at).(*array.FixedSizeBinary)
			if !ok || a.Len() == 0 {
				continue
			}
			values := make([]byte, 0, 16*a.Len())
			found := false
			for i := range a.Len() {
				v := a.Value(i)
				if a.IsValid(i) && [16]byte(v) == old {
					v, found, hit[i] = replacement[:], true, true
				}
				values = append(values, v...)
			}
			if found {
				data := array.NewData(a.DataType(), a.Len(), []*memory.Buffer{a.Data().Buffers()[0], memory.NewBufferBytes(values)}, nil, a.NullN(), 0)
				columns[at] = array.NewFixedSizeBinaryData(data)
				data.Release()
			}
		}
	}
	return array.NewRecord(rec.Schema(), columns, rec.NumRows()), len(hit)
}
