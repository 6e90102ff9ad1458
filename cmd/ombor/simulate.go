package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/simulate"
)

func newSimulate() *cobra.Command {
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Write the events of a simulated year",
		Long: `Writes the events of a simulated national year as CloudEvents, one a line. The same
pack, seed and size give the same bytes on every machine. Every event says that it is
simulated, and every figure that it moves says so too.

At full scale (--scale 1) the year has the published number of decided requests for
certificates and their published online share; the rest is scaled, and the summary on
standard error says by how much.`,
		Example: `  ombor simulate --scale 0.01 -o year.ndjson
  ombor simulate --events 100000 --seed 7 | ombor load -`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			generator, err := newGenerator(c)
			if err != nil {
				return err
			}
			name, _ := c.Flags().GetString("output")
			out := c.OutOrStdout()
			if name != "" && name != "-" {
				file, err := os.Create(name)
				if err != nil {
					return problem.Wrap(err, problem.BadInput, "", "-o: the file cannot be written")
				}
				defer file.Close() // an error shows in Flush below
				out = file
			}
			buffered := bufio.NewWriterSize(out, 1<<20)
			bar := newProgress(c.ErrOrStderr(), "simulating", "events")
			summary, err := generator.WriteTo(c.Context(), buffered, func(done, total int64) {
				bar.set(float64(done)/float64(max(total, 1)), done)
			})
			if err != nil {
				return err
			}
			if err := buffered.Flush(); err != nil {
				return problem.Wrap(err, problem.Unavailable, "simulate", "the events cannot be written")
			}
			bar.end()
			fmt.Fprintln(c.ErrOrStderr(), summary)
			return nil
		},
	}
	simulateFlags(c)
	c.Flags().Int("events", 0, "about how many events to make; by default --scale says")
	c.Flags().String("pack", "", "folder or zip of the pack; by default the embedded pack uz")
	c.Flags().StringP("output", "o", "", "file to write; by default standard output")
	return c
}

func simulateFlags(c *cobra.Command) {
	f := c.Flags()
	f.Float64("scale", 1, "share of the full scale, 0 to 100")
	f.Bool("systems", true, "the other systems of the country too, not the portal alone; never with --events")
	f.Uint64("seed", 1, "the same seed gives the same events")
	f.String("from", "", "first day, YYYY-MM-DD; by default of the published year")
	f.String("to", "", "last day, YYYY-MM-DD; by default of the published year")
	f.Float64("late", simulate.UsualLateShare, "share of events that arrive late")
	f.Float64("duplicates", simulate.UsualDuplicateShare, "share of events that arrive twice")
}

func newGenerator(c *cobra.Command) (*simulate.Generator, error) {
	f := c.Flags()
	name, _ := f.GetString("pack")
	p, err := readPack(name, pack.Checks{})
	if err != nil {
		return nil, err
	}
	options := simulate.Options{}
	options.Scale, _ = f.GetFloat64("scale")
	options.Events, _ = f.GetInt("events")
	options.Seed, _ = f.GetUint64("seed")
	options.Systems, _ = f.GetBool("systems")
	options.Systems = options.Systems && options.Events == 0
	options.LateShare, _ = f.GetFloat64("late")
	options.DuplicateShare, _ = f.GetFloat64("duplicates")
	for flag, day := range map[string]*reference.Day{"from": &options.From, "to": &options.To} {
		text, _ := f.GetString(flag)
		if text == "" {
			continue
		}
		if *day, err = reference.ParseDay(text); err != nil {
			return nil, usage{fmt.Errorf("--%s %q: want a day, YYYY-MM-DD", flag, text)}
		}
	}
	return simulate.New(p, options)
}
