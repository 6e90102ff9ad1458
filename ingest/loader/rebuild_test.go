package loader

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ombor/internal/problem"
	"ombor/warehouse/lake"
)

// figures is everything in facts and rollups, but for when the rollups were written.
func (w *world) figures() string {
	w.t.Helper()
	var all strings.Builder
	for _, c := range w.set.All() {
		fmt.Fprintln(&all, w.query("SELECT * FROM facts."+c.Table()+" ORDER BY _seq, _sign"))
		for _, r := range w.wh.Rollups(c) {
			fmt.Fprintln(&all, w.query("SELECT * EXCEPT _loaded FROM "+w.wh.Table(r)+" FINAL ORDER BY ALL"))
		}
	}
	return all.String()
}

func (w *world) rebuild(ctx context.Context) (*Rebuilt, error) {
	return w.loader.Rebuild(ctx, ctx, func(string, float64, uint64) {})
}

func TestRebuild(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.busy()
	before := w.figures()
	if !strings.Contains(before, "s1") {
		t.Fatal(before)
	}
	same := func(what string) {
		t.Helper()
		if after := w.figures(); after != before {
			t.Fatalf("%s:\n%s\nbefore:\n%s", what, after, before)
		}
		if got := w.differences(Verification{}); got != "" {
			t.Fatalf("%s: %s", what, got)
		}
		if words, rebuilding := w.loader.Rebuilding(); rebuilding {
			t.Fatal(words)
		}
	}
	out, err := w.rebuild(context.Background())
	if err != nil || out.Rows != 49 || out.Through != 5 {
		t.Fatal(out, err)
	}
	same("rebuilt")

	// Whatever was wrong is not there any more; merged files give the same rows.
	w.engine("ALTER TABLE facts.request_decided_v1 UPDATE fee = fee + 1 WHERE _seq = 1048583 SETTINGS mutations_sync = 2")
	if got := w.differences(Verification{}); !strings.Contains(got, "other content") {
		t.Fatal(got)
	}
	if _, err := lake.Open(w.store).Compact(context.Background(), lake.Compaction{Contracts: w.set, Through: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	same("from merged files")

	// Loading goes on, corrections of old rows included.
	w.wait(w.send(event("e5-1", `,"corrects":"e5","revision":1`, `{"service":"s9","fee":1}`), event("e6", "", `{"service":"s0","fee":6,"took":6000}`)).Last.Seq)
	before = w.figures()
	if _, err := w.rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	same("after more")

	// A warehouse that was lost is made at the start.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.set.All() {
		w.engine("TRUNCATE TABLE facts." + c.Table())
		for _, r := range w.wh.Rollups(c) {
			w.engine("TRUNCATE TABLE " + "rollups." + r.Name)
		}
	}
	w.start()
	w.wait(w.send(session("x")).Last.Seq)
	same("made at the start")
	if out := w.loader.WasRebuilt(); out == nil || out.Rows == 0 {
		t.Error(out)
	}
}

// TestRebuildInterrupted ends a rebuild at each of its steps; the next start finishes it.
func TestRebuildInterrupted(t *testing.T) {
	for _, step := range []string{"rebuild begins", "rows rebuilt", "facts rebuilt"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, "")
			w.start()
			w.busy()
			before := w.figures()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			failpoint = func(at string) {
				if at == step {
					cancel()
				}
			}
			t.Cleanup(func() { failpoint = func(string) {} })
			if _, err := w.rebuild(ctx); err == nil {
				t.Fatal("it was not interrupted")
			}
			failpoint = func(string) {}
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.wait(w.send(session("x")).Last.Seq)
			if after := w.figures(); after != before {
				t.Fatalf("%s\nbefore:\n%s", after, before)
			}
			if got := w.differences(Verification{}); got != "" {
				t.Fatal(got)
			}
		})
	}
}

// TestRebuildOfDamage drops nothing that could not be made again.
func TestRebuildOfDamage(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.busy()
	before := w.figures()
	files, err := lake.Open(w.store).Files(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(context.Background(), files[0].Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rebuild(context.Background()); problem.KindOf(err) != problem.NotFound || !strings.Contains(err.Error(), files[0].Name) {
		t.Fatal(err)
	}
	if after := w.figures(); after != before {
		t.Fatalf("the figures changed:\n%s", after)
	}
}
