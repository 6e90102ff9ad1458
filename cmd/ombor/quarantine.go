package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	dashboards "ombor/dashboards-api"
	"ombor/ingest"
	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
)

// startQuarantine lets the quarantine settle what a crash broke off, and replay what the
// reference tables have learned, until close.
func (p *program) startQuarantine(ctx context.Context, checker *contract.Checker) {
	p.quarantine = ingest.NewQuarantine(checker, p.journal, nil)
	marker, mark := filepath.Join(p.config.Data, "quarantine", "checked-with"), p.packMark()
	p.quarantine.Learned(func() bool {
		known, err := os.ReadFile(marker)
		return err != nil || string(known) != mark
	}, func() error {
		if err := os.MkdirAll(filepath.Dir(marker), 0o700); err != nil {
			return err
		}
		return os.WriteFile(marker, []byte(mark), 0o600)
	})
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { p.quarantine.Run(running) })
	p.closing(func() error { stop(); group.Wait(); return nil })
}

// packMark tells one set of contracts and reference tables from another.
func (p *program) packMark() string {
	h := sha256.New()
	in := json.NewEncoder(h) // a hash never fails, and names, numbers and texts always marshal
	_ = in.Encode(p.pack.Set.All())
	for _, name := range p.pack.Reference.Tables() {
		_ = in.Encode(name)
		table := p.pack.Reference.Table(name)
		for _, row := range table.Rows() {
			_ = in.Encode(row)
			for _, column := range table.Columns {
				_ = in.Encode(row.Value(column))
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// heldIndex is the file of the quarantine's index.
func heldIndex(data string) string { return filepath.Join(data, "quarantine", "index") }

// quarantineAPI is the quarantine as the API serves it.
func (p *program) quarantineAPI() *dashboards.Quarantine {
	return &dashboards.Quarantine{
		Entry: p.quarantine.Entries(), Fix: p.quarantine.Fixes(), Replay: p.quarantine.Replays(), Dismiss: p.quarantine.Dismissals(),
		List: func(ctx context.Context, f dashboards.HeldFilter) (list []dashboards.HeldEvent, next string, err error) {
			filter := journal.Filter{Code: f.Code, Source: f.Source, Type: f.Type, Since: f.Since, Until: f.Until}
			if state, ok := journal.ParseEntryState(f.State); ok {
				filter.States = []journal.EntryState{state}
				if state == journal.StateOpen {
					filter.States = append(filter.States, journal.StateReplaying)
				}
			}
			before := uint64(0)
			if f.Cursor != "" {
				var ok bool
				if before, ok = journal.ParseCursor(f.Cursor); !ok {
					return nil, "", problem.New(problem.BadInput, "cursor: %q was not given by this server", f.Cursor).In("cursor").
						Also("uz", "“%s” belgisini bu server bermagan: boshidan boshlang.", f.Cursor).
						Also("ru", "Метку «%s» этот сервер не выдавал: начните сначала.", f.Cursor)
				}
			}
			entries, more, err := p.journal.Quarantine().List(ctx, filter, before, f.Limit)
			for i := range entries {
				list = append(list, dashboards.HeldEvent(ingest.Describe(&entries[i])))
			}
			if more && len(entries) > 0 {
				next = journal.FormatCursor(entries[len(entries)-1].Number)
			}
			return list, next, err
		},
	}
}

// heldCounts counts entries by code, and all that are open.
func (p *program) heldCounts() (list []dashboards.HeldCount, open uint64) {
	for _, t := range p.journal.Quarantine().Tally(time.Time{}, time.Time{}) {
		if n := len(list); n == 0 || list[n-1].Code != t.Code {
			list = append(list, dashboards.HeldCount{Code: t.Code})
		}
		c := &list[len(list)-1]
		c.Open, c.Replayed, c.Dismissed = c.Open+t.Open, c.Replayed+t.Replayed, c.Dismissed+t.Dismissed
		open += t.Open
	}
	return list, open
}

// heldMetrics writes what is in quarantine, in the text format of Prometheus.
func (p *program) heldMetrics(out io.Writer) {
	fmt.Fprintf(out, "# TYPE ombor_quarantine_entries gauge\n")
	counts, _ := p.heldCounts()
	for _, c := range counts {
		for _, s := range []struct {
			state string
			n     uint64
		}{{"open", c.Open}, {"replayed", c.Replayed}, {"dismissed", c.Dismissed}} {
			fmt.Fprintf(out, "ombor_quarantine_entries{code=\"%s\",state=\"%s\"} %d\n", label(c.Code), s.state, s.n)
		}
	}
	fmt.Fprintf(out, "# TYPE ombor_quarantine_full_ratio gauge\nombor_quarantine_full_ratio %.4f\n", p.journal.Quarantine().Full())
}

// heldTrouble says in words that the quarantine is nearly full; "" when it is not.
func (p *program) heldTrouble() string {
	full := p.journal.Quarantine().Full()
	if lost := p.journal.Quarantine().Lost(); lost > 0 {
		return fmt.Sprintf("the disk has lost %d messages of the quarantine's log: entries may be missing", lost)
	}
	switch {
	case full >= 1:
		return "the quarantine is full: conflicts are not taken, so loading waits; replay or dismiss what is open (ombor quarantine list)"
	case full >= 0.9:
		return "the quarantine is nearly full: events that would be held are refused; replay or dismiss what is open (ombor quarantine list)"
	case full >= 0.7:
		return fmt.Sprintf("the quarantine is %.0f %% full; replay or dismiss what is open (ombor quarantine list)", full*100)
	}
	return ""
}

func newQuarantine() *cobra.Command {
	c := &cobra.Command{
		Use:   "quarantine",
		Short: "Work off the events that are kept aside",
		Long: `An event that cannot be counted and must not be lost is kept aside: checked,
pseudonymised, on disk, and in no figure. Why, its code says:

  unknown_reference  a code that the reference table does not have (yet). Once a table
                     with it is installed and the server started, the event is replayed
                     by itself
  rule_broken        it breaks a rule of its contract whose severity is quarantine
  conflict           its id is known, with other content. The first one counts
  damaged            bytes in the journal are not those that were written. The content
                     is lost; its sender has it

An entry is open until it is replayed or dismissed. To replay sends it on as if it came
today: the same checks, the same identity, through the journal to the loader. Replaying
twice, or the sender sending it again, counts nothing twice.

The usual way:

  ombor quarantine list                                  what is open, the newest first
  ombor quarantine show 3f0c…                            its content, and all that is wrong with it
  ombor quarantine fix 3f0c… --set region=1726           put right what is wrong
  ombor quarantine replay 3f0c…                          send it on
  ombor quarantine replay --code unknown_reference       everything that passes today
  ombor quarantine replay 77ab… --as-correction          a conflict that is right: it becomes the next revision
  ombor quarantine dismiss --code conflict --source portal --note "sent by mistake"

Exit codes: 0 done, 1 failed, 2 usage, 3 some entries stay open (why is printed).`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newQuarantineList(), newQuarantineShow(), newQuarantineFix(), newQuarantineReplay(), newQuarantineDismiss())
	return c
}

// heldFlags adds the flags that choose entries.
func heldFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("code", "", "why they are held: unknown_reference, rule_broken, conflict or damaged")
	f.String("source", "", "only from this source")
	f.String("type", "", "only of this event type")
	f.String("since", "", "kept aside from then on: a day, 2024-12-31, or a time with its offset")
	f.String("until", "", "kept aside before then")
}

var heldFlagNames = []string{"code", "source", "type", "since", "until"}

type heldEvent struct {
	ID      string              `json:"id"`
	State   string              `json:"state"`
	HeldAt  time.Time           `json:"held_at"`
	Code    string              `json:"code"`
	Field   string              `json:"field"`
	Reason  string              `json:"reason"`
	Type    string              `json:"type"`
	Source  string              `json:"source"`
	Event   string              `json:"event"`
	Key     string              `json:"key"`
	Time    time.Time           `json:"time"`
	Place   string              `json:"place"`
	Fixed   int                 `json:"fixed"`
	Closed  *time.Time          `json:"closed_at"`
	By      string              `json:"by"`
	Note    string              `json:"note"`
	Into    string              `json:"into"`
	Content json.RawMessage     `json:"content"`
	Persons []string            `json:"persons"`
	Unread  []string            `json:"unread"`
	Faults  []*contract.Refusal `json:"faults"`
}

func newQuarantineList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List entries, the newest first",
		Example: `  ombor quarantine list
  ombor quarantine list --code conflict --source portal --since 2024-12-01
  ombor quarantine list --state dismissed --format csv`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json", "csv")
			if err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			query := url.Values{}
			for _, name := range append([]string{"state", "cursor", "limit"}, heldFlagNames...) {
				if value, _ := c.Flags().GetString(name); value != "" && value != "all" {
					query.Set(name, value)
				}
			}
			if format != "table" {
				query.Set("format", format)
				return copyAnswer(c, server, "/v1/quarantine", query)
			}
			var page struct {
				Entries []heldEvent `json:"entries"`
				Next    *string     `json:"next"`
			}
			if err := server.get(c.Context(), "/v1/quarantine", query, &page); err != nil {
				return err
			}
			out := c.OutOrStdout()
			if len(page.Entries) == 0 {
				fmt.Fprintln(out, "Nothing is kept aside.")
				return nil
			}
			rows := [][]string{{"id", "held", "state", "code", "source", "type", "field", "reason"}}
			for _, e := range page.Entries {
				reason := e.Reason
				if r := []rune(reason); len(r) > 60 {
					reason = string(r[:59]) + "…"
				}
				rows = append(rows, []string{e.ID, e.HeldAt.Format("2006-01-02 15:04"), e.State, e.Code, e.Source, e.Type, e.Field, reason})
			}
			printTable(out, rows, nil)
			if page.Next != nil {
				fmt.Fprintf(out, "There are more: --cursor %s\n", *page.Next)
			}
			return nil
		},
	}
	clientFlags(c)
	heldFlags(c)
	f := c.Flags()
	f.String("state", "open", "open, replayed, dismissed or all")
	f.String("limit", "", "entries of a page, at most 1000; 100 when not given")
	f.String("cursor", "", "the next page, as the one before says it")
	f.String("format", "table", "table, json or csv")
	return c
}

func copyAnswer(c *cobra.Command, server *client, path string, query url.Values) error {
	body, err := server.raw(c.Context(), path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(c.OutOrStdout(), body)
	return err
}

func newQuarantineShow() *cobra.Command {
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Print an entry, its content and all that is wrong with it today",
		Example: `  ombor quarantine show 3f0c9a5be1774b20d1aa`,
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, ids []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			path := "/v1/quarantine/" + url.PathEscape(ids[0])
			if format == "json" {
				return copyAnswer(c, server, path, nil)
			}
			var e heldEvent
			if err := server.get(c.Context(), path, nil, &e); err != nil {
				return err
			}
			return e.print(c.OutOrStdout())
		},
	}
	clientFlags(c)
	c.Flags().String("format", "table", "table or json")
	return c
}

func (e *heldEvent) print(out io.Writer) error {
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-10s %s\n", name, value)
		}
	}
	const moment = "2 January 2006 15:04:05 MST"
	say("entry", e.ID)
	say("state", e.State)
	say("held", e.HeldAt.Format(moment))
	say("code", e.Code)
	say("field", e.Field)
	say("reason", e.Reason)
	say("type", e.Type)
	say("source", e.Source)
	say("event", e.Event)
	say("key", e.Key)
	say("happened", e.Time.Format(moment))
	say("journal", e.Place)
	if e.Fixed > 0 {
		say("fixed", fmt.Sprintf("%d times", e.Fixed))
	}
	if e.Closed != nil {
		say("closed", e.Closed.Format(moment)+" by "+e.By)
		say("note", e.Note)
		say("into", e.Into)
	}
	if len(e.Content) == 0 || string(e.Content) == "null" {
		fmt.Fprintln(out, "Its content is lost.")
		return nil
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, e.Content, "", "  "); err != nil {
		return err
	}
	fmt.Fprintf(out, "content\n%s\n", indented.String())
	if len(e.Persons) > 0 {
		fmt.Fprintf(out, "Pseudonyms, which cannot be changed: %s.\n", strings.Join(e.Persons, ", "))
	}
	if len(e.Unread) > 0 {
		fmt.Fprintf(out, "Special, read by nobody and left out: %s.\n", strings.Join(e.Unread, ", "))
	}
	if e.State != "open" {
		return nil
	}
	printFaults(out, e.Faults)
	switch {
	case len(e.Faults) > 0:
		fmt.Fprintf(out, "Put it right:  ombor quarantine fix %s --set FIELD=VALUE\n", e.ID)
	case e.Code == contract.Conflict:
		fmt.Fprintf(out, "It stands against an event that counts. To replace that:  ombor quarantine replay %s --as-correction\n", e.ID)
	default:
		fmt.Fprintf(out, "Nothing is wrong with it today:  ombor quarantine replay %s\n", e.ID)
	}
	return nil
}

func printFaults(out io.Writer, faults []*contract.Refusal) {
	for _, f := range faults {
		fmt.Fprintf(out, "✗ %s: %s: %s\n", f.Field, f.Code, f.Reason)
	}
}

// byFlag adds --by, whose default is who runs the command.
func byFlag(c *cobra.Command) {
	by := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	c.Flags().String("by", by, "who does it, for those who look later")
	c.Flags().String("note", "", "and why")
}

func newQuarantineFix() *cobra.Command {
	c := &cobra.Command{
		Use:   "fix ID --set FIELD=VALUE",
		Short: "Change fields of an entry",
		Long: `Changes fields of an open entry, and "time", when it happened. The changed event is
checked against its contract: every rule and every reference that still fails is
printed, and then nothing is changed. Persons are pseudonyms and cannot be changed. A fix
sends nothing on; 'ombor quarantine replay' does.`,
		Example: `  ombor quarantine fix 3f0c9a5be1774b20d1aa --set region=1726 --note "typing error, asked the agency"
  ombor quarantine fix 3f0c9a5be1774b20d1aa --set fee=150000 --unset partner`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, ids []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			set, _ := c.Flags().GetStringArray("set")
			unset, _ := c.Flags().GetStringArray("unset")
			if len(set)+len(unset) == 0 {
				return usage{fmt.Errorf("say what to change: --set FIELD=VALUE or --unset FIELD")}
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			path := "/v1/quarantine/" + url.PathEscape(ids[0])
			var e heldEvent
			if err := server.get(c.Context(), path, nil, &e); err != nil {
				return err
			}
			values, err := fixValues(c.Context(), server, e.Type, set, unset)
			if err != nil {
				return err
			}
			by, _ := c.Flags().GetString("by")
			note, _ := c.Flags().GetString("note")
			answer, err := server.post(c.Context(), path+"/fix", ingest.Fix{Set: values, By: by, Note: note})
			if err != nil {
				return err
			}
			var fixed struct {
				Applied bool                `json:"applied"`
				Faults  []*contract.Refusal `json:"faults"`
			}
			if err := json.Unmarshal(answer, &fixed); err != nil {
				return err
			}
			out := c.OutOrStdout()
			if format == "json" {
				_, _ = out.Write(answer)
			} else {
				printFaults(out, fixed.Faults)
			}
			if !fixed.Applied {
				return &partlyRefused{"nothing was changed: what is still wrong is printed"}
			}
			if format == "table" {
				fmt.Fprintf(out, "Fixed. Send it on:  ombor quarantine replay %s\n", ids[0])
			}
			return nil
		},
	}
	clientFlags(c)
	byFlag(c)
	c.Flags().StringArray("set", nil, "FIELD=VALUE; may be given again")
	c.Flags().StringArray("unset", nil, "a field to remove; may be given again")
	c.Flags().String("format", "table", "table or json")
	return c
}

// fixValues spells values as JSON of the type that the contract gives their field.
func fixValues(ctx context.Context, server *client, eventType string, set, unset []string) (map[string]json.RawMessage, error) {
	var schema struct {
		Else struct {
			Properties struct {
				Data struct {
					Properties map[string]struct {
						Type any   `json:"type"`
						Enum []any `json:"enum"`
					} `json:"properties"`
				} `json:"data"`
			} `json:"properties"`
		} `json:"else"`
	}
	if eventType != "" {
		if err := server.get(ctx, "/v1/contracts/"+url.PathEscape(eventType), nil, &schema); err != nil {
			return nil, err
		}
	}
	values := map[string]json.RawMessage{}
	for _, name := range unset {
		values[name] = json.RawMessage("null")
	}
	for _, pair := range set {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usage{fmt.Errorf("--set %q: write FIELD=VALUE", pair)}
		}
		if _, twice := values[name]; twice {
			return nil, usage{fmt.Errorf("%s is named twice", name)}
		}
		kind := fmt.Sprint(schema.Else.Properties.Data.Properties[name].Type) // "integer", "[integer null]"
		if strings.Contains(kind, "integer") || strings.Contains(kind, "number") || strings.Contains(kind, "boolean") {
			if !json.Valid([]byte(value)) {
				return nil, usage{fmt.Errorf("--set %q: %s takes a number, true or false", pair, name)}
			}
			values[name] = json.RawMessage(value)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		values[name] = text
	}
	return values, nil
}

// post sends a JSON body and returns the answer's.
func (c *client) post(ctx context.Context, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	response, err := c.do(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

func newQuarantineReplay() *cobra.Command {
	c := &cobra.Command{
		Use:   "replay [ID …]",
		Short: "Send entries on, as if they came today",
		Long: `Each entry passes the same checks as at the door, with today's reference tables, and
goes through the journal to the loader under the identity that it was sent with. What
does not pass stays open, and why is printed. Replaying again changes nothing.

A conflict stands against an event that counts already. --as-correction makes it that
event's next revision: every figure that the old one touched changes. Otherwise dismiss it.`,
		Example: `  ombor quarantine replay 3f0c9a5be1774b20d1aa
  ombor quarantine replay --code unknown_reference --source portal
  ombor quarantine replay 77ab31c09d5e42f1b8c3 --as-correction --note "the agency confirmed the new fee"`,
		RunE: func(c *cobra.Command, ids []string) error {
			choice, err := heldChoice(c, ids)
			if err != nil {
				return err
			}
			if correction, _ := c.Flags().GetBool("as-correction"); correction {
				choice.As = "correction"
			}
			return settle(c, "/v1/quarantine/replay", choice)
		},
	}
	c.Flags().Bool("as-correction", false, "conflicts become the next revision of the event that stands")
	choiceFlags(c)
	return c
}

func newQuarantineDismiss() *cobra.Command {
	c := &cobra.Command{
		Use:   "dismiss [ID …] --note WHY",
		Short: "Close entries for good: they will not be counted",
		Example: `  ombor quarantine dismiss 77ab31c09d5e42f1b8c3 --note "a test of the portal"
  ombor quarantine dismiss --code conflict --source portal --until 2024-12-31 --note "sent twice by mistake"`,
		RunE: func(c *cobra.Command, ids []string) error {
			choice, err := heldChoice(c, ids)
			if err != nil {
				return err
			}
			if strings.TrimSpace(choice.Note) == "" {
				return usage{fmt.Errorf("--note is missing: say why these events do not count")}
			}
			return settle(c, "/v1/quarantine/dismiss", choice)
		},
	}
	choiceFlags(c)
	return c
}

func choiceFlags(c *cobra.Command) {
	clientFlags(c)
	heldFlags(c)
	byFlag(c)
	c.Flags().Bool("all", false, "everything that is open")
	c.Flags().String("format", "table", "table or json")
}

// heldChoice reads which entries are meant: ids, or flags that choose, or --all.
func heldChoice(c *cobra.Command, ids []string) (ingest.Choice, error) {
	var choice ingest.Choice
	choice.By, _ = c.Flags().GetString("by")
	choice.Note, _ = c.Flags().GetString("note")
	all, _ := c.Flags().GetBool("all")
	chosen := slices.ContainsFunc(heldFlagNames, c.Flags().Changed)
	switch {
	case len(ids) > 0 && (all || chosen), all && chosen:
		return choice, usage{fmt.Errorf("name entries by their ids, or choose them by flags, or say --all")}
	case len(ids) > 0:
		choice.IDs = ids
		return choice, nil
	case !all && !chosen:
		return choice, usage{fmt.Errorf("say which entries: their ids, flags that choose (--code, --source, --type, --since, --until), or --all\nSee '%s --help'", c.CommandPath())}
	}
	f := new(ingest.HeldFilter)
	f.Code, _ = c.Flags().GetString("code")
	f.Source, _ = c.Flags().GetString("source")
	f.Type, _ = c.Flags().GetString("type")
	var err error
	if f.Since, err = momentFlag(c, "since"); err == nil {
		f.Until, err = momentFlag(c, "until")
	}
	choice.Filter = f
	return choice, err
}

// momentFlag reads a time with its offset, or a day of this machine's zone; nil for "".
func momentFlag(c *cobra.Command, name string) (*time.Time, error) {
	text, _ := c.Flags().GetString(name)
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if at, err = time.ParseInLocation(time.DateOnly, text, time.Local); err != nil {
			return nil, usage{fmt.Errorf("--%s %q: write a day, 2024-12-31, or a time with its offset, 2024-12-31T18:00:00+05:00", name, text)}
		}
	}
	return &at, nil
}

// settle asks for a replay or a dismissal and prints what became of it.
func settle(c *cobra.Command, path string, choice ingest.Choice) error {
	format, err := formatFlag(c, "table", "json")
	if err != nil {
		return err
	}
	server, err := dial(c)
	if err != nil {
		return err
	}
	answer, err := server.post(c.Context(), path, choice)
	if err != nil {
		return err
	}
	var done ingest.Settled
	if err := json.Unmarshal(answer, &done); err != nil {
		return err
	}
	out := c.OutOrStdout()
	if format == "json" {
		_, _ = out.Write(answer)
	} else {
		for _, r := range done.Refusals {
			fmt.Fprintf(out, "✗ %s %s: %s: %s\n", r.ID, r.Field, r.Code, r.Reason)
		}
		fmt.Fprintf(out, "%s replayed, %s dismissed, %s settled before, %s stay open\n", grouped(int64(done.Replayed)), grouped(int64(done.Dismissed)), grouped(int64(done.Skipped)), grouped(int64(done.Refused)))
	}
	if done.Refused > 0 {
		return &partlyRefused{fmt.Sprintf("%d entries stay open", done.Refused)}
	}
	return nil
}
