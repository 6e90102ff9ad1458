package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"ombor/internal/problem"
)

// libraryVariable names the environment variable that points at libchdb.so.
const libraryVariable = "OMBOR_LIBCHDB"

// FindLibrary says which libchdb.so is to be loaded: explicit when it is not
// empty, else $OMBOR_LIBCHDB, else the first that exists of .tools/libchdb in the
// working directory or any directory above it, ../.tools/libchdb and lib beside
// the running program.
func FindLibrary(explicit string) (string, error) {
	const name = "libchdb.so"
	if explicit == "" {
		explicit = os.Getenv(libraryVariable)
	}
	if explicit != "" {
		if _, err := os.Stat(explicit); err != nil {
			return "", problem.Wrap(err, problem.BadInput, "engine: find library", "there is no engine library at %s", explicit)
		}
		return filepath.Abs(explicit)
	}
	var places []string
	if dir, err := os.Getwd(); err == nil {
		for {
			places = append(places, filepath.Join(dir, ".tools", "libchdb", name))
			up := filepath.Dir(dir)
			if up == dir {
				break
			}
			dir = up
		}
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		beside := filepath.Dir(exe)
		places = append(places,
			filepath.Join(beside, "..", ".tools", "libchdb", name),
			filepath.Join(beside, "lib", name))
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return filepath.Clean(place), nil
		}
	}
	return "", problem.New(problem.Unavailable,
		"the engine's library (libchdb.so) is not installed: run `make .tools/libchdb/libchdb.so`, or set %s to a copy of it", libraryVariable)
}

// library is libchdb's C interface, as its chdb.h of the 26.7 line declares it.
// Every handle is a C pointer. Handles are freed by the caller; no two calls may
// use one connection at the same time.
type library struct {
	version           func() string
	setSignalHandlers func(enabled int32)
	connect           func(argc int32, argv **byte) *unsafe.Pointer
	closeConn         func(conn *unsafe.Pointer)
	shutdown          func() int32

	query func(conn unsafe.Pointer, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) unsafe.Pointer
	streamQuery func(conn unsafe.Pointer, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
		names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) unsafe.Pointer
	fetch   func(conn, result unsafe.Pointer) unsafe.Pointer
	cancel  func(conn, result unsafe.Pointer)
	destroy func(result unsafe.Pointer)

	resultBuffer       func(result unsafe.Pointer) *byte
	resultLength       func(result unsafe.Pointer) uintptr
	resultError        func(result unsafe.Pointer) string
	resultElapsed      func(result unsafe.Pointer) float64
	resultRowsRead     func(result unsafe.Pointer) uint64
	resultBytesRead    func(result unsafe.Pointer) uint64
	storageRowsRead    func(result unsafe.Pointer) uint64
	storageBytesRead   func(result unsafe.Pointer) uint64
	resultRowsWritten  func(result unsafe.Pointer) uint64
	resultBytesWritten func(result unsafe.Pointer) uint64
}

var loaded struct {
	sync.Mutex
	byPath map[string]*library
}

// open loads the shared library at path, once per process.
func open(path string) (*library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if lib := loaded.byPath[path]; lib != nil {
		return lib, nil
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "engine: load library", "the engine's library at %s cannot be loaded", path)
	}
	lib := &library{}
	for _, f := range []struct {
		into any
		name string
	}{
		{&lib.version, "chdb_version"},
		{&lib.setSignalHandlers, "chdb_set_signal_handlers_enabled"},
		{&lib.connect, "chdb_connect"},
		{&lib.closeConn, "chdb_close_conn"},
		{&lib.shutdown, "chdb_shutdown"},
		{&lib.query, "chdb_query_with_params_n"},
		{&lib.streamQuery, "chdb_stream_query_with_params_n"},
		{&lib.fetch, "chdb_stream_fetch_result"},
		{&lib.cancel, "chdb_stream_cancel_query"},
		{&lib.destroy, "chdb_destroy_query_result"},
		{&lib.resultBuffer, "chdb_result_buffer"},
		{&lib.resultLength, "chdb_result_length"},
		{&lib.resultError, "chdb_result_error"},
		{&lib.resultElapsed, "chdb_result_elapsed"},
		{&lib.resultRowsRead, "chdb_result_rows_read"},
		{&lib.resultBytesRead, "chdb_result_bytes_read"},
		{&lib.storageRowsRead, "chdb_result_storage_rows_read"},
		{&lib.storageBytesRead, "chdb_result_storage_bytes_read"},
		{&lib.resultRowsWritten, "chdb_result_rows_written"},
		{&lib.resultBytesWritten, "chdb_result_bytes_written"},
	} {
		symbol, err := purego.Dlsym(handle, f.name)
		if err != nil {
			return nil, problem.Wrap(err, problem.Unavailable, "engine: load library",
				"the library at %s is too old: it has no %s (26.7 or newer is needed)", path, f.name)
		}
		purego.RegisterFunc(f.into, symbol)
	}
	if loaded.byPath == nil {
		loaded.byPath = make(map[string]*library)
	}
	loaded.byPath[path] = lib
	return lib, nil
}

// connection is one client of the engine: its own settings, current database and
// temporary tables. It runs one statement at a time.
type connection struct {
	lib    *library
	handle *unsafe.Pointer
}

var connecting sync.Mutex // chdb_connect resets signal handlers: one at a time

// dial opens a connection with command-line arguments such as --path=… (the first
// connection of a process boots the engine) and --max_threads=2.
func (lib *library) dial(args []string) (*connection, error) {
	argv := make([]*byte, 0, len(args)+2)
	argv = append(argv, cstring("clickhouse"))
	for _, arg := range args {
		if strings.IndexByte(arg, 0) >= 0 {
			return nil, problem.New(problem.BadInput, "a setting holds a NUL byte")
		}
		argv = append(argv, cstring(arg))
	}
	count := len(argv)
	argv = append(argv, nil)

	connecting.Lock()
	var handle *unsafe.Pointer
	err := keepSignalHandlers(func() { handle = lib.connect(int32(count), &argv[0]) })
	connecting.Unlock()
	runtime.KeepAlive(argv)
	if err != nil {
		return nil, err
	}
	if handle == nil || *handle == nil {
		return nil, problem.New(problem.Unavailable, "the engine refused a connection")
	}
	return &connection{lib: lib, handle: handle}, nil
}

// close frees the connection. The last close of a process stops the engine.
func (c *connection) close() {
	if c.handle != nil {
		c.lib.closeConn(c.handle)
		c.handle = nil
	}
}

// parameter is one bound query parameter: {Name:Type} in the text.
type parameter struct{ name, value string }

// bound is a parameter list in the shape the C interface takes.
type bound struct {
	names, values         []*byte
	nameSizes, valueSizes []uintptr
}

func bind(params []parameter) bound {
	var b bound
	for _, p := range params {
		b.names = append(b.names, cstring(p.name))
		b.nameSizes = append(b.nameSizes, uintptr(len(p.name)))
		b.values = append(b.values, cstring(p.value))
		b.valueSizes = append(b.valueSizes, uintptr(len(p.value)))
	}
	return b
}

type statementFunc func(conn unsafe.Pointer, query *byte, queryLen uintptr, format *byte, formatLen uintptr,
	names **byte, nameLens *uintptr, values **byte, valueLens *uintptr, count uintptr) unsafe.Pointer

func (c *connection) call(f statementFunc, query []byte, format string, params []parameter) unsafe.Pointer {
	b := bind(params)
	fm := cstring(format)
	handle := f(*c.handle, unsafe.SliceData(query), uintptr(len(query)), fm, uintptr(len(format)),
		unsafe.SliceData(b.names), unsafe.SliceData(b.nameSizes),
		unsafe.SliceData(b.values), unsafe.SliceData(b.valueSizes), uintptr(len(params)))
	runtime.KeepAlive(b)
	runtime.KeepAlive(query)
	runtime.KeepAlive(fm)
	return handle
}

// result is the answer to a statement, or one piece of a streamed answer.
// Its bytes are the engine's and are gone after free.
type result struct {
	lib    *library
	handle unsafe.Pointer
}

func (r *result) free() {
	if r.handle != nil {
		r.lib.destroy(r.handle)
		r.handle = nil
	}
}

// bytes are valid until free.
func (r *result) bytes() []byte {
	n := r.lib.resultLength(r.handle)
	if n == 0 {
		return nil
	}
	return unsafe.Slice(r.lib.resultBuffer(r.handle), n)
}

// err is the engine's exception text, or nil.
func (r *result) err() error {
	if text := r.lib.resultError(r.handle); text != "" {
		return exceptionOf(text)
	}
	return nil
}

// counts are rows and bytes that a statement read and wrote.
type counts struct {
	readRows, readBytes, writtenRows, writtenBytes, resultRows uint64
	elapsed                                                    float64 // seconds
}

func (r *result) counts() counts {
	return counts{
		readRows:     max(r.lib.storageRowsRead(r.handle), 0),
		readBytes:    r.lib.storageBytesRead(r.handle),
		resultRows:   r.lib.resultRowsRead(r.handle),
		writtenRows:  r.lib.resultRowsWritten(r.handle),
		writtenBytes: r.lib.resultBytesWritten(r.handle),
		elapsed:      r.lib.resultElapsed(r.handle),
	}
}

// run executes one statement and holds its whole answer in memory.
func (c *connection) run(query []byte, format string, params []parameter) (*result, error) {
	handle := c.call(c.lib.query, query, format, params)
	if handle == nil {
		return nil, fmt.Errorf("engine: no answer to a statement")
	}
	r := &result{lib: c.lib, handle: handle}
	if err := r.err(); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

func cstring(s string) *byte {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0]
}
