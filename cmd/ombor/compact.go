package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
	"ombor/internal/problem"
	"ombor/warehouse/lake"
)

type compactRequest struct {
	Rows  int           `json:"rows"`
	Grace time.Duration `json:"grace"`
}

func (p *program) compact(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var r compactRequest
	if err := decode(&r); err != nil {
		return nil, err
	}
	s := p.loader.Status()
	if s.Role != loader.Active {
		return nil, problem.New(problem.Conflict, "this server does not load (%s): compact where the loader is at work", s.Role)
	}
	return p.lake.Compact(ctx, lake.Compaction{Contracts: p.pack.Set, Through: s.Loaded, Rows: r.Rows, Grace: r.Grace,
		Progress: func(done, plans int) { report("merging", float64(done)/float64(max(plans, 1)), uint64(done)) }})
}

func newCompact() *cobra.Command {
	c := &cobra.Command{
		Use:   "compact",
		Short: "Merge the small files of the lake into larger ones",
		Long: `The loader writes a Parquet file for each contract and plan, small ones when little
comes. This merges those of neighbouring plans of one day of receipt into files of up to
--rows rows, sorted by day, with the same rows, sequences and checksums.

Readers by the manifests see either the old files or the merged ones, switched by one
manifest: 'ombor sql' is not concerned, and docs/sql.md has the statement for DuckDB. The old
files stay for --grace, for who is reading them, and are removed by the next run after
that. Whoever reads with a pattern of file names sees both meanwhile, and so rows
twice: let them read by the manifests, or use --grace 0 while they do not read.

It works beside a running server and may be ended at any moment; the next run removes
what was left half done. Run it once a day.`,
		Example: `  ombor compact
  ombor compact --grace 0`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			var r compactRequest
			r.Rows, _ = c.Flags().GetInt("rows")
			r.Grace, _ = c.Flags().GetDuration("grace")
			if r.Rows < 1 || r.Rows > 8<<20 || r.Grace < 0 {
				return usage{fmt.Errorf("--rows is 1 to %d, --grace is not negative", 8<<20)}
			}
			var done lake.Compacted
			if err := operate(c, "compact", "plans", r, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "merged   %s files of %s plans into %s, %s rows, %s → %s KB\n", grouped(int64(done.Files)), grouped(int64(done.Plans)),
				grouped(int64(done.Merged)), grouped(int64(done.Rows)), grouped(done.BytesBefore>>10), grouped(done.BytesAfter>>10))
			fmt.Fprintf(out, "removed  %s old files, %s KB; %s stay until their grace is over\n", grouped(int64(done.Removed)), grouped(done.RemovedBytes>>10), grouped(int64(done.Waiting)))
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().Int("rows", 1<<20, "of a merged file, at most; about 400 bytes of memory are needed for each")
	c.Flags().Duration("grace", time.Hour, "how long an old file stays")
	c.Flags().String("format", "table", "table or json")
	return c
}
