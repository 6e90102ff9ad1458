package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"ombor/internal/problem"
)

// A file of one event a line is sent as it lies on disk: of its text the load reads only where a
// block ends, and the kernel hands the rest on from its cache to the connection. Copying
// it through the load's memory was most of what a load cost.

// textFile is such a file while it is sent. Safe for concurrent use.
type textFile struct {
	name  string
	start int64 // where the text begins, behind a byte-order mark

	mu    sync.Mutex
	marks []mark // lines that were counted, in order
}

// mark says which line of a text begins at a place.
type mark struct{ at, line int64 }

// section is a piece of a text, from one line's begin to another's end.
type section struct {
	of       *textFile
	from, to int64 // of the text
}

// sections sends a text of so many bytes in blocks that end at line ends, as lines does. progress
// hears how far it is.
func (l *lane) sections(name string, start, size int64, progress func(int64)) error {
	file, err := os.Open(name)
	if err != nil {
		return problem.Wrap(err, problem.Internal, "load", "%s cannot be opened", name)
	}
	defer file.Close()
	of := &textFile{name: name, start: start, marks: []mark{{line: 1}}}
	whole := io.NewSectionReader(file, start, size-start)
	for from := int64(0); from < whole.Size(); progress(start + from) {
		if done, ok := l.state.done(l.identity, from); ok {
			from = done.To
			l.took(done.answer(), nil)
			continue
		}
		to, err := blockEnd(whole, from)
		if err == nil && to == from { // a line that no door takes
			if to, err = lineEnd(whole, from); err == nil {
				var line int64
				if line, err = of.line(whole, from); err == nil {
					l.refused(tooLong(l.file, line))
				}
			}
		} else if err == nil {
			if err := l.send(block{section: &section{of, from, to}, from: from, to: to}); err != nil {
				return err
			}
		}
		if err != nil {
			return problem.Wrap(err, problem.BadInput, "load", "%s cannot be read on behind byte %d; everything before was read", name, start+from)
		}
		from = to
	}
	return nil
}

// blockEnd is behind the last line of the block that begins at from, or from when its first line is
// longer than a block. The last line of a text may have no end.
func blockEnd(text *io.SectionReader, from int64) (int64, error) {
	if text.Size()-from <= requestBytes {
		return text.Size(), nil
	}
	piece := make([]byte, 16<<10)
	for end := from + requestBytes; end > from; end -= int64(len(piece)) {
		piece = piece[:min(int64(len(piece)), end-from)]
		if _, err := text.ReadAt(piece, end-int64(len(piece))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(piece, '\n'); i >= 0 {
			return end - int64(len(piece)) + int64(i) + 1, nil
		}
	}
	return from, nil
}

// lineEnd is behind the line that begins at from.
func lineEnd(text *io.SectionReader, from int64) (int64, error) {
	n, rest, err := skipLine(io.NewSectionReader(text, from, text.Size()-from), requestBytes)
	if errors.Is(err, io.EOF) { // the last line has no end
		err = nil
	}
	return from + n - int64(len(rest)), err
}

// line is the number of the line that begins at a place of the text. Lines are counted only where one
// is refused, and none of them twice.
func (t *textFile) line(text io.ReaderAt, at int64) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, known := slices.BinarySearchFunc(t.marks, at, func(m mark, at int64) int { return int(min(max(m.at-at, -1), 1)) })
	if known {
		return t.marks[i].line, nil
	}
	last := t.marks[i-1] // the first stands at 0
	counted := lineCounter(0)
	if n, err := io.Copy(&counted, io.NewSectionReader(text, last.at, at-last.at)); err != nil || n < at-last.at {
		return 0, t.changed(err)
	}
	m := mark{at, last.line + int64(counted)}
	t.marks = slices.Insert(t.marks, i, m)
	return m.line, nil
}

// lineCounter counts the line ends that are written to it.
type lineCounter int64

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, newline))
	return len(p), nil
}

func (t *textFile) changed(err error) error {
	return problem.Wrap(err, problem.BadInput, "load", "%s has become shorter, or cannot be read any more, while it was loaded", t.name)
}

// open opens the section by itself.
func (s *section) open() (*opened, error) {
	file, err := os.Open(s.of.name)
	if err != nil {
		return nil, s.of.changed(err)
	}
	info, err := file.Stat()
	if err == nil && info.Size() >= s.of.start+s.to {
		_, err = file.Seek(s.of.start+s.from, io.SeekStart)
	} else if err == nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		file.Close()
		return nil, s.of.changed(err)
	}
	return &opened{file: file, of: s, left: s.to - s.from}, nil
}

// read reads the section, and says which line of the text is its first.
func (s *section) read() (body []byte, line int64, err error) {
	o, err := s.open()
	if err != nil {
		return nil, 0, err
	}
	defer o.Close()
	body = make([]byte, s.to-s.from)
	if _, err := io.ReadFull(o, body); err != nil {
		return nil, 0, s.of.changed(err)
	}
	line, err = s.of.line(io.NewSectionReader(o.file, s.of.start, s.to), s.from)
	return body, line, err
}

// opened is a section on its way: the file stands where the next byte is.
type opened struct {
	file *os.File
	of   *section
	left int64
}

func (o *opened) Read(p []byte) (int, error) {
	if o.left == 0 {
		return 0, io.EOF
	}
	n, err := o.file.Read(p[:min(int64(len(p)), o.left)])
	o.left -= int64(n)
	return n, err
}

func (o *opened) Close() error { return o.file.Close() }

// attach makes the section the body of a request.
func (o *opened) attach(r *http.Request) {
	r.Body, r.ContentLength = o, o.left
	r.GetBody = func() (io.ReadCloser, error) { return o.of.open() } // the connection was closed before it read anything
}

// handing is a connection to which the kernel hands on what comes of a section.
type handing struct{ *net.TCPConn }

// dialHanding makes such connections, where they are TCP's.
func dialHanding(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, network, address)
	if c, ok := conn.(*net.TCPConn); ok {
		return handing{c}, nil
	}
	return conn, err
}

// ReadFrom is that of io.ReaderFrom. A TCPConn's own knows nothing but files.
func (c handing) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader) // as package http reads a body of known length
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	o, ok := limited.R.(*opened)
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	n, err := c.TCPConn.ReadFrom(&io.LimitedReader{R: o.file, N: min(limited.N, o.left)})
	limited.N, o.left = limited.N-n, o.left-n
	return n, err
}
