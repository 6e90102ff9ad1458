package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ombor/internal/protocol"
)

// The data of an INSERT reaches the engine as a file of this process:
// INSERT INTO t FROM INFILE '/proc/self/fd/7' FORMAT … . It is never put behind the
// text of the statement, although the library takes it there: the library looks
// for more statements in that text, and takes an empty line (two bytes 0x0A, also
// inside binary data) for the end of the data. Measured with a million rows, a file
// or a pipe is as quick as text, and parses on all processors; the library's own
// streaming insert parses on one.

// oneBlock makes one block, and so one part in one partition, of all the data of an
// INSERT: it is in the table as a whole or not at all.
var oneBlock = []protocol.Pair{
	{Name: "min_insert_block_size_rows", Value: "1000000000"},
	{Name: "min_insert_block_size_bytes", Value: "1000000000000"},
}

// insert runs an INSERT. Data of at most Config.InsertLimit bytes is read to its
// end first, and is one block; what is larger is given to the engine as it comes,
// and is committed block by block.
func (q *query) insert(head []byte) error {
	q.began = time.Now()
	if q.statement.NeedsFormat {
		head, q.statement = q.nameFormat(head)
	}
	s := q.statement
	if !s.Data {
		r, err := q.conn.run(head, q.format, q.params())
		if err != nil {
			return err
		}
		defer r.free()
		q.count(r.counts())
		return q.send(r.bytes())
	}
	data := io.MultiReader(bytes.NewReader(head[s.DataAt:]), q.req.Body)
	if s.InputAt > 0 { // INSERT … SELECT … FROM input('…'): the same data as a table function
		return q.insertData(string(head[:s.InputAt])+"file(",
			", "+protocol.QuoteString(s.Format)+", "+string(head[s.InputEnd:s.FormatAt])+s.Tail, data)
	}
	return q.insertData(string(head[:s.SourceAt])+" FROM INFILE ",
		" "+string(head[s.SourceAt:s.FormatAt])+s.Tail+" FORMAT "+s.Format, data)
}

// nameFormat completes an INSERT that ends after its columns.
func (q *query) nameFormat(head []byte) ([]byte, protocol.Statement) {
	format := q.req.DefaultFormat
	if format == "" {
		format = "Values"
	}
	at := len(head)
	if q.req.Query != "" {
		at = len(q.req.Query)
	}
	text := append(bytes.TrimRight(head[:at:at], "; \t\r\n"), (" FORMAT " + format + "\n")...)
	if q.req.Query != "" {
		text = append(text, head[at+1:]...)
	}
	return text, protocol.Read(text)
}

// insertData runs the statement before + '<file>' + after, where the file holds data.
func (q *query) insertData(before, after string, data io.Reader) error {
	limit := q.f.config.InsertLimit
	held, err := q.f.hold(io.LimitReader(data, limit))
	if err != nil {
		return err
	}
	defer held.free()
	if held.size < limit {
		return q.insertFrom(before, after, held.file)
	}
	if _, err := held.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("engine: hold the data of an INSERT: %w", err)
	}
	return q.insertPiped(before, after, io.MultiReader(held.file, data))
}

// holding is the data of an INSERT, complete: in memory, or on disk when all
// INSERTs together hold as much in memory as they may.
type holding struct {
	file   *os.File // without a name
	size   int64
	memory int64 // bytes to give back to budget
	budget *budget
}

func (h *holding) free() {
	_ = h.file.Close() // it is not wanted any more
	h.budget.give(h.memory)
}

// hold reads data to its end.
func (f *front) hold(data io.Reader) (*holding, error) {
	fd, err := unix.MemfdCreate("ombor-insert", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("engine: hold the data of an INSERT: %w", err)
	}
	h := &holding{file: os.NewFile(uintptr(fd), "ombor-insert"), budget: f.inserts}
	buf := make([]byte, copySize)
	for onDisk := false; ; {
		n, err := io.ReadFull(data, buf)
		if n > 0 && !onDisk && !f.inserts.take(int64(n)) {
			if err := f.spill(h); err != nil {
				h.free()
				return nil, err
			}
			onDisk = true
		}
		if n > 0 && !onDisk {
			h.memory += int64(n)
		}
		if _, failed := h.file.Write(buf[:n]); failed != nil {
			h.free()
			return nil, fmt.Errorf("engine: hold the data of an INSERT: %w", failed)
		}
		h.size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return h, nil
		}
		if err != nil {
			h.free()
			return nil, bodyError(err)
		}
	}
}

// spill moves what h holds to a file on disk that has no name.
func (f *front) spill(h *holding) error {
	disk, err := os.CreateTemp(filepath.Join(f.config.Path, "ombor"), "insert-")
	if err != nil {
		return fmt.Errorf("engine: hold the data of an INSERT on disk: %w", err)
	}
	err = os.Remove(disk.Name())
	if err == nil {
		_, err = h.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(disk, h.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("engine: hold the data of an INSERT on disk: %w", err), disk.Close())
	}
	memory := h.file
	h.file = disk
	h.budget.give(h.memory)
	h.memory = 0
	return memory.Close()
}

// budget bounds the bytes of INSERT data that are held in memory at once.
type budget struct {
	mu   sync.Mutex
	left int64
}

// take says whether n bytes were free, and takes them.
func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// copySize is how much of a body is copied at a time.
const copySize = 256 << 10

// onlyWriter hides what else a file can do: io.CopyBuffer would not use its buffer.
type onlyWriter struct{ io.Writer }

func (q *query) insertFrom(before, after string, file *os.File) error {
	r, err := q.conn.run(fmt.Appendf(nil, "%s'/proc/self/fd/%d'%s", before, file.Fd(), after), "Null", q.params())
	if err != nil {
		return err
	}
	defer r.free()
	q.count(r.counts())
	return nil
}

// insertPiped gives the engine data as it comes. When the data breaks off, the
// query is killed before the engine can take the end of the pipe for the end of the
// data; blocks that were committed before stay.
func (q *query) insertPiped(before, after string, data io.Reader) error {
	for _, p := range oneBlock {
		if _, ok := q.req.Setting(p.Name); !ok {
			if err := q.do("SET " + p.Name + " = DEFAULT"); err != nil {
				return err
			}
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("engine: stream an INSERT: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := q.insertFrom(before, after, r)
		// The engine has closed its own descriptor of the pipe; without ours a writer
		// that still waits is told that nobody reads.
		_ = r.Close()
		ended <- err
	}()
	_, broken := io.CopyBuffer(onlyWriter{w}, data, make([]byte, copySize))
	if broken == nil || errors.Is(broken, unix.EPIPE) {
		_ = w.Close() // a pipe has nothing to write out
		return <-ended
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if q.f.kill(q.mark) {
			break
		}
		select {
		case err := <-ended: // it failed before
			_ = w.Close() // likewise
			return err
		case <-again.C:
		}
	}
	_ = w.Close() // likewise
	<-ended       // cancelled, because its data broke off
	return bodyError(broken)
}
