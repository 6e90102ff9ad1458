package access

import (
	"cmp"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"ombor/internal/problem"
)

// page is what a person's browser shows between Ombor and the provider: why they were not let
// in, or where signing out goes on. It needs no script and no style of its own.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Language}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{with .Next}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}} · Ombor</title>
<main>
<h1>{{.Title}}</h1>
{{with .Detail}}<p>{{.}}</p>
{{end}}<p>{{with .Next}}<a href="{{.}}">{{$.Way}}</a>{{else}}<a href="/">{{.Way}}</a>{{end}}</p>
</main>
</html>
`))

type pageText struct {
	Language           string
	Title, Detail, Way string
	Next               string // an address of the provider; the browser goes there by itself
}

// pages are the words of those pages, by language.
var pages = map[string]struct{ failed, back, out, ends, on string }{
	"en": {"Signing in failed", "Back to Ombor", "Signed out", "Your provider ends its session, too.", "Go on"},
	"uz": {"Kirib boʻlmadi", "Omborga qaytish", "Tizimdan chiqdingiz", "Kirish xizmati ham oʻz seansini yakunlaydi.", "Davom etish"},
	"ru": {"Войти не удалось", "Назад в Ombor", "Вы вышли", "Служба входа тоже завершает свой сеанс.", "Продолжить"},
}

func writePage(w http.ResponseWriter, status int, text pageText) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, text) // the reader has gone
}

// languageOf is the one of [pages] that a reader would like best.
func languageOf(r *http.Request) string {
	return cmp.Or(problem.Wished(r.Header.Get("Accept-Language"), "en", "uz", "ru"), "en")
}

// refuse tells a person in words, and a program as a problem, why signing in failed.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Error
	if !strings.Contains(r.Header.Get("Accept"), "text/html") || !errors.As(err, &p) || p.Kind == problem.Internal {
		problem.Write(w, err)
		return
	}
	language := languageOf(r)
	words := pages[language]
	writePage(w, p.Kind.Status(), pageText{Language: language, Title: words.failed, Detail: problem.DocumentOf(err).In(language), Way: words.back})
}
