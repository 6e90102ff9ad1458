package loader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/kpi"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/lake"
	"ombor/warehouse/warehousetest"
)

// aged is a world whose events of one contract, and corrections of them, came in three months that
// are far apart. The first two are past what the contract keeps when it is the day now.
func aged(t *testing.T) (w *world, now time.Time) {
	t.Helper()
	w = newWorld(t, "")
	w.set.ByType("test.request.decided.v1").Retention = contract.Retention{Warehouse: 2, Lake: 4}
	w.wh = warehousetest.Reopen(t, w.prefix, w.set, agedKPIs(t))
	begin := func(at time.Time) { // a journal follows no leap of a clock while it is open
		w.close()
		w.now = func() time.Time { return at }
		w.open()
		w.start()
	}
	now = time.Date(2026, 1, 20, 10, 0, 0, 0, time.UTC)
	begin(now)
	w.busy()
	now = now.AddDate(0, 1, 0)
	begin(now)
	w.wait(w.send(event("e5-1", `,"corrects":"e5","revision":1`, `{"service":"s9","fee":1}`), event("e60", "", root), session("z")).Last.Seq)
	now = now.AddDate(0, 8, 0)
	begin(now)
	w.wait(w.send(event("e6-1", `,"corrects":"e6","revision":1`, `{"service":"s9","fee":2}`), event("e61", "", root)).Last.Seq)
	return w, now
}

// agedKPIs are those of the other tests, and one that counts persons up to k, and exactly.
func agedKPIs(t testing.TB, more ...string) []*kpi.KPI {
	t.Helper()
	kpis := testKPIs(t)
	open := reference.Span{From: reference.NoDay, To: reference.NoDay}
	for i, formula := range append([]string{"sum(took)"}, more...) {
		sum, err := kpi.ParseFormula(formula)
		if err != nil {
			t.Fatal(err)
		}
		kpis = append(kpis, &kpi.KPI{ID: fmt.Sprintf("sum%d", i), Unit: kpi.Count, File: "sum.yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request.decided"},
			Valid: open, Numerator: sum, Persons: "applicant", Rollups: [][]string{{"service"}}}}})
	}
	return append(kpis, &kpi.KPI{ID: "applicants", Unit: kpi.Count, File: "applicants.yaml", Versions: []kpi.Version{{Version: 1, Basis: kpi.Events, From: []string{"request.decided"},
		Valid: open, Distinct: &kpi.Distinct{Of: "applicant", Grains: []string{"month", "year"}}}}})
}

// told is every row of rollups and distinct counts, but for when it was written, with states of
// persons as the numbers that they tell.
func (w *world) told() string {
	w.t.Helper()
	if _, err := w.wh.CountDistinct(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	var all strings.Builder
	for _, c := range w.set.All() {
		for _, r := range w.wh.Rollups(c) {
			columns, persons := "* EXCEPT '^(_loaded|p_.*)$'", ""
			if w.query("SELECT count() FROM system.columns WHERE startsWith(name, 'p_') AND concat(database, '.', table) = '"+strings.ReplaceAll(w.wh.Table(r), "`", "")+"'") != "0" {
				columns, persons = columns+", COLUMNS('^p_') APPLY finalizeAggregation", "with persons"
			}
			fmt.Fprintln(&all, r.Name, persons, "\n"+w.query("SELECT "+columns+" FROM "+w.wh.Table(r)+" FINAL ORDER BY ALL"))
		}
		if d := w.wh.Distinct(c, &kpi.Distinct{Of: "applicant"}); d != nil {
			fmt.Fprintln(&all, "distinct\n"+w.query("SELECT * FROM "+w.wh.DistinctTable(d)+" FINAL ORDER BY ALL"))
		}
	}
	return all.String()
}

func (w *world) retain(ctx context.Context, now time.Time) (*Retained, error) {
	return w.loader.Retain(ctx, now, false, nil)
}

// onlyIDs says that the lake's files of the contract's old months have nothing but what the
// first-seen rule needs, and the others everything.
func (w *world) onlyIDs() {
	w.t.Helper()
	l := lake.Open(w.store)
	files, err := l.Files(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	seen := map[bool]int{}
	for _, f := range files {
		old := f.Contract == "test.request.decided.v1" && f.Month() < "2026-10"
		seen[old]++
		data, err := l.Object(context.Background(), f)
		if err != nil {
			w.t.Fatal(err)
		}
		file, err := parquet.OpenFile(strings.NewReader(string(data)), int64(len(data)))
		if err != nil {
			w.t.Fatal(err)
		}
		var columns []string
		for _, column := range file.Schema().Fields() {
			columns = append(columns, column.Name())
		}
		if ids := []string{"_id", "_digest", "_rev", "_withdrawn", "_sign", "_cut", "_seq", "_batch"}; slices.Equal(columns, ids) != old {
			w.t.Errorf("%s has %v", f.Name, columns)
		}
	}
	if seen[true] < 2 || seen[false] < 2 {
		w.t.Errorf("%v", seen)
	}
}

// TestRetain lets go of the rows of old months, in the warehouse and in the lake: rollups and kept
// counts stay what they were, also after a rebuild and when warehouse and first-seen index were
// lost; what is sent again is known, what is corrected changes nothing, and a definition that came
// later lacks those months.
func TestRetain(t *testing.T) {
	w, now := aged(t)
	ctx := context.Background()
	before := w.told()
	if !strings.Contains(before, "distinct\nmonth\t2024-05-01") || !strings.Contains(before, "s9") || !strings.Contains(before, "with persons") {
		t.Fatal(before)
	}
	same := func(what string) {
		t.Helper()
		if after := w.told(); after != before {
			t.Fatalf("%s:\n%s\nbefore:\n%s", what, after, before)
		}
		if got := w.differences(Verification{}); got != "" {
			t.Fatalf("%s: %s", what, got)
		}
		if months := w.query("SELECT groupUniqArray(toYYYYMM(_cut)) FROM facts.request_decided_v1"); months != "[202610]" {
			t.Fatalf("%s: there are facts of %s", what, months)
		}
		if n := w.query("SELECT count() FROM facts.usage_session_v1"); n != "3" {
			t.Fatalf("%s: %s facts of a contract that keeps them", what, n)
		}
	}
	would, err := w.loader.Retain(ctx, now, true, nil)
	if err != nil || len(would.Months) != 2 || len(would.Lake) != 2 || would.Files < 2 || w.told() != before {
		t.Fatal(would, err)
	}
	done, err := w.retain(ctx, now)
	if err != nil || done.Rows != would.Rows || done.Files != would.Files || !slices.EqualFunc(done.Lake, would.Lake, func(a, b warehouse.Retired) bool { return a.Month == b.Month && a.Rows == b.Rows }) {
		t.Fatal(done, would, err)
	}
	same("retained")
	w.onlyIDs()
	if again, err := w.retain(ctx, now); err != nil || len(again.Months)+len(again.Lake)+again.Files != 0 {
		t.Fatal(again, err)
	}
	if _, err := lake.Open(w.store).Compact(ctx, lake.Compaction{Contracts: w.set, Through: w.loader.Status().Loaded}); err != nil {
		t.Fatal(err)
	}
	w.onlyIDs()
	if _, err := w.rebuild(ctx); err != nil {
		t.Fatal(err)
	}
	same("rebuilt")

	// What the lake keeps is the measure of what the rollups have.
	rollup := w.wh.Rollups(w.set.ByType("test.request.decided.v1"))[0].Name
	w.engine("ALTER TABLE rollups." + rollup + " DROP PARTITION 202601")
	if got := w.differences(Verification{Quick: true}); !strings.Contains(got, "lake and rollups: do not add up") {
		t.Fatal(got)
	}
	if found := w.verify(Verification{Repair: true}); len(found.Repaired) != 1 {
		t.Fatalf("%+v", found)
	}
	same("repaired")

	// Warehouse and first-seen index are lost.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"facts", "rollups", "meta"} {
		w.engine("DROP DATABASE " + w.prefix + database + " SYNC")
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "loader", "index")); err != nil {
		t.Fatal(err)
	}
	w.wh = warehousetest.Reopen(t, w.prefix, w.set, agedKPIs(t))
	w.start()
	w.wait(w.send(event("e0", "", `{"service":"s0","fee":0,"took":0}`)).Last.Seq) // a duplicate
	w.wait(w.send(event("e4", "", `{"service":"else","fee":3}`)).Last.Seq)        // a conflict
	w.wait(w.send(event("e7-1", `,"corrects":"e7","revision":1`, `{"service":"s9","fee":70}`), event("e8-1", `,"corrects":"e8","revision":1,"withdrawn":true`, `{}`)).Last.Seq)
	same("after more")
	if held, _, err := w.journal.Quarantine().List(ctx, journal.Filter{}, 0, 100); err != nil || len(held) != 2 { // one of busy
		t.Errorf("%+v %v", held, err)
	}

	// A definition that came later has no figures of the months; the others keep theirs.
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.wh = warehousetest.Reopen(t, w.prefix, w.set, agedKPIs(t, "sum(fee * 2)"))
	w.start()
	w.wait(w.send(session("x")).Last.Seq)
	for _, r := range w.wh.Rollups(w.set.ByType("test.request.decided.v1")) {
		count := "SELECT sum(_n) FROM " + w.wh.Table(r) + " WHERE toYYYYMM(_cut) = 202601"
		if n := w.query(count); n != "41" {
			t.Errorf("%s has %s", r.Name, n)
		}
		lacks, err := w.wh.Lacks(ctx, r, []string{"_n", "_day", "_retracted"})
		if err != nil || len(lacks) != 0 {
			t.Error(r.Name, lacks, err)
		}
		for _, formula := range []string{"sum(took)", "sum(fee * 2)"} {
			f, err := kpi.ParseFormula(formula)
			if err != nil {
				t.Fatal(err)
			}
			column, ok := r.Column(f.Terms[0])
			if !ok {
				t.Fatal(formula)
			}
			lacks, err := w.wh.Lacks(ctx, r, []string{"_n", column})
			if want := map[bool]int{true: 2}[formula != "sum(took)"]; err != nil || len(lacks) != want {
				t.Errorf("%s of %s: %v, want %d months; %v", formula, r.Name, lacks, want, err)
			}
		}
	}
	if got := w.differences(Verification{}); got != "" {
		t.Fatal(got)
	}
}

// TestRetainInterrupted ends a retention between its steps, and then a rebuild: figures are what
// they were, and the next retention comes to its end.
func TestRetainInterrupted(t *testing.T) {
	for _, step := range []string{"facts retired", "figures kept", "figures noted"} {
		t.Run(step, func(t *testing.T) {
			w, now := aged(t)
			before := w.told()
			ended := func(at string, do func(context.Context) error) {
				t.Helper()
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				failpoint = func(step string) {
					if step == at {
						cancel()
					}
				}
				defer func() { failpoint = func(string) {} }()
				if err := do(ctx); err == nil {
					t.Fatal("it was not interrupted")
				}
			}
			same := func(what string) {
				t.Helper()
				if after := w.told(); after != before {
					t.Fatalf("%s:\n%s\nbefore:\n%s", what, after, before)
				}
				if got := w.differences(Verification{}); got != "" {
					t.Fatalf("%s: %s", what, got)
				}
			}
			ended(step, func(ctx context.Context) error { _, err := w.retain(ctx, now); return err })
			same("interrupted")
			at := "figures put"
			if step == "facts retired" { // none are kept
				at = "facts rebuilt"
			}
			ended(at, func(ctx context.Context) error { _, err := w.rebuild(ctx); return err })
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.wait(w.send(session("x")).Last.Seq)
			same("rebuilt at the start")
			if _, err := w.retain(context.Background(), now); err != nil {
				t.Fatal(err)
			}
			same("retained")
			w.onlyIDs()
		})
	}
}
