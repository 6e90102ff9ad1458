package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

func newKey() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "API keys of machines: make, list, revoke",
		Long: `A key is what a machine shows in place of signing in: a system that sends events, a
dashboard of an agency, an analyst's notebook. It is shown once, when it is made, and stored
as a hash. Clients send it as 'Authorization: Bearer KEY' (here --token or OMBOR_TOKEN).

The secret keys of pseudonyms are others: 'ombor pseudonyms'.`,
	}
	c.AddCommand(newKeyCreate(), newKeyList(), newKeyRevoke())
	return c
}

// keyBody is a key as the API tells it.
type keyBody struct {
	Token string `json:"key"`
	access.Key
}

func newKeyCreate() *cobra.Command {
	c := &cobra.Command{
		Use:   "create --role ROLE --name WHAT-FOR",
		Short: "Make a key; it is shown this once",
		Long: `Makes a key. Roles: source (sends events of --source), leader (reads figures), analyst
(also asks in SQL), center (also quality and quarantine), agency (its own rows, of --agency or
--region, and the national total), operator (keys, audit log, maintenance).`,
		Example: `  ombor key create --role source --name "portal, production" --source portal
  ombor key create --role source --name "billing" --source billing --contract uz.gov.payment.settled.v1
  ombor key create --role agency --agency customs-committee --name "customs dashboard" --expires 2027-06-30`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var k access.KeyRequest
			f := c.Flags()
			roles, _ := f.GetStringSlice("role")
			for _, r := range roles {
				k.Roles = append(k.Roles, access.Role(r))
			}
			k.Name, _ = f.GetString("name")
			k.Agency, _ = f.GetString("agency")
			k.Region, _ = f.GetString("region")
			k.Sources, _ = f.GetStringSlice("source")
			k.Contracts, _ = f.GetStringSlice("contract")
			day, _ := f.GetString("expires")
			if _, err := reference.ParseDay(day); day != "" && err != nil {
				return usage{fmt.Errorf("--expires %q: want a day such as 2027-06-30", day)}
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			if day != "" {
				k.Expires = &day
			}
			body, err := json.Marshal(k)
			if err != nil {
				return err
			}
			answer, err := server.do(c.Context(), http.MethodPost, "/v1/keys", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(string(body)))
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			var made keyBody
			if err := json.NewDecoder(answer.Body).Decode(&made); err != nil {
				return err
			}
			if jsonWanted(c) {
				return json.NewEncoder(c.OutOrStdout()).Encode(map[string]string{"key": made.Token})
			}
			fmt.Fprintf(c.ErrOrStderr(), "key %s, shown this once:\n", made.ID)
			fmt.Fprintln(c.OutOrStdout(), made.Token)
			return nil
		},
	}
	f := c.Flags()
	f.StringSlice("role", nil, "source, leader, analyst, center, agency or operator; several with commas")
	f.String("name", "", "what the key is for")
	f.String("agency", "", "organisation code: whose rows a key of role agency sees")
	f.String("region", "", "region code: whose rows a key of role agency sees, of all agencies; in place of --agency")
	f.StringSlice("source", nil, "sources for which a key of role source may send; * is any")
	f.StringSlice("contract", nil, "event types that it may send; by default all of its sources")
	f.String("expires", "", "last day on which the key works, in the zone of the server's pack")
	f.String("format", "table", "table, or json: {\"key\": …}")
	clientFlags(c)
	return c
}

// jsonWanted says whether --format json was given.
func jsonWanted(c *cobra.Command) bool {
	format, _ := c.Flags().GetString("format")
	return format == "json"
}

func newKeyList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the keys, without their secrets",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := dial(c)
			if err != nil {
				return err
			}
			var list struct {
				Keys []access.Key `json:"keys"`
			}
			if err := server.get(c.Context(), "/v1/keys", nil, &list); err != nil {
				return err
			}
			if jsonWanted(c) {
				return json.NewEncoder(c.OutOrStdout()).Encode(list)
			}
			rows := [][]string{{"id", "for", "roles", "sees or sends", "made", "by", "state"}}
			now := time.Now()
			for _, k := range list.Keys {
				state := "works"
				switch {
				case k.Revoked != nil:
					state = "revoked " + k.Revoked.Local().Format("2006-01-02 15:04")
				case k.Expires != nil && k.Expires.Before(now):
					state = "expired"
				case k.Expires != nil:
					state = "until " + k.Expires.Local().Format("2006-01-02 15:04")
				}
				var roles []string
				for _, r := range k.Roles {
					roles = append(roles, string(r))
				}
				reach := strings.Join(append(append([]string{}, k.Sources...), k.Contracts...), " ")
				rows = append(rows, []string{k.ID, k.Name, strings.Join(roles, ","), strings.TrimSpace(k.Agency + " " + k.Region + " " + reach), k.Created.Local().Format("2006-01-02"), k.By, state})
			}
			printTable(c.OutOrStdout(), rows, nil)
			return nil
		},
	}
	c.Flags().String("format", "table", "table or json")
	clientFlags(c)
	return c
}

func newKeyRevoke() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key, within two seconds everywhere",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, given []string) error {
			if strings.ContainsAny(given[0], "/?#%") {
				return problem.New(problem.BadInput, "%q is no id of a key; 'ombor key list' names them", given[0])
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			answer, err := server.do(c.Context(), http.MethodDelete, "/v1/keys/"+given[0], nil, nil)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			var k access.Key
			if err := json.NewDecoder(answer.Body).Decode(&k); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s (%s) works no more\n", k.ID, k.Name)
			return nil
		},
	}
	clientFlags(c)
	return c
}

func newSignIn() *cobra.Command {
	c := &cobra.Command{
		Use:   "sign-in",
		Short: "Print a link that signs its first reader in as operator",
		Long: `Prints a link to the page of the server on this machine. Whoever opens it first, within 15
minutes, is signed in as operator for 12 hours. People with other roles sign in at the provider
that the file of 'ombor serve --access' names.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := dial(c)
			if err != nil {
				return err
			}
			answer, err := server.do(c.Context(), http.MethodPost, "/v1/links", nil, nil)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			var link struct{ Path string }
			if err := json.NewDecoder(answer.Body).Decode(&link); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), server.page+link.Path)
			return nil
		},
	}
	clientFlags(c)
	return c
}
