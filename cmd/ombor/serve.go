package main

import (
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: door, journal, loader, warehouse, lake, API and page",
		Long: `Runs every part on one machine, with everything embedded unless told otherwise, until
it is stopped with Ctrl-C or SIGTERM. Everything lies under --data; keys are made there
on the first run (keys.json, mode 0600): back them up apart from the data.

Every flag may also stand in the YAML file that --config names (memory-limit: …) or in
the environment (OMBOR_MEMORY_LIMIT). A flag beats the environment, the environment
beats the file.`,
		Example: `  ombor serve
  ombor serve --data /srv/ombor --listen 127.0.0.1:8080 --pack ./boston
  OMBOR_S3_ACCESS_KEY=… OMBOR_S3_SECRET_KEY=… ombor serve --lake 's3://ombor/lake?endpoint=127.0.0.1:9000'`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			cfg, err := readConfig(c)
			if err != nil {
				return err
			}
			p, err := openProgram(c.Context(), cfg, c.OutOrStdout())
			if err != nil {
				return err
			}
			defer func() {
				if closed := p.close(); err == nil {
					err = closed
				}
			}()
			return p.wait(c.Context())
		},
	}
	serveFlags(c)
	return c
}
