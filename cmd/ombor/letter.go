package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"ombor/queries/letters"
)

func newLetter() *cobra.Command {
	c := &cobra.Command{
		Use:   "letter SOURCE",
		Short: "Draft the letter that asks for what a source has not sent",
		Long: `Prints a draft to the owner of the source: since when it has been silent, what was
promised, and what is wrong with its data, in the words of 'ombor quality findings'. Nothing
is sent: change it and sign it.`,
		Example: `  ombor quality letter customs
  ombor quality letter customs --language ru > letter.txt`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, sources []string) error {
			server, err := dial(c)
			if err != nil {
				return err
			}
			language, _ := c.Flags().GetString("language")
			var l letters.Letter
			if err := server.get(c.Context(), "/v1/letters/"+url.PathEscape(sources[0]), url.Values{"language": {language}}, &l); err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), l.Text)
			return nil
		},
	}
	c.Flags().String("language", "uz", "uz, ru or en")
	clientFlags(c)
	return c
}
