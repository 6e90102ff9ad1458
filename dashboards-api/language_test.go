package dashboards

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestLanguage asks for words in the languages that there are: by parameter, by what a browser
// says of its reader, and in tables.
func TestLanguage(t *testing.T) {
	h := real(t)
	for _, c := range []struct{ target, accept, says string }{
		{"/v1/targets", "", "12 cases short of 50 %"},
		{"/v1/targets?lang=ru", "uz", "до 50 % не хватает случаев: 12"},
		{"/v1/targets", "kaa, uz-Cyrl;q=0.4, ru;q=0.3", "50 % gacha 12 ta holat yetishmaydi"},
		{"/v1/targets", "fr, *;q=0.1", "12 cases short of 50 %"},
		{"/v1/scorecard?from=2023-07-01&to=2023-12-31", "ru-RU,ru;q=0.9,en;q=0.5", "до 50 % не хватает случаев: "},
		{"/v1/changes?since=2023-01-01&lang=uz", "", "yagona manba"},
		{"/v1/kpis/digital-share/gap?lang=ru", "", "до 50 % не хватает случаев: 12"},
		{"/v1/kpis/cases/values?lang=ru", "", "единственный источник"},
		{"/v1/kpis/cases/values?from=2023-04-01&to=2023-04-30&by=department&format=csv", "uz", "yagona manba"},
	} {
		response, body := answerOf(t, h, c.target, "Accept-Language", c.accept)
		if response.StatusCode != http.StatusOK || !strings.Contains(string(body), c.says) {
			t.Errorf("%s in %q: %s, does not say %q:\n%s", c.target, c.accept, response.Status, c.says, body)
		}
		if !strings.Contains(strings.Join(response.Header.Values("Vary"), ","), "Accept-Language") {
			t.Errorf("%s varies by %q", c.target, response.Header.Values("Vary"))
		}
	}
	for _, target := range []string{"/v1/targets?lang=fr", "/v1/kpis/cases/values?lang=x%22y"} {
		response, body := answerOf(t, h, target)
		var p struct{ Field, Detail string }
		if err := json.Unmarshal(body, &p); err != nil || response.StatusCode != http.StatusBadRequest || p.Field != "lang" || !strings.Contains(p.Detail, "en, uz, ru") {
			t.Errorf("%s: %s %s", target, response.Status, body)
		}
	}
	// Whoever has an answer in one language is not told that it stands in another.
	english, _ := answerOf(t, h, "/v1/targets?lang=en")
	if russian, _ := answerOf(t, h, "/v1/targets?lang=ru", "If-None-Match", english.Header.Get("ETag")); russian.StatusCode != http.StatusOK {
		t.Errorf("the Russian answer is %s for who has the English one", russian.Status)
	}
}
