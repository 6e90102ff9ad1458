package main

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"

	"ombor/internal/problem"
)

// config is everything that 'ombor serve' can be told. Each key is a flag
// (--memory-limit), an environment variable (OMBOR_MEMORY_LIMIT) and a key of the
// file that --config names (memory-limit: …); a flag beats the environment, the
// environment beats the file. An unknown key in the file is an error.
type config struct {
	Data            string        `koanf:"data"`             // folder of the journal, the engine, the lake and the keys
	Listen          string        `koanf:"listen"`           // address of the API and the page
	SQLListen       string        `koanf:"sql-listen"`       // address of SQL, by ClickHouse's HTTP interface; empty: a free port of 127.0.0.1, for 'ombor sql'
	SQLWarehouse    string        `koanf:"sql-warehouse"`    // with warehouse: the same server, as the user that analysts' statements run as
	Keys            string        `koanf:"keys"`             // file of the identity and pseudonym keys; empty: keys.json under data
	Pack            string        `koanf:"pack"`             // folder or zip of a pack; empty: the embedded pack uz
	Journal         string        `koanf:"journal"`          // nats://…; empty: embedded
	JournalDurable  bool          `koanf:"journal-durable"`  // the operator declares that the journal's server syncs before it acknowledges
	JournalReplicas int           `koanf:"journal-replicas"` // copies of each stream on that server's cluster; 0 is 1
	Warehouse       string        `koanf:"warehouse"`        // https://user@host:8443/db; empty: the embedded engine
	Lake            string        `koanf:"lake"`             // s3://bucket/prefix?endpoint=…; empty: a folder under data
	Access          string        `koanf:"access"`           // file that says where people sign in; empty: only keys and the operator's link
	TLSCert         string        `koanf:"tls-cert"`         // PEM file of the certificate; read again when it changes
	TLSKey          string        `koanf:"tls-key"`          // PEM file of its key
	Roles           string        `koanf:"roles"`            // what this server does: door, loader, api, separated by commas
	MemoryLimit     int64         `koanf:"memory-limit"`     // bytes the embedded engine may use; 0: 2 GiB or half of the machine
	IndexRecent     int           `koanf:"index-recent"`     // ids that the loader keeps in memory before they become a file of the index; 0: 524,288
	PublishEvery    time.Duration `koanf:"publish-every"`    // how often it is looked whether a period has closed; 0: never

	SQL sqlLimits `koanf:",squash"` // what statements of analysts may take

	unseeded bool // a command that only starts the parts: the pack's reference events are not sent
}

// settings are the keys of config that may stand in the file, in the order of --help.
var settings = append([]string{"data", "listen", "sql-listen", "sql-warehouse", "keys", "pack", "journal", "journal-durable", "journal-replicas", "warehouse", "lake", "roles", "memory-limit", "index-recent", "publish-every"}, sqlLimitSettings...)

func serveFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("data", defaultData(), "folder that holds everything")
	f.String("listen", "127.0.0.1:8080", "address of the API and the page; another than a loopback address needs --tls-cert")
	f.String("sql-listen", "", "address of SQL for analysts and their tools, by ClickHouse's HTTP interface, such as 127.0.0.1:8123; by default a free port of this machine, which 'ombor sql' finds; another than a loopback address needs --tls-cert")
	f.String("sql-warehouse", "", "with --warehouse: the same server as the user that analysts' statements run as, https://ombor_analyst@HOST:8443 ('ombor warehouse users' makes it)")
	f.String("keys", "", "file of the identity and pseudonym keys, mode 0600; by default keys.json under --data, made on the first run")
	f.String("pack", "", "folder or zip of a country's pack; by default the embedded pack uz")
	f.String("journal", "", "nats://HOST:4222; by default embedded")
	f.Bool("journal-durable", false, "declare that the server of --journal syncs each message before it acknowledges it (sync_interval: always)")
	f.Int("journal-replicas", 1, "copies of the journal on the cluster of --journal")
	f.String("warehouse", "", "https://USER@HOST:8443/DB, a ClickHouse server; by default embedded")
	f.String("lake", "", "s3://BUCKET/PREFIX?endpoint=HOST:PORT, object storage; by default a folder under --data")
	f.String("access", "", "YAML file: where people sign in and what they may do then (docs/security.md); by default API keys and the operator's link only")
	f.String("tls-cert", "", "PEM file of the certificate, with its chain; read again when it changes")
	f.String("tls-key", "", "PEM file of the certificate's key")
	f.String("roles", allRoles, "what this server does; one that does not do everything shares --journal, --warehouse and --lake with others")
	f.Int64("memory-limit", 0, "bytes that the embedded engine may use; 0 means 2 GiB or half of the machine, the smaller")
	f.Int("index-recent", 0, "ids that the loader keeps in memory, 48 bytes each, before they become a file of its index; 0 means 524288")
	f.Duration("publish-every", time.Minute, "how often it is looked whether a period has closed, whose figures are then published; 0 means never")
	sqlLimitFlags(f)
	f.String("config", "", "YAML file with the same keys as these flags")
}

// readConfig merges the file, the environment and the flags, and checks them all.
func readConfig(c *cobra.Command) (config, error) {
	var cfg config
	k := koanf.New(".")
	if name, _ := c.Flags().GetString("config"); name != "" {
		if err := k.Load(file.Provider(name), yaml.Parser()); err != nil {
			return cfg, problem.Wrap(err, problem.BadInput, "", "cannot read the configuration %s", name)
		}
		var issues problem.Issues
		for _, key := range k.Keys() {
			if !slices.Contains(settings, key) {
				issues.Add(name, 0, key, "unknown key; allowed are %s", strings.Join(settings, ", "))
			}
		}
		if err := issues.Err(); err != nil {
			return cfg, err
		}
	}
	environment := env.Provider(".", env.Opt{Prefix: "OMBOR_", TransformFunc: func(name, value string) (string, any) {
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "OMBOR_"), "_", "-"))
		if !slices.Contains(settings, key) {
			return "", nil // OMBOR_URL and others belong to other commands
		}
		return key, value
	}})
	if err := k.Load(environment, nil); err != nil {
		return cfg, err
	}
	if err := k.Load(posflag.Provider(c.Flags(), ".", k), nil); err != nil {
		return cfg, err
	}
	if err := k.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{Tag: "koanf"}); err != nil {
		return cfg, problem.Wrap(err, problem.BadInput, "", "the configuration has a value of the wrong type")
	}
	return cfg, cfg.check()
}

func (cfg *config) check() error {
	absolute, err := filepath.Abs(cfg.Data)
	if err != nil {
		return err
	}
	cfg.Data = absolute
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return problem.New(problem.BadInput, "--listen %q: want HOST:PORT, for instance 127.0.0.1:8080", cfg.Listen)
	}
	sqlHost := "127.0.0.1"
	if cfg.SQLListen != "" {
		if sqlHost, _, err = net.SplitHostPort(cfg.SQLListen); err != nil {
			return problem.New(problem.BadInput, "--sql-listen %q: want HOST:PORT, for instance 127.0.0.1:8123", cfg.SQLListen)
		}
	}
	if (cfg.TLSCert == "") != (cfg.TLSKey == "") {
		return problem.New(problem.BadInput, "--tls-cert and --tls-key belong together: give both, or neither")
	}
	if !onThisMachine(host) && cfg.TLSCert == "" {
		return problem.New(problem.BadInput, "--listen %q: without TLS only loopback addresses are served, because keys and sessions would be readable on the way; give --tls-cert and --tls-key, or use 127.0.0.1:PORT behind a proxy that speaks https", cfg.Listen)
	}
	if !onThisMachine(sqlHost) && cfg.TLSCert == "" {
		return problem.New(problem.BadInput, "--sql-listen %q: without TLS only loopback addresses are served, because keys would be readable on the way; give --tls-cert and --tls-key", cfg.SQLListen)
	}
	if cfg.Warehouse == "" && cfg.SQLWarehouse != "" {
		return problem.New(problem.BadInput, "--sql-warehouse goes with --warehouse: both name one server")
	}
	for _, want := range []struct{ flag, value, schemes string }{
		{"journal", cfg.Journal, "nats tls"}, {"warehouse", cfg.Warehouse, "http https"}, {"sql-warehouse", cfg.SQLWarehouse, "http https"}, {"lake", cfg.Lake, "s3 file"},
	} {
		if want.value == "" {
			continue
		}
		u, err := url.Parse(want.value)
		if err != nil || !slices.Contains(strings.Fields(want.schemes), u.Scheme) {
			return problem.New(problem.BadInput, "--%s: want an address that begins with %s://", want.flag, strings.ReplaceAll(want.schemes, " ", ":// or "))
		}
	}
	if _, err := cfg.SQL.limits(); err != nil {
		return err
	}
	return cfg.checkRoles()
}

const allRoles = "door,loader,api"

// does says whether the server has a role: door, loader or api.
func (cfg *config) does(role string) bool {
	return cfg.Roles == "" || slices.Contains(strings.Split(cfg.Roles, ","), role)
}

// checkRoles refuses roles that nobody else could complete: what a server does not do
// another does with the same journal, warehouse and lake.
func (cfg *config) checkRoles() error {
	if cfg.Roles == "" {
		cfg.Roles = allRoles
	}
	for role := range strings.SplitSeq(cfg.Roles, ",") {
		if !slices.Contains(strings.Split(allRoles, ","), role) {
			return problem.New(problem.BadInput, "--roles %q: %q is none of door, loader, api; separate several with commas", cfg.Roles, role)
		}
	}
	if cfg.does("door") && cfg.does("loader") && cfg.does("api") {
		return nil
	}
	var missing []string
	for _, part := range []struct{ flag, value string }{{"--journal", cfg.Journal}, {"--warehouse", cfg.Warehouse}, {"--lake", cfg.Lake}} {
		if part.value == "" {
			missing = append(missing, part.flag)
		}
	}
	if len(missing) > 0 {
		return problem.New(problem.BadInput, "--roles %s: what this server does not do, another does on the same data, so %s must name parts that both reach", cfg.Roles, strings.Join(missing, ", "))
	}
	return nil
}
