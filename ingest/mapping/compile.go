package mapping

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Mapper turns files into the events of one contract. It does not change once made:
// any number of goroutines may read files with it at the same time.
type Mapper struct {
	m        *contract.Mapping
	c        *contract.Contract
	zone     *time.Location
	reading  reading
	unpivot  *unpivot
	fields   []value
	time     *value // nil: the last day of a figure's window
	skip     *expression
	id       []string // columns
	repeats  bool
	source   []byte // as a JSON string
	tail     []byte // of the envelope: type, extensions
	replaces bool
	window   int // of fields: the last day of the window, -1 when it is not needed
}

// value is a compiled contract.Value.
type value struct {
	name     string // of the contract's field; "time" of the envelope
	line     int
	key      []byte // `"name":`
	typ      contract.Type
	required bool
	private  bool // what it holds is not repeated in messages

	column   string
	constant string
	compute  *expression
	lookup   *lookup

	empty    map[string]bool
	values   map[string]string // nil: every cell is taken
	listed   string            // its keys, for messages
	others   string
	fallback string

	table   *reference.Table
	stamps  stamps
	numbers numbers
}

// What stands in others for a cell outside values.
const (
	othersRefuse = "refuse"
	othersPass   = "pass"
)

type unpivot struct {
	pattern *regexp.Regexp
	headers []string // pairs: wrong, right
	keep    bool
}

// measure names the group of unpivot's pattern that names columns.
const measure = "measure"

// New makes a mapper of a checked declaration. zone is the pack's, for stamps without
// an offset when the mapping names no zone; nil is UTC. The error lists every fault,
// as [Check] does.
func New(m *contract.Mapping, c *contract.Contract, refs *reference.Set, zone *time.Location) (*Mapper, error) {
	mapper, issues := compile(m, c, refs, zone)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	return mapper, nil
}

// Check lists everything wrong with a declaration, without any file.
func Check(m *contract.Mapping, c *contract.Contract, refs *reference.Set) problem.Issues {
	_, issues := compile(m, c, refs, nil)
	return issues
}

// Name is the mapping's name, as --mapping takes it.
func (m *Mapper) Name() string { return m.m.Name }

// Replaces says whether a delivery stands for everything of its source and day.
func (m *Mapper) Replaces() bool { return m.replaces }

// Source is the CloudEvents source of its events.
func (m *Mapper) Source() string { return cmp.Or(m.m.Source, m.c.Source) }

// Contract is what its events follow.
func (m *Mapper) Contract() *contract.Contract { return m.c }

type compiler struct {
	*Mapper
	refs   *reference.Set
	env    *cel.Env
	issues problem.Issues
}

func (c *compiler) add(line int, field, format string, args ...any) {
	c.issues.Add(c.m.File, line, field, format, args...)
}

func compile(m *contract.Mapping, con *contract.Contract, refs *reference.Set, zone *time.Location) (*Mapper, problem.Issues) {
	if zone == nil {
		zone = time.UTC
	}
	c := &compiler{Mapper: &Mapper{m: m, c: con, zone: zone, window: -1}, refs: refs}
	env, err := environment()
	if err != nil {
		c.add(m.Line, "", "CEL cannot be set up: %v", err)
		return nil, c.issues
	}
	c.env = env
	if m.For != con.Type {
		c.add(m.Line, "for", "%q is not the contract's type %q", m.For, con.Type)
	}
	c.read()
	c.unpivoting()
	c.envelope()
	c.values()
	if m.Skip != "" {
		if c.skip, err = c.expression(m.Skip); err != nil {
			c.add(m.Line, "skip", "%v", err)
		} else if c.skip.output != cel.BoolType {
			c.add(m.Line, "skip", "gives %s; it has to be true or false", c.skip.output)
		}
	}
	return c.Mapper, c.issues
}

func (c *compiler) read() {
	r := &c.m.Read
	c.reading = reading{Read: *r, files: c.m.Files}
	line := cmp.Or(r.Line, c.m.Line)
	var err error
	for i, glob := range c.m.Files {
		if _, err := path.Match(glob, ""); err != nil {
			c.add(c.m.Line, fmt.Sprintf("files[%d]", i), "%q is no glob: %v", glob, err)
		}
	}
	if _, err := path.Match(r.Member, ""); err != nil {
		c.add(line, "read.member", "%q is no glob: %v", r.Member, err)
	}
	known := []string{"", formatCSV, formatTSV, formatXLSX, formatNDJSON, formatParquet, formatLines}
	if !slices.Contains(known, r.Format) {
		c.add(line, "read.format", "%q is none of %s", r.Format, strings.Join(known[1:], ", "))
	}
	if r.Lines != "" {
		if c.reading.pattern, err = regexp.Compile(r.Lines); err != nil {
			c.add(line, "read.lines", "%v", err)
		} else if slices.Equal(slices.Compact(slices.Clone(c.reading.pattern.SubexpNames())), []string{""}) {
			c.add(line, "read.lines", "has no named group; (?P<name>…) makes a column")
		} else if name := twice(c.reading.pattern.SubexpNames()); name != "" {
			c.add(line, "read.lines", "names the group %q twice", name)
		}
		if r.Format != "" && r.Format != formatLines {
			c.add(line, "read.lines", "does not go with format %s", r.Format)
		}
	} else if r.Format == formatLines {
		c.add(line, "read.lines", "format lines needs the expression that a line matches")
	}
	if c.reading.encoding, err = encodingNamed(r.Encoding); err != nil {
		c.add(line, "read.encoding", "%q is no label of an encoding; write one as in windows-1252, windows-1251, koi8-r", r.Encoding)
	}
	if r.Delimiter != "" && (len(r.Delimiter) != 1 || strings.Contains("\"\r\n", r.Delimiter) || r.Delimiter[0] >= utf8.RuneSelf) {
		c.add(line, "read.delimiter", "%q is not one ASCII character that can stand between cells", r.Delimiter)
	}
	if r.Header < 0 || r.Header > 1000 {
		c.add(line, "read.header", "is a row, from 1 to 1000")
	}
	if len(r.Columns) > 0 && r.Header > 0 {
		c.add(line, "read.columns", "names the columns of a file without a header row; leave header away")
	}
	if name := twice(r.Columns); name != "" {
		c.add(line, "read.columns", "names %q twice", name)
	}
	if utf8.RuneCountInString(r.Decimal) > 1 || strings.ContainsAny(r.Decimal, "0123456789+-eE") {
		c.add(line, "read.decimal", "%q is not one mark, as in \",\"", r.Decimal)
	}
	if strings.ContainsAny(r.Thousands, "0123456789+-eE") || strings.Contains(r.Thousands, cmp.Or(r.Decimal, ".")) {
		c.add(line, "read.thousands", "%q holds the decimal mark or what stands in numbers", r.Thousands)
	}
	if r.TimeZone != "" {
		if zone, err := time.LoadLocation(r.TimeZone); err != nil {
			c.add(line, "read.time_zone", "%q is no IANA time zone", r.TimeZone)
		} else {
			c.zone = zone
		}
	}
}

func twice(names []string) string {
	seen := map[string]bool{}
	for _, name := range names {
		if name != "" && seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}

func (c *compiler) unpivoting() {
	u := c.m.Unpivot
	if u == nil {
		return
	}
	line := cmp.Or(u.Line, c.m.Line)
	pattern, err := regexp.Compile(`^(?:` + u.Columns + `)$`)
	if err != nil {
		c.add(line, "unpivot.columns", "%v", err)
		return
	}
	if !slices.Contains(pattern.SubexpNames(), measure) {
		c.add(line, "unpivot.columns", "has no group (?P<%s>…): it names the column that takes the cell", measure)
	}
	if name := twice(pattern.SubexpNames()); name != "" {
		c.add(line, "unpivot.columns", "names the group %q twice", name)
	}
	switch u.Empty {
	case "", "drop", "keep":
	default:
		c.add(line, "unpivot.empty", "%q is neither drop nor keep", u.Empty)
	}
	c.unpivot = &unpivot{pattern: pattern, keep: u.Empty == "keep"}
	for _, wrong := range slices.Sorted(maps.Keys(u.Headers)) {
		if wrong == "" {
			c.add(line, "unpivot.headers", "an empty text cannot be found in a header")
		}
		c.unpivot.headers = append(c.unpivot.headers, wrong, u.Headers[wrong])
	}
}

func (c *compiler) envelope() {
	m := c.m
	source := cmp.Or(m.Source, c.c.Source)
	if source == "" {
		c.add(m.Line, "source", "neither the mapping nor the contract names the source")
	}
	c.source, _ = appendText(nil, source)
	tail := append([]byte(`,"type":`), mustText(c.c.Type)...)
	switch m.OnChange {
	case "", "conflict":
	case "correct":
		tail = append(tail, `,"onchange":"correct"`...)
	default:
		c.add(m.Line, "on_change", "%q is neither conflict nor correct", m.OnChange)
	}
	c.tail = tail
	if m.Replaces != nil {
		c.replaces = true
		for _, key := range slices.Sorted(maps.Keys(m.Replaces)) {
			if key != "source" && key != "day" || m.Replaces[key] != "" {
				c.add(m.Line, "replaces", "is {source, day} and nothing else: what a delivery stands for")
			}
		}
		if len(m.Replaces) != 2 {
			c.add(m.Line, "replaces", "names both source and day: {source, day}")
		}
		if m.OnChange != "correct" {
			c.add(m.Line, "replaces", "needs on_change: correct")
		}
	}
	c.id = m.ID
	c.repeats = m.Repeats || len(m.ID) == 0
	if slices.Contains(m.ID, "") {
		c.add(m.Line, "id", "has an empty name of a column")
	}
}

func mustText(text string) []byte {
	quoted, ok := appendText(nil, text)
	if !ok {
		panic("mapping: a contract's type is not UTF-8") // the pack's reader refuses such files
	}
	return quoted
}

func (c *compiler) values() {
	if c.m.Time != nil {
		v := c.value("time", c.m.Time, &contract.Field{Name: "time", Type: contract.Timestamp, Required: true})
		c.time = &v
	} else if c.c.Kind != contract.Figure {
		c.add(c.m.Line, "time", "is missing: it says when an event happened; only figures, whose window says it, may leave it away")
	}
	known := make([]string, len(c.c.Fields))
	for i := range c.c.Fields {
		f := &c.c.Fields[i]
		known[i] = f.Name
		v := c.m.Fields[f.Name]
		if v == nil {
			if f.Required && f.Default == "" {
				c.add(c.m.Line, "fields."+f.Name, "is missing: the contract requires the field")
			}
			continue
		}
		if c.c.Kind == contract.Figure && c.time == nil && f.Name == c.c.Window.To {
			c.window = len(c.fields)
		}
		c.fields = append(c.fields, c.value(f.Name, v, f))
	}
	if c.c.Kind == contract.Figure && c.time == nil && c.window < 0 {
		c.add(c.m.Line, "fields."+c.c.Window.To, "is missing: without time, the last day of the window dates the figure")
	}
	for _, name := range slices.Sorted(maps.Keys(c.m.Fields)) {
		if !slices.Contains(known, name) {
			line := c.m.Line
			if v := c.m.Fields[name]; v != nil {
				line = cmp.Or(v.Line, line)
			}
			c.add(line, "fields."+name, "is no field of %s%s", c.c.Type, suggest(name, known))
		}
	}
}

func (c *compiler) value(name string, d *contract.Value, f *contract.Field) value {
	at := "fields." + name
	if f.Name == "time" && name == "time" && d == c.m.Time {
		at = "time"
	}
	line := cmp.Or(d.Line, c.m.Line)
	v := value{
		name: name, line: line, key: append(mustText(name), ':'), typ: f.Type, required: f.Required && f.Default == "",
		private: f.Type == contract.Person || f.Class == contract.Personal || f.Class == contract.Special,
		column:  d.Column, constant: d.Constant, others: cmp.Or(d.Others, othersRefuse), fallback: d.Default,
	}
	given := 0
	for _, is := range []bool{d.Column != "", d.Constant != "", d.Compute != "", d.Lookup != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		c.add(line, at, "needs exactly one of column, constant, compute and lookup")
	}
	if d.Compute != "" {
		compiled, err := c.expression(d.Compute)
		if err != nil {
			c.add(line, at+".compute", "%v", err)
		}
		v.compute = compiled
	}
	if d.Lookup != nil {
		v.lookup = c.lookup(d.Lookup, at, line)
	}
	v.empty = map[string]bool{"": true}
	for _, cell := range slices.Concat(c.m.Read.Empty, d.Empty) {
		v.empty[cell] = true
	}
	if d.Values != nil {
		v.values = d.Values
		keys := slices.Sorted(maps.Keys(d.Values))
		v.listed = quoteAll(keys)
		for _, key := range keys {
			c.known(f, d.Values[key], line, at+".values."+key)
			if v.empty[key] {
				c.add(line, at+".values."+key, "is never asked: the cell %q means no value, for which default stands", key)
			}
		}
		if v.others != othersRefuse && v.others != othersPass {
			c.known(f, v.others, line, at+".others")
		}
	} else if d.Others != "" {
		c.add(line, at+".others", "says what a cell outside values is, and there are no values")
	}
	c.known(f, d.Default, line, at+".default")
	if d.Constant != "" && d.Values == nil {
		c.known(f, d.Constant, line, at+".constant")
	}

	stamp := f.Type == contract.Timestamp || f.Type == contract.Date
	if !stamp {
		for key, given := range map[string]bool{"format": len(d.Format) > 0, "prefix": d.Prefix != "", "time_zone": d.TimeZone != "", "day": d.Day != ""} {
			if given {
				c.add(line, at+"."+key, "is for timestamps and dates")
			}
		}
	}
	v.stamps = stamps{prefix: d.Prefix, last: d.Day == "last", clock: clock{zone: c.zone, lo: 1, hi: 0}}
	if d.Day != "" && d.Day != "first" && d.Day != "last" {
		c.add(line, at+".day", "%q is neither first nor last", d.Day)
	}
	layouts := []string(d.Format)
	if len(layouts) == 0 {
		layouts = dateDefaults
		if f.Type == contract.Timestamp {
			layouts = timestampDefaults
		}
	}
	for _, layout := range layouts {
		parsed, err := parseFormat(layout)
		if err != nil {
			c.add(line, at+".format", "%v", err)
		}
		v.stamps.formats = append(v.stamps.formats, parsed)
	}
	if d.TimeZone != "" {
		if zone, err := time.LoadLocation(d.TimeZone); err != nil {
			c.add(line, at+".time_zone", "%q is no IANA time zone", d.TimeZone)
		} else {
			v.stamps.clock.zone = zone
		}
	}

	v.numbers = numbers{decimal: '.', thousands: c.m.Read.Thousands, times: d.Times}
	if c.m.Read.Decimal != "" {
		v.numbers.decimal, _ = utf8.DecodeRuneInString(c.m.Read.Decimal)
	}
	switch f.Type {
	case contract.Integer, contract.Money, contract.Duration:
		v.numbers.whole = true
	case contract.Decimal, contract.Number:
	default:
		if d.Times != 0 {
			c.add(line, at+".times", "is for numbers")
		}
	}
	if v.compute != nil { // what CEL gives is written with a point
		v.numbers.decimal, v.numbers.thousands = '.', ""
	}
	if f.Type == contract.Ref {
		v.table = c.refs.Table(f.To)
	}
	return v
}

// known holds a value of the mapping against the field's type where that has values of its own.
func (c *compiler) known(f *contract.Field, text string, line int, at string) {
	switch {
	case text == "":
	case f.Type == contract.Enum && !slices.Contains(f.Values, text):
		c.add(line, at, "%q is none of the field's values %s", text, quoteAll(f.Values))
	case f.Type == contract.Boolean && text != "true" && text != "false":
		c.add(line, at, "%q is neither true nor false", text)
	case f.Type == contract.Ref && c.refs.Table(f.To) != nil:
		table := c.refs.Table(f.To)
		if _, ok := table.Resolve(text); !ok {
			var codes []string
			for _, row := range table.Rows() {
				codes = append(codes, row.Code)
			}
			c.add(line, at, "%q is no code, name or alias of the reference table %s%s", text, f.To, suggest(text, codes))
		}
	}
}

// environment is what expressions may use; it is the same for every mapping.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("row", cel.MapType(cel.StringType, cel.StringType)),
		cel.DefaultUTCTimeZone(true), cel.OptionalTypes(), ext.Strings(), ext.Regex(), ext.Math(),
	)
})

// expression is a compiled CEL expression over row. Its program is safe for
// concurrent use.
type expression struct {
	text    string
	program cel.Program
	columns []string // that it reads
	output  *cel.Type
}

func (c *compiler) expression(text string) (*expression, error) {
	checked, issues := c.env.Compile(text)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, fmt.Errorf("%s (at character %d of %q)", first.Message, first.Location.Column()+1, text)
	}
	e := &expression{text: text, output: checked.OutputType()}
	named := map[int64]bool{} // occurrences of row that have a column's name behind them
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		var operand ast.Expr
		column := ""
		switch x.Kind() {
		case ast.SelectKind:
			operand, column = x.AsSelect().Operand(), x.AsSelect().FieldName()
		case ast.CallKind:
			if args := x.AsCall().Args(); x.AsCall().FunctionName() == "_[_]" && len(args) == 2 && args[1].Kind() == ast.LiteralKind {
				if s, ok := args[1].AsLiteral().(types.String); ok {
					operand, column = args[0], string(s)
				}
			}
		}
		if operand != nil && operand.Kind() == ast.IdentKind && operand.AsIdent() == "row" {
			named[operand.ID()] = true
			if !slices.Contains(e.columns, column) {
				e.columns = append(e.columns, column)
			}
		}
	}))
	var loose bool
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.IdentKind && x.AsIdent() == "row" && !named[x.ID()] {
			loose = true
		}
	}))
	if loose {
		return nil, fmt.Errorf(`row is read by the name of a column, as row.name or row["Long name"] (%q)`, text)
	}
	var err error
	if e.program, err = c.env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.OptimizeRegex(extractOnce)); err != nil {
		return nil, err
	}
	return e, nil
}

// suggest is "; did you mean …" with the name that is most like one, or nothing.
func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return fmt.Sprintf("; the nearest is %q", near)
	}
	return ""
}

// nearest is the known name with the smallest Levenshtein distance, letter case and
// surrounding space apart.
func nearest(name string, known []string) string {
	best, least := "", 1<<30
	for _, k := range known {
		if d := distance([]rune(strings.ToLower(name)), []rune(strings.ToLower(k))); d < least && k != "" {
			best, least = k, d
		}
	}
	return best
}

func distance(a, b []rune) int {
	const most = 200 // of a header that is longer, the beginning tells enough
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

func (c *compiler) lookup(d *contract.Lookup, at string, line int) *lookup {
	line = cmp.Or(d.Line, line)
	if _, err := path.Match(d.File, ""); err != nil || d.File == "" || strings.ContainsAny(d.File, `/\`) {
		c.add(line, at+".lookup.file", "%q is no glob on the name of a file in the same folder", d.File)
	}
	if len(d.By) == 0 || slices.Contains(d.By, "") {
		c.add(line, at+".lookup.by", "names the columns that must agree in both files")
	}
	if d.Column == "" {
		c.add(line, at+".lookup.column", "names the column that is taken")
	}
	return &lookup{Lookup: *d}
}

// joinKey appends cells so that no two different lists give the same bytes.
func joinKey(dst []byte, cells ...[]byte) []byte {
	for _, cell := range cells {
		n := len(cell)
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		dst = append(dst, cell...)
	}
	return dst
}

func trimmed(cell []byte, trim bool) []byte {
	if trim {
		return bytes.TrimSpace(cell)
	}
	return cell
}
