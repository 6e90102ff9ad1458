package queries_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ombor/internal/kpi"
	"ombor/internal/pack"
	"ombor/queries"
	"ombor/warehouse"
	"ombor/warehouse/warehousetest"
)

// TestPacks opens the embedded pack and those that tests of other rooms stand on: every
// expression passes the check, every rollup can be made, every KPI answers over empty
// tables.
func TestPacks(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join("..", "internal", "pack", "testdata", "*", "pack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := pack.Embedded("uz")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("uz", func(t *testing.T) { testPack(t, files) })
	for _, f := range folders {
		name := filepath.Base(filepath.Dir(f))
		if strings.HasPrefix(name, "bad") {
			continue
		}
		t.Run(name, func(t *testing.T) { testPack(t, os.DirFS(filepath.Dir(f))) })
	}
}

func testPack(t *testing.T, files fs.FS) {
	p, err := pack.Read(files, pack.Checks{})
	if err != nil {
		t.Fatal(err)
	}
	w := warehousetest.Open(t, p.Set, p.KPIs)
	for _, k := range p.KPIs {
		for i := range k.Versions {
			v := &k.Versions[i]
			for _, side := range v.Sides() {
				c := w.Contract(side.From)
				if c == nil {
					t.Fatalf("%s reads %q, which does not exist", k.ID, side.From)
				}
				columns := append(warehouse.Columns(c), kpi.AsOf)
				for _, m := range v.Match {
					columns = append(columns, m.Name)
				}
				for _, e := range v.ExpressionsOf(side) {
					if err := w.Check(context.Background(), e, columns); err != nil {
						t.Errorf("%s: %v", k.ID, err)
					}
				}
			}
		}
	}
	q := queries.New(w, p.KPIs, p.Reference, queries.Options{Targets: p.Targets, K: p.K})
	card, err := q.Scorecard(context.Background(), queries.ScorecardRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(card.Rows) != len(p.KPIs) {
		t.Errorf("%d rows for %d KPIs", len(card.Rows), len(p.KPIs))
	}
	for _, r := range card.Rows {
		if r.Problem != "" {
			t.Errorf("%s: %s", r.KPI, r.Problem)
		}
	}
}
