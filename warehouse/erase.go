package warehouse

import (
	"context"
	"fmt"
	"strings"

	"ombor/internal/contract"
)

// ReplacePerson gives the rows of a contract another pseudonym in some fields of type person,
// and computes the rollups of their months of receipt anew, which remember pseudonyms where
// they count persons. It returns how many rows have the new pseudonym. Doing it again changes
// nothing more, so that it may be interrupted at any point. Nothing may be loaded meanwhile. The
// engine removes the old parts from its disk within some ten minutes.
func (w *Warehouse) ReplacePerson(ctx context.Context, c *contract.Contract, fields []string, old, replacement [16]byte) (rows uint64, err error) {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	var either, sets, was []string
	for _, f := range fields {
		either = append(either, fmt.Sprintf("%s IN (toUUID('%s'), toUUID('%s'))", name(f), uuid(old), uuid(replacement)))
		was = append(was, fmt.Sprintf("%s = toUUID('%s')", name(f), uuid(old)))
		sets = append(sets, fmt.Sprintf("%[1]s = if(%[1]s = toUUID('%[2]s'), toUUID('%[3]s'), %[1]s)", name(f), uuid(old), uuid(replacement)))
	}
	var months []monthBatch
	err = w.each(ctx, "warehouse: rows of a person", "SELECT toYYYYMM(_cut) AS month, count() FROM "+w.Facts(c)+" WHERE "+strings.Join(either, " OR ")+" GROUP BY month", nil, func(scan Scan) error {
		var m monthBatch
		err := scan(&m.month, &m.batch)
		rows += m.batch
		months = append(months, m)
		return err
	})
	if err != nil || rows == 0 {
		return 0, err
	}
	if err := w.stillReigns(ctx); err != nil {
		return 0, err
	}
	// A mutation that fails is tried again by the engine for ever; this one cannot fail on a value.
	if err := w.exec(ctx, "warehouse: replace a person in "+c.Table(), settings{"mutations_sync": 2, "max_execution_time": 0},
		"ALTER TABLE "+w.Facts(c)+" UPDATE "+strings.Join(sets, ", ")+" WHERE "+strings.Join(was, " OR ")); err != nil {
		return 0, err
	}
	for _, m := range months {
		if err := w.Refill(ctx, c, dayOfMonth(m.month)); err != nil {
			return 0, err
		}
	}
	for _, r := range w.Rollups(c) {
		if r.monthly() {
			if _, err := w.keepMonths(ctx, r, true); err != nil {
				return 0, err
			}
		}
	}
	return rows, nil
}
