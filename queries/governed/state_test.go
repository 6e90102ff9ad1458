package governed

import (
	"fmt"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/protocol"
)

// One who opens session after session takes none from others, and has room again when his own are over.
func TestSessionsOfOne(t *testing.T) {
	var s sessions
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	get := func(who, id string) error {
		_, err := s.get(&access.Principal{ID: who}, &protocol.Request{SessionID: id, SessionTimeout: time.Hour}, now)
		return err
	}
	for i := range maxOwn {
		if err := get("many", fmt.Sprint(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := get("many", "one more"); err == nil {
		t.Errorf("%d sessions of one", maxOwn+1)
	}
	if err := get("many", "0"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := get("other", "first"); err != nil {
		t.Errorf("of somebody else: %v", err)
	}
	now = now.Add(2 * time.Hour)
	if err := get("many", "one more"); err != nil {
		t.Errorf("when the others are over: %v", err)
	}
}
