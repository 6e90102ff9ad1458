package dashboards

import (
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"ombor/dashboards-api/web"
	"ombor/internal/problem"
)

const unbuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Ombor</title>
<p>The API is running; the page was not built into this binary. Run <code>make web</code>, build again and start again.
<p>The API is described at <a href="/docs">/docs</a>.
</html>
`

// owned says whether an address belongs to the API and never to the page. A name with a dot is a
// file at the top; deeper it may be part of a code.
func owned(address string) bool {
	for _, prefix := range []string{"/v1/", "/docs/", "/assets/"} {
		if strings.HasPrefix(address, prefix) {
			return true
		}
	}
	top := strings.LastIndexByte(address, '/') == 0
	return address == "/v1" || top && path.Ext(address) != ""
}

// page serves the built application: its files under their names, and index.html
// for every address that the application itself routes. Files under assets/ carry
// the hash of their content in their names and are kept for a year.
func (s *server) page() (gin.HandlerFunc, error) {
	if !web.Built() {
		return func(c *gin.Context) {
			c.Data(http.StatusOK, "text/html; charset=utf-8", []byte(unbuilt))
		}, nil
	}
	files := web.Files()
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return nil, err
	}
	return func(c *gin.Context) {
		c.Writer.Header().Set("Cache-Control", "no-cache")
		c.Data(http.StatusOK, "text/html; charset=utf-8", index)
	}, nil
}

// asset serves one file of the built page.
func (s *server) asset(c *gin.Context) {
	name := strings.TrimPrefix(path.Clean(c.Request.URL.Path), "/")
	files := web.Files()
	info, err := fs.Stat(files, name)
	if err != nil || info.IsDir() {
		s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "there is no file %s", c.Request.URL.Path).
			Also("uz", "%s fayli yoʻq.", c.Request.URL.Path).
			Also("ru", "Файла %s нет.", c.Request.URL.Path))
		return
	}
	if strings.HasPrefix(name, "assets/") {
		c.Writer.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		c.Writer.Header().Set("Cache-Control", "no-cache")
	}
	http.ServeFileFS(c.Writer, c.Request, files, name)
}
