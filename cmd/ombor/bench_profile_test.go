//go:build bench

package main_test

import (
	"os"
	"testing"
)

// TestProfile loads events into a server that was built with the tag profile, which writes
// the profile that 'make build' gives to the compiler. 'make profile' runs it.
func TestProfile(t *testing.T) {
	name := os.Getenv("OMBOR_PROFILE")
	if name == "" {
		t.Fatal("OMBOR_PROFILE does not say where the profile goes: run 'make profile'")
	}
	p, events := embedded(t), number(t, "EVENTS", 1_000_000)
	in := &race{pack: p, contract: decisions(t, p), events: events}
	file, _ := decided(t, p, events, share(t, "SCALE", 1))
	s := serve(t, fresh(t))
	in.settle(s)
	s.accept(file, events)
	s.stop()
	if info, err := os.Stat(name); err != nil || info.Size() == 0 {
		t.Fatalf("the server left no profile: %v; was OMBOR_BINARY built with -tags profile?", err)
	}
}
