package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/cespare/xxhash/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
)

// The envelope of a message, little-endian:
//
//	4 bytes   "OMBJ"
//	uint16    version: 2, or 3 when a part has pseudonyms of later keys than the first
//	uint16    number of parts
//	int64     received, milliseconds since 1970
//	for each part:
//	  uint16, bytes   length of the event type, event type
//	  uint16          version of the keys that its pseudonyms were made with, from 1; not in version 2: 1
//	  uint32          rows
//	  uint32          length of the body
//	  uint64          xxHash64 of the body
//	uint64    xxHash64 of everything above: the whole, since it covers the bodies' hashes
//	bodies    columns, as columns.go lays them out
const (
	magic        = "OMBJ"
	version      = 2
	versionKeyed = 3 // says of which keys the pseudonyms are

	// MaxMessage bounds a message in bytes; NATS takes 1 MB by default.
	MaxMessage = 900 << 10
	// MaxRows bounds the rows of a message: a row's sequence is message × 2²⁰ + row.
	MaxRows  = 1 << 20
	maxParts = 1 << 15
)

const (
	headerBytes = 4 + 2 + 2 + 8
	partBytes   = 2 + 2 + 4 + 4 + 8 // at most
	sumBytes    = 8
)

// block is one part, encoded.
type block struct {
	eventType  string
	pseudonyms int
	rows       int
	body       []byte
}

func (b *block) size() int { return partBytes + len(b.eventType) + len(b.body) }

// seal appends the envelope of blocks.
func seal(out []byte, received time.Time, blocks []block) []byte {
	n := headerBytes + sumBytes
	for i := range blocks {
		n += blocks[i].size()
	}
	begin := len(out)
	out = slices.Grow(out, n)
	le := binary.LittleEndian
	out = append(out, magic...)
	keyed := slices.ContainsFunc(blocks, func(b block) bool { return b.pseudonyms > 1 })
	if keyed {
		out = le.AppendUint16(out, versionKeyed)
	} else {
		out = le.AppendUint16(out, version)
	}
	out = le.AppendUint16(out, uint16(len(blocks)))
	out = le.AppendUint64(out, uint64(received.UnixMilli()))
	for i := range blocks {
		b := &blocks[i]
		out = le.AppendUint16(out, uint16(len(b.eventType)))
		out = append(out, b.eventType...)
		if keyed {
			out = le.AppendUint16(out, uint16(max(b.pseudonyms, 1)))
		}
		out = le.AppendUint32(out, uint32(b.rows))
		out = le.AppendUint32(out, uint32(len(b.body)))
		out = le.AppendUint64(out, xxhash.Sum64(b.body))
	}
	out = le.AppendUint64(out, xxhash.Sum64(out[begin:]))
	for i := range blocks {
		out = append(out, blocks[i].body...)
	}
	return out
}

// sealedPart is one part of an envelope before its body is read.
type sealedPart struct {
	eventType  string
	pseudonyms int
	rows       int
	body       []byte
	sum        uint64
}

var errEnvelope = errors.New("the envelope is damaged")

// unseal checks an envelope and finds its parts; their bodies are not checked yet.
func unseal(data []byte) (received time.Time, parts []sealedPart, err error) {
	le := binary.LittleEndian
	if len(data) < headerBytes+sumBytes || string(data[:4]) != magic {
		return received, nil, fmt.Errorf("%w: it does not begin as one", errEnvelope)
	}
	v := le.Uint16(data[4:])
	if v != version && v != versionKeyed {
		return received, nil, fmt.Errorf("%w or of another version of Ombor: version %d", errEnvelope, v)
	}
	count := int(le.Uint16(data[6:]))
	received = time.UnixMilli(int64(le.Uint64(data[8:]))).UTC()
	at := headerBytes
	lengths := make([]int, 0, min(count, 1024))
	rows, least := 0, partBytes
	if v == version {
		least -= 2
	}
	for range count {
		if len(data)-at < least {
			return received, nil, fmt.Errorf("%w: it is cut off", errEnvelope)
		}
		n := int(le.Uint16(data[at:]))
		if len(data)-at < least+n {
			return received, nil, fmt.Errorf("%w: it is cut off", errEnvelope)
		}
		p := sealedPart{eventType: string(data[at+2 : at+2+n]), pseudonyms: 1}
		at += 2 + n
		if v == versionKeyed {
			p.pseudonyms = int(le.Uint16(data[at:]))
			at += 2
		}
		p.rows = int(le.Uint32(data[at:]))
		lengths = append(lengths, int(le.Uint32(data[at+4:])))
		p.sum = le.Uint64(data[at+8:])
		at += 16
		if rows += p.rows; rows > MaxRows {
			return received, nil, fmt.Errorf("%w: more than %d rows", errEnvelope, MaxRows)
		}
		parts = append(parts, p)
	}
	if len(data)-at < sumBytes || le.Uint64(data[at:]) != xxhash.Sum64(data[:at]) {
		return received, nil, fmt.Errorf("%w: its checksum is wrong", errEnvelope)
	}
	at += sumBytes
	for i := range parts {
		if len(data)-at < lengths[i] {
			return received, nil, fmt.Errorf("%w: a body is cut off", errEnvelope)
		}
		parts[i].body = data[at : at+lengths[i]]
		at += lengths[i]
	}
	if at != len(data) {
		return received, nil, fmt.Errorf("%w: %d bytes are left over", errEnvelope, len(data)-at)
	}
	return received, parts, nil
}

// open reads a part's record; known is the schema that it most likely has, or nil. The
// record refers to the message's bytes.
func (p *sealedPart) open(known *arrow.Schema) (arrow.Record, error) {
	if sum := xxhash.Sum64(p.body); sum != p.sum {
		return nil, fmt.Errorf("its checksum is %016x, the envelope says %016x", sum, p.sum)
	}
	return unpack(p.body, p.rows, known)
}

// encode writes a part as blocks of at most MaxMessage each, in order of rows.
// perRow is the expected number of bytes of a row, 0 when unknown.
func encode(part contract.Part, perRow float64) ([]block, error) {
	rows := int(part.Record.NumRows())
	room := MaxMessage - headerBytes - sumBytes - partBytes - len(part.Contract.Type)
	each := rows
	if perRow > 0 {
		each = max(1, int(float64(room)*0.95/perRow))
	}
	if pieces := (rows + each - 1) / each; pieces > 1 {
		each = (rows + pieces - 1) / pieces // of equal size
	}
	var blocks []block
	for start := 0; start < rows; {
		n := min(each, rows-start, MaxRows)
		body, err := encodeRows(part.Record, start, start+n)
		if err != nil {
			return nil, problem.Wrap(err, problem.Internal, "journal: encode", "a batch of %s cannot be written", part.Contract.Type)
		}
		if len(body) > room {
			if n == 1 {
				return nil, problem.New(problem.TooLarge, "an event of %s is larger than %d KB", part.Contract.Type, MaxMessage>>10)
			}
			each = max(1, min(n-1, int(float64(n)*float64(room)*0.9/float64(len(body)))))
			continue
		}
		blocks = append(blocks, block{part.Contract.Type, part.Pseudonyms, n, body})
		start += n
	}
	return blocks, nil
}

// bodies are buffers in which bodies are made before their size is known.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

func encodeRows(rec arrow.Record, start, end int) ([]byte, error) {
	buf := bodies.Get().(*[]byte)
	defer bodies.Put(buf)
	body, err := pack((*buf)[:0], rec, start, end)
	if err != nil {
		return nil, err
	}
	*buf = body
	return bytes.Clone(body), nil
}
