package journal

import (
	"testing"
	"time"
)

// An envelope says of which keys its parts' pseudonyms are, and is of the older version while all are of
// the first, so that a program before keys could be rotated reads it.
func TestEnvelopeSaysOfWhichKeys(t *testing.T) {
	for _, versions := range [][]int{{0, 1}, {1, 2}, {3}} {
		var blocks []block
		keyed := false
		for _, v := range versions {
			blocks = append(blocks, block{"test.request.decided.v1", v, 2, []byte("body")})
			keyed = keyed || v > 1
		}
		data := seal(nil, time.UnixMilli(5), blocks)
		if want := map[bool]byte{false: version, true: versionKeyed}[keyed]; data[4] != want {
			t.Errorf("%v: envelope of version %d, want %d", versions, data[4], want)
		}
		size := headerBytes + sumBytes
		for i := range blocks {
			size += blocks[i].size()
		}
		if len(data) > size {
			t.Errorf("%v: %d bytes, at most %d were expected", versions, len(data), size)
		}
		_, parts, err := unseal(data)
		if err != nil || len(parts) != len(versions) {
			t.Fatalf("%v: %d parts, %v", versions, len(parts), err)
		}
		for i, p := range parts {
			if p.pseudonyms != max(versions[i], 1) || p.rows != 2 || string(p.body) != "body" {
				t.Errorf("%v: part %d is %+v", versions, i, p)
			}
		}
		for cut := range data {
			if _, _, err := unseal(data[:cut]); err == nil {
				t.Fatalf("%v: cut at %d it is read", versions, cut)
			}
		}
	}
}
