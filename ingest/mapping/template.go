package mapping

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Sheet is a sheet of a workbook that people fill in: the events of one contract, one a row. Row 1
// has the titles, row 2 the names of the fields, by which the sheet is read; time comes first.
//
// [Template] writes such sheets from contracts, [Sheet.Mapping] reads them back.
type Sheet struct {
	Contract *contract.Contract
	// Key are the columns that make a row one event: filled in again with other content, it
	// corrects that event. "day" stands for the column time. None: every column, so that a row
	// that was changed is another event.
	Key []string
}

const (
	headerRow   = 2      // names of fields
	templateRow = 10_000 // last row with lists and notes
	listsSheet  = "lists"
	aboutSheet  = "about"
	maxSheet    = 31 // letters of a sheet's name, by the format
)

// Name is the sheet's name in a workbook.
func (s Sheet) Name() string {
	name := s.Contract.Name
	return name[max(0, len(name)-maxSheet):]
}

// Mapping is the mapping that reads the sheet.
func (s Sheet) Mapping() *contract.Mapping {
	c := s.Contract
	m := &contract.Mapping{For: c.Type, Name: "sheet " + s.Name(), File: "sheet " + s.Name(), OnChange: "correct",
		Read:   contract.Read{Format: "xlsx", Sheet: s.Name(), Header: headerRow, Trim: true},
		Time:   &contract.Value{Column: contract.ColumnTime, Format: contract.Texts{"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04", "2006-01-02", "2.1.2006 15:04", "2.1.2006", "excel"}},
		Fields: map[string]*contract.Value{}}
	for i := range c.Fields {
		f := &c.Fields[i]
		v := &contract.Value{Column: f.Name}
		switch f.Type {
		case contract.Date:
			v.Format = contract.Texts{"2006-01-02", "2.1.2006", "excel"}
		case contract.Timestamp:
			v.Format = m.Time.Format
		case contract.Boolean:
			v.Values = map[string]string{"yes": "true", "no": "false", "true": "true", "false": "false", "TRUE": "true", "FALSE": "false", "1": "true", "0": "false"}
		}
		m.Fields[f.Name] = v
	}
	for _, name := range s.Key {
		switch {
		case name == "day":
			m.ID = append(m.ID, contract.ColumnTime)
		case c.Field(name) != nil:
			m.ID = append(m.ID, name)
		}
	}
	if len(m.ID) == 1 {
		m.ID = append(m.ID, m.ID[0]) // two are hashed with the contract's type, one would be the id of every contract's event
	}
	return m
}

// Corrects says whether other content under a known id corrects it.
func (m *Mapper) Corrects() bool { return m.m.OnChange == "correct" }

// SheetsOf are those of the sheets that a workbook has; none when it is no workbook.
func SheetsOf(file string, sheets []Sheet) ([]Sheet, error) {
	if !strings.HasSuffix(strings.ToLower(file), ".xlsx") {
		return nil, nil
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "mapping: open workbook", "%s cannot be read", file)
	}
	defer in.Close() // only read from
	book, err := excelize.OpenReader(in, excelize.Options{UnzipSizeLimit: maxUnpacked})
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "mapping: open workbook", "%s is no workbook that can be read", file)
	}
	defer book.Close() // only read from
	names := book.GetSheetList()
	var found []Sheet
	for _, s := range sheets {
		if slices.Contains(names, s.Name()) {
			found = append(found, s)
		}
	}
	return found, nil
}

// Template writes a workbook with these sheets, empty, and a sheet that tells what they are.
// Columns of enumerations, references and truths have lists to choose from; every column says in
// the language what it is. What is filled in is read by [Sheet.Mapping] as it is.
func Template(w io.Writer, sheets []Sheet, refs *reference.Set, language string) error {
	book := excelize.NewFile()
	defer book.Close() // written to w or not: nothing is lost
	t := &template{book: book, refs: refs, language: language, lists: map[string]string{}}
	if err := t.write(sheets); err != nil {
		return fmt.Errorf("mapping: template: %w", err)
	}
	return book.Write(w)
}

type template struct {
	book              *excelize.File
	refs              *reference.Set
	language          string
	bold, grey, dated int               // styles
	lists             map[string]string // key → range of the sheet lists
}

func (t *template) write(sheets []Sheet) (err error) {
	layout := "yyyy-mm-dd"
	for _, style := range []struct {
		into *int
		is   *excelize.Style
	}{
		{&t.bold, &excelize.Style{Font: &excelize.Font{Bold: true}, Alignment: &excelize.Alignment{WrapText: true, Vertical: "top"}}},
		{&t.grey, &excelize.Style{Font: &excelize.Font{Color: "808080"}}},
		{&t.dated, &excelize.Style{CustomNumFmt: &layout}},
	} {
		if *style.into, err = t.book.NewStyle(style.is); err != nil {
			return err
		}
	}
	if err := t.book.SetSheetName("Sheet1", aboutSheet); err != nil {
		return err
	}
	if _, err := t.book.NewSheet(listsSheet); err != nil {
		return err
	}
	for i, s := range sheets {
		if err := t.sheet(s); err != nil {
			return err
		}
		for j, text := range []string{s.Name(), s.Contract.Title.In(t.language), s.Contract.About} {
			if err := t.set(aboutSheet, j+1, i+2, text, 0); err != nil {
				return err
			}
		}
	}
	if err := t.set(aboutSheet, 1, 1, "One sheet for each kind of event, one event a row from row 3 on. Titles with * are needed. Row 2 is read by the program: leave it as it is.", t.bold); err != nil {
		return err
	}
	return t.book.SetSheetVisible(listsSheet, false)
}

func (t *template) set(sheet string, column, row int, text string, style int) error {
	cell, err := excelize.CoordinatesToCellName(column, row)
	if err != nil {
		return err
	}
	if err := t.book.SetCellStr(sheet, cell, text); err != nil || style == 0 {
		return err
	}
	return t.book.SetCellStyle(sheet, cell, cell, style)
}

func (t *template) sheet(s Sheet) error {
	name := s.Name()
	if _, err := t.book.NewSheet(name); err != nil {
		return err
	}
	if err := t.column(name, 1, &contract.Field{Name: contract.ColumnTime, Type: contract.Date, Required: true,
		Title: reference.Names{"en": "When", "uz": "Qachon", "ru": "Когда"}, About: "When it happened: a day, or a day and a time as 2024-03-05 14:30."}); err != nil {
		return err
	}
	for i := range s.Contract.Fields {
		if err := t.column(name, i+2, &s.Contract.Fields[i]); err != nil {
			return err
		}
	}
	return t.book.SetPanes(name, &excelize.Panes{Freeze: true, YSplit: headerRow, TopLeftCell: fmt.Sprintf("A%d", headerRow+1), ActivePane: "bottomLeft"})
}

// column writes the titles of a field, its list of values and its note.
func (t *template) column(sheet string, at int, f *contract.Field) error {
	title := f.Title.In(t.language)
	if title == "" {
		title = f.Name
	}
	if f.Required {
		title += " *"
	}
	if err := t.set(sheet, at, 1, title, t.bold); err != nil {
		return err
	}
	if err := t.set(sheet, at, headerRow, f.Name, t.grey); err != nil {
		return err
	}
	letter, err := excelize.ColumnNumberToName(at)
	if err != nil {
		return err
	}
	if err := t.book.SetColWidth(sheet, letter, letter, 18); err != nil {
		return err
	}
	cells := fmt.Sprintf("%s%d:%s%d", letter, headerRow+1, letter, templateRow)
	if f.Type == contract.Date || f.Type == contract.Timestamp {
		if err := t.book.SetCellStyle(sheet, fmt.Sprintf("%s%d", letter, headerRow+1), fmt.Sprintf("%s%d", letter, templateRow), t.dated); err != nil {
			return err
		}
	}
	list, err := t.list(f)
	if err != nil {
		return err
	}
	rule := excelize.NewDataValidation(true)
	rule.Sqref = cells
	if list != "" {
		rule.SetSqrefDropList(list)
		if f.Type == contract.Ref { // a name of the table is understood as well
			rule.SetError(excelize.DataValidationErrorStyleWarning, title, "not a code of the list")
		}
	}
	rule.SetInput(firstLetters(title, 30), firstLetters(noteOf(f), 250))
	return t.book.AddDataValidation(sheet, rule)
}

// noteOf says what a cell takes.
func noteOf(f *contract.Field) string {
	takes := map[contract.Type]string{contract.Text: "text", contract.Code: "a code", contract.Enum: "one of the list", contract.Ref: "a code of the list, or a name",
		contract.Person: "an identifier (" + f.ID + "); only a pseudonym is kept", contract.Timestamp: "a day, or a day and a time", contract.Date: "a day", contract.Integer: "a whole number",
		contract.Decimal: "a number", contract.Money: "a whole number", contract.Boolean: "yes or no", contract.Duration: "milliseconds", contract.Number: "a number"}[f.Type]
	if f.Unit != "" {
		takes += ", in " + f.Unit
	}
	if f.About != "" {
		return f.About + " (" + takes + ")"
	}
	return takes
}

func firstLetters(text string, n int) string {
	if letters := []rune(text); len(letters) > n {
		return string(letters[:n-1]) + "…"
	}
	return text
}

// list is the range of the sheet lists that has a field's values; "" when it has none.
func (t *template) list(f *contract.Field) (string, error) {
	var key string
	var values []string
	switch f.Type {
	case contract.Enum:
		key, values = "enum "+strings.Join(f.Values, "\n"), f.Values
	case contract.Boolean:
		key, values = "truth", []string{"yes", "no"}
	case contract.Ref:
		key = "table " + f.To
		if table := t.refs.Table(f.To); table != nil {
			for _, row := range table.Rows() {
				if len(values) == 0 || values[len(values)-1] != row.Code {
					values = append(values, row.Code)
				}
			}
		}
	}
	if len(values) == 0 || t.lists[key] != "" {
		return t.lists[key], nil
	}
	at := len(t.lists) + 1
	for i, v := range values {
		if err := t.set(listsSheet, at, i+1, v, 0); err != nil {
			return "", err
		}
	}
	letter, err := excelize.ColumnNumberToName(at)
	if err != nil {
		return "", err
	}
	t.lists[key] = fmt.Sprintf("%s!$%s$1:$%s$%d", listsSheet, letter, letter, len(values))
	return t.lists[key], nil
}
