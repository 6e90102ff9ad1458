package lake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/problem"
)

// Contracts finds the contract of an event type; *contract.Set is one.
type Contracts interface {
	ByType(eventType string) *contract.Contract
}

// Compaction says what is merged and what is removed.
type Compaction struct {
	Contracts Contracts     // required
	Through   uint64        // plans up to this message are done and are never written again; others stay as they are
	Rows      int           // of a merged file, at most; 0 is 1 Mi. Merging needs about 400 bytes of memory for each
	Grace     time.Duration // how long a file stays after its rows have been merged into another, for who is reading it
	Now       time.Time     // the zero time is now
	Progress  func(done, plans int)
}

// Compacted is what a compaction did.
type Compacted struct {
	Plans        int    `json:"plans"`         // manifests of plans that were merged
	Into         int    `json:"into"`          // manifests that they became
	Files        int    `json:"files"`         // that were merged
	Merged       int    `json:"merged"`        // files that they became
	Rows         uint64 `json:"rows"`          // in them
	BytesBefore  int64  `json:"bytes_before"`  // of the files that were merged
	BytesAfter   int64  `json:"bytes_after"`   // of the files that they became
	Removed      int    `json:"removed"`       // files whose grace is over
	RemovedBytes int64  `json:"removed_bytes"` // of them
	Waiting      int    `json:"waiting"`       // files that stay until their grace is over
}

// mergeBytes bounds a merged file: it is made in memory.
const mergeBytes = 256 << 20

// failpoint is called between the steps of a compaction; tests put crashes there.
var failpoint = func(step string) {}

// Compact merges the files of plans that follow one another and were received on one day,
// contract by contract, and removes the files whose grace is over. The rows, their
// order by day, their sequences and the sums of the manifests stay what they were. It
// may be ended at any moment, by ctx or a crash: readers see either the old files
// or the merged ones, and the next compaction removes what was left half done. One
// compaction of a lake runs at a time; loaders and readers need not stop.
func (l *Lake) Compact(ctx context.Context, c Compaction) (Compacted, error) {
	if c.Rows == 0 {
		c.Rows = 1 << 20
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	var sum Compacted
	if err := l.sweep(ctx, c, &sum); err != nil {
		return sum, err
	}
	groups, err := l.groups(ctx, c)
	if err != nil {
		return sum, err
	}
	plans, done := 0, 0
	for _, g := range groups {
		plans += len(g.manifests)
	}
	for _, g := range groups {
		c.Progress(done, plans)
		if err := l.merge(ctx, c, g, &sum); err != nil {
			return sum, err
		}
		done += len(g.manifests)
	}
	c.Progress(done, plans)
	sum.Waiting = 0
	return sum, l.sweep(ctx, c, &sum)
}

// group is what becomes one manifest.
type group struct {
	manifests []manifest
	files     [][]File // by manifest
}

// groups are the runs of plans that are worth merging.
func (l *Lake) groups(ctx context.Context, c Compaction) ([]group, error) {
	current, _, err := l.manifests(ctx)
	if err != nil {
		return nil, err
	}
	var all []group
	var g group
	rows, size, keyed := map[string]uint64{}, map[string]int64{}, map[string]int{}
	end := func() {
		if len(g.manifests) > 1 {
			all = append(all, g)
		}
		g = group{}
		clear(rows)
		clear(size)
	}
	for _, m := range current {
		if m.last > c.Through {
			break
		}
		files, err := l.manifest(ctx, m.object)
		if err != nil {
			return nil, err
		}
		fits := len(g.manifests) == 0 || g.files[0][0].Cut == files[0].Cut
		known := true
		for _, f := range files {
			known = known && c.Contracts.ByType(f.Contract) != nil
			fits = fits && (rows[f.Table] == 0 || rows[f.Table]+f.Rows <= uint64(c.Rows) && size[f.Table]+f.Bytes <= mergeBytes && keyed[f.Table] == f.Pseudonyms)
		}
		if !known { // the pack that it was made with may come back
			end()
			continue
		}
		if !fits {
			end()
		}
		g.manifests, g.files = append(g.manifests, m), append(g.files, files)
		for _, f := range files {
			rows[f.Table] += f.Rows
			size[f.Table] += f.Bytes
			keyed[f.Table] = f.Pseudonyms
		}
	}
	end()
	return all, nil
}

// merge writes the merged files of a group and then its manifest, which makes them current.
func (l *Lake) merge(ctx context.Context, c Compaction, g group, sum *Compacted) error {
	m := manifest{first: g.manifests[0].first, last: g.manifests[len(g.manifests)-1].last}
	byTable := map[string][]File{}
	var order []string
	for i, files := range g.files {
		m.generation = max(m.generation, g.manifests[i].generation+1)
		for _, f := range files {
			if byTable[f.Table] == nil {
				order = append(order, f.Table)
			}
			byTable[f.Table] = append(byTable[f.Table], f)
		}
	}
	now := c.Now.UTC().Truncate(time.Second)
	var lines bytes.Buffer
	var merged []File
	for _, table := range order {
		files := byTable[table]
		f := files[0] // alone it stays where it is
		if len(files) > 1 {
			var err error
			if f, err = l.mergeFiles(ctx, c.Contracts.ByType(f.Contract), m, files); err != nil {
				return err
			}
			sum.Files += len(files)
			sum.Merged++
			sum.Rows += f.Rows
			sum.BytesAfter += f.Bytes
			for _, old := range files {
				sum.BytesBefore += old.Bytes
			}
			failpoint("file")
		}
		f.First, f.Last, f.Generation, f.Merged = m.first, m.last, m.generation, &now
		merged = append(merged, f)
		if err := json.NewEncoder(&lines).Encode(f); err != nil {
			return problem.Wrap(err, problem.Internal, "lake: compact", "a manifest cannot be written")
		}
	}
	failpoint("files")
	name := manifests + m.base() + ".jsonl"
	if err := l.store.Put(ctx, name, lines.Bytes()); err != nil {
		return err
	}
	failpoint("manifest")
	sum.Plans += len(g.manifests)
	sum.Into++
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[name] = merged
	return nil
}

// base is the name of a generation's objects without folder and ending.
func (m manifest) base() string {
	name := Plan{First: m.first, Last: m.last}.name()
	if m.generation > 0 {
		name += fmt.Sprintf(".g%d", m.generation)
	}
	return name
}

// mergeFiles writes the rows of files as one, by day and then by sequence, and proves that
// nothing was lost on the way.
func (l *Lake) mergeFiles(ctx context.Context, c *contract.Contract, m manifest, files []File) (File, error) {
	var records []arrow.Record
	defer func() {
		for _, rec := range records {
			rec.Release()
		}
	}()
	var want uint64 // content
	f := files[0]
	f.Name = fmt.Sprintf("%s/cut=%s/%s.parquet", f.Table, f.Cut, m.base())
	f.Rows, f.Facts = 0, 0
	schema, labels := f.layout(c)
	for _, old := range files {
		f.Rows += old.Rows
		content, err := parseContent(old)
		if err != nil {
			return f, err
		}
		want += content
		if err := l.read(ctx, old, schema, func(rec arrow.Record) error {
			rec.Retain()
			records = append(records, rec)
			return nil
		}); err != nil {
			return f, err
		}
	}
	rec, err := sorted(schema, labels, records)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: compact "+f.Name, "the files of a day cannot be merged")
	}
	f.Schema = fingerprint(rec.Schema())
	if err := describe(&f, rec); err != nil {
		return f, err
	}
	if uint64(rec.NumRows()) != f.Rows || f.Content != fmt.Sprintf("%016x", want) {
		return f, problem.New(problem.Internal, "merging %d files into %s would change their rows: content %s, and %016x in the manifests", len(files), f.Name, f.Content, want)
	}
	data, err := encode(rec, f)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: encode "+f.Name, "a Parquet file cannot be written")
	}
	f.Bytes, f.Checksum = int64(len(data)), checksum(data)
	return f, l.store.Put(ctx, f.Name, data)
}

// together is the rows of records as one, sorted by day, by the contract's labels and
// then by sequence.
func together(c *contract.Contract, records []arrow.Record) (arrow.Record, error) {
	return sorted(Schema(c), c.SortLabels(), records)
}

// sorted is the rows of records of a schema as one, sorted by day, where there is one, by labels and
// then by sequence.
func sorted(schema *arrow.Schema, labels []string, records []arrow.Record) (arrow.Record, error) {
	records = slices.DeleteFunc(slices.Clone(records), func(rec arrow.Record) bool { return rec.NumRows() == 0 })
	if len(records) == 0 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer b.Release()
		return b.NewRecord(), nil
	}
	columns := make([]arrow.Array, schema.NumFields())
	var perm []int32
	column := func(i int) (arrow.Array, error) {
		parts := make([]arrow.Array, len(records))
		for k, rec := range records {
			parts[k] = rec.Column(i)
		}
		return array.Concatenate(parts, memory.DefaultAllocator)
	}
	at := func(name string) int { return schema.FieldIndices(name)[0] } // the lake's schema has them
	seqs, err := column(at(ColumnSeq))
	if err != nil {
		return nil, err
	}
	seq := seqs.(*array.Uint64).Uint64Values()
	day := make([]arrow.Date32, len(seq))
	if schema.HasField(contract.ColumnDay) {
		days, err := column(at(contract.ColumnDay))
		if err != nil {
			return nil, err
		}
		day = days.(*array.Date32).Date32Values()
	}
	var ranks [][]int32 // of each label's value in each row
	for _, name := range labels {
		values, err := column(at(name))
		if err != nil {
			return nil, err
		}
		ranks = append(ranks, ranksOf(values.(*array.Dictionary)))
	}
	perm = make([]int32, len(day))
	for i := range perm {
		perm[i] = int32(i)
	}
	slices.SortStableFunc(perm, func(a, b int32) int {
		if order := cmp.Compare(day[a], day[b]); order != 0 {
			return order
		}
		for _, rank := range ranks {
			if order := cmp.Compare(rank[a], rank[b]); order != 0 {
				return order
			}
		}
		return cmp.Compare(seq[a], seq[b])
	})
	for i := range columns {
		whole, err := column(i)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
		if columns[i], err = pick(whole, perm); err != nil {
			return nil, fmt.Errorf("column %s: %w", schema.Field(i).Name, err)
		}
	}
	return array.NewRecord(schema, columns, int64(len(perm))), nil
}

// ranksOf is for each row the place of its value among all values in the order of text.
func ranksOf(a *array.Dictionary) []int32 {
	texts := a.Dictionary().(*array.String)
	byText := make([]int32, texts.Len())
	for i := range byText {
		byText[i] = int32(i)
	}
	slices.SortFunc(byText, func(a, b int32) int { return cmp.Compare(texts.Value(int(a)), texts.Value(int(b))) })
	rank := make([]int32, len(byText))
	for i, code := range byText {
		rank[code] = int32(i)
		if i > 0 && texts.Value(int(code)) == texts.Value(int(byText[i-1])) {
			rank[code] = rank[byText[i-1]]
		}
	}
	rows := make([]int32, a.Len())
	for i := range rows {
		rows[i] = rank[a.GetValueIndex(i)]
	}
	return rows
}

// pick is the array's values in another order.
func pick(a arrow.Array, perm []int32) (arrow.Array, error) {
	data := a.Data()
	if data.Offset() != 0 {
		return nil, fmt.Errorf("the array begins at %d", data.Offset())
	}
	var valid *memory.Buffer
	if a.NullN() > 0 {
		bits := make([]byte, (len(perm)+7)/8)
		for i, row := range perm {
			if a.IsValid(int(row)) {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		valid = memory.NewBufferBytes(bits)
	}
	made := func(dictionary arrow.ArrayData, buffers ...*memory.Buffer) arrow.Array {
		d := array.NewDataWithDictionary(data.DataType(), len(perm), append([]*memory.Buffer{valid}, buffers...), a.NullN(), 0, dataOf(dictionary))
		defer d.Release()
		return array.MakeFromData(d)
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return made(a.Dictionary().Data(), pickFixed(data.Buffers()[1], 4, perm)), nil
	case *array.String:
		ends, v := append(make([]int32, 0, len(perm)+1), 0), []byte{}
		for _, row := range perm {
			v = append(v, a.Value(int(row))...)
			ends = append(ends, int32(len(v)))
		}
		return made(nil, memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(&ends[0])), 4*len(ends))), memory.NewBufferBytes(v)), nil
	case *array.Boolean:
		bits := make([]byte, (len(perm)+7)/8)
		for i, row := range perm {
			if a.IsValid(int(row)) && a.Value(int(row)) {
				bits[i>>3] |= 1 << (i & 7)
			}
		}
		return made(nil, memory.NewBufferBytes(bits)), nil
	default:
		t, ok := data.DataType().(arrow.FixedWidthDataType)
		if !ok {
			return nil, fmt.Errorf("type %s has no place in the lake", data.DataType())
		}
		return made(nil, pickFixed(data.Buffers()[1], t.Bytes(), perm)), nil
	}
}

// dataOf makes a plain nil of an absent dictionary.
func dataOf(d arrow.ArrayData) *array.Data {
	if d == nil {
		return nil
	}
	return d.(*array.Data)
}

func pickFixed(b *memory.Buffer, width int, perm []int32) *memory.Buffer {
	from, to := b.Bytes(), make([]byte, 0, width*len(perm))
	for _, row := range perm {
		to = append(to, from[int(row)*width:(int(row)+1)*width]...)
	}
	return memory.NewBufferBytes(to)
}

// sweep removes what nobody reads any more: merged files that a crash left without a
// manifest at once, and what a newer generation covers when its grace is over. The
// manifest goes last, so that an interrupted sweep is found and finished.
func (l *Lake) sweep(ctx context.Context, c Compaction, sum *Compacted) error {
	current, old, err := l.manifests(ctx)
	if err != nil {
		return err
	}
	needed := map[string]bool{} // data objects of current manifests
	merged := map[manifest]time.Time{}
	tables := map[string]bool{}
	for _, m := range current {
		files, err := l.manifest(ctx, m.object)
		if err != nil {
			return err
		}
		for _, f := range files {
			needed[f.Name] = true
			tables[f.Table] = true
			if f.Merged != nil {
				merged[m] = *f.Merged
			}
		}
	}
	waiting := map[string]bool{} // data objects of manifests whose grace is not over
	for _, m := range old {
		files, err := l.manifest(ctx, m.object)
		if err != nil {
			return err
		}
		at, _ := slices.BinarySearchFunc(current, m, func(a, b manifest) int { return cmp.Compare(a.last, b.first) })
		over := c.Now.Sub(merged[current[at]]) >= c.Grace
		for _, f := range files {
			tables[f.Table] = true
			switch {
			case needed[f.Name]:
			case !over:
				waiting[f.Name] = true
			default:
				if err := l.store.Delete(ctx, f.Name); err != nil {
					return err
				}
				sum.Removed++
				sum.RemovedBytes += f.Bytes
				failpoint("removed")
			}
		}
		if over {
			if err := l.store.Delete(ctx, m.object); err != nil {
				return err
			}
			l.mu.Lock()
			delete(l.known, m.object)
			l.mu.Unlock()
			failpoint("manifest removed")
		}
	}
	sum.Waiting = len(waiting)
	for table := range tables {
		if err := l.store.List(ctx, table+"/", func(o objects.Info) error {
			m, ok := named(o.Name, ".parquet")
			if !ok || m.generation == 0 || needed[o.Name] || waiting[o.Name] {
				return nil
			}
			sum.Removed++
			sum.RemovedBytes += o.Size
			return l.store.Delete(ctx, o.Name)
		}); err != nil {
			return err
		}
	}
	return nil
}

func parseContent(f File) (uint64, error) {
	var n uint64
	if _, err := fmt.Sscanf(f.Content, "%016x", &n); err != nil || len(f.Content) != 16 {
		return 0, problem.New(problem.Internal, "the manifest gives %s the content %q", f.Name, f.Content)
	}
	return n, nil
}
