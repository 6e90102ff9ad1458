package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	encoding "encoding/binary"
	"net/http"
	"path"
	"time"

	"ombor/ingest/journal"
	"ombor/internal/problem"
)

// receipt says where the events of one answer stand in the journal. Its text is
//
//	base64url(1, first sequence, first part, last sequence, last part, accepted, received, tag)
//
// with numbers as varints, received in Unix milliseconds, and tag the first 128 bits of
// the HMAC-SHA-256 of what stands before it.
type receipt struct {
	where    journal.Range
	accepted uint64
	received time.Time
}

const (
	receiptVersion = 1
	tagSize        = 16
	maxReceipt     = 256 // bytes of text; six varints and a tag are fewer
)

func (d *Door) sign(r receipt) string {
	b := []byte{receiptVersion}
	for _, v := range []uint64{r.where.First.Seq, uint64(r.where.First.Part), r.where.Last.Seq, uint64(r.where.Last.Part), r.accepted, uint64(r.received.UnixMilli())} {
		b = encoding.AppendUvarint(b, v)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, d.tag(b)...))
}

func (d *Door) tag(b []byte) []byte {
	h := hmac.New(sha256.New, d.config.SigningKey)
	h.Write(b)
	return h.Sum(nil)[:tagSize]
}

func (d *Door) verify(text string) (receipt, bool) {
	if len(text) > maxReceipt {
		return receipt{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 1+tagSize {
		return receipt{}, false
	}
	b, tag := b[:len(b)-tagSize], b[len(b)-tagSize:]
	if !hmac.Equal(tag, d.tag(b)) || b[0] != receiptVersion {
		return receipt{}, false
	}
	var v [6]uint64
	b = b[1:]
	for i := range v {
		n := 0
		if v[i], n = encoding.Uvarint(b); n <= 0 {
			return receipt{}, false
		}
		b = b[n:]
	}
	return receipt{
		where:    journal.Range{First: journal.Place{Seq: v[0], Part: int(v[1])}, Last: journal.Place{Seq: v[2], Part: int(v[3])}},
		accepted: v[4],
		received: time.UnixMilli(int64(v[5])).UTC(),
	}, len(b) == 0
}

// State is what became of the events of one receipt.
type State struct {
	Accepted  uint64    `json:"accepted"`  // as the door answered; once loaded, those that were new
	Duplicate uint64    `json:"duplicate"` // sent before with the same content: counted once
	Conflict  uint64    `json:"conflict"`  // sent before with other content: in quarantine
	Damaged   uint64    `json:"damaged"`   // damaged in the journal since: send them again
	Loaded    bool      `json:"loaded"`    // in warehouse and lake
	Received  time.Time `json:"received"`  // when the journal had them
	// Quarantined are the entries of conflicts and damage, the first 1000; they are told while
	// the journal holds the events (72 hours after they were loaded).
	Quarantined []string `json:"quarantined,omitempty"`
}

func (d *Door) receipt(r *http.Request) (*State, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, problem.New(problem.Unsupported, "a receipt is read with GET, not %s", r.Method)
	}
	token, ok := d.verify(path.Base(r.URL.Path))
	if !ok {
		return nil, problem.New(problem.NotFound, "this server has not given this receipt; receipts are copied whole from the answer to POST /v1/events").
			Also("uz", "Bu serverda bunday tilxat yoʻq: tilxat POST /v1/events javobidan toʻliq koʻchiriladi.").
			Also("ru", "Этот сервер не выдавал такой квитанции: она копируется целиком из ответа на POST /v1/events.")
	}
	state := &State{Accepted: token.accepted, Received: token.received}
	if d.config.Outcome == nil {
		return state, nil
	}
	outcome, err := d.config.Outcome(r.Context(), token.where)
	if err != nil {
		return nil, err
	}
	if outcome.Loaded {
		state.Accepted, state.Duplicate, state.Conflict, state.Damaged, state.Loaded = outcome.Accepted, outcome.Duplicate, outcome.Conflict, outcome.Damaged, true
		if outcome.Damaged > 0 { // of a message that is lost as a whole only the receipt knows how many it held
			state.Damaged = token.accepted - min(token.accepted, state.Accepted+state.Duplicate+state.Conflict)
		}
		state.Quarantined = outcome.Quarantined
	}
	return state, nil
}
