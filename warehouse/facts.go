package warehouse

import (
	"fmt"
	"strings"

	"ombor/internal/contract"
)

// column is one column of a table.
type column struct {
	name, kind, codec, about string
}

// Codecs, by what a column looks like in a part sorted by [sortKey];
// docs/decisions/0101-storage.md has what each costs a row.
const (
	codecHash   = "NONE"           // random bits: packing them costs time and saves nothing
	codecNumber = "T64, ZSTD(1)"   // whole numbers of a small range, unsorted
	codecSorted = "Delta, ZSTD(1)" // rises along the sort order
	codecText   = "ZSTD(3)"        // texts of many values: in this place no slower than ZSTD(1)
	codecPlain  = "ZSTD(1)"        // what repeats: labels, flags, persons, sums of a tariff; and floats
)

// Columns are the names of the columns of a contract's fact table, in its order.
func Columns(c *contract.Contract) []string {
	var names []string
	for _, col := range factColumns(c) {
		names = append(names, col.name)
	}
	return names
}

func factColumns(c *contract.Contract) []column {
	columns := []column{
		{"_id", "UUID", codecHash, "the root event: keyed hash of source and id"},
		{"_rev", "UInt32", codecNumber, "revision; 0 is the root event itself"},
		{"_simulated", "Bool", codecPlain, "made by simulation"},
		{"_source", "LowCardinality(String)", codecPlain, "the system that sent it (CloudEvents source)"},
		{"time", "DateTime64(3, 'UTC')", codecSorted, "when it happened"},
		{"_day", "Date", codecPlain, "day of time in the pack's time zone"},
	}
	for i := range c.Fields {
		columns = append(columns, fieldColumn(&c.Fields[i]))
	}
	return append(columns,
		column{"_sign", "Int8", codecNumber, "+1, or -1 for a row that a correction takes back"},
		column{"_cut", "Date", codecPlain, "day on which the journal received it"},
		column{"_seq", "UInt64", codecSorted, "message of the journal x 2^20 + row"},
		column{"_batch", "UInt64", codecNumber, "first message of the plan that wrote it"},
	)
}

func fieldColumn(f *contract.Field) column {
	col := column{name: f.Name, codec: codecPlain}
	switch f.Type {
	case contract.Text:
		col.kind, col.codec = "String", codecText
	case contract.Code, contract.Enum, contract.Ref:
		col.kind = "LowCardinality(String)"
	case contract.Person:
		col.kind = "UUID"
	case contract.Timestamp:
		col.kind, col.codec = "DateTime64(3, 'UTC')", codecNumber
	case contract.Date:
		col.kind, col.codec = "Date32", codecNumber
	case contract.Integer, contract.Duration:
		col.kind, col.codec = "Int64", codecNumber
	case contract.Money:
		col.kind = "Int64"
	case contract.Decimal:
		col.kind, col.codec = fmt.Sprintf("Decimal(18, %d)", f.Scale), codecNumber
	case contract.Boolean:
		col.kind = "Bool"
	case contract.Number:
		col.kind = "Float64"
	}
	if !f.Required && !f.EmptyIsAbsent() {
		col.kind = "Nullable(" + col.kind + ")"
	}
	var about []string
	for _, s := range []string{f.Title.In("en"), f.About, f.Unit} {
		if s != "" {
			about = append(about, s)
		}
	}
	col.about = strings.Join(about, "; ")
	return col
}

func (col column) definition() string {
	d := name(col.name) + " " + col.kind
	if col.about != "" {
		d += " COMMENT " + literal(col.about)
	}
	if col.codec != "" {
		d += " CODEC(" + col.codec + ")"
	}
	return d
}

// sortKey is what facts are sorted by: the day, which every question bounds; labels
// ([contract.Contract.SortLabels]); and the sequence, which is nearly the order of time, so that rows
// can arrive in the order of the table. It follows the contract alone: a change of KPIs
// leaves the facts as they are.
func sortKey(c *contract.Contract) []string {
	return append(append([]string{contract.ColumnDay}, c.SortLabels()...), "_seq")
}

// Facts is the contract's fact table, with its database, quoted.
func (w *Warehouse) Facts(c *contract.Contract) string {
	return name(w.databases.facts) + "." + name(c.Table())
}

// createFacts makes a contract's table under a name: one insert is one part (a partition follows
// the day of receipt, not the event's), on disk when the insert is answered, and a
// block that is sent again unchanged is dropped. Young parts are merged when there are a dozen alike, not five: rows
// are written anew less often under load, and most questions read rollups anyway. Parts that
// have grown old are merged as ever.
func (w *Warehouse) createFacts(c *contract.Contract, table string) string {
	var lines []string
	for _, col := range factColumns(c) {
		lines = append(lines, "    "+col.definition())
	}
	lines = append(lines,
		"    INDEX _seq_range _seq TYPE minmax GRANULARITY 1",
		"    INDEX _batch_range _batch TYPE minmax GRANULARITY 1")
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.%s\n(\n%s\n)\nENGINE = MergeTree\nPARTITION BY toYYYYMM(_cut)\nORDER BY (%s)\n"+
		"SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000, merge_selector_base = 12\nCOMMENT %s",
		name(w.databases.facts), name(table), strings.Join(lines, ",\n"), names(sortKey(c)), literal(strings.TrimSpace(c.Type+": "+c.Title.In("en")+". "+c.About)))
}

// name quotes an identifier.
func name(s string) string { return "`" + quotedName.Replace(s) + "`" }

func names(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = name(s)
	}
	return strings.Join(quoted, ", ")
}

// literal quotes a text.
func literal(s string) string { return "'" + quotedText.Replace(s) + "'" }

// A Replacer takes 5 KB and is called for every column of every table: it is made once.
var (
	quotedName = strings.NewReplacer("\\", "\\\\", "`", "\\`")
	quotedText = strings.NewReplacer("\\", "\\\\", "'", "\\'")
)
