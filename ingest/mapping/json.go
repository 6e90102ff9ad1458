package mapping

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"ombor/internal/contract"
)

// objectRows reads NDJSON, one object a line. A column is a key, or keys of objects
// inside objects joined by points. Objects leave out what they have nothing to say
// of, so an absent key is an empty cell; which keys there are at all is taken from
// the objects in the first 64 KiB.
type objectRows struct {
	w       *window
	names   []string
	cells   [][]byte
	line    []byte
	place   Place
	counted func() int64
}

func newObjectRows(w *window, optional []string, place Place, counted func() int64) *objectRows {
	o := &objectRows{w: w, place: place, counted: counted}
	for len(w.unread()) < 64<<10 && w.fill() {
	}
	o.names = append(o.names, optional...)
	for line := range bytes.Lines(w.unread()) {
		if object, err := parseObject(line); err == nil {
			o.names = addKeys(o.names, "", object)
		}
	}
	o.cells = make([][]byte, len(o.names))
	return o
}

func addKeys(names []string, path string, object map[string]any) []string {
	for key, value := range object {
		name := path + key
		if inner, ok := value.(map[string]any); ok {
			names = addKeys(names, name+".", inner)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func parseObject(line []byte) (map[string]any, error) {
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errTrailing
	}
	if object == nil {
		return nil, errTrailing
	}
	return object, nil
}

var errTrailing = refuse(contract.BadJSON, "the line holds something else than one JSON object")

func (o *objectRows) columns() []string { return o.names }
func (o *objectRows) raw() []byte       { return o.line }
func (o *objectRows) at() Place         { return o.place }
func (o *objectRows) close() error      { return nil }

func (o *objectRows) next(ctx context.Context) ([][]byte, error) {
	for {
		line, number, err := o.w.nextLine(ctx)
		o.place.Line, o.place.Bytes = number, o.counted()
		if err != nil {
			if isFault(err) {
				o.place.Row++
			}
			return nil, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		o.place.Row++
		o.line = line
		if !utf8.Valid(line) {
			return nil, refuse(contract.InvalidUTF8, "the line is not text in the declared encoding")
		}
		object, err := parseObject(line)
		if err != nil {
			return nil, refuse(contract.BadJSON, "the line is no JSON object: %s", strings.TrimPrefix(err.Error(), contract.BadJSON+": "))
		}
		for i, name := range o.names {
			o.cells[i] = jsonCell(o.cells[i][:0], object, name)
		}
		return o.cells, nil
	}
}

func jsonCell(dst []byte, object map[string]any, name string) []byte {
	value, ok := object[name]
	for rest := name; !ok; {
		head, tail, more := strings.Cut(rest, ".")
		if !more {
			break
		}
		inner, is := object[head].(map[string]any)
		if !is {
			return dst
		}
		object, rest = inner, tail
		value, ok = object[rest]
	}
	switch v := value.(type) {
	case nil:
		return dst
	case string:
		return append(dst, v...)
	case json.Number:
		return append(dst, v...)
	case bool:
		if v {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return dst // what was just read can be written
		}
		return append(dst, text...)
	}
}
