//go:build profile

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// A binary with the tag profile notes, while it serves, what its processor time goes into, in the file
// that OMBOR_PROFILE names, until SIGTERM. 'make profile' uses it.
func init() {
	name := os.Getenv("OMBOR_PROFILE")
	if name == "" || len(os.Args) < 2 || os.Args[1] != "serve" {
		return
	}
	file, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		slog.Error("no profile", "err", err)
		os.Exit(1)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended // the server stops meanwhile, which takes longer than this
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			slog.Error("the profile is not complete", "err", err)
		}
	}()
}
