package dashboards

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"

	"ombor/internal/problem"
	"ombor/queries"
)

// table is an answer as rows: what the formats other than JSON are made from.
type table struct {
	columns []column
	rows    [][]any     // as many as columns, each of what its kind holds, or nil
	about   [][2]string // heading and text of what a workbook says of the rows, on a sheet of its own; may be empty
}

type column struct {
	name string
	kind columnKind
}

type columnKind uint8

const (
	textColumn   columnKind = iota // string
	numberColumn                   // float64
	flagColumn                     // bool
	countColumn                    // int64, or a whole float64
	dateColumn                     // string, YYYY-MM-DD; "" is none
	exactColumn                    // queries.Number
)

func text(name string) column   { return column{name, textColumn} }
func number(name string) column { return column{name, numberColumn} }
func flag(name string) column   { return column{name, flagColumn} }
func count(name string) column  { return column{name, countColumn} }
func date(name string) column   { return column{name, dateColumn} }
func exact(name string) column  { return column{name, exactColumn} }

func newTable(columns ...column) *table { return &table{columns: columns} }

// add appends a row of as many cells as there are columns.
func (t *table) add(cells ...any) { t.rows = append(t.rows, cells) }

// format is one representation of an answer.
type format struct {
	name   string // of ?format= and of the file's extension
	media  string
	encode func(io.Writer, *table) error // nil: JSON
	packed bool                          // it is compressed already
}

var formats = []*format{
	{"json", "application/json", nil, false},
	{"csv", "text/csv; charset=utf-8; header=present", encodeCSV, false},
	{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", encodeXLSX, true},
	{"parquet", "application/vnd.apache.parquet", encodeParquet, true},
	{"arrow", "application/vnd.apache.arrow.stream", encodeArrow, true},
}

// negotiate chooses the format by ?format=, else by Accept (RFC 9110, 12.5.1),
// else JSON. The error names what the route offers.
func negotiate(asked, accept string, tabular bool) (*format, error) {
	offered := formats
	if !tabular {
		offered = formats[:1]
	}
	if asked != "" {
		for _, f := range offered {
			if f.name == asked {
				return f, nil
			}
		}
		names := make([]string, len(offered))
		for i, f := range offered {
			names[i] = f.name
		}
		return nil, problem.New(problem.Unsupported, "the format %q is not served here; allowed are %s", asked, offer(offered)).In("format").
			Also("uz", "Bu yerda “%s” formati berilmaydi.", asked).
			Also("ru", "Формата «%s» здесь нет.", asked).
			Of(names...)
	}
	if accept == "" {
		return formats[0], nil
	}
	type wish struct {
		media   string
		quality float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(accept, ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue // a malformed part wishes for nothing
		}
		quality := 1.0
		if q, ok := params["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil || quality < 0 || quality > 1 {
				continue
			}
		}
		if quality > 0 {
			wishes = append(wishes, wish{media, quality})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		switch {
		case a.quality > b.quality:
			return -1
		case a.quality < b.quality:
			return 1
		}
		return 0
	})
	for _, w := range wishes {
		for _, f := range offered {
			media, _, _ := strings.Cut(f.media, ";")
			group, _, _ := strings.Cut(media, "/")
			if w.media == media || w.media == "*/*" || w.media == group+"/*" {
				return f, nil
			}
		}
	}
	return nil, problem.New(problem.Unsupported, "none of the types in Accept is served here; allowed are %s", offer(offered)).In("Accept").
		Also("uz", "Accept sarlavhasidagi turlarning hech biri bu yerda berilmaydi.").
		Also("ru", "Ни один из типов в Accept здесь не отдаётся.")
}

func offer(list []*format) string {
	names := make([]string, len(list))
	for i, f := range list {
		media, _, _ := strings.Cut(f.media, ";")
		names[i] = f.name + " (" + media + ")"
	}
	return strings.Join(names, ", ")
}

// harmless keeps a spreadsheet from reading text as a formula:
// https://owasp.org/www-community/attacks/CSV_Injection
func harmless(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

func plain(cell any) string {
	switch v := cell.(type) {
	case nil:
		return ""
	case string:
		return harmless(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int64:
		return strconv.FormatInt(v, 10)
	case queries.Number:
		return string(v)
	case bool:
		return strconv.FormatBool(v)
	}
	return harmless(fmt.Sprint(cell))
}

// encodeCSV writes RFC 4180 with LF line ends, UTF-8, a header and no byte-order mark.
func encodeCSV(w io.Writer, t *table) error {
	out := csv.NewWriter(w)
	record := make([]string, len(t.columns))
	for i, c := range t.columns {
		record[i] = harmless(c.name)
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range t.rows {
		for i, cell := range row {
			record[i] = plain(cell)
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func encodeXLSX(w io.Writer, t *table) (err error) {
	file := excelize.NewFile()
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	out, err := file.NewStreamWriter("Sheet1")
	if err != nil {
		return err
	}
	bold, err := file.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}})
	if err != nil {
		return err
	}
	if err := out.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return err
	}
	header := make([]any, len(t.columns))
	for i, c := range t.columns {
		header[i] = excelize.Cell{StyleID: bold, Value: c.name}
	}
	if err := out.SetRow("A1", header); err != nil {
		return err
	}
	cells := make([]any, len(t.columns))
	for i, row := range t.rows {
		at, err := excelize.CoordinatesToCellName(1, i+2)
		if err != nil {
			return err // more rows than a sheet holds: 1,048,576
		}
		for j, cell := range row {
			cells[j] = cell
			if n, ok := cell.(queries.Number); ok { // a sheet has no other numbers than float64
				if f, ok := n.Float(); ok {
					cells[j] = f
				} else {
					cells[j] = nil
				}
			}
		}
		// Strings are stored as strings, never as formulae: no escape is needed.
		if err := out.SetRow(at, cells); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if len(t.about) > 0 {
		if err := writeAbout(file, t.about, bold); err != nil {
			return err
		}
	}
	return file.Write(w)
}

// writeAbout adds the sheet About: headings in the first column, texts in the second.
func writeAbout(file *excelize.File, about [][2]string, heading int) error {
	const sheet = "About"
	if _, err := file.NewSheet(sheet); err != nil {
		return err
	}
	for i, line := range about {
		// Text is stored as text, never as a formula.
		if err := errors.Join(file.SetCellStr(sheet, fmt.Sprint("A", i+1), line[0]), file.SetCellStr(sheet, fmt.Sprint("B", i+1), line[1])); err != nil {
			return err
		}
	}
	return errors.Join(file.SetCellStyle(sheet, "A1", fmt.Sprint("A", len(about)), heading), file.SetColWidth(sheet, "A", "A", 28), file.SetColWidth(sheet, "B", "B", 110))
}
