package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

// object is a view or a table of the analysts' database.
type object struct {
	name    string
	about   string
	columns []column // name, kind, about
	query   string   // of a view
	rows    [][]any  // of a table
	order   []string // of a table
	of      kind
	source  string // of events: the system that sends them, as their contract declares
}

// kind is what the rows of an object are, by which it follows who may see which.
type kind int

const (
	known   kind = iota // reference tables, calendar, definitions: the same for everybody
	events              // rows of a contract
	figures             // kpi_values
)

// Object is a view or a table that [Warehouse.MigrateViews] keeps in the analysts'
// database. Whatever else is in that database somebody made by hand.
type Object struct {
	Name    string   // without the database
	About   string   // its comment
	Columns []string // in their order
	Events  bool     // its rows are single events, pseudonymised: internal, also when exported

	of     kind
	source string
}

// Objects are those that the analysts' database has for the contracts, KPIs and
// reference tables, by name.
func (w *Warehouse) Objects(refs *reference.Set) []Object {
	var list []Object
	for _, stage := range w.objects(refs) {
		for _, o := range stage {
			made := Object{Name: o.name, About: o.about, Events: o.of == events, of: o.of, source: o.source}
			for _, c := range o.columns {
				made.Columns = append(made.Columns, c.name)
			}
			list = append(list, made)
		}
	}
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// AnalystsDatabase is the name of the analysts' database: ombor, after the prefix of
// [Config].
func (w *Warehouse) AnalystsDatabase() string { return w.databases.ombor }

// owners are the columns that name whose an event is, the first that a contract has: by
// the dimension by which somebody's rows are told from others'.
var owners = map[string][]string{"agency": {"agency", "owner"}, "region": {"region"}}

// OwnerField is the field of a contract that names whose an event is, by the dimension "agency"
// or "region"; "" where none does.
func OwnerField(c *contract.Contract, dimension string) string {
	return firstOf(owners[dimension], func(name string) bool { return c.Field(name) != nil })
}

func firstOf(names []string, there func(string) bool) string {
	if i := slices.IndexFunc(names, there); i >= 0 {
		return names[i]
	}
	return ""
}

// Owner is the column that names whose a row is, of an object of events; "" where the
// rows are everybody's or nobody's, or the agency's that owns the system that sends them.
func (o Object) Owner(dimension string) string {
	if o.of != events {
		return ""
	}
	return firstOf(owners[dimension], func(name string) bool { return slices.Contains(o.Columns, name) })
}

// OwnSources are the sources whose rows are an agency's because it owns the systems that send
// them, where no field of a contract says whose an event is: all that it owns when one of them is
// source, which the contract declares; nil else. What stands in for them is among them. systems has
// the agency that owns each source.
func OwnSources(source, agency string, systems map[string]string) (own []string) {
	if source == "" || agency == "" || systems[source] != agency {
		return nil
	}
	for s, owner := range systems {
		if owner == agency {
			own = append(own, s, contract.StandIn(s))
		}
	}
	slices.Sort(own)
	return own
}

// Own is the condition on an object's rows, in ClickHouse's SQL, under which somebody
// sees no others than those of one agency (or region) and what is everybody's: "1" of
// reference tables; of kpi_values also the figures of the whole. Events that name no agency are
// told by the system that sent them ([OwnSources]); "0" where they are nobody's or another's.
// dimension is "agency" or "region"; of any other the condition is "0". systems has the agency that
// owns each source.
func (o Object) Own(dimension, value string, systems map[string]string) string {
	switch column := o.Owner(dimension); {
	case owners[dimension] == nil:
		return "0"
	case o.of == known:
		return "1"
	case value == "" && o.of == figures:
		return "(`by` = '')"
	case value == "":
		return "0" // also of rows that name none
	case o.of == figures:
		return fmt.Sprintf("(`by` = '' OR has(splitByChar(',', `by`), %s) AND arrayElement(key, indexOf(splitByChar(',', `by`), %[1]s)) = %s)", literal(dimension), literal(value))
	case column != "":
		return fmt.Sprintf("(toString(%s) = %s)", name(column), literal(value))
	case dimension == "agency":
		var list []string
		for _, source := range OwnSources(o.source, value, systems) {
			list = append(list, literal(source))
		}
		if list != nil {
			return fmt.Sprintf("(toString(%s) IN (%s))", name(contract.ColumnSource), strings.Join(list, ", "))
		}
	}
	return "0"
}

// Own is [Object.Own] of the analysts' tables by their names; "0" of a table that is none
// of [Warehouse.Objects].
func (w *Warehouse) Own(refs *reference.Set, systems map[string]string) func(table, dimension, value string) string {
	objects := map[string]Object{}
	for _, o := range w.Objects(refs) {
		objects[o.Name] = o
	}
	return func(table, dimension, value string) string {
		o, ok := objects[table]
		if !ok {
			return "0"
		}
		return o.Own(dimension, value, systems)
	}
}

// View is the analysts' view of a contract's rows that stand, with its database; false
// when it has none, because it holds fields of class special.
func (w *Warehouse) View(c *contract.Contract) (string, bool) {
	return plain(w.databases.ombor) + "." + plain(c.Table()), !c.Special()
}

// Ledger is the analysts' view of every row of a contract, with the column _sign.
func (w *Warehouse) Ledger(c *contract.Contract) (string, bool) {
	return plain(w.databases.ombor) + "." + plain(ledgerName(c)), !c.Special()
}

func ledgerName(c *contract.Contract) string { return c.Table() + "_ledger" }

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// plain is an identifier, quoted where it must be.
func plain(s string) string {
	if identifier.MatchString(s) {
		return s
	}
	return name(s)
}

// MigrateViews brings the analysts' database to what contracts and reference tables ask
// for. Call it after [Warehouse.Migrate]; it is idempotent, may be interrupted at any
// point, and touches only what changed. Whatever else somebody made in the database stays.
func (w *Warehouse) MigrateViews(ctx context.Context, refs *reference.Set) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	made := map[string]string{} // of what is there, whoever made it: name → digest
	err := w.each(ctx, "warehouse: views", fmt.Sprintf("SELECT there.name, noted.digest FROM system.tables AS there LEFT JOIN (SELECT name, argMax(digest, made) AS digest FROM %s.views GROUP BY name) AS noted ON noted.name = there.name WHERE there.database = {ombor:String}", name(w.databases.meta)),
		map[string]string{"ombor": w.databases.ombor}, func(scan Scan) error {
			var object, digest string
			err := scan(&object, &digest)
			made[object] = digest
			return err
		})
	if err != nil {
		return err
	}
	var notes []string
	for _, stage := range w.objects(refs) {
		group, inner := errgroup.WithContext(ctx)
		group.SetLimit(atOnce)
		for _, o := range stage {
			digest, err := o.digest()
			if err != nil {
				return err
			}
			have, there := made[o.name]
			delete(made, o.name)
			if have == digest {
				continue
			}
			group.Go(func() error { return w.make(inner, o, there) })
			notes = append(notes, fmt.Sprintf("(%s, %s)", literal(o.name), literal(digest)))
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	for _, gone := range slices.Sorted(maps.Keys(made)) {
		if made[gone] == "" {
			continue // somebody else's
		}
		if err := w.exec(ctx, "warehouse: views", nil, "DROP TABLE IF EXISTS "+w.analysts(gone)); err != nil {
			return err
		}
		notes = append(notes, fmt.Sprintf("(%s, '')", literal(gone)))
	}
	if len(notes) == 0 {
		return nil
	}
	return w.exec(ctx, "warehouse: views", settings{"async_insert": 0}, fmt.Sprintf("INSERT INTO %s.views (name, digest) VALUES %s", name(w.databases.meta), strings.Join(notes, ", ")))
}

// analysts is an object of the analysts' database, quoted.
func (w *Warehouse) analysts(object string) string {
	return name(w.databases.ombor) + "." + name(object)
}

func (o *object) digest() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, o.name, o.about, o.columns, o.query, o.order)
	if err := json.NewEncoder(h).Encode(o.rows); err != nil {
		return "", problem.Wrap(err, problem.Internal, "warehouse: views", "%s cannot be written", o.name)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// make makes an object; one that is there is replaced in one step.
func (w *Warehouse) make(ctx context.Context, o object, there bool) error {
	op := "warehouse: make " + o.name
	if o.of == figures {
		if err := w.makeUnpublished(ctx); err != nil {
			return err
		}
	}
	if o.query != "" {
		return w.exec(ctx, op, nil, "CREATE OR REPLACE VIEW "+w.analysts(o.name)+definitionsOf(o.columns)+"AS "+o.query+"\nCOMMENT "+literal(o.about))
	}
	return w.replaceTable(ctx, op, w.databases.ombor, o, there)
}

// replaceTable puts a table with an object's rows in the place of the one that is there,
// in one step.
func (w *Warehouse) replaceTable(ctx context.Context, op, database string, o object, there bool) error {
	table, next := name(database)+"."+name(o.name), name(database)+"."+name(o.name+"__next")
	statements := []string{
		"DROP TABLE IF EXISTS " + next,
		"CREATE TABLE " + next + definitionsOf(o.columns) + "ENGINE = MergeTree ORDER BY (" + names(o.order) + ")\nCOMMENT " + literal(o.about),
	}
	if len(o.rows) > 0 {
		var rows strings.Builder
		rows.WriteString("INSERT INTO " + next + " FORMAT JSONCompactEachRow\n")
		encoder := json.NewEncoder(&rows)
		for _, row := range o.rows {
			if err := encoder.Encode(row); err != nil {
				return problem.Wrap(err, problem.Internal, op, "a row cannot be written")
			}
		}
		statements = append(statements, rows.String())
	}
	if there {
		statements = append(statements, "EXCHANGE TABLES "+next+" AND "+table, "DROP TABLE "+next)
	} else {
		statements = append(statements, "RENAME TABLE "+next+" TO "+table)
	}
	for _, statement := range statements {
		if err := w.exec(ctx, op, settings{"async_insert": 0}, statement); err != nil {
			return err
		}
	}
	return nil
}

func definitionsOf(columns []column) string {
	var lines []string
	for _, col := range columns {
		lines = append(lines, "    "+col.definition())
	}
	return "\n(\n" + strings.Join(lines, ",\n") + "\n)\n"
}

// objects are everything that the database should have, in stages: each reads the ones
// before it alone.
func (w *Warehouse) objects(refs *reference.Set) [][]object {
	var views, tables, histories []object
	taken := map[string]bool{"calendar": true, "kpis": true}
	for _, c := range w.contracts {
		if c.Name == contract.FigurePublished {
			views = append(views, w.kpiValues(c))
		}
		if !c.Special() {
			views = append(views, w.viewOf(c), w.ledgerOf(c))
		}
	}
	for _, o := range views {
		taken[o.name] = true
	}
	tables = append(tables, calendarOf(refs.Calendar()), definitions(w.kpis))
	for _, table := range refs.Tables() {
		now, history := w.dimension(refs.Table(table))
		if taken[now.name] || taken[history.name] {
			continue // a contract's name comes first
		}
		taken[now.name], taken[history.name] = true, true
		tables, histories = append(tables, now), append(histories, history)
	}
	return [][]object{views, tables, histories}
}

// viewOf is the view of a contract's rows that stand.
func (w *Warehouse) viewOf(c *contract.Contract) object {
	about := strings.TrimSpace(c.Title.In("en") + ". " + c.About)
	if c.Kind == contract.Figure {
		about += " A total that was reported for the days from " + c.Window.From + " to " + c.Window.To + "."
	}
	columns, selected := w.visible(c)
	return object{name: c.Table(), of: events, source: c.Source, about: about + " One row for each event, corrections settled.", columns: columns,
		query: fmt.Sprintf("SELECT %s\nFROM %s\nWHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %s WHERE _sign < 0)", selected, w.Facts(c), w.Facts(c))}
}

// ledgerOf is the view of all of a contract's rows.
func (w *Warehouse) ledgerOf(c *contract.Contract) object {
	columns, selected := w.visible(c)
	columns = append(columns, column{name: "_sign", kind: "Int8", about: "+1, or -1 for a row that a correction takes back: sum(_sign) counts"})
	return object{name: ledgerName(c), of: events, source: c.Source, columns: columns, query: "SELECT " + selected + ", _sign\nFROM " + w.Facts(c),
		about: c.Title.In("en") + ": every row ever received, also those that were taken back later. With _cut <= a day: what was known on it."}
}

// visible are the columns of a contract that analysts see, and their SELECT list.
func (w *Warehouse) visible(c *contract.Contract) (columns []column, selected string) {
	var list []string
	for _, col := range factColumns(c) {
		if col.name == "_sign" || col.name == "_batch" {
			continue
		}
		f := c.Field(col.name)
		if f != nil {
			col.about = aboutField(f)
		}
		expression := name(col.name)
		if col.name == contract.ColumnTime || f != nil && f.Type == contract.Timestamp {
			expression = w.local(col.name) + " AS " + name(col.name)
			col.kind = strings.Replace(col.kind, "'UTC'", literal(w.zone.String()), 1)
		}
		columns, list = append(columns, column{name: col.name, kind: col.kind, about: col.about}), append(list, expression)
	}
	return columns, strings.Join(list, ", ")
}

// aboutField tells of a field what its definition does.
func aboutField(f *contract.Field) string {
	said := []string{f.Title.In("en")}
	if said[0] == "" {
		said[0] = strings.ReplaceAll(f.Name, "_", " ")
	}
	for _, s := range []string{f.About, f.Unit} {
		if s != "" {
			said = append(said, s)
		}
	}
	switch f.Type {
	case contract.Enum:
		said = append(said, "one of "+strings.Join(f.Values, ", "))
	case contract.Ref:
		said = append(said, "code of the table "+f.To)
	case contract.Person:
		said = append(said, "pseudonym: the same person has the same one everywhere")
	case contract.Duration:
		if f.Unit == "" {
			said = append(said, "milliseconds")
		}
	}
	if !f.Required && f.EmptyIsAbsent() {
		said = append(said, "empty: not told")
	}
	return strings.Join(said, "; ")
}

// dimension is a reference table as it is now and through time.
func (w *Warehouse) dimension(t *reference.Table) (now, history object) {
	var languages, plainColumns []string
	for _, col := range t.Columns {
		if tag, ok := strings.CutPrefix(col, "name_"); ok {
			languages = append(languages, tag)
		} else if !slices.Contains([]string{t.Key, "aliases", "valid_from", "valid_to"}, col) {
			plainColumns = append(plainColumns, col)
		}
	}
	columns := []column{{name: "code", kind: "String", about: "code, as events name it"}}
	for _, tag := range languages {
		columns = append(columns, column{name: "name_" + tag, kind: "String", about: "name in the language " + tag})
	}
	for _, col := range plainColumns {
		about := strings.ReplaceAll(col, "_", " ") + ", as in the pack's table"
		if col == "parent" {
			about = "code of the row above"
		}
		columns = append(columns, column{name: col, kind: "String", about: about})
	}
	spans := append(slices.Clone(columns),
		column{name: "valid_from", kind: "Nullable(Date32)", about: "first day on which this holds; null: since ever"},
		column{name: "valid_to", kind: "Nullable(Date32)", about: "last day on which this holds; null: still"})
	cells := func(row reference.Row) []any {
		list := []any{row.Code}
		for _, tag := range languages {
			list = append(list, row.Value("name_"+tag))
		}
		for _, col := range plainColumns {
			list = append(list, row.Value(col))
		}
		return list
	}
	now = object{name: t.Name, about: "The table " + t.Name + " of the pack: one row for each code, with its latest meaning.", columns: columns, order: []string{"code"}}
	history = object{name: t.Name + "_history", about: "The table " + t.Name + " through time: one row for each span in which a code had one meaning.", columns: spans, order: []string{"code"}}
	for i, row := range t.Rows() {
		if i+1 == len(t.Rows()) || t.Rows()[i+1].Code != row.Code {
			now.rows = append(now.rows, cells(row))
		}
		history.rows = append(history.rows, append(cells(row), dayOrNull(row.Valid.From), dayOrNull(row.Valid.To)))
	}
	if told, ok := w.told(t, languages); ok {
		history = told
	}
	return now, history
}

func dayOrNull(d reference.Day) any {
	if d == reference.NoDay {
		return nil
	}
	return d.String()
}

// told is the history of a table that events change: of every code and day the last
// description, until the day before the next one.
func (w *Warehouse) told(t *reference.Table, languages []string) (object, bool) {
	c := w.Contract(t.History)
	if t.History == "" || c == nil || c.Special() {
		return object{}, false
	}
	at := slices.IndexFunc(c.Fields, func(f contract.Field) bool { return f.Type == contract.Ref && f.To == t.Name && f.Required })
	if at < 0 {
		return object{}, false
	}
	key := name(c.Fields[at].Name)
	columns := []column{{name: "code", kind: "String", about: "code, as events name it"}}
	selected := []string{"toString(last." + key + ") AS code"}
	for i := range c.Fields {
		f := &c.Fields[i]
		if i == at || slices.Contains([]string{"code", "valid_from", "valid_to"}, f.Name) {
			continue
		}
		col := fieldColumn(f)
		expression := "last." + name(f.Name) + " AS " + name(f.Name)
		if f.Type == contract.Timestamp {
			col.kind = strings.Replace(col.kind, "'UTC'", literal(w.zone.String()), 1)
		}
		columns, selected = append(columns, column{name: f.Name, kind: col.kind, about: aboutField(f)}), append(selected, expression)
	}
	for _, tag := range languages {
		if c.Field("name_"+tag) != nil {
			continue
		}
		columns = append(columns, column{name: "name_" + tag, kind: "String", about: "name in the language " + tag})
		selected = append(selected, "named."+name("name_"+tag)+" AS "+name("name_"+tag))
	}
	columns = append(columns,
		column{name: "valid_from", kind: "Date", about: "first day on which this holds"},
		column{name: "valid_to", kind: "Nullable(Date)", about: "last day on which this holds; null: still"},
		column{name: "_simulated", kind: "Bool", about: "made by simulation"})
	selected = append(selected, "last._day AS valid_from", "last.next - 1 AS valid_to", "last._simulated AS _simulated")
	return object{name: t.Name + "_history", columns: columns,
		about: "The table " + t.Name + " through time, as " + c.Name + " tells it: one row for each span in which a code had one description.",
		query: fmt.Sprintf("SELECT %s\nFROM (\n    SELECT *, leadInFrame(toNullable(_day)) OVER (PARTITION BY %[2]s ORDER BY _day ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS next\n"+
			"    FROM (SELECT * FROM %[3]s ORDER BY time DESC, _seq DESC LIMIT 1 BY %[2]s, _day)\n) AS last\nLEFT JOIN %[4]s AS named ON named.code = toString(last.%[2]s)",
			strings.Join(selected, ", "), key, w.analysts(c.Table()), w.analysts(t.Name))}, true
}

// firstYear and lastYear bound the calendar.
const firstYear, lastYear = 2010, 2040

// calendarOf is a row for each day, with the periods by which figures are told.
func calendarOf(c *reference.Calendar) object {
	o := object{name: "calendar", about: "A row for each day, with the periods as figures are labelled by them. Days off are known for the years whose holidays the pack lists; in others the week's rule holds.",
		order: []string{"day"}, columns: []column{
			{name: "day", kind: "Date", about: "the day"},
			{name: "weekday", kind: "UInt8", about: "1 is Monday, 7 is Sunday"},
			{name: "works", kind: "Bool", about: "a working day: holidays and moved days off are not, moved working days are"},
			{name: "working_days", kind: "UInt32", about: "working days up to this one, itself included: of two days the difference is the wait in working days"},
			{name: "holiday", kind: "String", about: "what a day is called that differs from its week, in English where it has a name: a holiday, a day moved to or from; empty: a day like any other"},
			{name: "week", kind: "String", about: "ISO 8601 week, 2024-W10"},
			{name: "month", kind: "String", about: "2024-03"},
			{name: "quarter", kind: "String", about: "calendar quarter, 2024-Q1"},
			{name: "year", kind: "UInt16", about: "calendar year"},
			{name: "fiscal_year", kind: "UInt16", about: "fiscal year, named by the calendar year in which it begins"},
			{name: "school_quarter", kind: "String", about: "code of the school quarter; empty in the holidays"},
		}}
	first, last := reference.DayOf(time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)), reference.DayOf(time.Date(lastYear, 12, 31, 0, 0, 0, 0, time.UTC))
	working := 0
	for d := first; d <= last; d++ {
		t := d.Time()
		if c.Works(d) {
			working++
		}
		isoYear, week := t.ISOWeek()
		school := ""
		if q, ok := c.Quarter(d); ok {
			school = q.Code
		}
		o.rows = append(o.rows, []any{d.String(), (int(t.Weekday())+6)%7 + 1, c.Works(d), working, holiday(c, d), fmt.Sprintf("%d-W%02d", isoYear, week),
			t.Format("2006-01"), fmt.Sprintf("%d-Q%d", t.Year(), (int(t.Month())-1)/3+1), t.Year(), c.FiscalYear(d), school})
	}
	return o
}

// holiday is what a day is called that differs from its week.
func holiday(c *reference.Calendar, d reference.Day) string {
	if name := c.DayNames[d].In("en"); name != "" {
		return name
	}
	switch c.Days[d] {
	case reference.Holiday:
		return "holiday"
	case reference.WorkingDay:
		return "working day"
	}
	return ""
}
