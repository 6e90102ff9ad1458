package loader

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ombor/ingest/journal"
	"ombor/internal/contract"
	"ombor/internal/problem"
	"ombor/warehouse/lake"
)

// applicants are of whom the events of people tell.
var applicants = []string{"30101900000001", "30101900000002", "30101900000003"}

func by(applicant string, fee int) string {
	return fmt.Sprintf(`{"service":"s1","fee":%d,"applicant":%q}`, fee, applicant)
}

// people loads three events of each applicant, a correction of an earlier plan, and a conflict.
func (w *world) people() {
	w.t.Helper()
	w.names = nil
	for _, a := range applicants {
		p, err := w.keys.Pseudonym("pinfl", a)
		if err != nil {
			w.t.Fatal(err)
		}
		w.names = append(w.names, p)
	}
	for plan := range 3 {
		var all []string
		for i, a := range applicants {
			all = append(all, event(fmt.Sprintf("%d-%d", plan, i), "", by(a, 10*plan+i)))
		}
		w.wait(w.send(all...).Last.Seq)
	}
	w.wait(w.send(event("0-0/1", `,"corrects":"0-0","revision":1`, by(applicants[0], 77)), event("1-1", "", by(applicants[1], 99)), session("x")).Last.Seq)
}

// spellPersons puts names for pseudonyms: of whom they are and by which version of the keys.
func (w *world) spellPersons(text string) string {
	w.t.Helper()
	for i := range applicants {
		first := w.names[i]
		for version := 1; version <= w.keys.PseudonymVersion(); version++ {
			p, err := w.keys.Advance("pinfl", first, 1, version)
			if err != nil {
				w.t.Fatal(err)
			}
			text = strings.ReplaceAll(text, hex.EncodeToString(p[:]), fmt.Sprintf("person %d by %d", i, version))
		}
	}
	return text
}

// persons is what facts, lake and quarantine hold of persons.
func (w *world) persons() string {
	w.t.Helper()
	text := w.query("SELECT lower(hex(applicant)), count(), sum(_sign), sum(fee * _sign) FROM facts.request_decided_v1 GROUP BY applicant ORDER BY min(_seq)") + "\n"
	if err := w.journal.Held(context.Background(), func(e journal.Entry) error {
		text += fmt.Sprintf("held %d %s\n", e.Held.Pseudonyms, e.Held.Event)
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	files, err := lake.Open(w.store).Files(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range files {
		text += fmt.Sprintf("file of %s by %d\n", f.Table, f.Pseudonyms)
	}
	return w.spellPersons(text)
}

// TestRotationInterrupted ends a rotation at each of its steps, while somebody sends: the next start ends
// it, everybody is one person, and nothing is of the older keys.
func TestRotationInterrupted(t *testing.T) {
	for _, step := range []string{"rotation begins", "key made", "lake advanced", "quarantine advanced", "rebuild demanded", "ledger turned", "rebuild begins", "rows rebuilt", "facts rebuilt", ""} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, "")
			w.start()
			w.people()
			before := w.persons()
			if strings.Count(before, "person 0 by 1") != 1 || !strings.Contains(before, "held 1") {
				t.Fatal(before)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			failpoint = func(at string) {
				if at == "lake advanced" { // the door has the new key, the facts the old one
					w.send(event("meanwhile", "", by(applicants[2], 5)))
				}
				if at == step {
					cancel()
				}
			}
			defer func() { failpoint = func(string) {} }()
			_, err := w.loader.Rotate(ctx, ctx, nil)
			if (err == nil) != (step == "") {
				t.Fatalf("interrupted: %v", err)
			}
			failpoint = func(string) {}
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			version := 2
			if step == "rotation begins" {
				version = w.keys.PseudonymVersion()
			}
			w.start()
			w.wait(w.send(event("later", "", by(applicants[2], 7)), session("y")).Last.Seq)
			after := w.persons()
			for _, line := range strings.Split(strings.TrimSpace(after), "\n") {
				if strings.Contains(line, "_session_") {
					continue // of nobody
				}
				if !strings.Contains(line, fmt.Sprintf("by %d", version)) && !(version == 1 && strings.Contains(line, "by 0")) {
					t.Errorf("by older keys: %s", line)
				}
			}
			if n := w.query("SELECT uniqExact(applicant), countIf(applicant IS NULL) FROM facts.request_decided_v1"); n != "3\t0" {
				t.Errorf("persons: %q\n%s", n, after)
			}
			if got := w.differences(Verification{}); got != "" {
				t.Error(got)
			}
			if rows := w.ledgerRows(); version > 1 && rows > 0 {
				t.Errorf("%d plans of the ledger hold rows that name persons", rows)
			}
			if r, err := w.loader.Rotate(context.Background(), context.Background(), nil); err != nil || r.Pseudonyms != version+1 {
				t.Errorf("again: %+v, %v", r, err)
			}
			if again := w.persons(); strings.Contains(again, fmt.Sprintf("by %d", version)) {
				t.Errorf("again: %s", again)
			}
		})
	}
}

// ledgerRows is in how many plans the ledger holds rows that they took back.
func (w *world) ledgerRows() (n int) {
	w.t.Helper()
	for from := uint64(1); ; {
		r, err := w.loader.ledger.read(context.Background(), from)
		if problem.KindOf(err) == problem.NotFound {
			return n
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if r.kind == kindPlan && strings.Contains(string(r.line), "retracted") {
			n++
		}
		from = r.next
	}
}

// TestKeysOfAnother refuses to load with keys that are older than what is stored, or others, and with
// a door that has newer keys than the loader nothing is lost.
func TestKeysOfAnother(t *testing.T) {
	w := newWorld(t, "")
	older, err := contract.OpenKeys(filepath.Join(w.dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.people()
	if _, err := w.keys.Rotate(); err != nil { // as another server does
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	newer := w.keys
	w.keys = older
	w.start()
	last := w.send(event("newer", "", by(applicants[0], 1))).Last.Seq
	w.troubled("keys")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.keys = newer
	w.start()
	w.wait(last)
	if n := w.query("SELECT uniqExact(applicant) FROM facts.request_decided_v1"); n != "3" {
		t.Errorf("%s persons", n)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	config := w.config()
	config.Keys = older
	if _, err := New(config); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "older") {
		t.Errorf("older keys: %v", err)
	}
	config.Keys = contract.NewKeys()
	if _, err := config.Keys.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(config); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "another") {
		t.Errorf("other keys: %v", err)
	}
}

// TestRotationOfDamage makes no key for a lake that could not be rewritten.
func TestRotationOfDamage(t *testing.T) {
	w := newWorld(t, "")
	w.start()
	w.people()
	files, err := lake.Open(w.store).Files(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(context.Background(), files[0].Name); err != nil {
		t.Fatal(err)
	}
	if _, err := w.loader.Rotate(context.Background(), context.Background(), nil); problem.KindOf(err) != problem.NotFound || w.keys.PseudonymVersion() != 1 {
		t.Errorf("version %d: %v", w.keys.PseudonymVersion(), err)
	}
}
