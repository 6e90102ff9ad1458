package workbench_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/stream"
	"ombor/queries/workbench"
)

func journal(t *testing.T, dir string) *stream.Conn {
	t.Helper()
	c, err := stream.Open(t.Context(), stream.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func open(t *testing.T, c *stream.Conn, now *time.Time) *workbench.Workbench {
	t.Helper()
	b, err := workbench.Open(t.Context(), c, workbench.Options{Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	ali   = &access.Principal{ID: "person:id/1", Name: "Ali", Roles: []access.Role{access.Analyst}, Agency: "tax"}
	vali  = &access.Principal{ID: "person:id/2", Name: "Vali", Roles: []access.Role{access.Analyst}, Agency: "tax"}
	guli  = &access.Principal{ID: "person:id/3", Name: "Guli", Roles: []access.Role{access.Center}}
	admin = &access.Principal{ID: "operator:machine", Name: "operator", Roles: []access.Role{access.Operator}}
)

func kind(t *testing.T, what string, err error, want problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != want {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// A query is seen by whom it is shared with, changed by its owner alone, and there after a restart.
func TestSavedQueries(t *testing.T) {
	ctx, dir, now := t.Context(), t.TempDir(), time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	c := journal(t, dir)
	b := open(t, c, &now)
	saved := map[workbench.Sharing]*workbench.Query{}
	for _, sharing := range []workbench.Sharing{workbench.Private, workbench.Agency, workbench.Everybody} {
		q, err := b.Save(ctx, ali, workbench.Query{Title: " Waits, " + string(sharing), SQL: "SELECT 1 < 2", Parameters: map[string]string{"r": "1726"}, Sharing: sharing})
		if err != nil || q.Title != "Waits, "+string(sharing) || q.Owner != ali.ID || q.Revision != 1 {
			t.Fatal(q, err)
		}
		saved[sharing] = q
		now = now.Add(time.Minute)
	}
	for _, see := range []struct {
		who  *access.Principal
		want string
	}{{ali, "everybody agency private"}, {vali, "everybody agency"}, {guli, "everybody"}, {admin, "everybody"}} {
		list, err := b.Queries(ctx, see.who)
		var got []string
		for _, q := range list {
			got = append(got, string(q.Sharing))
		}
		if err != nil || strings.Join(got, " ") != see.want {
			t.Errorf("%s sees %v, %v; want %s", see.who.Name, got, err, see.want)
		}
	}
	_, err := b.Query(ctx, vali, saved[workbench.Private].ID)
	kind(t, "a private one", err, problem.NotFound)
	for _, id := range []string{"", ">", "*", "aaaaaaaaaaaa", "../../etc/ab"} {
		_, err := b.Query(ctx, ali, id)
		kind(t, id, err, problem.NotFound)
	}
	shared := *saved[workbench.Everybody]
	shared.Title = "Waits by region"
	_, err = b.Change(ctx, vali, shared.ID, shared)
	kind(t, "somebody else's", err, problem.Denied)
	changed, err := b.Change(ctx, ali, shared.ID, shared)
	if err != nil || changed.Revision != 2 || changed.Title != "Waits by region" || !changed.Created.Equal(shared.Created) || !changed.Changed.After(shared.Changed) {
		t.Fatal(changed, err)
	}
	_, err = b.Change(ctx, ali, shared.ID, shared)
	kind(t, "an old revision", err, problem.Conflict)
	kind(t, "removed by another", b.Remove(ctx, vali, shared.ID), problem.Denied)
	kind(t, "a private one removed by another", b.Remove(ctx, vali, saved[workbench.Private].ID), problem.NotFound)
	if err := b.Remove(ctx, admin, saved[workbench.Private].ID); err != nil {
		t.Error(err)
	}
	c.Close()
	list, err := open(t, journal(t, dir), &now).Queries(ctx, ali)
	if err != nil || len(list) != 2 || list[0].Title != "Waits by region" || list[0].Parameters["r"] != "1726" {
		t.Errorf("after a restart: %+v, %v", list, err)
	}
	for field, queries := range map[string][]workbench.Query{
		"title": {{SQL: "SELECT 1", Sharing: workbench.Private}, {Title: "of AB7654321", SQL: "SELECT 1", Sharing: workbench.Private}},
		"description": {{Title: "x", SQL: "SELECT 1", Sharing: workbench.Private, Description: strings.Repeat("ў", workbench.MaxDescription+1)},
			{Title: "x", SQL: "SELECT 1", Sharing: workbench.Private, Description: "person 44234567890135"}},
		"sharing":    {{Title: "x", SQL: "SELECT 1", Sharing: "nobody"}},
		"sql":        {{Title: "x", SQL: " \n", Sharing: workbench.Private}, {Title: "x", SQL: "SELECT '391999777'", Sharing: workbench.Private}},
		"parameters": {{Title: "x", SQL: "SELECT 1", Sharing: workbench.Private, Parameters: map[string]string{"p": "31205851234567"}}},
	} {
		for _, q := range queries {
			_, err := b.Save(ctx, ali, q)
			var e *problem.Error
			if !errors.As(err, &e) || e.Kind != problem.BadInput || e.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	}
	_, err = b.Save(ctx, guli, workbench.Query{Title: "x", SQL: "SELECT 1", Sharing: workbench.Agency})
	kind(t, "of no agency", err, problem.BadInput)
	_, err = b.Save(ctx, ali, workbench.Query{Title: "x", SQL: "SELECT '" + strings.Repeat("a", workbench.MaxSQL) + "'", Sharing: workbench.Private})
	kind(t, "too long", err, problem.TooLarge)
}

// A run is watched while it runs, cancelled by its person, and in their history afterwards.
func TestRuns(t *testing.T) {
	ctx, now := t.Context(), time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	b := open(t, journal(t, t.TempDir()), &now)
	run, inner, end, err := b.Begin(ctx, ali, workbench.Run{SQL: "SELECT sum(number) FROM numbers(1e12)", Format: "rows"})
	if err != nil {
		t.Fatal(err)
	}
	b.Progress(run.ID, 100, 800, 1e12)
	now = now.Add(3 * time.Second)
	if live, err := b.Run(ctx, ali, run.ID); err != nil || live.State != workbench.Running || live.ReadRows != 100 || live.TotalRows != 1e12 || live.Seconds != 3 {
		t.Errorf("%+v, %v", live, err)
	}
	if list, err := b.Runs(ctx, vali); err != nil || len(list) != 0 {
		t.Errorf("another one's history: %v, %v", list, err)
	}
	kind(t, "cancelled by another", b.Cancel(vali, run.ID), problem.NotFound)
	if err := b.Cancel(ali, run.ID); err != nil {
		t.Fatal(err)
	}
	<-inner.Done()
	if context.Cause(inner) != error(workbench.ErrCancelled) {
		t.Error(context.Cause(inner))
	}
	end(workbench.Run{State: workbench.Cancelled, ReadRows: 200, Problem: "the statement was cancelled"})
	kind(t, "cancelled when it is over", b.Cancel(ali, run.ID), problem.NotFound)
	kept, err := b.Run(ctx, ali, run.ID)
	if err != nil || kept.State != workbench.Cancelled || kept.SQL != "SELECT sum(number) FROM numbers(1e12)" || kept.ReadRows != 200 || kept.Seconds != 3 || workbench.IsRedacted(kept) {
		t.Errorf("%+v, %v", kept, err)
	}
	var ends []func(workbench.Run)
	for range workbench.MaxRunning {
		_, _, end, err := b.Begin(ctx, ali, workbench.Run{SQL: "SELECT 1"})
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	_, _, _, err = b.Begin(ctx, ali, workbench.Run{SQL: "SELECT 1"})
	kind(t, "too many at once", err, problem.Busy)
	for _, end := range ends {
		end(workbench.Run{State: workbench.Done})
	}
}

// A history keeps the newest runs, as many as fit, whatever stands in them; and no number that
// could be a person's is on disk.
func TestHistoryIsBounded(t *testing.T) {
	ctx, dir, now := t.Context(), t.TempDir(), time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)
	c := journal(t, dir)
	b := open(t, c, &now)
	do := func(sql string) string {
		t.Helper()
		run, _, end, err := b.Begin(ctx, ali, workbench.Run{SQL: sql, Parameters: map[string]string{"p": "31205851234567"}})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		end(workbench.Run{State: workbench.Done, Rows: 1})
		return run.ID
	}
	for range workbench.KeptRuns {
		do("SELECT 1")
	}
	last := do("SELECT * FROM t WHERE p = '31205851234567'")
	list, err := b.Runs(ctx, ali)
	if err != nil || len(list) != workbench.KeptRuns || list[0].ID != last {
		t.Fatal(len(list), err)
	}
	if list[0].SQL != "SELECT * FROM t WHERE p = '‹14 digits›'" || !workbench.IsRedacted(&list[0]) {
		t.Errorf("%+v", list[0])
	}
	for range 5 {
		do("SELECT '" + strings.Repeat("<\x01", workbench.MaxSQL/4) + "'")
	}
	if list, err := b.Runs(ctx, ali); err != nil || len(list) == 0 || len(list) > 4 {
		t.Fatalf("%d runs of long statements, %v", len(list), err)
	}
	c.Close()
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if strings.Contains(string(data), "31205851234567") {
			t.Errorf("%s holds it", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWords(t *testing.T) {
	words := workbench.Words([]workbench.Reading{{Table: "facts.a", Rows: 1_240_000, Bytes: 96_400_000}, {Table: "facts.b", Rows: 3, Bytes: 12}})
	for language, want := range map[string]string{
		"en": "Up to 1.2 million rows will be read, about 96 MB on disk (tables: 2).",
		"ru": "Будет прочитано не более 1,2 млн строк, на диске около 96 МБ (таблиц: 2).",
		"uz": "Koʻpi bilan 1,2 mln qator oʻqiladi, diskda taxminan 96 MB (jadvallar: 2).",
	} {
		if words[language] != want {
			t.Errorf("%s: %s", language, words[language])
		}
	}
	if got := workbench.Words([]workbench.Reading{{Rows: 999_600, Bytes: 999}})["en"]; got != "Up to 1 million rows will be read, about 999 bytes on disk (tables: 1)." {
		t.Error(got)
	}
}
