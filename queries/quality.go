package queries

import (
	order "cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
)

// Quality says what is wrong with the data, as rows that name who can mend it.
//
// What it finds, by the id of the rule:
//
//	freshness        the source's newest event is older than it promised
//	silence          the source sent nothing of any contract for more working days than it promised, and went on (below)
//	missing-period   days or months without rows, where the contract's rhythm expects some (below)
//	volume           a day with far more or far fewer rows than its neighbours (below)
//	closed-count     a sender's period.closed tells another number of events than stand here
//	closed-unknown   a period.closed names a contract that there is not, or that its source does not send
//	conflict         events came with other content under a known id
//	quarantine       events are kept aside until somebody settles them
//	rejected         events were refused at the door
//	damaged          bytes of the journal are not those that were accepted
//	above-100        a share of cases is above 100 % in a closed month
//	sent-again       rows tell once more what others told, by the fields that the contract names for it
//	baseline-differs a milestone was reached, and its sender's first date is not that of the plan
//	unknown-project  rows of a project that nobody has recommended, accepted or registered
//	<rule's id>      rows that break a rule of their contract whose severity is warn
//
// # Rhythm and volume
//
// A day is held against the days of the same weekday around it, eight at the most, as many
// before as behind where there are, and six at the least. Days that the calendar calls out
// of the ordinary (holidays, working Saturdays) are neither judged nor compared with; nor
// are days outside of the school quarters for a contract with less than 1 % of its rows
// there. m is the median of the neighbours.
//
// A day of n rows is odd when m is at least 20 and |n − m| is above 6 s and above 0.4 m,
// where s is the largest of 1.4826 times the neighbours' median absolute deviation, √m and
// 5 % of m. (1.4826 makes of that deviation the standard deviation of a normal
// distribution: Rousseeuw, Croux, 1993; √m is that of a count of independent events.) A day
// without rows is missing when m is 12 or more and all neighbours have some, or none is odd.
//
// A contract that has rows on fewer than half of the days is held against months: when at
// least three in five steps from one month with rows to the next are equally long, there
// are four or more such steps, and the median month has 12 rows or more, the months that a
// longer step left out are missing. Of reported figures the month is that in which their
// window ends, and any number of rows will do.
//
// Judged are whole days up to the source's newest event, and not the day of it; and not the
// days of the earliest hundredth of the rows, which may be dated long before their source
// was connected; and not those before the first that the source closed, which are a register's past.
//
// # Silence
//
// Closing a period tells zero from silence. Days that a source has closed for every contract
// of which it sends anything are not silent, where as many events stand as it counted; nor,
// where nearly all of its rows are in the school quarters, are the days outside of them.
//
// A simulation in a source's place promised nothing, and is not judged by its freshness: it
// is over when it is over.
//
// Rules are counted over the rows that stand, corrections and withdrawals settled, by the
// source and month in which the events happened (of figures: by window).
type Quality struct {
	warehouse *warehouse.Warehouse
	contracts *contract.Set
	calendar  *reference.Calendar
	sources   map[string]Sender
	now       func() time.Time
	figures   *Queries // nil: figures are not looked at
	projects  *contract.Portfolio
}

// Sender is what a pack tells of a source.
type Sender struct {
	Title     reference.Names
	Owner     string        // code of an organisation
	Freshness time.Duration // how old its newest event may be; 0: nothing was promised
}

// NewQuality looks after the contracts of a set. sources are those that the pack expects,
// by id; a nil now is time.Now.
func NewQuality(w *warehouse.Warehouse, set *contract.Set, refs *reference.Set, sources map[string]Sender, now func() time.Time) *Quality {
	if now == nil {
		now = time.Now
	}
	days := *refs.Calendar()
	days.Zone = set.Zone()
	return &Quality{w, set, &days, sources, now, nil, nil}
}

// Arrival is what came of the events of one source and contract at the door and in the
// journal.
type Arrival struct {
	Source, Type                      string
	Conflict, Rejected, Damaged, Held uint64
	LastEvent                         time.Time                // of the source; zero: silent so far
	Since                             map[string]reference.Day // by rule (conflict, quarantine, rejected, damaged): the first day of what is counted
}

// FindingsRequest narrows what is looked at. From and To bound the days on which events
// happened; 0 and NoDay are open. Empty texts choose all.
type FindingsRequest struct {
	From, To               reference.Day
	Source, Contract, Rule string // a source's id, an event type, a rule's id
}

// Severity of a finding.
const (
	Wrong    = "error"   // figures are wrong, or rows are not counted
	Doubtful = "warning" // figures may be wrong or incomplete
	Notable  = "notice"  // worth a look
)

// Finding is one thing that is wrong.
type Finding struct {
	Source   string          `json:"source"`
	Contract string          `json:"type"` // event type; "" is the source as a whole
	Rule     string          `json:"rule"`
	Severity string          `json:"severity"` // error, warning, notice
	Period   string          `json:"period"`   // "2024-03", "2024-03-05", "<from>/<to>"; "" when it is of no period
	From     Date            `json:"from"`
	To       Date            `json:"to"`
	Field    string          `json:"field"`    // fields that the rule reads, by comma
	Count    int64           `json:"count"`    // rows, days, months or events; hours of delay for freshness
	Expected *float64        `json:"expected"` // rows that a day or a period should have; null when none is known
	Words    reference.Names `json:"words"`    // the finding in one sentence, in uz, ru and en
	Owner    string          `json:"owner"`    // code of the organisation that can mend it
	Since    Date            `json:"since"`    // the day from which it is so: of what the door kept aside or refused, that of the oldest
	Examples []string        `json:"examples"` // rows, by their open fields; five at the most, none of contracts with persons
}

// Findings lists what is wrong, the gravest first, then by source, contract, rule and
// period. arrivals are told by those who keep them; none leaves the rules out that need
// them. A source, type or rule that does not exist is BadInput; other errors are those of
// the warehouse.
func (y *Quality) Findings(ctx context.Context, r FindingsRequest, arrivals []Arrival) ([]Finding, error) {
	r.From, r.To = open(r.From), open(r.To)
	counts := map[*contract.Contract]map[string]map[reference.Day]int64{}
	all := y.contracts.All()
	counted := make([]map[string]map[reference.Day]int64, len(all))
	broken := make([][]Finding, len(all))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, c := range all {
		group.Go(func() (err error) {
			if counted[i], err = y.daily(inner, c); err == nil && len(counted[i]) > 0 {
				broken[i], err = y.rules(inner, c, r)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := y.check(r, counted); err != nil {
		return nil, err
	}
	found := []Finding{}
	for i, c := range all {
		if counts[c] = counted[i]; c.Name == contract.PeriodClosed || c.Name == contract.FigurePublished {
			delete(counts, c) // what is said about events has no rhythm of its own
		}
		found = append(found, broken[i]...)
	}
	closed, said, err := y.closed(ctx, counts)
	if err != nil {
		return nil, err
	}
	found = append(append(found, y.rhythm(counts, said)...), closed...)
	found = append(found, y.arrived(arrivals)...)
	if r.Rule == "" || r.Rule == aboveAll {
		above, err := y.above(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, above...)
	}
	found = slices.DeleteFunc(found, func(f Finding) bool {
		return r.Source != "" && f.Source != r.Source || r.Contract != "" && f.Contract != r.Contract || r.Rule != "" && f.Rule != r.Rule ||
			r.From != reference.NoDay && f.To.Set && f.To.Day < r.From || r.To != reference.NoDay && f.From.Set && f.From.Day > r.To
	})
	rank := map[string]int{Wrong: 0, Doubtful: 1, Notable: 2}
	slices.SortStableFunc(found, func(a, b Finding) int {
		return order.Or(order.Compare(rank[a.Severity], rank[b.Severity]), order.Compare(a.Source, b.Source), order.Compare(a.Contract, b.Contract),
			order.Compare(a.Rule, b.Rule), order.Compare(a.From.Day, b.From.Day), order.Compare(a.To.Day, b.To.Day))
	})
	for i := range found {
		if found[i].Examples == nil {
			found[i].Examples = []string{}
		}
	}
	return found, nil
}

// rulesOfData are the rules besides those of contracts.
var rulesOfData = []string{aboveAll, baselineDiffers, "closed-count", closedUnknown, "conflict", "damaged", "freshness", "missing-period", "quarantine", "rejected", sentAgain, "silence", unknownProject, "volume"}

// check refuses what the pack does not have.
func (y *Quality) check(r FindingsRequest, counted []map[string]map[reference.Day]int64) error {
	if r.From != reference.NoDay && r.To != reference.NoDay && r.To < r.From {
		return bad("to", "the last day, %s, is before the first, %s", r.To, r.From).
			Also("uz", "Davr boshlanishidan oldin tugaydi.").
			Also("ru", "Период кончается раньше, чем начинается.")
	}
	if r.Contract != "" && y.contracts.ByType(r.Contract) == nil {
		return bad("type", "there is no contract for the type %q; /v1/contracts lists them", r.Contract).
			Also("uz", "“%s” degan hodisa turi yoʻq.", r.Contract).
			Also("ru", "Вида событий «%s» нет.", r.Contract)
	}
	rules := slices.Clone(rulesOfData)
	for _, c := range y.contracts.All() {
		for _, rule := range c.Rules {
			if rule.Severity == contract.Warn && !slices.Contains(rules, rule.ID) {
				rules = append(rules, rule.ID)
			}
		}
	}
	if r.Rule != "" && !slices.Contains(rules, r.Rule) {
		return bad("rule", "there is no rule %q; allowed: %s", r.Rule, strings.Join(rules, ", ")).
			Also("uz", "“%s” degan qoida yoʻq.", r.Rule).
			Also("ru", "Правила «%s» нет.", r.Rule).
			Of(rules...)
	}
	sources := map[string]bool{}
	for source := range y.sources {
		sources[source] = true
	}
	for _, bySource := range counted {
		for source := range bySource {
			sources[source] = true
		}
	}
	if r.Source != "" && !sources[r.Source] {
		known := slices.Sorted(maps.Keys(sources))
		return bad("source", "there is no source %q; allowed: %s", r.Source, strings.Join(known, ", ")).
			Also("uz", "“%s” degan manba yoʻq.", r.Source).
			Also("ru", "Источника «%s» нет.", r.Source).
			Of(known...)
	}
	return nil
}

// sender is what is known of a source; its simulated stand-in is that source.
func (y *Quality) sender(source string) Sender {
	return y.sources[strings.TrimPrefix(source, standIn(""))]
}

// owner can mend what a source sent; of a source that nobody declared it is the owner of
// the contract's own.
func (y *Quality) owner(source string, c *contract.Contract) string {
	if owner := y.sender(source).Owner; owner != "" || c == nil {
		return owner
	}
	return y.sources[c.Source].Owner
}

// title is what a source is called in a language.
func (y *Quality) title(source, language string) string {
	title := y.sender(source).Title.In(language)
	if title == "" {
		return source
	}
	if strings.HasPrefix(source, standIn("")) {
		return title + " (" + map[string]string{"uz": "simulyatsiya", "ru": "симуляция", "en": "simulated"}[language] + ")"
	}
	return title
}

// wordsOf makes the sentence of a finding in three languages. The format of each takes the
// source's title and then the arguments.
func (y *Quality) wordsOf(source, uz, ru, en string, args ...any) reference.Names {
	names := reference.Names{}
	for language, format := range map[string]string{"uz": uz, "ru": ru, "en": en} {
		said := append([]any{y.title(source, language)}, args...)
		for i, a := range said {
			switch x := a.(type) {
			case *contract.Contract:
				said[i] = x.Title.In(language)
			case reference.Day:
				said[i] = x.String()
			case time.Duration:
				said[i] = lasting(x, language)
			}
		}
		text := fmt.Sprintf(format, said...)
		if abbreviated, ok := strings.CutSuffix(text, ".."); ok { // one full stop ends both
			text = abbreviated + "."
		}
		names[language] = text
	}
	return names
}

// daily counts the rows of a contract that stand, by source and day of time.
func (y *Quality) daily(ctx context.Context, c *contract.Contract) (map[string]map[reference.Day]int64, error) {
	var by *warehouse.Rollup
	for _, r := range y.warehouse.Rollups(c) {
		if r.At == contract.ColumnTime && slices.Equal(r.Dims, []string{contract.ColumnSource}) && (by == nil || by.Hourly) {
			by = r
		}
	}
	if by == nil {
		return nil, problem.New(problem.Internal, "queries: %s has no rollup by source", c.Type)
	}
	counts := map[string]map[reference.Day]int64{}
	sql := "SELECT " + contract.ColumnSource + ", _day, sum(_n) AS Cases\nFROM " + y.warehouse.Table(by) + "\nGROUP BY " + contract.ColumnSource + ", _day\nHAVING Cases > 0"
	err := y.warehouse.Each(ctx, sql, nil, func(scan warehouse.Scan) error {
		var source string
		var day time.Time
		var n int64
		if err := scan(&source, &day, &n); err != nil {
			return err
		}
		if counts[source] == nil {
			counts[source] = map[reference.Day]int64{}
		}
		counts[source][reference.DayOf(day)] = n
		return nil
	})
	return counts, err
}

// arrived are the findings of the door and the journal.
func (y *Quality) arrived(arrivals []Arrival) []Finding {
	var found []Finding
	told := map[string]bool{}
	for _, a := range arrivals {
		c := y.contracts.ByType(a.Type)
		add := func(rule, severity string, n uint64, uz, ru, en string) {
			if n > 0 {
				var since Date
				if day, ok := a.Since[rule]; ok {
					since = dateOf(day)
				}
				found = append(found, Finding{Source: a.Source, Contract: a.Type, Rule: rule, Severity: severity, Count: int64(n), Since: since,
					Owner: y.owner(a.Source, c), Words: y.wordsOf(a.Source, uz, ru, en, n)})
			}
		}
		add("conflict", Wrong, a.Conflict,
			"%s: %d ta hodisa maʼlum raqam bilan boshqa mazmunda keldi va hisobga olinmadi.",
			"%s: событий, пришедших под известным номером с другим содержанием и не учтённых: %d.",
			"%s: %d events came with other content under a known id and do not count.")
		add("quarantine", Wrong, a.Held,
			"%s: %d ta hodisa karantinda qaror kutmoqda.",
			"%s: событий, ожидающих решения в карантине: %d.",
			"%s: %d events wait in quarantine until somebody settles them.")
		add("rejected", Doubtful, a.Rejected,
			"%s: %d ta hodisa qabul qilinmadi; ularni tuzatib qayta yuborish kerak.",
			"%s: событий, отклонённых при приёме: %d; их нужно исправить и отправить снова.",
			"%s: %d events were refused at the door, to be mended and sent again.")
		add("damaged", Wrong, a.Damaged,
			"%s: jurnalda %d ta hodisa buzilgan.",
			"%s: событий, повреждённых в журнале: %d.",
			"%s: %d events are damaged in the journal.")
		promise := y.sources[a.Source].Freshness
		if promise == 0 || told[a.Source] || a.LastEvent.IsZero() {
			continue
		}
		told[a.Source] = true
		if age := y.now().Sub(a.LastEvent); age > promise {
			day := y.calendar.Today(a.LastEvent)
			found = append(found, Finding{Source: a.Source, Rule: "freshness", Severity: Doubtful, Count: int64(age / time.Hour), Since: dateOf(day),
				Owner: y.owner(a.Source, nil), Words: y.wordsOf(a.Source,
					"%s: oxirgi hodisa %s kuni boʻlgan; vaʼda — %sdan eski emas.",
					"%s: последнее событие — %s; обещано не старше %s.",
					"%s: the newest event is of %s; promised is one not older than %s.", day, promise)})
		}
	}
	return found
}

// lasting writes a promise in hours, or in days when it is whole days.
func lasting(d time.Duration, language string) string {
	hours, days := map[string]string{"uz": "soat", "ru": "ч", "en": "h"}, map[string]string{"uz": "kun", "ru": "дн.", "en": "days"}
	if whole := d / (24 * time.Hour); whole > 1 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d %s", whole, days[language])
	}
	return fmt.Sprintf("%g %s", d.Hours(), hours[language])
}

// doubt is what rows may be under: which ones, by a condition over facts, and why.
type doubt struct {
	rule       string
	condition  string
	fields     []string
	uz, ru, en string // take the source's title, the contract's and how many rows
}

// rules counts the rows that break the contract's rules of severity warn, and those that do not fit others ([Quality.across]).
func (y *Quality) rules(ctx context.Context, c *contract.Contract, r FindingsRequest) ([]Finding, error) {
	if r.Contract != "" && r.Contract != c.Type {
		return nil, nil
	}
	rules := y.across(c)
	for i := range c.Rules {
		rule := &c.Rules[i]
		if rule.Severity != contract.Warn {
			continue
		}
		if condition, fields, ok := y.contracts.Broken(c, rule); ok {
			id, check := rule.ID, strings.ReplaceAll(rule.Check, "%", "%%")
			rules = append(rules, doubt{rule.ID, condition, fields,
				"%s, “%s”: %d ta yozuv " + id + " qoidasini buzadi: " + check + ".",
				"%s, «%s»: записей, нарушающих правило: %d (" + id + ": " + check + ").",
				"%s, “%s”: rows that break a rule: %d (" + id + ": " + check + ")."})
		}
	}
	rules = slices.DeleteFunc(rules, func(d doubt) bool { return r.Rule != "" && r.Rule != d.rule })
	if len(rules) == 0 {
		return nil, nil
	}
	from, to := "toStartOfMonth(_day)", "toLastDayOfMonth(_day)"
	if c.Kind == contract.Figure {
		from, to = "toDate(assumeNotNull("+quote(c.Window.From)+"))", "toDate(assumeNotNull("+quote(c.Window.To)+"))"
	}
	var found []Finding
	for _, k := range rules {
		sql := "SELECT " + contract.ColumnSource + ", " + from + " AS PeriodFrom, " + to + " AS PeriodTo, sum(toInt64(_sign)) AS Cases\nFROM " + y.warehouse.Facts(c) +
			"\nWHERE " + k.condition + "\nGROUP BY " + contract.ColumnSource + ", PeriodFrom, PeriodTo\nHAVING Cases > 0"
		first := len(found)
		err := y.warehouse.Each(ctx, sql, nil, func(scan warehouse.Scan) error {
			var source string
			var begin, end time.Time
			var n int64
			if err := scan(&source, &begin, &end, &n); err != nil {
				return err
			}
			a, b := reference.DayOf(begin), reference.DayOf(end)
			f := Finding{Source: source, Contract: c.Type, Rule: k.rule, Severity: Doubtful, Period: begin.Format("2006-01"), From: dateOf(a), To: dateOf(b),
				Field: strings.Join(k.fields, ","), Count: n, Since: dateOf(a), Owner: y.owner(source, c)}
			if c.Kind == contract.Figure {
				f.Period = a.String() + "/" + b.String()
			}
			f.Words = y.wordsOf(source, k.uz, k.ru, k.en, c, n)
			found = append(found, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(found) > first {
			if err := y.examples(ctx, c, k.condition, k.fields, from, found[first:]); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

const maxExamples = 5

// examples gives findings of one rule rows that break it, told by their labels and the
// rule's fields, as far as these are open. Rows of a contract with persons or special
// fields are never told.
func (y *Quality) examples(ctx context.Context, c *contract.Contract, condition string, ruleFields []string, from string, found []Finding) error {
	if c.Special() || slices.ContainsFunc(c.Fields, func(f contract.Field) bool { return f.Type == contract.Person }) {
		return nil
	}
	var parts []string
	for i := range c.Fields {
		f := &c.Fields[i]
		label := f.EmptyIsAbsent() && f.Name != c.Window.From && f.Name != c.Window.To
		if f.Class == contract.Open && (label || slices.Contains(ruleFields, f.Name)) {
			parts = append(parts, "if("+present(c, f.Name)+", concat('"+f.Name+"=', assumeNotNull(toString("+quote(f.Name)+"))), '')")
		}
	}
	if len(parts) == 0 {
		return nil
	}
	sql := "SELECT " + contract.ColumnSource + ", " + from + " AS PeriodFrom, arrayStringConcat(arrayFilter(x -> notEmpty(x), [" + strings.Join(parts, ", ") + "]), ', ') AS Example\nFROM " + y.warehouse.Facts(c) +
		"\nWHERE _sign > 0 AND " + condition + " AND (_id, _rev) NOT IN (SELECT _id, _rev FROM " + y.warehouse.Facts(c) + " WHERE _sign < 0)" +
		fmt.Sprintf("\nORDER BY %s, PeriodFrom, _seq\nLIMIT %d BY %s, PeriodFrom", contract.ColumnSource, maxExamples, contract.ColumnSource)
	return y.warehouse.Each(ctx, sql, nil, func(scan warehouse.Scan) error {
		var source, example string
		var begin time.Time
		if err := scan(&source, &begin, &example); err != nil {
			return err
		}
		for i := range found {
			if found[i].Source == source && found[i].From.Day == reference.DayOf(begin) && len(found[i].Examples) < maxExamples {
				found[i].Examples = append(found[i].Examples, example)
				break
			}
		}
		return nil
	})
}

// closedUnknown is the rule about a closing of what nobody sends.
const closedUnknown = "closed-unknown"

// sentAll is what a source said: all events of a contract on these days are sent.
type sentAll struct {
	contract *contract.Contract
	from, to reference.Day
	stand    bool // as many as it counted, or it counted none
}

// closed holds senders' manifests against what stands, and gives them by source.
func (y *Quality) closed(ctx context.Context, counts map[*contract.Contract]map[string]map[reference.Day]int64) ([]Finding, map[string][]sentAll, error) {
	manifest := y.warehouse.Contract(contract.PeriodClosed)
	if manifest == nil {
		return nil, nil, nil
	}
	var found []Finding
	all := map[string][]sentAll{}
	facts := y.warehouse.Facts(manifest)
	sql := "SELECT source, contract, `from`, `to`, argMax(tuple(count), tuple(time, _seq)).1 AS Told\nFROM " + facts +
		"\nWHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM " + facts + " WHERE _sign < 0)\nGROUP BY source, contract, `from`, `to`"
	err := y.warehouse.Each(ctx, sql, nil, func(scan warehouse.Scan) error {
		var source, name string
		var begin, end time.Time
		var told *int64
		if err := scan(&source, &name, &begin, &end, &told); err != nil {
			return err
		}
		c := y.warehouse.Contract(name)
		a, b := reference.DayOf(begin), reference.DayOf(end)
		if c == nil || len(counts[c][source]) == 0 && source != c.Source && source != standIn(c.Source) {
			f := Finding{Source: source, Contract: manifest.Type, Rule: closedUnknown, Severity: Doubtful, Period: spanLabel(a, b), From: dateOf(a), To: dateOf(b), Field: "source,contract", Count: 1,
				Since: dateOf(a), Owner: y.owner(source, manifest), Words: y.wordsOf(source,
					"%s “%s” kontrakti davrini yopgan, ammo bunday kontraktni yubormaydi; yuboruvchi manba va kontrakt nomini tuzatishi kerak.",
					"%s: закрыт период контракта «%s», которого этот источник не присылает; отправителю нужно исправить имя источника или контракта.",
					"%s: a period of the contract “%s” is closed, of which this source sends nothing; the sender corrects the name of the source or of the contract.", name)}
			if f.Owner == "" && c != nil {
				f.Owner = y.owner(source, c)
			}
			found = append(found, f)
			return nil
		}
		if told == nil {
			all[source] = append(all[source], sentAll{c, a, b, true})
			return nil
		}
		var stored int64
		for day, n := range counts[c][source] {
			if day >= a && day <= b {
				stored += n
			}
		}
		if all[source] = append(all[source], sentAll{c, a, b, stored == *told}); stored == *told {
			return nil
		}
		expected := float64(*told)
		found = append(found, Finding{Source: source, Contract: c.Type, Rule: "closed-count", Severity: Wrong, Period: spanLabel(a, b), From: dateOf(a), To: dateOf(b),
			Count: stored, Expected: &expected, Since: dateOf(a), Owner: y.owner(source, c), Words: y.wordsOf(source,
				"%s, “%s”: joʻnatuvchi %[4]d ta hodisa haqida xabar bergan, omborda %[3]d ta.",
				"%s, «%s»: отправитель сообщил о %[4]d событиях, хранится %[3]d.",
				"%s, “%s”: the sender told of %[4]d events, %[3]d stand here.", c, stored, *told)})
		return nil
	})
	return found, all, err
}

// spanLabel names whole months and days by themselves.
func spanLabel(a, b reference.Day) string {
	switch at := (calendar{}); {
	case a == b:
		return a.String()
	case at.start(Month, a) == a && at.after(Month, a)-1 == b:
		return a.Time().Format("2006-01")
	}
	return a.String() + "/" + b.String()
}

// rhythm finds silence, missing periods and odd volumes.
func (y *Quality) rhythm(counts map[*contract.Contract]map[string]map[reference.Day]int64, said map[string][]sentAll) []Finding {
	var found []Finding
	sent := map[string]map[reference.Day]int64{} // by source, of any contract
	of := map[string][]*contract.Contract{}
	recent := map[*contract.Contract]map[string]map[reference.Day]int64{}
	for c, bySource := range counts {
		recent[c] = map[string]map[reference.Day]int64{}
		for source, days := range bySource {
			if days = since(days, said[source]); len(days) == 0 {
				continue
			}
			recent[c][source] = days
			if sent[source] == nil {
				sent[source] = map[reference.Day]int64{}
			}
			of[source] = append(of[source], c)
			for d, n := range days {
				sent[source][d] += n
			}
		}
	}
	last := map[string]reference.Day{}
	for source, days := range sent {
		_, newest := extent(days)
		last[source] = min(newest, y.calendar.Today(y.now()))
		found = append(found, y.silence(source, days, of[source], said[source])...)
	}
	for c, bySource := range recent {
		for source, days := range bySource {
			if c.Kind == contract.Event && y.dailyRhythm(days) {
				found = append(found, y.days(c, source, days, last[source])...)
			} else {
				found = append(found, y.months(c, source, days, last[source])...)
			}
		}
	}
	return found
}

// since are the counts from the first day on that their source closed; all, where it closed none.
func since(days map[reference.Day]int64, said []sentAll) map[reference.Day]int64 {
	if len(said) == 0 {
		return days
	}
	begun := slices.MinFunc(said, func(a, b sentAll) int { return int(a.from) - int(b.from) }).from
	days = maps.Clone(days)
	maps.DeleteFunc(days, func(d reference.Day, _ int64) bool { return d < begun })
	return days
}

// silence finds the gaps of a source that are longer than its promise, but for days of which
// it said that all was sent. It sends those contracts.
func (y *Quality) silence(source string, counts map[reference.Day]int64, contracts []*contract.Contract, said []sentAll) []Finding {
	promise := y.sender(source).Freshness
	if promise == 0 {
		return nil
	}
	var found []Finding
	first, last := extent(counts)
	school := y.school(counts)
	silent := func(d reference.Day) bool {
		if _, in := y.calendar.Quarter(d); !y.calendar.Works(d) || school && !in {
			return false
		}
		return slices.ContainsFunc(contracts, func(c *contract.Contract) bool {
			return !slices.ContainsFunc(said, func(s sentAll) bool { return s.stand && s.contract == c && s.from <= d && d <= s.to })
		})
	}
	before := first
	for d := first + 1; d <= last; d++ {
		if counts[d] == 0 {
			continue
		}
		// Between the end of one day and the beginning of another lie whole days.
		a, b, working := before+1, d-1, 0
		for a <= b && !silent(a) {
			a++
		}
		for a <= b && !silent(b) {
			b--
		}
		for at := a; at <= b; at++ {
			if silent(at) {
				working++
			}
		}
		if a <= b {
			if time.Duration(working)*24*time.Hour > promise {
				found = append(found, Finding{Source: source, Rule: "silence", Severity: Doubtful, Period: spanLabel(a, b), From: dateOf(a), To: dateOf(b), Count: int64(working),
					Since: dateOf(a), Owner: y.owner(source, nil), Words: y.wordsOf(source,
						"%s: %s dan %s gacha hech narsa kelmagan; vaʼda — %s.",
						"%s: с %s по %s ничего не пришло; обещано: %s.",
						"%s: nothing came from %s to %s; the promise is %s.", a, b, promise)})
			}
		}
		before = d
	}
	return found
}

// extent is the first and the last day of counts, without the first hundredth of the rows:
// what is dated long before a source was connected is no beginning of its rhythm.
func extent(days map[reference.Day]int64) (first, last reference.Day) {
	list := slices.Sorted(maps.Keys(days))
	var total, early int64
	for _, n := range days {
		total += n
	}
	i := 0
	for ; i < len(list)-1 && 100*(early+days[list[i]]) < total; i++ {
		early += days[list[i]]
	}
	return list[i], list[len(list)-1]
}

// dailyRhythm says whether a contract has rows on at least half of the days, and for four
// weeks.
func (y *Quality) dailyRhythm(days map[reference.Day]int64) bool {
	first, last := extent(days)
	return last-first >= 27 && 2*len(days) >= int(last-first+1)
}

// school says whether nearly nothing happens outside of the school quarters.
func (y *Quality) school(days map[reference.Day]int64) bool {
	var outside, total int64
	for d, n := range days {
		if _, in := y.calendar.Quarter(d); !in {
			outside += n
		}
		total += n
	}
	return len(y.calendar.Quarters) > 0 && 100*outside < total
}

// ordinary are the days of a contract that can be compared: those that follow the week's
// rule, in school quarters when nearly nothing happens outside of them.
func (y *Quality) ordinary(days map[reference.Day]int64) func(reference.Day) bool {
	school := y.school(days)
	return func(d reference.Day) bool {
		_, in := y.calendar.Quarter(d)
		return y.calendar.Days[d] == 0 && (in || !school)
	}
}

const (
	mostNeighbours  = 8
	leastNeighbours = 6
	enough          = 12 // e^-12: of independent events with this mean, 1 day in 160,000 is empty
)

// days judges each day of a contract up to the source's last.
func (y *Quality) days(c *contract.Contract, source string, counts map[reference.Day]int64, last reference.Day) []Finding {
	var found []Finding
	first, _ := extent(counts)
	ordinary := y.ordinary(counts)
	var missing []reference.Day
	var expected float64
	flush := func() {
		if len(missing) == 0 {
			return
		}
		a, b := missing[0], missing[len(missing)-1]
		mean := expected
		found = append(found, Finding{Source: source, Contract: c.Type, Rule: "missing-period", Severity: Doubtful, Period: spanLabel(a, b), From: dateOf(a), To: dateOf(b),
			Count: int64(len(missing)), Expected: &mean, Since: dateOf(a), Owner: y.owner(source, c), Words: y.wordsOf(source,
				"%s, “%s”: %s: %d kun davomida yozuv yoʻq, odatda kuniga taxminan %.0f ta.",
				"%s, «%s»: %s: дней без записей: %d; обычно около %.0f в день.",
				"%s, “%s”: %s: days without rows: %d; about %.0f a day are usual.", c, spanLabel(a, b), len(missing), expected)})
		missing, expected = nil, 0
	}
	for d := first; d < last; d++ {
		if !ordinary(d) {
			continue
		}
		around := neighbours(counts, ordinary, d, first, last)
		n := counts[d]
		m := middle(around)
		switch {
		case len(around) < leastNeighbours:
			flush()
		case n == 0 && m >= enough && (3*float64(around[0]) >= m || odd(0, m, around)): // rows that come in clumps have empty days by chance
			missing, expected = append(missing, d), max(expected, m)
		case odd(float64(n), m, around):
			flush()
			usual := m
			found = append(found, Finding{Source: source, Contract: c.Type, Rule: "volume", Severity: Notable, Period: d.String(), From: dateOf(d), To: dateOf(d), Count: n,
				Expected: &usual, Since: dateOf(d), Owner: y.owner(source, c), Words: y.wordsOf(source,
					"%s, “%s”: %s kuni %d ta yozuv, bunday kunlarda odatda taxminan %.0f ta.",
					"%s, «%s»: %s записей: %d; в такие дни обычно около %.0f.",
					"%s, “%s”: %s has %d rows; about %.0f are usual on such days.", c, d, n, m)})
		default:
			if n > 0 {
				flush()
			}
		}
	}
	flush()
	return found
}

// neighbours are the counts of the same weekday around a day, the nearest ones, in order of
// size.
func neighbours(counts map[reference.Day]int64, ordinary func(reference.Day) bool, d, first, last reference.Day) []int64 {
	var around []int64
	for step := reference.Day(7); len(around) < mostNeighbours && step <= 26*7; step += 7 {
		for _, other := range []reference.Day{d - step, d + step} {
			if other >= first && other < last && ordinary(other) && len(around) < mostNeighbours {
				around = append(around, counts[other])
			}
		}
	}
	slices.Sort(around)
	return around
}

// middle is the median of sorted numbers; 0 of none.
func middle(sorted []int64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return float64(sorted[(n-1)/2]+sorted[n/2]) / 2
}

// odd says whether a day of n rows stands out from neighbours with the median m.
func odd(n, m float64, around []int64) bool {
	away := make([]float64, len(around))
	for i, x := range around {
		away[i] = math.Abs(float64(x) - m)
	}
	slices.Sort(away)
	deviation := (away[(len(away)-1)/2] + away[len(away)/2]) / 2
	s := max(1.4826*deviation, math.Sqrt(m), 0.05*m)
	return m >= 20 && math.Abs(n-m) > 6*s && math.Abs(n-m) > 0.4*m
}

// monthOf numbers the months.
func monthOf(d reference.Day) int {
	t := d.Time()
	return t.Year()*12 + int(t.Month()) - 1
}

// months finds months that a steady step left out.
func (y *Quality) months(c *contract.Contract, source string, counts map[reference.Day]int64, last reference.Day) []Finding {
	rows := map[int]int64{}
	for d, n := range counts {
		rows[monthOf(d)] += n
	}
	list := slices.Sorted(maps.Keys(rows))
	steps := map[int]int{}
	usual := 0
	for i := 1; i < len(list); i++ {
		step := list[i] - list[i-1]
		if steps[step]++; steps[step] > steps[usual] || steps[step] == steps[usual] && step < usual {
			usual = step
		}
	}
	sizes := slices.Sorted(maps.Values(rows))
	if steps[usual] < 4 || 5*steps[usual] < 3*(len(list)-1) || c.Kind == contract.Event && middle(sizes) < enough {
		return nil
	}
	month := func(m int) reference.Day {
		return reference.DayOf(time.Date(m/12, time.Month(m%12+1), 1, 0, 0, 0, 0, time.UTC))
	}
	if c.Kind == contract.Event { // the source may have gone on where the contract did not
		tail := list[len(list)-1]
		if left := (monthOf(last) - 1 - tail) / usual; left > 0 {
			list = append(list, tail+(left+1)*usual)
		}
	}
	var found []Finding
	ordinary := y.ordinary(counts)
	for i := 1; i < len(list); i++ {
		left := (list[i]-list[i-1])/usual - 1
		if left < 1 {
			continue
		}
		a, b := month(list[i-1]+usual), month(list[i])-1
		d := a
		for d <= b && !ordinary(d) {
			d++
		}
		if d > b && c.Kind == contract.Event {
			continue // the summer of a school
		}
		found = append(found, Finding{Source: source, Contract: c.Type, Rule: "missing-period", Severity: Doubtful, Period: spanLabel(a, b), From: dateOf(a), To: dateOf(b),
			Count: int64(left), Since: dateOf(a), Owner: y.owner(source, c), Words: y.wordsOf(source,
				"%s, “%s”: %s: %d ta davr uchun yozuv yoʻq, odatda har %d oyda keladi.",
				"%s, «%s»: %s: периодов без записей: %d; обычно приходят раз в %d мес.",
				"%s, “%s”: %s: periods without rows: %d; months from one to the next, usually: %d.", c, spanLabel(a, b), left, usual)})
	}
	return found
}
