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

// Replacement gives a person another pseudonym.
type Replacement struct {
	Contracts        Contracts           // required
	Through          uint64              // plans up to this message are done; others stay as they are
	Fields           map[string][]string // event type → fields of type person that may name the person
	Old, Replacement [16]byte
	Progress         func(done, files int)
}

// Replaced is what a replacement did.
type Replaced struct {
	Files int    `json:"files"` // written anew
	Rows  uint64 `json:"rows"`  // that had the old pseudonym
}

var errFound = errors.New("found")

// ReplacePerson writes the files that hold a pseudonym anew, with another in its place, and
// removes them. For each plan, or what a compaction made of several, one put of a manifest makes
// the new files current: readers by the manifests see every row once, and nothing else
// of a row changes. It may be ended at any moment and done again; what is replaced already is
// passed over. No compaction may run at the same time; loaders may.
func (l *Lake) ReplacePerson(ctx context.Context, r Replacement) (Replaced, error) {
	var out Replaced
	clean := Compaction{Contracts: r.Contracts, Now: time.Now()}
	if err := l.sweep(ctx, clean, new(Compacted)); err != nil { // what a crash left
		return out, err
	}
	current, _, err := l.manifests(ctx)
	if err != nil {
		return out, err
	}
	for i, m := range current {
		if r.Progress != nil {
			r.Progress(i, len(current))
		}
		if m.last > r.Through {
			break
		}
		if err := l.replaceIn(ctx, r, m, &out); err != nil {
			return out, err
		}
	}
	clean.Now = time.Now()
	return out, l.sweep(ctx, clean, new(Compacted))
}

// replaceIn writes the files of one manifest that need it, and then a manifest of the next generation.
func (l *Lake) replaceIn(ctx context.Context, r Replacement, m manifest, out *Replaced) error {
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
		c, fields := r.Contracts.ByType(f.Contract), r.Fields[f.Contract]
		if c != nil && len(fields) > 0 {
			err := l.ReadColumns(ctx, f, c, fields, func(rec arrow.Record) error {
				if _, rows := replaced(rec, fields, r.Old, r.Replacement); rows > 0 {
					return errFound
				}
				return nil
			})
			if errors.Is(err, errFound) {
				f, err = l.replaceFile(ctx, r, c, next, f, out)
				changed = true
			}
			if err != nil {
				return err
			}
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

func (l *Lake) replaceFile(ctx context.Context, r Replacement, c *contract.Contract, m manifest, f File, out *Replaced) (File, error) {
	var records []arrow.Record
	defer func() {
		for _, rec := range records {
			rec.Release()
		}
	}()
	if err := l.Read(ctx, f, c, func(rec arrow.Record) error {
		next, rows := replaced(rec, r.Fields[f.Contract], r.Old, r.Replacement)
		records = append(records, next)
		out.Rows += uint64(rows)
		return nil
	}); err != nil {
		return f, err
	}
	rec, err := together(c, records)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: replace in "+f.Name, "the rows of a file cannot be put together")
	}
	defer rec.Release()
	next := f
	next.Name = fmt.Sprintf("%s/cut=%s/%s.parquet", c.Table(), f.Cut, m.base())
	next.Rows, next.Facts, next.Schema = uint64(rec.NumRows()), 0, fingerprint(rec.Schema())
	if err := describe(&next, rec); err != nil {
		return f, err
	}
	if next.Rows != f.Rows || next.Facts != f.Facts || next.Content != f.Content {
		return f, problem.New(problem.Internal, "replacing a person in %s would change more than that", f.Name)
	}
	data, err := encode(rec, next)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: encode "+next.Name, "a Parquet file cannot be written")
	}
	next.Bytes, next.Checksum = int64(len(data)), checksum(data)
	out.Files++
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
