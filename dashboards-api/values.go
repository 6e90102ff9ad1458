package dashboards

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/queries"
)

var valueParams = []string{"from", "to", "grain", "by", "where", "compare", "basis", "version", "variant", "known_on", "plan", "audience", "lang"}

// getValues answers with the cells of one KPI.
func (s *server) getValues(ctx context.Context, q *query) (*answer, error) {
	request, err := valueRequest(q)
	if err != nil {
		return nil, err
	}
	result, err := s.config.Queries.Values(ctx, *request)
	if err != nil {
		return nil, err
	}
	s.nameFilters(result)
	return &answer{body: result, name: result.KPI, table: func() (*table, error) {
		t := s.cellTable(result, s.language(q))
		dimensions := map[string]reference.Names{}
		for _, k := range s.config.Pack.KPIs {
			if k.ID == result.KPI {
				for _, d := range s.describe(k).Dimensions {
					dimensions[d.Name] = d.Title
				}
			}
		}
		t.about = append(s.aboutCells(result, s.language(q)), aboutColumns(t, dimensions, s.language(q))...)
		return t, nil
	}}, nil
}

// aboutWords are the headings of the sheet About and its one sentence, by language.
var aboutWords = map[string]struct{ figure, period, only, known, meaning, formula, version, source, through, coverage, note, simulated string }{
	"en": {"Figure", "Period", "Only", "As known at the end of", "What it means", "Formula", "Version of the definition", "Source", "Data through", "Coverage", "Note", "Simulated data. These figures show how Ombor works; they were not measured."},
	"ru": {"Показатель", "Период", "Только", "Как было известно на конец дня", "Что он значит", "Формула", "Версия определения", "Источник", "Данные по", "Охват", "Примечание", "Смоделированные данные. Эти цифры показывают, как работает Ombor; они не измерены."},
	"uz": {"Koʻrsatkich", "Davr", "Faqat", "Shu kun oxirida maʼlum holatiga", "Maʼnosi", "Formula", "Taʼrif versiyasi", "Manba", "Maʼlumotlar sanasi", "Qamrov", "Izoh", "Modellashtirilgan maʼlumotlar. Bu raqamlar Ombor qanday ishlashini koʻrsatadi; ular oʻlchanmagan."},
}

// aboutCells is what makes a file of cells quotable, in a language (English where there are no words
// in it): what figure it is, of which days and parts, by which definition, of what data.
func (s *server) aboutCells(r *queries.Result, language string) [][2]string {
	words, ok := aboutWords[language]
	if !ok {
		words = aboutWords["en"]
	}
	var about [][2]string
	add := func(heading, text string) {
		if text != "" {
			about = append(about, [2]string{heading, text})
		}
	}
	add(words.figure, r.Title.In(language)+" ("+r.KPI+")")
	if r.From.Set && r.To.Set {
		add(words.period, r.From.String()+" – "+r.To.String())
	}
	for _, dimension := range slices.Sorted(maps.Keys(r.Where)) {
		var named []string
		for _, code := range r.Where[dimension] {
			if name := r.Names[dimension][code].In(language); name != "" {
				code = name + " (" + code + ")"
			}
			named = append(named, code)
		}
		add(words.only, dimension+": "+strings.Join(named, ", "))
	}
	add(words.known, r.KnownOn.String())
	d := r.Definition
	add(words.meaning, d.About.In(language))
	for _, k := range s.config.Pack.KPIs {
		if k.ID == r.KPI {
			if v, err := k.Select(r.Variant, r.Version, reference.NoDay); err == nil { // the answer was made by it
				add(words.formula, v.Formula())
			}
		}
	}
	version := strconv.Itoa(r.Version)
	if r.Variant != "" {
		version += ", " + r.Variant
	}
	add(words.version, version)
	add(words.source, d.Sources.In(language))
	if r.DataThrough != nil {
		add(words.through, r.DataThrough.In(s.config.Pack.Zone).Format(time.DateOnly))
	}
	if r.Coverage != nil {
		add(words.coverage, r.Coverage.Words)
	}
	for _, note := range r.Notes {
		add(words.note, note)
	}
	if r.Simulated {
		add(words.note, words.simulated)
	}
	return about
}

// nameFilters adds the names of the codes that the answer is narrowed to; a simulation has that of the
// system in whose place it stands.
func (s *server) nameFilters(r *queries.Result) {
	name := func(dimension, code string, named reference.Names) {
		if r.Names == nil {
			r.Names = map[string]map[string]reference.Names{}
		}
		if r.Names[dimension] == nil {
			r.Names[dimension] = map[string]reference.Names{}
		}
		r.Names[dimension][code] = names(named)
	}
	for _, code := range r.Where[contract.ColumnSource] {
		if sender, ok := s.config.Pack.Sources[strings.TrimPrefix(code, contract.StandIn(""))]; ok {
			name(contract.ColumnSource, code, sender.Title)
		}
	}
	i := slices.IndexFunc(s.config.Pack.KPIs, func(k *kpi.KPI) bool { return k.ID == r.KPI })
	if i < 0 || len(r.Where) == 0 {
		return
	}
	for _, d := range s.describe(s.config.Pack.KPIs[i]).Dimensions {
		t := s.config.Pack.Reference.Table(d.To)
		if t == nil {
			continue
		}
		for _, code := range r.Where[d.Name] {
			if row, ok := t.Get(code); ok {
				name(d.Name, code, row.Names)
			}
		}
	}
}

func valueRequest(q *query) (*queries.Request, error) {
	r := &queries.Request{
		KPI: q.path("id"), Grain: queries.Grain(q.get("grain")), Compare: queries.Compare(q.get("compare")),
		Basis: q.get("basis"), Variant: q.get("variant"), Audience: queries.Audience(q.get("audience")), Language: q.get("lang"),
	}
	var err error
	if r.From, err = day(q, "from"); err != nil {
		return nil, err
	}
	if r.To, err = day(q, "to"); err != nil {
		return nil, err
	}
	if r.KnownOn, err = day(q, "known_on"); err != nil {
		return nil, err
	}
	if r.Where, err = where(q.get("where")); err != nil {
		return nil, err
	}
	if by := q.get("by"); by != "" {
		r.By = strings.Split(by, ",")
	}
	if given := q.get("version"); given != "" {
		if r.Version, err = strconv.Atoi(given); err != nil || r.Version < 1 {
			return nil, problem.New(problem.BadInput, "version=%q is not a version; versions are whole numbers from 1", given).In("version").
				Also("uz", "“%s” tahrir raqami emas; tahrirlar 1 dan boshlab butun sonlar bilan raqamlanadi.", given).
				Also("ru", "«%s» — не номер редакции; редакции нумеруются целыми числами с 1.", given)
		}
	}
	if given := q.get("plan"); given != "" {
		if r.Plan, err = strconv.ParseBool(given); err != nil {
			return nil, problem.New(problem.BadInput, "plan=%q is neither true nor false", given).In("plan").Of("true", "false").
				Also("uz", "plan=“%s”: true yoki false boʻlishi kerak.", given).
				Also("ru", "plan=«%s»: нужно true или false.", given)
		}
	}
	return r, nil
}

// day reads a date parameter; NoDay when it is not given.
func day(q *query, name string) (reference.Day, error) {
	given := q.get(name)
	if given == "" {
		return reference.NoDay, nil
	}
	d, err := reference.ParseDay(given)
	if err != nil {
		return reference.NoDay, problem.New(problem.BadInput, "%s=%q is not a date; write it as 2024-12-31", name, given).In(name).
			Also("uz", "“%s” sana emas; sana 2024-12-31 koʻrinishida yoziladi.", given).
			Also("ru", "«%s» — не дата; дата пишется 2024-12-31.", given)
	}
	return inReach(d, name)
}

// inReach refuses a day of which no contract can tell anything.
func inReach(d reference.Day, name string) (reference.Day, error) {
	if d < contract.FirstDay || d > contract.LastDay {
		return reference.NoDay, problem.New(problem.BadInput, "%s=%s is outside %s to %s, the days that are kept", name, d, contract.FirstDay, contract.LastDay).In(name).
			Also("uz", "%s — %s dan %s gacha saqlanadigan kunlar orasida emas.", d, contract.FirstDay, contract.LastDay).
			Also("ru", "%s лежит вне хранимых дней, с %s по %s.", d, contract.FirstDay, contract.LastDay)
	}
	return d, nil
}

// where reads filters, one dimension=value a line; the same dimension again adds a
// value, another dimension narrows further.
func where(lines string) (map[string][]string, error) {
	if lines == "" {
		return nil, nil
	}
	filters := map[string][]string{}
	for line := range strings.SplitSeq(lines, "\n") {
		dimension, value, ok := strings.Cut(line, "=")
		if !ok || dimension == "" {
			return nil, problem.New(problem.BadInput, "where=%q is not a filter; write where=region=1703, and repeat it for more values", line).In("where").
				Also("uz", "“%s” filtr emas; filtr where=region=1703 koʻrinishida yoziladi, bir nechta qiymat uchun takrorlanadi.", line).
				Also("ru", "«%s» — не фильтр; фильтр пишется where=region=1703 и повторяется для нескольких значений.", line)
		}
		if !slices.Contains(filters[dimension], value) {
			filters[dimension] = append(filters[dimension], value)
		}
	}
	return filters, nil
}

// quantileName is what a quantile is called in tables: p50, p99.9, min, max.
func quantileName(q float64) string {
	switch q {
	case 0:
		return "min"
	case 1:
		return "max"
	}
	return "p" + strconv.FormatFloat(100*q, 'g', 6, 64)
}

// cellTable is one row for each cell. Every state has its own text; a value that
// is not there is an empty cell beside it. A dimension named like another column is written by.name.
func (s *server) cellTable(r *queries.Result, language string) *table {
	place := []column{text("kpi"), text("period"), date("from"), date("to")}
	told := []column{exact("numerator"), exact("denominator"), number("value")}
	for _, q := range r.Definition.Quantiles {
		told = append(told, number(quantileName(q)))
	}
	told = append(told, text("unit"), text("state"), text("reason"), count("cases"), flag("open"), date("closed"), text("unclosed"), date("corrected"), number("was"), text("was_state"), flag("simulated"),
		count("covered"), count("expected"), number("coverage_percent"), text("coverage"), text("data_through"), text("variant"), count("version"), text("basis"), date("known_on"), number("target"), text("status"))
	compared := r.Compare != queries.NoComparison
	if compared {
		told = append(told, text("compared_with"), number("compared_value"), text("compared_state"), number("difference"))
	}
	columns := place
	for _, dimension := range r.By {
		name := dimension
		if slices.ContainsFunc(append(place, told...), func(c column) bool { return c.name == dimension }) {
			name = "by." + dimension
		}
		columns = append(columns, text(name))
		if r.Names[dimension] != nil {
			columns = append(columns, text(dimension+"_name"))
		}
	}
	t := newTable(append(columns, told...)...)
	for _, c := range r.Cells {
		row := []any{r.KPI, c.Period, c.From.String(), c.To.String()}
		for i, dimension := range r.By {
			code := ""
			if i < len(c.Dims) {
				code = c.Dims[i].Value
			}
			row = append(row, code)
			if known := r.Names[dimension]; known != nil {
				row = append(row, known[code].In(language))
			}
		}
		row = append(row, decimal(c.Numerator), decimal(c.Denominator), pointed(c.Value))
		for i := range r.Definition.Quantiles {
			if i < len(c.Quantiles) {
				row = append(row, c.Quantiles[i].Value)
			} else {
				row = append(row, nil)
			}
		}
		row = append(row, r.Unit, string(c.State), c.Reason)
		row = append(row, whole(c.Cases), c.Open(), c.Closed.String(), strings.Join(c.Unclosed, " "), c.Corrected.String(), pointed(c.Was), string(c.WasState), c.Simulated)
		coverage := c.Coverage
		if coverage == nil {
			coverage = r.Coverage
		}
		if coverage != nil {
			row = append(row, float64(coverage.Covered), float64(coverage.Expected), coverage.Share, coverage.Words)
		} else {
			row = append(row, nil, nil, nil, nil)
		}
		row = append(row, stamp(s.pointedMoment(r.DataThrough)), r.Variant, float64(r.Version), r.Basis, r.KnownOn.String(), pointed(c.Target), string(c.Status))
		if compared {
			if k := c.Comparison; k != nil {
				row = append(row, k.Period, pointed(k.Value), string(k.State), pointed(k.Difference))
			} else {
				row = append(row, nil, nil, nil, nil)
			}
		}
		t.add(row...)
	}
	return t
}

// language is that of a table's one column of names: the one that was asked for, else English as the words beside it are,
// else, where the pack has no English, its first.
func (s *server) language(q *query) string {
	if asked := q.get("lang"); asked != "" {
		return asked
	}
	if len(s.config.Pack.Languages) == 0 || slices.Contains(s.config.Pack.Languages, "en") {
		return "en"
	}
	return s.config.Pack.Languages[0]
}

func decimal(n queries.Number) any {
	if n == "" {
		return nil
	}
	return n
}

func pointed(f *float64) any {
	if f == nil {
		return nil
	}
	return *f
}
