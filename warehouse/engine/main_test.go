package engine_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"ombor/warehouse/engine"
)

// parentVariable makes this test binary a parent that starts an engine in the
// folder it names, prints the child's id, and waits to be killed. With
// ephemeralVariable that engine is ephemeral.
const (
	parentVariable    = "OMBOR_TEST_ENGINE_PARENT"
	ephemeralVariable = "OMBOR_TEST_ENGINE_EPHEMERAL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentVariable); dir != "" {
		p, err := engine.Start(context.Background(), engine.Config{Path: dir, Ephemeral: os.Getenv(ephemeralVariable) != ""})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(p.State().PID)
		_ = p.Wait() // for ever
		os.Exit(0)
	}
	os.Exit(m.Run())
}
