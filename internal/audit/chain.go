package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Code vouches for an entry and all before it.
type Code [sha256.Size]byte

func (c Code) String() string { return hex.EncodeToString(c[:]) }

// MarshalText is hexadecimal.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Code) UnmarshalText(text []byte) error {
	if len(text) != 2*len(c) {
		return fmt.Errorf("a code has %d hexadecimal digits, not %d", 2*len(c), len(text))
	}
	_, err := hex.Decode(c[:], text)
	return err
}

// chain is a place in the log. Its messages are lines: the code in hexadecimal, a space, the entry as JSON.
type chain struct {
	key  []byte
	head Head
	last uint64 // message of the stream that holds the head
}

func (c *chain) code(entry []byte) Code {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(c.head.Code[:])
	mac.Write(entry)
	return Code(mac.Sum(nil))
}

// grow makes the message of a group behind the chain, and moves to its end.
func (c *chain) grow(group []*waiting, now time.Time) ([]byte, error) {
	var b bytes.Buffer
	for _, w := range group {
		w.entry.Number, w.entry.Time = c.head.Number+1, now.UTC().Truncate(time.Millisecond)
		w.number = w.entry.Number
		text, err := json.Marshal(&w.entry)
		if err != nil {
			return nil, err
		}
		c.head = Head{w.number, c.code(text)}
		b.WriteString(c.head.Code.String())
		b.WriteByte(' ')
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// fault is an entry that does not belong where it stands.
type fault struct {
	number uint64 // that should be there
	why    string
}

func (f *fault) Error() string { return fmt.Sprintf("entry %d %s", f.number, f.why) }

// follow reads a message that must go on behind the chain, calls fn (which may be nil) for each
// entry and moves to its end. With begin the message's first entry is taken at its word. An
// error is a [fault], or fn's.
func (c *chain) follow(data []byte, begin bool, fn func(Entry) error) error {
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return &fault{c.head.Number + 1, "is cut off"}
	}
	for line := range bytes.Lines(data) {
		should := c.head.Number + 1
		text, entry, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		var code Code
		var e Entry
		switch {
		case !found || code.UnmarshalText(text) != nil || json.Unmarshal(entry, &e) != nil:
			return &fault{should, "cannot be read"}
		case begin:
			begin = false
			c.head = Head{e.Number, code}
		case e.Number != should:
			return &fault{should, fmt.Sprintf("is missing: entry %d stands in its place", e.Number)}
		case c.code(entry) != code:
			return &fault{should, "is not what was written, or the one before it is not"}
		default:
			c.head = Head{should, code}
		}
		if fn != nil {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}
