package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ombor/internal/simulate"
)

// demoFile marks a data folder that already holds the simulated year.
const demoFile = "demo.txt"

func newDemo() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start a server with a simulated year in it, and print the KPIs",
		Long: `Starts a server, streams a simulated year of Uzbekistan through its door, prints the
KPIs, and serves until it is stopped. The second time the year is already there.
Every figure says that it is simulated.`,
		Example: `  ombor demo
  ombor demo --scale 0.01 --data /tmp/small`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := readConfig(c)
			if err != nil {
				return err
			}
			p, err := openProgram(c.Context(), cfg, c.ErrOrStderr())
			if err != nil {
				return err
			}
			defer p.close()
			if err := fillDemo(c, p); err != nil {
				return err
			}
			out := c.OutOrStdout()
			server := p.client()
			if err := printScorecard(c.Context(), out, server, "en", "2024-01-01", "2024-12-31"); err != nil {
				return err
			}
			fmt.Fprintf(out, "\nOpen %s%s\n(the link signs you in, once, within 15 minutes; 'ombor sign-in --data %s' prints another. Ctrl-C stops; 'ombor kpi --data %[3]s' asks from another terminal)\n", p.page, p.gate.Link(), cfg.Data)
			return p.wait(c.Context())
		},
	}
	serveFlags(c)
	simulateFlags(c)
	return c
}

// fillDemo sends the simulated year through the door, unless the folder has it.
func fillDemo(c *cobra.Command, p *program) error {
	marker := filepath.Join(p.config.Data, demoFile)
	generator, err := newGenerator(c)
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(marker); err == nil {
		fmt.Fprintf(c.ErrOrStderr(), "the simulated year is already here:\n%s\n", text)
		return nil
	}
	if scale, _ := c.Flags().GetFloat64("scale"); scale >= 0.5 {
		fmt.Fprintf(c.ErrOrStderr(), "simulating a whole national year, which takes some minutes (--scale 0.05 takes seconds); %s shows it arriving\n", p.page+p.gate.Link())
	}
	bar := newProgress(c.ErrOrStderr(), "simulating and loading", "events")
	refused := &refusals{}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	s := newSender(ctx, p.client(), 4, refused.add, func(int64) {})
	sending := s.lane("simulation", nil)
	reader, writer := io.Pipe()
	made := make(chan error, 1)
	var summary *simulate.Summary
	go func() {
		var err error
		buffered := bufio.NewWriterSize(writer, 1<<20)
		summary, err = generator.WriteTo(ctx, buffered, func(done, total int64) {
			bar.set(float64(done)/float64(max(total, 1)), done)
		})
		if err == nil {
			err = buffered.Flush()
		}
		_ = writer.CloseWithError(err) // always nil
		made <- err
	}()
	err = sending.lines(reader)
	cancelled := reader.CloseWithError(err)
	if finish := sending.finish(); err == nil {
		err = finish
	}
	bar.end()
	if makeErr := <-made; err == nil {
		err = makeErr
	}
	if err == nil {
		err = s.settle([]*lane{sending}, "en", c.ErrOrStderr())
	}
	refused.print(c.ErrOrStderr(), "en")
	if err != nil {
		return err
	}
	if cancelled != nil {
		return cancelled
	}
	fmt.Fprintln(c.ErrOrStderr(), summary)
	return os.WriteFile(marker, []byte(summary.String()+"\n"), 0o644)
}

// printScorecard writes every KPI with its figure for a period.
func printScorecard(ctx context.Context, out io.Writer, server *client, language, from, to string) error {
	var card struct {
		Simulated bool `json:"simulated"`
		Rows      []struct {
			KPI     string         `json:"kpi"`
			Title   names          `json:"title"`
			Unit    string         `json:"unit"`
			Cell    map[string]any `json:"cell"`
			Targets []published    `json:"targets"`
			Problem string         `json:"problem"`
		} `json:"rows"`
	}
	if err := server.get(ctx, "/v1/scorecard", url.Values{"from": {from}, "to": {to}}, &card); err != nil {
		return err
	}
	simulated := ""
	if card.Simulated {
		simulated = ", SIMULATED"
	}
	fmt.Fprintf(out, "KPIs, %s to %s%s\n\n", from, to, simulated)
	rows := [][]string{{"KPI", "", "value", "", "published"}}
	for _, r := range card.Rows {
		drawn := ""
		if v, ok := r.Cell["value"].(float64); ok && r.Unit == "percent" {
			drawn = bar(v/100, 20)
		}
		var said []string
		for _, t := range r.Targets {
			said = append(said, t.String())
		}
		value := r.Problem
		if value == "" {
			value = tongue("en").figure(r.Cell, r.Unit)
		}
		rows = append(rows, []string{r.Title.in(language), r.KPI, value, drawn, strings.Join(said, "; ")})
	}
	printTable(out, rows, map[int]bool{2: true})
	return nil
}

// published is a target, a result or a claim that somebody published about a KPI.
type published struct {
	Kind       string   `json:"kind"`
	Comparator string   `json:"comparator"`
	Value      *float64 `json:"value"` // nil: no figure was published
	Wording    string   `json:"wording"`
	Status     string   `json:"status"`
}

// String says what was published, in its own words where that is no figure, and, of a target, how
// it stands.
func (p published) String() string {
	if p.Value == nil {
		return p.Kind + " “" + p.Wording + "”"
	}
	sign := map[string]string{"at_least": "≥ ", "at_most": "≤ ", "up_to": "up to ", "about": "about "}[p.Comparator]
	value := strconv.FormatFloat(*p.Value, 'f', -1, 64)
	if *p.Value == math.Trunc(*p.Value) {
		value = grouped(int64(*p.Value))
	}
	if p.Kind != "target" {
		return p.Kind + " " + sign + value
	}
	status := map[string]string{"open": "not reached, no date", "behind": "not yet reached", "unmeasured": "no figure"}[p.Status]
	if status == "" {
		status = p.Status
	}
	return "target " + sign + value + ", " + status
}
