package engine

import (
	"bytes"
	"encoding/binary"
)

// The engine streams an answer in chunks, and each chunk is a whole document of
// its format. continuations says of each format whose chunks can be put together
// what has to be taken off the second and later ones. Other formats (JSON,
// Parquet, Pretty …) are made as one piece, in the engine's memory.
var continuations = map[string]func([]byte) []byte{}

func init() {
	for _, name := range []string{
		"native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "tskv", "rawblob", "lineasstring",
		"jsoneachrow", "jsonlines", "ndjson", "jsonstringseachrow", "jsoncompacteachrow", "jsoncompactstringseachrow",
		"rowbinary", "null",
	} {
		continuations[name] = func(b []byte) []byte { return b }
	}
	for name, lines := range map[string]int{
		"tabseparatedwithnames": 1, "tsvwithnames": 1, "tabseparatedrawwithnames": 1, "tsvrawwithnames": 1, "rawwithnames": 1,
		"tabseparatedwithnamesandtypes": 2, "tsvwithnamesandtypes": 2, "tabseparatedrawwithnamesandtypes": 2, "tsvrawwithnamesandtypes": 2,
		"jsoncompacteachrowwithnames": 1, "jsoncompactstringseachrowwithnames": 1,
		"jsoncompacteachrowwithnamesandtypes": 2, "jsoncompactstringseachrowwithnamesandtypes": 2,
	} {
		continuations[name] = func(b []byte) []byte { return withoutLines(b, lines) }
	}
	continuations["csvwithnames"] = func(b []byte) []byte { return withoutRecords(b, 1) }
	continuations["csvwithnamesandtypes"] = func(b []byte) []byte { return withoutRecords(b, 2) }
	continuations["rowbinarywithnames"] = func(b []byte) []byte { return withoutStrings(b, 1) }
	continuations["rowbinarywithnamesandtypes"] = func(b []byte) []byte { return withoutStrings(b, 2) }
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
