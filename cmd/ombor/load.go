package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"ombor/ingest/columnar"
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
		Use:   "load FILE|FOLDER|GLOB…",
		Short: "Stream files to the door",
		Long: `Streams files to the running server: files, whole folders (every file in them whose
ending is known or which a mapping of the pack names), patterns ('cases-*.csv', quoted
or not), and '-' for CloudEvents on standard input.

  CloudEvents, one JSON object a line     are sent as they are
  Arrow streams and files, Parquet        are read as events when their columns are those
                                          of a contract: id, time, fields; --type and
                                          --source tell what the file does not
  everything else: CSV, XLSX, logs …      is read by a mapping of the pack, found by the
                                          file's name or its columns

gzip, Zstandard and zip are opened. Files are read two at a time, and four requests are
under way at once; --parallel changes that. Where the order of events matters (a mapping
with on_change: correct) it is one by one, in the order given.

Loading a file again changes no figure: every event counts once. When the server is busy
or away, the load says so, waits and goes on. A load that was killed goes on where it was
when it is started again: what the server has acknowledged stands in a small file
(load.state in the server's data folder, or --state), until the load comes to its end.

What is refused is printed at the end with its row, field and reason; the rest is loaded.
So is what is held: kept aside for an unknown code or a rule, and in no figure until it is
put right (ombor quarantine). A file that cannot be read does not stop the others.

--dry-run stores nothing: it says of every row what the door would do with it. Whether
an event is known already, and with other content, is found only behind the door.

A mapping with replaces stands for whole days: when everything was taken, what was known
of its source and days and is gone from the files is withdrawn. Files of one day belong
into one command. When a row was refused or the load broke off, nothing is withdrawn.

The last line counts what became of the events: accepted, duplicate (known before),
rejected, conflict (a known id with other content, kept aside), held, withdrawn. Of
several files, a line for each stands before it.

Exit codes: 0 everything taken, 1 failed (also when a file could not be read), 2 usage,
3 some of it refused or kept aside.`,
		Example: `  ombor load 311_service_requests_2011.zip
  ombor load --mapping cases july.csv august.csv
  ombor load exports/ 'archive/2023-*.ndjson.zst'
  ombor load --type uz.gov.request.decided.v1 --source portal decisions.parquet
  ombor load --dry-run --refusals faults.ndjson cases.csv
  ombor simulate --events 100000 | ombor load -`,
		Args: args(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if _, err := formatFlag(c, "table", "json"); err != nil {
				return err
			}
			if n, _ := c.Flags().GetInt("parallel"); n < 1 || n > 64 {
				return usage{fmt.Errorf("--parallel %d: want 1 to 64", n)}
			}
			server, err := dial(c)
			if err != nil {
				return err
			}
			return load(c, server, names)
		},
	}
	loadFlags(c)
	c.Flags().Bool("dry-run", false, "say what would be accepted, refused and held, and store nothing")
	c.Flags().String("language", "en", "uz, ru or en")
	return c
}

// loadFlags are the flags that a load reads.
func loadFlags(c *cobra.Command) {
	clientFlags(c)
	f := c.Flags()
	f.String("mapping", "", "name of the mapping that reads the files; by default found by name or columns")
	f.String("pack", "", "folder or zip of the pack whose mappings are used; by default the running server's")
	f.String("type", "", "event type of the rows of Arrow and Parquet files that do not tell it")
	f.String("source", "", "source of the rows of Arrow and Parquet files that do not tell it")
	f.Int("parallel", 4, "requests under way at once")
	f.String("state", "", "file that remembers what was acknowledged, to go on after a break; by default load.state in the data folder of a server on this machine")
	f.Bool("wait", true, "wait until the events can be seen in KPIs and lie in the lake")
	f.String("refusals", "", "file that takes every refusal and every held event (entry names it), one JSON object a line")
	f.String("format", "table", "last line as words (table) or json")
}

// readers is how many files are read at once: with the server on the same machine, more
// only wait for each other.
const readers = 2

// source is one file and what reads it: a mapping, columns, or neither for CloudEvents
// in lines.
type source struct {
	file    string
	mapper  *mapping.Mapper
	columns func() (*columnar.Rows, io.Closer, error)
	err     error // it cannot be read
	lane    *lane
}

// sheet is the sheet of a template that is read; empty of other files.
func (s *source) sheet() string {
	if s.mapper == nil {
		return ""
	}
	if name, ok := strings.CutPrefix(s.mapper.Name(), "sheet "); ok {
		return name
	}
	return ""
}

func load(c *cobra.Command, server *client, names []string) error {
	p, err := mappingPack(c)
	if err != nil {
		return err
	}
	mappers, err := mappersOf(c, p)
	if err != nil {
		return err
	}
	// Every file is opened and matched with its mapping before the first event leaves.
	sources := expand(names, mappers)
	for _, s := range sources {
		if s.err == nil {
			s.err = s.choose(c, p, mappers)
		}
	}
	return loadSources(c, server, sources)
}

// loadSources sends files that were matched with what reads them.
func loadSources(c *cobra.Command, server *client, sources []*source) error {
	ctx := c.Context()
	var total int64
	for _, s := range sources {
		if info, err := os.Stat(s.file); err == nil {
			total += info.Size()
		}
	}
	in := tongue(languageOf(c))
	dry, _ := c.Flags().GetBool("dry-run")
	refused, err := newRefusals(c)
	if err != nil {
		return err
	}
	defer refused.close()
	var state *loadState
	if !dry {
		if state, err = loadStateOf(c); err != nil {
			return err
		}
	}

	bar := newProgress(c.ErrOrStderr(), in.say("loading"), in.say("events"))
	var done reading
	report := func() {
		share := -1.0
		if total > 0 {
			share = min(float64(done.bytes.Load())/float64(total), 1)
		}
		bar.set(share, done.events.Load())
	}
	parallel, _ := c.Flags().GetInt("parallel")
	atOnce := min(readers, parallel)
	if ordered(sources) {
		parallel, atOnce = 1, 1
	}
	s := newSender(ctx, server, parallel, refused.add, func(n int64) { done.events.Add(n); report() })
	s.dry = dry
	s.wait = func(reason *problem.Error, pause time.Duration) {
		bar.note(in.say("%s (waiting %s)", or(reason.Words[string(in)], reason.Message), pause.Round(100*time.Millisecond)))
	}
	deliveries := newDeliveries(sources)
	var identities []string
	for _, from := range sources {
		from.lane = s.lane(filepath.Base(from.file), deliveries.of(from))
		if from.err != nil || from.file == "-" || state == nil || from.lane.delivery != nil {
			continue
		}
		identity := identify(from.file, from.reader(c))
		resumed, err := state.known(ctx, server, identity)
		if err != nil {
			return err
		}
		if resumed {
			bar.note(in.say("%s: goes on where an earlier load was broken off", from.file))
		}
		from.lane.resume(state, identity)
		identities = append(identities, identity)
	}

	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, from := range sources {
		if from.err != nil {
			continue
		}
		group.Go(func() error {
			days, err := from.read(ctx, &done)
			if finish := from.lane.finish(); err == nil {
				err = finish
			}
			from.err = err
			deliveries.took(from, days)
			report()
			return nil
		})
	}
	_ = group.Wait() // every file keeps its own error
	bar.end()

	var failed error
	for _, from := range sources {
		if from.err != nil {
			deliveries.lacks(from)
			if failed == nil {
				failed = from.err
			}
		}
	}
	if ctx.Err() != nil {
		state.close()
		failed = ctx.Err()
	} else if !dry {
		state.end(identities)
		if err := deliveries.close(s, in, c.ErrOrStderr()); err != nil && failed == nil {
			failed = err
		}
		if wait, _ := c.Flags().GetBool("wait"); wait {
			if err := s.settle(lanesOf(sources), in, c.ErrOrStderr()); err != nil && failed == nil {
				failed = err
			}
		}
	}
	refused.print(c.ErrOrStderr(), in)
	whole := outcome{Withdrawn: s.withdrawn}
	for _, from := range sources {
		whole.add(from.lane.outcome)
		if len(sources) > 1 {
			if from.err != nil {
				what := explain(from.err, string(in))
				if !strings.Contains(what, filepath.Base(from.file)) {
					what = from.file + ": " + what
				}
				fmt.Fprintln(c.ErrOrStderr(), what)
			}
			if sheet := from.sheet(); sheet == "" || from.err != nil || from.lane.outcome != (outcome{}) { // a template has sheets that nobody filled in
				printOutcome(c, strings.TrimSpace(from.file+" "+sheet), from.lane.outcome, from.err)
			}
		}
	}
	printOutcome(c, "", whole, nil)
	if !dry {
		sayNext(c, whole)
	}
	switch {
	case failed != nil && len(sources) > 1 && ctx.Err() == nil:
		n := 0
		for _, from := range sources {
			if from.err != nil {
				n++
			}
		}
		if n > 0 {
			return &notLoaded{errors.New(in.say("%d of %d files were not loaded to their end", n, len(sources)))}
		}
		return &notLoaded{failed}
	case failed != nil && ctx.Err() == nil:
		return &notLoaded{failed}
	case failed != nil:
		return failed
	case dry && whole.Rejected+whole.Held > 0:
		return &partlyRefused{in.say("some of it would be refused or kept aside")}
	case whole.Rejected+whole.Conflict+whole.Held+whole.Damaged > 0:
		return &partlyRefused{in.say("partly refused: %s rejected, %s in conflict, %s held for a reference or a rule",
			grouped(whole.Rejected), grouped(whole.Conflict), grouped(whole.Held))}
	}
	return nil
}

// sayNext says what to do with what the server keeps aside.
func sayNext(c *cobra.Command, o outcome) {
	in, where := tongue(languageOf(c)), ""
	for _, name := range []string{"url", "data"} {
		if f := c.Flags().Lookup(name); f.Changed {
			where += " --" + name + " " + f.Value.String()
		}
	}
	if o.Held > 0 {
		fmt.Fprintln(c.ErrOrStderr(), in.say("%s held: kept aside, in no figure. All of them: 'ombor quarantine list%[2]s'. Put one right: 'ombor quarantine fix ID --set FIELD=VALUE%[2]s', then send it on: 'ombor quarantine replay ID%[2]s'. What was held for an unknown code goes on by itself when the server is started with a table that has it.",
			grouped(o.Held), where))
	}
	if o.Conflict > 0 {
		fmt.Fprintln(c.ErrOrStderr(), in.say("%s in conflict: known ids with other content; the first one counts. All of them: 'ombor quarantine list --code conflict%[2]s'. One that is right is sent on with 'ombor quarantine replay ID --as-correction%[2]s'.",
			grouped(o.Conflict), where))
	}
}

// notLoaded ends a load of which a file failed: whatever was wrong with it, the command
// line was not.
type notLoaded struct{ error }

func (e *notLoaded) Unwrap() error { return e.error }

// reading is how far the files have been read.
type reading struct{ bytes, events atomic.Int64 }

func lanesOf(sources []*source) []*lane {
	var all []*lane
	for _, s := range sources {
		all = append(all, s.lane)
	}
	return all
}

// loadStateOf opens the state that the flags mean: the one named, or one beside the data
// of a server on this machine. nil: there is none.
func loadStateOf(c *cobra.Command) (*loadState, error) {
	if name, _ := c.Flags().GetString("state"); name != "" {
		return openLoadState(name)
	}
	data, _ := c.Flags().GetString("data")
	if address, _ := c.Flags().GetString("url"); address != "" {
		return nil, nil
	}
	if _, err := os.Stat(filepath.Join(data, runningFile)); err != nil {
		return nil, nil
	}
	state, err := openLoadState(filepath.Join(data, "load.state"))
	if err != nil {
		return nil, nil // somebody else's folder: a load without a state is only slower after a break
	}
	return state, nil
}

// printOutcome writes what became of a file, or of all when it has no name.
func printOutcome(c *cobra.Command, file string, o outcome, failed error) {
	if format, _ := c.Flags().GetString("format"); format == "json" {
		line := struct {
			File string `json:"file,omitempty"`
			outcome
			DryRun bool   `json:"dry_run,omitempty"`
			Error  string `json:"error,omitempty"`
		}{File: file, outcome: o}
		line.DryRun, _ = c.Flags().GetBool("dry-run")
		if failed != nil {
			line.Error = explain(failed, "")
		}
		_ = json.NewEncoder(c.OutOrStdout()).Encode(line) // stdout has gone: nobody is left to tell
		return
	}
	in := tongue(languageOf(c))
	if file != "" {
		file += ": "
	}
	if failed != nil {
		file += in.say("broken off, ")
	}
	if dry, _ := c.Flags().GetBool("dry-run"); dry {
		fmt.Fprintln(c.OutOrStdout(), file+in.say("dry run: accepted %s, rejected %s, held %s; nothing was stored", grouped(o.Accepted), grouped(o.Rejected), grouped(o.Held)))
		return
	}
	fmt.Fprintln(c.OutOrStdout(), file+in.say("accepted %s, duplicate %s, rejected %s, conflict %s, held %s, withdrawn %s",
		grouped(o.Accepted), grouped(o.Duplicate), grouped(o.Rejected), grouped(o.Conflict), grouped(o.Held), grouped(o.Withdrawn)))
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
	return readPack(name, pack.Checks{})
}

// mappersOf are the mappings that may read the files: the one named, or all.
func mappersOf(c *cobra.Command, p *pack.Pack) ([]*mapping.Mapper, error) {
	all := p.Mappings
	if name, _ := c.Flags().GetString("mapping"); name != "" {
		m := p.Mapping(name)
		if m == nil {
			return nil, problem.New(problem.BadInput, "the pack %s has no mapping %q; it has: %s", p.Name, name, mappingNames(p))
		}
		all = []*contract.Mapping{m}
	}
	var mappers []*mapping.Mapper
	for _, m := range all {
		mapper, err := newMapper(p, m)
		if err != nil {
			return nil, err
		}
		mappers = append(mappers, mapper)
	}
	return mappers, nil
}

// endings are those of files that are taken from a folder.
var endings = []string{".ndjson", ".jsonl", ".json", ".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".parquet", ".arrow", ".arrows", ".feather", ".zip"}

// expand makes files of folders and patterns, in the order of their names. What is not
// there is a source with an error.
func expand(names []string, mappers []*mapping.Mapper) []*source {
	var all []*source
	folder := func(dir string) {
		before := len(all)
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			hidden := name != dir && strings.HasPrefix(d.Name(), ".")
			switch {
			case err != nil:
				all = append(all, &source{file: name, err: problem.Wrap(err, problem.BadInput, "", "%s cannot be read", name)})
			case d.IsDir() && hidden:
				return fs.SkipDir
			case !d.IsDir() && !hidden && known(name, mappers):
				all = append(all, &source{file: name})
			}
			return nil
		})
		if err == nil && len(all) == before {
			all = append(all, &source{file: dir, err: problem.New(problem.BadInput, "%s holds no file that can be loaded; known endings are %s, and these with .gz or .zst", dir, strings.Join(endings, ", "))})
		}
	}
	one := func(name string) {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			folder(name)
			return
		}
		all = append(all, &source{file: name}) // what is absent fails when it is opened
	}
	for _, name := range names {
		if _, err := os.Stat(name); name == "-" || err == nil || !strings.ContainsAny(name, "*?[") {
			one(name)
			continue
		}
		found, err := filepath.Glob(name)
		if err != nil || len(found) == 0 {
			all = append(all, &source{file: name, err: problem.New(problem.NotFound, "no file matches %s", name)})
		}
		for _, name := range found {
			one(name)
		}
	}
	return all
}

// known says whether a file of a folder is meant to be loaded.
func known(name string, mappers []*mapping.Mapper) bool {
	bare := strings.ToLower(name)
	for _, cover := range []string{".gz", ".zst"} {
		bare = strings.TrimSuffix(bare, cover)
	}
	if slices.Contains(endings, filepath.Ext(bare)) {
		return true
	}
	return slices.ContainsFunc(mappers, func(m *mapping.Mapper) bool { return m.Speaks(name) })
}

// choose finds what reads the file.
func (s *source) choose(c *cobra.Command, p *pack.Pack, mappers []*mapping.Mapper) error {
	if s.file == "-" {
		return nil
	}
	if name, _ := c.Flags().GetString("mapping"); name != "" {
		s.mapper = mappers[0]
		return s.mapper.Fits(c.Context(), s.file)
	}
	if open := columnsOf(c, p, s.file); open != nil {
		// A Parquet file that a mapping names is the mapping's; another may hold events.
		spoken := slices.ContainsFunc(mappers, func(m *mapping.Mapper) bool { return m.Speaks(s.file) })
		_, closer, err := open()
		if err == nil {
			closer.Close()
		}
		if !spoken && err == nil {
			s.columns = open
			return nil
		}
		var foreign error
		if s.mapper, foreign = mapping.Choose(c.Context(), s.file, mappers); foreign == nil && s.mapper != nil {
			return nil
		}
		if err != nil {
			return problem.Wrap(err, problem.KindOf(err), "", "%s cannot be read as events", s.file)
		}
		s.columns = open
		return nil
	}
	var err error
	s.mapper, err = mapping.Choose(c.Context(), s.file, mappers)
	return err
}

// columnsOf opens an Arrow or Parquet file, which its first bytes tell; nil for others.
func columnsOf(c *cobra.Command, p *pack.Pack, file string) func() (*columnar.Rows, io.Closer, error) {
	head := make([]byte, 6)
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	if _, err := io.ReadFull(f, head); err != nil {
		return nil
	}
	options := columnar.Options{Set: p.Set}
	options.Type, _ = c.Flags().GetString("type")
	options.Source, _ = c.Flags().GetString("source")
	parquet := string(head[:4]) == "PAR1"
	if !parquet && string(head) != "ARROW1" && string(head[:4]) != "\xff\xff\xff\xff" {
		return nil
	}
	return func() (*columnar.Rows, io.Closer, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		info, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, nil, err
		}
		var rows *columnar.Rows
		if parquet {
			rows, err = columnar.Parquet(f, info.Size(), options)
		} else {
			rows, err = columnar.Arrow(f, options)
		}
		if err != nil {
			f.Close()
		}
		return rows, f, err
	}
}

// reader names what reads the file, for the identity of its content.
func (s *source) reader(c *cobra.Command) string {
	switch {
	case s.mapper != nil:
		return "mapping " + s.mapper.Name()
	case s.columns != nil:
		eventType, _ := c.Flags().GetString("type")
		from, _ := c.Flags().GetString("source")
		return "columns " + eventType + " " + from
	}
	return "lines"
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
func ordered(sources []*source) bool {
	for _, s := range sources {
		if s.mapper != nil && s.mapper.Corrects() {
			return true
		}
	}
	return false
}

// deliveries are those of a load, by type and source.
type deliveries struct {
	mu      sync.Mutex
	all     map[[2]string]*delivery
	unknown bool // a file was not read, and nobody knows to which delivery it belongs
}

func newDeliveries(sources []*source) *deliveries {
	d := &deliveries{all: map[[2]string]*delivery{}}
	for _, s := range sources {
		if s.mapper != nil && s.mapper.Replaces() && d.all[s.key()] == nil {
			d.all[s.key()] = &delivery{eventType: s.mapper.Contract().Type, source: s.mapper.Source(), days: map[reference.Day]bool{}}
		}
	}
	return d
}

func (s *source) key() [2]string { return [2]string{s.mapper.Contract().Type, s.mapper.Source()} }

// of is the delivery that a file belongs to, nil when it replaces nothing.
func (d *deliveries) of(s *source) *delivery {
	if s.mapper == nil || !s.mapper.Replaces() {
		return nil
	}
	return d.all[s.key()]
}

// took notes the days that a file has replaced.
func (d *deliveries) took(s *source, days []reference.Day) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.of(s); one != nil {
		for _, day := range days {
			one.days[day] = true
		}
	}
}

// lacks notes a file that was not read to its end.
func (d *deliveries) lacks(s *source) {
	if one := d.of(s); one != nil {
		one.broken = true
	} else if s.mapper == nil && s.columns == nil {
		d.unknown = true
	}
}

// close closes every delivery of which all was taken, and says of the others that
// nothing is withdrawn.
func (d *deliveries) close(s *sender, in tongue, out io.Writer) error {
	for _, one := range d.all {
		if one.missing > 0 || one.broken || d.unknown {
			what := in.say("%s rows", grouped(one.missing))
			if one.broken || d.unknown {
				what = in.say("files")
			}
			fmt.Fprintln(out, in.say("%s of %s from %s were not taken, so what is gone from its days is not withdrawn; mend them and load the files again", what, one.eventType, one.source))
			continue
		}
		if len(one.days) == 0 {
			continue // no rows, no days
		}
		if err := s.closeDelivery(one); err != nil {
			return problem.Wrap(err, problem.KindOf(err), "", "the events of %s from %s are taken, and what is gone from their days is not withdrawn", one.eventType, one.source)
		}
	}
	return nil
}

// read sends the events of a file, and returns the days that they replace.
func (s *source) read(ctx context.Context, done *reading) ([]reference.Day, error) {
	var counted int64
	progress := func(bytes int64) { // of the file, so far
		done.bytes.Add(bytes - counted)
		counted = bytes
	}
	switch {
	case s.file == "-":
		s.lane.file = "standard input"
		return nil, s.lane.lines(os.Stdin)
	case s.columns != nil:
		return nil, s.readColumns(ctx, progress)
	case s.mapper == nil:
		if size, start, ok := mapping.Plain(s.file); ok {
			return nil, s.lane.sections(s.file, start, size, progress)
		}
		text, read, broken, err := mapping.Lines(s.file)
		if err != nil {
			return nil, err
		}
		defer text.Close()
		err = s.lane.lines(readerFunc(func(p []byte) (int, error) {
			n, err := text.Read(p)
			progress(read())
			if err != nil && !errors.Is(err, io.EOF) {
				err = &brokenText{broken(err)}
			}
			return n, err
		}))
		return nil, err
	}
	emit := func(event []byte, at mapping.Place) error {
		if s.lane.next == 0 { // before any request, whose answer reads it
			s.lane.file = at.File
		}
		progress(at.Bytes)
		return s.lane.add(event, rowOf(at))
	}
	refuse := func(at mapping.Place, field, code, reason string) {
		s.lane.refused(refusal{File: at.File, Row: rowOf(at), Field: field, Code: code, Reason: reason})
	}
	stats, err := s.mapper.Read(ctx, s.file, emit, refuse)
	return stats.Days, err
}

// brokenText is an error that already names its file, and is no end of it.
type brokenText struct{ cause error }

func (e *brokenText) Error() string      { return e.cause.Error() }
func (e *brokenText) As(target any) bool { return errors.As(e.cause, target) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *source) readColumns(ctx context.Context, progress func(int64)) error {
	rows, file, err := s.columns()
	if err != nil {
		return err
	}
	defer file.Close()
	var size int64
	if info, err := os.Stat(s.file); err == nil {
		size = info.Size()
	}
	for {
		event, err := rows.Next()
		row := int64(rows.Count())
		switch {
		case errors.Is(err, io.EOF):
			progress(size)
			return nil
		case errors.Is(err, columnar.ErrLong):
			s.lane.refused(refusal{File: s.lane.file, Row: row, Code: "too_long", Reason: "the event is longer than any door takes"})
			continue
		case err != nil:
			return problem.Wrap(err, problem.BadInput, "load", "%s cannot be read on behind row %d", s.file, row)
		}
		if row&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.lane.add(event, row); err != nil {
			return err
		}
	}
}

func rowOf(at mapping.Place) int64 {
	if at.Line > 0 {
		return at.Line
	}
	return at.Row
}

// refusals keeps the first refusals, and the first held events, for the terminal and all of them in
// a file. Safe for concurrent use.
type refusals struct {
	mu    sync.Mutex
	first []refusal
	count int64 // of refusals
	held  []refusal
	aside int64 // of held events
	dry   bool  // nothing is held: it would be
	file  *os.File
	out   *bufio.Writer
	name  string
}

func newRefusals(c *cobra.Command) (*refusals, error) {
	r := &refusals{}
	r.dry, _ = c.Flags().GetBool("dry-run")
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
	first, count := &r.first, &r.count
	if f.Entry != "" {
		first, count = &r.held, &r.aside
	}
	*count++
	if len(*first) < shownRefusals {
		*first = append(*first, f)
	}
	if r.out != nil {
		if line, err := json.Marshal(f); err == nil {
			_, _ = r.out.Write(append(line, '\n')) // bufio keeps the error for Flush
		}
	}
}

func (r *refusals) print(out io.Writer, in tongue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range []struct {
		first []refusal
		count int64
	}{{r.first, r.count}, {r.held, r.aside}} {
		for _, f := range one.first {
			line := f.in(in)
			switch {
			case f.Entry != "" && r.dry:
				line += in.say(", would be held")
			case f.Entry != "":
				line += in.say(", held as %s", f.Entry)
			}
			fmt.Fprintln(out, line)
		}
		if left := one.count - int64(len(one.first)); left > 0 {
			if r.name != "" {
				fmt.Fprintln(out, in.say("and %s more; all are in %s", grouped(left), r.name))
			} else {
				fmt.Fprintln(out, in.say("and %s more; --refusals FILE keeps them all", grouped(left)))
			}
		}
	}
}

// in is a refusal as a person reads it: the code's sentence in the language before the door's own, which
// has all.
func (f refusal) in(language tongue) string {
	told := fmt.Sprintf("%s:%d: ", f.File, f.Row)
	if f.Field != "" {
		told += f.Field + ": "
	}
	if words := language.say(f.Code); words != f.Code {
		told += words + " "
	}
	return told + f.Reason + " (" + f.Code + ")"
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
