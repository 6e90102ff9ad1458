package columnar

import "encoding/binary"

// flat is a table in a FlatBuffer (https://flatbuffers.dev/internals): a position, where
// the distance back to its list of members stands. Every access is checked; what lies
// outside the buffer is [damage].
type flat struct {
	b  []byte
	at int
}

func root(b []byte) flat {
	f := flat{b, 0}
	return flat{b, f.follow(0)}
}

func (f flat) bytes(at, n int) []byte {
	if at < 0 || n < 0 || at > len(f.b)-n {
		damaged("the metadata points outside itself")
	}
	return f.b[at : at+n]
}

func (f flat) u32(at int) uint32 { return binary.LittleEndian.Uint32(f.bytes(at, 4)) }

// follow is where the offset at a position leads.
func (f flat) follow(at int) int { return at + int(f.u32(at)) }

// member is the position of a member, 0 when it is not there.
func (f flat) member(slot int) int {
	if f.b == nil {
		return 0
	}
	list := f.at - int(int32(f.u32(f.at)))
	size := int(binary.LittleEndian.Uint16(f.bytes(list, 2)))
	if at := 4 + 2*slot; at+2 <= size {
		if offset := int(binary.LittleEndian.Uint16(f.bytes(list+at, 2))); offset != 0 {
			return f.at + offset
		}
	}
	return 0
}

func (f flat) has(slot int) bool { return f.member(slot) != 0 }

func (f flat) byte(slot int, otherwise byte) byte {
	if at := f.member(slot); at != 0 {
		return f.bytes(at, 1)[0]
	}
	return otherwise
}

func (f flat) int16(slot int, otherwise int16) int16 {
	if at := f.member(slot); at != 0 {
		return int16(binary.LittleEndian.Uint16(f.bytes(at, 2)))
	}
	return otherwise
}

func (f flat) int32(slot int, otherwise int32) int32 {
	if at := f.member(slot); at != 0 {
		return int32(f.u32(at))
	}
	return otherwise
}

func (f flat) int64(slot int) int64 {
	if at := f.member(slot); at != 0 {
		return int64(binary.LittleEndian.Uint64(f.bytes(at, 8)))
	}
	return 0
}

// table is a member that is a table; one that is not there has no members.
func (f flat) table(slot int) flat {
	if at := f.member(slot); at != 0 {
		return flat{f.b, f.follow(at)}
	}
	return flat{}
}

// text is a member that is a string, in place.
func (f flat) text(slot int) []byte {
	at := f.member(slot)
	if at == 0 {
		return nil
	}
	at = f.follow(at)
	return f.bytes(at+4, int(f.u32(at)))
}

// vector is the length of a member that is a list of offsets.
func (f flat) vector(slot int) int {
	at := f.member(slot)
	if at == 0 {
		return 0
	}
	at = f.follow(at)
	n := int(f.u32(at))
	f.bytes(at+4, 4*n)
	return n
}

// element is an element of such a list.
func (f flat) element(slot, i int) flat {
	at := f.follow(f.member(slot)) + 4 + 4*i
	return flat{f.b, f.follow(at)}
}

// pairs is the length of a list of structs.
func (f flat) pairs(slot int) int {
	if at := f.member(slot); at != 0 {
		return int(f.u32(f.follow(at)))
	}
	return 0
}

// pair is half of element i of a list of pairs of 64-bit numbers: the half at byte 0 or 8.
func (f flat) pair(slot, i, half int) int64 {
	at := f.member(slot)
	if at == 0 {
		damaged("a batch has no buffers")
	}
	at = f.follow(at)
	if i >= int(f.u32(at)) {
		damaged("a batch has too few buffers")
	}
	return int64(binary.LittleEndian.Uint64(f.bytes(at+4+16*i+half, 8)))
}
