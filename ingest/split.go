package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// splitter cuts a body into events, one at a time, in memory of one event.
type splitter struct {
	r      *bufio.Reader
	limit  int    // bytes of an event
	buf    []byte // an array's element
	at     int64  // bytes of text consumed
	events int    // given so far
	open   bool   // inside the array
	ended  bool
}

// newSplitter makes a splitter for events of at most limit bytes.
func newSplitter(limit int) *splitter {
	return &splitter{r: bufio.NewReaderSize(nil, limit+2), limit: limit} // and CR LF
}

func (s *splitter) reset(r io.Reader) {
	s.r.Reset(r)
	s.at, s.events, s.open, s.ended = 0, 0, false, false
}

// next gives the next event; its bytes hold until the next call. long says that it
// was over the limit: it was passed over, and its bytes are not given. The error is
// io.EOF after the last event, [brokenArray], or what the reader stopped with.
func (s *splitter) next(form form) (event []byte, long bool, err error) {
	switch form {
	case lines:
		event, long, err = s.line()
	case array:
		event, long, err = s.element()
	default:
		event, long, err = s.whole()
	}
	if err == nil {
		s.events++
	}
	return event, long, err
}

var byteOrderMark = []byte("\ufeff")

func (s *splitter) line() (event []byte, long bool, err error) {
	for {
		first := s.at == 0
		line, err := s.r.ReadSlice('\n')
		s.at += int64(len(line))
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			line, err = s.r.ReadSlice('\n')
			s.at += int64(len(line))
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		if long {
			return nil, true, nil
		}
		if first {
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		for len(line) > 0 && blank(line[len(line)-1]) {
			line = line[:len(line)-1]
		}
		for len(line) > 0 && blank(line[0]) {
			line = line[1:]
		}
		if len(line) > s.limit {
			return nil, true, nil
		}
		if len(line) > 0 {
			return line, false, nil
		}
		if err != nil {
			return nil, false, io.EOF
		}
	}
}

// blank is JSON's white space.
func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// whole gives the body as one event.
func (s *splitter) whole() (event []byte, long bool, err error) {
	if s.ended {
		return nil, false, io.EOF
	}
	s.ended = true
	s.buf = s.buf[:0]
	for {
		piece, err := s.r.ReadSlice('\n')
		s.at += int64(len(piece))
		if len(s.buf)+len(piece) <= s.limit+len(byteOrderMark) {
			s.buf = append(s.buf, piece...)
		} else {
			long = true // read on, so that the sender reads the answer
		}
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			event = bytes.Trim(bytes.TrimPrefix(s.buf, byteOrderMark), " \t\r\n")
			if long || len(event) > s.limit {
				return nil, true, nil
			}
			return event, false, nil
		default:
			return nil, false, err
		}
	}
}

// brokenArray says where an array of events cannot be cut further.
type brokenArray struct {
	at     int64
	reason string
}

func (e *brokenArray) Error() string { return fmt.Sprintf("byte %d: %s", e.at, e.reason) }

func (s *splitter) broken(reason string) error { return &brokenArray{s.at, reason} }

// element gives the array's next element by its brackets and quotes alone; whether it
// is JSON, and an event, is the checker's to say.
func (s *splitter) element() (event []byte, long bool, err error) {
	if s.ended {
		return nil, false, io.EOF
	}
	c, err := s.nonSpace()
	if !s.open {
		if err == nil && c == byteOrderMark[0] && s.at == 1 {
			if rest, _ := s.r.Peek(2); bytes.Equal(rest, byteOrderMark[1:]) {
				_, _ = s.r.Discard(2) // they are in the buffer
				s.at += 2
				c, err = s.nonSpace()
			}
		}
		if err != nil || c != '[' {
			return nil, false, s.want(err, "an array begins with [")
		}
		s.open = true
		if c, err = s.nonSpace(); err == nil && c == ']' {
			return nil, false, s.end()
		}
	} else {
		if err == nil && c == ']' {
			return nil, false, s.end()
		}
		if err != nil || c != ',' {
			return nil, false, s.want(err, "a comma or ] is expected after an event")
		}
		c, err = s.nonSpace()
	}
	if err != nil || c == ',' || c == ']' {
		return nil, false, s.want(err, "an event is expected")
	}
	return s.value(c)
}

// value reads on from the first byte of an element to its end.
func (s *splitter) value(c byte) (event []byte, long bool, err error) {
	s.buf = s.buf[:0]
	depth, inString, escaped := 0, false, false
	for {
		if len(s.buf) < s.limit {
			s.buf = append(s.buf, c)
		} else {
			long = true
		}
		switch {
		case escaped:
			escaped = false
		case inString:
			escaped, inString = c == '\\', c != '"'
		case c == '"':
			inString = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth == 0 && !inString {
			// An object, array or string ends here; a number or word before a delimiter.
			peek, err := s.r.Peek(1)
			if err != nil {
				return nil, false, s.want(err, "the array does not end")
			}
			if c == '}' || c == ']' || c == '"' || bytes.IndexByte([]byte(" \t\r\n,]"), peek[0]) >= 0 {
				if long {
					return nil, true, nil
				}
				return s.buf, false, nil
			}
		}
		if c, err = s.r.ReadByte(); err != nil {
			return nil, false, s.want(err, "the array ends inside an event")
		}
		s.at++
	}
}

// end checks that nothing but space follows the array.
func (s *splitter) end() error {
	s.ended = true
	_, err := s.nonSpace()
	if err == nil {
		return s.broken("something follows the array")
	}
	return err
}

// want says what was expected where the text ended or went wrong.
func (s *splitter) want(err error, reason string) error {
	if err == nil || errors.Is(err, io.EOF) {
		return s.broken(reason)
	}
	return err
}

func (s *splitter) nonSpace() (byte, error) {
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		s.at++
		if !blank(c) {
			return c, nil
		}
	}
}

func tooLong(limit int) string {
	return fmt.Sprintf("the event has more than %s, the most that an event has", size(int64(limit)))
}
