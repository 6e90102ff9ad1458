package reference

import (
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"

	"ombor/internal/problem"
)

// Row is one code of a table with its meaning during one span of time. A code
// whose meaning changed has one row for each span.
type Row struct {
	Code    string
	Parent  string   // code of the row above it, in the same table; empty at the top
	Names   Names    // by language
	Aliases []string // other spellings that [Table.Resolve] takes
	Valid   Span
	Line    int // line of the file, 1-based

	cells   []string
	columns map[string]int
}

// Value is the cell under a column as it stands in the file, trimmed; empty when
// the cell is empty or there is no such column.
func (r Row) Value(column string) string {
	if i, ok := r.columns[column]; ok {
		return r.cells[i]
	}
	return ""
}

// Table is one reference table: organisations, services, regions. It does not
// change once read and is safe for concurrent use.
type Table struct {
	Name    string
	Columns []string // in the order of the file
	Key     string   // the column of the codes
	History string   // contract whose events change the table; empty when none does

	rows    []Row             // by code, then by time
	spans   map[string]span   // code → its rows
	meaning map[string]string // folded code, alias or name → code; "" when two codes share it
	columns map[string]int
}

type span struct{ first, end int }

// TableFormat says how a table's file is laid out. The zero value is a file whose
// codes stand in the column "code".
type TableFormat struct {
	Key     string // column of the codes; "code" when empty
	History string
}

// The columns with a meaning of their own. Every other column is kept as text.
const (
	columnParent  = "parent"
	columnAliases = "aliases" // separated by |
	columnFrom    = "valid_from"
	columnTo      = "valid_to"
	columnName    = "name_" // name_en, name_uz_cyrl …
)

// ReadTable reads a CSV file (RFC 4180, UTF-8, a byte-order mark is passed over)
// whose first line names the columns. It is strict: ragged lines, repeated columns,
// empty codes, spans of one code that overlap, unknown parents and aliases that mean
// two codes are added to issues, each with its line. The table holds the rows that
// could be read; use it only when issues stayed empty.
func ReadTable(name, file string, r io.Reader, format TableFormat, issues *problem.Issues) *Table {
	if format.Key == "" {
		format.Key = "code"
	}
	t := &Table{Name: name, Key: format.Key, History: format.History,
		spans: map[string]span{}, meaning: map[string]string{}, columns: map[string]int{}}
	lines := readCSV(file, r, issues)
	if lines == nil {
		return t
	}
	t.Columns, t.columns = lines.columns, lines.index
	key, ok := t.columns[format.Key]
	if !ok {
		issues.Add(file, 1, format.Key, "the column is missing; the file has %s", strings.Join(t.Columns, ", "))
		return t
	}
	tags := map[int]string{}
	for i, column := range t.Columns {
		if rest, ok := strings.CutPrefix(column, columnName); ok {
			tag, err := language.Parse(rest)
			if err != nil {
				issues.Add(file, 1, column, "%q is not a language; write name_ and a BCP 47 tag, as in name_en or name_uz_cyrl", rest)
				continue
			}
			tags[i] = tag.String()
		}
	}
	for _, l := range lines.rows {
		row := Row{Code: l.cells[key], Line: l.line, cells: l.cells, columns: t.columns, Valid: Span{NoDay, NoDay}, Names: Names{}}
		if row.Code == "" {
			issues.Add(file, l.line, format.Key, "is empty; every row needs a code")
			continue
		}
		row.Parent = row.Value(columnParent)
		row.Valid.From = lines.day(file, l, columnFrom, issues)
		row.Valid.To = lines.day(file, l, columnTo, issues)
		if row.Valid.From != NoDay && row.Valid.To != NoDay && row.Valid.To < row.Valid.From {
			issues.Add(file, l.line, columnTo, "%s is before valid_from %s", row.Valid.To, row.Valid.From)
		}
		for i, tag := range tags {
			if l.cells[i] != "" {
				row.Names[tag] = Clean(l.cells[i], tag)
			}
		}
		for alias := range strings.SplitSeq(row.Value(columnAliases), "|") {
			if alias = strings.TrimSpace(alias); alias != "" {
				row.Aliases = append(row.Aliases, alias)
			}
		}
		t.rows = append(t.rows, row)
	}
	sort.SliceStable(t.rows, func(a, b int) bool {
		if t.rows[a].Code != t.rows[b].Code {
			return t.rows[a].Code < t.rows[b].Code
		}
		return t.rows[a].Valid.From < t.rows[b].Valid.From
	})
	t.index(file, issues)
	return t
}

func (t *Table) index(file string, issues *problem.Issues) {
	for i := 0; i < len(t.rows); {
		end := i + 1
		for ; end < len(t.rows) && t.rows[end].Code == t.rows[i].Code; end++ {
			before, after := t.rows[end-1], t.rows[end]
			if before.Valid.To == NoDay || after.Valid.From == NoDay || after.Valid.From <= before.Valid.To {
				issues.Add(file, max(before.Line, after.Line), t.Key,
					"%q stands on lines %d and %d for days that overlap; end the first with valid_to before the second begins with valid_from",
					after.Code, min(before.Line, after.Line), max(before.Line, after.Line))
			}
		}
		t.spans[t.rows[i].Code] = span{i, end}
		i = end
	}
	for _, r := range t.rows {
		if r.Parent == "" {
			continue
		}
		if _, ok := t.spans[r.Parent]; !ok {
			issues.Add(file, r.Line, columnParent, "no row has the code %q", r.Parent)
		} else if t.cyclic(r.Code) {
			issues.Add(file, r.Line, columnParent, "%q stands above itself", r.Code)
		}
	}
	// A code as it stands always means itself, an alias one code only; a name that two
	// codes share means neither, and neither does a code that differs by case only.
	aliased := map[string]bool{}
	for _, r := range t.rows {
		folded := Fold(r.Code)
		if other, taken := t.meaning[folded]; taken && other != r.Code {
			t.meaning[folded] = ""
		} else {
			t.meaning[folded] = r.Code
		}
	}
	for _, r := range t.rows {
		for _, alias := range r.Aliases {
			folded := Fold(alias)
			if other, taken := t.meaning[folded]; taken && other != r.Code {
				issues.Add(file, r.Line, columnAliases, "%q already means %q", alias, other)
				continue
			}
			t.meaning[folded], aliased[folded] = r.Code, true
		}
	}
	for _, r := range t.rows {
		for _, name := range r.Names {
			folded := Fold(name)
			other, taken := t.meaning[folded]
			switch {
			case !taken:
				t.meaning[folded] = r.Code
			case other != r.Code && !aliased[folded] && Fold(other) != folded:
				t.meaning[folded] = ""
			}
		}
	}
}

func (t *Table) cyclic(code string) bool {
	at := code
	for range len(t.spans) {
		row, ok := t.Get(at)
		if !ok || row.Parent == "" {
			return false
		}
		if at = row.Parent; at == code {
			return true
		}
	}
	return false // a ring further up: reported at its own rows
}

// Rows are all rows, by code and then by time. The slice is shared: do not change it.
func (t *Table) Rows() []Row { return t.rows }

// Len is the number of codes.
func (t *Table) Len() int { return len(t.spans) }

// Has says whether the code exists, on whatever day.
func (t *Table) Has(code string) bool { _, ok := t.spans[code]; return ok }

// Get is the latest meaning of a code.
func (t *Table) Get(code string) (Row, bool) {
	s, ok := t.spans[code]
	if !ok {
		return Row{}, false
	}
	return t.rows[s.end-1], true
}

// At is the meaning of a code on a day; false when it had none.
func (t *Table) At(code string, day Day) (Row, bool) {
	s, ok := t.spans[code]
	if !ok {
		return Row{}, false
	}
	for i := s.end - 1; i >= s.first; i-- {
		if t.rows[i].Valid.Holds(day) {
			return t.rows[i], true
		}
	}
	return Row{}, false
}

// Resolve finds the code that a text means: the code itself, an alias, or a name in
// any language, compared by [Fold]. A name that belongs to two codes means neither.
// A text that is a code as it stands is answered without allocation.
func (t *Table) Resolve(text string) (code string, ok bool) {
	if s, ok := t.spans[text]; ok {
		return t.rows[s.first].Code, true
	}
	code = t.meaning[Fold(text)]
	return code, code != ""
}

// ResolveBytes is [Table.Resolve] for bytes that the caller keeps.
func (t *Table) ResolveBytes(text []byte) (code string, ok bool) {
	if s, ok := t.spans[string(text)]; ok { // the compiler looks up without copying
		return t.rows[s.first].Code, true
	}
	return t.Resolve(string(text))
}

// HasColumn says whether the file has a column of that name.
func (t *Table) HasColumn(name string) bool { _, ok := t.columns[name]; return ok }

// Path is the code and those above it, from the top.
func (t *Table) Path(code string) []string {
	var path []string
	for range len(t.spans) {
		row, ok := t.Get(code)
		if !ok {
			break
		}
		path = append(path, code)
		if code = row.Parent; code == "" {
			break
		}
	}
	slices.Reverse(path)
	return path
}

// Set is all reference data of a pack. It does not change once made and is safe for
// concurrent use.
type Set struct {
	tables   map[string]*Table
	names    []string
	calendar *Calendar
}

// NewSet joins tables and a calendar; a nil calendar is seven working days in UTC.
func NewSet(calendar *Calendar, tables ...*Table) *Set {
	if calendar == nil {
		calendar = &Calendar{}
	}
	s := &Set{tables: map[string]*Table{}, calendar: calendar}
	for _, t := range tables {
		s.tables[t.Name] = t
		s.names = append(s.names, t.Name)
	}
	sort.Strings(s.names)
	return s
}

// Table is the table of that name, or nil. A nil Set has none.
func (s *Set) Table(name string) *Table {
	if s == nil {
		return nil
	}
	return s.tables[name]
}

// Tables are the names of all tables, sorted.
func (s *Set) Tables() []string {
	if s == nil {
		return nil
	}
	return s.names
}

// Calendar is the pack's calendar, never nil.
func (s *Set) Calendar() *Calendar {
	if s == nil || s.calendar == nil {
		return &Calendar{}
	}
	return s.calendar
}

type csvLine struct {
	line  int
	cells []string
}

type csvFile struct {
	columns []string
	index   map[string]int
	rows    []csvLine
}

// readCSV reads a whole file; nil when it has no usable first line.
func readCSV(file string, r io.Reader, issues *problem.Issues) *csvFile {
	data, err := io.ReadAll(r)
	if err != nil {
		issues.Add(file, 0, "", "cannot be read: %v", err)
		return nil
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(text) {
		issues.Add(file, lineOfInvalid(text), "", "is not UTF-8; save the file as UTF-8")
		return nil
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		issues.Add(file, 1+strings.Count(text[:i], "\n"), "", "holds a NUL byte")
		return nil
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	f := &csvFile{index: map[string]int{}}
	for {
		cells, err := reader.Read()
		if err == io.EOF {
			break
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			issues.Add(file, parse.Line, "", "is not CSV: %v", parse.Err)
			break
		}
		if err != nil {
			issues.Add(file, 0, "", "cannot be read: %v", err)
			break
		}
		line, _ := reader.FieldPos(0)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if f.columns == nil {
			for i, column := range cells {
				switch _, twice := f.index[column]; {
				case column == "":
					issues.Add(file, line, "", "column %d has no name", i+1)
				case twice:
					issues.Add(file, line, column, "the column stands twice")
				default:
					f.index[column] = i
				}
			}
			f.columns = cells
			continue
		}
		if len(cells) != len(f.columns) {
			issues.Add(file, line, "", "has %d cells where the first line names %d columns", len(cells), len(f.columns))
			continue
		}
		f.rows = append(f.rows, csvLine{line, cells})
	}
	if f.columns == nil {
		issues.Add(file, 1, "", "is empty; the first line names the columns")
		return nil
	}
	return f
}

func (f *csvFile) cell(l csvLine, column string) string {
	if i, ok := f.index[column]; ok {
		return l.cells[i]
	}
	return ""
}

func (f *csvFile) day(file string, l csvLine, column string, issues *problem.Issues) Day {
	text := f.cell(l, column)
	if text == "" {
		return NoDay
	}
	day, err := ParseDay(text)
	if err != nil {
		issues.Add(file, l.line, column, "%q is not a date; write YYYY-MM-DD", text)
		return NoDay
	}
	return day
}

func lineOfInvalid(text string) int {
	line := 1
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 {
			return line
		}
		if r == '\n' {
			line++
		}
		text = text[n:]
	}
	return line
}
