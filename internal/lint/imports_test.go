package lint

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms lists, for each room, the rooms that it may import. Every room may
// import internal/problem, and a room may import its own sub-packages that are
// not rooms themselves (enginetest, conformance).
var rooms = map[string][]string{
	"cmd/ombor":          nil, // sees everything
	"dashboards-api":     {"dashboards-api/web", "queries", "queries/portfolio", "queries/workbench", "queries/replies", "queries/letters", "internal/kpi", "internal/contract", "internal/reference", "internal/access", "internal/audit"},
	"dashboards-api/web": {},
	"ingest":             {"ingest/journal", "ingest/columnar", "internal/access", "internal/contract", "internal/reference"},
	"ingest/columnar":    {"internal/contract"},
	"ingest/mapping":     {"internal/contract", "internal/reference"},
	"ingest/loader":      {"ingest/journal", "internal/stream", "warehouse", "warehouse/lake", "internal/contract", "internal/kpi", "internal/reference"},
	"ingest/journal":     {"internal/stream", "internal/contract"},
	"queries":            {"queries/disclosure", "warehouse", "internal/kpi", "internal/contract", "internal/reference"},
	"queries/disclosure": {},
	"queries/governed":   {"internal/access", "internal/contract", "internal/protocol"},
	"queries/portfolio":  {"queries", "warehouse", "internal/contract", "internal/kpi", "internal/reference"},
	"queries/replies":    {"internal/access", "internal/redact", "internal/stream"},
	"queries/letters":    {"queries", "internal/reference"},
	"queries/workbench":  {"internal/access", "internal/protocol", "internal/redact", "internal/reference", "internal/stream"},
	"warehouse":          {"warehouse/engine", "internal/contract", "internal/kpi", "internal/reference"},
	"warehouse/engine":   {"internal/protocol"},
	"warehouse/lake":     {"internal/contract", "internal/objects", "internal/reference"},
	"internal/pack":      {"internal/contract", "internal/kpi", "internal/reference"},
	"internal/kpi":       {"internal/reference"},
	"internal/contract":  {"internal/redact", "internal/reference"},
	"internal/reference": {},
	"internal/protocol":  {},
	"internal/stream":    {},
	"internal/access":    {"internal/audit", "internal/stream"},
	"internal/audit":     {"internal/redact", "internal/stream"},
	"internal/objects":   {},
	"internal/backup":    {"internal/objects"},
	"internal/simulate":  {"internal/contract", "internal/pack", "internal/reference"},
	"internal/problem":   {},
	"internal/redact":    {},
	"internal/lint":      {},
}

// owners lists, for each third-party client or format, the rooms that may import it.
var owners = []struct {
	prefix string
	rooms  []string
	use    string
}{
	{"github.com/ClickHouse/clickhouse-go/v2/lib", []string{"warehouse", "warehouse/engine"}, "warehouse"},
	{"github.com/ClickHouse/clickhouse-go", []string{"warehouse"}, "warehouse"},
	{"github.com/ClickHouse/ch-go", []string{"internal/protocol", "warehouse", "warehouse/engine"}, "internal/protocol"},
	{"github.com/ebitengine/purego", []string{"warehouse/engine"}, "warehouse/engine"},
	{"github.com/nats-io/", []string{"internal/stream"}, "internal/stream"},
	{"github.com/minio/highwayhash", []string{"internal/contract", "internal/stream"}, "internal/contract"},
	{"github.com/coreos/go-oidc/", []string{"internal/access"}, "internal/access"},
	{"golang.org/x/oauth2", []string{"internal/access"}, "internal/access"},
	{"filippo.io/age", []string{"internal/backup"}, "internal/backup"},
	{"github.com/minio/", []string{"internal/objects"}, "internal/objects"},
	{"github.com/gin-gonic/", []string{"dashboards-api"}, "dashboards-api"},
	{"github.com/spf13/", []string{"cmd/ombor"}, "cmd/ombor"},
	{"github.com/knadh/", []string{"cmd/ombor"}, "cmd/ombor"},
	{"go.yaml.in/", []string{"internal/pack", "dashboards-api", "cmd/ombor"}, "internal/pack"},
	{"cel.dev/", []string{"internal/contract", "ingest/mapping"}, "internal/contract"},
	{"github.com/FastFilter/", []string{"ingest/loader"}, "ingest/loader"},
	{"github.com/apache/arrow/", []string{"internal/contract", "ingest", "ingest/journal", "ingest/loader", "ingest/mapping", "warehouse/lake", "dashboards-api"}, "internal/contract"},
	{"github.com/parquet-go/", []string{"warehouse/lake", "ingest/mapping", "dashboards-api"}, "warehouse/lake"},
	{"github.com/xuri/", []string{"ingest/mapping", "dashboards-api"}, "ingest/mapping"},
}

// TestImports reads every Go file of the module and holds its imports against
// the two tables. Test files are held to the third-party table's spirit less
// strictly: a test may use any room and any client to look at a result.
func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch base := d.Name(); {
			case name != root && strings.HasPrefix(base, "."), base == "node_modules", base == "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		folder := filepath.ToSlash(filepath.Dir(relative))
		room := roomOf(folder)
		if room == "" {
			t.Errorf("%s: %s is no room: add it to ARCHITECTURE.md and to this test", relative, folder)
			return nil
		}
		seen[room] = true
		// A package that exists for tests (enginetest, miniotest, conformance) may use what tests use.
		forTests := room != folder && (strings.HasSuffix(folder, "test") || strings.HasSuffix(folder, "/conformance"))
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !forTests {
				checkImport(t, relative, room, imported)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room := range rooms {
		if !seen[room] {
			t.Errorf("room %s has no Go file: remove it from this test and from ARCHITECTURE.md", room)
		}
	}
}

func checkImport(t *testing.T, file, room, imported string) {
	if ours, ok := strings.CutPrefix(imported, "ombor/"); ok {
		target := roomOf(ours)
		if room == "cmd/ombor" || target == room || target == "internal/problem" || slices.Contains(rooms[room], target) {
			return
		}
		t.Errorf("%s: room %s may not import %s; it may import %v", file, room, target, rooms[room])
		return
	}
	for _, o := range owners {
		if strings.HasPrefix(imported, o.prefix) {
			if !slices.Contains(o.rooms, room) {
				t.Errorf("%s: %s belongs to %v: use package %s instead", file, imported, o.rooms, o.use)
			}
			return
		}
	}
}

// roomOf is the longest room that holds a folder, or "".
func roomOf(folder string) string {
	for ; folder != "." && folder != "/"; folder = path.Dir(folder) {
		if _, ok := rooms[folder]; ok {
			return folder
		}
	}
	return ""
}

// TestArchitectureNamesEveryRoom holds the document to the test.
func TestArchitectureNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for room := range rooms {
		if !strings.Contains(string(text), "| `"+room+"`") {
			t.Errorf("ARCHITECTURE.md has no row for %s", room)
		}
	}
}
