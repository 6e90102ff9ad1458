package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
	"ombor/warehouse"
)

func newSQL() *cobra.Command {
	c := &cobra.Command{
		Use:   "sql 'SELECT …'",
		Short: "Run one SELECT on the warehouse of a server on this machine",
		Long: `Runs one read-only statement on the warehouse of the server that runs on --data and
prints its result. For the operator of the machine: it goes to the engine's own
socket, which only the operator may open.

Databases: ombor, made for analysts and described in docs/sql.md (one view for each
contract with the rows that stand, reference tables through time, calendar, published
figures); facts (one table for each contract; a correction is a row with _sign −1 and
a row with _sign +1, so count with sum(_sign)) and rollups.`,
		Example: `  ombor sql 'SELECT count() FROM ombor.request_decided_v1'
  ombor sql "SELECT name, comment FROM system.tables WHERE database = 'ombor'"
  ombor sql "$(ombor kpi online-processing-share --by region --sql)"
  ombor sql 'SELECT service, sum(_sign) AS n FROM facts.request_decided_v1 GROUP BY service ORDER BY n DESC LIMIT 10' --format CSVWithNames`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, statements []string) error {
			format, _ := c.Flags().GetString("format")
			data, _ := c.Flags().GetString("data")
			r, err := readRunning(data)
			if err != nil {
				return problem.Wrap(err, problem.Unavailable, "", "no server runs on the data folder %q. Start one with 'ombor serve --data %s'", data, data)
			}
			w, err := openWarehouse(c.Context(), r)
			if err != nil {
				return err
			}
			defer w.Close()
			body, err := w.Raw(c.Context(), strings.TrimRight(strings.TrimSpace(statements[0]), ";"), nil, format)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.Copy(c.OutOrStdout(), body)
			return err
		},
	}
	c.Flags().String("data", defaultData(), "data folder of a server on this machine (OMBOR_DATA)")
	c.Flags().String("format", "PrettyCompactMonoBlock", "any output format of ClickHouse: CSVWithNames, JSON, Parquet, ArrowStream …")
	return c
}

// openWarehouse connects to the warehouse of a running server, for reading.
func openWarehouse(ctx context.Context, r running) (*warehouse.Warehouse, error) {
	config := warehouse.Config{Socket: r.Engine}
	if !filepath.IsAbs(r.Engine) {
		if !strings.Contains(r.Engine, "://") {
			return nil, fmt.Errorf("the server's note names no engine")
		}
		config = warehouse.Config{URL: r.Engine}
	}
	return warehouse.Open(ctx, config, noContracts{}, nil)
}
