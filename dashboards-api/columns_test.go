package dashboards

import (
	"testing"

	"ombor/internal/reference"
	"ombor/queries"
)

// TestColumnsHaveWords holds the columns of a table of values against what the sheet About says of them.
func TestColumnsHaveWords(t *testing.T) {
	r := &queries.Result{By: []string{"region", "kpi"}, Compare: queries.Previous, Names: map[string]map[string]reference.Names{"region": {"1703": {"en": "Andijan"}}}}
	r.Definition.Quantiles = []float64{0.5}
	table := (&server{}).cellTable(r, "uz")
	dimensions := map[string]reference.Names{"region": {"en": "Region", "uz": "Hudud", "ru": "Регион"}, "kpi": {"en": "KPI", "uz": "KPI", "ru": "KPI"}}
	want := map[string][2]string{"region": {"Hudud (kodi)", "Регион (код)"}, "region_name": {"Hudud", "Регион"}, "by.kpi": {"KPI (kodi)", "KPI (код)"}, "kpi": {"koʻrsatkich kodi", "код показателя"}}
	uz, ru, en := aboutColumns(table, dimensions, "uz"), aboutColumns(table, dimensions, "ru"), aboutColumns(table, dimensions, "en")
	for i, c := range table.columns {
		if uz[i][0] != c.name || uz[i][1] == "" || ru[i][1] == "" || en[i][1] == "" || uz[i] == en[i] && c.name != "by.kpi" || ru[i] == en[i] {
			t.Errorf("%s: %q, %q, %q", c.name, uz[i], ru[i], en[i])
		}
		if words, ok := want[c.name]; ok && (uz[i][1] != words[0] || ru[i][1] != words[1]) {
			t.Errorf("%s: %q, %q, want %q", c.name, uz[i], ru[i], words)
		}
		quantile := c.name == quantileName(0.5)
		if told := uz[i][1] == quantileWords["uz"]; told != quantile {
			t.Errorf("%s has no words of its own", c.name)
		}
	}
}
