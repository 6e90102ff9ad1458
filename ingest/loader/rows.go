package loader

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/ipc"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/warehouse/lake"
)

// table gathers the rows of one contract in a plan, in the lake's layout. Rows are
// copied column by column, a run of neighbours at a time; dictionaries are unified
// on the way, so that the plan becomes one record with one dictionary a column.
type table struct {
	contract *contract.Contract
	schema   *arrow.Schema
	columns  []column // of the contract's batch without _correct
	digest   *fixed[uint64]
	rev      *fixed[uint32]
	day      *fixed[arrow.Date32]
	id       *wide
	sort     []*labels // that rows are sorted by within a day
	sign     []int8
	seq      []uint64
	order    *arrow.Schema // the batch schema that from was made for
	from     []int         // for each column its index in the batch, −1 when it has none
	silent   int           // rows with sign 0
	lent     bool          // a record shares its memory
}

func newTable(c *contract.Contract) *table {
	t := &table{contract: c, schema: lake.Schema(c)}
	for _, f := range t.schema.Fields() {
		switch f.Name {
		case lake.ColumnSign, lake.ColumnCut, lake.ColumnSeq, lake.ColumnBatch:
			continue
		}
		col := newColumn(f)
		switch f.Name {
		case contract.ColumnID:
			t.id = col.(*wide)
		case contract.ColumnDigest:
			t.digest = col.(*fixed[uint64])
		case contract.ColumnRev:
			t.rev = col.(*fixed[uint32])
		case contract.ColumnDay:
			t.day = col.(*fixed[arrow.Date32])
		}
		t.columns = append(t.columns, col)
	}
	for _, name := range c.SortLabels() {
		t.sort = append(t.sort, t.columns[t.schema.FieldIndices(name)[0]].(*labels))
	}
	return t
}

func (t *table) rows() int { return len(t.sign) }

func (t *table) reset() {
	for _, c := range t.columns {
		c.reset()
	}
	t.sign, t.seq, t.silent, t.lent = t.sign[:0], t.seq[:0], 0, false
}

// match finds the table's columns in a batch, by name: an older batch may lack
// fields that the contract got since.
func (t *table) match(batch *arrow.Schema) error {
	if t.order == batch || t.order != nil && t.order.Equal(batch) {
		return nil
	}
	from := make([]int, len(t.columns))
	for i := range t.columns {
		f := t.schema.Field(i)
		at := batch.FieldIndices(f.Name)
		if len(at) == 0 {
			from[i] = -1
			continue
		}
		if have := batch.Field(at[0]).Type; !arrow.TypeEqual(have, f.Type) {
			return fmt.Errorf("column %s is %s, the contract says %s", f.Name, have, f.Type)
		}
		from[i] = at[0]
	}
	t.order, t.from = batch, from
	return nil
}

// add copies rows lo to hi of a batch. Their sequences begin at seq.
func (t *table) add(batch arrow.Record, lo, hi int, sign int8, seq uint64) {
	for i, c := range t.columns {
		if t.from[i] < 0 {
			c.absent(hi - lo)
		} else {
			c.add(batch.Column(t.from[i]), lo, hi)
		}
	}
	for i := range uint64(hi - lo) {
		t.sign = append(t.sign, sign)
		t.seq = append(t.seq, seq+i)
	}
	if sign == 0 {
		t.silent += hi - lo
	}
}

// retract takes back one of the table's own rows.
func (t *table) retract(row int, seq uint64) {
	for _, c := range t.columns {
		c.copy(row)
	}
	t.sign = append(t.sign, -1)
	t.seq = append(t.seq, seq)
}

// standing is the row with sign +1 and that sequence, or −1. Rows are appended in the
// order of their sequences.
func (t *table) standing(seq uint64) int {
	at, _ := slices.BinarySearch(t.seq, seq)
	for ; at < len(t.seq) && t.seq[at] == seq; at++ {
		if t.sign[at] == 1 {
			return at
		}
	}
	return -1
}

// take appends one row of an answer of the warehouse, by column name, with sign −1.
func (t *table) take(rec arrow.Record, row int, seq uint64) error {
	for i, c := range t.columns {
		f := t.schema.Field(i)
		at := rec.Schema().FieldIndices(f.Name)
		if len(at) == 0 { // _digest and _withdrawn are not stored
			c.absent(1)
			continue
		}
		if err := c.take(rec.Column(at[0]), row); err != nil {
			return fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	t.sign = append(t.sign, -1)
	t.seq = append(t.seq, seq)
	return nil
}

// record is the table's rows as one record, in the order of the table of facts, so that
// the engine need not sort them and the lake packs as well: by day, labels and
// sequence. without is true for those of the warehouse, without sign 0.
func (t *table) record(cut reference.Day, batch uint64, without bool) arrow.Record {
	var perm []int32 // nil: as they are
	if without && t.silent > 0 {
		perm = make([]int32, 0, t.rows()-t.silent)
		for i, s := range t.sign {
			if s != 0 {
				perm = append(perm, int32(i))
			}
		}
	}
	for i := len(t.sort) - 1; i >= 0; i-- {
		perm = byLabel(t.sort[i], perm)
	}
	perm = byDay(t.day.v, perm)
	t.lent = t.lent || perm == nil
	n := t.rows()
	if perm != nil {
		n = len(perm)
	}
	columns := make([]arrow.Array, 0, len(t.columns)+4)
	for _, c := range t.columns {
		columns = append(columns, c.build(perm))
	}
	sign := fixed[int8]{typ: arrow.PrimitiveTypes.Int8, v: t.sign}
	seq := fixed[uint64]{typ: arrow.PrimitiveTypes.Uint64, v: t.seq}
	cuts := fixed[arrow.Date32]{typ: arrow.FixedWidthTypes.Date32, v: slices.Repeat([]arrow.Date32{arrow.Date32(cut)}, n)}
	batches := fixed[uint64]{typ: arrow.PrimitiveTypes.Uint64, v: slices.Repeat([]uint64{batch}, n)}
	columns = append(columns, sign.build(perm), cuts.build(nil), seq.build(perm), batches.build(nil))
	return array.NewRecord(t.schema, columns, int64(n))
}

// byLabel is a permutation that sorts rows by a label and keeps the order of equal
// ones; nil when there is nothing to do. rows are the rows to sort, nil is all.
func byLabel(c *labels, rows []int32) []int32 {
	codes := len(c.dict.ends) - 1
	if codes < 2 {
		return rows
	}
	byText := make([]int32, codes)
	for i := range byText {
		byText[i] = int32(i)
	}
	slices.SortFunc(byText, func(a, b int32) int { return bytes.Compare(c.dict.value(int(a)), c.dict.value(int(b))) })
	next := make([]int32, codes) // by code: where its next row goes
	n := len(c.v)
	if rows == nil {
		for _, code := range c.v {
			next[code]++
		}
	} else {
		n = len(rows)
		for _, row := range rows {
			next[c.v[row]]++
		}
	}
	start := int32(0)
	for _, code := range byText {
		next[code], start = start, start+next[code]
	}
	perm := make([]int32, n)
	for i := range n {
		row := int32(i)
		if rows != nil {
			row = rows[i]
		}
		code := c.v[row]
		perm[next[code]] = row
		next[code]++
	}
	return perm
}

// byDay is a permutation that sorts rows by day and keeps the order within a
// day; nil when there is nothing to do. rows are the rows to sort, nil is all.
func byDay(days []arrow.Date32, rows []int32) []int32 {
	at := func(i int) arrow.Date32 { return days[i] }
	n := len(days)
	if rows != nil {
		n = len(rows)
		at = func(i int) arrow.Date32 { return days[rows[i]] }
	}
	if n == 0 {
		return rows
	}
	low, high, sorted := at(0), at(0), true
	for i := 1; i < n; i++ {
		d := at(i)
		sorted = sorted && d >= high
		low, high = min(low, d), max(high, d)
	}
	if sorted {
		return rows
	}
	perm := make([]int32, n)
	if span := int(high-low) + 1; span <= 4*n+1024 {
		starts := make([]int32, span+1)
		for i := range n {
			starts[at(i)-low+1]++
		}
		for i := 1; i <= span; i++ {
			starts[i] += starts[i-1]
		}
		for i := range n {
			d := at(i) - low
			row := int32(i)
			if rows != nil {
				row = rows[i]
			}
			perm[starts[d]] = row
			starts[d]++
		}
		return perm
	}
	for i := range perm {
		perm[i] = int32(i)
		if rows != nil {
			perm[i] = rows[i]
		}
	}
	slices.SortStableFunc(perm, func(a, b int32) int { return int(days[a]) - int(days[b]) })
	return perm
}

// facts writes a record for the warehouse: an Arrow stream of one batch, without
// the columns that it does not store, and with labels as narrow as they can be.
func facts(w io.Writer, rec arrow.Record) error {
	var fields []arrow.Field
	var columns []arrow.Array
	for i, f := range rec.Schema().Fields() {
		if f.Name == contract.ColumnDigest || f.Name == contract.ColumnWithdrawn {
			continue
		}
		column := rec.Column(i)
		if labels, ok := column.(*array.Dictionary); ok {
			column = narrow(labels)
			f.Type = column.DataType()
		}
		fields = append(fields, f)
		columns = append(columns, column)
	}
	schema := arrow.NewSchema(fields, nil)
	return writeArrow(w, array.NewRecord(schema, columns, rec.NumRows()))
}

// narrow is a column of labels, none of them null, with indices of one or two bytes where its
// dictionary allows: a quarter of the rows' bytes were zeros of indices.
func narrow(a *array.Dictionary) arrow.Array {
	indices, ok := a.Indices().(*array.Int32)
	if !ok {
		return a
	}
	var index arrow.DataType
	var narrowed []byte
	switch n := a.Dictionary().Len(); {
	case n <= math.MaxInt8+1:
		index, narrowed = arrow.PrimitiveTypes.Int8, asBytes(converted[int8](indices.Int32Values()))
	case n <= math.MaxInt16+1:
		index, narrowed = arrow.PrimitiveTypes.Int16, asBytes(converted[int16](indices.Int32Values()))
	default:
		return a
	}
	typ := &arrow.DictionaryType{IndexType: index, ValueType: a.Dictionary().DataType()}
	data := array.NewData(index, a.Len(), []*memory.Buffer{nil, memory.NewBufferBytes(narrowed)}, nil, 0, 0)
	return array.NewDictionaryArray(typ, array.MakeFromData(data), a.Dictionary())
}

func converted[T int8 | int16](v []int32) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}

func writeArrow(w io.Writer, rec arrow.Record, opts ...ipc.Option) error {
	out := ipc.NewWriter(w, append(opts, ipc.WithSchema(rec.Schema()))...)
	if err := out.Write(rec); err != nil {
		return err
	}
	return out.Close()
}

// column is one growing column.
type column interface {
	add(src arrow.Array, lo, hi int)     // src has the column's own type
	absent(n int)                        // null where the column may be, else zero or empty
	copy(row int)                        // of this column
	cut(n int)                           // to its first n values
	take(src arrow.Array, row int) error // from whatever type the warehouse answers with
	build(perm []int32) arrow.Array      // the array may share the column's memory until reset
	reset()
}

func newColumn(f arrow.Field) column {
	switch t := f.Type.(type) {
	case *arrow.FixedSizeBinaryType:
		return &wide{typ: t, nulls: nulls{on: f.Nullable}, width: t.ByteWidth}
	case *arrow.DictionaryType:
		return &labels{typ: t, known: map[string]int32{}, dict: texts{ends: []int32{0}}}
	case *arrow.StringType:
		return &texts{ends: []int32{0}}
	case *arrow.BooleanType:
		return &flags{nulls: nulls{on: f.Nullable}}
	case *arrow.TimestampType:
		return &fixed[arrow.Timestamp]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Date32Type:
		return &fixed[arrow.Date32]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Decimal128Type:
		return &fixed[decimal128.Num]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Int64Type:
		return &fixed[int64]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Uint64Type:
		return &fixed[uint64]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Uint32Type:
		return &fixed[uint32]{typ: t, nulls: nulls{on: f.Nullable}}
	case *arrow.Float64Type:
		return &fixed[float64]{typ: t, nulls: nulls{on: f.Nullable}}
	}
	panic("loader: no column for " + f.Type.String()) // the lake's schema has no other types
}

// nulls says which values are null, when the column may hold nulls.
type nulls struct {
	on   bool
	null []bool
}

func (n *nulls) add(src arrow.Array, lo, hi int) {
	if !n.on {
		return
	}
	if src.NullN() == 0 {
		n.null = append(n.null, make([]bool, hi-lo)...)
		return
	}
	for i := lo; i < hi; i++ {
		n.null = append(n.null, src.IsNull(i))
	}
}

func (n *nulls) repeat(null bool, count int) {
	if n.on {
		n.null = append(n.null, slices.Repeat([]bool{null}, count)...)
	}
}

func (n *nulls) copy(row int) {
	if n.on {
		n.null = append(n.null, n.null[row])
	}
}

func (n *nulls) cut(count int) {
	if n.on {
		n.null = n.null[:count]
	}
}

// bitmap is Arrow's validity, nil when nothing is null.
func (n *nulls) bitmap(perm []int32) (*memory.Buffer, int) {
	if !n.on || !slices.Contains(n.null, true) {
		return nil, 0
	}
	count := len(n.null)
	if perm != nil {
		count = len(perm)
	}
	bits := make([]byte, (count+7)/8)
	missing := 0
	for i := range count {
		row := i
		if perm != nil {
			row = int(perm[i])
		}
		if n.null[row] {
			missing++
		} else {
			bits[i>>3] |= 1 << (i & 7)
		}
	}
	return memory.NewBufferBytes(bits), missing
}

// fixed is a column of numbers.
type fixed[T any] struct {
	nulls
	typ arrow.DataType
	v   []T
}

func (c *fixed[T]) add(src arrow.Array, lo, hi int) {
	data := src.Data()
	var zero T
	raw := data.Buffers()[1].Bytes()
	all := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)/int(unsafe.Sizeof(zero)))
	c.v = append(c.v, all[data.Offset()+lo:data.Offset()+hi]...)
	c.nulls.add(src, lo, hi)
}

func (c *fixed[T]) absent(n int) {
	c.v = append(c.v, make([]T, n)...)
	c.repeat(true, n)
}

func (c *fixed[T]) copy(row int) {
	c.v = append(c.v, c.v[row])
	c.nulls.copy(row)
}

func (c *fixed[T]) take(src arrow.Array, row int) error {
	var out T
	null := src.IsNull(row)
	if !null {
		switch p := any(&out).(type) {
		case *decimal128.Num:
			a, ok := src.(*array.Decimal128)
			if !ok {
				return fmt.Errorf("%s is no decimal", src.DataType())
			}
			*p = a.Value(row)
		case *float64:
			a, ok := src.(*array.Float64)
			if !ok {
				return fmt.Errorf("%s is no number", src.DataType())
			}
			*p = a.Value(row)
		default:
			v, ok := integer(src, row)
			if !ok {
				return fmt.Errorf("%s is no %s", src.DataType(), c.typ)
			}
			switch p := p.(type) {
			case *int64:
				*p = v
			case *uint64:
				*p = uint64(v)
			case *uint32:
				*p = uint32(v)
			case *int8:
				*p = int8(v)
			case *arrow.Timestamp:
				*p = arrow.Timestamp(v)
			case *arrow.Date32:
				*p = arrow.Date32(v)
			}
		}
	}
	c.v = append(c.v, out)
	c.repeat(null, 1)
	return nil
}

// integer reads a value of any integer type; a time in milliseconds, a date in days.
func integer(src arrow.Array, row int) (int64, bool) {
	switch a := src.(type) {
	case *array.Int64:
		return a.Value(row), true
	case *array.Uint64:
		return int64(a.Value(row)), true
	case *array.Int32:
		return int64(a.Value(row)), true
	case *array.Uint32:
		return int64(a.Value(row)), true
	case *array.Uint16:
		return int64(a.Value(row)), true
	case *array.Int16:
		return int64(a.Value(row)), true
	case *array.Uint8:
		return int64(a.Value(row)), true
	case *array.Int8:
		return int64(a.Value(row)), true
	case *array.Date32:
		return int64(a.Value(row)), true
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return a.Value(row).ToTime(unit).UnixMilli(), true
	}
	return 0, false
}

func gather[T any](v []T, perm []int32) []T {
	if perm == nil {
		return v
	}
	out := make([]T, len(perm))
	for i, row := range perm {
		out[i] = v[row]
	}
	return out
}

func asBytes[T any](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func (c *fixed[T]) build(perm []int32) arrow.Array {
	v := gather(c.v, perm)
	valid, missing := c.bitmap(perm)
	return array.MakeFromData(array.NewData(c.typ, len(v), []*memory.Buffer{valid, memory.NewBufferBytes(asBytes(v))}, nil, missing, 0))
}

func (c *fixed[T]) cut(n int) {
	c.v = c.v[:n]
	c.nulls.cut(n)
}

func (c *fixed[T]) reset() { c.v, c.null = c.v[:0], c.null[:0] }

// wide is a column of hashes of a fixed width.
type wide struct {
	nulls
	typ   arrow.DataType
	width int
	v     []byte
}

func (c *wide) add(src arrow.Array, lo, hi int) {
	data := src.Data()
	raw := data.Buffers()[1].Bytes()
	c.v = append(c.v, raw[(data.Offset()+lo)*c.width:(data.Offset()+hi)*c.width]...)
	c.nulls.add(src, lo, hi)
}

func (c *wide) absent(n int) {
	c.v = append(c.v, make([]byte, n*c.width)...)
	c.repeat(true, n)
}

func (c *wide) copy(row int) {
	c.v = append(c.v, c.v[row*c.width:(row+1)*c.width]...)
	c.nulls.copy(row)
}

func (c *wide) take(src arrow.Array, row int) error {
	if src.IsNull(row) {
		c.absent(1)
		return nil
	}
	var v []byte
	switch a := src.(type) {
	case *array.FixedSizeBinary:
		v = a.Value(row)
	case *array.Binary:
		v = a.Value(row)
	}
	if len(v) != c.width {
		return fmt.Errorf("%s is no %s", src.DataType(), c.typ)
	}
	c.v = append(c.v, v...)
	c.repeat(false, 1)
	return nil
}

func (c *wide) build(perm []int32) arrow.Array {
	v, n := c.v, len(c.v)/c.width
	if perm != nil {
		n = len(perm)
		v = make([]byte, 0, n*c.width)
		for _, row := range perm {
			v = append(v, c.v[int(row)*c.width:(int(row)+1)*c.width]...)
		}
	}
	valid, missing := c.bitmap(perm)
	return array.MakeFromData(array.NewData(c.typ, n, []*memory.Buffer{valid, memory.NewBufferBytes(v)}, nil, missing, 0))
}

func (c *wide) cut(n int) {
	c.v = c.v[:n*c.width]
	c.nulls.cut(n)
}

func (c *wide) reset() { c.v, c.null = c.v[:0], c.null[:0] }

// flags is a column of booleans.
type flags struct {
	nulls
	v []bool
}

func (c *flags) add(src arrow.Array, lo, hi int) {
	a := src.(*array.Boolean)
	for i := lo; i < hi; i++ {
		c.v = append(c.v, a.Value(i))
	}
	c.nulls.add(src, lo, hi)
}

func (c *flags) absent(n int) {
	c.v = append(c.v, make([]bool, n)...)
	c.repeat(true, n)
}

func (c *flags) copy(row int) {
	c.v = append(c.v, c.v[row])
	c.nulls.copy(row)
}

func (c *flags) take(src arrow.Array, row int) error {
	if src.IsNull(row) {
		c.absent(1)
		return nil
	}
	v := false
	switch a := src.(type) {
	case *array.Boolean:
		v = a.Value(row)
	default:
		n, ok := integer(src, row)
		if !ok {
			return fmt.Errorf("%s is no boolean", src.DataType())
		}
		v = n != 0
	}
	c.v = append(c.v, v)
	c.repeat(false, 1)
	return nil
}

func (c *flags) build(perm []int32) arrow.Array {
	v := gather(c.v, perm)
	bits := make([]byte, (len(v)+7)/8)
	for i, set := range v {
		if set {
			bits[i>>3] |= 1 << (i & 7)
		}
	}
	valid, missing := c.bitmap(perm)
	return array.MakeFromData(array.NewData(arrow.FixedWidthTypes.Boolean, len(v), []*memory.Buffer{valid, memory.NewBufferBytes(bits)}, nil, missing, 0))
}

func (c *flags) cut(n int) {
	c.v = c.v[:n]
	c.nulls.cut(n)
}

func (c *flags) reset() { c.v, c.null = c.v[:0], c.null[:0] }

// texts is a column of strings.
type texts struct {
	ends []int32 // ends[0] is 0
	v    []byte
}

func (c *texts) append(s []byte) {
	c.v = append(c.v, s...)
	c.ends = append(c.ends, int32(len(c.v)))
}

func (c *texts) add(src arrow.Array, lo, hi int) {
	a := src.(*array.String)
	offsets := a.ValueOffsets()
	first := offsets[lo]
	base := int32(len(c.v)) - first
	if end := offsets[hi]; end > first { // a column of empty texts may have no buffer
		c.v = append(c.v, a.Data().Buffers()[2].Bytes()[first:end]...)
	}
	for _, end := range offsets[lo+1 : hi+1] {
		c.ends = append(c.ends, base+end)
	}
}

func (c *texts) absent(n int) {
	for range n {
		c.ends = append(c.ends, int32(len(c.v)))
	}
}

func (c *texts) value(row int) []byte { return c.v[c.ends[row]:c.ends[row+1]] }

func (c *texts) copy(row int) { c.append(c.value(row)) }

func (c *texts) take(src arrow.Array, row int) error {
	s, ok := text(src, row)
	if !ok {
		return fmt.Errorf("%s is no text", src.DataType())
	}
	c.append(s)
	return nil
}

// text reads a value of any type that holds text.
func text(src arrow.Array, row int) ([]byte, bool) {
	if src.IsNull(row) {
		return nil, true
	}
	switch a := src.(type) {
	case *array.String:
		return []byte(a.Value(row)), true
	case *array.Binary:
		return a.Value(row), true
	case *array.Dictionary:
		return text(a.Dictionary(), a.GetValueIndex(row))
	}
	return nil, false
}

func (c *texts) build(perm []int32) arrow.Array {
	ends, v := c.ends, c.v
	if perm != nil {
		ends, v = append(make([]int32, 0, len(perm)+1), 0), make([]byte, 0, len(c.v))
		for _, row := range perm {
			v = append(v, c.value(int(row))...)
			ends = append(ends, int32(len(v)))
		}
	}
	return array.MakeFromData(array.NewData(arrow.BinaryTypes.String, len(ends)-1,
		[]*memory.Buffer{nil, memory.NewBufferBytes(asBytes(ends)), memory.NewBufferBytes(v)}, nil, 0, 0))
}

func (c *texts) cut(n int) { c.ends = c.ends[:n+1]; c.v = c.v[:c.ends[n]] }

func (c *texts) reset() { c.v, c.ends = c.v[:0], c.ends[:1] }

// labels is a column of few distinct strings with one dictionary. The dictionary
// of the part that was added last is kept translated.
type labels struct {
	typ   *arrow.DictionaryType
	known map[string]int32
	dict  texts
	v     []int32

	last  arrow.ArrayData // dictionary that codes translates
	codes []int32
}

func (c *labels) code(s []byte) int32 {
	if code, ok := c.known[string(s)]; ok {
		return code
	}
	code := int32(len(c.known))
	c.known[string(s)] = code
	c.dict.append(s)
	return code
}

func (c *labels) add(src arrow.Array, lo, hi int) {
	a := src.(*array.Dictionary)
	if data := a.Dictionary().Data(); c.last != data {
		c.last, c.codes = data, c.codes[:0]
		dict := a.Dictionary().(*array.String)
		for i := range dict.Len() {
			c.codes = append(c.codes, c.code([]byte(dict.Value(i))))
		}
	}
	for _, i := range a.Indices().(*array.Int32).Int32Values()[lo:hi] {
		c.v = append(c.v, c.codes[i])
	}
}

func (c *labels) absent(n int) {
	code := c.code(nil)
	for range n {
		c.v = append(c.v, code)
	}
}

func (c *labels) copy(row int) { c.v = append(c.v, c.v[row]) }

func (c *labels) take(src arrow.Array, row int) error {
	s, ok := text(src, row)
	if !ok {
		return fmt.Errorf("%s is no text", src.DataType())
	}
	c.v = append(c.v, c.code(s))
	return nil
}

func (c *labels) build(perm []int32) arrow.Array {
	dict := c.dict.build(nil)
	v := gather(c.v, perm)
	index := array.NewData(c.typ.IndexType, len(v), []*memory.Buffer{nil, memory.NewBufferBytes(asBytes(v))}, nil, 0, 0)
	a := array.NewDictionaryArray(c.typ, array.MakeFromData(index), dict)
	a.Dictionary() // Arrow makes it when first asked; warehouse and lake ask side by side
	return a
}

func (c *labels) cut(n int) { c.v = c.v[:n] }

func (c *labels) reset() {
	clear(c.known)
	c.dict = texts{ends: []int32{0}} // records share it
	c.v, c.last = c.v[:0], nil
}

// eventOf spells a row as CloudEvents JSON, persons as pseudonyms, as quarantine
// holds it. id is the text of the row's _id: the sender's own id is not stored.
func eventOf(c *contract.Contract, rec arrow.Record, row int) (held contract.Held, err error) {
	column := func(name string) arrow.Array {
		if at := rec.Schema().FieldIndices(name); len(at) == 1 {
			return rec.Column(at[0])
		}
		return nil
	}
	source, _ := text(column(contract.ColumnSource), row)
	when, _ := integer(column(contract.ColumnTime), row)
	held = contract.Held{
		ID: hex.EncodeToString(column(contract.ColumnID).(*array.FixedSizeBinary).Value(row)), Source: string(source),
		Type: c.Type, Time: time.UnixMilli(when).UTC(), Digest: column(contract.ColumnDigest).(*array.Uint64).Value(row),
		Revision: column(contract.ColumnRev).(*array.Uint32).Value(row), Withdrawn: column(contract.ColumnWithdrawn).(*array.Boolean).Value(row),
	}
	held.Key = held.ID
	data := map[string]any{}
	for i := range c.Fields {
		f := &c.Fields[i]
		col := column(f.Name)
		if col == nil || col.IsNull(row) {
			continue
		}
		switch a := col.(type) {
		case *array.Dictionary, *array.String:
			if s, _ := text(a, row); len(s) > 0 {
				data[f.Name] = string(s)
			}
		case *array.FixedSizeBinary:
			data[f.Name] = hex.EncodeToString(a.Value(row))
		case *array.Timestamp:
			data[f.Name] = time.UnixMilli(int64(a.Value(row))).UTC().Format(time.RFC3339Nano)
		case *array.Date32:
			data[f.Name] = reference.Day(a.Value(row)).String()
		case *array.Decimal128:
			data[f.Name] = json.Number(a.Value(row).ToString(int32(f.Scale)))
		case *array.Boolean:
			data[f.Name] = a.Value(row)
		case *array.Float64:
			data[f.Name] = a.Value(row)
		case *array.Int64:
			data[f.Name] = a.Value(row)
		}
	}
	event := map[string]any{"specversion": "1.0", "id": held.ID, "source": held.Source, "type": c.Type,
		"time": held.Time.Format(time.RFC3339Nano)}
	if held.Withdrawn {
		event["withdrawn"] = true
	} else {
		event["data"] = data
	}
	if held.Revision > 0 { // the correction's own id is not stored
		event["id"], event["corrects"], event["revision"] = fmt.Sprintf("%s-%d", held.ID, held.Revision), held.ID, held.Revision
	}
	if column(contract.ColumnSimulated).(*array.Boolean).Value(row) {
		event["simulated"] = true
	}
	held.Event, err = json.Marshal(event)
	return held, err
}
