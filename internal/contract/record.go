package contract

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Part is one record batch of one contract, in the layout of [Contract.Schema]. The
// record lives on Go's heap: releasing it is allowed and not necessary.
type Part struct {
	Contract *Contract
	Record   arrow.Record
}

// table gathers the rows of one contract. A row is appended whole, when everything
// about it is known to be right: no column can be longer than another.
type table struct {
	*compiled
	rows      int
	order     []int // the fields of the event before, in its order: where to look first
	warned    []int // by rule
	id        *array.FixedSizeBinaryBuilder
	digest    *array.Uint64Builder
	rev       *array.Uint32Builder
	withdrawn *array.BooleanBuilder
	correct   *array.BooleanBuilder
	simulated *array.BooleanBuilder
	source    *labels
	time      *array.TimestampBuilder
	day       *array.Date32Builder
	fields    []column
}

// column appends the value of one field.
type column interface {
	append(v *value)
	build() arrow.Array
}

func newTable(c *compiled) *table {
	mem := memory.DefaultAllocator
	t := &table{compiled: c,
		order:     make([]int, 0, len(c.contract.Fields)),
		warned:    make([]int, len(c.rules)),
		id:        array.NewFixedSizeBinaryBuilder(mem, hash16),
		digest:    array.NewUint64Builder(mem),
		rev:       array.NewUint32Builder(mem),
		withdrawn: array.NewBooleanBuilder(mem),
		correct:   array.NewBooleanBuilder(mem),
		simulated: array.NewBooleanBuilder(mem),
		source:    newLabels(),
		time:      array.NewTimestampBuilder(mem, millis),
		day:       array.NewDate32Builder(mem),
	}
	for i := range c.contract.Fields {
		t.fields = append(t.fields, newColumn(&c.contract.Fields[i]))
	}
	return t
}

// append adds the batch's row.
func (t *table) append(r *row) {
	t.id.Append(r.key[:])
	t.digest.Append(r.digest)
	t.rev.Append(r.revision)
	t.withdrawn.Append(r.withdrawn)
	t.correct.Append(r.correct)
	t.simulated.Append(r.simulated)
	t.source.appendBytes(r.source)
	t.time.Append(arrow.Timestamp(r.time))
	t.day.Append(arrow.Date32(r.day))
	for i, c := range t.fields {
		c.append(&r.values[i])
	}
	t.rows++
}

// build hands the rows over as a record and leaves the table empty.
func (t *table) build() arrow.Record {
	columns := []arrow.Array{t.id.NewArray(), t.digest.NewArray(), t.rev.NewArray(), t.withdrawn.NewArray(),
		t.correct.NewArray(), t.simulated.NewArray(), t.source.build(), t.time.NewArray(), t.day.NewArray()}
	for _, c := range t.fields {
		columns = append(columns, c.build())
	}
	record := array.NewRecord(t.schema, columns, int64(t.rows))
	t.rows = 0
	return record
}

func newColumn(f *Field) column {
	mem := memory.DefaultAllocator
	switch f.Type {
	case Code, Enum, Ref:
		return newLabels()
	case Person:
		return &personColumn{array.NewFixedSizeBinaryBuilder(mem, hash16), f.Required}
	case Timestamp:
		return &timeColumn{array.NewTimestampBuilder(mem, millis), f.Required}
	case Date:
		return &dateColumn{array.NewDate32Builder(mem), f.Required}
	case Integer, Money, Duration:
		return &integerColumn{array.NewInt64Builder(mem), f.Required}
	case Decimal:
		return &decimalColumn{array.NewDecimal128Builder(mem, f.Arrow().(*arrow.Decimal128Type)), f.Required}
	case Boolean:
		return &booleanColumn{array.NewBooleanBuilder(mem), f.Required}
	case Number:
		return &numberColumn{array.NewFloat64Builder(mem), f.Required}
	}
	return &textColumn{array.NewStringBuilder(mem)}
}

// The columns below append null for an absent optional value. A required value is
// absent only from a withdrawal, where it is zero.
type (
	textColumn    struct{ *array.StringBuilder }
	integerColumn struct {
		*array.Int64Builder
		required bool
	}
	timeColumn struct {
		*array.TimestampBuilder
		required bool
	}
	dateColumn struct {
		*array.Date32Builder
		required bool
	}
	decimalColumn struct {
		*array.Decimal128Builder
		required bool
	}
	booleanColumn struct {
		*array.BooleanBuilder
		required bool
	}
	numberColumn struct {
		*array.Float64Builder
		required bool
	}
	personColumn struct {
		*array.FixedSizeBinaryBuilder
		required bool
	}
)

func (c *textColumn) build() arrow.Array    { return c.NewArray() }
func (c *integerColumn) build() arrow.Array { return c.NewArray() }
func (c *timeColumn) build() arrow.Array    { return c.NewArray() }
func (c *dateColumn) build() arrow.Array    { return c.NewArray() }
func (c *decimalColumn) build() arrow.Array { return c.NewArray() }
func (c *booleanColumn) build() arrow.Array { return c.NewArray() }
func (c *numberColumn) build() arrow.Array  { return c.NewArray() }
func (c *personColumn) build() arrow.Array  { return c.NewArray() }

func (c *textColumn) append(v *value) {
	if v.code != "" {
		c.Append(v.code)
		return
	}
	c.BinaryBuilder.Append(v.s)
}

func (c *integerColumn) append(v *value) {
	if v.set || c.required {
		c.Append(v.i)
	} else {
		c.AppendNull()
	}
}

func (c *timeColumn) append(v *value) {
	if v.set || c.required {
		c.Append(arrow.Timestamp(v.i))
	} else {
		c.AppendNull()
	}
}

func (c *dateColumn) append(v *value) {
	if v.set || c.required {
		c.Append(arrow.Date32(v.i))
	} else {
		c.AppendNull()
	}
}

func (c *decimalColumn) append(v *value) {
	if v.set || c.required {
		c.Append(decimal128.FromI64(v.i))
	} else {
		c.AppendNull()
	}
}

func (c *booleanColumn) append(v *value) {
	if v.set || c.required {
		c.Append(v.i != 0)
	} else {
		c.AppendNull()
	}
}

func (c *numberColumn) append(v *value) {
	if v.set || c.required {
		c.Append(v.f)
	} else {
		c.AppendNull()
	}
}

func (c *personColumn) append(v *value) {
	if v.set || c.required {
		c.Append(v.p[:])
	} else {
		c.AppendNull()
	}
}

// labels is a dictionary column. Its dictionary begins anew with every record, which
// arrow's own dictionary builder does not do.
type labels struct {
	index  map[string]int32
	codes  *array.Int32Builder
	values *array.StringBuilder
}

func newLabels() *labels {
	return &labels{index: map[string]int32{}, codes: array.NewInt32Builder(memory.DefaultAllocator), values: array.NewStringBuilder(memory.DefaultAllocator)}
}

func (l *labels) append(v *value) {
	if v.code == "" {
		l.appendBytes(v.s)
		return
	}
	code, ok := l.index[v.code]
	if !ok {
		code = l.add(v.code)
	}
	l.codes.Append(code)
}

func (l *labels) appendBytes(s []byte) {
	code, ok := l.index[string(s)] // looks up without a copy
	if !ok {
		code = l.add(string(s))
	}
	l.codes.Append(code)
}

func (l *labels) add(s string) int32 {
	code := int32(len(l.index))
	l.index[s] = code
	l.values.Append(s)
	return code
}

func (l *labels) build() arrow.Array {
	codes, values := l.codes.NewArray(), l.values.NewArray()
	defer codes.Release()
	defer values.Release()
	clear(l.index)
	return array.NewDictionaryArray(label, codes, values)
}
