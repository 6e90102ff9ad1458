package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how far the journal, the warehouse and the lake are",
		Long: `Prints the watermarks of a running server (journal, loaded, lake), how far each is
behind, what the sources sent, and in words what is wrong, if anything is.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			var status map[string]any
			if err := server.get(c.Context(), "/v1/status", nil, &status); err != nil {
				return err
			}
			if format == "json" {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(status)
			}
			printStatus(c.OutOrStdout(), "", status)
			return nil
		},
	}
	clientFlags(c)
	c.Flags().String("format", "table", "table or json")
	return c
}

// printStatus writes nested facts one on a line, under their names.
func printStatus(out io.Writer, indent string, facts map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		switch v := facts[name].(type) {
		case map[string]any:
			if name == "title" {
				fmt.Fprintf(out, "%s%-20s %s\n", indent, name, namesOf(v).in("en"))
				continue
			}
			fmt.Fprintf(out, "%s%s\n", indent, name)
			printStatus(out, indent+"  ", v)
		case []any:
			if len(v) == 0 {
				fmt.Fprintf(out, "%s%-20s none\n", indent, name)
				continue
			}
			fmt.Fprintf(out, "%s%s\n", indent, name)
			for _, item := range v {
				if fields, ok := item.(map[string]any); ok {
					printStatus(out, indent+"  ", fields)
					fmt.Fprintln(out)
				} else {
					fmt.Fprintf(out, "%s  %v\n", indent, item)
				}
			}
		case float64:
			fmt.Fprintf(out, "%s%-20s %s\n", indent, name, number(v))
		case nil:
			fmt.Fprintf(out, "%s%-20s –\n", indent, name)
		default:
			fmt.Fprintf(out, "%s%-20s %v\n", indent, name, v)
		}
	}
}

func namesOf(facts map[string]any) names {
	n := names{}
	for tag, v := range facts {
		n[tag] = text(v)
	}
	return n
}
