package mapping

import (
	"context"
	"regexp"
	"unicode/utf8"

	"ombor/internal/contract"
)

// lineRows reads a log: a line that the expression does not match is refused.
type lineRows struct {
	w       *window
	pattern *regexp.Regexp
	groups  []int // submatch of every column
	names   []string
	cells   [][]byte
	line    []byte
	place   Place
	counted func() int64
}

func newLineRows(w *window, pattern *regexp.Regexp, place Place, counted func() int64) *lineRows {
	l := &lineRows{w: w, pattern: pattern, place: place, counted: counted}
	for i, name := range pattern.SubexpNames() {
		if name != "" {
			l.names, l.groups = append(l.names, name), append(l.groups, i)
		}
	}
	l.cells = make([][]byte, len(l.names))
	return l
}

func (l *lineRows) columns() []string { return l.names }
func (l *lineRows) raw() []byte       { return l.line }
func (l *lineRows) at() Place         { return l.place }
func (l *lineRows) close() error      { return nil }

func (l *lineRows) next(ctx context.Context) ([][]byte, error) {
	for {
		line, number, err := l.w.nextLine(ctx)
		l.place.Line, l.place.Bytes = number, l.counted()
		if err != nil {
			if isFault(err) {
				l.place.Row++
			}
			return nil, err
		}
		if len(line) == 0 {
			continue
		}
		l.place.Row++
		l.line = line
		m := l.pattern.FindSubmatchIndex(line)
		if m == nil {
			if !utf8.Valid(line) {
				return nil, refuse(contract.InvalidUTF8, "the line is not text in the declared encoding")
			}
			return nil, refuse(codeNoMatch, "the line does not match read.lines")
		}
		for i, g := range l.groups {
			if m[2*g] < 0 {
				l.cells[i] = nil
			} else {
				l.cells[i] = line[m[2*g]:m[2*g+1]]
			}
		}
		return l.cells, nil
	}
}
