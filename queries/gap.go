package queries

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// GapRequest asks what is missing to a KPI's target.
type GapRequest struct {
	KPI     string
	Variant string
	From    reference.Day       // of what is counted over a period; open: the calendar year of To
	To      reference.Day       // open: as on the scorecard, the end of the year that the events of half of the contracts reach, today at the latest
	Where   map[string][]string // a target for exactly this part is the one that is meant
	By      string              // the dimension whose codes are listed; empty: the key of a stock, else the first dimension of the definition
	KnownOn reference.Day
	Limit   int // entries; 0 is 100, 1000 at most

	Language string // as in Request
}

// Gap is what is missing to a target, and where it could come from.
type Gap struct {
	KPI        string                     `json:"kpi"`
	Title      reference.Names            `json:"title"`
	Unit       string                     `json:"unit"`
	Direction  string                     `json:"direction"`
	Owner      string                     `json:"owner"`
	Variant    string                     `json:"variant"`
	Cell       *Cell                      `json:"cell"`      // the value; null when there is none
	Target     *TargetStatus              `json:"target"`    // null: no act asks for anything
	By         string                     `json:"by"`        // the dimension of the entries' codes
	RankedBy   string                     `json:"ranked_by"` // the KPI that is the weight; empty: the missing cases themselves
	RankedFrom Date                       `json:"ranked_from"`
	RankedTo   Date                       `json:"ranked_to"` // inclusive
	Entries    []GapEntry                 `json:"entries"`   // those that would move most first
	Total      int                        `json:"total"`     // entries that there are, also beyond the limit
	Hidden     int                        `json:"hidden"`    // codes left out to protect people
	Names      map[string]reference.Names `json:"names"`     // of the entries' codes
	Simulated  bool                       `json:"simulated"`
	Notes      []string                   `json:"notes"`          // as in a Result, like Said
	Said       []Note                     `json:"said,omitempty"` //
}

// GapEntry is one code that keeps the value from its target.
type GapEntry struct {
	Code    string   `json:"code"`
	Owner   string   `json:"owner"`   // code of the organisation that answers for it; empty when none is known
	Missing *float64 `json:"missing"` // cases of it that do not count, or count and should not; 1 for a row of a stock
	Weight  *float64 `json:"weight"`  // value of RankedBy for it; 0 of a count without a row; null: it cannot be told, or is hidden to protect people
	Told    bool     `json:"told"`    // false: whether it counts is not known; telling it might be enough
}

// Gap answers what is missing to a KPI's target. The list is of a KPI that counts cases,
// or the rows of a stock: what a quantile or an exact distinct count lacks has no list,
// which is BadInput.
func (q *Queries) Gap(ctx context.Context, r GapRequest) (*Gap, error) {
	if r.Limit == 0 {
		r.Limit = 100
	}
	if r.Limit < 1 || r.Limit > 1000 {
		return nil, bad("limit", "%d is not between 1 and 1000", r.Limit).
			Also("uz", "%d 1 dan 1000 gacha boʻlgan son emas.", r.Limit).
			Also("ru", "%d — не число от 1 до 1000.", r.Limit)
	}
	words, err := language(r.Language)
	if err != nil {
		return nil, err
	}
	request := Request{KPI: r.KPI, Variant: r.Variant, From: r.From, To: r.To, Where: r.Where, KnownOn: r.KnownOn, Language: words}
	if open(request.To) == reference.NoDay {
		if request.To, err = q.lastDay(ctx, open(r.KnownOn), q.remembered(open(r.KnownOn))); err != nil {
			return nil, err
		}
	}
	if open(request.From) == reference.NoDay {
		request.From = q.calendar.start(Year, request.To)
	}
	qn, err := q.question(ctx, request)
	if err != nil {
		return nil, err
	}
	if q.special(qn.version) {
		return nil, bad("kpi", "%s reads a contract with special fields: it is told by its published tables, which do not say where it could come from", qn.kpi.ID).
			Also("uz", "Koʻrsatkich maxsus maydonli hodisalardan hisoblanadi va faqat eʼlon qilinadigan jadvallar bilan aytiladi; ular nima yetishmasligini koʻrsatmaydi.").
			Also("ru", "Показатель считается по событиям с особыми полями и сообщается только опубликованными таблицами; чего не хватает, они не показывают.")
	}
	v := qn.version
	stock := v.Basis == kpi.Stock
	if stock {
		request.From = reference.NoDay
	}
	switch {
	case v.Basis == kpi.Reported:
		return nil, bad("kpi", "%s stands on reported totals, which have no list of what is missing", r.KPI).
			Also("uz", "Koʻrsatkich idoralar yuborgan jami raqamlarga asoslanadi: nima yetishmasligi roʻyxati yoʻq.").
			Also("ru", "Показатель стоит на итогах, присланных ведомствами: списка недостающего у них нет.")
	case !counts(v.Numerator) || v.Per != nil || v.Denominator != nil && !counts(v.Denominator) || !stock && v.Denominator == nil:
		return nil, bad("kpi", "%s does not count cases of which some are missing; gaps are listed of shares of cases and of stocks", r.KPI).
			Also("uz", "Nima yetishmasligi roʻyxati faqat hollar ulushi va sanaga holat uchun tuziladi; bu koʻrsatkich unday emas.").
			Also("ru", "Список недостающего составляется для долей случаев и состояний на дату; этот показатель не таков.")
	}
	by := r.By
	if by == "" {
		if by = v.Key; by == "" {
			dimensions := v.Dimensions()
			if len(dimensions) == 0 {
				return nil, bad("by", "%s has no dimension to list by", r.KPI).
					Also("uz", "Koʻrsatkichda roʻyxat tuziladigan kesim yoʻq.").
					Also("ru", "У показателя нет разреза, по которому можно составить список.")
			}
			by = dimensions[0]
		}
	}
	whole, err := q.Values(ctx, request)
	if err != nil {
		return nil, err
	}
	gap := &Gap{KPI: qn.kpi.ID, Title: qn.kpi.Title, Unit: string(qn.kpi.Unit), Direction: string(qn.kpi.Direction), Owner: qn.kpi.Owner, Variant: v.Variant,
		By: by, Entries: []GapEntry{}, Names: map[string]reference.Names{}, Simulated: whole.Simulated}
	on := asOf(qn, request.To)
	qn.shared = q.remembered(qn.knownOn)
	if len(whole.Cells) > 0 {
		gap.Cell = &whole.Cells[0]
	}
	target := q.targetOf(qn, on)
	if target == nil {
		gap.Said = append(gap.Said, Note{Key: "no-target"})
	} else {
		status, err := q.heldAgainst(ctx, target, qn, gap.Cell, on)
		if err != nil {
			return nil, err
		}
		gap.Target = &status
	}
	fewer := target != nil && target.Comparator == kpi.AtMost || target == nil && qn.kpi.Direction == kpi.Down

	request.By = []string{by}
	parts, err := q.Values(ctx, request)
	if err != nil {
		return nil, err
	}
	for _, c := range parts.Cells {
		if c.State == Suppressed {
			gap.Hidden++
			continue
		}
		entry, listed := entryOf(v, &c, fewer)
		if !listed {
			continue
		}
		gap.Entries = append(gap.Entries, entry)
	}
	if gap.Hidden > 0 {
		gap.Said = append(gap.Said, Note{"left-out", map[string]string{"n": fmt.Sprint(gap.Hidden)}})
	}
	if err := q.weigh(ctx, gap, qn, request.To, r.KnownOn); err != nil {
		return nil, err
	}
	sort.SliceStable(gap.Entries, func(i, j int) bool { // codes are in order already
		a, b := gap.Entries[i], gap.Entries[j]
		if orNone(a.Weight) != orNone(b.Weight) {
			return orNone(a.Weight) > orNone(b.Weight)
		}
		return orNone(a.Missing) > orNone(b.Missing)
	})
	gap.Total = len(gap.Entries)
	gap.Entries = gap.Entries[:min(r.Limit, gap.Total)]
	q.owners(gap, qn, on)
	if gap.Simulated {
		gap.Said = append(gap.Said, Note{Key: "simulated"})
	}
	gap.Notes = inWords(gap.Said, words)
	q.speaker(words).target(gap.Target)
	return gap, nil
}

// targetOf is the target that a gap is to: for exactly the part that is filtered, due next
// or, when all are past, due last.
func (q *Queries) targetOf(qn *question, on reference.Day) *kpi.Target {
	if len(qn.where) == 0 {
		return q.catalogue.Target(qn.kpi.ID, qn.version.Variant, on)
	}
	for _, t := range q.catalogue.Published(qn.kpi.ID) {
		if t.Kind == kpi.Asked && t.Variant == qn.version.Variant && qn.isFor(t.Where) {
			return t
		}
	}
	return nil
}

// entryOf is what a code lacks, if anything: cases in the denominator and not in the
// numerator; with fewer those in the numerator.
func entryOf(v *kpi.Version, c *Cell, fewer bool) (GapEntry, bool) {
	entry := GapEntry{Code: c.Dims[0].Value, Told: true}
	numerator, ok := c.Numerator.Float()
	if !ok {
		// A row of a stock of which nobody has told whether it counts.
		entry.Told = false
		return entry, v.Basis == kpi.Stock && c.State == NotProvided && c.Coverage != nil && c.Coverage.Expected > 0
	}
	missing := numerator
	switch denominator, _ := c.Denominator.Float(); {
	case fewer:
	case v.Denominator != nil:
		missing = denominator - numerator
	default: // the rows of a stock that do not count
		missing = float64(*c.Cases) - numerator
	}
	entry.Missing = &missing
	return entry, missing > 0
}

// weigh reads the KPI by which the entries are ranked, over the twelve months up to a day.
func (q *Queries) weigh(ctx context.Context, gap *Gap, qn *question, to, knownOn reference.Day) error {
	if qn.kpi.Ranked == "" || len(gap.Entries) == 0 {
		return nil
	}
	from := reference.DayOf(to.Time().AddDate(-1, 0, 1))
	weights, err := q.Values(ctx, Request{KPI: qn.kpi.Ranked, From: from, To: to, By: []string{gap.By}, KnownOn: knownOn})
	if problem.KindOf(err) == problem.BadInput {
		return nil // it cannot be told by this dimension: the missing cases rank
	}
	if err != nil {
		return err
	}
	gap.RankedBy, gap.RankedFrom, gap.RankedTo = qn.kpi.Ranked, dateOf(from), dateOf(to)
	gap.Simulated = gap.Simulated || weights.Simulated
	value := map[string]*float64{}
	for _, c := range weights.Cells {
		value[c.Dims[0].Value] = c.Value
	}
	// Of a count that has come for others a code without a row has none.
	counted := len(weights.Cells) > 0 && weights.Basis == string(kpi.Events) && weights.Unit == string(kpi.Count) && weights.Definition.Denominator == "" && weights.Audience != Outside
	for i := range gap.Entries {
		weight, told := value[gap.Entries[i].Code]
		if !told && counted {
			weight = new(float64)
		}
		gap.Entries[i].Weight = weight
	}
	return nil
}

func orNone(x *float64) float64 {
	if x == nil {
		return -1
	}
	return *x
}

// owners names the entries and finds who answers for each: the code itself where it is an
// organisation, else the organisation that its reference row names in the column by which
// the contract's other fields are filled.
func (q *Queries) owners(gap *Gap, qn *question, on reference.Day) {
	const organisations = "organisations"
	c := qn.sides[0].contract
	f := c.Field(gap.By)
	if f == nil || f.Type != contract.Ref {
		return
	}
	table := q.refs.Table(f.To)
	if table == nil {
		return
	}
	column := ""
	for _, other := range c.Fields {
		from, of, ok := strings.Cut(other.Default, ".")
		if ok && from == f.Name && other.To == organisations {
			column = of
		}
	}
	for i := range gap.Entries {
		e := &gap.Entries[i]
		row, ok := table.At(e.Code, on)
		if !ok {
			row, ok = table.Get(e.Code)
		}
		if !ok {
			continue
		}
		gap.Names[e.Code] = row.Names
		switch {
		case f.To == organisations:
			e.Owner = e.Code
		case column != "":
			e.Owner = row.Value(column)
		}
	}
}
