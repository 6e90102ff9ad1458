package contract

import "github.com/apache/arrow/go/v15/arrow"

// Columns that stand before the fields of every record, in this order.
const (
	ColumnID        = "_id"        // FixedSizeBinary(16): keyed hash of source and root id
	ColumnDigest    = "_digest"    // Uint64: keyed digest of the content
	ColumnRev       = "_rev"       // Uint32: 0, or n of a correction
	ColumnWithdrawn = "_withdrawn" // Boolean: a correction to nothing
	ColumnCorrect   = "_correct"   // Boolean: other content under a known id is its next revision
	ColumnSimulated = "_simulated" // Boolean
	ColumnSource    = "_source"    // dictionary of Utf8
	ColumnTime      = "time"       // Timestamp(ms, UTC)
	ColumnDay       = "_day"       // Date32: civil day of time in the set's zone
)

// StandIn is the source of simulated events that stand in for those of a source.
func StandIn(source string) string { return "simulation/" + source }

// FirstField is the index of a contract's first own field in its record.
const FirstField = 9

var (
	millis = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}
	label  = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	hash16 = &arrow.FixedSizeBinaryType{ByteWidth: 16}
)

// decimalDigits is the precision of a decimal: the most that 64 bits hold.
const decimalDigits = 18

// LargestWhole bounds integers, money and durations, to both sides of zero: the largest that
// every reader of JSON keeps exactly. A thousand of them have a sum within 64 bits.
const LargestWhole = 1<<53 - 1

// Schema is the layout of the contract's records: the common columns and then the
// fields in the contract's order. Optional text, codes, enums and refs are not
// nullable: the empty string is their absence. Metadata names the contract's type.
func (c *Contract) Schema() *arrow.Schema {
	if c.compiled != nil {
		return c.compiled.schema
	}
	fields := []arrow.Field{
		{Name: ColumnID, Type: hash16},
		{Name: ColumnDigest, Type: arrow.PrimitiveTypes.Uint64},
		{Name: ColumnRev, Type: arrow.PrimitiveTypes.Uint32},
		{Name: ColumnWithdrawn, Type: arrow.FixedWidthTypes.Boolean},
		{Name: ColumnCorrect, Type: arrow.FixedWidthTypes.Boolean},
		{Name: ColumnSimulated, Type: arrow.FixedWidthTypes.Boolean},
		{Name: ColumnSource, Type: label},
		{Name: ColumnTime, Type: millis},
		{Name: ColumnDay, Type: arrow.FixedWidthTypes.Date32},
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		fields = append(fields, arrow.Field{Name: f.Name, Type: f.Arrow(), Nullable: !f.Required && !f.EmptyIsAbsent()})
	}
	meta := arrow.NewMetadata([]string{"ombor.type"}, []string{c.Type})
	return arrow.NewSchema(fields, &meta)
}

// Arrow is the type of the field's column.
func (f *Field) Arrow() arrow.DataType {
	switch f.Type {
	case Code, Enum, Ref:
		return label
	case Person:
		return hash16
	case Timestamp:
		return millis
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Integer, Money, Duration:
		return arrow.PrimitiveTypes.Int64
	case Decimal:
		return &arrow.Decimal128Type{Precision: decimalDigits, Scale: int32(f.Scale)}
	case Boolean:
		return arrow.FixedWidthTypes.Boolean
	case Number:
		return arrow.PrimitiveTypes.Float64
	}
	return arrow.BinaryTypes.String
}

var typeNames = [...]string{Text: "text", Code: "code", Enum: "enum", Ref: "ref", Person: "person", Timestamp: "timestamp",
	Date: "date", Integer: "integer", Decimal: "decimal", Money: "money", Boolean: "boolean", Duration: "duration", Number: "number"}

// String is the type's name in a pack.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "unknown"
}

// ParseType reads a type's name as a pack spells it.
func ParseType(name string) (Type, bool) {
	for t, n := range typeNames {
		if n == name && n != "" {
			return Type(t), true
		}
	}
	return 0, false
}

var classNames = [...]string{Internal: "internal", Open: "open", Personal: "personal", Special: "special"}

// String is the class's name in a pack.
func (c Class) String() string { return classNames[c] }

// ParseClass reads a class's name; the empty name is internal.
func ParseClass(name string) (Class, bool) {
	for c, n := range classNames {
		if n == name {
			return Class(c), true
		}
	}
	return Internal, name == ""
}

var severityNames = [...]string{Refuse: "refuse", Quarantine: "quarantine", Warn: "warn"}

// String is the severity's name in a pack.
func (s Severity) String() string { return severityNames[s] }

// ParseSeverity reads a severity's name; the empty name is refuse.
func ParseSeverity(name string) (Severity, bool) {
	for s, n := range severityNames {
		if n == name {
			return Severity(s), true
		}
	}
	return Refuse, name == ""
}
