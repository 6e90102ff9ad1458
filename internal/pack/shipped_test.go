package pack_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"ombor/internal/pack"
)

// shipped are the packs of this repository: the one that is built in and those that
// the tests of mappings and queries use.
func shipped(t *testing.T) map[string]fs.FS {
	t.Helper()
	uz, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	packs := map[string]fs.FS{"uz": uz}
	for _, name := range []string{"boston", "canada", "epa", "itdashboard", "uk"} {
		dir := filepath.Join("testdata", name)
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the pack %s is not there: %v", name, err)
			continue
		}
		packs[name] = os.DirFS(dir)
	}
	return packs
}

func TestShippedPacksAreWhole(t *testing.T) {
	for name, files := range shipped(t) {
		t.Run(name, func(t *testing.T) {
			p, err := pack.Read(files, pack.Checks{})
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != name || len(p.Contracts) == 0 || len(p.KPIs) == 0 {
				t.Errorf("read %q with %d contracts and %d KPIs", p.Name, len(p.Contracts), len(p.KPIs))
			}
		})
	}
}
