package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// Hours that something took are told in the unit that people would use; hours of work that were
// saved are hours, for nobody works 24 of them a day.
func TestHours(t *testing.T) {
	took := []any{map[string]any{"q": 0.5, "value": 71.9}}
	for _, c := range []struct {
		value     float64
		quantiles any
		want      string
	}{
		{652194, nil, "652 194 hours"}, {652194.5, nil, "652 195 hours"}, {71.9, nil, "71.90 hours"}, {0, nil, "0.00 hours"},
		{71.9, took, "3.0 days"}, {1.5, took, "1.5 hours"}, {0.5, took, "30.0 minutes"},
	} {
		cell := map[string]any{"value": c.value, "state": "value"}
		if c.quantiles != nil {
			cell["quantiles"] = c.quantiles
		}
		if got := strings.ReplaceAll(tongue("en").value(cell, "hours"), "\u00a0", " "); got != c.want {
			t.Errorf("%v hours, %v: %q, want %q", c.value, c.quantiles, got, c.want)
		}
	}
}

// What stands beside a figure is in its unit.
func TestMarks(t *testing.T) {
	cell := map[string]any{"period": "2024-02", "quantiles": []any{map[string]any{"q": 0.5, "value": 103.92}, map[string]any{"q": 0.9, "value": 7.0}},
		"comparison": map[string]any{"period": "2024-01", "difference": -6.4}}
	if got, want := tongue("en").marks(cell, "hours"), "p50 4.3 days, p90 7.0 hours, -6.4 hours since 2024-01"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := tongue("en").marks(cell, "minutes"), "p50 103.92, p90 7.00, -6.4 since 2024-01"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A result or claim that no figure stands against says why in the words of the terminal, and one
// without a figure of its own is told by its wording.
func TestPublishedWithoutFigure(t *testing.T) {
	var list []heldTarget
	var printed []published
	text := `[{"kind":"claim","comparator":"","value":null,"status":"published","holds":null,"wording":"money is saved"},
		{"kind":"result","comparator":"about","value":74,"status":"published","holds":null,"wording":"about 74 %"},
		{"kind":"result","comparator":"about","value":0,"status":"published","holds":false,"wording":"none"}]`
	for _, v := range []any{&list, &printed} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []struct{ verdict, aim, said string }{
		{"not to be told by a number", "yes or no", "claim “money is saved”"},
		{"no figure", "about 74.0 %", "result about 74"},
		{"not borne out", "about 0.0 %", "result about 0"},
	} {
		if got := list[i].verdict(); got != want.verdict {
			t.Errorf("%d: verdict %q, want %q", i, got, want.verdict)
		}
		if got := list[i].aim("en", nil, "percent"); got != want.aim {
			t.Errorf("%d: aim %q, want %q", i, got, want.aim)
		}
		if got := printed[i].String(); got != want.said {
			t.Errorf("%d: said %q, want %q", i, got, want.said)
		}
	}
}

// A scorecard before anything has come has no days to speak of, and no figure is an empty one.
func TestEmptyScorecard(t *testing.T) {
	var card scorecard
	if err := json.Unmarshal([]byte(`{"from":null,"to":null,"rows":[{"kpi":"requests","unit":"count","cell":null,"targets":[]}]}`), &card); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	card.print(&out, "en")
	if first, rest, _ := strings.Cut(out.String(), "\n"); first != "Scorecard: nothing has been received yet" || !strings.Contains(rest, "no report received") {
		t.Errorf("%q, then %q", first, rest)
	}
}
