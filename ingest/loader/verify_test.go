package loader

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/internal/stream"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/lake"
)

// busy loads events of every kind: three contracts' worth of first events, duplicates, a
// conflict, corrections within and across plans, a withdrawal, a late revision.
func (w *world) busy() {
	w.t.Helper()
	fee := func(n int) string { return fmt.Sprintf(`{"service":"s%d","fee":%d,"took":%d}`, n%3, n, n*1000) }
	var all []string
	for i := range 40 {
		all = append(all, event(fmt.Sprintf("e%d", i), "", fee(i)))
	}
	w.wait(w.send(all...).Last.Seq)
	w.wait(w.send(all[:10]...).Last.Seq) // no rows in the lake
	w.wait(w.send(event("e1-1", `,"corrects":"e1","revision":1`, fee(100)), event("e2-1", `,"corrects":"e2","revision":1,"withdrawn":true`, `{}`), session("x")).Last.Seq)
	w.wait(w.send(event("e3", "", `{"service":"else","fee":3}`), event("e41", "", root), event("e41-2", `,"corrects":"e41","revision":2`, fee(7))).Last.Seq)
	w.wait(w.send(event("e41-1", `,"corrects":"e41","revision":1`, fee(8)), session("y"), session("x"), event("e42", "", root)).Last.Seq)
}

func (w *world) verify(v Verification) *Verified {
	w.t.Helper()
	found, err := w.loader.Verify(context.Background(), v)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// differences are what a verification says, a line each.
func (w *world) differences(v Verification) string {
	w.t.Helper()
	var lines []string
	for _, d := range w.verify(v).Differences {
		lines = append(lines, d.String())
	}
	return strings.Join(lines, "\n")
}

func (w *world) engine(statement string) {
	w.t.Helper()
	for _, database := range []string{"facts.", "rollups."} {
		statement = strings.ReplaceAll(statement, database, w.prefix+database)
	}
	enginetest.Shared(w.t).Exec(w.t, statement)
}

func TestVerifyAgrees(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.busy()
	whole := w.verify(Verification{})
	if len(whole.Differences) != 0 {
		t.Fatal(whole.Differences)
	}
	if whole.Journal.Events != 40+10+3+3+4 || whole.Journal.Messages != 5 || whole.Lake.Rows != 51 || whole.Warehouse.Rows != 49 {
		t.Errorf("%+v", whole)
	}
	// The same after the files have been merged, and in part.
	merged, err := lake.Open(w.store).Compact(context.Background(), lake.Compaction{Contracts: w.set, Through: whole.Through})
	if err != nil || merged.Into != 1 {
		t.Fatal(merged, err)
	}
	files, err := lake.Open(w.store).Files(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []Verification{{}, {Quick: true}, {Contract: "test.usage.session.v1"}, {Day: files[0].Cut}, {Repair: true}} {
		again := w.verify(v)
		if len(again.Differences) != 0 || again.Repaired != nil {
			t.Errorf("%+v: %+v", v, again)
		}
		if !v.Quick && v.Contract+v.Day == "" && (again.Lake.Rows != whole.Lake.Rows || again.Lake.Files != 2 || again.Journal != whole.Journal) {
			t.Errorf("%+v\n%+v", again, whole)
		}
	}
	if _, err := w.loader.Verify(context.Background(), Verification{Contract: "none"}); problem.KindOf(err) != problem.BadInput {
		t.Error(err)
	}
}

// TestVerifyDiffers breaks every part in every way that can be thought of, one at a time, and
// looks whether the difference is named with its range.
func TestVerifyDiffers(t *testing.T) {
	const table = "facts.request_decided_v1"
	object := func(w *world, folder string, n int) string {
		names, err := filepath.Glob(filepath.Join(w.place, folder))
		if err != nil || len(names) <= n {
			w.t.Fatal(folder, names, err)
		}
		slices.Sort(names)
		return names[n]
	}
	must := func(w *world, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		harm func(w *world)
		want []string // each in a line
		not  string
	}{
		"a row is missing in the warehouse": {func(w *world) {
			w.engine("ALTER TABLE " + table + " DELETE WHERE _seq = 3145728 AND _sign = -1 SETTINGS mutations_sync = 2")
		}, []string{"lake and warehouse: 1 rows missing in the warehouse, test.request.decided.v1, received 20", ", messages 3 to 3, for instance row 3.0", "rollups and facts: do not add up"}, "other content"},
		"a batch is missing in the warehouse": {func(w *world) {
			w.engine("ALTER TABLE " + table + " DELETE WHERE _batch = 1 SETTINGS mutations_sync = 2")
		}, []string{"lake and warehouse: 40 rows missing in the warehouse, test.request.decided.v1", "messages 1 to 1"}, "journal"},
		"rows are twice in the warehouse": {func(w *world) {
			w.engine("INSERT INTO " + table + " SELECT * FROM " + table + " WHERE _seq BETWEEN 1048580 AND 1048582 SETTINGS insert_deduplicate = 0")
		}, []string{"lake and warehouse: 3 rows twice in the warehouse, test.request.decided.v1", "messages 1 to 1, for instance row 1.4", "warehouse: 2 rows counted twice, messages 1 to 1"}, "missing"},
		"a row has other content": {func(w *world) {
			w.engine("ALTER TABLE " + table + " UPDATE fee = fee + 1 WHERE _seq = 1048583 SETTINGS mutations_sync = 2")
		}, []string{"lake and warehouse: 1 rows other content in the warehouse, test.request.decided.v1", "for instance row 1.7"}, "rollups"},
		"a row that nobody sent": {func(w *world) {
			w.engine("INSERT INTO " + table + " SELECT * REPLACE(toUInt64(99 * 1048576) AS _seq, toUInt64(2) AS _batch, generateUUIDv4() AS _id) FROM (SELECT * FROM " + table + " WHERE _seq = 1048583)")
		}, []string{"lake and warehouse: 1 rows not in the lake, test.request.decided.v1", "messages 99 to 99"}, "twice"},
		"a file of the lake is gone": {func(w *world) {
			must(w, os.Remove(object(w, "request_decided_v1/*/*", 1)))
		}, []string{"lake: 4 rows missing in the lake, test.request.decided.v1", "messages 3 to 3: there is no request_decided_v1/cut="}, "warehouse"},
		"a file of the lake has a flipped bit": {func(w *world) {
			path := object(w, "request_decided_v1/*/*", 0)
			data, err := os.ReadFile(path)
			must(w, err)
			data[len(data)/3] ^= 4
			must(w, os.WriteFile(path, data, 0o600))
		}, []string{"lake: 40 rows damaged, test.request.decided.v1", "messages 1 to 1", ".parquet is damaged: its checksum is"}, "warehouse"},
		"a file of the lake is shorter": {func(w *world) {
			must(w, os.Truncate(object(w, "request_decided_v1/*/*", 0), 100))
		}, []string{"lake: 40 rows damaged", "it has 100 bytes, the manifest says"}, "warehouse"},
		"a whole plan of the lake is gone": {func(w *world) {
			must(w, os.Remove(object(w, "_manifest/*", 0)))
			must(w, os.Remove(object(w, "request_decided_v1/*/*", 0)))
		}, []string{"lake and warehouse: 40 rows not in the lake, test.request.decided.v1", "journal and lake: 40 rows missing in the lake, messages 1 to 1, for instance row 1.0"}, "damaged"},
		"a plan is gone from lake and warehouse": {func(w *world) { // only ledger and journal know of it
			l := lake.Open(w.store)
			files, err := l.Files(context.Background())
			must(w, err)
			f := files[len(files)-1]
			if f.Contract != "test.usage.session.v1" {
				w.t.Fatal(f)
			}
			must(w, os.Remove(object(w, "_manifest/*", 3)))
			w.engine("ALTER TABLE facts.usage_session_v1 DELETE WHERE _batch = 5 SETTINGS mutations_sync = 2")
			w.engine("ALTER TABLE " + table + " DELETE WHERE _batch = 5 SETTINGS mutations_sync = 2")
			for _, c := range w.set.All() {
				cut, err := reference.ParseDay(f.Cut)
				must(w, err)
				must(w, w.wh.Refill(context.Background(), c, cut))
			}
		}, []string{"lake: 3 rows missing in the lake, messages 5 to 5: the ledger says that they were accepted", "journal and lake: 3 rows missing in the lake, messages 5 to 5"}, "warehouse"},
		"a message of the journal is gone": {func(w *world) {
			s, err := w.conn.Stream(context.Background(), stream.Config{Name: "JOURNAL", MaxBytes: 64 << 30})
			must(w, err)
			must(w, s.Delete(context.Background(), 3))
		}, []string{"journal: 3 rows damaged or lost in the journal, messages 3 to 3: "}, "lake"},
		"a rollup has too much": {func(w *world) {
			w.engine("INSERT INTO rollups.request_decided_v1__time___source SELECT * FROM rollups.request_decided_v1__time___source SETTINGS insert_deduplicate = 0")
		}, []string{"rollups and facts: do not add up, test.request.decided.v1: request_decided_v1__time___source has", "computes it anew"}, "lake"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			w.start()
			w.busy()
			if got := w.differences(Verification{}); got != "" {
				t.Fatal(got)
			}
			c.harm(w)
			got := w.differences(Verification{})
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, c.not) {
				t.Errorf("it says %q:\n%s", c.not, got)
			}
			if !strings.Contains(got, "rollups and facts") {
				return
			}
			// What lies between facts and rollups is mended, the facts are not touched.
			repaired := w.verify(Verification{Repair: true})
			if len(repaired.Repaired) != 1 || !strings.HasPrefix(repaired.Repaired[0], "test.request.decided.v1, received in 20") {
				t.Errorf("repaired: %v", repaired.Repaired)
			}
			if got := w.differences(Verification{}); strings.Contains(got, "rollups") {
				t.Errorf("after the repair:\n%s", got)
			}
		})
	}
}
