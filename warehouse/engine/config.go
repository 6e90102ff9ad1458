package engine

import (
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ombor/internal/problem"
)

// Config says what engine to run. Path is needed, and Socket or Listen (or both);
// everything else is safe at zero.
type Config struct {
	// Path is the data folder; it is made when missing. One process at a time.
	Path string
	// Socket is the Unix socket to serve on; a stale one is replaced. Its mode is 0600.
	// [Start] chooses one when it is empty.
	Socket string
	// Listen is a loopback TCP address to serve on, such as 127.0.0.1:8123 or
	// 127.0.0.1:0; empty means none. There are no users behind it.
	Listen string
	// Library is the path of libchdb.so; empty means what [FindLibrary] finds.
	Library string
	// MemoryLimit bounds the memory of all queries together, in bytes. 0 means 2 GiB
	// or half of the machine, whichever is less.
	MemoryLimit int64
	// Threads bounds the threads of one query. 0 means one for each processor.
	Threads int
	// MaxConcurrent bounds the statements that run at once. 0 means 16. As many
	// again, four times over, wait for at most QueueSeconds; others are answered 503.
	MaxConcurrent int
	// QueueSeconds is how long a statement waits for its turn. 0 means 10.
	QueueSeconds int
	// InsertLimit is how many bytes of an INSERT's data, after decompression, are
	// given to the engine as one piece. Larger ones are streamed in pieces, which
	// are committed one by one. Twice as much is held in memory for all INSERTs
	// together, beside MemoryLimit; more waits on disk. 0 means 256 MiB.
	InsertLimit int64
	// Backups is a folder that BACKUP and RESTORE may use; empty means none.
	Backups string
	// Settings are defaults of every query, over those of the engine.
	Settings map[string]string
	// MergeTree are defaults of every MergeTree table. Deduplication of INSERTs
	// (non_replicated_deduplication_window) is best left to a table: where it is on,
	// equal blocks without a token are dropped too.
	MergeTree map[string]string
	// Ephemeral removes the data folder when the engine ends, even because its parent
	// has died; it is refused for a folder that holds anything at the start.
	Ephemeral bool
	// Command runs the child instead of this program's own `engine` subcommand; the
	// flags of [Config.Args] are appended. Only [Start] reads it.
	Command []string
}

const (
	defaultMemoryLimit   = 2 << 30
	defaultMaxConcurrent = 16
	defaultQueueSeconds  = 10
	defaultInsertLimit   = 256 << 20
	maxSocketPath        = 107 // sun_path holds 108 bytes with its NUL
)

// defaultSettings are where the engine's defaults do not fit a warehouse: an
// INSERT that is answered is in its table (26.7 defaults to async_insert=1).
var defaultSettings = map[string]string{
	"async_insert": "0",
}

func (c Config) withDefaults() Config {
	if c.MemoryLimit == 0 {
		c.MemoryLimit = defaultMemoryLimit
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err == nil {
			c.MemoryLimit = min(c.MemoryLimit, int64(info.Totalram)*int64(info.Unit)/2)
		}
	}
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
	}
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = defaultMaxConcurrent
	}
	if c.QueueSeconds == 0 {
		c.QueueSeconds = defaultQueueSeconds
	}
	if c.InsertLimit == 0 {
		c.InsertLimit = defaultInsertLimit
	}
	c.Settings = merged(defaultSettings, c.Settings)
	return c
}

func merged(below, above map[string]string) map[string]string {
	out := make(map[string]string, len(below)+len(above))
	for k, v := range below {
		out[k] = v
	}
	for k, v := range above {
		out[k] = v
	}
	return out
}

func (c Config) check() error {
	switch {
	case c.Path == "":
		return problem.New(problem.BadInput, "the engine needs a data folder").In("path")
	case c.Socket == "" && c.Listen == "":
		return problem.New(problem.BadInput, "the engine needs a socket or an address to serve on").In("listen")
	case len(c.Socket) > maxSocketPath:
		return problem.New(problem.BadInput, "the socket's path is %d bytes long; the system allows %d", len(c.Socket), maxSocketPath).In("socket")
	case c.MemoryLimit < 64<<20:
		return problem.New(problem.BadInput, "a memory limit of %d bytes is too low: at least 64 MiB are needed", c.MemoryLimit).In("memory-limit")
	case c.Threads < 0, c.MaxConcurrent < 0, c.QueueSeconds < 0, c.InsertLimit < 0:
		return problem.New(problem.BadInput, "limits of the engine cannot be negative")
	}
	return nil
}

// Args are the flags that make [ParseArgs] return c again, Command excepted.
func (c Config) Args() []string {
	var args []string
	text := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	number := func(name string, value int64) {
		if value != 0 {
			text(name, strconv.FormatInt(value, 10))
		}
	}
	pairs := func(name string, values map[string]string) {
		keys := make([]string, 0, len(values))
		for k := range values {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			text(name, k+"="+values[k])
		}
	}
	text("path", c.Path)
	text("socket", c.Socket)
	text("listen", c.Listen)
	text("library", c.Library)
	number("memory-limit", c.MemoryLimit)
	number("threads", int64(c.Threads))
	number("max-concurrent", int64(c.MaxConcurrent))
	number("queue-seconds", int64(c.QueueSeconds))
	number("insert-limit", c.InsertLimit)
	text("backups", c.Backups)
	pairs("setting", c.Settings)
	pairs("merge-tree", c.MergeTree)
	if c.Ephemeral {
		args = append(args, "--ephemeral")
	}
	return args
}

// Flags declares the flags of the engine's command on fs; what they say is in c
// after fs has been parsed.
func (c *Config) Flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Path, "path", c.Path, "data `folder` of the engine")
	fs.StringVar(&c.Socket, "socket", c.Socket, "Unix `socket` to serve ClickHouse's HTTP interface on")
	fs.StringVar(&c.Listen, "listen", c.Listen, "loopback `address` to serve ClickHouse's HTTP interface on")
	fs.StringVar(&c.Library, "library", c.Library, "`path` of libchdb.so")
	fs.Int64Var(&c.MemoryLimit, "memory-limit", c.MemoryLimit, "memory of all queries together, in `bytes` (default 2 GiB or half of the machine)")
	fs.IntVar(&c.Threads, "threads", c.Threads, "`threads` of one query (default one for each processor)")
	fs.IntVar(&c.MaxConcurrent, "max-concurrent", c.MaxConcurrent, "`statements` that run at once (default 16)")
	fs.IntVar(&c.QueueSeconds, "queue-seconds", c.QueueSeconds, "`seconds` a statement waits for its turn (default 10)")
	fs.Int64Var(&c.InsertLimit, "insert-limit", c.InsertLimit, "`bytes` of an INSERT that are committed as one (default 256 MiB)")
	fs.StringVar(&c.Backups, "backups", c.Backups, "`folder` that BACKUP and RESTORE may use")
	fs.BoolVar(&c.Ephemeral, "ephemeral", c.Ephemeral, "remove the data folder, which must be empty now, when the engine ends")
	pairs := func(name, usage string, into *map[string]string) {
		fs.Func(name, usage, func(s string) error {
			k, v, ok := strings.Cut(s, "=")
			if !ok || k == "" {
				return fmt.Errorf("%q is not name=value", s)
			}
			if *into == nil {
				*into = make(map[string]string)
			}
			(*into)[k] = v
			return nil
		})
	}
	pairs("setting", "default `name=value` of every query; may be repeated", &c.Settings)
	pairs("merge-tree", "default `name=value` of every MergeTree table; may be repeated", &c.MergeTree)
}

// ParseArgs reads the engine command's flags. The error is [flag.ErrHelp] in its
// chain when -h or --help was given.
func ParseArgs(args []string) (Config, error) {
	var c Config
	fs := flag.NewFlagSet("engine", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the error says it
	c.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return c, problem.Wrap(err, problem.BadInput, "engine", "the engine's flags are wrong")
	}
	if fs.NArg() > 0 {
		return c, problem.New(problem.BadInput, "the engine takes no argument %q", fs.Arg(0))
	}
	return c, nil
}

// element is a piece of the engine's configuration file.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Of      []element `xml:",any"`
}

func tag(name string, of ...element) element { return element{XMLName: xml.Name{Local: name}, Of: of} }
func leaf(name, text string) element {
	return element{XMLName: xml.Name{Local: name}, Text: text}
}

func leaves(values map[string]string) []element {
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var of []element
	for _, k := range keys {
		of = append(of, leaf(k, values[k]))
	}
	return of
}

// writeFiles writes the engine's configuration into a private folder under the
// data folder and returns the path of its main file. A file is always named to
// the library: without one it would read whatever lies in the working directory,
// the home or /etc.
func (c Config) writeFiles() (string, error) {
	dir := filepath.Join(c.Path, "ombor")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	users := filepath.Join(dir, "users.xml")
	profile := merged(map[string]string{"max_threads": strconv.Itoa(c.Threads)}, c.Settings)
	config := tag("clickhouse",
		// A table with nothing to merge asks again after 10 s, not after 0.1 s: hundreds of tables that ask so often
		// take 4 % of a core after each start. What gives a table work, an insert or the end of a
		// merge, wakes it at once.
		leaf("background_processing_pool_thread_sleep_seconds_if_nothing_to_do", "10"),
		leaf("background_streaming_processing_pool_thread_sleep_seconds_if_nothing_to_do", "600"),
		leaf("display_name", serverName),
		leaf("max_server_memory_usage", strconv.FormatInt(c.MemoryLimit, 10)),
		leaf("max_server_memory_usage_to_ram_ratio", "1"),
		leaf("users_config", users),
		// Blocks of rollups that statements ask to keep unpacked (use_uncompressed_cache): most of what a short one costs.
		leaf("uncompressed_cache_size", strconv.FormatInt(c.MemoryLimit/16, 10)),
		tag("merge_tree", leaves(c.MergeTree)...),
	)
	if c.Backups != "" {
		config.Of = append(config.Of, tag("backups", leaf("allowed_path", c.Backups)))
	}
	def := tag("clickhouse",
		tag("profiles", tag("default", leaves(profile)...)),
		tag("users", tag("default",
			leaf("password", ""),
			tag("networks", leaf("ip", "::/0")),
			leaf("profile", "default"),
			leaf("quota", "default"),
			leaf("named_collection_control", "1"))),
		tag("quotas", tag("default")),
	)
	main := filepath.Join(dir, "config.xml")
	for path, root := range map[string]element{users: def, main: config} {
		data, err := xml.MarshalIndent(root, "", "  ")
		if err != nil {
			return "", err
		}
		next := path + ".next"
		if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
			return "", err
		}
		if err := os.Rename(next, path); err != nil {
			return "", err
		}
	}
	return main, nil
}
