package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ombor/queries"
)

// heldTarget is the part of a published figure that the terminal shows.
type heldTarget struct {
	Kind       string   `json:"kind"`
	Comparator string   `json:"comparator"`
	Value      *float64 `json:"value"`
	Due        string   `json:"due"`
	Wording    string   `json:"wording"`
	Wordings   names    `json:"wording_names"`
	Owner      string   `json:"owner"`
	Measured   *float64 `json:"measured"`
	Words      string   `json:"words"`
	Status     string   `json:"status"`
	Holds      *bool    `json:"holds"`
	RunRate    *struct {
		Expected  float64 `json:"expected"`
		Projected float64 `json:"projected"`
	} `json:"run_rate"`
}

// verdict says how a figure stands in the words of a sentence.
func (t heldTarget) verdict() string {
	switch {
	case t.Holds != nil && *t.Holds:
		return "borne out"
	case t.Holds != nil:
		return "not borne out"
	case t.Status == "published" && t.Value != nil && t.Measured != nil:
		return "not to be told by a simulation at this scale"
	case t.Status == "published" && t.Value != nil:
		return "no figure"
	}
	return map[string]string{"reached": "reached", "missed": "missed", "on_course": "on course", "at_risk": "at risk", "off_course": "off course",
		"open": "not reached", "unmeasured": "no figure", "published": "not to be told by a number"}[t.Status]
}

// aim is the published value with its comparator, in the unit of the cell that it is held against.
func (t heldTarget) aim(in tongue, cell map[string]any, unit string) string {
	if t.Value == nil {
		return in.say("yes or no")
	}
	return in.say(map[string]string{"at_least": "≥ %s", "at_most": "≤ %s", "about": "about %s", "up_to": "up to %s", "": "%s"}[t.Comparator], in.value(map[string]any{"value": *t.Value, "quantiles": cell["quantiles"]}, unit))
}

// request is a question to the API as a command asks it: flags become parameters, and what a
// person reads is asked for in his language.
func request(c *cobra.Command, flags ...string) url.Values {
	query := url.Values{}
	for _, name := range flags {
		if value, _ := c.Flags().GetString(name); value != "" {
			query.Set(strings.ReplaceAll(name, "-", "_"), value)
		}
	}
	if where, _ := c.Flags().GetStringArray("where"); len(where) > 0 {
		query["where"] = where
	}
	format, _ := c.Flags().GetString("format")
	if language := c.Flags().Lookup("language"); (format == "table" || language.Changed) && slices.Contains(queries.Languages, language.Value.String()) {
		query.Set("lang", language.Value.String())
	}
	return query
}

// answer prints what the API answers to a command: as it is in the formats of the API,
// else read into v and printed as a table.
func answer[T interface {
	print(out io.Writer, language string)
}](c *cobra.Command, path string, query url.Values) error {
	format, err := formatFlag(c, "table", "json", "csv")
	if err != nil {
		return err
	}
	server, err := dial(c)
	if err != nil {
		return err
	}
	if format != "table" {
		query.Set("format", format)
		body, err := server.raw(c.Context(), path, query)
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(c.OutOrStdout(), body)
		return err
	}
	var v T
	if err := server.get(c.Context(), path, query, &v); err != nil {
		return err
	}
	language, _ := c.Flags().GetString("language")
	v.print(c.OutOrStdout(), language)
	return nil
}

func answerFlags(c *cobra.Command) {
	clientFlags(c)
	c.Flags().String("language", "en", "of words and names: en, uz or ru")
	c.Flags().String("format", "table", "table, json or csv")
}

func newScorecard() *cobra.Command {
	c := &cobra.Command{
		Use:   "scorecard",
		Short: "Print every KPI with its target, trend and owner",
		Long: `Prints every KPI: its value for the period, how that stands to its target, what is
missing, which way it went since the period before, and who answers for it. Without a
period it speaks of the calendar year that the events of half of the contracts reach.`,
		Example: `  ombor scorecard
  ombor scorecard --from 2024-01-01 --to 2024-06-30 --where region=1703`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return answer[scorecard](c, "/v1/scorecard", request(c, "from", "to", "known-on", "audience"))
		},
	}
	answerFlags(c)
	f := c.Flags()
	f.String("from", "", "first day, YYYY-MM-DD")
	f.String("to", "", "last day, YYYY-MM-DD")
	f.StringArray("where", nil, "only a part: dimension=value; given again for another value or dimension")
	f.String("known-on", "", "what was known on that day, YYYY-MM-DD")
	f.String("audience", "", "outside: only what was published, as everybody sees it")
	return c
}

type scorecard struct {
	From        string           `json:"from"`
	To          string           `json:"to"`
	DataThrough *time.Time       `json:"data_through"`
	Simulated   bool             `json:"simulated"`
	Owners      map[string]names `json:"owners"`
	Rows        []struct {
		KPI     string         `json:"kpi"`
		Title   names          `json:"title"`
		Unit    string         `json:"unit"`
		Owner   string         `json:"owner"`
		Cell    map[string]any `json:"cell"`
		Trend   string         `json:"trend"`
		Targets []heldTarget   `json:"targets"`
		Problem string         `json:"problem"`
	} `json:"rows"`
}

func (s scorecard) print(out io.Writer, language string) {
	in := tongue(language)
	if s.From == "" && s.To == "" {
		fmt.Fprintln(out, in.say("Scorecard: nothing has been received yet"))
	} else {
		fmt.Fprintln(out, in.say("Scorecard, %s to %s", s.From, s.To))
	}
	if s.Simulated {
		fmt.Fprintln(out, in.say("SIMULATED: some of these figures come from a simulation, not from a government."))
	}
	rows := [][]string{in.row("id", "title", "value", "trend", "target", "status", "missing", "owner")}
	counted := map[string]int{}
	for _, r := range s.Rows {
		value := in.figure(r.Cell, r.Unit)
		if from := text(r.Cell["from"]); from != "" && from != s.From && from != text(r.Cell["to"]) { // a month of distinct persons, a window that was reported
			value += " (" + text(r.Cell["period"]) + ")"
		}
		row := []string{r.KPI, r.Title.in(language), value, in.say(r.Trend), "", "", "", nameOr(s.Owners[r.Owner].in(language), r.Owner)}
		if r.Problem != "" {
			row[2] = r.Problem
		}
		for _, t := range r.Targets {
			if t.Kind == "target" {
				row[4], row[5], row[6] = t.aim(in, r.Cell, r.Unit), in.say(t.verdict()), t.Words
				counted[t.verdict()]++
				break
			}
		}
		rows = append(rows, row)
	}
	printTable(out, rows, map[int]bool{2: true})
	var said []string
	for _, verdict := range []string{"reached", "on course", "at risk", "off course", "not reached", "missed", "no figure"} {
		if n := counted[verdict]; n > 0 {
			said = append(said, in.say("%d %s", n, in.say(verdict)))
		}
	}
	if len(said) > 0 {
		fmt.Fprintln(out, in.say("Targets: %s.", strings.Join(said, ", ")))
	}
	if s.DataThrough != nil {
		fmt.Fprintln(out, in.say("Data through %s.", in.moment(*s.DataThrough)))
	}
}

func nameOr(name, code string) string {
	if name == "" {
		return code
	}
	return name
}

func newTargets() *cobra.Command {
	c := &cobra.Command{
		Use:   "targets",
		Short: "Print targets, published results and claims beside what was measured",
		Example: `  ombor targets
  ombor targets --on 2024-06-30`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return answer[targets](c, "/v1/targets", request(c, "on", "known-on"))
		},
	}
	answerFlags(c)
	c.Flags().String("on", "", "as of which day, YYYY-MM-DD")
	c.Flags().String("known-on", "", "what was known on that day, YYYY-MM-DD")
	return c
}

type targets struct {
	On      string `json:"on"`
	Targets []struct {
		KPI  string `json:"kpi"`
		Unit string `json:"unit"`
		heldTarget
		Where    map[string]string `json:"where"`
		Cell     map[string]any    `json:"cell"`
		Projects []any             `json:"projects"`
		Problem  string            `json:"problem"`
	} `json:"targets"`
	Unserved *int `json:"unserved"`
}

func (t targets) print(out io.Writer, language string) {
	in := tongue(language)
	fmt.Fprintln(out, in.say("Published, as of %s", t.On))
	rows := [][]string{in.row("kpi", "kind", "published", "measured", "verdict", "missing", "due", "wording")}
	for _, one := range t.Targets {
		measured := one.Problem
		if measured == "" {
			cell := map[string]any{"state": one.Cell["state"], "reason": one.Cell["reason"], "quantiles": one.Cell["quantiles"]}
			if one.Measured != nil {
				cell["value"] = *one.Measured
			}
			measured = in.value(cell, one.Unit)
		}
		name := one.KPI
		for dimension, value := range one.Where {
			name += " " + dimension + "=" + value
		}
		due := one.Due
		if due == "" && one.Kind == "target" {
			due = in.say("not stated")
		}
		rows = append(rows, []string{name, in.say(one.Kind), one.aim(in, one.Cell, one.Unit), measured, in.say(one.verdict()), one.Words, due, nameOr(one.Wordings.in(language), one.Wording)})
	}
	printTable(out, rows, map[int]bool{2: true, 3: true})
	if t.Unserved != nil {
		fmt.Fprintln(out, in.say("%d targets are served by no project.", *t.Unserved))
	}
}

func newChanges() *cobra.Command {
	c := &cobra.Command{
		Use:   "changes",
		Short: "Print what has changed since a day",
		Long: `Prints the figures that are not what they were at the end of the day before: by how
much they moved, which months that had ended were corrected or completed by late events,
and which targets have been reached or missed since.`,
		Example: `  ombor changes --since 2024-12-01
  ombor changes --since 2024-12-01 --where region=1703 --format csv`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return answer[changes](c, "/v1/changes", request(c, "since", "from", "to"))
		},
	}
	answerFlags(c)
	f := c.Flags()
	f.String("since", "", "the day, YYYY-MM-DD, or an instant whose day is taken; required")
	f.String("from", "", "first day of the figures, YYYY-MM-DD")
	f.String("to", "", "last day of the figures, YYYY-MM-DD")
	f.StringArray("where", nil, "only a part: dimension=value; given again for another value or dimension")
	return c
}

type changes struct {
	Since     string `json:"since"`
	KnownOn   string `json:"known_on"`
	Unchanged int    `json:"unchanged"`
	Changes   []struct {
		KPI        string         `json:"kpi"`
		Title      names          `json:"title"`
		Unit       string         `json:"unit"`
		Was        map[string]any `json:"was"`
		Now        map[string]any `json:"now"`
		Difference *float64       `json:"difference"`
		Trend      string         `json:"trend"`
		Settled    []struct {
			Period string `json:"period"`
		} `json:"settled"`
		Corrected int64        `json:"corrected"`
		Late      int64        `json:"late"`
		Targets   []heldTarget `json:"targets"`
		Problem   string       `json:"problem"`
	} `json:"changes"`
}

func (s changes) print(out io.Writer, language string) {
	in := tongue(language)
	fmt.Fprintln(out, in.say("Changed since %s, against what was known at the end of %s", s.Since, s.KnownOn))
	rows := [][]string{in.row("id", "title", "was", "now", "by", "trend", "")}
	for _, c := range s.Changes {
		by := ""
		if c.Difference != nil {
			by = strconv.FormatFloat(*c.Difference, 'f', 1, 64)
			if *c.Difference > 0 {
				by = "+" + by
			}
		}
		var said []string
		for _, t := range c.Targets {
			said = append(said, in.say("target: %s", in.say(t.verdict())))
		}
		if len(c.Settled) > 0 {
			said = append(said, in.say("%d ended months changed (%d rows taken back, %d late)", len(c.Settled), c.Corrected, c.Late))
		}
		was, now := in.figure(c.Was, c.Unit), in.figure(c.Now, c.Unit)
		if c.Problem != "" && c.Was == nil {
			was = c.Problem
		}
		if c.Problem != "" && c.Now == nil {
			now = c.Problem
		}
		rows = append(rows, []string{c.KPI, c.Title.in(language), was, now, by, in.say(c.Trend), strings.Join(said, "; ")})
	}
	printTable(out, rows, map[int]bool{2: true, 3: true, 4: true})
	fmt.Fprintln(out, in.say("%d KPIs are what they were.", s.Unchanged))
}

// figure is a cell that may not have been there.
func (t tongue) figure(cell map[string]any, unit string) string {
	if cell == nil {
		return t.say("no report received")
	}
	return t.value(cell, unit)
}

// gap is the part of a KPI's gap that the terminal shows.
type gap struct {
	KPI      string           `json:"kpi"`
	Title    names            `json:"title"`
	Unit     string           `json:"unit"`
	Owners   map[string]names `json:"owners"`
	Cell     map[string]any   `json:"cell"`
	Target   *heldTarget      `json:"target"`
	By       string           `json:"by"`
	RankedBy string           `json:"ranked_by"`
	Entries  []struct {
		Code    string   `json:"code"`
		Owner   string   `json:"owner"`
		Missing *float64 `json:"missing"`
		Weight  *float64 `json:"weight"`
		Told    bool     `json:"told"`
	} `json:"entries"`
	Total     int              `json:"total"`
	Names     map[string]names `json:"names"`
	Simulated bool             `json:"simulated"`
	Notes     []string         `json:"notes"`
}

func (g gap) print(out io.Writer, language string) {
	in := tongue(language)
	said := in.figure(g.Cell, g.Unit)
	if g.Target != nil {
		said += ", " + in.say("target %s: %s", g.Target.aim(in, g.Cell, g.Unit), in.say(g.Target.verdict()))
		if g.Target.Words != "" {
			said += ", " + g.Target.Words
		}
	}
	fmt.Fprintf(out, "%s (%s): %s\n", g.Title.in(language), g.KPI, said)
	if g.Simulated {
		fmt.Fprintln(out, in.say("SIMULATED: these figures come from a simulation, not from a government."))
	}
	header := append([]string{g.By}, in.row("name", "owner", "missing")...)
	if g.RankedBy != "" {
		header = append(header, g.RankedBy)
	}
	rows := [][]string{append(header, "")}
	for _, e := range g.Entries {
		row := []string{e.Code, g.Names[e.Code].in(language), nameOr(g.Owners[e.Owner].in(language), e.Owner), amount(e.Missing)}
		if g.RankedBy != "" {
			row = append(row, amount(e.Weight))
		}
		note := ""
		if !e.Told {
			note = in.say("not known whether it counts")
		}
		rows = append(rows, append(row, note))
	}
	printTable(out, rows, map[int]bool{3: true, 4: g.RankedBy != ""})
	if g.Total > len(g.Entries) {
		fmt.Fprintln(out, in.say("%d of %d; --limit shows more.", len(g.Entries), g.Total))
	}
	for _, note := range g.Notes {
		fmt.Fprintln(out, note)
	}
}

func amount(x *float64) string {
	if x == nil {
		return ""
	}
	return number(*x)
}
