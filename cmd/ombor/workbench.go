package main

import (
	"context"

	dashboards "ombor/dashboards-api"
	"ombor/queries/governed"
	"ombor/queries/workbench"
	"ombor/warehouse"
)

// openWorkbench opens what analysts work with. Their statements go through the door for SQL.
func (p *program) openWorkbench(ctx context.Context) error {
	if p.sql == nil {
		return nil
	}
	kept, err := workbench.Open(ctx, p.stream, workbench.Options{})
	if err != nil {
		return err
	}
	p.workbench = &dashboards.Workbench{Workbench: kept, Gate: &workbench.Through{
		Door: p.sql, Database: analysts, Functions: governed.Functions(), Progress: p.statementProgress, RowBytes: p.rowBytes,
	}}
	return nil
}

// statementProgress is how far the statement with a query id has come, as the engine tells it. It
// is zero before the engine has begun.
func (p *program) statementProgress(ctx context.Context, id string) (now workbench.Progress, err error) {
	err = p.warehouse.Each(ctx, "SELECT read_rows, read_bytes, total_rows_approx FROM system.processes WHERE query_id = {id:String} OR startsWith(Settings['log_comment'], {id:String}) LIMIT 1",
		map[string]string{"id": id}, func(scan warehouse.Scan) error { return scan(&now.ReadRows, &now.ReadBytes, &now.TotalRows) })
	return now, err
}

// rowBytes are the bytes on disk of one row, by table with its database.
func (p *program) rowBytes(ctx context.Context) (map[string]float64, error) {
	sizes := map[string]float64{}
	err := p.warehouse.Each(ctx, "SELECT concat(database, '.', table), sum(bytes_on_disk) / greatest(sum(rows), 1) FROM system.parts WHERE active GROUP BY 1", nil, func(scan warehouse.Scan) error {
		var table string
		var bytes float64
		err := scan(&table, &bytes)
		sizes[table] = bytes
		return err
	})
	return sizes, err
}
