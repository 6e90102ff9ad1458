package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/objects"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// # Retention
//
// A contract says for how long the lake keeps its rows. Of a month of receipt that is older two
// things stay. First, the figures that only its rows could give, as the warehouse had them
// ([Lake.KeepFigures]); the document is put last, and from then on they are what a rebuild takes:
//
//	_figures/request_decided_v1/2024-05/<table of the warehouse>.<checksum>.parquet
//	_figures/request_decided_v1/2024-05.json
//
// Second, what the first-seen rule needs of every accepted event ([Lake.Retire]): files with the
// columns of [RetiredSchema] in the place of those with rows. Their table, in the manifests and in
// the names, is one of its own, so that who reads a contract's files meets no rows without content:
//
//	_retired/request_decided_v1/cut=2024-05-01/00000000000000000101-00000000000000000900.g2.parquet

const (
	figures = "_figures/"
	retired = "_retired/"
)

// RetiredSchema is the layout of files of which only ids stay: a row for each accepted event, with
// sign 0, which counts for nothing; and none for the copies that took rows back.
func RetiredSchema() *arrow.Schema {
	return arrow.NewSchema([]arrow.Field{
		{Name: contract.ColumnID, Type: &arrow.FixedSizeBinaryType{ByteWidth: 16}},
		{Name: contract.ColumnDigest, Type: arrow.PrimitiveTypes.Uint64},
		{Name: contract.ColumnRev, Type: arrow.PrimitiveTypes.Uint32},
		{Name: contract.ColumnWithdrawn, Type: arrow.FixedWidthTypes.Boolean},
		{Name: ColumnSign, Type: arrow.PrimitiveTypes.Int8},
		{Name: ColumnCut, Type: arrow.FixedWidthTypes.Date32},
		{Name: ColumnSeq, Type: arrow.PrimitiveTypes.Uint64},
		{Name: ColumnBatch, Type: arrow.PrimitiveTypes.Uint64},
	}, nil)
}

// Retired says that only the ids of the file's events are kept.
func (f File) Retired() bool { return strings.HasPrefix(f.Table, retired) }

// layout is how the file is written: its columns, and the labels that its rows are sorted by.
func (f File) layout(c *contract.Contract) (*arrow.Schema, []string) {
	if f.Retired() {
		return RetiredSchema(), nil
	}
	return Schema(c), c.SortLabels()
}

// Month is the file's month of receipt, YYYY-MM.
func (f File) Month() string { return f.Cut[:len("2006-01")] }

// Retirement says of which files only the ids stay.
type Retirement struct {
	Contracts Contracts       // required
	Through   uint64          // plans up to this message are done; others stay as they are
	Takes     func(File) bool // whether the rows of a file go; of a retired one they went
	Progress  func(done, files int)
}

// Retire writes the files that it takes anew with nothing but ids, and removes them. One put of a
// manifest switches what a plan, or what a compaction made of several, has in all of its files. The
// figures must have been kept before. It may be ended at any moment and done again; what is retired
// is passed over. No compaction may run at the same time; loaders may.
func (l *Lake) Retire(ctx context.Context, r Retirement) (Replaced, error) {
	var out Replaced
	return out, l.replace(ctx, r.Contracts, r.Through, r.Progress, func(f File, c *contract.Contract, next manifest) (File, bool, error) {
		if f.Retired() || !r.Takes(f) {
			return f, false, nil
		}
		out.Files++
		out.Rows += f.Rows
		f, err := l.retireFile(ctx, f, c, next)
		return f, true, err
	})
}

// retireFile writes what stays of a file under the name that it has in another manifest.
func (l *Lake) retireFile(ctx context.Context, f File, c *contract.Contract, m manifest) (File, error) {
	var records []arrow.Record
	defer func() {
		for _, rec := range records {
			rec.Release()
		}
	}()
	if err := l.read(ctx, f, RetiredSchema(), func(rec arrow.Record) error {
		records = append(records, accepted(rec))
		return nil
	}); err != nil {
		return f, err
	}
	rec, err := sorted(RetiredSchema(), nil, records)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: retire "+f.Name, "the ids of a file cannot be put together")
	}
	defer rec.Release()
	next := f
	next.Table = retired + c.Table()
	next.Name = fmt.Sprintf("%s/cut=%s/%s.parquet", next.Table, f.Cut, m.base())
	next.Rows, next.Facts, next.Schema, next.Pseudonyms = uint64(rec.NumRows()), 0, fingerprint(rec.Schema()), 0
	if err := describe(&next, rec); err != nil {
		return f, err
	}
	data, err := encode(rec, next)
	if err != nil {
		return f, problem.Wrap(err, problem.Internal, "lake: encode "+next.Name, "a Parquet file cannot be written")
	}
	next.Bytes, next.Checksum = int64(len(data)), checksum(data)
	return next, l.store.Put(ctx, next.Name, data)
}

// accepted is the rows of a record of ids that tell of accepted events, with sign 0.
func accepted(rec arrow.Record) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rec.Schema())
	defer b.Release()
	for i, sign := range rec.Column(rec.Schema().FieldIndices(ColumnSign)[0]).(*array.Int8).Int8Values() { // the schema has it
		if sign < 0 {
			continue
		}
		for at, column := range rec.Columns() {
			switch v, to := column, b.Field(at); v := v.(type) {
			case *array.FixedSizeBinary:
				to.(*array.FixedSizeBinaryBuilder).Append(v.Value(i))
			case *array.Uint64:
				to.(*array.Uint64Builder).Append(v.Value(i))
			case *array.Uint32:
				to.(*array.Uint32Builder).Append(v.Value(i))
			case *array.Boolean:
				to.(*array.BooleanBuilder).Append(v.Value(i))
			case *array.Date32:
				to.(*array.Date32Builder).Append(v.Value(i))
			case *array.Int8: // the sign
				to.(*array.Int8Builder).Append(0)
			}
		}
	}
	return b.NewRecord()
}

// Figures is the document of a month of receipt whose rows the lake does not keep any longer.
type Figures struct {
	Contract string       `json:"contract"` // CloudEvents type
	Table    string       `json:"table"`
	Month    string       `json:"month"`   // of receipt, YYYY-MM
	Rows     uint64       `json:"rows"`    // of facts that there were, corrections included
	Through  uint64       `json:"through"` // last message of them
	Days     []DatedDays  `json:"days"`    // that they told of
	Files    []FigureFile `json:"files"`
	Kept     time.Time    `json:"kept"` // when
}

// DatedDays are the first and the last day that rows tell of, by a field that dates them.
type DatedDays struct {
	By    string        `json:"by"`
	First reference.Day `json:"first"` // days since 1970
	Last  reference.Day `json:"last"`
}

// FigureFile is what one table of the warehouse had of the month.
type FigureFile struct {
	Name     string   `json:"name"` // of the object
	Table    string   `json:"table"`
	Columns  []string `json:"columns"`
	Cases    int64    `json:"cases"` // Σ of signs, of a rollup
	Bytes    int64    `json:"bytes"`
	Checksum string   `json:"checksum"` // xxHash64 of the object, hexadecimal
}

// KeepFigures keeps the figures of a month for ever: each, which calls put with a table's name,
// columns, Σ of signs and rows in Parquet, then the document. A month has one document: when it is
// there already that is a Conflict.
func (l *Lake) KeepFigures(ctx context.Context, f Figures, each func(put func(file FigureFile, data []byte) error) error) error {
	folder := figures + f.Table + "/" + f.Month
	switch _, err := l.store.Stat(ctx, f.Object()); {
	case err == nil:
		return problem.New(problem.Conflict, "the figures of %s, received in %s, are kept already", f.Contract, f.Month)
	case problem.KindOf(err) != problem.NotFound:
		return err
	}
	if err := each(func(file FigureFile, data []byte) error {
		file.Bytes, file.Checksum = int64(len(data)), checksum(data)
		file.Name = fmt.Sprintf("%s/%s.%s.parquet", folder, file.Table, file.Checksum)
		f.Files = append(f.Files, file)
		failpoint("figures")
		return l.store.Put(ctx, file.Name, data)
	}); err != nil {
		return err
	}
	// What a try before this one left, of other bytes.
	if err := l.store.List(ctx, folder+"/", func(o objects.Info) error {
		if slices.ContainsFunc(f.Files, func(file FigureFile) bool { return file.Name == o.Name }) {
			return nil
		}
		return l.store.Delete(ctx, o.Name)
	}); err != nil {
		return err
	}
	f.Kept = time.Now().UTC().Truncate(time.Second)
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return problem.Wrap(err, problem.Internal, "lake: figures", "the document of a month cannot be written")
	}
	failpoint("figure files")
	return l.store.Put(ctx, f.Object(), append(text, '\n'))
}

// Figures lists the months whose figures are kept, by table and month.
func (l *Lake) Figures(ctx context.Context) ([]Figures, error) {
	var names []string
	if err := l.store.List(ctx, figures, func(o objects.Info) error {
		if strings.HasSuffix(o.Name, ".json") {
			names = append(names, o.Name)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var list []Figures
	for _, name := range names {
		data, err := l.store.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		var f Figures
		if err := json.Unmarshal(data, &f); err != nil || name != f.Object() {
			return nil, problem.Wrap(err, problem.Internal, "lake: "+name, "%s is damaged", name)
		}
		list = append(list, f)
	}
	return list, nil
}

// Object is the document's own name.
func (f Figures) Object() string { return figures + f.Table + "/" + f.Month + ".json" }

// FigureDocument is the text of the document.
func (l *Lake) FigureDocument(ctx context.Context, f Figures) ([]byte, error) {
	return l.store.Get(ctx, f.Object())
}

// FigureObject is the bytes of a table's figures, held against their checksum.
func (l *Lake) FigureObject(ctx context.Context, f FigureFile) ([]byte, error) {
	return l.Object(ctx, File{Name: f.Name, Checksum: f.Checksum})
}
