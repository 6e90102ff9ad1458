package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/access"
	"ombor/internal/audit"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "The log of who asked for what: list, verify, retire",
	}
	c.AddCommand(newAuditList(), newAuditVerify(), newAuditRetire())
	return c
}

func newAuditList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List entries, the newest first",
		Example: `  ombor audit list --denied --from 2026-11-01
  ombor audit list --who key:abcdefgh --limit 1000 --format csv > audit.csv`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := dial(c)
			if err != nil {
				return err
			}
			q := url.Values{}
			for _, name := range []string{"who", "action", "text", "from", "to"} {
				if v, _ := c.Flags().GetString(name); v != "" {
					q.Set(name, v)
				}
			}
			if denied, _ := c.Flags().GetBool("denied"); denied {
				q.Set("denied", "true")
			}
			limit, _ := c.Flags().GetInt("limit")
			q.Set("limit", strconv.Itoa(limit))
			if format, _ := c.Flags().GetString("format"); format != "table" {
				q.Set("format", format)
				body, err := server.raw(c.Context(), "/v1/audit", q)
				if err != nil {
					return err
				}
				defer body.Close()
				_, err = io.Copy(c.OutOrStdout(), body)
				return err
			}
			var list struct{ Entries []audit.Entry }
			if err := server.get(c.Context(), "/v1/audit", q, &list); err != nil {
				return err
			}
			rows := [][]string{{"", "when", "who", "role", "did", "of", ""}}
			for _, e := range list.Entries {
				outcome := ""
				if !e.Allowed {
					outcome = "DENIED: " + e.Why
				}
				who := e.Who
				if e.Name != "" {
					who += " (" + e.Name + ")"
				}
				rows = append(rows, []string{strconv.FormatUint(e.Number, 10), e.Time.Local().Format(time.DateTime), who, e.Role, e.Action, shorten(e.Object, 60), outcome})
			}
			printTable(c.OutOrStdout(), rows, map[int]bool{0: true})
			return nil
		},
	}
	f := c.Flags()
	f.String("who", "", "principal, as the list shows it")
	f.String("action", "", "what was done, as the list shows it")
	f.String("text", "", "somewhere in who, what or why")
	f.Bool("denied", false, "denials only")
	f.String("from", "", "first day")
	f.String("to", "", "last day")
	f.Int("limit", 100, "most entries, up to 10,000")
	f.String("format", "table", "table, json, csv, xlsx, parquet or arrow")
	clientFlags(c)
	return c
}

func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// auditCheck is what 'ombor audit verify' asks and gets.
type auditCheck struct {
	Noted []string `json:"noted"` // heads that the operator noted
}

func newAuditVerify() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Follow the log's chain from its first entry to its last",
		Long: `Every entry carries a code made of the one before it, with a key. Verify follows them all,
and holds the end against the head that is kept beside the data and those given with --head:
an entry that was changed, removed, inserted or moved, or an end that was cut off, is named, and
the exit code is 1. What is kept then stays as it is, until somebody gives up what is lost and
removes the file audit.head. Note the head it prints somewhere else: whoever can change everything on
this machine cannot change that.`,
		Example: `  ombor audit verify
  ombor audit verify --head 4711:9f86d081884c7d65…`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var r audit.Report
			var check auditCheck
			check.Noted, _ = c.Flags().GetStringSlice("head")
			if err := operate(c, "audit", "entries", check, &r); err != nil {
				return err
			}
			if jsonWanted(c) {
				if err := json.NewEncoder(c.OutOrStdout()).Encode(r); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(c.OutOrStdout(), "%s entries\n", grouped(int64(r.Entries)))
				for _, f := range r.Faults {
					fmt.Fprintln(c.OutOrStdout(), f)
				}
				fmt.Fprintln(c.OutOrStdout(), "head", r.Head)
			}
			if len(r.Faults) > 0 {
				return problem.New(problem.Conflict, "the audit log is not whole")
			}
			return nil
		},
	}
	c.Flags().StringSlice("head", nil, "NUMBER:CODE, as an earlier verify printed it")
	c.Flags().String("format", "table", "table or json")
	operatorFlags(c)
	return c
}

// verifyAudit is the operation behind it.
func (p *program) verifyAudit(ctx context.Context, decode func(any) error, _ reporter) (any, error) {
	var check auditCheck
	if err := decode(&check); err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "", "the request cannot be read")
	}
	var noted []audit.Head
	for _, text := range check.Noted {
		h, err := audit.ParseHead(text)
		if err != nil {
			return nil, err
		}
		noted = append(noted, h)
	}
	return p.audit.Verify(ctx, noted...)
}

// auditRetirement is what 'ombor audit retire' asks.
type auditRetirement struct {
	Before string `json:"before"` // a day, YYYY-MM-DD, in the pack's zone
}

func newAuditRetire() *cobra.Command {
	c := &cobra.Command{
		Use:   "retire --before DAY",
		Short: "Remove the entries from before a day",
		Long: `Entries are kept until this removes the oldest. Those of the last 365 days stay in any
case. That entries were removed is an entry itself, from which 'ombor audit verify' follows
the chain that is left. Export what has to be kept longer first.`,
		Example: `  ombor audit list --to 2024-12-31 --limit 10000 --format parquet > audit-2024.parquet
  ombor audit retire --before 2025-01-01`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var r audit.Retired
			before, _ := c.Flags().GetString("before")
			if err := operate(c, "audit-retire", "entries", auditRetirement{before}, &r); err != nil {
				return err
			}
			if jsonWanted(c) {
				return printJSON(c, r)
			}
			if r.Entries == 0 {
				fmt.Fprintln(c.OutOrStdout(), "no entry is so old")
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "%s entries removed, the last of them %s\n", grouped(int64(r.Entries)), r.Last)
			return nil
		},
	}
	c.Flags().String("before", "", "first day whose entries stay")
	c.Flags().String("format", "table", "table or json")
	operatorFlags(c)
	return c
}

// retireAudit is the operation behind it.
func (p *program) retireAudit(ctx context.Context, decode func(any) error, _ reporter) (any, error) {
	var r auditRetirement
	if err := decode(&r); err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "", "the request cannot be read")
	}
	day, err := reference.ParseDay(r.Before)
	if err != nil {
		return nil, problem.New(problem.BadInput, "--before %q is no day; write it as 2024-12-31", r.Before).In("before")
	}
	return p.audit.Retire(ctx, dayStart(day, p.pack.Zone), audit.Entry{Who: "operator:machine", Role: string(access.Operator)})
}
