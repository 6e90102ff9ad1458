package engine

import (
	"bytes"
	"encoding/binary"
)

// The engine streams an answer in chunks, and each chunk is a whole document of its
// format. chunks puts them together into one.
type chunks struct {
	first func([]byte) []byte // what the answer has of its first chunk
	next  func([]byte) []byte // what it has of each later one
	end   []byte              // what follows the last
}

// streamed are the formats whose chunks can be put together, by lower-case name.
// Others (JSON, Parquet, Pretty …) are made as one piece, in the engine's memory.
var streamed = map[string]chunks{}

func init() {
	whole := func(b []byte) []byte { return b }
	for _, name := range []string{
		"native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "tskv", "rawblob", "lineasstring",
		"jsoneachrow", "jsonlines", "ndjson", "jsonstringseachrow", "jsoncompacteachrow", "jsoncompactstringseachrow",
		"rowbinary", "null",
	} {
		streamed[name] = chunks{first: whole, next: whole}
	}
	headed := func(name string, next func([]byte) []byte) { streamed[name] = chunks{first: whole, next: next} }
	for name, lines := range map[string]int{
		"tabseparatedwithnames": 1, "tsvwithnames": 1, "tabseparatedrawwithnames": 1, "tsvrawwithnames": 1, "rawwithnames": 1,
		"tabseparatedwithnamesandtypes": 2, "tsvwithnamesandtypes": 2, "tabseparatedrawwithnamesandtypes": 2, "tsvrawwithnamesandtypes": 2,
		"jsoncompacteachrowwithnames": 1, "jsoncompactstringseachrowwithnames": 1,
		"jsoncompacteachrowwithnamesandtypes": 2, "jsoncompactstringseachrowwithnamesandtypes": 2,
	} {
		headed(name, func(b []byte) []byte { return withoutLines(b, lines) })
	}
	headed("csvwithnames", func(b []byte) []byte { return withoutRecords(b, 1) })
	headed("csvwithnamesandtypes", func(b []byte) []byte { return withoutRecords(b, 2) })
	headed("rowbinarywithnames", func(b []byte) []byte { return withoutStrings(b, 1) })
	headed("rowbinarywithnamesandtypes", func(b []byte) []byte { return withoutStrings(b, 2) })
	streamed["arrowstream"] = chunks{
		first: func(b []byte) []byte { return bytes.TrimSuffix(b, arrowEnd) },
		next:  func(b []byte) []byte { return bytes.TrimSuffix(withoutSchema(b), arrowEnd) },
		end:   arrowEnd,
	}
}

// arrowEnd is the end of an Arrow stream: the mark of a message, and no length
// (Arrow columnar format, "IPC Streaming Format").
var arrowEnd = []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}

// withoutSchema takes the schema off an Arrow stream: its first message, which is a
// mark, the length of its metadata, the metadata, and no body.
func withoutSchema(b []byte) []byte {
	if len(b) < 8 {
		return b
	}
	size := int64(binary.LittleEndian.Uint32(b[4:])) + 8
	if size > int64(len(b)) {
		return b
	}
	return b[size:]
}

func withoutLines(b []byte, n int) []byte {
	for ; n > 0; n-- {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return nil
		}
		b = b[i+1:]
	}
	return b
}

// withoutRecords takes off CSV records: a quoted name may hold a line break.
func withoutRecords(b []byte, n int) []byte {
	quoted := false
	for i, c := range b {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '\n' && !quoted:
			if n--; n == 0 {
				return b[i+1:]
			}
		}
	}
	return nil
}

// withoutStrings takes off RowBinary's head: a count, then the names, then perhaps
// the types.
func withoutStrings(b []byte, lists int) []byte {
	count, n := binary.Uvarint(b)
	if n <= 0 {
		return b
	}
	rest := b[n:]
	for i := uint64(0); i < count*uint64(lists); i++ {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return b
		}
		rest = rest[n+int(size):]
	}
	return rest
}
