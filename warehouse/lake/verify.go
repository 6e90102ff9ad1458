package lake

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Stat looks whether the file is there, with the manifest's number of bytes: NotFound, or
// Internal when it has another.
func (l *Lake) Stat(ctx context.Context, f File) error {
	info, err := l.store.Stat(ctx, f.Name)
	if err == nil && info.Size != f.Bytes {
		err = problem.New(problem.Internal, "%s is damaged: it has %d bytes, the manifest says %d", f.Name, info.Size, f.Bytes)
	}
	return err
}

// Object is a file's bytes, held against its checksum.
func (l *Lake) Object(ctx context.Context, f File) ([]byte, error) {
	data, err := l.store.Get(ctx, f.Name)
	if err == nil && checksum(data) != f.Checksum {
		err = problem.New(problem.Internal, "%s is damaged: its checksum is %s, the manifest says %s", f.Name, checksum(data), f.Checksum)
	}
	return data, err
}

// ManifestObject is the text of a manifest, which can be read.
func (l *Lake) ManifestObject(ctx context.Context, name string) ([]byte, error) {
	if _, err := l.manifest(ctx, name); err != nil {
		return nil, err
	}
	return l.store.Get(ctx, name)
}

// Covered are the messages that a manifest tells of.
func Covered(name string) (first, last uint64, ok bool) {
	m, ok := named(name, ".jsonl")
	return m.first, m.last, ok
}

// Verify is [Lake.Read] that also holds the rows against everything that the manifest
// says of them. What does not agree is an Internal error that says what.
func (l *Lake) Verify(ctx context.Context, f File, c *contract.Contract, fn func(arrow.Record) error) error {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if err := l.Stat(ctx, f); err != nil {
		return err
	}
	var facts, content uint64
	last := reference.Day(-1 << 31)
	minDay, maxDay := f.MaxDay, f.MinDay
	ordered, within, days := true, true, true
	err := l.Read(ctx, f, c, func(rec arrow.Record) error {
		rows, err := rowsOf(rec)
		if err != nil {
			return err
		}
		cuts, ok := rec.Column(rec.Schema().FieldIndices(ColumnCut)[0]).(*array.Date32)
		batches, bok := rec.Column(rec.Schema().FieldIndices(ColumnBatch)[0]).(*array.Uint64)
		if !ok || !bok {
			return problem.New(problem.Internal, "%s has not the lake's columns", f.Name)
		}
		for i, sign := range rows.sign {
			if sign != 0 {
				facts++
			}
			content += rows.hash(i)
			day := reference.Day(rows.day[i])
			ordered = ordered && day >= last
			last = day
			minDay, maxDay = min(minDay, day), max(maxDay, day)
			within = within && rows.seq[i]>>seqBits >= f.First && rows.seq[i]>>seqBits <= f.Last && batches.Value(i) >= f.First && batches.Value(i) <= f.Last
			days = days && reference.Day(cuts.Value(i)).String() == f.Cut
		}
		return fn(rec)
	})
	if err != nil {
		return err
	}
	if facts != f.Facts {
		say("%d rows are of the warehouse, the manifest says %d", facts, f.Facts)
	}
	if got := fmt.Sprintf("%016x", content); got != f.Content {
		say("its rows add up to %s, the manifest says %s", got, f.Content)
	}
	if minDay != f.MinDay || maxDay != f.MaxDay {
		say("its days are %s to %s, the manifest says %s to %s", minDay, maxDay, f.MinDay, f.MaxDay)
	}
	if !ordered {
		say("its rows are not sorted by day")
	}
	if !within {
		say("it has rows of other messages than %d to %d", f.First, f.Last)
	}
	if !days {
		say("it has rows of another day of receipt than %s", f.Cut)
	}
	if len(wrong) > 0 {
		return problem.New(problem.Internal, "%s: %s", f.Name, strings.Join(wrong, "; "))
	}
	return nil
}

// seqBits is how many bits of a sequence number the rows of a message.
const seqBits = 20
