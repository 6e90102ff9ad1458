package main

import (
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
					return c.Help()
				}
			}
			return engine.Command(arguments)
		},
	}
}
