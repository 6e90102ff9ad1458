package access

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"ombor/internal/problem"
)

// page is what a person's browser shows between Ombor and the provider: why they were not let
// in, or where signing out goes on. It needs no script, and looks as the page of Ombor does: its
// style stands within it, and is allowed by its hash.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Language}}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{with .Next}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}} · Ombor</title>
<style>` + style + `</style>
<main>
<p class="brand">Ombor</p>
<h1>{{.Title}}</h1>
{{with .Detail}}<p>{{.}}</p>
{{end}}<p>{{with .Next}}<a href="{{.}}">{{$.Way}}</a>{{else}}<a href="/">{{.Way}}</a>{{end}}</p>
</main>
</html>
`))

const style = `:root{color-scheme:light dark}` +
	`body{margin:0;padding:12vh 16px 0;background:light-dark(#faf9f6,#151311);color:light-dark(#1d1b18,#f1eee8);font:1rem/1.5 'Inter Variable',system-ui,sans-serif}` +
	`main{max-width:32rem;margin:0 auto;padding:24px;border:1px solid light-dark(#dfdad1,#3a352f);border-radius:8px;background:light-dark(#fff,#1d1b18)}` +
	`h1{margin:0 0 8px;font-size:1.75rem;line-height:1.2}p{margin:0 0 16px;overflow-wrap:anywhere}.brand{font-weight:650}` +
	`a{color:light-dark(#006d8a,#6ac8e2);text-underline-offset:3px}`

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

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
	h := w.Header()
	if policy := h.Get("Content-Security-Policy"); policy != "" {
		h.Set("Content-Security-Policy", policy+"; style-src "+styleHash)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
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
	writePage(w, p.Kind.Status(), pageText{Language: language, Title: words.failed, Detail: sentence(problem.DocumentOf(err).In(language)), Way: words.back})
}

// sentence begins with a capital and ends with a full stop, as a page's text does.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
