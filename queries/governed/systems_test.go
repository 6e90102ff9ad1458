package governed_test

import (
	"strings"
	"testing"

	"ombor/internal/access"
	"ombor/internal/protocol"
	"ombor/queries/governed"
)

// A contract that names no agency is read by the agency that owns the system which sends it: the rows
// that this system sent, and no others, however they are asked for. Of other systems it reads nothing.
func TestOwnSystem(t *testing.T) {
	w := newWorld(t, governed.Limits{})
	for statement, want := range map[string]string{
		"SELECT count(), groupArray(school) FROM (SELECT school FROM diary_used_v1 ORDER BY school)":                          "2\t['s1','s2']\n",
		"SELECT count() FROM diary_used_v1_ledger":                                                                            "2\n",
		"SELECT count() FROM ombor.diary_used_v1 WHERE _source = 'portal' OR 1":                                               "2\n",
		"SELECT count() FROM diary_used_v1 WHERE _source != 'diary'":                                                          "0\n",
		"WITH 'portal' AS _source SELECT count() FROM diary_used_v1":                                                          "2\n",
		"SELECT count() FROM (SELECT 'diary' AS _source, school FROM diary_used_v1)":                                          "2\n",
		"SELECT count() FROM diary_used_v1 AS a CROSS JOIN diary_used_v1 AS b":                                                "4\n",
		"SELECT count() FROM request_submitted_v1 WHERE service NOT IN (SELECT school FROM diary_used_v1)":                    "100\n",
		"SELECT count() FROM diary_used_v1 WHERE intDiv(1, _source != 'portal') = 1":                                          "2\n",
		"SELECT name FROM system.tables WHERE database = 'ombor' AND (name LIKE 'diary%' OR name LIKE 'case%') ORDER BY name": "diary_used_v1\ndiary_used_v1_ledger\n",
	} {
		if r := w.ask(access.Agency, statement); r.refused() || r.body != want {
			t.Errorf("%s: %s, want %s", statement, r.body, want)
		}
	}
	for _, statement := range []string{
		"SELECT count() FROM case_filed_v1", "SELECT count() FROM case_filed_v1_ledger", "SELECT 1 FROM diary_used_v1 WHERE 1 IN (SELECT 1 FROM case_filed_v1)", "DESCRIBE case_filed_v1",
		"SELECT count() FROM diary_used_v1 SETTINGS additional_table_filters = {}", "SELECT count() FROM diary_used_v1 SETTINGS additional_table_filters = {'ombor.diary_used_v1': '1'}",
	} {
		if r := w.ask(access.Agency, statement); !r.refused() || strings.Contains(r.body, canaryOthers) {
			t.Errorf("%s: %s", statement, r.body)
		}
	}
	if r := w.ask(access.Agency, "SELECT count() FROM case_filed_v1"); r.code() != protocol.CodeAccessDenied || !strings.Contains(r.body, "system") {
		t.Errorf("rows of another's system: %s", r.body)
	}
	// Who is of an agency and of a region sees what the agency sees: others work in the region, too.
	both := &access.Principal{Roles: []access.Role{access.Agency}, Agency: "mine", Region: "1718"}
	if _, err := w.door.Judge(t.Context(), "SELECT count() FROM case_filed_v1", both); err == nil {
		t.Error("who is of an agency, too, reads all rows of a region")
	}
	if r := w.ask(access.Analyst, "SELECT count() FROM diary_used_v1"); r.body != "3\n" {
		t.Errorf("an analyst sees %s", r.body)
	}
}
