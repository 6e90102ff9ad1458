package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"ombor/warehouse/engine"
)

func newEngine() *cobra.Command {
	return &cobra.Command{
		Use:   "engine --path DIR [--listen 127.0.0.1:PORT] [--socket FILE]",
		Short: "Run the embedded ClickHouse alone, for tests and tools",
		Long: `Serves ClickHouse's HTTP interface over the embedded engine, on a loopback address
or a Unix socket. There are no users behind it: whoever reaches it may do anything,
so keep it on loopback. 'ombor serve' runs the same as a supervised child.`,
		Example: `  ombor engine --path /tmp/try --listen 127.0.0.1:8123
  curl 'http://127.0.0.1:8123/?query=SELECT+version()'`,
		DisableFlagParsing: true, // the engine's flags are those of engine.Config
		RunE: func(c *cobra.Command, arguments []string) error {
			for _, a := range arguments {
				if a == "-h" || a == "--help" {
					fmt.Fprintf(c.OutOrStdout(), "%s\n\nExamples:\n%s\n\n", c.Long, c.Example)
				}
			}
			// Whoever starts an engine by hand wants to read where it listens.
			slog.SetDefault(slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelInfo})))
			return engine.Command(arguments)
		},
	}
}
