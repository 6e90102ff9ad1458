package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
	"ombor/internal/problem"
	"ombor/internal/stream"
)

func (p *program) rebuild(ctx context.Context, decode func(any) error, report reporter) (any, error) {
	var own bool // the server was started for this
	if err := decode(&own); err != nil {
		return nil, err
	}
	if done := p.loader.WasRebuilt(); own && done != nil {
		return done, nil
	}
	lasting, stop := p.lasting(ctx)
	defer stop()
	return p.loader.Rebuild(ctx, lasting, report)
}

// lasting ends with the server, not with the command that asked: for what cannot be left half done.
func (p *program) lasting(ctx context.Context) (lasting context.Context, stop func()) {
	lasting, stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-p.ending:
			stop()
		case <-lasting.Done():
		}
	}()
	return lasting, stop
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
answered with 503 and how far it is. Ctrl-C ends it until something is dropped, and no
longer. When the server is stopped meanwhile, the rebuild goes on at its next start, which
is not ready until it is done. A server that finds its warehouse empty and its lake not
does the same by itself.

With --index it is the first-seen index that is made from the lake, and no server may run
on --data. A server does that by itself, too, when the index is not complete; interrupted,
it goes on where it was.`,
		Example: `  ombor rebuild && ombor verify
  ombor rebuild --index`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			data, _ := c.Flags().GetString("data")
			_, err = readRunning(data)
			if index, _ := c.Flags().GetBool("index"); index {
				if err == nil {
					return problem.New(problem.Conflict, "a server runs on %s and uses its index: stop it, then run this again", data)
				}
				return rebuildIndex(c)
			}
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
	c.Flags().Bool("index", false, "make the first-seen index anew instead")
	c.Flags().String("format", "table", "table or json")
	return c
}

// rebuildIndex removes the first-seen index and starts the parts, which make it.
func rebuildIndex(c *cobra.Command) (err error) {
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	cfg.Listen = "127.0.0.1:0"
	lock, err := stream.Lock(cfg.Data)
	if err != nil {
		return err
	}
	err = os.RemoveAll(filepath.Join(cfg.Data, "loader", "index"))
	lock.Release()
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the index in %s cannot be removed", cfg.Data)
	}
	p, err := openProgram(c.Context(), cfg, io.Discard)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	bar := newProgress(c.ErrOrStderr(), "index", "ids")
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	settled := make(chan error, 1)
	go func() { settled <- p.settled(c.Context()) }()
	for {
		select {
		case err := <-settled:
			bar.set(1, int64(p.loader.Status().IDs))
			bar.end()
			if s := p.loader.Status(); err == nil && s.Role == loader.Stopped {
				err = problem.New(problem.Internal, "the index was not made: %s", s.Trouble)
			}
			return err
		case <-tick.C:
			bar.set(-1, int64(p.loader.Status().IDs))
		}
	}
}
