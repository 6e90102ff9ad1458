package ingest

import (
	"errors"
	"io"
	"net/http"

	"ombor/ingest/columnar"
	"ombor/internal/problem"
)

// columns reads a body of columns, each of its rows an event. What it allocates counts
// against the door's memory; what it unpacks to and what its rows are as JSON are bounded
// as the text of a request is.
func (d *Door) columns(r *http.Request, form form, body *body) (func() (event []byte, long bool, err error), error) {
	o := columnar.Options{Set: d.config.Checker.Set(), Rows: d.limits.Events, Event: d.config.Checker.Limits().Event,
		Text: d.limits.Text, Unpacked: d.limits.Text, Page: d.limits.Text, Charge: body.charge}
	for name, values := range r.URL.Query() {
		if name == "dry_run" {
			continue // read by take
		}
		into := map[string]*string{"type": &o.Type, "source": &o.Source}[name]
		if into == nil || len(values) != 1 || values[0] == "" {
			return nil, problem.New(problem.BadInput, "a request of columns has no parameter %q, or not twice or empty; it may have type, source and dry_run", name).In(name)
		}
		*into = values[0]
	}
	var rows *columnar.Rows
	var err error
	if form == arrowStream {
		rows, err = columnar.Arrow(body, o)
	} else {
		var whole chunks
		if err = whole.readAll(body); err == nil {
			rows, err = columnar.Parquet(&whole, whole.size, o)
		}
	}
	if err != nil {
		return nil, err
	}
	return func() ([]byte, bool, error) {
		event, err := rows.Next()
		if errors.Is(err, columnar.ErrLong) {
			return nil, true, nil
		}
		return event, false, err
	}, nil
}

// chunks hold a body that is read in any order, without ever copying it to grow.
type chunks struct {
	all  [][]byte // of chunk bytes each, but for the last
	size int64
}

func (c *chunks) readAll(r io.Reader) error {
	for {
		if len(c.all) == 0 || len(c.all[len(c.all)-1]) == chunk {
			c.all = append(c.all, make([]byte, 0, 64<<10))
		}
		last := &c.all[len(c.all)-1]
		if len(*last) == cap(*last) { // each grows by itself, so that small bodies stay small
			*last = append(make([]byte, 0, min(2*len(*last), chunk)), *last...)
		}
		n, err := r.Read((*last)[len(*last):cap(*last)])
		*last = (*last)[:len(*last)+n]
		c.size += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// ReadAt is that of io.ReaderAt.
func (c *chunks) ReadAt(p []byte, at int64) (n int, err error) {
	if at < 0 || at > c.size {
		return 0, io.EOF
	}
	for n < len(p) && at < c.size {
		m := copy(p[n:], c.all[at/chunk][at%chunk:])
		n, at = n+m, at+int64(m)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
