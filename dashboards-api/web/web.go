// Package web is the page: a TypeScript application built by npm into dist/ and
// embedded in the binary. It is served by package dashboards and asks nothing of
// any other host.
//
// `make web` builds it. Go code builds without it: then [Built] is false and the
// server says, at the page's address, how to build it.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files holds the built page: index.html, and under assets/ the files whose names
// carry the hash of their content and so never change.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return files
}

// Built says whether the page was built into this binary.
func Built() bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}
