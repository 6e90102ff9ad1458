package dashboards

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/xuri/excelize/v2"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/queries/workbench"
)

// exportFormats are those in which a result can be taken away, as [formats], each with the format that
// the engine is asked for. Parquet and Arrow have the engine's types.
var exportFormats = map[string]string{"csv": statementFormat, "xlsx": statementFormat, "json": statementFormat, "parquet": "Parquet", "arrow": "ArrowStream"}

// sheetRows are the rows that one sheet of XLSX holds, its header included.
const sheetRows = 1 << 20

// exportRun answers GET /v1/workbench/runs/{id}/export: it runs a statement of one's history again and
// answers with all of its rows as a file. A file that could not be finished breaks off without
// its end, so that no download looks whole that is not.
func (s *server) exportRun(c *gin.Context) {
	b, err := s.bench()
	var values map[string]string
	if err == nil {
		values, err = readParams(c.Request, []string{"format"})
	}
	var format *format
	if err == nil {
		format, err = negotiate(values["format"], c.Request.Header.Get("Accept"), true)
	}
	p := access.Of(c.Request.Context())
	var earlier *workbench.Run
	if err == nil {
		earlier, err = b.Run(c.Request.Context(), p, c.Param("id"))
	}
	if err == nil && workbench.IsRedacted(earlier) {
		err = problem.New(problem.Conflict, "numbers that may be somebody's are not kept in a history, so this statement cannot be run again; run it anew").
			Also("uz", "Kimningdir raqami boʻlishi mumkin boʻlgan sonlar tarixda saqlanmaydi, shuning uchun bu soʻrovni takrorlab boʻlmaydi; uni yangidan yozing.").
			Also("ru", "Числа, которые могут быть чьим-то номером, в истории не хранятся, поэтому этот запрос нельзя повторить; введите его заново.")
	}
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	run, ctx, end, err := b.Begin(c.Request.Context(), p, workbench.Run{SQL: earlier.SQL, Parameters: earlier.Parameters, Query: earlier.Query, Format: format.name})
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	run.State = workbench.Failed
	defer func() { end(run) }()
	out := &fileWriter{w: c.Writer, control: http.NewResponseController(c.Writer), header: func(h http.Header) {
		h.Set("Content-Type", format.media)
		h.Set("Cache-Control", "no-store")
		h.Set(markHeader, internalMark)
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="ombor-%s-%s-%s.%s"`, internalMark, s.today(), run.ID, format.name))
	}}
	err = func() error {
		body, err := b.Gate.Ask(ctx, p, workbench.Statement{SQL: run.SQL, Parameters: run.Parameters, Format: exportFormats[format.name], ID: "workbench-" + run.ID, From: c.Request, Progress: func(now workbench.Progress) {
			b.Progress(run.ID, now.ReadRows, now.ReadBytes, now.TotalRows)
		}})
		if err != nil {
			return err
		}
		defer body.Close()
		about := exportAbout{statement: run.SQL, who: p.Name, when: s.now()}
		switch format.name {
		case "csv":
			run.Rows, err = exportCSV(out, newRowReader(body))
		case "xlsx":
			run.Rows, err = exportXLSX(out, newRowReader(body), about, sheetRows)
		case "json":
			run.Rows, err = exportJSON(out, newRowReader(body), about)
		case "parquet":
			run.Rows, err = exportParquet(out, body, about)
		case "arrow":
			run.Rows, err = exportArrow(out, body, about)
		}
		if err == nil && !out.begun { // nothing but an empty answer
			_, err = out.Write(nil)
		}
		return err
	}()
	run.Bytes = out.written
	run.State, err = ended(ctx, err)
	if err == nil {
		return
	}
	document := problem.DocumentOf(err)
	run.Problem, run.Words = document.Detail, document.Words
	if !out.begun {
		s.fail(c.Writer, c.Request, err)
		return
	}
	s.log.Warn("an export broke off", "run", run.ID, "error", err)
	panic(http.ErrAbortHandler) // the file must not look whole
}

// fileWriter sends a file. Its headers go with the first byte, so that an error before that is a
// problem document.
type fileWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	header  func(http.Header)
	begun   bool
	written uint64
}

func (f *fileWriter) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.header(f.w.Header())
		f.w.WriteHeader(http.StatusOK)
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(answerPatience)) // not every writer has deadlines
	n, err := f.w.Write(p)
	f.written += uint64(n)
	return n, err
}

// exportAbout is what a file says of itself where its format has a place for it.
type exportAbout struct {
	statement, who string
	when           time.Time
}

// cells reads a row into its cells, each as the JSON that the engine wrote.
func cells(row []byte, into []json.RawMessage) ([]json.RawMessage, error) {
	into = into[:0]
	err := json.Unmarshal(row, &into)
	return into, err
}

// plainCell is a cell as text; text that a spreadsheet would take for a formula is made harmless.
func plainCell(cell json.RawMessage) (string, error) {
	switch {
	case len(cell) == 0 || string(cell) == "null":
		return "", nil
	case cell[0] == '"':
		var text string
		err := json.Unmarshal(cell, &text)
		return harmless(text), err
	}
	return string(cell), nil // numbers, true, false, and lists and maps, which begin with a bracket
}

// exportCSV writes RFC 4180 with LF line ends, UTF-8 and a header, row by row. rows are those of the result.
func exportCSV(w io.Writer, in *rowReader) (rows uint64, err error) {
	columns, err := in.columns()
	if err != nil {
		return 0, err
	}
	out := csv.NewWriter(w)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = harmless(c.Name)
	}
	if err := out.Write(record); err != nil {
		return 0, err
	}
	var row []json.RawMessage
	for ; ; rows++ {
		line, err := in.next()
		if err == io.EOF {
			out.Flush()
			return rows, out.Error()
		}
		if err != nil {
			return rows, err
		}
		if row, err = cells(line, row); err != nil {
			return rows, err
		}
		for i, cell := range row {
			if record[i], err = plainCell(cell); err != nil {
				return rows, err
			}
		}
		if err := out.Write(record); err != nil {
			return rows, err
		}
	}
}

// exportJSON writes one object; "complete" at its end is true when no row is missing.
func exportJSON(w io.Writer, in *rowReader, about exportAbout) (rows uint64, err error) {
	columns, err := in.columns()
	if err != nil {
		return 0, err
	}
	head, err := json.Marshal(map[string]any{"mark": internalMark, "statement": about.statement, "by": about.who, "at": about.when.Format(time.RFC3339), "columns": columns})
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(w, "%s,\n\"rows\":[", strings.TrimSuffix(string(head), "}")); err != nil {
		return 0, err
	}
	for separator := "\n"; ; rows, separator = rows+1, ",\n" {
		line, err := in.next()
		if err == io.EOF {
			_, err = io.WriteString(w, "\n],\"complete\":true}\n")
			return rows, err
		}
		if err == nil {
			_, err = io.WriteString(w, separator)
		}
		if err == nil {
			_, err = w.Write(line)
		}
		if err != nil {
			return rows, err
		}
	}
}

// exportXLSX writes two sheets: the rows with numbers, days, times and truths as such, and what the file
// is. Text is stored as text, never as a formula. TooLarge: there are more rows than the sheet holds, its header included; nothing was written then.
func exportXLSX(w io.Writer, in *rowReader, about exportAbout, most uint64) (rows uint64, err error) {
	columns, err := in.columns()
	if err != nil {
		return 0, err
	}
	file := excelize.NewFile()
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
	}()
	style := func(format string, bold bool) (id int) {
		s := &excelize.Style{}
		if bold {
			s.Font = &excelize.Font{Bold: true}
		}
		if format != "" {
			s.CustomNumFmt = &format
		}
		if err == nil {
			id, err = file.NewStyle(s)
		}
		return id
	}
	styles := sheetStyles{bold: style("", true), day: style("yyyy-mm-dd", false), instant: style("yyyy-mm-dd hh:mm:ss", false)}
	if err != nil {
		return 0, err
	}
	if err := file.SetSheetName("Sheet1", "rows"); err != nil {
		return 0, err
	}
	out, err := file.NewStreamWriter("rows")
	if err != nil {
		return 0, err
	}
	if err := out.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"}); err != nil {
		return 0, err
	}
	header := make([]any, len(columns))
	kinds := make([]cellKind, len(columns))
	for i, c := range columns {
		header[i], kinds[i] = excelize.Cell{StyleID: styles.bold, Value: c.Name}, kindOfType(c.Type)
	}
	if err := out.SetRow("A1", header); err != nil {
		return 0, err
	}
	var row []json.RawMessage
	for {
		line, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return rows, err
		}
		if rows+1 == most {
			return rows, problem.New(problem.TooLarge, "a sheet holds %d rows and the result has more; take CSV, Parquet or Arrow", most-1).
				Also("uz", "Varaqqa %d qator sigʻadi, natijada esa koʻproq: CSV, Parquet yoki Arrow tanlang.", most-1).
				Also("ru", "На лист помещается %d строк, а в результате больше: выберите CSV, Parquet или Arrow.", most-1)
		}
		if row, err = cells(line, row); err != nil {
			return rows, err
		}
		typed := make([]any, len(row))
		for i, cell := range row {
			if typed[i], err = styles.cell(cell, kinds[i]); err != nil {
				return rows, err
			}
		}
		at, err := excelize.CoordinatesToCellName(1, int(rows)+2)
		if err != nil {
			return rows, err
		}
		if err := out.SetRow(at, typed); err != nil {
			return rows, err
		}
		rows++
	}
	if err := out.Flush(); err != nil {
		return rows, err
	}
	if err := aboutSheet(file, about, rows); err != nil {
		return rows, err
	}
	return rows, file.Write(w)
}

// aboutSheet says what a workbook is, whoever it is passed on to.
func aboutSheet(file *excelize.File, about exportAbout, rows uint64) error {
	if _, err := file.NewSheet(internalMark); err != nil {
		return err
	}
	for i, line := range [][2]any{{"mark", internalMark + ": rows for people inside, not for publication"}, {"by", about.who}, {"at", about.when.Format(time.RFC3339)}, {"rows", rows}, {"statement", shorter(about.statement, 32_000)}} {
		for j, value := range line {
			at, err := excelize.CoordinatesToCellName(j+1, i+1)
			if err == nil {
				err = file.SetCellValue(internalMark, at, value)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// shorter is a text of at most so many characters; a cell holds 32,767.
func shorter(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// cellKind is what a column's cells are in a sheet.
type cellKind uint8

const (
	textCell  cellKind = iota
	floatCell          // as a sheet's own numbers
	exactCell          // whose digits all count
	truthCell
	dayCell
	instantCell
)

var (
	wrapped = regexp.MustCompile(`^(Nullable|LowCardinality)\((.*)\)$`)
	integer = regexp.MustCompile(`^U?Int\d+$`)
)

// kindOfType is the kind of a ClickHouse type. What a sheet has no kind for is text.
func kindOfType(name string) cellKind {
	for m := wrapped.FindStringSubmatch(name); m != nil; m = wrapped.FindStringSubmatch(name) {
		name = m[2]
	}
	base, _, _ := strings.Cut(name, "(")
	switch {
	case base == "Bool":
		return truthCell
	case base == "Date" || base == "Date32":
		return dayCell
	case base == "DateTime" || base == "DateTime64":
		return instantCell
	case strings.HasPrefix(base, "Float") || base == "BFloat16":
		return floatCell
	case integer.MatchString(base) || strings.HasPrefix(base, "Decimal"):
		return exactCell
	}
	return textCell
}

type sheetStyles struct{ bold, day, instant int }

// A spreadsheet's number has 15 digits, and its days begin in 1900.
const (
	sheetDigits = 15
	firstYear   = 1900
)

// cell is a cell of a row for a sheet. A value that its kind cannot hold exactly is text.
func (s *sheetStyles) cell(raw json.RawMessage, kind cellKind) (any, error) {
	text, err := plainText(raw)
	if err != nil || text == "" || string(raw) == "null" {
		return nil, err
	}
	switch kind {
	case floatCell, exactCell:
		digits := strings.TrimLeft(strings.ReplaceAll(strings.TrimPrefix(text, "-"), ".", ""), "0")
		n, err := strconv.ParseFloat(text, 64)
		if err == nil && !math.IsInf(n, 0) && !math.IsNaN(n) && (kind == floatCell || len(digits) <= sheetDigits) {
			return n, nil
		}
	case truthCell:
		if b, err := strconv.ParseBool(text); err == nil {
			return b, nil
		}
	case dayCell:
		if t, err := time.Parse(time.DateOnly, text); err == nil && t.Year() > firstYear {
			return excelize.Cell{StyleID: s.day, Value: t}, nil
		}
	case instantCell:
		if t, err := time.Parse("2006-01-02 15:04:05.999999999", text); err == nil && t.Year() > firstYear {
			return excelize.Cell{StyleID: s.instant, Value: t}, nil
		}
	}
	return text, nil
}

// plainText is a cell as the text that it is.
func plainText(raw json.RawMessage) (text string, err error) {
	if len(raw) > 0 && raw[0] == '"' {
		err = json.Unmarshal(raw, &text)
		return text, err
	}
	return string(raw), nil
}
