package dashboards

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

type kpiBody struct {
	ID         string          `json:"id"`
	Title      reference.Names `json:"title"`
	About      reference.Names `json:"about"`
	Group      string          `json:"group"`
	Owner      string          `json:"owner"`
	OwnerNames reference.Names `json:"owner_names"`
	Unit       string          `json:"unit"`
	Direction  string          `json:"direction"`
	RankedBy   string          `json:"ranked_by"` // the KPI that ranks what is missing to a target; "": the missing cases
	Dimensions []dimensionBody `json:"dimensions"`
	Versions   []versionBody   `json:"versions"`
	Targets    []targetBody    `json:"targets"`
}

// dimensionBody is a field by which a KPI may be broken down or filtered.
type dimensionBody struct {
	Name   string          `json:"name"`
	Title  reference.Names `json:"title"`
	Type   string          `json:"type"`
	To     string          `json:"to"`     // reference table, "" when it is none
	Values []string        `json:"values"` // of an enumeration
}

type versionBody struct {
	Version     int             `json:"version"`
	Variant     string          `json:"variant"`
	Valid       spanBody        `json:"valid"`
	Source      string          `json:"source"`
	SourceNames reference.Names `json:"source_names"`
	Basis       string          `json:"basis"`
	From        []string        `json:"from"`
	Formula     string          `json:"formula"` // all of it in one line
	Numerator   string          `json:"numerator"`
	Denominator string          `json:"denominator"`
	Of          string          `json:"of"` // of a distribution or a distinct count
	If          string          `json:"if"`
	Quantiles   []float64       `json:"quantiles"`
	At          string          `json:"at"`
	Grain       string          `json:"grain"`
	Grains      []string        `json:"grains"`  // of a distinct count: the only ones it has
	Periods     []string        `json:"periods"` // grains by which it can be told
	Rollups     [][]string      `json:"rollups"`
	Dimensions  []dimensionBody `json:"dimensions"` // by which this definition may be broken down or filtered
	Matures     int             `json:"matures"`    // days, counted back from today, that are left out

	Published        [][]string `json:"published"` // tables that are published, by their dimensions
	PublishedPeriods []string   `json:"published_periods"`
	PublishedOnly    bool       `json:"published_only"` // told from these to everybody
}

func (s *server) catalogue() []kpiBody {
	list := make([]kpiBody, len(s.config.Pack.KPIs))
	for i, k := range s.config.Pack.KPIs {
		list[i] = s.describe(k)
	}
	return list
}

func (s *server) describe(k *kpi.KPI) kpiBody {
	body := kpiBody{ID: k.ID, Title: names(k.Title), About: names(k.About), Group: k.Group, Owner: k.Owner, OwnerNames: s.organisation(k.Owner),
		Unit: string(k.Unit), Direction: string(k.Direction), RankedBy: k.Ranked, Dimensions: []dimensionBody{}, Versions: []versionBody{}, Targets: s.targetsOf(k.ID)}
	for _, v := range k.Versions {
		version := describeVersion(&v)
		version.PublishedOnly = slices.ContainsFunc(v.Sides(), func(side kpi.Side) bool {
			c := s.contractOf(side.From)
			return c != nil && c.Special()
		})
		tables, periods := queries.Tables(&v, version.PublishedOnly)
		for _, dimensions := range tables {
			version.Published = append(version.Published, listed(dimensions))
		}
		for _, grain := range periods {
			version.PublishedPeriods = append(version.PublishedPeriods, string(grain))
		}
		if version.Periods = version.PublishedPeriods; !version.PublishedOnly {
			version.Periods = nil
			for _, grain := range queries.Grains(&v, s.config.Pack.Reference.Calendar()) {
				version.Periods = append(version.Periods, string(grain))
			}
		}
		asked := v.Rollups
		if version.PublishedOnly {
			asked = tables // nobody is told any other
		}
		for _, name := range slices.Concat(asked...) {
			named := func(d dimensionBody) bool { return d.Name == name }
			if slices.ContainsFunc(version.Dimensions, named) {
				continue
			}
			d := s.dimension(&v, name)
			version.Dimensions = append(version.Dimensions, d)
			if v.Variant == k.Versions[0].Variant && !slices.ContainsFunc(body.Dimensions, named) {
				body.Dimensions = append(body.Dimensions, d)
			}
		}
		body.Versions = append(body.Versions, version)
	}
	return body
}

func describeVersion(v *kpi.Version) versionBody {
	body := versionBody{Version: v.Version, Variant: v.Variant, Valid: span(v.Valid), Formula: v.Formula(), Source: v.Source.In("en"), SourceNames: names(v.Source), Basis: string(v.Basis),
		From: listed(v.From), Quantiles: []float64{}, At: v.At, Grain: v.Grain, Grains: []string{}, Rollups: [][]string{}, Dimensions: []dimensionBody{}, Matures: v.Matures,
		Published: [][]string{}, PublishedPeriods: []string{}}
	if v.Numerator != nil {
		body.Numerator = v.Numerator.Text
	}
	if v.Denominator != nil {
		body.Denominator = v.Denominator.Text
	}
	if d := v.Distribution; d != nil {
		body.Of, body.If, body.Quantiles = cmp.Or(d.Text, d.Of), d.If, d.Quantiles
	}
	if d := v.Distinct; d != nil {
		body.Of, body.If, body.Grains = d.Of, d.If, listed(d.Grains)
	}
	if v.Per != nil {
		body.Denominator = v.Per.String()
	}
	if v.Backlog != nil {
		body.Of, body.Quantiles = v.Backlog.String(), v.Backlog.Quantiles
	}
	for _, dimensions := range v.Rollups {
		body.Rollups = append(body.Rollups, listed(dimensions))
	}
	return body
}

// dimension describes a field by the contract that the version counts.
func (s *server) dimension(v *kpi.Version, name string) dimensionBody {
	body := dimensionBody{Name: name, Title: reference.Names{}, Type: "code", Values: []string{}}
	for _, from := range v.From {
		c := s.contractOf(from)
		if c == nil {
			continue
		}
		if f := c.Field(name); f != nil {
			body.Title, body.Type, body.To, body.Values = names(f.Title), typeNames[f.Type], f.To, listed(f.Values)
			return body
		}
	}
	return body
}

// contractOf finds a contract by a KPI's from: "request.decided" (its newest
// major version) or "request.decided.v1".
func (s *server) contractOf(from string) *contract.Contract {
	var best *contract.Contract
	for _, c := range s.config.Pack.Contracts.All() {
		if c.Type == from || strings.HasSuffix(c.Type, "."+from) {
			return c
		}
		if c.Name == from && (best == nil || c.Major > best.Major) {
			best = c
		}
	}
	return best
}

func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (s *server) getKPIs(_ context.Context, q *query) (*answer, error) {
	list := s.catalogue()
	return &answer{body: map[string]any{"kpis": list}, name: "kpis", table: func() (*table, error) {
		t := newTable(text("kpi"), text("title"), text("about"), text("group"), text("owner"), text("unit"), text("direction"), text("dimensions"), count("version"), text("numerator"), text("denominator"), text("source"))
		for _, k := range list {
			var dimensions []string
			for _, d := range k.Dimensions {
				dimensions = append(dimensions, d.Name)
			}
			var v versionBody
			if len(k.Versions) > 0 {
				v = k.Versions[len(k.Versions)-1]
			}
			t.add(k.ID, k.Title.In(s.language(q)), k.About.In(s.language(q)), k.Group, k.Owner, k.Unit, k.Direction, strings.Join(dimensions, " "),
				float64(v.Version), v.Numerator, v.Denominator, v.SourceNames.In(s.language(q)))
		}
		return t, nil
	}}, nil
}

func (s *server) getKPI(_ context.Context, q *query) (*answer, error) {
	id := q.path("id")
	i := slices.IndexFunc(s.config.Pack.KPIs, func(k *kpi.KPI) bool { return k.ID == id })
	if i < 0 {
		return nil, problem.New(problem.NotFound, "there is no KPI %q; /v1/kpis lists them", id).In("id").
			Also("uz", "“%s” degan koʻrsatkich yoʻq.", id).
			Also("ru", "Показателя «%s» нет.", id)
	}
	return &answer{body: s.describe(s.config.Pack.KPIs[i]), name: id}, nil
}

type labelsBody struct {
	Pack      string                       `json:"pack"`
	Title     reference.Names              `json:"title"`
	Languages []string                     `json:"languages"`
	Zone      string                       `json:"zone"`
	Currency  string                       `json:"currency"`
	Tables    []string                     `json:"tables"`
	Labels    map[string]map[string]string `json:"labels"`
	Version   string                       `json:"version"`
}

func (s *server) getLabels(context.Context, *query) (*answer, error) {
	p := &s.config.Pack
	labels := p.Labels
	if labels == nil {
		labels = map[string]map[string]string{}
	}
	return &answer{name: "labels", body: labelsBody{Pack: p.Name, Title: names(p.Title), Languages: listed(p.Languages), Zone: p.Zone.String(),
		Currency: p.Currency, Tables: listed(p.Reference.Tables()), Labels: labels, Version: s.config.Version}}, nil
}
