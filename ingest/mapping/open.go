package mapping

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// maxHeld bounds a workbook or Parquet file that has to be unpacked into memory,
// because it lies in an archive and can only be read in any order.
const maxHeld = 512 << 20

// Formats of files.
const (
	formatCSV     = "csv"
	formatTSV     = "tsv"
	formatXLSX    = "xlsx"
	formatNDJSON  = "ndjson"
	formatParquet = "parquet"
	formatLines   = "lines"
)

var formats = map[string]string{
	".csv": formatCSV, ".tsv": formatTSV, ".tab": formatTSV, ".xlsx": formatXLSX, ".xlsm": formatXLSX,
	".ndjson": formatNDJSON, ".jsonl": formatNDJSON, ".json": formatNDJSON, ".parquet": formatParquet,
}

// reading is a checked contract.Read.
type reading struct {
	contract.Read
	files    []string // globs that also choose the member of an archive
	pattern  *regexp.Regexp
	encoding encoding.Encoding
}

func (r *reading) format(name string) (string, error) {
	switch {
	case r.Read.Format != "":
		return r.Read.Format, nil
	case r.pattern != nil:
		return formatLines, nil
	}
	if f, ok := formats[strings.ToLower(path.Ext(name))]; ok {
		return f, nil
	}
	return "", problem.New(problem.Unsupported, "%s: the name does not tell the format; the mapping has to, with read.format", name)
}

// stream is the content of a file, or of the one member of an archive that is meant.
type stream struct {
	name    string // "cases.zip/cases.csv"
	inner   string // "cases.csv": tells the format
	r       io.Reader
	at      io.ReaderAt // nil for what can only be read in order
	size    int64       // with at
	counted func() int64
	closers []io.Closer
}

func (s *stream) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i].Close())
	}
	return errors.Join(errs...)
}

// countedFile counts what is read of a file.
type countedFile struct {
	*os.File
	n int64
}

func (f *countedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.n += int64(n)
	return n, err
}

func (f *countedFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.n += int64(n)
	return n, err
}

// openStream opens a file, its gzip, Zstandard or zip cover taken off.
func (r *reading) openStream(name string) (s *stream, err error) {
	file, err := os.Open(name)
	if err != nil {
		kind := problem.Internal
		if errors.Is(err, os.ErrNotExist) {
			kind = problem.NotFound
		}
		return nil, problem.Wrap(err, kind, "mapping: open", "%s cannot be opened", name)
	}
	counted := &countedFile{File: file}
	base := filepath.Base(name)
	s = &stream{name: base, inner: base, counted: func() int64 { return counted.n }, closers: []io.Closer{file}}
	made := s
	defer func() {
		if err != nil {
			made.close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, "mapping: open", "%s cannot be read", name)
	}
	if info.IsDir() {
		return nil, problem.New(problem.BadInput, "%s is a folder; name its files", name)
	}
	var magic [4]byte
	n, err := file.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		if info.Mode().IsRegular() {
			return nil, problem.Wrap(err, problem.Internal, "mapping: read", "%s cannot be read", name)
		}
		s.r = counted // a pipe: only in order, and without a cover
		return s, nil
	}
	format := r.Read.Format
	if format == "" {
		format = formats[strings.ToLower(filepath.Ext(base))]
	}
	switch {
	case bytes.HasPrefix(magic[:n], []byte{0x1f, 0x8b}):
		unzipped, err := gzip.NewReader(counted)
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "mapping: unpack", "%s is a damaged gzip file", name)
		}
		s.r, s.inner = unzipped, strings.TrimSuffix(base, filepath.Ext(base))
	case bytes.HasPrefix(magic[:n], []byte{0x28, 0xb5, 0x2f, 0xfd}):
		unpacked, err := zstd.NewReader(counted, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "mapping: unpack", "%s is a damaged Zstandard file", name)
		}
		s.closers = append(s.closers, unpacked.IOReadCloser())
		s.r, s.inner = unpacked, strings.TrimSuffix(base, filepath.Ext(base))
	case bytes.HasPrefix(magic[:n], []byte("PK\x03\x04")) && format != formatXLSX,
		bytes.HasPrefix(magic[:n], []byte("PK\x05\x06")):
		archive, err := zip.NewReader(counted, info.Size())
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "mapping: unpack", "%s is a damaged zip archive", name)
		}
		member, err := r.member(base, archive)
		if err != nil {
			return nil, err
		}
		opened, err := member.Open()
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "mapping: unpack", "%s of %s cannot be unpacked", member.Name, name)
		}
		s.closers = append(s.closers, opened)
		s.r, s.inner = opened, path.Base(member.Name)
		s.name = base + "/" + s.inner
	default:
		s.r, s.at, s.size = counted, counted, info.Size()
	}
	return s, nil
}

// members are the files of an archive that somebody put there: not the folders, the
// hidden files, nor what macOS adds.
func members(archive *zip.Reader) []*zip.File {
	var found []*zip.File
	for _, f := range archive.File {
		base := path.Base(f.Name)
		if f.FileInfo().IsDir() || strings.HasPrefix(base, ".") || strings.HasPrefix(f.Name, "__MACOSX/") {
			continue
		}
		found = append(found, f)
	}
	return found
}

func (r *reading) member(file string, archive *zip.Reader) (*zip.File, error) {
	all := members(archive)
	names := make([]string, len(all))
	for i, f := range all {
		names[i] = path.Base(f.Name)
	}
	chosen := all
	globs := r.files
	if r.Member != "" {
		globs = []string{r.Member}
	}
	if r.Member != "" || len(all) > 1 {
		chosen = nil
		for i, f := range all {
			if matchesAny(globs, names[i]) {
				chosen = append(chosen, f)
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, problem.New(problem.BadInput, "%s holds no file", file)
	case len(chosen) == 1:
		return chosen[0], nil
	case len(chosen) == 0:
		return nil, problem.New(problem.BadInput, "%s holds %s, and read.member %q names none of them", file, quoteAll(names), r.Member)
	}
	return nil, problem.New(problem.BadInput, "%s holds %s, and read.member %q does not tell which is meant", file, quoteAll(names), r.Member)
}

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, name)
		return err == nil && ok
	})
}

func quoteAll(names []string) string {
	const most = 12
	quoted := make([]string, 0, most+1)
	for i, name := range names {
		if i == most {
			quoted = append(quoted, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return strings.Join(quoted, ", ")
}

// held is the whole content, for formats that are read in any order.
func (s *stream) held() (io.ReaderAt, int64, error) {
	if s.at != nil {
		return s.at, s.size, nil
	}
	content, err := io.ReadAll(io.LimitReader(s.r, maxHeld+1))
	if err != nil {
		return nil, 0, s.broken(err, 0)
	}
	if len(content) > maxHeld {
		return nil, 0, problem.New(problem.TooLarge, "%s is larger than %d MiB unpacked; unpack it first", s.name, maxHeld>>20)
	}
	return bytes.NewReader(content), int64(len(content)), nil
}

// broken says where a file could not be read any further.
func (s *stream) broken(err error, line int64) error {
	where := s.name
	if line > 0 {
		where = fmt.Sprintf("%s:%d", s.name, line)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem.Wrap(err, problem.BadInput, "mapping: read", "%s: the file is cut off here; everything before was read", where)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat),
		errors.Is(err, zstd.ErrCRCMismatch), errors.Is(err, zstd.ErrMagicMismatch):
		return problem.Wrap(err, problem.BadInput, "mapping: unpack", "%s: the file is damaged here; everything before was read", where)
	}
	return problem.Wrap(err, problem.BadInput, "mapping: read", "%s: the file cannot be read on; everything before was read", where)
}

// opened is a file's rows with what has to be closed behind them.
type opened struct {
	rows
	stream *stream
}

func (o *opened) close() error { return errors.Join(o.rows.close(), o.stream.close()) }

// next tells a broken file from its good end, and names the place.
func (o *opened) next(ctx context.Context) ([][]byte, error) {
	cells, err := o.rows.next(ctx)
	if err == nil || errors.Is(err, io.EOF) || isFault(err) || problem.KindOf(err) != problem.Internal || ctx.Err() != nil {
		return cells, err
	}
	return nil, o.stream.broken(err, o.rows.at().Line)
}

// open opens a file as rows. The columns of optional may be absent from NDJSON.
func (r *reading) open(ctx context.Context, name string, optional []string) (o *opened, err error) {
	s, err := r.openStream(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	format, err := r.format(s.inner)
	if err != nil {
		return nil, err
	}
	place := Place{File: s.name}
	var found rows
	switch format {
	case formatXLSX:
		at, size, err := s.held()
		if err != nil {
			return nil, err
		}
		found, err = openSheet(io.NewSectionReader(at, 0, size), r.Sheet, max(1, r.Header), r.Columns, place)
		if err != nil {
			return nil, err
		}
	case formatParquet:
		at, size, err := s.held()
		if err != nil {
			return nil, err
		}
		found, err = openParquet(at, size, place)
		if err != nil {
			return nil, err
		}
	default:
		w := newWindow(s.r)
		if err := r.decode(w); err != nil {
			return nil, s.broken(err, 1)
		}
		switch format {
		case formatLines:
			found = newLineRows(w, r.pattern, place, s.counted)
		case formatNDJSON:
			found = newObjectRows(w, optional, place, s.counted)
		default:
			c := &csvRows{w: w, delimiter: ',', place: place, counted: s.counted}
			if format == formatTSV {
				c.delimiter = '\t'
			}
			if r.Delimiter != "" {
				c.delimiter = r.Delimiter[0]
			}
			if err := r.readHeader(ctx, c, s); err != nil {
				return nil, err
			}
			found = c
		}
	}
	return &opened{rows: found, stream: s}, nil
}

// decode takes off a byte-order mark, and puts the decoder of the declared encoding,
// or of UTF-16 when the mark says so, in front of the window.
func (r *reading) decode(w *window) error {
	for len(w.unread()) < 3 && w.fill() {
	}
	start := w.unread()
	declared := r.encoding
	switch {
	case bytes.HasPrefix(start, []byte{0xef, 0xbb, 0xbf}):
		w.take(3, 0)
		return nil // the mark knows better than the mapping
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		declared = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	case declared == nil:
		if w.err != nil && !errors.Is(w.err, io.EOF) && len(start) == 0 {
			return w.err
		}
		return nil
	}
	rest := w.src
	if w.err != nil {
		rest = failing{w.err}
	}
	*w = *newWindow(transform.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(start)), rest), declared.NewDecoder()))
	return nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func errNoHeader(file string) error {
	return problem.New(problem.BadInput, "%s is empty: there is no row that names the columns", file)
}

func (r *reading) readHeader(ctx context.Context, c *csvRows, s *stream) error {
	if c.header = r.Columns; c.header != nil {
		return nil
	}
	for range max(1, r.Header) {
		err := c.record(ctx)
		var f *fault
		switch {
		case errors.Is(err, io.EOF):
			return errNoHeader(s.name)
		case errors.As(err, &f):
			return problem.New(problem.BadInput, "%s:%d: the row that names the columns cannot be read: %s", s.name, c.place.Line, f.reason)
		case err != nil:
			return s.broken(err, c.place.Line)
		}
	}
	c.header = make([]string, len(c.cells))
	for i, cell := range c.cells {
		c.header[i] = strings.TrimSpace(string(cell))
	}
	if len(c.header) == 1 && c.header[0] == "" {
		return errNoHeader(s.name)
	}
	return nil
}

// encodingNamed finds an encoding by its WHATWG label; nil for UTF-8.
func encodingNamed(label string) (encoding.Encoding, error) {
	if label == "" || strings.EqualFold(label, "utf-8") || strings.EqualFold(label, "utf8") {
		return nil, nil
	}
	return htmlindex.Get(label)
}
