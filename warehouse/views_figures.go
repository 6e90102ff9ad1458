package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
)

// Figure is a figure of kpi_values that was not published: of a period that is still
// open, or of a KPI that never is. Its mask is the one with which people inside are told it.
type Figure struct {
	KPI, Variant           string
	Version                int
	Grain                  string // month, quarter, year, or window of a reported figure
	From, To               reference.Day
	By, Key                []string // dimensions and their values, in the same order; none: the whole
	Open                   bool     // still arriving
	State                  string
	Value                  *float64 // nil: State says why
	Numerator, Denominator string   // exact decimals in the formula's own unit; "": none
	Cases                  *int64   // rows behind the figure
	Simulated              bool
}

// unpublished is the table of these figures, in the database that analysts do not see.
const unpublished = "unpublished"

// figureColumns are those of kpi_values, and how they are told from what was published.
// What is hidden has no numbers and one state, whatever the reason.
var figureColumns = []struct{ name, kind, about, published string }{
	{"kpi", "String", "id of the KPI, as in the table kpis", "toString(kpi)"},
	{"variant", "String", "variant of the definition; empty: the default", "toString(variant)"},
	{"version", "Int64", "version of the definition", "version"},
	{"grain", "String", "month, quarter or year; window: the days for which somebody reported", "toString(grain)"},
	{"from", "Date", "first day of the period", "toDate(from)"},
	{"to", "Date", "last day of the period", "toDate(to)"},
	{"by", "String", "the dimensions, by comma; empty: the whole", "toString(by)"},
	{"key", "Array(String)", "their values, in the same order", "JSONExtract(key, 'Array(String)')"},
	{"number", "Int64", "1 for what was published when the period closed, 2 and so on for corrections; 0: not published", "number"},
	{"known_on", "Date", "day on which it was published; where number is 0 the day of what was known when it was last worked out", "_day"},
	{"open", "Bool", "still arriving: the period has not ended, or not every source has closed it", "false"},
	{"state", "String", "value, zero, not_applicable, not_provided or suppressed", "if(hidden, 'suppressed', toString(state))"},
	{"value", "Nullable(Float64)", "the figure in the KPI's unit, percentages as 0 to 100; null: state says why", "if(hidden, NULL, value)"},
	{"numerator", "Nullable(Float64)", "in the formula's own unit", "if(hidden, NULL, toFloat64OrNull(numerator))"},
	{"denominator", "Nullable(Float64)", "in the formula's own unit", "if(hidden, NULL, toFloat64OrNull(denominator))"},
	{"cases", "Nullable(Int64)", "rows behind the figure", "if(hidden, NULL, cases)"},
	{"_simulated", "Bool", "made by simulation", "_simulated"},
}

// kpiValues is the view of what was published of closed periods, from the contract c,
// and of what was not.
func (w *Warehouse) kpiValues(c *contract.Contract) object {
	o := object{name: "kpi_values", of: figures, about: "The figures of the KPIs, masked: by month, quarter and year, as a whole and by dimension. latest: one row for each figure, as it stands. " +
		"The others are what had been published before: with number > 0 AND known_on <= a day, what was published by then. What is hidden has no numbers here."}
	var told, asIs, all []string
	for _, col := range figureColumns {
		o.columns = append(o.columns, column{name: col.name, kind: col.kind, about: col.about})
		told = append(told, col.published+" AS "+name(col.name))
		asIs, all = append(asIs, name(col.name)), append(all, name(col.name))
	}
	o.columns = append(o.columns, column{name: "latest", kind: "Bool", about: "the figure as it stands; false: something newer was published since"})
	place := "kpi, variant, version, grain, `from`, `to`, `by`, key"
	o.query = fmt.Sprintf("SELECT %s, CAST(number = max(number) OVER (PARTITION BY %s) AS Bool) AS latest\nFROM (\n    SELECT %s\n    FROM (SELECT * FROM %s WHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM %[4]s WHERE _sign < 0)) AS figures\n    UNION ALL\n    SELECT %[5]s\n    FROM %[6]s\n)",
		strings.Join(all, ", "), place, strings.Join(told, ", "), w.Facts(c), strings.Join(asIs, ", "), name(w.databases.meta)+"."+name(unpublished))
	return o
}

// makeUnpublished makes the table empty: it is filled by the next [Warehouse.ReplaceFigures].
func (w *Warehouse) makeUnpublished(ctx context.Context) error {
	if err := w.exec(ctx, "warehouse: figures", nil, "DROP TABLE IF EXISTS "+name(w.databases.meta)+"."+name(unpublished)); err != nil {
		return err
	}
	return w.replaceTable(ctx, "warehouse: figures", w.databases.meta, unpublishedTable(), false)
}

func unpublishedTable() object {
	o := object{name: unpublished, about: "Figures of kpi_values that were not published.", order: []string{"kpi", "grain", "from"}}
	for _, col := range figureColumns {
		o.columns = append(o.columns, column{name: col.name, kind: col.kind, about: col.about})
	}
	return o
}

// ReplaceFigures makes these the figures of kpi_values that were not published, in place
// of all before, in one step; on is the day whose knowledge they are. They are gone after a
// start that changed kpi_values, and are to be given again after each start. Of two calls at a
// time the later one stands, or one of them fails.
func (w *Warehouse) ReplaceFigures(ctx context.Context, on reference.Day, list []Figure) error {
	ctx, cancel := unbounded(ctx)
	defer cancel()
	o := unpublishedTable()
	number := func(exact string) any {
		if exact == "" {
			return nil
		}
		return exact
	}
	for _, f := range list {
		key := f.Key
		if key == nil {
			key = []string{}
		}
		o.rows = append(o.rows, []any{f.KPI, f.Variant, f.Version, f.Grain, f.From.String(), f.To.String(), strings.Join(f.By, ","), key,
			0, on.String(), f.Open, f.State, f.Value, number(f.Numerator), number(f.Denominator), f.Cases, f.Simulated})
	}
	return w.replaceTable(ctx, "warehouse: figures", w.databases.meta, o, true)
}

// definitions is the table of the KPIs as they are defined.
func definitions(kpis []*kpi.KPI) object {
	languages := []string{"en"}
	for _, k := range kpis {
		for tag := range k.Title {
			if !slices.Contains(languages, tag) && identifier.MatchString(tag) {
				languages = append(languages, tag)
			}
		}
	}
	slices.Sort(languages[1:])
	o := object{name: "kpis", about: "The KPIs of the pack: a row for each version of each definition.", order: []string{"kpi", "variant", "version"}, columns: []column{
		{name: "kpi", kind: "String", about: "id of the KPI"},
		{name: "variant", kind: "String", about: "variant of the definition; empty: the default"},
		{name: "version", kind: "Int64", about: "version of the definition"},
	}}
	for _, tag := range languages {
		o.columns = append(o.columns, column{name: "title_" + tag, kind: "String", about: "name in the language " + tag})
	}
	o.columns = append(o.columns, []column{
		{name: "about", kind: "String", about: "what it means, in English"},
		{name: "group", kind: "String", about: "the system that it belongs to"},
		{name: "owner", kind: "String", about: "organisation that answers for it, as in the table organisations"},
		{name: "unit", kind: "String", about: "percent, count, ratio, hours, minutes, days, bytes, a currency, or what is counted"},
		{name: "direction", kind: "String", about: "which way is better: up, down or neither"},
		{name: "basis", kind: "String", about: "events: counted from events; reported: figures of agencies; stock: counted on a day"},
		{name: "numerator", kind: "String", about: "formula, as the pack states it; empty: a distribution or a distinct count"},
		{name: "denominator", kind: "String", about: "formula, as the pack states it; empty: nothing is divided"},
		{name: "contracts", kind: "Array(String)", about: "contracts that it reads"},
		{name: "dimensions", kind: "Array(String)", about: "what it can be broken down by"},
		{name: "source", kind: "String", about: "the act or publication that states the formula, in English"},
		{name: "valid_from", kind: "Nullable(Date32)", about: "first day of the version; null: since ever"},
		{name: "valid_to", kind: "Nullable(Date32)", about: "last day of the version; null: still"},
	}...)
	for _, k := range kpis {
		for i := range k.Versions {
			v := &k.Versions[i]
			row := []any{k.ID, v.Variant, v.Version}
			for _, tag := range languages {
				row = append(row, k.Title[tag])
			}
			numerator, denominator := "", ""
			if v.Numerator != nil {
				numerator = v.Numerator.Text
			}
			switch {
			case v.Denominator != nil:
				denominator = v.Denominator.Text
			case v.Per != nil:
				denominator = v.Per.String()
			}
			o.rows = append(o.rows, append(row, k.About.In("en"), k.Group, k.Owner, string(k.Unit), string(k.Direction), string(v.Basis), numerator, denominator,
				listed(v.From), listed(v.Dimensions()), v.Source.In("en"), dayOrNull(v.Valid.From), dayOrNull(v.Valid.To)))
		}
	}
	return o
}

// listed is a list that is empty rather than null in JSON.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
