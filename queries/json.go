package queries

import (
	"bytes"
	"encoding/json"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"ombor/internal/reference"
)

// cellKeys are the fixed keys of a cell's JSON form.
var cellKeys = map[string]bool{"period": true, "from": true, "to": true, "numerator": true, "denominator": true,
	"value": true, "state": true, "reason": true, "cases": true, "quantiles": true, "open": true, "closed": true, "unclosed": true,
	"corrected": true, "was": true, "was_state": true, "simulated": true,
	"coverage": true, "comparison": true, "target": true, "status": true}

// Key is the JSON key of a dimension in a cell.
func (d Dim) Key() string {
	if cellKeys[d.Name] {
		return "by." + d.Name
	}
	return d.Name
}

// manyCells is how many cells are worth a core of their own.
const manyCells = 1000

// headRoom is for what stands between and after the cells, and a line's end.
const headRoom = 64

// written are buffers for cells that somebody has written before: of a wide answer they are some megabytes, which
// would be touched for the first time with each.
var written = sync.Pool{New: func() any { return new([]byte) }}

// AppendJSON appends the result as a [json.Encoder] writes it that does not escape for HTML, in a tenth of the
// time when there are thousands of cells: all cores write them, and what cells share is made into text once.
func (r *Result) AppendJSON(b []byte) ([]byte, error) {
	head := *r
	head.Cells, head.Plan = nil, nil
	text, err := plainJSON(head)
	if err != nil {
		return nil, err
	}
	if r.Cells == nil {
		b = append(b, bytes.TrimSuffix(text, []byte("}"))...)
	} else {
		parts := make([]*[]byte, max(1, min(runtime.GOMAXPROCS(0), len(r.Cells)/manyCells)))
		var group errgroup.Group
		for i := range parts {
			parts[i] = written.Get().(*[]byte)
			group.Go(func() (err error) {
				*parts[i], err = appendCells((*parts[i])[:0], r.Cells[i*len(r.Cells)/len(parts):(i+1)*len(r.Cells)/len(parts)])
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		size := len(text) + headRoom
		for _, part := range parts {
			size += len(*part)
		}
		b = append(append(slices.Grow(b, size), bytes.TrimSuffix(text, []byte("null}"))...), '[') // the cells are its last key
		for i, part := range parts {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, *part...)
			written.Put(part)
		}
		b = append(b, ']')
	}
	if r.Plan != nil {
		if text, err = plainJSON(r.Plan); err != nil {
			return nil, err
		}
		b = append(append(b, `,"plan":`...), text...)
	}
	return append(b, '}'), nil
}

func plainJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// appendCells appends cells one after the other, with commas between.
func appendCells(b []byte, cells []Cell) (_ []byte, err error) {
	var w cellWriter
	for i := range cells {
		if i == 1 {
			b = slices.Grow(b, (len(cells)-1)*(len(b)+len(b)/4)) // about as long as the first
		}
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = w.append(b, &cells[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// MarshalJSON writes the cell with its dimensions beside the fixed keys.
func (c Cell) MarshalJSON() ([]byte, error) {
	var w cellWriter
	return w.append(nil, &c)
}

// cellWriter writes cells, and remembers what the one before had that the next may share.
type cellWriter struct {
	coverage *Coverage
	told     []byte // the coverage
	from, to reference.Day
	days     []byte // "from" and "to"
}

func (w *cellWriter) append(b []byte, c *Cell) (_ []byte, err error) {
	if w.days == nil || w.from != c.From || w.to != c.To {
		w.from, w.to = c.From, c.To
		w.days = appendDate(append(appendDate([]byte(`,"from":`), dateOf(c.From)), `,"to":`...), dateOf(c.To))
	}
	if w.coverage != c.Coverage {
		if w.told, err = json.Marshal(c.Coverage); err != nil {
			return nil, err
		}
		w.coverage = c.Coverage
	}
	b = append(appendText(append(b, `{"period":`...), c.Period), w.days...)
	for _, d := range c.Dims {
		b = appendText(append(appendText(append(b, ','), d.Key()), ':'), d.Value)
	}
	b = appendNumber(append(b, `,"numerator":`...), c.Numerator)
	b = appendNumber(append(b, `,"denominator":`...), c.Denominator)
	b = appendFloat(append(b, `,"value":`...), c.Value)
	b = appendText(append(b, `,"state":`...), string(c.State))
	if c.Reason != "" {
		b = appendText(append(b, `,"reason":`...), c.Reason)
	}
	if b = append(b, `,"cases":`...); c.Cases == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, *c.Cases, 10)
	}
	if c.Quantiles != nil {
		b = append(b, `,"quantiles":[`...)
		for i, q := range c.Quantiles {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendFloat(append(b, `{"q":`...), &q.Q)
			b = append(appendFloat(append(b, `,"value":`...), &q.Value), '}')
		}
		b = append(b, ']')
	}
	b = strconv.AppendBool(append(b, `,"open":`...), c.Open())
	b = appendDate(append(b, `,"closed":`...), c.Closed)
	if c.Unclosed != nil {
		b = append(b, `,"unclosed":[`...)
		for i, source := range c.Unclosed {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, source)
		}
		b = append(b, ']')
	}
	if b = appendDate(append(b, `,"corrected":`...), c.Corrected); c.Corrected.Set {
		b = appendFloat(append(b, `,"was":`...), c.Was)
		b = appendText(append(b, `,"was_state":`...), string(c.WasState))
	}
	b = strconv.AppendBool(append(b, `,"simulated":`...), c.Simulated)
	if b = append(b, `,"coverage":`...); c.Coverage == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, w.told...)
	}
	if c.Comparison != nil {
		text, err := json.Marshal(c.Comparison)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"comparison":`...), text...)
	}
	if c.Status != "" {
		b = appendFloat(append(b, `,"target":`...), c.Target)
		b = appendText(append(b, `,"status":`...), string(c.Status))
	}
	return append(b, '}'), nil
}

// The following append what [json.Marshal] gives.

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // a string always marshals
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendNumber(b []byte, n Number) []byte {
	if n == "" {
		return append(b, "null"...)
	}
	return append(b, n...)
}

func appendFloat(b []byte, f *float64) []byte {
	if f == nil {
		return append(b, "null"...)
	}
	if size := math.Abs(*f); size == 0 || size >= 1e-6 && size < 1e21 {
		return strconv.AppendFloat(b, *f, 'f', -1, 64)
	}
	text, err := json.Marshal(*f)
	if err != nil { // not a number: no cell has one
		return append(b, "null"...)
	}
	return append(b, text...)
}

func appendDate(b []byte, d Date) []byte {
	if !d.Set {
		return append(b, "null"...)
	}
	return append(append(append(b, '"'), d.String()...), '"')
}
