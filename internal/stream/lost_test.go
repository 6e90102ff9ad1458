package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"ombor/internal/stream"
	"ombor/internal/stream/natstest"
)

// A message that was lost on its way to a follower arrives all the same, also when it was
// the last and no later one tells of it.
func TestFollowerMissesNothing(t *testing.T) {
	wire := natstest.Lossy(t, natstest.Start(t))
	c, err := stream.Open(t.Context(), stream.Options{URL: wire.URL(), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Stream(t.Context(), stream.Config{Name: "MISSED", MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	end := errors.New("end")
	got := make(chan uint64)
	followed := make(chan error, 1)
	go func() {
		followed <- s.Follow(ctx, 1, func(m stream.Message) error {
			got <- m.Seq
			if m.Seq == 3 {
				return end
			}
			return nil
		})
	}()
	for seq := uint64(1); seq <= 3; seq++ {
		if seq == 3 {
			wire.LoseNext(natstest.Answers, "ombor.MISSED")
		}
		if _, err := s.Publish(ctx, "", fmt.Appendf(nil, "%d", seq)); err != nil {
			t.Fatal(err)
		}
		select {
		case n := <-got:
			if n != seq {
				t.Fatalf("message %d came, want %d", n, seq)
			}
		case <-ctx.Done():
			t.Fatalf("message %d never came", seq)
		}
	}
	if wire.Lost() == "" {
		t.Error("nothing was lost")
	}
	if err := <-followed; err != end {
		t.Error(err)
	}
}
