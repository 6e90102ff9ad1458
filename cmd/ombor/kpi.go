package main

import (
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
)

func newKPI() *cobra.Command {
	c := &cobra.Command{
		Use:   "kpi [ID]",
		Short: "Print a KPI, or the catalogue of all",
		Long: `Prints one KPI: one figure for the whole period, or a row for each period of a
grain and each value of a dimension. Without an id, the catalogue.

Periods are days, both inclusive, in the time zone of the pack. Ratios are divided
last, at every grain. A value that is missing says why: no cases, no report
received, hidden to protect people.`,
		Example: `  ombor kpi
  ombor kpi online-processing-share --from 2024-01-01 --to 2024-12-31 --grain month
  ombor kpi certificate-online-share --by region --where service_kind=certificate
  ombor kpi requests --by agency --compare year --format csv
  ombor kpi mobile-availability --gap
  ombor kpi online-processing-share --from 2024-04-01 --to 2024-06-30 --why
  ombor sql "$(ombor kpi request-duration --by agency --sql)"`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, ids []string) error {
			if done, err := explained(c, ids); done {
				return err
			}
			if missing, _ := c.Flags().GetBool("gap"); missing {
				if len(ids) == 0 {
					return usage{problem.New(problem.BadInput, "--gap is of one KPI: ombor kpi ID --gap").
						Also("uz", "--gap bitta koʻrsatkich uchun: ombor kpi ID --gap").
						Also("ru", "--gap относится к одному показателю: ombor kpi ID --gap")}
				}
				query := request(c, "from", "to", "variant", "known-on", "limit")
				if by, _ := c.Flags().GetStringArray("by"); len(by) > 0 {
					query.Set("by", strings.Join(by, ","))
				}
				return answer[gap](c, "/v1/kpis/"+url.PathEscape(ids[0])+"/gap", query)
			}
			if len(ids) == 0 {
				return answer[catalogue](c, "/v1/kpis", url.Values{})
			}
			query := request(c, "from", "to", "grain", "compare", "basis", "version", "variant", "known-on", "audience")
			if by, _ := c.Flags().GetStringArray("by"); len(by) > 0 {
				query.Set("by", strings.Join(by, ","))
			}
			if plan, _ := c.Flags().GetBool("plan"); plan {
				query.Set("plan", "true")
			}
			return answer[kpiResult](c, "/v1/kpis/"+url.PathEscape(ids[0])+"/values", query)
		},
	}
	answerFlags(c)
	f := c.Flags()
	f.String("from", "", "first day, YYYY-MM-DD")
	f.String("to", "", "last day, YYYY-MM-DD")
	f.String("grain", "", "a row for each hour, day, week, month, quarter, year, fiscal year (fiscal), school_quarter or window")
	f.StringArray("by", nil, "a row for each value of a dimension; may be given again")
	f.StringArray("where", nil, "only a part: dimension=value; given again for another value or dimension")
	f.String("compare", "", "beside each figure, that of the 'previous' period, the 'year' before, or the whole ('national')")
	f.String("basis", "", "events, reported or stock, where a KPI has several")
	f.String("version", "", "a version of the definition; by default the one in force")
	f.String("variant", "", "a rival definition of the same name")
	f.String("known-on", "", "what was known on that day, YYYY-MM-DD")
	f.Bool("gap", false, "what is missing to the target, and where it could come from")
	f.String("limit", "", "with --gap: so many entries, 1000 at most")
	f.String("audience", "", "outside: only what was published, as everybody sees it")
	whyFlags(c)
	f.Bool("plan", false, "print which table answers, and the SQL")
	return c
}

// formatFlag is the value of --format when it is one of the allowed.
func formatFlag(c *cobra.Command, allowed ...string) (string, error) {
	format, _ := c.Flags().GetString("format")
	if !slices.Contains(allowed, format) {
		return "", usage{problem.New(problem.BadInput, "--format %q: want one of %s", format, strings.Join(allowed, ", ")).Of(allowed...).
			Also("uz", "--format “%s” yoʻq", format).
			Also("ru", "--format «%s» нет", format)}
	}
	return format, nil
}

// names is a text by language as the API sends it.
type names map[string]string

func (n names) in(language string) string {
	for _, tag := range []string{language, "en", "uz"} {
		if s := n[tag]; s != "" {
			return s
		}
	}
	for _, s := range n {
		return s
	}
	return ""
}

type catalogue struct {
	KPIs []struct {
		ID    string `json:"id"`
		Title names  `json:"title"`
		Unit  string `json:"unit"`
		Owner string `json:"owner"`
	} `json:"kpis"`
}

func (l catalogue) print(out io.Writer, language string) {
	t := tongue(language)
	rows := [][]string{t.row("id", "title", "unit", "owner")}
	for _, k := range l.KPIs {
		rows = append(rows, []string{k.ID, k.Title.in(language), t.say(k.Unit), k.Owner})
	}
	printTable(out, rows, nil)
}

// kpiResult is the part of a KPI's answer that the terminal shows.
type kpiResult struct {
	KPI         string                      `json:"kpi"`
	Title       names                       `json:"title"`
	Unit        string                      `json:"unit"`
	From        string                      `json:"from"`
	To          string                      `json:"to"`
	By          []string                    `json:"by"`
	DataThrough *time.Time                  `json:"data_through"`
	Simulated   bool                        `json:"simulated"`
	Coverage    *struct{ Words string }     `json:"coverage"`
	Names       map[string]map[string]names `json:"names"`
	Notes       []string                    `json:"notes"`
	Plan        *struct {
		Table string `json:"table"`
		Rows  uint64 `json:"rows"`
		Why   string `json:"why"`
		SQL   string `json:"sql"`
	} `json:"plan"`
	Cells []map[string]any `json:"cells"`
}

func (r kpiResult) print(out io.Writer, language string) {
	t := tongue(language)
	period := ""
	if r.From != "" || r.To != "" {
		period = ", " + t.say("%s to %s", r.From, r.To)
	}
	fmt.Fprintf(out, "%s (%s)%s\n", r.Title.in(language), r.KPI, period)
	if r.Simulated {
		fmt.Fprintln(out, t.say("SIMULATED: these figures come from a simulation, not from a government."))
	}
	header := append(t.row("period"), r.By...)
	header = append(header, t.row("numerator", "denominator", "value", "")...)
	right := map[int]bool{}
	for i := 1 + len(r.By); i < len(header)-1; i++ {
		right[i] = true
	}
	greatest := 0.0
	for _, cell := range r.Cells {
		if v, ok := cell["value"].(float64); ok {
			greatest = math.Max(greatest, math.Abs(v))
		}
	}
	if r.Unit == "percent" {
		greatest = math.Max(greatest, 100)
	}
	rows := [][]string{header}
	for _, cell := range r.Cells {
		row := []string{text(cell["period"])}
		for _, dimension := range r.By {
			code := text(cell[dimension])
			if apart, ok := cell["by."+dimension]; ok { // it is named like another key
				code = text(apart)
			}
			name := r.Names[dimension][code].in(language)
			switch {
			case name != "":
				row = append(row, name)
			case code == "":
				row = append(row, t.say("(not told)"))
			default:
				row = append(row, code)
			}
		}
		drawn := ""
		if v, ok := cell["value"].(float64); ok && greatest > 0 {
			drawn = bar(math.Abs(v)/greatest, 20)
		}
		row = append(row, number(cell["numerator"]), number(cell["denominator"]), t.value(cell, r.Unit), strings.TrimSpace(drawn+"  "+t.marks(cell, r.Unit)))
		rows = append(rows, row)
	}
	printTable(out, rows, right)
	var under []string
	if r.DataThrough != nil {
		under = append(under, t.say("Data through %s.", t.moment(*r.DataThrough)))
	}
	if r.Coverage != nil && r.Coverage.Words != "" {
		under = append(under, t.say("Coverage: %s.", r.Coverage.Words))
	}
	under = append(under, r.Notes...)
	if r.Plan != nil {
		under = append(under, t.say("Read from %s (%s rows): %s\n%s", r.Plan.Table, grouped(int64(r.Plan.Rows)), r.Plan.Why, r.Plan.SQL))
	}
	for _, line := range under {
		fmt.Fprintln(out, line)
	}
}

// text is a cell's label.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func number(v any) string {
	f, ok := v.(float64)
	if !ok {
		return text(v) // decimals travel as strings so that no digit is lost
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return grouped(int64(f))
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// value is the value with its unit, or the words of its state.
func (t tongue) value(cell map[string]any, unit string) string {
	v, ok := cell["value"].(float64)
	if !ok {
		switch state, reason := text(cell["state"]), text(cell["reason"]); {
		case reason == "no_cases":
			return t.say("no cases")
		case state == "not_applicable":
			return t.say("does not apply")
		case reason == "not_kept":
			return t.say("not kept any longer")
		case state == "not_provided":
			return t.say("no report received")
		case state == "suppressed":
			return t.say("hidden to protect people")
		}
		return text(cell["value"])
	}
	switch unit {
	case "percent":
		return strconv.FormatFloat(v, 'f', 1, 64) + " %"
	case "count":
		return grouped(int64(v))
	case "hours":
		if elapsed(cell) {
			return t.duration(v)
		}
	}
	if math.Abs(v) >= 1000 {
		return grouped(int64(math.Round(v))) + " " + t.say(unit)
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + " " + t.say(unit)
}

// elapsed says whether a cell's hours are of a distribution: how long something took. Others are
// a sum of work, whose days have no 24 hours.
func elapsed(cell map[string]any) bool {
	quantiles, _ := cell["quantiles"].([]any)
	return len(quantiles) > 0
}

// duration says hours in the unit that people would use.
func (t tongue) duration(hours float64) string {
	in := func(value float64, unit string) string {
		return strconv.FormatFloat(value, 'f', 1, 64) + " " + t.say(unit)
	}
	switch {
	case hours >= 48:
		return in(hours/24, "days")
	case hours >= 1:
		return in(hours, "hours")
	case hours >= 1./60:
		return in(hours*60, "minutes")
	}
	return in(hours*3600, "seconds")
}

// marks says in words what a reader must know beside a figure.
func (t tongue) marks(cell map[string]any, unit string) string {
	var said []string
	inUnit := func(value float64, format string) string {
		if unit == "hours" && elapsed(cell) {
			return t.duration(value)
		}
		return fmt.Sprintf(format, value)
	}
	if quantiles, ok := cell["quantiles"].([]any); ok {
		for _, q := range quantiles {
			if point, ok := q.(map[string]any); ok {
				at, _ := point["q"].(float64)
				value, _ := point["value"].(float64)
				name := fmt.Sprintf("p%.0f", 100*at)
				if at == 1 {
					name = t.say("max")
				}
				said = append(said, name+" "+inUnit(value, "%.2f"))
			}
		}
	}
	if comparison, ok := cell["comparison"].(map[string]any); ok {
		if difference, ok := comparison["difference"].(float64); ok {
			against := t.say("since %s", text(comparison["period"]))
			if comparison["period"] == cell["period"] {
				against = t.say("against the whole")
			}
			sign := "+"
			if difference < 0 {
				sign = "-"
			}
			said = append(said, sign+inUnit(math.Abs(difference), "%.1f")+" "+against)
		}
	}
	if status := text(cell["status"]); status != "" {
		held := heldTarget{Kind: "target", Status: status}
		said = append(said, t.say("target %s: %s", number(cell["target"]), t.say(held.verdict())))
	}
	if open, _ := cell["open"].(bool); open {
		said = append(said, t.say("still arriving"))
	}
	if names, ok := cell["unclosed"].([]any); ok && len(names) > 0 {
		list := make([]string, len(names))
		for i, name := range names {
			list[i] = text(name)
		}
		said = append(said, t.say("not closed by %s", strings.Join(list, ", ")))
	}
	if on := text(cell["corrected"]); on != "" {
		was := t.value(map[string]any{"value": cell["was"], "state": cell["was_state"], "quantiles": cell["quantiles"]}, unit)
		said = append(said, t.say("corrected %s, was %s", on, was))
	}
	return strings.Join(said, ", ")
}

// printTable aligns rows in columns; the first row is the header, right names the
// columns of numbers.
func printTable(out io.Writer, rows [][]string, right map[int]bool) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				cell = pad + cell
			} else {
				cell += pad
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
		if n == 0 {
			total := 2 * (len(width) - 1)
			for _, w := range width {
				total += w
			}
			fmt.Fprintln(out, strings.Repeat("─", total))
		}
	}
}
