// Package mapping turns foreign files into events: CSV, TSV, XLSX, NDJSON, Parquet and
// logs of any line format, as they are or inside gzip or zip, become CloudEvents of one
// contract, as a pack's mappings/*.yaml declares. docs/mappings.md tells the format key
// by key.
//
// # What happens to a row
//
// A file is read as rows of named columns (read). Where one row holds many figures,
// unpivot makes one row of each. skip passes rows over. The id, the time and every field
// of the contract then take a cell, a constant, a computed or a looked-up text, which
// goes through empty, values and default, and is written by the type of its field.
//
//	for: city.request.v1
//	read: {format: csv, time_zone: America/New_York, empty: [" "]}
//	id: case_enquiry_id
//	time: {column: open_dt, format: "2006-01-02 15:04:05"}
//	fields:
//	  department: department
//	  on_time: {column: ontime, values: {ONTIME: true, OVERDUE: false}}
//
// # What goes wrong
//
// A file that lacks a column which the mapping names, or that cannot be opened, fails as
// a whole, before anything is emitted. A row that cannot be read, or that has a cell which
// cannot be understood, is refused alone, with its place, field, code and reason; reading
// goes on. A file that breaks off fails where it does, after the rows before it. Reasons
// repeat a cell, except a personal one.
//
// # Identity
//
// The id of an event is what makes loading a file twice the same as loading it once. It is
// the cell of the column that id names; the hash of several; or, without id, the hash of
// the whole row. With repeats (always without id), the second row with the same hash gets
// the id of the first with "-1" behind it, the third "-2": two equal lines of a log are two
// requests. Counting repeats takes memory: the last 524,288 different rows at the least, and
// twice that at the most, are remembered (about 60 MB); equal rows that are further apart are
// taken as one. Logs are sorted by time, and equal lines stand close together.
//
// # Corrections
//
// on_change: correct marks every event with the extension onchange ("correct"): other
// content under a known id is then the next revision, not a conflict. replaces: {source,
// day} says that a delivery stands for everything of its source and day. Every event then
// carries the extension replaces with the day of its time in the zone (YYYY-MM-DD), and
// [Stats] has the days of the file: what is known of that contract, source and day and is
// not in the delivery has been withdrawn by the sender. Who sends the delivery asks for
// that, when all of it was taken: POST /v1/deliveries (package ingest).
//
// # Limits
//
// A row is at most 4 MiB. Text is streamed, Parquet is read page by page, the rows of a
// workbook one by one: memory does not grow with the file. A workbook, packed, is held in
// memory; a workbook or Parquet file inside an archive is, too, up to 512 MiB; a looked-up
// file is, up to a million rows.
package mapping

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Stats counts what one reading met. Rows = Events + Skipped + Refused.
type Stats struct {
	Rows    int64 // rows of the file, after unpivot
	Events  int64
	Skipped int64
	Refused int64
	Days    []reference.Day // with replaces: the days of the events, in order
}

// Read reads a file and emits its events in order, each a CloudEvents JSON object
// without a line end that holds until emit returns. What is wrong with a row goes to
// refuse. An error of emit ends the reading and is returned as it is; other errors are
// problems that name the file, and the place where there is one.
//
// Nothing is emitted before the file's columns are known to be what the mapping names.
func (m *Mapper) Read(ctx context.Context, file string, emit func(event []byte, at Place) error, refuse func(at Place, field, code, reason string)) (Stats, error) {
	r, err := m.open(ctx, file)
	if err != nil {
		return Stats{}, err
	}
	defer r.rows.close() // only read from: a failure to close loses nothing
	if err := r.lookups(ctx, filepath.Dir(file)); err != nil {
		return Stats{}, err
	}
	return r.run(ctx, emit, refuse)
}

// Fits says whether a file has the columns that the mapping reads, and if not why. Of a
// log, whether its first line matches; of a table that names no columns, whether its first
// row has as many cells.
func (m *Mapper) Fits(ctx context.Context, file string) error {
	r, err := m.open(ctx, file)
	if err != nil {
		return err
	}
	defer r.rows.close()
	if m.reading.pattern == nil && m.reading.Columns == nil {
		return nil
	}
	if _, err := r.rows.next(ctx); err != nil && !errors.Is(err, io.EOF) {
		return problem.Wrap(err, problem.BadInput, "mapping: match", "%s does not look like what the mapping %s reads", r.rows.at(), m.m.Name)
	}
	return nil
}

// reader is one reading of one file.
type reader struct {
	*Mapper
	rows    rows
	columns []string
	fields  []bound
	time    *bound
	skip    *computed
	id      []int
	since04 bool

	clock     clock
	repeats   repeats
	key       []byte
	data      []byte
	event     []byte
	days      map[reference.Day]bool // with replaces: of the events emitted
	delivered reference.Day          // with replaces: of the event at hand
	day       time.Time              // the date that was written last
	lastDay   time.Time              // of the window, in the row at hand
}

// bound is a value whose columns are found in one file.
type bound struct {
	value
	index   int
	compute *computed
	by      []int
	found   found
	joined  []byte
}

// computed is an expression whose columns are found in one file.
type computed struct {
	*expression
	index []int
	row   map[string]string
	vars  map[string]any
}

// open opens a file and finds every column that the mapping names.
func (m *Mapper) open(ctx context.Context, file string) (*reader, error) {
	wide, err := m.reading.open(ctx, file, m.optional())
	if err != nil {
		return nil, err
	}
	r := &reader{Mapper: m, rows: wide, clock: clock{zone: m.zone, lo: 1, hi: 0}}
	if m.unpivot != nil {
		r.rows, err = newLongRows(wide, m.unpivot, m.reading.Trim, m.reading.Empty, wide.at().File)
		if err != nil {
			wide.close()
			return nil, err
		}
	}
	r.columns = r.rows.columns()
	r.since04 = isDate1904(r.rows)
	if err := r.bind(); err != nil {
		r.rows.close()
		return nil, err
	}
	return r, nil
}

// optional are the columns without which an object may do.
func (m *Mapper) optional() []string {
	var names []string
	for i := range m.fields {
		v := &m.fields[i]
		if v.required {
			continue
		}
		if v.column != "" {
			names = append(names, v.column)
		}
		if v.compute != nil {
			names = append(names, v.compute.columns...)
		}
	}
	if m.skip != nil {
		names = append(names, m.skip.columns...)
	}
	return uniqueNames(names)
}

func uniqueNames(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func (r *reader) bind() error {
	var issues problem.Issues
	file := r.rows.at().File
	find := func(name, field string) int { return indexColumn(r.columns, name, file, field, &issues) }
	expr := func(e *expression, field string) *computed {
		c := &computed{expression: e, row: map[string]string{}}
		c.vars = map[string]any{"row": c.row}
		for _, name := range e.columns {
			c.index = append(c.index, find(name, field))
		}
		return c
	}
	bindValue := func(v *value, field string) bound {
		b := bound{value: *v, index: -1}
		switch {
		case v.column != "":
			b.index = find(v.column, field)
		case v.compute != nil:
			b.compute = expr(v.compute, field)
		case v.lookup != nil:
			for _, name := range v.lookup.By {
				b.by = append(b.by, find(name, field))
			}
		}
		return b
	}
	for _, name := range r.Mapper.id {
		r.id = append(r.id, find(name, "id"))
	}
	if r.Mapper.time != nil {
		b := bindValue(r.Mapper.time, "time")
		r.time = &b
	}
	for i := range r.Mapper.fields {
		v := &r.Mapper.fields[i]
		r.fields = append(r.fields, bindValue(v, "fields."+v.name))
	}
	if r.Mapper.skip != nil {
		r.skip = expr(r.Mapper.skip, "skip")
	}
	return issues.Err()
}

func (r *reader) lookups(ctx context.Context, folder string) error {
	for i := range r.fields {
		b := &r.fields[i]
		if b.lookup == nil {
			continue
		}
		for j := range r.fields[:i] { // several fields of one file
			if o := &r.fields[j]; o.lookup != nil && o.lookup.File == b.lookup.File && o.lookup.Column == b.lookup.Column {
				b.found = o.found
			}
		}
		if b.found == nil {
			var err error
			if b.found, err = b.lookup.load(ctx, folder, r.reading); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) run(ctx context.Context, emit func([]byte, Place) error, refuse func(Place, string, string, string)) (s Stats, err error) {
	defer func() { s.Days = slices.Sorted(maps.Keys(r.days)) }()
	for {
		if s.Rows&1023 == 0 {
			if err := ctx.Err(); err != nil {
				return s, err
			}
		}
		cells, err := r.rows.next(ctx)
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		var f *fault
		if err != nil && !errors.As(err, &f) {
			return s, err
		}
		s.Rows++
		var skipped bool
		if f == nil {
			skipped, f = r.row(cells)
		}
		switch {
		case f != nil:
			s.Refused++
			refuse(r.rows.at(), f.field, f.code, f.reason)
		case skipped:
			s.Skipped++
		default:
			if err := emit(r.event, r.rows.at()); err != nil {
				return s, err
			}
			s.Events++
			if r.replaces && !r.days[r.delivered] {
				if r.days == nil {
					r.days = map[reference.Day]bool{}
				}
				r.days[r.delivered] = true
			}
		}
	}
}

// row writes the event of a row.
func (r *reader) row(cells [][]byte) (skipped bool, f *fault) {
	if r.skip != nil {
		out, f := r.skip.eval(cells, r.reading.Trim)
		if f != nil {
			f.field = "skip"
			return false, f
		}
		if out == types.True {
			return true, nil
		}
	}
	r.data = append(r.data[:0], '{')
	for i := range r.fields {
		b := &r.fields[i]
		from := len(r.data)
		if from > 1 {
			r.data = append(r.data, ',')
		}
		r.data = append(r.data, b.key...)
		written, f := r.write(b, cells)
		if f != nil {
			f.field = b.name
			return false, f
		}
		if !written {
			r.data = r.data[:from]
		} else if i == r.window {
			r.lastDay = r.day
		}
	}
	r.data = append(r.data, '}')

	var at time.Time
	if r.time != nil {
		text, ok, f := r.text(r.time, cells)
		if f == nil && !ok {
			f = refuseMissing("the event has no time")
		}
		if f == nil {
			at, f = r.instant(r.time, text)
		}
		if f != nil {
			f.field = "time"
			return false, f
		}
	} else {
		at = r.clock.at(r.lastDay)
	}
	return false, r.envelope(cells, at)
}

func refuseMissing(reason string) *fault { return refuse(contract.MissingField, "%s", reason) }

// envelope writes the event around the data.
func (r *reader) envelope(cells [][]byte, at time.Time) *fault {
	e := append(r.event[:0], `{"specversion":"1.0","id":`...)
	if len(r.id) == 1 && !r.Mapper.repeats {
		cell := trimmed(cells[r.id[0]], r.reading.Trim)
		if len(cell) == 0 {
			return &fault{field: "id", code: contract.MissingField, reason: fmt.Sprintf("the column %q, which is the id, is empty", r.Mapper.id[0])}
		}
		var ok bool
		if e, ok = appendText(e, cell); !ok {
			return &fault{field: "id", code: contract.InvalidUTF8, reason: "the id is not text in the declared encoding"}
		}
	} else {
		e = append(e, '"')
		e = r.appendHash(e, cells)
		e = append(e, '"')
	}
	e = append(e, `,"source":`...)
	e = append(e, r.source...)
	e = append(e, r.tail...)
	if r.replaces {
		local := at.In(r.zone)
		r.delivered = reference.DayOf(local)
		e = append(e, `,"replaces":"`...)
		e = append(local.AppendFormat(e, time.DateOnly), '"')
	}
	e = append(e, `,"time":"`...)
	e = appendInstant(e, at)
	e = append(e, `","data":`...)
	e = append(e, r.data...)
	r.event = append(e, '}')
	return nil
}

func appendInstant(dst []byte, t time.Time) []byte {
	return t.Truncate(time.Millisecond).AppendFormat(dst, time.RFC3339Nano)
}

// appendHash appends the identity of a row: 128 bits of SHA-256 over the contract's
// type and the key's cells, with the number of the repeat behind it.
func (r *reader) appendHash(dst []byte, cells [][]byte) []byte {
	r.key = joinKey(r.key[:0], []byte(r.c.Type))
	switch raw := r.rows.raw(); {
	case len(r.id) > 0:
		for _, i := range r.id {
			r.key = joinKey(r.key, trimmed(cells[i], r.reading.Trim))
		}
	case raw != nil:
		r.key = joinKey(r.key, raw)
	default:
		for i, cell := range cells {
			r.key = joinKey(r.key, []byte(r.columns[i]), cell)
		}
	}
	sum := sha256.Sum256(r.key)
	dst = hex.AppendEncode(dst, sum[:16])
	if r.Mapper.repeats {
		if n := r.repeats.count([16]byte(sum[:16])); n > 0 {
			dst = strconv.AppendUint(append(dst, '-'), n, 10)
		}
	}
	return dst
}

// repeats numbers equal rows, in two generations of bounded size: when the young one is
// full it becomes the old one, which is forgotten.
type repeats struct {
	young, old map[[16]byte]uint32
}

const generation = 1 << 19

// count is how often the key was met before.
func (r *repeats) count(key [16]byte) uint64 {
	n, ok := r.young[key]
	if !ok {
		n = r.old[key]
		if len(r.young) >= generation {
			r.old, r.young = r.young, nil
		}
		if r.young == nil {
			r.young = map[[16]byte]uint32{}
		}
	}
	r.young[key] = n + 1
	return uint64(n)
}

func (c *computed) eval(cells [][]byte, trim bool) (ref.Val, *fault) {
	for i, name := range c.columns {
		c.row[name] = string(trimmed(cells[c.index[i]], trim))
	}
	out, _, err := c.program.Eval(c.vars)
	if err != nil {
		return nil, refuse(codeCompute, "%s: %v", c.text, err)
	}
	return out, nil
}

// text is what a field is to be made of, after empty, values and default; ok is false
// when it has no value.
func (r *reader) text(b *bound, cells [][]byte) (text []byte, ok bool, f *fault) {
	switch {
	case b.index >= 0:
		text = trimmed(cells[b.index], r.reading.Trim)
	case b.constant != "":
		text = []byte(b.constant)
	case b.compute != nil:
		out, f := b.compute.eval(cells, r.reading.Trim)
		if f != nil {
			if b.private {
				f.reason = b.compute.text + " has no value for this row"
			}
			return nil, false, f
		}
		if text, f = celText(out); f != nil {
			return nil, false, f
		}
	case b.found != nil:
		b.joined = b.joined[:0]
		for _, i := range b.by {
			b.joined = joinKey(b.joined, trimmed(cells[i], r.reading.Trim))
		}
		cell, ok := b.found[string(b.joined)]
		if !ok && b.fallback == "" {
			return nil, false, refuse(codeLookup, "no row of %s agrees in %s", b.lookup.File, quoteAll(b.lookup.By))
		}
		text = []byte(cell)
	}
	if len(text) == 0 || b.empty[string(text)] {
		text = nil
	} else if b.values != nil {
		to, listed := b.values[string(text)]
		switch {
		case listed:
			text = []byte(to)
		case b.others == othersPass:
		case b.others != othersRefuse:
			text = []byte(b.others)
		case b.private:
			return nil, false, refuse(codeUnmapped, "the cell is none of the listed values")
		default:
			return nil, false, refuse(codeUnmapped, "%s is none of %s", shown(string(text)), b.listed)
		}
	}
	if len(text) == 0 {
		text = []byte(b.fallback)
	}
	return text, len(text) > 0, nil
}

// celText is a CEL value as a cell would have it; an absent optional is an empty one.
func celText(v ref.Val) ([]byte, *fault) {
	switch x := v.(type) {
	case types.String:
		return []byte(x), nil
	case types.Bool:
		return strconv.AppendBool(nil, bool(x)), nil
	case types.Int:
		return strconv.AppendInt(nil, int64(x), 10), nil
	case types.Uint:
		return strconv.AppendUint(nil, uint64(x), 10), nil
	case types.Double:
		return strconv.AppendFloat(nil, float64(x), 'f', -1, 64), nil
	case types.Timestamp:
		return appendInstant(nil, x.Time), nil
	case types.Null:
		return nil, nil
	case *types.Optional:
		if !x.HasValue() {
			return nil, nil
		}
		return celText(x.GetValue())
	}
	return nil, refuse(codeCompute, "the expression gives %s, which is no single value", v.Type().TypeName())
}

// write appends the value of a field; written is false when it has none.
func (r *reader) write(b *bound, cells [][]byte) (written bool, f *fault) {
	text, ok, f := r.text(b, cells)
	if f != nil {
		return false, f
	}
	if !ok {
		if b.required {
			return false, refuse(contract.MissingField, "the field is required, and the row has no value for it")
		}
		return false, nil
	}
	switch b.typ {
	case contract.Timestamp:
		at, f := r.instant(b, text)
		if f != nil {
			return false, f
		}
		r.data = append(appendInstant(append(r.data, '"'), at), '"')
	case contract.Date:
		at, err := b.stamps.civil(string(text), r.since04)
		if err != nil {
			return false, b.badStamp(text)
		}
		y, m, d := at.Date()
		r.day = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		r.data = append(at.AppendFormat(append(r.data, '"'), time.DateOnly), '"')
	case contract.Integer, contract.Money, contract.Duration, contract.Decimal, contract.Number:
		if r.data, f = b.numbers.append(r.data, string(text)); f != nil {
			if b.private {
				f.reason = "the cell is not such a number"
			}
			return false, f
		}
	case contract.Boolean:
		switch string(text) {
		case "true", "TRUE", "True":
			r.data = append(r.data, "true"...)
		case "false", "FALSE", "False":
			r.data = append(r.data, "false"...)
		default:
			return false, refuse(contract.WrongType, "%s is neither true nor false; values can say which it is", b.quote(text))
		}
	default:
		if b.table != nil {
			if code, known := b.table.ResolveBytes(text); known {
				text = []byte(code)
			}
		}
		if r.data, ok = appendText(r.data, text); !ok {
			return false, refuse(contract.InvalidUTF8, "the cell is not text in the declared encoding")
		}
	}
	return true, nil
}

func (b *bound) quote(text []byte) string {
	if b.private {
		return "the cell"
	}
	return shown(string(text))
}

func (r *reader) instant(b *bound, text []byte) (time.Time, *fault) {
	at, err := b.stamps.instant(string(text), r.since04)
	if err != nil {
		return at, b.badStamp(text)
	}
	return at, nil
}

func (b *bound) badStamp(text []byte) *fault {
	examples := make([]string, len(b.stamps.formats))
	for i := range b.stamps.formats {
		examples[i] = b.stamps.formats[i].example()
	}
	return refuse(contract.BadTime, "%s is not written as %s", b.quote(append([]byte(b.stamps.prefix), text...)), strings.Join(examples, " or "))
}
