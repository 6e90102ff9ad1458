package stream

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/minio/highwayhash"
	"golang.org/x/sync/errgroup"

	"ombor/internal/problem"
)

// The files of a JetStream stream are msgs/<n>.blk below jetstream/<account>/streams/<stream>:
// records, one after the other, little-endian ("Formats" in filestore.go of NATS 2.15):
//
//	uint32  length of the record; the highest bit is set when the message has headers
//	uint64  sequence; the highest bits are set for what was erased, and for marks of deletion
//	int64   nanoseconds since 1970
//	uint16  length of the subject
//	bytes   subject; with headers: uint32 their length, headers; message
//	8 bytes HighwayHash-64 of sequence, time, subject, headers and message, under the
//	        SHA-256 of "<stream>-<n>" as the key
const (
	recordHead = 22
	recordSum  = 8
	recordMax  = 32 << 20
	withHeader = 1 << 31
	marked     = 3 << 62 // erased, or a mark of deletion
)

// mendBytes is how much is looked through, newest first, when the server was stopped in
// order: what is not loaded yet is there. After a crash the server itself reads everything, and cuts
// it where it finds damage, so everything is looked through before.
const mendBytes = 4 << 30

// cleanFile says that the server was stopped in order.
const cleanFile = "stopped"

// mend looks through the blocks below dir and seals damaged records again. It returns
// how many there were.
func mend(dir string, log *slog.Logger) (int, error) {
	clean := true
	switch err := os.Remove(filepath.Join(dir, cleanFile)); {
	case errors.Is(err, os.ErrNotExist):
		clean = false
	case err != nil:
		return 0, problem.Wrap(err, problem.Unavailable, "stream: open", "the journal's folder %s cannot be written", dir)
	}
	type block struct {
		path string
		info os.FileInfo
	}
	var blocks []block
	paths, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return 0, problem.Wrap(err, problem.Unavailable, "stream: open", "the journal's file %s cannot be read", path)
		}
		blocks = append(blocks, block{path, info})
	}
	slices.SortFunc(blocks, func(a, b block) int { return cmp.Compare(b.info.ModTime().UnixNano(), a.info.ModTime().UnixNano()) })
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	counts := make([]int, len(blocks))
	read := int64(0)
	for i, b := range blocks {
		if clean && read > mendBytes {
			break
		}
		read += b.info.Size()
		group.Go(func() (err error) {
			counts[i], err = mendBlock(b.path, log)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, problem.Wrap(err, problem.Unavailable, "stream: open", "the journal's files in %s cannot be looked through", dir)
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	return total, nil
}

// stopped notes that the server was stopped in order. Without the note more is read at the
// next start, so an error is no harm.
func stopped(dir string) { _ = os.WriteFile(filepath.Join(dir, cleanFile), nil, 0o600) }

// records reads the records of one block.
type records struct {
	stream  string
	subject string // of every message; "" when they differ
	hash    *highwayhash.Digest64
	buf     []byte
}

// record is where one stands in the block.
type record struct {
	at, end int
	seq     uint64
	time    int64
	marked  bool
	sane    bool // its lengths can be right
	good    bool // its checksum is right
}

func (r *records) parse(at int) record {
	le := binary.LittleEndian
	rec := record{at: at}
	if len(r.buf)-at < recordHead+recordSum {
		return rec
	}
	length := le.Uint32(r.buf[at:])
	headers := length&withHeader != 0
	rec.end = at + int(length&^withHeader)
	seq := le.Uint64(r.buf[at+4:])
	rec.seq, rec.marked = seq&^marked, seq&marked != 0
	rec.time = int64(le.Uint64(r.buf[at+12:]))
	subject := int(le.Uint16(r.buf[at+20:]))
	least := recordHead + subject + recordSum
	if headers {
		least += 4
	}
	if n := rec.end - at; n < least || n > recordMax || rec.end > len(r.buf) {
		return rec
	}
	rec.sane = true
	// The checksum does not cover the subject's length, only where it ends with headers.
	ours := r.subject == "" || rec.marked || rec.seq == 0 || string(r.buf[at+recordHead:at+recordHead+subject]) == r.subject
	rec.good = ours && bytes.Equal(r.sum(rec, subject, headers), r.buf[rec.end-recordSum:rec.end])
	return rec
}

// sum is the checksum of a record.
func (r *records) sum(rec record, subject int, headers bool) []byte {
	r.hash.Reset()
	r.hash.Write(r.buf[rec.at+4 : rec.at+20])
	data := r.buf[rec.at+recordHead : rec.end-recordSum]
	r.hash.Write(data[:subject])
	if headers {
		subject += 4
	}
	r.hash.Write(data[subject:])
	return r.hash.Sum(nil)
}

// next is the first good record behind a damaged one; its end is the block's when there is none.
func (r *records) next(bad record, last uint64) (record, bool) {
	if bad.sane {
		if n := r.parse(bad.end); n.good {
			return n, true
		}
		if bad.end == len(r.buf) {
			return record{at: bad.end}, false
		}
	}
	le := binary.LittleEndian
	for at := bad.at + recordHead + recordSum; at+recordHead+recordSum <= len(r.buf); at++ {
		// Cheap tests first.
		seq := le.Uint64(r.buf[at+4:]) &^ marked
		if seq <= last || last > 0 && seq > last+1<<20 {
			continue
		}
		if subject := int(le.Uint16(r.buf[at+20:])); r.subject != "" && subject != 0 && subject != len(r.subject) {
			continue
		}
		if n := r.parse(at); n.good {
			return n, true
		}
	}
	return record{at: len(r.buf)}, false
}

// reseal makes a good record of the bytes from bad to end. When only a length was damaged
// nothing is lost: lengths are not part of the checksum. Else the record keeps its
// bytes and gets a new checksum, and the message's own checksums tell what is wrong.
// Half a record at the end of a block, which was never acknowledged, is left alone.
func (r *records) reseal(bad record, end int, last record, next record, followed bool) (what string, ok bool) {
	le := binary.LittleEndian
	size := end - bad.at
	subject := len(r.subject)
	if size > recordMax || size < recordHead+subject+recordSum {
		return "", false
	}
	whole := record{at: bad.at, end: end}
	for _, headers := range []bool{false, true} {
		if r.subject == "" || headers && size < recordHead+subject+4+recordSum {
			continue
		}
		if bytes.Equal(r.sum(whole, subject, headers), r.buf[end-recordSum:end]) {
			length := uint32(size)
			if headers {
				length |= withHeader
			}
			le.PutUint32(r.buf[bad.at:], length)
			le.PutUint16(r.buf[bad.at+20:], uint16(subject))
			return "a length was damaged; nothing is lost", true
		}
	}
	if !followed && (!bad.sane || bad.end != end) {
		return "", false
	}
	if r.subject == "" && (!bad.sane || bad.end != end) {
		return "", false
	}
	seq := bad.seq
	switch {
	case last.seq > 0:
		seq = last.seq + 1
	case followed && next.seq > 1 && !next.marked:
		seq = next.seq - 1
	}
	if followed && !next.marked && seq >= next.seq {
		return "", false
	}
	headers := le.Uint32(r.buf[bad.at:])&withHeader != 0 && bad.sane && bad.end == end
	length := uint32(size)
	if headers {
		length |= withHeader
	}
	le.PutUint32(r.buf[bad.at:], length)
	le.PutUint64(r.buf[bad.at+4:], seq)
	if last.seq > 0 && (bad.time < last.time || followed && bad.time > next.time) {
		le.PutUint64(r.buf[bad.at+12:], uint64(last.time))
	}
	if r.subject != "" {
		le.PutUint16(r.buf[bad.at+20:], uint16(subject))
		copy(r.buf[bad.at+recordHead:], r.subject)
	} else {
		subject = int(le.Uint16(r.buf[bad.at+20:]))
	}
	copy(r.buf[end-recordSum:end], r.sum(whole, subject, headers))
	return fmt.Sprintf("message %d is damaged", seq), true
}

// blockBytes is the usual size of a block.
const blockBytes = 8<<20 + 1<<20

// buffers hold a block each.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// mendBlock looks through one block.
func mendBlock(path string, log *slog.Logger) (int, error) {
	index := strings.TrimSuffix(filepath.Base(path), ".blk")
	name := filepath.Base(filepath.Dir(filepath.Dir(path)))
	key := sha256.Sum256([]byte(name + "-" + index))
	hash, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return 0, err
	}
	r := &records{stream: name, hash: hash}
	if !strings.HasPrefix(name, "KV_") {
		r.subject = "ombor." + name
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	if int64(cap(*buffer)) < info.Size() {
		*buffer = make([]byte, max(info.Size(), blockBytes))
	}
	r.buf = (*buffer)[:info.Size()]
	if _, err := io.ReadFull(f, r.buf); err != nil {
		return 0, err
	}
	mended := 0
	var last record // of a message
	for at := 0; at < len(r.buf); {
		rec := r.parse(at)
		if rec.good {
			if !rec.marked && rec.seq > last.seq {
				last = rec
			}
			at = rec.end
			continue
		}
		next, followed := r.next(rec, last.seq)
		end := next.at
		if !followed {
			end = len(r.buf)
		}
		what, ok := r.reseal(rec, end, last, next, followed)
		if !ok {
			if followed {
				return mended, fmt.Errorf("%s is damaged at byte %d, and what it was cannot be told", path, at)
			}
			log.Warn("stream: half a record at the end of a block is left to the server", "stream", name, "file", path, "byte", at)
			break
		}
		log.Error("stream: damage on disk", "stream", name, "file", path, "byte", at, "what", what)
		if _, err := f.WriteAt(r.buf[at:end], int64(at)); err != nil {
			return mended, err
		}
		mended++
		last = r.parse(at)
		at = end
	}
	if mended > 0 {
		return mended, f.Sync()
	}
	return 0, nil
}
