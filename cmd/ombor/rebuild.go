package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
)

func (p *program) rebuild(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var own bool // the server was started for this
	if err := decode(&own); err != nil {
		return nil, err
	}
	if done := p.loader.WasRebuilt(); own && done != nil {
		return done, nil
	}
	return p.loader.Rebuild(ctx, report)
}

func newRebuild() *cobra.Command {
	c := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the warehouse anew from the lake",
		Long: `Reads every file of the lake and holds it against its manifest; then drops facts and
rollups and makes them again from the lake: the facts, then the rollups. Every figure is
the same afterwards, to the last digit. When a file of the lake is damaged or missing,
it says which and drops nothing.

In a running server events are accepted meanwhile and wait in the journal; figures are
answered with 503 and how far it is. An interrupted rebuild goes on at the next start of the
server, which is not ready until it is done. A server that finds its warehouse empty and
its lake not does the same by itself.`,
		Example: `  ombor rebuild && ombor verify`,
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			data, _ := c.Flags().GetString("data")
			_, err = readRunning(data)
			var done loader.Rebuilt
			if err := operate(c, "rebuild", "rows", err != nil, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			fmt.Fprintf(c.OutOrStdout(), "the warehouse has %s rows from %s files of the lake, up to message %s, in %.1f s\n",
				grouped(int64(done.Rows)), grouped(int64(done.Files)), grouped(int64(done.Through)), done.Seconds)
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().String("format", "table", "table or json")
	return c
}
