package contract

import "time"

// Withdraw adds a withdrawal of the event with that _id to the batch: a correction to
// nothing, as an event with `withdrawn: true` would be, for who knows the row and not
// the sender's own id. revision is one above the row that stands, at its time. The same
// withdrawal has the same digest each time it is made.
func (b *Batch) Withdraw(c *Contract, source string, id [16]byte, revision uint32, at time.Time) {
	ms := at.UnixMilli()
	b.replay = nil
	b.row = row{table: b.table(c.compiled), source: []byte(source), time: ms, day: b.days.day(ms),
		revision: revision, withdrawn: true, key: id, values: make([]value, len(c.Fields))}
	b.digestRow()
	b.accept(0)
}
