package mapping

import (
	"context"
	"fmt"
	"strconv"
)

// Place says where in a file a row stands.
type Place struct {
	File  string // base name, with the member of an archive or one of several sheets: "cases.zip/cases.csv", "cases.xlsx 2024"
	Row   int64  // the data row, from 1; the header is none
	Line  int64  // the line of the text, or the row of the sheet, from 1; 0 where there are no lines
	Bytes int64  // how much of the file has been read so far, for progress; of a workbook and of Parquet roughly
}

func (p Place) String() string {
	if p.Line > 0 {
		return p.File + ":" + strconv.FormatInt(p.Line, 10)
	}
	return p.File + ": row " + strconv.FormatInt(p.Row, 10)
}

// rows is a file being read as rows of named columns.
type rows interface {
	// columns are known before the first row.
	columns() []string
	// next returns the cells of one row, as many as there are columns. They, and
	// the bytes that raw returns, hold until the next call. A *fault is about this
	// row alone: the next call goes on behind it. Any other error ends the file;
	// io.EOF is its good end.
	next(ctx context.Context) (cells [][]byte, err error)
	// raw is the row as the file has it, nil where only cells exist.
	raw() []byte
	// at is the place of the row that next returned or refused last.
	at() Place
	close() error
}

// fault is what is wrong with one row, or with one value of it.
type fault struct {
	field  string // field of the contract or column; empty when the whole row is meant
	code   string
	reason string
}

func (f *fault) Error() string { return f.code + ": " + f.reason }

func refuse(code, reason string, args ...any) *fault {
	return &fault{code: code, reason: fmt.Sprintf(reason, args...)}
}

// Codes of refusals that only files have; the others are those of package contract.
const (
	codeRagged   = "ragged"         // more or fewer cells than columns
	codeQuote    = "unclosed_quote" // a quote that is opened and never closed
	codeNoMatch  = "no_match"       // a line that read.lines does not match
	codeUnmapped = "unmapped"       // a cell that values does not list
	codeCompute  = "not_computed"   // an expression that has no value for the row
	codeLookup   = "not_found"      // no row of the other file agrees
)

// maxRow is the longest row, in bytes: far above any real one, far below what
// would let one bad quote or a file of zeros eat the memory.
const maxRow = 4 << 20
