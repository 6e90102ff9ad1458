package columnar

import "encoding/binary"

// thrift reads Thrift's compact protocol
// (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md),
// in which Parquet writes its metadata. What lies outside the bytes is [damage].
type thrift struct {
	b  []byte
	at int
}

// Types of fields and elements.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

func (t *thrift) take(n int) []byte {
	if n < 0 || n > len(t.b)-t.at {
		damaged("the metadata is cut off")
	}
	t.at += n
	return t.b[t.at-n : t.at]
}

func (t *thrift) unsigned() uint64 {
	n, size := binary.Uvarint(t.b[t.at:])
	if size <= 0 {
		damaged("the metadata is cut off")
	}
	t.at += size
	return n
}

func (t *thrift) integer() int64 {
	n := t.unsigned()
	return int64(n>>1) ^ -int64(n&1)
}

func (t *thrift) binary() []byte {
	n := t.unsigned()
	if n > uint64(len(t.b)-t.at) {
		damaged("the metadata is cut off")
	}
	return t.take(int(n))
}

// object reads a struct: each field is given to the function, which reads it, or says
// that it did not.
func (t *thrift) object(field func(id int, kind byte) bool) {
	id := 0
	for {
		head := t.take(1)[0]
		if head == 0 {
			return
		}
		if delta := int(head >> 4); delta != 0 {
			id += delta
		} else {
			id = int(t.integer())
		}
		if kind := head & 15; !field(id, kind) {
			t.skip(kind, 0)
		}
	}
}

// list reads a list: each element is given to the function, which reads it.
func (t *thrift) list(element func(kind byte)) {
	head := t.take(1)[0]
	n := uint64(head >> 4)
	if n == 15 {
		n = t.unsigned()
	}
	if n > uint64(len(t.b)-t.at) { // an element has a byte at least
		damaged("the metadata is cut off")
	}
	for range n {
		element(head & 15)
	}
}

// maxNesting is deeper than Parquet's metadata nests.
const maxNesting = 16

func (t *thrift) skip(kind byte, depth int) {
	if depth > maxNesting {
		damaged("the metadata is nested too deep")
	}
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		t.take(1)
	case thriftI16, thriftI32, thriftI64:
		t.unsigned()
	case thriftDouble:
		t.take(8)
	case thriftBinary:
		t.binary()
	case thriftList, thriftSet:
		t.list(func(kind byte) {
			if kind == thriftTrue || kind == thriftFalse {
				t.take(1)
				return
			}
			t.skip(kind, depth+1)
		})
	case thriftMap:
		n := t.unsigned()
		if n == 0 {
			return
		}
		if n > uint64(len(t.b)-t.at) {
			damaged("the metadata is cut off")
		}
		kinds := t.take(1)[0]
		for range n {
			t.skip(kinds>>4, depth+1)
			t.skip(kinds&15, depth+1)
		}
	case thriftStruct:
		t.object(func(_ int, kind byte) bool {
			t.skip(kind, depth+1)
			return true
		})
	default:
		damaged("the metadata has a type %d", kind)
	}
}

// Typed fields: each reads the field when it has the type, and says whether it did.

func (t *thrift) number(kind byte, into *int64) bool {
	switch kind {
	case thriftI16, thriftI32, thriftI64:
		*into = t.integer()
		return true
	case thriftByte:
		*into = int64(int8(t.take(1)[0]))
		return true
	}
	return false
}

// numbers reads the fields of a struct whose places are given by their order, field 1 first; nil is
// a field that is not wanted.
func (t *thrift) numbers(places ...*int64) func(id int, kind byte) bool {
	return func(id int, kind byte) bool {
		return id >= 1 && id <= len(places) && places[id-1] != nil && t.number(kind, places[id-1])
	}
}

func (t *thrift) text(kind byte, into *[]byte) bool {
	if kind != thriftBinary {
		return false
	}
	*into = t.binary()
	return true
}

func (t *thrift) boolean(kind byte, into *bool) bool {
	*into = kind == thriftTrue
	return kind == thriftTrue || kind == thriftFalse
}

func (t *thrift) structure(kind byte, field func(id int, kind byte) bool) bool {
	if kind != thriftStruct {
		return false
	}
	t.object(field)
	return true
}

func (t *thrift) elements(kind byte, element func(kind byte)) bool {
	if kind != thriftList {
		return false
	}
	t.list(element)
	return true
}
