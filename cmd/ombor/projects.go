package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
)

func newProjects() *cobra.Command {
	c := &cobra.Command{
		Use:   "projects [ID]",
		Short: "Print the portfolio of projects, or one project",
		Long: `Prints the projects that fit the flags, their figures (with --by), or one project with its
milestones, promises and what needs attention.

  ombor projects attention    what needs attention this week, and by which rule
  ombor projects duplicates   likely duplicates
  ombor projects template     a workbook to fill in
  ombor projects import       a filled-in workbook, or any file that a mapping reads`,
		Example: `  ombor projects --agency ministry-of-justice --status active
  ombor projects --by agency --on 2024-12-31
  ombor projects P-17
  ombor projects --rule report-missing --format csv`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, ids []string) error {
			by, _ := c.Flags().GetString("by")
			switch {
			case len(ids) == 1:
				return showProject(c, ids[0])
			case by != "":
				return showFigures(c, by)
			}
			return showProjects(c)
		},
	}
	projectFlags(c)
	c.Flags().String("by", "", "figures of each agency, stage, priority, programme, status, or KPI served (serves), in place of the list")
	c.Flags().Int("limit", 0, "print at most so many; all when not told")
	c.AddCommand(newAttention(), newDuplicates(), newTemplate(), newImport())
	return c
}

var projectFilters = []string{"on", "known-on", "agency", "stage", "priority", "programme", "status", "serves", "rule", "q"}

func projectFlags(c *cobra.Command) {
	clientFlags(c)
	f := c.Flags()
	f.String("on", "", "the portfolio at the end of that day, YYYY-MM-DD; today when not told")
	f.String("known-on", "", "what was known on that day, YYYY-MM-DD")
	f.String("agency", "", "of these agencies, codes or names with commas between")
	f.String("stage", "", "in these stages")
	f.String("priority", "", "of these priorities")
	f.String("programme", "", "of these programmes")
	f.String("status", "", "proposed, accepted, active, ended")
	f.String("serves", "", "that promised to move these KPIs; none: those that promised none")
	f.String("rule", "", "that break these rules of attention")
	f.String("q", "", "whose name, id or register number contains this")
	f.String("format", "table", "table, json or csv")
}

// ask answers with the format of the API, or reads JSON for a table; false: it was printed.
func ask(c *cobra.Command, path string, query url.Values, into any) (bool, error) {
	format, err := formatFlag(c, "table", "json", "csv")
	if err != nil {
		return false, err
	}
	server, err := dial(c)
	if err != nil {
		return false, err
	}
	for _, name := range projectFilters {
		if f := c.Flags().Lookup(name); f != nil && f.Value.String() != "" {
			query.Set(strings.ReplaceAll(name, "-", "_"), f.Value.String())
		}
	}
	if format == "table" {
		return true, server.get(c.Context(), path, query, into)
	}
	query.Set("format", format)
	body, err := server.raw(c.Context(), path, query)
	if err != nil {
		return false, err
	}
	defer body.Close()
	_, err = io.Copy(c.OutOrStdout(), body)
	return false, err
}

// projectLine is the part of a project that the terminal shows.
type projectLine struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Agency string `json:"agency"`
	Status string `json:"status"`
	Stage  string `json:"stage"`
	Report struct {
		Percent *float64 `json:"percent"`
		Stale   bool     `json:"stale"`
	} `json:"report"`
	Milestones struct {
		Due      int      `json:"due"`
		OnTime   int      `json:"on_time"`
		Overdue  int      `json:"overdue"`
		DaysLate *float64 `json:"days_late"`
	} `json:"milestones"`
	Rating struct {
		Computed   *float64 `json:"computed"`
		Overridden bool     `json:"overridden"`
	} `json:"rating"`
	Attention []string `json:"attention"`
	Simulated bool     `json:"simulated"`
}

func pointedText(v *float64, digits int) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}

func showProjects(c *cobra.Command) error {
	var list struct {
		On       string        `json:"on"`
		Total    int           `json:"total"`
		Projects []projectLine `json:"projects"`
	}
	query := url.Values{}
	limit, _ := c.Flags().GetInt("limit")
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	} else if format, _ := c.Flags().GetString("format"); format != "csv" {
		query.Set("limit", "10000")
	}
	if more, err := ask(c, "/v1/projects", query, &list); !more || err != nil {
		return err
	}
	rows := [][]string{{"project", "agency", "stage", "%", "on time", "days late", "rating", "attention", "name"}}
	simulated := false
	for _, p := range list.Projects {
		simulated = simulated || p.Simulated
		rating := pointedText(p.Rating.Computed, 1)
		if p.Rating.Overridden {
			rating += "!"
		}
		stage := p.Stage
		if stage == "" {
			stage = p.Status
		}
		rows = append(rows, []string{p.ID, p.Agency, stage, pointedText(p.Report.Percent, 0), fmt.Sprintf("%d/%d", p.Milestones.OnTime, p.Milestones.Due),
			pointedText(p.Milestones.DaysLate, 0), rating, strings.Join(p.Attention, " "), p.Name})
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%d of %s projects on %s\n", len(list.Projects), grouped(int64(list.Total)), list.On)
	saySimulated(out, simulated)
	printTable(out, rows, map[int]bool{3: true, 4: true, 5: true, 6: true})
	return nil
}

func saySimulated(out io.Writer, simulated bool) {
	if simulated {
		fmt.Fprintln(out, "SIMULATED: these projects come from a simulation, not from a government.")
	}
}

func showFigures(c *cobra.Command, by string) error {
	type figures struct {
		Key                              string
		Projects, Active, Stale          int
		OnTime                           *float64 `json:"on_time_share"`
		DaysLate                         *float64 `json:"days_late"`
		StaleShare                       *float64 `json:"stale_share"`
		PromisesMet                      *float64 `json:"promises_met_share"`
		Rating                           *float64
		ExpertRating                     *float64 `json:"expert_rating"`
		Budgeted, Contracted, Spent      float64
		Simulated                        int
		NeedingAttention, ServingNothing int
	}
	var summary struct {
		On     string
		Total  figures
		Groups []figures
	}
	if more, err := ask(c, "/v1/portfolio", url.Values{"by": {by}}, &summary); !more || err != nil {
		return err
	}
	rows := [][]string{{by, "projects", "active", "on time %", "days late", "stale %", "promises met %", "rating", "expert"}}
	right := map[int]bool{}
	for i := range rows[0] {
		right[i] = i > 0
	}
	summary.Total.Key = "all"
	for _, f := range append(summary.Groups, summary.Total) {
		key := f.Key
		if key == "" {
			key = "(not told)"
		}
		rows = append(rows, []string{key, grouped(int64(f.Projects)), grouped(int64(f.Active)), pointedText(f.OnTime, 1), pointedText(f.DaysLate, 0), pointedText(f.StaleShare, 1),
			pointedText(f.PromisesMet, 1), pointedText(f.Rating, 2), pointedText(f.ExpertRating, 2)})
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "The portfolio on %s\n", summary.On)
	saySimulated(out, summary.Total.Simulated > 0)
	printTable(out, rows, right)
	return nil
}

func showProject(c *cobra.Command, id string) error {
	var d struct {
		On         string      `json:"on"`
		Project    projectLine `json:"project"`
		Milestones []struct {
			Milestone, Name string
			Baseline, Due   string
			Reached         string   `json:"reached_on"`
			DaysLate        *float64 `json:"days_late"`
		} `json:"milestones"`
		Promises []struct {
			Indicator, Due, Unit string
			AtLeast              *float64 `json:"at_least"`
			AtMost               *float64 `json:"at_most"`
			Value, Current       *float64
			Met                  *bool
		} `json:"promises"`
		Findings []struct{ Rule, Words string } `json:"findings"`
	}
	if more, err := ask(c, "/v1/projects/"+url.PathEscape(id), url.Values{}, &d); !more || err != nil {
		return err
	}
	out := c.OutOrStdout()
	p := d.Project
	fmt.Fprintf(out, "%s  %s\n%s, %s, stage %s, on %s\n", p.ID, p.Name, p.Agency, p.Status, p.Stage, d.On)
	saySimulated(out, p.Simulated)
	rows := [][]string{{"milestone", "first due", "due", "reached", "days late", "name"}}
	for _, m := range d.Milestones {
		rows = append(rows, []string{m.Milestone, m.Baseline, m.Due, m.Reached, pointedText(m.DaysLate, 0), m.Name})
	}
	printTable(out, rows, map[int]bool{4: true})
	if len(d.Promises) > 0 {
		rows = [][]string{{"promised", "due", "at least", "at most", "measured", "met", "the KPI now"}}
		for _, q := range d.Promises {
			met := "not measured"
			if q.Met != nil {
				met = map[bool]string{true: "yes", false: "no"}[*q.Met]
			}
			rows = append(rows, []string{q.Indicator, q.Due, pointedText(q.AtLeast, 1), pointedText(q.AtMost, 1), pointedText(q.Value, 1), met, strings.TrimSpace(pointedText(q.Current, 1) + " " + q.Unit)})
		}
		printTable(out, rows, map[int]bool{2: true, 3: true, 4: true})
	}
	for _, f := range d.Findings {
		fmt.Fprintf(out, "%s: %s\n", f.Rule, f.Words)
	}
	return nil
}

func newAttention() *cobra.Command {
	c := &cobra.Command{
		Use:   "attention",
		Short: "Print what needs attention this week, and by which rule",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var a struct {
				On       string
				Findings []struct{ Project, Agency, Rule, Since, Words string }
			}
			if more, err := ask(c, "/v1/portfolio/attention", url.Values{}, &a); !more || err != nil {
				return err
			}
			rows := [][]string{{"rule", "project", "agency", "since", "what"}}
			for _, f := range a.Findings {
				rows = append(rows, []string{f.Rule, f.Project, f.Agency, f.Since, f.Words})
			}
			fmt.Fprintf(c.OutOrStdout(), "%s findings in the week from %s\n", grouped(int64(len(a.Findings))), a.On)
			printTable(c.OutOrStdout(), rows, nil)
			return nil
		},
	}
	projectFlags(c)
	return c
}

func newDuplicates() *cobra.Command {
	c := &cobra.Command{
		Use:   "duplicates",
		Short: "Print pairs of projects that may be one",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			type named struct{ ID, Name, Agency string }
			var list struct {
				Duplicates []struct {
					A, B   named
					Score  *float64
					Shared []string
				}
			}
			query := url.Values{}
			if least, _ := c.Flags().GetString("least"); least != "" {
				query.Set("least", least)
			}
			if more, err := ask(c, "/v1/portfolio/duplicates", query, &list); !more || err != nil {
				return err
			}
			rows := [][]string{{"score", "project", "agency", "name", "and", "agency", "name"}}
			for _, d := range list.Duplicates {
				rows = append(rows, []string{pointedText(d.Score, 2), d.A.ID, d.A.Agency, d.A.Name, d.B.ID, d.B.Agency, d.B.Name})
			}
			printTable(c.OutOrStdout(), rows, map[int]bool{0: true})
			return nil
		},
	}
	projectFlags(c)
	c.Flags().String("least", "", "least score, 0 to 1; 0.7 when not told")
	return c
}

// projectSheets are the sheets of the pack's projects, in the order in which a project meets them.
func projectSheets(p *pack.Pack) ([]mapping.Sheet, error) {
	if p.Portfolio == nil {
		return nil, problem.New(problem.NotFound, "the pack %s has no portfolio of projects; pack.yaml declares one under portfolio", p.Name)
	}
	var sheets []mapping.Sheet
	seen := map[*contract.Contract]bool{}
	for _, role := range contract.PortfolioRoles() {
		if c := p.Portfolio.Contracts[role.Name]; c != nil && !seen[c] {
			seen[c] = true
			sheets = append(sheets, mapping.Sheet{Contract: c, Key: role.Key})
		}
	}
	return sheets, nil
}

func newTemplate() *cobra.Command {
	c := &cobra.Command{
		Use:   "template -o FILE.xlsx",
		Short: "Write a workbook to fill in, made from the contracts of projects",
		Long: `Writes a workbook with a sheet for each contract of the portfolio: titles, lists to choose
from, notes. What is filled in can be imported as it is: ombor projects import FILE.xlsx.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			name, _ := c.Flags().GetString("output")
			if name == "" {
				return usage{fmt.Errorf("-o FILE.xlsx says where the workbook goes")}
			}
			p, err := mappingPack(c)
			if err != nil {
				return err
			}
			sheets, err := projectSheets(p)
			if err != nil {
				return err
			}
			language, _ := c.Flags().GetString("language")
			if language == "" {
				language = p.Languages[0]
			}
			if !slices.Contains(p.Languages, language) {
				return usage{fmt.Errorf("--language %q: want one of %s", language, strings.Join(p.Languages, ", "))}
			}
			var book bytes.Buffer
			if err := mapping.Template(&book, sheets, p.Reference, language); err != nil {
				return err
			}
			if err := os.WriteFile(name, book.Bytes(), 0o644); err != nil {
				return problem.Wrap(err, problem.BadInput, "", "%s cannot be written", name)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: %d sheets\n", name, len(sheets))
			return nil
		},
	}
	c.Flags().String("data", defaultData(), "data folder of a server on this machine, whose pack is taken (OMBOR_DATA)")
	c.Flags().String("pack", "", "folder or zip of the pack; by default the running server's")
	c.Flags().StringP("output", "o", "", "file to write")
	c.Flags().String("language", "", "language of titles; the pack's first when not told")
	return c
}

func newImport() *cobra.Command {
	c := &cobra.Command{
		Use:   "import FILE…",
		Short: "Import projects from workbooks and CSV, or say what that would change",
		Long: `Reads filled-in templates (ombor projects template), sheet by sheet, and every other file
through a mapping of the pack, and sends the events to the running server.

--dry-run sends nothing to be stored: it prints what would be new, what would change, field by
field, what would be withdrawn, and what would be refused, with row, field and rule.

Exit codes: 0 everything taken, 1 failed, 2 usage, 3 some of it refused or kept aside.`,
		Example: `  ombor projects template -o projects.xlsx
  ombor projects import projects.xlsx --dry-run
  ombor projects import projects.xlsx`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			server, err := dial(c)
			if err != nil {
				return err
			}
			sources, err := importSources(c, names)
			if err != nil {
				return err
			}
			if dry, _ := c.Flags().GetBool("dry-run"); dry {
				return showDifference(c, server, sources)
			}
			return loadSources(c, server, sources)
		},
	}
	loadFlags(c)
	c.Flags().Bool("dry-run", false, "print the difference and store nothing")
	return c
}

// importSources finds what reads the files: the sheets of a template, or a mapping.
func importSources(c *cobra.Command, names []string) ([]*source, error) {
	p, err := mappingPack(c)
	if err != nil {
		return nil, err
	}
	mappers, err := mappersOf(c, p)
	if err != nil {
		return nil, err
	}
	sheets, err := projectSheets(p)
	if err != nil {
		return nil, err
	}
	var sources []*source
	for _, s := range expand(names, mappers) {
		if s.err != nil {
			return nil, s.err
		}
		found, err := mapping.SheetsOf(s.file, sheets)
		if err != nil {
			return nil, err
		}
		for _, sheet := range found {
			mapper, err := newMapper(p, sheet.Mapping())
			if err != nil {
				return nil, err
			}
			sources = append(sources, &source{file: s.file, mapper: mapper})
		}
		if len(found) == 0 {
			if err := s.choose(c, p, mappers); err != nil {
				return nil, err
			}
			sources = append(sources, s)
		}
	}
	return sources, nil
}

// difference is the answer of /v1/differences.
type difference struct {
	Counts  map[string]int `json:"counts"`
	Changes []struct {
		Index  int    `json:"index"`
		Kind   string `json:"kind"`
		Type   string `json:"type"`
		ID     string `json:"id"`
		Day    string `json:"day"`
		Fields []struct{ Field, Was, Will string }
	} `json:"changes"`
	LeftOff  int                          `json:"left_off"`
	Repeated []struct{ First, Again int } `json:"repeated"`
	Refusals []struct {
		Index               int
		Field, Code, Reason string
	} `json:"refusals"`
}

func showDifference(c *cobra.Command, server *client, sources []*source) error {
	var lines bytes.Buffer
	var places []string // of the events
	out, refused := c.OutOrStdout(), 0
	for _, s := range sources {
		if s.mapper == nil {
			return problem.New(problem.BadInput, "%s is not read by a mapping or a sheet; a dry run compares files", s.file)
		}
		_, err := s.mapper.Read(c.Context(), s.file, func(event []byte, at mapping.Place) error {
			lines.Write(event)
			lines.WriteByte('\n')
			places = append(places, fmt.Sprintf("%s:%d", at.File, rowOf(at)))
			return nil
		}, func(at mapping.Place, field, code, reason string) {
			refused++
			fmt.Fprintf(out, "refused    %s:%d: %s\n", at.File, rowOf(at), told(field, reason, code))
		})
		if err != nil {
			return err
		}
	}
	response, err := server.do(c.Context(), http.MethodPost, "/v1/differences", http.Header{"Content-Type": {"application/x-ndjson"}}, &lines)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var d difference
	if err := json.NewDecoder(response.Body).Decode(&d); err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "the answer of %s could not be read", server.url)
	}
	for _, r := range d.Refusals {
		refused++
		fmt.Fprintf(out, "refused    %s: %s\n", places[r.Index], told(r.Field, r.Reason, r.Code))
	}
	for _, r := range d.Repeated {
		fmt.Fprintf(out, "repeated   %s and %s are the same event: what stands last is compared\n", places[r.First], places[r.Again])
	}
	for _, one := range d.Changes {
		where := "gone from " + one.Day
		if one.Index >= 0 {
			where = places[one.Index]
		}
		var fields []string
		for _, f := range one.Fields {
			switch {
			case one.Kind == "new" || one.Kind == "held":
				fields = append(fields, fmt.Sprintf("%s=%s", f.Field, f.Will))
			case one.Kind == "withdrawn":
				fields = append(fields, fmt.Sprintf("%s=%s", f.Field, f.Was))
			default:
				fields = append(fields, fmt.Sprintf("%s: %s → %s", f.Field, orNone(f.Was), orNone(f.Will)))
			}
		}
		fmt.Fprintf(out, "%-10s %s  %s: %s\n", one.Kind, where, one.Type, strings.Join(fields, ", "))
	}
	if d.LeftOff > 0 {
		fmt.Fprintf(out, "and %s more\n", grouped(int64(d.LeftOff)))
	}
	fmt.Fprintf(out, "dry run: new %s, changed %s, unchanged %s, withdrawn %s, refused %s, conflict %s, held %s; nothing was stored\n", grouped(int64(d.Counts["new"])), grouped(int64(d.Counts["changed"])),
		grouped(int64(d.Counts["unchanged"])), grouped(int64(d.Counts["withdrawn"])), grouped(int64(refused)), grouped(int64(d.Counts["conflict"])), grouped(int64(d.Counts["held"])))
	if refused+d.Counts["conflict"]+d.Counts["held"] > 0 {
		return &partlyRefused{"some of it would be refused or kept aside"}
	}
	return nil
}

func told(field, reason, code string) string {
	if field != "" {
		field += ": "
	}
	return field + reason + " (" + code + ")"
}

func orNone(value string) string {
	if value == "" {
		return "(none)"
	}
	return value
}
