package contract

// Mapping says how a foreign file becomes the events of one contract. It is the
// declaration, as mappings/*.yaml holds it; package mapping compiles and runs it,
// and its comment tells what every key does.
//
// How the YAML reads: a scalar or a list where a struct is expected fills the
// struct's first field ("department: department" names a column), a scalar where a
// list is expected is a list of one, and every scalar is taken as it is written.
type Mapping struct {
	For      string            `yaml:"for"`       // type of the contract: "city.request.v1"
	Files    []string          `yaml:"files"`     // globs on the file's or the zip member's base name, to choose this mapping without being told
	Source   string            `yaml:"source"`    // CloudEvents source; the contract's source when empty
	Read     Read              `yaml:"read"`      // how rows are read
	Unpivot  *Unpivot          `yaml:"unpivot"`   // wide to long, before anything below
	ID       Key               `yaml:"id"`        // what makes a row one event
	Time     *Value            `yaml:"time"`      // when it happened; of a figure, its window's last day when absent
	Fields   map[string]*Value `yaml:"fields"`    // by field of the contract
	Skip     string            `yaml:"skip"`      // CEL over row: rows that are no events
	OnChange string            `yaml:"on_change"` // "conflict" (the default) or "correct": what other content under a known id is
	Replaces map[string]string `yaml:"replaces"`  // keys "source" and "day": a delivery replaces what was sent for them

	Name string `yaml:"-"` // the file's base name without .yaml
	File string `yaml:"-"` // where it was read, for messages
	Line int    `yaml:"-"`
}

// Read says how a file becomes rows of named columns.
type Read struct {
	Format    string   `yaml:"format"`    // csv, tsv, xlsx, ndjson, parquet or lines; by the file's name when empty
	Lines     string   `yaml:"lines"`     // with lines: a regular expression (RE2) whose named groups are the columns
	Member    string   `yaml:"member"`    // glob on the base name of the member of a zip archive
	Encoding  string   `yaml:"encoding"`  // WHATWG label such as "windows-1252"; UTF-8 when empty
	Delimiter string   `yaml:"delimiter"` // one character; csv: comma, tsv: tab
	Sheet     string   `yaml:"sheet"`     // xlsx: the first when empty
	Header    int      `yaml:"header"`    // row that names the columns, from 1; what is above it is passed over; 0 means 1
	Columns   []string `yaml:"columns"`   // names of the columns of a file that has no header row
	TimeZone  string   `yaml:"time_zone"` // IANA zone of stamps without an offset; the pack's when empty
	Empty     []string `yaml:"empty"`     // cells that mean "no value", besides the empty cell
	Trim      bool     `yaml:"trim"`      // cut white space around every cell, before Empty is asked
	Decimal   string   `yaml:"decimal"`   // decimal mark of numbers: "." when empty
	Thousands string   `yaml:"thousands"` // marks between groups of three digits, any of these characters; none when empty

	Line int `yaml:"-"`
}

// Unpivot turns every group of columns into a row of its own. The pattern's named
// groups become columns of that row; the group "measure" names the column that
// takes the cell, so that the measures of one group meet in one row.
type Unpivot struct {
	Columns string            `yaml:"columns"` // RE2 over whole column names: '(?P<from>.+) to (?P<to>.+): (?P<measure>.+)'
	Headers map[string]string `yaml:"headers"` // text found in a wrong header, and what it should say

	Line int `yaml:"-"`
}

// Key says what identifies an event. One column is the id itself; several are
// hashed together; none means every column, with repeated rows told apart.
type Key struct {
	Columns []string `yaml:"columns"`
	Repeats bool     `yaml:"repeats"` // rows with the same key are different events: numbered in the order of the file

	Line int `yaml:"-"`
}

// Value says where the value of a field comes from. At most one of Column,
// Constant and Compute is given; what follows is applied in this order.
type Value struct {
	Column   string  `yaml:"column"`
	Constant string  `yaml:"constant"`
	Compute  string  `yaml:"compute"` // CEL over row, whose columns are text: 'row.path.lowerAscii()'
	Lookup   *Lookup `yaml:"lookup"`  // a column of another file

	Empty   []string          `yaml:"empty"`   // cells that mean "no value" here, besides those of Read
	Default string            `yaml:"default"` // stands for "no value"
	Values  map[string]string `yaml:"values"`  // cell to value; an empty value means "no value"
	Others  string            `yaml:"others"`  // what a cell outside Values is: "refuse" (the default), "pass", or the value to take

	Format   []string `yaml:"format"`    // layouts of package time, tried in order; or unix, unix_ms, excel
	Prefix   string   `yaml:"prefix"`    // put before the cell, for stamps that leave out what the file is known to be: "1995-08-"
	TimeZone string   `yaml:"time_zone"` // instead of Read's
	Day      string   `yaml:"day"`       // "last": a stamp of a month or year means its last day, not its first
	Times    string   `yaml:"times"`     // a whole number that multiplies: 100 makes minor units of money

	Line int `yaml:"-"`
}

// Lookup takes a cell from another file that lies beside the one being read.
type Lookup struct {
	File   string   `yaml:"file"`   // glob on the base name
	By     []string `yaml:"by"`     // columns, named alike in both files, that must agree
	Column string   `yaml:"column"` // whose cell is taken

	Line int `yaml:"-"`
}
