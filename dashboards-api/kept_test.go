package dashboards

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// TestKept: one computation for many readers of the same facts, a new one when the
// facts move, and nothing kept of a failure.
func TestKept(t *testing.T) {
	var k kept
	var computed atomic.Int64
	compute := func(context.Context) (*rendered, error) {
		return &rendered{body: []byte(fmt.Sprint(computed.Add(1)))}, nil
	}
	ask := func(tag, key string, compute func(context.Context) (*rendered, error)) (string, error) {
		out, err := k.answer(context.Background(), tag, key, compute)
		if err != nil {
			return "", err
		}
		return string(out.body), nil
	}
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() {
			if got, err := ask(`W/"1-a-json"`, "k", compute); err != nil || got != "1" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	readers.Wait()
	// Another format is another answer to the same facts.
	if got, _ := ask(`W/"1-a-csv"`, "k#csv", compute); got != "2" {
		t.Error(got)
	}
	if got, _ := ask(`W/"1-a-json"`, "k", compute); got != "1" {
		t.Errorf("forgotten though the facts stand: %s", got)
	}
	if got, _ := ask(`W/"2-a-json"`, "k", compute); got != "3" {
		t.Errorf("kept though the facts moved: %s", got)
	}
	away := errors.New("away")
	if _, err := ask(`W/"2-a-json"`, "failing", func(context.Context) (*rendered, error) { return nil, away }); !errors.Is(err, away) {
		t.Error(err)
	}
	if _, err := ask(`W/"2-a-json"`, "failing", func(context.Context) (*rendered, error) { panic("broken") }); err == nil {
		t.Error("a panic is no error")
	}
	if got, err := ask(`W/"2-a-json"`, "failing", compute); err != nil || got != "4" {
		t.Errorf("a failure was kept: %q, %v", got, err)
	}
}

// TestKeptIsBounded fills the memory twice over.
func TestKeptIsBounded(t *testing.T) {
	var k kept
	body := make([]byte, largestKept-64)
	for i := range 2 * keptBytes / len(body) {
		if _, err := k.answer(context.Background(), "t-json", fmt.Sprint(i), func(context.Context) (*rendered, error) { return &rendered{body: body}, nil }); err != nil {
			t.Fatal(err)
		}
		if k.bytes > keptBytes {
			t.Fatalf("%d bytes are kept", k.bytes)
		}
	}
}
