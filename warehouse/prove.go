package warehouse

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/problem"
)

// Prove evaluates every expression of the KPIs with the engine, over made-up rows of their
// contracts: what has a type that it cannot have, and what fails for some value that a
// field can have, is a fault. One event with such a value would otherwise keep rollups from
// being filled. It reads no table and changes nothing. The error is of the engine, not
// of the KPIs.
//
// The rows hold zeros, units, the least and the largest of each field, absent ones, every value
// of an enumeration, and texts that are no number and no pattern; any two fields meet in
// every order of these. What fails for other values only (x / (y - 5)) is refused by
// [Warehouse.Check].
func (w *Warehouse) Prove(ctx context.Context) ([]kpi.Fault, error) {
	var list []claim
	for _, k := range w.kpis {
		for i := range k.Versions {
			for _, side := range k.Versions[i].Sides() {
				if c := w.Contract(side.From); c != nil {
					list = append(list, w.claims(k, i, side, c)...)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b claim) int { return strings.Compare(a.rows, b.rows) })
	var faults []kpi.Fault
	for len(list) > 0 {
		n, size := 0, 0 // of one statement: over the same rows, and not longer than a statement may be
		for n < len(list) && list[n].rows == list[0].rows && (n == 0 || size+len(list[n].sql) < 50_000) {
			size += len(list[n].sql)
			n++
		}
		found, err := w.hold(ctx, list[:n])
		if err != nil {
			return nil, err
		}
		faults, list = append(faults, found...), list[n:]
	}
	// One fault of a field is enough: others of it often follow from the first.
	return slices.CompactFunc(faults, func(a, b kpi.Fault) bool {
		return a.KPI == b.KPI && a.Version == b.Version && a.Field == b.Field
	}), nil
}

// claim is one expression that must have one of the kinds, and a value for all rows.
type claim struct {
	kpi.Fault          // what is at fault when it does not
	sql, rows string   // an aggregate, and what it is read from
	written   string   // it as the pack has it, in short
	kinds     []string // how its type may begin; nil: any
	wrong     string   // what it should be, in words
	lenient   bool     // what the engine cannot evaluate is no fault
}

func (c claim) fault(message string) kpi.Fault {
	c.Message = fmt.Sprintf("%q %s", c.written, message)
	return c.Fault
}

var (
	exact   = []string{"Int64", "Decimal"}
	numbers = []string{"Int", "UInt", "Float", "Decimal", "Bool"}
)

// claims are those of one side of a version.
func (w *Warehouse) claims(k *kpi.KPI, version int, side kpi.Side, c *contract.Contract) []claim {
	v := &k.Versions[version]
	var list []claim
	rows := w.made(c, v)
	add := func(field, written, sql, rows string, kinds []string, wrong string) {
		if len(written) > 200 { // working days written out
			written = strings.ToValidUTF8(written[:200], "") + " …"
		}
		list = append(list, claim{kpi.Fault{KPI: k, Version: version, Field: field}, sql, rows, written, kinds, wrong, false})
	}
	for field, formula := range v.Formulae() {
		for _, t := range formula.Terms {
			switch {
			case !side.Counts(t):
			case t.Func == kpi.Min || t.Func == kpi.Max:
				add(field, t.Of, "any("+t.Of+")", rows, numbers, "a least or largest value is a number")
				if t.If != "" {
					add(field, t.If, "countIf("+t.If+")", rows, nil, "")
				}
			default:
				add(field, strings.TrimPrefix(t.String(), "+1*"), Signed(t), rows, exact, "only sums of whole numbers and decimals are kept, since floats change with the order in which they are added")
				if t.Func == kpi.Sum {
					add(field, t.Of, fmt.Sprintf("throwIf(max(abs(toFloat64(%s))) * pow(10, toUInt8OrZero(extract(any(toTypeName(%[1]s)), ', ([0-9]+)'))) >= if(toUInt8OrZero(extract(any(toTypeName(%[1]s)), '.([0-9]+),')) > 38, 1e64, 1e26), '%s')", t.Of, tooLarge), rows, nil, "")
					hashes := "(SELECT sum(sipHash64(ifNull(toString(" + t.Of + "), ''))) FROM "
					add(field, t.Of, "throwIf(any(Narrow) != any(Wide), '"+wraps+"')", "(SELECT "+hashes+rows+") AS Narrow, "+hashes+w.widened(c, rows)+") AS Wide)", nil, "")
					list[len(list)-1].lenient = true
				}
			}
		}
	}
	if d := v.Distribution; d != nil {
		add("distribution.of", d.Of, "any("+d.Of+")", rows, numbers, "a distribution is of numbers")
		add("distribution.of", d.Of, Buckets(&kpi.Distribution{Of: d.Of}), rows, nil, "")
		if d.If != "" {
			add("distribution.if", d.If, "countIf("+d.If+")", rows, nil, "")
		}
	}
	if v.Only != "" {
		add("only", v.Only, "countIf("+v.Only+")", rows, nil, "")
	}
	if d := v.Distinct; d != nil && d.If != "" {
		add("distinct.if", d.If, "countIf("+d.If+")", rows, nil, "")
	}
	for i := range v.Match {
		m := &v.Match[i]
		other := w.Contract(m.In)
		if other == nil {
			continue
		}
		var theirs []string
		tells := m.Tells("[1]", func(field string) string {
			if column := name(field) + " AS " + name("its."+field); !slices.Contains(theirs, column) {
				theirs = append(theirs, column)
			}
			return name("its." + field)
		})
		if len(theirs) == 0 {
			theirs = []string{"1 AS `its`"}
		}
		field, written := ".when", m.When
		if written == "" {
			field, written = ".newest", m.Newest
		}
		if m.First != "" {
			field, written = ".first", m.First
		}
		add("match."+m.Name+field, written, "any("+tells+")", fmt.Sprintf("%s AS own CROSS JOIN (SELECT %s FROM %s) AS other", rows, strings.Join(theirs, ", "), w.made(other, nil)), nil, "")
	}
	return list
}

// hold evaluates claims over the same rows, all at once; when that fails, one by one.
func (w *Warehouse) hold(ctx context.Context, list []claim) ([]kpi.Fault, error) {
	kinds, err := w.evaluate(ctx, list)
	switch {
	case err == nil:
	case problem.KindOf(err) != problem.Internal:
		return nil, err
	case len(list) == 1 && list[0].lenient && !strings.Contains(err.Error(), wraps):
		return nil, nil
	case len(list) == 1:
		return []kpi.Fault{list[0].fault(inWords(err))}, nil
	default:
		var faults []kpi.Fault
		for i := range list {
			found, err := w.hold(ctx, list[i:i+1])
			if err != nil {
				return nil, err
			}
			faults = append(faults, found...)
		}
		return faults, nil
	}
	var faults []kpi.Fault
	for i, claim := range list {
		kind := strings.TrimPrefix(strings.TrimPrefix(kinds[i], "LowCardinality("), "Nullable(")
		if claim.kinds != nil && !slices.ContainsFunc(claim.kinds, func(k string) bool { return strings.HasPrefix(kind, k) }) {
			faults = append(faults, claim.fault("is a "+strings.TrimRight(kind, ")")+": "+claim.wrong))
		}
	}
	return faults, nil
}

// evaluate gives the types of expressions, and an error where one of them has no value for
// some row. An if computes both of its sides here, so that what would fail is found
// whichever rows come to it.
func (w *Warehouse) evaluate(ctx context.Context, list []claim) (kinds []string, err error) {
	var types, values []string
	for _, claim := range list {
		types, values = append(types, "toTypeName("+claim.sql+")"), append(values, claim.sql)
	}
	statement := fmt.Sprintf("SELECT [%s], ignore(%s) FROM %s SETTINGS short_circuit_function_evaluation = 'disable', compile_expressions = 0, compile_aggregate_expressions = 0",
		strings.Join(types, ", "), strings.Join(values, ", "), list[0].rows)
	err = w.each(ctx, "warehouse: prove", statement, nil, func(scan Scan) error {
		var ignored uint8
		return scan(&kinds, &ignored)
	})
	return kinds, err
}

// made are rows of a contract with extreme values, as a statement reads them; with the names
// that a version gives to a day and to its matches.
func (w *Warehouse) made(c *contract.Contract, v *kpi.Version) string {
	columns := factColumns(c)
	longest := 0
	for i := range c.Fields {
		longest = max(longest, len(c.Fields[i].Values))
	}
	var rows []string
	row := func(level func(column int) extreme) {
		values := make([]string, len(columns))
		for i, col := range columns {
			values[i] = extremeOf(c.Field(col.name), col, level(i), len(rows))
		}
		rows = append(rows, strings.Join(values, "\t")+"\n")
	}
	for e := range absent + 1 {
		row(func(int) extreme { return e })
	}
	for _, pair := range [][2]extreme{{largest, least}, {largest, zero}, {largest, unit}, {largest, absent}} {
		for bit := range bits.Len(uint(len(columns))) {
			for _, side := range []int{0, 1} { // two columns differ in some bit of their numbers
				row(func(column int) extreme { return pair[column>>bit&1^side] })
			}
		}
	}
	for len(rows) < longest {
		row(func(int) extreme { return unit })
	}
	var definitions, names, more []string
	for _, col := range columns {
		definitions, names = append(definitions, name(col.name)+" "+col.kind), append(names, col.name)
	}
	from := w.reading("format(TSV, "+literal(strings.Join(definitions, ", "))+", "+literal(strings.Join(rows, ""))+")", c, "", names...)
	if v != nil && (v.Basis == kpi.Stock || v.Match != nil) && c.Field(kpi.AsOf) == nil {
		more = append(more, "toDate('2024-01-01') AS "+kpi.AsOf)
	}
	if v != nil {
		for _, m := range v.Match {
			sql := "_seq = 0"
			if other := w.Contract(m.In); m.First != "" && other != nil {
				sql = firstMatched(other, m.First)
			}
			more = append(more, sql+" AS "+name(m.Name))
		}
	}
	return "(SELECT " + strings.Join(append([]string{"*"}, more...), ", ") + " FROM " + from + ")"
}

// widened are rows of a contract with its whole numbers in 256 bits, in which nothing wraps.
func (w *Warehouse) widened(c *contract.Contract, rows string) string {
	var wide []string
	for _, col := range factColumns(c) {
		if c.Field(col.name) != nil && strings.TrimSuffix(strings.TrimPrefix(col.kind, "Nullable("), ")") == "Int64" {
			wide = append(wide, "toInt256("+name(col.name)+") AS "+name(col.name))
		}
	}
	if len(wide) == 0 {
		return rows
	}
	return "(SELECT * REPLACE (" + strings.Join(wide, ", ") + ") FROM " + rows + ")"
}

// firstMatched is the value of a match that has the first row's: NULL, or an extreme of the other contract's field.
func firstMatched(c *contract.Contract, field string) string {
	var values []string
	for _, col := range factColumns(c) {
		for e := zero; col.name == field && e < absent; e++ {
			values = append(values, "CAST("+literal(extremeOf(c.Field(field), col, e, int(e)))+" AS "+col.kind+")")
		}
	}
	return "if(_seq = 0, NULL, [" + strings.Join(values, ", ") + "][1 + _seq % " + strconv.Itoa(max(len(values), 1)) + "])"
}

// extreme is a value that a field can have.
type extreme int

const (
	zero extreme = iota
	unit
	least
	largest
	absent
)

// extremeOf is the value as a cell of TSV; of an enumeration, and of texts,
// they take turns with the number of the row.
func extremeOf(f *contract.Field, col column, e extreme, row int) string {
	one := func(values ...string) string { return values[min(int(e), len(values)-1)] }
	if e == absent {
		switch {
		case strings.HasPrefix(col.kind, "Nullable("):
			return `\N`
		case f == nil || f.Required || !f.EmptyIsAbsent():
			e = zero
		default:
			return ""
		}
	}
	kind := strings.TrimSuffix(strings.TrimPrefix(col.kind, "Nullable("), ")")
	switch {
	case f != nil && f.Type == contract.Enum && len(f.Values) > 0:
		return cells.Replace(f.Values[row%len(f.Values)])
	case f != nil && f.Type == contract.Decimal:
		scale := strings.Repeat("0", f.Scale)
		digits := strings.Repeat("9", 18-f.Scale) + "." + strings.Repeat("9", f.Scale)
		return one("0", "0."+scale[:max(0, f.Scale-1)]+"1", "-"+digits, digits)
	case f != nil && f.Type == contract.Duration:
		return one("0", "1", "0", strconv.FormatInt(contract.LargestWhole, 10))
	case kind == "Int64":
		return one("0", "1", strconv.FormatInt(-contract.LargestWhole, 10), strconv.FormatInt(contract.LargestWhole, 10))
	case kind == "Float64":
		return one("0", "1e-300", "-1.7976931348623157e308", "1.7976931348623157e308")
	case kind == "Bool":
		return one("0", "1", "0", "1")
	case kind == "UUID":
		return one("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
	case kind == "Date":
		return one("1970-01-01", "1970-01-02", "1970-01-01", "2149-06-05")
	case kind == "Date32":
		return one("1970-01-01", "1970-01-02", "1900-01-01", "2149-06-05")
	case f == nil && strings.HasPrefix(kind, "DateTime64"): // an event's own time
		return one("1970-01-01 00:00:00.000", "1970-01-01 00:00:00.001", "1970-01-01 00:00:00.000", "2149-06-05 23:59:59.999")
	case strings.HasPrefix(kind, "DateTime64"):
		return one("1970-01-01 00:00:00.000", "1970-01-01 00:00:00.001", "1900-01-01 00:00:00.000", "2149-06-05 23:59:59.999")
	case strings.HasSuffix(kind, "String") || strings.HasSuffix(kind, "String)"):
		return one("", "0", `([\\`, "2024-02-30x")
	case col.name == "_sign":
		return one("1", "1", "-1", "1")
	}
	return one("0", "1", "0", "1") // of the loader's own
}

// cells escapes a text of TSV.
var cells = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`)

// inWords is what the engine says of an expression, without where it was computed, and
// for what it says most often what to write in its place.
func inWords(err error) string {
	text := reason(err)
	for _, hint := range hints {
		if strings.Contains(text, hint.says) {
			return hint.write + " (" + text + ")"
		}
	}
	return text
}

// What a claim throws about sums.
const (
	wraps    = "wraps in 64 bits"
	tooLarge = "too large to be added up"
)

var hints = []struct{ says, write string }{
	{wraps, "is not what it is computed to be for the largest values that its fields can have: 64 bits are too few, and they wrap without a word; widen one of them, as in toDecimal128(x, 0)"},
	{tooLarge, "can be so large that the sum of a million million of them has more than 38 digits: widen it, as in toDecimal256(x, 2), or count in a larger unit"},
	{"Division", "divides by zero for some row: write x / greatest(y, 1), x / nullIf(y, 0), intDivOrZero(x, y) or moduloOrZero(x, y)"},
	{"inf or nan", "is not finite for some row: divide by greatest(y, 1), or bound what is multiplied with least(x, …)"},
	{"ecimal", "overflows for the largest values that its fields can have: widen one of them, as in toDecimal128(x, 2)"},
	{"NULL", "fails where a field is absent: write ifNull(x, 0), or CAST to a Nullable type"},
	{"annot parse", "fails for a text that is no such value: write toInt64OrNull(x), toDecimal64OrNull(x, 2), toDateOrNull(x)"},
	{"annot read", "fails for a text that is no such value: write toInt64OrNull(x), toDecimal64OrNull(x, 2), toDateOrNull(x)"},
}
