package problem_test

import (
	"testing"

	"ombor/internal/problem"
)

// What is ours, busy or away comes from rooms that know no readers: its kind has the words.
func TestKindsThatSpeakForThemselves(t *testing.T) {
	for _, kind := range []problem.Kind{problem.Internal, problem.Busy, problem.Unavailable} {
		doc := problem.DocumentOf(problem.New(kind, "the engine is away"))
		for _, language := range []string{"uz", "ru"} {
			if doc.In(language) == doc.Detail {
				t.Errorf("%v has no words in %s: %+v", kind, language, doc)
			}
		}
	}
	own := problem.New(problem.Unavailable, "the key store is away").Also("uz", "Kalitlar yoʻq.").Also("ru", "Ключей нет.")
	if doc := problem.DocumentOf(own); doc.In("uz") != "Kalitlar yoʻq." || doc.In("ru") != "Ключей нет." || doc.In("en") != "the key store is away" {
		t.Errorf("words of its own are not told: %+v", doc)
	}
}

func TestWished(t *testing.T) {
	for header, want := range map[string]string{"": "", "de": "", "uz-Latn-UZ": "uz", "de, ru;q=0.5, en;q=0.9": "en", "\xff": ""} {
		if got := problem.Wished(header, "en", "uz", "ru"); got != want {
			t.Errorf("%q wishes for %q, not %q", header, want, got)
		}
	}
}
