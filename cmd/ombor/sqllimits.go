package main

import (
	"time"

	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"ombor/internal/problem"
	"ombor/queries/governed"
)

// sqlLimits are what statements of analysts may take; 0 is the default of [governed.Limits].
type sqlLimits struct {
	Running  int           `koanf:"sql-running"`
	Each     int           `koanf:"sql-each"`
	Time     time.Duration `koanf:"sql-time"`
	Memory   int64         `koanf:"sql-memory"`
	ReadRows int64         `koanf:"sql-read-rows"`
	Rows     int64         `koanf:"sql-rows"`
	Bytes    int64         `koanf:"sql-bytes"`
}

var sqlLimitSettings = []string{"sql-running", "sql-each", "sql-time", "sql-memory", "sql-read-rows", "sql-rows", "sql-bytes"}

// sqlLimitFlags declares the flags of [sqlLimits].
func sqlLimitFlags(f *pflag.FlagSet) {
	f.Int("sql-running", 0, "statements of analysts that read rows at once; 0 means one for each two processors")
	f.Int("sql-each", 0, "statements of one person among those of --sql-running; 0 means half of them, and one at least")
	f.Duration("sql-time", 0, "time that one statement may take, waiting not counted; 0 means 2m")
	f.Int64("sql-memory", 0, "bytes of memory that one statement may take; 0 means 512 MiB")
	f.Int64("sql-read-rows", 0, "rows that one statement may read; 0 means 2 billion")
	f.Int64("sql-rows", 0, "rows of one answer; 0 means 20 million")
	f.Int64("sql-bytes", 0, "bytes of one answer; 0 means 4 GiB")
}

// readSQLLimits reads the flags of a command that has no other settings.
func readSQLLimits(f *pflag.FlagSet) (l sqlLimits, err error) {
	k := koanf.New(".")
	if err := k.Load(posflag.Provider(f, ".", k), nil); err != nil {
		return l, err
	}
	return l, k.UnmarshalWithConf("", &l, koanf.UnmarshalConf{Tag: "koanf"})
}

// limits are those of the door; BadInput when one is no limit.
func (l *sqlLimits) limits() (governed.Limits, error) {
	const leastMemory = 16 << 20
	switch {
	case l.Running < 0 || l.Each < 0 || l.Time < 0 || l.Memory < 0 || l.ReadRows < 0 || l.Rows < 0 || l.Bytes < 0:
		return governed.Limits{}, problem.New(problem.BadInput, "a limit of statements (--sql-running, --sql-each, --sql-time, --sql-memory, --sql-read-rows, --sql-rows, --sql-bytes) is negative")
	case l.Running > 0 && l.Each > l.Running:
		return governed.Limits{}, problem.New(problem.BadInput, "--sql-each %d: one person cannot run more statements at once than --sql-running %d allows everybody", l.Each, l.Running)
	case l.Time > 0 && l.Time < time.Second:
		return governed.Limits{}, problem.New(problem.BadInput, "--sql-time %s: want one second at least", l.Time)
	case l.Memory > 0 && l.Memory < leastMemory:
		return governed.Limits{}, problem.New(problem.BadInput, "--sql-memory %d: a statement needs %d bytes at least", l.Memory, leastMemory)
	}
	return governed.Limits{Running: l.Running, Each: l.Each, Time: l.Time, Memory: l.Memory, ReadRows: l.ReadRows, ResultRows: l.Rows, Result: l.Bytes}, nil
}
