package mapping

import (
	"bytes"
	"context"
	"errors"
	"io"

	"ombor/internal/contract"
)

// window is a sliding buffer over a text. It never holds more than maxRow bytes,
// a row's end included.
type window struct {
	src        io.Reader
	buf        []byte
	start, end int // unread bytes are buf[start:end]
	err        error
	line       int64 // line number of buf[start], from 1
}

func newWindow(src io.Reader) *window {
	return &window{src: src, buf: make([]byte, 64<<10), line: 1}
}

// fill reads more behind what is unread. It is false when nothing can be added: the
// text has ended (err says how), or the window is as large as it may be.
func (w *window) fill() bool {
	if w.err != nil {
		return false
	}
	if w.start > 0 && w.start >= len(w.buf)/2 {
		w.end = copy(w.buf, w.buf[w.start:w.end])
		w.start = 0
	}
	if w.end == len(w.buf) {
		if w.start > 0 {
			w.end = copy(w.buf, w.buf[w.start:w.end])
			w.start = 0
		} else {
			if len(w.buf) >= maxRow {
				return false
			}
			grown := make([]byte, 2*len(w.buf))
			copy(grown, w.buf[:w.end])
			w.buf = grown
		}
	}
	for empty := 0; ; empty++ {
		n, err := w.src.Read(w.buf[w.end:])
		w.end += n
		if err != nil {
			w.err = err
			return n > 0
		}
		if n > 0 {
			return true
		}
		if empty == 100 {
			w.err = io.ErrNoProgress
			return false
		}
	}
}

// full says that the window has ended for want of room, not of text.
func (w *window) full() bool { return w.err == nil }

func (w *window) unread() []byte { return w.buf[w.start:w.end] }

// take passes over n bytes that hold that many lines.
func (w *window) take(n int, lines int64) {
	w.start += n
	w.line += lines
}

// nextLine is the next line without its end. A line that is longer than the window
// is passed over, and refused.
func (w *window) nextLine(ctx context.Context) (line []byte, number int64, err error) {
	scanned := 0
	for {
		unread := w.unread()
		if i := bytes.IndexByte(unread[scanned:], '\n'); i >= 0 {
			i += scanned
			number = w.line
			w.take(i+1, 1)
			return bytes.TrimSuffix(unread[:i], []byte{'\r'}), number, nil
		}
		scanned = len(unread)
		if w.fill() {
			continue
		}
		number = w.line
		if w.full() {
			if err := w.dropLine(ctx); err != nil {
				return nil, number, err
			}
			return nil, number, refuse(contract.TooLong, "the line is longer than %d MiB", maxRow>>20)
		}
		if len(w.unread()) == 0 || !errors.Is(w.err, io.EOF) {
			return nil, number, w.err // a line that broke off in the middle is no line
		}
		line = bytes.TrimSuffix(w.unread(), []byte{'\r'})
		w.take(len(w.unread()), 1)
		return line, number, nil
	}
}

// dropLine passes over everything up to the next end of line.
func (w *window) dropLine(ctx context.Context) error {
	for {
		unread := w.unread()
		if i := bytes.IndexByte(unread, '\n'); i >= 0 {
			w.take(i+1, 1)
			return nil
		}
		w.take(len(unread), 0)
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.fill() && w.start == w.end {
			if errors.Is(w.err, io.EOF) {
				return nil
			}
			return w.err
		}
	}
}
