// Package ingest is the door: it takes events over HTTP, checks each against its
// contract, and answers when what it accepted is on disk.
//
// # Sending
//
// POST /v1/events takes CloudEvents 1.0 in six forms, told by Content-Type:
//
//	application/x-ndjson                one structured event a line; empty lines are passed over
//	application/cloudevents+json        one structured event
//	application/cloudevents-batch+json  an array of structured events
//	application/json with ce-* headers  binary mode: the body is the event's data
//	application/vnd.apache.arrow.stream a row is an event; also …arrow.file
//	application/vnd.apache.parquet      a row is an event
//
// Columns are attributes of the event and fields of the contract, by name; package columnar
// tells which. Each row becomes the line that its sender could have sent, and goes the same
// way. type and source may be given once, as parameters: POST /v1/events?type=…&source=…
//
// The text is UTF-8; Content-Encoding may be gzip or zstd. Lines and array elements are
// read one at a time, so a request's memory is its events' columns, not its text.
//
//	curl --data-binary @events.ndjson -H 'Content-Type: application/x-ndjson' http://127.0.0.1:8080/v1/events
//	{"accepted":2,"held":0,"rejected":[{"index":1,"id":"a-17","field":"outcome","code":"missing_field","reason":"…"}],"receipt":"AQ…"}
//
// # Answering
//
// 200 says that the request could be read to its end. accepted events are fsynced in
// the journal, held ones fsynced in its quarantine, rejected ones are nowhere: each is
// told with its index in the request (from 0), id, field, code ([contract.Codes]) and
// reason. quarantined names the entry of each held event ([Quarantine]); when the
// quarantine is full they are rejected instead, with code quarantine_full. One bad event never spoils its neighbours. warnings counts broken rules of
// severity warn.
//
// Anything else stores nothing of the request, and is an RFC 9457 document:
//
//	400  the request cannot be read to its end: damaged compression, a broken array,
//	     a body shorter than announced. It names the byte.
//	413  a limit of [Limits] was passed
//	415  another Content-Type or Content-Encoding
//	429  too many requests or too many bytes are under way, or the journal is behind: Retry-After
//	503  the journal is full or away: Retry-After
//
// After 429, 503 or no answer at all, send the same request again: an event counts once.
//
// # Receipts
//
// The receipt names, signed, where in the journal the request's events stand. GET
// /v1/receipts/{receipt} tells what became of them: how many were new, duplicates
// or conflicts, and whether they are loaded. No state is kept for it.
//
// # Deliveries
//
// Who sends everything that there is of a type, source and day (a mapping with
// replaces), closes the delivery when the last of it is acknowledged:
//
//	POST /v1/deliveries {"type":"…","source":"…","days":["2024-05-01"],"receipts":["AQ…"]}
//	{"events":3,"withdrawn":1,"receipt":"AQ…"}
//
// What stands on those days and is not in the receipts is then withdrawn, as a
// correction through the journal. A delivery that breaks off is never closed, so it
// withdraws nothing. Closing again withdraws nothing more. Events that arrived from
// elsewhere since the delivery began are left alone. 409 says that nothing was
// withdrawn and the file must be loaded again: the journal no longer holds the delivery
// (72 hours), or another one withdrew parts of it. 503: close it again.
package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/access"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// Journal is where accepted events go; *journal.Journal is one. AppendRange and Hold return
// when everything is durable. Replayed says of each event whether it was held before and has
// been sent on since.
type Journal interface {
	AppendRange(ctx context.Context, parts []contract.Part) (journal.Range, error)
	Hold(ctx context.Context, held []contract.Held) error
	Replayed(held []contract.Held) []bool
}

// Outcome is what the loader made of the events of one receipt. Until Loaded, the
// counts are zero.
type Outcome struct {
	Accepted  uint64 // new events
	Duplicate uint64 // known already, with the same content
	Conflict  uint64 // known already, with other content: in quarantine
	Damaged   uint64 // their bytes in the journal are not those that were accepted
	// Quarantined are the entries of the conflicts and the damage, the first 1000, while the
	// journal holds the events.
	Quarantined []string
	Loaded      bool // all of them are decided, and the new ones in warehouse and lake
}

// Limits bound what one request, and all requests together, can take. Zero fields
// have the defaults.
type Limits struct {
	Body     int64         // bytes of a request as sent; 64 MiB
	Text     int64         // bytes of a request after decompression; 64 MiB
	Ratio    int64         // decompressed bytes for each compressed one, beyond the first MiB; 200
	Events   int           // events of a request; 100,000
	Delivery int           // events in the journal from the first of a delivery to its closing, of its type and source; 4,000,000 (at 28 bytes)
	Requests int           // requests under way; 64
	Memory   int64         // decompressed bytes of all requests under way; 256 MiB
	Idle     time.Duration // the longest wait for the next bytes of a body; 30 s
	Reading  time.Duration // the longest time for a whole body; 5 min
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, otherwise int64) {
		if *v == 0 {
			*v = otherwise
		}
	}
	set(&l.Body, 64<<20)
	set(&l.Text, 64<<20)
	set(&l.Ratio, 200)
	set(&l.Memory, 256<<20)
	if l.Events == 0 {
		l.Events = 100_000
	}
	if l.Delivery == 0 {
		l.Delivery = 4_000_000
	}
	if l.Requests == 0 {
		l.Requests = 64
	}
	if l.Idle == 0 {
		l.Idle = 30 * time.Second
	}
	if l.Reading == 0 {
		l.Reading = 5 * time.Minute
	}
	return l
}

// Config is what a door needs.
type Config struct {
	Checker *contract.Checker // required
	Journal Journal           // required
	// Outcome tells what became of a range of the journal; nil where no loader runs:
	// then a receipt tells what the door accepted.
	Outcome func(context.Context, journal.Range) (Outcome, error)
	// Closing is where deliveries are compared with what stands; nil: none is closed here.
	Closing    *Closing
	Refusals   *Refusals // counts what is refused; nil: nobody does
	SigningKey []byte    // signs receipts, at least 16 bytes; required
	Limits     Limits
	Now        func() time.Time // nil: time.Now
	Log        *slog.Logger     // nil: slog.Default
}

// Of requests under way at once, so many leave their memory to the next ones, when they had at
// most so many bytes of text.
const (
	spare     = 4
	spareText = 8 << 20
)

// Door takes events. It is safe for concurrent use.
type Door struct {
	config   Config
	limits   Limits
	log      *slog.Logger
	batches  spares[*contract.Batch]
	lines    spares[*splitter]
	slots    chan struct{}
	closings chan struct{} // holds one: the delivery that is being closed
	memory   atomic.Int64  // bytes of text under way
	counts   struct{ requests, failed, accepted, held, rejected, bytes atomic.Uint64 }
}

// Counts is what a door has done since it was made.
type Counts struct {
	Requests uint64 `json:"requests"`
	Failed   uint64 `json:"failed"` // requests not answered with 200
	Accepted uint64 `json:"accepted"`
	Held     uint64 `json:"held"`
	Rejected uint64 `json:"rejected"`
	Bytes    uint64 `json:"bytes"` // decompressed
}

// New makes a door.
func New(config Config) (*Door, error) {
	switch {
	case config.Checker == nil, config.Journal == nil:
		return nil, problem.New(problem.Internal, "the door needs a checker and a journal")
	case len(config.SigningKey) < 16:
		return nil, problem.New(problem.Internal, "the door needs a key of 16 bytes or more to sign receipts")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	d := &Door{config: config, limits: config.Limits.withDefaults(), log: config.Log}
	d.slots = make(chan struct{}, d.limits.Requests)
	d.closings = make(chan struct{}, 1)
	d.batches = newSpares(spare, config.Checker.NewBatch)
	d.lines = newSpares(spare, func() *splitter { return newSplitter(config.Checker.Limits().Event) })
	return d, nil
}

// Counts is what the door has done so far.
func (d *Door) Counts() Counts {
	c := &d.counts
	return Counts{c.requests.Load(), c.failed.Load(), c.accepted.Load(), c.held.Load(), c.rejected.Load(), c.bytes.Load()}
}

// Answer is the body of a 200.
type Answer struct {
	Accepted int                 `json:"accepted"` // durable in the journal
	Held     int                 `json:"held"`     // durable in quarantine
	Rejected []*contract.Refusal `json:"rejected"` // stored nowhere
	// Duplicate counts the events that were held before, with the same content, and have been
	// replayed since: they are in the journal already, and are not held again.
	Duplicate int                `json:"duplicate,omitempty"`
	Warnings  []contract.Warning `json:"warnings,omitempty"`
	// Quarantined says why each held event is held, and under which entry.
	Quarantined []Quarantined `json:"quarantined,omitempty"`
	Receipt     string        `json:"receipt"`           // empty when nothing was accepted
	DryRun      bool          `json:"dry_run,omitempty"` // the events were judged, and nothing was stored
}

// Quarantined is one event of a request that is held.
type Quarantined struct {
	contract.Refusal
	Entry string `json:"entry"` // of the quarantine; in a dry run the one that it would be
}

// Events serves POST /v1/events.
func (d *Door) Events() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.counts.requests.Add(1)
		answer, err := d.take(w, r)
		if err != nil {
			d.counts.failed.Add(1)
			d.refuse(w, r, err)
			return
		}
		if !answer.DryRun {
			d.counts.accepted.Add(uint64(answer.Accepted))
			d.counts.held.Add(uint64(answer.Held))
			d.counts.rejected.Add(uint64(len(answer.Rejected)))
			d.config.Refusals.Add(answer.Rejected)
		}
		write(w, answer)
	})
}

// Receipts serves GET /v1/receipts/{receipt}; the receipt is the last element of the path.
func (d *Door) Receipts() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state, err := d.receipt(r)
		if err != nil {
			d.refuse(w, r, err)
			return
		}
		write(w, state)
	})
}

func write(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
}

// refuse answers a request that stored nothing. Its body may be unread, so the
// connection is not used again.
func (d *Door) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if problem.KindOf(err) == problem.Internal && r.Context().Err() == nil { // else the client has gone
		d.log.Error("a request failed", "route", r.Method+" "+r.URL.Path, "cause", err)
	}
	if r.Body != http.NoBody {
		w.Header().Set("Connection", "close")
	}
	problem.Write(w, err)
	if problem.KindOf(err) == problem.TooLarge && r.Header.Get("Expect") == "" {
		d.pass(w, r)
	}
}

// pass reads on where a request is too long, up to four times what one may have and for some seconds: plain
// clients look at an answer only when they have sent everything, and are cut off before that when
// the connection ends with something unread.
func (d *Door) pass(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(longestPass)) != nil {
		return // the client has gone
	}
	_, _ = io.CopyN(io.Discard, r.Body, 4*d.limits.Body) // an error: it has gone, or is too slow
}

const longestPass = 10 * time.Second

// take reads one request, and makes what it accepts durable.
func (d *Door) take(w http.ResponseWriter, r *http.Request) (*Answer, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, problem.New(problem.Unsupported, "events are sent with POST, not %s", r.Method)
	}
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return nil, problem.New(problem.Busy, "%d requests are under way; send this one again in a moment", d.limits.Requests)
	}
	form, err := formOf(r)
	if err != nil {
		return nil, err
	}
	body, err := d.open(w, r)
	if err != nil {
		return nil, err
	}
	defer body.close()

	batch := d.batches.get()
	defer func() {
		batch.Reset() // a failed request leaves rows behind
		if body.n <= spareText {
			d.batches.put(batch)
		}
	}()
	split := d.lines.get()
	split.reset(body)
	defer func() {
		split.reset(nil)
		d.lines.put(split)
	}()

	if p := access.Of(r.Context()); p.Is(access.Source) {
		batch.Only(p.Sends)
	}
	answer := &Answer{Rejected: []*contract.Refusal{}}
	if answer.DryRun, err = dryRun(r); err != nil {
		return nil, err
	}
	next := func() ([]byte, bool, error) { return split.next(form) }
	if form == arrowStream || form == parquetFile {
		if next, err = d.columns(r, form, body); err != nil {
			return nil, body.explain(err, nil)
		}
	}
	if err := d.read(r, form, next, batch, answer); err != nil {
		return nil, body.explain(err, split)
	}
	body.idle.disarm()
	return answer, d.commit(r.Context(), batch, answer)
}

// read checks every event of the request.
func (d *Door) read(r *http.Request, form form, next func() ([]byte, bool, error), batch *contract.Batch, answer *Answer) error {
	for index := 0; ; index++ {
		event, long, err := next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case index >= d.limits.Events:
			return problem.New(problem.TooLarge, "the request has more than %d events; send them in several requests", d.limits.Events)
		}
		if form == single && !long && len(event) == 0 {
			return problem.New(problem.BadInput, "the body is empty; it holds one event")
		}
		if form == binary && !long {
			if event, err = structured(r.Header, event); err != nil {
				return err
			}
		}
		var refusal *contract.Refusal
		if long {
			refusal = &contract.Refusal{Index: index, Code: contract.TooLong, Reason: tooLong(d.config.Checker.Limits().Event)}
		} else {
			refusal = batch.Add(index, event)
		}
		if refusal != nil {
			answer.Rejected = append(answer.Rejected, refusal)
		}
	}
}

// dryRun says whether a request only asks what would become of its events.
func dryRun(r *http.Request) (bool, error) {
	switch told := r.URL.Query()["dry_run"]; {
	case len(told) == 0:
		return false, nil
	case len(told) == 1 && told[0] == "true":
		return true, nil
	}
	return false, problem.New(problem.BadInput, "dry_run is true, or is left away").In("dry_run").Of("true")
}

// commit makes the batch durable, unless it is a dry run: first what is accepted, then what is held, so that
// a request that is sent again after a failure between the two holds nothing twice.
func (d *Door) commit(ctx context.Context, batch *contract.Batch, answer *Answer) error {
	answer.Accepted, answer.Warnings = batch.Len(), batch.Warnings()
	parts, held := batch.Parts(), batch.Held()
	if len(parts) > 0 && !answer.DryRun {
		where, err := d.config.Journal.AppendRange(ctx, parts)
		if err != nil {
			return err
		}
		answer.Receipt = d.sign(receipt{where: where, accepted: uint64(answer.Accepted), received: d.config.Now()})
	}
	if len(held) == 0 {
		return nil
	}
	kept := held[:0:0]
	for i, replayed := range d.config.Journal.Replayed(held) {
		if replayed {
			answer.Duplicate++
		} else {
			kept = append(kept, held[i])
		}
	}
	held = kept
	var err error
	if !answer.DryRun {
		err = d.config.Journal.Hold(ctx, held)
	}
	full := errors.Is(err, journal.ErrFull)
	if err != nil && !full {
		return err
	}
	for i := range held {
		h := &held[i]
		r := contract.Refusal{Index: h.Index, ID: h.ID, Field: h.Field, Code: h.Code, Reason: h.Reason}
		if full {
			r.Source, r.Type, r.Code = h.Source, h.Type, contract.QuarantineFull
			r.Reason = h.Reason + "; it would be held for that, but the quarantine is full. Send it again when it has been worked off"
			answer.Rejected = append(answer.Rejected, &r)
			continue
		}
		answer.Quarantined = append(answer.Quarantined, Quarantined{r, journal.EntryID(h, 0)})
	}
	answer.Held = len(answer.Quarantined)
	return nil
}
