package stream

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"ombor/internal/problem"
)

// Snapshots are the server's own: every message with its sequence, what was deleted, the
// stream's settings. They are the same from an embedded server and from one elsewhere.

const (
	snapshotAPI   = "$JS.API.STREAM.SNAPSHOT."
	restoreAPI    = "$JS.API.STREAM.RESTORE."
	snapshotChunk = 256 << 10
	// snapshotStall is how long the server may be silent in the middle of a snapshot.
	snapshotStall = time.Minute
)

// Snapshot is what [Conn.Restore] needs to know of a stream beside its data.
type Snapshot struct {
	Name     string          `json:"name"`
	Messages uint64          `json:"messages"`
	Last     uint64          `json:"last"` // sequence
	Config   json.RawMessage `json:"config"`
	State    json.RawMessage `json:"state"`
}

// Streams lists the names of all streams of the server, those of buckets included, in order.
func (c *Conn) Streams(ctx context.Context) ([]string, error) {
	var names []string
	list := c.js.StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	return names, c.fault("stream: list", list.Err())
}

// apiError is an error of the server's API.
type apiError struct {
	Code        int    `json:"code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return e.Description }

// Snapshot writes the data of a stream as it is at one moment; it goes on taking
// messages meanwhile. A stream that is not there is NotFound.
func (c *Conn) Snapshot(ctx context.Context, name string, w io.Writer) (*Snapshot, error) {
	op := "stream: snapshot of " + name
	inbox := nats.NewInbox()
	chunks, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, c.fault(op, err)
	}
	defer func() { _ = chunks.Unsubscribe() }() // the connection may be gone, and with it the subscription
	if err := chunks.SetPendingLimits(-1, -1); err != nil {
		return nil, c.fault(op, err)
	}
	request, err := json.Marshal(map[string]any{"deliver_subject": inbox, "no_consumers": true, "chunk_size": snapshotChunk, "jsck": true})
	if err != nil {
		return nil, problem.Wrap(err, problem.Internal, op, "the request cannot be written")
	}
	asked, cancel := context.WithTimeout(ctx, snapshotStall)
	defer cancel()
	answer, err := c.nc.RequestWithContext(asked, snapshotAPI+name, request)
	if err != nil {
		return nil, c.fault(op, err)
	}
	var head struct {
		Error  *apiError       `json:"error"`
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	var state struct {
		Messages uint64 `json:"messages"`
		Last     uint64 `json:"last_seq"`
	}
	if err := json.Unmarshal(answer.Data, &head); err != nil {
		return nil, problem.Wrap(err, problem.Internal, op, "the server's answer cannot be read")
	}
	if head.Error != nil {
		if head.Error.Code == 404 {
			return nil, problem.Wrap(head.Error, problem.NotFound, op, "there is no stream %s", name)
		}
		return nil, problem.Wrap(head.Error, problem.Unavailable, op, "the server makes no snapshot of the stream %s", name)
	}
	if err := json.Unmarshal(head.State, &state); err != nil {
		return nil, problem.Wrap(err, problem.Internal, op, "the server's answer cannot be read")
	}
	for {
		wait, cancel := context.WithTimeout(ctx, snapshotStall)
		m, err := chunks.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return nil, c.fault(op, err)
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return nil, problem.New(problem.Unavailable, "the server gave up the snapshot of the stream %s: %s %s", name, status, m.Header.Get("Description"))
			}
			return &Snapshot{Name: name, Messages: state.Messages, Last: state.Last, Config: head.Config, State: head.State}, nil
		}
		if _, err := w.Write(m.Data); err != nil {
			return nil, err
		}
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return nil, c.fault(op, err)
			}
		}
	}
}

// Restore makes a stream of a snapshot. A stream of that name must not be there
// (Conflict). Data that are not what was written are an Internal error, and no stream is there then.
func (c *Conn) Restore(ctx context.Context, s *Snapshot, r io.Reader) (err error) {
	op := "stream: restore " + s.Name
	if _, err := c.js.Stream(ctx, s.Name); err == nil {
		return problem.New(problem.Conflict, "the journal's server has a stream %s already", s.Name)
	} else if err := c.fault(op, err); problem.KindOf(err) != problem.NotFound {
		return err
	}
	defer func() {
		if err != nil { // the server may have made half a stream
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), snapshotStall)
			defer cancel()
			_ = c.js.DeleteStream(undo, s.Name) // the error that stopped us is the one to tell
		}
	}()
	request, err := json.Marshal(map[string]any{"config": s.Config, "state": s.State})
	if err != nil {
		return problem.Wrap(err, problem.Internal, op, "the request cannot be written")
	}
	send := func(subject string, data []byte) (*nats.Msg, error) {
		asked, cancel := context.WithTimeout(ctx, snapshotStall)
		defer cancel()
		m, err := c.nc.RequestWithContext(asked, subject, data)
		if err != nil {
			return nil, c.fault(op, err)
		}
		var head struct {
			Error *apiError `json:"error"`
		}
		if len(m.Data) > 0 && json.Unmarshal(m.Data, &head) == nil && head.Error != nil {
			return nil, problem.Wrap(head.Error, problem.Internal, op, "the server does not restore the stream %s", s.Name)
		}
		return m, nil
	}
	answer, err := send(restoreAPI+s.Name, request)
	if err != nil {
		return err
	}
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	if err := json.Unmarshal(answer.Data, &to); err != nil || to.Subject == "" {
		return problem.Wrap(err, problem.Internal, op, "the server's answer cannot be read")
	}
	chunk := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(r, chunk)
		if n > 0 {
			if _, err := send(to.Subject, chunk[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := send(to.Subject, nil); err != nil {
		return err
	}
	info, err := c.js.Stream(ctx, s.Name)
	if err != nil {
		return c.fault(op, err)
	}
	if st := info.CachedInfo().State; st.Msgs != s.Messages || st.LastSeq != s.Last {
		return problem.New(problem.Internal, "the stream %s was restored with %d messages up to %d, the snapshot had %d up to %d", s.Name, st.Msgs, st.LastSeq, s.Messages, s.Last)
	}
	return nil
}
