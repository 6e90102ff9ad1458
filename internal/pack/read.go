package pack

import (
	"io"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// What a file may hold at most. A pack is read into memory whole.
const (
	maxYAML = 1 << 20
	maxCSV  = 64 << 20
	maxFile = 10_000 // files of a pack
)

// reader is one reading of one pack.
type reader struct {
	files  fs.FS
	checks Checks
	issues problem.Issues

	declared packDeclaration
	seen     map[string]bool // files of the pack
	contract []declaredContract
	broken   map[string]bool // contracts (with version) whose own file has problems: what follows from them is not told again
}

func (r *reader) pack() *Pack {
	r.survey()
	p := &Pack{Files: r.files, K: 10, Sources: map[string]Source{}, Labels: map[string]map[string]string{}}
	if !r.seen["pack.yaml"] {
		r.issues.Add("pack.yaml", 0, "", "is missing: a pack is a folder with a pack.yaml")
		return p
	}
	if !r.one("pack.yaml", &r.declared) {
		return p
	}
	r.head(p)
	r.reference(p)
	r.contracts(p)
	r.mappings(p)
	r.kpis(p)
	r.targets(p)
	r.labels(p)
	r.seeds(p)
	r.prove(p)
	return p
}

// survey lists the pack's files and refuses what no pack has.
func (r *reader) survey() {
	r.seen = map[string]bool{}
	folders := []string{"contracts", "kpis", "labels", "mappings", "reference", "simulation"}
	err := fs.WalkDir(r.files, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			r.issues.Add(name, 0, "", "cannot be read: %v", err)
			return nil
		case name == ".":
			return nil
		case strings.HasPrefix(path.Base(name), "."):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			if !strings.Contains(name, "/") && !slices.Contains(folders, name) {
				r.issues.Add(name, 0, "", "is no folder of a pack%s; allowed: %s", nearest(name, folders), strings.Join(folders, ", "))
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			r.issues.Add(name, 0, "", "is a link or a device; a pack has plain files only")
			return nil
		}
		if len(r.seen) >= maxFile {
			r.issues.Add(name, 0, "", "a pack has at most %d files", maxFile)
			return fs.SkipAll
		}
		folder, _, nested := strings.Cut(name, "/")
		extension := path.Ext(name)
		switch {
		case extension == ".md" || folder == "simulation":
		case !nested:
			if top := []string{"pack.yaml", "targets.yaml"}; !slices.Contains(top, name) && name != "LICENSE" {
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
	return data, true
}

func (r *reader) decoder(name string) *decoder { return &decoder{file: name, issues: &r.issues} }

// one reads a file that is one document.
func (r *reader) one(name string, into any) bool {
	data, ok := r.read(name, maxYAML)
	if !ok {
		return false
	}
	d := r.decoder(name)
	roots := d.documents(data)
	if len(roots) > 1 {
		d.add(roots[1].Line, "", "is a second document; this file holds one")
	}
	if len(roots) == 0 {
		return false
	}
	d.decode(roots[0], reflect.ValueOf(into).Elem(), "", "")
	return true
}

// each reads the documents of every YAML file of a folder, in order of their names.
func (r *reader) each(folder string, fn func(name string, d *decoder, root *yaml.Node)) {
	var names []string
	for name := range r.seen {
		if strings.HasPrefix(name, folder+"/") && path.Ext(name) == ".yaml" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		data, ok := r.read(name, maxYAML)
		if !ok {
			continue
		}
		d := r.decoder(name)
		for _, root := range d.documents(data) {
			fn(name, d, root)
		}
	}
}

func (r *reader) head(p *Pack) {
	d := &r.declared
	p.Name, p.Prefix, p.Title, p.Languages, p.Currency = d.Name, d.Prefix, d.Title, d.Languages, d.Currency
	p.Zone = time.UTC
	if zone, err := time.LoadLocation(d.Zone); err == nil {
		p.Zone = zone // a zone that does not exist was noted by the decoder
	}
	if d.K != nil {
		p.K = *d.K
	}
	if p.K < 5 {
		r.issues.Add("pack.yaml", d.Line, "k", "is %d; 5 is the least that hides a person", p.K)
	}
	for i, tag := range d.Languages {
		if slices.Contains(d.Languages[:i], tag) {
			r.issues.Add("pack.yaml", d.Line, "languages", "%s stands twice", tag)
		}
	}
	r.titled("pack.yaml", d.Line, "title", d.Title)
}

// titled notes the languages that a text lacks, and those that the pack has not.
func (r *reader) titled(file string, line int, field string, names reference.Names) {
	if len(names) == 0 {
		return // noted by the decoder where one is needed
	}
	var missing []string
	for _, tag := range r.declared.Languages {
		if names[tag] == "" {
			missing = append(missing, tag)
		}
	}
	if len(missing) > 0 {
		r.issues.Add(file, line, field, "has no text in %s", strings.Join(missing, ", "))
	}
	for tag := range names {
		if !slices.Contains(r.declared.Languages, tag) {
			r.issues.Add(file, line, join(field, tag), "is no language of the pack; its languages: %s", strings.Join(r.declared.Languages, ", "))
		}
	}
}

func (r *reader) csv(file, field string, line int) (io.Reader, string, bool) {
	name := "reference/" + file
	if file == "" {
		return nil, "", false
	}
	if !r.seen[name] {
		var have []string
		for other := range r.seen {
			if rest, ok := strings.CutPrefix(other, "reference/"); ok {
				have = append(have, rest)
			}
		}
		sort.Strings(have)
		r.issues.Add("pack.yaml", line, field, "there is no %s%s", name, nearest(file, have))
		return nil, "", false
	}
	data, ok := r.read(name, maxCSV)
	return strings.NewReader(string(data)), name, ok
}

func (r *reader) reference(p *Pack) {
	var tables []*reference.Table
	for _, t := range r.declared.Reference {
		in, name, ok := r.csv(t.File, "reference."+t.Name+".file", t.Line)
		if !ok {
			tables = append(tables, reference.ReadTable(t.Name, t.File, strings.NewReader("code\n"), reference.TableFormat{}, &problem.Issues{}))
			continue
		}
		tables = append(tables, reference.ReadTable(t.Name, name, in, reference.TableFormat{Key: t.Key, History: t.History}, &r.issues))
	}
	week := map[string]time.Weekday{}
	for day := time.Sunday; day <= time.Saturday; day++ {
		week[strings.ToLower(day.String())] = day
	}
	calendar := &reference.Calendar{Zone: p.Zone, FiscalMonth: time.January}
	for _, day := range r.declared.Calendar.Week {
		calendar.Week = append(calendar.Week, week[day])
	}
	for month := time.January; month <= time.December; month++ {
		if strings.ToLower(month.String()) == r.declared.Calendar.Fiscal {
			calendar.FiscalMonth = month
		}
	}
	if in, name, ok := r.csv(r.declared.Calendar.Holidays, "calendar.holidays", r.declared.Line); ok {
		calendar.Days = reference.ReadDays(name, in, &r.issues)
	}
	if in, name, ok := r.csv(r.declared.Calendar.Quarters, "calendar.quarters", r.declared.Line); ok {
		calendar.Quarters = reference.ReadQuarters(name, in, &r.issues)
	}
	p.Reference = reference.NewSet(calendar, tables...)
	for _, s := range r.declared.Sources {
		at := "sources." + s.ID
		r.titled("pack.yaml", s.Line, at+".title", s.Title)
		r.owner(p, "pack.yaml", s.Line, at+".owner", s.Owner)
		p.Sources[s.ID] = Source{ID: s.ID, Title: s.Title, Owner: s.Owner, Freshness: s.Freshness, Contact: s.Contact}
	}
}

// owner notes an organisation that does not exist. An owner that is not told is
// noted by the decoder where one is needed.
func (r *reader) owner(p *Pack, file string, line int, field, code string) {
	if code == "" {
		return
	}
	table := p.Reference.Table("organisations")
	if table == nil {
		r.issues.Add(file, line, field, "names %q, but pack.yaml has no reference table organisations", code)
		return
	}
	if !table.Has(code) {
		r.issues.Add(file, line, field, "the table organisations has no code %q%s", code, nearest(code, codes(table)))
	}
}

func codes(t *reference.Table) []string {
	var all []string
	for _, row := range t.Rows() {
		all = append(all, row.Code)
	}
	return all
}

func (r *reader) mappings(p *Pack) {
	r.each("mappings", func(name string, d *decoder, root *yaml.Node) {
		m := &contract.Mapping{Name: strings.TrimSuffix(path.Base(name), ".yaml"), File: name}
		literal := &decoder{file: name, literal: true, issues: d.issues}
		literal.decode(root, reflect.ValueOf(m).Elem(), "", "")
		r.mapping(p, m)
		p.Mappings = append(p.Mappings, m)
	})
}

func (r *reader) kpis(p *Pack) {
	r.each("kpis", func(name string, d *decoder, root *yaml.Node) {
		var declared kpiDeclaration
		d.decode(root, reflect.ValueOf(&declared).Elem(), "", "")
		p.KPIs = append(p.KPIs, r.kpi(p, name, &declared))
	})
	sort.SliceStable(p.KPIs, func(a, b int) bool { return p.KPIs[a].ID < p.KPIs[b].ID })
}

func (r *reader) targets(p *Pack) {
	if !r.seen["targets.yaml"] {
		return
	}
	var declared []targetDeclaration
	if r.one("targets.yaml", &declared) {
		for i := range declared {
			p.Targets = append(p.Targets, r.target(p, i, &declared[i]))
		}
	}
}
