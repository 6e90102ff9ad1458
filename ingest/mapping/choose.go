package mapping

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"ombor/internal/problem"
)

// Choose finds the mapping that reads a file: by the globs in files, and where they
// leave a choice, or none speaks of the file, by its columns. A nil mapper without an
// error says that the file holds CloudEvents, one a line, and needs none ([Lines]).
func Choose(ctx context.Context, file string, mappers []*Mapper) (*Mapper, error) {
	if is, err := holdsEvents(ctx, file); is || err != nil {
		return nil, err
	}
	names, err := namesOf(file)
	if err != nil {
		return nil, err
	}
	var fit []*Mapper
	for _, m := range mappers {
		for _, name := range names {
			if matchesAny(m.m.Files, name) {
				fit = append(fit, m)
				break
			}
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	among := fit
	if len(fit) == 0 {
		among = mappers
	}
	fit = nil
	var why []string
	for _, m := range among {
		if err := m.Fits(ctx, file); err == nil {
			fit = append(fit, m)
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		} else {
			why = append(why, fmt.Sprintf("%s: %s", m.m.Name, firstReason(err)))
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		all := make([]string, len(fit))
		for i, m := range fit {
			all[i] = m.m.Name
		}
		return nil, problem.New(problem.BadInput, "%s can be read by several mappings: %s; name one with --mapping", filepath.Base(file), strings.Join(all, ", "))
	case len(mappers) == 0:
		return nil, problem.New(problem.BadInput, "%s holds no CloudEvents, and the pack has no mapping that could read it", filepath.Base(file))
	}
	return nil, problem.New(problem.BadInput, "%s holds no CloudEvents, and no mapping of the pack reads it:\n%s", filepath.Base(file), strings.Join(why, "\n"))
}

// firstReason is the message of an error on one line.
func firstReason(err error) string {
	message := err.Error()
	var p *problem.Error
	if errors.As(err, &p) {
		message = p.Message
	}
	lines := strings.Split(message, "\n")
	if len(lines) > 1 && strings.HasSuffix(lines[0], ":") {
		lines = lines[1:]
	}
	return lines[0]
}

// Speaks says whether the mapping's globs name a file; only its name is looked at.
func (m *Mapper) Speaks(file string) bool { return matchesAny(m.m.Files, filepath.Base(file)) }

// namesOf are the names that globs may match: the file's, without .gz or .zst too, and those of
// an archive's members.
func namesOf(file string) ([]string, error) {
	base := filepath.Base(file)
	names := []string{base}
	for _, cover := range []string{".gz", ".zst"} {
		if bare, ok := strings.CutSuffix(base, cover); ok {
			names = append(names, bare)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, problem.Wrap(err, problem.NotFound, "mapping: open", "%s cannot be opened", file)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return names, nil // opening it in earnest will tell
	}
	if archive, err := zip.NewReader(f, info.Size()); err == nil {
		for _, m := range members(archive) {
			names = append(names, path.Base(m.Name))
		}
	}
	return names, nil
}

// holdsEvents says whether a file's first line is a CloudEvent in JSON.
func holdsEvents(ctx context.Context, file string) (bool, error) {
	s, err := new(reading).openStream(file)
	if problem.KindOf(err) == problem.BadInput {
		return false, nil // an archive of several files, or a broken one: a mapping may tell more
	}
	if err != nil {
		return false, err
	}
	defer s.close()
	w := newWindow(s.r)
	if err := new(reading).decode(w); err != nil {
		return false, nil
	}
	for {
		line, _, err := w.nextLine(ctx)
		if err != nil {
			return false, nil // empty, or broken: not for here to say
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line[0] == '{' && bytes.Contains(line, []byte(`"specversion"`)), nil
		}
	}
}

// Lines opens a file of CloudEvents in JSON, one a line, as text: its cover of gzip,
// Zstandard or zip and an encoding that a byte-order mark tells are taken off. read says
// how many bytes of the file were read so far; broken turns an error of the text into a
// problem that names the file.
func Lines(file string) (text io.ReadCloser, read func() int64, broken func(error) error, err error) {
	s, err := new(reading).openStream(file)
	if err != nil {
		return nil, nil, nil, err
	}
	w := newWindow(s.r)
	if err := new(reading).decode(w); err != nil {
		s.close()
		return nil, nil, nil, s.broken(err, 1)
	}
	var rest io.Reader = w.src
	if w.err != nil {
		rest = failing{w.err}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(w.unread()), rest), closer(s.close)}, s.counted, func(err error) error { return s.broken(err, 0) }, nil
}

// Plain says that a file is the very text that [Lines] gives, from the byte start on: a regular file in UTF-8
// without a cover. size is that of the file.
func Plain(file string) (size, start int64, ok bool) {
	s, err := new(reading).openStream(file)
	if err != nil {
		return 0, 0, false // Lines tells why
	}
	defer s.close()
	if s.at == nil {
		return 0, 0, false
	}
	var mark [3]byte
	n, err := s.at.ReadAt(mark[:], 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF), bytes.HasPrefix(mark[:n], []byte{0xff, 0xfe}), bytes.HasPrefix(mark[:n], []byte{0xfe, 0xff}):
		return 0, 0, false
	case bytes.HasPrefix(mark[:n], []byte{0xef, 0xbb, 0xbf}):
		return s.size, 3, true
	}
	return s.size, 0, true
}

type closer func() error

func (c closer) Close() error { return c() }
