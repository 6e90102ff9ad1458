package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
)

type retainRequest struct {
	DryRun bool `json:"dry_run"`
}

// retained is what a retention did, or would do.
type retained struct {
	DryRun bool `json:"dry_run"`
	loader.Retained
}

func (p *program) retain(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var r retainRequest
	if err := decode(&r); err != nil {
		return nil, err
	}
	done, err := p.loader.Retain(ctx, time.Now(), r.DryRun, report)
	if !r.DryRun && done != nil && (len(done.Months) > 0 || done.Files > 0) {
		slog.Warn("audit: retain: rows were removed", "months", len(done.Months), "rows", done.Rows, "lake_months", len(done.Lake), "lake_files", done.Files) // a warning is always logged
	}
	if err != nil {
		return nil, err
	}
	return retained{r.DryRun, *done}, nil
}

func newRetain() *cobra.Command {
	c := &cobra.Command{
		Use:   "retain",
		Short: "Remove what contracts keep no longer from the warehouse and the lake",
		Long: `A contract says how long its rows are kept (retention: {warehouse: 5y, lake: 10y}),
counted from the day of receipt. This removes the facts, and then the rows of the lake, of
every month of receipt that is older, as a whole.

Figures stay: they are kept in rollups. What only facts can tell of those days (some quantiles,
distinct counts and breakdowns) is then 'not kept any longer'. A correction of an event whose
facts are gone is accepted and changes no figure. While the lake has the rows, 'ombor rebuild'
brings the facts back until the next run.

Of a month whose rows go the lake keeps the figures, from which 'ombor rebuild' makes the same
ones, and of each event what tells it when it is sent again: a keyed hash of its id, a keyed
digest, its revision and its place in the journal. Nothing of its content stays.

It works beside a running server and may be ended and repeated at any moment: the next run
ends what was interrupted. Run it once a day, after 'ombor retain --dry-run' has shown what it is about to do.`,
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
			if err := operate(c, "retain", "rows", r, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			out := c.OutOrStdout()
			for _, m := range done.Months {
				fmt.Fprintf(out, "%-40s received %s %14s rows\n", m.Contract, m.Month, grouped(int64(m.Rows)))
			}
			for _, m := range done.Lake {
				fmt.Fprintf(out, "%-40s received %s %14s rows of the lake\n", m.Contract, m.Month, grouped(int64(m.Rows)))
			}
			words := "removed"
			if done.DryRun {
				words = "would be removed"
			}
			fmt.Fprintf(out, "%s rows of %s months %s from the warehouse, and the rows of %s months, %s files, from the lake\n",
				grouped(int64(done.Rows)), grouped(int64(len(done.Months))), words, grouped(int64(len(done.Lake))), grouped(int64(done.Files)))
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().Bool("dry-run", false, "print what would go, and remove nothing")
	c.Flags().String("format", "table", "table or json")
	return c
}
