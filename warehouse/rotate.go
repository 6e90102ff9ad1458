package warehouse

import "context"

// DemandRebuild writes down that facts and rollups are to be made anew from the lake, all of them,
// whatever an earlier rebuild has made already: [Warehouse.Rebuilding] says that one is begun. What is
// there stays until [Warehouse.BeginRebuild].
func (w *Warehouse) DemandRebuild(ctx context.Context) error {
	if err := w.stillReigns(ctx); err != nil {
		return err
	}
	if err := w.exec(ctx, "warehouse: rebuild", nil, "DROP TABLE IF EXISTS "+name(w.databases.meta)+".rebuild SYNC"); err != nil {
		return err
	}
	return w.note(ctx, "dropping")
}
