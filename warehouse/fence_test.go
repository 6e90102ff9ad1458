package warehouse_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"ombor/internal/problem"
	"ombor/internal/reference"
	"ombor/warehouse"
	"ombor/warehouse/engine/enginetest"
	"ombor/warehouse/warehousetest"
)

// Two loaders on one warehouse: what the one before has sent, or sends late, changes
// nothing beyond the plan that both know of.
func TestFence(t *testing.T) {
	c := request()
	set := setOf(t, c)
	prefix := warehousetest.Prefix()
	first, second := warehousetest.Reopen(t, prefix, set, nil), warehousetest.Reopen(t, prefix, set, nil)
	ctx := t.Context()
	if err := first.Claim(ctx, 1); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)
	cut := reference.DayOf(at)
	rows := func(batch uint64) *bytes.Reader {
		return bytes.NewReader(warehousetest.Stream(t, c, first.Zone(), []warehousetest.Row{{ID: batch, Batch: batch, Time: at, Cut: cut}, {ID: batch + 100, Batch: batch, Time: at, Cut: cut}}))
	}
	count := func(want uint64) {
		t.Helper()
		if n, err := second.MonthRows(ctx, c, cut); err != nil || n != want {
			t.Errorf("%d rows, want %d (%v)", n, want, err)
		}
		differences, err := second.Verify(ctx)
		if err != nil || len(differences) > 0 {
			t.Errorf("%v %v", differences, err)
		}
	}
	if err := first.InsertBatch(ctx, c, "1", rows(1)); err != nil {
		t.Fatal(err)
	}
	if err := first.ApplyRollups(ctx, c, cut, 1); err != nil {
		t.Fatal(err)
	}
	count(2)

	// Both carry out the same plan.
	if err := second.Claim(ctx, 2); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			if err := first.InsertBatch(ctx, c, "2", rows(2)); err != nil {
				t.Error(err)
			}
		})
		both.Go(func() {
			if err := second.InsertBatch(ctx, c, "2", rows(2)); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if n, err := second.BatchRows(ctx, c, cut, 2); err != nil || n != 2 {
		t.Errorf("%d rows of the batch, %v", n, err)
	}
	// The rollups of the one before select nothing now, those of the new one do.
	if err := first.ApplyRollups(ctx, c, cut, 2); err != nil {
		t.Fatal(err)
	}
	if differences, err := second.Verify(ctx); err != nil || len(differences) == 0 {
		t.Errorf("a loader that is fenced off wrote rollups: %v %v", differences, err)
	}
	if err := second.ApplyRollups(ctx, c, cut, 2); err != nil {
		t.Fatal(err)
	}
	count(4)
	if err := first.Claim(ctx, 1); problem.KindOf(err) != problem.Conflict {
		t.Errorf("an old epoch claims the warehouse: %v", err)
	}
	if err := second.Claim(ctx, 2); err != nil {
		t.Errorf("claiming again: %v", err)
	}

	// What a batch should not have is found and removed.
	if err := second.InsertBatch(ctx, c, "", rows(7)); err != nil {
		t.Fatal(err)
	}
	var found []uint64
	if err := second.Batches(ctx, c, cut, func(batch, rows uint64) error { found = append(found, batch, rows); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{1, 2, 2, 2, 7, 2}; len(found) != len(want) || found[4] != 7 {
		t.Errorf("batches and rows %v, want %v", found, want)
	}
	if newest, _, err := second.Newest(ctx, c, 2); err != nil || newest != 7 {
		t.Errorf("newest %d %v", newest, err)
	}
	if err := second.ReplaceBatch(ctx, c, cut, 7, nil); err != nil {
		t.Fatal(err)
	}
	count(4)
	if newest, _, err := second.Newest(ctx, c, 2); err != nil || newest != 0 {
		t.Errorf("newest %d %v", newest, err)
	}

	// A repair puts a batch right, twice in the same way as well.
	for range 2 {
		if err := second.ReplaceBatch(ctx, c, cut, 2, rows(2)); err != nil {
			t.Fatal(err)
		}
		if err := second.Refill(ctx, c, cut); err != nil {
			t.Fatal(err)
		}
		count(4)
	}
	// One of the loader before changes nothing.
	for _, err := range []error{first.ReplaceBatch(ctx, c, cut, 2, nil), first.ReplaceBatch(ctx, c, cut, 1, rows(5)), first.Refill(ctx, c, cut)} {
		if problem.KindOf(err) != problem.Conflict {
			t.Errorf("a loader that is fenced off repairs: %v", err)
		}
	}
	count(4)
	// What it left beside is dropped by the next one.
	if err := second.Claim(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if left, err := enginetest.Shared(t).Query(ctx, "SELECT count() FROM system.tables WHERE database = '"+prefix+"meta' AND name LIKE '%twin%'"); err != nil || strings.TrimSpace(left) != "0" {
		t.Errorf("%s tables are left beside: %v", left, err)
	}
}

// What still runs of the loader before is ended when the next one takes over.
func TestClaimEndsWhatRuns(t *testing.T) {
	e := enginetest.Start(t)
	w, err := warehouse.Open(t.Context(), warehouse.Config{Socket: e.Socket(), Shared: true, Prefix: "x_"}, setOf(t, request()), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := e.Query(context.Background(), "SELECT sum(sleepEachRow(0.1)) FROM numbers(6000) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0, log_comment = 'ombor loader x_meta 1'")
		ended <- err
	}()
	for started := false; !started; {
		n, err := e.Query(t.Context(), "SELECT count() FROM system.processes WHERE Settings['log_comment'] LIKE '%x_meta 1'")
		if err != nil {
			t.Fatal(err)
		}
		started = strings.TrimSpace(n) == "1"
		select {
		case err := <-ended:
			t.Fatalf("the statement has ended by itself: %v", err)
		default:
		}
	}
	if err := w.Claim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the statement went on to its end")
	}
}
