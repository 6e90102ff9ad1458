// Package lake keeps every accepted event as Parquet in an object store, so that
// the warehouse can be dropped and rebuilt from it, and so that DuckDB, Spark and
// Polars read the same facts without Ombor.
//
// # Files
//
// A plan of the loader leaves one file for each contract that it touched, below the
// contract's table and the day on which the journal received the events, named by
// the plan's first and last message:
//
//	request_decided_v1/cut=2024-05-01/00000000000000000101-00000000000000000160.parquet
//
// and one manifest object that lists them, a line of JSON each ([File]):
//
//	_manifest/00000000000000000101-00000000000000000160.jsonl
//
// Files are put first, the manifest last: a file belongs to the lake once a manifest
// names it. Objects are written once. Writing a plan again, after a crash, finds
// its own files and changes nothing.
//
// # Generations
//
// [Lake.Compact] merges the files of neighbouring plans of one day of receipt into fewer and larger
// ones, and puts one manifest of a higher generation that covers all of their messages:
//
//	_manifest/00000000000000000101-00000000000000000900.g1.jsonl
//
// A manifest is current unless one of a higher generation covers its messages. So
// that one put makes the merged files current and the old ones not, at once, for
// whoever reads by the manifests; docs/sql.md has the statement. The old files stay
// for a grace period, for who is reading them.
//
// # Columns
//
// Those of the contract's batch without _correct, and the loader's _sign, _cut,
// _seq and _batch ([Schema]). The current figures are sums over _sign: +1 counts a
// row, −1 takes one back, and 0 marks an accepted event without effect (a withdrawal,
// or a revision that came after a later one), which the warehouse does not store.
// The first-seen index can be rebuilt from the rows with _sign ≥ 0.
//
//	select sum(_sign) from read_parquet('lake/request_decided_v1/**/*.parquet')
//
// (by the manifests while a compaction's old files are still there).
//
// Rows are sorted by _day, so that row groups of 128 Ki rows can be passed over by
// their statistics, then by the contract's labels ([contract.Contract.SortLabels]) and _seq,
// which packs best. Pages are compressed with zstd, but for hashes. Types are Parquet's logical types: UUID,
// TIMESTAMP(ms, UTC), DATE, DECIMAL, STRING.
package lake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/cespare/xxhash/v2"

	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Columns that the loader adds behind the contract's fields.
const (
	ColumnSign  = "_sign"  // Int8: +1, −1, or 0 for an accepted event without effect
	ColumnCut   = "_cut"   // Date32: day of receipt in the pack's zone
	ColumnSeq   = "_seq"   // Uint64: message × 2²⁰ + row
	ColumnBatch = "_batch" // Uint64: first message of the plan
)

// Schema is the layout of a contract's records in the lake.
func Schema(c *contract.Contract) *arrow.Schema {
	batch := c.Schema()
	var fields []arrow.Field
	for _, f := range batch.Fields() {
		if f.Name != contract.ColumnCorrect {
			fields = append(fields, f)
		}
	}
	fields = append(fields,
		arrow.Field{Name: ColumnSign, Type: arrow.PrimitiveTypes.Int8},
		arrow.Field{Name: ColumnCut, Type: arrow.FixedWidthTypes.Date32},
		arrow.Field{Name: ColumnSeq, Type: arrow.PrimitiveTypes.Uint64},
		arrow.Field{Name: ColumnBatch, Type: arrow.PrimitiveTypes.Uint64})
	meta := batch.Metadata()
	return arrow.NewSchema(fields, &meta)
}

// Plan names what is written together: the messages First to Last of the journal,
// all received on the day Cut.
type Plan struct {
	First, Last uint64
	Cut         reference.Day
	Pseudonyms  int // version of the keys that the persons of its rows were made with; 0 is the first
}

func (p Plan) name() string { return fmt.Sprintf("%020d-%020d", p.First, p.Last) }

// File is one line of a manifest.
type File struct {
	Name     string        `json:"name"` // of the object
	Table    string        `json:"table"`
	Contract string        `json:"contract"` // CloudEvents type
	Cut      string        `json:"cut"`      // YYYY-MM-DD
	First    uint64        `json:"first"`    // messages of the plan
	Last     uint64        `json:"last"`
	Rows     uint64        `json:"rows"`
	Facts    uint64        `json:"facts"`             // rows with _sign ≠ 0: those of the warehouse
	MinDay   reference.Day `json:"min_day,omitempty"` // of the events, days since 1970
	MaxDay   reference.Day `json:"max_day,omitempty"`
	Bytes    int64         `json:"bytes"`
	Checksum string        `json:"checksum"` // xxHash64 of the object, hexadecimal
	Content  string        `json:"content"`  // sum over the rows of a hash of identity, sign, sequence and digest: equal however the rows are packed
	Schema   string        `json:"schema"`   // hash of the columns' names and types

	Pseudonyms int `json:"pseudonyms,omitempty"` // version of the keys that its persons were made with; 0 is the first, or there are none

	// Of a compaction; First and Last are then those of all plans that it merged.
	Generation int        `json:"generation,omitempty"` // 0: as the loader wrote it
	Merged     *time.Time `json:"merged,omitempty"`     // when
}

const manifests = "_manifest/"

// manifest is the name of one, read.
type manifest struct {
	object      string
	first, last uint64
	generation  int
}

// covers says whether n is not current any more because of m.
func (m manifest) covers(n manifest) bool {
	return m.generation > n.generation && m.first <= n.first && n.last <= m.last
}

// named reads the name of a manifest, or of a data file, which ends alike.
func named(object, suffix string) (m manifest, ok bool) {
	base, ok := strings.CutSuffix(object[strings.LastIndexByte(object, '/')+1:], suffix)
	if !ok {
		return m, false
	}
	m.object = object
	plan, generation, merged := strings.Cut(base, ".g")
	if merged {
		n, err := strconv.Atoi(generation)
		if err != nil || n < 1 {
			return m, false
		}
		m.generation = n
	}
	first, last, ok := strings.Cut(plan, "-")
	if !ok {
		return m, false
	}
	var err, lerr error
	m.first, err = strconv.ParseUint(first, 10, 64)
	m.last, lerr = strconv.ParseUint(last, 10, 64)
	return m, err == nil && lerr == nil && m.first > 0 && m.first <= m.last
}

// Lake reads and writes files in a store. It is safe for concurrent use.
type Lake struct {
	store objects.Store

	mu    sync.Mutex
	known map[string][]File // manifest object → its lines; objects never change
}

// Open uses a store as a lake. Nothing is read or written.
func Open(store objects.Store) *Lake { return &Lake{store: store, known: map[string][]File{}} }

// String is the store's place.
func (l *Lake) String() string { return l.store.String() }

// Write writes a plan: a file for each part with rows, then the manifest. Records
// have the layout of [Schema]; there is at most one part of a contract. After nil
// all of it is durable. Writing the same rows under the same plan again is fine;
// other rows are a Conflict.
func (l *Lake) Write(ctx context.Context, plan Plan, parts []contract.Part) ([]File, error) {
	var files []File
	for _, part := range parts {
		if part.Record.NumRows() == 0 {
			continue
		}
		file, err := l.writeFile(ctx, plan, part)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, nil
	}
	var lines bytes.Buffer
	for _, f := range files {
		if err := json.NewEncoder(&lines).Encode(f); err != nil {
			return nil, problem.Wrap(err, problem.Internal, "lake: manifest", "a manifest cannot be written")
		}
	}
	name := manifests + plan.name() + ".jsonl"
	if err := l.store.Put(ctx, name, lines.Bytes()); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[name] = files
	return files, nil
}

func (l *Lake) writeFile(ctx context.Context, plan Plan, part contract.Part) (File, error) {
	c := part.Contract
	f := File{
		Name:  fmt.Sprintf("%s/cut=%s/%s.parquet", c.Table(), plan.Cut, plan.name()),
		Table: c.Table(), Contract: c.Type, Cut: plan.Cut.String(), First: plan.First, Last: plan.Last,
		Rows: uint64(part.Record.NumRows()), Schema: fingerprint(part.Record.Schema()),
	}
	if plan.Pseudonyms > 1 && c.NamesPersons() {
		f.Pseudonyms = plan.Pseudonyms
	}
	if err := describe(&f, part.Record); err != nil {
		return f, err
	}
	data, err := encode(part.Record, f)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: encode "+f.Name, "a Parquet file cannot be written")
	}
	err = l.store.Put(ctx, f.Name, data)
	if err != nil && problem.KindOf(err) == problem.Conflict {
		// The file is there from before a crash, packed by another version of this
		// program: what counts is that it holds the same rows.
		old, gerr := l.store.Get(ctx, f.Name)
		if gerr != nil {
			return f, gerr
		}
		content, cerr := contentOf(old)
		if cerr != nil || content != f.Content {
			return f, err
		}
		data, err = old, nil
	}
	f.Bytes, f.Checksum = int64(len(data)), checksum(data)
	return f, err
}

// describe counts and hashes the rows.
func describe(f *File, rec arrow.Record) error {
	rows, err := rowsOf(rec)
	if err != nil {
		return err
	}
	var content uint64
	f.MinDay, f.MaxDay = 0, 0
	for i, sign := range rows.sign {
		if i == 0 {
			f.MinDay, f.MaxDay = reference.Day(rows.day[0]), reference.Day(rows.day[0])
		}
		if sign != 0 {
			f.Facts++
		}
		f.MinDay, f.MaxDay = min(f.MinDay, reference.Day(rows.day[i])), max(f.MaxDay, reference.Day(rows.day[i]))
		content += rows.hash(i)
	}
	f.Content = fmt.Sprintf("%016x", content)
	return nil
}

func checksum(data []byte) string { return fmt.Sprintf("%016x", xxhash.Sum64(data)) }

// fingerprint is a hash of a schema's names and types, in order.
func fingerprint(s *arrow.Schema) string {
	h := xxhash.New()
	for _, f := range s.Fields() {
		fmt.Fprintf(h, "%s %s %t\n", f.Name, f.Type, f.Nullable)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// Files lists the lake's current files in the order of their plans, from the manifests.
func (l *Lake) Files(ctx context.Context) ([]File, error) {
	current, _, err := l.manifests(ctx)
	if err != nil {
		return nil, err
	}
	var all []File
	for _, m := range current {
		files, err := l.manifest(ctx, m.object)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	return all, nil
}

// Manifests are the names of the current manifests, in the order of their plans.
func (l *Lake) Manifests(ctx context.Context) ([]string, error) {
	current, _, err := l.manifests(ctx)
	var names []string
	for _, m := range current {
		names = append(names, m.object)
	}
	return names, err
}

// manifests lists the current ones and the others, each in the order of their plans.
// Two current ones that overlap are an Internal error: the lake has rows twice.
func (l *Lake) manifests(ctx context.Context) (current, old []manifest, err error) {
	var all []manifest
	err = l.store.List(ctx, manifests, func(o objects.Info) error {
		m, ok := named(o.Name, ".jsonl")
		if !ok {
			return problem.New(problem.Internal, "%s is not the name of a manifest", o.Name)
		}
		all = append(all, m)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	// The widest first: what covers a manifest stands before it.
	slices.SortFunc(all, func(a, b manifest) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last), cmp.Compare(b.generation, a.generation))
	})
	for _, m := range all {
		switch n := len(current); {
		case n == 0 || current[n-1].last < m.first:
			current = append(current, m)
		case current[n-1].covers(m):
			old = append(old, m)
		default:
			return nil, nil, problem.New(problem.Internal, "the manifests %s and %s tell of the same messages", current[n-1].object, m.object)
		}
	}
	return current, old, nil
}

func (l *Lake) manifest(ctx context.Context, name string) ([]File, error) {
	l.mu.Lock()
	files, ok := l.known[name]
	l.mu.Unlock()
	if ok {
		return files, nil
	}
	data, err := l.store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	for dec.More() {
		var f File
		if err := dec.Decode(&f); err != nil {
			return nil, problem.Wrap(err, problem.Internal, "lake: "+name, "the manifest %s is damaged", name)
		}
		if !strings.HasSuffix(f.Name, ".parquet") || f.First == 0 || f.Last < f.First {
			return nil, problem.New(problem.Internal, "the manifest %s is damaged: %q", name, f.Name)
		}
		files = append(files, f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[name] = files
	return files, nil
}

// Read calls fn with the file's rows, a row group at a time, in the layout of
// [Schema] of today's contract: a column that the file does not have yet is absent
// throughout. The record is valid until fn returns. A file whose bytes or rows are
// not those of the manifest is an Internal error that names it.
func (l *Lake) Read(ctx context.Context, f File, c *contract.Contract, fn func(arrow.Record) error) error {
	return l.read(ctx, f, Schema(c), fn)
}

// ReadColumns is [Lake.Read] of some columns, in the order of [Schema].
func (l *Lake) ReadColumns(ctx context.Context, f File, c *contract.Contract, columns []string, fn func(arrow.Record) error) error {
	var fields []arrow.Field
	for _, field := range Schema(c).Fields() {
		if slices.Contains(columns, field.Name) {
			fields = append(fields, field)
		}
	}
	return l.read(ctx, f, arrow.NewSchema(fields, nil), fn)
}

func (l *Lake) read(ctx context.Context, f File, schema *arrow.Schema, fn func(arrow.Record) error) error {
	data, err := l.store.Get(ctx, f.Name)
	if err != nil {
		return err
	}
	if sum := checksum(data); sum != f.Checksum {
		return problem.New(problem.Internal, "%s is damaged: its checksum is %s, the manifest says %s", f.Name, sum, f.Checksum)
	}
	var rows uint64
	err = decode(data, schema, func(rec arrow.Record) error {
		rows += uint64(rec.NumRows())
		return fn(rec)
	})
	var damage *damageError
	if errors.As(err, &damage) || err == nil && rows != f.Rows {
		return problem.Wrap(errors.Join(err, fmt.Errorf("%d rows of %d", rows, f.Rows)), problem.Internal, "lake: read", "%s cannot be read", f.Name)
	}
	return err
}
