package loader

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ombor/internal/reference"
)

// What is counted by day is what is counted in all, whether its file is kept, lost,
// damaged or behind.
func TestDays(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	file := filepath.Join(t.TempDir(), "quality", "days.json")
	today := reference.DayOf(time.Now().In(w.set.Zone()))
	check := func(when string, d *Days) {
		t.Helper()
		for range 2 {
			got, err := d.Between(t.Context(), today-1, today+1)
			if want := w.loader.Status().Counts; err != nil || len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s: %v %v, want %v", when, got, err, want)
			}
		}
		if got, err := d.Between(t.Context(), today+2, today+9); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v of the days to come", when, got, err)
		}
	}
	send := func(id string) {
		t.Helper()
		r := w.send(event(id, "", root), event(id, "", root), event(id, "", `{"service":"other","fee":1}`), session(id))
		w.wait(r.Last.Seq)
	}
	send("a")
	first := w.loader.Days(file)
	check("new", first)
	send("b")
	check("more", first)
	send("c")
	check("kept, and behind", w.loader.Days(file))
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("damaged", w.loader.Days(file))
	check("made anew", w.loader.Days(file))
	if err := os.WriteFile(file, []byte(`{"through":999999,"days":[{"day":1,"counts":[{"source":"x","contract":"y","accepted":7}]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	check("of another ledger", w.loader.Days(file))
	check("without a file", w.loader.Days(""))

	// Of what is damaged the first day is told, whatever the order of the days.
	for day, damaged := range map[reference.Day]uint64{today - 3: 0, today - 2: 1, today - 1: 2} {
		first.add(day, []Count{{Source: "", Contract: "t", Outcome: Outcome{Accepted: 1, Damaged: damaged}}})
	}
	if got, err := first.Damaged(t.Context()); err != nil || len(got) != 1 || got[[2]string{"t", ""}] != today-2 {
		t.Errorf("damaged since %v %v", got, err)
	}
}
