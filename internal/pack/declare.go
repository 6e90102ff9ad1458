package pack

import (
	"time"

	"ombor/internal/reference"
)

// The declarations below are the format: their tags name the YAML keys, what is
// required and what is allowed. The decoder (decode.go), the JSON Schema (schema.go)
// and docs/packs.md all follow from them.
//
//	yaml:"key"        the key; ",key" takes the key of a mapping, ",line" the line it stands on
//	need:"yes"        the key must be there
//	one:"a b c"       allowed values
//	like:"name"       a form of text: a key of the table forms
//	doc:"…"           one sentence for people and editors
//
// A Go type that may also be written as one scalar has FromScalar(string) error.

type packDeclaration struct {
	Name      string                `yaml:"name" need:"yes" like:"id" doc:"Short name of the pack."`
	Prefix    string                `yaml:"prefix" need:"yes" like:"prefix" doc:"What the types of its events begin with: uz.gov. (with the point)."`
	Title     reference.Names       `yaml:"title" need:"yes" doc:"What people call it, in every language of the pack."`
	Languages []string              `yaml:"languages" need:"yes" like:"language" doc:"Languages of titles and labels, BCP 47; the first is the default."`
	Zone      string                `yaml:"zone" need:"yes" like:"zone" doc:"IANA time zone in which days begin and end: Asia/Tashkent."`
	Currency  string                `yaml:"currency" like:"currency" doc:"ISO 4217 code of money fields, which count its minor unit."`
	K         *int                  `yaml:"k" doc:"A cell of fewer persons than this is hidden: 10 when not told, 5 at the least."`
	Calendar  calendarDeclaration   `yaml:"calendar" doc:"Working days, school quarters, fiscal year."`
	Sources   []sourceDeclaration   `yaml:"sources" need:"yes" doc:"The systems that send events, by the key that contracts name."`
	Reference []tableDeclaration    `yaml:"reference" doc:"Reference tables, by the name that fields name in to."`
	Published [][]string            `yaml:"published" doc:"What of every KPI people outside may see once a period is closed: sets of dimensions, [] is the whole country. A KPI takes those that one of its rollups holds; nothing is published when not told."`
	Seed      []seedDeclaration     `yaml:"seed" doc:"Tables whose rows are sent as events when a server starts on the pack."`
	Portfolio *portfolioDeclaration `yaml:"portfolio" doc:"Which contracts tell of projects; without it there is no portfolio."`
	Line      int                   `yaml:",line"`
}

type calendarDeclaration struct {
	Week     []string `yaml:"week" one:"monday tuesday wednesday thursday friday saturday sunday" doc:"Working days of the week; all seven when not told."`
	Holidays string   `yaml:"holidays" like:"csv" doc:"File in reference/ with the columns date, kind (holiday or working), name_…"`
	Quarters string   `yaml:"quarters" like:"csv" doc:"File in reference/ with the school quarters: code, valid_from, valid_to, name_…"`
	Fiscal   string   `yaml:"fiscal_year" one:"january february march april may june july august september october november december" doc:"Month in which the fiscal year begins; january when not told."`
}

type sourceDeclaration struct {
	ID        string          `yaml:",key" like:"id"`
	Title     reference.Names `yaml:"title" need:"yes" doc:"What people call the system."`
	Owner     string          `yaml:"owner" doc:"Code of the organisation that answers for it, from the table organisations."`
	Freshness time.Duration   `yaml:"freshness" doc:"How old its newest event may be before it counts as late: 15m, 2h, 1d, 40d. Closing a period is no event of the source: a register that changes seldom promises as long as it may stay unchanged."`
	Closing   time.Duration   `yaml:"closing" doc:"How long after its end a period waits for this source to close it, in days: 10d. Then it counts as closed, and figures say that the source did not. Not told: it closes once events from after its end have come."`
	Contact   string          `yaml:"contact" doc:"Where to ask: an address or a web page."`
	Line      int             `yaml:",line"`
}

type tableDeclaration struct {
	Name    string `yaml:",key" like:"id"`
	File    string `yaml:"file" need:"yes" like:"csv" doc:"File in reference/."`
	Key     string `yaml:"key" like:"field" doc:"Column of the codes; code when not told."`
	History string `yaml:"history" like:"contract" doc:"Contract whose events change the table; KPIs of kind stock read them."`
	Line    int    `yaml:",line"`
}

type seedDeclaration struct {
	Table    string        `yaml:"table" need:"yes" doc:"Reference table whose rows are sent, one event for each."`
	Contract string        `yaml:"contract" need:"yes" like:"contract" doc:"Contract of the events. Columns go to the fields of the same name, the code to the field that refers to the table."`
	Since    reference.Day `yaml:"since" need:"yes" doc:"Day of the event of a row that has no valid_from."`
	Active   string        `yaml:"active" like:"field" doc:"Boolean field that is true while a row is valid; a row with valid_to then sends a second event with false on the day after."`
	Line     int           `yaml:",line"`
}

type portfolioDeclaration struct {
	Contracts   map[string]string `yaml:"contracts" need:"yes" doc:"Contracts by the role that they play: registered, staged, milestone_planned and so on. A contract has the fields of its role."`
	Ended       []string          `yaml:"ended" doc:"Stages in which a project has left the portfolio."`
	ReportEvery int               `yaml:"report_every" doc:"Days after which a report is due when the last one named no day."`
	ReportGrace int               `yaml:"report_grace" doc:"Working days after which a report that was due counts as missing."`
	Line        int               `yaml:",line"`
}

type contractDeclaration struct {
	Type      string               `yaml:"type" need:"yes" like:"type" doc:"CloudEvents type: the pack's prefix, the contract's name, its major version: uz.gov.request.decided.v1."`
	Kind      string               `yaml:"kind" one:"event figure" doc:"event (the default): something that happened once. figure: a total reported for a window."`
	Title     reference.Names      `yaml:"title" need:"yes" doc:"What people call it."`
	About     string               `yaml:"about" doc:"When it is sent and what it says, for integrators."`
	Source    string               `yaml:"source" need:"yes" doc:"The system that sends it, a key of sources in pack.yaml."`
	Window    windowDeclaration    `yaml:"window" doc:"With kind figure: the two date fields that bound the window, both days included."`
	Retention retentionDeclaration `yaml:"retention" doc:"How long rows are kept; for ever when not told."`
	Fields    []fieldDeclaration   `yaml:"fields" need:"yes" doc:"The event's data, in order."`
	Rules     []ruleDeclaration    `yaml:"rules" doc:"Checks of one event."`
	Once      []string             `yaml:"once" doc:"Fields that tell one thing from another. Events that have the same values in all of them are kept, and are a finding of data quality, sent-again."`
	Examples  []map[string]any     `yaml:"examples" doc:"Data of events that must pass; time in an example is the event's time."`
	Line      int                  `yaml:",line"`
}

type windowDeclaration struct {
	From string `yaml:"from" need:"yes" like:"field" doc:"Field with the first day."`
	To   string `yaml:"to" need:"yes" like:"field" doc:"Field with the last day."`
}

type retentionDeclaration struct {
	Warehouse months `yaml:"warehouse" doc:"In the warehouse: 18m, 5y, forever."`
	Lake      months `yaml:"lake" doc:"In the lake."`
}

type fieldDeclaration struct {
	Name     string          `yaml:",key" like:"field"`
	Type     string          `yaml:"type" need:"yes" one:"text code enum ref person timestamp date integer decimal money boolean duration number" doc:"What the value is."`
	Required bool            `yaml:"required" doc:"An event without it is refused."`
	Class    string          `yaml:"class" one:"open internal personal special" doc:"Who may see it: internal when not told, personal for a person."`
	Title    reference.Names `yaml:"title" doc:"What people call it."`
	About    string          `yaml:"about" doc:"What it says."`
	Values   []string        `yaml:"values" doc:"enum: the allowed values."`
	To       string          `yaml:"to" doc:"ref: the reference table."`
	ID       string          `yaml:"id" like:"id" doc:"person: the kind of identifier (pinfl, phone); each kind has pseudonyms of its own."`
	Unit     string          `yaml:"unit" doc:"What a number counts: tiyin, ms, byte."`
	Scale    int             `yaml:"scale" doc:"decimal: digits after the point, 0 to 9."`
	Default  string          `yaml:"default" doc:"Where the value comes from when absent: service.agency is the column agency of the row that the field service names."`
	Line     int             `yaml:",line"`
}

type ruleDeclaration struct {
	ID       string `yaml:"id" need:"yes" like:"id" doc:"Name of the rule in refusals."`
	Check    string `yaml:"check" need:"yes" doc:"CEL over the fields and time; skipped when it reads an absent optional field."`
	Severity string `yaml:"severity" need:"yes" one:"refuse quarantine warn" doc:"What a broken rule does."`
	Line     int    `yaml:",line"`
}

type kpiDeclaration struct {
	ID        string               `yaml:"id" need:"yes" like:"id" doc:"Permanent."`
	Title     reference.Names      `yaml:"title" need:"yes" doc:"What people call it."`
	About     reference.Names      `yaml:"about" need:"yes" doc:"The definition in words."`
	Group     string               `yaml:"group" like:"id" doc:"The system it belongs to; its words are the label group.<group>."`
	Owner     string               `yaml:"owner" need:"yes" doc:"Code of the organisation that answers for it, from the table organisations."`
	Unit      string               `yaml:"unit" need:"yes" like:"unit" doc:"percent, count, ratio, hours, minutes, days, bytes, a currency code, or a noun whose words are the label unit.<unit>."`
	Direction string               `yaml:"direction" need:"yes" one:"up down neither" doc:"Which way is better."`
	Kind      string               `yaml:"kind" one:"flow stock" doc:"flow (the default) is counted over a period; stock is counted on a day from the history of a reference table."`
	Ranked    string               `yaml:"ranked_by" like:"id" doc:"KPI whose value ranks what is missing to a target, broken down by the same field: requests, for services."`
	Versions  []versionDeclaration `yaml:"versions" need:"yes" doc:"Its formulae, following each other in time within a variant; the first variant is the default."`
	Line      int                  `yaml:",line"`
}

type versionDeclaration struct {
	Version      int                      `yaml:"version" need:"yes" doc:"1, 2, 3 … within the variant."`
	Variant      string                   `yaml:"variant" like:"id" doc:"Name of a rival definition; none for the default."`
	Valid        spanDeclaration          `yaml:"valid" doc:"Days on which it is the definition."`
	Source       wordsDeclaration         `yaml:"source" need:"yes" doc:"The act or publication that states it; one text stands in every language, as the name of a foreign publication does."`
	From         listOf                   `yaml:"from" doc:"Contracts that it reads (request.decided or request.decided.v1), one or a list; for a stock the reference table, or with each a contract. Not told when the parts of the formulae name theirs."`
	Each         string                   `yaml:"each" like:"field" doc:"stock of a contract: the field whose newest event on the day counts, once for each value."`
	Match        []matchDeclaration       `yaml:"match" doc:"Truths about a row that another contract tells, by the name under which expressions ask for them."`
	Only         string                   `yaml:"only" doc:"Reported figures: ClickHouse condition on those that are meant; others are not looked at, not as a case and not for their state."`
	Numerator    formulaDeclaration       `yaml:"numerator" doc:"Formula; alone it is the value. Or parts that are added up, each over a contract of its own."`
	Denominator  formulaDeclaration       `yaml:"denominator" doc:"Formula that the numerator is divided by, at the very end; or parts."`
	Per          *perDeclaration          `yaml:"per" doc:"What the value is told for each of, in place of a denominator."`
	Backlog      *backlogDeclaration      `yaml:"backlog" doc:"stock: the age of what has entered and not left, in place of a formula."`
	Running      bool                     `yaml:"running" doc:"A period's figure counts all events up to its end, as that of the accounts that there are."`
	Matures      int                      `yaml:"matures" doc:"Days after which a day can be told: rows of the last so many days, counted back from today, are left out."`
	Distribution *distributionDeclaration `yaml:"distribution" doc:"Quantiles in place of a formula."`
	Distinct     *distinctDeclaration     `yaml:"distinct" doc:"An exact number of different persons or keys in place of a formula."`
	At           string                   `yaml:"at" like:"field" doc:"Field that dates a row; time when not told."`
	Grain        string                   `yaml:"grain" one:"day hour" doc:"Finest period; day when not told."`
	Rollups      [][]string               `yaml:"rollups" doc:"Sets of at most three fields by which it can be broken down quickly."`
	Published    [][]string               `yaml:"published" doc:"What people outside may see of it, in place of what pack.yaml says: sets of dimensions, each within one of rollups."`
	Persons      string                   `yaml:"persons" like:"field" doc:"The person field whose distinct persons disclosure counts."`
	Counts       string                   `yaml:"counts" one:"persons" doc:"persons: what is counted (the denominator, if there is one) is persons, of whom the events tell no pseudonym; the count itself has to be k."`
	Covered      string                   `yaml:"covered" doc:"Formula: units that are in the value."`
	Expected     string                   `yaml:"expected" doc:"Formula: units that could have been."`
	Line         int                      `yaml:",line"`
}

// wordsDeclaration is a text by language, or under the empty one a text for all of them.
type wordsDeclaration reference.Names

// FromScalar reads a text for all languages.
func (w *wordsDeclaration) FromScalar(text string) error {
	*w = wordsDeclaration{"": text}
	return nil
}

// formulaDeclaration is one formula over the contracts of the version, or parts.
type formulaDeclaration []partDeclaration

// FromScalar reads a formula that stands alone.
func (f *formulaDeclaration) FromScalar(text string) error {
	*f = formulaDeclaration{{Is: text}}
	return nil
}

type matchDeclaration struct {
	Name   string `yaml:",key" like:"field"`
	In     string `yaml:"in" need:"yes" doc:"The contract that is looked into."`
	On     listOf `yaml:"on" need:"yes" doc:"Fields that must be equal: request, or school = institution where the other's name differs (its name stands last)."`
	When   string `yaml:"when" doc:"ClickHouse condition over the fields and time, and the other's as its.field; _id tells events of one time apart; as_of is the day of a stock, or today; workdays(from, to) is how many working days lie after from up to and with to."`
	Newest string `yaml:"newest" doc:"Condition in the same terms that the newest of those rows must meet; any row of them will do when not told."`
	First  string `yaml:"first" like:"field" doc:"Field of the oldest of those rows: the name stands for its value, absent where there is no row, and not for a truth."`
	Line   int    `yaml:",line"`
}

type partDeclaration struct {
	From string `yaml:"from" need:"yes" doc:"The contract that the part counts."`
	Is   string `yaml:"is" need:"yes" doc:"Formula."`
	At   string `yaml:"at" like:"field" doc:"Field that dates its rows; time when not told."`
	Line int    `yaml:",line"`
}

type spanDeclaration struct {
	From reference.Day `yaml:"from" doc:"First day."`
	To   reference.Day `yaml:"to" doc:"Last day."`
}

type distributionDeclaration struct {
	Of        string    `yaml:"of" need:"yes" doc:"ClickHouse expression over the fields and time, in the KPI's unit."`
	If        string    `yaml:"if" doc:"ClickHouse condition; all rows when not told."`
	Quantiles []float64 `yaml:"quantiles" need:"yes" doc:"Between 0 and 1, which is the maximum; the first is the value."`
}

type distinctDeclaration struct {
	Of     string   `yaml:"of" need:"yes" like:"field" doc:"The field."`
	If     string   `yaml:"if" doc:"ClickHouse condition; all rows when not told."`
	Grains []string `yaml:"grains" need:"yes" one:"month quarter year" doc:"Calendar periods for which it is counted."`
}

type perDeclaration struct {
	Table  string `yaml:"table" need:"yes" doc:"Reference table to which a field of the contract refers."`
	Column string `yaml:"column" need:"yes" doc:"Its column of whole numbers that are added up."`
	Each   int64  `yaml:"each" need:"yes" doc:"The value is for each so many: 1000."`
}

type backlogDeclaration struct {
	Enters    string    `yaml:"enters" need:"yes" doc:"Contract whose event begins the wait."`
	Leaves    string    `yaml:"leaves" need:"yes" doc:"Contract whose event ends it."`
	On        string    `yaml:"on" need:"yes" like:"field" doc:"Required field of both that says what enters and leaves: request."`
	Entered   string    `yaml:"entered" need:"yes" like:"field" doc:"Required timestamp of the contract that leaves: when it had entered."`
	Quantiles []float64 `yaml:"quantiles" need:"yes" doc:"Of the days waited; the first is the value."`
}

type targetDeclaration struct {
	KPI     string            `yaml:"kpi" need:"yes" like:"id" doc:"The KPI that it is about."`
	Variant string            `yaml:"variant" like:"id" doc:"The definition that it means, when the KPI has several."`
	Kind    string            `yaml:"kind" one:"target result claim" doc:"target (the default): an act asks for it. result: a published figure to reproduce. claim: said, to be checked."`
	Act     actDeclaration    `yaml:"act" need:"yes" doc:"Where it is written."`
	Wording string            `yaml:"wording" need:"yes" doc:"What is written, in its own words."`
	In      string            `yaml:"language" doc:"The pack's language of wording and act.title; its first when not told."`
	Others  reference.Names   `yaml:"translations" doc:"The wording in the pack's other languages, by us; readers are told that it is a translation."`
	AtLeast *float64          `yaml:"at_least" doc:"The value must not be below."`
	AtMost  *float64          `yaml:"at_most" doc:"The value must not be above."`
	About   *float64          `yaml:"about" doc:"result, claim: the value was published as this, rounded."`
	UpTo    *float64          `yaml:"up_to" doc:"result, claim: the largest single value, never an average."`
	Due     reference.Day     `yaml:"due" doc:"The day by which it is asked."`
	Stated  *bool             `yaml:"due_stated" doc:"false when the act gives no date and due is our reading: then no run rate is computed."`
	Period  spanDeclaration   `yaml:"period" doc:"result, claim: the days that the published figure covers."`
	Base    *baseDeclaration  `yaml:"baseline" doc:"Where progress is counted from; the value on the day of act.in_force when not told."`
	Check   reference.Names   `yaml:"check" doc:"result, claim: what of it can be checked, and by what."`
	Owner   string            `yaml:"owner" doc:"Code of the organisation that answers for it; the KPI's owner when not told."`
	Where   map[string]string `yaml:"where" doc:"The part that it holds for: a field and its value."`
	Line    int               `yaml:",line"`
}

type baseDeclaration struct {
	On    reference.Day `yaml:"on" need:"yes" doc:"The day from which progress is counted."`
	Value *float64      `yaml:"value" doc:"The value on that day as the act tells it; what was measured on it when not told."`
}

type actDeclaration struct {
	Title   string          `yaml:"title" need:"yes" doc:"The act or publication."`
	Others  reference.Names `yaml:"translations" doc:"Its title in the pack's other languages."`
	URL     string          `yaml:"url" doc:"Where it can be read."`
	InForce reference.Day   `yaml:"in_force" doc:"Since when it holds."`
}
