package mapping

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// maxLookup bounds the rows of a file that is looked up in: it is held in memory.
const maxLookup = 1_000_000

// lookup is a compiled contract.Lookup.
type lookup struct {
	contract.Lookup
}

// found is a lookup over one file: key → cell.
type found map[string]string

// load reads the other file, which lies in folder, the way the first is read.
func (l *lookup) load(ctx context.Context, folder string, like reading) (found, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "mapping: look up", "the folder %s cannot be read", folder)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && matchesAny([]string{l.File}, e.Name()) {
			names = append(names, e.Name())
		}
	}
	switch len(names) {
	case 1:
	case 0:
		return nil, problem.New(problem.NotFound, "the mapping looks up %q in a file %q, and %s has none: put it beside the file that is loaded", l.Column, l.File, folder)
	default:
		return nil, problem.New(problem.BadInput, "the mapping looks up %q in a file %q, and %s has several: %s", l.Column, l.File, folder, quoteAll(names))
	}
	like.files, like.Member, like.Read.Columns = nil, "", nil
	r, err := like.open(ctx, filepath.Join(folder, names[0]), slices.Concat(l.By, []string{l.Column}))
	if err != nil {
		return nil, err
	}
	defer r.close()
	var by []int
	var issues problem.Issues
	for _, name := range l.By {
		by = append(by, indexColumn(r.columns(), name, r.at().File, "lookup.by", &issues))
	}
	column := indexColumn(r.columns(), l.Column, r.at().File, "lookup.column", &issues)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	out := found{}
	var key []byte
	for {
		cells, err := r.next(ctx)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			var f *fault
			if errors.As(err, &f) {
				return nil, problem.New(problem.BadInput, "%s, in which %q is looked up: %s", r.at(), l.Column, f.reason)
			}
			return nil, err
		}
		key = key[:0]
		for _, i := range by {
			key = joinKey(key, trimmed(cells[i], like.Trim))
		}
		cell := string(trimmed(cells[column], like.Trim))
		if before, ok := out[string(key)]; ok && before != cell {
			return nil, problem.New(problem.BadInput, "%s, in which %q is looked up, has two rows that agree in %s and differ in it", r.at(), l.Column, quoteAll(l.By))
		}
		if len(out) >= maxLookup {
			return nil, problem.New(problem.TooLarge, "%s, in which %q is looked up, has more than %d rows", r.at().File, l.Column, maxLookup)
		}
		out[string(key)] = cell
	}
}

// indexColumn finds a column; an issue names the nearest when it is missing, and an
// ambiguous one when the header has the name twice.
func indexColumn(columns []string, name, file, field string, issues *problem.Issues) int {
	at := slices.Index(columns, name)
	switch {
	case at < 0:
		issues.Add(file, 0, field, "the mapping reads the column %q, which the file does not have%s", name, suggest(name, columns))
	case slices.Index(columns[at+1:], name) >= 0:
		issues.Add(file, 0, field, "the mapping reads the column %q, and the file has two of that name", name)
	}
	return at
}
