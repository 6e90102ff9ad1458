package kpi

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"ombor/internal/problem"
	"ombor/internal/reference"
)

// Catalogue is every KPI of a pack with what was published about it. It does not
// change once made and is safe for concurrent use.
type Catalogue struct {
	kpis    []*KPI
	byID    map[string]*KPI
	targets map[string][]*Target
	ledger  []*Target
}

// NewCatalogue joins KPIs and targets. Ids are taken to be unique: a pack that was
// read has made sure.
func NewCatalogue(kpis []*KPI, targets []*Target) *Catalogue {
	c := &Catalogue{kpis: slices.Clone(kpis), byID: map[string]*KPI{}, targets: map[string][]*Target{}, ledger: targets}
	sort.Slice(c.kpis, func(a, b int) bool { return c.kpis[a].ID < c.kpis[b].ID })
	for _, k := range c.kpis {
		c.byID[k.ID] = k
	}
	for _, t := range targets {
		c.targets[t.KPI] = append(c.targets[t.KPI], t)
	}
	return c
}

// All are the KPIs, ordered by id. The slice is shared: do not change it.
func (c *Catalogue) All() []*KPI { return c.kpis }

// KPI is the KPI with an id; an error of kind NotFound names the ids that there are.
func (c *Catalogue) KPI(id string) (*KPI, error) {
	if k := c.byID[id]; k != nil {
		return k, nil
	}
	ids := make([]string, len(c.kpis))
	for i, k := range c.kpis {
		ids[i] = k.ID
	}
	return nil, problem.New(problem.NotFound, "there is no KPI %q; there are: %s", id, strings.Join(ids, ", ")).In("kpi").Of(ids...).
		Also("uz", "“%s” koʻrsatkichi yoʻq.", id).
		Also("ru", "Показателя «%s» нет.", id)
}

// Published is what acts and publications say of a KPI: targets, results, claims.
func (c *Catalogue) Published(id string) []*Target { return c.targets[id] }

// Ledger is everything that was published, in the order of the file. The slice is shared:
// do not change it.
func (c *Catalogue) Ledger() []*Target { return c.ledger }

// Target is the target of a KPI's variant for the whole ("where" is empty) that is
// due next on the day, or the last one that was due; nil when no act asks for
// anything.
func (c *Catalogue) Target(id, variant string, day reference.Day) *Target {
	var best *Target
	for _, t := range c.targets[id] {
		if t.Kind != Asked || t.Variant != variant || len(t.Where) > 0 {
			continue
		}
		if best == nil || better(t, best, day) {
			best = t
		}
	}
	return best
}

// better: a target still to come before one that is past; among those to come the
// nearest, among those past the latest. One without a date stands for always.
func better(a, b *Target, day reference.Day) bool {
	coming := func(t *Target) bool { return t.Due == reference.NoDay || t.Due >= day }
	if coming(a) != coming(b) {
		return coming(a)
	}
	if !coming(a) {
		return a.Due > b.Due
	}
	if (a.Due == reference.NoDay) != (b.Due == reference.NoDay) {
		return b.Due == reference.NoDay
	}
	return a.Due < b.Due
}

// Variants are the names of a KPI's definitions; the first is the default and often
// the empty name.
func (k *KPI) Variants() []string {
	var names []string
	for i := range k.Versions {
		if !slices.Contains(names, k.Versions[i].Variant) {
			names = append(names, k.Versions[i].Variant)
		}
	}
	return names
}

// Select is the definition that a question means: of a variant (empty: the default),
// and of it the version of that number, or with number 0 the one valid on the day, or
// with [reference.NoDay] the newest. An error of kind NotFound says which there are.
func (k *KPI) Select(variant string, number int, day reference.Day) (*Version, error) {
	if len(k.Versions) == 0 {
		return nil, problem.New(problem.NotFound, "the KPI %q has no version", k.ID).In("version").
			Also("uz", "“%s” koʻrsatkichining taʼrifi yoʻq.", k.ID).
			Also("ru", "У показателя «%s» нет определения.", k.ID)
	}
	if variant == "" {
		variant = k.Versions[0].Variant
	}
	if !slices.Contains(k.Variants(), variant) {
		named := strings.TrimPrefix(strings.Join(k.Variants(), ", "), ", ")
		if named == "" {
			return nil, problem.New(problem.NotFound, "the KPI %q has no variants: leave variant=%q out", k.ID, variant).In("variant").
				Also("uz", "Bu koʻrsatkichning taʼrifi bitta, “%s” varianti yoʻq.", variant).
				Also("ru", "Определение у показателя одно, варианта «%s» нет.", variant)
		}
		return nil, problem.New(problem.NotFound, "the KPI %q has no variant %q; it has: %s", k.ID, variant, named).In("variant").Of(slices.DeleteFunc(k.Variants(), func(v string) bool { return v == "" })...).
			Also("uz", "Bu koʻrsatkichning “%s” varianti yoʻq.", variant).
			Also("ru", "У этого показателя нет варианта «%s».", variant)
	}
	var found *Version
	var have, numbers []string
	for i := range k.Versions {
		v := &k.Versions[i]
		if v.Variant != variant {
			continue
		}
		have, numbers = append(have, v.describe()), append(numbers, strconv.Itoa(v.Version))
		switch {
		case number != 0:
			if v.Version == number {
				return v, nil
			}
		case day == reference.NoDay || v.Valid.Holds(day):
			if found == nil || v.Version > found.Version {
				found = v
			}
		}
	}
	switch {
	case found != nil:
		return found, nil
	case number != 0:
		return nil, problem.New(problem.NotFound, "the KPI %q has no version %d; it has: %s", k.ID, number, strings.Join(have, ", ")).In("version").Of(numbers...).
			Also("uz", "Bu taʼrifning %d-tahriri yoʻq.", number).
			Also("ru", "Редакции %d у этого определения нет.", number)
	}
	return nil, problem.New(problem.NotFound, "the KPI %q has no definition for %s; it has: %s", k.ID, day, strings.Join(have, ", ")).In("version").
		Also("uz", "Bu koʻrsatkichning %s kuni uchun taʼrifi yoʻq.", day).
		Also("ru", "На %s у этого показателя нет определения.", day)
}
