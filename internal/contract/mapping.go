package contract

// Mapping says how a foreign file becomes the events of one contract. It is the
// declaration, as mappings/*.yaml holds it; package mapping compiles and runs it,
// and its comment tells what every key does.
//
// The tags are those of package pack's declarations: a type with FromScalar may be
// written as one scalar ("department: department" names a column), and every scalar
// is taken as it is written.
type Mapping struct {
	For      string            `yaml:"for" need:"yes" doc:"Type of the contract: city.request.v1."`
	Files    Texts             `yaml:"files" doc:"Globs on the base name of the file, or of the zip archive's member, by which the mapping is chosen without being named."`
	Source   string            `yaml:"source" doc:"CloudEvents source; the contract's source when not told."`
	Read     Read              `yaml:"read" doc:"How the file becomes rows of named columns."`
	Unpivot  *Unpivot          `yaml:"unpivot" doc:"Wide to long: every group of columns becomes a row."`
	ID       Texts             `yaml:"id" doc:"What makes a row one event. One column is the id itself, several are hashed; none told: every column, with repeats told apart."`
	Repeats  bool              `yaml:"repeats" doc:"Rows with the same id are different events, numbered in the order of the file."`
	Time     *Value            `yaml:"time" doc:"When it happened; of a figure, the last day of its window when not told."`
	Fields   map[string]*Value `yaml:"fields" need:"yes" doc:"Fields of the contract, each with where its value comes from."`
	Skip     string            `yaml:"skip" doc:"CEL over row: the rows for which it is true are no events."`
	OnChange string            `yaml:"on_change" one:"conflict correct" doc:"What other content under a known id is: conflict (the default) or correct."`
	Replaces map[string]string `yaml:"replaces" doc:"{source, day}: a delivery stands for everything of its source and day; what is gone from it is withdrawn."`

	Name string `yaml:"-"` // the file's base name without .yaml
	File string `yaml:"-"` // where it was read, for messages
	Line int    `yaml:",line"`
}

// Read says how a file becomes rows of named columns.
type Read struct {
	Format    string `yaml:"format" one:"csv tsv xlsx ndjson parquet lines" doc:"By the file's name when not told."`
	Lines     string `yaml:"lines" doc:"A regular expression (RE2) for a log; its named groups are the columns."`
	Member    string `yaml:"member" doc:"Glob on the base name of the member to read of a zip archive."`
	Encoding  string `yaml:"encoding" doc:"WHATWG label of the text's encoding, such as windows-1252; UTF-8 when not told."`
	Delimiter string `yaml:"delimiter" doc:"One character; a comma for csv, a tab for tsv."`
	Sheet     string `yaml:"sheet" doc:"Sheet of a workbook; the first when not told."`
	Header    int    `yaml:"header" doc:"Row that names the columns, from 1; rows above it are passed over."`
	Columns   Texts  `yaml:"columns" doc:"Names of the columns of a file that has no header row."`
	TimeZone  string `yaml:"time_zone" like:"zone" doc:"IANA zone of stamps without an offset; the pack's when not told."`
	Empty     Texts  `yaml:"empty" doc:"Cells that mean no value, besides the empty cell."`
	Trim      bool   `yaml:"trim" doc:"Cut white space around every cell before anything is asked of it."`
	Decimal   string `yaml:"decimal" doc:"Decimal mark of numbers; a point when not told."`
	Thousands string `yaml:"thousands" doc:"Characters that may stand between groups of digits; none when not told."`

	Line int `yaml:",line"`
}

// Unpivot turns every group of columns into a row of its own. The pattern's named
// groups become columns of that row; the group "measure" names the column that
// takes the cell, so that the measures of one group meet in one row.
type Unpivot struct {
	Columns string            `yaml:"columns" need:"yes" doc:"Regular expression (RE2) over whole column names: '(?P<from>.+) to (?P<to>.+): (?P<measure>.+)'."`
	Headers map[string]string `yaml:"headers" doc:"Text found in a wrong header, and what it should say."`
	Empty   string            `yaml:"empty" one:"drop keep" doc:"A group whose cells are all empty gives no row (drop, the default), or a row without values (keep), where it matters who did not report."`

	Line int `yaml:",line"`
}

// Value says where the value of a field comes from: exactly one of Column, Constant,
// Compute and Lookup. What follows is applied in this order.
type Value struct {
	Column   string  `yaml:"column" doc:"Column of the row."`
	Constant string  `yaml:"constant" doc:"The same value in every row."`
	Compute  string  `yaml:"compute" doc:"CEL over row, whose columns are text: 'row.path.lowerAscii()'."`
	Lookup   *Lookup `yaml:"lookup" doc:"A column of another file."`

	Empty   Texts             `yaml:"empty" doc:"Cells that mean no value here, besides those of read."`
	Values  map[string]string `yaml:"values" doc:"From what the cell says to what the field takes; an empty value means no value."`
	Others  string            `yaml:"others" doc:"What a cell outside values is: refuse (the default), pass, or the value to take."`
	Default string            `yaml:"default" doc:"Stands for no value."`

	Prefix   string `yaml:"prefix" doc:"Put before a stamp that leaves out what the file is known to be: '1995-08-'."`
	Format   Texts  `yaml:"format" doc:"Layouts of Go's package time, tried in order, or unix, unix_ms, excel."`
	TimeZone string `yaml:"time_zone" like:"zone" doc:"In place of read's."`
	Day      string `yaml:"day" one:"first last" doc:"last: a stamp of a month or a year means its last day."`
	Times    int64  `yaml:"times" doc:"Multiplies a number: 100 makes minor units of money."`

	Line int `yaml:",line"`
}

// FromScalar reads the short form: the name of a column.
func (v *Value) FromScalar(text string) error {
	v.Column = text
	return nil
}

// Lookup takes a cell from another file that lies beside the one being read.
type Lookup struct {
	File   string `yaml:"file" need:"yes" doc:"Glob on its base name."`
	By     Texts  `yaml:"by" need:"yes" doc:"Columns, named alike in both files, that must agree."`
	Column string `yaml:"column" need:"yes" doc:"The column that is taken."`

	Line int `yaml:",line"`
}

// Texts is a list of texts; one alone may be written without brackets.
type Texts []string

// FromScalar reads the short form: a list of one.
func (t *Texts) FromScalar(text string) error {
	*t = Texts{text}
	return nil
}
