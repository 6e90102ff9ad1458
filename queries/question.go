package queries

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// question is a request that was checked: everything in it exists.
type question struct {
	kpi      *kpi.KPI
	version  *kpi.Version
	sides    []side
	grain    Grain
	by       []string
	where    []filter
	from, to reference.Day // NoDay while open
	knownOn  reference.Day // NoDay: everything received
	compare  Compare
	outside  bool // only what was published is told
	arriving bool // several tables are read while they are being loaded
	today    reference.Day
	matured  reference.Day // the last day that can be told; NoDay: every day can

	spans  []period                                                 // asked for together in place of the periods of a grain; they may overlap
	shared *shared                                                  // answers that other questions need too; nil asks anew
	beside []*kpi.Version                                           // of a stock: other versions that the same rows are to answer
	ask    func(context.Context, *statement) (map[key]*sums, error) // in place of Queries.read; nil reads
}

// side is one contract that a question reads, dated by one of its fields.
type side struct {
	kpi.Side
	contract *contract.Contract
}

// of is what a formula counts on the side; a formula of other sides alone counts nothing.
func (s side) of(f *kpi.Formula) *kpi.Formula {
	if f == nil {
		return nil
	}
	here := &kpi.Formula{Text: f.Text}
	for _, t := range f.Terms {
		if s.Counts(t) {
			here.Terms = append(here.Terms, t)
		}
	}
	return here
}

// filter keeps rows whose dimension has one of the values.
type filter struct {
	dimension string
	values    []string
}

// several says whether what is asked for is made of more than one table: contracts, or one
// contract by two of its dates.
func (qn *question) several() bool {
	first := qn.sides[0].contract.Name
	return len(qn.sides) > 1 || slices.ContainsFunc(qn.version.Match, func(m kpi.Match) bool { return !strings.HasPrefix(m.In, first) }) || qn.version.Backlog != nil
}

func (qn *question) filtered(dimension string) []string {
	for _, f := range qn.where {
		if f.dimension == dimension {
			return f.values
		}
	}
	return nil
}

func bad(field, format string, args ...any) *problem.Error {
	return problem.New(problem.BadInput, format, args...).In(field)
}

// open is a day of a request: 0 and NoDay are none.
func open(d reference.Day) reference.Day {
	if d == 0 {
		return reference.NoDay
	}
	return d
}

const maxBy = 4

// errNoDimension is under every refusal of a dimension that a KPI does not have.
var errNoDimension = errors.New("queries: no such dimension")

// question checks a request against the pack.
func (q *Queries) question(ctx context.Context, r Request) (*question, error) {
	k, err := q.catalogue.KPI(r.KPI)
	if err != nil {
		return nil, err
	}
	qn := &question{kpi: k, grain: r.Grain, from: open(r.From), to: open(r.To), knownOn: open(r.KnownOn), compare: r.Compare, outside: r.Audience == Outside,
		today: q.calendar.Today(q.now())}
	if err := checkPeriod(qn.from, qn.to, qn.knownOn, qn.today); err != nil {
		return nil, err
	}
	if err := q.selectVersion(qn, r); err != nil {
		return nil, err
	}
	v := qn.version
	if qn.matured = reference.NoDay; v.Matures > 0 {
		qn.matured = asOf(qn, reference.NoDay) - reference.Day(v.Matures)
	}
	for _, s := range v.Sides() {
		c := q.warehouse.Contract(s.From)
		if c == nil {
			return nil, problem.New(problem.Internal, "queries: %s reads the contract %s, which does not exist", k.ID, s.From)
		}
		if s.At == "" {
			s.At = contract.ColumnTime
		}
		qn.sides = append(qn.sides, side{s, c})
	}
	qn.arriving = qn.several() && q.arriving()
	if err := checkAudience(r.Audience); err != nil {
		return nil, err
	}
	switch r.Compare {
	case NoComparison, Previous, YearBefore:
	case National:
		if q.published(qn) {
			return nil, bad("compare", "what is published is held against earlier periods only; allowed: previous, year").Of("previous", "year").
				Also("uz", "Eʼlon qilingan koʻrsatkich faqat oldingi davrlar bilan taqqoslanadi.").
				Also("ru", "Опубликованное сравнивается только с более ранними периодами.")
		}
	default:
		return nil, bad("compare", "%q is no comparison; allowed: previous, year, national", r.Compare).Of("previous", "year", "national").
			Also("uz", "“%s” degan taqqoslash yoʻq.", r.Compare).
			Also("ru", "Сравнения «%s» нет.", r.Compare)
	}
	if err := q.checkGrain(qn); err != nil {
		return nil, err
	}
	if qn.grain != Whole && qn.grain != Window && qn.to != reference.NoDay && qn.to > qn.today {
		// Periods that begin after today have no figure, not even a missing one.
		qn.to = min(qn.to, q.calendar.after(qn.grain, q.calendar.start(qn.grain, qn.today))-1)
	}
	if d := v.Distinct; d != nil && qn.grain == Whole && qn.from == reference.NoDay && qn.to == reference.NoDay {
		qn.grain = Grain(d.Grains[len(d.Grains)-1]) // all that is known cannot be one number
	}
	return qn, q.dimensions(ctx, qn, r)
}

// checkPeriod refuses days of which nothing can be known.
func checkPeriod(from, to, knownOn, today reference.Day) error {
	switch {
	case from != reference.NoDay && to != reference.NoDay && to < from:
		return bad("to", "the last day, %s, is before the first, %s", to, from).
			Also("uz", "Davr %s boshlanib, undan oldin — %s tugaydi.", dayIn("uz", from), dayIn("uz", to)).
			Also("ru", "Период кончается (%s) раньше, чем начинается (%s).", dayIn("ru", to), dayIn("ru", from))
	case from != reference.NoDay && from > today:
		return bad("from", "the period begins on %s, which is after today, %s", from, today).
			Also("uz", "Davr %s boshlanadi, bu kun hali kelmagan: u haqda hech narsa maʼlum emas.", dayIn("uz", from)).
			Also("ru", "Период начинается %s, этот день ещё не наступил: о нём ничего не известно.", dayIn("ru", from))
	case knownOn > today:
		return bad("known_on", "%s is after today, %s", knownOn, today).
			Also("uz", "%s holatiga nima maʼlum boʻlishini aytib boʻlmaydi: bu kun hali kelmagan.", dayIn("uz", knownOn)).
			Also("ru", "Нельзя сказать, что будет известно на %s: этот день ещё не наступил.", dayIn("ru", knownOn))
	}
	return nil
}

// selectVersion finds the version that the request means.
func (q *Queries) selectVersion(qn *question, r Request) error {
	k := qn.kpi
	on := qn.to
	if on == reference.NoDay || on > qn.today {
		on = qn.today
	}
	variant := r.Variant
	switch kpi.Basis(r.Basis) {
	case "":
	case kpi.Events, kpi.Reported, kpi.Stock:
		if !slices.ContainsFunc(k.Versions, func(v kpi.Version) bool {
			return string(v.Basis) == r.Basis && (r.Variant == "" || v.Variant == r.Variant)
		}) {
			have := map[string]bool{}
			for _, v := range k.Versions {
				have[string(v.Basis)] = true
			}
			stands := slices.Sorted(maps.Keys(have))
			return bad("basis", "%s does not stand on %s; it stands on %s", k.ID, r.Basis, strings.Join(stands, ", ")).
				Also("uz", "Koʻrsatkich bunday asosda hisoblanmaydi: %s.", r.Basis).
				Also("ru", "На такой основе показатель не считается: %s.", r.Basis).
				Of(stands...)
		}
		if variant == "" {
			for _, v := range k.Versions {
				if string(v.Basis) == r.Basis {
					variant = v.Variant
					break
				}
			}
		}
	default:
		return bad("basis", "%q is no basis; allowed: events, reported, stock", r.Basis).
			Also("uz", "“%s” degan asos yoʻq.", r.Basis).
			Also("ru", "Основы «%s» нет.", r.Basis).
			Of(string(kpi.Events), string(kpi.Reported), string(kpi.Stock))
	}
	v, err := k.Select(variant, r.Version, on)
	if err != nil && r.Version == 0 && slices.Contains(k.Variants(), chosen(variant, k.Versions)) {
		// No version is valid on that day: the figure is still asked for, so the newest
		// answers, and a note says so.
		v, err = k.Select(variant, 0, reference.NoDay)
	}
	if err != nil {
		if problem.KindOf(err) == problem.NotFound {
			field := "version"
			if !slices.Contains(k.Variants(), chosen(variant, k.Versions)) {
				field = "variant"
			}
			told := problem.DocumentOf(err)
			return &problem.Error{Kind: problem.BadInput, Message: told.Detail, Field: field, Words: told.Words, Allowed: told.Allowed}
		}
		return err
	}
	if r.Basis != "" && string(v.Basis) != r.Basis {
		return bad("basis", "version %d of %s stands on %s, not on %s", v.Version, k.ID, v.Basis, r.Basis).
			Also("uz", "Koʻrsatkichning %d-tahriri bunday asosda hisoblanmaydi: %s.", v.Version, r.Basis).
			Also("ru", "Редакция %d показателя считается не на такой основе: %s.", v.Version, r.Basis).
			Of(string(v.Basis))
	}
	qn.version = v
	return nil
}

func chosen(variant string, versions []kpi.Version) string {
	if variant == "" && len(versions) > 0 {
		return versions[0].Variant
	}
	return variant
}

// first is the first day whose events count, NoDay when all before the last do.
func (qn *question) first() reference.Day {
	if qn.version.Running {
		return reference.NoDay
	}
	return qn.from
}

// Grains are the lengths of periods by which a version can be told, besides the whole
// period: the usual ones, hours where its rollups have them, school quarters where the
// calendar does. An exact distinct count has those that it declares and no other.
func Grains(v *kpi.Version, days *reference.Calendar) []Grain {
	allowed := []Grain{Day, Week, Month, Quarter, Year, Fiscal}
	switch {
	case v.Distinct != nil:
		allowed = nil
		for _, g := range v.Distinct.Grains {
			allowed = append(allowed, Grain(g))
		}
		return allowed
	case v.Basis == kpi.Reported:
		allowed = []Grain{Window, Month, Quarter, Year, Fiscal}
	case v.Basis == kpi.Events && v.Grain == "hour":
		allowed = append([]Grain{Hour}, allowed...)
	}
	if len(days.Quarters) > 0 {
		allowed = append(allowed, School)
	}
	return allowed
}

// checkGrain refuses a grain that the version cannot answer.
func (q *Queries) checkGrain(qn *question) error {
	allowed := Grains(qn.version, q.calendar.Calendar)
	if qn.grain == Whole || slices.Contains(allowed, qn.grain) {
		return nil
	}
	list := make([]string, len(allowed))
	for i, g := range allowed {
		list[i] = string(g)
	}
	return bad("grain", "%s cannot be told by %q; allowed: %s", qn.kpi.ID, qn.grain, strings.Join(list, ", ")).Of(list...).
		Also("uz", "Bu koʻrsatkich “%s” qadami bilan berilmaydi; mumkin boʻlganlari: %s.", grainsIn("uz", qn.grain), grainsIn("uz", allowed...)).
		Also("ru", "Этот показатель не даётся с шагом «%s»; возможны: %s.", grainsIn("ru", qn.grain), grainsIn("ru", allowed...))
}

// singles says whether a field may have a value for each row, such as a request's number. Such a cell tells
// of somebody by being there, though its figure is hidden, so only a rollup that the KPI declares makes a dimension of it; the key of what a stock counts is one.
func singles(c *contract.Contract, field string) bool {
	f := c.Field(field)
	return f != nil && (f.Type == contract.Text || f.Type == contract.Integer)
}

// dimensions checks By and Where: names against every contract of the version, values
// against the enumeration, the reference table, or what has been received.
func (q *Queries) dimensions(ctx context.Context, qn *question, r Request) error {
	declared := qn.version.Dimensions()
	allowed := warehouse.Dimensions(qn.sides[0].contract)
	for i, s := range qn.sides {
		allowed = slices.DeleteFunc(allowed, func(d string) bool {
			return i > 0 && !warehouse.Dimension(s.contract, d) || singles(s.contract, d) && !slices.Contains(declared, d) && d != qn.version.Key
		})
	}
	known := func(parameter, d string) error {
		if !slices.Contains(allowed, d) {
			refusal := problem.New(problem.BadInput, "%s has no dimension %q; allowed: %s", qn.kpi.ID, d, strings.Join(allowed, ", ")).In(parameter).Of(allowed...).
				Also("uz", "Bu koʻrsatkichda “%s” degan kesim yoʻq.", d).
				Also("ru", "У этого показателя нет разреза «%s».", d)
			if d == agency && parameter == "where" {
				refusal = problem.New(problem.BadInput, "%s does not tell whose a row is, and this agency owns no system whose events it counts; allowed: %s", qn.kpi.ID, strings.Join(allowed, ", ")).In(parameter).Of(allowed...).
					Also("uz", "Bu koʻrsatkichda yozuv qaysi idoraniki ekani aytilmaydi, bu idoraning esa unga maʼlumot beradigan tizimi yoʻq.").
					Also("ru", "Показатель не говорит, чьи это записи, а у этого ведомства нет системы, события которой он считает.")
			}
			refusal.Cause = errNoDimension
			return refusal
		}
		return nil
	}
	for i, d := range r.By {
		if err := known("by", d); err != nil {
			return err
		}
		if slices.Contains(r.By[:i], d) {
			return bad("by", "the dimension %q is named twice", d).
				Also("uz", "“%s” kesimi ikki marta koʻrsatilgan.", d).
				Also("ru", "Разрез «%s» указан дважды.", d)
		}
	}
	if len(r.By) > maxBy {
		return bad("by", "an answer is broken down by at most %d dimensions, not %d", maxBy, len(r.By)).
			Also("uz", "Bir javobda koʻpi bilan %d ta kesim boʻladi, %d ta soʻralgan.", maxBy, len(r.By)).
			Also("ru", "В одном ответе не больше %d разрезов, а запрошено %d.", maxBy, len(r.By))
	}
	qn.by = slices.Clone(r.By)
	for _, asked := range slices.Sorted(maps.Keys(r.Where)) {
		d := asked
		if d == agency && !slices.Contains(allowed, d) {
			field, sources := q.whose(qn, r.Where[d])
			if sources != nil {
				if err := qn.narrow(filter{contract.ColumnSource, sources}); err != nil {
					return err
				}
				continue
			}
			d = cmp.Or(field, d)
		}
		if err := known("where", d); err != nil {
			return err
		}
		f := filter{dimension: d}
		for _, text := range r.Where[asked] {
			value, err := q.value(ctx, qn, d, text)
			if err != nil {
				return err
			}
			if !slices.Contains(f.values, value) {
				f.values = append(f.values, value)
			}
		}
		if len(f.values) == 0 {
			return bad("where", "the dimension %q has no value", d).
				Also("uz", "Filtrda “%s” uchun qiymat berilmagan.", d).
				Also("ru", "В фильтре не указано значение для «%s».", d)
		}
		sort.Strings(f.values)
		if err := qn.narrow(f); err != nil {
			return err
		}
	}
	return nil
}

// agency is the dimension by which a row is somebody's.
const agency = "agency"

// whose says how the rows of agencies are told where a question's contracts have no dimension agency:
// by the field that all of them have instead, or, where none names an agency, by the systems that sent
// them, which are the agencies' own. Nothing: these contracts have no rows of theirs.
func (q *Queries) whose(qn *question, agencies []string) (field string, sources []string) {
	for i, s := range qn.sides {
		its := warehouse.OwnerField(s.contract, agency)
		if i > 0 && its != field {
			return "", nil
		}
		field = its
	}
	if field != "" {
		return field, nil
	}
	for _, a := range agencies {
		for _, s := range qn.sides {
			own := warehouse.OwnSources(s.contract.Source, a, q.systems)
			if own == nil {
				return "", nil // of a share one side would be theirs, and the other somebody else's
			}
			sources = append(sources, own...)
		}
	}
	sort.Strings(sources)
	return "", slices.Compact(sources)
}

// narrow adds a filter; two of one dimension keep the values of both.
func (qn *question) narrow(f filter) error {
	i := slices.IndexFunc(qn.where, func(old filter) bool { return old.dimension == f.dimension })
	if i < 0 {
		qn.where = append(qn.where, f)
		return nil
	}
	both := slices.DeleteFunc(slices.Clone(f.values), func(v string) bool { return !slices.Contains(qn.where[i].values, v) })
	if len(both) == 0 {
		return bad("where", "%s has no row that is both %s and %s", qn.kpi.ID, strings.Join(qn.where[i].values, ", "), strings.Join(f.values, ", ")).
			Also("uz", "Bir vaqtda ham %s, ham %s boʻlgan yozuv yoʻq.", strings.Join(qn.where[i].values, ", "), strings.Join(f.values, ", ")).
			Also("ru", "Нет записей, которые сразу и %s, и %s.", strings.Join(qn.where[i].values, ", "), strings.Join(f.values, ", "))
	}
	qn.where[i].values = both
	return nil
}

// value is the stored value that a text of a filter means.
func (q *Queries) value(ctx context.Context, qn *question, dimension, text string) (string, error) {
	f := qn.sides[0].contract.Field(dimension)
	if f != nil && !f.Required && text == "" {
		return "", nil // rows that do not tell it
	}
	var allowed []string
	switch {
	case f != nil && f.Type == contract.Enum:
		for _, s := range qn.sides {
			for _, v := range s.contract.Field(dimension).Values {
				if !slices.Contains(allowed, v) {
					allowed = append(allowed, v)
				}
			}
		}
	case f != nil && f.Type == contract.Boolean:
		allowed = []string{"true", "false"}
	case f != nil && f.Type == contract.Ref:
		table := q.refs.Table(f.To)
		if table == nil {
			return text, nil
		}
		if code, ok := table.Resolve(text); ok {
			return code, nil
		}
		for _, row := range table.Rows() {
			if len(allowed) == 0 || allowed[len(allowed)-1] != row.Code {
				allowed = append(allowed, row.Code)
			}
		}
	default:
		var err error
		if allowed, err = q.received(ctx, qn, dimension); err != nil {
			return "", err
		}
	}
	if slices.Contains(allowed, text) {
		return text, nil
	}
	if len(allowed) == 0 {
		return "", bad("where", "%s has no value %q: nothing has been received yet", dimension, text).
			Also("uz", "“%s” kesimida “%s” qiymati yoʻq: hali hech narsa kelmagan.", dimension, text).
			Also("ru", "В разрезе «%s» нет значения «%s»: пока ничего не получено.", dimension, text)
	}
	refusal := bad("where", "%s has no value %q; allowed: %s", dimension, text, shorten(allowed)).
		Also("uz", "“%s” kesimida “%s” degan qiymat yoʻq.", dimension, text).
		Also("ru", "В разрезе «%s» нет значения «%s».", dimension, text)
	if len(allowed) <= maxListed {
		refusal.Of(allowed...)
	}
	return "", refusal
}

const maxListed = 30

func shorten(list []string) string {
	if len(list) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxListed], ", "), len(list)-maxListed)
	}
	return strings.Join(list, ", ")
}

// received lists the values of a dimension in the data, from the smallest table that
// has it.
func (q *Queries) received(ctx context.Context, qn *question, dimension string) ([]string, error) {
	var values []string
	for _, s := range qn.sides {
		c := s.contract
		table, expr := q.warehouse.Facts(c), warehouse.DimensionOf(c, dimension)
		least, err := q.warehouse.Rows(ctx, table)
		if err != nil {
			return nil, err
		}
		for _, r := range q.warehouse.Rollups(c) {
			if !slices.Contains(r.Dims, dimension) {
				continue
			}
			n, err := q.warehouse.Rows(ctx, q.warehouse.Table(r))
			if err != nil {
				return nil, err
			}
			if n <= least {
				least, table, expr = n, q.warehouse.Table(r), quote(dimension)
			}
		}
		err = q.warehouse.Each(ctx, "SELECT DISTINCT "+expr+" AS value FROM "+table+" ORDER BY value LIMIT 100000", nil, func(scan warehouse.Scan) error {
			var v string
			err := scan(&v)
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}
