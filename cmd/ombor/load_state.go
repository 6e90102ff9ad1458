package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"ombor/internal/problem"
)

// loadState remembers which pieces of which files the door has acknowledged, so that a
// load that was killed goes on where it was. It is a text file to which a line is appended
// for each answered request:
//
//	{"file":"9f2c…","from":0,"to":4194021,"lines":11873,"accepted":11873,"held":0,"receipt":"AQ…"}
//
// file names the content: path, size, time of change, the hash of its first 64 KiB and what
// reads it; another content has another name. from and to are bytes of a file of lines, and
// events of any other. A piece of which something was refused is not in it: it is sent
// again, so that the refusals are told again. No event and no value is in it.
//
// Nothing depends on it: what is lost of it is sent again, and an event counts once. That
// is why it is not fsynced. When a load has come to its end, a line {"file":"9f2c…","ended":true}
// makes it forget the file, and a state of which nothing is left is removed.
//
// A nil *loadState remembers nothing. Safe for concurrent use.
type loadState struct {
	name string
	mu   sync.Mutex
	file *os.File
	all  map[string]map[int64]acknowledged // by file and from
}

// acknowledged is one line.
type acknowledged struct {
	File     string `json:"file"`
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	Lines    int64  `json:"lines,omitempty"`
	Accepted int64  `json:"accepted"`
	Held     int64  `json:"held"`
	Twice    int64  `json:"duplicate,omitempty"`
	Receipt  string `json:"receipt"`
	Ended    bool   `json:"ended,omitempty"`
}

func (a acknowledged) answer() doorAnswer {
	return doorAnswer{Accepted: a.Accepted, Held: a.Held, Duplicate: a.Twice, Receipt: a.Receipt}
}

// openLoadState reads what an earlier run has left. A line that was cut off, or is none,
// is passed over.
func openLoadState(name string) (*loadState, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "load: state", "the state file %s cannot be written", name)
	}
	s := &loadState{name: name, file: file, all: map[string]map[int64]acknowledged{}}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var a acknowledged
		switch err := json.Unmarshal(lines.Bytes(), &a); {
		case err != nil || a.File == "" || a.From < 0:
		case a.Ended:
			delete(s.all, a.File)
		case a.To > a.From:
			if s.all[a.File] == nil {
				s.all[a.File] = map[int64]acknowledged{}
			}
			s.all[a.File][a.From] = a
		}
	}
	if err := lines.Err(); err != nil {
		file.Close()
		return nil, problem.Wrap(err, problem.BadInput, "load: state", "the state file %s cannot be read; remove it, and everything is sent again", name)
	}
	s.line([]byte("\n")) // behind a line that was cut off
	return s, nil
}

// done is the acknowledged piece that begins at from.
func (s *loadState) done(file string, from int64) (acknowledged, bool) {
	if s == nil || file == "" {
		return acknowledged{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.all[file][from]
	return a, ok
}

// receipt is the last one that is known of a file, "" for none.
func (s *loadState) receipt(file string) (receipt string, pieces int) {
	if s == nil {
		return "", 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var last int64 = -1
	for from, a := range s.all[file] {
		if a.Receipt != "" && from > last {
			last, receipt = from, a.Receipt
		}
	}
	return receipt, len(s.all[file])
}

// known drops what is remembered of a file unless the server still knows its last
// receipt: another server, or one that was restored from before, has not got the events.
func (s *loadState) known(ctx context.Context, server *client, file string) (resumed bool, err error) {
	receipt, pieces := s.receipt(file)
	if pieces == 0 {
		return false, nil
	}
	if receipt != "" {
		err = server.get(ctx, "/v1/receipts/"+receipt, nil, new(receiptState))
	}
	switch problem.KindOf(err) {
	case problem.Busy, problem.Unavailable:
		err = nil // the door is waited for anyway
	}
	if receipt == "" || err != nil {
		s.mu.Lock()
		delete(s.all, file)
		s.mu.Unlock()
		return false, ctx.Err()
	}
	return true, nil
}

// acknowledge notes a piece that the door has answered.
func (s *loadState) acknowledge(file string, b block, answer doorAnswer) {
	if s == nil || file == "" {
		return
	}
	text, err := json.Marshal(acknowledged{File: file, From: b.from, To: b.to, Lines: b.lines, Accepted: answer.Accepted, Held: answer.Held, Twice: answer.Duplicate, Receipt: answer.Receipt})
	if err == nil {
		s.line(append(text, '\n'))
	}
}

// line appends to the file. A full disk makes the state short, not wrong.
func (s *loadState) line(text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.file.Write(text)
}

// end forgets files whose load has come to its end, and closes the state.
func (s *loadState) end(files []string) {
	if s == nil {
		return
	}
	for _, file := range files {
		s.line(fmt.Appendf(nil, "{\"file\":%q,\"ended\":true}\n", file))
	}
	s.close()
	// Only what nobody else is in the middle of may go.
	if again, err := openLoadState(s.name); err == nil {
		if len(again.all) == 0 {
			_ = os.Remove(s.name) // it says nothing
		}
		again.close()
	}
}

func (s *loadState) close() {
	if s != nil {
		_ = s.file.Close() // written through already
	}
}

// identify names a file's content, "" for what cannot be resumed: a pipe, say.
func identify(name string, reader string) string {
	full, err := filepath.Abs(name)
	if err != nil {
		return ""
	}
	file, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d %q ", full, info.Size(), info.ModTime().UnixNano(), reader)
	var head bytes.Buffer
	if _, err := io.CopyN(&head, file, 64<<10); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	h.Write(head.Bytes())
	return hex.EncodeToString(h.Sum(nil)[:16])
}
