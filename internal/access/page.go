package access

import (
	"errors"
	"html/template"
	"net/http"
	"strings"

	"ombor/internal/problem"
)

// page is what a person's browser shows between Ombor and the provider: why they were not let
// in, or where signing out goes on. It needs no script and no style of its own.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{{with .Next}}<meta http-equiv="refresh" content="0; url={{.}}">
{{end}}<title>{{.Title}} · Ombor</title>
<main>
<h1>{{.Title}}</h1>
{{with .Detail}}<p>{{.}}</p>
{{end}}<p>{{with .Next}}<a href="{{.}}">Go on</a>{{else}}<a href="/">Back to Ombor</a>{{end}}</p>
</main>
</html>
`))

type pageText struct {
	Title, Detail string
	Next          string // an address of the provider; the browser goes there by itself
}

func writePage(w http.ResponseWriter, status int, text pageText) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, text) // the reader has gone
}

// refuse tells a person in words, and a program as a problem, why signing in failed.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem.Error
	if !strings.Contains(r.Header.Get("Accept"), "text/html") || !errors.As(err, &p) || p.Kind == problem.Internal {
		problem.Write(w, err)
		return
	}
	writePage(w, p.Kind.Status(), pageText{Title: "Signing in failed", Detail: p.Message})
}
