package warehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"ombor/internal/contract"
	"ombor/internal/reference"
)

// # The checksum of a row
//
// Sums of it compare sets of rows in whatever order they lie, between the engine and a
// program that has the same rows in memory. With mix the 64-bit mixer that ClickHouse
// calls intHash64 and salt(name) the xxHash64 of the column's name,
//
//	row    = mix(Σ cell, mod 2⁶⁴) over the columns of the table
//	cell   = 0 for a null and for an empty text, else
//	number   mix(bits ^ salt)          as 64-bit two's complement; times in milliseconds, dates in
//	                                   days since 1970, decimals unscaled, floats by their bits
//	text     mix(xxHash64(text) ^ salt)
//	hash     mix(mix(high ^ salt) ^ low)   the big-endian halves of 16 bytes
//
// A column that came later is null or empty in older rows and so changes nothing.

// Mix is the mixer.
func Mix(h uint64) uint64 {
	h ^= 0x4cf2d2baae6da887
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Salt is a column's own number, so that values in another column give another sum.
func Salt(column string) uint64 { return xxhash.Sum64String(column) }

// contentOf is the checksum of a row as an expression.
func contentOf(c *contract.Contract) string {
	var cells []string
	for _, col := range factColumns(c) {
		cells = append(cells, cellOf(col))
	}
	return "intHash64(" + strings.Join(cells, " + ") + ")"
}

func cellOf(col column) string {
	kind, nullable := strings.CutPrefix(col.kind, "Nullable(")
	n, salt := name(col.name), fmt.Sprint(Salt(col.name))
	var cell string
	switch {
	case kind == "String" || strings.HasPrefix(kind, "LowCardinality"):
		return "if(" + n + " = '', 0, intHash64(bitXor(xxHash64(" + n + "), " + salt + ")))"
	case strings.HasPrefix(kind, "UUID"):
		cell = "intHash64(bitXor(intHash64(bitXor(reinterpretAsUInt64(" + n + "), " + salt + ")), toUInt64(toUInt128(" + n + "))))"
	case strings.HasPrefix(kind, "DateTime64"):
		cell = "intHash64(bitXor(toUInt64(toUnixTimestamp64Milli(" + n + ")), " + salt + "))"
	case strings.HasPrefix(kind, "Decimal"), strings.HasPrefix(kind, "Float64"):
		cell = "intHash64(bitXor(reinterpretAsUInt64(" + n + "), " + salt + "))"
	default:
		cell = "intHash64(bitXor(toUInt64(toInt64(" + n + ")), " + salt + "))"
	}
	if nullable {
		cell = "ifNull(" + cell + ", 0)"
	}
	return cell
}

// BatchSum is what the facts of a contract hold of one batch.
type BatchSum struct {
	Cut     reference.Day // the day of receipt
	Batch   uint64
	Rows    uint64
	Content uint64 // Σ of the rows' checksums
}

// BatchSums calls fn with the sums of every batch up to last, in no order. Without
// content only rows are counted, which is much less work.
func (w *Warehouse) BatchSums(ctx context.Context, c *contract.Contract, last uint64, content bool, fn func(BatchSum) error) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	sum := "toUInt64(0)"
	if content {
		sum = "sum(" + contentOf(c) + ")"
	}
	statement := "SELECT toInt64(_cut), _batch, count(), " + sum + " FROM " + w.Facts(c) + " WHERE _batch <= {last:UInt64} GROUP BY _cut, _batch"
	return w.each(ctx, "warehouse: sums of "+c.Table(), statement, map[string]string{"last": fmt.Sprint(last)}, func(scan Scan) error {
		var s BatchSum
		var cut int64
		if err := scan(&cut, &s.Batch, &s.Rows, &s.Content); err != nil {
			return err
		}
		s.Cut = reference.Day(cut)
		return fn(s)
	})
}

// RowSum is one row of facts.
type RowSum struct {
	Seq     uint64
	Sign    int8
	Content uint64
}

// RowSums calls fn with every row of one batch, in no order.
func (w *Warehouse) RowSums(ctx context.Context, c *contract.Contract, batch uint64, fn func(RowSum) error) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	statement := "SELECT _seq, _sign, " + contentOf(c) + " FROM " + w.Facts(c) + " WHERE _batch = {batch:UInt64}"
	return w.each(ctx, "warehouse: rows of "+c.Table(), statement, map[string]string{"batch": fmt.Sprint(batch)}, func(scan Scan) error {
		var s RowSum
		if err := scan(&s.Seq, &s.Sign, &s.Content); err != nil {
			return err
		}
		return fn(s)
	})
}

// Twice is a revision of an event that counts more than once.
type Twice struct {
	ID       string // of the event, as facts have it
	Revision uint32
	Seqs     []uint64 // where it stands
}

// twiceRows is how many rows are grouped at once, so that memory stays bounded.
const twiceRows = 8 << 20

// CountedTwice lists the revisions of events that stand in the facts of any contract more
// than once, among the batches up to last; at most limit of them.
func (w *Warehouse) CountedTwice(ctx context.Context, last uint64, limit int) ([]Twice, error) {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	var sources []string
	var rows uint64
	for _, c := range w.contracts {
		sources = append(sources, "SELECT _id, _rev, _seq FROM "+w.Facts(c)+" WHERE _sign > 0 AND _batch <= {last:UInt64}")
		err := w.each(ctx, "warehouse: rows", "SELECT count() FROM "+w.Facts(c), nil, func(scan Scan) error {
			var n uint64
			err := scan(&n)
			rows += n
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var found []Twice
	slices := rows/twiceRows + 1
	for slice := range slices {
		var from []string
		for _, s := range sources {
			if slices > 1 {
				s += fmt.Sprintf(" AND reinterpretAsUInt64(_id) %% %d = %d", slices, slice)
			}
			from = append(from, s)
		}
		if len(from) == 0 || len(found) >= limit {
			break
		}
		statement := "SELECT toString(_id), _rev, arraySort(groupArray(100)(_seq)) FROM (\nSELECT _id, _rev, _seq FROM (\n" + strings.Join(from, "\nUNION ALL\n") +
			"\n) WHERE (_id, _rev) IN (SELECT _id, _rev FROM (\n" + strings.Join(from, "\nUNION ALL\n") + "\n) GROUP BY _id, _rev HAVING count() > 1)\n) GROUP BY _id, _rev ORDER BY _id, _rev LIMIT " + fmt.Sprint(limit)
		err := w.each(ctx, "warehouse: counted twice", statement, map[string]string{"last": fmt.Sprint(last)}, func(scan Scan) error {
			var t Twice
			err := scan(&t.ID, &t.Revision, &t.Seqs)
			found = append(found, t)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return found[:min(len(found), limit)], nil
}
