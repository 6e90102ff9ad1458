package ingest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The manual tells the limits in force.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../docs/contracts.md")
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{}.withDefaults()
	for _, w := range []string{
		fmt.Sprintf("| a request as sent | %s |", size(l.Body)),
		fmt.Sprintf("| a request after decompression | %s |", size(l.Text)),
		fmt.Sprintf("| decompressed bytes for each compressed byte | %d |", l.Ratio),
		fmt.Sprintf("| events of a request | %d |", l.Events),
		fmt.Sprintf("| requests under way; their decompressed bytes | %d; %s |", l.Requests, size(l.Memory)),
		fmt.Sprintf("| events of a delivery that is closed; its days | %d; %d |", l.Delivery, deliveryDays),
		fmt.Sprintf("| wait for the next bytes of a body; for all of it | %.0f s; %.0f min |", l.Idle.Seconds(), l.Reading.Minutes()),
	} {
		if !strings.Contains(string(text), w) {
			t.Errorf("docs/contracts.md lacks %q", w)
		}
	}
}
