package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"ombor/ingest/loader"
)

func (p *program) rotate(ctx context.Context, _ func(any) error, report reporter) (any, error) {
	slog.Warn("audit: pseudonyms: a rotation begins") // a warning is always logged
	lasting, stop := p.lasting(ctx)
	defer stop()
	done, err := p.loader.Rotate(ctx, lasting, report)
	if err != nil {
		slog.Warn("audit: pseudonyms: the rotation was interrupted, or refused", "err", err)
		return nil, err
	}
	slog.Warn("audit: pseudonyms: rotated", "version", done.Pseudonyms, "files", done.Files, "rows", done.Rows, "held", done.Held)
	return done, nil
}

func newPseudonyms() *cobra.Command {
	c := &cobra.Command{
		Use:     "pseudonyms",
		Aliases: []string{"keys"},
		Short:   "The keys that make pseudonyms of persons: rotate",
		Long: `A person's identifier becomes a pseudonym at the door, with the secret keys in keys.json. These
are other keys than those that machines show ('ombor key').`,
	}
	c.AddCommand(newPseudonymsRotate())
	return c
}

func newPseudonymsRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new pseudonym key and rewrite what is stored with it",
		Long: `Adds a key to keys.json. From then on the door makes pseudonyms with the old keys and the new one,
HMAC(new, HMAC(old, identifier)), and everything that is stored is brought to the same by applying the
new key to the old pseudonyms: the files of the lake, the events that are held in quarantine, and,
from the lake, facts and rollups. Who was one person stays one person, and every figure
stays what it is to the last digit. Whoever has nothing but the old keys can find nobody in what is stored then.

Copies of the old file of keys are of no use for the new data, so copy keys.json again, to where the old
copy is and to the other servers of the installation, and make a backup. Not reached: messages of the
journal that are loaded, which go 72 hours after that; earlier backups; and pseudonyms that
somebody copied elsewhere, for instance into a saved query or a list.

Nothing is made when a file of the lake is damaged. Events are accepted all the time and wait for the end;
figures are exact until the warehouse is made anew, and answered with 503 and how far it is from then
on, for as long as 'ombor rebuild' takes. Stopped or killed at any moment, it goes on at the next start of the
server, or when this is run again.`,
		Example: `  ombor pseudonyms rotate && ombor verify
  ombor pseudonyms rotate --data /srv/ombor --format json`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			var done loader.Rotated
			if err := operate(c, "rotate", "rows", nil, &done); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(c, done)
			}
			fmt.Fprintf(c.OutOrStdout(), "pseudonyms are of version %d now: %s rows in %s files of the lake and %s held events were rewritten, in %.1f s\n"+
				"Copy the file of keys again, to wherever a copy of it is, and make a backup: older copies cannot read what is stored now.\n",
				done.Pseudonyms, grouped(int64(done.Rows)), grouped(int64(done.Files)), grouped(int64(done.Held)), done.Seconds)
			return nil
		},
	}
	operatorFlags(c)
	c.Flags().String("format", "table", "table or json")
	return c
}
