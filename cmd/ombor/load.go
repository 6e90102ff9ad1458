package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// shownRefusals is how many refusals are printed; --refusals FILE keeps them all.
const shownRefusals = 20

func newLoad() *cobra.Command {
	c := &cobra.Command{
		Use:   "load FILE…",
		Short: "Stream files to the door",
		Long: `Streams files to the running server. A file of CloudEvents, one JSON object a line,
is sent as it is; any other file is read by a mapping of the pack, found by the
file's name or its columns. gzip and zip are opened. '-' reads CloudEvents from
standard input.

Loading a file again changes no figure: every event counts once. When the server is
busy or away, the load waits and goes on. What is refused is printed at the end with
its row, field and reason; the rest is loaded.

A mapping with replaces stands for whole days: when everything was taken, what was known
of its source and days and is gone from the files is withdrawn. Files of one day belong
into one command. When a row was refused or the load broke off, nothing is withdrawn.

The last line counts what became of the events: accepted, duplicate (known before),
rejected, conflict (a known id with other content, kept aside), withdrawn.

Exit codes: 0 everything taken, 1 failed, 2 usage, 3 some of it refused or kept aside.`,
		Example: `  ombor load 311_service_requests_2011.zip
  ombor load --mapping cases july.csv august.csv
  ombor simulate --events 100000 | ombor load -`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, files []string) error {
			if _, err := formatFlag(c, "table", "json"); err != nil {
				return err
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			return load(c, server, files)
		},
	}
	clientFlags(c)
	f := c.Flags()
	f.String("mapping", "", "name of the mapping that reads the files; by default found by name or columns")
	f.String("pack", "", "folder or zip of the pack whose mappings are used; by default the running server's")
	f.Bool("wait", true, "wait until the events can be seen in KPIs and lie in the lake")
	f.String("refusals", "", "file that takes every refusal, one JSON object a line")
	f.String("format", "table", "last line as words (table) or json")
	return c
}

// source is one file and what reads it; a nil mapper means CloudEvents.
type source struct {
	file   string
	mapper *mapping.Mapper
}

func load(c *cobra.Command, server *client, files []string) error {
	ctx := c.Context()
	p, err := mappingPack(c)
	if err != nil {
		return err
	}
	// Every file is opened and matched with its mapping before the first event leaves.
	var sources []source
	var total int64
	for _, file := range files {
		s, err := chooseSource(c, p, file)
		if err != nil {
			return err
		}
		sources = append(sources, s)
		if info, err := os.Stat(file); err == nil {
			total += info.Size()
		}
	}
	refused, err := newRefusals(c)
	if err != nil {
		return err
	}
	defer refused.close()
	bar := newProgress(c.ErrOrStderr(), "loading", "events")
	var before, current, events int64
	var mu sync.Mutex
	report := func() {
		done := -1.0
		if total > 0 {
			done = min(float64(before+current)/float64(total), 1)
		}
		bar.set(done, events)
	}
	s := newSender(ctx, server, ordered(p, sources), refused.add, func(n int) {
		mu.Lock()
		defer mu.Unlock()
		events += int64(n)
		report()
	})
	deliveries := newDeliveries(sources)
	for _, from := range sources {
		d := deliveries.of(from)
		if err = s.of(d); err != nil {
			break
		}
		emit := func(event []byte, at mapping.Place) error {
			mu.Lock()
			current = at.Bytes
			mu.Unlock()
			return s.add(event, place{file: at.File, row: rowOf(at)})
		}
		refuse := func(at mapping.Place, field, code, reason string) {
			s.refused(refusal{File: at.File, Row: rowOf(at), Field: field, Code: code, Reason: reason})
		}
		days, readErr := from.read(ctx, emit, refuse)
		if err = readErr; err != nil {
			break
		}
		for _, day := range days {
			d.days[day] = true
		}
		mu.Lock()
		if info, statErr := os.Stat(from.file); statErr == nil {
			before += info.Size()
		}
		current = 0
		mu.Unlock()
	}
	if finish := s.finish(); err == nil {
		err = finish
	}
	bar.end()
	if err == nil {
		err = deliveries.close(s, c.ErrOrStderr())
	}
	if wait, _ := c.Flags().GetBool("wait"); wait && ctx.Err() == nil {
		if settle := s.settle(c.ErrOrStderr()); err == nil {
			err = settle
		}
	}
	refused.print(c.ErrOrStderr())
	printOutcome(c, s.outcome)
	if err != nil {
		return err
	}
	if s.outcome.Rejected+s.outcome.Conflict+s.outcome.Held > 0 {
		return &partlyRefused{fmt.Sprintf("partly refused: %s rejected, %s in conflict, %s held for a reference or a rule",
			grouped(s.outcome.Rejected), grouped(s.outcome.Conflict), grouped(s.outcome.Held))}
	}
	return nil
}

func printOutcome(c *cobra.Command, o outcome) {
	if format, _ := c.Flags().GetString("format"); format == "json" {
		_ = json.NewEncoder(c.OutOrStdout()).Encode(o) // stdout has gone: nobody is left to tell
		return
	}
	fmt.Fprintf(c.OutOrStdout(), "accepted %s, duplicate %s, rejected %s, conflict %s, held %s, withdrawn %s\n",
		grouped(o.Accepted), grouped(o.Duplicate), grouped(o.Rejected), grouped(o.Conflict), grouped(o.Held), grouped(o.Withdrawn))
}

// mappingPack is the pack whose mappings read the files: the one named, or the
// running server's.
func mappingPack(c *cobra.Command) (*pack.Pack, error) {
	name, _ := c.Flags().GetString("pack")
	if name == "" {
		data, _ := c.Flags().GetString("data")
		if r, err := readRunning(data); err == nil {
			name = r.Pack
		}
	}
	return readPack(name, nil)
}

func chooseSource(c *cobra.Command, p *pack.Pack, file string) (source, error) {
	if file == "-" {
		return source{file: file}, nil
	}
	name, _ := c.Flags().GetString("mapping")
	if name != "" {
		m := p.Mapping(name)
		if m == nil {
			return source{}, problem.New(problem.BadInput, "the pack %s has no mapping %q; it has: %s", p.Name, name, mappingNames(p))
		}
		mapper, err := newMapper(p, m)
		if err != nil {
			return source{}, err
		}
		if err := mapper.Fits(c.Context(), file); err != nil {
			return source{}, err
		}
		return source{file, mapper}, nil
	}
	var mappers []*mapping.Mapper
	for _, m := range p.Mappings {
		mapper, err := newMapper(p, m)
		if err != nil {
			return source{}, err
		}
		mappers = append(mappers, mapper)
	}
	mapper, err := mapping.Choose(c.Context(), file, mappers)
	return source{file, mapper}, err
}

func newMapper(p *pack.Pack, m *contract.Mapping) (*mapping.Mapper, error) {
	return mapping.New(m, p.Set.ByType(m.For), p.Reference, p.Zone)
}

func mappingNames(p *pack.Pack) string {
	var names []string
	for _, m := range p.Mappings {
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// ordered says whether the order of the events matters: where other content under
// a known id corrects it, the later one must arrive later.
func ordered(p *pack.Pack, sources []source) bool {
	for _, s := range sources {
		if s.mapper != nil && p.Mapping(s.mapper.Name()).OnChange == "correct" {
			return true
		}
	}
	return false
}

// deliveries are those of a load, by type and source.
type deliveries map[[2]string]*delivery

func newDeliveries(sources []source) deliveries {
	all := deliveries{}
	for _, s := range sources {
		if s.mapper != nil && s.mapper.Replaces() && all[s.key()] == nil {
			all[s.key()] = &delivery{eventType: s.mapper.Contract().Type, source: s.mapper.Source(), days: map[reference.Day]bool{}}
		}
	}
	return all
}

func (s source) key() [2]string { return [2]string{s.mapper.Contract().Type, s.mapper.Source()} }

// of is the delivery that a file belongs to, nil when it replaces nothing.
func (all deliveries) of(s source) *delivery {
	if s.mapper == nil || !s.mapper.Replaces() {
		return nil
	}
	return all[s.key()]
}

// close closes every delivery of which all was taken, and says of the others that
// nothing is withdrawn.
func (all deliveries) close(s *sender, out io.Writer) error {
	for _, d := range all {
		if d.missing > 0 {
			fmt.Fprintf(out, "%s rows of %s from %s were not taken, so what is gone from its days is not withdrawn; mend them and load the files again\n", grouped(d.missing), d.eventType, d.source)
			continue
		}
		if len(d.days) == 0 {
			continue // no rows, no days
		}
		if err := s.closeDelivery(d); err != nil {
			return problem.Wrap(err, problem.KindOf(err), "", "the events of %s from %s are taken, and what is gone from their days is not withdrawn", d.eventType, d.source)
		}
	}
	return nil
}

// read emits the events of a file, and returns the days that they replace.
func (s source) read(ctx context.Context, emit func([]byte, mapping.Place) error, refuse func(mapping.Place, string, string, string)) ([]reference.Day, error) {
	if s.file == "-" {
		return nil, readLines(ctx, os.Stdin, emit)
	}
	if s.mapper == nil {
		_, err := mapping.Events(ctx, s.file, emit, refuse)
		return nil, err
	}
	stats, err := s.mapper.Read(ctx, s.file, emit, refuse)
	return stats.Days, err
}

// readLines emits the lines of a stream of CloudEvents.
func readLines(ctx context.Context, r io.Reader, emit func([]byte, mapping.Place) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<20), 8<<20)
	at := mapping.Place{File: "standard input"}
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		at.Row++
		at.Line++
		at.Bytes += int64(len(lines.Bytes())) + 1
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := emit(lines.Bytes(), at); err != nil {
			return err
		}
	}
	return lines.Err()
}

func rowOf(at mapping.Place) int64 {
	if at.Line > 0 {
		return at.Line
	}
	return at.Row
}

// refusals keeps the first refusals for the terminal and all of them in a file.
// Safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	first []refusal
	count int64
	file  *os.File
	out   *bufio.Writer
	name  string
}

func newRefusals(c *cobra.Command) (*refusals, error) {
	r := &refusals{}
	if r.name, _ = c.Flags().GetString("refusals"); r.name != "" {
		file, err := os.Create(r.name)
		if err != nil {
			return nil, problem.Wrap(err, problem.BadInput, "", "--refusals: the file cannot be written")
		}
		r.file, r.out = file, bufio.NewWriter(file)
	}
	return r, nil
}

func (r *refusals) add(f refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if len(r.first) < shownRefusals {
		r.first = append(r.first, f)
	}
	if r.out != nil {
		if line, err := json.Marshal(f); err == nil {
			_, _ = r.out.Write(append(line, '\n')) // bufio keeps the error for Flush
		}
	}
}

func (r *refusals) print(out io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.first {
		fmt.Fprintf(out, "%s:%d: ", f.File, f.Row)
		if f.Field != "" {
			fmt.Fprintf(out, "%s: ", f.Field)
		}
		fmt.Fprintf(out, "%s (%s)\n", f.Reason, f.Code)
	}
	if left := r.count - int64(len(r.first)); left > 0 {
		where := "; --refusals FILE keeps them all"
		if r.name != "" {
			where = "; all are in " + r.name
		}
		fmt.Fprintf(out, "and %s more%s\n", grouped(left), where)
	}
}

func (r *refusals) close() {
	if r.file == nil {
		return
	}
	flush, shut := r.out.Flush(), r.file.Close()
	if flush != nil || shut != nil {
		fmt.Fprintf(os.Stderr, "the refusals in %s are not complete: %v %v\n", r.name, flush, shut)
	}
}
