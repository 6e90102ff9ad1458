package queries

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// SQL is a query on the analysts' views that gives the figure of a request. Its columns
// are those of an answer, each with a capital letter, so that none can be taken for a field: Period (the first day
// of a period, the day of a stock, the window or the label of a reported figure), Hour,
// the dimensions, Numerator, Denominator, Value, Cases; P90 and the like of a distribution,
// Persons where a definition counts them, Covered and Expected where it counts units.
type SQL struct {
	KPI   string   `json:"kpi"`
	SQL   string   `json:"sql"`             // one statement, with comments; every value is written into it
	Reads []string `json:"reads"`           // views of the database ombor
	Exact bool     `json:"exact"`           // false: the figures differ by up to Error
	Error float64  `json:"error,omitempty"` // percent by which the API's quantiles, which come from buckets, may differ
	Notes []string `json:"notes"`           // what the query does not tell as the API does
}

// SQL writes the query that gives the same cells as [Queries.Values] does for the same
// request: numerators, denominators and values to the digit, quantiles within
// [warehouse.RelativeError] percent. A KPI that reads a contract with fields of class
// special is a BadInput error, since analysts see no rows of it; so is a comparison.
// Other errors are those of Values.
func (q *Queries) SQL(ctx context.Context, r Request) (*SQL, error) {
	if r.Compare != NoComparison {
		return nil, bad("compare", "a query tells one period; ask for that of the earlier one by its days").
			Also("uz", "Soʻrov bitta davrni beradi; oldingisini uning kunlari bilan soʻrang.").
			Also("ru", "Запрос даёт один период; более ранний запросите его днями.")
	}
	if r.Audience == Outside {
		return nil, bad("audience", "queries are for people inside; what is published has none").
			Also("uz", "Bunday soʻrov tizim ichidagilar uchun: eʼlon qilinganlarga soʻrov yoʻq.").
			Also("ru", "Такой запрос — для тех, кто внутри: у опубликованного его нет.")
	}
	qn, err := q.asked(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := q.checkDistinct(qn); err != nil && (qn.from != reference.NoDay || qn.to != reference.NoDay) {
		return nil, err
	}
	w := &writer{queries: q, question: qn, answer: &SQL{KPI: qn.kpi.ID, Exact: true, Notes: []string{}}}
	var text string
	switch qn.version.Basis {
	case kpi.Reported:
		text, err = w.reported(ctx)
	case kpi.Stock:
		text, err = w.stock(ctx)
	default:
		if qn.version.Running && qn.grain != Whole {
			src, err := q.sources(ctx, qn)
			if err != nil {
				return nil, err
			}
			if !qn.span(src) {
				return nil, bad("kpi", "nothing has been received yet").
					Also("uz", "Hali hech narsa kelmagan.").
					Also("ru", "Пока ничего не получено.")
			}
		}
		text, err = w.events()
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(w.answer.Reads)
	w.answer.Reads = slices.Compact(w.answer.Reads)
	w.answer.SQL = w.head(text) + text + "\n"
	return w.answer, nil
}

// writer writes one query. What it reads is noted in the answer.
type writer struct {
	queries  *Queries
	question *question
	answer   *SQL
}

// rows are those of a contract that stand, as far as they were known, under the
// conditions.
func (w *writer) rows(c *contract.Contract, conditions ...string) (string, error) {
	view, ok := w.queries.warehouse.View(c)
	if !ok {
		return "", bad("kpi", "%s counts events of %s, which tell of health, disability or children: analysts see no rows of them, so no query of theirs gives the figure", w.question.kpi.ID, c.Name).
			Also("uz", "Koʻrsatkich sogʻliq, nogironlik yoki bolalar haqidagi hodisalarni sanaydi: tahlilchilar ularning qatorlarini koʻrmaydi, shuning uchun uni beradigan soʻrov yoʻq.").
			Also("ru", "Показатель считает события о здоровье, инвалидности или детях: аналитики не видят их строк, поэтому запроса, который дал бы его, нет.")
	}
	if w.question.knownOn != reference.NoDay {
		view, _ = w.queries.warehouse.Ledger(c)
		known := "_cut <= " + literal(w.question.knownOn.String())
		conditions = append([]string{known, "_sign > 0", "(_id, _rev) NOT IN (SELECT _id, _rev FROM " + view + " WHERE " + known + " AND _sign < 0)"}, conditions...)
	}
	w.answer.Reads = append(w.answer.Reads, view)
	if len(conditions) == 0 {
		return view, nil
	}
	return view + "\nWHERE " + strings.Join(conditions, "\n  AND "), nil
}

// matched is a SELECT of rows with a column for each match that the version's
// expressions name: rows of the other contract are gathered by their keys, so that none of
// ours is counted twice.
func (w *writer) matched(own string) (string, error) {
	list := matches(w.question.version, w.question.version.Expressions())
	if len(list) == 0 {
		return own, nil
	}
	columns, joins := "", ""
	for i, m := range list {
		other := w.queries.warehouse.Contract(m.In)
		var fields []string
		tells := m.Tells(fmt.Sprintf("its%d.them", i+1), func(field string) string {
			if !slices.Contains(fields, field) {
				fields = append(fields, field)
			}
			return fmt.Sprintf("its.%d", slices.Index(fields, field)+1)
		})
		var keys, group, on, told []string
		for j, pair := range m.On {
			key := fmt.Sprintf("key%d", j+1)
			keys, group = append(keys, "toString("+pair.Its+") AS "+key), append(group, key)
			on = append(on, fmt.Sprintf("its%d.%s = toString(own.%s)", i+1, key, pair.Own))
			told = append(told, unquote(present(other, pair.Its)))
		}
		gathered := "1"
		if len(fields) > 0 {
			gathered = strings.Join(fields, ", ")
		}
		from, err := w.rows(other, told...)
		if err != nil {
			return "", err
		}
		columns += ",\n    " + tells + " AS " + m.Name
		joins += fmt.Sprintf("\nLEFT JOIN (\n%s\n) AS its%d ON %s", indent("SELECT "+strings.Join(keys, ", ")+", groupArray(tuple("+gathered+")) AS them\nFROM "+from+"\nGROUP BY "+strings.Join(group, ", ")), i+1, strings.Join(on, " AND "))
	}
	return "SELECT own.*" + columns + "\nFROM (\n" + indent(own) + "\n) AS own" + joins, nil
}

// selection is one column of a SELECT list.
type selection struct {
	alias, expression string
	merge             string // aggregate that puts the parts of several contracts together; "" groups by it
}

// events is the query on one contract, or on several whose parts are added up.
func (w *writer) events() (string, error) {
	qn := w.question
	var having []string
	if qn.grain == School {
		having = append(having, "Period != toDate(0)") // a day in the holidays is in no quarter
	}
	var froms, parts []string
	var columns []selection
	for i, s := range qn.sides {
		day := "_day"
		var conditions []string
		if s.At != contract.ColumnTime {
			day = "toDate(" + s.At + ")"
			if !s.contract.Field(s.At).Required {
				conditions = append(conditions, s.At+" IS NOT NULL")
			}
		}
		if from := qn.first(); from != reference.NoDay {
			conditions = append(conditions, day+" >= "+literal(from.String()))
		}
		if qn.to != reference.NoDay {
			conditions = append(conditions, day+" <= "+literal(qn.to.String()))
		}
		if qn.matured != reference.NoDay && (qn.to == reference.NoDay || qn.matured < qn.to) {
			conditions = append(conditions, day+" <= "+literal(qn.matured.String()))
			w.note(fmt.Sprintf("Days after %s are left out: what happened on them may still change (%d days).", qn.matured, qn.version.Matures))
		}
		conditions = append(conditions, w.filters(s.contract)...)
		if d := qn.version.Distinct; d != nil {
			conditions = append(conditions, unquote(present(s.contract, d.Of)))
		}
		from, err := w.rows(s.contract, conditions...)
		if err != nil {
			return "", err
		}
		if len(qn.version.Match) > 0 {
			asOf := qn.today
			if qn.knownOn != reference.NoDay {
				asOf = qn.knownOn
			}
			own, err := w.matched("SELECT *, toDate(" + literal(asOf.String()) + ") AS " + kpi.AsOf + "\nFROM " + from)
			if err != nil {
				return "", err
			}
			from = "(\n" + indent(own) + "\n)"
		}
		columns = append(w.periods(day, s.At), w.dimensions(s.contract)...)
		if len(qn.sides) == 1 {
			columns = append(columns, w.measures(i, standing)...)
		} else {
			columns = append(columns, w.measures(i, signed)...)
			for j := range columns {
				if columns[j].merge != "" {
					columns[j].alias += "Part"
				}
			}
		}
		froms, parts = append(froms, from), append(parts, selecting(columns, from))
	}
	if len(qn.sides) == 1 {
		return w.finished(columns, froms[0], having...), nil
	}
	if qn.version.Distribution != nil {
		return "", bad("kpi", "%s takes quantiles over several contracts, which one query cannot tell", qn.kpi.ID).
			Also("uz", "Koʻrsatkich bir nechta manbadan kvantil oladi, buni bitta soʻrov bilan berib boʻlmaydi.").
			Also("ru", "Показатель берёт квантили по нескольким источникам, одним запросом этого не получить.")
	}
	for i, c := range columns {
		columns[i].expression = c.alias
		if c.merge != "" {
			columns[i].alias = strings.TrimSuffix(c.alias, "Part")
			columns[i].expression = c.merge + "(" + c.alias + ")"
		}
	}
	return w.finished(columns, "(\n"+indent(strings.Join(parts, "\nUNION ALL\n"))+"\n)", having...), nil
}

// days are those for which a stock is told.
func (w *writer) days(ctx context.Context) ([]reference.Day, error) {
	q, qn := w.queries, w.question
	last := qn.to
	if last == reference.NoDay {
		last = qn.today
	}
	if qn.grain == Whole {
		return []reference.Day{min(last, qn.today)}, nil
	}
	from := qn.from
	if from == reference.NoDay {
		src, err := q.sources(ctx, qn)
		if err != nil {
			return nil, err
		}
		if from = src.first; from == reference.NoDay {
			return nil, bad("kpi", "nothing has been received yet").
				Also("uz", "Hali hech narsa kelmagan.").
				Also("ru", "Пока ничего не получено.")
		}
	}
	var days []reference.Day
	for _, p := range q.calendar.periods(qn.grain, from, max(last, from), q.maxCells) {
		days = append(days, min(p.to, qn.today))
	}
	return slices.Compact(days), nil
}

// each is an expression that gives a row once for each of the days.
func each(days []reference.Day) string {
	list := make([]string, len(days))
	for i, d := range days {
		list[i] = "toDate(" + literal(d.String()) + ")"
	}
	if len(list) == 1 {
		return list[0]
	}
	return "arrayJoin([" + strings.Join(list, ", ") + "])"
}

// stock is the query on the latest row of every key up to each day.
func (w *writer) stock(ctx context.Context) (string, error) {
	qn := w.question
	days, err := w.days(ctx)
	if err != nil {
		return "", err
	}
	if qn.version.Backlog != nil {
		return w.backlog(days)
	}
	s := qn.sides[0]
	from, err := w.rows(s.contract)
	if err != nil {
		return "", err
	}
	own, err := w.matched(fmt.Sprintf("SELECT *\nFROM (\n%s\n)\nWHERE _day <= %s\nORDER BY time DESC, _seq DESC\nLIMIT 1 BY %[2]s, %[3]s", indent("SELECT *, "+each(days)+" AS "+kpi.AsOf+"\nFROM "+from), kpi.AsOf, qn.version.Key))
	if err != nil {
		return "", err
	}
	from = "(\n" + indent(own) + "\n)"
	if filters := w.filters(s.contract); len(filters) > 0 {
		from += "\nWHERE " + strings.Join(filters, "\n  AND ")
	}
	columns := append([]selection{{"Period", kpi.AsOf, ""}}, w.dimensions(s.contract)...)
	return w.finished(append(columns, w.measures(0, standing)...), from), nil
}

// backlog is the query on what has entered by each day and not left: what has never left,
// and what left only later.
func (w *writer) backlog(days []reference.Day) (string, error) {
	qn := w.question
	b := qn.version.Backlog
	enters, leaves := qn.sides[0].contract, qn.sides[1].contract
	left, err := w.rows(leaves)
	if err != nil {
		return "", err
	}
	var parts []string
	for i, c := range []*contract.Contract{enters, leaves} {
		entered, conditions := "_day", append(w.filters(c), b.On+" NOT IN (SELECT "+b.On+" FROM "+left+")")
		if i == 1 {
			entered, conditions = "toDate("+b.Entered+")", append(w.filters(c), "_day > "+kpi.AsOf)
		}
		columns := []selection{{kpi.AsOf, each(days), "any"}, {"Entered", entered, "any"}}
		for _, d := range w.dimensions(c) {
			d.merge = "any"
			columns = append(columns, d)
		}
		from, err := w.rows(c, conditions...)
		if err != nil {
			return "", err
		}
		parts = append(parts, selecting(columns, from))
	}
	told := []selection{{"Period", kpi.AsOf, ""}}
	for _, d := range w.dimensions(enters) {
		told = append(told, selection{d.alias, d.alias, ""})
	}
	told = append(told, quantiles(b.Quantiles, func(point float64) string {
		return fmt.Sprintf("round(quantileExactInclusive(%g)(dateDiff('day', Entered, %s)), 6)", point, kpi.AsOf)
	})...)
	told = append(told, selection{"Cases", "count()", "sum"})
	return w.finished(told, "(\n"+indent(strings.Join(parts, "\nUNION ALL\n"))+"\n)\nWHERE Entered <= "+kpi.AsOf), nil
}

// quantiles are the columns of a distribution: the first is the value.
func quantiles(points []float64, expression func(point float64) string) []selection {
	var list []selection
	for i, point := range points {
		alias := "Value"
		if i > 0 {
			alias = strings.ReplaceAll(fmt.Sprintf("P%g", math.Round(1e6*point)/1e4), ".", "_")
		}
		list = append(list, selection{alias, expression(point), "any"})
	}
	return list
}

// reported is the query on reported windows. Which windows make a cell, whether they are
// added or stand alone, hangs on what was reported, so they are looked at.
func (w *writer) reported(ctx context.Context) (string, error) {
	q, qn := w.queries, w.question
	s := qn.sides[0]
	found, err := q.read(ctx, q.reported(qn, s.contract, bind{}))
	if err != nil {
		return "", err
	}
	var periods []string // alternately a condition and the label under it
	first, last := s.contract.Window.From, s.contract.Window.To
	for _, c := range q.tellReported(qn, found).cells {
		inside := 0
		condition := fmt.Sprintf("%s >= %s AND %s <= %s", first, literal(c.From.String()), last, literal(c.To.String()))
		for k := range found {
			if k.from == c.From && k.to == c.To {
				condition = fmt.Sprintf("%s = %s AND %s = %s", first, literal(c.From.String()), last, literal(c.To.String()))
			}
			if k.from >= c.From && k.to <= c.To {
				inside++
			}
		}
		if inside > 0 && !slices.Contains(periods, condition) {
			periods = append(periods, condition, literal(c.Period))
		}
	}
	if len(periods) == 0 {
		return "", bad("from", "nothing was reported for these days").
			Also("uz", "Bu kunlar uchun hisobot kelmagan.").
			Also("ru", "За эти дни отчётов нет.")
	}
	if len(periods) > 2*maxWindows {
		return "", bad("from", "the answer has %d windows, and a query tells at most %d; ask for a shorter period", len(periods)/2, maxWindows).
			Also("uz", "Javobda hisobot davrlari %d ta, bitta soʻrovga koʻpi bilan %d ta sigʻadi: qisqaroq davr tanlang.", len(periods)/2, maxWindows).
			Also("ru", "В ответе %d отчётных периодов, а запрос вмещает не больше %d: выберите более короткий период.", len(periods)/2, maxWindows)
	}
	conditions := w.filters(s.contract)
	if only := qn.version.Only; only != "" {
		conditions = append([]string{only}, conditions...)
	}
	from, err := w.rows(s.contract, conditions...)
	if err != nil {
		return "", err
	}
	columns := []selection{{"Period", "multiIf(" + strings.Join(periods, ", ") + ", '')", ""}}
	columns = append(append(columns, w.dimensions(s.contract)...), w.measures(0, reportedTerm)...)
	return w.finished(columns, from, "Period != ''"), nil
}

const maxWindows = 100

// periods are the columns that an answer by grain is grouped by.
func (w *writer) periods(day, at string) []selection {
	var list []selection
	switch grain := w.question.grain; {
	case grain == Whole:
	case grain == Hour:
		list = append(list, selection{"Period", day, ""}, selection{"Hour", "toHour(" + at + ")", ""})
	case w.question.version.Running:
		list = append(list, selection{"Period", w.queries.runningSQL(w.question, day), ""})
	default:
		list = append(list, selection{"Period", w.queries.periodSQL(w.question.grain, day), ""})
	}
	return list
}

func (w *writer) dimensions(c *contract.Contract) []selection {
	var list []selection
	for _, d := range w.question.by {
		list = append(list, selection{DimensionColumn(d), unquote(warehouse.DimensionOf(c, d)), ""})
	}
	return list
}

// DimensionColumn is the column under which the query of [Queries.SQL] tells a dimension.
func DimensionColumn(dimension string) string {
	trimmed := strings.TrimLeft(dimension, "_")
	column := strings.ToUpper(trimmed[:1]) + trimmed[1:]
	if slices.Contains([]string{"Period", "Hour", "Numerator", "Denominator", "Value", "Cases", "Persons", "Covered", "Expected"}, column) {
		column = "By_" + trimmed
	}
	return column
}

func (w *writer) filters(c *contract.Contract) []string {
	var list []string
	for _, f := range w.question.where {
		list = append(list, unquote(warehouse.DimensionOf(c, f.dimension))+" "+among(f.values))
	}
	return list
}

// measures are what is counted on the question's side i, with a term written as told.
func (w *writer) measures(i int, term func(kpi.Term) string) []selection {
	q, qn := w.queries, w.question
	v, s := qn.version, qn.sides[i]
	var list []selection
	formula := func(alias string, f *kpi.Formula) {
		if f == nil {
			return
		}
		expression, merge := "toInt64(0)", "sum"
		if here := s.of(f); len(here.Terms) > 0 {
			expression = linearSQL(here, term)
			if fn := f.Terms[0].Func; fn == kpi.Min || fn == kpi.Max {
				merge = fn.String()
			}
		}
		list = append(list, selection{alias, expression, merge})
	}
	formula("Numerator", v.Numerator)
	formula("Denominator", v.Denominator)
	if d := v.Distribution; d != nil {
		of := "toFloat64(" + d.Of + ")"
		condition := "isFinite(" + of + ")"
		if d.If != "" {
			condition += " AND (" + d.If + ")"
		}
		list = append(list, quantiles(d.Quantiles, func(point float64) string {
			return fmt.Sprintf("quantileExactInclusiveIf(%g)(%s, %s)", point, of, condition)
		})...)
		list = append(list, selection{"Cases", "countIf(" + condition + ")", "sum"})
	} else {
		cases := "count()"
		if v.Distinct != nil {
			list = append(list, selection{"Numerator", v.Distinct.Formula(), "sum"})
			if v.Distinct.If != "" {
				cases = "countIf(" + v.Distinct.If + ")"
			}
		}
		list = append(list, selection{"Cases", cases, "sum"})
	}
	if countsUnits(v) {
		formula("Covered", v.Covered)
		formula("Expected", v.Expected)
	}
	if v.Persons != "" {
		state, merge := "uniqExact", "any"
		if len(qn.sides) > 1 {
			state, merge = "uniqExactState", "uniqExactMerge"
		}
		list = append(list, selection{"Persons", state + "(" + unquote(warehouse.Persons(v, s.Side)) + ")", merge})
		w.note(fmt.Sprintf("Persons is how many distinct persons stand behind a cell. The API hides cells of 1 to %d, and others by which they could be had; so must who passes these figures on.", q.k-1))
	}
	if v.OfPersons {
		w.note(fmt.Sprintf("Persons are counted here. The API hides cells of 1 to %d of them, and of levels such changes; so must who passes these figures on.", q.k-1))
	}
	if warehouse.Uncounts(v) {
		w.note("Persons has those, too, whom a part of the formula takes away; the API leaves them out.")
	}
	return list
}

// finished is the whole query: columns over a table, with the value after them.
func (w *writer) finished(columns []selection, from string, having ...string) string {
	qn := w.question
	v := qn.version
	divided := v.Denominator != nil || v.Per != nil
	value, minor := "Numerator", w.queries.minorUnits(qn)
	if divided || minor > 1 { // a division of decimals would keep their few digits
		value = "toFloat64(Numerator)"
	}
	if minor > 1 {
		value += fmt.Sprintf(" / %d", minor)
	}
	if divided {
		value += " / nullIf(toFloat64(Denominator), 0)"
		if qn.kpi.Unit == kpi.Percent {
			value = "100 * " + value
		}
	}
	if v.Quantiles() == nil && v.Per == nil {
		at := slices.IndexFunc(columns, func(c selection) bool { return c.alias == "Cases" })
		columns = slices.Insert(slices.Clone(columns), at, selection{"Value", value, "any"})
	}
	var order []string
	for _, c := range columns {
		if c.merge == "" {
			order = append(order, c.alias)
		}
	}
	text := selecting(columns, from)
	if len(having) > 0 {
		text += "\nHAVING " + strings.Join(having, " AND ")
	}
	if v.Per != nil {
		text = w.per(text, value)
	}
	if len(order) > 0 {
		text += "\nORDER BY " + strings.Join(order, ", ")
	}
	return text
}

// per divides what was counted by what a reference table counts: of the row that a
// dimension names, or of all that the filters name, or of all under no other.
func (w *writer) per(counted, value string) string {
	qn := w.question
	per := qn.version.Per
	day := qn.to
	if day == reference.NoDay {
		day = qn.today
	}
	database, _, _ := strings.Cut(w.answer.Reads[0], ".")
	table := database + "." + per.Table + "_history"
	w.answer.Reads = append(w.answer.Reads, table)
	w.note(fmt.Sprintf("%s is that of %s for every period.", per.String(), day))
	on := literal(day.String())
	conditions := []string{"(valid_from IS NULL OR valid_from <= " + on + ")", "(valid_to IS NULL OR valid_to >= " + on + ")"}
	number := fmt.Sprintf("toFloat64OrZero(%s)", per.Column)
	joined := fmt.Sprintf("CROSS JOIN (\n    SELECT sum(%s) / %d AS Denominator\n    FROM %s\n    WHERE ", number, per.Each, table)
	named, end := false, "\n) AS per"
	for _, f := range qn.sides[0].contract.Fields {
		if f.To != per.Table || named {
			continue
		}
		if slices.Contains(qn.by, f.Name) {
			named, end = true, end+" ON per.code = counted."+DimensionColumn(f.Name)
			joined = fmt.Sprintf("LEFT JOIN (\n    SELECT code, %s / %d AS Denominator\n    FROM %s\n    WHERE ", number, per.Each, table)
		} else if values := qn.filtered(f.Name); values != nil {
			named = true
			conditions = append(conditions, "code "+among(values))
		}
	}
	if !named && w.queries.refs.Table(per.Table).HasColumn("parent") {
		conditions = append(conditions, "parent = ''")
	}
	return "SELECT counted.*, Denominator, " + value + " AS Value\nFROM (\n" + indent(counted) + "\n) AS counted\n" + joined + strings.Join(conditions, " AND ") + end
}

// selecting is a SELECT of columns, grouped by those that are no aggregates.
func selecting(columns []selection, from string) string {
	var list, group []string
	for _, c := range columns {
		if c.alias == c.expression {
			list = append(list, c.alias)
		} else {
			list = append(list, c.expression+" AS "+c.alias)
		}
		if c.merge == "" {
			group = append(group, c.alias)
		}
	}
	return "SELECT\n    " + strings.Join(list, ",\n    ") + "\nFROM " + from + groupSQL(group)
}

func (w *writer) note(sentence string) {
	if !slices.Contains(w.answer.Notes, sentence) {
		w.answer.Notes = append(w.answer.Notes, sentence)
	}
}

// bracketed is the text of a formula as one operand.
func bracketed(f *kpi.Formula) string {
	if len(f.Terms) == 1 && f.Terms[0].Coefficient == 1 {
		return f.Text
	}
	return "(" + f.Text + ")"
}

// head is the comment before the query. It begins with a slash: a command line would take
// what begins with -- for a flag.
func (w *writer) head(text string) string {
	qn := w.question
	k, v := qn.kpi, qn.version
	var b strings.Builder
	say := func(format string, args ...any) {
		text := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
		b.WriteString(strings.ReplaceAll(text, "*/", "* /") + "\n")
	}
	b.WriteString("/*\n")
	say("%s (%s), version %d%s, in %s", k.Title.In("en"), k.ID, v.Version, map[bool]string{true: ", variant " + v.Variant}[v.Variant != ""], k.Unit)
	say("%s", k.About.In("en"))
	say("Source: %s", v.Source.In("en"))
	switch {
	case v.Distribution != nil:
		w.answer.Exact, w.answer.Error = false, warehouse.RelativeError
		say("Quantiles of %s, exact here; the API takes them from buckets, within %g %% of these.", cmp.Or(v.Distribution.Text, v.Distribution.Of), warehouse.RelativeError)
	case v.Backlog != nil:
		say("What waits on a day: %s. Value is a quantile of the days for which it has waited.", v.Backlog)
	case v.Per != nil:
		say("Value = %s ÷ (%s).", bracketed(v.Numerator), v.Per)
	case v.Distinct != nil:
		say("Value = %s: different values, which cannot be added over periods.", v.Distinct.Formula())
	case v.Denominator != nil:
		say("Value = %s ÷ %s, divided last.", bracketed(v.Numerator), bracketed(v.Denominator))
	default:
		say("Value = %s.", v.Numerator.Text)
	}
	switch v.Basis {
	case kpi.Stock:
		if v.Backlog != nil {
			break
		}
		say("A stock: of every %s the newest row up to the day counts (%s).", v.Key, kpi.AsOf)
	case kpi.Reported:
		say("Reported figures: a window counts as a whole, and only windows that follow each other without a gap are added.")
	default:
		for _, s := range qn.sides {
			if s.At != contract.ColumnTime {
				say("Rows of %s count on the day of %s.", s.contract.Name, s.At)
			}
		}
		w.note("Periods without a row are not there; the API tells them, as zero, no cases or not provided.")
	}
	if strings.Contains(text, wide("")[2:]) {
		say("materialize(toDecimal128(1, 0)) makes sums of 38 digits: whole numbers would be added in 64 bits, and could wrap without a word.")
	}
	if qn.knownOn != reference.NoDay {
		say("As it was known at the end of %s.", qn.knownOn)
	}
	for _, n := range w.answer.Notes {
		say("%s", n)
	}
	return b.String() + "*/\n"
}

// signed is a term as a signed number, so that the parts of several contracts are of one type.
func signed(t kpi.Term) string {
	if t.Func == kpi.CountRows {
		return "toInt64(" + unsigned(t) + ")"
	}
	return standing(t)
}

// among is the condition to be one of the values.
func among(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = literal(v)
	}
	return "IN (" + strings.Join(list, ", ") + ")"
}

func literal(s string) string {
	return strings.Trim(array([]string{s}), "[]")
}

// unquote takes the quotes from the names of fields, which need none.
func unquote(expression string) string { return strings.ReplaceAll(expression, "`", "") }

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }
