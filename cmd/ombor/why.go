package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// whyFlags are those of 'kpi ID' that ask about a figure, and not for it.
func whyFlags(c *cobra.Command) {
	f := c.Flags()
	f.Bool("why", false, "what moved it since the period before, or since that of --compare or --before-from")
	f.Bool("movers", false, "the units that moved it most since then")
	f.Bool("sql", false, "the query for analysts that gives the same figure; 'ombor sql' runs it")
	f.String("before-from", "", "with --why and --movers: first day of the earlier period")
	f.String("before-to", "", "with --why and --movers: its last day")
	f.String("largest", "", "with --why and --movers: how many units to name")
}

// explained answers when one of those flags is given.
func explained(c *cobra.Command, ids []string) (bool, error) {
	path, asked := "", 0
	for _, name := range []string{"why", "movers", "sql"} {
		if given, _ := c.Flags().GetBool(name); given {
			path = name
			asked++
		}
	}
	switch {
	case asked == 0:
		return false, nil
	case asked > 1:
		return true, usage{errors.New("give one of --why, --movers and --sql")}
	case len(ids) == 0:
		return true, usage{fmt.Errorf("--%s is of one KPI: ombor kpi ID --%[1]s", path)}
	}
	flags := []string{"from", "to", "basis", "version", "variant", "known-on"}
	if path == "sql" {
		flags = append(flags, "grain")
	} else {
		flags = append(flags, "compare", "before-from", "before-to", "largest")
	}
	query := request(c, flags...)
	if by, _ := c.Flags().GetStringArray("by"); len(by) > 0 {
		query.Set("by", strings.Join(by, ","))
	}
	path = "/v1/kpis/" + url.PathEscape(ids[0]) + "/" + path
	switch {
	case strings.HasSuffix(path, "/sql"):
		query.Del("lang") // comments in SQL are English
		return true, answer[statement](c, path, query)
	case strings.HasSuffix(path, "/movers"):
		return true, answer[movers](c, path, query)
	}
	return true, answer[why](c, path, query)
}

// statement is a query for analysts.
type statement struct {
	SQL string `json:"sql"`
}

func (s statement) print(out io.Writer, _ string) { fmt.Fprint(out, s.SQL) }

// movement is what an explanation says of both periods.
type movement struct {
	KPI       string                      `json:"kpi"`
	Title     names                       `json:"title"`
	Unit      string                      `json:"unit"`
	By        []string                    `json:"by"`
	Before    movedPeriod                 `json:"before"`
	Now       movedPeriod                 `json:"now"`
	Change    float64                     `json:"change"`
	Names     map[string]map[string]names `json:"names"`
	Simulated bool                        `json:"simulated"`
	Notes     []string                    `json:"notes"`
}

type movedPeriod struct {
	Period string  `json:"period"`
	Value  float64 `json:"value"`
}

type contribution struct {
	Unit   map[string]string `json:"unit"`
	Kind   string            `json:"kind"`
	Change float64           `json:"change"`
	Before *float64          `json:"before"`
	Now    *float64          `json:"now"`
}

func (m movement) head(out io.Writer, language string) {
	in := tongue(language)
	fmt.Fprintf(out, "%s (%s), %s\n", m.Title.in(language), m.KPI, in.say("%s against %s", m.Now.Period, m.Before.Period))
	if m.Simulated {
		fmt.Fprintln(out, in.say("SIMULATED: these figures come from a simulation, not from a government."))
	}
}

func (m movement) foot(out io.Writer) {
	for _, n := range m.Notes {
		fmt.Fprintln(out, n)
	}
}

// row is a contribution as a line of a table.
func (m movement) row(first string, c contribution, language string) []string {
	in := tongue(language)
	var parts []string
	for _, dimension := range m.By {
		code := c.Unit[dimension]
		if name := m.Names[dimension][code].in(language); name != "" {
			code = name
		}
		if code == "" {
			code = in.say("(not told)")
		}
		parts = append(parts, code)
	}
	kind := in.say(map[string]string{"before": "no longer", "now": "new"}[c.Kind])
	return []string{first, strings.Join(parts, ", "), signed(c.Change), plain(c.Before), plain(c.Now), kind}
}

func signed(f float64) string {
	if f > 0 {
		return "+" + number(f)
	}
	return number(f)
}

func plain(f *float64) string {
	if f == nil {
		return ""
	}
	return number(*f)
}

type why struct {
	movement
	LikeForLike *struct {
		Units       int `json:"units"`
		Before, Now float64
		Change      float64
	} `json:"like_for_like"`
	Parts []struct {
		Label   names          `json:"label"`
		Change  float64        `json:"change"`
		Largest []contribution `json:"largest"`
		Others  float64        `json:"others"`
	} `json:"parts"`
	Sentence struct{ Text names } `json:"sentence"`
}

func (w why) print(out io.Writer, language string) {
	w.head(out, language)
	fmt.Fprintln(out, w.Sentence.Text.in(language))
	fmt.Fprintln(out)
	in := tongue(language)
	rows := [][]string{append([]string{"", strings.Join(w.By, ", ")}, in.row("change", "before", "now", "")...)}
	for _, p := range w.Parts {
		rows = append(rows, []string{p.Label.in(language), "", signed(p.Change), "", "", ""})
		for _, c := range p.Largest {
			rows = append(rows, w.row("", c, language))
		}
		if p.Others != 0 {
			rows = append(rows, []string{"", in.say("all others"), signed(p.Others), "", "", ""})
		}
	}
	before, now := w.Before.Value, w.Now.Value
	rows = append(rows, []string{in.say("In all"), "", signed(w.Change), plain(&before), plain(&now), ""})
	if l := w.LikeForLike; l != nil {
		rows = append(rows, []string{in.say("Like for like"), in.say("%d in both periods", l.Units), signed(l.Change), plain(&l.Before), plain(&l.Now), ""})
	}
	printTable(out, rows, map[int]bool{2: true, 3: true, 4: true})
	w.foot(out)
}

type movers struct {
	movement
	Movers []contribution `json:"movers"`
	Others float64        `json:"others"`
}

func (m movers) print(out io.Writer, language string) {
	m.head(out, language)
	in := tongue(language)
	rows := [][]string{append([]string{"", strings.Join(m.By, ", ")}, in.row("change", "before", "now", "")...)}
	for i, c := range m.Movers {
		rows = append(rows, m.row(strconv.Itoa(i+1), c, language))
	}
	if m.Others != 0 {
		rows = append(rows, []string{"", in.say("all others"), signed(m.Others), "", "", ""})
	}
	before, now := m.Before.Value, m.Now.Value
	printTable(out, append(rows, []string{"", in.say("In all"), signed(m.Change), plain(&before), plain(&now), ""}), map[int]bool{0: true, 2: true, 3: true, 4: true})
	m.foot(out)
}
