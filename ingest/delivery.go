package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	columns "github.com/apache/arrow/go/v15/arrow/array"

	"ombor/ingest/journal"
	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Closing is what a door needs to close deliveries.
type Closing struct {
	// Last is the newest message of the journal.
	Last func(ctx context.Context) (uint64, error)
	// Read calls fn with the messages first to last, open where of eventType; Conflict
	// when some have been purged. (*journal.Journal).Read is one.
	Read func(ctx context.Context, first, last uint64, eventType string, fn func(journal.Message) error) error
	// WaitLoaded returns when the message is loaded, or with ctx's error.
	WaitLoaded func(ctx context.Context, seq uint64) error
	// Standing calls row with every event of a source on some days that stood before a
	// sequence (message × 2²⁰). (*warehouse.Warehouse).Standing is one.
	Standing func(ctx context.Context, c *contract.Contract, source string, days []reference.Day, before uint64,
		row func(id [16]byte, revision uint32, at time.Time) error) error
}

// Delivery is the body of POST /v1/deliveries: the events of one source and type that
// the receipts stand for are all that there is on those days.
type Delivery struct {
	Type     string   `json:"type"`     // of the events
	Source   string   `json:"source"`   // of the events
	Days     []string `json:"days"`     // YYYY-MM-DD, in the pack's time zone
	Receipts []string `json:"receipts"` // every answer of the door to a part of the delivery
}

// Closed is the answer: what was withdrawn because it is gone from the delivery.
type Closed struct {
	Events    int    `json:"events"`            // different ones that the delivery holds
	Withdrawn int    `json:"withdrawn"`         // durable in the journal
	Receipt   string `json:"receipt,omitempty"` // of the withdrawals
}

const (
	loadWait      = 20 * time.Second // how long a closing waits for the loader before it says come again
	deliveryBytes = 4 << 20          // of the body
	deliveryDays  = 10_000
	rowBits       = 20 // a row's sequence is message × 2²⁰ + row
)

// Deliveries serves POST /v1/deliveries.
func (d *Door) Deliveries() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed, err := d.closeDelivery(w, r)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		write(w, closed)
	})
}

// closing is a delivery, read and checked.
type closing struct {
	contract *contract.Contract
	source   string
	days     []reference.Day // sorted, each once
	receipts []receipt       // sorted by place
	met      []int           // by receipt: events of the delivery
}

func (d *Door) closeDelivery(w http.ResponseWriter, r *http.Request) (*Closed, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, problem.New(problem.Unsupported, "a delivery is closed with POST, not %s", r.Method)
	}
	if d.config.Closing == nil {
		return nil, problem.New(problem.NotFound, "this server does not load, so it closes no deliveries; ask one with the role loader")
	}
	c, err := d.readDelivery(w, r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	last := c.receipts[len(c.receipts)-1].where.Last.Seq
	if err := d.waitLoaded(ctx, last); err != nil {
		return nil, err
	}
	// One at a time: what one withdraws the next one must see, and each holds a delivery's ids.
	select {
	case d.closings <- struct{}{}:
		defer func() { <-d.closings }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	through, err := d.config.Closing.Last(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.waitLoaded(ctx, through); err != nil {
		return nil, err
	}
	seen, err := d.readSeen(ctx, c, through)
	if err != nil {
		return nil, err
	}
	return d.withdrawGone(ctx, c, seen, through)
}

func (d *Door) readDelivery(w http.ResponseWriter, r *http.Request) (*closing, error) {
	// A server that cannot set deadlines (a test's recorder) has no slow clients either.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(d.limits.Idle))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, deliveryBytes))
	in.DisallowUnknownFields()
	var body Delivery
	err := in.Decode(&body)
	if err == nil {
		if _, err = in.Token(); err == nil {
			err = errors.New("something follows the object")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, problem.New(problem.TooLarge, "the body has more than %s", size(deliveryBytes))
	case err != nil:
		return nil, problem.Wrap(err, problem.BadInput, "", "the body is no object of type, source, days and receipts")
	}
	c := &closing{contract: d.config.Checker.Set().ByType(body.Type), source: body.Source}
	switch {
	case c.contract == nil:
		return nil, problem.New(problem.BadInput, "type: the pack has no contract %q", body.Type)
	case body.Source == "":
		return nil, problem.New(problem.BadInput, "source: is missing")
	case len(body.Days) == 0:
		return nil, problem.New(problem.BadInput, "days: is empty; it names the days, YYYY-MM-DD, that the delivery stands for")
	case len(body.Days) > deliveryDays:
		return nil, problem.New(problem.TooLarge, "days: has %d; close at most %d at once", len(body.Days), deliveryDays)
	case len(body.Receipts) == 0:
		return nil, problem.New(problem.BadInput, "receipts: is empty; it names every answer to POST /v1/events that belongs to the delivery")
	}
	if p := access.Of(r.Context()); p.Is(access.Source) && !p.Sends(body.Source, body.Type) {
		return nil, problem.New(problem.Denied, "this key does not send %s for this source; the operator makes keys", body.Type).In("source")
	}
	for _, text := range body.Days {
		day, err := reference.ParseDay(text)
		if err != nil || day.String() != text {
			return nil, problem.New(problem.BadInput, "days: %q is no day YYYY-MM-DD", text)
		}
		c.days = append(c.days, day)
	}
	slices.Sort(c.days)
	c.days = slices.Compact(c.days)
	for i, text := range body.Receipts {
		receipt, ok := d.verify(text)
		if !ok {
			return nil, problem.New(problem.BadInput, "receipts: number %d was not given by this server; receipts are copied whole from the answer to POST /v1/events", i+1)
		}
		c.receipts = append(c.receipts, receipt)
	}
	slices.SortFunc(c.receipts, func(a, b receipt) int { return comparePlaces(a.where.First, b.where.First) })
	c.receipts = slices.CompactFunc(c.receipts, func(a, b receipt) bool { return a.where == b.where })
	c.met = make([]int, len(c.receipts))
	return c, nil
}

func comparePlaces(a, b journal.Place) int {
	switch {
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return a.Part - b.Part
}

// of is the receipt that covers a place of the journal, or −1. Receipts are ranges that
// do not overlap.
func (c *closing) of(at journal.Place) int {
	i, exact := slices.BinarySearchFunc(c.receipts, at, func(r receipt, at journal.Place) int { return comparePlaces(r.where.First, at) })
	if !exact {
		i--
	}
	if i < 0 || comparePlaces(at, c.receipts[i].where.Last) > 0 {
		return -1
	}
	return i
}

func (d *Door) waitLoaded(ctx context.Context, seq uint64) error {
	limited, cancel := context.WithTimeout(ctx, loadWait)
	defer cancel()
	err := d.config.Closing.WaitLoaded(limited, seq)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return &problem.Error{Kind: problem.Unavailable, RetryAfter: time.Second,
			Message: "the delivery is on disk and not loaded yet; close it again in a moment"}
	}
	return err
}

// sighting is one event of the delivery's type and source in the journal.
type sighting struct {
	id        [16]byte
	day       reference.Day
	order     uint32
	ours      bool // of this delivery
	delivered bool // ours, or one before it was
	withdrawn bool
	standing  bool
}

// readSeen reads what the journal received since the delivery began: the delivery
// itself, and what came from others meanwhile. It returns the last sighting of each
// event, sorted by id. What others withdrew is left out: the warehouse tells.
func (d *Door) readSeen(ctx context.Context, c *closing, through uint64) ([]sighting, error) {
	expected := uint64(0)
	for _, r := range c.receipts {
		expected += r.accepted
	}
	seen := make([]sighting, 0, min(expected, uint64(d.limits.Delivery)))
	found := map[reference.Day]bool{}
	err := d.config.Closing.Read(ctx, c.receipts[0].where.First.Seq, through, c.contract.Type, func(m journal.Message) error {
		for _, damage := range m.Damage {
			if damage.Whole && c.touches(m.Seq) || !damage.Whole && c.of(damage.Place) >= 0 {
				return problem.New(problem.Conflict, "a part of the delivery is damaged in the journal (%s), so nothing is withdrawn; load the file again", damage)
			}
		}
		for part, p := range m.Parts {
			if p.Record == nil {
				continue
			}
			at := c.of(journal.Place{Seq: m.Seq, Part: part})
			rows, err := sightings(p.Record, c.source)
			if err != nil {
				return problem.Wrap(err, problem.Internal, "close a delivery", "message %d of the journal cannot be read", m.Seq)
			}
			for row := range rows {
				if row.ours = at >= 0; row.ours {
					if !row.correct {
						return problem.New(problem.BadInput, "the delivery holds events that were sent without the extension onchange: \"correct\"; only such a delivery replaces a day")
					}
					c.met[at]++
					found[row.day] = true
				} else if row.withdrawn {
					continue
				}
				if len(seen) == d.limits.Delivery {
					return problem.New(problem.TooLarge, "the delivery has more than %d events; load it in parts of whole days", d.limits.Delivery)
				}
				row.order = uint32(len(seen))
				seen = append(seen, row.sighting)
			}
		}
		return nil
	})
	if err != nil {
		if problem.KindOf(err) == problem.Conflict && errors.As(err, new(*journal.Gap)) {
			return nil, problem.Wrap(err, problem.Conflict, "", "the journal no longer holds the delivery, so nothing is withdrawn; load the file again")
		}
		return nil, err
	}
	for i, n := range c.met {
		if n == 0 {
			return nil, problem.New(problem.BadInput, "a receipt holds no event of type %s and source %q: %s", c.contract.Type, c.source, d.sign(c.receipts[i]))
		}
	}
	for _, day := range c.days {
		if !found[day] {
			return nil, problem.New(problem.BadInput, "the receipts hold no event of %s; a day that has become empty is emptied by withdrawing its events one by one", day)
		}
	}
	slices.SortFunc(seen, func(a, b sighting) int {
		if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
			return c
		}
		return int(b.order) - int(a.order)
	})
	ids := seen[:0]
	for _, s := range seen {
		if n := len(ids); n > 0 && ids[n-1].id == s.id {
			ids[n-1].delivered = ids[n-1].delivered || s.ours
			continue
		}
		s.delivered = s.ours
		ids = append(ids, s)
	}
	return ids, nil
}

// touches says whether a message holds a part of the delivery.
func (c *closing) touches(seq uint64) bool {
	return slices.ContainsFunc(c.receipts, func(r receipt) bool { return r.where.First.Seq <= seq && seq <= r.where.Last.Seq })
}

type sightedRow struct {
	sighting
	correct bool
}

// sightings yields the rows of one source.
func sightings(rec arrow.Record, source string) (func(func(sightedRow) bool), error) {
	column := func(name string) arrow.Array {
		if at := rec.Schema().FieldIndices(name); len(at) == 1 {
			return rec.Column(at[0])
		}
		return nil
	}
	id, iok := column(contract.ColumnID).(*columns.FixedSizeBinary)
	day, dok := column(contract.ColumnDay).(*columns.Date32)
	withdrawn, wok := column(contract.ColumnWithdrawn).(*columns.Boolean)
	correct, cok := column(contract.ColumnCorrect).(*columns.Boolean)
	from, sok := column(contract.ColumnSource).(*columns.Dictionary)
	if !iok || !dok || !wok || !cok || !sok {
		return nil, problem.New(problem.Internal, "its columns are %s", rec.Schema())
	}
	names, ok := from.Dictionary().(*columns.String)
	if !ok {
		return nil, problem.New(problem.Internal, "its sources are %s", from.DataType())
	}
	wanted := -1
	for i := range names.Len() {
		if names.Value(i) == source {
			wanted = i
		}
	}
	return func(yield func(sightedRow) bool) {
		if wanted < 0 {
			return
		}
		for i := range int(rec.NumRows()) {
			if from.GetValueIndex(i) != wanted {
				continue
			}
			s := sightedRow{correct: correct.Value(i)}
			s.id, s.day, s.withdrawn = [16]byte(id.Value(i)), reference.Day(day.Value(i)), withdrawn.Value(i)
			if !yield(s) {
				return
			}
		}
	}, nil
}

// withdrawGone compares what was seen with what stood when message through was loaded,
// and withdraws what is gone. A withdrawal names the revision that it found plus one: an
// event that changed meanwhile is not touched by it.
func (d *Door) withdrawGone(ctx context.Context, c *closing, seen []sighting, through uint64) (*Closed, error) {
	batch := d.config.Checker.NewBatch()
	err := d.config.Closing.Standing(ctx, c.contract, c.source, c.days, (through+1)<<rowBits, func(id [16]byte, revision uint32, at time.Time) error {
		i, ok := slices.BinarySearchFunc(seen, id, func(s sighting, id [16]byte) int { return bytes.Compare(s.id[:], id[:]) })
		if ok {
			seen[i].standing = true
		} else {
			batch.Withdraw(c.contract, c.source, id, revision+1, at)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	closed := &Closed{Withdrawn: batch.Len()}
	gone := 0
	for i := range seen {
		s := &seen[i]
		if s.delivered {
			closed.Events++
		}
		if !s.ours {
			continue // what came last came from elsewhere
		}
		if _, asked := slices.BinarySearch(c.days, s.day); asked && !s.withdrawn && !s.standing {
			gone++
		}
	}
	if gone > 0 {
		return nil, problem.New(problem.Conflict, "%d events of this delivery were withdrawn since it came, by another delivery of the same day for one, so nothing is withdrawn; load the file that is to stand again", gone)
	}
	if closed.Withdrawn == 0 {
		return closed, nil
	}
	parts := batch.Parts()
	where, err := d.config.Journal.AppendRange(ctx, parts)
	if err != nil {
		return nil, err
	}
	closed.Receipt = d.sign(receipt{where: where, accepted: uint64(closed.Withdrawn), received: d.config.Now()})
	d.log.Info("a delivery was closed", "type", c.contract.Type, "source", c.source, "days", len(c.days), "events", closed.Events, "withdrawn", closed.Withdrawn)
	return closed, nil
}
