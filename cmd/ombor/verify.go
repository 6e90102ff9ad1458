package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
	"ombor/internal/problem"
)

type verifyRequest struct {
	Contract string `json:"contract"`
	Day      string `json:"day"`
	Quick    bool   `json:"quick"`
	Repair   bool   `json:"repair"`
}

func (p *program) verify(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var r verifyRequest
	if err := decode(&r); err != nil {
		return nil, err
	}
	eventType := ""
	if r.Contract != "" {
		c := p.warehouse.Contract(r.Contract)
		if c == nil {
			c = p.pack.Set.ByType(r.Contract)
		}
		if c == nil {
			return nil, problem.New(problem.BadInput, "there is no contract %q", r.Contract).In("contract")
		}
		eventType = c.Type
	}
	return p.loader.Verify(ctx, loader.Verification{Contract: eventType, Day: r.Day, Quick: r.Quick, Repair: r.Repair, Progress: report})
}

func newVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that journal, lake, warehouse and rollups hold the same events",
		Long: `Compares the parts of a data folder with each other, up to what was loaded when it
begins, and prints the exact ranges of messages in which they differ:

  journal and lake     every event that the journal still holds is in the lake once,
                       with its own content, or was known before
  lake                 every file that a manifest names is there, with its bytes,
                       rows, order and checksum; no accepted event is missing
  lake and warehouse   the rows of every batch and the checksum over all columns
  warehouse            no revision of an event counts twice
  rollups and facts    the sums of each rollup are those of its facts

It works beside a running server, which goes on loading; when none runs on --data, it
starts the parts for itself. With --repair rollups that differ are computed anew from
the facts. Facts that differ from the lake are put right by 'ombor rebuild'.

Exit codes: 0 everything agrees, 1 something differs or could not be compared, 2 usage.`,
		Example: `  ombor verify
  ombor verify --day 2024-05-01 --contract request.decided
  ombor verify --quick                    numbers of rows only
  ombor verify --format json | jq .differences`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			var r verifyRequest
			r.Contract, _ = c.Flags().GetString("contract")
			r.Day, _ = c.Flags().GetString("day")
			r.Quick, _ = c.Flags().GetBool("quick")
			r.Repair, _ = c.Flags().GetBool("repair")
			var found loader.Verified
			if err := operate(c, "verify", "rows", r, &found); err != nil {
				return err
			}
			if format == "json" {
				if err := printJSON(c, found); err != nil {
					return err
				}
			} else {
				printVerified(c, &found, r.Quick)
			}
			if n := len(found.Differences); n > 0 {
				return problem.New(problem.Internal, "the parts differ in %d ranges", n)
			}
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().String("contract", "", "only events of this contract, for instance request.decided")
	c.Flags().String("day", "", "only events received on this day, YYYY-MM-DD")
	c.Flags().Bool("quick", false, "compare numbers of rows only, without reading the lake's files or the journal")
	c.Flags().Bool("repair", false, "compute rollups that differ from their facts anew")
	c.Flags().String("format", "table", "table or json")
	return c
}

func printVerified(c *cobra.Command, v *loader.Verified, quick bool) {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "up to message   %s\n", grouped(int64(v.Through)))
	if !quick {
		fmt.Fprintf(out, "journal         %s events in %s messages from %s on", grouped(int64(v.Journal.Events)), grouped(int64(v.Journal.Messages)), grouped(int64(v.Journal.First)))
		if v.Journal.Damaged > 0 {
			fmt.Fprintf(out, ", and %s damaged", grouped(int64(v.Journal.Damaged)))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "lake            %s rows in %s files, %s MB\n", grouped(int64(v.Lake.Rows)), grouped(int64(v.Lake.Files)), grouped(v.Lake.Bytes>>20))
	fmt.Fprintf(out, "warehouse       %s rows in %s batches, %d rollups\n", grouped(int64(v.Warehouse.Rows)), grouped(int64(v.Warehouse.Batches)), v.Warehouse.Rollups)
	for _, r := range v.Repaired {
		fmt.Fprintf(out, "repaired        rollups of %s\n", r)
	}
	for _, d := range v.Differences {
		fmt.Fprintf(out, "DIFFERS         %s\n", d)
	}
	if len(v.Differences) == 0 && v.Journal.Events+v.Lake.Rows+v.Warehouse.Rows == 0 {
		fmt.Fprintln(out, "nothing was received that would have to agree")
	} else if len(v.Differences) == 0 {
		fmt.Fprintf(out, "they agree      %.1f s\n", v.Seconds)
	}
}
