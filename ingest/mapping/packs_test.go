package mapping_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"ombor/ingest/mapping"
	"ombor/internal/contract"
	"ombor/internal/pack"
	"ombor/internal/problem"
)

// shared is a file of the shared test data.
func shared(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("OMBOR_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	file := filepath.Join(root, "data", filepath.FromSlash(name))
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("the test reads real files: put the shared folder beside the project, or set OMBOR_SHARED to it (%v)", err)
	}
	return file
}

func testPack(t testing.TB, name string) *pack.Pack {
	t.Helper()
	p, err := pack.Read(os.DirFS(filepath.Join("..", "..", "internal", "pack", "testdata", name)), pack.Checks{Mapping: mapping.Check})
	if err != nil {
		t.Fatalf("pack %s: %v", name, err)
	}
	return p
}

func mappers(t testing.TB, p *pack.Pack) []*mapping.Mapper {
	t.Helper()
	var all []*mapping.Mapper
	for _, m := range p.Mappings {
		made, err := mapping.New(m, p.Set.ByType(m.For), p.Reference, p.Zone)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, made)
	}
	return all
}

type event struct {
	ID, Source, Type, Time, OnChange string
	Data                             map[string]any
}

// load reads a file of a pack by the mapping that is found for it, and sends every
// event through the door's checker.
func load(t *testing.T, packName, file string) (events []event, refused []string, stats mapping.Stats, warnings map[string]int) {
	t.Helper()
	p := testPack(t, packName)
	m, err := mapping.Choose(context.Background(), file, mappers(t, p))
	if err != nil {
		t.Fatal(err)
	}
	batch := contract.NewChecker(p.Set, contract.NewKeys(), contract.Limits{}).NewBatch()
	warnings = map[string]int{}
	seen := map[string]bool{}
	done := func() {
		for _, w := range batch.Warnings() {
			warnings[w.Rule] += w.Count
		}
		for _, h := range batch.Held() {
			t.Errorf("held: %s: %s", h.ID, h.Reason)
		}
		batch.Reset()
	}
	stats, err = m.Read(context.Background(), file, func(raw []byte, at mapping.Place) error {
		if refusal := batch.Add(0, raw); refusal != nil {
			t.Errorf("%s: the door refuses %s: %v", at, raw, refusal)
		}
		if batch.Len() >= 1000 {
			done()
		}
		var e event
		if err := json.Unmarshal(raw, &e); err != nil {
			t.Fatalf("%s: %v: %s", at, err, raw)
		}
		if seen[e.ID] {
			t.Errorf("%s: the id %s stands twice", at, e.ID)
		}
		seen[e.ID] = true
		events = append(events, e)
		return nil
	}, func(at mapping.Place, field, code, reason string) {
		refused = append(refused, at.String()+": "+field+": "+code+": "+reason)
	})
	if err != nil {
		t.Fatal(err)
	}
	done()
	if stats.Events != int64(len(events)) || stats.Refused != int64(len(refused)) || stats.Rows != stats.Events+stats.Refused+stats.Skipped {
		t.Errorf("stats are %+v, with %d events and %d refusals", stats, len(events), len(refused))
	}
	return events, refused, stats, warnings
}

func TestBoston(t *testing.T) {
	events, refused, _, _ := load(t, "boston", shared(t, "us_boston_311/311_service_requests_2011.zip"))
	if len(events) != 58251 || len(refused) != 0 {
		t.Fatalf("%d events, %d refused: %v", len(events), len(refused), refused)
	}
	first := events[0]
	if first.ID != "101000295613" || first.Time != "2011-07-01T01:32:33-04:00" || first.OnChange != "correct" {
		t.Errorf("the first event is %+v", first)
	}
	count := map[string]int{}
	for _, e := range events {
		switch e.Data["on_time"] {
		case true:
			count["on time"]++
		case false:
			count["overdue"]++
		}
		if e.Data["closed_at"] == nil {
			count["open"]++
		}
		if e.Data["neighborhood"] == nil {
			count["nowhere"]++
		}
	}
	want := map[string]int{"on time": 46572, "overdue": 11521, "open": 3681, "nowhere": 2829 + 41}
	for k, n := range want {
		if count[k] != n {
			t.Errorf("%s: %d, want %d", k, count[k], n)
		}
	}
}

func TestUK(t *testing.T) {
	events, refused, _, warnings := load(t, "uk", shared(t, "uk_transactions/transaction-volumes.csv"))
	if len(events) != 734*21 || len(refused) != 0 {
		t.Fatalf("%d events, %d refused: %v", len(events), len(refused), refused)
	}
	services, windows := map[any]bool{}, map[string]int{}
	blank := 0
	for _, e := range events {
		if e.Data["volume"] == nil && e.Data["digital_volume"] == nil && e.Data["cost"] == nil {
			blank++
		}
		services[e.Data["service"]] = true
		windows[e.Data["window_from"].(string)+" "+e.Data["window_to"].(string)]++
	}
	if len(services) != 734 || len(windows) != 21 || windows["2014-01-01 2014-12-31"] == 0 || windows["2015-01-01 2015-12-31"] == 0 {
		t.Errorf("%d services in %d windows: %v", len(services), len(windows), windows)
	}
	if blank != 734*21-11227 {
		t.Errorf("%d services left a window blank", blank)
	}
	if warnings["digital-within-volume"] != 6 {
		t.Errorf("warnings: %v, want six cells with digital above volume", warnings)
	}
}

func TestCanada(t *testing.T) {
	services, refused, _, _ := load(t, "canada", shared(t, "ca_gc_services/si_2024_snapshot_2025-03-01.csv"))
	if len(services) != 1721 || len(refused) != 0 {
		t.Fatalf("%d services, %d refused: %v", len(services), len(refused), refused)
	}
	states := map[any]int{}
	for _, e := range services {
		states[e.Data["online_state"]]++
		if _, reported := e.Data["online"]; reported != (e.Data["online_state"] == "reported") {
			t.Fatalf("a number and its state differ: %v", e.Data)
		}
	}
	if states["reported"] != 959 || states["not_applicable"] != 515 || states["not_provided"] != 247 {
		t.Errorf("states of online: %v", states)
	}
	if d := services[0].Data; d["year_from"] != "2023-04-01" || d["year_to"] != "2024-03-31" ||
		d["organisation_name_fr"] != "Service canadien d'appui aux tribunaux administratifs" || services[0].Time != "2024-03-31T00:00:00-04:00" {
		t.Errorf("the first service is %+v", services[0])
	}
	standards, refused, _, _ := load(t, "canada", shared(t, "ca_gc_services/ss_2024_snapshot_2025-03-01.csv"))
	if len(standards) != 2341 || len(refused) != 0 {
		t.Fatalf("%d standards, %d refused: %v", len(standards), len(refused), refused)
	}
}

func TestEPA(t *testing.T) {
	events, refused, stats, _ := load(t, "epa", shared(t, "us_epa_http/epa-http.zip"))
	if stats.Rows != 47748 || len(events) != 47727 || len(refused) != 21 {
		t.Fatalf("%d rows, %d events, %d refused: %v", stats.Rows, len(events), len(refused), refused)
	}
	// The first line that breaks off before the size.
	if want := "epa-http.zip/epa-http.csv:7527: : no_match: the line does not match read.lines"; refused[0] != want {
		t.Errorf("refused first: %s, want %s", refused[0], want)
	}
	extensions := map[any]int{}
	for _, e := range events {
		extensions[e.Data["extension"]]++
	}
	if extensions["gif"] < 20000 || extensions["html"] < 8000 || extensions[nil] < 10000 || len(extensions) > 60 {
		t.Errorf("extensions: %v", extensions)
	}
	if events[0].Time != "1995-08-29T23:53:25-04:00" {
		t.Errorf("the first request is %+v", events[0])
	}
}

// TestFaultsAreToldOnceWhereTheyStand reads a pack with a mapping of many faults: each is told on the line
// of its key and once, also where the pack's reader or its decoder had told it before the compiler.
func TestFaultsAreToldOnceWhereTheyStand(t *testing.T) {
	files := fstest.MapFS{}
	if err := fs.WalkDir(os.DirFS("../../internal/pack/testdata/whole"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../../internal/pack/testdata/whole", name))
		files[name] = &fstest.MapFile{Data: text}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	files["mappings/desk.yaml"] = &fstest.MapFile{Data: []byte(`for: town.request.v1
read:
  format: xls
  time_zone: Mars
id: number
time: opened
fields:
  agency:
    column: office
    values:
      A: hall
      B: Roads
      C: harbour
    others: port
    default: pier
  chanel: how
  channel: {column: how, values: {01: web, 02: fly}}
  score: {column: points, format: "2006"}
skip: row.state ==
`)}
	_, err := pack.Read(files, pack.Checks{Mapping: mapping.Check})
	if err == nil {
		t.Fatal("a mapping of many faults was read")
	}
	want := []string{
		`mappings/desk.yaml:3: read.format: "xls" is not allowed`,
		`mappings/desk.yaml:4: read.time_zone: "Mars" is not an IANA time zone`,
		`mappings/desk.yaml:7: fields.service: is missing`,
		`mappings/desk.yaml:13: fields.agency.values.C: "harbour" is no code, name or alias of the reference table organisations; the nearest is`,
		`mappings/desk.yaml:14: fields.agency.others: "port" is no code`,
		`mappings/desk.yaml:15: fields.agency.default: "pier" is no code`,
		`mappings/desk.yaml:16: fields.chanel: request has no such field`,
		`mappings/desk.yaml:17: fields.channel.values.02: "fly" is none of the field's values "web", "desk"`,
		`mappings/desk.yaml:18: fields.score.format: is for timestamps and dates`,
		`mappings/desk.yaml:19: skip: Syntax error`,
	}
	told := problem.IssuesOf(err)
	for i, issue := range told {
		if i >= len(want) || !strings.HasPrefix(issue.String(), want[i]) {
			t.Errorf("fault %d: %s", i+1, issue)
		}
	}
	if len(told) != len(want) {
		t.Errorf("%d faults are told, and there are %d:\n%v", len(told), len(want), err)
	}
}
