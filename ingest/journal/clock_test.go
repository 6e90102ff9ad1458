package journal

import (
	"testing"
	"time"
)

// Times of messages never go back, and a clock that jumps ahead for a moment is not
// believed.
func TestClock(t *testing.T) {
	start := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	wall, steady := start, time.Duration(0)
	c := clock{wall: func() time.Time { return wall }, steady: func() time.Duration { return steady }}
	pass := func(w, s time.Duration) { wall, steady = wall.Add(w), steady+s }
	want := func(what string, at time.Duration) {
		t.Helper()
		if got := c.now(); !got.Equal(start.Add(at)) {
			t.Errorf("%s: %v, want %v", what, got, start.Add(at))
		}
	}
	want("begin", 0)
	pass(time.Second, time.Second)
	want("a second later", time.Second)
	pass(-48*time.Hour, time.Second)
	want("set back by two days", time.Second)
	pass(48*time.Hour, time.Second)
	want("set right again", time.Second)
	pass(time.Minute, time.Minute)
	want("time goes on", time.Minute+time.Second)
	pass(5*time.Minute, time.Second)
	want("put right by five minutes", 6*time.Minute+time.Second)
	pass(365*24*time.Hour, time.Second)
	want("a year ahead for a moment", 6*time.Minute+2*time.Second)
	pass(-365*24*time.Hour, time.Second)
	want("and back", 6*time.Minute+2*time.Second)
	pass(72*time.Hour, time.Second)
	if got := c.now(); got.After(start.Add(time.Hour)) {
		t.Errorf("three days ahead is believed at once: %v", got)
	}
	pass(believed, believed)
	if got := c.now(); !got.Equal(wall) {
		t.Errorf("three days ahead for ten minutes is not believed: %v, want %v", got, wall)
	}
	pass(20*time.Hour, 20*time.Hour) // nothing came for a while
	if got := c.now(); !got.Equal(wall) {
		t.Errorf("after a quiet time %v, want %v", got, wall)
	}
}
