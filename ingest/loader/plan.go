package loader

import (
	"bytes"
	"fmt"
	"time"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/ipc"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// rowBits is how many bits of a sequence number the rows of a message.
const rowBits = 20

// plan is what goes into warehouse and lake together: the messages first to last,
// all received on one day.
type plan struct {
	first, last uint64
	cut         reference.Day
	began       time.Time // when its first message was taken
	received    time.Time // of its first message
	gathered
	order    []*contract.Contract // of tables, as they came
	outcomes [][]Outcome          // by message, by part
	counts   map[countKey]*Outcome
	held     []journal.Found // conflicts and damage
	takeBack []takeBack
	rows     int // of events, duplicates included
	bytes    int // of messages
}

// takeBack is a row of the warehouse that a correction takes back.
type takeBack struct {
	contract *contract.Contract // of the correction
	old      entry
	seq      uint64 // of the correction
}

// gathered is most of a plan's memory, which the next plan uses again.
type gathered struct {
	tables  map[*contract.Contract]*table // of its rows
	entries []entry                       // new in the index
}

func newPlan() *plan {
	return &plan{gathered: gathered{tables: map[*contract.Contract]*table{}}, counts: map[countKey]*Outcome{}}
}

// without is the plan without memory: it gets that of another.
func (p *plan) without() *plan {
	p.gathered = gathered{}
	return p
}

// release gives the plan's memory away, empty, once its rows are records and its entries are
// logged. Records that share a table's memory keep it.
func (p *plan) release() gathered {
	all := p.gathered
	p.gathered = gathered{}
	for c, t := range all.tables {
		if t.lent {
			delete(all.tables, c)
		} else {
			t.reset()
		}
	}
	all.entries = all.entries[:0]
	return all
}

// reset empties a plan and keeps its memory.
func (p *plan) reset() {
	for _, t := range p.tables {
		t.reset()
	}
	p.first, p.last, p.rows, p.bytes = 0, 0, 0, 0
	p.order, p.entries, p.outcomes, p.takeBack = p.order[:0], p.entries[:0], p.outcomes[:0], p.takeBack[:0]
	p.held = nil
	clear(p.counts)
}

func (p *plan) empty() bool { return p.first == 0 }

func (p *plan) table(c *contract.Contract) *table {
	t := p.tables[c]
	if t == nil {
		t = newTable(c)
		p.tables[c] = t
	}
	if t.rows() == 0 {
		for _, known := range p.order {
			if known == c {
				return t
			}
		}
		p.order = append(p.order, c)
	}
	return t
}

func (p *plan) count(source, eventType string) *Outcome {
	key := countKey{source, eventType}
	if p.counts[key] == nil {
		p.counts[key] = new(Outcome)
	}
	return p.counts[key]
}

// verdict is the first-seen rule's answer for one row.
type verdict uint8

const (
	accepted  verdict = iota // the first of its id and revision, and the newest
	corrected                // the same, and takes back the row that stood
	late                     // the first of its revision, but a later revision came before, or the facts of its event are not kept any longer
	duplicate                // known, the same content
	conflict                 // known, other content
)

// decide applies the first-seen rule to a row: what counts are the accepted revisions of
// its id with a smaller sequence. They are all in the index when the row is decided,
// and the same ones whenever it is decided again, also when the index already
// holds the row itself (own) and what came after it.
//
// The highest revision stands, whatever the order in which revisions come; a
// correction whose root has not been seen yet stands in for it. rev is the row's revision: with
// correct set, other content under a known id is its next one.
func decide(known []entry, seq, digest uint64, rev uint32, withdrawn, correct bool) (v verdict, at uint32, old entry, own bool) {
	var top *entry
	same := -1
	for i := range known {
		e := &known[i]
		if e.seq >= seq {
			own = own || e.seq == seq
			continue
		}
		if top == nil || e.rev > top.rev {
			top = e
		}
		if e.rev == rev {
			same = i
		}
	}
	equal := func(e *entry) bool { return e.digest == digest && (e.flags&flagWithdrawn != 0) == withdrawn }
	switch {
	case top == nil:
		return accepted, rev, entry{}, own
	case correct && rev == 0:
		if equal(top) {
			return duplicate, top.rev, entry{}, own
		}
		return corrected, top.rev + 1, *top, own
	case same >= 0:
		if equal(&known[same]) {
			return duplicate, rev, entry{}, own
		}
		return conflict, rev, known[same], own
	case rev > top.rev:
		return corrected, rev, *top, own
	}
	return late, rev, entry{}, own
}

// take decides every row of a message and gathers those that count.
func (p *plan) take(m journal.Message, cut reference.Day, x *index) error {
	if p.empty() {
		p.first, p.cut, p.began, p.received = m.Seq, cut, time.Now(), m.Received
	}
	p.last = m.Seq
	p.bytes += m.Bytes
	outcomes := make([]Outcome, len(m.Parts))
	lost := map[int]int{} // rows of damaged parts
	for _, d := range m.Damage {
		if d.Whole {
			outcomes = []Outcome{{Damaged: 1}} // how many events it held cannot be known
			p.count("", "").Damaged++
		} else {
			lost[d.Part] = d.Rows
			outcomes[d.Part].Damaged = uint64(d.Rows)
			p.count("", d.Type).Damaged += uint64(d.Rows)
		}
		p.held = append(p.held, journal.Found{Row: m.Seq<<rowBits | uint64(d.Part),
			Held: contract.Held{Type: d.Type, Time: m.Received, Code: contract.Damaged, Reason: d.String()}})
	}
	seq := m.Seq << rowBits
	for i, part := range m.Parts {
		if part.Record == nil {
			seq += uint64(lost[i])
			continue
		}
		if err := p.takePart(part, seq, x, &outcomes[i]); err != nil {
			return problem.Wrap(err, problem.Internal, fmt.Sprintf("loader: message %d, part %d", m.Seq, i), "a batch of %s does not fit its contract", part.Contract.Type)
		}
		seq += uint64(part.Record.NumRows())
		p.rows += int(part.Record.NumRows())
	}
	p.outcomes = append(p.outcomes, outcomes)
	return nil
}

// batch is the columns of a part that decide.
type batch struct {
	ids                []byte
	digests            []uint64
	revs               []uint32
	withdrawn, correct *array.Boolean
	source             *array.Dictionary
}

func batchOf(rec arrow.Record) (b batch, err error) {
	ok := int(rec.NumCols()) >= contract.FirstField
	if ok {
		id, iok := rec.Column(0).(*array.FixedSizeBinary)
		digest, dok := rec.Column(1).(*array.Uint64)
		rev, rok := rec.Column(2).(*array.Uint32)
		withdrawn, wok := rec.Column(3).(*array.Boolean)
		correct, cok := rec.Column(4).(*array.Boolean)
		source, sok := rec.Column(6).(*array.Dictionary)
		if ok = iok && dok && rok && wok && cok && sok; ok {
			data := id.Data()
			b = batch{data.Buffers()[1].Bytes()[data.Offset()*16:], digest.Uint64Values(), rev.Uint32Values(), withdrawn, correct, source}
		}
	}
	if !ok {
		err = fmt.Errorf("its columns are %s", rec.Schema())
	}
	return b, err
}

func (p *plan) takePart(part contract.Part, seq uint64, x *index, sum *Outcome) error {
	rec := part.Record
	b, err := batchOf(rec)
	if err != nil {
		return err
	}
	t := p.table(part.Contract)
	if err := t.match(rec.Schema()); err != nil {
		return err
	}
	rows := int(rec.NumRows())
	sources := make([]Outcome, b.source.Dictionary().Len())
	run := 0 // rows from run on are accepted as they are and not copied yet
	flush := func(end int) {
		if end > run {
			t.add(rec, run, end, 1, seq+uint64(run))
		}
		run = end + 1
	}
	sifted := x.sift(b.ids[:rows*16])
	for i := range rows {
		e := entry{id: *(*[16]byte)(unsafe.Pointer(&b.ids[i*16])), seq: seq + uint64(i), digest: b.digests[i]}
		withdrawn := b.withdrawn.Value(i)
		if withdrawn {
			e.flags = flagWithdrawn
		}
		known := x.lookUp(&e.id, sifted[i])
		v, rev, old, own := decide(known, e.seq, e.digest, b.revs[i], withdrawn, b.correct.Value(i))
		if e.rev = rev; v == corrected && x.without(part.Contract.Type, known) {
			v = late // there is no row any more that it could take back: figures stay
		}
		count := &sources[b.source.GetValueIndex(i)]
		switch v {
		case duplicate:
			flush(i)
			count.Duplicate++
			continue
		case conflict:
			flush(i)
			count.Conflict++
			h, err := eventOf(part.Contract, rec, i)
			if err != nil {
				return err
			}
			h.Code, h.Pseudonyms = contract.Conflict, part.Pseudonyms
			h.Reason = fmt.Sprintf("the same id and revision came with other content in message %d, row %d; send a correction with a higher revision instead", old.seq>>rowBits, old.seq&(1<<rowBits-1))
			p.held = append(p.held, journal.Found{Held: h, Row: e.seq})
			continue
		}
		count.Accepted++
		if !own {
			x.add(e)
		}
		p.entries = append(p.entries, e)
		if v == accepted && !withdrawn {
			continue // the run goes on
		}
		flush(i)
		if v == corrected && old.flags&flagWithdrawn == 0 {
			if err := p.takeRowBack(part.Contract, old, e.seq); err != nil {
				return err
			}
		}
		sign := int8(1)
		if withdrawn || v == late {
			sign = 0
		}
		t.add(rec, i, i+1, sign, e.seq)
		t.rev.v[t.rows()-1] = rev
	}
	flush(rows)
	for i, o := range sources {
		if o != (Outcome{}) {
			name, _ := text(b.source.Dictionary(), i)
			p.count(string(name), part.Contract.Type).add(o)
			sum.add(o)
		}
	}
	return nil
}

// takeRowBack takes back the row that a correction replaces: here when the plan has
// it, else from the warehouse when the plan is carried out.
func (p *plan) takeRowBack(c *contract.Contract, old entry, seq uint64) error {
	if old.seq>>rowBits < p.first {
		p.takeBack = append(p.takeBack, takeBack{c, old, seq})
		return nil
	}
	for _, t := range p.tables {
		if row := t.standing(old.seq); row >= 0 {
			t.retract(row, seq)
			return nil
		}
	}
	return fmt.Errorf("the row %d.%d that row %d.%d replaces is not in the plan", old.seq>>rowBits, old.seq&(1<<rowBits-1), seq>>rowBits, seq&(1<<rowBits-1))
}

// retracted are the rows taken back from the warehouse, as Arrow streams by event
// type, for the ledger.
func retracted(p *plan, from map[*contract.Contract]int) (map[string][]byte, error) {
	if len(from) == 0 {
		return nil, nil
	}
	all := map[string][]byte{}
	for c, start := range from {
		rec := p.tables[c].tail(start)
		var out bytes.Buffer
		if err := writeArrow(&out, rec, ipc.WithLZ4()); err != nil {
			return nil, err
		}
		all[c.Type] = out.Bytes()
	}
	return all, nil
}

// tail is the rows from start on, as a record of the table's own columns and _seq.
func (t *table) tail(start int) arrow.Record {
	perm := make([]int32, 0, t.rows()-start)
	for i := start; i < t.rows(); i++ {
		perm = append(perm, int32(i))
	}
	columns := make([]arrow.Array, 0, len(t.columns)+1)
	for _, c := range t.columns {
		columns = append(columns, c.build(perm))
	}
	seq := fixed[uint64]{typ: arrow.PrimitiveTypes.Uint64, v: t.seq}
	columns = append(columns, seq.build(perm))
	fields := append(append([]arrow.Field(nil), t.schema.Fields()[:len(t.columns)]...), arrow.Field{Name: "_seq", Type: arrow.PrimitiveTypes.Uint64})
	return array.NewRecord(arrow.NewSchema(fields, nil), columns, int64(len(perm)))
}
