// Package columnar reads events out of columns: an Arrow IPC stream or file, or a
// Parquet file, of which every row is one event.
//
//	rows, err := columnar.Arrow(body, columnar.Options{Set: set, Type: "uz.gov.request.decided.v1", Source: "portal"})
//	for {
//		event, err := rows.Next() // one structured CloudEvent in JSON, or io.EOF
//	}
//
// A row leaves as the JSON that its sender could have sent as a line, so that columns
// pass the same checks, pseudonyms, refusals and limits as lines do. Nothing is lost on
// the way: whole numbers and decimals are written with all their digits, floating-point
// numbers in the shortest form that reads back as the same number, times with their
// nanoseconds and in UTC. What the contract cannot keep, it refuses as it refuses it in
// a line.
//
// # Columns
//
// A column named as an attribute of the event is that attribute: id, source, type, time,
// subject, dataschema, corrects, revision, withdrawn, onchange, simulated. type and source
// may instead be told once: in [Options], or in the metadata of the schema (Arrow) or of
// the file (Parquet) under the keys ce-type and ce-source. The fields of the contract are
//
//   - the members of a column data that is a struct, or
//   - columns named data.FIELD, or
//   - every other column, by its name.
//
// The first two are for contracts that have a field named as an attribute. With them,
// other columns are extension attributes. A null is an absent value.
//
//	utf8, large_utf8; STRING, ENUM, JSON, UUID     a string
//	int8 … int64, uint8 … uint64                   a whole number
//	decimal128, decimal256; DECIMAL                a number with its digits
//	float16, float32, float64                      a number; NaN and infinities are refused row by row
//	bool                                           true or false
//	date32, date64; DATE                           YYYY-MM-DD
//	timestamp with a time zone; isAdjustedToUTC, INT96   RFC 3339 in UTC
//	duration                                       milliseconds, with their fraction
//	null                                           absent
//	dictionary of these                            as its values
//
// Anything else (lists, maps, binary, a time of day, a timestamp without a zone) is
// refused as a whole, before the first row, with the column and what to write instead.
//
// # Hostile input
//
// Both formats say in many places how much is to come. Nothing is allocated because a
// file says so: the metadata is read with bounds, pages and buffers are unpacked into no
// more than [Options] allow, runs and dictionaries are decoded value by value. That is why
// the formats are read here and not by the libraries that write them, which trust a file's
// sizes. A broken file is an error, and its reader never panics.
//
// Not read: big-endian, run-end encoded and view layouts of Arrow; BROTLI and LZO pages and
// encrypted files of Parquet.
package columnar

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// Options say what the rows are and bound what reading them may take. Zero limits are
// those of a file of one's own.
type Options struct {
	Set          *contract.Set // the contracts; required
	Type, Source string        // of every row; "" when a column or the metadata tells

	Rows     int               // rows; 2^40
	Event    int               // bytes of one event; 512 KiB. A longer one is [ErrLong]
	Text     int64             // bytes of all events as JSON; 2^50
	Unpacked int64             // bytes that compressed pages and buffers unpack to, in all; 2^50
	Page     int64             // bytes of one page, buffer or message; 1 GiB
	Charge   func(int64) error // told of memory taken; its error ends the reading
}

func (o Options) withDefaults() Options {
	if o.Rows == 0 {
		o.Rows = 1 << 40
	}
	if o.Event == 0 {
		o.Event = 512 << 10
	}
	if o.Text == 0 {
		o.Text = 1 << 50
	}
	if o.Unpacked == 0 {
		o.Unpacked = 1 << 50
	}
	if o.Page == 0 {
		o.Page = 1 << 30
	}
	return o
}

// ErrLong is what [Rows.Next] gives in place of an event that is over its limit. The
// rows behind it can still be read.
var ErrLong = errors.New("the event is over its limit")

// Rows are the events of a stream or file. Not safe for concurrent use.
type Rows struct {
	options Options
	source  source
	layout  layout
	out     []byte
	rows    int
	text    int64
	failed  error
}

// source gives row after row.
type source interface {
	// advance goes to the next row; io.EOF after the last.
	advance() error
	// next appends the row's value of a column as a JSON token. Every column is asked
	// exactly once for each row.
	next(column int, dst []byte) ([]byte, presence, error)
	// where names the place of the row, for errors.
	where() string
}

// presence says what a cell is.
type presence uint8

const (
	absent  presence = iota // the struct around it is null
	null                    // it is null
	present                 // it has a value
	long                    // its value alone is over the limit of an event
)

// kind is what JSON a column's values become.
type kind uint8

const (
	nothing kind = iota
	text
	whole
	decimal
	float
	boolean
	date
	instant
	duration
)

var kindNames = [...]string{"always null", "text", "a whole number", "a decimal", "a floating-point number", "a boolean", "a date", "a time", "a duration"}

// header is a column as its file declares it.
type header struct {
	name   string
	inData bool // a member of the struct data
	kind   kind
	spelt  string // the type as its file spells it
}

func (h header) full() string {
	if h.inData {
		return "data." + h.name
	}
	return h.name
}

// attributes that a column can be; the other side of contract's list, without data.
var attributes = []string{"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema",
	"corrects", "revision", "withdrawn", "simulated", "onchange"}

// layout says where every column goes.
type layout struct {
	head       []byte // `{"specversion":"1.0","type":"…"`
	attributes []slot
	fields     []slot
	struct_    bool // fields come from a struct, which may be null as a whole
}

type slot struct {
	column int
	key    []byte // `"fee":`
}

// wrong is a BadInput that names a column.
func wrong(column, format string, arguments ...any) error {
	name := quoted(column)
	e := problem.New(problem.BadInput, "column "+name+": "+format, arguments...)
	if strings.HasPrefix(name, "(") {
		return e
	}
	return e.In(column)
}

// quoted shortens a name for a message. One with many digits may be a person's identifier
// that went astray, and is not repeated.
func quoted(name string) string {
	digits := 0
	for _, c := range []byte(name) {
		if '0' <= c && c <= '9' {
			digits++
		}
	}
	if digits > 5 {
		return fmt.Sprintf("(a name of %d bytes)", len(name))
	}
	if len(name) > 80 {
		name = name[:80] + "…"
	}
	return strings.ReplaceAll(fmt.Sprintf("%q", strings.ToValidUTF8(name, "\uFFFD")), "%", "%%")
}

// arrange decides what the columns are, and refuses those that nothing takes.
func arrange(headers []header, metadata map[string]string, o Options) (layout, error) {
	var l layout
	given := map[string]string{"type": o.Type, "source": o.Source}
	for _, name := range []string{"type", "source"} {
		if given[name] == "" {
			given[name] = metadata["ce-"+name]
		}
	}
	apart := false // fields are marked as such
	for _, h := range headers {
		apart = apart || h.inData || strings.HasPrefix(h.name, "data.")
		l.struct_ = l.struct_ || h.inData
	}
	var known *contract.Contract
	if given["type"] != "" {
		if known = o.Set.ByType(given["type"]); known == nil {
			return l, problem.New(problem.BadInput, "the pack has no contract %s; it has %s", quoted(given["type"]), typesOf(o.Set)).In("type")
		}
	}
	seen := map[string]bool{}
	l.head = append(l.head, '{')
	for i, h := range headers {
		name, isField := strings.CutPrefix(h.name, "data.")
		isField = isField || h.inData
		if isField && !h.inData && l.struct_ {
			return l, wrong(h.name, "stands beside a struct data; put the field into the struct")
		}
		attribute := !isField && slices.Contains(attributes, h.name)
		if !attribute && !isField {
			if isField = !apart; apart && !extensionName(h.name) {
				return l, wrong(h.name, "is no attribute of CloudEvents 1.0 (names have lower-case letters and digits); fields of the contract belong in data")
			}
		}
		full := name
		if isField {
			full = "data." + name
		}
		if seen[full] {
			return l, wrong(h.full(), "stands twice")
		}
		seen[full] = true
		at := slot{i, append(appendQuoted(nil, name), ':')}
		if isField {
			if err := fieldTakes(h, name, known, o.Set); err != nil {
				return l, err
			}
			l.fields = append(l.fields, at)
			continue
		}
		if attribute {
			if err := attributeTakes(h); err != nil {
				return l, err
			}
		}
		if given[h.name] != "" {
			return l, wrong(h.name, "the %s is also told once for all rows; tell it once. A field of this name is written data.%s", h.name, h.name)
		}
		l.attributes = append(l.attributes, at)
	}
	if !seen["specversion"] {
		l.head = append(l.head, `"specversion":"1.0",`...)
	}
	for _, name := range []string{"type", "source"} {
		if given[name] != "" {
			l.head = append(appendQuoted(append(appendQuoted(l.head, name), ':'), given[name]), ',')
		} else if !seen[name] {
			return l, problem.New(problem.BadInput, "there is no column %s; add it, or tell it once for all rows: as ?%s=… or as ce-%s in the metadata", name, name, name).In(name)
		}
	}
	for _, name := range []string{"id", "time"} {
		if !seen[name] {
			return l, problem.New(problem.BadInput, "there is no column %s; every event has it. There are %s", name, namesOf(headers)).In(name)
		}
	}
	return l, nil
}

// Bounds of what a schema may be.
const (
	maxColumns = 10_000
	maxName    = 256 // bytes
)

func tooManyColumns(n int) error {
	return problem.New(problem.TooLarge, "there are %d columns; at most %d are read", n, maxColumns)
}

func columnName(b []byte) string {
	if len(b) > maxName {
		damaged("a column's name has %d bytes; at most %d are read", len(b), maxName)
	}
	return string(b)
}

func extensionName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func typesOf(set *contract.Set) string {
	var all []string
	for _, c := range set.All() {
		all = append(all, c.Type)
	}
	return some(all)
}

func namesOf(headers []header) string {
	var all []string
	for _, h := range headers {
		all = append(all, strings.ToValidUTF8(h.full(), "\uFFFD"))
	}
	return some(all)
}

// some lists the first of many names.
func some(all []string) string {
	const most = 20
	if len(all) == 0 {
		return "none"
	}
	text, more := all, ""
	if len(all) > most {
		text, more = all[:most], fmt.Sprintf(" and %d more", len(all)-most)
	}
	s := strings.Join(text, ", ")
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "…"
	}
	return s + more
}

func attributeTakes(h header) error {
	allowed := []kind{text}
	switch h.name {
	case "time":
		allowed = []kind{instant, text}
	case "revision":
		allowed = []kind{whole, text}
	case "withdrawn", "simulated":
		allowed = []kind{boolean, text}
	}
	if h.kind == nothing || slices.Contains(allowed, h.kind) {
		return nil
	}
	return wrong(h.name, "is %s; the attribute is %s", h.spelt, kindNames[allowed[0]])
}

// fieldTakes refuses a column that no row can be taken from: the contract, when it is
// told once, or else every contract, lacks the field, or takes other values.
func fieldTakes(h header, name string, known *contract.Contract, set *contract.Set) error {
	if known == nil {
		for _, c := range set.All() {
			if c.Field(name) != nil {
				return nil
			}
		}
		return wrong(h.full(), "no contract of the pack has such a field")
	}
	f := known.Field(name)
	if f == nil {
		var names []string
		for i := range known.Fields {
			names = append(names, known.Fields[i].Name)
		}
		return wrong(h.full(), "%s has no such field; it has %s", known.Type, some(names))
	}
	var allowed []kind
	switch f.Type {
	case contract.Timestamp:
		allowed = []kind{instant, text}
	case contract.Date:
		allowed = []kind{date, text}
	case contract.Duration:
		allowed = []kind{whole, duration, decimal, float}
	case contract.Integer, contract.Money:
		allowed = []kind{whole, decimal, float}
	case contract.Decimal, contract.Number:
		allowed = []kind{decimal, whole, float}
	case contract.Boolean:
		allowed = []kind{boolean}
	default:
		allowed = []kind{text}
	}
	if h.kind == nothing || slices.Contains(allowed, h.kind) {
		return nil
	}
	return wrong(h.full(), "is %s; the field is of type %s, which takes %s", h.spelt, f.Type, kindNames[allowed[0]])
}

// open makes the rows of a source whose columns are known.
func open(s source, headers []header, metadata map[string]string, o Options) (*Rows, error) {
	l, err := arrange(headers, metadata, o)
	if err != nil {
		return nil, err
	}
	return &Rows{options: o, source: s, layout: l}, nil
}

// Count is the number of rows given so far.
func (r *Rows) Count() int { return r.rows }

// Next gives the next row as an event, whose bytes hold until the next call. The error is
// io.EOF after the last row, [ErrLong] for a row that is too long, or a problem: BadInput
// when the input is broken, TooLarge when it is over a limit.
func (r *Rows) Next() (event []byte, err error) {
	if r.failed != nil {
		return nil, r.failed
	}
	defer r.caught(&err)
	if err := r.source.advance(); err != nil {
		return nil, err
	}
	if r.rows++; r.rows > r.options.Rows {
		return nil, problem.New(problem.TooLarge, "there are more than %d rows; send them in several requests", r.options.Rows)
	}
	tooLong := false
	out := append(r.out[:0], r.layout.head...)
	put := func(s slot) (presence, error) {
		from := len(out)
		var p presence
		var err error
		out, p, err = r.source.next(s.column, append(out, s.key...))
		switch {
		case err != nil:
			return p, err
		case p == present && len(out) <= r.options.Event:
			out = append(out, ',')
			return p, nil
		case p == present, p == long:
			tooLong = true
		}
		out = out[:from]
		return p, nil
	}
	for _, s := range r.layout.attributes {
		if _, err := put(s); err != nil {
			return nil, err
		}
	}
	before := len(out)
	out = append(out, `"data":{`...)
	there := !r.layout.struct_
	for _, s := range r.layout.fields {
		p, err := put(s)
		if err != nil {
			return nil, err
		}
		there = there || p != absent
	}
	if !there {
		out = out[:before]
	}
	if out[len(out)-1] == ',' {
		out = out[:len(out)-1]
	}
	if there {
		out = append(out, '}')
	}
	r.out = append(out, '}')
	if r.text += int64(len(r.out)); r.text > r.options.Text {
		return nil, problem.New(problem.TooLarge, "the rows, as JSON, have more than %d MiB; send them in several requests", r.options.Text>>20)
	}
	if tooLong || len(r.out) > r.options.Event {
		return nil, ErrLong
	}
	return r.out, nil
}

// damage is what the parsers panic with where a file contradicts itself; it does not
// leave the package.
type damage struct{ what string }

func damaged(format string, arguments ...any) {
	panic(damage{fmt.Sprintf(format, arguments...)})
}

// caught turns damage into the error of the row, and keeps any error for later calls.
func (r *Rows) caught(err *error) {
	if v := recover(); v != nil {
		d, ok := v.(damage)
		if !ok {
			panic(v)
		}
		*err = problem.New(problem.BadInput, "%s is damaged or cut off: %s. %d rows had been read", r.source.where(), d.what, max(0, r.rows-1))
	}
	if *err != nil && !errors.Is(*err, ErrLong) {
		r.failed = *err
	}
}

// caughtOpening does the same where there are no rows yet.
func caughtOpening(what string, err *error) {
	if v := recover(); v != nil {
		d, ok := v.(damage)
		if !ok {
			panic(v)
		}
		*err = problem.New(problem.BadInput, "%s is damaged or cut off: %s", what, d.what)
	}
}

// budget bounds what is unpacked.
type budget struct {
	left   int64
	page   int64
	charge func(int64) error
}

// take allows n bytes, or says why not.
func (b *budget) take(n int64) error {
	switch {
	case n < 0:
		damaged("a size is negative")
	case n > b.page:
		return problem.New(problem.TooLarge, "a page or buffer has more than %d MiB; write smaller batches or row groups", b.page>>20)
	case n > b.left:
		return problem.New(problem.TooLarge, "there is more than is taken after decompression; send it in several requests")
	}
	b.left -= n
	if b.charge != nil {
		return b.charge(n)
	}
	return nil
}

// readN reads exactly n bytes, and allocates as they arrive.
func readN(r io.Reader, dst []byte, n int) ([]byte, error) {
	dst = dst[:0]
	for len(dst) < n {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, min(n-len(dst), max(64<<10, len(dst))))
		}
		m, err := r.Read(dst[len(dst):min(n, cap(dst))])
		dst = dst[:len(dst)+m]
		if err != nil && len(dst) < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return dst, err
		}
	}
	return dst, nil
}
