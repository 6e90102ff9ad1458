// Package stream is the way to NATS JetStream: a server embedded in this process,
// or one that an operator runs, with streams and key-value buckets on either.
// It is the only package that imports NATS.
//
//	c, err := stream.Open(ctx, stream.Options{Dir: "data/journal"})   // embedded
//	c, err := stream.Open(ctx, stream.Options{URL: "nats://host:4222"})
//	s, err := c.Stream(ctx, stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30, MaxMessage: 1 << 20})
//	seq, err := s.Publish(ctx, "", data)        // returns when the server has stored it
//	err = s.Follow(ctx, seq, func(m stream.Message) error { … })
//	seq, err = s.Append(ctx, data, seq)         // refused when somebody else wrote after seq
//
// # What an acknowledgement means
//
// The embedded server runs with SyncAlways: Publish returns after the message
// is fsynced. JetStream without it acknowledges first and syncs later (Jepsen,
// NATS 2.12.1: 131,418 of 930,005 acknowledged messages lost in one coordinated
// power failure), and the stream setting PersistMode=async silently switches
// it off again, so a stream that has it is refused. The setting of a server
// elsewhere cannot be read from here: until the operator declares it
// ([Options.Durable]), [Conn.Durability] says "not proven".
//
// # A full disk
//
// After a failed write JetStream keeps the stream closed to writes until the
// server starts again. So the embedded server is never allowed to fill the disk:
// below [Options.Reserve] free bytes Publish answers Busy before it writes. Should
// a write fail all the same, that Publish ends with Unavailable after its time-out, the
// embedded server is started again on its own data, and the connection and its
// followers find it by themselves.
//
// # Damage on disk
//
// JetStream has a checksum on every stored message. When it finds one wrong while it
// starts, it cuts the file there: one flipped bit takes with it up to 8 MB of messages behind it,
// and at the end of a stream their sequences are given out again. So the
// files of the embedded server are looked through before it starts, and a message whose
// checksum is wrong is sealed again as it is (mend.go): it keeps its sequence, its
// neighbours are untouched, and the reader's own checksums tell what is wrong with it. What
// an outside server has lost is told by [Stream.Lost].
package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"ombor/internal/problem"
)

// Options says which server holds the streams. The zero value is not useful:
// either URL or Dir is needed.
type Options struct {
	URL      string        // of a NATS server, "nats://host:4222"; empty: embedded under Dir
	Dir      string        // the embedded server's data; made when missing, owned by one process ([Lock])
	Reserve  int64         // embedded: bytes of the disk that are left free; 0 is 64 MB
	Replicas int           // outside server: copies of each stream; 0 is 1
	Durable  bool          // outside server: the operator declares sync_interval: always, or replicas he accepts instead
	Timeout  time.Duration // of one publish or request; 0 is 10 s
	Logger   *slog.Logger  // nil is slog.Default
}

const (
	pingInterval   = 3 * time.Second // to an outside server
	dialTimeout    = 4 * time.Second // of one attempt to reach it, at most Options.Timeout
	defaultReserve = 64 << 20
	defaultTimeout = 10 * time.Second
	maxPayload     = 1 << 20 // bytes of one message, the server's own default
)

// Conn is a connection, and with an embedded server the server itself.
// It is safe for concurrent use.
type Conn struct {
	opts Options
	log  *slog.Logger
	nc   *nats.Conn
	js   jetstream.JetStream
	lock *DirLock // of Dir; nil with URL

	mu      sync.Mutex
	srv     *server.Server // nil with URL, and after Close
	started time.Time
	closed  bool
}

// Open starts or reaches the server. With Dir it takes the folder's lock, which
// a second process is refused with Conflict, naming the holder.
func Open(ctx context.Context, opts Options) (*Conn, error) {
	if opts.Reserve == 0 {
		opts.Reserve = defaultReserve
	}
	if opts.Timeout == 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Replicas == 0 {
		opts.Replicas = 1
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	c := &Conn{opts: opts, log: opts.Logger}
	dial := []nats.Option{
		nats.Name("ombor"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), // a publish while away fails at once instead of waiting in memory
		nats.Timeout(opts.Timeout),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.log.Debug("stream: connection", "err", err) }),
	}
	url := opts.URL
	if url != "" {
		// A server that is frozen keeps its connections open: two pings without an answer end one.
		// While the client connects again, whoever publishes waits for the end of the attempt.
		dial = append(dial, nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2), nats.Timeout(min(opts.Timeout, dialTimeout)))
	} else {
		if opts.Dir == "" {
			return nil, problem.New(problem.BadInput, "stream: give the address of a NATS server or a folder for the embedded one")
		}
		lock, err := Lock(opts.Dir)
		if err != nil {
			return nil, err
		}
		c.lock = lock
		if err := c.start(); err != nil {
			lock.Release()
			return nil, err
		}
		dial = append(dial, nats.InProcessServer(c))
	}
	nc, err := nats.Connect(url, dial...)
	if err != nil {
		c.stop()
		return nil, &problem.Error{Kind: problem.Unavailable, Op: "stream: connect", Message: "the journal's NATS server does not answer", RetryAfter: 5 * time.Second, Cause: err}
	}
	c.nc = nc
	c.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(opts.Timeout))
	if err == nil && opts.URL != "" {
		_, err = c.js.AccountInfo(ctx)
	}
	if err != nil {
		c.Close()
		return nil, &problem.Error{Kind: problem.Unavailable, Op: "stream: open", Message: "the NATS server has no JetStream for this account", RetryAfter: 5 * time.Second, Cause: err}
	}
	return c, nil
}

// start runs the embedded server. The caller holds c.mu or is alone.
func (c *Conn) start() error {
	if _, err := mend(c.opts.Dir, c.log); err != nil {
		return err
	}
	opts := &server.Options{
		ServerName: "ombor", JetStream: true, StoreDir: c.opts.Dir,
		JetStreamMaxStore:  1 << 50, // each stream has its own limit, and Reserve guards the disk
		JetStreamMaxMemory: 64 << 20,
		SyncAlways:         true, DontListen: true, NoSigs: true,
		MaxPayload: maxPayload, MaxPending: 64 << 20, WriteDeadline: 30 * time.Second,
		NoSystemAccount: true, DisableJetStreamBanner: true,
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return problem.Wrap(err, problem.Internal, "stream: embedded server", "the journal's server did not start on %s", c.opts.Dir)
	}
	srv.SetLoggerV2(serverLog{c.log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(60*time.Second) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		return problem.New(problem.Internal, "the journal's server did not start on %s: its log says why", c.opts.Dir)
	}
	c.srv, c.started = srv, time.Now()
	return nil
}

// InProcessConn is for the NATS client: a pipe to the server that runs now.
func (c *Conn) InProcessConn() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.srv == nil {
		return nil, errors.New("the embedded server is stopped")
	}
	return c.srv.InProcessConn()
}

// revive starts the embedded server again after a write failed, at most once in
// each Timeout. JetStream holds a failed write against the stream until then.
func (c *Conn) revive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opts.URL != "" || c.closed || time.Since(c.started) < c.opts.Timeout {
		return
	}
	c.log.Warn("stream: the embedded server did not acknowledge; starting it again on its data", "dir", c.opts.Dir)
	if c.srv != nil {
		c.srv.Shutdown()
		c.srv.WaitForShutdown()
		c.srv = nil
	}
	c.started = time.Now()
	if err := c.start(); err != nil {
		c.log.Error("stream: the embedded server did not start again", "err", err)
	}
}

// Close disconnects and stops the embedded server; it returns when everything is
// on disk and the folder's lock is free.
func (c *Conn) Close() error {
	if c.nc != nil {
		c.nc.Close()
	}
	c.stop()
	return nil
}

func (c *Conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.srv != nil {
		c.srv.Shutdown()
		c.srv.WaitForShutdown()
		c.srv = nil
		stopped(c.opts.Dir)
	}
	if c.lock != nil {
		c.lock.Release()
		c.lock = nil
	}
}

// Durability says whether an acknowledgement proves that the message is on disk,
// and in one sentence why.
func (c *Conn) Durability() (proven bool, why string) {
	switch {
	case c.opts.URL == "":
		return true, "embedded server, fsync before every acknowledgement"
	case c.opts.Durable:
		return true, "declared by the operator for " + c.nc.ConnectedUrlRedacted()
	}
	return false, "durability not proven: the sync setting of an outside NATS server cannot be read; declare it once it is sync_interval: always"
}

// Embedded says whether the server is one of this process, which nobody else can reach.
func (c *Conn) Embedded() bool { return c.opts.URL == "" }

// Connected says whether the server can be reached now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// room is Busy when the disk of the embedded server is nearly full.
func (c *Conn) room(bytes int) error {
	if c.opts.URL != "" {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(c.opts.Dir, &st); err != nil {
		return problem.Wrap(err, problem.Unavailable, "stream: free space", "the journal's folder cannot be read")
	}
	if free := int64(st.Bavail) * st.Bsize; free < c.opts.Reserve+int64(bytes) {
		return &problem.Error{Kind: problem.Unavailable, Op: "stream: publish", RetryAfter: 10 * time.Second,
			Message: fmt.Sprintf("the journal's disk is full: %d MB free, %d MB are kept in reserve", free>>20, c.opts.Reserve>>20)}
	}
	return nil
}

const noRoom = 10047 // JetStream's error code for insufficient storage

// fault gives an error of the client its kind.
func (c *Conn) fault(op string, err error) error {
	if err == nil {
		return nil
	}
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case 10077, noRoom, 10023: // stream store failed (limits), insufficient resources
			return &problem.Error{Kind: problem.Unavailable, Op: op, Message: "the journal is full", RetryAfter: 10 * time.Second, Cause: err}
		case jetstream.JSErrCodeStreamMessageExceedsMaximum:
			return problem.Wrap(err, problem.TooLarge, op, "a message is larger than the journal takes")
		case jetstream.JSErrCodeStreamNotFound, jetstream.JSErrCodeMessageNotFound:
			return problem.Wrap(err, problem.NotFound, op, "no such message or stream")
		}
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrKeyNotFound) {
		return problem.Wrap(err, problem.NotFound, op, "no such message or key")
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return problem.Wrap(err, problem.TooLarge, op, "a message is larger than the journal takes")
	}
	return &problem.Error{Kind: problem.Unavailable, Op: op, Message: "the journal's server does not answer", RetryAfter: 2 * time.Second, Cause: err}
}

// Config describes one stream. The rest is fixed: file storage, limits
// retention, a full stream refuses new messages, nothing expires by age.
type Config struct {
	Name     string // upper case; the subject is ombor.<name>
	About    string
	MaxBytes int64 // when reached, Publish answers Unavailable; required
	Grows    bool  // MaxBytes is the least: a stream that is more than half full gets twice what it holds when it is opened
	// Least is what will do instead of MaxBytes on an outside server that does not have that much
	// to give: a new stream gets the half, the quarter … as it fits; one that is there keeps
	// the size that its operator gave it, if it is not below. 0: MaxBytes or nothing.
	Least      int64
	MaxMessage int32 // bytes of one message; 0 is 1 MB
}

// duplicates is how long the server remembers message ids, so that a publish
// whose answer was lost can be repeated.
const duplicates = time.Minute

// Stream opens a stream, making it when missing. A stream that exists must keep
// the promises of this package, otherwise it is refused with Conflict; its size
// limits are brought up to date.
func (c *Conn) Stream(ctx context.Context, cfg Config) (*Stream, error) {
	op := "stream: open " + cfg.Name
	if cfg.MaxBytes <= 0 {
		return nil, problem.New(problem.BadInput, "stream %s: an explicit size limit is required", cfg.Name)
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = maxPayload
	}
	want := jetstream.StreamConfig{
		Name: cfg.Name, Description: cfg.About, Subjects: []string{"ombor." + cfg.Name},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage,
		MaxBytes: cfg.MaxBytes, MaxMsgs: -1, MaxMsgSize: cfg.MaxMessage, MaxAge: 0,
		Replicas: c.opts.Replicas, Duplicates: duplicates, AllowDirect: true,
	}
	s, err := c.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		for {
			s, err = c.js.CreateStream(ctx, want)
			var api *jetstream.APIError
			if !errors.As(err, &api) || api.ErrorCode != 10047 || c.opts.URL == "" || cfg.Least == 0 || want.MaxBytes/2 < cfg.Least {
				break
			}
			want.MaxBytes /= 2
		}
		if err == nil && want.MaxBytes < cfg.MaxBytes {
			c.log.Warn("stream: the server has less room than was asked for", "stream", cfg.Name, "bytes", want.MaxBytes, "asked", cfg.MaxBytes)
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = c.js.Stream(ctx, cfg.Name)
		}
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == noRoom {
		return nil, problem.Wrap(err, problem.Conflict, op, "the NATS server has no room for the %d GB of the stream %s: give it a larger max_file_store", cfg.MaxBytes>>30, cfg.Name)
	}
	if err != nil {
		return nil, c.fault(op, err)
	}
	have := s.CachedInfo().Config
	var bad string
	switch {
	case have.PersistMode == jetstream.AsyncPersistMode:
		bad = "PersistMode=async: it acknowledges before it syncs"
	case have.Storage != jetstream.FileStorage:
		bad = "memory storage"
	case have.Retention != jetstream.LimitsPolicy:
		bad = "a retention other than limits: replay must stay possible"
	case have.Discard != jetstream.DiscardNew:
		bad = "Discard=old: a full journal must refuse, not forget"
	case have.MaxAge != 0:
		bad = "MaxAge: messages must not expire by age"
	case have.NoAck:
		bad = "NoAck"
	case have.MaxMsgs > 0:
		bad = "MaxMsgs"
	}
	if bad != "" {
		return nil, problem.New(problem.Conflict, "the stream %s is set up with %s; change it or name another", cfg.Name, bad).In("journal")
	}
	if c.opts.URL != "" && cfg.Least > 0 && have.MaxBytes >= cfg.Least {
		want.MaxBytes = have.MaxBytes
	}
	if cfg.Grows {
		want.MaxBytes = max(want.MaxBytes, have.MaxBytes)
		if held := int64(s.CachedInfo().State.Bytes); held > want.MaxBytes/2 {
			want.MaxBytes = 2 * held
		}
	}
	if have.MaxBytes != want.MaxBytes || have.MaxMsgSize != want.MaxMsgSize {
		have.MaxBytes, have.MaxMsgSize = want.MaxBytes, want.MaxMsgSize
		if s, err = c.js.UpdateStream(ctx, have); err != nil {
			return nil, c.fault(op, err)
		}
	}
	return &Stream{conn: c, name: cfg.Name, subject: want.Subjects[0], s: s}, nil
}

// Stream is an append-only sequence of messages, numbered from 1 without gaps.
// It is safe for concurrent use.
type Stream struct {
	conn    *Conn
	name    string
	subject string
	s       jetstream.Stream
}

// Message is one stored message. Data belongs to the receiver.
type Message struct {
	Seq  uint64
	Time time.Time // when the server stored it
	Data []byte
}

// Publish appends one message and returns its sequence once the server has
// stored it durably (see the package comment). With a non-empty id, publishing
// the same id again within a minute returns the first sequence. Errors: Unavailable
// (full, disk nearly full, server away, no answer: the message may or may not be
// stored), TooLarge. data is the caller's again when it returns.
func (s *Stream) Publish(ctx context.Context, id string, data []byte) (uint64, error) {
	op := "stream: publish to " + s.name
	if err := s.conn.room(len(data)); err != nil {
		return 0, err
	}
	opts := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if id != "" {
		opts = append(opts, jetstream.WithMsgID(id))
	}
	wait, cancel := context.WithTimeout(ctx, s.conn.opts.Timeout)
	defer cancel()
	ack, err := s.conn.js.Publish(wait, s.subject, data, opts...)
	if err != nil {
		if ctx.Err() == nil && !isAPI(err) {
			s.conn.revive()
		}
		return 0, s.conn.fault(op, err)
	}
	return ack.Sequence, nil
}

// Append is Publish for one writer at a time: the message gets the sequence after last,
// or none. Conflict says that the stream goes on otherwise after last: somebody else
// writes. After any other error the same message may be appended again, also when
// it was stored and the answer lost.
func (s *Stream) Append(ctx context.Context, data []byte, last uint64) (uint64, error) {
	op := "stream: append to " + s.name
	if err := s.conn.room(len(data)); err != nil {
		return 0, err
	}
	wait, cancel := context.WithTimeout(ctx, s.conn.opts.Timeout)
	defer cancel()
	ack, err := s.conn.js.Publish(wait, s.subject, data, jetstream.WithRetryAttempts(0), jetstream.WithExpectLastSequence(last))
	if err == nil {
		return ack.Sequence, nil
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		m, gerr := s.Get(ctx, last+1)
		switch {
		case gerr == nil && bytes.Equal(m.Data, data):
			return last + 1, nil
		case gerr == nil || problem.KindOf(gerr) == problem.NotFound:
			return 0, problem.Wrap(err, problem.Conflict, op, "somebody else has written to %s after message %d", s.name, last)
		}
		return 0, gerr
	}
	if ctx.Err() == nil && !isAPI(err) {
		s.conn.revive()
	}
	return 0, s.conn.fault(op, err)
}

func isAPI(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api)
}

// State is what a stream holds now.
type State struct {
	First, Last uint64 // sequences; First is Last+1 when nothing is left
	Messages    uint64
	Bytes       uint64 // on disk
	MaxBytes    int64
}

// State asks the server.
func (s *Stream) State(ctx context.Context) (State, error) {
	info, err := s.s.Info(ctx)
	if err != nil {
		return State{}, s.conn.fault("stream: state of "+s.name, err)
	}
	st := info.State
	first := st.FirstSeq
	if st.Msgs == 0 {
		first = st.LastSeq + 1
	}
	return State{First: first, Last: st.LastSeq, Messages: st.Msgs, Bytes: st.Bytes, MaxBytes: info.Config.MaxBytes}, nil
}

// Get reads one message; NotFound when it is not there.
func (s *Stream) Get(ctx context.Context, seq uint64) (Message, error) {
	m, err := s.s.GetMsg(ctx, seq)
	if err != nil {
		return Message{}, s.conn.fault(fmt.Sprintf("stream: read %s/%d", s.name, seq), err)
	}
	return Message{Seq: m.Sequence, Time: m.Time, Data: m.Data}, nil
}

// Next reads the first message at or after a sequence; NotFound when there is none.
func (s *Stream) Next(ctx context.Context, seq uint64) (Message, error) {
	m, err := s.s.GetMsg(ctx, max(seq, 1), jetstream.WithGetMsgSubject(s.subject))
	if err != nil {
		return Message{}, s.conn.fault(fmt.Sprintf("stream: read %s from %d", s.name, seq), err)
	}
	return Message{Seq: m.Sequence, Time: m.Time, Data: m.Data}, nil
}

// Lost tells which of the messages first to last, both inclusive, the server says it
// does not have and will not have. The leader of a replicated stream is asked, since
// another copy may only be behind. A message after the end of the stream is not lost.
func (s *Stream) Lost(ctx context.Context, first, last uint64) ([]uint64, error) {
	op := fmt.Sprintf("stream: ask for %s/%d-%d", s.name, first, last)
	info, err := s.s.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return nil, s.conn.fault(op, err)
	}
	gone := map[uint64]bool{}
	for _, seq := range info.State.Deleted {
		gone[seq] = true
	}
	var lost []uint64
	for seq := first; seq <= min(last, info.State.LastSeq); seq++ {
		if seq >= info.State.FirstSeq && !gone[seq] {
			// Stored and unreadable, perhaps. Not by a direct read, which any copy may answer.
			answer, err := s.conn.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+s.name, fmt.Appendf(nil, `{"seq":%d}`, seq))
			if err != nil {
				return nil, s.conn.fault(op, err)
			}
			var got struct {
				Error *jetstream.APIError `json:"error"`
			}
			if err := json.Unmarshal(answer.Data, &got); err != nil {
				return nil, s.conn.fault(op, err)
			}
			if got.Error == nil {
				continue
			}
			if got.Error.ErrorCode != jetstream.JSErrCodeMessageNotFound {
				return nil, s.conn.fault(op, got.Error)
			}
		}
		lost = append(lost, seq)
	}
	return lost, nil
}

// Delete removes one message for good; its sequence is never used again.
func (s *Stream) Delete(ctx context.Context, seq uint64) error {
	return s.conn.fault(fmt.Sprintf("stream: delete %s/%d", s.name, seq), s.s.DeleteMsg(ctx, seq))
}

// Erase is [Stream.Delete] that overwrites the message where it stood on the server's disk.
// Erasing one that is gone is fine.
func (s *Stream) Erase(ctx context.Context, seq uint64) error {
	err := s.s.SecureDeleteMsg(ctx, seq)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return nil
	}
	return s.conn.fault(fmt.Sprintf("stream: erase %s/%d", s.name, seq), err)
}

// Purge removes every message below before.
func (s *Stream) Purge(ctx context.Context, before uint64) error {
	return s.conn.fault("stream: purge "+s.name, s.s.Purge(ctx, jetstream.WithPurgeSequence(before)))
}

// followBytes and followMessages bound what a follower holds in memory ahead of its
// reader. Without the second the client makes room for a million messages, 8 MB that every
// garbage collection looks through.
const (
	followBytes    = 16 << 20
	followMessages = 4096
)

// Follow calls fn with every message from sequence from on (0 and 1 are the
// first), in order, and waits for new ones, until ctx ends (its error), fn fails
// (fn's error), or the server is away (Unavailable: call Follow again from the
// next sequence). It holds at most 16 MB ahead of fn. A sequence that is missing in
// the stream is skipped: whoever needs continuity compares Seq.
func (s *Stream) Follow(ctx context.Context, from uint64, fn func(Message) error) error {
	for next := max(from, 1); ; {
		seq, err := s.follow(ctx, next, fn)
		if err != nil {
			return err
		}
		next = seq // something waits there that was not delivered: ask for it again
	}
}

// followIdle is how long a follower waits for a message before it looks whether one was
// stored and not delivered: lost on its way when no other came after it.
const followIdle = 2 * time.Second

// follow is Follow until a message waits that is not delivered, at the sequence it returns.
func (s *Stream) follow(ctx context.Context, next uint64, fn func(Message) error) (uint64, error) {
	op := "stream: follow " + s.name
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next}
	cons, err := s.s.OrderedConsumer(ctx, cfg)
	if err != nil {
		return 0, s.conn.fault(op, err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(followMessages, followBytes))
	if err != nil {
		return 0, s.conn.fault(op, err)
	}
	defer it.Stop()
	stored := false // a message at or after next was there when nothing had come for followIdle
	for {
		idle, stop := context.WithTimeout(ctx, followIdle)
		m, err := it.Next(jetstream.NextContext(idle))
		late := idle.Err() != nil
		stop()
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err != nil && late {
			if stored {
				return next, nil // and it has had its time
			}
			_, err := s.Next(ctx, next)
			if stored = err == nil; err != nil && problem.KindOf(err) != problem.NotFound {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, s.conn.fault(op, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return 0, s.conn.fault(op, err)
		}
		stored, next = false, meta.Sequence.Stream+1
		if err := fn(Message{Seq: meta.Sequence.Stream, Time: meta.Timestamp, Data: m.Data()}); err != nil {
			return 0, err
		}
	}
}

// Bucket opens a key-value bucket of small values, making it when missing.
// Each key keeps its newest value.
func (c *Conn) Bucket(ctx context.Context, name, about string) (*Bucket, error) {
	kv, err := c.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = c.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: name, Description: about, History: 1, Storage: jetstream.FileStorage,
			MaxBytes: 1 << 30, Replicas: c.opts.Replicas,
		})
	}
	if err != nil {
		return nil, c.fault("stream: bucket "+name, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, c.fault("stream: bucket "+name, err)
	}
	if b, ok := status.(*jetstream.KeyValueBucketStatus); ok && b.StreamInfo().Config.PersistMode == jetstream.AsyncPersistMode {
		return nil, problem.New(problem.Conflict, "the bucket %s is set up with PersistMode=async: it acknowledges before it syncs", name).In("journal")
	}
	return &Bucket{conn: c, kv: kv}, nil
}

// Bucket is a small key-value store on the same durable ground as the streams.
type Bucket struct {
	conn *Conn
	kv   jetstream.KeyValue
}

// Get returns the newest value of a key and its revision; NotFound when there is none.
func (b *Bucket) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	e, err := b.kv.Get(ctx, key)
	if err != nil {
		return nil, 0, b.conn.fault("stream: get "+key, err)
	}
	return e.Value(), e.Revision(), nil
}

// Put sets a key, whatever it held.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	if err := b.conn.room(len(value)); err != nil {
		return 0, err
	}
	revision, err = b.kv.Put(ctx, key, value)
	return revision, b.conn.fault("stream: put "+key, err)
}

// Update sets a key if its newest revision is still the given one; 0 means that
// the key must be new. Conflict when somebody was faster.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if err := b.conn.room(len(value)); err != nil {
		return 0, err
	}
	var now uint64
	var err error
	if revision == 0 {
		now, err = b.kv.Create(ctx, key, value)
	} else {
		now, err = b.kv.Update(ctx, key, value, revision)
	}
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return 0, problem.New(problem.Conflict, "%s was changed by somebody else", key).
			Also("uz", "Buni hozirgina boshqa kishi oʻzgartirdi: qaytadan oching.").
			Also("ru", "Это только что изменил кто-то другой: откройте заново.").
			From("stream: update "+key, err)
	}
	return now, b.conn.fault("stream: update "+key, err)
}

// Delete removes a key; a key that is not there is fine.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	return b.conn.fault("stream: delete "+key, b.kv.Delete(ctx, key))
}

// Keys lists the keys that have a value, in no order.
func (b *Bucket) Keys(ctx context.Context) ([]string, error) {
	keys, err := b.kv.Keys(ctx)
	if errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, nil
	}
	return keys, b.conn.fault("stream: keys", err)
}

// Each calls fn with the newest value of every key that a pattern names, in no order: tokens are
// divided by dots, * is any token and > any that follow. An error of fn ends it.
func (b *Bucket) Each(ctx context.Context, pattern string, fn func(key string, value []byte) error) error {
	watch, err := b.kv.Watch(ctx, pattern, jetstream.IgnoreDeletes())
	if err != nil {
		return b.conn.fault("stream: each "+pattern, err)
	}
	defer watch.Stop() // only ends the subscription: what was read stands
	for {
		select {
		case entry, open := <-watch.Updates():
			if !open {
				return b.conn.fault("stream: each "+pattern, nats.ErrConnectionClosed)
			}
			if entry == nil { // all that there were
				return nil
			}
			if err := fn(entry.Key(), entry.Value()); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// DirLock is the claim of one process on a data folder.
type DirLock struct{ f *os.File }

// Lock claims a folder, making it when missing, until Release or the end of the
// process, however it ends (flock on the file "lock", which also holds the pid).
// A folder that another process holds is a Conflict that names its pid.
func Lock(dir string) (*DirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "lock", "the data folder %s cannot be made", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "lock", "the data folder %s cannot be written", dir)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, problem.Wrap(err, problem.Internal, "lock", "the data folder %s cannot be locked", dir)
		}
		pid, _ := io.ReadAll(io.LimitReader(f, 20)) // only to name the holder; unknown is said below
		who := string(pid)
		if who == "" {
			who = "unknown"
		}
		return nil, problem.New(problem.Conflict, "the data folder %s is in use by another process (pid %s); stop it or choose another folder", dir, who).In("data")
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, problem.Wrap(err, problem.Unavailable, "lock", "the data folder %s cannot be written", dir)
	}
	return &DirLock{f}, nil
}

// Release gives the folder up. Releasing twice is fine.
func (l *DirLock) Release() { l.f.Close() }

// serverLog passes the embedded server's log on: its notices are details of ours.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(f string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(f, v...)) }
func (l serverLog) Warnf(f string, v ...any)   { l.log.Warn("nats: " + fmt.Sprintf(f, v...)) }
func (l serverLog) Fatalf(f string, v ...any)  { l.log.Error("nats: " + fmt.Sprintf(f, v...)) }
func (l serverLog) Errorf(f string, v ...any)  { l.log.Error("nats: " + fmt.Sprintf(f, v...)) }
func (l serverLog) Debugf(f string, v ...any)  {}
func (l serverLog) Tracef(f string, v ...any)  {}
