package contract

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Part is one record batch of one contract, in the layout of [Contract.Schema]. The
// record lives on Go's heap: releasing it is allowed and not necessary. Where a [Batch] gave
// it, it is valid until the batch is used again.
type Part struct {
	Contract   *Contract
	Record     arrow.Record
	Pseudonyms int // version of the keys that its persons were made with; 0 is the first
}

// table gathers the rows of one contract. A row is appended whole, when everything
// about it is known to be right: no column can be longer than another.
type table struct {
	*compiled
	rows   int
	order  followers  // of the members of data
	words  []*lexicon // of fields that are labels
	warned []int      // by rule

	id                            wide
	digest                        fixed[uint64]
	rev                           fixed[uint32]
	withdrawn, correct, simulated flags
	source                        labels
	sources                       *lexicon
	time                          fixed[arrow.Timestamp]
	day                           fixed[arrow.Date32]
	fields                        []column
}

// column gathers the values of one field. A value that is not set is null in a column
// that has nulls, and else zero or empty: it is absent from an optional text or label,
// or from a withdrawal.
type column interface {
	append(v *value)
	build() arrow.Array // begins anew, in the array's memory
}

func newTable(c *compiled) *table {
	n := len(c.contract.Fields)
	t := &table{compiled: c, order: make(followers, n+1), words: make([]*lexicon, n), warned: make([]int, len(c.rules)),
		id: wide{width: hash16.ByteWidth}, digest: fixed[uint64]{typ: arrow.PrimitiveTypes.Uint64}, rev: fixed[uint32]{typ: arrow.PrimitiveTypes.Uint32},
		source: labels{round: 1}, sources: newLexicon(), time: fixed[arrow.Timestamp]{typ: millis}, day: fixed[arrow.Date32]{typ: arrow.FixedWidthTypes.Date32}}
	for i := range c.contract.Fields {
		f := &c.contract.Fields[i]
		switch f.Type {
		case Code, Enum, Ref:
			t.words[i] = newLexicon()
			for _, v := range f.Values {
				t.words[i].add([]byte(v))
			}
		}
		t.fields = append(t.fields, newColumn(f))
	}
	return t
}

// append adds the batch's row.
func (t *table) append(r *row) {
	t.id.bytes = append(t.id.bytes, r.key[:]...)
	t.digest.values = append(t.digest.values, r.digest)
	t.rev.values = append(t.rev.values, r.revision)
	t.withdrawn.bits.append(r.withdrawn)
	t.correct.bits.append(r.correct)
	t.simulated.bits.append(r.simulated)
	source, _ := t.sources.add(r.source)
	t.source.add(source)
	t.time.values = append(t.time.values, arrow.Timestamp(r.time))
	t.day.values = append(t.day.values, arrow.Date32(r.day))
	for i, c := range t.fields {
		c.append(&r.values[i])
	}
	t.rows++
}

// build hands the rows over as a record and leaves the table empty. The record holds until
// the next row is added.
func (t *table) build() arrow.Record {
	columns := make([]arrow.Array, 0, FirstField+len(t.fields))
	columns = append(columns, t.id.build(), t.digest.build(), t.rev.build(), t.withdrawn.build(), t.correct.build(), t.simulated.build(),
		t.source.build(), t.time.build(), t.day.build())
	for _, c := range t.fields {
		columns = append(columns, c.build())
	}
	record := array.NewRecord(t.schema, columns, int64(t.rows))
	t.rows = 0
	return record
}

// forget drops words when there are so many that they were no labels. All go at once,
// since they refer to each other; those of enums stay, which are all there will be.
func (t *table) forget() {
	most := t.sources.n
	for _, l := range t.words {
		if l != nil {
			most = max(most, l.n)
		}
	}
	if most <= maxWords {
		return
	}
	t.sources = newLexicon()
	for i, l := range t.words {
		if l != nil && t.contract.Fields[i].Type != Enum {
			t.words[i] = newLexicon()
		}
	}
}

func newColumn(f *Field) column {
	nulls := validity{on: !f.Required}
	switch f.Type {
	case Code, Enum, Ref:
		return &labels{round: 1}
	case Person:
		return &wide{width: hash16.ByteWidth, nulls: nulls}
	case Timestamp:
		return &fixed[arrow.Timestamp]{typ: millis, nulls: nulls}
	case Date:
		return &fixed[arrow.Date32]{typ: arrow.FixedWidthTypes.Date32, nulls: nulls}
	case Integer, Money, Duration:
		return &fixed[int64]{typ: arrow.PrimitiveTypes.Int64, nulls: nulls}
	case Decimal:
		return &decimals{typ: f.Arrow(), nulls: nulls}
	case Boolean:
		return &flags{nulls: nulls}
	case Number:
		return &fixed[int64]{typ: arrow.PrimitiveTypes.Float64, nulls: nulls} // their bits
	}
	return &texts{}
}

// finish makes an array of n values of its buffers; nil is a buffer that is not needed.
func finish(typ arrow.DataType, n int, nulls *validity, buffers ...[]byte) arrow.Array {
	all := []*memory.Buffer{nulls.buffer()}
	for _, b := range buffers {
		all = append(all, memory.NewBufferBytes(b))
	}
	data := array.NewData(typ, n, all, nil, nulls.count, 0)
	defer data.Release()
	*nulls = validity{on: nulls.on, valid: bitmap{bytes: again(nulls.valid.bytes)}}
	return array.MakeFromData(data)
}

// again is a slice emptied, to be filled once more. One that was hardly filled gives way to one
// of half its size.
func again[T any](last []T) []T {
	if half := cap(last) / 2; len(last) < half/2 {
		return make([]T, 0, half)
	}
	return last[:0]
}

// bitmap is a row of bits, the lowest of a byte first, as Arrow has them.
type bitmap struct {
	bytes []byte
	n     int
}

func (b *bitmap) append(set bool) {
	if b.n&7 == 0 {
		b.bytes = append(b.bytes, 0)
	}
	if set {
		b.bytes[b.n>>3] |= 1 << (b.n & 7)
	}
	b.n++
}

// validity says which values of a column are not null, if it can have nulls.
type validity struct {
	on    bool
	valid bitmap
	count int // of nulls
}

func (v *validity) append(set bool) {
	if v.on {
		if !set {
			v.count++
		}
		v.valid.append(set)
	}
}

func (v *validity) buffer() *memory.Buffer {
	if v.count == 0 {
		return nil
	}
	return memory.NewBufferBytes(v.valid.bytes)
}

// fixed is a column of numbers, times or dates.
type fixed[T int64 | uint64 | uint32 | arrow.Timestamp | arrow.Date32] struct {
	typ    arrow.DataType
	values []T
	nulls  validity
}

func (c *fixed[T]) append(v *value) {
	c.nulls.append(v.set)
	var x T
	if v.set {
		x = T(v.i)
	}
	c.values = append(c.values, x)
}

func (c *fixed[T]) build() arrow.Array {
	values := c.values
	c.values = again(values)
	return finish(c.typ, len(values), &c.nulls, arrow.GetBytes(values))
}

type decimals struct {
	typ    arrow.DataType
	values []decimal128.Num
	nulls  validity
}

func (c *decimals) append(v *value) {
	c.nulls.append(v.set)
	var x decimal128.Num
	if v.set {
		x = decimal128.FromI64(v.i)
	}
	c.values = append(c.values, x)
}

func (c *decimals) build() arrow.Array {
	values := c.values
	c.values = again(values)
	return finish(c.typ, len(values), &c.nulls, arrow.Decimal128Traits.CastToBytes(values))
}

type flags struct {
	bits  bitmap
	nulls validity
}

func (c *flags) append(v *value) {
	c.nulls.append(v.set)
	c.bits.append(v.set && v.i != 0)
}

func (c *flags) build() arrow.Array {
	b := c.bits
	c.bits = bitmap{bytes: again(b.bytes)}
	return finish(arrow.FixedWidthTypes.Boolean, b.n, &c.nulls, b.bytes)
}

// wide is a column of hashes.
type wide struct {
	width int // bytes
	bytes []byte
	nulls validity
}

func (c *wide) append(v *value) {
	c.nulls.append(v.set)
	if !v.set {
		v.p = [16]byte{}
	}
	c.bytes = append(c.bytes, v.p[:]...)
}

func (c *wide) build() arrow.Array {
	b := c.bytes
	c.bytes = again(b)
	return finish(hash16, len(b)/c.width, &c.nulls, b)
}

// texts is a column of texts that hardly ever come again.
type texts struct {
	ends []int32 // 0 first, then where each text ends
	text []byte
}

func (c *texts) append(v *value) {
	if v.set {
		c.add(v.s)
	} else {
		c.add(nil)
	}
}

func (c *texts) add(s []byte) {
	if len(c.ends) == 0 {
		c.ends = append(c.ends, 0)
	}
	c.text = append(c.text, s...)
	c.ends = append(c.ends, int32(len(c.text)))
}

func (c *texts) build() arrow.Array {
	ends, text := c.ends, c.text
	c.ends, c.text = again(ends), again(text)
	return finish(arrow.BinaryTypes.String, max(len(ends)-1, 0), &validity{}, arrow.GetBytes(ends), text)
}

// labels is a dictionary column. Its dictionary begins anew with every record, in the
// order in which the words first come.
type labels struct {
	round  uint32 // of records: words know by it whether they are in the dictionary
	places []int32
	known  int32 // words in the dictionary
	words  texts
	none   word
}

func (c *labels) append(v *value) {
	switch {
	case !v.set:
		c.add(&c.none)
	case v.word.code != nil:
		c.add(v.word.code)
	default:
		c.add(v.word)
	}
}

func (c *labels) add(w *word) {
	if w.round != c.round {
		w.round, w.place = c.round, c.known
		c.words.add([]byte(w.text))
		c.known++
	}
	c.places = append(c.places, w.place)
}

func (c *labels) build() arrow.Array {
	places := c.places
	c.places, c.known = again(places), 0
	c.round++
	codes, words := finish(arrow.PrimitiveTypes.Int32, len(places), &validity{}, arrow.GetBytes(places)), c.words.build()
	defer codes.Release()
	defer words.Release()
	return array.NewDictionaryArray(label, codes, words)
}
