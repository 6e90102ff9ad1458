package dashboards

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestService asks for the states of services that events describe, and of one of which only
// the table tells.
func TestService(t *testing.T) {
	h, check := town(t), newChecker(t)
	ask := func(target string) (body serviceBody) {
		t.Helper()
		response, raw := answerOf(t, h, target)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s", target, response.Status, raw)
		}
		check.check(target, "Service", raw)
		if err := json.Unmarshal(raw, &body); err != nil {
			t.Fatal(err)
		}
		return body
	}
	told := func(body serviceBody) string {
		var lines []string
		for _, s := range body.States {
			line := "…"
			if s.Valid.From != nil {
				line = *s.Valid.From
			}
			if s.Valid.To != nil {
				line += "/" + *s.Valid.To
			}
			if !s.InForce {
				line += " out"
			}
			lines = append(lines, line+" mobile="+s.Values["mobile"]+" fee="+s.Values["fee_text"]+" ["+strings.Join(s.Changed, " ")+"]")
		}
		return strings.Join(lines, "\n")
	}
	permit := ask("/v1/services/permit")
	if want := "2023-01-01/2023-05-31 mobile=false fee= []\n2023-06-01/2024-01-31 mobile=true fee= [mobile]\n2024-02-01 out mobile=true fee=12 EUR a year [active]"; told(permit) != want {
		t.Errorf("states of permit:\n%s\nwant\n%s", told(permit), want)
	}
	if permit.Basis != "events" || permit.Names["en"] != "Parking permit" {
		t.Errorf("permit: %+v", permit)
	}
	tree := ask("/v1/services/tree")
	if want := "… mobile= fee= []"; told(tree) != want || tree.Basis != "table" || tree.States[0].Values["agency"] != "parks" {
		t.Errorf("tree: %s", told(tree))
	}
	_, csv := answerOf(t, h, "/v1/services/permit?format=csv")
	if lines := strings.Split(strings.TrimSpace(string(csv)), "\n"); len(lines) != 4 || strings.TrimSpace(lines[0]) != "code,valid_from,valid_to,in_force,agency,fee_text,active,mobile,simulated" {
		t.Errorf("as a table:\n%s", csv)
	}
	for _, format := range []string{"xlsx", "parquet", "arrow"} {
		if response, body := answerOf(t, h, "/v1/services/permit?format="+format); response.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("as %s: %s", format, response.Status)
		}
	}
	for target, status := range map[string]int{"/v1/services/nothing": http.StatusNotFound, "/v1/services/permit?known_on=soon": http.StatusBadRequest, "/v1/services/permit?on=2024-01-01": http.StatusBadRequest} {
		if response, body := answerOf(t, h, target); response.StatusCode != status {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
	}
}
