// Package pack reads a country, or a city, from a folder of YAML and CSV.
//
//	pack.yaml              name, prefix of its event types, languages, time zone, sources, reference tables
//	contracts/*.yaml       what an event is
//	mappings/*.yaml        how a foreign file becomes events
//	kpis/*.yaml            what is measured
//	targets.yaml           what acts ask for, with their dates
//	reference/             CSV: organisations, regions, services, holidays
//	labels/<language>.yaml words that the page shows
//	simulation/            what package simulate needs; not read here
//
// docs/packs.md tells every key. [Read] checks a whole pack and reports everything
// wrong with it at once, with file, line and field; a pack that it returns is whole:
// names that are mentioned exist, titles are there in every language, formulae parse,
// examples pass their contract. [Schema] has the same format as JSON Schema, for
// editors.
//
//	files, err := pack.Embedded("uz")
//	p, err := pack.Read(files, pack.Checks{})
//
// A pack is data from somebody else: files are at most 1 MB (CSV 64 MB), symbolic
// links, anchors and aliases are refused, and nothing in it is run.
package pack

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"archive/zip"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Pack is a pack that passed every check. It does not change once read and is safe
// for concurrent use.
type Pack struct {
	Name      string
	Prefix    string // "uz.gov."
	Title     reference.Names
	Languages []string // the first is the default
	Zone      *time.Location
	Currency  string // ISO 4217; empty when no money is counted
	K         int    // cells of fewer persons are hidden
	Sources   map[string]Source
	Contracts []*contract.Contract
	Set       *contract.Set
	Mappings  []*contract.Mapping
	KPIs      []*kpi.KPI // ordered by id
	Targets   []*kpi.Target
	Reference *reference.Set
	Portfolio *contract.Portfolio          // which contracts tell of projects; nil when none do
	Labels    map[string]map[string]string // language → key ("group.portal") → words
	Examples  map[string][][]byte          // by event type: CloudEvents in JSON that pass
	Files     fs.FS                        // the pack as it was read

	seeds []seed
}

// Source is a system that sends events.
type Source struct {
	ID        string
	Title     reference.Names
	Owner     string        // code of an organisation; empty when not told
	Freshness time.Duration // how old its newest event may be; 0: nothing was promised
	Closing   time.Duration // how long a period waits for the source to close it; 0: not told
	Contact   string
}

// Systems has the agency, as a code of an organisation, that owns each source. A source whose
// owner is not told is not there.
func (p *Pack) Systems() map[string]string {
	owners := map[string]string{}
	for id, s := range p.Sources {
		if s.Owner != "" {
			owners[id] = s.Owner
		}
	}
	return owners
}

// Checks are the checks that other rooms make. A nil check is skipped: the pack is
// then whole in itself, but not proved against the engine or the mapping's compiler.
type Checks struct {
	// Expression proves a ClickHouse expression over columns, without running it.
	Expression func(sql string, columns []string) error
	// Prove computes what KPIs, which passed every other check, are made of, over rows with
	// extreme values.
	Prove func(*contract.Set, []*kpi.KPI) ([]kpi.Fault, error)
	// Mapping compiles a mapping against its contract.
	Mapping func(*contract.Mapping, *contract.Contract, *reference.Set) problem.Issues
}

//go:embed all:uz
var embedded embed.FS

// Embedded is a pack that is part of the program: "uz".
func Embedded(name string) (fs.FS, error) {
	if name != "uz" {
		return nil, problem.New(problem.NotFound, "no pack called %q is built in; built in is uz, any other is a folder", name).In("pack")
	}
	return fs.Sub(embedded, name)
}

// Open opens a folder or a zip archive as a pack's files. An archive may hold the
// pack at its top or inside one folder. Close what it returns when done, if it is an
// [io.Closer].
func Open(path string) (fs.FS, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.NotFound, "there is no pack at %s", path).In("pack")
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "pack: open", "%s cannot be read", path)
	}
	if info.IsDir() {
		return os.DirFS(path), nil
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, problem.Wrap(err, problem.BadInput, "pack: open", "%s is neither a folder nor a zip archive", path)
	}
	if _, err := fs.Stat(archive, "pack.yaml"); err == nil {
		return archive, nil
	}
	if inside, _ := fs.Glob(archive, "*/pack.yaml"); len(inside) == 1 {
		return inner(archive, filepath.ToSlash(filepath.Dir(inside[0])))
	}
	return archive, nil // Read says that pack.yaml is missing
}

type innerArchive struct {
	fs.FS
	archive *zip.ReadCloser
}

func (a innerArchive) Close() error { return a.archive.Close() }

func inner(archive *zip.ReadCloser, folder string) (fs.FS, error) {
	sub, err := fs.Sub(archive, folder)
	if err != nil {
		return nil, problem.Wrap(errors.Join(err, archive.Close()), problem.BadInput, "pack: open", "%s cannot be read in the archive", folder)
	}
	return innerArchive{sub, archive}, nil
}

// Read reads and checks a pack. The error is of kind BadInput and lists every
// problem with file, line and field; no pack is returned then.
func Read(files fs.FS, checks Checks) (*Pack, error) {
	r := &reader{files: files, checks: checks}
	p := r.pack()
	if err := r.told().Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// KPI is the KPI with an id, or nil.
func (p *Pack) KPI(id string) *kpi.KPI {
	i := sort.Search(len(p.KPIs), func(i int) bool { return p.KPIs[i].ID >= id })
	if i < len(p.KPIs) && p.KPIs[i].ID == id {
		return p.KPIs[i]
	}
	return nil
}

// Mapping is the mapping of a name, or nil.
func (p *Pack) Mapping(name string) *contract.Mapping {
	i := slices.IndexFunc(p.Mappings, func(m *contract.Mapping) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return p.Mappings[i]
}

// Label is the words of a key in a language, or in the pack's first language, or the
// key's last word.
func (p *Pack) Label(language, key string) string {
	if words, ok := p.Labels[language][key]; ok {
		return words
	}
	if words, ok := p.Labels[p.Languages[0]][key]; ok {
		return words
	}
	return key[strings.LastIndexByte(key, '.')+1:]
}
