package mapping

import (
	"bytes"
	"context"
	"errors"
	"io"

	"ombor/internal/contract"
)

// csvRows reads delimiter-separated text as RFC 4180 has it, and as it is found:
// lines end in LF or CRLF; a cell that begins with a quote ends at a quote before a
// delimiter or an end of line, and may hold delimiters, doubled quotes and line
// breaks; quotes anywhere else stand for themselves. A quote that is never closed
// costs its own line only: reading goes on at the next.
type csvRows struct {
	w         *window
	delimiter byte
	header    []string
	cells     [][]byte
	scratch   []byte // cells with doubled quotes, without the doubling
	place     Place
	counted   func() int64
}

func (c *csvRows) columns() []string { return c.header }
func (c *csvRows) raw() []byte       { return nil } // the same cells, however quoted, are the same row
func (c *csvRows) at() Place         { return c.place }
func (c *csvRows) close() error      { return nil }

func (c *csvRows) next(ctx context.Context) ([][]byte, error) {
	for {
		err := c.record(ctx)
		c.place.Bytes = c.counted()
		if err == nil && len(c.cells) == 1 && len(c.cells[0]) == 0 && len(c.header) != 1 {
			continue // an empty line is no row
		}
		if err == nil || isFault(err) {
			c.place.Row++
		}
		if err == nil && len(c.cells) != len(c.header) {
			return nil, refuse(codeRagged, "the row has %d cells, the header %d columns", len(c.cells), len(c.header))
		}
		return c.cells, err
	}
}

func isFault(err error) bool {
	var f *fault
	return errors.As(err, &f)
}

// record reads one record into cells. It is a header when header is nil.
func (c *csvRows) record(ctx context.Context) error {
	for {
		c.place.Line = c.w.line
		unread := c.w.unread()
		if n, lines, ok := c.split(unread, false); ok {
			c.w.take(n, lines)
			return nil
		}
		if c.w.fill() {
			continue
		}
		unread = c.w.unread()
		switch {
		case c.w.full(), len(unread) > 0 && errors.Is(c.w.err, io.EOF):
			if !c.w.full() {
				if n, lines, ok := c.split(unread, true); ok {
					c.w.take(n, lines)
					return nil
				}
			}
			// Either a quote that is never closed, or a line without an end.
			line := unread
			if i := bytes.IndexByte(unread, '\n'); i >= 0 {
				line = unread[:i]
			}
			quoted := bytes.IndexByte(line, '"') >= 0
			if err := c.w.dropLine(ctx); err != nil {
				return err
			}
			if quoted {
				return refuse(codeQuote, "a quote opened in this line is not closed within %d MiB", maxRow>>20)
			}
			return refuse(contract.TooLong, "the row is longer than %d MiB", maxRow>>20)
		default:
			return c.w.err
		}
	}
}

// split cuts the first record of text into cells and tells its length and how many
// lines it takes. ok is false when text ends before the record does; last says that
// no more text follows.
func (c *csvRows) split(text []byte, last bool) (n int, lines int64, ok bool) {
	c.cells, c.scratch = c.cells[:0], c.scratch[:0]
	end := bytes.IndexByte(text, '\n')
	if end < 0 && !last {
		return 0, 0, false
	}
	line := text
	n = len(text)
	if end >= 0 {
		line, n = text[:end], end+1
	}
	if bytes.IndexByte(line, '"') < 0 {
		if len(line) > 0 && line[len(line)-1] == '\r' {
			line = line[:len(line)-1]
		}
		for {
			i := bytes.IndexByte(line, c.delimiter)
			if i < 0 {
				c.cells = append(c.cells, line)
				return n, 1, true
			}
			c.cells = append(c.cells, line[:i])
			line = line[i+1:]
		}
	}
	return c.splitQuoted(text, last)
}

func (c *csvRows) splitQuoted(text []byte, last bool) (n int, lines int64, ok bool) {
	at := 0
	for {
		if at < len(text) && text[at] == '"' {
			cell, next, broken, found := c.quoted(text, at+1, last)
			if !found {
				return 0, 0, false
			}
			lines += broken
			c.cells = append(c.cells, cell)
			at = next
		} else {
			stop := at
			for stop < len(text) && text[stop] != c.delimiter && text[stop] != '\n' {
				stop++
			}
			if stop == len(text) && !last {
				return 0, 0, false
			}
			cell := text[at:stop]
			if (stop == len(text) || text[stop] == '\n') && len(cell) > 0 && cell[len(cell)-1] == '\r' {
				cell = cell[:len(cell)-1]
			}
			c.cells = append(c.cells, cell)
			at = stop
		}
		if at >= len(text) {
			return at, lines + 1, true
		}
		if text[at] == '\n' {
			return at + 1, lines + 1, true
		}
		at++ // the delimiter
	}
}

// quoted reads the cell whose text begins at at, behind its quote. next is where
// the delimiter or the end of line stands.
func (c *csvRows) quoted(text []byte, at int, last bool) (cell []byte, next int, lines int64, ok bool) {
	first := at // of the piece that has not been copied
	from := -1  // in scratch, once a quote was doubled
	finish := func(stop int) []byte {
		if from < 0 {
			return text[first:stop]
		}
		c.scratch = append(c.scratch, text[first:stop]...)
		return c.scratch[from:len(c.scratch):len(c.scratch)]
	}
	for at < len(text) {
		i := bytes.IndexByte(text[at:], '"')
		if i < 0 {
			break
		}
		lines += int64(bytes.Count(text[at:at+i], []byte{'\n'}))
		at += i
		rest := text[at+1:]
		switch {
		case len(rest) == 0:
			if !last {
				return nil, 0, 0, false
			}
			return finish(at), at + 1, lines, true
		case rest[0] == c.delimiter || rest[0] == '\n':
			return finish(at), at + 1, lines, true
		case rest[0] == '\r' && len(rest) == 1:
			if !last {
				return nil, 0, 0, false
			}
			return finish(at), at + 2, lines, true
		case rest[0] == '\r' && rest[1] == '\n':
			return finish(at), at + 2, lines, true
		case rest[0] == '"':
			if from < 0 {
				from = len(c.scratch)
			}
			c.scratch = append(c.scratch, text[first:at+1]...)
			at += 2
			first = at
		default:
			at++ // a quote in the middle stands for itself
		}
	}
	return nil, 0, 0, false
}
