package pack_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

func town(t *testing.T, checks pack.Checks) *pack.Pack {
	t.Helper()
	p, err := pack.Read(os.DirFS("testdata/whole"), checks)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadConverts(t *testing.T) {
	p := town(t, pack.Checks{})
	if p.Name != "town" || p.Prefix != "town." || p.Zone.String() != "Asia/Tashkent" || p.Currency != "UZS" || p.K != 10 {
		t.Errorf("head %q %q %s %q %d", p.Name, p.Prefix, p.Zone, p.Currency, p.K)
	}
	if s := p.Sources["desk"]; s.Owner != "hall" || s.Freshness.Hours() != 24 || s.Title["uz"] != "Stol" {
		t.Errorf("source %+v", s)
	}
	c := p.Set.ByName("request", 0)
	if c == nil || c.Major != 1 || c.Retention.Warehouse != 60 || c.Retention.Lake != 0 || len(c.Fields) != 9 {
		t.Fatalf("contract %+v", c)
	}
	if f := c.Field("person"); f.Type != contract.Person || f.Class != contract.Personal {
		t.Errorf("a person is %+v", f)
	}
	if f := c.Field("channel"); f.Name != c.Fields[2].Name || !slices.Equal(f.Values, []string{"web", "desk"}) {
		t.Errorf("fields are out of order: %+v", c.Fields)
	}
	m := p.Mapping("desk")
	if m == nil || m.Fields["service"].Column != "kind" || m.Fields["channel"].Values["01"] != "web" || m.Fields["channel"].Values["yes"] != "desk" {
		t.Errorf("mapping %+v", m)
	}
	share := p.KPI("web-share").Versions[0]
	if share.Basis != kpi.Events || share.At != "time" || share.Grain != "day" || share.Numerator.Terms[0].If != "channel = 'web'" {
		t.Errorf("version %+v", share)
	}
	if share.Valid != (reference.Span{From: reference.NoDay, To: reference.NoDay}) {
		t.Errorf("a validity that is not told is %+v", share.Valid)
	}
	stock := p.KPI("service-count").Versions[0]
	if stock.Basis != kpi.Stock || stock.Table != "services" || stock.Key != "service" || !slices.Equal(stock.From, []string{"service.changed"}) {
		t.Errorf("stock %+v", stock)
	}
	target := p.Targets[0]
	if target.Comparator != kpi.AtLeast || target.Value != 75 || !target.DueStated || target.Owner != "hall" ||
		target.Due.String() != "2024-12-31" || target.Period.From != reference.NoDay {
		t.Errorf("target %+v", target)
	}
	if p.Label("uz", "group.desk") != "Stol" || p.Label("ru", "group.desk") != "Desk" || p.Label("en", "value.channel.web") != "web" {
		t.Error("labels do not fall back to the first language and then to the key")
	}
	if row, _ := p.Reference.Table("organisations").Get("roads"); row.Names["uz"] != "Yoʻllar" {
		t.Errorf("name %q", row.Names["uz"])
	}
	if len(p.Examples["town.request.v1"]) != 1 {
		t.Errorf("examples %v", p.Examples)
	}
}

func TestSeeds(t *testing.T) {
	p := town(t, pack.Checks{})
	collect := func() []string {
		var all []string
		for event := range p.Seeds() {
			var e struct {
				ID, Time, Type, Subject string
				Data                    struct {
					Service, Agency    string
					Electronic, Active bool
				}
			}
			if err := json.Unmarshal(event, &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.Join([]string{e.ID, e.Time, e.Type, e.Subject, e.Data.Service, e.Data.Agency,
				map[bool]string{true: "electronic"}[e.Data.Electronic], map[bool]string{true: "active"}[e.Data.Active]}, " "))
		}
		return all
	}
	want := []string{
		"services/permit/2023-01-01 2023-01-01T00:00:00+05:00 town.service.changed.v1 permit permit hall  active",
		"services/permit/2024-07-01 2024-07-01T00:00:00+05:00 town.service.changed.v1 permit permit hall electronic active",
		"services/pothole/2024-01-01 2024-01-01T00:00:00+05:00 town.service.changed.v1 pothole pothole roads electronic active",
	}
	if got := collect(); !slices.Equal(got, want) {
		t.Errorf("seeds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Equal(collect(), collect()) {
		t.Error("seeds differ from one time to the next")
	}
	for range p.Seeds() {
		break // stopping early is allowed
	}
}

func TestASeedThatEnds(t *testing.T) {
	files := filesOf(t, "testdata/whole")
	files["reference/services.csv"] = []byte("code,agency,electronic,valid_from,valid_to\npermit,hall,true,2023-01-01,2024-06-30\n")
	files["contracts/request.yaml"] = bytes.Replace(files["contracts/request.yaml"], []byte("service: pothole"), []byte("service: permit"), 1)
	p, err := pack.Read(archive(t, files, ""), pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	var last string
	n := 0
	for event := range p.Seeds() {
		last = string(event)
		n++
	}
	if n != 2 || !strings.Contains(last, `"id":"services/permit/2024-07-01"`) || !strings.Contains(last, `"active":false`) {
		t.Errorf("%d seeds, the last %s", n, last)
	}
}

func TestChecksAreAsked(t *testing.T) {
	var expressions []string
	mappings := 0
	town(t, pack.Checks{
		Expression: func(sql string, columns []string) error {
			if !slices.Contains(columns, "time") {
				t.Errorf("columns %v", columns)
			}
			expressions = append(expressions, sql)
			return nil
		},
		Mapping: func(m *contract.Mapping, c *contract.Contract, refs *reference.Set) problem.Issues {
			mappings++
			return nil
		},
	})
	if want := []string{"its.time < time", "its.electronic", "before AND electronic_now", "channel = 'web'", "electronic", "electronic AND active", "channel = 'web'"}; !slices.Equal(expressions, want) || mappings != 1 {
		t.Errorf("asked for %q and %d mappings", expressions, mappings)
	}
	_, err := pack.Read(os.DirFS("testdata/whole"), pack.Checks{
		Expression: func(sql string, _ []string) error {
			if strings.Contains(sql, "web") {
				return errors.New("no such function")
			}
			return nil
		},
		Mapping: func(m *contract.Mapping, _ *contract.Contract, _ *reference.Set) problem.Issues {
			return problem.Issues{{File: m.File, Line: 3, Field: "id", Message: "no such column"}}
		},
	})
	want := `3 problems:
kpis/asked-share.yaml:11: versions[0].numerator: "channel = 'web'": no such function
kpis/web-share.yaml:12: versions[0].numerator: "channel = 'web'": no such function
mappings/desk.yaml:3: id: no such column`
	if err == nil || err.Error() != want {
		t.Errorf("said\n%v\nwant\n%s", err, want)
	}
	if n := len(problem.IssuesOf(err)); n != 3 || problem.KindOf(err) != problem.BadInput {
		t.Errorf("%d issues of kind %s", n, problem.KindOf(err))
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	files := filesOf(t, "testdata/whole")
	for _, folder := range []string{"", "town-1.0/"} {
		path := filepath.Join(dir, "pack.zip")
		if err := os.WriteFile(path, zipped(t, files, folder), 0o600); err != nil {
			t.Fatal(err)
		}
		opened, err := pack.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pack.Read(opened, pack.Checks{}); err != nil {
			t.Errorf("in folder %q: %v", folder, err)
		}
		if err := opened.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	}
	if opened, err := pack.Open("testdata/whole"); err != nil {
		t.Error(err)
	} else if _, err := fs.Stat(opened, "pack.yaml"); err != nil {
		t.Error(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("name: town\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]problem.Kind{text: problem.BadInput, filepath.Join(dir, "none"): problem.NotFound} {
		if _, err := pack.Open(path); problem.KindOf(err) != kind || err == nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := pack.Embedded("mars"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("said %v", err)
	}
}

// A link in a pack's folder could show a file of the machine.
func TestLinksOnDiskAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, data := range filesOf(t, "testdata/whole") {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside.csv")
	if err := os.WriteFile(outside, []byte("code\nhall\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "reference/organisations.csv")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "reference/organisations.csv")); err != nil {
		t.Fatal(err)
	}
	_, err := pack.Read(os.DirFS(dir), pack.Checks{})
	if err == nil || !strings.Contains(err.Error(), "reference/organisations.csv: is a link or a device") {
		t.Errorf("said %v", err)
	}
}

func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[name], err = os.ReadFile(filepath.Join(dir, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func zipped(t *testing.T, files map[string][]byte, folder string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, data := range files {
		f, err := w.Create(folder + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archive(t *testing.T, files map[string][]byte, folder string) fs.FS {
	t.Helper()
	data := zipped(t, files, folder)
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
