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
// error says that the file holds CloudEvents, one a line, and needs none ([Events]).
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

// namesOf are the names that globs may match: the file's, without .gz too, and those of
// an archive's members.
func namesOf(file string) ([]string, error) {
	base := filepath.Base(file)
	names := []string{base}
	if bare, ok := strings.CutSuffix(base, ".gz"); ok {
		names = append(names, bare)
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

// Events reads a file of CloudEvents in JSON, one a line, plain or inside gzip or zip,
// and emits every line as it is; nothing of it is checked here. The arguments are
// those of [Mapper.Read].
func Events(ctx context.Context, file string, emit func(event []byte, at Place) error, refuse func(at Place, field, code, reason string)) (Stats, error) {
	var stats Stats
	s, err := new(reading).openStream(file)
	if err != nil {
		return stats, err
	}
	defer s.close()
	w := newWindow(s.r)
	if err := new(reading).decode(w); err != nil {
		return stats, s.broken(err, 1)
	}
	at := Place{File: s.name}
	for {
		line, number, err := w.nextLine(ctx)
		at.Line, at.Bytes = number, s.counted()
		var f *fault
		switch {
		case errors.Is(err, io.EOF):
			return stats, nil
		case errors.As(err, &f):
			at.Row++
			stats.Rows++
			stats.Refused++
			refuse(at, "", f.code, f.reason)
			continue
		case err != nil:
			return stats, s.broken(err, number)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if at.Row&1023 == 0 && ctx.Err() != nil {
			return stats, ctx.Err()
		}
		at.Row++
		stats.Rows++
		if err := emit(line, at); err != nil {
			return stats, err
		}
		stats.Events++
	}
}
