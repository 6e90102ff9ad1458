package dashboards

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"ombor/internal/audit"
	"ombor/internal/contract"
	"ombor/internal/reference"
	"ombor/queries"
)

// TestReplies is the right of reply: who may answer for which figure, what is kept of it, who sees it,
// and how it is taken back.
func TestReplies(t *testing.T) {
	o := open(t)
	owner := loaded.pack.KPIs[0].Owner // the city's KPIs are all of one
	if owner != "city-hall" {
		t.Fatalf("the owner of %s is %q", loaded.pack.KPIs[0].ID, owner)
	}
	reply := func(more string) string {
		return `{"kpi":"digital-share","from":"2023-01-01","to":"2023-12-31","state":"dispute","text":"The application was closed in May.","language":"en"` + more + `}`
	}
	var made struct {
		ID, Agency, By, At string
		Figure             struct {
			Value *float64
			State string
		}
	}
	if err := json.Unmarshal(o.want("hall", "POST", "/v1/replies", reply(""), 201, "Reply"), &made); err != nil {
		t.Fatal(err)
	}
	if made.Figure.Value == nil || *made.Figure.Value != 37.5 || made.Agency != "city-hall" || !strings.HasPrefix(made.By, "key:") || made.At != "2024-03-01T12:00:00Z" {
		t.Errorf("%+v", made)
	}
	o.want("roads", "POST", "/v1/replies", reply(""), 403, "Problem") // not its KPI
	o.want("hall", "POST", "/v1/replies", strings.Replace(reply(""), "in May", "by 45234567890136", 1), 400, "Problem")
	o.want("roads", "POST", "/v1/replies", reply(`,"where":{"agency":"city-hall"}`), 403, "Problem")
	o.want("hall", "POST", "/v1/replies", reply(`,"agency":"roads"`), 403, "Problem")
	o.want("analyst", "POST", "/v1/replies", reply(""), 403, "Problem")
	o.want("center", "POST", "/v1/replies", reply(`,"where":{"department":"PWDx"}`), 201, "Reply")
	o.want("center", "POST", "/v1/replies", reply(`,"where":{"department":"PWDx","channel":"x"}`), 400, "Problem")
	o.want("center", "POST", "/v1/replies", reply(`,"where":{"weather":"rain"}`), 400, "Problem")
	for from, to := range map[string]string{`"dispute"`: `"withdrawn"`, "The application was closed in May.": "No.", `"en"`: `"de"`, `"2023-12-31"`: `"2022-12-31"`, `"2023-01-01"`: `"January"`, `"digital-share"`: `"digital-share","colour":"red"`} {
		o.want("center", "POST", "/v1/replies", strings.Replace(reply(""), from, to, 1), 400, "Problem")
	}
	o.want("center", "POST", "/v1/replies", strings.Replace(reply(""), "digital-share", "nothing", 1), 400, "Problem")
	o.want("center", "POST", "/v1/replies", strings.Replace(reply(""), "May.", strings.Repeat("x", replyBytes), 1), 413, "Problem")
	count := func(who, query string) int {
		t.Helper()
		var list struct{ Replies []struct{ ID string } }
		if err := json.Unmarshal(o.want(who, "GET", "/v1/replies"+query, "", 200, "Replies"), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Replies)
	}
	if all, of, then, never := count("leader", ""), count("leader", "?kpi=digital-share"), count("leader", "?from=2024-01-01"), count("leader", "?kpi=cases"); all != 2 || of != 2 || then != 0 || never != 0 {
		t.Errorf("%d %d %d %d replies", all, of, then, never)
	}
	if hall, roads := count("hall", ""), count("roads", ""); hall != 1 || roads != 1 { // the row of a department is none of theirs
		t.Errorf("agencies see %d and %d replies", hall, roads)
	}
	o.want("roads", "POST", "/v1/replies/"+made.ID+"/withdraw", "", 403, "Problem")
	o.want("leader", "POST", "/v1/replies/"+made.ID+"/withdraw", "", 403, "Problem")
	for range 2 {
		if text := string(o.want("hall", "POST", "/v1/replies/"+made.ID+"/withdraw", "", 200, "Reply")); !strings.Contains(text, `"state":"withdrawn","was":"dispute"`) || !strings.Contains(text, `"withdrawn_name":"hall"`) {
			t.Error(text)
		}
	}
	if csv := string(o.want("leader", "GET", "/v1/replies?format=csv", "", 200, "")); !strings.Contains(csv, ",withdrawn,dispute,The application was closed in May.,en,37.5,value,city-hall,hall,") {
		t.Error(csv)
	}
	if entries, err := o.log.Read(t.Context(), audit.Filter{Action: "POST /v1/replies", Denied: true}); err != nil || len(entries) != 1 || entries[0].Name != "analyst" {
		t.Errorf("denials in the log: %+v, %v", entries, err)
	}
}

// TestSettings keeps what one person has arranged from every other, and bounds it.
func TestSettings(t *testing.T) {
	o := open(t)
	empty := string(o.want("leader", "GET", "/v1/me/settings", "", 200, "Settings"))
	if strings.TrimSpace(empty) != `{"language":"","theme":"","looked":null,"pinned":[],"views":[],"more":null,"changed":null}` {
		t.Error(empty)
	}
	o.want("leader", "PUT", "/v1/me/settings", `{"language":"uz","theme":"dark","looked":"2024-02-26T09:00:00+05:00","pinned":["cases"],"views":[{"name":"Late","address":"/projects?rule=report-missing"}],"more":{"columns":["a"]}}`, 200, "Settings")
	kept := string(o.want("leader", "GET", "/v1/me/settings", "", 200, "Settings"))
	for _, says := range []string{`"language":"uz"`, `"looked":"2024-02-26T09:00:00+05:00"`, `"pinned":["cases"]`, `"more":{"columns":["a"]}`, `"changed":"2024-03-01T12:00:00Z"`} {
		if !strings.Contains(kept, says) {
			t.Errorf("%s lacks %s", kept, says)
		}
	}
	if other := string(o.want("hall", "GET", "/v1/me/settings", "", 200, "Settings")); other != empty {
		t.Errorf("somebody else has %s", other)
	}
	for _, wrong := range []string{`{"language":"de"}`, `{"theme":"pink"}`, `{"more":[]}`, `{"pinned":[""]}`, `{"views":[{"name":"","address":"/"}]}`, `{"views":[{"name":"x","address":"//evil.example/"}]}`,
		`{"views":[{"name":"x","address":"javascript:alert(1)"}]}`, `{"colour":1}`, `[]`, ``} {
		o.want("leader", "PUT", "/v1/me/settings", wrong, 400, "Problem")
	}
	o.want("leader", "PUT", "/v1/me/settings", `{"more":{"a":"`+strings.Repeat("x", 64<<10)+`"}}`, 413, "Problem")
}

// TestLetters drafts the letter to the owner of a source that was silent, in three languages.
func TestLetters(t *testing.T) {
	finding := queries.Finding{Source: "desk", Rule: "missing-period", Severity: queries.Wrong, Words: reference.Names{"uz": "Fevral yoʻq.", "ru": "Нет февраля.", "en": "February is missing."}, Owner: "city-hall"}
	o := open(t, func(c *Config) {
		c.Pack.Sources = map[string]queries.Sender{
			"desk":  {Title: reference.Names{"uz": "Stol", "ru": "Стол", "en": "Desk"}, Owner: "city-hall", Freshness: 48 * time.Hour},
			"quiet": {Title: reference.Names{"en": "Quiet"}, Owner: "city-hall"},
			"well":  {Title: reference.Names{"en": "Well"}, Owner: "city-hall"},
		}
		c.Status = func() Status {
			return Status{Sources: []Source{{Source: "desk", LastEvent: noon.AddDate(0, 0, -20), Late: true}, {Source: "quiet", Late: true}, {Source: "well", LastEvent: noon}}}
		}
		c.Findings = func(_ context.Context, r queries.FindingsRequest) ([]queries.Finding, error) {
			if r.Source != "desk" {
				return nil, nil
			}
			list := []queries.Finding{finding}
			for range 25 {
				list = append(list, finding)
			}
			return list, nil
		}
	})
	for language, says := range map[string][]string{
		"uz": {"Stol", "2024-yil 10-fevral", "Shundan beri oʻtgan kunlar soni: 20", "2 kun kechikishi", "– Fevral yoʻq.", "… va yana 6 ta.", "2024-yil 11-mart"},
		"ru": {"Стол", "10 февраля 2024 года", "Дней с тех пор: 20", "2 дн.", "– Нет февраля.", "… и ещё: 6.", "11 марта 2024 года"},
		"en": {"“Desk”", "10 February 2024", "Days since then: 20", "2 days", "– February is missing.", "… and 6 more.", "11 March 2024"},
	} {
		text := string(o.want("center", "GET", "/v1/letters/desk?language="+language, "", 200, "Letter"))
		for _, part := range says {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %q:\n%s", language, part, text)
			}
		}
		if strings.Contains(text, "{") && strings.Contains(text[1:], "{") {
			t.Errorf("%s has a place that was not filled: %s", language, text)
		}
	}
	if text := string(o.want("leader", "GET", "/v1/letters/quiet?language=en", "", 200, "Letter")); !strings.Contains(text, "Until today (1 March 2024) nothing has been received") {
		t.Error(text)
	}
	o.want("center", "GET", "/v1/letters/well", "", 404, "Problem")
	o.want("center", "GET", "/v1/letters/nobody", "", 404, "Problem")
	o.want("center", "GET", "/v1/letters/desk?language=de", "", 400, "Problem")
	o.want("hall", "GET", "/v1/letters/desk", "", 403, "Problem")
}

// TestAgencyQuality shows an agency what is wrong with its own sources, and how much is with all.
func TestAgencyQuality(t *testing.T) {
	o := open(t, func(c *Config) {
		c.Pack.Sources = map[string]queries.Sender{"desk": {Owner: "city-hall"}, "road": {Owner: "roads"}}
		c.Quality = func(context.Context, QualitySpan) ([]Quality, error) {
			return []Quality{{Source: "desk", Type: "a", Accepted: 5, Open: 1}, {Source: contract.StandIn("road"), Type: "b", Accepted: 7, Conflict: 2}}, nil
		}
		c.Findings = func(context.Context, queries.FindingsRequest) ([]queries.Finding, error) {
			return []queries.Finding{{Source: "desk", Severity: queries.Wrong, Owner: "city-hall", Words: reference.Names{}, Examples: []string{}}, {Source: contract.StandIn("road"), Severity: queries.Doubtful, Words: reference.Names{}, Examples: []string{}},
				{Source: "road", Severity: queries.Notable, Owner: "city-hall", Words: reference.Names{}, Examples: []string{}}}, nil
		}
	})
	for _, c := range []struct{ who, path, want string }{
		{"hall", "/v1/quality", `1 desk {"accepted":12,"duplicate":0,"conflict":2,"rejected":0,"damaged":0,"quarantine_open":1}`},
		{"roads", "/v1/quality", `1 simulation/road {"accepted":12,"duplicate":0,"conflict":2,"rejected":0,"damaged":0,"quarantine_open":1}`},
		{"leader", "/v1/quality", `2 desk null`},
		{"hall", "/v1/quality/findings", `2 desk {"error":1,"warning":1,"notice":1}`},
		{"roads", "/v1/quality/findings", `2 simulation/road {"error":1,"warning":1,"notice":1}`},
		{"center", "/v1/quality/findings", `3 desk null`},
	} {
		var got struct {
			Rows, Findings []struct{ Source string }
			National       json.RawMessage
		}
		if err := json.Unmarshal(o.want(c.who, "GET", c.path, "", 200, ""), &got); err != nil {
			t.Fatal(err)
		}
		list := append(got.Rows, got.Findings...)
		text, err := json.Marshal(len(list))
		if err != nil {
			t.Fatal(err)
		}
		if said := string(text) + " " + list[0].Source + " " + string(got.National); said != c.want {
			t.Errorf("%s %s: %s, want %s", c.who, c.path, said, c.want)
		}
	}
	if _, csv := o.ask("hall", "GET", "/v1/quality?format=csv", ""); strings.Contains(string(csv), "road") {
		t.Errorf("the table has rows of others: %s", csv)
	}
	o.want("hall", "GET", "/v1/quality?source="+url.QueryEscape("road"), "", 200, "Quality")
}

// TestSourceNames names the systems whose rows an agency is shown, also where a simulation stands in.
func TestSourceNames(t *testing.T) {
	s := &server{}
	s.config.Pack.Sources = map[string]queries.Sender{"desk": {Title: reference.Names{"en": "Front desk"}}}
	r := &queries.Result{Where: map[string][]string{contract.ColumnSource: {"desk", contract.StandIn("desk"), "other"}}}
	s.nameFilters(r)
	if got := r.Names[contract.ColumnSource]; len(got) != 2 || got["desk"]["en"] != "Front desk" || got["simulation/desk"]["en"] != "Front desk" {
		t.Errorf("%v", got)
	}
}
