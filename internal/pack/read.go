package pack

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// What a pack may hold at most. It is read into memory whole.
const (
	maxYAML  = 1 << 20
	maxCSV   = 64 << 20
	maxFiles = 10_000
	maxTotal = 256 << 20 // of all files that are read
	maxTold  = 50        // problems of one file
)

// reader is one reading of one pack. A problem is told once, where it is: what only
// follows from it (a KPI of a contract that could not be read) is not told again.
type reader struct {
	files  fs.FS
	checks Checks
	issues problem.Issues

	seen      map[string]bool // the pack's files
	total     int             // bytes read
	declared  packDeclaration
	head      place // pack.yaml
	contracts []declaredContract

	damaged map[string]bool  // tables that lost rows
	kpis    map[string]place // of each KPI's document
	lost    map[string]bool  // folders with a file whose names are not known, because it could not be read
}

// told is every problem, but of a file with very many only the first, so that a table
// of a million wrong rows is not a million lines.
func (r *reader) told() problem.Issues {
	var told problem.Issues
	count, last := map[string]int{}, map[string]int{}
	for _, issue := range r.issues {
		if count[issue.File]++; count[issue.File] <= maxTold {
			told = append(told, issue)
			last[issue.File] = max(last[issue.File], issue.Line)
		}
	}
	for _, file := range sortedKeys(count) {
		if more := count[file] - maxTold; more > 0 {
			told.Add(file, last[file], "", "and %d problems more in this file", more)
		}
	}
	return told
}

// bad notes a problem with a field of a document.
func (r *reader) bad(at place, field, format string, args ...any) {
	r.issues.Add(at.file, at.line(field), field, format, args...)
}

func (r *reader) pack() *Pack {
	p := &Pack{Files: r.files, K: 10, Sources: map[string]Source{}, Labels: map[string]map[string]string{}}
	r.seen, r.damaged, r.lost = map[string]bool{}, map[string]bool{}, map[string]bool{}
	r.survey()
	if !r.seen["pack.yaml"] {
		if _, err := fs.Lstat(r.files, "pack.yaml"); err != nil {
			r.issues = nil // not a pack: what else is in the folder says nothing
			r.issues.Add("pack.yaml", 0, "", "is missing: a pack is a folder with a pack.yaml")
		}
		return p
	}
	var ok bool
	if r.head, ok = r.one("pack.yaml", &r.declared); !ok {
		return p
	}
	r.readHead(p)
	r.readReference(p)
	r.readContracts(p)
	r.readHistories(p)
	r.readMappings(p)
	r.readKPIs(p)
	r.readTargets(p)
	r.readLabels(p)
	r.readSeeds(p)
	r.readPortfolio(p)
	r.prove(p)
	r.compute(p)
	return p
}

// survey lists the pack's files and refuses what no pack has.
func (r *reader) survey() {
	folders := []string{"contracts", "kpis", "labels", "mappings", "reference", "simulation"}
	top := []string{"pack.yaml", "targets.yaml"}
	err := fs.WalkDir(r.files, ".", func(name string, entry fs.DirEntry, err error) error {
		folder, _, nested := strings.Cut(name, "/")
		hidden := strings.HasPrefix(path.Base(name), ".") && name != "."
		switch {
		case err != nil:
			r.issues.Add(name, 0, "", "cannot be read: %v", err)
			return nil
		case entry.IsDir():
			if hidden {
				return fs.SkipDir
			}
			if name != "." && !slices.Contains(folders, folder) {
				r.issues.Add(name, 0, "", "is no folder of a pack%s; allowed: %s", nearest(name, folders), strings.Join(folders, ", "))
				return fs.SkipDir
			}
			return nil
		case hidden:
			return nil
		case !entry.Type().IsRegular():
			r.issues.Add(name, 0, "", "is a link or a device; a pack has plain files only")
			return nil
		case len(r.seen) >= maxFiles:
			r.issues.Add(name, 0, "", "is one too many; a pack has at most %d files", maxFiles)
			return fs.SkipAll
		}
		switch extension := path.Ext(name); {
		case extension == ".md" || folder == "simulation" || name == "LICENSE":
		case !nested:
			if !slices.Contains(top, name) {
				r.issues.Add(name, 0, "", "is no file of a pack%s; allowed: %s and the folders %s", nearest(name, top), strings.Join(top, ", "), strings.Join(folders, ", "))
			}
		case folder == "reference" && extension != ".csv":
			r.issues.Add(name, 0, "", "is no reference table; reference/ holds CSV files")
		case folder != "reference" && extension != ".yaml":
			r.issues.Add(name, 0, "", "is not read; %s/ holds files that end in .yaml", folder)
		}
		r.seen[name] = true
		return nil
	})
	if err != nil {
		r.issues.Add(".", 0, "", "cannot be read: %v", err)
	}
}

// read is the content of a file; false when it cannot be had, which is then noted.
func (r *reader) read(name string, limit int64) ([]byte, bool) {
	f, err := r.files.Open(name)
	if err != nil {
		r.issues.Add(name, 0, "", "cannot be read: %v", err)
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		r.issues.Add(name, 0, "", "cannot be read: %v", err)
		return nil, false
	}
	if int64(len(data)) > limit {
		r.issues.Add(name, 0, "", "is larger than %d MB", limit>>20)
		return nil, false
	}
	if r.total += len(data); r.total > maxTotal {
		r.issues.Add(name, 0, "", "is too much: a pack has at most %d MB in all", maxTotal>>20)
		return nil, false
	}
	return data, true
}

// one reads a file that is one document.
func (r *reader) one(name string, into any) (place, bool) {
	d := &decoder{place: place{file: name}, issues: &r.issues}
	data, ok := r.read(name, maxYAML)
	if !ok {
		return d.place, false
	}
	roots, sound := d.documents(data)
	if len(roots) > 1 {
		d.add(roots[1].Line, "", "is a second document; this file holds one")
	}
	if !sound || len(roots) == 0 {
		return d.place, false
	}
	d.root(roots[0], into)
	return d.place, true
}

// each reads the documents of every YAML file of a folder, in order of their names.
func (r *reader) each(folder string, fn func(d *decoder, root *yaml.Node)) {
	var names []string
	for name := range r.seen {
		if strings.HasPrefix(name, folder+"/") && path.Ext(name) == ".yaml" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		d := &decoder{place: place{file: name}, issues: &r.issues}
		data, ok := r.read(name, maxYAML)
		if !ok {
			r.lost[folder] = true
			continue
		}
		roots, sound := d.documents(data)
		if !sound {
			r.lost[folder] = true
		}
		for _, root := range roots {
			fn(d, root)
		}
	}
}

func (r *reader) readHead(p *Pack) {
	d := &r.declared
	p.Name, p.Prefix, p.Title, p.Currency, p.Zone = d.Name, d.Prefix, d.Title, d.Currency, time.UTC
	if p.Prefix != "" && !strings.HasSuffix(p.Prefix, ".") {
		p.Prefix += "." // noted by the decoder; contracts are read as if it stood there
	}
	if zone, err := time.LoadLocation(d.Zone); err == nil {
		p.Zone = zone // one that does not exist was noted by the decoder
	}
	if d.K != nil {
		p.K = *d.K
	}
	if p.K < 5 {
		r.bad(r.head, "k", "is %d; 5 is the least that hides a person", p.K)
	}
	for i, tag := range d.Languages {
		switch {
		case slices.Contains(p.Languages, tag):
			r.bad(r.head, index("languages", i), "%s stands twice", tag)
		case forms["language"].holds(tag):
			p.Languages = append(p.Languages, tag)
		}
	}
	r.titled(p, r.head, "title", d.Title)
}

// titled notes the languages that a text lacks, and those that the pack has not.
func (r *reader) titled(p *Pack, at place, field string, names reference.Names) {
	if len(names) == 0 {
		return // noted by the decoder where one is needed
	}
	var missing []string
	for _, tag := range p.Languages {
		if names[tag] == "" {
			missing = append(missing, tag)
		}
	}
	if len(missing) > 0 {
		r.bad(at, field, "has no text in %s", strings.Join(missing, ", "))
	}
	for _, tag := range sortedKeys(names) {
		if !slices.Contains(p.Languages, tag) {
			r.bad(at, join(field, tag), "is no language of the pack; its languages: %s", strings.Join(p.Languages, ", "))
		}
	}
}

// worded is a text by language, with one for all of them in each of the pack's.
func (r *reader) worded(p *Pack, at place, field string, d wordsDeclaration) reference.Names {
	text, one := d[""]
	if !one {
		r.titled(p, at, field, reference.Names(d))
		return reference.Names(d)
	}
	names := reference.Names{}
	for _, tag := range p.Languages {
		names[tag] = reference.Clean(text, tag)
	}
	return names
}

// csv opens a file of reference/ that pack.yaml names under a field.
func (r *reader) csv(field, file string) (in io.Reader, name string, ok bool) {
	if file == "" || !forms["csv"].holds(file) {
		return nil, "", false // not told, or noted by the decoder
	}
	name = "reference/" + file
	if !r.seen[name] {
		var have []string
		for other := range r.seen {
			if rest, ok := strings.CutPrefix(other, "reference/"); ok {
				have = append(have, rest)
			}
		}
		sort.Strings(have)
		r.bad(r.head, field, "there is no %s%s", name, nearest(file, have))
		return nil, name, false
	}
	data, ok := r.read(name, maxCSV)
	return strings.NewReader(string(data)), name, ok
}

func (r *reader) readReference(p *Pack) {
	var tables []*reference.Table
	for _, t := range r.declared.Reference {
		format := reference.TableFormat{Key: t.Key, History: t.History}
		var found problem.Issues
		in, name, ok := r.csv("reference."+t.Name+".file", t.File)
		if !ok {
			in = strings.NewReader("") // an empty table, so that its name is known
		}
		table := reference.ReadTable(t.Name, name, in, format, &found)
		if ok {
			r.issues = append(r.issues, found...)
		}
		r.damaged[t.Name] = !ok || len(found) > 0
		r.named(p, name, table)
		tables = append(tables, table)
	}
	calendar := &reference.Calendar{Zone: p.Zone, FiscalMonth: time.January}
	for _, name := range r.declared.Calendar.Week {
		for day := time.Sunday; day <= time.Saturday; day++ {
			if strings.ToLower(day.String()) == name {
				calendar.Week = append(calendar.Week, day)
			}
		}
	}
	for month := time.January; month <= time.December; month++ {
		if strings.ToLower(month.String()) == r.declared.Calendar.Fiscal {
			calendar.FiscalMonth = month
		}
	}
	if in, name, ok := r.csv("calendar.holidays", r.declared.Calendar.Holidays); ok {
		calendar.Days, calendar.DayNames = reference.ReadDays(name, in, &r.issues)
	}
	if in, name, ok := r.csv("calendar.quarters", r.declared.Calendar.Quarters); ok {
		calendar.Quarters = reference.ReadQuarters(name, in, &r.issues)
	}
	p.Reference = reference.NewSet(calendar, tables...)
	for _, s := range r.declared.Sources {
		at := "sources." + s.ID
		r.titled(p, r.head, at+".title", s.Title)
		r.owner(p, r.head, at+".owner", s.Owner)
		p.Sources[s.ID] = Source{ID: s.ID, Title: s.Title, Owner: s.Owner, Freshness: s.Freshness, Closing: s.Closing, Contact: s.Contact}
		if s.Closing%(24*time.Hour) != 0 {
			r.bad(r.head, at+".closing", "is %s; periods are closed by whole days, as in 10d", s.Closing)
		}
	}
}

// named notes rows without a name in a language of the pack. A table without the column of a language
// is one that nobody has translated: its names are shown in another.
func (r *reader) named(p *Pack, file string, t *reference.Table) {
	for _, column := range t.Columns {
		rest, ok := strings.CutPrefix(column, "name_")
		tag, err := language.Parse(rest)
		if !ok || err != nil || !slices.Contains(p.Languages, tag.String()) {
			continue
		}
		for _, row := range t.Rows() {
			if row.Names[tag.String()] == "" {
				r.issues.Add(file, row.Line, column, "%s has no name in %s", row.Code, tag)
			}
		}
	}
}

// table is the reference table of a name; nil when there is none, which is noted.
func (r *reader) table(p *Pack, at place, field, name string) *reference.Table {
	table := p.Reference.Table(name)
	if table == nil && name != "" {
		tables := p.Reference.Tables()
		r.bad(at, field, "there is no reference table %q%s; there are: %s", name, nearest(name, tables), strings.Join(tables, ", "))
	}
	return table
}

// owner notes an organisation that does not exist. One that is not told is noted by
// the decoder where it is needed.
func (r *reader) owner(p *Pack, at place, field, code string) {
	if code == "" {
		return
	}
	table := p.Reference.Table("organisations")
	switch {
	case table == nil:
		r.bad(at, field, "names %q, but pack.yaml has no reference table organisations", code)
	case !table.Has(code) && !r.damaged["organisations"]:
		var codes []string
		for _, row := range table.Rows() {
			codes = append(codes, row.Code)
		}
		r.bad(at, field, "the table organisations has no code %q%s", code, nearest(code, codes))
	}
}

func (r *reader) readMappings(p *Pack) {
	r.each("mappings", func(d *decoder, root *yaml.Node) {
		m := &contract.Mapping{}
		literal := &decoder{place: d.place, literal: true, issues: d.issues}
		literal.root(root, m)
		m.Name, m.File = strings.TrimSuffix(path.Base(d.file), ".yaml"), d.file
		r.mapping(p, literal.place, m)
		p.Mappings = append(p.Mappings, m)
	})
}
