package mapping

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/xuri/excelize/v2"

	"ombor/internal/problem"
)

// sheetRows reads one sheet of a workbook. Cells are what the file stores, not what
// Excel shows: a number has all its digits, a date is its serial number (format:
// excel). The packed workbook is held in memory; a sheet that is larger than 16 MiB
// unpacked lies in the system's folder for temporary files while it is read.
type sheetRows struct {
	book     *excelize.File
	rows     *excelize.Rows
	header   []string
	cells    [][]byte
	place    Place
	since04  bool
	unpacked []byte
}

// maxUnpacked bounds what a workbook may unpack to.
const maxUnpacked = 4 << 30

func openSheet(r io.Reader, sheet string, skip int, columns []string, place Place) (*sheetRows, error) {
	book, err := excelize.OpenReader(r, excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnpacked})
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "mapping: open workbook", "%s is no workbook that can be read", place.File)
	}
	s := &sheetRows{book: book, place: place}
	names := book.GetSheetList()
	if sheet == "" && len(names) > 0 {
		sheet = names[0]
	}
	if s.rows, err = book.Rows(sheet); err != nil {
		book.Close()
		var missing excelize.ErrSheetNotExist
		if errors.As(err, &missing) {
			return nil, problem.New(problem.BadInput, "%s has no sheet %q; it has %s", place.File, sheet, quoteAll(names))
		}
		return nil, problem.Wrap(err, problem.BadInput, "mapping: read sheet", "%s: the sheet %q cannot be read", place.File, sheet)
	}
	if len(names) > 1 {
		s.place.File += " " + sheet
	}
	if props, err := book.GetWorkbookProps(); err == nil && props.Date1904 != nil {
		s.since04 = *props.Date1904
	}
	if s.header = columns; columns == nil {
		for range skip {
			cells, err := s.row()
			if err != nil {
				s.close()
				if errors.Is(err, io.EOF) {
					return nil, errNoHeader(place.File)
				}
				return nil, err
			}
			s.header = cells
		}
	}
	return s, nil
}

func (s *sheetRows) columns() []string { return s.header }
func (s *sheetRows) raw() []byte       { return nil }
func (s *sheetRows) at() Place         { return s.place }
func (s *sheetRows) date1904() bool    { return s.since04 }

func (s *sheetRows) close() error {
	return errors.Join(s.rows.Close(), s.book.Close())
}

// row reads the next row, empty ones included.
func (s *sheetRows) row() ([]string, error) {
	if !s.rows.Next() {
		if err := s.rows.Error(); err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "mapping: read sheet", "%s cannot be read on behind row %d", s.place.File, s.place.Line)
		}
		return nil, io.EOF
	}
	s.place.Line++
	cells, err := s.rows.Columns()
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "mapping: read sheet", "%s cannot be read on at row %d", s.place.File, s.place.Line)
	}
	return cells, nil
}

func (s *sheetRows) next(context.Context) ([][]byte, error) {
	for {
		cells, err := s.row()
		if err != nil {
			return nil, err
		}
		if strings.Join(cells, "") == "" {
			continue
		}
		s.place.Row++
		s.cells, s.unpacked = s.cells[:0], s.unpacked[:0]
		for i, cell := range cells {
			if i >= len(s.header) && cell != "" {
				return nil, refuse(codeRagged, "the row has %d cells, the header %d columns", len(cells), len(s.header))
			}
			s.unpacked = append(s.unpacked, cell...)
		}
		from := 0
		for i := range s.header { // a row ends at its last cell that is not empty
			to := from
			if i < len(cells) {
				to += len(cells[i])
			}
			s.cells = append(s.cells, s.unpacked[from:to])
			from = to
		}
		return s.cells, nil
	}
}
