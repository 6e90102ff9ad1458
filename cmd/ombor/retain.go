package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"ombor/warehouse"
)

type retainRequest struct {
	DryRun bool `json:"dry_run"`
}

// retained is what a retention did, or would do.
type retained struct {
	DryRun bool                `json:"dry_run"`
	Months []warehouse.Retired `json:"months"`
	Rows   uint64              `json:"rows"`
}

func (p *program) retain(ctx context.Context, decode func(any) error, _ reporter) (any, error) {
	var r retainRequest
	if err := decode(&r); err != nil {
		return nil, err
	}
	months, err := p.loader.Retain(ctx, time.Now(), r.DryRun)
	out := retained{DryRun: r.DryRun, Months: months}
	for _, m := range months {
		out.Rows += m.Rows
	}
	if !r.DryRun && len(months) > 0 {
		slog.Warn("audit: retain: facts were removed", "months", len(months), "rows", out.Rows) // a warning is always logged
	}
	return out, err
}

func newRetain() *cobra.Command {
	c := &cobra.Command{
		Use:   "retain",
		Short: "Remove from the warehouse the facts that their contracts keep no longer",
		Long: `A contract says how long its rows are kept (retention: {warehouse: 5y}), counted
from the day of receipt. This removes the facts of every month of receipt that is older, as
a whole.

Figures stay: they are kept in rollups. What only facts can tell of those days (some quantiles,
distinct counts and breakdowns) is then 'not kept any longer'. A correction of an event whose
facts are gone is accepted and changes no figure. The lake keeps its files, so that
'ombor rebuild' brings the facts back until the next run.

It works beside a running server and may be ended and repeated at any moment. Run it once
a day, after 'ombor retain --dry-run' has shown what it is about to do.`,
		Example: `  ombor retain --dry-run
  ombor retain`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			var r retainRequest
			r.DryRun, _ = c.Flags().GetBool("dry-run")
			var done retained
			if err := operate(c, "retain", "months", r, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			out := c.OutOrStdout()
			for _, m := range done.Months {
				fmt.Fprintf(out, "%-40s received %s %14s rows\n", m.Contract, m.Month, grouped(int64(m.Rows)))
			}
			words := "removed"
			if done.DryRun {
				words = "would be removed"
			}
			fmt.Fprintf(out, "%s rows of %s months %s\n", grouped(int64(done.Rows)), grouped(int64(len(done.Months))), words)
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().Bool("dry-run", false, "print what would go, and remove nothing")
	c.Flags().String("format", "table", "table or json")
	return c
}
