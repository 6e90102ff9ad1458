package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	dashboards "ombor/dashboards-api"
	"ombor/ingest"
	"ombor/ingest/loader"
	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/queries"
)

// openQuality opens what counts by day, and keeps it up to date until close.
func (p *program) openQuality(ctx context.Context) error {
	var err error
	p.refusals, err = ingest.OpenRefusals(filepath.Join(p.config.Data, "quality", "refusals.json"), p.pack.Zone, p.knowsSource)
	if err != nil {
		return err
	}
	p.days = p.loader.Days(filepath.Join(p.config.Data, "quality", "days.json"))
	p.examiner = queries.NewQuality(p.warehouse, p.pack.Set, p.pack.Reference, senders(p.pack), nil)
	p.examiner.Figures(p.newQueries())
	p.examiner.Projects(p.pack.Portfolio)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { p.refusals.Run(running) })
	group.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = p.days.Advance(running) // whoever asks for a figure learns of a fault
			case <-running.Done():
				return
			}
		}
	})
	p.closing(func() error { stop(); group.Wait(); return nil })
	return nil
}

// knowsSource says whether a source is one that the pack expects or that events were
// accepted from.
func (p *program) knowsSource(source string) bool {
	if _, ok := p.pack.Sources[source]; ok {
		return true
	}
	return slices.ContainsFunc(p.loader.Status().Counts, func(c loader.Count) bool { return c.Source == source })
}

// quality is what came of the events of each source and contract, for /v1/quality.
func (p *program) quality(ctx context.Context, span dashboards.QualitySpan) ([]dashboards.Quality, error) {
	counts := p.loader.Status().Counts
	refused := p.refusals.Between(0, span.Until)
	held := p.journal.Quarantine().Tally(time.Time{}, time.Time{})
	if !span.All {
		var err error
		if counts, err = p.days.Between(ctx, span.Since, span.Until); err != nil {
			return nil, err
		}
		refused = p.refusals.Between(span.Since, span.Until)
		held = p.journal.Quarantine().Tally(dayStart(span.Since, p.pack.Zone), dayStart(span.Until+1, p.pack.Zone))
	}
	type key struct{ source, eventType string }
	rows := map[key]*dashboards.Quality{}
	row := func(source, eventType string) *dashboards.Quality {
		k := key{source, eventType}
		if rows[k] == nil {
			rows[k] = &dashboards.Quality{Source: source, Type: eventType}
		}
		return rows[k]
	}
	for _, c := range p.pack.Set.All() { // what is expected and silent has a row too
		if _, expected := p.pack.Sources[c.Source]; expected {
			row(c.Source, c.Type)
		}
	}
	for _, c := range counts {
		r := row(c.Source, c.Contract)
		r.Accepted, r.Duplicate, r.Conflict, r.Damaged = c.Accepted, c.Duplicate, c.Conflict, c.Damaged
	}
	for _, c := range refused {
		row(c.Source, c.Type).Rejected += c.Events
	}
	for _, t := range held {
		r := row(t.Source, t.Type)
		r.Open, r.Replayed, r.Dismissed = r.Open+t.Open, r.Replayed+t.Replayed, r.Dismissed+t.Dismissed
	}
	known, now := p.snapshot.Load(), time.Now()
	list := slices.SortedFunc(maps.Keys(rows), func(a, b key) int {
		return strings.Compare(a.source+"\x00"+a.eventType, b.source+"\x00"+b.eventType)
	})
	out := make([]dashboards.Quality, 0, len(list))
	for _, k := range list {
		r := rows[k]
		sender := known.senders[k.source]
		r.LastEvent, r.Received = sender.Last, sender.Received
		if source, ok := p.pack.Sources[k.source]; ok {
			r.Promise = source.Freshness
		}
		r.Late = r.Promise > 0 && now.Sub(r.LastEvent) > r.Promise
		out = append(out, *r)
	}
	return out, nil
}

// findings is what is wrong with the data, for /v1/quality/findings.
func (p *program) findings(ctx context.Context, r queries.FindingsRequest) ([]queries.Finding, error) {
	today := reference.DayOf(time.Now().In(p.pack.Zone))
	rows, err := p.quality(ctx, dashboards.QualitySpan{All: true, Until: today})
	if err != nil {
		return nil, err
	}
	damaged, err := p.days.Damaged(ctx)
	if err != nil {
		return nil, err
	}
	arrivals := make([]queries.Arrival, len(rows))
	at := map[[2]string]*queries.Arrival{}
	for i, q := range rows {
		arrivals[i] = queries.Arrival{Source: q.Source, Type: q.Type, Rejected: q.Rejected, Damaged: q.Damaged, LastEvent: q.LastEvent, Since: map[string]reference.Day{}}
		if day, ok := damaged[[2]string{q.Type, q.Source}]; ok {
			arrivals[i].Since["damaged"] = day
		}
		at[[2]string{q.Source, q.Type}] = &arrivals[i]
	}
	begun := func(a *queries.Arrival, rule string, since time.Time) {
		day := reference.DayOf(since.In(p.pack.Zone))
		if known, ok := a.Since[rule]; !since.IsZero() && (!ok || day < known) {
			a.Since[rule] = day
		}
	}
	for _, held := range p.journal.Quarantine().Tally(time.Time{}, time.Time{}) {
		switch a := at[[2]string{held.Source, held.Type}]; {
		case a == nil: // kept aside since the rows were made: in the next answer
		case held.Code == contract.Conflict:
			a.Conflict += held.Open
			begun(a, "conflict", held.Since)
		default:
			a.Held += held.Open
			begun(a, "quarantine", held.Since)
		}
	}
	for _, refused := range p.refusals.Between(0, today) {
		if a := at[[2]string{refused.Source, refused.Type}]; a != nil {
			a.Since["rejected"] = refused.Day
		}
	}
	return p.examiner.Findings(ctx, r, arrivals)
}

func dayStart(day reference.Day, zone *time.Location) time.Time {
	at := time.Unix(int64(day)*86400, 0).UTC()
	return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, zone)
}

func newQuality() *cobra.Command {
	c := &cobra.Command{
		Use:   "quality",
		Short: "Say what came of the events of each source and contract",
		Long: `A row for each source and contract: how many events were accepted, came again
unchanged (duplicate), came with other content under a known id (conflict), were refused
at the door (rejected), or were damaged on disk; what of them is in quarantine; when the
source's newest event happened, and whether it keeps its promise of freshness.

Days are days of receipt, in the pack's time zone, both inclusive. Without them everything
is counted since the journal began.`,
		Example: `  ombor quality
  ombor quality --since 2024-12-01 --until 2024-12-31 --source portal
  ombor quality --format xlsx > quality.xlsx`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json", "csv", "xlsx", "parquet", "arrow")
			if err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			query := url.Values{}
			for _, name := range []string{"since", "until", "source", "type"} {
				if value, _ := c.Flags().GetString(name); value != "" {
					query.Set(name, value)
				}
			}
			if format != "table" {
				query.Set("format", format)
				return copyAnswer(c, server, "/v1/quality", query)
			}
			var answer struct {
				Rows []struct {
					Source, Type                                     string
					Accepted, Duplicate, Conflict, Rejected, Damaged int64
					Open                                             int64      `json:"quarantine_open"`
					Replayed                                         int64      `json:"quarantine_replayed"`
					Dismissed                                        int64      `json:"quarantine_dismissed"`
					LastEvent                                        *time.Time `json:"last_event"`
					Late                                             bool
				} `json:"rows"`
			}
			if err := server.get(c.Context(), "/v1/quality", query, &answer); err != nil {
				return err
			}
			in := tongue(languageOf(c))
			rows := [][]string{in.row("source", "type", "accepted", "duplicate", "conflict", "rejected", "damaged", "in quarantine", "replayed", "dismissed", "last event", "")}
			right := map[int]bool{}
			for i := 2; i < 10; i++ {
				right[i] = true
			}
			silent := 0
			for _, r := range answer.Rows {
				numbers := []int64{r.Accepted, r.Duplicate, r.Conflict, r.Rejected, r.Damaged, r.Open, r.Replayed, r.Dismissed}
				if !slices.ContainsFunc(numbers, func(n int64) bool { return n > 0 }) {
					silent++
					continue
				}
				line := []string{or(r.Source, in.say("(not known)")), or(r.Type, in.say("(not known)"))}
				for _, n := range numbers {
					line = append(line, grouped(n))
				}
				last, late := in.say("none"), ""
				if r.LastEvent != nil {
					last = r.LastEvent.Format("2006-01-02 15:04")
				}
				if r.Late {
					late = in.say("late")
				}
				rows = append(rows, append(line, last, late))
			}
			out := c.OutOrStdout()
			if len(rows) > 1 {
				printTable(out, rows, right)
			}
			if silent > 0 {
				fmt.Fprintln(out, in.say("Nothing came of %d other expected event types.", silent))
			}
			return nil
		},
	}
	clientFlags(c)
	f := c.Flags()
	f.String("since", "", "first day of receipt, YYYY-MM-DD")
	f.String("until", "", "last day of receipt, YYYY-MM-DD")
	f.String("source", "", "only this source")
	f.String("type", "", "only this event type")
	f.String("language", "en", "uz, ru or en")
	f.String("format", "table", "table, json, csv, xlsx, parquet or arrow")
	c.AddCommand(newFindings(), newLetter())
	return c
}

func newFindings() *cobra.Command {
	c := &cobra.Command{
		Use:   "findings",
		Short: "List what is wrong with the data, and who can mend it",
		Long: `A row for each thing that is wrong: sources that are late or were silent, days and
months without rows, odd volumes, rows that break a rule of their contract, senders that
counted otherwise, conflicts, quarantine, refusals. docs/operating.md says how each is found.

Days are the days on which events happened, both inclusive.`,
		Example: `  ombor quality findings
  ombor quality findings --source customs --from 2024-12-01 --to 2024-12-31
  ombor quality findings --rule digital-within-volume --format csv`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json", "csv", "xlsx", "parquet", "arrow")
			if err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			query := url.Values{}
			for _, name := range []string{"from", "to", "source", "type", "rule"} {
				if value, _ := c.Flags().GetString(name); value != "" {
					query.Set(name, value)
				}
			}
			if format != "table" {
				query.Set("format", format)
				return copyAnswer(c, server, "/v1/quality/findings", query)
			}
			var answer struct {
				Findings []struct {
					Severity, Rule, Owner string
					Words                 map[string]string
				} `json:"findings"`
			}
			if err := server.get(c.Context(), "/v1/quality/findings", query, &answer); err != nil {
				return err
			}
			language, _ := c.Flags().GetString("language")
			rows := [][]string{tongue(language).row("severity", "rule", "what", "to be mended by")}
			for _, f := range answer.Findings {
				rows = append(rows, []string{tongue(language).say(f.Severity), f.Rule, or(f.Words[language], f.Words["en"]), f.Owner})
			}
			if len(rows) == 1 {
				fmt.Fprintln(c.OutOrStdout(), tongue(language).say("Nothing was found."))
				return nil
			}
			printTable(c.OutOrStdout(), rows, nil)
			return nil
		},
	}
	clientFlags(c)
	f := c.Flags()
	f.String("from", "", "first day, YYYY-MM-DD")
	f.String("to", "", "last day, YYYY-MM-DD")
	f.String("source", "", "only this source")
	f.String("type", "", "only this event type")
	f.String("rule", "", "only this rule")
	f.String("language", "en", "uz, ru or en")
	f.String("format", "table", "table, json, csv, xlsx, parquet or arrow")
	return c
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
