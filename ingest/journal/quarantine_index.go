package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

// The file of the index, little-endian:
//
//	8 bytes   "OMBQIDX1"
//	uint64    last message applied, uint64 its xxHash64
//	uint32    length of the kinds, kinds as JSON
//	uint64    number of items, 76 bytes each, in the order of their fields below
//	uint64    xxHash64 of everything above
const indexMagic = "OMBQIDX1"

const itemBytes = 8 + 10 + 1 + 1 + 4 + 4 + 12 + 12 + 8 + 8 + 8

func markOf(data []byte) uint64 { return xxhash.Sum64(data) }

// writeIndex writes the index beside its place and renames it, so that a crash leaves
// the old one or the new one.
func (q *Quarantine) writeIndex() error {
	if q.file == "" {
		return nil
	}
	q.mu.RLock()
	if q.fresh == 0 {
		q.mu.RUnlock()
		return nil
	}
	fresh := q.fresh
	le := binary.LittleEndian
	kinds, err := json.Marshal(q.kinds)
	b := make([]byte, 0, 64+len(kinds)+len(q.items)*itemBytes)
	b = append(b, indexMagic...)
	b = le.AppendUint64(b, q.applied)
	b = le.AppendUint64(b, q.mark)
	b = le.AppendUint32(b, uint32(len(kinds)))
	b = append(b, kinds...)
	b = le.AppendUint64(b, uint64(len(q.items)))
	for i := range q.items {
		x := &q.items[i]
		b = le.AppendUint64(b, x.number)
		b = append(b, x.id[:]...)
		b = append(b, byte(x.state), x.fixed)
		b = le.AppendUint32(b, x.kind)
		b = le.AppendUint32(b, x.size)
		b = le.AppendUint32(le.AppendUint64(b, x.body.Seq), x.body.Line)
		b = le.AppendUint32(le.AppendUint64(b, x.note.Seq), x.note.Line)
		b = le.AppendUint64(b, x.row)
		b = le.AppendUint64(b, uint64(x.at))
		b = le.AppendUint64(b, uint64(x.closed))
	}
	q.mu.RUnlock()
	b = le.AppendUint64(b, xxhash.Sum64(b))
	if err == nil {
		err = replaceFile(q.file, b)
	}
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "journal: quarantine", "the index %s cannot be written", q.file)
	}
	q.mu.Lock()
	q.fresh -= fresh
	q.mu.Unlock()
	return nil
}

func replaceFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// readIndex is false when the file cannot be used: the index is then made from the log.
func (q *Quarantine) readIndex(ctx context.Context, st stream.State) bool {
	q.forget()
	if q.file == "" {
		return false
	}
	data, err := os.ReadFile(q.file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			q.log.Warn("journal: the quarantine's index cannot be read", "err", err)
		}
		return false
	}
	if !q.decodeIndex(data) {
		q.log.Warn("journal: the quarantine's index is damaged", "file", q.file)
		return false
	}
	// Of this log? It holds the last message that was applied, or has been emptied since.
	if q.applied > st.Last || q.applied+1 < st.First {
		return false
	}
	if q.applied >= st.First {
		m, err := q.s.Get(ctx, q.applied)
		return err == nil && markOf(m.Data) == q.mark
	}
	return true
}

func (q *Quarantine) decodeIndex(data []byte) bool {
	le := binary.LittleEndian
	if len(data) < len(indexMagic)+28+8 || string(data[:len(indexMagic)]) != indexMagic || le.Uint64(data[len(data)-8:]) != xxhash.Sum64(data[:len(data)-8]) {
		return false
	}
	r := bytes.NewBuffer(data[len(indexMagic) : len(data)-8])
	u64 := func() uint64 { return le.Uint64(r.Next(8)) }
	u32 := func() uint32 { return le.Uint32(r.Next(4)) }
	applied, mark := u64(), u64()
	n := int(u32())
	if n > r.Len()-8 {
		return false
	}
	var kinds []kind
	if err := json.Unmarshal(r.Next(n), &kinds); err != nil {
		return false
	}
	count := u64()
	if uint64(r.Len()) != count*itemBytes {
		return false
	}
	q.items, q.numbers = make([]item, 0, count), make(map[entryID]uint64, count)
	for i, k := range kinds {
		q.kindAt[k] = uint32(i)
	}
	q.kinds, q.tally = kinds, make([]tally, len(kinds))
	for r.Len() > 0 {
		x := item{number: u64()}
		copy(x.id[:], r.Next(len(x.id)))
		x.state, x.fixed = EntryState(r.Next(1)[0]), r.Next(1)[0]
		x.kind, x.size = u32(), u32()
		x.body = where{u64(), u32()}
		x.note = where{u64(), u32()}
		x.row, x.at, x.closed = u64(), int64(u64()), int64(u64())
		if int(x.kind) >= len(kinds) || x.state > StateDismissed {
			return false
		}
		q.add(x)
	}
	q.applied, q.mark = applied, mark
	return true
}

// shorten makes the log shorter when more than half of it is of no use any more, when
// closed entries are past their time, or when room is needed. The oldest part of the
// log is written again as far as it is still of use, at its end, and then removed: at
// every moment the log alone tells everything.
func (q *Quarantine) shorten(ctx context.Context, now time.Time) error {
	for {
		drop, worth := q.useless(now)
		if !worth {
			return nil
		}
		done, err := q.shortenStep(ctx, drop, nil)
		if err != nil || done {
			return err
		}
	}
}

// useless chooses the entries that are no longer kept. worth says that shortening pays.
func (q *Quarantine) useless(now time.Time) (drop map[entryID]bool, worth bool) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.pending > 0 {
		return nil, false // their lines must stay where they are
	}
	drop = map[entryID]bool{}
	tight := float64(q.bytes) > 0.7*float64(q.limit.bytes) || float64(len(q.items)) > 0.7*float64(q.limit.entries)
	spare := len(q.items)/2 + 1 // when room is needed, this many closed ones at most go at once
	var live int64
	for i := range q.items {
		x := &q.items[i]
		closed := x.state == StateReplayed || x.state == StateDismissed
		if closed && (now.UnixMilli()-x.closed >= keepClosed.Milliseconds() || tight && len(drop) < spare) {
			drop[x.id] = true
			continue
		}
		live += int64(x.size)
	}
	return drop, len(drop) > 0 || q.bytes > 2*live+(64<<20)
}

// shortenStep writes the first part of the log again without what is dropped, and with the
// content that change makes of the rest; what stood there is then overwritten, not only
// let go of. nil changes nothing. done says that there was no other part.
func (q *Quarantine) shortenStep(ctx context.Context, drop map[entryID]bool, change func(contract.Held) (contract.Held, error)) (done bool, err error) {
	q.op.Lock() // nothing changes its state meanwhile
	defer q.op.Unlock()
	st, err := q.s.State(ctx)
	if err != nil || st.First > st.Last {
		return true, err
	}
	if err := q.awaitSoon(ctx, st.Last); err != nil {
		return true, err
	}
	q.mu.RLock()
	changes, pending := q.changes, q.pending
	q.mu.RUnlock()
	if pending > 0 { // begun since: its lines must stay where they are
		return false, nil
	}
	var lines [][]byte
	size, through := 0, uint64(0)
	notes := newLineReader(q.s)
	end := errors.New("enough")
	err = q.s.Follow(ctx, st.First, func(m stream.Message) error {
		for n, text := range splitLines(m.Data) {
			here := where{m.Seq, uint32(n)}
			r, err := readLine(text, here)
			if err != nil || r.Held == nil {
				continue
			}
			q.mu.RLock()
			var x item
			if at := q.named(r.ID); at != nil {
				x = *at
			}
			q.mu.RUnlock()
			if x.number == 0 || x.body != here || drop[x.id] {
				continue
			}
			if change != nil {
				if *r.Held, err = change(*r.Held); err != nil {
					return err
				}
			}
			kept := record{Op: "keep", ID: r.ID, Row: x.row, Held: r.Held, Number: x.number, State: x.state, Fixed: x.fixed, At: x.at, Closed: x.closed}
			if x.state != StateOpen {
				note, err := notes.read(ctx, x.note)
				if err != nil && !errors.Is(err, errGone) {
					return err
				}
				kept.By, kept.Note, kept.Into = note.By, note.Note, note.Into
			}
			line, err := json.Marshal(&kept)
			if err != nil {
				return err
			}
			lines = append(lines, line)
		}
		through = m.Seq
		if size += len(m.Data); size >= compactStep || m.Seq >= st.Last {
			return end
		}
		return nil
	})
	if !errors.Is(err, end) {
		return true, err
	}
	if len(lines) > 0 {
		last, err := q.publish(ctx, lines)
		if err == nil {
			err = q.awaitSoon(ctx, last)
		}
		if err != nil {
			return true, err
		}
		q.mu.RLock()
		alone := q.changes == changes
		q.mu.RUnlock()
		if !alone { // another process changed entries meanwhile, which the copies may not say: another time
			return true, nil
		}
	}
	if change != nil {
		for seq := st.First; seq <= through; seq++ {
			if err := q.s.Erase(ctx, seq); err != nil {
				return true, err
			}
		}
	}
	if err := q.s.Purge(ctx, through+1); err != nil {
		return true, err
	}
	after, err := q.s.State(ctx)
	if err != nil {
		return true, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes = int64(after.Bytes)
	kept := q.items[:0]
	for _, x := range q.items {
		if drop[x.id] && x.body.Seq <= through {
			q.tally[x.kind].states[x.state]--
			delete(q.numbers, x.id)
			continue
		}
		kept = append(kept, x)
	}
	clear(q.items[len(kept):])
	q.items = kept
	q.fresh++
	return through >= st.Last, nil
}
